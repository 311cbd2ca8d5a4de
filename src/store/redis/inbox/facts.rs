//! What is shown of an event, and what came, as bytes: texts with their lengths (4 bytes, all ones for none) before them.

use std::sync::Arc;

use bytes::Bytes;

use crate::inbox::{Content, EventDraft};

/// The facts that no script reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) consumer: Arc<str>,
    pub(super) provider: Arc<str>,
    pub(super) tenant: Option<Arc<str>>,
    pub(super) delivery_id: Option<Arc<str>>,
    pub(super) event_type: Option<Arc<str>>,
}

impl Facts {
    pub(super) fn of(consumer: &Arc<str>, draft: &EventDraft) -> Self {
        Self {
            consumer: Arc::clone(consumer),
            provider: Arc::clone(&draft.provider),
            tenant: draft.tenant.clone(),
            delivery_id: draft.delivery_id.clone(),
            event_type: draft.event_type.clone(),
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let texts = [
            Some(&self.consumer),
            Some(&self.provider),
            self.tenant.as_ref(),
            self.delivery_id.as_ref(),
            self.event_type.as_ref(),
        ];
        let mut bytes = Vec::new();
        for text in texts {
            push(&mut bytes, text.map(|text| text.as_bytes()));
        }
        bytes
    }

    /// `None` if [`encode`](Self::encode) did not write the bytes.
    pub(super) fn decode(bytes: Vec<u8>) -> Option<Self> {
        let mut bytes = Bytes::from(bytes);
        let mut text = || -> Option<Option<Arc<str>>> {
            match take(&mut bytes)? {
                Some(text) => Some(Some(std::str::from_utf8(&text).ok()?.into())),
                None => Some(None),
            }
        };
        let (consumer, provider) = (text()??, text()??);
        let (tenant, delivery_id, event_type) = (text()?, text()?, text()?);
        Some(Self { consumer, provider, tenant, delivery_id, event_type })
    }
}

pub(super) fn encode_content(content: &Content) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(4 + content.head.len() + content.body.len());
    push(&mut bytes, Some(content.head.as_bytes()));
    bytes.extend_from_slice(&content.body);
    bytes
}

/// `None` if [`encode_content`] did not write the bytes.
pub(super) fn decode_content(bytes: Vec<u8>) -> Option<Content> {
    let mut bytes = Bytes::from(bytes);
    let head = take(&mut bytes)??;
    Some(Content::new(std::str::from_utf8(&head).ok()?.into(), bytes))
}

fn push(bytes: &mut Vec<u8>, text: Option<&[u8]>) {
    let length = text.map_or(NONE, |text| u32::try_from(text.len()).unwrap_or(NONE - 1));
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(text.unwrap_or_default());
}

fn take(bytes: &mut Bytes) -> Option<Option<Bytes>> {
    let mut cut = |length: usize| (bytes.len() >= length).then(|| bytes.split_to(length));
    match u32::from_be_bytes(cut(4)?[..].try_into().ok()?) {
        NONE => Some(None),
        length => Some(Some(cut(length as usize)?)),
    }
}

const NONE: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::{Facts, decode_content, encode_content};
    use crate::inbox::Content;

    fn facts() -> Facts {
        Facts {
            consumer: "crm".into(),
            provider: "ä\0".into(),
            tenant: Some("".into()),
            delivery_id: None,
            event_type: Some("order.paid".into()),
        }
    }

    #[test]
    fn what_was_encoded_comes_back() {
        assert_eq!(Facts::decode(facts().encode()), Some(facts()));
        for (head, body) in [("", ""), ("{}", "body"), ("", "body"), ("{}", "")] {
            let content = Content::new(head.into(), body.into());
            assert_eq!(decode_content(encode_content(&content)), Some(content));
        }
    }

    #[test]
    fn cut_bytes_are_refused() {
        let bytes = facts().encode();
        for length in 0..bytes.len() {
            assert_eq!(Facts::decode(bytes[..length].to_vec()), None, "{length}");
        }
        let content = encode_content(&Content::new("head".into(), bytes::Bytes::new()));
        for length in 0..content.len() {
            assert_eq!(decode_content(content[..length].to_vec()), None, "{length}");
        }
    }
}
