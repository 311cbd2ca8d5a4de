use std::{
    any::Any,
    fmt,
    str::FromStr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;

use super::{EventType, Message, MessageQuery, MessageRecord, RateLimit, Style, destination::Origin};
use crate::{
    boxed::BoxFuture,
    error::{StoreError, StoreErrorKind},
    queue::{Fenced, LeaseToken},
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
///    [`IN_FLIGHT`] deliveries leased at once, a failing one (rule 8) has one, and a disabled one gets none.
/// 5. Leases are given fairly: of the endpoints that have something due, the one that waited longest is served first. Those
///    that are not [`proven`](EndpointRecord::proven) get no more than [`unproven`](LeaseRequest::unproven) deliveries
///    together, and are in no proven one's way.
/// 6. [`finish`](Self::finish) acts only for the token of the last lease, and once. Otherwise it changes nothing and says
///    [`Stale`](Fenced::Stale). A passed lease alone takes nothing from its owner.
/// 7. `finish` notes the attempt and its delivery's next state in one transaction. [`Unsent`](After::Unsent) takes the
///    attempt back: it is not counted, and not noted, and the endpoint rests for the wait.
/// 8. A failed attempt counts against its endpoint, unless it was the [`Sender`](Fault::Sender)'s fault; a delivered one
///    clears the count. One that was leased before the last failure that counted was in flight at that moment, and does not count.
///    From [`FAILURES_TO_REST`] failures in a row on the endpoint rests: nothing of it is leased for a while, and then one delivery at
///    a time. It also rests for as long as it [asks for](Finish::retry_after), up to [`LONGEST_ASKED_REST`]. Deliveries that wait
///    meanwhile use up no attempt.
/// 9. An endpoint that has failed without a success for [`disable_after`](Finish::disable_after), with
///    [`FAILURES_TO_DISABLE`] failures that lie apart, or is gone, is disabled by `finish`, which says so to that caller alone. Its pending deliveries are held, and so is what is retried later. The
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
///     is left, its attempts are leased at no more than twice the rate at which they are otherwise: see [`CATCH_UP`].
/// 15. A row that cannot be read, since a newer version wrote it or it is damaged, stops nothing but itself. An endpoint or a
///     message rests for some minutes at a time, its deliveries use up no attempt, and an error is logged. Lists leave such
///     rows out. An attempt that was begun before is noted, whatever its endpoint's row has become.
/// 16. A delivery whose message has lost its content is cancelled when it would be leased. No attempt is counted.
/// 17. What [`dispatch_to`](Self::dispatch_to) makes and [`resend`](Self::resend) makes due goes before everything else of its endpoint,
///     and waits neither for its rest nor for rule 14's backlog: one at a time where nothing else may be leased. Rule 4 and a rate limit
///     hold.
/// 18. A delivery's attempts are numbered on when it is resent or recovered. [`round_attempt`](LeasedDelivery::round_attempt) starts
///     again, and the first attempt after it is [`manual`](AttemptRecord::manual).
/// 19. Of an endpoint [`in_order`](EndpointSettings::in_order) one delivery is leased at a time, in the order in which they were made. One
///     that is to be retried holds up those behind it until then: the endpoint rests for that long. What goes first by rule 17 still does.
/// 20. What rule 16 cancels takes no place of another: what is due behind it is leased instead, and it counts for no share, limit or pace.
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
}

/// How many deliveries of one endpoint are leased at once, over all workers.
pub const IN_FLIGHT: u32 = 4;

/// How much faster than it arises an endpoint's backlog is worked off: 1.9 times its steady rate, which is the mean of its first
/// attempts over ten minutes or so in which nothing failed, and then of what was dispatched for it, and at least 10 a second.
/// Twice the rate is what a receiver must be able to take; the rest of it is for what crosses the edges of a window.
///
/// An endpoint that gets more than it ever did before is caught up with all the same: the rate grows with what is dispatched,
/// as its deliveries come to be leased. What is resent or recovered makes nothing faster.
pub const CATCH_UP: f64 = 1.9;

/// An endpoint whose last attempt took no longer than this is proven, unless it was slow within [`SLOW_FOR`]: it holds up no worker.
pub const PROVEN_WITHIN: Duration = Duration::from_secs(2);

/// How long an endpoint that was slow is not proven, however quick it is meanwhile: 10 minutes. If one quick answer were enough, many
/// endpoints that are slow most of the time would take all places of a worker again and again.
pub const SLOW_FOR: Duration = Duration::from_secs(10 * 60);

/// From how many failures in a row on an endpoint rests. Attempts that were in flight together count as one: an endpoint that is down for
/// a moment fails all that it has at once.
pub const FAILURES_TO_REST: u32 = 5;

/// How many failures an endpoint has at least before it is disabled for failing, each a tenth of
/// [`disable_after`](Finish::disable_after) or more after the one before: two bad minutes are not days of failure, however far apart they
/// are.
pub const FAILURES_TO_DISABLE: u32 = 5;

/// How long an endpoint rests at most because it asked for it: 1 hour. A delivery waits for as long as its own answer said.
pub const LONGEST_ASKED_REST: Duration = Duration::from_secs(60 * 60);

/// The longest lease: 10 minutes. One that ends later began before a clock was set back.
pub const LONGEST_LEASE: Duration = Duration::from_secs(10 * 60);

/// How long an endpoint rests that has failed so often in a row: 10 s at first, doubled with each failure, 5 min at most.
pub fn rest_after(failures: u32) -> Duration {
    match failures.checked_sub(FAILURES_TO_REST) {
        None => Duration::ZERO,
        Some(more) => Duration::from_secs((10_u64 << more.min(5)).min(300)),
    }
}

/// The id of an endpoint: `ep_` and 128 random bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointId(u128);

impl EndpointId {
    /// Draws a fresh id.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(u128::from_be_bytes(bytes)))
    }
}

