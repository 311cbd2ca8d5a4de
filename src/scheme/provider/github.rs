//! GitHub. Source: "Validating webhook deliveries" and "Webhook events and payloads" (docs.github.com/webhooks).
//!
//! `X-Hub-Signature-256: sha256=<hex>` with `HMAC-SHA-256(secret, body)`.
//!
//! A duplicate, for GitHub: the same `X-GitHub-Delivery` ("Best practices for using webhooks", section "Use the X-GitHub-Delivery
//! header"). It is the event's: a redelivery has it again, and so have the deliveries of one event to several hooks.
//!
//! Quirks:
//! 1. Id, event type and time are not signed: anyone who has seen a delivery can replay it, under any id.
//! 2. `X-Hub-Signature` with SHA-1 is sent beside it, and ignored.
//! 3. The type is the header's with the body's `action`, as in `issues.opened`; `ping` has no action.
//! 4. With the content type `application/x-www-form-urlencoded`, which GitHub preselects, the form is signed as it is, and the
//!    JSON is in its field `payload`.
//! 5. Payloads are capped at 25 MB. Deliveries are not repeated by themselves; a redelivery has the same id.

use crate::{field::Field, form::Form, scheme::builder::SchemeBuilder};

pub(super) fn declare(scheme: SchemeBuilder) -> SchemeBuilder {
    scheme
        .prefix("sha256=")
        .hex()
        .signs("{body}")
        .id(Field::header("x-github-delivery"))
        .event_type(Field::header("x-github-event").joined(Field::json("/action")))
        .form(Form::json("payload"))
        .body_limit(25 * 1024 * 1024)
}
