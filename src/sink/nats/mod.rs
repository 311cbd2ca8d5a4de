//! NATS JetStream: a stream for events, a durable consumer for workers, and a stream for dead letters.
//!
//! | what | how |
//! |---|---|
//! | the 2xx leaves | after the server's acknowledgement of the publish |
//! | what comes again | has the same `Nats-Msg-Id`, a hash over consumer, provider, tenant and id, which the server compares within the stream's duplicate window |
//! | a handler runs | the message is held by acknowledgements of progress (`+WPI`) |
//! | done, discarded | `+ACK`, `+TERM`, each confirmed by the server |
//! | worked again later | `-NAK` with the delay |
//! | dead | published to the stream of dead letters and acknowledged there, then `+TERM` |
//!
//! Rules:
//! 1. A stream that can lose messages, or their acknowledgements, is refused [when it is
//!    opened](JetStreamOptions::connect): one that drops the oldest message or replaces messages, one in memory, one
//!    that is bounded by `max_bytes` on disk, or one without acknowledgements.
//! 2. The server remembers ids only for the duplicate window, and a work queue forgets those of handled messages when
//!    the server restarts. `layer.with_idempotency(store)` also detects later duplicates.
//! 3. A message whose publication is not acknowledged in time may be stored anyway. The sender gets 503, and its retry
//!    has the same id.
//! 4. The server writes to its disk, and flushes (`fsync`) every two minutes unless it is told to
//!    (`sync_interval: always`). A killed server loses no message; a single server that loses power may.
//! 5. Unless messages are sealed, the payload is the signed body, so consumers in other languages can read it.
//!    `Webhook-Head` has the facts of the head, as JSON.
//!
//! ```no_run
//! use axum::Router;
//! use tower_webhooks::{EventRouter, Secret, WebhookLayer, sink::{HandOff, SinkWorker, nats::JetStream}};
//!
//! # async fn run(events: EventRouter, shutdown: impl Future<Output = ()> + Send + 'static) -> Result<(), Box<dyn std::error::Error>> {
//! let queue = JetStream::options().create().connect("nats://nats.internal.example:4222").await?;
//! let layer = WebhookLayer::stripe(Secret::from_env("STRIPE_WEBHOOK_SECRET")?);
//! let app: Router = Router::new().route_service("/webhooks/stripe", HandOff::new(queue.clone()).behind(layer));
//!
//! // In this process or in others:
//! let worker = tokio::spawn(SinkWorker::new(queue, events).run(shutdown));
//! # let _ = (app, worker);
//! # Ok(())
//! # }
//! ```

mod consume;
mod error;
mod jet_stream;
mod options;
mod publish;
mod streams;

pub use self::{jet_stream::JetStream, options::JetStreamOptions};
