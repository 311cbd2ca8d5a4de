//! Bodies of the type `application/x-www-form-urlencoded`, which a few senders send instead of JSON.
//!
//! Rules:
//! 1. The body itself determines whether it is a form. Senders do not sign `Content-Type`, so anyone who replays a
//!    delivery could change it; the meaning of a verified body depends only on signed bytes. JSON is never a form: an
//!    object, an array or a string begins with a character that a form escapes, and other JSON does not contain `=`.
//! 2. Names and values are decoded as the URL standard says (url.spec.whatwg.org, section 5.1), but bytes that are not
//!    UTF-8 are rejected and not replaced, since two receivers could replace them differently.
//! 3. If a field that is needed occurs twice, the body is ambiguous, as with a repeated key in JSON.
//! 4. Of a form with parts (`multipart/form-data`), only the part with the JSON is read.

#[cfg(feature = "axum")]
mod deserialize;
mod multipart;

use std::borrow::Cow;

use bytes::Bytes;
use percent_encoding::percent_decode;

#[cfg(feature = "axum")]
pub(crate) use self::deserialize::{Fields, to_json};
use crate::json::{Pointer, Scalars, Unread};

/// How the forms of a sender are read; the argument of [`SchemeBuilder::form`](crate::scheme::SchemeBuilder::form).
///
/// A body that is a form is read as one, whatever its `Content-Type` says, and any other body as JSON. The signature
/// covers the raw bytes in both cases.
///
/// ```
/// use tower_webhooks::{Scheme, scheme::{Field, Form}};
///
/// // payload=%7B%22action%22%3A%22opened%22%7D
/// let acme = Scheme::hmac_sha256()
///     .header("x-acme-signature")
///     .hex()
///     .signs("{body}")
///     .form(Form::json("payload"))
///     .event_type(Field::json("/action"));
///
/// // event=delivered&recipient=alice%40example.com
/// let mailer = Scheme::hmac_sha256()
///     .header("x-mailer-signature")
///     .hex()
///     .signs("{body}")
///     .form(Form::fields())
///     .event_type(Field::json("/event"));
/// # acme.build()?;
/// # mailer.build()?;
/// # Ok::<(), tower_webhooks::ConfigError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Form {
    json: Option<Cow<'static, str>>,
    fields: bool,
}

impl Form {
    /// Declares that a field of the form contains the JSON that would otherwise be the body. It is decoded once, on
    /// first use. The form may have parts (`multipart/form-data`).
    pub fn json(field: impl Into<Cow<'static, str>>) -> Self {
        Self { json: Some(field.into()), fields: false }
    }

    /// Declares that the fields are the payload and the envelope. A JSON pointer of one token, such as `/event`, is the
    /// field of that name.
    pub fn fields() -> Self {
        Self { json: None, fields: true }
    }

    /// What it was made of, so that it can be stored.
    #[cfg(feature = "inbox")]
    pub(crate) fn parts(&self) -> (Option<&str>, bool) {
        (self.json.as_deref(), self.fields)
    }

    #[cfg(feature = "inbox")]
    pub(crate) fn of_parts(json: Option<String>, fields: bool) -> Self {
        Self { json: json.map(Cow::Owned), fields }
    }

    /// Declares that in forms without the field of [`json`](Self::json) the fields are the payload, for senders that
    /// send both kinds.
    pub fn or_fields(mut self) -> Self {
        self.fields = true;
        self
    }

    /// Reads a body.
    pub(crate) fn read(&self, body: &[u8]) -> Content {
        if let Some(part) = self.json.as_deref().and_then(|name| multipart::part(body, name)) {
            return match part {
                Ok(Some(json)) => Content::Json(Bytes::copy_from_slice(json)),
                Ok(None) => Content::Unread(Unread::NoField),
                Err(unread) => Content::Unread(unread),
            };
        }
        if !is_form(body) {
            return Content::Raw;
        }
        match self.json.as_deref().map(|name| single(body, name)) {
            Some(Ok(Some(json))) => Content::Json(decode(json).into_owned().into()),
            Some(Err(unread)) => Content::Unread(unread),
            Some(Ok(None)) if !self.fields => Content::Unread(Unread::NoField),
            Some(Ok(None)) | None if is_text(body) => Content::Fields,
            Some(Ok(None)) | None => Content::Unread(Unread::NotJson),
        }
    }

