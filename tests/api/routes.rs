//! The management API through its router: the life cycle of an endpoint, who sees what, problems, repeated requests,
//! pages, and the document that describes all of it.

use std::{collections::BTreeSet, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_webhooks::{
    BoxFuture,
    api::{self, Access, Api, HealthLimits},
    clock::ClockOffset,
    error::StoreError,
    idempotency::{ClaimKey, ClaimOutcome, ClaimRequest, ClaimToken, Completion, Fenced},
    send::{Dispatcher, EventTypeDefinition, Message, NewEndpoint, OutboxStore, Quotas},
    store::{MemoryInbox, MemoryOutbox, MemoryStore, SqliteStore},
};

use crate::{inbox::Receiver, support::outbox};

pub(crate) const OPERATOR: &str = "operator";

/// An API key for each tenant, and one for the operator.
pub(crate) async fn authorize(head: Parts) -> Result<Access, Response> {
    let key = head.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    match key {
        Some(OPERATOR) => Ok(Access::operator()),
        Some(tenant @ ("acme" | "globex")) => Ok(Access::owner(tenant)),
        Some("operator of acme") => Ok(Access::operator_of("acme")),
        Some("operator of globex") => Ok(Access::operator_of("globex")),
        _ => Err((StatusCode::UNAUTHORIZED, "who are you?").into_response()),
    }
}

pub(crate) fn dispatcher(store: impl OutboxStore) -> Dispatcher {
    outbox::quick(store).build().unwrap()
}

pub(crate) struct Client {
    app: Router,
    key: &'static str,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Checks that it is a problem document, and returns it.
    pub(crate) fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], status, "{problem}");
        assert_eq!(problem["code"], code, "{problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{problem}");
        problem
    }
}

impl Client {
    pub(crate) fn new(webhooks: &Dispatcher, key: &'static str) -> Self {
        let api = Api::new(webhooks.clone(), authorize).with_idempotency(MemoryStore::new());
        Self::of(api.router(), key)
    }

    pub(crate) fn of(router: Router, key: &'static str) -> Self {
        Self { app: Router::new().nest("/hooks", router), key }
    }

    pub(crate) fn with_key(&self, key: &'static str) -> Self {
        Self { app: self.app.clone(), key }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let (head, body) = self.app.clone().oneshot(request).await.unwrap().into_parts();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        Answer { status: head.status, headers: head.headers, text }
    }

    fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Request<Body> {
        let request = Request::builder()
            .method(method)
            .uri(format!("/hooks{path}"))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.key));
        match body {
            Some(body) => {
                request.header(header::CONTENT_TYPE, "application/json").body(Body::from(body.to_string())).unwrap()
            }
            None => request.body(Body::empty()).unwrap(),
        }
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.send(self.request(method, path, body.as_ref())).await
    }

    pub(crate) async fn call_with(
        &self,
        method: &str,
        path: &str,
        body: Value,
        headers: &[(&'static str, &str)],
    ) -> Answer {
        let mut request = self.request(method, path, Some(&body));
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        self.send(request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path, Some(body)).await
    }

    pub(crate) async fn create(&self, body: Value) -> Value {
        let answer = self.post("/endpoints", body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        answer.json()
    }
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

// --- The life cycle ---------------------------------------------------------------------------------------------------

#[tokio::test]
async fn an_endpoint_is_registered_changed_rotated_disabled_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let store = outbox::open(&format!("sqlite://{}/app.db", folder.path().display())).await;
    let acme = Client::new(&dispatcher(store), "acme");

    let body = json!({ "url": "http://127.0.0.1:9999/hook", "events": ["order.*"], "description": "ours",
        "headers": { "x-team": "billing" }, "rate_limit": "10/s", "metadata": { "plan": "pro", "region": "eu" },
        "labels": { "region": "eu", "plan": "pro" } });
    let created = acme.post("/endpoints", body).await;
    assert_eq!(created.status, StatusCode::CREATED, "{created:?}");
    assert_eq!(created.header("cache-control"), "no-store");
    let endpoint = created.json();
    let (id, secret) = (text(&endpoint["id"]).to_owned(), text(&endpoint["secret"]).to_owned());
    assert_eq!(created.header("location"), format!("endpoints/{id}"));
    assert!(secret.starts_with("whsec_"), "{endpoint}");
    assert_eq!(endpoint["tenant"], "acme");
    assert_eq!(endpoint["enabled"], true);
    assert!(!created.text.contains("billing"), "values of headers are not shown");

    let path = format!("/endpoints/{id}");
    let read = acme.get(&path).await;
    assert_eq!(read.status, StatusCode::OK);
    assert_eq!(read.json()["rate_limit"], "10/s");
    assert_eq!(read.json()["metadata"], json!({ "plan": "pro", "region": "eu" }));
    let patched = acme.call("PATCH", &path, Some(json!({ "metadata": { "plan": null, "team": "a/b" } }))).await;
    assert_eq!(patched.json()["metadata"], json!({ "region": "eu", "team": "a/b" }), "{patched:?}");
    let cleared = acme.call("PATCH", &path, Some(json!({ "metadata": null }))).await;
    assert_eq!(cleared.json()["metadata"], json!({}), "{cleared:?}");
    assert_eq!(read.json()["labels"], json!({ "plan": "pro", "region": "eu" }));
    let patched = acme.call("PATCH", &path, Some(json!({ "labels": { "plan": null, "team": "a" } }))).await;
    assert_eq!(patched.json()["labels"], json!({ "region": "eu", "team": "a" }), "{patched:?}");
    let cleared = acme.call("PATCH", &path, Some(json!({ "labels": null }))).await;
    assert_eq!(cleared.json()["labels"], json!({}), "{cleared:?}");
    assert_eq!(acme.get("/endpoints").await.json()["data"][0]["description"], "ours");
    assert!(!read.text.contains(&secret[6..]), "{}", read.text);
    assert_eq!(read.header("etag"), created.header("etag"));
    assert_ne!(patched.header("etag"), created.header("etag"));

    let changed =
        acme.call("PATCH", &path, Some(json!({ "events": ["*"], "rate_limit": null, "in_order": true }))).await;
    assert_eq!(changed.status, StatusCode::OK, "{changed:?}");
    assert_eq!(changed.json()["events"], json!(["*"]));
    assert_eq!(changed.json()["rate_limit"], Value::Null);
    assert_eq!(changed.json()["in_order"], true);
    assert_eq!(changed.json()["description"], "ours");
    assert_ne!(changed.header("etag"), created.header("etag"));

    let rotated = acme.post(&format!("{path}/rotate-secret"), json!({ "overlap_seconds": 60 })).await;
    assert_eq!(rotated.status, StatusCode::OK, "{rotated:?}");
    assert_eq!(rotated.header("cache-control"), "no-store");
    assert_ne!(text(&rotated.json()["secret"]), secret);

    let disabled = acme.post(&format!("{path}/disable"), json!({})).await;
    assert_eq!(disabled.json()["disabled_reason"], "asked", "{disabled:?}");
    acme.post(&format!("{path}/ping"), json!({})).await.problem(409, "endpoint_disabled");
    let enabled = acme.post(&format!("{path}/enable"), json!({})).await;
    assert_eq!(enabled.json()["enabled"], true, "{enabled:?}");
    assert_ne!(enabled.header("etag"), disabled.header("etag"));
    let pinged = acme.post(&format!("{path}/ping"), json!({})).await;
    assert_eq!(pinged.status, StatusCode::ACCEPTED, "{pinged:?}");

    assert_eq!(acme.call("DELETE", &path, None).await.status, StatusCode::NO_CONTENT);
    acme.get(&path).await.problem(404, "not_found");
    acme.call("DELETE", &path, None).await.problem(404, "not_found");
    let delivery = acme.get(&format!("/deliveries/{}", text(&pinged.json()["delivery"]))).await;
    assert_eq!(delivery.json()["state"], "cancelled", "{delivery:?}");
}

#[tokio::test]
async fn an_example_of_the_catalogue_is_sent_as_a_test() {
    let webhooks = dispatcher(MemoryOutbox::new());
    let (acme, operator) = (Client::new(&webhooks, "acme"), Client::new(&webhooks, "operator"));
    let entry = json!({ "name": "order.completed", "example": { "order": 7, "total": "1.00" } });
    let put = operator.call("PUT", "/event-types", Some(json!({ "data": [entry, { "name": "order.paid" }] }))).await;
    assert_eq!(put.status, StatusCode::NO_CONTENT, "{put:?}");
    let listed = acme.get("/event-types").await.json();
    assert_eq!(listed["data"][0]["example"], json!({ "order": 7, "total": "1.00" }), "{listed}");
    assert_eq!(listed["data"][1].get("example"), None, "{listed}");
    let created = acme.create(json!({ "url": "http://127.0.0.1:9999/hook", "events": ["user.*"] })).await;
    let path = format!("/endpoints/{}", text(&created["id"]));

    let sent = acme.post(&format!("{path}/send-example"), json!({ "type": "order.completed" })).await;

    assert_eq!(sent.status, StatusCode::ACCEPTED, "{sent:?}");
    let delivery = acme.get(&format!("/deliveries/{}", text(&sent.json()["delivery"]))).await.json();
    assert_eq!(delivery["type"], "order.completed", "{delivery}");
    let message = acme.get(&format!("/messages/{}", text(&delivery["message"]))).await.json();
    assert_eq!(message["data"], json!({ "order": 7, "total": "1.00" }), "{message}");
    assert!(text(&message["id"]).contains(":example:"), "{message}");
    for wrong in ["order.paid", "order.unknown", "no name", ""] {
        let problem =
            acme.post(&format!("{path}/send-example"), json!({ "type": wrong })).await.problem(422, "invalid");
        assert_eq!(problem["errors"][0]["pointer"], "#/type", "{wrong}: {problem}");
    }
    acme.post(&format!("{path}/send-example"), json!({})).await.problem(422, "invalid");
    acme.post(&format!("{path}/disable"), json!({})).await;
    let disabled = acme.post(&format!("{path}/send-example"), json!({ "type": "order.completed" })).await;
    disabled.problem(409, "endpoint_disabled");
    let large = json!({ "data": [{ "name": "a", "example": "x".repeat(64 * 1024) }] });
    let problem = operator.call("PUT", "/event-types", Some(large)).await.problem(422, "invalid");
    assert_eq!(problem["errors"][0]["pointer"], "#/data/0/example");
}

#[tokio::test]
async fn a_message_is_dispatched_delivered_and_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = outbox::open(&format!("sqlite://{}/app.db", folder.path().display())).await;
    let webhooks = dispatcher(store);
    let operator = Client::new(&webhooks, "operator of acme");
    let url = outbox::serve(Router::new().route("/hook", axum::routing::post(|| async { "<b>thanks</b>" }))).await;
    operator.create(json!({ "url": url })).await;
    let working = outbox::Working::start(&webhooks);

    let message = json!({ "type": "order.completed", "data": { "order": 7 }, "id": "m-1", "timestamp": "2026-01-02T03:04:05Z",
        "labels": { "region": "eu" }, "order_key": "order-7" });
    let sent = operator.post("/messages", message.clone()).await;
    assert_eq!(sent.status, StatusCode::ACCEPTED, "{sent:?}");
    assert_eq!(sent.json(), json!({ "id": "m-1", "deliveries": 1, "new": true }));
    assert_eq!(sent.header("location"), "messages/m-1");
    assert_eq!(operator.post("/messages", message).await.json()["new"], false);
    let other = json!({ "type": "order.completed", "data": { "order": 8 }, "id": "m-1" });
    operator.post("/messages", other).await.problem(409, "message_exists");

    let read = operator.get("/messages/m-1").await.json();
    assert_eq!(read["data"], json!({ "order": 7 }));
    assert_eq!((&read["labels"], &read["order_key"]), (&json!({ "region": "eu" }), &json!("order-7")));
    for (field, wrong) in [("labels", json!({ "a b": "c" })), ("order_key", json!("")), ("order_key", json!("a\nb"))] {
        let mut wrong_message = json!({ "type": "order.completed", "data": 7 });
        wrong_message[field] = wrong;
        let problem = operator.post("/messages", wrong_message).await.problem(422, "invalid");
        assert_eq!(problem["errors"][0]["pointer"], format!("#/{field}"), "{problem}");
    }
    assert_eq!(read["timestamp"], "2026-01-02T03:04:05.000Z");
    let list = operator.get("/messages").await.json();
    assert_eq!(list["data"][0]["id"], "m-1", "{list}");
    assert_eq!(list["data"][0].get("data"), None, "{list}");
    assert_eq!(list["next"], Value::Null);

    let delivered = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            let list = operator.get("/deliveries?state=delivered&type=order.completed&message=m-1").await.json();
            match list["data"].get(0) {
                Some(delivery) => return delivery.clone(),
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    });
    let delivery = delivered.await.expect("it is delivered");
    let path = format!("/deliveries/{}", text(&delivery["id"]));
    let attempts = operator.get(&format!("{path}/attempts")).await.json();
    assert_eq!(attempts["data"][0]["status"], 200, "{attempts}");
    assert_eq!(attempts["data"][0]["manual"], false, "{attempts}");
    assert_eq!(attempts["data"][0]["answer"], "<b>thanks</b>");

    operator.post(&format!("{path}/cancel"), json!({})).await.problem(409, "state");
    let again = operator.post(&format!("{path}/resend"), json!({})).await;
    assert_eq!(again.status, StatusCode::ACCEPTED, "{again:?}");
    working.stop().await;
}

// --- Who sees what ----------------------------------------------------------------------------------------------------

/// Every operation of the document: method, path, and whether the path has a parameter.
pub(crate) async fn operations(client: &Client) -> Vec<(String, String)> {
    let document = client.get("/openapi.json").await.json();
    let paths = document["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, item)| {
        item.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.clone())).collect::<Vec<_>>()
    });
    operations.collect()
}

