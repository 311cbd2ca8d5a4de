//! Random histories of an outbox: every store answers as the one in memory does, which a reader can check by eye. What is
//! promised holds in all of them, and in the end nothing is stuck.
//!
//! Stores decide by clocks that stand a little apart, so time passes in steps of seven seconds, and nothing that they wait for
//! is a multiple of that.

#![allow(clippy::unwrap_used)] // The helpers of tests are tests.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use proptest::{
    prelude::*,
    sample::Index,
    test_runner::{Config, FileFailurePersistence, TestRunner},
};
use tokio::{runtime::Runtime, time::Instant};
use tower_webhooks::{
    clock::ClockOffset,
    send::{
        After, DeliveryQuery, DeliveryState, DisabledReason, Dispatched, EndpointDraft, EndpointId, EndpointSettings,
        Fault, Fenced, Finish, IN_FLIGHT, LeaseRequest, LeaseToken, Message, OutboxId, OutboxStore, Recover, Retention,
        Sealed, Style,
    },
    store::{MemoryOutbox, postgres::PostgresStoreOptions, sqlite::SqliteStoreOptions},
};

use crate::support::postgres_server::PostgresServer;

#[allow(dead_code)] // Each test binary takes what it needs.
mod support {
    pub(crate) mod postgres_server;
    pub(crate) mod process;
}

#[derive(Debug, Clone)]
enum Step {
    Cancel(Index),
    /// Gives an endpoint another rate limit.
    Change(Index, usize),
    Create {
        tenant: usize,
        pattern: usize,
        limit: usize,
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
/// Seconds, and no multiples of seven.
const WAITS: [u64; 4] = [0, 5, 40, 3000];

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
    let reason = prop_oneof![
        3 => Just(None),
        1 => Just(Some(DisabledReason::Asked)),
        1 => Just(Some(DisabledReason::Gone)),
    ];
    prop_oneof![
        1 => index().prop_map(Step::Cancel),
        1 => (index(), 0..4_usize).prop_map(|(which, limit)| Step::Change(which, limit)),
        2 => (0..2_usize, 0..4_usize, 0..4_usize)
            .prop_map(|(tenant, pattern, limit)| Step::Create { tenant, pattern, limit }),
        1 => index().prop_map(Step::Delete),
        6 => prop::collection::vec(sent(), 1..6).prop_map(Step::Dispatch),
        1 => (index(), sent()).prop_map(|(which, sent)| Step::DispatchTo(which, sent)),
        1 => (0..8_usize).prop_map(Step::Erase),
        16 => (index(), end, any::<bool>(), fault)
            .prop_map(|(which, end, is_quick, fault)| Step::Finish { which, end, is_quick, fault }),
        10 => (1..12_u32, 0..12_u32).prop_map(|(limit, unproven)| Step::Lease { limit, unproven: unproven.min(limit) }),
        1 => prop::sample::select(vec![0, 1, 8]).prop_map(|days| Step::Purge { days }),
        2 => (index(), 0..40_u32, prop::option::of(0..10_u32), 1..6_u32)
            .prop_map(|(endpoint, since, until, limit)| Step::Recover { endpoint, since, until, limit }),
        2 => index().prop_map(Step::Resend),
        2 => (index(), reason).prop_map(|(which, reason)| Step::Switch(which, reason)),
        4 => prop::sample::select(vec![1, 2, 15, 60, 1000, 30_000]).prop_map(Step::Wait),
    ]
}

/// What is the same in all stores: a delivery's message and endpoint.
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

/// A delivery as every store has to show it, its times in steps.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    state: DeliveryState,
    attempt: u32,
    due: Option<u64>,
    attempts: Vec<(u32, Option<String>, usize)>,
}

struct World {
    stores: Vec<Store>,
    time: Time,
    endpoints: Vec<EndpointId>,
    /// What was leased: when, and by which token.
    leased: Vec<(Key, LeaseToken)>,
    /// Until when what is in flight is, in steps.
    in_flight: BTreeMap<Key, (LeaseToken, u32)>,
    notices: u32,
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
    fn message(sent: &Sent) -> Message {
        let id = format!("msg-{}", sent.id).parse().unwrap();
        let message = Message::new(TYPES[sent.event_type], &sent.id).unwrap().id(id);
        match TENANTS[sent.tenant] {
            "" => message,
            tenant => message.tenant(tenant),
        }
    }

    fn endpoint(&self, which: &Index) -> Option<EndpointId> {
        (!self.endpoints.is_empty()).then(|| *which.get(&self.endpoints))
    }

