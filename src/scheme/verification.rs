use std::{sync::Arc, time::SystemTime};

use serde_json::value::RawValue;
use smallvec::SmallVec;

use super::{
    arrived::Arrived,
    grammar::Candidates,
    handshake::LONGEST_CHALLENGE,
    inspect::Inspected,
    keys::{KeyRing, KeyState},
    look::{Look, Piece, Render},
    message,
    settings::Accounts,
    subject::named,
    template::{Algorithm, BodyDigest, Locate, Needed, SameAccount, Template},
};
use crate::{
    delivery::{Fact, Proof},
    error::{VerifyError, VerifyErrorKind},
    head::Head,
    secret::Secret,
    signature::{HashAlgorithm, Hashed, MacState, PlainHash, PublicKey, Tag, verify_any},
};

/// A check under way: the body is hashed as it arrives, once for each secret, however many signatures are claimed. Signatures
/// with public keys are over the whole text, which is put together at the end.
pub(crate) struct Verification {
    pub(crate) template: Arc<Template>,
    candidates: Candidates,
    family: usize,
    timestamp: Option<SystemTime>,
    hashers: Hashers,
    /// The ids of the secrets, if they select the signatures.
    ids: Vec<Option<Vec<u8>>>,
    /// Of the body, where the head holds the one that was signed. In a box, since few schemes have one.
    digest: Option<Box<PlainHash>>,
}

type Hashers = SmallVec<[(usize, Hasher); 1]>;

#[derive(Clone)]
enum Hasher {
    Hash(PlainHash, Secret),
    Mac(MacState),
    /// Hashes nothing by itself.
    Public(PublicKey),
    Token(Tag),
}

impl Verification {
    /// Starts a check with the secrets that are valid at `now`, and hashes the text before the body.
    pub(crate) fn begin(
        template: &Arc<Template>,
        head: Head<'_>,
        inspected: Inspected,
        ring: &KeyRing,
        now: SystemTime,
    ) -> Result<Self, VerifyError> {
        let mut hashers = SmallVec::new();
        let mut ids = Vec::new();
        let arrived = Arrived::head(head);
        let look =
            Look { template, arrived, family: inspected.family, timestamp: None, claims: None, with_port: false };
        let named = match &template.key_id {
            Some(places) => look.first_in_head(places)?,
            None => None,
        };
        for (index, secret, state) in ring.usable(now) {
            // A secret without an id is tried with every request.
            let id = template.key.id(secret.expose());
            if template.key_id.is_some() && id.is_some() && id != named.as_deref() {
                continue;
            }
            let other = template.jwt.as_ref().and_then(|jwt| jwt.other(inspected.candidates.first()?));
            let hasher = match (state, template.algorithm) {
                (KeyState::Mac(_), _) if other.is_some() => {
                    let (Some(mac), Ok(key)) = (other, template.key.decode(secret.expose())) else { continue };
                    Hasher::Mac(MacState::new(mac, &key))
                }
                (KeyState::Mac(mac), _) => Hasher::Mac(mac.clone()),
                (KeyState::Public(key), _) => Hasher::Public(key.clone()),
                (KeyState::Token(tag), _) => Hasher::Token(tag.clone()),
                (KeyState::Raw, Algorithm::Hash(hash)) => Hasher::Hash(PlainHash::new(hash), secret.clone()),
                (KeyState::Raw, _) => continue,
            };
            hashers.push((index, hasher));
            if template.grammar.keys_are_ids {
                ids.push(id.map(<[u8]>::to_vec));
            }
        }
        let Inspected { candidates, family, timestamp, timestamp_text } = inspected;
        let digest = template.digest.as_ref().map(|_| Box::new(PlainHash::new(HashAlgorithm::Sha256)));
        let mut verification =
            Self { template: Arc::clone(template), candidates, family, timestamp, hashers, ids, digest };
        if !template.deferred {
            let arrived = Arrived::head(head);
            let look = Look {
                template,
                arrived,
                family,
                timestamp: timestamp_text.as_deref(),
                claims: None,
                with_port: false,
            };
            render(&mut verification.hashers, &look, Render::BeforeBody)?;
        }
        Ok(verification)
    }

    /// Hashes a frame of the body.
    pub(crate) fn update(&mut self, frame: &[u8]) {
        if !self.template.deferred && self.template.hashes_body {
            self.hashers.iter_mut().for_each(|(_, hasher)| hasher.update(frame));
        }
        if let Some(digest) = &mut self.digest {
            digest.update(frame);
        }
    }

