//! NATS JetStream, against a real server.

use std::{collections::HashSet, time::Duration};

use async_nats::jetstream::{
    self, Context,
    stream::{Config, DiscardPolicy, RetentionPolicy, StorageType},
};
use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode},
};
use serde_json::json;
use tower_webhooks::{
    Provider, WebhookLayer,
    idempotency::IdempotencyLayer,
    inbox::{InboxRetries, SealingKey},
    sink::{
        HandOff, Sink, SinkWorker,
        nats::{JetStream, JetStreamOptions},
    },
    store::{MemoryStore, SqliteStore},
    testing::SignedRequest,
};

use super::{
    durable::{receivers_that_are_killed, serve_app, url_of_child},
    handlers::{ATTEMPTS, HANDLER_TIMEOUT, handlers_do_the_same, retries},
    shop::{End, Running, Shop, events, of_payload, order, secret, send, until},
};
use crate::support::{nats_server::NatsServer, test_name};

fn options() -> JetStreamOptions {
    JetStream::options().create()
}

async fn open(server: &NatsServer) -> JetStream {
    options().connect(&server.url()).await.unwrap()
}

async fn context(server: &NatsServer) -> Context {
    jetstream::new(async_nats::connect(server.url()).await.unwrap())
}

fn app(sink: impl Sink) -> Router {
    Router::new().route_service("/hook", HandOff::new(sink).behind(WebhookLayer::stripe(secret())))
}

fn worker(queue: &JetStream, shop: &Shop) -> SinkWorker {
    SinkWorker::new(queue.clone(), events(shop)).with_retries(retries()).with_wait(Duration::from_millis(200))
}

async fn messages(context: &Context, stream: &str) -> u64 {
    context.get_stream(stream).await.unwrap().cached_info().state.messages
}

/// What is waiting to be worked.
async fn waiting(context: &Context) -> u64 {
    messages(context, "WEBHOOKS").await
}

