//! Compares a request to the management API with a handler that is written by hand and runs the same query, on SQLite.
//!
//! ```text
//! cargo bench --all-features --bench api                  all of it, in half a minute
//! cargo bench --all-features --bench api -- --quick       a little of it, to see that it runs; the times mean nothing
//! ```
//!
//! docs/performance.md says what is measured, and how to read it.
#![allow(missing_docs, clippy::print_stdout)] // It prints tables.
#![allow(clippy::unwrap_used)] // A bench may panic.

#[path = "support/table.rs"]
mod table;

use std::{collections::BTreeMap, env, time::Duration};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, Request, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
    routing::get,
};
use http_body_util::BodyExt;
use serde::Serialize;
use sqlx::{Row, SqlitePool, sqlite::SqlitePoolOptions};
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;
use tower_webhooks::{
    api::{Access, Api},
    send::{Dispatcher, NewEndpoint, SealingKey},
    store::SqliteStore,
};

use self::table::{Table, now, rounds_of};

fn main() {
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let is_quick = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => false,
        ["--quick"] => true,
        _ => panic!("the one argument is `--quick`"),
    };
    let (rounds, requests) = if is_quick { (2, 20) } else { (41, 1000) };
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("app.db").display());
    let (api, id) = runtime.block_on(ours(&url));
    let by_hand = runtime.block_on(by_hand(&url));
    let path = format!("/hooks/endpoints/{id}");
    assert_eq!(runtime.block_on(ask(&api, &path)), runtime.block_on(ask(&by_hand, &path)), "both show the same");

    let mut table = Table::new("api: medians of the rounds, quartiles in brackets", is_quick);
    let mut ours = || timed(&runtime, &api, &path, requests);
    let mut theirs = || timed(&runtime, &by_hand, &path, requests);
    let ratio = rounds_of(rounds, &mut [&mut ours, &mut theirs]);
    table.row("GET /endpoints/{id} / a handler by hand with the same query: Sqlite", ratio, Some(1.5));
    let allocations = |app: &Router| {
        // Allocations of the connection's own thread are not counted; they are the same for both.
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        allocation_counter::measure(|| {
            runtime.block_on(ask(app, &path));
        })
        .count_total
    };
    table.note(format!("allocations: {} and {}", allocations(&api), allocations(&by_hand)));
    table.print();
}

async fn authorize(head: Parts) -> Result<Access, StatusCode> {
    match head.headers.get(header::AUTHORIZATION).map(|value| value.as_bytes()) {
        Some(b"Bearer acme") => Ok(Access::owner("acme")),
        _ => Err(StatusCode::UNAUTHORIZED),
    }
}

/// The management API, with one endpoint. The rate limit is removed, since a bench calls more often than a customer
/// may.
async fn ours(url: &str) -> (Router, String) {
    let store = SqliteStore::connect(url).await.unwrap();
    let key = SealingKey::from_bytes([7; 32]).unwrap();
    let webhooks = Dispatcher::builder(store).sealing_key(key).build().unwrap();
    let endpoint =
        NewEndpoint::new("https://example.com/hook").unwrap().tenant("acme").events(["order.*", "user.created"]);
    let endpoint = endpoint.description("Shop system").metadata([("plan", "pro"), ("region", "eu")]);
    let id = webhooks.endpoints().create(endpoint).await.unwrap().endpoint().id().to_string();
    let api = Api::new(webhooks, authorize).without_rate_limit().router();
    (Router::new().nest("/hooks", api), id)
}

#[derive(Serialize)]
struct Endpoint {
    id: String,
    tenant: String,
    url: String,
    events: Vec<String>,
    enabled: bool,
    disabled_reason: Option<String>,
    description: String,
    style: String,
    rate_limit: Option<String>,
    api_version: Option<String>,
    in_order: bool,
    metadata: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
    created_at: String,
}

/// A handler written by hand for the same table: the same columns, the same authorization, the same JSON.
async fn by_hand(url: &str) -> Router {
    let pool = SqlitePoolOptions::new().max_connections(1).connect(url).await.unwrap();
    Router::new().route("/hooks/endpoints/{id}", get(show)).with_state(pool)
}

async fn show(State(pool): State<SqlitePool>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    if headers.get(header::AUTHORIZATION).is_none_or(|value| value.as_bytes() != b"Bearer acme") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let statement = "SELECT id, tenant, url, events, description, style, sealing_key, sealed, revision, disabled, created_at, failures, \
                     failing_since, rests_until, rate_limit, api_version, proven, steady, steady_at, next_at, catching_up, epoch, url_epoch, \
                     strikes, struck_at, slow_at, urgent, in_order, metadata, labels FROM webhook_outbox_endpoints WHERE id = ?";
    let row = match sqlx::query(statement).bind(id).fetch_optional(&pool).await {
        Ok(Some(row)) => row,
        Ok(None) => return StatusCode::NOT_FOUND.into_response(),
        Err(_) => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
    };
    match endpoint(&row) {
        Ok((endpoint, tag)) if endpoint.tenant == "acme" => {
            ([(header::ETAG, tag), (header::CACHE_CONTROL, "no-store".to_owned())], Json(endpoint)).into_response()
        }
        Ok(_) => StatusCode::NOT_FOUND.into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn endpoint(row: &sqlx::sqlite::SqliteRow) -> Result<(Endpoint, String), Box<dyn std::error::Error>> {
    let disabled: Option<String> = row.try_get("disabled")?;
    let created_at = jiff::Timestamp::from_millisecond(row.try_get("created_at")?)?;
    let metadata: Option<String> = row.try_get("metadata")?;
    let labels: Option<String> = row.try_get("labels")?;
    let revision: i64 = row.try_get("revision")?;
    let endpoint = Endpoint {
        id: row.try_get("id")?,
        tenant: row.try_get("tenant")?,
        url: row.try_get("url")?,
        events: row.try_get::<&str, _>("events")?.split_whitespace().map(str::to_owned).collect(),
        enabled: disabled.is_none(),
        disabled_reason: disabled,
        description: row.try_get("description")?,
        style: row.try_get("style")?,
        rate_limit: row.try_get("rate_limit")?,
        api_version: row.try_get("api_version")?,
        in_order: row.try_get("in_order")?,
        metadata: metadata.map_or(Ok(BTreeMap::new()), |text| serde_json::from_str(&text))?,
        labels: labels.map_or(Ok(BTreeMap::new()), |text| serde_json::from_str(&text))?,
        created_at: format!("{created_at:.3}"),
    };
    let tag = format!("\"{revision}.{}\"", endpoint.disabled_reason.as_deref().unwrap_or("enabled"));
    Ok((endpoint, tag))
}

/// Asks once, and returns what decides: status, tag and JSON.
async fn ask(app: &Router, path: &str) -> (StatusCode, Option<String>, serde_json::Value) {
    let request = Request::get(path).header(header::AUTHORIZATION, "Bearer acme").body(Body::empty()).unwrap();
    let (head, body) = app.clone().oneshot(request).await.unwrap().into_parts();
    let tag = head.headers.get(header::ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
    (head.status, tag, serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap_or_default())
}

/// How long requests take, one after the other.
fn timed(runtime: &Runtime, app: &Router, path: &str, requests: usize) -> Duration {
    runtime.block_on(async {
        let begun = now();
        for _ in 0..requests {
            let request = Request::get(path).header(header::AUTHORIZATION, "Bearer acme").body(Body::empty()).unwrap();
            let response = app.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
            response.into_body().collect().await.unwrap();
        }
        begun.elapsed()
    })
}
