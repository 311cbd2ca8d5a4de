//! Random histories of an outbox: every store answers as the one in memory does, which a reader can check by eye. All
//! promises hold in each of them, and at the end nothing is stuck.
//!
//! Stores decide by clocks that stand a little apart, so time passes in steps of seven seconds, and nothing that they
//! wait for is a multiple of that.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use proptest::{
    prelude::*,
    sample::Index,
    test_runner::{Config, FileFailurePersistence, TestRunner},
};
use sqlx::{PgPool, SqlitePool};
use tokio::{runtime::Runtime, time::Instant};
use tower_webhooks::{
    clock::ClockOffset,
    send::{
        After, DeliveryQuery, DeliveryState, DisabledReason, Dispatched, EndpointDraft, EndpointId, EndpointSettings,
        Fault, Fenced, Finish, IN_FLIGHT, LeaseRequest, LeaseToken, Message, OutboxStore, Recover, Retention, Sealed,
        SentDeliveryId, Style, rest_after,
    },
    store::{MemoryOutbox, postgres::PostgresStoreOptions, sqlite::SqliteStoreOptions},
};

use crate::support::postgres_server::PostgresServer;

#[derive(Debug, Clone)]
enum Step {
    Cancel(Index),
    /// Gives an endpoint another rate limit.
    Change(Index, usize),
    /// Gives an endpoint another secret.
    Mend(Index),
    /// Gives an endpoint another URL.
    Move(Index),
    Create {
        tenant: usize,
        pattern: usize,
        limit: usize,
        in_order: bool,
    },
    Delete(Index),
    Dispatch(Vec<Sent>),
    DispatchTo(Index, Sent),
    Erase(usize),
    Finish {
        /// Which of all that was ever leased.
        which: Index,
        end: End,
        is_quick: bool,
        fault: Fault,
        /// For how many seconds the endpoint wants not to be asked.
        asks: Option<u64>,
    },
    Lease {
        limit: u32,
        unproven: u32,
    },
    Purge {
        days: u64,
    },
    Recover {
        endpoint: Index,
        /// In steps of time before now.
        since: u32,
        until: Option<u32>,
        limit: u32,
    },
    Resend(Index),
    Switch(Index, Option<DisabledReason>),
    /// In steps of time.
    Wait(u32),
}

/// A message. Of few ids and types, so that some are the same and some in conflict.
#[derive(Debug, Clone)]
struct Sent {
    tenant: usize,
    id: u32,
    event_type: usize,
}

#[derive(Debug, Clone, Copy)]
enum End {
    Delivered,
    Exhausted,
    Gone,
    Refused,
    Retry(u64),
    Unsent(u64),
}

const TENANTS: [&str; 2] = ["", "acme"];
const TYPES: [&str; 3] = ["order.completed", "order", "user.created"];
const PATTERNS: [&str; 4] = ["*", "order.*", "user.created", "order"];
const LIMITS: [Option<&str>; 4] = [None, Some("400/s"), Some("20/min"), Some("1/min")];
const TICK: Duration = Duration::from_secs(7);
const LEASE: Duration = Duration::from_secs(100);
const DAY: u64 = 24 * 60 * 60;
/// Seconds. No two of these and of the lease are apart by a multiple of a step: what is due then would be in the order of the
/// milliseconds by which the stores are asked one after the other.
const WAITS: [u64; 4] = [0, 5, 41, 3000];

