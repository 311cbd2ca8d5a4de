//! The project itself: its imports, its pages, its dependencies, and code that must not compile.

#![allow(clippy::unwrap_used)] // The helpers of tests are tests.

mod architecture;
#[cfg(feature = "axum")]
mod compile_fail;
mod dependencies;
#[cfg(feature = "axum")]
mod pages;
