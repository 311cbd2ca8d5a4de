use std::{fmt, sync::Arc};

use super::client::{HttpsKeyClient, Inner, TIMEOUT};
use crate::{
    error::ConfigError,
    net::{
        connect::Dialler,
        destination::DestinationPolicy,
        proxy::EgressProxy,
        resolver::{Resolver, SystemResolver},
        tls,
        tunnel::Egress,
    },
    observe,
};

/// The settings of an [`HttpsKeyClient`].
///
/// ```
/// use tower_webhooks::keys::HttpsKeyClient;
///
/// let client = HttpsKeyClient::builder().egress_proxy("http://proxy.internal:3128".parse()?).build()?;
/// # let _ = client;
/// # Ok::<(), tower_webhooks::ConfigError>(())
/// ```
pub struct HttpsKeyClientBuilder {
    policy: DestinationPolicy,
    resolver: Arc<dyn Resolver>,
    egress: Option<EgressProxy>,
    roots: Option<Vec<u8>>,
}

impl HttpsKeyClientBuilder {
    /// Sets the policy, which decides from where keys may be fetched; by default from the public internet. Plain `http`
    /// is never used, even if the policy allows it.
    #[must_use]
    pub fn policy(mut self, policy: DestinationPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets the resolver; by default that of the operating system.
    #[must_use]
    pub fn resolver(mut self, resolver: impl Resolver) -> Self {
        self.resolver = Arc::new(resolver);
        self
    }

    /// Sets a proxy through which everything is fetched. The environment's proxy variables are never used.
    #[must_use]
    pub fn egress_proxy(mut self, proxy: EgressProxy) -> Self {
        self.egress = Some(proxy);
        self
    }

    /// Sets the trusted certificate authorities, in PEM, in place of those of the operating system.
    #[must_use]
    pub fn trusted_roots_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots = Some(pem.into());
        self
    }

    /// Builds the client. If its policy allows more than the public internet, this is logged.
    ///
    /// # Errors
    /// If no certificate authority is trusted.
    pub fn build(self) -> Result<HttpsKeyClient, ConfigError> {
        let roots = tls::roots(self.roots.as_deref())?;
        let egress = match self.egress {
            Some(proxy) => Some(Egress { proxy, tls: tls::config(Arc::clone(&roots), None)? }),
            None => None,
        };
        let tls = tls::config(roots, None)?;
        for opened in self.policy.opened() {
            observe::destination_opened(&opened);
        }
        let dialler = Dialler { resolver: self.resolver, tls, timeout: TIMEOUT, egress };
        Ok(HttpsKeyClient(Arc::new(Inner { policy: self.policy, dialler })))
    }
}

impl Default for HttpsKeyClientBuilder {
    fn default() -> Self {
        Self { policy: DestinationPolicy::default(), resolver: Arc::new(SystemResolver), egress: None, roots: None }
    }
}

impl fmt::Debug for HttpsKeyClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpsKeyClientBuilder")
            .field("policy", &self.policy)
            .field("egress_proxy", &self.egress)
            .finish_non_exhaustive()
    }
}
