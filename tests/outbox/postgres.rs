//! The outbox of `PostgresStore`, against real servers that the tests start.

use std::{
    any::Any,
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::http::StatusCode;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, postgres::PgPoolOptions};
use tokio::{
    sync::{Barrier, Notify, oneshot},
    task::JoinSet,
    time::{Instant, timeout},
};
use tower_webhooks::{
    BoxFuture,
    clock::ClockOffset,
    conformance,
    error::{StoreError, StoreErrorKind},
    idempotency::IdempotencyStore,
    send::{
        After, AttemptRequest, AttemptResult, BACKLOG_COUNTED, DeliveryQuery, DeliveryRecord, DeliveryState,
        DestinationPolicy, DisabledReason, Dispatched, Dispatcher, EndpointDraft, EndpointId, EndpointResponse,
        EndpointSettings, Fenced, Finish, IN_FLIGHT, LeaseRequest, LeaseToken, LeasedDelivery, Message, NewEndpoint,
        OutboxEndpoints, OutboxLog, OutboxQueue, OutboxStore, Recover, Retention, Scope, Sealed, SealingKey, Style,
        Transport,
    },
    store::postgres::{PostgresStore, PostgresStoreOptions},
    transaction::StoreTransaction,
};

use crate::support::{
    claims::{DELAY, LEASE, TIMEOUT, counts, fails_in_time, request},
    postgres_server::PostgresServer,
    proxy::{Fault, Proxy},
};

