//! Claims, the inbox and the outbox in PostgreSQL, for applications with many instances, and for effects that are committed in
//! one transaction with their claim, with the end of their event, or with dispatched messages.
//!
//! 1. A claim is one statement. It decides live and done records by a plain read, so a duplicate is answered at once,
//!    also while an application's transaction holds the claim's row or another instance is claiming it.
//! 2. The server's clock decides; the clocks of the instances do not matter.
//! 3. [`PostgresStore::connect`] migrates, [`PostgresStoreOptions::from_pool`] and
//!    [`PostgresStore::connect_without_migrating`] do not: call [`PostgresStore::migrate`], which is safe at any time
//!    and from several instances. It creates the tables `webhook_claims` and `webhook_migrations`, with the feature
//!    `send` also `webhook_outbox_endpoints`, `_messages`, `_deliveries`, `_attempts`, `_event_types` and `_moves`,
//!    with the feature `inbox` also `webhook_inbox_events` (another prefix by [`PostgresStoreOptions::table_prefix`]);
//!    `_sqlx_migrations` is never changed. Builds with different features can share a database.
//! 4. Migrations within a minor version only add, so the old and the new version of this crate share the tables during a
//!    rolling deploy. A schema that this version cannot work with is
//!    [`StoreErrorKind::Schema`](crate::error::StoreErrorKind::Schema).
//! 5. Every call ends within the timeout (5 s, see [`PostgresStoreOptions::timeout`]), also when the server hangs.
//! 6. A connection that broke while it was idle is replaced without a log event, and the call is repeated once.
//!
//! # What the guarantee rests on
//! A commit that the server has acknowledged stays. With `synchronous_commit = off`, or after a failover to an
//! asynchronous standby, the last commits may be lost, and their deliveries run again when the sender repeats them.
//!
//! If two claims of one delivery arrive at the same moment, the second one is answered as in flight before it can read
//! the row of the first, with its own fingerprint and lease: the real ones could only be read by waiting.
//!
//! # Transactions of the application
//! [`complete_in`](crate::idempotency::IdempotencyStore::complete_in) takes an `sqlx::PgConnection` of the same
//! database that finds the tables (mind its `search_path`, or set [`PostgresStoreOptions::schema`]). It is designed for
//! read committed. Under repeatable read or serializable, a claim that was renewed after the transaction began is
//! [`Busy`](crate::error::StoreErrorKind::Busy), and the transaction has to be rolled back, as for any other conflict.
//!
//! `OutboxQueue::dispatch_in` takes the same connection, and is one statement unless another process stores the same
//! message at that moment. It locks no endpoint, so a transaction that stays open for long delays only a dispatch of
//! the same message, which waits for it, and is [`Busy`](crate::error::StoreErrorKind::Busy) after half of the timeout;
//! in the application's own transaction its own `lock_timeout` decides. After a conflict the transaction goes on as it
//! was. Under repeatable read or serializable, a message that another transaction has stored since this one began is
//! `Busy`, and this one has to be rolled back. A transaction that has dispatched does not wake a worker; call
//! `Dispatcher::wake` after its commit.
//!
//! `InboxStore::finish_in` takes it too. If the event has an order key, the transaction holds that key's lock until its
//! end, and events with the key that come meanwhile wait for it: call `Claim::complete_in` last, or `Claim::commit`.
//! Such a transaction must be at read committed; at any other level the call is
//! [`Rejected`](crate::error::StoreErrorKind::Rejected), because an event that has arrived since the transaction's
//! snapshot would never become due.
//!
//! Another database that has tables of the same names cannot be distinguished from the right one: the workers of that
//! database find what is written there.
//!
//! # Workers
//! `OutboxQueue::lease` skips what another worker has locked, so any number of them share the outbox without waiting
//! for each other. A worker with nothing to do sends one statement, which writes nothing. A batch takes six round
//! trips, whatever its size, and storing the result of an attempt takes four.
//!
//! The same holds for `InboxStore::lease`. An event that is accepted takes one statement, which events that come at the
//! same time share, and that is one commit for all of them; a batch, a guard, an order key or a depth limit take a
//! transaction of five. Simultaneous calls can together exceed a depth limit.
//!
//! After the commit of a dispatch or of an accepted event, workers are notified with `NOTIFY` on a separate connection,
//! once for everything that was stored within some milliseconds: a transaction with a `NOTIFY` cannot share its flush
//! to disk with others. Each worker listens on one connection in addition to the pool. If it is lost, the worker
//! reconnects, and meanwhile looks for work every second. [`PostgresStoreOptions::without_notify`] turns this off.
//!
//! Rows of events and deliveries change three times and more. Keep autovacuum on, and transactions short: while an old one is
//! open, PostgreSQL keeps every version of the rows that changed since, and each look for work has to skip them.
//!
//! # Connection poolers
//! Behind a pooler that hands out a connection for one transaction, such as PgBouncer in transaction mode, set
//! [`PostgresStoreOptions::simple_queries`]: then nothing is prepared, and each call is one message that any connection
//! can answer. The application's own connections, for `complete_in`, need what sqlx needs there. The store keeps
//! nothing in a session: its locks and settings end with each statement's transaction. Workers then do not listen, and
//! find new work when they next look.
//!
//! # What the server must be
//! PostgreSQL 12 or later, with a database in UTF-8. The role needs to select, insert, update and delete in
//! `webhook_claims` and in the tables of the inbox and the outbox (if it uses them), and to select from `webhook_migrations`. Only a
//! migration needs more.
//!
//! # TLS
//! Turn on one of sqlx's `tls-*` features in your own `Cargo.toml`; without one, `sslmode=require` is an error.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use tower_webhooks::store::postgres::PostgresStore;
//!
//! let store = PostgresStore::connect("postgres://app@localhost/app").await?;
//!
//! // The same, beside the application's own tables and from its own pool:
//! let pool = sqlx::PgPool::connect("postgres://app@localhost/app").await?;
//! let store = PostgresStore::options().schema("webhooks")?.from_pool(pool);
//! store.migrate().await?;
//! # Ok(())
//! # }
//! ```

mod claims;
mod error;
#[cfg(feature = "inbox")]
mod inbox;
#[cfg(not(feature = "inbox"))]
#[path = "no_inbox.rs"]
mod inbox;
mod joined;
#[cfg(any(feature = "inbox", feature = "send"))]
mod listen;
mod migration;
#[cfg(any(feature = "inbox", feature = "send"))]
mod notify;
mod options;
#[cfg(feature = "send")]
mod outbox;
#[cfg(not(feature = "send"))]
#[path = "no_outbox.rs"]
mod outbox;
mod server;
mod statement;
mod store;
#[cfg(any(feature = "inbox", feature = "send"))]
mod tx;

pub use self::{options::PostgresStoreOptions, store::PostgresStore};
