use std::{fmt, sync::Arc, time::Duration};

use tower_layer::{Identity, Layer};

use super::{
    context::{Context, InFlight, MissingId, StoreDown},
    recent::Recent,
    service::Idempotency,
    store::IdempotencyStore,
};
use crate::{
    error::{ConfigError, ConfigErrorKind},
    host, observe,
    verify::WebhookLayer,
};

/// Runs the handler once for each delivery, within the limits that the [module](super) describes.
///
/// It must be inside a [`WebhookLayer`]; use [`with_idempotency`](WebhookLayer::with_idempotency):
///
/// ```
/// use std::time::Duration;
/// use tower_webhooks::{Secret, WebhookLayer, idempotency::IdempotencyLayer, store::MemoryStore};
///
/// let once = IdempotencyLayer::new(MemoryStore::new()).with_handler_timeout(Duration::from_secs(20));
/// let layer = WebhookLayer::stripe(Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")?).with_idempotency(once.clone());
///
/// // At the end: let the handlers finish whose clients have gone.
/// # async fn stop(once: IdempotencyLayer) {
/// let unfinished = once.drain(Duration::from_secs(30)).await;
/// # }
/// # Ok::<(), tower_webhooks::error::ConfigError>(())
/// ```
///
/// Clones share the tasks and the local cache.
#[derive(Clone)]
pub struct IdempotencyLayer {
    context: Context,
}

impl IdempotencyLayer {
    /// Creates a layer that claims deliveries in `store`.
    pub fn new(store: impl IdempotencyStore) -> Self {
        Self { context: Context::new(store) }
    }

    /// Sets the name of the consumer. With two consumers on one store, each handles a delivery; two routes with the
    /// same consumer name handle it once together.
    ///
    /// By default it is the pattern of the matched route, or the path at which a service is nested. Behind a fallback
    /// and without axum there is no pattern, so you have to set the name: the sender could write the path of a request
    /// in several ways, and each would be another consumer. Without axum a missing name is an error at start. Behind a
    /// fallback, which can only be detected when a request arrives, each delivery is answered with 500, and an error
    /// event says what to do.
    #[must_use]
    pub fn with_consumer(mut self, name: impl Into<Arc<str>>) -> Self {
        self.context.consumer = Some(name.into());
        self
    }

    /// Replaces the lease of a claim, the time for which it holds without being renewed; 60 s by default. It must
    /// exceed the handler's timeout and the store's timeout together; otherwise a second run could begin while the
    /// first is still running.
    #[must_use]
    pub fn with_lease(mut self, lease: Duration) -> Self {
        self.context.lease = lease;
        self
    }

    /// Replaces the time that a handler may run; 30 s by default. After that it is dropped, the claim is released, and
    /// the answer is 503. [`Claim::renew`](crate::Claim::renew) extends it.
    #[must_use]
    pub fn with_handler_timeout(mut self, timeout: Duration) -> Self {
        self.context.handler_timeout = timeout;
        self
    }

    /// Replaces the time that a call of the store may take; 5 s by default.
    #[must_use]
    pub fn with_store_timeout(mut self, timeout: Duration) -> Self {
        self.context.store.timeout = timeout;
        self
    }

    /// Replaces the time for which a completed delivery is remembered. The default is 7 days, or more if the provider
    /// retries for longer. A duplicate that arrives later runs again.
    #[must_use]
    pub fn with_retention(mut self, retention: Duration) -> Self {
        self.context.retention = Some(retention);
        self
    }

    /// Replaces the answer to a duplicate while the first delivery is being handled; [`InFlight::Retry`] by default. It
    /// is never a success: if the first one failed later, the sender would not send it again.
    #[must_use]
    pub fn with_in_flight(mut self, answer: InFlight) -> Self {
        self.context.in_flight = answer;
        self
    }

    /// Replaces how a delivery without an id is handled. By default the scheme decides: [`MissingId::BodyDigest`] if it
    /// declares that [no two events have equal bodies](crate::scheme::SchemeBuilder::bodies_are_unique), otherwise
    /// [`MissingId::Skip`], which does not lose events.
    #[must_use]
    pub fn with_missing_id(mut self, choice: MissingId) -> Self {
        self.context.missing_id = Some(choice);
        self
    }

    /// Treats a body with equal bytes under another id as a replay, for the time `window`, if the provider does not
    /// sign the id: the second delivery is answered with a success and does not run.
    ///
    /// **Two genuine events with equal bytes then count as one.** Without this option both run, and a log event says
    /// that the second may be a replay.
    ///
    /// It compares bytes. Twilio, Plivo, Mandrill and Braintree sign the fields of a form, and Adyen's payments sign some fields of each item:
    /// whoever holds one of their deliveries can write it in other bytes, which pass the guard.
    #[must_use]
    pub fn with_replay_guard(mut self, window: Duration) -> Self {
        self.context.replay_guard = Some(window);
        self
    }