fn step() -> impl Strategy<Value = Step> {
    let index = any::<Index>;
    let sent =
        || (0..2_usize, 0..40_u32, 0..3_usize).prop_map(|(tenant, id, event_type)| Sent { tenant, id, event_type });
    let wait = || prop::sample::select(WAITS.to_vec());
    let end = prop_oneof![
        6 => Just(End::Delivered),
        1 => Just(End::Exhausted),
        1 => Just(End::Gone),
        1 => Just(End::Refused),
        6 => wait().prop_map(End::Retry),
        1 => wait().prop_map(End::Unsent),
    ];
    let fault = prop_oneof![5 => Just(Fault::Endpoint), 1 => Just(Fault::Sender)];
    let asks = prop_oneof![6 => Just(None), 1 => Just(Some(40)), 1 => Just(Some(3000)), 1 => Just(Some(1_000_000))];
    let reason = prop_oneof![
        3 => Just(None),
        1 => Just(Some(DisabledReason::Asked)),
        1 => Just(Some(DisabledReason::Gone)),
    ];
    prop_oneof![
        1 => index().prop_map(Step::Cancel),
        1 => (index(), 0..4_usize).prop_map(|(which, limit)| Step::Change(which, limit)),
        1 => index().prop_map(Step::Mend),
        1 => index().prop_map(Step::Move),
        2 => (0..2_usize, 0..4_usize, 0..4_usize, prop::bool::weighted(0.25))
            .prop_map(|(tenant, pattern, limit, in_order)| Step::Create { tenant, pattern, limit, in_order }),
        1 => index().prop_map(Step::Delete),
        6 => prop::collection::vec(sent(), 1..6).prop_map(Step::Dispatch),
        1 => (index(), sent()).prop_map(|(which, sent)| Step::DispatchTo(which, sent)),
        1 => (0..8_usize).prop_map(Step::Erase),
        16 => (index(), end, any::<bool>(), fault, asks)
            .prop_map(|(which, end, is_quick, fault, asks)| Step::Finish { which, end, is_quick, fault, asks }),
        10 => (1..12_u32, 0..12_u32).prop_map(|(limit, unproven)| Step::Lease { limit, unproven: unproven.min(limit) }),
        1 => prop::sample::select(vec![0, 1, 8]).prop_map(|days| Step::Purge { days }),
        2 => (index(), 0..40_u32, prop::option::of(0..10_u32), 1..6_u32)
            .prop_map(|(endpoint, since, until, limit)| Step::Recover { endpoint, since, until, limit }),
        2 => index().prop_map(Step::Resend),
        2 => (index(), reason).prop_map(|(which, reason)| Step::Switch(which, reason)),
        4 => prop::sample::select(vec![1, 2, 15, 60, 1000, 30_000]).prop_map(Step::Wait),
    ]
}

/// A name of a delivery that is the same in all stores: its message and endpoint.
type Key = (String, String, EndpointId);

/// One store, and its numbers of the deliveries.
struct Store {
    name: &'static str,
    store: Box<dyn OutboxStore>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Time that passes as the test wants, whatever the clock does meanwhile.
struct Time {
    offset: ClockOffset,
    began: Instant,
    origin: SystemTime,
    ticks: u32,
}

impl Time {
    fn new() -> Self {
        let origin = SystemTime::UNIX_EPOCH + UNIX_EPOCH.elapsed().unwrap();
        Self { offset: ClockOffset::default(), began: Instant::now(), origin, ticks: 0 }
    }

    fn pass(&mut self, ticks: u32) {
        self.ticks += ticks;
        let is = self.began.elapsed() + Duration::from_millis(self.offset.as_millis().unsigned_abs());
        self.offset.advance((TICK * self.ticks).saturating_sub(is));
    }

    fn ago(&self, ticks: u32) -> SystemTime {
        // Between two steps.
        self.origin + TICK * self.ticks.saturating_sub(ticks) - TICK / 2
    }
}

/// A delivery as every store must show it, with its times in steps.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    state: DeliveryState,
    attempt: u32,
    due: Option<u64>,
    attempts: Vec<(u32, Option<String>, usize)>,
}

/// The expected state of an endpoint, by a simpler implementation of the contract than that of the stores.
#[derive(Debug, Clone, Default)]
struct Watched {
    failures: u32,
    /// The turn of the last failure that counted, or of a change after which earlier ones mean nothing.
    counted: u64,
    /// The turn in which it got its URL.
    moved: u64,
    /// In seconds.
    rests_until: u64,
    /// Failures since the last success, in seconds.
    failed: Vec<u64>,
    /// The waiting deliveries that a person has sent.
    urgent: BTreeSet<Key>,
    is_urgent: bool,
    is_limited: bool,
    is_in_order: bool,
}

struct World {
    stores: Vec<Store>,
    time: Time,
    endpoints: Vec<EndpointId>,
    watched: BTreeMap<EndpointId, Watched>,
    /// Grows with each step that leases, finishes or changes something.
    turn: u64,
    /// The leased deliveries, each with its token and the number of its lease.
    leased: Vec<(Key, LeaseToken, u64)>,
    /// The deliveries in flight, and the step at which each lease ends.
    in_flight: BTreeMap<Key, (LeaseToken, u32)>,
    notices: u32,
    /// Whether each lease asks for everything, so that unreadable rows take no share of it.
    is_wide: bool,
    /// Attempts grow old, each for itself or all of a message together.
    is_purged: bool,
}

