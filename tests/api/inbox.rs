//! The inbox behind the management API: who sees which events, what replaying and discarding does, pages, and routers that only receive.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{HeaderValue, Request, StatusCode, header},
    routing::get,
};
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_webhooks::{
    EventRouter, Inbox, Provider, Secret, Secrets, VerifiedEvent, WebhookLayer,
    api::{Access, Api, Health, HealthLimits},
    clock::ClockOffset,
    idempotency::ClaimKey,
    inbox::{AcceptRequest, Content, EventDraft, InboxRetries, InboxStore},
    store::{MemoryInbox, MemoryOutbox, MemoryStore, SqliteStore, sqlite::SqliteStoreOptions},
    testing::SignedRequest,
};

use crate::{
    routes::{Client, OPERATOR, authorize, dispatcher, text},
    support::outbox,
};

fn secret(tenant: &str) -> Secret {
    Secret::new(format!("a secret of {tenant} for the tests")).unwrap()
}

/// An inbox whose handler accepts orders of less than a thousand, and the route that receives the events. Each secret
/// belongs to one tenant.
pub(crate) struct Receiver {
    pub(crate) inbox: Inbox,
    app: Router,
}

#[derive(serde::Deserialize)]
struct Order {
    amount: u32,
}

impl Receiver {
    pub(crate) fn new(store: impl InboxStore) -> Self {
        let handler = |order: VerifiedEvent<Order>| async move {
            if order.amount < 1000 { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR }
        };
        let inbox = Inbox::new(store, EventRouter::new().on("order.*", handler));
        Self::of(inbox)
    }

    pub(crate) fn of(inbox: Inbox) -> Self {
        let source = |head: tower_webhooks::RequestHead| async move {
            Ok::<_, tower_webhooks::BoxError>(match head.path_param("tenant").unwrap_or_default() {
                "none" => Secrets::new(secret("none")),
                tenant => Secrets::new(secret(tenant)).tenant(tenant),
            })
        };
        let layer = WebhookLayer::stripe(source);
        let app = Router::new().route_service("/in/{tenant}", layer.layer(inbox.clone()));
        Self { inbox, app }
    }

    /// Accepts an event, and returns its id in the API.
    pub(crate) async fn accept(&self, tenant: &str, id: &str, event_type: &str, data: Value) -> String {
        let request =
            SignedRequest::new(Provider::STRIPE, &secret(tenant)).uri(format!("/in/{tenant}?token=in-the-query"));
        let mut request: Request<Body> = request.with_event(event_type, data).with_id(id).build();
        request.headers_mut().insert("x-customer", HeaderValue::from_static("a-customer-in-a-header"));
        assert!(self.app.clone().oneshot(request).await.unwrap().status().is_success());
        let listed = self.inbox.events(tower_webhooks::inbox::InboxQuery::default(), 1).await.unwrap();
        listed[0].id.to_string()
    }

    async fn order(&self, tenant: &str, id: &str) -> String {
        self.accept(tenant, id, "order.created", json!({ "amount": 7, "note": "a-secret-of-acme" })).await
    }

    /// Works until nothing waits. An event that fails is dead at once.
    pub(crate) async fn work(&self) {
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let worker =
            self.inbox.worker().with_retries(InboxRetries::new(1)).with_poll_interval(Duration::from_millis(10));
        let worker = tokio::spawn(worker.run(async { _ = stopped.await }));
        outbox::until("all have ended", async || {
            let stats = self.inbox.stats().await.unwrap();
            stats.pending + stats.working == 0
        })
        .await;
        drop(stop);
        worker.await.unwrap();
    }

    pub(crate) fn client(&self, key: &'static str) -> Client {
        let api = Api::for_inbox(self.inbox.clone(), authorize).with_idempotency(MemoryStore::new());
        Client::of(api.router(), key)
    }
}

fn ids(page: &Value) -> Vec<&str> {
    page["data"].as_array().unwrap().iter().map(|row| text(&row["id"])).collect()
}

