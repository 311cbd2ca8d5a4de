use std::{borrow::Cow, time::Duration};

use http::Uri;

use crate::{
    error::{ConfigError, ConfigErrorKind},
    head::Head,
    secret::Secret,
};

/// The settings that the application adds to a scheme.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    pub(crate) tolerance: Option<Duration>,
    pub(crate) public_url: Option<PublicUrl>,
    pub(crate) replaced_prefix: Option<ReplacedPrefix>,
    pub(crate) verify_token: Option<Secret>,
    /// The id that the sender has given to this endpoint.
    pub(crate) endpoint_id: Option<String>,
    /// Claims of a token that must have a certain text.
    pub(crate) claims: Vec<(String, String)>,
    /// The accounts whose messages are accepted, where the sender signs for all its customers with the same key.
    pub(crate) accounts: Accounts,
}

/// The accounts whose messages are accepted.
#[derive(Debug, Clone)]
pub(crate) enum Accounts {
    /// All of them: the application looks at the account itself.
    Any,
    These(Vec<String>),
}

impl Default for Accounts {
    fn default() -> Self {
        Self::These(Vec::new())
    }
}

impl Settings {
    /// Returns the URL that the sender called, as text: the public base, then the path and query as they were received, with
    /// the prefix put back that a proxy has replaced.
    pub(crate) fn url(&self, head: Head<'_>) -> String {
        format!("{}{}", self.base(), self.target(head))
    }

    /// Returns what every URL begins with.
    pub(crate) fn base(&self) -> &str {
        self.public_url.as_ref().map_or("", |url| &url.0)
    }

    /// Returns the text after the base.
    pub(crate) fn target<'h>(&self, head: Head<'h>) -> Cow<'h, str> {
        let target = head.uri().path_and_query().map_or("/", |target| target.as_str());
        match &self.replaced_prefix {
            Some(replaced) => replaced.put_back(target),
            None => Cow::Borrowed(target),
        }
    }
}

/// A prefix of the path that a proxy has put in the place of another one.
#[derive(Debug, Clone)]
pub(crate) struct ReplacedPrefix {
    received: String,
    public: String,
}

impl ReplacedPrefix {
    pub(crate) fn parse(received: &str, public: &str) -> Result<Self, ConfigError> {
        for prefix in [received, public] {
            let is_path = prefix.is_empty() || prefix.starts_with('/') && prefix.parse::<Uri>().is_ok();
            if !is_path || prefix.contains(['?', '#']) {
                let message = format!("`{prefix}` is not a prefix of a path; one begins with `/` and has no query");
                return Err(ConfigError::new(ConfigErrorKind::Option, message));
            }
        }
        let plain = |prefix: &str| prefix.trim_end_matches('/').to_owned();
        let (received, public) = (plain(received), plain(public));
        if received == public {
            let message = format!("the replaced prefix is the same on both sides, `{received}`");
            return Err(ConfigError::new(ConfigErrorKind::Option, message));
        }
        Ok(Self { received, public })
    }

    /// A path without the received prefix has not come through this proxy, and is not changed.
    fn put_back<'h>(&self, target: &'h str) -> Cow<'h, str> {
        match target.strip_prefix(&*self.received) {
            Some(rest) if rest.is_empty() || rest.starts_with(['/', '?']) => {
                Cow::Owned(format!("{}{rest}", self.public))
            }
            _ => Cow::Borrowed(target),
        }
    }
}

/// The public base of this server's URLs, such as `https://example.com`, without a slash at the end.
#[derive(Debug, Clone)]
pub(crate) struct PublicUrl(String);

impl PublicUrl {
    /// The same with the default port of its scheme, if it has no port.
    pub(crate) fn with_port(&self) -> Option<String> {
        let (scheme, rest) = self.0.split_once("://")?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let port = if scheme == "http" { 80 } else { 443 };
        // An address of version 6 has colons of its own.
        let names_port =
            authority.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
        (!names_port).then(|| format!("{scheme}://{authority}:{port}{path}"))
    }

    pub(crate) fn parse(text: &str) -> Result<Self, ConfigError> {
        let error = |what: &str| {
            ConfigError::new(ConfigErrorKind::Option, format!("`{text}` is not a public base URL: {what}"))
        };
        let uri: Uri = text.parse().map_err(|_| error("it is not a URL"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.authority().is_none() {
            return Err(error("it needs a scheme and a host, as in `https://example.com`"));
        }
        if uri.query().is_some() || text.contains('#') {
            return Err(error("a query or fragment has no place in it"));
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }
}
