//! The allocations of a request, and the memory that many of them hold.

#![allow(clippy::unwrap_used)] // The helpers of tests are tests.

mod allocations;
mod budget;
#[cfg(all(feature = "send", feature = "sqlite"))]
mod fan_out;

#[path = "../support/mod.rs"]
mod support;
