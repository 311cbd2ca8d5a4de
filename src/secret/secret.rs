use std::{fmt, path::Path, sync::Arc};

use zeroize::Zeroizing;

use crate::error::{ConfigError, ConfigErrorKind};

/// One signing key. Cheap to clone; wiped from memory when the last clone is dropped.
///
/// ```compile_fail
/// let secret = tower_webhooks::Secret::new("an endpoint's signing key").unwrap();
/// println!("{secret}"); // a secret has no `Display`
/// ```
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<Vec<u8>>>);

impl Secret {
    /// Creates a secret from text, as the provider's page shows it.
    ///
    /// # Errors
    /// When the text is empty, blank, or begins or ends with white space, but for the line ending of PEM.
    ///
    /// # Examples
    /// ```
    /// use tower_webhooks::Secret;
    ///
    /// assert!(Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").is_ok());
    /// assert!(Secret::new("   ").is_err());
    /// ```
    pub fn new(text: impl Into<String>) -> Result<Self, ConfigError> {
        let text = Zeroizing::new(text.into());
        if text.is_empty() {
            return Err(error("the secret is empty"));
        }
        if text.trim().is_empty() {
            return Err(error("the secret is blank"));
        }
        // PEM ends with a line ending, which does not mean that anything is wrong (RFC 7468, section 3).
        let line = text.strip_suffix('\n').filter(|_| text.starts_with("-----BEGIN ")).unwrap_or(&text);
        if text.trim() != line {
            return Err(error(
                "the secret begins or ends with white space; it may have been pasted with a line ending",
            ));
        }
        Ok(Self(Arc::new(Zeroizing::new(text.as_bytes().to_vec()))))
    }

    /// Creates a secret from raw bytes, for a key that is not text.
    ///
    /// # Errors
    /// When there are no bytes, or nothing but ASCII white space.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Result<Self, ConfigError> {
        let bytes = Zeroizing::new(bytes.into());
        if bytes.is_empty() {
            return Err(error("the secret is empty"));
        }
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Err(error("the secret is blank"));
        }
        Ok(Self(Arc::new(bytes)))
    }

    /// Reads a secret from an environment variable.
    ///
    /// # Errors
    /// When the variable is not set or not Unicode, and as [`new`](Self::new). The error names the variable.
    pub fn from_env(name: &str) -> Result<Self, ConfigError> {
        let text = std::env::var(name).map_err(|cause| {
            // `VarError::NotUnicode` would show the value.
            let state = match cause {
                std::env::VarError::NotPresent => "is not set",
                std::env::VarError::NotUnicode(_) => "is not Unicode",
            };
            ConfigError::new(ConfigErrorKind::Secret, format!("the environment variable `{name}` {state}"))
        })?;
        Self::new(text).map_err(|cause| {
            let message = format!("the environment variable `{name}` contains no usable secret");
            ConfigError::new(ConfigErrorKind::Secret, message).with_source(cause)
        })
    }

    /// Reads a secret from a text file, such as a mounted one. One line ending at the end (`\n` or `\r\n`) is dropped,
    /// since editors and `echo` add it.
    ///
    /// # Errors
    /// When the file cannot be read or is not UTF-8, and as [`new`](Self::new). The error names the file.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        let failed = |cause: crate::boxed::BoxError| {
            let message = format!("the file `{}` contains no usable secret", path.display());
            ConfigError::new(ConfigErrorKind::Secret, message).with_source(cause)
        };
        let bytes = Zeroizing::new(std::fs::read(path).map_err(|cause| failed(cause.into()))?);
        let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let line = if line.len() < bytes.len() { line.strip_suffix(b"\r").unwrap_or(line) } else { line };
        let text = std::str::from_utf8(line).map_err(|_| failed("it is not UTF-8".into()))?;
        Self::new(text).map_err(|cause| failed(cause.into()))
    }

    /// The one method that shows the bytes.
    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret([redacted])")
    }
}

fn error(message: &'static str) -> ConfigError {
    ConfigError::new(ConfigErrorKind::Secret, message)
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn text_that_cannot_be_meant_is_refused() {
        for text in ["", " ", "\t\n", "key\n", " key", "key\u{a0}"] {
            assert!(Secret::new(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_file_loses_one_line_ending_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");

        for (content, expected) in [("key", Some("key")), ("key\n", Some("key")), ("key\r\n", Some("key"))] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(Secret::from_file(&path).ok().as_ref().map(Secret::expose), expected.map(str::as_bytes));
        }
        for content in ["", "\n", "key\n\n", "key \n", "key\r"] {
            std::fs::write(&path, content).unwrap();
            assert!(Secret::from_file(&path).is_err(), "{content:?}");
        }
    }

    #[test]
    fn an_error_names_the_variable_and_not_its_value() {
        let error = Secret::from_env("TOWER_WEBHOOKS_TEST_NO_SUCH_VARIABLE").unwrap_err();

        assert_eq!(error.to_string(), "the environment variable `TOWER_WEBHOOKS_TEST_NO_SUCH_VARIABLE` is not set");
    }
}
