use std::{collections::BTreeMap, error::Error, fmt, str::FromStr, sync::Arc, time::SystemTime};

use bytes::Bytes;
use jiff::{Timestamp, fmt::temporal::DateTimePrinter};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::{
    boxed::BoxError,
    pattern::SEPARATORS,
    send::{
        error::SendError,
        message::{
            labels::{Labels, check_labels},
            style::Style,
        },
    },
};

/// One event that is sent to the endpoints that want it.
///
/// It has an id from the start, so a clone of it that is sent again is the same message.
///
/// ```
/// use serde_json::json;
/// use tower_webhooks::send::Message;
///
/// let message = Message::new("order.completed", &json!({ "order": 7 }))?;
/// assert!(message.message_id().as_str().starts_with("msg_"));
///
/// assert!(Message::new("order.*", &json!({})).is_err()); // a pattern is not an event type
/// # Ok::<(), tower_webhooks::send::MessageError>(())
/// ```
#[derive(Clone)]
pub struct Message {
    id: MessageId,
    event_type: Arc<str>,
    payload: Arc<RawValue>,
    timestamp: Option<SystemTime>,
    tenant: Option<Arc<str>>,
    version: Option<Arc<str>>,
    labels: Option<Arc<Labels>>,
    order_key: Option<Arc<str>>,
}

impl Message {
    /// The maximum size of a payload: 256 KiB. Receivers keep a whole body in memory before they know who sent it.
    pub const MAX_PAYLOAD: usize = 256 * 1024;

    /// Creates a message with a new random id. The payload is serialised here, once.
    ///
    /// # Errors
    /// When the event type is not 1 to 128 letters, digits, `_` and `-`, in parts with a `.`, `/` or `:` between them; when the
    /// payload cannot be written as JSON, or is too large; and when the operating system has no randomness.
    pub fn new(event_type: impl Into<Arc<str>>, payload: &(impl Serialize + ?Sized)) -> Result<Self, MessageError> {
        let event_type = event_type.into();
        if !is_event_type(&event_type) {
            return Err(MessageErrorKind::EventType.into());
        }
        let payload = write(payload)?;
        Ok(Self {
            id: MessageId::random()?,
            event_type,
            payload,
            timestamp: None,
            tenant: None,
            version: None,
            labels: None,
            order_key: None,
        })
    }

    /// Sets the id, if the application has one. Receivers handle only one of two messages with the same id.
    #[must_use]
    pub fn id(mut self, id: MessageId) -> Self {
        self.id = id;
        self
    }

    /// Sets when the event happened. The default is when the message is first sent. A dispatcher accepts times from 1970 to 9999.
    #[must_use]
    pub fn at(mut self, timestamp: SystemTime) -> Self {
        self.timestamp = Some(timestamp);
        self
    }

    /// Sets the tenant that the message belongs to; an empty name means no tenant. A dispatcher accepts names of at most 256
    /// characters without control characters.
    #[must_use]
    pub fn tenant(mut self, name: impl Into<Arc<str>>) -> Self {
        self.tenant = Some(name.into()).filter(|name| !name.is_empty());
        self
    }

    /// Sets the version of the application's API that the payload has. A dispatcher accepts 1 to 64 letters, digits, `.`, `_` and
    /// `-`. If it has [`ApiVersions`](crate::send::ApiVersions), the version must be one of them.
    #[must_use]
    pub fn version(mut self, version: impl Into<Arc<str>>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Sets a label, by which endpoints can select messages in addition to the event type: see
    /// [`NewEndpoint::label`](crate::send::NewEndpoint::label). Labels are not sent. A dispatcher accepts at most 16; a
    /// name has 1 to 40 letters, digits, `_`, `-` and `.`, and a value 1 to 100 characters, none of them a control
    /// character.
    ///
    /// ```
    /// # use tower_webhooks::send::{Message, MessageError};
    /// let message = Message::new("order.completed", &7)?.label("region", "eu").label("plan", "pro");
    /// assert_eq!(message.labels()["region"], "eu");
    /// # Ok::<(), MessageError>(())
    /// ```
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        Arc::make_mut(self.labels.get_or_insert_default()).insert(name.into(), value.into());
        self
    }

    /// Sets the order key, such as `invoice-7`. Each endpoint gets the messages of its tenant with the same key one at
    /// a time and in the order of dispatch: a message that fails delays later ones with the same key until it is
    /// delivered or given up, and no others. A dispatcher accepts 1 to 128 characters without control characters. The
    /// key is not sent.
    #[must_use]
    pub fn order_key(mut self, key: impl Into<Arc<str>>) -> Self {
        self.order_key = Some(key.into());
        self
    }

