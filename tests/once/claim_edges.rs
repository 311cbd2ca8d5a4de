//! Unusual things that a handler, a store or the clock can do to a claim.

use std::{
    future::pending,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{Request, Response, StatusCode},
    routing::post,
};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep},
};
use tower::ServiceExt;
use tower_webhooks::{
    BoxFuture, Claim, Delivery, Scheme, Secret, WebhookLayer,
    clock::ClockOffset,
    error::StoreError,
    idempotency::{
        ClaimKey, ClaimOutcome, ClaimRequest, ClaimToken, Completion, Fenced, Fingerprint, IdempotencyLayer,
        IdempotencyStore, InFlight, MissingId,
    },
    scheme::Field,
    store::MemoryStore,
};

use crate::support::{
    watched::{Call, Failure, Watched},
    web::signature,
};

const SECRET: &str = "It's a Secret to Everybody";
const SIGNATURE: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
const BODY: &str = "Hello, World!";

fn layer(once: impl Into<IdempotencyLayer>) -> WebhookLayer<IdempotencyLayer> {
    WebhookLayer::github(Secret::new(SECRET).unwrap()).with_idempotency(once)
}

async fn send(app: &Router, id: &str) -> Response<Body> {
    send_ids(app, &[id]).await
}

/// Sends a delivery with so many headers that each say an id.
async fn send_ids(app: &Router, ids: &[&str]) -> Response<Body> {
    let mut request = Request::post("/hook").header("x-hub-signature-256", SIGNATURE);
    for id in ids {
        request = request.header("x-github-delivery", *id);
    }
    app.clone().oneshot(request.body(Body::from(BODY)).unwrap()).await.unwrap()
}

/// A handler that counts its runs, under `once`.
fn counting(once: IdempotencyLayer) -> (Router, Arc<AtomicU32>) {
    let runs = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&runs);
    let handler = move || async move {
        seen.fetch_add(1, SeqCst);
    };
    (Router::new().route("/hook", post(handler).layer(layer(once))), runs)
}

fn is_replayed(response: &Response<Body>) -> bool {
    response.headers().get("idempotent-replayed").is_some_and(|value| value == "true")
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn store() -> Watched<MemoryStore> {
    Watched::new(MemoryStore::new())
}

// Renewing

/// A lease that ends before the handler's time limit would allow a second run at the same time.
#[tokio::test(start_paused = true)]
async fn renewing_for_a_moment_does_not_shorten_the_lease() {
    let leases = Arc::new(Mutex::new(Vec::new()));
    let seen = Leases { inner: MemoryStore::new(), renewed: Arc::clone(&leases) };
    let handler = |claim: Claim| async move {
        claim.renew(Duration::from_secs(1)).await.unwrap();
        claim.renew(Duration::ZERO).await.unwrap();
        sleep(Duration::from_secs(10)).await;
        claim.renew(Duration::from_secs(50)).await.unwrap();
    };
    let app = Router::new().route("/hook", post(handler).layer(layer(seen)));

    assert_eq!(send(&app, "a").await.status(), StatusCode::OK);

    // 30 s after its end, at the latest allowed, a handler's outcome must still find its claim.
    assert_eq!(*leases.lock().unwrap(), [60, 60, 80].map(Duration::from_secs));
}

/// Notes for how long claims were renewed.
struct Leases {
    inner: MemoryStore,
    renewed: Arc<Mutex<Vec<Duration>>>,
}

impl IdempotencyStore for Leases {
    fn claim(&self, claim: ClaimRequest) -> BoxFuture<'_, Result<ClaimOutcome, StoreError>> {
        self.inner.claim(claim)
    }

    fn complete(
        &self,
        key: ClaimKey,
        token: ClaimToken,
        completion: Completion,
    ) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.inner.complete(key, token, completion)
    }

    fn release(&self, key: ClaimKey, token: ClaimToken) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.inner.release(key, token)
    }

    fn renew(&self, key: ClaimKey, token: ClaimToken, lease: Duration) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.renewed.lock().unwrap().push(lease);
        self.inner.renew(key, token, lease)
    }

    fn is_done(&self, key: ClaimKey, token: ClaimToken) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.inner.is_done(key, token)
    }

    fn purge(&self, limit: u32) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.inner.purge(limit)
    }
}

#[tokio::test]
async fn a_claim_kept_after_the_answer_renews_nothing_and_is_not_lost() {
    let kept = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&kept);
    let handler = move |claim: Claim| async move {
        *keep.lock().unwrap() = Some(claim);
    };
    let app = Router::new().route("/hook", post(handler).layer(layer(MemoryStore::new())));

    assert_eq!(send(&app, "a").await.status(), StatusCode::OK);
    let claim = kept.lock().unwrap().take().unwrap();

    claim.renew(Duration::from_secs(30)).await.unwrap();
    assert!(!claim.is_lost());
}

#[tokio::test(start_paused = true)]
async fn renewing_does_not_wait_for_a_store_that_hangs() {
    let store = store();
    store.fail(Call::Renew, Failure::Hang, 1);
    let handler = |claim: Claim| async move {
        let asked = Instant::now();
        assert!(claim.renew(Duration::from_secs(30)).await.is_err());
        asked.elapsed().as_secs().to_string()
    };
    let app = Router::new().route("/hook", post(handler).layer(layer(store)));

    let response = send(&app, "a").await;

    assert_eq!(axum::body::to_bytes(response.into_body(), 100).await.unwrap(), "5");
}

