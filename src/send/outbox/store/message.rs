use std::{
    fmt,
    str::FromStr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::send::outbox::store::ids::IdError;

/// A message as it is kept.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessageRecord {
    /// Where it is in the order of the tenant's messages.
    pub place: MessagePlace,
    /// Its id.
    pub id: String,
    /// Its event type.
    pub event_type: String,
    /// Whose it is; empty in an application without tenants.
    pub tenant: Arc<str>,
    /// The version of the API that shaped its payload.
    pub version: Option<String>,
    /// When it happened.
    pub timestamp: SystemTime,
    /// Its payload, as JSON. `None` in a list, and when the payload was dropped after its
    /// [retention](crate::send::Retention::content).
    pub payload: Option<String>,
}

impl MessageRecord {
    /// Creates the record of a message without a payload.
    pub fn new(
        place: MessagePlace,
        id: impl Into<String>,
        event_type: impl Into<String>,
        tenant: impl Into<Arc<str>>,
        timestamp: SystemTime,
    ) -> Self {
        Self {
            place,
            id: id.into(),
            event_type: event_type.into(),
            tenant: tenant.into(),
            version: None,
            timestamp,
            payload: None,
        }
    }

    /// Returns when it was dispatched, by the store's clock.
    pub fn created_at(&self) -> SystemTime {
        self.place.created_at()
    }
}

impl fmt::Debug for MessageRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No payload: it is the customers' data.
        f.debug_struct("MessageRecord")
            .field("id", &self.id)
            .field("event_type", &self.event_type)
            .finish_non_exhaustive()
    }
}

/// What became of a message that was dispatched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dispatched {
    /// There is another message under this id. Nothing was stored.
    Conflict,
    /// The message was there already.
    Known {
        /// How many deliveries it has.
        deliveries: u32,
    },
    /// The message is new.
    Stored {
        /// How many deliveries it has.
        deliveries: u32,
    },
}

/// Where a message is in the order of its tenant's messages: when it was dispatched, and its number in the store.
///
/// ```
/// use tower_webhooks::send::MessagePlace;
///
/// let place = MessagePlace::new(1_764_000_000_000, 17);
/// assert_eq!(place.to_string().parse::<MessagePlace>()?, place);
///
/// assert!("17".parse::<MessagePlace>().is_err());
/// # Ok::<(), tower_webhooks::send::IdError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessagePlace {
    millis: u64,
    number: u64,
}

impl MessagePlace {
    /// Creates a place from a time in milliseconds since the Unix epoch and a number.
    pub fn new(millis: u64, number: u64) -> Self {
        Self { millis, number }
    }

    /// Returns when the message was dispatched, in milliseconds since the Unix epoch.
    pub fn millis(self) -> u64 {
        self.millis
    }

    /// Returns the message's number.
    pub fn number(self) -> u64 {
        self.number
    }

    /// Returns when the message was dispatched.
    pub fn created_at(self) -> SystemTime {
        UNIX_EPOCH.checked_add(Duration::from_millis(self.millis)).unwrap_or(UNIX_EPOCH)
    }
}

impl fmt::Display for MessagePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.millis, self.number)
    }
}

impl FromStr for MessagePlace {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let number = |text: &str| {
            // `parse` takes a sign as well, and no store has larger numbers.
            let digits = Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
            digits.parse().ok().filter(|number| i64::try_from(*number).is_ok())
        };
        let (millis, place) = text.split_once('-').ok_or(IdError(()))?;
        match (number(millis), number(place)) {
            (Some(millis), Some(number)) => Ok(Self { millis, number }),
            _ => Err(IdError(())),
        }
    }
}

/// Which messages to read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessageQuery {
    /// Those before a place.
    pub before: Option<MessagePlace>,
}

impl MessageQuery {
    /// Wants the messages before a place: that of the last message of a page, for the next page.
    #[must_use]
    pub fn before(mut self, place: MessagePlace) -> Self {
        self.before = Some(place);
        self
    }
}
