//! Time: the only module that reads a clock.
//!
//! Rules:
//! 1. The age of a delivery is measured by the wall clock, since senders use it for their timestamps.
//! 2. Functions that decide take `now` as an argument; only the middleware asks a [`Clock`].
//! 3. Stores use the clock of their own server. A [`ClockOffset`] is added to it, which is zero outside of tests. A
//!    store in this process uses the monotonic clock, which cannot be set; a store on this machine's disk uses the wall
//!    clock.
//!
//! ```
//! use std::time::{Duration, SystemTime};
//! use tower_webhooks::clock::{Clock, ManualClock};
//!
//! let clock = ManualClock::at_unix_seconds(1_700_000_000);
//! clock.advance(Duration::from_secs(5));
//!
//! assert_eq!(clock.now(), SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_005));
//! ```

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

/// A source of the wall-clock time.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use tower_webhooks::clock::{Clock, SystemClock};
///
/// /// A clock that corrects a known error of the machine's clock.
/// struct Corrected;
///
/// impl Clock for Corrected {
///     fn now(&self) -> SystemTime {
///         SystemClock.now() + Duration::from_secs(2)
///     }
/// }
/// # let _ = Corrected.now();
/// ```
pub trait Clock: Send + Sync + 'static {
    /// Returns the current time.
    fn now(&self) -> SystemTime;
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> SystemTime {
        (**self).now()
    }
}

/// The clock of the operating system, which is the default everywhere.
///
/// ```
/// use std::time::SystemTime;
/// use tower_webhooks::clock::{Clock, SystemClock};
///
/// let before = SystemTime::now();
/// assert!(SystemClock.now() >= before);
/// ```
#[derive(Debug, Clone, Copy, Default)]
#[allow(clippy::exhaustive_structs)] // A unit struct with nothing to add.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        #[allow(clippy::disallowed_methods)] // The only place that reads the wall clock.
        SystemTime::now()
    }
}

/// A clock for tests, which only changes when it is set or advanced. Clones share the time.
///
/// ```
/// use std::time::Duration;
/// use tower_webhooks::clock::{Clock, ManualClock};
///
/// let clock = ManualClock::at_unix_seconds(1_700_000_000);
/// let before = clock.now();
/// clock.clone().advance(Duration::from_secs(60));
/// assert_eq!(clock.now(), before + Duration::from_secs(60));
///
/// clock.set_unix_seconds(1_700_000_000);
/// assert_eq!(clock.now(), before);
/// ```
#[derive(Clone)]
pub struct ManualClock {
    nanos: Arc<AtomicU64>,
}

impl ManualClock {
    /// Creates a clock that shows `seconds` after the Unix epoch.
    pub fn at_unix_seconds(seconds: u64) -> Self {
        Self { nanos: Arc::new(AtomicU64::new(nanos(Duration::from_secs(seconds)))) }
    }

    /// Moves the clock forward by `by`.
    pub fn advance(&self, by: Duration) {
        self.nanos.fetch_add(nanos(by), Ordering::SeqCst);
    }

    /// Sets the clock to `seconds` after the Unix epoch.
    pub fn set_unix_seconds(&self, seconds: u64) {
        self.nanos.store(nanos(Duration::from_secs(seconds)), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_nanos(self.nanos.load(Ordering::SeqCst))
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManualClock").field("now", &self.now()).finish()
    }
}

/// The time that a store adds to its own clock: zero, unless a test changes it. Clones share the offset.
///
/// Stores measure leases and retention by the clock of their server, which a test cannot set. The conformance suites
/// make records older with this offset instead of sleeping.
///
/// ```
/// use std::time::Duration;
/// use tower_webhooks::clock::ClockOffset;
///
/// let offset = ClockOffset::default();
/// let of_the_store = offset.clone();
/// offset.advance(Duration::from_secs(60));
/// assert_eq!(of_the_store.as_millis(), 60_000);
/// ```
#[derive(Debug, Clone, Default)]
pub struct ClockOffset {
    millis: Arc<AtomicI64>,
}

impl ClockOffset {
    /// Moves the store's time forward by `by` (whole milliseconds).
    pub fn advance(&self, by: Duration) {
        self.millis.fetch_add(millis(by), Ordering::SeqCst);
    }

    /// Moves the store's time back by `by` (whole milliseconds), for data that is to look as if it were old.
    pub fn rewind(&self, by: Duration) {
        self.millis.fetch_sub(millis(by), Ordering::SeqCst);
    }

    /// Returns the offset in milliseconds.
    pub fn as_millis(&self) -> i64 {
        self.millis.load(Ordering::SeqCst)
    }
}

/// Returns the time since the first call in this process. It only grows; neither an operator nor NTP can change it.
#[allow(dead_code)] // Only some features use it.
pub(crate) fn monotonic() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();

    #[allow(clippy::disallowed_methods)] // The only place that reads the monotonic clock.
    let now = Instant::now();
    now.saturating_duration_since(*START.get_or_init(|| now))
}

/// Returns a duration in whole milliseconds, the unit of stores, capped at the maximum.
#[allow(dead_code)] // As above.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Milliseconds since the Unix epoch, by the clock of a store.
pub type Millis = i64;

/// Returns the time that is `by` later than `from`, at most the largest possible time.
pub fn after(from: Millis, by: Duration) -> Millis {
    from.saturating_add(millis(by))
}

/// Returns the time that is `by` earlier than `from`.
pub fn before(from: Millis, by: Duration) -> Millis {
    from.saturating_sub(millis(by))
}

/// Converts a time of a store's clock. A time before 1970 becomes the start of 1970.
pub fn to_time(at: Millis) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(at).unwrap_or_default())
}

/// Converts a time to the form of a store's clock. A time before 1970 becomes the start of 1970.
pub fn from_time(at: SystemTime) -> Millis {
    millis(at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

/// Returns a duration in nanoseconds, capped at the year 2554, since a later clock is wrong anyway.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
