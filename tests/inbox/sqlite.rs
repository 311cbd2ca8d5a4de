//! The inbox in a file: kills, two workers, transactions of the application's, disks that do not take more.

use std::{collections::HashSet, time::Duration};

use axum::http::StatusCode;
use sqlx::{Connection, Row, SqliteConnection, SqlitePool};
use tower_webhooks::{
    Inbox,
    clock::ClockOffset,
    inbox::{EventState, InboxQuery},
    store::SqliteStore,
};

use super::{
    durable,
    shop::{Running, Shop, app, inbox, only, order, send, until, until_all_ended},
    stores::sqlite,
};
use crate::support::test_name;

fn url(folder: &tempfile::TempDir) -> String {
    format!("sqlite://{}/inbox.db", folder.path().display())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_over_one_file_never_run_one_event_at_the_same_time() {
    let folder = tempfile::tempdir().unwrap();
    let url = url(&folder);
    let stores = [SqliteStore::connect(&url).await.unwrap(), SqliteStore::connect(&url).await.unwrap()];
    durable::two_workers_never_run_one_event_at_the_same_time(stores).await;
}

#[tokio::test]
async fn an_effect_and_its_event_end_in_one_transaction_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::connect(&url(&folder)).await.unwrap();
    let db = store.pool();
    sqlx::query("CREATE TABLE effects (id TEXT)").execute(&db).await.unwrap();
    durable::an_effect_and_its_event_end_in_one_transaction_or_not_at_all(store, db).await;
}

#[tokio::test]
async fn a_full_and_a_locked_database_are_503_and_what_was_accepted_is_there_afterwards() {
    let (folder, shop) = (tempfile::tempdir().unwrap(), Shop::default());
    let inbox =
        inbox(sqlite(&folder, &ClockOffset::default()).await, &shop).with_store_timeout(Duration::from_millis(500));
    let app = app(&inbox);
    assert_eq!(send(&app, order("before")).await.status, StatusCode::ACCEPTED);

    // Another connection holds the write lock, as a process that hangs does.
    let mut other = SqliteConnection::connect(&url(&folder)).await.unwrap();
    let lock = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let hung = send(&app, order("locked")).await;
    assert_eq!((hung.status, hung.retry_after.is_some()), (StatusCode::SERVICE_UNAVAILABLE, true));
    lock.rollback().await.unwrap();

    // Every event that was answered 2xx is stored; those that were answered 503 are sent again.
    until("the store answers again", async || send(&app, order("locked")).await.status == StatusCode::ACCEPTED).await;
    let worker = Running::start(inbox.worker());
    until_all_ended(&inbox).await;
    worker.stop().await;
    let mut done = shop.done();
    done.sort();
    assert_eq!(done, ["before", "locked"]);
}

#[tokio::test]
async fn a_read_only_database_is_503() {
    let (folder, shop) = (tempfile::tempdir().unwrap(), Shop::default());
    drop(SqliteStore::connect(&url(&folder)).await.unwrap());
    let read_only = SqliteStore::connect_without_migrating(&format!("{}?mode=ro", url(&folder))).await.unwrap();
    let inbox = inbox(read_only, &shop);

    let answer = send(&app(&inbox), order("evt_1")).await;

    assert_eq!((answer.status, answer.retry_after.is_some()), (StatusCode::SERVICE_UNAVAILABLE, true));
    assert!(inbox.events(InboxQuery::default(), 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_disk_that_takes_no_more_is_503_and_nothing_accepted_is_lost() {
    let (folder, shop) = (tempfile::tempdir().unwrap(), Shop::default());
    // The limit of pages simulates a full disk: SQLite reports the same error for both.
    let pages: i64 = {
        drop(SqliteStore::connect(&url(&folder)).await.unwrap());
        let mut connection = SqliteConnection::connect(&url(&folder)).await.unwrap();
        sqlx::query("PRAGMA page_count").fetch_one(&mut connection).await.unwrap().get(0)
    };
    let options: sqlx::sqlite::SqliteConnectOptions = url(&folder).parse().unwrap();
    let options = options.pragma("max_page_count", (pages + 20).to_string());
    let pool = SqlitePool::connect_with(options).await.unwrap();
    let inbox = inbox(SqliteStore::from_pool(pool), &shop);
    let app = app(&inbox);
    let (mut accepted, mut refused) = (Vec::new(), 0);
    for number in 0..400 {
        let id = number.to_string();
        match send(&app, order(&id)).await.status {
            StatusCode::ACCEPTED => accepted.push(id),
            StatusCode::SERVICE_UNAVAILABLE => refused += 1,
            other => panic!("{other}"),
        }
    }
    assert!(!accepted.is_empty() && refused > 0, "{} were accepted, {refused} were not", accepted.len());

    let again = Inbox::new(SqliteStore::connect(&url(&folder)).await.unwrap(), super::shop::events(&shop));
    let worker = Running::start(again.worker());
    until_all_ended(&again).await;
    worker.stop().await;
    let (done, accepted): (HashSet<_>, HashSet<_>) =
        (shop.done().into_iter().collect(), accepted.into_iter().collect());
    assert_eq!(done, accepted);
}

#[tokio::test]
async fn the_tables_of_another_version_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::connect(&url(&folder)).await.unwrap();
    store.migrate().await.unwrap();
    let shop = Shop::default();
    let inbox = inbox(store, &shop);
    send(&app(&inbox), order("evt_1")).await;
    assert_eq!(only(&inbox).await.state, EventState::Pending);
    let mut connection = SqliteConnection::connect(&url(&folder)).await.unwrap();
    let version: i64 = sqlx::query("SELECT max(version) FROM webhook_migrations WHERE part = 'inbox'")
        .fetch_one(&mut connection)
        .await
        .unwrap()
        .get(0);
    assert_eq!(version, 4);
}

// --- kill -9 right after the 2xx --------------------------------------------------------------------------------------

#[tokio::test]
async fn a_kill_right_after_the_answer_loses_nothing() {
    if let Some(url) = durable::url_of_child() {
        return durable::serve(SqliteStore::connect(&url).await.unwrap()).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let test = test_name!("a_kill_right_after_the_answer_loses_nothing");
    let open = async || SqliteStore::connect(&url(&folder)).await.unwrap();
    durable::kills_right_after_the_answer_lose_nothing(&url(&folder), test, open).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_processes_that_are_killed_have_each_effect_once() {
    if let Some(url) = durable::url_of_child() {
        let store = SqliteStore::connect(&url).await.unwrap();
        let db = store.pool();
        return durable::work(store, db).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let url = url(&folder);
    let store = SqliteStore::connect(&url).await.unwrap();
    let db = store.pool();
    sqlx::query("CREATE TABLE effects (id TEXT)").execute(&db).await.unwrap();
    let test = test_name!("worker_processes_that_are_killed_have_each_effect_once");
    durable::worker_processes_that_are_killed_have_each_effect_once((&url, test), store, db).await;
}
