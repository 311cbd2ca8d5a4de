//! Removes old events and counts waiting ones, concurrently with a worker's handlers.

use std::time::Duration;

use super::shared::Shared;
use crate::{clock, observe, queue::full_jitter};

/// Runs while it is polled. After each step it pauses for as long as the step took, so that it uses at most half of the
/// time.
pub(super) async fn run(shared: &Shared) {
    loop {
        match shared.store.stats(shared.settings.consumer.clone()).await {
            Ok(stats) => observe::inbox_stats(&shared.settings.consumer, &stats_of(stats)),
            Err(error) => observe::inbox_failed("stats", &error),
        }
        loop {
            let begun = clock::monotonic();
            match shared.store.purge(shared.settings.consumer.clone(), shared.settings.keep, STEP).await {
                Ok(changed) => {
                    observe::inbox_purged(changed);
                    if changed < u64::from(STEP) {
                        break;
                    }
                }
                Err(error) => {
                    observe::inbox_failed("purge", &error);
                    break;
                }
            }
            tokio::time::sleep(clock::monotonic().saturating_sub(begun).max(SHORTEST_PAUSE)).await;
        }
        // Processes that were started together must not do this together.
        let random = getrandom::u64().unwrap_or(u64::MAX / 2);
        tokio::time::sleep(EVERY - full_jitter(EVERY / 4, random)).await;
    }
}

fn stats_of(stats: super::store::InboxStats) -> observe::InboxDepth {
    let super::store::InboxStats { pending, working, dead, oldest } = stats;
    observe::InboxDepth { pending, working, dead, oldest: oldest.unwrap_or_default() }
}

/// The number of rows of a kind that one call changes.
const STEP: u32 = 500;
const EVERY: Duration = Duration::from_secs(60);
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
