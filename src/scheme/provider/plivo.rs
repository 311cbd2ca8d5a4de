//! Plivo, version 3 of its signatures. Source: Plivo's own library for Node.js, `validateV3Signature`.
//!
//! `X-Plivo-Signature-V3: <base64>` with `HMAC-SHA-256(auth token, <URL with its query sorted> "." <fields, sorted> "." nonce)`; the nonce is
//! in `X-Plivo-Signature-V3-Nonce`. Without a query or fields their part is missing.
//!
//! Quirks:
//! 1. `X-Plivo-Signature-Ma-V3` is a signature with the main account's token, `X-Plivo-Signature-V3` one with that of the account which a request
//!    belongs to. Either passes.
//! 2. A header may hold several signatures, joined with a comma.
//! 3. The ends of names and values of fields are not signed, so anyone who has a request can move text from a value
//!    into a name.
//! 4. The nonce is not kept: a request can be sent again.

use http::{HeaderName, Method};

use crate::{
    form::Form,
    scheme::{
        builder::SchemeBuilder,
        content::{Fields, Part},
    },
};

pub(super) fn declare(scheme: SchemeBuilder) -> SchemeBuilder {
    let nonce = HeaderName::from_static("x-plivo-signature-v3-nonce");
    scheme
        .header_for_each_key(["x-plivo-signature-v3", "x-plivo-signature-ma-v3"])
        .items(",")
        .base64()
        .signs_parts([Part::Fields(Fields::BehindSortedUrl), Part::Literal(".".into()), Part::Header(nonce)])
        .forms_alone(Form::fields())
        .methods([Method::POST, Method::GET])
}
