use std::{borrow::Cow, fmt, net::SocketAddr, str::FromStr};

use bytes::Bytes;
use data_encoding::BASE64;
use http::{HeaderValue, Method, Request, Uri, header};
use http_body_util::Full;
use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

use crate::{
    error::{ConfigError, ConfigErrorKind},
    net::destination::{EndpointUrl, EndpointUrlErrorKind},
};

/// The operator's HTTP proxy, through which every delivery leaves: `http://user:password@proxy.example:3128`, or `https://…`
/// if the network between here and the proxy is not trusted.
///
/// The client asks it for tunnels (`CONNECT`, RFC 9110, section 9.3.6) to addresses that it has looked up and checked, and
/// never for a name. A proxy that accepts only names cannot be used.
///
/// User and password are sent as `Proxy-Authorization: Basic` (RFC 7617), to the proxy alone. Escape characters that a URL
/// cannot contain there (`@`, `/`, `%`, …), as in `%40`. They never appear in `Debug`, errors or logs. With `http://` anybody
/// between here and the proxy can read them.
///
/// ```
/// use tower_webhooks::send::EgressProxy;
///
/// let proxy: EgressProxy = "http://webhooks:p%40ss@proxy.internal:3128".parse()?;
/// assert_eq!(format!("{proxy:?}"), "EgressProxy(http://proxy.internal:3128, with credentials)");
///
/// assert!("socks5://proxy.internal:1080".parse::<EgressProxy>().is_err());
/// # Ok::<(), tower_webhooks::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct EgressProxy {
    /// Without the credentials.
    url: EndpointUrl,
    authorization: Option<HeaderValue>,
}

impl EgressProxy {
    pub(crate) fn url(&self) -> &EndpointUrl {
        &self.url
    }

    /// Returns the request for a tunnel to an address. It contains nothing else of the delivery.
    pub(crate) fn connect(&self, address: SocketAddr) -> Request<Full<Bytes>> {
        let authority = address.to_string();
        let host = HeaderValue::from_str(&authority).expect("an address is visible ASCII");
        let mut request = Request::new(Full::default());
        *request.method_mut() = Method::CONNECT;
        *request.uri_mut() = Uri::try_from(authority).expect("an address and a port are an authority");
        request.headers_mut().insert(header::HOST, host);
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert(header::PROXY_AUTHORIZATION, authorization.clone());
        }
        request
    }
}

impl FromStr for EgressProxy {
    type Err = ConfigError;

    /// Parses a proxy's URL. Without a port, it is the scheme's own: 80 or 443.
    ///
    /// # Errors
    /// When the text is not an `http://` or `https://` URL, has a path or a query, or has credentials that cannot be sent. The
    /// error does not show the text.
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let malformed = || error("the egress proxy is not a URL such as `http://user:password@proxy.example:3128`");
        // As in an endpoint's URL, whose readers would differ on where the host begins.
        if text.chars().any(|c| c == '\\' || c.is_control() || c.is_whitespace()) {
            return Err(error(
                "the URL of the egress proxy contains a `\\`, white space or a control character; escape it",
            ));
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(malformed)?;
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#']) {
            return Err(error(
                "the URL of the egress proxy does not end after its port; in a password, escape `/`, `?` and `#`",
            ));
        }
        // Cut off before anybody else reads it, so that no error of a parser can show it. The last `@` counts, as in the URL
        // standard.
        let (credentials, host) = match authority.rsplit_once('@') {
            Some((credentials, host)) => (Some(credentials), host),
            None => (None, authority),
        };
        let url = EndpointUrl::parse(&format!("{scheme}://{host}/")).map_err(|cause| match cause.kind() {
            EndpointUrlErrorKind::Scheme => error("an egress proxy begins with `http://` or `https://`"),
            _ => malformed(),
        })?;
        if url.port() == 0 {
            return Err(malformed());
        }
        Ok(Self { url, authorization: credentials.map(basic).transpose()? })
    }
}

