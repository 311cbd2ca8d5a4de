use std::error::Error;

use tracing::{debug, error, warn};

use super::target::TARGET;
use crate::error::{VerifyError, VerifyErrorKind};
#[cfg(feature = "axum")]
use crate::pattern::Mistake;

/// A request was rejected.
pub(crate) fn rejected(provider: &str, status: u16, cause: &VerifyError) {
    let reason = cause.kind().as_str();
    let hint = cause.hint().map(tracing::field::display);
    match cause.kind() {
        // The operator must act, or deliveries are lost when the sender gives up.
        VerifyErrorKind::SecretUnavailable => error!(
            target: TARGET, provider, status, reason, hint, cause = source(cause), "rejected a request: {cause}"
        ),
        // Clients that disconnect, scanners that use GET, and invented tenants are normal on the internet.
        VerifyErrorKind::BodyIncomplete | VerifyErrorKind::MethodNotAllowed | VerifyErrorKind::UnknownTenant => {
            debug!(target: TARGET, provider, status, reason, hint, "rejected a request: {cause}");
        }
        _ => warn!(target: TARGET, provider, status, reason, hint, "rejected a request: {cause}"),
    }
}

/// A handler, or another part of the application, panicked.
pub(crate) fn panicked(provider: &str) {
    error!(target: TARGET, provider, "a handler panicked; the request is answered with 500");
}

/// A layer was built whose scheme does not protect the body.
pub(crate) fn body_not_covered(provider: &str) {
    warn!(
        target: TARGET, provider,
        "the signature of this scheme does not cover the body: anyone who sees one request can send any other"
    );
}

/// Keys that a sender publishes are left out.
#[cfg(feature = "remote-keys")]
pub(crate) fn keys_left_out(source: &str, reason: &'static str, count: usize) {
    warn!(
        target: TARGET, source, reason, count,
        "keys that the sender publishes are not used; requests that they have signed are rejected"
    );
}

/// A layer was built with a weak scheme.
pub(crate) fn weak_scheme(provider: &str, weakness: &'static str) {
    warn!(target: TARGET, provider, "this scheme is weaker than it could be: {weakness}");
}

/// A layer was built that does not verify requests.
pub(crate) fn not_verified(provider: &str) {
    warn!(target: TARGET, provider, "verification is off: every request is accepted as the sender's");
}

/// A secret is so short that it could be guessed.
pub(crate) fn short_secret(provider: &str) {
    warn!(target: TARGET, provider, "a secret is shorter than the recommended 16 bytes");
}

/// A handler on a route without a layer uses an extractor.
#[cfg(feature = "axum")]
pub(crate) fn no_layer(extractor: &str) {
    error!(
        target: TARGET, extractor,
        "no `WebhookLayer` on this route; add `.layer(WebhookLayer::…)` to the route, or `Router::route_layer`"
    );
}

/// A handler takes a claim on a route without idempotency.
#[cfg(feature = "axum")]
pub(crate) fn no_claim() {
    error!(
        target: TARGET,
        "no idempotency on this route, or a delivery without an id that runs without a claim; add `.with_idempotency(store)` to \
         its `WebhookLayer`, or take `Option<Claim>`"
    );
}

/// A handler discarded an event.
#[cfg(feature = "axum")]
pub(crate) fn discarded(reason: &str) {
    warn!(target: TARGET, reason, "a handler discarded an event; the sender receives a success");
}

/// No handler wants the type of an event.
#[cfg(any(feature = "axum", feature = "inbox"))]
pub(crate) fn unhandled(provider: &str, event_type: Option<&str>) {
    debug!(target: TARGET, provider, event_type, "no handler wants this event type; the sender receives a success");
}