/// A body that each operation takes, so that a rejection has no other reason than the one that is tested.
pub(crate) fn body_for(method: &str, path: &str) -> Option<Value> {
    Some(match (method, path) {
        ("GET" | "DELETE", _) => return None,
        ("POST", "/endpoints") => json!({ "url": "http://127.0.0.1:9999/hook" }),
        ("POST", "/messages") => json!({ "type": "order.completed", "data": 7 }),
        ("POST", "/endpoints/{id}/send-example") => json!({ "type": "order.completed" }),
        ("POST", "/endpoints/{id}/recover") => json!({ "since": "2026-01-01T00:00:00Z" }),
        ("PUT", "/event-types") => json!({ "data": [{ "name": "order.completed" }] }),
        ("POST", "/inbox/replay" | "/inbox/discard") => json!({ "since": "2026-01-01T00:00:00Z" }),
        _ => json!({}),
    })
}

#[tokio::test]
async fn no_operation_of_the_document_shows_or_changes_what_is_anothers() {
    let webhooks = dispatcher(MemoryOutbox::new());
    let receiver = Receiver::new(MemoryInbox::new());
    let api = Api::new(webhooks.clone(), authorize).with_inbox(receiver.inbox.clone()).unwrap();
    let acme = Client::of(api.with_idempotency(MemoryStore::new()).router(), "acme");
    let globex = acme.with_key("globex");
    let event = receiver.accept("acme", "evt_of_acme", "order.created", json!({ "note": "a-secret-of-acme" })).await;
    receiver.work().await;
    let endpoint = json!({ "url": "http://127.0.0.1:9999/hook", "description": "a-secret-of-acme",
        "metadata": { "plan": "a-secret-of-acme" } });
    let endpoint = acme.create(endpoint).await;
    let example = EventTypeDefinition::new("order.completed").unwrap().example("7").unwrap();
    webhooks.event_types().put([example]).await.unwrap();
    let tenant = webhooks.tenant("acme").unwrap();
    tenant.dispatch(Message::new("order.completed", &7).unwrap().id("m-1".parse().unwrap())).await.unwrap();
    let delivery = acme.get("/deliveries").await.json()["data"][0]["id"].clone();

    let mut seen = 0;
    for (method, path) in operations(&acme).await {
        let id = if path.starts_with("/endpoints") {
            text(&endpoint["id"])
        } else if path.starts_with("/deliveries") {
            text(&delivery)
        } else if path.starts_with("/messages") {
            "m-1"
        } else if path.starts_with("/inbox") {
            &event
        } else {
            "acme"
        };
        let address = path.replace("{id}", id).replace("{name}", id);
        let body = body_for(&method, &path);

        // Nobody.
        let nobody = acme.with_key("").call(&method, &address, body.clone()).await;
        assert_eq!(nobody.status, StatusCode::UNAUTHORIZED, "{method} {path}");

        // Somebody else.
        let answer = globex.call(&method, &address, body.clone()).await;
        let shows = |answer: &Answer| answer.text.contains("a-secret-of-acme") || answer.text.contains("acme");
        assert!(!shows(&answer), "{method} {path}: {answer:?}");
        let by_an_operator = globex.with_key("operator of globex").call(&method, &address, body.clone()).await;
        assert!(!shows(&by_an_operator), "{method} {path}: {by_an_operator:?}");
        if path.contains('{') {
            let is_everybodys = path.starts_with("/event-types");
            assert_eq!(by_an_operator.status, StatusCode::NOT_FOUND, "{method} {path}: {by_an_operator:?}");
            let for_operators = method == "POST" && path.starts_with("/inbox");
            let by_role = answer.status == StatusCode::FORBIDDEN
                && (path.starts_with("/tenants") || is_everybodys || for_operators);
            assert!(answer.status == StatusCode::NOT_FOUND || by_role, "{method} {path}: {answer:?}");
            // Another tenant's object looks like one that does not exist.
            let unknown = path.replace("{id}", "ep_00000000000000000000000000000000").replace("{name}", "nobody");
            let unknown = globex.call(&method, &unknown, body.clone()).await;
            assert_eq!(unknown.status, answer.status, "{method} {path}: {unknown:?}");
            seen += 1;
        }

        // A tenant names another one in the query.
        if method == "GET" && !path.contains('{') && !path.starts_with("/event-types") {
            let answer = globex.call(&method, &format!("{address}?tenant=acme"), None).await;
            answer.problem(403, "forbidden");
        }
    }
    assert!(seen >= 15, "{seen} operations with an id");
    assert_eq!(acme.get("/inbox").await.json()["data"][0]["state"], "dead");
    let after = acme.get(&format!("/endpoints/{}", text(&endpoint["id"]))).await.json();
    assert_eq!(after["enabled"], true);
    assert_eq!(acme.get("/deliveries").await.json()["data"][0]["state"], "pending");
}

#[tokio::test]
async fn an_owner_may_not_do_what_an_operator_may() {
    let acme = Client::new(&dispatcher(MemoryOutbox::new()), "acme");
    let entry = json!({ "data": [{ "name": "order.completed", "schema": { "type": "object" } }] });

    for (method, path, body) in [
        ("POST", "/messages", Some(json!({ "type": "order.completed", "data": 7 }))),
        ("PUT", "/event-types", Some(entry.clone())),
        ("DELETE", "/event-types/order.completed", None),
        ("DELETE", "/tenants/acme", None),
    ] {
        acme.call(method, path, body).await.problem(403, "forbidden");
    }

    let operator = acme.with_key(OPERATOR);
    assert_eq!(operator.call("PUT", "/event-types", Some(entry)).await.status, StatusCode::NO_CONTENT);
    let slashed = json!({ "data": [{ "name": "orders/create" }] });
    assert_eq!(operator.call("PUT", "/event-types", Some(slashed)).await.status, StatusCode::NO_CONTENT);
    let removed = operator.call("DELETE", "/event-types/orders%2Fcreate", None).await;
    assert_eq!(removed.status, StatusCode::NO_CONTENT, "{removed:?}");
    let catalogue = acme.get("/event-types").await.json();
    assert_eq!(catalogue["data"][0]["name"], "order.completed");
    assert_eq!(catalogue["data"][0]["schema"], r#"{"type":"object"}"#);
}

#[tokio::test]
async fn an_operator_names_the_tenant_and_erases_it() {
    let webhooks = dispatcher(MemoryOutbox::new());
    let operator = Client::new(&webhooks, OPERATOR);
    let url = json!({ "url": "http://127.0.0.1:9999/hook" });

    assert_eq!(operator.post("/endpoints?tenant=acme", url.clone()).await.json()["tenant"], "acme");
    assert_eq!(operator.post("/endpoints", url).await.json().get("tenant"), None);
    assert_eq!(operator.get("/endpoints?tenant=acme").await.json()["data"].as_array().unwrap().len(), 1);
    assert_eq!(operator.get("/endpoints?tenant=globex").await.json()["data"], json!([]));

    assert_eq!(operator.call("DELETE", "/tenants/acme", None).await.json(), json!({ "rows": 1, "events_left": false }));
    assert_eq!(operator.get("/endpoints?tenant=acme").await.json()["data"], json!([]));
    assert_eq!(operator.get("/endpoints").await.json()["data"].as_array().unwrap().len(), 1, "the others stay");
}

// --- Problems ---------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn an_operator_lists_what_all_tenants_have() {
    let webhooks = dispatcher(MemoryOutbox::new());
    let operator = Client::new(&webhooks, OPERATOR);
    for tenant in ["acme", "globex"] {
        let tenant = webhooks.tenant(tenant).unwrap();
        tenant.endpoints().create(NewEndpoint::new("http://127.0.0.1:9999/hook").unwrap()).await.unwrap();
        tenant.dispatch(Message::new("order.completed", &7).unwrap()).await.unwrap();
    }
    for path in ["/endpoints", "/deliveries"] {
        let all = operator.get(&format!("{path}?all_tenants=true")).await;
        assert_eq!(all.status, StatusCode::OK, "{all:?}");
        let mut tenants: Vec<_> =
            all.json()["data"].as_array().unwrap().iter().map(|row| row["tenant"].clone()).collect();
        tenants.sort_by_key(Value::to_string);
        assert_eq!(tenants, ["acme", "globex"], "{path}");

        // In pages.
        let first = operator.get(&format!("{path}?all_tenants=true&limit=1")).await.json();
        let place = if path == "/endpoints" { "after" } else { "before" };
        let next = format!("{path}?all_tenants=true&limit=1&{place}={}", text(&first["next"]));
        let second = operator.get(&next).await.json();
        assert_eq!(second["data"].as_array().unwrap().len(), 1, "{second}");
        assert_ne!(first["data"][0]["id"], second["data"][0]["id"]);
        assert_eq!(second["next"], Value::Null);

        assert_eq!(operator.get(&format!("{path}?all_tenants=false")).await.json()["data"], json!([]));
        operator.get(&format!("{path}?all_tenants=true&tenant=acme")).await.problem(422, "invalid_parameter");
        operator.get(&format!("{path}?all_tenants=yes")).await.problem(400, "invalid_parameter");
        for other in ["acme", "operator of acme"] {
            operator.with_key(other).get(&format!("{path}?all_tenants=true")).await.problem(403, "forbidden");
        }
    }
    let given_up = operator.get("/deliveries?all_tenants=true&state=exhausted").await.json();
    assert_eq!(given_up["data"], json!([]));
    let endpoint = webhooks.tenant("acme").unwrap().endpoints().list(None, 1).await.unwrap()[0].id();
    for (filter, name) in [
        ("state=pending", "state"),
        ("type=order.completed", "type"),
        ("message=m-1", "message"),
        (&format!("endpoint={endpoint}"), "endpoint"),
    ] {
        let problem =
            operator.get(&format!("/deliveries?all_tenants=true&{filter}")).await.problem(422, "invalid_parameter");
        assert_eq!(problem["errors"][0]["parameter"], name, "{problem}");
    }
}

