use std::fmt;

use crate::error::{ConfigError, ConfigErrorKind};

/// A part of the name of a table or a key, parsed once so that it can stand in SQL and Lua as it is: it begins with a
/// lower-case letter or an underscore, goes on with those and digits, and has at most [`Name::MAX`] bytes.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Name(Box<str>);

impl Name {
    /// PostgreSQL cuts identifiers after 63 bytes without a word. This leaves room for what stores append.
    pub(crate) const MAX: usize = 40;

    pub(crate) fn parse(name: &str) -> Result<Self, ConfigError> {
        let letter = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
        let fits = name.len() <= Self::MAX
            && name.bytes().next().is_some_and(letter)
            && name.bytes().all(|byte| letter(byte) || byte.is_ascii_digit());
        if fits {
            Ok(Self(name.into()))
        } else {
            Err(ConfigError::new(
                ConfigErrorKind::Option,
                format!("`{name:?}` is no name for a store; use up to 40 of a-z, 0-9 and _, not a digit first"),
            ))
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::Name;

    #[test]
    fn what_could_end_an_identifier_is_refused() {
        for name in ["", "1a", "a-b", "a b", "A", "a\"", "a;drop", "a.b", "ä", "a\0", &"a".repeat(41)] {
            assert!(Name::parse(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_plain_prefix_is_kept() {
        assert_eq!(Name::parse("_webhook2_").unwrap().as_str(), "_webhook2_");
    }
}
