use super::{outcome::Outcome, process};
use crate::error::VerifyErrorKind;

#[derive(Clone)]
pub(crate) struct Meter;

impl Meter {
    pub(crate) fn new(_provider: &str) -> Self {
        Self
    }

    pub(crate) fn received(&self) {
        process::received();
    }

    pub(crate) fn handshake(&self) {}

    pub(crate) fn rejected(&self, kind: VerifyErrorKind) {
        process::rejected(kind);
    }

    pub(crate) fn verified(&self, _secret: Option<usize>) {}

    pub(crate) fn handled(&self, _outcome: Outcome, _timer: &Timer) {}
}

pub(crate) struct Timer;

impl Timer {
    pub(crate) fn start() -> Self {
        Self
    }
}

#[cfg(feature = "remote-keys")]
pub(crate) fn keys_left_out(_reason: &'static str, _count: usize) {}

#[cfg(feature = "idempotency")]
pub(crate) fn duplicate(_provider: &str, _state: &'static str) {}

#[cfg(feature = "idempotency")]
pub(crate) fn replay_suspected(_provider: &str, _outcome: &'static str) {}

#[cfg(feature = "idempotency")]
pub(crate) fn store_failed(_provider: &str, _call: &'static str) {}
