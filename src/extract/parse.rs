use std::cell::Cell;

use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

use super::{
    event_enum::{self, Event},
    rejection::{EventRejection, EventRejectionKind},
};
use crate::{
    delivery::Delivery,
    json::{self, Pointer, WalkError},
    observe,
    pattern::Subject,
};

/// Reads the payload: what is at the scheme's payload pointer. An enum is chosen by the event type.
pub(super) fn payload<'de, T: Deserialize<'de>>(delivery: &'de Delivery) -> Result<T, EventRejection> {
    if delivery.is_ambiguous() {
        let cause = serde::de::Error::custom("a key on the way to the id or the event type is repeated");
        return Err(explain::<T>(delivery, delivery.payload_pointer(), WalkError::Malformed(cause)));
    }
    if event_enum::variants::<T>().is_some() {
        return by_event_type(delivery);
    }
    let pointer = delivery.payload_pointer();
    match json::payload::<T>(delivery.body(), pointer, delivery.wanted()) {
        Ok((value, scalars)) => {
            delivery.note(&scalars);
            Ok(value)
        }
        Err(cause) => Err(explain::<T>(delivery, pointer, cause)),
    }
}

fn by_event_type<'de, T: Deserialize<'de>>(delivery: &'de Delivery) -> Result<T, EventRejection> {
    let pointer = delivery.payload_pointer();
    let payload = match json::payload::<&'de RawValue>(delivery.body(), pointer, delivery.wanted()) {
        Ok((payload, scalars)) => {
            delivery.note(&scalars);
            Some(payload.get())
        }
        Err(WalkError::NoPayload) => None,
        Err(cause) => return Err(explain::<T>(delivery, pointer, cause)),
    };
    let event_type = delivery.event_type();
    let subject = event_type.map_or(Subject { whole: "", first: None }, |kind| kind.subject());
    let unhandled = Cell::new(false);
    let event = Event { subject, payload, unhandled: &unhandled };
    event_enum::deserialize(event).map_err(|cause| {
        if unhandled.get() {
            observe::unhandled(delivery.provider(), event_type.map(|kind| kind.as_str()));
            return EventRejection::unhandled();
        }
        explain::<T>(delivery, pointer, WalkError::Mismatch(cause))
    })
}

/// Reads the envelope: the whole body.
pub(super) fn envelope<'de, T: Deserialize<'de>>(delivery: &'de Delivery) -> Result<T, EventRejection> {
    let pointer = Pointer::default();
    json::payload::<T>(delivery.body(), &pointer, &[])
        .map(|(value, _)| value)
        .map_err(|cause| explain::<T>(delivery, &pointer, cause))
}

/// Finds out where and why, at leisure: nothing of this is paid by a payload that fits.
fn explain<'de, T: Deserialize<'de>>(delivery: &'de Delivery, pointer: &Pointer, cause: WalkError) -> EventRejection {
    let body = delivery.body();
    // A type may have been found not to fit before the end was seen; whether all of it is JSON decides the status.
    let cause = match (cause, serde_json::from_slice::<IgnoredAny>(body)) {
        (WalkError::Mismatch(_), Err(malformed)) => WalkError::Malformed(malformed),
        (cause, _) => cause,
    };
    let (kind, path, message, source) = match cause {
        WalkError::Malformed(cause) => {
            (EventRejectionKind::Malformed, String::new(), without_values(&cause), Some(cause))
        }
        WalkError::NoPayload => {
            let message = format!(
                "there is nothing at `{pointer}`; if this sender puts its payload elsewhere, take `VerifiedEnvelope`"
            );
            (EventRejectionKind::Mismatch, pointer.to_string(), message, None)
        }
        WalkError::Mismatch(cause) => {
            let subject = delivery.event_type().map(|kind| kind.subject());
            let event = event_enum::variants::<T>().and(subject);
            let path = path::<T>(body, pointer, event).unwrap_or_default();
            let mut message = without_values(&cause);
            if !pointer.is_root() && json::payload::<T>(body, &Pointer::default(), &[]).is_ok() {
                message.push_str("; the type fits the whole body: take `VerifiedEnvelope`");
            }
            (EventRejectionKind::Mismatch, format!("{pointer}{path}"), message, Some(cause))
        }
    };
    let rejection = EventRejection::parse(kind, path, message, source);
    let event_type = delivery.event_type().map(|kind| line(kind.as_str()));
    observe::not_parsed(
        delivery.provider(),
        rejection.status().as_u16(),
        event_type.as_deref(),
        &line(rejection.path()),
        &line(&rejection.to_string()),
    );
    rejection
}

/// The path below `pointer` at which `T` does not fit, as a JSON pointer.
fn path<'de, T: Deserialize<'de>>(body: &'de [u8], pointer: &Pointer, event: Option<Subject<'_>>) -> Option<String> {
    let (raw, _) = json::payload::<&'de RawValue>(body, pointer, &[]).ok()?;
    let error = match event {
        Some(subject) => {
            let event = Event { subject, payload: Some(raw.get()), unhandled: &Cell::new(false) };
            serde_path_to_error::deserialize::<_, T>(event).err()?
        }
        None => {
            let mut deserializer = serde_json::Deserializer::from_str(raw.get());
            serde_path_to_error::deserialize::<_, T>(&mut deserializer).err()?
        }
    };
    let mut path = String::new();
    for segment in error.path() {
        use serde_path_to_error::Segment;
        path.push('/');
        match segment {
            Segment::Seq { index } => path.push_str(&index.to_string()),
            Segment::Map { key } => path.push_str(&key.replace('~', "~0").replace('/', "~1")),
            // The variant is the event type, not a place in the body.
            Segment::Enum { .. } => _ = path.pop(),
            Segment::Unknown => path.push('?'),
        }
    }
    Some(path)
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

/// One short line for a log, of text that may hold something of the sender's: a key, an event type.
fn line(text: &str) -> String {
    const LONGEST: usize = 300;
    let mut line = String::new();
    for character in text.chars() {
        if line.len() >= LONGEST {
            line.push('…');
            break;
        }
        if character.is_control() { line.extend(character.escape_default()) } else { line.push(character) }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::{line, without_values};

    #[test]
    fn text_of_the_sender_is_one_short_line_in_a_log() {
        assert_eq!(line("a\nb\u{1b}[31m"), "a\\nb\\u{1b}[31m");
        assert!(line(&"x".repeat(1_000_000)).len() < 310);
    }

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
