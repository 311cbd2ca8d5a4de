//! Public test suites that every store must pass, those of this crate and your own.
//!
//! [`idempotency`] checks an [`IdempotencyStore`](crate::idempotency::IdempotencyStore) against each numbered rule of
//! its contract; [`check_steps`] runs any sequence of calls on the store and on the [`Model`], a second and simpler
//! implementation of the same contract, and compares every answer.
//!
//! 1. A suite panics if a rule is broken, as test assertions do. The message begins with the number of the rule.
//! 2. Stores use a clock that a test cannot set, so a [`Harness`] makes records older instead. No suite sleeps.
//! 3. If a backend cannot do something, its harness says so ([`Harness::purge`]). No rule is left out silently.
//! 4. The suite of claims uses random keys, so the store does not have to be empty. It moves the store's clock, so no
//!    other test may use the same store at the same time.
//! 5. A suite needs a tokio runtime. With several threads it finds more.
//!
//! With the feature `send`, `outbox` checks an `OutboxStore` in the same way, `emptied_outbox` checks what happens to
//! deliveries whose message has lost its content, and `damaged_outbox` also what happens to rows that cannot be read.
//!
//! The suites do not check what only your own tests can: that records outlive a restart, that two processes have the
//! same clock, and that a claim is completed in the application's transaction.
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
