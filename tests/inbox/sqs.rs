//! Amazon SQS, against moto. That SQS drops duplicates is not shown here: moto forgets an id when its message is deleted.

use std::{collections::HashSet, time::Duration};

use aws_sdk_sqs::types::{MessageAttributeValue, QueueAttributeName};
use axum::{Router, http::StatusCode};
use serde_json::json;
use tower_webhooks::{
    Delivery, EventRouter, Scheme, WebhookLayer,
    inbox::SealingKey,
    scheme::Field,
    sink::{HandOff, Sink, SinkWorker, sqs::Sqs},
    store::MemoryStore,
    testing::SignedRequest,
};

use super::{
    durable::{receivers_that_are_killed, serve_app, url_of_child},
    handlers::{ATTEMPTS, HANDLER_TIMEOUT, handlers_do_the_same, retries},
    shop::{End, Running, Shop, events, of_payload, order, secret, send, until},
};
use crate::support::{
    moto_server::{MotoServer, client},
    test_name,
};

/// The largest message that the service takes.
const LARGEST: usize = 1024 * 1024;

/// A queue, and one for its dead letters.
struct Queues {
    server: std::sync::Arc<MotoServer>,
    url: String,
    dead: String,
}

impl Queues {
    async fn of(name: &str, largest: usize) -> Self {
        let server = MotoServer::shared();
        let (base, suffix) = name.split_once('.').map_or((name, ""), |(base, _)| (base, ".fifo"));
        let url = server.queue(name, largest).await;
        let dead = server.queue(&format!("{base}-dead{suffix}"), largest).await;
        Self { server, url, dead }
    }

    async fn open(&self) -> Sqs {
        Sqs::open(self.server.client(), &self.url, &self.dead).await.unwrap()
    }

    /// How many messages wait, and how many are held.
    async fn count(&self, url: &str) -> (usize, usize) {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        let request = self.server.client().get_queue_attributes().queue_url(url);
        let answer = request.set_attribute_names(Some(names.to_vec())).send().await.unwrap();
        let [waiting, held] = names.map(|name| answer.attributes().unwrap()[&name].parse().unwrap());
        (waiting, held)
    }

    async fn left(&self) -> usize {
        let (waiting, held) = self.count(&self.url).await;
        waiting + held
    }

    async fn dead(&self) -> usize {
        self.count(&self.dead).await.0
    }

    /// The dead letters: their reasons, attempts and bodies.
    async fn letters(&self) -> Vec<(String, String, String)> {
        let request = self.server.client().receive_message().queue_url(&self.dead).max_number_of_messages(10);
        let answer = request.visibility_timeout(0).message_attribute_names("All").send().await.unwrap();
        let letters = answer.messages().iter().map(|letter| {
            let attributes = letter.message_attributes().unwrap();
            let attribute = |name: &str| attributes[name].string_value().unwrap().to_owned();
            (attribute("Webhook-Dead-Reason"), attribute("Webhook-Attempts"), letter.body().unwrap().to_owned())
        });
        letters.collect()
    }

    /// Sends what is no message of ours, or one like it.
    async fn write(&self, body: &str, attributes: &[(&str, &str)]) {
        let mut request = self.server.client().send_message().queue_url(&self.url).message_body(body);
        for (name, value) in attributes {
            let value = MessageAttributeValue::builder().data_type("String").string_value(*value).build().unwrap();
            request = request.message_attributes(*name, value);
        }
        request.send().await.unwrap();
    }
}

fn app(sink: impl Sink) -> Router {
    Router::new().route_service("/hook", HandOff::new(sink).behind(WebhookLayer::stripe(secret())))
}

fn worker(queue: &Sqs, shop: &Shop) -> SinkWorker {
    SinkWorker::new(queue.clone(), events(shop)).with_retries(retries()).with_wait(Duration::from_millis(200))
}

