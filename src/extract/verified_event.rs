use std::{fmt, ops::Deref};

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use bytes::Bytes;
use http::request::Parts;
use serde::de::DeserializeOwned;

use super::{delivery::verified, parse, rejection::EventRejection};
use crate::delivery::Delivery;

/// A verified delivery with its payload as a `T`.
///
/// It exists only if the provider's own check has passed on this request, over the raw bytes. `T` is the value at the
/// scheme's payload pointer, such as `/data/object` for Stripe; use [`VerifiedEnvelope`](super::VerifiedEnvelope) for
/// the whole body. Not all events of some senders have this place: if the scheme declares
/// [`payload_or_envelope`](crate::scheme::SchemeBuilder::payload_or_envelope), as those of the catalogue do, `T` is
/// then read from the whole body.
///
/// A body that does not fit `T` is answered with 422, so that its sender retries. If a route receives several event
/// types, use an enum over event types as `T`, or an [`EventRouter`](crate::EventRouter): event types that neither
/// knows are acknowledged.
///
/// ```
/// use tower_webhooks::VerifiedEvent;
///
/// #[derive(serde::Deserialize)]
/// struct Invoice {
///     amount_paid: u64,
/// }
///
/// async fn on_invoice(event: VerifiedEvent<Invoice>) -> String {
///     format!("{:?} paid {}", event.delivery().id(), event.amount_paid)
/// }
/// # let _ = on_invoice;
/// ```
///
/// Other code cannot create one:
///
/// ```compile_fail
/// # use tower_webhooks::{Delivery, VerifiedEvent};
/// fn forge(delivery: Delivery) -> VerifiedEvent<u8> {
///     VerifiedEvent { delivery, payload: 1 }
/// }
/// ```
///
/// `T` must implement `Deserialize`. If the compiler says that a function is not a handler, `#[axum::debug_handler]` on
/// it names the wrong argument:
///
/// ```
/// use tower_webhooks::VerifiedEvent;
///
/// #[axum::debug_handler]
/// async fn on_event(event: VerifiedEvent<serde_json::Value>) -> String {
///     event.to_string()
/// }
/// # let _ = on_event;
/// ```
///
/// `Option<VerifiedEvent<T>>` is `None` only where no layer covers the route: **such a handler runs for unsigned requests
/// too**. `Result<VerifiedEvent<T>, EventRejection>` lets a handler answer a payload that does not fit.
#[derive(Clone)]
// The bound is here, so that a type without `Deserialize` is the first thing that the compiler names, and not `Handler`.
pub struct VerifiedEvent<T: DeserializeOwned> {
    delivery: Delivery,
    payload: T,
}

impl<T: DeserializeOwned> VerifiedEvent<T> {
    /// One of the two named exceptions: nothing has been verified.
    #[cfg(feature = "testing")]
    pub(crate) fn for_test(delivery: Delivery, payload: T) -> Self {
        Self { delivery, payload }
    }

    /// Returns the payload.
    pub fn into_inner(self) -> T {
        self.payload
    }

    /// Returns what is known about the delivery: id, event type, provider, tenant.
    pub fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    /// Returns the raw body that the signature was checked over.
    pub fn raw(&self) -> &Bytes {
        self.delivery.signed_body()
    }

    /// Reads the whole body, around the payload.
    ///
    /// # Errors
    /// When the body does not fit `E`.
    ///
    /// # Examples
    /// ```
    /// use tower_webhooks::{EventRejection, VerifiedEvent};
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Invoice {
    ///     amount_paid: u64,
    /// }
    ///
    /// /// What Stripe sends around the payload.
    /// #[derive(serde::Deserialize)]
    /// struct Envelope {
    ///     created: u64,
    /// }
    ///
    /// async fn on_invoice(event: VerifiedEvent<Invoice>) -> Result<String, EventRejection> {
    ///     let envelope: Envelope = event.envelope()?;
    ///     Ok(format!("{} cents at {}", event.amount_paid, envelope.created))
    /// }
    /// # let _ = on_invoice;
    /// ```
    pub fn envelope<E: DeserializeOwned>(&self) -> Result<E, EventRejection> {
        parse::envelope(&self.delivery)
    }
}

impl<T: DeserializeOwned> Deref for VerifiedEvent<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.payload
    }
}

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for VerifiedEvent<T> {
    type Rejection = EventRejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, EventRejection> {
        let delivery = verified(parts).ok_or_else(|| EventRejection::no_layer("VerifiedEvent"))?;
        let payload = parse::payload(&delivery)?;
        Ok(Self { delivery, payload })
    }
}

/// `None` only without a layer: such a handler runs for unsigned requests too. A payload that does not fit is rejected.
impl<S: Sync, T: DeserializeOwned> OptionalFromRequestParts<S> for VerifiedEvent<T> {
    type Rejection = EventRejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<Self>, EventRejection> {
        let Some(delivery) = verified(parts) else { return Ok(None) };
        let payload = parse::payload(&delivery)?;
        Ok(Some(Self { delivery, payload }))
    }
}

impl<T: DeserializeOwned + fmt::Debug> fmt::Debug for VerifiedEvent<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedEvent").field("delivery", &self.delivery).field("payload", &self.payload).finish()
    }
}
