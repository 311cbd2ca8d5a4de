//! Compares a handler with idempotency with the same handler without it, and with the same work written by hand.
//!
//! ```text
//! cargo bench --all-features --bench idempotency             prints the table of docs/performance.md
//! cargo bench --all-features --bench idempotency -- --quick  one round: does it still run?
//! ```
//!
//! The contestants run alternately in short batches. Each round gives a ratio, and the median of all rounds is printed.
#![allow(clippy::print_stdout)] // It prints a table.
#![allow(clippy::unwrap_used, clippy::unit_arg)] // A bench may panic.

use std::{
    collections::HashMap,
    hint::black_box,
    sync::Mutex,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, Request, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;
use sqlx::{
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use table::{Ratio, Table, now, rounds_of};
use tokio::runtime::Runtime;
use tower::ServiceExt;
use tower_webhooks::{
    Claim, Secret, VerifiedBody, VerifiedEvent, WebhookLayer,
    clock::ManualClock,
    idempotency::{ClaimKey, ClaimRequest, ClaimToken, Completion, Fingerprint, IdempotencyLayer, IdempotencyStore},
    store::{MemoryStore, SqliteStore},
};
use watched::Watched;

#[path = "support/table.rs"]
mod table;
#[path = "../tests/support/watched.rs"]
#[allow(dead_code)]
mod watched;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NOW: u64 = 1_753_900_000;
const KIB: usize = 1024;
const LEASE: Duration = Duration::from_secs(60);

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let rounds = |full: usize| if quick { 1 } else { full };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();

    let mut table = Table::new("idempotency: medians of the rounds, quartiles in brackets", quick);
    let known = "duplicate known here / verify only, 1 KiB, id in a header";
    table.row(known, duplicates(&runtime, rounds(600)), Some(1.15));
    let request = "whole request, memory, type in the body / by hand, 1 KiB";
    table.row(request, whole(&runtime, rounds(400)), Some(1.45));
    let map = "claim + complete in memory / a bare `Mutex<HashMap<u128, _>>`";
    table.row(map, memory(&runtime, rounds(60)), Some(3.0));
    let transactions = "SQLite, 64 in flight, NORMAL / two transactions each";
    table.row(transactions, sqlite(&runtime, rounds(15)), Some(0.2));
    table.print();
    runtime.block_on(calls());
}

// A duplicate that this process knows to be done

fn duplicates(runtime: &Runtime, rounds: usize) -> Ratio {
    async fn handler(body: VerifiedBody) {
        black_box(body);
    }
    let layer = || WebhookLayer::github(Secret::new(SECRET).unwrap());
    let verify = Router::new().route("/hook", post(handler).layer(layer())).with_state(());
    let once = layer().with_idempotency(MemoryStore::new());
    let once = Router::new().route("/hook", post(handler).layer(once)).with_state(());
    let body = Bytes::from(event(0));
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(&body);
    let signature = format!("sha256={}", data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes()));
    let requests = || -> Vec<_> {
        let request = || {
            head(&body)
                .header("x-github-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958")
                .header("x-github-event", "issues")
                .header("x-hub-signature-256", &signature)
                .body(Body::from(body.clone()))
                .unwrap()
        };
        (0..100).map(|_| request()).collect()
    };
    runtime.block_on(answer(&once, requests()));
    rounds_of(rounds, &mut [&mut || timed(runtime, &once, requests()), &mut || timed(runtime, &verify, requests())])
}

// A whole request, compared with a handler that is written by hand from the provider's documentation

