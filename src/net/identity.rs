use std::sync::Arc;

use rustls::{
    Error, InconsistentKeys,
    client::ResolvesClientCert,
    crypto::aws_lc_rs::sign::any_supported_type,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::{CertifiedKey, SingleCertAndKey},
};
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
            return Err(error("the client's identity holds no certificate in PEM"));
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

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn error(message: &'static str) -> ConfigError {
    ConfigError::new(ConfigErrorKind::Client, message)
}