/// A payload of an old API version could not be converted to a newer one.
#[cfg(feature = "axum")]
pub(crate) fn not_upcast(provider: &str, event_type: Option<&str>, cause: &(dyn Error + 'static)) {
    error!(target: TARGET, provider, event_type, cause, "an upcaster failed");
}

/// A verified payload could not be parsed.
#[cfg(feature = "axum")]
pub(crate) fn not_parsed(provider: &str, event_type: Option<&str>, path: &str, message: &str) {
    // Without a status: a handler may take the `Result` and choose the response itself. The span has the actual status.
    warn!(target: TARGET, provider, event_type, path, "a verified event could not be parsed: {message}");
}

/// The body of an event could not be read, so no handler could be chosen.
#[cfg(feature = "axum")]
pub(crate) fn not_routed(provider: &str, event_type: Option<&str>, message: &str) {
    let event_type = event_type.map(super::line::line);
    warn!(target: TARGET, provider, event_type, "a verified event could not be routed: {message}");
}

/// There are handlers for the type of an event, but only for other API versions.
#[cfg(feature = "axum")]
pub(crate) fn version_unhandled(provider: &str, event_type: Option<&str>, api_version: Option<&str>) {
    let (event_type, api_version) = (event_type.map(super::line::line), api_version.map(super::line::line));
    warn!(
        target: TARGET, provider, event_type, api_version,
        "no handler wants this API version of the event type, although there are handlers for others; the sender receives a success"
    );
}

/// No handler wants the type of an event, which looks like a mistake. `place` is an enum or a router.
#[cfg(feature = "axum")]
pub(crate) fn never_matches(place: &'static str, provider: &str, event_type: &str, mistake: Mistake<'_>) {
    let event_type = super::line::line(event_type);
    match mistake {
        Mistake::NoneHasParts => warn!(
            target: TARGET, provider, event_type,
            "no pattern of this {place} can match an event type such as this one, and the sender receives a success; \
             in an enum, name each variant with `#[serde(rename = \"…\")]`"
        ),
        Mistake::Written(pattern) => warn!(
            target: TARGET, provider, event_type, pattern = super::line::line(pattern),
            "a pattern of this {place} looks like this event type but does not match it, and the sender receives a \
             success; patterns are compared letter by letter; in an enum, name each variant with \
             `#[serde(rename = \"…\")]`"
        ),
    }
}

fn source(error: &VerifyError) -> Option<&(dyn Error + 'static)> {
    error.source()
}

/// Lets a spawned task log in the span of the task that spawned it.
#[cfg(feature = "idempotency")]
pub(crate) fn in_current_span<F: Future>(future: F) -> impl Future<Output = F::Output> {
    tracing::Instrument::in_current_span(future)
}

/// An idempotency layer is outside of verification, or without it.
#[cfg(feature = "idempotency")]
pub(crate) fn misordered() {
    error!(
        target: TARGET,
        "the idempotency layer is not inside a `WebhookLayer`; use `WebhookLayer::…(…).with_idempotency(store)`"
    );
}

/// A duplicate of a delivery arrived.
#[cfg(feature = "idempotency")]
pub(crate) fn duplicate(provider: &str, state: &'static str) {
    debug!(target: TARGET, provider, state, "a duplicate of a delivery arrived");
}

/// Two bodies arrived under one id.
#[cfg(feature = "idempotency")]
pub(crate) fn other_body(provider: &str) {
    warn!(target: TARGET, provider, "a duplicate has another body than the first delivery of its id; the first one counts");
}

/// Bodies with equal bytes arrived under two ids that are not signed.
#[cfg(feature = "idempotency")]
pub(crate) fn replay_suspected(provider: &str, outcome: &'static str) {
    warn!(target: TARGET, provider, outcome, "a body with equal bytes arrived under another id, which is not signed: it may be a replay");
}

/// A layer was built whose idempotency has no effect.
#[cfg(feature = "idempotency")]
pub(crate) fn nothing_to_claim(provider: &str) {
    warn!(
        target: TARGET, provider,
        "deliveries of this scheme have no id, and equal bodies can be different events: idempotency has no effect, and each \
         duplicate runs. Declare `.id(…)` or `.bodies_are_unique()` in the scheme, or use `IdempotencyLayer::with_missing_id`"
    );
}

/// Two programs claim for one consumer in one store, without an application name.
#[cfg(feature = "idempotency")]
pub(crate) fn shared_store(provider: &str, consumer: &str, program: &str, other: &str) {
    warn!(
        target: TARGET, provider, consumer, program, other,
        "another program claims for the same consumer in the same store: if it is another application, each loses the events \
         that the other has handled. Give each a name with `application_name(\"…\")` in the options of its store"
    );
}

/// A SQLite database is in a mode in which readers and the writer wait for each other.
#[cfg(feature = "sqlite")]
pub(crate) fn journal_mode(mode: &str) {
    warn!(
        target: TARGET, journal_mode = mode,
        "the SQLite database of the store is in the journal mode `{mode}`, in which every reader delays commits; switch it to \
         write-ahead logging: `SqliteConnectOptions::journal_mode(SqliteJournalMode::Wal)`, or `PRAGMA journal_mode = WAL`"
    );
}

/// Neither a route nor the application names the consumer of a delivery.
#[cfg(feature = "idempotency")]
pub(crate) fn no_consumer(provider: &str) {
    error!(
        target: TARGET, provider,
        "no route matched this delivery, so its consumer has no name; it is answered with 500. Call \
         `IdempotencyLayer::with_consumer(\"…\")`, or put the layer on a route"
    );
}

/// A delivery has no id, and the application requires one.
#[cfg(feature = "idempotency")]
pub(crate) fn missing_id(provider: &str) {
    warn!(target: TARGET, provider, "rejected a delivery without an id");
}

/// The store failed.
#[cfg(feature = "idempotency")]
pub(crate) fn store_failed(provider: &str, call: &'static str, cause: &crate::error::StoreError) {
    error!(target: TARGET, provider, call, cause = cause.source(), "the store of claims failed: {cause}");
}

/// A handler exceeded its timeout.
#[cfg(feature = "idempotency")]
pub(crate) fn timed_out(provider: &str) {
    error!(target: TARGET, provider, "a handler was stopped at its timeout; the sender is asked to retry");
}

/// Another process owned the claim when its handler ended.
#[cfg(feature = "idempotency")]
pub(crate) fn overtaken(provider: &str) {
    warn!(target: TARGET, provider, "a handler outlived its claim: the delivery may have run twice");
}

/// A handler marked its claim in a transaction that was not committed.
#[cfg(feature = "idempotency")]
pub(crate) fn commit_forgotten(provider: &str) {
    error!(
        target: TARGET, provider,
        "a handler marked its claim in a transaction and answered a success, but the transaction is not committed; the delivery \
         is not acknowledged. Wait for `claim.commit(tx)`, or commit after `complete_in`"
    );
}

/// A delivery was handled, but the store could not record it.
#[cfg(feature = "idempotency")]
pub(crate) fn record_given_up(provider: &str) {
    error!(
        target: TARGET, provider,
        "a delivery was handled, and its record could not be written: the store could not be reached for an hour, or too many records \
         wait; a duplicate may run again"
    );
}

/// The operating system could not provide randomness.
#[cfg(feature = "idempotency")]
pub(crate) fn no_randomness() {
    error!(target: TARGET, "the operating system provided no randomness for a claim");
}

/// A client was built that may connect to more than the public internet by https.
#[cfg(any(feature = "remote-keys", feature = "send"))]
pub(crate) fn destination_opened(what: &str) {
    warn!(target: TARGET, what, "deliveries may go beyond the public internet by https: anyone who registers an endpoint can reach this");
}

/// An attempt of a worker or of `deliver` failed. Delivery, endpoint, host and number are fields of its span.
#[cfg(feature = "send")]
pub(crate) fn attempt_failed(end: &super::attempt::AttemptEnd<'_>) {
    let super::attempt::AttemptEnd { outcome, status, reason, duration, .. } = *end;
    let millis = crate::clock::millis(duration);
    tracing::info!(target: TARGET, outcome, status, reason, millis, "an attempt did not deliver");
}

/// An attempt ended. The words are those of its span; only this event has the cause.
#[cfg(feature = "send")]
pub(crate) fn attempted(host: &str, end: &super::attempt::AttemptEnd<'_>) {
    let super::attempt::AttemptEnd { outcome, status, reason, refused, kept_in, cause, duration } = *end;
    let millis = crate::clock::millis(duration);
    if refused {
        warn!(target: TARGET, host, outcome, reason, cause, millis, "an attempt was not made: its destination is not allowed");
    } else if kept_in {
        warn!(target: TARGET, host, outcome, reason, cause, millis, "an attempt was not made: the egress proxy refused the connection or failed");
    } else {
        debug!(target: TARGET, host, outcome, status, reason, cause, millis, "an attempt ended");
    }
}

/// A dispatcher stores secrets unsealed.
#[cfg(feature = "send")]
pub(crate) fn plain_secrets() {
    warn!(target: TARGET, "the secrets of endpoints are stored unsealed: anyone who reads the database can sign as you");
}

/// Purge does not keep up, or does again.
#[cfg(feature = "send")]
pub(crate) fn purge_behind(since: std::time::Duration) {
    let seconds = since.as_secs();
    if seconds == 0 {
        tracing::info!(target: TARGET, "the purge of the outbox keeps up again");
    } else {
        warn!(target: TARGET, seconds, "the purge of the outbox does not keep up; its tables grow");
    }
}

/// A worker's store failed.
#[cfg(feature = "send")]
pub(crate) fn outbox_failed(call: &'static str, cause: &(dyn Error + 'static)) {
    error!(target: TARGET, call, cause, "the outbox failed; deliveries are late but not lost");
}

