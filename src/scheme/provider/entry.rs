use std::time::Duration;

use crate::{
    scheme::{builder::SchemeBuilder, template::Algorithm},
    signature::MacAlgorithm,
};

/// One row of the catalogue.
pub(super) struct Entry {
    /// In kebab-case. It is a part of store keys and must never change.
    pub(super) name: &'static str,
    /// The sender's name, as the sender writes it.
    pub(super) title: &'static str,
    /// The constructor of `WebhookLayer`.
    #[cfg_attr(not(test), allow(dead_code))]
    pub(super) constructor: &'static str,
    /// Other names that [`FromStr`](std::str::FromStr) accepts.
    pub(super) aliases: &'static [&'static str],
    /// The headers of the signature, if it is in a header: the first one that is present counts.
    pub(super) headers: &'static [&'static str],
    pub(super) algorithm: Algorithm,
    /// The rest of the declaration, after algorithm and headers.
    pub(super) scheme: fn(SchemeBuilder) -> SchemeBuilder,
    /// Of a public key: whether the sender signs with it for one customer alone, so that a signature proves whose message it is.
    #[cfg_attr(not(test), allow(dead_code))]
    pub(super) own_key: bool,
    pub(super) page: &'static str,
    /// What identifies a duplicate, according to the sender's own documentation or source. A test fails for a row
    /// without it.
    pub(super) duplicates: Option<Duplicates>,
    pub(super) evidence: Evidence,
    /// The sender's own library that gives the same results as this crate for the vectors in `tests/vectors`.
    #[cfg_attr(not(test), allow(dead_code))]
    pub(super) own_vectors: &'static str,
    /// The same for a library that is not the sender's.
    #[cfg_attr(not(test), allow(dead_code))]
    pub(super) other_vectors: &'static str,
    /// Where a request may hold several events, by JSON pointer.
    pub(super) batch: Option<&'static str>,
    pub(super) deadline: Option<Duration>,
    pub(super) retries: Option<Duration>,
}

/// The source of a provider's entry: where its algorithm, its headers, its signed text and the form of its key were
/// read.
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

/// What identifies a duplicate of a provider: an id, or something else if there is no id.
///
/// Idempotency uses it: an id that is the same at each attempt is the key of a claim, and the body is the key if no two
/// events have equal bodies. In all other cases each delivery runs.
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
    /// The sender's id changes at each attempt, or two events may share it. It is not used as an id.
    Attempt,
    /// A delivery has no id. It contains several events, each with its own id, which the handler has to compare.
    Items,
    /// There is no id. No two events have equal bodies, so the body identifies a delivery.
    UniqueBodies,
    /// There is no id, and the body does not identify the event: two events can have equal bodies, or only the handler can recognise a
    /// duplicate, by its content.
    RepeatedBodies,
    /// The sender's documentation does not say. If the entry has an id, it is used.
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
