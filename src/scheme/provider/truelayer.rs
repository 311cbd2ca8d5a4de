//! TrueLayer. Source: "Request Signing (v2)" and the libraries of TrueLayer (TrueLayer/truelayer-signing).
//!
//! `Tl-Signature: <header>..<signature>` is a JSON Web Signature with detached content, ES512. Its header has `kid`, `tl_version` (`"2"`),
//! `tl_headers` and `jku`. Its content is `<method> <path>\n`, then `<name>: <value>\n` for each header that `tl_headers` lists, in this order
//! and with the names as they are written there, and the body.
//!
//! Quirks:
//! 1. The path is signed without a query.
//! 2. `jku` says where the keys are. It is not looked at: the keys come from the address that the application has chosen.
//! 3. TrueLayer signs for all its customers with the same keys, and nothing that is signed names the receiver but the path.

use crate::{
    field::Field,
    scheme::{builder::SchemeBuilder, jwt::Detached},
};

pub(super) fn declare(scheme: SchemeBuilder) -> SchemeBuilder {
    scheme
        .detached(Detached::TrueLayer)
        .key_id(Field::token_header("kid"))
        .id(Field::json("/event_id"))
        .event_type(Field::json("/type"))
}
