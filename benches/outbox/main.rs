//! The cost of an outbox under load, as ratios to an empty one: many waiting endpoints, many held deliveries, a long
//! log, slow commits. In both databases.
//!
//! ```text
//! cargo bench --all-features --bench outbox                  all of it, in some minutes
//! cargo bench --all-features --bench outbox -- --quick       a little of it, to see that it runs; the times mean nothing
//! ```
//!
//! docs/performance.md says what is measured, and how to read it.
#![allow(missing_docs, clippy::print_stdout)] // It prints tables.
#![allow(clippy::unwrap_used)] // A bench may panic.

mod fill;
#[allow(dead_code)] // It serves the tests first.
#[path = "../../tests/support/postgres_server.rs"]
mod postgres_server;
#[allow(dead_code)] // As above.
#[path = "../../tests/support/process.rs"]
mod process;
#[path = "../support/table.rs"]
mod table;

use std::{env, future::Future, sync::Arc, time::Duration};

use sqlx::{AssertSqlSafe, PgPool, SqlitePool};
use tokio::{
    runtime::{Builder, Runtime},
    sync::Notify,
    task::JoinSet,
};
use tower_webhooks::{
    BoxFuture,
    send::{
        After, AttemptRequest, AttemptResult, DeliveryQuery, DeliveryState, DestinationPolicy, DisabledReason,
        Dispatcher, EndpointDraft, EndpointId, EndpointResponse, EndpointSettings, Finish, LeaseRequest, LeaseToken,
        Message, OutboxEndpoints, OutboxQueue, OutboxStore, Retention, Sealed, SentDeliveryId, Style, Transport,
    },
    store::{PostgresStore, SqliteStore},
};

use self::{
    postgres_server::PostgresServer,
    table::{Ratio, Table, now, rounds_of},
};

fn main() {
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let is_quick = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => false,
        ["--quick"] => true,
        _ => panic!("the one argument is `--quick`"),
    };
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let server = PostgresServer::careful();
    let mut table = Table::new("outbox: medians of the rounds, quartiles in brackets", is_quick);
    let size = |few: u32, many: u32| if is_quick { few } else { many };
    let rounds = if is_quick { 2 } else { 9 };

    let waiting = size(200, 50_000);
    for kind in [Kind::Sqlite, Kind::Postgres] {
        let without = runtime.block_on(Outbox::open(kind, &server));
        let beside = runtime.block_on(Outbox::open(kind, &server));
        runtime.block_on(beside.execute(&fill::waiting(kind, waiting)));
        for outbox in [&without, &beside] {
            runtime.block_on(async {
                outbox.register("acme").await;
                // The first look finds the inserted rows and notes them.
                for _ in 0..waiting / 500 + 5 {
                    outbox.lease().await;
                }
                outbox.execute(fill::settle(kind)).await;
            });
        }
        let leases = size(3, 100);
        let ratio = rounds_of(
            rounds,
            &mut [&mut || runtime.block_on(beside.leases(leases)), &mut || runtime.block_on(without.leases(leases))],
        );
        table.row(&format!("a lease beside {waiting} endpoints that wait / none: {kind:?}"), ratio, Some(1.1));
    }

    let held = size(500, 200_000);
    for kind in [Kind::Sqlite, Kind::Postgres] {
        let without = runtime.block_on(Outbox::open(kind, &server));
        let beside = runtime.block_on(Outbox::open(kind, &server));
        runtime.block_on(async {
            let endpoint = beside.register("held").await;
            beside.store.switch_endpoint(endpoint, Some(DisabledReason::Asked)).await.unwrap();
            beside.execute(&fill::held(kind, held, endpoint)).await;
        });
        // A worker that has just been started, while all that is held is met for the first time.
        let ratio = rounds_of(
            rounds.min(5),
            &mut [&mut || runtime.block_on(first_delivery(&beside)), &mut || {
                runtime.block_on(first_delivery(&without))
            }],
        );
        table.row(&format!("first delivery of a worker beside {held} held / none: {kind:?}"), ratio, Some(1.5));

        runtime.block_on(beside.until_unlocked());
        runtime.block_on(beside.purge());
        runtime.block_on(beside.execute(fill::settle(kind)));
        let purges = size(2, 20);
        let ratio = rounds_of(
            rounds,
            &mut [&mut || runtime.block_on(beside.purges(purges)), &mut || runtime.block_on(without.purges(purges))],
        );
        table.row(&format!("a purge beside {held} that are held / none: {kind:?}"), ratio, Some(1.1));
    }

    let old = size(500, 50_000);
    for kind in [Kind::Sqlite, Kind::Postgres] {
        let outbox = runtime.block_on(Outbox::open(kind, &server));
        let took = runtime.block_on(async {
            let endpoint = outbox.register("acme").await;
            outbox.execute(&fill::old(kind, old, endpoint)).await;
            let begun = now();
            outbox.purge().await;
            now() - begun
        });
        let a_second = f64::from(old) / took.as_secs_f64();
        table.note(format!("{kind:?}: content and rows of {a_second:.0} delivered messages were purged in a second"));
    }

    let each = size(5, 100);
    let (store, endpoints) = runtime.block_on(slow_commits(&server));
    let ratio = rounds_of(
        rounds.min(5),
        &mut [&mut || runtime.block_on(dispatches(&store, endpoints[0], each)), &mut || {
            runtime.block_on(dispatches(&store, endpoints[1], each))
        }],
    );
    table.row("16 callers dispatch with an endpoint / without, commits of 5 ms: Postgres", ratio, Some(1.25));

    let moved = size(2_000, 1_000_000);
    let longest = runtime.block_on(switch(&server, moved));
    table.note(format!(
        "Sqlite: an application's write waited for {longest:?} at most while {moved} were held and resumed"
    ));

    let listed = size(1_000, 500_000);
    for kind in [Kind::Sqlite, Kind::Postgres] {
        let outbox = runtime.block_on(Outbox::open(kind, &server));
        let endpoint = runtime.block_on(async {
            let endpoint = outbox.register("acme").await;
            outbox.execute(&fill::log(kind, listed, endpoint)).await;
            outbox.execute(fill::settle(kind)).await;
            endpoint
        });
        let worst = lists(&runtime, &outbox, endpoint, rounds, listed);
        table.row(
            &format!("a page near the end of {listed} / the first, the worst of 18 lists: {kind:?}"),
            worst,
            Some(1.5),
        );
    }
    table.print();
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Postgres,
    Sqlite,
}

