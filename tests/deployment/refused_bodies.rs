//! Bodies of requests that are rejected before they were read: no part of them is kept, and the sender gets the answer.
//!
//! `tests/deployment/proxies.rs` has the same with real proxies between sender and receiver.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, routing::any};
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use process::binary;
use serve::{NEVER, REFUSAL, Receiver, Server, head, long, request, soon};
use sign::{Line, Sender, line};
use tokio::{
    process::Command,
    sync::mpsc,
    time::{Instant, sleep},
};
use tower_webhooks::{BoxError, Provider, RequestHead, Secrets, WebhookLayer, clock::ManualClock};

use crate::support::{process, serve, sign};

const BODY: &[u8] = br#"{"id":"evt_1","type":"invoice.paid","data":{"object":{}}}"#;
const LARGE: usize = 6 * 1024 * 1024;

/// Longer than any silence that is waited for, and shorter than the tests' patience.
const LATE: Duration = Duration::from_secs(10);

/// Longer than the silence that is waited for before the answer, and shorter than the one after it.
const PAUSE: Duration = Duration::from_secs(1);

/// Longer also than the time for which a refused body is read, and shorter than the silence after the answer.
const LONG_PAUSE: Duration = Duration::from_millis(1600);

fn with(mut headers: Vec<Line>, more: &[(&str, &str)]) -> Vec<Line> {
    headers.extend(more.iter().map(|(name, value)| line(name, *value)));
    headers
}

/// Every cause of a refusal from the head, with its status.
fn causes() -> Vec<(&'static str, u16, &'static str, Vec<Line>)> {
    let stripe = |at: u64| Sender::Stripe.sign_at(&at.to_string(), BODY);
    vec![
        ("missing", 401, "POST", Vec::new()),
        ("malformed", 401, "POST", vec![line("stripe-signature", "v1=no signature")]),
        ("stale", 401, "POST", stripe(sign::NOW - 3600)),
        ("method", 405, "PUT", stripe(sign::NOW)),
        ("too large", 413, "POST", stripe(sign::NOW)),
        ("encoded", 415, "POST", with(stripe(sign::NOW), &[("content-encoding", "gzip")])),
    ]
}

#[tokio::test]
async fn each_refusal_of_a_large_body_is_answered_and_the_connection_goes_on() {
    let receiver = Receiver::new(Sender::Stripe).await;
    let good = request("POST", "/hook", &Sender::Stripe.sign(BODY), BODY);
    for (cause, status, method, headers) in causes() {
        for _ in 0..if long() { 20 } else { 2 } {
            let mut raw = receiver.server.connect().await;

            // Nothing is read before all is sent, as simple clients do it.
            raw.send(&request(method, "/hook", &headers, &vec![b'x'; LARGE])).await;
            let answer = raw.answer().await;
            raw.send(&good).await;
            let next = raw.answer().await;

            assert_eq!(answer.map(|answer| answer.status), Some(status), "{cause}");
            assert_eq!(next.map(|answer| answer.status), Some(200), "{cause}");
        }
    }
    receiver.finish().await;
}

#[tokio::test]
async fn a_body_that_is_refused_while_it_is_read_is_read_to_its_end() {
    let set = |layer: WebhookLayer| layer.with_memory_budget(1000);
    let receiver = Receiver::with(Sender::GitHub, set).await;
    let mut raw = receiver.server.connect().await;
    // Not one of these has a length, so that all are found while they are read.
    let chunked = |size: usize| {
        let mut bytes = head("POST", "/hook", &with(Sender::GitHub.sign(BODY), &[("transfer-encoding", "chunked")]));
        bytes.extend_from_slice(format!("{size:x}\r\n").as_bytes());
        bytes.resize(bytes.len() + size, b'x');
        bytes.extend_from_slice(b"\r\n0\r\n\r\n");
        bytes
    };

    raw.send(&chunked(LARGE)).await;
    assert_eq!(raw.answer().await.map(|answer| answer.status), Some(503));
    raw.send(&request("POST", "/hook", &Sender::GitHub.sign(BODY), BODY)).await;
    assert_eq!(raw.answer().await.map(|answer| answer.status), Some(200));

    let set = |layer: WebhookLayer| layer.with_body_limit(1000);
    let receiver = Receiver::with(Sender::GitHub, set).await;
    let mut raw = receiver.server.connect().await;
    raw.send(&chunked(LARGE)).await;
    assert_eq!(raw.answer().await.map(|answer| answer.status), Some(413));
    raw.send(&request("POST", "/hook", &Sender::GitHub.sign(BODY), BODY)).await;
    assert_eq!(raw.answer().await.map(|answer| answer.status), Some(200));
    receiver.finish().await;
}

