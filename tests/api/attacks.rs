//! Bad input and faults at the management API and the dashboard: secrets in answers, logs and the database, secrets of clients that are
//! none, quotas, test sends to inside addresses, markup and marks of direction.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use axum::{Router, http::StatusCode, routing::post};
use serde_json::{Value, json};
use tower_webhooks::{
    api::Api,
    send::{Dispatcher, EventTypeDefinition, Message, SealingKey},
    store::{MemoryInbox, MemoryOutbox, MemoryStore, SqliteStore},
};

use crate::{
    inbox::Receiver,
    routes::{Client, OPERATOR, authorize, body_for, dispatcher, operations, text},
    support::{hidden::forms, logs::Logs, outbox},
};

#[tokio::test]
async fn a_secret_is_in_the_answer_that_made_it_and_nowhere_else() {
    let (logs, _guard) = Logs::capture();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let store = SqliteStore::connect(&format!("sqlite://{}", file.display())).await.unwrap();
    let webhooks = dispatcher(store.clone());
    let receiver = Receiver::new(MemoryInbox::new());
    let api = Api::new(webhooks.clone(), authorize).with_inbox(receiver.inbox.clone()).unwrap();
    let acme = Client::of(api.with_idempotency(MemoryStore::new()).router(), "acme");
    let own = "whsec_bm9ib2R5LW1heS1zZWUtdGhpcy1zZWNyZXQtb2YtYWNtZQ==";
    let header = "a-token-of-acme-for-its-gateway";
    let url = outbox::serve(Router::new().route("/hook", post(|| async {}))).await;
    let first = acme.create(json!({ "url": url, "secret": own, "headers": { "authorization": header } })).await;
    assert_eq!(first["secret"], own);
    let created = acme.create(json!({ "url": url })).await;
    let id = text(&created["id"]).to_owned();
    let rotated = acme.post(&format!("/endpoints/{id}/rotate-secret"), json!({})).await.json();
    let secrets = [own, text(&created["secret"]), text(&rotated["secret"])].map(str::to_owned);
    let example = EventTypeDefinition::new("order.completed").unwrap().example("7").unwrap();
    webhooks.event_types().put([example]).await.unwrap();
    let tenant = webhooks.tenant("acme").unwrap();
    tenant.dispatch(Message::new("order.completed", &7).unwrap().id("m-1".parse().unwrap())).await.unwrap();
    let working = outbox::Working::start(&webhooks);
    outbox::until("it is delivered", async || {
        acme.get("/deliveries?state=delivered").await.json()["data"].as_array().is_some_and(|rows| rows.len() == 2)
    })
    .await;
    working.stop().await;
    let delivery = text(&acme.get("/deliveries").await.json()["data"][0]["id"]).to_owned();
    let event = receiver.accept("acme", "evt_1", "order.created", json!({ "amount": 7 })).await;

    let mut hidden: Vec<_> = secrets
        .iter()
        .flat_map(|secret| {
            let bytes = data_encoding::BASE64.decode(secret.trim_start_matches("whsec_").as_bytes()).unwrap();
            [vec![secret.trim_start_matches("whsec_").to_owned()], forms(&bytes)].concat()
        })
        .collect();
    hidden.push(header.to_owned());
    let shows = |text: &str| hidden.iter().find(|secret| text.contains(*secret)).cloned();
    let mut asked = 0;
    // What removes is asked last.
    let mut all = operations(&acme).await;
    all.sort_by_key(|(method, _)| method == "DELETE");
    for (method, path) in all {
        let of_path = match path.split('/').nth(1) {
            Some("endpoints") => &id,
            Some("deliveries") => &delivery,
            Some("messages") => "m-1",
            Some("inbox") => &event,
            _ => "acme",
        };
        let address = path.replace("{id}", of_path).replace("{name}", of_path);
        for key in [OPERATOR, "acme", "globex"] {
            let client = acme.with_key(key);
            let wrong =
                client.call(&method, &address, body_for(&method, &path).map(|_| json!({ "secret": own }))).await;
            let answer = client.call(&method, &address, body_for(&method, &path)).await;
            for answer in [wrong, answer] {
                let is_where_it_is_made = answer.status.is_success()
                    && method == "POST"
                    && (path == "/endpoints" || path == "/endpoints/{id}/rotate-secret");
                if !is_where_it_is_made {
                    assert_eq!(shows(&answer.text), None, "{method} {path}: {answer:?}");
                }
                assert_eq!(answer.header("access-control-allow-origin"), "", "{method} {path}");
                assert_eq!(
                    answer.header("cache-control"),
                    if answer.status == StatusCode::NO_CONTENT || answer.status == StatusCode::UNAUTHORIZED {
                        ""
                    } else {
                        "no-store"
                    },
                    "{method} {path}: {answer:?}"
                );
                asked += 1;
            }
        }
    }
    assert!(asked > 150, "{asked} answers");
    assert_eq!(shows(&logs.text()), None, "the log");
    store.close().await;
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert_eq!(shows(&String::from_utf8_lossy(&bytes)), None, "the database");
        let raw = data_encoding::BASE64.decode(&own.as_bytes()[6..]).unwrap();
        assert!(!bytes.windows(raw.len()).any(|window| window == raw), "the database");
    }
}

