//! Tests of the inbox in PostgreSQL: several workers and processes, races, a server that stops, hangs or restarts, and
//! how much its statements read.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::http::StatusCode;
use bytes::Bytes;
use sqlx::{
    AssertSqlSafe, Connection, PgConnection, PgPool, Row,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::sync::{Barrier, Notify};
use tower_webhooks::{
    Inbox,
    clock::{Clock, ClockOffset, SystemClock},
    error::StoreErrorKind,
    idempotency::ClaimKey,
    inbox::{
        AcceptRequest, Accepted, Change, Content, Ending, EventDraft, EventState, Fenced, Guard, InboxLease,
        InboxQuery, InboxRetention, InboxStore, LeaseToken, Selection,
    },
    store::postgres::PostgresStore,
};

use super::{
    durable::{self, is_long},
    shop::{AGES, End, Running, Shop, app, count, events, inbox, order, send, until, until_all_ended},
    stores::postgres,
};
use crate::support::{
    postgres_server::PostgresServer,
    proxy::{Fault, Proxy},
    test_name,
};

async fn new() -> (Arc<PostgresServer>, PostgresStore) {
    postgres(PostgresStore::options(), &ClockOffset::default()).await
}

async fn execute(pool: &PgPool, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(pool).await.unwrap();
}

async fn with_effects(url: &str) -> (PostgresStore, PgPool) {
    let pool = PgPool::connect(url).await.unwrap();
    execute(&pool, "CREATE TABLE IF NOT EXISTS effects (id text)").await;
    (PostgresStore::connect(url).await.unwrap(), pool)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_never_run_one_event_at_the_same_time() {
    let (_server, store) = new().await;
    let url = store.pool();
    let other = PostgresStore::from_pool(PgPool::connect_with(url.connect_options().as_ref().clone()).await.unwrap());
    durable::two_workers_never_run_one_event_at_the_same_time([store, other]).await;
}

#[tokio::test]
async fn an_effect_and_its_event_end_in_one_transaction_or_not_at_all() {
    let server = PostgresServer::shared();
    let (store, db) = with_effects(&server.database().await).await;
    durable::an_effect_and_its_event_end_in_one_transaction_or_not_at_all(store, db).await;
}

#[tokio::test]
async fn a_kill_right_after_the_answer_loses_nothing() {
    if let Some(url) = durable::url_of_child() {
        return durable::serve(PostgresStore::connect(&url).await.unwrap()).await;
    }
    let server = PostgresServer::shared();
    let url = server.database().await;
    let test = test_name!("a_kill_right_after_the_answer_loses_nothing");
    let open = async || PostgresStore::connect(&url).await.unwrap();
    durable::kills_right_after_the_answer_lose_nothing(&url, test, open).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_processes_that_are_killed_have_each_effect_once() {
    if let Some(url) = durable::url_of_child() {
        let (store, db) = with_effects(&url).await;
        return durable::work(store, db).await;
    }
    let server = PostgresServer::shared();
    let url = server.database().await;
    let (store, db) = with_effects(&url).await;
    let test = test_name!("worker_processes_that_are_killed_have_each_effect_once");
    durable::worker_processes_that_are_killed_have_each_effect_once((&url, test), store, db).await;
}

// --- a server that goes away -----------------------------------------------------------------------------------------

/// Sends events with ids of their own until `enough`, and notes which were accepted.
async fn send_some(app: &axum::Router, name: &str, accepted: &Mutex<HashSet<String>>, number: u32) -> u32 {
    let mut refused = 0;
    for number in 0..number {
        let id = format!("{name} {number}");
        let answer = send(app, order(&id)).await;
        match answer.status {
            StatusCode::ACCEPTED => drop(accepted.lock().unwrap().insert(id)),
            StatusCode::SERVICE_UNAVAILABLE => {
                assert!(answer.retry_after.is_some(), "{id}");
                refused += 1;
            }
            other => panic!("{id}: {other}"),
        }
    }
    refused
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_goes_or_hangs_is_503_and_nothing_accepted_is_missing() {
    let server = PostgresServer::shared();
    let url = server.database().await;
    let proxy = Proxy::before(server.port()).await;
    let url = url.replace(&format!(":{}/", server.port()), &format!(":{}/", proxy.port()));
    let store = PostgresStore::options().timeout(Duration::from_millis(500)).connect(&url).await.unwrap();
    let (shop, accepted) = (Shop::default(), Mutex::default());
    let inbox = inbox(store, &shop);
    let app = app(&inbox);
    let worker = Running::start(inbox.worker().with_lease(Duration::from_secs(1)));

    assert_eq!(send_some(&app, "before", &accepted, 10).await, 0);
    for fault in [Fault::Refuse, Fault::Hang, Fault::CutAfterSend, Fault::CutBeforeSend] {
        proxy.set(fault);
        let refused = send_some(&app, &format!("{fault:?}"), &accepted, 3).await;
        assert_eq!(refused, 3, "{fault:?}");
        proxy.cut().await;
        let again = format!("after {fault:?}");
        until("the server answers again", async || send_some(&app, &again, &accepted, 1).await == 0).await;
    }
    until_all_ended(&inbox).await;
    worker.stop().await;
    let done: HashSet<_> = shop.done().into_iter().collect();
    let accepted = accepted.into_inner().unwrap();
    let missing: Vec<_> = accepted.difference(&done).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_stopped_and_started_again_has_what_it_accepted() {
    let server = PostgresServer::careful();
    let options = PostgresStore::options().timeout(Duration::from_secs(1));
    let store = options.connect(&server.database().await).await.unwrap();
    let (shop, accepted) = (Shop::default(), Mutex::default());
    let inbox = inbox(store, &shop);
    let app = app(&inbox);
    assert_eq!(send_some(&app, "before", &accepted, 20).await, 0);
    let worker = Running::start(inbox.worker().with_lease(Duration::from_secs(1)));

    // As a power cut of the server: it flushes nothing.
    server.signal("QUIT");
    server.stop();
    assert_eq!(send_some(&app, "meanwhile", &accepted, 3).await, 3);
    server.start_again();
    until("the server answers again", async || send_some(&app, "after", &accepted, 1).await == 0).await;

    until("all have ended", async || inbox.stats().await.is_ok_and(|stats| stats.pending + stats.working == 0)).await;
    worker.stop().await;
    let done: HashSet<_> = shop.done().into_iter().collect();
    let accepted = accepted.into_inner().unwrap();
    let missing: Vec<_> = accepted.difference(&done).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

// --- races -----------------------------------------------------------------------------------------------------------

fn token() -> LeaseToken {
    LeaseToken::random().unwrap()
}

fn key() -> ClaimKey {
    ClaimKey::from_bytes(token().to_bytes())
}

fn event(key: ClaimKey) -> EventDraft {
    EventDraft::new(key, "acme".into(), Duration::from_secs(3600), Content::new("{}".into(), Bytes::from_static(b"{}")))
}

fn ordered(order: ClaimKey) -> EventDraft {
    let mut event = event(key());
    event.order_key = Some(order);
    event
}

async fn accept(store: &PostgresStore, events: Vec<EventDraft>) -> Vec<Accepted> {
    store.accept(AcceptRequest::new("crm".into(), events)).await.unwrap()
}

fn lease(limit: u32) -> InboxLease {
    InboxLease::new("crm".into(), token(), Duration::from_secs(600), limit, 10)
}

/// Events with one order key arrive, end and are discarded at the same time: exactly one of them can always proceed.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_an_order_key_one_goes_on_whatever_happens_at_the_same_time() {
    let (_server, store) = new().await;
    let (order, all) = (key(), if is_long() { 1000 } else { 200 });
    let left = Arc::new(std::sync::atomic::AtomicU32::new(all));
    let senders = (0..4).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            for _ in 0..all / 4 {
                assert_eq!(accept(&store, vec![ordered(order)]).await, [Accepted::New]);
            }
        })
    });
    let workers = (0..4).map(|number| {
        let (store, left) = (store.clone(), left.clone());
        tokio::spawn(async move {
            let end = tokio::time::Instant::now() + AGES * 5;
            while left.load(std::sync::atomic::Ordering::SeqCst) > 0 {
                assert!(tokio::time::Instant::now() < end, "{left:?} events are left");
                let request = lease(5);
                let token = request.token;
                let leases = store.lease(request).await.unwrap();
                assert!(leases.events.len() <= 1, "two of one key");
                for event in leases.events {
                    if number == 0 {
                        // A handler's transaction, that stays open for a moment.
                        let mut tx = store.pool().begin().await.unwrap();
                        let connection: &mut PgConnection = &mut tx;
                        assert_eq!(store.finish_in(connection, event.id, token).await.unwrap(), Fenced::Applied);
                        tokio::time::sleep(Duration::from_millis(3)).await;
                        tx.commit().await.unwrap();
                    } else {
                        assert_eq!(store.finish(event.id, token, Ending::Done).await.unwrap(), Fenced::Applied);
                    }
                    left.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                }
            }
        })
    });
    for task in senders.chain(workers).collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let stats = store.stats("crm".into()).await.unwrap();
    assert_eq!((stats.pending, stats.working, stats.dead), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_bodies_that_come_at_the_same_time_one_passes_the_guard_and_of_keys_one_is_new() {
    let (_server, store) = new().await;
    for round in 0..20 {
        let (guard, one, barrier) = (key(), key(), Arc::new(Barrier::new(8)));
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let (store, barrier) = (store.clone(), barrier.clone());
                tokio::spawn(async move {
                    let mut event = event(if round % 2 == 0 { one } else { key() });
                    event.guard = (round % 2 == 1).then(|| Guard::new(guard, Duration::from_secs(60)));
                    barrier.wait().await;
                    accept(&store, vec![event]).await[0]
                })
            })
            .collect();
        let mut new = 0;
        for task in tasks {
            new += u32::from(task.await.unwrap() == Accepted::New);
        }
        assert_eq!(new, 1, "round {round}");
    }
}

/// Calls that are made at the same time do not lose or split each other's events, and one that cannot be stored fails
/// alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_that_come_together_have_their_own_answers() {
    let (_server, store) = new().await;
    let pool = store.pool();
    execute(&pool, "ALTER TABLE webhook_inbox_events ADD CONSTRAINT refused CHECK (provider <> 'refused')").await;
    let known = event(key());
    accept(&store, vec![known.clone()]).await;
    let tasks: Vec<_> = (0..200)
        .map(|number| {
            let (store, known) = (store.clone(), known.clone());
            tokio::spawn(async move {
                let mut draft = if number % 10 == 3 { known } else { event(key()) };
                if number % 50 == 7 {
                    draft.provider = "refused".into();
                }
                let answer = store.accept(AcceptRequest::new("crm".into(), vec![draft])).await;
                match number {
                    number if number % 50 == 7 => {
                        assert_eq!(answer.unwrap_err().kind(), StoreErrorKind::Rejected);
                        0
                    }
                    number if number % 10 == 3 => {
                        assert_eq!(answer.unwrap(), [Accepted::Duplicate { other_body: false }]);
                        0
                    }
                    _ => {
                        assert_eq!(answer.unwrap(), [Accepted::New]);
                        1
                    }
                }
            })
        })
        .collect();
    let mut new = 0;
    for task in tasks {
        new += task.await.unwrap();
    }
    assert_eq!((new, store.stats("crm".into()).await.unwrap().pending), (176, 177));
}

