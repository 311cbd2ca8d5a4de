//! Texts from outside, as the API and the dashboard show them after the application's redaction.
//!
//! Only this module reads payloads, answers and received requests for the API and the dashboard, so none is shown
//! without redaction.

use std::sync::Arc;

use crate::{
    inbox::{InboxRecord, ShownRequest},
    redaction::{Place, Redaction, Shown},
    send::{AttemptRecord, DeliveryRecord, MessageRecord},
};

/// The data of a message, which is JSON. `None` once it was dropped after its retention.
pub(crate) fn data(redaction: &Redaction, message: &MessageRecord) -> Option<String> {
    let data = message.payload.as_deref()?;
    let shown = Shown::new(Place::Data, data).event_type(&*message.event_type).tenant(&*message.tenant);
    let data = redaction.apply(&shown).into_owned();
    // A function of the application may return any text.
    let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&data).is_ok();
    if is_json { Some(data) } else { serde_json::to_string(&data).ok() }
}

/// The start of the answer to an attempt of a delivery. Bytes that are not UTF-8 are replaced.
pub(crate) fn answer(redaction: &Redaction, delivery: &DeliveryRecord, attempt: &AttemptRecord) -> String {
    let answer = String::from_utf8_lossy(&attempt.answer);
    let shown = Shown::new(Place::Answer, &answer).event_type(&*delivery.event_type).tenant(&*delivery.tenant);
    redaction.apply(&shown).into_owned()
}

/// Why an event is not done.
pub(crate) fn reason(redaction: &Redaction, event: &InboxRecord) -> Option<String> {
    Some(redaction.apply(&of_event(Place::Reason, event.reason.as_deref()?, event)).into_owned())
}

/// A received request.
pub(crate) struct RequestText {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// The request that brought an event. `None` if it is no longer kept, or cannot be read.
pub(crate) fn request(redaction: &Redaction, event: &mut InboxRecord) -> Option<RequestText> {
    let ShownRequest { method, path, headers, body } = event.content.take().and_then(ShownRequest::of)?;
    let event = &*event;
    let of = |place, text: &str| redaction.apply(&of_event(place, text, event)).into_owned();
    let header = |(name, value): (String, String)| {
        let value = redaction.apply(&of_event(Place::Header, &value, event).header(&name)).into_owned();
        (name, value)
    };
    Some(RequestText {
        method,
        path: of(Place::Path, &path),
        headers: headers.into_iter().map(header).collect(),
        body: of(Place::Body, &String::from_utf8_lossy(&body)),
    })
}

fn of_event<'a>(place: Place, text: &'a str, event: &'a InboxRecord) -> Shown<'a> {
    let or_none = |text: &'a Option<Arc<str>>| text.as_deref();
    Shown::new(place, text).event_type(or_none(&event.event_type)).tenant(or_none(&event.tenant))
}
