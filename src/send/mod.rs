//! Sending webhooks: signed, guarded, retried.
//!
//! Rules:
//! 1. A [`Message`] has an id that stays the same at every attempt. Every attempt is signed anew, with the time of its own.
//! 2. Whoever registers an endpoint chooses where we connect to. So an [`EndpointUrl`] is checked when it is parsed, and
//!    every address that its name has is checked when it is dialled, against a [`DestinationPolicy`] that by default lets
//!    through the public internet alone.
//! 3. An attempt ends by its deadline, whatever the receiver does, and takes no more than 64 KiB of its answer.
//! 4. A 2xx is delivered. What else is tried again, and when, a [`RetryPolicy`] decides, as a pure function.
//! 5. Secrets, payloads and custom headers are in no log and in no `Debug`.
//!
//! There are two ways to send. [`deliver`] needs no database and lives as long as its caller waits. A [`Dispatcher`] keeps
//! endpoints, messages and attempts in an outbox, and [`SendWorker`]s deliver what is due:
//!
//! 6. What was dispatched is delivered at least once to each endpoint that wanted it, or stands in the log as given up.
//! 7. No endpoint is in another's way: each has its share of what is in flight, over all workers.
//! 8. The secrets of endpoints are sealed with a key of the application's, and shown once.
//!
//! ```no_run
//! use serde_json::json;
//! use tower_webhooks::{Secret, send::{GuardedClient, Message, Signer, Target, deliver}};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let client = GuardedClient::new()?;
//! let signer = Signer::standard_webhooks(Secret::from_env("CUSTOMERS_WEBHOOK_SECRET")?)?;
//! let customer = Target::new("https://customer.example/hook".parse()?, signer);
//!
//! deliver(&client, &customer, &Message::new("order.completed", &json!({ "order": 7 }))?).await?;
//!
//! // A customer who asks us to call ourselves is refused.
//! assert!("https://[::ffff:7f00:1]/hook".parse::<tower_webhooks::send::EndpointUrl>().is_err());
//! # Ok(()) }
//! ```

mod api_versions;
mod attempt;
mod builder;
mod client;
mod content;
mod custom_headers;
mod deliver;
mod destination;
mod dispatcher;
mod echoes;
mod endpoint;
mod endpoints;
mod error;
mod event_type;
mod event_types;
mod hooks;
mod message;
mod message_record;
pub mod policy;
mod profile;
mod purge;
mod quotas;
mod rate_limit;
mod resolver;
mod retry;
mod seal;
mod signer;
mod store;
mod tenant;
mod worker;

pub use self::{
    api_versions::ApiVersions,
    attempt::{Answer, AnswerEnd, AttemptError, AttemptErrorKind, AttemptRequest, AttemptResult, Outcome, Transport},
    builder::DispatcherBuilder,
    client::{EgressProxy, GuardedClient, GuardedClientBuilder},
    custom_headers::{CustomHeaders, HeaderError, HeaderErrorKind},
    deliver::{DeliverError, DeliverErrorKind, Delivered, Target, deliver},
    destination::{DestinationPolicy, EndpointUrl, EndpointUrlError, EndpointUrlErrorKind, Network, NetworkError},
    dispatcher::{Dispatcher, Receipt},
    endpoint::{Endpoint, EndpointUpdate, NewEndpoint, NewSecret},
    endpoints::{Endpoints, Resealed},
    error::{SendError, SendErrorKind},
    event_type::EventType,
    event_types::EventTypes,
    hooks::{Attempted, Disabled},
    message::{Message, MessageError, MessageErrorKind, MessageId},
    message_record::{MessagePlace, MessageQuery, MessageRecord},
    quotas::Quotas,
    rate_limit::{RateLimit, RateLimitError},
    resolver::{Resolver, SystemResolver},
    retry::{NextStep, RetryPolicy},
    seal::SealingKey,
    signer::{Signer, Style},
    store::{
        After, AttemptRecord, CATCH_UP, DISABLE_AFTER, DeliveryQuery, DeliveryRecord, DeliveryState, DisabledReason,
        Dispatched, EndpointDraft, EndpointId, EndpointRecord, EndpointSettings, FAILURES_TO_DISABLE, FAILURES_TO_REST,
        Fault, Finish, Held, IN_FLIGHT, IdError, LONGEST_ASKED_REST, LONGEST_LEASE, LeaseRequest, LeasedDelivery,
        Leases, OutboxId, OutboxStore, PROVEN_WITHIN, Recover, Recovered, Retention, SLOW_FOR, Sealed, rest_after,
    },
    tenant::{Tenant, TenantEndpoints},
    worker::SendWorker,
};
pub use crate::queue::{Fenced, LeaseToken};

/// The type of the message that tells a tenant's other endpoints that one was disabled.
const ENDPOINT_DISABLED: &str = "endpoint.disabled";

/// The type of the message that tells an endpoint nothing but that it is reached.
const ENDPOINT_PING: &str = "endpoint.ping";
