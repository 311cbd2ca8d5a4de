use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::{endpoint::EndpointRecord, ids::OutboxId, limits::DISABLE_AFTER};
use crate::{queue::LeaseToken, send::message::message::Message};

/// What a worker asks for.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LeaseRequest {
    /// Who asks: new for every call.
    pub token: LeaseToken,
    /// For how long.
    pub lease: Duration,
    /// How many deliveries at most.
    pub limit: u32,
    /// How many of them may be of endpoints that are not proven.
    pub unproven: u32,
    /// What the worker has in its hands for each tenant. Where it is told, no tenant with a name gets more than what is then left of the
    /// places, or one where it has none.
    pub held: Option<Arc<[Held]>>,
}

/// What a worker has in its hands for a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Held {
    /// Whose.
    pub tenant: Arc<str>,
    /// How many deliveries.
    pub deliveries: u32,
    /// How many of them are of endpoints that are not proven, or slow at this moment.
    pub unproven: u32,
}

impl Held {
    /// Puts it together.
    pub fn new(tenant: impl Into<Arc<str>>, deliveries: u32, unproven: u32) -> Self {
        Self { tenant: tenant.into(), deliveries, unproven }
    }
}

impl LeaseRequest {
    /// Asks for up to `limit` deliveries of any endpoints.
    pub fn new(token: LeaseToken, lease: Duration, limit: u32) -> Self {
        Self { token, lease, limit, unproven: limit, held: None }
    }
}

/// What a worker got.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Leases {
    /// The deliveries, leased to the caller.
    pub deliveries: Vec<LeasedDelivery>,
    /// How long until something else is due, where the store knows.
    pub next_due: Option<Duration>,
}

impl Leases {
    /// Puts an answer together.
    pub fn new(deliveries: Vec<LeasedDelivery>, next_due: Option<Duration>) -> Self {
        Self { deliveries, next_due }
    }
}

/// A delivery that is leased to a worker.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LeasedDelivery {
    /// Which.
    pub id: OutboxId,
    /// Which attempt this is, from 1. The numbers go on when the delivery is sent again.
    pub attempt: u32,
    /// Which attempt this is since the delivery was made or resent, from 1: what a retry policy counts.
    pub round_attempt: u32,
    /// Whether it is the attempt that somebody asked for by resending or recovering the delivery.
    pub manual: bool,
    /// The message, with the timestamp that it has at every attempt.
    pub message: Message,
    /// Where it goes.
    pub endpoint: Arc<EndpointRecord>,
    /// How long ago the delivery was made.
    pub age: Duration,
}

impl LeasedDelivery {
    /// Puts a leased delivery together.
    pub fn new(id: OutboxId, attempt: u32, message: Message, endpoint: Arc<EndpointRecord>, age: Duration) -> Self {
        Self { id, attempt, round_attempt: attempt, manual: false, message, endpoint, age }
    }
}

/// How an attempt ended, and what is to become of its delivery.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Finish {
    /// What is to become of the delivery.
    pub after: After,
    /// What the endpoint answered, if it did.
    pub status: Option<u16>,
    /// The class of the failure, of a fixed small vocabulary.
    pub error: Option<&'static str>,
    /// How long the attempt took.
    pub duration: Duration,
    /// The start of what the endpoint answered.
    pub answer: Bytes,
    /// How long an endpoint may fail without a success until it is disabled.
    pub disable_after: Duration,
    /// Whose fault it is that it was not delivered.
    pub fault: Fault,
    /// What is dispatched if this disables the endpoint.
    pub notice: Option<Message>,
    /// How long the endpoint wants not to be asked, for all that is sent to it.
    pub retry_after: Option<Duration>,
}

impl Finish {
    /// Starts with what is to become of the delivery.
    pub fn new(after: After) -> Self {
        Self {
            after,
            status: None,
            error: None,
            duration: Duration::ZERO,
            answer: Bytes::new(),
            disable_after: DISABLE_AFTER,
            fault: Fault::Endpoint,
            notice: None,
            retry_after: None,
        }
    }
}

/// Whose fault it is that an attempt failed.
///
/// Complete: a store must know what to do with each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum Fault {
    /// The endpoint's: it counts against it.
    Endpoint,
    /// Ours: the payload could not be converted to the endpoint's version, our own proxy let nothing out, or this machine had no file,
    /// port or network left for a connection.
    Sender,
}

/// What is to become of a delivery after an attempt.
///
/// Complete: a store must know what to do with each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum After {
    /// It was delivered.
    Delivered,
    /// It failed, and was the last attempt.
    Exhausted,
    /// The endpoint is gone: it is disabled, and the delivery held.
    Gone,
    /// The endpoint does not want it.
    Refused,
    /// It failed, and is tried again after a wait.
    Retry {
        /// The wait.
        wait: Duration,
    },
    /// Nothing was sent, for a reason of our own that holds for the whole endpoint; it is leased again after a wait.
    Unsent {
        /// The wait.
        wait: Duration,
    },
}
