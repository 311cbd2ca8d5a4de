//! Endpoints, the outbox and its workers, with receivers on loopback: no delivery is lost, and endpoints do not delay
//! each other.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Request, StatusCode},
    routing::{any, post},
};
use serde::Deserialize;
use serde_json::json;
use tokio::time::sleep;
use tower::ServiceExt;
use tower_webhooks::{
    BoxFuture, Delivery, Secret, VerifiedEvent, WebhookLayer,
    clock::ClockOffset,
    error::{StoreError, StoreErrorKind},
    send::{
        AttemptRecord, AttemptRequest, AttemptResult, Backlog, BacklogSample, DeliveryQuery, DeliveryRecord,
        DeliveryState, DestinationPolicy, DisabledReason, Dispatched, Dispatcher, EndpointDraft, EndpointId,
        EndpointRecord, EndpointResponse, EndpointSettings, EndpointUpdate, EventTypeDefinition, Fenced, Finish,
        LeaseRequest, LeaseToken, Leases, Message, MessageQuery, MessageRecord, NewEndpoint, OutboxCatalogue,
        OutboxEndpoints, OutboxLog, OutboxQueue, Recover, Recovered, Retention, RetryPolicy, SampleStep, Scope,
        SealingKey, SendErrorKind, SentDeliveryId, StatsCell, Transport,
    },
    store::{SqliteStore, sqlite::SqliteStoreOptions},
};

use crate::support::outbox::{Got, Working, client, count, counting, message, quick, register, serve, until};

// What the tests have in common.

struct Place {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { path: folder.path().join("outbox.db"), _folder: folder }
    }

    fn url(&self) -> String {
        url(&self.path)
    }

    async fn store(&self) -> SqliteStore {
        SqliteStore::connect(&self.url()).await.unwrap()
    }
}

fn url(path: &Path) -> String {
    format!("sqlite://{}", path.display())
}

fn key(byte: u8) -> SealingKey {
    SealingKey::from_bytes([byte; 32]).unwrap()
}

// What is sent and how.

