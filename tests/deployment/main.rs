//! Tests of the layer in a deployment: behind reverse proxies, on the example server, and with bodies that are refused
//! while they arrive.

#![allow(clippy::unwrap_used)] // The helpers of tests are tests.

mod proxies;
mod readiness;
mod refused_bodies;
mod server_setup;

#[path = "../support/mod.rs"]
mod support;
