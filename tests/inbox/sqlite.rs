//! The inbox in a file: kills, two workers, transactions of the application's, disks that do not take more.

use std::{
    collections::HashSet,
    env,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, extract::State, http::StatusCode};
use sqlx::{Connection, Row, SqliteConnection, SqlitePool};
use tower_webhooks::{
    BoxError, Claim, Delivery, EventRouter, Inbox, WebhookLayer,
    clock::ClockOffset,
    inbox::{EventState, InboxQuery, InboxRetries},
    store::SqliteStore,
};

use super::{
    shop::{Running, Shop, app, count, inbox, only, order, secret, send, until, until_all_ended},
    stores::sqlite,
};

fn url(folder: &tempfile::TempDir) -> String {
    format!("sqlite://{}/inbox.db", folder.path().display())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_over_one_file_never_run_one_event_at_the_same_time() {
    let folder = tempfile::tempdir().unwrap();
    let running = Arc::new(Mutex::new((HashSet::new(), 0_u32)));
    let of_handler = running.clone();
    let router = EventRouter::new().on("*", move |delivery: Delivery| {
        let running = of_handler.clone();
        async move {
            let id = delivery.id().unwrap().to_string();
            assert!(running.lock().unwrap().0.insert(id.clone()), "{id} runs twice");
            tokio::time::sleep(Duration::from_millis(3)).await;
            let mut running = running.lock().unwrap();
            running.0.remove(&id);
            running.1 += 1;
            // Every seventh run fails, and is worked again.
            if running.1 % 7 == 0 { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK }
        }
    });
    let inboxes = [
        Inbox::new(SqliteStore::connect(&url(&folder)).await.unwrap(), router.clone()),
        Inbox::new(SqliteStore::connect(&url(&folder)).await.unwrap(), router),
    ];
    let retries = InboxRetries::new(50).waits(Duration::ZERO, Duration::ZERO);
    let workers: Vec<_> = inboxes.iter().map(|inbox| Running::start(inbox.worker().with_retries(retries))).collect();
    let apps = [app(&inboxes[0]), app(&inboxes[1])];
    for number in 0..100 {
        // Each comes twice, by either process.
        for app in &apps {
            assert_eq!(send(app, order(&number.to_string())).await.status, StatusCode::ACCEPTED);
        }
    }
    until_all_ended(&inboxes[0]).await;
    for worker in workers {
        worker.stop().await;
    }
    assert_eq!(count(&inboxes[0], EventState::Done).await, 100);
    // Nothing ran but each event once, and each failure again.
    let runs = running.lock().unwrap().1;
    assert_eq!(runs - runs / 7, 100);
}

async fn pay(State(db): State<SqlitePool>, claim: Claim, delivery: Delivery) -> Result<(), BoxError> {
    let id = delivery.id().map(ToString::to_string).unwrap_or_default();
    let mut tx = db.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::query("INSERT INTO effects (id, attempt) VALUES (?, ?)")
        .bind(&id)
        .bind(claim.attempt())
        .execute(&mut *tx)
        .await?;
    match id.as_str() {
        "commits" => claim.commit(tx).await?,
        "commits and fails" => {
            claim.commit(tx).await?;
            return Err("on purpose".into());
        }
        "forgets" if claim.attempt() == 1 => claim.complete_in(&mut tx).await?,
        "fails" if claim.attempt() == 1 => return Err("on purpose".into()),
        _ => {
            claim.complete_in(&mut tx).await?;
            tx.commit().await?;
        }
    }
    Ok(())
}

/// The error of a handler, as an answer.
async fn answered(state: State<SqlitePool>, claim: Claim, delivery: Delivery) -> StatusCode {
    match pay(state, claim, delivery).await {
        Ok(()) => StatusCode::OK,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[tokio::test]
async fn an_effect_and_its_event_end_in_one_transaction_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::connect(&url(&folder)).await.unwrap();
    let db = store.pool();
    sqlx::query("CREATE TABLE effects (id TEXT, attempt INTEGER)").execute(&db).await.unwrap();
    let inbox = Inbox::new(store, EventRouter::new().on("*", answered).with_state(db.clone()));
    let app = app(&inbox);
    let ids = ["commits", "commits and fails", "completes", "fails", "forgets"];
    for id in ids {
        send(&app, order(id)).await;
    }
    let retries = InboxRetries::new(5).waits(Duration::ZERO, Duration::ZERO);
    let worker = Running::start(inbox.worker().with_retries(retries));
    until_all_ended(&inbox).await;
    worker.stop().await;

    assert_eq!(count(&inbox, EventState::Done).await, ids.len());
    let rows = sqlx::query("SELECT id, attempt FROM effects ORDER BY id").fetch_all(&db).await.unwrap();
    let effects: Vec<(String, u32)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let expected = [("commits", 1), ("commits and fails", 1), ("completes", 1), ("fails", 2), ("forgets", 2)];
    assert_eq!(effects, expected.map(|(id, attempt)| (id.to_owned(), attempt)));
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

    // Whatever was answered 2xx is there; what was answered 503 comes again.
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
    // The limit of pages stands for a full disk: SQLite answers both with the same error.
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
    assert_eq!(version, 1);
}

// --- kill -9 right after the 2xx --------------------------------------------------------------------------------------

const CHILD: &str = "TEST_INBOX_CHILD";

/// A receiver in a process of its own: it tells its port, and has no worker, so that nothing ends an event before the kill.
#[allow(clippy::print_stdout)] // It tells its port.
async fn serve(url: String) {
    let router = EventRouter::new().on("*", super::shop::ignore);
    let inbox = Inbox::new(SqliteStore::connect(&url).await.unwrap(), router);
    let app = Router::new().route_service("/hook", WebhookLayer::stripe(secret()).layer(inbox));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("listening on {}", listener.local_addr().unwrap().port());
    axum::serve(listener, app).await.unwrap();
}

struct Receiver {
    child: Child,
    port: u16,
}

impl Receiver {
    fn start(url: &str) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "sqlite::a_kill_right_after_the_answer_loses_nothing", "--nocapture"])
            .env(CHILD, url)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.find_map(|line| line.unwrap().split("listening on ").nth(1)?.trim().parse().ok()).unwrap();
        Self { child, port }
    }

    /// Sends an event on a plain socket, and kills the process when the status line is there.
    async fn send_and_kill(mut self, id: &str) -> bool {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (head, body) = order(id).into_parts();
        let body = axum::body::to_bytes(body, 10_000).await.unwrap();
        let mut text = format!("POST /hook HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in &head.headers {
            if name != http::header::CONTENT_LENGTH {
                text.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
            }
        }
        let mut socket = tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        socket.write_all(format!("{text}\r\n").as_bytes()).await.unwrap();
        socket.write_all(&body).await.unwrap();
        let mut status = [0; 12];
        let read = socket.read_exact(&mut status).await;
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        read.is_ok() && &status == b"HTTP/1.1 202"
    }
}

#[tokio::test]
async fn a_kill_right_after_the_answer_loses_nothing() {
    if let Ok(url) = env::var(CHILD) {
        return serve(url).await;
    }
    let kills = if env::var_os("TOWER_WEBHOOKS_LONG").is_some() { 200 } else { 5 };
    let (folder, shop) = (tempfile::tempdir().unwrap(), Shop::default());
    for number in 0..kills {
        let receiver = Receiver::start(&url(&folder));
        assert!(receiver.send_and_kill(&number.to_string()).await, "event {number} is accepted");
    }

    let inbox = Inbox::new(SqliteStore::connect(&url(&folder)).await.unwrap(), super::shop::events(&shop));
    let worker = Running::start(inbox.worker());
    until_all_ended(&inbox).await;
    worker.stop().await;
    let done: HashSet<_> = shop.done().into_iter().collect();
    assert_eq!(done, (0..kills).map(|number| number.to_string()).collect());
}
