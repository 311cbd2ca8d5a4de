use std::{fmt, sync::Arc};

use crate::pattern::Subject;

/// The id of a delivery, as the sender names it. It is never empty.
///
/// ```
/// use tower_webhooks::Delivery;
///
/// async fn on_event(delivery: Delivery) -> String {
///     match delivery.id() {
///         Some(id) => format!("handled {}", id.as_str()),
///         None => "handled a delivery without an id".to_owned(),
///     }
/// }
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeliveryId(Arc<str>);

/// The type of an event, such as `invoice.paid` or `issues.opened`, never empty.
///
/// ```
/// use tower_webhooks::Delivery;
///
/// async fn on_event(delivery: Delivery) -> String {
///     match delivery.event_type().map(|event_type| event_type.as_str()) {
///         Some("invoice.paid") => "thank you".to_owned(),
///         Some(other) => format!("{other} is not handled"),
///         None => "an event without a type".to_owned(),
///     }
/// }
/// ```
#[derive(Clone)]
pub struct EventType {
    text: Arc<str>,
    /// How long the first part is, where the sender puts the type together from two.
    first: Option<usize>,
}

impl EventType {
    pub(super) fn new(text: &str, first: Option<usize>) -> Option<Self> {
        (!text.is_empty()).then(|| Self { text: text.into(), first })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How long the first part is, where the sender puts the type together from two.
    #[cfg(feature = "inbox")]
    pub(super) fn first(&self) -> Option<usize> {
        self.first
    }

    pub(crate) fn subject(&self) -> Subject<'_> {
        Subject { whole: &self.text, first: self.first.and_then(|length| self.text.get(..length)) }
    }
}

impl DeliveryId {
    pub(super) fn new(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq for EventType {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for EventType {}

impl std::hash::Hash for EventType {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

macro_rules! text {
    ($name:ident) => {
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.as_str() == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                self.as_str() == *other
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                // Escaped: it is the sender's text.
                fmt::Debug::fmt(self.as_str(), f)
            }
        }
    };
}

text!(DeliveryId);
text!(EventType);

/// Whether a delivery is about live data or test data.
///
/// ```
/// use axum::http::StatusCode;
/// use tower_webhooks::{Delivery, delivery::Mode};
///
/// async fn on_payment(delivery: Delivery) -> StatusCode {
///     if delivery.mode() == Some(Mode::Test) {
///         return StatusCode::OK; // no goods for test money
///     }
///     StatusCode::ACCEPTED
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mode {
    /// Real money, real people.
    Live,
    /// The provider's test or sandbox mode.
    Test,
}