#[tokio::test]
async fn a_problem_names_the_field_and_nothing_is_changed() {
    let acme = Client::new(&dispatcher(MemoryOutbox::new()), "acme");
    let with = |field: &str, value: Value| {
        let mut body = json!({ "url": "http://127.0.0.1:9999/hook" });
        body[field] = value;
        body
    };
    for (body, pointer) in [
        (json!({}), "#"),
        (json!([]), "#"),
        (json!("text"), "#"),
        (with("url", json!("")), "#/url"),
        (with("url", json!("http://10.0.0.1/hook")), "#/url"),
        (with("url", json!("https://user:password@example.com/")), "#/url"),
        (with("url", Value::Null), "#/url"),
        (with("url", json!(7)), "#/url"),
        (with("colour", json!("red")), "#/colour"),
        (with("events", json!([])), "#/events"),
        (with("events", json!(["order.*", "or der"])), "#/events/1"),
        (with("events", json!(["order.*", 7])), "#/events/1"),
        (with("description", json!("x".repeat(1025))), "#/description"),
        (with("headers", json!({ "host": "internal" })), "#/headers/host"),
        (with("headers", json!({ "a/b~c": "x" })), "#/headers/a~1b~0c"),
        (with("headers", json!({ "x-ä": "x" })), "#/headers/x-%C3%A4"),
        (with("rate_limit", json!("10/h")), "#/rate_limit"),
        (with("secret", json!("short")), "#/secret"),
        (with("style", json!("rot13")), "#/style"),
        (with("api_version", json!("2020-01")), "#/api_version"),
        (with("metadata", json!({ "a": 7 })), "#/metadata/a"),
        (with("metadata", json!({ "a": null })), "#/metadata/a"),
        (with("metadata", json!({ "a/b": "x".repeat(501) })), "#/metadata/a~1b"),
        (with("metadata", json!({ "": "x" })), "#/metadata"),
        (with("metadata", json!(["a"])), "#/metadata"),
        (with("labels", json!({ "a": 7 })), "#/labels/a"),
        (with("labels", json!({ "a": "" })), "#/labels/a"),
        (with("labels", json!({ "a": "x\ny" })), "#/labels/a"),
        (with("labels", json!({ "a": "x".repeat(101) })), "#/labels/a"),
        (with("labels", json!({ "a=b": "x" })), "#/labels"),
        (
            with("labels", (0..17).map(|n| (format!("a{n}"), json!("b"))).collect::<serde_json::Map<_, _>>().into()),
            "#/labels",
        ),
        (with("client_identity", json!({ "certificates": "-", "key": "-" })), "#/client_identity"),
        (with("client_identity", json!({ "certificates": "-" })), "#/client_identity"),
        (
            with(
                "client_credentials",
                json!({ "token_url": "https://10.0.0.1/", "client_id": "a", "client_secret": "b" }),
            ),
            "#/client_credentials/token_url",
        ),
        (
            with("client_credentials", json!({ "token_url": "-", "client_id": "a", "client_secret": "b" })),
            "#/client_credentials/token_url",
        ),
        (with("client_credentials", json!({ "client_id": "a" })), "#/client_credentials"),
        (with("ping", json!("yes")), "#/ping"),
    ] {
        let problem = acme.post("/endpoints", body.clone()).await.problem(422, "invalid");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}: {problem}");
        assert!(!text(&problem["errors"][0]["detail"]).is_empty(), "{problem}");
    }
    let insecure = acme.post("/endpoints", json!({ "url": "ftp://example.com/hook" })).await;
    assert_eq!(insecure.problem(400, "invalid")["errors"][0]["pointer"], "#/url");
    assert_eq!(acme.get("/endpoints").await.json()["data"], json!([]));

    let id = text(&acme.create(json!({ "url": "http://127.0.0.1:9999/hook" })).await["id"]).to_owned();
    for (body, pointer) in [
        (json!({ "url": null }), "#/url"),
        (json!({ "description": null }), "#/description"),
        (json!({ "events": [""] }), "#/events/0"),
        (json!({ "enabled": false }), "#/enabled"),
        (json!({ "style": "standard-webhooks-v1a" }), "#/style"),
        (json!({ "metadata": { "a": [] } }), "#/metadata/a"),
        (json!({ "metadata": { "a": "x".repeat(501) } }), "#/metadata/a"),
        (json!({ "labels": { "a": "x".repeat(101) } }), "#/labels/a"),
    ] {
        let problem = acme.call("PATCH", &format!("/endpoints/{id}"), Some(body.clone())).await.problem(422, "invalid");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}: {problem}");
    }
}

