use std::{sync::Arc, time::Duration};

use tokio_util::task::TaskTracker;

use super::{
    bounded::BoundedStore,
    introduction::Introductions,
    key::{ClaimKey, Fingerprint},
    later::Later,
    purge::Schedule,
    recent::Recent,
    store::{IdempotencyStore, StoredResponse},
};

/// The settings of a layer, and the state that its services share.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) store: BoundedStore,
    pub(super) tasks: TaskTracker,
    /// Deliveries that are known to be done, so that they need no look at the store.
    pub(super) done: Arc<Recent<ClaimKey, Known>>,
    /// Bodies seen of late under ids that are not signed.
    pub(super) bodies: Arc<Recent<Fingerprint, ClaimKey>>,
    pub(super) purge: Arc<Schedule>,
    pub(super) introductions: Arc<Introductions>,
    pub(super) later: Arc<Later>,
    pub(super) consumer: Option<Arc<str>>,
    pub(super) lease: Duration,
    pub(super) handler_timeout: Duration,
    pub(super) retention: Option<Duration>,
    pub(super) in_flight: InFlight,
    /// `None` if the scheme decides.
    pub(super) missing_id: Option<MissingId>,
    pub(super) replay_guard: Option<Duration>,
    pub(super) stored_responses: Option<usize>,
    pub(super) store_down: StoreDown,
}

/// The cached facts about a completed delivery.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) fingerprint: Fingerprint,
    pub(super) response: Option<Arc<StoredResponse>>,
}

/// The answer to a duplicate while the first delivery is being handled.
///
/// ```
/// use std::time::Duration;
/// use tower_webhooks::{idempotency::{IdempotencyLayer, InFlight}, store::MemoryStore};
///
/// // A sender that gives up after one retry gets the answer of the first delivery instead of a 503.
/// let once = IdempotencyLayer::new(MemoryStore::new()).with_in_flight(InFlight::Wait(Duration::from_secs(5)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum InFlight {
    /// 409, for senders that retry after it.
    Conflict,
    /// 503 with `Retry-After`: the sender retries.
    Retry,
    /// Waits for the first one for at most this time, and then answers as if the duplicate had arrived later; if the
    /// time is over, answers like [`Retry`](Self::Retry).
    Wait(Duration),
}

/// How a delivery without an id is handled.
///
/// ```
/// use tower_webhooks::{idempotency::{IdempotencyLayer, MissingId}, store::MemoryStore};
///
/// // This sender documents that no two of its events have equal bodies.
/// let once = IdempotencyLayer::new(MemoryStore::new()).with_missing_id(MissingId::BodyDigest);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissingId {
    /// A digest of the body is the id, for 24 hours at most: two deliveries with equal bytes count as one. **Two
    /// different events with equal bytes count as one as well**, so that the second is lost.
    BodyDigest,
    /// The delivery is rejected with 400.
    Reject,
    /// The delivery runs without a claim each time that it arrives.
    Skip,
}

/// How a delivery is handled that cannot be claimed because the store is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StoreDown {
    Reject,
    RunUnclaimed,
}

/// How long a claim holds. A delivery whose process was killed runs again after it.
const DEFAULT_LEASE: Duration = Duration::from_secs(60);
const DEFAULT_HANDLER_TIMEOUT: Duration = Duration::from_secs(30);
const DEFAULT_STORE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a done delivery is remembered, at least.
pub(super) const DEFAULT_RETENTION: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long a body may be used as an id.
pub(super) const LONGEST_BODY_DIGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// Entries of 100 bytes or so.
const DEFAULT_CACHE: usize = 10_000;

impl Context {
    pub(super) fn new(store: impl IdempotencyStore) -> Self {
        Self {
            store: BoundedStore::new(store, DEFAULT_STORE_TIMEOUT),
            tasks: TaskTracker::new(),
            done: Arc::new(Recent::new(DEFAULT_CACHE)),
            bodies: Arc::new(Recent::new(DEFAULT_CACHE)),
            purge: Arc::default(),
            introductions: Arc::default(),
            later: Arc::default(),
            consumer: None,
            lease: DEFAULT_LEASE,
            handler_timeout: DEFAULT_HANDLER_TIMEOUT,
            retention: None,
            in_flight: InFlight::Retry,
            missing_id: None,
            replay_guard: None,
            stored_responses: None,
            store_down: StoreDown::Reject,
        }
    }
}
