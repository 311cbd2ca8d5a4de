use std::sync::Arc;

use bytes::Bytes;

use crate::{idempotency::ClaimKey, inbox::Content};

/// A verified delivery, in the form in which it is passed on.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SinkMessage {
    /// The name of the [`HandOff`](super::HandOff).
    pub consumer: Arc<str>,
    /// The key that identifies the event: a hash of consumer, provider, tenant and the sender's id. A duplicate has the
    /// same key.
    pub key: ClaimKey,
    /// The name of the provider.
    pub provider: Arc<str>,
    /// Events with the same order key must be delivered one after the other. It is absent unless the hand-off has [a
    /// pointer to it](super::HandOff::with_order_key).
    pub order_key: Option<ClaimKey>,
    /// The facts of the head, as JSON in ASCII, and the body. If the message is sealed, the body contains both.
    pub content: Content,
}

impl SinkMessage {
    /// Creates a message without an order key.
    pub fn new(consumer: Arc<str>, key: ClaimKey, provider: Arc<str>, content: Content) -> Self {
        Self { consumer, key, provider, order_key: None, content }
    }

    /// Returns the number of bytes of head and body.
    pub fn size(&self) -> usize {
        self.content.head.len() + self.content.body.len()
    }

    /// Writes the parts of the message that a worker needs: key, head and body.
    /// [`ReceivedMessage::from_bytes`](super::ReceivedMessage::from_bytes) reads it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let Content { head, body, .. } = &self.content;
        let length = u32::try_from(head.len()).unwrap_or(u32::MAX).to_be_bytes();
        [&[VERSION][..], &self.key.to_bytes(), &length, head.as_bytes(), body].concat()
    }
}

/// The first byte of the written form. It identifies the version of the form.
const VERSION: u8 = 1;

/// Reads the form that [`SinkMessage::to_bytes`] writes. Returns `None` if it is another form.
pub(super) fn read(bytes: &[u8]) -> Option<(ClaimKey, Content)> {
    let rest = bytes.strip_prefix(&[VERSION])?;
    let (key, rest) = rest.split_first_chunk::<16>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (head, body) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    let content = Content::new(std::str::from_utf8(head).ok()?.into(), Bytes::copy_from_slice(body));
    Some((ClaimKey::from_bytes(*key), content))
}

/// Escapes characters outside of ASCII in JSON, because queues restrict the text of headers.
pub(super) fn ascii(json: &str) -> Arc<str> {
    use std::fmt::Write;
    if json.is_ascii() {
        return json.into();
    }
    let mut text = String::with_capacity(json.len() * 2);
    for character in json.chars() {
        if character.is_ascii() {
            text.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            let _ = write!(text, "\\u{unit:04x}");
        }
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::{SinkMessage, ascii, read};
    use crate::{idempotency::ClaimKey, inbox::Content};

    #[test]
    fn a_message_is_read_as_it_was_written_and_nothing_else_is() {
        let key = ClaimKey::from_bytes([7; 16]);
        for content in [Content::new("{}".into(), vec![0, 255].into()), Content::new("".into(), "".into())] {
            let bytes = SinkMessage::new("a".into(), key, "b".into(), content.clone()).to_bytes();
            assert_eq!(read(&bytes), Some((key, content.clone())));
            for length in 0..bytes.len() - content.body.len() {
                assert_eq!(read(&bytes[..length]), None, "{length}");
            }
        }
        assert_eq!(read(&[2; 100]), None);
        assert_eq!(read(&[1; 100]), None, "the head would be longer than all");
    }

    #[test]
    fn json_without_other_characters_means_the_same() {
        for value in ["plain", "é€\u{fffe}\u{ffff}", "𝄞\u{10ffff}", "\u{7f}\u{0}\n\"\\"] {
            let json = serde_json::to_string(value).unwrap();
            let text = ascii(&json);
            assert!(text.is_ascii() && text.bytes().all(|byte| byte >= 0x20), "{text}");
            assert_eq!(serde_json::from_str::<String>(&text).unwrap(), value);
        }
    }
}
