use std::{fmt, sync::Arc};

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
/// SNS sends a `SubscriptionConfirmation` to an endpoint first, and sends other messages after the URL in it was
/// called. The layer calls the URL if the message is verified and its topic is one of those of
/// [`WebhookLayer::with_account`](crate::WebhookLayer::with_account).
///
/// ```
/// use tower_webhooks::{WebhookLayer, keys::{CertificateKeys, HttpsKeyClient, SnsConfirmation}};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = HttpsKeyClient::new()?;
/// let layer = WebhookLayer::aws_sns(CertificateKeys::aws_sns(client.clone()))
///     .with_account("arn:aws:sns:us-east-1:123456789012:orders")
///     .with_confirmation(SnsConfirmation::new(client));
/// # let _ = layer;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct SnsConfirmation {
    client: Arc<dyn KeyClient>,
    calls: Arc<Semaphore>,
}

/// What is to be done with a verified message.
pub(crate) enum Asked {
    /// The message does not ask for a confirmation.
    Nothing,
    /// Its URL is not a URL of SNS.
    Unwanted,
    /// The message asks for a confirmation by a call of this URL.
    Confirm(String),
}

impl SnsConfirmation {
    /// Creates a confirmation that calls SNS with this client.
    pub fn new(client: impl KeyClient) -> Self {
        Self { client: Arc::new(client), calls: Arc::new(Semaphore::new(MOST_CALLS)) }
    }

    /// Returns what a verified message of one of the layer's accounts asks for.
    pub(crate) fn asked(&self, delivery: &Delivery) -> Asked {
        let pointers = ["Type", "SubscribeURL"].map(Pointer::token);
        let Ok(values) = crate::json::scalars(delivery.body(), &pointers) else { return Asked::Unwanted };
        let mut values = values.into_iter();
        let mut next = || values.next().flatten();
        match (next().as_deref(), next()) {
            (Some("SubscriptionConfirmation"), Some(url)) if is_subscription(&url) => Asked::Confirm(url.into_owned()),
            (Some("SubscriptionConfirmation"), _) => Asked::Unwanted,
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
        f.debug_struct("SnsConfirmation").finish_non_exhaustive()
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
