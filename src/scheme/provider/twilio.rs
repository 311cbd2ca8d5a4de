//! Twilio. Sources: "Webhooks security" (twilio.com/docs/usage/webhooks/webhooks-security) and Twilio's own library for Node.js.
//!
//! `X-Twilio-Signature: <base64>` with `HMAC-SHA-1(auth token, URL fields)`. The fields are those of the form, sorted by name: each name
//! and its value, with nothing between them, and equal values of a field once.
//!
//! A duplicate, for Twilio: the same `I-Twilio-Idempotency-Token`, which is not signed.
//!
//! Quirks:
//! 1. A body that is not a form is covered by `bodySHA256` in the query, which is signed with the URL: its SHA-256 in
//!    hexadecimal digits. Without it such a body is rejected.
//! 2. The ends of names and values are not signed, so anyone who has a request can move text from a value into a name.
//! 3. The URL is signed with its port or without. Both are tried, with the port that the scheme has anyway.
//! 4. Where a rule of Twilio's names a shared key for a URL, `X-Twilio-Webhooks-Signature-Settings` is there, and the signature is one
//!    with that key and HMAC-SHA-256. Which of the two a route takes is the application's choice, not that header's.
//! 5. What Twilio is answered is TwiML. Nothing to do is `<Response/>`.
//! 6. No time is signed: a request can be sent again.

use http::{Method, StatusCode};

use super::families::header;
use crate::{
    field::Field,
    form::Form,
    scheme::{answer::Answer, builder::SchemeBuilder},
};

pub(super) fn declare(scheme: SchemeBuilder) -> SchemeBuilder {
    scheme
        .base64()
        .signs("{url}{fields}")
        .either_port()
        .form(Form::fields())
        .hex_digest(Field::query("bodySHA256"))
        .methods([Method::POST, Method::GET])
        .id(header("i-twilio-idempotency-token"))
        .success(Answer::new(StatusCode::OK).xml("<Response/>"))
}
