//! Random histories of deliveries, failures, crashes and outages beside a reference that a reader can check by eye:
//! every answer is predicted, every acknowledged event has run, and nothing of a request is kept after it.
//!
//! Deliveries come with an id, without one, or with two; with bodies that repeat; of API versions that a handler names
//! and of others; alone and in batches, whose items end in different ways and of which a crash leaves a part; with a
//! guard against replays and without. Handlers overlap, renew their claims, and end in every way there is.

use std::{
    any::Any,
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Request, StatusCode},
    routing::post,
};
use proptest::{prelude::*, test_runner::Config};
use sha2::{Digest, Sha256};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};
use tower::ServiceExt;
use tower_webhooks::{
    BoxFuture, Claim, EventRouter, Scheme, Secret, WebhookLayer,
    clock::ClockOffset,
    error::StoreError,
    idempotency::{
        ClaimKey, ClaimOutcome, ClaimRequest, ClaimToken, Completion, Fenced, Fingerprint, IdempotencyLayer,
        IdempotencyStore, MissingId,
    },
    scheme::{Field, Form},
    store::MemoryStore,
    transaction::StoreTransaction,
};

use crate::support::{
    watched::{Call, Failure, Watched},
    web::{SECRET, signature},
};

/// How the application has set things up.
#[derive(Debug, Clone, Copy)]
struct Setup {
    /// `None` for the choice of the scheme.
    missing_id: Option<MissingId>,
    bodies_are_unique: bool,
    has_guard: bool,
    /// Whether the items of a batch are signed, and with them the ids that they hold.
    signs_items: bool,
}

/// The id of a delivery.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Id {
    Absent,
    Is(u8),
    Twice,
}

#[derive(Debug, Clone, Copy)]
struct Delivery {
    id: Id,
    body: u8,
    version: u8,
}

/// An item of a batch.
#[derive(Debug, Clone, Copy)]
struct Item {
    id: Option<u8>,
    body: u8,
}

/// The parts of an item or a delivery that matter for its claim.
#[derive(Debug, Clone, Copy)]
struct Subject {
    id: Id,
    content: Content,
    id_is_signed: bool,
}

/// The bytes. An item contains its id itself; without one its bytes are those of a single delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Content {
    id: Option<u8>,
    body: u8,
}

#[derive(Debug, Clone)]
enum Step {
    /// The sender sends it, or sends it again, and its handler stays at work.
    Begin(Delivery),
    /// It comes to another process, which is killed in its handler.
    Crash(Delivery),
    /// It comes, and its handler ends.
    Deliver(Delivery, End),
    /// Items come in one request, and the handler of each ends.
    Batch(Vec<(Item, End)>),
    /// They come to another process, which is killed in the handler of one of them, with those before it done.
    CrashInBatch(Vec<Item>, usize),
    /// One of the handlers at work ends.
    Finish(usize, End),
    /// One of the handlers at work renews its claim.
    Renew(usize),
    /// So many days pass.
    Wait(u32),
}

/// What meets a delivery whose handler runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Commits,
    CommitsAndFails,
    /// By a timeout of the handler's own, which then answers a success.
    DropsCommit,
    DropsCommitUnpolled,
    Fails,
    ForgetsCommit,
    Panics,
    Succeeds,
    /// A call of the store fails, after so many of its kind that do not. The handler succeeds, or fails where the call is one
    /// that gives a claim back.
    StoreFails(Call, usize, Failure),
    /// The commit is made, but this cannot be confirmed.
    StoreFailsAtCheck,
}

// The reference, in days.

const LEASE: u32 = 12;
const GUARD: u32 = 50;
const RETENTION: u32 = 100;
/// A body that replaces an id is kept for this long, also with a longer retention.
const BODY: u32 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Body(Content),
    Guard(Content),
    Id(u8),
}

