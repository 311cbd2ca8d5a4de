//! The answers of the inbox, and the events that it stores.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode},
};
use tower_webhooks::{
    BoxFuture, EventRouter, Inbox, Provider, Scheme, WebhookLayer,
    error::{StoreError, StoreErrorKind},
    inbox::{
        AcceptRequest, Accepted, Change, Ending, EventState, Fenced, InboxId, InboxLease, InboxLeases, InboxQuery,
        InboxRecord, InboxRetention, InboxStats, InboxStore, LeaseToken, Selection,
    },
    scheme::Field,
    store::MemoryInbox,
    testing::SignedRequest,
};

use super::shop::{End, Running, Shop, app, count, inbox, of_type, only, order, secret, send, until_all_ended};

#[tokio::test]
async fn an_event_is_answered_when_it_is_stored_and_its_duplicates_are_too() {
    let shop = Shop::default();
    let inbox = inbox(MemoryInbox::new(), &shop);
    let app = app(&inbox);

    let first = send(&app, order("evt_1")).await;
    assert_eq!((first.status, first.text.as_str()), (StatusCode::ACCEPTED, r#"{"status":"accepted"}"#));
    assert!(!first.replayed && shop.runs().is_empty());
    let again = send(&app, order("evt_1")).await;
    assert_eq!((again.status, again.replayed), (StatusCode::ACCEPTED, true));

    let record = only(&inbox).await;
    assert_eq!((record.state, record.attempt), (EventState::Pending, 0));
    assert_eq!(record.event_type.as_deref(), Some("order.created"));
    assert_eq!((record.delivery_id.as_deref(), &*record.provider), (Some("evt_1"), "stripe"));
}

#[tokio::test]
async fn what_is_forged_or_not_handled_leaves_no_row() {
    let shop = Shop::default();
    let inbox = inbox(MemoryInbox::new(), &shop);
    let app = app(&inbox);
    let forged: Request<Body> = SignedRequest::new(Provider::STRIPE, &secret()).uri("/hook").tampered().build();

    assert_eq!(send(&app, forged).await.status, StatusCode::UNAUTHORIZED);
    let unhandled = send(&app, of_type("evt_1", "customer.created")).await;
    assert_eq!((unhandled.status, unhandled.text.as_str()), (StatusCode::OK, r#"{"status":"unhandled"}"#));
    assert!(inbox.events(InboxQuery::default(), 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_dead_event_that_comes_again_is_worked_again() {
    let shop = Shop::default();
    let inbox = inbox(MemoryInbox::new(), &shop);
    let app = app(&inbox);
    // Its payload does not fit: it is dead at once.
    let wrong = |amount: serde_json::Value| -> Request<Body> {
        let payload = serde_json::json!({ "amount": amount });
        SignedRequest::new(Provider::STRIPE, &secret())
            .uri("/hook")
            .with_event("order.created", payload)
            .with_id("evt_1")
            .build()
    };
    send(&app, wrong("card 4111".into())).await;
    let worker = Running::start(inbox.worker());
    until_all_ended(&inbox).await;
    let record = only(&inbox).await;
    assert_eq!((record.state, record.attempt), (EventState::Dead, 1));
    let reason = record.reason.unwrap();
    assert!(reason.contains("/data/object/amount") && !reason.contains("4111"), "{reason}");

    let again = send(&app, wrong(7.into())).await;
    assert_eq!((again.status, again.replayed), (StatusCode::ACCEPTED, false));
    until_all_ended(&inbox).await;
    assert_eq!(only(&inbox).await.state, EventState::Done);
    assert_eq!(shop.done(), ["evt_1"]);
    let done = send(&app, wrong(7.into())).await;
    assert!(done.replayed, "a duplicate of one that is done");
    worker.stop().await;
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_dead_and_says_why() {
    let shop = Shop::default();
    let inbox = inbox(MemoryInbox::new(), &shop);
    let app = app(&inbox);
    for body in ["not json", r#"{"id":"evt_1","type":"order.a","type":"order.b"}"#] {
        let request: Request<Body> =
            SignedRequest::new(Provider::STRIPE, &secret()).uri("/hook").with_body(body).build();
        assert_eq!(send(&app, request).await.status, StatusCode::ACCEPTED, "{body}");
    }
    let worker = Running::start(inbox.worker());
    until_all_ended(&inbox).await;
    worker.stop().await;

    let dead = inbox.events(InboxQuery::default().state(EventState::Dead), 10).await.unwrap();
    let reasons: Vec<_> = dead.iter().map(|record| record.reason.clone().unwrap_or_default()).collect();
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    assert!(reasons[0].contains("more than once") && reasons[1].contains("not JSON"), "{reasons:?}");
}

#[tokio::test]
async fn more_than_the_limit_is_503_and_nothing_that_was_accepted_is_lost() {
    let shop = Shop::default();
    let inbox = inbox(MemoryInbox::new(), &shop).with_depth_limit(2);
    let app = app(&inbox);
    for id in ["evt_1", "evt_2"] {
        assert_eq!(send(&app, order(id)).await.status, StatusCode::ACCEPTED);
    }
    let full = send(&app, order("evt_3")).await;
    assert_eq!((full.status, full.retry_after.as_deref()), (StatusCode::SERVICE_UNAVAILABLE, Some("10")));
    assert!(send(&app, order("evt_1")).await.replayed, "a duplicate needs no room");

    let worker = Running::start(inbox.worker());
    until_all_ended(&inbox).await;
    assert_eq!(send(&app, order("evt_3")).await.status, StatusCode::ACCEPTED);
    until_all_ended(&inbox).await;
    worker.stop().await;
    let mut done = shop.done();
    done.sort();
    assert_eq!(done, ["evt_1", "evt_2", "evt_3"]);
}

/// A sender that posts arrays.
fn batches() -> Scheme {
    Scheme::hmac_sha256()
        .name("acme")
        .header("x-acme-signature")
        .hex()
        .signs("{body}")
        .batch("")
        .id(Field::json("/id"))
        .event_type(Field::json("/type"))
        .build()
        .unwrap()
}

fn batch(items: &serde_json::Value) -> Request<Body> {
    SignedRequest::for_scheme(&batches(), &secret()).uri("/hook").with_body(items.to_string()).build()
}

fn item(id: &str, event_type: &str) -> serde_json::Value {
    serde_json::json!({ "id": id, "type": event_type, "amount": 7 })
}

#[tokio::test]
async fn a_batch_is_stored_whole_and_each_item_is_worked_by_itself() {
    let shop = Shop::default();
    shop.ends("b", &[End::Fail]);
    let inbox = inbox(MemoryInbox::new(), &shop).with_depth_limit(3);
    let layer = WebhookLayer::new(batches(), secret());
    let app = Router::new().route_service("/hook", layer.layer(inbox.clone()));

    let items = serde_json::json!([item("a", "order.x"), item("skipped", "other"), item("b", "order.x")]);
    assert_eq!(send(&app, batch(&items)).await.status, StatusCode::ACCEPTED);
    assert_eq!(count(&inbox, EventState::Pending).await, 2);

    let items = serde_json::json!([item("c", "order.x"), item("d", "order.x")]);
    assert_eq!(send(&app, batch(&items)).await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(count(&inbox, EventState::Pending).await, 2, "there was room for one, and none is stored");

    let worker = Running::start(
        inbox.worker().with_retries(tower_webhooks::inbox::InboxRetries::new(3).waits(Duration::ZERO, Duration::ZERO)),
    );
    until_all_ended(&inbox).await;
    worker.stop().await;
    assert_eq!((shop.runs_of("a"), shop.runs_of("b"), shop.done().len()), (1, 2, 2));
}

/// A layer in between may answer the first item itself: the others are stored anyway.
#[tokio::test]
async fn the_rest_of_a_batch_is_stored_when_its_first_item_does_not_come() {
    use tower_webhooks::{idempotency::IdempotencyLayer, store::MemoryStore};

    let inbox = inbox(MemoryInbox::new(), &Shop::default());
    let layer = WebhookLayer::new(batches(), secret()).with_idempotency(IdempotencyLayer::new(MemoryStore::new()));
    let app = Router::new().route_service("/hook", layer.layer(inbox.clone()));

    let first = send(&app, batch(&serde_json::json!([item("a", "order.x")]))).await.status;
    let both = send(&app, batch(&serde_json::json!([item("a", "order.x"), item("b", "order.x")]))).await.status;

    assert!(first.is_success() && both.is_success(), "{first}, {both}");
    assert_eq!(count(&inbox, EventState::Pending).await, 2);
}

#[tokio::test]
async fn a_form_is_kept_as_it_was_signed() {
    let shop = Shop::default();
    let inbox = Inbox::new(
        MemoryInbox::new(),
        EventRouter::new().on("order.*", async |event: tower_webhooks::VerifiedEvent<super::shop::Order>| {
            assert_eq!(event.amount, 7);
            assert!(event.raw().starts_with(b"payload="), "{:?}", event.raw());
        }),
    );
    let scheme = Scheme::hmac_sha256()
        .name("acme")
        .header("x-acme-signature")
        .hex()
        .signs("{body}")
        .form(tower_webhooks::scheme::Form::json("payload"))
        .id(Field::json("/id"))
        .event_type(Field::json("/type"))
        .build()
        .unwrap();
    let layer = WebhookLayer::new(scheme.clone(), secret());
    let app = Router::new().route_service("/hook", layer.layer(inbox.clone()));
    let body = serde_json::json!({ "id": "f", "type": "order.x", "amount": 7 }).to_string();
    let request: Request<Body> =
        SignedRequest::for_scheme(&scheme, &secret()).uri("/hook").with_body(body).as_form().build();

    assert_eq!(send(&app, request).await.status, StatusCode::ACCEPTED);
    let worker = Running::start(inbox.worker());
    until_all_ended(&inbox).await;
    worker.stop().await;

    assert_eq!((only(&inbox).await.state, shop.runs().len()), (EventState::Done, 0));
}

#[tokio::test]
async fn equal_bytes_under_another_unsigned_id_are_a_replay_where_the_application_says_so() {
    let (shop, secret) = (Shop::default(), secret());
    let router = EventRouter::new().on("*", super::shop::ignore);
    let inbox = Inbox::new(MemoryInbox::new(), router).with_replay_guard(Duration::from_secs(3600));
    let app = Router::new().route_service("/hook", WebhookLayer::github(secret.clone()).layer(inbox.clone()));
    let push = |id: &str| -> Request<Body> {
        SignedRequest::new(Provider::GITHUB, &secret)
            .uri("/hook")
            .with_event("push", serde_json::json!({}))
            .with_id(id)
            .build()
    };

    assert!(!send(&app, push("1")).await.replayed);
    assert!(send(&app, push("2")).await.replayed);
    assert_eq!(only(&inbox).await.delivery_id.as_deref(), Some("1"));
    drop(shop);
}

/// A store that hangs or fails until the test ends it.
#[derive(Clone, Default)]
struct Ill {
    store: MemoryInbox,
    how: std::sync::Arc<std::sync::Mutex<Option<StoreErrorKind>>>,
    hangs: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

impl InboxStore for Ill {
    fn accept(&self, request: AcceptRequest) -> BoxFuture<'_, Result<Vec<Accepted>, StoreError>> {
        if self.hangs.load(std::sync::atomic::Ordering::SeqCst) {
            return Box::pin(std::future::pending());
        }
        if let Some(kind) = *self.how.lock().unwrap() {
            return Box::pin(std::future::ready(Err(StoreError::new(kind, "on purpose"))));
        }
        self.store.accept(request)
    }

    fn lease(&self, request: InboxLease) -> BoxFuture<'_, Result<InboxLeases, StoreError>> {
        self.store.lease(request)
    }

    fn renew(&self, id: InboxId, token: LeaseToken, lease: Duration) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.store.renew(id, token, lease)
    }

    fn finish(&self, id: InboxId, token: LeaseToken, ending: Ending) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.store.finish(id, token, ending)
    }

    fn is_done(&self, id: InboxId, token: LeaseToken) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.store.is_done(id, token)
    }

    fn event(&self, id: InboxId) -> BoxFuture<'_, Result<Option<InboxRecord>, StoreError>> {
        self.store.event(id)
    }

    fn events(
        &self,
        consumer: std::sync::Arc<str>,
        query: InboxQuery,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<InboxRecord>, StoreError>> {
        self.store.events(consumer, query, limit)
    }

    fn change(
        &self,
        consumer: std::sync::Arc<str>,
        change: Change,
        selection: Selection,
        limit: u32,
    ) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.store.change(consumer, change, selection, limit)
    }

    fn stats(&self, consumer: std::sync::Arc<str>) -> BoxFuture<'_, Result<InboxStats, StoreError>> {
        self.store.stats(consumer)
    }

    fn purge(
        &self,
        consumer: Arc<str>,
        retention: InboxRetention,
        limit: u32,
    ) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.store.purge(consumer, retention, limit)
    }

    fn erase(
        &self,
        consumer: std::sync::Arc<str>,
        tenant: std::sync::Arc<str>,
        limit: u32,
    ) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.store.erase(consumer, tenant, limit)
    }
}

#[tokio::test]
async fn a_store_that_fails_or_hangs_is_503_with_a_time_to_come_back() {
    let (shop, ill) = (Shop::default(), Ill::default());
    let inbox = inbox(ill.clone(), &shop).with_store_timeout(Duration::from_millis(50));
    let app = app(&inbox);
    for kind in [StoreErrorKind::Unavailable, StoreErrorKind::Full, StoreErrorKind::Busy, StoreErrorKind::Schema] {
        *ill.how.lock().unwrap() = Some(kind);
        let answer = send(&app, order("evt_1")).await;
        assert_eq!((answer.status, answer.retry_after.is_some()), (StatusCode::SERVICE_UNAVAILABLE, true), "{kind:?}");
    }
    *ill.how.lock().unwrap() = None;
    ill.hangs.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(send(&app, order("evt_1")).await.status, StatusCode::SERVICE_UNAVAILABLE);
    ill.hangs.store(false, std::sync::atomic::Ordering::SeqCst);

    let answer = send(&app, order("evt_1")).await;
    assert_eq!((answer.status, answer.replayed), (StatusCode::ACCEPTED, false));
}

#[tokio::test]
async fn an_inbox_without_a_layer_is_500_and_stores_nothing() {
    let inbox = inbox(MemoryInbox::new(), &Shop::default());
    let app = Router::new().route_service(
        "/hook",
        tower::ServiceBuilder::new()
            .map_request(|request: Request<Body>| request.map(|_| http_body_util::Full::new(bytes::Bytes::new())))
            .service(inbox.clone()),
    );

    assert_eq!(send(&app, order("evt_1")).await.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(inbox.stats().await.unwrap().pending, 0);
}

/// Anyone who has one signed body can send it under the id of another event.
#[cfg(all(feature = "metrics", feature = "tracing"))]
#[tokio::test]
async fn a_dead_event_that_is_replaced_under_an_unsigned_id_is_told() {
    use crate::support::{counts::Counts, logs::Logs};

    let (logs, _guard) = Logs::capture();
    let counts = Counts::default();
    let _recorder = metrics::set_default_local_recorder(&counts);
    let (shop, secret) = (Shop::default(), secret());
    let inbox = Inbox::new(
        MemoryInbox::new(),
        EventRouter::new().on("*", |body: String| async move {
            if body.contains("spoiled") { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK }
        }),
    );
    let app = Router::new().route_service("/hook", WebhookLayer::github(secret.clone()).layer(inbox.clone()));
    let push = |text: &str| -> Request<Body> {
        SignedRequest::new(Provider::GITHUB, &secret)
            .uri("/hook")
            .with_event("push", serde_json::json!({ "text": text }))
            .with_id("1")
            .build()
    };
    let retries = tower_webhooks::inbox::InboxRetries::new(1);
    let worker = Running::start(inbox.worker().with_retries(retries));
    send(&app, push("spoiled")).await;
    until_all_ended(&inbox).await;

    send(&app, push("spoiled")).await;
    until_all_ended(&inbox).await;
    let told = |logs: &Logs| logs.text().matches("a dead event was replaced by another body").count();
    assert_eq!(told(&logs), 0, "the same body");

    assert!(!send(&app, push("other")).await.replayed);
    until_all_ended(&inbox).await;
    worker.stop().await;
    assert_eq!((told(&logs), only(&inbox).await.state), (1, EventState::Done));
    let of = |answer| counts.of(&format!(r#"webhook_inbox_accepted_total{{provider="github",answer="{answer}"}}"#));
    assert_eq!((of("new"), of("rearmed"), of("replaced")), (1, 1, 1));
    drop(shop);
}