#[tokio::test]
async fn an_event_is_listed_read_worked_replayed_and_discarded() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::connect(&format!("sqlite://{}/app.db", folder.path().display())).await.unwrap();
    let receiver = Receiver::new(store);
    let operator = receiver.client(OPERATOR);
    let good = receiver.order("acme", "evt_1").await;
    let bad = receiver.accept("acme", "evt_2", "order.created", json!({ "amount": 5000 })).await;

    let pending = operator.get("/inbox?state=pending").await.json();
    assert_eq!(ids(&pending), [&*bad, &*good], "{pending}");
    let row = &pending["data"][1];
    assert_eq!(
        (&row["delivery"], &row["type"], &row["provider"]),
        (&json!("evt_1"), &json!("order.created"), &json!("stripe"))
    );
    assert_eq!((&row["tenant"], &row["consumer"], &row["attempts"]), (&json!("acme"), &json!("inbox"), &json!(0)));
    assert!(row["due_at"].is_string() && row["ended_at"].is_null() && row["reason"].is_null(), "{row}");
    let read = operator.get(&format!("/inbox/{good}")).await;
    assert_eq!(read.header("cache-control"), "no-store");
    let read = read.json();
    assert_eq!(read["request"]["method"], "POST");
    assert_eq!(read["request"]["path"], "/in/acme", "{read}");
    assert!(text(&read["request"]["body"]).contains("a-secret-of-acme"), "{read}");
    assert!(!read.to_string().contains("in-the-query") && !read.to_string().contains("v1="), "{read}");
    operator.post(&format!("/inbox/{good}/replay"), json!({})).await.problem(409, "state");

    receiver.work().await;

    let done = operator.get(&format!("/inbox/{good}")).await.json();
    assert_eq!((&done["state"], &done["attempts"]), (&json!("done"), &json!(1)), "{done}");
    assert!(done["ended_at"].is_string() && done["due_at"].is_null(), "{done}");
    let dead = operator.get(&format!("/inbox/{bad}")).await.json();
    assert_eq!(dead["state"], "dead");
    assert!(text(&dead["reason"]).contains("500"), "{dead}");
    assert_eq!(ids(&operator.get("/inbox?state=dead&type=order.created").await.json()), [&*bad]);
    assert_eq!(ids(&operator.get("/inbox?state=dead&type=order.paid").await.json()), [""; 0]);
    operator.post(&format!("/inbox/{good}/discard"), json!({})).await.problem(409, "state");

    let replayed = operator.post(&format!("/inbox/{bad}/replay"), json!({})).await;
    assert_eq!((replayed.status, &replayed.json()["state"]), (StatusCode::ACCEPTED, &json!("pending")), "{replayed:?}");
    let discarded = operator.post(&format!("/inbox/{bad}/discard"), json!({})).await;
    assert_eq!(
        (discarded.status, &discarded.json()["state"]),
        (StatusCode::ACCEPTED, &json!("discarded")),
        "{discarded:?}"
    );
    operator.post(&format!("/inbox/{bad}/discard"), json!({})).await.problem(409, "state");
}

#[tokio::test]
async fn many_events_are_replayed_and_discarded_by_id_and_by_time() {
    let clock = ClockOffset::default();
    let receiver = Receiver::new(MemoryInbox::with_offset(clock.clone()));
    let operator = receiver.client(OPERATOR);
    let mut all = Vec::new();
    for (tenant, id) in [("acme", "evt_1"), ("globex", "evt_2"), ("none", "evt_3"), ("acme", "evt_4")] {
        if id == "evt_3" {
            receiver.work().await;
            clock.advance(Duration::from_secs(3600));
        }
        all.push(receiver.accept(tenant, id, "order.created", json!({ "amount": 5000 })).await);
    }
    receiver.work().await;
    let dead = async || ids(&operator.get("/inbox?state=dead").await.json()).len();
    assert_eq!(dead().await, 4);
    let later = text(&operator.get(&format!("/inbox/{}", all[2])).await.json()["ended_at"]).to_owned();
    let changed = |answer: crate::routes::Answer| {
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
        answer.json()["changed"].as_u64().unwrap()
    };

    // By id. Ids that are unknown or repeated are skipped.
    let some = json!({ "ids": [all[0], all[1], "999999", all[0]] });
    assert_eq!(changed(operator.post("/inbox/replay", some).await), 2);
    assert_eq!(dead().await, 2);
    receiver.work().await;

    // By time, for one tenant: by an operator of that tenant, and by an operator of all tenants who names it.
    assert_eq!(
        changed(operator.post("/inbox/replay?tenant=globex", json!({ "since": "2026-01-01T00:00:00Z" })).await),
        1
    );
    receiver.work().await;
    let of_acme = operator.with_key("operator of acme");
    assert_eq!(changed(of_acme.post("/inbox/discard", json!({ "ids": [all[1], all[2]] })).await), 0);
    assert_eq!(changed(of_acme.post("/inbox/replay", json!({ "since": "2026-01-01T00:00:00Z" })).await), 2);
    assert_eq!(dead().await, 2);
    receiver.work().await;
    assert_eq!(changed(operator.post("/inbox/discard?tenant=", json!({ "since": "2026-01-01T00:00:00Z" })).await), 1);

    // By time, of all.
    clock.advance(Duration::from_secs(3600));
    assert_eq!(changed(operator.post("/inbox/replay", json!({ "since": "2099-01-01T00:00:00Z" })).await), 0);
    assert_eq!(changed(operator.post("/inbox/discard", json!({ "since": later, "consumer": "inbox" })).await), 3);
    assert_eq!(dead().await, 0);
}

