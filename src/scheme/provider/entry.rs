use std::time::Duration;

use crate::{
    scheme::{builder::SchemeBuilder, template::Algorithm},
    signature::MacAlgorithm,
};

/// One row of the catalogue.
pub(super) struct Entry {
    /// In kebab-case; it stands in store keys and never changes.
    pub(super) name: &'static str,
    /// As the sender writes it.
    pub(super) title: &'static str,
    /// The constructor of `WebhookLayer`.
    #[cfg_attr(not(test), allow(dead_code))]
    pub(super) constructor: &'static str,
    /// Other names that parse to it.
    pub(super) aliases: &'static [&'static str],
    /// Where the signature is, if it is in a header: the first of these that is there.
    pub(super) headers: &'static [&'static str],
    pub(super) algorithm: Algorithm,
    /// What algorithm and headers do not say.
    pub(super) scheme: fn(SchemeBuilder) -> SchemeBuilder,
    /// Of a public key: whether the sender signs with it for one customer alone, so that a signature proves whose message it is.
    #[cfg_attr(not(test), allow(dead_code))]
    pub(super) own_key: bool,
    pub(super) page: &'static str,
    /// What a duplicate is, as the sender's own pages or source say it. A row without an answer does not pass the tests.
    pub(super) duplicates: Option<Duplicates>,
    pub(super) evidence: Evidence,
    /// The sender's own library whose verdicts on the vectors in `tests/vectors` are agreed with.
    #[cfg_attr(not(test), allow(dead_code))]
    pub(super) own_vectors: &'static str,
    /// The library of somebody else, likewise.
    #[cfg_attr(not(test), allow(dead_code))]
    pub(super) other_vectors: &'static str,
    /// Where a request may hold several events, by JSON pointer.
    pub(super) batch: Option<&'static str>,
    pub(super) deadline: Option<Duration>,
    pub(super) retries: Option<Duration>,
}

/// What a provider's entry was written from: where its algorithm, its headers, its signed text and the form of its key were read.
///
/// ```
/// use tower_webhooks::{Provider, scheme::Evidence};
///
/// assert_eq!(Provider::STRIPE.evidence(), Evidence::Library);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Evidence {
    /// The sender's own documentation.
    Documentation,
    /// The source of the sender's own library, sample or server.
    Library,
    /// Libraries and guides of others. Compare it with the sender's documentation before you rely on it.
    ThirdParty,
}

/// What a duplicate is for a provider: what its id identifies, or what there is instead of an id.
///
/// Idempotency follows it: an id that is the same at each attempt is the key of a claim, and a body stands for its event only
/// where no two events have equal bodies. In all other cases each delivery runs.
///
/// ```
/// use tower_webhooks::{Provider, scheme::Duplicates};
///
/// assert_eq!(Provider::STRIPE.duplicates(), Duplicates::Event);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Duplicates {
    /// The id is that of the event, or of the message about it. Every delivery of it has the same id.
    Event,
    /// The id is that of one delivery to one endpoint, and the same at each attempt.
    Delivery,
    /// What the sender calls an id is another one at each attempt, or two events may share it. It is not taken for an id.
    Attempt,
    /// A delivery has no id. It holds several events, each with an id of its own, which the handler looks at.
    Items,
    /// There is no id. No two events have equal bodies, so that a delivery is known by its body.
    UniqueBodies,
    /// There is no id, and the body does not identify the event: two events can have equal bodies, or only the handler can recognise a
    /// duplicate, by its content.
    RepeatedBodies,
    /// The sender documents nothing. An id that the entry has nevertheless is used.
    Undocumented,
}

impl Entry {
    /// What most rows have.
    pub(super) const BLANK: Self = Self {
        name: "",
        title: "",
        constructor: "",
        aliases: &[],
        headers: &[],
        algorithm: Algorithm::Mac(MacAlgorithm::Sha256),
        scheme: |scheme| scheme,
        own_key: false,
        page: "",
        duplicates: None,
        evidence: Evidence::ThirdParty,
        own_vectors: "",
        other_vectors: "",
        batch: None,
        deadline: None,
        retries: None,
    };

    /// Returns the declaration of its scheme.
    pub(super) fn declare(&self) -> SchemeBuilder {
        let scheme = SchemeBuilder::new(self.algorithm).name(self.name);
        let scheme = self.headers.iter().fold(scheme, |scheme, name| scheme.or_header(*name));
        let scheme = match self.retries {
            Some(span) if !span.is_zero() => scheme.retries_for(span),
            _ => scheme,
        };
        let scheme = match self.duplicates {
            Some(Duplicates::UniqueBodies) => scheme.bodies_are_unique(),
            _ => scheme,
        };
        (self.scheme)(scheme)
    }
}
