//! Endpoints, the outbox and its workers, in memory, on SQLite and on PostgreSQL.

#![allow(clippy::unwrap_used)] // The helpers of tests are tests.

#[cfg(all(feature = "axum", feature = "postgres", feature = "sqlite"))]
mod cost;
#[cfg(all(feature = "conformance", feature = "postgres", feature = "sqlite"))]
mod damaged;
#[cfg(all(feature = "axum", feature = "sqlite"))]
mod deliveries;
#[cfg(feature = "sqlite")]
mod fair;
#[cfg(all(feature = "idempotency", feature = "tracing"))]
mod features;
#[cfg(all(feature = "postgres", feature = "sqlite"))]
mod keys;
#[cfg(all(feature = "postgres", feature = "sqlite"))]
mod model;
#[cfg(all(feature = "axum", feature = "conformance", feature = "postgres"))]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(all(feature = "sqlite", feature = "tracing"))]
mod statements;
#[cfg(all(feature = "conformance", feature = "sqlite"))]
mod stores;
#[cfg(all(feature = "axum", feature = "postgres", feature = "sqlite"))]
mod storms;
#[cfg(all(feature = "axum", feature = "postgres", feature = "sqlite"))]
mod tokens;

#[path = "../support/mod.rs"]
mod support;
