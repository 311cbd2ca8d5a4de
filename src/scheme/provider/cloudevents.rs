//! CloudEvents over HTTP, from any sender. Source: "HTTP 1.1 Web Hooks for Event Delivery", version 1.0.2, and "HTTP Protocol Binding"
//! (github.com/cloudevents/spec).
//!
//! `Authorization: Bearer <token>`, which binds nothing.
//!
//! Quirks:
//! 1. By OPTIONS with `WebHook-Request-Origin` a sender asks for leave to deliver; the answer allows it without a limit of its rate.
//! 2. Id and type are in the headers `ce-id` and `ce-type` in binary mode, and in the body in structured mode. An id is its
//!    source's: an event is identified by both ("source + id is unique for each distinct event", the specification of CloudEvents), so that the delivery's id is
//!    `<id>.<source>`.

use super::families::{header, json};
use crate::scheme::{builder::SchemeBuilder, handshake::Handshake};

pub(super) fn declare(scheme: SchemeBuilder) -> SchemeBuilder {
    scheme
        .prefix("Bearer ")
        .id(header("ce-id").or(json("/id")).joined(header("ce-source").or(json("/source"))))
        .event_type(header("ce-type").or(json("/type")))
        .handshake(Handshake::cloud_events())
}