impl fmt::Debug for EgressProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.url.is_https() { "https" } else { "http" };
        let credentials = if self.authorization.is_some() { ", with credentials" } else { "" };
        write!(f, "EgressProxy({scheme}://{}{credentials})", self.url.authority())
    }
}

/// The value of `Proxy-Authorization` for `user:password`, as it stands in a URL (RFC 7617, section 2).
fn basic(credentials: &str) -> Result<HeaderValue, ConfigError> {
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    let [user, password] =
        [user, password].map(|text| Zeroizing::new(Cow::from(percent_decode_str(text)).into_owned()));
    if user.is_empty() && password.is_empty() {
        return Err(error("the URL of the egress proxy has an `@` with neither user nor password before it"));
    }
    if user.contains(&b':') {
        return Err(error("the user of the egress proxy contains a `:`, after which the password would begin"));
    }
    if user.iter().chain(password.iter()).any(u8::is_ascii_control) {
        return Err(error("the user or the password of the egress proxy contains a control character"));
    }
    let pair = Zeroizing::new([&user[..], b":", &password[..]].concat());
    let text = Zeroizing::new(format!("Basic {}", BASE64.encode(&pair)));
    let mut value = HeaderValue::from_str(&text).expect("base64 is visible ASCII");
    value.set_sensitive(true);
    Ok(value)
}

fn error(message: &'static str) -> ConfigError {
    ConfigError::new(ConfigErrorKind::Client, message)
}

#[cfg(test)]
mod tests {
    use super::EgressProxy;

    #[test]
    fn credentials_are_what_the_url_says() {
        for (text, sent) in [
            ("http://proxy.example:3128", None),
            ("http://user:password@proxy.example:3128/", Some("Basic dXNlcjpwYXNzd29yZA==")),
            // RFC 7617, section 2.
            ("https://Aladdin:open%20sesame@proxy.example", Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")),
            // RFC 7617, section 2.1.
            ("http://test:123%C2%A3@proxy.example", Some("Basic dGVzdDoxMjPCow==")),
            ("http://a:b:c@proxy.example", Some("Basic YTpiOmM=")),
            ("http://a:b@c@proxy.example", Some("Basic YTpiQGM=")),
            ("http://a@proxy.example", Some("Basic YTo=")),
            ("http://:a@proxy.example", Some("Basic OmE=")),
        ] {
            let proxy: EgressProxy = text.parse().unwrap();
            let sent = sent.map(str::as_bytes);
            assert_eq!(proxy.authorization.as_ref().map(|value| value.as_bytes()), sent, "{text}");
            assert_eq!(proxy.connect(([192, 0, 2, 1], 443).into()).uri(), "192.0.2.1:443");
        }
    }

    #[test]
    fn what_is_not_a_proxy_is_rejected_and_not_shown() {
        for text in [
            "",
            "proxy.example:3128",
            "user:hunter2@proxy.example:3128",
            "socks5://user:hunter2@proxy.example:1080",
            "http://user:hunter2@",
            "http://user:hunter2@proxy.example:0",
            "http://user:hunter2@proxy.example:99999",
            "http://user:hunter2@proxy.example:port",
            "http://user:hunter2@proxy.example/path",
            "http://user:hunter2@proxy.example?query",
            "http://user:hunter2@proxy.example#fragment",
            "http://user:hunter2/@proxy.example",
            "http://user:hunter2@proxy example",
            "http://user:hunter2@proxy.example\\@other.example",
            "http://user:hunter2%0a@proxy.example",
            "http://us%3Aer:hunter2@proxy.example",
            "http://@proxy.example",
            "http://:@proxy.example",
        ] {
            let error = text.parse::<EgressProxy>().unwrap_err();
            let shown = format!("{error} {error:?} {:?}", std::error::Error::source(&error));
            assert!(!shown.contains("hunter2"), "{text}: {shown}");
        }
    }
}
