//! The kept response as bytes: status (2), length of the content type (4, all ones for none), content type, body.

use bytes::Bytes;

use crate::idempotency::StoredResponse;

pub(super) fn encode(response: Option<&StoredResponse>) -> Vec<u8> {
    // Without a response there are no bytes.
    let Some(response) = response else { return Vec::new() };
    let content_type = response.content_type.as_deref().unwrap_or_default().as_bytes();
    let length = match response.content_type {
        Some(_) => u32::try_from(content_type.len()).unwrap_or(NONE - 1),
        None => NONE,
    };
    let mut bytes = Vec::with_capacity(6 + content_type.len() + response.body.len());
    bytes.extend_from_slice(&response.status.to_be_bytes());
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(content_type);
    bytes.extend_from_slice(&response.body);
    bytes
}

/// The inner `None` means that there is no response, and the outer one that [`encode`] did not write the bytes.
pub(super) fn decode(bytes: Vec<u8>) -> Option<Option<StoredResponse>> {
    if bytes.is_empty() {
        return Some(None);
    }
    let mut bytes = Bytes::from(bytes);
    let mut take = |length: usize| (bytes.len() >= length).then(|| bytes.split_to(length));
    let status = u16::from_be_bytes(take(2)?[..].try_into().ok()?);
    let content_type = match u32::from_be_bytes(take(4)?[..].try_into().ok()?) {
        NONE => None,
        length => Some(String::from_utf8(take(length as usize)?.to_vec()).ok()?),
    };
    Some(Some(StoredResponse::new(status, content_type, bytes)))
}

const NONE: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{decode, encode};
    use crate::idempotency::StoredResponse;

    #[test]
    fn what_was_encoded_comes_back() {
        assert_eq!(decode(encode(None)), Some(None));
        for content_type in [None, Some(String::new()), Some("text/plain".to_owned())] {
            for body in ["", "ok"] {
                let response = StoredResponse::new(202, content_type.clone(), Bytes::from(body));

                assert_eq!(decode(encode(Some(&response))), Some(Some(response)));
            }
        }
    }

    #[test]
    fn cut_bytes_are_refused() {
        let bytes = encode(Some(&StoredResponse::new(200, Some("text/plain".to_owned()), Bytes::new())));

        for length in 1..bytes.len() {
            assert_eq!(decode(bytes[..length].to_vec()), None, "{length}");
        }
    }
}
