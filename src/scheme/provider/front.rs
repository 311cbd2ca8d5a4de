//! Front, application webhooks. Source: "Application webhooks" (dev.frontapp.com/docs).
//!
//! `X-Front-Signature: <base64>` with `HMAC-SHA-256(secret, timestamp ":" body)`; the timestamp is in
//! `X-Front-Request-Timestamp`, in milliseconds.
//!
//! Quirks:
//! 1. A new subscription is confirmed by a signed POST with `X-Front-Challenge`: the answer is its text.
//! 2. The webhooks of rules are another kind, signed with SHA-1 over the body, and are rejected.

use super::families::{header, json};
use crate::scheme::{builder::SchemeBuilder, freshness::TimestampUnit, handshake::Handshake};

const CHALLENGE: &str = "x-front-challenge";

pub(super) fn declare(scheme: SchemeBuilder) -> SchemeBuilder {
    scheme
        .base64()
        .timestamp(header("x-front-request-timestamp"))
        .unit(TimestampUnit::Milliseconds)
        .signs("{timestamp}:{body}")
        .id(json("/payload/id"))
        .event_type(json("/type"))
        .handshake(Handshake::echo_text(header(CHALLENGE)).present(header(CHALLENGE)).signed())
}
