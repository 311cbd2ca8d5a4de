//! The stores of claims, through the public API and against real servers.

#![allow(clippy::unwrap_used)] // The helpers of tests are tests.

mod memory;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
mod reference_model;
#[cfg(feature = "sqlite")]
mod sqlite;

#[path = "../support/mod.rs"]
mod support;