#[derive(Deserialize)]
struct Order {
    order: u32,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_is_retried_until_our_own_receiver_takes_it() {
    let place = Place::new();
    let (failed, done) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let hooks = (failed.clone(), done.clone());
    let webhooks = quick(place.store().await)
        .on_attempt_failed(move |_| _ = hooks.0.fetch_add(1, SeqCst))
        .on_delivered(move |_| _ = hooks.1.fetch_add(1, SeqCst))
        .build()
        .unwrap();

    let secret = Secret::new(format!("whsec_{}", "AAAA".repeat(10))).unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let handler = |State(seen): State<Arc<Mutex<Vec<String>>>>, delivery: Delivery, order: VerifiedEvent<Order>| async move {
        let mut seen = seen.lock().unwrap();
        seen.push(format!("{} {} {}", delivery.id().unwrap(), delivery.event_type().unwrap(), order.order));
        if seen.len() < 3 { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::NO_CONTENT }
    };
    let layer = WebhookLayer::standard_webhooks(secret.clone());
    let url = serve(Router::new().route("/hook", post(handler).layer(layer)).with_state(seen.clone())).await;
    let endpoint = NewEndpoint::new(&url).unwrap().secret(secret).events(["order.*"]);
    webhooks.endpoints().create(endpoint).await.unwrap();

    let worker = Working::start(&webhooks);
    let receipt = webhooks.dispatch(message(7)).await.unwrap();
    until("the delivery", async || count(&webhooks, DeliveryState::Delivered).await == 1).await;
    worker.stop().await;

    assert_eq!((receipt.deliveries(), receipt.is_new()), (1, true));
    assert_eq!(*seen.lock().unwrap(), ["m-7 order.completed 7"; 3]);
    assert_eq!((failed.load(SeqCst), done.load(SeqCst)), (2, 1));
    let delivery = webhooks.deliveries(None, DeliveryQuery::default()).await.unwrap().remove(0);
    let statuses: Vec<_> =
        webhooks.attempts(delivery.id).await.unwrap().iter().map(|attempt| (attempt.attempt, attempt.status)).collect();
    assert_eq!(statuses, [(1, Some(500)), (2, Some(500)), (3, Some(204))]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn during_a_rotation_both_secrets_sign_also_what_waited_for_a_retry() {
    let place = Place::new();
    let webhooks = quick(place.store().await).build().unwrap();
    let requests = Arc::new(Mutex::new(Vec::<(HeaderMap, Bytes)>::new()));
    let keep = requests.clone();
    let handler = move |headers: HeaderMap, body: Bytes| {
        keep.lock().unwrap().push((headers, body));
        async { StatusCode::OK }
    };
    let url = serve(Router::new().route("/hook", post(handler))).await;
    let created = webhooks.endpoints().create(NewEndpoint::new(&url).unwrap()).await.unwrap();
    webhooks.dispatch(message(1)).await.unwrap();

    let rotated = webhooks.endpoints().rotate_secret(created.endpoint().id(), Duration::from_secs(3600)).await.unwrap();
    assert_ne!(created.reveal(), rotated.reveal());
    let worker = Working::start(&webhooks);
    until("the delivery", async || count(&webhooks, DeliveryState::Delivered).await == 1).await;
    worker.stop().await;

    let (headers, body) = requests.lock().unwrap().remove(0);
    for (secret, right) in [
        (created.secret().clone(), true),
        (rotated.secret().clone(), true),
        (Secret::new(format!("whsec_{}", "BBBB".repeat(8))).unwrap(), false),
    ] {
        let app: Router =
            Router::new().route("/hook", post(async || {}).layer(WebhookLayer::standard_webhooks(secret)));
        let mut request = Request::post("/hook").body(Body::from(body.clone())).unwrap();
        *request.headers_mut() = headers.clone();
        assert_eq!(app.oneshot(request).await.unwrap().status().is_success(), right);
    }
}

#[tokio::test]
async fn secrets_are_sealed_and_without_their_key_nothing_is_sent() {
    let place = Place::new();
    let got = Arc::new(Got::default());
    let url = serve(counting(got.clone(), Duration::ZERO)).await;
    let webhooks = quick(place.store().await).build().unwrap();
    let created = webhooks.endpoints().create(NewEndpoint::new(&url).unwrap()).await.unwrap();
    webhooks.dispatch(message(1)).await.unwrap();
    let secret = created.reveal().strip_prefix("whsec_").unwrap().to_owned();
    assert!(!format!("{created:?} {webhooks:?}").contains(&secret));

    let other = Dispatcher::builder(place.store().await)
        .sealing_key(key(8))
        .client(client(Duration::from_secs(1)))
        .build()
        .unwrap();
    let worker = Working::start(&other);
    sleep(Duration::from_millis(300)).await;
    worker.stop().await;

    let delivery = webhooks.deliveries(None, DeliveryQuery::default()).await.unwrap().remove(0);
    assert_eq!((delivery.state, delivery.attempt, got.ids()), (DeliveryState::Pending, 0, 0));
    assert!(webhooks.attempts(delivery.id).await.unwrap().is_empty());
    for file in std::fs::read_dir(place.path.parent().unwrap()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
    }
    assert!(Dispatcher::builder(place.store().await).build().is_err());
}

#[tokio::test]
async fn what_an_endpoint_cannot_be_is_refused_when_it_is_registered() {
    let place = Place::new();
    let webhooks = Dispatcher::builder(place.store().await).with_insecure_plain_secrets().build().unwrap();
    let endpoint = || NewEndpoint::new("https://example.com/hook").unwrap();
    let kind = async |endpoint| webhooks.endpoints().create(endpoint).await.err().map(|error| error.kind());

    for bad in [
        NewEndpoint::new("https://127.0.0.1/hook").unwrap(),
        NewEndpoint::new("http://example.com/hook").unwrap(),
        endpoint().events(["a*"]),
        endpoint().events(["a b"]),
        endpoint().events([""]),
        endpoint().events(Vec::<String>::new()),
        endpoint().secret(Secret::new("abc").unwrap()),
        endpoint().description("x".repeat(1025)),
    ] {
        assert_eq!(kind(bad.clone()).await, Some(SendErrorKind::Invalid), "{bad:?}");
    }
    assert_eq!(kind(endpoint().events(vec!["a"; 101])).await, Some(SendErrorKind::TooMany));
    for _ in 0..100 {
        assert_eq!(kind(endpoint().tenant("acme")).await, None);
    }
    assert_eq!(kind(endpoint().tenant("acme")).await, Some(SendErrorKind::TooMany));
    assert_eq!(webhooks.endpoints().list(Some("acme")).await.unwrap().len(), 100);
    assert!(webhooks.endpoints().list(None).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_update_applies_to_the_revision_that_it_names() {
    let place = Place::new();
    let webhooks = Dispatcher::builder(place.store().await).with_insecure_plain_secrets().build().unwrap();
    let id = register(&webhooks, "https://example.com/hook").await.id();

    let changed = webhooks.endpoints().update(id, EndpointUpdate::new().events(["a.*"]).if_revision(1)).await.unwrap();
    let stale = webhooks.endpoints().update(id, EndpointUpdate::new().events(["b"]).if_revision(1)).await;

    assert_eq!((changed.events(), changed.revision()), (&["a.*".to_owned()][..], 2));
    assert_eq!(stale.unwrap_err().kind(), SendErrorKind::Stale);
    assert_eq!(webhooks.dispatch(Message::new("a.b", &1).unwrap()).await.unwrap().deliveries(), 1);
    assert_eq!(webhooks.dispatch(Message::new("b", &1).unwrap()).await.unwrap().deliveries(), 0);
    assert_eq!(webhooks.dispatch(Message::new("a.b", &1).unwrap().tenant("x")).await.unwrap().deliveries(), 0);
}

// What is stored and when.

#[tokio::test]
async fn the_same_message_again_changes_nothing_and_another_one_is_a_conflict() {
    let place = Place::new();
    let webhooks = quick(place.store().await).build().unwrap();
    register(&webhooks, "http://127.0.0.1:9999/hook").await;

    assert!(webhooks.dispatch(message(1)).await.unwrap().is_new());
    let again = webhooks.dispatch(message(1)).await.unwrap();
    assert_eq!((again.is_new(), again.deliveries()), (false, 1));
    // The id is the tenant's.
    assert!(webhooks.dispatch(message(1).tenant("acme")).await.unwrap().is_new());

    let other = Message::new("order.completed", &json!({ "order": 2 })).unwrap().id("m-1".parse().unwrap());
    for messages in [vec![message(3), other.clone()], vec![message(4), message(4).version("2")]] {
        assert_eq!(webhooks.dispatch_many(messages).await.unwrap_err().kind(), SendErrorKind::Conflict);
    }
    assert_eq!(webhooks.dispatch_many(vec![message(5), message(5)]).await.unwrap().len(), 2);
    assert_eq!(count(&webhooks, DeliveryState::Pending).await, 2, "those beside a conflict are not stored");
}

#[tokio::test]
async fn what_is_dispatched_in_a_transaction_is_there_if_that_is_committed() {
    let place = Place::new();
    let store = place.store().await;
    let webhooks = quick(store).build().unwrap();
    register(&webhooks, "http://127.0.0.1:9999/hook").await;
    let pool = sqlx::SqlitePool::connect(&place.url()).await.unwrap();
    sqlx::query("CREATE TABLE orders (id INTEGER)").execute(&pool).await.unwrap();

    let mut tx = pool.begin().await.unwrap();
    sqlx::query("INSERT INTO orders VALUES (1)").execute(&mut *tx).await.unwrap();
    assert_eq!(webhooks.dispatch_in(&mut tx, message(1)).await.unwrap().deliveries(), 1);
    tx.rollback().await.unwrap();
    assert_eq!(count(&webhooks, DeliveryState::Pending).await, 0);

    let mut tx = pool.begin().await.unwrap();
    sqlx::query("INSERT INTO orders VALUES (2)").execute(&mut *tx).await.unwrap();
    assert!(webhooks.dispatch_in(&mut tx, message(1)).await.unwrap().is_new());
    tx.commit().await.unwrap();
    assert_eq!(count(&webhooks, DeliveryState::Pending).await, 1);

    // A conflict is no reason to lose the transaction.
    let mut tx = pool.begin().await.unwrap();
    let conflict = webhooks.dispatch_in(&mut tx, message(1).version("2")).await;
    assert_eq!(conflict.unwrap_err().kind(), SendErrorKind::Conflict);
    sqlx::query("INSERT INTO orders VALUES (3)").execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();

    let elsewhere = sqlx::SqlitePool::connect("sqlite::memory:").await.unwrap();
    let mut tx = elsewhere.begin().await.unwrap();
    assert_eq!(webhooks.dispatch_in(&mut tx, message(2)).await.unwrap_err().kind(), SendErrorKind::Store);
}

/// Another file of the application, with its own outbox: messages that are written there would never be sent from here.
#[tokio::test]
async fn a_transaction_of_another_file_is_refused_though_it_has_our_tables() {
    let (place, other) = (Place::new(), Place::new());
    let webhooks = quick(place.store().await).build().unwrap();
    register(&webhooks, "http://127.0.0.1:9999/hook").await;
    let _other = other.store().await;

    let pool = sqlx::SqlitePool::connect(&other.url()).await.unwrap();
    let mut tx = pool.begin().await.unwrap();
    let refused = webhooks.dispatch_in(&mut tx, message(1)).await.unwrap_err();
    assert_eq!(refused.kind(), SendErrorKind::Store);

    // However the path is written.
    let place_url = format!("sqlite://{}/./outbox.db", place.path.parent().unwrap().display());
    let pool = sqlx::SqlitePool::connect(&place_url).await.unwrap();
    let mut tx = pool.begin().await.unwrap();
    assert_eq!(webhooks.dispatch_in(&mut tx, message(1)).await.unwrap().deliveries(), 1);
    tx.commit().await.unwrap();
}

/// The ids of deliveries can be guessed, so a record has to name the tenant.
#[tokio::test]
async fn a_delivery_tells_whose_it_is() {
    let place = Place::new();
    let webhooks = quick(place.store().await).build().unwrap();
    for tenant in ["a", "b"] {
        let endpoint = NewEndpoint::new("http://127.0.0.1:9999/hook").unwrap().tenant(tenant);
        webhooks.endpoints().create(endpoint).await.unwrap();
        webhooks.dispatch(message(1).tenant(tenant)).await.unwrap();
    }

    for tenant in ["a", "b"] {
        let listed = webhooks.deliveries(Some(tenant), DeliveryQuery::default()).await.unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(&*listed[0].tenant, tenant);
        assert_eq!(webhooks.delivery(listed[0].id).await.unwrap().unwrap(), listed[0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_registrations_at_once_are_no_way_around_the_quota() {
    let place = Place::new();
    let webhooks = quick(place.store().await).build().unwrap();
    let create = async |webhooks: Dispatcher| {
        let endpoint = NewEndpoint::new("http://127.0.0.1:9999/hook").unwrap().tenant("a");
        webhooks.endpoints().create(endpoint).await.is_ok()
    };
    for _ in 0..95 {
        assert!(create(webhooks.clone()).await);
    }
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..40 {
        tasks.spawn(create(webhooks.clone()));
    }
    let created = tasks.join_all().await.into_iter().filter(|created| *created).count();

    let listed = webhooks.endpoints().list(Some("a")).await.unwrap().len();
    assert_eq!(listed, 95 + created);
    assert!(listed <= 100, "{listed}");
}

/// The worker gives a transport a little longer than the deadline, and the lease has to outlast that too: otherwise another
/// worker makes the attempt a second time beside the first.
#[tokio::test]
async fn a_lease_outlasts_all_that_an_attempt_may_take() {
    let store = SqliteStore::connect("sqlite::memory:").await.unwrap();
    let built = |attempt, lease| quick(store.clone()).attempt_timeout(attempt).lease(lease).build().is_ok();
    let seconds = Duration::from_secs;

    assert!(built(seconds(1), Duration::from_millis(1500)));
    assert!(!built(seconds(1), Duration::from_millis(1250)));
    assert!(!built(seconds(1), Duration::from_millis(1001)));
    assert!(!built(Duration::MAX - Duration::from_millis(1), Duration::MAX));
}

// Who is sent to and who is not.

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_is_gone_is_disabled_and_what_waits_for_it_is_held_until_it_is_enabled() {
    let place = Place::new();
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = told.clone();
    let webhooks = quick(place.store().await)
        .on_endpoint_disabled(move |disabled| tell.lock().unwrap().push((disabled.endpoint, disabled.reason)))
        .build()
        .unwrap();
    let status = Arc::new(AtomicU32::new(410));
    let answer = status.clone();
    let handler = move || {
        let status = u16::try_from(answer.load(SeqCst)).unwrap();
        async move { StatusCode::from_u16(status).unwrap() }
    };
    let gone = register(&webhooks, &serve(Router::new().route("/hook", any(handler))).await).await;
    let got = Arc::new(Got::default());
    let events = NewEndpoint::new(&serve(counting(got.clone(), Duration::ZERO)).await).unwrap();
    webhooks.endpoints().create(events.events(["endpoint.*"])).await.unwrap();

    let since = gone.created_at();
    let worker = Working::start(&webhooks);
    webhooks.dispatch(message(1)).await.unwrap();
    until("the endpoint's end", async || count(&webhooks, DeliveryState::Held).await == 1).await;
    until("the hook's call", async || told.lock().unwrap().len() == 1).await;
    // While it is disabled it gets no deliveries.
    assert_eq!(webhooks.dispatch(message(2)).await.unwrap().deliveries(), 0);
    assert_eq!(*told.lock().unwrap(), [(gone.id(), DisabledReason::Gone)]);
    assert_eq!(webhooks.endpoints().get(gone.id()).await.unwrap().unwrap().disabled(), Some(DisabledReason::Gone));

    status.store(200, SeqCst);
    webhooks.endpoints().enable(gone.id()).await.unwrap();
    assert!(webhooks.endpoints().recover(gone.id(), since..).await.unwrap() >= 1);
    until("what was held and missed", async || count(&webhooks, DeliveryState::Delivered).await == 2).await;
    worker.stop().await;
    assert_eq!(got.ids(), 0, "without a tenant the other endpoint may be another customer's");
}

struct Panicking;

impl Transport for Panicking {
    fn send(&self, _request: AttemptRequest) -> BoxFuture<'_, AttemptResult> {
        Box::pin(async { panic!("a transport of the test") })
    }
}

/// Otherwise it would be leased again at the end of every lease, forever, and no attempt would be noted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transport_that_panics_uses_up_the_attempts() {
    let place = Place::new();
    let webhooks = quick(place.store().await).transport(Panicking, DestinationPolicy::default()).build().unwrap();
    register(&webhooks, "https://example.com/hook").await;
    let worker = Working::start(&webhooks);
    webhooks.dispatch(message(1)).await.unwrap();

    let noted = async || {
        let delivery = webhooks.deliveries(None, DeliveryQuery::default()).await.unwrap().remove(0);
        webhooks.attempts(delivery.id).await.unwrap().len()
    };
    tokio::time::timeout(Duration::from_secs(10), until("a second attempt", async || noted().await >= 2))
        .await
        .expect("the first attempt is noted, and followed by another");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hook_that_panics_keeps_nothing_from_anybody() {
    let place = Place::new();
    let failed = Arc::new(AtomicUsize::new(0));
    let count_failed = failed.clone();
    let webhooks = quick(place.store().await)
        .on_endpoint_disabled(|_| panic!("a hook of the test"))
        .on_attempt_failed(move |_| _ = count_failed.fetch_add(1, SeqCst))
        .build()
        .unwrap();
    let gone = NewEndpoint::new(&serve(Router::new().route("/hook", any(async || StatusCode::GONE))).await).unwrap();
    webhooks.endpoints().create(gone.tenant("acme")).await.unwrap();
    let got = Arc::new(Got::default());
    let events = NewEndpoint::new(&serve(counting(got.clone(), Duration::ZERO)).await).unwrap();
    webhooks.endpoints().create(events.tenant("acme").events(["endpoint.*"])).await.unwrap();

    let worker = Working::start(&webhooks);
    webhooks.dispatch(message(1).tenant("acme")).await.unwrap();

    tokio::time::timeout(Duration::from_secs(10), until("the other endpoint's notice", async || got.ids() == 1))
        .await
        .expect("the notice goes out whatever the hook does");
    until("the other hook's call", async || failed.load(SeqCst) == 1).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_fails_for_five_days_is_disabled() {
    let place = Place::new();
    let offset = ClockOffset::default();
    let store = SqliteStoreOptions::new().clock_offset(offset.clone()).connect(&place.url()).await.unwrap();
    let webhooks =
        quick(store).retry_policy(RetryPolicy::custom([Duration::from_secs(3 * 24 * 3600); 5])).build().unwrap();
    let url = serve(Router::new().route("/hook", post(async || StatusCode::SERVICE_UNAVAILABLE))).await;
    let id = register(&webhooks, &url).await.id();
    let attempts = async || {
        let delivery = webhooks.deliveries(None, DeliveryQuery::default()).await.unwrap().remove(0);
        webhooks.attempts(delivery.id).await.unwrap().len()
    };

    let worker = Working::start(&webhooks);
    webhooks.dispatch(message(1)).await.unwrap();
    until("the first attempt", async || attempts().await == 1).await;
    // Few failures are not enough, however far apart they are.
    for number in 2..=4 {
        offset.advance(Duration::from_secs(4 * 24 * 3600));
        until("the next attempt", async || attempts().await == number).await;
        assert!(webhooks.endpoints().get(id).await.unwrap().unwrap().is_enabled());
    }
    offset.advance(Duration::from_secs(4 * 24 * 3600));
    until("the end", async || count(&webhooks, DeliveryState::Held).await == 1).await;
    worker.stop().await;

    assert_eq!(webhooks.endpoints().get(id).await.unwrap().unwrap().disabled(), Some(DisabledReason::Failing));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_given_up_can_be_sent_again_and_what_waits_can_be_cancelled() {
    let place = Place::new();
    let status = Arc::new(AtomicU32::new(400));
    let answer = status.clone();
    let handler = move || {
        let status = u16::try_from(answer.load(SeqCst)).unwrap();
        async move { StatusCode::from_u16(status).unwrap() }
    };
    let url = serve(Router::new().route("/hook", post(handler))).await;
    let webhooks =
        quick(place.store().await).retry_policy(RetryPolicy::custom([]).final_on_rejection()).build().unwrap();
    let id = register(&webhooks, &url).await.id();
    let worker = Working::start(&webhooks);
    webhooks.dispatch(message(1)).await.unwrap();
    until("a refusal", async || count(&webhooks, DeliveryState::Refused).await == 1).await;
    status.store(500, SeqCst);
    let first = webhooks.deliveries(None, DeliveryQuery::default()).await.unwrap().remove(0);
    webhooks.resend(first.id).await.unwrap();
    until("exhaustion", async || count(&webhooks, DeliveryState::Exhausted).await == 1).await;
    status.store(200, SeqCst);
    webhooks.resend(first.id).await.unwrap();
    until("a delivery", async || count(&webhooks, DeliveryState::Delivered).await == 1).await;
    assert_eq!(webhooks.attempts(first.id).await.unwrap().len(), 3);
    worker.stop().await;

    webhooks.dispatch(message(2)).await.unwrap();
    let second = webhooks.deliveries(None, DeliveryQuery::default()).await.unwrap().remove(0);
    webhooks.cancel(second.id).await.unwrap();
    assert_eq!(webhooks.cancel(second.id).await.unwrap_err().kind(), SendErrorKind::NotFound);
    webhooks.resend(second.id).await.unwrap();
    webhooks.endpoints().delete(id).await.unwrap();
    assert_eq!(webhooks.delivery(second.id).await.unwrap().unwrap().state, DeliveryState::Cancelled);
    assert_eq!(webhooks.resend(second.id).await.unwrap_err().kind(), SendErrorKind::NotFound);
}

// Many workers, many endpoints, and workers that die.

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tarpit_holds_up_nobody_but_itself() {
    let place = Place::new();
    let webhooks = quick(place.store().await).client(client(Duration::from_secs(30))).concurrency(16).build().unwrap();
    let tarpit = Router::new().route("/hook", post(async || sleep(Duration::from_secs(60)).await));
    register(&webhooks, &serve(tarpit).await).await;
    let got = Arc::new(Got::default());
    let url = serve(counting(got.clone(), Duration::ZERO)).await;
    for _ in 0..9 {
        register(&webhooks, &url).await;
    }

    let worker = Working::start(&webhooks);
    for number in 0..10 {
        webhooks.dispatch(message(number)).await.unwrap();
    }
    // The tarpit's attempts end after 15 s at the earliest; disks of busy machines are slow too.
    let others = async || {
        until("the others", async || count(&webhooks, DeliveryState::Delivered).await == 90).await;
    };
    tokio::time::timeout(Duration::from_secs(14), others()).await.expect("the others do not wait for the tarpit");
    assert_eq!(count(&webhooks, DeliveryState::Sending).await, 4);
    drop(worker);
}

/// Answers the first requests and keeps all of them; those after them wait.
#[derive(Clone)]
struct Parking {
    answers: Arc<AtomicUsize>,
    parked: Arc<Mutex<Vec<AttemptRequest>>>,
}

impl Transport for Parking {
    fn send(&self, request: AttemptRequest) -> BoxFuture<'_, AttemptResult> {
        self.parked.lock().unwrap().push(request);
        let answers = self.answers.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok();
        Box::pin(async move {
            if !answers {
                std::future::pending::<()>().await;
            }
            AttemptResult::answered(EndpointResponse::new(StatusCode::OK), Duration::ZERO)
        })
    }
}

/// Each lease reads the message again, and no more than one of them is kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_fan_out_has_in_flight_is_one_body() {
    let place = Place::new();
    let transport = Parking { answers: Arc::new(10.into()), parked: Arc::default() };
    let webhooks = quick(place.store().await)
        .transport(transport.clone(), DestinationPolicy::default())
        // New endpoints have half of the places.
        .concurrency(40)
        .build()
        .unwrap();
    for number in 0..40 {
        register(&webhooks, &format!("https://receiver-{number}.example/hook")).await;
    }

    let worker = tokio::spawn(webhooks.worker().run(std::future::pending()));
    webhooks.dispatch(message(1)).await.unwrap();
    until("the first ones and those that wait", async || transport.parked.lock().unwrap().len() == 30).await;

    let parked = transport.parked.lock().unwrap();
    assert!(parked.iter().all(|request| request.body().as_ptr() == parked[0].body().as_ptr()));
    worker.abort();
}

/// A store whose first answers to `finish` are lost after the call has taken effect.
struct Forgetful(SqliteStore, AtomicU32);

impl OutboxEndpoints for Forgetful {
    fn create_endpoint(
        &self,
        endpoint: EndpointDraft,
        most: u32,
    ) -> BoxFuture<'_, Result<Option<EndpointRecord>, StoreError>> {
        self.0.create_endpoint(endpoint, most)
    }

    fn endpoint(&self, id: EndpointId) -> BoxFuture<'_, Result<Option<EndpointRecord>, StoreError>> {
        self.0.endpoint(id)
    }

    fn endpoints(
        &self,
        tenant: Option<Arc<str>>,
        after: Option<EndpointId>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<EndpointRecord>, StoreError>> {
        self.0.endpoints(tenant, after, limit)
    }

    fn change_endpoint(
        &self,
        id: EndpointId,
        revision: u64,
        settings: EndpointSettings,
    ) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.0.change_endpoint(id, revision, settings)
    }

    fn switch_endpoint(
        &self,
        id: EndpointId,
        disabled: Option<DisabledReason>,
    ) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.0.switch_endpoint(id, disabled)
    }

    fn delete_endpoint(&self, id: EndpointId) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.0.delete_endpoint(id)
    }
}

impl OutboxQueue for Forgetful {
    fn finish(
        &self,
        id: SentDeliveryId,
        token: LeaseToken,
        finish: Finish,
    ) -> BoxFuture<'_, Result<Finished, StoreError>> {
        Box::pin(async move {
            let done = self.0.finish(id, token, finish).await;
            let is_lost = self.1.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok();
            if is_lost { Err(StoreError::new(StoreErrorKind::Unavailable, "the answer is lost")) } else { done }
        })
    }

    fn dispatch(&self, messages: Vec<Message>) -> BoxFuture<'_, Result<Vec<Dispatched>, StoreError>> {
        self.0.dispatch(messages)
    }

    fn dispatch_to(
        &self,
        id: EndpointId,
        message: Message,
    ) -> BoxFuture<'_, Result<Option<SentDeliveryId>, StoreError>> {
        self.0.dispatch_to(id, message)
    }

    fn lease(&self, request: LeaseRequest) -> BoxFuture<'_, Result<Leases, StoreError>> {
        self.0.lease(request)
    }
}

