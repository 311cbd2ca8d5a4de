use std::{error::Error, fmt, net::IpAddr, str::FromStr, sync::Arc};

use http::uri::PathAndQuery;
use url::{Host, Url};

use super::{
    address::canonical,
    names::{self, Inside},
    policy::DestinationPolicy,
};

/// Where an endpoint is: a URL that was parsed once, and that a [`DestinationPolicy`] allows.
///
/// One parser, that of the URL standard, reads it for the check and for the connection, so that `https://0x7f.1/`,
/// `https://2130706433/` and `https://１２７.０.０.１/` are all what they are: loopback.
///
/// What a name resolves to is not looked at here. It may be another address tomorrow; the client checks at every attempt.
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
    /// When the text is no absolute URL of at most 2,048 characters; when it holds user information, a fragment, a `\`,
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

/// What a `Debug` shows of an endpoint's URL as it is kept: path and query are often the receiver's only secret.
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
    /// The longest URL, in characters, as it was given and with what had to be escaped.
    pub const MAX_LENGTH: usize = 2048;

    /// Parses a URL without asking a policy.
    pub(crate) fn parse(text: &str) -> Result<Self, EndpointUrlError> {
        use EndpointUrlErrorKind as Kind;
        if text.chars().nth(Self::MAX_LENGTH).is_some() {
            return Err(Kind::TooLong.into());
        }
        // The URL standard would drop or turn these, and another reader of the same text would not.
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
        // As it is stored it must be taken again.
        if url.as_str().len() > Self::MAX_LENGTH {
            return Err(Kind::TooLong.into());
        }
        Ok(Self(Arc::new(Inner { text: url.into(), https, host, port, authority, path })))
    }

    /// The URL, as the parser writes it.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// Scheme, host and, where it is not the scheme's own, port: what may be told to others, since credentials are in none of
    /// them.
    pub(crate) fn origin(&self) -> String {
        let scheme = if self.is_https() { "https" } else { "http" };
        format!("{scheme}://{}", self.authority())
    }

    /// Tells whether the URL is `https`. It is, unless the policy allowed plain http.
    pub fn is_https(&self) -> bool {
        self.0.https
    }

    /// The port that is dialled.
    pub fn port(&self) -> u16 {
        self.0.port
    }

    /// The host, as `Host` says it, with the port where it is not the scheme's own.
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

/// The text is no URL that deliveries may go to.
#[derive(Debug, Clone)]
pub struct EndpointUrlError {
    kind: EndpointUrlErrorKind,
    inside: Option<Inside>,
    source: Option<url::ParseError>,
}

/// What is wrong with a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndpointUrlErrorKind {
    /// The host is an address that the policy does not allow, or a name of this machine:
    /// [`DestinationPolicy::allow_network`] opens it.
    Address,
    /// It holds a `\`, white space, a control character, or another one that no request line can hold.
    Character,
    /// It has a fragment, which is never sent.
    Fragment,
    /// It is no absolute URL.
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

    /// Tells what is wrong.
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
            EndpointUrlErrorKind::Character => "the URL holds a character that it must not, such as `\\` or a space",
            EndpointUrlErrorKind::Fragment => "the URL has a fragment; leave out `#` and what is behind it",
            EndpointUrlErrorKind::Malformed => "this is no absolute URL, such as `https://example.com/hook`",
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

/// Tells whether the parser's host is a name that can be looked up (RFC 1035, section 2.3.4), with the `_` that some use. The
/// URL standard lets other characters through, at which other readers stop.
fn is_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    name.len() <= 253 && name.split('.').all(is_label)
}
