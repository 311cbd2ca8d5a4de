//! Answer first, work later: a durable inbox that loses nothing.
//!
//! Senders want an answer within seconds, and many handlers take longer or fail. An [`Inbox`] takes the place of the service that would
//! have handled the event. It stores the verified delivery, answers when that is durable, and an [`InboxWorker`] has it handled by that same
//! service, again and again until it succeeds.
//!
//! | case | what happens |
//! |---|---|
//! | an event comes | 202, or what the sender prescribes, after a durable commit |
//! | it comes again | the same answer; it is not stored twice |
//! | it comes again and is dead | it is worked again |
//! | nobody handles its type | 200; it is not stored |
//! | the store is down, or full, or too much waits | 503 and `Retry-After` |
//! | the handler answers 2xx | done |
//! | the handler says [`Discard`](crate::Discard) | discarded, with its reason |
//! | it says [`Retry`](crate::Retry), fails, panics or runs out of time | worked again, after a wait |
//! | the payload does not fit the handler's type | dead at once, with the reason |
//! | the last attempt fails | dead |
//! | the process is killed | worked again when the lease ends |
//!
//! Rules:
//! 1. Nothing is stored before the signature has passed, and no header that holds a signature is stored.
//! 2. A success leaves only after a durable commit, or for an event that was stored before.
//! 3. An event is worked at least once. Its effect happens once where it commits in the same transaction as its end:
//!    [`Claim::commit`](crate::Claim::commit).
//! 4. A worker whose lease has ended, and whose event another was given, changes nothing.
//! 5. What a handler sees as verified was verified when it came. Whoever can write into the store's tables can make such an event.
//!
//! What this module does not do: keep the order of events, unless [`with_order_key`](Inbox::with_order_key) asks for it, and seal what it
//! stores, unless it is given [a key](Inbox::with_sealing_key).

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
