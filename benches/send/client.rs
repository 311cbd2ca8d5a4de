//! Compares the CPU time of the client for one attempt with that of hyper-util's client and an HMAC by hand.

use std::{hint::black_box, time::Duration};

use bytes::Bytes;
use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use http::{Request, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use sha2::Sha256;
use tokio::runtime::{Builder, Runtime};
use tower_webhooks::{
    Secret,
    clock::{Clock, SystemClock},
    send::{AttemptRequest, DestinationPolicy, EndpointUrl, GuardedClient, Message, Signer, Style, Transport},
};

use crate::{
    Receiver, cpu,
    table::{Ratio, Table, rounds_of},
};

pub(crate) fn rows(table: &mut Table, is_quick: bool) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let receiver = Receiver::start(1);
    let (rounds, batch) = if is_quick { (1, 10) } else { (100, 300) };
    for (size, label) in [(1024, "1 KiB"), (64 * 1024, "64 KiB")] {
        let payload = Message::new("order.completed", &"x".repeat(size - 120)).unwrap();
        let (ours, bare) = (Ours::new(&receiver, payload.clone()), Bare::new(&receiver, &payload));
        let ratio = cpu_ratio(&runtime, rounds, batch, &ours, &bare);
        let reach = (size == 1024).then_some(1.10);
        table.row(&format!("CPU of the client / hyper-util and an HMAC by hand, {label}"), ratio, reach);

        let allocations = |contestant: &dyn Contestant| {
            let counted = allocations(&runtime, 100, contestant);
            format!("{:.1} of {:.1} KiB", counted.0, counted.1 / 1024.0)
        };
        table.note(format!(
            "allocations of one attempt, {label}: {}; by hand {}",
            allocations(&ours),
            allocations(&bare)
        ));
        let time = |contestant: &dyn Contestant| {
            let time = cpu_time(&runtime, 10 * batch, contestant);
            time.as_secs_f64() * 1e6 / (10 * batch) as f64
        };
        table.note(format!("CPU of one attempt, {label}: {:.1} us; by hand {:.1} us", time(&ours), time(&bare)));
    }
}

fn cpu_ratio(runtime: &Runtime, rounds: usize, batch: usize, ours: &Ours, bare: &Bare) -> Ratio {
    let mut ours = || cpu_time(runtime, batch, ours);
    let mut bare = || cpu_time(runtime, batch, bare);
    rounds_of(rounds, &mut [&mut ours, &mut bare])
}

/// The CPU time of some attempts, one after the other. Both clients' tasks run on this thread, and nothing else does.
fn cpu_time(runtime: &Runtime, batch: usize, contestant: &dyn Contestant) -> Duration {
    let before = cpu::of_this_thread();
    contestant.attempts(runtime, batch);
    cpu::of_this_thread() - before
}

/// How many allocations an attempt makes, and of how many bytes.
fn allocations(runtime: &Runtime, attempts: usize, contestant: &(impl Contestant + ?Sized)) -> (f64, f64) {
    // Connections and buffers are there by then.
    contestant.attempts(runtime, attempts);
    let mut counted = None;
    // A thread that has opted out counts nothing.
    std::thread::scope(|scope| {
        let run = || allocation_counter::measure(|| contestant.attempts(runtime, attempts));
        counted = Some(scope.spawn(run).join().expect("what is counted does not panic"));
    });
    let counted = counted.unwrap();
    (counted.count_total as f64 / attempts as f64, counted.bytes_total as f64 / attempts as f64)
}

trait Contestant: Sync {
    fn attempts(&self, runtime: &Runtime, count: usize);
}

struct Ours {
    client: GuardedClient,
    url: EndpointUrl,
    signer: Signer,
    message: Message,
    body: Bytes,
}

impl Ours {
    fn new(receiver: &Receiver, message: Message) -> Self {
        let policy = DestinationPolicy::default()
            .allow_network("127.0.0.0/8".parse().unwrap())
            .allow_ports(1024..=65535)
            .insecure_plain_http();
        let signer = Signer::standard_webhooks(Secret::new(SECRET).unwrap()).unwrap();
        Self {
            url: policy.endpoint(&receiver.url(0)).unwrap(),
            client: GuardedClient::builder().policy(policy).build().unwrap(),
            body: message.body(signer.style(), SystemClock.now()),
            signer,
            message,
        }
    }
}

impl Contestant for Ours {
    fn attempts(&self, runtime: &Runtime, count: usize) {
        runtime.block_on(async {
            for _ in 0..count {
                let headers = self.signer.headers(&self.message, SystemClock.now(), &self.body);
                let request = AttemptRequest::new(self.url.clone(), headers, self.body.clone());
                let result = self.client.send(request).await;
                assert!(result.status().is_some_and(|status| status.is_success()), "{result:?}");
                black_box(result);
            }
        });
    }
}

/// The sender by hand: hyper-util's pooling client, the key set up once, without a deadline or limits.
struct Bare {
    client: Client<HttpConnector, Full<Bytes>>,
    uri: Uri,
    key: Hmac<Sha256>,
    id: String,
    body: Bytes,
}

impl Bare {
    fn new(receiver: &Receiver, message: &Message) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let key = BASE64.decode(SECRET.strip_prefix("whsec_").unwrap().as_bytes()).unwrap();
        Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            uri: receiver.url(0).parse().unwrap(),
            key: Hmac::new_from_slice(&key).unwrap(),
            id: message.message_id().to_string(),
            body: message.body(Style::StandardWebhooks, SystemClock.now()),
        }
    }
}

impl Contestant for Bare {
    fn attempts(&self, runtime: &Runtime, count: usize) {
        runtime.block_on(async {
            for _ in 0..count {
                let since = SystemClock.now().duration_since(std::time::UNIX_EPOCH).unwrap();
                let seconds = since.as_secs().to_string();
                let mut mac = self.key.clone();
                mac.update(self.id.as_bytes());
                mac.update(b".");
                mac.update(seconds.as_bytes());
                mac.update(b".");
                mac.update(&self.body);
                let signature = format!("v1,{}", BASE64.encode(&mac.finalize().into_bytes()));
                let request = Request::post(self.uri.clone())
                    .header(header::CONTENT_TYPE, "application/json")
                    .header(header::USER_AGENT, "by-hand/1.0")
                    .header("webhook-id", &self.id)
                    .header("webhook-timestamp", seconds)
                    .header("webhook-signature", signature)
                    .body(Full::new(self.body.clone()))
                    .unwrap();
                let response = self.client.request(request).await.unwrap();
                assert!(response.status().is_success());
                black_box(response.into_body().collect().await.unwrap().to_bytes());
            }
        });
    }
}

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
