//! What must hold over HTTP whatever the store: copies, takeovers, clients that go, handlers that fail.

use std::{
    collections::HashMap,
    future::pending,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use tokio::{
    sync::{Barrier, Semaphore, mpsc},
    task::JoinSet,
    time::timeout,
};
use tower_webhooks::{
    Claim, Delivery, Scheme, Secret, WebhookLayer,
    clock::ClockOffset,
    idempotency::{ClaimKey, IdempotencyLayer, IdempotencyStore},
    scheme::Field,
};

use super::web::{Answer, Client, SECRET, Server, connect_http2, delivery, send};

/// How long a machine may take for anything at all, before a test says that it hangs.
pub(crate) const AGES: Duration = Duration::from_secs(60);

/// What handlers did, by the delivery's id.
#[derive(Default)]
pub(crate) struct Runs {
    log: Mutex<HashMap<String, Run>>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Run {
    pub(crate) attempts: Vec<u32>,
    pub(crate) finished: u32,
}

impl Runs {
    pub(crate) fn begin(&self, id: &str, attempt: u32) {
        self.change(id, |run| run.attempts.push(attempt));
    }

    pub(crate) fn finish(&self, id: &str) {
        self.change(id, |run| run.finished += 1);
    }

    pub(crate) fn of(&self, id: &str) -> Run {
        self.change(id, |run| run.clone())
    }

    fn change<T>(&self, id: &str, change: impl FnOnce(&mut Run) -> T) -> T {
        change(self.log.lock().unwrap_or_else(PoisonError::into_inner).entry(id.to_owned()).or_default())
    }
}

/// An application with one handler that waits at a gate while that is shut.
pub(crate) struct Shop {
    pub(crate) runs: Runs,
    pub(crate) gate: Semaphore,
    is_shut: AtomicBool,
    /// Ends of handlers, in turn; then they succeed.
    ends: Mutex<Vec<End>>,
    begun: mpsc::UnboundedSender<()>,
}

/// How a handler ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum End {
    Hang,
    Panic,
    Status(u16),
}

/// The application behind a server, as often as it was given a store.
pub(crate) struct Web {
    pub(crate) shop: Arc<Shop>,
    pub(crate) servers: Vec<Server>,
    pub(crate) layers: Vec<IdempotencyLayer>,
    pub(crate) begun: mpsc::UnboundedReceiver<()>,
}

impl Web {
    pub(crate) async fn start<S: IdempotencyStore + Clone>(stores: &[S]) -> Self {
        // Without the local cache, so that each copy asks the store.
        Self::start_with(stores, |layer| layer.with_local_cache(0)).await
    }

    pub(crate) async fn start_with<S: IdempotencyStore + Clone>(
        stores: &[S],
        options: impl Fn(IdempotencyLayer) -> IdempotencyLayer,
    ) -> Self {
        let (begin, begun) = mpsc::unbounded_channel();
        let shop = Arc::new(Shop {
            runs: Runs::default(),
            gate: Semaphore::new(0),
            is_shut: AtomicBool::new(false),
            ends: Mutex::default(),
            begun: begin,
        });
        let (mut servers, mut layers) = (Vec::new(), Vec::new());
        for store in stores {
            let layer = options(IdempotencyLayer::new(store.clone()));
            let hook = WebhookLayer::github(Secret::new(SECRET).unwrap()).with_idempotency(layer.clone());
            // Nothing of a batch is signed, so that a guard has something to do for items with ids too.
            let batch = Scheme::insecure_token().header("x-token").batch("/events").id(Field::json("/id"));
            let items = WebhookLayer::new(batch, Secret::new(SECRET).unwrap()).with_idempotency(layer.clone());
            let app = Router::new()
                .route("/hook", post(on_delivery).layer(hook))
                .route("/batch", post(on_delivery).layer(items))
                .with_state(Arc::clone(&shop));
            servers.push(Server::start(app).await);
            layers.push(layer);
        }
        Self { shop, servers, layers, begun }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.servers[0].address
    }

    /// Waits until a handler has begun.
    pub(crate) async fn begun(&mut self) {
        timeout(AGES, self.begun.recv()).await.expect("a handler begins").expect("the shop is open");
    }

    pub(crate) async fn drain(&self) {
        for layer in &self.layers {
            assert_eq!(layer.drain(AGES).await, 0, "a handler's task does not end");
        }
    }
}

impl Shop {
    /// Shuts the gate: handlers wait until permits are added to it.
    pub(crate) fn shut(&self) {
        self.is_shut.store(true, SeqCst);
    }

    pub(crate) fn open(&self) {
        self.is_shut.store(false, SeqCst);
        self.gate.add_permits(Semaphore::MAX_PERMITS / 4);
    }

    pub(crate) fn end_with(&self, ends: &[End]) {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).extend(ends.iter().rev());
    }
}

