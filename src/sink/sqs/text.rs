//! What SQS takes in a message, by its documentation of `SendMessage`: pure functions.

use std::borrow::Cow;

use bytes::Bytes;
use data_encoding::BASE64;

/// Whether a text may be a body or the value of an attribute: not empty, and of characters that XML 1.0 has.
pub(super) fn is_permitted(text: &str) -> bool {
    let permitted = |character| matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}');
    !text.is_empty() && text.chars().all(permitted)
}

/// How a body was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Base64,
    Text,
}

/// The value of the attribute that says so.
pub(super) const BASE64_FORM: &str = "base64";

/// Writes a body: as it is if SQS takes its characters, otherwise as base64.
pub(super) fn written(body: &Bytes) -> (Form, Cow<'_, str>) {
    match std::str::from_utf8(body) {
        Ok(text) if is_permitted(text) => (Form::Text, text.into()),
        // One line of zero bytes is empty in base64 too, and an empty body is not taken.
        _ if body.is_empty() => (Form::Base64, "=".into()),
        _ => (Form::Base64, BASE64.encode(body).into()),
    }
}

/// Reads what [`written`] has written. `None` if it is not that.
pub(super) fn read(form: Form, text: &str) -> Option<Bytes> {
    match form {
        Form::Text => Some(Bytes::copy_from_slice(text.as_bytes())),
        Form::Base64 if text == "=" => Some(Bytes::new()),
        Form::Base64 => BASE64.decode(text.as_bytes()).ok().map(Into::into),
    }
}

/// The name, type and value of each attribute count for the size of a message, beside its body.
pub(super) fn size(body: &str, attributes: &[(&str, Cow<'_, str>)]) -> usize {
    let attributes = attributes.iter().map(|(name, value)| name.len() + TYPE.len() + value.len());
    body.len() + attributes.sum::<usize>()
}

/// The type of each attribute.
pub(super) const TYPE: &str = "String";

/// A reason as the value of an attribute.
pub(super) fn printable(reason: &str) -> String {
    const LONGEST: usize = 600;
    let reason = if reason.is_empty() { "none was given" } else { reason };
    reason.chars().map(|character| if matches!(character, ' '..='~') { character } else { '?' }).take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use bytes::Bytes;

    use super::{Form, is_permitted, printable, read, size, written};

    #[test]
    fn each_body_comes_back_and_is_text_where_the_service_takes_it() {
        let text = ["{}", "a\tb\r\nc", "é€𝄞\u{10ffff}\u{fffd}\u{7f}", "="];
        for body in text {
            let body = Bytes::from(body);
            let (form, written) = written(&body);
            assert_eq!((form, written.as_bytes()), (Form::Text, &body[..]));
            assert_eq!(read(form, &written), Some(body.clone()));
        }
        let binary: [&[u8]; 6] = [b"", b"\0", b"a\x0b", b"\xff\xfe", "\u{fffe}".as_bytes(), "\u{ffff}".as_bytes()];
        for body in binary {
            let body = Bytes::from(body);
            let (form, written) = written(&body);
            assert!(form == Form::Base64 && is_permitted(&written), "{body:?}");
            assert_eq!(read(form, &written), Some(body.clone()));
        }
        assert_eq!(read(Form::Base64, "not base64"), None);
    }

    #[test]
    fn attributes_count_for_the_size_and_reasons_are_permitted() {
        let attributes = [("Name", Cow::from("value"))];
        assert_eq!(size("body", &attributes), "body".len() + "Name".len() + "String".len() + "value".len());
        for reason in ["", "plain", "a\u{0}b\u{fffe}é\n"] {
            assert!(is_permitted(&printable(reason)), "{reason:?}");
        }
        assert!(printable(&"x".repeat(5000)).len() <= 600);
    }
}
