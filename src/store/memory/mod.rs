//! A store in the memory of this process: it needs no server, and forgets everything at a restart.
//!
//! 1. It holds a bounded number of records. A record that is pending within its lease is never dropped. If all records
//!    are, a new claim is rejected with [`StoreErrorKind::Full`](crate::error::StoreErrorKind::Full), which the sender
//!    sees as 503.
//! 2. When it is full, the record that has been done or released for longest is dropped. A later duplicate of *that*
//!    delivery runs again. So the capacity can shorten the time for which duplicates are detected.
//! 3. A restart forgets everything, and a second process does not see the records of the first. If that matters, use a
//!    store that writes to disk.
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
#[cfg(feature = "inbox")]
mod inbox;
#[cfg(feature = "send")]
mod outbox;

pub use self::claims::MemoryStore;
#[cfg(feature = "inbox")]
pub use self::inbox::MemoryInbox;
#[cfg(feature = "send")]
pub use self::outbox::MemoryOutbox;