impl fmt::Display for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ep_{:032x}", self.0)
    }
}

impl fmt::Debug for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The id of one delivery in an outbox. Later ones are greater.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OutboxId(u64);

impl OutboxId {
    /// Restores an id from its number.
    pub fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// Tells the id's number.
    pub fn to_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for OutboxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dlv_{}", self.0)
    }
}

impl fmt::Debug for OutboxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no id.
#[derive(Debug, Clone)]
pub struct IdError(pub(super) ());

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this is no id of that kind")
    }
}

impl std::error::Error for IdError {}

impl FromStr for EndpointId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let digits = text.strip_prefix("ep_").filter(|digits| {
            digits.len() == 32 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        });
        digits.and_then(|digits| u128::from_str_radix(digits, 16).ok()).map(Self).ok_or(IdError(()))
    }
}

impl FromStr for OutboxId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let digits = text.strip_prefix("dlv_").filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        digits.and_then(|digits| digits.parse().ok()).map(Self).ok_or(IdError(()))
    }
}

/// Bytes that only the application's key opens, and the name of that key.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sealed {
    /// The name of the key; empty where the application chose not to seal.
    pub key: String,
    /// What was sealed.
    pub bytes: Bytes,
}

impl Sealed {
    /// Puts sealed bytes together.
    pub fn new(key: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        Self { key: key.into(), bytes: bytes.into() }
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Where the application chose not to seal, the bytes are the secret.
        f.debug_struct("Sealed").field("key", &self.key).finish_non_exhaustive()
    }
}

/// What an endpoint's owner can change.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndpointSettings {
    /// Where it is. The text was checked when it came in, and is again at every attempt.
    pub url: String,
    /// Which event types it wants, as patterns.
    pub events: Vec<String>,
    /// What its owner wrote about it.
    pub description: String,
    /// How it is signed to.
    pub style: Style,
    /// Its secrets and its own headers.
    pub sealed: Sealed,
    /// How many attempts it takes in a time, if there is a limit.
    pub rate_limit: Option<RateLimit>,
    /// Which version of the API its payloads are converted to, if they are.
    pub api_version: Option<String>,
    /// Whether its deliveries are attempted one at a time and in their order.
    pub in_order: bool,
}

impl EndpointSettings {
    /// Puts settings together.
    pub fn new(url: impl Into<String>, events: Vec<String>, style: Style, sealed: Sealed) -> Self {
        Self {
            url: url.into(),
            events,
            description: String::new(),
            style,
            sealed,
            rate_limit: None,
            api_version: None,
            in_order: false,
        }
    }
}

impl fmt::Debug for EndpointSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, events, description, style, sealed, rate_limit, api_version, in_order } = self;
        f.debug_struct("EndpointSettings")
            .field("url", &Origin(url))
            .field("events", events)
            .field("description", description)
            .field("style", style)
            .field("sealed", sealed)
            .field("rate_limit", rate_limit)
            .field("api_version", api_version)
            .field("in_order", in_order)
            .finish()
    }
}

