//! Mailgun. Source: "Securing webhooks" (documentation.mailgun.com).
//!
//! `signature: {"timestamp": …, "token": …, "signature": <hex>}` in the JSON, with `HMAC-SHA-256(signing key, timestamp token)`, nothing
//! between the two. Older webhooks are forms with these fields.
//!
//! A duplicate, for Mailgun: the same `token`, which shall not be honored again ("cache the token value locally").
//!
//! Quirks:
//! 1. Token and time are signed, and nothing of the event: anyone who has one delivery can forge any other. The token
//!    is the delivery's id, since it alone is signed: with idempotency one delivery cannot become two.
//! 2. `parent-signature`, which subaccounts send too, is one with the key of the account above.
//! 3. The window is that of the library of others with which the vectors were made, 15 minutes: Mailgun names none.
//! 4. After 406 Mailgun does not repeat a delivery.

use std::time::Duration;

use super::families::json;
use crate::{form::Form, scheme::builder::SchemeBuilder};

pub(super) fn declare(scheme: SchemeBuilder) -> SchemeBuilder {
    scheme
        .json_pointer("/signature/signature")
        .or_json_pointer("/signature/parent-signature")
        .or_json_pointer("/signature")
        .hex()
        .form(Form::fields())
        .timestamp(json("/signature/timestamp").or(json("/timestamp")))
        .tolerance(Duration::from_secs(15 * 60))
        .signs("{timestamp}{id}")
        .id(json("/signature/token").or(json("/token")))
        .event_type(json("/event-data/event").or(json("/event")))
        .payload_or_envelope("/event-data")
}
