use super::{
    public::{Hashed, PublicAlgorithm},
    tag::Tag,
};
use crate::error::{ConfigError, ConfigErrorKind};

/// A public key, in a build without `asymmetric`. A value of it cannot exist.
#[derive(Clone)]
pub(crate) struct PublicKey(());

impl PublicKey {
    pub(crate) fn new(_algorithm: PublicAlgorithm, _bytes: &[u8]) -> Result<Self, ConfigError> {
        Err(missing())
    }

    pub(crate) fn verify(&self, _hashed: Hashed, _message: &[u8], _signature: &Tag) -> bool {
        false
    }
}

/// A private key, in a build without `asymmetric`. A value of it cannot exist.
#[cfg(feature = "testing")]
pub(crate) struct PrivateKey(());

#[cfg(feature = "testing")]
impl PrivateKey {
    pub(crate) fn parse_for(_algorithm: PublicAlgorithm, _text: &[u8]) -> Result<Self, ConfigError> {
        Err(missing())
    }

    pub(crate) fn sign(&self, _message: &[u8]) -> Tag {
        Tag::new(&[]).expect("nothing is shorter than the longest tag")
    }

    pub(crate) fn public_text(&self) -> String {
        String::new()
    }

    pub(crate) fn public_bytes(&self) -> Vec<u8> {
        Vec::new()
    }
}

/// Reads a public key as PEM.
pub(crate) fn public_key_info(_text: &[u8]) -> Option<Vec<u8>> {
    None
}

fn missing() -> ConfigError {
    ConfigError::new(ConfigErrorKind::Secret, "signatures with public keys need the feature `asymmetric`")
}
