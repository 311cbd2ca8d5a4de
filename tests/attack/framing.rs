//! Malformed framing, slow and broken connections, and many of them, over real sockets.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, routing::post};
use bytes::Bytes;
use http::Request;
use http_body::{Body, Frame};
use serve::{REFUSAL, Receiver, Server, head, long, request, soon};
use sign::{Line, Sender, line};
use tokio::{sync::mpsc, task::JoinSet};

use crate::support::{serve, sign};

const BODY: &[u8] = br#"{"id":"evt_1","type":"invoice.paid","data":{"object":{}}}"#;

fn with(mut headers: Vec<Line>, more: &[(&str, &str)]) -> Vec<Line> {
    headers.extend(more.iter().map(|(name, value)| line(name, *value)));
    headers
}

// Two parties that read different lengths see different requests: what hides in the body must not be answered.
#[tokio::test]
async fn a_request_hidden_in_a_body_with_two_framings_never_reaches_the_handler() {
    for sender in Sender::ALL {
        let receiver = Receiver::new(sender).await;
        let hidden = request("POST", "/hook", &sender.headers("x", "1", "junk"), b"{}");
        let body = [b"0\r\n\r\n".as_slice(), &hidden].concat();
        let length = body.len().to_string();
        for framings in [
            [("content-length", length.as_str()), ("transfer-encoding", "chunked")],
            [("transfer-encoding", "chunked"), ("content-length", length.as_str())],
        ] {
            let mut raw = receiver.server.connect().await;
            raw.send(&[head("POST", "/hook", &with(sender.sign(BODY), &framings)), body.clone()].concat()).await;
            raw.finish().await;

            // However many answers there are, each is a refusal.
            let mut answers = 0;
            while let Some(answer) = raw.answer().await {
                assert!([400, 401].contains(&answer.status), "{sender:?}: {answer:?}");
                answers += 1;
            }
            assert!(answers >= 1, "{sender:?}: the first request is answered");
        }

        assert_eq!(receiver.runs(), 0, "{sender:?}");
        receiver.finish().await;
    }
}

// Lengths that one number parser takes and another does not.
#[tokio::test]
async fn a_length_that_is_none_is_400_and_the_end_of_the_connection() {
    let receiver = Receiver::new(Sender::GitHub).await;
    let lengths: [&[(&str, &str)]; 8] = [
        &[("content-length", "4"), ("content-length", "5")],
        &[("content-length", "4, 5")],
        &[("content-length", "-1")],
        &[("content-length", "+5")],
        &[("content-length", "0x5")],
        &[("content-length", "5 5")],
        &[("content-length", "99999999999999999999999")],
        &[("transfer-encoding", "identity")],
    ];
    for length in lengths {
        let mut raw = receiver.server.connect().await;
        raw.send(&head("POST", "/hook", &with(Sender::GitHub.sign(BODY), length))).await;
        raw.send(BODY).await;

        let answer = raw.answer().await;

        assert!(answer.as_ref().is_none_or(|answer| (400..500).contains(&answer.status)), "{length:?}: {answer:?}");
        assert!(raw.is_closed().await, "{length:?}");
    }
    assert_eq!(receiver.runs(), 0);
    receiver.finish().await;
}

