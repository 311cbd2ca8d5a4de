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

/// Verifies every request of the routes that it covers.
///
/// It handles all methods of these routes: put it on one route with `post(handler).layer(…)`, which also sees the GET
/// of a handshake, or on many with
/// [`Router::route_layer`](https://docs.rs/axum/0.8/axum/struct.Router.html#method.route_layer).
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
/// `L` is the layer between verification and the inner service; you do not have to write this type.
#[derive(Clone)]
pub struct WebhookLayer<L = Identity> {
    config: Config,
    inner: L,
}

/// A client whose body takes longer than this probably wants to block a connection.
const DEFAULT_BODY_TIMEOUT: Duration = Duration::from_secs(10);

impl WebhookLayer {
    /// Creates a layer for any scheme: a [`Provider`](crate::Provider), a declared [`Scheme`], or a custom one.
    ///
    /// # Panics
    /// If [`try_new`](Self::try_new) returns an error. This happens at start, as with axum's `Router::route`.
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

    /// Creates a layer for any scheme, and returns an error if it is invalid: for a scheme or secrets that come from a
    /// configuration.
    ///
    /// # Errors
    /// If the scheme is incomplete or has an option without effect, or if constant secrets are missing or do not have
    /// the scheme's form. The secrets of a [`SecretSource`] are checked at each request; with a secret that cannot be
    /// used, the request is answered with 503.
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
            #[cfg(feature = "remote-keys")]
            confirmation: None,
        };
        Ok(Self { config, inner: Identity::new() })
    }
}

impl<L> WebhookLayer<L> {
    /// Replaces the response to rejected requests. The [`VerifyError`] is put into its extensions.
    ///
    /// The response must not reveal the reason: answer every authentication failure with the same bytes.
    #[must_use]
    pub fn with_rejection_response<F, B>(mut self, response: F) -> Self
    where
        F: Fn(&VerifyError) -> Response<B> + Send + Sync + 'static,
        B: Into<Bytes>,
    {
        self.config.rejection = Some(Arc::new(move |error| response(error).map(Into::into)));
        self
    }

    /// Replaces the limit of the body, in bytes. By default it is the limit that the provider documents, otherwise 1
    /// MiB.
    #[must_use]
    pub fn with_body_limit(mut self, bytes: usize) -> Self {
        self.config.body_limit = bytes;
        self
    }

    /// Replaces the time that a body may take, from the first wait for it; 10 s by default.
    #[must_use]
    pub fn with_body_timeout(mut self, timeout: Duration) -> Self {
        self.config.body_timeout = timeout;
        self
    }

    /// Replaces how far a signed timestamp may be from the current time, in either direction; the provider's own window
    /// by default. Zero means zero and does not switch the check off. With a scheme that does not sign a timestamp,
    /// [`layer`](Self::layer) panics.
    #[must_use]
    pub fn with_tolerance(mut self, tolerance: Duration) -> Self {
        self.config.scheme = self.config.scheme.with_tolerance(tolerance);
        self
    }

