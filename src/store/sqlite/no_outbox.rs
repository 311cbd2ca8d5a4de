//! The store without the feature `send`: it sends nothing, and has no tables for sending.

use std::time::Duration;

use super::{migration::Part, setup::Setup};

pub(super) const PARTS: &[&Part] = &[];

pub(super) struct Outbox;

impl Outbox {
    pub(super) fn new(_setup: &Setup, _limit: Duration) -> Self {
        Self
    }

    pub(super) async fn close(&self) {}
}
