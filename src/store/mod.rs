//! The stores, one folder a backend.

#[cfg(any(feature = "postgres", feature = "redis"))]
mod name;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "redis")]
pub mod redis;
