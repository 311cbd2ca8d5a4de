use std::{str::FromStr, time::Duration};

use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, Path, Request},
};
use bytes::Bytes;
use http::{HeaderMap, header, request::Parts};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use utoipa::ToSchema;

use super::problem::Problem;

/// The body of a request, as JSON of a type that rejects fields that it does not know.
pub(super) struct Input<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Input<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        parse(&read(request.into_body()).await?).map(Self)
    }
}

/// As [`Input`], where all fields may be left out and with them the body.
pub(super) struct OptionalInput<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for OptionalInput<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let body = read(request.into_body()).await?;
        if body.is_empty() { Ok(Self(T::default())) } else { parse(&body).map(Self) }
    }
}

/// An empty object. Without a body it is understood as well.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// Reads a body up to its limit, within its time.
pub(super) async fn read(body: Body) -> Result<Bytes, Problem> {
    let read = tokio::time::timeout(BODY_TIME, Limited::new(body, BODY_LIMIT).collect()).await;
    match read.map_err(|_| Problem::too_slow(BODY_TIME))? {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Problem::too_large(BODY_LIMIT)),
        Err(_) => Err(Problem::malformed("the body is incomplete")),
    }
}

/// Whether a body is said to be JSON.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (types.next(), types.next()) else { return false };
    let Ok(text) = value.to_str() else { return false };
    let (essence, parameters) = text.split_once(';').unwrap_or((text, ""));
    let essence = essence.trim();
    let is_json =
        ["application/json", "application/merge-patch+json"].iter().any(|json| essence.eq_ignore_ascii_case(json));
    // JSON is UTF-8 (RFC 8259, section 8.1); another charset would be read as something that was not meant.
    let is_utf8 = |parameter: &str| match parameter.trim().split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
            value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    };
    is_json && parameters.split(';').all(is_utf8)
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    // serde takes an array for a struct, value by value. The document says that a body is an object.
    let is_array = body.trim_ascii_start().first() == Some(&b'[');
    if !is_array && let Ok(value) = serde_json::from_slice(body) {
        return Ok(value);
    }
    // A second and slower parse finds out what is invalid, and where.
    if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(body) {
        return Err(Problem::malformed(format!("the body is not JSON: {error}")));
    }
    if is_array {
        return Err(Problem::field("", "the body is an object, and not an array"));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
        Ok(value) => Ok(value),
        Err(error) => {
            let path = error.path().iter().filter_map(segment).collect::<Vec<_>>().join("/");
            Err(Problem::field(&path, message(error.inner())))
        }
    }
}

/// A part of a path, as a JSON pointer has it (RFC 6901, section 3).
fn segment(segment: &serde_path_to_error::Segment) -> Option<String> {
    use serde_path_to_error::Segment;
    match segment {
        Segment::Enum { .. } | Segment::Unknown => None,
        Segment::Map { key } => Some(key.replace('~', "~0").replace('/', "~1")),
        Segment::Seq { index } => Some(index.to_string()),
    }
}

/// A field that is present must have a value: `null` is one only if the type allows it.
pub(super) fn some<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Returns serde's message without the place, which the JSON pointer names.
fn message(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(place) => text[..place].to_owned(),
        None => text,
    }
}

/// An id in the path. One that is not of the right form names nothing, so it is 404 like one that is unknown.
pub(super) struct Id<T>(pub(super) T);

impl<S: Send + Sync, T: FromStr + Named + Send> FromRequestParts<S> for Id<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let text = Path::<String>::from_request_parts(parts, state).await.map_err(|_| Problem::not_found(T::NAME))?;
        text.0.parse().map(Self).map_err(|_| Problem::not_found(T::NAME))
    }
}

/// What an id is the id of.
pub(super) trait Named {
    const NAME: &'static str;
}

impl Named for crate::send::EndpointId {
    const NAME: &'static str = "endpoint";
}

impl Named for crate::send::SentDeliveryId {
    const NAME: &'static str = "delivery";
}

impl Named for crate::send::MessageId {
    const NAME: &'static str = "message";
}

/// A payload of 256 KiB, with every character escaped that can be, and the rest of a message.
pub(super) const BODY_LIMIT: usize = 1024 * 1024;

/// In which time a body is to have ended, as by default with the layer that receives: a client that sends single bytes cannot hold a
/// connection longer.
pub(crate) const BODY_TIME: Duration = Duration::from_secs(10);
