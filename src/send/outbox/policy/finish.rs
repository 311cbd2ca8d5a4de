use super::{
    health::Health,
    standing::{Standing, next_state},
};
use crate::{
    clock::Millis,
    send::outbox::store::{
        delivery::DeliveryState,
        endpoint::DisabledReason,
        lease::{After, Finish},
    },
};

/// A delivery whose attempt has ended, as the store keeps it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Attempted {
    /// Which attempt it was.
    pub attempt: u32,
    /// When the delivery was made.
    pub created_at: Millis,
    /// The [epoch](Health::epoch) of its endpoint when it was leased.
    pub epoch: i64,
    /// How many attempts were begun before it was last resent or recovered.
    pub resent_after: Option<u32>,
}

impl Attempted {
    /// Creates the value for a delivery that was never resent.
    pub fn new(attempt: u32, epoch: i64, created_at: Millis) -> Self {
        Self { attempt, created_at, epoch, resent_after: None }
    }
}

/// The endpoint of a delivery whose attempt has ended, as the store finds it.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::exhaustive_enums)] // A store says which of them it is.
pub enum Receiver {
    /// It was deleted.
    Deleted,
    /// Its row can be read.
    Readable {
        /// Its health before this attempt.
        health: Health,
        /// Whether it is disabled.
        is_disabled: bool,
    },
    /// Its row cannot be read. The attempt was made anyway, and is noted.
    Unreadable {
        /// Whether it is disabled.
        is_disabled: bool,
    },
}

/// The consequences of an attempt. The store writes all of them.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Finished {
    /// The health of the endpoint after the attempt, if its row can be read.
    pub health: Option<Health>,
    /// The reason if this attempt disables the endpoint. The notice is dispatched then.
    pub disabled: Option<DisabledReason>,
    /// The next state of the delivery.
    pub state: DeliveryState,
    /// When the delivery is due, or since when it is in its state.
    pub due_at: Millis,
    /// How many attempts of the delivery were begun: one less than before if this one is taken back.
    pub attempt: u32,
    /// Whether the attempt is noted.
    pub is_noted: bool,
    /// Whether somebody asked for the attempt by resending or recovering the delivery.
    pub manual: bool,
}

/// Decides the consequences of an attempt.
///
/// ```
/// use std::time::Duration;
/// use tower_webhooks::send::{
///     After, DeliveryState, DisabledReason, Finish,
///     policy::{Attempted, Health, Receiver, finish},
/// };
///
/// let attempted = Attempted::new(1, 0, 1000);
/// let enabled = Receiver::Readable { health: Health::default(), is_disabled: false };
///
/// let retried = finish(&attempted, enabled, &Finish::new(After::Retry { wait: Duration::from_secs(5) }), 2000);
/// assert_eq!((retried.state, retried.due_at), (DeliveryState::Pending, 7000));
///
/// let gone = finish(&attempted, enabled, &Finish::new(After::Gone), 2000);
/// assert_eq!((gone.state, gone.disabled), (DeliveryState::Held, Some(DisabledReason::Gone)));
/// ```
pub fn finish(attempted: &Attempted, receiver: Receiver, finish: &Finish, now: Millis) -> Finished {
    let (mut counted, mut disabled) = (None, None);
    let standing = match receiver {
        Receiver::Deleted => Standing::Deleted,
        Receiver::Unreadable { is_disabled: true } => Standing::Disabled,
        Receiver::Unreadable { is_disabled: false } => Standing::Enabled,
        Receiver::Readable { mut health, is_disabled } => {
            let reason = health.count(finish, attempted.epoch, now);
            counted = Some(health);
            if !is_disabled {
                disabled = reason;
            }
            if is_disabled || disabled.is_some() { Standing::Disabled } else { health.standing(attempted.epoch) }
        }
    };
    let is_noted = !matches!(finish.after, After::Unsent { .. });
    let (state, due_at) = next_state(finish.after, standing, now);
    Finished {
        health: counted,
        disabled,
        state,
        due_at: counted.unwrap_or_default().due(state, due_at, attempted.created_at),
        attempt: attempted.attempt.saturating_sub(u32::from(!is_noted)),
        is_noted,
        manual: round(attempted.attempt, attempted.resent_after).1,
    }
}

/// Returns the number of the attempt since the delivery was made, resent or recovered, which the schedule of retries
/// uses, and whether the attempt is the one that somebody asked for in this way.
pub fn round(attempt: u32, resent_after: Option<u32>) -> (u32, bool) {
    let before = resent_after.unwrap_or_default();
    (attempt.saturating_sub(before), resent_after.is_some() && attempt == before.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Attempted, Health, Receiver, finish};
    use crate::send::{After, DeliveryState, DisabledReason, Finish};

    const RETRY: After = After::Retry { wait: Duration::from_secs(5) };

    #[test]
    fn an_attempt_is_finished_whatever_its_endpoint_has_become() {
        let attempted = Attempted { attempt: 3, created_at: 10, epoch: 0, resent_after: Some(2) };
        let enabled = Receiver::Readable { health: Health::default(), is_disabled: false };
        let disabled = Receiver::Readable { health: Health::default(), is_disabled: true };
        for (receiver, after, state, reason) in [
            (enabled, After::Delivered, DeliveryState::Delivered, None),
            (enabled, After::Gone, DeliveryState::Held, Some(DisabledReason::Gone)),
            // An endpoint that is disabled already keeps its reason.
            (disabled, After::Gone, DeliveryState::Held, None),
            (disabled, RETRY, DeliveryState::Held, None),
            (Receiver::Deleted, RETRY, DeliveryState::Cancelled, None),
            (Receiver::Unreadable { is_disabled: false }, RETRY, DeliveryState::Pending, None),
            (Receiver::Unreadable { is_disabled: true }, RETRY, DeliveryState::Held, None),
        ] {
            let finished = finish(&attempted, receiver, &Finish::new(after), 1000);
            assert_eq!((finished.state, finished.disabled), (state, reason), "{receiver:?} {after:?}");
            assert_eq!((finished.attempt, finished.is_noted, finished.manual), (3, true, true));
            assert_eq!(finished.health.is_some(), matches!(receiver, Receiver::Readable { .. }));
        }
        let unsent = finish(&attempted, enabled, &Finish::new(After::Unsent { wait: Duration::from_secs(1) }), 1000);
        assert_eq!((unsent.attempt, unsent.is_noted, unsent.due_at), (2, false, 2000));
        let in_order =
            Receiver::Readable { health: Health { in_order: true, ..Health::default() }, is_disabled: false };
        let waits = finish(&attempted, in_order, &Finish::new(RETRY), 1000);
        assert_eq!((waits.due_at, waits.health.unwrap().rests_until), (10, 6000), "it keeps its place");
    }
}
