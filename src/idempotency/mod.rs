//! Idempotency that holds under crashes and races: each event runs once.
//!
//! Senders send deliveries again. With [`WebhookLayer::with_idempotency`](crate::WebhookLayer::with_idempotency) a
//! handler runs once for each acknowledged delivery, within the limits of the rules below:
//!
//! | case | answer |
//! |---|---|
//! | first delivery | the handler's; recorded as done before a 2xx is sent, released on any other status, on a panic and on a timeout |
//! | duplicate while the first one is handled | 503 and `Retry-After`, or 409, or a limited wait; never 2xx |
//! | duplicate after success | 200 `{"status":"already_processed"}` and `idempotent-replayed: true`, or the stored response |
//! | duplicate after a failure | runs again at once |
//! | the client disconnects | the handler continues, and its result is recorded |
//! | the process was killed | a duplicate runs again when the lease has ended |
//! | store down before the handler | 503 |
//! | store down after the handler | the handler's; the result is recorded in the background |
//! | the handler returns [`Discard`](crate::Discard) | success, recorded as done |
//!
//! Rules:
//! 1. Nothing is written before the signature was verified.
//! 2. A success is never sent before the delivery is recorded as done, with one exception: the handler has succeeded
//!    and the store cannot be reached. Then the effect exists, and a duplicate may run again after the lease has ended.
//! 3. A handler runs at least once for each acknowledged delivery. Its effect happens once if it is committed in the
//!    same transaction as the claim: [`Claim::commit`](crate::Claim::commit).
//! 4. A process that has lost its claim cannot change the record (fencing).
//!
//! This module does not make a handler's other effects idempotent; use
//! [`Claim::idempotency_key`](crate::Claim::idempotency_key) for those.
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
