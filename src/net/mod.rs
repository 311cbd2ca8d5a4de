//! Outgoing connections of this crate: their allowed destinations, and how they are established.
//!
//! Rules:
//! 1. A URL and every address of its name are checked against a [`DestinationPolicy`](destination::DestinationPolicy) before anything
//!    is dialled.
//! 2. A name is looked up once, and only an address that was checked is dialled.
//! 3. At most a [`Budget`](stream::Budget) of bytes is read from a connection.
//!
//! Deliveries, signatures and retries are not part of it.

pub(crate) mod connect;
pub(crate) mod connection;
mod dial;
pub(crate) mod destination;
pub(crate) mod error;
#[cfg_attr(not(feature = "send"), allow(dead_code, unreachable_pub))] // For receivers alone.
pub(crate) mod identity;
#[cfg_attr(not(feature = "send"), allow(dead_code))] // For receivers alone.
pub(crate) mod idle;
pub(crate) mod proxy;
pub(crate) mod resolver;
pub(crate) mod stage;
pub(crate) mod stream;
pub(crate) mod tls;
pub(crate) mod tunnel;
