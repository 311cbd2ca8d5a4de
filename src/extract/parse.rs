use std::cell::Cell;

use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

use super::{
    event_enum::{self, Content, Event},
    rejection::{EventRejection, EventRejectionKind},
};
use crate::{
    delivery::{Delivery, Document, EventType},
    form::Fields,
    json::{self, Pointer, Unread, WalkError},
    observe::{self, line},
    pattern::Subject,
};

/// Reads the payload: what is at the scheme's payload pointer, or the envelope where the scheme says so. An enum is chosen by
/// the event type.
pub(super) fn payload<'de, T: Deserialize<'de>>(delivery: &'de Delivery) -> Result<T, EventRejection> {
    if delivery.unread() == Some(Unread::Repeated) {
        return Err(unread(delivery, Unread::Repeated));
    }
    if event_enum::variants::<T>().is_some() {
        return by_event_type(delivery);
    }
    let body = match delivery.document() {
        Document::Fields(form) => return fields(delivery, form),
        Document::Json(json) => json,
        Document::Unread(cause) => return Err(unread(delivery, cause)),
    };
    let pointer = delivery.payload_pointer();
    let place = match json::payload::<T>(body, pointer, delivery.wanted()) {
        Ok((value, scalars)) => {
            delivery.note(&scalars);
            match value {
                Some(value) => return Ok(value),
                None if delivery.payload_may_be_envelope() => Place::Envelope,
                None => return Err(no_payload(delivery)),
            }
        }
        Err(cause) => return Err(explain::<T>(delivery, body, Place::Payload, cause)),
    };
    json::whole(body).map_err(|cause| explain::<T>(delivery, body, place, cause))
}

fn by_event_type<'de, T: Deserialize<'de>>(delivery: &'de Delivery) -> Result<T, EventRejection> {
    let (content, body, place) = match delivery.document() {
        Document::Fields(form) => (Some(Content::Fields(form)), form, Place::Envelope),
        Document::Unread(cause) => return Err(unread(delivery, cause)),
        Document::Json(json) => {
            let (content, place) = content::<T>(delivery, json)?;
            (content, json, place)
        }
    };
    let unhandled = Cell::new(false);
    let event = Event { subject: subject(delivery), content, unhandled: &unhandled };
    if delivery.unread() == Some(Unread::Repeated) {
        return Err(unread(delivery, Unread::Repeated));
    }
    event_enum::deserialize::<T>(event).map_err(|cause| {
        if unhandled.get() {
            event_enum::warn::<T>(delivery);
            observe::unhandled(delivery.provider(), delivery.event_type().map(EventType::as_str));
            return EventRejection::unhandled();
        }
        match content {
            Some(Content::Fields(form)) => misfit::<T>(delivery, form, &cause),
            _ => explain::<T>(delivery, body, place, WalkError::Mismatch(cause)),
        }
    })
}

