use std::time::Duration;

use crate::{
    clock::{Millis, after},
    send::outbox::store::{delivery::DeliveryState, lease::After},
};

/// The standing of a delivery's endpoint when the attempt has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)] // A delivery goes on in each case.
pub enum Standing {
    /// It was deleted.
    Deleted,
    /// It is disabled.
    Disabled,
    /// It is enabled, at the URL that was attempted.
    Enabled,
    /// It is enabled, at another URL than the one that was attempted.
    Moved,
}

/// Returns the next state of a delivery, and when it is due. [`finish`](super::finish()) decides the rest too.
pub fn next_state(end: After, standing: Standing, now: Millis) -> (DeliveryState, Millis) {
    match (end, standing) {
        (After::Delivered, _) => (DeliveryState::Delivered, now),
        (After::Exhausted, _) => (DeliveryState::Exhausted, now),
        // The other URL may accept it.
        (After::Gone | After::Refused, Standing::Moved) => (DeliveryState::Pending, now),
        (After::Refused, _) => (DeliveryState::Refused, now),
        (_, Standing::Deleted) => (DeliveryState::Cancelled, now),
        // The endpoint could not be disabled, since its row cannot be read: the next attempt gets the same answer.
        (After::Gone, Standing::Enabled) => (DeliveryState::Pending, after(now, GONE_AGAIN)),
        (After::Gone, _) | (_, Standing::Disabled) => (DeliveryState::Held, now),
        (After::Retry { wait } | After::Unsent { wait }, Standing::Enabled | Standing::Moved) => {
            (DeliveryState::Pending, after(now, wait))
        }
    }
}

/// How long a delivery waits that was answered with 410 while the row of its endpoint cannot be read: as long as such
/// an endpoint rests.
const GONE_AGAIN: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Standing, next_state};
    use crate::send::{After, DeliveryState};

    const RETRY: After = After::Retry { wait: Duration::from_secs(5) };

    #[test]
    fn what_cannot_be_sent_now_is_held_and_what_never_can_is_cancelled() {
        for (end, standing, state) in [
            (RETRY, Standing::Enabled, DeliveryState::Pending),
            (RETRY, Standing::Disabled, DeliveryState::Held),
            (RETRY, Standing::Deleted, DeliveryState::Cancelled),
            (After::Gone, Standing::Enabled, DeliveryState::Pending),
            (After::Gone, Standing::Disabled, DeliveryState::Held),
            (After::Delivered, Standing::Deleted, DeliveryState::Delivered),
            (After::Exhausted, Standing::Disabled, DeliveryState::Exhausted),
            (After::Gone, Standing::Moved, DeliveryState::Pending),
            (After::Refused, Standing::Moved, DeliveryState::Pending),
            (RETRY, Standing::Moved, DeliveryState::Pending),
            (After::Exhausted, Standing::Moved, DeliveryState::Exhausted),
        ] {
            assert_eq!(next_state(end, standing, 0).0, state, "{end:?} {standing:?}");
        }
    }
}
