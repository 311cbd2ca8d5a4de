use std::{
    sync::{Arc, OnceLock, atomic::AtomicBool},
    time::Duration,
};

use sqlx::SqlitePool;

use crate::{
    clock::{Clock, ClockOffset, Millis, SystemClock, from_time},
    store::name::Prefix,
};

/// The settings of the store and its tasks.
#[derive(Clone)]
pub(super) struct Setup {
    pub(super) pool: SqlitePool,
    pub(super) prefix: Prefix,
    pub(super) patience: Duration,
    pub(super) clock: StoreClock,
    /// It is read once, over the application's pool, which the store does not need afterwards.
    pub(super) place: Arc<OnceLock<Place>>,
    /// Whether the warning about the journal mode was logged.
    pub(super) warned: Arc<AtomicBool>,
}

/// The machine's wall clock, which every process that opened the file sees.
#[derive(Clone)]
pub(super) struct StoreClock(pub(super) ClockOffset);

impl StoreClock {
    pub(super) fn now(&self) -> Millis {
        from_time(SystemClock.now()).saturating_add(self.0.as_millis())
    }
}

/// The place of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    File,
    Memory,
}