/// An endpoint that is to be added.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EndpointDraft {
    /// Its id: drawn before, since its secrets are sealed for it.
    pub id: EndpointId,
    /// Whose it is; empty in an application without tenants.
    pub tenant: Arc<str>,
    /// The rest.
    pub settings: EndpointSettings,
}

impl EndpointDraft {
    /// Puts a draft together.
    pub fn new(id: EndpointId, tenant: impl Into<Arc<str>>, settings: EndpointSettings) -> Self {
        Self { id, tenant: tenant.into(), settings }
    }
}

/// An endpoint as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndpointRecord {
    /// Its id.
    pub id: EndpointId,
    /// Whose it is; empty in an application without tenants.
    pub tenant: Arc<str>,
    /// What its owner can change.
    pub settings: EndpointSettings,
    /// Counts the changes of the settings, from 1.
    pub revision: u64,
    /// Why it is disabled, if it is.
    pub disabled: Option<DisabledReason>,
    /// When it was added.
    pub created_at: SystemTime,
    /// How many attempts in a row have failed since the last success; those that were in flight together count as one.
    pub failures: u32,
    /// Since when it has failed without a success.
    pub failing_since: Option<SystemTime>,
    /// Whether its last attempt ended within [`PROVEN_WITHIN`], and all within [`SLOW_FOR`] before it. A new one is not proven.
    pub proven: bool,
}

impl EndpointRecord {
    /// Makes the record of an endpoint that has just been added.
    pub fn new(draft: EndpointDraft, created_at: SystemTime) -> Self {
        let EndpointDraft { id, tenant, settings } = draft;
        Self {
            id,
            tenant,
            settings,
            revision: 1,
            disabled: None,
            created_at,
            failures: 0,
            failing_since: None,
            proven: false,
        }
    }
}

/// Why an endpoint is disabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DisabledReason {
    /// The application, or the endpoint's owner, wanted it so.
    Asked,
    /// It has failed for days without a success.
    Failing,
    /// It answered 410.
    Gone,
}

impl DisabledReason {
    /// The reason's name in stores and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Failing => "failing",
            Self::Gone => "gone",
        }
    }

    /// The reason of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Asked, Self::Failing, Self::Gone].into_iter().find(|reason| reason.as_str() == name)
    }
}

/// What became of a message that was dispatched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dispatched {
    /// There is another message under this id. Nothing was stored.
    Conflict,
    /// The message was there already.
    Known {
        /// How many deliveries it has.
        deliveries: u32,
    },
    /// The message is new.
    Stored {
        /// How many deliveries it has.
        deliveries: u32,
    },
}

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

/// How long an endpoint may fail without a success: 5 days.
pub const DISABLE_AFTER: Duration = Duration::from_secs(5 * 24 * 60 * 60);

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

/// The state of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeliveryState {
    /// Nobody wants it any more.
    Cancelled,
    /// It was answered with a 2xx.
    Delivered,
    /// Every attempt failed.
    Exhausted,
    /// Its endpoint is disabled.
    Held,
    /// It waits until it is due.
    Pending,
    /// The endpoint does not want it.
    Refused,
    /// A worker is sending it.
    Sending,
}

impl DeliveryState {
    /// Every state.
    pub const ALL: &'static [Self] =
        &[Self::Cancelled, Self::Delivered, Self::Exhausted, Self::Held, Self::Pending, Self::Refused, Self::Sending];

    /// The state's name in stores, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Delivered => "delivered",
            Self::Exhausted => "exhausted",
            Self::Held => "held",
            Self::Pending => "pending",
            Self::Refused => "refused",
            Self::Sending => "sending",
        }
    }

    /// The state of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.as_str() == name)
    }
}

/// A delivery as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeliveryRecord {
    /// Its id.
    pub id: OutboxId,
    /// The id of its message.
    pub message: String,
    /// The event type of its message.
    pub event_type: String,
    /// Whose its message is; empty in an application without tenants.
    pub tenant: Arc<str>,
    /// Where it goes.
    pub endpoint: EndpointId,
    /// Its state.
    pub state: DeliveryState,
    /// How many attempts were begun since it was made.
    pub attempt: u32,
    /// When it was made.
    pub created_at: SystemTime,
    /// When a pending one is due.
    pub due_at: Option<SystemTime>,
}

