use std::{fmt, sync::Arc};

use rustls::{
    Error, InconsistentKeys,
    client::ResolvesClientCert,
    crypto::aws_lc_rs::sign::any_supported_type,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::{CertifiedKey, SingleCertAndKey},
};
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

use crate::{
    error::{ConfigError, ConfigErrorKind},
    secret::Secret,
};

/// The certificate that the client shows to a receiver that asks for one.
pub(crate) struct Identity {
    pub(crate) certificates: Vec<u8>,
    pub(crate) key: Secret,
}

impl Identity {
    /// Reads certificates and key. The errors of the PEM parser are dropped: they can contain the line at which it failed, which may
    /// be a whole key.
    pub(crate) fn load(&self) -> Result<Arc<dyn ResolvesClientCert>, ConfigError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&self.certificates)
            .collect::<Result<_, _>>()
            .map_err(|_| error("the certificates of the client's identity are not PEM"))?;
        if chain.is_empty() {
            return Err(error("the client's identity contains no certificate in PEM"));
        }
        let mut key = self.key()?;
        let loaded = any_supported_type(&key);
        key.zeroize();
        let key = loaded.map_err(|_| error("the key of the client's identity is not an RSA, ECDSA or EdDSA key"))?;

        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(Error::InconsistentKeys(_)) => {
                return Err(error(
                    "the key of the client's identity does not fit its first certificate; the client's own comes first, \
                     then those that sign it",
                ));
            }
            Err(cause) => {
                return Err(error("the first certificate of the client's identity cannot be read").with_source(cause));
            }
        }
        Ok(Arc::new(SingleCertAndKey::from(certified)))
    }

    fn key(&self) -> Result<PrivateKeyDer<'static>, ConfigError> {
        let pem = self.key.expose();
        PrivateKeyDer::from_pem_slice(pem).map_err(|_| {
            // PKCS#8 shows it in its first line, the older forms in a header (RFC 1421).
            if contains(pem, b"BEGIN ENCRYPTED PRIVATE KEY") || contains(pem, b"Proc-Type: 4,ENCRYPTED") {
                error("the key of the client's identity is encrypted; decrypt it first, as with `openssl pkey`")
            } else {
                error("the key of the client's identity is not a private key in PEM")
            }
        })
    }
}

/// A certificate with its private key, which the receiver of one endpoint is shown if it asks for one (mutual TLS).
///
/// Deliveries with different identities never share a connection or a TLS session.
///
/// ```
/// use tower_webhooks::{Secret, send::{ClientIdentity, NewEndpoint}};
///
/// # fn register(certificates: &str, key: &str) -> Result<NewEndpoint, Box<dyn std::error::Error>> {
/// let identity = ClientIdentity::from_pem(certificates, Secret::new(key)?)?;
/// Ok(NewEndpoint::new("https://example.com/hook")?.client_identity(identity))
/// # }
/// assert!(register("not a certificate", "not a key").is_err());
/// ```
#[derive(Clone)]
pub struct ClientIdentity {
    pem: Arc<Identity>,
    resolver: Arc<dyn ResolvesClientCert>,
    id: IdentityId,
}

/// The hash of an identity, which distinguishes it from others.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct IdentityId([u8; 32]);

impl ClientIdentity {
    /// The maximum length of the certificates, and of the key, in bytes.
    pub const LONGEST_PEM: usize = 16 * 1024;

    /// Creates an identity. `certificates` is PEM: first the client's own, then those that sign it, without the root. `key` is its private
    /// key in PEM (PKCS#8, PKCS#1 or SEC 1), not encrypted.
    ///
    /// # Errors
    /// When the certificates or the key are longer than 16 KiB or not PEM, the key is encrypted, or it does not fit the first certificate.
    pub fn from_pem(certificates: impl Into<Vec<u8>>, key: Secret) -> Result<Self, ConfigError> {
        let pem = Identity { certificates: certificates.into(), key };
        if pem.certificates.len().max(pem.key.expose().len()) > Self::LONGEST_PEM {
            return Err(error("the certificates and the key of a client's identity are at most 16 KiB long each"));
        }
        let resolver = pem.load()?;
        let mut hash = Sha256::new();
        hash.update((pem.certificates.len() as u64).to_be_bytes());
        hash.update(&pem.certificates);
        hash.update(pem.key.expose());
        Ok(Self { pem: Arc::new(pem), resolver, id: IdentityId(hash.finalize().into()) })
    }

    /// Returns the certificates and the key, as they are sealed.
    pub(crate) fn pem(&self) -> (&[u8], &Secret) {
        (&self.pem.certificates, &self.pem.key)
    }

    pub(crate) fn resolver(&self) -> Arc<dyn ResolvesClientCert> {
        self.resolver.clone()
    }

    pub(crate) fn id(&self) -> IdentityId {
        self.id
    }
}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientIdentity").finish_non_exhaustive()
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn error(message: &'static str) -> ConfigError {
    ConfigError::new(ConfigErrorKind::Client, message)
}