async fn on_delivery(State(shop): State<Arc<Shop>>, delivery: Delivery, claim: Option<Claim>) -> Response {
    let id = delivery.id().map(ToString::to_string).unwrap_or_default();
    shop.runs.begin(&id, claim.as_ref().map_or(0, Claim::attempt));
    let _ = shop.begun.send(());
    if shop.is_shut.load(SeqCst) {
        shop.gate.acquire().await.unwrap().forget();
    }
    let end = shop.ends.lock().unwrap_or_else(PoisonError::into_inner).pop();
    match end {
        Some(End::Hang) => pending().await,
        Some(End::Panic) => panic!("a panic on purpose"),
        Some(End::Status(status)) => StatusCode::from_u16(status).unwrap().into_response(),
        None => {
            shop.runs.finish(&id);
            "ran".into_response()
        }
    }
}

/// Sends copies at once, spread over the servers, each on a connection of its own; answers come as they come.
fn send_copies(web: &Web, id: &str, copies: usize) -> JoinSet<Answer> {
    let barrier = Arc::new(Barrier::new(copies));
    let mut tasks = JoinSet::new();
    for copy in 0..copies {
        let address = web.servers[copy % web.servers.len()].address;
        let (barrier, id) = (Arc::clone(&barrier), id.to_owned());
        tasks.spawn(async move {
            let mut client = Client::connect(address).await;
            barrier.wait().await;
            client.send(delivery("/hook", &id)).await
        });
    }
    tasks
}

async fn next(tasks: &mut JoinSet<Answer>) -> Option<Answer> {
    timeout(AGES, tasks.join_next()).await.expect("every copy is answered").map(Result::unwrap)
}

/// While the first copy runs, all others are answered that it is in flight; later, that it is done. It runs once.
pub(crate) async fn copies_run_once<S: IdempotencyStore + Clone>(stores: &[S], copies: usize, rounds: u32) {
    let mut web = Web::start(stores).await;
    web.shop.shut();
    for round in 0..rounds {
        let id = format!("gated {round}");
        let mut tasks = send_copies(&web, &id, copies);
        for _ in 1..copies {
            let copy = next(&mut tasks).await.unwrap();
            assert_eq!(copy.status, 503, "before the handler has finished: {copy:?}");
            assert!(copy.headers.contains_key("retry-after"));
        }
        web.begun().await;
        assert_eq!(web.shop.runs.of(&id), Run { attempts: vec![1], finished: 0 });
        web.shop.gate.add_permits(1);
        let first = next(&mut tasks).await.unwrap();
        assert_eq!((first.status.as_u16(), &*first.text), (200, "ran"));

        let mut again = send_copies(&web, &id, copies);
        while let Some(copy) = next(&mut again).await {
            assert_eq!(copy.status, 200);
            assert!(copy.is_replayed(), "{copy:?}");
        }
        assert_eq!(web.shop.runs.of(&id), Run { attempts: vec![1], finished: 1 });
    }

    web.shop.open();
    for round in 0..rounds {
        let id = format!("open {round}");
        let mut tasks = send_copies(&web, &id, copies);
        while let Some(copy) = next(&mut tasks).await {
            match copy.status.as_u16() {
                200 => assert_eq!(web.shop.runs.of(&id).finished, 1, "acknowledged before it was handled"),
                503 => assert!(copy.headers.contains_key("retry-after")),
                other => panic!("{other}: {copy:?}"),
            }
        }
        assert_eq!(web.shop.runs.of(&id), Run { attempts: vec![1], finished: 1 });
    }
}