impl DeliveryRecord {
    /// Makes the record of a pending delivery that was made, and is due, at `created_at`, and has not been attempted. What is
    /// otherwise is set in its fields.
    pub fn new(id: OutboxId, message: &Message, endpoint: EndpointId, created_at: SystemTime) -> Self {
        Self {
            id,
            message: message.message_id().to_string(),
            event_type: message.event_type().to_owned(),
            tenant: message.tenant_name().unwrap_or_default().into(),
            endpoint,
            state: DeliveryState::Pending,
            attempt: 0,
            created_at,
            due_at: Some(created_at),
        }
    }
}

/// Which deliveries to read.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct DeliveryQuery {
    /// Those of one endpoint.
    pub endpoint: Option<EndpointId>,
    /// Those in one state.
    pub state: Option<DeliveryState>,
    /// Those of one message.
    pub message: Option<String>,
    /// Those of messages of one type.
    pub event_type: Option<String>,
    /// Those older than one.
    pub before: Option<OutboxId>,
}

impl DeliveryQuery {
    /// Wants those of one endpoint.
    #[must_use]
    pub fn endpoint(mut self, id: EndpointId) -> Self {
        self.endpoint = Some(id);
        self
    }

    /// Wants those in one state.
    #[must_use]
    pub fn state(mut self, state: DeliveryState) -> Self {
        self.state = Some(state);
        self
    }

    /// Wants those of the message with this id.
    #[must_use]
    pub fn message(mut self, id: impl Into<String>) -> Self {
        self.message = Some(id.into());
        self
    }

    /// Wants those of messages of this type, which is a name and no pattern.
    #[must_use]
    pub fn event_type(mut self, name: impl Into<String>) -> Self {
        self.event_type = Some(name.into());
        self
    }

    /// Wants those older than one: the last of a page, for the next page.
    #[must_use]
    pub fn before(mut self, id: OutboxId) -> Self {
        self.before = Some(id);
        self
    }
}

/// What an endpoint is to be given that it missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recover {
    /// Messages that were dispatched at this moment or later.
    pub since: SystemTime,
    /// Messages that were dispatched before this moment, if there is an end.
    pub until: Option<SystemTime>,
    /// Where the call before this one ended.
    pub after: Option<u64>,
}

impl Recover {
    /// Starts with the messages that were dispatched since a moment.
    pub fn new(since: SystemTime) -> Self {
        Self { since, until: None, after: None }
    }
}

/// What a call of [`recover`](OutboxStore::recover) did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovered {
    /// How many deliveries it made due.
    pub deliveries: u64,
    /// Where to go on; there is nothing more when it is none.
    pub next: Option<u64>,
}

impl Recovered {
    /// Puts an answer together.
    pub fn new(deliveries: u64, next: Option<u64>) -> Self {
        Self { deliveries, next }
    }
}

/// An attempt as it was noted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AttemptRecord {
    /// Which attempt it was, from 1 since the delivery was made.
    pub attempt: u32,
    /// Whether somebody asked for it by resending or recovering the delivery.
    pub manual: bool,
    /// When it ended.
    pub ended_at: SystemTime,
    /// What the endpoint answered, if it did.
    pub status: Option<u16>,
    /// The class of the failure, a word of [`AttemptErrorKind`](super::AttemptErrorKind::as_str); none when it was delivered.
    pub error: Option<String>,
    /// How long it took, in whole milliseconds where the store keeps no less.
    pub duration: Duration,
    /// The start of what the endpoint answered: any bytes at all. Whoever shows it must escape it.
    pub answer: Bytes,
}

impl AttemptRecord {
    /// Makes the record of an attempt that ended at `ended_at` as `finish` tells.
    pub fn new(attempt: u32, ended_at: SystemTime, finish: Finish) -> Self {
        Self {
            attempt,
            manual: false,
            ended_at,
            status: finish.status,
            error: finish.error.map(str::to_owned),
            duration: finish.duration,
            answer: finish.answer,
        }
    }
}

/// How long what has ended is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retention {
    /// Payloads and answers.
    pub content: Duration,
    /// Messages, deliveries and attempts.
    pub rows: Duration,
}

impl Default for Retention {
    /// 30 days and 90 days.
    fn default() -> Self {
        const DAY: u64 = 24 * 60 * 60;
        Self { content: Duration::from_secs(30 * DAY), rows: Duration::from_secs(90 * DAY) }
    }
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
        }
    )*};
}

forward!(Arc<T>, Box<T>);
