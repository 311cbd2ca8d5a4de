//! The inbox in a PostgreSQL database: one row for each event.
//!
//! 1. What is accepted is committed before it is answered. An event that is alone, and has neither an order key, a guard nor a limit, is
//!    one statement, which those that come at the same time share.
//! 2. A lease skips what another worker has locked, so that any number of workers share the inbox without waiting for each other. A worker
//!    that has nothing to do asks one statement that writes nothing.
//! 3. What decides by other rows (an order key, a guard) is decided under an advisory lock of that key, in a statement after the lock.
//!    Such locks are taken before those of rows, in the order of their numbers. A lease, which has locked rows, only tries them.
//! 4. Everything else that was read without a lock is written only if it is still so; otherwise it is read once more.

mod accept;
mod change;
mod contract;
mod core;
mod group;
mod insert;
mod lease;
mod list;
mod purge;
mod rows;
mod schema;
mod shared;
mod statements;

pub(super) use self::{schema::PARTS, shared::Inbox};
