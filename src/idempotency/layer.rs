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

/// Runs the handler once for each delivery, as far as that can be promised: see the [module](super).
///
/// It stands inside [`WebhookLayer`], which
/// [`with_idempotency`](WebhookLayer::with_idempotency) sees to:
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
    /// Claims deliveries in `store`.
    pub fn new(store: impl IdempotencyStore) -> Self {
        Self { context: Context::new(store) }
    }

    /// Names who handles. Two consumers with one store each handle a delivery; two routes with one consumer's name handle it
    /// once between them.
    ///
    /// By default it is the pattern of the matched route, or the path that a service is nested at. Where there is none, behind a
    /// fallback and without axum, the name has to be given: the path of a request is the sender's to choose, so that each
    /// spelling of it would be a consumer of its own. Without axum a missing name fails at start. Behind a fallback, which cannot
    /// be told from a route before a request comes, each delivery is answered with 500, and an error event names the remedy.
    #[must_use]
    pub fn with_consumer(mut self, name: impl Into<Arc<str>>) -> Self {
        self.context.consumer = Some(name.into());
        self
    }

    /// Replaces how long a claim holds without being renewed; 60 s by default. It must exceed the handler's timeout and the
    /// store's together: otherwise a second run could begin while the first is still allowed to go on.
    #[must_use]
    pub fn with_lease(mut self, lease: Duration) -> Self {
        self.context.lease = lease;
        self
    }

    /// Replaces how long a handler may run; 30 s by default. Then it is dropped, the claim is released, and the answer is
    /// 503. [`Claim::renew`](crate::Claim::renew) gives it more.
    #[must_use]
    pub fn with_handler_timeout(mut self, timeout: Duration) -> Self {
        self.context.handler_timeout = timeout;
        self
    }

    /// Replaces how long a call to the store may take; 5 s by default.
    #[must_use]
    pub fn with_store_timeout(mut self, timeout: Duration) -> Self {
        self.context.store.timeout = timeout;
        self
    }

    /// Replaces how long a done delivery is remembered. By default that is 7 days, or longer where the provider repeats
    /// longer. What comes again later runs again.
    #[must_use]
    pub fn with_retention(mut self, retention: Duration) -> Self {
        self.context.retention = Some(retention);
        self
    }

    /// Replaces what a duplicate is answered while the first is being handled; [`InFlight::Retry`] by default. It is never a
    /// success: if the first one fails, nobody would send it again.
    #[must_use]
    pub fn with_in_flight(mut self, answer: InFlight) -> Self {
        self.context.in_flight = answer;
        self
    }

    /// Replaces what becomes of a delivery without an id. By default the scheme decides: [`MissingId::BodyDigest`] where it says that
    /// [no two events have equal bodies](crate::scheme::SchemeBuilder::bodies_are_unique), else [`MissingId::Skip`], which loses
    /// nothing.
    #[must_use]
    pub fn with_missing_id(mut self, choice: MissingId) -> Self {
        self.context.missing_id = Some(choice);
        self
    }

    /// Takes equal bytes under another id for a replay, for `window`, where the provider does not sign the id: the second is
    /// answered with a success and not run.
    ///
    /// **Two true events with equal bytes become one.** Without it they run both, and a log event says that it may have been
    /// a replay.
    #[must_use]
    pub fn with_replay_guard(mut self, window: Duration) -> Self {
        self.context.replay_guard = Some(window);
        self
    }

    /// Keeps the responses of handlers, and answers duplicates with them instead of a fixed line. Bodies larger than `bytes`, or
    /// of unknown length, are not kept; nor are those of handlers that commit the claim themselves.
    #[must_use]
    pub fn with_stored_responses(mut self, bytes: usize) -> Self {
        self.context.stored_responses = Some(bytes);
        self
    }

    /// Replaces how many done deliveries are remembered in this process; 10,000 by default, nought to ask the store each
    /// time.
    #[must_use]
    pub fn with_local_cache(mut self, deliveries: usize) -> Self {
        self.context.done = Arc::new(Recent::new(deliveries));
        self
    }

    /// Runs the handler without a claim while the store is down. **An event may then run many times at once**, and nothing
    /// will know that it is done.
    #[must_use]
    pub fn with_dangerously_unclaimed_runs(mut self) -> Self {
        self.context.store_down = StoreDown::RunUnclaimed;
        self
    }

    /// Waits until every handler that was begun has ended and its outcome is recorded, for at most `deadline`. Tells how
    /// many have not; their claims end with their leases.
    ///
    /// Call it after the server has stopped taking requests: handlers go on when their clients hang up, and so when the
    /// server's connections end.
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
    /// When the lease does not exceed the handler's timeout and the store's together, or when nothing names the consumer.
    #[track_caller]
    fn layer(&self, inner: S) -> Idempotency<S> {
        if let Err(cause) = self.check() {
            panic!("{cause}");
        }
        Idempotency::new(inner, Arc::new(self.context.clone()))
    }
}

impl WebhookLayer<Identity> {
    /// Runs the handler once for each delivery: pass a store, or an [`IdempotencyLayer`] with options. It may stand anywhere
    /// in the chain of options.
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
