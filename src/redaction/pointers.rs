//! Replaces the values at some places of JSON.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize,
    de::{Deserializer, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// Replaces each value at one of the places by a mark; `*` in a place matches every member or item. All other text is
/// unchanged. Returns `None` if the text is not JSON.
pub(super) fn without(text: &str, places: &[&[String]]) -> Option<String> {
    let whole: &RawValue = serde_json::from_str(text).ok()?;
    let mut written = String::with_capacity(text.len());
    write(whole.get(), places, &mut written)?;
    Some(written)
}

/// A part of JSON that is serialized with replacements. It nests as deep as the longest pointer.
fn write(text: &str, places: &[&[String]], written: &mut String) -> Option<()> {
    if places.is_empty() {
        written.push_str(text);
        return Some(());
    }
    if places.iter().any(|place| place.is_empty()) {
        written.push_str(HIDDEN);
        return Some(());
    }
    match text.as_bytes().first() {
        Some(b'{') => {
            // All members, also those with the same name, because another parser might read any of them.
            let Members(members) = serde_json::from_str(text).ok()?;
            written.push('{');
            for (number, (name, value)) in members.iter().enumerate() {
                if number > 0 {
                    written.push(',');
                }
                written.push_str(&serde_json::to_string(name).ok()?);
                written.push(':');
                write(value.get(), &below(places, |token| token == name), written)?;
            }
            written.push('}');
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
            written.push('[');
            for (number, value) in items.iter().enumerate() {
                if number > 0 {
                    written.push(',');
                }
                write(value.get(), &below(places, |token| token.parse() == Ok(number)), written)?;
            }
            written.push(']');
        }
        // A string may be JSON itself, or another text with the value in it. No place leads into it, so it is hidden as a whole.
        Some(b'"') => written.push_str(HIDDEN),
        // Numbers, `true`, `false` and `null` have no places inside.
        _ => written.push_str(text),
    }
    Some(())
}

/// The places below a member or an item.
fn below<'p>(places: &[&'p [String]], is_token: impl Fn(&str) -> bool) -> Vec<&'p [String]> {
    let step = |place: &&'p [String]| {
        let (first, rest) = place.split_first()?;
        (first == ANY || is_token(first)).then_some(rest)
    };
    places.iter().filter_map(step).collect()
}

/// The members of an object, in order and unchanged.
struct Members<'de>(Vec<(String, &'de RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor<'de>(PhantomData<&'de ()>);

        impl<'de> Visitor<'de> for MembersVisitor<'de> {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = entries.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(MembersVisitor(PhantomData))
    }
}

/// Matches every member or item.
const ANY: &str = "*";

/// The replacement of a value.
const HIDDEN: &str = "\"[redacted]\"";

#[cfg(test)]
mod tests {
    use super::without;
    use crate::json::Pointer;

    fn hidden(text: &str, pointers: &[&str]) -> Option<String> {
        let pointers: Vec<_> = pointers.iter().map(|pointer| Pointer::parse(pointer).unwrap()).collect();
        let places: Vec<_> = pointers.iter().map(Pointer::tokens).collect();
        without(text, &places)
    }

    #[test]
    fn values_are_hidden_where_the_pointers_lead_and_nowhere_else() {
        for (text, pointers, shown) in [
            (r#"{"a":1,"b":[1,2]}"#, &["/a"][..], r#"{"a":"[redacted]","b":[1,2]}"#),
            (r#"{"a":1,"b":[1,2]}"#, &["/b/1", "/b/7", "/c/d", "/a/x"], r#"{"a":1,"b":[1,"[redacted]"]}"#),
            (r#"[{"n":1},{"n":{"m":2}},3]"#, &["/*/n"], r#"[{"n":"[redacted]"},{"n":"[redacted]"},3]"#),
            (
                r#"{"a":{"x":1},"b":{"x":2,"y":3}}"#,
                &["/*/x"],
                r#"{"a":{"x":"[redacted]"},"b":{"x":"[redacted]","y":3}}"#,
            ),
            (r#"{"a/b":1,"m~n":2}"#, &["/a~1b", "/m~0n"], r#"{"a/b":"[redacted]","m~n":"[redacted]"}"#),
            (r#" {"a":1} "#, &[""], r#""[redacted]""#),
            ("7", &["/a"], "7"),
            ("[]", &["/0", "/*"], "[]"),
            // Such a string may be the JSON into which the pointer leads.
            (r#""{\"a\":1}""#, &["/a"], r#""[redacted]""#),
            (r#"{"m":"{\"a\":1}","n":"x"}"#, &["/m/a"], r#"{"m":"[redacted]","n":"x"}"#),
            (r#"{"m":null,"n":true}"#, &["/m/a", "/n/a"], r#"{"m":null,"n":true}"#),
        ] {
            assert_eq!(hidden(text, pointers).as_deref(), Some(shown), "{text} {pointers:?}");
        }
    }

    #[test]
    fn a_name_is_known_however_it_is_written_and_however_often() {
        let text = r#"{"\u0065mail":"a","email":"b","Email":"c"}"#;
        assert_eq!(hidden(text, &["/email"]).unwrap(), r#"{"email":"[redacted]","email":"[redacted]","Email":"c"}"#);
    }

    #[test]
    fn what_is_not_hidden_is_left_as_it_is_written() {
        let text = r#"{"n": 12345678901234567890.10, "s": "\u00e4", "o": {"b":1, "a":1}, "h": 1}"#;
        let shown = r#"{"n":12345678901234567890.10,"s":"\u00e4","o":{"b":1, "a":1},"h":"[redacted]"}"#;
        assert_eq!(hidden(text, &["/h"]).unwrap(), shown);
    }

    #[test]
    fn what_is_not_json_is_not_read() {
        for text in ["", "{", "card=4242", r#"{"a":1}x"#, "\u{feff}{}", r#"{"a":[1,}"#] {
            assert_eq!(hidden(text, &["/a"]), None, "{text}");
        }
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let _ = hidden(&deep, &["/*/*/*"]); // it ends
    }
}
