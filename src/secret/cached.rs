use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use sha2::{Digest, Sha256};

use super::{secrets::Secrets, source::SecretSource};
use crate::{
    boxed::{BoxError, BoxFuture, SharedError},
    clock::{Clock, SystemClock},
    head::RequestHead,
    mutex::Mutex,
};

/// Caches the answers of another [`SecretSource`], so that not every request causes a look-up.
///
/// The key says what an answer depends on: usually the tenant that the path names, or the host. Requests with equal
/// keys share an answer, so the key must contain every fact that the source uses.
///
/// - **One look-up at a time.** Simultaneous requests with one key share one look-up and its answer, even if that is an
///   error.
/// - **A rotation is noticed.** If no kept secret matches a signature, the source is asked again and the request is
///   verified with its answer. Since forged requests could cause many look-ups, this happens at most once in
///   [`cooldown`](Self::cooldown) for each key.
/// - **Only secrets are kept.** Errors, [`Secrets::none`] and [`Secrets::unknown_tenant`] are not, so that a new tenant's first
///   delivery finds its secret; nor are secrets that have all ended.
/// - **Memory is bounded**: many made-up tenants cause look-ups but take no more memory, whatever the length of the
///   keys.
///
/// ```
/// use std::time::Duration;
/// use tower_webhooks::{RequestHead, Secret, Secrets, WebhookLayer, secret::CachedSecrets};
///
/// let tenant = |head: &RequestHead| head.path_param("tenant").unwrap_or_default().to_owned();
/// let source = move |head: RequestHead| async move {
///     Ok(Secrets::new(Secret::new(format!("the signing key of {}", tenant(&head)))?))
/// };
/// let layer = WebhookLayer::stripe(CachedSecrets::new(source, tenant, Duration::from_secs(60)));
/// ```
pub struct CachedSecrets<S> {
    source: S,
    key: Box<dyn Fn(&RequestHead) -> String + Send + Sync>,
    keep: Duration,
    cooldown: Duration,
    capacity: usize,
    clock: Arc<dyn Clock>,
    slots: Mutex<HashMap<Key, Arc<Slot>>>,
}

/// A digest of what an answer depends on: keys are text of the request's, which may be long.
type Key = [u8; 32];

/// The facts about one key.
#[derive(Default)]
struct Slot {
    /// How many look-ups have ended. A request that waited while the number grew shares the last result instead of
    /// looking up again.
    ended: AtomicU64,
    /// Held across a look-up on purpose: the others of this key wait here for its answer.
    state: tokio::sync::Mutex<State>,
}

#[derive(Default)]
struct State {
    kept: Option<Kept>,
    /// When the source was last asked, whatever the result.
    asked: Option<SystemTime>,
    last: Option<Result<Secrets, SharedError>>,
}

struct Kept {
    secrets: Secrets,
    since: SystemTime,
}

/// Short, so that a new secret is soon accepted; a look-up per second and tenant is little for any source.
const COOLDOWN: Duration = Duration::from_secs(1);
const CAPACITY: usize = 1024;

impl<S: SecretSource> CachedSecrets<S> {
    /// Creates a cache in front of `source`. Requests with equal keys share an answer, which is kept for `keep`: a secret that
    /// is taken out of use is accepted for at most as long.
    pub fn new(source: S, key: impl Fn(&RequestHead) -> String + Send + Sync + 'static, keep: Duration) -> Self {
        Self {
            source,
            key: Box::new(key),
            keep,
            cooldown: COOLDOWN,
            capacity: CAPACITY,
            clock: Arc::new(SystemClock),
            slots: Mutex::default(),
        }
    }

    /// Sets how long the source is not asked again after signatures that do not match; 1 s by default. A delivery that is
    /// signed with a new secret is rejected for at most as long after the source was asked last.
    #[must_use]
    pub fn cooldown(mut self, cooldown: Duration) -> Self {
        self.cooldown = cooldown;
        self
    }

    /// Sets how many answers are kept; 1,024 by default. At the limit the older half is dropped.
    #[must_use]
    pub fn capacity(mut self, answers: usize) -> Self {
        self.capacity = answers.max(1);
        self
    }

