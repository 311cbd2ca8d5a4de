use zeroize::Zeroizing;

use crate::{
    sealing::SealingKey,
    send::{
        error::{SendError, SendErrorKind},
        outbox::store::{endpoint::Sealed, ids::EndpointId},
    },
};

/// Seals with the first key and opens with any of them. Without a key, by the application's choice, it does neither.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sealer {
    pub(crate) keys: Vec<SealingKey>,
}

impl Sealer {
    /// Returns the name of the key that seals, which is empty if there is no key.
    pub(crate) fn key(&self) -> &str {
        self.keys.first().map(SealingKey::id).unwrap_or_default()
    }

    /// Seals bytes for one endpoint. They cannot be replaced by what was sealed for another endpoint.
    pub(crate) fn seal(&self, id: EndpointId, plain: &[u8]) -> Result<Sealed, SendError> {
        self.seal_as(&id.to_string(), plain)
    }

    /// Opens what was sealed for an endpoint.
    pub(crate) fn open(&self, id: EndpointId, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, SendError> {
        self.open_as(&id.to_string(), sealed)
    }

    /// Seals bytes under a name. Names other than the ids of endpoints have a space in them.
    pub(crate) fn seal_as(&self, name: &str, plain: &[u8]) -> Result<Sealed, SendError> {
        let Some(key) = self.keys.first() else { return Ok(Sealed::new("", plain.to_vec())) };
        let sealed = key.seal(name.as_bytes(), plain).map_err(SendError::randomness)?;
        Ok(Sealed::new(key.id(), sealed))
    }

    /// Opens what was sealed under a name.
    pub(crate) fn open_as(&self, id: &str, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, SendError> {
        let error = |message: String| SendError::new(SendErrorKind::Sealing, message);
        if sealed.key.is_empty() {
            // If there are keys, secrets that are not sealed are rejected. Otherwise whoever can write to the database
            // could choose them.
            return match self.keys.is_empty() {
                true => Ok(Zeroizing::new(sealed.bytes.to_vec())),
                false => {
                    Err(error(format!("the secrets of `{id}` are not sealed, and the dispatcher has a sealing key")))
                }
            };
        }
        let key = self.keys.iter().find(|key| key.id() == sealed.key).ok_or_else(|| {
            error(format!(
                "the secrets of `{id}` were sealed with the key `{}`, which the dispatcher does not have",
                sealed.key
            ))
        })?;
        key.open(id.as_bytes(), &sealed.bytes)
            .ok_or_else(|| error(format!("the secrets of `{id}` were changed after they were sealed")))
    }
}

#[cfg(test)]
mod tests {
    use super::Sealer;
    use crate::{
        sealing::SealingKey,
        send::{
            error::SendErrorKind,
            outbox::store::{endpoint::Sealed, ids::EndpointId},
        },
    };

    fn key(byte: u8) -> SealingKey {
        SealingKey::from_bytes([byte; 32]).unwrap()
    }

    #[test]
    fn what_was_sealed_is_opened_by_the_same_key_for_the_same_endpoint_alone() {
        let (one, other) = (EndpointId::random().unwrap(), EndpointId::random().unwrap());
        let old = Sealer { keys: vec![key(1)] };
        let sealed = old.seal(one, b"secret").unwrap();
        let both = Sealer { keys: vec![key(2), key(1)] };
        let open = |sealer: &Sealer, id, sealed: &Sealed| sealer.open(id, sealed).map(|plain| plain.to_vec());

        assert_eq!(open(&both, one, &sealed).unwrap(), b"secret");
        assert!(!sealed.bytes.windows(6).any(|bytes| bytes == b"secret"));
        assert_eq!(both.seal(one, b"secret").unwrap().key, key(2).id());
        for (sealer, id) in [(&both, other), (&Sealer { keys: vec![key(3)] }, one), (&Sealer::default(), one)] {
            assert_eq!(open(sealer, id, &sealed).unwrap_err().kind(), SendErrorKind::Sealing);
        }
        for at in 0..sealed.bytes.len() {
            let mut bytes = sealed.bytes.to_vec();
            bytes[at] ^= 1;
            assert!(open(&both, one, &Sealed::new(sealed.key.clone(), bytes)).is_err());
        }
        assert!(open(&both, one, &Sealed::new(sealed.key, &b"short"[..])).is_err());
    }

    #[test]
    fn plain_secrets_are_for_a_dispatcher_without_a_key_alone() {
        let id = EndpointId::random().unwrap();
        let plain = Sealer::default().seal(id, b"secret").unwrap();

        assert_eq!(Sealer::default().open(id, &plain).unwrap().to_vec(), b"secret");
        assert!(Sealer { keys: vec![key(1)] }.open(id, &plain).is_err());
    }
}