#[tokio::test]
async fn what_is_not_json_or_not_known_is_a_problem() {
    let acme = Client::new(&dispatcher(MemoryOutbox::new()), "acme");
    let post = |content_type: Option<&str>, body: &'static str| {
        let mut request = acme.request("POST", "/endpoints", Some(&json!({})));
        *request.body_mut() = Body::from(body);
        request.headers_mut().remove(header::CONTENT_TYPE);
        if let Some(content_type) = content_type {
            request.headers_mut().insert(header::CONTENT_TYPE, content_type.parse().unwrap());
        }
        acme.send(request)
    };
    let body = r#"{"url":"http://127.0.0.1:9999/hook"}"#;

    for body in ["", "{", "url=x", "{\"url\":\"\u{0}\"}", "[[[[", "{}{}"] {
        post(Some("application/json"), body).await.problem(400, "malformed");
    }
    let id = text(&acme.create(json!({ "url": "http://127.0.0.1:9999/hook" })).await["id"]).to_owned();
    for (action, array) in
        [("enable", json!([])), ("rotate-secret", json!([60])), ("recover", json!(["2026-01-01T00:00:00Z"]))]
    {
        acme.post(&format!("/endpoints/{id}/{action}"), array).await.problem(422, "invalid");
    }
    let twice = post(Some("application/json"), r#"{"url":"http://a.example/","url":"http://b.example/"}"#).await;
    twice.problem(422, "invalid");
    for content_type in
        [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("application/json; charset=utf-16")]
    {
        post(content_type, body).await.problem(415, "unsupported_media_type");
    }
    for content_type in ["Application/JSON; Charset=\"UTF-8\"", "application/json"] {
        assert_eq!(post(Some(content_type), body).await.status, StatusCode::CREATED, "{content_type}");
    }

    let large = json!({ "url": "x".repeat(1024 * 1024) });
    acme.post("/endpoints", large).await.problem(413, "too_large");
    acme.get("/nothing").await.problem(404, "not_found");
    acme.get("/endpoints/x%FF").await.problem(404, "not_found");
    let wrong = acme.call("PUT", "/endpoints", Some(json!({}))).await;
    wrong.problem(405, "method_not_allowed");
    assert!(wrong.header("allow").contains("GET") && wrong.header("allow").contains("POST"), "{wrong:?}");

    for query in ["limit=0", "limit=-1", "limit=many", "after=x", "colour=red", "limit=1&limit=2", "tenant=%FF"] {
        acme.get(&format!("/endpoints?{query}")).await.problem(400, "invalid_parameter");
    }
    for query in ["state=lost", "endpoint=acme", "type=a..b", "message=a%00b", "before=7", "before=dlv_-1"] {
        acme.get(&format!("/deliveries?{query}")).await.problem(400, "invalid_parameter");
    }
    acme.get("/messages?before=7").await.problem(400, "invalid_parameter");
    let unknown = acme.post(&format!("/endpoints/ep_{:032x}/enable", 7), json!({ "now": true })).await;
    assert_eq!(unknown.problem(422, "invalid")["errors"][0]["pointer"], "#/now");
}

#[tokio::test]
async fn what_is_over_a_quota_is_429_and_says_when_to_come_again() {
    let webhooks =
        outbox::quick(MemoryOutbox::new()).quotas(Quotas::default().endpoints(1).patterns(1)).build().unwrap();
    let acme = Client::new(&webhooks, "acme");
    acme.create(json!({ "url": "http://127.0.0.1:9999/hook" })).await;

    let over = acme.post("/endpoints", json!({ "url": "http://127.0.0.1:9999/hook" })).await;

    over.problem(429, "quota");
    assert_eq!(over.header("retry-after"), "60");
}

#[tokio::test]
async fn a_tenant_that_calls_too_often_is_429_and_others_are_not() {
    let webhooks = dispatcher(MemoryOutbox::new());
    let limited = Api::new(webhooks.clone(), authorize).with_rate_limit("3/min".parse().unwrap());
    let acme = Client { app: Router::new().nest("/hooks", limited.router()), ..Client::new(&webhooks, "acme") };
    for _ in 0..3 {
        assert_eq!(acme.get("/endpoints").await.status, StatusCode::OK);
    }

    let over = acme.post("/endpoints", json!({ "url": "http://127.0.0.1:9999/hook" })).await;

    let problem = over.problem(429, "rate_limited");
    assert!(text(&problem["detail"]).contains("3/min"), "{problem}");
    let wait: u64 = over.header("retry-after").parse().unwrap();
    assert!((1..=20).contains(&wait), "{wait}");
    acme.get("/no/such/route").await.problem(404, "not_found");
    assert_eq!(acme.with_key("globex").get("/endpoints").await.status, StatusCode::OK);
    for _ in 0..10 {
        let seen = acme.with_key("operator of acme").get("/endpoints").await.json();
        assert_eq!(seen["data"], json!([]), "the rejected write did nothing");
        assert_eq!(acme.get("/openapi.json").await.status, StatusCode::OK);
    }

    let unlimited = Api::new(webhooks.clone(), authorize).without_rate_limit();
    let acme = Client { app: Router::new().nest("/hooks", unlimited.router()), ..acme };
    for _ in 0..250 {
        assert_eq!(acme.get("/event-types").await.status, StatusCode::OK);
    }
}

/// A body that never sends a byte.
struct Silence;

