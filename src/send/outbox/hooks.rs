use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use bytes::Bytes;

use crate::{
    net::destination::Origin,
    observe,
    send::{
        attempt::AttemptResult,
        message::message::Message,
        outbox::{
            endpoint::Endpoint,
            store::{
                delivery::DeliveryState,
                endpoint::{DisabledReason, EndpointRecord},
                ids::{EndpointId, OutboxId},
            },
        },
    },
};

/// An attempt that a worker made, as its hooks see it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Attempted<'a> {
    /// Which delivery.
    pub delivery: OutboxId,
    /// Its message.
    pub message: &'a Message,
    /// Where it went.
    pub endpoint: EndpointId,
    /// Which attempt it was, from 1. The numbers go on when the delivery is sent again.
    pub attempt: u32,
    /// Whether somebody asked for it by resending or recovering the delivery.
    pub manual: bool,
    /// How it ended.
    pub result: &'a AttemptResult,
    /// What became of the delivery.
    pub state: DeliveryState,
}

/// An endpoint that a worker disabled, as the hook sees it.
#[non_exhaustive]
pub struct Disabled<'a> {
    /// Which.
    pub endpoint: EndpointId,
    /// Whose it is, where the application has tenants.
    pub tenant: Option<&'a str>,
    /// Where it is.
    pub url: &'a str,
    /// Why.
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

/// What the application wants to be told.
#[derive(Clone, Default)]
pub(crate) struct Hooks {
    pub(crate) delivered: Option<OnAttempt>,
    pub(crate) attempt_failed: Option<OnAttempt>,
    pub(crate) exhausted: Option<OnAttempt>,
    pub(crate) disabled: Option<OnDisabled>,
    pub(crate) redact: Option<Redact>,
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

    /// What the application lets be kept of an answer.
    pub(crate) fn redacted(&self, endpoint: &EndpointRecord, answer: Bytes) -> Bytes {
        let Some(redact) = self.redact.as_ref().filter(|_| !answer.is_empty()) else { return answer };
        catch_unwind(AssertUnwindSafe(|| redact(&Endpoint(endpoint.clone()), answer))).unwrap_or_else(|_| {
            observe::redaction_panicked();
            Bytes::new()
        })
    }
}

/// A hook that panics keeps nothing from the other hooks, nor from the tenant's other endpoints.
fn guarded(hook: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(hook)).is_err() {
        observe::hook_panicked();
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks").finish_non_exhaustive()
    }
}
