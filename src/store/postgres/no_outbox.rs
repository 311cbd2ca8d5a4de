//! What the store is without the feature `send`: nothing is sent, and there are no tables for it.

use std::time::Duration;

use super::{
    migration::{CLAIMS, Part},
    statement::Tables,
};

pub(super) const PARTS: &[&Part] = &[&CLAIMS];

pub(super) struct Outbox;

impl Outbox {
    pub(super) fn new(_tables: &Tables, _timeout: Duration, _lock_timeout: &str, _salt: u64, _notifies: bool) -> Self {
        Self
    }

    pub(super) fn fits(&self) {}
}
