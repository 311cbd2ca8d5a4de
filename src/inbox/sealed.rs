//! Seals and opens the content of an event. The functions are pure, apart from a random nonce.
//!
//! The sealed bytes take the place of the body, and the head names the key. So a store does not need to know about
//! sealing.

use std::{error, fmt, sync::Arc};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::store::Content;
use crate::{error::RandomnessError, idempotency::ClaimKey, sealing::SealingKey};

/// The head of a sealed content.
#[derive(Serialize, Deserialize)]
struct SealedHead<'a> {
    /// The id of the key.
    sealed: &'a str,
}

/// Why the content of an event cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unopened {
    Changed,
    UnknownKey(Arc<str>),
}

impl fmt::Display for Unopened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed => f.write_str("the content of the event was changed after it was sealed"),
            Self::UnknownKey(id) => {
                write!(f, "the content of the event was sealed with the key `{id}`, which this inbox does not have")
            }
        }
    }
}

impl error::Error for Unopened {}

/// The name under which the content of an event is sealed: it cannot be opened as that of another event.
pub(super) fn of_inbox(event: ClaimKey) -> Vec<u8> {
    [&b"event of an inbox "[..], &event.to_bytes()].concat()
}

/// Seals what came, under a name.
pub(crate) fn seal(sealing: &SealingKey, name: &[u8], content: &Content) -> Result<Content, RandomnessError> {
    let Content { head, body } = content;
    // Head and body are sealed as one text, so that neither can be exchanged alone. The length says where the body
    // begins.
    let length = u32::try_from(head.len()).unwrap_or(u32::MAX).to_be_bytes();
    let plain = zeroize::Zeroizing::new([&length[..], head.as_bytes(), body].concat());
    let sealed = sealing.seal(name, &plain)?;
    let head = serde_json::to_string(&SealedHead { sealed: sealing.id() }).expect("a text can be written as JSON");
    Ok(Content::new(head.into(), sealed.into()))
}

/// Opens what was sealed under this name. What was never sealed is returned as it is.
pub(crate) fn open(keys: &[SealingKey], name: &[u8], content: Content) -> Result<Content, Unopened> {
    let Some(id) = sealed_by(&content) else { return Ok(content) };
    let Some(key) = keys.iter().find(|key| key.id() == id) else { return Err(Unopened::UnknownKey(id.into())) };
    let plain = key.open(name, &content.body).ok_or(Unopened::Changed)?;
    let parts = plain.split_first_chunk::<4>().and_then(|(length, rest)| {
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (head, body) = rest.split_at_checked(length)?;
        Some(Content::new(std::str::from_utf8(head).ok()?.into(), Bytes::copy_from_slice(body)))
    });
    parts.ok_or(Unopened::Changed)
}

/// The id of the key with which a content was sealed.
pub(crate) fn sealed_by(content: &Content) -> Option<&str> {
    // The head of what was not sealed has other names, and begins with another one.
    let head = content.head.starts_with(r#"{"sealed":"#).then_some(&*content.head)?;
    Some(serde_json::from_str::<SealedHead<'_>>(head).ok()?.sealed)
}

#[cfg(test)]
mod tests {
    use super::{Unopened, of_inbox, open, seal};
    use crate::{idempotency::ClaimKey, inbox::Content, sealing::SealingKey};

    fn key(byte: u8) -> SealingKey {
        SealingKey::from_bytes([byte; 32]).unwrap()
    }

    #[test]
    fn what_was_sealed_for_an_event_is_opened_by_its_key_for_that_event_alone() {
        let [one, other] = [1, 2].map(|byte| of_inbox(ClaimKey::from_bytes([byte; 16])));
        for content in
            [Content::new(r#"{"method":"POST"}"#.into(), "a card".into()), Content::new("".into(), "".into())]
        {
            let sealed = seal(&key(1), &one, &content).unwrap();
            assert!(!sealed.body.windows(4).any(|bytes| bytes == b"card") && !sealed.head.contains("POST"));

            assert_eq!(open(&[key(2), key(1)], &one, sealed.clone()).unwrap(), content);
            let unknown = open(&[key(2)], &one, sealed.clone()).unwrap_err();
            assert!(unknown.to_string().contains(key(1).id()), "{unknown}");
            assert_eq!(open(&[key(1)], &other, sealed.clone()), Err(Unopened::Changed));
            for at in 0..sealed.body.len() {
                let mut body = sealed.body.to_vec();
                body[at] ^= 1;
                let changed = Content::new(sealed.head.clone(), body.into());
                assert_eq!(open(&[key(1)], &one, changed), Err(Unopened::Changed), "byte {at}");
            }
            let short = Content::new(sealed.head.clone(), "short".into());
            assert_eq!(open(&[key(1)], &one, short), Err(Unopened::Changed));
            assert_eq!(
                open(&[key(1)], &one, content.clone()).unwrap(),
                content,
                "what was stored before there was a key"
            );
        }
    }
}
