//! The memory budget: one client cannot block the others, and bytes are counted for as long as they are held.

#[path = "../../examples/support/server.rs"]
mod server;

use std::{
    env, fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{Router, body::Bytes, response::Response, routing::post};
use http::HeaderValue;
use serve::{Raw, Server, head, long, request, soon};
use sign::{Sender, line};
use tokio::{
    net::TcpListener,
    sync::Notify,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tower::util::MapResponseLayer;
use tower_webhooks::{
    BoxError, BoxFuture, RequestHead, Secret, SecretSource, Secrets, VerifiedBody, VerifyError, WebhookLayer,
    clock::ManualClock,
};

use crate::support::{serve, sign};

const MIB: usize = 1024 * 1024;

/// Longer than a body has, and than a busy machine takes.
const PATIENCE: Duration = Duration::from_secs(60);

// --- Clients that stall -----------------------------------------------------------------------------------------------

// With all but the last byte, on the server of the examples, in a process of its own whose memory is looked at.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn true_events_pass_beside_clients_that_stall_and_memory_stays_within_the_budget() {
    if let Ok(budget) = env::var("TEST_BUDGET") {
        return serve_as_a_child(budget.parse().unwrap()).await;
    }
    // Clients, the bytes of a body that stalls, MiB of the budget, seconds.
    let all = [(64, MIB, 64, 30), (300, MIB, 64, 30), (64, MIB, 160, 30), (300, MIB, 160, 30)];
    for (clients, size, mebibytes, seconds) in if long() { &all[..] } else { &[(48, MIB / 4, 8, 5)] } {
        let seen = attack(*clients, *size, mebibytes * MIB, Duration::from_secs(*seconds)).await;
        let case = format!("{clients} clients, {mebibytes} MiB: {seen:?}");
        println!("{case}");

        assert!(seen.small.0 >= 50, "{case}");
        assert!(seen.small.1 * 100 >= seen.small.0 * 99, "{case}");
        assert!(seen.medium.1 * 100 >= seen.medium.0 * 95, "{case}");
        assert!(seen.resident <= (mebibytes + 48) * MIB, "{case}");
    }
}

#[derive(Debug, Default)]
struct Seen {
    /// Of 2 KiB: how many were sent, and how many passed.
    small: (usize, usize),
    /// Of 64 KiB.
    medium: (usize, usize),
    /// How often a stalling client was turned away.
    refused: usize,
    /// The most that the server's process had in memory.
    resident: usize,
}

async fn attack(clients: usize, size: usize, budget: usize, length: Duration) -> Seen {
    let child = Receiver::start(budget);
    let refused = Arc::new(AtomicUsize::new(0));
    let mut stalling = JoinSet::new();
    for _ in 0..clients {
        let (address, refused) = (child.address, Arc::clone(&refused));
        stalling.spawn(async move {
            loop {
                stall(address, size).await;
                refused.fetch_add(1, Ordering::Relaxed);
                // On a machine that does little else.
                sleep(if long() { Duration::ZERO } else { Duration::from_secs(1) }).await;
            }
        });
    }
    // Until they have begun.
    sleep(Duration::from_secs(1)).await;
    let mut seen = Seen::default();
    let until = Instant::now() + length;
    while Instant::now() < until || seen.small.0 < 50 {
        for (size, count) in [(2048, &mut seen.small), (64 * 1024, &mut seen.medium)] {
            count.0 += 1;
            count.1 += usize::from(deliver(child.address, size).await == Some(200));
        }
        seen.resident = seen.resident.max(child.resident());
        sleep(Duration::from_millis(5)).await;
    }
    stalling.shutdown().await;
    seen.refused = refused.load(Ordering::Relaxed);
    seen
}

/// Sends all but the last byte with a wrong signature, and waits for the answer.
async fn stall(address: SocketAddr, size: usize) {
    let Ok(mut raw) = Raw::try_connect(address).await else { return };
    let wrong = Sender::Stripe.sign_at(&now(), b"another body");
    raw.send(&head("POST", "/hook", &[wrong, vec![line("content-length", size.to_string())]].concat())).await;
    raw.send(&vec![b'x'; size - 1]).await;
    raw.answer_within(PATIENCE).await;
}

async fn deliver(address: SocketAddr, size: usize) -> Option<u16> {
    let body = vec![b' '; size];
    let mut raw = Raw::try_connect(address).await.ok()?;
    raw.send(&request("POST", "/hook", &Sender::Stripe.sign_at(&now(), &body), &body)).await;
    raw.answer_within(PATIENCE).await.map(|answer| answer.status)
}

fn now() -> String {
    #[allow(clippy::disallowed_methods)] // The other process has no clock that could be set.
    let now = SystemTime::now();
    now.duration_since(UNIX_EPOCH).unwrap().as_secs().to_string()
}

/// This file's server in a process of its own.
struct Receiver {
    child: Child,
    address: SocketAddr,
}

impl Receiver {
    fn start(budget: usize) -> Self {
        let test =
            crate::support::test_name!("true_events_pass_beside_clients_that_stall_and_memory_stays_within_the_budget");
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", test, "--nocapture"]).env("TEST_BUDGET", budget.to_string());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines.find_map(|line| line.unwrap().strip_prefix("listens on ").map(str::to_owned));
        // Whatever else it says is read, so that it never waits for us.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address: address.expect("the child listens").parse().unwrap() }
    }

    /// The resident memory of the process, or 0 on systems that do not report it.
    fn resident(&self) -> usize {
        let Ok(status) = fs::read_to_string(format!("/proc/{}/status", self.child.id())) else { return 0 };
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
        line.trim().trim_end_matches("kB").trim().parse::<usize>().unwrap() * 1024
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn serve_as_a_child(budget: usize) {
    let layer = WebhookLayer::new(Sender::Stripe.provider(), Sender::Stripe.secret()).with_memory_budget(budget);
    // Without optimisation nearly all of the time would go into hashing, which is not tested here.
    let layer = if cfg!(debug_assertions) { layer.with_insecure_no_verification() } else { layer };
    let app = Router::new().route("/hook", post(async |_: VerifiedBody| {}).layer(layer));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    #[allow(clippy::print_stdout)] // It is how the test learns the port.
    {
        println!("\nlistens on {}", listener.local_addr().unwrap());
    }
    // An orphaned child ends by itself.
    let stop = sleep(Duration::from_secs(600));
    server::serve(listener, app, server::Limits::default(), stop).await;
}

// If the budget refused new requests instead, one slow request would be enough to block it.
#[tokio::test]
async fn one_stalling_body_that_fills_the_budget_gives_way() {
    let layer = Sender::Stripe.layer().with_memory_budget(1_000_000);
    let server = Server::start(Router::new().route("/hook", post(async |_: VerifiedBody| {}).layer(layer))).await;
    let wrong = Sender::Stripe.sign(b"another body");
    let mut forged = server.connect().await;
    forged.send(&head("POST", "/hook", &[wrong, vec![line("content-length", "1000000")]].concat())).await;
    forged.send(&vec![b'x'; 990_000]).await;
    sleep(Duration::from_millis(300)).await;

    let body = vec![b' '; 20_000];
    for _ in 0..20 {
        let answer = server.send(&request("POST", "/hook", &Sender::Stripe.sign(&body), &body)).await;
        assert_eq!(answer.map(|answer| answer.status), Some(200));
    }

    let answer = forged.answer().await.expect("it is told");
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("10")));
    server.stop().await;
}

// --- Bodies that wait for newer secrets -----------------------------------------------------------------------------------

/// A source whose look-up for newer secrets ends when the test says so.
struct Slow {
    asked: Arc<Notify>,
    goes_on: Arc<Notify>,
}

impl SecretSource for Slow {
    fn secrets(&self, _: RequestHead) -> BoxFuture<'_, Result<Secrets, BoxError>> {
        Box::pin(async { Ok(Secrets::new(Sender::Stripe.secret()).and(Secret::new("of a rotation that has ended")?)) })
    }

    fn refresh(&self, _: RequestHead, _: Secrets) -> BoxFuture<'_, Result<Option<Secrets>, BoxError>> {
        Box::pin(async {
            self.asked.notify_one();
            self.goes_on.notified().await;
            Ok(Some(Secrets::new(Secret::new(NEW)?)))
        })
    }
}

