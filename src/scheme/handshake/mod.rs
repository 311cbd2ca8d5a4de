mod compiled;
mod reply;

use std::borrow::Cow;

use http::Method;

pub(crate) use self::compiled::{CompiledHandshake, LONGEST_CHALLENGE, is_in_challenges};
use self::reply::Reply;
use super::answer::Answer;
use crate::{
    error::{ConfigError, ConfigErrorKind},
    field::{Field, header_name},
    signature::{Encoding, MacAlgorithm},
};

/// A request by which a sender checks that the receiver owns the URL. It does not deliver an event.
///
/// There is a constructor for each kind of handshake. A signed handshake is answered only after the signature was
/// verified; an unsigned one is answered by its head.
///
/// ```
/// use http::StatusCode;
/// use tower_webhooks::scheme::{Answer, Field, Handshake};
///
/// // Slack: POST {"type":"url_verification","challenge":"…"}, signed; the answer is the challenge as text.
/// let slack = Handshake::echo_text(Field::json("/challenge")).when(Field::json("/type"), "url_verification").signed();
///
/// // Meta: GET ?hub.mode=subscribe&hub.verify_token=…&hub.challenge=…, not signed, guarded by a shared token.
/// let meta = Handshake::echo_text(Field::query("hub.challenge"))
///     .when(Field::query("hub.mode"), "subscribe")
///     .verify_token("hub.verify_token")
///     .method(http::Method::GET);
///
/// // Discord: POST {"type":1}, signed; the answer is fixed.
/// let discord = Handshake::fixed(Answer::new(StatusCode::OK).json(r#"{"type":1}"#)).when(Field::json("/type"), "1").signed();
/// # let _ = (slack, meta, discord);
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Handshake {
    method: Method,
    signed: bool,
    when: Option<(Field, Option<Cow<'static, str>>)>,
    verify_token: Option<Cow<'static, str>>,
    reply: Reply<Field>,
    /// The name of an option of the answer that this kind of handshake does not support.
    misplaced: Option<&'static str>,
}

impl Handshake {
    /// Answers 200 with the text of `from` as `text/plain`.
    pub fn echo_text(from: Field) -> Self {
        Self::new(Reply::EchoText { from })
    }

    /// Answers 200 with `{"field": text of from}`.
    pub fn echo_json(from: Field, field: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Reply::EchoJson { from, field: field.into() })
    }

    /// Answers 200 with the text of `from` in a header.
    pub fn echo_header(from: Field, name: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Reply::EchoHeader { from, name: name.into() })
    }

    /// Answers 200 with `{"response": hex of HMAC-SHA-256(secret, text of from)}`: a challenge that only the holder of the
    /// secret can answer.
    ///
    /// Unless it is [`signed`](Self::signed), anyone can send it, and for HMAC-SHA-256 schemes the answer is made with
    /// the key that signs deliveries. These rules prevent anyone from obtaining the signature of a delivery in this
    /// way:
    ///
    /// 1. A challenge must be a token of at most 256 letters, digits and `-._~+/:`, with `=` at its end. Anything else is rejected.
    /// 2. A delivery whose whole signed text could be such a token is rejected, whatever its signature. JSON objects and arrays, and
    ///    forms with a value, never are; a bare number, `true` and `null` are.
    /// 3. A scheme whose signed text has no body, and no literal that prevents it from being such a token, does not
    ///    build.
    ///
    /// The rules apply to the deliveries of the same scheme. If a route accepts deliveries of another scheme with the
    /// same secret, declare the handshake in that scheme as well.
    pub fn challenge(from: Field, response: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Reply::Challenge {
            from,
            echo: None,
            response: response.into(),
            prefix: Cow::Borrowed(""),
            encoding: Encoding::Hex,
        })
    }

    /// Answers 200 with `<id of the secret>|<hex of HMAC-SHA-1(secret, text of from)>`. A challenge has 20 to 32 hexadecimal digits, and a
    /// delivery whose signed text could be one is rejected.
    pub(crate) fn keyed_challenge(from: Field) -> Self {
        Self::new(Reply::KeyedChallenge { from })
    }

    /// Always answers with the same response.
    pub fn fixed(answer: Answer) -> Self {
        Self::new(Reply::Fixed(answer))
    }

    /// Answers the validation request of CloudEvents' HTTP webhooks (section 4): OPTIONS with `WebHook-Request-Origin`, which
    /// is allowed.
    pub fn cloud_events() -> Self {
        Self::new(Reply::AllowOrigin).method(Method::OPTIONS).present(Field::header("webhook-request-origin"))
    }

    /// Sets the method of the handshake; POST by default.
    pub fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// Declares that a request is a handshake if `field` has this `value`.
    pub fn when(mut self, field: Field, value: impl Into<Cow<'static, str>>) -> Self {
        self.when = Some((field, Some(value.into())));
        self
    }

    /// Declares that a request is a handshake if `field` is present, with any value.
    pub fn present(mut self, field: Field) -> Self {
        self.when = Some((field, None));
        self
    }

    /// Declares that the handshake is signed: it is answered after the signature was verified.
    pub fn signed(mut self) -> Self {
        self.signed = true;
        self
    }

    /// Sets the query parameter that must contain the token of
    /// [`with_verify_token`](crate::WebhookLayer::with_verify_token); any other value is answered with 403.
    pub fn verify_token(mut self, parameter: impl Into<Cow<'static, str>>) -> Self {
        self.verify_token = Some(parameter.into());
        self
    }

    /// For a [`challenge`](Self::challenge): also returns the challenge itself, in `field`.
    pub fn with_echo(mut self, field: impl Into<Cow<'static, str>>) -> Self {
        if let Reply::Challenge { echo, .. } = &mut self.reply {
            *echo = Some(field.into());
        } else {
            self.misplaced = Some("with_echo");
        }
        self
    }

    /// For a [`challenge`](Self::challenge): puts `prefix` before the response.
    pub fn with_prefix(mut self, text: impl Into<Cow<'static, str>>) -> Self {
        if let Reply::Challenge { prefix, .. } = &mut self.reply {
            *prefix = text.into();
        } else {
            self.misplaced = Some("with_prefix");
        }
        self
    }

    /// For a [`challenge`](Self::challenge): writes the response in base64 instead of hex.
    pub fn with_base64(mut self) -> Self {
        if let Reply::Challenge { encoding, .. } = &mut self.reply {
            *encoding = Encoding::Base64;
        } else {
            self.misplaced = Some("with_base64");
        }
        self
    }

    fn new(reply: Reply<Field>) -> Self {
        Self { method: Method::POST, signed: false, when: None, verify_token: None, reply, misplaced: None }
    }

    /// Checks the declaration, and parses its names. `deliveries` are the methods that deliveries come by.
    pub(crate) fn compile(self, deliveries: &[Method]) -> Result<CompiledHandshake, ConfigError> {
        let Self { method, signed, when, verify_token, reply, misplaced } = self;
        if let Some(word) = misplaced {
            return Err(error(format!("`.{word}(…)` is for `Handshake::challenge`, whose answer it shapes")));
        }
        if when.is_none() && deliveries.contains(&method) {
            return Err(error(format!(
                "a handshake by {method}, by which deliveries come too, would answer each of them; say what tells it apart with \
                 `.when(…)` or `.present(…)`"
            )));
        }
        let when = match when {
            Some((field, value)) => Some((field.compile()?, value)),
            None => None,
        };
        let reply = match reply {
            Reply::AllowOrigin => Reply::AllowOrigin,
            Reply::Challenge { from, echo, response, prefix, encoding } => {
                Reply::Challenge { from: from.compile()?, echo, response, prefix, encoding }
            }
            Reply::KeyedChallenge { from } => Reply::KeyedChallenge { from: from.compile()? },
            Reply::EchoHeader { from, name } => {
                header_name(&name)?;
                Reply::EchoHeader { from: from.compile()?, name }
            }
            Reply::EchoJson { from, field } => Reply::EchoJson { from: from.compile()?, field },
            Reply::EchoText { from } => Reply::EchoText { from: from.compile()? },
            Reply::Fixed(answer) => Reply::Fixed(answer),
        };
        let compiled = CompiledHandshake { method, signed, when, verify_token, reply };
        if !signed && compiled.reads_body() {
            return Err(error("a handshake that reads the body must be signed; add `.signed()`"));
        }
        Ok(compiled)
    }

    /// Whether the answer is made with a secret.
    pub(crate) fn needs_secret(&self) -> bool {
        matches!(self.reply, Reply::Challenge { .. } | Reply::KeyedChallenge { .. })
    }

    /// With which MAC anybody can have it answered.
    pub(crate) fn signs_for_anybody(&self) -> Option<MacAlgorithm> {
        match self.reply {
            _ if self.signed => None,
            Reply::Challenge { .. } => Some(MacAlgorithm::Sha256),
            Reply::KeyedChallenge { .. } => Some(MacAlgorithm::Sha1),
            _ => None,
        }
    }
}

fn error(message: impl Into<Cow<'static, str>>) -> ConfigError {
    ConfigError::new(ConfigErrorKind::Scheme, message.into())
}
