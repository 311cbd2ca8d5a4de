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
mod attempt;
#[cfg(feature = "send")]
mod attempting;
mod handling;
#[cfg(feature = "inbox")]
mod inbox_depth;
#[cfg(feature = "axum")]
mod line;
mod outcome;
mod target;
#[cfg(feature = "inbox")]
mod working;

#[cfg(feature = "tracing")]
mod events;
#[cfg(not(feature = "tracing"))]
#[path = "silent.rs"]
mod events;

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

#[cfg(feature = "dashboard")]
mod process;
#[cfg(not(feature = "dashboard"))]
#[path = "no_process.rs"]
mod process;

#[cfg(all(feature = "send", feature = "metrics"))]
mod send_meter;
#[cfg(all(feature = "send", not(feature = "metrics")))]
#[path = "no_send_meter.rs"]
mod send_meter;

#[cfg(all(feature = "inbox", feature = "metrics"))]
mod inbox_meter;
#[cfg(all(feature = "inbox", not(feature = "metrics")))]
#[path = "no_inbox_meter.rs"]
mod inbox_meter;

// Functions that both log and count are below, and shadow the function of the same name that only logs.
#[cfg(feature = "axum")]
pub(crate) use self::line::line;
#[cfg(feature = "dashboard")]
pub(crate) use self::process::Received;
#[cfg(feature = "send")]
pub(crate) use self::{
    attempt::{AttemptEnd, AttemptHead},
    attempting::Attempting,
};
pub(crate) use self::{events::*, handling::Handling, meter::Meter, outcome::Outcome, spans::ReceiveSpan};

#[cfg(feature = "inbox")]
pub(crate) use self::{inbox_depth::InboxDepth, working::Working};

/// A duplicate of a delivery arrived.
#[cfg(feature = "idempotency")]
pub(crate) fn duplicate(provider: &str, state: &'static str) {
    events::duplicate(provider, state);
    meter::duplicate(provider, state);
    process::duplicate();
}

/// Bodies with equal bytes arrived under two ids that are not signed.
#[cfg(feature = "idempotency")]
pub(crate) fn replay_suspected(provider: &str, outcome: &'static str) {
    events::replay_suspected(provider, outcome);
    meter::replay_suspected(provider, outcome);
}

/// The store failed.
#[cfg(feature = "idempotency")]
pub(crate) fn store_failed(provider: &str, call: &'static str, cause: &crate::error::StoreError) {
    events::store_failed(provider, call, cause);
    meter::store_failed(provider, call);
}

/// Keys that a sender publishes are left out; `source` is their address.
#[cfg(feature = "remote-keys")]
pub(crate) fn keys_left_out(source: &str, reason: &'static str, count: usize) {
    events::keys_left_out(source, reason, count);
    meter::keys_left_out(reason, count);
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
    events::given_up(endpoint, message, attempt, state);
    send_meter::delivery(state);
}

/// A worker disabled an endpoint.
#[cfg(feature = "send")]
pub(crate) fn endpoint_disabled(endpoint: &dyn std::fmt::Display, reason: &'static str) {
    events::endpoint_disabled(endpoint, reason);
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
    events::purge_behind(since);
    send_meter::purge_behind(since);
}

/// A call of a worker to the outbox failed.
#[cfg(feature = "send")]
pub(crate) fn outbox_failed(call: &'static str, cause: &(dyn std::error::Error + 'static)) {
    events::outbox_failed(call, cause);
    send_meter::outbox_failed(call);
}

/// An event came to an inbox, and its store has answered.
#[cfg(feature = "inbox")]
pub(crate) fn accepted(provider: &str, answer: &'static str) {
    inbox_meter::accepted(provider, answer);
}

/// The store of an inbox failed.
#[cfg(feature = "inbox")]
pub(crate) fn inbox_failed(call: &'static str, cause: &(dyn std::error::Error + 'static)) {
    events::inbox_failed(call, cause);
    inbox_meter::failed(call);
}

/// An event is dead that was not begun: whose it is cannot be read.
#[cfg(feature = "inbox")]
pub(crate) fn inbox_died_unread() {
    inbox_meter::died("unknown");
}

/// What there is of an inbox.
#[cfg(feature = "inbox")]
pub(crate) fn inbox_stats(consumer: &str, depth: &InboxDepth) {
    inbox_meter::depth(consumer, depth);
}

/// Purge changed or removed so many rows of an inbox.
#[cfg(feature = "inbox")]
pub(crate) fn inbox_purged(rows: u64) {
    inbox_meter::purged(rows);
}