/// Asks all stores the same, and fails if they do not all answer the same.
macro_rules! all {
    ($world:expr, $store:ident => $call:expr) => {{
        let mut answers = Vec::new();
        for $store in &$world.stores {
            answers.push(($store.name, $call));
        }
        for answer in &answers[1..] {
            assert_eq!(answer.1, answers[0].1, "{} answers otherwise than {}", answer.0, answers[0].0);
        }
        answers.swap_remove(0).1
    }};
}

impl World {
    /// The order key of a message: of few, and of some messages alone. How much of a share goes to endpoints of which everything waits
    /// for its turn is left to a store, so there are none where leases ask for less than all.
    fn key_of(&self, id: &str) -> Option<String> {
        let number: u32 = id.strip_prefix("msg-")?.parse().ok()?;
        (self.is_wide && !number.is_multiple_of(4)).then(|| format!("key-{}", number % 3))
    }

    fn message(&self, sent: &Sent) -> Message {
        let id = format!("msg-{}", sent.id).parse().unwrap();
        let mut message = Message::new(TYPES[sent.event_type], &sent.id).unwrap().id(id);
        if let Some(key) = self.key_of(message.message_id().as_str()) {
            message = message.order_key(key);
        }
        match TENANTS[sent.tenant] {
            "" => message,
            tenant => message.tenant(tenant),
        }
    }

    fn endpoint(&self, which: &Index) -> Option<EndpointId> {
        (!self.endpoints.is_empty()).then(|| *which.get(&self.endpoints))
    }

    async fn number(store: &Store, key: &Key) -> Option<SentDeliveryId> {
        let query = DeliveryQuery::default().message(key.1.clone()).endpoint(key.2);
        let found = store.store.deliveries(key.0.as_str().into(), query, 2).await.unwrap();
        assert!(found.len() <= 1);
        found.first().map(|found| found.id)
    }