#[tokio::test]
async fn a_clients_own_secret_is_24_to_64_bytes_or_nothing_is_registered() {
    let acme = Client::new(&dispatcher(MemoryOutbox::new()), "acme");
    let of_bytes = |length: usize| format!("whsec_{}", data_encoding::BASE64.encode(&vec![b'x'; length]));
    let body = |secret: &str| json!({ "url": "http://127.0.0.1:9999/hook", "secret": secret });
    let wrong = [
        "abc".to_owned(),
        String::new(),
        "whsec_".to_owned(),
        "whsec_not base64 at all, and long enough to be one".to_owned(),
        of_bytes(23),
        of_bytes(65),
        of_bytes(512 * 1024),
    ];
    let id = text(&acme.create(json!({ "url": "http://127.0.0.1:9999/hook" })).await["id"]).to_owned();
    let rotate = format!("/endpoints/{id}/rotate-secret");

    for secret in &wrong {
        for (path, body) in [("/endpoints", body(secret)), (&rotate, json!({ "secret": secret }))] {
            let answer = acme.post(path, body).await;
            let problem = answer.problem(422, "invalid");
            assert_eq!(problem["errors"][0]["pointer"], "#/secret", "{problem}");
            assert!(secret.len() < 6 || !answer.text.contains(&**secret), "{answer:?}");
        }
    }
    let large = body(&"x".repeat(1024 * 1024));
    acme.post("/endpoints", large).await.problem(413, "too_large");
    assert_eq!(acme.get("/endpoints").await.json()["data"].as_array().unwrap().len(), 1);
    for length in [24, 64] {
        assert_eq!(acme.post("/endpoints", body(&of_bytes(length))).await.status, StatusCode::CREATED, "{length}");
    }
}

#[tokio::test]
async fn a_tenant_has_a_hundred_endpoints_of_a_hundred_patterns() {
    let acme = Client::new(&dispatcher(MemoryOutbox::new()), "acme");
    let body = |patterns: usize| {
        let events: Vec<_> = (0..patterns).map(|number| format!("order.number_{number}")).collect();
        json!({ "url": "http://127.0.0.1:9999/hook", "events": events })
    };
    for patterns in [101, 10_000] {
        let refused = acme.post("/endpoints", body(patterns)).await;
        assert!(refused.status.is_client_error(), "{patterns}: {refused:?}");
    }
    let (mut created, mut refused) = (0, 0);
    for number in 0..103 {
        match acme.post("/endpoints", body(if number == 0 { 100 } else { 1 })).await.status {
            StatusCode::CREATED => created += 1,
            // In one second a tenant may call a hundred times.
            StatusCode::TOO_MANY_REQUESTS => refused += 1,
            status => panic!("{status}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(11)).await;
    }
    assert_eq!((created, refused), (100, 3));
}

#[tokio::test]
async fn a_test_send_goes_through_the_same_guard_and_is_limited() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::connect(&format!("sqlite://{}/app.db", folder.path().display())).await.unwrap();
    let hits = Arc::new(AtomicUsize::new(0));
    let counted = hits.clone();
    let hook = post(move || async move { _ = counted.fetch_add(1, SeqCst) });
    let url = outbox::serve(Router::new().route("/hook", hook)).await;
    // The endpoint was registered by a dispatcher that allows loopback, and is sent by one that does not.
    let registered = Client::new(&dispatcher(store.clone()), "acme").create(json!({ "url": url })).await;
    let guarded = Dispatcher::builder(store).sealing_key(SealingKey::from_bytes([7; 32]).unwrap()).build().unwrap();
    guarded
        .event_types()
        .put([EventTypeDefinition::new("order.completed").unwrap().example("7").unwrap()])
        .await
        .unwrap();
    let acme = Client::new(&guarded, "acme");
    let path = format!("/endpoints/{}", text(&registered["id"]));

    let ping = acme.post(&format!("{path}/ping"), json!({})).await.json();
    let example = acme.post(&format!("{path}/send-example"), json!({ "type": "order.completed" })).await.json();
    let again = acme.post(&format!("{path}/send-example"), json!({ "type": "order.completed" })).await.json();

    assert_eq!(example["delivery"], again["delivery"], "at most one example in ten seconds");
    let working = outbox::Working::start(&guarded);
    for delivery in [&ping["delivery"], &example["delivery"]] {
        let attempts = format!("/deliveries/{}/attempts", text(delivery));
        outbox::until("it was tried", async || acme.get(&attempts).await.json()["data"][0].is_object()).await;
        let attempts = acme.get(&attempts).await.json();
        assert_eq!(attempts["data"][0]["status"], Value::Null, "{attempts}");
        assert!(attempts["data"][0]["error"].is_string(), "{attempts}");
    }
    working.stop().await;
    assert_eq!(hits.load(SeqCst), 0);
}

#[tokio::test]
async fn what_is_no_address_of_the_web_is_refused_where_it_is_registered() {
    let builder = Dispatcher::builder(MemoryOutbox::new());
    let webhooks = builder.sealing_key(SealingKey::from_bytes([7; 32]).unwrap()).build().unwrap();
    let acme = Client::new(&webhooks, "acme");
    for url in [
        "javascript:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "file:///etc/passwd",
        "https://metadata/",
        "https://metadata.google.internal/",
        "https://localhost.localdomain/",
        "https://db.internal/",
        "https://printer.local/",
        "https://api.default.svc/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::ffff:10.0.0.1]/",
        "https://[fd00::1]/",
        "https://0x7f.1/",
        "https://user:password@example.com/",
        "https://example.com:22/",
        "https://exa\u{202e}mple.com/",
    ] {
        let answer = acme.post("/endpoints", json!({ "url": url })).await;
        assert!(matches!(answer.status.as_u16(), 400 | 422), "{url}: {answer:?}");
        assert_eq!(answer.json()["errors"][0]["pointer"], "#/url", "{url}: {answer:?}");
    }
}
