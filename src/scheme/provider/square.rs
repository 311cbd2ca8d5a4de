//! Square. Source: "Verify and Validate an Event Notification" and "Subscribe to Event Notifications"
//! (developer.squareup.com/docs/webhooks).
//!
//! `x-square-hmacsha256-signature: <base64>` with `HMAC-SHA-256(signature key, notification URL body)`, nothing between the
//! two.
//!
//! A duplicate, for Square: the same `event_id`, which identifies the event and is there for idempotency ("Webhooks Overview"). A retry has
//! it again.
//!
//! Quirks:
//! 1. The URL is the one that is registered with Square, letter by letter, with its query. `with_public_url` gives its
//!    base; no header is asked.
//! 2. Nothing separates URL and body. A path or query with a brace, a bracket or a quotation mark is refused, since a body
//!    could begin there.
//! 3. `square-retry-number` counts repetitions, from 1 on the second attempt, and is absent on the first.
//! 4. `square-environment` is `Production` or `Sandbox`. Like all headers it is not signed.
//! 5. The account is the merchant, `merchant_id`.
//! 6. The time of a delivery is not signed: it can be replayed.

use crate::{field::Field, scheme::builder::SchemeBuilder};

pub(super) fn declare(scheme: SchemeBuilder) -> SchemeBuilder {
    scheme
        .base64()
        .signs("{url}{body}")
        .json_alone()
        .id(Field::json("/event_id"))
        .event_type(Field::json("/type"))
        .attempt(Field::header("square-retry-number"), 0)
        .live(Field::header("square-environment"), "Production")
        .account(Field::json("/merchant_id"))
        .payload_or_envelope("/data")
}
