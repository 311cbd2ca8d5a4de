use std::time::SystemTime;

use super::template::{Algorithm, Template};
use crate::{
    delivery::{Delivery, Fact, Mode},
    error::{ConfigError, ConfigErrorKind, Hint, HintKind, VerifyError, VerifyErrorKind},
    secret::{Secret, Secrets, Unknown},
    signature::{
        Encoding, MOST_PUBLIC_KEYS, MacAlgorithm, MacState, PublicAlgorithm, PublicKey, Tag, public_key_info,
        token_tag, verify_any,
    },
};

/// Secrets in the form that a scheme checks with: decoded and keyed once.
#[derive(Clone)]
pub(crate) struct KeyRing {
    secrets: Secrets,
    states: Vec<KeyState>,
    /// The length of the shortest key, decoded.
    shortest: usize,
    decoy: Option<Unknown>,
}

/// The key that a secret was converted to.
#[derive(Clone)]
pub(crate) enum KeyState {
    Mac(MacState),
    Public(PublicKey),
    /// The secret itself: a part of the signed text, or the business of a [`CustomScheme`](super::CustomScheme).
    Raw,
    Token(Tag),
}

/// Shorter keys than this can be guessed; they work, and are warned of.
pub(crate) const SHORT: usize = 16;

impl KeyRing {
    pub(crate) fn for_template(template: &Template, secrets: Secrets) -> Result<Self, ConfigError> {
        if secrets.is_empty() && template.algorithm != Algorithm::Unsigned {
            return Err(ConfigError::new(ConfigErrorKind::Secret, "there is no secret"));
        }
        // What a sender publishes is not the application's choice: the keys that fit are used, and the others are not.
        let takes_some = secrets.is_published() && matches!(template.algorithm, Algorithm::Public(_));
        if secrets.len() > MOST_PUBLIC_KEYS && !takes_some && matches!(template.algorithm, Algorithm::Public(_)) {
            let message = "there are more than 4 public keys, each of which would be tried with each signature";
            return Err(ConfigError::new(ConfigErrorKind::Secret, message));
        }
        if has_test(&secrets) && !template.layout.says(Fact::Mode) {
            return Err(ConfigError::new(ConfigErrorKind::Secret, NO_MODE));
        }
        let mut shortest = usize::MAX;
        let mut states = Vec::with_capacity(secrets.len());
        let (mut fit, mut unfit) = (0, None);
        for entry in secrets.entries() {
            let read = || {
                let key = template.key.decode(entry.secret.expose())?;
                Ok((key.len(), KeyState::new(template.algorithm, &key)?))
            };
            match read() {
                // `Raw` is never used with public keys.
                Ok(_) if takes_some && fit == MOST_PUBLIC_KEYS => states.push(KeyState::Raw),
                Ok((length, state)) => {
                    shortest = shortest.min(length);
                    fit += 1;
                    states.push(state);
                }
                Err(cause) if takes_some => {
                    unfit = Some(cause);
                    states.push(KeyState::Raw);
                }
                Err(cause) => return Err(cause),
            }
        }
        if let Some(cause) = unfit.filter(|_| fit == 0) {
            return Err(cause);
        }
        Ok(Self { secrets, states, shortest, decoy: None })
    }

    /// No keys at all, where nothing is verified.
    pub(crate) fn empty() -> Self {
        Self { secrets: Secrets::none(), states: Vec::new(), shortest: usize::MAX, decoy: None }
    }

    /// A decoy key for a tenant that does not exist, with which nobody signs: checking with it takes as long as with
    /// any other. The request is rejected whatever the result is, since this key is not a secret.
    pub(crate) fn decoy(template: Option<&Template>, unknown: Unknown) -> Self {
        // Also a public key that Ed25519 takes: the base point (RFC 8032, section 5.1).
        let mut key = [0x66; 32];
        key[0] = 0x58;
        let secrets = Secret::from_bytes(key).map(Secrets::new).unwrap_or_default();
        let state = template.map_or(Ok(KeyState::Raw), |template| match template.algorithm {
            Algorithm::Public(algorithm) => {
                let other = match algorithm {
                    PublicAlgorithm::EcdsaP256 | PublicAlgorithm::EcdsaP256Fixed => {
                        public_key_info(DECOY_P256.as_bytes())
                    }
                    PublicAlgorithm::EcdsaP521 | PublicAlgorithm::EcdsaP521Fixed => {
                        public_key_info(DECOY_P521.as_bytes())
                    }
                    PublicAlgorithm::Ed25519 => None,
                    PublicAlgorithm::RsaPssSha512
                    | PublicAlgorithm::RsaSha1
                    | PublicAlgorithm::RsaSha256
                    | PublicAlgorithm::RsaSha256OrSha1
                    | PublicAlgorithm::RsaSha512 => public_key_info(DECOY_RSA.as_bytes()),
                };
                KeyState::new(template.algorithm, &other.unwrap_or_else(|| key.to_vec()))
            }
            algorithm => KeyState::new(algorithm, &key),
        });
        Self { secrets, states: state.into_iter().collect(), shortest: usize::MAX, decoy: Some(unknown) }
    }

