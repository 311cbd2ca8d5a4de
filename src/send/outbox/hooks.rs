use std::{fmt, sync::Arc};

use bytes::Bytes;

use crate::{
    net::destination::Origin,
    observe,
    panics::caught,
    redaction::{Place, Redaction, Shown},
    send::{
        attempt::AttemptResult,
        message::message::Message,
        outbox::{
            endpoint::Endpoint,
            store::{
                delivery::DeliveryState,
                endpoint::{DisabledReason, EndpointRecord},
                ids::{EndpointId, SentDeliveryId},
            },
        },
    },
};

/// An attempt that a worker made, as hooks see it.
///
/// ```
/// use tower_webhooks::send::{Attempted, DispatcherBuilder};
///
/// fn with_log(builder: DispatcherBuilder) -> DispatcherBuilder {
///     builder.on_attempt_failed(|attempted: &Attempted<'_>| {
///         let status = attempted.result.status();
///         eprintln!("attempt {} of {} failed: {status:?}", attempted.attempt, attempted.delivery);
///     })
/// }
/// # let _ = with_log;
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Attempted<'a> {
    /// The delivery.
    pub delivery: SentDeliveryId,
    /// Its message.
    pub message: &'a Message,
    /// The endpoint.
    pub endpoint: EndpointId,
    /// The number of the attempt, from 1. It goes on when the delivery is sent again.
    pub attempt: u32,
    /// Whether the attempt was requested, by resending or recovering the delivery.
    pub manual: bool,
    /// How the attempt ended.
    pub result: &'a AttemptResult,
    /// The state of the delivery after the attempt.
    pub state: DeliveryState,
}

/// An endpoint that a worker disabled, as the hook sees it.
///
/// ```
/// use tower_webhooks::send::{Disabled, DispatcherBuilder};
///
/// fn with_mail(builder: DispatcherBuilder) -> DispatcherBuilder {
///     builder.on_endpoint_disabled(|disabled: &Disabled<'_>| {
///         eprintln!("mail to {:?}: {} is {}", disabled.tenant, disabled.url, disabled.reason.as_str());
///     })
/// }
/// # let _ = with_mail;
/// ```
#[non_exhaustive]
pub struct Disabled<'a> {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// Its tenant, if there is one.
    pub tenant: Option<&'a str>,
    /// Its URL.
    pub url: &'a str,
    /// Why it was disabled.
    pub reason: DisabledReason,
}

impl fmt::Debug for Disabled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disabled")
            .field("endpoint", &self.endpoint)
            .field("tenant", &self.tenant)
            .field("url", &Origin(self.url))
            .field("reason", &self.reason)
            .finish()
    }
}

pub(crate) type OnAttempt = Arc<dyn Fn(&Attempted<'_>) + Send + Sync>;
pub(crate) type OnDisabled = Arc<dyn Fn(&Disabled<'_>) + Send + Sync>;
pub(crate) type Redact = Arc<dyn Fn(&Endpoint, Bytes) -> Bytes + Send + Sync>;

/// The hooks that the application has set.
#[derive(Clone, Default)]
pub(crate) struct Hooks {
    pub(crate) delivered: Option<OnAttempt>,
    pub(crate) attempt_failed: Option<OnAttempt>,
    pub(crate) exhausted: Option<OnAttempt>,
    pub(crate) disabled: Option<OnDisabled>,
    pub(crate) redact: Option<Redact>,
    pub(crate) redaction: Redaction,
}

impl Hooks {
    pub(crate) fn attempted(&self, attempted: &Attempted<'_>) {
        let call = |hook: &Option<OnAttempt>| {
            if let Some(hook) = hook {
                guarded(|| hook(attempted));
            }
        };
        match attempted.state {
            DeliveryState::Delivered => call(&self.delivered),
            DeliveryState::Exhausted | DeliveryState::Refused => {
                call(&self.attempt_failed);
                call(&self.exhausted);
            }
            _ => call(&self.attempt_failed),
        }
    }
}

impl Hooks {
    pub(crate) fn endpoint_disabled(&self, disabled: &Disabled<'_>) {
        if let Some(hook) = &self.disabled {
            guarded(|| hook(disabled));
        }
    }

    /// Returns what the application keeps of an answer to a message.
    pub(crate) fn redacted(&self, endpoint: &EndpointRecord, message: &Message, answer: Bytes) -> Bytes {
        let answer = self.without_values(message, answer);
        let Some(redact) = self.redact.as_ref().filter(|_| !answer.is_empty()) else { return answer };
        caught(|| redact(&Endpoint(endpoint.clone()), answer)).unwrap_or_else(|_| {
            observe::redaction_panicked();
            Bytes::new()
        })
    }
}

impl Hooks {
    fn without_values(&self, message: &Message, answer: Bytes) -> Bytes {
        let text = String::from_utf8_lossy(&answer);
        let (event_type, tenant) = (message.event_type(), message.tenant_name());
        let kept = self.redaction.apply(&Shown::new(Place::Answer, &text).event_type(event_type).tenant(tenant));
        let hidden = (kept != text).then(|| kept.into_owned());
        // What is not UTF-8 stays so where nothing is hidden.
        hidden.map_or(answer, Bytes::from)
    }
}

/// Calls a hook. If it panics, the other hooks are still called.
fn guarded(hook: impl FnOnce()) {
    if caught(hook).is_err() {
        observe::hook_panicked();
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks").finish_non_exhaustive()
    }
}
