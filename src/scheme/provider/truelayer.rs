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

use http::HeaderName;

use crate::{
    error::{VerifyError, VerifyErrorKind},
    scheme::{
        Field, SchemeBuilder,
        content::MOST_LISTED,
        grammar::LONGEST_HEADER,
        jwt::{Detached, Token, claim},
        look::Look,
        subject::named,
    },
};

#[cfg_attr(not(feature = "asymmetric"), allow(dead_code))] // The catalogue has it with this feature.
pub(super) fn declare(scheme: SchemeBuilder) -> SchemeBuilder {
    scheme
        .detached(Detached::TrueLayer)
        .key_id(Field::token_header("kid"))
        .id(Field::json("/event_id"))
        .event_type(Field::json("/type"))
}

/// What is signed behind the header of the signature.
pub(crate) fn content(look: &Look<'_>, token: Token<'_>, body: &[u8]) -> Result<Vec<u8>, VerifyError> {
    let malformed = |what| VerifyError::new(VerifyErrorKind::MalformedSignature).with_subject(named(what));
    let header = token.header().ok_or_else(|| malformed("the token"))?;
    if claim(&header, "tl_version").as_deref() != Some("2") {
        return Err(malformed("`tl_version`"));
    }
    let list = claim(&header, "tl_headers").unwrap_or_default();
    let too_long = || VerifyError::new(VerifyErrorKind::TooLong).with_subject(named("the list of signed headers"));
    let names: Vec<&str> = list.split(',').filter(|name| !name.is_empty()).take(MOST_LISTED + 1).collect();
    if names.len() > MOST_LISTED {
        return Err(too_long());
    }
    let target = look.template.settings.target(look.arrived.head);
    let path = target.split_once('?').map_or(&*target, |(path, _)| path);
    let mut text = format!("{} {path}\n", look.arrived.head.method()).into_bytes();
    // Of all values together: one that is listed often is signed as often.
    let mut room = LONGEST_HEADER;
    for name in names {
        let known: HeaderName = name.parse().map_err(|_| malformed("the list of signed headers"))?;
        let value = look.header(&known)?;
        let value = value.ok_or_else(|| VerifyError::new(VerifyErrorKind::Missing).with_header(known.clone()))?;
        room = room.checked_sub(value.len()).ok_or_else(too_long)?;
        for part in [name.as_bytes(), b": ", value.as_bytes(), b"\n"] {
            text.extend_from_slice(part);
        }
    }
    text.extend_from_slice(body);
    Ok(text)
}