    /// Hashes the rest, compares, and tells what is proven.
    ///
    /// It is called once. What it holds is not moved for that: copies of keyed states would cost more than they are, and each would
    /// have to be wiped.
    pub(crate) fn finish(
        &mut self,
        head: Head<'_>,
        body: &[u8],
        now: SystemTime,
    ) -> Result<(Proof, usize), VerifyError> {
        let Self { template, candidates, family, timestamp, hashers, ids, digest } = self;
        let (template, family, mut timestamp) = (&**template, *family, *timestamp);
        if template.algorithm == Algorithm::Unsigned {
            return Ok((Proof::default(), family));
        }
        let in_body = template.deferred || matches!(template.locate, Locate::Json(_));
        let content = template.layout.form().filter(|_| in_body).map(|form| form.read(body));
        let arrived = match &content {
            Some(content) => Arrived::form(head, body, content),
            None => Arrived::whole(head, body),
        };
        let look = |arrived| Look { template, arrived, family, timestamp: None, claims: None, with_port: false };
        let mismatch = || VerifyError::new(VerifyErrorKind::SignatureMismatch);
        let index = if template.signs_items() {
            let items = items(template, arrived)?;
            let mut first = None;
            for item in &items {
                let look = look(Arrived::whole(head, item.get().as_bytes()));
                let index = compare(&mut hashers.clone(), ids, &look, None)?.ok_or_else(mismatch)?;
                look.check_cuts(now)?;
                first.get_or_insert(index);
            }
            first.ok_or_else(|| {
                VerifyError::new(VerifyErrorKind::Missing).with_subject(named("the items of the body"))
            })?
        } else {
            let mut look = look(arrived);
            let own = (!matches!(template.locate, Locate::Json(_))).then_some(&*candidates);
            // A forged request is compared with both texts, so that the time does not tell which one was right.
            let other = if template.either_port {
                look.with_port = true;
                let other = compare(&mut hashers.clone(), ids, &look, own)?;
                look.with_port = false;
                other
            } else {
                None
            };
            let index = compare(hashers, ids, &look, own)?.or(other).ok_or_else(mismatch)?;
            // After the comparison, so that a forged request costs no look at the body that its signature does not.
            if template.cuts_in_body() {
                look.check_cuts(now)?;
            }
            if template.signs_challenges && is_challenge(&look)? {
                return Err(VerifyError::new(VerifyErrorKind::AmbiguousText).with_subject(named("the signed text")));
            }
            if let Some((known, digest)) = template.digest.as_ref().zip(digest.take()) {
                let sent = look.digest()?;
                check_digest(known, sent.as_deref(), *digest, body)?;
                // Of a request whose fields are signed, their text could be written into the URL, and a digest into that text. It is then
                // not the end of the URL, where the sender puts it.
                if known.needed == Needed::BesideForms
                    && let Some(sent) = sent
                    && !template.settings.target(head).as_bytes().ends_with(&sent)
                {
                    return Err(
                        VerifyError::new(VerifyErrorKind::AmbiguousText).with_subject(named("the digest of the body"))
                    );
                }
            }
            index
        };
        if timestamp.is_none()
            && let Some(freshness) = &template.freshness
        {
            let missing = || VerifyError::new(VerifyErrorKind::Missing).with_subject(named("the signed timestamp"));
            let text = freshness.in_body(arrived)?.ok_or_else(missing)?;
            timestamp = Some(template.fresh(freshness, text.as_bytes(), now)?);
        }
        if let Some(is_same) = template.shared_key {
            check_account(template, is_same, &look(arrived))?;
        }
        // Where the id is signed in a body that is not, another value of the body must not hide it.
        if template.coverage.id && !template.coverage.body {
            let pointers = template.layout.beside_the_id();
            if !pointers.is_empty() && !arrived.reads(pointers) {
                return Err(VerifyError::new(VerifyErrorKind::AmbiguousText).with_subject(named("the signed id")));
            }
        }
        Ok((Proof { timestamp, secret_index: Some(index), coverage: template.coverage }, family))
    }
}

/// Checks that a verified message is about an account that the application accepts.
fn check_account(template: &Template, is_same: SameAccount, look: &Look<'_>) -> Result<(), VerifyError> {
    let Accounts::These(accounts) = &template.settings.accounts else { return Ok(()) };
    let found = look.first(template.layout.places(Fact::Account))?;
    let found = found.as_deref().and_then(|found| std::str::from_utf8(found).ok());
    if found.is_some_and(|found| accounts.iter().any(|wanted| is_same(wanted, found))) {
        return Ok(());
    }
    Err(VerifyError::new(VerifyErrorKind::OtherAccount))
}

