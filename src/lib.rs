#![doc = include_str!("../README.md")]

pub mod boxed;
pub mod claim;
pub mod clock;
pub mod delivery;
pub mod error;
mod field;
mod head;
mod host;
mod json;
mod observe;
pub mod outcome;
mod pattern;
pub mod secret;
pub mod transaction;

#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "axum")]
pub mod extract;
#[cfg(feature = "idempotency")]
pub mod idempotency;
#[cfg(feature = "send")]
mod queue;
#[cfg(feature = "axum")]
pub mod route;
pub mod scheme;
#[cfg(feature = "send")]
pub mod send;
mod signature;
pub mod store;
pub mod verify;

#[cfg(feature = "axum")]
pub use self::extract::{EventRejection, RawEvent, VerifiedBody, VerifiedEnvelope, VerifiedEvent};
#[cfg(feature = "axum")]
pub use self::route::EventRouter;
pub use self::{
    boxed::{BoxError, BoxFuture},
    claim::Claim,
    delivery::{Delivery, DeliveryId, EventType},
    error::{ConfigError, VerifyError},
    head::{Head, RequestHead},
    outcome::{Discard, Retry},
    scheme::{Provider, Scheme},
    secret::{Secret, SecretSource, Secrets},
    verify::WebhookLayer,
};

/// The guides' code is compiled and run with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/operating.md")]
#[doc = include_str!("../docs/schemes.md")]
struct Guides;
