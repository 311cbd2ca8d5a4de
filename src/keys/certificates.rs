use std::{fmt, sync::Arc};

use super::{
    cache::{Cache, Need},
    certificate,
    client::KeyClient,
    fetched::secrets,
};
use crate::{
    boxed::{BoxError, BoxFuture},
    clock::{Clock, SystemClock},
    head::RequestHead,
    secret::{SecretSource, Secrets},
};

/// The certificates with which Amazon SNS or PayPal signs. Each request names the URL of its certificate.
///
/// A certificate is fetched only if its URL has exactly the form of the sender's certificate URLs. It must be for the
/// sender's name and valid at the time of the request. Its chain is not verified: the TLS connection to the sender's
/// server, which is verified against the trusted authorities, proves that it is the sender's.
///
/// ```
/// use tower_webhooks::{WebhookLayer, keys::{CertificateKeys, HttpsKeyClient}};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let layer = WebhookLayer::aws_sns(CertificateKeys::aws_sns(HttpsKeyClient::new()?));
/// # let _ = layer;
/// # Ok(()) }
/// ```
pub struct CertificateKeys {
    client: Arc<dyn KeyClient>,
    is_name: fn(&str) -> bool,
    cache: Arc<Cache>,
}

impl CertificateKeys {
    /// Creates a source for the certificates of Amazon SNS.
    pub fn aws_sns(client: impl KeyClient) -> Self {
        Self::of(Arc::new(client), is_sns)
    }

    /// Creates a source for the certificates of PayPal.
    pub fn paypal(client: impl KeyClient) -> Self {
        Self::of(Arc::new(client), is_paypal)
    }

    fn of(client: Arc<dyn KeyClient>, is_name: fn(&str) -> bool) -> Self {
        let cache = cache(Arc::clone(&client), is_name, Arc::new(SystemClock));
        Self { client, is_name, cache }
    }

    /// Sets the clock.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.cache = cache(Arc::clone(&self.client), self.is_name, Arc::new(clock));
        self
    }
}

/// The names that Amazon's own library for Java accepts (`SnsMessageManager`): one for most regions, and others for
/// some regions.
fn is_sns(name: &str) -> bool {
    let own = name.strip_suffix(".amazonaws.com").or_else(|| name.strip_suffix(".amazonaws.com.cn"));
    own.is_some_and(|own| own == "sns" || own.starts_with("sns-"))
}

/// The names that PayPal's own library for Python accepts.
fn is_paypal(name: &str) -> bool {
    name.ends_with(".paypal.com")
}

fn cache(client: Arc<dyn KeyClient>, is_name: fn(&str) -> bool, clock: Arc<dyn Clock>) -> Arc<Cache> {
    let fetch =
        move |url: String| -> BoxFuture<'static, _> { Box::pin(certificate::fetch(Arc::clone(&client), url, is_name)) };
    Cache::of_lasting_keys(Box::new(fetch), clock)
}

impl SecretSource for CertificateKeys {
    fn secrets(&self, head: RequestHead) -> BoxFuture<'_, Result<Secrets, BoxError>> {
        Box::pin(async move {
            match head.key_id() {
                Some(url) => Ok(secrets(&self.cache.find(url, None, Need::Known).await?)),
                None => Ok(Secrets::unknown_key()),
            }
        })
    }
}

impl fmt::Debug for CertificateKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateKeys").finish_non_exhaustive()
    }
}
