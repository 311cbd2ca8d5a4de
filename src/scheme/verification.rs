use std::{sync::Arc, time::SystemTime};

use smallvec::SmallVec;

use super::{
    arrived::Arrived,
    grammar::Candidates,
    handshake::{self, LONGEST_CHALLENGE},
    inspect::Inspected,
    keys::{KeyRing, KeyState},
    look::{Look, Piece, Render},
    subject::named,
    template::{Algorithm, Locate, Template},
};
use crate::{
    delivery::Proof,
    error::{VerifyError, VerifyErrorKind},
    head::Head,
    secret::Secret,
    signature::{MacState, PlainHash, PublicKey, Tag, verify_any},
};

/// A check under way: the body is hashed as it arrives, once for each secret, however many signatures are claimed. Signatures
/// with public keys are over the whole text, which is put together at the end.
pub(crate) struct Verification {
    pub(crate) template: Arc<Template>,
    candidates: Candidates,
    family: usize,
    timestamp: Option<SystemTime>,
    hashers: SmallVec<[(usize, Hasher); 1]>,
}

enum Hasher {
    Hash(PlainHash, Secret),
    Mac(MacState),
    /// Hashes nothing by itself.
    Public(PublicKey),
    Token(Tag),
}

impl Verification {
    /// Starts a check with the secrets that are right at `now`, and hashes what stands before the body.
    pub(crate) fn begin(
        template: &Arc<Template>,
        head: Head<'_>,
        inspected: Inspected,
        ring: &KeyRing,
        now: SystemTime,
    ) -> Result<Self, VerifyError> {
        let mut hashers = SmallVec::new();
        let arrived = Arrived::head(head);
        let look = Look { template, arrived, family: inspected.family, timestamp: None };
        let named = match &template.key_id {
            Some(places) => look.first_in_head(places)?,
            None => None,
        };
        for (index, secret, state) in ring.usable(now) {
            // A secret without an id is tried with every request.
            let id = template.key.id(secret.expose());
            if id.is_some() && id != named.as_deref() {
                continue;
            }
            let hasher = match (state, template.algorithm) {
                (KeyState::Mac(mac), _) => Hasher::Mac(mac.clone()),
                (KeyState::Public(key), _) => Hasher::Public(key.clone()),
                (KeyState::Token(tag), _) => Hasher::Token(tag.clone()),
                (KeyState::Raw, Algorithm::Hash(hash)) => Hasher::Hash(PlainHash::new(hash), secret.clone()),
                (KeyState::Raw, _) => continue,
            };
            hashers.push((index, hasher));
        }
        let Inspected { candidates, family, timestamp, timestamp_text } = inspected;
        let mut verification = Self { template: Arc::clone(template), candidates, family, timestamp, hashers };
        if !template.deferred {
            let arrived = Arrived::head(head);
            let look = Look { template, arrived, family, timestamp: timestamp_text.as_deref() };
            render(&mut verification.hashers, &look, Render::BeforeBody)?;
        }
        Ok(verification)
    }

    /// Hashes a frame of the body.
    pub(crate) fn update(&mut self, frame: &[u8]) {
        if !self.template.deferred && self.template.coverage.body {
            self.hashers.iter_mut().for_each(|(_, hasher)| hasher.update(frame));
        }
    }

