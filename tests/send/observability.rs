//! Tests of what sending shows to an operator: a span for each attempt, counters, and nothing confidential.

use std::{
    collections::HashSet,
    future::{Future, pending},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    task::{Context, Waker},
    time::Duration,
};

use counts::Counts;
use data_encoding::BASE64;
use hidden::forms;
use receiver::{Receiver, loopback_client, loopback_policy, read_request, signer};
use serde_json::json;
use spans::Spans;
use tokio::{io::AsyncWriteExt, sync::oneshot, task::JoinHandle};
use tower_webhooks::{
    BoxFuture, Secret,
    clock::{Clock, SystemClock},
    send::{
        AttemptRequest, AttemptResult, CustomHeaders, DeliveryState, Dispatcher, DispatcherBuilder, Message,
        NewEndpoint, RetryPolicy, SealingKey, Signer, Target, Transport, deliver,
    },
    store::{MemoryOutbox, SqliteStore},
};

use crate::support::{counts, hidden, receiver, spans};

/// A receiver that answers with the status that the path names; of several, `/500/200`, each has its turn.
async fn by_path() -> Receiver {
    let turns: Arc<AtomicU32> = Arc::default();
    Receiver::start(move |mut stream| {
        let turns = turns.clone();
        async move {
            loop {
                let request = read_request(&mut stream).await?;
                if request.is_empty() {
                    return Ok(());
                }
                let request = String::from_utf8(request).unwrap();
                let path = request.split(' ').nth(1).unwrap().trim_start_matches('/');
                let statuses: Vec<_> = path.split('/').collect();
                let turn = if statuses.len() > 1 { turns.fetch_add(1, SeqCst) as usize } else { 0 };
                let status = statuses[turn.min(statuses.len() - 1)];
                let head = format!("HTTP/1.1 {status} X\r\nLocation: /\r\nContent-Length: 0\r\n\r\n");
                stream.write_all(head.as_bytes()).await?;
            }
        }
    })
    .await
}

fn quick() -> DispatcherBuilder {
    Dispatcher::builder(MemoryOutbox::new())
        .sealing_key(SealingKey::from_bytes([7; 32]).unwrap())
        .client(loopback_client(Duration::from_secs(30)))
        .retry_policy(RetryPolicy::custom([Duration::from_millis(1); 2]))
        .poll_interval(Duration::from_millis(10))
}

fn message(id: &str) -> Message {
    Message::new("order.completed", &json!({ "order": 7 })).unwrap().id(id.parse().unwrap())
}

struct Working {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Working {
    fn start(webhooks: &Dispatcher) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(webhooks.worker().run(async move { _ = stopped.await }));
        Self { stop, task }
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap();
    }
}

/// Waits until something is so; a minute is for slow machines.
async fn until<F: Future<Output = bool>>(what: &str, is_so: impl Fn() -> F) {
    for _ in 0..6000 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} did not come true");
}

/// How many of a tenant's deliveries will not be attempted any more.
async fn ended(webhooks: &Dispatcher, tenant: Option<&str>) -> usize {
    let deliveries = webhooks.deliveries(tenant, Default::default()).await.unwrap();
    let waits = |state| matches!(state, DeliveryState::Pending | DeliveryState::Sending);
    deliveries.iter().filter(|delivery| !waits(delivery.state)).count()
}

/// Spans without the time that they took.
fn timeless(spans: &Spans) -> Vec<String> {
    let cut = |span: String| match span.split_once(" millis=") {
        Some((before, millis)) => {
            assert!(millis.parse::<u32>().unwrap() < 60_000, "{span}");
            before.to_owned()
        }
        None => span,
    };
    spans.take().into_iter().map(cut).collect()
}

#[tokio::test]
async fn each_attempt_of_a_worker_is_a_span_with_its_outcome() {
    let receiver = by_path().await;
    let host = receiver.address;
    let webhooks = quick().build().unwrap();
    let endpoint = NewEndpoint::new(&format!("http://{host}/500/200")).unwrap().tenant("acme");
    let endpoint = webhooks.endpoints().create(endpoint).await.unwrap().endpoint().id();
    let (spans, _guard) = Spans::capture();

    webhooks.dispatch(message("m-1").tenant("acme")).await.unwrap();
    let worker = Working::start(&webhooks);
    until("the delivery", async || ended(&webhooks, Some("acme")).await == 1).await;
    worker.stop().await;

    let delivery = webhooks.deliveries(Some("acme"), Default::default()).await.unwrap()[0].id;
    let what = format!(
        "webhook.attempt delivery={delivery} endpoint={endpoint} message_id=\"m-1\" event_type=\"order.completed\" \
         tenant=\"acme\" host=\"{host}\""
    );
    assert_eq!(
        timeless(&spans),
        [
            format!("{what} attempt=1 outcome=\"failed\" status=500 reason=\"status\""),
            format!("{what} attempt=2 outcome=\"delivered\" status=200"),
        ]
    );
    // The one that failed is in the log of an operator who does not read at debug level, and the other is not.
    let text = spans.text();
    let told: Vec<_> = text.lines().filter(|line| line.starts_with("INFO tower_webhooks")).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("message=an attempt did not deliver outcome=\"failed\" status=500 reason=\"status\""),
        "{told:?}"
    );
}