#[tokio::test]
async fn a_sender_that_pauses_in_a_body_that_is_refused_while_it_is_read_and_goes_on_has_its_answer() {
    let chunk = |size: usize| [format!("{size:x}\r\n").as_bytes(), &vec![b'x'; size], b"\r\n"].concat();
    let layer = || Sender::GitHub.layer().with_body_timeout(NEVER);
    // How long the sender is silent before the body is refused, and after it between two parts.
    let cases = [
        ("the limit", 413, layer().with_body_limit(1000), (Duration::ZERO, PAUSE)),
        ("the memory budget", 503, layer().with_memory_budget(1000), (Duration::ZERO, PAUSE)),
        ("the deadline", 408, layer().with_body_timeout(Duration::from_millis(100)), (LONG_PAUSE, Duration::ZERO)),
    ];
    for (cause, status, layer, (before, between)) in cases {
        let receiver = Receiver::behind(Sender::GitHub, layer).await;
        let mut raw = receiver.server.connect().await;
        raw.send(&head("POST", "/hook", &with(Sender::GitHub.sign(BODY), &[("transfer-encoding", "chunked")]))).await;
        raw.send(&chunk(500)).await;
        sleep(before).await;

        // After a reset nothing more could be written.
        for part in [chunk(2000), chunk(2000), chunk(LARGE), b"0\r\n\r\n".to_vec()] {
            assert!(raw.try_send(&part).await, "{cause}");
            sleep(between).await;
        }

        assert_eq!(raw.answer().await.map(|answer| answer.status), Some(status), "{cause}");
        raw.send(&request("POST", "/hook", &Sender::GitHub.sign(BODY), BODY)).await;
        assert_eq!(raw.answer().await.map(|answer| answer.status), Some(200), "{cause}");
        receiver.finish().await;
    }
}

#[tokio::test]
async fn a_body_that_is_refused_while_it_is_read_and_then_never_ends_is_not_read_forever() {
    let receiver = Receiver::with(Sender::GitHub, |layer| layer.with_body_limit(1000)).await;
    let begin = |length: usize| {
        let head = head("POST", "/hook", &with(Sender::GitHub.sign(BODY), &[("transfer-encoding", "chunked")]));
        [head, format!("{length:x}\r\n").into_bytes(), vec![b'x'; 2000]].concat()
    };

    let mut silent = receiver.server.connect().await;
    silent.send(&begin(LARGE)).await;
    assert_eq!(silent.answer().await.map(|answer| answer.status), Some(413));
    assert!(silent.is_closed().await, "it has been silent for long enough");

    let mut endless = receiver.server.connect().await;
    endless.send(&begin(1 << 40)).await;
    assert_eq!(endless.answer().await.map(|answer| answer.status), Some(413));
    let mut sent = 0;
    while sent < 1000 && endless.try_send(&vec![b'x'; 1 << 20]).await {
        sent += 1;
    }
    assert!((32..200).contains(&sent), "{sent} MiB");
    receiver.finish().await;
}

#[tokio::test]
async fn a_rejection_response_that_panics_is_an_answer_to_a_large_body_too() {
    let layer = Sender::Stripe.layer().with_rejection_response(|error| -> Response<Bytes> { panic!("{error}") });
    let router = Router::new().route("/hook", any(async || "").layer(layer));
    let server = Server::start(router).await;
    let mut raw = server.connect().await;
    for _ in 0..2 {
        raw.send(&request("POST", "/hook", &[], &vec![b'x'; LARGE])).await;
        assert_eq!(raw.answer().await.map(|answer| answer.status), Some(500));
    }
    server.stop().await;
}

