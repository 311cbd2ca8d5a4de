#![doc = "Receive and send webhooks with axum and tower: verified, typed, once."]

pub mod boxed;
pub mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod error;
#[cfg(feature = "idempotency")]
pub mod idempotency;
pub mod store;
pub mod transaction;