/// A store, and a way around it.
struct Outbox {
    store: Arc<dyn OutboxStore>,
    postgres: Option<PgPool>,
    sqlite: Option<SqlitePool>,
    _folder: tempfile::TempDir,
}

impl Outbox {
    async fn open(kind: Kind, server: &PostgresServer) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut outbox = Self {
            store: Arc::new(tower_webhooks::store::MemoryOutbox::new()),
            postgres: None,
            sqlite: None,
            _folder: folder,
        };
        match kind {
            Kind::Postgres => {
                let url = server.database().await;
                outbox.store = Arc::new(PostgresStore::connect(&url).await.unwrap());
                outbox.postgres = Some(PgPool::connect(&url).await.unwrap());
            }
            Kind::Sqlite => {
                let url = format!("sqlite://{}", outbox._folder.path().join("outbox.db").display());
                outbox.store = Arc::new(SqliteStore::connect(&url).await.unwrap());
                outbox.sqlite = Some(SqlitePool::connect(&url).await.unwrap());
            }
        }
        outbox
    }

    async fn execute(&self, sql: &str) {
        for sql in sql.split(";\n") {
            if let Some(pool) = &self.postgres {
                sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(pool).await.unwrap();
            }
            if let Some(pool) = &self.sqlite {
                sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(pool).await.unwrap();
            }
        }
    }

    /// Waits until no other session works in the database. A purge that was dropped with its worker holds its locks
    /// until the server has rolled it back, and the next one skips locked rows.
    async fn until_unlocked(&self) {
        let Some(pool) = &self.postgres else { return };
        let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() \
             AND backend_type = 'client backend' AND state <> 'idle'";
        while sqlx::query_scalar::<_, i64>(others).fetch_one(pool).await.unwrap() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn register(&self, tenant: &str) -> EndpointId {
        let settings = EndpointSettings::new(
            "https://example.com/hook",
            vec!["*".into()],
            Style::StandardWebhooks,
            Sealed::new("", &b"{}"[..]),
        );
        let draft = EndpointDraft::new(EndpointId::random().unwrap(), tenant, settings);
        self.store.create_endpoint(draft, u32::MAX).await.unwrap().unwrap().id
    }

    async fn lease(&self) -> Vec<(SentDeliveryId, LeaseToken)> {
        let token = LeaseToken::random().unwrap();
        let leases = self.store.lease(LeaseRequest::new(token, Duration::from_secs(30), 64)).await.unwrap();
        leases.deliveries.iter().map(|leased| (leased.id, token)).collect()
    }

    /// The time of the leases only, each of one delivery.
    async fn leases(&self, count: u32) -> Duration {
        let mut took = Duration::ZERO;
        for _ in 0..count {
            self.store.dispatch(vec![message("acme")]).await.unwrap();
            let begun = now();
            let leased = self.lease().await;
            took += now() - begun;
            assert_eq!(leased.len(), 1);
            for (id, token) in leased {
                let _ = self.store.finish(id, token, Finish::new(After::Delivered)).await.unwrap();
            }
        }
        took
    }

    async fn purges(&self, count: u32) -> Duration {
        let begun = now();
        for _ in 0..count {
            assert_eq!(self.store.purge(Retention::default(), 500).await.unwrap(), 0);
        }
        now() - begun
    }

    async fn purge(&self) {
        while self.store.purge(Retention::default(), 500).await.unwrap() > 0 {}
    }
}

fn message(tenant: &str) -> Message {
    Message::new("order.completed", &7).unwrap().tenant(tenant)
}

/// A transport that always succeeds.
struct Always;

impl Transport for Always {
    fn send(&self, _request: AttemptRequest) -> BoxFuture<'_, AttemptResult> {
        let answer = EndpointResponse::new(http::StatusCode::NO_CONTENT);
        Box::pin(std::future::ready(AttemptResult::answered(answer, Duration::from_millis(1))))
    }
}