/// Many deliveries, each many times, in all orders, each copy repeated until it is acknowledged: each runs once.
pub(crate) async fn every_delivery_runs_once<S: IdempotencyStore + Clone>(stores: &[S], ids: u32, copies: u32) {
    const SENDERS: u32 = 32;
    let web = Web::start(stores).await;
    let done = Arc::new(AtomicU32::new(0));
    let mut senders = JoinSet::new();
    for sender in 0..SENDERS {
        let address = web.servers[sender as usize % web.servers.len()].address;
        let done = Arc::clone(&done);
        senders.spawn(async move {
            let mut client = Client::connect(address).await;
            for number in (sender..ids * copies).step_by(SENDERS as usize) {
                // Copies of one delivery are close together, and never in the same order.
                let id = (number / copies + (number % copies) * 7) % ids;
                let mut request = delivery("/hook", &id.to_string());
                while client.send(request).await.status != 200 {
                    request = delivery("/hook", &id.to_string());
                    tokio::task::yield_now().await;
                }
                done.fetch_add(1, SeqCst);
            }
        });
    }
    senders.join_all().await;

    assert_eq!(done.load(SeqCst), ids * copies);
    for id in 0..ids {
        assert_eq!(web.shop.runs.of(&id.to_string()), Run { attempts: vec![1], finished: 1 }, "{id}");
    }
}

/// When a lease ends, one of all copies takes over, as the second attempt; the old owner's outcome changes nothing.
pub(crate) async fn a_passed_lease_is_taken_over_by_one<S: IdempotencyStore + Clone>(
    stores: &[S],
    offset: &ClockOffset,
    copies: usize,
) {
    let mut web = Web::start(stores).await;
    web.shop.shut();
    let mut first = send_copies(&web, "a", 1);
    web.begun().await;

    offset.advance(Duration::from_secs(61));
    let mut tasks = send_copies(&web, "a", copies);
    for _ in 1..copies {
        assert_eq!(next(&mut tasks).await.unwrap().status, 503);
    }
    web.begun().await;
    assert_eq!(web.shop.runs.of("a").attempts, [1, 2]);
    web.shop.open();

    assert_eq!(next(&mut tasks).await.unwrap().status, 200);
    assert_eq!(next(&mut first).await.unwrap().status, 200);
    assert!(send(web.address(), "a").await.is_replayed());
    assert_eq!(web.shop.runs.of("a"), Run { attempts: vec![1, 2], finished: 2 });
}

/// A client that closes its HTTP/1 connection, or resets its HTTP/2 stream, stops nothing.
pub(crate) async fn a_client_that_goes_stops_nothing<S: IdempotencyStore + Clone>(store: S) {
    let mut web = Web::start(&[store]).await;
    web.shop.shut();

    let mut client = Client::connect(web.address()).await;
    let gone = tokio::spawn(async move { client.try_send(delivery("/hook", "http1")).await });
    web.begun().await;
    gone.abort();
    assert!(gone.await.is_err());

    let mut client = connect_http2(web.address()).await;
    let gone = tokio::spawn(async move { client.send_request(delivery("/hook", "http2")).await });
    web.begun().await;
    gone.abort();
    assert!(gone.await.is_err());

    assert_eq!(send(web.address(), "http1").await.status, 503);
    assert_eq!(send(web.address(), "http2").await.status, 503);
    web.shop.open();
    web.drain().await;
    for id in ["http1", "http2"] {
        assert!(send(web.address(), id).await.is_replayed(), "{id}");
        assert_eq!(web.shop.runs.of(id), Run { attempts: vec![1], finished: 1 }, "{id}");
    }
}

