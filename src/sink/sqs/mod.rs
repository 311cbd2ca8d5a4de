//! Amazon SQS: a queue for events, standard or FIFO, and a queue for dead letters.
//!
//! | what | how |
//! |---|---|
//! | the 2xx leaves | after the answer to `SendMessage` |
//! | what comes again | has the same deduplication id in a FIFO queue, a hash over consumer, provider, tenant and id, which SQS compares for five minutes. A standard queue takes it again |
//! | order | in a FIFO queue by `HandOff::with_order_key`: the key is the message group. Without one each event is a group of its own |
//! | a handler runs | the visibility timeout is the lease, and is renewed |
//! | done, discarded | `DeleteMessage` |
//! | worked again later | `ChangeMessageVisibility`, within the 12 hours that SQS allows from the receipt on |
//! | dead | sent to the queue of dead letters, then deleted |
//!
//! Rules:
//! 1. Ids, attributes and characters are checked here, and not left to the service: a body with characters that SQS does not take is sent as base64.
//! 2. A message that is too large with its attributes is 413. The limit is read [when the queue is opened](Sqs::open).
//! 3. SQS remembers ids for five minutes, or not at all. A record of what was passed on closes this: `layer.with_idempotency(store)`.
//! 4. Attempts are counted by `ApproximateReceiveCount`, and compared by the worker. A redrive policy of the queue should allow more receipts
//!    than the worker makes attempts, or have no say: what it moves has no reason.
//! 5. SQS deletes messages after the queue's retention period, worked or not: 4 days by default, 14 at most.
//!
//! The application makes the client, and with it chooses region, credentials, HTTP and TLS, as `aws-config` does:
//!
//! ```no_run
//! use axum::Router;
//! use tower_webhooks::{EventRouter, Secret, WebhookLayer, sink::{HandOff, SinkWorker, sqs::Sqs}};
//!
//! # async fn run(client: aws_sdk_sqs::Client, events: EventRouter, shutdown: impl Future<Output = ()> + Send + 'static) -> Result<(), Box<dyn std::error::Error>> {
//! // let client = aws_sdk_sqs::Client::new(&aws_config::load_from_env().await);
//! let queue = Sqs::open(
//!     client,
//!     "https://sqs.eu-central-1.amazonaws.com/123456789012/webhooks.fifo",
//!     "https://sqs.eu-central-1.amazonaws.com/123456789012/webhooks-dead.fifo",
//! ).await?;
//! let layer = WebhookLayer::stripe(Secret::from_env("STRIPE_WEBHOOK_SECRET")?);
//! let hand_off = HandOff::new(queue.clone()).with_order_key("/data/object/customer");
//! let app: Router = Router::new().route_service("/webhooks/stripe", hand_off.behind(layer));
//!
//! // In this process or in others:
//! let worker = tokio::spawn(SinkWorker::new(queue, events).run(shutdown));
//! # let _ = (app, worker);
//! # Ok(())
//! # }
//! ```

mod queue;
mod receive;
mod send;
mod text;

pub use self::queue::Sqs;
