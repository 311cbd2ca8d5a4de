use std::{sync::Arc, time::SystemTime};

use bytes::Bytes;
use http::{HeaderValue, header};

use super::{
    Answer, Kind, Scheme,
    custom::{Binding, Plan},
    handshake::Handshake,
    keys::{KeyRing, Keys},
    template::{Inspected, Template},
    verification::Verification,
};
use crate::{
    delivery::{Coverage, Delivery, Fact, HeadFacts, Layout, Proof},
    error::{VerifyError, VerifyErrorKind},
    head::Head,
    json::Pointer,
};

/// What the head of a request calls for.
#[derive(Debug)]
pub(crate) enum Step {
    /// A handshake that is answered from the head alone.
    Answer(Answer),
    /// A handshake, by its place in the scheme, that is answered with a secret.
    Challenge(usize),
    /// Read the body and verify.
    Verify(Inspected),
}

/// A check between head and verdict. It sees each frame of the body as it comes.
pub(crate) struct Check {
    kind: CheckKind,
    now: SystemTime,
}

// One lives at a time, inside the future: a box would be an allocation for every request.
#[allow(clippy::large_enum_variant)]
enum CheckKind {
    Custom,
    Declared(Verification),
    /// The application has turned verification off by name.
    Skipped,
}

/// What a request that passed came to.
#[derive(Debug)]
pub(crate) enum Outcome {
    Answer(Answer),
    Delivery(Delivery),
}

/// A handshake's body is small; larger ones are not searched for one.
const LARGEST_HANDSHAKE: usize = 16 * 1024;

impl Scheme {
    /// Looks at the head: method, unsigned handshakes, then everything that can be checked without secret and body.
    pub(crate) fn inspect(&self, head: Head<'_>, now: SystemTime) -> Result<Step, VerifyError> {
        self.inspect_head(head, now).map_err(|error| self.hint_from_head(error, head, now))
    }

    fn inspect_head(&self, head: Head<'_>, now: SystemTime) -> Result<Step, VerifyError> {
        let template = match &self.kind {
            Kind::Custom(custom) => {
                if !custom.methods().contains(head.method()) {
                    return Err(VerifyError::new(VerifyErrorKind::MethodNotAllowed));
                }
                let plan = custom.inspect(head, now)?;
                if let Plan::Answer(answer) = plan {
                    return Ok(Step::Answer(answer));
                }
                check_encoding(head, custom.signs_encoded_bodies())?;
                return Ok(Step::Verify(Inspected::nothing()));
            }
            Kind::Declared(template) => template,
        };
        if let Some(step) = self.unsigned_handshake(template, head)? {
            return Ok(step);
        }
        self.check_method(template, head)?;
        let inspected = template.inspect(head, now, &self.settings)?;
        check_encoding(head, template.encoded_bodies)?;
        Ok(Step::Verify(inspected))
    }

    /// As [`inspect`](Self::inspect), where the application has turned verification off: methods and handshakes only.
    pub(crate) fn inspect_unverified(&self, head: Head<'_>) -> Result<Step, VerifyError> {
        match &self.kind {
            Kind::Custom(custom) if !custom.methods().contains(head.method()) => {
                return Err(VerifyError::new(VerifyErrorKind::MethodNotAllowed));
            }
            Kind::Custom(_) => {}
            Kind::Declared(template) => {
                if let Some(step) = self.unsigned_handshake(template, head)? {
                    return Ok(step);
                }
                self.check_method(template, head)?;
            }
        }
        Ok(Step::Verify(Inspected::nothing()))
    }

    fn unsigned_handshake(&self, template: &Template, head: Head<'_>) -> Result<Option<Step>, VerifyError> {
        for (index, handshake) in template.handshakes.iter().enumerate() {
            if !handshake.is_signed() && handshake.applies(head, None) {
                return Ok(Some(if handshake.needs_secret() {
                    Step::Challenge(index)
                } else {
                    Step::Answer(handshake.answer(head, None, &self.settings, None)?)
                }));
            }
        }
        Ok(None)
    }

    fn check_method(&self, template: &Template, head: Head<'_>) -> Result<(), VerifyError> {
        let mut handshakes = template.handshakes.iter().filter(|handshake| handshake.comes_by() == head.method());
        // Whether it is the signed handshake that comes by this method shows once the signature has passed.
        if template.methods.contains(head.method()) || handshakes.clone().any(Handshake::is_signed) {
            return Ok(());
        }
        // A method that only handshakes come by, and no handshake: somebody is trying.
        Err(VerifyError::new(match handshakes.next() {
            Some(_) => VerifyErrorKind::HandshakeRefused,
            None => VerifyErrorKind::MethodNotAllowed,
        }))
    }

    /// Answers an unsigned handshake that needs a secret.
    pub(crate) fn challenge(
        &self,
        index: usize,
        head: Head<'_>,
        ring: &KeyRing,
        now: SystemTime,
    ) -> Result<Answer, VerifyError> {
        let refused = || VerifyError::new(VerifyErrorKind::HandshakeRefused);
        let Kind::Declared(template) = &self.kind else { return Err(refused()) };
        let handshake = template.handshakes.get(index).ok_or_else(refused)?;
        let secret = ring.usable(now).next().map(|(_, secret, _)| (secret, template.key_form));
        handshake.answer(head, None, &self.settings, secret)
    }

