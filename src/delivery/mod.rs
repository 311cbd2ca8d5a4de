//! One message from one sender to one receiver, as its signature vouched for it.

#[cfg(feature = "inbox")]
mod kept;
mod layout;
mod names;
mod proof;

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::SystemTime,
};

use bytes::Bytes;
#[cfg(feature = "axum")]
use serde_json::Value;
use serde_json::value::RawValue;

#[cfg(feature = "inbox")]
pub(crate) use self::kept::KeptDelivery;
pub(crate) use self::layout::{Fact, Facts, HeadFacts, HeadText, Layout};
pub use self::names::{DeliveryId, EventType, Mode};
pub(crate) use self::proof::{Coverage, Proof};
#[cfg(feature = "axum")]
use crate::boxed::BoxError;
use crate::{
    form::Content,
    json::{Pointer, Scalars, Unread},
};

/// The facts about a verified delivery. Clones are cheap.
///
/// It exists only if a scheme's check has passed. Facts in the body are read on first use, and are `None` if the body
/// is neither JSON nor a form that the scheme can read.
///
/// # Examples
/// ```
/// use std::time::SystemTime;
/// use http::Request;
/// use tower_webhooks::{Provider, Scheme, Secret, Secrets};
///
/// // The example of GitHub's documentation, "Validating webhook deliveries".
/// let scheme = Scheme::from(Provider::GITHUB);
/// let secrets = Secrets::new(Secret::new("It's a Secret to Everybody")?).tenant("acme");
/// let (head, ()) = Request::post("/")
///     .header("x-hub-signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17")
///     .header("x-github-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958")
///     .header("x-github-event", "push")
///     .body(())?
///     .into_parts();
///
/// let verdict = scheme.verify(&head, "Hello, World!", &secrets, SystemTime::now())?;
/// let delivery = verdict.into_delivery().ok_or("GitHub has no handshake")?;
///
/// assert_eq!(delivery.provider(), "github");
/// assert_eq!(delivery.id().map(|id| id.as_str()), Some("72d3162e-cc78-11e3-81ab-4c9367dc0958"));
/// assert_eq!(delivery.event_type().map(|kind| kind.as_str()), Some("push"));
/// assert_eq!((delivery.tenant(), delivery.secret_index()), (Some("acme"), Some(0)));
/// // GitHub signs the body alone.
/// assert!(delivery.covers_body() && !delivery.id_is_signed());
/// assert_eq!(delivery.timestamp(), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Delivery(Arc<Inner>);

struct Inner {
    layout: Arc<Layout>,
    head: HeadFacts,
    /// The body to parse: the signed body, or the result of an upcaster.
    body: Bytes,
    /// The signed body, if it is another one.
    signed: Option<Bytes>,
    proof: Proof,
    tenant: Option<Arc<str>>,
    facts: OnceLock<Facts>,
    /// The id, if it is in the head.
    head_id: OnceLock<Option<DeliveryId>>,
    /// The content of a form, for a scheme with forms.
    content: OnceLock<Content>,
}

