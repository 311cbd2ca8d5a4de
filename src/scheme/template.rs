use std::{sync::Arc, time::Duration};

use http::{HeaderName, Method, StatusCode};

use super::{
    answer::Answer,
    content::{Fields, Listed, Part, Rule},
    freshness::Freshness,
    grammar::Grammar,
    handshake::CompiledHandshake,
    jwt::{Detached, Jwt},
    key_form::KeyText,
    message::MessageSignature,
    settings::Settings,
};
use crate::{
    delivery::{Coverage, Layout},
    field::{Place, Places},
    head::Head,
    json::Pointer,
    signature::{Encoding, HashAlgorithm, MacAlgorithm, PublicAlgorithm},
};

/// A declared scheme: everything about how one sender signs, as data. Built by [`SchemeBuilder`](super::SchemeBuilder).
#[derive(Debug, Clone)]
pub(crate) struct Template {
    /// The settings of the application.
    pub(crate) settings: Settings,
    pub(crate) layout: Arc<Layout>,
    pub(crate) algorithm: Algorithm,
    pub(crate) locate: Locate,
    /// Whether the signature header may have several lines, each of which counts.
    pub(crate) every_line: bool,
    pub(crate) grammar: Grammar,
    /// `None` for a token that is written without encoding.
    pub(crate) encoding: Option<Encoding>,
    pub(crate) key: KeyText,
    /// Where a request names the key that signed it.
    pub(crate) key_id: Option<Places>,
    /// If that is the URL of a certificate: the URLs that belong to the sender.
    pub(crate) key_url: Option<fn(&str) -> bool>,
    /// Where the sender signs for all its customers with the same key: whether an account that the application accepts is the one that a
    /// message names.
    pub(crate) shared_key: Option<SameAccount>,
    /// Headers that must have one value.
    pub(crate) required_headers: Vec<(HeaderName, &'static str)>,
    /// How the sender's secrets look, for hints.
    pub(crate) secret_prefix: Option<String>,
    pub(crate) secret_length: Option<usize>,
    /// Whether the sender's JSON has line breaks, but for bodies that hold this text. For a hint.
    pub(crate) indented_json: Option<&'static str>,
    pub(crate) content: Vec<Part>,
    /// Whether `{body}` is a part of the content.
    pub(crate) hashes_body: bool,
    /// If the signature is a token: its claims.
    pub(crate) jwt: Option<Jwt>,
    /// If the signature is that of an HTTP message: the components that it must cover.
    pub(crate) message: Option<MessageSignature>,
    /// The place of the body's digest in the head.
    pub(crate) digest: Option<BodyDigest>,
    /// Where the array is whose items have a signature each. What is signed is then looked for in an item.
    pub(crate) items: Option<Pointer>,
    /// Whether the sender may sign the URL with the port that its scheme has anyway.
    pub(crate) either_port: bool,
    /// Whether the sender only sends forms.
    #[cfg_attr(not(feature = "testing"), allow(dead_code))]
    pub(crate) forms_alone: bool,
    /// What keeps the content from being cut in another way.
    pub(crate) rules: Vec<Rule>,
    /// Whether the sender signs JSON objects alone, so that a URL directly before a body ends where one begins.
    pub(crate) json_alone: bool,
    /// Whether anybody can have a text signed by an unsigned challenge, so that a delivery must not be such a text.
    pub(crate) signs_challenges: bool,
    /// Whether the content needs the whole body before its first byte can be hashed.
    pub(crate) deferred: bool,
    pub(crate) freshness: Option<Freshness>,
    pub(crate) id: Option<Places>,
    pub(crate) coverage: Coverage,
    pub(crate) handshakes: Vec<CompiledHandshake>,
    pub(crate) methods: Vec<Method>,
    pub(crate) success: Option<Answer>,
    pub(crate) rejected: StatusCode,
    pub(crate) body_limit: usize,
    pub(crate) retention: Option<Duration>,
    /// Whether a body identifies its event.
    #[cfg_attr(not(feature = "idempotency"), allow(dead_code))]
    pub(crate) unique_bodies: bool,
    /// Whether the sender signs the bytes on the wire, so that an encoded body may pass.
    pub(crate) encoded_bodies: bool,
}

/// Compares an account that the application accepts with the one that a message names, in this order.
pub(crate) type SameAccount = fn(&str, &str) -> bool;

/// A digest of the body, SHA-256, that is signed in its place.
#[derive(Debug, Clone)]
pub(crate) struct BodyDigest {
    pub(crate) place: Place,
    /// `None` for a dictionary of digests (RFC 9530).
    pub(crate) encoding: Option<Encoding>,
    /// Which bodies need one. One that is there is always compared.
    pub(crate) needed: Needed,
}

/// When a digest of the body must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needed {
    Always,
    /// For bodies that are not forms, of a scheme that signs the fields of forms.
    BesideForms,
    UnlessEmpty,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// A hash over a text that holds the secret.
    Hash(HashAlgorithm),
    Mac(MacAlgorithm),
    /// The sender signs with a private key, and the secret is the public one.
    #[cfg_attr(not(feature = "asymmetric"), allow(dead_code))]
    Public(PublicAlgorithm),
    /// The secret itself is sent. Binds nothing.
    Token,
    /// Nothing is checked.
    Unsigned,
}