    async fn step(&mut self, step: &Step) {
        match step {
            Step::Cancel(which) => {
                let Some(key) = self.any_delivery(which).await else { return };
                all!(self, store => {
                    let id = Self::number(store, &key).await.unwrap();
                    store.store.cancel(id).await.unwrap()
                });
            }
            Step::Change(which, limit) => {
                let Some(id) = self.endpoint(which) else { return };
                all!(self, store => {
                    match store.store.endpoint(id).await.unwrap() {
                        None => None,
                        Some(record) => {
                            let mut settings = record.settings;
                            settings.rate_limit = LIMITS[*limit].map(|limit| limit.parse().unwrap());
                            Some(store.store.change_endpoint(id, record.revision, settings).await.unwrap())
                        }
                    }
                });
                self.watched.entry(id).or_default().is_limited = LIMITS[*limit].is_some();
            }
            Step::Mend(which) | Step::Move(which) => {
                let Some(id) = self.endpoint(which) else { return };
                self.turn += 1;
                let (turn, is_moved) = (self.turn, matches!(step, Step::Move(_)));
                all!(self, store => {
                    match store.store.endpoint(id).await.unwrap() {
                        None => None,
                        Some(record) => {
                            let mut settings = record.settings;
                            if is_moved {
                                settings.url = format!("https://example.com/{turn}");
                            } else {
                                settings.sealed = Sealed::new("", turn.to_be_bytes().to_vec());
                            }
                            Some(store.store.change_endpoint(id, record.revision, settings).await.unwrap())
                        }
                    }
                });
                let watched = self.watched.entry(id).or_default();
                (watched.counted, watched.rests_until) = (turn, 0);
                if is_moved {
                    (watched.moved, watched.failures) = (turn, 0);
                    watched.failed.clear();
                }
            }
            Step::Create { tenant, pattern, limit, in_order } => {
                let sealed = Sealed::new("", &b"sealed"[..]);
                let patterns = vec![PATTERNS[*pattern].to_owned()];
                let mut settings =
                    EndpointSettings::new("https://example.com/", patterns, Style::StandardWebhooks, sealed);
                settings.rate_limit = LIMITS[*limit].map(|limit| limit.parse().unwrap());
                settings.in_order = *in_order;
                let id = EndpointId::random().unwrap();
                let draft = EndpointDraft::new(id, TENANTS[*tenant], settings);
                if all!(self, store => store.store.create_endpoint(draft.clone(), 4).await.unwrap().is_some()) {
                    self.endpoints.push(id);
                    let watched = self.watched.entry(id).or_default();
                    (watched.is_limited, watched.is_in_order) = (LIMITS[*limit].is_some(), *in_order);
                }
            }
            Step::Delete(which) => {
                let Some(id) = self.endpoint(which) else { return };
                all!(self, store => store.store.delete_endpoint(id).await.unwrap());
            }
            Step::Dispatch(sent) => {
                let mut messages: Vec<_> = sent.iter().map(|sent| self.message(sent)).collect();
                // PostgreSQL recovers those that were dispatched together in this order.
                messages.sort_by_key(|message| {
                    (message.tenant_name().map(str::to_owned), message.message_id().to_string())
                });
                all!(self, store => {
                    let answers = store.store.dispatch(messages.clone()).await.unwrap();
                    // With a conflict in the call nothing is stored, and a store need not check the other messages.
                    (!answers.contains(&Dispatched::Conflict)).then_some(answers)
                });
            }
            Step::DispatchTo(which, sent) => {
                let Some(id) = self.endpoint(which) else { return };
                let message = self.message(sent);
                let name = message.message_id().to_string();
                let key = (message.tenant_name().unwrap_or_default().to_owned(), name, id);
                let is_known = Self::number(&self.stores[0], &key).await.is_some();
                let made = all!(self, store => store.store.dispatch_to(id, message.clone()).await.unwrap().is_some());
                if made && !is_known {
                    self.goes_first(key).await;
                }
            }
            Step::Erase(tenant) => {
                // Of 8 numbers 2 are tenants: it leaves little for the rest.
                let Some(tenant) = TENANTS.get(*tenant) else { return };
                all!(self, store => while store.store.erase((*tenant).into(), 3).await.unwrap() > 0 {});
                self.in_flight.retain(|(of, ..), _| of != tenant);
            }
            Step::Finish { which, end, is_quick, fault, asks } => {
                if self.leased.is_empty() {
                    return;
                }
                let leased = which.get(&self.leased).clone();
                self.finish(&leased, *end, *is_quick, *fault, *asks).await;
            }
            Step::Lease { limit, unproven } => {
                let (limit, unproven) = if self.is_wide { (100, 100) } else { (*limit, *unproven) };
                self.lease(limit, unproven).await;
            }
            Step::Purge { days } => {
                let mut retention = Retention::default();
                self.is_purged = true;
                // No multiples of a step.
                retention.content = Duration::from_secs(days * DAY / 2 + 1);
                retention.rows = Duration::from_secs(days * DAY + 3);
                all!(self, store => while store.store.purge(retention, 100).await.unwrap() > 0 {});
            }
            Step::Recover { endpoint, since, until, limit } => {
                let Some(id) = self.endpoint(endpoint) else { return };
                let mut recover = Recover::new(self.time.ago(*since));
                recover.until = until.map(|until| self.time.ago(until));
                let mut after = vec![recover.after; self.stores.len()];
                // Each page is recovered at another moment: deliveries that are due at the same moment are in the order
                // of their numbers.
                loop {
                    let mut place = 0..;
                    let is_more = all!(self, store => {
                        let after = &mut after[place.next().unwrap()];
                        recover.after = *after;
                        let recovered = store.store.recover(id, recover, *limit).await.unwrap();
                        *after = recovered.next;
                        (recovered.deliveries, after.is_some())
                    });
                    if !is_more.1 {
                        break;
                    }
                    self.time.pass(1);
                }
            }
            Step::Resend(which) => {
                let Some(key) = self.any_delivery(which).await else { return };
                let is_resent = all!(self, store => {
                    let id = Self::number(store, &key).await.unwrap();
                    store.store.resend(id).await.unwrap()
                });
                if is_resent {
                    self.goes_first(key).await;
                }
            }
            Step::Switch(which, reason) => {
                let Some(id) = self.endpoint(which) else { return };
                all!(self, store => store.store.switch_endpoint(id, *reason).await.unwrap());
                if reason.is_none() {
                    self.is_enabled(id);
                }
            }
            Step::Wait(ticks) => self.time.pass(*ticks),
        }
    }

