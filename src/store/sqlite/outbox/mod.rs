//! The outbox in an SQLite database: endpoints, messages, deliveries and attempts.
//!
//! One connection of the store's own writes it, with `synchronous = EXTRA`: what was dispatched outlives a power cut.
//! What is dispatched in the application's transaction is as durable as the application's connection makes it.
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
