use std::{borrow::Cow, sync::Arc, time::Duration};

use http::{HeaderName, Method, StatusCode};

use super::{
    Scheme, WIDEST_WINDOW,
    answer::Answer,
    content::{self, Part},
    cuts::{self, Rule},
    freshness::{Freshness, JsonForm, TimestampUnit},
    grammar::{Grammar, MOST_ASYMMETRIC, MOST_CANDIDATES},
    handshake::{Handshake, is_in_challenges},
    key_form::{KeyForm, KeyText},
    settings::Settings,
    template::{Algorithm, Locate, Template},
};
use crate::{
    delivery::{Coverage, Fact, Layout},
    error::{ConfigError, ConfigErrorKind},
    field::{Field, Place, Places, header_name, json_pointer},
    form::Form,
    signature::{Encoding, MacAlgorithm, PublicAlgorithm},
};

/// Declares how a sender signs, one fact a method.
///
/// It begins with the algorithm, [`Scheme::hmac_sha256`] for almost everyone, and ends with [`build`](Self::build), or by
/// being passed to [`WebhookLayer::new`](crate::WebhookLayer::new) as it is.
///
/// ```
/// use tower_webhooks::{Scheme, scheme::Field};
///
/// // X-Acme-Signature: t=1700000000,v1=5257a8…,v1=6ffbb5…   over   1700000000.{"id":…}
/// let scheme = Scheme::hmac_sha256()
///     .name("acme")
///     .header("x-acme-signature")
///     .items(",")
///     .pairs("=")
///     .key("v1")
///     .hex()
///     .timestamp(Field::param("t"))
///     .signs("{timestamp}.{body}")
///     .id(Field::json("/id"))
///     .event_type(Field::json("/type"))
///     .payload("/data")
///     .build()?;
///
/// assert!(scheme.covers_body() && scheme.timestamp_is_signed() && scheme.id_is_signed());
/// # Ok::<(), tower_webhooks::error::ConfigError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct SchemeBuilder {
    algorithm: Algorithm,
    name: Cow<'static, str>,
    locate: Option<RawLocate>,
    every_line: bool,
    grammar: Grammar,
    encoding: Option<Encoding>,
    key_form: KeyForm,
    key_prefix: Option<Cow<'static, str>>,
    key_without: Vec<String>,
    key_id: Option<Field>,
    secret_prefix: Option<Cow<'static, str>>,
    secret_length: Option<usize>,
    content: Option<Cow<'static, str>>,
    timestamp: Option<Field>,
    unit: Option<TimestampUnit>,
    timestamp_json: Option<JsonForm>,
    /// The outer one says whether it was named.
    tolerance: Option<Option<Duration>>,
    id: Option<Field>,
    event_type: Option<Field>,
    api_version: Option<Field>,
    attempt: Option<(Field, u32)>,
    live: Option<(Field, Cow<'static, str>)>,
    payload: Cow<'static, str>,
    or_envelope: bool,
    form: Option<Form>,
    account: Option<Field>,
    batch: Option<Cow<'static, str>>,
    handshakes: Vec<Handshake>,
    methods: Vec<Method>,
    success: Option<Answer>,
    refused: StatusCode,
    body_limit: usize,
    retention: Option<Duration>,
    unique_bodies: bool,
    encoded_bodies: bool,
    json_alone: bool,
    indented_json: Option<&'static str>,
}