    pub(crate) fn raw(secrets: Secrets) -> Result<Self, ConfigError> {
        if secrets.is_empty() {
            return Err(ConfigError::new(ConfigErrorKind::Secret, "there is no secret"));
        }
        if has_test(&secrets) {
            return Err(ConfigError::new(ConfigErrorKind::Secret, NO_MODE));
        }
        let states = secrets.entries().iter().map(|_| KeyState::Raw).collect();
        let shortest = secrets.entries().iter().map(|entry| entry.secret.expose().len()).min().unwrap_or(usize::MAX);
        Ok(Self { secrets, states, shortest, decoy: None })
    }

    /// The secrets that are right at `now`, each with its place in the list.
    pub(crate) fn usable(&self, now: SystemTime) -> impl Iterator<Item = (usize, &Secret, &KeyState)> {
        self.secrets
            .entries()
            .iter()
            .zip(&self.states)
            .enumerate()
            .filter(move |(_, (entry, _))| entry.until.is_none_or(|until| now < until))
            .map(|(index, (entry, state))| (index, &entry.secret, state))
    }

    /// The error that a request ends with, whatever its check came to, where these are the keys of a tenant or a key that
    /// does not exist.
    pub(crate) fn end(&self) -> Option<VerifyError> {
        self.decoy.map(Unknown::error)
    }

    /// Checks that not every secret has ended.
    pub(crate) fn check_valid(&self, now: SystemTime) -> Result<(), VerifyError> {
        if self.secrets.is_empty() || self.secrets.any_valid(now) {
            return Ok(());
        }
        let hint = Hint::new(HintKind::ExpiredSecret, "every secret of this request has ended; add the current one");
        Err(VerifyError::new(VerifyErrorKind::SecretUnavailable).with_hint(Some(hint)))
    }

    /// Checks that a test secret has not signed anything but test data. What does not say may be live.
    pub(crate) fn check_mode(&self, delivery: &Delivery) -> Result<(), VerifyError> {
        let entry = delivery.secret_index().and_then(|index| self.secrets.entries().get(index));
        if entry.is_none_or(|entry| !entry.is_test) {
            return Ok(());
        }
        let is_test = |delivery: &Delivery| delivery.mode() == Some(Mode::Test);
        if delivery.items().map_or_else(|| is_test(delivery), |items| items.iter().all(is_test)) {
            return Ok(());
        }
        let hint = "a secret that was added with `and_test` signed it: live deliveries are signed with the test secret, or \
                    somebody who holds it forges them";
        Err(VerifyError::new(VerifyErrorKind::TestSecret).with_hint(Some(Hint::new(HintKind::TestSecret, hint))))
    }

    /// The secret that ended last before `now`, alone and as if it had not, with its end.
    pub(crate) fn last_expired(&self, now: SystemTime) -> Option<(Self, SystemTime)> {
        let ended = self.secrets.entries().iter().zip(&self.states).filter_map(|(entry, state)| {
            let until = entry.until.filter(|until| *until <= now)?;
            Some((until, &entry.secret, state))
        });
        let (until, secret, state) = ended.max_by_key(|(until, ..)| *until)?;
        let secrets = Secrets::new(secret.clone());
        let states = vec![state.clone()];
        Some((Self { secrets, states, shortest: self.shortest, decoy: None }, until))
    }

    pub(crate) fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Whether a key is shorter than the advised length. What counts is the key, not the text that it is written in.
    pub(crate) fn has_short(&self) -> bool {
        self.shortest < SHORT
    }
}

