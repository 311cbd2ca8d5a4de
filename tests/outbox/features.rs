//! What customers and operators can ask of an outbox: versions, limits, pings, a catalogue, redaction, erasure. No
//! network: the receivers are a transport of the tests' own.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::{Duration, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use logs::Logs;
use serde_json::{Value, json};
use tokio::{
    sync::{Semaphore, oneshot},
    task::JoinHandle,
    time::sleep,
};
use tower_webhooks::{
    BoxFuture, Secret,
    clock::{ClockOffset, ManualClock},
    send::{
        ApiVersions, AttemptError, AttemptErrorKind, AttemptRequest, AttemptResult, ClientCredentials, CustomHeaders,
        DeliveryQuery, DeliveryState, DestinationPolicy, Dispatcher, DispatcherBuilder, EndpointId, EndpointResponse,
        EndpointUpdate, EventTypeDefinition, Message, NewEndpoint, Quotas, RateLimit, ResponseEnd, RetryPolicy,
        SealingKey, SendError, SendErrorKind, Style, Transport,
    },
    store::MemoryOutbox,
};

use crate::support::logs;

// What the tests have in common.

/// The receivers: `slow…` answers when the test allows it, `gone…` with 410, and all others as the test says.
#[derive(Clone)]
struct Receivers(Arc<Inner>);

struct Inner {
    sent: Mutex<Vec<Sent>>,
    answer: Box<dyn Fn(&AttemptRequest) -> EndpointResponse + Send + Sync>,
    let_go: Semaphore,
}

struct Sent {
    host: String,
    headers: HeaderMap,
    body: Value,
}

impl Receivers {
    fn new() -> Self {
        Self::answering(|_| EndpointResponse::new(StatusCode::OK))
    }

    fn answering(answer: impl Fn(&AttemptRequest) -> EndpointResponse + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner { sent: Mutex::default(), answer: Box::new(answer), let_go: Semaphore::new(0) }))
    }

    fn dispatcher(&self) -> DispatcherBuilder {
        self.dispatcher_on(Arc::new(MemoryOutbox::new()))
    }

    fn dispatcher_on(&self, store: Arc<MemoryOutbox>) -> DispatcherBuilder {
        Dispatcher::builder(store)
            .sealing_key(key(7))
            .transport(self.clone(), DestinationPolicy::default())
            .retry_policy(RetryPolicy::custom([Duration::from_millis(10); 3]))
            .poll_interval(Duration::from_millis(10))
    }

    /// The bodies that one of them received.
    fn got(&self, host: &str) -> Vec<Value> {
        self.0.sent.lock().unwrap().iter().filter(|sent| sent.host == host).map(|sent| sent.body.clone()).collect()
    }

    fn headers(&self, host: &str) -> Vec<HeaderMap> {
        self.0.sent.lock().unwrap().iter().filter(|sent| sent.host == host).map(|sent| sent.headers.clone()).collect()
    }
}

impl Transport for Receivers {
    fn send(&self, request: AttemptRequest) -> BoxFuture<'_, AttemptResult> {
        Box::pin(async move {
            let host = request.url().authority().to_owned();
            let body = serde_json::from_slice(request.body()).unwrap();
            let sent = Sent { host: host.clone(), headers: request.headers().clone(), body };
            self.0.sent.lock().unwrap().push(sent);
            if host.starts_with("slow") {
                self.0.let_go.acquire().await.unwrap().forget();
            }
            let answer = match host.starts_with("gone") {
                true => EndpointResponse::new(StatusCode::GONE),
                false => (self.0.answer)(&request),
            };
            AttemptResult::answered(answer, Duration::from_millis(1))
        })
    }
}

fn key(byte: u8) -> SealingKey {
    SealingKey::from_bytes([byte; 32]).unwrap()
}

fn at(host: &str) -> NewEndpoint {
    NewEndpoint::new(&format!("https://{host}/hook")).unwrap()
}

async fn register(webhooks: &Dispatcher, endpoint: NewEndpoint) -> EndpointId {
    webhooks.endpoints().create(endpoint).await.unwrap().endpoint().id()
}

fn message(event_type: &str) -> Message {
    Message::new(event_type, &json!({ "order": 7 })).unwrap()
}

fn kind<T>(result: Result<T, SendError>) -> Option<SendErrorKind> {
    result.err().map(|error| error.kind())
}

struct Working {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Working {
    fn start(webhooks: &Dispatcher) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(webhooks.worker().run(async move { _ = stopped.await }));
        Self { stop, task }
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap();
    }
}

async fn count(webhooks: &Dispatcher, tenant: Option<&str>, query: DeliveryQuery) -> usize {
    webhooks.deliveries(tenant, query).await.unwrap().len()
}

async fn in_state(webhooks: &Dispatcher, state: DeliveryState) -> usize {
    count(webhooks, None, DeliveryQuery::default().state(state)).await
}

