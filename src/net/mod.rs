//! The network as this crate uses it: where a connection may go, and how it gets there.
//!
//! Rules:
//! 1. A URL, and every address that its name has, is checked against a [`DestinationPolicy`](destination::DestinationPolicy) before anything is dialled.
//! 2. A name is looked up once. What is dialled is an address that was checked.
//! 3. No more is read from a connection than its [`Budget`](stream::Budget).
//!
//! It knows nothing of webhooks: no deliveries, no signatures, no retries.

pub(crate) mod connect;
pub(crate) mod connection;
mod dial;
pub(crate) mod destination;
pub(crate) mod error;
pub(crate) mod identity;
pub(crate) mod idle;
pub(crate) mod proxy;
pub(crate) mod resolver;
pub(crate) mod stage;
pub(crate) mod stream;
pub(crate) mod tls;
pub(crate) mod tunnel;
