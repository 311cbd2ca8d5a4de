//! PagerDuty, webhooks of version 3. Source: "Verifying Signatures" and "Webhooks Overview" (developer.pagerduty.com).
//!
//! `X-PagerDuty-Signature: v1=<hex>[,v1=<hex>]` with `v1 = HMAC-SHA-256(secret, body)`.
//!
//! A duplicate, for PagerDuty: it does not say. `event.id` identifies the event ("Webhooks Overview"), and `X-Webhook-Id` the subscription,
//! the same in all deliveries.
//!
//! Quirks:
//! 1. `v1` is repeated while a secret is being rotated; any of them may match.
//! 2. Neither id nor time stands outside the body, and no time is checked: a delivery can be replayed under its own id.
//! 3. A wrong signature is answered with 403, as in PagerDuty's own library: it stops the repetitions.
//! 4. Everything is inside `event`, the object it is about in `/event/data`.
//! 5. PagerDuty's own library reads 2 MiB at most.

use http::StatusCode;

use crate::{field::Field, scheme::builder::SchemeBuilder};

pub(super) fn declare(scheme: SchemeBuilder) -> SchemeBuilder {
    scheme
        .items(",")
        .pairs("=")
        .key("v1")
        .hex()
        .signs("{body}")
        .id(Field::json("/event/id"))
        .event_type(Field::json("/event/event_type"))
        .payload_or_envelope("/event/data")
        .rejected(StatusCode::FORBIDDEN)
        .body_limit(2 * 1024 * 1024)
}
