//! How the outbox in SQLite commits what many write at the same time.

use std::{
    future::poll_fn,
    task::{Context, Poll},
    time::Duration,
};

use sqlx::{
    AssertSqlSafe, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode},
};
use tokio::{
    runtime::{Handle, Runtime},
    task::yield_now,
    time::timeout,
};
use tower_webhooks::{
    BoxFuture,
    error::{StoreError, StoreErrorKind},
    send::{
        After, DeliveryQuery, DeliveryState, DisabledReason, Dispatched, EndpointDraft, EndpointId, EndpointSettings,
        Fenced, Finish, LeaseRequest, LeaseToken, Leases, Message, OutboxEndpoints, OutboxLog, OutboxQueue, Sealed,
        Style,
    },
    store::{SqliteStore, sqlite::SqliteStoreOptions},
};

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn attempts_that_end_at_the_same_time_share_a_commit() {
    let file = File::new();
    let store = file.store().await;
    for _ in 0..10 {
        register(&store).await;
    }
    store.dispatch(vec![message("1"), message("2"), message("3")]).await.unwrap();
    let token = LeaseToken::random().unwrap();
    let leases = lease(&store, token).await.unwrap();
    assert_eq!(leases.deliveries.len(), 30);
    let before = file.commits();

    let finishes = leases.deliveries.iter().map(|leased| store.finish(leased.id, token, Finish::new(After::Delivered)));
    let finished = at_once(finishes.collect()).await;

    assert!(finished.into_iter().all(|finished| finished.unwrap() == (Fenced::Applied, None)));
    assert_eq!(file.commits() - before, 1);
    assert_eq!(count(&store, DeliveryState::Delivered).await, 30);
}

/// And those that are too many for one do not wait for more to come.
#[tokio::test]
async fn a_commit_has_at_most_64_calls() {
    let file = File::new();
    let store = file.store().await;
    register(&store).await;
    store.dispatch(vec![message("first")]).await.unwrap();
    let before = file.commits();

    let dispatches = (0..100).map(|number| store.dispatch(vec![message(&number.to_string())]));
    let dispatched = at_once(dispatches.collect()).await;

    assert!(dispatched.into_iter().all(|dispatched| dispatched.unwrap() == [Dispatched::Stored { deliveries: 1 }]));
    assert_eq!(file.commits() - before, 2);
}

#[tokio::test]
async fn a_worker_leases_what_was_dispatched_just_before_it() {
    let file = File::new();
    let store = file.store().await;
    register(&store).await;
    let (token, again) = (LeaseToken::random().unwrap(), LeaseToken::random().unwrap());

    let (dispatched, leases) = tokio::join!(store.dispatch(vec![message("a")]), lease(&store, token));
    let leased = &leases.unwrap().deliveries[0];
    let (finished, leases) = tokio::join!(
        store.finish(leased.id, token, Finish::new(After::Retry { wait: Duration::ZERO })),
        lease(&store, again)
    );

    assert_eq!(dispatched.unwrap(), [Dispatched::Stored { deliveries: 1 }]);
    assert_eq!(finished.unwrap().0, Fenced::Applied);
    assert_eq!(leases.unwrap().deliveries[0].attempt, 2);
}

#[tokio::test]
async fn a_conflict_is_in_nobodys_way() {
    let file = File::new();
    let store = file.store().await;
    register(&store).await;
    let other = |id: &str| Message::new("b", &2).unwrap().id(id.parse().unwrap());
    let before = file.commits();

    let dispatched = at_once(vec![
        store.dispatch(vec![message("a")]),
        store.dispatch(vec![message("b"), other("a")]),
        store.dispatch(vec![message("a")]),
        store.dispatch(vec![other("b")]),
    ])
    .await;

    let dispatched: Vec<_> = dispatched.into_iter().map(Result::unwrap).collect();
    let (stored, known) = (Dispatched::Stored { deliveries: 1 }, Dispatched::Known { deliveries: 1 });
    assert_eq!(dispatched[0], [stored]);
    assert_eq!(dispatched[1], [Dispatched::Known { deliveries: 0 }, Dispatched::Conflict]);
    assert_eq!(dispatched[2], [known]);
    assert_eq!(dispatched[3], [stored], "nothing of the second was stored");
    assert_eq!(file.commits() - before, 1);
}

