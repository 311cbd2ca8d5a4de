//! Tests of the outbox's cost with full tables: those that count, and those that measure ratios in one run. With
//! `TOWER_WEBHOOKS_LONG=1` they are of full size.

use std::{
    any::Any,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::http::StatusCode;
use sqlx::{
    AssertSqlSafe, Connection, PgConnection, PgPool, SqlitePool,
    postgres::{PgListener, PgPoolOptions},
    sqlite::SqlitePoolOptions,
};
use tokio::{sync::Notify, task::JoinSet, time::Instant};
use tower_webhooks::{
    BoxFuture,
    clock::ClockOffset,
    send::{
        After, AttemptRequest, AttemptResult, DeliveryQuery, DeliveryState, DestinationPolicy, DisabledReason,
        Dispatched, Dispatcher, EndpointDraft, EndpointId, EndpointResponse, EndpointSettings, Finish, LeaseRequest,
        LeaseToken, LeasedDelivery, Message, NewEndpoint, OutboxEndpoints, OutboxLog, OutboxQueue, OutboxStore,
        Retention, SampleStep, Scope, Sealed, SealingKey, SentDeliveryId, Style, Transport,
    },
    store::{PostgresStore, SqliteStore, sqlite::SqliteStoreOptions},
    transaction::StoreTransaction,
};

use crate::support::{claims::counts, postgres_server::PostgresServer};

// Telling other processes

/// Commits that take 5 ms, as on a network's disk or with a synchronous replica. Where each of them notified, no two of them
/// would share a flush, and the ratio would be 0.15.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn dispatches_with_and_without_endpoints_share_their_commits() {
    let server = PostgresServer::careful();
    let url = server.database().await;
    let slow = format!("{url}&options=-c%20commit_delay%3D5000%20-c%20commit_siblings%3D0");
    let store = PostgresStore::options().max_connections(20).connect(&slow).await.unwrap();
    register(&store, "acme").await;
    // Connections are opened and statements prepared.
    dispatches_a_second(&store, "nobody", 20).await;

    let each = counts(40, 400);
    let without = dispatches_a_second(&store, "nobody", each).await;
    let with = dispatches_a_second(&store, "acme", each).await;

    let least = if counts(0, 1) == 1 { 0.8 } else { 0.4 };
    println!("dispatches a second: {without:.0} without endpoints, {with:.0} with: {:.2}", with / without);
    assert!(with / without >= least, "{with:.0} a second with endpoints, {without:.0} without");
}

async fn dispatches_a_second(store: &PostgresStore, tenant: &'static str, each: u32) -> f64 {
    let begun = Instant::now();
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
    f64::from(16 * each) / begun.elapsed().as_secs_f64()
}

/// The channel's name is read from a listening worker's session.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dispatch_is_told_of_after_its_commit_and_many_together() {
    let server = PostgresServer::shared();
    let url = server.database().await;
    let pool = PgPool::connect(&url).await.unwrap();
    let store = PostgresStore::connect(&url).await.unwrap();
    let silent = PostgresStore::options().without_notify().connect(&url).await.unwrap();
    register(&store, "acme").await;
    let mut listener = PgListener::connect(&url).await.unwrap();
    listener.listen(&channel(&pool, &store).await).await.unwrap();

    // There is no notification of an event that no endpoint wants, from a store without notifications, or from an
    // application's transaction.
    store.dispatch(vec![message("nobody")]).await.unwrap();
    silent.dispatch(vec![message("acme")]).await.unwrap();
    silent.notify();
    let mut transaction = pool.begin().await.unwrap();
    let connection: &mut (dyn Any + Send) = transaction.connection();
    store.dispatch_in(connection, vec![message("acme")]).await.unwrap();
    transaction.commit().await.unwrap();
    sqlx::query("SELECT pg_notify($1, 'marked')").bind(channel(&pool, &store).await).execute(&pool).await.unwrap();
    let first = tokio::time::timeout(Duration::from_secs(60), listener.recv()).await.unwrap().unwrap();
    assert_eq!(first.payload(), "marked");

    // One commit after the other, and far fewer notifications.
    let all = 300;
    let begun = Instant::now();
    for _ in 0..all {
        assert_eq!(store.dispatch(vec![message("acme")]).await.unwrap(), [Dispatched::Stored { deliveries: 1 }]);
    }
    let most = begun.elapsed().as_millis() / 5 + 2;
    tokio::time::timeout(Duration::from_secs(60), listener.recv()).await.unwrap().unwrap();
    let mut heard = 1;
    while tokio::time::timeout(Duration::from_millis(500), listener.recv()).await.is_ok() {
        heard += 1;
    }
    assert!(heard < all && heard <= most, "{heard} of {all}, in a time for {most}");
}

