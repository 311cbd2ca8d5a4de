use axum_core::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

use crate::{
    observe::{self, Outcome},
    outcome::{Discard, Retry},
    verify::Acknowledged,
};

impl IntoResponse for Discard {
    fn into_response(self) -> Response {
        observe::discarded(self.reason());
        let body = r#"{"status":"discarded"}"#;
        let mut response = ([(header::CONTENT_TYPE, "application/json")], body).into_response();
        response.extensions_mut().insert(Acknowledged);
        response.extensions_mut().insert(Outcome::Discarded);
        response
    }
}

impl IntoResponse for Retry {
    fn into_response(self) -> Response {
        let body = r#"{"error":"unavailable"}"#;
        let mut response =
            (StatusCode::SERVICE_UNAVAILABLE, [(header::CONTENT_TYPE, "application/json")], body).into_response();
        if let Some(delay) = self.delay() {
            // RFC 9110, section 10.2.3: whole seconds. At least one, since some clients take 0 for "never".
            let seconds = delay.as_secs().saturating_add(u64::from(delay.subsec_nanos() > 0));
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        response
    }
}
