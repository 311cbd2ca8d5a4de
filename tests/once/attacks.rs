//! Tests of idempotency against hostile senders and accidents, through a real server. Numbers are those of the list of
//! attacks that the tests of this crate go through.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::{Router, extract::State, http::StatusCode, routing::post};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::Request;
use http_body_util::Full;
use tower_webhooks::{
    Delivery, Secret, Secrets, WebhookLayer,
    clock::{Clock, ClockOffset, ManualClock},
    idempotency::{
        ClaimKey, ClaimOutcome, ClaimRequest, ClaimToken, Fingerprint, IdempotencyLayer, IdempotencyStore, InFlight,
    },
    store::MemoryStore,
};

use crate::support::{
    once::{self, AGES, End, Run, Web},
    watched::{Call, Failure, Watched},
    web::{Client, SECRET, Server, delivery, send, signed},
};

type Count = Arc<AtomicU32>;

async fn count(State(count): State<Count>) {
    count.fetch_add(1, SeqCst);
}

/// Stripe's header over `body`, signed at `seconds`.
fn stripe(secret: &str, seconds: u64, body: &'static str) -> Request<Full<Bytes>> {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{seconds}.{body}").as_bytes());
    let signature = format!("t={seconds},v1={}", data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes()));
    Request::post("/hook")
        .header("host", "hooks.example.com")
        .header("stripe-signature", signature)
        .body(Full::new(Bytes::from_static(body.as_bytes())))
        .unwrap()
}

const EVENT: &str = r#"{"id":"evt_1","type":"invoice.paid","data":{"object":{}}}"#;
const NOW: u64 = 1_753_900_000;

/// A server with Stripe's scheme and the count of its handler's runs.
async fn stripe_server(clock: impl Clock, secrets: impl tower_webhooks::SecretSource) -> (Server, Count) {
    let runs = Count::default();
    let hook = WebhookLayer::stripe(secrets).with_clock(clock).with_idempotency(MemoryStore::new());
    let app = Router::new().route("/hook", post(count).layer(hook)).with_state(Arc::clone(&runs));
    (Server::start(app).await, runs)
}

/// 31
#[tokio::test]
async fn the_same_bytes_twice_within_the_window_run_once() {
    let clock = ManualClock::at_unix_seconds(NOW);
    let (server, runs) = stripe_server(clock, Secret::new(SECRET).unwrap()).await;
    let mut client = Client::connect(server.address).await;

    assert_eq!(client.send(stripe(SECRET, NOW, EVENT)).await.status, 200);
    let again = client.send(stripe(SECRET, NOW, EVENT)).await;

    assert_eq!((again.status, again.is_replayed()), (StatusCode::OK, true));
    assert_eq!(runs.load(SeqCst), 1);
}

/// 32
#[tokio::test]
async fn the_same_event_with_a_new_timestamp_and_signature_runs_once() {
    let clock = ManualClock::at_unix_seconds(NOW);
    let (server, runs) = stripe_server(clock.clone(), Secret::new(SECRET).unwrap()).await;
    let mut client = Client::connect(server.address).await;

    assert_eq!(client.send(stripe(SECRET, NOW, EVENT)).await.status, 200);
    clock.advance(Duration::from_secs(60 * 60));
    let again = client.send(stripe(SECRET, NOW + 60 * 60, EVENT)).await;

    assert_eq!((again.status, again.is_replayed()), (StatusCode::OK, true));
    assert_eq!(runs.load(SeqCst), 1);
}

/// 88
#[tokio::test]
async fn a_panic_releases_the_claim_and_other_requests_live() {
    let web = Web::start(&[MemoryStore::new()]).await;
    web.shop.end_with(&[End::Panic]);
    let mut client = Client::connect(web.address()).await;

    assert_eq!(client.send(delivery("/hook", "a")).await.status, 500);
    // The same connection, so that it was not cut.
    assert_eq!(client.send(delivery("/hook", "b")).await.status, 200);
    assert_eq!(client.send(delivery("/hook", "a")).await.status, 200);
}

/// 89
#[tokio::test]
async fn failures_and_timeouts_are_passed_on_and_release_the_claim() {
    once::a_failure_lets_the_next_one_run_at_once(MemoryStore::new()).await;
}

