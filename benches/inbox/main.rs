//! What an inbox costs beside the bare driver that does the same statements on tables of the same form, and beside the same route with
//! idempotency: SQLite, PostgreSQL and Redis, each as durable as it can be.
//!
//! ```text
//! cargo bench --all-features --bench inbox                  all of it, in some minutes
//! cargo bench --all-features --bench inbox -- --quick       a little of it, to see that it runs; the times mean nothing
//! ```
//!
//! docs/performance.md says what is measured, and how to read it.
#![allow(missing_docs, clippy::print_stdout)] // It prints a table.
#![allow(clippy::unwrap_used)] // It may end where a server must not.

mod bare;
#[allow(dead_code)] // It serves the tests first.
#[path = "../../tests/support/postgres_server.rs"]
mod postgres_server;
#[allow(dead_code)] // As above.
#[path = "../../tests/support/process.rs"]
mod process;
#[allow(dead_code)] // As above.
#[path = "../../tests/support/redis_server.rs"]
mod redis_server;
#[path = "../support/table.rs"]
mod table;

use std::{
    cell::Cell,
    env,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body, http::Request, routing::post};
use bytes::Bytes;
use tokio::{
    runtime::{Builder, Runtime},
    sync::Notify,
    task::JoinSet,
};
use tower::ServiceExt;
use tower_webhooks::{
    EventRouter, Inbox, Provider, Secret, WebhookLayer,
    idempotency::{ClaimKey, IdempotencyStore},
    inbox::{AcceptRequest, Accepted, Content, EventDraft, InboxStore},
    store::{PostgresStore, RedisStore, SqliteStore},
    testing::SignedRequest,
};

use self::{
    bare::Bare,
    postgres_server::PostgresServer,
    redis_server::RedisServer,
    table::{Table, now, rounds_of},
};

/// How many callers there are at once.
const IN_FLIGHT: u32 = 64;

/// The name of the inbox of which events are only accepted.
const CONSUMER: &str = "inbox";

fn main() {
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let is_quick = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => false,
        ["--quick"] => true,
        _ => panic!("the one argument is `--quick`"),
    };
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let servers = Servers { postgres: PostgresServer::careful(), redis: RedisServer::start() };
    let mut table = Table::new("inbox: medians of the rounds, quartiles in brackets", is_quick);
    let (rounds, each) = if is_quick { (1, 1) } else { (15, 16) };
    for kind in [Kind::Sqlite, Kind::Postgres, Kind::Redis] {
        measure(&runtime, &servers, kind, (rounds, each), &mut table);
    }
    table.print();
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Postgres,
    Redis,
    Sqlite,
}

struct Servers {
    postgres: PostgresServer,
    redis: RedisServer,
}

/// A place of its own for each contestant: a file, a database, or keys with a prefix. The folder is kept for as long as its file.
async fn place(kind: Kind, servers: &Servers) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let url = match kind {
        Kind::Postgres => servers.postgres.database().await,
        Kind::Redis => servers.redis.url(),
        Kind::Sqlite => format!("sqlite://{}", folder.path().join("inbox.db").display()),
    };
    (folder, url)
}

/// Each contestant on Redis has keys of its own on the one server.
async fn redis(url: &str, prefix: &str) -> RedisStore {
    RedisStore::options().key_prefix(prefix).unwrap().connect(url).await.unwrap()
}

fn measure(runtime: &Runtime, servers: &Servers, kind: Kind, (rounds, each): (usize, u32), table: &mut Table) {
    let (_ours, url) = runtime.block_on(place(kind, servers));
    let (_theirs, bare_url) = runtime.block_on(place(kind, servers));
    let (_inline, inline_url) = runtime.block_on(place(kind, servers));
    let (store, claims): (Arc<dyn InboxStore>, Arc<dyn IdempotencyStore>) = match kind {
        Kind::Postgres => (
            Arc::new(runtime.block_on(PostgresStore::connect(&url)).unwrap()),
            Arc::new(runtime.block_on(PostgresStore::connect(&inline_url)).unwrap()),
        ),
        Kind::Redis => {
            (Arc::new(runtime.block_on(redis(&url, "ours_"))), Arc::new(runtime.block_on(redis(&url, "inline_"))))
        }
        Kind::Sqlite => (
            Arc::new(runtime.block_on(SqliteStore::connect(&url)).unwrap()),
            Arc::new(runtime.block_on(SqliteStore::connect(&inline_url)).unwrap()),
        ),
    };
    let bare = runtime.block_on(Bare::open(kind, &bare_url));
    let numbers = Cell::new(0);
    let next = || numbers.replace(numbers.get() + IN_FLIGHT * each);
    let many = IN_FLIGHT * each;

    // Accepted.
    let mut times = [Duration::ZERO; 2];
    let ratio = rounds_of(
        rounds,
        &mut [
            &mut || {
                let first = next();
                times[0] = runtime.block_on(accepted(&store, first, each));
                times[0]
            },
            &mut || {
                let first = next();
                runtime.block_on(bare.accept(&(first..first + many).map(draft).collect::<Vec<_>>()))
            },
        ],
    );
    // No target of its own for Redis: that of PostgreSQL.
    let target = if kind == Kind::Sqlite { 1.0 / 0.7 } else { 1.0 / 0.6 };
    table.row(&format!("accepted, {IN_FLIGHT} in flight / bare driver: {kind:?}"), ratio, Some(target));
    let rate = f64::from(many) / times[0].as_secs_f64();
    table.note(format!("{kind:?}: {rate:.0} events accepted in a second, in the last round"));

    // Handled. What was accepted above has no head that a worker could read, and is left to its own consumer.
    let left = Arc::new(Left::default());
    let inbox = worked(&store, &left);
    runtime.block_on(bare.handle_all());
    let app = Router::new().route_service("/hook", layer().layer(inbox.clone()));
    let mut took = Duration::ZERO;
    let ratio = rounds_of(
        rounds,
        &mut [
            &mut || {
                let first = next();
                runtime.block_on(async {
                    answered(&app, first, each).await;
                    took = work(&inbox, &left, many).await;
                    took
                })
            },
            &mut || {
                let first = next();
                runtime.block_on(async {
                    bare.accept(&(first..first + many).map(draft).collect::<Vec<_>>()).await;
                    bare.handle_all().await
                })
            },
        ],
    );
    table.row(&format!("handled by a worker / bare driver: {kind:?}"), ratio, Some(2.0));
    let rate = f64::from(many) / took.as_secs_f64();
    table.note(format!("{kind:?}: {rate:.0} events handled in a second, in the last round"));

    // The whole request.
    let inline = layer().with_idempotency(claims);
    let inline = Router::new().route("/hook", post(events(Arc::default())).layer(inline)).with_state(());
    let ratio = rounds_of(
        rounds,
        &mut [
            &mut || {
                let first = next();
                runtime.block_on(answered(&app, first, each))
            },
            &mut || {
                let first = next();
                runtime.block_on(answered(&inline, first, each))
            },
        ],
    );
    table.row(&format!("whole request, inbox / inline with idempotency: {kind:?}"), ratio, Some(1.1));
}