    /// Returns the id, which is the same at every attempt and every endpoint.
    pub fn message_id(&self) -> &MessageId {
        &self.id
    }

    /// Returns the event type, such as `order.completed`.
    pub fn event_type(&self) -> &str {
        &self.event_type
    }

    /// Returns the payload as JSON.
    pub fn payload(&self) -> &RawValue {
        &self.payload
    }

    /// Returns when the event happened, if the application set it.
    pub fn timestamp(&self) -> Option<SystemTime> {
        self.timestamp
    }

    /// Returns the tenant, if the application set it.
    pub fn tenant_name(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// Returns the version of the payload, if the application set it.
    pub fn api_version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// Returns the labels, by name.
    pub fn labels(&self) -> &BTreeMap<String, String> {
        self.labels.as_deref().unwrap_or(&NO_LABELS)
    }

    /// Returns the order key, if the application set it.
    pub fn order_key_name(&self) -> Option<&str> {
        self.order_key.as_deref()
    }

    /// Returns the message with these labels, and no others.
    pub(crate) fn with_labels(mut self, labels: Labels) -> Self {
        self.labels = Some(labels).filter(|labels| !labels.is_empty()).map(Arc::new);
        self
    }

    /// Checks what the setters accept unchecked.
    pub(crate) fn check(&self) -> Result<(), SendError> {
        check_tenant(self.tenant_name().unwrap_or_default())?;
        if !self.api_version().is_none_or(is_version) {
            let message = "a message's version is 1 to 64 letters, digits, `.`, `_` and `-`";
            return Err(SendError::invalid(message).with_field("version"));
        }
        check_labels(self.labels())?;
        let fits =
            |key: &str| (1..=LONGEST_ORDER_KEY).contains(&key.chars().count()) && !key.chars().any(char::is_control);
        if !self.order_key_name().is_none_or(fits) {
            let message = "an order key is 1 to 128 characters long, none of them a control character";
            return Err(SendError::invalid(message).with_field("order_key"));
        }
        let in_calendar = |at: SystemTime| at >= SystemTime::UNIX_EPOCH && Timestamp::try_from(at).is_ok();
        if !self.timestamp.is_none_or(in_calendar) {
            return Err(SendError::invalid("a message happened between 1970 and 9999").with_field("timestamp"));
        }
        Ok(())
    }

    /// Returns the same message with another payload.
    pub(crate) fn converted(&self, payload: &serde_json::Value) -> Result<Self, MessageError> {
        Ok(Self { payload: write(payload)?, ..self.clone() })
    }

    /// Returns the envelope, which is what is sent and signed. `now` is the time of the first attempt. It is the timestamp of a
    /// message that has none. Send the same body at every attempt.
    ///
    /// [`Style::StandardWebhooks`] and [`Style::StandardWebhooksV1a`] have `{"id","type","timestamp","data"}`, and
    /// [`Style::XWebhook`] has `{"id","event","timestamp","data"}`. If the message has a version, it is in `api_version`.
    pub fn body(&self, style: Style, now: SystemTime) -> Bytes {
        let (standard, x_webhook) = match style.envelope() {
            Style::XWebhook => (None, Some(&*self.event_type)),
            _ => (Some(&*self.event_type), None),
        };
        Envelope {
            id: self.id.as_str(),
            standard,
            x_webhook,
            api_version: self.api_version(),
            timestamp: Rfc3339(self.timestamp.unwrap_or(now)),
            data: &self.payload,
        }
        .write()
    }
}

impl Message {
    pub(crate) fn content_key(&self) -> ContentKey {
        (self.id.clone(), self.tenant.clone(), self.version.clone())
    }

    /// Returns `true` if two messages with the same [`content_key`](Self::content_key) have the same body.
    pub(crate) fn has_content_of(&self, other: &Self) -> bool {
        self.event_type == other.event_type
            && self.timestamp == other.timestamp
            && (Arc::ptr_eq(&self.payload, &other.payload) || self.payload.get() == other.payload.get())
    }
}

/// What identifies the content of a message: its id, its tenant and its version.
pub(crate) type ContentKey = (MessageId, Option<Arc<str>>, Option<Arc<str>>);

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No payload: it is the customers' data.
        f.debug_struct("Message").field("id", &self.id).field("event_type", &self.event_type).finish_non_exhaustive()
    }
}

