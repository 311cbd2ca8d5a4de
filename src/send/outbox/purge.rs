//! Removes old rows, concurrently with a worker's attempts.

use std::time::Duration;

use crate::{
    clock, observe,
    queue::full_jitter,
    send::outbox::{shared::Shared, store::delivery::Retention},
};

/// Purges for as long as it is polled: once a minute, at once when an endpoint was disabled, and continuously while there is
/// more. After each step it pauses for as long as the step took, so that it uses at most half of the time.
pub(crate) async fn run(shared: &Shared) {
    let retention: Retention = shared.times.retention;
    let mut behind = Behind::default();
    loop {
        let begun = clock::monotonic();
        let pause = match shared.store.purge(retention, STEP).await {
            Ok(changed) => {
                let now = clock::monotonic();
                observe::purged(changed);
                if let Some(since) = behind.note(changed >= u64::from(STEP), now) {
                    observe::purge_behind(since);
                }
                match changed {
                    0 => EVERY,
                    // What is removed as fast as it becomes old is removed in larger pieces.
                    _ if changed < u64::from(STEP) => SOON,
                    _ => now.saturating_sub(begun).clamp(SHORTEST_PAUSE, LONGEST_PAUSE),
                }
            }
            Err(error) => {
                observe::outbox_failed("purge", &error);
                EVERY
            }
        };
        // Processes that were started together must not purge together.
        let pause = if pause == EVERY { EVERY - full_jitter(EVERY / 4, random()) } else { pause };
        // In both cases it is time to look.
        let _ = tokio::time::timeout(pause, shared.to_purge.notified()).await;
    }
}

fn random() -> u64 {
    getrandom::u64().unwrap_or(u64::MAX / 2)
}

/// How long there has been more to remove than was removed.
#[derive(Debug, Default)]
struct Behind {
    since: Option<Duration>,
    told_at: Duration,
}

impl Behind {
    /// Notes whether there is more. Returns how long that has been so when it is time to log it.
    fn note(&mut self, is_more: bool, now: Duration) -> Option<Duration> {
        if !is_more {
            let was_told = self.told_at > Duration::ZERO;
            *self = Self::default();
            // The end is logged too.
            return was_told.then_some(Duration::ZERO);
        }
        let since = *self.since.get_or_insert(now);
        let behind = now.saturating_sub(since);
        let is_due = behind >= PATIENCE && now.saturating_sub(self.told_at) >= PATIENCE;
        is_due.then(|| {
            self.told_at = now;
            behind
        })
    }
}

/// The number of rows of a kind that one call changes.
const STEP: u32 = 500;

/// The pause when nothing is old.
const EVERY: Duration = Duration::from_secs(60);

/// The pause after a call that changed fewer rows than it could.
const SOON: Duration = Duration::from_secs(1);

const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How long there is more before it is logged, and how often it is logged then.
const PATIENCE: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Behind;

    #[test]
    fn that_it_cannot_keep_up_is_told_every_ten_minutes_and_that_it_is_over_once() {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let mut behind = Behind::default();

        assert_eq!(behind.note(true, minutes(30)), None);
        assert_eq!(behind.note(true, minutes(39)), None);
        assert_eq!(behind.note(true, minutes(40)), Some(minutes(10)));
        assert_eq!(behind.note(true, minutes(49)), None);
        assert_eq!(behind.note(true, minutes(51)), Some(minutes(21)));
        assert_eq!(behind.note(false, minutes(52)), Some(minutes(0)));
        assert_eq!(behind.note(false, minutes(53)), None);
        assert_eq!(behind.note(true, minutes(54)), None);
        assert_eq!(behind.note(true, minutes(64)), Some(minutes(10)));
    }
}
