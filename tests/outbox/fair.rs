//! Endpoints that answer quickly once and then hang do not delay others, however many they are and whatever their
//! tenants.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use http::StatusCode;
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, sleep},
};
use tower_webhooks::{
    BoxFuture,
    send::{
        AttemptRequest, AttemptResult, DestinationPolicy, Dispatcher, EndpointResponse, Message, NewEndpoint, Quotas,
        SealingKey, Transport,
    },
    store::sqlite::SqliteStoreOptions,
};

/// Whose the hostile endpoints are.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Whose {
    /// One tenant's, and the good one another's.
    One,
    /// Each a tenant's of its own.
    Many,
    /// Of no tenant, like the good one: the application has no tenants.
    Nobody,
}

#[derive(Clone, Default)]
struct Receivers(Arc<Inner>);

#[derive(Default)]
struct Inner {
    hostile: AtomicBool,
    /// How often each hostile endpoint was asked since it hung last.
    asked: Mutex<HashMap<String, u32>>,
    hanging: AtomicUsize,
    good: Mutex<HashMap<String, Instant>>,
    /// How long one hangs.
    hangs: Duration,
    /// How often it does so between two quick answers.
    times: u32,
}

impl Transport for Receivers {
    fn send(&self, request: AttemptRequest) -> BoxFuture<'_, AttemptResult> {
        Box::pin(async move {
            let host = request.url().authority().to_owned();
            let started = Instant::now();
            if host.starts_with("good") {
                let id = request.headers()["webhook-id"].to_str().unwrap().to_owned();
                self.0.good.lock().unwrap().insert(id, started);
            } else if self.0.hostile.load(SeqCst) {
                let is_slow = {
                    let mut asked = self.0.asked.lock().unwrap();
                    let count = asked.entry(host).or_default();
                    *count += 1;
                    if *count > self.0.times {
                        *count = 0;
                    }
                    *count != 0
                };
                if is_slow {
                    self.0.hanging.fetch_add(1, SeqCst);
                    sleep(self.0.hangs).await;
                    self.0.hanging.fetch_sub(1, SeqCst);
                }
            }
            AttemptResult::answered(EndpointResponse::new(StatusCode::OK), started.elapsed())
        })
    }
}

struct Scene {
    receivers: Receivers,
    webhooks: Dispatcher,
    tenants: Vec<String>,
    good: String,
    sent: AtomicUsize,
    worker: JoinHandle<()>,
    stop: oneshot::Sender<()>,
    _folder: tempfile::TempDir,
}

impl Scene {
    async fn new(whose: Whose, hostile: usize, hangs: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/outbox.db", folder.path().display());
        let store = SqliteStoreOptions::new().connect(&url).await.unwrap();
        let receivers = Receivers(Arc::new(Inner { hangs, times: 4, ..Inner::default() }));
        let webhooks = Dispatcher::builder(store)
            .sealing_key(SealingKey::from_bytes([7; 32]).unwrap())
            .transport(receivers.clone(), DestinationPolicy::default())
            .quotas(Quotas::default().endpoints(u32::MAX))
            .poll_interval(Duration::from_millis(20))
            .build()
            .unwrap();
        let tenant = |number: usize| match whose {
            Whose::One => "hostile".to_owned(),
            Whose::Many => format!("hostile-{number}"),
            Whose::Nobody => String::new(),
        };
        let good = if whose == Whose::Nobody { String::new() } else { "good".to_owned() };
        for number in 0..hostile {
            let endpoint = NewEndpoint::new(&format!("https://hostile{number}.example/")).unwrap().events(["hostile"]);
            webhooks.endpoints().create(endpoint.tenant(tenant(number))).await.unwrap();
        }
        let endpoint = NewEndpoint::new("https://good.example/").unwrap().events(["good"]);
        webhooks.endpoints().create(endpoint.tenant(&*good)).await.unwrap();
        let mut tenants: Vec<_> = (0..hostile).map(tenant).collect();
        tenants.sort();
        tenants.dedup();
        let (stop, stopped) = oneshot::channel::<()>();
        let worker = tokio::spawn(webhooks.worker().run(async move { _ = stopped.await }));
        Self { receivers, webhooks, tenants, good, sent: AtomicUsize::new(0), worker, stop, _folder: folder }
    }

    /// Dispatches something for each hostile endpoint.
    async fn provoke(&self) {
        let messages = self.tenants.iter().map(|tenant| Message::new("hostile", &1).unwrap().tenant(&**tenant));
        self.webhooks.dispatch_many(messages.collect()).await.unwrap();
    }

    /// Sends one to the good endpoint, and gives how long it was due until its attempt began.
    async fn good(&self, patience: Duration) -> Duration {
        let id = format!("good-{}", self.sent.fetch_add(1, SeqCst));
        let message = Message::new("good", &1).unwrap().tenant(&*self.good).id(id.parse().unwrap());
        self.webhooks.dispatch(message).await.unwrap();
        // It is due now: what the dispatch itself has taken is the disk's.
        let due = Instant::now();
        while due.elapsed() < patience {
            if let Some(there) = self.receivers.0.good.lock().unwrap().remove(&id) {
                return there.saturating_duration_since(due);
            }
            sleep(Duration::from_millis(1)).await;
        }
        panic!("the good endpoint waits for the hostile ones: {} of these hang", self.receivers.0.hanging.load(SeqCst))
    }

