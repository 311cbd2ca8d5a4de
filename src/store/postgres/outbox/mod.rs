//! The outbox in a PostgreSQL database: endpoints, messages, deliveries and attempts.
//!
//! 1. Whoever changes what is leased of an endpoint locks its row first, and its deliveries after it. What is decided under the
//!    lock is read in a statement of its own, since one statement may see less than its lock has waited for.
//! 2. Nobody waits for long: a worker skips what is locked, and others give up after half of the store's timeout.
//! 3. Dispatching locks no endpoint. So a delivery may be made for one that is being disabled or deleted at that
//!    moment; it is not leased, and `purge` holds or cancels it. And an endpoint's row does not show what is new: a
//!    lease, which locks the row, records it there.
//! 4. The order of locks is endpoint, then what is moved of it, then delivery, then message, each by id; `purge`, which
//!    begins with messages, waits for no delivery. If two transactions still wait for each other, the one that the
//!    server stops is repeated.
//! 5. What comes while attempts are noted is noted together after that, with a lease that comes with it (`group`). A group waits for
//!    no lock: what somebody else has locked is left to a transaction of its own.

mod clock;
mod contract;
mod core;
mod deliveries;
mod dispatch;
mod endpoints;
mod event_types;
mod finish;
mod group;
mod history;
mod lease;
mod messages;
mod moves;
mod purge;
mod schema;
mod shared;
mod stats;
mod statements;

pub(super) use self::{schema::PARTS, shared::Outbox};
