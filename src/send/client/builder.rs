use std::{fmt, sync::Arc, time::Duration};

use http::HeaderValue;

use super::{GuardedClient, Inner, connect::Dialler, idle::Idle, tls};
use crate::{
    clock::{Clock, SystemClock},
    error::{ConfigError, ConfigErrorKind},
    observe,
    send::{DestinationPolicy, Resolver, SystemResolver},
};

/// The settings of a [`GuardedClient`].
pub struct GuardedClientBuilder {
    policy: DestinationPolicy,
    resolver: Arc<dyn Resolver>,
    timeout: Duration,
    connect_timeout: Duration,
    roots: Option<Vec<u8>>,
    user_agent: String,
    clock: Arc<dyn Clock>,
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

    /// Sets how long a connection may take to be made, over all addresses of a name; 5 s by default. TLS is not a part of
    /// it.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
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
    /// When no certificate authority is trusted, or the `User-Agent` is no header value.
    pub fn build(self) -> Result<GuardedClient, ConfigError> {
        let user_agent = HeaderValue::from_str(&self.user_agent).map_err(|cause| {
            ConfigError::new(ConfigErrorKind::Client, "the user agent is no header value").with_source(cause)
        })?;
        let tls = tls::config(self.roots.as_deref())?;
        for opened in self.policy.opened() {
            observe::destination_opened(&opened);
        }
        Ok(GuardedClient(Arc::new(Inner {
            policy: self.policy,
            dialler: Dialler::new(self.resolver, tls, self.connect_timeout),
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
            roots: None,
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
            .finish_non_exhaustive()
    }
}
