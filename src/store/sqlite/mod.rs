//! Claims in an SQLite database: there is nothing to install, and the processes of one machine can share it.
//!
//! 1. A claim that finds its delivery done or in flight is answered from a plain read, at once, even while the
//!    application's own transaction holds the database's write lock.
//! 2. Writes are committed in groups: one task of the store takes the waiting calls, carries them out in one
//!    `BEGIN IMMEDIATE` transaction, and answers after the commit. Under load many calls share one commit.
//! 3. SQLite has one write lock. If it is held, a new claim waits for at most
//!    [`busy_timeout`](SqliteStoreOptions::busy_timeout) (5 seconds by default) and then fails as
//!    [`Busy`](crate::error::StoreErrorKind::Busy). So keep the application's transactions short, and begin those that
//!    write with `BEGIN IMMEDIATE`: if a transaction reads first and somebody else writes before it does, SQLite
//!    rejects its write as `Busy`.
//! 4. The clock is the machine's, since SQLite lives in the process: processes that share a file share it too. A wall
//!    clock that jumps ahead ends leases early; the token then prevents a slow owner from completing what another one
//!    has taken over.
//! 5. Claims are committed with `synchronous = NORMAL` where the database is in WAL mode, as [`SqliteStore::connect`]
//!    sets it: a killed process loses nothing; a power cut may lose the last commits, so that their deliveries run
//!    again. The durability of the application's own transactions depends on its own connection.
//!
//! # In the application's transaction
//! [`complete_in`](crate::idempotency::IdempotencyStore::complete_in) takes an `sqlx::SqliteConnection`, and
//! `sqlx::Transaction<'_, Sqlite>` is a [`StoreTransaction`](crate::transaction::StoreTransaction). The transaction
//! must be of the same database file as the store. In another file without these tables it is rejected as
//! [`WrongTransaction`](crate::error::StoreErrorKind::WrongTransaction); in one that has them, the claim is not found
//! and the call is [`Stale`](crate::idempotency::Fenced::Stale). Nothing is marked in either case.
//!
//! # Tables, and two versions in one database
//! The tables are `webhook_claims` and `webhook_migrations`, with the feature `inbox` also `webhook_inbox_events`, with the
//! feature `send` also `webhook_outbox_endpoints` and its like, or begin with another
//! [`prefix`](SqliteStoreOptions::table_prefix). [`SqliteStore::connect`] creates and migrates them;
//! [`SqliteStore::connect_without_migrating`] and [`SqliteStore::from_pool`] do not. Migrating twice, or in several
//! processes at once, is safe.
//!
//! A migration only adds, and records the minimum version of the schema that a program must know to work with the
//! result. A process with an older version of this crate can work in parallel with a newer one if it knows that
//! version, which is true for all versions with the same minor number. Every statement names its columns, so added
//! columns do not matter. Beyond that it stops with [`Schema`](crate::error::StoreErrorKind::Schema).
//!
//! ```
//! use std::time::Duration;
//! use tower_webhooks::{
//!     idempotency::{ClaimKey, ClaimOutcome, ClaimRequest, ClaimToken, Completion, Fingerprint, IdempotencyStore},
//!     store::SqliteStore,
//! };
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = SqliteStore::connect("sqlite::memory:").await?;
//! let key = ClaimKey::new("/webhooks/stripe", "stripe", None, b"evt_1");
//! let token = ClaimToken::random()?;
//! let claim = ClaimRequest::new(key, token, Duration::from_secs(60), Fingerprint::of(b"{}"));
//!
//! assert!(matches!(store.claim(claim).await?, ClaimOutcome::Acquired { attempt: 1 }));
//! let _ = store.complete(key, token, Completion::new(Duration::from_secs(3600))).await?;
//!
//! assert!(matches!(store.claim(claim).await?, ClaimOutcome::Done { .. }));
//! # Ok(())
//! # }
//! ```

mod claims;
mod connection;
mod error;
mod group;
#[cfg(feature = "inbox")]
mod inbox;
#[cfg(not(feature = "inbox"))]
#[path = "no_inbox.rs"]
mod inbox;
mod joined;
mod migration;
mod options;
#[cfg(feature = "send")]
mod outbox;
#[cfg(not(feature = "send"))]
#[path = "no_outbox.rs"]
mod outbox;
mod setup;
mod store;

pub use self::{options::SqliteStoreOptions, store::SqliteStore};