/// An event whose lease has ended is not leased again while its handler's transaction is open.
#[tokio::test]
async fn what_a_transaction_has_ended_is_leased_to_nobody_before_it_ends() {
    let offset = ClockOffset::default();
    let (_server, store) = postgres(PostgresStore::options(), &offset).await;
    accept(&store, vec![event(key())]).await;
    for is_committed in [false, true] {
        let request = lease(1);
        let token = request.token;
        let leased = store.lease(request).await.unwrap().events.remove(0);
        let mut tx = store.pool().begin().await.unwrap();
        let connection: &mut PgConnection = &mut tx;
        assert_eq!(store.finish_in(connection, leased.id, token).await.unwrap(), Fenced::Applied);
        offset.advance(Duration::from_secs(3600));

        let meanwhile = store.lease(lease(1)).await.unwrap();
        assert!(meanwhile.events.is_empty() && meanwhile.next_due.is_some_and(|due| !due.is_zero()), "{meanwhile:?}");
        assert_eq!(store.is_done(leased.id, token).await.unwrap(), Fenced::Stale);
        if is_committed {
            tx.commit().await.unwrap();
            assert_eq!(store.is_done(leased.id, token).await.unwrap(), Fenced::Applied);
        } else {
            tx.rollback().await.unwrap();
        }
    }
    assert!(store.lease(lease(1)).await.unwrap().events.is_empty());
}

