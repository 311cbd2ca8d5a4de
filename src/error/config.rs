use std::{borrow::Cow, convert::Infallible, error::Error, fmt, sync::Arc};

use crate::boxed::BoxError;

/// The configuration of the application is wrong. It occurs at start, before a request is served. Cheap to clone.
///
/// # Examples
/// ```
/// use std::error::Error;
/// use tower_webhooks::{ConfigError, Scheme, Secret, error::ConfigErrorKind};
///
/// let error: ConfigError = Secret::new("").unwrap_err();
/// assert_eq!(error.kind(), ConfigErrorKind::Secret);
/// assert_eq!(error.to_string(), "the secret is empty");
///
/// let error: ConfigError = Scheme::hmac_sha256().header("x-signature").hex().build().unwrap_err();
/// assert_eq!(error.kind(), ConfigErrorKind::Scheme);
/// assert!(error.to_string().contains("it does not say what is signed"));
///
/// // The causes of an error stay reachable.
/// let error = Secret::from_file("/nonexistent/secret").unwrap_err();
/// assert!(error.source().is_some());
/// ```
#[derive(Clone)]
pub struct ConfigError {
    kind: ConfigErrorKind,
    message: Cow<'static, str>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// What a [`ConfigError`] is about.
///
/// ```
/// use tower_webhooks::{Secret, error::ConfigErrorKind};
///
/// assert_eq!(Secret::new("").unwrap_err().kind(), ConfigErrorKind::Secret);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConfigErrorKind {
    /// A client cannot be built: it has no trusted authorities, or its certificate cannot be used.
    Client,
    /// A store cannot use this name for its tables or keys.
    Name,
    /// There is no provider of this name.
    Provider,
    /// A scheme contradicts itself or is incomplete.
    Scheme,
    /// A secret cannot be read, or does not have the form that the scheme needs.
    Secret,
    /// An option of the layer does not fit the scheme.
    Option,
}

impl ConfigError {
    pub(crate) fn new(kind: ConfigErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    pub(crate) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    /// Returns what the error is about.
    pub fn kind(&self) -> ConfigErrorKind {
        self.kind
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// For people: a `main` that returns the error shows it in this form.
impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        let mut source = self.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

impl Error for ConfigError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

impl From<Infallible> for ConfigError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}
