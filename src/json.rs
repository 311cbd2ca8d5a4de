//! Reads a few known places of a JSON document, in one pass and without building a tree.
//!
//! Rules:
//! 1. A body is checked once to be UTF-8, and then parsed once.
//! 2. Only the requested values are stored; everything else is skipped.
//! 3. A repeated key on the path to a requested value makes the body ambiguous: two readers might see two values, so it
//!    is rejected. Repeated keys elsewhere are up to the type that is deserialized.
//! 4. A scalar is returned as text. A number is the text that the sender wrote, so `1` and `1.0` differ, and no number
//!    is too large.
//! 5. serde_json's limit on depth applies.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserialize,
    de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use smallvec::SmallVec;

/// A place in a JSON document (RFC 6901). The empty pointer is the whole document.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Pointer {
    tokens: Vec<String>,
}

impl Pointer {
    /// Parses a pointer. Returns `None` if the text is not empty and does not begin with `/`, or has an invalid escape
    /// after `~`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::default());
        }
        let tokens = text.strip_prefix('/')?.split('/').map(unescape).collect::<Option<_>>()?;
        Some(Self { tokens })
    }

    /// The member of an object with this name.
    pub(crate) fn token(name: &str) -> Self {
        Self { tokens: vec![name.to_owned()] }
    }

    pub(crate) fn is_root(&self) -> bool {
        self.tokens.is_empty()
    }

    pub(crate) fn tokens(&self) -> &[String] {
        &self.tokens
    }

    /// A place in an item of the array at `self`.
    #[cfg(feature = "testing")]
    pub(crate) fn item(&self, index: usize, other: &Self) -> Self {
        let index = std::iter::once(index.to_string());
        Self { tokens: self.tokens.iter().cloned().chain(index).chain(other.tokens.iter().cloned()).collect() }
    }

    /// Returns `true` if `other` is the same place, or a place inside of it.
    pub(crate) fn contains(&self, other: &Self) -> bool {
        other.tokens.starts_with(&self.tokens)
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for token in &self.tokens {
            write!(f, "/{}", token.replace('~', "~0").replace('/', "~1"))?;
        }
        Ok(())
    }
}

fn unescape(token: &str) -> Option<String> {
    let mut text = String::with_capacity(token.len());
    let mut rest = token.chars();
    while let Some(character) = rest.next() {
        text.push(match character {
            '~' => match rest.next()? {
                '0' => '~',
                '1' => '/',
                _ => return None,
            },
            other => other,
        });
    }
    Some(text)
}

/// The scalars at the requested pointers, in the order of the pointers, as text. `None` if the place does not exist, or
/// has `null`, an object or an array.
pub(crate) type Scalars<'de> = SmallVec<[Option<Cow<'de, str>>; MOST]>;

/// A scheme does not request more values than this from a body, so a list of them needs no allocation.
const MOST: usize = 8;

/// Why a body could not be read.
#[derive(Debug)]
pub(crate) enum WalkError {
    /// The body is not UTF-8 JSON, or a key on the path is repeated.
    Malformed(serde_json::Error),
    /// The body is JSON, but the payload does not fit the requested type.
    Mismatch(serde_json::Error),
}

/// Why no values could be read from a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unread {
    /// The body is a form, and the scheme does not declare forms.
    Form,
    /// The body is a form without the field that contains the event.
    NoField,
    /// The body is neither JSON nor a form.
    NotJson,
    /// A key on the path, or a field of a form, is repeated.
    Repeated,
}

impl Unread {
    /// A name under which it can be stored.
    #[cfg(feature = "inbox")]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Form => "form",
            Self::NoField => "no_field",
            Self::NotJson => "not_json",
            Self::Repeated => "repeated",
        }
    }

    #[cfg(feature = "inbox")]
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        [Self::Form, Self::NoField, Self::NotJson, Self::Repeated].into_iter().find(|unread| unread.name() == name)
    }

    /// Returns the reason, for the operator.
    #[cfg(feature = "axum")]
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Form => {
                "the body is a form, and the scheme does not declare forms; declare them with `SchemeBuilder::form`, \
                 or let the sender send JSON"
            }
            Self::NoField => "the body is a form without the field that contains the event",
            Self::NotJson => "the body is not JSON",
            Self::Repeated => "the event type, or a key on the path to it or to the id, occurs more than once",
        }
    }
}