#[tokio::test]
async fn durations_beyond_all_time_are_taken() {
    let handler = |claim: Claim| async move {
        claim.renew(Duration::MAX).await.unwrap();
        assert!(!claim.is_lost());
    };
    let once = IdempotencyLayer::new(MemoryStore::new())
        .with_lease(Duration::MAX)
        .with_handler_timeout(Duration::MAX / 2)
        .with_store_timeout(Duration::MAX / 4)
        .with_retention(Duration::MAX);
    let app = Router::new().route("/hook", post(handler).layer(layer(once)));

    assert_eq!(send(&app, "a").await.status(), StatusCode::OK);
    assert_eq!(send(&app, "a").await.headers()["idempotent-replayed"], "true");
}

// Handlers that end badly

/// Panics when it is dropped.
struct Mine;

impl Drop for Mine {
    fn drop(&mut self) {
        panic!("a panic on purpose");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_a_handler_is_stopped_lets_the_next_one_run_at_once() {
    let runs = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&runs);
    let handler = move || async move {
        if seen.fetch_add(1, SeqCst) == 0 {
            let _mine = Mine;
            pending::<()>().await;
        }
    };
    let app = Router::new().route("/hook", post(handler).layer(layer(MemoryStore::new())));

    assert_eq!(send(&app, "a").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(send(&app, "a").await.status(), StatusCode::OK);
}

type Frames = Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>>;

/// A body of ten bytes that goes wrong.
struct Wrong(fn() -> Frames);

impl http_body::Body for Wrong {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Frames {
        (self.0)()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(10)
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_that_cannot_be_kept_since_its_body_goes_wrong_is_a_failure() {
    let wrong: [(fn() -> Frames, u16); 4] = [
        (|| Poll::Pending, 503),
        (|| panic!("a panic on purpose"), 500),
        (|| Poll::Ready(Some(Err(axum::Error::new("wrong on purpose")))), 500),
        (|| Poll::Ready(Some(Ok(http_body::Frame::data(Bytes::from_static(&[0; 64]))))), 500),
    ];
    for (frames, status) in wrong {
        let runs = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&runs);
        let handler = move || async move {
            match seen.fetch_add(1, SeqCst) {
                0 => Response::new(Body::new(Wrong(frames))),
                _ => Response::new(Body::empty()),
            }
        };
        let once = IdempotencyLayer::new(MemoryStore::new()).with_stored_responses(100);
        let app = Router::new().route("/hook", post(handler).layer(layer(once)));

        assert_eq!(send(&app, "a").await.status(), status);
        assert_eq!(send(&app, "a").await.status(), StatusCode::OK);
        assert_eq!(runs.load(SeqCst), 2);
    }
}

// Tidying up

#[tokio::test]
async fn what_has_expired_is_removed_however_much_it_is() {
    let offset = ClockOffset::default();
    let store = MemoryStore::with_capacity_and_offset(20_000, offset.clone());
    for number in 0..10_000_u32 {
        let key = ClaimKey::new("", "", None, &number.to_be_bytes());
        let token = ClaimToken::random().unwrap();
        let lease = Duration::from_secs(60);
        store.claim(ClaimRequest::new(key, token, lease, Fingerprint::of(b""))).await.unwrap();
        let _ = store.complete(key, token, Completion::new(lease)).await.unwrap();
    }
    offset.advance(Duration::from_secs(61));
    let once = IdempotencyLayer::new(store.clone());
    let app = Router::new().route("/hook", post(|| async {}).layer(layer(once.clone())));

    for id in 0..20 {
        assert_eq!(send(&app, &id.to_string()).await.status(), StatusCode::OK);
    }
    assert_eq!(once.drain(Duration::from_secs(60)).await, 0);

    assert_eq!(store.len(), 20);
}

// A store that is away

#[tokio::test(start_paused = true)]
async fn claims_that_may_have_been_made_are_given_back_once_the_store_answers() {
    let store = store();
    store.fail(Call::Claim, Failure::After, 1);
    store.fail(Call::Release, Failure::Before, 3);
    let once = IdempotencyLayer::new(store.clone());
    let app = Router::new().route("/hook", post(|| async {}).layer(layer(once.clone())));

    assert_eq!(send(&app, "a").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    let in_flight = send(&app, "a").await;
    assert_eq!(in_flight.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(once.drain(Duration::from_secs(30)).await, 0);

    assert_eq!(send(&app, "a").await.status(), StatusCode::OK);
}

/// However many deliveries come while the store is away, the tasks that wait for it are few.
#[tokio::test(start_paused = true)]
async fn an_outage_does_not_pile_up_tasks() {
    let store = store();
    store.fail(Call::Claim, Failure::Before, u32::MAX);
    store.fail(Call::Release, Failure::Before, u32::MAX);
    let once = IdempotencyLayer::new(store.clone());
    let app = Router::new().route("/hook", post(|| async {}).layer(layer(once.clone())));

    for id in 0..5_000 {
        assert_eq!(send(&app, &id.to_string()).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    }

    let waiting = once.drain(Duration::ZERO).await;
    assert!((1..=1_000).contains(&waiting), "{waiting}");
}

#[tokio::test]
async fn a_hundred_deliveries_without_a_handler_leave_no_task_behind() {
    let once = IdempotencyLayer::new(MemoryStore::new());
    let app = Router::new().route("/hook", post(|| async {}).layer(layer(once.clone())));

    for id in 0..100 {
        assert_eq!(send(&app, &id.to_string()).await.status(), StatusCode::OK);
    }

    assert_eq!(once.drain(Duration::from_secs(30)).await, 0);
}

// A guard against replays

/// An attacker who has recorded a delivery can leave out the parts that are not signed.
#[tokio::test]
async fn the_guard_knows_a_body_that_comes_without_an_id() {
    let nothing: &[&str] = &[];
    for choice in [MissingId::BodyDigest, MissingId::Skip] {
        for replay in [nothing, &["a", "a"], &["a", "b"], &[""]] {
            let once = IdempotencyLayer::new(MemoryStore::new()).with_missing_id(choice).with_replay_guard(DAY);
            let (app, runs) = counting(once);

            assert_eq!(send(&app, "a").await.status(), StatusCode::OK);
            for _ in 0..3 {
                let answer = send_ids(&app, replay).await;
                assert_eq!((answer.status(), is_replayed(&answer)), (StatusCode::OK, true), "{choice:?} {replay:?}");
            }
            assert!(is_replayed(&send(&app, "b").await));
            assert_eq!(runs.load(SeqCst), 1, "{choice:?} {replay:?}");
        }
    }
}

/// The first copy runs, also if it is the one without an id.
#[tokio::test]
async fn the_guard_remembers_a_body_that_came_without_an_id() {
    for choice in [MissingId::BodyDigest, MissingId::Skip] {
        let offset = ClockOffset::default();
        let store = MemoryStore::with_capacity_and_offset(100, offset.clone());
        let once = IdempotencyLayer::new(store).with_missing_id(choice).with_replay_guard(DAY * 2).with_local_cache(0);
        let (app, runs) = counting(once);

        assert_eq!(send_ids(&app, &[]).await.status(), StatusCode::OK);
        for ids in [&[][..], &["a"], &["b"]] {
            assert!(is_replayed(&send_ids(&app, ids).await), "{choice:?} {ids:?}");
        }
        // The body as an id is forgotten after a day, and the guard is not.
        offset.advance(DAY + Duration::from_secs(60));
        assert!(is_replayed(&send_ids(&app, &[]).await), "{choice:?}");
        offset.advance(DAY * 2);
        assert!(!is_replayed(&send_ids(&app, &[]).await), "{choice:?}");
        assert_eq!(runs.load(SeqCst), 2, "{choice:?}");
    }
}

/// If one half of an id is not signed, a copy can have another half, none, or the half twice.
#[tokio::test]
async fn the_guard_is_not_passed_by_the_half_of_an_id_that_is_not_signed() {
    let scheme = || Scheme::hmac_sha256().header("x-hub-signature-256").prefix("sha256=").hex().signs("{body}");
    let (signed, unsigned) = (|| Field::json("/id"), || Field::header("x-topic"));
    let topics: &[&[&str]] = &[&["paid"], &["opened"], &[], &["paid", "paid"], &["paid", "opened"], &[""]];
    // With each half in front, a whole id that is signed, and none; how many run without a guard and with one.
    for (id, is_signed, [without, with]) in [
        (signed().joined(unsigned()), false, [3, 1]),
        (unsigned().joined(signed()), false, [6, 1]),
        (unsigned().or(signed()), false, [3, 1]),
        (signed(), true, [1, 1]),
    ] {
        let scheme = scheme().id(id).build().unwrap();
        assert_eq!(scheme.id_is_signed(), is_signed);
        for (has_guard, expected) in [(false, without), (true, with)] {
            let once = IdempotencyLayer::new(MemoryStore::new());
            let once = if has_guard { once.with_replay_guard(DAY) } else { once };
            let runs = Arc::new(AtomicU32::new(0));
            let seen = Arc::clone(&runs);
            let handler = move || async move {
                seen.fetch_add(1, SeqCst);
            };
            let hook = WebhookLayer::new(scheme.clone(), Secret::new(SECRET).unwrap()).with_idempotency(once);
            let app = Router::new().route("/hook", post(handler).layer(hook));

            for topics in topics {
                let body = br#"{"id":"e-1"}"#;
                let mut request = Request::post("/hook").header("x-hub-signature-256", signature(body, SECRET));
                for topic in *topics {
                    request = request.header("x-topic", *topic);
                }
                let answer = app.clone().oneshot(request.body(Body::from(&body[..])).unwrap()).await.unwrap();
                assert_eq!(answer.status(), StatusCode::OK, "{topics:?}");
            }
            // An event with another body is another event, with any headers.
            let body = br#"{"id":"e-2"}"#;
            let request = Request::post("/hook").header("x-hub-signature-256", signature(body, SECRET));
            let request = request.header("x-topic", "paid-too").body(Body::from(&body[..])).unwrap();
            let answer = app.clone().oneshot(request).await.unwrap();
            assert!(!is_replayed(&answer), "{has_guard}");
            assert_eq!(runs.load(SeqCst), expected + 1, "{has_guard}: {scheme:?}");
        }
    }
}

#[tokio::test]
async fn a_missing_id_that_is_to_be_refused_is_refused_with_a_guard_too() {
    let once = IdempotencyLayer::new(MemoryStore::new()).with_missing_id(MissingId::Reject).with_replay_guard(DAY);
    let (app, runs) = counting(once);

    assert_eq!(send(&app, "a").await.status(), StatusCode::OK);
    for ids in [&[][..], &["a", "a"]] {
        assert_eq!(send_ids(&app, ids).await.status(), StatusCode::BAD_REQUEST);
    }
    assert_eq!(runs.load(SeqCst), 1);
}

/// A handler also has a claim if only the guard is claimed.
#[tokio::test]
async fn a_delivery_that_only_the_guard_claims_is_fenced_as_any_other() {
    let store = store();
    let once = IdempotencyLayer::new(store.clone()).with_missing_id(MissingId::Skip).with_replay_guard(DAY);
    let runs = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&runs);
    let handler = move |claim: Claim| async move {
        seen.fetch_add(1, SeqCst);
        if claim.attempt() == 1 { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK }
    };
    let app = Router::new().route("/hook", post(handler).layer(layer(once)));

    assert_eq!(send_ids(&app, &[]).await.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(send_ids(&app, &[]).await.status(), StatusCode::OK);
    assert_eq!(store.take_calls(), 4, "one claim and one end for each run");
    assert!(is_replayed(&send_ids(&app, &[]).await));
    assert_eq!(runs.load(SeqCst), 2);
}

/// A handler that waits at a gate, so that others find its claim in flight.
fn gated(once: IdempotencyLayer) -> (Router, Arc<Semaphore>, Arc<AtomicU32>) {
    let (gate, runs) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicU32::new(0)));
    let (held, seen) = (Arc::clone(&gate), Arc::clone(&runs));
    let handler = move || async move {
        seen.fetch_add(1, SeqCst);
        held.acquire().await.unwrap().forget();
    };
    (Router::new().route("/hook", post(handler).layer(layer(once))), gate, runs)
}

async fn until_it_runs(runs: &AtomicU32, count: u32) {
    while runs.load(SeqCst) < count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_in_flight_under_another_id_are_answered_as_a_copy_in_flight() {
    for (choice, status) in
        [(InFlight::Conflict, 409), (InFlight::Retry, 503), (InFlight::Wait(Duration::from_secs(2)), 503)]
    {
        for ids in [&["b"][..], &[]] {
            let once = IdempotencyLayer::new(MemoryStore::new()).with_replay_guard(DAY).with_in_flight(choice);
            let (app, gate, runs) = gated(once);
            let app_of_first = app.clone();
            let first = tokio::spawn(async move { send(&app_of_first, "a").await });
            until_it_runs(&runs, 1).await;

            let copy = send_ids(&app, ids).await;
            assert_eq!(copy.status().as_u16(), status, "{choice:?} {ids:?}");
            assert!(copy.headers().contains_key("retry-after"));

            gate.add_permits(10);
            assert_eq!(first.await.unwrap().status(), StatusCode::OK);
            // Nothing is left behind that would keep it from being answered for good.
            assert!(is_replayed(&send_ids(&app, ids).await), "{choice:?} {ids:?}");
            assert_eq!(runs.load(SeqCst), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_equal_bytes_gets_their_outcome() {
    // Longer than the lease: the claim that waits is held meanwhile.
    for wait in [10, 200].map(Duration::from_secs) {
        let once = IdempotencyLayer::new(MemoryStore::new())
            .with_replay_guard(DAY)
            .with_handler_timeout(Duration::from_secs(300))
            .with_lease(Duration::from_secs(306))
            .with_in_flight(InFlight::Wait(Duration::from_secs(250)));
        let (app, gate, runs) = gated(once);
        let (one, other) = (app.clone(), app.clone());
        let first = tokio::spawn(async move { send(&one, "a").await });
        until_it_runs(&runs, 1).await;
        let copy = tokio::spawn(async move { send(&other, "b").await });
        sleep(wait).await;
        gate.add_permits(10);

        assert_eq!(first.await.unwrap().status(), StatusCode::OK);
        assert!(is_replayed(&copy.await.unwrap()));
        assert!(is_replayed(&send(&app, "b").await));
        assert_eq!(runs.load(SeqCst), 1);
    }
}

/// The first copy fails, so the one that waited runs: as its own first attempt, with its full time.
#[tokio::test(start_paused = true)]
async fn whoever_waits_for_equal_bytes_runs_if_those_fail() {
    let once = IdempotencyLayer::new(MemoryStore::new())
        .with_replay_guard(DAY)
        .with_in_flight(InFlight::Wait(Duration::from_secs(60)));
    let attempts = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&attempts);
    let handler = move |claim: Claim, delivery: Delivery| async move {
        seen.lock().unwrap().push((delivery.id().unwrap().to_string(), claim.attempt()));
        sleep(Duration::from_secs(29)).await;
        if delivery.id().unwrap() == "a" { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK }
    };
    let app = Router::new().route("/hook", post(handler).layer(layer(once)));
    let (one, other) = (app.clone(), app.clone());

    let first = tokio::spawn(async move { send(&one, "a").await });
    sleep(Duration::from_secs(1)).await;
    let second = tokio::spawn(async move { send(&other, "b").await });

    assert_eq!(first.await.unwrap().status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(second.await.unwrap().status(), StatusCode::OK);
    assert_eq!(*attempts.lock().unwrap(), [("a".to_owned(), 1), ("b".to_owned(), 1)]);
    assert!(is_replayed(&send(&app, "a").await));
}

#[tokio::test]
async fn renewing_a_claim_renews_its_guard() {
    let offset = ClockOffset::default();
    let store = MemoryStore::with_capacity_and_offset(100, offset.clone());
    let once = IdempotencyLayer::new(store).with_replay_guard(DAY).with_local_cache(0);
    let (gate, runs) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicU32::new(0)));
    let (held, seen) = (Arc::clone(&gate), Arc::clone(&runs));
    let handler = move |claim: Claim| async move {
        claim.renew(Duration::from_secs(600)).await.unwrap();
        seen.fetch_add(1, SeqCst);
        held.acquire().await.unwrap().forget();
    };
    let app = Router::new().route("/hook", post(handler).layer(layer(once)));
    let first = app.clone();
    let first = tokio::spawn(async move { send(&first, "a").await });
    until_it_runs(&runs, 1).await;

    offset.advance(Duration::from_secs(500));
    for ids in [&["a"][..], &["b"], &[]] {
        assert_eq!(send_ids(&app, ids).await.status(), StatusCode::SERVICE_UNAVAILABLE, "{ids:?}");
    }

    gate.add_permits(10);
    assert_eq!(first.await.unwrap().status(), StatusCode::OK);
    assert_eq!(runs.load(SeqCst), 1);
}

/// If another process holds the guard by now, it is handling the same event.
#[tokio::test]
async fn renewing_says_that_the_claim_is_lost_when_the_guard_is() {
    let offset = ClockOffset::default();
    let store = MemoryStore::with_capacity_and_offset(100, offset.clone());
    let once = IdempotencyLayer::new(store).with_replay_guard(DAY).with_local_cache(0);
    let (gate, runs) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicU32::new(0)));
    let (held, seen) = (Arc::clone(&gate), Arc::clone(&runs));
    let handler = move |claim: Claim| async move {
        let run = seen.fetch_add(1, SeqCst);
        held.acquire().await.unwrap().forget();
        match claim.renew(Duration::from_secs(60)).await {
            Ok(()) => (StatusCode::OK, run.to_string()),
            Err(error) => (StatusCode::CONFLICT, format!("{:?} {}", error.kind(), claim.is_lost())),
        }
    };
    let app = Router::new().route("/hook", post(handler).layer(layer(once)));
    let (one, other) = (app.clone(), app.clone());
    let first = tokio::spawn(async move { send(&one, "a").await });
    until_it_runs(&runs, 1).await;
    offset.advance(Duration::from_secs(61));
    let second = tokio::spawn(async move { send(&other, "b").await });
    until_it_runs(&runs, 2).await;

    gate.add_permits(1);
    let first = first.await.unwrap();
    assert_eq!(first.status(), StatusCode::CONFLICT);
    assert_eq!(axum::body::to_bytes(first.into_body(), 100).await.unwrap(), "Lost true");
    gate.add_permits(1);
    assert_eq!(second.await.unwrap().status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_guard_that_could_not_be_completed_is_completed_in_the_background() {
    // The claim's own completion fails, or both do.
    for failures in [1, 2, 7] {
        let offset = ClockOffset::default();
        let store = Watched::new(MemoryStore::with_capacity_and_offset(100, offset.clone()));
        store.fail(Call::Complete, Failure::Before, failures);
        let once = IdempotencyLayer::new(store).with_replay_guard(DAY).with_local_cache(0);
        let (app, runs) = counting(once.clone());

        assert_eq!(send(&app, "a").await.status(), StatusCode::OK);
        assert_eq!(once.drain(Duration::from_secs(600)).await, 0);
        offset.advance(Duration::from_secs(61));
        for ids in [&["a"][..], &["b"], &[]] {
            assert!(is_replayed(&send_ids(&app, ids).await), "{failures} {ids:?}");
        }
        assert_eq!(runs.load(SeqCst), 1);
    }
}

/// A replay that is suppressed is recorded as done under its own id, now or later.
#[tokio::test(start_paused = true)]
async fn a_suppressed_replay_is_recorded_when_the_store_is_back() {
    let store = store();
    let once = IdempotencyLayer::new(store.clone()).with_replay_guard(DAY).with_local_cache(0);
    let (app, runs) = counting(once.clone());
    assert_eq!(send(&app, "a").await.status(), StatusCode::OK);

    store.fail(Call::Complete, Failure::Before, 3);
    assert!(is_replayed(&send(&app, "b").await));
    assert_eq!(once.drain(Duration::from_secs(600)).await, 0);

    assert_eq!(store.calls(Call::Complete), 2 + 4);
    assert!(is_replayed(&send(&app, "b").await));
    assert_eq!(runs.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_guard_that_could_not_be_released_is_released_in_the_background() {
    for failures in [1, 2, 5] {
        let store = store();
        store.fail(Call::Release, Failure::Before, failures);
        let once = IdempotencyLayer::new(store).with_replay_guard(DAY).with_local_cache(0);
        let runs = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&runs);
        let handler = move || async move {
            if seen.fetch_add(1, SeqCst) == 0 { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK }
        };
        let app = Router::new().route("/hook", post(handler).layer(layer(once.clone())));

        assert_eq!(send(&app, "a").await.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(once.drain(Duration::from_secs(50)).await, 0);

        assert_eq!(send(&app, "b").await.status(), StatusCode::OK);
        assert!(is_replayed(&send(&app, "a").await));
        assert_eq!(runs.load(SeqCst), 2);
    }
}

#[cfg(feature = "tracing")]
#[tokio::test]
async fn equal_bytes_that_come_without_an_id_are_told_without_a_guard() {
    let (logs, _guard) = crate::support::logs::Logs::capture();
    for choice in [MissingId::BodyDigest, MissingId::Skip] {
        let (app, _) = counting(IdempotencyLayer::new(MemoryStore::new()).with_missing_id(choice));
        assert_eq!(send(&app, "a").await.status(), StatusCode::OK);
        let before = logs.ours().iter().filter(|line| line.contains("it may be a replay")).count();

        assert_eq!(send_ids(&app, &[]).await.status(), StatusCode::OK);

        let after = logs.ours().iter().filter(|line| line.contains("it may be a replay")).count();
        assert_eq!(after, before + 1, "{choice:?}");
    }
}

// What is left to do when the answer has gone

/// Bytes that count when they are dropped.
struct Tracked(&'static [u8], Arc<AtomicU32>);

impl AsRef<[u8]> for Tracked {
    fn as_ref(&self) -> &[u8] {
        self.0
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.1.fetch_sub(1, SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_waits_for_the_store_keeps_no_body() {
    for guard in [false, true] {
        let store = store();
        store.fail(Call::Complete, Failure::Before, u32::MAX);
        let mut once = IdempotencyLayer::new(store.clone()).with_stored_responses(100);
        if guard {
            once = once.with_replay_guard(DAY);
        }
        let app = Router::new().route("/hook", post(|| async { "done" }).layer(layer(once.clone())));
        let bodies = Arc::new(AtomicU32::new(0));

        for id in 0..20 {
            bodies.fetch_add(1, SeqCst);
            let request = Request::post("/hook")
                .header("x-github-delivery", id)
                .header("x-hub-signature-256", SIGNATURE)
                .body(Body::from(Bytes::from_owner(Tracked(BODY.as_bytes(), Arc::clone(&bodies)))))
                .unwrap();
            let status = app.clone().oneshot(request).await.unwrap().status().as_u16();
            // Equal bytes are in flight until the record is there.
            assert_eq!(status, if guard && id > 0 { 503 } else { 200 }, "{id}");
        }

        assert!(once.drain(Duration::ZERO).await > 0, "records wait");
        assert_eq!(bodies.load(SeqCst), 0, "and their bodies do not");
        store.heal();
        assert_eq!(once.drain(Duration::from_secs(60)).await, 0);
        assert!(is_replayed(&send(&app, "0").await));
    }
}

/// While the store is unreachable, the records that wait for it are bounded in number, and their responses in bytes.
#[tokio::test(start_paused = true)]
async fn records_that_wait_for_the_store_are_bounded_in_number_and_in_bytes() {
    const LARGE: usize = 4 * 1024 * 1024;
    let store = store();
    store.fail(Call::Complete, Failure::Before, u32::MAX);
    let once = IdempotencyLayer::new(store.clone()).with_stored_responses(LARGE).with_local_cache(0);
    let handler = |delivery: Delivery| async move {
        if delivery.id().unwrap().as_str().starts_with("large") { vec![b'.'; LARGE] } else { Vec::new() }
    };
    let app = Router::new().route("/hook", post(handler).layer(layer(once.clone())));

    for id in 0..6 {
        assert_eq!(send(&app, &format!("large {id}")).await.status(), StatusCode::OK);
    }
    for id in 0..10_100 {
        assert_eq!(send(&app, &id.to_string()).await.status(), StatusCode::OK);
    }
    assert_eq!(once.drain(Duration::ZERO).await, 10_000);

    store.heal();
    assert_eq!(once.drain(Duration::from_secs(600)).await, 0);
    for (id, is_kept) in [(0, true), (3, true), (4, false), (5, false)] {
        let copy = send(&app, &format!("large {id}")).await;
        assert!(is_replayed(&copy));
        let length = axum::body::to_bytes(copy.into_body(), LARGE).await.unwrap().len();
        assert_eq!(length == LARGE, is_kept, "{id}");
    }
    // A delivery whose record had no room runs again after its lease.
    assert!(is_replayed(&send(&app, "9000").await));
    assert_eq!(send(&app, "10099").await.status(), StatusCode::SERVICE_UNAVAILABLE);
}

// Who handles

#[cfg(feature = "tracing")]
#[tokio::test(start_paused = true)]
async fn another_program_that_claims_for_the_same_consumer_is_told_once_an_hour() {
    let (logs, _guard) = crate::support::logs::Logs::capture();
    let told = || logs.ours().iter().filter(|line| line.contains("another program claims")).count();
    let app = |application: Option<&'static str>| {
        let store = Known { inner: MemoryStore::new(), application };
        let once = IdempotencyLayer::new(store).with_local_cache(0);
        Router::new().route("/hook", post(|| async {}).layer(layer(once)))
    };

    let unnamed = app(None);
    // Seconds before a delivery, and the number of warnings after it.
    for (id, (seconds, count)) in [(0, 0), (59, 0), (1, 1), (3_599, 1), (1, 2)].into_iter().enumerate() {
        tokio::time::advance(Duration::from_secs(seconds)).await;
        assert_eq!(send(&unnamed, &id.to_string()).await.status(), StatusCode::OK);
        assert_eq!(told(), count, "{id}");
    }
    let text = logs.text();
    for part in ["consumer=\"/hook\"", "program=\"once\"", "other=\"crm\"", "application_name"] {
        assert!(text.contains(part), "{part} in {text}");
    }

    let named = app(Some("billing"));
    for id in ["a", "b"] {
        assert_eq!(send(&named, id).await.status(), StatusCode::OK);
        tokio::time::advance(Duration::from_secs(61)).await;
    }
    assert_eq!(told(), 2);
}

/// A store in which another program was before.
#[cfg(feature = "tracing")]
struct Known {
    inner: MemoryStore,
    application: Option<&'static str>,
}

#[cfg(feature = "tracing")]
impl IdempotencyStore for Known {
    fn application(&self) -> Option<&str> {
        self.application
    }

    fn introduce<'a>(&'a self, key: ClaimKey, _: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        assert_eq!(key, ClaimKey::new("/hook", "github", None, b"p"));
        Box::pin(async { Ok(Some("crm".to_owned())) })
    }

    fn claim(&self, claim: ClaimRequest) -> BoxFuture<'_, Result<ClaimOutcome, StoreError>> {
        self.inner.claim(claim)
    }

    fn complete(
        &self,
        key: ClaimKey,
        token: ClaimToken,
        completion: Completion,
    ) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.inner.complete(key, token, completion)
    }

    fn release(&self, key: ClaimKey, token: ClaimToken) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.inner.release(key, token)
    }

    fn renew(&self, key: ClaimKey, token: ClaimToken, lease: Duration) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.inner.renew(key, token, lease)
    }

    fn is_done(&self, key: ClaimKey, token: ClaimToken) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.inner.is_done(key, token)
    }

    fn purge(&self, limit: u32) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.inner.purge(limit)
    }
}

// Marks

#[cfg(feature = "sqlite")]
mod in_a_transaction {
    use axum::response::IntoResponse;
    use sqlx::SqlitePool;
    use tower_webhooks::store::SqliteStore;

    use super::*;

    /// A store and a pool on one file.
    async fn database() -> (tempfile::TempDir, Watched<SqliteStore>, SqlitePool) {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/app.db", folder.path().display());
        let store = SqliteStore::connect(&url).await.unwrap();
        let pool = SqlitePool::connect(&url).await.unwrap();
        sqlx::query("CREATE TABLE effects (number INTEGER)").execute(&pool).await.unwrap();
        (folder, Watched::new(store), pool)
    }

    async fn effects(pool: &SqlitePool) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM effects").fetch_one(pool).await.unwrap()
    }

    /// The mark was refused, the effect was rolled back, and the handler does not care.
    #[tokio::test]
    async fn a_handler_that_ignores_a_failed_commit_is_not_acknowledged() {
        let (_folder, store, pool) = database().await;
        store.fail(Call::CompleteIn, Failure::Before, 1);
        let database = pool.clone();
        let handler = move |claim: Claim| async move {
            let mut tx = database.begin_with("BEGIN IMMEDIATE").await.unwrap();
            sqlx::query("INSERT INTO effects VALUES (1)").execute(&mut *tx).await.unwrap();
            let _ = claim.commit(tx).await;
        };
        let app = Router::new().route("/hook", post(handler).layer(layer(store)));

        assert_eq!(send(&app, "a").await.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(effects(&pool).await, 0);
        assert_eq!(send(&app, "a").await.status(), StatusCode::OK);
        assert_eq!(effects(&pool).await, 1);
    }

    #[tokio::test]
    async fn a_mark_that_cannot_be_checked_is_a_503_and_does_not_wait_for_the_lease() {
        let (_folder, store, pool) = database().await;
        store.fail(Call::IsDone, Failure::Before, 1);
        let runs = Arc::new(AtomicU32::new(0));
        let (database, seen) = (pool.clone(), Arc::clone(&runs));
        let handler = move |claim: Claim| async move {
            let mut tx = database.begin_with("BEGIN IMMEDIATE").await.unwrap();
            sqlx::query("INSERT INTO effects VALUES (1)").execute(&mut *tx).await.unwrap();
            claim.complete_in(&mut tx).await.unwrap();
            if seen.fetch_add(1, SeqCst) > 0 {
                tx.commit().await.unwrap();
            }
        };
        let once = IdempotencyLayer::new(store);
        let app = Router::new().route("/hook", post(handler).layer(layer(once.clone())));

        assert_eq!(send(&app, "a").await.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(once.drain(Duration::from_secs(50)).await, 0);
        assert_eq!(send(&app, "a").await.status(), StatusCode::OK);
        assert_eq!(effects(&pool).await, 1);
    }

    /// The effect is there, so equal bytes are a replay, whatever the handler answered.
    #[tokio::test]
    async fn the_guard_knows_a_body_whose_handler_failed_after_its_commit() {
        for bare in [false, true] {
            let (_folder, store, pool) = database().await;
            let database = pool.clone();
            let handler = move |claim: Claim| async move {
                let mut tx = database.begin_with("BEGIN IMMEDIATE").await.unwrap();
                sqlx::query("INSERT INTO effects VALUES (1)").execute(&mut *tx).await.unwrap();
                if bare {
                    claim.complete_in(&mut tx).await.unwrap();
                    tx.commit().await.unwrap();
                } else {
                    claim.commit(tx).await.unwrap();
                }
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            };
            let once = IdempotencyLayer::new(store).with_replay_guard(Duration::from_secs(600));
            let app = Router::new().route("/hook", post(handler).layer(layer(once)));

            assert_eq!(send(&app, "a").await.status(), StatusCode::INTERNAL_SERVER_ERROR);
            assert_eq!(send(&app, "a").await.headers()["idempotent-replayed"], "true");
            assert_eq!(send(&app, "b").await.headers()["idempotent-replayed"], "true");
            assert_eq!(effects(&pool).await, 1);
        }
    }

    /// How a handler lets go of a mark that it has begun.
    #[derive(Debug, Clone, Copy)]
    enum LetsGo {
        Commit,
        CommitThatWasNeverPolled,
        CompleteIn,
    }

    /// The transaction goes with the future, so that nothing is committed, whatever the handler answers.
    #[tokio::test]
    async fn a_handler_that_lets_go_of_its_commit_is_not_acknowledged() {
        for way in [LetsGo::Commit, LetsGo::CommitThatWasNeverPolled, LetsGo::CompleteIn] {
            let (_folder, store, pool) = database().await;
            let runs = Arc::new(AtomicU32::new(0));
            let (database, seen) = (pool.clone(), Arc::clone(&runs));
            let handler = move |claim: Claim| async move {
                if seen.fetch_add(1, SeqCst) > 0 {
                    let mut tx = database.begin_with("BEGIN IMMEDIATE").await.unwrap();
                    sqlx::query("INSERT INTO effects VALUES (1)").execute(&mut *tx).await.unwrap();
                    return claim.commit(tx).await.unwrap();
                }
                // Another connection writes in the meantime.
                let other = database.begin_with("BEGIN IMMEDIATE").await.unwrap();
                let mut tx = database.begin().await.unwrap();
                let moment = Duration::from_millis(50);
                match way {
                    LetsGo::Commit => assert!(tokio::time::timeout(moment, claim.commit(tx)).await.is_err()),
                    LetsGo::CommitThatWasNeverPolled => drop(claim.commit(tx)),
                    LetsGo::CompleteIn => {
                        assert!(tokio::time::timeout(moment, claim.complete_in(&mut tx)).await.is_err());
                    }
                }
                other.rollback().await.unwrap();
            };
            let once = IdempotencyLayer::new(store).with_replay_guard(DAY).with_local_cache(0);
            let app = Router::new().route("/hook", post(handler).layer(layer(once)));

            assert_eq!(send(&app, "a").await.status(), StatusCode::INTERNAL_SERVER_ERROR, "{way:?}");
            assert_eq!(effects(&pool).await, 0, "{way:?}");
            assert_eq!(send(&app, "a").await.status(), StatusCode::OK, "{way:?}");
            assert!(is_replayed(&send(&app, "b").await), "{way:?}");
            assert_eq!((effects(&pool).await, runs.load(SeqCst)), (1, 2), "{way:?}");
        }
    }

    /// A transaction of another database changes nothing, and then the claim is the middleware's again.
    #[tokio::test]
    async fn a_mark_in_a_foreign_transaction_leaves_the_claim_as_it_was() {
        let (_folder, _, pool) = database().await;
        let database = pool.clone();
        let handler = move |claim: Claim| async move {
            let tx = database.begin().await.unwrap();
            assert!(claim.commit(tx).await.is_err());
        };
        let app = Router::new().route("/hook", post(handler).layer(layer(MemoryStore::new())));

        assert_eq!(send(&app, "a").await.status(), StatusCode::OK);
        assert!(is_replayed(&send(&app, "a").await));
    }

    /// The guard is part of the commit, because the process may die right after it.
    #[tokio::test]
    async fn the_guard_is_committed_with_the_claim() {
        let (_folder, store, pool) = database().await;
        let database = pool.clone();
        let handler = move |claim: Claim| async move {
            let mut tx = database.begin_with("BEGIN IMMEDIATE").await.unwrap();
            sqlx::query("INSERT INTO effects VALUES (1)").execute(&mut *tx).await.unwrap();
            claim.commit(tx).await.unwrap();
        };
        let once = IdempotencyLayer::new(store.clone()).with_replay_guard(DAY).with_local_cache(0);
        let app = Router::new().route("/hook", post(handler).layer(layer(once)));

        assert_eq!(send(&app, "a").await.status(), StatusCode::OK);

        // Two claims and two marks: nothing is left to be done after the commit.
        assert_eq!((store.calls(Call::Claim), store.calls(Call::CompleteIn)), (2, 2));
        assert_eq!((store.calls(Call::Complete), store.calls(Call::IsDone)), (0, 0));
        assert!(is_replayed(&send(&app, "b").await));
        assert_eq!(effects(&pool).await, 1);
    }

    /// It is not known yet whether the delivery is done when the answer is sent; the guard follows the later result.
    #[tokio::test]
    async fn the_guard_of_a_mark_that_cannot_be_checked_is_decided_when_the_store_is_back() {
        for is_committed in [false, true] {
            let (_folder, store, pool) = database().await;
            store.fail(Call::IsDone, Failure::Before, 2);
            let database = pool.clone();
            let runs = Arc::new(AtomicU32::new(0));
            let seen = Arc::clone(&runs);
            let handler = move |claim: Claim| async move {
                let mut tx = database.begin_with("BEGIN IMMEDIATE").await.unwrap();
                sqlx::query("INSERT INTO effects VALUES (1)").execute(&mut *tx).await.unwrap();
                claim.complete_in(&mut tx).await.unwrap();
                if seen.fetch_add(1, SeqCst) > 0 || is_committed {
                    tx.commit().await.unwrap();
                }
            };
            let once = IdempotencyLayer::new(store).with_replay_guard(DAY).with_local_cache(0);
            let app = Router::new().route("/hook", post(handler).layer(layer(once.clone())));

            assert_eq!(send(&app, "a").await.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(once.drain(Duration::from_secs(50)).await, 0);

            let other = send(&app, "b").await;
            assert_eq!((other.status(), is_replayed(&other)), (StatusCode::OK, is_committed));
            assert_eq!((effects(&pool).await, runs.load(SeqCst)), (1, if is_committed { 1 } else { 2 }));
        }
    }
}
