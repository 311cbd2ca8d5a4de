//! What a handler, a store or the clock can do to a claim that its row of the table does not foresee.
#![allow(clippy::unwrap_used)] // The helpers panic as the tests do.

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
use tokio::time::{Instant, sleep};
use tower::ServiceExt;
use tower_webhooks::{
    BoxFuture, Claim, Secret, WebhookLayer,
    clock::ClockOffset,
    error::StoreError,
    idempotency::{
        ClaimKey, ClaimOutcome, ClaimRequest, ClaimToken, Completion, Fenced, Fingerprint, IdempotencyLayer,
        IdempotencyStore,
    },
    store::MemoryStore,
};

use crate::support::watched::{Call, Failure, Watched};

#[allow(dead_code)] // Each test binary takes what it needs.
mod support {
    pub(crate) mod watched;
}

const SECRET: &str = "It's a Secret to Everybody";
const SIGNATURE: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
const BODY: &str = "Hello, World!";

fn layer(once: impl Into<IdempotencyLayer>) -> WebhookLayer<IdempotencyLayer> {
    WebhookLayer::github(Secret::new(SECRET).unwrap()).with_idempotency(once)
}

async fn send(app: &Router, id: &str) -> Response<Body> {
    let request = Request::post("/hook")
        .header("x-github-delivery", id)
        .header("x-hub-signature-256", SIGNATURE)
        .body(Body::from(BODY))
        .unwrap();
    app.clone().oneshot(request).await.unwrap()
}

fn store() -> Watched<MemoryStore> {
    Watched::new(MemoryStore::new())
}

// Renewing

/// A lease that ends before the handler may lets a second run begin beside it.
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

/// Tells for how long claims were renewed.
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
        .retention(Duration::MAX);
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

// Marks and guards

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
}
