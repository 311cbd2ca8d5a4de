//! Leased jobs: what a durable queue and its workers have in common.
//!
//! 1. A job is worked by whoever holds its lease. The lease ends by itself, so a worker that was killed holds nothing up.
//! 2. A lease has a token. Whoever comes back after its end finds another token there, and changes nothing.
//! 3. A worker asks its store for as much as it has room for, and never waits for a batch: each job that ends makes room.
//! 4. On shutdown a worker takes nothing new, and ends when what it holds has ended.
//!
//! It does not know what a job is: that is the business of who uses it.

mod lease;
mod wait;
mod worker;

pub use self::lease::LeaseToken;
pub(crate) use self::{
    wait::full_jitter,
    worker::{Queue, Room, Taken, run},
};
pub use crate::fencing::Fenced;
