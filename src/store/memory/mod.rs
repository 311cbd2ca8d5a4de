//! Claims in this process: nothing to install, nothing that outlives a restart.
//!
//! 1. It holds a bounded number of records. What is pending within its lease is never dropped; when all of them are, a new
//!    claim is refused with [`StoreErrorKind::Full`](crate::error::StoreErrorKind::Full), which the sender sees as 503.
//! 2. When it is full, the record that has been done or released for longest makes room. A copy of *that* delivery which
//!    comes later runs again: the deduplication is as long as the bound allows, not as the retention says.
//! 3. A restart forgets everything, and a second process knows nothing of the first. Where that matters, take a store with
//!    a disk.
//!
//! ```
//! use std::time::Duration;
//! use tower_webhooks::{
//!     idempotency::{ClaimKey, ClaimOutcome, ClaimRequest, ClaimToken, Fingerprint, IdempotencyStore},
//!     store::MemoryStore,
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = MemoryStore::new();
//! let key = ClaimKey::new("/webhooks/stripe", "stripe", None, b"evt_1");
//! let claim = |token| ClaimRequest::new(key, token, Duration::from_secs(60), Fingerprint::of(b"{}"));
//!
//! let first = store.claim(claim(ClaimToken::random()?)).await?;
//! let second = store.claim(claim(ClaimToken::random()?)).await?;
//!
//! assert!(matches!(first, ClaimOutcome::Acquired { attempt: 1 }));
//! assert!(matches!(second, ClaimOutcome::InFlight { .. }));
//! # Ok(())
//! # }
//! ```

mod claims;
#[cfg(feature = "send")]
mod outbox;

pub use self::claims::MemoryStore;
#[cfg(feature = "send")]
pub use self::outbox::MemoryOutbox;
