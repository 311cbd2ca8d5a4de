use std::convert::Infallible;

use axum_core::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::request::Parts;

use super::rejection::EventRejection;
use crate::{
    claim::{Claim, ClaimError},
    outcome::Retry,
};

/// The claim on the delivery, made by `with_idempotency`.
impl<S: Sync> FromRequestParts<S> for Claim {
    type Rejection = EventRejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, EventRejection> {
        parts.extensions.get::<Self>().cloned().ok_or_else(EventRejection::no_claim)
    }
}

/// `None` without idempotency on the route, or where a delivery runs without a claim: one without an id whose body may not stand
/// for it, or by the application's choice.
impl<S: Sync> OptionalFromRequestParts<S> for Claim {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<Self>, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned())
    }
}

/// 503: the delivery is not done, and the sender is to repeat it.
impl IntoResponse for ClaimError {
    fn into_response(self) -> Response {
        let mut response = Retry::new().into_response();
        response.extensions_mut().insert(self);
        response
    }
}
