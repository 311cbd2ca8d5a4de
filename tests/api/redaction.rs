//! Redaction: no route of the API and no page shows what the application hides. The routes come from the OpenAPI document and from the
//! list of pages, and where each text is shown without redaction is written down, so that a new place fails these tests.

use std::collections::BTreeSet;

use axum::{Json, Router, http::HeaderName, routing::post};
use serde_json::{Value, json};
use tower_webhooks::{
    Discard, EventRouter, Inbox, VerifiedEvent,
    api::Api,
    redaction::{Place, Redaction, Shown},
    send::{DeliveryQuery, DeliveryState, Dispatcher, Message, NewEndpoint},
    store::{MemoryInbox, MemoryOutbox, SqliteStore},
};

use crate::{
    inbox::Receiver,
    routes::{Client, OPERATOR, authorize, body_for, dispatcher, operations, text},
    support::outbox,
};

/// A text of each place: in the data of a message, in what its endpoint answers, and in a received request.
const MARKS: [&str; 6] = ["mark-data", "mark-answer", "mark-body", "a-customer-in-a-header", "/in/acme", "mark-reason"];

fn redaction() -> Redaction {
    Redaction::new()
        .data("order.*", ["/card"])
        .and_then(|redaction| redaction.body("order.*", ["/data/object/card", "/data/card"]))
        .and_then(|redaction| redaction.answers("*", ["/error/card"]))
        .unwrap()
        .header(HeaderName::from_static("x-customer"))
        .with(|shown: &Shown<'_>| {
            assert_eq!(shown.tenant_name(), Some("acme"));
            match shown.place() {
                Place::Path => Some("/in/…".to_owned()),
                Place::Reason => Some(shown.text().replace("mark-reason", "…")),
                _ => None,
            }
        })
}

struct Seed {
    webhooks: Dispatcher,
    inbox: Inbox,
    endpoint: String,
    delivery: String,
    event: String,
}

/// A delivery with an answer, and an event that was discarded.
async fn seed() -> Seed {
    let webhooks = dispatcher(MemoryOutbox::new());
    let answer = || async { Json(json!({ "error": { "card": "mark-answer" }, "fine": 1 })) };
    let url = outbox::serve(Router::new().route("/hook", post(answer))).await;
    let tenant = webhooks.tenant("acme").unwrap();
    let endpoint =
        tenant.endpoints().create(NewEndpoint::new(&url).unwrap()).await.unwrap().endpoint().id().to_string();
    let message = Message::new("order.completed", &json!({ "card": "mark-data", "fine": 1 })).unwrap();
    tenant.dispatch(message.id("m-1".parse().unwrap())).await.unwrap();
    let working = outbox::Working::start(&webhooks);
    let delivered = || DeliveryQuery::default().state(DeliveryState::Delivered);
    outbox::until("it is delivered", async || !tenant.deliveries(delivered(), 1).await.unwrap().is_empty()).await;
    working.stop().await;
    let delivery = tenant.deliveries(delivered(), 1).await.unwrap()[0].id.to_string();

    let handler = async |_: VerifiedEvent<Value>| Err::<(), _>(Discard::new("there is no card mark-reason"));
    let inbox = Inbox::new(MemoryInbox::new(), EventRouter::new().on("order.*", handler));
    let receiver = Receiver::of(inbox.with_headers([HeaderName::from_static("x-customer")]));
    let event = receiver.accept("acme", "evt_1", "order.paid", json!({ "card": "mark-body", "fine": 1 })).await;
    receiver.work().await;
    Seed { webhooks, inbox: receiver.inbox, endpoint, delivery, event }
}