#[derive(Debug, Clone, Copy, Default)]
struct Record {
    attempts: u32,
    state: Phase,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
enum Phase {
    Done {
        until: u32,
    },
    #[default]
    Free,
    Held {
        owner: usize,
        until: u32,
    },
}

/// A run of a handler.
#[derive(Debug, Clone, Copy)]
struct Run {
    number: usize,
    attempt: Option<u32>,
    key: Option<Key>,
    guard: Option<Key>,
}

/// The reference's decision about a delivery.
enum Verdict {
    Answered(u16),
    Runs(Run),
}

struct Reference {
    setup: Setup,
    now: u32,
    runs: usize,
    records: HashMap<Key, Record>,
}

impl Reference {
    fn keys(&self, subject: Subject) -> Result<(Option<Key>, Option<Key>), u16> {
        // If the id is signed, a delivery cannot be sent under another id.
        let is_bound = subject.id_is_signed && matches!(subject.id, Id::Is(_));
        let guard = (self.setup.has_guard && !is_bound).then_some(Key::Guard(subject.content));
        let by_scheme = if self.setup.bodies_are_unique { MissingId::BodyDigest } else { MissingId::Skip };
        match (subject.id, self.setup.missing_id.unwrap_or(by_scheme)) {
            (Id::Is(id), _) => Ok((Some(Key::Id(id)), guard)),
            (_, MissingId::BodyDigest) => Ok((Some(Key::Body(subject.content)), guard)),
            (_, MissingId::Skip) => Ok((guard, None)),
            (_, _) => Err(400),
        }
    }

    /// Returns the answer that a delivery must get, or the attempt that must run for it. With `failing`, so many claims
    /// succeed, then one fails.
    fn arrives(&mut self, subject: Subject, failing: Option<(usize, Failure)>) -> Verdict {
        let (key, guard) = match self.keys(subject) {
            Ok(keys) => keys,
            Err(status) => return Verdict::Answered(status),
        };
        self.runs += 1;
        let number = self.runs;
        let mut attempt = None;
        for (index, held) in [key, guard].into_iter().flatten().enumerate() {
            let is_failing = failing.filter(|(successes, _)| *successes == index);
            if let Some((_, failure)) = is_failing {
                // A claim that was made without our knowing is given back.
                if failure == Failure::After && self.claim(held, number).is_ok() {
                    self.end(held, number, Phase::Free);
                }
                self.end_all(key, number, Phase::Free);
                return Verdict::Answered(503);
            }
            match self.claim(held, number) {
                Ok(of_key) => attempt = attempt.or(Some(of_key)),
                Err(200) => {
                    // The same bytes under another id: it is a copy from now on.
                    if index == 1 {
                        self.end_all(key, number, Phase::Done { until: self.now + self.kept(key.unwrap()) });
                    }
                    return Verdict::Answered(200);
                }
                Err(status) => {
                    self.end_all(key.filter(|_| index == 1), number, Phase::Free);
                    return Verdict::Answered(status);
                }
            }
        }
        Verdict::Runs(Run { number, attempt, key, guard })
    }

    fn claim(&mut self, key: Key, owner: usize) -> Result<u32, u16> {
        let now = self.now;
        let record = self.records.entry(key).or_default();
        match record.state {
            Phase::Done { until } if until > now => return Err(200),
            Phase::Held { until, .. } if until > now => return Err(503),
            Phase::Done { .. } => record.attempts = 0,
            Phase::Free | Phase::Held { .. } => {}
        }
        record.attempts += 1;
        record.state = Phase::Held { owner, until: now + LEASE };
        Ok(record.attempts)
    }

    /// How a handler that runs must be answered, once it ends.
    fn ends(&mut self, run: Run, end: End) -> u16 {
        // A commit takes the mark of the delivery and that of its body with it, or nothing.
        let is_ours = [run.key, run.guard].into_iter().flatten().all(|key| self.is_held(key, run.number));
        let (status, is_done) = match end {
            End::Fails | End::StoreFails(Call::Release, ..) => (500, false),
            End::Panics => (500, false),
            End::Succeeds | End::StoreFails(..) => (200, true),
            // Without a claim there is nothing to commit it with.
            _ if run.key.is_none() => (if end == End::CommitsAndFails { 500 } else { 200 }, true),
            End::Commits => (if is_ours { 200 } else { 500 }, is_ours),
            End::CommitsAndFails => (500, is_ours),
            End::StoreFailsAtCheck => (if is_ours { 503 } else { 500 }, is_ours),
            End::DropsCommit | End::DropsCommitUnpolled | End::ForgetsCommit => (500, false),
        };
        for key in [run.key, run.guard].into_iter().flatten() {
            let state = if is_done { Phase::Done { until: self.now + self.kept(key) } } else { Phase::Free };
            self.end(key, run.number, state);
        }
        status
    }

    fn kept(&self, key: Key) -> u32 {
        match key {
            Key::Body(_) => BODY,
            Key::Guard(_) => GUARD,
            Key::Id(_) => RETENTION,
        }
    }