/// Waits until something is so; a minute is for slow machines.
async fn until<F: Future<Output = bool>>(what: &str, is_so: impl Fn() -> F) {
    for _ in 0..6000 {
        if is_so().await {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} did not come true");
}

/// Lets a worker end all that is due.
async fn work_off(webhooks: &Dispatcher) {
    let worker = Working::start(webhooks);
    until("the end of the work", async || {
        in_state(webhooks, DeliveryState::Pending).await + in_state(webhooks, DeliveryState::Sending).await == 0
    })
    .await;
    worker.stop().await;
}

// API versions.

fn versions() -> ApiVersions {
    let renamed = |_: &str, payload: Value| Ok(json!({ "number": payload["order"] }));
    let wrapped = |event_type: &str, payload: Value| Ok(json!({ "kind": event_type, "old": payload }));
    ApiVersions::newest("2026").unwrap().older("2025", renamed).unwrap().older("2024", wrapped).unwrap()
}

#[tokio::test]
async fn each_endpoint_gets_the_payload_of_its_own_version() {
    let receivers = Receivers::new();
    let webhooks = receivers.dispatcher().api_versions(versions()).build().unwrap();
    for (host, version) in [("new.example", "2026"), ("old.example", "2025"), ("oldest.example", "2024")] {
        register(&webhooks, at(host).api_version(version)).await;
    }
    register(&webhooks, at("any.example")).await;

    webhooks.dispatch(message("a")).await.unwrap();
    webhooks.dispatch(message("b").version("2025")).await.unwrap();
    work_off(&webhooks).await;

    let got = |host: &str| {
        let by_type = receivers.got(host).into_iter().map(|body| {
            let version = body["api_version"].as_str().map(str::to_owned);
            (body["type"].as_str().unwrap().to_owned(), (version, body["data"].clone()))
        });
        by_type.collect::<BTreeMap<_, _>>()
    };
    let one = |event_type: &str, version: Option<&str>, data: Value| {
        (event_type.to_owned(), (version.map(str::to_owned), data))
    };
    let (newest, older) = (json!({ "order": 7 }), json!({ "number": 7 }));
    for (host, a, b) in [
        ("any.example", one("a", None, newest.clone()), one("b", Some("2025"), newest.clone())),
        // Nothing becomes newer.
        ("new.example", one("a", Some("2026"), newest.clone()), one("b", Some("2025"), newest.clone())),
        ("old.example", one("a", Some("2025"), older.clone()), one("b", Some("2025"), newest.clone())),
        (
            "oldest.example",
            one("a", Some("2024"), json!({ "kind": "a", "old": older })),
            one("b", Some("2024"), json!({ "kind": "b", "old": newest })),
        ),
    ] {
        assert_eq!(got(host), BTreeMap::from([a, b]), "{host}");
    }
}

#[tokio::test]
async fn a_version_that_the_application_does_not_name_is_refused() {
    let webhooks = Receivers::new().dispatcher().api_versions(versions()).build().unwrap();
    let id = register(&webhooks, at("a.example").api_version("2025")).await;
    let invalid = Some(SendErrorKind::Invalid);

    assert_eq!(kind(webhooks.endpoints().create(at("b.example").api_version("2023")).await), invalid);
    assert_eq!(kind(webhooks.endpoints().update(id, EndpointUpdate::new().api_version("1\n")).await), invalid);
    assert_eq!(kind(webhooks.dispatch(message("a").version("2023")).await), invalid);
    let several = vec![message("a"), message("a").version("2023")];
    assert_eq!(kind(webhooks.dispatch_many(several).await), invalid);
    assert_eq!(count(&webhooks, None, DeliveryQuery::default()).await, 0, "nothing of it was stored");

    let changed = webhooks.endpoints().update(id, EndpointUpdate::new().api_version("2024")).await.unwrap();
    assert_eq!(changed.api_version(), Some("2024"));
    let cleared = webhooks.endpoints().update(id, EndpointUpdate::new().no_api_version()).await.unwrap();
    assert_eq!(cleared.api_version(), None);

    // Without declared versions a message may name any version, and an endpoint cannot select one.
    let webhooks = Receivers::new().dispatcher().build().unwrap();
    assert_eq!(kind(webhooks.dispatch(message("a").version("2023")).await), None);
    assert_eq!(kind(webhooks.endpoints().create(at("a.example").api_version("2023")).await), invalid);
}

#[tokio::test]
async fn a_conversion_that_fails_is_tried_again_and_is_not_the_endpoints_fault() {
    let receivers = Receivers::new();
    let left = Arc::new(AtomicU32::new(2));
    let convert = move |event_type: &str, payload| match left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)) {
        _ if event_type == "never" => panic!("a converter of the test"),
        Ok(_) => Err("no such field".into()),
        Err(_) => Ok(payload),
    };
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = told.clone();
    let webhooks = receivers
        .dispatcher()
        .api_versions(ApiVersions::newest("2").unwrap().older("1", convert).unwrap())
        .disable_after(Duration::ZERO)
        .on_attempt_failed(move |attempt| tell.lock().unwrap().push(attempt.result.error_kind().unwrap()))
        .build()
        .unwrap();
    let id = register(&webhooks, at("a.example").api_version("1")).await;
    let (logs, _guard) = Logs::capture();

    webhooks.dispatch(message("order.completed")).await.unwrap();
    work_off(&webhooks).await;
    let delivery = webhooks.deliveries(None, DeliveryQuery::default()).await.unwrap().remove(0);
    let attempts = webhooks.attempts(delivery.id).await.unwrap();
    let classes: Vec<_> = attempts.iter().map(|attempt| (attempt.status, attempt.error.as_deref())).collect();
    assert_eq!(classes, [(None, Some("conversion")), (None, Some("conversion")), (Some(200), None)]);
    assert_eq!(*told.lock().unwrap(), [AttemptErrorKind::Conversion; 2]);
    assert_eq!(receivers.got("a.example").len(), 1);

    webhooks.dispatch(message("never")).await.unwrap();
    work_off(&webhooks).await;
    assert_eq!(in_state(&webhooks, DeliveryState::Exhausted).await, 1);
    assert_eq!(receivers.got("a.example").len(), 1, "nothing was sent");

    let endpoint = webhooks.endpoints().get(id).await.unwrap().unwrap();
    assert_eq!((endpoint.is_enabled(), endpoint.failing_since()), (true, None));
    let lines = logs.ours();
    assert!(lines.iter().any(|line| line.contains("no such field") && line.contains("order.completed")), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("panicked") && line.contains("never")), "{lines:?}");
    assert!(!logs.text().contains(r#""order":7"#));
}

// Endpoints.

/// Lets nothing out, as a proxy does that is down.
struct Walled;

impl Transport for Walled {
    fn send(&self, _request: AttemptRequest) -> BoxFuture<'_, AttemptResult> {
        Box::pin(async { AttemptResult::failed(AttemptError::new(AttemptErrorKind::Proxy), Duration::from_millis(1)) })
    }
}

#[tokio::test]
async fn a_proxy_that_lets_nothing_out_is_not_the_endpoints_fault() {
    let webhooks = Dispatcher::builder(MemoryOutbox::new())
        .sealing_key(key(7))
        .transport(Walled, DestinationPolicy::default())
        .retry_policy(RetryPolicy::custom([Duration::from_millis(1); 6]))
        .poll_interval(Duration::from_millis(10))
        .disable_after(Duration::ZERO)
        .build()
        .unwrap();
    let id = register(&webhooks, at("a.example")).await;
    let worker = Working::start(&webhooks);

    webhooks.dispatch(message("order.completed")).await.unwrap();
    until("the last attempt", async || in_state(&webhooks, DeliveryState::Exhausted).await == 1).await;
    worker.stop().await;

    let endpoint = webhooks.endpoints().get(id).await.unwrap().unwrap();
    assert_eq!((endpoint.is_enabled(), endpoint.failing_since()), (true, None));
}

/// Otherwise a fault of this machine would pause all endpoints.
#[tokio::test]
async fn a_machine_without_files_or_ports_is_not_the_endpoints_fault() {
    struct Failing(fn() -> std::io::Error);

    impl Transport for Failing {
        fn send(&self, _: AttemptRequest) -> BoxFuture<'_, AttemptResult> {
            let error = AttemptError::new(AttemptErrorKind::Connect).with_source((self.0)());
            Box::pin(std::future::ready(AttemptResult::failed(error, Duration::ZERO)))
        }
    }

    let causes: [(fn() -> std::io::Error, bool); 4] = [
        (|| std::io::Error::from_raw_os_error(24), false), // EMFILE
        (|| std::io::ErrorKind::AddrNotAvailable.into(), false),
        (|| std::io::ErrorKind::ConnectionRefused.into(), true),
        (|| std::io::ErrorKind::TimedOut.into(), true),
    ];
    for (cause, is_the_endpoints) in causes {
        let webhooks = Receivers::new()
            .dispatcher()
            .transport(Failing(cause), DestinationPolicy::default())
            .retry_policy(RetryPolicy::custom([]))
            .build()
            .unwrap();
        let id = register(&webhooks, at("a.example")).await;
        webhooks.dispatch(message("a")).await.unwrap();
        work_off(&webhooks).await;

        let is_failing = webhooks.endpoints().get(id).await.unwrap().unwrap().failing_since().is_some();
        assert_eq!(is_failing, is_the_endpoints, "{}", cause());
    }
}

#[tokio::test]
async fn an_endpoint_is_pinged_once_in_ten_seconds_whatever_it_wants() {
    let (receivers, clock) = (Receivers::new(), ManualClock::at_unix_seconds(1000));
    let webhooks = receivers.dispatcher().clock(clock.clone()).build().unwrap();
    let endpoints = webhooks.endpoints();
    let id = register(&webhooks, at("a.example").tenant("acme").events(["order.*"])).await;
    register(&webhooks, at("b.example").tenant("acme")).await;

    let first = endpoints.ping(id).await.unwrap();
    clock.advance(Duration::from_secs(9));
    assert_eq!(endpoints.ping(id).await.unwrap(), first);
    clock.advance(Duration::from_secs(1));
    let second = endpoints.ping(id).await.unwrap();
    assert_ne!(second, first);

    let worker = Working::start(&webhooks);
    until("both pings", async || receivers.got("a.example").len() == 2).await;
    worker.stop().await;
    let ping = receivers.got("a.example").remove(0);
    assert_eq!((&ping["type"], &ping["data"]), (&json!("endpoint.ping"), &json!({ "endpoint": id.to_string() })));
    assert!(receivers.got("b.example").is_empty());
    assert_eq!(webhooks.attempts(first).await.unwrap()[0].status, Some(200));

    endpoints.disable(id).await.unwrap();
    clock.advance(Duration::from_secs(10));
    assert_eq!(kind(endpoints.ping(id).await), Some(SendErrorKind::Disabled));
    assert_eq!(kind(endpoints.ping(EndpointId::random().unwrap()).await), Some(SendErrorKind::NotFound));
}

