//! Servers in processes of their own that share a store, and that kill themselves at a named point.

use std::{
    any::Any,
    env,
    fs::{File, OpenOptions},
    future::Future,
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    pin::Pin,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    middleware::{Next, from_fn},
    routing::post,
};
use tokio::task::JoinSet;
use tower_webhooks::{
    BoxFuture, Claim, Delivery, Secret, WebhookLayer,
    claim::ClaimError,
    clock::ClockOffset,
    error::StoreError,
    idempotency::{
        ClaimKey, ClaimOutcome, ClaimRequest, ClaimToken, Completion, Fenced, IdempotencyLayer, IdempotencyStore,
    },
};

use super::web::{Client, SECRET, Server, delivery};

/// The points at which a process is ended. The effect is a line of a file, or a row in one transaction with the mark.
pub(crate) const POINTS: [&str; 6] =
    ["before claim", "after claim", "in the effect", "before commit", "after commit", "before the answer"];

/// The task of a child process, from the environment. `None` in the test run itself.
pub(crate) struct Role {
    pub(crate) url: String,
    pub(crate) offset: ClockOffset,
    point: String,
    /// Which passage of the point is the last.
    passage: u32,
    effects: PathBuf,
}

impl Role {
    pub(crate) fn of_this_process() -> Option<Self> {
        let text = |name: &str| env::var(name).ok();
        let offset = ClockOffset::default();
        offset.advance(Duration::from_secs(text("TEST_OFFSET")?.parse().expect("a number")));
        Some(Self {
            url: text("TEST_URL")?,
            offset,
            point: text("TEST_POINT")?,
            passage: text("TEST_PASSAGE")?.parse().expect("a number"),
            effects: text("TEST_EFFECTS")?.into(),
        })
    }
}

/// Ends the process at its point, as `kill -9` does: no destructor runs, nothing is flushed.
#[derive(Clone)]
struct Killer {
    point: Arc<str>,
    left: Arc<AtomicU32>,
}

impl Killer {
    fn pass(&self, point: &str) {
        if *self.point != *point || self.left.fetch_sub(1, SeqCst) != 1 {
            return;
        }
        let id = std::process::id().to_string();
        Command::new("kill").args(["-9", &id]).status().expect("`kill` runs");
        loop {
            thread::park();
        }
    }
}

/// A store whose process ends around its calls.
#[derive(Clone)]
struct Deadly<S> {
    inner: S,
    killer: Killer,
}

impl<S> Deadly<S> {
    async fn around<T>(
        &self,
        points: [&str; 2],
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.killer.pass(points[0]);
        let answer = call.await;
        self.killer.pass(points[1]);
        answer
    }
}

impl<S: IdempotencyStore> IdempotencyStore for Deadly<S> {
    fn claim(&self, claim: ClaimRequest) -> BoxFuture<'_, Result<ClaimOutcome, StoreError>> {
        Box::pin(self.around(["before claim", "after claim"], self.inner.claim(claim)))
    }

    fn complete(
        &self,
        key: ClaimKey,
        token: ClaimToken,
        completion: Completion,
    ) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        let completed = self.inner.complete(key, token, completion);
        Box::pin(self.around(["before commit", "after commit"], completed))
    }

    fn release(&self, key: ClaimKey, token: ClaimToken) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.inner.release(key, token)
    }

    fn renew(&self, key: ClaimKey, token: ClaimToken, lease: Duration) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.inner.renew(key, token, lease)
    }

    fn is_done(&self, key: ClaimKey, token: ClaimToken) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.inner.is_done(key, token)
    }

    fn complete_in<'a>(
        &'a self,
        connection: &'a mut (dyn Any + Send),
        key: ClaimKey,
        token: ClaimToken,
        completion: Completion,
    ) -> BoxFuture<'a, Result<Fenced, StoreError>> {
        // The mark is made, and its transaction is still open.
        Box::pin(self.around(["", "before commit"], self.inner.complete_in(connection, key, token, completion)))
    }

    fn purge(&self, limit: u32) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.inner.purge(limit)
    }
}

type Effect =
    dyn Fn(String, Claim, Passage) -> Pin<Box<dyn Future<Output = Result<(), ClaimError>> + Send>> + Send + Sync;

/// Lets an effect report the point that it has reached.
#[derive(Clone)]
pub(crate) struct Passage(Killer);

impl Passage {
    pub(crate) fn in_the_effect(&self) {
        self.0.pass("in the effect");
    }

    pub(crate) fn after_commit(&self) {
        self.0.pass("after commit");
    }
}

/// Serves until the process is killed, and prints its address on the first line of its output.
///
/// Without an `effect` of its own, a handler writes a line to the file of effects, and leaves its claim to the middleware.
pub(crate) async fn serve(role: Role, store: impl IdempotencyStore, effect: Option<Box<Effect>>) {
    let killer = Killer { point: role.point.as_str().into(), left: Arc::new(role.passage.into()) };
    let file = OpenOptions::new().append(true).create(true).open(&role.effects).expect("the file of effects opens");
    let effect = effect.unwrap_or_else(|| lines(file));
    let store = Deadly { inner: store, killer: killer.clone() };
    let layer = IdempotencyLayer::new(store).with_local_cache(0);
    let hook = WebhookLayer::github(Secret::new(SECRET).unwrap()).with_idempotency(layer);
    let state = Arc::new((effect, Passage(killer.clone())));
    let last = from_fn(move |request: axum::extract::Request, next: Next| {
        let killer = killer.clone();
        async move {
            let response = next.run(request).await;
            if response.status().is_success() {
                killer.pass("before the answer");
            }
            response
        }
    });
    let app = Router::new().route("/hook", post(on_delivery).layer(hook)).layer(last).with_state(state);
    let server = Server::start(app).await;
    // A line of its own, whatever the test runner has begun to write.
    #[allow(clippy::print_stdout)]
    {
        println!("\nlistening {}", server.address);
    }
    // The parent holds the other end, and closes it when it is done, or dead.
    tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await.unwrap().unwrap();
}

