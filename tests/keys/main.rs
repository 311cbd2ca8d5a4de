//! Public keys and certificates that are fetched: from a real HTTPS server, by the layer.

#![allow(clippy::unwrap_used)] // The helpers of tests are tests.

mod certificates;
mod fetching;
mod plaid;

#[path = "../support/mod.rs"]
mod support;
