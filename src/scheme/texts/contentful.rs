//! A part of the signed text of Contentful; `provider/contentful.rs` says what it is.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Path and query as Contentful signs them: the query with all but letters, digits and some marks escaped, and then both as a URI is, where an
/// escape is escaped once more. `None` where there is a second question mark, what stands behind which is not signed.
pub(crate) fn path(target: &str) -> Option<String> {
    const QUERY: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'!')
        .remove(b'~')
        .remove(b'*')
        .remove(b'\'')
        .remove(b'(')
        .remove(b')');
    const URI: &AsciiSet = &QUERY
        .remove(b';')
        .remove(b'/')
        .remove(b'?')
        .remove(b':')
        .remove(b'@')
        .remove(b'&')
        .remove(b'=')
        .remove(b'+')
        .remove(b'$')
        .remove(b',')
        .remove(b'#');

    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if query.contains('?') {
        return None;
    }
    let whole = match query {
        "" => path.to_owned(),
        query => format!("{path}?{}", utf8_percent_encode(query, QUERY)),
    };
    Some(utf8_percent_encode(&whole, URI).to_string())
}
