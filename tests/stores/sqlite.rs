//! `SqliteStore`, through the public API. Processes are real ones: this test binary again, see `child`.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use sqlx::{
    AssertSqlSafe, Connection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions},
};
use tempfile::TempDir;
use tokio::{runtime::Runtime, sync::Barrier, time::timeout};
use tower_webhooks::{
    clock::ClockOffset,
    conformance::{self, OffsetHarness},
    error::{ConfigErrorKind, StoreErrorKind},
    idempotency::{
        ClaimKey, ClaimOutcome, ClaimRequest, ClaimToken, Completion, Fenced, Fingerprint, IdempotencyStore,
    },
    store::{SqliteStore, sqlite::SqliteStoreOptions},
    transaction::StoreTransaction,
};

#[cfg(feature = "tracing")]
use crate::support::logs;

const LEASE: Duration = Duration::from_secs(60);
const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

// The contract.

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_the_contract_in_a_file() {
    let file = File::new();
    let offset = ClockOffset::default();
    let store = SqliteStore::options().clock_offset(offset.clone()).connect(&file.url()).await.unwrap();

    conformance::idempotency(&OffsetHarness::new(store, offset)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_the_contract_in_memory_as_a_boxed_store() {
    let offset = ClockOffset::default();
    let store = SqliteStore::options().clock_offset(offset.clone()).connect("sqlite::memory:").await.unwrap();
    let store: Box<dyn IdempotencyStore> = Box::new(store);

    conformance::idempotency(&OffsetHarness::new(store, offset)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_the_contract_on_the_applications_pool_as_a_shared_store() {
    let file = File::new();
    let offset = ClockOffset::default();
    let store = SqliteStore::options().clock_offset(offset.clone()).from_pool(file.pool().await);
    store.migrate().await.unwrap();
    let store: Arc<dyn IdempotencyStore> = Arc::new(store);

    conformance::idempotency(&OffsetHarness::new(store, offset)).await;
}

#[test]
fn random_interleavings_are_answered_as_the_model_says() {
    let runtime = Runtime::new().unwrap();
    let file = File::new();
    let offset = ClockOffset::default();
    let options = SqliteStore::options().clock_offset(offset.clone());
    let store = runtime.block_on(options.connect(&file.url())).unwrap();

    crate::support::interleavings::check_interleavings(&runtime, &OffsetHarness::new(store, offset), 60);
}

// Groups.

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_deliveries_at_once_are_each_claimed_and_completed() {
    let file = File::new();
    let store = SqliteStore::connect(&file.url()).await.unwrap();
    let barrier = Arc::new(Barrier::new(64));

    let tasks: Vec<_> = (0..64)
        .map(|id| {
            let (store, barrier) = (store.clone(), barrier.clone());
            tokio::spawn(async move {
                barrier.wait().await;
                let token = acquire(&store, id).await;
                complete(&store, id, token).await
            })
        })
        .collect();

    for task in tasks {
        assert_eq!(task.await.unwrap(), Fenced::Applied);
    }
    for id in 0..64 {
        assert!(is_done(&store, id).await, "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_cannot_be_written_does_not_fail_the_others() {
    let file = File::new();
    let store = SqliteStore::connect(&file.url()).await.unwrap();
    let refused = hex(key(13));
    file.execute(&format!(
        "CREATE TRIGGER refuse BEFORE INSERT ON webhook_claims WHEN new.key = x'{refused}' \
         BEGIN SELECT raise(ABORT, 'not this one'); END"
    ))
    .await;
    let barrier = Arc::new(Barrier::new(40));

    let tasks: Vec<_> = (0..40)
        .map(|id| {
            let (store, barrier) = (store.clone(), barrier.clone());
            tokio::spawn(async move {
                barrier.wait().await;
                (id, store.claim(request(id, token())).await)
            })
        })
        .collect();

    for task in tasks {
        match task.await.unwrap() {
            (13, answer) => assert_eq!(answer.unwrap_err().kind(), StoreErrorKind::Rejected),
            (id, answer) => assert!(matches!(answer, Ok(ClaimOutcome::Acquired { attempt: 1 })), "{id}: {answer:?}"),
        }
    }
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_its_own_error() {
    let file = File::new();
    let store = SqliteStore::connect(&file.url()).await.unwrap();
    let lost = acquire(&store, 1).await;
    let good = acquire(&store, 2).await;
    file.execute(&format!("UPDATE webhook_claims SET state = 9 WHERE key = x'{}'", hex(key(1)))).await;

    let (claimed, completed, other) = tokio::join!(
        store.claim(request(1, token())),
        store.complete(key(1), lost, Completion::new(WEEK)),
        complete(&store, 2, good),
    );

    assert_eq!(claimed.unwrap_err().kind(), StoreErrorKind::Corrupt);
    assert_eq!(completed.unwrap_err().kind(), StoreErrorKind::Corrupt);
    assert_eq!(other, Fenced::Applied);
}

#[tokio::test]
async fn a_full_disk_is_full() {
    let file = File::new();
    let pool = SqlitePool::connect_with(file.options().pragma("max_page_count", "64")).await.unwrap();
    let store = SqliteStore::from_pool(pool);
    store.migrate().await.unwrap();
    acquire(&store, 0).await;

    let mut error = None;
    for id in 1..5_000 {
        if let Err(refused) = store.claim(request(id, token())).await {
            error = Some(refused);
            break;
        }
    }

    assert_eq!(error.unwrap().kind(), StoreErrorKind::Full);
    assert!(matches!(store.claim(request(0, token())).await, Ok(ClaimOutcome::InFlight { .. })));
}

#[tokio::test]
async fn purge_goes_on_beyond_one_step() {
    let file = File::new();
    let offset = ClockOffset::default();
    let store = SqliteStore::options().clock_offset(offset.clone()).connect(&file.url()).await.unwrap();
    for id in 0..1_200 {
        let token = acquire(&store, id).await;
        let _ = complete(&store, id, token).await;
    }
    offset.advance(WEEK * 2);

    assert_eq!(store.purge(1_100).await.unwrap(), 1_100);
    assert_eq!(store.purge(1_100).await.unwrap(), 100);
    assert_eq!(store.purge(1_100).await.unwrap(), 0);
}

// Without write-ahead logging.

/// A database in `delete` mode, as sqlx leaves it by itself, and a store on it.
async fn without_wal(file: &File, busy_timeout: Duration) -> (SqlitePool, SqliteStore) {
    let pool = SqlitePool::connect_with(file.options().journal_mode(SqliteJournalMode::Delete)).await.unwrap();
    let store = SqliteStore::options().busy_timeout(busy_timeout).from_pool(pool.clone());
    (pool, store)
}

/// A transaction that has read, and so holds every commit up until it ends.
async fn reader(pool: &SqlitePool) -> sqlx::Transaction<'static, sqlx::Sqlite> {
    let mut reader = pool.begin().await.unwrap();
    sqlx::query("SELECT count(*) FROM sqlite_schema").fetch_one(&mut *reader).await.unwrap();
    reader
}

/// Much longer than SQLite's own look of 10 ms.
const IN_THE_WAY: Duration = Duration::from_millis(400);

#[tokio::test]
async fn without_write_ahead_logging_every_change_waits_for_an_open_reader() {
    let file = File::new();
    let (pool, store) = without_wal(&file, Duration::from_secs(30)).await;
    store.migrate().await.unwrap();
    let (done, released, renewed) = (acquire(&store, 1).await, acquire(&store, 2).await, acquire(&store, 3).await);

    for number in 0..4 {
        let reader = reader(&pool).await;
        let change = async {
            match number {
                0 => drop(acquire(&store, 4).await),
                1 => assert_eq!(complete(&store, 1, done).await, Fenced::Applied),
                2 => assert_eq!(store.release(key(2), released).await.unwrap(), Fenced::Applied),
                _ => assert_eq!(store.renew(key(3), renewed, LEASE).await.unwrap(), Fenced::Applied),
            }
        };
        let asked = tokio::time::Instant::now();
        let end = async {
            tokio::time::sleep(IN_THE_WAY).await;
            reader.rollback().await.unwrap();
        };
        tokio::join!(change, end);
        assert!(asked.elapsed() >= IN_THE_WAY, "{number}: it did not wait");
    }

    assert!(is_done(&store, 1).await);
    assert!(matches!(store.claim(request(2, token())).await, Ok(ClaimOutcome::Acquired { attempt: 2 })));
    for id in [3, 4] {
        assert!(matches!(store.claim(request(id, token())).await, Ok(ClaimOutcome::InFlight { .. })), "{id}");
    }
}

#[tokio::test]
async fn without_write_ahead_logging_a_reader_that_stays_is_waited_for_as_long_as_is_said() {
    const PATIENCE: Duration = Duration::from_millis(500);
    let file = File::new();
    let (pool, store) = without_wal(&file, PATIENCE).await;
    store.migrate().await.unwrap();
    let token = acquire(&store, 1).await;
    let reader = reader(&pool).await;

    for _ in 0..2 {
        let asked = tokio::time::Instant::now();
        let error = store.complete(key(1), token, Completion::new(WEEK)).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Busy);
        assert!(asked.elapsed() >= PATIENCE, "{:?}", asked.elapsed());
        // The lock is given up meanwhile: readers come and go.
        assert_eq!(store.is_done(key(1), token).await.unwrap(), Fenced::Stale);
    }
    // Purging blocks other calls only briefly, so it gives up sooner.
    assert_eq!(store.purge(10).await.unwrap_err().kind(), StoreErrorKind::Busy);
    reader.rollback().await.unwrap();

    assert_eq!(complete(&store, 1, token).await, Fenced::Applied);
    assert!(is_done(&store, 1).await);
}

#[tokio::test]
async fn without_write_ahead_logging_a_migration_waits_for_an_open_reader() {
    let file = File::new();
    let (pool, store) = without_wal(&file, Duration::from_secs(30)).await;
    sqlx::query("CREATE TABLE orders (id INTEGER)").execute(&pool).await.unwrap();
    let reader = reader(&pool).await;

    let end = async {
        tokio::time::sleep(IN_THE_WAY).await;
        reader.rollback().await.unwrap();
    };
    let (migrated, ()) = tokio::join!(store.migrate(), end);

    migrated.unwrap();
    acquire(&store, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_write_ahead_logging_it_keeps_the_contract() {
    let file = File::new();
    let pool = SqlitePool::connect_with(file.options().journal_mode(SqliteJournalMode::Delete)).await.unwrap();
    let offset = ClockOffset::default();
    let store = SqliteStore::options().clock_offset(offset.clone()).from_pool(pool);
    store.migrate().await.unwrap();

    conformance::idempotency(&OffsetHarness::new(store, offset)).await;
}

#[cfg(feature = "tracing")]
#[tokio::test]
async fn the_journal_mode_is_told_at_start_where_it_is_not_the_write_ahead_log() {
    let (logs, _guard) = logs::Logs::capture();
    let told = || logs.ours().into_iter().filter(|line| line.contains("journal mode")).collect::<Vec<_>>();
    let file = File::new();

    let store = SqliteStore::connect(&file.url()).await.unwrap();
    acquire(&store, 1).await;
    SqliteStore::connect_without_migrating(&file.url()).await.unwrap();
    SqliteStore::connect("sqlite::memory:").await.unwrap();
    assert_eq!(told(), [""; 0]);

    for mode in [SqliteJournalMode::Delete, SqliteJournalMode::Truncate, SqliteJournalMode::Persist] {
        let file = File::new();
        let pool = SqlitePool::connect_with(file.options().journal_mode(mode)).await.unwrap();
        let before = told().len();

        let store = SqliteStore::from_pool(pool);
        store.migrate().await.unwrap();
        acquire(&store, 1).await;

        let told = told().split_off(before);
        assert_eq!(told.len(), 1, "{told:?}");
        let name = format!("{mode:?}").to_lowercase();
        assert!(told[0].contains("WARN") && told[0].contains(&format!("`{name}`")), "{told:?}");
    }
}

// What an application can use of the store.

#[tokio::test]
async fn the_pool_is_lent_for_transactions() {
    let file = File::new();
    let store = SqliteStore::connect(&file.url()).await.unwrap();
    let token = acquire(&store, 1).await;
    let pool = store.pool();
    // Several at once, for handlers that wait for each other.
    let _other = pool.begin().await.unwrap();

    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    assert_eq!(complete_in(&store, &mut transaction, 1, token).await.unwrap(), Fenced::Applied);
    StoreTransaction::commit(transaction).await.unwrap();

    assert!(is_done(&store, 1).await);

    let store = SqliteStore::connect("sqlite::memory:").await.unwrap();
    let token = acquire(&store, 1).await;
    let mut transaction = store.pool().begin().await.unwrap();
    assert_eq!(complete_in(&store, &mut transaction, 1, token).await.unwrap(), Fenced::Applied);
    StoreTransaction::commit(transaction).await.unwrap();
    assert!(is_done(&store, 1).await);
}

#[tokio::test]
async fn a_file_that_cannot_be_opened_is_named() {
    let file = File::new();
    let missing = format!("sqlite://{}/missing/webhooks.db", file.0.path().display());

    for error in [
        SqliteStore::connect(&missing).await.unwrap_err(),
        SqliteStore::connect_without_migrating(&file.url()).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        assert!(error.to_string().contains("webhooks.db`"), "{error}");
    }
}

// The application's transaction.

#[tokio::test]
async fn effect_and_mark_are_committed_together() {
    let file = File::new();
    let pool = file.pool().await;
    let store = SqliteStore::from_pool(pool.clone());
    store.migrate().await.unwrap();
    let token = acquire(&store, 1).await;

    let mut transaction = pool.begin().await.unwrap();
    let marked = complete_in(&store, &mut transaction, 1, token).await.unwrap();
    let again = complete_in(&store, &mut transaction, 1, token).await.unwrap();
    let before = store.is_done(key(1), token).await.unwrap();
    StoreTransaction::commit(transaction).await.unwrap();

    assert_eq!((marked, again, before), (Fenced::Applied, Fenced::Applied, Fenced::Stale));
    assert_eq!(store.is_done(key(1), token).await.unwrap(), Fenced::Applied);
    assert!(is_done(&store, 1).await);
}

#[tokio::test]
async fn a_rollback_leaves_the_claim_pending() {
    let file = File::new();
    let pool = file.pool().await;
    let store = SqliteStore::from_pool(pool.clone());
    store.migrate().await.unwrap();
    let token = acquire(&store, 1).await;

    let mut transaction = pool.begin().await.unwrap();
    let _ = complete_in(&store, &mut transaction, 1, token).await.unwrap();
    transaction.rollback().await.unwrap();

    assert_eq!(store.is_done(key(1), token).await.unwrap(), Fenced::Stale);
    assert!(matches!(store.claim(request(1, self::token())).await, Ok(ClaimOutcome::InFlight { .. })));
    assert_eq!(complete(&store, 1, token).await, Fenced::Applied);
}

#[tokio::test]
async fn a_stale_owner_marks_nothing_in_its_transaction() {
    let file = File::new();
    let pool = file.pool().await;
    let offset = ClockOffset::default();
    let store = SqliteStore::options().clock_offset(offset.clone()).from_pool(pool.clone());
    store.migrate().await.unwrap();
    let stale = acquire(&store, 1).await;
    offset.advance(LEASE * 2);
    let owner = acquire(&store, 1).await;
    let released = acquire(&store, 3).await;
    let _ = store.release(key(3), released).await.unwrap();

    let mut transaction = pool.begin().await.unwrap();
    let taken_over = complete_in(&store, &mut transaction, 1, stale).await.unwrap();
    let unknown = complete_in(&store, &mut transaction, 2, stale).await.unwrap();
    let given_back = complete_in(&store, &mut transaction, 3, released).await.unwrap();
    transaction.commit().await.unwrap();

    assert_eq!([taken_over, unknown, given_back], [Fenced::Stale; 3]);
    assert_eq!(complete(&store, 1, owner).await, Fenced::Applied);
    acquire(&store, 3).await;
}

#[tokio::test]
async fn a_transaction_of_another_database_marks_nothing() {
    let (file, other) = (File::new(), File::new());
    let store = SqliteStore::connect(&file.url()).await.unwrap();
    let elsewhere = other.pool().await;
    let token = acquire(&store, 1).await;

    let mut transaction = elsewhere.begin().await.unwrap();
    let without_tables = complete_in(&store, &mut transaction, 1, token).await.unwrap_err();
    transaction.rollback().await.unwrap();
    SqliteStore::from_pool(elsewhere.clone()).migrate().await.unwrap();
    let mut transaction = elsewhere.begin().await.unwrap();
    let with_tables = complete_in(&store, &mut transaction, 1, token).await.unwrap();
    transaction.commit().await.unwrap();

    assert_eq!(without_tables.kind(), StoreErrorKind::WrongTransaction);
    assert_eq!(with_tables, Fenced::Stale);
    assert_eq!(store.is_done(key(1), token).await.unwrap(), Fenced::Stale);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_is_answered_while_the_applications_transaction_holds_the_lock() {
    let file = File::new();
    let pool = file.pool().await;
    let store = SqliteStoreOptions::new().busy_timeout(Duration::from_secs(300)).from_pool(pool.clone());
    store.migrate().await.unwrap();
    let done = acquire(&store, 0).await;
    let _ = complete(&store, 0, done).await;
    let token = acquire(&store, 1).await;
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let _ = complete_in(&store, &mut transaction, 1, token).await.unwrap();
    // A new claim now waits for the lock; a claim of a known delivery must not queue behind it.
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.claim(request(2, self::token())).await }
    });

    for _ in 0..20 {
        let in_flight = timeout(Duration::from_secs(10), store.claim(request(1, self::token()))).await.unwrap();
        let known = timeout(Duration::from_secs(10), store.claim(request(0, self::token()))).await.unwrap();
        assert!(matches!(in_flight, Ok(ClaimOutcome::InFlight { .. })), "{in_flight:?}");
        assert!(matches!(known, Ok(ClaimOutcome::Done { .. })), "{known:?}");
    }
    transaction.commit().await.unwrap();

    assert!(is_done(&store, 1).await);
    assert!(matches!(waiting.await.unwrap(), Ok(ClaimOutcome::Acquired { attempt: 1 })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_claim_waits_for_the_lock_no_longer_than_the_busy_timeout() {
    let file = File::new();
    let pool = file.pool().await;
    let store = SqliteStoreOptions::new().busy_timeout(Duration::from_millis(200)).from_pool(pool.clone());
    store.migrate().await.unwrap();
    let held = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();

    let claims = (0..300).map(|id| {
        let store = store.clone();
        tokio::spawn(async move { store.claim(request(id, token())).await })
    });
    let claims: Vec<_> = claims.collect();
    let busy = timeout(Duration::from_secs(20), async {
        let mut kinds = Vec::new();
        for claim in claims {
            kinds.push(claim.await.unwrap().unwrap_err().kind());
        }
        kinds
    })
    .await
    .expect("a claim still waits");
    held.rollback().await.unwrap();

    assert!(busy.iter().all(|kind| *kind == StoreErrorKind::Busy), "{busy:?}");
    acquire(&store, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_was_dropped_in_the_queue_is_not_made() {
    let file = File::new();
    let pool = file.pool().await;
    let store = SqliteStore::from_pool(pool.clone());
    store.migrate().await.unwrap();
    acquire(&store, 0).await;
    let held = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();

    let dropped = timeout(Duration::from_millis(300), store.claim(request(1, token()))).await;
    held.rollback().await.unwrap();

    assert!(dropped.is_err());
    acquire(&store, 1).await;
}

// The schema.

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_missing_is_created_and_migrated_by_eight_at_once() {
    for _ in 0..5 {
        let file = File::new();
        let barrier = Arc::new(Barrier::new(8));
        let tasks: Vec<_> = (0..8)
            .map(|id| {
                let (url, barrier) = (file.url(), barrier.clone());
                tokio::spawn(async move {
                    barrier.wait().await;
                    let store = SqliteStore::connect(&url).await?;
                    store.migrate().await?;
                    store.claim(request(id, token())).await
                })
            })
            .collect();

        for task in tasks {
            let claimed = task.await.unwrap();
            assert!(matches!(claimed, Ok(ClaimOutcome::Acquired { attempt: 1 })), "{claimed:?}");
        }
    }
}

#[tokio::test]
async fn a_missing_schema_says_what_to_do() {
    let file = File::new();
    let store = SqliteStore::from_pool(file.pool().await);

    let at_claim = store.claim(request(1, token())).await.unwrap_err();
    let at_connect = SqliteStore::connect_without_migrating(&file.url()).await.unwrap_err();
    store.migrate().await.unwrap();

    for error in [at_claim, at_connect] {
        assert_eq!(error.kind(), StoreErrorKind::Schema, "{error}");
        assert!(error.to_string().contains("call `SqliteStore::migrate`"), "{error}");
    }
    acquire(&store, 1).await;
    assert!(SqliteStore::connect_without_migrating(&file.url()).await.is_ok());
}

#[tokio::test]
async fn tables_dropped_meanwhile_are_a_schema_error() {
    let file = File::new();
    let store = SqliteStore::connect(&file.url()).await.unwrap();
    acquire(&store, 1).await;
    file.execute("DROP TABLE webhook_claims").await;

    let error = store.claim(request(2, token())).await.unwrap_err();

    assert_eq!(error.kind(), StoreErrorKind::Schema, "{error:?}");
}

#[tokio::test]
async fn a_newer_schema_that_must_be_known_is_refused() {
    let file = File::new();
    SqliteStore::connect(&file.url()).await.unwrap();
    file.execute("INSERT INTO webhook_migrations VALUES ('idempotency', 99, 99, 0)").await;

    let migrated = SqliteStore::connect(&file.url()).await.unwrap_err();
    let opened = SqliteStore::connect_without_migrating(&file.url()).await.unwrap_err();
    let claimed = SqliteStore::from_pool(file.pool().await).claim(request(1, token())).await.unwrap_err();

    for error in [migrated, opened, claimed] {
        assert_eq!(error.kind(), StoreErrorKind::Schema, "{error}");
        assert!(error.to_string().contains("upgrade `tower-webhooks`"), "{error}");
    }
}

#[tokio::test]
async fn a_newer_schema_that_only_adds_is_worked_with() {
    let file = File::new();
    let older = SqliteStore::connect(&file.url()).await.unwrap();
    let token = acquire(&older, 1).await;
    file.execute("ALTER TABLE webhook_claims ADD COLUMN added TEXT").await;
    file.execute("INSERT INTO webhook_migrations VALUES ('idempotency', 2, 1, 0)").await;
    file.execute("UPDATE webhook_claims SET added = 'by the newer'").await;

    assert_eq!(complete(&older, 1, token).await, Fenced::Applied);
    let started_later = SqliteStore::connect(&file.url()).await.unwrap();
    acquire(&started_later, 2).await;

    assert!(is_done(&started_later, 1).await);
    let kept: String = file.scalar("SELECT added FROM webhook_claims WHERE added IS NOT NULL").await;
    assert_eq!(kept, "by the newer");
}

#[tokio::test]
async fn stores_with_two_prefixes_share_a_file_and_nothing_else() {
    let file = File::new();
    let one = SqliteStore::options().table_prefix("one_").unwrap().connect(&file.url()).await.unwrap();
    let two = SqliteStore::options().table_prefix("two_").unwrap().connect(&file.url()).await.unwrap();

    acquire(&one, 1).await;
    acquire(&two, 1).await;

    assert_eq!(file.scalar::<i64>("SELECT count(*) FROM one_claims").await, 1);
    assert_eq!(file.scalar::<i64>("SELECT count(*) FROM two_claims").await, 1);
    let refused = SqliteStore::options().table_prefix("one_claims; --").unwrap_err();
    assert_eq!(refused.kind(), ConfigErrorKind::Name);
}

#[tokio::test]
async fn our_migrations_leave_the_applications_alone() {
    let file = File::new();
    SqliteStore::connect(&file.url()).await.unwrap();

    let tables: String = file
        .scalar(
            "SELECT group_concat(name) FROM (SELECT name FROM sqlite_master WHERE type = 'table' \
             AND name NOT LIKE 'webhook_outbox_%' AND name NOT LIKE 'webhook_inbox_%' AND name <> 'sqlite_sequence' ORDER BY name)",
        )
        .await;

    // With the features `send` and `inbox` those of outbox and inbox too, which count in SQLite's own `sqlite_sequence`.
    assert_eq!(tables, "webhook_claims,webhook_migrations");
}

#[tokio::test]
async fn a_url_of_another_database_is_refused() {
    let error = SqliteStore::connect("postgres://localhost/app").await.unwrap_err();

    assert_eq!(error.kind(), StoreErrorKind::Rejected, "{error:?}");
}

#[tokio::test]
async fn a_folder_that_is_missing_is_unavailable() {
    let error = SqliteStore::connect("sqlite:///no/such/folder/webhooks.db").await.unwrap_err();

    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error:?}");
}

// Ends and beginnings.

#[test]
fn it_works_on_another_runtime_after_the_first_has_ended() {
    let file = File::new();
    let first = Runtime::new().unwrap();
    let store = first.block_on(SqliteStore::connect(&file.url())).unwrap();
    let token = first.block_on(acquire(&store, 1));
    drop(first);

    let second = Runtime::new().unwrap();

    assert_eq!(second.block_on(complete(&store, 1, token)), Fenced::Applied);
    assert!(second.block_on(is_done(&store, 1)));
}

#[test]
fn calls_in_flight_when_the_writer_is_killed_fail_and_do_not_hang() {
    let file = File::new();
    let (first, second) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let pool = second.block_on(file.pool());
    let store = SqliteStoreOptions::new().busy_timeout(Duration::from_secs(300)).from_pool(pool.clone());
    second.block_on(store.migrate()).unwrap();
    first.block_on(acquire(&store, 0));
    let held = second.block_on(pool.begin_with("BEGIN IMMEDIATE")).unwrap();
    let waiting = second.spawn({
        let store = store.clone();
        async move { store.claim(request(1, token())).await }
    });
    std::thread::sleep(Duration::from_millis(200));

    first.shutdown_timeout(Duration::from_secs(10));
    let error =
        second.block_on(async { timeout(Duration::from_secs(20), waiting).await.unwrap().unwrap() }).unwrap_err();
    second.block_on(held.rollback()).unwrap();

    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error:?}");
    second.block_on(acquire(&store, 1));
}

#[tokio::test]
async fn a_closed_store_has_committed_everything_and_refuses_more() {
    let file = File::new();
    let store = SqliteStore::connect(&file.url()).await.unwrap();
    let token = acquire(&store, 1).await;
    let completing = tokio::spawn({
        let store = store.clone();
        async move { complete(&store, 1, token).await }
    });
    assert_eq!(completing.await.unwrap(), Fenced::Applied);

    store.close().await;
    store.close().await;

    assert_eq!(store.claim(request(2, token)).await.unwrap_err().kind(), StoreErrorKind::Unavailable);
    assert!(is_done(&SqliteStore::connect(&file.url()).await.unwrap(), 1).await);
}

#[tokio::test]
async fn a_database_in_memory_lives_as_long_as_its_store() {
    let store = SqliteStore::connect("sqlite::memory:").await.unwrap();
    let other = SqliteStore::connect("sqlite::memory:").await.unwrap();
    let token = acquire(&store, 1).await;

    assert_eq!(complete(&store, 1, token).await, Fenced::Applied);
    assert!(is_done(&store.clone(), 1).await);
    acquire(&other, 1).await;
}

#[tokio::test]
async fn an_applications_pool_in_memory_is_shared_with_it() {
    let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap();
    let store = SqliteStore::from_pool(pool.clone());
    store.migrate().await.unwrap();
    let token = acquire(&store, 1).await;

    let mut transaction = pool.begin().await.unwrap();
    let marked = complete_in(&store, &mut transaction, 1, token).await.unwrap();
    transaction.commit().await.unwrap();

    assert_eq!(marked, Fenced::Applied);
    assert!(is_done(&store, 1).await);
}

#[tokio::test]
async fn a_pool_that_is_used_up_does_not_keep_the_store_from_completing() {
    let file = File::new();
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(file.options()).await.unwrap();
    let store = SqliteStore::from_pool(pool.clone());
    store.migrate().await.unwrap();
    let reading = pool.begin().await.unwrap();

    let token = timeout(Duration::from_secs(10), acquire(&store, 1)).await.unwrap();
    let completed = timeout(Duration::from_secs(10), complete(&store, 1, token)).await.unwrap();

    assert_eq!(completed, Fenced::Applied);
    reading.rollback().await.unwrap();
}

// Processes.

#[test]
fn four_processes_on_one_new_file_run_each_delivery_once() {
    let file = File::new();

    let children: Vec<_> = (0..4).map(|_| child(&file, "race")).collect();
    let won: u32 = children.into_iter().map(|child| last_line(child).parse::<u32>().unwrap()).sum();

    assert_eq!(won, RACE_IDS);
    let runtime = Runtime::new().unwrap();
    let store = runtime.block_on(SqliteStore::connect_without_migrating(&file.url())).unwrap();
    for id in 0..RACE_IDS {
        assert!(runtime.block_on(is_done(&store, id)), "{id}");
    }
}

#[test]
fn what_a_killed_process_held_is_taken_over_when_its_lease_has_passed() {
    let runtime = Runtime::new().unwrap();
    let file = File::new();
    let mut holder = child(&file, "hold");
    assert_eq!(first_line(&mut holder), "held");
    holder.kill().unwrap();
    holder.wait().unwrap();
    let offset = ClockOffset::default();
    let options = SqliteStore::options().clock_offset(offset.clone());
    let store = runtime.block_on(options.connect_without_migrating(&file.url())).unwrap();

    let before = runtime.block_on(store.claim(request(0, token())));
    offset.advance(LEASE * 2);
    let after = runtime.block_on(store.claim(request(0, token())));

    assert!(matches!(before, Ok(ClaimOutcome::InFlight { .. })), "{before:?}");
    assert!(matches!(after, Ok(ClaimOutcome::Acquired { attempt: 2 })), "{after:?}");
}

#[test]
fn processes_killed_while_they_write_lose_nothing_that_was_answered() {
    let runtime = Runtime::new().unwrap();
    let rounds = if crate::support::interleavings::long() { 100 } else { 4 };
    for round in 0..rounds {
        let file = File::new();
        let mut writing = child(&file, "write");
        let mut lines = BufReader::new(writing.stdout.take().unwrap()).lines().map(Result::unwrap);
        // Every kill falls somewhere else.
        let mut answered: Vec<u32> = lines.by_ref().filter_map(|line| id_in(&line)).take(1 + round * 7).collect();
        writing.kill().unwrap();
        writing.wait().unwrap();
        answered.extend(lines.filter_map(|line| id_in(&line)));

        let store = runtime.block_on(SqliteStore::connect(&file.url())).unwrap();
        for id in &answered {
            assert!(runtime.block_on(is_done(&store, *id)), "{id} was answered as done and is not");
        }
        runtime.block_on(acquire(&store, u32::MAX));
    }

    fn id_in(line: &str) -> Option<u32> {
        line.strip_prefix("done ")?.parse().ok()
    }
}

const RACE_IDS: u32 = 200;

/// Not a test: the child process of the tests above.
#[test]
fn child_process() {
    let (Ok(role), Ok(url)) = (std::env::var("STORE_SQLITE_ROLE"), std::env::var("STORE_SQLITE_URL")) else { return };
    Runtime::new().unwrap().block_on(async {
        let store = SqliteStoreOptions::new().busy_timeout(Duration::from_secs(60)).connect(&url).await.unwrap();
        match role.as_str() {
            "hold" => {
                acquire(&store, 0).await;
                println!("\nheld");
                std::future::pending::<()>().await;
            }
            "race" => {
                let mut won = 0;
                for id in 0..RACE_IDS {
                    let token = token();
                    if let ClaimOutcome::Acquired { .. } = store.claim(request(id, token)).await.unwrap() {
                        won += 1;
                        assert_eq!(complete(&store, id, token).await, Fenced::Applied);
                    }
                }
                println!("\n{won}");
                store.close().await;
                std::process::exit(0);
            }
            "write" => {
                println!();
                for id in 0.. {
                    let token = acquire(&store, id).await;
                    assert_eq!(complete(&store, id, token).await, Fenced::Applied);
                    println!("done {id}");
                }
            }
            other => panic!("no role `{other}`"),
        }
    });
}

fn child(file: &File, role: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([crate::support::test_name!("child_process"), "--exact", "--nocapture", "--test-threads=1"])
        .env("STORE_SQLITE_ROLE", role)
        .env("STORE_SQLITE_URL", file.url())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn first_line(child: &mut Child) -> String {
    let of_the_harness = |line: &String| line.is_empty() || line.starts_with("running") || line.starts_with("test ");
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines().map(Result::unwrap);
    lines.find(|line| !of_the_harness(line)).unwrap()
}

fn last_line(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "a child failed");
    String::from_utf8(output.stdout).unwrap().trim_end().lines().last().unwrap().to_owned()
}

// Small helpers.

/// A database file of its own for each test.
struct File(TempDir);

impl File {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> impl AsRef<Path> {
        self.0.path().join("webhooks.db")
    }

    fn url(&self) -> String {
        format!("sqlite://{}", self.path().as_ref().display())
    }

    fn options(&self) -> SqliteConnectOptions {
        SqliteConnectOptions::new().filename(self.path()).create_if_missing(true).journal_mode(SqliteJournalMode::Wal)
    }

    /// The application's pool.
    async fn pool(&self) -> SqlitePool {
        SqlitePool::connect_with(self.options()).await.unwrap()
    }

    async fn execute(&self, sql: &str) {
        let mut connection = sqlx::SqliteConnection::connect_with(&self.options()).await.unwrap();
        sqlx::query(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    async fn scalar<T>(&self, sql: &str) -> T
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite> + Send + Unpin,
    {
        let mut connection = sqlx::SqliteConnection::connect_with(&self.options()).await.unwrap();
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut connection).await.unwrap()
    }
}

fn key(id: u32) -> ClaimKey {
    ClaimKey::new("/webhooks", "test", None, &id.to_be_bytes())
}

fn hex(key: ClaimKey) -> String {
    format!("{:032x}", u128::from_be_bytes(key.to_bytes()))
}

fn token() -> ClaimToken {
    ClaimToken::random().unwrap()
}

fn request(id: u32, token: ClaimToken) -> ClaimRequest {
    ClaimRequest::new(key(id), token, LEASE, Fingerprint::of(b"{}"))
}

async fn acquire(store: &SqliteStore, id: u32) -> ClaimToken {
    let token = token();
    let outcome = store.claim(request(id, token)).await;
    assert!(matches!(outcome, Ok(ClaimOutcome::Acquired { .. })), "{id}: {outcome:?}");
    token
}

async fn complete(store: &SqliteStore, id: u32, token: ClaimToken) -> Fenced {
    store.complete(key(id), token, Completion::new(WEEK)).await.unwrap()
}

async fn is_done(store: &SqliteStore, id: u32) -> bool {
    matches!(store.claim(request(id, token())).await.unwrap(), ClaimOutcome::Done { .. })
}

async fn complete_in(
    store: &SqliteStore,
    transaction: &mut impl StoreTransaction,
    id: u32,
    token: ClaimToken,
) -> Result<Fenced, tower_webhooks::error::StoreError> {
    store.complete_in(transaction.connection(), key(id), token, Completion::new(WEEK)).await
}
