//! GitLab. Source: "Webhooks" (docs.gitlab.com/user/project/integrations/webhooks), sections "Secret token", "Signing
//! token" and "Delivery headers".
//!
//! With a secret token: `X-Gitlab-Token: <the token>`. With a signing token, from GitLab 19.0: Standard Webhooks, that is
//! `webhook-signature: v1,<base64>` with `HMAC-SHA-256(key, webhook-id "." webhook-timestamp "." body)`.
//!
//! A duplicate, for GitLab: the same `Idempotency-Key` ("Delivery headers": unique, and consistent across retries), which
//! `webhook-id` equals. It is that of one hook's delivery: two hooks on one URL have two of them for one event.
//!
//! Quirks:
//! 1. The secret token is sent in plain text and does not cover the body. Anyone who has seen one request can send any
//!    other.
//! 2. Both tokens may be set, and both headers are then sent; each scheme looks at its own.
//! 3. The signing token is `whsec_` and the base64 of 32 bytes.
//! 4. `Idempotency-Key` is the same on every attempt, and `webhook-id` equals it. `X-Gitlab-Event-UUID` is shared by the
//!    events that a webhook causes in its turn, `X-Gitlab-Webhook-UUID` belongs to the configuration: neither is a
//!    delivery's.
//! 5. Event types are names with blanks, such as `Merge Request Hook`, and unsigned; the body's `object_kind` is
//!    `merge_request`.

use super::families::standard;
use crate::{field::Field, scheme::builder::SchemeBuilder};

pub(super) fn token(scheme: SchemeBuilder) -> SchemeBuilder {
    scheme.id(Field::header("idempotency-key")).event_type(event_type())
}

pub(super) fn signing(scheme: SchemeBuilder) -> SchemeBuilder {
    standard(scheme, &["webhook"]).event_type(event_type())
}

fn event_type() -> Field {
    Field::header("x-gitlab-event").or(Field::json("/object_kind"))
}
