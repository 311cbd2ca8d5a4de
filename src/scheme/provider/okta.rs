//! Okta event hooks. Source: "Event hooks" (developer.okta.com/docs/concepts/event-hooks).
//!
//! `Authorization: <the secret>`, which binds nothing.
//!
//! Quirks:
//! 1. A hook is verified once, by GET with `X-Okta-Verification-Challenge`, which is not authenticated: the answer is
//!    `{"verification": <the text>}`.
//! 2. A delivery holds many events, in `/data/events`. Its id is that of the delivery, `eventId`.
//! 3. Okta repeats a delivery once, after an answer of 5xx or none. It never repeats after 4xx.

use http::Method;

use crate::{
    field::Field,
    scheme::{builder::SchemeBuilder, handshake::Handshake},
};

const CHALLENGE: &str = "x-okta-verification-challenge";

pub(super) fn declare(scheme: SchemeBuilder) -> SchemeBuilder {
    scheme.id(Field::json("/eventId")).event_type(Field::json("/eventType")).handshake(
        Handshake::echo_json(Field::header(CHALLENGE), "verification")
            .present(Field::header(CHALLENGE))
            .method(Method::GET),
    )
}
