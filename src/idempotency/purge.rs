use std::time::Duration;

use tokio::time::Instant;

use crate::mutex::Mutex;

/// When the store was last tidied by this process.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    last: Mutex<Option<Instant>>,
}

/// How often one process removes expired records.
const EVERY: Duration = Duration::from_secs(60);

/// How many records one step removes, so that no step holds the store for long.
pub(crate) const STEP: u32 = 1000;

impl Schedule {
    /// Whether it is time; if so, it is the caller's turn.
    pub(crate) fn is_due(&self) -> bool {
        let now = Instant::now();
        let mut last = self.last.lock();
        let due = last.is_none_or(|last| now.duration_since(last) >= EVERY);
        if due {
            *last = Some(now);
        }
        due
    }

    /// Notes how many records a step removed: after a full one, the next delivery's task takes another at once. So what has
    /// expired goes faster than anything can come.
    pub(crate) fn removed(&self, records: u64) {
        if records >= u64::from(STEP) {
            *self.last.lock() = None;
        }
    }
}
