//! What a store of an outbox must do, and the records that it keeps.

pub(crate) mod delivery;
pub(crate) mod endpoint;
pub(crate) mod ids;
pub(crate) mod lease;
pub(crate) mod limits;
pub(crate) mod message;
pub(crate) mod rate_limit;
pub(crate) mod stats;

use std::{any::Any, sync::Arc};

use self::{
    delivery::{AttemptRecord, DeliveryQuery, DeliveryRecord, Recover, Recovered, Retention},
    endpoint::{DisabledReason, EndpointDraft, EndpointRecord, EndpointSettings},
    ids::{EndpointId, OutboxId},
    lease::{Finish, LeaseRequest, Leases},
    message::{Dispatched, MessageQuery, MessageRecord},
    stats::{Backlog, Scope, StatsCell},
};
use crate::{
    boxed::BoxFuture,
    error::{StoreError, StoreErrorKind},
    queue::{Fenced, LeaseToken},
    send::message::{event_type::EventType, message::Message},
};

/// Keeps endpoints, messages, and the deliveries that come of the two. `MemoryOutbox`, `SqliteStore` and `PostgresStore` do; whoever
/// writes another one runs `conformance::outbox` on it.
///
/// # The contract
/// A delivery is in one of seven states:
///
/// | state | meaning | how it ends |
/// |---|---|---|
/// | pending | waits until it is due | leased, cancelled, or held when its endpoint is disabled |
/// | sending | leased to a worker | finished by it; leased again when the lease has passed, or, where its endpoint is disabled, held by [`purge`](Self::purge) |
/// | delivered | a 2xx | resent |
/// | refused | the endpoint does not want it | resent |
/// | exhausted | every attempt failed | resent |
/// | held | its endpoint is disabled | pending again when it is enabled; cancelled |
/// | cancelled | nobody wants it any more | resent |
///
/// 1. [`dispatch`](Self::dispatch) stores each message and one pending delivery for each enabled endpoint of the message's
///    tenant one of whose patterns matches its type, in one transaction; a message that nobody wants is stored too.
/// 2. A message is known by its tenant and its id. The same again changes nothing and is [`Known`](Dispatched::Known); the
///    same id with another type, version or payload is a [`Conflict`](Dispatched::Conflict). If one of several messages
///    is, none of them is stored.
/// 3. [`dispatch_in`](Self::dispatch_in) does the same inside the application's transaction: what it wrote is there when
///    that is committed, and not otherwise.
/// 4. [`lease`](Self::lease) is atomic. It takes deliveries that are due, and sending ones whose lease has passed, counts
///    the attempt, and gives them to the token for the lease. Over all workers no endpoint has more than
///    [`IN_FLIGHT`](crate::send::IN_FLIGHT) deliveries leased at once, a failing one (rule 8) has one, and a disabled one gets none.
/// 5. Leases are given fairly: of the endpoints that have something due, the one that waited longest is served first. Those
///    that are not [`proven`](EndpointRecord::proven) get no more than [`unproven`](LeaseRequest::unproven) deliveries
///    together, and are in no proven one's way.
/// 6. [`finish`](Self::finish) acts only for the token of the last lease, and once. Otherwise it changes nothing and says
///    [`Stale`](Fenced::Stale). A passed lease alone takes nothing from its owner.
/// 7. `finish` notes the attempt and its delivery's next state in one transaction. [`Unsent`](crate::send::After::Unsent) takes the
///    attempt back: it is not counted, and not noted, and the endpoint rests for the wait.
/// 8. A failed attempt counts against its endpoint, unless it was the [`Sender`](crate::send::Fault::Sender)'s fault; a delivered one
///    clears the count. One that was leased before the last failure that counted was in flight at that moment, and does not count.
///    From [`FAILURES_TO_REST`](crate::send::FAILURES_TO_REST) failures in a row on the endpoint rests: nothing of it is leased for a while, and then one delivery at
///    a time. It also rests for as long as it [asks for](Finish::retry_after), up to [`LONGEST_ASKED_REST`](crate::send::LONGEST_ASKED_REST). Deliveries that wait
///    meanwhile use up no attempt.
/// 9. An endpoint that has failed without a success for [`disable_after`](Finish::disable_after), with
///    [`FAILURES_TO_DISABLE`](crate::send::FAILURES_TO_DISABLE) failures that lie apart, or is gone, is disabled by `finish`, which says so to that caller alone. Its pending deliveries are held, and so is what is retried later. The
///    [`notice`](Finish::notice) is dispatched in the same transaction, and otherwise not at all.
/// 10. An endpoint that is enabled again starts with a clean count, and what was held is due at once.
/// 11. [`change_endpoint`](Self::change_endpoint) applies only to the revision that it names. A change of the URL, the style or what is
///     sealed ends the endpoint's rest. At another URL it starts with a clean count, and is not proven; what was leased before is not
///     counted, and what the old URL refused or ended with 410 is pending again.
/// 12. Time is the store's: one clock for all who share it.
/// 13. A dropped future leaves no lock and no open transaction behind. A method that returned an error may or may not have
///     taken effect.
/// 14. An endpoint with a [`rate_limit`](EndpointSettings::rate_limit) has its attempts leased at that rate, over all
///     workers. After a rest, an [`enable`](Self::switch_endpoint) or a [`recover`](Self::recover), until nothing that is due
///     is left, its attempts are leased at no more than twice the rate at which they are otherwise: see [`CATCH_UP`](crate::send::CATCH_UP).
/// 15. A row that cannot be read, since a newer version wrote it or it is damaged, stops nothing but itself. An endpoint or a
///     message rests for some minutes at a time, its deliveries use up no attempt, and an error is logged. Lists leave such
///     rows out. An attempt that was begun before is noted, whatever its endpoint's row has become.
/// 16. A delivery whose message has lost its content is cancelled when it would be leased. No attempt is counted.
/// 17. What [`dispatch_to`](Self::dispatch_to) makes and [`resend`](Self::resend) makes due goes before everything else of its endpoint,
///     and waits neither for its rest nor for rule 14's backlog: one at a time where nothing else may be leased. Rule 4 and a rate limit
///     hold.
/// 18. A delivery's attempts are numbered on when it is resent or recovered. [`round_attempt`](crate::send::LeasedDelivery::round_attempt) starts
///     again, and the first attempt after it is [`manual`](AttemptRecord::manual).
/// 19. Of an endpoint [`in_order`](EndpointSettings::in_order) one delivery is leased at a time, in the order in which they were made. One
///     that is to be retried holds up those behind it until then: the endpoint rests for that long. What goes first by rule 17 still does.
/// 20. What rule 16 cancels takes no place of another: what is due behind it is leased instead, and it counts for no share, limit or pace.
/// 21. `finish` counts each attempt that it notes, in the same transaction, for the endpoint and its tenant, by the hour, by how it
///     [ended](crate::send::AttemptEnd) and by its [latency bucket](crate::send::latency_bucket). The counts stay when the endpoint or the
///     delivery goes; [`purge`](Self::purge) removes them after [`rows`](Retention::rows), and [`erase`](Self::erase) with their tenant.
pub trait OutboxStore: Send + Sync + 'static {
    /// Adds an endpoint, unless its tenant has `most` already: then there is none. Of several calls at once no more succeed
    /// than there is room for.
    ///
    /// # Errors
    /// When the store cannot be asked.
    fn create_endpoint(
        &self,
        endpoint: EndpointDraft,
        most: u32,
    ) -> BoxFuture<'_, Result<Option<EndpointRecord>, StoreError>>;

    /// Reads an endpoint.
    ///
    /// # Errors
    /// When the store cannot be asked.
    fn endpoint(&self, id: EndpointId) -> BoxFuture<'_, Result<Option<EndpointRecord>, StoreError>>;

    /// Reads up to `limit` endpoints of a tenant, or of all, by id, those after `after`. The tenant of an application without
    /// tenants is empty.
    ///
    /// # Errors
    /// When the store cannot be asked.
    fn endpoints(
        &self,
        tenant: Option<Arc<str>>,
        after: Option<EndpointId>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<EndpointRecord>, StoreError>>;

    /// Reads the ids of the endpoints that [`endpoints`](Self::endpoints) leaves out, since their rows cannot be read. By default
    /// there are none.
    ///
    /// # Errors
    /// When the store cannot be asked.
    fn unreadable_endpoints(&self) -> BoxFuture<'_, Result<Vec<EndpointId>, StoreError>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    /// Replaces what an endpoint's owner can change, if the endpoint is still of `revision`. [`Stale`](Fenced::Stale) when
    /// it is not, or is not there.
    ///
    /// # Errors
    /// When the store cannot be asked.
    fn change_endpoint(
        &self,
        id: EndpointId,
        revision: u64,
        settings: EndpointSettings,
    ) -> BoxFuture<'_, Result<Fenced, StoreError>>;

    /// Enables an endpoint, or disables it for a reason. Tells whether it is there. It holds at once. A store may change the states of
    /// very many deliveries in steps, of which [`purge`](Self::purge) does those that are left; meanwhile they are read as they will be.
    ///
    /// # Errors
    /// When the store cannot be asked.
    fn switch_endpoint(
        &self,
        id: EndpointId,
        disabled: Option<DisabledReason>,
    ) -> BoxFuture<'_, Result<bool, StoreError>>;

    /// Removes an endpoint; its pending and held deliveries are cancelled, and one that is being sent is when it fails. Tells
    /// whether it was there.
    ///
    /// # Errors
    /// When the store cannot be asked.
    fn delete_endpoint(&self, id: EndpointId) -> BoxFuture<'_, Result<bool, StoreError>>;

    /// Stores messages and makes their deliveries. The answers are in the order of the messages.
    ///
    /// # Errors
    /// When the store cannot be asked.
    fn dispatch(&self, messages: Vec<Message>) -> BoxFuture<'_, Result<Vec<Dispatched>, StoreError>>;

    /// Does what [`dispatch`](Self::dispatch) does inside the application's transaction: `connection` is what
    /// [`StoreTransaction::connection`](crate::transaction::StoreTransaction::connection) lends.
    ///
    /// # Errors
    /// [`WrongTransaction`](StoreErrorKind::WrongTransaction) when the connection is not of this store's database, which is
    /// the answer of every store that has no transactions; otherwise as [`dispatch`](Self::dispatch).
    fn dispatch_in<'a>(
        &'a self,
        connection: &'a mut (dyn Any + Send),
        messages: Vec<Message>,
    ) -> BoxFuture<'a, Result<Vec<Dispatched>, StoreError>> {
        let _ = (connection, messages);
        Box::pin(std::future::ready(Err(StoreError::new(
            StoreErrorKind::WrongTransaction,
            "this store has no transactions to join",
        ))))
    }

    /// Stores a message for one endpoint of its tenant alone, whatever its patterns say, with one pending delivery. The
    /// same message again is the same delivery. There is none where the endpoint is not there or disabled, and where there is
    /// another message under the id. [`recover`](Self::recover) gives such a message to no other endpoint.
    ///
    /// # Errors
    /// When the store cannot be asked.
    fn dispatch_to(
        &self,
        endpoint: EndpointId,
        message: Message,
    ) -> BoxFuture<'_, Result<Option<OutboxId>, StoreError>>;

    /// Calls `wake` when something may have become due that another process dispatched, for as long as the future is polled.
    /// Nothing rests on it: who waits for work looks now and then all the same. By default it is ready at once, as there is
    /// nothing to listen to.
    fn listen<'a>(&'a self, wake: Box<dyn Fn() + Send + Sync + 'a>) -> BoxFuture<'a, ()> {
        drop(wake);
        Box::pin(std::future::ready(()))
    }

    /// Has other processes told that something may have become due, where the store can: see [`listen`](Self::listen). The store
    /// does so by itself after what it commits. By default it does nothing.
    fn notify(&self) {}

    /// Leases deliveries that are due.
    ///
    /// # Errors
    /// When the store cannot be asked; what was leased comes back when the lease ends.
    fn lease(&self, request: LeaseRequest) -> BoxFuture<'_, Result<Leases, StoreError>>;

    /// Writes down how an attempt ended.
    ///
    /// # Errors
    /// When the store cannot be asked; the delivery is then sent again when its lease ends, unless the call is repeated.
    fn finish(
        &self,
        id: OutboxId,
        token: LeaseToken,
        finish: Finish,
    ) -> BoxFuture<'_, Result<(Fenced, Option<DisabledReason>), StoreError>>;

    /// Reads a delivery.
    ///
    /// # Errors
    /// When the store cannot be asked.
    fn delivery(&self, id: OutboxId) -> BoxFuture<'_, Result<Option<DeliveryRecord>, StoreError>>;

    /// Reads up to `limit` deliveries of a tenant that fit, the newest first.
    ///
    /// # Errors
    /// When the store cannot be asked.
    fn deliveries(
        &self,
        tenant: Arc<str>,
        query: DeliveryQuery,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<DeliveryRecord>, StoreError>>;

    /// Reads a message of a tenant with its payload.
    ///
    /// # Errors
    /// When the store cannot be asked.
    fn message(&self, tenant: Arc<str>, id: String) -> BoxFuture<'_, Result<Option<MessageRecord>, StoreError>>;

    /// Reads up to `limit` messages of a tenant without their payloads, the newest first: by the time at which they were
    /// dispatched, then by their number.
    ///
    /// # Errors
    /// When the store cannot be asked.
    fn messages(
        &self,
        tenant: Arc<str>,
        query: MessageQuery,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<MessageRecord>, StoreError>>;

    /// Reads the attempts of a delivery, in their order.
    ///
    /// # Errors
    /// When the store cannot be asked.
    fn attempts(&self, id: OutboxId) -> BoxFuture<'_, Result<Vec<AttemptRecord>, StoreError>>;

    /// Makes a delivery due now, for another round of attempts (rules 17 and 18): the retry that a pending one waits for is replaced.
    /// Tells whether that was possible: it is not while a worker holds the delivery, nor when its endpoint or its content is gone.
    /// At a disabled endpoint it is held.
    ///
    /// # Errors
    /// When the store cannot be asked.
    fn resend(&self, id: OutboxId) -> BoxFuture<'_, Result<bool, StoreError>>;

    /// Cancels a delivery that is pending or held, or whose lease is over. Returns `true` if it was.
    ///
    /// # Errors
    /// When the store cannot be asked.
    fn cancel(&self, id: OutboxId) -> BoxFuture<'_, Result<bool, StoreError>>;

    /// Makes due what an endpoint missed of the messages that were dispatched in a span of time: its refused and exhausted
    /// deliveries, and those that were never made since it was disabled or not there. What was cancelled stays so. It looks at up
    /// to `limit` messages, in one transaction; [`Recovered::next`] is where to go on.
    ///
    /// # Errors
    /// When the store cannot be asked.
    fn recover(&self, id: EndpointId, recover: Recover, limit: u32) -> BoxFuture<'_, Result<Recovered, StoreError>>;

    /// Removes what a tenant has: its endpoints, deliveries, attempts and messages, up to about `limit` rows of each kind.
    /// Tells how many rows; when it is none, nothing is left.
    ///
    /// # Errors
    /// When the store cannot be asked.
    fn erase(&self, tenant: Arc<str>, limit: u32) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// Drops the content (payloads, answers) and then the rows of what ended long ago, up to about `limit` rows of each kind. It
    /// ended with its last attempt, or when it was dispatched where that is later. A delivery that was held for as long as rows
    /// are kept is cancelled. What a worker died on is held where its endpoint is disabled, and cancelled where it is gone: nobody
    /// else would touch it. Tells how many rows it changed or removed: when it is none, there is nothing to do for now. Workers call it
    /// once a minute, and again at once after `limit` or more, so it reads nothing of what is not old, nor again and again what is old and
    /// awaited; each of its steps holds its locks for a few milliseconds.
    ///
    /// # Errors
    /// When the store cannot be asked.
    fn purge(&self, retention: Retention, limit: u32) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// Adds event types to the catalogue, or replaces those of the same name, all or none.
    ///
    /// # Errors
    /// When the store cannot be asked.
    fn put_event_types(&self, event_types: Vec<EventType>) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Reads the catalogue, by name.
    ///
    /// # Errors
    /// When the store cannot be asked.
    fn event_types(&self) -> BoxFuture<'_, Result<Vec<EventType>, StoreError>>;

    /// Removes an event type from the catalogue. Tells whether it was there.
    ///
    /// # Errors
    /// When the store cannot be asked.
    fn remove_event_type(&self, name: String) -> BoxFuture<'_, Result<bool, StoreError>>;

    /// Reads how many attempts ended in which way and how fast, in the hours from `since` to before `until`, in whole hours since the
    /// Unix epoch. Cells of different endpoints are added up; the cells are in the order of their hours.
    ///
    /// # Errors
    /// When the store cannot be asked.
    fn stats(&self, scope: Scope, since: u32, until: u32) -> BoxFuture<'_, Result<Vec<StatsCell>, StoreError>>;

    /// Reads what waits to be sent.
    ///
    /// # Errors
    /// When the store cannot be asked.
    fn backlog(&self, scope: Scope) -> BoxFuture<'_, Result<Backlog, StoreError>>;
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        #[deny(clippy::missing_trait_methods)]
        impl<T: OutboxStore + ?Sized> OutboxStore for $pointer {
            fn create_endpoint(
                &self,
                endpoint: EndpointDraft,
                most: u32,
            ) -> BoxFuture<'_, Result<Option<EndpointRecord>, StoreError>> {
                (**self).create_endpoint(endpoint, most)
            }

            fn endpoint(&self, id: EndpointId) -> BoxFuture<'_, Result<Option<EndpointRecord>, StoreError>> {
                (**self).endpoint(id)
            }

            fn endpoints(
                &self,
                tenant: Option<Arc<str>>,
                after: Option<EndpointId>,
                limit: u32,
            ) -> BoxFuture<'_, Result<Vec<EndpointRecord>, StoreError>> {
                (**self).endpoints(tenant, after, limit)
            }

            fn unreadable_endpoints(&self) -> BoxFuture<'_, Result<Vec<EndpointId>, StoreError>> {
                (**self).unreadable_endpoints()
            }

            fn change_endpoint(
                &self,
                id: EndpointId,
                revision: u64,
                settings: EndpointSettings,
            ) -> BoxFuture<'_, Result<Fenced, StoreError>> {
                (**self).change_endpoint(id, revision, settings)
            }

            fn switch_endpoint(
                &self,
                id: EndpointId,
                disabled: Option<DisabledReason>,
            ) -> BoxFuture<'_, Result<bool, StoreError>> {
                (**self).switch_endpoint(id, disabled)
            }

            fn delete_endpoint(&self, id: EndpointId) -> BoxFuture<'_, Result<bool, StoreError>> {
                (**self).delete_endpoint(id)
            }

            fn dispatch(&self, messages: Vec<Message>) -> BoxFuture<'_, Result<Vec<Dispatched>, StoreError>> {
                (**self).dispatch(messages)
            }

            fn dispatch_in<'a>(
                &'a self,
                connection: &'a mut (dyn Any + Send),
                messages: Vec<Message>,
            ) -> BoxFuture<'a, Result<Vec<Dispatched>, StoreError>> {
                (**self).dispatch_in(connection, messages)
            }

            fn dispatch_to(
                &self,
                endpoint: EndpointId,
                message: Message,
            ) -> BoxFuture<'_, Result<Option<OutboxId>, StoreError>> {
                (**self).dispatch_to(endpoint, message)
            }

            fn listen<'a>(&'a self, wake: Box<dyn Fn() + Send + Sync + 'a>) -> BoxFuture<'a, ()> {
                (**self).listen(wake)
            }

            fn notify(&self) {
                (**self).notify();
            }

            fn lease(&self, request: LeaseRequest) -> BoxFuture<'_, Result<Leases, StoreError>> {
                (**self).lease(request)
            }

            fn finish(
                &self,
                id: OutboxId,
                token: LeaseToken,
                finish: Finish,
            ) -> BoxFuture<'_, Result<(Fenced, Option<DisabledReason>), StoreError>> {
                (**self).finish(id, token, finish)
            }

            fn delivery(&self, id: OutboxId) -> BoxFuture<'_, Result<Option<DeliveryRecord>, StoreError>> {
                (**self).delivery(id)
            }

            fn deliveries(
                &self,
                tenant: Arc<str>,
                query: DeliveryQuery,
                limit: u32,
            ) -> BoxFuture<'_, Result<Vec<DeliveryRecord>, StoreError>> {
                (**self).deliveries(tenant, query, limit)
            }

            fn message(&self, tenant: Arc<str>, id: String) -> BoxFuture<'_, Result<Option<MessageRecord>, StoreError>> {
                (**self).message(tenant, id)
            }

            fn messages(
                &self,
                tenant: Arc<str>,
                query: MessageQuery,
                limit: u32,
            ) -> BoxFuture<'_, Result<Vec<MessageRecord>, StoreError>> {
                (**self).messages(tenant, query, limit)
            }

            fn attempts(&self, id: OutboxId) -> BoxFuture<'_, Result<Vec<AttemptRecord>, StoreError>> {
                (**self).attempts(id)
            }

            fn resend(&self, id: OutboxId) -> BoxFuture<'_, Result<bool, StoreError>> {
                (**self).resend(id)
            }

            fn cancel(&self, id: OutboxId) -> BoxFuture<'_, Result<bool, StoreError>> {
                (**self).cancel(id)
            }

            fn recover(
                &self,
                id: EndpointId,
                recover: Recover,
                limit: u32,
            ) -> BoxFuture<'_, Result<Recovered, StoreError>> {
                (**self).recover(id, recover, limit)
            }

            fn erase(&self, tenant: Arc<str>, limit: u32) -> BoxFuture<'_, Result<u64, StoreError>> {
                (**self).erase(tenant, limit)
            }

            fn purge(&self, retention: Retention, limit: u32) -> BoxFuture<'_, Result<u64, StoreError>> {
                (**self).purge(retention, limit)
            }

            fn put_event_types(&self, event_types: Vec<EventType>) -> BoxFuture<'_, Result<(), StoreError>> {
                (**self).put_event_types(event_types)
            }

            fn event_types(&self) -> BoxFuture<'_, Result<Vec<EventType>, StoreError>> {
                (**self).event_types()
            }

            fn remove_event_type(&self, name: String) -> BoxFuture<'_, Result<bool, StoreError>> {
                (**self).remove_event_type(name)
            }

            fn stats(&self, scope: Scope, since: u32, until: u32) -> BoxFuture<'_, Result<Vec<StatsCell>, StoreError>> {
                (**self).stats(scope, since, until)
            }

            fn backlog(&self, scope: Scope) -> BoxFuture<'_, Result<Backlog, StoreError>> {
                (**self).backlog(scope)
            }
        }
    )*};
}

forward!(Arc<T>, Box<T>);
