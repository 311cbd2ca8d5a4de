//! The other side of a declared scheme: the same data that verifies a request also signs one, for tests.

mod body;
mod signatures;

use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use serde_json::{Map, Value, value::RawValue};

use super::{
    content::{Listed, Part},
    jwt::{Detached, UrlClaim},
    key_form::KeyForm,
    look::CONTENTFUL_LIST,
    message,
    scheme::{Kind, Scheme},
    settings::Accounts,
    template::{Algorithm, Locate, Needed, Template},
};
use crate::{
    delivery::Fact,
    error::{ConfigError, ConfigErrorKind},
    field::{Place, Places},
    form::{self, Form},
    head::Head,
    json::Pointer,
    secret::Secret,
    signature::{Encoding, HashAlgorithm, PlainHash, PrivateKey},
};

/// The request to sign. Facts are written to the scheme's places for them.
#[derive(Debug, Clone)]
pub(crate) struct Unsigned {
    pub(crate) method: Option<Method>,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) content: Content,
    pub(crate) id: Option<String>,
    pub(crate) event_type: Option<String>,
    pub(crate) api_version: Option<String>,
    /// Which of the alternative signature headers is used; the first by default.
    pub(crate) header: Option<HeaderName>,
    pub(crate) tampered: bool,
    pub(crate) shape: Shape,
}

/// The format of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A form whose fields are the payload.
    Fields,
    /// A form with the JSON in the field that the scheme names.
    Form,
    Json,
}

#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// The whole body, unchanged.
    Body(Bytes),
    /// The payload; the envelope is built around it.
    Payload(Value),
}

/// A request, signed.
#[derive(Debug)]
pub(crate) struct Signed {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// The value of a signed part that is not a fact about the delivery, such as a nonce.
const FILLER: &str = "test";

impl Scheme {
    /// Signs a request with each of `secrets`, as the sender would at `now`.
    pub(crate) fn sign(&self, unsigned: Unsigned, secrets: &[Secret], now: SystemTime) -> Result<Signed, ConfigError> {
        let Kind::Declared(template) = &self.kind else {
            return Err(self.unsignable("it is written in code, which can verify and not sign; sign by hand"));
        };
        if template.signs_url() && template.settings.public_url.is_none() {
            return Err(self.unsignable("it signs the URL; add `.public_url(\"https://…\")`"));
        }
        if unsigned.tampered && template.algorithm == Algorithm::Unsigned {
            return Err(self.unsignable("nothing of it is checked, so that nothing can be tampered with"));
        }
        let family = self.family(template, unsigned.header.as_ref())?;
        let mut draft = Draft {
            scheme: self,
            template,
            family,
            method: unsigned.method.or_else(|| template.methods.first().cloned()).unwrap_or(Method::POST),
            uri: unsigned.uri,
            headers: unsigned.headers,
            params: Vec::new(),
            body: Vec::new(),
            shape: self.shape(unsigned.shape),
            secret_id: None,
            token_header: Map::new(),
            claims: Map::new(),
            token: String::new(),
        };
        draft.write_body(unsigned.content, unsigned.id.as_deref(), unsigned.event_type.as_deref())?;
        draft.place_facts(unsigned.id.as_deref(), unsigned.event_type.as_deref(), unsigned.api_version.as_deref())?;
        draft.place_timestamp(now)?;
        if let Some(places) = &template.key_id {
            let id = secrets.first().and_then(|secret| template.key.id(secret.expose())).unwrap_or(FILLER.as_bytes());
            let id = String::from_utf8_lossy(id);
            // Of the senders that name a certificate in the head there is one.
            let certificate = "https://api.paypal.com/v1/notifications/certs/CERT-test";
            draft.place_in_head(places, if template.key_url.is_some() { certificate } else { &id })?;
        }
        for (name, value) in &template.required_headers {
            draft.headers.insert(name.clone(), HeaderValue::from_static(value));
        }
        draft.fill()?;
        // A signature that is in the JSON of a form is there before the form is written.
        let in_json = draft.shape == Shape::Form && matches!(template.locate, Locate::Json(_));
        if !in_json {
            draft.write_form()?;
        }
        draft.place_digest()?;
        draft.place_claims(now)?;
        draft.place_signatures(secrets, unsigned.tampered)?;
        if in_json {
            draft.write_form()?;
        }
        let Draft { method, uri, headers, body, .. } = draft;
        Ok(Signed { method, uri, headers, body: body.into() })
    }

