use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::Response;
use tower_layer::{Identity, Layer};

use super::{
    budget::Budget,
    config::{Config, Keyring, Verification},
    service::Webhook,
};
use crate::{
    clock::{Clock, SystemClock},
    error::{ConfigError, VerifyError},
    observe::{self, Meter},
    scheme::Scheme,
    secret::{Secret, SecretSource},
};

/// Verifies every request of the routes it covers.
///
/// It owns those routes: put it on a route with `post(handler).layer(…)`, which also sees the GET of a handshake, or on many
/// with [`Router::route_layer`](https://docs.rs/axum/0.8/axum/struct.Router.html#method.route_layer).
///
/// ```
/// use axum::{Router, routing::post};
/// use tower_webhooks::{Secret, VerifiedEvent, WebhookLayer};
///
/// #[derive(serde::Deserialize)]
/// struct Invoice {
///     amount_paid: u64,
/// }
///
/// async fn on_invoice(event: VerifiedEvent<Invoice>) {
///     println!("{} cents", event.amount_paid);
/// }
///
/// let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")?;
/// let app: Router = Router::new().route("/webhooks/stripe", post(on_invoice).layer(WebhookLayer::stripe(secret)));
/// # Ok::<(), tower_webhooks::error::ConfigError>(())
/// ```
///
/// `L` is the layer between verification and the inner service; nobody writes it.
#[derive(Clone)]
pub struct WebhookLayer<L = Identity> {
    config: Config,
    inner: L,
}

/// A body that takes longer than this comes from somebody who wants to hold a connection.
const DEFAULT_BODY_TIMEOUT: Duration = Duration::from_secs(10);

impl WebhookLayer {
    /// Verifies by any scheme: a [`Provider`](crate::Provider), a declared [`Scheme`], or one in code.
    ///
    /// # Panics
    /// As [`try_new`](Self::try_new) fails: at start, as axum's `Router::route` does.
    #[track_caller]
    pub fn new<S>(scheme: S, secrets: impl SecretSource) -> Self
    where
        S: TryInto<Scheme, Error: Into<ConfigError>>,
    {
        match Self::try_new(scheme, secrets) {
            Ok(layer) => layer,
            Err(cause) => panic!("{cause:?}"),
        }
    }

    /// Verifies by any scheme, where the scheme or the secrets come from a configuration.
    ///
    /// # Errors
    /// When the scheme is not whole or has an option without effect, or if there is no constant secret, or one that is not of the scheme's form. What a
    /// [`SecretSource`] says at a request is checked then; a secret that cannot be used is answered with 503.
    pub fn try_new<S>(scheme: S, secrets: impl SecretSource) -> Result<Self, ConfigError>
    where
        S: TryInto<Scheme, Error: Into<ConfigError>>,
    {
        let scheme: Scheme = scheme.try_into().map_err(Into::into)?;
        scheme.check_payload()?;
        scheme.check_unread()?;
        let secrets = match secrets.fixed() {
            Some(fixed) => {
                let ring = scheme.key_ring(fixed)?;
                if ring.has_short() {
                    observe::short_secret(scheme.name());
                }
                Keyring::Fixed(Arc::new(ring))
            }
            None => Keyring::Source(Arc::new(secrets)),
        };
        if scheme.is_unsigned() {
            observe::not_verified(scheme.name());
        } else if !scheme.covers_body() {
            observe::body_not_covered(scheme.name());
        }
        scheme.weaknesses().for_each(|weakness| observe::weak_scheme(scheme.name(), weakness));
        let config = Config {
            meter: Meter::new(scheme.name()),
            body_limit: scheme.body_limit(),
            scheme,
            secrets,
            body_timeout: DEFAULT_BODY_TIMEOUT,
            clock: Arc::new(SystemClock),
            rejection: None,
            budget: None,
            verification: Verification::On,
            warned_of_short: Arc::default(),
        };
        Ok(Self { config, inner: Identity::new() })
    }
}

impl<L> WebhookLayer<L> {
    /// Replaces the response to requests that do not pass. The [`VerifyError`] is put into its extensions.
    ///
    /// The network should not learn the reason: answer every authentication failure with the same bytes.
    #[must_use]
    pub fn with_rejection_response<F, B>(mut self, response: F) -> Self
    where
        F: Fn(&VerifyError) -> Response<B> + Send + Sync + 'static,
        B: Into<Bytes>,
    {
        self.config.rejection = Some(Arc::new(move |error| response(error).map(Into::into)));
        self
    }

    /// Replaces the largest body, in bytes. By default it is the provider's own, else 1 MiB.
    #[must_use]
    pub fn with_body_limit(mut self, bytes: usize) -> Self {
        self.config.body_limit = bytes;
        self
    }

    /// Replaces how long a body may take, from the first wait for it; 10 s by default.
    #[must_use]
    pub fn with_body_timeout(mut self, timeout: Duration) -> Self {
        self.config.body_timeout = timeout;
        self
    }