/// The name is private to the store, so it is read from a listening session.
async fn channel(pool: &PgPool, store: &PostgresStore) -> String {
    let (store, asked) = (store.clone(), pool.clone());
    let listening = tokio::spawn(async move { store.listen(Box::new(|| {})).await });
    let until = Instant::now() + Duration::from_secs(60);
    let name = loop {
        let found: Option<String> = sqlx::query_scalar(
            "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%' \
             AND state = 'idle' ORDER BY state_change DESC LIMIT 1",
        )
        .fetch_optional(&asked)
        .await
        .unwrap();
        if let Some(query) = found {
            break query.trim_start_matches("LISTEN").trim().trim_matches('"').to_owned();
        }
        assert!(Instant::now() < until, "nobody listens");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    listening.abort();
    name
}

// Leasing

/// Whatever else waits: for a retry in an hour, or since its endpoint rests.
#[tokio::test]
async fn a_lease_in_sqlite_takes_as_many_steps_however_many_endpoints_wait() {
    let mut steps = Vec::new();
    for waiting in [0, counts(2_000, 20_000)] {
        let counted = Counted::new().await;
        wait_sqlite(&counted.pool, waiting).await;
        let endpoint = register(&counted.store, "acme").await;
        // A look or two find out that there is nothing to lease of them.
        while counted.steps(async { lease(&counted.store, 100).await }).await.0 > 20_000 {}

        let idle = counted.steps(async { assert_eq!(lease(&counted.store, 100).await.len(), 0) }).await.0;
        counted.store.dispatch(vec![message("acme")]).await.unwrap();
        let busy =
            counted.steps(async { assert_eq!(lease(&counted.store, 100).await[0].endpoint.id, endpoint) }).await.0;
        steps.push((idle, busy));
    }
    let ((idle, busy), (idle_beside, busy_beside)) = (steps[0], steps[1]);
    assert!(idle_beside <= idle + idle / 10 + 5, "{steps:?}");
    assert!(busy_beside <= busy + busy / 10 + 5, "{steps:?}");
}

/// Half of them have a retry due in an hour, and half have something due and rest for an hour.
async fn wait_sqlite(pool: &SqlitePool, endpoints: u32) {
    let fill = format!(
        "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {endpoints}) \
         INSERT INTO webhook_outbox_endpoints \
         (id, tenant, url, events, description, style, sealing_key, sealed, created_at, ready_at, rests_until) \
         SELECT printf('ep_%032x', n), 'waiting', 'https://example.com/', '*', '', 'standard-webhooks', '', x'00', 0, \
         CASE WHEN n % 2 = 0 THEN 0 ELSE unixepoch() * 1000 + 3600000 END, \
         CASE WHEN n % 2 = 0 THEN 0 ELSE unixepoch() * 1000 + 3600000 END FROM n WHERE {endpoints} > 0; \
         INSERT INTO webhook_outbox_messages (tenant, id, event_type, digest, happened_at, created_at, payload) \
         VALUES ('waiting', 'waiting', 'order.completed', x'00', 0, unixepoch() * 1000, '7'); \
         INSERT INTO webhook_outbox_deliveries (message, tenant, event_type, endpoint, state, due_at, attempt, created_at) \
         SELECT 1, 'waiting', 'order.completed', id, 0, \
         unixepoch() * 1000 + CASE WHEN ready_at = 0 THEN 3600000 ELSE 0 END, 1, unixepoch() * 1000 \
         FROM webhook_outbox_endpoints WHERE tenant = 'waiting'"
    );
    sqlx::raw_sql(AssertSqlSafe(fill)).execute(pool).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_in_postgres_reads_as_much_however_many_endpoints_wait() {
    let mut read = Vec::new();
    for waiting in [0, counts(2_000, 20_000)] {
        let measured = Measured::new().await;
        let store = measured.store().await;
        let busy = register(&store, "acme").await;
        store.dispatch(vec![message("acme")]).await.unwrap();
        // In addition to one endpoint with many deliveries.
        let fill = format!(
            "INSERT INTO webhook_outbox_messages (tenant, id, event_type, digest, happened_at, created_at, payload)
             SELECT tenant, 'copy-' || n, event_type, digest, happened_at, created_at, payload
             FROM webhook_outbox_messages, generate_series(1, 3000) AS n;
             INSERT INTO webhook_outbox_deliveries (message, tenant, event_type, endpoint, state, due_at, created_at)
             SELECT m.seq, d.tenant, d.event_type, d.endpoint, d.state, d.due_at, d.created_at
             FROM webhook_outbox_deliveries AS d, webhook_outbox_messages AS m WHERE m.id LIKE 'copy-%';
             INSERT INTO webhook_outbox_endpoints
                 (id, tenant, url, events, description, style, sealing_key, sealed, created_at, ready_at, rests_until)
             SELECT 'ep_' || lpad(to_hex(n), 32, '0'), 'waiting', url, events, '', style, '', '', created_at,
                    CASE WHEN n % 2 = 0 THEN 0 ELSE created_at + 3600000 END,
                    CASE WHEN n % 2 = 0 THEN 0 ELSE created_at + 3600000 END
             FROM webhook_outbox_endpoints, generate_series(1, {waiting}) AS n;
             INSERT INTO webhook_outbox_deliveries (message, tenant, event_type, endpoint, state, due_at, attempt, created_at)
             SELECT 1, 'waiting', 'order.completed', id, 0, created_at + CASE WHEN ready_at = 0 THEN 3600000 ELSE 0 END, 1,
                    created_at
             FROM webhook_outbox_endpoints WHERE tenant = 'waiting';
             ANALYZE"
        );
        measured.execute(&fill).await;
        // Each is noted once, by the polls that find it.
        let new = "SELECT count(*) FROM webhook_outbox_deliveries
                   WHERE tenant = 'waiting' AND noted_due IS DISTINCT FROM due_at";
        let until = Instant::now() + LONG;
        while measured.number(new).await > 0 {
            lease(&store, 1).await;
            assert!(Instant::now() < until, "what waits is not noted");
        }
        for sql in ["UPDATE webhook_outbox_deliveries SET state = 3 WHERE state = 1", "VACUUM ANALYZE"] {
            measured.execute(sql).await;
        }
        drop(store);

        read.push(measured.rows_read(async |store| assert_eq!(lease(&store, 4).await[0].endpoint.id, busy)).await);
    }
    assert!(read[1] <= read[0] + read[0] / 10 + 20, "{read:?}");
}

/// A row of one key: its first delivery ends, and the next one is leased.
#[tokio::test]
async fn a_lease_in_sqlite_takes_as_many_steps_however_long_the_row_of_a_key_is() {
    let mut steps = Vec::new();
    for behind in [300, counts(3_000, 100_000)] {
        let counted = Counted::new().await;
        register(&counted.store, "acme").await;
        counted.store.dispatch(vec![message("acme").order_key("a")]).await.unwrap();
        let fill = format!(
            "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {behind}) \
             INSERT INTO webhook_outbox_messages (tenant, id, event_type, digest, happened_at, created_at, payload, order_key) \
             SELECT tenant, 'copy-' || n, event_type, digest, happened_at, created_at, payload, order_key \
             FROM webhook_outbox_messages, n; \
             INSERT INTO webhook_outbox_deliveries (message, tenant, event_type, endpoint, state, due_at, created_at, order_key) \
             SELECT m.seq, d.tenant, d.event_type, d.endpoint, 0, d.due_at, d.created_at, m.order_key \
             FROM webhook_outbox_deliveries d, webhook_outbox_messages m WHERE m.id LIKE 'copy-%'"
        );
        sqlx::raw_sql(AssertSqlSafe(fill)).execute(&counted.pool).await.unwrap();
        let head = put_aside(&counted.store).await;

        steps.push(counted.steps(next_of_key(&counted.store, head)).await.0);
    }
    assert!(steps[1] <= steps[0] + steps[0] / 10 + 20, "{steps:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_in_postgres_reads_as_much_however_long_the_row_of_a_key_is() {
    let mut read = Vec::new();
    for behind in [300, counts(3_000, 100_000)] {
        let measured = Measured::new().await;
        let store = measured.store().await;
        register(&store, "acme").await;
        store.dispatch(vec![message("acme").order_key("a")]).await.unwrap();
        let fill = format!(
            "INSERT INTO webhook_outbox_messages (tenant, id, event_type, digest, happened_at, created_at, payload, order_key)
             SELECT tenant, 'copy-' || n, event_type, digest, happened_at, created_at, payload, order_key
             FROM webhook_outbox_messages, generate_series(1, {behind}) AS n;
             INSERT INTO webhook_outbox_deliveries (message, tenant, event_type, endpoint, state, due_at, created_at, order_key)
             SELECT m.seq, d.tenant, d.event_type, d.endpoint, 0, d.due_at, d.created_at, m.order_key
             FROM webhook_outbox_deliveries AS d, webhook_outbox_messages AS m WHERE m.id LIKE 'copy-%' ORDER BY m.seq;
             ANALYZE"
        );
        measured.execute(&fill).await;
        let head = put_aside(&store).await;
        measured.execute("VACUUM ANALYZE").await;
        drop(store);

        read.push(measured.rows_read(async |store| next_of_key(&store, head).await).await);
    }
    assert!(read[1] <= read[0] + read[0] / 10 + 20, "{read:?}");
}

/// Leases the first of a key, until all of those behind it are put aside.
async fn put_aside(store: &impl OutboxStore) -> (SentDeliveryId, LeaseToken) {
    let token = LeaseToken::random().unwrap();
    let mut leased = Vec::new();
    let mut looks = 0;
    while looks < 3 {
        let more = store.lease(LeaseRequest::new(token, LONG, 100)).await.unwrap();
        looks = if more.next_due.is_some_and(|due| due > Duration::from_secs(1)) { looks + 1 } else { 0 };
        leased.extend(more.deliveries);
    }
    assert_eq!(leased.len(), 1);
    (leased[0].id, token)
}

async fn next_of_key(store: &impl OutboxStore, (head, token): (SentDeliveryId, LeaseToken)) {
    let _ = store.finish(head, token, Finish::new(After::Delivered)).await.unwrap();
    let next = lease(store, 100).await;
    assert_eq!(next.len(), 1);
    assert!(next[0].id > head);
}

// Counting attempts

/// A trigger that drops the rows gives the cost of a store that does not count.
#[tokio::test]
async fn counting_attempts_costs_a_finish_little() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = format!("sqlite://{}/outbox.db", folder.path().display());
    let server = PostgresServer::shared();
    let postgres = server.database().await;

    let store = SqliteStore::connect(&sqlite).await.unwrap();
    let pool = SqlitePool::connect(&sqlite).await.unwrap();
    // Made once: a change of the schema between the rounds would make every statement be prepared again.
    let drop_rows = "CREATE TABLE counting (is_on INTEGER); INSERT INTO counting VALUES (0);
         CREATE TRIGGER counts_nothing BEFORE INSERT ON webhook_outbox_stats WHEN (SELECT is_on FROM counting) = 0
         BEGIN SELECT RAISE(IGNORE); END";
    sqlx::raw_sql(drop_rows).execute(&pool).await.unwrap();
    let switch = async |counting: bool| {
        sqlx::query("UPDATE counting SET is_on = ?").bind(counting).execute(&pool).await.unwrap();
    };
    counting_costs("SQLite", &store, &switch).await;

    let store = PostgresStore::connect(&postgres).await.unwrap();
    let pool = PgPool::connect(&postgres).await.unwrap();
    let drop_rows = "CREATE TABLE counting (is_on boolean); INSERT INTO counting VALUES (false);
         CREATE FUNCTION counts_nothing() RETURNS trigger LANGUAGE plpgsql AS
         'BEGIN IF (SELECT is_on FROM counting) THEN RETURN new; ELSE RETURN NULL; END IF; END';
         CREATE TRIGGER counts_nothing BEFORE INSERT ON webhook_outbox_stats FOR EACH ROW EXECUTE FUNCTION counts_nothing()";
    sqlx::raw_sql(drop_rows).execute(&pool).await.unwrap();
    let switch = async |counting: bool| {
        sqlx::query("UPDATE counting SET is_on = $1").bind(counting).execute(&pool).await.unwrap();
    };
    counting_costs("PostgreSQL", &store, &switch).await;
}

#[allow(clippy::print_stdout)] // It is a part of the test.
async fn counting_costs(name: &str, store: &impl OutboxStore, switch: &impl AsyncFn(bool)) {
    let each = counts(60, 1000);
    let endpoint = register(store, "acme").await;
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..counts(7, 21) {
        let counting = round % 2 == 1;
        switch(counting).await;
        store.dispatch((0..each).map(|_| message("acme")).collect()).await.unwrap();
        let mut spent = Duration::ZERO;
        let mut ended = 0;
        while ended < each {
            let token = LeaseToken::random().unwrap();
            for leased in store.lease(LeaseRequest::new(token, LONG, 100)).await.unwrap().deliveries {
                let begun = Instant::now();
                let _ = store.finish(leased.id, token, Finish::new(After::Delivered)).await.unwrap();
                spent += begun.elapsed();
                ended += 1;
            }
        }
        times[usize::from(counting)].push(spent / each);
    }
    let [without, with] = times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64() * 1e6
    });
    println!("{name}: {without:.0} µs a finish, {with:.0} µs with the count: {:.2}", with / without);
    // A machine that is busy measures itself.
    assert!(with <= 2.0 * without, "{name}: {with:.0} µs with the count, {without:.0} µs without");
    let cells = store.stats(tower_webhooks::send::Scope::all().endpoint(endpoint), 0, u32::MAX >> 1).await.unwrap();
    assert!(cells.iter().map(|cell| cell.count).sum::<u64>() >= u64::from(each));
}

