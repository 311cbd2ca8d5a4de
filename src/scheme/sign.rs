//! The other side of a declared scheme: the same data that verifies a request also signs one, for tests.

use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{
    Kind, Scheme,
    arrived::Arrived,
    content::Part,
    key_form::KeyForm,
    template::{Algorithm, Locate, Look, Piece, Render, Template},
};
use crate::{
    delivery::Fact,
    error::{ConfigError, ConfigErrorKind},
    field::{Place, Places},
    form::{self, Form},
    head::Head,
    json::Pointer,
    secret::Secret,
    signature::{Encoding, MacState, PlainHash, PrivateKey, Tag},
};

/// What is to be signed. Facts are put where the scheme has its place for them.
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

/// What the body is written as.
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
    /// The whole body, as it is.
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

/// What stands where a scheme signs something that is no fact about the delivery, such as a nonce.
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
            shape: unsigned.shape,
        };
        draft.write_body(unsigned.content, unsigned.id.as_deref(), unsigned.event_type.as_deref())?;
        draft.place_facts(unsigned.id.as_deref(), unsigned.event_type.as_deref(), unsigned.api_version.as_deref())?;
        draft.place_timestamp(now)?;
        if let Some(places) = &template.key_id {
            let id = secrets.first().and_then(|secret| template.key.id(secret.expose())).unwrap_or(FILLER.as_bytes());
            draft.place_in_head(places, &String::from_utf8_lossy(id))?;
        }
        draft.fill()?;
        draft.write_form()?;
        draft.place_signatures(secrets, unsigned.tampered)?;
        let Draft { method, uri, headers, body, .. } = draft;
        Ok(Signed { method, uri, headers, body: body.into() })
    }

    /// What the receiver holds where the sender signs with `secret`: the same, or the public key.
    pub(crate) fn secret_of_receiver(&self, secret: &Secret) -> Result<Secret, ConfigError> {
        let Kind::Declared(template) = &self.kind else { return Ok(secret.clone()) };
        let Algorithm::Public(algorithm) = template.algorithm else { return Ok(secret.clone()) };
        let key = PrivateKey::parse_for(algorithm, secret.expose())?;
        match template.key.form {
            KeyForm::StandardWebhooksPublic => Secret::new(key.public_text()),
            KeyForm::Hex => Secret::new(Encoding::Hex.encode(&key.public_bytes())),
            KeyForm::Utf8 => Secret::from_bytes(key.public_bytes()),
            KeyForm::Base64 | KeyForm::PublicKeyInfo | KeyForm::StandardWebhooks | KeyForm::StandardWebhooksOrText => {
                Secret::new(Encoding::Base64.encode(&key.public_bytes()))
            }
        }
    }

    fn family(&self, template: &Template, header: Option<&HeaderName>) -> Result<usize, ConfigError> {
        let Some(header) = header else { return Ok(0) };
        match &template.locate {
            Locate::Headers(names) => names.iter().position(|name| name == header),
            _ => None,
        }
        .ok_or_else(|| self.unsignable(&format!("`{header}` is none of its signature headers")))
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
    /// Of the signature header, beside the signature itself.
    params: Vec<(String, String)>,
    body: Vec<u8>,
    shape: Shape,
}

