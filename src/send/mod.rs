//! Sending webhooks: signed, checked against a policy, and retried.
//!
//! Rules:
//! 1. A [`Message`] has an id that stays the same at every attempt. Every attempt is signed again, with its own time.
//! 2. Whoever registers an endpoint chooses where the application connects to. So an [`EndpointUrl`] is checked when it is parsed,
//!    and every address of its name is checked when it is dialled. The [`DestinationPolicy`] allows only the public internet by
//!    default.
//! 3. An attempt ends by its deadline, whatever the receiver does, and reads at most 64 KiB of the answer.
//! 4. A 2xx means delivered. A [`RetryPolicy`], which is a pure function, decides whether and when anything else is tried again.
//! 5. Logs and `Debug` never contain secrets, payloads or custom headers.
//!
//! There are two ways to send. [`deliver`] needs no database, and runs only while its caller waits. A [`Dispatcher`]
//! keeps endpoints, messages and attempts in an outbox, from which [`SendWorker`]s deliver:
//!
//! 6. A dispatched message is delivered at least once to each endpoint that wanted it, or is in the log as given up.
//! 7. Endpoints do not delay each other: each has its share of the attempts in flight, over all workers.
//! 8. The secrets of endpoints are sealed with the application's key. A secret is shown only once.
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
//! // A URL that leads to this machine is rejected.
//! assert!("https://[::ffff:7f00:1]/hook".parse::<tower_webhooks::send::EndpointUrl>().is_err());
//! # Ok(()) }
//! ```

mod attempt;
mod client;
mod deliver;
mod error;
mod message;
mod outbox;
mod retry;
mod signing;

pub use self::{
    attempt::{
        AttemptError, AttemptErrorKind, AttemptRequest, AttemptResult, EndpointResponse, Outcome, ResponseEnd,
        Transport,
    },
    client::{builder::GuardedClientBuilder, guarded::GuardedClient},
    deliver::{DeliverError, DeliverErrorKind, Delivered, Target, deliver},
    error::{SendError, SendErrorKind},
    message::{
        api_versions::ApiVersions,
        event_type::EventTypeDefinition,
        message::{Message, MessageError, MessageErrorKind, MessageId},
        style::Style,
    },
    outbox::{
        builder::DispatcherBuilder,
        dispatcher::{Dispatcher, Receipt},
        endpoint::{Endpoint, EndpointUpdate, NewEndpoint, NewSecret},
        endpoints::{Endpoints, secrets::Resealed},
        event_types::EventTypes,
        hooks::{Attempted, Disabled},
        policy,
        quotas::Quotas,
        stats::{Counts, Hour, Stats},
        store::{
            OutboxStore,
            delivery::{AttemptRecord, DeliveryQuery, DeliveryRecord, DeliveryState, Recover, Recovered, Retention},
            endpoint::{DisabledReason, EndpointDraft, EndpointRecord, EndpointSettings, Sealed},
            history::{BacklogSample, SampleStep},
            ids::{EndpointId, IdError, SentDeliveryId},
            lease::{After, Fault, Finish, Held, LeaseRequest, LeasedDelivery, Leases},
            limits::{
                CATCH_UP, DISABLE_AFTER, FAILURES_TO_DISABLE, FAILURES_TO_REST, IN_FLIGHT, LONGEST_ASKED_REST,
                LONGEST_LEASE, PROVEN_WITHIN, SLOW_FOR, rest_after,
            },
            message::{Dispatched, MessagePlace, MessageQuery, MessageRecord},
            parts::{catalogue::OutboxCatalogue, endpoints::OutboxEndpoints, log::OutboxLog, queue::OutboxQueue},
            rate_limit::{RateLimit, RateLimitError},
            stats::{AttemptEnd, BACKLOG_COUNTED, Backlog, LATENCY_BUCKETS, Scope, StatsCell, latency_bucket},
        },
        tenant::{Tenant, TenantEndpoints},
        worker::SendWorker,
    },
    retry::{NextStep, RetryPolicy},
    signing::{
        credentials::ClientCredentials,
        custom_headers::{CustomHeaders, HeaderError, HeaderErrorKind},
        signer::Signer,
    },
};
pub use crate::{
    net::{
        destination::{DestinationPolicy, EndpointUrl, EndpointUrlError, EndpointUrlErrorKind, Network, NetworkError},
        identity::ClientIdentity,
        proxy::EgressProxy,
        resolver::{Resolver, SystemResolver},
    },
    queue::{Fenced, LeaseToken},
    sealing::SealingKey,
};
