//! How events end: retries, dead letters, leases, order, shutdown.

use std::{sync::Arc, time::Duration};

use axum::http::StatusCode;
use tokio::sync::Semaphore;
use tower_webhooks::{
    Claim, Delivery, EventRouter, Inbox,
    clock::{Clock, ClockOffset, SystemClock},
    inbox::{EventState, InboxQuery, InboxRetries, InboxStore},
    store::MemoryInbox,
};

use super::shop::{
    End, Running, Shop, app, count, delivered, inbox, only, order, secret, send, until, until_all_ended,
};

const AT_ONCE: InboxRetriesOf = InboxRetriesOf(4);

struct InboxRetriesOf(u32);

impl InboxRetriesOf {
    fn retries(&self) -> InboxRetries {
        InboxRetries::new(self.0).waits(Duration::ZERO, Duration::ZERO)
    }
}

#[tokio::test]
async fn each_way_to_fail_is_retried_and_the_last_one_is_dead() {
    fails_in_each_way(MemoryInbox::new()).await;
}

/// Over any store.
pub(crate) async fn fails_in_each_way(store: impl InboxStore) {
    let shop = Shop::default();
    let inbox = inbox(store, &shop);
    let app = app(&inbox);
    shop.ends("fails", &[End::Fail, End::Fail, End::Fail]);
    shop.ends("panics", &[End::Panic]);
    shop.ends("hangs", &[End::Hang]);
    shop.ends("retries", &[End::Retry]);
    shop.ends("discards", &[End::Discard]);
    shop.ends("dies", &[End::Fail, End::Panic, End::Hang, End::Retry, End::Fail]);
    for id in ["fails", "panics", "hangs", "retries", "discards", "dies", "good"] {
        assert_eq!(send(&app, order(id)).await.status, StatusCode::ACCEPTED);
    }
    let worker = inbox.worker().with_retries(AT_ONCE.retries()).with_handler_timeout(Duration::from_millis(300));
    let worker = Running::start(worker);
    until_all_ended(&inbox).await;
    worker.stop().await;

    for (id, runs) in
        [("fails", 4), ("panics", 2), ("hangs", 2), ("retries", 2), ("discards", 1), ("dies", 4), ("good", 1)]
    {
        assert_eq!(shop.runs_of(id), runs, "{id}");
    }
    let attempts: Vec<_> = shop.runs().into_iter().filter(|(id, _)| id == "dies").map(|(_, attempt)| attempt).collect();
    assert_eq!(attempts, [1, 2, 3, 4]);
    assert_eq!(count(&inbox, EventState::Done).await, 5);
    let discarded = inbox.events(InboxQuery::default().state(EventState::Discarded), 10).await.unwrap();
    assert_eq!((discarded.len(), discarded[0].reason.as_deref()), (1, Some("not wanted")));
    let dead = inbox.events(InboxQuery::default().state(EventState::Dead), 10).await.unwrap();
    assert_eq!(dead.len(), 1);
    let reason = dead[0].reason.clone().unwrap();
    assert!(reason.contains("503") && reason.contains("last of 4"), "{reason}");
}

#[tokio::test]
async fn retries_follow_the_schedule_and_what_the_handler_asks_for() {
    let (shop, offset) = (Shop::default(), ClockOffset::default());
    let inbox = inbox(MemoryInbox::with_offset(offset.clone()), &shop);
    let app = app(&inbox);
    let asked = Duration::from_secs(7200);
    shop.ends("evt_1", &[End::Fail, End::RetryAfter(asked), End::Fail]);
    send(&app, order("evt_1")).await;
    let worker = Running::start(inbox.worker());
    for (run, least, most) in [(1, 0, 5), (2, 7200, 7200), (3, 0, 20)] {
        until("the attempt has ended", async || {
            let record = only(&inbox).await;
            record.attempt == run && record.state != EventState::Working
        })
        .await;
        let record = only(&inbox).await;
        if shop.runs().len() > run as usize {
            // The random wait was zero.
            assert_eq!(least, 0);
            continue;
        }
        let now = SystemClock.now() + Duration::from_millis(offset.as_millis().unsigned_abs());
        let wait = record.due_at.unwrap().duration_since(now).unwrap_or_default();
        assert!(wait <= Duration::from_secs(most), "attempt {run} waits for {wait:?}");
        assert!(wait + Duration::from_secs(60) >= Duration::from_secs(least), "attempt {run} waits for {wait:?}");
        if least > 0 {
            offset.advance(asked - Duration::from_secs(120));
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert_eq!(shop.runs().len(), run as usize, "not before its time");
            offset.advance(Duration::from_secs(120));
        } else {
            offset.advance(Duration::from_secs(most));
        }
    }
    until_all_ended(&inbox).await;
    worker.stop().await;
    assert_eq!((shop.runs().len(), only(&inbox).await.state), (4, EventState::Done));
}

