use std::{borrow::Cow, sync::Arc};

use askama::Template;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

use super::{assets, fault::Fault, reader::Reader, shared::Offers};
use crate::observe;

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

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    frame: Frame,
    detail: &'a str,
}

/// Renders what went wrong.
pub(super) fn fault(fault: &Fault, frame: Frame) -> Response {
    let mut response = match html(&ErrorPage { frame, detail: fault.detail() }) {
        Ok(page) => page,
        Err(_) => fault.detail().to_owned().into_response(),
    };
    *response.status_mut() = fault.status();
    response
}
