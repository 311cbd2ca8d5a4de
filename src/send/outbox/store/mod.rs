//! What a store of an outbox must do, and the records that it keeps.

pub(crate) mod delivery;
pub(crate) mod endpoint;
pub(crate) mod history;
pub(crate) mod ids;
pub(crate) mod lease;
pub(crate) mod limits;
pub(crate) mod message;
pub(crate) mod parts;
pub(crate) mod rate_limit;
pub(crate) mod stats;

use self::parts::{catalogue::OutboxCatalogue, endpoints::OutboxEndpoints, log::OutboxLog, queue::OutboxQueue};

/// A store for endpoints, messages, and the deliveries of messages to endpoints.
///
/// It has four parts: [`OutboxEndpoints`], [`OutboxQueue`], [`OutboxLog`] and [`OutboxCatalogue`]. A type that
/// implements all of them is an `OutboxStore`, such as `MemoryOutbox`, `SqliteStore` and `PostgresStore`. To write your
/// own, use the rules of [`policy`](crate::send::policy), and test it with `conformance::outbox`;
/// `examples/custom_outbox.rs` shows how.
///
/// ```
/// use tower_webhooks::{error::StoreError, send::{DeliveryQuery, DeliveryState, OutboxStore}};
///
/// /// Returns whether the tenant has a delivery that was given up.
/// async fn has_given_up(store: &impl OutboxStore, tenant: &str) -> Result<bool, StoreError> {
///     let query = DeliveryQuery::default().state(DeliveryState::Exhausted);
///     Ok(!store.deliveries(tenant.into(), query, 1).await?.is_empty())
/// }
/// # let _ = |store: Box<dyn OutboxStore>| async move { has_given_up(&store, "acme").await };
/// ```
///
/// # The contract
/// A delivery is in one of seven states:
///
/// | state | meaning | how it ends |
/// |---|---|---|
/// | pending | it waits until it is due | leased, cancelled, or held when its endpoint is disabled |
/// | sending | it is leased to a worker | finished by the worker; leased again when the lease has passed, or, if its endpoint is disabled, held by [`purge`](OutboxLog::purge) |
/// | delivered | the endpoint answered with a 2xx | resent |
/// | refused | the endpoint rejected it | resent |
/// | exhausted | every attempt failed | resent |
/// | held | its endpoint is disabled | pending again when the endpoint is enabled; cancelled |
/// | cancelled | it is not wanted any longer | resent |
///
/// 1. [`dispatch`](OutboxQueue::dispatch) stores each message, and one pending delivery for each enabled endpoint of the message's
///    tenant that has a pattern for its type, and whose labels the message has, in one transaction. A message that no endpoint wants is stored too.
/// 2. A message is identified by its tenant and its id. The same message again changes nothing and is
///    [`Known`](crate::send::Dispatched::Known). Another type, version, payload, label or order key under the same id is a
///    [`Conflict`](crate::send::Dispatched::Conflict). If one of several messages is in conflict, none of them is stored.
/// 3. [`dispatch_in`](OutboxQueue::dispatch_in) does the same inside the application's transaction: what it wrote exists if that is
///    committed, and only then.
/// 4. [`lease`](OutboxQueue::lease) is atomic. It takes deliveries that are due, and sending ones whose lease has passed. It counts
///    the attempt, and leases them to the token. Over all workers an endpoint has at most [`IN_FLIGHT`](crate::send::IN_FLIGHT)
///    deliveries leased at once, a failing one (rule 8) has one, and a disabled one has none.
/// 5. Leases are fair: of the endpoints with something due, the one that has waited longest is served first. Those that are not
///    [`proven`](crate::send::EndpointRecord::proven) get at most [`unproven`](crate::send::LeaseRequest::unproven) deliveries
///    together, and never delay a proven one.
/// 6. [`finish`](OutboxQueue::finish) acts only for the token of the last lease, and only once. Otherwise it changes nothing and
///    returns [`Stale`](crate::send::Fenced::Stale). The owner of a lease that has passed keeps it until another one takes it.
/// 7. `finish` notes the attempt and the next state of its delivery in one transaction. [`Unsent`](crate::send::After::Unsent)
///    takes the attempt back: it is neither counted nor noted, and the endpoint rests for the wait.
/// 8. A failed attempt counts against its endpoint, unless the [`Sender`](crate::send::Fault::Sender) was at fault; a delivered one
///    clears the count. An attempt that was leased before the last failure that counted was in flight at that moment, and does not
///    count. From [`FAILURES_TO_REST`](crate::send::FAILURES_TO_REST) failures in a row the endpoint rests: nothing of it is leased
///    for some time, and then one delivery at a time. It also rests for as long as it
///    [asks for](crate::send::Finish::retry_after), up to [`LONGEST_ASKED_REST`](crate::send::LONGEST_ASKED_REST). Deliveries that
///    wait during a rest use up no attempt.
/// 9. `finish` disables an endpoint that is gone, or that has failed without a success for
///    [`disable_after`](crate::send::Finish::disable_after), with [`FAILURES_TO_DISABLE`](crate::send::FAILURES_TO_DISABLE) failures
///    that lie apart. It reports that to this caller alone. The endpoint's pending deliveries are held, and so is what would be
///    retried later. The [`notice`](crate::send::Finish::notice) is dispatched in the same transaction, and only then.
/// 10. An endpoint that is enabled again starts with a clean count, and what was held is due at once.
/// 11. [`change_endpoint`](OutboxEndpoints::change_endpoint) applies only to the revision that it names. A change of the URL, the
///     style or what is sealed ends the endpoint's rest. At another URL the endpoint starts with a clean count and is not proven.
///     What was leased before does not count, and what the old URL rejected or ended with 410 is pending again.
/// 12. Time is that of the store: one clock for everybody who shares it.
/// 13. A dropped future leaves no lock and no open transaction behind. A method that returned an error may or may not have taken
///     effect.
/// 14. An endpoint with a [`rate_limit`](crate::send::EndpointSettings::rate_limit) has its attempts leased at that rate, over all
///     workers. After a rest, an [`enable`](OutboxEndpoints::switch_endpoint) or a [`recover`](OutboxLog::recover), its attempts are
///     leased at no more than twice the usual rate until nothing that is due is left: see [`CATCH_UP`](crate::send::CATCH_UP).
/// 15. A row that cannot be read, since a newer version wrote it or it is damaged, stops only itself. An endpoint or a message
///     rests for some minutes at a time, its deliveries use up no attempt, and an error is logged. Lists leave such rows out. An
///     attempt that began before is noted, whatever has happened to the row of its endpoint.
/// 16. A delivery whose message has lost its content is cancelled when it would be leased. No attempt is counted.
/// 17. What [`dispatch_to`](OutboxQueue::dispatch_to) creates, and what [`resend`](OutboxLog::resend) makes due, goes
///     before everything else of its endpoint. It does not wait for the endpoint's rest or for the backlog of rule 14; while
///     nothing else may be leased, such deliveries are leased one at a time. Rule 4 and a rate limit still apply.
/// 18. The numbers of a delivery's attempts go on when it is resent or recovered.
///     [`round_attempt`](crate::send::LeasedDelivery::round_attempt) starts again, and the first attempt after that is
///     [`manual`](crate::send::AttemptRecord::manual).
/// 19. Of an endpoint that is [`in_order`](crate::send::EndpointSettings::in_order) one delivery is leased at a time, in the order in
///     which they were made. One that is to be retried delays those after it until then: the endpoint rests for that long. What goes
///     first by rule 17 still does.
/// 20. What rule 16 cancels takes no place of another delivery: what is due after it is leased instead, and it counts for no share,
///     limit or pace.
/// 21. [`finish`](OutboxQueue::finish) counts each attempt that it notes, in the same transaction, for the endpoint and its tenant, by the
///     hour, by how it [ended](crate::send::AttemptEnd) and by its [latency bucket](crate::send::latency_bucket). The counts stay when
///     the endpoint or the delivery goes. [`purge`](OutboxLog::purge) removes them after [`rows`](crate::send::Retention::rows), and
///     [`erase`](OutboxLog::erase) removes them with their tenant.
/// 22. Of an endpoint's deliveries whose messages have the same [order key](crate::send::Message::order_key) one is leased at a time, in the
///     order of their numbers. One that is pending, sending or held delays those after it with its key, and no others; when it has
///     ended, however it did, the next one is due. What goes first by rule 17 waits only while another one with its key is being sent.
///     An endpoint that is `in_order` needs no keys: rule 19 is all that holds for it.
/// 23. [`sample_backlog`](OutboxLog::sample_backlog) notes what waits of all tenants, once in each minute of the store's clock, whoever calls it.
///     Each [step](crate::send::SampleStep), from a minute to a day, keeps the most that was noted in it, and is removed when it is older than
///     [`kept`](crate::send::SampleStep::kept).
pub trait OutboxStore: OutboxEndpoints + OutboxQueue + OutboxLog + OutboxCatalogue {}

impl<T: OutboxEndpoints + OutboxQueue + OutboxLog + OutboxCatalogue + ?Sized> OutboxStore for T {}
