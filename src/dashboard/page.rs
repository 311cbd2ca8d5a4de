use std::{borrow::Cow, sync::Arc};

use askama::Template;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

use super::{Offers, assets, guard::Reader};
use crate::{
    error::StoreError,
    observe,
    send::{SendError, SendErrorKind},
};

/// What all pages show around their content.
pub(super) struct Frame {
    pub(super) base: Arc<str>,
    pub(super) title: String,
    pub(super) css: &'static str,
    pub(super) js: &'static str,
    pub(super) who: String,
    pub(super) notice: Option<Cow<'static, str>>,
    pub(super) may_change: bool,
    /// Whether rows may be of several tenants.
    pub(super) tenants: bool,
    here: &'static str,
    offers: Offers,
}

impl Frame {
    pub(super) fn new(reader: &Reader, title: impl Into<String>, here: &'static str) -> Self {
        let role = if reader.may_change() { "Operator" } else { "Read only" };
        let who = match reader.access.tenant() {
            Some("") => role.to_owned(),
            Some(tenant) => format!("{tenant} · {role}"),
            None => format!("All tenants · {role}"),
        };
        Self {
            base: reader.base.clone(),
            title: title.into(),
            css: &assets::STYLE,
            js: &assets::SCRIPT,
            who,
            notice: None,
            may_change: reader.may_change(),
            tenants: reader.sees_all(),
            here,
            offers: reader.offers,
        }
    }

    /// Shows the result of a change, which the query of its redirect names.
    pub(super) fn told(mut self, done: Option<&str>) -> Self {
        self.notice = NOTICES.iter().find(|(name, _)| Some(*name) == done).map(|(_, notice)| Cow::Borrowed(*notice));
        self
    }

    /// The path of the overview. A nested router has no slash there, one that is not nested has.
    pub(super) fn home(&self) -> &'static str {
        if self.base.is_empty() { "/" } else { "" }
    }

    pub(super) fn nav(&self) -> Vec<(&'static str, &'static str, bool)> {
        let Offers { sending, inbox } = self.offers;
        [
            (true, "Overview", self.home()),
            (sending, "Endpoints", ENDPOINTS),
            (sending, "Deliveries", DELIVERIES),
            (sending, "Event types", EVENT_TYPES),
            (inbox, "Inbox", INBOX),
        ]
        .into_iter()
        .filter(|(is_there, ..)| *is_there)
        .map(|(_, name, path)| (name, path, name == self.here))
        .collect()
    }
}

pub(super) const ENDPOINTS: &str = "/endpoints";
pub(super) const DELIVERIES: &str = "/deliveries";
pub(super) const EVENT_TYPES: &str = "/event-types";
pub(super) const INBOX: &str = "/inbox";

/// Renders a page.
pub(super) fn html(template: &impl Template) -> Result<Response, Fault> {
    match template.render() {
        Ok(text) => Ok(([(header::CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response()),
        Err(error) => {
            observe::api_failed(&error);
            Err(Fault::internal())
        }
    }
}

/// Leads back to a page after a change, so that it is not made again when the page is loaded again.
pub(super) fn done(reader: &Reader, path: &str, what: &str) -> Result<Response, Fault> {
    let place = format!("{}{path}?done={what}", reader.base);
    let place = HeaderValue::try_from(place).map_err(|_| Fault::internal())?;
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, place)]).into_response())
}

const NOTICES: [(&str, &str); 11] = [
    ("cancelled", "The delivery is cancelled."),
    ("disabled", "The endpoint is paused. What waits for it is held."),
    ("discarded", "The event is discarded."),
    ("enabled", "The endpoint gets deliveries again. What was held is due."),
    ("example", "The example is on its way; this is its delivery."),
    ("nothing", "The endpoint missed nothing in that time."),
    ("pinged", "A ping is on its way; this is its delivery."),
    ("recovered", "What the endpoint missed is on its way."),
    ("replayed", "The event is due again, and its attempts count from one."),
    ("resent", "The delivery is on its way again."),
    ("unchanged", "Nothing was changed: its state does not allow it."),
];

/// What went wrong with a request, as a page shows it.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    status: StatusCode,
    detail: String,
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    frame: Frame,
    detail: &'a str,
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

    pub(super) fn show(&self, frame: Frame) -> Response {
        let mut response = match html(&ErrorPage { frame, detail: &self.detail }) {
            Ok(page) => page,
            Err(_) => self.detail.clone().into_response(),
        };
        *response.status_mut() = self.status;
        response
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
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "The store cannot be reached; try again.")
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
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "The store cannot be reached; try again.")
    }
}

impl IntoResponse for Fault {
    /// A placeholder: the guard replaces it with the page.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
