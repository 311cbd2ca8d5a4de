//! Claims and the inbox in Redis, on one server or a cluster: fast, shared by all instances, and as durable as the server is
//! configured to be.
//!
//! 1. Each call is one Lua script on one key: it is atomic, takes one round trip, and works in a cluster.
//! 2. The server's clock decides (`TIME`); the clocks of the instances do not matter.
//! 3. A delivery has one key, `webhook_claim:` and 32 hexadecimal digits (another prefix by
//!    [`RedisStoreOptions::key_prefix`]). It expires by itself: a completed one after its retention, another one when
//!    its lease has ended and nobody has claimed it for [`ABANDONED_AFTER`](crate::idempotency::ABANDONED_AFTER). So
//!    [`purge`] has nothing to do, and returns 0.
//! 4. Values begin with a version. A record of a version that this crate does not know is not changed, and the error is
//!    [`StoreErrorKind::Schema`](crate::error::StoreErrorKind::Schema); for a value that is not a record it is
//!    [`Corrupt`](crate::error::StoreErrorKind::Corrupt).
//! 5. Every call ends within the timeout (5 s, see [`RedisStoreOptions::timeout`]), also when the server hangs. A connection that
//!    broke is opened again, and the call repeated, once.
//! 6. There is no transaction to join: [`complete_in`] is
//!    [`WrongTransaction`](crate::error::StoreErrorKind::WrongTransaction).
//!
//! # What the guarantee rests on
//! The server must keep what it has acknowledged. Redis may not:
//!
//! - **Failover.** Replication is asynchronous. If a primary dies, its last writes can be lost. After a lost claim a
//!   duplicate can run at the same time as the first delivery; after a lost completion a later duplicate runs again.
//! - **Restart.** What the append-only file has not yet written to disk is lost: with `appendfsync everysec`, up to a
//!   second; with snapshots only, everything since the last one; without persistence, everything.
//! - **Eviction.** `maxmemory-policy` must be `noeviction`. With any other policy the server drops claims that are
//!   held. With it, a full server rejects a claim ([`Full`](crate::error::StoreErrorKind::Full)), and the delivery is
//!   answered with a failure.
//!
//! In each case the delivery is handled at least once and never lost, where claims are kept here. If handling it twice is not acceptable, use a
//! store that takes part in the transaction of the effect.
//!
//! # The inbox
//! An inbox, with the feature `inbox`, rests on more: its sender has been answered, and does not send again. What the server loses
//! of it is lost. With `appendonly yes` and `appendfsync always` that is nothing, unless there is a failover. At its first event the store asks the server, and warns of
//! `appendonly no`, of another `appendfsync`, and of an eviction policy that drops keys without an expiry.
//!
//! 1. Each call is one script on keys that all begin with `{webhook_inbox}`: they are in one slot of a cluster.
//! 2. An event arrives in the stream `{webhook_inbox}:arrivals:` and the inbox's name, which the group `workers` reads. Its record and its content are in hashes, and
//!    what waits, is being worked, or has ended is found by sorted sets. A lease reads the stream, deletes what it read, and notes who holds it, in one step.
//! 3. Nothing is ever cut from the stream, and no event depends on its entry: if the stream or its group is changed by somebody else, events are found by their
//!    records, and an error is logged.
//! 4. The inbox is written in one version; another one is [`StoreErrorKind::Schema`](crate::error::StoreErrorKind::Schema), and nothing is changed.
//! 5. `InboxStore::finish_in` is [`WrongTransaction`](crate::error::StoreErrorKind::WrongTransaction).
//! 6. Workers of a store that [`connect`](RedisStore::connect) opened wait at the stream, on a connection of their own. Others look once a second.
//! 7. If the server's clock goes back, as it may at a failover, leases and waits last longer by so much.
//!
//! # What the server must be
//! Redis 6.2 or later, or Valkey. The user needs `+evalsha +eval +get +set +time` on the prefix's keys, and for an inbox also `+exists +hdel +hexists +hget
//! +hincrby +hset +info +xack +xadd +xdel +xgroup +xlen +xrange +xread +xreadgroup +xrevrange +zadd +zlexcount +zrangebylex +zrem +zrevrangebylex` on the keys that
//! begin with the prefix in a brace (`~{webhook_inbox}:*`). With `+config|get` the store can read `appendfsync`.
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

mod claims;
mod connection;
mod error;
#[cfg(feature = "inbox")]
mod inbox;
#[cfg(not(feature = "inbox"))]
#[path = "no_inbox.rs"]
mod inbox;
mod options;
mod script;
mod server;
mod store;

pub use self::{options::RedisStoreOptions, store::RedisStore};
