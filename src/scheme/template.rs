use std::{
    borrow::Cow,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use smallvec::SmallVec;

use super::{
    answer::Answer,
    arrived::Arrived,
    content::Part,
    cuts::Rule,
    freshness::{Freshness, check},
    grammar::{Candidates, Grammar, LONGEST_HEADER},
    handshake::CompiledHandshake,
    key_form::KeyText,
    settings::Settings,
};
use crate::{
    delivery::{Coverage, HeadFacts, HeadText, Layout},
    error::{Subject, VerifyError, VerifyErrorKind},
    field::{Place, Places},
    head::{Head, Repeated},
    json::Pointer,
    signature::{ED25519_LENGTH, Encoding, HashAlgorithm, MacAlgorithm, PublicAlgorithm, Tag, token_tag},
};

/// A declared scheme: everything about how one sender signs, as data. Built by [`SchemeBuilder`](super::SchemeBuilder).
#[derive(Debug, Clone)]
pub(crate) struct Template {
    /// What the application has added.
    pub(crate) settings: Settings,
    pub(crate) layout: Arc<Layout>,
    pub(crate) algorithm: Algorithm,
    pub(crate) locate: Locate,
    /// Whether a signature header may stand on several lines, each of which counts.
    pub(crate) every_line: bool,
    pub(crate) grammar: Grammar,
    /// `None` for a token that is written as it is.
    pub(crate) encoding: Option<Encoding>,
    pub(crate) key: KeyText,
    /// Where a request names the key that signed it.
    pub(crate) key_id: Option<Places>,
    /// How the sender's secrets look, for hints.
    pub(crate) secret_prefix: Option<String>,
    pub(crate) secret_length: Option<usize>,
    /// Whether the sender's JSON has line breaks, but for bodies that hold this text. For a hint.
    pub(crate) indented_json: Option<&'static str>,
    pub(crate) content: Vec<Part>,
    /// What keeps the content from being cut in another way.
    pub(crate) rules: Vec<Rule>,
    /// Whether the sender signs JSON objects alone, so that a URL directly before a body ends where one begins.
    pub(crate) json_alone: bool,
    /// Whether anybody can have a text signed by an unsigned challenge, so that a delivery must not be such a text.
    pub(crate) signs_challenges: bool,
    /// Whether the content needs the whole body before its first byte can be hashed.
    pub(crate) deferred: bool,
    pub(crate) freshness: Option<Freshness>,
    pub(crate) id: Option<Places>,
    pub(crate) coverage: Coverage,
    pub(crate) handshakes: Vec<CompiledHandshake>,
    pub(crate) methods: Vec<Method>,
    pub(crate) success: Option<Answer>,
    pub(crate) refused: StatusCode,
    pub(crate) body_limit: usize,
    pub(crate) retention: Option<Duration>,
    /// Whether a body stands for its event.
    #[cfg_attr(not(feature = "idempotency"), allow(dead_code))]
    pub(crate) unique_bodies: bool,
    /// Whether the sender signs the bytes on the wire, so that an encoded body may pass.
    pub(crate) encoded_bodies: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// A hash over a text that holds the secret.
    Hash(HashAlgorithm),
    Mac(MacAlgorithm),
    /// The sender signs with a private key, and the secret is the public one.
    #[cfg_attr(not(feature = "asymmetric"), allow(dead_code))]
    Public(PublicAlgorithm),
    /// The secret itself is sent. Binds nothing.
    Token,
    /// Nothing is checked.
    Unsigned,
}

/// Where a scheme's signatures are.
#[derive(Debug, Clone)]
pub(crate) enum Locate {
    /// All of these that are there, one for each key.
    EachHeader(Vec<HeaderName>),
    /// The first of these that is there; it names the family of the other headers.
    Headers(Vec<HeaderName>),
    Json(Pointer),
    /// `prefix1`, `prefix2` and so on, until one is missing.
    Numbered(Vec<HeaderName>),
    Query(String),
}

/// What the head of a request came to.
#[derive(Debug, Default)]
pub(crate) struct Inspected {
    pub(crate) candidates: Candidates,
    /// Which of the alternative signature headers is there.
    pub(crate) family: usize,
    pub(crate) timestamp: Option<SystemTime>,
    /// The timestamp as it was sent, where the head has it: it is signed so, and looked for once.
    pub(crate) timestamp_text: Option<TimestampText>,
}

/// A copy, since what is found in a head cannot borrow from it while the body is read. No timestamp in seconds or
/// milliseconds is longer.
pub(crate) type TimestampText = SmallVec<[u8; 24]>;

impl Template {
    /// Checks everything that the head can be checked for without a secret.
    pub(crate) fn inspect(&self, head: Head<'_>, now: SystemTime) -> Result<Inspected, VerifyError> {
        let mut inspected = Inspected::default();
        if self.algorithm == Algorithm::Unsigned {
            return Ok(inspected);
        }
        self.collect(head, &mut inspected)?;
        let arrived = Arrived::head(head);
        let mut look = Look { template: self, arrived, family: inspected.family, timestamp: None };
        if let Some(places) = &self.key_id
            && look.first_in_head(places)?.is_none()
        {
            return Err(VerifyError::new(VerifyErrorKind::Missing).with_subject(named("the key's id")));
        }
        if let Some(freshness) = &self.freshness
            && let Some(text) = look.first_in_head(&freshness.places)?
        {
            inspected.timestamp = Some(self.fresh(freshness, &text, now)?);
            inspected.timestamp_text = Some(TimestampText::from_slice(&text));
        } else if self.freshness.as_ref().is_some_and(|freshness| freshness.places.pointers().next().is_none()) {
            return Err(VerifyError::new(VerifyErrorKind::Missing).with_subject(named("the signed timestamp")));
        }
        look.timestamp = inspected.timestamp_text.as_deref();
        if !self.deferred {
            // What is signed and in the head must be there; it is cheaper to say so before the body is read.
            look.render(Render::All, &mut |_| {})?;
        }
        look.check_cuts(now)?;
        Ok(inspected)
    }

    /// Checks a timestamp's form and age.
    pub(crate) fn fresh(&self, freshness: &Freshness, text: &[u8], now: SystemTime) -> Result<SystemTime, VerifyError> {
        let stamp = freshness.unit.parse(text).ok_or_else(|| {
            VerifyError::new(VerifyErrorKind::MalformedTimestamp).with_subject(named("the timestamp"))
        })?;
        // What the application asks for also holds for a scheme that is declared without a window.
        if let Some(tolerance) = self.tolerance() {
            check(stamp, now, tolerance)?;
        }
        Ok(stamp)
    }

    /// How far a timestamp may be from now, if there is a limit.
    pub(crate) fn tolerance(&self) -> Option<Duration> {
        self.settings.tolerance.or_else(|| self.freshness.as_ref()?.tolerance)
    }

    /// Whether something that keeps the signed text from being cut in another way is in the body.
    pub(crate) fn cuts_in_body(&self) -> bool {
        self.deferred || self.rules.iter().any(|rule| matches!(rule, Rule::UrlBeforeBody(_)))
    }

    /// Decodes what one place holds into a tag.
    pub(crate) fn decode(&self, text: &[u8]) -> Option<Tag> {
        let length = match self.algorithm {
            Algorithm::Hash(hash) => hash.length(),
            Algorithm::Mac(mac) => mac.length(),
            Algorithm::Public(PublicAlgorithm::Ed25519) => ED25519_LENGTH,
            // The length of others is the key's, or that of two numbers.
            Algorithm::Public(_) => return self.encoding?.decode_signature(text),
            Algorithm::Token => {
                let token = match self.encoding {
                    Some(encoding) => Cow::Owned(encoding.decode(text)?),
                    None => Cow::Borrowed(text),
                };
                // An empty token is what a sender without a secret sends.
                return (!token.is_empty()).then(|| token_tag(&token));
            }
            Algorithm::Unsigned => return None,
        };
        self.encoding?.decode_tag(text, length)
    }

    /// Collects the claimed signatures from the head.
    fn collect(&self, head: Head<'_>, inspected: &mut Inspected) -> Result<(), VerifyError> {
        let mut seen = 0;
        let decode = |text: &[u8]| self.decode(text);
        let headers = head.headers();
        match &self.locate {
            Locate::Headers(names) => {
                let mut found = false;
                for (family, name) in names.iter().enumerate() {
                    found = self.collect_header(headers, name, &mut inspected.candidates, &mut seen)?;
                    if found {
                        inspected.family = family;
                        break;
                    }
                }
                if !found {
                    return Err(missing(&names[0]));
                }
            }
            Locate::EachHeader(names) | Locate::Numbered(names) => {
                let mut found = false;
                for name in names {
                    found |= self.collect_header(headers, name, &mut inspected.candidates, &mut seen)?;
                }
                if !found {
                    return Err(missing(&names[0]));
                }
            }
            Locate::Query(key) => {
                let text = head.query(key).map_err(|Repeated| ambiguous(named_key(key)))?;
                let text =
                    text.ok_or_else(|| VerifyError::new(VerifyErrorKind::Missing).with_subject(named_key(key)))?;
                self.grammar.collect(&text, &mut inspected.candidates, &mut seen, decode)?;
            }
            Locate::Json(_) => return Ok(()),
        }
        if inspected.candidates.is_empty() {
            let error = VerifyError::new(VerifyErrorKind::MalformedSignature);
            return Err(match self.signature_header(inspected.family) {
                Some(name) => error.with_header(name.clone()),
                None => error,
            });
        }
        Ok(())
    }

    /// Collects the signatures of one header; `false` when the header is not there.
    fn collect_header(
        &self,
        headers: &HeaderMap,
        name: &HeaderName,
        candidates: &mut Candidates,
        seen: &mut usize,
    ) -> Result<bool, VerifyError> {
        let mut lines = headers.get_all(name).iter();
        let Some(first) = lines.next() else { return Ok(false) };
        let second = lines.next();
        if second.is_some() && !self.every_line {
            return Err(ambiguous(Subject::Header(name.clone())));
        }
        [first].into_iter().chain(second).chain(lines).try_for_each(|line| {
            self.grammar
                .collect(line.as_bytes(), candidates, seen, |text| self.decode(text))
                .map_err(|error| error.with_header(name.clone()))
        })?;
        Ok(true)
    }

    fn signature_header(&self, family: usize) -> Option<&HeaderName> {
        match &self.locate {
            Locate::EachHeader(names) | Locate::Headers(names) | Locate::Numbered(names) => names.get(family),
            Locate::Json(_) | Locate::Query(_) => None,
        }
    }

    /// Which of the alternative signature headers is there; the first when none is.
    pub(crate) fn family(&self, head: Head<'_>) -> usize {
        match &self.locate {
            Locate::Headers(names) => names.iter().position(|name| head.headers().contains_key(name)).unwrap_or(0),
            _ => 0,
        }
    }

    pub(crate) fn needs_verify_token(&self) -> bool {
        self.handshakes.iter().any(CompiledHandshake::needs_verify_token)
    }

    pub(crate) fn signs_url(&self) -> bool {
        self.content.iter().any(|part| matches!(part, Part::Url))
    }

    /// How many families of header names the scheme has.
    pub(crate) fn families(locate: &Locate) -> usize {
        match locate {
            Locate::Headers(names) => names.len(),
            _ => 1,
        }
    }

    /// What the head says about the delivery, for its metadata.
    pub(crate) fn head_facts(&self, head: Head<'_>, family: usize) -> HeadFacts {
        let look = Look { template: self, arrived: Arrived::head(head), family, timestamp: None };
        self.layout.read_head(family, |place| match place {
            // A clone of a header value shares its bytes.
            Place::Header(name) => match head.header(name) {
                Ok(value) => value.cloned().map(HeadText::Header),
                Err(_) => Some(HeadText::Repeated),
            },
            Place::Json(_) | Place::Nowhere => None,
            Place::HeaderIf(..) | Place::Param(_) | Place::Query(_) => {
                let text = look.in_head(place).ok()??;
                Some(HeadText::Text(std::str::from_utf8(&text).ok()?.into()))
            }
        })
    }
}

/// Looks things up in one request, by one template.
pub(crate) struct Look<'a> {
    pub(crate) template: &'a Template,
    pub(crate) arrived: Arrived<'a>,
    pub(crate) family: usize,
    /// The timestamp as it was sent, where it has been found before.
    pub(crate) timestamp: Option<&'a [u8]>,
}