// Chunk sizes that overflow, that are none, and extensions without end.
#[tokio::test]
async fn a_chunk_of_no_size_is_400_and_the_end_of_the_connection() {
    let extension = format!("1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(200 * 1024));
    let chunks = [
        "FFFFFFFFFFFFFFFFF\r\nx",
        "-1\r\nx\r\n",
        "xyz\r\nx\r\n",
        "\r\n\r\n",
        "1\r\nxx\r\n0\r\n\r\n",
        " 1\n\n",
        &extension,
    ];
    for sender in Sender::ALL {
        let receiver = Receiver::new(sender).await;
        for chunk in chunks {
            let mut raw = receiver.server.connect().await;
            raw.send(&head("POST", "/hook", &with(sender.sign(BODY), &[("transfer-encoding", "chunked")]))).await;
            raw.send(chunk.as_bytes()).await;

            let answer = raw.answer().await;

            let shown: String = chunk.chars().take(30).collect();
            assert!(answer.as_ref().is_none_or(|answer| answer.status == 400), "{sender:?} {shown:?}: {answer:?}");
            assert!(raw.is_closed().await, "{sender:?} {shown:?}");
        }
        assert_eq!(receiver.runs(), 0);
        receiver.finish().await;
    }
}

// Heads that no true sender has.
#[tokio::test]
async fn an_enormous_head_is_refused_by_the_server() {
    let receiver = Receiver::new(Sender::GitHub).await;
    let many: Vec<Line> = (0..10_000).map(|index| line(&format!("x-{index}"), "1")).collect();
    let heads = [
        head("POST", "/hook", &with(Sender::GitHub.sign(BODY), &[("x-large", &"x".repeat(1 << 20))])),
        head("POST", "/hook", &many),
        head("POST", &format!("/hook?{}", "x".repeat(100_000)), &Sender::GitHub.sign(BODY)),
    ];
    for bytes in heads {
        let answer = receiver.server.send(&bytes).await;
        assert!(answer.as_ref().is_none_or(|answer| [400, 414, 431].contains(&answer.status)), "{answer:?}");
    }
    assert_eq!(receiver.runs(), 0);
    receiver.finish().await;
}

// The method is not signed by anybody, so that it is checked before the signature.
#[tokio::test]
async fn every_method_but_post_is_405_with_the_list_of_those_that_are_allowed() {
    for sender in Sender::ALL {
        let receiver = Receiver::new(sender).await;
        for method in ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "post", "PÖST"] {
            let mut raw = receiver.server.connect().await;
            raw.send(&request(method, "/hook", &sender.sign(BODY), BODY)).await;
            let answer = if method == "HEAD" { raw.answer_to_head().await } else { raw.answer().await };
            let answer = answer.expect("there is an answer");

            if method == "PÖST" {
                assert_eq!(answer.status, 400);
            } else {
                assert_eq!((answer.status, answer.text()), (405, ""), "{sender:?} {method}");
                assert_eq!(answer.header("allow"), Some("POST"), "{sender:?} {method}");
            }
        }
        assert_eq!(receiver.runs(), 0);
        receiver.finish().await;
    }
}

// Peers that go away, orderly or not, at every stage of a body.
#[tokio::test]
async fn a_peer_that_goes_away_in_mid_body_runs_no_handler() {
    for sender in Sender::ALL {
        let receiver = Receiver::new(sender).await;
        for round in 0..20 {
            let mut raw = receiver.server.connect().await;
            let bytes = request("POST", "/hook", &sender.sign(BODY), BODY);
            raw.send(&bytes[..bytes.len() - 1 - round]).await;
            if round % 2 == 0 {
                raw.reset();
            } else {
                raw.finish().await;
                let answer = raw.answer().await;
                assert!(answer.as_ref().is_none_or(|answer| answer.status == 400), "{sender:?}: {answer:?}");
            }
        }
        assert_eq!(receiver.runs(), 0, "{sender:?}");
        receiver.finish().await;
    }
}

// A sender with `Expect: 100-continue` is told to continue only after the check of the head.
#[tokio::test]
async fn a_client_that_asks_first_is_told_to_go_on_only_when_its_head_has_passed() {
    for sender in Sender::ALL {
        let receiver = Receiver::new(sender).await;
        let length = BODY.len().to_string();
        let asking = |headers| with(headers, &[("content-length", &length), ("expect", "100-continue")]);

        let mut good = receiver.server.connect().await;
        good.send(&head("POST", "/hook", &asking(sender.sign(BODY)))).await;
        assert_eq!(good.answer().await.map(|answer| answer.status), Some(100), "{sender:?}");
        good.send(BODY).await;
        assert_eq!(good.answer().await.map(|answer| answer.status), Some(200), "{sender:?}");

        let mut bad = receiver.server.connect().await;
        bad.send(&head("POST", "/hook", &asking(Vec::new()))).await;
        assert_eq!(bad.answer().await.map(|answer| answer.status), Some(401), "{sender:?}");
        assert!(bad.is_closed().await, "{sender:?}: the body that was announced would be the next request");

        receiver.finish().await;
    }
}

