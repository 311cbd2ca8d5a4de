//! An application's database that holds the claims as well, and what `Claim::commit` and `Claim::complete_in` do over HTTP.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{Arc, Mutex},
    task::Poll,
    time::Duration,
};

use axum::{Router, extract::State, http::StatusCode, routing::post};
use tokio::{sync::Semaphore, time::timeout};
use tower_webhooks::{
    Claim, Delivery, Secret, WebhookLayer,
    claim::{ClaimError, ClaimErrorKind},
    idempotency::{IdempotencyLayer, IdempotencyStore},
    transaction::StoreTransaction,
};

use super::{
    once::AGES,
    proxy::{Fault, Proxy},
    watched::Watched,
    web::{SECRET, Server, send},
};

/// The application's side: a table of effects, one row an effect.
pub(crate) trait Database: Clone + Send + Sync + 'static {
    type Transaction: StoreTransaction + 'static;

    fn begin(&self) -> impl Future<Output = Self::Transaction> + Send;

    fn insert(&self, transaction: &mut Self::Transaction, id: &str) -> impl Future<Output = ()> + Send;

    fn effects(&self, id: &str) -> impl Future<Output = i64> + Send;
}

/// How a handler ends its claim and its transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Commit,
    CommitAndFail,
    CompleteIn,
    DropsCommit,
    DropsCommitUnpolled,
    DropsMark,
    ForgetsCommit,
    LeavesTheClaim,
    WaitsBeforeCommit,
    WaitsBeforeMark,
}

struct Bank<D> {
    database: D,
    ways: Mutex<Vec<Way>>,
    is_marked: Semaphore,
    gate: Semaphore,
}

struct Web<D, S> {
    bank: Arc<Bank<D>>,
    store: Watched<S>,
    layer: IdempotencyLayer,
    server: Server,
}

async fn start<D: Database, S: IdempotencyStore + Clone>(database: D, store: S, ways: &[Way]) -> Web<D, S> {
    let bank = Arc::new(Bank {
        database,
        ways: Mutex::new(ways.iter().rev().copied().collect()),
        is_marked: Semaphore::new(0),
        gate: Semaphore::new(0),
    });
    let store = Watched::new(store);
    let layer = IdempotencyLayer::new(store.clone());
    let hook = WebhookLayer::github(Secret::new(SECRET).unwrap()).with_idempotency(layer.clone());
    let app = Router::new().route("/hook", post(pay::<D>).layer(hook)).with_state(Arc::clone(&bank));
    Web { bank, store, layer, server: Server::start(app).await }
}

async fn pay<D: Database>(
    State(bank): State<Arc<Bank<D>>>,
    delivery: Delivery,
    claim: Claim,
) -> Result<StatusCode, ClaimError> {
    let id = delivery.id().unwrap().to_string();
    let way = bank.ways.lock().unwrap().pop().unwrap_or(Way::Commit);
    let mut tx = bank.database.begin().await;
    bank.database.insert(&mut tx, &id).await;
    match way {
        Way::Commit => claim.commit(tx).await?,
        Way::CommitAndFail => {
            claim.commit(tx).await?;
            return Ok(StatusCode::INTERNAL_SERVER_ERROR);
        }
        Way::CompleteIn => {
            claim.complete_in(&mut tx).await?;
            tx.commit().await.unwrap();
        }
        // A commit takes two statements, and a database does not answer both within one poll.
        Way::DropsCommit => assert!(is_pending_after_one_poll(claim.commit(tx)).await),
        Way::DropsCommitUnpolled => drop(claim.commit(tx)),
        // Whether the one statement of the mark is answered or dropped, the transaction is not committed.
        Way::DropsMark => {
            is_pending_after_one_poll(claim.complete_in(&mut tx)).await;
        }
        Way::ForgetsCommit => claim.complete_in(&mut tx).await?,
        Way::LeavesTheClaim => tx.commit().await.unwrap(),
        Way::WaitsBeforeCommit => {
            claim.complete_in(&mut tx).await?;
            bank.is_marked.add_permits(1);
            bank.gate.acquire().await.unwrap().forget();
            if tx.commit().await.is_err() {
                return Ok(StatusCode::SERVICE_UNAVAILABLE);
            }
        }
        Way::WaitsBeforeMark => {
            bank.is_marked.add_permits(1);
            bank.gate.acquire().await.unwrap().forget();
            claim.commit(tx).await?;
        }
    }
    Ok(StatusCode::OK)
}

