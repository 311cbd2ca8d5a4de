use zeroize::Zeroizing;

use crate::{
    error::{ConfigError, ConfigErrorKind},
    signature::{Encoding, HashAlgorithm, PlainHash, public_key_info},
};

/// How a secret's text becomes a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyForm {
    Base64,
    Hex,
    /// A SubjectPublicKeyInfo in PEM, or in base64.
    PublicKeyInfo,
    /// The key is the SHA-1 digest of the text.
    Sha1,
    StandardWebhooks,
    StandardWebhooksOrText,
    StandardWebhooksPublic,
    Utf8,
}

/// How a secret's text is read: without the prefix that the sender strips, by its form.
#[derive(Debug, Clone)]
pub(crate) struct KeyText {
    pub(crate) form: KeyForm,
    pub(crate) prefix: Option<String>,
    /// Whether a secret may begin with the id of its key and a colon.
    pub(crate) with_id: bool,
    /// Texts that the sender takes out of a secret, wherever they stand, before it reads the rest.
    pub(crate) without: Vec<String>,
}

impl KeyText {
    /// Decodes a secret into a key, which is never empty.
    pub(crate) fn decode(&self, secret: &[u8]) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
        let secret = self.strip(self.split(secret).1);
        if self.without.is_empty() {
            return self.form.decode(secret);
        }
        self.form.decode(&self.take_out(secret))
    }

    /// The id of the key, if the secret begins with one.
    pub(crate) fn id<'s>(&self, secret: &'s [u8]) -> Option<&'s [u8]> {
        self.split(secret).0
    }

    fn split<'s>(&self, secret: &'s [u8]) -> (Option<&'s [u8]>, &'s [u8]) {
        match secret.iter().position(|byte| *byte == b':').filter(|_| self.with_id) {
            Some(at) => (Some(&secret[..at]), &secret[at + 1..]),
            None => (None, secret),
        }
    }

    fn take_out(&self, secret: &[u8]) -> Zeroizing<Vec<u8>> {
        let mut rest = Zeroizing::new(secret.to_vec());
        for text in self.without.iter().filter(|text| !text.is_empty()) {
            let mut kept = Zeroizing::new(Vec::with_capacity(rest.len()));
            let mut from = &rest[..];
            while let Some(first) = from.first() {
                match from.strip_prefix(text.as_bytes()) {
                    Some(behind) => from = behind,
                    None => {
                        kept.push(*first);
                        from = &from[1..];
                    }
                }
            }
            rest = kept;
        }
        rest
    }

    /// The text after the prefix, which may be missing.
    pub(crate) fn strip<'s>(&self, secret: &'s [u8]) -> &'s [u8] {
        let prefix = self.prefix.as_deref().unwrap_or_default();
        secret.strip_prefix(prefix.as_bytes()).unwrap_or(secret)
    }
}

/// What stands behind a prefix such as `acme_live_`, if a secret has one. Random text of base64url may look like it, so that nothing is
/// read in this way: it is for hints.
pub(crate) fn behind_prefix(secret: &[u8]) -> Option<&[u8]> {
    let end = secret.iter().rposition(|byte| *byte == b'_')? + 1;
    let (prefix, rest) = secret.split_at(end);
    let is_prefix = prefix.len() <= 20 && prefix.iter().all(|byte| byte.is_ascii_lowercase() || *byte == b'_');
    (is_prefix && prefix.len() > 1 && rest.len() >= 16).then_some(rest)
}

impl KeyForm {
    /// Decodes a secret into a key, which is never empty.
    pub(crate) fn decode(self, secret: &[u8]) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
        let (key, form) = match self {
            Self::Base64 => (Encoding::Base64.decode(secret), "base64"),
            Self::Hex => (Encoding::Hex.decode(secret), "hexadecimal digits"),
            // Empty text stays empty, which is refused below.
            Self::Sha1 if secret.is_empty() => (Some(Vec::new()), "text"),
            Self::Sha1 => {
                let mut hash = PlainHash::new(HashAlgorithm::Sha1);
                hash.update(secret);
                (Some(hash.finish().as_bytes().to_vec()), "text")
            }
            Self::PublicKeyInfo => (public_key_info(secret), "a public key in PEM, or the base64 of one"),
            Self::StandardWebhooks => {
                // Supabase shows it as `v1,whsec_…`; the prefix is optional in the reference libraries.
                let text = secret.strip_prefix(b"v1,").unwrap_or(secret);
                let text = text.strip_prefix(b"whsec_").unwrap_or(text);
                (Encoding::Base64.decode(text), "base64 after an optional `whsec_`")
            }
            // Without the prefix it is never taken for base64, even if it could be.
            Self::StandardWebhooksOrText => match secret.strip_prefix(b"whsec_") {
                Some(text) => (Encoding::Base64.decode(text), "base64 after `whsec_`, or text without it"),
                None => (Some(secret.to_vec()), "text"),
            },
            // The prefix is not optional here: a private key that lost it would look the same, and be taken.
            Self::StandardWebhooksPublic => {
                (secret.strip_prefix(b"whpk_").and_then(|text| Encoding::Base64.decode(text)), "base64 after `whpk_`")
            }
            Self::Utf8 => (Some(secret.to_vec()), "text"),
        };
        let key = Zeroizing::new(key.ok_or_else(|| {
            let looks = foreign_prefix(self, secret).unwrap_or_else(|| {
                if looks_like_hex(secret) {
                    "it consists of hexadecimal digits"
                } else if secret.starts_with(b"whsec_") {
                    "it begins with `whsec_`; if the key is what stands behind it, declare `.key_prefix(\"whsec_\")`"
                } else if behind_prefix(secret).is_some() {
                    "it has a prefix; if the key is what stands behind it, declare `.key_prefix(…)`"
                } else {
                    ""
                }
            });
            let separator = if looks.is_empty() { "" } else { "; " };
            error(format!("the secret is not of the scheme's form: {form}{separator}{looks}"))
        })?);
        if key.is_empty() {
            return Err(error("the secret holds no key".into()));
        }
        Ok(key)
    }
}

