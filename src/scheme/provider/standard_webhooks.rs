//! Standard Webhooks, and senders that follow it. Source: the specification (standardwebhooks.com), sections "Signature
//! scheme" and "Webhook headers"; Svix, "Verifying payloads" (docs.svix.com); Clerk, "Sync Clerk data to your app with
//! webhooks" (clerk.com/docs); OpenAI, "Webhooks" (platform.openai.com/docs/guides/webhooks); Resend, "Verify webhook
//! requests" (resend.com/docs/dashboard/webhooks).
//!
//! `webhook-signature: v1,<base64>[ v1,<base64>]` with `HMAC-SHA-256(key, id "." timestamp "." body)`; `webhook-id` and
//! `webhook-timestamp` are headers. Svix sends the same in `svix-id`, `svix-timestamp` and `svix-signature`.
//!
//! A duplicate: the same `webhook-id`, "the unique webhook message identifier", which stays the same when a message is sent again
//! (the specification, section "Webhook Headers"; Svix, "Idempotency"; OpenAI, Clerk and Resend point to the same header). It is the
//! message's; whether two messages tell of one event is the sender's business.
//!
//! Quirks:
//! 1. The key is the base64 after `whsec_`.
//! 2. Unknown versions are skipped. `v1a` is one of them for the schemes with a shared secret, and `v1` for the one with public
//!    keys: the version is the receiver's choice, never the sender's.
//! 3. Either family of header names is accepted, one of them first; they are never mixed. Clerk has `svix-` alone, OpenAI
//!    `webhook-` alone.
//! 4. An id with dots is accepted, unless it could be cut into another id and a fresh timestamp.
//! 5. OpenAI's library takes a secret without `whsec_` as text, even where it could be base64.
//! 6. A public key is `whpk_` and 32 bytes in base64, and the prefix must be there. Svix's private keys are `whsk_` and 64
//!    bytes, seed and public key; others may write the seed alone.
//! 7. The specification advises an envelope with `type`, `timestamp` and `data`, and does not ask for it. The payload of a body
//!    without `data` is the whole body.
//! 8. OpenAI's `webhook-id` is the delivery's; the body's `id` is the event's.
//! 9. Polar and Whop use the whole secret as the key, as text, also where it looks like base64 ("Webhooks", polar.sh/docs and
//!    docs.whop.com, and their libraries).
//! 10. Finch's headers are `finch-event-id`, `finch-timestamp` and `finch-signature` (its library, `src/resources/webhooks.ts`).

use super::families::{standard, standard_text};
use crate::{field::Field, scheme::builder::SchemeBuilder};

/// The envelope that the specification advises, under header names that begin with one of `prefixes`, the first that is there.
pub(super) fn enveloped(scheme: SchemeBuilder, prefixes: &[&str]) -> SchemeBuilder {
    envelope(standard(scheme, prefixes))
}

/// `webhook-signature: v1a,<base64>` with Ed25519 over the same text.
#[cfg(feature = "asymmetric")]
pub(super) fn v1a(scheme: SchemeBuilder) -> SchemeBuilder {
    envelope(standard_text(scheme, &["webhook", "svix"]).key("v1a").key_standard_webhooks_public())
}

/// The same where the whole secret is the key, as text.
pub(super) fn with_text_key(scheme: SchemeBuilder, prefixes: &[&str]) -> SchemeBuilder {
    envelope(standard_text(scheme, prefixes).key("v1"))
}

/// Finch has its own names for the headers, and the id is in `finch-event-id`. Its secrets are base64.
pub(super) fn finch(scheme: SchemeBuilder) -> SchemeBuilder {
    standard_text(scheme, &["finch"])
        .key("v1")
        .key_base64()
        .id(Field::header("finch-event-id"))
        .event_type(Field::json("/event_type"))
        .payload_or_envelope("/data")
}

fn envelope(scheme: SchemeBuilder) -> SchemeBuilder {
    scheme.event_type(Field::json("/type")).payload_or_envelope("/data")
}
