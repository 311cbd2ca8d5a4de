//! Once: idempotency that holds under crashes and races.
//!
//! Senders repeat themselves. Behind [`WebhookLayer::with_idempotency`](crate::WebhookLayer::with_idempotency) a handler runs
//! once for each delivery that is acknowledged, as far as that can be promised:
//!
//! | case | answer |
//! |---|---|
//! | first | the handler's; recorded as done before a 2xx leaves, released on anything else, on a panic and on a timeout |
//! | again while in flight | 503 and `Retry-After`, or 409, or a bounded wait; never 2xx |
//! | again after done | 200 `{"status":"already_processed"}` and `idempotent-replayed: true`, or the stored response |
//! | again after a failure | runs again at once |
//! | the client is gone | the handler goes on, and is recorded |
//! | the process was killed | runs again when the lease ends |
//! | store down before the handler | 503 |
//! | store down after it | the handler's answer; the record is made in the background |
//! | the handler says [`Discard`](crate::Discard) | recorded as done, success |
//!
//! Rules:
//! 1. Nothing is written before the signature has passed.
//! 2. A success never leaves before the delivery is recorded as done, but for one case: the handler has succeeded and the
//!    store cannot be told. Then the effect is there, and a duplicate may run it again once the lease has passed.
//! 3. A handler runs at least once for each acknowledged delivery. Its effect happens once where it commits in the same
//!    transaction as the claim: [`Claim::commit`](crate::Claim::commit).
//! 4. Whoever has lost a claim changes nothing (fencing).
//!
//! What this module does not do: make a handler's other effects idempotent. [`Claim::idempotency_key`](crate::Claim::idempotency_key)
//! is for those.
//!
//! ```
//! use std::sync::atomic::{AtomicU32, Ordering};
//! use axum::{Router, body::Body, http::{Request, StatusCode}, routing::post};
//! use tower::ServiceExt;
//! use tower_webhooks::{Secret, WebhookLayer, store::MemoryStore};
//!
//! static RUNS: AtomicU32 = AtomicU32::new(0);
//!
//! async fn count() {
//!     RUNS.fetch_add(1, Ordering::SeqCst);
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let layer = WebhookLayer::github(Secret::new("It's a Secret to Everybody")?).with_idempotency(MemoryStore::new());
//! let app: Router = Router::new().route("/hook", post(count).layer(layer));
//! let request = |signature: &str| {
//!     let signature = format!("sha256={signature}");
//!     Request::post("/hook").header("x-github-delivery", "72d3162e").header("x-hub-signature-256", signature)
//!         .body(Body::from("Hello, World!"))
//! };
//!
//! let right = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
//! for _ in 0..2 {
//!     assert_eq!(app.clone().oneshot(request(right)?).await?.status(), StatusCode::OK);
//! }
//! assert_eq!(RUNS.load(Ordering::SeqCst), 1);
//!
//! // A forged one is rejected, and leaves no trace in the store.
//! assert_eq!(app.oneshot(request("00")?).await?.status(), StatusCode::UNAUTHORIZED);
//! # Ok(())
//! # }
//! ```

mod answers;
mod bounded;
mod context;
mod desk;
mod held;
mod introduction;
mod key;
mod later;
mod layer;
pub(crate) mod purge;
mod recent;
pub mod record;
mod run;
mod service;
mod settle;
mod store;
mod subject;

pub use self::{
    context::{InFlight, MissingId},
    key::{ClaimKey, ClaimToken, Fingerprint},
    layer::IdempotencyLayer,
    service::{Idempotency, ResponseFuture},
    store::{ABANDONED_AFTER, ClaimOutcome, ClaimRequest, Completion, IdempotencyStore, StoredResponse},
};
pub use crate::fencing::Fenced;
