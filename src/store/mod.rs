//! The stores, one folder a backend: where claims are kept.
//!
//! | store | shared by | survives a restart | in the application's transaction |
//! |---|---|---|---|
//! | [`MemoryStore`] | one process | no | no |
//!
//! Each keeps the contract of [`IdempotencyStore`](crate::idempotency::IdempotencyStore) and passes the suites of
//! `conformance`. The only SQL and Lua of this crate is here.

#[cfg(feature = "idempotency")]
mod memory;
#[cfg(feature = "idempotency")]
mod record;

#[cfg(feature = "idempotency")]
pub use self::memory::MemoryStore;
