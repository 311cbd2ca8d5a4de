use axum_core::response::{IntoResponse, Response};
use http::StatusCode;

use crate::{
    answers::{Line, retry_after},
    observe::{self, Outcome},
    outcome::{Discard, Retry},
    verify::Acknowledged,
};

impl IntoResponse for Discard {
    fn into_response(self) -> Response {
        observe::discarded(self.reason());
        let mut response: Response = Line::DISCARDED.response(StatusCode::OK);
        response.extensions_mut().insert(Acknowledged);
        response.extensions_mut().insert(Outcome::Discarded);
        response
    }
}

impl IntoResponse for Retry {
    fn into_response(self) -> Response {
        let mut response = Line::UNAVAILABLE.response(StatusCode::SERVICE_UNAVAILABLE);
        if let Some(delay) = self.delay() {
            retry_after(&mut response, delay);
        }
        response
    }
}