#[derive(Debug, Clone)]
enum RawLocate {
    EachHeader(Vec<Cow<'static, str>>),
    Headers(Vec<Cow<'static, str>>),
    Json(Cow<'static, str>),
    Numbered(Cow<'static, str>),
    Query(Cow<'static, str>),
}

/// Larger events are unheard of, but where the provider documents them.
pub(crate) const DEFAULT_BODY_LIMIT: usize = 1024 * 1024;

/// What almost every sender's own library takes.
pub(crate) const DEFAULT_TOLERANCE: Duration = Duration::from_secs(5 * 60);

impl SchemeBuilder {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        Self {
            algorithm,
            name: Cow::Borrowed("custom"),
            locate: None,
            every_line: false,
            grammar: match algorithm {
                Algorithm::Public(_) => Grammar { most: MOST_ASYMMETRIC, ..Grammar::default() },
                _ => Grammar::default(),
            },
            encoding: None,
            key_form: KeyForm::Utf8,
            key_prefix: None,
            key_without: Vec::new(),
            key_id: None,
            secret_prefix: None,
            secret_length: None,
            content: None,
            timestamp: None,
            unit: None,
            timestamp_json: None,
            tolerance: None,
            id: None,
            event_type: None,
            api_version: None,
            attempt: None,
            live: None,
            payload: Cow::Borrowed(""),
            or_envelope: false,
            form: None,
            account: None,
            batch: None,
            handshakes: Vec::new(),
            methods: vec![Method::POST],
            success: None,
            refused: StatusCode::UNAUTHORIZED,
            body_limit: DEFAULT_BODY_LIMIT,
            retention: None,
            unique_bodies: false,
            encoded_bodies: false,
            json_alone: false,
            indented_json: None,
        }
    }

    /// Names the scheme, for [`Delivery::provider`](crate::Delivery::provider), logs and store keys; `custom` by default.
    pub fn name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.name = name.into();
        self
    }

    // Where the signature is.

    /// The signature is in this header, which must be there once.
    pub fn header(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.locate = Some(RawLocate::Headers(vec![name.into()]));
        self
    }

    /// The signature may be in this header instead, if none of those named before is there.
    ///
    /// The headers form families: a [`Field`] of as many headers as there are signature headers is looked for in the header
    /// of the same place, so that the timestamp of one family never goes with the signature of another.
    pub fn or_header(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        match &mut self.locate {
            Some(RawLocate::Headers(names)) => names.push(name.into()),
            _ => self.locate = Some(RawLocate::Headers(vec![name.into()])),
        }
        self
    }

    /// There is a header for each key in use; any of them may be there, and any may match.
    pub fn header_for_each_key<N: Into<Cow<'static, str>>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.locate = Some(RawLocate::EachHeader(names.into_iter().map(Into::into).collect()));
        self
    }

    /// The signatures are in headers `prefix1`, `prefix2` and so on, any of which may match.
    pub fn numbered_headers(mut self, prefix: impl Into<Cow<'static, str>>) -> Self {
        self.locate = Some(RawLocate::Numbered(prefix.into()));
        self
    }

    /// The signature is a parameter of the URL's query.
    pub fn query(mut self, key: impl Into<Cow<'static, str>>) -> Self {
        self.locate = Some(RawLocate::Query(key.into()));
        self
    }

    /// The signature is in the JSON body, at this pointer. It cannot sign the body that it is in.
    pub fn json_pointer(mut self, pointer: impl Into<Cow<'static, str>>) -> Self {
        self.locate = Some(RawLocate::Json(pointer.into()));
        self
    }

    /// The signature header may stand on several lines, any of which may match.
    pub fn every_line(mut self) -> Self {
        self.every_line = true;
        self
    }

    // How it is written.

    /// The header value begins with this text, as in `sha256=`.
    pub fn prefix(mut self, text: impl Into<String>) -> Self {
        self.grammar.prefix = Some(text.into());
        self
    }

    /// The header value is a list, with this text between its items.
    pub fn items(mut self, separator: impl Into<String>) -> Self {
        self.grammar.items = Some(separator.into());
        self
    }

    /// Items are pairs, with this text between key and value.
    pub fn pairs(mut self, separator: impl Into<String>) -> Self {
        self.grammar.pairs = Some(separator.into());
        self
    }

    /// Items with this key are signatures; it may be called more than once. Items with other keys are skipped.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.grammar.keys.push(key.into());
        self
    }

    /// The signature is written in hexadecimal digits, of either case.
    pub fn hex(mut self) -> Self {
        self.encoding = Some(Encoding::Hex);
        self
    }

    /// The signature is written in base64 (RFC 4648 section 4), with its padding.
    pub fn base64(mut self) -> Self {
        self.encoding = Some(Encoding::Base64);
        self
    }

    /// The signature is written in base64url (RFC 4648 section 5), with or without padding.
    pub fn base64url(mut self) -> Self {
        self.encoding = Some(Encoding::Base64Url);
        self
    }

    // What is signed, and with which key.

    /// The signed text, with placeholders: `{body}` (the raw bytes), `{timestamp}` and `{id}` (as sent, from
    /// [`timestamp`](Self::timestamp) and [`id`](Self::id)), `{header:NAME}`, `{param:KEY}` (of the signature header),
    /// `{query:KEY}`, `{json:/POINTER}`, `{url}` (under the public URL), `{method}`, and for plain hashes `{secret}`.
    ///
    /// What could be cut at another place without the text changing is refused, since other values would then have the same
    /// signature. A template whose parts nothing separates does not build, as with `{header:x-id}{body}`. In a request, a part
    /// must not hold the literal that ends it; before a timestamp it may, unless another fresh timestamp follows. Where nothing
    /// stands between a part and the timestamp, no timestamp may begin in the part; where nothing stands between `{url}` and
    /// `{body}`, path and query must hold nothing that JSON begins with, and the body must begin like JSON or be empty.
    ///
    /// A signed id may have 512 bytes, another signed part of the head 4096.
    pub fn signs(mut self, template: impl Into<Cow<'static, str>>) -> Self {
        self.content = Some(template.into());
        self
    }

    /// The secret's text in base64 is the key. Without one of these methods the text itself is.
    pub fn key_base64(mut self) -> Self {
        self.key_form = KeyForm::Base64;
        self
    }

    /// The secret's text in hexadecimal digits is the key.
    pub fn key_hex(mut self) -> Self {
        self.key_form = KeyForm::Hex;
        self
    }

    /// The secret is written as Standard Webhooks has it: `whsec_`, which may be missing, and base64.
    pub fn key_standard_webhooks(mut self) -> Self {
        self.key_form = KeyForm::StandardWebhooks;
        self
    }

    /// The sender's secrets begin with this text, and it is not a part of the key: it is stripped, where it is there, before the rest is
    /// read. For senders whose secret is `acme_` and hexadecimal digits, add [`key_hex`](Self::key_hex).
    pub fn key_prefix(mut self, prefix: impl Into<Cow<'static, str>>) -> Self {
        self.key_prefix = Some(prefix.into());
        self
    }

    /// A request names the key that signed it here, in a header or the query. A secret may then be written with the id of its key, as
    /// `id:secret`, and is tried with requests that name it alone; one without an id is tried with all. A request that names no key is
    /// rejected. The id is not signed.
    pub fn key_id(mut self, field: Field) -> Self {
        self.key_id = Some(field);
        self
    }

    /// The sender takes these texts out of a secret, wherever they stand and in this order, before it reads the rest, as with a dash
    /// between groups of digits.
    pub fn key_without<T: Into<String>>(mut self, texts: impl IntoIterator<Item = T>) -> Self {
        self.key_without.extend(texts.into_iter().map(Into::into));
        self
    }

    /// The sender's secrets begin with this text, which is a part of the key. Nothing is stripped or refused for it: it lets a
    /// [`Hint`](crate::error::Hint) say that a secret which does not match looks like somebody else's. See
    /// [`key_prefix`](Self::key_prefix) for a prefix that is not a part of the key.
    pub fn expects_secret_prefix(mut self, prefix: impl Into<Cow<'static, str>>) -> Self {
        self.secret_prefix = Some(prefix.into());
        self
    }

    /// How many characters the sender's secrets have, for the same purpose.
    pub fn secret_length(mut self, characters: usize) -> Self {
        self.secret_length = Some(characters);
        self
    }

    /// The secret is written as Standard Webhooks has it when it begins with `whsec_`; any other is itself the key, as text.
    pub fn key_standard_webhooks_or_text(mut self) -> Self {
        self.key_form = KeyForm::StandardWebhooksOrText;
        self
    }

    /// The secret is a public key as Standard Webhooks writes it: `whpk_` and base64. The prefix must be there: a private key
    /// that had lost its own would else pass for a public one.
    #[cfg(feature = "asymmetric")]
    pub fn key_standard_webhooks_public(mut self) -> Self {
        self.key_form = KeyForm::StandardWebhooksPublic;
        self
    }

    /// The secret is a public key as SubjectPublicKeyInfo (RFC 5280), for ECDSA and RSA: PEM, `-----BEGIN PUBLIC KEY-----`, or the same
    /// base64 without its lines.
    #[cfg(feature = "asymmetric")]
    pub fn key_pem(mut self) -> Self {
        self.key_form = KeyForm::PublicKeyInfo;
        self
    }

    // Freshness.

    /// Where the signed timestamp is. It must be in the signed text, or in a body that is signed.
    pub fn timestamp(mut self, field: Field) -> Self {
        self.timestamp = Some(field);
        self
    }

    /// What the timestamp counts; [`Seconds`](TimestampUnit::Seconds) by default.
    pub fn unit(mut self, unit: TimestampUnit) -> Self {
        self.unit = Some(unit);
        self
    }

    /// How far the timestamp may be from now, in either direction; 5 minutes by default.
    pub fn tolerance(mut self, tolerance: Duration) -> Self {
        self.tolerance = Some(Some(tolerance));
        self
    }

    /// Takes any timestamp: a delivery that was overheard can be replayed for ever, unless the application sets a window with
    /// [`with_tolerance`](Scheme::with_tolerance).
    pub fn insecure_no_replay_window(mut self) -> Self {
        self.tolerance = Some(None);
        self
    }

    /// How a timestamp is written in a JSON body, where it is there: as a number, as a string, or as either, which is the default.
    /// With one of the two named, the other is refused as malformed.
    pub fn timestamp_json(mut self, form: JsonForm) -> Self {
        self.timestamp_json = Some(form);
        self
    }

    // What the delivery says about itself.

    /// Where the delivery's id is, which must be the same on every attempt.
    pub fn id(mut self, field: Field) -> Self {
        self.id = Some(field);
        self
    }

    /// Where the event type is.
    pub fn event_type(mut self, field: Field) -> Self {
        self.event_type = Some(field);
        self
    }

    /// Where the version of the sender's API is.
    pub fn api_version(mut self, field: Field) -> Self {
        self.api_version = Some(field);
        self
    }

    /// Where the sender counts its attempts, and what the count is on the first one.
    pub fn attempt(mut self, field: Field, first: u32) -> Self {
        self.attempt = Some((field, first));
        self
    }

    /// Where live data and test data are told apart, and what is there for live data.
    pub fn live(mut self, field: Field, value: impl Into<Cow<'static, str>>) -> Self {
        self.live = Some((field, value.into()));
        self
    }

    /// Where the sender's account that an event is about is, for [`Delivery::account`](crate::Delivery::account).
    pub fn account(mut self, field: Field) -> Self {
        self.account = Some(field);
        self
    }

    /// Where in the JSON body the payload is; the whole body by default. A handler that asks for the payload of an event
    /// without this place is not run: the answer is 422.
    pub fn payload(mut self, pointer: impl Into<Cow<'static, str>>) -> Self {
        (self.payload, self.or_envelope) = (pointer.into(), false);
        self
    }

    /// Where in the JSON body the payload is, for a sender that also has events without this place: their payload is the
    /// envelope, which is the whole body.
    pub fn payload_or_envelope(mut self, pointer: impl Into<Cow<'static, str>>) -> Self {
        (self.payload, self.or_envelope) = (pointer.into(), true);
        self
    }

    /// The sender also posts forms (`application/x-www-form-urlencoded`), or nothing else, and they are read so. The raw form
    /// is what is signed.
    pub fn form(mut self, form: Form) -> Self {
        self.form = Some(form);
        self
    }

    /// The sender puts several deliveries into one request: an array at this JSON pointer of the body. The handler runs once
    /// for each item, in order; the request is a success when all of them are, else the answer is the first failing one.
    ///
    /// JSON pointers of [`id`](Self::id), [`event_type`](Self::event_type), [`payload`](Self::payload) and the like are then
    /// those of an item. An id that is not in the item is none.
    pub fn batch(mut self, pointer: impl Into<Cow<'static, str>>) -> Self {
        self.batch = Some(pointer.into());
        self
    }

    // What is answered.

    /// Adds a handshake.
    pub fn handshake(mut self, handshake: Handshake) -> Self {
        self.handshakes.push(handshake);
        self
    }

    /// The methods that deliveries come by; POST by default. The methods of handshakes need not be named.
    pub fn methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.methods = methods.into_iter().collect();
        self
    }

