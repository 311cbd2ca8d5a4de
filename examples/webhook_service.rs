//! Run: cargo run --features full --example webhook_service
//!
//! One program that receives and sends: it receives webhooks of Stripe and GitHub into an inbox and handles them, sends
//! its own webhooks, and serves the management API, the dashboard, a health check and metrics. Started like this, it
//! checks itself once and ends. With `-- --serve [ADDRESS] [--demo]` it keeps running, and with `--demo` it has a day
//! of invented deliveries; then open http://127.0.0.1:3000/login?as=operator, or
//!
//!     curl -b session=operator 'http://127.0.0.1:3000/api/webhooks/stats?all_tenants=true'
//!     curl -b session=operator 'http://127.0.0.1:3000/api/webhooks/inbox?state=dead'
//!     curl http://127.0.0.1:3000/healthz
//!     curl http://127.0.0.1:3000/metrics
//!
//! Without DATABASE_URL it stores everything in SQLite, in a temporary folder. With DATABASE_URL=postgres://… several
//! processes share the work.

#![allow(clippy::print_stdout)] // It shows what it does.

#[path = "support/demo.rs"]
mod demo;
#[path = "support/server.rs"]
mod server;

use std::time::Duration;

use axum::{
    Router,
    extract::Query,
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use metrics_exporter_prometheus::PrometheusBuilder;
use serde::Deserialize;
use serde_json::Value;
use server::{BoxError, Limits};
use tokio::{net::TcpListener, sync::oneshot};
use tower_webhooks::{
    EventRouter, Inbox, RawEvent, Retry, Secret, VerifiedEvent, WebhookLayer,
    api::{Access, Api, Health, HealthLimits},
    clock::ClockOffset,
    dashboard::Dashboard,
    idempotency::IdempotencyStore,
    inbox::InboxStore,
    send::{Dispatcher, OutboxStore, SealingKey},
    store::{PostgresStore, SqliteStore, sqlite::SqliteStoreOptions},
};

/// Identifies the caller. A real application checks a session, or an API key by its hash.
async fn authorize(head: Parts) -> Result<Access, Response> {
    match head.headers.get(header::COOKIE).map(|value| value.as_bytes()) {
        Some(b"session=operator") => Ok(Access::operator()),
        Some(b"session=acme") => Ok(Access::owner("acme")),
        _ => Err((StatusCode::UNAUTHORIZED, "log in at /login?as=operator or /login?as=acme\n").into_response()),
    }
}

#[derive(Deserialize)]
struct Login {
    r#as: String,
}

/// A login without a password, only for this example.
async fn login(Query(login): Query<Login>) -> Response {
    let session = format!("session={}; Path=/; HttpOnly; SameSite=Lax", login.r#as);
    let known = ["operator", "acme"].contains(&&*login.r#as);
    if !known {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    ([(header::SET_COOKIE, session)], Redirect::to("/webhooks")).into_response()
}

#[derive(Deserialize)]
struct Invoice {
    id: String,
    amount_paid: u64,
}

// The inbox. A webhook is answered when it is stored, and handled later. An invoice that does not fit its type becomes
// a dead letter.
async fn on_invoice(invoice: VerifiedEvent<Invoice>) {
    println!("stripe: {} of {} is paid", invoice.amount_paid, invoice.id);
}

/// The bank's documents arrive within the hour.
async fn on_dispute(_: VerifiedEvent<Value>) -> Retry {
    Retry::after(Duration::from_secs(60 * 60))
}

async fn on_push(event: VerifiedEvent<RawEvent>) {
    println!("github: {}", event.delivery().event_type().map_or("an event", |event_type| event_type.as_str()));
}

fn inbox(store: impl InboxStore) -> Inbox {
    let events =
        EventRouter::new().on("invoice.paid", on_invoice).on("charge.dispute.*", on_dispute).on("push", on_push);
    Inbox::new(store, events)
}

const UNSAFE_SECRET: &str = "a secret for the example alone";

/// Reads a secret from the environment. A real application has no default.
fn secret(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| UNSAFE_SECRET.to_owned())
}

/// All routes in one router.
fn app(webhooks: &Dispatcher, inbox: &Inbox, keys: impl IdempotencyStore) -> Result<Router, BoxError> {
    let metrics = PrometheusBuilder::new().install_recorder()?;
    let limits = HealthLimits::default()
        .unserved(Duration::from_secs(5 * 60))
        .waiting(5_000)
        .inbox_waiting(5_000)
        .inbox_oldest(Duration::from_secs(3 * 60 * 60));
    let health = Health::new(webhooks.clone()).with_inbox(inbox.clone())?.with_limits(limits);
    let api = Api::new(webhooks.clone(), authorize).with_inbox(inbox.clone())?.with_idempotency(keys);
    let stripe = WebhookLayer::stripe(Secret::new(secret("STRIPE_WEBHOOK_SECRET"))?);
    let github = WebhookLayer::github(Secret::new(secret("GITHUB_WEBHOOK_SECRET"))?);
    Ok(Router::new()
        .route_service("/webhooks/in/stripe", stripe.layer(inbox.clone()))
        .route_service("/webhooks/in/github", github.layer(inbox.clone()))
        .nest("/api/webhooks", api.router())
        .nest("/webhooks", Dashboard::new(webhooks.clone(), authorize).with_inbox(inbox.clone())?.router())
        .route("/healthz", get(health.handler()))
        .route("/metrics", get(move || async move { metrics.render() }))
        .route("/login", get(login)))
}

fn dispatcher(store: impl OutboxStore) -> Result<Dispatcher, BoxError> {
    // A real application reads its key with `SealingKey::from_env`.
    Ok(Dispatcher::builder(store)
        .sealing_key(SealingKey::parse("mZ8bq3J7oXn0gq3q3mWmQe2mF7m1i1o4o1uUj5p0r2s=")?)
        .build()?)
}

/// Serves until it is told to stop. Then it accepts no more connections, and completes the requests in progress, the
/// inbox's running handlers, and the attempts in flight. An event whose handler does not end in time is given back.
async fn serve(
    listener: TcpListener,
    app: Router,
    (webhooks, inbox): (Dispatcher, Inbox),
    stop: impl Future<Output = ()>,
) -> Result<(), BoxError> {
    let (stop_sending, sending) = shutdown();
    let (stop_working, working) = shutdown();
    let sender = tokio::spawn(webhooks.worker().run(sending));
    let worker = tokio::spawn(inbox.worker().run(working));
    server::serve(listener, app, Limits::default(), stop).await;
    stop_working.send(()).ok();
    worker.await?;
    // Last, since handlers may have dispatched something.
    stop_sending.send(()).ok();
    sender.await?;
    println!("stopped");
    Ok(())
}

fn shutdown() -> (oneshot::Sender<()>, impl Future<Output = ()>) {
    let (stop, stopped) = oneshot::channel();
    (stop, async move { stopped.await.unwrap_or_default() })
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let folder = tempfile::tempdir()?;
    let sqlite = format!("sqlite://{}/app.db", folder.path().display());
    let is_demo = std::env::args().any(|argument| argument == "--demo");
    match std::env::var("DATABASE_URL") {
        Ok(url) if url.starts_with("postgres") => {
            if is_demo {
                let clock = yesterday();
                let store = PostgresStore::options().clock_offset(clock.clone()).connect(&url).await?;
                demo::fill(&dispatcher(store.clone())?, &store, &clock).await?;
            }
            run(PostgresStore::connect(&url).await?, is_demo).await
        }
        url => {
            let url = url.unwrap_or(sqlite);
            if is_demo || server::serve_address().is_none() {
                let clock = yesterday();
                let store = SqliteStoreOptions::new().clock_offset(clock.clone()).connect(&url).await?;
                demo::fill(&dispatcher(store.clone())?, &store, &clock).await?;
                store.close().await;
            }
            run(SqliteStore::connect(&url).await?, is_demo).await
        }
    }
}

fn yesterday() -> ClockOffset {
    let clock = ClockOffset::default();
    clock.rewind(Duration::from_secs(3600) * demo::HOURS);
    clock
}

async fn run<S>(store: S, is_demo: bool) -> Result<(), BoxError>
where
    S: IdempotencyStore + InboxStore + OutboxStore + Clone,
{
    let (webhooks, inbox) = (dispatcher(store.clone())?, inbox(store.clone()));
    let app = app(&webhooks, &inbox, store)?;
    let address = server::serve_address();
    if is_demo || address.is_none() {
        demo::receive(&app, &secret("STRIPE_WEBHOOK_SECRET"), &secret("GITHUB_WEBHOOK_SECRET")).await?;
    }
    if let Some(address) = address {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        println!("open http://{address}/login?as=operator or http://{address}/login?as=acme; ctrl-c stops");
        return serve(listener, app, (webhooks, inbox), server::stop_signal()).await;
    }

    // The example checks itself.
    let get = async |path: &str, session: &str| -> Result<(StatusCode, String), BoxError> {
        use http_body_util::BodyExt;
        use tower::ServiceExt;
        let request = axum::http::Request::get(path).header(header::COOKIE, format!("session={session}"));
        let (head, body) = app.clone().oneshot(request.body(axum::body::Body::empty())?).await?.into_parts();
        Ok((head.status, String::from_utf8(body.collect().await?.to_bytes().to_vec())?))
    };
    let (status, page) = get("/webhooks", "operator").await?;
    assert!(
        status == StatusCode::OK && page.contains("Success rate") && page.contains("Waiting in the inbox"),
        "{page}"
    );
    let (status, _) = get("/webhooks", "nobody").await?;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let (_, stats) = get("/api/webhooks/stats", "acme").await?;
    let stats: Value = serde_json::from_str(&stats)?;
    println!("acme: {} attempts, {} of them delivered", stats["attempts"], stats["delivered"]);
    let (status, health) = get("/healthz", "").await?;
    println!("healthy: {status} {health}");
    let (status, _) = get("/metrics", "").await?;
    assert_eq!(status, StatusCode::OK);

    // It stops in order, when all events except the dispute have ended.
    let worked = async {
        while inbox.stats().await.is_ok_and(|stats| stats.pending + stats.working > 1) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    serve(TcpListener::bind("127.0.0.1:0").await?, app.clone(), (webhooks, inbox.clone()), worked).await?;
    let (_, dead) = get("/api/webhooks/inbox?state=dead", "operator").await?;
    let dead: Value = serde_json::from_str(&dead)?;
    println!("dead letters: {}", dead["data"][0]["reason"]);
    assert_eq!(dead["data"].as_array().map(Vec::len), Some(2), "{dead}");
    Ok(())
}
