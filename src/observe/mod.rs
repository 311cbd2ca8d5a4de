//! What the operator is told. No payload, no secret, no signature, and no text of the sender's unescaped.
//!
//! Rules:
//! 1. Log events and spans need the feature `tracing`, counters the feature `metrics`; without them they are nothing. A file
//!    exists or does not.
//! 2. Everything is under the target `tower_webhooks`.
//! 3. Labels of counters are bounded: the provider, a kind, an outcome. Ids, event types and tenants are in spans alone.
//! 4. Where nobody listens, a request pays no allocation and no walk over its body for any of this.

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

// What is both logged and counted is below, and hides the function of the same name that only logs.
pub(crate) use self::{handling::Handling, meter::Meter, outcome::Outcome, sink::*, spans::ReceiveSpan};

#[allow(dead_code)] // Without both features nobody is told anything.
const TARGET: &str = "tower_webhooks";

/// A copy of a delivery came.
#[cfg(feature = "idempotency")]
pub(crate) fn duplicate(provider: &str, state: &'static str) {
    sink::duplicate(provider, state);
    meter::duplicate(provider, state);
}

/// Equal bytes came under two ids that are not signed.
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

/// How an attempt ended.
#[cfg(feature = "send")]
#[allow(dead_code)] // Nobody reads it without the feature `tracing`.
pub(crate) struct Attempted<'a> {
    pub(crate) status: Option<u16>,
    pub(crate) reason: Option<&'static str>,
    pub(crate) refused: bool,
    pub(crate) cause: Option<&'a (dyn std::error::Error + 'static)>,
}