// Switching an endpoint

/// As a 410 does it, and then its owner.
#[tokio::test]
async fn what_waits_in_sqlite_is_moved_in_steps_and_shown_where_it_will_be() {
    const STEP: i64 = 1000;
    let all = i64::from(counts(3_500, 100_000));
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/outbox.db", folder.path().display());
    let store = SqliteStore::connect(&url).await.unwrap();
    let pool = SqlitePool::connect(&url).await.unwrap();
    let (endpoint, other) = (register(&store, "acme").await, register(&store, "acme").await);
    store.dispatch(vec![message("acme")]).await.unwrap();
    let copies = format!(
        "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {all} - 1) \
         INSERT INTO webhook_outbox_messages (tenant, id, event_type, digest, happened_at, created_at, payload) \
         SELECT tenant, 'copy-' || n, event_type, digest, happened_at, created_at, payload FROM webhook_outbox_messages, n; \
         INSERT INTO webhook_outbox_deliveries (message, tenant, event_type, endpoint, state, due_at, created_at) \
         SELECT m.seq, m.tenant, m.event_type, '{endpoint}', 0, m.created_at, m.created_at \
         FROM webhook_outbox_messages m WHERE m.id LIKE 'copy-%'"
    );
    sqlx::raw_sql(AssertSqlSafe(copies)).execute(&pool).await.unwrap();
    let in_state = async |state: i64| {
        let count = "SELECT count(*) FROM webhook_outbox_deliveries WHERE endpoint = ? AND state = ?";
        sqlx::query_scalar::<_, i64>(count).bind(endpoint.to_string()).bind(state).fetch_one(&pool).await.unwrap()
    };
    let token = LeaseToken::random().unwrap();
    let leases = store.lease(LeaseRequest::new(token, LONG, 100)).await.unwrap().deliveries;
    let of_it = leases.iter().find(|leased| leased.endpoint.id == endpoint).unwrap();

    let mut finish = Finish::new(After::Gone);
    finish.notice = None;
    let (_, disabled) = store.finish(of_it.id, token, finish).await.unwrap();

    assert_eq!(disabled, Some(DisabledReason::Gone));
    assert_eq!(in_state(2).await, STEP + 1, "one transaction moves no more");
    let waiting = all - 4;
    assert_eq!(shown(&store, endpoint, DeliveryState::Held).await, waiting + 1);
    assert_eq!(shown(&store, endpoint, DeliveryState::Pending).await, 0);
    assert_eq!(shown(&store, endpoint, DeliveryState::Sending).await, 3);
    let of_tenant = DeliveryQuery::default().state(DeliveryState::Pending);
    assert!(
        store.deliveries("acme".into(), of_tenant, 100).await.unwrap().iter().all(|record| record.endpoint == other)
    );
    assert!(lease(&store, 100).await.iter().all(|leased| leased.endpoint.id == other), "a disabled one is leased");

    // The process ends, and another one continues.
    store.close().await;
    let store = SqliteStore::connect(&url).await.unwrap();
    purge(&store).await;
    assert_eq!((in_state(2).await, in_state(0).await), (waiting + 1, 0));
    assert!(store.switch_endpoint(endpoint, None).await.unwrap());
    assert_eq!(shown(&store, endpoint, DeliveryState::Pending).await, waiting + 1);
    purge(&store).await;
    assert_eq!((in_state(2).await, in_state(0).await), (0, waiting + 1));
    assert!(lease(&store, 100).await.iter().any(|leased| leased.endpoint.id == endpoint));

    assert!(store.delete_endpoint(endpoint).await.unwrap());
    let cancelled = shown(&store, endpoint, DeliveryState::Cancelled).await;
    assert!(cancelled >= waiting - 3, "{cancelled} of {waiting}");
    purge(&store).await;
    assert_eq!(in_state(6).await, cancelled);
    let moves: i64 = sqlx::query_scalar("SELECT count(*) FROM webhook_outbox_moves").fetch_one(&pool).await.unwrap();
    assert_eq!(moves, 0);
}

