//! The contract of a store, and the records that it keeps.

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

/// A store in which verified deliveries wait for a worker.
///
/// The functions of [`policy`](crate::inbox::policy) decide what happens to an event, so that stores differ only in how
/// they read and write. `conformance::inbox` checks a store against these rules:
///
/// 1. **Durable and whole.** When [`accept`](Self::accept) returns, the stored events survive the end of the process
///    and, in a store with a disk, a power cut. The events of one call are stored together or not at all.
/// 2. **Once.** Of events with one key the first is [`New`](Accepted::New). While it waits, is being worked, or is
///    remembered, others are [`Duplicate`](Accepted::Duplicate) and change nothing. A dead one is
///    [`Rearmed`](Accepted::Rearmed): it is pending again, with the new content. Both say whether the bodies differ.
///    After its [`retention`](EventDraft::retention) an event that has ended is new again. Two simultaneous calls with
///    one key store one event.
/// 3. **Bounded.** If a call has a limit and the events of the consumer that have not ended would exceed it, the new
///    events are [`Full`](Accepted::Full) and none of them is stored. Duplicates are answered as usual. In a store
///    whose calls run concurrently, simultaneous calls may exceed the limit. A store counts only up to the limit.
/// 4. **Guarded.** An event whose [`guard`](EventDraft::guard) was stored with another event less than the guard's window ago is a
///    [`Replay`](Accepted::Replay), and is not stored.
/// 5. **Leased.** [`lease`](Self::lease) gives events of its consumer that are due to its token, each to one token at a
///    time, the one that has been due for longest first, and at most as many as it was asked for. It counts the
///    attempt. An event whose lease has ended is due again, and is then leased alone, since it may have killed its
///    worker. If the request has a limit for each source, events above it are left out, and later events of other
///    providers are leased instead; [`next_due`](InboxLeases::next_due) does not count providers at their limit.
/// 6. **No event is retried forever.** An event that has used up the attempts of the request and is due again becomes
///    dead, and is not leased.
/// 7. **In order, if requested.** Of the events with one order key, which includes the consumer, the next one is due as
///    soon as the one before has ended, in the order in which they arrived. An event that is rearmed or replayed waits
///    until the current one has ended. Events without an order key do not wait.
/// 8. **Fenced.** [`renew`](Self::renew), [`finish`](Self::finish) and [`finish_in`](Self::finish_in) act for the token
///    that holds the event, also after the end of its lease, as long as no other token has taken the event. For any
///    other token they are [`Stale`](Fenced::Stale) and change nothing. [`is_done`](Self::is_done) is `Applied` for the
///    token that ended it as done.
/// 9. **Ended as requested.** [`finish`](Self::finish) does what its [`Ending`] says. The wait counts from now, and for
///    a returned event the attempt does not count.
/// 10. **Changed by hand.** [`change`](Self::change) makes ended events due again, or discards those that wait or are
///     dead. It never changes an event that is being worked, changes at most `limit` events, and returns how many it
///     has changed.
/// 11. **Purged in steps.** [`purge`](Self::purge) removes the content of ended events, and later the events, when
///     their retention has passed: at most `limit` of each in one call. It does not change pending and working events,
///     or those of other consumers. A dead event keeps its content until it is removed.
/// 12. **Erased.** [`erase`](Self::erase) removes the events of a tenant, except those that are being worked: at most
///     `limit` in one call.
/// 13. **Unchanged.** Stored content is returned byte for byte. Lists begin with the newest event.
/// 14. **Only its own transactions.** [`finish_in`](Self::finish_in) rejects a connection of another kind with
///     [`WrongTransaction`](crate::error::StoreErrorKind::WrongTransaction).
/// 15. **Cancellation.** If the future of a call is dropped, nothing stays locked.
pub trait InboxStore: Send + Sync + 'static {
    /// Stores events durably, and returns the result for each.
    fn accept(&self, request: AcceptRequest) -> BoxFuture<'_, Result<Vec<Accepted>, StoreError>>;

    /// Leases due events to a token.
    fn lease(&self, request: InboxLease) -> BoxFuture<'_, Result<InboxLeases, StoreError>>;

    /// Extends the lease of an event to this long from now.
    fn renew(
        &self,
        id: InboxId,
        token: LeaseToken,
        lease: std::time::Duration,
    ) -> BoxFuture<'_, Result<Fenced, StoreError>>;

    /// Ends an attempt.
    fn finish(&self, id: InboxId, token: LeaseToken, ending: Ending) -> BoxFuture<'_, Result<Fenced, StoreError>>;

    /// Ends an event as done on a connection that is in a transaction of the application. The event is done when the
    /// application commits.
    ///
    /// A store that cannot join the application's transactions keeps the default, which returns an error.
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

    /// Returns [`Fenced::Applied`] if this token has ended the event as done.
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

    /// Replays or discards events. Returns how many it has changed.
    fn change(
        &self,
        consumer: Arc<str>,
        change: Change,
        selection: Selection,
        limit: u32,
    ) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// Counts the events of a consumer.
    fn stats(&self, consumer: Arc<str>) -> BoxFuture<'_, Result<InboxStats, StoreError>>;

    /// Removes old content and events of a consumer: at most `limit` rows of each kind. Returns how many it has changed
    /// or removed.
    fn purge(
        &self,
        consumer: Arc<str>,
        retention: InboxRetention,
        limit: u32,
    ) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// Removes events of a tenant, at most `limit`. Returns how many it has removed.
    fn erase(&self, consumer: Arc<str>, tenant: Arc<str>, limit: u32) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// Returns a number that is the same for all clones of this store in this process, and different for other stores,
    /// such as the address of their shared state. It is used to detect two inboxes with the same name in one store. The
    /// default is `None`: unknown.
    fn identity(&self) -> Option<usize> {
        None
    }

    /// Calls `wake` when another process has stored events, for as long as the future is polled. A store without such
    /// notifications keeps the default, which never calls it.
    fn listen(&self, wake: Box<dyn Fn() + Send + Sync>) -> BoxFuture<'static, ()> {
        drop(wake);
        Box::pin(pending())
    }
}