/// Whatever is no success gives the claim back before the answer leaves, so that the next one runs at once.
pub(crate) async fn a_failure_lets_the_next_one_run_at_once<S: IdempotencyStore + Clone>(store: S) {
    let web = Web::start_with(&[store], |layer| {
        layer.with_local_cache(0).with_handler_timeout(Duration::from_millis(500)).with_lease(AGES)
    })
    .await;
    let ends = [
        (End::Status(500), 500),
        (End::Status(404), 404),
        (End::Status(302), 302),
        (End::Panic, 500),
        (End::Hang, 503),
    ];
    web.shop.end_with(&ends.map(|(end, _)| end));
    let mut client = Client::connect(web.address()).await;

    for (end, status) in ends {
        assert_eq!(client.send(delivery("/hook", "a")).await.status, status, "{end:?}");
    }
    assert_eq!(client.send(delivery("/hook", "a")).await.status, 200);
    assert!(client.send(delivery("/hook", "a")).await.is_replayed());

    assert_eq!(web.shop.runs.of("a"), Run { attempts: vec![1, 2, 3, 4, 5, 6], finished: 1 });
}

/// With a guard, equal bytes run once, under whatever ids they come: after a failure, in flight, and when they are done. The guard is
/// in the store, so another process knows it as well.
pub(crate) async fn the_guard_answers_replays_under_other_ids<S: IdempotencyStore + Clone>(stores: &[S; 2]) {
    let mut web = Web::start_with(stores, |layer| layer.with_local_cache(0).with_replay_guard(AGES * 60)).await;
    let [here, elsewhere] = [web.servers[0].address, web.servers[1].address];
    web.shop.end_with(&[End::Status(500)]);

    assert_eq!(send(here, "a").await.status, 500);
    web.begun().await;
    web.shop.shut();
    let first = tokio::spawn(async move { send(here, "b").await });
    web.begun().await;
    assert_eq!(send(elsewhere, "c").await.status, 503, "the bytes are in flight");
    web.shop.open();
    assert_eq!(first.await.unwrap().status, 200);

    for id in ["b", "c", "d"] {
        assert!(send(here, id).await.is_replayed(), "{id}");
        assert!(send(elsewhere, id).await.is_replayed(), "{id}");
    }
    assert_eq!(["a", "b", "c", "d"].map(|id| web.shop.runs.of(id).attempts.len()), [1, 1, 0, 0]);
}

/// When a batch is sent again, to any process, its unfinished items run; finished items and items in flight do not.
/// This is the same with a guard.
pub(crate) async fn a_batch_goes_on_where_it_failed<S: IdempotencyStore + Clone>(stores: &[S; 2]) {
    for (name, has_guard) in [("without", false), ("guarded", true)] {
        let options = |layer: IdempotencyLayer| {
            let layer = layer.with_local_cache(0).with_consumer(name);
            if has_guard { layer.with_replay_guard(AGES * 60) } else { layer }
        };
        let mut web = Web::start_with(stores, options).await;
        let [here, elsewhere] = [web.servers[0].address, web.servers[1].address];
        let attempts = |web: &Web, ids: &[&str]| ids.iter().map(|id| web.shop.runs.of(id).attempts).collect::<Vec<_>>();

        const ITEMS: &str = r#"{"events":[{"id":"a"},{"id":"b"},{"id":"c"},{"id":"d"}]}"#;
        web.shop.end_with(&[End::Status(200), End::Panic, End::Status(200), End::Status(503)]);
        assert_eq!(send_batch(here, ITEMS).await.status, 500, "the first that failed, {name}");
        assert_eq!(attempts(&web, &["a", "b", "c", "d"]), [[1], [1], [1], [1]], "{name}");
        let again = send_batch(elsewhere, ITEMS).await;
        assert_eq!(again.status, 200, "{name}");
        assert_eq!(attempts(&web, &["a", "b", "c", "d"]), [vec![1], vec![1, 2], vec![1], vec![1, 2]], "{name}");
        assert!(send_batch(here, ITEMS).await.is_replayed(), "{name}");
        for _ in 0..6 {
            web.begun().await;
        }

        // Another process skips the item in flight, and handles the next one without delay.
        const TWO: &str = r#"{"events":[{"id":"e"},{"id":"f"}]}"#;
        web.shop.shut();
        let first = tokio::spawn(send_batch(here, TWO));
        web.begun().await;
        let second = tokio::spawn(send_batch(elsewhere, TWO));
        web.begun().await;
        web.shop.open();
        assert_eq!(second.await.unwrap().status, 503, "{name}");
        let status = first.await.unwrap().status.as_u16();
        assert!([200, 503].contains(&status), "{name}: {status}");
        assert!(send_batch(here, TWO).await.is_replayed(), "{name}");
        assert_eq!(attempts(&web, &["e", "f"]), [[1], [1]], "{name}");

        // Without ids only the guard recognises equal bytes.
        const UNNAMED: &str = r#"{"events":[{"order":1},{"order":1},{"order":2}]}"#;
        for sent in 1..=2 {
            assert_eq!(send_batch(elsewhere, UNNAMED).await.status, 200, "{name}");
            let runs = web.shop.runs.of("").attempts.len();
            assert_eq!(runs, if has_guard { 2 } else { 3 * sent }, "{name}");
        }
        web.drain().await;
    }
}