/// 90
#[tokio::test]
async fn every_refusal_says_the_same() {
    let web = Web::start(&[MemoryStore::new()]).await;
    let mut client = Client::connect(web.address()).await;
    let wrong = signed("/hook", b"a", b"{}", "another secret of theirs");
    let mut missing = delivery("/hook", "a");
    missing.headers_mut().remove("x-hub-signature-256");
    let mut malformed = delivery("/hook", "a");
    malformed.headers_mut().insert("x-hub-signature-256", "sha256=zz".parse().unwrap());

    for request in [wrong, missing, malformed] {
        let answer = client.send(request).await;
        assert_eq!((answer.status.as_u16(), &*answer.text), (401, r#"{"error":"invalid_signature"}"#));
    }
}

/// 91
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_copies_at_once_run_once_and_none_is_acknowledged_before() {
    once::copies_run_once(&[MemoryStore::new()], 100, 1).await;
}

/// 92
#[tokio::test]
async fn a_handler_that_failed_after_the_claim_runs_again() {
    let web = Web::start(&[MemoryStore::new()]).await;
    web.shop.end_with(&[End::Status(500)]);

    assert_eq!(send(web.address(), "a").await.status, 500);
    assert_eq!(send(web.address(), "a").await.status, 200);

    assert_eq!(web.shop.runs.of("a"), Run { attempts: vec![1, 2], finished: 1 });
}

/// 93: with real processes in `once_sqlite`, `once_postgres` and `once_redis`; here an owner that is never heard of again.
#[tokio::test]
async fn an_owner_that_is_gone_holds_a_delivery_for_a_lease_at_most() {
    let offset = ClockOffset::default();
    let store = MemoryStore::with_capacity_and_offset(100, offset.clone());
    let web = Web::start(std::slice::from_ref(&store)).await;
    let key = ClaimKey::new("/hook", "github", None, b"ia");
    let gone = ClaimRequest::new(key, ClaimToken::random().unwrap(), Duration::from_secs(60), Fingerprint::of(b""));
    assert!(matches!(store.claim(gone).await.unwrap(), ClaimOutcome::Acquired { attempt: 1 }));

    offset.advance(Duration::from_millis(59_000));
    assert_eq!(send(web.address(), "a").await.status, 503);
    offset.advance(Duration::from_millis(1_000));
    assert_eq!(send(web.address(), "a").await.status, 200);

    assert_eq!(web.shop.runs.of("a").attempts, [2]);
}

/// 94
#[tokio::test]
async fn a_store_that_is_down_or_slow_or_lost_its_answer_runs_nothing_unclaimed() {
    for failure in [Failure::Before, Failure::After, Failure::Hang] {
        let store = Watched::new(MemoryStore::new());
        let web = Web::start_with(std::slice::from_ref(&store), |layer| {
            layer.with_local_cache(0).with_store_timeout(Duration::from_millis(200))
        })
        .await;
        store.fail(Call::Claim, failure, 1);

        let refused = send(web.address(), "a").await;
        assert_eq!(refused.status, 503, "{failure:?}");
        assert!(refused.headers.contains_key("retry-after"));
        assert_eq!(web.shop.runs.of("a"), Run::default());

        web.drain().await;
        assert_eq!(send(web.address(), "a").await.status, 200, "{failure:?}");
    }
}

/// 95
#[tokio::test]
async fn ids_of_any_size_and_content_are_apart() {
    let long = "x".repeat(10 * 1024);
    let other = format!("{long}y");
    // A header cannot hold NUL; JSON can, see below.
    let ids: [&[u8]; 9] =
        [b"a", b"a:b", b"a b", b"a/b", b"ia", "\u{e9}".as_bytes(), b"%00", long.as_bytes(), other.as_bytes()];
    let web = Web::start(&[MemoryStore::new()]).await;
    let mut client = Client::connect(web.address()).await;
    for id in ids {
        let first = client.send(signed("/hook", id, b"{}", SECRET)).await;
        let again = client.send(signed("/hook", id, b"{}", SECRET)).await;
        assert!(!first.is_replayed() && first.status.is_success(), "{id:?}: {first:?}");
        assert!(again.is_replayed(), "{id:?}");
    }

    let clock = ManualClock::at_unix_seconds(NOW);
    let (server, runs) = stripe_server(clock, Secret::new(SECRET).unwrap()).await;
    let mut client = Client::connect(server.address).await;
    let bodies = [
        r#"{"id":"a\u0000b","type":"t","data":{"object":{}}}"#,
        r#"{"id":"a","type":"t","data":{"object":{}}}"#,
        r#"{"id":"a\u0000","type":"t","data":{"object":{}}}"#,
        r#"{"id":"a:b","type":"t","data":{"object":{}}}"#,
    ];
    for body in bodies {
        for is_copy in [false, true] {
            let answer = client.send(stripe(SECRET, NOW, body)).await;
            assert_eq!((answer.status, answer.is_replayed()), (StatusCode::OK, is_copy), "{body}");
        }
    }
    assert_eq!(runs.load(SeqCst), 4);
}

/// 95
#[tokio::test]
async fn one_id_of_two_tenants_two_consumers_or_two_senders_runs_for_each() {
    let store = MemoryStore::new();
    let runs = Count::default();
    let once = || IdempotencyLayer::new(store.clone());
    let tenant = |name: &'static str| {
        let secrets = Secrets::new(Secret::new(SECRET).unwrap()).tenant(name);
        WebhookLayer::github(secrets).with_idempotency(once().with_consumer("c"))
    };
    let plain = |once: IdempotencyLayer| WebhookLayer::github(Secret::new(SECRET).unwrap()).with_idempotency(once);
    let body = tower_webhooks::Scheme::hmac_sha256()
        .name("theirs")
        .header("x-hub-signature-256")
        .prefix("sha256=")
        .hex()
        .signs("{body}")
        .id(tower_webhooks::scheme::Field::header("x-github-delivery"));
    let theirs = WebhookLayer::new(body, Secret::new(SECRET).unwrap()).with_idempotency(once().with_consumer("c"));
    let app = Router::new()
        .route("/a", post(count).layer(plain(once())))
        .route("/b", post(count).layer(plain(once())))
        // The parts of their keys would be equal if they were only put side by side.
        .route("/c", post(count).layer(plain(once().with_consumer("cgithub"))))
        .route("/d", post(count).layer(tenant("t")))
        .route("/e", post(count).layer(tenant("")))
        .route("/f", post(count).layer(plain(once().with_consumer("c"))))
        .route("/g", post(count).layer(theirs))
        .with_state(Arc::clone(&runs));
    let server = Server::start(app).await;
    let mut client = Client::connect(server.address).await;

    for path in ["/a", "/b", "/c", "/d", "/e", "/f", "/g"] {
        assert!(!client.send(delivery(path, "same")).await.is_replayed(), "{path}");
        assert!(client.send(delivery(path, "same")).await.is_replayed(), "{path}");
    }

    assert_eq!(runs.load(SeqCst), 7);
}

/// 96
#[tokio::test]
async fn a_forged_id_leaves_no_trace_and_the_true_event_runs() {
    let store = MemoryStore::new();
    let watched = Watched::new(store.clone());
    let web = Web::start(std::slice::from_ref(&watched)).await;
    let mut client = Client::connect(web.address()).await;

    let forged = signed("/hook", b"chosen", b"{}", "another secret of theirs");
    assert_eq!(client.send(forged).await.status, 401);
    assert_eq!((store.len(), watched.take_calls()), (0, 0));

    assert_eq!(client.send(delivery("/hook", "chosen")).await.status, 200);
    assert_eq!(web.shop.runs.of("chosen").finished, 1);
}

/// 97
#[tokio::test]
async fn a_delivery_is_remembered_for_longer_than_its_provider_repeats_it() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    for (days, is_copy) in [(3, true), (6, true), (8, false)] {
        let offset = ClockOffset::default();
        let store = MemoryStore::with_capacity_and_offset(100, offset.clone());
        let clock = ManualClock::at_unix_seconds(NOW);
        let runs = Count::default();
        // Without the local cache, whose clock cannot be turned.
        let once = IdempotencyLayer::new(store).with_local_cache(0);
        let hook = WebhookLayer::stripe(Secret::new(SECRET).unwrap()).with_clock(clock.clone()).with_idempotency(once);
        let app = Router::new().route("/hook", post(count).layer(hook)).with_state(Arc::clone(&runs));
        let server = Server::start(app).await;
        let mut client = Client::connect(server.address).await;

        assert_eq!(client.send(stripe(SECRET, NOW, EVENT)).await.status, 200);
        offset.advance(DAY * days);
        clock.advance(DAY * days);
        let later = client.send(stripe(SECRET, NOW + DAY.as_secs() * u64::from(days), EVENT)).await;

        assert_eq!((later.status, later.is_replayed()), (StatusCode::OK, is_copy), "after {days} days");
    }
}