/// The id of a message: 1 to 128 letters, digits, `_`, `-` and `:`.
///
/// It contains no dot, since signatures join it to the timestamp with a dot.
///
/// ```
/// use serde_json::json;
/// use tower_webhooks::send::{Message, MessageId};
///
/// // The same order makes the same message, however often this runs.
/// let id: MessageId = "order:7:completed".parse()?;
/// let message = Message::new("order.completed", &json!({ "order": 7 }))?.id(id);
///
/// assert!("order.7".parse::<MessageId>().is_err());
/// # Ok::<(), tower_webhooks::send::MessageError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(Arc<str>);

impl MessageId {
    /// Creates a random id: `msg_` and 128 random bits.
    ///
    /// # Errors
    /// When the operating system has no randomness.
    pub fn random() -> Result<Self, MessageError> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|cause| MessageError::new(MessageErrorKind::Randomness, cause))?;
        Ok(Self(format!("msg_{:032x}", u128::from_be_bytes(bytes)).into()))
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MessageId {
    type Err = MessageError;

    fn from_str(text: &str) -> Result<Self, MessageError> {
        let fits = (1..=128).contains(&text.len()) && text.bytes().all(|byte| is_word(byte) || byte == b':');
        if fits { Ok(Self(text.into())) } else { Err(MessageErrorKind::Id.into()) }
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A message is invalid, which is a mistake of the application.
///
/// ```
/// use tower_webhooks::send::{Message, MessageErrorKind};
///
/// let error = Message::new("order completed", &()).unwrap_err();
/// assert_eq!(error.kind(), MessageErrorKind::EventType);
/// ```
#[derive(Debug)]
pub struct MessageError {
    kind: MessageErrorKind,
    source: Option<BoxError>,
}

/// What is wrong with a message.
///
/// ```
/// use tower_webhooks::send::{Message, MessageErrorKind};
///
/// let too_large = "x".repeat(300 * 1024);
/// assert_eq!(Message::new("report.ready", &too_large).unwrap_err().kind(), MessageErrorKind::TooLarge);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MessageErrorKind {
    /// The event type is invalid.
    EventType,
    /// The id is invalid.
    Id,
    /// The payload cannot be written as JSON.
    Payload,
    /// The operating system has returned no random bytes for an id.
    Randomness,
    /// The payload is larger than 256 KiB.
    TooLarge,
}

impl MessageError {
    fn new(kind: MessageErrorKind, source: impl Into<BoxError>) -> Self {
        Self { kind, source: Some(source.into()) }
    }

    /// Returns what is wrong.
    pub fn kind(&self) -> MessageErrorKind {
        self.kind
    }
}

impl From<MessageErrorKind> for MessageError {
    fn from(kind: MessageErrorKind) -> Self {
        Self { kind, source: None }
    }
}

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            MessageErrorKind::EventType => {
                "an event type is 1 to 128 letters, digits, `_` and `-`, in parts with a `.`, `/` or `:` between them"
            }
            MessageErrorKind::Id => "a message id is 1 to 128 letters, digits, `_`, `-` and `:`",
            MessageErrorKind::Payload => "the payload cannot be written as JSON",
            MessageErrorKind::Randomness => "the operating system returned no random bytes for a message id",
            MessageErrorKind::TooLarge => "the payload is larger than 256 KiB; send a link to it instead",
        })
    }
}

impl Error for MessageError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    id: &'a str,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    standard: Option<&'a str>,
    #[serde(rename = "event", skip_serializing_if = "Option::is_none")]
    x_webhook: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_version: Option<&'a str>,
    timestamp: Rfc3339,
    data: &'a RawValue,
}

impl Envelope<'_> {
    fn write(&self) -> Bytes {
        // A buffer that grows would end up at up to twice the size, and be kept so.
        let texts = [Some(self.id), self.standard, self.x_webhook, self.api_version, Some(self.data.get())];
        let length: usize = texts.into_iter().flatten().map(str::len).sum();
        let mut body = Vec::with_capacity(length + AROUND_THE_TEXTS);
        serde_json::to_writer(&mut body, self).expect("text and JSON can be written as JSON");
        body.into()
    }
}

/// Names, punctuation and the time take 84 bytes of this.
const AROUND_THE_TEXTS: usize = 128;

/// A time in UTC with milliseconds.
struct Rfc3339(SystemTime);