/// PostgreSQL's texts have no character 0, and JSON has.
#[tokio::test]
async fn texts_that_the_server_does_not_have_come_back() {
    let (_server, store) = new().await;
    let mut draft = event(key());
    for text in [&mut draft.tenant, &mut draft.delivery_id, &mut draft.event_type] {
        *text = Some("a\0b\\0\\".into());
    }
    accept(&store, vec![draft.clone()]).await;

    let query = InboxQuery::default().event_type("a\0b\\0\\").tenant("a\0b\\0\\");
    let found = store.events("crm".into(), query, 10).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((&found[0].tenant, &found[0].delivery_id), (&draft.tenant, &draft.delivery_id));
    assert_eq!(store.erase("crm".into(), "a\0b\\0\\".into(), 10).await.unwrap(), 1);
}

// --- telling ---------------------------------------------------------------------------------------------------------

/// A worker that polls once an hour is notified of the events that another process stores.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_of_other_processes_are_told() {
    let (_server, store) = new().await;
    let shop = Shop::default();
    let there = Inbox::new(
        PostgresStore::from_pool(PgPool::connect_with(store.pool().connect_options().as_ref().clone()).await.unwrap()),
        events(&shop),
    );
    let (stop, stopped) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let told = stop.clone();
    let worker = there.worker().with_poll_interval(Duration::from_secs(3600));
    let task = tokio::spawn(async move {
        worker.run(told.notified()).await;
        stopped.notify_one();
    });
    let here = app(&inbox(store.clone(), &Shop::default()));
    let listens = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()";
    until("it listens", async || sqlx::query_scalar::<_, i64>(listens).fetch_one(&store.pool()).await.unwrap() > 0)
        .await;
    for number in 0..3 {
        send(&here, order(&number.to_string())).await;
        until("it is worked", async || shop.done().len() == number + 1).await;
    }
    stop.notify_one();
    tokio::time::timeout(AGES, task).await.unwrap().unwrap();
}

