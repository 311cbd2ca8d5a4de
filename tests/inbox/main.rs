//! The inbox, which answers at once and handles events later.

#![allow(clippy::unwrap_used)] // The helpers of tests are tests.

mod accepting;
mod alike;
mod durable;
mod handlers;
#[cfg(feature = "nats")]
mod jetstream;
mod model;
mod postgres;
mod redis;
mod sealed;
mod shop;
mod sqlite;
#[cfg(feature = "sqs")]
mod sqs;
mod stores;
mod working;

#[path = "../support/mod.rs"]
mod support;
