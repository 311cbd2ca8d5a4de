use crate::error::VerifyErrorKind;

pub(super) fn received() {}

pub(super) fn rejected(_kind: VerifyErrorKind) {}

#[cfg(feature = "idempotency")]
pub(super) fn duplicate() {}
