//! Leased jobs: the common part of durable queues and their workers.
//!
//! 1. The holder of a job's lease works on it. The lease ends by itself, so a worker that was killed does not block the
//!    job.
//! 2. A lease has a token. A worker that comes back after the end of its lease finds another token and changes nothing.
//! 3. A worker asks its store for as many jobs as it has free places, and does not wait until a batch has ended: each
//!    job that ends makes a place free.
//! 4. On shutdown a worker takes no new jobs, and returns when its jobs have ended.
//!
//! The kind of job is up to the module that uses the queue.

mod lease;
mod wait;
mod worker;

pub use self::lease::LeaseToken;
pub(crate) use self::{
    wait::full_jitter,
    worker::{Queue, Room, Taken, run},
};
pub use crate::fencing::Fenced;