    /// Replaces the clock, for tests.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.config.clock = Arc::new(clock);
        self
    }

    /// Sets the public base of this server's URLs, such as `https://example.com`, for a scheme that signs the URL. The
    /// path and query are taken from the request as they were received. `X-Forwarded-…` headers are never used.
    ///
    /// # Panics
    /// If `base` is not an http or https URL with a host and without a query.
    #[must_use]
    #[track_caller]
    pub fn with_public_url(mut self, base: &str) -> Self {
        self.config.scheme = match self.config.scheme.with_public_url(base) {
            Ok(scheme) => scheme,
            Err(cause) => panic!("{cause}"),
        };
        self
    }

    /// Declares that a proxy replaces `public` at the beginning of the path with `received`, for a scheme that signs
    /// the URL. The layer restores the path that the sender called. A path that does not begin with `received` is not
    /// changed.
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
    /// If one of them is not the beginning of a path, or both are equal.
    #[must_use]
    #[track_caller]
    pub fn with_replaced_prefix(mut self, received: &str, public: &str) -> Self {
        self.config.scheme = match self.config.scheme.with_replaced_prefix(received, public) {
            Ok(scheme) => scheme,
            Err(cause) => panic!("{cause}"),
        };
        self
    }

    /// Sets the token that an unsigned handshake must contain, for a provider with such a handshake.
    #[must_use]
    pub fn with_verify_token(mut self, token: Secret) -> Self {
        self.config.scheme = self.config.scheme.with_verify_token(token);
        self
    }

    /// Sets the value that a claim of the token must have, such as the audience (`aud`), for a scheme whose signature
    /// is a token.
    ///
    /// ```
    /// use tower_webhooks::{Scheme, Secret, WebhookLayer, scheme::Field};
    ///
    /// let scheme = Scheme::hmac_sha256().header("x-acme-token").jwt().hex_digest(Field::claim("body"));
    /// let layer = WebhookLayer::new(scheme, Secret::new("a key shared with Acme")?).with_claim("aud", "https://example.com/hook");
    /// # let _ = layer;
    /// # Ok::<(), tower_webhooks::ConfigError>(())
    /// ```
    #[must_use]
    pub fn with_claim(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.config.scheme = self.config.scheme.with_claim(name, text);
        self
    }

    /// Sets the id that the sender has given to this endpoint, for a scheme that signs it. For PayPal it is the id of
    /// the webhook, which its dashboard shows.
    #[must_use]
    pub fn with_endpoint_id(mut self, id: impl Into<String>) -> Self {
        self.config.scheme = self.config.scheme.with_endpoint_id(id);
        self
    }

    /// Adds an account whose messages are accepted, for a sender that signs for all its customers with the same key: of Amazon SNS the ARN of
    /// a topic, or the 12 digits of the AWS account that owns your topics; of Wise the id of a subscription; of Fireblocks the id of the
    /// workspace. The messages of other accounts are rejected with the reason `other_account`. Without an account such a layer does not wrap
    /// a route.
    ///
    /// ```
    /// # #[cfg(feature = "remote-keys")] {
    /// use tower_webhooks::{WebhookLayer, keys::{CertificateKeys, HttpsKeyClient}};
    ///
    /// let keys = CertificateKeys::aws_sns(HttpsKeyClient::new()?);
    /// let layer = WebhookLayer::aws_sns(keys).with_account("arn:aws:sns:us-east-1:123456789012:orders");
    /// # let _ = layer;
    /// # }
    /// # Ok::<(), tower_webhooks::ConfigError>(())
    /// ```
    #[must_use]
    pub fn with_account(mut self, account: impl Into<String>) -> Self {
        self.config.scheme = self.config.scheme.with_account(account);
        self
    }

    /// Accepts the messages of every account, for applications whose accounts are not known at start. **Any customer of the sender can then
    /// send messages that pass**: compare [`Delivery::account`](crate::Delivery::account) with the accounts that you know.
    #[must_use]
    pub fn with_insecure_any_account(mut self) -> Self {
        self.config.scheme = self.config.scheme.with_insecure_any_account();
        self
    }

    /// Confirms subscriptions, for Amazon SNS. A verified `SubscriptionConfirmation` of one of the accounts is then answered without a
    /// handler: with 200 once the sender has taken the confirmation, with 503 if it has not. Without it, a handler gets these messages as
    /// events of the type `SubscriptionConfirmation`.
    ///
    /// # Panics
    /// When the layer wraps a service, if its sender has no subscriptions, or if the layer accepts any account: everybody could then
    /// subscribe it.
    #[cfg(feature = "remote-keys")]
    #[must_use]
    pub fn with_confirmation(mut self, confirmation: crate::keys::SnsConfirmation) -> Self {
        self.config.confirmation = Some(confirmation);
        self
    }

    /// Limits the memory of all bodies together, in bytes; off by default. Clones of the layer share the budget.
    ///
    /// If there is no room for a body, the unverified body with the highest cost (its bytes times its age) is answered
    /// with 503 and `Retry-After`; if the new body costs more, it is answered so itself. A body is counted until the
    /// last owner of its bytes drops them, also if its client has disconnected. An eighth is reserved for bodies of up
    /// to 64 KiB.
    #[must_use]
    pub fn with_memory_budget(mut self, bytes: usize) -> Self {
        self.config.budget = Some(Arc::new(Budget::new(bytes)));
        self
    }

    /// Switches verification off: every request is accepted. Use it only for a local experiment, never on a server that
    /// others can reach. The limits and the check of the method stay on. One warning is logged.
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

    #[cfg(feature = "inbox")]
    pub(crate) fn body_limit(&self) -> usize {
        self.config.body_limit
    }

    /// Puts another layer between verification and the inner service.
    #[cfg(feature = "idempotency")]
    pub(crate) fn with_inner<M>(self, inner: M) -> WebhookLayer<M> {
        WebhookLayer { config: self.config, inner }
    }

    /// Wraps a service.
    ///
    /// # Panics
    /// If the scheme needs something that the application has to set: the public URL, or the token of a handshake. Also
    /// if an option of the layer has no effect on this scheme: a window without a signed timestamp, or a URL or token
    /// that the scheme does not use.
    #[track_caller]
    pub fn layer<S>(&self, inner: S) -> Webhook<L::Service>
    where
        L: Layer<S>,
    {
        let scheme = &self.config.scheme;
        if let Err(cause) = scheme.check_unread().and_then(|()| scheme.check_missing()) {
            panic!("{cause}");
        }
        #[cfg(feature = "remote-keys")]
        if self.config.confirmation.is_some() && !scheme.has_subscriptions() {
            panic!("`{}` has no subscriptions to confirm; remove `.with_confirmation(…)`", scheme.name());
        }
        #[cfg(feature = "remote-keys")]
        if self.config.confirmation.is_some() && scheme.accepts_any_account() {
            panic!(
                "`{}` would confirm the subscriptions of everybody; add `.with_account(…)`, or remove `.with_confirmation(…)`",
                scheme.name()
            );
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
