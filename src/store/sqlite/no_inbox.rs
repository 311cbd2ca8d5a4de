//! The store without the feature `inbox`: there are no events, and no tables for them.

use std::time::Duration;

use super::{migration::Part, setup::Setup};

pub(super) const PARTS: &[&Part] = &[];

pub(super) struct Inbox;

impl Inbox {
    pub(super) fn new(_setup: &Setup, _limit: Duration) -> Self {
        Self
    }

    pub(super) async fn close(&self) {}
}