    /// Replaces how far a signed timestamp may be from now, in either direction; the provider's own by default. 0
    /// means 0; there is no "off" here. A scheme that signs no timestamp has no window to set: [`layer`](Self::layer) then panics.
    #[must_use]
    pub fn with_tolerance(mut self, tolerance: Duration) -> Self {
        self.config.scheme = self.config.scheme.with_tolerance(tolerance);
        self
    }

    /// Replaces the clock.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.config.clock = Arc::new(clock);
        self
    }

    /// Sets the public base of this server's URLs, such as `https://example.com`, for a scheme that signs the URL. The path
    /// and query are taken from the request as they were received. What `X-Forwarded-…` headers say is never used.
    ///
    /// # Panics
    /// When `base` is not an http or https URL with a host and without a query.
    #[must_use]
    #[track_caller]
    pub fn with_public_url(mut self, base: &str) -> Self {
        self.config.scheme = match self.config.scheme.with_public_url(base) {
            Ok(scheme) => scheme,
            Err(cause) => panic!("{cause}"),
        };
        self
    }

    /// Says that a proxy puts `received` in the place of `public` at the beginning of the path, for a scheme that signs the URL.
    /// The path that the sender called is then put back. A path that does not begin with `received` stays as it is.
    ///
    /// ```
    /// use tower_webhooks::{Secret, WebhookLayer};
    ///
    /// // nginx: `location /hooks/ { proxy_pass http://127.0.0.1:3000/inner/; }`
    /// let layer = WebhookLayer::square(Secret::new("2gpxfBtfwhomtdd6mjf989")?)
    ///     .with_public_url("https://example.com")
    ///     .with_replaced_prefix("/inner", "/hooks");
    /// # let _ = layer;
    /// # Ok::<(), tower_webhooks::ConfigError>(())
    /// ```
    ///
    /// # Panics
    /// When one of the two is not the beginning of a path, or both are the same.
    #[must_use]
    #[track_caller]
    pub fn with_replaced_prefix(mut self, received: &str, public: &str) -> Self {
        self.config.scheme = match self.config.scheme.with_replaced_prefix(received, public) {
            Ok(scheme) => scheme,
            Err(cause) => panic!("{cause}"),
        };
        self
    }

    /// Sets the token that an unsigned handshake must show, for a provider that has one.
    #[must_use]
    pub fn with_verify_token(mut self, token: Secret) -> Self {
        self.config.scheme = self.config.scheme.with_verify_token(token);
        self
    }

    /// Bounds the bytes of bodies that are held at once, over all requests; off by default. Clones of the layer share the budget.
    ///
    /// If there is no room for a body, the one that has cost most so far (its bytes times its age) is answered with 503 and
    /// `Retry-After`: one that is not verified yet and has cost more, else the one that asks. A body is counted until the last
    /// owner of its bytes drops them, also if its client has hung up. An eighth is kept for bodies of up to 64 KiB.
    #[must_use]
    pub fn with_memory_budget(mut self, bytes: usize) -> Self {
        self.config.budget = Some(Arc::new(Budget::new(bytes)));
        self
    }

    /// Takes every request for the sender's: for a local experiment, never for a server that anyone can reach. Limits and
    /// methods stay. One warning is logged.
    #[must_use]
    pub fn with_insecure_no_verification(mut self) -> Self {
        observe::not_verified(self.config.scheme.name());
        self.config.verification = Verification::Off;
        self
    }

    #[cfg(feature = "idempotency")]
    pub(crate) fn scheme(&self) -> &Scheme {
        &self.config.scheme
    }

    /// Puts another layer between verification and the inner service.
    #[cfg(feature = "idempotency")]
    pub(crate) fn with_inner<M>(self, inner: M) -> WebhookLayer<M> {
        WebhookLayer { config: self.config, inner }
    }

    /// Wraps a service.
    ///
    /// # Panics
    /// When the scheme lacks something that only the application can say: the public URL, or a handshake's token. Also when the
    /// layer has an option that has no effect on this scheme: a window where no timestamp is signed, a URL or token that nobody
    /// reads.
    #[track_caller]
    pub fn layer<S>(&self, inner: S) -> Webhook<L::Service>
    where
        L: Layer<S>,
    {
        let scheme = &self.config.scheme;
        if let Err(cause) = scheme.check_unread().and_then(|()| scheme.check_missing()) {
            panic!("{cause}");
        }
        Webhook::new(self.inner.layer(inner), Arc::new(self.config.clone()))
    }
}

impl<S, L: Layer<S>> Layer<S> for WebhookLayer<L> {
    type Service = Webhook<L::Service>;

    #[track_caller]
    fn layer(&self, inner: S) -> Self::Service {
        Self::layer(self, inner)
    }
}

impl<L> fmt::Debug for WebhookLayer<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookLayer")
            .field("scheme", &self.config.scheme)
            .field("body_limit", &self.config.body_limit)
            .field("body_timeout", &self.config.body_timeout)
            .field("verification", &self.config.verification)
            .finish_non_exhaustive()
    }
}
