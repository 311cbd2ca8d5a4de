use std::{sync::Arc, time::SystemTime};

use bytes::Bytes;
use data_encoding::BASE64;
use http::{Request, StatusCode};
use rustls::{
    client::danger::ServerCertVerifier,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use x509_cert::{Certificate, der::Encode};

use super::{
    client::KeyClient,
    fetched::{Key, send, succeeded},
};
use crate::{
    boxed::BoxError,
    secret::Secret,
    signature::{PublicAlgorithm, PublicKey},
};

/// The requirements for a certificate.
#[derive(Clone)]
pub(super) struct Rules {
    /// The common names of the sender's certificates.
    pub(super) is_name: fn(&str) -> bool,
    /// Checks the chain, if the application has set authorities.
    pub(super) chain: Option<Arc<dyn ServerCertVerifier>>,
}

/// Fetches the certificate at a URL that the scheme has accepted as the sender's.
pub(super) async fn fetch(
    client: Arc<dyn KeyClient>,
    url: String,
    rules: Rules,
    now: SystemTime,
) -> Result<Option<Vec<Key>>, BoxError> {
    let response = send(client, Request::get(url).body(Bytes::new())?).await?;
    if matches!(response.status(), StatusCode::NOT_FOUND | StatusCode::FORBIDDEN | StatusCode::GONE) {
        return Ok(None);
    }
    read(&succeeded(response)?, &rules, now).map(|key| Some(vec![key]))
}

/// Reads the first certificate of a chain, which is the sender's own.
fn read(pem: &[u8], rules: &Rules, now: SystemTime) -> Result<Key, BoxError> {
    let chain = Certificate::load_pem_chain(pem).map_err(|_| "the answer is not a certificate in PEM")?;
    let certificate = chain.first().ok_or("the answer contains no certificate")?.tbs_certificate();
    let name = certificate.subject().common_name().ok().flatten().map(|name| name.value().into_owned());
    let name = name.filter(|name| (rules.is_name)(name)).ok_or("the certificate is not for the sender's name")?;
    let key = certificate.subject_public_key_info().to_der()?;
    // The senders that publish certificates sign with RSA.
    PublicKey::new(PublicAlgorithm::RsaSha256, &key)?;
    let validity = certificate.validity();
    let key = Key {
        id: None,
        text: Secret::new(BASE64.encode(&key))?,
        from: Some(validity.not_before.to_system_time()),
        until: Some(validity.not_after.to_system_time()),
    };
    // An expired certificate is not trusted anyway, so its chain need not be checked.
    if let Some(verifier) = rules.chain.as_deref().filter(|_| key.until.is_none_or(|until| now < until)) {
        check_chain(verifier, pem, name, now)?;
    }
    Ok(key)
}

/// Checks that a chain leads to one of the authorities, and that its first certificate is for `name`.
fn check_chain(verifier: &dyn ServerCertVerifier, pem: &[u8], name: String, now: SystemTime) -> Result<(), BoxError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>()?;
    let (certificate, authorities) = chain.split_first().ok_or("the answer holds no certificate")?;
    let name = ServerName::try_from(name)?;
    let now = UnixTime::since_unix_epoch(now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
    verifier.verify_server_cert(certificate, authorities, &name, &[], now).map(drop).map_err(|cause| {
        let context = "the chain of the certificate does not lead to a trusted authority";
        BoxError::from(format!("{context}: {cause}"))
    })
}