#[tokio::test]
async fn an_endpoint_can_be_pinged_as_soon_as_it_is_registered() {
    let receivers = Receivers::new();
    let webhooks = receivers.dispatcher().build().unwrap();

    let created = webhooks.endpoints().create(at("a.example").events(["order.*"]).ping()).await.unwrap();
    let other = webhooks.endpoints().create(at("b.example")).await.unwrap();
    work_off(&webhooks).await;

    let delivery = webhooks.delivery(created.ping().unwrap()).await.unwrap().unwrap();
    assert_eq!((delivery.state, &*delivery.event_type), (DeliveryState::Delivered, "endpoint.ping"));
    assert_eq!((receivers.got("a.example").len(), receivers.got("b.example").len()), (1, 0));
    assert_eq!(other.ping(), None);
}

/// Its owner sees at once whether the new URL works, whatever the old one did to the endpoint's rest.
#[tokio::test]
async fn after_a_mended_url_a_ping_goes_out_at_once() {
    let receivers = Receivers::answering(|request| {
        let is_wrong = request.url().as_str().contains("wrong");
        EndpointResponse::new(if is_wrong { StatusCode::NOT_FOUND } else { StatusCode::OK })
    });
    let webhooks = receivers.dispatcher().retry_policy(RetryPolicy::custom([])).build().unwrap();
    let id = register(&webhooks, NewEndpoint::new("https://a.example/wrong").unwrap()).await;
    for _ in 0..12 {
        webhooks.dispatch(message("a")).await.unwrap();
        if webhooks.endpoints().get(id).await.unwrap().unwrap().failing_since().is_none() {
            work_off(&webhooks).await;
        }
    }
    let worker = Working::start(&webhooks);
    let failed = async || in_state(&webhooks, DeliveryState::Exhausted).await >= 5;
    until("a rest", failed).await;

    let right = EndpointUpdate::new().url("https://a.example/right").unwrap();
    webhooks.endpoints().update(id, right).await.unwrap();
    let ping = webhooks.endpoints().ping(id).await.unwrap();

    let pinged = async || webhooks.attempts(ping).await.unwrap().iter().any(|attempt| attempt.status == Some(200));
    tokio::time::timeout(Duration::from_secs(9), until("the ping", pinged)).await.expect("it waits for no rest");
    worker.stop().await;
}

#[tokio::test]
async fn a_ping_and_what_a_person_sends_again_go_before_a_backlog() {
    let receivers = Receivers::new();
    let webhooks = receivers.dispatcher().build().unwrap();
    let id = register(&webhooks, at("a.example")).await;
    webhooks.dispatch(message("first")).await.unwrap();
    work_off(&webhooks).await;
    let first = webhooks.deliveries(None, DeliveryQuery::default()).await.unwrap()[0].id;
    webhooks.dispatch_many((0..200).map(|_| message("a")).collect()).await.unwrap();
    webhooks.endpoints().disable(id).await.unwrap();
    webhooks.endpoints().enable(id).await.unwrap();
    let ping = webhooks.endpoints().ping(id).await.unwrap();
    webhooks.resend(first).await.unwrap();

    let worker = Working::start(&webhooks);
    let both = async || {
        webhooks.attempts(ping).await.unwrap().len() == 1 && webhooks.attempts(first).await.unwrap().len() == 2
    };
    tokio::time::timeout(Duration::from_secs(9), until("both", both)).await.expect("they do not wait for the others");
    worker.stop().await;

    let types: Vec<_> = receivers.got("a.example").iter().map(|body| body["type"].clone()).collect();
    let place = |name: &str| types.iter().rposition(|event_type| event_type == name).unwrap();
    assert!(place("endpoint.ping") <= 4 && place("first") <= 4, "{:?}", &types[..types.len().min(8)]);
}

/// Each of these answers means the whole endpoint, so no delivery is sent to it until then.
#[tokio::test]
async fn an_endpoint_that_says_when_to_come_again_is_left_alone_until_then() {
    for status in [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE] {
        let receivers =
            Receivers::answering(move |_| EndpointResponse::new(status).with_retry_after(Duration::from_secs(3600)));
        let offset = ClockOffset::default();
        let store = Arc::new(MemoryOutbox::with_offset(offset.clone()));
        let webhooks = receivers.dispatcher_on(store).build().unwrap();
        register(&webhooks, at("a.example")).await;
        webhooks.dispatch_many((0..40).map(|_| message("a")).collect()).await.unwrap();

        let worker = Working::start(&webhooks);
        until("an answer", async || !receivers.got("a.example").is_empty()).await;
        sleep(Duration::from_millis(500)).await;
        let asked = receivers.got("a.example").len();
        assert!(asked <= 4, "those in flight, and no more: {asked}");
        offset.advance(Duration::from_secs(3590));
        sleep(Duration::from_millis(200)).await;
        assert_eq!(receivers.got("a.example").len(), asked);
        offset.advance(Duration::from_secs(20));
        until("another try", async || receivers.got("a.example").len() > asked).await;
        worker.stop().await;
    }
}

/// All that it has in flight fails at the same moment, and that is one failure.
#[tokio::test]
async fn a_moment_of_failure_does_not_silence_a_busy_endpoint() {
    let is_down = Arc::new(AtomicU32::new(1));
    let down = is_down.clone();
    let receivers = Receivers::answering(move |_| {
        EndpointResponse::new(if down.load(SeqCst) == 1 { StatusCode::BAD_GATEWAY } else { StatusCode::OK })
    });
    let webhooks =
        receivers.dispatcher().retry_policy(RetryPolicy::custom([Duration::from_secs(3600)])).build().unwrap();
    let id = register(&webhooks, at("slow.example")).await;
    let worker = Working::start(&webhooks);
    webhooks.dispatch_many((0..8).map(|_| message("a")).collect()).await.unwrap();
    for round in 1..=2 {
        until("four in flight", async || receivers.got("slow.example").len() == 4 * round).await;
        receivers.0.let_go.add_permits(4);
        until("their failure", async || {
            let deliveries = webhooks.deliveries(None, DeliveryQuery::default()).await.unwrap();
            deliveries.iter().filter(|record| record.state == DeliveryState::Pending && record.attempt == 1).count()
                == 4 * round
        })
        .await;
    }
    is_down.store(0, SeqCst);
    receivers.0.let_go.add_permits(100);

    let endpoint = webhooks.endpoints().get(id).await.unwrap().unwrap();
    assert!(endpoint.failing_since().is_some());
    webhooks.dispatch(message("later")).await.unwrap();
    let later = async || receivers.got("slow.example").iter().any(|body| body["type"] == "later");
    tokio::time::timeout(Duration::from_secs(9), until("the next one", later)).await.expect("it does not rest");
    worker.stop().await;
}

#[tokio::test]
async fn a_late_answer_of_the_old_url_is_not_the_new_ones() {
    let receivers = Receivers::answering(|request| {
        let is_old = request.url().as_str().contains("old");
        EndpointResponse::new(if is_old { StatusCode::GONE } else { StatusCode::OK })
    });
    let states = Arc::new(Mutex::new(Vec::new()));
    let seen = states.clone();
    let webhooks = receivers
        .dispatcher()
        .on_attempt_failed(move |attempted| seen.lock().unwrap().push(attempted.state))
        .on_endpoint_disabled(|disabled| panic!("{} is disabled", disabled.url))
        .build()
        .unwrap();
    let id = register(&webhooks, NewEndpoint::new("https://slow.example/old").unwrap()).await;
    webhooks.dispatch(message("a")).await.unwrap();
    let worker = Working::start(&webhooks);
    until("an attempt at the old URL", async || receivers.got("slow.example").len() == 1).await;

    let new = EndpointUpdate::new().url("https://new.example/new").unwrap();
    webhooks.endpoints().update(id, new).await.unwrap();
    receivers.0.let_go.add_permits(1);

    until("the delivery at the new URL", async || in_state(&webhooks, DeliveryState::Delivered).await == 1).await;
    worker.stop().await;
    assert!(webhooks.endpoints().get(id).await.unwrap().unwrap().is_enabled());
    assert_eq!(receivers.got("new.example").len(), 1);
    assert_eq!(*states.lock().unwrap(), [DeliveryState::Pending]);
}

