//! What many senders have in common. A row of the catalogue says the rest.

use crate::{field::Field, scheme::builder::SchemeBuilder};

/// Standard Webhooks with a shared secret: `v1,<base64>` with `HMAC-SHA-256(key, id "." timestamp "." body)`. Id and timestamp are in
/// headers whose names begin with one of `prefixes`, in the order of the signature headers.
pub(super) fn standard(scheme: SchemeBuilder, prefixes: &[&str]) -> SchemeBuilder {
    standard_text(scheme, prefixes).key("v1").key_standard_webhooks()
}

/// The signed text and the grammar of Standard Webhooks, whatever the key.
pub(super) fn standard_text(scheme: SchemeBuilder, prefixes: &[&str]) -> SchemeBuilder {
    let field = |part: &str| {
        let fields = prefixes.iter().map(|prefix| Field::header(format!("{prefix}-{part}")));
        fields.reduce(Field::or).expect("there is a prefix")
    };
    scheme.items(" ").pairs(",").base64().timestamp(field("timestamp")).id(field("id")).signs("{id}.{timestamp}.{body}")
}

/// `HMAC(secret, body)` in hexadecimal digits.
pub(super) fn hex_body(scheme: SchemeBuilder) -> SchemeBuilder {
    scheme.hex().signs("{body}")
}

/// `HMAC(secret, body)` in base64.
pub(super) fn base64_body(scheme: SchemeBuilder) -> SchemeBuilder {
    scheme.base64().signs("{body}")
}

/// As Stripe writes it: `t=<seconds>,v1=<hex>` with `HMAC(secret, t "." body)`, under the names `time` and `signature`.
pub(super) fn stamped(scheme: SchemeBuilder, signature: &'static str, time: &'static str) -> SchemeBuilder {
    let scheme = scheme.items(",").pairs("=").key(signature).hex();
    scheme.timestamp(Field::param(time)).signs("{timestamp}.{body}")
}

/// Basic authentication (RFC 7617); the secret is `user:password`.
pub(super) fn basic(scheme: SchemeBuilder) -> SchemeBuilder {
    scheme.prefix("Basic ").base64()
}

pub(super) fn header(name: &'static str) -> Field {
    Field::header(name)
}

pub(super) fn json(pointer: &'static str) -> Field {
    Field::json(pointer)
}

pub(super) fn param(key: &'static str) -> Field {
    Field::param(key)
}
