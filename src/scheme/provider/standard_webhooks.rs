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

use crate::scheme::{Field, Scheme, SchemeBuilder};

pub(super) fn scheme() -> SchemeBuilder {
    enveloped(family(&["webhook", "svix"]))
}

/// `webhook-signature: v1a,<base64>` with Ed25519 over the same text.
#[cfg(feature = "asymmetric")]
pub(super) fn v1a() -> SchemeBuilder {
    enveloped(signed(Scheme::ed25519(), &["webhook", "svix"]).key("v1a").key_standard_webhooks_public())
}

pub(super) fn svix() -> SchemeBuilder {
    enveloped(family(&["svix", "webhook"]))
}

pub(super) fn clerk() -> SchemeBuilder {
    enveloped(family(&["svix"]))
}

pub(super) fn openai() -> SchemeBuilder {
    enveloped(family(&["webhook"])).key_standard_webhooks_or_text()
}

/// How it is signed with a shared secret, with header names that begin with one of `prefixes`, the first that is there.
pub(super) fn family(prefixes: &[&str]) -> SchemeBuilder {
    signed(Scheme::hmac_sha256(), prefixes).key("v1").key_standard_webhooks()
}

fn signed(scheme: SchemeBuilder, prefixes: &[&str]) -> SchemeBuilder {
    let names = |part: &str| prefixes.iter().map(move |prefix| format!("{prefix}-{part}")).collect::<Vec<_>>();
    let field = |part: &str| {
        let fields = names(part).into_iter().map(Field::header);
        fields.reduce(Field::or).expect("there is a prefix")
    };
    names("signature")
        .into_iter()
        .fold(scheme, SchemeBuilder::or_header)
        .items(" ")
        .pairs(",")
        .base64()
        .timestamp(field("timestamp"))
        .id(field("id"))
        .signs("{id}.{timestamp}.{body}")
}

/// The envelope that the specification advises.
fn enveloped(scheme: SchemeBuilder) -> SchemeBuilder {
    scheme.event_type(Field::json("/type")).payload_or_envelope("/data")
}
