use std::{error::Error, fmt};

use http::{HeaderMap, HeaderName, HeaderValue};

/// An endpoint's own headers, such as an `Authorization` that its gateway needs. Headers that HTTP or the signature uses are
/// not allowed.
///
/// ```
/// use tower_webhooks::send::CustomHeaders;
///
/// let mut headers = CustomHeaders::default();
/// headers.insert("authorization", "Bearer the-gateway-s-token")?;
///
/// assert!(headers.insert("Authorization", "Bearer another").is_err()); // it exists already
/// assert!(headers.insert("Host", "internal").is_err());
/// assert!(headers.insert("x-team", "a\r\nb: c").is_err());
/// # Ok::<(), tower_webhooks::send::HeaderError>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct CustomHeaders(HeaderMap);

impl CustomHeaders {
    /// The maximum number of headers of an endpoint.
    pub const MAX_COUNT: usize = 32;
    /// The maximum length of a value in bytes.
    pub const MAX_VALUE: usize = 4096;

    /// Adds a header.
    ///
    /// # Errors
    /// When the name is not a header name, is reserved, or exists already; when the value is empty, too long, begins or ends with
    /// white space, or contains anything but visible ASCII, spaces and tabs; and when there are 32 headers already.
    pub fn insert(&mut self, name: &str, value: &str) -> Result<(), HeaderError> {
        let error = |kind| HeaderError { kind };
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| error(HeaderErrorKind::Name))?;
        if is_reserved(name.as_str()) {
            return Err(error(HeaderErrorKind::Reserved));
        }
        let visible = value.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
        if value.is_empty() || value.len() > Self::MAX_VALUE || !visible || value.trim() != value {
            return Err(error(HeaderErrorKind::Value));
        }
        let mut value = HeaderValue::from_str(value).map_err(|_| error(HeaderErrorKind::Value))?;
        value.set_sensitive(true);
        if self.0.contains_key(&name) {
            return Err(error(HeaderErrorKind::Twice));
        }
        if self.0.len() >= Self::MAX_COUNT {
            return Err(error(HeaderErrorKind::TooMany));
        }
        self.0.insert(name, value);
        Ok(())
    }

    /// Returns the headers, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.0.iter()
    }

    /// Returns `true` if there are no headers.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds the headers to those of a signature.
    pub(crate) fn add_to(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.0 {
            // The signature's headers take precedence. `insert` rejects their names anyway.
            headers.entry(name).or_insert_with(|| value.clone());
        }
    }
}

impl fmt::Debug for CustomHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names alone: values are often tokens.
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A header that an endpoint cannot have.
///
/// ```
/// use tower_webhooks::send::{CustomHeaders, HeaderErrorKind};
///
/// let error = CustomHeaders::default().insert("webhook-signature", "v1,…").unwrap_err();
/// assert_eq!(error.kind(), HeaderErrorKind::Reserved);
/// ```
#[derive(Debug, Clone)]
pub struct HeaderError {
    kind: HeaderErrorKind,
}

/// What is wrong with a header.
///
/// ```
/// use tower_webhooks::send::{CustomHeaders, HeaderErrorKind};
///
/// let mut headers = CustomHeaders::default();
/// headers.insert("x-team", "billing")?;
///
/// assert_eq!(headers.insert("x-team", "sales").unwrap_err().kind(), HeaderErrorKind::Twice);
/// assert_eq!(headers.insert("host", "example.com").unwrap_err().kind(), HeaderErrorKind::Reserved);
/// # Ok::<(), tower_webhooks::send::HeaderError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HeaderErrorKind {
    /// The name is not a header name.
    Name,
    /// HTTP or the signature uses the header.
    Reserved,
    /// There are 32 headers already.
    TooMany,
    /// The header exists already.
    Twice,
    /// The value is empty, too long, or contains characters that a header cannot contain.
    Value,
}

impl HeaderError {
    /// Returns what is wrong.
    pub fn kind(&self) -> HeaderErrorKind {
        self.kind
    }
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            HeaderErrorKind::Name => "the name is not a header name",
            HeaderErrorKind::Reserved => "the header is one that HTTP or the signature needs",
            HeaderErrorKind::TooMany => "there are 32 headers already",
            HeaderErrorKind::Twice => "the header is there already",
            HeaderErrorKind::Value => {
                "the value is empty, longer than 4,096 bytes, or not of visible ASCII with spaces between"
            }
        })
    }
}

impl Error for HeaderError {}

/// Names that decide where a message ends, who it is for, how it is encoded, what happens to the connection, or whether
/// the signature is valid.
fn is_reserved(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "date",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
    ];
    const PREFIXES: &[&str] = &["proxy-", "svix-", "webhook-", "x-webhook-"];
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::{CustomHeaders, HeaderErrorKind};

    #[test]
    fn a_header_that_could_break_a_request_is_refused_when_it_is_set() {
        use HeaderErrorKind as Kind;
        for (name, value, kind) in [
            ("", "a", Kind::Name),
            ("a b", "a", Kind::Name),
            ("a:", "a", Kind::Name),
            ("a\r\nb", "a", Kind::Name),
            ("ä", "a", Kind::Name),
            ("Host", "a", Kind::Reserved),
            ("Content-Length", "0", Kind::Reserved),
            ("transfer-encoding", "chunked", Kind::Reserved),
            ("CONNECTION", "close", Kind::Reserved),
            ("Accept-Encoding", "gzip", Kind::Reserved),
            ("Expect", "100-continue", Kind::Reserved),
            ("Proxy-Authorization", "a", Kind::Reserved),
            ("webhook-id", "a", Kind::Reserved),
            ("Webhook-Anything", "a", Kind::Reserved),
            ("x-webhook-signature", "a", Kind::Reserved),
            ("svix-signature", "a", Kind::Reserved),
            ("x-a", "", Kind::Value),
            ("x-a", " a", Kind::Value),
            ("x-a", "a\r\nb: c", Kind::Value),
            ("x-a", "a\n", Kind::Value),
            ("x-a", "a\0", Kind::Value),
            ("x-a", "a\u{7f}", Kind::Value),
            ("x-a", "ä", Kind::Value),
        ] {
            let error = CustomHeaders::default().insert(name, value).unwrap_err();
            assert_eq!(error.kind(), kind, "{name:?}: {value:?}");
        }
        assert!(CustomHeaders::default().insert("x-a", &"a".repeat(4097)).is_err());
    }

    #[test]
    fn there_are_32_at_most_each_once() {
        let mut headers = CustomHeaders::default();
        for index in 0..32 {
            headers.insert(&format!("x-{index}"), "a").unwrap();
        }

        assert_eq!(headers.insert("X-0", "b").unwrap_err().kind(), HeaderErrorKind::Twice);
        assert_eq!(headers.insert("x-32", "a").unwrap_err().kind(), HeaderErrorKind::TooMany);
    }

    #[test]
    fn no_value_is_in_a_log() {
        let mut headers = CustomHeaders::default();
        headers.insert("authorization", "Bearer token-of-the-gateway").unwrap();

        assert_eq!(format!("{headers:?}"), r#"{"authorization"}"#);
    }
}
