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

/// The claim on the delivery, which `with_idempotency` makes.
impl<S: Sync> FromRequestParts<S> for Claim {
    type Rejection = EventRejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, EventRejection> {
        parts.extensions.get::<Self>().cloned().ok_or_else(EventRejection::no_claim)
    }
}

/// `None` without idempotency on the route, or if the delivery runs without a claim: it has no id and its body cannot
/// replace the id, or the application has chosen so.
impl<S: Sync> OptionalFromRequestParts<S> for Claim {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<Self>, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned())
    }
}

/// Answers with 503: the delivery is not done, so the sender should retry.
impl IntoResponse for ClaimError {
    fn into_response(self) -> Response {
        let mut response = Retry::new().into_response();
        response.extensions_mut().insert(self);
        response
    }
}