#[tokio::test]
async fn what_is_wrong_with_a_selection_is_named() {
    let receiver = Receiver::new(MemoryInbox::new());
    let operator = receiver.client(OPERATOR);
    let id = receiver.order("acme", "evt_1").await;
    for (body, pointer) in [
        (json!({}), "#"),
        (json!({ "ids": [id], "since": "2026-01-01T00:00:00Z" }), "#"),
        (json!({ "ids": [] }), "#/ids"),
        (json!({ "ids": vec!["1"; 251] }), "#/ids"),
        (json!({ "ids": null }), "#/ids"),
        (json!({ "ids": [id, "01"] }), "#/ids/1"),
        (json!({ "ids": ["+1"] }), "#/ids/0"),
        (json!({ "ids": [1] }), "#/ids/0"),
        (json!({ "since": "yesterday" }), "#/since"),
        (json!({ "since": "1969-01-01T00:00:00Z" }), "#/since"),
        (json!({ "since": "2026-01-01T00:00:00Z", "consumer": "other" }), "#/consumer"),
        (json!({ "since": "2026-01-01T00:00:00Z", "all": true }), "#/all"),
    ] {
        for path in ["/inbox/replay", "/inbox/discard"] {
            let problem = operator.post(path, body.clone()).await.problem(422, "invalid");
            assert_eq!(problem["errors"][0]["pointer"], pointer, "{path} {body}: {problem}");
        }
    }
    for query in [
        "state=lost",
        "state=",
        "before=x",
        "before=01",
        "before=-1",
        "limit=0",
        "colour=red",
        "type=a%00",
        "tenant=a%0a",
    ] {
        operator.get(&format!("/inbox?{query}")).await.problem(400, "invalid_parameter");
    }
    operator.get("/inbox?consumer=other").await.problem(422, "invalid_parameter");
    for id in ["x", "01", "%2B1", "-1", "18446744073709551615", "9223372036854775807", "replay"] {
        assert!(operator.get(&format!("/inbox/{id}")).await.status.is_client_error(), "{id}");
    }
    operator.get("/inbox/999").await.problem(404, "not_found");
    operator.post("/inbox/999/replay", json!({})).await.problem(404, "not_found");
    assert_eq!(operator.get(&format!("/inbox/{id}")).await.json()["state"], "pending", "nothing was changed");
}

#[tokio::test]
async fn an_owner_reads_the_events_of_its_tenant_and_changes_nothing() {
    let receiver = Receiver::new(MemoryInbox::new());
    let acme = receiver.client("acme");
    let own = receiver.order("acme", "evt_1").await;
    let other = receiver.order("globex", "evt_2").await;
    let nobodys = receiver.order("none", "evt_3").await;

    assert_eq!(ids(&acme.get("/inbox").await.json()), [&*own]);
    assert_eq!(acme.get(&format!("/inbox/{own}")).await.json()["tenant"], "acme");
    for id in [&other, &nobodys] {
        acme.get(&format!("/inbox/{id}")).await.problem(404, "not_found");
        acme.with_key("operator of acme")
            .post(&format!("/inbox/{id}/discard"), json!({}))
            .await
            .problem(404, "not_found");
    }
    acme.get("/inbox?tenant=globex").await.problem(403, "forbidden");
    for path in [
        format!("/inbox/{own}/replay"),
        format!("/inbox/{own}/discard"),
        "/inbox/replay".into(),
        "/inbox/discard".into(),
    ] {
        acme.post(&path, json!({ "ids": [own] })).await.problem(403, "forbidden");
    }

    let operator = acme.with_key(OPERATOR);
    assert_eq!(ids(&operator.get("/inbox").await.json()).len(), 3);
    assert_eq!(ids(&operator.get("/inbox?tenant=globex").await.json()), [&*other]);
    let without = operator.get("/inbox?tenant=").await.json();
    assert_eq!((ids(&without), without["data"][0].get("tenant")), (vec![&*nobodys], None));
    let in_an_application_without_tenants =
        Api::for_inbox(receiver.inbox.clone(), |_| async { Ok::<_, StatusCode>(Access::owner("")) });
    let owner = Client::of(in_an_application_without_tenants.router(), "");
    assert_eq!(ids(&owner.get("/inbox").await.json()), [&*nobodys]);
}