    /// Returns the field that contains the JSON, if one is declared.
    #[cfg(feature = "testing")]
    pub(crate) fn json_field(&self) -> Option<&str> {
        self.json.as_deref()
    }

    /// Returns `true` if the fields may be the payload.
    #[cfg(feature = "testing")]
    pub(crate) fn has_fields(&self) -> bool {
        self.fields
    }
}

/// The kind of a body, for a scheme that declares forms.
#[derive(Debug)]
pub(crate) enum Content {
    /// A form whose fields are the payload.
    Fields,
    /// The JSON in a form, decoded.
    Json(Bytes),
    /// Not a form: the body is read as it is.
    Raw,
    Unread(Unread),
}

/// Returns `true` if a body is a form. The result is `false` for JSON; a body that is neither may count as a form.
pub(crate) fn is_form(body: &[u8]) -> bool {
    // The characters that a form serializer does not escape, and `%`, with which every escape begins.
    let begins = |byte: &u8| byte.is_ascii_alphanumeric() || b"*-._+%".contains(byte);
    body.first().is_some_and(begins) && body.contains(&b'=')
}

/// Returns the scalars at pointers of one token: the fields of these names.
pub(crate) fn scalars<'de>(body: &'de [u8], pointers: &[Pointer]) -> Result<Scalars<'de>, Unread> {
    let field = |pointer: &Pointer| -> Result<Option<Cow<'de, str>>, Unread> {
        let [name] = pointer.tokens() else { return Ok(None) };
        single(body, name)?.map(text).transpose()
    };
    pointers.iter().map(field).collect()
}

/// Returns the raw value of a field that may occur at most once.
fn single<'de>(body: &'de [u8], name: &str) -> Result<Option<&'de [u8]>, Unread> {
    let mut values = pairs(body).filter(|(other, _)| is_named(other, name)).map(|(_, value)| value);
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(Unread::Repeated),
        (value, None) => Ok(value),
    }
}

/// The fields of a form, decoded and sorted by name, with the values of a repeated one in order. `None` where the body is not a form of text.
pub(crate) fn sorted(body: &[u8]) -> Option<Vec<(Cow<'_, str>, Cow<'_, str>)>> {
    if !body.is_empty() && !is_form(body) {
        return None;
    }
    let mut fields =
        pairs(body).map(|(name, value)| Some((text(name).ok()?, text(value).ok()?))).collect::<Option<Vec<_>>>()?;
    fields.sort_unstable();
    Some(fields)
}

/// A parameter of a query, as bytes.
type Parameter<'q> = (Cow<'q, [u8]>, Cow<'q, [u8]>);

/// The parameters of a query, decoded and sorted by name and value.
pub(crate) fn sorted_query(query: &[u8]) -> Vec<Parameter<'_>> {
    let mut parameters: Vec<_> = pairs(query).map(|(name, value)| (decode(name), decode(value))).collect();
    parameters.sort_unstable();
    parameters
}

/// Returns names and values as they were sent.
fn pairs(body: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        let end = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        (&pair[..end], pair.get(end + 1..).unwrap_or_default())
    })
}

fn is_named(raw: &[u8], name: &str) -> bool {
    raw == name.as_bytes() || (raw.len() > name.len() && *decode(raw) == *name.as_bytes())
}

fn is_text(body: &[u8]) -> bool {
    pairs(body).all(|(name, value)| text(name).is_ok() && text(value).is_ok())
}

fn text(raw: &[u8]) -> Result<Cow<'_, str>, Unread> {
    match decode(raw) {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| Unread::NotJson),
        Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).map_err(|_| Unread::NotJson),
    }
}

/// Decodes a name or a value. The result is never longer than the input.
fn decode(raw: &[u8]) -> Cow<'_, [u8]> {
    let escapes = raw.iter().filter(|byte| **byte == b'%').count();
    if escapes == 0 && !raw.contains(&b'+') {
        return Cow::Borrowed(raw);
    }
    // An escape has three bytes for one. The buffer grows only if there are invalid escapes.
    let mut decoded = Vec::with_capacity(raw.len().saturating_sub(2 * escapes));
    for (index, piece) in raw.split(|byte| *byte == b'+').enumerate() {
        if index > 0 {
            decoded.push(b' ');
        }
        decoded.extend(percent_decode(piece));
    }
    Cow::Owned(decoded)
}

