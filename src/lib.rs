// If a link has two definitions, the first one applies: here the guides are modules, in the repository they are files.
#![doc = include_str!("links.md")]
#![doc = include_str!("../README.md")]
// The basic modules serve extractors, claims and test requests. In a build without some of these features, some
// functions have no caller; only the build with all of them is checked for dead code.
#![cfg_attr(
    not(all(
        feature = "idempotency",
        feature = "message-signatures",
        feature = "send",
        feature = "testing",
        feature = "axum"
    )),
    allow(dead_code)
)]

// In reading order: first the modules that every other module may import, then each layer after the ones that it uses.

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
mod answers;
mod drain;
mod mutex;
mod panics;
mod observe;
#[cfg(feature = "send")]
pub mod redaction;

mod signature;
#[cfg(any(feature = "inbox", feature = "send"))]
mod sealing;
pub mod scheme;
#[cfg(any(feature = "remote-keys", feature = "send"))]
mod net;
#[cfg(feature = "remote-keys")]
pub mod keys;
pub mod verify;
#[cfg(feature = "axum")]
pub mod extract;
#[cfg(feature = "axum")]
pub mod route;
#[cfg(feature = "idempotency")]
pub mod idempotency;
#[cfg(any(feature = "inbox", feature = "send"))]
mod queue;
#[cfg(feature = "inbox")]
pub mod inbox;
#[cfg(feature = "inbox")]
pub mod sink;
#[cfg(feature = "send")]
pub mod send;
#[cfg(feature = "api")]
pub mod api;
#[cfg(feature = "dashboard")]
pub mod dashboard;
pub mod store;
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "testing")]
pub mod testing;

#[cfg(feature = "idempotency")]
#[doc(inline)]
pub use self::claim::Claim;
#[cfg(feature = "axum")]
#[doc(inline)]
pub use self::extract::{EventRejection, RawEvent, VerifiedBody, VerifiedEnvelope, VerifiedEvent};
#[cfg(feature = "inbox")]
#[doc(inline)]
pub use self::inbox::Inbox;
#[cfg(feature = "axum")]
#[doc(inline)]
pub use self::route::EventRouter;
#[doc(inline)]
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

/// The guides are pages of the documentation. Their code is compiled and run with the documentation tests, if the
/// features that a guide uses are enabled: those in brackets.
macro_rules! guides {
    ($($(#[$summary:meta])* $name:ident = $file:literal, [$($tested:tt)*];)*) => {
        /// The guides. These modules only exist in the documentation.
        #[cfg(doc)]
        pub mod guides {
            $(
                $(#[$summary])*
                ///
                #[doc = include_str!("links.md")]
                #[cfg_attr(any(not(doctest), $($tested)*), doc = include_str!($file))]
                pub mod $name {}
            )*
        }
    };
}

guides! {
    /// The management API: routes, roles, errors, and what a browser may do.
    api = "../docs/api.md", [all(feature = "api", feature = "sqlite")];
    /// The dashboard: pages, roles, protection, and monitoring beside it.
    dashboard = "../docs/dashboard.md", [all(feature = "dashboard", feature = "sqlite")];
    /// Each default number, with its reason.
    defaults = "../docs/defaults.md", [all()];
    /// How a duplicate is handled, and what happens at each crash point.
    idempotency = "../docs/idempotency.md", [all(feature = "axum", feature = "conformance", feature = "sqlite")];
    /// How to answer a delivery at once and handle it later.
    inbox = "../docs/inbox.md", [all(feature = "axum", feature = "inbox", feature = "sqlite")];
    /// How to receive webhooks on your own machine.
    local_development = "../docs/local-development.md", [all(feature = "axum", feature = "testing")];
    /// Log events, spans, counters, hints and alerts.
    observability = "../docs/observability.md", [all(feature = "axum")];
    /// What to know before a webhook route is reachable from the internet.
    operating = "../docs/operating.md", [all(feature = "axum")];
    /// Endpoints, messages, workers and states of an application that sends webhooks.
    outbox = "../docs/outbox.md", [all(feature = "send", feature = "sqlite")];
    /// What receiving and sending cost, and how that was measured.
    performance = "../docs/performance.md", [all()];
    /// How each reverse proxy changes a webhook, and the configuration that it needs.
    proxies = "../docs/proxies.md", [all(feature = "axum")];
    /// The senders that are built in, and what their signatures cover.
    providers = "../docs/providers.md", [all()];
    /// How to declare a sender of your own.
    schemes = "../docs/schemes.md", [all()];
    /// The promises, the threat model, and how to report a fault.
    security = "../SECURITY.md", [all()];
    /// Receivers that run as functions.
    serverless = "../docs/serverless.md", [all(feature = "axum")];
    /// What is signed, where deliveries may go, and when they are retried.
    sending = "../docs/sending.md", [all(feature = "send")];
    /// Types for payloads: your own, and those of libraries for GitHub and Stripe. `examples/typed_payloads` runs its
    /// code.
    typed_payloads = "../docs/typed-payloads.md", [any()];
}