// --- the schema ------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn claims_need_no_tables_of_the_inbox_and_the_inbox_says_what_it_needs() {
    let (_server, store) = new().await;
    let pool = store.pool();
    execute(&pool, "DROP TABLE webhook_inbox_events; DELETE FROM webhook_migrations WHERE part = 'inbox'").await;
    let store = PostgresStore::from_pool(pool);

    let error = store.accept(AcceptRequest::new("crm".into(), vec![event(key())])).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Schema);
    assert!(error.to_string().contains("migrate"), "{error}");
    store.migrate().await.unwrap();
    assert_eq!(accept(&store, vec![event(key())]).await, [Accepted::New]);
}

#[tokio::test]
async fn a_role_that_may_create_nothing_can_use_what_is_there() {
    let (server, store) = new().await;
    let pool = store.pool();
    let database = pool.connect_options().get_database().unwrap().to_owned();
    execute(
        &pool,
        &format!(
            "CREATE ROLE inbox_{database} LOGIN; \
             GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_inbox_events TO inbox_{database}; \
             GRANT SELECT ON webhook_migrations TO inbox_{database}"
        ),
    )
    .await;
    let url = format!("postgres://inbox_{database}@127.0.0.1:{}/{database}", server.port());
    let store = PostgresStore::connect(&url).await.unwrap();
    let shop = Shop::default();
    shop.ends("1", &[End::Fail]);
    let inbox = inbox(store, &shop);
    send(&app(&inbox), order("1")).await;
    let worker = Running::start(inbox.worker().with_retries(durable::AT_ONCE(3)));
    until_all_ended(&inbox).await;
    worker.stop().await;
    assert_eq!(count(&inbox, EventState::Done).await, 1);
}

// --- what is read ----------------------------------------------------------------------------------------------------

/// How much the tables of an inbox are read: by walks through a table, and in all.
struct Measured {
    _server: Arc<PostgresServer>,
    url: String,
    admin: PgPool,
}

impl Measured {
    async fn new() -> Self {
        let server = PostgresServer::shared();
        let url = server.database().await;
        let admin = PgPool::connect(&format!("{url}&application_name=admin")).await.unwrap();
        Self { _server: server, url, admin }
    }

