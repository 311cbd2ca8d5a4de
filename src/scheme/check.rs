use std::{sync::Arc, time::SystemTime};

use bytes::Bytes;
use http::{HeaderValue, header};

use super::{
    answer::Answer,
    arrived::Arrived,
    custom::{Binding, CustomScheme, Plan},
    handshake::CompiledHandshake,
    hint::Checked,
    inspect::Inspected,
    keys::{KeyRing, Keys},
    look::Render,
    scheme::{Kind, Scheme},
    template::Template,
    verification::Verification,
};
use crate::{
    delivery::{Coverage, Delivery, Facts, Layout, Proof},
    error::{ConfigError, VerifyError, VerifyErrorKind},
    head::Head,
    json::Pointer,
    secret::Secrets,
};

/// The next step after the check of the head.
#[derive(Debug)]
pub(crate) enum Step {
    /// A handshake that is answered from the head alone.
    Answer(Answer),
    /// A handshake, by its place in the scheme, that is answered with a secret.
    Challenge(usize),
    /// Read the body and verify.
    Verify(Inspected),
}

/// A check between head and verdict. It sees each frame of the body as it comes, and holds everything that it checks with:
/// nobody can end it with another scheme than it began with.
pub(crate) struct Check {
    kind: CheckKind,
    ring: Arc<KeyRing>,
    now: SystemTime,
}

// One lives at a time, inside the future: a box would be an allocation for every request.
#[allow(clippy::large_enum_variant)]
enum CheckKind {
    Custom(Arc<dyn CustomScheme>),
    Declared(Verification),
    /// The application has turned verification off by name.
    Skipped(Kind),
}

/// The result for a verified request.
#[derive(Debug)]
pub(crate) enum Outcome {
    Answer(Answer),
    Delivery(Delivery),
}

/// The result of a successful verification.
///
/// ```
/// use tower_webhooks::scheme::Verdict;
///
/// fn handle(verdict: Verdict) {
///     match verdict {
///         Verdict::Delivery(delivery) => println!("handle {:?}", delivery.event_type()),
///         Verdict::Handshake(answer) => println!("answer with {}", answer.status()),
///         _ => {}
///     }
/// }
/// # let _ = handle;
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Verdict {
    /// A verified delivery.
    Delivery(Delivery),
    /// A handshake, and its answer.
    Handshake(Answer),
}

impl Verdict {
    /// Returns the delivery, if it is one.
    pub fn into_delivery(self) -> Option<Delivery> {
        match self {
            Self::Delivery(delivery) => Some(delivery),
            Self::Handshake(_) => None,
        }
    }
}

/// A handshake's body is small; larger ones are not searched for one.
const LARGEST_HANDSHAKE: usize = 16 * 1024;

impl Scheme {
    /// Looks at the head: method, unsigned handshakes, then everything that can be checked without secret and body.
    pub(crate) fn inspect(&self, head: Head<'_>, now: SystemTime) -> Result<Step, VerifyError> {
        self.inspect_head(head, now).map_err(|error| self.checked().hint_from_head(error, head, now))
    }

    fn inspect_head(&self, head: Head<'_>, now: SystemTime) -> Result<Step, VerifyError> {
        let template = match &self.kind {
            Kind::Custom { code, .. } => {
                if !code.methods().contains(head.method()) {
                    return Err(VerifyError::new(VerifyErrorKind::MethodNotAllowed));
                }
                let plan = code.inspect(head, now)?;
                if let Plan::Answer(answer) = plan {
                    return Ok(Step::Answer(answer));
                }
                check_encoding(head, code.signs_encoded_bodies())?;
                return Ok(Step::Verify(Inspected::default()));
            }
            Kind::Declared(template) => template,
        };
        if let Some(step) = template.unsigned_handshake(head)? {
            return Ok(step);
        }
        template.check_method(head)?;
        let inspected = template.inspect(head, now)?;
        check_encoding(head, template.encoded_bodies)?;
        Ok(Step::Verify(inspected))
    }

