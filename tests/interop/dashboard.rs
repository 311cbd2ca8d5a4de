//! The dashboard in a real browser: a headless Chromium is driven over a day of made-up deliveries, with and without
//! script, on a phone and on a desk, in light and dark, and axe checks that everyone can use it. It also makes the
//! screenshots of docs/dashboard.md, where `TOWER_WEBHOOKS_SCREENSHOTS` names a folder for them.
//!
//! `tests/run.sh` installs the browser and axe.

#[path = "../../examples/support/demo.rs"]
mod demo;

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use axum::{
    Router,
    http::{StatusCode, header, request::Parts},
};
use tower_webhooks::{
    BoxFuture, EventRouter, Inbox, RawEvent, Retry, Secret, VerifiedEvent, WebhookLayer,
    api::{self, Access},
    clock::ClockOffset,
    dashboard::Dashboard,
    send::{AttemptRequest, AttemptResult, DestinationPolicy, EndpointResponse, Message, Scope, Transport},
    store::{SqliteStore, sqlite::SqliteStoreOptions},
};

use crate::support::outbox;

async fn authorize(head: Parts) -> Result<Access, StatusCode> {
    match head.headers.get(header::COOKIE).and_then(|value| value.to_str().ok()) {
        Some("who=operator") => Ok(Access::operator()),
        Some("who=operator-of-acme") => Ok(Access::operator_of("acme")),
        Some("who=acme") => Ok(Access::owner("acme")),
        _ => Err(StatusCode::UNAUTHORIZED),
    }
}

/// Every endpoint answers, and no network is asked.
struct Obliging;

impl Transport for Obliging {
    fn send(&self, _: AttemptRequest) -> BoxFuture<'_, AttemptResult> {
        Box::pin(async { AttemptResult::answered(EndpointResponse::new(StatusCode::OK), Duration::from_millis(20)) })
    }
}

#[derive(serde::Deserialize)]
struct Invoice {
    #[serde(rename = "amount_paid")]
    _amount_paid: u64,
}

/// The demo's events, one of a tenant with markup in all of its texts, and a worker.
async fn inbox(url: &str, hostile: &str) -> Inbox {
    let events = EventRouter::new()
        .on("invoice.paid", |_: VerifiedEvent<Invoice>| async {})
        .on("push", |_: VerifiedEvent<RawEvent>| async {})
        .on("*", |_: VerifiedEvent<RawEvent>| async { Retry::after(Duration::from_secs(3600)) });
    let inbox = Inbox::new(SqliteStore::connect(url).await.unwrap(), events);
    let app = Router::new()
        .route_service("/webhooks/in/stripe", WebhookLayer::stripe(Secret::new(KEY).unwrap()).layer(inbox.clone()))
        .route_service("/webhooks/in/github", WebhookLayer::github(Secret::new(KEY).unwrap()).layer(inbox.clone()));
    demo::receive(&app, KEY, KEY).await.unwrap();
    let of_acme = |_: tower_webhooks::RequestHead| async {
        Ok::<_, tower_webhooks::BoxError>(tower_webhooks::Secrets::new(Secret::new(KEY).unwrap()).tenant("acme"))
    };
    let app = Router::new().route_service("/webhooks/in/stripe", WebhookLayer::stripe(of_acme).layer(inbox.clone()));
    for (id, event_type) in [(hostile, hostile), ("evt_of_acme", "invoice.paid")] {
        let event = demo::of_stripe(KEY, id, event_type, &serde_json::json!({ "note": hostile })).unwrap();
        demo::send(&app, event).await.unwrap();
    }
    tokio::spawn(inbox.worker().run(std::future::pending()));
    let settled = async || {
        let stats = inbox.stats().await.unwrap();
        stats.dead == 3 && stats.working == 0
    };
    outbox::until("all events were worked once", settled).await;
    inbox
}

const KEY: &str = "a secret for the test alone";

/// Ends with this value.
struct Process(std::process::Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_finds_everything_in_its_place() {
    let libraries = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("interop");
    assert!(libraries.join("node_modules/axe-core").exists(), "axe is not installed; run: tests/run.sh --interop");
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/app.db", folder.path().display());

    let clock = ClockOffset::default();
    clock.rewind(Duration::from_secs(3600) * demo::HOURS);
    let store = SqliteStoreOptions::new().clock_offset(clock.clone()).connect(&url).await.unwrap();
    let webhooks = outbox::quick(store.clone()).transport(Obliging, DestinationPolicy::default()).build().unwrap();
    demo::fill(&webhooks, &store, &clock).await.unwrap();
    let hostile = "</pre><script>window.hacked = true</script><img src=x onerror='window.hacked = true'>";
    webhooks.dispatch(Message::new("note.added", &hostile).unwrap().tenant("acme")).await.unwrap();
    let worker = tokio::spawn(webhooks.worker().run(std::future::pending()));
    let inbox = inbox(&format!("sqlite://{}/inbox.db", folder.path().display()), hostile).await;
    outbox::until("nothing waits", async || webhooks.backlog(Scope::all()).await.unwrap().waiting == 0).await;
    let app = Router::new()
        .nest("/webhooks", Dashboard::new(webhooks.clone(), authorize).with_inbox(inbox).unwrap().router())
        .nest("/api", api::router(webhooks, authorize));
    let base = outbox::serve(app).await.replace("/hook", "/webhooks");

    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut driver = Command::new("chromedriver");
    driver.arg(format!("--port={port}")).stdout(Stdio::null()).stderr(Stdio::null());
    let install = "apt-get install -y --no-install-recommends chromium chromium-driver";
    let driver = driver
        .spawn()
        .unwrap_or_else(|cause| panic!("chromedriver cannot be started ({cause}); install it with: {install}"));
    let _driver = Process(driver);
    outbox::until("chromedriver answers", async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok())
        .await;

    let mut node = Command::new("node");
    node.arg(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/interop/browser.mjs"));
    node.arg(format!("http://127.0.0.1:{port}")).arg(&base).arg(&libraries);
    node.args(std::env::var_os("TOWER_WEBHOOKS_SCREENSHOTS"));
    let output = tokio::task::spawn_blocking(move || node.output()).await.unwrap().unwrap();
    worker.abort();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
}