/// As long as a look-up may take.
const LOOK_UP: Duration = Duration::from_secs(5);

/// The secret that the sender has changed to.
const NEW: &str = "the secret that the sender has changed to";

/// A server with a budget of 1,000,000 bytes that answers with the kind of a rejection, and the two signals of its
/// source.
async fn behind_a_slow_source() -> (Server, Arc<Notify>, Arc<Notify>) {
    let (asked, goes_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let source = Slow { asked: Arc::clone(&asked), goes_on: Arc::clone(&goes_on) };
    let layer =
        WebhookLayer::stripe(source).with_clock(ManualClock::at_unix_seconds(sign::NOW)).with_memory_budget(1_000_000);
    let tell = MapResponseLayer::new(|mut response: Response| {
        if let Some(kind) = response.extensions().get::<VerifyError>().map(|error| error.kind().as_str()) {
            response.headers_mut().insert("x-kind", HeaderValue::from_static(kind));
        }
        response
    });
    let router = Router::new().route("/hook", post(async |body: VerifiedBody| body.into_bytes()).layer(layer));
    (Server::start(router.layer(tell)).await, asked, goes_on)
}

fn signed_with(secret: &str, body: &[u8]) -> Vec<u8> {
    let (sender, now) = (Sender::Stripe, sign::NOW.to_string());
    let tag = sender.tag_with(&sender.key(secret), &now, body);
    request("POST", "/hook", &sender.claiming(sender.value(&now, &tag)), body)
}

// Anybody can send a wrong signature, and the look-up that it leads to may take seconds.
#[tokio::test]
async fn a_body_that_waits_for_newer_secrets_gives_way_like_one_that_is_being_read() {
    let (server, asked, _goes_on) = behind_a_slow_source().await;
    let mut forged = server.connect().await;
    forged.send(&signed_with("a wrong one", &vec![b'x'; 990_000])).await;
    soon("the look-up", asked.notified()).await;
    let start = Instant::now();

    let body = vec![b' '; 20_000];
    let answer = server.send(&signed_with(Sender::Stripe.secret_text(), &body)).await.expect("there is an answer");
    assert_eq!((answer.status, answer.body.len()), (200, body.len()));

    let answer = forged.answer().await.expect("it is told");
    assert_eq!((answer.status, answer.header("x-kind")), (503, Some("over_budget")));
    assert_eq!((answer.header("retry-after"), answer.text()), (Some("10"), r#"{"error":"unavailable"}"#));
    assert!(start.elapsed() < LOOK_UP, "it waits for the look-up");
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_waits_for_newer_secrets_passes_whole_and_its_room_comes_back() {
    let (server, asked, goes_on) = behind_a_slow_source().await;
    let body: Vec<u8> = (0..600_000_u32).map(|at| (at % 251) as u8).collect();
    for _ in 0..3 {
        let mut waiting = server.connect().await;
        waiting.send(&signed_with(NEW, &body)).await;
        soon("the look-up", asked.notified()).await;

        let small = vec![b' '; 20_000];
        let answer = server.send(&signed_with(Sender::Stripe.secret_text(), &small)).await;
        assert_eq!(answer.map(|answer| answer.status), Some(200));

        goes_on.notify_one();
        let answer = waiting.answer().await.expect("there is an answer");
        assert_eq!(answer.status, 200);
        assert!(answer.body == body, "it is the body that was sent");
    }
    server.stop().await;
}

// --- Bodies whose client has gone ------------------------------------------------------------------------------------------

/// How many bodies handlers hold now, and the most that it ever was.
static AT_ONCE: Mutex<(usize, usize)> = Mutex::new((0, 0));

async fn slow(_: Bytes) {
    {
        let mut count = AT_ONCE.lock().unwrap();
        count.0 += 1;
        count.1 = count.1.max(count.0);
    }
    sleep(Duration::from_millis(500)).await;
    AT_ONCE.lock().unwrap().0 -= 1;
}

#[cfg(feature = "idempotency")]
#[tokio::test]
async fn a_body_counts_also_when_its_client_has_hung_up_and_the_handler_goes_on() {
    let body = vec![b'x'; 100_000];
    let layer = Sender::GitHub.layer().with_memory_budget(body.len() * 11 / 10);
    let layer = layer.with_idempotency(tower_webhooks::store::MemoryStore::new());

    let server = Server::start(Router::new().route("/hook", post(slow).layer(layer))).await;

    for client in 0..20 {
        let mut headers = Sender::GitHub.sign(&body);
        headers.retain(|(name, _)| name != "x-github-delivery");
        headers.push(line("x-github-delivery", format!("d-{client}")));
        let mut raw = server.connect().await;
        raw.send(&request("POST", "/hook", &headers, &body)).await;
        let _ = timeout(Duration::from_millis(20), raw.readable()).await;
        raw.reset();
    }

    assert_eq!(AT_ONCE.lock().unwrap().1, 1);
    server.stop().await;
}

// A handler may give the bytes to a task of its own.
#[tokio::test]
async fn a_body_counts_as_long_as_anybody_has_its_bytes() {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keep = {
        let kept = Arc::clone(&kept);
        move |body: VerifiedBody| {
            kept.lock().unwrap().push(body.into_bytes().slice(..1));
            async {}
        }
    };
    let body = vec![b'x'; 1000];
    let layer = Sender::GitHub.layer().with_memory_budget(1500);
    let server = Server::start(Router::new().route("/hook", post(keep).layer(layer))).await;
    let bytes = request("POST", "/hook", &Sender::GitHub.sign(&body), &body);

    assert_eq!(server.send(&bytes).await.map(|answer| answer.status), Some(200));
    assert_eq!(server.send(&bytes).await.map(|answer| answer.status), Some(503));
    kept.lock().unwrap().clear();
    soon("the room", async { while server.send(&bytes).await.map(|answer| answer.status) != Some(200) {} }).await;
    server.stop().await;
}
