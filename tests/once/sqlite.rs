//! Once, through a real server, with `SqliteStore`. Processes are real ones: this test binary again, see `child_entry`.

use std::{path::PathBuf, str::FromStr};

use sqlx::{
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions},
};
use tempfile::TempDir;
use tower_webhooks::{
    clock::ClockOffset,
    store::{MemoryStore, SqliteStore},
};

use crate::support::{claims::counts, database, kills, once, test_name};

/// One file that holds the claims and the application's table.
struct File {
    folder: TempDir,
}

impl File {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn url(&self) -> String {
        format!("sqlite://{}?mode=rwc", self.folder.path().join("app.db").display())
    }

    fn lines(&self) -> PathBuf {
        self.folder.path().join("effects")
    }

    async fn store(&self) -> SqliteStore {
        SqliteStore::connect(&self.url()).await.unwrap()
    }

    /// Two stores that know nothing of each other.
    async fn stores(&self) -> [SqliteStore; 2] {
        [self.store().await, self.store().await]
    }

    async fn pool(&self) -> SqlitePool {
        let pool = SqlitePool::connect(&self.url()).await.unwrap();
        sqlx::query("CREATE TABLE IF NOT EXISTS effects (id TEXT)").execute(&pool).await.unwrap();
        pool
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_of_one_event_run_once() {
    let file = File::new();

    once::copies_run_once(&file.stores().await, counts(64, 1_000) as usize, counts(2, 20)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_delivery_runs_once_however_often_it_comes() {
    let file = File::new();

    once::every_delivery_runs_once(&file.stores().await, counts(100, 10_000), counts(10, 100)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn four_processes_run_a_delivery_once() {
    let file = File::new();
    file.store().await;

    kills::four_processes_run_a_delivery_once(
        test_name!("child_entry"),
        &file.url(),
        &file.lines(),
        counts(64, 1_000) as usize,
        counts(2, 20),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passed_lease_is_taken_over_by_one() {
    let file = File::new();
    let offset = ClockOffset::default();
    let options = || SqliteStore::options().clock_offset(offset.clone());
    let stores = [options().connect(&file.url()).await.unwrap(), options().connect(&file.url()).await.unwrap()];

    once::a_passed_lease_is_taken_over_by_one(&stores, &offset, counts(64, 1_000) as usize).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_stops_nothing() {
    let file = File::new();

    once::a_client_that_goes_stops_nothing(file.store().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_lets_the_next_one_run_at_once() {
    let file = File::new();

    once::a_failure_lets_the_next_one_run_at_once(file.store().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_goes_on_where_it_failed() {
    let file = File::new();

    once::a_batch_goes_on_where_it_failed(&[file.store().await, file.store().await]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guard_answers_replays_under_other_ids() {
    let file = File::new();

    once::the_guard_answers_replays_under_other_ids(&[file.store().await, file.store().await]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn applications_are_apart_by_their_names() {
    let file = File::new();
    let named = async |name| SqliteStore::options().application_name(name).unwrap().connect(&file.url()).await.unwrap();

    let billing = [named("billing").await, named("billing").await];
    once::applications_are_apart_by_their_names(file.stores().await, billing, named("crm").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_are_introduced_to_each_other() {
    let file = File::new();
    let [store, other] = file.stores().await;

    once::programs_are_introduced_to_each_other(&store, &other).await;
}

/// One who reads holds every commit up outside of write-ahead logging: deliveries wait for it, and none is refused.
#[tokio::test(flavor = "multi_thread")]
async fn deliveries_wait_for_a_reader_where_the_database_has_no_write_ahead_log() {
    let file = File::new();
    let options = SqliteConnectOptions::from_str(&file.url()).unwrap().journal_mode(SqliteJournalMode::Delete);
    let pool = SqlitePool::connect_with(options).await.unwrap();
    let store = SqliteStore::from_pool(pool.clone());
    store.migrate().await.unwrap();

    once::deliveries_wait_for(store, async || {
        let mut reader = pool.begin().await.unwrap();
        sqlx::query("SELECT count(*) FROM webhook_claims").fetch_one(&mut *reader).await.unwrap();
        reader
    })
    .await;
}

// In the application's transaction

#[tokio::test(flavor = "multi_thread")]
async fn the_store_is_asked_as_often_as_promised() {
    let file = File::new();
    let store = file.store().await;

    database::the_store_is_asked_as_often_as_promised(file.pool().await, store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_commit_is_not_acknowledged() {
    let file = File::new();
    let store = file.store().await;

    database::a_forgotten_commit_is_not_acknowledged(file.pool().await, store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_fails_after_its_commit_does_not_run_again() {
    let file = File::new();
    let store = file.store().await;

    database::a_handler_that_fails_after_its_commit_does_not_run_again(file.pool().await, store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_does_not_wait_for_the_applications_transaction() {
    let file = File::new();
    let store = file.store().await;

    database::a_duplicate_does_not_wait_for_the_applications_transaction(file.pool().await, store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_transaction_is_refused() {
    let (file, other) = (File::new(), File::new());
    let store = file.store().await;

    database::a_foreign_transaction_is_refused(other.pool().await, store).await;
    database::a_foreign_transaction_is_refused(other.pool().await, MemoryStore::new()).await;
}

// Killed processes

#[tokio::test(flavor = "multi_thread")]
async fn a_process_killed_anywhere_has_each_effect_once_where_it_commits_the_claim() {
    let file = File::new();
    file.store().await;
    let pool = file.pool().await;
    let effects = |id: String| {
        let pool = pool.clone();
        async move { database::Database::effects(&pool, &id).await }
    };

    kills::a_killed_process_acknowledges_nothing_that_it_has_not_done(
        test_name!("child_entry"),
        &file.url(),
        &file.lines(),
        counts(2, 200),
        true,
        effects,
    )
    .await;
}

/// A server in a process of its own, where a test has started this binary for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_entry() {
    let Some(role) = kills::Role::of_this_process() else { return };
    let store = SqliteStore::options().clock_offset(role.offset.clone()).connect(&role.url).await.unwrap();
    let pool = SqlitePoolOptions::new().max_connections(4).connect(&role.url).await.unwrap();
    let has_table = sqlx::query("SELECT 1 FROM effects").fetch_optional(&pool).await.is_ok();
    if !has_table {
        return kills::serve(role, store, None).await;
    }
    let effect = move |id: String, claim: tower_webhooks::Claim, passage: kills::Passage| {
        let pool = pool.clone();
        let effect = async move {
            let mut tx = database::Database::begin(&pool).await;
            database::Database::insert(&pool, &mut tx, &id).await;
            passage.in_the_effect();
            claim.commit(tx).await?;
            passage.after_commit();
            Ok(())
        };
        Box::pin(effect) as _
    };
    kills::serve(role, store, Some(Box::new(effect))).await;
}