    fn renews(&mut self, run: Run) -> bool {
        let until = self.now + LEASE;
        // The guard first: if another process holds it, the claim stays as it is, and is lost.
        for key in [run.guard, run.key].into_iter().flatten() {
            if !self.is_held(key, run.number) {
                return false;
            }
            self.records.get_mut(&key).unwrap().state = Phase::Held { owner: run.number, until };
        }
        true
    }

    fn is_held(&self, key: Key, by: usize) -> bool {
        matches!(self.records.get(&key), Some(Record { state: Phase::Held { owner, .. }, .. }) if *owner == by)
    }

    fn end_all(&mut self, key: Option<Key>, owner: usize, state: Phase) {
        if let Some(key) = key {
            self.end(key, owner, state);
        }
    }

    fn end(&mut self, key: Key, owner: usize, state: Phase) {
        if self.is_held(key, owner) {
            self.records.get_mut(&key).unwrap().state = state;
        }
    }
}

// The store, with transactions that contain only marks.

#[derive(Clone)]
struct Ledger {
    store: MemoryStore,
    /// Who holds what. Here a mark finds out whether it is its owner's.
    owners: Arc<Mutex<HashMap<ClaimKey, ClaimToken>>>,
    /// So many marks never come to an end.
    hangs: Arc<AtomicU32>,
}

impl Ledger {
    fn is_owner(&self, key: ClaimKey, token: ClaimToken) -> bool {
        self.owners.lock().unwrap().get(&key) == Some(&token)
    }

    fn ended(&self, key: ClaimKey, fenced: Fenced) -> Fenced {
        if fenced == Fenced::Applied {
            self.owners.lock().unwrap().remove(&key);
        }
        fenced
    }
}

type Marks = Vec<(ClaimKey, ClaimToken, Completion)>;

struct Transaction {
    ledger: Ledger,
    marks: Marks,
}

impl StoreTransaction for Transaction {
    fn connection(&mut self) -> &mut (dyn Any + Send) {
        &mut self.marks
    }

    async fn commit(self) -> Result<(), StoreError> {
        for (key, token, completion) in self.marks {
            assert_eq!(self.ledger.complete(key, token, completion).await?, Fenced::Applied, "a row that was locked");
        }
        Ok(())
    }
}

impl IdempotencyStore for Ledger {
    fn claim(&self, claim: ClaimRequest) -> BoxFuture<'_, Result<ClaimOutcome, StoreError>> {
        Box::pin(async move {
            let outcome = self.store.claim(claim).await?;
            if matches!(outcome, ClaimOutcome::Acquired { .. }) {
                self.owners.lock().unwrap().insert(claim.key, claim.token);
            }
            Ok(outcome)
        })
    }

    fn complete(
        &self,
        key: ClaimKey,
        token: ClaimToken,
        completion: Completion,
    ) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(async move { Ok(self.ended(key, self.store.complete(key, token, completion).await?)) })
    }

    fn release(&self, key: ClaimKey, token: ClaimToken) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(async move { Ok(self.ended(key, self.store.release(key, token).await?)) })
    }

    fn renew(&self, key: ClaimKey, token: ClaimToken, lease: Duration) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.store.renew(key, token, lease)
    }

    fn is_done(&self, key: ClaimKey, token: ClaimToken) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.store.is_done(key, token)
    }

    fn complete_in<'a>(
        &'a self,
        connection: &'a mut (dyn Any + Send),
        key: ClaimKey,
        token: ClaimToken,
        completion: Completion,
    ) -> BoxFuture<'a, Result<Fenced, StoreError>> {
        if self.hangs.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok() {
            return Box::pin(std::future::pending());
        }
        let marks = connection.downcast_mut::<Marks>().expect("the connection is of the ledger");
        let is_owner = self.is_owner(key, token);
        if is_owner {
            marks.push((key, token, completion));
        }
        Box::pin(std::future::ready(Ok(if is_owner { Fenced::Applied } else { Fenced::Stale })))
    }

    fn purge(&self, limit: u32) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.store.purge(limit)
    }
}

// The application.

/// A command to a running handler.
enum Command {
    End(End),
    Renew(oneshot::Sender<bool>),
}

struct World {
    ledger: Ledger,
    /// By the number that a request carries. The handlers of a batch's items have the same one, one after the other.
    commands: Mutex<HashMap<String, mpsc::UnboundedReceiver<Command>>>,
    begun: mpsc::UnboundedSender<Option<u32>>,
}

