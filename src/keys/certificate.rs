use std::{sync::Arc, time::SystemTime};

use bytes::Bytes;
use data_encoding::BASE64;
use http::{Request, StatusCode};
use x509_cert::{Certificate, der::Encode};

use super::{
    client::KeyClient,
    fetched::{Key, send, succeeded},
};
use crate::{boxed::BoxError, secret::Secret};

/// Fetches the certificate at a URL that a scheme has found to be one of the sender's. `is_name` says which common names the
/// sender's certificates have.
pub(super) async fn fetch(
    client: Arc<dyn KeyClient>,
    url: String,
    is_name: fn(&str) -> bool,
) -> Result<Option<Vec<Key>>, BoxError> {
    let response = send(client, Request::get(url).body(Bytes::new())?).await?;
    if matches!(response.status(), StatusCode::NOT_FOUND | StatusCode::FORBIDDEN | StatusCode::GONE) {
        return Ok(None);
    }
    read(&succeeded(response)?, is_name).map(|key| Some(vec![key]))
}

/// Reads the first certificate of a chain, which is the sender's own.
fn read(pem: &[u8], is_name: fn(&str) -> bool) -> Result<Key, BoxError> {
    let chain = Certificate::load_pem_chain(pem).map_err(|_| "the answer is not a certificate in PEM")?;
    let certificate = chain.first().ok_or("the answer contains no certificate")?.tbs_certificate();
    let name = certificate.subject().common_name().ok().flatten().map(|name| name.value().into_owned());
    if !name.is_some_and(|name| is_name(&name)) {
        return Err("the certificate is not for the sender's name".into());
    }
    let key = certificate.subject_public_key_info().to_der()?;
    let validity = certificate.validity();
    let time = |time: SystemTime| Some(time);
    Ok(Key {
        id: None,
        text: Secret::new(BASE64.encode(&key))?,
        from: time(validity.not_before.to_system_time()),
        until: time(validity.not_after.to_system_time()),
    })
}