/// A hook of the application panicked in a worker.
#[cfg(feature = "send")]
pub(crate) fn hook_panicked() {
    error!(target: TARGET, "a hook panicked; the result of its attempt was stored before");
}

/// A transport of the application panicked in a worker.
#[cfg(feature = "send")]
pub(crate) fn transport_panicked() {
    error!(target: TARGET, "the transport of an attempt panicked; the attempt counts as failed");
}

/// Something else panicked in a worker.
#[cfg(feature = "send")]
pub(crate) fn worker_panicked() {
    error!(target: TARGET, "an attempt panicked; the delivery is leased again when its lease ends, unless its result was stored");
}

/// An endpoint's secrets cannot be opened.
#[cfg(feature = "send")]
pub(crate) fn not_opened(endpoint: &dyn std::fmt::Display, cause: &(dyn Error + 'static)) {
    error!(target: TARGET, %endpoint, cause, "the secrets of an endpoint cannot be opened; its deliveries wait");
}

/// A row of the outbox cannot be read: a newer version wrote it, or it is damaged.
#[cfg(all(feature = "send", any(feature = "postgres", feature = "sqlite")))]
pub(crate) fn unreadable(what: &'static str, id: &dyn std::fmt::Display, cause: &(dyn Error + 'static)) {
    error!(target: TARGET, what, %id, cause, "a row of the outbox cannot be read; it is skipped, and the other rows are not affected");
}

