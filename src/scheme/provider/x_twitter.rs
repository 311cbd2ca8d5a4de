//! X, once Twitter. Source: "Webhooks" (docs.x.com/x-api/webhooks) and X's own sample, account-activity-dashboard.
//!
//! `X-Twitter-Webhooks-Signature: sha256=<base64>` with `HMAC-SHA-256(consumer secret, body)`.
//!
//! Quirks:
//! 1. By `GET ?crc_token=<text>` X asks, when a webhook is registered and every hour after, for `{"response_token":"sha256=<base64>"}`
//!    with `HMAC-SHA-256(consumer secret, crc_token)`. A wrong answer stops the deliveries.
//! 2. What a delivery is about is told by the names of its members, such as `tweet_create_events`: there is no event type.

use http::Method;

use super::families::base64_body;
use crate::{
    field::Field,
    scheme::{builder::SchemeBuilder, handshake::Handshake},
};

pub(super) fn declare(scheme: SchemeBuilder) -> SchemeBuilder {
    base64_body(scheme).prefix("sha256=").account(Field::json("/for_user_id")).handshake(
        Handshake::challenge(Field::query("crc_token"), "response_token")
            .with_prefix("sha256=")
            .with_base64()
            .present(Field::query("crc_token"))
            .method(Method::GET),
    )
}