impl OutboxLog for Forgetful {
    fn delivery(&self, id: SentDeliveryId) -> BoxFuture<'_, Result<Option<DeliveryRecord>, StoreError>> {
        self.0.delivery(id)
    }

    fn deliveries(
        &self,
        tenant: Arc<str>,
        query: DeliveryQuery,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<DeliveryRecord>, StoreError>> {
        self.0.deliveries(tenant, query, limit)
    }

    fn all_deliveries(
        &self,
        state: Option<DeliveryState>,
        before: Option<SentDeliveryId>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<DeliveryRecord>, StoreError>> {
        self.0.all_deliveries(state, before, limit)
    }

    fn message(&self, tenant: Arc<str>, id: String) -> BoxFuture<'_, Result<Option<MessageRecord>, StoreError>> {
        self.0.message(tenant, id)
    }

    fn messages(
        &self,
        tenant: Arc<str>,
        query: MessageQuery,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<MessageRecord>, StoreError>> {
        self.0.messages(tenant, query, limit)
    }

    fn attempts(&self, id: SentDeliveryId) -> BoxFuture<'_, Result<Vec<AttemptRecord>, StoreError>> {
        self.0.attempts(id)
    }

    fn resend(&self, id: SentDeliveryId) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.0.resend(id)
    }

    fn cancel(&self, id: SentDeliveryId) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.0.cancel(id)
    }

    fn recover(&self, id: EndpointId, recover: Recover, limit: u32) -> BoxFuture<'_, Result<Recovered, StoreError>> {
        self.0.recover(id, recover, limit)
    }

    fn erase(&self, tenant: Arc<str>, limit: u32) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.0.erase(tenant, limit)
    }

    fn purge(&self, retention: Retention, limit: u32) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.0.purge(retention, limit)
    }

    fn stats(&self, scope: Scope, since: u32, until: u32) -> BoxFuture<'_, Result<Vec<StatsCell>, StoreError>> {
        self.0.stats(scope, since, until)
    }

    fn backlog(&self, scope: Scope) -> BoxFuture<'_, Result<Backlog, StoreError>> {
        self.0.backlog(scope)
    }

    fn sample_backlog(&self) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.0.sample_backlog()
    }

    fn backlog_samples(
        &self,
        step: SampleStep,
        since: SystemTime,
        until: SystemTime,
    ) -> BoxFuture<'_, Result<Vec<BacklogSample>, StoreError>> {
        self.0.backlog_samples(step, since, until)
    }
}