/// The body as it is parsed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Document<'a> {
    /// A form whose fields are the payload.
    Fields(&'a [u8]),
    Json(&'a [u8]),
    Unread(Unread),
}

impl Delivery {
    pub(crate) fn new(
        layout: Arc<Layout>,
        head: HeadFacts,
        body: Bytes,
        proof: Proof,
        tenant: Option<Arc<str>>,
    ) -> Self {
        let (facts, head_id, content) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        Self(Arc::new(Inner { layout, head, body, signed: None, proof, tenant, facts, head_id, content }))
    }

    /// Makes a delivery of facts that are known already: from code of the application's, from a test, or from a store.
    pub(crate) fn given(
        layout: Arc<Layout>,
        facts: Facts,
        body: Bytes,
        proof: Proof,
        tenant: Option<Arc<str>>,
    ) -> Self {
        let (facts, head, content) = (OnceLock::from(facts), HeadFacts::new(), OnceLock::new());
        Self(Arc::new(Inner {
            layout,
            head,
            body,
            signed: None,
            proof,
            tenant,
            facts,
            head_id: OnceLock::new(),
            content,
        }))
    }

    /// Restores a delivery from its stored form. Returns `None` if that cannot be read.
    #[cfg(feature = "inbox")]
    pub(crate) fn restored(kept: KeptDelivery, body: Bytes) -> Option<Self> {
        let (layout, facts, proof, tenant) = kept.into_parts()?;
        Some(Self::given(Arc::new(layout), facts, body, proof, tenant))
    }

    /// Returns the facts to store in addition to its body.
    #[cfg(feature = "inbox")]
    pub(crate) fn kept(&self) -> KeptDelivery {
        KeptDelivery::of_parts(&self.0.layout, self.facts(), self.0.proof, self.tenant())
    }

    /// Returns the delivery's id, which is the same on every attempt of the sender. `None` if the provider sends none.
    pub fn id(&self) -> Option<&DeliveryId> {
        let Inner { layout, head, head_id, facts, .. } = &*self.0;
        if facts.get().is_none() && layout.id_is_in_head() {
            // The body need not be walked for it: a duplicate that is known by its id gets no further.
            return head_id.get_or_init(|| layout.head_id(head)).as_ref();
        }
        self.facts().id.as_ref()
    }

    /// Returns the event type, such as `invoice.paid`. `None` if the provider names none.
    pub fn event_type(&self) -> Option<&EventType> {
        self.facts().event_type.as_ref()
    }

    /// Returns the name of the provider, or of the declared scheme.
    pub fn provider(&self) -> &str {
        &self.0.layout.provider
    }

    /// Returns the tenant, if the [`SecretSource`](crate::SecretSource) named one.
    pub fn tenant(&self) -> Option<&str> {
        self.0.tenant.as_deref()
    }

    /// Returns when the sender signed it. `None` if the scheme signs no time.
    pub fn timestamp(&self) -> Option<SystemTime> {
        self.0.proof.timestamp
    }

    /// Returns the version of the sender's API that shaped the payload, if the sender says so.
    pub fn api_version(&self) -> Option<&str> {
        self.facts().api_version.as_deref()
    }

    /// Returns the sender's account that the event is about, if the scheme has a place for it: Stripe's connected account.
    pub fn account(&self) -> Option<&str> {
        self.facts().account.as_deref()
    }

    /// Returns the number of the sender's attempt, from 1, if the sender says so.
    pub fn attempt(&self) -> Option<u32> {
        self.facts().attempt
    }

    /// Returns whether it is about live data or test data, if the sender says so.
    pub fn mode(&self) -> Option<Mode> {
        self.facts().mode
    }

    /// Returns the place of the secret that matched in the list of secrets: 0 is the current one. `None` if nothing was checked.
    pub fn secret_index(&self) -> Option<usize> {
        self.0.proof.secret_index
    }

    /// Returns `true` if the signature covers the body. Otherwise anyone who has seen one genuine request can change
    /// its content.
    pub fn covers_body(&self) -> bool {
        self.0.proof.coverage.body
    }

    /// Returns `true` if the signature covers the id. Otherwise a replayed delivery can come under another id.
    pub fn id_is_signed(&self) -> bool {
        self.0.proof.coverage.id
    }

    /// Returns `true` if the signature covers a timestamp. Otherwise a delivery can be replayed at any time.
    pub fn timestamp_is_signed(&self) -> bool {
        self.0.proof.coverage.timestamp
    }

    /// The deliveries of a batch, each with its own body. `None` where the scheme sends none, or the body holds no array
    /// where it should: the handler is then told what is wrong.
    pub(crate) fn items(&self) -> Option<Vec<Self>> {
        let pointer = self.0.layout.batch.as_ref()?;
        let Document::Json(json) = self.document() else { return None };
        let (items, _) = crate::json::payload::<Vec<&RawValue>>(json, pointer, &[]).ok()?;
        let whole = match self.0.content.get() {
            // The field of a form was decoded; its items share one copy of that.
            Some(Content::Json(json)) => json,
            _ => &self.0.body,
        };
        let item = |raw: &RawValue| {
            let Inner { layout, head, proof, tenant, .. } = &*self.0;
            // A slice: nothing is copied.
            let body = whole.slice_ref(raw.get().as_bytes());
            Self::new(Arc::clone(layout), head.clone(), body, *proof, tenant.clone())
        };
        Some(items?.into_iter().map(item).collect())
    }

    pub(crate) fn body(&self) -> &Bytes {
        &self.0.body
    }

    /// The body as it is parsed: a form is decoded here, when it is asked for the first time.
    pub(crate) fn document(&self) -> Document<'_> {
        let Inner { layout, body, content, .. } = &*self.0;
        let Some(form) = &layout.form else { return Document::Json(body) };
        match content.get_or_init(|| form.read(body)) {
            Content::Fields => Document::Fields(body),
            Content::Json(json) => Document::Json(json),
            Content::Raw => Document::Json(body),
            Content::Unread(unread) => Document::Unread(*unread),
        }
    }

    /// The bytes that the signature was checked over.
    pub(crate) fn signed_body(&self) -> &Bytes {
        self.0.signed.as_ref().unwrap_or(&self.0.body)
    }

    /// The same delivery with its payload changed, and of another API version.
    #[cfg(feature = "axum")]
    pub(crate) fn with_payload(
        &self,
        version: &str,
        change: impl FnOnce(Value) -> Result<Value, BoxError>,
    ) -> Result<Self, BoxError> {
        let Inner { layout, head, proof, tenant, .. } = &*self.0;
        let mut envelope: Value = match self.document() {
            Document::Fields(form) => crate::form::to_json(form)?,
            Document::Json(json) => serde_json::from_slice(json)?,
            Document::Unread(unread) => return Err(unread.as_str().into()),
        };
        let pointer = layout.payload.to_string();
        let payload = match envelope.pointer_mut(&pointer) {
            Some(payload) => payload,
            None if layout.or_envelope => &mut envelope,
            None => return Err(format!("there is nothing at `{pointer}`").into()),
        };
        *payload = change(payload.take())?;
        let facts = Facts { api_version: Some(version.into()), ..self.facts().clone() };
        Ok(Self(Arc::new(Inner {
            layout: Arc::clone(layout),
            head: head.clone(),
            body: serde_json::to_vec(&envelope)?.into(),
            signed: Some(self.signed_body().clone()),
            proof: *proof,
            tenant: tenant.clone(),
            facts: OnceLock::from(facts),
            head_id: OnceLock::new(),
            content: OnceLock::from(Content::Raw),
        })))
    }

    /// The text or number at a place in the body.
    #[cfg(feature = "inbox")]
    pub(crate) fn text_at(&self, pointer: &Pointer) -> Option<String> {
        let pointers = std::slice::from_ref(pointer);
        let scalars = match self.document() {
            Document::Fields(form) => crate::form::scalars(form, pointers),
            Document::Json(json) => crate::json::scalars(json, pointers),
            Document::Unread(unread) => Err(unread),
        };
        let text = scalars.ok()?.into_iter().next()??;
        (!text.is_empty()).then(|| text.into_owned())
    }

    pub(crate) fn payload_pointer(&self) -> &Pointer {
        &self.0.layout.payload
    }

    /// Whether the envelope is the payload where there is nothing at the payload's pointer.
    pub(crate) fn payload_may_be_envelope(&self) -> bool {
        self.0.layout.or_envelope
    }

    /// The pointers to pick up in a walk over the body that is made anyway, for [`note`](Self::note). Empty when the walk
    /// would not see them all, or when they are known.
    pub(crate) fn wanted(&self) -> &[Pointer] {
        let layout = &self.0.layout;
        if layout.pointers_in_payload || self.0.facts.get().is_some() { &[] } else { &layout.pointers }
    }

    /// Takes the values that a walk over the body found at [`wanted`](Self::wanted).
    pub(crate) fn note(&self, scalars: &Scalars<'_>) {
        if scalars.len() == self.0.layout.pointers.len() {
            self.0.facts.get_or_init(|| self.0.layout.facts(&self.0.head, scalars));
        }
    }

    /// Id and event type for the log. They are read here if nobody has read them yet, and kept; but not those of a body that
    /// cannot be read, since who listens to the log must not decide how it is answered.
    #[cfg(feature = "tracing")]
    pub(crate) fn logged(&self) -> (Option<&DeliveryId>, Option<&EventType>) {
        if self.0.facts.get().is_none() {
            let facts = self.read_facts();
            if facts.unread.is_some() {
                return (self.0.layout.id_is_in_head().then(|| self.id()).flatten(), None);
            }
            self.0.facts.get_or_init(|| facts);
        }
        (self.id(), self.event_type())
    }

    /// Why nothing could be read from the body, where somebody has looked for a fact in it. [`Unread::Repeated`] matters to
    /// everyone: a handler that reads such a body would see one of two values, and routing or a claim the other.
    pub(crate) fn unread(&self) -> Option<Unread> {
        self.0.facts.get()?.unread
    }

    /// Whether the body looks like a form, and the scheme does not say how to read one.
    pub(crate) fn is_strange_form(&self) -> bool {
        self.0.layout.form.is_none() && crate::form::is_form(&self.0.body)
    }

    fn facts(&self) -> &Facts {
        self.0.facts.get_or_init(|| self.read_facts())
    }

    fn read_facts(&self) -> Facts {
        let layout = &self.0.layout;
        if layout.pointers.is_empty() {
            return layout.facts(&self.0.head, &Scalars::new());
        }
        let scalars = match self.document() {
            Document::Fields(form) => crate::form::scalars(form, &layout.pointers),
            Document::Json(json) => crate::json::scalars(json, &layout.pointers),
            Document::Unread(unread) => Err(unread),
        };
        match scalars {
            Ok(scalars) => layout.facts(&self.0.head, &scalars),
            // A body that cannot be read contains no facts; the handler that parses it gets the reason.
            Err(unread) => {
                let unread = if unread == Unread::NotJson && self.is_strange_form() { Unread::Form } else { unread };
                Facts { unread: Some(unread), ..layout.facts(&self.0.head, &Scalars::new()) }
            }
        }
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("provider", &self.provider())
            .field("id", &self.id())
            .field("event_type", &self.event_type())
            .field("tenant", &self.tenant())
            .field("timestamp", &self.timestamp())
            .finish_non_exhaustive()
    }
}