/// Where a scheme's signatures are.
#[derive(Debug, Clone)]
pub(crate) enum Locate {
    /// All of these that are there, one for each key.
    EachHeader(Vec<HeaderName>),
    /// The first of these that is there; it names the family of the other headers.
    Headers(Vec<HeaderName>),
    /// All of these places of the body that hold something.
    Json(Vec<Pointer>),
    /// `prefix1`, `prefix2` and so on, until one is missing.
    Numbered(Vec<HeaderName>),
    Query(String),
}

impl Template {
    /// How far a timestamp may be from now, if there is a limit.
    pub(crate) fn tolerance(&self) -> Option<Duration> {
        self.settings.tolerance.or_else(|| self.freshness.as_ref()?.tolerance)
    }

    /// Whether something that keeps the signed text from being cut in another way is in the body.
    pub(crate) fn cuts_in_body(&self) -> bool {
        self.deferred
            || self.rules.iter().any(|rule| matches!(rule, Rule::ListedBeforeBody(_) | Rule::UrlBeforeBody(_)))
    }

    pub(crate) fn signature_header(&self, family: usize) -> Option<&HeaderName> {
        match &self.locate {
            Locate::EachHeader(names) | Locate::Headers(names) | Locate::Numbered(names) => names.get(family),
            Locate::Json(_) | Locate::Query(_) => None,
        }
    }

    /// Which of the alternative signature headers is there; the first when none is.
    pub(crate) fn family(&self, head: Head<'_>) -> usize {
        match &self.locate {
            Locate::Headers(names) => names.iter().position(|name| head.headers().contains_key(name)).unwrap_or(0),
            _ => 0,
        }
    }

    /// Whether a request names its key in the body.
    pub(crate) fn names_key_in_body(&self) -> bool {
        self.key_id.as_ref().is_some_and(|places| places.pointers().next().is_some())
    }

    /// Whether the sender signs the id that it has given to the endpoint.
    pub(crate) fn signs_endpoint_id(&self) -> bool {
        self.content.iter().any(|part| matches!(part, Part::EndpointId))
    }

    /// Whether the sender asks for the confirmation of subscriptions.
    pub(crate) fn has_subscriptions(&self) -> bool {
        self.content.iter().any(|part| matches!(part, Part::AwsSns))
    }

    pub(crate) fn needs_verify_token(&self) -> bool {
        self.handshakes.iter().any(CompiledHandshake::needs_verify_token)
    }

    pub(crate) fn signs_url(&self) -> bool {
        self.jwt.as_ref().is_some_and(|jwt| jwt.url.is_some())
            || self.content.iter().any(|part| matches!(part, Part::Url | Part::Fields(Fields::BehindSortedUrl)))
    }

    /// Whether the path of a request is signed, without what stands before it in the URL.
    pub(crate) fn signs_path(&self) -> bool {
        self.content.iter().any(|part| {
            matches!(part, Part::Path | Part::Listed(Listed::Contentful) | Part::DetachedJws(Detached::TrueLayer))
        })
    }

    /// Whether each item of an array has a signature of its own.
    pub(crate) fn signs_items(&self) -> bool {
        self.items.is_some()
    }

    /// How many families of header names the scheme has.
    pub(crate) fn families(locate: &Locate) -> usize {
        match locate {
            Locate::Headers(names) => names.len(),
            _ => 1,
        }
    }
}

impl Locate {
    /// The headers that signatures are in.
    pub(crate) fn headers(&self) -> &[HeaderName] {
        match self {
            Self::EachHeader(names) | Self::Headers(names) | Self::Numbered(names) => names,
            Self::Json(_) | Self::Query(_) => &[],
        }
    }
}