/// Reads scalars from a body.
pub(crate) fn scalars<'de>(body: &'de [u8], pointers: &[Pointer]) -> Result<Scalars<'de>, Unread> {
    let mut found = Scalars::from_elem(None, pointers.len());
    let mut fault = None;
    let mut deserializer = serde_json::Deserializer::from_str(text(body).map_err(|_| Unread::NotJson)?);
    Node::<'_, 'de, IgnoredAny> {
        wanted: pointers.iter().enumerate().map(|(slot, pointer)| (slot, pointer.tokens.as_slice())).collect(),
        payload: None,
        found: &mut found,
        result: &mut None,
        fault: &mut fault,
    }
    .deserialize(&mut deserializer)
    .and_then(|()| deserializer.end())
    .map_err(|_| fault.unwrap_or(Unread::NotJson))?;
    Ok(found)
}

/// Deserializes the value at `payload`, and reads scalars in the same pass. Scalars inside the payload are not found.
/// Returns no value if there is nothing at `payload`.
pub(crate) fn payload<'de, T: Deserialize<'de>>(
    body: &'de [u8],
    payload: &Pointer,
    pointers: &[Pointer],
) -> Result<(Option<T>, Scalars<'de>), WalkError> {
    let mut found = Scalars::from_elem(None, pointers.len());
    let mut result = None;
    let mut fault = None;
    let mut deserializer = serde_json::Deserializer::from_str(text(body).map_err(WalkError::Malformed)?);
    Node {
        wanted: pointers.iter().enumerate().map(|(slot, pointer)| (slot, pointer.tokens.as_slice())).collect(),
        payload: Some(&payload.tokens),
        found: &mut found,
        result: &mut result,
        fault: &mut fault,
    }
    .deserialize(&mut deserializer)
    .and_then(|()| deserializer.end())
    .map_err(|cause| {
        if cause.is_data() && fault.is_none() { WalkError::Mismatch(cause) } else { WalkError::Malformed(cause) }
    })?;
    Ok((result, found))
}

/// Deserializes the whole body.
#[cfg(feature = "axum")]
pub(crate) fn whole<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, WalkError> {
    let mut deserializer = serde_json::Deserializer::from_str(text(body).map_err(WalkError::Malformed)?);
    T::deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|cause| if cause.is_data() { WalkError::Mismatch(cause) } else { WalkError::Malformed(cause) })
}

fn text(body: &[u8]) -> Result<&str, serde_json::Error> {
    std::str::from_utf8(body).map_err(|_| de::Error::custom("the body is not UTF-8"))
}

type Wanted<'w> = SmallVec<[(usize, &'w [String]); MOST]>;

/// One value of the document, with the places below it that are still requested.
struct Node<'w, 'de, T> {
    wanted: Wanted<'w>,
    payload: Option<&'w [String]>,
    found: &'w mut Scalars<'de>,
    result: &'w mut Option<T>,
    /// What is wrong with the body, although it may be JSON.
    fault: &'w mut Option<Unread>,
}

impl<'de, T> Node<'_, 'de, T> {
    /// Returns the node one step down, or `None` if nothing below it is requested.
    fn step(&mut self, is_token: impl Fn(&str) -> bool) -> Option<Node<'_, 'de, T>> {
        let wanted: Wanted<'_> = self
            .wanted
            .iter()
            .filter_map(|&(slot, tokens)| {
                let (first, rest) = tokens.split_first()?;
                is_token(first).then_some((slot, rest))
            })
            .collect();
        let payload = self
            .payload
            .and_then(|tokens| tokens.split_first())
            .filter(|(first, _)| is_token(first))
            .map(|(_, rest)| rest);
        if wanted.is_empty() && payload.is_none() {
            return None;
        }
        Some(Node { wanted, payload, found: self.found, result: self.result, fault: self.fault })
    }

    /// Stores the value at a requested place. Returns `true` if something below it is requested too.
    fn take(&mut self, raw: &'de RawValue) -> Result<bool, serde_json::Error> {
        let value = scalar(raw.get()).inspect_err(|_| *self.fault = Some(Unread::NotJson))?;
        for (slot, tokens) in &self.wanted {
            if tokens.is_empty() {
                self.found[*slot].clone_from(&value);
            }
        }
        self.wanted.retain(|(_, tokens)| !tokens.is_empty());
        Ok(!self.wanted.is_empty() || self.payload.is_some())
    }
}

