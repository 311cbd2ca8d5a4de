use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::send::message::message::Message;

/// Returns the hash of a message's type, version, labels, order key and payload (as JSON), by which two messages under one id are
/// compared. The order of an object's members does not matter, since that of a `HashMap` differs each time.
///
/// ```
/// use tower_webhooks::send::{Message, policy::digest};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let one = Message::new("order.completed", &7)?;
/// assert_eq!(digest(&one), digest(&Message::new("order.completed", &7)?));
/// assert_ne!(digest(&one), digest(&one.version("2026-01")));
/// # Ok(())
/// # }
/// ```
pub fn digest(message: &Message) -> [u8; 32] {
    let mut hash = Sha256::new();
    let version = message.api_version();
    hash.update([u8::from(version.is_some())]);
    for part in [message.event_type(), version.unwrap_or_default()] {
        hash_text(&mut hash, part);
    }
    hash_json(&mut hash, message.payload(), DEEPEST_SORTED);
    // A message without labels and order key has the hash that it had before there were any.
    if !message.labels().is_empty() {
        hash.update([b'l']);
        hash.update((message.labels().len() as u64).to_be_bytes());
        for (name, value) in message.labels() {
            hash_text(&mut hash, name);
            hash_text(&mut hash, value);
        }
    }
    if let Some(key) = message.order_key_name() {
        hash.update([b'o']);
        hash_text(&mut hash, key);
    }
    hash.finalize().into()
}

fn hash_text(hash: &mut Sha256, text: &str) {
    hash.update((text.len() as u64).to_be_bytes());
    hash.update(text);
}

/// Hashes a value after a mark of its kind, and the members of an object in the order of their names. Numbers are
/// hashed as text, so that no digit is lost. A value that is nested deeper than `levels` is hashed as it is written.
fn hash_json(hash: &mut Sha256, value: &RawValue, levels: u32) {
    let text = value.get();
    let kind = text.as_bytes().first().copied().unwrap_or_default();
    match (kind, levels.checked_sub(1)) {
        (b'{', Some(levels)) => {
            if let Ok(Members(mut members)) = serde_json::from_str(text) {
                // The sort is stable: two members of the same name stay in their order.
                members.sort_by(|one, other| one.0.cmp(&other.0));
                hash.update([kind]);
                hash.update((members.len() as u64).to_be_bytes());
                for (name, value) in members {
                    hash_text(hash, &name);
                    hash_json(hash, value, levels);
                }
                return;
            }
        }
        (b'[', Some(levels)) => {
            if let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(text) {
                hash.update([kind]);
                hash.update((items.len() as u64).to_be_bytes());
                for item in items {
                    hash_json(hash, item, levels);
                }
                return;
            }
        }
        (b'"', _) => {
            if let Ok(text) = serde_json::from_str::<Cow<'_, str>>(text) {
                hash.update([kind]);
                hash_text(hash, &text);
                return;
            }
        }
        _ => {}
    }
    hash.update([0]);
    hash_text(hash, text);
}

/// The members of an object, in the order in which they are written.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        impl<'de> Visitor<'de> for Read {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Read)
    }
}

/// The limit bounds the work, since each level is read again for each level above it.
const DEEPEST_SORTED: u32 = 32;

/// Returns the tenant of a message. It is empty in an application without tenants.
pub fn tenant(message: &Message) -> &str {
    message.tenant_name().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::digest;
    use crate::send::Message;

    #[test]
    fn messages_are_told_apart_by_type_version_labels_and_payload() {
        let message = |event_type: &str, payload: &str| Message::new(event_type, payload).unwrap();
        let one = digest(&message("a", "x"));

        assert_eq!(one, digest(&message("a", "x")));
        assert_ne!(one, digest(&message("a", "y")));
        assert_ne!(one, digest(&message("b", "x")));
        assert_ne!(one, digest(&message("a", "x").version("")));
        let labelled = digest(&message("a", "x").label("b", "c").label("d", "e"));
        assert_eq!(labelled, digest(&message("a", "x").label("d", "e").label("b", "c")));
        for other in [one, digest(&message("a", "x").label("b", "c")), digest(&message("a", "x").label("bc", "d"))] {
            assert_ne!(labelled, other);
        }
        assert_ne!(one, digest(&message("a", "x").order_key("k")));
        assert_ne!(labelled, digest(&message("a", "x").label("b", "c").label("d", "e").order_key("k")));
    }

    #[test]
    fn payloads_are_compared_as_json() {
        let of = |payload: &str| {
            let payload: Box<serde_json::value::RawValue> = serde_json::from_str(payload).unwrap();
            digest(&Message::new("a", &payload).unwrap())
        };
        let deep = |inner: &str| format!("{}{inner}{}", "[".repeat(3000), "]".repeat(3000));
        for (one, other, same) in [
            (r#"{"a":1,"b":{"c":[1,2],"d":null}}"#, r#"{ "b": {"d":null, "c":[1, 2]}, "a": 1 }"#, true),
            (r#"{"é":"\u00e9"}"#, r#"{"\u00e9":"é"}"#, true),
            ("[1,2]", "[2,1]", false),
            ("[1,[2]]", "[[1],2]", false),
            ("[[],[]]", "[[[]]]", false),
            (r#"{"a":"1"}"#, r#"{"a":1}"#, false),
            (r#"["null"]"#, "[null]", false),
            (r#"{"a":{}}"#, r#"{"a":[]}"#, false),
            (r#"{"a":1,"a":2}"#, r#"{"a":2,"a":1}"#, false),
            ("18446744073709551617", "18446744073709551616", false),
            ("1.0", "1", false),
            (&deep("1"), &deep("1"), true),
            (&deep("1"), &deep("2"), false),
        ] {
            assert_eq!(of(one) == of(other), same, "{:.40} {:.40}", one, other);
        }
    }
}