/// From the start of a worker to its first delivery.
async fn first_delivery(outbox: &Outbox) -> Duration {
    let (delivered, stopped) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, stop) = (delivered.clone(), stopped.clone());
    let webhooks = Dispatcher::builder(outbox.store.clone())
        .with_insecure_plain_secrets()
        .transport(Always, DestinationPolicy::default())
        .on_delivered(move |_| tell.notify_one())
        .build()
        .unwrap();
    let tenant = "first";
    let endpoint = tower_webhooks::send::NewEndpoint::new("https://example.com/hook").unwrap().tenant(tenant);
    let endpoint = webhooks.endpoints().create(endpoint).await.unwrap().endpoint().id();
    webhooks.dispatch(message(tenant)).await.unwrap();

    let begun = now();
    let worker = tokio::spawn(webhooks.worker().run(async move { stop.notified().await }));
    delivered.notified().await;
    let took = now() - begun;

    stopped.notify_one();
    worker.await.unwrap();
    webhooks.endpoints().delete(endpoint).await.unwrap();
    took
}

/// A store whose commits take 5 ms, as on a network's disk, and the tenants with an endpoint and without.
async fn slow_commits(server: &PostgresServer) -> (PostgresStore, [&'static str; 2]) {
    let url = format!("{}&options=-c%20commit_delay%3D5000%20-c%20commit_siblings%3D0", server.database().await);
    let store = PostgresStore::options().max_connections(20).connect(&url).await.unwrap();
    let settings = EndpointSettings::new(
        "https://example.com/hook",
        vec!["*".into()],
        Style::StandardWebhooks,
        Sealed::new("", &b"{}"[..]),
    );
    let draft = EndpointDraft::new(EndpointId::random().unwrap(), "acme", settings);
    store.create_endpoint(draft, u32::MAX).await.unwrap().unwrap();
    (store, ["acme", "nobody"])
}

async fn dispatches(store: &PostgresStore, tenant: &'static str, each: u32) -> Duration {
    let begun = now();
    let mut callers = JoinSet::new();
    for _ in 0..16 {
        let store = store.clone();
        callers.spawn(async move {
            for _ in 0..each {
                store.dispatch(vec![message(tenant)]).await.unwrap();
            }
        });
    }
    callers.join_all().await;
    now() - begun
}

/// How long a write of the application's waits at most, while an endpoint is disabled and enabled.
async fn switch(server: &PostgresServer, moved: u32) -> Duration {
    let outbox = Outbox::open(Kind::Sqlite, server).await;
    let endpoint = outbox.register("acme").await;
    outbox.execute("CREATE TABLE orders (n INTEGER)").await;
    outbox.execute(&fill::pending(moved, endpoint)).await;
    outbox.execute(fill::settle(Kind::Sqlite)).await;
    let mut longest = Duration::ZERO;
    for disabled in [Some(DisabledReason::Asked), None] {
        let store = outbox.store.clone();
        let switching = tokio::spawn(async move {
            store.switch_endpoint(endpoint, disabled).await.unwrap();
            // As a worker does it.
            loop {
                let begun = now();
                if store.purge(Retention::default(), 500).await.unwrap() == 0 {
                    break;
                }
                tokio::time::sleep(now() - begun).await;
            }
        });
        while !switching.is_finished() {
            let begun = now();
            outbox.execute("INSERT INTO orders VALUES (1)").await;
            longest = longest.max(now() - begun);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        switching.await.unwrap();
    }
    longest
}

/// The worst ratio of all combinations of filters.
fn lists(runtime: &Runtime, outbox: &Outbox, endpoint: EndpointId, rounds: usize, listed: u32) -> Ratio {
    let page = |query: DeliveryQuery| -> BoxFuture<'_, Duration> {
        Box::pin(async move {
            let begun = now();
            for _ in 0..5 {
                outbox.store.deliveries("acme".into(), query.clone(), 50).await.unwrap();
            }
            now() - begun
        })
    };
    let mut worst: Option<Ratio> = None;
    for of_endpoint in [false, true] {
        for state in [None, Some(DeliveryState::Delivered), Some(DeliveryState::Exhausted)] {
            for event_type in [None, Some("order.completed"), Some("rare")] {
                let mut query = DeliveryQuery::default();
                query.endpoint = of_endpoint.then_some(endpoint);
                query.state = state;
                query.event_type = event_type.map(str::to_owned);
                let late = query.clone().before(SentDeliveryId::from_u64(u64::from(listed / 4)));
                let ratio = rounds_of(
                    rounds,
                    &mut [&mut || block_on(runtime, page(late.clone())), &mut || {
                        block_on(runtime, page(query.clone()))
                    }],
                );
                if worst.is_none_or(|worst| ratio.middle > worst.middle) {
                    worst = Some(ratio);
                }
            }
        }
    }
    worst.unwrap()
}

fn block_on<T>(runtime: &Runtime, future: impl Future<Output = T>) -> T {
    runtime.block_on(future)
}