/// Returns the text of a scalar: a string without quotes and escapes, any other value as written.
fn scalar(raw: &str) -> Result<Option<Cow<'_, str>>, serde_json::Error> {
    Ok(match raw.as_bytes().first() {
        // Without an escape, the text is what is between the quotes.
        Some(b'"') if !raw.contains('\\') => Some(Cow::Borrowed(raw.trim_matches('"'))),
        Some(b'"') => Some(serde_json::from_str::<Key<'_>>(raw)?.0),
        Some(b'{' | b'[' | b'n') | None => None,
        Some(_) => Some(Cow::Borrowed(raw)),
    })
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Node<'_, 'de, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(mut self, deserializer: D) -> Result<(), D::Error> {
        if self.payload.is_some_and(<[String]>::is_empty) {
            *self.result = Some(T::deserialize(deserializer)?);
            return Ok(());
        }
        if self.wanted.iter().all(|(_, tokens)| !tokens.is_empty()) {
            return deserializer.deserialize_any(self);
        }
        // The raw text, since a deserializer would parse numbers, and two different numbers may become the same `f64`.
        let raw = <&'de RawValue>::deserialize(deserializer)?;
        if self.take(raw).map_err(de::Error::custom)? {
            serde_json::Deserializer::from_str(raw.get()).deserialize_any(self).map_err(de::Error::custom)?;
        }
        Ok(())
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Node<'_, 'de, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    // A place below a scalar was requested, which does not exist.

    fn visit_bool<E>(self, _value: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _value: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _value: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _value: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _value: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        for index in 0usize.. {
            let step = self.step(|token| token.parse() == Ok(index));
            let more = match step {
                Some(node) => items.next_element_seed(node)?.is_some(),
                None => items.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<(), A::Error> {
        let mut seen: SmallVec<[Cow<'de, str>; 4]> = SmallVec::new();
        while let Some(Key(key)) = entries.next_key()? {
            match self.step(|token| token == key) {
                None => {
                    entries.next_value::<IgnoredAny>()?;
                }
                Some(node) => {
                    if seen.contains(&key) {
                        *node.fault = Some(Unread::Repeated);
                        return Err(de::Error::custom(format_args!("repeated key `{key}`")));
                    }
                    seen.push(key);
                    entries.next_value_seed(node)?;
                }
            }
        }
        Ok(())
    }
}

/// A key, borrowed from the document where it has no escapes.
struct Key<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor<'de>(PhantomData<&'de ()>);

        impl<'de> Visitor<'de> for KeyVisitor<'de> {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(value)))
            }

            fn visit_str<E>(self, value: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(value.to_owned())))
            }
        }

        deserializer.deserialize_str(KeyVisitor(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::{Pointer, Unread, WalkError, payload, scalars};

    fn pointer(text: &str) -> Pointer {
        Pointer::parse(text).unwrap()
    }

    #[test]
    fn a_pointer_is_parsed_as_rfc_6901_says() {
        assert_eq!(pointer("/a~1b/m~0n").tokens, ["a/b", "m~n"]);
        assert!(pointer("").is_root());
        assert!(Pointer::parse("a").is_none());
        assert!(Pointer::parse("/~2").is_none());
    }

    #[test]
    fn scalars_are_found_wherever_they_are() {
        let body = br#"{"skip":[{"id":9}],"id":"evt","n":{"a\u0062":[1,true]},"nothing":null}"#;
        let pointers = ["/id", "/n/ab/1", "/n/ab/0", "/nothing", "/absent", "/n"].map(pointer);

        let found = scalars(body, &pointers).unwrap();

        let found: Vec<_> = found.iter().map(|value| value.as_deref()).collect();
        assert_eq!(found, [Some("evt"), Some("true"), Some("1"), None, None, None]);
    }

    #[test]
    fn a_number_is_the_text_that_was_sent() {
        for number in ["18446744073709551617", "1.0", "1", "1e0", "-0", "0.10000000000000000000001", "1E400"] {
            let body = format!(
                r#"{{"a": [ {number} ], "id" : {number}
            }}"#
            );
            let pointers = [pointer("/id"), pointer("/a/0")];
            let found = scalars(body.as_bytes(), &pointers).unwrap();
            assert_eq!(found.iter().flatten().collect::<Vec<_>>(), [number, number]);
        }
    }

    #[test]
    fn a_place_may_be_asked_for_and_something_below_it() {
        let pointers = [pointer("/a"), pointer("/a/b"), pointer("/a/b")];
        let find = |body: &'static [u8]| {
            let found = scalars(body, &pointers).unwrap();
            found.into_iter().map(|value| value.map(|text| text.into_owned())).collect::<Vec<_>>()
        };

        assert_eq!(find(br#"{"a":{"b":"x"}}"#), [None, Some("x".to_owned()), Some("x".to_owned())]);
        assert_eq!(find(br#"{"a":"x"}"#), [Some("x".to_owned()), None, None]);
        let (value, found) = payload::<u8>(br#"{"a":{"b":1}}"#, &pointer("/a/b"), &[pointer("/a")]).unwrap();
        assert_eq!((value, found[0].as_deref()), (Some(1), None));
    }

    #[test]
    fn a_string_that_is_not_text_is_malformed() {
        let broken = br#"{"id":"\ud800"}"#;

        assert_eq!(scalars(broken, &[pointer("/id")]), Err(Unread::NotJson));
        let read = payload::<u8>(br#"{"id":"\ud800","data":1}"#, &pointer("/data"), &[pointer("/id")]);
        assert!(matches!(read, Err(WalkError::Malformed(_))));
    }

    #[test]
    fn a_repeated_key_on_the_way_is_refused_and_elsewhere_it_is_not() {
        assert_eq!(scalars(br#"{"id":1,"id":2}"#, &[pointer("/id")]), Err(Unread::Repeated));
        assert_eq!(scalars(br#"{"a":{"id":1},"a":{}}"#, &[pointer("/a/id")]), Err(Unread::Repeated));
        assert_eq!(scalars(br#"{"id":1"#, &[pointer("/id")]), Err(Unread::NotJson));
        assert!(scalars(br#"{"b":1,"b":2,"id":1}"#, &[pointer("/id")]).is_ok());
    }

    #[test]
    fn payload_and_scalars_come_out_of_one_walk() {
        let body = br#"{"id":"evt","data":{"object":[1,2,3]},"type":"t"}"#;

        let (numbers, found) =
            payload::<Vec<u8>>(body, &pointer("/data/object"), &[pointer("/id"), pointer("/type")]).unwrap();

        assert_eq!(numbers, Some(vec![1, 2, 3]));
        assert_eq!(found.iter().map(|value| value.as_deref()).collect::<Vec<_>>(), [Some("evt"), Some("t")]);
    }

    #[test]
    fn the_ways_to_fail_are_told_apart() {
        let at = pointer("/data");

        assert!(matches!(payload::<u8>(b"{", &at, &[]), Err(WalkError::Malformed(_))));
        assert!(matches!(payload::<u8>(b"{\"data\":1}x", &at, &[]), Err(WalkError::Malformed(_))));
        assert!(matches!(payload::<u8>(b"{\"data\":\"\xff\"}", &at, &[]), Err(WalkError::Malformed(_))));
        assert!(matches!(payload::<u8>(b"{\"data\":1,\"data\":2}", &at, &[]), Err(WalkError::Malformed(_))));
        assert!(matches!(payload::<u8>(b"{\"data\":\"x\"}", &at, &[]), Err(WalkError::Mismatch(_))));
        assert!(matches!(payload::<u8>(b"{}", &at, &[]), Ok((None, _))));
    }
}
