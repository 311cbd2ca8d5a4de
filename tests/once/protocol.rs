//! The protocol of idempotency, row by row, over the memory store in a real router.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    http::{Request, Response, StatusCode},
    routing::post,
};
use tokio::{sync::Semaphore, time::Instant};
use tower::ServiceExt;
use tower_webhooks::{
    Claim, Discard, Provider, Retry, Scheme, Secret, WebhookLayer,
    boxed::BoxFuture,
    error::{StoreError, StoreErrorKind},
    idempotency::{
        ClaimKey, ClaimOutcome, ClaimRequest, ClaimToken, Completion, Fenced, IdempotencyLayer, IdempotencyStore,
        InFlight, MissingId,
    },
    scheme::Answer,
    store::MemoryStore,
};

const SECRET: &str = "It's a Secret to Everybody";

/// The signature of GitHub's own example, over `BODY`.
const SIGNATURE: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
const BODY: &str = "Hello, World!";

fn layer(once: impl Into<IdempotencyLayer>) -> WebhookLayer<IdempotencyLayer> {
    WebhookLayer::github(Secret::new(SECRET).unwrap()).with_idempotency(once)
}

fn request(id: &str) -> Request<Body> {
    Request::post("/hook")
        .header("x-github-delivery", id)
        .header("x-hub-signature-256", SIGNATURE)
        .body(Body::from(BODY))
        .unwrap()
}

async fn text(response: Response<Body>) -> String {
    String::from_utf8(to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec()).unwrap()
}

async fn send(app: &Router, id: &str) -> Response<Body> {
    app.clone().oneshot(request(id)).await.unwrap()
}

/// A handler that answers one status after the other, and counts its runs.
fn statuses(statuses: &'static [u16]) -> (Router, Arc<AtomicU32>) {
    let runs = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&runs);
    let handler = move || {
        let run = seen.fetch_add(1, SeqCst) as usize;
        async move { StatusCode::from_u16(statuses[run.min(statuses.len() - 1)]).unwrap() }
    };
    (Router::new().route("/hook", post(handler).layer(layer(MemoryStore::new()))), runs)
}

#[tokio::test]
async fn second_delivery_does_not_run_the_handler() {
    let (app, runs) = statuses(&[201]);

    let first = send(&app, "a").await;
    let second = send(&app, "a").await;

    assert_eq!(first.status(), StatusCode::CREATED);
    assert_eq!(second.status(), StatusCode::OK);
    assert_eq!(second.headers()["idempotent-replayed"], "true");
    assert_eq!(text(second).await, r#"{"status":"already_processed"}"#);
    assert_eq!(runs.load(SeqCst), 1);
}

#[tokio::test]
async fn without_the_local_cache_the_store_says_the_same() {
    let runs = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&runs);
    let once = IdempotencyLayer::new(MemoryStore::new()).with_local_cache(0);
    let handler = move || async move {
        seen.fetch_add(1, SeqCst);
    };
    let app = Router::new().route("/hook", post(handler).layer(layer(once)));

    for _ in 0..3 {
        assert_eq!(send(&app, "a").await.status(), StatusCode::OK);
    }

    assert_eq!(runs.load(SeqCst), 1);
}

#[tokio::test]
async fn a_failure_of_any_kind_lets_the_next_one_run_at_once() {
    let (app, runs) = statuses(&[500, 404, 302, 200]);

    for expected in [500, 404, 302, 200, 200] {
        assert_eq!(send(&app, "a").await.status().as_u16(), expected);
    }

    assert_eq!(runs.load(SeqCst), 4);
}