/// The error text for a secret with the prefix of another kind of key.
pub(crate) fn foreign_prefix(form: KeyForm, secret: &[u8]) -> Option<&'static str> {
    if form == KeyForm::PublicKeyInfo && secret.starts_with(b"-----BEGIN ") {
        let is_private = secret.windows(b"PRIVATE KEY".len()).take(32).any(|text| text == b"PRIVATE KEY");
        return is_private.then_some(
            "it is a private key, which must never leave the sender: have the sender replace it, and take the public one",
        );
    }
    let public = match form {
        KeyForm::StandardWebhooks => false,
        KeyForm::StandardWebhooksPublic => true,
        _ => return None,
    };
    Some(match secret {
        [b'w', b'h', b's', b'k', b'_', ..] => {
            "it begins with `whsk_`, so it is the sender's private key, which must never leave the sender: have the sender \
             replace it, and take the public one, `whpk_…`"
        }
        [b'w', b'h', b's', b'e', b'c', b'_', ..] if public => {
            "it begins with `whsec_`, so it is a shared secret, for signatures of version `v1`: take the scheme \
             `standard-webhooks`, or the sender's public key, `whpk_…`"
        }
        [b'w', b'h', b'p', b'k', b'_', ..] if !public => {
            "it begins with `whpk_`, so it is a public key, for signatures of version `v1a`: take the scheme \
             `standard-webhooks-v1a`"
        }
        _ => return None,
    })
}

/// Whether text is as only hexadecimal digits are, and long enough not to be so by accident.
pub(crate) fn looks_like_hex(text: &[u8]) -> bool {
    text.len() >= 32 && text.len().is_multiple_of(2) && text.iter().all(u8::is_ascii_hexdigit)
}

fn error(message: String) -> ConfigError {
    ConfigError::new(ConfigErrorKind::Secret, message)
}

#[cfg(test)]
mod tests {
    use super::{KeyForm, KeyText};

    #[test]
    fn what_a_sender_takes_out_of_a_secret_is_not_in_the_key() {
        let text = KeyText {
            form: KeyForm::Utf8,
            prefix: None,
            with_id: false,
            without: vec!["sk_".into(), "test_".into(), "-".into()],
        };

        assert_eq!(text.decode(b"sk_test_f2ce-4b-").unwrap().as_slice(), b"f2ce4b");
        assert_eq!(text.decode(b"f2ce").unwrap().as_slice(), b"f2ce");
        assert!(text.decode(b"sk_test_-").is_err());
    }

    #[test]
    fn an_empty_key_in_any_dress_is_refused() {
        for text in ["whsec_", "whsec_=", "whsec_==", "whsec_====", "=", "v1,whsec_"] {
            assert!(KeyForm::StandardWebhooks.decode(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(KeyForm::Hex.decode(b"abc").is_err());
        assert!(KeyForm::Base64.decode(b"*").is_err());
    }

    #[test]
    fn where_text_may_be_a_key_the_prefix_decides() {
        let decode = |text: &str| KeyForm::StandardWebhooksOrText.decode(text.as_bytes()).map(|key| key.to_vec());

        assert_eq!(decode("whsec_AAECAw==").unwrap(), [0, 1, 2, 3]);
        assert_eq!(decode("AAECAw==").unwrap(), b"AAECAw==");
        assert_eq!(decode("v1,whsec_AAECAw==").unwrap(), b"v1,whsec_AAECAw==");
        assert!(decode("whsec_").is_err());
        assert!(decode("whsec_not base64").is_err());
    }

    #[test]
    fn the_prefix_is_optional() {
        for text in ["whsec_AAECAw==", "AAECAw==", "v1,whsec_AAECAw=="] {
            assert_eq!(KeyForm::StandardWebhooks.decode(text.as_bytes()).unwrap().as_slice(), [0, 1, 2, 3]);
        }
        assert_eq!(KeyForm::Utf8.decode(b"whsec_AAECAw==").unwrap().as_slice(), b"whsec_AAECAw==");
    }
}
