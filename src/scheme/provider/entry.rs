use std::time::Duration;

use super::SchemeBuilder;
use crate::{scheme::template::Algorithm, signature::MacAlgorithm};

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
    pub(super) page: &'static str,
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
        page: "",
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
        (self.scheme)(scheme)
    }
}