/// Where which texts are shown to somebody who asks for everything. What changes something comes last.
async fn shown_by_the_api(seed: &Seed, redaction: Redaction) -> BTreeSet<(String, &'static str)> {
    let api = Api::new(seed.webhooks.clone(), authorize).with_inbox(seed.inbox.clone()).unwrap();
    let operator = Client::of(api.with_redaction(redaction).router(), OPERATOR);
    let mut all = operations(&operator).await;
    assert!(all.len() > 25, "{all:?}");
    all.sort_by_key(|(method, _)| (method != "GET", method == "DELETE"));
    let mut shown = BTreeSet::new();
    for (method, path) in all {
        let id = match path.split('/').nth(1) {
            Some("deliveries") => &seed.delivery,
            Some("endpoints") => &seed.endpoint,
            Some("inbox") => &seed.event,
            Some("messages") => "m-1",
            _ => "acme",
        };
        let address = path.replace("{id}", id).replace("{name}", id);
        let tenant = if path == "/messages/{id}" { "?tenant=acme" } else { "" };
        for (client, tenant) in [(&operator, tenant), (&operator.with_key("acme"), "")] {
            let answer = client.call(&method, &format!("{address}{tenant}"), body_for(&method, &path)).await;
            assert!(!answer.status.is_server_error(), "{method} {path}: {answer:?}");
            let seen = MARKS.into_iter().filter(|mark| answer.text.contains(mark));
            shown.extend(seen.map(|mark| (format!("{method} {path}"), mark)));
        }
    }
    shown
}

