//! What an attacker sends: each group of attacks on the receiving half, through a real router or a socket.

#![allow(clippy::unwrap_used)] // The helpers of tests are tests.

#[cfg(feature = "axum")]
mod bodies;
#[cfg(feature = "axum")]
mod cuts;
#[cfg(all(feature = "axum", feature = "asymmetric"))]
mod detached;
#[cfg(all(feature = "axum", feature = "tracing"))]
mod extractors;
#[cfg(feature = "axum")]
mod framing;
#[cfg(feature = "axum")]
mod handshakes;
#[cfg(feature = "axum")]
mod listed_headers;
#[cfg(feature = "asymmetric")]
mod public_keys;
#[cfg(feature = "axum")]
mod rejection_cost;
#[cfg(all(feature = "axum", feature = "tracing"))]
mod secrets_and_logs;
#[cfg(feature = "axum")]
mod signature_headers;
#[cfg(feature = "axum")]
mod timestamps;
#[cfg(feature = "axum")]
mod tokens;
#[cfg(feature = "axum")]
mod urls;

#[path = "../support/mod.rs"]
mod support;
