//! JSON at a few known places, in one pass and without a tree.
//!
//! Rules:
//! 1. A body is checked to be UTF-8 once, then walked once.
//! 2. What is asked for is picked up on the way; everything else is skipped without being stored.
//! 3. A key that is repeated on the way to something asked for makes the body ambiguous: two readers might see two values,
//!    so nobody sees one. Repeated keys elsewhere are the business of the type that is parsed.
//! 4. serde_json's limit on depth stays on.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserialize,
    de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use smallvec::SmallVec;

/// A place in a JSON document (RFC 6901). The empty pointer is the whole document.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Pointer {
    tokens: Vec<String>,
}

impl Pointer {
    /// Parses a pointer; `None` when it neither is empty nor begins with `/`, or has a `~` that escapes nothing.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::default());
        }
        let tokens = text.strip_prefix('/')?.split('/').map(unescape).collect::<Option<_>>()?;
        Some(Self { tokens })
    }

    pub(crate) fn is_root(&self) -> bool {
        self.tokens.is_empty()
    }

    #[cfg(feature = "testing")]
    pub(crate) fn tokens(&self) -> &[String] {
        &self.tokens
    }

    /// Whether `self` names `other` or something that `other` lies in.
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

/// The scalars found at the pointers that were asked for, in their order, as text. `None` where there is none, or `null`,
/// or something that is no scalar.
pub(crate) type Scalars<'de> = SmallVec<[Option<Cow<'de, str>>; 4]>;

/// What a walk ended with, when it did not end well.
#[derive(Debug)]
pub(crate) enum WalkError {
    /// The body is not UTF-8 JSON, or a key on the way is repeated.
    Malformed(serde_json::Error),
    /// The body is JSON, and the payload is not what was asked for.
    Mismatch(serde_json::Error),
    /// There is nothing at the payload's pointer.
    NoPayload,
}

/// Why nothing could be picked out of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unread {
    NotJson,
    /// A key on the way is there twice.
    Repeated,
}

/// Picks scalars out of a body.
pub(crate) fn scalars<'de>(body: &'de [u8], pointers: &[Pointer]) -> Result<Scalars<'de>, Unread> {
    let mut found = Scalars::from_elem(None, pointers.len());
    let mut repeated = false;
    let mut deserializer = serde_json::Deserializer::from_str(text(body).map_err(|_| Unread::NotJson)?);
    Node::<'_, 'de, IgnoredAny> {
        wanted: pointers.iter().enumerate().map(|(slot, pointer)| (slot, pointer.tokens.as_slice())).collect(),
        payload: None,
        found: &mut found,
        result: &mut None,
        repeated: &mut repeated,
    }
    .deserialize(&mut deserializer)
    .and_then(|()| deserializer.end())
    .map_err(|_| if repeated { Unread::Repeated } else { Unread::NotJson })?;
    Ok(found)
}

/// Deserialises what is at `payload`, and picks scalars up on the way. Those that lie inside the payload are not seen.
pub(crate) fn payload<'de, T: Deserialize<'de>>(
    body: &'de [u8],
    payload: &Pointer,
    pointers: &[Pointer],
) -> Result<(T, Scalars<'de>), WalkError> {
    let mut found = Scalars::from_elem(None, pointers.len());
    let mut result = None;
    let mut repeated = false;
    let mut deserializer = serde_json::Deserializer::from_str(text(body).map_err(WalkError::Malformed)?);
    Node {
        wanted: pointers.iter().enumerate().map(|(slot, pointer)| (slot, pointer.tokens.as_slice())).collect(),
        payload: Some(&payload.tokens),
        found: &mut found,
        result: &mut result,
        repeated: &mut repeated,
    }
    .deserialize(&mut deserializer)
    .and_then(|()| deserializer.end())
    .map_err(|cause| {
        if cause.is_data() && !repeated { WalkError::Mismatch(cause) } else { WalkError::Malformed(cause) }
    })?;
    Ok((result.ok_or(WalkError::NoPayload)?, found))
}

fn text(body: &[u8]) -> Result<&str, serde_json::Error> {
    std::str::from_utf8(body).map_err(|_| de::Error::custom("the body is not UTF-8"))
}

type Wanted<'w> = SmallVec<[(usize, &'w [String]); 4]>;

/// One value of the document: where the walk stands, and what is still wanted below.
struct Node<'w, 'de, T> {
    wanted: Wanted<'w>,
    payload: Option<&'w [String]>,
    found: &'w mut Scalars<'de>,
    result: &'w mut Option<T>,
    repeated: &'w mut bool,
}

impl<'de, T> Node<'_, 'de, T> {
    /// The walk one step down, or `None` when nothing is wanted there.
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
        Some(Node { wanted, payload, found: self.found, result: self.result, repeated: self.repeated })
    }

    #[allow(clippy::ptr_arg)] // What is borrowed from the document stays borrowed.
    fn scalar(self, value: &Cow<'de, str>) {
        for (slot, tokens) in &self.wanted {
            if tokens.is_empty() {
                self.found[*slot] = Some(value.clone());
            }
        }
    }
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Node<'_, 'de, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.payload.is_some_and(<[String]>::is_empty) {
            *self.result = Some(T::deserialize(deserializer)?);
            return Ok(());
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Node<'_, 'de, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.scalar(&Cow::Borrowed(if value { "true" } else { "false" }));
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.scalar(&Cow::Owned(value.to_string()));
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.scalar(&Cow::Owned(value.to_string()));
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.scalar(&Cow::Owned(value.to_string()));
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.scalar(&Cow::Owned(value.to_owned()));
        Ok(())
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<(), E> {
        self.scalar(&Cow::Borrowed(value));
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
                        *node.repeated = true;
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

        assert_eq!(numbers, [1, 2, 3]);
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
        assert!(matches!(payload::<u8>(b"{}", &at, &[]), Err(WalkError::NoPayload)));
    }
}
