//! The stores of claims and of the outbox, one folder for each backend.
//!
//! | store | feature | shared by | survives a restart | in the application's transaction |
//! |---|---|---|---|---|
//! | `MemoryStore` | `idempotency` | one process | no | no |
//! | `SqliteStore` | `sqlite` | the processes of one machine | yes | yes |
//! | `PostgresStore` | `postgres` | all that reach the server | yes | yes |
//! | `RedisStore` | `redis` | all that reach the server | as far as the server's persistence and replication go | no |
//!
//! The outbox of the feature `send` is kept by `SqliteStore` and `PostgresStore`, and for tests by `MemoryOutbox`.
//!
//! The inbox of the feature `inbox` is kept by `SqliteStore`, `PostgresStore` and `RedisStore`, and for tests by `MemoryInbox`.
//!
//! Each keeps the contract of `IdempotencyStore` and passes the suites of `conformance`. The only SQL and Lua of this crate
//! is here.

#[cfg(all(feature = "send", any(feature = "postgres", feature = "sqlite")))]
mod columns;
#[cfg(any(feature = "postgres", feature = "redis", feature = "sqlite"))]
mod introduction;
#[cfg(any(all(feature = "inbox", feature = "postgres"), feature = "sqlite"))]
mod mailbox;
#[cfg(feature = "idempotency")]
pub mod memory;
#[cfg(feature = "idempotency")]
mod name;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(any(feature = "postgres", feature = "redis"))]
mod replaceable;
#[cfg(feature = "sqlite")]
pub mod sqlite;

#[cfg(feature = "inbox")]
pub use self::memory::MemoryInbox;
#[cfg(all(feature = "send", feature = "idempotency"))]
pub use self::memory::MemoryOutbox;
#[cfg(feature = "postgres")]
pub use self::postgres::PostgresStore;
#[cfg(feature = "redis")]
pub use self::redis::RedisStore;
#[cfg(feature = "sqlite")]
pub use self::sqlite::SqliteStore;
#[cfg(feature = "idempotency")]
pub use self::{memory::MemoryStore, name::Prefix};
