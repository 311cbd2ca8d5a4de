//! Other people's tools read what we send and what we serve. Their scripts and pinned versions are in this folder.

#![allow(clippy::unwrap_used)] // The helpers of tests are tests.

mod api;
#[cfg(feature = "dashboard")]
mod dashboard;
mod send;

#[path = "../support/mod.rs"]
mod support;