impl http_body::Body for Silence {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        std::task::Poll::Pending
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_end_is_answered_in_time() {
    let acme = Client::new(&dispatcher(MemoryOutbox::new()), "acme");
    let begun = tokio::time::Instant::now();
    for key in [None, Some("once")] {
        let (mut request, _) = acme.request("POST", "/endpoints", Some(&json!({}))).into_parts();
        if let Some(key) = key {
            request.headers.insert("idempotency-key", key.parse().unwrap());
        }

        let answer = acme.send(Request::from_parts(request, Body::new(Silence))).await;

        answer.problem(408, "too_slow");
    }
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}

// --- Writes by somebody else's page, and writes that others overtake --------------------------------------------------

#[tokio::test]
async fn a_page_of_another_site_changes_nothing() {
    let webhooks = dispatcher(MemoryOutbox::new());
    let api = Api::new(webhooks, authorize).with_trusted_origin("https://console.example.com").unwrap();
    let acme = Client { app: Router::new().nest("/hooks", api.router()), key: "acme" };
    let body = || json!({ "url": "http://127.0.0.1:9999/hook" });

    for headers in [
        &[("sec-fetch-site", "cross-site")][..],
        &[("sec-fetch-site", "same-site"), ("origin", "https://evil.example.com"), ("host", "example.com")],
        &[("origin", "https://evil.example"), ("host", "example.com")],
        &[("origin", "null"), ("host", "example.com")],
    ] {
        acme.call_with("POST", "/endpoints", body(), headers).await.problem(403, "cross_site");
    }
    for headers in [
        &[("sec-fetch-site", "same-origin")][..],
        &[("origin", "https://example.com"), ("host", "example.com")],
        &[("sec-fetch-site", "cross-site"), ("origin", "https://console.example.com")],
        &[],
    ] {
        let answer = acme.call_with("POST", "/endpoints", body(), headers).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{headers:?}: {answer:?}");
    }
}

#[tokio::test]
async fn an_update_of_what_was_changed_meanwhile_is_refused() {
    let webhooks = dispatcher(MemoryOutbox::new());
    let acme = Client::new(&webhooks, "acme");
    let id = text(&acme.create(json!({ "url": "http://127.0.0.1:9999/hook" })).await["id"]).to_owned();
    let path = format!("/endpoints/{id}");
    let first = acme.get(&path).await.header("etag").to_owned();

    let change = |tag: &str| {
        let tag = tag.to_owned();
        let (acme, path) = (&acme, &path);
        async move { acme.call_with("PATCH", path, json!({ "description": "mine" }), &[("if-match", &tag)]).await }
    };
    let changed = change(&format!("\"other\", {first}")).await;
    assert_eq!(changed.status, StatusCode::OK, "{changed:?}");
    change(&first).await.problem(412, "stale");
    change(&format!("W/{}", changed.header("etag"))).await.problem(412, "stale");
    assert_eq!(change("*").await.status, StatusCode::OK);
    let now = acme.get(&path).await.header("etag").to_owned();
    let mut request = acme.request("GET", &path, None);
    request.headers_mut().insert("if-none-match", now.parse().unwrap());
    assert_eq!(acme.send(request).await.status, StatusCode::NOT_MODIFIED);

    let mut request = acme.request("DELETE", &path, None);
    request.headers_mut().insert("if-match", first.parse().unwrap());
    acme.send(request).await.problem(412, "stale");

    let strict = Api::new(webhooks, authorize).with_required_if_match();
    let strict = Client { app: Router::new().nest("/hooks", strict.router()), key: "acme" };
    strict.call("PATCH", &path, Some(json!({}))).await.problem(428, "precondition_required");
    strict.call("DELETE", &path, None).await.problem(428, "precondition_required");
    let answer = strict.call_with("PATCH", &path, json!({}), &[("if-match", &now)]).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
}

// --- Repeated requests ------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_repeated_request_does_nothing_and_is_answered_as_the_first_one_was() {
    let acme = Client::new(&dispatcher(MemoryOutbox::new()), "acme");
    let body = || json!({ "url": "http://127.0.0.1:9999/hook" });
    let create = |client: &Client, key: &'static str, body: Value| {
        let client = client.with_key(client.key);
        async move { client.call_with("POST", "/endpoints", body, &[("idempotency-key", key)]).await }
    };

    let first = create(&acme, "k-1", body()).await;
    let second = create(&acme, "\"k-1\"", body()).await;
    assert_eq!(second.status, StatusCode::CREATED, "{second:?}");
    assert_eq!(second.text, first.text);
    for name in ["location", "etag", "content-type", "cache-control"] {
        assert_eq!(second.header(name), first.header(name), "{name}");
    }
    assert_eq!(second.header("idempotent-replayed"), "true");
    assert_eq!(first.header("idempotent-replayed"), "");
    assert_eq!(acme.get("/endpoints").await.json()["data"].as_array().unwrap().len(), 1);

    let mut other = body();
    other["description"] = json!("another");
    create(&acme, "k-1", other).await.problem(422, "idempotency_key_reused");
    let another = create(&acme.with_key("globex"), "k-1", body()).await;
    assert_eq!(another.header("idempotent-replayed"), "", "another tenant's key is another key");

    // What failed may be tried again under its key.
    create(&acme, "k-2", json!({ "url": "nonsense" })).await;
    assert_eq!(create(&acme, "k-2", body()).await.status, StatusCode::CREATED);
    for key in ["", "\"\"", "a b"] {
        let answer = acme.call_with("POST", "/endpoints", body(), &[("idempotency-key", key)]).await;
        assert_eq!(answer.problem(400, "invalid_parameter")["errors"][0]["parameter"], "Idempotency-Key");
    }
}

#[tokio::test]
async fn many_equal_requests_at_once_do_it_once() {
    let acme = Client::new(&dispatcher(MemoryOutbox::new()), "acme");
    let tasks = (0..20).map(|_| {
        let acme = acme.with_key("acme");
        tokio::spawn(async move {
            let body = json!({ "url": "http://127.0.0.1:9999/hook" });
            acme.call_with("POST", "/endpoints", body, &[("idempotency-key", "k")]).await
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        let answer = task.await.unwrap();
        assert!(matches!(answer.status.as_u16(), 201 | 409), "{answer:?}");
    }
    assert_eq!(acme.get("/endpoints").await.json()["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_kept_answer_shows_no_secret_to_a_reader_of_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let url = format!("sqlite://{}", file.display());
    let store = tower_webhooks::store::SqliteStore::connect(&url).await.unwrap();
    let api = Api::new(dispatcher(store.clone()), authorize).with_idempotency(store);
    let acme = Client { app: Router::new().nest("/hooks", api.router()), key: "acme" };

    let body =
        json!({ "url": "http://127.0.0.1:9999/hook", "headers": { "authorization": "Bearer t0p-s3cret-t0ken" } });
    let created = acme.call_with("POST", "/endpoints", body.clone(), &[("idempotency-key", "k")]).await;
    let again = acme.call_with("POST", "/endpoints", body, &[("idempotency-key", "k")]).await;
    assert_eq!(again.text, created.text);

    let secret = text(&created.json()["secret"]).strip_prefix("whsec_").unwrap().to_owned();
    let key = data_encoding::BASE64.decode(secret.as_bytes()).unwrap();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        for needle in [secret.as_bytes(), &key, b"t0p-s3cret-t0ken"] {
            assert!(!bytes.windows(needle.len()).any(|window| window == needle), "a secret is in the file");
        }
    }
}

#[tokio::test]
async fn applications_and_roles_with_one_store_have_keys_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/app.db", folder.path().display());
    let store = async |name: Option<&str>| {
        let options = tower_webhooks::store::SqliteStore::options();
        let options = name.map_or(Ok(options.clone()), |name| options.application_name(name)).unwrap();
        options.connect(&url).await.unwrap()
    };
    let client = |store, key| {
        let api = Api::new(dispatcher(MemoryOutbox::new()), authorize).with_idempotency(store);
        Client { app: Router::new().nest("/hooks", api.router()), key }
    };
    let body = json!({ "url": "http://127.0.0.1:9999/hook" });
    let key = [("idempotency-key", "setup-1")];

    for (name, who) in [(None, "acme"), (Some("billing"), "acme"), (Some("crm"), "acme"), (None, "operator of acme")] {
        let answer = client(store(name).await, who).call_with("POST", "/endpoints", body.clone(), &key).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{name:?} {who}: {answer:?}");
        assert_eq!(answer.header("idempotent-replayed"), "", "{name:?} {who}");
    }
}

#[tokio::test]
async fn a_message_under_a_key_is_the_same_message_whatever_became_of_the_first_request() {
    let webhooks = dispatcher(MemoryOutbox::new());
    let body = json!({ "type": "order.completed", "data": 7 });
    let key = [("idempotency-key", "k")];

    // Two stores: the second knows nothing of the first request, as after a record that could not be made.
    let mut ids = BTreeSet::new();
    for _ in 0..2 {
        let operator = Client::new(&webhooks, "operator of acme");
        ids.insert(text(&operator.call_with("POST", "/messages", body.clone(), &key).await.json()["id"]).to_owned());
    }

    assert_eq!(ids.len(), 1, "{ids:?}");
    assert_eq!(Client::new(&webhooks, "acme").get("/messages").await.json()["data"].as_array().unwrap().len(), 1);
}

/// A store of claims that stops answering when the test says so.
struct Hanging(MemoryStore, std::sync::Arc<std::sync::atomic::AtomicBool>);

impl Hanging {
    async fn wait(&self) {
        if self.1.load(std::sync::atomic::Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    }
}

impl tower_webhooks::idempotency::IdempotencyStore for Hanging {
    fn claim(&self, claim: ClaimRequest) -> BoxFuture<'_, Result<ClaimOutcome, StoreError>> {
        Box::pin(async move {
            self.wait().await;
            self.0.claim(claim).await
        })
    }

    fn complete(
        &self,
        key: ClaimKey,
        token: ClaimToken,
        completion: Completion,
    ) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(async move {
            self.wait().await;
            self.0.complete(key, token, completion).await
        })
    }

    fn release(&self, key: ClaimKey, token: ClaimToken) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.0.release(key, token)
    }

    fn renew(&self, key: ClaimKey, token: ClaimToken, lease: Duration) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.0.renew(key, token, lease)
    }

    fn is_done(&self, key: ClaimKey, token: ClaimToken) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.0.is_done(key, token)
    }

    fn purge(&self, limit: u32) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.0.purge(limit)
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_of_repeats_that_hangs_is_503_and_holds_no_request() {
    let hangs = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let api = Api::new(dispatcher(MemoryOutbox::new()), authorize);
    let api = api.with_idempotency(Hanging(MemoryStore::new(), hangs.clone()));
    let acme = Client { app: Router::new().nest("/hooks", api.router()), key: "acme" };
    let body = || json!({ "url": "http://127.0.0.1:9999/hook" });

    let answer = acme.call_with("POST", "/endpoints", body(), &[("idempotency-key", "k")]).await;
    answer.problem(503, "unavailable");
    assert_eq!(answer.header("retry-after"), "1");

    hangs.store(false, std::sync::atomic::Ordering::SeqCst);
    let answer = acme.call_with("POST", "/endpoints", body(), &[("idempotency-key", "k")]).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
}

