mod store;
mod tables;

pub use self::store::MemoryInbox;