/// 98
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_in_flight_is_told_to_come_again_or_waits_by_choice() {
    for (choice, status) in
        [(InFlight::Retry, 503), (InFlight::Conflict, 409), (InFlight::Wait(Duration::from_millis(100)), 503)]
    {
        let mut web = Web::start_with(&[MemoryStore::new()], |layer| layer.with_in_flight(choice)).await;
        let address = web.address();
        web.shop.shut();
        let first = tokio::spawn(async move { send(address, "a").await });
        web.begun().await;

        let copy = send(address, "a").await;
        assert_eq!(copy.status, status, "{choice:?}");
        assert!(copy.headers.contains_key("retry-after"));
        web.shop.open();
        assert_eq!(first.await.unwrap().status, 200);
    }

    let mut web = Web::start_with(&[MemoryStore::new()], |layer| layer.with_in_flight(InFlight::Wait(AGES))).await;
    let address = web.address();
    web.shop.shut();
    let first = tokio::spawn(async move { send(address, "a").await });
    web.begun().await;
    let copy = tokio::spawn(async move { send(address, "a").await });
    web.shop.open();
    assert_eq!(first.await.unwrap().status, 200);
    assert!(copy.await.unwrap().is_replayed());
    assert_eq!(web.shop.runs.of("a").attempts, [1]);
}

