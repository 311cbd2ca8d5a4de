use std::{convert::Infallible, ops::Deref};

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use bytes::Bytes;
use http::request::Parts;
use serde::Deserialize;

use super::{delivery::verified, parse, rejection::EventRejection};
use crate::delivery::Delivery;

/// The raw body over which the signature was checked, not parsed.
///
/// It is for bodies that are not JSON, and for payloads so large that a type should borrow from them:
///
/// ```
/// use tower_webhooks::{EventRejection, VerifiedBody};
///
/// #[derive(serde::Deserialize)]
/// struct Report<'a> {
///     title: &'a str,
/// }
///
/// async fn on_report(body: VerifiedBody) -> Result<String, EventRejection> {
///     let report: Report<'_> = body.parse()?;
///     Ok(report.title.to_owned())
/// }
/// # let _ = on_report;
/// ```
///
/// It dereferences to its bytes.
#[derive(Debug, Clone)]
pub struct VerifiedBody {
    delivery: Delivery,
}

impl VerifiedBody {
    /// Returns the bytes as received.
    pub fn raw(&self) -> &Bytes {
        self.delivery.signed_body()
    }

    /// Returns what is known about the delivery.
    pub fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    /// Returns the bytes, which are shared and not copied.
    ///
    /// # Examples
    /// ```
    /// use axum::body::Bytes;
    /// use tower_webhooks::VerifiedBody;
    ///
    /// async fn archive(bytes: Bytes) {
    ///     println!("{} bytes", bytes.len());
    /// }
    ///
    /// async fn on_delivery(body: VerifiedBody) {
    ///     archive(body.into_bytes()).await;
    /// }
    /// # let _ = on_delivery;
    /// ```
    pub fn into_bytes(self) -> Bytes {
        self.delivery.signed_body().clone()
    }

    /// Returns the JSON of the body without parsing it: the body itself, or the field of a form that the scheme
    /// declares.
    ///
    /// Use it for types that are read from bytes and not by `Deserialize`.
    ///
    /// # Errors
    /// If the body is a form without JSON.
    ///
    /// # Examples
    /// ```
    /// use tower_webhooks::{EventRejection, VerifiedBody};
    ///
    /// async fn on_delivery(body: VerifiedBody) -> Result<String, EventRejection> {
    ///     let json = body.json()?;
    ///     Ok(String::from_utf8_lossy(json).into_owned())
    /// }
    /// # let _ = on_delivery;
    /// ```
    pub fn json(&self) -> Result<&[u8], EventRejection> {
        parse::json_bytes(&self.delivery)
    }

    /// Reads the payload, borrowing from the body where the type does.
    ///
    /// # Errors
    /// When the body is not JSON, or its payload does not fit `T`.
    pub fn parse<'a, T: Deserialize<'a>>(&'a self) -> Result<T, EventRejection> {
        parse::payload(&self.delivery)
    }

    /// Reads the envelope, which is the whole body, borrowing where the type does.
    ///
    /// # Errors
    /// When the body is not JSON, or does not fit `E`.
    ///
    /// # Examples
    /// ```
    /// use tower_webhooks::{EventRejection, VerifiedBody};
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Envelope<'a> {
    ///     id: &'a str,
    /// }
    ///
    /// async fn on_delivery(body: VerifiedBody) -> Result<String, EventRejection> {
    ///     let envelope: Envelope<'_> = body.parse_envelope()?;
    ///     Ok(envelope.id.to_owned())
    /// }
    /// # let _ = on_delivery;
    /// ```
    pub fn parse_envelope<'a, E: Deserialize<'a>>(&'a self) -> Result<E, EventRejection> {
        parse::envelope(&self.delivery)
    }
}

impl Deref for VerifiedBody {
    type Target = Bytes;

    fn deref(&self) -> &Bytes {
        self.delivery.signed_body()
    }
}

impl AsRef<[u8]> for VerifiedBody {
    fn as_ref(&self) -> &[u8] {
        self.delivery.signed_body()
    }
}

impl<S: Sync> FromRequestParts<S> for VerifiedBody {
    type Rejection = EventRejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, EventRejection> {
        let delivery = verified(parts).ok_or_else(|| EventRejection::no_layer("VerifiedBody"))?;
        Ok(Self { delivery })
    }
}

/// `None` only without a layer: such a handler runs for unsigned requests too.
impl<S: Sync> OptionalFromRequestParts<S> for VerifiedBody {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<Self>, Infallible> {
        Ok(verified(parts).map(|delivery| Self { delivery }))
    }
}
