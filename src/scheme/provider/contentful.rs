//! Contentful. Sources: "Request verification" (contentful.com/developers/docs/webhooks/request-verification) and Contentful's own library for
//! Node.js.
//!
//! `x-contentful-signature: <hex>` with `HMAC-SHA-256(signing secret, method LF path-and-query LF headers LF body)`. The headers are those that
//! `x-contentful-signed-headers` lists, joined with a comma, that header among them; they are sorted by name, and written as `name:value` with `;`
//! between them.
//!
//! Quirks:
//! 1. The time is in `x-contentful-timestamp`, in milliseconds, and may be 30 seconds away. It must be one of the listed headers.
//! 2. The origin is not signed, so that no public URL is asked for. Path and query are signed escaped, an escape once more, and without what stands
//!    behind a second question mark: a request with one is rejected.
//! 3. A delivery has no id.

use std::time::Duration;

use http::Method;

use super::families::header;
use crate::scheme::{
    builder::SchemeBuilder,
    content::{Listed, Part},
    freshness::TimestampUnit,
};

pub(super) fn declare(scheme: SchemeBuilder) -> SchemeBuilder {
    let line = || Part::Literal("\n".into());
    scheme
        .hex()
        .signs_parts([Part::Method, line(), Part::Listed(Listed::Contentful), line(), Part::Body])
        .timestamp(header("x-contentful-timestamp"))
        .unit(TimestampUnit::Milliseconds)
        .tolerance(Duration::from_secs(30))
        .methods([Method::POST, Method::PUT, Method::PATCH, Method::GET, Method::DELETE])
        .event_type(header("x-contentful-topic"))
}
