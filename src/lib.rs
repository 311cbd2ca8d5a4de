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
pub mod secret;
pub mod transaction;

#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "axum")]
pub mod extract;
#[cfg(feature = "idempotency")]
pub mod idempotency;
pub mod scheme;
mod signature;
pub mod store;
pub mod verify;

#[cfg(feature = "axum")]
pub use self::extract::{EventRejection, VerifiedBody, VerifiedEnvelope, VerifiedEvent};
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

/// The guides, so that what they show compiles and runs.
#[cfg(all(doctest, feature = "axum", feature = "conformance", feature = "sqlite"))]
#[doc = include_str!("../docs/idempotency.md")]
struct IdempotencyGuide;