impl Serialize for Rfc3339 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The calendar ends with the year 9999.
        let timestamp = Timestamp::try_from(self.0).unwrap_or(Timestamp::MAX);
        serializer.serialize_str(&DateTimePrinter::new().precision(Some(3)).timestamp_to_string(&timestamp))
    }
}

fn write(payload: &(impl Serialize + ?Sized)) -> Result<Arc<RawValue>, MessageError> {
    let payload = serde_json::value::to_raw_value(payload)
        .map_err(|cause| MessageError::new(MessageErrorKind::Payload, cause))?;
    if payload.get().len() > Message::MAX_PAYLOAD {
        return Err(MessageErrorKind::TooLarge.into());
    }
    Ok(payload.into())
}

/// Checks the name of a tenant; that of an application without tenants is empty.
pub(crate) fn check_tenant(name: &str) -> Result<(), SendError> {
    if name.chars().count() > LONGEST_TENANT || name.chars().any(char::is_control) {
        let message = "a tenant's name is at most 256 characters long, none of them a control character";
        return Err(SendError::invalid(message).with_field("tenant"));
    }
    Ok(())
}

/// Checks a text that is kept, or looked for. PostgreSQL has no text with a NUL in it.
pub(crate) fn check_text(text: &str) -> Result<(), SendError> {
    if text.contains('\0') { Err(SendError::invalid("a text holds a NUL character")) } else { Ok(()) }
}

pub(crate) fn is_event_type(text: &str) -> bool {
    text.len() <= 128 && text.split(SEPARATORS).all(|part| !part.is_empty() && part.bytes().all(is_word))
}

pub(crate) fn is_version(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| is_word(byte) || byte == b'.')
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

const LONGEST_TENANT: usize = 256;

/// In characters.
const LONGEST_ORDER_KEY: usize = 128;

static NO_LABELS: Labels = Labels::new();

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use serde_json::{json, value::RawValue};

    use super::{Message, MessageErrorKind, MessageId, is_event_type};
    use crate::send::message::style::Style;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn the_envelopes_are_as_documented() {
        let raw = RawValue::from_string(r#"{"a": 1.0,"a":2}"#.into()).unwrap();
        let message = Message::new("order.completed", &raw).unwrap().id("m-1".parse().unwrap());

        assert_eq!(
            message.body(Style::StandardWebhooks, at(1_700_000_000)),
            r#"{"id":"m-1","type":"order.completed","timestamp":"2023-11-14T22:13:20.000Z","data":{"a": 1.0,"a":2}}"#
        );
        assert_eq!(
            message.version("2026-01").at(at(0)).body(Style::XWebhook, at(1_700_000_000)),
            r#"{"id":"m-1","event":"order.completed","api_version":"2026-01","timestamp":"1970-01-01T00:00:00.000Z","data":{"a": 1.0,"a":2}}"#
        );
    }

    #[test]
    fn event_types_and_ids_are_of_one_form() {
        for text in ["a", "order.completed", "a-b.c_d.E9", "orders/create", "order:paid", "a/b.c"] {
            assert!(is_event_type(text), "{text}");
        }
        for text in ["", ".", "a.", ".a", "a..b", "/a", "a/", "a:.b", "*", "a.*", "a b", "a\n", "ä", &"a".repeat(129)]
        {
            assert!(!is_event_type(text), "{text}");
        }
        for text in ["", "a.b", "a b", "a,b", "a\r\n", "ä", &"a".repeat(129)] {
            assert!(text.parse::<MessageId>().is_err(), "{text}");
        }
        assert!("evt:3f-9_B".parse::<MessageId>().is_ok());
        assert_ne!(MessageId::random().unwrap(), MessageId::random().unwrap());
    }

    #[test]
    fn a_payload_has_a_largest_size() {
        assert!(Message::new("a", &"x".repeat(Message::MAX_PAYLOAD - 2)).is_ok());
        let error = Message::new("a", &"x".repeat(Message::MAX_PAYLOAD - 1)).unwrap_err();
        assert_eq!(error.kind(), MessageErrorKind::TooLarge);
        let error = Message::new(
            "a",
            &std::collections::HashMap::from([(json!([1]), 1)].map(|(k, v)| (k.to_string().into_bytes(), v))),
        );
        assert_eq!(error.unwrap_err().kind(), MessageErrorKind::Payload);
    }

    #[test]
    fn no_payload_is_in_a_log() {
        let message = Message::new("a", &"the customers' data").unwrap();
        assert!(!format!("{message:?}").contains("customers"));
    }
}
