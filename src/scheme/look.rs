use std::borrow::Cow;

use http::{HeaderName, HeaderValue};
use serde_json::value::RawValue;

use super::{
    arrived::Arrived,
    content::{Fields, Listed, MOST_LISTED, Part},
    grammar::LONGEST_HEADER,
    jwt::{self, Detached, Token},
    settings::PublicUrl,
    subject::{ambiguous, named, named_key},
    template::Template,
    texts::{contentful, sns, truelayer},
};
use crate::{
    error::{Subject, VerifyError, VerifyErrorKind},
    field::{Place, Places},
    form,
    head::Repeated,
    json::Pointer,
    signature::{Encoding, HashAlgorithm, Hashed, PlainHash, crc32},
};

/// Where Contentful lists the headers that it has signed.
pub(crate) const CONTENTFUL_LIST: &str = "x-contentful-signed-headers";

/// Looks things up in one request, by one template.
pub(crate) struct Look<'a> {
    pub(crate) template: &'a Template,
    pub(crate) arrived: Arrived<'a>,
    pub(crate) family: usize,
    /// The timestamp as it was sent, where it has been found before.
    pub(crate) timestamp: Option<&'a [u8]>,
    /// The claims of the token, where they have been decoded before.
    pub(crate) claims: Option<&'a [u8]>,
    /// Whether the URL is written with the port that its scheme has anyway.
    pub(crate) with_port: bool,
}

/// Which part of the signed text to render. The body is in it where it has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Render {
    AfterBody,
    All,
    BeforeBody,
}

/// A piece of the signed text, in the form that is hashed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Piece<'a> {
    Bytes(&'a [u8]),
    Secret,
}