#[tokio::test]
async fn dead_letters_are_replayed_and_discarded_by_hand() {
    is_changed_by_hand(MemoryInbox::new()).await;
}

/// Over any store.
pub(crate) async fn is_changed_by_hand(store: impl InboxStore) {
    let shop = Shop::default();
    let inbox = inbox(store, &shop);
    let app = app(&inbox);
    for number in 0..4 {
        shop.ends(&number.to_string(), &[End::Fail]);
        send(&app, order(&number.to_string())).await;
    }
    let begun = SystemClock.now() - Duration::from_secs(5);
    let worker = Running::start(inbox.worker().with_retries(InboxRetries::new(1)));
    until_all_ended(&inbox).await;
    let dead = inbox.events(InboxQuery::default().state(EventState::Dead), 10).await.unwrap();
    assert_eq!(dead.len(), 4);

    assert!(inbox.discard(dead[0].id).await.unwrap());
    assert!(!inbox.discard(dead[0].id).await.unwrap(), "it is discarded already");
    assert!(inbox.replay(dead[1].id).await.unwrap());
    until_all_ended(&inbox).await;
    assert_eq!(inbox.replay_since(SystemClock.now() + Duration::from_secs(60)).await.unwrap(), 0);
    assert_eq!(inbox.replay_since(begun).await.unwrap(), 2);
    until_all_ended(&inbox).await;
    worker.stop().await;
    assert_eq!((count(&inbox, EventState::Done).await, count(&inbox, EventState::Discarded).await), (3, 1));
    let record = inbox.event(dead[1].id).await.unwrap().unwrap();
    assert_eq!(record.attempt, 2);
    assert!(record.content.unwrap().body.starts_with(b"{"));
}

#[tokio::test]
async fn a_worker_that_is_killed_loses_its_event_to_another_when_its_lease_ends() {
    let (shop, offset) = (Shop::default(), ClockOffset::default());
    let inbox = inbox(MemoryInbox::with_offset(offset.clone()), &shop);
    let app = app(&inbox);
    shop.ends("evt_1", &[End::Hang]);
    send(&app, order("evt_1")).await;
    let first = Running::start(inbox.worker());
    until("it is being worked", async || shop.runs().len() == 1).await;
    first.kill().await;

    let second = Running::start(inbox.worker());
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(shop.runs().len(), 1, "the lease holds");
    offset.advance(Duration::from_secs(61));
    until_all_ended(&inbox).await;
    second.stop().await;
    assert_eq!(shop.runs(), [("evt_1".to_owned(), 1), ("evt_1".to_owned(), 2)]);
    assert_eq!(shop.done(), ["evt_1"]);
}

#[tokio::test]
async fn a_lease_is_renewed_while_its_handler_runs() {
    let gate = Arc::new(Semaphore::new(0));
    let of_handler = gate.clone();
    let runs = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let count = runs.clone();
    let router = EventRouter::new().on("*", move |claim: Claim| {
        let (gate, count) = (of_handler.clone(), count.clone());
        async move {
            count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let _ = gate.acquire().await.unwrap();
            assert!(!claim.is_lost());
        }
    });
    let inbox = Inbox::new(MemoryInbox::new(), router);
    let app = app(&inbox);
    send(&app, order("evt_1")).await;
    let workers: Vec<_> = (0..2).map(|_| Running::start(inbox.worker().with_lease(Duration::from_secs(1)))).collect();
    tokio::time::sleep(Duration::from_secs(3)).await;
    gate.add_permits(10);
    until_all_ended(&inbox).await;
    for worker in workers {
        worker.stop().await;
    }
    assert_eq!(runs.load(std::sync::atomic::Ordering::SeqCst), 1);
    assert_eq!(only(&inbox).await.attempt, 1);
}