async fn on_delivery(
    State(state): State<Arc<(Box<Effect>, Passage)>>,
    delivery: Delivery,
    claim: Claim,
) -> Result<(), ClaimError> {
    let (effect, passage) = &*state;
    effect(delivery.id().unwrap().to_string(), claim, passage.clone()).await
}

fn lines(file: File) -> Box<Effect> {
    let file = Arc::new(Mutex::new(file));
    Box::new(move |id, _, passage| {
        let file = Arc::clone(&file);
        Box::pin(async move {
            passage.in_the_effect();
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            file.write_all(format!("{id}\n").as_bytes()).expect("an effect is written");
            Ok(())
        })
    })
}

/// A server in a process of its own: a test of this binary, by its full name. It ends with this.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Process {
    pub(crate) fn start(child: &str, url: &str, effects: &Path, offset: Duration, point: &str, passage: u32) -> Self {
        let mut child = Command::new(env::current_exe().expect("this binary has a path"))
            .args(["--exact", child, "--nocapture", "--test-threads=1"])
            .env("TEST_URL", url)
            .env("TEST_EFFECTS", effects)
            .env("TEST_OFFSET", offset.as_secs().to_string())
            .env("TEST_POINT", point)
            .env("TEST_PASSAGE", passage.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("this binary can be run");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("listening ")?.parse().ok())
            .expect("the child listens");
        // Its output is read to the end, so that it never waits for us.
        thread::spawn(move || lines.for_each(drop));
        Self { child, address }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends each delivery once, all at the same time, and returns those that were acknowledged.
async fn send_all(address: SocketAddr, ids: &[String]) -> Vec<String> {
    let mut tasks = JoinSet::new();
    for id in ids.iter().cloned() {
        tasks.spawn(async move {
            // The server may be killed by another delivery before this one has a connection.
            let answer = Client::try_connect(address).await?.try_send(delivery("/hook", &id)).await;
            answer.filter(|answer| answer.status.is_success()).map(|_| id)
        });
    }
    tasks.join_all().await.into_iter().flatten().collect()
}

/// Kills a server at every point, and checks what it had acknowledged; then, after the leases have ended, lets another
/// server handle the sender's repetitions.
///
/// `effects` counts those of a delivery. With `once`, there is exactly one in the end; else at least one.
pub(crate) async fn a_killed_process_acknowledges_nothing_that_it_has_not_done<F: Future<Output = i64>>(
    child: &str,
    url: &str,
    file: &Path,
    seeds: u32,
    once: bool,
    effects: impl Fn(String) -> F,
) {
    for point in POINTS {
        for seed in 0..seeds {
            let ids: Vec<_> = (0..=seed % 5).map(|number| format!("{point} {seed} {number}")).collect();
            // Which of the deliveries is the one at which it ends.
            let passage = 1 + (seed / 5) % u32::try_from(ids.len()).expect("a few");

            let mut process = Process::start(child, url, file, Duration::ZERO, point, passage);
            let acknowledged = send_all(process.address, &ids).await;
            process.child.wait().expect("the child is dead");
            assert!(acknowledged.len() < ids.len(), "{point}, {seed}: it was not killed");
            for id in acknowledged {
                assert!(effects(id.clone()).await > 0, "{id}: acknowledged, and nothing was done");
            }

            let process = Process::start(child, url, file, Duration::from_secs(120), "", 0);
            let acknowledged = send_all(process.address, &ids).await;
            assert_eq!(acknowledged.len(), ids.len(), "{point}, {seed}: what was not done runs again");
            for id in ids {
                let count = effects(id.clone()).await;
                assert!(if once { count == 1 } else { count > 0 }, "{id}: {count} effects");
            }
        }
    }
}

/// Copies that come to four processes at once run once, and none is acknowledged before its effect is there.
pub(crate) async fn four_processes_run_a_delivery_once(
    child: &str,
    url: &str,
    file: &Path,
    copies: usize,
    rounds: u32,
) {
    let processes: Vec<_> = (0..4).map(|_| Process::start(child, url, file, Duration::ZERO, "", 0)).collect();
    for round in 0..rounds {
        let id = format!("round {round}");
        let mut tasks = JoinSet::new();
        let barrier = Arc::new(tokio::sync::Barrier::new(copies));
        for copy in 0..copies {
            let (id, barrier, address) = (id.clone(), Arc::clone(&barrier), processes[copy % 4].address);
            tasks.spawn(async move {
                let mut client = Client::connect(address).await;
                barrier.wait().await;
                client.send(delivery("/hook", &id)).await.status.as_u16()
            });
        }
        let mut is_acknowledged = false;
        while let Some(status) = tasks.join_next().await {
            match status.expect("a sender does not panic") {
                200 if is_acknowledged => {}
                200 => {
                    assert_eq!(count_lines(file, &id), 1, "acknowledged before it was handled");
                    is_acknowledged = true;
                }
                503 => {}
                other => panic!("{other}"),
            }
        }
        assert!(is_acknowledged);
        assert_eq!(count_lines(file, &id), 1);
    }
}

/// How often a line is in the file of effects.
pub(crate) fn count_lines(file: &Path, line: &str) -> i64 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().filter(|other| *other == line).count().try_into().expect("a few")
}
