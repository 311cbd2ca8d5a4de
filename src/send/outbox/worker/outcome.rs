//! What an attempt means for its delivery and its endpoint, as pure functions.

use std::{error::Error, io, time::SystemTime};

use http::StatusCode;
use serde_json::json;

use crate::{
    net::destination::EndpointUrl,
    send::{
        attempt::{AttemptError, AttemptErrorKind, AttemptResult, EndpointResponse},
        message::{message::Message, own::ENDPOINT_DISABLED},
        outbox::store::{
            delivery::DeliveryState,
            endpoint::{DisabledReason, EndpointRecord},
            lease::{After, Fault, Finish},
        },
        retry::{NextStep, RetryPolicy},
    },
};

/// Returns what happens to a delivery after the attempt of this number in its round.
pub(crate) fn after(retries: &RetryPolicy, result: &AttemptResult, round_attempt: u32, random: u64) -> After {
    // Only the wait counts: the store adds it to its own time.
    let now = SystemTime::UNIX_EPOCH;
    match retries.next_step(result.outcome(), round_attempt, now, random) {
        NextStep::Delivered => After::Delivered,
        NextStep::Disable => After::Gone,
        NextStep::Exhausted => After::Exhausted,
        NextStep::Refused => After::Refused,
        NextStep::Retry { at } => After::Retry { wait: at.duration_since(now).unwrap_or_default() },
    }
}

/// Returns the result of an attempt to store.
pub(crate) fn finish(result: &AttemptResult, after: After) -> Finish {
    let mut finish = Finish::new(after);
    finish.status = result.status().map(|status| status.as_u16());
    finish.error = result.error_kind().map(AttemptErrorKind::as_str);
    finish.duration = result.duration();
    let is_ours = matches!(result.error_kind(), Some(AttemptErrorKind::Conversion | AttemptErrorKind::Proxy));
    if is_ours || result.error().is_some_and(is_of_this_machine) {
        finish.fault = Fault::Sender;
    }
    finish.answer = result.response().map(EndpointResponse::start).cloned().unwrap_or_default();
    let throttles = |answer: &&EndpointResponse| {
        matches!(answer.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
    };
    finish.retry_after = result.response().filter(throttles).and_then(EndpointResponse::retry_after);
    finish
}

/// Returns `true` if no connection was made since this machine had no file, port or network for it. That does not count against
/// an endpoint; otherwise all of them would rest.
fn is_of_this_machine(error: &AttemptError) -> bool {
    // ENFILE and EMFILE, which have no kind, and ENOBUFS.
    const CODES: [i32; 3] = [23, 24, if cfg!(target_os = "linux") { 105 } else { 55 }];
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            let is_kind = matches!(
                error.kind(),
                io::ErrorKind::AddrNotAvailable | io::ErrorKind::NetworkDown | io::ErrorKind::OutOfMemory
            );
            return is_kind || cfg!(unix) && error.raw_os_error().is_some_and(|code| CODES.contains(&code));
        }
        cause = error.source();
    }
    false
}

/// Returns the message that tells the tenant's other endpoints if this attempt disables its endpoint. `None` without a tenant. It
/// contains neither path nor query of the URL, which may be credentials. Each has a random id, since an endpoint can be disabled
/// more than once.
pub(crate) fn notice(endpoint: &EndpointRecord, url: &EndpointUrl, after: After) -> Option<Message> {
    // Without tenants the endpoints of all customers are together, and would learn each other's URLs.
    if endpoint.tenant.is_empty() {
        return None;
    }
    let reason = disables_for(after)?;
    let payload = json!({ "endpoint": endpoint.id.to_string(), "url": url.origin(), "reason": reason.as_str() });
    Some(Message::new(ENDPOINT_DISABLED, &payload).ok()?.tenant(endpoint.tenant.clone()))
}

/// Returns the reason for which an attempt that ended in this way may disable its endpoint.
pub(crate) fn disables_for(after: After) -> Option<DisabledReason> {
    match after {
        After::Gone => Some(DisabledReason::Gone),
        After::Exhausted | After::Refused | After::Retry { .. } => Some(DisabledReason::Failing),
        After::Delivered | After::Unsent { .. } => None,
    }
}

/// Returns the state of a delivery after an attempt, as far as the worker knows it.
pub(crate) fn state(after: After, disabled: Option<DisabledReason>) -> DeliveryState {
    match after {
        After::Retry { .. } if disabled.is_some() => DeliveryState::Held,
        After::Delivered => DeliveryState::Delivered,
        After::Exhausted => DeliveryState::Exhausted,
        After::Gone => DeliveryState::Held,
        After::Refused => DeliveryState::Refused,
        After::Retry { .. } | After::Unsent { .. } => DeliveryState::Pending,
    }
}
