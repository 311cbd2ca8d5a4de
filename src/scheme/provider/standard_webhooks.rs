//! Standard Webhooks. Source: the specification (standardwebhooks.com), sections "Signature scheme" and "Webhook headers"; and
//! Svix, "Verifying payloads" (docs.svix.com).
//!
//! `webhook-signature: v1,<base64>[ v1,<base64>]` with `HMAC-SHA-256(key, id "." timestamp "." body)`; `webhook-id` and
//! `webhook-timestamp` are headers. Svix sends the same in `svix-id`, `svix-timestamp` and `svix-signature`.
//!
//! Quirks:
//! 1. The key is the base64 after `whsec_`.
//! 2. Unknown versions are skipped; `v1a` is asymmetric, and not looked at here.
//! 3. Either family of header names is accepted, one of them first; they are never mixed.
//! 4. An id with dots is accepted, unless it could be cut into another id and a fresh timestamp.

use crate::scheme::{Field, Scheme, SchemeBuilder};

pub(super) fn scheme() -> SchemeBuilder {
    families("webhook", "svix")
}

pub(super) fn svix() -> SchemeBuilder {
    families("svix", "webhook")
}

fn families(first: &str, second: &str) -> SchemeBuilder {
    let field = |part: &str| Field::header(format!("{first}-{part}")).or(Field::header(format!("{second}-{part}")));
    Scheme::hmac_sha256()
        .header(format!("{first}-signature"))
        .or_header(format!("{second}-signature"))
        .items(" ")
        .pairs(",")
        .key("v1")
        .base64()
        .key_standard_webhooks()
        .timestamp(field("timestamp"))
        .id(field("id"))
        .signs("{id}.{timestamp}.{body}")
        .event_type(Field::json("/type"))
        .payload("/data")
}
