//! Once, through a real server, with `RedisStore` and a real Redis. Processes are real ones: this test binary again,
//! see `child_entry`.

use tower_webhooks::{
    clock::ClockOffset,
    store::{RedisStore, redis::RedisStoreOptions},
};

use crate::support::{
    claims::{TIMEOUT, counts},
    faults, kills, once,
    proxy::Proxy,
    redis_server::RedisServer,
    test_name,
};

async fn connect(server: &RedisServer, options: RedisStoreOptions) -> RedisStore {
    options.connect(&server.url()).await.unwrap()
}

/// Two stores that know nothing of each other.
async fn stores(server: &RedisServer) -> [RedisStore; 2] {
    [connect(server, RedisStore::options()).await, connect(server, RedisStore::options()).await]
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_of_one_event_run_once() {
    let server = RedisServer::start();

    once::copies_run_once(&stores(&server).await, counts(64, 1_000) as usize, counts(2, 20)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_delivery_runs_once_however_often_it_comes() {
    let server = RedisServer::start();

    once::every_delivery_runs_once(&stores(&server).await, counts(100, 10_000), counts(10, 100)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn four_processes_run_a_delivery_once() {
    let server = RedisServer::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("effects");

    let (copies, rounds) = (counts(64, 1_000) as usize, counts(2, 20));
    kills::four_processes_run_a_delivery_once(test_name!("child_entry"), &server.url(), &file, copies, rounds).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passed_lease_is_taken_over_by_one() {
    let server = RedisServer::start();
    let offset = ClockOffset::default();
    let options = || RedisStore::options().clock_offset(offset.clone());
    let stores = [connect(&server, options()).await, connect(&server, options()).await];

    once::a_passed_lease_is_taken_over_by_one(&stores, &offset, counts(64, 1_000) as usize).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn applications_are_apart_by_their_names() {
    let server = RedisServer::start();
    let named = async |name| connect(&server, RedisStore::options().application_name(name).unwrap()).await;

    let billing = [named("billing").await, named("billing").await];
    once::applications_are_apart_by_their_names(stores(&server).await, billing, named("crm").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_are_introduced_to_each_other() {
    let server = RedisServer::start();
    let [store, other] = stores(&server).await;

    once::programs_are_introduced_to_each_other(&store, &other).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_stops_nothing() {
    let server = RedisServer::start();

    once::a_client_that_goes_stops_nothing(connect(&server, RedisStore::options()).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_lets_the_next_one_run_at_once() {
    let server = RedisServer::start();

    once::a_failure_lets_the_next_one_run_at_once(connect(&server, RedisStore::options()).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_goes_on_where_it_failed() {
    let server = RedisServer::start();
    let stores = [connect(&server, RedisStore::options()).await, connect(&server, RedisStore::options()).await];

    once::a_batch_goes_on_where_it_failed(&stores).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guard_answers_replays_under_other_ids() {
    let server = RedisServer::start();
    let stores = [connect(&server, RedisStore::options()).await, connect(&server, RedisStore::options()).await];

    once::the_guard_answers_replays_under_other_ids(&stores).await;
}

// A server that goes away

async fn behind_proxy() -> (RedisServer, Proxy, RedisStore) {
    let server = RedisServer::start();
    let proxy = Proxy::before(server.port()).await;
    let url = format!("redis://127.0.0.1:{}/", proxy.port());
    let store = RedisStore::options().timeout(TIMEOUT).connect(&url).await.unwrap();
    (server, proxy, store)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_at_the_claim_is_a_503_and_no_run() {
    let (_server, proxy, store) = behind_proxy().await;

    faults::at_the_claim_it_is_a_503_and_no_run(store, &proxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_at_the_record_gets_it_later() {
    let (_server, proxy, store) = behind_proxy().await;

    faults::at_the_record_it_is_the_handlers_answer_and_the_record_comes_later(store, &proxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_at_the_release_lets_the_next_one_run() {
    let (_server, proxy, store) = behind_proxy().await;

    faults::at_the_release_it_is_the_handlers_answer_and_the_next_one_runs(store, &proxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn round_trips_are_two_for_a_fresh_delivery_and_one_for_a_duplicate() {
    let (_server, proxy, store) = behind_proxy().await;
    let web = once::Web::start(&[store]).await;
    // The server learns the scripts.
    crate::support::web::send(web.address(), "first").await;
    proxy.take_trips();

    assert_eq!(crate::support::web::send(web.address(), "a").await.status, 200);
    assert_eq!(proxy.take_trips(), 2);
    assert!(crate::support::web::send(web.address(), "a").await.is_replayed());
    assert_eq!(proxy.take_trips(), 1);
}

// Killed processes

#[tokio::test(flavor = "multi_thread")]
async fn a_process_killed_anywhere_has_each_effect_at_least_once() {
    let server = RedisServer::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("effects");
    let effects = |id: String| {
        let count = kills::count_lines(&file, &id);
        async move { count }
    };

    let seeds = counts(2, 200);
    kills::a_killed_process_acknowledges_nothing_that_it_has_not_done(
        test_name!("child_entry"),
        &server.url(),
        &file,
        seeds,
        false,
        effects,
    )
    .await;
}

/// A server in a process of its own, where a test has started this binary for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_entry() {
    let Some(role) = kills::Role::of_this_process() else { return };
    let store = RedisStore::options().clock_offset(role.offset.clone()).connect(&role.url).await.unwrap();
    kills::serve(role, store, None).await;
}
