//! The only reader of the time.
//!
//! Rules:
//! 1. Freshness is decided by the wall clock, since senders stamp their deliveries with it.
//! 2. Everything that decides takes `now` as an argument; only the middleware asks a [`Clock`].
//! 3. Stores use their own server's clock. A [`ClockOffset`] is added to it, nought outside tests. A store that lives in
//!    this process takes the monotonic one, which nobody can set; one on this machine's disk takes the wall clock.
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

/// Tells the wall-clock time.
pub trait Clock: Send + Sync + 'static {
    /// Tells what time it is.
    fn now(&self) -> SystemTime;
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> SystemTime {
        (**self).now()
    }
}

/// The clock of the operating system, the default everywhere.
#[derive(Debug, Clone, Copy, Default)]
#[allow(clippy::exhaustive_structs)] // A unit struct with nothing to add.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        #[allow(clippy::disallowed_methods)] // This is the one home of the wall clock.
        SystemTime::now()
    }
}

/// A clock that stands still until it is moved. Clones share the time.
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

/// What a store adds to its own clock: nought, unless a test moves it. Clones share the offset.
///
/// Stores decide leases and retention by the clock of their server, which a test cannot turn. The
/// conformance suites age records through this offset instead of sleeping.
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

    /// Tells the offset in milliseconds.
    pub fn as_millis(&self) -> i64 {
        self.millis.load(Ordering::SeqCst)
    }
}

/// Tells how long ago this process first asked: it only grows, and no operator or NTP moves it.
#[allow(dead_code)] // Which features need it is not this leaf's business.
pub(crate) fn monotonic() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();

    #[allow(clippy::disallowed_methods)] // This is the one home of the monotonic clock.
    let now = Instant::now();
    now.saturating_duration_since(*START.get_or_init(|| now))
}

/// Whole milliseconds of a duration, capped: what stores count in.
#[allow(dead_code)] // As above.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Milliseconds since the Unix epoch, by the clock of a store.
pub type Millis = i64;

/// Returns the moment that is `by` later than `from`. What is far ahead stays far ahead.
pub fn after(from: Millis, by: Duration) -> Millis {
    from.saturating_add(millis(by))
}

/// Returns the moment that is `by` earlier than `from`.
pub fn before(from: Millis, by: Duration) -> Millis {
    from.saturating_sub(millis(by))
}

/// Converts a moment of a store's clock. What is before 1970 becomes the start of 1970.
pub fn to_time(at: Millis) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(at).unwrap_or_default())
}

/// Converts a time to a moment of a store's clock. What is before 1970 becomes the start of 1970.
pub fn from_time(at: SystemTime) -> Millis {
    millis(at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

/// Nanoseconds of a duration, capped: a clock of the year 2554 is as wrong as one of the year 9999.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