/// The JSON of the payload, and its place.
fn content<'de, T: Deserialize<'de>>(
    delivery: &'de Delivery,
    body: &'de [u8],
) -> Result<(Option<Content<'de>>, Place), EventRejection> {
    let payload = json::payload::<&'de RawValue>(body, delivery.payload_pointer(), delivery.wanted())
        .and_then(|(payload, scalars)| {
            delivery.note(&scalars);
            match payload {
                None if delivery.payload_may_be_envelope() => Ok((Some(json::whole(body)?), Place::Envelope)),
                payload => Ok((payload, Place::Payload)),
            }
        })
        .map_err(|cause| explain::<T>(delivery, body, Place::Payload, cause));
    payload.map(|(payload, place): (Option<&'de RawValue>, _)| (payload.map(|raw| Content::Json(raw.get())), place))
}

/// Reads the envelope: the whole body.
pub(super) fn envelope<'de, T: Deserialize<'de>>(delivery: &'de Delivery) -> Result<T, EventRejection> {
    match delivery.document() {
        Document::Fields(form) => fields(delivery, form),
        Document::Json(json) => json::whole(json).map_err(|cause| explain::<T>(delivery, json, Place::Whole, cause)),
        Document::Unread(cause) => Err(unread(delivery, cause)),
    }
}

/// The JSON of the body, not parsed.
pub(super) fn json_bytes(delivery: &Delivery) -> Result<&[u8], EventRejection> {
    match delivery.document() {
        Document::Json(json) => Ok(json),
        Document::Unread(cause) => Err(unread(delivery, cause)),
        Document::Fields(_) => {
            let message = "the body is a form whose fields are the payload, and contains no JSON".to_owned();
            Err(reject(delivery, EventRejectionKind::Mismatch, String::new(), message, None))
        }
    }
}

/// Reads a form whose fields are payload and envelope.
fn fields<'de, T: Deserialize<'de>>(delivery: &'de Delivery, form: &'de [u8]) -> Result<T, EventRejection> {
    T::deserialize(Fields(form)).map_err(|cause| misfit::<T>(delivery, form, &cause))
}

fn subject(delivery: &Delivery) -> Subject<'_> {
    delivery.event_type().map(EventType::subject).unwrap_or_default()
}

/// The place from which a type was parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In the envelope, since there is nothing at the payload's pointer.
    Envelope,
    Payload,
    /// In the envelope, which was asked for.
    Whole,
}

/// Finds out where and why, at leisure: nothing of this is paid by a payload that fits.
fn explain<'de, T: Deserialize<'de>>(
    delivery: &'de Delivery,
    body: &'de [u8],
    place: Place,
    cause: WalkError,
) -> EventRejection {
    // A type may have been found not to fit before the end was seen; whether all of it is JSON decides the status.
    let cause = match (cause, serde_json::from_slice::<IgnoredAny>(body)) {
        (WalkError::Malformed(_), Err(_)) if delivery.is_strange_form() => return unread(delivery, Unread::Form),
        (WalkError::Mismatch(_), Err(malformed)) => WalkError::Malformed(malformed),
        (cause, _) => cause,
    };
    let cause = match cause {
        WalkError::Mismatch(cause) => cause,
        WalkError::Malformed(cause) => {
            let message = without_values(&cause);
            return reject(delivery, EventRejectionKind::Malformed, String::new(), message, Some(cause));
        }
    };
    let root = Pointer::default();
    let pointer = if place == Place::Payload { delivery.payload_pointer() } else { &root };
    let is_event = place != Place::Whole && event_enum::variants::<T>().is_some();
    let below = path::<T>(body, pointer, is_event.then(|| subject(delivery))).unwrap_or_default();
    let (path, message) = match place {
        Place::Envelope => {
            let at = if below.is_empty() { String::new() } else { format!(" at `{below}`") };
            let pointer = delivery.payload_pointer();
            let why = without_values(&cause);
            (
                pointer.to_string(),
                format!("there is nothing at `{pointer}`, and the type does not fit the whole body either{at}: {why}"),
            )
        }
        Place::Payload | Place::Whole => {
            let mut message = without_values(&cause);
            if !pointer.is_root() && !is_event && json::whole::<T>(body).is_ok() {
                message.push_str("; the type fits the whole body: take `VerifiedEnvelope`");
            }
            (format!("{pointer}{below}"), message)
        }
    };
    reject(delivery, EventRejectionKind::Mismatch, path, message, Some(cause))
}

fn no_payload(delivery: &Delivery) -> EventRejection {
    let pointer = delivery.payload_pointer();
    let message = format!(
        "there is nothing at `{pointer}`; if this sender puts its payload elsewhere, take `VerifiedEnvelope`, or declare \
         `payload_or_envelope`"
    );
    reject(delivery, EventRejectionKind::Mismatch, pointer.to_string(), message, None)
}

/// The rejection of a form whose fields do not fit.
fn misfit<'de, T: Deserialize<'de>>(delivery: &Delivery, form: &'de [u8], cause: &serde_json::Error) -> EventRejection {
    let error = if event_enum::variants::<T>().is_some() {
        let event =
            Event { subject: subject(delivery), content: Some(Content::Fields(form)), unhandled: &Cell::new(false) };
        serde_path_to_error::deserialize::<_, T>(event).err()
    } else {
        serde_path_to_error::deserialize::<_, T>(Fields(form)).err()
    };
    let path = error.map(|error| json_pointer(error.path())).unwrap_or_default();
    let message = without_values(cause);
    let source = serde::de::Error::custom(cause);
    reject(delivery, EventRejectionKind::Mismatch, path, message, Some(source))
}

