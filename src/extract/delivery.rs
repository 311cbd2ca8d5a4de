use std::convert::Infallible;

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;

use super::rejection::EventRejection;
use crate::{delivery::Delivery, verify::Verified};

/// The delivery that a layer verified.
pub(super) fn verified(parts: &Parts) -> Option<Delivery> {
    parts.extensions.get::<Verified>().map(|verified| verified.delivery.clone())
}

/// The facts about the delivery, without parsing its payload.
impl<S: Sync> FromRequestParts<S> for Delivery {
    type Rejection = EventRejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, EventRejection> {
        verified(parts).ok_or_else(|| EventRejection::no_layer("Delivery"))
    }
}

/// `None` only without a layer: such a handler runs for unsigned requests too.
impl<S: Sync> OptionalFromRequestParts<S> for Delivery {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<Self>, Infallible> {
        Ok(verified(parts))
    }
}
