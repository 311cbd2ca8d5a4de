use std::marker::PhantomData;

use super::outcome::Outcome;
use crate::delivery::Delivery;

pub(crate) struct Entered<'a>(PhantomData<&'a ()>);

pub(crate) struct ReceiveSpan;

impl ReceiveSpan {
    pub(crate) fn new(_provider: &str) -> Self {
        Self
    }

    pub(crate) fn enter(&self) -> Entered<'_> {
        Entered(PhantomData)
    }

    pub(crate) fn rejected(&self, _reason: &'static str, _status: u16) {}

    pub(crate) fn handshake(&self, _status: u16) {}

    pub(crate) fn verified(&self, _status: u16) {}
}

pub(crate) struct HandleSpan;

impl HandleSpan {
    pub(crate) fn new(_delivery: &Delivery) -> Self {
        Self
    }

    pub(crate) fn enter(&self) -> Entered<'_> {
        Entered(PhantomData)
    }

    pub(crate) fn record(&self, _outcome: Outcome, _status: Option<u16>) {}
}

#[cfg(feature = "send")]
pub(crate) struct AttemptSpan;

#[cfg(feature = "send")]
impl AttemptSpan {
    pub(crate) fn new(_head: &super::attempt::AttemptHead<'_>) -> Self {
        Self
    }

    pub(crate) fn instrument<F: Future>(&self, work: F) -> F {
        work
    }

    pub(crate) fn ended(&self, _end: &super::attempt::AttemptEnd<'_>) {}

    pub(crate) fn failed(&self, _end: &super::attempt::AttemptEnd<'_>) {}

    pub(crate) fn dropped(&self, _outcome: &'static str) {}
}

#[cfg(feature = "inbox")]
pub(crate) struct WorkSpan;

#[cfg(feature = "inbox")]
impl WorkSpan {
    pub(crate) fn new(_delivery: &Delivery, _id: &dyn std::fmt::Display, _attempt: u32) -> Self {
        Self
    }

    pub(crate) fn instrument<F: Future>(&self, work: F) -> F {
        work
    }

    pub(crate) fn ended(&self, _outcome: Outcome, _reason: Option<&str>, _is_dead: bool) {}
}
