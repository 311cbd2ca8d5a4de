/// The target of all log events, spans and counters.
#[allow(dead_code)] // Not used without both features.
pub(super) const TARGET: &str = "tower_webhooks";