/// Ten times as many deliveries as the memory store has room for do not drop a claim that is held.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_the_memory_store_loses_no_delivery_that_is_being_handled() {
    let store = MemoryStore::with_capacity(50);
    let mut web = Web::start(std::slice::from_ref(&store)).await;
    let address = web.address();
    web.shop.shut();
    let mut held = tokio::task::JoinSet::new();
    for id in 0..20 {
        held.spawn(async move { send(address, &format!("held {id}")).await.status.as_u16() });
        web.begun().await;
    }

    // Others come and go, ten times as many as there is room for. They do not wait at the gate.
    let other = Web::start(std::slice::from_ref(&store)).await;
    for id in 0..500 {
        assert_eq!(send(other.address(), &format!("flood {id}")).await.status, 200);
    }
    assert!(store.len() <= 50);
    for id in 0..20 {
        assert_eq!(send(address, &format!("held {id}")).await.status, 503, "{id}");
    }

    web.shop.open();
    assert_eq!(held.join_all().await, [200; 20]);
    for id in 0..20 {
        let run = Run { attempts: vec![1], finished: 1 };
        assert_eq!(web.shop.runs.of(&format!("held {id}")), run, "{id}");
    }
}

/// When everything that a memory store holds is being handled, a new delivery is refused, not run unclaimed.
#[tokio::test(flavor = "multi_thread")]
async fn a_memory_store_full_of_claims_in_flight_refuses_new_ones() {
    let mut web = Web::start(&[MemoryStore::with_capacity(5)]).await;
    let address = web.address();
    web.shop.shut();
    let mut held = tokio::task::JoinSet::new();
    for id in 0..5 {
        held.spawn(async move { send(address, &id.to_string()).await.status.as_u16() });
        web.begun().await;
    }

    assert_eq!(send(address, "one more").await.status, 503);

    web.shop.open();
    assert_eq!(held.join_all().await, [200; 5]);
    assert_eq!(send(address, "one more").await.status, 200);
}

/// 145
#[tokio::test]
async fn old_and_new_secret_are_taken_until_the_old_one_is_revoked() {
    let secrets = || [Secret::new("the new secret of ours").unwrap(), Secret::new("the old secret of ours").unwrap()];
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let keep = Arc::clone(&seen);
    let handler = move |delivery: Delivery| async move { keep.lock().unwrap().push(delivery.secret_index()) };
    let both = WebhookLayer::github(secrets()).with_idempotency(MemoryStore::new());
    let [new, _] = secrets();
    let one = WebhookLayer::github(new).with_idempotency(MemoryStore::new());
    let app = Router::new().route("/both", post(handler.clone()).layer(both)).route("/one", post(handler).layer(one));
    let server = Server::start(app).await;
    let mut client = Client::connect(server.address).await;
    let by = |path, id, secret| signed(path, id, b"{}", secret);

    assert_eq!(client.send(by("/both", b"1", "the new secret of ours")).await.status, 200);
    assert_eq!(client.send(by("/both", b"2", "the old secret of ours")).await.status, 200);
    // Copies of a delivery are one delivery, also if they are signed with different secrets.
    assert!(client.send(by("/both", b"2", "the new secret of ours")).await.is_replayed());
    assert_eq!(client.send(by("/one", b"1", "the new secret of ours")).await.status, 200);
    assert_eq!(client.send(by("/one", b"2", "the old secret of ours")).await.status, 401);

    assert_eq!(*seen.lock().unwrap(), [Some(0), Some(1), Some(0)]);
}
