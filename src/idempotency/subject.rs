use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;

use super::{
    answers,
    context::{Context, DEFAULT_RETENTION, LONGEST_BODY_DIGEST, MissingId},
    key::{ClaimKey, Fingerprint},
};
use crate::{host, observe, verify::Verified};

/// The keys of a request in the store.
pub(super) struct Subject {
    /// `None` if it runs without a claim, as the application or the scheme has chosen.
    pub(super) key: Option<ClaimKey>,
    pub(super) retention: Duration,
    pub(super) guard: GuardedBy,
}

/// What keeps equal bytes from running again under another id, or without one.
pub(super) enum GuardedBy {
    /// The claim itself, which is of the body.
    Claim,
    /// Nothing: the application wants no guard, or the sender signs the id.
    Nothing,
    /// A second claim, of the body, for this long.
    SecondClaim(Duration),
}

impl Subject {
    /// Returns the keys of a request, or its answer.
    #[allow(clippy::result_large_err)] // The error is the answer, on its way out.
    pub(super) fn of(
        context: &Context,
        verified: &Verified,
        request: &Request<Full<Bytes>>,
    ) -> Result<Self, Response<Bytes>> {
        let delivery = &verified.delivery;
        let default = verified.retries_for().unwrap_or_default().max(DEFAULT_RETENTION);
        let retention = context.retention.unwrap_or(default);
        // An attacker who replays a delivery can leave out an id that is not signed, or send it twice, as easily as
        // change it.
        let is_bound = delivery.id().is_some() && delivery.id_is_signed();
        let window = context.replay_guard.filter(|_| !is_bound);
        let guard = window.map_or(GuardedBy::Nothing, GuardedBy::SecondClaim);
        let key = |kind, id: &[u8]| match key(context, verified, request, kind, id) {
            Some(key) => Ok(Some(key)),
            None => {
                observe::no_consumer(delivery.provider());
                Err(answers::internal())
            }
        };
        let by_scheme = || if verified.bodies_are_unique() { MissingId::BodyDigest } else { MissingId::Skip };
        Ok(match (delivery.id(), context.missing_id.unwrap_or_else(by_scheme), window) {
            (Some(id), ..) => Self { key: key(Kind::Id, id.as_str().as_bytes())?, retention, guard },
            (None, MissingId::BodyDigest, _) => {
                let retention = retention.min(LONGEST_BODY_DIGEST);
                Self { key: key(Kind::Body, &Fingerprint::digest(delivery.body()))?, retention, guard }
            }
            (None, MissingId::Skip, None) => Self { key: None, retention, guard },
            (None, MissingId::Skip, Some(window)) => {
                let key = key(Kind::Guard, &Fingerprint::digest(delivery.body()))?;
                Self { key, retention: window, guard: GuardedBy::Claim }
            }
            (None, MissingId::Reject, _) => {
                observe::missing_id(delivery.provider());
                return Err(answers::missing_id());
            }
        })
    }
}

/// What a key is made of. The kinds are part of the key, so that a sender cannot choose an id that is the key of
/// another delivery's body.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Body = b'b' as isize,
    Guard = b'g' as isize,
    Id = b'i' as isize,
    Program = b'p' as isize,
}

/// Returns the consumer: the name that the application has set, or the route.
pub(super) fn consumer<'a>(context: &'a Context, request: &'a Request<Full<Bytes>>) -> Option<Cow<'a, str>> {
    match &context.consumer {
        Some(name) => Some(Cow::Borrowed(name)),
        None => host::route(request),
    }
}

/// Returns the key of a delivery, or of its body. Returns `None` if the consumer has no name.
pub(super) fn key(
    context: &Context,
    verified: &Verified,
    request: &Request<Full<Bytes>>,
    kind: Kind,
    id: &[u8],
) -> Option<ClaimKey> {
    let consumer = consumer(context, request)?;
    let delivery = &verified.delivery;
    let application = context.store.application();
    Some(ClaimKey::of_kind(application, &consumer, delivery.provider(), delivery.tenant(), kind as u8, id))
}
