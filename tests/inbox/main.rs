//! The inbox: what is answered at once and worked later.

#![allow(clippy::unwrap_used)] // The helpers of tests are tests.

mod accepting;
mod durable;
mod handlers;
mod model;
mod postgres;
mod redis;
mod sealed;
mod shop;
mod sqlite;
mod stores;
mod working;

#[path = "../support/mod.rs"]
mod support;