async fn handlers_do_the_same_through(name: &str) {
    let (queues, shop) = (Queues::of(name, LARGEST).await, Shop::default());
    let queue = queues.open().await;
    let worker = Running::of_sink(worker(&queue, &shop).with_handler_timeout(HANDLER_TIMEOUT));
    handlers_do_the_same(&app(queue), &shop, async || queues.dead().await).await;
    until("nothing is left", async || queues.left().await == 0).await;
    worker.stop().await;

    let mut letters = queues.letters().await;
    letters.sort_by(|one, other| one.1.cmp(&other.1));
    // A FIFO queue may give out one group of them at a time.
    if letters.len() == 2 {
        assert!(letters[0].0.contains("amount") && letters[0].1 == "1", "{letters:?}");
        assert!(letters[1].0.contains("500") && letters[1].1 == ATTEMPTS.to_string(), "{letters:?}");
    }
    assert!(letters.iter().all(|(_, _, body)| body.contains("order.created")), "{letters:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handlers_do_the_same_through_a_standard_queue() {
    handlers_do_the_same_through("same").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handlers_do_the_same_through_a_fifo_queue() {
    handlers_do_the_same_through("same-fifo.fifo").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_of_messages_are_permitted_whatever_the_senders_ids_are() {
    let queues = Queues::of("ids.fifo", LARGEST).await;
    let app = app(queues.open().await);
    let long = "x".repeat(400);
    let ids = ["one", " one", "one ", "ONE", "one\r\n", "\t", "é", "\u{0}", "\u{fffe}", &long];
    for id in ids {
        assert_eq!(send(&app, order(id)).await.status, StatusCode::ACCEPTED, "{id:?}");
        // The queue drops it.
        assert_eq!(send(&app, order(id)).await.status, StatusCode::ACCEPTED, "{id:?}");
    }
    assert_eq!(queues.left().await, ids.len());

    let request = queues.server.client().receive_message().queue_url(&queues.url).max_number_of_messages(10);
    let answer = request
        .message_system_attribute_names(aws_sdk_sqs::types::MessageSystemAttributeName::All)
        .message_attribute_names("All")
        .send()
        .await
        .unwrap();
    let permitted = |text: &str| text.chars().all(|character| matches!(character, '\t' | '\n' | '\r' | ' '..='~'));
    let (mut seen, mut groups) = (HashSet::new(), HashSet::new());
    for message in answer.messages() {
        let system = |name| message.attributes().unwrap()[&name].clone();
        let id = system(aws_sdk_sqs::types::MessageSystemAttributeName::MessageDeduplicationId);
        let group = system(aws_sdk_sqs::types::MessageSystemAttributeName::MessageGroupId);
        assert!((1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        let attributes = message.message_attributes().unwrap();
        assert!(attributes.len() <= 10 && attributes.values().all(|value| permitted(value.string_value().unwrap())));
        seen.insert(id);
        groups.insert(group);
    }
    assert_eq!((seen.len(), groups.len()), (ids.len(), ids.len()), "without an order key no event waits for another");
}

fn raw() -> Scheme {
    let scheme = Scheme::hmac_sha256().name("raw").header("x-signature").hex().signs("{body}");
    scheme.id(Field::header("x-id")).build().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_body_comes_back_as_it_was_signed() {
    let queues = Queues::of("bodies", LARGEST).await;
    let queue = queues.open().await;
    let layer = WebhookLayer::new(raw(), secret());
    let app = Router::new().route_service("/hook", HandOff::new(queue.clone()).behind(layer));
    let all: Vec<u8> = (0..=255).collect();
    let bodies: [&[u8]; 6] = [b"{}", b"", b"\0", &all, "\r\n\t\u{fffe}".as_bytes(), "é€𝄞 <&>\"'\r\n".as_bytes()];
    let bodies: HashSet<Vec<u8>> = bodies.into_iter().map(<[u8]>::to_vec).collect();
    for (number, body) in bodies.iter().enumerate() {
        let request = SignedRequest::for_scheme(&raw(), &secret()).uri("/hook").with_body(body.clone());
        let request = request.with_id(number.to_string()).build();
        assert_eq!(send(&app, request).await.status, StatusCode::ACCEPTED, "{body:?}");
    }
    let (saw, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let router = EventRouter::new().on("*", move |_: Delivery, body: bytes::Bytes| {
        saw.send(body.to_vec()).unwrap();
        async {}
    });
    let worker = Running::of_sink(SinkWorker::new(queue, router));
    let mut back = HashSet::new();
    while back.len() < bodies.len() {
        back.insert(seen.recv().await.unwrap());
    }
    worker.stop().await;
    assert_eq!(back, bodies);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_with_its_attributes_is_413_and_what_fits_can_die() {
    let (queues, shop) = (Queues::of("sizes", 32 * 1024).await, Shop::default());
    let queue = queues.open().await;
    let of_size =
        |id: &str, bytes: usize| of_payload(id, "order.created", json!({ "amount": 7, "text": "x".repeat(bytes) }));

    // The layer was told at start.
    let answer = send(&app(queue.clone()), of_size("head", 24 * 1024)).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    // The message is looked at in any case.
    let unlimited =
        Router::new().route_service("/hook", WebhookLayer::stripe(secret()).layer(HandOff::new(queue.clone())));
    let mut sizes = (1024, 33 * 1024);
    while sizes.1 - sizes.0 > 64 {
        let middle = usize::midpoint(sizes.0, sizes.1);
        match send(&unlimited, of_size("large", middle)).await.status {
            StatusCode::ACCEPTED => sizes.0 = middle,
            StatusCode::PAYLOAD_TOO_LARGE => sizes.1 = middle,
            other => panic!("{other} at {middle}"),
        }
    }
    assert!(sizes.0 > 29 * 1024, "{sizes:?}");
    queues.server.client().purge_queue().queue_url(&queues.url).send().await.unwrap();

    shop.ends("large", &[End::Fail; 9]);
    assert_eq!(send(&unlimited, of_size("large", sizes.0)).await.status, StatusCode::ACCEPTED);
    let worker = Running::of_sink(worker(&queue, &shop));
    until("it is dead", async || queues.dead().await == 1 && queues.left().await == 0).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_goes_or_hangs_is_503() {
    let mut server = MotoServer::start();
    let (url, dead) = (server.queue("events", LARGEST).await, server.queue("dead", LARGEST).await);
    let app = app(Sqs::open(server.client(), url, dead).await.unwrap());
    assert_eq!(send(&app, order("1")).await.status, StatusCode::ACCEPTED);

    server.signal("STOP");
    let hangs = send(&app, order("2")).await;
    server.signal("CONT");
    server.stop();
    let gone = send(&app, order("2")).await;
    for answer in [hangs, gone] {
        let expected = (StatusCode::SERVICE_UNAVAILABLE, Some("10"));
        assert_eq!((answer.status, answer.retry_after.as_deref()), expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queues_that_are_not_there_or_are_one_are_refused_at_start() {
    let queues = Queues::of("start", LARGEST).await;
    let client = || queues.server.client();
    let missing = Sqs::open(client(), format!("{}x", queues.url), &queues.dead).await.unwrap_err();
    assert!(missing.to_string().contains(&queues.url), "{missing}");
    Sqs::open(client(), &queues.url, format!("{}x", queues.dead)).await.unwrap_err();
    let same = Sqs::open(client(), &queues.url, &queues.url).await.unwrap_err();
    assert!(same.to_string().contains("dead letters"), "{same}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_killed_loses_its_event_to_another_when_its_lease_ends() {
    let (queues, shop) = (Queues::of("killed", LARGEST).await, Shop::default());
    let queue = queues.open().await;
    shop.ends("1", &[End::Hang; 4]);
    send(&app(queue.clone()), order("1")).await;

    let lease = Duration::from_secs(2);
    for run in 1..=ATTEMPTS {
        let killed = Running::of_sink(worker(&queue, &shop).with_lease(lease));
        until("it runs", async || shop.runs_of("1") == run as usize).await;
        killed.kill().await;
    }
    // Nobody is left to say that it failed: the next worker does not begin it.
    let last = Running::of_sink(worker(&queue, &shop).with_lease(lease));
    until("it is dead", async || queues.dead().await == 1 && queues.left().await == 0).await;
    last.stop().await;
    assert_eq!(shop.runs(), [("1".to_owned(), 1), ("1".to_owned(), 2), ("1".to_owned(), 3)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_is_renewed_while_its_handler_runs_and_a_shutdown_gives_it_back() {
    let (queues, shop) = (Queues::of("renewed", LARGEST).await, Shop::default());
    let queue = queues.open().await;
    shop.ends("1", &[End::Hang]);
    send(&app(queue.clone()), order("1")).await;
    let worker = || worker(&queue, &shop).with_lease(Duration::from_secs(3)).with_drain(Duration::ZERO);

    let workers = [Running::of_sink(worker()), Running::of_sink(worker())];
    until("it runs", async || shop.runs_of("1") == 1).await;
    tokio::time::sleep(Duration::from_secs(7)).await;
    assert_eq!(shop.runs_of("1"), 1, "two leases long, and no other worker was given it");
    for worker in workers {
        worker.stop().await;
    }
    let next = Running::of_sink(worker().with_lease(Duration::from_secs(600)));
    until("it is worked at once", async || shop.done() == ["1"]).await;
    next.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_asks_for_a_later_time_is_hidden_until_then_and_keeps_out_nobody() {
    let (queues, shop) = (Queues::of("later", LARGEST).await, Shop::default());
    let queue = queues.open().await;
    let app = app(queue.clone());
    // Beyond the 12 hours that the service allows, too.
    for (id, hours) in [("1", 1), ("24", 24), ("1000", 1000)] {
        shop.ends(id, &[End::RetryAfter(Duration::from_secs(3600 * hours))]);
        send(&app, order(id)).await;
    }
    let worker = Running::of_sink(worker(&queue, &shop));
    until("all are hidden", async || shop.runs().len() == 3 && queues.count(&queues.url).await == (0, 3)).await;
    send(&app, order("good")).await;
    until("the good one is worked", async || shop.done() == ["good"]).await;
    worker.stop().await;
    assert_eq!(shop.runs().len(), 4, "no other has run again");
    assert_eq!(queues.dead().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_one_order_key_are_worked_one_after_the_other_in_a_fifo_queue() {
    let (queues, shop) = (Queues::of("order.fifo", LARGEST).await, Shop::default());
    let queue = queues.open().await;
    let hand_off = HandOff::new(queue.clone()).with_order_key("/data/object/customer");
    let app = Router::new().route_service("/hook", hand_off.behind(WebhookLayer::stripe(secret())));
    shop.ends("a 1", &[End::RetryAfter(Duration::from_secs(2))]);
    for (id, customer) in [("a 1", "a"), ("a 2", "a"), ("a 3", "a"), ("b 1", "b")] {
        let payload = json!({ "amount": 7, "customer": customer });
        assert_eq!(send(&app, of_payload(id, "order.created", payload)).await.status, StatusCode::ACCEPTED);
    }
    let worker = Running::of_sink(worker(&queue, &shop));
    until("all are worked", async || shop.done().len() == 4).await;
    worker.stop().await;
    let of_a: Vec<_> = shop.done().into_iter().filter(|id| id.starts_with('a')).collect();
    assert_eq!(of_a, ["a 1", "a 2", "a 3"]);
    assert_eq!(shop.done()[0], "b 1", "another group does not wait for the one that failed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_can_write_into_the_queue_can_forge_an_event_unless_messages_are_sealed() {
    let (queues, shop) = (Queues::of("forged", LARGEST).await, Shop::default());
    let queue = queues.open().await;
    let key = || SealingKey::from_bytes([7; 32]).unwrap();
    // The attacker reads one that was not sealed, and writes one like it.
    send(&app(queue.clone()), order("real")).await;
    let request = queues.server.client().receive_message().queue_url(&queues.url).visibility_timeout(0);
    let real = request.message_attribute_names("All").send().await.unwrap().messages()[0].clone();
    let attribute =
        |name: &str| real.message_attributes().unwrap()[name].string_value().unwrap().replace("real", "forged");
    let (of, head, body) =
        (attribute("Webhook-Key"), attribute("Webhook-Head"), real.body().unwrap().replace("real", "forged"));
    let forged = [("Webhook-Key", of.as_str()), ("Webhook-Head", &head)];
    queues.write(&body, &forged).await;
    let trusting = Running::of_sink(worker(&queue, &shop));
    until("both are worked", async || shop.done().len() == 2 && queues.left().await == 0).await;
    trusting.stop().await;

    let sealed = HandOff::new(queue.clone()).with_sealing_key(key()).behind(WebhookLayer::stripe(secret()));
    let sealed = Router::new().route_service("/hook", sealed);
    send(&sealed, order("sealed")).await;
    queues.write(&body, &forged).await;
    queues.write("no message of ours", &[]).await;
    let careful = Running::of_sink(worker(&queue, &shop).with_sealing_key(key()));
    until("two are dead", async || queues.dead().await == 2 && queues.left().await == 0).await;
    careful.stop().await;
    let done: HashSet<_> = shop.done().into_iter().collect();
    assert_eq!(done, ["real", "forged", "sealed"].map(str::to_owned).into());
    let letters = queues.letters().await;
    assert!(
        letters.iter().any(|(reason, _, body)| reason.contains("hand-off") && body == "no message of ours"),
        "{letters:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_in_front_closes_what_a_standard_queue_takes_twice() {
    let queues = Queues::of("record", LARGEST).await;
    let queue = queues.open().await;
    let once = WebhookLayer::stripe(secret()).with_idempotency(MemoryStore::new());
    let guarded = Router::new().route_service("/hook", HandOff::new(queue.clone()).behind(once));
    for app in [&guarded, &guarded, &app(queue.clone())] {
        assert!(send(app, order("1")).await.status.is_success());
    }
    assert_eq!(queues.left().await, 2, "without a record it is there again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_right_after_the_answer_loses_nothing() {
    if let Some(urls) = url_of_child() {
        let [server, url, dead] = urls.split(' ').collect::<Vec<_>>().try_into().unwrap();
        return serve_app(app(Sqs::open(client(server), url, dead).await.unwrap())).await;
    }
    let (queues, shop) = (Queues::of("kills", LARGEST).await, Shop::default());
    let urls = format!("{} {} {}", queues.server.url(), queues.url, queues.dead);
    let accepted = receivers_that_are_killed(&urls, test_name!("a_kill_right_after_the_answer_loses_nothing")).await;
    let queue = queues.open().await;
    let worker = Running::of_sink(worker(&queue, &shop));
    until("all are worked", async || shop.done().len() >= accepted.len()).await;
    worker.stop().await;
    assert_eq!(shop.done().into_iter().collect::<HashSet<_>>(), accepted);
}
