//! The outbox: endpoints, the messages that are dispatched to them, and the worker that delivers.

#[cfg(feature = "api")]
mod answers;
pub(crate) mod builder;
pub(crate) mod dispatcher;
pub(crate) mod endpoint;
pub(crate) mod endpoints;
pub(crate) mod event_types;
mod history;
pub(crate) mod hooks;
pub mod policy;
mod purge;
pub(crate) mod quotas;
mod shared;
pub(crate) mod stats;
pub(crate) mod store;
pub(crate) mod tenant;
pub(crate) mod worker;