    /// What the provider prescribes as an answer to a delivery that the crate itself acknowledges. By default it prescribes
    /// nothing: the answer is 200 and says why.
    pub fn success(mut self, answer: Answer) -> Self {
        self.success = Some(answer);
        self
    }

    /// The status of every authentication failure; 401 by default.
    pub fn refused(mut self, status: StatusCode) -> Self {
        self.refused = status;
        self
    }

    /// The largest body that the provider sends, in bytes; 1 MiB by default.
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// How long the provider may repeat a delivery, where that is longer than the 7 days for which an id is kept anyway.
    pub fn retries_for(mut self, span: Duration) -> Self {
        self.retention = Some(span);
        self
    }

    /// No two events of this sender have equal bodies, so that a delivery without an id is known by its body. Say so only where
    /// the sender's documentation shows it, by a time in milliseconds or a name of each event's own in the body.
    ///
    /// Where it is not said, idempotency runs a delivery without an id each time that it comes, unless the application chooses
    /// otherwise (`IdempotencyLayer::with_missing_id`): what runs twice can be noticed, and what was taken for a copy is lost.
    pub fn bodies_are_unique(mut self) -> Self {
        self.unique_bodies = true;
        self
    }

    /// The sender signs the bytes on the wire, so that a body with a `Content-Encoding` may pass. It is not decoded.
    pub fn signs_encoded_bodies(mut self) -> Self {
        self.encoded_bodies = true;
        self
    }

