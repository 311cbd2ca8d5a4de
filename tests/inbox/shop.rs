//! A shop whose events go through an inbox, and a worker that can be stopped.

use std::{
    collections::HashMap,
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{Request, StatusCode, header},
    response::{IntoResponse, Response},
};
use tokio::{sync::oneshot, task::JoinHandle, time::Instant};
use tower::ServiceExt;
use tower_webhooks::{
    Claim, Delivery, Discard, EventRouter, Inbox, Provider, Retry, Secret, VerifiedEvent, WebhookLayer,
    inbox::{EventState, InboxQuery, InboxRecord, InboxStore, InboxWorker},
    sink::SinkWorker,
    testing::SignedRequest,
};

/// How long a machine may take for anything at all, before a test says that it hangs.
pub(crate) const AGES: Duration = Duration::from_secs(60);

/// How the handler's attempts at an event end, in order; later attempts succeed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum End {
    Discard,
    Fail,
    Hang,
    Panic,
    Retry,
    RetryAfter(Duration),
}

#[derive(Clone, Default)]
pub(crate) struct Shop(Arc<Mutex<Log>>);

#[derive(Default)]
struct Log {
    ends: HashMap<String, Vec<End>>,
    runs: Vec<(String, u32)>,
    done: Vec<String>,
}

#[derive(Debug, serde::Deserialize)]
pub(crate) struct Order {
    pub(crate) amount: u32,
}

impl Shop {
    pub(crate) fn ends(&self, id: &str, ends: &[End]) {
        self.0.lock().unwrap().ends.insert(id.into(), ends.iter().rev().copied().collect());
    }

    /// Ids and attempts, as they began.
    pub(crate) fn runs(&self) -> Vec<(String, u32)> {
        self.0.lock().unwrap().runs.clone()
    }

    pub(crate) fn runs_of(&self, id: &str) -> usize {
        self.runs().iter().filter(|(of, _)| of == id).count()
    }

    pub(crate) fn done(&self) -> Vec<String> {
        self.0.lock().unwrap().done.clone()
    }
}

async fn on_order(State(shop): State<Shop>, claim: Claim, event: VerifiedEvent<Order>) -> Response {
    let id = event.delivery().id().map(ToString::to_string).unwrap_or_default();
    let end = {
        let mut log = shop.0.lock().unwrap();
        log.runs.push((id.clone(), claim.attempt()));
        log.ends.get_mut(&id).and_then(Vec::pop)
    };
    match end {
        Some(End::Discard) => return Discard::new("not wanted").into_response(),
        Some(End::Fail) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Some(End::Hang) => pending().await,
        Some(End::Panic) => panic!("on purpose"),
        Some(End::Retry) => return Retry::new().into_response(),
        Some(End::RetryAfter(delay)) => return Retry::after(delay).into_response(),
        None => {}
    }
    assert!(event.amount < 1_000_000);
    shop.0.lock().unwrap().done.push(id);
    StatusCode::OK.into_response()
}

pub(crate) fn events(shop: &Shop) -> EventRouter {
    EventRouter::new().on("order.*", on_order).with_state(shop.clone())
}

pub(crate) fn inbox(store: impl InboxStore, shop: &Shop) -> Inbox {
    Inbox::new(store, events(shop))
}

pub(crate) fn secret() -> Secret {
    Secret::new("whsec_only_for_this_test").unwrap()
}

pub(crate) fn app(inbox: &Inbox) -> Router {
    Router::new().route_service("/hook", WebhookLayer::stripe(secret()).layer(inbox.clone()))
}

pub(crate) fn order(id: &str) -> Request<Body> {
    of_type(id, "order.created")
}

pub(crate) fn of_type(id: &str, event_type: &str) -> Request<Body> {
    of_payload(id, event_type, serde_json::json!({ "amount": 7, "customer": "c1" }))
}

pub(crate) fn of_payload(id: &str, event_type: &str, order: serde_json::Value) -> Request<Body> {
    SignedRequest::new(Provider::STRIPE, &secret()).uri("/hook").with_event(event_type, order).with_id(id).build()
}

/// The application's answer: status, body, whether it marks a duplicate, and its `Retry-After`.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) text: String,
    pub(crate) replayed: bool,
    pub(crate) retry_after: Option<String>,
}

pub(crate) async fn send(app: &Router, request: Request<Body>) -> Answer {
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let replayed = response.headers().contains_key("idempotent-replayed");
    let retry_after = response.headers().get(header::RETRY_AFTER).map(|value| value.to_str().unwrap().to_owned());
    let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
    Answer { status, text: String::from_utf8_lossy(&body).into_owned(), replayed, retry_after }
}

/// A worker that runs until it is stopped.
pub(crate) struct Running {
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) fn start(worker: InboxWorker) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let worker = worker.with_poll_interval(Duration::from_millis(20));
        Self { stop: Some(stop), task: tokio::spawn(worker.run(async { _ = stopped.await })) }
    }

    pub(crate) fn of_sink(worker: SinkWorker) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        Self { stop: Some(stop), task: tokio::spawn(worker.run(async { _ = stopped.await })) }
    }

    pub(crate) async fn stop(mut self) {
        drop(self.stop.take());
        tokio::time::timeout(AGES, &mut self.task).await.expect("the worker ends").unwrap();
    }

    /// Ends it as a kill does: nothing is given back.
    pub(crate) async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + AGES;
    while !holds().await {
        assert!(Instant::now() < end, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) async fn only(inbox: &Inbox) -> InboxRecord {
    let mut records = inbox.events(InboxQuery::default(), 10).await.unwrap();
    assert_eq!(records.len(), 1, "{records:?}");
    records.remove(0)
}

pub(crate) async fn count(inbox: &Inbox, state: EventState) -> usize {
    inbox.events(InboxQuery::default().state(state), 1000).await.unwrap().len()
}

pub(crate) async fn until_all_ended(inbox: &Inbox) {
    until("all have ended", async || {
        let stats = inbox.stats().await.unwrap();
        stats.pending + stats.working == 0
    })
    .await;
}

pub(crate) fn delivered(delivery: &Delivery) -> String {
    delivery.id().map(ToString::to_string).unwrap_or_default()
}

pub(crate) async fn ignore() {}