/// The application's own write, while an endpoint with very much that waits is switched.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_applications_own_write_does_not_wait_for_a_switch_in_sqlite() {
    let all = counts(20_000, 1_000_000);
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/outbox.db", folder.path().display());
    let store = SqliteStore::connect(&url).await.unwrap();
    let pool = SqlitePool::connect(&url).await.unwrap();
    let endpoint = register(&store, "acme").await;
    store.dispatch(vec![message("acme")]).await.unwrap();
    let fill = format!(
        "CREATE TABLE orders (n INTEGER); \
         WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {all}) \
         INSERT INTO webhook_outbox_deliveries (message, tenant, event_type, endpoint, state, due_at, created_at) \
         SELECT -n, tenant, event_type, endpoint, state, due_at, created_at FROM webhook_outbox_deliveries, n"
    );
    sqlx::raw_sql(AssertSqlSafe(fill)).execute(&pool).await.unwrap();
    // Or the first commit after it would.
    sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)").execute(&pool).await.unwrap();

    let mut longest = Duration::ZERO;
    for disabled in [Some(DisabledReason::Asked), None] {
        let (store, switched) = (store.clone(), Arc::new(AtomicU64::new(0)));
        let done = switched.clone();
        let switching = tokio::spawn(async move {
            store.switch_endpoint(endpoint, disabled).await.unwrap();
            // As a worker does it.
            loop {
                let begun = Instant::now();
                if store.purge(Retention::default(), 500).await.unwrap() == 0 {
                    break;
                }
                tokio::time::sleep(begun.elapsed()).await;
            }
            done.store(1, SeqCst);
        });
        while switched.load(SeqCst) == 0 {
            let begun = Instant::now();
            sqlx::query("INSERT INTO orders VALUES (1)").execute(&pool).await.unwrap();
            longest = longest.max(begun.elapsed());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        switching.await.unwrap();
    }
    println!("the longest wait of an application's write beside {all}: {longest:?}");
    assert!(longest < Duration::from_secs(if counts(0, 1) == 1 { 1 } else { 4 }), "{longest:?}");
}

