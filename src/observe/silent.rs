use crate::error::VerifyError;

pub(crate) fn rejected(_provider: &str, _status: u16, _cause: &VerifyError) {}

pub(crate) fn panicked(_provider: &str) {}

pub(crate) fn body_not_covered(_provider: &str) {}

#[cfg(feature = "remote-keys")]
pub(crate) fn keys_left_out(_source: &str, _reason: &'static str, _count: usize) {}

pub(crate) fn weak_scheme(_provider: &str, _weakness: &'static str) {}

pub(crate) fn not_verified(_provider: &str) {}

pub(crate) fn short_secret(_provider: &str) {}

#[cfg(feature = "axum")]
pub(crate) fn no_layer(_extractor: &str) {}

#[cfg(feature = "axum")]
pub(crate) fn not_parsed(_provider: &str, _event_type: Option<&str>, _path: &str, _message: &str) {}

#[cfg(feature = "axum")]
pub(crate) fn not_routed(_provider: &str, _event_type: Option<&str>, _message: &str) {}

#[cfg(feature = "axum")]
pub(crate) fn version_unhandled(_provider: &str, _event_type: Option<&str>, _api_version: Option<&str>) {}

#[cfg(feature = "axum")]
pub(crate) fn never_matches(
    _place: &'static str,
    _provider: &str,
    _event_type: &str,
    _mistake: crate::pattern::Mistake<'_>,
) {
}

#[cfg(feature = "axum")]
pub(crate) fn no_claim() {}

#[cfg(feature = "axum")]
pub(crate) fn discarded(_reason: &str) {}

#[cfg(feature = "idempotency")]
pub(crate) fn in_current_span<F: Future>(future: F) -> F {
    future
}

#[cfg(feature = "idempotency")]
pub(crate) fn misordered() {}

#[cfg(feature = "idempotency")]
pub(crate) fn duplicate(_provider: &str, _state: &'static str) {}

#[cfg(feature = "idempotency")]
pub(crate) fn other_body(_provider: &str) {}

#[cfg(feature = "idempotency")]
pub(crate) fn replay_suspected(_provider: &str, _outcome: &'static str) {}

#[cfg(feature = "idempotency")]
pub(crate) fn nothing_to_claim(_provider: &str) {}

#[cfg(feature = "idempotency")]
pub(crate) fn shared_store(_provider: &str, _consumer: &str, _program: &str, _other: &str) {}

#[cfg(feature = "sqlite")]
pub(crate) fn journal_mode(_mode: &str) {}

#[cfg(feature = "idempotency")]
pub(crate) fn no_consumer(_provider: &str) {}

#[cfg(feature = "idempotency")]
pub(crate) fn missing_id(_provider: &str) {}

#[cfg(feature = "idempotency")]
pub(crate) fn store_failed(_provider: &str, _call: &'static str, _cause: &crate::error::StoreError) {}

#[cfg(feature = "idempotency")]
pub(crate) fn timed_out(_provider: &str) {}

#[cfg(feature = "idempotency")]
pub(crate) fn overtaken(_provider: &str) {}

#[cfg(feature = "idempotency")]
pub(crate) fn commit_forgotten(_provider: &str) {}

#[cfg(feature = "idempotency")]
pub(crate) fn record_given_up(_provider: &str) {}

#[cfg(feature = "idempotency")]
pub(crate) fn no_randomness() {}

#[cfg(any(feature = "axum", feature = "inbox"))]
pub(crate) fn unhandled(_provider: &str, _event_type: Option<&str>) {}

#[cfg(feature = "axum")]
pub(crate) fn not_upcast(_provider: &str, _event_type: Option<&str>, _cause: &(dyn std::error::Error + 'static)) {}

#[cfg(any(feature = "remote-keys", feature = "send"))]
pub(crate) fn destination_opened(_what: &str) {}

#[cfg(feature = "send")]
pub(crate) fn attempted(_host: &str, _end: &super::attempt::AttemptEnd<'_>) {}

#[cfg(feature = "send")]
pub(crate) fn plain_secrets() {}

#[cfg(feature = "send")]
pub(crate) fn purge_behind(_since: std::time::Duration) {}

#[cfg(feature = "send")]
pub(crate) fn outbox_failed(_call: &'static str, _cause: &(dyn std::error::Error + 'static)) {}

#[cfg(feature = "send")]
pub(crate) fn hook_panicked() {}

#[cfg(feature = "send")]
pub(crate) fn transport_panicked() {}

#[cfg(feature = "send")]
pub(crate) fn worker_panicked() {}

#[cfg(all(feature = "send", any(feature = "postgres", feature = "sqlite")))]
pub(crate) fn unreadable(_what: &'static str, _id: &dyn std::fmt::Display, _cause: &(dyn std::error::Error + 'static)) {
}

#[cfg(feature = "send")]
pub(crate) fn not_opened(_endpoint: &dyn std::fmt::Display, _cause: &(dyn std::error::Error + 'static)) {}

#[cfg(feature = "send")]
pub(crate) fn given_up(_endpoint: &dyn std::fmt::Display, _message: &str, _attempt: u32, _state: &str) {}

#[cfg(feature = "send")]
pub(crate) fn endpoint_disabled(_endpoint: &dyn std::fmt::Display, _reason: &str) {}

#[cfg(feature = "send")]
pub(crate) fn not_pinged(_endpoint: &dyn std::fmt::Display, _cause: &(dyn std::error::Error + 'static)) {}

#[cfg(feature = "send")]
pub(crate) fn not_converted(
    _endpoint: &dyn std::fmt::Display,
    _event_type: &str,
    _version: Option<&str>,
    _cause: &(dyn std::error::Error + 'static),
) {
}

#[cfg(feature = "send")]
pub(crate) fn large_payload(_event_type: &str, _bytes: usize) {}

#[cfg(feature = "send")]
pub(crate) fn redaction_panicked() {}

#[cfg(feature = "api")]
pub(crate) fn api_failed(_cause: &(dyn std::error::Error + 'static)) {}

#[cfg(feature = "api")]
pub(crate) fn api_panicked(_cause: &(dyn std::error::Error + 'static)) {}

#[cfg(feature = "inbox")]
pub(crate) fn inbox_failed(_call: &'static str, _cause: &(dyn std::error::Error + 'static)) {}

#[cfg(feature = "inbox")]
pub(crate) fn inbox_replaced(_provider: &str) {}

#[cfg(feature = "inbox")]
pub(crate) fn inbox_full(_provider: &str) {}

#[cfg(feature = "inbox")]
pub(crate) fn inbox_exhausted(_events: u64) {}

#[cfg(feature = "inbox")]
pub(crate) fn inbox_overtaken(_event: &dyn std::fmt::Display) {}

#[cfg(feature = "inbox")]
pub(crate) fn inbox_unreadable(_reason: &str) {}

#[cfg(feature = "inbox")]
pub(crate) fn sink_forged(_message: &dyn std::fmt::Display, _reason: &str) {}

#[cfg(feature = "inbox")]
pub(crate) fn sink_too_large(_provider: &str, _bytes: usize) {}

#[cfg(feature = "inbox")]
pub(crate) fn sink_limits_bodies(_provider: &str, _limit: usize, _lowered: usize) {}

#[cfg(feature = "inbox")]
pub(crate) fn inbox_worker_panicked() {}

#[cfg(all(feature = "inbox", feature = "redis"))]
pub(crate) fn inbox_not_durable(_setting: &str, _value: &str, _what: &'static str) {}

#[cfg(all(feature = "inbox", feature = "redis"))]
pub(crate) fn inbox_stream_changed(_consumer: &str, _what: &'static str, _count: Option<u64>) {}