#[tokio::test]
async fn what_an_endpoint_missed_is_recovered_by_one_request_at_a_time() {
    let acme = Client::new(&dispatcher(MemoryOutbox::new()), "acme");
    let id = text(&acme.create(json!({ "url": "http://127.0.0.1:9999/hook" })).await["id"]).to_owned();
    let path = format!("/endpoints/{id}/recover");

    let requests = (0..20).map(|_| acme.post(&path, json!({ "since": "2026-01-01T00:00:00Z" })));
    for answer in futures_of(requests.collect()).await {
        if answer.status != StatusCode::ACCEPTED {
            answer.problem(409, "in_flight");
        }
    }
    // And again, once it is done.
    assert_eq!(acme.post(&path, json!({ "since": "2026-01-01T00:00:00Z" })).await.status, StatusCode::ACCEPTED);
}

/// Polls all futures side by side.
async fn futures_of<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut waiting: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|cx| {
        for (future, output) in waiting.iter_mut().filter(|(_, output)| output.is_none()) {
            if let std::task::Poll::Ready(ready) = future.as_mut().poll(cx) {
                *output = Some(ready);
            }
        }
        if waiting.iter().all(|(_, output)| output.is_some()) {
            return std::task::Poll::Ready(());
        }
        std::task::Poll::Pending
    })
    .await;
    waiting.into_iter().filter_map(|(_, output)| output).collect()
}

#[tokio::test]
async fn without_a_store_of_repeats_a_key_is_not_taken_for_a_promise() {
    let api = Api::new(dispatcher(MemoryOutbox::new()), authorize);
    let acme = Client { app: Router::new().nest("/hooks", api.router()), key: "acme" };

    let body = json!({ "url": "http://127.0.0.1:9999/hook" });
    let answer = acme.call_with("POST", "/endpoints", body, &[("idempotency-key", "k")]).await;

    answer.problem(400, "invalid_parameter");
    assert_eq!(acme.get("/endpoints").await.json()["data"], json!([]));
}

#[tokio::test]
async fn a_write_whose_client_hangs_up_is_done_anyway() {
    let webhooks = dispatcher(MemoryOutbox::new());
    let acme = Client::new(&webhooks, "acme");
    let request = acme.request("POST", "/endpoints", Some(&json!({ "url": "http://127.0.0.1:9999/hook" })));

    // Polled once, and dropped.
    let mut answer = Box::pin(acme.app.clone().oneshot(request));
    let _ = poll_once(&mut answer).await;
    drop(answer);

    let registered = tokio::time::timeout(Duration::from_secs(10), async {
        while acme.get("/endpoints").await.json()["data"] == json!([]) {
            tokio::task::yield_now().await;
        }
    });
    registered.await.expect("the endpoint is registered");
}

/// Polls a future until it has authorized and begun, which takes no more than a few polls on a store in memory.
async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|cx| match std::pin::Pin::new(&mut *future).poll(cx) {
        std::task::Poll::Ready(output) => std::task::Poll::Ready(Some(output)),
        std::task::Poll::Pending => std::task::Poll::Ready(None),
    })
    .await
}

// --- Stats and health ---------------------------------------------------------------------------------------------------

