//! The same handlers do the same inline, through each store, and through each queue.

use std::{collections::BTreeSet, time::Duration};

use axum::{Router, http::StatusCode, routing::post};
use serde_json::json;
use tower_webhooks::{
    Inbox, WebhookLayer,
    clock::ClockOffset,
    inbox::{EventState, InboxRetries, InboxStore},
    store::{MemoryInbox, MemoryStore, PostgresStore},
};

use super::{
    shop::{End, Running, Shop, app, count, events, of_payload, of_type, order, secret, send, until},
    stores,
};

/// How often an event is tried in these tests.
pub(crate) const ATTEMPTS: u32 = 3;
pub(crate) const HANDLER_TIMEOUT: Duration = Duration::from_millis(800);

pub(crate) fn retries() -> InboxRetries {
    InboxRetries::new(ATTEMPTS).waits(Duration::ZERO, Duration::ZERO)
}

/// Brings events whose handlers end in each possible way, and waits until all have ended. `dead` counts the dead letters.
pub(crate) async fn handlers_do_the_same(app: &Router, shop: &Shop, dead: impl AsyncFn() -> usize) {
    let second = [
        ("fails", End::Fail),
        ("hangs", End::Hang),
        ("later", End::RetryAfter(Duration::from_secs(1))),
        ("panics", End::Panic),
        ("retries", End::Retry),
    ];
    for (id, end) in second {
        shop.ends(id, &[end]);
    }
    shop.ends("discards", &[End::Discard]);
    shop.ends("poison", &[End::Fail; 9]);
    for id in ["discards", "poison", "succeeds"].into_iter().chain(second.map(|(id, _)| id)) {
        bring(app, || order(id)).await;
    }
    bring(app, || of_payload("misfit", "order.created", json!({ "amount": "much" }))).await;
    bring(app, || of_type("unwanted", "customer.created")).await;

    let done: BTreeSet<String> = ["succeeds"].into_iter().chain(second.map(|(id, _)| id)).map(str::to_owned).collect();
    until("all have ended", async || {
        shop.done().into_iter().collect::<BTreeSet<_>>() == done && shop.runs_of("discards") == 1 && dead().await == 2
    })
    .await;
    assert_eq!(shop.done().len(), done.len(), "each is done once");
    let runs =
        |id: &str| shop.runs().into_iter().filter(|(of, _)| of == id).map(|(_, attempt)| attempt).collect::<Vec<_>>();
    for (id, _) in second {
        assert_eq!(runs(id), [1, 2], "{id}");
    }
    assert_eq!(runs("poison"), [1, 2, 3]);
    assert_eq!((runs("succeeds"), runs("discards")), (vec![1], vec![1]));
    assert!(runs("misfit").is_empty() && runs("unwanted").is_empty());
}

/// A sender that repeats what it is not told to be accepted, until it gives up. A misfit is not repeated by most.
async fn bring(app: &Router, request: impl Fn() -> axum::http::Request<axum::body::Body>) {
    for _ in 0..ATTEMPTS {
        let status = send(app, request()).await.status;
        if status.is_success() || status == StatusCode::UNPROCESSABLE_ENTITY {
            return;
        }
    }
}

async fn through_an_inbox(store: impl InboxStore) {
    let shop = Shop::default();
    let inbox = Inbox::new(store, events(&shop));
    let worker = inbox.worker().with_retries(retries()).with_handler_timeout(HANDLER_TIMEOUT);
    let worker = Running::start(worker);
    handlers_do_the_same(&app(&inbox), &shop, async || count(&inbox, EventState::Dead).await).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handlers_do_the_same_inline() {
    let shop = Shop::default();
    let once =
        tower_webhooks::idempotency::IdempotencyLayer::new(MemoryStore::new()).with_handler_timeout(HANDLER_TIMEOUT);
    let layer = WebhookLayer::stripe(secret()).with_idempotency(once);
    let app = Router::new().route("/hook", post(events(&shop)).layer(layer));
    // Nobody keeps what its sender gives up.
    handlers_do_the_same(&app, &shop, async || 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handlers_do_the_same_through_memory() {
    through_an_inbox(MemoryInbox::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handlers_do_the_same_through_sqlite() {
    let (folder, offset) = (tempfile::tempdir().unwrap(), ClockOffset::default());
    through_an_inbox(stores::sqlite(&folder, &offset).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handlers_do_the_same_through_postgres() {
    let offset = ClockOffset::default();
    let (_server, store) = stores::postgres(PostgresStore::options(), &offset).await;
    through_an_inbox(store).await;
}