    async fn any_delivery(&self, which: &Index) -> Option<Key> {
        let keys: Vec<_> = self.deliveries(&self.stores[0]).await.into_keys().collect();
        (!keys.is_empty()).then(|| which.get(&keys).clone())
    }

    /// An endpoint starts with a clean count.
    fn is_enabled(&mut self, id: EndpointId) {
        self.turn += 1;
        let turn = self.turn;
        let watched = self.watched.entry(id).or_default();
        (watched.counted, watched.failures, watched.rests_until) = (turn, 0, 0);
        watched.failed.clear();
    }

    /// A delivery that a person sends is leased at once, before all that wait, unless its endpoint is at its limit.
    async fn goes_first(&mut self, key: Key) {
        let record = self.stores[0].store.endpoint(key.2).await.unwrap().unwrap();
        if record.disabled.is_some() {
            return;
        }
        let in_flight = self.of_endpoint(key.2).count();
        let order_key = self.key_of(&key.1);
        let is_beside = order_key.is_some() && self.of_endpoint(key.2).any(|other| self.key_of(&other.1) == order_key);
        let watched = self.watched.entry(key.2).or_default();
        watched.urgent.insert(key.clone());
        watched.is_urgent = true;
        let most = if watched.is_in_order || watched.failures >= 5 { 1 } else { IN_FLIGHT as usize };
        let others = watched.urgent.len();
        if in_flight < most && !watched.is_limited && !is_beside && others == 1 {
            let leased = self.lease(100, 100).await;
            assert!(leased.iter().any(|(leased, ..)| *leased == key), "{key:?} waits, as {leased:?} were leased");
        }
    }

    /// The deliveries in flight of an endpoint.
    fn of_endpoint(&self, id: EndpointId) -> impl Iterator<Item = &Key> {
        let now = self.time.ticks;
        self.in_flight.iter().filter(move |(key, (_, until))| key.2 == id && *until >= now).map(|(key, _)| key)
    }

    /// Notes what an attempt says of its endpoint.
    fn watch(&mut self, id: EndpointId, leased_in: u64, end: End, fault: Fault, asks: Option<u64>) {
        let (turn, now) = (self.turn, u64::from(self.time.ticks) * TICK.as_secs());
        let watched = self.watched.entry(id).or_default();
        if leased_in < watched.moved {
            return;
        }
        let is_late = leased_in < watched.counted;
        if let (true, End::Retry(wait)) = (watched.is_in_order, end) {
            watched.rests_until = watched.rests_until.max(now + wait);
        }
        match end {
            End::Unsent(wait) => watched.rests_until = watched.rests_until.max(now + wait),
            _ if fault == Fault::Sender => {}
            End::Delivered => {
                watched.failures = 0;
                watched.failed.clear();
                if !is_late {
                    watched.rests_until = 0;
                }
            }
            End::Gone => {}
            End::Exhausted | End::Refused | End::Retry(_) => {
                if !is_late {
                    watched.counted = turn;
                    watched.failures += 1;
                    watched.rests_until = watched.rests_until.max(now + rest_after(watched.failures).as_secs());
                }
                if let Some(asks) = asks {
                    watched.rests_until = watched.rests_until.max(now + asks.min(3600));
                }
                watched.failed.push(now);
            }
        }
    }

