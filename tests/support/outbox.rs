//! Dispatchers and workers in this process and in others, and receivers that count.

use std::{
    collections::HashMap,
    env,
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::{Router, http::HeaderMap, routing::post};
use serde_json::json;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle, time::sleep};
use tower_webhooks::{
    BoxFuture,
    clock::ClockOffset,
    send::{
        AttemptRequest, AttemptResult, DeliveryQuery, DeliveryState, DestinationPolicy, Dispatcher, DispatcherBuilder,
        Endpoint, GuardedClient, Message, NewEndpoint, OutboxStore, RetryPolicy, SealingKey, Transport,
    },
    store::sqlite::SqliteStoreOptions,
};

/// Opens the outbox of a URL.
pub(crate) async fn open(url: &str) -> Box<dyn OutboxStore> {
    open_at(url, &ClockOffset::default()).await
}

/// Opens the outbox of a URL, whose clock is ahead by an offset.
pub(crate) async fn open_at(url: &str, offset: &ClockOffset) -> Box<dyn OutboxStore> {
    #[cfg(feature = "postgres")]
    if url.starts_with("postgres") {
        let options = tower_webhooks::store::PostgresStore::options().clock_offset(offset.clone());
        return Box::new(options.connect(url).await.unwrap());
    }
    Box::new(SqliteStoreOptions::new().clock_offset(offset.clone()).connect(url).await.unwrap())
}

/// A client that may go to loopback.
pub(crate) fn client(timeout: Duration) -> GuardedClient {
    GuardedClient::builder().policy(loopback()).timeout(timeout).build().unwrap()
}

pub(crate) fn loopback() -> DestinationPolicy {
    DestinationPolicy::default()
        .allow_network("127.0.0.0/8".parse().unwrap())
        .allow_ports(1024..=65535)
        .insecure_plain_http()
}

/// Quick retries and short deadlines, so that no test waits for long.
pub(crate) fn quick(store: impl OutboxStore) -> DispatcherBuilder {
    Dispatcher::builder(store)
        .sealing_key(SealingKey::from_bytes([7; 32]).unwrap())
        .client(client(Duration::from_secs(5)))
        .retry_policy(RetryPolicy::custom([Duration::from_millis(20); 5]))
        .poll_interval(Duration::from_millis(20))
}

/// Leases so short that a test can wait for their end.
pub(crate) fn killable(store: impl OutboxStore) -> DispatcherBuilder {
    quick(store)
        .client(client(Duration::from_millis(900)))
        .attempt_timeout(Duration::from_millis(900))
        .lease(Duration::from_millis(1500))
}

/// Serves a receiver until the runtime ends.
pub(crate) async fn serve(app: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    format!("http://{address}/hook")
}

pub(crate) async fn register(webhooks: &Dispatcher, url: &str) -> Endpoint {
    webhooks.endpoints().create(NewEndpoint::new(url).unwrap()).await.unwrap().endpoint().clone()
}

/// A worker in this process.
pub(crate) struct Working {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Working {
    pub(crate) fn start(webhooks: &Dispatcher) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(webhooks.worker().run(async move { _ = stopped.await }));
        Self { stop, task }
    }

    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap();
    }
}

pub(crate) fn message(number: usize) -> Message {
    Message::new("order.completed", &json!({ "order": number })).unwrap().id(format!("m-{number}").parse().unwrap())
}

pub(crate) async fn count(webhooks: &Dispatcher, state: DeliveryState) -> usize {
    webhooks.deliveries(None, DeliveryQuery::default().state(state)).await.unwrap().len()
}

/// Waits until something is so; two minutes are for slow machines.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, is_so: impl Fn() -> F) {
    for _ in 0..12_000 {
        if is_so().await {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} did not come true");
}

/// The deliveries to a receiver, counted by the id of the message.
#[derive(Default)]
pub(crate) struct Got {
    pub(crate) by_id: Mutex<HashMap<String, u32>>,
    pub(crate) in_flight: AtomicUsize,
    pub(crate) most_in_flight: AtomicUsize,
}

impl Got {
    pub(crate) fn ids(&self) -> usize {
        self.by_id.lock().unwrap().len()
    }

    pub(crate) fn note(&self, headers: &HeaderMap) {
        let id = headers["webhook-id"].to_str().unwrap().to_owned();
        *self.by_id.lock().unwrap().entry(id).or_default() += 1;
    }
}

/// A request that is being answered, until it is or its sender is gone.
struct InFlight<'g>(&'g Got);

impl<'g> InFlight<'g> {
    fn enter(got: &'g Got) -> Self {
        let now = got.in_flight.fetch_add(1, SeqCst) + 1;
        got.most_in_flight.fetch_max(now, SeqCst);
        Self(got)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, SeqCst);
    }
}

/// A receiver that takes `pause` for each delivery.
pub(crate) fn counting(got: Arc<Got>, pause: Duration) -> Router {
    let handler = move |headers: HeaderMap| {
        let got = got.clone();
        async move {
            let _in_flight = InFlight::enter(&got);
            sleep(pause).await;
            got.note(&headers);
        }
    };
    Router::new().route("/hook", post(handler))
}

/// A worker in a process of its own, which ends with this value at the latest.
pub(crate) struct WorkerProcess(Child);

impl WorkerProcess {
    /// Starts one on the outbox of a URL: the test of the full name `child`, which calls [`work_in_this_process`].
    pub(crate) fn start(child: &str, url: &str, ends: Ends) -> Self {
        let child = Command::new(env::current_exe().unwrap())
            .args([child, "--exact", "--nocapture"])
            .env("TEST_OUTBOX", url)
            .env("TEST_ENDS", ends.as_str())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    /// Ends it as `kill -9` does.
    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Waits for it to end by itself.
    pub(crate) async fn ended(self) {
        let child = Mutex::new(self);
        until("the end of the process", async || child.lock().unwrap().0.try_wait().unwrap().is_some()).await;
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The moment at which a worker's process ends.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Ends {
    /// After an endpoint's answer, before it is stored.
    AfterAnAnswer,
    WhenKilled,
}

impl Ends {
    fn as_str(self) -> &'static str {
        match self {
            Self::AfterAnAnswer => "after an answer",
            Self::WhenKilled => "when killed",
        }
    }
}

/// The body of `the_process_of_a_worker`, which does nothing unless a test has started it.
pub(crate) async fn work_in_this_process() {
    let Ok(url) = env::var("TEST_OUTBOX") else { return };
    let ends = env::var("TEST_ENDS").unwrap();
    let mut builder = killable(open(&url).await);
    if ends == Ends::AfterAnAnswer.as_str() {
        builder = builder.transport(Aborting(client(Duration::from_millis(900))), loopback());
    }
    // It is killed; this end is for when the test itself is.
    builder.build().unwrap().worker().run(sleep(Duration::from_secs(900))).await;
}

/// Sends, and ends the process before anybody knows how that went.
struct Aborting(GuardedClient);

impl Transport for Aborting {
    fn send(&self, request: AttemptRequest) -> BoxFuture<'_, AttemptResult> {
        Box::pin(async move {
            Transport::send(&self.0, request).await;
            std::process::abort()
        })
    }
}

/// Whether the big counts are asked for.
pub(crate) fn long() -> bool {
    env::var_os("TOWER_WEBHOOKS_LONG").is_some()
}
