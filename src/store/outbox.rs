//! What becomes of deliveries and endpoints, as pure functions that the stores of the outbox share. Times are milliseconds
//! of the store's clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

use super::record::{Millis, after};
use crate::{
    clock::millis,
    pattern::{self, Subject},
    send::{After, DeliveryState, DisabledReason, FAILURES_TO_REST, IN_FLIGHT, Message, rest_after},
};

/// How an endpoint is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Health {
    pub(super) failures: u32,
    pub(super) failing_since: Option<Millis>,
    pub(super) rests_until: Millis,
}

impl Health {
    /// Counts an attempt, and tells whether the endpoint is to be disabled for it.
    pub(super) fn count(&mut self, end: After, now: Millis, disable_after: Duration) -> Option<DisabledReason> {
        match end {
            After::Unsent { .. } => None,
            After::Delivered => {
                *self = Self::default();
                None
            }
            After::Gone => Some(DisabledReason::Gone),
            After::Exhausted | After::Refused | After::Retry { .. } => {
                self.failures = self.failures.saturating_add(1);
                self.rests_until = after(now, rest_after(self.failures));
                let since = *self.failing_since.get_or_insert(now);
                (now.saturating_sub(since) >= millis(disable_after)).then_some(DisabledReason::Failing)
            }
        }
    }

    /// How many more deliveries may be leased beside `in_flight`.
    pub(super) fn room(self, in_flight: u32) -> u32 {
        let most = if self.failures >= FAILURES_TO_REST { 1 } else { IN_FLIGHT };
        most.saturating_sub(in_flight)
    }
}

/// What the endpoint of a delivery is when the delivery is finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Deleted,
    Disabled,
    Enabled,
}

/// The next state of a delivery, and when it is due.
pub(super) fn next_state(end: After, standing: Standing, now: Millis) -> (DeliveryState, Millis) {
    match (end, standing) {
        (After::Delivered, _) => (DeliveryState::Delivered, now),
        (After::Exhausted, _) => (DeliveryState::Exhausted, now),
        (After::Refused, _) => (DeliveryState::Refused, now),
        (_, Standing::Deleted) => (DeliveryState::Cancelled, now),
        (After::Gone, _) | (_, Standing::Disabled) => (DeliveryState::Held, now),
        (After::Retry { wait } | After::Unsent { wait }, Standing::Enabled) => {
            (DeliveryState::Pending, after(now, wait))
        }
    }
}

/// Tells whether one of an endpoint's patterns matches.
pub(super) fn wants<'p>(patterns: impl Iterator<Item = &'p str>, event_type: &str) -> bool {
    let patterns: Vec<_> = patterns.collect();
    pattern::best(&patterns, Subject { whole: event_type, first: None }).is_some()
}

/// What tells two messages under one id apart: type, version and payload, each with its length before it.
pub(super) fn digest(message: &Message) -> [u8; 32] {
    let mut hash = Sha256::new();
    let version = message.api_version();
    hash.update([u8::from(version.is_some())]);
    for part in [message.event_type(), version.unwrap_or_default(), message.payload().get()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// Whose message it is; an application without tenants has one without a name.
pub(super) fn tenant(message: &Message) -> &str {
    message.tenant_name().unwrap_or_default()
}

pub(super) fn to_time(at: Millis) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(at).unwrap_or_default())
}

pub(super) fn from_time(at: SystemTime) -> Millis {
    millis(at.duration_since(UNIX_EPOCH).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Health, Standing, digest, next_state};
    use crate::send::{After, DeliveryState, DisabledReason, Message};

    const RETRY: After = After::Retry { wait: Duration::from_secs(5) };
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    #[test]
    fn an_endpoint_rests_after_failures_in_a_row_and_a_success_ends_it() {
        let mut health = Health::default();
        for _ in 0..4 {
            assert_eq!(health.count(RETRY, 1000, DAY), None);
        }
        assert_eq!((health.room(0), health.room(3), health.rests_until), (4, 1, 1000));

        health.count(RETRY, 1000, DAY);
        assert_eq!((health.room(0), health.room(1), health.rests_until), (1, 0, 11_000));
        for _ in 0..20 {
            health.count(RETRY, 1000, DAY);
        }
        assert_eq!(health.rests_until, 301_000);

        health.count(After::Delivered, 2000, DAY);
        assert_eq!(health, Health::default());
    }

    #[test]
    fn an_endpoint_is_disabled_after_failing_for_long_and_at_once_when_it_is_gone() {
        let mut health = Health::default();
        health.count(RETRY, 0, DAY);
        assert_eq!(health.count(RETRY, 86_399_999, DAY), None);
        assert_eq!(health.count(After::Unsent { wait: DAY }, 86_400_000, DAY), None);
        assert_eq!(health.count(After::Exhausted, 86_400_000, DAY), Some(DisabledReason::Failing));
        assert_eq!(Health::default().count(After::Gone, 0, DAY), Some(DisabledReason::Gone));
    }

    #[test]
    fn what_cannot_be_sent_now_is_held_and_what_never_can_is_cancelled() {
        for (end, standing, state) in [
            (RETRY, Standing::Enabled, DeliveryState::Pending),
            (RETRY, Standing::Disabled, DeliveryState::Held),
            (RETRY, Standing::Deleted, DeliveryState::Cancelled),
            (After::Gone, Standing::Enabled, DeliveryState::Held),
            (After::Delivered, Standing::Deleted, DeliveryState::Delivered),
            (After::Exhausted, Standing::Disabled, DeliveryState::Exhausted),
        ] {
            assert_eq!(next_state(end, standing, 0).0, state, "{end:?} {standing:?}");
        }
    }

    #[test]
    fn messages_are_told_apart_by_type_version_and_payload() {
        let message = |event_type: &str, payload: &str| Message::new(event_type, payload).unwrap();
        let one = digest(&message("a", "x"));

        assert_eq!(one, digest(&message("a", "x")));
        assert_ne!(one, digest(&message("a", "y")));
        assert_ne!(one, digest(&message("b", "x")));
        assert_ne!(one, digest(&message("a", "x").version("")));
    }
}