fn whole(runtime: &Runtime, rounds: usize) -> Ratio {
    async fn by_hand(State(key): State<Hmac<Sha256>>, headers: HeaderMap, body: Bytes) -> Response {
        let verifies = || {
            let header = headers.get("stripe-signature")?.to_str().ok()?;
            let (time, signature) = header.strip_prefix("t=")?.split_once(",v1=")?;
            let seconds: u64 = time.parse().ok()?;
            let mut mac = key.clone();
            mac.update(time.as_bytes());
            mac.update(b".");
            mac.update(&body);
            let signature = data_encoding::HEXLOWER.decode(signature.as_bytes()).ok()?;
            (seconds.abs_diff(NOW) <= 300 && mac.verify_slice(&signature).is_ok()).then_some(())
        };
        if verifies().is_none() {
            return StatusCode::UNAUTHORIZED.into_response();
        }
        match serde_json::from_slice::<Event>(&body) {
            Ok(event) => black_box(event.kind == "invoice.paid").then_some(StatusCode::OK).into_response_or_400(),
            Err(_) => StatusCode::UNPROCESSABLE_ENTITY.into_response(),
        }
    }
    async fn on_invoice(event: VerifiedEvent<Invoice>) -> Response {
        let is_paid = event.delivery().event_type().is_some_and(|kind| *kind == "invoice.paid");
        black_box(&*event);
        black_box(is_paid).then_some(StatusCode::OK).into_response_or_400()
    }
    let key = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    let by_hand = Router::new().route("/hook", post(by_hand)).with_state(key.clone());
    let layer = WebhookLayer::stripe(Secret::new(SECRET).unwrap())
        .with_clock(ManualClock::at_unix_seconds(NOW))
        .with_idempotency(MemoryStore::new());
    let once = Router::new().route("/hook", post(on_invoice).layer(layer)).with_state(());
    let mut number = 0;
    let mut requests = || -> Vec<_> {
        let mut request = || {
            number += 1;
            let body = Bytes::from(event(number));
            let mut mac = key.clone();
            mac.update(format!("{NOW}.").as_bytes());
            mac.update(&body);
            let signature = data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes());
            head(&body).header("stripe-signature", format!("t={NOW},v1={signature}")).body(Body::from(body)).unwrap()
        };
        (0..100).map(|_| request()).collect()
    };
    let requests = std::cell::RefCell::new(&mut requests);
    let next = || (requests.borrow_mut())();
    rounds_of(rounds, &mut [&mut || timed(runtime, &once, next()), &mut || timed(runtime, &by_hand, next())])
}

/// 200, or a 400 that would end the run.
trait OrBadRequest {
    fn into_response_or_400(self) -> Response;
}

impl OrBadRequest for Option<StatusCode> {
    fn into_response_or_400(self) -> Response {
        self.unwrap_or(StatusCode::BAD_REQUEST).into_response()
    }
}

fn head(body: &Bytes) -> http::request::Builder {
    Request::post("/hook")
        .header(header::HOST, "hooks.example.com")
        .header(header::USER_AGENT, "Sender/1.0 (+https://example.com/docs/webhooks)")
        .header(header::ACCEPT, "*/*; q=0.5, application/xml")
        .header(header::CONTENT_LENGTH, body.len())
        .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
}

async fn answer(app: &Router, requests: Vec<Request<Body>>) {
    for request in requests {
        let response = app.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }
}

fn timed(runtime: &Runtime, app: &Router, requests: Vec<Request<Body>>) -> Duration {
    runtime.block_on(async {
        let start = now();
        answer(app, requests).await;
        start.elapsed()
    })
}

