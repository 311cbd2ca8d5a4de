use std::borrow::Cow;

use http::{HeaderName, HeaderValue, Method, StatusCode, header};

use super::reply::{Reply, reads_body};
use crate::{
    error::{VerifyError, VerifyErrorKind},
    field::Places,
    scheme::{answer::Answer, arrived::Arrived, key_form::KeyText, settings::Settings},
    secret::Secret,
    signature::{Encoding, MacAlgorithm, MacState, token_tag, verify_any},
};

/// A [`Handshake`](super::Handshake) with parsed names, with which a request is compared.
#[derive(Debug, Clone)]
pub(crate) struct CompiledHandshake {
    pub(super) method: Method,
    pub(super) signed: bool,
    pub(super) when: Option<(Places, Option<Cow<'static, str>>)>,
    pub(super) verify_token: Option<Cow<'static, str>>,
    pub(super) reply: Reply<Places>,
}

impl CompiledHandshake {
    pub(crate) fn is_signed(&self) -> bool {
        self.signed
    }

    pub(crate) fn comes_by(&self) -> &Method {
        &self.method
    }

    pub(crate) fn needs_verify_token(&self) -> bool {
        self.verify_token.is_some()
    }

    /// Whether the answer is made with a secret.
    pub(crate) fn needs_secret(&self) -> bool {
        matches!(self.reply, Reply::Challenge { .. } | Reply::KeyedChallenge { .. })
    }

    /// Whether anybody could have this text signed.
    pub(crate) fn signs(&self, text: &[u8]) -> bool {
        match self.reply {
            _ if self.signed => false,
            Reply::Challenge { .. } => is_challenge(text),
            Reply::KeyedChallenge { .. } => is_digits(text),
            _ => false,
        }
    }

    /// Whether the body decides.
    pub(crate) fn reads_body(&self) -> bool {
        self.when.as_ref().is_some_and(|(places, _)| reads_body(places)) || self.reply.from().is_some_and(reads_body)
    }

    /// Whether a request is this handshake.
    pub(crate) fn applies(&self, arrived: Arrived<'_>) -> bool {
        *arrived.head.method() == self.method
            && match &self.when {
                None => true,
                Some((places, value)) => match (arrived.find(places), value) {
                    (Some(found), Some(value)) => found == *value,
                    (found, None) => found.is_some(),
                    (None, Some(_)) => false,
                },
            }
    }

    /// Answers a request that [`applies`](Self::applies). `secret` is the current one, where the handshake needs one.
    pub(crate) fn answer(
        &self,
        arrived: Arrived<'_>,
        settings: &Settings,
        secret: Option<(&Secret, &KeyText)>,
    ) -> Result<Answer, VerifyError> {
        let rejected = || VerifyError::new(VerifyErrorKind::HandshakeRejected);
        if let Some(parameter) = &self.verify_token {
            let expected = settings.verify_token.as_ref().ok_or_else(rejected)?;
            let claimed = arrived.head.query(parameter).ok().flatten().ok_or_else(rejected)?;
            if !verify_any(&[token_tag(&claimed)], &token_tag(expected.expose())) {
                return Err(rejected());
            }
        }
        let found = |places: &Places| arrived.find(places).ok_or_else(rejected);
        let ok = Answer::new(StatusCode::OK);
        Ok(match &self.reply {
            Reply::AllowOrigin => {
                let origin = arrived.head.headers().get("webhook-request-origin").cloned().ok_or_else(rejected)?;
                ok.header(HeaderName::from_static("webhook-allowed-origin"), origin)
                    .header(HeaderName::from_static("webhook-allowed-rate"), HeaderValue::from_static("*"))
                    .header(header::ALLOW, HeaderValue::from_static("POST"))
            }
            Reply::Challenge { from, echo, response, prefix, encoding } => {
                let challenge = found(from)?;
                if !self.signed && !is_challenge(challenge.as_bytes()) {
                    return Err(rejected());
                }
                let (secret, text) = secret.ok_or_else(rejected)?;
                let key = text.decode(secret.expose()).map_err(|_| rejected())?;
                let mut mac = MacState::new(MacAlgorithm::Sha256, &key);
                mac.update(challenge.as_bytes());
                let mut object = serde_json::Map::new();
                if let Some(echo) = echo {
                    object.insert(echo.clone().into_owned(), challenge.into());
                }
                let tag = encoding.encode(mac.finish().as_bytes());
                object.insert(response.clone().into_owned(), format!("{prefix}{tag}").into());
                ok.json(serde_json::Value::Object(object).to_string())
            }
            Reply::KeyedChallenge { from } => {
                let challenge = found(from)?;
                let (secret, text) = secret.ok_or_else(rejected)?;
                let id = text.id(secret.expose()).and_then(|id| std::str::from_utf8(id).ok()).ok_or_else(rejected)?;
                if !is_digits(challenge.as_bytes()) {
                    return Err(rejected());
                }
                let key = text.decode(secret.expose()).map_err(|_| rejected())?;
                let mut mac = MacState::new(MacAlgorithm::Sha1, &key);
                mac.update(challenge.as_bytes());
                ok.text(format!("{id}|{}", Encoding::Hex.encode(mac.finish().as_bytes())))
            }
            Reply::EchoHeader { from, name } => {
                let value = HeaderValue::from_str(&found(from)?).map_err(|_| rejected())?;
                let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| rejected())?;
                ok.header(name, value)
            }
            Reply::EchoJson { from, field } => {
                let object = serde_json::Map::from_iter([(field.clone().into_owned(), found(from)?.into())]);
                ok.json(serde_json::Value::Object(object).to_string())
            }
            Reply::EchoText { from } => ok.text(found(from)?),
            Reply::Fixed(answer) => answer.clone(),
        })
    }
}

/// Whether an unsigned challenge may be this text. The answer is a MAC under the very key that signs deliveries, so that a text
/// which is free to choose would be a forged delivery with its signature. No delivery passes whose signed text is one of these.
fn is_challenge(text: &[u8]) -> bool {
    let token = text.iter().rposition(|byte| *byte != b'=').map_or(&b""[..], |last| &text[..=last]);
    text.len() <= LONGEST_CHALLENGE
        && !token.is_empty()
        && token.iter().all(|byte| *byte != b'=' && is_in_challenges(*byte))
}

/// Whether a challenge of [`Reply::KeyedChallenge`] may be this text.
fn is_digits(text: &[u8]) -> bool {
    (20..=32).contains(&text.len()) && text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a challenge may hold this byte.
pub(crate) fn is_in_challenges(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~+/:=".contains(&byte)
}

/// Challenges are random tokens; none is known to be longer than a hundred characters.
pub(crate) const LONGEST_CHALLENGE: usize = 256;