#[tokio::test]
async fn a_hanging_handler_and_a_poisoned_event_delay_nobody() {
    let shop = Shop::default();
    let inbox = inbox(MemoryInbox::new(), &shop);
    let app = app(&inbox);
    shop.ends("hangs", &[End::Hang]);
    shop.ends("poison", &[End::Panic; 12]);
    send(&app, order("hangs")).await;
    send(&app, order("poison")).await;
    let retries = InboxRetries::new(12).waits(Duration::from_millis(1), Duration::from_millis(1));
    // One place: the handler that hangs has it for 2 seconds, and then no longer.
    let worker = inbox.worker().with_concurrency(1).with_retries(retries).with_drain(Duration::from_millis(50));
    let worker = Running::start(worker);
    until("it hangs", async || shop.runs_of("hangs") == 1).await;
    for number in 0..20 {
        send(&app, order(&number.to_string())).await;
    }
    until("the others are done", async || shop.done().len() == 20).await;
    until("the poisoned one is dead", async || count(&inbox, EventState::Dead).await == 1).await;
    assert_eq!(shop.runs_of("hangs"), 1);
    worker.stop().await;

    let returned = inbox.events(InboxQuery::default().state(EventState::Pending), 10).await.unwrap();
    assert_eq!(returned.len(), 1, "a shutdown gives back what has not ended");
    assert_eq!((returned[0].delivery_id.as_deref(), returned[0].attempt), (Some("hangs"), 0));
}

#[tokio::test]
async fn a_shutdown_waits_for_handlers_and_takes_nothing_new() {
    let gate = Arc::new(Semaphore::new(0));
    let of_handler = gate.clone();
    let router = EventRouter::new().on("*", move || {
        let gate = of_handler.clone();
        async move { _ = gate.acquire().await.unwrap() }
    });
    let inbox = Inbox::new(MemoryInbox::new(), router);
    let app = app(&inbox);
    send(&app, order("1")).await;
    let worker = Running::start(inbox.worker());
    until("it is being worked", async || inbox.stats().await.unwrap().working == 1).await;
    let stopping = tokio::spawn(worker.stop());
    tokio::time::sleep(Duration::from_millis(100)).await;
    send(&app, order("2")).await;
    assert!(!stopping.is_finished());
    gate.add_permits(10);
    stopping.await.unwrap();

    assert_eq!((count(&inbox, EventState::Done).await, count(&inbox, EventState::Pending).await), (1, 1));
}

#[tokio::test]
async fn events_with_one_order_key_are_worked_one_after_the_other() {
    keeps_the_order(MemoryInbox::new()).await;
}

/// Over any store.
pub(crate) async fn keeps_the_order(store: impl InboxStore) {
    let shop = Shop::default();
    let inbox = inbox(store, &shop).with_order_key("/data/object/customer");
    let app = app(&inbox);
    shop.ends("1", &[End::Fail, End::Fail]);
    shop.ends("2", &[End::Panic]);
    for number in 1..=5 {
        send(&app, order(&number.to_string())).await;
    }
    let worker = Running::start(inbox.worker().with_retries(AT_ONCE.retries()));
    until_all_ended(&inbox).await;
    worker.stop().await;

    let runs: Vec<_> = shop.runs().into_iter().map(|(id, _)| id).collect();
    assert_eq!(runs, ["1", "1", "1", "2", "2", "3", "4", "5"]);
}

#[tokio::test]
async fn a_handler_sees_what_it_would_have_seen_inline() {
    sees_the_same(MemoryInbox::new()).await;
}