    /// As [`inspect`](Self::inspect), if the application has turned verification off: only methods and handshakes are
    /// checked.
    pub(crate) fn inspect_unverified(&self, head: Head<'_>, now: SystemTime) -> Result<Step, VerifyError> {
        match &self.kind {
            Kind::Custom { code, .. } if !code.methods().contains(head.method()) => {
                return Err(VerifyError::new(VerifyErrorKind::MethodNotAllowed));
            }
            // Requests that it would reject pass, and handshakes that it answers are answered.
            Kind::Custom { code, .. } => {
                if let Ok(Plan::Answer(answer)) = code.inspect(head, now) {
                    return Ok(Step::Answer(answer));
                }
            }
            Kind::Declared(template) => {
                if let Some(step) = template.unsigned_handshake(head)? {
                    return Ok(step);
                }
                template.check_method(head)?;
            }
        }
        Ok(Step::Verify(Inspected::default()))
    }

    /// Answers an unsigned handshake that needs a secret.
    pub(crate) fn challenge(
        &self,
        index: usize,
        head: Head<'_>,
        ring: &KeyRing,
        now: SystemTime,
    ) -> Result<Answer, VerifyError> {
        let rejected = || VerifyError::new(VerifyErrorKind::HandshakeRejected);
        let Kind::Declared(template) = &self.kind else { return Err(rejected()) };
        let handshake = template.handshakes.get(index).ok_or_else(rejected)?;
        let secret = ring.usable(now).next().map(|(_, secret, _)| (secret, &template.key));
        handshake.answer(Arrived::head(head), &template.settings, secret)
    }

    /// Returns the id of the key that a request says that it is signed with. The request has passed [`inspect`](Self::inspect).
    pub(crate) fn key_id(&self, head: Head<'_>) -> Option<String> {
        let Kind::Declared(template) = &self.kind else { return None };
        template.named_key(&template.look(Arrived::head(head))).ok()?
    }

    /// Returns `true` if a request names its key in the body, so that there are no secrets before the body has been read.
    pub(crate) fn names_key_in_body(&self) -> bool {
        matches!(&self.kind, Kind::Declared(template) if template.names_key_in_body())
    }

    /// As [`key_id`](Self::key_id), for a name in the body. A request that no key can have signed must not cause a
    /// look-up.
    pub(crate) fn key_id_in_body(&self, head: Head<'_>, body: &[u8]) -> Result<Option<String>, VerifyError> {
        let Kind::Declared(template) = &self.kind else { return Ok(None) };
        let look = template.look(Arrived::whole(head, body));
        look.render(Render::All, &mut |_| {})?;
        look.hashed()?;
        template.named_key(&look)
    }

    /// Starts the check of a body.
    pub(crate) fn begin(
        &self,
        head: Head<'_>,
        inspected: Inspected,
        ring: Arc<KeyRing>,
        now: SystemTime,
    ) -> Result<Check, VerifyError> {
        let kind = match &self.kind {
            Kind::Custom { code, .. } => CheckKind::Custom(Arc::clone(code)),
            Kind::Declared(template) => {
                CheckKind::Declared(Verification::begin(template, head, inspected, &ring, now)?)
            }
        };
        Ok(Check { kind, ring, now })
    }

    /// Starts a check that passes everything.
    pub(crate) fn skip(&self, now: SystemTime) -> Check {
        Check { kind: CheckKind::Skipped(self.kind.clone()), ring: Arc::new(KeyRing::empty()), now }
    }
}

