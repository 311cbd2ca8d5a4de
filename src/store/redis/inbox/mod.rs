//! The inbox in Redis: each call is one script, which decides by the rules of the inbox's policy.
//!
//! What comes is a record and its content in hashes, and an entry in a stream that a consumer group reads. What waits for a time, for
//! another event or for a worker's end is found by sorted sets. `scripts/event.lua` says what is where.

mod accept;
mod contract;
mod durability;
mod facts;
mod lease;
mod list;
mod listen;
mod shared;
mod values;

pub(super) use self::shared::Inbox;
