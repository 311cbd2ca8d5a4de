//! The inbox in an SQLite database: one row for each event.
//!
//! The store has its own connection for writes, with `synchronous = EXTRA`, so that accepted events survive a power
//! cut. If an event ends in the application's transaction, its durability depends on the application's connection. One
//! task commits writes in groups, so that many calls share one wait for the disk. Reads have another connection.

mod accept;
mod access;
mod change;
mod contract;
mod group;
mod lease;
mod list;
mod purge;
mod rows;
mod schema;
mod shared;

pub(super) use self::{schema::PARTS, shared::Inbox};
