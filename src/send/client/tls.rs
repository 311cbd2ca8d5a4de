use std::{error::Error, io, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::{
    error::{ConfigError, ConfigErrorKind},
    send::{AttemptError, AttemptErrorKind},
};

/// TLS 1.2 and 1.3 with these authorities, or with those of the operating system.
pub(super) fn config(roots: Option<&[u8]>) -> Result<Arc<ClientConfig>, ConfigError> {
    let error = |message| ConfigError::new(ConfigErrorKind::Client, message);
    let mut store = RootCertStore::empty();
    if let Some(pem) = roots {
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|cause| error("the trusted roots are not PEM").with_source(cause))?;
            store
                .add(certificate)
                .map_err(|cause| error("a trusted root is no certificate authority").with_source(cause))?;
        }
    } else {
        // Systems hold a few that no parser likes; those are left out.
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    if store.is_empty() {
        return Err(error(
            "no certificate authority is trusted; install `ca-certificates`, or name them with `trusted_roots_pem`",
        ));
    }
    // The provider is named, so that a second one in the application's build leaves no choice to be made.
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|cause| error("TLS cannot be set up").with_source(cause))?
        .with_root_certificates(store)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Sorts a failed handshake.
pub(super) fn error(cause: io::Error) -> AttemptError {
    let kind = match cause.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(certificate)) => match certificate {
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => AttemptErrorKind::TlsExpired,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                AttemptErrorKind::TlsName
            }
            _ => AttemptErrorKind::TlsUntrusted,
        },
        _ => AttemptErrorKind::Tls,
    };
    AttemptError::new(kind).with_source(Box::<dyn Error + Send + Sync>::from(cause))
}