    async fn until_they_hang(&self, count: usize) {
        for _ in 0..3000 {
            if self.receivers.0.hanging.load(SeqCst) >= count {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("{} hang", self.receivers.0.hanging.load(SeqCst));
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.worker.await.unwrap();
    }
}

/// Both ends within the time that an attempt may take, so that hanging ones do not make room by ending.
async fn a_good_endpoint_goes_on(whose: Whose) {
    let scene = Scene::new(whose, 100, Duration::from_secs(14)).await;
    // All have answered quickly once, and are proven.
    scene.provoke().await;
    for _ in 0..2 {
        scene.good(Duration::from_secs(30)).await;
    }
    sleep(Duration::from_secs(1)).await;
    scene.receivers.0.hostile.store(true, SeqCst);
    for _ in 0..4 {
        scene.provoke().await;
    }
    scene.until_they_hang(90).await;

    let began = Instant::now();
    for _ in 0..20 {
        scene.good(Duration::from_secs(10)).await;
    }

    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(scene.receivers.0.hanging.load(SeqCst) >= 90, "they hang all the while");
    scene.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenants_endpoints_that_turn_slow_do_not_fill_a_worker() {
    a_good_endpoint_goes_on(Whose::One).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tenants_endpoints_that_turn_slow_do_not_fill_a_worker() {
    a_good_endpoint_goes_on(Whose::Many).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_tenants_endpoints_that_turn_slow_do_not_fill_a_worker() {
    a_good_endpoint_goes_on(Whose::Nobody).await;
}

/// How long deliveries to the good endpoint wait, from their commit to the start of their attempt.
struct Waits(Vec<Duration>);

impl Waits {
    fn at(&self, share: usize) -> Duration {
        self.0[(self.0.len() - 1) * share / 100]
    }
}

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p50 {:?}, p99 {:?}, most {:?}", self.at(50), self.at(99), self.at(100))
    }
}

/// What the others do while the good endpoint is measured.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Others {
    /// Hang for ten seconds, and answer quickly now and then.
    Hang,
    /// Answer at once, and get as much.
    Obey,
}

/// Measures good endpoints beside others, each in a database and with a worker of its own, all at the same time: what takes the processor
/// or the disk is the same for all, and what differs is what others do to a worker.
async fn side_by_side<const N: usize>(
    scenes: [(Whose, usize, Others); N],
    settle: Duration,
    rounds: u32,
) -> [Waits; N] {
    let mut measured = Vec::new();
    for (whose, count, others) in scenes {
        let scene = Arc::new(Scene::new(whose, count, Duration::from_secs(10)).await);
        scene.good(Duration::from_secs(30)).await;
        scene.receivers.0.hostile.store(others == Others::Hang, SeqCst);
        let provoked = scene.clone();
        let provoking = tokio::spawn(async move {
            loop {
                if count > 0 {
                    provoked.provoke().await;
                }
                sleep(Duration::from_secs(3)).await;
            }
        });
        measured.push((scene, provoking, Vec::new()));
    }
    let began = Instant::now();
    let mut round = 0;
    while round < rounds {
        let is_settled = began.elapsed() > settle;
        for (scene, _, waits) in &mut measured {
            // Until then everybody is a newcomer, and half of the places are for all of them.
            let patience = if is_settled { Duration::from_secs(60) } else { Duration::from_secs(240) };
            let wait = scene.good(patience).await;
            if is_settled {
                waits.push(wait);
            }
        }
        round += u32::from(is_settled);
        sleep(Duration::from_millis(50)).await;
    }
    let waits = measured.into_iter().map(|(_, provoking, mut waits)| {
        provoking.abort();
        waits.sort();
        Waits(waits)
    });
    waits.collect::<Vec<_>>().try_into().unwrap_or_else(|_| unreachable!())
}

/// In full only where the long tests are asked for: some minutes. docs/performance.md has the figures.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_endpoint_is_as_quick_beside_hostile_ones_as_without_them() {
    let is_long = std::env::var_os("TOWER_WEBHOOKS_LONG").is_some();
    let rounds = if is_long { 400 } else { 5 };
    let scenes: &[(Whose, usize)] = match is_long {
        true => &[(Whose::One, 100), (Whose::Many, 100), (Whose::Nobody, 100), (Whose::One, 1000), (Whose::Many, 1000)],
        false => &[(Whose::Many, 20)],
    };
    for (whose, count) in scenes.iter().copied() {
        // A thousand newcomers that hang for ten seconds take 80 seconds in half of the places.
        let settle =
            if is_long { Duration::from_secs(if count > 100 { 100 } else { 20 }) } else { Duration::from_secs(1) };
        let scenes = [(whose, 0, Others::Obey), (whose, count, Others::Obey), (whose, count, Others::Hang)];
        let [alone, obeying, hostile] = side_by_side(scenes, settle, rounds).await;
        println!(
            "{count} {whose:?}\n  alone: {alone}\n  beside obeying ones: {obeying}\n  beside hostile ones: {hostile}"
        );
        if is_long {
            // Who waits for a place that hangs waits for ten seconds.
            let most = obeying.at(99).max(alone.at(99)) * 3 / 2 + Duration::from_millis(250);
            assert!(hostile.at(99) <= most, "{count} {whose:?}: {hostile}, at most {most:?}");
        }
        assert!(hostile.at(100) < Duration::from_secs(10), "{count} {whose:?}: {hostile}");
    }
}
