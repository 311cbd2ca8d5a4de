//! HubSpot. Source: "Validating requests" (developers.hubspot.com/docs) and HubSpot's own library, `src/utils/signature.ts`.
//!
//! Version 1, `X-HubSpot-Signature: <hex>` with `SHA-256(secret body)`. Version 2, the same header, with `SHA-256(secret method URL
//! body)`. Version 3, `X-HubSpot-Signature-v3: <base64>` with `HMAC-SHA-256(secret, method URL body timestamp)`; the timestamp is in
//! `X-HubSpot-Request-Timestamp`, in milliseconds.
//!
//! Quirks:
//! 1. `X-HubSpot-Signature-Version` tells version 1 from 2. It is not signed, and not looked at: the version is the receiver's choice.
//! 2. Nothing separates method, URL and body. What HubSpot posts is JSON, and by GET there is no body, so that no true signature fits
//!    another cut; a GET with a body is rejected.
//! 3. Before version 3 is signed, `%3A`, `%2F`, `%3F`, `%40`, `%21`, `%24`, `%27`, `%28`, `%29`, `%2A`, `%2C` and `%3B` of the URL are decoded.
//!    Here they are not, so that such a URL does not pass.
//! 4. A delivery holds many events, in an array, each with an `eventId` and a `subscriptionType` of its own.

use http::Method;

use super::families::header;
use crate::scheme::{builder::SchemeBuilder, freshness::TimestampUnit};

pub(super) fn version_2(scheme: SchemeBuilder) -> SchemeBuilder {
    scheme.hex().signs("{secret}{method}{url}{body}").json_alone().methods([Method::POST, Method::GET])
}

pub(super) fn version_3(scheme: SchemeBuilder) -> SchemeBuilder {
    scheme
        .base64()
        .timestamp(header("x-hubspot-request-timestamp"))
        .unit(TimestampUnit::Milliseconds)
        .signs("{method}{url}{body}{timestamp}")
        .json_alone()
        .methods([Method::POST, Method::GET])
}