    /// Starts the check of a body.
    pub(crate) fn begin(
        &self,
        head: Head<'_>,
        inspected: Inspected,
        ring: &KeyRing,
        now: SystemTime,
    ) -> Result<Check, VerifyError> {
        let kind = match &self.kind {
            Kind::Custom(_) => CheckKind::Custom,
            Kind::Declared(template) => {
                CheckKind::Declared(Verification::begin(template, head, &self.settings, inspected, ring, now)?)
            }
        };
        Ok(Check { kind, now })
    }
}

impl Check {
    /// A check that passes everything.
    pub(crate) fn skipped(now: SystemTime) -> Self {
        Self { kind: CheckKind::Skipped, now }
    }

    /// Takes a frame of the body.
    pub(crate) fn update(&mut self, scheme: &Scheme, frame: &[u8]) {
        if let (CheckKind::Declared(verification), Kind::Declared(template)) = (&mut self.kind, &scheme.kind) {
            verification.update(template, frame);
        }
    }

    /// Ends the check, with the whole body.
    pub(crate) fn finish(
        self,
        scheme: &Scheme,
        head: Head<'_>,
        body: Bytes,
        ring: &KeyRing,
    ) -> Result<Outcome, VerifyError> {
        let settings = &scheme.settings;
        match (&scheme.kind, self.kind) {
            (Kind::Custom(custom), CheckKind::Custom) => {
                let binding = custom
                    .verify(head, &body, Keys { ring, now: self.now }, self.now)
                    .map_err(|error| scheme.hint_from_body(error, head, &body, ring, self.now))?;
                Ok(custom_outcome(custom.name(), custom.payload(), binding, body, ring))
            }
            (Kind::Declared(template), kind) => {
                let (proof, family) = match kind {
                    CheckKind::Declared(verification) => verification
                        .finish(template, head, settings, &body, self.now)
                        .map_err(|error| scheme.hint_from_body(error, head, &body, ring, self.now))?,
                    CheckKind::Custom | CheckKind::Skipped => (Proof::default(), 0),
                };
                if let Some(answer) = scheme.signed_handshake(template, head, &body, ring, proof)? {
                    return Ok(Outcome::Answer(answer));
                }
                if !template.methods.contains(head.method()) {
                    return Err(VerifyError::new(VerifyErrorKind::HandshakeRefused));
                }
                let facts = template.head_facts(head, family, settings);
                let tenant = ring.secrets().tenant_name().cloned();
                let delivery = Delivery::new(Arc::clone(&template.layout), facts, body, proof, tenant);
                ring.check_mode(&delivery)?;
                Ok(Outcome::Delivery(delivery))
            }
            (Kind::Custom(custom), _) => {
                Ok(custom_outcome(custom.name(), custom.payload(), Binding::default(), body, ring))
            }
        }
    }
}

impl Scheme {
    fn signed_handshake(
        &self,
        template: &Template,
        head: Head<'_>,
        body: &Bytes,
        ring: &KeyRing,
        proof: Proof,
    ) -> Result<Option<Answer>, VerifyError> {
        for handshake in template.handshakes.iter().filter(|handshake| handshake.is_signed()) {
            if handshake.reads_body() && body.len() > LARGEST_HANDSHAKE {
                continue;
            }
            if handshake.applies(head, Some(body)) {
                // With the secret that the sender signed with, since that is the one it will check against.
                let secret = ring
                    .usable(SystemTime::UNIX_EPOCH)
                    .find(|(index, ..)| Some(*index) == proof.secret_index)
                    .map(|(_, secret, _)| (secret, template.key_form));
                return handshake.answer(head, Some(body), &self.settings, secret).map(Some);
            }
        }
        Ok(None)
    }
}

impl Inspected {
    pub(crate) fn nothing() -> Self {
        Self { candidates: Default::default(), family: 0, timestamp: None, timestamp_text: None }
    }
}

fn custom_outcome(name: &str, payload: &str, binding: Binding, body: Bytes, ring: &KeyRing) -> Outcome {
    if let Some(answer) = binding.answer {
        return Outcome::Answer(answer);
    }
    let mut layout = Layout::new(Arc::from(name), Pointer::parse(payload).unwrap_or_default(), 1);
    let mut facts = HeadFacts::new();
    let (id, id_is_signed) = binding.id.map_or((None, false), |(id, signed)| (Some(id), signed));
    for (fact, text) in [(Fact::Id, id), (Fact::EventType, binding.event_type)] {
        if let Some(text) = text {
            facts.push(layout.given(fact, &text));
        }
    }
    let coverage = Coverage { body: binding.body, id: id_is_signed, timestamp: binding.timestamp.is_some() };
    let proof = Proof { timestamp: binding.timestamp, secret_index: binding.secret_index, coverage };
    let tenant = ring.secrets().tenant_name().cloned();
    Outcome::Delivery(Delivery::new(Arc::new(layout), facts, body, proof, tenant))
}

/// Refuses a body that is not what was serialised, unless the sender signs it so.
fn check_encoding(head: Head<'_>, signed: bool) -> Result<(), VerifyError> {
    let is_plain = |value: &HeaderValue| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity");
    if signed || head.headers().get_all(header::CONTENT_ENCODING).iter().all(is_plain) {
        return Ok(());
    }
    Err(VerifyError::new(VerifyErrorKind::ContentEncoding).with_header(header::CONTENT_ENCODING))
}
