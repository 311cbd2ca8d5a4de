//! `PostgresStore`, against real servers that the tests start.

use std::{any::Any, process::Command, sync::Arc, time::Duration};

use bytes::Bytes;
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, Row, postgres::PgPoolOptions};
use tokio::{task::JoinSet, time::Instant};
use tower_webhooks::{
    clock::ClockOffset,
    conformance::{self, OffsetHarness},
    error::{StoreError, StoreErrorKind},
    idempotency::{ClaimOutcome, ClaimRequest, Fenced, IdempotencyStore, StoredResponse},
    store::postgres::{PostgresStore, PostgresStoreOptions},
    transaction::StoreTransaction,
};

use crate::support::{
    claims::{
        DELAY, LEASE, MARGIN, RETENTION, TIMEOUT, child_url, completion, counts, fails_in_time, race, race_in_child,
        race_processes, request,
    },
    interleavings::check_interleavings,
    postgres_server::PostgresServer,
    proxy::{Fault, Proxy},
    test_name,
};

// The contract

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_keeps_the_contract() {
    for simple in [false, true] {
        let (_server, store, offset) = store_with_offset(simple).await;

        conformance::idempotency(&OffsetHarness::new(store, offset)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_keeps_the_contract_as_a_boxed_store() {
    let (_server, store, offset) = store_with_offset(false).await;
    let store: Box<dyn IdempotencyStore> = Box::new(store);

    conformance::idempotency(&OffsetHarness::new(store, offset)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_keeps_the_contract_as_a_shared_store() {
    let (_server, store, offset) = store_with_offset(false).await;
    let store: Arc<dyn IdempotencyStore> = Arc::new(store);

    conformance::idempotency(&OffsetHarness::new(store, offset)).await;
}

#[test]
fn random_interleavings_are_answered_as_the_model_says() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (_server, store, offset) = runtime.block_on(store_with_offset(false));

    check_interleavings(&runtime, &OffsetHarness::new(store, offset), 30);
}

// Claims

#[tokio::test]
async fn a_duplicate_in_flight_and_after_is_told_what_it_duplicates() {
    let (_server, store) = store().await;
    let response =
        Arc::new(StoredResponse::new(202, Some("text/plain; it's \\x".into()), Bytes::from_static(b"\0'ok")));
    let first = request(1);

    let acquired = store.claim(first).await.unwrap();
    let in_flight = store.claim(request(1)).await.unwrap();
    let completed = store.complete(first.key, first.token, completion().response(Arc::clone(&response))).await.unwrap();
    let done = store.claim(request(1)).await.unwrap();

    assert!(matches!(acquired, ClaimOutcome::Acquired { attempt: 1 }));
    let ClaimOutcome::InFlight { retry_after, fingerprint } = in_flight else { panic!("{in_flight:?}") };
    assert!(retry_after <= LEASE && retry_after > LEASE / 2, "{retry_after:?}");
    assert_eq!(fingerprint, first.fingerprint);
    assert_eq!(completed, Fenced::Applied);
    let ClaimOutcome::Done { fingerprint, response: kept } = done else { panic!("{done:?}") };
    assert_eq!(fingerprint, first.fingerprint);
    assert_eq!(kept, Some(response));
}

/// A flood of duplicates must not become a flood of writes: no row lock (it would show in `xmax`), no new version.
#[tokio::test]
async fn a_duplicate_writes_nothing() {
    const ROW: &str = "SELECT ctid::text || xmin::text || xmax::text FROM webhook_claims";

    let (_server, store, pool) = store_and_pool().await;
    let first = request(1);
    assert!(matches!(store.claim(first).await.unwrap(), ClaimOutcome::Acquired { .. }));
    let pending: String = sqlx::query_scalar(ROW).fetch_one(&pool).await.unwrap();

    assert!(matches!(store.claim(request(1)).await.unwrap(), ClaimOutcome::InFlight { .. }));
    let after: String = sqlx::query_scalar(ROW).fetch_one(&pool).await.unwrap();
    assert_eq!(after, pending);

    assert_eq!(store.complete(first.key, first.token, completion()).await.unwrap(), Fenced::Applied);
    let done: String = sqlx::query_scalar(ROW).fetch_one(&pool).await.unwrap();
    assert!(matches!(store.claim(request(1)).await.unwrap(), ClaimOutcome::Done { .. }));
    let after: String = sqlx::query_scalar(ROW).fetch_one(&pool).await.unwrap();
    assert_eq!(after, done);
}

#[tokio::test]
async fn simple_queries_mean_the_same() {
    let server = PostgresServer::shared();
    let url = server.database().await;
    let offset = ClockOffset::default();
    let options = PostgresStore::options().simple_queries().clock_offset(offset.clone());
    let store = options.connect(&url).await.unwrap();
    let response =
        Arc::new(StoredResponse::new(200, Some("text/plain; it's \\x".into()), Bytes::from_static(b"\0'ok")));
    let (first, second) = (request(1), request(1));

    assert!(matches!(store.claim(first).await.unwrap(), ClaimOutcome::Acquired { attempt: 1 }));
    assert_eq!(store.renew(first.key, first.token, LEASE).await.unwrap(), Fenced::Applied);
    assert_eq!(store.release(first.key, first.token).await.unwrap(), Fenced::Applied);
    assert!(matches!(store.claim(second).await.unwrap(), ClaimOutcome::Acquired { attempt: 2 }));
    let completion = completion().response(Arc::clone(&response));
    assert_eq!(store.complete(second.key, second.token, completion).await.unwrap(), Fenced::Applied);
    assert_eq!(store.is_done(second.key, second.token).await.unwrap(), Fenced::Applied);
    let ClaimOutcome::Done { response: kept, .. } = store.claim(first).await.unwrap() else { panic!("not done") };
    assert_eq!(kept, Some(response));
    offset.advance(RETENTION);
    assert_eq!(store.purge(10).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_simultaneous_claims_through_several_pools_one_wins() {
    let server = PostgresServer::shared();
    let url = server.database().await;
    let stores = [
        PostgresStore::connect(&url).await.unwrap(),
        PostgresStore::connect(&url).await.unwrap(),
        PostgresStore::options().simple_queries().connect(&url).await.unwrap(),
    ];

    for round in 0..counts(6, 60) {
        assert_eq!(race(&stores, round, 64).await, [1], "round {round}");
    }
}

/// Under these levels a statement cannot see what was committed after it began, and the server refuses instead.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_stricter_default_isolation_level_does_not_break_a_claim() {
    let server = PostgresServer::shared();
    for level in ["repeatable read", "serializable"] {
        let url = server.database().await;
        let mut admin = PgConnection::connect(&url).await.unwrap();
        let name = url.rsplit('/').next().unwrap().split('?').next().unwrap();
        execute(&mut admin, &format!("ALTER DATABASE {name} SET default_transaction_isolation = '{level}'")).await;
        let stores = [PostgresStore::connect(&url).await.unwrap(), PostgresStore::connect(&url).await.unwrap()];

        for round in 0..counts(4, 40) {
            assert!(race(&stores, round, 32).await.len() <= 1, "round {round} at {level}");
            let again = request(round);
            assert!(matches!(stores[0].claim(again).await.unwrap(), ClaimOutcome::InFlight { .. }), "{level}");
        }
    }
}

/// Every takeover is contended: the leases have passed, all see it, one gets it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_simultaneous_takeovers_one_wins_and_counts_the_attempt() {
    let server = PostgresServer::shared();
    let url = server.database().await;
    let offset = ClockOffset::default();
    let options = PostgresStore::options().clock_offset(offset.clone());
    let stores = [options.clone().connect(&url).await.unwrap(), options.connect(&url).await.unwrap()];
    let old = request(1);
    assert!(matches!(stores[0].claim(old).await.unwrap(), ClaimOutcome::Acquired { attempt: 1 }));

    for attempt in 2..counts(8, 60) {
        offset.advance(LEASE);
        assert_eq!(race(&stores, 1, 64).await, [attempt]);
    }
    assert_eq!(stores[0].complete(old.key, old.token, completion()).await.unwrap(), Fenced::Stale);
}

#[tokio::test]
async fn of_simultaneous_claims_by_several_processes_one_wins() {
    let server = PostgresServer::shared();
    let url = server.database().await;
    PostgresStore::connect(&url).await.unwrap();

    race_processes(test_name!("child_process_claims"), &url, counts(10, 200)).await;
}

/// Runs in a process of its own, started by the test above.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_process_claims() {
    if let Some(url) = child_url() {
        race_in_child(PostgresStore::connect_without_migrating(&url).await.unwrap()).await;
    }
}

// The application's transaction

#[tokio::test]
async fn a_duplicate_is_answered_at_once_while_a_transaction_holds_the_row() {
    let (_server, store, pool) = store_and_pool().await;
    let first = request(1);
    assert!(matches!(store.claim(first).await.unwrap(), ClaimOutcome::Acquired { .. }));
    let mut transaction = pool.begin().await.unwrap();
    assert_eq!(complete_in(&store, &mut transaction, first).await.unwrap(), Fenced::Applied);

    let asked = Instant::now();
    let during = store.claim(request(1)).await.unwrap();
    let waited = asked.elapsed();
    StoreTransaction::commit(transaction).await.unwrap();

    assert!(matches!(during, ClaimOutcome::InFlight { .. }), "{during:?}");
    assert!(waited < AT_ONCE, "{waited:?}");
    assert!(matches!(store.claim(request(1)).await.unwrap(), ClaimOutcome::Done { .. }));
}

/// The row is free by its lease, but its owner is just committing. To wait for it would be the mistake.
#[tokio::test]
async fn a_takeover_is_answered_at_once_while_a_transaction_holds_the_row() {
    let server = PostgresServer::shared();
    let url = server.database().await;
    let offset = ClockOffset::default();
    let store = PostgresStore::options().clock_offset(offset.clone()).connect(&url).await.unwrap();
    let pool = PgPool::connect(&url).await.unwrap();
    let first = request(1);
    assert!(matches!(store.claim(first).await.unwrap(), ClaimOutcome::Acquired { .. }));
    let mut transaction = pool.begin().await.unwrap();
    assert_eq!(complete_in(&store, &mut transaction, first).await.unwrap(), Fenced::Applied);
    offset.advance(LEASE);

    let asked = Instant::now();
    let during = store.claim(request(1)).await.unwrap();
    let waited = asked.elapsed();
    StoreTransaction::commit(transaction).await.unwrap();

    assert!(matches!(during, ClaimOutcome::InFlight { .. }), "{during:?}");
    assert!(waited < AT_ONCE, "{waited:?}");
    assert!(matches!(store.claim(request(1)).await.unwrap(), ClaimOutcome::Done { .. }));
}

/// A claim's own insert may stay open, for example while a synchronous standby is slow.
#[tokio::test]
async fn a_duplicate_is_answered_at_once_while_the_original_is_not_yet_committed() {
    let (_server, store, pool) = store_and_pool().await;
    let mut transaction = pool.begin().await.unwrap();
    sqlx::query(
        "INSERT INTO webhook_claims (key, token, state, attempt, fingerprint, until_ms, purge_at_ms)
         VALUES ($1, $2, 0, 1, $3, 9999999999999, 9999999999999)",
    )
    .bind(request(1).key.to_bytes())
    .bind(request(1).token.to_bytes())
    .bind(request(1).fingerprint.to_bytes())
    .execute(&mut *transaction)
    .await
    .unwrap();

    let asked = Instant::now();
    let during = store.claim(request(1)).await.unwrap();

    assert!(asked.elapsed() < AT_ONCE, "{:?}", asked.elapsed());
    assert!(matches!(during, ClaimOutcome::InFlight { .. }), "{during:?}");
}

#[tokio::test]
async fn a_rolled_back_transaction_leaves_the_claim_pending() {
    let (_server, store, pool) = store_and_pool().await;
    let first = request(1);
    assert!(matches!(store.claim(first).await.unwrap(), ClaimOutcome::Acquired { .. }));

    let mut transaction = pool.begin().await.unwrap();
    assert_eq!(complete_in(&store, &mut transaction, first).await.unwrap(), Fenced::Applied);
    transaction.rollback().await.unwrap();

    assert_eq!(store.is_done(first.key, first.token).await.unwrap(), Fenced::Stale);
    assert!(matches!(store.claim(request(1)).await.unwrap(), ClaimOutcome::InFlight { .. }));
    assert_eq!(store.complete(first.key, first.token, completion()).await.unwrap(), Fenced::Applied);
}

#[tokio::test]
async fn a_stale_owner_marks_nothing_in_its_transaction() {
    let (_server, store, pool) = store_and_pool().await;
    let (first, second) = (request(1), request(1));
    assert!(matches!(store.claim(first).await.unwrap(), ClaimOutcome::Acquired { .. }));
    assert_eq!(store.release(first.key, first.token).await.unwrap(), Fenced::Applied);
    assert!(matches!(store.claim(second).await.unwrap(), ClaimOutcome::Acquired { attempt: 2 }));

    let mut transaction = pool.begin().await.unwrap();
    let stale = complete_in(&store, &mut transaction, first).await.unwrap();
    StoreTransaction::commit(transaction).await.unwrap();

    assert_eq!(stale, Fenced::Stale);
    assert!(matches!(store.claim(request(1)).await.unwrap(), ClaimOutcome::InFlight { .. }));
}

#[tokio::test]
async fn a_foreign_connection_is_the_wrong_transaction() {
    let (_server, store) = store().await;
    let first = request(1);
    let mut foreign = String::from("a connection of another driver");

    let error = store.complete_in(&mut foreign, first.key, first.token, completion()).await.unwrap_err();

    assert_eq!(error.kind(), StoreErrorKind::WrongTransaction);
}

#[tokio::test]
async fn a_transaction_of_another_database_is_the_wrong_one() {
    let (server, store) = store().await;
    let elsewhere = PgPool::connect(&server.database().await).await.unwrap();
    let first = request(1);
    assert!(matches!(store.claim(first).await.unwrap(), ClaimOutcome::Acquired { .. }));

    let mut transaction = elsewhere.begin().await.unwrap();
    let error = complete_in(&store, &mut transaction, first).await.unwrap_err();

    assert_eq!(error.kind(), StoreErrorKind::WrongTransaction);
}

#[tokio::test]
async fn the_applications_lock_timeout_is_left_alone() {
    let (_server, store, pool) = store_and_pool().await;
    let first = request(1);
    assert!(matches!(store.claim(first).await.unwrap(), ClaimOutcome::Acquired { .. }));
    let mut transaction = pool.begin().await.unwrap();
    execute(&mut transaction, "SET LOCAL lock_timeout = '1234ms'").await;

    assert_eq!(complete_in(&store, &mut transaction, first).await.unwrap(), Fenced::Applied);

    let row = sqlx::query("SHOW lock_timeout").fetch_one(&mut *transaction).await.unwrap();
    assert_eq!(row.get::<String, _>(0), "1234ms");
}

#[tokio::test]
async fn a_fenced_call_on_a_locked_row_is_busy_not_endless() {
    let server = PostgresServer::shared();
    let url = server.database().await;
    let store = PostgresStore::options().timeout(Duration::from_millis(600)).connect(&url).await.unwrap();
    let pool = PgPool::connect(&url).await.unwrap();
    let first = request(1);
    assert!(matches!(store.claim(first).await.unwrap(), ClaimOutcome::Acquired { .. }));
    let mut transaction = pool.begin().await.unwrap();
    assert_eq!(complete_in(&store, &mut transaction, first).await.unwrap(), Fenced::Applied);

    let error = store.renew(first.key, first.token, LEASE).await.unwrap_err();

    assert_eq!(error.kind(), StoreErrorKind::Busy, "{error:?}");
}

// The schema

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_may_migrate_at_once() {
    let server = PostgresServer::shared();
    for level in ["read committed", "serializable"] {
        let url = server.database().await;
        let mut admin = PgConnection::connect(&url).await.unwrap();
        let name = url.rsplit('/').next().unwrap().split('?').next().unwrap();
        execute(&mut admin, &format!("ALTER DATABASE {name} SET default_transaction_isolation = '{level}'")).await;

        let mut tasks = JoinSet::new();
        for _ in 0..16 {
            let url = url.clone();
            tasks.spawn(async move {
                let options = PostgresStore::options().schema("hooks")?.max_connections(2);
                let store = options.connect(&url).await?;
                store.migrate().await?;
                Ok::<_, Box<dyn std::error::Error + Send + Sync>>(store)
            });
        }
        let stores = tasks.join_all().await;

        for store in stores {
            store.unwrap().check_schema().await.unwrap();
        }
        let rows = sqlx::raw_sql("SELECT 1 FROM hooks.webhook_migrations WHERE part = 'claims'")
            .fetch_all(&mut admin)
            .await
            .unwrap();
        assert_eq!(rows.len(), 1);
        let foreign = "SELECT 1 FROM information_schema.tables WHERE table_name LIKE '\\_sqlx%'";
        assert!(sqlx::raw_sql(foreign).fetch_all(&mut admin).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_missing_schema_says_what_to_do() {
    let server = PostgresServer::shared();
    let url = server.database().await;

    let error = PostgresStore::connect_without_migrating(&url).await.unwrap_err();
    let pool = PgPool::connect(&url).await.unwrap();
    let late = PostgresStore::from_pool(pool.clone()).claim(request(1)).await.unwrap_err();

    for error in [error, late] {
        assert_eq!(error.kind(), StoreErrorKind::Schema);
        assert!(error.to_string().contains("migrate"), "{error}");
    }
    let store = PostgresStore::options().table_prefix("other_").unwrap().from_pool(pool);
    store.migrate().await.unwrap();
    assert!(matches!(store.claim(request(1)).await.unwrap(), ClaimOutcome::Acquired { .. }));
}

#[tokio::test]
async fn a_table_that_goes_away_is_a_schema_error() {
    let (_server, store, pool) = store_and_pool().await;
    execute(&mut pool.acquire().await.unwrap(), "DROP TABLE webhook_claims").await;

    assert_eq!(store.claim(request(1)).await.unwrap_err().kind(), StoreErrorKind::Schema);
}

#[tokio::test]
async fn a_newer_schema_is_shared_if_it_only_adds_and_refused_if_it_breaks() {
    let (server, _store, pool) = store_and_pool().await;
    let options = pool.connect_options();
    let url = format!("postgres://postgres@127.0.0.1:{}/{}", server.port(), options.get_database().unwrap());
    let mut admin = pool.acquire().await.unwrap();

    execute(&mut admin, "ALTER TABLE webhook_claims ADD COLUMN novelty text").await;
    execute(&mut admin, "INSERT INTO webhook_migrations (part, version, oldest_reader) VALUES ('claims', 2, 1)").await;
    let store = PostgresStore::connect(&url).await.unwrap();
    assert!(matches!(store.claim(request(1)).await.unwrap(), ClaimOutcome::Acquired { .. }));
    assert!(matches!(store.claim(request(1)).await.unwrap(), ClaimOutcome::InFlight { .. }));

    execute(&mut admin, "INSERT INTO webhook_migrations (part, version, oldest_reader) VALUES ('claims', 99, 99)")
        .await;
    for error in [
        PostgresStore::connect(&url).await.unwrap_err(),
        PostgresStore::connect_without_migrating(&url).await.unwrap_err(),
        PostgresStore::from_pool(pool.clone()).claim(request(1)).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), StoreErrorKind::Schema);
        assert!(error.to_string().contains("upgrade"), "{error}");
    }
}

#[tokio::test]
async fn a_role_that_may_create_nothing_can_use_what_is_there() {
    let (server, _store, pool) = store_and_pool().await;
    let mut admin = pool.acquire().await.unwrap();
    let database = pool.connect_options().get_database().unwrap().to_owned();
    execute(&mut admin, &format!("CREATE ROLE app_{database} LOGIN")).await;
    execute(&mut admin, &format!("GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_claims TO app_{database}")).await;
    execute(&mut admin, &format!("GRANT SELECT ON webhook_migrations TO app_{database}")).await;

    let url = format!("postgres://app_{database}@127.0.0.1:{}/{database}", server.port());
    let store = PostgresStore::connect(&url).await.unwrap();

    assert!(matches!(store.claim(request(1)).await.unwrap(), ClaimOutcome::Acquired { .. }));
    assert_eq!(store.purge(1).await.unwrap(), 0);
}

// Faults

#[tokio::test]
async fn a_call_waits_for_one_round_trip() {
    let (_server, proxy, store) = store_behind_proxy(PostgresStore::options().max_connections(1)).await;
    // The first call of each statement on a connection prepares it.
    let warm = request(0);
    assert!(matches!(store.claim(warm).await.unwrap(), ClaimOutcome::Acquired { .. }));
    assert_eq!(store.complete(warm.key, warm.token, completion()).await.unwrap(), Fenced::Applied);
    let first = request(1);

    // Twice the same delay would show in the time that the caller waits.
    proxy.set(Fault::Delay(DELAY));
    for (name, trips) in [("claim", 1), ("duplicate", 1), ("complete", 1), ("replay", 1)] {
        // The pool tests a returned connection in the background.
        tokio::time::sleep(DELAY * 3).await;
        let asked = Instant::now();
        match name {
            "complete" => {
                assert_eq!(store.complete(first.key, first.token, completion()).await.unwrap(), Fenced::Applied)
            }
            "claim" => assert!(matches!(store.claim(first).await.unwrap(), ClaimOutcome::Acquired { .. })),
            "duplicate" => assert!(matches!(store.claim(request(1)).await.unwrap(), ClaimOutcome::InFlight { .. })),
            _ => assert!(matches!(store.claim(request(1)).await.unwrap(), ClaimOutcome::Done { .. })),
        }
        let waited = asked.elapsed().as_secs_f64() / DELAY.as_secs_f64();
        assert!(waited >= f64::from(trips) && waited < f64::from(trips) + 0.9, "{name} took {waited:.2} round trips");
    }
}

#[tokio::test]
async fn simple_queries_need_one_round_trip_from_the_first() {
    let options = PostgresStore::options().max_connections(1).simple_queries();
    let (_server, proxy, store) = store_behind_proxy(options).await;
    tokio::time::sleep(DELAY).await;

    proxy.set(Fault::Delay(DELAY));
    let asked = Instant::now();
    assert!(matches!(store.claim(request(1)).await.unwrap(), ClaimOutcome::Acquired { .. }));

    assert!(asked.elapsed() < DELAY * 2, "{:?}", asked.elapsed());
}

/// The pooler gives each statement another connection, so prepared ones would be missing there.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn simple_queries_keep_the_contract_behind_a_transaction_pooler() {
    let server = PostgresServer::shared();
    let url = server.database().await;
    let (_pooler, port) = server.transaction_pooler();
    let url = url.replace(&format!(":{}/", server.port()), &format!(":{port}/"));
    let offset = ClockOffset::default();
    let options = PostgresStore::options().simple_queries().clock_offset(offset.clone());
    let store = options.connect(&url).await.unwrap();

    for round in 0..counts(6, 60) {
        assert_eq!(race(std::slice::from_ref(&store), round, 64).await, [1], "round {round}");
    }
    conformance::idempotency(&OffsetHarness::new(store, offset)).await;
}

#[tokio::test]
async fn an_unreachable_server_is_unavailable_within_the_timeout_and_a_retry_is_safe() {
    for fault in [Fault::Hang, Fault::Refuse, Fault::CutAfterSend, Fault::CutBeforeSend] {
        let options = PostgresStore::options().max_connections(4).timeout(TIMEOUT);
        let (_server, proxy, store) = store_behind_proxy(options).await;
        let first = request(1);

        fails_in_time(&proxy, fault, store.claim(first)).await;
        let claimed = store.claim(first).await.unwrap();
        assert!(matches!(claimed, ClaimOutcome::Acquired { attempt: 1 }), "{fault:?}: {claimed:?}");

        fails_in_time(&proxy, fault, store.renew(first.key, first.token, LEASE)).await;
        assert_eq!(store.renew(first.key, first.token, LEASE).await.unwrap(), Fenced::Applied, "{fault:?}");

        fails_in_time(&proxy, fault, store.complete(first.key, first.token, completion())).await;
        assert_eq!(store.complete(first.key, first.token, completion()).await.unwrap(), Fenced::Applied, "{fault:?}");

        let second = request(2);
        assert!(matches!(store.claim(second).await.unwrap(), ClaimOutcome::Acquired { .. }));
        fails_in_time(&proxy, fault, store.release(second.key, second.token)).await;
        assert_eq!(store.release(second.key, second.token).await.unwrap(), Fenced::Applied, "{fault:?}");
        assert!(matches!(store.claim(request(2)).await.unwrap(), ClaimOutcome::Acquired { attempt: 2 }), "{fault:?}");
    }
}

/// At start an unreachable server is an error at once, and the error names its address.
#[tokio::test]
async fn a_start_without_a_server_fails_at_once_and_names_the_address() {
    let port = crate::support::process::free_port();
    let url = format!("postgres://app:opensesame@127.0.0.1:{port}/app");
    let asked = Instant::now();

    for error in [
        PostgresStore::connect(&url).await.unwrap_err(),
        PostgresStore::connect_without_migrating(&url).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        assert!(error.to_string().contains(&format!("127.0.0.1:{port}")), "{error}");
        assert!(!format!("{error:?}").contains("opensesame"), "{error:?}");
    }
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn the_pool_is_lent_for_transactions() {
    let server = PostgresServer::shared();
    let store = PostgresStore::connect(&server.database().await).await.unwrap();
    let first = request(1);
    assert!(matches!(store.claim(first).await.unwrap(), ClaimOutcome::Acquired { .. }));

    let mut transaction = store.pool().begin().await.unwrap();
    let connection = StoreTransaction::connection(&mut transaction);
    let marked = store.complete_in(connection, first.key, first.token, completion()).await.unwrap();
    assert_eq!(marked, Fenced::Applied);
    StoreTransaction::commit(transaction).await.unwrap();

    assert_eq!(store.is_done(first.key, first.token).await.unwrap(), Fenced::Applied);
}

/// A commit whose connection was cut may or may not have taken effect; the record shows which.
#[tokio::test]
async fn a_cut_commit_is_unavailable_and_the_record_tells_what_became_of_it() {
    for (fault, done) in [(Fault::CutAfterSend, Fenced::Applied), (Fault::CutBeforeSend, Fenced::Stale)] {
        let server = PostgresServer::shared();
        let url = server.database().await;
        let store = PostgresStore::connect(&url).await.unwrap();
        let proxy = Proxy::before(server.port()).await;
        let pool = PgPool::connect(&through(&url, &server, &proxy)).await.unwrap();
        let first = request(1);
        assert!(matches!(store.claim(first).await.unwrap(), ClaimOutcome::Acquired { .. }));
        let mut transaction = pool.begin().await.unwrap();
        assert_eq!(complete_in(&store, &mut transaction, first).await.unwrap(), Fenced::Applied);

        proxy.set(fault);
        let error = StoreTransaction::commit(transaction).await.unwrap_err();

        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{fault:?}");
        assert_eq!(store.is_done(first.key, first.token).await.unwrap(), done, "{fault:?}");
    }
}

#[tokio::test]
async fn a_hung_complete_in_is_unavailable_within_the_timeout() {
    let server = PostgresServer::shared();
    let url = server.database().await;
    let store = PostgresStore::options().timeout(TIMEOUT).connect(&url).await.unwrap();
    let proxy = Proxy::before(server.port()).await;
    let pool = PgPool::connect(&through(&url, &server, &proxy)).await.unwrap();
    let first = request(1);
    assert!(matches!(store.claim(first).await.unwrap(), ClaimOutcome::Acquired { .. }));
    let mut transaction = pool.begin().await.unwrap();

    proxy.set(Fault::Hang);
    let asked = Instant::now();
    let error = complete_in(&store, &mut transaction, first).await.unwrap_err();

    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(asked.elapsed() < TIMEOUT + MARGIN);
}

#[tokio::test]
async fn a_stopped_server_gives_unavailable_and_is_found_again() {
    let server = PostgresServer::start();
    let url = server.database().await;
    let store = PostgresStore::options().max_connections(1).timeout(TIMEOUT).connect(&url).await.unwrap();
    let mut admin = PgConnection::connect(&url).await.unwrap();
    let row = sqlx::query(BACKENDS).fetch_one(&mut admin).await.unwrap();
    let backend = row.get::<i32, _>(0).to_string();
    let first = request(1);

    // The postmaster only takes new connections; the backend serves ours.
    signal(&backend, "STOP");
    server.signal("STOP");
    let asked = Instant::now();
    let error = store.claim(first).await.unwrap_err();
    let waited = asked.elapsed();
    server.signal("CONT");
    signal(&backend, "CONT");

    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(waited < TIMEOUT + MARGIN, "{waited:?}");
    assert!(matches!(store.claim(first).await.unwrap(), ClaimOutcome::Acquired { attempt: 1 }));
}

#[tokio::test]
async fn connections_that_broke_while_idle_are_replaced_without_an_error() {
    let (_server, store, pool) = store_and_pool().await;
    let mut tasks = JoinSet::new();
    for key in 0..32 {
        let store = store.clone();
        tasks.spawn(async move { store.claim(request(key)).await });
    }
    tasks.join_all().await;
    let mut admin = pool.acquire().await.unwrap();
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid()";
    execute(&mut admin, kill).await;

    let claimed = store.claim(request(100)).await.unwrap();

    assert!(matches!(claimed, ClaimOutcome::Acquired { .. }), "{claimed:?}");
}

#[tokio::test]
async fn a_dropped_call_leaves_no_lock_and_no_transaction() {
    let (_server, proxy, store) = store_behind_proxy(PostgresStore::options().max_connections(2)).await;
    proxy.set(Fault::Delay(Duration::from_millis(50)));

    for key in 0..counts(10, 200) {
        let (dropped, after) = (request(key), request(key));
        let patience = Duration::from_millis(u64::from(key) * 7 % 60);
        let _ = tokio::time::timeout(patience, store.claim(dropped)).await;
        let _ = tokio::time::timeout(patience, store.release(dropped.key, dropped.token)).await;
        let second = store.claim(after).await.unwrap();
        assert!(matches!(second, ClaimOutcome::Acquired { .. } | ClaimOutcome::InFlight { .. }));
        let again = store.claim(dropped).await.unwrap();
        let won = matches!(second, ClaimOutcome::Acquired { .. });
        assert_eq!(matches!(again, ClaimOutcome::Acquired { .. }), !won, "{key}: {second:?}, {again:?}");
    }
}

// Helpers

async fn store() -> (Arc<PostgresServer>, PostgresStore) {
    let server = PostgresServer::shared();
    let store = PostgresStore::connect(&server.database().await).await.unwrap();
    (server, store)
}

async fn store_with_offset(simple: bool) -> (Arc<PostgresServer>, PostgresStore, ClockOffset) {
    let server = PostgresServer::shared();
    let offset = ClockOffset::default();
    let mut options = PostgresStore::options().clock_offset(offset.clone());
    if simple {
        options = options.simple_queries();
    }
    let store = options.connect(&server.database().await).await.unwrap();
    (server, store, offset)
}

async fn store_and_pool() -> (Arc<PostgresServer>, PostgresStore, PgPool) {
    let server = PostgresServer::shared();
    let url = server.database().await;
    let store = PostgresStore::connect(&url).await.unwrap();
    let pool = PgPoolOptions::new().max_connections(4).connect(&url).await.unwrap();
    (server, store, pool)
}

async fn store_behind_proxy(options: PostgresStoreOptions) -> (Arc<PostgresServer>, Proxy, PostgresStore) {
    let server = PostgresServer::shared();
    let url = server.database().await;
    let proxy = Proxy::before(server.port()).await;
    let store = options.connect(&through(&url, &server, &proxy)).await.unwrap();
    (server, proxy, store)
}

fn through(url: &str, server: &PostgresServer, proxy: &Proxy) -> String {
    url.replace(&format!(":{}/", server.port()), &format!(":{}/", proxy.port()))
}

async fn complete_in<'a>(
    store: &'a PostgresStore,
    transaction: &'a mut sqlx::Transaction<'static, sqlx::Postgres>,
    claim: ClaimRequest,
) -> Result<Fenced, StoreError> {
    let connection: &mut (dyn Any + Send) = transaction.connection();
    store.complete_in(connection, claim.key, claim.token, completion()).await
}

async fn execute(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.unwrap();
}

fn signal(id: &str, name: &str) {
    assert!(Command::new("kill").args([&format!("-{name}"), id]).status().unwrap().success());
}

const BACKENDS: &str = "SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'";

const AT_ONCE: Duration = Duration::from_secs(3);
