//! Counts the allocations of requests and of rejections. Counts are exact, so they belong in the gate; times do not,
//! and are in `benches/receive`.

use std::{
    convert::Infallible,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use axum::{Router, body::Body, routing::post};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{Method, Request, Response, StatusCode, header};
use http_body::{Frame, SizeHint};
use sha2::Sha256;
use tower::{ServiceExt, layer::util::Identity};
use tower_webhooks::{Secret, VerifiedBody, WebhookLayer, clock::ManualClock};

const NOW: u64 = 1_753_900_000;
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[test]
fn verification_costs_at_most_three_allocations_more_than_taking_the_bytes() {
    let bare = Router::new().route("/hook", post(async |_: Bytes| {}).layer(Identity::new())).with_state(());
    let verified = Router::new().route("/hook", post(async |_: VerifiedBody| {}).layer(layer())).with_state(());
    let body = Bytes::from(vec![b'x'; 1024]);
    let signature = sign(&body, NOW);

    let bare = allocations(&bare, || request(&signature, Body::from(body.clone())));
    let verified = allocations(&verified, || request(&signature, Body::from(body.clone())));

    assert!(verified <= bare + 3, "{verified} allocations, and {bare} without verification");
}

#[test]
fn a_single_frame_is_given_to_the_handler_without_a_copy() {
    let app = Router::new().route("/hook", post(async |body: VerifiedBody| body.into_bytes()).layer(layer()));
    let body = Bytes::from(vec![b'x'; 1024]);

    let response = answer(&app, request(&sign(&body, NOW), Body::from(body.clone())));

    let echoed = frame_of(response);
    assert_eq!(echoed.as_ptr(), body.as_ptr());
}

#[test]
fn what_the_head_condemns_is_refused_without_keeping_its_body() {
    let app = Router::new().route("/hook", post(async |_: VerifiedBody| {}).layer(layer()));
    let body = vec![b'x'; 1024];
    let (fresh, stale) = (sign(&body, NOW), sign(&body, NOW - 3600));
    let twice = format!("{fresh},t={NOW}");

    let edits: [(&str, Edit<'_>); 8] = [
        ("unsigned", &|request| drop(request.headers_mut().remove("stripe-signature"))),
        ("stale", &|request| set(request, "stripe-signature", &stale)),
        ("malformed", &|request| set(request, "stripe-signature", "v1=no signature")),
        ("ambiguous", &|request| set(request, "stripe-signature", &twice)),
        ("wrong method", &|request| *request.method_mut() = Method::PUT),
        ("declared too large", &|request| set(request, "content-length", "1048577")),
        ("encoded", &|request| set(request, "content-encoding", "gzip")),
        ("asks first", &|request| {
            request.headers_mut().remove("stripe-signature");
            set(request, "expect", "100-continue");
        }),
    ];
    for (case, edit) in edits {
        let seen = Arc::new(Seen::default());
        let mut request = request(&fresh, Body::new(Dropped { seen: Arc::clone(&seen), left: 200 }));
        edit(&mut request);

        let response = answer(&app, request);

        assert!(response.status().is_client_error(), "{case}: {}", response.status());
        assert!(seen.most.load(Ordering::Relaxed) <= 1, "{case}: more than one frame was there at a time");
        let polled = seen.made.load(Ordering::Relaxed);
        assert_eq!(
            polled,
            if case == "asks first" { 0 } else { 200 },
            "{case}: the rest is read, unless it is not sent"
        );
    }
}

/// A change to a good request.
type Edit<'a> = &'a dyn Fn(&mut Request<Body>);

/// The fewest allocations of several requests: the first may fill something that stays.
fn allocations(app: &Router, request: impl Fn() -> Request<Body>) -> u64 {
    let count = |_| {
        let mut request = Some(request());
        let counted = allocation_counter::measure(|| {
            let response = answer(app, request.take().expect("it is answered once"));
            assert_eq!(response.status(), StatusCode::OK);
        });
        counted.count_total
    };
    (0..5).map(count).min().expect("there are five")
}

/// Answers a request whose body has arrived completely.
fn answer(app: &Router, request: Request<Body>) -> Response<Body> {
    let mut future = pin!(app.clone().oneshot(request));
    let Poll::Ready(Ok(response)) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("nothing is there to wait for");
    };
    response
}

fn frame_of(response: Response<Body>) -> Bytes {
    let mut body = pin!(response.into_body());
    let Poll::Ready(Some(Ok(frame))) =
        http_body::Body::poll_frame(body.as_mut(), &mut Context::from_waker(Waker::noop()))
    else {
        panic!("the answer has a body");
    };
    frame.into_data().expect("the frame is data")
}

fn layer() -> WebhookLayer {
    WebhookLayer::stripe(Secret::new(SECRET).unwrap()).with_clock(ManualClock::at_unix_seconds(NOW))
}

fn sign(body: &[u8], at: u64) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(format!("{at}.").as_bytes());
    mac.update(body);
    format!("t={at},v1={}", data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes()))
}

fn request(signature: &str, body: Body) -> Request<Body> {
    Request::post("/hook")
        .header(header::CONTENT_LENGTH, 1024)
        .header(header::CONTENT_TYPE, "application/json")
        .header("stripe-signature", signature)
        .body(body)
        .unwrap()
}

fn set(request: &mut Request<Body>, name: &'static str, value: &str) {
    request.headers_mut().insert(name, value.parse().unwrap());
}

/// How many frames a body has made, how many of them are there, and how many were there at a time.
#[derive(Default)]
struct Seen {
    made: AtomicUsize,
    there: AtomicUsize,
    most: AtomicUsize,
}

/// A body of frames that are counted while they are there.
struct Dropped {
    seen: Arc<Seen>,
    left: usize,
}

struct Counted(Arc<Seen>);

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        b"xy"
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.there.fetch_sub(1, Ordering::Relaxed);
    }
}

impl http_body::Body for Dropped {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left -= 1;
        self.seen.made.fetch_add(1, Ordering::Relaxed);
        let there = self.seen.there.fetch_add(1, Ordering::Relaxed) + 1;
        self.seen.most.fetch_max(there, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_owner(Counted(Arc::clone(&self.seen)))))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(400)
    }
}