/// All pages of it.
async fn shown(store: &impl OutboxStore, endpoint: EndpointId, state: DeliveryState) -> i64 {
    let mut query = DeliveryQuery::default().endpoint(endpoint).state(state);
    let mut count = 0;
    loop {
        let page = store.deliveries("acme".into(), query.clone(), 250).await.unwrap();
        assert!(page.iter().all(|record| record.state == state), "{page:?}");
        assert!(page.is_sorted_by(|one, other| one.id > other.id));
        count += page.len() as i64;
        match page.last() {
            Some(last) => query = query.before(last.id),
            None => return count,
        }
    }
}

// Lists

#[tokio::test]
#[allow(clippy::print_stdout)] // It is a part of the test.
async fn every_list_in_sqlite_takes_as_many_steps_at_its_end_as_at_its_beginning() {
    let all = counts(4_000, 1_000_000);
    let counted = Counted::new().await;
    let endpoint = register(&counted.store, "acme").await;
    let fill = format!(
        "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {all}) \
         INSERT INTO webhook_outbox_messages (tenant, id, event_type, digest, happened_at, created_at, payload) \
         SELECT 'acme', 'm-' || n, CASE WHEN n % 50 = 0 THEN 'rare' ELSE 'order.completed' END, x'00', 0, 0, '7' FROM n; \
         INSERT INTO webhook_outbox_deliveries (message, tenant, event_type, endpoint, state, due_at, created_at) \
         SELECT m.seq, m.tenant, m.event_type, CASE WHEN m.seq % 3 = 0 THEN '{endpoint}' ELSE 'ep_' || m.seq % 3 END, \
         CASE WHEN m.seq % 40 < 38 THEN 3 ELSE 5 END, 0, 0 FROM webhook_outbox_messages m"
    );
    sqlx::raw_sql(AssertSqlSafe(fill.replace("'ep_' || m.seq % 3", "printf('ep_%032x', m.seq % 3)")))
        .execute(&counted.pool)
        .await
        .unwrap();

    for query in queries(endpoint) {
        let mut query = query;
        let (mut first, mut last, mut found) = (None, 0, 0);
        loop {
            let list = counted.store.deliveries("acme".into(), query.clone(), 5);
            let (steps, page) = counted.steps(async { list.await.unwrap() }).await;
            if page.len() < 5 {
                break;
            }
            // The very first one of a statement does more.
            if found > 0 {
                first.get_or_insert(steps);
            }
            (last, found) = (steps, found + page.len());
            query = query.before(page[4].id);
            if found > 500 && query.before.is_some_and(|before| before.to_u64() > 200) {
                // On to the end.
                query = query.before(tower_webhooks::send::SentDeliveryId::from_u64(200));
            }
        }
        let first = first.unwrap_or(last);
        assert!(last <= first + first / 2 + 20 && last < 2_000, "{query:?}: {first} and {last} steps");
    }

    // Those of all tenants.
    for state in [None, Some(DeliveryState::Exhausted)] {
        let mut steps = Vec::new();
        // The first one prepares its statement.
        for before in [None, None, Some(200)] {
            let before = before.map(tower_webhooks::send::SentDeliveryId::from_u64);
            let list = counted.store.all_deliveries(state, before, 5);
            let (taken, page) = counted.steps(async { list.await.unwrap() }).await;
            assert!(page.len() == 5 && page.iter().all(|record| state.is_none_or(|state| state == record.state)));
            steps.push(taken);
        }
        assert!(steps[2] <= steps[1] + steps[1] / 2 + 20 && steps[2] < 2_000, "{state:?}: {steps:?}");
    }

    // An overview of a day, of three endpoints whose attempts end in four ways, beside a page of the list.
    let fill = "WITH RECURSIVE n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < 24 * 3 * 4 - 1) \
                INSERT INTO webhook_outbox_stats (tenant, hour, endpoint, ended, bucket, count) \
                SELECT 'acme', 1000 + n / 12, printf('ep_%032x', n / 4 % 3), n % 4 / 2, n % 2, 1 FROM n";
    sqlx::raw_sql(fill).execute(&counted.pool).await.unwrap();
    let mut steps = Vec::new();
    for _ in 0..2 {
        let page = counted.store.deliveries("acme".into(), DeliveryQuery::default(), 50);
        steps.push(counted.steps(async { page.await.unwrap().len() }).await);
        let overview = async {
            let cells = counted.store.stats(Scope::tenant("acme"), 1000, 1024).await.unwrap().len();
            counted.store.backlog(Scope::tenant("acme")).await.unwrap();
            cells + counted.store.deliveries("acme".into(), DeliveryQuery::default(), 10).await.unwrap().len()
        };
        steps.push(counted.steps(overview).await);
    }
    // That of an operator of all tenants also has what waited, of a week by two hours.
    let fill = "WITH RECURSIVE n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < 95) \
                INSERT INTO webhook_outbox_backlog (step, start, waiting, oldest_due, unserved) \
                SELECT 2, n * 7200000, n, n, n FROM n";
    sqlx::raw_sql(fill).execute(&counted.pool).await.unwrap();
    let start = |number: u32| std::time::UNIX_EPOCH + SampleStep::TwoHours.length() * number;
    for _ in 0..2 {
        let history = counted.store.backlog_samples(SampleStep::TwoHours, start(12), start(96));
        steps.push(counted.steps(async { history.await.unwrap().len() }).await);
    }
    let [_, _, (page, rows), (overview, shown), _, (history, samples)] = steps[..] else { panic!("{steps:?}") };
    assert_eq!(samples, 84);
    assert_eq!((rows, shown), (50, 24 * 4 + 10));
    println!("a page takes {page} steps, an overview {overview}, and what waited {history}");
    // It takes as many however many deliveries there are, since attempts are counted by the hour.
    assert!(overview + history <= 3 * page, "a page takes {page} steps, an overview {overview} and {history}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_list_in_postgres_reads_more_than_pages() {
    let all = counts(10_000, 1_000_000);
    let measured = Measured::new().await;
    let store = measured.store().await;
    let endpoint = register(&store, "acme").await;
    drop(store);
    let fill = format!(
        "INSERT INTO webhook_outbox_messages (tenant, id, event_type, digest, happened_at, created_at, payload)
         SELECT 'acme', 'm-' || n, CASE WHEN n % 50 = 0 THEN 'rare' ELSE 'order.completed' END, '', 0, 0, '7'
         FROM generate_series(1, {all}) AS n;
         INSERT INTO webhook_outbox_deliveries (message, tenant, event_type, endpoint, state, due_at, created_at)
         SELECT m.seq, m.tenant, m.event_type,
                CASE WHEN m.seq % 3 = 0 THEN '{endpoint}' ELSE 'ep_' || lpad((m.seq % 3)::text, 32, '0') END,
                CASE WHEN m.seq % 40 < 38 THEN 3 ELSE 5 END, 0, 0
         FROM webhook_outbox_messages AS m ORDER BY m.seq;
         ANALYZE"
    );
    measured.execute(&fill).await;

    for query in queries(endpoint) {
        for before in [None, Some(500)] {
            let mut query = query.clone();
            query.before = before.map(tower_webhooks::send::SentDeliveryId::from_u64);
            let asked = query.clone();
            let read = measured
                .rows_read(async |store| _ = store.deliveries("acme".into(), asked.clone(), 20).await.unwrap())
                .await;
            assert!(read < 500, "{query:?} read {read} rows");
        }
    }
}

/// Every combination of filters, with frequent and rare values.
fn queries(endpoint: EndpointId) -> Vec<DeliveryQuery> {
    let mut queries = Vec::new();
    for of_endpoint in [false, true] {
        for state in [None, Some(DeliveryState::Delivered), Some(DeliveryState::Exhausted)] {
            for event_type in [None, Some("order.completed"), Some("rare")] {
                let mut query = DeliveryQuery::default();
                query.endpoint = of_endpoint.then_some(endpoint);
                query.state = state;
                query.event_type = event_type.map(str::to_owned);
                queries.push(query);
            }
        }
    }
    queries
}

// Purge

/// An old message that is still held is read once, and again when it has ended.
#[tokio::test]
async fn a_purge_in_sqlite_does_not_walk_what_is_held() {
    let held = counts(3_000, 30_000);
    let counted = Counted::new().await;
    let endpoint = register(&counted.store, "acme").await;
    let empty = counted.steps(async { assert_eq!(purge(&counted.store).await, 0) }).await.0;
    let fill = HELD.replace("{endpoint}", &endpoint.to_string());
    let series = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {held})"
        .replace("{held}", &held.to_string());
    let fill = fill
        .replace("{series}", &series)
        .replace("{from}", "n")
        .replace("{now}", "unixepoch() * 1000")
        .replace("{bytes}", "x'00'");
    sqlx::raw_sql(AssertSqlSafe(fill)).execute(&counted.pool).await.unwrap();
    purge(&counted.store).await;

    let again = counted.steps(async { assert_eq!(purge(&counted.store).await, 0) }).await.0;

    assert!(again <= empty + empty / 10 + 20, "{again} steps beside {held}, {empty} without");
    let rows = async |what: &str| {
        sqlx::query_scalar::<_, i64>(AssertSqlSafe(format!("SELECT count(*) FROM {what}")))
            .fetch_one(&counted.pool)
            .await
            .unwrap()
    };
    assert_eq!(rows("webhook_outbox_messages WHERE payload IS NOT NULL").await, i64::from(held));
    // It goes when it has ended.
    assert!(counted.store.delete_endpoint(endpoint).await.unwrap());
    purge(&counted.store).await;
    assert_eq!(rows("webhook_outbox_messages WHERE payload IS NOT NULL").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_in_postgres_does_not_walk_what_is_held() {
    let held = counts(3_000, 2_000_000);
    let measured = Measured::new().await;
    let store = measured.store().await;
    let endpoint = register(&store, "acme").await;
    let fill = held_in_postgres(held, endpoint);
    measured.execute(&fill).await;
    measured.execute("ANALYZE").await;
    purge(&store).await;
    measured.execute("VACUUM ANALYZE").await;
    drop(store);

    let read = measured.rows_read(async |store| assert_eq!(purge(&store).await, 0)).await;

    assert!(read < 500, "{read} rows");
    let rows = "SELECT count(*) FROM webhook_outbox_messages WHERE payload IS NOT NULL";
    let rows = async || measured.number(rows).await;
    assert_eq!(rows().await, i64::from(held));
    let store = measured.store().await;
    assert!(store.delete_endpoint(endpoint).await.unwrap());
    purge(&store).await;
    assert_eq!(rows().await, 0);
}

/// A worker purges from its start on, and delivers as soon as without.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_worker_beside_much_that_is_held_delivers_at_once() {
    let mut first = Vec::new();
    for held in [0, counts(3_000, 2_000_000), counts(3_000, 4_000_000)] {
        let measured = Measured::new().await;
        let store = measured.store().await;
        let endpoint = register(&store, "held").await;
        assert!(store.switch_endpoint(endpoint, Some(DisabledReason::Asked)).await.unwrap());
        if held > 0 {
            let fill = held_in_postgres(held, endpoint);
            measured.execute(&fill).await;
            measured.execute("ANALYZE").await;
        }
        let mut times = Vec::new();
        for _ in 0..5 {
            times.push(first_delivery(&store).await);
        }
        times.sort_unstable();
        first.push(times[2]);

        // It is what the workers above have begun.
        let looked_at = "SELECT count(*) FROM webhook_outbox_messages WHERE purge_after IS NOT NULL";
        let looked_at = measured.number(looked_at).await;
        assert!(held == 0 || looked_at > 0, "nothing was purged beside {held}");
        assert!(store.purge(Retention::default(), 500).await.is_ok(), "purge goes on beside {held}");
    }
    println!("first deliveries of a worker: {first:?}");
    let slack = if counts(0, 1) == 1 { Duration::from_millis(5) } else { Duration::from_secs(10) };
    assert!(first.iter().all(|time| *time <= first[0] + first[0] / 2 + slack), "{first:?}");
}

/// A transport that always succeeds.
struct Always;

impl Transport for Always {
    fn send(&self, _request: AttemptRequest) -> BoxFuture<'_, AttemptResult> {
        let answer = EndpointResponse::new(StatusCode::NO_CONTENT);
        Box::pin(std::future::ready(AttemptResult::answered(answer, Duration::from_millis(1))))
    }
}

