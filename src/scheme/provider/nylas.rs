//! Nylas, version 3. Source: "Using webhooks with Nylas" (developer.nylas.com/docs/v3/notifications).
//!
//! `X-Nylas-Signature: <hex>` with `HMAC-SHA-256(secret, body)`. An endpoint is confirmed by `GET ?challenge=<text>`, which is not
//! signed: the answer is the text.
//!
//! Quirks:
//! 1. Of a compressed notification the compressed bytes are signed, so that a body with a `Content-Encoding` may pass. It is not
//!    decoded.

use http::Method;

use super::families::hex_body;
use crate::{
    field::Field,
    scheme::{builder::SchemeBuilder, handshake::Handshake},
};

pub(super) fn declare(scheme: SchemeBuilder) -> SchemeBuilder {
    hex_body(scheme).id(Field::json("/id")).event_type(Field::json("/type")).signs_encoded_bodies().handshake(
        Handshake::echo_text(Field::query("challenge")).present(Field::query("challenge")).method(Method::GET),
    )
}
