//! The signed text of TrueLayer; `provider/truelayer.rs` says what it is.

use http::HeaderName;

use crate::{
    error::{Subject, VerifyError, VerifyErrorKind},
    head::Repeated,
    scheme::{
        arrived::Arrived,
        content::MOST_LISTED,
        grammar::LONGEST_HEADER,
        jwt::{Token, claim},
        settings::Settings,
        subject::{ambiguous, named},
    },
};

/// What is signed behind the header of the signature.
pub(crate) fn content(
    arrived: Arrived<'_>,
    settings: &Settings,
    token: Token<'_>,
    body: &[u8],
) -> Result<Vec<u8>, VerifyError> {
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
    let target = settings.target(arrived.head);
    let path = target.split_once('?').map_or(&*target, |(path, _)| path);
    let mut text = format!("{} {path}\n", arrived.head.method()).into_bytes();
    // Of all values together: one that is listed often is signed as often.
    let mut room = LONGEST_HEADER;
    for name in names {
        let known: HeaderName = name.parse().map_err(|_| malformed("the list of signed headers"))?;
        let value = arrived.head.header(&known).map_err(|Repeated| ambiguous(Subject::Header(known.clone())))?;
        let value = value.ok_or_else(|| VerifyError::new(VerifyErrorKind::Missing).with_header(known.clone()))?;
        room = room.checked_sub(value.len()).ok_or_else(too_long)?;
        for part in [name.as_bytes(), b": ", value.as_bytes(), b"\n"] {
            text.extend_from_slice(part);
        }
    }
    text.extend_from_slice(body);
    Ok(text)
}
