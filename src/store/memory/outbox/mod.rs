//! An outbox in this process: tables in memory under one lock.

mod dispatch;
mod finish;
mod history;
mod keep;
mod lease;
mod repeat;
mod stats;
mod store;
mod tables;

pub use self::store::MemoryOutbox;
