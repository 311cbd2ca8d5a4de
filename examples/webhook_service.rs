//! Run: cargo run --features full --example webhook_service
//!
//! One program with both halves: it receives webhooks of Stripe and GitHub, sends webhooks of its own, and serves the management API, the
//! dashboard, a health check and metrics. Started so, it looks at itself once and ends. With `-- --serve [ADDRESS] [--demo]` it stays up,
//! with a day of made-up deliveries if you like; then open http://127.0.0.1:3000/login?as=operator, or
//!
//!     curl -b session=operator 'http://127.0.0.1:3000/api/webhooks/stats?all_tenants=true'
//!     curl http://127.0.0.1:3000/healthz
//!     curl http://127.0.0.1:3000/metrics
//!
//! Without DATABASE_URL it keeps everything in SQLite, in a folder that goes with it. With DATABASE_URL=postgres://… several of it share
//! the work.

#![allow(clippy::print_stdout)] // An example talks.

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
    routing::{get, post},
};
use metrics_exporter_prometheus::PrometheusBuilder;
use serde::Deserialize;
use serde_json::Value;
use server::{BoxError, Limits};
use tokio::{net::TcpListener, sync::watch};
use tower_webhooks::{
    RawEvent, Secret, VerifiedEvent, WebhookLayer,
    api::{self, Access, Api, HealthLimits},
    clock::ClockOffset,
    dashboard,
    idempotency::IdempotencyStore,
    send::{Dispatcher, OutboxStore, SealingKey},
    store::{PostgresStore, SqliteStore, sqlite::SqliteStoreOptions},
};

/// Who calls. A real application checks a session, or an API key by its hash.
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

/// A login that knows no password: for this example alone.
async fn login(Query(login): Query<Login>) -> Response {
    let session = format!("session={}; Path=/; HttpOnly; SameSite=Lax", login.r#as);
    let known = ["operator", "acme"].contains(&&*login.r#as);
    if !known {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    ([(header::SET_COOKIE, session)], Redirect::to("/webhooks")).into_response()
}

// What comes in. Each is handled once, whatever its sender repeats.
async fn on_stripe(event: VerifiedEvent<Value>) {
    println!("stripe: {}", event.delivery().event_type().map_or("an event", |event_type| event_type.as_str()));
}

async fn on_github(event: VerifiedEvent<RawEvent>) {
    println!("github: {}", event.delivery().event_type().map_or("an event", |event_type| event_type.as_str()));
}

fn secret(name: &str) -> Result<Secret, BoxError> {
    // A real one takes it from the environment or not at all.
    Ok(std::env::var(name).map_or_else(|_| Secret::new("a secret for the example alone"), Secret::new)?)
}

/// Everything behind one router.
fn app<S>(webhooks: &Dispatcher, store: &S) -> Result<Router, BoxError>
where
    S: IdempotencyStore + Clone,
{
    let metrics = PrometheusBuilder::new().install_recorder()?;
    let limits = HealthLimits::default().unserved(Duration::from_secs(5 * 60)).waiting(5_000);
    let stripe = WebhookLayer::stripe(secret("STRIPE_WEBHOOK_SECRET")?).with_idempotency(store.clone());
    let github = WebhookLayer::github(secret("GITHUB_WEBHOOK_SECRET")?).with_idempotency(store.clone());
    Ok(Router::new()
        .route("/webhooks/in/stripe", post(on_stripe).layer(stripe))
        .route("/webhooks/in/github", post(on_github).layer(github))
        .nest("/api/webhooks", Api::new(webhooks.clone(), authorize).with_idempotency(store.clone()).router())
        .nest("/webhooks", dashboard::router(webhooks.clone(), authorize))
        .route("/healthz", get(api::health(webhooks.clone(), limits)))
        .route("/metrics", get(move || async move { metrics.render() }))
        .route("/login", get(login)))
}

fn dispatcher(store: impl OutboxStore) -> Result<Dispatcher, BoxError> {
    // A real one takes its key from `SealingKey::from_env`.
    Ok(Dispatcher::builder(store)
        .sealing_key(SealingKey::parse("mZ8bq3J7oXn0gq3q3mWmQe2mF7m1i1o4o1uUj5p0r2s=")?)
        .build()?)
}

/// Serves until it is asked to stop: first no more connections are accepted and those under way end, then the worker finishes the attempts
/// that it has begun.
async fn serve(
    listener: TcpListener,
    app: Router,
    webhooks: Dispatcher,
    stop: impl Future<Output = ()>,
) -> Result<(), BoxError> {
    let (stopping, stopped) = watch::channel(false);
    let mut stopped_worker = stopped.clone();
    let worker = tokio::spawn(webhooks.worker().run(async move {
        let _ = stopped_worker.wait_for(|stopped| *stopped).await;
    }));
    server::serve(listener, app, Limits::default(), stop).await;
    stopping.send(true)?;
    worker.await?;
    println!("stopped");
    Ok(())
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
            run(PostgresStore::connect(&url).await?).await
        }
        url => {
            let url = url.unwrap_or(sqlite);
            if is_demo || server::serve_address().is_none() {
                let clock = yesterday();
                let store = SqliteStoreOptions::new().clock_offset(clock.clone()).connect(&url).await?;
                demo::fill(&dispatcher(store.clone())?, &store, &clock).await?;
                store.close().await;
            }
            run(SqliteStore::connect(&url).await?).await
        }
    }
}

fn yesterday() -> ClockOffset {
    let clock = ClockOffset::default();
    clock.rewind(Duration::from_secs(3600) * demo::HOURS);
    clock
}

async fn run<S>(store: S) -> Result<(), BoxError>
where
    S: IdempotencyStore + OutboxStore + Clone,
{
    let webhooks = dispatcher(store.clone())?;
    let app = app(&webhooks, &store)?;
    if let Some(address) = server::serve_address() {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        println!("open http://{address}/login?as=operator or http://{address}/login?as=acme; ctrl-c stops");
        return serve(listener, app, webhooks, server::stop_signal()).await;
    }

    // It looks at itself.
    let get = async |path: &str, session: &str| -> Result<(StatusCode, String), BoxError> {
        use http_body_util::BodyExt;
        use tower::ServiceExt;
        let request = axum::http::Request::get(path).header(header::COOKIE, format!("session={session}"));
        let (head, body) = app.clone().oneshot(request.body(axum::body::Body::empty())?).await?.into_parts();
        Ok((head.status, String::from_utf8(body.collect().await?.to_bytes().to_vec())?))
    };
    let (status, page) = get("/webhooks", "operator").await?;
    assert!(status == StatusCode::OK && page.contains("Success rate"), "{page}");
    let (status, _) = get("/webhooks", "nobody").await?;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let (_, stats) = get("/api/webhooks/stats", "acme").await?;
    let stats: Value = serde_json::from_str(&stats)?;
    println!("acme: {} attempts, {} of them delivered", stats["attempts"], stats["delivered"]);
    let (status, health) = get("/healthz", "").await?;
    println!("healthy: {status} {health}");
    let (status, _) = get("/metrics", "").await?;
    assert_eq!(status, StatusCode::OK);

    // And stops in order.
    serve(TcpListener::bind("127.0.0.1:0").await?, app, webhooks, tokio::time::sleep(Duration::from_millis(50))).await
}
