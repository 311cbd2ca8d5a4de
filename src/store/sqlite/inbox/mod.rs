//! The inbox in an SQLite database: one row for each event.
//!
//! One connection of the store's own writes it, with `synchronous = EXTRA`: what was accepted outlives a power cut. What is ended in the
//! application's transaction is as safe as the application's connection makes it. Everything that writes is committed in groups by a
//! task, so that many share one wait for the disk. What only reads has another connection.

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
