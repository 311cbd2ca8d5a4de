#![doc = include_str!("../README.md")]
// The leaves serve extractors, claims and test requests alike. Where a build leaves some of these out, a part of the leaves has
// no caller; the build with all of them is held to having none.
#![cfg_attr(not(all(feature = "axum", feature = "idempotency", feature = "testing")), allow(dead_code))]

// In reading order: first what everyone may import, then each layer on the one before it.

pub mod secret;
pub mod clock;
pub mod delivery;
pub mod error;
#[cfg(feature = "idempotency")]
pub mod claim;
pub mod outcome;
pub mod transaction;
pub mod boxed;
#[cfg(any(feature = "idempotency", feature = "send"))]
mod fencing;
mod head;
mod field;
mod json;
mod form;
mod pattern;
mod host;
mod observe;

mod signature;
pub mod scheme;
pub mod verify;
#[cfg(feature = "axum")]
pub mod extract;
#[cfg(feature = "axum")]
pub mod route;
#[cfg(feature = "idempotency")]
pub mod idempotency;
#[cfg(feature = "send")]
mod queue;
#[cfg(feature = "send")]
pub mod send;
pub mod store;
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "testing")]
pub mod testing;

#[cfg(feature = "idempotency")]
pub use self::claim::Claim;
#[cfg(feature = "axum")]
pub use self::extract::{EventRejection, RawEvent, VerifiedBody, VerifiedEnvelope, VerifiedEvent};
#[cfg(feature = "axum")]
pub use self::route::EventRouter;
pub use self::{
    boxed::{BoxError, BoxFuture},
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
#[cfg_attr(feature = "testing", doc = include_str!("../docs/local-development.md"))]
#[doc = include_str!("../docs/observability.md")]
#[doc = include_str!("../docs/operating.md")]
#[doc = include_str!("../docs/schemes.md")]
struct Guides;

#[cfg(all(doctest, feature = "send"))]
#[doc = include_str!("../docs/sending.md")]
struct SendingGuide;

#[cfg(all(doctest, feature = "send", feature = "sqlite"))]
#[doc = include_str!("../docs/outbox.md")]
struct OutboxGuide;

/// The guides, so that what they show compiles and runs.
#[cfg(all(doctest, feature = "axum", feature = "conformance", feature = "sqlite"))]
#[doc = include_str!("../docs/idempotency.md")]
struct IdempotencyGuide;
