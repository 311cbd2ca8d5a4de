use std::{collections::BTreeSet, fmt, sync::Arc};

use bytes::Bytes;
use http::{Request, StatusCode};
use tokio::sync::Semaphore;

use super::{
    client::{KeyClient, TIMEOUT},
    fetched::send,
};
use crate::{boxed::BoxError, delivery::Delivery, json::Pointer};

/// Confirms subscriptions of Amazon SNS, for [`WebhookLayer::with_confirmation`](crate::WebhookLayer::with_confirmation).
///
/// SNS first sends a `SubscriptionConfirmation` to an endpoint, and sends messages only after the URL in it was called.
/// The layer calls the URL if the message is verified and its topic is in the list. **Messages of all other topics are
/// rejected with 403, whatever their type:** SNS signs for all its customers, so anybody can publish to a topic of
/// their own and send you the signed message.
///
/// ```
/// use tower_webhooks::{WebhookLayer, keys::{CertificateKeys, HttpsKeyClient, SnsConfirmation}};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = HttpsKeyClient::new()?;
/// let confirmation = SnsConfirmation::new(client.clone()).topic("arn:aws:sns:us-east-1:123456789012:orders");
/// let layer = WebhookLayer::aws_sns(CertificateKeys::aws_sns(client)).with_confirmation(confirmation);
/// # let _ = layer;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct SnsConfirmation {
    client: Arc<dyn KeyClient>,
    topics: BTreeSet<String>,
    calls: Arc<Semaphore>,
}

/// What is to be done with a verified message.
pub(crate) enum Asked {
    /// The message does not ask for a confirmation.
    Nothing,
    /// The message belongs to a topic that is not in the list.
    Unwanted,
    /// The message asks for a confirmation by a call of this URL.
    Confirm(String),
}

impl SnsConfirmation {
    /// Creates a confirmation without topics; add them with [`topic`](Self::topic).
    pub fn new(client: impl KeyClient) -> Self {
        Self { client: Arc::new(client), topics: BTreeSet::new(), calls: Arc::new(Semaphore::new(MOST_CALLS)) }
    }

    /// Adds a topic, by its ARN.
    #[must_use]
    pub fn topic(mut self, arn: impl Into<String>) -> Self {
        self.topics.insert(arn.into());
        self
    }

    /// Returns what a verified message asks for.
    pub(crate) fn asked(&self, delivery: &Delivery) -> Asked {
        let pointers = ["Type", "TopicArn", "SubscribeURL"].map(Pointer::token);
        let Ok(values) = crate::json::scalars(delivery.body(), &pointers) else { return Asked::Unwanted };
        let mut values = values.into_iter();
        let mut next = || values.next().flatten();
        let (kind, topic, url) = (next(), next(), next());
        match (kind.as_deref(), topic, url) {
            // SNS signs for everybody, so a message of another topic may be anybody's.
            (_, topic, _) if topic.as_ref().is_none_or(|topic| !self.topics.contains(&**topic)) => Asked::Unwanted,
            (Some("SubscriptionConfirmation"), _, Some(url)) if is_subscription(&url) => {
                Asked::Confirm(url.into_owned())
            }
            (Some("SubscriptionConfirmation"), ..) => Asked::Unwanted,
            _ => Asked::Nothing,
        }
    }

    /// Calls the URL.
    pub(crate) async fn confirm(self, url: String) -> Result<(), BoxError> {
        let _call = self.calls.try_acquire().map_err(|_| "too many subscriptions are being confirmed")?;
        let request = Request::get(url).body(Bytes::new())?;
        let answer = tokio::time::timeout(TIMEOUT, send(self.client, request)).await;
        match answer.map_err(|_| format!("the subscription was not confirmed within {TIMEOUT:?}"))??.status() {
            StatusCode::OK => Ok(()),
            status => Err(format!("the confirmation of the subscription was answered with status {status}").into()),
        }
    }
}

/// How many calls run at the same time, so that repeated confirmation requests cannot cause an unlimited number.
const MOST_CALLS: usize = 4;

/// Returns `true` if this is a URL of SNS that confirms subscriptions. No other URL is called, even if it is signed.
fn is_subscription(url: &str) -> bool {
    let Some((host, query)) = url.strip_prefix("https://sns.").and_then(|rest| rest.split_once("/?")) else {
        return false;
    };
    let region = host.strip_suffix(".amazonaws.com").or_else(|| host.strip_suffix(".amazonaws.com.cn"));
    region.is_some_and(|region| {
        region.len() >= 3 && region.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    }) && query.split('&').any(|pair| pair == "Action=ConfirmSubscription")
}

impl fmt::Debug for SnsConfirmation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnsConfirmation").field("topics", &self.topics).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::is_subscription;

    #[test]
    fn only_a_confirmation_of_sns_is_called() {
        let query = "Action=ConfirmSubscription&TopicArn=arn:aws:sns:us-east-1:123456789012:orders&Token=2336412f37";
        assert!(is_subscription(&format!("https://sns.us-east-1.amazonaws.com/?{query}")));
        for url in [
            format!("http://sns.us-east-1.amazonaws.com/?{query}"),
            format!("https://sns.us-east-1.amazonaws.com.attacker.test/?{query}"),
            format!("https://sns.attacker.test/?{query}"),
            format!("https://user@sns.us-east-1.amazonaws.com/?{query}"),
            format!("https://sns.us-east-1.amazonaws.com:8443/?{query}"),
            format!("https://sns.us-east-1.amazonaws.com/path?{query}"),
            format!("https://sns.a/b.amazonaws.com/?{query}"),
            "https://sns.us-east-1.amazonaws.com/?Action=DeleteTopic".into(),
            "https://169.254.169.254/?Action=ConfirmSubscription".into(),
            String::new(),
        ] {
            assert!(!is_subscription(&url), "{url}");
        }
    }
}
