use std::{borrow::Cow, time::Duration};

use http::Uri;

use crate::{
    error::{ConfigError, ConfigErrorKind},
    head::Head,
    secret::Secret,
};

/// What the application adds to a scheme.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    pub(crate) tolerance: Option<Duration>,
    pub(crate) public_url: Option<PublicUrl>,
    pub(crate) verify_token: Option<Secret>,
}

impl Settings {
    /// Returns the URL that the sender called, as text: the public base with the path and query as they were received.
    pub(crate) fn url(&self, head: Head<'_>) -> String {
        let base = self.public_url.as_ref().map_or(Cow::Borrowed(""), |url| Cow::Borrowed(url.0.as_str()));
        let path = head.uri().path_and_query().map_or("/", |path| path.as_str());
        format!("{base}{path}")
    }
}

/// The public base of this server's URLs, such as `https://example.com`, without a slash at the end.
#[derive(Debug, Clone)]
pub(crate) struct PublicUrl(String);

impl PublicUrl {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn parse(text: &str) -> Result<Self, ConfigError> {
        let error =
            |what: &str| ConfigError::new(ConfigErrorKind::Option, format!("`{text}` is no public base URL: {what}"));
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
