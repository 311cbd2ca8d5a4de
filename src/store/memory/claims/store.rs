use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::shard::Shard;
use crate::{
    boxed::BoxFuture,
    clock::{self, ClockOffset, Millis},
    error::{ConfigError, StoreError, StoreErrorKind},
    idempotency::{ClaimKey, ClaimOutcome, ClaimRequest, ClaimToken, Completion, Fenced, IdempotencyStore},
    store::name::application_name,
};

/// Keeps claims in this process. Clones share them.
///
/// It holds a limited number of records, and they are lost when the process ends: a duplicate that arrives after a
/// restart runs again.
///
/// ```
/// use tower_webhooks::store::MemoryStore;
///
/// let store = MemoryStore::with_capacity(10_000);
///
/// assert_eq!(store.capacity(), 10_000);
/// assert!(store.is_empty());
/// ```
#[derive(Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
    application: Option<Arc<str>>,
}

struct Shared {
    shards: Box<[Mutex<Shard>]>,
    /// Keyed at random in each process, so that a sender cannot choose ids that all fall into one shard.
    hasher: RandomState,
    capacity: usize,
    offset: ClockOffset,
}

impl MemoryStore {
    /// Creates a store of 100,000 records: about 15 MB when it is full, and room for one delivery every six seconds
    /// over the 7 days for which a completed one is kept by default.
    pub fn new() -> Self {
        Self::with_capacity(100_000)
    }

    /// Creates a store of `capacity` records, at least one. Stored responses need memory in addition.
    ///
    /// Larger stores are split into shards by the hash of the key, so one shard may be full a few percent before the
    /// whole is.
    pub fn with_capacity(capacity: usize) -> Self {
        Self::with_capacity_and_offset(capacity, ClockOffset::default())
    }

    /// Creates a store whose clock is moved by `offset`, for tests in which records become older.
    pub fn with_capacity_and_offset(capacity: usize, offset: ClockOffset) -> Self {
        let capacity = capacity.max(1);
        let shards = (capacity / RECORDS_PER_SHARD).clamp(1, MAX_SHARDS);
        // The first shards take what does not divide, so that the bounds add up to the capacity.
        let bound = |index| capacity / shards + usize::from(index < capacity % shards);

        Self {
            shared: Arc::new(Shared {
                shards: (0..shards).map(|index| Mutex::new(Shard::new(bound(index)))).collect(),
                hasher: RandomState::new(),
                capacity,
                offset,
            }),
            application: None,
        }
    }

    /// Names the application that claims through this handle. Clones made before keep their own: two applications in one
    /// process can share the records, each with a name.
    ///
    /// # Errors
    /// When the name is empty, longer than 128 bytes, or holds control characters.
    pub fn application_name(mut self, name: &str) -> Result<Self, ConfigError> {
        self.application = Some(application_name(name)?);
        Ok(self)
    }

    /// Returns how many records there is room for.
    pub fn capacity(&self) -> usize {
        self.shared.capacity
    }

    /// Returns the number of records in any state.
    pub fn len(&self) -> usize {
        self.shared.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    /// Returns `true` if there are no records.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shard(&self, key: ClaimKey) -> MutexGuard<'_, Shard> {
        let shards = &self.shared.shards;
        let index = if shards.len() == 1 { 0 } else { self.shared.hasher.hash_one(key) as usize % shards.len() };
        lock(&shards[index])
    }

    fn now(&self) -> Millis {
        clock::millis(clock::monotonic()).saturating_add(self.shared.offset.as_millis())
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

/// The futures do their work when they are first polled, and are ready then: no lock is held across an await.
impl IdempotencyStore for MemoryStore {
    fn application(&self) -> Option<&str> {
        self.application.as_deref()
    }

    fn claim(&self, claim: ClaimRequest) -> BoxFuture<'_, Result<ClaimOutcome, StoreError>> {
        Box::pin(async move {
            let now = self.now();
            self.shard(claim.key).claim(&claim, now).ok_or_else(|| {
                StoreError::new(
                    StoreErrorKind::Full,
                    "claim a delivery: every record is of a delivery in flight; raise the capacity of the `MemoryStore`",
                )
            })
        })
    }

    fn complete(
        &self,
        key: ClaimKey,
        token: ClaimToken,
        completion: Completion,
    ) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(async move {
            let now = self.now();
            Ok(self.shard(key).complete(key, token, &completion, now))
        })
    }

    fn release(&self, key: ClaimKey, token: ClaimToken) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(async move {
            let now = self.now();
            Ok(self.shard(key).release(key, token, now))
        })
    }

    fn renew(&self, key: ClaimKey, token: ClaimToken, lease: Duration) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(async move {
            let now = self.now();
            Ok(self.shard(key).renew(key, token, lease, now))
        })
    }

    fn is_done(&self, key: ClaimKey, token: ClaimToken) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(async move {
            let now = self.now();
            Ok(self.shard(key).is_done(key, token, now))
        })
    }

    fn purge(&self, limit: u32) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async move {
            let now = self.now();
            let mut left = usize::try_from(limit).unwrap_or(usize::MAX);
            let mut removed = 0;
            for shard in &self.shared.shards {
                if left == 0 {
                    break;
                }
                let of_shard = lock(shard).purge(left, now);
                left -= of_shard;
                removed += of_shard as u64;
            }
            Ok(removed)
        })
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("capacity", &self.capacity()).finish_non_exhaustive()
    }
}

/// A panic under the lock cannot leave a shard half changed in a way that matters: at worst an entry of the queue of free
/// records is missing, and `Shard` looks again before it trusts one.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// With fewer records a shard would be full too early by chance: with 1,024 the spread is about 3 %.
const RECORDS_PER_SHARD: usize = 1024;

/// More would only help machines with more cores than this.
const MAX_SHARDS: usize = 64;