// The rest of a body that was refused before it was read must not be parsed as the next request.
#[tokio::test]
async fn the_unread_body_of_a_refused_request_is_not_the_next_request() {
    for sender in Sender::ALL {
        let receiver = Receiver::new(sender).await;
        // The body is itself a rightly signed request.
        let inner = request("POST", "/hook", &sender.sign(BODY), BODY);

        // All of it at once, and in two parts with the answer between them.
        let mut at_once = receiver.server.connect().await;
        at_once.send(&request("POST", "/hook", &[], &inner)).await;
        at_once.finish().await;
        assert_eq!(at_once.answer().await.map(|answer| answer.status), Some(401), "{sender:?}");
        assert!(at_once.is_closed().await, "{sender:?}");

        let mut in_parts = receiver.server.connect().await;
        in_parts.send(&head("POST", "/hook", &[line("content-length", inner.len().to_string())])).await;
        assert_eq!(in_parts.answer().await.map(|answer| answer.status), Some(401), "{sender:?}");
        in_parts.send(&inner).await;
        assert_eq!(receiver.runs(), 0, "{sender:?}");

        // Whatever comes next on the connection is the next request, and not the body before it.
        in_parts.send(&request("POST", "/hook", &sender.sign(BODY), BODY)).await;
        assert_eq!(in_parts.answer().await.map(|answer| answer.status), Some(200), "{sender:?}");
        in_parts.finish().await;
        assert!(in_parts.is_closed().await, "{sender:?}");
        assert_eq!(receiver.runs(), 1, "{sender:?}");
        receiver.finish().await;
    }
}

// Several requests in one piece: each is decided by itself, in order.
#[tokio::test]
async fn pipelined_requests_are_decided_one_by_one() {
    for sender in Sender::ALL {
        let receiver = Receiver::new(sender).await;
        let good = request("POST", "/hook", &sender.sign(BODY), BODY);
        let bad = request("POST", "/hook", &sender.sign(BODY), &BODY.to_ascii_uppercase());

        let mut raw = receiver.server.connect().await;
        raw.send(&[good.as_slice(), &bad, &good].concat()).await;

        for status in [200, 401, 200] {
            assert_eq!(raw.answer().await.map(|answer| answer.status), Some(status), "{sender:?}");
        }
        assert_eq!(receiver.runs(), 2, "{sender:?}");
        receiver.finish().await;
    }
}

// The server's part: a head that never ends, and a connection that never begins.
#[tokio::test]
async fn a_head_that_is_dripped_or_never_sent_is_cut_by_the_server() {
    let router = Router::new().route("/hook", post(async || "").layer(Sender::GitHub.layer()));
    let server = Server::start_with(router, Duration::from_millis(300)).await;

    for beginning in ["", "P", "POST /ho", "POST /hook HTTP/1.1\r\nhost: x\r\nx-hub-signature-256: sha256="] {
        let mut raw = server.connect().await;
        raw.send(beginning.as_bytes()).await;
        let answer = raw.answer().await;
        assert!(answer.as_ref().is_none_or(|answer| answer.status == 408), "{beginning:?}: {answer:?}");
        assert!(raw.is_closed().await, "{beginning:?}");
    }

    let good = server.send(&request("POST", "/hook", &Sender::GitHub.sign(BODY), BODY)).await;
    assert_eq!(good.map(|answer| answer.status), Some(200));
    server.stop().await;
}

