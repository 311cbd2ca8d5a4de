use std::{borrow::Cow, collections::BTreeMap};

use super::patterns::{labelled, wants};
use crate::send::outbox::store::{
    delivery::DeliveryState,
    endpoint::{DisabledReason, EndpointRecord},
    ids::EndpointId,
};

/// Returns the state in which a delivery waits for an endpoint.
///
/// ```
/// use tower_webhooks::send::{DeliveryState, DisabledReason, policy::waits_as};
///
/// assert_eq!(waits_as(None), DeliveryState::Pending);
/// assert_eq!(waits_as(Some(DisabledReason::Asked)), DeliveryState::Held);
/// ```
pub fn waits_as(disabled: Option<DisabledReason>) -> DeliveryState {
    if disabled.is_some() { DeliveryState::Held } else { DeliveryState::Pending }
}

/// A message that [`recover`](crate::send::OutboxLog::recover) looks at, and the endpoint's delivery of it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Looked<'m> {
    /// The only endpoint that the message is for, if it is for one.
    pub addressed: Option<EndpointId>,
    /// The event type of the message.
    pub event_type: &'m str,
    /// The labels of the message.
    pub labels: Cow<'m, BTreeMap<String, String>>,
    /// Whether the message has its payload.
    pub has_content: bool,
    /// The state of the endpoint's delivery of the message, if there is one.
    pub made: Option<DeliveryState>,
}

impl<'m> Looked<'m> {
    /// Creates the value for a message for all endpoints, of which this endpoint has no delivery.
    pub fn new(event_type: &'m str) -> Self {
        Self { addressed: None, event_type, labels: Cow::default(), has_content: true, made: None }
    }
}

/// What an endpoint missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)] // A store does each.
pub enum Missed {
    /// Its delivery of the message ended without success: it is due again, in another round.
    Ended,
    /// Its delivery of the message was never made.
    NeverMade,
}

/// Decides whether an endpoint missed a message.
///
/// ```
/// use std::time::SystemTime;
/// use tower_webhooks::send::{
///     DeliveryState, EndpointDraft, EndpointId, EndpointRecord, EndpointSettings, Sealed, Style,
///     policy::{Looked, Missed, missed},
/// };
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let sealed = Sealed::new("", &b""[..]);
/// let settings = EndpointSettings::new("https://example.com/", vec!["order.*".into()], Style::StandardWebhooks, sealed);
/// let draft = EndpointDraft::new(EndpointId::random()?, "", settings);
/// let endpoint = EndpointRecord::new(draft, SystemTime::UNIX_EPOCH);
///
/// let mut looked = Looked::new("order.completed");
/// assert_eq!(missed(&endpoint, &looked), Some(Missed::NeverMade));
///
/// looked.made = Some(DeliveryState::Delivered);
/// assert_eq!(missed(&endpoint, &looked), None);
/// # Ok(())
/// # }
/// ```
pub fn missed(endpoint: &EndpointRecord, looked: &Looked<'_>) -> Option<Missed> {
    if !looked.has_content || looked.addressed.is_some_and(|addressed| addressed != endpoint.id) {
        return None;
    }
    match looked.made {
        Some(DeliveryState::Refused | DeliveryState::Exhausted) => Some(Missed::Ended),
        Some(_) => None,
        None => {
            let patterns = endpoint.settings.events.iter().map(String::as_str);
            let wanted = wants(patterns, looked.event_type) && labelled(&endpoint.settings.labels, &looked.labels);
            wanted.then_some(Missed::NeverMade)
        }
    }
}