#[tokio::test]
async fn a_request_behind_a_refused_one_in_the_same_bytes_is_read_right() {
    let receiver = Receiver::new(Sender::Stripe).await;
    let good = request("POST", "/hook", &Sender::Stripe.sign(BODY), BODY);
    // The refused body is itself a request that would pass.
    for body in [Vec::new(), good.clone(), good.repeat(1000)] {
        let before = receiver.runs();
        let mut raw = receiver.server.connect().await;

        raw.send(&[request("POST", "/hook", &[], &body), good.clone()].concat()).await;

        assert_eq!(raw.answer().await.map(|answer| answer.status), Some(401));
        assert_eq!(raw.answer().await.map(|answer| answer.status), Some(200));
        assert_eq!(receiver.runs(), before + 1);
    }
    receiver.finish().await;
}

#[tokio::test]
async fn a_client_that_waits_for_the_answer_has_it_at_once_and_what_it_sends_then_is_dropped() {
    let receiver = Receiver::new(Sender::Stripe).await;
    let good = request("POST", "/hook", &Sender::Stripe.sign(BODY), BODY);
    for size in [1000, LARGE] {
        let before = receiver.runs();
        let mut raw = receiver.server.connect().await;
        raw.send(&head("POST", "/hook", &[line("content-length", size.to_string())])).await;
        assert_eq!(raw.answer().await.map(|answer| answer.status), Some(401));

        // A body that is a request, cut up, with pauses.
        let mut body = good.clone();
        body.resize(size, b'x');
        for part in body.chunks(size / 2) {
            sleep(Duration::from_millis(100)).await;
            raw.send(part).await;
        }
        raw.send(&good).await;

        assert_eq!(raw.answer().await.map(|answer| answer.status), Some(200), "one answer for each request");
        assert_eq!(receiver.runs(), before + 1);
    }
    receiver.finish().await;
}

#[tokio::test]
async fn a_client_that_asks_first_is_refused_at_once_whatever_for_and_never_told_to_go_on() {
    let receiver = Receiver::new(Sender::Stripe).await;
    for (cause, status, method, headers) in causes() {
        let large = LARGE.to_string();
        let headers = with(headers, &[("content-length", &large), ("expect", "100-Continue")]);
        let mut raw = receiver.server.connect().await;

        raw.send(&head(method, "/hook", &headers)).await;

        assert_eq!(raw.answer().await.map(|answer| answer.status), Some(status), "{cause}");
        assert!(raw.is_closed().await, "{cause}: the body that was announced would be the next request");
    }
    receiver.finish().await;
}

#[tokio::test]
async fn a_sender_that_stalls_or_goes_away_is_not_waited_for() {
    let receiver = Receiver::new(Sender::Stripe).await;
    let begin = [head("POST", "/hook", &[line("content-length", LARGE.to_string())]), vec![b'x'; 100_000]].concat();

    let mut stalling = receiver.server.connect().await;
    let start = Instant::now();
    stalling.send(&begin).await;
    assert_eq!(stalling.answer().await.map(|answer| answer.status), Some(401));
    assert!(start.elapsed() < LATE, "the deadline of the body is an hour");
    assert!(stalling.is_closed().await, "it has been silent for long enough");

    let mut finished = receiver.server.connect().await;
    finished.send(&begin).await;
    finished.finish().await;
    assert_eq!(finished.answer().await.map(|answer| answer.status), Some(401));
    assert!(finished.is_closed().await);

    let mut gone = receiver.server.connect().await;
    gone.send(&begin).await;
    gone.reset();
    receiver.finish().await;
}

#[tokio::test]
async fn a_body_that_drips_is_read_until_the_deadline_and_no_longer() {
    let layer = Sender::Stripe.layer().with_body_timeout(Duration::from_millis(600));
    let receiver = Receiver::behind(Sender::Stripe, layer).await;
    for headers in [Vec::new(), Sender::Stripe.sign(BODY)] {
        let status = if headers.is_empty() { 401 } else { 408 };
        let mut raw = receiver.server.connect().await;
        raw.send(&head("POST", "/hook", &with(headers, &[("content-length", "100000")]))).await;

        let start = Instant::now();
        let mut answered = false;
        while !answered && start.elapsed() < LATE {
            raw.send(b"x").await;
            answered = tokio::time::timeout(Duration::from_millis(10), raw.readable()).await.is_ok();
        }

        assert!(answered, "{status}: while it drips");
        assert_eq!(raw.answer().await.map(|answer| answer.status), Some(status));
        assert!(raw.is_closed().await);
    }
    receiver.finish().await;
}