/// Writes a form.
#[cfg(feature = "testing")]
pub(crate) fn write<'f>(fields: impl IntoIterator<Item = (&'f str, &'f [u8])>) -> Vec<u8> {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

    const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'*').remove(b'-').remove(b'.').remove(b'_').remove(b' ');
    let escape = |bytes: &[u8]| percent_encode(bytes, ESCAPED).to_string().replace(' ', "+");
    let pairs: Vec<_> =
        fields.into_iter().map(|(name, value)| format!("{}={}", escape(name.as_bytes()), escape(value))).collect();
    pairs.join("&").into_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Content, Form, decode, is_form, scalars};
    use crate::json::{Pointer, Unread};

    fn pointer(text: &str) -> Pointer {
        Pointer::parse(text).unwrap()
    }

    #[test]
    fn the_body_says_whether_it_is_a_form() {
        for body in ["payload=%7B%7D", "a=", "a=1&b=2", "%61=1", "+=1", "123=4"] {
            assert!(is_form(body.as_bytes()), "{body}");
        }
        for body in
            ["", "{}", " {\"a\":\"=\"}", "[\"a=b\"]", "\"a=b\"", "1", "-1.5e3", "null", "true", "<a b=\"c\"/>", "=a"]
        {
            assert!(!is_form(body.as_bytes()), "{body}");
        }
    }

    #[test]
    fn a_field_is_decoded_once() {
        let body = b"a=1&pay%6coad=%7B%22text%22%3A%22a%2Bb+c%25d%22%7D&z";

        let Content::Json(json) = Form::json("payload").read(body) else { panic!("there is JSON") };

        assert_eq!(json, &br#"{"text":"a+b c%d"}"#[..]);
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let unread = |form: Form, body: &[u8]| match form.read(body) {
            Content::Unread(unread) => Some(unread),
            _ => None,
        };

        assert_eq!(unread(Form::json("payload"), b"a=1"), Some(Unread::NoField));
        assert_eq!(unread(Form::json("payload"), b"payload=1&payload=2"), Some(Unread::Repeated));
        assert_eq!(unread(Form::json("payload"), b"payload=1&p%61yload=2"), Some(Unread::Repeated));
        assert_eq!(unread(Form::json("payload").or_fields(), b"payload=1&payload=2"), Some(Unread::Repeated));
        assert_eq!(unread(Form::fields(), b"a=%ff"), Some(Unread::NotJson));
        assert_eq!(unread(Form::fields(), b"a%ff=1"), Some(Unread::NotJson));
        assert!(matches!(Form::json("payload").or_fields().read(b"a=1"), Content::Fields));
        assert!(matches!(Form::fields().read(b"{\"a\":\"=\"}"), Content::Raw));
    }

    #[test]
    fn fields_are_found_by_pointers_of_one_token() {
        let body = b"id=7&text=a+b&na%2Fme=x&twice=1&twice=2";

        let found = scalars(body, &["/id", "/text", "/na~1me", "/absent", "/id/x", ""].map(pointer)).unwrap();

        let found: Vec<_> = found.iter().map(|value| value.as_deref()).collect();
        assert_eq!(found, [Some("7"), Some("a b"), Some("x"), None, None, None]);
        assert_eq!(scalars(body, &[pointer("/twice")]), Err(Unread::Repeated));
        assert_eq!(scalars(b"a=%ff", &[pointer("/a")]), Err(Unread::NotJson));
    }

    proptest! {
        #[test]
        fn decoding_makes_nothing_longer(raw in prop::collection::vec(prop::sample::select(b"a%2+=&f\xff".to_vec()), 0..40)) {
            let decoded = decode(&raw).into_owned();

            prop_assert!(decoded.len() <= raw.len());
        }

        #[cfg(feature = "testing")]
        #[test]
        fn what_is_written_is_read(name in "[a-z]{1,5}", value in prop::collection::vec(any::<u8>(), 0..40)) {
            let body = super::write([("other", &b"1"[..]), (&format!("x{name}"), &value)]);

            prop_assert!(is_form(&body));
            let Content::Json(json) = Form::json(format!("x{name}")).read(&body) else { panic!("the field is there") };
            prop_assert_eq!(json, value);
        }
    }
}
