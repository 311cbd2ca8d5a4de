//! The outbox in an SQLite database: endpoints, messages, deliveries and attempts.
//!
//! The store has its own connection for writes, with `synchronous = EXTRA`, so that dispatched messages survive a power
//! cut. The durability of messages that are dispatched in the application's transaction depends on the application's
//! connection.
//!
//! The frequent calls (`dispatch`, `lease`, `finish`) are committed in groups by a task, so that many share one wait
//! for the disk. The others use the connection one after the other. Calls that only read have another connection, so
//! that no write waits for them.

mod access;
mod clock;
mod contract;
mod deliveries;
mod dispatch;
mod endpoints;
mod erase;
mod event_types;
mod finish;
mod group;
mod history;
mod lease;
mod messages;
mod moves;
mod purge;
mod schema;
mod script;
mod session;
mod shared;
mod sql;
mod statements;
mod stats;

pub(super) use self::{schema::PARTS, shared::Outbox};