    /// The sender signs JSON objects alone. Where its URL stands directly before the body, no text that it has signed can then be
    /// cut in another way, whatever body comes.
    pub(crate) fn json_alone(mut self) -> Self {
        self.json_alone = true;
        self
    }

    /// The sender's JSON has line breaks, so that a body without one is not as it was sent, unless it holds `mark`.
    pub(crate) fn indented_json_unless(mut self, mark: &'static str) -> Self {
        self.indented_json = Some(mark);
        self
    }

    /// Checks that the declaration is whole and makes a scheme of it.
    ///
    /// # Errors
    /// When something is missing or contradicts something else; the message says what.
    pub fn build(self) -> Result<Scheme, ConfigError> {
        let places = |field: &Option<Field>| field.as_ref().map(Field::compile).transpose();
        let content = self.content.as_deref().map(content::parse).transpose()?.unwrap_or_default();
        let (timestamp, id) = (places(&self.timestamp)?, places(&self.id)?);
        let key_id = places(&self.key_id)?;
        if key_id.as_ref().is_some_and(|places| places.pointers().next().is_some()) {
            return Err(error(
                "the id of a key is looked for before the body is read; take a header or the query for it",
            ));
        }
        let locate = self.compile_locate()?;
        let coverage = self.check(&content, timestamp.as_ref(), id.as_ref())?;
        let signs_challenges = self.signs_challenges(&content)?;
        let payload = json_pointer(&self.payload)?;
        let families = Template::families(&locate);
        check_families(families, timestamp.iter().chain(&id))?;

        let mut layout = Layout::new(Arc::from(&*self.name), payload, families);
        if self.or_envelope {
            layout.set_or_envelope();
        }
        let is_form = self.form.is_some();
        if let Some(form) = self.form {
            layout.set_form(form);
        }
        let facts = [
            (Fact::Account, places(&self.account)?),
            (Fact::ApiVersion, places(&self.api_version)?),
            (Fact::Attempt, self.attempt.as_ref().map(|(field, _)| field.compile()).transpose()?),
            (Fact::EventType, places(&self.event_type)?),
            (Fact::Id, id.clone()),
            (Fact::Mode, self.live.as_ref().map(|(field, _)| field.compile()).transpose()?),
        ];
        for (fact, places) in facts {
            if let Some(places) = places {
                layout.set(fact, places);
            }
        }
        if let Some(pointer) = &self.batch {
            layout.set_batch(json_pointer(pointer)?);
        }
        if let Some((_, first)) = &self.attempt {
            layout.set_first_attempt(*first);
        }
        if let Some((_, live)) = self.live {
            layout.set_live(live.into_owned());
        }

        let in_body = |places: Option<&Places>| places.is_some_and(|places| places.pointers().next().is_some());
        let deferred = content.iter().any(|part| match part {
            Part::Json(_) => true,
            Part::Id => in_body(id.as_ref()),
            Part::Timestamp => in_body(timestamp.as_ref()),
            _ => false,
        });
        let unit = self.unit.unwrap_or(TimestampUnit::Seconds);
        let tolerance = self.tolerance.unwrap_or(Some(DEFAULT_TOLERANCE));
        let json = self.timestamp_json.unwrap_or(JsonForm::Either);
        let freshness = timestamp.map(|places| Freshness { places, unit, tolerance, json });
        let compile = |handshake: Handshake| handshake.compile(&self.methods);
        let handshakes = self.handshakes.into_iter().map(compile).collect::<Result<_, _>>()?;
        let rules = cuts::rules(&content, freshness.as_ref(), &self.methods).map_err(error)?;
        if is_form && rules.iter().any(|rule| matches!(rule, Rule::UrlBeforeBody(_))) {
            return Err(error(
                "a form directly behind `{url}` in the signed text begins like a URL goes on: an attacker could move the cut, and the \
                 signature would stay right; take `.form(…)` away, or put the text that the sender has between them there",
            ));
        }
        Ok(Scheme::declared(Template {
            settings: Settings::default(),
            layout: Arc::new(layout),
            algorithm: self.algorithm,
            locate,
            every_line: self.every_line,
            grammar: self.grammar,
            encoding: self.encoding,
            key: KeyText {
                form: self.key_form,
                prefix: self.key_prefix.map(Cow::into_owned),
                with_id: self.key_id.is_some(),
                without: self.key_without,
            },
            key_id,
            secret_prefix: self.secret_prefix.map(Cow::into_owned),
            secret_length: self.secret_length,
            indented_json: self.indented_json,
            content,
            rules,
            json_alone: self.json_alone,
            deferred,
            freshness,
            id,
            coverage,
            signs_challenges,
            handshakes,
            methods: self.methods,
            success: self.success,
            refused: self.refused,
            body_limit: self.body_limit,
            retention: self.retention,
            unique_bodies: self.unique_bodies,
            encoded_bodies: self.encoded_bodies,
        }))
    }