impl Scheme {
    /// Verifies a request outside of any HTTP server: in a queue consumer, or a function that is called by a platform.
    ///
    /// `head` is the sender's request head, `body` the raw body, never a re-serialised one. Body limit and deadline are
    /// the caller's task. The result says whether the request is a handshake or a delivery.
    ///
    /// # Errors
    /// When the request does not pass; with [`SecretUnavailable`](VerifyErrorKind::SecretUnavailable) when `secrets` is empty,
    /// has ended, or is not of the scheme's form; and with [`UnknownTenant`](VerifyErrorKind::UnknownTenant) when `secrets` is
    /// [`Secrets::unknown_tenant`].
    pub fn verify<'h>(
        &self,
        head: impl Into<Head<'h>>,
        body: impl Into<Bytes>,
        secrets: &Secrets,
        now: SystemTime,
    ) -> Result<Verdict, VerifyError> {
        let (head, body) = (head.into(), body.into());
        if let Some(unknown) = secrets.unknown() {
            return Err(unknown.error());
        }
        let ring = self.key_ring(secrets.clone()).map_err(|cause| self.unusable(secrets, cause))?;
        ring.check_valid(now)?;
        let ring = Arc::new(ring);
        let inspected = match self.inspect(head, now)? {
            Step::Answer(answer) => return Ok(Verdict::Handshake(answer)),
            Step::Challenge(index) => return self.challenge(index, head, &ring, now).map(Verdict::Handshake),
            Step::Verify(inspected) => inspected,
        };
        let mut check = self.begin(head, inspected, ring, now)?;
        check.update(&body);
        match check.finish(head, body)? {
            Outcome::Answer(answer) => Ok(Verdict::Handshake(answer)),
            Outcome::Delivery(delivery) => Ok(Verdict::Delivery(delivery)),
        }
    }

    /// The error of secrets that cannot be used.
    pub(crate) fn unusable(&self, secrets: &Secrets, cause: ConfigError) -> VerifyError {
        VerifyError::new(VerifyErrorKind::SecretUnavailable)
            .with_hint(self.checked().hint_about_secrets(secrets))
            .with_source(cause)
    }

    fn checked(&self) -> Checked<'_> {
        match &self.kind {
            Kind::Custom { code, .. } => Checked::Custom(&**code),
            Kind::Declared(template) => Checked::Declared(template),
        }
    }
}

impl Check {
    /// The keys that it checks with.
    pub(crate) fn ring(&self) -> &Arc<KeyRing> {
        &self.ring
    }

    /// The time that it began with.
    pub(crate) fn now(&self) -> SystemTime {
        self.now
    }

    /// Takes a frame of the body.
    pub(crate) fn update(&mut self, frame: &[u8]) {
        if let CheckKind::Declared(verification) = &mut self.kind {
            verification.update(frame);
        }
    }

    /// Ends the check, with the whole body. It is called once.
    pub(crate) fn finish(&mut self, head: Head<'_>, body: Bytes) -> Result<Outcome, VerifyError> {
        let Self { kind, ring, now } = self;
        let now = *now;
        match kind {
            CheckKind::Custom(code) => {
                let binding = code.verify(head, &body, Keys { ring, now }, now).map_err(|error| {
                    Checked::Custom(&**code).hint_from_body(error, Arrived::whole(head, &body), ring, now)
                })?;
                Ok(custom_outcome(&**code, binding, body, ring))
            }
            CheckKind::Declared(verification) => {
                let (proof, family) = verification.finish(head, &body, now).map_err(|error| {
                    let checked = Checked::Declared(&verification.template);
                    checked.hint_from_body(error, Arrived::whole(head, &body), ring, now)
                })?;
                verification.template.outcome(head, body, ring, proof, family)
            }
            CheckKind::Skipped(Kind::Custom { code, .. }) => {
                Ok(custom_outcome(&**code, Binding::default(), body, ring))
            }
            CheckKind::Skipped(Kind::Declared(template)) => {
                template.outcome(head, body, ring, Proof::default(), template.family(head))
            }
        }
    }
}

impl Template {
    fn unsigned_handshake(&self, head: Head<'_>) -> Result<Option<Step>, VerifyError> {
        for (index, handshake) in self.handshakes.iter().enumerate() {
            if !handshake.is_signed() && handshake.applies(Arrived::head(head)) {
                return Ok(Some(if handshake.needs_secret() {
                    Step::Challenge(index)
                } else {
                    Step::Answer(handshake.answer(Arrived::head(head), &self.settings, None)?)
                }));
            }
        }
        Ok(None)
    }