// One byte now and then, forever. The deadline is for the whole body; arriving bytes do not extend it.
#[tokio::test]
async fn a_dripped_body_is_408_and_its_share_of_the_budget_comes_back() {
    for sender in Sender::ALL {
        let set = |layer: tower_webhooks::WebhookLayer| {
            layer.with_body_timeout(Duration::from_millis(300)).with_memory_budget(BODY.len())
        };
        let receiver = Receiver::with(sender, set).await;
        let mut raw = receiver.server.connect().await;
        raw.send(&head("POST", "/hook", &with(sender.sign(BODY), &[("content-length", "1000")]))).await;

        let answer = soon("the deadline", async {
            let mut dripping = receiver.server.connect().await;
            dripping.send(&head("POST", "/hook", &with(sender.sign(BODY), &[("transfer-encoding", "chunked")]))).await;
            tokio::select! {
                answer = dripping.answer() => answer,
                never = drip(&mut raw) => never,
            }
        })
        .await;

        assert_eq!(answer.map(|answer| answer.status), Some(408), "{sender:?}");
        assert_eq!(raw.answer().await.map(|answer| answer.status), Some(408), "{sender:?}");
        assert!(raw.is_closed().await);
        assert_eq!(receiver.runs(), 0);
        receiver.finish().await;
    }
}

async fn drip<T>(raw: &mut serve::Raw) -> T {
    loop {
        raw.send(b"x").await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

// Many connections that each hold a part of a body. The full number only in the long runs.
#[tokio::test]
async fn a_good_request_is_answered_beside_very_many_slow_ones() {
    // Each needs two open files, in a process that also runs other tests.
    let count = if long() { 5_000 } else { 200 };
    let receiver = Receiver::new(Sender::Stripe).await;
    let slow =
        [head("POST", "/hook", &with(Sender::Stripe.sign(BODY), &[("content-length", "1048576")])), vec![b'x'; 1024]]
            .concat();

    let mut held = Vec::new();
    for _ in 0..count {
        let mut raw = receiver.server.connect().await;
        raw.send(&slow).await;
        held.push(raw);
    }
    receiver.accepts(&Sender::Stripe.sign(BODY), BODY).await;

    assert_eq!(receiver.runs(), 1);
    drop(held);
    receiver.finish().await;
}

// Wrong signatures in numbers, on many connections at once.
#[tokio::test]
async fn a_flood_of_wrong_signatures_is_refused_to_the_last() {
    let (connections, each) = if long() { (100, 50) } else { (20, 10) };
    for sender in Sender::ALL {
        let receiver = Receiver::new(sender).await;
        let address = receiver.server.address;
        let bad = request("POST", "/hook", &sender.sign(BODY), b"{}");

        let mut tasks = JoinSet::new();
        for _ in 0..connections {
            let mut raw = receiver.server.connect().await;
            let bad = bad.clone();
            tasks.spawn(async move {
                for _ in 0..each {
                    raw.send(&bad).await;
                    let answer = raw.answer().await.expect("there is an answer");
                    assert_eq!((answer.status, answer.text()), (401, REFUSAL));
                }
            });
        }
        soon("the flood's end", tasks.join_all()).await;

        assert_eq!(receiver.runs(), 0, "{address}");
        receiver.finish().await;
    }
}

// HTTP/2 lets a sender send frames without a byte in them, as many as it likes. None of them counts against the limit, so
// that the deadline must.
#[tokio::test]
async fn frames_without_bytes_do_not_outlast_the_deadline_over_http_2() {
    let set = |layer: tower_webhooks::WebhookLayer| layer.with_body_timeout(Duration::from_millis(300));
    let receiver = Receiver::with(Sender::GitHub, set).await;
    let (frames, queue) = mpsc::channel(16);
    let mut client = receiver.server.h2().await;
    let mut request = Request::post("http://hooks.test/hook");
    for (name, value) in Sender::GitHub.sign(BODY) {
        request = request.header(name, value);
    }

    let response = client.send_request(request.body(Queue(queue)).unwrap());
    let flood = async {
        while frames.send(Ok(Frame::data(Bytes::new()))).await.is_ok() {
            tokio::task::yield_now().await;
        }
        std::future::pending::<()>().await;
    };
    let answer = tokio::select! {
        response = soon("the deadline", response) => response,
        () = flood => unreachable!("the flood does not end"),
    };

    // Or the server has had enough before us, and ends the connection.
    if let Ok(response) = answer {
        assert_eq!(response.status(), 408);
    }
    assert_eq!(receiver.runs(), 0);
    receiver.finish().await;
}

/// A body whose frames come from a queue.
struct Queue(mpsc::Receiver<Result<Frame<Bytes>, std::io::Error>>);

impl Body for Queue {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(cx)
    }
}

// The same without a socket, and with a body that is always there at once: it must neither hold its thread nor live for ever.
#[tokio::test]
async fn a_body_that_is_always_ready_yields_to_others_and_ends_at_the_deadline() {
    let layer = Sender::GitHub.layer().with_body_timeout(Duration::from_millis(200));
    let router: Router = Router::new().route("/hook", post(async || "").layer(layer));
    let request = serve::request_h2("POST", "/hook", &Sender::GitHub.sign(BODY), b"").map(|_| Endless);
    // On the one thread of this runtime: it runs only when the other task lets it.
    let (ran, other) = tokio::sync::oneshot::channel();
    tokio::spawn(async move { ran.send(()) });

    let response = soon("the deadline", serve::oneshot(&router, request)).await;

    assert_eq!(response.status(), 408);
    assert_eq!(other.await, Ok(()));
}

/// A body of frames without bytes that never makes anybody wait.
struct Endless;

impl Body for Endless {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::new()))))
    }
}

