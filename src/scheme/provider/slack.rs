//! Slack. Source: "Verifying requests from Slack" and "url_verification" (docs.slack.dev).
//!
//! `X-Slack-Signature: v0=<hex>` with `HMAC-SHA-256(secret, "v0:" timestamp ":" body)`; the timestamp is in
//! `X-Slack-Request-Timestamp`.
//!
//! A duplicate, for Slack: the same `event_id`, "globally unique across all workspaces" ("The Events API"). It is the event's, and a retry has
//! it again.
//!
//! Quirks:
//! 1. The handshake `url_verification` is signed like everything else, and answered only after the signature has passed.
//! 2. Slash commands and interactive components are forms; they are signed as they are, and have no event type.
//! 3. `X-Slack-Retry-Num` counts repetitions, from 1 on the second attempt.

use crate::scheme::{Field, Handshake, Scheme, SchemeBuilder};

pub(super) fn scheme() -> SchemeBuilder {
    Scheme::hmac_sha256()
        .header("x-slack-signature")
        .prefix("v0=")
        .hex()
        .timestamp(Field::header("x-slack-request-timestamp"))
        .signs("v0:{timestamp}:{body}")
        .id(Field::json("/event_id"))
        .event_type(Field::json("/event/type").or(Field::json("/type")))
        .attempt(Field::header("x-slack-retry-num"), 0)
        .payload("/event")
        .handshake(
            Handshake::echo_text(Field::json("/challenge")).when(Field::json("/type"), "url_verification").signed(),
        )
}
