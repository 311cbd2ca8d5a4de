//! What every durable store does, in one process, in several, and in processes that are killed.

use std::{
    collections::{HashMap, HashSet},
    env,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, extract::State, http::StatusCode};
use tower_webhooks::{
    BoxError, Claim, Delivery, EventRouter, Inbox, WebhookLayer,
    inbox::{EventState, InboxQuery, InboxRetries, InboxStore},
    transaction::StoreTransaction,
};

use super::shop::{Running, Shop, app, count, delivered, events, ignore, order, secret, send, until, until_all_ended};
use crate::support::database::Database;

pub(crate) const AT_ONCE: fn(u32) -> InboxRetries =
    |attempts| InboxRetries::new(attempts).waits(Duration::ZERO, Duration::ZERO);

pub(crate) async fn two_workers_never_run_one_event_at_the_same_time<S: InboxStore>(stores: [S; 2]) {
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
    let inboxes = stores.map(|store| Inbox::new(store, router.clone()));
    let workers: Vec<_> =
        inboxes.iter().map(|inbox| Running::start(inbox.worker().with_retries(AT_ONCE(50)))).collect();
    let apps = inboxes.each_ref().map(app);
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

async fn pay<D: Database>(db: &D, claim: &Claim, delivery: &Delivery) -> Result<(), BoxError> {
    let id = delivered(delivery);
    let mut tx = db.begin().await;
    db.insert(&mut tx, &format!("{id} {}", claim.attempt())).await;
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
async fn answered<D: Database>(State(db): State<D>, claim: Claim, delivery: Delivery) -> StatusCode {
    match pay(&db, &claim, &delivery).await {
        Ok(()) => StatusCode::OK,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// There is a table `effects`.
pub(crate) async fn an_effect_and_its_event_end_in_one_transaction_or_not_at_all<D: Database>(
    store: impl InboxStore,
    db: D,
) {
    let inbox = Inbox::new(store, EventRouter::new().on("*", answered::<D>).with_state(db.clone()));
    let app = app(&inbox);
    let ids = ["commits", "commits and fails", "completes", "fails", "forgets"];
    for id in ids {
        send(&app, order(id)).await;
    }
    let worker = Running::start(inbox.worker().with_retries(AT_ONCE(5)));
    until_all_ended(&inbox).await;
    worker.stop().await;

    assert_eq!(count(&inbox, EventState::Done).await, ids.len());
    for (id, in_attempt) in [("commits", 1), ("commits and fails", 1), ("completes", 1), ("fails", 2), ("forgets", 2)] {
        for attempt in 1..=3 {
            let effects = db.effects(&format!("{id} {attempt}")).await;
            assert_eq!(effects, i64::from(attempt == in_attempt), "{id}, attempt {attempt}");
        }
    }
}

// --- processes of their own -------------------------------------------------------------------------------------------

const CHILD: &str = "TEST_INBOX_CHILD";

/// The URL that a child process opens. `None` in the test run itself.
pub(crate) fn url_of_child() -> Option<String> {
    env::var(CHILD).ok()
}

fn start_child(url: &str, test: &str, output: Stdio) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, url)
        .stdout(output)
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// A receiver in a process of its own: it tells its port, and has no worker, so that nothing ends an event before the kill.
pub(crate) async fn serve(store: impl InboxStore) {
    let inbox = Inbox::new(store, EventRouter::new().on("*", ignore));
    serve_app(Router::new().route_service("/hook", WebhookLayer::stripe(secret()).layer(inbox))).await;
}

#[allow(clippy::print_stdout)] // It tells its port.
pub(crate) async fn serve_app(app: Router) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("listening on {}", listener.local_addr().unwrap().port());
    axum::serve(listener, app).await.unwrap();
}

struct Receiver {
    child: Child,
    port: u16,
}

impl Receiver {
    fn start(url: &str, test: &str) -> Self {
        let mut child = start_child(url, test, Stdio::piped());
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

pub(crate) fn is_long() -> bool {
    env::var_os("TOWER_WEBHOOKS_LONG").is_some()
}

pub(crate) async fn kills_right_after_the_answer_lose_nothing<S: InboxStore>(
    url: &str,
    test: &str,
    open: impl AsyncFnOnce() -> S,
) {
    let (accepted, shop) = (receivers_that_are_killed(url, test).await, Shop::default());
    let inbox = Inbox::new(open().await, events(&shop));
    let worker = Running::start(inbox.worker());
    until_all_ended(&inbox).await;
    worker.stop().await;
    let done: HashSet<_> = shop.done().into_iter().collect();
    assert_eq!(done, accepted);
}

/// Sends an event to each of several processes, and kills each right after its answer. Returns the ids of the events, all of which were accepted.
pub(crate) async fn receivers_that_are_killed(url: &str, test: &str) -> HashSet<String> {
    let kills = if is_long() { 200 } else { 5 };
    let mut accepted = HashSet::new();
    for number in 0..kills {
        let receiver = Receiver::start(url, test);
        assert!(receiver.send_and_kill(&number.to_string()).await, "event {number} is accepted");
        accepted.insert(number.to_string());
    }
    accepted
}

/// How the ids of events begin whose handlers always fail.
pub(crate) const SPOILED: &str = "spoiled";

/// A worker in a process of its own, that commits each effect with the end of its event. 5 % of its runs fail.
pub(crate) async fn work<D: Database>(store: impl InboxStore, db: D) {
    let runs = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let handler = move |State(db): State<D>, claim: Claim, delivery: Delivery| {
        let run = runs.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        async move {
            if run % 20 == 7 || delivered(&delivery).starts_with(SPOILED) {
                return StatusCode::INTERNAL_SERVER_ERROR;
            }
            let mut tx = db.begin().await;
            db.insert(&mut tx, &delivered(&delivery)).await;
            tokio::time::sleep(Duration::from_millis(2)).await;
            match claim.commit(tx).await {
                Ok(()) => StatusCode::OK,
                Err(_) => StatusCode::SERVICE_UNAVAILABLE,
            }
        }
    };
    let inbox = Inbox::new(store, EventRouter::new().on("*", handler).with_state(db));
    let worker = inbox.worker().with_concurrency(8).with_retries(AT_ONCE(50)).with_lease(Duration::from_secs(1));
    worker.with_poll_interval(Duration::from_millis(50)).run(std::future::pending()).await;
}

/// Three worker processes share an inbox, and now and then one is killed. There is a table `effects`.
pub(crate) async fn worker_processes_that_are_killed_have_each_effect_once<D: Database>(
    of_child: (&str, &str),
    store: impl InboxStore,
    db: D,
) {
    let effects = async |id: String| db.effects(&id).await;
    worker_processes_that_are_killed(of_child, store, effects, |effects| effects == 1).await;
}

/// The same with effects that are counted elsewhere. `is_right` says how often one may be there.
pub(crate) async fn worker_processes_that_are_killed(
    (url, test): (&str, &str),
    store: impl InboxStore,
    effects: impl AsyncFn(String) -> i64,
    is_right: fn(i64) -> bool,
) {
    let (events, kills) = if is_long() { (20_000, 200) } else { (300, 4) };
    let inbox = Inbox::new(store, EventRouter::new().on("*", ignore));
    let app = app(&inbox);
    let mut children: Vec<_> = (0..3).map(|_| start_child(url, test, Stdio::null())).collect();
    let spoiled = ["spoiled 1", "spoiled 2", "spoiled 3"];
    for id in spoiled {
        assert_eq!(send(&app, order(id)).await.status, StatusCode::ACCEPTED);
    }
    for number in 0..events {
        assert_eq!(send(&app, order(&number.to_string())).await.status, StatusCode::ACCEPTED);
        // Three of ten come again.
        if number % 10 < 3 {
            assert!(send(&app, order(&(number / 2).to_string())).await.status.is_success());
        }
        if number % (events / kills) == events / kills / 2 {
            let place = number % 3;
            children[place].kill().unwrap();
            children[place].wait().unwrap();
            children[place] = start_child(url, test, Stdio::null());
        }
    }
    until("all have ended", async || {
        let stats = inbox.stats().await.unwrap();
        stats.pending + stats.working == 0
    })
    .await;
    for mut child in children {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let mut wrong = HashMap::new();
    for number in 0..events {
        let effects = effects(number.to_string()).await;
        if !is_right(effects) {
            wrong.insert(number, effects);
        }
    }
    assert!(wrong.is_empty(), "events and their effects: {wrong:?}");
    let dead = inbox.events(InboxQuery::default().state(EventState::Dead), 100).await.unwrap();
    let mut dead: Vec<_> = dead.iter().map(|record| record.delivery_id.as_deref().unwrap_or_default()).collect();
    dead.sort_unstable();
    assert_eq!(dead, spoiled, "those alone that were made to fail");
}
