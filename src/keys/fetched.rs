use std::{sync::Arc, time::SystemTime};

use bytes::Bytes;
use http::{Request, Response, StatusCode};

use super::client::{KeyClient, LARGEST_ANSWER, too_large};
use crate::{
    boxed::BoxError,
    secret::{Secret, Secrets},
};

/// A public key, in the text that a scheme reads.
#[derive(Clone)]
pub(super) struct Key {
    pub(super) id: Option<String>,
    pub(super) text: Secret,
    pub(super) from: Option<SystemTime>,
    pub(super) until: Option<SystemTime>,
}

impl Key {
    pub(super) fn is_valid(&self, now: SystemTime) -> bool {
        self.from.is_none_or(|from| from <= now) && self.until.is_none_or(|until| now < until)
    }
}

/// Returns these keys as secrets, or the statement that the sender does not have the key.
pub(super) fn secrets(keys: &[Key]) -> Secrets {
    if keys.is_empty() {
        return Secrets::unknown_key();
    }
    Secrets::from_iter(keys.iter().map(|key| key.text.clone())).published()
}

/// Sends a request, and rejects a redirect and an answer that is too large.
pub(super) async fn send(client: Arc<dyn KeyClient>, request: Request<Bytes>) -> Result<Response<Bytes>, BoxError> {
    let response = client.send(request).await?;
    if response.body().len() > LARGEST_ANSWER {
        return Err(too_large());
    }
    // A redirect could lead to an address that the operator does not allow.
    if response.status().is_redirection() {
        return Err(format!("the answer is a redirect ({}), which is not followed", response.status()).into());
    }
    Ok(response)
}

/// Returns the body of a success.
pub(super) fn succeeded(response: Response<Bytes>) -> Result<Bytes, BoxError> {
    match response.status() {
        StatusCode::OK => Ok(response.into_body()),
        status => Err(format!("the answer has the status {status}").into()),
    }
}