/// The dead letters' reasons, and how often each was tried.
async fn dead(context: &Context) -> Vec<(String, String)> {
    let stream = context.get_stream("WEBHOOKS_DEAD").await.unwrap();
    let state = stream.cached_info().state.clone();
    let mut dead = Vec::new();
    for sequence in state.first_sequence.max(1)..=state.last_sequence {
        let letter = stream.get_raw_message(sequence).await.unwrap();
        let header = |name: &str| letter.headers.get(name).unwrap().as_str().to_owned();
        dead.push((header("Webhook-Dead-Reason"), header("Webhook-Attempts")));
    }
    dead
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handlers_do_the_same_through_jetstream() {
    let (server, shop) = (NatsServer::start(), Shop::default());
    let (queue, context) = (open(&server).await, context(&server).await);
    let worker = Running::of_sink(worker(&queue, &shop).with_handler_timeout(HANDLER_TIMEOUT));

    handlers_do_the_same(&app(queue), &shop, async || {
        usize::try_from(messages(&context, "WEBHOOKS_DEAD").await).unwrap()
    })
    .await;
    until("nothing is left", async || waiting(&context).await == 0).await;
    worker.stop().await;

    let mut dead = dead(&context).await;
    dead.sort_by(|one, other| one.1.cmp(&other.1));
    assert!(dead[0].0.contains("amount") && dead[0].1 == "1", "{dead:?}");
    assert!(dead[1].0.contains("500") && dead[1].1 == ATTEMPTS.to_string(), "{dead:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_that_comes_again_is_stored_once_and_ids_are_told_apart() {
    let server = NatsServer::start();
    let (queue, context) = (open(&server).await, context(&server).await);
    let app = app(queue);

    let first = send(&app, order("one")).await;
    assert_eq!((first.status, first.replayed), (StatusCode::ACCEPTED, false));
    let second = send(&app, order("one")).await;
    assert_eq!((second.status, second.replayed), (StatusCode::ACCEPTED, true));
    assert_eq!(waiting(&context).await, 1);

    // The server would take some of these for one another, and the client panics on others.
    let ids = [" one", "one ", "ONE", "one\r\nNats-Msg-Id: two", "\t", "*", ">", "é", "\u{0}", "\u{7f}"];
    for id in ids {
        let answer = send(&app, order(id)).await;
        assert_eq!((answer.status, answer.replayed), (StatusCode::ACCEPTED, false), "{id:?}");
    }
    assert_eq!(waiting(&context).await, 1 + ids.len() as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_sees_what_it_would_have_seen_inline_and_others_can_read_the_message() {
    let server = NatsServer::start();
    let (queue, context) = (open(&server).await, context(&server).await);
    let text = "a name: é € 𝄞 \u{fffe}";
    let mut request = of_payload("1", "order.créée", json!({ "amount": 7, "name": text }));
    *request.uri_mut() = "/hook?from=a%20test".parse().unwrap();
    request.headers_mut().insert("user-agent", http::HeaderValue::from_bytes(b"t\xe9st").unwrap());
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 10_000).await.unwrap();
    let answer = send(&app(queue.clone()), Request::from_parts(head, Body::from(body.clone()))).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);

    let message = context.get_stream("WEBHOOKS").await.unwrap().get_raw_message(1).await.unwrap();
    assert_eq!(message.payload, body, "the payload is the body as it was signed");
    let head: serde_json::Value = serde_json::from_str(message.headers.get("Webhook-Head").unwrap().as_str()).unwrap();
    assert_eq!(head["uri"], "/hook?from=a%20test");
    assert!(
        message.headers.iter().all(|(_, values)| values.iter().all(|value| !value.as_str().contains("v1="))),
        "no signature"
    );

    let (seen, mut saw) = tokio::sync::mpsc::unbounded_channel();
    let router = tower_webhooks::EventRouter::new().on(
        "order.*",
        move |uri: http::Uri, headers: http::HeaderMap, event: tower_webhooks::VerifiedEvent<serde_json::Value>| {
            let kind = event.delivery().event_type().map(ToString::to_string);
            let signed = event.delivery().timestamp().is_some();
            seen.send((
                uri.to_string(),
                headers["user-agent"].as_bytes().to_vec(),
                kind,
                signed,
                event["name"].clone(),
            ))
            .unwrap();
            async {}
        },
    );
    let worker = Running::of_sink(SinkWorker::new(queue, router));
    let saw = saw.recv().await.unwrap();
    assert_eq!(saw.0, "/hook?from=a%20test");
    assert_eq!((saw.1, saw.2.as_deref(), saw.3), (b"t\xe9st".to_vec(), Some("order.créée"), true));
    assert_eq!(saw.4, text);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_can_lose_events_is_refused_at_start() {
    let server = NatsServer::start();
    let context = context(&server).await;
    let good = Config {
        name: "WEBHOOKS".into(),
        subjects: vec!["webhooks".into()],
        discard: DiscardPolicy::New,
        max_messages: 10,
        retention: RetentionPolicy::WorkQueue,
        ..Config::default()
    };
    let refused = async |config: Config| {
        context.create_stream(config).await.unwrap();
        let error = options().connect(&server.url()).await.unwrap_err().to_string();
        context.delete_stream("WEBHOOKS").await.unwrap();
        error
    };
    let by_bytes = refused(Config { max_messages: -1, max_bytes: 1 << 20, ..good.clone() }).await;
    assert!(by_bytes.contains("`WEBHOOKS`") && by_bytes.contains("`max_bytes`"), "{by_bytes}");
    let in_memory = refused(Config { storage: StorageType::Memory, ..good.clone() }).await;
    assert!(in_memory.contains("memory"), "{in_memory}");
    let oldest = refused(Config { discard: DiscardPolicy::Old, ..good.clone() }).await;
    assert!(oldest.contains("`discard: new`"), "{oldest}");
    let elsewhere = refused(Config { subjects: vec!["other".into()], ..good.clone() }).await;
    assert!(elsewhere.contains("`webhooks`"), "{elsewhere}");

    // The server itself refuses a window that is longer than its messages last.
    let short = Config { max_age: Duration::from_secs(30), duplicate_window: Duration::from_secs(60), ..good.clone() };
    context.create_stream(short).await.unwrap_err();
    // Without being told, nothing is created.
    let missing = JetStream::options().connect(&server.url()).await.unwrap_err().to_string();
    assert!(missing.contains("`WEBHOOKS`"), "{missing}");

    context.create_stream(good).await.unwrap();
    open(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_for_the_server_is_413_and_what_fits_can_die() {
    let (server, shop) = (NatsServer::with_max_payload(32 * 1024), Shop::default());
    let (queue, context) = (open(&server).await, context(&server).await);
    let of_size =
        |id: &str, bytes: usize| of_payload(id, "order.created", json!({ "amount": 7, "text": "x".repeat(bytes) }));

    // The layer was told at start.
    let answer = send(&app(queue.clone()), of_size("head", 24 * 1024)).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    // The message is looked at in any case.
    let unlimited =
        Router::new().route_service("/hook", WebhookLayer::stripe(secret()).layer(HandOff::new(queue.clone())));
    let mut sizes = (1024, 33 * 1024);
    while sizes.1 - sizes.0 > 1 {
        let middle = usize::midpoint(sizes.0, sizes.1);
        let status = send(&unlimited, of_size(&middle.to_string(), middle)).await.status;
        match status {
            StatusCode::ACCEPTED => sizes.0 = middle,
            StatusCode::PAYLOAD_TOO_LARGE => sizes.1 = middle,
            other => panic!("{other} at {middle}"),
        }
    }
    assert!(sizes.0 > 29 * 1024, "{sizes:?}");
    // A long URL is part of the message too.
    let mut long = order("long");
    *long.uri_mut() = format!("/hook?{}", "x".repeat(32 * 1024)).parse().unwrap();
    assert_eq!(send(&unlimited, long).await.status, StatusCode::PAYLOAD_TOO_LARGE);

    context.get_stream("WEBHOOKS").await.unwrap().purge().await.unwrap();
    let poison = format!("poison {}", sizes.0);
    shop.ends(&poison, &[End::Fail; 9]);
    // As large as the largest: its longer id is there twice.
    let status = send(&unlimited, of_size(&poison, sizes.0 - 2 * "poison ".len())).await.status;
    assert_eq!(status, StatusCode::ACCEPTED);
    let worker = Running::of_sink(worker(&queue, &shop));
    until("it is dead", async || dead(&context).await.len() == 1 && waiting(&context).await == 0).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_stream_is_503_and_the_event_is_taken_when_there_is_room() {
    let (server, shop) = (NatsServer::start(), Shop::default());
    let queue = options().max_messages(2).connect(&server.url()).await.unwrap();
    let app = app(queue.clone());
    for id in ["1", "2"] {
        assert_eq!(send(&app, order(id)).await.status, StatusCode::ACCEPTED);
    }
    let full = send(&app, order("3")).await;
    assert_eq!((full.status, full.retry_after.as_deref()), (StatusCode::SERVICE_UNAVAILABLE, Some("10")));
    assert!(send(&app, order("2")).await.replayed, "what is there is a duplicate");

    let worker = Running::of_sink(worker(&queue, &shop));
    until("there is room", async || send(&app, order("3")).await.status == StatusCode::ACCEPTED).await;
    until("all are worked", async || shop.done().len() == 3).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publish_that_times_out_is_503_and_is_stored_once() {
    let server = NatsServer::start();
    let queue = options().timeout(Duration::from_secs(1)).connect(&server.url()).await.unwrap();
    let (app, context) = (app(queue), context(&server).await);

    server.signal("STOP");
    let answer = send(&app, order("1")).await;
    server.signal("CONT");

    assert_eq!((answer.status, answer.retry_after.as_deref()), (StatusCode::SERVICE_UNAVAILABLE, Some("10")));
    until("it was stored anyway", async || waiting(&context).await == 1).await;
    assert!(send(&app, order("1")).await.replayed);
    assert_eq!(waiting(&context).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_goes_is_503_and_nothing_accepted_is_missing() {
    let (mut server, shop) = (NatsServer::start(), Shop::default());
    let queue = open(&server).await;
    let app = app(queue.clone());
    let worker = Running::of_sink(worker(&queue, &shop).with_retries(InboxRetries::new(50)));
    let mut accepted = HashSet::new();
    for round in 0..3 {
        for number in 0..10 {
            let id = format!("{round} {number}");
            until("it is accepted", async || send(&app, order(&id)).await.status == StatusCode::ACCEPTED).await;
            accepted.insert(id);
        }
        server.signal("KILL");
        server.stop();
        until("it is 503", async || {
            let answer = send(&app, order("not there")).await;
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
            answer.retry_after.is_some()
        })
        .await;
        server.restart();
    }
    until("all are worked", async || accepted.is_subset(&shop.done().into_iter().collect())).await;
    worker.stop().await;
}

/// A work queue forgets the ids of what was worked when its server starts again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_in_front_keeps_what_was_worked_from_being_worked_again() {
    let (mut server, shop) = (NatsServer::start(), Shop::default());
    let queue = open(&server).await;
    let once = WebhookLayer::stripe(secret()).with_idempotency(MemoryStore::new());
    let guarded = Router::new().route_service("/hook", HandOff::new(queue.clone()).behind(once));
    let bare = app(queue.clone());
    let worker = Running::of_sink(worker(&queue, &shop));
    for app in [&guarded, &bare] {
        let id = if std::ptr::eq(app, &guarded) { "guarded" } else { "bare" };
        assert_eq!(send(app, order(id)).await.status, StatusCode::ACCEPTED);
        until("it is worked", async || shop.runs_of(id) == 1).await;
    }
    let context = context(&server).await;
    until("both are acknowledged", async || waiting(&context).await == 0).await;
    server.restart();

    until("the client is back", async || send(&bare, order("another")).await.status == StatusCode::ACCEPTED).await;
    assert!(send(&guarded, order("guarded")).await.replayed);
    assert!(!send(&bare, order("bare")).await.replayed, "the server has forgotten it");
    until("it is worked again", async || shop.runs_of("bare") == 2).await;
    assert_eq!(shop.runs_of("guarded"), 1);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_killed_loses_its_event_to_another_when_its_lease_ends() {
    let (server, shop) = (NatsServer::start(), Shop::default());
    let queue = open(&server).await;
    shop.ends("1", &[End::Hang, End::Hang, End::Hang, End::Hang]);
    send(&app(queue.clone()), order("1")).await;
    let context = context(&server).await;

    let lease = Duration::from_secs(1);
    for run in 1..=ATTEMPTS {
        let killed = Running::of_sink(worker(&queue, &shop).with_lease(lease));
        until("it runs", async || shop.runs_of("1") == run as usize).await;
        killed.kill().await;
    }
    // Nobody is left to say that it failed: the next worker does not begin it.
    let last = Running::of_sink(worker(&queue, &shop).with_lease(lease));
    until("it is dead", async || dead(&context).await.len() == 1 && waiting(&context).await == 0).await;
    last.stop().await;
    assert_eq!(shop.runs(), [("1".to_owned(), 1), ("1".to_owned(), 2), ("1".to_owned(), 3)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_is_renewed_while_its_handler_runs_and_a_shutdown_gives_it_back() {
    let (server, shop) = (NatsServer::start(), Shop::default());
    let queue = open(&server).await;
    shop.ends("1", &[End::Hang]);
    send(&app(queue.clone()), order("1")).await;
    let worker = || worker(&queue, &shop).with_lease(Duration::from_secs(1)).with_drain(Duration::ZERO);

    let workers = [Running::of_sink(worker()), Running::of_sink(worker())];
    until("it runs", async || shop.runs_of("1") == 1).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(shop.runs_of("1"), 1, "four leases long, and no other worker was given it");
    for worker in workers {
        worker.stop().await;
    }
    let next = Running::of_sink(worker().with_lease(Duration::from_secs(600)));
    until("it is worked at once", async || shop.done() == ["1"]).await;
    next.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_wait_for_their_next_attempt_keep_out_nobody() {
    let (server, shop) = (NatsServer::start(), Shop::default());
    let queue = open(&server).await;
    let app = app(queue.clone());
    // More than a consumer may leave unacknowledged by default.
    let waiting = 1_050;
    for number in 0..waiting {
        let id = number.to_string();
        shop.ends(&id, &[End::RetryAfter(Duration::from_secs(3600))]);
        assert_eq!(send(&app, order(&id)).await.status, StatusCode::ACCEPTED);
    }
    let worker = Running::of_sink(worker(&queue, &shop));
    until("all have failed", async || shop.runs().len() == waiting).await;
    assert_eq!(send(&app, order("good")).await.status, StatusCode::ACCEPTED);
    until("the good one is worked", async || shop.done() == ["good"]).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_was_deleted_is_made_again() {
    let (server, shop) = (NatsServer::start(), Shop::default());
    let (queue, context) = (open(&server).await, context(&server).await);
    let app = app(queue.clone());
    let worker = Running::of_sink(worker(&queue, &shop));
    for id in ["1", "2", "3"] {
        send(&app, order(id)).await;
        until("it is worked", async || shop.runs_of(id) > 0).await;
        until("it is acknowledged", async || waiting(&context).await == 0).await;
        context.get_stream("WEBHOOKS").await.unwrap().delete_consumer("webhooks").await.unwrap();
    }
    worker.stop().await;
}

/// Why acknowledgements are requests here: the client's own call succeeds although nobody has heard it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn double_ack_of_the_client_succeeds_although_its_consumer_is_gone() {
    let server = NatsServer::start();
    let (queue, context) = (open(&server).await, context(&server).await);
    send(&app(queue), order("1")).await;
    let stream = context.get_stream("WEBHOOKS").await.unwrap();
    let config = jetstream::consumer::pull::Config { durable_name: Some("webhooks".into()), ..Default::default() };
    let consumer = stream.create_consumer(config).await.unwrap();
    let mut messages = std::pin::pin!(consumer.fetch().max_messages(1).messages().await.unwrap());
    let message =
        std::future::poll_fn(|cx| futures_core::Stream::poll_next(messages.as_mut(), cx)).await.unwrap().unwrap();
    stream.delete_consumer("webhooks").await.unwrap();

    message.double_ack().await.unwrap();
    assert_eq!(waiting(&context).await, 1, "it was not acknowledged");
    let asked = context.client().request(message.reply.clone().unwrap(), "+ACK".into()).await.unwrap_err();
    assert_eq!(asked.kind(), async_nats::RequestErrorKind::NoResponders);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_can_write_into_the_queue_can_forge_an_event_unless_messages_are_sealed() {
    let (server, shop) = (NatsServer::start(), Shop::default());
    let (queue, context) = (open(&server).await, context(&server).await);
    let key = || SealingKey::from_bytes([7; 32]).unwrap();
    let sealed = HandOff::new(queue.clone()).with_sealing_key(key()).behind(WebhookLayer::stripe(secret()));
    let sealed = Router::new().route_service("/hook", sealed);
    let stream = context.get_stream("WEBHOOKS").await.unwrap();
    let publish = async |headers: async_nats::HeaderMap, payload: bytes::Bytes| {
        context.publish_with_headers("webhooks", headers, payload).await.unwrap().await.unwrap();
    };

    // The attacker reads one that was not sealed, and writes one like it.
    send(&app(queue.clone()), order("real")).await;
    let real = stream.get_raw_message(1).await.unwrap();
    let body = String::from_utf8(real.payload.to_vec()).unwrap().replace("real", "forged");
    let forged = |mut headers: async_nats::HeaderMap, id: &str| {
        let head = headers.get("Webhook-Head").unwrap().as_str().replace("real", "forged");
        headers.insert("Webhook-Head", head.as_str());
        headers.insert("Nats-Msg-Id", id);
        headers
    };
    publish(forged(real.headers.clone(), "a"), body.clone().into()).await;
    let trusting = Running::of_sink(worker(&queue, &shop));
    until("both are worked", async || shop.done().len() == 2).await;
    trusting.stop().await;

    // A worker with the key: neither that, nor a seal that was moved or changed.
    send(&sealed, order("sealed")).await;
    let message = stream.get_last_raw_message_by_subject("webhooks").await.unwrap();
    assert!(!message.payload.windows(4).any(|bytes| bytes == b"seal"), "nobody can read it");
    assert!(!message.headers.iter().any(|(_, values)| values.iter().any(|value| value.as_str().contains("hook"))));
    publish(forged(real.headers.clone(), "b"), body.into()).await;
    let mut moved = forged(message.headers.clone(), "c");
    moved.insert("Webhook-Key", "00".repeat(16).as_str());
    publish(moved, message.payload.clone()).await;
    let mut changed = message.payload.to_vec();
    changed[30] ^= 1;
    publish(forged(message.headers.clone(), "d"), changed.into()).await;
    publish(async_nats::HeaderMap::new(), "no message of ours".into()).await;
    let careful = Running::of_sink(worker(&queue, &shop).with_sealing_key(key()));
    until("four are dead", async || dead(&context).await.len() == 4 && waiting(&context).await == 0).await;
    careful.stop().await;
    let done: HashSet<_> = shop.done().into_iter().collect();
    assert_eq!(done, ["real", "forged", "sealed"].map(str::to_owned).into());

    // Of another hand-off, its seal is of no use; without a key it is tried again, and then dead.
    publish(forged(message.headers.clone(), "e"), message.payload.clone()).await;
    let other = Running::of_sink(worker(&queue, &shop).with_sealing_key(key()).with_consumer("other"));
    until("five are dead", async || dead(&context).await.len() == 5).await;
    other.stop().await;
    publish(forged(message.headers.clone(), "f"), message.payload.clone()).await;
    let keyless = Running::of_sink(worker(&queue, &shop));
    until("six are dead", async || dead(&context).await.len() == 6).await;
    keyless.stop().await;
    let (reason, attempts) = dead(&context).await.pop().unwrap();
    assert!(reason.contains(key().id()) && attempts == ATTEMPTS.to_string(), "{reason}");
    assert_eq!(shop.done().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_right_after_the_answer_loses_nothing() {
    if let Some(url) = url_of_child() {
        return serve_app(app(options().connect(&url).await.unwrap())).await;
    }
    let (server, shop) = (NatsServer::start(), Shop::default());
    let queue = open(&server).await;
    let accepted =
        receivers_that_are_killed(&server.url(), test_name!("a_kill_right_after_the_answer_loses_nothing")).await;
    let worker = Running::of_sink(worker(&queue, &shop));
    until("all are worked", async || shop.done().len() >= accepted.len()).await;
    worker.stop().await;
    assert_eq!(shop.done().into_iter().collect::<HashSet<_>>(), accepted);
}

/// Workers are killed after the effect of an event, and before the server was told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_claim_around_the_handler_each_effect_is_there_once() {
    let (server, folder) = (NatsServer::start(), tempfile::tempdir().unwrap());
    let queue = open(&server).await;
    let url = format!("sqlite://{}/shop.db", folder.path().display());
    let store = SqliteStore::connect(&url).await.unwrap();
    let db = store.pool();
    sqlx::query("CREATE TABLE effects (id TEXT)").execute(&db).await.unwrap();
    let (committed, mut commits) = tokio::sync::mpsc::unbounded_channel();
    let of_handler = db.clone();
    let router = tower_webhooks::EventRouter::new().on(
        "order.*",
        move |claim: tower_webhooks::Claim, delivery: tower_webhooks::Delivery| {
            let (db, committed) = (of_handler.clone(), committed.clone());
            async move {
                let mut tx = db.begin_with("BEGIN IMMEDIATE").await.unwrap();
                let id = delivery.id().unwrap().to_string();
                sqlx::query("INSERT INTO effects VALUES (?)").bind(&id).execute(&mut *tx).await.unwrap();
                claim.commit(tx).await.unwrap();
                committed.send(id.clone()).unwrap();
                // Until it is killed.
                if id.starts_with("killed") {
                    std::future::pending::<()>().await;
                }
            }
        },
    );
    let once = IdempotencyLayer::new(store.clone()).with_consumer("shop");
    let start = || {
        let service = tower::ServiceBuilder::new().layer(once.clone()).service(router.clone());
        let worker = SinkWorker::new(queue.clone(), service).with_lease(Duration::from_secs(1));
        Running::of_sink(worker.with_retries(InboxRetries::new(20).waits(Duration::ZERO, Duration::from_secs(1))))
    };
    let app = app(queue.clone());
    for number in 0..3 {
        send(&app, order(&format!("killed {number}"))).await;
        let worker = start();
        assert_eq!(commits.recv().await.unwrap(), format!("killed {number}"));
        worker.kill().await;
    }
    send(&app, order("last")).await;
    let (worker, context) = (start(), context(&server).await);
    until("all have ended", async || waiting(&context).await == 0).await;
    worker.stop().await;
    let effects: Vec<String> = sqlx::query_scalar("SELECT id FROM effects ORDER BY id").fetch_all(&db).await.unwrap();
    assert_eq!(effects, ["killed 0", "killed 1", "killed 2", "last"]);
    assert_eq!(dead(&context).await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_delivery_is_not_passed_on() {
    let server = NatsServer::start();
    let (queue, context) = (open(&server).await, context(&server).await);
    let wrong = tower_webhooks::Secret::new("whsec_another_secret_than_ours").unwrap();
    let order = json!({ "amount": 7 });
    let forged = SignedRequest::new(Provider::STRIPE, &wrong).uri("/hook").with_event("order.created", order).build();
    let answer = send(&app(queue.clone()), forged).await;
    assert!(answer.status.is_client_error(), "{answer:?}");
    assert_eq!(waiting(&context).await, 0);

    let ordered = std::panic::AssertUnwindSafe(|| HandOff::new(queue.clone()).with_order_key("/customer"));
    assert!(std::panic::catch_unwind(ordered).is_err(), "it keeps no order");
}