/// Which part of the signed text to render. The body is in it where it has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Render {
    AfterBody,
    All,
    BeforeBody,
}

/// A piece of the signed text as it is fed to a hash.
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
                    let url = self.template.settings.url(self.arrived.head);
                    sink(Piece::Bytes(url.as_bytes()));
                }
                part => {
                    let text = self.text(part)?;
                    sink(Piece::Bytes(&text));
                }
            }
        }
        Ok(())
    }

    pub(crate) fn text<'p>(&'p self, part: &'p Part) -> Result<Cow<'p, [u8]>, VerifyError> {
        let text = match part {
            Part::Header(name) => self.header(name)?.map(|value| Cow::Borrowed(value.as_bytes())),
            Part::Id => self.id()?,
            Part::Timestamp => match self.timestamp {
                Some(text) => Some(Cow::Borrowed(text)),
                None => self.first(self.template.freshness.as_ref().map(|freshness| &freshness.places))?,
            },
            Part::Json(pointer) => self.in_body(pointer),
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

    fn first<'p>(&'p self, places: Option<&'p Places>) -> Result<Option<Cow<'p, [u8]>>, VerifyError> {
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

    fn in_head<'p>(&'p self, place: &'p Place) -> Result<Option<Cow<'p, [u8]>>, VerifyError> {
        Ok(match place {
            Place::Header(name) => self.header(name)?.map(|value| Cow::Borrowed(value.as_bytes())),
            Place::HeaderIf(name, wanted) => self
                .header(name)?
                .filter(|value| value.as_bytes() == wanted.as_bytes())
                .map(|value| Cow::Borrowed(value.as_bytes())),
            Place::Json(_) | Place::Nowhere => None,
            Place::Param(key) => self.param(key)?,
            Place::Query(key) => self.query(key)?,
        })
    }

    fn header(&self, name: &HeaderName) -> Result<Option<&HeaderValue>, VerifyError> {
        self.arrived.head.header(name).map_err(|Repeated| ambiguous(Subject::Header(name.clone())))
    }

    fn query(&self, key: &str) -> Result<Option<Cow<'_, [u8]>>, VerifyError> {
        self.arrived.head.query(key).map_err(|Repeated| ambiguous(named_key(key)))
    }

    fn in_body(&self, pointer: &Pointer) -> Option<Cow<'_, [u8]>> {
        self.arrived.scalar(pointer).map(|text| Cow::Owned(text.into_owned().into_bytes()))
    }

    /// A parameter of the signature header, which must be there once.
    fn param(&self, key: &str) -> Result<Option<Cow<'_, [u8]>>, VerifyError> {
        let Some(name) = self.template.signature_header(self.family) else { return Ok(None) };
        let Ok(Some(value)) = self.arrived.head.header(name) else { return Ok(None) };
        if value.len() > LONGEST_HEADER {
            return Ok(None);
        }
        let text = self.template.grammar.param(value.as_bytes(), key).map_err(|()| ambiguous(named_key(key)))?;
        Ok(text.map(Cow::Borrowed))
    }
}

fn ambiguous(subject: Subject) -> VerifyError {
    VerifyError::new(VerifyErrorKind::Ambiguous).with_subject(subject)
}

fn missing(name: &HeaderName) -> VerifyError {
    VerifyError::new(VerifyErrorKind::Missing).with_header(name.clone())
}

pub(crate) fn named(what: &'static str) -> Subject {
    Subject::Named(Cow::Borrowed(what))
}

pub(crate) fn named_key(key: &str) -> Subject {
    Subject::Named(Cow::Owned(format!("parameter `{key}`")))
}
