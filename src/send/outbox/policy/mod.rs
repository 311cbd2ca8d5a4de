//! The rules of an outbox, as pure functions: what happens to deliveries and endpoints.
//!
//! Every store does the same in each method: it reads what a rule needs, the rule decides, and the store writes the
//! decision, all in one transaction. The stores of this crate differ only in how they read and write. For a store of
//! your own, these functions decide what [`OutboxStore`](crate::send::OutboxStore) promises, and `conformance::outbox`
//! checks it.
//!
//! | method | gathers | decides |
//! |---|---|---|
//! | `dispatch` | whether another message is kept under an id | [`Batch`], [`digest`](digest()), [`wants`], [`labelled`] |
//! | `lease` | a [`Waiting`] for each enabled endpoint with something due, the one that was served longest ago first | [`plan`] |
//! | `finish` | an [`Attempted`] and its [`Receiver`] | [`finish`](finish()), [`counted`] |
//! | `change_endpoint` | [`Health`] | [`Health::changed`] |
//! | `switch_endpoint`, `delete_endpoint` | what waits for the endpoint | [`Health::enable`], [`Health::due`], [`moved_from`] |
//! | `resend` | whether the endpoint is disabled | [`waits_as`], [`URGENT_DUE`] |
//! | `recover` | a [`Looked`] for each message | [`missed`] |
//! | `backlog` | how much waits, and since when | [`backlog`] |
//! | `purge` | a [`Usage`] for each message whose time has come | [`aged`] |
//!
//! 1. Times are [`Millis`](crate::clock::Millis) of the store's clock: the caller reads it, once for each transaction.
//! 2. A rule does no I/O, reads no clock and draws no random number: the same facts have the same answer.
//! 3. The caller holds a lock on the rows that it has read until it has written. Otherwise two workers may get the same
//!    delivery.
//!
//! This module does not decide how a store finds due deliveries without reading all of them.

mod digest;
mod dispatch;
mod finish;
mod health;
mod lease;
mod moves;
mod patterns;
mod purge;
mod recover;
mod shares;
mod standing;
mod stats;

pub use self::{
    digest::{digest, tenant},
    dispatch::Batch,
    finish::{Attempted, Finished, Receiver, finish, round},
    health::{Health, Pace},
    lease::{
        Due, MESSAGE_RESTS, MOST_DUE, MOST_PARKED, PARKED_DUE, Served, UNREADABLE_RESTS, URGENT_DUE, Waiting,
        lease_end, plan, serve, shown_due,
    },
    moves::{moved_from, show},
    patterns::{labelled, matching, wants},
    purge::{Aged, Usage, aged},
    recover::{Looked, Missed, missed, waits_as},
    shares::{Shares, full_tenants},
    standing::{Standing, next_state},
    stats::{Counted, backlog, counted, hour},
};
