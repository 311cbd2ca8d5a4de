use std::{
    collections::BTreeMap,
    fmt,
    str::FromStr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::send::outbox::store::ids::IdError;

/// A stored message.
///
/// ```
/// use tower_webhooks::send::{MessageQuery, SendError, Tenant};
///
/// async fn show(acme: &Tenant) -> Result<(), SendError> {
///     for message in acme.messages(MessageQuery::default(), 50).await? {
///         println!("{} {} {:?}", message.id, message.event_type, message.created_at());
///     }
///     Ok(())
/// }
/// # let _ = show;
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessageRecord {
    /// Its place in the order of the tenant's messages.
    pub place: MessagePlace,
    /// Its id.
    pub id: String,
    /// Its event type.
    pub event_type: String,
    /// Its tenant, which is empty in an application without tenants.
    pub tenant: Arc<str>,
    /// The version of its payload, if it has one.
    pub version: Option<String>,
    /// Its labels, by name.
    pub labels: BTreeMap<String, String>,
    /// Its order key, if it has one.
    pub order_key: Option<String>,
    /// When the event happened.
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
            labels: BTreeMap::new(),
            order_key: None,
            timestamp,
            payload: None,
        }
    }

    /// Returns when the message was dispatched, by the store's clock.
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

/// What a store did with a dispatched message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dispatched {
    /// Another message has this id. Nothing was stored.
    Conflict,
    /// The message existed already.
    Known {
        /// The number of its deliveries.
        deliveries: u32,
    },
    /// The message is new.
    Stored {
        /// The number of its deliveries.
        deliveries: u32,
    },
}

/// The place of a message in the order of its tenant's messages: the time of its dispatch, and its number in the store.
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
///
/// ```
/// use tower_webhooks::send::{MessagePlace, MessageQuery};
///
/// let next_page = MessageQuery::default().before(MessagePlace::new(1_764_000_000_000, 17));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessageQuery {
    /// Only those before a place.
    pub before: Option<MessagePlace>,
}

impl MessageQuery {
    /// Selects the messages before a place. With the place of the last message of a page, this is the next page.
    #[must_use]
    pub fn before(mut self, place: MessagePlace) -> Self {
        self.before = Some(place);
        self
    }
}