    async fn execute(&self, sql: &str) {
        let mut connection = PgConnection::connect(&self.url).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    /// What `work` reads, in a session of its own.
    async fn read(&self, plans: &str, work: impl AsyncFnOnce(PostgresStore)) -> (i64, i64) {
        let before = self.count().await;
        let options: PgConnectOptions = self.url.parse().unwrap();
        let options = options.options([("plan_cache_mode", plans)]);
        let pool = PgPoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
        let store = PostgresStore::options().without_notify().from_pool(pool.clone());
        work(store.clone()).await;
        drop(store);
        pool.close().await;
        let after = self.count().await;
        (after.0 - before.0, after.1 - before.1)
    }

    async fn count(&self) -> (i64, i64) {
        // A session reports its counts at its end at the latest.
        let ours = "SELECT count(*) FROM pg_stat_activity
                    WHERE datname = current_database() AND application_name <> 'admin' AND backend_type = 'client backend'";
        while sqlx::query_scalar::<_, i64>(ours).fetch_one(&self.admin).await.unwrap() > 0 {
            tokio::task::yield_now().await;
        }
        let read = "SELECT coalesce(sum(t.seq_tup_read), 0)::bigint AS walked,
                           (coalesce(sum(t.seq_tup_read + coalesce(t.idx_tup_fetch, 0)), 0)
                            + (SELECT coalesce(sum(i.idx_tup_read), 0) FROM pg_stat_user_indexes AS i WHERE i.relname LIKE 'webhook_inbox%')
                           )::bigint AS read
                    FROM pg_stat_user_tables AS t WHERE t.relname LIKE 'webhook_inbox%'";
        let row = sqlx::query(read).fetch_one(&self.admin).await.unwrap();
        (row.get("walked"), row.get("read"))
    }
}

/// Every call, with its own values, in full tables.
#[tokio::test]
async fn no_call_walks_the_table_or_reads_more_than_it_needs() {
    let all = if is_long() { 1_000_000 } else { 20_000 };
    let measured = Measured::new().await;
    drop(PostgresStore::connect(&measured.url).await.unwrap());
    let fill = format!(
        "INSERT INTO webhook_inbox_events
             (due_at, accepted_at, retention, guard_until, attempt, spent, state, key, fingerprint, order_key, guard, consumer,
              provider, tenant, delivery_id, event_type, head, body)
         SELECT CASE WHEN state <= 1 AND n % 7 = 0 THEN 9223372036854775807 ELSE ms + n END, ms + n, 3600000,
                ms + 3600000, 1, 0, state, decode(md5(n::text), 'hex'), '\\x0000000000000000', decode(md5((n % 1000)::text), 'hex'),
                decode(md5('g' || n), 'hex'), CASE WHEN n % 3 = 0 THEN 'other' ELSE 'crm' END, 'acme', 't' || n % 100, 'evt_' || n,
                CASE WHEN n % 500 = 0 THEN 'rare' ELSE 'common' END, '{{}}', '{{}}'
         FROM (
             SELECT n, (extract(epoch FROM now()) * 1000)::bigint - 1000000 AS ms, (ARRAY[0, 2, 2, 2, 3, 4, 2, 2])[n % 8 + 1] AS state
             FROM generate_series(1, {all}) AS n
         ) AS made"
    );
    measured.execute(&fill).await;
    measured.execute("VACUUM ANALYZE webhook_inbox_events").await;
    let id = |number| tower_webhooks::inbox::InboxId::from_u64(number);
    let retention = InboxRetention::new(Duration::from_secs(1 << 30), Duration::from_secs(1 << 30));

    let check =
        async |what: &str, most: i64, work: &dyn Fn(PostgresStore) -> tower_webhooks::BoxFuture<'static, ()>| {
            // Planned for its values, and once for all values.
            for plans in ["force_custom_plan", "force_generic_plan"] {
                let (walked, read) = measured.read(plans, async |store: PostgresStore| work(store).await).await;
                assert_eq!(walked, 0, "{what} walks the table, {plans}");
                assert!(read <= most, "{what} reads {read} rows, {plans}");
            }
        };
    macro_rules! check {
        ($what:literal, $most:literal, |$store:ident| $work:expr) => {
            check($what, $most, &|$store: PostgresStore| Box::pin(async move { _ = $work.await.unwrap() })).await
        };
    }
    check!("a new event", 20, |store| store.accept(AcceptRequest::new("crm".into(), vec![event(key())])));
    let guarded = || {
        let mut event =
            ordered(ClaimKey::from_bytes(*b"\xc4\xca\x42\x38\xa0\xb9\x23\x82\x0d\xcc\x50\x9a\x6f\x75\x84\x9b"));
        event.guard = Some(Guard::new(key(), Duration::from_secs(60)));
        event
    };
    check!("a batch", 100, |store| store.accept(AcceptRequest::new("crm".into(), vec![guarded(), guarded()])));
    check!("an event under a limit", 2300, |store| {
        let mut request = AcceptRequest::new("crm".into(), vec![event(key())]);
        request.limit = Some(1000);
        async move { store.accept(request).await }
    });
    check!("a lease", 200, |store| store.lease(lease(10)));
    check!("a lease of limited sources", 300, |store| {
        let mut request = lease(10);
        (request.source_limit, request.held) = (Some(3), vec![("acme".into(), 1)]);
        async move { store.lease(request).await }
    });
    check!("an end", 100, |store| async move {
        let request = lease(1);
        let token = request.token;
        let leased = store.lease(request).await?.events.remove(0);
        assert_eq!(store.renew(leased.id, token, Duration::from_secs(60)).await?, Fenced::Applied);
        store.finish(leased.id, token, Ending::Done).await
    });
    check!("a replay", 100, |store| {
        async move { store.change("crm".into(), Change::Replay, Selection::Ids(vec![id(5), id(13)]), 10).await }
    });
    check!("an event", 20, |store| store.event(id(7)));
    check!("a purge", 100, |store| store.purge("crm".into(), retention, 500));
    check!("an erasure", 200, |store| store.erase("crm".into(), "t1".into(), 10));
    for state in [None, Some(EventState::Pending), Some(EventState::Done), Some(EventState::Dead)] {
        for kind in [None, Some("rare"), Some("common")] {
            for tenant in [None, Some("t20")] {
                for before in [None, Some(id(15_000))] {
                    let mut query = InboxQuery::default();
                    (query.state, query.event_type) = (state, kind.map(Into::into));
                    (query.tenant, query.before) = (tenant.map(Into::into), before);
                    // A page of each state at most, whatever is asked for together.
                    let what = format!("{query:?}");
                    check(&what, 1000, &|store: PostgresStore| {
                        let query = query.clone();
                        Box::pin(async move { _ = store.events("crm".into(), query, 20).await.unwrap() })
                    })
                    .await;
                }
            }
        }
    }
    // The figures count in indexes, each state no further than to the limit.
    let (walked, _) =
        measured.read("auto", async |store: PostgresStore| _ = store.stats("crm".into()).await.unwrap()).await;
    assert_eq!(walked, 0, "the figures walk the table");
    let since = SystemClock.now();
    check!("dead letters of late", 5000, |store| {
        async move { store.change("crm".into(), Change::Replay, Selection::DiedSince(since), 10).await }
    });
}