#[tokio::test]
async fn one_that_cannot_be_written_fails_alone_and_whole() {
    let file = File::new();
    let store = file.store().await;
    register(&store).await;
    file.execute(
        "CREATE TRIGGER refuse BEFORE INSERT ON webhook_outbox_messages WHEN new.id = 'm-13' \
         BEGIN SELECT raise(ABORT, 'not this one'); END",
    )
    .await;

    let dispatches = (0..40).map(|number| {
        let messages = [format!("n-{number}"), format!("m-{number}")];
        store.dispatch(messages.iter().map(|id| message(id)).collect())
    });
    let dispatched = at_once(dispatches.collect()).await;

    for (number, dispatched) in dispatched.into_iter().enumerate() {
        match number {
            13 => assert_eq!(dispatched.unwrap_err().kind(), StoreErrorKind::Rejected),
            _ => assert_eq!(dispatched.unwrap(), [Dispatched::Stored { deliveries: 1 }; 2], "{number}"),
        }
    }
    assert_eq!(count(&store, DeliveryState::Pending).await, 78);
    assert_eq!(store.dispatch(vec![message("n-13")]).await.unwrap(), [Dispatched::Stored { deliveries: 1 }]);
}

#[tokio::test]
async fn all_of_a_group_are_told_that_the_lock_was_held() {
    let file = File::new();
    let pool = file.pool().await;
    let store = SqliteStoreOptions::new().busy_timeout(Duration::from_millis(200)).from_pool(pool.clone());
    store.migrate().await.unwrap();
    register(&store).await;
    let held = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();

    let dispatches: Vec<_> = (0..300)
        .map(|number: u32| {
            let store = store.clone();
            tokio::spawn(async move { store.dispatch(vec![message(&number.to_string())]).await })
        })
        .collect();
    let kinds = timeout(LONG, async {
        let mut kinds = Vec::new();
        for dispatch in dispatches {
            kinds.push(dispatch.await.unwrap().unwrap_err().kind());
        }
        kinds
    });
    let kinds = kinds.await.unwrap();
    held.rollback().await.unwrap();

    assert!(kinds.iter().all(|kind| *kind == StoreErrorKind::Busy), "{kinds:?}");
    assert_eq!(store.dispatch(vec![message("0")]).await.unwrap(), [Dispatched::Stored { deliveries: 1 }]);
}

#[tokio::test]
async fn a_caller_that_is_dropped_before_the_lock_is_free_dispatches_nothing() {
    let file = File::new();
    let pool = file.pool().await;
    let store = SqliteStore::from_pool(pool.clone());
    store.migrate().await.unwrap();
    register(&store).await;
    let held = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let mut calls: Vec<_> = (0..3).map(|number| store.dispatch(vec![message(&number.to_string())])).collect();
    poll_all(&mut calls).await;

    drop(calls.remove(1));
    held.rollback().await.unwrap();

    for call in calls {
        assert_eq!(call.await.unwrap(), [Dispatched::Stored { deliveries: 1 }]);
    }
    assert_eq!(store.dispatch(vec![message("1")]).await.unwrap(), [Dispatched::Stored { deliveries: 1 }]);
}

/// At every point of it that the calls see.
#[tokio::test]
async fn a_caller_that_is_dropped_in_the_middle_of_a_group_is_in_nobodys_way() {
    let file = File::new();
    let store = file.store().await;
    register(&store).await;
    let other = file.pool().await;

    for polls in 1..60 {
        let mut calls: Vec<_> =
            (0..3).map(|number| store.dispatch(vec![message(&format!("{polls}-{number}"))])).collect();
        let mut early = Vec::new();
        for _ in 0..polls {
            early.extend(poll_all(&mut calls).await);
            if !early.is_empty() {
                break;
            }
            // The thread that writes needs a moment, the task none: it is on this one.
            std::thread::yield_now();
            yield_now().await;
        }
        if early.is_empty() {
            drop(calls.remove(1));
        }
        for call in calls {
            early.push(timeout(LONG, call).await.unwrap());
        }

        assert!(early.into_iter().all(|done| done.unwrap() == [Dispatched::Stored { deliveries: 1 }]), "{polls}");
        let lock = timeout(LONG, other.begin_with("BEGIN IMMEDIATE")).await.unwrap().unwrap();
        lock.rollback().await.unwrap();
        // Whole or not at all.
        let again = store.dispatch(vec![message(&format!("{polls}-1"))]).await.unwrap();
        let known = Dispatched::Known { deliveries: 1 };
        assert!(again == [known] || again == [Dispatched::Stored { deliveries: 1 }], "{polls}: {again:?}");
    }
}

