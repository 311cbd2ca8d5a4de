//! Stripe. Source: "Verify webhook signatures" (docs.stripe.com/webhooks/signature).
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
//! 4. Live events are repeated for up to three days.

use std::time::Duration;

use crate::scheme::{Field, Scheme, SchemeBuilder};

pub(super) fn scheme() -> SchemeBuilder {
    Scheme::hmac_sha256()
        .header("stripe-signature")
        .items(",")
        .pairs("=")
        .key("v1")
        .hex()
        .timestamp(Field::param("t"))
        .signs("{timestamp}.{body}")
        .secret_prefix("whsec_")
        .secret_length(38)
        .id(Field::json("/id"))
        .event_type(Field::json("/type"))
        .api_version(Field::json("/api_version"))
        .live(Field::json("/livemode"), "true")
        .payload("/data/object")
        .retries_for(Duration::from_secs(3 * 24 * 60 * 60))
}