async fn handler(State(world): State<Arc<World>>, headers: HeaderMap, claim: Option<Claim>) -> StatusCode {
    let number = headers["x-number"].to_str().unwrap();
    let mut commands = world.commands.lock().unwrap().remove(number).expect("a request runs once at a time");
    world.begun.send(claim.as_ref().map(Claim::attempt)).unwrap();
    loop {
        match commands.recv().await.expect("the history goes on") {
            Command::End(end) => {
                world.commands.lock().unwrap().insert(number.to_owned(), commands);
                return act(&world, claim.as_ref(), end).await;
            }
            Command::Renew(reply) => {
                let claim = claim.as_ref().expect("only a claim is renewed");
                reply.send(claim.renew(days(LEASE) - SLACK).await.is_ok()).unwrap();
            }
        }
    }
}

async fn act(world: &World, claim: Option<&Claim>, end: End) -> StatusCode {
    const OK: StatusCode = StatusCode::OK;
    const FAILED: StatusCode = StatusCode::INTERNAL_SERVER_ERROR;
    let mut transaction = Transaction { ledger: world.ledger.clone(), marks: Vec::new() };
    match (end, claim) {
        (End::Fails | End::StoreFails(Call::Release, ..), _) => FAILED,
        (End::Panics, _) => panic!("a panic on purpose"),
        (End::Succeeds | End::StoreFails(..), _) => OK,
        (End::CommitsAndFails, None) => FAILED,
        (_, None) => OK,
        (End::Commits, Some(claim)) => match claim.commit(transaction).await {
            Ok(()) => OK,
            Err(_) => FAILED,
        },
        (End::CommitsAndFails, Some(claim)) => {
            let _ = claim.commit(transaction).await;
            FAILED
        }
        (End::DropsCommit, Some(claim)) => {
            world.ledger.hangs.store(1, SeqCst);
            assert!(timeout(Duration::from_millis(1), claim.commit(transaction)).await.is_err());
            OK
        }
        (End::DropsCommitUnpolled, Some(claim)) => {
            drop(claim.commit(transaction));
            OK
        }
        (End::ForgetsCommit, Some(claim)) => {
            let _ = claim.complete_in(&mut transaction).await;
            OK
        }
        (End::StoreFailsAtCheck, Some(claim)) => match claim.complete_in(&mut transaction).await {
            Ok(()) => {
                transaction.commit().await.unwrap();
                OK
            }
            Err(_) => FAILED,
        },
    }
}

fn days(days: u32) -> Duration {
    Duration::from_secs(24 * 60 * 60) * days
}

/// How much longer the lease is than the handler's timeout.
const SLACK: Duration = Duration::from_secs(60);

/// A body that counts when it is dropped.
struct Tracked(Vec<u8>, Arc<AtomicUsize>);

impl AsRef<[u8]> for Tracked {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.1.fetch_sub(1, SeqCst);
    }
}

// The history.

/// A handler at work.
struct Open {
    run: Run,
    commands: mpsc::UnboundedSender<Command>,
    answer: JoinHandle<u16>,
}

struct History {
    setup: Setup,
    offset: ClockOffset,
    store: Watched<Ledger>,
    once: IdempotencyLayer,
    world: Arc<World>,
    begun: mpsc::UnboundedReceiver<Option<u32>>,
    app: Router,
    reference: Reference,
    requests: u32,
    bodies: Arc<AtomicUsize>,
    open: Vec<Open>,
}

