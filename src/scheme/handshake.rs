use std::borrow::Cow;

use http::{HeaderName, HeaderValue, Method, StatusCode, header};

use super::{answer::Answer, key_form::KeyForm, settings::Settings, template::query};
use crate::{
    error::{ConfigError, ConfigErrorKind, VerifyError, VerifyErrorKind},
    field::{Field, Place, Places},
    head::Head,
    secret::Secret,
    signature::{Encoding, MacAlgorithm, MacState, token_tag, verify_any},
};

/// A request that is no delivery but asks whether the receiver is who it should be.
///
/// Handshakes come in few shapes, each with a constructor. Those whose request is signed are answered only after the
/// signature has passed; the others are answered from the head.
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
    compiled: Option<Compiled>,
}

#[derive(Debug, Clone)]
struct Compiled {
    when: Option<(Places, Option<String>)>,
    reply: Reply<Places>,
}

#[derive(Debug, Clone)]
enum Reply<F> {
    AllowOrigin,
    Challenge {
        from: F,
        echo: Option<Cow<'static, str>>,
        response: Cow<'static, str>,
        prefix: Cow<'static, str>,
        encoding: Encoding,
    },
    EchoHeader {
        from: F,
        name: Cow<'static, str>,
    },
    EchoJson {
        from: F,
        field: Cow<'static, str>,
    },
    EchoText {
        from: F,
    },
    Fixed(Answer),
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
    /// Unless it is [`signed`](Self::signed), a challenge must be a token of at most 256 letters, digits and `-._~+/:`, with
    /// `=` at its end. Anything else is refused, for it might be a delivery that an attacker wants to have signed.
    pub fn challenge(from: Field, response: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Reply::Challenge {
            from,
            echo: None,
            response: response.into(),
            prefix: Cow::Borrowed(""),
            encoding: Encoding::Hex,
        })
    }

    /// Answers with always the same.
    pub fn fixed(answer: Answer) -> Self {
        Self::new(Reply::Fixed(answer))
    }

    /// Answers the validation request of CloudEvents' HTTP webhooks (section 4): OPTIONS with `WebHook-Request-Origin`, which
    /// is allowed.
    pub fn cloud_events() -> Self {
        Self::new(Reply::AllowOrigin).method(Method::OPTIONS).present(Field::header("webhook-request-origin"))
    }

    /// Says by which method it comes; POST by default.
    pub fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// Says that the request is a handshake when `field` holds `value`.
    pub fn when(mut self, field: Field, value: impl Into<Cow<'static, str>>) -> Self {
        self.when = Some((field, Some(value.into())));
        self
    }

    /// Says that the request is a handshake when `field` is there, whatever it holds.
    pub fn present(mut self, field: Field) -> Self {
        self.when = Some((field, None));
        self
    }

    /// Says that the request is signed: it is answered after the signature has passed.
    pub fn signed(mut self) -> Self {
        self.signed = true;
        self
    }

    /// Says which query parameter must hold the token that
    /// [`with_verify_token`](crate::WebhookLayer::with_verify_token) was given; anything else is answered with 403.
    pub fn verify_token(mut self, parameter: impl Into<Cow<'static, str>>) -> Self {
        self.verify_token = Some(parameter.into());
        self
    }

    /// For a [`challenge`](Self::challenge): also returns the challenge itself, in `field`.
    pub fn with_echo(mut self, field: impl Into<Cow<'static, str>>) -> Self {
        if let Reply::Challenge { echo, .. } = &mut self.reply {
            *echo = Some(field.into());
        }
        self
    }

    /// For a [`challenge`](Self::challenge): puts `prefix` before the response.
    pub fn with_prefix(mut self, text: impl Into<Cow<'static, str>>) -> Self {
        if let Reply::Challenge { prefix, .. } = &mut self.reply {
            *prefix = text.into();
        }
        self
    }

    /// For a [`challenge`](Self::challenge): writes the response in base64 instead of hex.
    pub fn with_base64(mut self) -> Self {
        if let Reply::Challenge { encoding, .. } = &mut self.reply {
            *encoding = Encoding::Base64;
        }
        self
    }

    fn new(reply: Reply<Field>) -> Self {
        Self { method: Method::POST, signed: false, when: None, verify_token: None, reply, compiled: None }
    }

    pub(crate) fn compile(mut self) -> Result<Self, ConfigError> {
        let when = match &self.when {
            Some((field, value)) => Some((field.compile()?, value.as_ref().map(|value| value.clone().into_owned()))),
            None => None,
        };
        let reply = match &self.reply {
            Reply::AllowOrigin => Reply::AllowOrigin,
            Reply::Challenge { from, echo, response, prefix, encoding } => Reply::Challenge {
                from: from.compile()?,
                echo: echo.clone(),
                response: response.clone(),
                prefix: prefix.clone(),
                encoding: *encoding,
            },
            Reply::EchoHeader { from, name } => {
                crate::field::header_name(name)?;
                Reply::EchoHeader { from: from.compile()?, name: name.clone() }
            }
            Reply::EchoJson { from, field } => Reply::EchoJson { from: from.compile()?, field: field.clone() },
            Reply::EchoText { from } => Reply::EchoText { from: from.compile()? },
            Reply::Fixed(answer) => Reply::Fixed(answer.clone()),
        };
        let reads_body = |places: &Places| places.pointers().next().is_some();
        let condition_in_body = when.as_ref().is_some_and(|(places, _)| reads_body(places));
        if !self.signed && (condition_in_body || reply.from().is_some_and(reads_body)) {
            return Err(ConfigError::new(
                ConfigErrorKind::Scheme,
                "a handshake that reads the body must be signed; add `.signed()`",
            ));
        }
        self.compiled = Some(Compiled { when, reply });
        Ok(self)
    }

    pub(crate) fn is_signed(&self) -> bool {
        self.signed
    }

    pub(crate) fn comes_by(&self) -> &Method {
        &self.method
    }

    pub(crate) fn needs_verify_token(&self) -> bool {
        self.verify_token.is_some()
    }

    /// Whether the answer needs a secret, as an unsigned challenge does.
    pub(crate) fn needs_secret(&self) -> bool {
        matches!(self.reply, Reply::Challenge { .. })
    }

    /// Whether the body decides.
    pub(crate) fn reads_body(&self) -> bool {
        self.compiled.as_ref().is_some_and(|compiled| {
            let reads = |places: &Places| places.pointers().next().is_some();
            compiled.when.as_ref().is_some_and(|(places, _)| reads(places)) || compiled.reply.from().is_some_and(reads)
        })
    }

    /// Whether a request is this handshake.
    pub(crate) fn applies(&self, head: Head<'_>, body: Option<&[u8]>) -> bool {
        let Some(compiled) = &self.compiled else { return false };
        head.method() == self.method
            && match &compiled.when {
                None => true,
                Some((places, value)) => match (find(places, head, body), value) {
                    (Some(found), Some(value)) => found == *value,
                    (found, None) => found.is_some(),
                    (None, Some(_)) => false,
                },
            }
    }

    /// Answers a request that [`applies`](Self::applies). `secret` is the current one, where the handshake needs one.
    pub(crate) fn answer(
        &self,
        head: Head<'_>,
        body: Option<&[u8]>,
        settings: &Settings,
        secret: Option<(&Secret, KeyForm)>,
    ) -> Result<Answer, VerifyError> {
        let refused = || VerifyError::new(VerifyErrorKind::HandshakeRefused);
        if let Some(parameter) = &self.verify_token {
            let expected = settings.verify_token.as_ref().ok_or_else(refused)?;
            let claimed = query(head, parameter).ok().flatten().ok_or_else(refused)?;
            if !verify_any(&[token_tag(&claimed)], &token_tag(expected.expose())) {
                return Err(refused());
            }
        }
        let compiled = self.compiled.as_ref().ok_or_else(refused)?;
        let text = |places: &Places| find(places, head, body).ok_or_else(refused);
        let ok = Answer::new(StatusCode::OK);
        Ok(match &compiled.reply {
            Reply::AllowOrigin => {
                let origin = head.headers().get("webhook-request-origin").cloned().ok_or_else(refused)?;
                ok.header(HeaderName::from_static("webhook-allowed-origin"), origin)
                    .header(HeaderName::from_static("webhook-allowed-rate"), HeaderValue::from_static("*"))
                    .header(header::ALLOW, HeaderValue::from_static("POST"))
            }
            Reply::Challenge { from, echo, response, prefix, encoding } => {
                let challenge = text(from)?;
                if !self.signed && !is_harmless(&challenge) {
                    return Err(refused());
                }
                let (secret, form) = secret.ok_or_else(refused)?;
                let key = form.decode(secret.expose()).map_err(|_| refused())?;
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
            Reply::EchoHeader { from, name } => {
                let value = HeaderValue::from_str(&text(from)?).map_err(|_| refused())?;
                let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refused())?;
                ok.header(name, value)
            }
            Reply::EchoJson { from, field } => {
                let object = serde_json::Map::from_iter([(field.clone().into_owned(), text(from)?.into())]);
                ok.json(serde_json::Value::Object(object).to_string())
            }
            Reply::EchoText { from } => ok.text(text(from)?),
            Reply::Fixed(answer) => answer.clone(),
        })
    }
}