#[test]
fn it_works_on_another_runtime_after_the_first_has_ended() {
    let file = File::new();
    let first = Runtime::new().unwrap();
    let store = first.block_on(file.store());
    first.block_on(register(&store));
    first.block_on(store.dispatch(vec![message("a")])).unwrap();
    drop(first);

    let second = Runtime::new().unwrap();

    let again = second.block_on(store.dispatch(vec![message("a")])).unwrap();
    assert_eq!(again, [Dispatched::Known { deliveries: 1 }]);
}

#[tokio::test]
async fn a_closed_store_has_written_what_was_asked_and_refuses_more() {
    let file = File::new();
    let store = SqliteStore::connect(&file.url()).await.unwrap();
    register(&store).await;
    let mut calls = vec![store.dispatch(vec![message("a")])];
    poll_all(&mut calls).await;

    store.close().await;

    assert_eq!(calls.remove(0).await.unwrap(), [Dispatched::Stored { deliveries: 1 }]);
    let refused = store.dispatch(vec![message("b")]).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Unavailable);
    assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
}

#[tokio::test]
async fn the_task_ends_with_the_last_clone_of_the_store() {
    let file = File::new();
    let store = SqliteStore::connect(&file.url()).await.unwrap();
    register(&store).await;
    store.clone().dispatch(vec![message("a")]).await.unwrap();
    assert_eq!(Handle::current().metrics().num_alive_tasks(), 1);

    drop(store);

    let ended = async {
        while Handle::current().metrics().num_alive_tasks() > 0 {
            yield_now().await;
        }
    };
    timeout(LONG, ended).await.unwrap();
}

// Small helpers.

type Call<'a, A> = BoxFuture<'a, Result<A, StoreError>>;

/// Starts all of them before any continues, and waits for all. No more than 128, which is what the runtime lets a task
/// do in one go.
async fn at_once<A>(mut calls: Vec<Call<'_, A>>) -> Vec<Result<A, StoreError>> {
    let early = poll_all(&mut calls).await;
    assert!(early.is_empty());
    let mut done = Vec::new();
    for call in calls {
        done.push(call.await);
    }
    done
}

/// Polls each once, and takes out those that are done.
async fn poll_all<A>(calls: &mut Vec<Call<'_, A>>) -> Vec<Result<A, StoreError>> {
    let mut done = Vec::new();
    poll_fn(|cx: &mut Context<'_>| {
        calls.retain_mut(|call| match call.as_mut().poll(cx) {
            Poll::Ready(answer) => {
                done.push(answer);
                false
            }
            Poll::Pending => true,
        });
        Poll::Ready(())
    })
    .await;
    done
}

