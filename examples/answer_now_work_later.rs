//! Answers every event at once, and handles it later. The server is killed in the middle, and nothing is lost.
//!
//! Run: cargo run --features inbox,sqlite --example answer_now_work_later
//!
//! The handler takes a second for each order. Its sender does not wait for it, and does not notice that the server is
//! killed. While its server runs, you could send it a request like this:
//!
//! curl -i http://127.0.0.1:3000/webhooks/github -H 'x-github-delivery: 1' -H 'x-github-event: order' -H 'x-hub-signature-256: sha256=…' -d '{}'
#![allow(clippy::print_stdout)] // It shows what it does.

use std::{
    env,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use axum::{Router, extract::State, http::StatusCode};
use sqlx::{Row, SqlitePool};
use tokio::{net::TcpListener, time::sleep};
use tower_webhooks::{
    BoxError, Claim, Delivery, EventRouter, Inbox, Secret, WebhookLayer, clock::ClockOffset, store::SqliteStore,
};

#[path = "support/client.rs"]
mod client;
#[path = "support/server.rs"]
mod server;
#[path = "support/sign.rs"]
mod sign;

/// The same handler could also run before the answer. It commits its effect together with the end of its event.
async fn pay(State(db): State<SqlitePool>, claim: Claim, delivery: Delivery) -> Result<(), StatusCode> {
    let failed = |_| StatusCode::INTERNAL_SERVER_ERROR;
    sleep(Duration::from_secs(1)).await;
    let order = delivery.id().map(|id| id.as_str().to_owned());
    let mut tx = db.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    let payment = sqlx::query("INSERT INTO payments (order_id, attempt) VALUES (?, ?)");
    payment.bind(order).bind(claim.attempt()).execute(&mut *tx).await.map_err(failed)?;
    claim.commit(tx).await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)
}

/// The server and its worker, in their own process.
async fn serve(url: &str) -> Result<(), BoxError> {
    // The events of a killed process stay leased until their leases end, after 60 s. The example does not wait: it
    // advances the clock.
    let offset = ClockOffset::default();
    offset.advance(Duration::from_secs(env::var("SECONDS_LATER")?.parse()?));
    let store = SqliteStore::options().clock_offset(offset).connect(url).await?;

    let events = EventRouter::new().on("order", pay).with_state(store.pool());
    let inbox = Inbox::new(store, events);
    // In an application: `run(shutdown)`, and wait for it when the server has stopped.
    tokio::spawn(inbox.worker().with_concurrency(2).run(std::future::pending()));
    let layer = WebhookLayer::github(Secret::new(SECRET)?);
    let app = Router::new().route_service("/webhooks/github", layer.layer(inbox));

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    if let Ok(url) = env::var("SERVE") {
        return serve(&url).await;
    }
    let folder = tempfile::tempdir()?;
    let url = format!("sqlite://{}?mode=rwc", folder.path().join("shop.db").display());
    let db = SqliteStore::connect(&url).await?.pool();
    sqlx::query("CREATE TABLE payments (order_id TEXT, attempt INTEGER)").execute(&db).await?;

    let (first, address) = start(&url, 0)?;
    for order in 1..=6 {
        let answer = send(&address, order).await?;
        assert_eq!(answer, StatusCode::ACCEPTED);
    }
    // The sender repeats one of them. It is the same event.
    assert_eq!(send(&address, 6).await?, StatusCode::ACCEPTED);
    println!("6 orders are answered with 202; {} are paid", payments(&db).await?.len());

    while payments(&db).await?.is_empty() {
        sleep(Duration::from_millis(50)).await;
    }
    kill(first)?;
    let paid = payments(&db).await?.len();
    println!("the server is killed;           {paid} are paid");
    assert!(paid < 6);

    let (second, _) = start(&url, 61)?;
    while payments(&db).await?.len() < 6 {
        sleep(Duration::from_millis(50)).await;
    }
    kill(second)?;
    let paid = payments(&db).await?;
    println!("the server is started again;    {} are paid", paid.len());
    assert_eq!(paid, ["1", "2", "3", "4", "5", "6"], "each order is paid, and once");
    println!("Nothing is lost, and nothing is paid twice.");
    Ok(())
}

async fn payments(db: &SqlitePool) -> Result<Vec<String>, BoxError> {
    let rows = sqlx::query("SELECT order_id FROM payments ORDER BY order_id").fetch_all(db).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

fn start(url: &str, seconds_later: u32) -> Result<(Child, String), BoxError> {
    let mut server = Command::new(env::current_exe()?)
        .env("SERVE", url)
        .env("SECONDS_LATER", seconds_later.to_string())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut address = String::new();
    BufReader::new(server.stdout.take().ok_or("it is piped")?).read_line(&mut address)?;
    Ok((server, address.trim().to_owned()))
}

/// Ends the process like `kill -9`: no destructor runs, and nothing is flushed.
fn kill(mut server: Child) -> Result<(), BoxError> {
    server.kill()?;
    server.wait()?;
    Ok(())
}

const SECRET: &str = "It's a Secret to Everybody";

async fn send(address: &str, order: u32) -> Result<StatusCode, BoxError> {
    let headers = [
        ("x-github-delivery", order.to_string()),
        ("x-github-event", "order".to_owned()),
        ("x-hub-signature-256", sign::github(SECRET, "{}")),
    ];
    Ok(client::post(address.parse()?, "/webhooks/github", &headers, "{}").await?.0)
}