#[tokio::test]
async fn an_attempt_of_deliver_is_one_too() {
    let receiver = by_path().await;
    let client = loopback_client(Duration::from_secs(30));
    let target = |path: u16| {
        let url = format!("http://{}/{path}", receiver.address);
        Target::new(loopback_policy().endpoint(&url).unwrap(), signer())
    };
    let (spans, _guard) = Spans::capture();

    for (status, end) in [
        (204, "outcome=\"delivered\" status=204"),
        (410, "outcome=\"gone\" status=410 reason=\"status\""),
        (422, "outcome=\"rejected\" status=422 reason=\"status\""),
    ] {
        _ = deliver(&client, &target(status), &message("m-1")).await;

        let host = receiver.address;
        let what = format!("message_id=\"m-1\" event_type=\"order.completed\" host=\"{host}\" attempt=1");
        assert_eq!(timeless(&spans), [format!("webhook.attempt {what} {end}")]);
        // The event says it in the same words.
        let reason = end.split_once("status=").unwrap().0;
        assert!(spans.text().contains(&format!("host=\"{host}\" {reason}")), "{}", spans.text());
    }
}

#[tokio::test]
async fn a_destination_that_is_not_allowed_is_a_rejected_attempt() {
    let (spans, _guard) = Spans::capture();
    let strict = receiver::builder(Duration::from_secs(30)).policy(Default::default()).build().unwrap();
    let url = loopback_policy().endpoint("http://127.0.0.1:9999/").unwrap();

    deliver(&strict, &Target::new(url, signer()), &message("m-1")).await.unwrap_err();

    let [span] = &timeless(&spans)[..] else { panic!("one attempt") };
    assert!(span.ends_with("outcome=\"rejected\" reason=\"refused_destination\""), "{span}");
    assert!(spans.text().contains("WARN tower_webhooks message=an attempt was not made"), "{}", spans.text());
}

/// A transport that never answers, and notes the span in which it was called.
#[derive(Clone, Default)]
struct Silent(Arc<Mutex<Option<&'static str>>>);

impl Transport for Silent {
    fn send(&self, _request: AttemptRequest) -> BoxFuture<'_, AttemptResult> {
        Box::pin(async {
            *self.0.lock().unwrap() = tracing::Span::current().metadata().map(|metadata| metadata.name());
            pending().await
        })
    }
}