#[tokio::test]
async fn pages_hold_every_event_once_while_others_come() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::connect(&format!("sqlite://{}/app.db", folder.path().display())).await.unwrap();
    let receiver = Receiver::new(store);
    for number in 0..7 {
        receiver.order(["acme", "none"][number % 2], &format!("evt_{number}")).await;
    }
    for (key, query, rows) in
        [(OPERATOR, "", 7), ("acme", "", 4), (OPERATOR, "&tenant=", 3), (OPERATOR, "&type=order.created", 7)]
    {
        let client = receiver.client(key);
        let (mut seen, mut next) = (std::collections::BTreeSet::new(), String::new());
        loop {
            let page = client.get(&format!("/inbox?limit=2{query}{next}")).await.json();
            for id in ids(&page) {
                assert!(seen.insert(id.to_owned()), "{id} twice");
            }
            receiver.order("globex", &format!("evt_{key}{query}{}", seen.len())).await;
            match page["next"].as_str() {
                Some(cursor) => next = format!("&before={cursor}"),
                None => break,
            }
        }
        // Events that came before another round began are of all tenants.
        assert!(seen.len() >= rows, "{key}{query}: {} rows", seen.len());
    }
}

#[tokio::test]
async fn a_request_with_a_key_is_repeated_without_a_dispatcher() {
    let receiver = Receiver::new(MemoryInbox::new());
    let operator = receiver.client(OPERATOR);
    let id = receiver.order("acme", "evt_1").await;
    let path = format!("/inbox/{id}/discard");

    let first = operator.call_with("POST", &path, json!({}), &[("idempotency-key", "k")]).await;
    let second = operator.call_with("POST", &path, json!({}), &[("idempotency-key", "k")]).await;

    assert_eq!((first.status, second.status), (StatusCode::ACCEPTED, StatusCode::ACCEPTED), "{second:?}");
    assert_eq!(first.text, second.text);
    assert_eq!(second.header("idempotent-replayed"), "true");
    operator.call_with("POST", &path, json!({}), &[("idempotency-key", "other")]).await.problem(409, "state");
    let reused =
        operator.call_with("POST", "/inbox/discard", json!({ "ids": [id] }), &[("idempotency-key", "k")]).await;
    reused.problem(422, "idempotency_key_reused");
}

#[tokio::test]
async fn a_router_has_the_routes_of_what_it_was_given() {
    let receiver = Receiver::new(MemoryInbox::new());
    let webhooks = dispatcher(MemoryOutbox::new());
    let sending = Client::new(&webhooks, OPERATOR);
    let receiving = receiver.client(OPERATOR);
    let both = Api::new(webhooks, authorize).with_inbox(receiver.inbox.clone()).unwrap().router();
    let both = Client::of(both, OPERATOR);

    let paths = async |client: &Client| {
        let document = client.get("/openapi.json").await.json();
        let tags: Vec<_> =
            document["tags"].as_array().unwrap().iter().map(|tag| text(&tag["name"]).to_owned()).collect();
        (document["paths"].as_object().unwrap().keys().cloned().collect::<Vec<_>>(), tags)
    };
    let ((sends, _), (receives, tags), (all, _)) = (paths(&sending).await, paths(&receiving).await, paths(&both).await);
    assert!(!sends.iter().any(|path| path.starts_with("/inbox")), "{sends:?}");
    assert_eq!(
        receives,
        [
            "/inbox",
            "/inbox/discard",
            "/inbox/replay",
            "/inbox/{id}",
            "/inbox/{id}/discard",
            "/inbox/{id}/replay",
            "/tenants/{name}"
        ]
    );
    assert_eq!(tags, ["inbox", "tenants"]);
    assert_eq!(all.len(), sends.len() + receives.len() - 1);
    sending.get("/inbox").await.problem(404, "not_found");
    receiving.get("/endpoints").await.problem(404, "not_found");
    assert_eq!(both.get("/endpoints").await.status, StatusCode::OK);
    assert_eq!(both.get("/inbox").await.status, StatusCode::OK);
}