    /// Sets the clock.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Returns secrets for a request, other ones than `tried` if there are any. `None` if there are not.
    async fn look_up(&self, head: RequestHead, tried: Option<Secrets>) -> Result<Option<Secrets>, BoxError> {
        let key = Sha256::digest((self.key)(&head)).into();
        let slot = self.slot(key);
        let seen = slot.ended.load(Ordering::Acquire);
        let mut state = slot.state.lock().await;
        if slot.ended.load(Ordering::Acquire) != seen
            && let Some(last) = &state.last
        {
            return Ok(Some(last.clone()?));
        }
        let now = self.clock.now();
        let kept = state.kept.as_ref().filter(|kept| self.is_fresh(kept, now)).map(|kept| &kept.secrets);
        match (&tried, kept) {
            (None, Some(kept)) => return Ok(Some(kept.clone())),
            (Some(tried), Some(kept)) if !kept.is_same(tried) => return Ok(Some(kept.clone())),
            (Some(_), _) if state.asked.is_some_and(|asked| is_within(self.cooldown, asked, now)) => return Ok(None),
            _ => {}
        }
        let answer = self.source.secrets(head).await.map_err(SharedError::new);
        // Not earlier: otherwise a client that sends a wrong signature and disconnects would prevent the look-up for
        // others.
        state.asked = Some(now);
        match &answer {
            Ok(secrets) if secrets.any_valid(now) => {
                state.kept = Some(Kept { secrets: secrets.clone(), since: now });
            }
            Ok(_) => state.kept = None,
            // The cached secrets are still valid.
            Err(_) => {}
        }
        state.last = Some(answer.clone());
        slot.ended.fetch_add(1, Ordering::Release);
        if state.kept.is_none() {
            self.forget(key, &slot);
        }
        Ok(Some(answer?))
    }

    fn is_fresh(&self, kept: &Kept, now: SystemTime) -> bool {
        is_within(self.keep, kept.since, now) && kept.secrets.any_valid(now)
    }

    fn slot(&self, key: Key) -> Arc<Slot> {
        let mut slots = self.slots.lock();
        if let Some(slot) = slots.get(&key) {
            return Arc::clone(slot);
        }
        if slots.len() >= self.capacity {
            self.make_room(&mut slots);
        }
        Arc::clone(slots.entry(key).or_default())
    }

    /// Drops entries that have expired and, if that is not enough, the older half of the others. Slots with waiting
    /// requests stay: there are no more of them than requests.
    fn make_room(&self, slots: &mut HashMap<Key, Arc<Slot>>) {
        let now = self.clock.now();
        let since = |slot: &Arc<Slot>| {
            let state = slot.state.try_lock().ok()?;
            state.kept.as_ref().filter(|kept| self.is_fresh(kept, now)).map(|kept| kept.since)
        };
        let is_idle = |slot: &Arc<Slot>| Arc::strong_count(slot) == 1;
        slots.retain(|_, slot| !is_idle(slot) || since(slot).is_some());
        if slots.len() < self.capacity {
            return;
        }
        // Slots with waiting requests do not count; otherwise many made-up tenants would empty the cache.
        let mut ages: Vec<_> = slots.values().filter_map(since).collect();
        if ages.len() < self.capacity {
            return;
        }
        ages.sort_unstable();
        let mut surplus = ages.len() - self.capacity / 2;
        if let Some(newest) = ages.get(surplus.min(ages.len()).saturating_sub(1)).copied() {
            // Many may be of one moment.
            slots.retain(|_, slot| {
                let drop = surplus > 0 && is_idle(slot) && since(slot).is_some_and(|since| since <= newest);
                surplus -= usize::from(drop);
                !drop
            });
        }
    }

    fn forget(&self, key: Key, slot: &Arc<Slot>) {
        let mut slots = self.slots.lock();
        if slots.get(&key).is_some_and(|known| Arc::ptr_eq(known, slot)) {
            slots.remove(&key);
        }
    }
}

impl<S: SecretSource> SecretSource for CachedSecrets<S> {
    fn secrets(&self, head: RequestHead) -> BoxFuture<'_, Result<Secrets, BoxError>> {
        Box::pin(async move { Ok(self.look_up(head, None).await?.unwrap_or_default()) })
    }

    fn refresh(&self, head: RequestHead, tried: Secrets) -> BoxFuture<'_, Result<Option<Secrets>, BoxError>> {
        Box::pin(self.look_up(head, Some(tried)))
    }

    fn fixed(&self) -> Option<Secrets> {
        self.source.fixed()
    }
}

impl<S> fmt::Debug for CachedSecrets<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedSecrets")
            .field("keep", &self.keep)
            .field("cooldown", &self.cooldown)
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

/// Whether `now` is less than `span` after `since`. A clock that was set back makes nothing last longer.
fn is_within(span: Duration, since: SystemTime, now: SystemTime) -> bool {
    now.duration_since(since).is_ok_and(|age| age < span)
}
