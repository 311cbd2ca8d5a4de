//! Claims in Redis, alone or as a cluster: fast, shared by all instances, as durable as the server is set up to be.
//!
//! 1. Each call is one Lua script on one key: atomic, one round trip, and at home in a cluster.
//! 2. The server's clock decides (`TIME`); the clocks of the instances do not matter.
//! 3. A delivery has one key, `webhook_claim:` and 32 hexadecimal digits (another prefix by [`RedisStoreOptions::key_prefix`]). It
//!    expires by itself: a done one with its retention, another one when its lease is over and nobody has come for it for
//!    [`ABANDONED_AFTER`](crate::idempotency::ABANDONED_AFTER). So [`purge`] has nothing to do, and says 0.
//! 4. Values begin with a version. A record of a version that this crate does not know is left alone, and is
//!    [`StoreErrorKind::Schema`](crate::error::StoreErrorKind::Schema); one that is no record at all is
//!    [`Corrupt`](crate::error::StoreErrorKind::Corrupt).
//! 5. Every call ends within the timeout (5 s, see [`RedisStoreOptions::timeout`]), also when the server hangs. A connection that
//!    broke is opened again, and the call repeated, once.
//! 6. There is no transaction to join: [`complete_in`] is
//!    [`WrongTransaction`](crate::error::StoreErrorKind::WrongTransaction).
//!
//! # What the guarantee rests on
//! That the server keeps what it has acknowledged. Redis may not:
//!
//! - **Failover.** Replication is asynchronous. A primary that dies takes its last writes with it: a claim that is gone lets
//!   a second copy run beside the first, a completion that is gone lets a later copy run again.
//! - **Restart.** What the append-only file has not on disk is gone: with `appendfsync everysec`, up to a second; with
//!   snapshots only, all since the last one; without persistence, everything.
//! - **Eviction.** `maxmemory-policy` must be `noeviction`. Under any other the server drops claims that are held. With it, a
//!   full server refuses ([`Full`](crate::error::StoreErrorKind::Full)), and the delivery is answered with a failure.
//!
//! In each case the delivery is at least once, never lost. Where twice is not acceptable, take a store that takes part in
//! the transaction of the effect.
//!
//! # What the server must be
//! Redis 6.2 or later, or Valkey. The user needs `+evalsha +eval +get +set +time` on the prefix's keys.
//!
//! # TLS
//! Turn on one of the `redis` crate's `tokio-*-comp` features in your own `Cargo.toml`, and use `rediss://`.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use tower_webhooks::store::redis::RedisStore;
//!
//! let store = RedisStore::connect("redis://localhost/").await?;
//! let cluster = RedisStore::options().connect_cluster(["redis://a:7000/", "redis://b:7000/"]).await?;
//! # Ok(())
//! # }
//! ```
//!
//! [`purge`]: crate::idempotency::IdempotencyStore::purge
//! [`complete_in`]: crate::idempotency::IdempotencyStore::complete_in

mod connection;
mod error;
mod options;
mod response;
mod script;
mod store;

pub use self::{options::RedisStoreOptions, store::RedisStore};
