//! A durable inbox: answer a delivery at once, and handle it later.
//!
//! Senders want an answer within seconds, and many handlers take longer or fail. An [`Inbox`] takes the place of the service that
//! would have handled the event: it stores the verified delivery durably and answers. Later an [`InboxWorker`] passes it to that same
//! service, and retries if it fails.
//!
//! | case | what happens |
//! |---|---|
//! | an event arrives | 202, or what the sender prescribes, after a durable commit |
//! | it arrives again | the same answer; it is not stored twice |
//! | it arrives again and is dead | it is handled again |
//! | no handler wants its type | 200; it is not stored |
//! | the store is down or full, or too many events wait | 503 and `Retry-After` |
//! | the handler answers 2xx | done |
//! | the handler returns [`Discard`](crate::Discard) | discarded, with its reason |
//! | it returns [`Retry`](crate::Retry), fails, panics or times out | retried after a wait |
//! | the payload does not fit the handler's type | dead at once, with the reason |
//! | the last attempt fails | dead |
//! | the process is killed | handled again when the lease ends |
//!
//! Rules:
//! 1. Nothing is stored before the signature was verified, and no header with a signature is stored.
//! 2. A success is sent only after a durable commit, or for an event that was stored before.
//! 3. An event is handled at least once. Its effect happens once if it commits in the same transaction as the end of the event:
//!    [`Claim::commit`](crate::Claim::commit).
//! 4. If a worker's lease has ended and another worker has taken the event, the first worker's result changes nothing.
//! 5. An event counts as verified because it was verified when it arrived. Whoever can write into the store's tables can forge events.
//!
//! This module does not keep the order of events, unless [`with_order_key`](Inbox::with_order_key) is set, and does not seal what it
//! stores, unless it has [a key](Inbox::with_sealing_key).

mod handler;
mod head;
mod held;
#[allow(clippy::module_inception)] // `Inbox` has a file of its own, as every public type.
mod inbox;
mod known;
mod names;
mod outcome;
pub mod policy;
mod retries;
mod sealed;
mod service;
mod shared;
#[cfg(feature = "api")]
mod shown;
mod store;
mod upkeep;
mod work;
mod worker;

#[cfg(feature = "api")]
pub(crate) use self::shown::ShownRequest;
// What `sink` works with too.
pub(crate) use self::{
    handler::Handler,
    head::keep,
    held::Hold,
    inbox::{DEFAULT_HEADERS, DEFAULT_STORE_TIMEOUT},
    known::{Unknown, event as event_key, key},
    sealed::{Unopened, open, seal, sealed_by},
    work::{Opened, Stop, Taken, Unhandled, Work, WorkOptions, run},
};
pub use self::{
    inbox::Inbox,
    retries::InboxRetries,
    store::{
        AcceptRequest, Accepted, Change, Content, Ending, EventDraft, EventState, Guard, InboxId, InboxLease,
        InboxLeases, InboxQuery, InboxRecord, InboxRetention, InboxStats, InboxStore, LeasedEvent, STATS_COUNTED,
        Selection,
    },
    worker::InboxWorker,
};
pub use crate::{
    queue::{Fenced, LeaseToken},
    sealing::SealingKey,
};
