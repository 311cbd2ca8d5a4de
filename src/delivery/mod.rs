//! One message from one sender to one receiver, as its signature vouched for it.

use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, OnceLock},
    time::SystemTime,
};

use bytes::Bytes;
use http::HeaderValue;
#[cfg(feature = "axum")]
use serde_json::Value;
use serde_json::value::RawValue;
use smallvec::SmallVec;

#[cfg(feature = "axum")]
use crate::boxed::BoxError;
use crate::{
    field::{Place, Places},
    form::{Content, Form},
    json::{Pointer, Scalars, Unread},
    pattern::Subject,
};

/// What is known about a verified delivery. Cheap to clone.
///
/// It exists only because a scheme's check passed. What its provider puts in the body is read on first use, and is `None`
/// where the body is neither JSON nor a form that the scheme can read.
#[derive(Clone)]
pub struct Delivery(Arc<Inner>);

struct Inner {
    layout: Arc<Layout>,
    head: HeadFacts,
    /// What is parsed: as signed, but where the application has turned an old payload into a newer one.
    body: Bytes,
    /// What was signed, where that is something else.
    signed: Option<Bytes>,
    proof: Proof,
    tenant: Option<Arc<str>>,
    facts: OnceLock<Facts>,
    /// Where the head alone says it.
    head_id: OnceLock<Option<DeliveryId>>,
    /// What a form holds, for a scheme that is sent forms.
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

    /// The delivery's id, the same on every attempt of the sender's. `None` where the provider sends none.
    pub fn id(&self) -> Option<&DeliveryId> {
        let Inner { layout, head, head_id, .. } = &*self.0;
        if layout.id_is_in_head() {
            // The body need not be walked for it: a copy that is known by its id gets no further.
            return head_id.get_or_init(|| layout.head_id(head)).as_ref();
        }
        self.facts().id.as_ref()
    }

    /// The event type, such as `invoice.paid`. `None` where the provider names none.
    pub fn event_type(&self) -> Option<&EventType> {
        self.facts().event_type.as_ref()
    }

    /// The name of the provider, or of the declared scheme.
    pub fn provider(&self) -> &str {
        &self.0.layout.provider
    }

    /// Whose delivery it is, where the [`SecretSource`](crate::SecretSource) named a tenant.
    pub fn tenant(&self) -> Option<&str> {
        self.0.tenant.as_deref()
    }

    /// When the sender signed it. `None` where the scheme signs no time.
    pub fn timestamp(&self) -> Option<SystemTime> {
        self.0.proof.timestamp
    }

    /// The version of the sender's API that shaped the payload, where it says so.
    pub fn api_version(&self) -> Option<&str> {
        self.facts().api_version.as_deref()
    }

    /// The sender's account that the event is about, where the scheme has a place for it: Stripe's connected account.
    pub fn account(&self) -> Option<&str> {
        self.facts().account.as_deref()
    }

    /// Which attempt of the sender's this is, from 1, where it says so.
    pub fn attempt(&self) -> Option<u32> {
        self.facts().attempt
    }

    /// Whether it is about live data or test data, where the sender says so.
    pub fn mode(&self) -> Option<Mode> {
        self.facts().mode
    }

    /// Which secret matched, by its place in the list: 0 is the current one. `None` where nothing was checked.
    pub fn secret_index(&self) -> Option<usize> {
        self.0.proof.secret_index
    }

    /// Whether the signature binds the body. Where it does not, whoever holds one true request can change what it says.
    pub fn covers_body(&self) -> bool {
        self.0.proof.coverage.body
    }

    /// Whether the signature binds the id. Where it does not, a replayed delivery can come under another id.
    pub fn id_is_signed(&self) -> bool {
        self.0.proof.coverage.id
    }

    /// Whether the signature binds a timestamp. Where it does not, a delivery can be replayed at any time.
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

