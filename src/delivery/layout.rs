use std::{borrow::Cow, sync::Arc};

use http::HeaderValue;
use smallvec::SmallVec;

use super::names::{DeliveryId, EventType, Mode};
use crate::{
    field::{Place, Places},
    form::Form,
    json::{Pointer, Scalars, Unread},
};

/// The places of a scheme's facts about a delivery.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    pub(super) provider: Arc<str>,
    pub(super) payload: Pointer,
    /// Whether the envelope is the payload if the body does not have the payload's place.
    pub(super) or_envelope: bool,
    /// How forms are read, if the sender sends them.
    pub(super) form: Option<Form>,
    /// The place of the array of a batch. The other pointers then apply to an item.
    pub(super) batch: Option<Pointer>,
    fields: [Option<Places>; FIELDS],
    /// Which facts may be in the head, so that most are not looked for in every request.
    in_head: [bool; FIELDS],
    /// What the sender's count begins with on the first attempt.
    first_attempt: u32,
    /// The value of the mode's field for live data.
    live: String,
    /// Every pointer of every field, in their order.
    pub(super) pointers: Vec<Pointer>,
    pub(super) pointers_in_payload: bool,
    families: usize,
}

/// The facts for which a [`Layout`] has places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fact {
    Account = 0,
    ApiVersion = 1,
    Attempt = 2,
    EventType = 3,
    Id = 4,
    Mode = 5,
}

impl Fact {
    /// In the order of their numbers, which is that of the pointers in [`Layout::pointers`].
    const ALL: [Self; FIELDS] = [Self::Account, Self::ApiVersion, Self::Attempt, Self::EventType, Self::Id, Self::Mode];
}

const FIELDS: usize = 6;

impl Layout {
    pub(crate) fn new(provider: Arc<str>, payload: Pointer, families: usize) -> Self {
        Self { provider, payload, families, first_attempt: 1, ..Self::default() }
    }

    pub(crate) fn set(&mut self, fact: Fact, places: Places) {
        self.in_head[fact as usize] = places.may_be_in_head();
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

    pub(crate) fn provider(&self) -> &Arc<str> {
        &self.provider
    }

    /// Whether the scheme has a place for this fact.
    pub(crate) fn says(&self, fact: Fact) -> bool {
        self.fields[fact as usize].is_some()
    }

    /// Returns the places of this fact.
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

    pub(crate) fn form(&self) -> Option<&Form> {
        self.form.as_ref()
    }

    /// Reads the facts in the head, by calling `look_up` for each of their places.
    pub(crate) fn read_head(&self, family: usize, look_up: impl Fn(&Place) -> Option<HeadText>) -> HeadFacts {
        let mut facts = HeadFacts::new();
        for fact in Fact::ALL.into_iter().filter(|fact| self.in_head[*fact as usize]) {
            let Some(places) = self.places(fact) else { continue };
            for (joined, places) in [(false, Some(places)), (true, places.joined.as_deref())] {
                let Some(places) = places else { continue };
                let found = places
                    .of_family(family, self.families)
                    .find_map(|(place, at)| look_up(at).map(|text| (place, text)));
                if let Some((place, text)) = found {
                    facts.push(HeadFact { fact, joined, place, text });
                }
            }
        }
        facts
    }

    /// Whether no place of the id, if it has any, is in the body.
    pub(super) fn id_is_in_head(&self) -> bool {
        self.places(Fact::Id).is_none_or(|places| places.pointers().next().is_none())
    }

    /// The places in a body that are read in one walk, in which one fault hides all of them. Empty where the id is not one of them.
    pub(crate) fn beside_the_id(&self) -> &[Pointer] {
        if self.id_is_in_head() || self.batch.is_some() { &[] } else { &self.pointers }
    }

    pub(super) fn head_id(&self, head: &HeadFacts) -> Option<DeliveryId> {
        let scalars = Scalars::new();
        let places = self.places(Fact::Id)?;
        let base = Part { fact: Fact::Id, joined: false }.pick(places, head, &scalars, &mut 0)?;
        let joined = Part { fact: Fact::Id, joined: true };
        match places.joined.as_deref().and_then(|places| joined.pick(places, head, &scalars, &mut 0)) {
            Some(joined) => DeliveryId::new(&format!("{base}.{joined}")),
            None => DeliveryId::new(base),
        }
    }

    pub(super) fn facts(&self, head: &HeadFacts, scalars: &Scalars<'_>) -> Facts {
        // The pointers of the fields stand one after the other in `scalars`, in the order of `Places::pointers`.
        let mut next = 0;
        let mut texts: [Option<Cow<'_, str>>; FIELDS] = Default::default();
        let mut first = None;
        for fact in Fact::ALL {
            let Some(places) = self.places(fact) else { continue };
            let base = Part { fact, joined: false }.pick(places, head, scalars, &mut next);
            let joined = Part { fact, joined: true };
            let joined = places.joined.as_deref().and_then(|places| joined.pick(places, head, scalars, &mut next));
            texts[fact as usize] = match (base, joined) {
                (Some(base), Some(joined)) => {
                    if fact == Fact::EventType {
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
                .any(|fact| fact.fact == Fact::EventType && matches!(fact.text, HeadText::Repeated))
                .then_some(Unread::Repeated),
        }
    }
}

/// One of the two texts that a fact may be put together from.
#[derive(Clone, Copy)]
struct Part {
    fact: Fact,
    joined: bool,
}

impl Part {
    /// Returns the first text of `places` that is not empty. `next` is where their pointers begin in `scalars`.
    fn pick<'a>(
        self,
        places: &Places,
        head: &'a HeadFacts,
        scalars: &'a Scalars<'_>,
        next: &mut usize,
    ) -> Option<&'a str> {
        let in_head = head.iter().find(|fact| fact.fact == self.fact && fact.joined == self.joined);
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
}

/// The facts in the head: few, and mostly clones of header values, which share their bytes.
pub(crate) type HeadFacts = SmallVec<[HeadFact; 2]>;

#[derive(Clone)]
pub(crate) struct HeadFact {
    fact: Fact,
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

/// The facts about a delivery, by name: as its scheme has found them, or as they were stored.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    pub(super) account: Option<Box<str>>,
    pub(super) id: Option<DeliveryId>,
    pub(super) event_type: Option<EventType>,
    pub(super) api_version: Option<Box<str>>,
    pub(super) attempt: Option<u32>,
    pub(super) mode: Option<Mode>,
    pub(super) unread: Option<Unread>,
}

impl Facts {
    /// Returns facts of which these are known. Empty texts count as absent.
    pub(crate) fn given(id: Option<&str>, event_type: Option<&str>) -> Self {
        let event_type = event_type.and_then(|text| EventType::new(text, None));
        Self { id: id.and_then(DeliveryId::new), event_type, ..Self::default() }
    }

    #[cfg(feature = "testing")]
    pub(crate) fn with_account(mut self, account: Option<&str>) -> Self {
        self.account = account.filter(|text| !text.is_empty()).map(Into::into);
        self
    }

    #[cfg(feature = "testing")]
    pub(crate) fn with_api_version(mut self, version: Option<&str>) -> Self {
        self.api_version = version.filter(|text| !text.is_empty()).map(Into::into);
        self
    }

    #[cfg(feature = "testing")]
    pub(crate) fn with_attempt(mut self, attempt: Option<u32>) -> Self {
        self.attempt = attempt.filter(|count| *count > 0);
        self
    }
}
