mod shard;
mod store;

pub use self::store::MemoryStore;