#[tokio::test]
async fn inboxes_of_one_store_are_one_list_and_others_are_refused() {
    let store = Arc::new(MemoryInbox::new());
    let handler = || EventRouter::new().on("order.*", |_: VerifiedEvent<Order>| async {});
    let orders = Receiver::of(Inbox::new(store.clone(), handler()).with_consumer("orders"));
    let refunds = Receiver::of(Inbox::new(store.clone(), handler()).with_consumer("refunds"));
    let api = || Api::for_inbox(orders.inbox.clone(), authorize);
    let operator = Client::of(api().with_inbox(refunds.inbox.clone()).unwrap().router(), OPERATOR);
    let mut accepted = Vec::new();
    for number in 0..4 {
        accepted.push([&orders, &refunds][number % 2].order("acme", &format!("evt_{number}")).await);
    }
    accepted.sort_by_key(|id| std::cmp::Reverse(id.parse::<u64>().unwrap()));

    assert_eq!(ids(&operator.get("/inbox").await.json()), accepted);
    let first = operator.get("/inbox?limit=3").await.json();
    assert_eq!(ids(&operator.get(&format!("/inbox?before={}", text(&first["next"]))).await.json()), accepted[3..]);
    let of_one = operator.get("/inbox?consumer=refunds").await.json();
    assert!(
        of_one["data"].as_array().unwrap().iter().all(|row| row["consumer"] == "refunds") && ids(&of_one).len() == 2
    );
    let some = json!({ "ids": accepted, "consumer": "refunds" });
    assert_eq!(operator.post("/inbox/discard", some).await.json()["changed"], 2);
    assert_eq!(operator.post("/inbox/discard", json!({ "ids": accepted })).await.json()["changed"], 2);

    let same_name = Inbox::new(store, handler()).with_consumer("orders");
    assert!(api().with_inbox(same_name).unwrap_err().to_string().contains("`orders`"));
    let elsewhere = Inbox::new(MemoryInbox::new(), handler()).with_consumer("elsewhere");
    assert!(api().with_inbox(elsewhere).unwrap_err().to_string().contains("same store"));
}

#[tokio::test]
async fn erasing_a_tenant_covers_the_inbox() {
    let receiver = Receiver::new(MemoryInbox::new());
    let webhooks = dispatcher(MemoryOutbox::new());
    let both = Api::new(webhooks.clone(), authorize).with_inbox(receiver.inbox.clone()).unwrap();
    let operator = Client::of(both.router(), OPERATOR);
    let acme = operator.with_key("acme");
    acme.create(json!({ "url": "http://127.0.0.1:9999/hook" })).await;
    let own = receiver.order("acme", "evt_1").await;
    let other = receiver.order("globex", "evt_2").await;

    acme.call("DELETE", "/tenants/acme", None).await.problem(403, "forbidden");
    operator.with_key("operator of acme").call("DELETE", "/tenants/globex", None).await.problem(404, "not_found");
    let erased = operator.call("DELETE", "/tenants/acme", None).await.json();

    assert_eq!(erased, json!({ "rows": 2, "events_left": false }));
    operator.get(&format!("/inbox/{own}")).await.problem(404, "not_found");
    assert_eq!(operator.get(&format!("/inbox/{other}")).await.status, StatusCode::OK);
    let alone = receiver.client(OPERATOR).call("DELETE", "/tenants/globex", None).await.json();
    assert_eq!(alone, json!({ "rows": 1, "events_left": false }));
}

#[tokio::test]
async fn what_is_being_worked_is_told_when_its_tenant_is_erased() {
    let inbox = Inbox::new(
        MemoryInbox::new(),
        EventRouter::new().on("order.*", |_: VerifiedEvent<Order>| std::future::pending::<()>()),
    );
    let receiver = Receiver::of(inbox);
    receiver.order("acme", "evt_1").await;
    let worker = tokio::spawn(receiver.inbox.worker().run(std::future::pending()));
    outbox::until("it is worked", async || receiver.inbox.stats().await.unwrap().working == 1).await;

    let erased = receiver.client(OPERATOR).call("DELETE", "/tenants/acme", None).await.json();

    assert_eq!(erased, json!({ "rows": 0, "events_left": true }));
    worker.abort();
}

