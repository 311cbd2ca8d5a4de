use std::convert::Infallible;

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;

use super::rejection::EventRejection;
use crate::claim::Claim;

/// The claim on the delivery, made by `with_idempotency`.
impl<S: Sync> FromRequestParts<S> for Claim {
    type Rejection = EventRejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, EventRejection> {
        parts.extensions.get::<Self>().cloned().ok_or_else(EventRejection::no_claim)
    }
}

/// `None` without idempotency on the route, or where a delivery runs without a claim by the application's choice.
impl<S: Sync> OptionalFromRequestParts<S> for Claim {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<Self>, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned())
    }
}