/// Over any store.
pub(crate) async fn sees_the_same(store: impl InboxStore) {
    use axum::extract::{OriginalUri, State};
    use axum::http::{HeaderMap, Method};

    type Seen = Arc<std::sync::Mutex<Vec<String>>>;
    async fn see(
        State(seen): State<Seen>,
        method: Method,
        OriginalUri(uri): OriginalUri,
        headers: HeaderMap,
        delivery: Delivery,
        body: String,
    ) {
        let kept = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        seen.lock().unwrap().push(format!(
            "{method} {uri} {:?} {:?} {:?} {:?} {:?} {:?} {} {}",
            kept("content-type"),
            kept("x-kept"),
            delivery.event_type(),
            delivery.provider(),
            delivery.timestamp().is_some(),
            (delivery.secret_index(), delivery.covers_body(), delivery.id_is_signed(), delivery.mode()),
            delivered(&delivery),
            body,
        ));
    }
    let (inline, later) = (Seen::default(), Seen::default());
    let events = || EventRouter::<Seen>::new().on("order.*", see);
    let inbox =
        Inbox::new(store, events().with_state(later.clone())).with_headers([http::HeaderName::from_static("x-kept")]);
    let request = || {
        let mut request = order("evt_1");
        request.headers_mut().insert("x-kept", http::HeaderValue::from_static("yes"));
        request.headers_mut().insert("x-other", http::HeaderValue::from_static("secret"));
        request
    };
    send(&app(&inbox), request()).await;
    let layer = tower_webhooks::WebhookLayer::stripe(secret());
    let direct =
        axum::Router::new().route("/hook", axum::routing::post(events()).layer(layer)).with_state(inline.clone());
    send(&direct, request()).await;
    let worker = Running::start(inbox.worker());
    until_all_ended(&inbox).await;
    worker.stop().await;

    let (inline, later) = (inline.lock().unwrap().clone(), later.lock().unwrap().clone());
    assert_eq!((inline.len(), &inline), (1, &later));
    let content = inbox.event(only(&inbox).await.id).await.unwrap().unwrap().content.unwrap();
    for kept_out in ["x-other", "stripe-signature", "v1="] {
        assert!(!content.head.contains(kept_out), "{}", content.head);
    }
}

#[tokio::test]
async fn an_upcaster_of_later_applies_to_rows_of_before() {
    let store = MemoryInbox::new();
    let old = Inbox::new(store.clone(), EventRouter::new().on("order.*", async || StatusCode::INTERNAL_SERVER_ERROR));
    let request: http::Request<axum::body::Body> =
        tower_webhooks::testing::SignedRequest::new(tower_webhooks::Provider::STRIPE, &secret())
            .uri("/hook")
            .with_event("order.created", serde_json::json!({ "sum": 7 }))
            .with_api_version("1")
            .build();
    send(&app(&old), request).await;

    let (done, mut amounts) = tokio::sync::mpsc::channel(1);
    let router = EventRouter::new()
        .upcast("order.*", "1", "2", |payload| Ok(serde_json::json!({ "amount": payload["sum"] })))
        .on("order.*", move |event: tower_webhooks::VerifiedEvent<super::shop::Order>| {
            let done = done.clone();
            async move { _ = done.send(event.amount).await }
        });
    let new = Inbox::new(store, router);
    let worker = Running::start(new.worker());
    assert_eq!(tokio::time::timeout(super::shop::AGES, amounts.recv()).await.unwrap(), Some(7));
    worker.stop().await;
}

#[tokio::test]
async fn a_request_can_be_completed_for_handlers_that_need_more() {
    use axum::Extension;
    let (done, mut seen) = tokio::sync::mpsc::channel(1);
    let router = EventRouter::new().on("*", move |Extension(region): Extension<&'static str>| {
        let done = done.clone();
        async move { _ = done.send(region).await }
    });
    let inbox = Inbox::new(MemoryInbox::new(), router);
    send(&app(&inbox), order("1")).await;
    let worker = inbox.worker().with_request(|request| _ = request.extensions_mut().insert("eu"));
    let worker = Running::start(worker);
    assert_eq!(tokio::time::timeout(super::shop::AGES, seen.recv()).await.unwrap(), Some("eu"));
    worker.stop().await;
}

/// As if two inboxes had one name: nothing that was acknowledged is lost, and the operator sees why it is not worked.
#[tokio::test]
async fn an_event_that_no_handler_here_takes_is_never_done() {
    let (shop, store) = (Shop::default(), MemoryInbox::new());
    let inbox = inbox(store.clone(), &shop);
    send(&app(&inbox), order("1")).await;
    let other = Inbox::new(store, EventRouter::new().on("push", || async {}));

    let worker = Running::start(other.worker().with_retries(InboxRetries::new(1)));
    until_all_ended(&inbox).await;
    worker.stop().await;

    let record = only(&inbox).await;
    assert_eq!(record.state, EventState::Dead);
    assert!(
        record.reason.as_deref().is_some_and(|reason| reason.contains("another inbox with this name")),
        "{record:?}"
    );
    drop(other);
    assert!(inbox.replay(record.id).await.unwrap());
    let worker = Running::start(inbox.worker());
    until_all_ended(&inbox).await;
    worker.stop().await;
    assert_eq!(shop.done(), ["1"]);
}

