//! Dropbox. Source: "Webhooks" (dropbox.com/developers/reference/webhooks).
//!
//! `X-Dropbox-Signature: <hex>` with `HMAC-SHA-256(app secret, body)`. The URL is confirmed by `GET ?challenge=<text>`,
//! which is not signed.
//!
//! A duplicate, for Dropbox: it does not say. A notification names the accounts that have changed and nothing else, so that two
//! changes have the same bytes. There is nothing to tell a repetition by, and a handler that fetches what is new needs nothing.
//!
//! Quirks:
//! 1. The challenge is echoed to anyone, as plain text with a header that keeps browsers from interpreting it.
//! 2. A delivery has neither id nor type: it lists the accounts that have changed, and the changes are fetched.
//!    So its bytes are the same for every change of the same accounts, and a body never stands for an event: with idempotency
//!    each delivery runs.
//! 3. App secrets are 15 letters long, so that each is warned of as short.

use http::Method;

use crate::{
    field::Field,
    scheme::{builder::SchemeBuilder, handshake::Handshake},
};

pub(super) fn declare(scheme: SchemeBuilder) -> SchemeBuilder {
    scheme.hex().signs("{body}").handshake(
        Handshake::echo_text(Field::query("challenge")).present(Field::query("challenge")).method(Method::GET),
    )
}
