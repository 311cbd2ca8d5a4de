use std::{error::Error, fmt, net::IpAddr, str::FromStr, sync::Arc};

use http::uri::PathAndQuery;
use url::{Host, Url};

use super::{
    address::canonical,
    names::{self, Inside},
    policy::DestinationPolicy,
};

/// The URL of an endpoint: it was parsed once, and a [`DestinationPolicy`] allows it.
///
/// The same parser, that of the URL standard, reads it for the check and for the connection. So `https://0x7f.1/`,
/// `https://2130706433/` and `https://１２７.０.０.１/` are all recognised as loopback.
///
/// The addresses of a name are not looked up here, since they can change. The client checks them at every attempt.
///
/// ```
/// use tower_webhooks::send::EndpointUrl;
///
/// let url: EndpointUrl = "https://Hooks.Example.com/in?shop=7".parse()?;
/// assert_eq!(url.as_str(), "https://hooks.example.com/in?shop=7");
///
/// assert!("http://hooks.example.com/".parse::<EndpointUrl>().is_err());
/// assert!("https://127.0.0.1/".parse::<EndpointUrl>().is_err());
/// # Ok::<(), tower_webhooks::send::EndpointUrlError>(())
/// ```
#[derive(Clone)]
pub struct EndpointUrl(Arc<Inner>);

struct Inner {
    text: String,
    https: bool,
    host: Host<String>,
    port: u16,
    authority: String,
    path: PathAndQuery,
}

impl DestinationPolicy {
    /// Parses a URL and checks all of it that can be checked without a look-up.
    ///
    /// # Errors
    /// When the text is not an absolute URL of at most 2,048 characters; when it holds user information, a fragment, a `\`,
    /// white space or a control character; and when scheme, port, name or address are not allowed.
    pub fn endpoint(&self, text: &str) -> Result<EndpointUrl, EndpointUrlError> {
        let url = EndpointUrl::parse(text)?;
        self.check(&url)?;
        Ok(url)
    }

    /// Checks a URL that another policy may have let through: one that was stored when more was allowed.
    ///
    /// # Errors
    /// When scheme, port, name or address are not allowed.
    pub fn check(&self, url: &EndpointUrl) -> Result<(), EndpointUrlError> {
        if !url.is_https() && !self.permits_plain_http() {
            return Err(EndpointUrlErrorKind::Scheme.into());
        }
        if !self.permits_port(url.port()) {
            return Err(EndpointUrlErrorKind::Port.into());
        }
        let permitted = match url.host() {
            Host::Ipv4(address) => self.permits_address(IpAddr::V4(*address)),
            Host::Ipv6(address) => self.permits_address(IpAddr::V6(*address)),
            // RFC 6761: these are this machine, whatever a name server says.
            Host::Domain(name) if names::is_this_machine(name) => {
                self.permits_address([127, 0, 0, 1].into()) || self.permits_address(IpAddr::from(1_u128.to_be_bytes()))
            }
            Host::Domain(name) => match names::inside(name) {
                Some(inside) if !self.allows_name(name) => return Err(EndpointUrlError::name(inside)),
                _ => true,
            },
        };
        if permitted { Ok(()) } else { Err(EndpointUrlErrorKind::Address.into()) }
    }
}

/// Shows the origin of a stored URL in `Debug`. Path and query are often the receiver's only secret.
pub(crate) struct Origin<'a>(pub(crate) &'a str);

impl fmt::Debug for Origin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match EndpointUrl::parse(self.0) {
            Ok(url) => write!(f, "{}/…", url.origin()),
            Err(_) => f.write_str("…"),
        }
    }
}

impl EndpointUrl {
    /// The maximum length of a URL in characters, both as it was given and after escaping.
    pub const MAX_LENGTH: usize = 2048;

    /// Parses a URL without a policy.
    pub(crate) fn parse(text: &str) -> Result<Self, EndpointUrlError> {
        use EndpointUrlErrorKind as Kind;
        if text.chars().nth(Self::MAX_LENGTH).is_some() {
            return Err(Kind::TooLong.into());
        }
        // The URL standard drops or replaces these characters, and another reader of the same text may not.
        if text.chars().any(|c| c == '\\' || c.is_control() || c.is_whitespace()) {
            return Err(Kind::Character.into());
        }
        let (scheme, rest) = text.split_once("://").ok_or(Kind::Malformed)?;
        let https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(Kind::Scheme.into()),
        };
        if text.contains('#') {
            return Err(Kind::Fragment.into());
        }
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err(Kind::UserInfo.into());
        }
        if authority.is_empty() {
            return Err(Kind::Malformed.into());
        }

        let url = Url::parse(text).map_err(|cause| EndpointUrlError {
            kind: Kind::Malformed,
            inside: None,
            source: Some(cause),
        })?;
        let host = url.host().ok_or(Kind::Malformed)?.to_owned();
        let host = match host {
            Host::Ipv6(address) => match canonical(address.into()) {
                IpAddr::V4(address) => Host::Ipv4(address),
                IpAddr::V6(address) => Host::Ipv6(address),
            },
            Host::Domain(name) if !is_name(&name) => return Err(Kind::Malformed.into()),
            host => host,
        };
        let port = url.port_or_known_default().ok_or(Kind::Malformed)?;
        // What this says is what the request says in `Host` and in its first line.
        let authority = match url.port() {
            Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
            None => url.host_str().unwrap_or_default().to_owned(),
        };
        let path = &url[url::Position::BeforePath..];
        let path = PathAndQuery::try_from(path).map_err(|_| Kind::Character)?;
        // It is stored in this form, which must be accepted again.
        if url.as_str().len() > Self::MAX_LENGTH {
            return Err(Kind::TooLong.into());
        }
        Ok(Self(Arc::new(Inner { text: url.into(), https, host, port, authority, path })))
    }

    /// Returns the URL as the parser writes it.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// Returns scheme, host and, where it is not the default of the scheme, port. None of them holds credentials, so others may
    /// see them.
    pub(crate) fn origin(&self) -> String {
        let scheme = if self.is_https() { "https" } else { "http" };
        format!("{scheme}://{}", self.authority())
    }

    /// Returns `true` if the URL is `https`, which it always is unless the policy allows plain http.
    pub fn is_https(&self) -> bool {
        self.0.https
    }

    /// Returns the port that is dialled.
    pub fn port(&self) -> u16 {
        self.0.port
    }

    /// Returns the value of the `Host` header: the host, with the port where it is not the default of the scheme.
    pub fn authority(&self) -> &str {
        &self.0.authority
    }

    pub(crate) fn host(&self) -> &Host<String> {
        &self.0.host
    }

    pub(crate) fn path(&self) -> &PathAndQuery {
        &self.0.path
    }
}