impl History {
    fn new(setup: Setup) -> Self {
        let offset = ClockOffset::default();
        let store = MemoryStore::with_capacity_and_offset(1_000, offset.clone());
        let ledger = Ledger { store, owners: Arc::default(), hangs: Arc::default() };
        let store = Watched::new(ledger.clone());
        let (begin, begun) = mpsc::unbounded_channel();
        let world = Arc::new(World { ledger, commands: Mutex::default(), begun: begin });
        let mut once = IdempotencyLayer::new(store.clone())
            .with_consumer(CONSUMER)
            .with_local_cache(0)
            .with_lease(days(LEASE))
            .with_handler_timeout(days(LEASE) - SLACK)
            .with_retention(days(RETENTION));
        if let Some(choice) = setup.missing_id {
            once = once.with_missing_id(choice);
        }
        if setup.has_guard {
            once = once.with_replay_guard(days(GUARD));
        }
        let mut scheme = Scheme::hmac_sha256()
            .name("theirs")
            .header("x-signature")
            .prefix("sha256=")
            .hex()
            .signs("{body}")
            .id(Field::header("x-id"))
            .event_type(Field::header("x-type").joined(Field::json("/action")))
            .form(Form::json("payload"))
            .api_version(Field::header("x-version"));
        if setup.bodies_are_unique {
            scheme = scheme.bodies_are_unique();
        }
        let mut batch = match setup.signs_items {
            true => Scheme::hmac_sha256().header("x-signature").prefix("sha256=").hex().signs("{body}"),
            false => Scheme::insecure_token().header("x-token"),
        };
        batch = batch.name("theirs").batch("/events").id(Field::json("/id")).event_type(Field::json("/action"));
        if setup.bodies_are_unique {
            batch = batch.bodies_are_unique();
        }
        let hook = WebhookLayer::new(scheme, Secret::new(SECRET).unwrap()).with_idempotency(once.clone());
        let items = WebhookLayer::new(batch, Secret::new(SECRET).unwrap()).with_idempotency(once.clone());
        // Deliveries of every version and form have a handler.
        let events = EventRouter::new().on_version("order.paid", ["0"], handler).on("order.*", handler);
        let app = Router::new()
            .route("/hook", post(events).layer(hook))
            .route("/batch", post(handler).layer(items))
            .with_state(Arc::clone(&world));
        let reference = Reference { setup, now: 0, runs: 0, records: HashMap::new() };
        let (requests, bodies, open) = (0, Arc::default(), Vec::new());
        Self { setup, offset, store, once, world, begun, app, reference, requests, bodies, open }
    }

    /// Sends a delivery, and returns the channel for commands to its handler.
    fn send(&mut self, delivery: Delivery) -> (mpsc::UnboundedSender<Command>, JoinHandle<u16>) {
        self.requests += 1;
        let (commands, received) = mpsc::unbounded_channel();
        self.world.commands.lock().unwrap().insert(self.requests.to_string(), received);
        let body = body(delivery.body);
        let mut request = Request::post("/hook")
            .header("x-signature", signature(&body, SECRET))
            .header("x-type", "order")
            .header("content-type", if delivery.body == FORM { FORM_TYPE } else { "application/json" })
            .header("x-version", delivery.version.to_string())
            .header("x-number", self.requests.to_string());
        let ids: &[u8] = match delivery.id {
            Id::Absent => &[],
            Id::Is(id) => &[id],
            Id::Twice => &[0, 0],
        };
        for id in ids {
            request = request.header("x-id", id.to_string());
        }
        self.bodies.fetch_add(1, SeqCst);
        let body = Body::from(Bytes::from_owner(Tracked(body, Arc::clone(&self.bodies))));
        let (app, request) = (self.app.clone(), request.body(body).unwrap());
        (commands, tokio::spawn(async move { app.oneshot(request).await.unwrap().status().as_u16() }))
    }

