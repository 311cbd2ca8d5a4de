use std::{error::Error, io, net::IpAddr, sync::Arc};

#[cfg(feature = "remote-keys")]
use rustls::client::{WebPkiServerVerifier, danger::ServerCertVerifier};
use rustls::{
    CertificateError, ClientConfig, RootCertStore,
    client::Resumption,
    pki_types::{CertificateDer, InvalidDnsNameError, ServerName, pem::PemObject},
};
use tokio_rustls::TlsConnector;
use url::Host;

use super::error::{DialError, DialErrorKind};
use crate::{
    error::{ConfigError, ConfigErrorKind},
    net::{
        destination::EndpointUrl,
        identity::{ClientIdentity, Identity},
    },
};

/// Returns these authorities, or those of the operating system.
pub(crate) fn roots(pem: Option<&[u8]>) -> Result<Arc<RootCertStore>, ConfigError> {
    let mut store = RootCertStore::empty();
    if let Some(pem) = pem {
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate =
                certificate.map_err(|cause| misconfigured("the trusted roots are not PEM").with_source(cause))?;
            store
                .add(certificate)
                .map_err(|cause| misconfigured("a trusted root is not a certificate authority").with_source(cause))?;
        }
    } else {
        // Systems contain some that cannot be parsed; those are left out.
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    if store.is_empty() {
        return Err(misconfigured(
            "no certificate authority is trusted; install `ca-certificates`, or name them with `trusted_roots_pem`",
        ));
    }
    Ok(Arc::new(store))
}

/// Returns the settings for TLS 1.2 and 1.3 with these authorities, with or without a client certificate.
pub(crate) fn config(roots: Arc<RootCertStore>, identity: Option<&Identity>) -> Result<TlsConnector, ConfigError> {
    // The provider is named explicitly: if the application's build contains another one, rustls would panic without a choice.
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|cause| misconfigured("TLS cannot be set up").with_source(cause))?
        .with_root_certificates(roots);
    let mut config = match identity {
        Some(identity) => config.with_client_cert_resolver(identity.load()?),
        None => config.with_no_client_auth(),
    };
    // The client speaks only HTTP/1.1; without this, a server could choose another protocol.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config).into())
}

/// Returns what checks the certificate of a server and its chain. Revocation is not looked at.
#[cfg(feature = "remote-keys")]
pub(crate) fn verifier(roots: Arc<RootCertStore>) -> Result<Arc<dyn ServerCertVerifier>, ConfigError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
    Ok(verifier.map_err(|cause| misconfigured("certificates cannot be verified").with_source(cause))?)
}

/// Returns the settings of a connection on which the client is known by another identity. Sessions are not resumed: one of a connection
/// with another identity would carry that over.
pub(crate) fn with_identity(connector: &TlsConnector, identity: &ClientIdentity) -> TlsConnector {
    let mut config = (**connector.config()).clone();
    config.client_auth_cert_resolver = identity.resolver();
    config.resumption = Resumption::disabled();
    Arc::new(config).into()
}

/// Returns the name that a certificate must be for.
pub(crate) fn server_name(url: &EndpointUrl) -> Result<ServerName<'static>, InvalidDnsNameError> {
    Ok(match url.host() {
        Host::Ipv4(address) => ServerName::IpAddress(IpAddr::V4(*address).into()),
        Host::Ipv6(address) => ServerName::IpAddress(IpAddr::V6(*address).into()),
        // Certificates do not have the dot with which a fully qualified name may end.
        Host::Domain(name) => ServerName::try_from(name.strip_suffix('.').unwrap_or(name).to_owned())?,
    })
}

/// Returns the error of a failed handshake.
pub(crate) fn error(cause: io::Error) -> DialError {
    let kind = match behind(&cause) {
        Some(rustls::Error::InvalidCertificate(certificate)) => match certificate {
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => DialErrorKind::TlsExpired,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                DialErrorKind::TlsName
            }
            _ => DialErrorKind::TlsUntrusted,
        },
        _ => DialErrorKind::Tls,
    };
    DialError::new(kind, cause)
}

/// Returns `true` if a failure of TLS caused an error of what is spoken over it.
pub(crate) fn is_behind(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| (**error).source())
        .any(|error| error.downcast_ref::<io::Error>().and_then(behind).is_some())
}

/// The `source()` of an `io::Error` skips the error that it contains.
fn behind(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn misconfigured(message: &'static str) -> ConfigError {
    ConfigError::new(ConfigErrorKind::Client, message)
}