async fn send_batch(address: SocketAddr, body: &'static str) -> Answer {
    let request = http::Request::post("/batch").header("host", "hooks.example.com").header("x-token", SECRET);
    let request = request.body(http_body_util::Full::from(body)).unwrap();
    Client::connect(address).await.send(request).await
}

/// Two applications share one store and have a route with the same path. If one of them has a name, each handles its
/// own deliveries; if neither has, a delivery to one is a duplicate in the other.
pub(crate) async fn applications_are_apart_by_their_names<S: IdempotencyStore + Clone>(
    unnamed: [S; 2],
    billing: [S; 2],
    crm: S,
) {
    assert_eq!(unnamed[0].application(), None);
    assert_eq!((billing[0].application(), crm.application()), (Some("billing"), Some("crm")));
    let mut webs = Vec::new();
    for store in unnamed.into_iter().chain(billing).chain([crm]) {
        webs.push(Web::start(&[store]).await);
    }

    // The instances of an application have one name.
    for (number, is_copy) in [false, true, false, true, false].into_iter().enumerate() {
        let answer = send(webs[number].address(), "evt_1").await;
        assert_eq!((answer.status.as_u16(), answer.is_replayed()), (200, is_copy), "{number}");
    }
}

/// If two programs claim for one consumer, the second learns of the first.
pub(crate) async fn programs_are_introduced_to_each_other(store: &dyn IdempotencyStore, other: &dyn IdempotencyStore) {
    let key = ClaimKey::new("/hook", "github", None, b"p");

    for store in [store, other] {
        assert_eq!(store.introduce(key, "billing").await.unwrap(), None);
        assert_eq!(store.introduce(key, "crm").await.unwrap().as_deref(), Some("billing"));
    }
    let elsewhere = ClaimKey::new("/other", "github", None, b"p");
    assert_eq!(other.introduce(elsewhere, "crm").await.unwrap(), None);
    assert_eq!(store.introduce(elsewhere, "crm").await.unwrap(), None);
}

/// A lock that is held for a while delays claims and their records, and causes no refusal.
pub(crate) async fn deliveries_wait_for<S: IdempotencyStore + Clone, G: Send + 'static>(
    store: S,
    get_in_the_way: impl AsyncFn() -> G,
) {
    const WHILE: Duration = Duration::from_millis(600);
    let mut web = Web::start(&[store]).await;
    let address = web.address();

    // At the claim.
    let guard = get_in_the_way().await;
    let delivery = tokio::spawn(async move { send(address, "a").await });
    tokio::time::sleep(WHILE).await;
    drop(guard);
    assert_eq!(timeout(AGES, delivery).await.unwrap().unwrap().status, 200);
    web.begun().await;

    // At the record, and when a failure gives the claim back.
    for (id, status) in [("b", 200), ("c", 500)] {
        web.shop.shut();
        if status == 500 {
            web.shop.end_with(&[End::Status(500)]);
        }
        let delivery = tokio::spawn(async move { send(address, id).await });
        web.begun().await;
        let guard = get_in_the_way().await;
        web.shop.gate.add_permits(1);
        tokio::time::sleep(WHILE).await;
        drop(guard);
        assert_eq!(timeout(AGES, delivery).await.unwrap().unwrap().status, status, "{id}");
    }
    web.shop.open();
    assert!(send(address, "a").await.is_replayed());
    assert!(send(address, "b").await.is_replayed());
    assert_eq!(send(address, "c").await.status, 200);
    assert_eq!(web.shop.runs.of("c").attempts, [1, 2]);
}