    /// Whether an unsigned challenge could be the signed text of a delivery, which then is looked at.
    fn signs_challenges(&self, content: &[Part]) -> Result<bool, ConfigError> {
        let same_mac = self.algorithm == Algorithm::Mac(MacAlgorithm::Sha256);
        if !same_mac || !self.handshakes.iter().any(Handshake::signs_for_anybody) {
            return Ok(false);
        }
        let is_apart = |part: &Part| matches!(part, Part::Literal(text) if !text.bytes().all(is_in_challenges));
        if content.iter().any(is_apart) {
            return Ok(false);
        }
        if content.iter().any(|part| matches!(part, Part::Body)) {
            return Ok(true);
        }
        Err(error(
            "anybody could have a delivery signed by the unsigned challenge: its answer is made with the key that signs them, and \
             the signed text may be a challenge; add `.signed()` to the handshake",
        ))
    }

    fn compile_locate(&self) -> Result<Locate, ConfigError> {
        let names =
            |names: &[Cow<'static, str>]| names.iter().map(|name| header_name(name)).collect::<Result<Vec<_>, _>>();
        Ok(match &self.locate {
            Some(RawLocate::Headers(headers)) => Locate::Headers(names(headers)?),
            Some(RawLocate::EachHeader(headers)) if headers.is_empty() => {
                return Err(error("the list of signature headers is empty"));
            }
            Some(RawLocate::EachHeader(headers)) => Locate::EachHeader(names(headers)?),
            Some(RawLocate::Numbered(prefix)) => Locate::Numbered(
                (1..=MOST_CANDIDATES)
                    .map(|number| header_name(&format!("{prefix}{number}")))
                    .collect::<Result<Vec<HeaderName>, _>>()?,
            ),
            Some(RawLocate::Query(key)) => Locate::Query(key.clone().into_owned()),
            Some(RawLocate::Json(pointer)) => Locate::Json(json_pointer(pointer)?),
            None if self.algorithm == Algorithm::Unsigned => Locate::Query(String::new()),
            None => return Err(error("it does not say where the signature is; add `.header(\"…\")`")),
        })
    }

    /// Checks that the parts fit, and tells what the signature binds.
    fn check(
        &self,
        content: &[Part],
        timestamp: Option<&Places>,
        id: Option<&Places>,
    ) -> Result<Coverage, ConfigError> {
        let has = |wanted: fn(&Part) -> bool| content.iter().any(wanted);
        let signed = matches!(self.algorithm, Algorithm::Hash(_) | Algorithm::Mac(_) | Algorithm::Public(_));
        if signed && content.is_empty() {
            return Err(error("it does not say what is signed; add `.signs(\"{body}\")`"));
        }
        if !signed && !content.is_empty() {
            return Err(error("a token or an unsigned scheme signs nothing; take `.signs(…)` away"));
        }
        if signed && self.encoding.is_none() {
            return Err(error("it does not say how the signature is written; add `.hex()` or `.base64()`"));
        }
        let is_public = matches!(self.algorithm, Algorithm::Public(_));
        let is_ed25519 = self.algorithm == Algorithm::Public(PublicAlgorithm::Ed25519);
        if is_public && !is_ed25519 && self.key_form != KeyForm::PublicKeyInfo {
            return Err(error("a public key of this algorithm is written as PEM; add `.key_pem()`"));
        }
        if self.key_form == KeyForm::PublicKeyInfo && (!is_public || is_ed25519) {
            return Err(error("`.key_pem()` is for public keys of ECDSA and RSA"));
        }
        if self.key_form == KeyForm::StandardWebhooksPublic && !is_ed25519 {
            return Err(error(
                "`.key_standard_webhooks_public()` is for `Scheme::ed25519()`: a public key is no secret",
            ));
        }
        if is_public && self.handshakes.iter().any(Handshake::needs_secret) {
            return Err(error("a challenge is answered with a shared secret, and a public key is none"));
        }
        if matches!(self.algorithm, Algorithm::Hash(_)) != has(|part| matches!(part, Part::Secret)) {
            return Err(error("`{secret}` stands in the signed text of a plain hash, and nowhere else"));
        }
        let reads_key = self.key_form != KeyForm::Utf8
            || self.key_prefix.is_some()
            || !self.key_without.is_empty()
            || self.key_id.is_some();
        if reads_key && matches!(self.algorithm, Algorithm::Hash(_) | Algorithm::Unsigned) {
            return Err(error("a plain hash holds the secret's text as it is; take `.key_…(…)` away"));
        }
        if self.key_prefix.as_deref().is_some_and(str::is_empty) {
            return Err(error("`.key_prefix(…)` needs a text"));
        }
        if self.key_without.iter().any(String::is_empty) {
            return Err(error("`.key_without(…)` needs texts"));
        }
        if !self.grammar.keys.is_empty() && self.grammar.pairs.is_none() {
            return Err(error("`.key(…)` needs `.pairs(…)`"));
        }
        if self.grammar.pairs.is_some() && self.grammar.keys.is_empty() {
            return Err(error("`.pairs(…)` needs `.key(…)`, to tell which of them is the signature"));
        }
        let in_signature = |places: Option<&Places>| {
            places.is_some_and(|places| places.places.iter().any(|place| matches!(place, Place::Param(_))))
        };
        let params = has(|part| matches!(part, Part::Param(_))) || in_signature(timestamp) || in_signature(id);
        if params && self.grammar.pairs.is_none() {
            return Err(error("a parameter of the signature header needs `.pairs(…)`"));
        }
        if has(|part| matches!(part, Part::Id)) && id.is_none() {
            return Err(error("`{id}` needs `.id(…)`"));
        }
        let body = has(|part| matches!(part, Part::Body));
        if body && matches!(self.locate, Some(RawLocate::Json(_))) {
            return Err(error("a signature in the body cannot sign that body"));
        }
        if self.batch.is_some()
            && id.is_some_and(|places| places.places.iter().any(|place| !matches!(place, Place::Json(_))))
        {
            return Err(error("in a batch the id is in the item, or all items would have one id"));
        }
        let is_signed = |place: &Place| match place {
            Place::Json(pointer) => {
                body || content.iter().any(|part| matches!(part, Part::Json(signed) if signed == pointer))
            }
            Place::Header(name) => content.iter().any(|part| matches!(part, Part::Header(signed) if signed == name)),
            Place::HeaderIf(..) => false,
            Place::Nowhere => true,
            Place::Param(key) => content.iter().any(|part| matches!(part, Part::Param(signed) if signed == key)),
            Place::Query(key) => content.iter().any(|part| matches!(part, Part::Query(signed) if signed == key)),
        };
        let in_signed_body =
            |places: &Places| body && places.places.iter().all(|place| matches!(place, Place::Json(_)));
        let timestamp_part = has(|part| matches!(part, Part::Timestamp));
        let timestamp_is_signed = timestamp_part || timestamp.is_some_and(in_signed_body);
        if timestamp_part && timestamp.is_none() {
            return Err(error("`{timestamp}` needs `.timestamp(…)`"));
        }
        if timestamp.is_none() && (self.unit.is_some() || self.tolerance.is_some()) {
            return Err(error("a unit or a window is that of a timestamp; add `.timestamp(…)`"));
        }
        if self.timestamp_json.is_some() && timestamp.is_none_or(|places| places.pointers().next().is_none()) {
            return Err(error("`.timestamp_json(…)` is for a timestamp in the body; add `.timestamp(Field::json(…))`"));
        }
        if self.tolerance.flatten().is_some_and(|tolerance| tolerance > WIDEST_WINDOW) {
            return Err(error("a window of more than 10 years is none; declare `.insecure_no_replay_window()`"));
        }
        if timestamp.is_some_and(|places| places.joined.is_some()) {
            return Err(error("a timestamp is one field; take `.joined(…)` away"));
        }
        if timestamp.is_some() && !timestamp_is_signed {
            return Err(error(
                "the timestamp is not signed, so that it proves nothing; put `{timestamp}` into the signed text",
            ));
        }
        // `{id}` is the first part of an id that is joined from two.
        let id_is_signed = id.is_some_and(|places| {
            let first = has(|part| matches!(part, Part::Id)) || places.places.iter().all(is_signed);
            first && places.joined.iter().flat_map(|joined| &joined.places).all(is_signed)
        });
        Ok(Coverage { body, id: id_is_signed, timestamp: timestamp_is_signed })
    }
}

fn check_families<'p>(families: usize, fields: impl Iterator<Item = &'p Places>) -> Result<(), ConfigError> {
    for places in fields {
        let headers = places.places.iter().filter(|place| matches!(place, Place::Header(_))).count();
        if families > 1 && headers > 1 && places.places.len() != families {
            return Err(error("a field has as many headers as there are signature headers, or one"));
        }
    }
    Ok(())
}

impl TryFrom<SchemeBuilder> for Scheme {
    type Error = ConfigError;

    fn try_from(builder: SchemeBuilder) -> Result<Self, ConfigError> {
        builder.build()
    }
}

fn error(message: &'static str) -> ConfigError {
    ConfigError::new(ConfigErrorKind::Scheme, format!("the scheme is not whole: {message}"))
}
