//! Trello. Source: "Webhooks" (developer.atlassian.com/cloud/trello/guides/rest-api/webhooks).
//!
//! `X-Trello-Webhook: <base64>` with `HMAC-SHA-1(OAuth secret, body callback URL)`, nothing between the two.
//!
//! Quirks:
//! 1. The URL stands behind the body, as it was registered. A path or query that holds the public base again is rejected, since the body
//!    could end there.
//! 2. A callback URL is checked by HEAD, which is not signed: the answer is 200.
//! 3. The type is the action's, such as `updateCard`.

use http::{Method, StatusCode};

use super::families::json;
use crate::scheme::{answer::Answer, builder::SchemeBuilder, handshake::Handshake};

pub(super) fn declare(scheme: SchemeBuilder) -> SchemeBuilder {
    scheme
        .base64()
        .signs("{body}{url}")
        .id(json("/action/id"))
        .event_type(json("/action/type"))
        .handshake(Handshake::fixed(Answer::new(StatusCode::OK)).method(Method::HEAD))
}
