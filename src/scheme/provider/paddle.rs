//! Paddle Billing. Source: "Verify webhook signatures" (developer.paddle.com/webhooks/signature-verification).
//!
//! `Paddle-Signature: ts=<seconds>;h1=<hex>[;h1=<hex>]` with `h1 = HMAC-SHA-256(secret, ts ":" body)`.
//!
//! A duplicate, for Paddle: the same `event_id` ("How webhooks work": "using `event_id` as a deduplication key"). It is the event's.
//! `notification_id` is that of one destination, and a replay has a new one.
//!
//! Quirks:
//! 1. Items are separated by a semicolon.
//! 2. `h1` is repeated while a secret is being rotated; any of them may match.
//! 3. The window is 5 seconds, as in Paddle's own libraries. Where the clock or the line is not that good, `with_tolerance`
//!    widens it.
//! 4. The id is the event's, `event_id`. `notification_id` is another one when a notification is replayed by hand.
//! 5. Paddle Classic signs in quite another way, and is not meant here.

use std::time::Duration;

use crate::{field::Field, scheme::builder::SchemeBuilder};

pub(super) fn declare(scheme: SchemeBuilder) -> SchemeBuilder {
    scheme
        .items(";")
        .pairs("=")
        .key("h1")
        .hex()
        .timestamp(Field::param("ts"))
        .tolerance(Duration::from_secs(5))
        .signs("{timestamp}:{body}")
        .id(Field::json("/event_id"))
        .event_type(Field::json("/event_type"))
        .payload_or_envelope("/data")
}
