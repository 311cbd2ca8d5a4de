use crate::error::VerifyError;

pub(crate) fn refused(_provider: &str, _status: u16, _cause: &VerifyError) {}

pub(crate) fn panicked(_provider: &str) {}

pub(crate) fn body_not_covered(_provider: &str) {}

pub(crate) fn not_verified(_provider: &str) {}

pub(crate) fn short_secret(_provider: &str) {}

#[cfg(feature = "axum")]
pub(crate) fn no_layer(_extractor: &str) {}

#[cfg(feature = "axum")]
pub(crate) fn not_parsed(_provider: &str, _status: u16, _event_type: Option<&str>, _path: &str, _message: &str) {}