/// An `invoice.paid` of 1 KiB.
fn event(number: u64) -> String {
    let event = |filling: &str| {
        format!(
            r#"{{"id":"evt_{number:012}","object":"event","api_version":"2025-06-30.basil","created":1753899990,"data":{{"object":{{"id":"in_1RqX2kLkdIwHu7ix","object":"invoice","amount_due":1999,"amount_paid":1999,"attempt_count":1,"attempted":true,"created":1753899980,"currency":"usd","customer":"cus_SmAbCdEfGhIjKl","customer_email":"zoe@example.com","description":"{filling}","metadata":{{"order":"6735"}},"number":"A1B2-0042","status":"paid","total":1999}}}},"livemode":false,"type":"invoice.paid"}}"#
        )
    };
    event(&"x".repeat(KIB - event("").len()))
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct Event {
    id: String,
    created: u64,
    data: Data,
    livemode: bool,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct Data {
    object: Invoice,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct Invoice {
    id: String,
    amount_due: i64,
    amount_paid: i64,
    attempt_count: u32,
    attempted: bool,
    created: u64,
    currency: String,
    customer: String,
    customer_email: Option<String>,
    description: Option<String>,
    metadata: HashMap<String, String>,
    number: Option<String>,
    status: String,
    total: i64,
}

// Stores

/// A record in a plain map, written by hand.
#[allow(dead_code)]
struct Bare {
    is_done: bool,
    token: u128,
    attempt: u32,
    fingerprint: u64,
    until: Instant,
}

fn memory(runtime: &Runtime, rounds: usize) -> Ratio {
    const DELIVERIES: u32 = 10_000;
    let claims: Vec<_> = (0..DELIVERIES).map(claim).collect();
    let ours = || {
        let store = MemoryStore::new();
        let start = now();
        runtime.block_on(async {
            for claim in &claims {
                black_box(store.claim(*claim).await.unwrap());
                black_box(store.complete(claim.key, claim.token, Completion::new(LEASE)).await.unwrap()).must();
            }
        });
        start.elapsed()
    };
    let bare = || {
        let map = Mutex::new(HashMap::<u128, Bare>::new());
        let start = now();
        for claim in &claims {
            let (key, token) = (number(claim.key.to_bytes()), number(claim.token.to_bytes()));
            let fingerprint = u64::from_be_bytes(claim.fingerprint.to_bytes());
            let record = Bare { is_done: false, token, attempt: 1, fingerprint, until: now() + claim.lease };
            assert!(map.lock().unwrap().insert(key, record).is_none());
            let until = now() + LEASE;
            let mut map = map.lock().unwrap();
            let record = map.get_mut(&key).filter(|record| record.token == token && !record.is_done).unwrap();
            (record.is_done, record.until) = (true, until);
        }
        black_box(&map);
        start.elapsed()
    };
    rounds_of(rounds, &mut [&mut { ours }, &mut { bare }])
}

fn sqlite(runtime: &Runtime, rounds: usize) -> Ratio {
    const EACH: u32 = 8;
    let folder = tempfile::tempdir().unwrap();
    let url = |name: &str| format!("sqlite://{}?mode=rwc", folder.path().join(name).display());
    let store = runtime.block_on(SqliteStore::connect(&url("ours.db"))).unwrap();
    let bare = runtime.block_on(bare_table(&url("bare.db")));
    let next = std::cell::Cell::new(0);
    let numbers = || next.replace(next.get() + 64 * EACH);

    let mut ours = || {
        let first = numbers();
        runtime.block_on(in_flight(|task| {
            let store = store.clone();
            async move {
                for each in 0..EACH {
                    let claim = claim(first + task * EACH + each);
                    store.claim(claim).await.unwrap();
                    store.complete(claim.key, claim.token, Completion::new(LEASE)).await.unwrap().must();
                }
            }
        }))
    };
    let mut theirs = || {
        let first = numbers();
        runtime.block_on(in_flight(|task| {
            let pool = bare.clone();
            async move {
                for each in 0..EACH {
                    let claim = claim(first + task * EACH + each);
                    let (key, token) = (claim.key.to_bytes().to_vec(), claim.token.to_bytes().to_vec());
                    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
                    sqlx::query("INSERT INTO claims VALUES (?, ?, 0, 1, 0)")
                        .bind(key.clone())
                        .bind(token.clone())
                        .execute(&mut *tx)
                        .await
                        .unwrap();
                    tx.commit().await.unwrap();
                    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
                    sqlx::query("UPDATE claims SET state = 2, until = 1 WHERE key = ? AND token = ? AND state = 0")
                        .bind(key)
                        .bind(token)
                        .execute(&mut *tx)
                        .await
                        .unwrap();
                    tx.commit().await.unwrap();
                }
            }
        }))
    };
    rounds_of(rounds, &mut [&mut ours, &mut theirs])
}

/// One connection, so that no transaction waits for a lock: the best case for two transactions each.
async fn bare_table(url: &str) -> SqlitePool {
    let options: SqliteConnectOptions = url.parse().unwrap();
    let options = options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Normal);
    let pool = SqlitePoolOptions::new().max_connections(1).test_before_acquire(false).connect_with(options);
    let pool = pool.await.unwrap();
    let table = "CREATE TABLE claims (key BLOB PRIMARY KEY, token BLOB, state INTEGER, attempt INTEGER, until INTEGER)
                 WITHOUT ROWID";
    sqlx::query(table).execute(&pool).await.unwrap();
    pool
}

async fn in_flight<F: Future<Output = ()> + Send + 'static>(task: impl Fn(u32) -> F) -> Duration {
    let start = now();
    let tasks: Vec<_> = (0..64).map(|number| tokio::spawn(task(number))).collect();
    for task in tasks {
        task.await.unwrap();
    }
    start.elapsed()
}

fn claim(id: u32) -> ClaimRequest {
    let key = ClaimKey::new("/hook", "stripe", None, &id.to_be_bytes());
    ClaimRequest::new(key, ClaimToken::random().unwrap(), LEASE, Fingerprint::of(&id.to_be_bytes()))
}

fn number(bytes: [u8; 16]) -> u128 {
    u128::from_be_bytes(bytes)
}

trait Must {
    fn must(self);
}

impl Must for tower_webhooks::idempotency::Fenced {
    fn must(self) {
        assert_eq!(self, Self::Applied);
    }
}

// Counts

/// How often a store is asked: exact, and the same on every machine.
async fn calls() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}?mode=rwc", folder.path().join("app.db").display());
    let store = Watched::new(SqliteStore::connect(&url).await.unwrap());
    let pool = SqlitePool::connect(&url).await.unwrap();
    let commit = |database: SqlitePool, bare: bool| {
        move |claim: Claim| async move {
            let mut tx = database.begin_with("BEGIN IMMEDIATE").await.unwrap();
            if bare {
                claim.complete_in(&mut tx).await.unwrap();
                tx.commit().await.unwrap();
            } else {
                claim.commit(tx).await.unwrap();
            }
        }
    };
    let layer = |cache| {
        let once = IdempotencyLayer::new(store.clone()).with_local_cache(cache).with_consumer("one");
        WebhookLayer::stripe(Secret::new(SECRET).unwrap())
            .with_clock(ManualClock::at_unix_seconds(NOW))
            .with_idempotency(once)
    };
    let app = Router::new()
        .route("/fresh", post(|| async {}).layer(layer(100)))
        .route("/commit", post(commit(pool.clone(), false)).layer(layer(100)))
        .route("/complete_in", post(commit(pool, true)).layer(layer(100)))
        .route("/elsewhere", post(|| async {}).layer(layer(0)));

    println!(
        "| {:<66} | {:<22} | {:<5} |",
        "calls of the store, beside the statement in the app's transaction", "count", ""
    );
    println!("|{0:-<68}|{0:-<24}|{0:-<7}|", "");
    for (name, path, id, in_transaction, expected) in [
        ("fresh", "/fresh", 1, 0, 2),
        ("fresh, `claim.commit(tx)`", "/commit", 2, 1, 1),
        ("fresh, bare `complete_in`", "/complete_in", 3, 1, 2),
        ("duplicate", "/elsewhere", 1, 0, 1),
        ("duplicate that is known here", "/fresh", 1, 0, 0),
    ] {
        let body = event(id);
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(format!("{NOW}.{body}").as_bytes());
        let signature = data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes());
        let request = Request::post(path).header("stripe-signature", format!("t={NOW},v1={signature}"));
        let response = app.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let calls = store.take_calls() - in_transaction;
        assert_eq!(calls, expected, "{name}");
        println!("| {name:<66} | {calls:<22} | {expected:<5} |");
    }
}
