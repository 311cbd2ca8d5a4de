//! Zoom. Source: "Using webhooks" (developers.zoom.us/docs/api/webhooks), sections "Verify webhook events" and "Validate
//! your webhook endpoint".
//!
//! `x-zm-signature: v0=<hex>` with `HMAC-SHA-256(secret token, "v0:" timestamp ":" body)`; the timestamp is in
//! `x-zm-request-timestamp`.
//!
//! A duplicate, for Zoom: it does not say. `x-zm-trackingid` identifies a request, and whether a retry has it again is nowhere
//! written, so that it is not taken for an id.
//!
//! Quirks:
//! 1. `endpoint.url_validation` is signed like everything else; it is answered with its `plainToken` and the HMAC of that
//!    token in hex, once the signature has passed. Zoom repeats it every few days, and stops to deliver where it fails.
//! 2. There is no id. `event`, `event_ts` in milliseconds and the object that it is about are in every body, so that no two events
//!    have equal bodies: a delivery is known by its body. Zoom repeats one up to three times, the last after 85 minutes.
//! 3. `event_ts` in the body is in milliseconds, the signed header in seconds.

use crate::{
    field::Field,
    scheme::{builder::SchemeBuilder, handshake::Handshake},
};

pub(super) fn declare(scheme: SchemeBuilder) -> SchemeBuilder {
    scheme
        .prefix("v0=")
        .hex()
        .timestamp(Field::header("x-zm-request-timestamp"))
        .signs("v0:{timestamp}:{body}")
        .event_type(Field::json("/event"))
        .payload_or_envelope("/payload")
        .handshake(
            Handshake::challenge(Field::json("/payload/plainToken"), "encryptedToken")
                .with_echo("plainToken")
                .when(Field::json("/event"), "endpoint.url_validation")
                .signed(),
        )
}