fn listed(places: &[(&str, &'static str)]) -> BTreeSet<(String, &'static str)> {
    places.iter().map(|(route, mark)| ((*route).to_owned(), *mark)).collect()
}

#[tokio::test]
async fn no_route_shows_what_is_redacted() {
    let shown = shown_by_the_api(&seed().await, Redaction::new()).await;
    let places = [
        ("GET /deliveries/{id}/attempts", "mark-answer"),
        ("GET /inbox", "mark-reason"),
        ("GET /inbox/{id}", "/in/acme"),
        ("GET /inbox/{id}", "a-customer-in-a-header"),
        ("GET /inbox/{id}", "mark-body"),
        ("GET /inbox/{id}", "mark-reason"),
        ("GET /messages/{id}", "mark-data"),
    ];
    assert_eq!(shown, listed(&places), "a place that is new needs `api::shown`");

    let seed = seed().await;
    let api = Api::new(seed.webhooks.clone(), authorize).with_inbox(seed.inbox.clone()).unwrap();
    let acme = Client::of(api.with_redaction(redaction()).router(), "acme");
    let message = acme.get("/messages/m-1").await.json();
    assert_eq!(message["data"], json!({ "card": "[redacted]", "fine": 1 }), "{message}");
    let attempts = acme.get(&format!("/deliveries/{}/attempts", seed.delivery)).await.json();
    assert_eq!(attempts["data"][0]["answer"], r#"{"error":{"card":"[redacted]"},"fine":1}"#, "{attempts}");
    let event = acme.get(&format!("/inbox/{}", seed.event)).await.json();
    let body: Value = serde_json::from_str(text(&event["request"]["body"])).unwrap();
    assert!(body.to_string().contains(r#""card":"[redacted]","fine":1"#), "{body}");
    let headers = event["request"]["headers"].as_array().unwrap();
    assert!(headers.contains(&json!({ "name": "x-customer", "value": "[redacted]" })), "{event}");
    assert!(headers.contains(&json!({ "name": "content-type", "value": "application/json" })), "{event}");
    assert_eq!(event["request"]["path"], "/in/…", "{event}");
    assert!(text(&event["reason"]).ends_with("there is no card …"), "{event}");

    assert_eq!(shown_by_the_api(&seed, redaction()).await, BTreeSet::new());
}

#[tokio::test]
async fn what_a_function_returns_is_json_in_the_data_of_a_message() {
    let Seed { webhooks, .. } = seed().await;
    for (function, shown) in [
        ((|_: &Shown<'_>| Some("hidden".to_owned())) as fn(&Shown<'_>) -> Option<String>, json!("hidden")),
        (|_| Some("[7]".to_owned()), json!([7])),
        (|_| panic!("a redaction of the test"), json!("[redacted]")),
    ] {
        let api = Api::new(webhooks.clone(), authorize).with_redaction(Redaction::new().with(function));
        let acme = Client::of(api.router(), "acme");
        assert_eq!(acme.get("/messages/m-1").await.json()["data"], shown);
    }
}

#[cfg(feature = "dashboard")]
#[tokio::test]
async fn no_page_shows_what_is_redacted() {
    use tower_webhooks::dashboard::Dashboard;

    use crate::dashboard::{Browser, PAGES, authorize};

    async fn shown(seed: &Seed, redaction: Redaction) -> BTreeSet<(String, &'static str)> {
        let pages = Dashboard::new(seed.webhooks.clone(), authorize).with_inbox(seed.inbox.clone()).unwrap();
        let router = pages.with_redaction(redaction).router();
        let mut shown = BTreeSet::new();
        let mut pages = PAGES.to_vec();
        pages.sort_by_key(|(method, _)| *method != "GET");
        for (method, path) in pages {
            let address = path.replace("{endpoint}", &seed.endpoint).replace("{delivery}", &seed.delivery);
            let address = address.replace("{event}", &seed.event);
            for who in ["operator", "acme"] {
                let browser = Browser::at(router.clone(), who);
                let answer = match method {
                    "GET" => browser.get(&address).await,
                    _ => browser.post(&address, format!("hours=1&type=order.completed&ids={}", seed.event)).await,
                };
                assert!(!answer.status.is_server_error(), "{method} {path}: {answer:?}");
                let seen = MARKS.into_iter().filter(|mark| answer.text.contains(mark));
                shown.extend(seen.map(|mark| (format!("{method} {path}"), mark)));
            }
        }
        shown
    }

    let places = [
        ("GET ", "mark-reason"),
        ("GET /deliveries/{delivery}", "mark-answer"),
        ("GET /deliveries/{delivery}", "mark-data"),
        ("GET /inbox", "mark-reason"),
        ("GET /inbox/{event}", "/in/acme"),
        ("GET /inbox/{event}", "a-customer-in-a-header"),
        ("GET /inbox/{event}", "mark-body"),
        ("GET /inbox/{event}", "mark-reason"),
    ];
    assert_eq!(shown(&seed().await, Redaction::new()).await, listed(&places), "a place that is new needs `api::shown`");
    assert_eq!(shown(&seed().await, redaction()).await, BTreeSet::new());
}

#[tokio::test]
async fn what_is_redacted_of_an_answer_is_not_in_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::connect(&format!("sqlite://{}/app.db", folder.path().display())).await.unwrap();
    let redaction = Redaction::new().answers("order.*", ["/error/card"]).unwrap();
    let webhooks = outbox::quick(store.clone()).redaction(redaction).build().unwrap();
    let answer = || async { Json(json!({ "error": { "card": "mark-answer" }, "fine": 1 })) };
    let whole = || async { "mark-answer, and no JSON" };
    let bytes = || async { vec![0xff, 0x00, b'!'] };
    let app = Router::new().route("/hook", post(answer)).route("/text", post(whole)).route("/bytes", post(bytes));
    let url = outbox::serve(app).await;
    let tenant = webhooks.tenant("acme").unwrap();
    for (path, events) in [("hook", "order.completed"), ("text", "order.paid"), ("bytes", "user.left")] {
        let endpoint = NewEndpoint::new(&url.replace("/hook", &format!("/{path}"))).unwrap().events([events]);
        tenant.endpoints().create(endpoint).await.unwrap();
        tenant.dispatch(Message::new(events, &7).unwrap()).await.unwrap();
    }
    let working = outbox::Working::start(&webhooks);
    let delivered = || DeliveryQuery::default().state(DeliveryState::Delivered);
    outbox::until("all are delivered", async || tenant.deliveries(delivered(), 9).await.unwrap().len() == 3).await;
    working.stop().await;

    let mut kept = Vec::new();
    for delivery in tenant.deliveries(delivered(), 9).await.unwrap() {
        let attempts = tenant.attempts(delivery.id).await.unwrap().unwrap();
        kept.push((delivery.event_type, attempts[0].answer.to_vec()));
    }
    kept.sort();
    let wanted = [
        ("order.completed", br#"{"error":{"card":"[redacted]"},"fine":1}"#.to_vec()),
        ("order.paid", b"[redacted]".to_vec()),
        ("user.left", vec![0xff, 0x00, b'!']),
    ];
    assert_eq!(kept, wanted.map(|(event_type, answer)| (event_type.to_owned(), answer)));
    store.close().await;
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("mark-answer"));
    }
}