    /// Stores the responses of handlers, and answers duplicates with them instead of a fixed line. Bodies that are
    /// larger than `bytes` or of unknown length are not stored, nor are responses of handlers that commit the claim
    /// themselves.
    #[must_use]
    pub fn with_stored_responses(mut self, bytes: usize) -> Self {
        self.context.stored_responses = Some(bytes);
        self
    }

    /// Replaces how many completed deliveries are cached in this process; 10,000 by default. With 0 the store is asked
    /// each time.
    #[must_use]
    pub fn with_local_cache(mut self, deliveries: usize) -> Self {
        self.context.done = Arc::new(Recent::new(deliveries));
        self
    }

    /// Runs the handler without a claim while the store is down. **An event may then run many times at once**, and is
    /// not recorded as done.
    #[must_use]
    pub fn with_dangerously_unclaimed_runs(mut self) -> Self {
        self.context.store_down = StoreDown::RunUnclaimed;
        self
    }

    /// Waits until every running handler has ended and its outcome is recorded, for at most `deadline`. Returns how
    /// many have not; their claims end with their leases.
    ///
    /// Call it after the server has stopped accepting requests: handlers continue when their clients disconnect, and
    /// also when the server closes its connections.
    pub async fn drain(&self, deadline: Duration) -> usize {
        let tasks = &self.context.tasks;
        tasks.close();
        let _ = tokio::time::timeout(deadline, tasks.wait()).await;
        tasks.reopen();
        tasks.len()
    }

    fn check(&self) -> Result<(), ConfigError> {
        let Context { lease, handler_timeout, .. } = self.context;
        let store_timeout = self.context.store.timeout;
        if !host::KNOWS_ROUTES && self.context.consumer.is_none() {
            return Err(ConfigError::new(
                ConfigErrorKind::Option,
                "without the feature `axum` nothing names who handles a delivery; call `.with_consumer(\"…\")`",
            ));
        }
        if lease <= handler_timeout.saturating_add(store_timeout) {
            return Err(ConfigError::new(
                ConfigErrorKind::Option,
                format!(
                    "a lease of {lease:?} does not exceed the handler's timeout of {handler_timeout:?} and the store's of \
                     {store_timeout:?} together; call `.with_lease(…)`"
                ),
            ));
        }
        Ok(())
    }
}

impl<S: IdempotencyStore> From<S> for IdempotencyLayer {
    fn from(store: S) -> Self {
        Self::new(store)
    }
}

impl<S> Layer<S> for IdempotencyLayer {
    type Service = Idempotency<S>;

    /// # Panics
    /// If the lease does not exceed the handler's timeout and the store's timeout together, or if the consumer has no
    /// name.
    #[track_caller]
    fn layer(&self, inner: S) -> Idempotency<S> {
        if let Err(cause) = self.check() {
            panic!("{cause}");
        }
        Idempotency::new(inner, Arc::new(self.context.clone()))
    }
}

impl WebhookLayer<Identity> {
    /// Runs the handler once for each delivery: pass a store, or an [`IdempotencyLayer`] with options. You can call it
    /// anywhere in the chain of options.
    ///
    /// ```
    /// use tower_webhooks::{Secret, WebhookLayer, store::MemoryStore};
    ///
    /// let secret = Secret::new("It's a Secret to Everybody")?;
    /// let layer = WebhookLayer::github(secret).with_idempotency(MemoryStore::new());
    /// # Ok::<(), tower_webhooks::error::ConfigError>(())
    /// ```
    #[must_use]
    pub fn with_idempotency(self, layer: impl Into<IdempotencyLayer>) -> WebhookLayer<IdempotencyLayer> {
        let layer = layer.into();
        let scheme = self.scheme();
        if layer.context.missing_id.is_none() && scheme.has_no_ids() && !scheme.bodies_are_unique() {
            observe::nothing_to_claim(scheme.name());
        }
        self.with_inner(layer)
    }
}

impl fmt::Debug for IdempotencyLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdempotencyLayer")
            .field("consumer", &self.context.consumer)
            .field("lease", &self.context.lease)
            .field("handler_timeout", &self.context.handler_timeout)
            .field("retention", &self.context.retention)
            .field("in_flight", &self.context.in_flight)
            .field("missing_id", &self.context.missing_id)
            .finish_non_exhaustive()
    }
}