#[tokio::test]
async fn two_inboxes_of_one_name_do_not_share_a_store() {
    let (shop, store) = (Shop::default(), MemoryInbox::new());
    let (first, second) = (inbox(store.clone(), &shop), inbox(store.clone(), &shop));
    let named = inbox(store, &shop).with_consumer("crm");
    let workers = [first.worker(), first.clone().worker(), named.worker()];

    let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| second.worker())).unwrap_err();
    let told = refused.downcast_ref::<String>().unwrap();
    assert!(told.contains("two inboxes named `inbox` share a store"), "{told}");

    // Another store may have one of the same name, and so may this one when the first is gone.
    let _ = inbox(MemoryInbox::new(), &shop).worker();
    drop((workers, first));
    let _ = second.worker();
}

/// The worker holds the event, whatever the handler asks for itself.
#[tokio::test]
async fn a_handler_that_renews_for_a_moment_lets_no_other_worker_in() {
    let (begun, handlers) = (Arc::new(std::sync::atomic::AtomicU32::new(0)), Arc::new(Semaphore::new(0)));
    let router = {
        let (begun, handlers) = (begun.clone(), handlers.clone());
        EventRouter::new().on("*", move |claim: Claim| {
            let (begun, handlers) = (begun.clone(), handlers.clone());
            async move {
                begun.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                claim.renew(Duration::from_millis(1)).await.unwrap();
                drop(handlers.acquire().await.unwrap());
            }
        })
    };
    let inbox = Inbox::new(MemoryInbox::new(), router);
    send(&app(&inbox), order("1")).await;
    let poll = Duration::from_millis(5);
    let workers: Vec<_> = (0..2).map(|_| Running::start(inbox.worker().with_poll_interval(poll))).collect();
    until("it is begun", async || begun.load(std::sync::atomic::Ordering::SeqCst) == 1).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    handlers.add_permits(10);
    until_all_ended(&inbox).await;
    for worker in workers {
        worker.stop().await;
    }
    assert_eq!(begun.load(std::sync::atomic::Ordering::SeqCst), 1);
    assert_eq!(count(&inbox, EventState::Done).await, 1);
}

/// One of them sends many events that are slow. Those of the other go on.
#[tokio::test]
async fn a_slow_sender_does_not_take_all_places() {
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

    let gate = Arc::new(Semaphore::new(0));
    let (slow, done) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let shared = (gate.clone(), slow.clone(), done.clone());
    let router = EventRouter::new().on("*", move |delivery: Delivery| {
        let (gate, slow, done) = shared.clone();
        async move {
            if delivery.provider() == "github" {
                slow.fetch_add(1, SeqCst);
                drop(gate.acquire().await.unwrap());
            }
            done.fetch_add(1, SeqCst);
        }
    });
    let inbox = Inbox::new(MemoryInbox::new(), router);
    let github = tower_webhooks::WebhookLayer::github(secret()).layer(inbox.clone());
    let github = axum::Router::new().route_service("/hook", github);
    for number in 0..20 {
        let push: http::Request<axum::body::Body> =
            tower_webhooks::testing::SignedRequest::new(tower_webhooks::Provider::GITHUB, &secret())
                .uri("/hook")
                .with_event("push", serde_json::json!({}))
                .with_id(format!("push {number}"))
                .build();
        assert_eq!(send(&github, push).await.status, StatusCode::ACCEPTED);
    }
    let worker = Running::start(inbox.worker().with_concurrency(4).with_source_limit(2));
    until("as many are slow as may be", async || slow.load(SeqCst) == 2).await;
    let stripe = app(&inbox);
    for number in 0..10 {
        send(&stripe, order(&number.to_string())).await;
    }
    until("the others are done", async || done.load(SeqCst) == 10).await;
    // Also when those that are slow have given up their places.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(slow.load(SeqCst), 2);
    gate.add_permits(100);
    until_all_ended(&inbox).await;
    worker.stop().await;
    assert_eq!(done.load(SeqCst), 30);
}
