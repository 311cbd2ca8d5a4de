use std::fmt;

use serde::{
    Deserialize,
    de::{DeserializeOwned, Deserializer, Error, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// An event that was not parsed: its type, and its payload as received.
///
/// Use it in an enum over event types, for groups and `*`, where one variant covers payloads of many forms.
///
/// ```
/// use tower_webhooks::RawEvent;
///
/// #[derive(serde::Deserialize)]
/// enum StripeEvent {
///     #[serde(rename = "customer.*")]
///     Customer(RawEvent),
///     #[serde(rename = "*")]
///     Other(RawEvent),
/// }
///
/// fn handle(event: StripeEvent) {
///     if let StripeEvent::Customer(customer) = event {
///         println!("{}: {}", customer.event_type(), customer.payload().get());
///     }
/// }
/// # let _ = handle;
/// ```
#[derive(Clone)]
pub struct RawEvent {
    event_type: Box<str>,
    payload: Box<RawValue>,
}

/// The name by which a `RawEvent` asks the event's own deserializer for the type beside the payload.
pub(super) const TOKEN: &str = "$tower_webhooks::RawEvent";

impl RawEvent {
    /// Returns the event type. It is empty if the event was not read by an enum over event types.
    pub fn event_type(&self) -> &str {
        &self.event_type
    }

    /// Returns the payload's JSON.
    pub fn payload(&self) -> &RawValue {
        &self.payload
    }

    /// Reads the payload.
    ///
    /// # Errors
    /// When it does not fit `T`.
    ///
    /// # Examples
    /// ```
    /// use tower_webhooks::RawEvent;
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Customer {
    ///     email: String,
    /// }
    ///
    /// fn welcome(event: &RawEvent) -> Result<String, serde_json::Error> {
    ///     let customer: Customer = event.parse()?;
    ///     Ok(format!("welcome, {}", customer.email))
    /// }
    ///
    /// let event: RawEvent = serde_json::from_str(r#"{"email": "jenny@example.com"}"#)?;
    /// assert_eq!(welcome(&event)?, "welcome, jenny@example.com");
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.payload.get())
    }
}

impl<'de> Deserialize<'de> for RawEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RawEventVisitor;

        impl<'de> Visitor<'de> for RawEventVisitor {
            type Value = RawEvent;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an event")
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<RawEvent, D::Error> {
                Ok(RawEvent { event_type: "".into(), payload: Box::deserialize(deserializer)? })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<RawEvent, A::Error> {
                let missing = || A::Error::custom("an event has a type and a payload");
                let event_type = parts.next_element::<Box<str>>()?.ok_or_else(missing)?;
                let payload = parts.next_element::<String>()?.ok_or_else(missing)?;
                let payload = RawValue::from_string(payload).map_err(A::Error::custom)?;
                Ok(RawEvent { event_type, payload })
            }
        }

        deserializer.deserialize_newtype_struct(TOKEN, RawEventVisitor)
    }
}

impl fmt::Debug for RawEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The payload may be large, and is the application's secret to keep.
        f.debug_struct("RawEvent").field("event_type", &self.event_type).finish_non_exhaustive()
    }
}