/// The number of the secret that made a signature over the text that `look` finds. Without `candidates` the signatures are in the body.
fn compare(
    hashers: &mut Hashers,
    ids: &[Option<Vec<u8>>],
    look: &Look<'_>,
    candidates: Option<&Candidates>,
) -> Result<Option<usize>, VerifyError> {
    let template = look.template;
    let is_public = matches!(template.algorithm, Algorithm::Public(_));
    let text = if is_public {
        whole(look)?
    } else {
        render(hashers, look, if template.deferred { Render::All } else { Render::AfterBody })?;
        Vec::new()
    };
    let found;
    let candidates = match candidates {
        Some(candidates) => candidates,
        None => {
            found = in_body(look, None)?;
            &found
        }
    };
    let hashed = look.hashed()?;
    // Every secret is tried, so that the time does not reveal which one is in use. Which public key matches is not a secret.
    let mut matched = None;
    for (position, (index, hasher)) in hashers.iter().enumerate() {
        if matched.is_some() && is_public {
            break;
        }
        let matches = match ids.get(position) {
            Some(id) => hasher.matches(hashed, &in_body(look, id.as_deref())?, &text),
            None => hasher.matches(hashed, candidates, &text),
        };
        if matches && matched.is_none() {
            matched = Some(*index);
        }
    }
    Ok(matched)
}

/// The items that have a signature each, as they were sent.
fn items<'r>(template: &Template, arrived: Arrived<'r>) -> Result<Vec<&'r RawValue>, VerifyError> {
    let malformed = || VerifyError::new(VerifyErrorKind::MalformedSignature);
    let json = arrived.json().ok_or_else(malformed)?;
    let pointer = template.items.as_ref().ok_or_else(malformed)?;
    let (items, _) = crate::json::payload::<Vec<&RawValue>>(json, pointer, &[]).map_err(|_| malformed())?;
    Ok(items.unwrap_or_default())
}

/// Compares the digest that was signed with that of the body.
fn check_digest(known: &BodyDigest, claimed: Option<&[u8]>, digest: PlainHash, body: &[u8]) -> Result<(), VerifyError> {
    let Some(claimed) = claimed else {
        return match known.needed {
            // Without one the fields were signed.
            Needed::BesideForms => Ok(()),
            Needed::UnlessEmpty if body.is_empty() => Ok(()),
            Needed::Always | Needed::UnlessEmpty => {
                Err(VerifyError::new(VerifyErrorKind::Missing).with_subject(named("the digest of the body")))
            }
        };
    };
    let Some(encoding) = known.encoding else { return message::check_digest(claimed, body) };
    let claimed = encoding.decode_tag(claimed, HashAlgorithm::Sha256.length());
    let claimed = claimed.ok_or_else(|| VerifyError::new(VerifyErrorKind::MalformedSignature))?;
    if verify_any(&[claimed], &digest.finish()) {
        return Ok(());
    }
    Err(VerifyError::new(VerifyErrorKind::SignatureMismatch))
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
    fn matches(&self, hashed: Hashed, candidates: &[Tag], text: &[u8]) -> bool {
        match self {
            Self::Hash(hash, _) => verify_any(candidates, &hash.clone().finish()),
            Self::Mac(mac) => verify_any(candidates, &mac.finish()),
            Self::Public(key) => candidates.iter().any(|signature| key.verify(hashed, text, signature)),
            Self::Token(tag) => verify_any(candidates, tag),
        }
    }
}

/// The whole signed text, once, whatever the number of keys.
fn whole(look: &Look<'_>) -> Result<Vec<u8>, VerifyError> {
    let mut text = Vec::with_capacity(look.arrived.body.map_or(0, <[u8]>::len) + ROOM_BESIDE_BODY);
    look.render(Render::All, &mut |piece| {
        if let Piece::Bytes(bytes) = piece {
            text.extend_from_slice(bytes);
        }
    })?;
    Ok(text)
}

/// Whether anybody could have this text signed as a challenge.
fn is_challenge(look: &Look<'_>) -> Result<bool, VerifyError> {
    let longest = look.template.hashes_body.then_some(LONGEST_CHALLENGE);
    if look.arrived.body.zip(longest).is_some_and(|(body, longest)| body.len() > longest) {
        return Ok(false);
    }
    let text = whole(look)?;
    Ok(look.template.handshakes.iter().any(|handshake| handshake.signs(&text)))
}

/// Enough for an id and a time, so that a body is mostly copied once.
const ROOM_BESIDE_BODY: usize = 256;

/// The signatures that are in the body: all, or those of the secret with this id.
fn in_body(look: &Look<'_>, id: Option<&[u8]>) -> Result<Candidates, VerifyError> {
    let template = look.template;
    let mut candidates = Candidates::new();
    let Locate::Json(pointers) = &template.locate else { return Ok(candidates) };
    let (mut seen, mut found) = (0, false);
    for pointer in pointers {
        let Some(text) = look.arrived.scalar(pointer) else { continue };
        found = true;
        let (grammar, text) = (&template.grammar, text.as_bytes());
        if grammar.keys_are_ids {
            grammar.collect_for(text, id, &mut candidates, |item| template.decode(item))?;
        } else {
            grammar.collect(text, &mut candidates, &mut seen, |item| template.decode(item))?;
        }
    }
    if found {
        Ok(candidates)
    } else {
        Err(VerifyError::new(VerifyErrorKind::Missing).with_subject(named("the signature")))
    }
}