    /// Takes what a walk over the body found at [`wanted`](Self::wanted).
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
            // A body that cannot be read has no facts in it; whoever parses it is told why.
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

/// The id of a delivery: what the sender calls it, never empty.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeliveryId(Arc<str>);

/// The type of an event, such as `invoice.paid` or `issues.opened`, never empty.
#[derive(Clone)]
pub struct EventType {
    text: Arc<str>,
    /// How long the first part is, where the sender puts the type together from two.
    first: Option<usize>,
}

impl EventType {
    fn new(text: &str, first: Option<usize>) -> Option<Self> {
        (!text.is_empty()).then(|| Self { text: text.into(), first })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn subject(&self) -> Subject<'_> {
        Subject { whole: &self.text, first: self.first.and_then(|length| self.text.get(..length)) }
    }
}

impl DeliveryId {
    fn new(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq for EventType {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for EventType {}

impl std::hash::Hash for EventType {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

macro_rules! text {
    ($name:ident) => {
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.as_str() == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                self.as_str() == *other
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                // Escaped: it is the sender's text.
                fmt::Debug::fmt(self.as_str(), f)
            }
        }
    };
}

text!(DeliveryId);
text!(EventType);

/// Whether a delivery is about live data or test data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mode {
    /// Real money, real people.
    Live,
    /// The provider's test or sandbox mode.
    Test,
}

/// What a passed check proved.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Proof {
    pub(crate) timestamp: Option<SystemTime>,
    pub(crate) secret_index: Option<usize>,
    pub(crate) coverage: Coverage,
}

/// What a scheme's signature binds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Coverage {
    pub(crate) body: bool,
    pub(crate) id: bool,
    pub(crate) timestamp: bool,
}

/// Where a scheme keeps what it says about a delivery.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    provider: Arc<str>,
    payload: Pointer,
    /// Whether the envelope is the payload where there is nothing at its pointer.
    or_envelope: bool,
    /// How forms are read, where the sender sends them.
    form: Option<Form>,
    /// Where the array of a batch is. The body's pointers are then those of an item.
    batch: Option<Pointer>,
    fields: [Option<Places>; FIELDS],
    /// What the sender's count begins with on the first attempt.
    first_attempt: u32,
    /// What the mode's field holds for live data.
    live: String,
    /// Every pointer of every field, in their order.
    pointers: Vec<Pointer>,
    pointers_in_payload: bool,
    families: usize,
}

/// The fields of a [`Layout`], by their place.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fact {
    Account = 0,
    ApiVersion = 1,
    Attempt = 2,
    EventType = 3,
    Id = 4,
    Mode = 5,
}

const FIELDS: usize = 6;

impl Layout {
    pub(crate) fn new(provider: Arc<str>, payload: Pointer, families: usize) -> Self {
        Self { provider, payload, families, first_attempt: 1, ..Self::default() }
    }

    pub(crate) fn set(&mut self, fact: Fact, places: Places) {
        self.fields[fact as usize] = Some(places);
        self.pointers = self.fields.iter().flatten().flat_map(Places::pointers).cloned().collect();
        self.pointers_in_payload = self.pointers.iter().any(|pointer| self.payload.contains(pointer));
    }

    pub(crate) fn set_batch(&mut self, pointer: Pointer) {
        self.batch = Some(pointer);
    }

    pub(crate) fn set_form(&mut self, form: Form) {
        self.form = Some(form);
    }

    pub(crate) fn set_or_envelope(&mut self) {
        self.or_envelope = true;
    }

    pub(crate) fn set_first_attempt(&mut self, count: u32) {
        self.first_attempt = count;
    }

    pub(crate) fn set_live(&mut self, text: String) {
        self.live = text;
    }

    /// Adds a fact that is known already, whatever its place.
    pub(crate) fn given(&mut self, fact: Fact, text: &str) -> HeadFact {
        self.set(fact, Places { places: vec![Place::Param(String::new())], joined: None });
        HeadFact { field: fact as usize, joined: false, place: 0, text: HeadText::Text(text.into()) }
    }

    pub(crate) fn provider(&self) -> &Arc<str> {
        &self.provider
    }

    /// Whether the scheme has a place for this fact.
    pub(crate) fn says(&self, fact: Fact) -> bool {
        self.fields[fact as usize].is_some()
    }

    #[cfg(feature = "testing")]
    pub(crate) fn places(&self, fact: Fact) -> Option<&Places> {
        self.fields[fact as usize].as_ref()
    }

    #[cfg(feature = "testing")]
    pub(crate) fn payload(&self) -> &Pointer {
        &self.payload
    }

    #[cfg(feature = "testing")]
    pub(crate) fn batch(&self) -> Option<&Pointer> {
        self.batch.as_ref()
    }

    #[cfg(feature = "testing")]
    pub(crate) fn form(&self) -> Option<&Form> {
        self.form.as_ref()
    }

    /// Keeps what the head says, by asking `look_up` for each place of it.
    pub(crate) fn read_head(&self, family: usize, look_up: impl Fn(&Place) -> Option<HeadText>) -> HeadFacts {
        let mut facts = HeadFacts::new();
        for (field, places) in self.fields.iter().enumerate() {
            let Some(places) = places else { continue };
            for (joined, places) in [(false, Some(places)), (true, places.joined.as_deref())] {
                let Some(places) = places else { continue };
                let found = places
                    .of_family(family, self.families)
                    .find_map(|(place, at)| look_up(at).map(|text| (place, text)));
                if let Some((place, text)) = found {
                    facts.push(HeadFact { field, joined, place, text });
                }
            }
        }
        facts
    }