    /// What a body is written as that was asked for in this shape.
    pub(crate) fn shape(&self, wanted: Shape) -> Shape {
        match &self.kind {
            Kind::Declared(template) if template.forms_alone && wanted == Shape::Json => {
                let has_fields = template.layout.form().is_some_and(Form::has_fields);
                if has_fields { Shape::Fields } else { Shape::Form }
            }
            _ => wanted,
        }
    }

    /// Returns the receiver's secret for a sender that signs with `secret`: the same, or the public key.
    pub(crate) fn secret_of_receiver(&self, secret: &Secret) -> Result<Secret, ConfigError> {
        let Kind::Declared(template) = &self.kind else { return Ok(secret.clone()) };
        let Algorithm::Public(algorithm) = template.algorithm else { return Ok(secret.clone()) };
        let key = PrivateKey::parse_for(algorithm, secret.expose())?;
        match template.key.form {
            KeyForm::StandardWebhooksPublic => Secret::new(key.public_text()),
            KeyForm::Hex => Secret::new(Encoding::Hex.encode(&key.public_bytes())),
            KeyForm::Utf8 => Secret::from_bytes(key.public_bytes()),
            KeyForm::Base64
            | KeyForm::PublicKeyInfo
            | KeyForm::Sha1
            | KeyForm::StandardWebhooks
            | KeyForm::StandardWebhooksOrText => Secret::new(Encoding::Base64.encode(&key.public_bytes())),
        }
    }

    fn family(&self, template: &Template, header: Option<&HeaderName>) -> Result<usize, ConfigError> {
        let Some(header) = header else { return Ok(0) };
        match &template.locate {
            Locate::Headers(names) => names.iter().position(|name| name == header),
            _ => None,
        }
        .ok_or_else(|| self.unsignable(&format!("`{header}` is not one of its signature headers")))
    }

    fn unsignable(&self, why: &str) -> ConfigError {
        ConfigError::new(ConfigErrorKind::Scheme, format!("no request of `{}` can be signed: {why}", self.name()))
    }
}

/// A request while it is being put together.
struct Draft<'a> {
    scheme: &'a Scheme,
    template: &'a Template,
    family: usize,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    /// Other items of the signature header.
    params: Vec<(String, String)>,
    body: Vec<u8>,
    shape: Shape,
    /// The id of the first secret, if ids select the signatures.
    secret_id: Option<String>,
    /// Of the header of the token that is the signature, beside its algorithm.
    token_header: Map<String, Value>,
    /// Of the token that is the signature.
    claims: Map<String, Value>,
    /// The token without its signature.
    token: String,
}

