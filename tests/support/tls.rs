//! Certificate authorities for tests, and TLS servers with certificates that they sign.

use std::{io, sync::Arc};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer},
    server::WebPkiClientVerifier,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use tower_webhooks::Secret;

#[cfg(feature = "send")]
use super::receiver::{Receiver, read_request};

/// A certificate authority, and its certificates.
pub(crate) struct Authority {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    certificate: CertificateDer<'static>,
    pub(crate) pem: String,
}

/// A client's certificate and its key.
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Identity {
    pub(crate) fn secret(&self) -> Secret {
        Secret::from_bytes(self.key.clone()).unwrap()
    }
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = rcgen::CertificateParams::new(Vec::default()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let signed = params.self_signed(&key).unwrap();
        Self { certificate: signed.der().clone(), pem: signed.pem(), issuer: rcgen::Issuer::new(params, key) }
    }

    /// A server of this name, between the beginnings of two years.
    pub(crate) fn sign(&self, name: &str, years: [i32; 2]) -> ServerConfig {
        let (certificate, key) = self.certificate(name, years);
        server(&certificate, &key)
    }

    /// A server of this name, that asks its clients for a certificate of `clients`.
    pub(crate) fn sign_asking(&self, name: &str, clients: &Self, asks: Asks) -> ServerConfig {
        let (certificate, key) = self.certificate(name, [2020, 2100]);
        let mut roots = RootCertStore::empty();
        roots.add(clients.certificate.clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider());
        let verifier = match asks.insists {
            true => verifier.build(),
            false => verifier.allow_unauthenticated().build(),
        };
        ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(asks.versions)
            .unwrap()
            .with_client_cert_verifier(verifier.unwrap())
            .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
            .unwrap()
    }

    /// A client of this name.
    pub(crate) fn identity(&self, name: &str) -> Identity {
        let (certificate, key) = self.certificate(name, [2020, 2100]);
        Identity { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// The certificate of a server of this name with a key of the caller's, in PEM.
    pub(crate) fn issue(&self, name: &str, [from, until]: [i32; 2], key: &rcgen::KeyPair) -> String {
        let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        params.signed_by(key, &self.issuer).unwrap().pem()
    }

    /// An authority that this one has signed.
    pub(crate) fn intermediate(&self, [from, until]: [i32; 2]) -> Self {
        let mut params = rcgen::CertificateParams::new(Vec::default()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "an authority in between");
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let signed = params.signed_by(&key, &self.issuer).unwrap();
        Self { certificate: signed.der().clone(), pem: signed.pem(), issuer: rcgen::Issuer::new(params, key) }
    }

    fn certificate(&self, name: &str, [from, until]: [i32; 2]) -> (rcgen::Certificate, rcgen::KeyPair) {
        let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }
}

/// How a server asks for a client's certificate.
#[derive(Clone, Copy)]
pub(crate) struct Asks {
    pub(crate) insists: bool,
    pub(crate) versions: &'static [&'static rustls::SupportedProtocolVersion],
}

pub(crate) fn self_signed(name: &str) -> ServerConfig {
    let signed = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    server(&signed.cert, &signed.signing_key)
}

pub(crate) fn server(certificate: &rcgen::Certificate, key: &rcgen::KeyPair) -> ServerConfig {
    ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap()
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Answers each request with `ok`.
#[cfg(feature = "send")]
pub(crate) async fn speak(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    while !read_request(&mut stream).await?.is_empty() {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await?;
        stream.flush().await?;
    }
    Ok(())
}

/// A receiver that answers each request with `ok`, by TLS.
#[cfg(feature = "send")]
pub(crate) async fn with_tls(config: ServerConfig) -> Receiver {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    Receiver::start(move |stream| {
        let acceptor = acceptor.clone();
        async move { speak(acceptor.accept(stream).await?).await }
    })
    .await
}