#[tokio::test]
async fn attempts_are_numbered_on_and_the_log_says_which_somebody_asked_for() {
    let receivers = Receivers::answering(|_| EndpointResponse::new(StatusCode::BAD_GATEWAY));
    let hooked = Arc::new(Mutex::new(Vec::new()));
    let hook = hooked.clone();
    let webhooks = receivers
        .dispatcher()
        .retry_policy(RetryPolicy::custom([Duration::from_millis(1)]))
        .attempt_header()
        .on_attempt_failed(move |attempted| hook.lock().unwrap().push((attempted.attempt, attempted.manual)))
        .build()
        .unwrap();
    register(&webhooks, at("a.example")).await;
    register(&webhooks, at("x.example").style(Style::XWebhook)).await;
    webhooks.dispatch(message("a")).await.unwrap();
    work_off(&webhooks).await;
    let deliveries = webhooks.deliveries(None, DeliveryQuery::default()).await.unwrap();
    for delivery in &deliveries {
        webhooks.resend(delivery.id).await.unwrap();
    }
    work_off(&webhooks).await;

    // The schedule of two attempts is gone through twice.
    let wanted = [(1, false), (2, false), (3, true), (4, false)];
    for delivery in &deliveries {
        let attempts = webhooks.attempts(delivery.id).await.unwrap();
        assert_eq!(attempts.iter().map(|one| (one.attempt, one.manual)).collect::<Vec<_>>(), wanted);
        assert_eq!(webhooks.delivery(delivery.id).await.unwrap().unwrap().state, DeliveryState::Exhausted);
    }
    let mut twice: Vec<_> = wanted.into_iter().chain(wanted).collect();
    twice.sort();
    let mut heard = hooked.lock().unwrap().clone();
    heard.sort();
    assert_eq!(heard, twice);
    for (host, name) in [("a.example", "webhook-attempt"), ("x.example", "x-webhook-attempt")] {
        let numbers: Vec<_> = receivers.headers(host).iter().map(|headers| headers[name].clone()).collect();
        assert_eq!(numbers, ["1", "2", "3", "4"]);
    }

    // No extra header is configured here.
    let plain = Receivers::new();
    let webhooks = plain.dispatcher().build().unwrap();
    register(&webhooks, at("a.example")).await;
    webhooks.dispatch(message("a")).await.unwrap();
    work_off(&webhooks).await;
    assert!(!plain.headers("a.example")[0].contains_key("webhook-attempt"));
}

#[tokio::test]
async fn what_can_be_changed_about_an_endpoint_can_be_cleared() {
    let webhooks = Receivers::new().dispatcher().build().unwrap();
    let limit = RateLimit::per_second(10).unwrap();
    let id = register(&webhooks, at("a.example").rate_limit(limit)).await;
    let limit_is = async || webhooks.endpoints().get(id).await.unwrap().unwrap().rate_limit();
    let update = async |update| webhooks.endpoints().update(id, update).await.unwrap();

    assert_eq!(limit_is().await, Some(limit));
    update(EndpointUpdate::new().description("nothing of the limit")).await;
    assert_eq!(limit_is().await, Some(limit));
    update(EndpointUpdate::new().rate_limit(RateLimit::per_minute(1).unwrap())).await;
    assert_eq!(limit_is().await, Some(RateLimit::per_minute(1).unwrap()));
    update(EndpointUpdate::new().no_rate_limit()).await;
    assert_eq!(limit_is().await, None);
}

#[tokio::test]
async fn a_style_is_changed_where_the_secrets_fit_it() {
    let receivers = Receivers::new();
    let webhooks = receivers.dispatcher().build().unwrap();
    let endpoints = webhooks.endpoints();
    let standard = register(&webhooks, at("a.example")).await;
    let text = Secret::new("no base64, but certainly long enough").unwrap();
    let x_webhook = register(&webhooks, at("b.example").style(Style::XWebhook).secret(text)).await;

    let changed = endpoints.update(standard, EndpointUpdate::new().style(Style::XWebhook)).await.unwrap();
    assert_eq!(changed.style(), Style::XWebhook);
    let refused = endpoints.update(x_webhook, EndpointUpdate::new().style(Style::StandardWebhooks)).await;
    assert_eq!(kind(refused), Some(SendErrorKind::Invalid));

    webhooks.dispatch(message("a")).await.unwrap();
    work_off(&webhooks).await;
    for host in ["a.example", "b.example"] {
        assert!(receivers.headers(host)[0].contains_key("x-webhook-signature"), "{host}");
    }
}

#[tokio::test]
async fn what_an_endpoint_missed_in_a_span_of_time_is_sent() {
    let receivers = Receivers::new();
    let webhooks = receivers.dispatcher().build().unwrap();
    let endpoints = webhooks.endpoints();
    webhooks.dispatch(message("a")).await.unwrap();
    let endpoint = endpoints.create(at("a.example")).await.unwrap().endpoint().clone();
    let (id, created) = (endpoint.id(), endpoint.created_at());
    let (before, later) = (created - Duration::from_secs(3600), created + Duration::from_secs(3600));

    assert_eq!(endpoints.recover(id, UNIX_EPOCH..before).await.unwrap(), 0);
    assert_eq!(endpoints.recover(id, later..).await.unwrap(), 0);
    assert_eq!(endpoints.recover(id, ..=before).await.unwrap(), 0);
    assert_eq!(endpoints.recover(id, (Bound::Excluded(later), Bound::Unbounded)).await.unwrap(), 0);
    assert_eq!(kind(endpoints.recover(id, later..before).await), Some(SendErrorKind::Invalid));
    assert_eq!(endpoints.recover(id, before..later).await.unwrap(), 1);
    let nobody = EndpointId::random().unwrap();
    assert_eq!(kind(endpoints.recover(nobody, before..).await), Some(SendErrorKind::NotFound));
}

#[tokio::test]
async fn an_operator_reads_all_endpoints_in_pages() {
    let webhooks = Receivers::new().dispatcher().quotas(Quotas::default().page(2)).build().unwrap();
    let mut registered = Vec::new();
    for tenant in ["", "a", "a", "b", "c"] {
        registered.push(register(&webhooks, at("a.example").tenant(tenant)).await);
    }
    registered.sort();

    let (mut read, mut sizes) = (Vec::new(), Vec::new());
    loop {
        let page = webhooks.endpoints().all(read.last().copied(), 2).await.unwrap();
        if page.is_empty() {
            break;
        }
        sizes.push(page.len());
        read.extend(page.iter().map(|endpoint| endpoint.id()));
    }

    assert_eq!((read, sizes), (registered, vec![2, 2, 1]));
}

#[tokio::test]
async fn a_sealing_key_is_changed_without_losing_an_endpoint() {
    let (receivers, store) = (Receivers::new(), Arc::new(MemoryOutbox::new()));
    let keyed = |keys: &[u8]| {
        let builder = Dispatcher::builder(store.clone()).transport(receivers.clone(), DestinationPolicy::default());
        keys.iter().fold(builder, |builder, byte| builder.sealing_key(key(*byte))).build().unwrap()
    };
    let old = keyed(&[1]);
    for number in 0..300 {
        register(&old, at("a.example").tenant(format!("{}", number / 100))).await;
    }
    let lost = register(&keyed(&[3]), at("b.example").tenant("b")).await;
    let known = register(&keyed(&[2]), at("c.example").tenant("c")).await;

    let both = keyed(&[2, 1]);
    let resealed = both.endpoints().reseal().await.unwrap();

    assert_eq!(resealed.endpoints(), 300);
    assert_eq!(
        resealed.failed().iter().map(|(id, error)| (*id, error.kind())).collect::<Vec<_>>(),
        [(lost, SendErrorKind::Sealing)]
    );
    let new = keyed(&[2]);
    assert_eq!(new.endpoints().get(known).await.unwrap().unwrap().revision(), 1, "it was sealed with the new key");
    for endpoint in new.endpoints().list(Some("1")).await.unwrap() {
        new.endpoints().rotate_secret(endpoint.id(), Duration::ZERO).await.unwrap();
    }
    assert_eq!(both.endpoints().reseal().await.unwrap().endpoints(), 0);
}

