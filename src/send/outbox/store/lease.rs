use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::{endpoint::EndpointRecord, ids::SentDeliveryId, limits::DISABLE_AFTER};
use crate::{queue::LeaseToken, send::message::message::Message};

/// A worker's request for deliveries.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LeaseRequest {
    /// The token that the deliveries are leased to. It is new for every call.
    pub token: LeaseToken,
    /// How long the lease is.
    pub lease: Duration,
    /// The maximum number of deliveries.
    pub limit: u32,
    /// The maximum number of deliveries of endpoints that are not proven.
    pub unproven: u32,
    /// What the worker holds for each tenant. If it is set, a tenant with a name gets at most as many deliveries as the
    /// worker has free places afterwards, or one if it holds none.
    pub held: Option<Arc<[Held]>>,
}

/// What a worker holds for a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Held {
    /// The tenant.
    pub tenant: Arc<str>,
    /// The number of deliveries.
    pub deliveries: u32,
    /// The number of deliveries of endpoints that are not proven, or slow at this moment.
    pub unproven: u32,
}

impl Held {
    /// Creates the value from its parts.
    pub fn new(tenant: impl Into<Arc<str>>, deliveries: u32, unproven: u32) -> Self {
        Self { tenant: tenant.into(), deliveries, unproven }
    }
}

impl LeaseRequest {
    /// Creates a request for up to `limit` deliveries of any endpoints.
    pub fn new(token: LeaseToken, lease: Duration, limit: u32) -> Self {
        Self { token, lease, limit, unproven: limit, held: None }
    }
}

/// The result of a lease.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Leases {
    /// The deliveries, leased to the caller.
    pub deliveries: Vec<LeasedDelivery>,
    /// How long it takes until something else is due, if the store knows.
    pub next_due: Option<Duration>,
}

impl Leases {
    /// Creates the result from its parts.
    pub fn new(deliveries: Vec<LeasedDelivery>, next_due: Option<Duration>) -> Self {
        Self { deliveries, next_due }
    }
}

/// A delivery that is leased to a worker.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LeasedDelivery {
    /// The id of the delivery.
    pub id: SentDeliveryId,
    /// The number of this attempt, from 1. The numbers go on when the delivery is sent again.
    pub attempt: u32,
    /// The number of this attempt since the delivery was made or resent, from 1. A retry policy uses it.
    pub round_attempt: u32,
    /// Whether somebody asked for this attempt by resending or recovering the delivery.
    pub manual: bool,
    /// The message. Its timestamp is the same at every attempt.
    pub message: Message,
    /// Its endpoint.
    pub endpoint: Arc<EndpointRecord>,
    /// How long ago the delivery was made.
    pub age: Duration,
}

impl LeasedDelivery {
    /// Creates a leased delivery from its parts. The others are set in its fields.
    pub fn new(
        id: SentDeliveryId,
        attempt: u32,
        message: Message,
        endpoint: Arc<EndpointRecord>,
        age: Duration,
    ) -> Self {
        Self { id, attempt, round_attempt: attempt, manual: false, message, endpoint, age }
    }
}

/// How an attempt ended, and what happens to its delivery.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Finish {
    /// What happens to the delivery.
    pub after: After,
    /// The status that the endpoint answered, if it did.
    pub status: Option<u16>,
    /// The reason of the failure, which is one of a fixed set.
    pub error: Option<&'static str>,
    /// How long the attempt took.
    pub duration: Duration,
    /// The start of the body that the endpoint answered.
    pub answer: Bytes,
    /// How long an endpoint may fail without a success until it is disabled.
    pub disable_after: Duration,
    /// Who is at fault if it was not delivered.
    pub fault: Fault,
    /// The message that is dispatched if this disables the endpoint.
    pub notice: Option<Message>,
    /// For how long the endpoint asks the sender not to send any request.
    pub retry_after: Option<Duration>,
}

impl Finish {
    /// Creates the value with what happens to the delivery.
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

/// Who is at fault for a failed attempt.
///
/// The list is complete: a store must handle each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum Fault {
    /// The endpoint. The failure counts against it.
    Endpoint,
    /// The sender: the payload could not be converted to the endpoint's version, the operator's proxy did not connect, or this
    /// machine had no file, port or network for a connection.
    Sender,
}

/// What happens to a delivery after an attempt.
///
/// The list is complete: a store must handle each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum After {
    /// It was delivered.
    Delivered,
    /// The last attempt failed.
    Exhausted,
    /// The endpoint is gone. It is disabled, and the delivery is held.
    Gone,
    /// The endpoint rejected it, and it is not tried again.
    Refused,
    /// The attempt failed, and is repeated after a wait.
    Retry {
        /// The wait.
        wait: Duration,
    },
    /// Nothing was sent, for a reason of the sender that affects the whole endpoint. It is leased again after a wait.
    Unsent {
        /// The wait.
        wait: Duration,
    },
}
