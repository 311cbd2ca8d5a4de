//! Linear. Source: "Webhooks" (linear.app/developers/webhooks), sections "The Webhook Payload" and "Securing webhooks".
//!
//! `Linear-Signature: <hex>` with `HMAC-SHA-256(secret, body)`; the time is `webhookTimestamp` in the signed body.
//!
//! A duplicate, for Linear: it does not use the word. `Linear-Delivery` is the UUID that identifies a payload, which is sent again up to
//! three times.
//!
//! Quirks:
//! 1. Times are in milliseconds, as JSON numbers, and a minute is the window in either direction. Linear's own library takes no
//!    string for a time.
//! 2. `Linear-Timestamp` says the time too, but is not signed, and is not looked at. A body without `webhookTimestamp` is
//!    refused.
//! 3. `Linear-Delivery` is the id and is not signed. The body's `webhookId` is that of the configuration, the same in all
//!    deliveries.
//! 4. The type is the body's `type` with its `action`, as in `Issue.create`.
//! 5. Changes of data have their object at `/data`, with `updatedFrom` beside it. Other events, such as those of agent
//!    sessions, have none: their payload is the whole body.
//! 6. The account is the workspace, `organizationId`.

use std::time::Duration;

use crate::{
    field::Field,
    scheme::{builder::SchemeBuilder, freshness::JsonForm, freshness::TimestampUnit},
};

pub(super) fn declare(scheme: SchemeBuilder) -> SchemeBuilder {
    scheme
        .hex()
        .timestamp(Field::json("/webhookTimestamp"))
        .unit(TimestampUnit::Milliseconds)
        .timestamp_json(JsonForm::Number)
        .tolerance(Duration::from_secs(60))
        .signs("{body}")
        .id(Field::header("linear-delivery"))
        .event_type(Field::json("/type").joined(Field::json("/action")))
        .account(Field::json("/organizationId"))
        .payload_or_envelope("/data")
}
