//! The likely cause of a rejection.
//!
//! Rules:
//! 1. A hint is for the operator. It never reaches the network, and holds nothing of the sender's: no payload, no secret, no
//!    signature, no header that is not named in the scheme or the catalogue. Where the URL is signed, it has the path and the keys of the
//!    query, which every access log has too, cut to a length and without the query's values.
//! 2. It is determined only for rejected requests, from data in memory. Its cost is bounded: a look at each header's
//!    name, at values of at most 4 KiB, at the body once for a line break where the sender's have some, and, where a
//!    secret has ended, one MAC more over the body, whatever the number of secrets and signatures. So a forged request
//!    costs at most one MAC more than the secrets in use. With public keys it is one verification for each signature,
//!    of which there are at most 4.
//! 3. The answer does not depend on it. The extra MAC is made for every wrong signature or for none, and compared in
//!    constant time like all others.

mod written;

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::{HeaderName, header};

use self::written::{joined, redacted_url, signature_form, signed_text, timestamp_form};
use super::{
    arrived::Arrived,
    content::Part,
    custom::CustomScheme,
    freshness::TimestampUnit,
    key_form::{KeyForm, behind_prefix, foreign_prefix, looks_like_hex},
    keys::{KeyRing, Keys},
    look::Look,
    provider,
    template::Template,
    verification::Verification,
};
use crate::{
    error::{Hint, HintKind, HintText, VerifyError, VerifyErrorKind},
    head::Head,
    secret::{Secret, Secrets},
    signature::Encoding,
};

/// If the timestamp is further off than this, another unit does not explain it any more.
const NEAR: i64 = 24 * 60 * 60;

