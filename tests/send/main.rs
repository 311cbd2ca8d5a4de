//! The client that sends: destinations, TLS, proxies, receivers that misbehave, signatures, logs.

#![allow(clippy::unwrap_used)] // The helpers of tests are tests.

mod destinations;
mod identity;
mod key_pairs;
#[cfg(all(feature = "metrics", feature = "sqlite", feature = "tracing"))]
mod observability;
#[cfg(feature = "tracing")]
mod proxy;
mod receivers;
#[cfg(all(feature = "axum", feature = "tracing"))]
mod round_trip;
#[cfg(all(feature = "idempotency", feature = "tracing"))]
mod secrets_and_logs;

#[path = "../support/mod.rs"]
mod support;
