//! What an application that receives sees: providers, typed events, routing, forms, hints, spans and metrics.

#![allow(clippy::unwrap_used)] // The helpers of tests are tests.

mod batches;
mod event_enums;
mod event_router;
#[cfg(feature = "idempotency")]
mod forms;
mod handshakes;
#[cfg(all(feature = "asymmetric", feature = "message-signatures", feature = "testing"))]
mod message_signatures;
#[cfg(feature = "testing")]
mod hints;
#[cfg(all(feature = "metrics", feature = "testing"))]
mod observability;
mod properties;
mod providers;
mod providers_in_bodies;
#[cfg(feature = "testing")]
mod testing;
#[cfg(feature = "testing")]
mod typed_payloads;

#[path = "../support/mod.rs"]
mod support;