impl Draft<'_> {
    fn head(&self) -> Head<'_> {
        Head::new(&self.method, &self.uri, &self.headers)
    }

    /// Writes the body, with the facts that have their place in it.
    fn write_body(&mut self, content: Content, id: Option<&str>, event_type: Option<&str>) -> Result<(), ConfigError> {
        let payload = match content {
            Content::Body(body) => {
                self.body = body.to_vec();
                return Ok(());
            }
            Content::Payload(payload) => payload,
        };
        let layout = &self.template.layout;
        if self.shape == Shape::Fields {
            return self.write_fields(payload, id, event_type);
        }
        let mut envelope = Value::Object(Map::new());
        self.put(&mut envelope, layout.payload(), payload)?;
        // The type was asked for by name; an id of the payload's own is left to it.
        if let (Some(text), Some(places)) = (event_type, layout.places(Fact::EventType)) {
            let (base, joined) = split(places, text);
            if let Some(Place::Json(pointer)) = self.first(places) {
                self.put(&mut envelope, pointer, base.into())?;
            }
            if let Some((joined, text)) = joined
                && let Some(pointer) = joined.pointers().next()
            {
                self.put(&mut envelope, pointer, text.into())?;
            }
        }
        let id_places = layout.places(Fact::Id).or(self.template.id.as_ref());
        if let (Some(id), Some(Place::Json(pointer))) = (id, id_places.and_then(|places| self.first(places))) {
            self.put(&mut envelope, pointer, id.into())?;
        }
        if let Some(batch) = layout.batch() {
            let mut whole = Value::Object(Map::new());
            self.put(&mut whole, batch, Value::Array(vec![envelope]))?;
            envelope = whole;
        }
        self.body = envelope.to_string().into_bytes();
        Ok(())
    }

    /// Writes what becomes the fields of a form: an object without a level below.
    fn write_fields(&mut self, payload: Value, id: Option<&str>, event_type: Option<&str>) -> Result<(), ConfigError> {
        let layout = &self.template.layout;
        let mut fields = payload;
        for (fact, text) in [(Fact::Id, id), (Fact::EventType, event_type)] {
            let (Some(places), Some(text)) = (layout.places(fact), text) else { continue };
            let names: Vec<_> = places.pointers().filter(|pointer| pointer.tokens().len() == 1).collect();
            // A scheme for JSON and forms names the places of its forms last.
            if let Some(place) = names.last()
                && !names.iter().any(|pointer| fields.get(&pointer.tokens()[0]).is_some())
            {
                self.put(&mut fields, place, text.into())?;
            }
        }
        self.body = fields.to_string().into_bytes();
        Ok(())
    }

    /// Makes a form of the JSON that is the body so far.
    fn write_form(&mut self) -> Result<(), ConfigError> {
        let form = self.template.layout.form();
        match self.shape {
            Shape::Json => {}
            Shape::Form => {
                let field = form
                    .and_then(Form::json_field)
                    .ok_or_else(|| self.scheme.unsignable("it names no field of a form that holds JSON"))?;
                self.body = form::write([(field, &*self.body)]);
            }
            Shape::Fields => {
                if !form.is_some_and(Form::has_fields) {
                    return Err(self.scheme.unsignable("it takes no form whose fields are the payload"));
                }
                let Ok(Value::Object(fields)) = serde_json::from_slice(&self.body) else {
                    return Err(self.scheme.unsignable("the payload of a form is an object"));
                };
                let mut pairs = Vec::new();
                for (name, value) in &fields {
                    let values = match value {
                        Value::Array(values) => values.as_slice(),
                        value => std::slice::from_ref(value),
                    };
                    for value in values {
                        let text = match value {
                            Value::Null => continue,
                            Value::String(text) => text.clone(),
                            Value::Bool(_) | Value::Number(_) => value.to_string(),
                            Value::Array(_) | Value::Object(_) => {
                                let why = format!("the field `{name}` of a form is text, or a list of texts");
                                return Err(self.scheme.unsignable(&why));
                            }
                        };
                        pairs.push((name.as_str(), text));
                    }
                }
                self.body = form::write(pairs.iter().map(|(name, text)| (*name, text.as_bytes())));
            }
        }
        Ok(())
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
            Some(Place::Json(pointer)) => {
                let pointer = pointer.clone();
                self.edit_body(&pointer, value)
            }
            _ => self.place_in_head(&freshness.places, &text),
        }
    }

    /// Fills whatever else is signed and not there.
    fn fill(&mut self) -> Result<(), ConfigError> {
        let template = self.template;
        for part in &template.content {
            match part {
                Part::Header(name) if !self.headers.contains_key(name) => {
                    self.headers.insert(name.clone(), HeaderValue::from_static(FILLER));
                }
                Part::Json(pointer) if !self.holds(pointer) => self.edit_body(pointer, FILLER.into())?,
                Part::Param(key) if !self.params.iter().any(|(present, _)| present == key) => {
                    self.params.push((key.clone(), FILLER.to_owned()));
                }
                Part::Query(key) if self.head().query(key).is_ok_and(|value| value.is_none()) => {
                    self.add_query(key, FILLER)?;
                }
                Part::Id => {
                    let known = template.id.as_ref().and_then(|places| self.first(places));
                    if let Some(Place::Json(pointer)) = known
                        && !self.holds(pointer)
                    {
                        self.edit_body(&pointer.clone(), FILLER.into())?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn place_signatures(&mut self, secrets: &[Secret], tampered: bool) -> Result<(), ConfigError> {
        let template = self.template;
        if template.algorithm == Algorithm::Unsigned {
            return Ok(());
        }
        // Parameters of the signature header are looked up in it, so that it is there, unsigned, before the text is rendered.
        if let Some(name) = self.signature_header() {
            let value = self.header_value(&[])?;
            self.headers.insert(name, value);
        }
        let tamper_body = tampered && template.coverage.body;
        let mut signatures = Vec::new();
        for secret in secrets {
            let mut signature = self.signature(secret)?;
            if tampered && !tamper_body {
                spoil(&mut signature);
            }
            signatures.push(template.encoding.map_or_else(
                || String::from_utf8_lossy(&signature).into_owned(),
                |encoding| encoding.encode(&signature),
            ));
        }
        match &template.locate {
            Locate::Headers(names) => {
                let name = names[self.family].clone();
                if template.every_line && template.grammar.items.is_none() {
                    self.headers.remove(&name);
                    for signature in signatures {
                        let value = self.header_value(&[signature])?;
                        self.headers.append(name.clone(), value);
                    }
                } else {
                    let value = self.header_value(&signatures)?;
                    self.headers.insert(name, value);
                }
            }
            Locate::EachHeader(names) | Locate::Numbered(names) => {
                if signatures.len() > names.len() {
                    return Err(self.scheme.unsignable("it has fewer signature headers than there are secrets"));
                }
                for (name, signature) in names.iter().zip(signatures) {
                    let value = self.header_value(&[signature])?;
                    self.headers.insert(name.clone(), value);
                }
            }
            Locate::Query(key) => {
                let text = self.write(&signatures)?;
                self.add_query(key, &text)?;
            }
            Locate::Json(pointer) => {
                let text = self.write(&signatures)?;
                self.edit_body(pointer, text.into())?;
            }
        }
        if tamper_body {
            // White space changes the bytes, and leaves JSON what it was: what then refuses is the signature.
            self.body.push(b' ');
        }
        Ok(())
    }

    /// The bytes of one secret's signature.
    fn signature(&self, secret: &Secret) -> Result<Vec<u8>, ConfigError> {
        let template = self.template;
        let key = match template.algorithm {
            // The receiver's secret is the public key, which cannot sign.
            Algorithm::Public(_) => Zeroizing::default(),
            _ => template.key.decode(secret.expose())?,
        };
        let arrived = Arrived::whole(self.head(), &self.body);
        let look = Look { template, arrived, family: self.family, timestamp: None };
        let render = |sink: &mut dyn FnMut(Piece<'_>)| {
            look.render(Render::All, sink)
                .map_err(|cause| self.scheme.unsignable(&format!("{cause}")).with_source(cause))
        };
        let tag: Tag = match template.algorithm {
            Algorithm::Public(algorithm) => {
                let key = PrivateKey::parse_for(algorithm, secret.expose())?;
                let mut text = Vec::new();
                render(&mut |piece| {
                    if let Piece::Bytes(bytes) = piece {
                        text.extend_from_slice(bytes);
                    }
                })?;
                key.sign(&text)
            }
            Algorithm::Hash(algorithm) => {
                let mut hash = PlainHash::new(algorithm);
                render(&mut |piece| {
                    hash.update(match piece {
                        Piece::Bytes(bytes) => bytes,
                        Piece::Secret => secret.expose(),
                    });
                })?;
                hash.finish()
            }
            Algorithm::Mac(algorithm) => {
                let mut mac = MacState::new(algorithm, &key);
                render(&mut |piece| {
                    if let Piece::Bytes(bytes) = piece {
                        mac.update(bytes);
                    }
                })?;
                mac.finish()
            }
            Algorithm::Token => return Ok(key.to_vec()),
            Algorithm::Unsigned => return Ok(Vec::new()),
        };
        Ok(tag.as_bytes().to_vec())
    }

    fn header_value(&self, signatures: &[String]) -> Result<HeaderValue, ConfigError> {
        let text = self.write(signatures)?;
        HeaderValue::from_str(&text).map_err(|_| self.scheme.unsignable("its signature does not fit into a header"))
    }

    /// Parameters and signatures by the scheme's grammar.
    fn write(&self, signatures: &[String]) -> Result<String, ConfigError> {
        let grammar = &self.template.grammar;
        let mut items = Vec::new();
        if let Some(pairs) = &grammar.pairs {
            items.extend(self.params.iter().map(|(key, text)| format!("{key}{pairs}{text}")));
            let key = grammar.keys.first().map_or("", String::as_str);
            items.extend(signatures.iter().map(|signature| format!("{key}{pairs}{signature}")));
        } else {
            items.extend(signatures.iter().cloned());
        }
        let separator = match &grammar.items {
            Some(separator) => separator.as_str(),
            None if items.len() > 1 => {
                return Err(self.scheme.unsignable("a request of it has room for one signature"));
            }
            None => "",
        };
        Ok(format!("{}{}", grammar.prefix.as_deref().unwrap_or_default(), items.join(separator)))
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

    fn holds(&self, pointer: &Pointer) -> bool {
        crate::json::scalars(&self.body, std::slice::from_ref(pointer))
            .is_ok_and(|found| found.into_iter().next().flatten().is_some())
    }

    /// Puts a value into a body that is there already.
    fn edit_body(&mut self, pointer: &Pointer, value: Value) -> Result<(), ConfigError> {
        let mut whole: Value = serde_json::from_slice(&self.body).map_err(|_| {
            self.scheme.unsignable(&format!("something has its place at `{pointer}` of a body that is no JSON"))
        })?;
        self.put(&mut whole, pointer, value)?;
        self.body = whole.to_string().into_bytes();
        Ok(())
    }

    fn put(&self, whole: &mut Value, pointer: &Pointer, value: Value) -> Result<(), ConfigError> {
        let mut place = whole;
        for token in pointer.tokens() {
            place = match place {
                Value::Object(object) => object.entry(token.as_str()).or_insert_with(|| Value::Object(Map::new())),
                Value::Array(array) => token
                    .parse::<usize>()
                    .ok()
                    .and_then(|index| array.get_mut(index))
                    .ok_or_else(|| self.scheme.unsignable(&format!("there is no place `{pointer}` in the body")))?,
                _ => {
                    let why = format!("something has its place at `{pointer}`, and the payload leaves no room for it");
                    return Err(self.scheme.unsignable(&why));
                }
            };
        }
        *place = value;
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

/// Changes a signature into a wrong one of the same form.
fn spoil(signature: &mut [u8]) {
    if let Some(last) = signature.last_mut() {
        *last = if *last == b'x' { b'y' } else { b'x' };
    }
}
