//! The cost of a rejection from the head: at most that of hashing the bytes sent, so that no header is worth sending to
//! keep a server busy. Times are only compared with each other, in one run. With `TOWER_WEBHOOKS_LONG=1` headers are as
//! long as hyper takes them.

use std::{
    hint::black_box,
    pin::pin,
    sync::LazyLock,
    task::{Context, Poll, Waker},
    time::Duration,
};

use axum::{Router, body::Body, http::Request, routing::post};
use proptest::{prelude::*, test_runner::Config};
use tokio::time::Instant;
use tower::ServiceExt;
use tower_webhooks::Provider;

use crate::support::senders;

const BODY: &str = r#"{"webhookTimestamp":1800000000000,"id":"evt_1","type":"t","data":{"n":1}}"#;

/// Where each provider's deliveries are received.
static RECEIVERS: LazyLock<Vec<(Provider, Router)>> = LazyLock::new(|| {
    let in_headers = Provider::ALL.iter().copied().filter(|provider| senders::is_in_headers(*provider));
    in_headers
        .map(|provider| (provider, Router::new().route("/in", post(async || {}).layer(senders::layer(provider)))))
        .collect()
});

/// A header that is too long, as a stranger may write it.
#[derive(Debug, Clone)]
struct Attack {
    receiver: usize,
    /// Which of the headers that prove a delivery, or its id, is the long one.
    header: usize,
    /// Whether the long one begins as the true one does.
    begins_well: bool,
    pattern: String,
}

impl Attack {
    /// A request with a header of such a length, or the true one.
    fn request(&self, length: Option<usize>) -> Request<Body> {
        let (provider, _) = &RECEIVERS[self.receiver];
        let mut headers = senders::signature(*provider, BODY);
        let index = self.header % headers.len();
        if let Some(length) = length {
            let long: String = self.pattern.chars().cycle().take(length).collect();
            headers[index].1 = if self.begins_well { headers[index].1.clone() + &long } else { long };
        }
        let mut request = Request::post(senders::PATH);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        request.body(Body::from(BODY)).unwrap()
    }

    /// How long the answer takes, of several tries the shortest.
    fn cost(&self, length: Option<usize>) -> Duration {
        let (_, receiver) = &RECEIVERS[self.receiver];
        let once = |_| {
            let request = self.request(length);
            let receiver = receiver.clone();
            let begun = Instant::now();
            let mut answer = pin!(receiver.oneshot(request));
            let Poll::Ready(Ok(answer)) = answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
                panic!("nothing is there to wait for");
            };
            let took = begun.elapsed();
            black_box(answer);
            took
        };
        (0..3).map(once).min().unwrap()
    }
}

/// How long it takes to hash as much, of several tries the shortest.
fn hashing(length: usize) -> Duration {
    let text = "x".repeat(length);
    let once = |_| {
        let begun = Instant::now();
        black_box(senders::hmac(b"a key", &text));
        begun.elapsed()
    };
    (0..3).map(once).min().unwrap()
}

fn attack() -> impl Strategy<Value = Attack> {
    (0..RECEIVERS.len(), 0..4_usize, any::<bool>(), "[-.,:;= 01v1tsA+/]{1,6}")
        .prop_map(|(receiver, header, begins_well, pattern)| Attack { receiver, header, begins_well, pattern })
}

fn longest() -> usize {
    if is_long() { 380_000 } else { 48_000 }
}

fn cases() -> u32 {
    if is_long() { 2_000 } else { 400 }
}

fn is_long() -> bool {
    std::env::var_os("TOWER_WEBHOOKS_LONG").is_some_and(|value| value == "1")
}

proptest! {
    #![proptest_config(Config { cases: cases(), failure_persistence: None, ..Config::default() })]

    #[test]
    fn a_rejection_from_the_head_costs_no_more_than_hashing_it(attack in attack()) {
        // Up to 4 KiB a header is looked into, which is a part of what a true delivery may cost.
        for length in [longest() / 4, longest() / 2, longest()] {
            // A machine that is busy elsewhere makes some times long, and never all of them. What a true delivery costs is what any
            // request may cost, whatever its length.
            let is_cheap = |_| attack.cost(Some(length)) <= attack.cost(None) + hashing(length);
            prop_assert!((0..10).any(is_cheap), "{} bytes for {}", length, RECEIVERS[attack.receiver].0);
        }
    }
}
