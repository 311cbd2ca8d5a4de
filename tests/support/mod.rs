//! Helpers that the tests of several topics share. Each binary uses those that it needs.

#![allow(dead_code, unused_imports)]

#[cfg(feature = "idempotency")]
pub(crate) mod claims;
#[cfg(feature = "metrics")]
pub(crate) mod counts;
#[cfg(all(feature = "axum", feature = "idempotency"))]
pub(crate) mod database;
#[cfg(all(feature = "axum", feature = "idempotency"))]
pub(crate) mod faults;
pub(crate) mod formulas;
pub(crate) mod hidden;
#[cfg(feature = "conformance")]
pub(crate) mod interleavings;
pub(crate) mod key_pairs;
#[cfg(all(feature = "axum", feature = "idempotency"))]
pub(crate) mod kills;
#[cfg(feature = "tracing")]
pub(crate) mod logs;
#[cfg(all(feature = "axum", feature = "idempotency"))]
pub(crate) mod once;
#[cfg(all(feature = "send", feature = "sqlite"))]
pub(crate) mod outbox;
#[cfg(feature = "sqs")]
pub(crate) mod moto_server;
pub(crate) mod nats_server;
#[cfg(feature = "postgres")]
pub(crate) mod postgres_server;
pub(crate) mod process;
pub(crate) mod proxies;
pub(crate) mod proxy;
#[cfg(feature = "remote-keys")]
pub(crate) mod key_server;
#[cfg(feature = "send")]
pub(crate) mod receiver;
pub(crate) mod redis_server;
#[cfg(feature = "axum")]
pub(crate) mod senders;
#[cfg(feature = "axum")]
pub(crate) mod serve;
#[cfg(feature = "axum")]
pub(crate) mod sign;
#[cfg(feature = "tracing")]
pub(crate) mod spans;
#[cfg(any(feature = "remote-keys", feature = "send"))]
pub(crate) mod tls;
#[cfg(feature = "idempotency")]
pub(crate) mod watched;
pub(crate) mod web;

/// The full name of a test of the module that asks: what `--exact` takes.
#[allow(unused_macros)]
macro_rules! test_name {
    ($name:literal) => {
        concat!(module_path!(), "::", $name).split_once("::").map_or($name, |(_, name)| name)
    };
}
pub(crate) use test_name;
