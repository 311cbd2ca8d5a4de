//! Hook0, and those who send through it. Source: the libraries of Hook0 and their shared vectors, `clients/conformance/signature.json`.
//!
//! `X-Hook0-Signature: t=<seconds>,h=<names>,v1=<hex>` with `HMAC-SHA-256(secret, t "." names "." values "." body)`: the names of headers with
//! blanks between them, and their values in that order with dots between them. The older `v0=<hex>` is over `t "." body`.
//!
//! Quirks:
//! 1. Where there is a signature `v1`, it counts alone.
//! 2. A listed header that is absent is a rejection.
//! 3. Nothing but the order says where a value ends. So a value that holds a dot is rejected, but for `X-Event-Type`, whose dots are its own;
//!    and the body behind the values begins as JSON does.
//! 4. Whoever holds a delivery with both signatures can take `v1` away, and the headers with it. So no header counts as signed.

use super::families::{header, param};
use crate::scheme::{
    builder::SchemeBuilder,
    content::{Listed, Part},
};

pub(super) fn declare(scheme: SchemeBuilder) -> SchemeBuilder {
    scheme
        .items(",")
        .pairs("=")
        .key("v1")
        .key("v0")
        .first_key_alone()
        .hex()
        .timestamp(param("t"))
        .signs_parts([Part::Timestamp, Part::Literal(".".into()), Part::Listed(Listed::Hook0), Part::Body])
        .id(header("x-event-id"))
        .event_type(header("x-event-type"))
}