/// A snapshot that is older than an event with the order key does not see it, so the event would never become due.
#[tokio::test]
async fn an_order_key_ends_at_read_committed_alone() {
    let (_server, store) = new().await;
    let order = key();
    accept(&store, vec![ordered(order)]).await;
    let request = lease(1);
    let token = request.token;
    let leased = store.lease(request).await.unwrap().events.remove(0);

    for level in ["REPEATABLE READ", "SERIALIZABLE"] {
        let begin = AssertSqlSafe(format!("BEGIN ISOLATION LEVEL {level}"));
        let mut tx = store.pool().begin_with(begin).await.unwrap();
        sqlx::query("SELECT 1").execute(&mut *tx).await.unwrap();
        accept(&store, vec![ordered(order)]).await;
        let connection: &mut PgConnection = &mut tx;
        let error = store.finish_in(connection, leased.id, token).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Rejected, "{level}: {error}");
        tx.rollback().await.unwrap();
    }
    let mut tx = store.pool().begin().await.unwrap();
    let connection: &mut PgConnection = &mut tx;
    assert_eq!(store.finish_in(connection, leased.id, token).await.unwrap(), Fenced::Applied);
    tx.commit().await.unwrap();
    assert_eq!(store.lease(lease(9)).await.unwrap().events.len(), 1, "the next of the key");
}

/// An entry of an index is bounded, and a type is not.
#[tokio::test]
async fn an_event_with_a_very_long_type_is_stored() {
    let (_server, store) = new().await;
    // It does not compress well.
    let long: String = (0..200).map(|_| format!("{:?}", token().to_bytes())).collect();
    for event_type in [&long[..], "short"] {
        let mut event = event(key());
        event.event_type = Some(event_type.into());
        assert!(matches!(accept(&store, vec![event]).await[..], [Accepted::New]));
    }

    let all = store.events("crm".into(), InboxQuery::default(), 10).await.unwrap();
    assert_eq!(
        all.iter().map(|event| event.event_type.as_deref()).collect::<Vec<_>>(),
        [Some("short"), Some(&long[..])]
    );
    let short = store.events("crm".into(), InboxQuery::default().event_type("short"), 10).await.unwrap();
    assert_eq!(short.len(), 1);
}