// Quotas, the catalogue and the log.

#[tokio::test]
async fn quotas_are_the_applications_to_set() {
    let quotas = Quotas::default().endpoints(2).patterns(3).page(2).event_types(2);
    let webhooks = Receivers::new().dispatcher().quotas(quotas).build().unwrap();
    let endpoints = webhooks.endpoints();
    let too_many = Some(SendErrorKind::TooMany);

    assert_eq!(kind(endpoints.create(at("a.example").events(["a", "b", "c", "d"])).await), too_many);
    let id = register(&webhooks, at("a.example").events(["a", "b", "c"])).await;
    assert_eq!(kind(endpoints.update(id, EndpointUpdate::new().events(["a", "b", "c", "d"])).await), too_many);
    register(&webhooks, at("b.example")).await;
    assert_eq!(kind(endpoints.create(at("c.example")).await), too_many);
    assert_eq!(kind(endpoints.create(at("c.example").tenant("another")).await), None);

    for _ in 0..2 {
        webhooks.dispatch(message("a")).await.unwrap();
    }
    assert_eq!(count(&webhooks, None, DeliveryQuery::default()).await, 2);

    let types = |names: &[&str]| names.iter().map(|name| EventTypeDefinition::new(*name).unwrap()).collect::<Vec<_>>();
    assert_eq!(kind(webhooks.event_types().put(types(&["a", "b", "c"])).await), too_many);
    assert_eq!(kind(webhooks.event_types().put(types(&["a", "b"])).await), None);
    assert_eq!(kind(webhooks.event_types().put(types(&["b", "b"])).await), None);
    assert_eq!(kind(webhooks.event_types().put(types(&["c"])).await), too_many);
}