/// Public keys whose private ones were never kept.
const DECOY_P256: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEnGooWsU0kNpR+eKQ40DOhal4IGJm6lqKYEgMwcyu0knehhgkdyNX/jrMqDFgArd8K8cYW3DHKlQED3+cLpxz8g==";
const DECOY_P521: &str = "MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQBTbaMBg+nPQWI+mL1004h2FID4BhswKOEd7I4gq9svTi0ZcAoSOPuiWupi/Gx05hWdl2i5rQuT+J5mPmKssLYLAABr7z5SUrfrIy/eVhRxkQ4e92CgIbF7SZ9MPhGi13iaFaX7XyKrwEPSoO8EpaiYoWxFkAzkntpnBu+7Hrnzs/vsw4=";
const DECOY_RSA: &str = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAxPMNjsp09oMk1JzTFlonvkiCT3+XkFxDmhnIsqCrgQfNv/Yee/Ry636bTGbIeMuYFHsJNIaquZJue4QACtUoK2SdkZ52SrXpyCAhCXsSXnp7zWFzHYuCpL40Z33fP4Z0NsX+GiaTIL6xQWN2/CyVcbx+U/XP+NOrEWL+l61afJA2UFK9vTD0MnwUWDUqxslyNuelm8Oo/PO3y7enEB47wsPPO2WSicYEOo04W4EnToGeZz7Yr+cCMfgyu4aE0Q1shTfvVtepqWlneYOg4Hqo15mQMLfgJa+3a4AZjz7gl9gWandf+KPqqPTLCFN5h6fRHH6jNEtEXDM03uwl+vsEEQIDAQAB";

const NO_MODE: &str = "there is a test secret, and the scheme does not say which deliveries are about test data; \
                       declare `.live(…)`, or use `and`";

fn has_test(secrets: &Secrets) -> bool {
    secrets.entries().iter().any(|entry| entry.is_test)
}

impl Unknown {
    /// The error of a request with this rejection.
    pub(crate) fn error(self) -> VerifyError {
        VerifyError::new(match self {
            Self::Key => VerifyErrorKind::UnknownKey,
            Self::Tenant => VerifyErrorKind::UnknownTenant,
        })
    }
}

impl KeyState {
    fn new(algorithm: Algorithm, key: &[u8]) -> Result<Self, ConfigError> {
        Ok(match algorithm {
            Algorithm::Public(algorithm) => Self::Public(PublicKey::new(algorithm, key)?),
            Algorithm::Hash(_) | Algorithm::Unsigned => Self::Raw,
            Algorithm::Mac(mac) => Self::Mac(MacState::new(mac, key)),
            Algorithm::Token => Self::Token(token_tag(key)),
        })
    }
}

/// The secrets of one request, which a [`CustomScheme`](super::CustomScheme) uses for its check without seeing them.
///
/// ```
/// use tower_webhooks::{error::VerifyError, scheme::Keys};
///
/// /// Signs the id, a dot and the body.
/// fn verify(id: &str, body: &[u8], claimed: &[u8], keys: Keys<'_>) -> Result<usize, VerifyError> {
///     keys.hmac_sha256_base64(&[id.as_bytes(), b".", body], claimed)
/// }
/// # let _ = verify;
/// ```
#[derive(Clone, Copy)]
pub struct Keys<'a> {
    pub(crate) ring: &'a KeyRing,
    pub(crate) now: SystemTime,
}

impl Keys<'_> {
    /// Checks an HMAC-SHA-256 in hex over `message`, and returns the index of the secret that matches.
    ///
    /// # Errors
    /// If `claimed` does not have this form, or no secret matches.
    pub fn hmac_sha256_hex(&self, message: &[&[u8]], claimed: &[u8]) -> Result<usize, VerifyError> {
        self.hmac(message, Encoding::Hex.decode_tag(claimed, MacAlgorithm::Sha256.length()))
    }

    /// Checks an HMAC-SHA-256 in base64 over `message`, and returns the index of the secret that matches.
    ///
    /// # Errors
    /// If `claimed` does not have this form, or no secret matches.
    pub fn hmac_sha256_base64(&self, message: &[&[u8]], claimed: &[u8]) -> Result<usize, VerifyError> {
        self.hmac(message, Encoding::Base64.decode_tag(claimed, MacAlgorithm::Sha256.length()))
    }

    /// Calls `matches` with the bytes of each secret, in order, and returns the index of the first one for which it
    /// returns `true`.
    ///
    /// # Errors
    /// If it returns `true` for none of them.
    pub fn find(&self, matches: impl Fn(&[u8]) -> bool) -> Result<usize, VerifyError> {
        self.ring
            .usable(self.now)
            .find(|(_, secret, _)| matches(secret.expose()))
            .map(|(index, ..)| index)
            .ok_or_else(|| VerifyError::new(VerifyErrorKind::SignatureMismatch))
    }

    fn hmac(&self, message: &[&[u8]], claimed: Option<Tag>) -> Result<usize, VerifyError> {
        let claimed = claimed.ok_or_else(|| VerifyError::new(VerifyErrorKind::MalformedSignature))?;
        self.find(|secret| {
            let mut mac = MacState::new(MacAlgorithm::Sha256, secret);
            message.iter().for_each(|piece| mac.update(piece));
            verify_any(std::slice::from_ref(&claimed), &mac.finish())
        })
    }
}

impl std::fmt::Debug for Keys<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys([redacted])")
    }
}
