use axum::response::{IntoResponse, Response};
use http::StatusCode;

use crate::{
    error::StoreError,
    observe,
    send::{SendError, SendErrorKind},
};

/// What went wrong with a request, as a page shows it.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    status: StatusCode,
    detail: String,
}

impl Fault {
    fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into() }
    }

    pub(super) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("There is no such {what}."))
    }

    pub(super) fn forbidden(detail: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    pub(super) fn invalid(detail: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(super) fn too_slow() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "The form did not arrive in time; send it again.")
    }

    pub(super) fn too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "That is larger than any form of these pages.")
    }

    pub(super) fn method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "This address is not for that.")
    }

    pub(super) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "The page could not be made; the log says why.")
    }

    pub(super) fn title(&self) -> &'static str {
        self.status.canonical_reason().unwrap_or("Error")
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn detail(&self) -> &str {
        &self.detail
    }
}

impl From<SendError> for Fault {
    fn from(error: SendError) -> Self {
        match error.kind() {
            SendErrorKind::NotFound => Self::not_found("thing"),
            SendErrorKind::Disabled => Self::new(StatusCode::CONFLICT, "The endpoint is disabled; enable it first."),
            SendErrorKind::Invalid => Self::new(StatusCode::BAD_REQUEST, error.to_string()),
            SendErrorKind::Stale => Self::new(StatusCode::CONFLICT, "Somebody else has changed it; try again."),
            SendErrorKind::Store => {
                observe::api_failed(&error);
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "The store cannot be reached now; try again.")
            }
            _ => {
                observe::api_failed(&error);
                Self::internal()
            }
        }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        observe::api_failed(&error);
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "The store cannot be reached now; try again.")
    }
}

impl IntoResponse for Fault {
    /// The guard puts the page in its place.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
