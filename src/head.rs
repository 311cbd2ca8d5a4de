//! The head of a request: method, URI and headers. Nothing in it has been verified.

use std::{borrow::Cow, fmt, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, request::Parts};

/// A borrowed request head, which a scheme checks.
///
/// It is created from the parts of an [`http::Request`], from a [`RequestHead`], or, without an HTTP server, from
/// method, URI and headers:
///
/// ```
/// use http::{HeaderMap, Method, Uri};
/// use tower_webhooks::Head;
///
/// let (method, uri, headers) = (Method::POST, Uri::from_static("/hook"), HeaderMap::new());
/// let head = Head::new(&method, &uri, &headers);
///
/// assert_eq!(head.method(), Method::POST);
/// ```
#[derive(Clone, Copy)]
pub struct Head<'a> {
    method: &'a Method,
    uri: &'a Uri,
    headers: &'a HeaderMap,
}

impl<'a> Head<'a> {
    /// Creates a head. `uri` is the URI that the sender called, before a router removes a prefix.
    pub fn new(method: &'a Method, uri: &'a Uri, headers: &'a HeaderMap) -> Self {
        Self { method, uri, headers }
    }

    /// Returns the method.
    pub fn method(&self) -> &'a Method {
        self.method
    }

    /// Returns the URI that the sender called; it has a host only if the request line had one.
    pub fn uri(&self) -> &'a Uri {
        self.uri
    }

    /// Returns the headers.
    pub fn headers(&self) -> &'a HeaderMap {
        self.headers
    }

    /// Returns the value of a header that may occur once.
    pub(crate) fn header(&self, name: &HeaderName) -> Result<Option<&'a HeaderValue>, Repeated> {
        once(self.headers.get_all(name).iter())
    }

    /// Returns the value of a query parameter that may occur once, percent-decoded.
    pub(crate) fn query(&self, key: &str) -> Result<Option<Cow<'a, [u8]>>, Repeated> {
        once(self.uri.query().unwrap_or_default().split('&').filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode_query(name).as_ref() == key.as_bytes()).then(|| decode_query(value))
        }))
    }
}

/// A value that may occur once occurs more often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Repeated;

fn once<T>(mut values: impl Iterator<Item = T>) -> Result<Option<T>, Repeated> {
    let first = values.next();
    if values.next().is_some() { Err(Repeated) } else { Ok(first) }
}

/// Percent-decoding with `+` as a space, as in forms.
fn decode_query(text: &str) -> Cow<'_, [u8]> {
    if text.contains('+') {
        Cow::Owned(percent_encoding::percent_decode_str(&text.replace('+', " ")).collect())
    } else {
        percent_encoding::percent_decode_str(text).into()
    }
}

impl fmt::Debug for Head<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Headers may carry credentials, and so may a query.
        f.debug_struct("Head").field("method", self.method).field("path", &self.uri.path()).finish_non_exhaustive()
    }
}

impl<'a> From<&'a Parts> for Head<'a> {
    fn from(parts: &'a Parts) -> Self {
        Self::new(&parts.method, &parts.uri, &parts.headers)
    }
}

impl<'a> From<&'a RequestHead> for Head<'a> {
    fn from(head: &'a RequestHead) -> Self {
        Self::new(&head.0.method, &head.0.uri, &head.0.headers)
    }
}

/// An owned request head, with the matched route and its path parameters. A [`SecretSource`](crate::SecretSource)
/// receives it. Cheap to clone.
///
/// ```
/// use axum::http::{HeaderMap, Method};
/// use tower_webhooks::RequestHead;
///
/// let head = RequestHead::new(Method::POST, "/hooks/acme".parse()?, HeaderMap::new());
/// assert_eq!(head.uri().path(), "/hooks/acme");
/// assert_eq!(head.path_param("tenant"), None); // only a router that has matched the request knows one
/// # Ok::<(), axum::http::uri::InvalidUri>(())
/// ```
#[derive(Clone)]
pub struct RequestHead(Arc<Inner>, Option<Arc<str>>);

struct Inner {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    matched_path: Option<String>,
    path_params: Vec<(String, String)>,
}

impl RequestHead {
    /// Creates a head without a matched route and path parameters.
    pub fn new(method: Method, uri: Uri, headers: HeaderMap) -> Self {
        Self::with_route(method, uri, headers, None, Vec::new())
    }

    pub(crate) fn with_route(
        method: Method,
        uri: Uri,
        headers: HeaderMap,
        matched_path: Option<String>,
        path_params: Vec<(String, String)>,
    ) -> Self {
        Self(Arc::new(Inner { method, uri, headers, matched_path, path_params }), None)
    }

    /// Adds the id of the key.
    pub(crate) fn with_key_id(mut self, id: Option<String>) -> Self {
        self.1 = id.map(Arc::from);
        self
    }

    /// Returns the method.
    pub fn method(&self) -> &Method {
        &self.0.method
    }

    /// Returns the URI that the sender called, before nested routers remove their prefix.
    pub fn uri(&self) -> &Uri {
        &self.0.uri
    }

    /// Returns the headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    /// Returns the id of the key that the request says it was signed with, if the scheme has such an id: a `kid`, or the URL of a
    /// certificate. Anybody can write anything there. Of URLs, only those pass that the scheme's sender has for its certificates.
    pub fn key_id(&self) -> Option<&str> {
        self.1.as_deref()
    }

    /// Returns the pattern of the route that matched, such as `/webhooks/{tenant}`, or `None` without a router.
    pub fn matched_path(&self) -> Option<&str> {
        self.0.matched_path.as_deref()
    }

    /// Returns a parameter of the path, decoded, or `None` if the route has no parameter of this name.
    pub fn path_param(&self, name: &str) -> Option<&str> {
        self.0.path_params.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Headers may carry credentials, and so may a query.
        f.debug_struct("RequestHead")
            .field("method", &self.0.method)
            .field("path", &self.0.uri.path())
            .field("matched_path", &self.0.matched_path)
            .finish_non_exhaustive()
    }
}