    /// Sends items in one request.
    fn send_batch(&mut self, items: &[Item]) -> (mpsc::UnboundedSender<Command>, JoinHandle<u16>) {
        self.requests += 1;
        let (commands, received) = mpsc::unbounded_channel();
        self.world.commands.lock().unwrap().insert(self.requests.to_string(), received);
        let items: Vec<_> = items.iter().map(|item| String::from_utf8(bytes(item.content())).unwrap()).collect();
        let body = format!(r#"{{"events":[{}]}}"#, items.join(",")).into_bytes();
        let request = Request::post("/batch")
            .header("x-signature", signature(&body, SECRET))
            .header("x-token", SECRET)
            .header("x-number", self.requests.to_string());
        self.bodies.fetch_add(1, SeqCst);
        let body = Body::from(Bytes::from_owner(Tracked(body, Arc::clone(&self.bodies))));
        let (app, request) = (self.app.clone(), request.body(body).unwrap());
        (commands, tokio::spawn(async move { app.oneshot(request).await.unwrap().status().as_u16() }))
    }

    /// Each item in its turn, however those before it ended. The answer is that of the first that failed.
    async fn take_batch(&mut self, items: &[(Item, End)]) {
        let sent: Vec<_> = items.iter().map(|(item, _)| *item).collect();
        let (commands, answer) = self.send_batch(&sent);
        let mut failed = None;
        for (item, end) in items {
            let status = match self.reference.arrives(item.subject(self.setup), None) {
                Verdict::Answered(status) => status,
                Verdict::Runs(run) => {
                    assert_eq!(in_time(self.begun.recv()).await.unwrap(), run.attempt);
                    commands.send(Command::End(*end)).unwrap();
                    self.reference.ends(run, *end)
                }
            };
            if status != 200 {
                failed = failed.or(Some(status));
            }
        }
        assert_eq!(of(answer).await, failed.unwrap_or(200));
    }

    async fn take(&mut self, step: Step) {
        // What is purged begins with the first attempt again. When that is, is not in the history.
        self.store.fail(Call::Purge, Failure::Before, u32::MAX);
        match step {
            Step::Begin(delivery) => {
                let (commands, answer) = self.send(delivery);
                match self.reference.arrives(delivery.subject(), None) {
                    Verdict::Answered(status) => assert_eq!(of(answer).await, status),
                    Verdict::Runs(run) => {
                        assert_eq!(in_time(self.begun.recv()).await.unwrap(), run.attempt);
                        self.open.push(Open { run, commands, answer });
                    }
                }
            }
            Step::Crash(delivery) => _ = self.crash(delivery.subject()).await,
            Step::Batch(items) => self.take_batch(&items).await,
            Step::CrashInBatch(items, at) => {
                for item in &items[..at] {
                    self.done_elsewhere(item.subject(self.setup)).await;
                }
                let _ = self.crash(items[at].subject(self.setup)).await;
            }
            Step::Deliver(delivery, end) => {
                self.fail(end);
                let (commands, answer) = self.send(delivery);
                // It is read when a handler has begun.
                let _ = commands.send(Command::End(end));
                let failing = match end {
                    End::StoreFails(Call::Claim, successes, failure) => Some((successes, failure)),
                    _ => None,
                };
                match self.reference.arrives(delivery.subject(), failing) {
                    Verdict::Answered(status) => assert_eq!(of(answer).await, status),
                    Verdict::Runs(run) => {
                        assert_eq!(in_time(self.begun.recv()).await.unwrap(), run.attempt);
                        let status = self.reference.ends(run, end);
                        assert_eq!(of(answer).await, status);
                    }
                }
            }
            Step::Finish(index, end) if !self.open.is_empty() => {
                let Open { run, commands, answer } = self.open.swap_remove(index % self.open.len());
                self.fail(end);
                commands.send(Command::End(end)).unwrap();
                let status = self.reference.ends(run, end);
                assert_eq!(of(answer).await, status);
            }
            Step::Renew(index) if !self.open.is_empty() => {
                let Open { run, commands, .. } = &self.open[index % self.open.len()];
                if run.key.is_some() {
                    let (reply, renewed) = oneshot::channel();
                    commands.send(Command::Renew(reply)).unwrap();
                    assert_eq!(in_time(renewed).await.unwrap(), self.reference.renews(*run));
                }
            }
            Step::Finish(..) | Step::Renew(_) => {}
            Step::Wait(days_) => {
                self.offset.advance(days(days_));
                self.reference.now += days_;
            }
        }
        // The background work ends, by the clock of a paused runtime.
        assert_eq!(self.once.drain(Duration::from_secs(600)).await, self.open.len());
        self.store.heal();
        self.store.inner().hangs.store(0, SeqCst);
        assert!(self.begun.try_recv().is_err(), "a handler ran that must not");
        assert_eq!(self.bodies.load(SeqCst), self.open.len(), "a body is kept that nobody handles");
    }

    fn fail(&self, end: End) {
        match end {
            End::StoreFails(call, successes, failure) => self.store.fail_after(call, successes, failure, 1),
            // Once at the answer, and once in the background.
            End::StoreFailsAtCheck => self.store.fail(Call::IsDone, Failure::Before, 2),
            _ => {}
        }
    }

    /// Makes the calls of another process up to its handler, and returns the claim that it would hold.
    async fn crash(&mut self, subject: Subject) -> Option<(Run, ClaimToken)> {
        let (key, guard) = self.reference.keys(subject).ok()?;
        let token = ClaimToken::random().unwrap();
        let store = self.store.inner().clone();
        for (index, claimed) in [key, guard].into_iter().flatten().enumerate() {
            let request = ClaimRequest::new(claim_key(claimed), token, days(LEASE), Fingerprint::of(b""));
            match (store.claim(request).await.unwrap(), index) {
                (ClaimOutcome::Acquired { .. }, _) => {}
                (_, 0) => break,
                (ClaimOutcome::Done { .. }, _) => {
                    let kept = Completion::new(days(self.reference.kept(key.unwrap())));
                    let _ = store.complete(claim_key(key.unwrap()), token, kept).await.unwrap();
                }
                (_, _) => _ = store.release(claim_key(key.unwrap()), token).await.unwrap(),
            }
        }
        match self.reference.arrives(subject, None) {
            Verdict::Answered(_) => None,
            Verdict::Runs(run) => Some((run, token)),
        }
    }

    /// Makes all calls of another process, up to the end.
    async fn done_elsewhere(&mut self, subject: Subject) {
        let Some((run, token)) = self.crash(subject).await else { return };
        for key in [run.key, run.guard].into_iter().flatten() {
            let kept = Completion::new(days(self.reference.kept(key)));
            assert_eq!(self.store.inner().complete(claim_key(key), token, kept).await.unwrap(), Fenced::Applied);
        }
        assert_eq!(self.reference.ends(run, End::Succeeds), 200);
    }
}

impl Delivery {
    fn subject(self) -> Subject {
        Subject { id: self.id, content: Content { id: None, body: self.body }, id_is_signed: false }
    }
}

impl Item {
    fn content(self) -> Content {
        Content { id: self.id, body: self.body }
    }

