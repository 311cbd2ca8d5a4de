//! Stripe. Source: "Verify webhook signatures" (docs.stripe.com/webhooks/signature), "Event destinations"
//! (docs.stripe.com/event-destinations) and "The Event object", versions 1 and 2 (docs.stripe.com/api).
//!
//! `Stripe-Signature: t=<seconds>,v1=<hex>[,v1=<hex>]` with `v1 = HMAC-SHA-256(secret, t "." body)`.
//!
//! A duplicate, for Stripe: the same event id ("Receive Stripe events in your webhook endpoint", section "Handle duplicate events"). It is
//! the event's: every endpoint gets the same one. Now and then Stripe makes two events of one change; those are told by the id of
//! `data.object` with the type, and only the handler knows whether that may be.
//!
//! Quirks:
//! 1. The whole `whsec_…` text is the key; it is not decoded. Each endpoint has its own, and so has the Stripe CLI.
//! 2. `v0` is a signature of the test scheme, and never a fallback.
//! 3. `v1` is repeated while a secret is being rolled.
//! 4. Bodies are indented JSON: one without a line break was serialized again on its way. Of thin events that is not
//!    known.
//! 5. Live events are repeated for up to three days.
//! 6. A thin event (`"object":"v2.core.event"`) has no `data.object`; its payload is the whole event, with `related_object`,
//!    which says what to fetch. It has no `api_version` either.
//! 7. The account is that of Connect, `account`; a thin event has it in `context`.

use crate::{field::Field, scheme::builder::SchemeBuilder};

pub(super) fn declare(scheme: SchemeBuilder) -> SchemeBuilder {
    scheme
        .items(",")
        .pairs("=")
        .key("v1")
        .hex()
        .timestamp(Field::param("t"))
        .signs("{timestamp}.{body}")
        .expects_secret_prefix("whsec_")
        .indented_json_unless("v2.core.event")
        .secret_length(38)
        .id(Field::json("/id"))
        .event_type(Field::json("/type"))
        .api_version(Field::json("/api_version"))
        .live(Field::json("/livemode"), "true")
        .account(Field::json("/account").or(Field::json("/context")))
        .payload_or_envelope("/data/object")
}