    async fn finish(
        &mut self,
        (key, token, leased_in): &(Key, LeaseToken, u64),
        end: End,
        is_quick: bool,
        fault: Fault,
        asks: Option<u64>,
    ) {
        let token = *token;
        self.notices += 1;
        self.turn += 1;
        let after = match end {
            End::Delivered => After::Delivered,
            End::Exhausted => After::Exhausted,
            End::Gone => After::Gone,
            End::Refused => After::Refused,
            End::Retry(wait) => After::Retry { wait: Duration::from_secs(wait) },
            End::Unsent(wait) => After::Unsent { wait: Duration::from_secs(wait) },
        };
        let mut finish = Finish::new(after);
        finish.fault = fault;
        finish.duration = Duration::from_millis(if is_quick { 5 } else { 5000 });
        finish.status = Some(500);
        finish.error = Some("status");
        finish.answer = "no".into();
        finish.disable_after = Duration::from_secs(DAY);
        finish.retry_after = asks.map(Duration::from_secs);
        let notice =
            Message::new("order.disabled", &1).unwrap().id(format!("notice-{}", self.notices).parse().unwrap());
        finish.notice = Some(if key.0.is_empty() { notice } else { notice.tenant(key.0.clone()) });
        let (fenced, disabled) = all!(self, store => match Self::number(store, key).await {
            Some(id) => store.store.finish(id, token, finish.clone()).await.unwrap(),
            None => (Fenced::Stale, None),
        });
        assert!(fenced == Fenced::Applied || disabled.is_none());
        if fenced == Fenced::Applied {
            let (owner, _) = self.in_flight.remove(key).unwrap();
            assert_eq!(owner, token, "only the last lease's owner writes");
            self.watch(key.2, *leased_in, end, fault, asks);
            let watched = &self.watched[&key.2];
            let failed = &watched.failed;
            match disabled {
                // The reason must be about the attempted URL, and needs several failures over a whole day.
                Some(_) if *leased_in < watched.moved => panic!("{key:?} is disabled by another URL"),
                Some(DisabledReason::Failing) => {
                    let mut apart = vec![failed[0]];
                    for at in failed {
                        if at - apart[apart.len() - 1] >= DAY / 10 {
                            apart.push(*at);
                        }
                    }
                    assert!(apart.len() >= 5 && failed[failed.len() - 1] - failed[0] >= DAY, "{failed:?}");
                }
                _ => {}
            }
        }
    }

    async fn lease(&mut self, limit: u32, unproven: u32) -> Vec<(Key, LeaseToken, u64)> {
        self.turn += 1;
        let token = LeaseToken::random().unwrap();
        let mut request = LeaseRequest::new(token, LEASE, limit);
        request.unproven = unproven;
        let leased = all!(self, store => {
            let leases = store.store.lease(request.clone()).await.unwrap();
            let mut leased: Vec<_> = leases
                .deliveries
                .iter()
                .map(|leased| {
                    let tenant = leased.message.tenant_name().unwrap_or_default().to_owned();
                    let endpoint = &leased.endpoint;
                    assert!(endpoint.disabled.is_none() && *endpoint.tenant == *tenant);
                    let key = (tenant, leased.message.message_id().to_string(), endpoint.id);
                    (key, leased.attempt, endpoint.proven, endpoint.failures, endpoint.revision)
                })
                .collect();
            leased.sort();
            leased
        });
        assert!(leased.len() <= limit as usize);
        assert!(leased.iter().filter(|(_, _, proven, ..)| !proven).count() <= unproven as usize);
        let until = self.time.ticks + u32::try_from(LEASE.as_secs() / TICK.as_secs()).unwrap();
        for (key, _, _, failures, _) in &leased {
            let before = self.in_flight.insert(key.clone(), (token, until));
            assert!(before.is_none_or(|(_, until)| until < self.time.ticks), "{key:?} is leased twice");
            let of_it =
                self.in_flight.iter().filter(|(other, (_, until))| other.2 == key.2 && *until >= self.time.ticks);
            let is_in_order = self.watched.get(&key.2).is_some_and(|watched| watched.is_in_order);
            let most = if is_in_order || *failures >= 5 { 1 } else { IN_FLIGHT as usize };
            // Those that were leased before it failed are still in flight.
            let fresh = leased.iter().filter(|(other, ..)| other.2 == key.2).count();
            let of_it = of_it.count();
            assert!(of_it <= most || (of_it <= IN_FLIGHT as usize && fresh == 0), "{of_it} in flight, at most {most}");
        }
        for (key, ..) in &leased {
            let Some(order_key) = self.key_of(&key.1) else { continue };
            let beside = self.of_endpoint(key.2).filter(|other| self.key_of(&other.1).as_ref() == Some(&order_key));
            assert_eq!(beside.count(), 1, "{key:?} is sent beside another one with its key");
        }
        let now = u64::from(self.time.ticks) * TICK.as_secs();
        for (key, ..) in &leased {
            let watched = self.watched.entry(key.2).or_default();
            watched.urgent.remove(key);
            assert!(now >= watched.rests_until || watched.is_urgent, "{key:?} is leased in a rest: {watched:?}");
        }
        for (key, ..) in &leased {
            let watched = self.watched.entry(key.2).or_default();
            watched.is_urgent = !watched.urgent.is_empty();
        }
        let turn = self.turn;
        let leased: Vec<_> = leased.into_iter().map(|(key, ..)| (key, token, turn)).collect();
        self.leased.extend(leased.iter().cloned());
        leased
    }

