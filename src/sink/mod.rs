//! Hand-off to a queue that an application already runs: verified deliveries are passed on to the queue, and handled by
//! its readers.
//!
//! A [`HandOff`] takes the place of the service that handles the event, as an [`Inbox`](crate::Inbox) does. It passes
//! the verified delivery on to a [`Sink`], and the sender gets a success when the queue has acknowledged it. A
//! [`SinkWorker`] receives the messages from a [`SinkQueue`], and passes each to the service that would otherwise have
//! handled the request directly.
//!
//! | queue | feature | |
//! |---|---|---|
//! | NATS JetStream | `nats` | `sink::nats::JetStream` |
//! | Amazon SQS | `sqs` | `sink::sqs::Sqs` |
//! | one of your own | | a type with [`Sink`], [`SinkQueue`] and [`SinkHold`] |
//!
//! Rules:
//! 1. A delivery is passed on only after its signature was verified, and without the headers that contain a signature.
//! 2. A success is sent only after the queue has acknowledged the message. A message that is too large for the queue is
//!    answered with 413, and with 503 if the queue does not answer.
//! 3. An event is handled at least once. It may be handled twice, because these queues remember ids for a limited time,
//!    and because a worker can end a message that the queue has meanwhile given to another worker. An
//!    [`IdempotencyLayer`](crate::idempotency::IdempotencyLayer) around the handler prevents this, and gives it
//!    [`Claim::commit`](crate::Claim::commit).
//! 4. Verification happens before the queue. **Anyone who can write into the queue can create events that a handler
//!    sees as verified**, unless messages are sealed with [a key](HandOff::with_sealing_key) and the worker [has
//!    it](SinkWorker::with_sealing_key). Anyone who can read and write the queue can still repeat a sealed message.
//! 5. The worker limits the attempts of an event, and after the last failure it becomes a dead letter of the queue.
//!    Turn off the queue's own limit of deliveries.
//!
//! This module does not list or replay the messages of a queue, for which the queue has its own tools, and does not
//! keep the order of events.
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use axum::{Router, body::Body, http::{Request, StatusCode}};
//! use tokio::sync::{Mutex, mpsc};
//! use tower::ServiceExt;
//! use tower_webhooks::{
//!     BoxFuture, EventRouter, Secret, VerifiedEvent, WebhookLayer, error::StoreError, inbox::Ending,
//!     sink::{HandOff, PassedOn, ReceivedMessage, Sink, SinkHold, SinkMessage, SinkQueue, SinkWorker},
//! };
//!
//! /// A queue in memory. A real one keeps the bytes durably before it answers.
//! #[derive(Clone)]
//! struct Channel(mpsc::UnboundedSender<Vec<u8>>, Arc<Mutex<mpsc::UnboundedReceiver<Vec<u8>>>>);
//!
//! impl Sink for Channel {
//!     fn pass_on(&self, message: SinkMessage) -> BoxFuture<'_, Result<PassedOn, StoreError>> {
//!         Box::pin(async move {
//!             let sent = self.0.send(message.to_bytes());
//!             Ok(if sent.is_ok() { PassedOn::Stored } else { PassedOn::Full })
//!         })
//!     }
//! }
//!
//! impl SinkQueue for Channel {
//!     fn receive(&self, _limit: u32, _lease: Duration, wait: Duration) -> BoxFuture<'_, Result<Vec<ReceivedMessage>, StoreError>> {
//!         Box::pin(async move {
//!             let mut received = self.1.lock().await;
//!             let bytes = tokio::time::timeout(wait, received.recv()).await.ok().flatten();
//!             Ok(bytes.map(|bytes| ReceivedMessage::from_bytes("a message", &bytes, Box::new(Held))).into_iter().collect())
//!         })
//!     }
//! }
//!
//! struct Held;
//!
//! impl SinkHold for Held {
//!     fn renew(&self, _lease: Duration) -> BoxFuture<'_, Result<(), StoreError>> {
//!         Box::pin(async { Ok(()) })
//!     }
//!     fn finish(&self, _ending: Ending) -> BoxFuture<'_, Result<(), StoreError>> {
//!         Box::pin(async { Ok(()) }) // A real one acknowledges, delays or buries the message.
//!     }
//! }
//!
//! # #[cfg(feature = "axum")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (sender, receiver) = mpsc::unbounded_channel();
//! let queue = Channel(sender, Arc::new(Mutex::new(receiver)));
//! let layer = WebhookLayer::github(Secret::new("It's a Secret to Everybody")?);
//! let app: Router = Router::new().route_service("/hook", HandOff::new(queue.clone()).behind(layer));
//!
//! let (done, mut worked) = mpsc::channel(1);
//! let events = EventRouter::new().on("push", move |event: VerifiedEvent<serde_json::Value>| {
//!     let done = done.clone();
//!     async move { _ = done.send(event["after"].to_string()).await }
//! });
//! tokio::spawn(SinkWorker::new(queue, events).run(std::future::pending()));
//!
//! let delivery = |signature: &str| Request::post("/hook")
//!     .header("x-github-event", "push").header("x-github-delivery", "1").header("x-hub-signature-256", format!("sha256={signature}"))
//!     .body(Body::from(r#"{"after":7}"#));
//! // A forged one is not passed on.
//! assert_eq!(app.clone().oneshot(delivery("00")?).await?.status(), StatusCode::UNAUTHORIZED);
//! let right = "3dcf32133c983103a9fe4694286a1aca934a13597fe173e263d1fe0e7c6a5f7f";
//! assert_eq!(app.oneshot(delivery(right)?).await?.status(), StatusCode::ACCEPTED);
//! assert_eq!(worked.recv().await.as_deref(), Some("7"));
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "axum"))]
//! # fn main() {}
//! ```

mod hand_off;
mod hold;
mod message;
#[cfg(feature = "nats")]
pub mod nats;
mod open;
mod queue;
mod received;
mod service;
#[allow(clippy::module_inception)] // `Sink` has a file of its own, as every public type.
mod sink;
#[cfg(feature = "sqs")]
pub mod sqs;
mod worker;

pub use self::{
    hand_off::HandOff,
    hold::SinkHold,
    message::SinkMessage,
    queue::SinkQueue,
    received::ReceivedMessage,
    sink::{PassedOn, Sink},
    worker::SinkWorker,
};
