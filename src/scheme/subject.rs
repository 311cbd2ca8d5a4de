use std::borrow::Cow;

use http::HeaderName;

use crate::error::{Subject, VerifyError, VerifyErrorKind};

pub(crate) fn ambiguous(subject: Subject) -> VerifyError {
    VerifyError::new(VerifyErrorKind::Ambiguous).with_subject(subject)
}

pub(crate) fn missing(name: &HeaderName) -> VerifyError {
    VerifyError::new(VerifyErrorKind::Missing).with_header(name.clone())
}

pub(crate) fn missing_claim(name: &str) -> VerifyError {
    let subject = Subject::Named(Cow::Owned(format!("claim `{name}`")));
    VerifyError::new(VerifyErrorKind::Missing).with_subject(subject)
}

pub(crate) fn named(what: &'static str) -> Subject {
    Subject::Named(Cow::Borrowed(what))
}

pub(crate) fn named_key(key: &str) -> Subject {
    Subject::Named(Cow::Owned(format!("parameter `{key}`")))
}