    async fn deliveries(&self, store: &Store) -> BTreeMap<Key, Seen> {
        let mut all = BTreeMap::new();
        for tenant in TENANTS {
            for record in store.store.deliveries(tenant.into(), DeliveryQuery::default(), 10_000).await.unwrap() {
                let attempts = store.store.attempts(record.id).await.unwrap();
                let attempts =
                    attempts.into_iter().map(|attempt| (attempt.attempt, attempt.error, attempt.answer.len()));
                let due = record.due_at.map(|at| {
                    // Rounded, since the stores' clocks differ by less than a second.
                    let due = at.duration_since(self.time.origin).unwrap_or_default() + Duration::from_millis(500);
                    due.as_secs()
                });
                let attempts = if self.is_purged { Vec::new() } else { attempts.collect() };
                let seen = Seen { state: record.state, attempt: record.attempt, due, attempts };
                let key = (tenant.to_owned(), record.message, record.endpoint);
                assert!(all.insert(key, seen).is_none(), "a message has one delivery for an endpoint");
            }
        }
        all
    }

    /// What all stores show, which has to be the same.
    async fn look(&self) -> BTreeMap<Key, Seen> {
        for tenant in TENANTS {
            for record in self.stores[0].store.endpoints(Some(tenant.into()), None, 100).await.unwrap() {
                let wanted = self.watched.get(&record.id).map_or(0, |watched| watched.failures);
                assert_eq!(record.failures, wanted, "of what is in flight together, one counts");
            }
            all!(self, store => {
                let records = store.store.endpoints(Some(tenant.into()), None, 100).await.unwrap();
                let shown = records.into_iter().map(|record| {
                    let is_failing = record.failing_since.is_some();
                    (record.id, record.disabled, record.failures, is_failing, record.proven, record.revision)
                });
                shown.collect::<Vec<_>>()
            });
        }
        all!(self, store => self.deliveries(store).await)
    }

    /// All that waits for an endpoint that is enabled is sent, now that everything succeeds.
    async fn drain(&mut self) {
        for id in self.endpoints.clone() {
            all!(self, store => store.store.switch_endpoint(id, None).await.unwrap());
            self.is_enabled(id);
        }
        for _ in 0..2000 {
            self.time.pass(10);
            for leased in self.lease(100, 100).await {
                self.finish(&leased, End::Delivered, true, Fault::Endpoint, None).await;
            }
            let seen = self.look_briefly().await;
            if !seen {
                break;
            }
        }
        // The leases of workers that died have to end first.
        self.time.pass(20);
        let retention = Retention::default();
        all!(self, store => while store.store.purge(retention, 100).await.unwrap() > 0 {});
        for (key, seen) in self.look().await {
            let ended = !matches!(seen.state, DeliveryState::Held | DeliveryState::Pending | DeliveryState::Sending);
            assert!(ended, "{key:?} is stuck: {seen:?}");
        }
        for tenant in TENANTS {
            all!(self, store => while store.store.erase(tenant.into(), 100).await.unwrap() > 0 {});
        }
        assert!(self.look().await.is_empty());
    }

    /// Whether any waiting delivery may be sent.
    async fn look_briefly(&self) -> bool {
        let store = &self.stores[0].store;
        for tenant in TENANTS {
            for state in [DeliveryState::Pending, DeliveryState::Sending] {
                let waiting =
                    store.deliveries(tenant.into(), DeliveryQuery::default().state(state), 1000).await.unwrap();
                for record in waiting {
                    if store.endpoint(record.endpoint).await.unwrap().is_some() {
                        return true;
                    }
                }
            }
        }
        false
    }
}

async fn run(stores: Vec<Store>, time: Time, is_wide: bool, steps: &[Step]) {
    let mut world = World {
        stores,
        time,
        endpoints: Vec::new(),
        watched: BTreeMap::new(),
        turn: 0,
        leased: Vec::new(),
        in_flight: BTreeMap::new(),
        notices: 0,
        is_wide,
        is_purged: false,
    };
    for step in steps {
        world.time.pass(1);
        world.step(step).await;
        world.look().await;
    }
    world.drain().await;
}

