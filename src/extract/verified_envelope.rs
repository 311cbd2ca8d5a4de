use std::{fmt, ops::Deref};

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use bytes::Bytes;
use http::request::Parts;
use serde::de::DeserializeOwned;

use super::{delivery::verified, parse, rejection::EventRejection};
use crate::delivery::Delivery;

/// A verified delivery with its whole body as an `E`.
///
/// [`VerifiedEvent`](super::VerifiedEvent) has only the payload.
///
/// ```
/// use tower_webhooks::VerifiedEnvelope;
///
/// #[derive(serde::Deserialize)]
/// struct StripeEnvelope {
///     created: u64,
///     data: serde_json::Value,
/// }
///
/// async fn on_event(envelope: VerifiedEnvelope<StripeEnvelope>) -> String {
///     envelope.created.to_string()
/// }
/// # let _ = on_event;
/// ```
#[derive(Clone)]
// The bound is here, so that a type without `Deserialize` is the first thing that the compiler names, and not `Handler`.
pub struct VerifiedEnvelope<E: DeserializeOwned> {
    delivery: Delivery,
    envelope: E,
}

impl<E: DeserializeOwned> VerifiedEnvelope<E> {
    /// One of the two named exceptions: nothing has been verified.
    #[cfg(feature = "testing")]
    pub(crate) fn for_test(delivery: Delivery, envelope: E) -> Self {
        Self { delivery, envelope }
    }

    /// Returns the envelope.
    pub fn into_inner(self) -> E {
        self.envelope
    }

    /// Returns what is known about the delivery.
    pub fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    /// Returns the raw body that the signature was checked over.
    pub fn raw(&self) -> &Bytes {
        self.delivery.signed_body()
    }
}

impl<E: DeserializeOwned> Deref for VerifiedEnvelope<E> {
    type Target = E;

    fn deref(&self) -> &E {
        &self.envelope
    }
}

impl<S: Sync, E: DeserializeOwned> FromRequestParts<S> for VerifiedEnvelope<E> {
    type Rejection = EventRejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, EventRejection> {
        let delivery = verified(parts).ok_or_else(|| EventRejection::no_layer("VerifiedEnvelope"))?;
        let envelope = parse::envelope(&delivery)?;
        Ok(Self { delivery, envelope })
    }
}

/// `None` only without a layer: such a handler runs for unsigned requests too. A body that does not fit is rejected.
impl<S: Sync, E: DeserializeOwned> OptionalFromRequestParts<S> for VerifiedEnvelope<E> {
    type Rejection = EventRejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<Self>, EventRejection> {
        let Some(delivery) = verified(parts) else { return Ok(None) };
        let envelope = parse::envelope(&delivery)?;
        Ok(Some(Self { delivery, envelope }))
    }
}

impl<E: DeserializeOwned + fmt::Debug> fmt::Debug for VerifiedEnvelope<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedEnvelope").field("delivery", &self.delivery).field("envelope", &self.envelope).finish()
    }
}
