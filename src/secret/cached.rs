use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use super::{SecretSource, Secrets};
use crate::{
    boxed::{BoxError, BoxFuture},
    clock::{Clock, SystemClock},
    head::RequestHead,
};

/// Remembers what another [`SecretSource`] said, so that not every request is a look-up.
///
/// Answers are kept by the request's path, or by what [`keyed_by`](Self::keyed_by) says. Of simultaneous requests with one
/// key, one asks and the others wait for it. Errors are not kept. The cache is bounded: a flood of made-up paths costs
/// look-ups, not memory.
///
/// ```
/// use std::time::Duration;
/// use tower_webhooks::{RequestHead, Secret, Secrets, WebhookLayer, secret::CachedSecrets};
///
/// let source = |head: RequestHead| async move {
///     let tenant = head.path_param("tenant").unwrap_or_default();
///     Ok(Secrets::new(Secret::new(format!("the signing key of {tenant}"))?))
/// };
/// let layer = WebhookLayer::stripe(CachedSecrets::new(source, Duration::from_secs(60)));
/// ```
pub struct CachedSecrets<S> {
    source: S,
    keep: Duration,
    capacity: usize,
    key: Arc<dyn Fn(&RequestHead) -> String + Send + Sync>,
    clock: Arc<dyn Clock>,
    slots: Mutex<HashMap<String, Arc<Slot>>>,
}

type Slot = tokio::sync::Mutex<Option<(SystemTime, Secrets)>>;

impl<S: SecretSource> CachedSecrets<S> {
    /// Wraps `source`; an answer is kept for `keep`. A secret that is taken out of use is accepted for as long, at most.
    pub fn new(source: S, keep: Duration) -> Self {
        Self {
            source,
            keep,
            capacity: 1024,
            key: Arc::new(|head| head.uri().path().to_owned()),
            clock: Arc::new(SystemClock),
            slots: Mutex::default(),
        }
    }

    /// Says what an answer depends on. By default it is the path.
    #[must_use]
    pub fn keyed_by(mut self, key: impl Fn(&RequestHead) -> String + Send + Sync + 'static) -> Self {
        self.key = Arc::new(key);
        self
    }

    /// Sets how many answers are kept; 1,024 by default. At the bound, all that nobody waits for are dropped.
    #[must_use]
    pub fn capacity(mut self, answers: usize) -> Self {
        self.capacity = answers.max(1);
        self
    }

    /// Replaces the clock.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    fn slot(&self, key: String) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(&key) {
            return Arc::clone(slot);
        }
        if slots.len() >= self.capacity {
            slots.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        Arc::clone(slots.entry(key).or_default())
    }
}

impl<S: SecretSource> SecretSource for CachedSecrets<S> {
    fn secrets(&self, head: RequestHead) -> BoxFuture<'_, Result<Secrets, BoxError>> {
        let slot = self.slot((self.key)(&head));
        Box::pin(async move {
            // Held across the look-up on purpose: the others of this key wait here for its answer.
            let mut kept = slot.lock().await;
            let now = self.clock.now();
            if let Some((since, secrets)) = &*kept
                && now.duration_since(*since).is_ok_and(|age| age < self.keep)
            {
                return Ok(secrets.clone());
            }
            let secrets = self.source.secrets(head).await?;
            *kept = Some((now, secrets.clone()));
            Ok(secrets)
        })
    }

    fn fixed(&self) -> Option<Secrets> {
        self.source.fixed()
    }
}

impl<S> fmt::Debug for CachedSecrets<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedSecrets")
            .field("keep", &self.keep)
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}