/// As after a kill in the middle of a move of many deliveries: some are moved, the others are not.
#[tokio::test]
async fn what_goes_in_order_stays_so_when_a_move_was_broken_off() {
    let file = File::new();
    let store = file.store().await;
    let sealed = Sealed::new("", &b"sealed"[..]);
    let mut settings = EndpointSettings::new("https://example.com/", vec!["*".into()], Style::StandardWebhooks, sealed);
    settings.in_order = true;
    let draft = EndpointDraft::new(EndpointId::random().unwrap(), "", settings);
    let id = store.create_endpoint(draft, u32::MAX).await.unwrap().unwrap().id;
    let ids = ["a", "b", "c", "d", "e"];
    for id in ids {
        store.dispatch(vec![message(id)]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    file.execute("UPDATE webhook_outbox_endpoints SET disabled = 'asked'").await;
    file.execute("UPDATE webhook_outbox_deliveries SET state = 2, due_at = due_at + 60000 WHERE seq <= 2").await;
    file.execute(&format!("INSERT INTO webhook_outbox_moves (endpoint, tenant, target) VALUES ('{id}', '', 2)")).await;

    store.switch_endpoint(id, None).await.unwrap();
    let mut order = Vec::new();
    // The held deliveries are sent at a limited rate.
    let leased = async {
        while order.len() < ids.len() {
            let token = LeaseToken::random().unwrap();
            let Some(leased) = lease(&store, token).await.unwrap().deliveries.pop() else {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            order.push(leased.message.message_id().to_string());
            let done = store.finish(leased.id, token, Finish::new(After::Delivered)).await.unwrap();
            assert_eq!(done.0, Fenced::Applied);
        }
    };
    timeout(LONG, leased).await.unwrap();

    assert_eq!(order, ids);
}

/// A reader that stays open is in the way of every commit outside of write-ahead logging, which is how sqlx opens a database by
/// itself.
#[tokio::test]
async fn without_write_ahead_logging_every_write_waits_for_an_open_reader() {
    const IN_THE_WAY: Duration = Duration::from_millis(400);
    let file = File::new();
    let options = SqliteConnectOptions::new()
        .filename(file.0.path().join("outbox.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Delete);
    let pool = SqlitePool::connect_with(options).await.unwrap();
    let store = SqliteStore::options().busy_timeout(LONG).from_pool(pool.clone());
    store.migrate().await.unwrap();
    register(&store).await;
    let id = store.endpoints(None, None, 1).await.unwrap()[0].id;
    store.dispatch(vec![message("first")]).await.unwrap();
    let token = LeaseToken::random().unwrap();

    let (mut leased, mut waited) = (None, Vec::new());
    for number in 0..5 {
        let mut reader = pool.begin().await.unwrap();
        sqlx::query("SELECT count(*) FROM sqlite_schema").fetch_one(&mut *reader).await.unwrap();
        let asked = tokio::time::Instant::now();
        let write = async {
            match number {
                0 => leased = lease(&store, token).await.unwrap().deliveries.pop(),
                1 => {
                    let delivery = leased.take().unwrap().id;
                    let done = store.finish(delivery, token, Finish::new(After::Delivered)).await.unwrap();
                    assert_eq!(done.0, Fenced::Applied);
                }
                2 => drop(store.dispatch(vec![message("second")]).await.unwrap()),
                3 => drop(store.switch_endpoint(id, Some(DisabledReason::Asked)).await.unwrap()),
                _ => register(&store).await,
            }
            asked.elapsed()
        };
        let end = async {
            tokio::time::sleep(IN_THE_WAY).await;
            reader.rollback().await.unwrap();
        };
        waited.push(tokio::join!(write, end).0);
    }

    assert!(waited.iter().all(|waited| *waited >= IN_THE_WAY), "{waited:?}");
    assert_eq!(count(&store, DeliveryState::Delivered).await, 1);
}

/// A database file of its own for each test.
struct File(tempfile::TempDir);

impl File {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn url(&self) -> String {
        format!("sqlite://{}/outbox.db", self.0.path().display())
    }

    async fn pool(&self) -> SqlitePool {
        let options = SqliteConnectOptions::new()
            .filename(self.0.path().join("outbox.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // The log then keeps all that was committed.
            .pragma("wal_autocheckpoint", "0");
        SqlitePool::connect_with(options).await.unwrap()
    }

    async fn store(&self) -> SqliteStore {
        let store = SqliteStore::from_pool(self.pool().await);
        store.migrate().await.unwrap();
        store
    }

    async fn execute(&self, sql: &str) {
        sqlx::query(AssertSqlSafe(sql)).execute(&self.pool().await).await.unwrap();
    }

    /// The number of transactions in the write-ahead log. The last frame of each has the size of the database in its
    /// head: <https://www.sqlite.org/fileformat.html#the_write_ahead_log>.
    fn commits(&self) -> usize {
        let log = std::fs::read(self.0.path().join("outbox.db-wal")).unwrap();
        let (head, frames) = log.split_at(32);
        let page = u32::from_be_bytes(head[8..12].try_into().unwrap()) as usize;
        // A frame of another run of the log has another salt.
        frames.chunks_exact(24 + page).filter(|frame| frame[8..16] == head[16..24] && frame[4..8] != [0; 4]).count()
    }
}

/// As if the clock had been set back by an hour: all stored times are an hour ahead.
#[tokio::test]
async fn a_clock_that_is_set_back_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/outbox.db", folder.path().display());
    let store = SqliteStoreOptions::new().connect(&url).await.unwrap();
    let pool = SqlitePool::connect(&url).await.unwrap();
    register(&store).await;
    let set_back = async || {
        for statement in [
            "UPDATE webhook_outbox_deliveries SET due_at = due_at + 3600000, created_at = created_at + 3600000",
            "UPDATE webhook_outbox_endpoints SET created_at = created_at + 3600000, served_at = served_at + 3600000, \
             rests_until = rests_until + 3600000, ready_at = ready_at + 3600000, next_at = next_at + 3600000000",
        ] {
            sqlx::query(statement).execute(&pool).await.unwrap();
        }
    };
    let token = || LeaseToken::random().unwrap();

    // A worker dies with four deliveries, and then the clock is set back.
    store.dispatch((0..4).map(|number| message(&format!("before-{number}"))).collect()).await.unwrap();
    assert_eq!(lease(&store, token()).await.unwrap().deliveries.len(), 4);
    set_back().await;
    store.dispatch(vec![message("after")]).await.unwrap();
    let mut leased = lease(&store, token()).await.unwrap().deliveries;
    assert_eq!(leased.len(), 4, "no lease lasts for an hour");
    let last = token();
    leased.extend(lease(&store, last).await.unwrap().deliveries);
    assert_eq!(leased.len(), 4);
    set_back().await;

    // Now it rests.
    let mut failures = 0;
    while failures < 5 {
        let token = token();
        for delivery in lease(&store, token).await.unwrap().deliveries {
            let finish = Finish::new(After::Exhausted);
            let _ = store.finish(delivery.id, token, finish).await.unwrap();
        }
        failures += 1;
        store.dispatch(vec![message(&format!("failing-{failures}"))]).await.unwrap();
    }
    assert!(lease(&store, token()).await.unwrap().deliveries.is_empty(), "it rests");
    set_back().await;
    store.dispatch(vec![message("later")]).await.unwrap();
    assert!(!lease(&store, token()).await.unwrap().deliveries.is_empty(), "no rest lasts for an hour");

    // A delivery that was dispatched and not attempted is due when a process starts.
    let count = count(&store, DeliveryState::Pending).await;
    store.dispatch(vec![message("just-before")]).await.unwrap();
    set_back().await;
    store.close().await;
    let store = SqliteStoreOptions::new().connect(&url).await.unwrap();
    let leases = lease(&store, token()).await.unwrap();
    let later: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM webhook_outbox_deliveries WHERE state = 0 AND due_at > unixepoch() * 1000 + 60000",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(later, 0, "{count} {leases:?}");
}

/// What had lost its content before there was a column for it is kept from its last attempt on.
#[tokio::test]
async fn a_migration_tells_when_what_is_empty_was_used_last() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/outbox.db", folder.path().display());
    let store = SqliteStoreOptions::new().connect(&url).await.unwrap();
    let pool = SqlitePool::connect(&url).await.unwrap();
    register(&store).await;
    store.dispatch(vec![message("emptied")]).await.unwrap();
    let token = LeaseToken::random().unwrap();
    let leased = lease(&store, token).await.unwrap().deliveries;
    let _ = store.finish(leased[0].id, token, Finish::new(After::Delivered)).await.unwrap();
    for statement in [
        "UPDATE webhook_outbox_messages SET payload = NULL, purge_after = NULL, created_at = 1000",
        "UPDATE webhook_outbox_attempts SET ended_at = 5000",
        "DROP TABLE webhook_outbox_backlog",
        "DROP TABLE webhook_outbox_stats",
        "DROP INDEX webhook_outbox_deliveries_given_up",
        "ALTER TABLE webhook_outbox_endpoints DROP COLUMN metadata",
        "ALTER TABLE webhook_outbox_endpoints DROP COLUMN labels",
        "ALTER TABLE webhook_outbox_messages DROP COLUMN labels",
        "DROP TRIGGER webhook_outbox_deliveries_ended",
        "DROP INDEX webhook_outbox_deliveries_keys",
        "DROP INDEX webhook_outbox_deliveries_sending_keys",
        "ALTER TABLE webhook_outbox_messages DROP COLUMN order_key",
        "ALTER TABLE webhook_outbox_deliveries DROP COLUMN order_key",
        "ALTER TABLE webhook_outbox_event_types DROP COLUMN example",
        "DELETE FROM webhook_migrations WHERE part = 'outbox' AND version > 3",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }

    store.migrate().await.unwrap();

    let purge_after = "SELECT purge_after FROM webhook_outbox_messages";
    assert_eq!(sqlx::query_scalar::<_, Option<i64>>(purge_after).fetch_one(&pool).await.unwrap(), Some(5000));
}

async fn register(store: &SqliteStore) {
    let sealed = Sealed::new("", &b"sealed"[..]);
    let settings = EndpointSettings::new("https://example.com/", vec!["*".into()], Style::StandardWebhooks, sealed);
    let draft = EndpointDraft::new(EndpointId::random().unwrap(), "", settings);
    store.create_endpoint(draft, u32::MAX).await.unwrap().unwrap();
}

fn message(id: &str) -> Message {
    Message::new("a", &1).unwrap().id(id.parse().unwrap())
}

async fn lease(store: &SqliteStore, token: LeaseToken) -> Result<Leases, StoreError> {
    store.lease(LeaseRequest::new(token, LONG, 100)).await
}

async fn count(store: &SqliteStore, state: DeliveryState) -> usize {
    let mut query = DeliveryQuery::default();
    query.state = Some(state);
    store.deliveries("".into(), query, 1000).await.unwrap().len()
}