// What is accepted

fn body(number: u32) -> String {
    let text = "x".repeat(700);
    format!(
        r#"{{"id":"evt_{number:012}","object":"event","type":"invoice.paid","data":{{"object":{{"text":"{text}"}}}}}}"#
    )
}

fn draft(number: u32) -> EventDraft {
    let mut key = [7; 16];
    key[..4].copy_from_slice(&number.to_be_bytes());
    // About what `Inbox` keeps of a head.
    let head = r#"{"method":"POST","uri":"/hook","headers":[["content-type","application/json"]],"provider":"stripe"}"#;
    let content = Content::new(head.into(), Bytes::from(body(number)));
    let mut draft =
        EventDraft::new(ClaimKey::from_bytes(key), "stripe".into(), Duration::from_secs(7 * 24 * 60 * 60), content);
    draft.delivery_id = Some(format!("evt_{number:012}").into());
    draft.event_type = Some("invoice.paid".into());
    draft
}

async fn accepted(store: &Arc<dyn InboxStore>, first: u32, each: u32) -> Duration {
    let begun = now();
    let mut callers = JoinSet::new();
    for caller in 0..IN_FLIGHT {
        let store = Arc::clone(store);
        callers.spawn(async move {
            for number in 0..each {
                let event = draft(first + caller * each + number);
                let answers = store.accept(AcceptRequest::new(CONSUMER.into(), vec![event])).await.unwrap();
                assert_eq!(answers, [Accepted::New]);
            }
        });
    }
    callers.join_all().await;
    begun.elapsed()
}

// What is handled

/// How many events are to be handled still.
#[derive(Default)]
struct Left {
    count: AtomicU32,
    ended: Notify,
}

fn events(left: Arc<Left>) -> EventRouter {
    EventRouter::new().on("*", move || {
        let left = Arc::clone(&left);
        async move {
            if left.count.fetch_sub(1, Ordering::SeqCst) == 1 {
                left.ended.notify_one();
            }
        }
    })
}

fn worked(store: &Arc<dyn InboxStore>, left: &Arc<Left>) -> Inbox {
    Inbox::new(Arc::clone(store), events(Arc::clone(left))).with_consumer("worked")
}

/// From the start of a worker to the end of its last event.
async fn work(inbox: &Inbox, left: &Left, events: u32) -> Duration {
    left.count.store(events, Ordering::SeqCst);
    let begun = now();
    inbox.worker().run(left.ended.notified()).await;
    let took = begun.elapsed();
    let stats = inbox.stats().await.unwrap();
    assert_eq!((stats.pending, stats.working, stats.dead), (0, 0, 0));
    took
}

// The whole request

fn secret() -> Secret {
    Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap()
}

fn layer() -> WebhookLayer {
    WebhookLayer::stripe(secret())
}

fn request(number: u32) -> Request<Body> {
    SignedRequest::new(Provider::STRIPE, &secret()).uri("/hook").with_body(body(number)).build()
}

async fn answered(app: &Router, first: u32, each: u32) -> Duration {
    let mut requests: Vec<Vec<_>> = Vec::new();
    for caller in 0..IN_FLIGHT {
        requests.push((0..each).map(|number| request(first + caller * each + number)).collect());
    }
    let begun = now();
    let mut callers = JoinSet::new();
    for requests in requests {
        let app = app.clone();
        callers.spawn(async move {
            for request in requests {
                let response = app.clone().oneshot(request).await.unwrap();
                assert!(response.status().is_success(), "{}", response.status());
            }
        });
    }
    callers.join_all().await;
    begun.elapsed()
}
