//! Log events, spans and counters for the operator. They contain no payload, no secret and no signature; text of the
//! other side is escaped.
//!
//! Rules:
//! 1. Log events and spans need the feature `tracing`, counters the feature `metrics`; without these features another
//!    file has empty functions.
//! 2. All have the target `tower_webhooks`.
//! 3. The values of labels are bounded: the provider, a kind, an outcome. Ids, event types, hosts and tenants are only
//!    in spans.
//! 4. Without a subscriber and a recorder, a request needs no allocation and no parsing of its body for this. An
//!    attempt, which uses the network, creates the keys of its counters each time.

#[cfg(feature = "send")]
mod attempting;
mod handling;
mod outcome;

#[cfg(feature = "tracing")]
#[path = "events.rs"]
mod sink;
#[cfg(not(feature = "tracing"))]
#[path = "silent.rs"]
mod sink;

#[cfg(not(feature = "tracing"))]
#[path = "no_spans.rs"]
mod spans;
#[cfg(feature = "tracing")]
mod spans;

#[cfg(feature = "metrics")]
mod meter;
#[cfg(not(feature = "metrics"))]
#[path = "no_meter.rs"]
mod meter;

#[cfg(all(feature = "send", feature = "metrics"))]
mod send_meter;
#[cfg(all(feature = "send", not(feature = "metrics")))]
#[path = "no_send_meter.rs"]
mod send_meter;

// Functions that both log and count are below, and shadow the function of the same name that only logs.
#[cfg(feature = "send")]
pub(crate) use self::attempting::{AttemptEnd, AttemptHead, Attempting};
pub(crate) use self::{handling::Handling, meter::Meter, outcome::Outcome, sink::*, spans::ReceiveSpan};

#[allow(dead_code)] // Not used without both features.
const TARGET: &str = "tower_webhooks";

/// A duplicate of a delivery arrived.
#[cfg(feature = "idempotency")]
pub(crate) fn duplicate(provider: &str, state: &'static str) {
    sink::duplicate(provider, state);
    meter::duplicate(provider, state);
}

/// Bodies with equal bytes arrived under two ids that are not signed.
#[cfg(feature = "idempotency")]
pub(crate) fn replay_suspected(provider: &str, outcome: &'static str) {
    sink::replay_suspected(provider, outcome);
    meter::replay_suspected(provider, outcome);
}

/// The store failed.
#[cfg(feature = "idempotency")]
pub(crate) fn store_failed(provider: &str, call: &'static str, cause: &crate::error::StoreError) {
    sink::store_failed(provider, call, cause);
    meter::store_failed(provider, call);
}

/// A new message was stored, with its deliveries.
#[cfg(feature = "send")]
pub(crate) fn dispatched(deliveries: u32) {
    send_meter::dispatched(deliveries);
}

/// A delivery was answered with a 2xx; `age` is the time since it was created.
#[cfg(feature = "send")]
pub(crate) fn delivered(age: std::time::Duration) {
    send_meter::delivery("delivered");
    send_meter::delivery_seconds(age);
}

/// A delivery is held because its own attempt disabled its endpoint.
#[cfg(feature = "send")]
pub(crate) fn held() {
    send_meter::delivery("held");
}

/// A delivery is given up.
#[cfg(feature = "send")]
pub(crate) fn given_up(endpoint: &dyn std::fmt::Display, message: &str, attempt: u32, state: &'static str) {
    sink::given_up(endpoint, message, attempt, state);
    send_meter::delivery(state);
}

/// A worker disabled an endpoint.
#[cfg(feature = "send")]
pub(crate) fn endpoint_disabled(endpoint: &dyn std::fmt::Display, reason: &'static str) {
    sink::endpoint_disabled(endpoint, reason);
    send_meter::endpoint_disabled(reason);
}

/// An endpoint was disabled by a call of the application, which does not need a log event.
#[cfg(feature = "send")]
pub(crate) fn endpoint_disabled_as_asked(reason: &'static str) {
    send_meter::endpoint_disabled(reason);
}

/// The purge changed or removed this many rows.
#[cfg(feature = "send")]
pub(crate) fn purged(rows: u64) {
    send_meter::purged(rows);
}

/// There has been more to purge than was purged since this time; zero means that it is over.
#[cfg(feature = "send")]
pub(crate) fn purge_behind(since: std::time::Duration) {
    sink::purge_behind(since);
    send_meter::purge_behind(since);
}

/// A call of a worker to the outbox failed.
#[cfg(feature = "send")]
pub(crate) fn outbox_failed(call: &'static str, cause: &(dyn std::error::Error + 'static)) {
    sink::outbox_failed(call, cause);
    send_meter::outbox_failed(call);
}

/// Returns text as one short line for a log. The text may come from the sender: a key, an event type.
#[cfg(feature = "axum")]
pub(crate) fn line(text: &str) -> String {
    const LONGEST: usize = 300;
    let mut line = String::new();
    for character in text.chars() {
        if line.len() >= LONGEST {
            line.push('…');
            break;
        }
        if character.is_control() { line.extend(character.escape_default()) } else { line.push(character) }
    }
    line
}

#[cfg(all(test, feature = "axum"))]
mod tests {
    use super::line;

    #[test]
    fn text_of_the_sender_is_one_short_line_in_a_log() {
        assert_eq!(line("a\nb\u{1b}[31m"), "a\\nb\\u{1b}[31m");
        assert!(line(&"x".repeat(1_000_000)).len() < 310);
    }
}
