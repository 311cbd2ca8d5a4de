//! Meta: Facebook, Instagram, Messenger, Threads, WhatsApp. Source: "Webhooks: Getting Started"
//! (developers.facebook.com/docs/graph-api/webhooks/getting-started) and "Webhooks" of the WhatsApp Cloud API.
//!
//! `X-Hub-Signature-256: sha256=<hex>` with `HMAC-SHA-256(app secret, body)`. The subscription is confirmed by `GET
//! ?hub.mode=subscribe&hub.verify_token=<token>&hub.challenge=<text>`, which is not signed: the token guards it.
//!
//! A duplicate, for Meta: it does not say. Updates are repeated with decreasing frequency over 36 hours, and "your server should
//! handle deduplication in these cases": by the ids of the messages inside, which only the handler knows. Whole notifications have none, and
//! two of them may be equal.
//!
//! Quirks:
//! 1. The token is the application's own choice; `with_verify_token` takes it. A wrong one is answered with 403.
//! 2. `X-Hub-Signature` with SHA-1 is sent beside it, and ignored.
//! 3. A delivery holds many changes, `/entry/*/changes/*` or `/entry/*/messaging/*`. It has no id of its own; messages
//!    have.
//!    Whether a body is its event's own is not documented: `time` counts seconds, and a change may be told by the name of its
//!    field alone. So with idempotency each delivery runs, unless `with_missing_id` says otherwise; know messages by their ids.
//! 4. The type is the body's `object`, such as `page` or `whatsapp_business_account`; each change has a `field`.
//! 5. Letters outside ASCII are escaped in the body, and are signed so.
//! 6. Bodies may have 3 MB.

use http::Method;

use crate::{
    field::Field,
    scheme::{builder::SchemeBuilder, handshake::Handshake},
};

pub(super) fn declare(scheme: SchemeBuilder) -> SchemeBuilder {
    scheme
        .prefix("sha256=")
        .hex()
        .signs("{body}")
        .event_type(Field::json("/object"))
        .body_limit(3 * 1024 * 1024)
        .handshake(
            Handshake::echo_text(Field::query("hub.challenge"))
                .when(Field::query("hub.mode"), "subscribe")
                .verify_token("hub.verify_token")
                .method(Method::GET),
        )
}
