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
//! 1. A stream that can lose messages, or their acknowledgements, is refused [when it is opened](JetStreamOptions::connect): one that drops the oldest or
//!    replaces, one in memory, one that is bounded by `max_bytes` on disk, one that does not acknowledge.
//! 2. The server remembers ids for the duplicate window only, and on a work queue those that were worked are forgotten at its restart. A
//!    record of what was passed on closes this: `layer.with_idempotency(store)`.
//! 3. A publish that does not answer in time may be stored later. It is answered with 503, and what the sender repeats has the same id.
//! 4. The server writes to its disk, and flushes (`fsync`) every two minutes unless it is told to (`sync_interval: always`). A kill of
//!    the server loses nothing; a power cut of a single server can.
//! 5. The payload is the body as it was signed, unless messages are sealed, so that consumers in other languages can read it. `Webhook-Head` has
//!    the facts of the head, as JSON.
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
