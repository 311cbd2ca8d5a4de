use std::{borrow::Cow, time::SystemTime};

use http::{HeaderMap, HeaderName};
use smallvec::SmallVec;

use super::{
    arrived::Arrived,
    freshness::{Freshness, check},
    grammar::Candidates,
    look::{Look, Render},
    subject::{ambiguous, missing, named, named_key},
    template::{Algorithm, Locate, Template},
};
use crate::{
    delivery::{HeadFacts, HeadText},
    error::{Subject, VerifyError, VerifyErrorKind},
    field::Place,
    head::{Head, Repeated},
    signature::{ED25519_LENGTH, PublicAlgorithm, Tag, token_tag},
};

/// The result of checking the head of a request.
#[derive(Debug, Default)]
pub(crate) struct Inspected {
    pub(crate) candidates: Candidates,
    /// Which of the alternative signature headers is there.
    pub(crate) family: usize,
    pub(crate) timestamp: Option<SystemTime>,
    /// The timestamp as it was sent, where the head has it: it is signed so, and looked for once.
    pub(crate) timestamp_text: Option<TimestampText>,
}

/// Ids of keys are a few dozen characters long. URLs of certificates are longer, and not longer than a URL may be.
const LONGEST_KEY_ID: usize = 2048;

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
        if let Some(message) = &self.message {
            message.check(&message.find(head)?, head, now)?;
        }
        let claims = self.check_token(head, inspected.family, now)?;
        let mut look =
            Look { template: self, arrived, family: inspected.family, timestamp: None, claims: None, with_port: false };
        look.claims = claims.as_deref();
        for (name, wanted) in &self.required_headers {
            let value = head.header(name).map_err(|Repeated| ambiguous(Subject::Header(name.clone())))?;
            if value.ok_or_else(|| missing(name))?.as_bytes() != wanted.as_bytes() {
                return Err(VerifyError::new(VerifyErrorKind::MalformedSignature).with_header(name.clone()));
            }
        }
        if !self.names_key_in_body() {
            self.named_key(&look)?;
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
        // One that is there twice is ambiguous.
        look.digest()?;
        if !self.deferred {
            // Signed parts of the head must be present. It is cheaper to check this before the body is read.
            look.render(Render::All, &mut |_| {})?;
        }
        look.check_cuts(now)?;
        Ok(inspected)
    }

    /// Looks at a request.
    pub(crate) fn look<'a>(&'a self, arrived: Arrived<'a>) -> Look<'a> {
        let family = self.family(arrived.head);
        Look { template: self, arrived, family, timestamp: None, claims: None, with_port: false }
    }

    /// Returns the id of the key that a request says that it is signed with, if the scheme has such an id.
    pub(crate) fn named_key(&self, look: &Look<'_>) -> Result<Option<String>, VerifyError> {
        let Some(places) = &self.key_id else { return Ok(None) };
        let fault = |kind| VerifyError::new(kind).with_subject(named("the key's id"));
        let id = look.first(Some(places))?.ok_or_else(|| fault(VerifyErrorKind::Missing))?;
        if id.len() > LONGEST_KEY_ID {
            return Err(fault(VerifyErrorKind::TooLong));
        }
        // A value that is not text cannot be the id of a key.
        let id = String::from_utf8(id.into_owned()).map_err(|_| fault(VerifyErrorKind::UnknownKey))?;
        match self.key_url {
            Some(is_own) if !is_own(&id) => Err(fault(VerifyErrorKind::UnknownKey)),
            _ => Ok(Some(id)),
        }
    }

    /// Checks the token, if the signature is one, and returns its claims.
    fn check_token(&self, head: Head<'_>, family: usize, now: SystemTime) -> Result<Option<Vec<u8>>, VerifyError> {
        let Some(jwt) = &self.jwt else { return Ok(None) };
        let malformed = || VerifyError::new(VerifyErrorKind::MalformedSignature);
        let look = Look {
            template: self,
            arrived: Arrived::head(head),
            family,
            timestamp: None,
            claims: None,
            with_port: false,
        };
        let token = look.token()?.ok_or_else(malformed)?;
        let claims = token.claims().ok_or_else(malformed)?;
        jwt.check(token, &claims, &self.settings, head, now)?;
        Ok(Some(claims))
    }

    /// Checks a timestamp's form and age.
    pub(crate) fn fresh(&self, freshness: &Freshness, text: &[u8], now: SystemTime) -> Result<SystemTime, VerifyError> {
        let stamp = freshness.unit.parse(text).ok_or_else(|| {
            VerifyError::new(VerifyErrorKind::MalformedTimestamp).with_subject(named("the timestamp"))
        })?;
        // A window that the application sets also applies to a scheme that is declared without one.
        if let Some(tolerance) = self.tolerance() {
            check(stamp, now, tolerance)?;
        }
        Ok(stamp)
    }

    /// Decodes the value of one place into a tag.
    pub(crate) fn decode(&self, text: &[u8]) -> Option<Tag> {
        if let Some(jwt) = &self.jwt {
            return jwt.token(text)?.signature();
        }
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
                // A sender without a secret sends an empty token.
                return (!token.is_empty()).then(|| token_tag(&token));
            }
            Algorithm::Unsigned => return None,
        };
        self.encoding?.decode_tag(text, length)
    }

    /// Collects the claimed signatures from the head.
    fn collect(&self, head: Head<'_>, inspected: &mut Inspected) -> Result<(), VerifyError> {
        if let Some(message) = &self.message {
            let claimed = message.find(head)?;
            let length = match self.algorithm {
                Algorithm::Mac(mac) => Some(mac.length()),
                Algorithm::Public(PublicAlgorithm::Ed25519 | PublicAlgorithm::EcdsaP256Fixed) => Some(ED25519_LENGTH),
                _ => None,
            };
            if length.is_some_and(|length| length != claimed.signature.as_bytes().len()) {
                return Err(VerifyError::new(VerifyErrorKind::MalformedSignature));
            }
            inspected.candidates.push(claimed.signature);
            return Ok(());
        }
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

    /// Reads the facts about the delivery from the head.
    pub(crate) fn head_facts(&self, head: Head<'_>, family: usize) -> HeadFacts {
        let look = Look {
            template: self,
            arrived: Arrived::head(head),
            family,
            timestamp: None,
            claims: None,
            with_port: false,
        };
        self.layout.read_head(family, |place| match place {
            // A clone of a header value shares its bytes.
            Place::Header(name) => match head.header(name) {
                Ok(value) => value.cloned().map(HeadText::Header),
                Err(_) => Some(HeadText::Repeated),
            },
            Place::Json(_) | Place::Nowhere => None,
            Place::Claim(_) | Place::HeaderIf(..) | Place::Param(_) | Place::Query(_) | Place::TokenHeader(_) => {
                let text = look.in_head(place).ok()??;
                Some(HeadText::Text(std::str::from_utf8(&text).ok()?.into()))
            }
        })
    }
}
