use std::{fmt, sync::Arc, time::Duration};

use http::HeaderValue;

use crate::{
    clock::{Clock, SystemClock},
    error::{ConfigError, ConfigErrorKind},
    net::{
        connect::Dialler,
        destination::DestinationPolicy,
        identity::Identity,
        idle::Idle,
        proxy::EgressProxy,
        resolver::{Resolver, SystemResolver},
        tls,
        tunnel::Egress,
    },
    observe,
    secret::Secret,
    send::client::{guarded::GuardedClient, inner::Inner},
};

/// The settings of a [`GuardedClient`].
///
/// ```
/// use std::time::Duration;
/// use tower_webhooks::send::{DestinationPolicy, GuardedClient};
///
/// let client = GuardedClient::builder()
///     .policy(DestinationPolicy::default().deny_network("198.51.100.0/24".parse()?)) // our own public addresses
///     .timeout(Duration::from_secs(10))
///     .user_agent("acme-webhooks/1")
///     .build()?;
///
/// assert!(GuardedClient::builder().user_agent("two\nlines").build().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct GuardedClientBuilder {
    policy: DestinationPolicy,
    resolver: Arc<dyn Resolver>,
    timeout: Duration,
    connect_timeout: Duration,
    egress: Option<EgressProxy>,
    roots: Option<Vec<u8>>,
    identity: Option<Identity>,
    user_agent: String,
    clock: Arc<dyn Clock>,
}

impl GuardedClient {
    /// Creates a client with the defaults: the public internet, by https, 15 s an attempt.
    ///
    /// # Errors
    /// When the operating system trusts no certificate authority.
    pub fn new() -> Result<Self, ConfigError> {
        Self::builder().build()
    }

    /// Creates a builder for a client with other settings.
    pub fn builder() -> GuardedClientBuilder {
        GuardedClientBuilder::default()
    }
}

impl GuardedClientBuilder {
    /// Sets the policy, which decides where deliveries may go.
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

    /// Sets the deadline of an attempt, from the look-up of the name to the last byte that is read; 15 s by default.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how long making a connection may take, over all addresses of a name; 5 s by default. It does not include TLS with the
    /// receiver. It includes everything that the egress proxy does for a connection.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets a proxy through which everything is sent. By default no proxy is used, and the environment's proxy variables are never
    /// used.
    ///
    /// The policy still applies: the client looks up a receiver's name, checks every address, and asks the proxy for a
    /// tunnel to one of these addresses. The proxy sees the address, the port, and what anybody on the network path
    /// sees; TLS is between the client and the receiver. The operator chooses the proxy's own address, and the policy
    /// does not apply to it.
    ///
    /// The error for a proxy that cannot be reached, refuses, or misbehaves is [`AttemptErrorKind::Proxy`](crate::send::AttemptErrorKind).
    ///
    /// ```
    /// use tower_webhooks::send::GuardedClient;
    ///
    /// let client = GuardedClient::builder().egress_proxy("http://user:password@proxy.internal:3128".parse()?).build()?;
    /// # Ok::<(), tower_webhooks::ConfigError>(())
    /// ```
    #[must_use]
    pub fn egress_proxy(mut self, proxy: EgressProxy) -> Self {
        self.egress = Some(proxy);
        self
    }

    /// Sets a certificate for every receiver that asks for one (mutual TLS). By default no certificate is sent.
    ///
    /// `certificates` is PEM: first the client's own, then those that sign it, without the root. `key` is its private key in PEM
    /// (PKCS#8, PKCS#1 or SEC 1), not encrypted. Its text is wiped when the last clone of the [`Secret`] is dropped. The key
    /// that rustls makes of it lives as long as the client.
    ///
    /// Anyone who registers an endpoint can ask for the certificate. So it should only identify the sender, and must
    /// not give access to anything else. An egress proxy does not get it.
    ///
    /// ```no_run
    /// use tower_webhooks::{Secret, send::GuardedClient};
    ///
    /// # fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = GuardedClient::builder()
    ///     .identity_pem(std::fs::read("client.pem")?, Secret::from_file("client.key")?)
    ///     .build()?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn identity_pem(mut self, certificates: impl Into<Vec<u8>>, key: Secret) -> Self {
        self.identity = Some(Identity { certificates: certificates.into(), key });
        self
    }

    /// Sets the trusted certificate authorities, in PEM, in place of those of the operating system.
    #[must_use]
    pub fn trusted_roots_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots = Some(pem.into());
        self
    }

    /// Sets the `User-Agent`; the default is `tower-webhooks/` and the version.
    #[must_use]
    pub fn user_agent(mut self, name: impl Into<String>) -> Self {
        self.user_agent = name.into();
        self
    }

    /// Sets the clock that a date in `Retry-After` is compared with.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Builds the client. If its policy allows more than the public internet, this is logged.
    ///
    /// # Errors
    /// When no certificate authority is trusted, when the `User-Agent` is not a header value, and when the certificate or key of the
    /// identity is not PEM, the key is encrypted, or it does not fit the first certificate.
    pub fn build(self) -> Result<GuardedClient, ConfigError> {
        let user_agent = HeaderValue::from_str(&self.user_agent).map_err(|cause| {
            ConfigError::new(ConfigErrorKind::Client, "the user agent is not a header value").with_source(cause)
        })?;
        let roots = tls::roots(self.roots.as_deref())?;
        let egress = match self.egress {
            Some(proxy) => Some(Egress { proxy, tls: tls::config(Arc::clone(&roots), None)? }),
            None => None,
        };
        let tls = tls::config(roots, self.identity.as_ref())?;
        for opened in self.policy.opened() {
            observe::destination_opened(&opened);
        }
        Ok(GuardedClient(Arc::new(Inner {
            policy: self.policy,
            dialler: Dialler { resolver: self.resolver, tls, timeout: self.connect_timeout, egress },
            idle: Idle::default(),
            timeout: self.timeout,
            user_agent,
            clock: self.clock,
        })))
    }
}

impl Default for GuardedClientBuilder {
    fn default() -> Self {
        Self {
            policy: DestinationPolicy::default(),
            resolver: Arc::new(SystemResolver),
            timeout: Duration::from_secs(15),
            connect_timeout: Duration::from_secs(5),
            egress: None,
            roots: None,
            identity: None,
            user_agent: concat!("tower-webhooks/", env!("CARGO_PKG_VERSION")).into(),
            clock: Arc::new(SystemClock),
        }
    }
}

impl fmt::Debug for GuardedClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedClientBuilder")
            .field("policy", &self.policy)
            .field("timeout", &self.timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("egress_proxy", &self.egress)
            .finish_non_exhaustive()
    }
}