    fn check_method(&self, head: Head<'_>) -> Result<(), VerifyError> {
        let mut handshakes = self.handshakes.iter().filter(|handshake| handshake.comes_by() == head.method());
        // Whether it is the signed handshake that comes by this method shows once the signature has passed.
        if self.methods.contains(head.method()) || handshakes.clone().any(CompiledHandshake::is_signed) {
            return Ok(());
        }
        // Only handshakes use this method, and this is not a handshake, so it is a probe.
        Err(VerifyError::new(match handshakes.next() {
            Some(_) => VerifyErrorKind::HandshakeRejected,
            None => VerifyErrorKind::MethodNotAllowed,
        }))
    }

    /// Returns what a verified request is: a signed handshake, or a delivery.
    fn outcome(
        &self,
        head: Head<'_>,
        body: Bytes,
        ring: &KeyRing,
        proof: Proof,
        family: usize,
    ) -> Result<Outcome, VerifyError> {
        if let Some(answer) = self.signed_handshake(Arrived::whole(head, &body), ring, proof)? {
            return Ok(Outcome::Answer(answer));
        }
        if !self.methods.contains(head.method()) {
            return Err(VerifyError::new(VerifyErrorKind::HandshakeRejected));
        }
        let facts = self.head_facts(head, family);
        let tenant = ring.secrets().tenant_name().cloned();
        let delivery = Delivery::new(Arc::clone(&self.layout), facts, body, proof, tenant);
        ring.check_mode(&delivery)?;
        Ok(Outcome::Delivery(delivery))
    }

    fn signed_handshake(
        &self,
        arrived: Arrived<'_>,
        ring: &KeyRing,
        proof: Proof,
    ) -> Result<Option<Answer>, VerifyError> {
        for handshake in self.handshakes.iter().filter(|handshake| handshake.is_signed()) {
            if handshake.reads_body() && arrived.body.is_some_and(|body| body.len() > LARGEST_HANDSHAKE) {
                continue;
            }
            if handshake.applies(arrived) {
                // With the secret that the sender signed with, since that is the one it will check against.
                let secret = ring
                    .usable(SystemTime::UNIX_EPOCH)
                    .find(|(index, ..)| Some(*index) == proof.secret_index)
                    .map(|(_, secret, _)| (secret, &self.key));
                return handshake.answer(arrived, &self.settings, secret).map(Some);
            }
        }
        Ok(None)
    }
}

fn custom_outcome(code: &dyn CustomScheme, binding: Binding, body: Bytes, ring: &KeyRing) -> Outcome {
    if let Some(answer) = binding.answer {
        return Outcome::Answer(answer);
    }
    let layout = Layout::new(Arc::from(code.name()), Pointer::parse(code.payload()).unwrap_or_default(), 1);
    let id_is_signed = binding.id.as_ref().is_some_and(|(_, signed)| *signed);
    let facts = Facts::given(binding.id.as_ref().map(|(id, _)| id.as_str()), binding.event_type.as_deref());
    let coverage = Coverage { body: binding.body, id: id_is_signed, timestamp: binding.timestamp.is_some() };
    let proof = Proof { timestamp: binding.timestamp, secret_index: binding.secret_index, coverage };
    let tenant = ring.secrets().tenant_name().cloned();
    Outcome::Delivery(Delivery::given(Arc::new(layout), facts, body, proof, tenant))
}

/// Rejects a body with a `Content-Encoding`, unless the sender signs the encoded bytes.
fn check_encoding(head: Head<'_>, signed: bool) -> Result<(), VerifyError> {
    let is_plain = |value: &HeaderValue| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity");
    if signed || head.headers().get_all(header::CONTENT_ENCODING).iter().all(is_plain) {
        return Ok(());
    }
    Err(VerifyError::new(VerifyErrorKind::ContentEncoding).with_header(header::CONTENT_ENCODING))
}
