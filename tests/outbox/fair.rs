//! Endpoints that answer quickly once and then hang do not delay others, however many they are and whatever their
//! tenants.

use std::{
    collections::HashMap,
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

    /// Sends one to the good endpoint, and gives how long it took to get there.
    async fn good(&self, patience: Duration) -> Duration {
        let id = format!("good-{}", self.sent.fetch_add(1, SeqCst));
        let message = Message::new("good", &1).unwrap().tenant(&*self.good).id(id.parse().unwrap());
        let began = Instant::now();
        self.webhooks.dispatch(message).await.unwrap();
        while began.elapsed() < patience {
            if let Some(there) = self.receivers.0.good.lock().unwrap().get(&id) {
                return there.saturating_duration_since(began);
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

/// The full size takes some minutes and runs only with the long tests.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_endpoint_is_as_quick_beside_hostile_ones_as_without_them() {
    if std::env::var_os("TOWER_WEBHOOKS_LONG").is_none() {
        return;
    }
    let p99 = async |whose, hostile: usize| {
        let scene = Arc::new(Scene::new(whose, hostile, Duration::from_secs(10)).await);
        scene.receivers.0.hostile.store(true, SeqCst);
        let provoking = scene.clone();
        let task = tokio::spawn(async move {
            loop {
                provoking.provoke().await;
                sleep(Duration::from_secs(3)).await;
            }
        });
        let mut took = Vec::new();
        for second in 0..400 {
            // Until then everybody is a newcomer, and half of the places are for all of them: a thousand that hang for ten seconds take
            // 80 seconds in them.
            let patience = Duration::from_secs(if second >= 100 { 60 } else { 240 });
            let one = scene.good(patience).await;
            if second >= 100 {
                took.push(one);
            }
            sleep(Duration::from_millis(200)).await;
        }
        task.abort();
        _ = task.await;
        took.sort();
        let (middle, late) = (took[took.len() / 2], took[took.len() * 99 / 100]);
        println!("{hostile} hostile, {whose:?}: median {middle:?}, p99 {late:?}, most {:?}", took.last());
        late
    };
    let without = p99(Whose::One, 0).await;
    for (whose, hostile) in
        [(Whose::One, 100), (Whose::Many, 100), (Whose::Nobody, 100), (Whose::One, 1000), (Whose::Many, 1000)]
    {
        let with = p99(whose, hostile).await;
        // A busy machine is late now and then, and a poll costs more if many endpoints wait. A delivery that waited for
        // a hanging endpoint would be ten seconds late.
        let late = Duration::from_millis(if hostile > 100 { 2000 } else { 250 });
        let most = (without * 3 / 2).max(without + late);
        assert!(with <= most, "{hostile} {whose:?}: {with:?} beside {without:?}");
    }
}
