use std::{error::Error, io, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio_rustls::TlsConnector;

use crate::{
    error::{ConfigError, ConfigErrorKind},
    net::identity::Identity,
    send::{AttemptError, AttemptErrorKind},
};

/// These authorities, or those of the operating system.
pub(super) fn roots(pem: Option<&[u8]>) -> Result<Arc<RootCertStore>, ConfigError> {
    let mut store = RootCertStore::empty();
    if let Some(pem) = pem {
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate =
                certificate.map_err(|cause| misconfigured("the trusted roots are not PEM").with_source(cause))?;
            store
                .add(certificate)
                .map_err(|cause| misconfigured("a trusted root is no certificate authority").with_source(cause))?;
        }
    } else {
        // Systems hold a few that no parser likes; those are left out.
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    if store.is_empty() {
        return Err(misconfigured(
            "no certificate authority is trusted; install `ca-certificates`, or name them with `trusted_roots_pem`",
        ));
    }
    Ok(Arc::new(store))
}

/// TLS 1.2 and 1.3 with these authorities, as this client or as nobody.
pub(super) fn config(roots: Arc<RootCertStore>, identity: Option<&Identity>) -> Result<TlsConnector, ConfigError> {
    // The provider is named, so that a second one in the application's build leaves no choice to be made.
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|cause| misconfigured("TLS cannot be set up").with_source(cause))?
        .with_root_certificates(roots);
    let mut config = match identity {
        Some(identity) => config.with_client_cert_resolver(identity.load()?),
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config).into())
}

/// Sorts a failed handshake.
pub(super) fn error(cause: io::Error) -> AttemptError {
    let kind = match behind(&cause) {
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

/// Tells whether TLS is behind an error of what is spoken over it.
pub(super) fn is_behind(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| (**error).source())
        .any(|error| error.downcast_ref::<io::Error>().and_then(behind).is_some())
}

/// An `io::Error` hides what it holds from `source()`.
fn behind(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn misconfigured(message: &'static str) -> ConfigError {
    ConfigError::new(ConfigErrorKind::Client, message)
}
