//! Storms: workers that die at any moment, many of them at once, receivers that are slow or away, and messages for
//! everybody. Nothing is lost, endpoints do not delay each other, and a receiver that recovers is not overloaded.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use tokio::time::{Instant, sleep};
use tower_webhooks::{
    Secret,
    clock::ClockOffset,
    send::{DeliveryState, DisabledReason, NewEndpoint, RetryPolicy, Signer},
};

use crate::support::{
    outbox::{
        Ends, Got, WorkerProcess, Working, count, counting, killable, long, message, open, open_at, quick, register,
        serve, until, work_in_this_process,
    },
    postgres_server::PostgresServer,
    test_name,
};

/// Not a test but the other process of one: it does nothing unless that has started it.
#[tokio::test]
async fn the_process_of_a_worker() {
    work_in_this_process().await;
}

fn sqlite(folder: &tempfile::TempDir) -> String {
    format!("sqlite://{}/outbox.db", folder.path().display())
}

// Workers that die.

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_on_sqlite_that_are_killed_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    killed_workers_lose_nothing(&sqlite(&folder)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_on_postgres_that_are_killed_lose_nothing() {
    let server = PostgresServer::shared();
    killed_workers_lose_nothing(&server.database().await).await;
}

/// Messages are dispatched all the while, so that each kill finds something under way.
async fn killed_workers_lose_nothing(url: &str) {
    let (kills, messages, endpoints) = if long() { (300, 1000, 10) } else { (5, 60, 3) };
    let webhooks = killable(open(url).await).build().unwrap();
    let mut receivers = Vec::new();
    for _ in 0..endpoints {
        let got = Arc::new(Got::default());
        register(&webhooks, &serve(counting(got.clone(), Duration::from_millis(15))).await).await;
        receivers.push(got);
    }

    let mut dispatched = 0;
    for kill in 1..=kills {
        let worker = WorkerProcess::start(test_name!("the_process_of_a_worker"), url, Ends::WhenKilled);
        let until_now = messages * kill / kills;
        webhooks.dispatch_many((dispatched..until_now).map(message).collect()).await.unwrap();
        dispatched = until_now;
        let random = u64::from(getrandom::u32().unwrap());
        sleep(Duration::from_millis(20 + random % 500)).await;
        worker.kill();
    }
    let worker = WorkerProcess::start(test_name!("the_process_of_a_worker"), url, Ends::WhenKilled);
    until("every delivery", async || {
        receivers.iter().all(|got| got.ids() == messages)
            && count(&webhooks, DeliveryState::Pending).await + count(&webhooks, DeliveryState::Sending).await == 0
    })
    .await;
    worker.kill();

    assert_eq!(count(&webhooks, DeliveryState::Exhausted).await, 0);
    for got in receivers {
        let by_id = got.by_id.lock().unwrap();
        assert_eq!(by_id.len(), messages, "a repeat has the id of the first");
        assert!((0..messages).all(|number| by_id.contains_key(&format!("m-{number}"))));
        assert!((1..=4).contains(&got.most_in_flight.load(SeqCst)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_but_not_noted_comes_again_with_its_id_and_a_new_signature() {
    let folder = tempfile::tempdir().unwrap();
    let url = sqlite(&folder);
    let webhooks = killable(open(&url).await).build().unwrap();
    let got: Arc<Mutex<Vec<(HeaderMap, Bytes)>>> = Arc::default();
    let kept = got.clone();
    let handler = async move |headers: HeaderMap, body: Bytes| kept.lock().unwrap().push((headers, body));
    let receiver = serve(Router::new().route("/hook", post(handler))).await;
    let created = webhooks.endpoints().create(NewEndpoint::new(&receiver).unwrap()).await.unwrap();
    webhooks.dispatch(message(1)).await.unwrap();

    WorkerProcess::start(test_name!("the_process_of_a_worker"), &url, Ends::AfterAnAnswer).ended().await;
    assert_eq!(count(&webhooks, DeliveryState::Delivered).await, 0);
    let worker = Working::start(&webhooks);
    until("the delivery", async || count(&webhooks, DeliveryState::Delivered).await == 1).await;
    worker.stop().await;

    let got = got.lock().unwrap();
    let [(first, body), (second, again)] = &got[..] else { panic!("{} requests came", got.len()) };
    assert_eq!((&first["webhook-id"], body), (&second["webhook-id"], again));
    assert_ne!(first["webhook-timestamp"], second["webhook-timestamp"], "the lease took longer than a second");
    let signer = Signer::standard_webhooks(Secret::new(created.reveal()).unwrap()).unwrap();
    for headers in [first, second] {
        let seconds: u64 = headers["webhook-timestamp"].to_str().unwrap().parse().unwrap();
        let at = std::time::UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(signer.sign(&"m-1".parse().unwrap(), at, body)["webhook-signature"], headers["webhook-signature"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_processes_on_sqlite_send_each_once_and_no_more_than_four_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    three_processes_share(&sqlite(&folder)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_processes_on_postgres_send_each_once_and_no_more_than_four_at_a_time() {
    let server = PostgresServer::shared();
    three_processes_share(&server.database().await).await;
}

async fn three_processes_share(url: &str) {
    let (messages, endpoints) = if long() { (1000, 10) } else { (60, 3) };
    let webhooks = quick(open(url).await).build().unwrap();
    let mut receivers = Vec::new();
    for _ in 0..endpoints {
        let got = Arc::new(Got::default());
        register(&webhooks, &serve(counting(got.clone(), Duration::from_millis(3))).await).await;
        receivers.push(got);
    }

    let workers: Vec<_> =
        (0..3).map(|_| WorkerProcess::start(test_name!("the_process_of_a_worker"), url, Ends::WhenKilled)).collect();
    for batch in (0..messages).collect::<Vec<_>>().chunks(20) {
        webhooks.dispatch_many(batch.iter().copied().map(message).collect()).await.unwrap();
    }
    until("all deliveries", async || {
        count(&webhooks, DeliveryState::Pending).await + count(&webhooks, DeliveryState::Sending).await == 0
    })
    .await;
    drop(workers);

    for got in receivers {
        assert_eq!(got.ids(), messages);
        assert!(got.by_id.lock().unwrap().values().all(|times| *times == 1));
        let most = got.most_in_flight.load(SeqCst);
        assert!((1..=4).contains(&most), "{most} in flight");
    }
}

// Receivers that are slow or away.

/// A hundred tenants, one of whom never answers in time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_tarpit_among_them_the_others_go_on_as_without_it() {
    let (tenants, rounds) = if long() { (100, 40) } else { (12, 4) };
    let slowest = async |with_tarpit: bool| {
        let folder = tempfile::tempdir().unwrap();
        let webhooks = quick(open(&sqlite(&folder)).await).build().unwrap();
        let sent: Arc<Mutex<Vec<Instant>>> = Arc::default();
        let times: Arc<Mutex<Vec<Duration>>> = Arc::default();
        let (starts, taken) = (sent.clone(), times.clone());
        let handler = async move |headers: HeaderMap| {
            let id = headers["webhook-id"].to_str().unwrap();
            let round: usize = id.strip_prefix("m-").unwrap().parse().unwrap();
            let start = starts.lock().unwrap()[round];
            taken.lock().unwrap().push(start.elapsed());
        };
        let quick = serve(Router::new().route("/hook", post(handler))).await;
        let tarpit = serve(Router::new().route("/hook", post(async || sleep(Duration::from_secs(60)).await))).await;
        for tenant in 0..tenants {
            let url = if with_tarpit && tenant == 0 { &tarpit } else { &quick };
            webhooks.endpoints().create(NewEndpoint::new(url).unwrap().tenant(format!("t-{tenant}"))).await.unwrap();
        }
        let others = if with_tarpit { tenants - 1 } else { tenants };

        let worker = Working::start(&webhooks);
        for round in 0..rounds {
            sent.lock().unwrap().push(Instant::now());
            let messages = (0..tenants).map(|tenant| message(round).tenant(format!("t-{tenant}"))).collect();
            webhooks.dispatch_many(messages).await.unwrap();
            until("a round", async || times.lock().unwrap().len() == others * (round + 1)).await;
        }
        // Not asked to stop: the tarpit would be waited for.
        drop(worker);
        let mut times = times.lock().unwrap().clone();
        times.sort_unstable();
        times[times.len() * 99 / 100]
    };

    let (without, with) = (slowest(false).await, slowest(true).await);

    println!("99 of 100 deliveries within {without:?} without a tarpit, {with:?} with one");
    // In the gate only that they do not wait for the tarpit's deadline of 5 s.
    let bound = if long() { without * 3 / 2 } else { Duration::from_secs(4) };
    assert!(with < bound, "{with:?} beside {without:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_to_the_end_is_told_disabled_after_days_and_can_be_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let offset = ClockOffset::default();
    let status = Arc::new(Mutex::new(StatusCode::INTERNAL_SERVER_ERROR));
    let answer = status.clone();
    let url = serve(Router::new().route("/hook", post(async move || *answer.lock().unwrap()))).await;
    let (exhausted, disabled) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (on_exhausted, on_disabled) = (exhausted.clone(), disabled.clone());
    let webhooks = quick(open_at(&sqlite(&folder), &offset).await)
        // One attempt each: with more of them the endpoint would rest in between.
        .retry_policy(RetryPolicy::custom([]))
        .on_exhausted(move |_| _ = on_exhausted.fetch_add(1, SeqCst))
        .on_endpoint_disabled(move |_| _ = on_disabled.fetch_add(1, SeqCst))
        .build()
        .unwrap();
    let id = register(&webhooks, &url).await.id();
    let worker = Working::start(&webhooks);

    webhooks.dispatch(message(1)).await.unwrap();
    until("the owner is told", async || exhausted.load(SeqCst) == 1).await;
    // A message a day, and each fails.
    for day in 1..5 {
        offset.advance(Duration::from_secs(24 * 3600));
        webhooks.dispatch(message(1 + day)).await.unwrap();
        until("the owner is told", async || exhausted.load(SeqCst) == 1 + day).await;
    }
    assert_eq!(disabled.load(SeqCst), 0);
    offset.advance(Duration::from_secs(24 * 3600));
    webhooks.dispatch(message(6)).await.unwrap();
    until("the endpoint is disabled", async || disabled.load(SeqCst) == 1).await;

    let endpoint = webhooks.endpoints().get(id).await.unwrap().unwrap();
    assert_eq!(endpoint.disabled(), Some(DisabledReason::Failing));
    *status.lock().unwrap() = StatusCode::OK;
    webhooks.endpoints().enable(id).await.unwrap();
    let dead = webhooks.deliveries(None, Default::default()).await.unwrap();
    let dead = dead.into_iter().find(|record| record.state == DeliveryState::Exhausted).unwrap();
    webhooks.resend(dead.id).await.unwrap();
    until("it is delivered", async || count(&webhooks, DeliveryState::Delivered).await == 1).await;
    worker.stop().await;
}
