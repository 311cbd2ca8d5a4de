//! The store without the feature `send`: it sends nothing, and has no tables for sending.

use std::sync::Arc;

use super::{migration::Part, server::Server};

pub(super) const PARTS: &[&Part] = &[];

pub(super) struct Outbox;

impl Outbox {
    pub(super) fn new(_server: &Arc<Server>, _notifies: bool) -> Self {
        Self
    }

    pub(super) fn fits(&self) {}
}
