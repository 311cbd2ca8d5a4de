//! The configurable names of a store, which are parsed once.

use std::{fmt, str::FromStr, sync::Arc};

use crate::error::{ConfigError, ConfigErrorKind};

/// The prefix of the names of a store's tables or keys: a lower-case letter, then lower-case letters, digits and `_`,
/// at most 32 in all.
///
/// It is put into SQL unchanged, so it cannot contain anything that would need quoting. The default is `webhook_`.
///
/// ```
/// use tower_webhooks::store::Prefix;
///
/// assert_eq!("acme_".parse::<Prefix>()?.as_str(), "acme_");
/// assert!("acme; DROP TABLE orders".parse::<Prefix>().is_err());
/// # Ok::<(), tower_webhooks::error::ConfigError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Prefix(Arc<str>);

impl Prefix {
    /// Returns the prefix.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Prefix {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, ConfigError> {
        let refuse = |why: &str| {
            Err(ConfigError::new(ConfigErrorKind::Name, format!("the prefix `{}` {why}", name.escape_debug())))
        };

        if name.len() > MAX_LENGTH {
            return refuse("is longer than 32 bytes");
        }
        if !name.starts_with(|first: char| first.is_ascii_lowercase()) {
            return refuse("does not begin with a lower-case letter");
        }
        if !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_') {
            return refuse("contains a character other than `a` to `z`, `0` to `9` and `_`");
        }
        if RESERVED.iter().any(|reserved| name.starts_with(reserved)) {
            return refuse("is reserved by the database");
        }
        Ok(Self(name.into()))
    }
}

impl Default for Prefix {
    fn default() -> Self {
        Self("webhook_".into())
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Prefix({})", self.0)
    }
}

/// Parses the name of an application.
pub(super) fn application_name(name: &str) -> Result<Arc<str>, ConfigError> {
    let is_plain = !name.is_empty() && name.trim() == name && !name.contains(char::is_control);
    if is_plain && name.len() <= MAX_APPLICATION {
        return Ok(name.into());
    }
    let shown = name.escape_debug();
    let message = format!(
        "the application name `{shown}` is empty, longer than {MAX_APPLICATION} bytes, begins or ends with white space, or holds \
         a control character"
    );
    Err(ConfigError::new(ConfigErrorKind::Name, message))
}

/// Names of services and packages are shorter.
const MAX_APPLICATION: usize = 128;

/// PostgreSQL cuts names at 63 bytes; this leaves room for ours.
const MAX_LENGTH: usize = 32;

const RESERVED: [&str; 2] = ["pg_", "sqlite_"];

/// The method of a store's options that sets the name of the application.
#[cfg(any(feature = "postgres", feature = "redis", feature = "sqlite"))]
macro_rules! named_application {
    ($shared:literal) => {
        #[doc = concat!("Names the application that claims here, where several share one ", $shared, ".")]
        ///
        /// The name is part of every key, so that two applications with a route of the same name each handle their own
        /// deliveries. Instances of one application have one name. With a new name every delivery is new: a delivery
        /// that the sender repeats runs again. Set the name with the first deployment, or when no repetition is
        /// expected.
        ///
        /// # Errors
        /// When the name is empty, longer than 128 bytes, or holds control characters.
        pub fn application_name(mut self, name: &str) -> Result<Self, ConfigError> {
            self.application = Some($crate::store::name::application_name(name)?);
            Ok(self)
        }
    };
}
#[cfg(any(feature = "postgres", feature = "redis", feature = "sqlite"))]
pub(super) use named_application;

#[cfg(test)]
mod tests {
    use super::{Prefix, application_name};
    use crate::error::ConfigErrorKind;

    #[test]
    fn only_what_needs_no_quotes_is_a_prefix() {
        for good in ["a", "webhook_", "acme2_", &"a".repeat(32)] {
            assert!(good.parse::<Prefix>().is_ok(), "{good}");
        }
        for bad in ["", "_a", "2a", "Acme", "a-b", "a b", "a\"", "a;", "ä", "sqlite_a", "pg_a", "a.b", &"a".repeat(33)]
        {
            assert_eq!(bad.parse::<Prefix>().unwrap_err().kind(), ConfigErrorKind::Name, "{bad}");
        }
    }
    #[test]
    fn an_application_has_a_plain_name() {
        for good in ["billing", "Billing API", "bücher", "a", &"a".repeat(128)] {
            assert_eq!(&*application_name(good).unwrap(), good);
        }
        for bad in ["", " ", " a", "a\n", "a\0b", &"a".repeat(129)] {
            assert_eq!(application_name(bad).unwrap_err().kind(), ConfigErrorKind::Name, "{bad:?}");
        }
    }
}