/// Whether anyone may have this text signed. The answer to an unsigned challenge is a MAC under the very key that signs
/// deliveries: a text that is free to choose would be a forged delivery with its signature. A token of these characters is
/// neither a JSON object or list nor a form with a value.
fn is_harmless(challenge: &str) -> bool {
    let token = challenge.trim_end_matches('=');
    challenge.len() <= LONGEST_CHALLENGE
        && !token.is_empty()
        && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/:".contains(&byte))
}

/// Challenges are random tokens; none is known to be longer than a hundred characters.
const LONGEST_CHALLENGE: usize = 256;

impl<F> Reply<F> {
    fn from(&self) -> Option<&F> {
        match self {
            Self::Challenge { from, .. }
            | Self::EchoHeader { from, .. }
            | Self::EchoJson { from, .. }
            | Self::EchoText { from } => Some(from),
            Self::AllowOrigin | Self::Fixed(_) => None,
        }
    }
}

fn find(places: &Places, head: Head<'_>, body: Option<&[u8]>) -> Option<String> {
    places.places.iter().find_map(|place| match place {
        Place::Header(name) => {
            let mut values = head.headers().get_all(name).iter();
            let value = values.next()?;
            (values.next().is_none()).then(|| String::from_utf8(value.as_bytes().to_vec()).ok())?
        }
        Place::HeaderIf(name, wanted) => {
            let mut values = head.headers().get_all(name).iter();
            let value = values.next()?;
            (values.next().is_none() && value.as_bytes() == wanted.as_bytes()).then(|| wanted.clone())
        }
        Place::Json(pointer) => {
            let found = crate::json::scalars(body?, std::slice::from_ref(pointer)).ok()?;
            found.into_iter().next().flatten().map(Cow::into_owned)
        }
        Place::Param(_) => None,
        Place::Query(key) => String::from_utf8(query(head, key).ok()??.into_owned()).ok(),
    })
}