/// Polls a future once and drops it. A timeout does not do so: it polls again where its timer and the answer race.
async fn is_pending_after_one_poll<F: Future>(future: F) -> bool {
    let mut future = pin!(future);
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await
}

/// Fresh 2, 1 with `commit`, 2 with a bare `complete_in`; a duplicate 1, and 0 once it is known here.
pub(crate) async fn the_store_is_asked_as_often_as_promised<D: Database, S: IdempotencyStore + Clone>(
    database: D,
    store: S,
) {
    let ways = [Way::LeavesTheClaim, Way::Commit, Way::CompleteIn];
    let web = start(database.clone(), store.clone(), &ways).await;
    let address = web.server.address;

    // The mark itself is a statement on the application's own connection.
    for (id, calls) in [("bare", 2), ("commit", 1 + 1), ("complete_in", 2 + 1)] {
        assert_eq!(send(address, id).await.status, 200);
        assert_eq!(web.store.take_calls(), calls, "{id}");
        assert!(send(address, id).await.is_replayed());
        assert_eq!(web.store.take_calls(), 0, "{id}, known here");
        assert_eq!(database.effects(id).await, 1);
    }

    let elsewhere = start(database, store, &[]).await;
    assert!(send(elsewhere.server.address, "commit").await.is_replayed());
    assert_eq!(elsewhere.store.take_calls(), 1, "a duplicate");
    assert!(send(elsewhere.server.address, "commit").await.is_replayed());
    assert_eq!(elsewhere.store.take_calls(), 0, "a duplicate that is known here by now");
}

/// A forgotten commit is no success: nothing is acknowledged, nothing is there, and the next one runs.
pub(crate) async fn a_forgotten_commit_is_not_acknowledged<D: Database, S: IdempotencyStore + Clone>(
    database: D,
    store: S,
) {
    let web = start(database.clone(), store, &[Way::ForgetsCommit, Way::CompleteIn]).await;
    let address = web.server.address;

    assert_eq!(send(address, "a").await.status, 500);
    assert_eq!(database.effects("a").await, 0);

    assert_eq!(send(address, "a").await.status, 200);
    assert!(send(address, "a").await.is_replayed());
    assert_eq!(database.effects("a").await, 1);
}

/// The result of a commit whose future was dropped is unknown. It is not acknowledged, and at the end there is one
/// effect.
pub(crate) async fn a_dropped_commit_is_not_acknowledged<D: Database, S: IdempotencyStore + Clone>(
    database: D,
    store: S,
) {
    for way in [Way::DropsCommit, Way::DropsCommitUnpolled, Way::DropsMark] {
        let web = start(database.clone(), store.clone(), &[way, Way::Commit]).await;
        let (address, id) = (web.server.address, format!("{way:?}"));

        assert_eq!(send(address, &id).await.status, 500, "{way:?}");
        assert_eq!(database.effects(&id).await, 0, "{way:?}");

        assert_eq!(send(address, &id).await.status, 200, "{way:?}");
        assert!(send(address, &id).await.is_replayed(), "{way:?}");
        assert_eq!(database.effects(&id).await, 1, "{way:?}");
    }
}

/// A committed delivery is done, whatever the handler answers then.
pub(crate) async fn a_handler_that_fails_after_its_commit_does_not_run_again<
    D: Database,
    S: IdempotencyStore + Clone,
>(
    database: D,
    store: S,
) {
    let web = start(database.clone(), store, &[Way::CommitAndFail]).await;
    let address = web.server.address;

    assert_eq!(send(address, "a").await.status, 500);
    assert!(send(address, "a").await.is_replayed());
    assert_eq!(database.effects("a").await, 1);
}

/// While a handler's open transaction holds the row of its claim, a copy is answered at once as in flight.
pub(crate) async fn a_duplicate_does_not_wait_for_the_applications_transaction<
    D: Database,
    S: IdempotencyStore + Clone,
>(
    database: D,
    store: S,
) {
    let web = start(database.clone(), store, &[Way::WaitsBeforeCommit]).await;
    let address = web.server.address;
    let first = tokio::spawn(async move { send(address, "a").await });
    timeout(AGES, web.bank.is_marked.acquire()).await.unwrap().unwrap().forget();

    // Far below any lock's timeout, and far above what an answer takes.
    let copy = timeout(Duration::from_secs(2), send(address, "a")).await.expect("no wait for the row");
    assert_eq!(copy.status, 503);

    web.bank.gate.add_permits(1);
    assert_eq!(timeout(AGES, first).await.unwrap().unwrap().status, 200);
    assert!(send(address, "a").await.is_replayed());
    assert_eq!(database.effects("a").await, 1);
    assert_eq!(web.layer.drain(AGES).await, 0);
}