impl Draft<'_> {
    fn head(&self) -> Head<'_> {
        Head::new(&self.method, &self.uri, &self.headers)
    }

    /// Puts the facts that have their place in the head.
    fn place_facts(
        &mut self,
        id: Option<&str>,
        event_type: Option<&str>,
        api_version: Option<&str>,
    ) -> Result<(), ConfigError> {
        let template = self.template;
        let id_places = template.layout.places(Fact::Id).or(template.id.as_ref());
        for (places, text) in [
            (id_places, id),
            (template.layout.places(Fact::EventType), event_type),
            (template.layout.places(Fact::ApiVersion), api_version),
        ] {
            let (Some(places), Some(text)) = (places, text) else { continue };
            let (base, joined) = match event_type {
                // An id that is joined with the event type, as Shopify's, is the text before it.
                Some(event_type) if std::ptr::eq(text, id.unwrap_or_default()) && places.joined.is_some() => {
                    (text.strip_suffix(event_type).and_then(|base| base.strip_suffix('.')).unwrap_or(text), None)
                }
                _ => split(places, text),
            };
            self.place_in_head(places, base)?;
            if let Some((joined, text)) = joined {
                self.place_in_head(joined, text)?;
            }
        }
        if let (Some(text), Some(Place::Json(pointer))) =
            (api_version, template.layout.places(Fact::ApiVersion).and_then(|places| self.first(places)))
        {
            let pointer = pointer.clone();
            self.edit_body(&pointer, text.into())?;
        }
        Ok(())
    }

    /// The timestamp, in the scheme's unit.
    fn place_timestamp(&mut self, now: SystemTime) -> Result<(), ConfigError> {
        let Some(freshness) = &self.template.freshness else { return Ok(()) };
        let text = freshness.unit.write(now);
        let text = text.ok_or_else(|| self.scheme.unsignable("the time is out of the calendar"))?;
        let value = text.parse::<u64>().map_or_else(|_| Value::from(text.clone()), Value::from);
        match self.first(&freshness.places) {
            Some(Place::Claim(name)) => {
                self.claims.insert(name.clone(), value);
                Ok(())
            }
            Some(Place::Json(pointer)) => {
                let pointer = pointer.clone();
                self.edit_body(&pointer, value)
            }
            _ => self.place_in_head(&freshness.places, &text),
        }
    }

    /// Writes the digest of the body to the scheme's place for it.
    fn place_digest(&mut self) -> Result<(), ConfigError> {
        let Some(digest) = &self.template.digest else { return Ok(()) };
        let needed = match digest.needed {
            Needed::Always | Needed::UnlessEmpty => true,
            Needed::BesideForms => form::sorted(&self.body).is_none(),
        };
        let Some(encoding) = digest.encoding else {
            if let (false, Place::Header(name)) = (self.body.is_empty(), &digest.place) {
                let text = message::digest(&self.body);
                let value = HeaderValue::from_str(&text)
                    .map_err(|_| self.scheme.unsignable("its digest is not a valid header value"))?;
                self.headers.insert(name.clone(), value);
            }
            return Ok(());
        };
        if !needed {
            return Ok(());
        }
        let mut hash = PlainHash::new(HashAlgorithm::Sha256);
        hash.update(&self.body);
        let text = encoding.encode(hash.finish().as_bytes());
        self.place_in_head(&Places { places: vec![digest.place.clone()], joined: None }, &text)
    }

    /// Adds the claims that the scheme requires to the token.
    fn place_claims(&mut self, now: SystemTime) -> Result<(), ConfigError> {
        let Some(jwt) = &self.template.jwt else { return Ok(()) };
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        for (name, text) in &jwt.claims {
            let value = match (&**name, text) {
                (_, Some(text)) => Value::from(&**text),
                ("exp", None) => Value::from(now + 300),
                ("iat" | "nbf", None) => Value::from(now),
                (_, None) => Value::from(FILLER),
            };
            self.claims.entry(name.clone().into_owned()).or_insert(value);
        }
        for name in jwt.of_application {
            self.claims.insert((*name).to_owned(), FILLER.into());
        }
        for (name, text) in &self.template.settings.claims {
            self.claims.insert(name.clone(), text.as_str().into());
        }
        if let Some((name, form)) = &jwt.url {
            let url = self.template.settings.url(self.head());
            let text = match form {
                UrlClaim::Itself => url,
                UrlClaim::HexDigest => {
                    let mut hash = PlainHash::new(HashAlgorithm::Sha256);
                    hash.update(url.as_bytes());
                    Encoding::Hex.encode(hash.finish().as_bytes())
                }
            };
            self.claims.insert(name.clone().into_owned(), text.into());
        }
        Ok(())
    }

    /// Fills whatever else is signed and not there.
    fn fill(&mut self) -> Result<(), ConfigError> {
        let template = self.template;
        if let Some(items) = &template.items {
            let found = crate::json::payload::<Vec<&RawValue>>(&self.body, items, &[]);
            if found.is_ok_and(|(found, _)| found.is_none_or(|found| found.is_empty())) {
                self.edit_body(items, Value::Array(vec![Value::Object(Map::new())]))?;
            }
        }
        if let Accounts::These(accounts) = &template.settings.accounts
            && let Some(account) = accounts.first()
            && let Some(Place::Json(pointer)) =
                template.layout.places(Fact::Account).and_then(|places| self.first(places))
            && !self.holds(pointer)
        {
            self.edit_body(&pointer.clone(), account.as_str().into())?;
        }
        for part in &template.content {
            match part {
                Part::Listed(Listed::Contentful) => {
                    let list = HeaderValue::from_static("x-contentful-signed-headers,x-contentful-timestamp");
                    self.headers.insert(HeaderName::from_static(CONTENTFUL_LIST), list);
                }
                Part::Listed(Listed::Hook0) => {
                    let id = HeaderName::from_static("x-event-id");
                    self.params.push(("h".to_owned(), id.to_string()));
                    self.headers.entry(id).or_insert(HeaderValue::from_static(FILLER));
                }
                Part::AwsSns => {
                    let own = [
                        ("/Message", FILLER),
                        ("/MessageId", FILLER),
                        ("/TopicArn", "arn:aws:sns:us-east-1:123456789012:test"),
                        ("/Type", "Notification"),
                        ("/SignatureVersion", "2"),
                        (
                            "/SigningCertURL",
                            "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-00000000000000000000000000000000.pem",
                        ),
                    ];
                    for (pointer, text) in own {
                        let pointer = Pointer::parse(pointer).unwrap_or_default();
                        if !self.holds(&pointer) {
                            self.edit_body(&pointer, text.into())?;
                        }
                    }
                }
                Part::DetachedJws(Detached::TrueLayer) => {
                    self.token_header.insert("tl_version".to_owned(), "2".into());
                    self.token_header.insert("tl_headers".to_owned(), "X-Tl-Webhook-Timestamp".into());
                    let name = HeaderName::from_static("x-tl-webhook-timestamp");
                    self.headers.entry(name).or_insert(HeaderValue::from_static(FILLER));
                }
                Part::Header(name) if !self.headers.contains_key(name) => {
                    self.headers.insert(name.clone(), HeaderValue::from_static(FILLER));
                }
                Part::Json(pointer) => {
                    let pointer = self.pointer(pointer);
                    if !self.holds(&pointer) {
                        self.edit_body(&pointer, FILLER.into())?;
                    }
                }
                Part::Param(key) if !self.params.iter().any(|(present, _)| present == key) => {
                    self.params.push((key.clone(), FILLER.to_owned()));
                }
                Part::Query(key) if self.head().query(key).is_ok_and(|value| value.is_none()) => {
                    self.add_query(key, FILLER)?;
                }
                Part::Id => {
                    let known = template.id.as_ref().and_then(|places| self.first(places));
                    if let Some(Place::Json(pointer)) = known {
                        let pointer = self.pointer(pointer);
                        if !self.holds(&pointer) {
                            self.edit_body(&pointer, FILLER.into())?;
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Where something that is signed is in the body: of an array with signed items in the first one, which is the only one.
    fn pointer(&self, pointer: &Pointer) -> Pointer {
        match &self.template.items {
            Some(items) => items.item(0, pointer),
            None => pointer.clone(),
        }
    }

    fn signature_header(&self) -> Option<HeaderName> {
        match &self.template.locate {
            Locate::Headers(names) => names.get(self.family).cloned(),
            Locate::EachHeader(names) | Locate::Numbered(names) => names.first().cloned(),
            Locate::Json(_) | Locate::Query(_) => None,
        }
    }

    /// The place that a fact goes to: the first of its family's.
    fn first<'p>(&self, places: &'p Places) -> Option<&'p Place> {
        places
            .of_family(self.family, Template::families(&self.template.locate))
            .map(|(_, place)| place)
            .find(|place| !matches!(place, Place::HeaderIf(..)))
    }

    fn place_in_head(&mut self, places: &Places, text: &str) -> Result<(), ConfigError> {
        // A header that says one thing is for that thing alone.
        let says_it = |place: &&Place| matches!(place, Place::HeaderIf(_, value) if value == text);
        if let Some(Place::HeaderIf(name, value)) = places.places.iter().find(says_it)
            && let Ok(value) = HeaderValue::from_str(value)
        {
            self.headers.insert(name.clone(), value);
            return Ok(());
        }
        match self.first(places) {
            Some(Place::Header(name)) => {
                let value = HeaderValue::from_str(text)
                    .map_err(|_| self.scheme.unsignable(&format!("`{text}` does not fit into the header `{name}`")))?;
                self.headers.insert(name.clone(), value);
            }
            Some(Place::Param(key)) => self.params.push((key.clone(), text.to_owned())),
            Some(Place::Query(key)) => self.add_query(&key.clone(), text)?,
            Some(Place::Claim(name)) => _ = self.claims.insert(name.clone(), text.into()),
            Some(Place::TokenHeader(name)) => _ = self.token_header.insert(name.clone(), text.into()),
            Some(Place::HeaderIf(..) | Place::Json(_) | Place::Nowhere) | None => {}
        }
        Ok(())
    }

    fn add_query(&mut self, key: &str, text: &str) -> Result<(), ConfigError> {
        let encode =
            |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
        let separator = if self.uri.query().is_some() { '&' } else { '?' };
        let uri = format!("{}{separator}{}={}", self.uri, encode(key), encode(text));
        self.uri = uri.parse().map_err(|_| self.scheme.unsignable("its query does not fit into a URI"))?;
        Ok(())
    }
}

/// A fact's text in the parts that its places want: `issues.opened` is `issues` and `opened` where two are joined.
fn split<'t, 'p>(places: &'p Places, text: &'t str) -> (&'t str, Option<(&'p Places, &'t str)>) {
    match (&places.joined, text.split_once('.')) {
        (Some(joined), Some((base, rest))) => (base, Some((joined, rest))),
        _ => (text, None),
    }
}