#[tokio::test]
async fn the_span_is_entered_while_the_attempt_is_polled_and_at_no_other_time() {
    let (spans, _guard) = Spans::capture();
    let counts = Counts::default();
    let _counting = metrics::set_default_local_recorder(&counts);
    let (transport, target) = (Silent::default(), Target::new("https://a.example/".parse().unwrap(), signer()));
    let message = message("m-1");
    let mut delivering = Box::pin(deliver(&transport, &target, &message));

    assert!(delivering.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());

    assert_eq!(*transport.0.lock().unwrap(), Some("webhook.attempt"));
    assert!(tracing::Span::current().metadata().is_none(), "nothing of it is left on the thread");
    assert_eq!(counts.of("webhook_attempts_in_flight{}"), 1);

    drop(delivering);

    let [span] = &timeless(&spans)[..] else { panic!("one attempt") };
    assert!(span.ends_with("attempt=1 outcome=\"cancelled\""), "{span}");
    assert_eq!(counts.of(r#"webhook_attempts_total{outcome="cancelled",reason="none"}"#), 1);
    assert_eq!(counts.of("webhook_attempts_in_flight{}"), 0);
}

// --- Counters ---------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn everything_is_counted_once() {
    let counts = Counts::default();
    let _guard = metrics::set_default_local_recorder(&counts);
    let receiver = by_path().await;
    let webhooks = quick().build().unwrap();
    for path in ["200", "500", "410", "301"] {
        let url = format!("http://{}/{path}", receiver.address);
        webhooks.endpoints().create(NewEndpoint::new(&url).unwrap().events(["order.*"])).await.unwrap();
    }
    let created = NewEndpoint::new(&receiver.url()).unwrap().events(["user.*"]);
    let asked = webhooks.endpoints().create(created).await.unwrap().endpoint().id();

    webhooks.endpoints().disable(asked).await.unwrap();
    for _ in 0..2 {
        webhooks.dispatch(message("m-1").at(SystemClock.now() - Duration::from_secs(10))).await.unwrap();
    }
    let worker = Working::start(&webhooks);
    until("the end of all", async || ended(&webhooks, None).await == 4).await;
    worker.stop().await;

    // The notice of the endpoint that is gone is of the store's making.
    assert_eq!(counts.of("webhook_dispatched_total{}"), 1);
    assert_eq!(counts.of("webhook_dispatched_deliveries_total{}"), 4);
    for (outcome, reason, count) in
        [("delivered", "none", 1), ("failed", "status", 3), ("failed", "redirect", 3), ("gone", "status", 1)]
    {
        let name = format!(r#"webhook_attempts_total{{outcome="{outcome}",reason="{reason}"}}"#);
        assert_eq!(counts.of(&name), count, "{name}");
    }
    for (outcome, count) in [("delivered", 1), ("failed", 6), ("gone", 1)] {
        assert_eq!(counts.of(&format!(r#"webhook_attempt_seconds{{outcome="{outcome}"}}"#)), count, "{outcome}");
    }
    for (state, count) in [("delivered", 1), ("exhausted", 2), ("held", 1)] {
        assert_eq!(counts.of(&format!(r#"webhook_deliveries_total{{state="{state}"}}"#)), count, "{state}");
    }
    assert_eq!(counts.of("webhook_delivery_seconds{}"), 1);
    assert_eq!(counts.of(r#"webhook_endpoints_disabled_total{reason="gone"}"#), 1);
    assert_eq!(counts.of(r#"webhook_endpoints_disabled_total{reason="asked"}"#), 1);
    assert_eq!(counts.of("webhook_attempts_in_flight{}"), 0);
    assert!(counts.of("most webhook_attempts_in_flight{}") > 0);
    let unbounded = ["127.0.0.1", "ep_", "dlv_", "m-1", "order"];
    for name in counts.names() {
        assert!(!unbounded.iter().any(|text| name.contains(text)), "{name}");
    }
}

#[tokio::test]
async fn an_outbox_that_fails_under_a_worker_is_counted_by_call() {
    let counts = Counts::default();
    let _guard = metrics::set_default_local_recorder(&counts);
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("outbox.db").display());
    let store = SqliteStore::connect(&url).await.unwrap();
    let webhooks = Dispatcher::builder(store)
        .sealing_key(SealingKey::from_bytes([7; 32]).unwrap())
        .client(loopback_client(Duration::from_secs(30)))
        .build()
        .unwrap();

    let database = sqlx::SqlitePool::connect(&url).await.unwrap();
    sqlx::query("DROP TABLE webhook_outbox_deliveries").execute(&database).await.unwrap();
    let worker = Working::start(&webhooks);
    let failures = |call| counts.of(&format!(r#"webhook_outbox_failures_total{{call="{call}"}}"#));
    until("both calls' failures", async || failures("lease") > 0 && failures("purge") > 0).await;
    worker.stop().await;

    assert_eq!(failures("finish"), 0);
}

// --- What must not be seen --------------------------------------------------------------------------------------------

/// Keeps each request, and gives the first eight their turns: silence, a redirect, 500, and then 200 with a text.
async fn recording(requests: Arc<Mutex<Vec<String>>>) -> Receiver {
    Receiver::start(move |mut stream| {
        let requests = requests.clone();
        async move {
            loop {
                let request = read_request(&mut stream).await?;
                if request.is_empty() {
                    return Ok(());
                }
                let turn = {
                    let mut requests = requests.lock().unwrap();
                    requests.push(String::from_utf8(request).unwrap());
                    if requests.len() < 8 { requests.len() % 4 } else { 0 }
                };
                let answer = match turn {
                    1 => return pending().await,
                    2 => format!("HTTP/1.1 302 X\r\nLocation: https://{REPLY}.example\r\nContent-Length: 0\r\n\r\n"),
                    3 => format!("HTTP/1.1 500 X\r\nContent-Length: {}\r\n\r\n{REPLY}", REPLY.len()),
                    _ => format!("HTTP/1.1 200 X\r\nContent-Length: {}\r\n\r\n{REPLY}", REPLY.len()),
                };
                stream.write_all(answer.as_bytes()).await?;
            }
        }
    })
    .await
}

const PAYLOAD: &str = "4111-1111-1111-1111";
const REPLY: &str = "the-receiver-s-own-words";
const TOKEN: &str = "token-of-the-gateway";
const IN_THE_URL: &str = "only-the-receiver-knows";
const CHOSEN: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[tokio::test]
async fn a_whole_run_at_trace_holds_no_secret_no_signature_no_payload_and_no_header_value() {
    let (spans, _guard) = Spans::capture();
    let requests = Arc::default();
    let receiver = recording(Arc::clone(&requests)).await;
    let url = format!("{}?key={IN_THE_URL}", receiver.url());
    let mut headers = CustomHeaders::default();
    headers.insert("authorization", &format!("Bearer {TOKEN}")).unwrap();
    let chosen = || Secret::new(CHOSEN).unwrap();
    let mut secrets = vec![CHOSEN.to_owned()];

    let told: Arc<AtomicU32> = Arc::default();
    let (failed, done) = (told.clone(), told.clone());
    let webhooks = quick()
        .attempt_timeout(Duration::from_millis(300))
        .retry_policy(RetryPolicy::custom([Duration::from_millis(1); 3]))
        .on_attempt_failed(move |attempted| {
            failed.fetch_add(1, SeqCst);
            tracing::info!(?attempted, "a hook that tells all it knows");
            assert!(attempted.attempt != 2, "a hook that panics");
        })
        .on_delivered(move |attempted| {
            done.fetch_add(1, SeqCst);
            tracing::info!(?attempted, "a hook that tells all it knows");
        })
        .build()
        .unwrap();
    let endpoint = NewEndpoint::new(&url).unwrap().secret(chosen()).headers(headers.clone());
    let id = webhooks.endpoints().create(endpoint).await.unwrap().endpoint().id();
    let message =
        |id: &str| Message::new("order.completed", &json!({ "card": PAYLOAD })).unwrap().id(id.parse().unwrap());

    let worker = Working::start(&webhooks);
    for round in 0..2 {
        webhooks.dispatch(message(&format!("m-{round}"))).await.unwrap();
        until("the delivery", async || ended(&webhooks, None).await == round + 1).await;
        // The next messages are signed with both.
        let rotated = webhooks.endpoints().rotate_secret(id, Duration::from_secs(60)).await.unwrap();
        secrets.push(rotated.reveal().to_owned());
    }
    assert!(webhooks.dispatch(Message::new("other", &PAYLOAD).unwrap().id("m-0".parse().unwrap())).await.is_err());
    worker.stop().await;
    let target = Target::new(loopback_policy().endpoint(&url).unwrap(), Signer::standard_webhooks(chosen()).unwrap())
        .headers(headers);
    for client in [
        loopback_client(Duration::from_millis(300)),
        receiver::builder(Duration::from_secs(30)).policy(Default::default()).build().unwrap(),
    ] {
        tracing::info!(delivered = ?deliver(&client, &target, &message("m-9")).await, "what became of it");
    }

    let mut hidden: HashSet<_> =
        [PAYLOAD, REPLY, TOKEN, IN_THE_URL].iter().flat_map(|text| forms(text.as_bytes())).collect();
    hidden.extend(forms(&[7; 32]));
    for secret in &secrets {
        hidden.extend(forms(secret.as_bytes()));
        hidden.extend(forms(&BASE64.decode(secret.strip_prefix("whsec_").unwrap().as_bytes()).unwrap()));
    }
    let requests = requests.lock().unwrap();
    let mut signatures = 0;
    for signature in requests.iter().flat_map(|request| request.lines()).filter_map(|line| line.split_once("v1,")) {
        for signature in signature.1.split(" v1,") {
            signatures += 1;
            hidden.extend(forms(signature.as_bytes()));
            hidden.extend(forms(&BASE64.decode(signature.as_bytes()).unwrap()));
        }
    }
    assert!(requests.iter().all(|request| request.contains(PAYLOAD) && request.contains(TOKEN)));
    // Four attempts of the first message with one secret, four of the second with two, and that of `deliver`.
    assert_eq!(signatures, 4 + 8 + 1);
    assert_eq!(told.load(SeqCst), 8);
    let seen = spans.text();
    for text in
        ["outcome=\"delivered\"", "reason=\"timeout\"", "reason=\"redirect\"", "refused_destination", "hook panicked"]
    {
        assert!(seen.contains(text), "{text}");
    }
    for text in hidden {
        let line = seen.lines().find(|line| line.contains(&text));
        assert!(line.is_none(), "`{text}` is in the log: {line:?}");
    }
}