impl OutboxCatalogue for Forgetful {
    fn put_event_types(&self, event_types: Vec<EventTypeDefinition>) -> BoxFuture<'_, Result<(), StoreError>> {
        self.0.put_event_types(event_types)
    }

    fn event_types(&self) -> BoxFuture<'_, Result<Vec<EventTypeDefinition>, StoreError>> {
        self.0.event_types()
    }

    fn remove_event_type(&self, name: String) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.0.remove_event_type(name)
    }
}

type Finished = (Fenced, Option<DisabledReason>);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hooks_hear_of_what_was_noted_though_the_answer_was_lost() {
    let place = Place::new();
    let heard: Arc<Mutex<Vec<String>>> = Arc::default();
    let (one, two) = (heard.clone(), heard.clone());
    let status = Arc::new(AtomicU32::new(200));
    let answer = status.clone();
    let handler = async move || StatusCode::from_u16(u16::try_from(answer.load(SeqCst)).unwrap()).unwrap();
    let url = serve(Router::new().route("/hook", post(handler))).await;
    let webhooks = quick(Forgetful(place.store().await, AtomicU32::new(2)))
        .on_delivered(move |_| one.lock().unwrap().push("delivered".to_owned()))
        .on_endpoint_disabled(move |disabled| two.lock().unwrap().push(disabled.reason.as_str().to_owned()))
        .build()
        .unwrap();
    register(&webhooks, &url).await;
    let worker = Working::start(&webhooks);

    webhooks.dispatch(message(1)).await.unwrap();
    until("the first hook", async || heard.lock().unwrap().len() == 1).await;
    status.store(410, SeqCst);
    webhooks.dispatch(message(2)).await.unwrap();
    until("the second hook", async || heard.lock().unwrap().len() == 2).await;
    worker.stop().await;

    assert_eq!(*heard.lock().unwrap(), ["delivered", "gone"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_told_to_stop_notes_what_it_has_begun() {
    let place = Place::new();
    let got = Arc::new(Got::default());
    let webhooks = quick(place.store().await).build().unwrap();
    register(&webhooks, &serve(counting(got.clone(), Duration::from_millis(300))).await).await;
    webhooks.dispatch_many((0..10).map(message).collect()).await.unwrap();

    let worker = Working::start(&webhooks);
    until("the first ones", async || got.in_flight.load(SeqCst) == 4).await;
    worker.stop().await;

    assert_eq!(count(&webhooks, DeliveryState::Delivered).await, 4);
    assert_eq!(count(&webhooks, DeliveryState::Sending).await, 0);
    assert_eq!(count(&webhooks, DeliveryState::Pending).await, 6);
}

#[tokio::test]
async fn the_store_keeps_the_time_of_what_it_made() {
    let place = Place::new();
    let webhooks = quick(place.store().await).build().unwrap();
    let endpoint = register(&webhooks, "http://127.0.0.1:9999/hook").await;

    let age = endpoint.created_at().duration_since(UNIX_EPOCH).unwrap();

    assert!(age > Duration::from_secs(1_600_000_000));
}