    /// Hashes the rest, compares, and tells what is proven.
    pub(crate) fn finish(self, head: Head<'_>, body: &[u8], now: SystemTime) -> Result<(Proof, usize), VerifyError> {
        let Self { template, mut candidates, family, mut timestamp, mut hashers } = self;
        let template = &*template;
        if template.algorithm == Algorithm::Unsigned {
            return Ok((Proof::default(), family));
        }
        let look = Look { template, arrived: Arrived::whole(head, body), family, timestamp: None };
        let is_public = matches!(template.algorithm, Algorithm::Public(_));
        let text = if is_public {
            whole(&look, body)?
        } else {
            render(&mut hashers, &look, if template.deferred { Render::All } else { Render::AfterBody })?;
            Vec::new()
        };
        if let Locate::Json(pointer) = &template.locate {
            candidates = in_body(template, body, pointer)?;
        }
        // Every secret is tried, so that the time does not reveal which one is in use. Which public key matches is not
        // a secret.
        let mut matched = None;
        for (index, hasher) in hashers {
            if matched.is_some() && is_public {
                break;
            }
            if hasher.matches(&candidates, &text) && matched.is_none() {
                matched = Some(index);
            }
        }
        let index = matched.ok_or_else(|| VerifyError::new(VerifyErrorKind::SignatureMismatch))?;
        // After the comparison, so that a forged request costs no look at the body that its signature does not.
        if template.cuts_in_body() {
            look.check_cuts(now)?;
        }
        if template.signs_challenges && is_challenge(&look, body) {
            return Err(VerifyError::new(VerifyErrorKind::AmbiguousText).with_subject(named("the signed text")));
        }
        if timestamp.is_none()
            && let Some(freshness) = &template.freshness
        {
            let missing = || VerifyError::new(VerifyErrorKind::Missing).with_subject(named("the signed timestamp"));
            let text = freshness.in_body(body)?.ok_or_else(missing)?;
            timestamp = Some(template.fresh(freshness, text.as_bytes(), now)?);
        }
        Ok((Proof { timestamp, secret_index: Some(index), coverage: template.coverage }, family))
    }
}

/// Feeds a part of the signed text to each hasher.
fn render(hashers: &mut [(usize, Hasher)], look: &Look<'_>, which: Render) -> Result<(), VerifyError> {
    look.render(which, &mut |piece| {
        for (_, hasher) in hashers.iter_mut() {
            match piece {
                Piece::Bytes(bytes) => hasher.update(bytes),
                Piece::Secret => hasher.update_with_secret(),
            }
        }
    })
}

impl Hasher {
    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Hash(hash, _) => hash.update(bytes),
            Self::Mac(mac) => mac.update(bytes),
            Self::Public(_) | Self::Token(_) => {}
        }
    }

    fn update_with_secret(&mut self) {
        if let Self::Hash(hash, secret) = self {
            hash.update(secret.expose());
        }
    }

    /// Whether one of the signatures is right. What signs the whole text is given it; the others have seen it.
    fn matches(self, candidates: &[Tag], text: &[u8]) -> bool {
        let right = match self {
            Self::Hash(hash, _) => hash.finish(),
            Self::Mac(mac) => mac.finish(),
            Self::Public(key) => return candidates.iter().any(|signature| key.verify(text, signature)),
            Self::Token(tag) => tag,
        };
        verify_any(candidates, &right)
    }
}

/// The whole signed text, once, whatever the number of keys.
fn whole(look: &Look<'_>, body: &[u8]) -> Result<Vec<u8>, VerifyError> {
    let mut text = Vec::with_capacity(body.len() + ROOM_BESIDE_BODY);
    look.render(Render::All, &mut |piece| {
        if let Piece::Bytes(bytes) = piece {
            text.extend_from_slice(bytes);
        }
    })?;
    Ok(text)
}

/// Whether anybody could have had this text signed as a challenge.
fn is_challenge(look: &Look<'_>, body: &[u8]) -> bool {
    body.len() <= LONGEST_CHALLENGE && whole(look, body).is_ok_and(|text| handshake::is_challenge(&text))
}

/// Enough for an id and a time, so that a body is mostly copied once.
const ROOM_BESIDE_BODY: usize = 256;

fn in_body(template: &Template, body: &[u8], pointer: &crate::json::Pointer) -> Result<Candidates, VerifyError> {
    let found = crate::json::scalars(body, std::slice::from_ref(pointer))
        .map_err(|_| VerifyError::new(VerifyErrorKind::MalformedSignature))?;
    let text = found.into_iter().next().flatten().ok_or_else(|| VerifyError::new(VerifyErrorKind::Missing))?;
    let mut candidates = Candidates::new();
    template.grammar.collect(text.as_bytes(), &mut candidates, &mut 0, |item| template.decode(item))?;
    Ok(candidates)
}