/// The scheme that a request was checked by.
#[derive(Clone, Copy)]
pub(super) enum Checked<'a> {
    Custom(&'a dyn CustomScheme),
    Declared(&'a Arc<Template>),
}

impl<'a> Checked<'a> {
    /// Adds the facts of the head about an error.
    pub(super) fn hint_from_head(self, error: VerifyError, head: Head<'_>, now: SystemTime) -> VerifyError {
        let hint = match error.kind() {
            VerifyErrorKind::AmbiguousText => self.template().and_then(|template| signed_text(template, head)),
            VerifyErrorKind::MalformedSignature => self.template().and_then(|template| signature_form(template, head)),
            VerifyErrorKind::MalformedTimestamp => self.template().and_then(|template| timestamp_form(template, head)),
            VerifyErrorKind::Missing => self.other_provider(head),
            VerifyErrorKind::Stale => self.stale(&error, now),
            _ => None,
        };
        error.with_hint(hint)
    }

    /// Adds what head, body and secrets say about an error.
    pub(super) fn hint_from_body(
        self,
        error: VerifyError,
        arrived: Arrived<'_>,
        ring: &KeyRing,
        now: SystemTime,
    ) -> VerifyError {
        if error.kind() != VerifyErrorKind::SignatureMismatch {
            return self.hint_from_head(error, arrived.head, now);
        }
        let hint = self
            .body_changed(arrived)
            .or_else(|| self.expired(arrived, ring, now))
            .or_else(|| self.relayed(arrived.head))
            .or_else(|| self.joined_header(arrived.head))
            .or_else(|| self.odd_secrets(ring, now))
            .or_else(|| self.serialized_again(arrived))
            .or_else(|| self.public_url(arrived.head));
        error.with_hint(hint)
    }

    /// Returns a hint about secrets that cannot be used at all.
    pub(super) fn hint_about_secrets(self, secrets: &Secrets) -> Option<Hint> {
        let template = self.template()?;
        secrets.entries().iter().find_map(|entry| {
            let cause = template.key.decode(entry.secret.expose()).err()?;
            Some(self.odd_secret(&entry.secret).unwrap_or_else(|| Hint::new(HintKind::SecretForm, cause.to_string())))
        })
    }

    fn template(self) -> Option<&'a Template> {
        match self {
            Self::Custom(_) => None,
            Self::Declared(template) => Some(template),
        }
    }

    fn name(self) -> &'a str {
        match self {
            Self::Custom(code) => code.name(),
            Self::Declared(template) => template.layout.provider(),
        }
    }

    fn covers_body(self) -> bool {
        match self {
            Self::Custom(code) => code.covers_body(),
            Self::Declared(template) => template.coverage.body,
        }
    }

    fn other_provider(self, head: Head<'_>) -> Option<Hint> {
        let own = self.template().map_or(&[][..], |template| template.locate.headers());
        let (name, senders) = head.headers().keys().filter(|name| !own.contains(name)).find_map(|name| {
            let senders = senders_of(name);
            (!senders.is_empty() && !senders.contains(&self.name())).then_some((name, senders))
        })?;
        let others = match senders {
            [_] | [] => String::new(),
            [_, second] => format!(" (and so does `{second}`)"),
            [_, second, more @ ..] => format!(" (and so do `{second}` and {} more)", more.len()),
        };
        let text = format!(
            "the request has a `{name}` header, as `{}` sends it{others}: the sender calls the wrong route, or the layer is \
             another provider's",
            senders.first().unwrap_or(&"")
        );
        Some(Hint::new(HintKind::OtherProvider, text))
    }

    fn stale(self, error: &VerifyError, now: SystemTime) -> Option<Hint> {
        let skew = error.skew_seconds()?;
        let now = i64::try_from(now.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()?;
        let stamp = now.saturating_sub(skew);
        let near = |seconds: i64| seconds.abs_diff(now) <= NEAR.unsigned_abs();
        let freshness = self.template().and_then(|template| template.freshness.as_ref());
        match freshness.map(|freshness| freshness.unit) {
            Some(TimestampUnit::Seconds) if near(stamp / 1000) => {
                let text = "the timestamp is in milliseconds, and the scheme counts seconds; declare \
                            `.unit(TimestampUnit::Milliseconds)`";
                return Some(Hint::new(HintKind::TimestampUnit, text));
            }
            Some(TimestampUnit::Milliseconds) if near(stamp.saturating_mul(1000)) => {
                let text = "the timestamp is in seconds, and the scheme counts milliseconds; declare \
                            `.unit(TimestampUnit::Seconds)`";
                return Some(Hint::new(HintKind::TimestampUnit, text));
            }
            _ => {}
        }
        if skew < 0 {
            return Some(Hint::new(HintKind::ClockSkew, HintText::Ahead(skew.unsigned_abs())));
        }
        let own = freshness.and_then(|freshness| freshness.tolerance);
        let set = self.template().and_then(|template| template.settings.tolerance);
        let text = match (own.map(|own| own.as_secs()), set.map(|set| set.as_secs())) {
            (Some(own), Some(set)) if set < own && skew.unsigned_abs() <= own => HintText::from(format!(
                "the timestamp is {skew} s old: within the sender's own window of {own} s, and outside of the {set} s that \
                 `with_tolerance` sets"
            )),
            (Some(own), _) => HintText::Old { age: skew, window: own },
            (None, _) => return None,
        };
        Some(Hint::new(HintKind::OutsideWindow, text))
    }

    /// Whether the secret that ended last would have matched. One MAC over the body, and no more.
    fn expired(self, arrived: Arrived<'_>, ring: &KeyRing, now: SystemTime) -> Option<Hint> {
        let (ring, ended) = ring.last_expired(now)?;
        let (head, body) = (arrived.head, arrived.body?);
        match self {
            Self::Custom(code) => drop(code.verify(head, body, Keys { ring: &ring, now }, now).ok()?),
            Self::Declared(template) => {
                let inspected = template.inspect(head, now).ok()?;
                let mut check = Verification::begin(template, head, inspected, &ring, now).ok()?;
                check.update(body);
                check.finish(head, body, now).ok()?;
            }
        }
        let ago = now.duration_since(ended).unwrap_or(Duration::ZERO).as_secs();
        let text = format!(
            "a secret that ended {ago} s ago would have matched: the sender still signs with it; finish the rotation there, \
             or keep the old secret for longer"
        );
        Some(Hint::new(HintKind::ExpiredSecret, text))
    }

    /// Returns a hint about the form of the secrets. Returns `None` if another secret has the usual form: the unusual
    /// one may be that of a command-line tool.
    fn odd_secrets(self, ring: &KeyRing, now: SystemTime) -> Option<Hint> {
        let hints: Option<Vec<Hint>> = ring.usable(now).map(|(_, secret, _)| self.odd_secret(secret)).collect();
        hints?.into_iter().next()
    }

    /// Returns a hint about the form of a secret, for this scheme.
    fn odd_secret(self, secret: &Secret) -> Option<Hint> {
        let template = self.template()?;
        let (whole, secret) = (secret.expose(), template.key.strip(secret.expose()));
        let (prefix, length) = (&template.secret_prefix, template.secret_length);
        let hex = looks_like_hex(secret);
        let text = if let Some(what) = foreign_prefix(template.key.form, secret) {
            format!("a secret is not what the scheme takes: {what}")
        } else if let Some(prefix) = prefix.as_deref().filter(|prefix| !whole.starts_with(prefix.as_bytes())) {
            format!(
                "a secret does not begin with `{prefix}`, as this sender's do: it may be an API key, or another sender's"
            )
        } else if let Some(length) = length.filter(|length| *length != whole.len()) {
            format!(
                "a secret has {} characters, and this sender's have {length}: it may have been cut, or be that of another \
                 endpoint or of a command-line tool, each of which has its own",
                whole.len()
            )
        } else {
            match template.key.form {
                KeyForm::Base64 | KeyForm::StandardWebhooks if hex => {
                    "a secret consists of hexadecimal digits, and the scheme reads base64: it may be another sender's".into()
                }
                KeyForm::Hex if !hex => "a secret does not consist of hexadecimal digits, which the scheme reads".into(),
                // A provider's own form is known to be right; of one that the application has declared it can be asked.
                KeyForm::Utf8 if provider::is_known(self.name()) => return None,
                KeyForm::Utf8 if secret.starts_with(b"whsec_") => {
                    "a secret begins with `whsec_`, and its text is the key; if the sender follows Standard Webhooks, declare \
                     `.key_standard_webhooks()`, and if it signs with the text behind the prefix, `.key_prefix(\"whsec_\")`"
                        .into()
                }
                KeyForm::Utf8 if prefix.is_none() && behind_prefix(secret).is_some() => {
                    "a secret begins with a prefix that ends in `_`, and the whole text is the key; if the sender signs with what stands \
                     behind the prefix, declare `.key_prefix(…)`"
                        .into()
                }
                KeyForm::Utf8 if hex => {
                    "a secret consists of hexadecimal digits, and its text is the key; if the key is what they stand for, \
                     declare `.key_hex()`"
                        .into()
                }
                KeyForm::Utf8 if secret.ends_with(b"=") && Encoding::Base64.decode(secret).is_some() => {
                    "a secret looks like base64, and its text is the key; if the key is what it stands for, declare \
                     `.key_base64()`"
                        .into()
                }
                _ => return None,
            }
        };
        Some(Hint::new(HintKind::SecretForm, text))
    }

    fn public_url(self, head: Head<'_>) -> Option<Hint> {
        let template = self.template().filter(|template| template.signs_url())?;
        let text = format!(
            "the scheme signs the URL, here `{}`: it must be the one that the sender calls, to the letter",
            redacted_url(template, head)
        );
        Some(Hint::new(HintKind::PublicUrl, text))
    }

    /// Whether the request has come through smee-client, which parses a body and writes it again.
    fn relayed(self, head: Head<'_>) -> Option<Hint> {
        let headers = head.headers();
        let is =
            |name: &str, wanted: &str| headers.get(name).is_some_and(|value| value.as_bytes() == wanted.as_bytes());
        let in_milliseconds =
            |value: &http::HeaderValue| value.len() == 13 && value.as_bytes().iter().all(u8::is_ascii_digit);
        let marks = self.covers_body()
            && is("sec-fetch-mode", "cors")
            && is("accept-language", "*")
            && headers.get("timestamp").is_some_and(in_milliseconds);
        let text = "the request has the headers of smee-client, which parses bodies and serializes them again: only compact JSON stays \
                    unchanged; use a tunnel that forwards bytes";
        marks.then(|| Hint::new(HintKind::BodyChanged, text))
    }

    /// Whether a body lacks a member that all bodies of this sender have.
    fn serialized_again(self, arrived: Arrived<'_>) -> Option<Hint> {
        let template = self.template()?;
        let (mark, body) = (template.indented_json?.as_bytes(), arrived.body?);
        let is_compact = matches!(body, [b'{', .., b'}'])
            && !body.contains(&b'\n')
            && !body.windows(mark.len()).any(|text| text == mark);
        is_compact.then(|| {
            let text = format!(
                "a body of `{}` is indented JSON, and this one has no line break: something has parsed and serialized it again; the signature \
                 covers the bytes as they were sent",
                template.layout.provider()
            );
            Hint::new(HintKind::BodyChanged, text)
        })
    }

    /// Whether a signed header holds the same value twice, as when a proxy has joined two lines of it.
    fn joined_header(self, head: Head<'_>) -> Option<Hint> {
        let template = self.template()?;
        let family = template.family(head);
        let look =
            Look { template, arrived: Arrived::head(head), family, timestamp: None, claims: None, with_port: false };
        template.content.iter().find_map(|part| {
            let name = match part {
                Part::Header(name) => name,
                Part::Id => template.id.as_ref()?.header(family)?,
                _ => return None,
            };
            let text = look.text(part).ok()?;
            let mut values = text.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            let first = values.next()?;
            let mut others = values.peekable();
            (others.peek().is_some() && others.all(|other| other == first)).then(|| joined(name))
        })
    }

    /// Whether the body is another than the sender announced.
    fn body_changed(self, arrived: Arrived<'_>) -> Option<Hint> {
        let (head, body) = (arrived.head, arrived.body?);
        if !self.covers_body() {
            return None;
        }
        let text = match head.headers().get(header::CONTENT_LENGTH) {
            Some(announced) => {
                let announced: u64 = announced.to_str().ok()?.parse().ok()?;
                if u64::try_from(body.len()).is_ok_and(|length| length == announced) {
                    return None;
                }
                format!(
                    "the body has {} bytes, and `Content-Length` says {announced}: a layer outside has changed, decoded or read it; \
                     put it inside of this one, or take it away",
                    body.len()
                )
            }
            None if body.is_empty() => {
                "the body is empty: a layer outside may have read it; put it inside of this one, or take it away".into()
            }
            None => return None,
        };
        Some(Hint::new(HintKind::BodyChanged, text))
    }
}

/// Returns the providers that send their signature in this header. `Authorization` is everybody's.
fn senders_of(name: &HeaderName) -> &'static [&'static str] {
    static SENDERS: OnceLock<BTreeMap<&str, Vec<&str>>> = OnceLock::new();

    let senders = SENDERS.get_or_init(|| {
        let mut senders = BTreeMap::<_, Vec<_>>::new();
        let headers = provider::SIGNATURE_HEADERS.iter();
        for (name, provider) in headers.filter(|(name, _)| *name != header::AUTHORIZATION.as_str()) {
            senders.entry(*name).or_default().push(*provider);
        }
        senders
    });
    senders.get(name.as_str()).map(Vec::as_slice).unwrap_or_default()
}
