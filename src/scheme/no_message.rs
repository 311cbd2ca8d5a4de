use std::time::SystemTime;

use super::settings::Settings;
use crate::{
    error::{VerifyError, VerifyErrorKind},
    head::Head,
    signature::Tag,
};

/// The settings of a scheme for signatures of HTTP messages, in a build without `message-signatures`. A value of it
/// cannot exist.
#[derive(Debug, Clone)]
pub(crate) struct MessageSignature(());

/// One signature of a request. A value of it cannot exist.
pub(crate) struct Claimed {
    pub(crate) signature: Tag,
}

fn none<T>() -> Result<T, VerifyError> {
    Err(VerifyError::new(VerifyErrorKind::MalformedSignature))
}

impl MessageSignature {
    pub(crate) fn find(&self, _head: Head<'_>) -> Result<Claimed, VerifyError> {
        none()
    }

    pub(crate) fn check(&self, _claimed: &Claimed, _head: Head<'_>, _now: SystemTime) -> Result<(), VerifyError> {
        none()
    }

    pub(crate) fn param(&self, _head: Head<'_>, _key: &str) -> Result<Option<Vec<u8>>, VerifyError> {
        none()
    }

    pub(crate) fn base(&self, _head: Head<'_>, _settings: &Settings) -> Result<Vec<u8>, VerifyError> {
        none()
    }
}

pub(crate) fn check_digest(_sent: &[u8], _body: &[u8]) -> Result<(), VerifyError> {
    none()
}

#[cfg(feature = "testing")]
pub(crate) fn digest(_body: &[u8]) -> String {
    String::new()
}

#[cfg(feature = "testing")]
impl MessageSignature {
    pub(crate) fn input(&self, _has_query: bool, _has_digest: bool, _params: &[(String, String)]) -> String {
        String::new()
    }

    pub(crate) fn label(&self) -> &str {
        ""
    }
}
