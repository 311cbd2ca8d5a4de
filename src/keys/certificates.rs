use std::{fmt, sync::Arc};

use super::{
    cache::{Cache, Need},
    certificate::{self, Rules},
    client::KeyClient,
    fetched::secrets,
};
use crate::{
    boxed::{BoxError, BoxFuture},
    clock::{Clock, SystemClock},
    error::ConfigError,
    head::RequestHead,
    net::tls,
    secret::{SecretSource, Secrets},
};

/// The certificates with which Amazon SNS or PayPal signs. Each request names the URL of its certificate.
///
/// The checks:
///
/// 1. The certificate is fetched only if the URL has exactly the form of the sender's certificate URLs.
/// 2. It is fetched by TLS, and the certificate of the server must be valid for the host, with a chain to a trusted
///    authority.
/// 3. The first certificate in the answer must have a common name of the sender, and an RSA key of 2048 to 8192 bits.
/// 4. It must be valid at the time of each request.
///
/// So the sender is identified by the server of the certificate. The chain of the certificate itself is checked only
/// after [`trusted_roots_pem`](Self::trusted_roots_pem) or [`system_roots`](Self::system_roots), since Amazon publishes
/// its certificate without a chain. Revocation is not checked.
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
    rules: Rules,
    clock: Arc<dyn Clock>,
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
        let (rules, clock): (_, Arc<dyn Clock>) = (Rules { is_name, chain: None }, Arc::new(SystemClock));
        let cache = cache(Arc::clone(&client), rules.clone(), Arc::clone(&clock));
        Self { client, rules, clock, cache }
    }

    /// Also checks the chain of certificates: it must lead to one of these authorities, in PEM, and the first
    /// certificate must be a server certificate for its common name. PayPal publishes whole chains. If a sender
    /// publishes only the first certificate, like Amazon, pass the certificate of its issuer.
    ///
    /// # Errors
    /// When the text holds no certificate of an authority.
    pub fn trusted_roots_pem(self, pem: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        self.checking_chains(Some(pem.as_ref()))
    }

    /// Checks the chain like [`trusted_roots_pem`](Self::trusted_roots_pem), with the authorities of the operating
    /// system.
    ///
    /// # Errors
    /// When the operating system trusts no certificate authority.
    pub fn system_roots(self) -> Result<Self, ConfigError> {
        self.checking_chains(None)
    }

    fn checking_chains(mut self, pem: Option<&[u8]>) -> Result<Self, ConfigError> {
        self.rules.chain = Some(tls::verifier(tls::roots(pem)?)?);
        self.cache = cache(Arc::clone(&self.client), self.rules.clone(), Arc::clone(&self.clock));
        Ok(self)
    }

    /// Sets the clock.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self.cache = cache(Arc::clone(&self.client), self.rules.clone(), Arc::clone(&self.clock));
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

fn cache(client: Arc<dyn KeyClient>, rules: Rules, clock: Arc<dyn Clock>) -> Arc<Cache> {
    let now = Arc::clone(&clock);
    let fetch = move |url: String| -> BoxFuture<'static, _> {
        Box::pin(certificate::fetch(Arc::clone(&client), url, rules.clone(), now.now()))
    };
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
        f.debug_struct("CertificateKeys").field("checks_chain", &self.rules.chain.is_some()).finish_non_exhaustive()
    }
}
