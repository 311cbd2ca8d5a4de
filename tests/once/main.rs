//! Each event once: the protocol of idempotency, on every store, with real servers and processes.

#![allow(clippy::unwrap_used)] // The helpers of tests are tests.

mod attacks;
mod claim_edges;
mod consumers;
mod memory;
mod model;
#[cfg(all(feature = "postgres", feature = "sqlite"))]
mod postgres;
mod protocol;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "sqlite")]
mod sqlite;

#[path = "../support/mod.rs"]
mod support;
