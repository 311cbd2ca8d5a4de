//! The contract of a store, and what is kept.

mod forward;
mod lease;
mod records;
mod state;

use std::{any::Any, future::pending, sync::Arc};

pub use self::{
    lease::{Ending, InboxLease, InboxLeases, LeasedEvent},
    records::{
        AcceptRequest, Accepted, Change, Content, EventDraft, Guard, InboxId, InboxQuery, InboxRecord, InboxRetention,
        InboxStats, STATS_COUNTED, Selection,
    },
    state::EventState,
};
use crate::{
    boxed::BoxFuture,
    error::StoreError,
    queue::{Fenced, LeaseToken},
};

/// Where verified deliveries wait for a worker.
///
/// What becomes of an event is decided by the functions of [`policy`](crate::inbox::policy), so that stores differ in how they
/// gather and write, and in nothing else. `conformance::inbox` checks a store against these rules:
///
/// 1. **Durable and whole.** When [`accept`](Self::accept) returns, everything that it answers for survives the end of the process and, in a
///    store with a disk, a power cut. The events of one call are stored together or not at all.
/// 2. **Once.** Of events with one key the first is [`New`](Accepted::New). While it waits, is being worked, or is remembered, others are
///    [`Duplicate`](Accepted::Duplicate) and change nothing. A dead one is [`Rearmed`](Accepted::Rearmed): it waits again, with what came now. Both
///    say whether the body is another one.
///    After its [`retention`](EventDraft::retention) an event that has ended is new again. Two simultaneous calls with one key store one event.
/// 3. **Bounded.** Where a call has a limit and the events of the consumer that have not ended would become more than that, its new
///    ones are [`Full`](Accepted::Full) and none is stored. Duplicates are answered as ever. A store whose calls do not wait for each other may
///    let in what simultaneous calls bring beside the limit. It counts no further than to the limit.
/// 4. **Guarded.** An event whose [`guard`](EventDraft::guard) was stored with another event less than the guard's window ago is a
///    [`Replay`](Accepted::Replay), and is not stored.
/// 5. **Leased.** [`lease`](Self::lease) gives events of its consumer that are due to its token, each to one token at a time, the one that has been due
///    for longest first, and at most as many as it was asked for. It counts the attempt. An event whose lease has ended is due again, and
///    not before, and is given out by itself: its worker may have died of it.
/// 6. **No event is tried forever.** An event that was begun as often as the request allows and is due again is dead, and is not given out.
/// 7. **In order, where asked for.** Of the events with one order key, which is made of the consumer too, the next is given out when the one before has ended, at
///    once, in the order in which they came. One that is armed again or replayed waits for the one that goes on. Others wait for nobody.
/// 8. **Fenced.** [`renew`](Self::renew), [`finish`](Self::finish) and [`finish_in`](Self::finish_in) act for the token that holds the event,
///    also after the end of its lease, as long as nobody else was given it. For any other they are [`Stale`](Fenced::Stale) and change nothing.
///    [`is_done`](Self::is_done) is `Applied` for the token that ended it as done.
/// 9. **Ended as told.** [`finish`](Self::finish) does what its [`Ending`] says: the wait counts from now, a returned event does not count the attempt.
/// 10. **Changed by hand.** [`change`](Self::change) makes ended events due again, or discards those that wait or are dead. It never
///     touches an event that is being worked, changes at most as many as it is told, and counts what it changed.
/// 11. **Purged in steps.** [`purge`](Self::purge) takes the content from ended events, and removes them, when their times have passed: at
///     most `limit` of each in one call. What waits or is being worked is never touched, nor is what other consumers have. A dead event keeps its content as long as itself.
/// 12. **Erased.** [`erase`](Self::erase) removes what is kept of a tenant, but for what is being worked: at most `limit` in one call.
/// 13. **As it came.** What was stored comes back unchanged, down to the byte. Lists begin with the newest.
/// 14. **Not elsewhere.** [`finish_in`](Self::finish_in) refuses a connection of another kind as
///     [`WrongTransaction`](crate::error::StoreErrorKind::WrongTransaction).
/// 15. **Cancellation.** A call whose future is dropped leaves nothing locked.
pub trait InboxStore: Send + Sync + 'static {
    /// Stores events, durably, and says what became of each.
    fn accept(&self, request: AcceptRequest) -> BoxFuture<'_, Result<Vec<Accepted>, StoreError>>;

    /// Gives events that are due to a token.
    fn lease(&self, request: InboxLease) -> BoxFuture<'_, Result<InboxLeases, StoreError>>;

    /// Holds an event for this long from now.
    fn renew(
        &self,
        id: InboxId,
        token: LeaseToken,
        lease: std::time::Duration,
    ) -> BoxFuture<'_, Result<Fenced, StoreError>>;

    /// Ends an attempt.
    fn finish(&self, id: InboxId, token: LeaseToken, ending: Ending) -> BoxFuture<'_, Result<Fenced, StoreError>>;

    /// Ends an event as done on a connection that is in a transaction of the application's. It is done when that commits.
    ///
    /// A store without transactions that can be joined keeps the default, which refuses.
    fn finish_in<'a>(
        &'a self,
        connection: &'a mut (dyn Any + Send),
        id: InboxId,
        token: LeaseToken,
    ) -> BoxFuture<'a, Result<Fenced, StoreError>> {
        let _ = (connection, id, token);
        let refused = StoreError::new(
            crate::error::StoreErrorKind::WrongTransaction,
            "end an event of the inbox: this store cannot join a transaction",
        );
        Box::pin(std::future::ready(Err(refused)))
    }

    /// Says whether this token ended the event as done.
    fn is_done(&self, id: InboxId, token: LeaseToken) -> BoxFuture<'_, Result<Fenced, StoreError>>;

    /// Returns an event, with its content if that is still kept.
    fn event(&self, id: InboxId) -> BoxFuture<'_, Result<Option<InboxRecord>, StoreError>>;

    /// Lists events without their content, newest first.
    fn events(
        &self,
        consumer: Arc<str>,
        query: InboxQuery,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<InboxRecord>, StoreError>>;

    /// Replays or discards events. Returns how many.
    fn change(
        &self,
        consumer: Arc<str>,
        change: Change,
        selection: Selection,
        limit: u32,
    ) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// Counts what is there.
    fn stats(&self, consumer: Arc<str>) -> BoxFuture<'_, Result<InboxStats, StoreError>>;

    /// Removes what is old of a consumer: at most `limit` rows of each kind. Returns how many it changed or removed.
    fn purge(
        &self,
        consumer: Arc<str>,
        retention: InboxRetention,
        limit: u32,
    ) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// Removes what is kept of a tenant: at most `limit` events. Returns how many.
    fn erase(&self, consumer: Arc<str>, tenant: Arc<str>, limit: u32) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// Returns what the clones of this store share in this process and no other store has: the address of what they have in common. Two
    /// inboxes of one name over one store are refused by it. By default nothing is known.
    fn identity(&self) -> Option<usize> {
        None
    }

    /// Calls `wake` when another process has stored something, for as long as the future is polled. A store that hears nothing
    /// of others keeps the default.
    fn listen(&self, wake: Box<dyn Fn() + Send + Sync>) -> BoxFuture<'static, ()> {
        drop(wake);
        Box::pin(pending())
    }
}
