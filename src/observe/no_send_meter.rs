use std::time::Duration;

pub(crate) struct InFlight;

impl InFlight {
    pub(crate) fn enter() -> Self {
        Self
    }
}

pub(crate) fn attempt(_outcome: &'static str, _reason: Option<&'static str>) {}

pub(crate) fn attempt_seconds(_outcome: &'static str, _duration: Duration) {}

pub(crate) fn delivery(_state: &'static str) {}

pub(crate) fn delivery_seconds(_age: Duration) {}

pub(crate) fn dispatched(_deliveries: u32) {}

pub(crate) fn endpoint_disabled(_reason: &'static str) {}

pub(crate) fn purged(_rows: u64) {}

pub(crate) fn purge_behind(_since: Duration) {}

pub(crate) fn outbox_failed(_call: &'static str) {}