fn histories(cases: u32, is_wide: bool, open: impl AsyncFn(ClockOffset) -> Store) {
    let long = std::env::var_os("TOWER_WEBHOOKS_LONG").is_some_and(|value| value == "1");
    let config = Config {
        cases: if long { cases * 20 } else { cases },
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        max_shrink_iters: 300,
        ..Config::default()
    };
    let runtime = Runtime::new().unwrap();
    let done = TestRunner::new(config).run(&prop::collection::vec(step(), 1..120), |steps| {
        runtime.block_on(async {
            let time = Time::new();
            let memory = Store { name: "memory", store: Box::new(MemoryOutbox::with_offset(time.offset.clone())) };
            let other = open(time.offset.clone()).await;
            run(vec![memory, other], time, is_wide, &steps).await;
        });
        Ok(())
    });
    if let Err(error) = done {
        panic!("{error}");
    }
}

/// Adds an endpoint and a message that this version cannot read, each with a delivery that is due, in a tenant of their
/// own.
async fn beside_what_cannot_be_read(store: &dyn OutboxStore, damage: impl AsyncFn(&'static str, String)) {
    let mut ids = Vec::new();
    for _ in 0..2 {
        let sealed = Sealed::new("", &b"sealed"[..]);
        let settings = EndpointSettings::new("https://example.com/", vec!["*".into()], Style::StandardWebhooks, sealed);
        let id = EndpointId::random().unwrap();
        store.create_endpoint(EndpointDraft::new(id, "unreadable", settings), 4).await.unwrap();
        ids.push(id.to_string());
    }
    let message = Message::new("order", &1).unwrap().tenant("unreadable");
    let name = message.message_id().to_string();
    store.dispatch(vec![message]).await.unwrap();
    damage("UPDATE webhook_outbox_endpoints SET rate_limit = '5/h' WHERE id = $1", ids.remove(0)).await;
    damage("UPDATE webhook_outbox_messages SET event_type = 'two words' WHERE id = $1", name).await;
}

#[test]
fn sqlite_does_what_memory_does() {
    histories(60, false, async |offset| {
        let options = SqliteStoreOptions::new().clock_offset(offset);
        Store { name: "SQLite", store: Box::new(options.connect("sqlite::memory:").await.unwrap()) }
    });
}

#[test]
fn sqlite_does_what_memory_does_beside_what_it_cannot_read() {
    let folder = tempfile::tempdir().unwrap();
    let count = AtomicUsize::new(0);
    histories(30, true, async |offset| {
        let file = folder.path().join(format!("{}.db", count.fetch_add(1, Ordering::Relaxed)));
        let url = format!("sqlite://{}", file.display());
        let store = SqliteStoreOptions::new().clock_offset(offset).connect(&url).await.unwrap();
        let pool = SqlitePool::connect(&url).await.unwrap();
        beside_what_cannot_be_read(&store, async |statement, value| {
            assert_eq!(sqlx::query(statement).bind(value).execute(&pool).await.unwrap().rows_affected(), 1);
        })
        .await;
        pool.close().await;
        Store { name: "SQLite", store: Box::new(store) }
    });
}

#[test]
fn postgres_does_what_memory_does() {
    let server = PostgresServer::shared();
    histories(12, false, async |offset| {
        let options = PostgresStoreOptions::new().clock_offset(offset);
        Store { name: "PostgreSQL", store: Box::new(options.connect(&server.database().await).await.unwrap()) }
    });
}

#[test]
fn postgres_does_what_memory_does_beside_what_it_cannot_read() {
    let server = PostgresServer::shared();
    histories(10, true, async |offset| {
        let options = PostgresStoreOptions::new().clock_offset(offset);
        let url = server.database().await;
        let store = options.connect(&url).await.unwrap();
        let pool = PgPool::connect(&url).await.unwrap();
        beside_what_cannot_be_read(&store, async |statement, value| {
            assert_eq!(sqlx::query(statement).bind(value).execute(&pool).await.unwrap().rows_affected(), 1);
        })
        .await;
        pool.close().await;
        Store { name: "PostgreSQL", store: Box::new(store) }
    });
}