    /// Whether no place of the id, if it has any, is in the body.
    fn id_is_in_head(&self) -> bool {
        self.fields[Fact::Id as usize].as_ref().is_none_or(|places| places.pointers().next().is_none())
    }

    fn head_id(&self, head: &HeadFacts) -> Option<DeliveryId> {
        let (id, scalars) = (Fact::Id as usize, Scalars::new());
        let places = self.fields[id].as_ref()?;
        let base = pick(places, id, false, head, &scalars, &mut 0)?;
        match places.joined.as_deref().and_then(|joined| pick(joined, id, true, head, &scalars, &mut 0)) {
            Some(joined) => DeliveryId::new(&format!("{base}.{joined}")),
            None => DeliveryId::new(base),
        }
    }

    fn facts(&self, head: &HeadFacts, scalars: &Scalars<'_>) -> Facts {
        // The pointers of the fields stand one after the other in `scalars`, in the order of `Places::pointers`.
        let mut next = 0;
        let mut texts: [Option<Cow<'_, str>>; FIELDS] = Default::default();
        let mut first = None;
        for (field, places) in self.fields.iter().enumerate() {
            let Some(places) = places else { continue };
            let base = pick(places, field, false, head, scalars, &mut next);
            let joined =
                places.joined.as_deref().and_then(|joined| pick(joined, field, true, head, scalars, &mut next));
            texts[field] = match (base, joined) {
                (Some(base), Some(joined)) => {
                    if field == Fact::EventType as usize {
                        first = Some(base.len());
                    }
                    Some(Cow::Owned(format!("{base}.{joined}")))
                }
                (base, _) => base.map(Cow::Borrowed),
            };
        }
        let text = |fact: Fact| texts[fact as usize].as_deref();
        Facts {
            account: text(Fact::Account).filter(|text| !text.is_empty()).map(Into::into),
            id: text(Fact::Id).and_then(DeliveryId::new),
            event_type: text(Fact::EventType).and_then(|text| EventType::new(text, first)),
            api_version: text(Fact::ApiVersion).filter(|text| !text.is_empty()).map(Into::into),
            attempt: text(Fact::Attempt)
                .and_then(|text| text.parse::<u32>().ok())
                .and_then(|count| count.checked_sub(self.first_attempt)?.checked_add(1)),
            mode: text(Fact::Mode).map(|text| if text == self.live { Mode::Live } else { Mode::Test }),
            // A repeated type is ambiguous, and the event cannot be routed by it.
            unread: head
                .iter()
                .any(|fact| fact.field == Fact::EventType as usize && matches!(fact.text, HeadText::Repeated))
                .then_some(Unread::Repeated),
        }
    }
}

fn pick<'a>(
    places: &Places,
    field: usize,
    joined: bool,
    head: &'a HeadFacts,
    scalars: &'a Scalars<'_>,
    next: &mut usize,
) -> Option<&'a str> {
    let in_head = head.iter().find(|fact| fact.field == field && fact.joined == joined);
    let mut text = None;
    for (index, place) in places.places.iter().enumerate() {
        let here = match place {
            Place::Json(_) => {
                let scalar = scalars.get(*next).and_then(Option::as_deref);
                *next += 1;
                scalar
            }
            _ => in_head.filter(|fact| fact.place == index).and_then(|fact| fact.text.as_str()),
        };
        if text.is_none() {
            text = here.filter(|text| !text.is_empty());
        }
    }
    text
}

/// What the head says about a delivery: few, and mostly clones of header values, which share their bytes.
pub(crate) type HeadFacts = SmallVec<[HeadFact; 2]>;

#[derive(Clone)]
pub(crate) struct HeadFact {
    field: usize,
    joined: bool,
    place: usize,
    text: HeadText,
}

#[derive(Clone)]
pub(crate) enum HeadText {
    Header(HeaderValue),
    /// The header is there more than once, so that it says nothing.
    Repeated,
    Text(Box<str>),
}

impl HeadText {
    fn as_str(&self) -> Option<&str> {
        match self {
            Self::Header(value) => std::str::from_utf8(value.as_bytes()).ok(),
            Self::Repeated => None,
            Self::Text(text) => Some(text),
        }
    }
}

#[derive(Clone)]
struct Facts {
    account: Option<Box<str>>,
    id: Option<DeliveryId>,
    event_type: Option<EventType>,
    api_version: Option<Box<str>>,
    attempt: Option<u32>,
    mode: Option<Mode>,
    unread: Option<Unread>,
}
