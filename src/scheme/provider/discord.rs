//! Discord. Source: "Interactions: Overview" and "Webhook Events" (docs.discord.com/developers), and Discord's own library,
//! discord-interactions-js.
//!
//! `X-Signature-Ed25519: <hex>` with Ed25519 over `timestamp body`, nothing between the two; the timestamp is in
//! `X-Signature-Timestamp`.
//!
//! Quirks:
//! 1. The window of five minutes is ours: Discord documents none.
//! 2. Of interactions a ping is `{"type":1}`, and the answer is the same. The type of others is their number. The
//!    answer to an interaction is the handler's response.
//! 3. Of events a ping is `{"type":0}`, and the answer is 204 without a body, as for every delivery. They have no id.
//! 4. Discord sends wrong signatures on purpose, and removes an endpoint that does not answer them with 401.

use http::{HeaderValue, StatusCode, header::CONTENT_TYPE};

use super::families::{header, json};
use crate::scheme::{answer::Answer, builder::SchemeBuilder, handshake::Handshake};

pub(super) fn interactions(scheme: SchemeBuilder) -> SchemeBuilder {
    let pong = Answer::new(StatusCode::OK).json(r#"{"type":1}"#);
    signed(scheme)
        .id(json("/id"))
        .event_type(json("/type"))
        .handshake(Handshake::fixed(pong).when(json("/type"), "1").signed())
}

pub(super) fn events(scheme: SchemeBuilder) -> SchemeBuilder {
    let pong = Answer::new(StatusCode::NO_CONTENT).header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    signed(scheme)
        .event_type(json("/event/type"))
        .payload_or_envelope("/event/data")
        .success(Answer::new(StatusCode::NO_CONTENT))
        .handshake(Handshake::fixed(pong).when(json("/type"), "0").signed())
}

fn signed(scheme: SchemeBuilder) -> SchemeBuilder {
    scheme.hex().key_hex().timestamp(header("x-signature-timestamp")).signs("{timestamp}{body}")
}
