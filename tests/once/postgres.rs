//! Once, through a real server, with `PostgresStore` and a real PostgreSQL. Processes are real ones: this test binary
//! again, see `child_entry`.

use std::{sync::Arc, time::Duration};

use sqlx::{PgPool, postgres::PgPoolOptions};
use tower_webhooks::{
    clock::ClockOffset,
    store::{PostgresStore, SqliteStore, postgres::PostgresStoreOptions},
};

use crate::support::{
    claims::{TIMEOUT, counts},
    database, faults, kills, once,
    postgres_server::PostgresServer,
    proxy::Proxy,
    test_name,
};

/// A database of this test's own.
struct Base {
    server: Arc<PostgresServer>,
    url: String,
}

impl Base {
    async fn new() -> Self {
        let server = PostgresServer::shared();
        let url = server.database().await;
        Self { server, url }
    }

    async fn store(&self, options: PostgresStoreOptions) -> PostgresStore {
        options.connect(&self.url).await.unwrap()
    }

    /// Two stores that know nothing of each other.
    async fn stores(&self) -> [PostgresStore; 2] {
        [self.store(PostgresStore::options()).await, self.store(PostgresStore::options()).await]
    }

    async fn pool(&self) -> PgPool {
        let pool = PgPool::connect(&self.url).await.unwrap();
        sqlx::query("CREATE TABLE IF NOT EXISTS effects (id text)").execute(&pool).await.unwrap();
        pool
    }

    fn through(&self, proxy: &Proxy) -> String {
        self.url.replace(&format!(":{}/", self.server.port()), &format!(":{}/", proxy.port()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_of_one_event_run_once() {
    let base = Base::new().await;

    once::copies_run_once(&base.stores().await, counts(64, 1_000) as usize, counts(2, 20)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_delivery_runs_once_however_often_it_comes() {
    let base = Base::new().await;

    once::every_delivery_runs_once(&base.stores().await, counts(100, 10_000), counts(10, 100)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn four_processes_run_a_delivery_once() {
    let base = Base::new().await;
    base.store(PostgresStore::options()).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("effects");

    let (copies, rounds) = (counts(64, 1_000) as usize, counts(2, 20));
    kills::four_processes_run_a_delivery_once(test_name!("child_entry"), &base.url, &file, copies, rounds).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passed_lease_is_taken_over_by_one() {
    let base = Base::new().await;
    let offset = ClockOffset::default();
    let options = || PostgresStore::options().clock_offset(offset.clone());
    let stores = [base.store(options()).await, base.store(options()).await];

    once::a_passed_lease_is_taken_over_by_one(&stores, &offset, counts(64, 1_000) as usize).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn applications_are_apart_by_their_names() {
    let base = Base::new().await;
    let named = async |name| base.store(PostgresStore::options().application_name(name).unwrap()).await;

    let billing = [named("billing").await, named("billing").await];
    once::applications_are_apart_by_their_names(base.stores().await, billing, named("crm").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_are_introduced_to_each_other() {
    let base = Base::new().await;
    let [store, other] = base.stores().await;

    once::programs_are_introduced_to_each_other(&store, &other).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_stops_nothing() {
    let base = Base::new().await;

    once::a_client_that_goes_stops_nothing(base.store(PostgresStore::options()).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_lets_the_next_one_run_at_once() {
    let base = Base::new().await;

    once::a_failure_lets_the_next_one_run_at_once(base.store(PostgresStore::options()).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_goes_on_where_it_failed() {
    let base = Base::new().await;

    once::a_batch_goes_on_where_it_failed(&base.stores().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guard_answers_replays_under_other_ids() {
    let base = Base::new().await;

    once::the_guard_answers_replays_under_other_ids(&base.stores().await).await;
}

// In the application's transaction

#[tokio::test(flavor = "multi_thread")]
async fn the_store_is_asked_as_often_as_promised() {
    let base = Base::new().await;
    let store = base.store(PostgresStore::options()).await;

    database::the_store_is_asked_as_often_as_promised(base.pool().await, store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_commit_is_not_acknowledged() {
    let base = Base::new().await;
    let store = base.store(PostgresStore::options()).await;

    database::a_forgotten_commit_is_not_acknowledged(base.pool().await, store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_commit_is_not_acknowledged() {
    let base = Base::new().await;
    let store = base.store(PostgresStore::options()).await;

    database::a_dropped_commit_is_not_acknowledged(base.pool().await, store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_fails_after_its_commit_does_not_run_again() {
    let base = Base::new().await;
    let store = base.store(PostgresStore::options()).await;

    database::a_handler_that_fails_after_its_commit_does_not_run_again(base.pool().await, store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_does_not_wait_for_the_applications_transaction() {
    let base = Base::new().await;
    let store = base.store(PostgresStore::options()).await;

    database::a_duplicate_does_not_wait_for_the_applications_transaction(base.pool().await, store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_transaction_is_refused() {
    let (base, other) = (Base::new().await, Base::new().await);
    let store = base.store(PostgresStore::options()).await;

    database::a_foreign_transaction_is_refused(other.pool().await, store).await;
    let sqlite = SqliteStore::connect("sqlite::memory:").await.unwrap();
    database::a_foreign_transaction_is_refused(other.pool().await, sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_goes_wrong_has_one_effect_in_the_end() {
    let base = Base::new().await;
    let store = base.store(PostgresStore::options()).await;
    base.pool().await;
    let proxy = Proxy::before(base.server.port()).await;
    let pool = PgPoolOptions::new().acquire_timeout(Duration::from_secs(30)).connect(&base.through(&proxy)).await;

    database::a_commit_that_goes_wrong_has_one_effect_in_the_end(pool.unwrap(), store, &proxy).await;
}

// A server that goes away

async fn behind_proxy() -> (Base, Proxy, PostgresStore) {
    let base = Base::new().await;
    let proxy = Proxy::before(base.server.port()).await;
    let store = PostgresStore::options().timeout(TIMEOUT).max_connections(4).connect(&base.through(&proxy)).await;
    (base, proxy, store.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_at_the_claim_is_a_503_and_no_run() {
    let (_base, proxy, store) = behind_proxy().await;

    faults::at_the_claim_it_is_a_503_and_no_run(store, &proxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_at_the_record_gets_it_later() {
    let (_base, proxy, store) = behind_proxy().await;

    faults::at_the_record_it_is_the_handlers_answer_and_the_record_comes_later(store, &proxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_at_the_release_lets_the_next_one_run() {
    let (_base, proxy, store) = behind_proxy().await;

    faults::at_the_release_it_is_the_handlers_answer_and_the_next_one_runs(store, &proxy).await;
}

// Killed processes

#[tokio::test(flavor = "multi_thread")]
async fn a_process_killed_anywhere_has_each_effect_once_where_it_commits_the_claim() {
    let base = Base::new().await;
    base.store(PostgresStore::options()).await;
    let pool = base.pool().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("effects");
    let effects = |id: String| {
        let pool = pool.clone();
        async move { database::Database::effects(&pool, &id).await }
    };

    let seeds = counts(2, 200);
    kills::a_killed_process_acknowledges_nothing_that_it_has_not_done(
        test_name!("child_entry"),
        &base.url,
        &file,
        seeds,
        true,
        effects,
    )
    .await;
}

/// A server in a process of its own, where a test has started this binary for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_entry() {
    let Some(role) = kills::Role::of_this_process() else { return };
    let store = PostgresStore::options().clock_offset(role.offset.clone()).connect(&role.url).await.unwrap();
    let pool = PgPoolOptions::new().max_connections(4).connect(&role.url).await.unwrap();
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
