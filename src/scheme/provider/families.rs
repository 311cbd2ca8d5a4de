//! What many senders have in common. A row of the catalogue says the rest.

use crate::scheme::{Field, SchemeBuilder};

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