/// A delivery is given up.
#[cfg(feature = "send")]
pub(crate) fn given_up(endpoint: &dyn std::fmt::Display, message: &str, attempt: u32, state: &str) {
    // A field `message` would be the text of the event.
    warn!(target: TARGET, %endpoint, message_id = message, attempt, state, "a delivery is given up");
}

/// A worker disabled an endpoint.
#[cfg(feature = "send")]
pub(crate) fn endpoint_disabled(endpoint: &dyn std::fmt::Display, reason: &str) {
    warn!(target: TARGET, %endpoint, reason, "an endpoint was disabled; its deliveries are held");
}

/// A new endpoint could not be pinged.
#[cfg(feature = "send")]
pub(crate) fn not_pinged(endpoint: &dyn std::fmt::Display, cause: &(dyn Error + 'static)) {
    error!(target: TARGET, %endpoint, cause, "a new endpoint could not be pinged; it is registered anyway");
}

/// A payload could not be converted to an endpoint's API version.
#[cfg(feature = "send")]
pub(crate) fn not_converted(
    endpoint: &dyn std::fmt::Display,
    event_type: &str,
    version: Option<&str>,
    cause: &(dyn Error + 'static),
) {
    error!(
        target: TARGET, %endpoint, event_type, version, cause,
        "a payload could not be converted to the API version of an endpoint; the delivery is retried later"
    );
}

/// A message with a large payload was dispatched.
#[cfg(feature = "send")]
pub(crate) fn large_payload(event_type: &str, bytes: usize) {
    warn!(
        target: TARGET, event_type, bytes,
        "a payload has 20 KiB or more, which some receivers do not accept; send a URL from which the rest can be fetched"
    );
}

/// A redaction of the application panicked.
#[cfg(feature = "send")]
pub(crate) fn redaction_panicked() {
    error!(target: TARGET, "a redaction panicked; what it was about to hide is neither stored nor shown");
}

/// A request to the API failed by a fault of the server.
#[cfg(feature = "api")]
pub(crate) fn api_failed(cause: &(dyn Error + 'static)) {
    error!(target: TARGET, cause = cause.source(), "a request to the management API failed: {cause}");
}

/// A handler of the API panicked.
#[cfg(feature = "api")]
pub(crate) fn api_panicked(cause: &(dyn Error + 'static)) {
    error!(target: TARGET, "a request to the management API did not end: {cause}");
}

/// A worked event is not done.
#[cfg(feature = "inbox")]
pub(crate) fn not_worked(reason: &str, is_dead: bool) {
    if is_dead {
        error!(target: TARGET, reason, "an event of the inbox is dead; replay or discard it");
    } else {
        warn!(target: TARGET, reason, "an event of the inbox failed, and is worked again later");
    }
}

/// The store of an inbox failed.
#[cfg(feature = "inbox")]
pub(crate) fn inbox_failed(call: &'static str, cause: &(dyn Error + 'static)) {
    error!(target: TARGET, call, cause, "the inbox failed; what was acknowledged is not lost");
}

/// A dead event was replaced by another body with the same id, which is not signed.
#[cfg(feature = "inbox")]
pub(crate) fn inbox_replaced(provider: &str) {
    warn!(target: TARGET, provider, "a dead event was replaced by another body under its id, which is not signed: it may be a replay");
}

/// An inbox takes no more.
#[cfg(feature = "inbox")]
pub(crate) fn inbox_full(provider: &str) {
    warn!(target: TARGET, provider, "the limit of waiting events in the inbox is reached; the sender is asked to retry");
}

/// Events have been begun as often as allowed, and none of their workers has noted how they ended.
#[cfg(feature = "inbox")]
pub(crate) fn inbox_exhausted(events: u64) {
    error!(target: TARGET, events, "events of the inbox are dead: each of their attempts ended with its worker");
}

/// A worker was slower than its lease.
#[cfg(feature = "inbox")]
pub(crate) fn inbox_overtaken(event: &dyn std::fmt::Display) {
    warn!(target: TARGET, %event, "a handler outlived the lease of its event: the event may have run twice");
}

/// A stored event cannot be read.
#[cfg(feature = "inbox")]
pub(crate) fn inbox_unreadable(reason: &str) {
    error!(target: TARGET, reason, "an event that was stored cannot be read, and is dead");
}

/// A message of a queue was not written by a program with the key.
#[cfg(feature = "inbox")]
pub(crate) fn sink_forged(message: &dyn std::fmt::Display, reason: &str) {
    error!(target: TARGET, %message, reason, "a message of the queue is not one that was sealed for it, and is dead: somebody else may write into the queue");
}

/// A queue takes no messages of this size.
#[cfg(feature = "inbox")]
pub(crate) fn sink_too_large(provider: &str, bytes: usize) {
    error!(target: TARGET, provider, bytes, "a delivery is larger than what the queue takes; its sender is told so, and may not repeat it");
}

/// A body limit is lowered to the limit of a queue.
#[cfg(feature = "inbox")]
pub(crate) fn sink_limits_bodies(provider: &str, limit: usize, lowered: usize) {
    warn!(target: TARGET, provider, limit, lowered, "the queue takes smaller messages than the layer; its body limit is lowered to that");
}

/// A job of an inbox panicked outside of its handler.
#[cfg(feature = "inbox")]
pub(crate) fn inbox_worker_panicked() {
    error!(target: TARGET, "an inbox worker panicked outside of a handler; its event is due again when its lease ends, unless the result was stored");
}

/// The server of an inbox may lose what it has acknowledged.
#[cfg(all(feature = "inbox", feature = "redis"))]
pub(crate) fn inbox_not_durable(setting: &str, value: &str, what: &'static str) {
    let value = value.escape_debug();
    warn!(target: TARGET, setting, %value, "the Redis server of an inbox is not as durable as it could be: {what}");
}

/// Somebody else has changed the stream of an inbox.
#[cfg(all(feature = "inbox", feature = "redis"))]
pub(crate) fn inbox_stream_changed(consumer: &str, what: &'static str, count: Option<u64>) {
    error!(target: TARGET, consumer, count, "somebody else has changed the Redis stream of an inbox: {what}");
}