/// From the start of a worker to its first delivery. It runs until it has purged once.
async fn first_delivery(store: &PostgresStore) -> Duration {
    let (delivered, stopped) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, stop) = (delivered.clone(), stopped.clone());
    let webhooks = Dispatcher::builder(store.clone())
        .sealing_key(SealingKey::from_bytes([7; 32]).unwrap())
        .transport(Always, DestinationPolicy::default())
        .on_delivered(move |_| tell.notify_one())
        .build()
        .unwrap();
    let endpoint = NewEndpoint::new("https://example.com/hook").unwrap().tenant("first");
    let endpoint = webhooks.endpoints().create(endpoint).await.unwrap().endpoint().id();
    webhooks.dispatch(message("first")).await.unwrap();

    let begun = Instant::now();
    let worker = tokio::spawn(webhooks.worker().run(async move { stop.notified().await }));
    tokio::time::timeout(LONG, delivered.notified()).await.unwrap();
    let took = begun.elapsed();

    tokio::time::sleep(Duration::from_secs(1)).await;
    stopped.notify_one();
    worker.await.unwrap();
    webhooks.endpoints().delete(endpoint).await.unwrap();
    took
}

fn held_in_postgres(held: u32, endpoint: EndpointId) -> String {
    HELD.replace("{endpoint}", &endpoint.to_string())
        .replace("{series}", "")
        .replace("{from}", &format!("generate_series(1, {held}) AS n"))
        .replace("{now}", "(extract(epoch FROM now()) * 1000)::bigint")
        .replace("{bytes}", "''")
}