// No bound of bytes ends it, and it is never waited for.
#[tokio::test]
async fn a_refused_body_of_empty_frames_without_end_is_read_until_the_deadline() {
    struct Empty;
    impl Body for Empty {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            Poll::Ready(Some(Ok(Frame::data(Bytes::new()))))
        }
    }
    let layer = Sender::Stripe.layer().with_body_timeout(Duration::from_millis(100));
    let router: Router = Router::new().route("/hook", any(async || "").layer(layer));

    let request = serve::request_h2("POST", "/hook", &[], b"").map(|_| Empty);
    let response = soon("an answer", serve::oneshot(&router, request)).await;

    assert_eq!(response.status(), 401);
}

#[tokio::test]
async fn a_body_without_end_is_cut_off() {
    let receiver = Receiver::new(Sender::Stripe).await;
    let mut raw = receiver.server.connect().await;
    raw.send(&head("POST", "/hook", &[line("transfer-encoding", "chunked")])).await;
    let chunk = [b"100000\r\n".as_slice(), &vec![b'x'; 1 << 20], b"\r\n"].concat();

    // Far more than is read. That the connection has ended shows in that nothing more can be written.
    let mut sent = 0;
    while sent < 1000 && raw.try_send(&chunk).await {
        sent += 1;
    }

    assert!((32..200).contains(&sent), "{sent} MiB");
    receiver.finish().await;
}

#[tokio::test]
async fn a_body_that_says_that_it_is_larger_than_is_read_is_answered_at_once() {
    let receiver = Receiver::new(Sender::Stripe).await;
    let mut raw = receiver.server.connect().await;
    raw.send(&head("POST", "/hook", &[line("content-length", (1_u64 << 40).to_string())])).await;
    raw.send(&vec![b'x'; 100_000]).await;

    // Not once the sender is silent: it never is.
    let start = Instant::now();
    let mut answered = false;
    while !answered && start.elapsed() < LATE {
        raw.send(b"x").await;
        answered = tokio::time::timeout(Duration::from_millis(10), raw.readable()).await.is_ok();
    }
    assert!(answered);
    assert_eq!(raw.answer().await.map(|answer| answer.status), Some(401));
    assert!(raw.is_closed().await);
    receiver.finish().await;
}

#[tokio::test]
async fn secrets_that_cannot_be_had_are_503_for_a_large_body_too() {
    let failing = |_: RequestHead| async { Err::<Secrets, BoxError>("the database is down".into()) };
    let panicking = |head: RequestHead| async move {
        assert!(head.path_param("tenant").is_some(), "on purpose");
        Err::<Secrets, BoxError>("there is none".into())
    };
    let layer = |source: WebhookLayer| source.with_clock(ManualClock::at_unix_seconds(sign::NOW));
    let layers = [
        (503, layer(WebhookLayer::new(Provider::GITHUB, failing))),
        (500, layer(WebhookLayer::new(Provider::GITHUB, panicking))),
    ];
    for (status, layer) in layers {
        let router = Router::new().route("/hook", any(async || "").layer(layer));
        let server = Server::start(router).await;
        let mut raw = server.connect().await;
        let headers = Sender::GitHub.sign(BODY);

        // Within the limit of GitHub's bodies, and sent to its end before the answer is read; and twice on one connection.
        for _ in 0..2 {
            raw.send(&request("POST", "/hook", &headers, &vec![b'x'; LARGE])).await;
            let answer = raw.answer().await.expect("there is an answer");
            assert!(answer.status == status || answer.status == 503, "{answer:?}");
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn over_http_2_too_the_answer_comes_and_the_connection_goes_on() {
    let receiver = Receiver::new(Sender::Stripe).await;
    let mut client = receiver.server.h2::<Full<Bytes>>().await;
    for (cause, status, method, headers) in causes() {
        let large = serve::request_h2(method, "http://hooks.test/hook", &headers, &vec![b'x'; LARGE]);
        let answer = soon("an answer", client.send_request(large)).await.unwrap();
        assert_eq!(answer.status(), status, "{cause}");
        drop(answer);

        let good = serve::request_h2("POST", "http://hooks.test/hook", &Sender::Stripe.sign(BODY), BODY);
        let answer = soon("an answer", async {
            client.ready().await.unwrap();
            client.send_request(good).await.unwrap()
        })
        .await;
        assert_eq!(answer.status(), 200, "{cause}");
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), BODY);
    }
    receiver.finish().await;
}

#[tokio::test]
async fn over_http_2_a_client_that_waits_has_its_answer_and_may_stop() {
    let receiver = Receiver::new(Sender::Stripe).await;
    let mut client = receiver.server.h2().await;
    let (frames, queue) = mpsc::channel::<Bytes>(1);

    let response =
        soon("an answer", client.send_request(Request::post("http://hooks.test/hook").body(Queue(queue)).unwrap()))
            .await
            .unwrap();

    assert_eq!(response.status(), 401);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), REFUSAL);
    // The server has said that it wants no more: the stream ends, whatever is still put into it.
    soon("the stream's end", async { while frames.send(Bytes::from_static(b"x")).await.is_ok() {} }).await;
    receiver.finish().await;
}

