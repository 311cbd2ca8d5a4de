use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header, request::Parts};
use http_body_util::Full;
use serde::{Deserialize, Serialize};

use super::store::Content;
use crate::{
    delivery::{Delivery, KeptDelivery},
    host,
    verify::stored_request,
};

/// The stored head of a request, from which the request for the handler is restored.
#[derive(Debug, Serialize, Deserialize)]
struct KeptHead {
    method: String,
    uri: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    delivery: KeptDelivery,
}

/// What is kept of a request that has passed.
pub(crate) fn keep(parts: &Parts, headers: &[HeaderName], delivery: &Delivery) -> Content {
    let kept = headers.iter().flat_map(|name| {
        parts.headers.get_all(name).iter().map(|value| (name.as_str().to_owned(), text(value.as_bytes())))
    });
    let head = KeptHead {
        method: parts.method.as_str().to_owned(),
        uri: host::original_uri(parts).to_string(),
        headers: kept.collect(),
        delivery: delivery.kept(),
    };
    let head = serde_json::to_string(&head).expect("texts and numbers can be written as JSON");
    Content::new(head.into(), delivery.body().clone())
}

/// Restores the verified request, with the delivery in it. Returns `None` if the stored content cannot be read.
pub(super) fn restore(content: Content) -> Option<(Request<Full<Bytes>>, Delivery)> {
    let Content { head, body } = content;
    let head: KeptHead = serde_json::from_str(&head).ok()?;
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = Method::from_bytes(head.method.as_bytes()).ok()?;
    parts.uri = head.uri.parse::<Uri>().ok()?;
    parts.headers = head.headers.iter().try_fold(HeaderMap::new(), |mut headers, (name, value)| {
        let (name, value) = (name.parse::<HeaderName>().ok()?, HeaderValue::from_bytes(&bytes(value)?).ok()?);
        headers.append(name, value);
        Some(headers)
    })?;
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    let delivery = Delivery::restored(head.delivery, body)?;
    Some((stored_request(parts, delivery.clone()), delivery))
}

/// Each byte as the character of its number: JSON has no bytes, and a header's value need not be UTF-8.
fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

pub(super) fn bytes(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|character| u8::try_from(character).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::{bytes, text};

    #[test]
    fn every_byte_of_a_header_comes_back() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(bytes(&text(&all)), Some(all));
        assert_eq!(bytes("€"), None);
    }
}