#[tokio::test]
async fn the_catalogue_tells_what_can_be_sent() {
    let webhooks = Receivers::new().dispatcher().build().unwrap();
    let catalogue = webhooks.event_types();
    let described = |name: &str, text: &str| EventTypeDefinition::new(name).unwrap().description(text).unwrap();

    catalogue.put([described("order.paid", "paid"), described("order.completed", "completed")]).await.unwrap();
    let paid =
        described("order.paid", "paid in full").version("2026-06").unwrap().schema(r#"{"type":"object"}"#).unwrap();
    catalogue.put([paid.clone()]).await.unwrap();

    let told: Vec<_> = catalogue.list().await.unwrap();
    assert_eq!(told, [described("order.completed", "completed"), paid]);
    assert_eq!((told[1].api_version(), told[1].schema_text()), (Some("2026-06"), Some(r#"{"type":"object"}"#)));
    catalogue.remove("order.paid").await.unwrap();
    assert_eq!(kind(catalogue.remove("order.paid").await), Some(SendErrorKind::NotFound));
    assert_eq!(catalogue.list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_example_of_the_catalogue_is_sent_to_one_endpoint() {
    let receivers = Receivers::new();
    let webhooks = receivers.dispatcher().build().unwrap();
    let only = register(&webhooks, at("a.example").events(["user.*"])).await;
    register(&webhooks, at("b.example")).await;
    let disabled = register(&webhooks, at("c.example")).await;
    webhooks.endpoints().disable(disabled).await.unwrap();
    let entry = |name: &str| EventTypeDefinition::new(name).unwrap();
    let paid = entry("order.paid").version("2026-06").unwrap().example(r#"{"order": 7}"#).unwrap();
    webhooks.event_types().put([paid, entry("order.completed")]).await.unwrap();

    let delivery = webhooks.endpoints().send_example(only, "order.paid").await.unwrap();
    for (id, event_type, wanted) in [
        (only, "order.completed", SendErrorKind::Invalid),
        (only, "order.unknown", SendErrorKind::Invalid),
        (only, "", SendErrorKind::Invalid),
        (EndpointId::random().unwrap(), "order.paid", SendErrorKind::NotFound),
        (disabled, "order.paid", SendErrorKind::Disabled),
    ] {
        assert_eq!(kind(webhooks.endpoints().send_example(id, event_type).await), Some(wanted), "{event_type}");
    }
    let working = Working::start(&webhooks);
    until("it is sent", async || receivers.got("a.example").len() == 1).await;
    working.stop().await;

    let got = receivers.got("a.example");
    assert_eq!(
        (&got[0]["type"], &got[0]["data"], &got[0]["api_version"]),
        (&json!("order.paid"), &json!({ "order": 7 }), &json!("2026-06"))
    );
    assert!(got[0]["id"].as_str().unwrap().starts_with(&format!("{only}:example:")), "{got:?}");
    assert!(receivers.got("b.example").is_empty() && receivers.got("c.example").is_empty());
    let record = webhooks.delivery(delivery).await.unwrap().unwrap();
    assert_eq!((record.endpoint, record.state), (only, DeliveryState::Delivered));
}

#[tokio::test(start_paused = true)]
async fn an_example_is_sent_once_in_a_while_and_a_changed_one_at_once() {
    let webhooks = Receivers::new().dispatcher().clock(ManualClock::at_unix_seconds(1_800_000_000)).build().unwrap();
    let id = register(&webhooks, at("a.example")).await;
    let put = async |example: &str| {
        let entry = EventTypeDefinition::new("order.paid").unwrap().example(example).unwrap();
        webhooks.event_types().put([entry]).await.unwrap();
    };
    let send = async || webhooks.endpoints().send_example(id, "order.paid").await.unwrap();
    put("1").await;
    let first = send().await;
    let again = send().await;
    put("2").await;
    let changed = send().await;

    assert_eq!(first, again);
    assert_ne!(first, changed);
    for wrong in ["", "{", "1 2", &format!("\"{}\"", "x".repeat(64 * 1024))] {
        assert_eq!(kind(EventTypeDefinition::new("a").unwrap().example(wrong)), Some(SendErrorKind::Invalid));
    }
}

#[tokio::test]
async fn metadata_is_kept_changed_by_entry_and_bounded() {
    let webhooks = Receivers::new().dispatcher().build().unwrap();
    let id = register(&webhooks, at("a.example").metadata([("plan", "pro"), ("region", "eu")])).await;
    let read = async || webhooks.endpoints().get(id).await.unwrap().unwrap().metadata().clone();
    let update = async |update: EndpointUpdate| webhooks.endpoints().update(id, update).await;
    let map = |entries: &[(&str, &str)]| {
        entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>()
    };

    assert_eq!(read().await, map(&[("plan", "pro"), ("region", "eu")]));
    let entries = EndpointUpdate::new().metadata_entry("plan", Some("free".into())).metadata_entry("region", None);
    assert_eq!(update(entries).await.unwrap().metadata(), &map(&[("plan", "free")]));
    update(EndpointUpdate::new().description("mine")).await.unwrap();
    assert_eq!(read().await, map(&[("plan", "free")]));
    update(EndpointUpdate::new().metadata([("team", "billing")])).await.unwrap();
    assert_eq!(read().await, map(&[("team", "billing")]));

    let many = |count: usize| (0..count).map(|number| (format!("name {number}"), "x".repeat(500))).collect::<Vec<_>>();
    update(EndpointUpdate::new().metadata(many(20))).await.unwrap();
    let before = read().await;
    for wrong in [
        EndpointUpdate::new().metadata(many(21)),
        EndpointUpdate::new().metadata_entry("one more", Some(String::new())),
        EndpointUpdate::new().metadata([("", "x")]),
        EndpointUpdate::new().metadata([("x".repeat(41), "x")]),
        EndpointUpdate::new().metadata([("a\nb", "x")]),
        EndpointUpdate::new().metadata([("a", "x".repeat(501))]),
        EndpointUpdate::new().metadata([("a", "\0")]),
    ] {
        assert_eq!(kind(update(wrong.clone()).await), Some(SendErrorKind::Invalid), "{wrong:?}");
    }
    assert_eq!(
        kind(webhooks.endpoints().create(at("b.example").metadata(many(21))).await),
        Some(SendErrorKind::Invalid)
    );
    assert_eq!(read().await, before);
}

#[tokio::test]
async fn an_endpoint_gets_the_messages_that_have_all_of_its_labels() {
    let webhooks = Receivers::new().dispatcher().build().unwrap();
    let plain = register(&webhooks, at("a.example")).await;
    let eu = register(&webhooks, at("b.example").label("region", "eu").label("plan", "pro")).await;
    let message = || Message::new("order.completed", &7).unwrap();
    let dispatch = async |message: Message| webhooks.dispatch(message).await.map(|receipt| receipt.deliveries());
    let update = async |update: EndpointUpdate| webhooks.endpoints().update(eu, update).await;
    let map = |entries: &[(&str, &str)]| {
        entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>()
    };

    let both = message().label("region", "eu").label("plan", "pro").label("team", "billing");
    for (message, deliveries) in [
        (message(), 1),
        (message().label("region", "eu"), 1),
        (message().label("region", "us").label("plan", "pro"), 1),
        (both.clone(), 2),
    ] {
        assert_eq!(dispatch(message.clone()).await.unwrap(), deliveries, "{:?}", message.labels());
    }
    // Other labels are another message.
    assert_eq!(kind(dispatch(both.clone().label("team", "sales")).await), Some(SendErrorKind::Conflict));
    assert_eq!(dispatch(both).await.unwrap(), 2);
    // A ping comes anyway.
    webhooks.endpoints().ping(eu).await.unwrap();

    let entries = EndpointUpdate::new().label_entry("plan", None).label_entry("team", Some("billing".into()));
    assert_eq!(update(entries).await.unwrap().labels(), &map(&[("region", "eu"), ("team", "billing")]));
    update(EndpointUpdate::new().labels([("team", "sales")])).await.unwrap();
    assert_eq!(dispatch(message().label("team", "sales")).await.unwrap(), 2);
    update(EndpointUpdate::new().description("mine")).await.unwrap();
    assert_eq!(webhooks.endpoints().get(eu).await.unwrap().unwrap().labels(), &map(&[("team", "sales")]));
    assert!(webhooks.endpoints().get(plain).await.unwrap().unwrap().labels().is_empty());

    let many = |count: usize| (0..count).map(|number| (format!("name-{number}"), "x".repeat(100))).collect::<Vec<_>>();
    update(EndpointUpdate::new().labels(many(16))).await.unwrap();
    for wrong in [
        many(17),
        vec![(String::new(), "x".to_owned())],
        vec![("x".repeat(41), "x".to_owned())],
        vec![("a=b".to_owned(), "x".to_owned())],
        vec![("ä".to_owned(), "x".to_owned())],
        vec![("a".to_owned(), String::new())],
        vec![("a".to_owned(), "x".repeat(101))],
        vec![("a".to_owned(), "x\ny".to_owned())],
    ] {
        assert_eq!(kind(update(EndpointUpdate::new().labels(wrong.clone())).await), Some(SendErrorKind::Invalid));
        let labelled = |message: Message, (name, value)| message.label(name, value);
        let refused = dispatch(wrong.into_iter().fold(message(), labelled)).await;
        assert_eq!(kind(refused), Some(SendErrorKind::Invalid));
    }
}

/// A queue as the transport: a request that it does not accept is tried again, and delays only those with the same key.
#[tokio::test]
async fn a_queue_in_place_of_http_gets_what_is_signed_in_the_order_of_its_key() {
    struct Queued(tokio::sync::mpsc::Sender<AttemptRequest>, Mutex<BTreeMap<String, u32>>);

    impl Transport for Queued {
        fn send(&self, request: AttemptRequest) -> BoxFuture<'_, AttemptResult> {
            // It refuses the first attempt of the first message, and of some others.
            let id = request.headers()["webhook-id"].to_str().unwrap().to_owned();
            let tries = {
                let mut tries = self.1.lock().unwrap();
                let count = tries.len();
                let tries = tries.entry(id).or_insert(u32::from(!count.is_multiple_of(3)));
                *tries += 1;
                *tries
            };
            let accepted = if tries > 1 { self.0.try_send(request).is_ok() } else { false };
            Box::pin(std::future::ready(match accepted {
                true => AttemptResult::answered(EndpointResponse::new(StatusCode::ACCEPTED), Duration::ZERO),
                false => AttemptResult::failed(AttemptError::new(AttemptErrorKind::Connect), Duration::ZERO),
            }))
        }
    }

    let (sender, mut queue) = tokio::sync::mpsc::channel(64);
    let webhooks = Dispatcher::builder(MemoryOutbox::new())
        .sealing_key(key(7))
        .transport(Queued(sender, Mutex::default()), DestinationPolicy::default())
        .retry_policy(RetryPolicy::custom([Duration::from_millis(100); 5]))
        .poll_interval(Duration::from_millis(10))
        .build()
        .unwrap();
    register(&webhooks, at("orders.queue.example")).await;
    for order in 0..12 {
        let message = Message::new("order.completed", &order).unwrap().order_key(format!("key-{}", order % 2));
        webhooks.dispatch(message).await.unwrap();
    }
    let working = Working::start(&webhooks);

    let mut got = Vec::new();
    while got.len() < 12 {
        let request = tokio::time::timeout(Duration::from_secs(60), queue.recv()).await.unwrap().unwrap();
        assert!(request.headers().contains_key("webhook-signature"), "{request:?}");
        let body: Value = serde_json::from_slice(request.body()).unwrap();
        got.push(body["data"].as_u64().unwrap());
    }

    for parity in [0, 1] {
        let of_key: Vec<_> = got.iter().copied().filter(|order| order % 2 == parity).collect();
        assert!(of_key.len() == 6 && of_key.is_sorted(), "{got:?}");
    }
    working.stop().await;
}

#[tokio::test]
async fn deliveries_are_found_by_what_they_are() {
    let webhooks = Receivers::new().dispatcher().build().unwrap();
    let one = register(&webhooks, at("a.example")).await;
    register(&webhooks, at("b.example").events(["order.*"])).await;
    for (event_type, id) in [("order.paid", "m1"), ("order.completed", "m2"), ("user.created", "m3")] {
        webhooks.dispatch(message(event_type).id(id.parse().unwrap())).await.unwrap();
    }
    let all = webhooks.deliveries(None, DeliveryQuery::default()).await.unwrap();
    webhooks.cancel(all[0].id).await.unwrap();
    let found = async |query| count(&webhooks, None, query).await;
    let query = DeliveryQuery::default;

    assert_eq!(all.len(), 5);
    assert_eq!(found(query().endpoint(one)).await, 3);
    assert_eq!(found(query().event_type("order.paid")).await, 2);
    assert_eq!(found(query().event_type("order.*")).await, 0);
    assert_eq!(found(query().message("m2")).await, 2);
    assert_eq!(found(query().state(DeliveryState::Cancelled)).await, 1);
    assert_eq!(found(query().before(all[2].id)).await, 2);
    assert_eq!(found(query().endpoint(one).event_type("order.paid").before(all[0].id)).await, 1);
    assert_eq!(count(&webhooks, Some("a"), query()).await, 0);
}

#[tokio::test]
async fn a_tenant_is_erased_and_nobody_else() {
    let webhooks = Receivers::new().dispatcher().build().unwrap();
    for tenant in ["", "acme", "other"] {
        register(&webhooks, at("a.example").tenant(tenant)).await;
        let messages = (0..600).map(|_| message("a").tenant(tenant)).collect();
        webhooks.dispatch_many(messages).await.unwrap();
    }
    let has = async |tenant| {
        let endpoints = webhooks.endpoints().list(tenant).await.unwrap().len();
        (endpoints, count(&webhooks, tenant, DeliveryQuery::default()).await)
    };

    assert_eq!(kind(webhooks.erase_tenant("").await), Some(SendErrorKind::Invalid));
    assert!(webhooks.erase_tenant("acme").await.unwrap() >= 1201);

    assert_eq!(has(Some("acme")).await, (0, 0));
    assert_eq!((has(None).await, has(Some("other")).await), ((1, 250), (1, 250)));
    assert_eq!(webhooks.erase_tenant("acme").await.unwrap(), 0);
}

// Messages.

#[tokio::test]
async fn what_a_message_cannot_be_is_refused_when_it_is_dispatched() {
    let webhooks = Receivers::new().dispatcher().build().unwrap();
    let (long, longest) = ("v".repeat(65), "v".repeat(64));
    let (long_tenant, longest_tenant) = ("t".repeat(257), "t".repeat(256));

    for bad in [
        message("a").version(""),
        message("a").version("1 2"),
        message("a").version("1\r\n"),
        message("a").version(&*long),
        message("a").tenant("a\nb"),
        message("a").tenant("a\u{85}b"),
        message("a").tenant(&*long_tenant),
        message("a").at(UNIX_EPOCH - Duration::from_millis(1)),
        message("a").at(UNIX_EPOCH + Duration::from_secs(300_000_000_000)),
    ] {
        assert_eq!(kind(webhooks.dispatch(bad.clone()).await), Some(SendErrorKind::Invalid), "{bad:?}");
        assert_eq!(kind(webhooks.dispatch_many(vec![message("a"), bad]).await), Some(SendErrorKind::Invalid));
    }
    for good in [
        message("a").version(&*longest),
        message("a").version("v1.2_3-4"),
        message("a").tenant(&*longest_tenant),
        message("a").tenant("Bäckerei Müller & Söhne"),
        message("a").at(UNIX_EPOCH),
    ] {
        assert_eq!(kind(webhooks.dispatch(good.clone()).await), None, "{good:?}");
    }
    for tenant in [&*long_tenant, "a\nb"] {
        assert_eq!(
            kind(webhooks.endpoints().create(at("a.example").tenant(tenant)).await),
            Some(SendErrorKind::Invalid)
        );
    }
}

#[tokio::test]
async fn a_text_that_no_database_can_keep_is_refused_before_it_gets_there() {
    let webhooks = Receivers::new().dispatcher().build().unwrap();
    let (endpoints, nul) = (webhooks.endpoints(), "a\0b");
    let id = register(&webhooks, at("a.example")).await;
    let query = DeliveryQuery::default;

    let refused = [
        kind(webhooks.dispatch(message("a").tenant(nul)).await),
        kind(endpoints.create(at("a.example").tenant(nul)).await),
        kind(endpoints.create(at("a.example").description(nul)).await),
        kind(endpoints.update(id, EndpointUpdate::new().description(nul)).await),
        kind(endpoints.list(Some(nul)).await),
        kind(webhooks.deliveries(Some(nul), query()).await),
        kind(webhooks.deliveries(None, query().message(nul)).await),
        kind(webhooks.deliveries(None, query().event_type(nul)).await),
        kind(webhooks.erase_tenant(nul).await),
        kind(webhooks.event_types().remove(nul).await),
        kind(EventTypeDefinition::new("a").unwrap().description(nul)),
        kind(EventTypeDefinition::new("a").unwrap().schema(nul)),
    ];

    assert_eq!(refused, [Some(SendErrorKind::Invalid); 12]);
}

#[tokio::test]
async fn the_same_payload_in_another_order_is_the_same_message() {
    let webhooks = Receivers::new().dispatcher().build().unwrap();
    let mut dispatched = Vec::new();
    for _ in 0..20 {
        // Its order is another one in each map.
        let payload: HashMap<String, u32> = (0..50).map(|number| (format!("key-{number}"), number)).collect();
        let message = Message::new("a", &payload).unwrap().id("m".parse().unwrap());
        dispatched.push(webhooks.dispatch(message).await.unwrap().is_new());
    }
    let other = Message::new("a", &json!({ "key-0": 0 })).unwrap().id("m".parse().unwrap());

    assert!(dispatched[0] && dispatched[1..].iter().all(|is_new| !is_new));
    assert_eq!(kind(webhooks.dispatch(other).await), Some(SendErrorKind::Conflict));
}

#[tokio::test]
async fn what_was_cancelled_is_not_recovered_and_can_be_sent_again() {
    let webhooks = Receivers::new().dispatcher().build().unwrap();
    let id = register(&webhooks, at("a.example")).await;
    webhooks.dispatch(message("a")).await.unwrap();
    let delivery = webhooks.deliveries(None, DeliveryQuery::default()).await.unwrap()[0].id;
    webhooks.cancel(delivery).await.unwrap();

    assert_eq!(webhooks.endpoints().recover(id, UNIX_EPOCH..).await.unwrap(), 0);
    assert_eq!(in_state(&webhooks, DeliveryState::Cancelled).await, 1);
    webhooks.resend(delivery).await.unwrap();
    assert_eq!(in_state(&webhooks, DeliveryState::Pending).await, 1);
}

#[tokio::test]
async fn a_large_payload_is_warned_of_and_not_shown() {
    let webhooks = Receivers::new().dispatcher().build().unwrap();
    let (logs, _guard) = Logs::capture();

    webhooks.dispatch(Message::new("small.one", &"x".repeat(20 * 1024 - 3)).unwrap()).await.unwrap();
    assert!(logs.ours().is_empty());
    webhooks.dispatch(Message::new("large.one", &"x".repeat(20 * 1024 - 2)).unwrap()).await.unwrap();

    let lines = logs.ours();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("WARN") && lines[0].contains("large.one") && lines[0].contains("20480"), "{lines:?}");
    assert!(!lines[0].contains("xxx"));
}

// Workers.

#[tokio::test]
async fn newcomers_that_are_slow_leave_the_others_half_of_a_worker() {
    let receivers = Receivers::new();
    let webhooks = receivers.dispatcher().concurrency(16).build().unwrap();
    for number in 0..64 {
        register(&webhooks, at(&format!("slow{number}.example")).events(["slow"])).await;
    }
    register(&webhooks, at("quick.example").events(["quick"])).await;
    webhooks.dispatch(message("quick")).await.unwrap();
    work_off(&webhooks).await;

    let worker = Working::start(&webhooks);
    webhooks.dispatch(message("slow")).await.unwrap();
    until("half of the worker's places", async || in_state(&webhooks, DeliveryState::Sending).await == 8).await;
    for _ in 0..40 {
        webhooks.dispatch(message("quick")).await.unwrap();
    }
    // The slow ones answer when they are let, and that is later.
    let quick = async || receivers.got("quick.example").len() == 41;
    tokio::time::timeout(Duration::from_secs(10), until("the quick ones", quick)).await.expect("they wait for nobody");
    until("the quick ones noted", async || in_state(&webhooks, DeliveryState::Delivered).await == 41).await;
    assert_eq!(in_state(&webhooks, DeliveryState::Sending).await, 8);

    receivers.0.let_go.add_permits(64);
    until("the slow ones", async || in_state(&webhooks, DeliveryState::Delivered).await == 105).await;
    worker.stop().await;
}

#[tokio::test]
async fn a_rate_limit_is_the_endpoints_own() {
    let (receivers, offset) = (Receivers::new(), ClockOffset::default());
    let webhooks = receivers.dispatcher_on(Arc::new(MemoryOutbox::with_offset(offset.clone()))).build().unwrap();
    register(&webhooks, at("limited.example").rate_limit(RateLimit::per_minute(1).unwrap())).await;
    register(&webhooks, at("other.example")).await;
    webhooks.dispatch_many(vec![message("a"), message("b"), message("c")]).await.unwrap();
    let got = |host: &str| receivers.got(host).len();

    let worker = Working::start(&webhooks);
    until("the other's three", async || got("other.example") == 3).await;
    until("one that is in time", async || got("limited.example") == 1).await;
    for number in 2..=3 {
        until("what is noted", async || in_state(&webhooks, DeliveryState::Sending).await == 0).await;
        assert_eq!(got("limited.example"), number - 1);
        offset.advance(Duration::from_secs(60));
        until("the next one", async || got("limited.example") == number).await;
    }
    worker.stop().await;
}

#[tokio::test]
async fn a_worker_with_one_place_gives_it_to_newcomers_too() {
    let receivers = Receivers::new();
    let webhooks = receivers.dispatcher().concurrency(1).build().unwrap();
    register(&webhooks, at("a.example")).await;
    webhooks.dispatch(message("a")).await.unwrap();

    tokio::time::timeout(Duration::from_secs(10), work_off(&webhooks)).await.expect("it is served");

    assert_eq!(receivers.got("a.example").len(), 1);
}

#[tokio::test]
async fn the_notice_of_each_disabling_tells_the_origin_and_no_more() {
    let receivers = Receivers::new();
    let hooked = Arc::new(Mutex::new(Vec::new()));
    let hook = hooked.clone();
    let webhooks = receivers
        .dispatcher()
        .on_endpoint_disabled(move |disabled| hook.lock().unwrap().push(disabled.url.to_owned()))
        .build()
        .unwrap();
    let url = "https://gone.example:8443/hook/of-somebody?token=of-the-receiver";
    let gone = register(&webhooks, NewEndpoint::new(url).unwrap().tenant("acme")).await;
    register(&webhooks, at("other.example").tenant("acme").events(["endpoint.*"])).await;
    register(&webhooks, at("stranger.example").tenant("other").events(["endpoint.*"])).await;

    let worker = Working::start(&webhooks);
    webhooks.dispatch(message("a").tenant("acme")).await.unwrap();
    until("the first notice", async || receivers.got("other.example").len() == 1).await;
    webhooks.endpoints().enable(gone).await.unwrap();
    until("the second notice", async || receivers.got("other.example").len() == 2).await;
    worker.stop().await;

    let notices = receivers.got("other.example");
    let payload = json!({ "endpoint": gone.to_string(), "url": "https://gone.example:8443", "reason": "gone" });
    for notice in &notices {
        assert_eq!((&notice["type"], &notice["data"]), (&json!("endpoint.disabled"), &payload));
    }
    assert_ne!(notices[0]["id"], notices[1]["id"]);
    assert!(receivers.got("stranger.example").is_empty());
    assert_eq!(*hooked.lock().unwrap(), [url, url]);
}

#[tokio::test]
async fn without_a_tenant_nobody_but_the_operator_is_told_that_an_endpoint_is_disabled() {
    let receivers = Receivers::new();
    let hooked = Arc::new(AtomicU32::new(0));
    let hook = hooked.clone();
    let webhooks = receivers
        .dispatcher()
        .on_endpoint_disabled(move |disabled| {
            assert_eq!(disabled.tenant, None);
            hook.fetch_add(1, SeqCst);
        })
        .build()
        .unwrap();
    register(&webhooks, at("gone.example")).await;
    register(&webhooks, at("another-customer.example")).await;

    webhooks.dispatch(message("a")).await.unwrap();
    work_off(&webhooks).await;
    webhooks.dispatch(message("b")).await.unwrap();
    work_off(&webhooks).await;

    assert_eq!(hooked.load(SeqCst), 1);
    let got = receivers.got("another-customer.example");
    let types: Vec<_> = got.iter().map(|body| body["type"].clone()).collect();
    assert_eq!(types, ["a", "b"]);
}

// Redaction.

const ECHO: &str =
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw the-gateway-s-token 4111111111111111";

fn echoing() -> (Receivers, NewEndpoint) {
    let echo = |_: &AttemptRequest| {
        EndpointResponse::new(StatusCode::OK).with_body(Bytes::from_static(ECHO.as_bytes()), ResponseEnd::Whole)
    };
    let mut headers = CustomHeaders::default();
    headers.insert("authorization", "Bearer the-gateway-s-token").unwrap();
    let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    (Receivers::answering(echo), at("a.example").secret(secret).headers(headers))
}

/// The parts of an answer that the log and the hook get.
async fn kept(builder: DispatcherBuilder, endpoint: NewEndpoint) -> (Bytes, Bytes) {
    let hooked = Arc::new(Mutex::new(Bytes::new()));
    let hook = hooked.clone();
    let keep = move |start: &Bytes| *hook.lock().unwrap() = start.clone();
    let webhooks =
        builder.on_delivered(move |attempt| keep(attempt.result.response().unwrap().start())).build().unwrap();
    register(&webhooks, endpoint).await;
    webhooks.dispatch(message("a")).await.unwrap();
    work_off(&webhooks).await;
    let delivery = webhooks.deliveries(None, DeliveryQuery::default()).await.unwrap().remove(0);
    let logged = webhooks.attempts(delivery.id).await.unwrap().remove(0).answer;
    let hooked = hooked.lock().unwrap().clone();
    (logged, hooked)
}

#[tokio::test]
async fn an_endpoints_own_secrets_and_headers_are_not_kept_of_its_answers() {
    let (receivers, endpoint) = echoing();

    let (logged, hooked) = kept(receivers.dispatcher(), endpoint).await;

    assert_eq!(logged, "[redacted] [redacted] [redacted] 4111111111111111");
    assert_eq!(hooked, logged);
}

#[tokio::test]
async fn the_application_takes_out_what_only_it_knows() {
    let (receivers, endpoint) = echoing();
    let builder = receivers.dispatcher().redact_answers(|endpoint, answer| {
        assert_eq!(endpoint.url(), "https://a.example/hook");
        let text = String::from_utf8_lossy(&answer).replace("4111111111111111", "****");
        (text + &"x".repeat(EndpointResponse::MAX_KEPT)).into()
    });

    let (logged, hooked) = kept(builder, endpoint).await;

    assert!(logged.starts_with(b"[redacted] [redacted] [redacted] ****xx"));
    assert_eq!((logged.len(), hooked), (EndpointResponse::MAX_KEPT, logged));
}

#[tokio::test]
async fn a_redaction_that_panics_keeps_nothing_of_the_answer() {
    let (receivers, endpoint) = echoing();
    let builder = receivers.dispatcher().redact_answers(|_, _| panic!("a redaction of the test"));

    assert_eq!(kept(builder, endpoint).await, (Bytes::new(), Bytes::new()));
}

/// A transport may store its requests, so it does not get the secret with which a token is obtained.
#[tokio::test]
async fn a_queue_is_not_given_the_client_secret_of_an_endpoint() {
    #[derive(Clone, Default)]
    struct Stored(Arc<Mutex<Vec<AttemptRequest>>>);

    impl Transport for Stored {
        fn send(&self, request: AttemptRequest) -> BoxFuture<'_, AttemptResult> {
            self.0.lock().unwrap().push(request);
            Box::pin(std::future::ready(AttemptResult::answered(EndpointResponse::new(StatusCode::OK), Duration::ZERO)))
        }
    }

    let stored = Stored::default();
    let webhooks = Dispatcher::builder(MemoryOutbox::new())
        .sealing_key(key(7))
        .transport(stored.clone(), DestinationPolicy::default())
        .poll_interval(Duration::from_millis(10))
        .build()
        .unwrap();
    let secret = Secret::new("the secret of a client").unwrap();
    let credentials = ClientCredentials::new("https://login.example.com/token", "acme", secret).unwrap();
    register(&webhooks, at("orders.queue.example").client_credentials(credentials)).await;
    webhooks.dispatch(message("order.completed")).await.unwrap();
    let working = Working::start(&webhooks);

    let delivery = webhooks.deliveries(None, DeliveryQuery::default()).await.unwrap().remove(0);
    let attempt = tokio::time::timeout(Duration::from_secs(60), async {
        loop {
            if let Some(attempt) = webhooks.attempts(delivery.id).await.unwrap().pop() {
                return attempt;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert_eq!(attempt.await.unwrap().error.as_deref(), Some("token"));
    assert!(stored.0.lock().unwrap().is_empty(), "nothing was given to the transport");
    working.stop().await;
}