// One byte in a frame, up to the limit: many frames are no reason to refuse.
#[tokio::test]
async fn a_body_in_very_many_small_frames_passes() {
    let body = vec![b'x'; 20_000];
    let layer = Sender::GitHub.layer();
    let router: Router = Router::new().route("/hook", post(async |body: Bytes| body.len().to_string()).layer(layer));
    let request = serve::request_h2("POST", "/hook", &Sender::GitHub.sign(&body), b"").map(|_| Crumbs(body.len()));

    let response = soon("the answer", serve::oneshot(&router, request)).await;

    assert_eq!(response.status(), 200);
    assert_eq!(axum::body::to_bytes(response.into_body(), 100).await.unwrap(), "20000");
}

struct Crumbs(usize);

impl Body for Crumbs {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.0 == 0 {
            return Poll::Ready(None);
        }
        self.0 -= 1;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x")))))
    }
}

// Trailers are not signed: they do not disturb the check, and do not reach the handler as verified.
#[tokio::test]
async fn trailers_are_normal_and_change_nothing() {
    for sender in Sender::ALL {
        let receiver = Receiver::new(sender).await;
        let mut bytes =
            head("POST", "/hook", &with(sender.sign(BODY), &[("transfer-encoding", "chunked"), ("trailer", "x-more")]));
        bytes.extend_from_slice(format!("{:x}\r\n", BODY.len()).as_bytes());
        bytes.extend_from_slice(BODY);
        bytes.extend_from_slice(b"\r\n0\r\nx-more: 1\r\nx-hub-signature-256: sha256=00\r\n\r\n");

        let answer = receiver.server.send(&bytes).await.expect("there is an answer");

        assert_eq!((answer.status, answer.body.as_slice()), (200, BODY), "{sender:?}");
        receiver.finish().await;
    }
}

// A declared length that the frames of HTTP/2 do not keep.
#[tokio::test]
async fn an_http_2_body_that_breaks_off_runs_no_handler() {
    let receiver = Receiver::new(Sender::GitHub).await;
    for _ in 0..20 {
        let (frames, queue) = mpsc::channel(1);
        let mut client = receiver.server.h2().await;
        let mut request = Request::post("http://hooks.test/hook");
        for (name, value) in Sender::GitHub.sign(BODY) {
            request = request.header(name, value);
        }
        let response = client.send_request(request.body(Queue(queue)).unwrap());
        let sending = async {
            let _ = frames.send(Ok(Frame::data(Bytes::from_static(&BODY[..BODY.len() - 1])))).await;
            let _ = frames.send(Err(std::io::Error::other("gone"))).await;
        };

        let (response, ()) = soon("the end of the stream", async { tokio::join!(response, sending) }).await;

        assert!(response.map_or(true, |response| response.status() == 400));
    }
    assert_eq!(receiver.runs(), 0);
    receiver.finish().await;
}
