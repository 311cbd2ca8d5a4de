//! The management API and its pages, through their router.

#![allow(clippy::unwrap_used)] // The helpers of tests are tests.

mod attacks;
#[cfg(feature = "dashboard")]
mod dashboard;
mod inbox;
mod monitoring;
mod redaction;
mod routes;

#[path = "../support/mod.rs"]
mod support;
