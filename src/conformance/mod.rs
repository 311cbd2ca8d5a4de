//! Public suites that every store must pass, ours and yours.
//!
//! [`idempotency`] checks an [`IdempotencyStore`](crate::idempotency::IdempotencyStore) against each numbered rule of its
//! contract; [`check_steps`] runs any sequence of calls beside the [`Model`], a second and simpler reading of the same
//! contract, and compares every answer.
//!
//! 1. A suite panics with a message that begins with the rule that was broken, as test assertions do.
//! 2. Stores decide by a clock that a test cannot turn, so a [`Harness`] says how to age records instead. No suite sleeps.
//! 3. What a backend cannot do is an answer of its harness ([`Harness::purge`]), not a rule left out silently.
//! 4. It draws its keys at random, so the store need not be empty; but it moves the store's clock, so no other test may
//!    use the same store meanwhile.
//! 5. It needs a tokio runtime; one with several threads finds more.
//!
//! With the feature `send`, `outbox` checks an `OutboxStore` in the same way, `emptied_outbox` what becomes of deliveries whose
//! message has lost its content, and `damaged_outbox` also what becomes of rows that cannot be read.
//!
//! It does not check what only your store can know: that records outlive a restart, that two processes see one clock, that
//! the application's transaction takes the mark with it.
//!
//! ```
//! use tower_webhooks::{
//!     clock::ClockOffset,
//!     conformance::{self, OffsetHarness},
//!     store::MemoryStore,
//! };
//!
//! # #[tokio::main]
//! # async fn main() {
//! let offset = ClockOffset::default();
//! let store = MemoryStore::with_capacity_and_offset(10_000, offset.clone());
//!
//! conformance::idempotency(&OffsetHarness::new(store, offset)).await;
//! # }
//! ```

mod harness;
mod idempotency;
mod model;
#[cfg(feature = "send")]
mod outbox;

#[cfg(feature = "send")]
pub use self::outbox::{Damage, damaged_outbox, emptied_outbox, outbox};
pub use self::{
    harness::{Harness, OffsetHarness, Purge},
    idempotency::idempotency,
    model::{Answer, Model, Owner, Step, Units, check_steps},
};