    fn subject(self, setup: Setup) -> Subject {
        let id = self.id.map_or(Id::Absent, Id::Is);
        Subject { id, content: self.content(), id_is_signed: setup.signs_items }
    }
}

async fn of(answer: JoinHandle<u16>) -> u16 {
    in_time(answer).await.unwrap()
}

/// What does not come within an hour, by the clock of a paused runtime, does not come.
async fn in_time<F: Future>(future: F) -> F::Output {
    timeout(Duration::from_secs(60 * 60), future).await.expect("it comes")
}

const FORM_TYPE: &str = "application/x-www-form-urlencoded";

fn body(number: u8) -> Vec<u8> {
    bytes(Content { id: None, body: number })
}

fn bytes(content: Content) -> Vec<u8> {
    match content {
        Content { id: None, body: FORM } => b"payload=%7B%22action%22%3A%22paid%22%7D".to_vec(),
        Content { id: None, body } => format!(r#"{{"action":"paid","order":{body}}}"#).into_bytes(),
        Content { id: Some(id), body } => format!(r#"{{"id":"{id}","action":"paid","order":{body}}}"#).into_bytes(),
    }
}

fn claim_key(key: Key) -> ClaimKey {
    let of_body = |kind: u8, content| [&[kind][..], &Sha256::digest(bytes(content))].concat();
    let id = match key {
        Key::Body(content) => of_body(b'b', content),
        Key::Guard(content) => of_body(b'g', content),
        Key::Id(id) => format!("i{id}").into_bytes(),
    };
    ClaimKey::new(CONSUMER, "theirs", None, &id)
}

async fn check(setup: Setup, steps: &[Step]) {
    let mut history = History::new(setup);
    for step in steps {
        history.take(step.clone()).await;
    }

    // At the end the store works, handlers end, leases pass, and the sender repeats all its deliveries.
    while !history.open.is_empty() {
        history.take(Step::Finish(0, End::Succeeds)).await;
    }
    history.take(Step::Wait(LEASE)).await;
    for id in 0..IDS {
        let delivery = Delivery { id: Id::Is(id), body: id % BODIES, version: id % VERSIONS };
        for _ in 0..2 {
            history.take(Step::Deliver(delivery, End::Succeeds)).await;
        }
        let record = history.reference.records[&Key::Id(id)];
        assert!(matches!(record.state, Phase::Done { .. }), "everything is handled in the end");
    }
    // What crashed in the middle of a batch comes again too, as often as its sender likes.
    for step in steps {
        let Step::CrashInBatch(items, _) = step else { continue };
        for _ in 0..2 {
            let items = items.iter().map(|item| (*item, End::Succeeds)).collect();
            history.take(Step::Batch(items)).await;
        }
        for item in items {
            let (key, _) = history.reference.keys(item.subject(setup)).unwrap_or_default();
            let is_done = |key| matches!(history.reference.records[&key].state, Phase::Done { .. });
            assert!(key.is_none_or(is_done), "a batch is handled to its end");
        }
    }
    // Items whose ids are signed are not guarded, and may be all there is.
    let is_guarded = history.reference.records.keys().any(|key| matches!(key, Key::Guard(_)));
    assert!(if setup.has_guard { is_guarded || setup.signs_items } else { !is_guarded });
}

const CONSUMER: &str = "orders";
const IDS: u8 = 4;
const BODIES: u8 = 3;
const VERSIONS: u8 = 2;
/// The body that is a form.
const FORM: u8 = 2;

fn setup() -> impl Strategy<Value = Setup> {
    let said = prop_oneof![Just(MissingId::BodyDigest), Just(MissingId::Reject), Just(MissingId::Skip)];
    let missing_id = prop_oneof![1 => Just(None), 2 => said.prop_map(Some)];
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (missing_id, flags).prop_map(|(missing_id, (bodies_are_unique, has_guard, signs_items))| Setup {
        missing_id,
        bodies_are_unique,
        has_guard,
        signs_items,
    })
}

fn failure() -> impl Strategy<Value = Failure> {
    prop_oneof![Just(Failure::After), Just(Failure::Before), Just(Failure::Hang)]
}

fn end() -> impl Strategy<Value = End> {
    let call = prop_oneof![Just(Call::Claim), Just(Call::Complete), Just(Call::Release)];
    prop_oneof![
        6 => Just(End::Succeeds),
        3 => Just(End::Fails),
        1 => Just(End::Panics),
        2 => Just(End::Commits),
        1 => Just(End::CommitsAndFails),
        1 => Just(End::DropsCommit),
        1 => Just(End::DropsCommitUnpolled),
        1 => Just(End::ForgetsCommit),
        1 => Just(End::StoreFailsAtCheck),
        4 => (call, 0..2_usize, failure()).prop_map(|(call, after, failure)| End::StoreFails(call, after, failure)),
    ]
}

/// How a handler ends that has begun before: its claims were made then.
fn end_of_open() -> impl Strategy<Value = End> {
    end().prop_filter("claims are made at the beginning", |end| !matches!(end, End::StoreFails(Call::Claim, ..)))
}

fn delivery() -> impl Strategy<Value = Delivery> {
    let id = prop_oneof![5 => (0..IDS).prop_map(Id::Is), 2 => Just(Id::Absent), 1 => Just(Id::Twice)];
    (id, 0..BODIES, 0..VERSIONS).prop_map(|(id, body, version)| Delivery { id, body, version })
}

/// An item. If it has no id, its bytes are those of a single delivery, or of none.
fn item() -> impl Strategy<Value = Item> {
    let id = prop_oneof![3 => (0..IDS).prop_map(Some), 1 => Just(None)];
    let body = (0..BODIES).prop_map(|body| if body == FORM { BODIES } else { body });
    (id, body).prop_map(|(id, body)| Item { id, body })
}

/// How an item's handler ends. Outages are tested with single deliveries.
fn end_of_item() -> impl Strategy<Value = End> {
    let fails = |end: &End| matches!(end, End::StoreFails(..) | End::StoreFailsAtCheck);
    end().prop_filter("the store is well", move |end| !fails(end))
}

fn step() -> impl Strategy<Value = Step> {
    let items = || prop::collection::vec(item(), 1..5);
    prop_oneof![
        3 => prop::collection::vec((item(), end_of_item()), 0..5).prop_map(Step::Batch),
        2 => (items(), any::<usize>()).prop_map(|(items, at)| {
            let at = at % items.len();
            Step::CrashInBatch(items, at)
        }),
        8 => (delivery(), end()).prop_map(|(delivery, end)| Step::Deliver(delivery, end)),
        3 => delivery().prop_map(Step::Begin),
        1 => delivery().prop_map(Step::Crash),
        3 => (any::<usize>(), end_of_open()).prop_map(|(index, end)| Step::Finish(index, end)),
        2 => any::<usize>().prop_map(Step::Renew),
        3 => prop_oneof![Just(2), Just(7), Just(LEASE + 1), Just(GUARD + 1), Just(RETENTION + 1)].prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(Config { cases: cases(), failure_persistence: None, ..Config::default() })]

    #[test]
    fn no_event_is_acknowledged_and_never_run(setup in setup(), steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(check(setup, &steps));
    }
}

fn cases() -> u32 {
    if std::env::var_os("TOWER_WEBHOOKS_LONG").is_some_and(|value| value == "1") { 20_000 } else { 150 }
}