struct Queue(mpsc::Receiver<Bytes>);

impl Body for Queue {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(cx).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_large_refused_bodies_loses_no_answer_and_no_true_delivery() {
    let receiver = Receiver::new(Sender::Stripe).await;
    let bad = Bytes::from(request("POST", "/hook", &[], &vec![b'x'; LARGE]));
    let mut flood = tokio::task::JoinSet::new();
    for _ in 0..if long() { 200 } else { 20 } {
        let (mut raw, bad) = (receiver.server.connect().await, bad.clone());
        flood.spawn(async move {
            for _ in 0..3 {
                raw.send(&bad).await;
                assert_eq!(raw.answer().await.map(|answer| answer.status), Some(401));
            }
        });
    }

    let mut delivered = 0;
    while !flood.is_empty() {
        receiver.accepts(&Sender::Stripe.sign(BODY), BODY).await;
        delivered += 1;
        while let Some(ended) = flood.try_join_next() {
            ended.expect("each answer came");
        }
    }

    assert!(delivered > 0);
    receiver.finish().await;
}

// Clients that send all of a body before they look for an answer.
#[tokio::test]
async fn the_clients_of_node_and_python_read_the_answer_to_a_large_body() {
    const NODE: &str = "const request = require('http').request(process.argv[1], { method: 'POST' }, response => {
          console.log(response.statusCode); response.resume();
        });
        request.on('error', error => { console.log(error.code); process.exit(0); });
        request.end(Buffer.alloc(6 * 1024 * 1024, 'x'));";
    const PYTHON: &str = "import http.client, sys, urllib.parse
url = urllib.parse.urlsplit(sys.argv[1])
connection = http.client.HTTPConnection(url.netloc)
try:
    connection.request('POST', url.path, b'x' * (6 * 1024 * 1024))
    print(connection.getresponse().status)
except OSError as error:
    print(error)";
    let node = binary("node", &[], "apt-get install nodejs");
    let python = binary("python3", &[], "apt-get install python3");
    let receiver = Receiver::new(Sender::Stripe).await;
    let url = format!("http://{}/hook", receiver.server.address);

    for _ in 0..if long() { 50 } else { 3 } {
        for (program, flag, script) in [(&node, "-e", NODE), (&python, "-c", PYTHON)] {
            let output = Command::new(program).args([flag, script, &url]).output();
            let output = tokio::time::timeout(Duration::from_secs(60), output).await.expect("it ends").unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "401", "{program:?}: {output:?}");
        }
    }
    receiver.finish().await;
}

// Without a socket: each frame is dropped before the next one is requested.
#[tokio::test]
async fn what_is_read_of_a_refused_body_takes_no_memory() {
    let layer = Sender::Stripe.layer().with_body_timeout(NEVER);
    let router: Router = Router::new().route("/hook", any(async || "").layer(layer));
    let refuse = |frames: usize| {
        let request = serve::request_h2("POST", "/hook", &[], b"").map(|_| Frames(frames));
        let router = router.clone();
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let mut status = 0;
            let counted = allocation_counter::measure(|| {
                status = runtime.block_on(serve::oneshot(&router, request)).status().as_u16();
            });
            (status, counted.bytes_max)
        }
    };
    let small = std::thread::spawn(refuse(1)).join().unwrap();
    let large = std::thread::spawn(refuse(200)).join().unwrap();

    assert_eq!((small.0, large.0), (401, 401));
    assert!(large.1 < small.1 + (1 << 16), "{} bytes at once, and {} for one frame", large.1, small.1);
}

/// A number of frames of 64 KiB, each of its own memory.
struct Frames(usize);