#[tokio::test]
async fn an_event_whose_content_cannot_be_read_is_shown_without_it() {
    let store = Arc::new(MemoryInbox::new());
    let receiver = Receiver::new(store.clone());
    let draft = |id: &str, head: &str| {
        let key = ClaimKey::new("inbox", "stripe", None, id.as_bytes());
        let content = Content::new(head.into(), vec![0, 159, 146, 150].into());
        EventDraft::new(key, "stripe".into(), Duration::from_secs(60), content)
    };
    let strange = r#"{"method":"POST","uri":"/a?b","headers":[["x-bytes","ÿ"]],"delivery":{}}"#;
    let events = vec![draft("1", "not json"), draft("2", strange)];
    store.accept(AcceptRequest::new("inbox".into(), events)).await.unwrap();

    for id in ["1", "2"] {
        let read = receiver.client(OPERATOR).get(&format!("/inbox/{id}")).await;
        assert_eq!(read.status, StatusCode::OK, "{read:?}");
    }
    assert_eq!(receiver.client(OPERATOR).get("/inbox/1").await.json().get("request"), None);
    let request = receiver.client(OPERATOR).get("/inbox/2").await.json()["request"].clone();
    assert_eq!((&request["path"], &request["body"]), (&json!("/a"), &json!("\0\u{fffd}\u{fffd}\u{fffd}")), "{request}");
}

#[tokio::test]
async fn a_health_check_knows_depth_and_age_of_the_inbox() {
    let clock = ClockOffset::default();
    let receiver = Receiver::new(MemoryInbox::with_offset(clock.clone()));
    let check = async |health: Health| {
        let app = Router::new().route("/healthz", get(health.handler()));
        Client::of(app, "").get("/healthz").await
    };
    let alone = |limits| Health::for_inbox(receiver.inbox.clone()).with_limits(limits);
    let empty = check(alone(HealthLimits::default())).await.json();
    assert_eq!(
        empty,
        json!({ "status": "ok", "inbox": { "pending": 0, "working": 0, "dead": 0, "oldest_seconds": 0 } })
    );

    receiver.order("acme", "evt_1").await;
    clock.advance(Duration::from_secs(61));
    let limits = HealthLimits::default;
    for (limits, status) in [
        (limits(), StatusCode::OK),
        (limits().inbox_waiting(1).inbox_oldest(Duration::from_secs(62)), StatusCode::OK),
        (limits().inbox_waiting(0), StatusCode::SERVICE_UNAVAILABLE),
        (limits().inbox_oldest(Duration::from_secs(60)), StatusCode::SERVICE_UNAVAILABLE),
    ] {
        let answer = check(alone(limits)).await;
        assert_eq!(answer.status, status, "{limits:?}: {answer:?}");
        assert_eq!(answer.json()["inbox"]["oldest_seconds"], 61, "{answer:?}");
    }

    let webhooks = dispatcher(MemoryOutbox::new());
    let both = check(Health::new(webhooks.clone()).with_inbox(receiver.inbox.clone()).unwrap()).await.json();
    assert_eq!((&both["waiting"], &both["inbox"]["pending"]), (&json!(0), &json!(1)), "{both}");

    let folder = tempfile::tempdir().unwrap();
    let store =
        SqliteStoreOptions::new().connect(&format!("sqlite://{}/app.db", folder.path().display())).await.unwrap();
    let closed = Receiver::new(store.clone());
    store.close().await;
    let down = check(Health::new(webhooks).with_inbox(closed.inbox).unwrap()).await;
    assert_eq!((down.status, down.json()), (StatusCode::SERVICE_UNAVAILABLE, json!({ "status": "unavailable" })));
}

#[tokio::test]
async fn a_write_to_an_inbox_that_a_page_of_another_site_asks_for_is_refused() {
    let receiver = Receiver::new(MemoryInbox::new());
    let operator = receiver.client(OPERATOR);
    let id = receiver.order("acme", "evt_1").await;
    for path in [format!("/inbox/{id}/discard"), "/inbox/discard".into()] {
        let body = json!({ "ids": [id] });
        operator
            .call_with("POST", &path, body.clone(), &[("sec-fetch-site", "cross-site")])
            .await
            .problem(403, "cross_site");
        let form = Request::post(format!("/hooks{path}")).header(header::AUTHORIZATION, "Bearer operator");
        let form =
            form.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(Body::from("ids=1")).unwrap();
        operator.send(form).await.problem(415, "unsupported_media_type");
    }
    assert_eq!(operator.get(&format!("/inbox/{id}")).await.json()["state"], "pending");
}