#[tokio::test]
async fn a_copy_in_flight_is_never_a_success() {
    let gate = Arc::new(Semaphore::new(0));
    for (in_flight, status) in
        [(InFlight::Retry, 503), (InFlight::Conflict, 409), (InFlight::Wait(Duration::from_millis(60)), 503)]
    {
        let held = Arc::clone(&gate);
        let handler = move || async move { held.acquire().await.unwrap().forget() };
        let once = IdempotencyLayer::new(MemoryStore::new()).with_in_flight(in_flight);
        let app = Router::new().route("/hook", post(handler).layer(layer(once)));

        let first = tokio::spawn(app.clone().oneshot(request("a")));
        while Arc::strong_count(&gate) < 3 {
            tokio::task::yield_now().await;
        }
        let copy = send(&app, "a").await;
        assert_eq!(copy.status().as_u16(), status);
        assert!(copy.headers().contains_key("retry-after"));
        assert_eq!(text(copy).await, r#"{"error":"in_flight"}"#);

        gate.add_permits(1);
        assert_eq!(first.await.unwrap().unwrap().status(), StatusCode::OK);
        assert_eq!(send(&app, "a").await.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn a_copy_may_wait_for_the_first_by_choice() {
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let handler = move || async move { held.acquire().await.unwrap().forget() };
    let once = IdempotencyLayer::new(MemoryStore::new()).with_in_flight(InFlight::Wait(Duration::from_secs(30)));
    let app = Router::new().route("/hook", post(handler).layer(layer(once)));

    let first = tokio::spawn(app.clone().oneshot(request("a")));
    tokio::task::yield_now().await;
    let copy = tokio::spawn(app.clone().oneshot(request("a")));
    tokio::task::yield_now().await;
    gate.add_permits(1);

    assert_eq!(first.await.unwrap().unwrap().status(), StatusCode::OK);
    let copy = copy.await.unwrap().unwrap();
    assert_eq!(copy.headers()["idempotent-replayed"], "true");
}

#[tokio::test]
async fn a_hundred_copies_run_once() {
    let (app, runs) = statuses(&[200]);
    let copies: Vec<_> = (0..100).map(|_| tokio::spawn(app.clone().oneshot(request("a")))).collect();

    for copy in copies {
        let status = copy.await.unwrap().unwrap().status().as_u16();
        assert!([200, 503].contains(&status), "{status}");
    }

    assert_eq!(runs.load(SeqCst), 1);
}

#[tokio::test]
async fn the_handler_goes_on_when_the_client_has_gone() {
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let runs = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&runs);
    let handler = move || async move {
        held.acquire().await.unwrap().forget();
        seen.fetch_add(1, SeqCst);
    };
    let once = IdempotencyLayer::new(MemoryStore::new());
    let app = Router::new().route("/hook", post(handler).layer(layer(once.clone())));

    let client = tokio::spawn(app.clone().oneshot(request("a")));
    tokio::task::yield_now().await;
    client.abort();
    assert!(client.await.is_err());
    assert_eq!(once.drain(Duration::from_millis(10)).await, 1);
    gate.add_permits(1);
    assert_eq!(once.drain(Duration::from_secs(30)).await, 0);

    assert_eq!(runs.load(SeqCst), 1);
    assert_eq!(send(&app, "a").await.headers()["idempotent-replayed"], "true");
}

#[tokio::test]
async fn a_panic_is_a_500_and_the_next_one_runs() {
    let runs = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&runs);
    let handler = move || async move {
        assert!(seen.fetch_add(1, SeqCst) > 0, "a panic on purpose");
    };
    let app = Router::new().route("/hook", post(handler).layer(layer(MemoryStore::new())));

    assert_eq!(send(&app, "a").await.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(send(&app, "a").await.status(), StatusCode::OK);
    assert_eq!(runs.load(SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_handler_is_stopped_at_its_timeout_and_the_next_one_runs() {
    let runs = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&runs);
    let handler = move || async move {
        if seen.fetch_add(1, SeqCst) == 0 {
            pending::<()>().await;
        }
    };
    let app = Router::new().route("/hook", post(handler).layer(layer(MemoryStore::new())));
    let begin = Instant::now();

    let first = send(&app, "a").await;

    assert_eq!(first.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(first.headers().contains_key("retry-after"));
    assert_eq!(begin.elapsed().as_secs(), 30);
    assert_eq!(send(&app, "a").await.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn renewing_lets_a_handler_run_longer() {
    let handler = |claim: Claim| async move {
        for _ in 0..4 {
            tokio::time::sleep(Duration::from_secs(25)).await;
            claim.renew(Duration::from_secs(30)).await.unwrap();
        }
        assert!(!claim.is_lost());
        format!("{} {}", claim.attempt(), claim.idempotency_key().len())
    };
    let app = Router::new().route("/hook", post(handler).layer(layer(MemoryStore::new())));
    let begin = Instant::now();

    let response = send(&app, "a").await;

    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(begin.elapsed().as_secs(), 100);
    assert_eq!(text(response).await, "1 32");
}

#[tokio::test]
async fn discard_is_done_and_retry_is_not() {
    let runs = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&runs);
    let handler = move || async move {
        match seen.fetch_add(1, SeqCst) {
            0 => Err(Ok(Retry::after(Duration::from_millis(1500)))),
            _ => Err::<(), Result<Retry, Discard>>(Err(Discard::new("no such order"))),
        }
    };
    let handler = move || async move {
        match handler().await {
            Err(Ok(retry)) => axum::response::IntoResponse::into_response(retry),
            Err(Err(discard)) => axum::response::IntoResponse::into_response(discard),
            Ok(()) => unreachable!(),
        }
    };
    let app = Router::new().route("/hook", post(handler.clone()).layer(layer(MemoryStore::new())));

    let retried = send(&app, "a").await;
    assert_eq!(retried.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(retried.headers()["retry-after"], "2");
    let discarded = send(&app, "a").await;
    assert_eq!(discarded.status(), StatusCode::OK);
    assert_eq!(text(discarded).await, r#"{"status":"discarded"}"#);
    assert_eq!(send(&app, "a").await.headers()["idempotent-replayed"], "true");
    assert_eq!(runs.load(SeqCst), 2);
}

#[tokio::test]
async fn a_retry_at_once_is_asked_for_after_a_second() {
    let handler = || async { Err::<(), _>(Retry::after(Duration::ZERO)) };
    let app = Router::new().route("/hook", post(handler).layer(layer(MemoryStore::new())));

    // Some clients take 0 for "never".
    assert_eq!(send(&app, "a").await.headers()["retry-after"], "1");
}

#[tokio::test]
async fn a_stored_response_is_what_copies_get() {
    for cache in [0, 10] {
        let once = IdempotencyLayer::new(MemoryStore::new()).with_stored_responses(100).with_local_cache(cache);
        let handler = || async { (StatusCode::ACCEPTED, [("content-type", "text/x"), ("x-other", "1")], "the answer") };
        let app = Router::new().route("/hook", post(handler).layer(layer(once)));

        assert_eq!(text(send(&app, "a").await).await, "the answer");
        let copy = send(&app, "a").await;

        assert_eq!(copy.status(), StatusCode::ACCEPTED);
        assert_eq!(copy.headers()["content-type"], "text/x");
        assert_eq!(copy.headers()["idempotent-replayed"], "true");
        assert_eq!(text(copy).await, "the answer");
    }
}

#[tokio::test]
async fn a_missing_id_is_the_body_or_is_refused_or_runs_each_time() {
    for (choice, statuses, runs_expected) in
        [(MissingId::BodyDigest, [200, 200], 1), (MissingId::Reject, [400, 400], 0), (MissingId::Skip, [200, 200], 2)]
    {
        let runs = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&runs);
        let once = IdempotencyLayer::new(MemoryStore::new()).with_missing_id(choice);
        let handler = move || async move {
            seen.fetch_add(1, SeqCst);
        };
        let app = Router::new().route("/hook", post(handler).layer(layer(once)));

        for status in statuses {
            let mut request = request("");
            request.headers_mut().remove("x-github-delivery");
            assert_eq!(app.clone().oneshot(request).await.unwrap().status().as_u16(), status, "{choice:?}");
        }
        assert_eq!(runs.load(SeqCst), runs_expected, "{choice:?}");
    }
}

/// A sender's own deliveries, each time with the same bytes.
fn without_id(provider: Provider) -> Request<Body> {
    use hmac::{KeyInit, Mac};

    let (header, prefix, body) = match provider.name() {
        "dropbox" => (
            "x-dropbox-signature",
            "",
            r#"{"list_folder": {"accounts": ["dbid:AAH4f99T0taONIb-OurWxbNQ6ywGRopQngc"]}, "delta": {"users": [12345678]}}"#,
        ),
        "meta" => (
            "x-hub-signature-256",
            "sha256=",
            r#"{"object":"user","entry":[{"id":"1021","uid":"1021","time":1520383571,"changes":[{"field":"photos"}]}]}"#,
        ),
        "slack" => ("x-slack-signature", "v0=", "command=%2Fweather&text=94070&trigger_id=13345224609.738474920"),
        "zoom" => (
            "x-zm-signature",
            "v0=",
            r#"{"event":"meeting.started","event_ts":1626230691572,"payload":{"account_id":"AAA","object":{"id":"1"}}}"#,
        ),
        _ => ("x-hub-signature-256", "sha256=", BODY),
    };
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    let mut request = Request::post("/hook");
    if prefix == "v0=" {
        mac.update(format!("v0:{NOW}:").as_bytes());
        request = request.header(header.replace("signature", "request-timestamp"), NOW);
    }
    mac.update(body.as_bytes());
    let signature = format!("{prefix}{}", data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes()));
    request.header(header, signature).body(Body::from(body)).unwrap()
}

const NOW: u64 = 1_753_900_000;

/// Where equal bodies can be different events, or nobody can know, none is lost: the body is no id.
#[tokio::test]
async fn a_sender_without_ids_loses_no_event_whose_bytes_repeat() {
    for (provider, expected) in
        [(Provider::DROPBOX, 3), (Provider::META, 3), (Provider::SLACK, 3), (Provider::GITHUB, 3), (Provider::ZOOM, 1)]
    {
        for (said, expected) in [
            (None, expected),
            (Some(MissingId::Skip), 3),
            (Some(MissingId::BodyDigest), 1),
            (Some(MissingId::Reject), 0),
        ] {
            let runs = Arc::new(AtomicU32::new(0));
            let seen = Arc::clone(&runs);
            let handler = move || async move {
                seen.fetch_add(1, SeqCst);
            };
            let mut once = IdempotencyLayer::new(MemoryStore::new());
            if let Some(choice) = said {
                once = once.with_missing_id(choice);
            }
            let hook = WebhookLayer::new(provider, Secret::new(SECRET).unwrap())
                .with_verify_token_if(provider)
                .with_clock(tower_webhooks::clock::ManualClock::at_unix_seconds(NOW))
                .with_idempotency(once);
            let app = Router::new().route("/hook", post(handler).layer(hook));

            for _ in 0..3 {
                let status = app.clone().oneshot(without_id(provider)).await.unwrap().status().as_u16();
                assert_eq!(status, if said == Some(MissingId::Reject) { 400 } else { 200 }, "{provider} {said:?}");
            }
            assert_eq!(runs.load(SeqCst), expected, "{provider} {said:?}");
        }
    }
}

/// What Meta cannot do without.
trait WithVerifyToken {
    fn with_verify_token_if(self, provider: Provider) -> Self;
}

impl WithVerifyToken for WebhookLayer {
    fn with_verify_token_if(self, provider: Provider) -> Self {
        if provider == Provider::META {
            return self.with_verify_token(Secret::new("the token that Meta was told").unwrap());
        }
        self
    }
}

/// A declaration says whether a body stands for its event, in a batch as well.
#[tokio::test]
async fn a_declared_sender_without_ids_is_known_by_its_bodies_if_it_says_so() {
    let scheme = || Scheme::insecure_token().header("x-token");
    let request =
        |body: &str| Request::post("/hook").header("x-token", SECRET).body(Body::from(body.to_owned())).unwrap();
    const ITEMS: &str = r#"{"events":[{"n":1},{"n":2},{"n":1}]}"#;
    for (scheme, body, expected) in [
        (scheme(), "{}", 2),
        (scheme().bodies_are_unique(), "{}", 1),
        (scheme().batch("/events"), ITEMS, 6),
        (scheme().batch("/events").bodies_are_unique(), ITEMS, 2),
    ] {
        let runs = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&runs);
        let handler = move || async move {
            seen.fetch_add(1, SeqCst);
        };
        let hook = WebhookLayer::new(scheme, Secret::new(SECRET).unwrap()).with_idempotency(MemoryStore::new());
        let app = Router::new().route("/hook", post(handler).layer(hook));

        for _ in 0..2 {
            assert_eq!(app.clone().oneshot(request(body)).await.unwrap().status(), StatusCode::OK);
        }
        assert_eq!(runs.load(SeqCst), expected);
    }
}

#[cfg(feature = "tracing")]
#[tokio::test]
async fn a_layer_that_will_claim_nothing_says_so_at_start() {
    let (logs, _guard) = crate::support::logs::Logs::capture();
    let told = || logs.ours().iter().filter(|line| line.contains("idempotency has no effect")).count();
    let layer = |provider| WebhookLayer::new(provider, Secret::new(SECRET).unwrap());

    let _ = layer(Provider::GITHUB).with_idempotency(MemoryStore::new());
    let _ = layer(Provider::ZOOM).with_idempotency(MemoryStore::new());
    let said = IdempotencyLayer::new(MemoryStore::new()).with_missing_id(MissingId::Skip);
    let _ = layer(Provider::DROPBOX).with_idempotency(said);
    assert_eq!(told(), 0);

    let _ = layer(Provider::DROPBOX).with_idempotency(MemoryStore::new());
    assert_eq!(told(), 1);
    assert!(logs.text().contains("provider=\"dropbox\""), "{}", logs.text());
}

#[tokio::test]
async fn equal_bytes_under_another_id_run_unless_the_guard_is_on() {
    for (guard, runs_expected) in [(None, 2), (Some(Duration::from_secs(600)), 1)] {
        let runs = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&runs);
        let mut once = IdempotencyLayer::new(MemoryStore::new());
        if let Some(window) = guard {
            once = once.with_replay_guard(window);
        }
        let handler = move || async move {
            seen.fetch_add(1, SeqCst);
        };
        let app = Router::new().route("/hook", post(handler).layer(layer(once)));

        assert_eq!(send(&app, "a").await.status(), StatusCode::OK);
        assert_eq!(send(&app, "b").await.status(), StatusCode::OK);
        assert_eq!(runs.load(SeqCst), runs_expected);
    }
}

#[tokio::test]
async fn consumers_and_tenants_are_apart() {
    let runs = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&runs);
    let handler = move || async move {
        seen.fetch_add(1, SeqCst);
    };
    let store = Arc::new(MemoryStore::new());
    let named = |name: &str| layer(IdempotencyLayer::new(Arc::clone(&store)).with_consumer(name));
    let tenant = |name: &'static str| {
        let secrets = tower_webhooks::Secrets::new(Secret::new(SECRET).unwrap()).tenant(name);
        WebhookLayer::github(secrets).with_idempotency(IdempotencyLayer::new(Arc::clone(&store)).with_consumer("c"))
    };
    let app = Router::new()
        .route("/a", post(handler.clone()).layer(layer(Arc::clone(&store))))
        .route("/b", post(handler.clone()).layer(layer(Arc::clone(&store))))
        .route("/c", post(handler.clone()).layer(named("c")))
        .route("/d", post(handler.clone()).layer(named("c")))
        .route("/t", post(handler.clone()).layer(tenant("t")))
        .route("/u", post(handler).layer(tenant("u")));

    for path in ["/a", "/b", "/c", "/d", "/t", "/u"] {
        let mut request = request("same");
        *request.uri_mut() = path.parse().unwrap();
        assert_eq!(app.clone().oneshot(request).await.unwrap().status(), StatusCode::OK);
    }

    // `/c` and `/d` are one consumer; everybody else is one of its own.
    assert_eq!(runs.load(SeqCst), 5);
}

#[tokio::test]
async fn a_forged_id_leaves_no_trace() {
    let (app, runs) = statuses(&[200]);
    let mut forged = request("a");
    *forged.body_mut() = Body::from("Hello, World?");

    assert_eq!(app.clone().oneshot(forged).await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(send(&app, "a").await.status(), StatusCode::OK);

    assert_eq!(runs.load(SeqCst), 1);
}

#[tokio::test]
async fn the_prescribed_success_is_what_a_copy_gets() {
    let scheme = Scheme::hmac_sha256()
        .header("x-hub-signature-256")
        .prefix("sha256=")
        .hex()
        .signs("{body}")
        .bodies_are_unique()
        .success(Answer::new(StatusCode::ACCEPTED).text("Hello API Event Received"));
    let layer = WebhookLayer::new(scheme, Secret::new(SECRET).unwrap()).with_idempotency(MemoryStore::new());
    let app = Router::new().route("/hook", post(|| async { "ran" }).layer(layer));

    assert_eq!(text(send(&app, "a").await).await, "ran");
    let copy = send(&app, "a").await;

    assert_eq!(copy.status(), StatusCode::ACCEPTED);
    assert_eq!(text(copy).await, "Hello API Event Received");
}

/// A scheme whose sender says what a success looks like, and one whose sender does not.
fn body_signed() -> tower_webhooks::scheme::SchemeBuilder {
    Scheme::hmac_sha256()
        .header("x-hub-signature-256")
        .prefix("sha256=")
        .hex()
        .signs("{body}")
        .id(tower_webhooks::scheme::Field::header("x-github-delivery"))
}

/// What the crate acknowledges by itself looks as the sender wants it, for the first one and for copies of it.
#[tokio::test]
async fn a_stored_response_keeps_the_form_of_success_that_the_sender_prescribes() {
    for cache in [0, 10] {
        let once = || IdempotencyLayer::new(MemoryStore::new()).with_stored_responses(100).with_local_cache(cache);
        let prescribed = body_signed().success(Answer::new(StatusCode::ACCEPTED).text("[accepted]"));
        let prescribed = WebhookLayer::new(prescribed, Secret::new(SECRET).unwrap()).with_idempotency(once());
        let free = WebhookLayer::new(body_signed(), Secret::new(SECRET).unwrap()).with_idempotency(once());
        let discard = || async { Discard::new("no such order") };
        let app = |layer| Router::new().route("/hook", post(discard).layer(layer));

        for (app, status, expected) in
            [(app(prescribed), 202, "[accepted]"), (app(free), 200, r#"{"status":"discarded"}"#)]
        {
            for is_copy in [false, true, true] {
                let answer = send(&app, "a").await;
                assert_eq!(answer.status().as_u16(), status);
                assert_eq!(answer.headers().contains_key("idempotent-replayed"), is_copy);
                assert_eq!(text(answer).await, expected, "{is_copy}");
            }
        }
    }
}

// Who handles

async fn send_to(app: &Router, path: &str, id: &str) -> Response<Body> {
    let mut request = request(id);
    *request.uri_mut() = path.parse().unwrap();
    app.clone().oneshot(request).await.unwrap()
}

/// A service that says its name and counts its runs.
fn service(name: &'static str, once: IdempotencyLayer, runs: &Arc<AtomicU32>) -> axum::routing::MethodRouter {
    let seen = Arc::clone(runs);
    let handler = move || async move {
        seen.fetch_add(1, SeqCst);
        name
    };
    post(handler).layer(layer(once))
}

#[tokio::test]
async fn two_services_that_are_nested_are_two_consumers() {
    let runs = Arc::new(AtomicU32::new(0));
    let once = IdempotencyLayer::new(MemoryStore::new());
    let service = |name| service(name, once.clone(), &runs);
    let inner = |name| Router::new().route("/stripe", service(name)).fallback_service(service(name));
    let app = Router::new()
        .route("/direct", service("direct"))
        .nest_service("/billing", service("billing"))
        .nest_service("/crm", service("crm"))
        .nest("/shop", inner("shop"))
        .nest("/outer", Router::new().nest_service("/inner", service("inner")).nest("/deep", inner("deep")))
        .nest("/{tenant}/hook", Router::new().route("/", service("hook")));

    // Each line is one consumer, whatever its spelling.
    let consumers: [&[&str]; 8] = [
        &["/direct", "/direct?a=b"],
        &["/billing/stripe", "/billing", "/billing/", "/billing/stripe/", "/billing/STRIPE", "/billing/%73tripe"],
        &["/crm/stripe", "/crm"],
        &["/shop/stripe"],
        &["/shop/other", "/shop/another", "/shop/%6fther"],
        &["/outer/inner/stripe", "/outer/inner"],
        &["/outer/deep/stripe"],
        &["/a/hook", "/b/hook"],
    ];
    for (index, paths) in consumers.into_iter().enumerate() {
        for (number, path) in paths.iter().enumerate() {
            let answer = send_to(&app, path, "evt_1").await;
            assert_eq!(answer.status(), StatusCode::OK, "{path}");
            assert_eq!(answer.headers().contains_key("idempotent-replayed"), number > 0, "{path}");
            assert_eq!(runs.load(SeqCst) as usize, index + 1, "{path}");
        }
    }
}

/// Behind a fallback the path is the sender's to choose, and with it the consumer would be.
#[tokio::test]
async fn behind_a_fallback_the_consumer_has_to_be_named() {
    const SPELLINGS: [&str; 5] = ["/hook", "/hook/", "/hook//", "/HOOK", "/%68ook"];
    let runs = Arc::new(AtomicU32::new(0));
    let once = IdempotencyLayer::new(MemoryStore::new());
    let (logs, _guard) = crate::support::logs::Logs::capture();

    let unnamed = Router::new().fallback_service(service("fallback", once.clone(), &runs));
    for path in SPELLINGS {
        let answer = send_to(&unnamed, path, "a").await;
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR, "{path}");
        assert_eq!(text(answer).await, r#"{"error":"internal"}"#);
    }
    assert_eq!(runs.load(SeqCst), 0);
    assert!(logs.text().contains("no route matched this delivery"), "the operator hears what to call: {}", logs.text());

    let named = Router::new().fallback_service(service("fallback", once.with_consumer("hook"), &runs));
    for path in SPELLINGS {
        assert_eq!(send_to(&named, path, "a").await.status(), StatusCode::OK, "{path}");
    }
    assert_eq!(runs.load(SeqCst), 1);
}

/// Without a claim nobody has to be named.
#[tokio::test]
async fn behind_a_fallback_a_delivery_that_runs_unclaimed_runs() {
    let runs = Arc::new(AtomicU32::new(0));
    let once = IdempotencyLayer::new(MemoryStore::new()).with_missing_id(MissingId::Skip);
    let app = Router::new().fallback_service(service("fallback", once, &runs));

    for _ in 0..2 {
        let mut request = request("a");
        request.headers_mut().remove("x-github-delivery");
        assert_eq!(app.clone().oneshot(request).await.unwrap().status(), StatusCode::OK);
    }
    assert_eq!(runs.load(SeqCst), 2);
}

#[tokio::test]
async fn in_the_wrong_order_it_is_a_500() {
    let app = Router::new()
        .route("/hook", post(|| async {}).layer(WebhookLayer::github(Secret::new(SECRET).unwrap())))
        .route(
            "/alone",
            post(|_: Claim| async {}).layer(WebhookLayer::new(Provider::GITHUB, Secret::new(SECRET).unwrap())),
        );
    let outside: tower_webhooks::idempotency::Idempotency<_> = tower::Layer::layer(
        &IdempotencyLayer::new(MemoryStore::new()),
        app.clone().map_request(|request: Request<_>| request.map(|body: http_body_util::Full<Bytes>| Body::new(body))),
    );

    let request_full = request("a").map(|_| http_body_util::Full::new(Bytes::from(BODY)));
    assert_eq!(outside.oneshot(request_full).await.unwrap().status(), StatusCode::INTERNAL_SERVER_ERROR);

    let mut without_claim = request("a");
    *without_claim.uri_mut() = "/alone".parse().unwrap();
    assert_eq!(app.oneshot(without_claim).await.unwrap().status(), StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
#[should_panic(expected = "does not exceed the handler's timeout")]
async fn a_lease_that_is_too_short_is_refused_at_start() {
    let once = IdempotencyLayer::new(MemoryStore::new()).with_lease(Duration::from_secs(31));
    let _: Router = Router::new().route("/hook", post(|| async {}).layer(layer(once)));
}

/// A memory store that fails where it is told to.
struct Failing {
    inner: MemoryStore,
    claim: AtomicU32,
    complete: AtomicU32,
}

impl Failing {
    fn fails(count: &AtomicU32) -> bool {
        count.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok()
    }

    fn error<T: Send + 'static>() -> BoxFuture<'static, Result<T, StoreError>> {
        Box::pin(async { Err(StoreError::new(StoreErrorKind::Unavailable, "fail on purpose")) })
    }
}

impl IdempotencyStore for Failing {
    fn claim(&self, claim: ClaimRequest) -> BoxFuture<'_, Result<ClaimOutcome, StoreError>> {
        if Self::fails(&self.claim) { Self::error() } else { self.inner.claim(claim) }
    }

    fn complete(
        &self,
        key: ClaimKey,
        token: ClaimToken,
        completion: Completion,
    ) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        if Self::fails(&self.complete) { Self::error() } else { self.inner.complete(key, token, completion) }
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

#[tokio::test]
async fn a_store_that_is_down_at_the_claim_is_a_503_and_no_run() {
    for (dangerous, status, runs_expected) in [(false, 503, 0), (true, 200, 1)] {
        let runs = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&runs);
        let store = Failing { inner: MemoryStore::new(), claim: 1.into(), complete: 0.into() };
        let mut once = IdempotencyLayer::new(store);
        if dangerous {
            once = once.with_dangerously_unclaimed_runs();
        }
        let handler = move || async move {
            seen.fetch_add(1, SeqCst);
        };
        let app = Router::new().route("/hook", post(handler).layer(layer(once)));

        let response = send(&app, "a").await;
        assert_eq!(response.status().as_u16(), status);
        assert_eq!(runs.load(SeqCst), runs_expected);
        assert_eq!(send(&app, "a").await.status(), StatusCode::OK);
        assert_eq!(runs.load(SeqCst), runs_expected + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_at_the_end_gets_its_record_later() {
    let store = Failing { inner: MemoryStore::new(), claim: 0.into(), complete: 3.into() };
    let once = IdempotencyLayer::new(store).with_local_cache(0);
    let app = Router::new().route("/hook", post(|| async { "done" }).layer(layer(once.clone())));

    let first = send(&app, "a").await;
    assert_eq!(text(first).await, "done");
    assert_eq!(send(&app, "a").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(once.drain(Duration::from_secs(60)).await, 0);

    assert_eq!(send(&app, "a").await.headers()["idempotent-replayed"], "true");
}