/// Dispatched and held 40 days ago.
const HELD: &str = "{series} INSERT INTO webhook_outbox_messages (tenant, id, event_type, digest, happened_at, created_at, payload) \
     SELECT 'acme', 'm-' || n, 'order.completed', {bytes}, 0, {now} - 3456000000, '7' FROM {from}; \
     INSERT INTO webhook_outbox_deliveries (message, tenant, event_type, endpoint, state, due_at, created_at) \
     SELECT m.seq, m.tenant, m.event_type, '{endpoint}', 2, m.created_at, m.created_at FROM webhook_outbox_messages AS m";

/// Messages arrive continuously, each is delivered, and old ones are purged as fast as new ones arrive.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tables_of_a_day_are_bounded() {
    let server = PostgresServer::shared();
    let url = server.database().await;
    let folder = tempfile::tempdir().unwrap();
    let file = format!("sqlite://{}/outbox.db", folder.path().display());
    let offset = ClockOffset::default();
    let postgres = PostgresStore::options().clock_offset(offset.clone()).connect(&url).await.unwrap();
    let sqlite = SqliteStoreOptions::new().clock_offset(offset.clone()).connect(&file).await.unwrap();
    let (in_postgres, in_sqlite) = (PgPool::connect(&url).await.unwrap(), SqlitePool::connect(&file).await.unwrap());
    let endpoints = [register(&postgres, "acme").await, register(&sqlite, "acme").await];

    // The messages of a day, ten minutes at a time; content is kept for one hour, and rows for two.
    const PIECES: u32 = 24 * 6;
    let each = counts(20, 6_000);
    let retention = retention(Duration::from_secs(3600), Duration::from_secs(7200));
    let (mut most, mut purging) = ([0, 0], Duration::ZERO);
    for piece in 0..PIECES {
        let now = now(&offset);
        let fill = |endpoint: EndpointId| {
            DAY.replace("{each}", &each.to_string())
                .replace("{piece}", &piece.to_string())
                .replace("{now}", &now.to_string())
                .replace("{endpoint}", &endpoint.to_string())
        };
        let of_postgres = fill(endpoints[0])
            .replace("{series}", "")
            .replace("{bytes}", "'\\x00'")
            .replace("{from}", &format!("generate_series(1, {each}) AS n"));
        let series = format!("WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {each})");
        let of_sqlite =
            fill(endpoints[1]).replace("{series}", &series).replace("{bytes}", "x'00'").replace("{from}", "n");
        sqlx::raw_sql(AssertSqlSafe(of_postgres)).execute(&in_postgres).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(of_sqlite)).execute(&in_sqlite).await.unwrap();
        offset.advance(Duration::from_secs(600));
        let begun = Instant::now();
        while postgres.purge(retention, 500).await.unwrap() > 0 {}
        while sqlite.purge(retention, 500).await.unwrap() > 0 {}
        purging += begun.elapsed();

        let count = "SELECT (SELECT count(*) FROM webhook_outbox_messages) + (SELECT count(*) FROM webhook_outbox_deliveries) \
                     + (SELECT count(*) FROM webhook_outbox_attempts)";
        let rows: i64 = sqlx::query_scalar(count).fetch_one(&in_postgres).await.unwrap();
        most[0] = most[0].max(rows);
        let rows: i64 = sqlx::query_scalar(count).fetch_one(&in_sqlite).await.unwrap();
        most[1] = most[1].max(rows);
    }
    let a_second = f64::from(2 * PIECES * each) / purging.as_secs_f64();
    println!("{} messages; at most {most:?} rows; purged {a_second:.0} deliveries a second", PIECES * each);
    // Two hours and a piece, of three rows for each message.
    let bound = i64::from(3 * each * 13);
    assert!(most.iter().all(|most| *most <= bound), "{most:?} rows, of at most {bound}");
    if counts(0, 1) == 1 {
        assert!(a_second > 2_000.0, "{a_second:.0} deliveries a second");
    }
}

