//! What an event is known by: its key.

use crate::{
    delivery::Delivery,
    idempotency::{ClaimKey, Fingerprint, MissingId},
    observe,
    verify::Verified,
};

/// The key of an event.
pub(crate) struct Known {
    pub(crate) key: ClaimKey,
    /// Whether its body stands for an id.
    pub(crate) by_body: bool,
}

/// Why an event has no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unknown {
    MissingId,
    NoRandomness,
}

/// Makes the key of something about a delivery, of this kind.
pub(crate) fn key(consumer: &str, delivery: &Delivery, kind: u8, id: &[u8]) -> ClaimKey {
    ClaimKey::of_kind(None, consumer, delivery.provider(), delivery.tenant(), kind, id)
}

/// Makes the key of a delivery. A body never stands for an id where two events may have equal bytes, as for claims.
pub(crate) fn event(consumer: &str, verified: &Verified, choice: Option<MissingId>) -> Result<Known, Unknown> {
    let delivery = &verified.delivery;
    let by_scheme = if verified.bodies_are_unique() { MissingId::BodyDigest } else { MissingId::Skip };
    let key = match (delivery.id(), choice.unwrap_or(by_scheme)) {
        (Some(id), _) => key(consumer, delivery, b'i', id.as_str().as_bytes()),
        (None, MissingId::BodyDigest) => {
            let key = key(consumer, delivery, b'b', &Fingerprint::digest(delivery.body()));
            return Ok(Known { key, by_body: true });
        }
        (None, MissingId::Reject) => return Err(Unknown::MissingId),
        (None, _) => {
            let mut random = [0; 16];
            getrandom::fill(&mut random).map_err(|_| {
                observe::no_randomness();
                Unknown::NoRandomness
            })?;
            ClaimKey::from_bytes(random)
        }
    };
    Ok(Known { key, by_body: false })
}