impl Body for Frames {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.0 == 0 {
            return Poll::Ready(None);
        }
        self.0 -= 1;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(vec![b'x'; 1 << 16])))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact((self.0 as u64) << 16)
    }
}

// The clock is paused and moves only when the test waits.
#[tokio::test(start_paused = true)]
async fn a_body_that_never_comes_does_not_hold_the_answer() {
    struct Silent;
    impl Body for Silent {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            Poll::Pending
        }
    }
    let router: Router = Router::new().route("/hook", any(async || "").layer(Sender::Stripe.layer()));
    let start = Instant::now();

    let response: Response<axum::body::Body> =
        serve::oneshot(&router, serve::request_h2("POST", "/hook", &[], b"").map(|_| Silent)).await;

    assert_eq!(response.status(), 401);
    assert!(start.elapsed() < Duration::from_millis(50), "{:?}", start.elapsed());
}

#[cfg(feature = "dashboard")]
#[tokio::test]
async fn the_dashboard_too_answers_a_large_body_that_it_does_not_want() {
    use tower_webhooks::{api::Access, dashboard, send::Dispatcher, store::MemoryOutbox};

    let webhooks = Dispatcher::builder(MemoryOutbox::new()).with_insecure_plain_secrets().build().unwrap();
    let authorize = async |head: http::request::Parts| match head.headers.get("cookie") {
        Some(_) => Ok(Access::operator()),
        None => Err(http::StatusCode::UNAUTHORIZED),
    };
    let server = Server::start(Router::new().nest("/webhooks", dashboard::router(webhooks, authorize))).await;
    let operator = || vec![line("cookie", "operator"), line("sec-fetch-site", "same-origin")];
    let nobody = "/webhooks/endpoints/ep_0/recover";
    for (headers, path, status) in [
        (Vec::new(), nobody, 401),
        (vec![line("cookie", "operator"), line("sec-fetch-site", "cross-site")], nobody, 403),
        (operator(), nobody, 413),
        (operator(), "/webhooks/endpoints/ep_0/disable", 404),
        (operator(), "/webhooks/nothing", 404),
        (operator(), "/webhooks/endpoints", 405),
        (operator(), "/webhooks/assets/nothing", 404),
    ] {
        let mut raw = server.connect().await;
        for _ in 0..2 {
            raw.send(&request("POST", path, &headers, &vec![b'x'; LARGE])).await;
            assert_eq!(raw.answer().await.map(|answer| answer.status), Some(status), "{path}");
        }
    }
    server.stop().await;
}

#[cfg(feature = "api")]
#[tokio::test]
async fn the_management_api_too_answers_a_large_body_that_it_does_not_want() {
    use tower_webhooks::{
        api::{self, Access},
        send::Dispatcher,
        store::MemoryOutbox,
    };

    let webhooks = Dispatcher::builder(MemoryOutbox::new()).with_insecure_plain_secrets().build().unwrap();
    let authorize = async |head: http::request::Parts| match head.headers.get("authorization") {
        Some(_) => Ok(Access::owner("acme")),
        None => Err(http::StatusCode::UNAUTHORIZED),
    };
    let server = Server::start(Router::new().nest("/webhooks", api::router(webhooks, authorize))).await;
    let key = || vec![line("authorization", "Bearer acme"), line("content-type", "application/json")];
    let path = "/webhooks/endpoints";
    for (headers, path, status) in [
        (Vec::new(), path, 401),
        (vec![line("authorization", "Bearer acme")], path, 415),
        (key(), path, 413),
        (key(), "/webhooks/nothing", 404),
        (key(), "/webhooks/endpoints/x/nothing", 404),
        (key(), "/webhooks/openapi.json", 405),
        (with(key(), &[("sec-fetch-site", "cross-site")]), path, 403),
    ] {
        let mut raw = server.connect().await;
        for _ in 0..2 {
            raw.send(&request("POST", path, &headers, &vec![b'x'; LARGE])).await;
            assert_eq!(raw.answer().await.map(|answer| answer.status), Some(status), "{path}");
        }
    }

    // A client that waits for the answer has it at once.
    let mut raw = server.connect().await;
    raw.send(&head("POST", path, &[line("content-length", LARGE.to_string())])).await;
    let begun = Instant::now();
    assert_eq!(raw.answer().await.map(|answer| answer.status), Some(401));
    assert!(begun.elapsed() < LATE / 2);
    server.stop().await;
}
