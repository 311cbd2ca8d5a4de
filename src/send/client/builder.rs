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

    /// Starts a client with other settings.
    pub fn builder() -> GuardedClientBuilder {
        GuardedClientBuilder::default()
    }
}

impl GuardedClientBuilder {
    /// Sets where deliveries may go.
    #[must_use]
    pub fn policy(mut self, policy: DestinationPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Replaces the operating system's resolver.
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

    /// Sets how long a connection may take to be made, over all addresses of a name; 5 s by default. TLS with the receiver is
    /// not a part of it; all that the egress proxy does for a connection is.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sends everything through this proxy, and nothing past it. There is none by default, and none of the environment is ever
    /// asked.
    ///
    /// The policy holds as ever: the client looks a receiver's name up, checks every address, and asks the proxy for a
    /// tunnel to one that it checked. The proxy learns the address, the port, and what anybody on the way sees; TLS is with
    /// the receiver. The proxy's own address is the operator's choice, and the policy is not asked about it.
    ///
    /// A proxy that cannot be reached, refuses, or misbehaves is [`AttemptErrorKind::Proxy`](crate::send::AttemptErrorKind).
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

    /// Shows a certificate to every receiver that asks for one (mutual TLS). By default there is none to show.
    ///
    /// `certificates` is PEM: the client's own first, then those that sign it, without the root. `key` is its private key in
    /// PEM (PKCS#8, PKCS#1 or SEC 1), not encrypted. Its text is wiped when the last clone of the [`Secret`] is dropped;
    /// what rustls made of it lives as long as the client.
    ///
    /// Whoever registers an endpoint can ask for the certificate. Let it say who sends, and open nothing: it must not be one
    /// that lets its holder in elsewhere. An egress proxy does not get it.
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

    /// Trusts these certificate authorities, in PEM, instead of those of the operating system.
    #[must_use]
    pub fn trusted_roots_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots = Some(pem.into());
        self
    }

    /// Replaces the `User-Agent`, which is `tower-webhooks/` and the version by default.
    #[must_use]
    pub fn user_agent(mut self, name: impl Into<String>) -> Self {
        self.user_agent = name.into();
        self
    }

    /// Replaces the clock by which a date in `Retry-After` is read.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Builds the client, and logs what its policy opens beyond the public internet.
    ///
    /// # Errors
    /// When no certificate authority is trusted, when the `User-Agent` is no header value, and when the identity's certificate
    /// or key is not PEM, the key is encrypted, or it does not fit the first certificate.
    pub fn build(self) -> Result<GuardedClient, ConfigError> {
        let user_agent = HeaderValue::from_str(&self.user_agent).map_err(|cause| {
            ConfigError::new(ConfigErrorKind::Client, "the user agent is no header value").with_source(cause)
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