impl Look<'_> {
    /// Feeds the pieces of the signed text to `sink`, in their order.
    pub(crate) fn render(&self, which: Render, sink: &mut dyn FnMut(Piece<'_>)) -> Result<(), VerifyError> {
        let content = &self.template.content;
        let body_at = content.iter().position(|part| matches!(part, Part::Body)).unwrap_or(content.len());
        let range = match which {
            Render::BeforeBody => 0..body_at,
            Render::AfterBody => (body_at + 1).min(content.len())..content.len(),
            Render::All => 0..content.len(),
        };
        for index in range {
            match &content[index] {
                Part::Body => {
                    if let Some(body) = self.arrived.body {
                        sink(Piece::Bytes(body));
                    }
                }
                Part::Literal(text) => sink(Piece::Bytes(text.as_bytes())),
                Part::Method => sink(Piece::Bytes(self.arrived.head.method().as_str().as_bytes())),
                Part::Secret => sink(Piece::Secret),
                Part::Url => {
                    sink(Piece::Bytes(self.url().as_bytes()));
                }
                part => {
                    let text = self.text(part)?;
                    sink(Piece::Bytes(&text));
                }
            }
        }
        Ok(())
    }

    fn url(&self) -> String {
        let settings = &self.template.settings;
        match settings.public_url.as_ref().filter(|_| self.with_port).and_then(PublicUrl::with_port) {
            Some(base) => format!("{base}{}", settings.target(self.arrived.head)),
            None => settings.url(self.arrived.head),
        }
    }

    /// Returns the fields of the body as they are signed, or `None` if the body is not a form and is not covered by a
    /// digest either.
    fn fields(&self, fields: Fields) -> Result<Option<Vec<u8>>, VerifyError> {
        let Some(body) = self.arrived.body else { return Ok(None) };
        if self.digest()?.is_some() {
            return Ok(Some(Vec::new()));
        }
        let Some(mut sorted) = form::sorted(body) else { return Ok(None) };
        let mut text = Vec::with_capacity(body.len());
        match fields {
            Fields::Joined => {
                sorted.dedup();
                for (name, value) in &sorted {
                    text.extend_from_slice(name.as_bytes());
                    text.extend_from_slice(value.as_bytes());
                }
            }
            Fields::Php(without) => {
                sorted.retain(|(name, _)| name != without);
                if sorted.windows(2).any(|pair| pair[0].0 == pair[1].0) {
                    return Err(ambiguous(named("a field of the form")));
                }
                text.extend_from_slice(format!("a:{}:{{", sorted.len()).as_bytes());
                for (name, value) in &sorted {
                    for part in [name, value] {
                        text.extend_from_slice(format!("s:{}:\"{part}\";", part.len()).as_bytes());
                    }
                }
                text.push(b'}');
            }
            Fields::BehindSortedUrl => {
                let url = self.url();
                let (path, query) = url.split_once('?').unwrap_or((&url, ""));
                let query = form::sorted_query(query.as_bytes());
                text.extend_from_slice(path.as_bytes());
                if !query.is_empty() || !sorted.is_empty() {
                    text.push(b'?');
                }
                for (index, (name, value)) in query.iter().enumerate() {
                    text.extend_from_slice(if index > 0 { &b"&"[..] } else { b"" });
                    text.extend_from_slice(&[name, &b"="[..], value].concat());
                }
                if !query.is_empty() && !sorted.is_empty() {
                    text.push(b'.');
                }
                for (name, value) in &sorted {
                    text.extend_from_slice(name.as_bytes());
                    text.extend_from_slice(value.as_bytes());
                }
            }
        }
        Ok(Some(text))
    }

    /// The digest of the body that the request declares, as sent.
    pub(crate) fn digest(&self) -> Result<Option<Cow<'_, [u8]>>, VerifyError> {
        match &self.template.digest {
            Some(digest) => self.in_head(&digest.place),
            None => Ok(None),
        }
    }

    pub(crate) fn text<'p>(&'p self, part: &'p Part) -> Result<Cow<'p, [u8]>, VerifyError> {
        let text = match part {
            Part::Header(name) => self.header(name)?.map(|value| Cow::Borrowed(value.as_bytes())),
            Part::Id => self.id()?,
            Part::Timestamp => match self.timestamp {
                Some(text) => Some(Cow::Borrowed(text)),
                None => self.first(self.template.freshness.as_ref().map(|freshness| &freshness.places))?,
            },
            Part::AwsSns => Some(Cow::Owned(sns::text(self.arrived)?)),
            Part::BodyCrc32 => self.arrived.body.map(|body| Cow::Owned(crc32(body).to_string().into_bytes())),
            Part::BodySha256 => self.arrived.body.map(|body| {
                let mut hash = PlainHash::new(HashAlgorithm::Sha256);
                hash.update(body);
                Cow::Owned(Encoding::Hex.encode(hash.finish().as_bytes()).into_bytes())
            }),
            Part::EndpointId => self.template.settings.endpoint_id.as_deref().map(|id| Cow::Borrowed(id.as_bytes())),
            Part::DetachedJws(detached) => Some(Cow::Owned(self.detached(*detached)?)),
            Part::Fields(fields) => self.fields(*fields)?.map(Cow::Owned),
            Part::Json(pointer) => self.in_body(pointer),
            Part::MessageBase => match &self.template.message {
                Some(message) => Some(Cow::Owned(message.base(self.arrived.head, &self.template.settings)?)),
                None => None,
            },
            Part::Listed(listed) => Some(Cow::Owned(self.listed(*listed)?)),
            Part::Path => Some(match self.template.settings.target(self.arrived.head) {
                Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                Cow::Owned(text) => Cow::Owned(text.into_bytes()),
            }),
            Part::Jwt => self.token()?.map(|token| Cow::Borrowed(token.signed)),
            Part::JsonOrNothing(pointer) => Some(self.in_body_or_nothing(pointer)?),
            Part::Param(key) => self.param(key)?,
            Part::Query(key) => self.query(key)?,
            Part::Body | Part::Literal(_) | Part::Method | Part::Secret | Part::Url => None,
        };
        let text = text.ok_or_else(|| VerifyError::new(VerifyErrorKind::Missing).with_subject(part.subject()))?;
        if text.len() > part.longest() {
            return Err(VerifyError::new(VerifyErrorKind::TooLong).with_subject(part.subject()));
        }
        Ok(text)
    }

    /// The id that the delivery will have: of its places in their order the first that holds something.
    fn id<'p>(&'p self) -> Result<Option<Cow<'p, [u8]>>, VerifyError> {
        let Some(places) = &self.template.id else { return Ok(None) };
        let families = Template::families(&self.template.locate);
        for (_, place) in places.of_family(self.family, families) {
            let text = match place {
                Place::Json(pointer) => self.in_body(pointer),
                place => self.in_head(place)?,
            };
            if let Some(text) = text.filter(|text| !text.is_empty()) {
                return Ok(Some(text));
            }
        }
        Ok(None)
    }

    pub(crate) fn first<'p>(&'p self, places: Option<&'p Places>) -> Result<Option<Cow<'p, [u8]>>, VerifyError> {
        let Some(places) = places else { return Ok(None) };
        if let Some(text) = self.first_in_head(places)? {
            return Ok(Some(text));
        }
        Ok(places.pointers().find_map(|pointer| self.in_body(pointer)))
    }

    /// The first of a field's places in the head that holds something.
    pub(crate) fn first_in_head<'p>(&'p self, places: &'p Places) -> Result<Option<Cow<'p, [u8]>>, VerifyError> {
        let families = Template::families(&self.template.locate);
        for (_, place) in places.of_family(self.family, families) {
            if let Some(text) = self.in_head(place)? {
                return Ok(Some(text));
            }
        }
        Ok(None)
    }

    pub(crate) fn in_head<'p>(&'p self, place: &'p Place) -> Result<Option<Cow<'p, [u8]>>, VerifyError> {
        Ok(match place {
            Place::Header(name) => self.header(name)?.map(|value| Cow::Borrowed(value.as_bytes())),
            Place::HeaderIf(name, wanted) => self
                .header(name)?
                .filter(|value| value.as_bytes() == wanted.as_bytes())
                .map(|value| Cow::Borrowed(value.as_bytes())),
            Place::Claim(name) => match self.claims()? {
                Some(claims) => jwt::claim(&claims, name).map(|text| Cow::Owned(text.into_owned().into_bytes())),
                None => None,
            },
            Place::TokenHeader(name) => self
                .token()?
                .and_then(|token| token.header())
                .and_then(|header| Some(jwt::claim(&header, name)?.into_owned()))
                .map(|text| Cow::Owned(text.into_bytes())),
            Place::Json(_) | Place::Nowhere => None,
            Place::Param(key) => self.param(key)?,
            Place::Query(key) => self.query(key)?,
        })
    }

    fn header(&self, name: &HeaderName) -> Result<Option<&HeaderValue>, VerifyError> {
        self.arrived.head.header(name).map_err(|Repeated| ambiguous(Subject::Header(name.clone())))
    }

    /// What a signature with detached content signs: its header, and behind a dot the content, both in base64url (RFC 7515, section 5.1).
    fn detached(&self, detached: Detached) -> Result<Vec<u8>, VerifyError> {
        let missing = || VerifyError::new(VerifyErrorKind::Missing).with_subject(named("the token"));
        let token = self.token()?.ok_or_else(missing)?;
        let body = self.arrived.body.unwrap_or_default();
        let content = match detached {
            Detached::Body => Cow::Borrowed(body),
            Detached::TrueLayer => Cow::Owned(truelayer::content(self.arrived, &self.template.settings, token, body)?),
        };
        let mut text = token.encoded_header().to_vec();
        text.push(b'.');
        text.extend_from_slice(Encoding::Base64Url.encode(&content).as_bytes());
        Ok(text)
    }

    /// The headers that the request lists, as they are signed.
    fn listed(&self, listed: Listed) -> Result<Vec<u8>, VerifyError> {
        let missing = || VerifyError::new(VerifyErrorKind::Missing).with_subject(named("the list of signed headers"));
        let ambiguous = || VerifyError::new(VerifyErrorKind::AmbiguousText).with_subject(named("a signed header"));
        let (list, between) = match listed {
            Listed::Contentful => {
                let name = HeaderName::from_static(CONTENTFUL_LIST);
                (self.header(&name)?.map(|value| Cow::Owned(value.as_bytes().to_vec())), b',')
            }
            Listed::Hook0 if !self.has_item("v1") => return Ok(Vec::new()),
            Listed::Hook0 => (self.param("h")?, b' '),
        };
        let list = list.ok_or_else(missing)?;
        let too_long = || VerifyError::new(VerifyErrorKind::TooLong).with_subject(named("the list of signed headers"));
        let names = list.split(|byte| *byte == between).map(<[u8]>::trim_ascii).take(MOST_LISTED + 1);
        let names: Vec<&[u8]> = names.collect();
        if names.len() > MOST_LISTED || list.len() > LONGEST_HEADER {
            return Err(too_long());
        }
        // Of all values together: one that is listed often is signed as often.
        let mut room = LONGEST_HEADER;
        let mut headers = Vec::with_capacity(names.len());
        for name in &names {
            let name = HeaderName::from_bytes(name).map_err(|_| missing())?;
            let value = self.header(&name)?;
            let value = value.ok_or_else(|| VerifyError::new(VerifyErrorKind::Missing).with_header(name.clone()))?;
            room = room.checked_sub(value.len()).ok_or_else(too_long)?;
            headers.push((name, value.as_bytes()));
        }
        let mut text = Vec::new();
        match listed {
            Listed::Contentful => {
                headers.sort_by(|(one, _), (other, _)| one.as_str().cmp(other.as_str()));
                for required in [CONTENTFUL_LIST, "x-contentful-timestamp"] {
                    if !headers.iter().any(|(name, _)| name == required) {
                        return Err(missing());
                    }
                }
                text.extend_from_slice(
                    contentful::path(&self.template.settings.target(self.arrived.head))
                        .ok_or_else(ambiguous)?
                        .as_bytes(),
                );
                text.push(b'\n');
                for (index, (name, value)) in headers.iter().enumerate() {
                    // A value that contains the start of the next one would have two possible ends.
                    let next = headers.get(index + 1).map(|(next, _)| format!(";{next}:"));
                    let holds = |next: String| value.windows(next.len()).any(|window| window == next.as_bytes());
                    if next.is_some_and(holds) {
                        return Err(ambiguous());
                    }
                    text.extend_from_slice(if index > 0 { b";" } else { b"" });
                    text.extend_from_slice(&[name.as_str().as_bytes(), b":", value].concat());
                }
            }
            Listed::Hook0 => {
                // Names are no longer told apart from values by a dot that they hold themselves. One value may hold dots, that of the event type,
                // as long as it is the only one.
                if list.contains(&b'.') {
                    return Err(ambiguous());
                }
                text.extend_from_slice(&list);
                text.push(b'.');
                for (name, value) in &headers {
                    let holds_dot = value.contains(&b'.') && name != "x-event-type";
                    if holds_dot || value.iter().any(|byte| matches!(byte, b'{' | b'[')) {
                        return Err(ambiguous());
                    }
                    text.extend_from_slice(value);
                    text.push(b'.');
                }
            }
        }
        Ok(text)
    }

    /// Whether the signature header has an item with this key.
    pub(crate) fn has_item(&self, key: &str) -> bool {
        let header =
            self.template.signature_header(self.family).and_then(|name| self.arrived.head.header(name).ok()?);
        header.is_some_and(|value| {
            value.len() <= LONGEST_HEADER && self.template.grammar.has_item(value.as_bytes(), key.as_bytes())
        })
    }

    /// Which hash the request says that it was signed with.
    pub(crate) fn hashed(&self) -> Result<Hashed, VerifyError> {
        if !self.template.content.iter().any(|part| matches!(part, Part::AwsSns)) {
            return Ok(Hashed::AsDeclared);
        }
        sns::hashed(self.arrived)
    }

    /// The token that is the signature.
    pub(crate) fn token(&self) -> Result<Option<Token<'_>>, VerifyError> {
        let Some(name) = self.template.signature_header(self.family) else { return Ok(None) };
        let value = self.header(name)?.map(HeaderValue::as_bytes).filter(|value| value.len() <= LONGEST_HEADER);
        let jwt = self.template.jwt.as_ref();
        Ok(jwt.zip(value).and_then(|(jwt, value)| jwt.token(self.template.grammar.strip(value)?)))
    }

    /// The claims of the token, as JSON.
    fn claims(&self) -> Result<Option<Cow<'_, [u8]>>, VerifyError> {
        if let Some(claims) = self.claims {
            return Ok(Some(Cow::Borrowed(claims)));
        }
        Ok(self.token()?.and_then(|token| token.claims()).map(Cow::Owned))
    }

    fn query(&self, key: &str) -> Result<Option<Cow<'_, [u8]>>, VerifyError> {
        self.arrived.head.query(key).map_err(|Repeated| ambiguous(named_key(key)))
    }

    fn in_body(&self, pointer: &Pointer) -> Option<Cow<'_, [u8]>> {
        self.arrived.scalar(pointer).map(|text| Cow::Owned(text.into_owned().into_bytes()))
    }

    /// As [`in_body`](Self::in_body), but returns an empty text for a value that is absent or `null`. A value that occurs twice, or is not
    /// a scalar, is an error.
    fn in_body_or_nothing(&self, pointer: &Pointer) -> Result<Cow<'_, [u8]>, VerifyError> {
        if let Some(text) = self.in_body(pointer) {
            return Ok(text);
        }
        let is_nothing = match self.arrived.json() {
            Some(json) => match crate::json::payload::<&RawValue>(json, pointer, &[]) {
                Ok((None, _)) => true,
                Ok((Some(raw), _)) => raw.get() == "null",
                Err(_) => false,
            },
            None => self.arrived.reads(std::slice::from_ref(pointer)),
        };
        if is_nothing { Ok(Cow::Borrowed(b"")) } else { Err(ambiguous(named("a signed part of the body"))) }
    }

    /// A parameter of the signature header, which must be there once.
    fn param(&self, key: &str) -> Result<Option<Cow<'_, [u8]>>, VerifyError> {
        if let Some(message) = &self.template.message {
            return Ok(message.param(self.arrived.head, key)?.map(Cow::Owned));
        }
        let Some(name) = self.template.signature_header(self.family) else { return Ok(None) };
        let Ok(Some(value)) = self.arrived.head.header(name) else { return Ok(None) };
        if value.len() > LONGEST_HEADER {
            return Ok(None);
        }
        let text = self.template.grammar.param(value.as_bytes(), key).map_err(|()| ambiguous(named_key(key)))?;
        Ok(text.map(Cow::Borrowed))
    }
}