// The contract

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_keeps_the_contract() {
    for options in [PostgresStore::options(), PostgresStore::options().simple_queries()] {
        let (_server, store, offset) = store_with(options).await;

        conformance::outbox(store, by(&offset)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_keeps_the_contract_as_a_boxed_store_in_a_schema_of_its_own() {
    let options = PostgresStore::options().schema("hooks").unwrap().table_prefix("acme_").unwrap();
    let (_server, store, offset) = store_with(options).await;
    let store: Box<dyn OutboxStore> = Box::new(store);

    conformance::outbox(store, by(&offset)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_keeps_the_contract_as_a_shared_store_with_the_longest_names() {
    let long = "a".repeat(32);
    let options = PostgresStore::options().schema(&long).unwrap().table_prefix(&long).unwrap();
    let (_server, store, offset) = store_with(options).await;
    let store: Arc<dyn OutboxStore> = Arc::new(store);

    conformance::outbox(store, by(&offset)).await;
}

/// The pooler gives each transaction another connection, so statements and settings of a session would be missing
/// there.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn simple_queries_keep_the_contract_behind_a_transaction_pooler() {
    let server = PostgresServer::shared();
    let url = server.database().await;
    let (_pooler, port) = server.transaction_pooler();
    let url = url.replace(&format!(":{}/", server.port()), &format!(":{port}/"));
    let offset = ClockOffset::default();
    let options = PostgresStore::options().simple_queries().clock_offset(offset.clone());
    let store = options.connect(&url).await.unwrap();

    // Nothing sends notifications here.
    timeout(Duration::from_secs(60), store.listen(Box::new(|| {}))).await.unwrap();
    conformance::outbox(store, by(&offset)).await;
}

#[tokio::test]
async fn claims_need_no_tables_of_the_outbox_and_the_outbox_says_what_it_needs() {
    let (_server, _store, pool) = store_and_pool().await;
    let mut admin = pool.acquire().await.unwrap();
    for table in TABLES {
        execute(&mut admin, &format!("DROP TABLE webhook_outbox_{table}")).await;
    }
    execute(&mut admin, "DELETE FROM webhook_migrations WHERE part = 'outbox'").await;
    let store = PostgresStore::from_pool(pool.clone());

    store.claim(request(1)).await.unwrap();
    let error = store.dispatch(vec![message("acme")]).await.unwrap_err();

    assert_eq!(error.kind(), StoreErrorKind::Schema);
    assert!(error.to_string().contains("migrate"), "{error}");
    assert_eq!(store.check_schema().await.unwrap_err().kind(), StoreErrorKind::Schema);
    store.migrate().await.unwrap();
    assert_eq!(dispatch(&store, message("acme")).await, Dispatched::Stored { deliveries: 0 });
}

#[tokio::test]
async fn a_role_that_may_create_nothing_can_use_what_is_there() {
    let (server, _store, pool) = store_and_pool().await;
    let mut admin = pool.acquire().await.unwrap();
    let database = pool.connect_options().get_database().unwrap().to_owned();
    execute(&mut admin, &format!("CREATE ROLE app_{database} LOGIN")).await;
    for table in TABLES {
        let tables = format!("webhook_outbox_{table} TO app_{database}");
        execute(&mut admin, &format!("GRANT SELECT, INSERT, UPDATE, DELETE ON {tables}")).await;
    }
    execute(&mut admin, &format!("GRANT SELECT ON webhook_migrations TO app_{database}")).await;

    let url = format!("postgres://app_{database}@127.0.0.1:{}/{database}", server.port());
    let store = PostgresStore::connect(&url).await.unwrap();
    register(&store, "acme").await;
    dispatch(&store, message("acme")).await;
    let leased = lease(&store, 1).await;
    let _ = finish(&store, &leased[0], After::Delivered).await;

    assert_eq!(purge(&store, 10).await, 0);
}

// Dispatching

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_those_who_dispatch_a_message_at_once_one_stores_it_and_none_fails() {
    let (_server, store, _pool) = store_and_pool().await;
    register(&store, "acme").await;

    for _ in 0..counts(10, 200) {
        let (one, two) = (message("acme"), message("acme"));
        let barrier = Arc::new(Barrier::new(16));
        let mut tasks = JoinSet::new();
        for task in 0..16 {
            // In two orders, so that two that waited for each other would be seen.
            let batch = match task % 3 {
                0 => vec![one.clone(), two.clone()],
                1 => vec![two.clone(), one.clone()],
                _ => vec![one.clone()],
            };
            let (store, barrier) = (store.clone(), barrier.clone());
            tasks.spawn(async move {
                barrier.wait().await;
                store.dispatch(batch).await.unwrap()
            });
        }
        let answers: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();

        let stored = answers.iter().filter(|answer| **answer == Dispatched::Stored { deliveries: 1 }).count();
        let known = answers.iter().filter(|answer| **answer == Dispatched::Known { deliveries: 1 }).count();
        assert_eq!((stored, known), (2, answers.len() - 2), "{answers:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_different_messages_under_one_id_one_is_stored_and_nothing_beside_the_others() {
    let (_server, store, _pool) = store_and_pool().await;
    register(&store, "acme").await;

    for _ in 0..counts(10, 200) {
        let contested = message("acme");
        let barrier = Arc::new(Barrier::new(8));
        let mut tasks = JoinSet::new();
        for task in 0..8 {
            let other =
                Message::new("order.completed", &task).unwrap().id(contested.message_id().clone()).tenant("acme");
            let beside = message("acme");
            let (store, barrier) = (store.clone(), barrier.clone());
            tasks.spawn(async move {
                barrier.wait().await;
                let answers = store.dispatch(vec![beside.clone(), other]).await.unwrap();
                (answers, store.dispatch(vec![beside]).await.unwrap())
            });
        }

        let mut winners = 0;
        for (answers, beside) in tasks.join_all().await {
            if answers[1] == (Dispatched::Stored { deliveries: 1 }) {
                winners += 1;
                assert_eq!(beside, [Dispatched::Known { deliveries: 1 }]);
            } else {
                assert_eq!(answers[1], Dispatched::Conflict);
                assert_eq!(beside, [Dispatched::Stored { deliveries: 1 }], "it was not stored beside a conflict");
            }
        }
        assert_eq!(winners, 1);
    }
}

#[tokio::test]
async fn what_is_dispatched_in_a_transaction_comes_and_goes_with_it() {
    for options in [PostgresStore::options(), PostgresStore::options().simple_queries()] {
        let (_server, store, pool) = store_and_pool_with(options).await;
        register(&store, "acme").await;
        let (kept, gone) = (message("acme"), message("acme"));

        let mut transaction = pool.begin().await.unwrap();
        assert_eq!(
            dispatch_in(&store, &mut transaction, vec![gone.clone()]).await,
            [Dispatched::Stored { deliveries: 1 }]
        );
        transaction.rollback().await.unwrap();
        let mut transaction = pool.begin().await.unwrap();
        dispatch_in(&store, &mut transaction, vec![kept.clone()]).await;
        assert_eq!(lease(&store, 10).await.len(), 0, "it is not committed");
        StoreTransaction::commit(transaction).await.unwrap();

        let leased = lease(&store, 10).await;
        assert_eq!(ids(&leased), [kept.message_id().as_str()]);
        assert_eq!(dispatch(&store, gone).await, Dispatched::Stored { deliveries: 1 });
    }
}

#[tokio::test]
async fn a_transaction_goes_on_after_a_conflict_and_with_its_own_settings() {
    let (_server, store, pool) = store_and_pool().await;
    register(&store, "acme").await;
    let (one, two) = (message("acme"), message("acme"));
    dispatch(&store, one.clone()).await;
    let mut transaction = pool.begin().await.unwrap();
    execute(&mut transaction, "SET LOCAL lock_timeout = '12345ms'").await;

    let other = one.clone().version("2");
    let answers = dispatch_in(&store, &mut transaction, vec![two.clone(), other, message("acme")]).await;
    assert_eq!(answers[1], Dispatched::Conflict);
    assert_eq!(dispatch_in(&store, &mut transaction, vec![one]).await, [Dispatched::Known { deliveries: 1 }]);
    let setting: String = sqlx::query_scalar("SHOW lock_timeout").fetch_one(&mut *transaction).await.unwrap();
    assert_eq!(setting, "12345ms");
    assert_eq!(dispatch_in(&store, &mut transaction, vec![two]).await, [Dispatched::Stored { deliveries: 1 }]);
    transaction.commit().await.unwrap();

    assert_eq!(lease(&store, 10).await.len(), 2);
}

/// Under a stricter level the application's transaction cannot see what another one has committed since it began.
#[tokio::test]
async fn a_stricter_transaction_that_meets_a_message_of_another_one_is_busy() {
    let (_server, store, pool) = store_and_pool().await;
    let raced = message("acme");
    let mut transaction = pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ").await.unwrap();
    execute(&mut transaction, "SELECT 1").await;
    dispatch(&store, raced.clone()).await;

    let connection: &mut (dyn Any + Send) = transaction.connection();
    let error = store.dispatch_in(connection, vec![raced]).await.unwrap_err();

    assert_eq!(error.kind(), StoreErrorKind::Busy);
}

#[tokio::test]
async fn a_transaction_that_does_not_find_the_tables_is_the_wrong_one() {
    let (server, store, _pool) = store_and_pool().await;
    let other = PgPool::connect(&server.database().await).await.unwrap();
    let mut transaction = other.begin().await.unwrap();

    let connection: &mut (dyn Any + Send) = transaction.connection();
    let error = store.dispatch_in(connection, vec![message("acme")]).await.unwrap_err();

    assert_eq!(error.kind(), StoreErrorKind::WrongTransaction);
}

/// The application may keep its transaction open for as long as it likes.
#[tokio::test]
async fn an_open_transaction_that_has_dispatched_is_in_nobodys_way() {
    let (_server, store, pool) = store_and_pool().await;
    let endpoint = register(&store, "acme").await;
    let ended = dispatch_to_end(&store, "acme").await;
    dispatch(&store, message("acme")).await;
    let mut transaction = pool.begin().await.unwrap();
    dispatch_in(&store, &mut transaction, vec![message("acme")]).await;

    let asked = Instant::now();
    assert_eq!(dispatch(&store, message("acme")).await, Dispatched::Stored { deliveries: 1 });
    let leased = lease(&store, 10).await;
    assert_eq!(leased.len(), 2);
    let _ = finish(&store, &leased[0], FAILED).await;
    let _ = finish(&store, &leased[1], After::Delivered).await;
    assert!(store.cancel(leased[0].id).await.unwrap());
    assert!(store.resend(ended.id).await.unwrap());
    // Cancelled deliveries stay cancelled, and the rest already waits.
    assert_eq!(recover(&store, endpoint).await, 0);
    purge(&store, 100).await;
    assert!(store.switch_endpoint(endpoint, Some(DisabledReason::Asked)).await.unwrap());
    assert!(store.switch_endpoint(endpoint, None).await.unwrap());
    assert!(store.delete_endpoint(endpoint).await.unwrap());
    while store.erase("acme".into(), 100).await.unwrap() > 0 {}
    let waited = asked.elapsed();

    // Each of them would have waited for half of the store's timeout of 5 s.
    assert!(waited < Duration::from_secs(2), "{waited:?}");
    transaction.commit().await.unwrap();
}

#[tokio::test]
async fn what_was_dispatched_while_its_endpoint_was_disabled_or_deleted_waits_for_nobody() {
    let (_server, store, pool) = store_and_pool().await;
    let (disabled, deleted) = (register(&store, "acme").await, register(&store, "acme").await);
    let mut transaction = pool.begin().await.unwrap();
    dispatch_in(&store, &mut transaction, vec![message("acme")]).await;
    store.switch_endpoint(disabled, Some(DisabledReason::Asked)).await.unwrap();
    store.delete_endpoint(deleted).await.unwrap();
    transaction.commit().await.unwrap();

    assert_eq!(lease(&store, 10).await.len(), 0);
    assert_eq!(purge(&store, 100).await, 2);
    assert_eq!(state_of(&store, "acme", disabled).await, DeliveryState::Held);
    assert_eq!(state_of(&store, "acme", deleted).await, DeliveryState::Cancelled);

    store.switch_endpoint(disabled, None).await.unwrap();
    assert_eq!(lease(&store, 10).await.len(), 1);
}

/// More than one transaction moves.
#[tokio::test]
async fn an_endpoint_with_many_deliveries_is_switched_as_a_whole() {
    let (_server, store, pool) = store_and_pool().await;
    let endpoint = register(&store, "acme").await;
    dispatch(&store, message("acme")).await;
    let copies = format!(
        "INSERT INTO webhook_outbox_deliveries (message, tenant, endpoint, state, due_at, created_at)
         SELECT -number, tenant, endpoint, state, due_at, created_at
         FROM webhook_outbox_deliveries, generate_series(1, {}) AS number",
        counts(25_000, 200_000)
    );
    execute(&mut pool.acquire().await.unwrap(), &copies).await;
    let waiting = async || {
        let count = "SELECT count(*) FROM webhook_outbox_deliveries WHERE state = 0";
        sqlx::query_scalar::<_, i64>(count).fetch_one(&pool).await.unwrap()
    };

    let all = waiting().await;
    let until = Instant::now() + Duration::from_secs(60);
    // Purge moves the rest. A call that timed out may still hold the rows for a moment.
    let purge_some = async || assert!(purge(&store, 10_000).await > 0 || Instant::now() < until, "purge leaves it");
    assert!(store.switch_endpoint(endpoint, Some(DisabledReason::Asked)).await.unwrap());
    while waiting().await > 0 {
        purge_some().await;
    }
    assert!(store.switch_endpoint(endpoint, None).await.unwrap());
    while waiting().await < all {
        purge_some().await;
    }
}

// Leasing

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_stores_lease_each_delivery_once_and_no_endpoint_beyond_its_share() {
    let server = PostgresServer::shared();
    let url = server.database().await;
    let mut stores = Vec::new();
    for _ in 0..3 {
        stores.push(PostgresStore::connect(&url).await.unwrap());
    }
    let mut in_flight = HashMap::new();
    for _ in 0..10 {
        in_flight.insert(register(&stores[0], "acme").await, AtomicU32::new(0));
    }
    let all = counts(800, 10_000) as usize;
    for _ in 0..all / 10 {
        dispatch(&stores[0], message("acme")).await;
    }

    let shared = Arc::new((in_flight, Mutex::new(HashSet::new())));
    let mut tasks = JoinSet::new();
    for task in 0..6 {
        let (store, shared) = (stores[task % 3].clone(), shared.clone());
        tasks.spawn(async move {
            let (in_flight, seen) = &*shared;
            while seen.lock().unwrap().len() < all {
                for leased in lease(&store, 16).await {
                    let of_it = &in_flight[&leased.endpoint.id];
                    // Those of a batch are finished one after the other, so it is counted while it is in flight.
                    let before = of_it.fetch_add(1, SeqCst);
                    assert!(before < IN_FLIGHT, "{before}");
                    assert_eq!(leased.attempt, 1);
                    assert!(seen.lock().unwrap().insert(leased.id), "{} came twice", leased.id);
                    of_it.fetch_sub(1, SeqCst);
                    assert_eq!(finish(&store, &leased, After::Delivered).await, Fenced::Applied);
                }
            }
        });
    }
    tasks.join_all().await;

    let query = DeliveryQuery::default();
    let records = stores[0].deliveries("acme".into(), query, 20_000).await.unwrap();
    assert_eq!(records.len(), all);
    assert!(records.iter().all(|record| record.state == DeliveryState::Delivered && record.attempt == 1));
}

/// The leased deliveries are not finished, so no more than the share may ever be leased.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn simultaneous_leases_give_an_endpoint_its_share_and_no_more() {
    let (_server, store, _pool) = store_and_pool().await;
    for round in 0..counts(10, 100) {
        let tenant = format!("tenant {round}");
        for _ in 0..3 {
            register(&store, &tenant).await;
        }
        for _ in 0..3 * IN_FLIGHT {
            dispatch(&store, message(&tenant)).await;
        }
        let barrier = Arc::new(Barrier::new(12));
        let mut tasks = JoinSet::new();
        for _ in 0..12 {
            let (store, barrier) = (store.clone(), barrier.clone());
            tasks.spawn(async move {
                barrier.wait().await;
                lease(&store, 5).await
            });
        }
        let mut counts = HashMap::new();
        for leased in tasks.join_all().await.into_iter().flatten() {
            *counts.entry(leased.endpoint.id).or_insert(0) += 1;
        }
        assert!(counts.values().all(|count| *count <= IN_FLIGHT), "{counts:?}");
        // The next round begins with nothing that waits.
        while store.erase(tenant.as_str().into(), 1000).await.unwrap() > 0 {}
    }
}

/// A delivery that lost its content while it waited cannot be sent, and must not be leased forever.
#[tokio::test]
async fn a_delivery_without_content_is_cancelled_when_it_is_due() {
    let (_server, store, pool) = store_and_pool().await;
    let endpoint = register(&store, "acme").await;
    dispatch(&store, message("acme")).await;
    execute(&mut pool.acquire().await.unwrap(), "UPDATE webhook_outbox_messages SET payload = NULL").await;

    assert_eq!(lease(&store, 10).await.len(), 0);

    assert_eq!(state_of(&store, "acme", endpoint).await, DeliveryState::Cancelled);
}

/// A lease does not wait for locks: locked rows are skipped, and found by the next poll.
#[tokio::test]
async fn what_somebody_has_locked_is_leased_at_the_next_look() {
    let (_server, store, pool) = store_and_pool().await;
    register(&store, "acme").await;
    for _ in 0..2 {
        dispatch(&store, message("acme")).await;
    }
    // They are not new any more: the endpoint's row says when they are due.
    for held in lease(&store, 10).await {
        assert_eq!(finish(&store, &held, After::Retry { wait: Duration::ZERO }).await, Fenced::Applied);
    }
    let mut somebody = pool.begin().await.unwrap();
    execute(&mut somebody, "SELECT 1 FROM webhook_outbox_deliveries ORDER BY seq DESC LIMIT 1 FOR UPDATE").await;

    assert_eq!(lease(&store, 10).await.len(), 1);
    somebody.rollback().await.unwrap();

    assert_eq!(lease(&store, 10).await.len(), 1);
}

/// Every call that locks both locks the delivery before its message, as purge does. The other order could deadlock with
/// it.
#[tokio::test]
async fn a_resend_locks_the_delivery_before_its_message() {
    let (_server, store, pool) = store_and_pool().await;
    register(&store, "acme").await;
    let ended = dispatch_to_end(&store, "acme").await;
    let mut somebody = pool.begin().await.unwrap();
    execute(&mut somebody, "SELECT 1 FROM webhook_outbox_messages FOR UPDATE").await;

    let (resending, id) = (store.clone(), ended.id);
    let resend = tokio::spawn(async move { resending.resend(id).await });
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&pool).await.unwrap() == 0 {
        tokio::task::yield_now().await;
    }
    let free = "SELECT seq FROM webhook_outbox_deliveries FOR UPDATE SKIP LOCKED";
    let free: Vec<i64> = sqlx::query_scalar(free).fetch_all(&pool).await.unwrap();
    somebody.rollback().await.unwrap();

    assert!(free.is_empty(), "the delivery is not locked yet");
    assert!(resend.await.unwrap().unwrap());
}

#[tokio::test]
async fn a_purge_waits_for_no_delivery_that_is_awaited() {
    let offset = ClockOffset::default();
    let (_server, store, pool) = store_and_pool_with(PostgresStore::options().clock_offset(offset.clone())).await;
    register(&store, "acme").await;
    dispatch(&store, message("acme")).await;
    offset.advance(Duration::from_secs(31 * 24 * 60 * 60));
    let mut somebody = pool.begin().await.unwrap();
    execute(&mut somebody, "SELECT 1 FROM webhook_outbox_deliveries FOR UPDATE").await;

    // Purge skips the message, and checks it again at its next run. If it waited, the store's own timeout would end it
    // with an error.
    assert_eq!(purge(&store, 10).await, 0);
    somebody.rollback().await.unwrap();
    assert_eq!(purge(&store, 10).await, 1);
    assert_eq!(purge(&store, 10).await, 0, "what is awaited is not looked at again and again");

    let leased = lease(&store, 10).await;
    assert_eq!(leased.len(), 1, "its content stays");
    assert_eq!(finish(&store, &leased[0], After::Delivered).await, Fenced::Applied);
    offset.advance(Duration::from_secs(31 * 24 * 60 * 60));
    assert!(purge(&store, 10).await > 0);
    assert!(!store.resend(leased[0].id).await.unwrap(), "its content goes when it has ended");
}

/// As after a failover to a server whose clock is an hour behind.
#[tokio::test]
async fn a_clock_that_is_behind_stops_nothing() {
    const HOUR: Duration = Duration::from_secs(3600);

    let offset = ClockOffset::default();
    offset.advance(HOUR);
    let (_server, ahead, pool) = store_and_pool_with(PostgresStore::options().clock_offset(offset)).await;
    let (dead, resting) = (register(&ahead, "dead").await, register(&ahead, "resting").await);
    let new = register(&ahead, "new").await;
    // A worker dies with some, an endpoint rests, and something is dispatched just before.
    dispatch(&ahead, message("dead")).await;
    assert_eq!(lease(&ahead, 10).await.len(), 1);
    for _ in 0..5 {
        dispatch(&ahead, message("resting")).await;
        for held in lease(&ahead, 10).await {
            let _ = finish(&ahead, &held, After::Exhausted).await;
        }
    }
    for tenant in ["resting", "new"] {
        dispatch(&ahead, message(tenant)).await;
    }

    let behind = PostgresStore::from_pool(pool.clone());
    let mut to = HashSet::new();
    for _ in 0..4 {
        to.extend(lease(&behind, 10).await.iter().map(|leased| leased.endpoint.id));
    }

    assert_eq!(to, HashSet::from([dead, resting, new]));
    let later =
        "SELECT count(*) FROM webhook_outbox_endpoints WHERE look_at > extract(epoch FROM now()) * 1000 + 700000";
    assert_eq!(sqlx::query_scalar::<_, i64>(later).fetch_one(&pool).await.unwrap(), 0, "none is looked at in an hour");
}

/// What had lost its content before there was a column for it is kept from its last attempt on.
#[tokio::test]
async fn a_migration_tells_when_what_is_empty_was_used_last() {
    let (_server, store, pool) = store_and_pool().await;
    register(&store, "acme").await;
    dispatch_to_end(&store, "acme").await;
    let mut admin = pool.acquire().await.unwrap();
    for statement in [
        "UPDATE webhook_outbox_messages SET payload = NULL, purge_after = NULL, created_at = 1000",
        "UPDATE webhook_outbox_attempts SET ended_at = 5000",
        "DROP TABLE webhook_outbox_backlog",
        "DROP TABLE webhook_outbox_stats",
        "DROP INDEX webhook_outbox_deliveries_given_up",
        "ALTER TABLE webhook_outbox_endpoints DROP COLUMN metadata",
        "ALTER TABLE webhook_outbox_endpoints DROP COLUMN labels",
        "ALTER TABLE webhook_outbox_messages DROP COLUMN labels",
        "DROP INDEX webhook_outbox_deliveries_keys",
        "DROP INDEX webhook_outbox_deliveries_sending_keys",
        "ALTER TABLE webhook_outbox_messages DROP COLUMN order_key",
        "ALTER TABLE webhook_outbox_deliveries DROP COLUMN order_key",
        "ALTER TABLE webhook_outbox_event_types DROP COLUMN example",
        "DELETE FROM webhook_migrations WHERE part = 'outbox' AND version > 3",
    ] {
        execute(&mut admin, statement).await;
    }

    store.migrate().await.unwrap();

    let purge_after = "SELECT purge_after FROM webhook_outbox_messages";
    assert_eq!(sqlx::query_scalar::<_, Option<i64>>(purge_after).fetch_one(&pool).await.unwrap(), Some(5000));
}

#[tokio::test]
async fn each_call_takes_few_round_trips_however_much_it_does() {
    let (_server, proxy, store) =
        store_behind_proxy(PostgresStore::options().max_connections(1).without_notify()).await;
    for _ in 0..25 {
        register(&store, "acme").await;
    }
    let many = || (0..6).map(|_| message("acme")).collect::<Vec<_>>();
    // The first call of each statement on a connection prepares it.
    for _ in 0..2 {
        dispatch(&store, message("acme")).await;
        store.dispatch(many()).await.unwrap();
        drain(&store).await;
    }
    settled_trips(&proxy).await;

    // The pool tests each returned connection in the background: the second number.
    dispatch(&store, message("acme")).await;
    assert_eq!(settled_trips(&proxy).await, 1 + 1, "dispatch");
    store.dispatch(many()).await.unwrap();
    assert_eq!(settled_trips(&proxy).await, 3 + 1, "dispatch of many");
    let leased = lease(&store, 200).await;
    assert_eq!(leased.len(), 100);
    assert_eq!(settled_trips(&proxy).await, 6 + 2, "lease");
    let _ = finish(&store, &leased[0], After::Delivered).await;
    assert_eq!(settled_trips(&proxy).await, 4 + 1, "finish");
    for held in &leased[1..] {
        let _ = finish(&store, held, After::Delivered).await;
    }
    drain(&store).await;
    settled_trips(&proxy).await;
    assert_eq!(lease(&store, 200).await.len(), 0);
    assert_eq!(settled_trips(&proxy).await, 1 + 1, "an empty look");
}

/// By the server's own counts: no call scans a whole table, and none reads a large part of it.
#[tokio::test]
async fn no_call_reads_all_there_is() {
    const ROWS: i64 = 20_000;
    // So late that purge does not delete it.
    const HOUR: u32 = 900_000;

    let server = PostgresServer::shared();
    let url = server.database().await;
    let admin = PgPool::connect(&format!("{url}&application_name=admin")).await.unwrap();
    let (endpoint, ended) = {
        let store = PostgresStore::connect(&url).await.unwrap();
        (register(&store, "acme").await, dispatch_to_end(&store, "acme").await)
    };
    // Many delivered deliveries, half of them to one endpoint, and many of that endpoint that wait for their next
    // attempt.
    let fill = format!(
        "INSERT INTO webhook_outbox_endpoints
             (id, tenant, url, events, description, style, sealing_key, sealed, created_at)
         SELECT 'ep_' || md5(n::text), 'tenant ' || n, url, events, '', style, '', '', created_at
         FROM webhook_outbox_endpoints, generate_series(1, {ROWS}) AS n;
         INSERT INTO webhook_outbox_messages (tenant, id, event_type, digest, happened_at, created_at, payload)
         SELECT tenant, kind || n, event_type, digest, happened_at, created_at, payload
         FROM webhook_outbox_messages, generate_series(1, {ROWS}) AS n, (VALUES ('sent_'), ('retry_')) AS k (kind);
         INSERT INTO webhook_outbox_deliveries (message, tenant, endpoint, state, due_at, created_at, attempt)
         SELECT m.seq, d.tenant, CASE WHEN m.seq % 2 = 0 THEN d.endpoint ELSE 'ep_' || md5(m.seq::text) END, 3, 0,
                d.created_at, 1
         FROM webhook_outbox_deliveries AS d, webhook_outbox_messages AS m WHERE m.id LIKE 'sent%';
         INSERT INTO webhook_outbox_deliveries (message, tenant, endpoint, state, due_at, noted_due, created_at, attempt)
         SELECT m.seq, d.tenant, d.endpoint, 0, 9999999999999, 9999999999999, d.created_at, 1
         FROM webhook_outbox_deliveries AS d, webhook_outbox_messages AS m WHERE d.state = 5 AND m.id LIKE 'retry%';
         INSERT INTO webhook_outbox_attempts (delivery, attempt, ended_at, millis, answer)
         SELECT seq, 1, created_at, 1, 'x' FROM webhook_outbox_deliveries WHERE state = 3;
         INSERT INTO webhook_outbox_stats (tenant, hour, endpoint, ended, bucket, count)
         SELECT 'tenant ' || n, {HOUR} + n, 'ep_' || md5(n::text), 0, 5, 1 FROM generate_series(1, {ROWS}) AS n;
         INSERT INTO webhook_outbox_stats (tenant, hour, endpoint, ended, bucket, count)
         SELECT 'acme', {HOUR} + n, '{endpoint}', 0, bucket, 1
         FROM generate_series(0, 1000) AS n, (VALUES (5), (6)) AS b (bucket);
         ANALYZE"
    );
    execute(&mut admin.acquire().await.unwrap(), &fill).await;
    let fresh = async || PgPoolOptions::new().max_connections(1).connect(&url).await.unwrap();

    for round in 0..20 {
        let before = rows_read(&admin).await;
        let pool = fresh().await;
        let store = PostgresStore::from_pool(pool.clone());
        let query = |state, of_endpoint: bool, of_message: bool| DeliveryQueryOf { state, of_endpoint, of_message };
        let list = async |wanted: DeliveryQueryOf| {
            let mut query = DeliveryQuery::default();
            query.state = wanted.state;
            query.endpoint = wanted.of_endpoint.then_some(endpoint);
            query.message = wanted.of_message.then(|| ended.message.message_id().to_string());
            store.deliveries("acme".into(), query, 50).await.unwrap().len()
        };
        match round {
            0 => assert_eq!(dispatch(&store, message("acme")).await, Dispatched::Stored { deliveries: 1 }),
            1 => assert_eq!(lease(&store, 10).await.len(), 1),
            2 => assert_eq!(lease(&store, 10).await.len(), 0),
            3 => assert_eq!(finish(&store, &ended, After::Delivered).await, Fenced::Stale),
            4 => assert_eq!(list(query(None, false, false)).await, 50),
            5 => {
                assert_eq!(list(query(Some(DeliveryState::Exhausted), false, false)).await, 1);
                let of_all = store.all_deliveries(Some(DeliveryState::Exhausted), None, 50).await.unwrap();
                assert_eq!(of_all.len(), 1);
            }
            6 => assert_eq!(list(query(None, true, false)).await, 50),
            7 => assert_eq!(list(query(Some(DeliveryState::Exhausted), true, false)).await, 1),
            8 => assert_eq!(list(query(None, false, true)).await, 1),
            9 => assert_eq!(purge(&store, 100).await, 0),
            10 => {
                let mut recover = Recover::new(std::time::UNIX_EPOCH);
                recover.after = None;
                assert!(store.recover(endpoint, recover, 50).await.unwrap().next.is_some());
            }
            11 => assert_eq!(store.stats(Scope::tenant("acme"), HOUR, HOUR + 1).await.unwrap().len(), 2),
            12 => assert_eq!(store.stats(Scope::all().endpoint(endpoint), HOUR, HOUR + 1).await.unwrap().len(), 2),
            13 => assert!(store.stats(Scope::all(), HOUR + 10_000, HOUR + 10_100).await.unwrap().len() == 100),
            14 => assert_eq!(store.backlog(Scope::tenant("acme")).await.unwrap().waiting, BACKLOG_COUNTED),
            15 => assert_eq!(store.backlog(Scope::all().endpoint(endpoint)).await.unwrap().waiting, BACKLOG_COUNTED),
            16 => assert_eq!(store.backlog(Scope::all()).await.unwrap().waiting, BACKLOG_COUNTED),
            17 => assert_eq!(store.all_deliveries(None, None, 50).await.unwrap().len(), 50),
            18 => assert!(store.erase("acme".into(), 10).await.unwrap() > 0),
            _ => assert_eq!(store.endpoints(None, None, 50).await.unwrap().len(), 50),
        }
        pool.close().await;
        // This also closes its connection for notifications.
        drop(store);
        let read = rows_read(&admin).await - before;
        let counted = if (14..=16).contains(&round) { i64::from(BACKLOG_COUNTED) } else { 0 };
        assert!(read < 2000 + counted, "round {round} read {read} rows");
    }
}

struct DeliveryQueryOf {
    state: Option<DeliveryState>,
    of_endpoint: bool,
    of_message: bool,
}

/// How many rows of the outbox's tables the server has read, of those sessions that have ended.
async fn rows_read(pool: &PgPool) -> i64 {
    // A session reports its counts at its end at the latest.
    let ours = "SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND application_name <> 'admin' AND backend_type = 'client backend'";
    while sqlx::query_scalar::<_, i64>(ours).fetch_one(pool).await.unwrap() > 0 {
        tokio::task::yield_now().await;
    }
    let read = "SELECT coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::bigint FROM pg_stat_user_tables
                WHERE relname LIKE 'webhook_outbox%'";
    sqlx::query_scalar(read).fetch_one(pool).await.unwrap()
}

// Faults

#[tokio::test]
async fn an_unreachable_server_is_unavailable_within_the_timeout_and_a_retry_is_safe() {
    for fault in [Fault::Hang, Fault::Refuse, Fault::CutAfterSend, Fault::CutBeforeSend] {
        let offset = ClockOffset::default();
        let options = PostgresStore::options().max_connections(4).timeout(TIMEOUT).clock_offset(offset.clone());
        let (_server, proxy, store) = store_behind_proxy(options).await;
        register(&store, "acme").await;
        let only = message("acme");

        fails_in_time(&proxy, fault, store.dispatch(vec![only.clone()])).await;
        dispatch(&store, only.clone()).await;
        assert_eq!(dispatch(&store, only).await, Dispatched::Known { deliveries: 1 }, "{fault:?}");

        fails_in_time(&proxy, fault, try_lease(&store, 10)).await;
        offset.advance(LEASE * 2);
        let leased = lease(&store, 10).await;
        assert_eq!(leased.len(), 1, "{fault:?}");

        fails_in_time(&proxy, fault, try_finish(&store, &leased[0], After::Delivered)).await;
        // The first call may have taken effect.
        let _ = try_finish(&store, &leased[0], After::Delivered).await.unwrap();
        assert_eq!(records(&store, "acme").await[0].state, DeliveryState::Delivered, "{fault:?}");
        assert_eq!(store.attempts(leased[0].id).await.unwrap().len(), 1, "{fault:?}");
    }
}

/// At whatever moment a call ends early, others can lease and finish soon after: by the end of the time for which the server
/// waits for one who has begun something and says no more.
#[tokio::test]
async fn a_call_that_ends_early_or_hangs_leaves_nothing_locked() {
    let server = PostgresServer::shared();
    let url = server.database().await;
    let proxy = Proxy::before(server.port()).await;
    let through = url.replace(&format!(":{}/", server.port()), &format!(":{}/", proxy.port()));
    let far = PostgresStore::options().max_connections(2).timeout(TIMEOUT).connect(&through).await.unwrap();
    let near = PostgresStore::options().timeout(TIMEOUT).connect(&url).await.unwrap();
    for step in 0..counts(14, 140) {
        let fault = if step % 2 == 0 { Fault::Hang } else { Fault::Refuse };
        let tenant = format!("tenant {step}");
        register(&near, &tenant).await;
        dispatch(&near, message(&tenant)).await;
        let leased = lease(&near, 10).await;
        dispatch(&near, message(&tenant)).await;

        // Seven moments of six round trips.
        let moment = Duration::from_millis(u64::from(step / 2 % 7) * 10 + 5);
        proxy.set(Fault::Delay(Duration::from_millis(10)));
        let calls = async {
            let _ = tokio::join!(try_lease(&far, 10), try_finish(&far, &leased[0], After::Delivered));
        };
        if timeout(moment, calls).await.is_err() {
            // The future is dropped, so nobody reads the answer to its statement.
        }
        proxy.set(fault);

        let until = Instant::now() + Duration::from_secs(30);
        loop {
            match try_finish(&near, &leased[0], After::Delivered).await {
                Ok(_) => break,
                Err(error) => assert!(error.kind() == StoreErrorKind::Busy && Instant::now() < until, "{error:?}"),
            }
        }
        assert_eq!(records(&near, &tenant).await.last().unwrap().state, DeliveryState::Delivered);
        proxy.cut().await;
        while near.erase(tenant.as_str().into(), 100).await.unwrap() > 0 {}
    }
}

/// As it does when it is shut down, or fails over: every session ends, in the middle of whatever it does.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_when_the_server_ends_all_sessions() {
    let offset = ClockOffset::default();
    let options = PostgresStore::options().clock_offset(offset.clone());
    let (_server, store, pool) = store_and_pool_with(options).await;
    for _ in 0..5 {
        register(&store, "acme").await;
    }
    let all = counts(40, 400) as usize;
    for _ in 0..all {
        dispatch(&store, message("acme")).await;
    }

    let delivered = Arc::new(AtomicU32::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..4 {
        let (store, delivered, offset) = (store.clone(), delivered.clone(), offset.clone());
        tasks.spawn(async move {
            while (delivered.load(SeqCst) as usize) < all * 5 {
                let Ok(leased) = try_lease(&store, 8).await else { continue };
                if leased.is_empty() {
                    // Deliveries that were leased by a call without an answer can be leased again later.
                    offset.advance(LEASE);
                }
                for held in &leased {
                    loop {
                        match try_finish(&store, held, After::Delivered).await {
                            Ok(_) => break,
                            Err(error) => assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error:?}"),
                        }
                    }
                }
                delivered.fetch_max(records_of(&store, DeliveryState::Delivered).await, SeqCst);
            }
        });
    }
    let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let mut admin = pool.acquire().await.unwrap();
    while !tasks.is_empty() {
        execute(&mut admin, kill).await;
        // Long enough for some to get something done between.
        let _ = timeout(Duration::from_millis(40), tasks.join_next()).await.map(|done| done.map(Result::unwrap));
    }

    let query = "SELECT count(*), count(DISTINCT a.delivery) FROM webhook_outbox_attempts AS a";
    let (attempts, deliveries): (i64, i64) = sqlx::query_as(query).fetch_one(&mut *admin).await.unwrap();
    assert_eq!((attempts as usize, deliveries as usize), (all * 5, all * 5), "each is noted once");
}

async fn records_of(store: &PostgresStore, state: DeliveryState) -> u32 {
    let mut query = DeliveryQuery::default();
    query.state = Some(state);
    store.deliveries("acme".into(), query, 10_000).await.map_or(0, |records| records.len() as u32)
}

// Waking up

/// A transport that always succeeds.
struct Always;

impl Transport for Always {
    fn send(&self, _request: AttemptRequest) -> BoxFuture<'_, AttemptResult> {
        let answer = EndpointResponse::new(StatusCode::NO_CONTENT);
        Box::pin(std::future::ready(AttemptResult::answered(answer, Duration::from_millis(1))))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_worker_that_looks_once_an_hour_is_woken_by_another_process() {
    let server = PostgresServer::shared();
    let url = server.database().await;
    let workers = PostgresStore::connect(&url).await.unwrap();
    let pool = PgPoolOptions::new().max_connections(1).connect(&url).await.unwrap();
    let delivered = Arc::new(Notify::new());
    let tell = delivered.clone();
    let webhooks = Dispatcher::builder(workers)
        .sealing_key(SealingKey::from_bytes([7; 32]).unwrap())
        .transport(Always, DestinationPolicy::default())
        .poll_interval(Duration::from_secs(3600))
        .on_delivered(move |_| tell.notify_one())
        .build()
        .unwrap();
    let endpoint = NewEndpoint::new("https://example.com/hook").unwrap().tenant("acme").events(["order.*"]);
    webhooks.endpoints().create(endpoint).await.unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let worker = tokio::spawn(webhooks.worker().run(async {
        let _ = stopped.await;
    }));
    let others = PostgresStore::connect(&url).await.unwrap();

    for round in 0..6 {
        // It is idle, and will not look by itself.
        listening(&pool).await;
        if round % 2 == 0 {
            dispatch(&others, message("acme")).await;
        } else {
            let mut transaction = pool.begin().await.unwrap();
            dispatch_in(&others, &mut transaction, vec![message("acme")]).await;
            transaction.commit().await.unwrap();
            // The application's own transaction sends no notification.
            others.notify();
        }
        timeout(Duration::from_secs(30), delivered.notified()).await.expect("it is woken");
        if round == 3 {
            // It listens again, and looks, whenever its connection is lost.
            let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                        WHERE datname = current_database() AND query LIKE 'LISTEN%'";
            execute(&mut pool.acquire().await.unwrap(), kill).await;
        }
    }
    stop.send(()).unwrap();
    worker.await.unwrap();

    // Nothing listens any more.
    let until = Instant::now() + Duration::from_secs(30);
    while listeners(&pool).await > 0 {
        assert!(Instant::now() < until);
        tokio::task::yield_now().await;
    }
}

/// Waits until a session listens, and all sessions have been idle for a moment.
async fn listening(pool: &PgPool) {
    let idle = "SELECT bool_and(state = 'idle' AND state_change < clock_timestamp() - interval '200 ms')
                FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'";
    let until = Instant::now() + Duration::from_secs(60);
    while listeners(pool).await == 0
        || !sqlx::query_scalar::<_, Option<bool>>(idle).fetch_one(pool).await.unwrap().unwrap_or(false)
    {
        assert!(Instant::now() < until, "nobody listens");
        tokio::task::yield_now().await;
    }
}

async fn listeners(pool: &PgPool) -> i64 {
    let count = "SELECT count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE 'LISTEN%'";
    sqlx::query_scalar(count).fetch_one(pool).await.unwrap()
}

// Helpers

async fn store_with(options: PostgresStoreOptions) -> (Arc<PostgresServer>, PostgresStore, ClockOffset) {
    let server = PostgresServer::shared();
    let offset = ClockOffset::default();
    let store = options.clock_offset(offset.clone()).connect(&server.database().await).await.unwrap();
    (server, store, offset)
}

async fn store_and_pool() -> (Arc<PostgresServer>, PostgresStore, PgPool) {
    store_and_pool_with(PostgresStore::options()).await
}

async fn store_and_pool_with(options: PostgresStoreOptions) -> (Arc<PostgresServer>, PostgresStore, PgPool) {
    let server = PostgresServer::shared();
    let url = server.database().await;
    let store = options.connect(&url).await.unwrap();
    let pool = PgPoolOptions::new().max_connections(4).connect(&url).await.unwrap();
    (server, store, pool)
}

async fn store_behind_proxy(options: PostgresStoreOptions) -> (Arc<PostgresServer>, Proxy, PostgresStore) {
    let server = PostgresServer::shared();
    let url = server.database().await;
    let proxy = Proxy::before(server.port()).await;
    let through = url.replace(&format!(":{}/", server.port()), &format!(":{}/", proxy.port()));
    let store = options.connect(&through).await.unwrap();
    (server, proxy, store)
}

/// How many round trips there have been since the last time, once there are no more.
async fn settled_trips(proxy: &Proxy) -> u32 {
    let mut trips = 0;
    loop {
        // The pool tests a connection in the background, which takes a round trip.
        tokio::time::sleep(DELAY).await;
        match proxy.take_trips() {
            0 => return trips,
            more => trips += more,
        }
    }
}

async fn execute(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.unwrap();
}

async fn register(store: &impl OutboxStore, tenant: &str) -> EndpointId {
    let settings = EndpointSettings::new(
        "https://example.com/hook",
        vec!["order.*".to_owned()],
        Style::StandardWebhooks,
        Sealed::new("", &b"sealed"[..]),
    );
    let draft = EndpointDraft::new(EndpointId::random().unwrap(), tenant, settings);
    store.create_endpoint(draft, u32::MAX).await.unwrap().unwrap().id
}

fn message(tenant: &str) -> Message {
    Message::new("order.completed", &7).unwrap().tenant(tenant)
}

async fn dispatch(store: &impl OutboxStore, message: Message) -> Dispatched {
    store.dispatch(vec![message]).await.unwrap()[0]
}

async fn dispatch_in(
    store: &PostgresStore,
    transaction: &mut sqlx::Transaction<'static, sqlx::Postgres>,
    messages: Vec<Message>,
) -> Vec<Dispatched> {
    let connection: &mut (dyn Any + Send) = transaction.connection();
    store.dispatch_in(connection, messages).await.unwrap()
}

/// A leased delivery and its token.
#[derive(Debug, Clone)]
struct Held {
    token: LeaseToken,
    delivery: LeasedDelivery,
}

impl std::ops::Deref for Held {
    type Target = LeasedDelivery;

    fn deref(&self) -> &LeasedDelivery {
        &self.delivery
    }
}

async fn try_lease(store: &impl OutboxStore, limit: u32) -> Result<Vec<Held>, StoreError> {
    let token = LeaseToken::random().unwrap();
    let leases = store.lease(LeaseRequest::new(token, LEASE, limit)).await?;
    Ok(leases.deliveries.into_iter().map(|delivery| Held { token, delivery }).collect())
}

async fn lease(store: &impl OutboxStore, limit: u32) -> Vec<Held> {
    try_lease(store, limit).await.unwrap()
}

async fn try_finish(store: &impl OutboxStore, held: &Held, after: After) -> Result<Fenced, StoreError> {
    Ok(store.finish(held.id, held.token, Finish::new(after)).await?.0)
}

async fn finish(store: &impl OutboxStore, held: &Held, after: After) -> Fenced {
    try_finish(store, held, after).await.unwrap()
}

/// Takes all that is due out of the way.
async fn drain(store: &impl OutboxStore) {
    loop {
        let leased = lease(store, 1000).await;
        if leased.is_empty() {
            return;
        }
        for leased in &leased {
            let _ = finish(store, leased, After::Delivered).await;
        }
    }
}

/// Makes deliveries that are given up, and gives one of them.
async fn dispatch_to_end(store: &impl OutboxStore, tenant: &str) -> Held {
    dispatch(store, message(tenant)).await;
    let leased = lease(store, 10).await;
    for leased in &leased {
        let _ = finish(store, leased, After::Exhausted).await;
    }
    leased[0].clone()
}

async fn purge(store: &impl OutboxStore, limit: u32) -> u64 {
    OutboxLog::purge(store, Retention::default(), limit).await.unwrap()
}

async fn recover(store: &impl OutboxStore, endpoint: EndpointId) -> u64 {
    store.recover(endpoint, Recover::new(std::time::UNIX_EPOCH), 1000).await.unwrap().deliveries
}

async fn records(store: &impl OutboxStore, tenant: &str) -> Vec<DeliveryRecord> {
    store.deliveries(tenant.into(), DeliveryQuery::default(), 1000).await.unwrap()
}

async fn state_of(store: &impl OutboxStore, tenant: &str, endpoint: EndpointId) -> DeliveryState {
    records(store, tenant).await.iter().find(|record| record.endpoint == endpoint).unwrap().state
}

fn ids(leased: &[Held]) -> Vec<&str> {
    leased.iter().map(|leased| leased.message.message_id().as_str()).collect()
}

const TABLES: [&str; 8] =
    ["backlog", "endpoints", "messages", "deliveries", "attempts", "event_types", "moves", "stats"];

const FAILED: After = After::Retry { wait: Duration::from_secs(3600) };

fn by(offset: &ClockOffset) -> impl Fn(Duration) -> BoxFuture<'static, ()> + use<'_> {
    |by| {
        offset.advance(by);
        Box::pin(std::future::ready(()))
    }
}