/// The connection of the application's transaction fails at the mark or at the commit, and recovers: no delivery is
/// acknowledged without its effect, and at the end there is one effect.
pub(crate) async fn a_commit_that_goes_wrong_has_one_effect_in_the_end<D: Database, S: IdempotencyStore + Clone>(
    database: D,
    store: S,
    proxy: &Proxy,
) {
    for way in [Way::WaitsBeforeCommit, Way::WaitsBeforeMark] {
        for fault in [Fault::Refuse, Fault::Hang, Fault::CutAfterSend, Fault::CutBeforeSend] {
            let id = format!("{way:?} {fault:?}");
            let web = start(database.clone(), store.clone(), &[way]).await;
            let (address, first) = (web.server.address, id.clone());
            let first = tokio::spawn(async move { send(address, &first).await });
            timeout(AGES, web.bank.is_marked.acquire()).await.unwrap().unwrap().forget();

            proxy.set(fault);
            web.bank.gate.add_permits(1);
            let answer = timeout(AGES, first).await.unwrap().unwrap();
            // As long as the server takes a dead client's transaction for alive, it holds the claim's row.
            proxy.cut().await;

            assert_eq!(answer.status, 503, "{id}");
            let repeated = timeout(AGES, async {
                while send(address, &id).await.status != 200 {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            });
            repeated.await.unwrap();
            assert_eq!(database.effects(&id).await, 1, "{id}");
            assert!(send(address, &id).await.is_replayed());
        }
    }
}

/// A transaction of another database is refused, and a store that has none leaves the claim to the middleware.
pub(crate) async fn a_foreign_transaction_is_refused<D: Database, S: IdempotencyStore + Clone>(database: D, store: S) {
    let refused = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&refused);
    let theirs = database.clone();
    let handler = move |claim: Claim| {
        let (database, seen) = (theirs.clone(), Arc::clone(&seen));
        async move {
            let mut tx = database.begin().await;
            database.insert(&mut tx, "a").await;
            let error = claim.commit(tx).await.unwrap_err();
            seen.lock().unwrap().push(error.kind());
            Err::<(), _>(error)
        }
    };
    let hook = WebhookLayer::github(Secret::new(SECRET).unwrap()).with_idempotency(store);
    let server = Server::start(Router::new().route("/hook", post(handler).layer(hook))).await;

    assert_eq!(send(server.address, "a").await.status, 503);

    assert_eq!(*refused.lock().unwrap(), [ClaimErrorKind::WrongTransaction]);
    assert_eq!(database.effects("a").await, 0);
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use sqlx::{Sqlite, SqlitePool, Transaction};

    use super::Database;

    impl Database for SqlitePool {
        type Transaction = Transaction<'static, Sqlite>;

        async fn begin(&self) -> Self::Transaction {
            self.begin_with("BEGIN IMMEDIATE").await.expect("a transaction begins")
        }

        async fn insert(&self, transaction: &mut Self::Transaction, id: &str) {
            let insert = sqlx::query("INSERT INTO effects (id) VALUES (?)").bind(id.to_owned());
            insert.execute(&mut **transaction).await.expect("an effect is written");
        }

        async fn effects(&self, id: &str) -> i64 {
            let count = sqlx::query_scalar("SELECT count(*) FROM effects WHERE id = ?").bind(id.to_owned());
            count.fetch_one(self).await.expect("effects are counted")
        }
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use sqlx::{PgPool, Postgres, Transaction};

    use super::Database;

    impl Database for PgPool {
        type Transaction = Transaction<'static, Postgres>;

        async fn begin(&self) -> Self::Transaction {
            Self::begin(self).await.expect("a transaction begins")
        }

        async fn insert(&self, transaction: &mut Self::Transaction, id: &str) {
            let insert = sqlx::query("INSERT INTO effects (id) VALUES ($1)").bind(id.to_owned());
            insert.execute(&mut **transaction).await.expect("an effect is written");
        }

        async fn effects(&self, id: &str) -> i64 {
            let count = sqlx::query_scalar("SELECT count(*) FROM effects WHERE id = $1").bind(id.to_owned());
            count.fetch_one(self).await.expect("effects are counted")
        }
    }
}