    async fn number(store: &Store, key: &Key) -> Option<OutboxId> {
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
            }
            Step::Create { tenant, pattern, limit } => {
                let sealed = Sealed::new("", &b"sealed"[..]);
                let patterns = vec![PATTERNS[*pattern].to_owned()];
                let mut settings =
                    EndpointSettings::new("https://example.com/", patterns, Style::StandardWebhooks, sealed);
                settings.rate_limit = LIMITS[*limit].map(|limit| limit.parse().unwrap());
                let id = EndpointId::random().unwrap();
                let draft = EndpointDraft::new(id, TENANTS[*tenant], settings);
                if all!(self, store => store.store.create_endpoint(draft.clone(), 4).await.unwrap().is_some()) {
                    self.endpoints.push(id);
                }
            }
            Step::Delete(which) => {
                let Some(id) = self.endpoint(which) else { return };
                all!(self, store => store.store.delete_endpoint(id).await.unwrap());
            }
            Step::Dispatch(sent) => {
                let mut messages: Vec<_> = sent.iter().map(Self::message).collect();
                // PostgreSQL recovers those that were dispatched together in this order.
                messages.sort_by_key(|message| {
                    (message.tenant_name().map(str::to_owned), message.message_id().to_string())
                });
                all!(self, store => {
                    let answers = store.store.dispatch(messages.clone()).await.unwrap();
                    // Beside a conflict, how many deliveries the others have is not told.
                    let conflict = answers.contains(&Dispatched::Conflict);
                    let answers = answers.into_iter();
                    answers.filter(|answer| !conflict || *answer == Dispatched::Conflict).collect::<Vec<_>>()
                });
            }
            Step::DispatchTo(which, sent) => {
                let Some(id) = self.endpoint(which) else { return };
                all!(self, store => store.store.dispatch_to(id, Self::message(sent)).await.unwrap().is_some());
            }
            Step::Erase(tenant) => {
                // Of 8 numbers 2 are tenants: it leaves little for the rest.
                let Some(tenant) = TENANTS.get(*tenant) else { return };
                all!(self, store => while store.store.erase((*tenant).into(), 3).await.unwrap() > 0 {});
                self.in_flight.retain(|(of, ..), _| of != tenant);
            }
            Step::Finish { which, end, is_quick, fault } => {
                if self.leased.is_empty() {
                    return;
                }
                let (key, token) = which.get(&self.leased).clone();
                self.finish(&key, token, *end, *is_quick, *fault).await;
            }
            Step::Lease { limit, unproven } => {
                self.lease(*limit, *unproven).await;
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
                all!(self, store => {
                    let (mut recover, mut count) = (recover, 0);
                    loop {
                        let recovered = store.store.recover(id, recover, *limit).await.unwrap();
                        count += recovered.deliveries;
                        recover.after = recovered.next;
                        if recovered.next.is_none() {
                            break count;
                        }
                    }
                });
            }
            Step::Resend(which) => {
                let Some(key) = self.any_delivery(which).await else { return };
                all!(self, store => {
                    let id = Self::number(store, &key).await.unwrap();
                    store.store.resend(id).await.unwrap()
                });
            }
            Step::Switch(which, reason) => {
                let Some(id) = self.endpoint(which) else { return };
                all!(self, store => store.store.switch_endpoint(id, *reason).await.unwrap());
            }
            Step::Wait(ticks) => self.time.pass(*ticks),
        }
    }

    async fn any_delivery(&self, which: &Index) -> Option<Key> {
        let keys: Vec<_> = self.deliveries(&self.stores[0]).await.into_keys().collect();
        (!keys.is_empty()).then(|| which.get(&keys).clone())
    }

    async fn finish(&mut self, key: &Key, token: LeaseToken, end: End, is_quick: bool, fault: Fault) {
        self.notices += 1;
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
        }
    }

    async fn lease(&mut self, limit: u32, unproven: u32) -> Vec<(Key, LeaseToken)> {
        let token = LeaseToken::random().unwrap();
        let mut request = LeaseRequest::new(token, LEASE, limit);
        request.unproven = unproven;
        let leased = all!(self, store => {
            let leases = store.store.lease(request).await.unwrap();
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
            let most = if *failures >= 5 { 1 } else { IN_FLIGHT as usize };
            // Those that were leased before it failed are in flight all the same.
            let fresh = leased.iter().filter(|(other, ..)| other.2 == key.2).count();
            let of_it = of_it.count();
            assert!(of_it <= most || (of_it <= IN_FLIGHT as usize && fresh == 0), "{of_it} in flight, at most {most}");
        }
        let leased: Vec<_> = leased.into_iter().map(|(key, ..)| (key, token)).collect();
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
                    // Rounded: stores stand less than a second apart.
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
        }
        for _ in 0..2000 {
            self.time.pass(10);
            for (key, token) in self.lease(100, 100).await {
                self.finish(&key, token, End::Delivered, true, Fault::Endpoint).await;
            }
            let seen = self.look_briefly().await;
            if !seen {
                break;
            }
        }
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

    /// Whether anything waits that somebody may send.
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

async fn run(stores: Vec<Store>, time: Time, steps: &[Step]) {
    let mut world = World {
        stores,
        time,
        endpoints: Vec::new(),
        leased: Vec::new(),
        in_flight: BTreeMap::new(),
        notices: 0,
        is_purged: false,
    };
    for step in steps {
        world.time.pass(1);
        world.step(step).await;
        world.look().await;
    }
    world.drain().await;
}

fn histories(cases: u32, most: usize, open: impl AsyncFn(ClockOffset) -> Store) {
    let long = std::env::var_os("TOWER_WEBHOOKS_LONG").is_some_and(|value| value == "1");
    let config = Config {
        cases: if long { cases * 20 } else { cases },
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        max_shrink_iters: 300,
        ..Config::default()
    };
    let runtime = Runtime::new().unwrap();
    let done = TestRunner::new(config).run(&prop::collection::vec(step(), 1..most), |steps| {
        runtime.block_on(async {
            let time = Time::new();
            let memory = Store { name: "memory", store: Box::new(MemoryOutbox::with_offset(time.offset.clone())) };
            let other = open(time.offset.clone()).await;
            run(vec![memory, other], time, &steps).await;
        });
        Ok(())
    });
    if let Err(error) = done {
        panic!("{error}");
    }
}

#[test]
fn sqlite_does_what_memory_does() {
    histories(60, 120, async |offset| {
        let options = SqliteStoreOptions::new().clock_offset(offset);
        Store { name: "SQLite", store: Box::new(options.connect("sqlite::memory:").await.unwrap()) }
    });
}

#[test]
fn postgres_does_what_memory_does() {
    let server = PostgresServer::shared();
    histories(12, 120, async |offset| {
        let options = PostgresStoreOptions::new().clock_offset(offset);
        Store { name: "PostgreSQL", store: Box::new(options.connect(&server.database().await).await.unwrap()) }
    });
}
