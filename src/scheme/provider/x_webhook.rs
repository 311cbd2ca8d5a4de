//! The style of many in-house senders. Source: this crate's own sender, which offers it beside Standard Webhooks.
//!
//! `X-Webhook-Signature: sha256=<hex>` with `HMAC-SHA-256(secret, body)` over a body `{"id","event","timestamp","data"}`.
//!
//! A duplicate: the same `id`. This crate's own sender keeps it over all attempts and endpoints of a message.
//!
//! Quirks:
//! 1. Id and type are taken from the signed body. `X-Webhook-Delivery` and `X-Webhook-Event` say the same, unsigned.
//! 2. The body's `timestamp` is signed and not checked, since senders write it in different ways: a delivery can be
//!    replayed, under its own id.
//! 3. While a secret is being rotated, this crate's sender puts two signatures into the header, `sha256=…,sha256=…`.
//! 4. Six known senders have a header of this name, and sign in other ways. Read the manual before taking this for granted.

use crate::{field::Field, scheme::builder::SchemeBuilder};

pub(super) fn declare(scheme: SchemeBuilder) -> SchemeBuilder {
    scheme
        .items(",")
        .pairs("=")
        .key("sha256")
        .hex()
        .signs("{body}")
        .id(Field::json("/id"))
        .event_type(Field::json("/event"))
        .payload_or_envelope("/data")
}