impl FromStr for EndpointUrl {
    type Err = EndpointUrlError;

    /// Parses a URL under the default policy: the public internet, by https, at the ports 443 and 8443.
    fn from_str(text: &str) -> Result<Self, EndpointUrlError> {
        DestinationPolicy::default().endpoint(text)
    }
}

impl fmt::Display for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialEq for EndpointUrl {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for EndpointUrl {}

impl fmt::Debug for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Path and query are often the receiver's only secret.
        write!(f, "EndpointUrl({}/…)", self.origin())
    }
}

/// The text is not a URL that deliveries may go to.
///
/// ```
/// use tower_webhooks::send::{EndpointUrl, EndpointUrlErrorKind};
///
/// let error = "https://redis/".parse::<EndpointUrl>().unwrap_err();
/// assert_eq!(error.kind(), EndpointUrlErrorKind::Name);
/// assert_eq!(error.to_string(), "the URL's host has no dot: it is a name of an internal network");
/// ```
#[derive(Debug, Clone)]
pub struct EndpointUrlError {
    kind: EndpointUrlErrorKind,
    inside: Option<Inside>,
    source: Option<url::ParseError>,
}

/// What is wrong with a URL.
///
/// ```
/// use tower_webhooks::send::{DestinationPolicy, EndpointUrlErrorKind};
///
/// let error = DestinationPolicy::default().endpoint("http://hooks.example.com/").unwrap_err();
/// assert_eq!(error.kind(), EndpointUrlErrorKind::Scheme);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndpointUrlErrorKind {
    /// The host is an address that the policy does not allow, or a name of this machine:
    /// [`DestinationPolicy::allow_network`] opens it.
    Address,
    /// It contains a `\`, white space, a control character, or another character that a request line cannot contain.
    Character,
    /// It has a fragment, which is never sent.
    Fragment,
    /// It is not an absolute URL.
    Malformed,
    /// The host is a name of an internal network, such as `redis`, `metadata.google.internal` or `api.default.svc`:
    /// [`DestinationPolicy::allow_name`] allows it.
    Name,
    /// The port is not allowed: [`DestinationPolicy::allow_ports`] opens others than 443 and 8443.
    Port,
    /// The scheme is not `https`, nor an allowed `http`: [`DestinationPolicy::insecure_plain_http`] allows it.
    Scheme,
    /// It has more than 2,048 characters.
    TooLong,
    /// It has a user name or a password.
    UserInfo,
}

impl EndpointUrlError {
    fn name(inside: Inside) -> Self {
        Self { kind: EndpointUrlErrorKind::Name, inside: Some(inside), source: None }
    }

    /// Returns what is wrong.
    pub fn kind(&self) -> EndpointUrlErrorKind {
        self.kind
    }
}

impl From<EndpointUrlErrorKind> for EndpointUrlError {
    fn from(kind: EndpointUrlErrorKind) -> Self {
        Self { kind, inside: None, source: None }
    }
}

impl fmt::Display for EndpointUrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Inside::Suffix(suffix)) = self.inside {
            return write!(f, "the URL's host ends in `{suffix}`: it is a name of an internal network");
        }
        f.write_str(match self.kind {
            EndpointUrlErrorKind::Address => "the URL's address is not one that deliveries may go to",
            EndpointUrlErrorKind::Character => {
                "the URL contains a character that is not allowed, such as `\\` or a space"
            }
            EndpointUrlErrorKind::Fragment => "the URL has a fragment; leave out `#` and what follows it",
            EndpointUrlErrorKind::Malformed => "this is not an absolute URL, such as `https://example.com/hook`",
            EndpointUrlErrorKind::Name => "the URL's host has no dot: it is a name of an internal network",
            EndpointUrlErrorKind::Port => "the URL's port is not one that deliveries may go to",
            EndpointUrlErrorKind::Scheme => "the URL must begin with `https://`",
            EndpointUrlErrorKind::TooLong => "the URL has more than 2,048 characters",
            EndpointUrlErrorKind::UserInfo => "the URL has a user name or a password; use a header",
        })
    }
}

impl Error for EndpointUrlError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| source as &(dyn Error + 'static))
    }
}

/// Returns `true` if the parser's host is a name that can be looked up (RFC 1035, section 2.3.4); `_` is allowed, since some
/// names have it. The URL standard also accepts characters that other parsers reject.
fn is_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    name.len() <= 253 && name.split('.').all(is_label)
}