const DAY: &str = "{series} INSERT INTO webhook_outbox_messages (tenant, id, event_type, digest, happened_at, created_at, payload) \
     SELECT 'acme', 'm-{piece}-' || n, 'order.completed', {bytes}, {now}, {now}, '7' FROM {from}; \
     INSERT INTO webhook_outbox_deliveries (message, tenant, event_type, endpoint, state, due_at, created_at, attempt) \
     SELECT m.seq, m.tenant, m.event_type, '{endpoint}', 3, {now}, {now}, 1 FROM webhook_outbox_messages AS m \
     WHERE m.created_at = {now}; \
     INSERT INTO webhook_outbox_attempts (delivery, attempt, ended_at, millis, answer) \
     SELECT d.seq, 1, {now}, 1, {bytes} FROM webhook_outbox_deliveries AS d WHERE d.created_at = {now}";

/// The stores' time, in milliseconds.
fn now(offset: &ClockOffset) -> i64 {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    i64::try_from(since.as_millis()).unwrap() + offset.as_millis()
}

fn retention(content: Duration, rows: Duration) -> Retention {
    let mut retention = Retention::default();
    (retention.content, retention.rows) = (content, rows);
    retention
}

// Helpers

const LONG: Duration = Duration::from_secs(60);

/// A store in memory, whose one connection counts the steps of SQLite's machine.
struct Counted {
    store: SqliteStore,
    pool: SqlitePool,
    count: Arc<AtomicU64>,
}

impl Counted {
    async fn new() -> Self {
        let count = Arc::new(AtomicU64::new(0));
        let counts = count.clone();
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .max_lifetime(None)
            .idle_timeout(None)
            .after_connect(move |connection, _| {
                let count = counts.clone();
                Box::pin(async move {
                    connection.lock_handle().await?.set_progress_handler(1, move || {
                        count.fetch_add(1, SeqCst);
                        true
                    });
                    Ok(())
                })
            })
            .connect("sqlite::memory:")
            .await
            .unwrap();
        let store = SqliteStore::from_pool(pool.clone());
        store.migrate().await.unwrap();
        Self { store, pool, count }
    }

    /// How many steps `work` takes.
    async fn steps<T>(&self, work: impl Future<Output = T>) -> (u64, T) {
        let before = self.count.load(SeqCst);
        let done = work.await;
        (self.count.load(SeqCst) - before, done)
    }
}

/// A database whose server reports how many rows were read.
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

    /// In a session of its own, since a session's reads are counted when it ends.
    async fn execute(&self, sql: &str) {
        let mut connection = PgConnection::connect(&self.url).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    async fn number(&self, sql: &str) -> i64 {
        let mut connection = PgConnection::connect(&self.url).await.unwrap();
        let number = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        number
    }

    async fn store(&self) -> PostgresStore {
        PostgresStore::options().without_notify().connect(&self.url).await.unwrap()
    }

    /// How many rows `work` reads, in a session of its own.
    async fn rows_read(&self, work: impl AsyncFnOnce(PostgresStore)) -> i64 {
        let before = self.count().await;
        let pool = PgPoolOptions::new().max_connections(1).connect(&self.url).await.unwrap();
        work(PostgresStore::options().without_notify().from_pool(pool.clone())).await;
        pool.close().await;
        self.count().await - before
    }

    async fn count(&self) -> i64 {
        // A session reports its counts at its end at the latest.
        let ours = "SELECT count(*) FROM pg_stat_activity
                    WHERE datname = current_database() AND application_name <> 'admin' AND backend_type = 'client backend'";
        while sqlx::query_scalar::<_, i64>(ours).fetch_one(&self.admin).await.unwrap() > 0 {
            tokio::task::yield_now().await;
        }
        let read = "SELECT coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::bigint FROM pg_stat_user_tables
                    WHERE relname LIKE 'webhook_outbox%'";
        sqlx::query_scalar(read).fetch_one(&self.admin).await.unwrap()
    }
}

async fn lease(store: &impl OutboxStore, limit: u32) -> Vec<LeasedDelivery> {
    let token = LeaseToken::random().unwrap();
    store.lease(LeaseRequest::new(token, LONG, limit)).await.unwrap().deliveries
}

/// Until there is nothing more to do.
async fn purge(store: &impl OutboxStore) -> u64 {
    let mut changed = 0;
    loop {
        match store.purge(Retention::default(), 500).await.unwrap() {
            0 => return changed,
            some => changed += some,
        }
    }
}

async fn register(store: &impl OutboxStore, tenant: &str) -> EndpointId {
    let settings = EndpointSettings::new(
        "https://example.com/hook",
        vec!["*".into()],
        Style::StandardWebhooks,
        Sealed::new("key", &b"sealed"[..]),
    );
    let draft = EndpointDraft::new(EndpointId::random().unwrap(), tenant, settings);
    store.create_endpoint(draft, u32::MAX).await.unwrap().unwrap().id
}

fn message(tenant: &str) -> Message {
    Message::new("order.completed", &7).unwrap().tenant(tenant)
}