#[tokio::test]
async fn stats_count_how_attempts_ended_and_what_waits() {
    let folder = tempfile::tempdir().unwrap();
    let store = outbox::open(&format!("sqlite://{}/app.db", folder.path().display())).await;
    let webhooks = dispatcher(store);
    let (acme, operator) = (Client::new(&webhooks, "acme"), Client::new(&webhooks, OPERATOR));
    let works = outbox::serve(Router::new().route("/hook", axum::routing::post(|| async {}))).await;
    let broken = StatusCode::INTERNAL_SERVER_ERROR;
    let fails = outbox::serve(Router::new().route("/hook", axum::routing::post(move || async move { broken }))).await;
    let works = text(&acme.create(json!({ "url": works })).await["id"]).to_owned();
    let fails = text(&acme.create(json!({ "url": fails, "events": ["order.failed"] })).await["id"]).to_owned();
    let tenant = webhooks.tenant("acme").unwrap();
    for number in 0..3 {
        tenant.dispatch(outbox::message(number)).await.unwrap();
    }
    tenant.dispatch(Message::new("order.failed", &7).unwrap()).await.unwrap();

    let waiting = acme.get("/stats").await.json();
    assert_eq!(waiting["backlog"]["waiting"], 5, "{waiting}");
    assert_eq!(waiting["success_rate"], Value::Null, "{waiting}");
    assert_eq!(waiting["hours"].as_array().unwrap().len(), 25, "a day, and the hour that has begun");

    let working = outbox::Working::start(&webhooks);
    outbox::until("all have ended", async || {
        let stats = acme.get("/stats").await.json();
        stats["delivered"] == 4 && stats["exhausted"] == 1
    })
    .await;
    working.stop().await;

    let stats = acme.get("/stats").await.json();
    assert_eq!(stats["attempts"], json!(stats["delivered"].as_u64().unwrap() + stats["retried"].as_u64().unwrap() + 1));
    assert_eq!(stats["backlog"]["waiting"], 0, "{stats}");
    assert!(stats["latency_ms"]["p50"].as_u64() <= stats["latency_ms"]["p99"].as_u64(), "{stats}");
    let hours = stats["hours"].as_array().unwrap();
    let sum = |field: &str| hours.iter().map(|hour| hour[field].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("delivered"), sum("attempts")), (4, stats["attempts"].as_u64().unwrap()));

    let of_one = acme.get(&format!("/endpoints/{works}/stats")).await.json();
    assert_eq!((&of_one["delivered"], &of_one["success_rate"]), (&json!(4), &json!(1.0)), "{of_one}");
    assert_eq!(of_one["circuit"], json!({ "state": "closed", "failures": 0, "failing_since": null }));
    let of_other = acme.get(&format!("/endpoints/{fails}/stats")).await.json();
    assert_eq!(of_other["circuit"]["state"], "open", "{of_other}");

    let all = operator.get("/stats?all_tenants=true").await.json();
    assert_eq!(all["attempts"], stats["attempts"]);
    assert_eq!(operator.get("/stats").await.json()["attempts"], 0, "of what has no tenant");
    acme.get("/stats?all_tenants=true").await.problem(403, "forbidden");
    acme.get("/stats?since=yesterday").await.problem(400, "invalid_parameter");
    acme.get("/stats?since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z").await.problem(422, "invalid_parameter");
    acme.get("/stats?since=2020-01-01T00:00:00Z&until=2026-01-01T00:00:00Z").await.problem(422, "invalid_parameter");
    acme.get("/stats?until=1969-12-31T00:00:00Z").await.problem(422, "invalid_parameter");
    operator.get("/stats?all_tenants=true&tenant=acme").await.problem(422, "invalid_parameter");
    let empty = acme.get("/stats?since=2026-01-01T00:10:00Z&until=2026-01-01T02:10:00Z").await.json();
    assert_eq!(empty["since"], "2026-01-01T00:00:00.000Z", "{empty}");
    assert_eq!(empty["hours"].as_array().unwrap().len(), 3, "{empty}");
}

#[tokio::test]
async fn a_health_check_fails_past_its_limits_and_where_the_store_is_down() {
    let offset = ClockOffset::default();
    let webhooks = dispatcher(MemoryOutbox::with_offset(offset.clone()));
    let limits = HealthLimits::default().unserved(Duration::from_secs(60));
    let check = async |webhooks: &Dispatcher, limits| {
        let app = Router::new().route("/healthz", axum::routing::get(api::health(webhooks.clone(), limits)));
        Client { app: Router::new().nest("/hooks", app), key: "" }.get("/healthz").await
    };
    let empty = check(&webhooks, limits).await;
    assert_eq!(empty.status, StatusCode::OK);
    assert_eq!(empty.json(), json!({ "status": "ok", "waiting": 0, "oldest_due_seconds": 0, "unserved_seconds": 0 }));

    webhooks.endpoints().create(NewEndpoint::new("http://127.0.0.1:9999/hook").unwrap()).await.unwrap();
    webhooks.dispatch(outbox::message(1)).await.unwrap();
    offset.advance(Duration::from_secs(61));
    let late = check(&webhooks, limits).await;
    assert_eq!((late.status, &late.json()["status"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("overdue")), "{late:?}");
    assert_eq!(late.json()["unserved_seconds"], 61, "{late:?}");
    assert_eq!(check(&webhooks, HealthLimits::default()).await.status, StatusCode::OK, "without limits");
    assert_eq!(check(&webhooks, HealthLimits::default().waiting(0)).await.status, StatusCode::SERVICE_UNAVAILABLE);

    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::connect(&format!("sqlite://{}/app.db", folder.path().display())).await.unwrap();
    let webhooks = dispatcher(store.clone());
    store.close().await;
    let down = check(&webhooks, limits).await;
    assert_eq!((down.status, down.json()), (StatusCode::SERVICE_UNAVAILABLE, json!({ "status": "unavailable" })));
}

// --- Pages ------------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn pages_hold_every_row_once_while_others_are_added() {
    let folder = tempfile::tempdir().unwrap();
    let store = outbox::open(&format!("sqlite://{}/app.db", folder.path().display())).await;
    let webhooks = dispatcher(store);
    let acme = Client::new(&webhooks, "acme");
    let tenant = webhooks.tenant("acme").unwrap();
    for _ in 0..3 {
        tenant.endpoints().create(NewEndpoint::new("http://127.0.0.1:9999/hook").unwrap()).await.unwrap();
    }
    for number in 0..7 {
        tenant.dispatch(outbox::message(number)).await.unwrap();
    }

    for (list, parameter, rows) in
        [("/endpoints", "after", 3), ("/messages", "before", 7), ("/deliveries", "before", 21)]
    {
        let (mut seen, mut pages, mut next) = (BTreeSet::new(), 0, String::new());
        loop {
            let page = acme.get(&format!("{list}?limit=2{next}")).await.json();
            for row in page["data"].as_array().unwrap() {
                assert!(seen.insert(text(&row["id"]).to_owned()), "{list}: {row} twice");
            }
            pages += 1;
            tenant.dispatch(outbox::message(1000 + pages)).await.unwrap();
            match page["next"].as_str() {
                Some(cursor) => next = format!("&{parameter}={cursor}"),
                None => break,
            }
        }
        assert!(seen.len() >= rows, "{list}: {} rows", seen.len());
        assert_eq!(pages, seen.len().div_ceil(2), "{list}");
    }
}

// --- The document -----------------------------------------------------------------------------------------------------

#[tokio::test]
async fn the_document_is_open_and_describes_every_answer_of_a_route() {
    let acme = Client::new(&dispatcher(MemoryOutbox::new()), "");
    let answer = acme.get("/openapi.json").await;
    let document = answer.json();

    assert_eq!(answer.status, StatusCode::OK);
    assert!(text(&document["openapi"]).starts_with("3.1"), "{}", document["openapi"]);
    assert_eq!(document["servers"], json!([{ "url": "/hooks" }]));
    let mut names = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let at = format!("{method} {path}");
            assert!(names.insert(text(&operation["operationId"])), "{at}");
            assert!(!text(&operation["summary"]).is_empty(), "{at}");
            let responses = operation["responses"].as_object().unwrap();
            for status in ["401", "403", "500", "503"] {
                assert!(responses.contains_key(status), "{at}: {status}");
            }
            for (status, response) in
                responses.iter().filter(|(status, _)| status.starts_with(['4', '5']) && *status != "401")
            {
                assert!(response["content"]["application/problem+json"].is_object(), "{at}: {status}");
            }
            let success = responses.keys().find(|status| status.starts_with('2'));
            assert!(success.is_some(), "{at}");
            if method != "get" && method != "delete" {
                for status in ["400", "408", "409", "413", "415", "422"] {
                    assert!(responses.contains_key(status), "{at}: {status}");
                }
            }
        }
    }
    assert!(names.len() >= 21, "{names:?}");
}