/// The rejection of a body that cannot be read at all.
fn unread(delivery: &Delivery, cause: Unread) -> EventRejection {
    let kind = match cause {
        Unread::Form => EventRejectionKind::UnsupportedForm,
        Unread::NoField | Unread::NotJson | Unread::Repeated => EventRejectionKind::Malformed,
    };
    reject(delivery, kind, String::new(), cause.as_str().to_owned(), None)
}

fn reject(
    delivery: &Delivery,
    kind: EventRejectionKind,
    path: String,
    message: String,
    source: Option<serde_json::Error>,
) -> EventRejection {
    let rejection = EventRejection::parse(kind, path, message, source);
    let event_type = delivery.event_type().map(|kind| line(kind.as_str()));
    observe::not_parsed(
        delivery.provider(),
        event_type.as_deref(),
        &line(rejection.path()),
        &line(&rejection.to_string()),
    );
    rejection
}

/// The path below `pointer` at which `T` does not fit, as a JSON pointer.
fn path<'de, T: Deserialize<'de>>(body: &'de [u8], pointer: &Pointer, event: Option<Subject<'_>>) -> Option<String> {
    let (raw, _) = json::payload::<&'de RawValue>(body, pointer, &[]).ok()?;
    let raw = raw?;
    let error = match event {
        Some(subject) => {
            let content = Some(Content::Json(raw.get()));
            let event = Event { subject, content, unhandled: &Cell::new(false) };
            serde_path_to_error::deserialize::<_, T>(event).err()?
        }
        None => {
            let mut deserializer = serde_json::Deserializer::from_str(raw.get());
            serde_path_to_error::deserialize::<_, T>(&mut deserializer).err()?
        }
    };
    Some(json_pointer(error.path()))
}

fn json_pointer(path: &serde_path_to_error::Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        use serde_path_to_error::Segment;
        pointer.push('/');
        match segment {
            Segment::Seq { index } => pointer.push_str(&index.to_string()),
            Segment::Map { key } => pointer.push_str(&key.replace('~', "~0").replace('/', "~1")),
            // The variant is the event type, not a place in the body.
            Segment::Enum { .. } => _ = pointer.pop(),
            Segment::Unknown => pointer.push('?'),
        }
    }
    pointer
}

/// serde's message without what it quotes from the payload: `invalid type: string "4111…", expected u64` becomes
/// `invalid type: string, expected u64`.
fn without_values(error: &serde_json::Error) -> String {
    let message = error.to_string();
    for (start, keep_word) in
        [("invalid type: ", true), ("invalid value: ", true), ("unknown field ", false), ("unknown variant ", false)]
    {
        if let Some(rest) = message.strip_prefix(start)
            && let Some((found, expected)) = rest.rsplit_once(", expected ")
        {
            let word = if keep_word { found.split([' ', '`', '"']).next().unwrap_or_default() } else { "" };
            return format!("{}{word}, expected {expected}", if keep_word { start } else { start.trim_end() });
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use super::without_values;

    #[test]
    fn a_message_shows_no_value_of_the_payload() {
        let error = serde_json::from_str::<u64>(r#""4111 1111, expected nothing""#).unwrap_err();
        assert_eq!(without_values(&error), "invalid type: string, expected u64 at line 1 column 29");

        #[derive(Debug, serde::Deserialize)]
        enum Colour {
            Red,
        }
        let error = serde_json::from_str::<Colour>(r#""secret""#).unwrap_err();
        assert!(!without_values(&error).contains("secret"), "{}", without_values(&error));
        assert!(serde_json::from_str::<Colour>(r#""Red""#).is_ok_and(|colour| matches!(colour, Colour::Red)));
    }
}
