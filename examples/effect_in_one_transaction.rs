//! Pays an order exactly once, although the process is killed in the middle.
//!
//! Run: cargo run --features sqlite --example effect_in_one_transaction
//!
//! The payment and the mark "done" are in one transaction: both are committed, or neither. While its server runs, you
//! could send it a request like this:
//!
//! curl -i http://127.0.0.1:3000/webhooks/github -H 'x-github-delivery: 1' -H 'x-hub-signature-256: sha256=…' -d '{}'
#![allow(clippy::print_stdout)] // An example prints its results.

use std::{
    env,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use axum::{Router, extract::State, http::StatusCode, routing::post};
use hmac::{Hmac, KeyInit, Mac};
use sqlx::{Row, SqlitePool};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower_webhooks::{
    BoxError, Claim, Delivery, Secret, WebhookLayer, clock::ClockOffset, idempotency::IdempotencyLayer,
    store::SqliteStore,
};

async fn pay(State(db): State<SqlitePool>, claim: Claim, delivery: Delivery) -> Result<(), StatusCode> {
    let failed = |_| StatusCode::INTERNAL_SERVER_ERROR;
    let order = delivery.id().map(|id| id.as_str().to_owned());
    // The transaction will write, so it begins as a writer: SQLite has only one.
    let mut tx = db.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    let payment = sqlx::query("INSERT INTO payments (order_id, attempt) VALUES (?, ?)");
    payment.bind(order).bind(claim.attempt()).execute(&mut *tx).await.map_err(failed)?;

    if env::var("KILLED").is_ok_and(|killed| killed == "before commit") {
        kill_this_process();
    }
    claim.commit(tx).await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    if env::var("KILLED").is_ok_and(|killed| killed == "after commit") {
        kill_this_process();
    }
    Ok(())
}

/// The server, which runs in its own process.
async fn serve(url: &str) -> Result<(), BoxError> {
    let db = SqlitePool::connect(url).await?;
    // The claims of a killed process stay until their leases end, after 60 s. The example does not wait: it advances
    // the clock.
    let offset = ClockOffset::default();
    offset.advance(Duration::from_secs(env::var("SECONDS_LATER")?.parse()?));
    let store = SqliteStore::options().clock_offset(offset).connect(url).await?;
    let layer = WebhookLayer::github(Secret::new(SECRET)?).with_idempotency(IdempotencyLayer::new(store));
    let app = Router::new().route("/webhooks/github", post(pay).layer(layer)).with_state(db);
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
    SqliteStore::connect(&url).await?;
    let db = SqlitePool::connect(&url).await?;
    sqlx::query("CREATE TABLE payments (order_id TEXT, attempt INTEGER)").execute(&db).await?;

    // When the process dies, the sender only sees that the connection ends. So it sends the delivery again.
    let (dies, address) = start(&url, "before commit", 0)?;
    assert_eq!(send(&address, "order 1").await, None, "the process is killed between the payment and the commit");
    end(dies)?;
    println!("killed before the commit: {} payments", payments(&db, "order 1").await?.len());

    let (dies, address) = start(&url, "after commit", 61)?;
    assert_eq!(send(&address, "order 1").await, None, "this one is killed after the commit, before its answer");
    end(dies)?;
    println!("killed after the commit:  {} payment", payments(&db, "order 1").await?.len());

    let (lives, address) = start(&url, "never", 122)?;
    let answer = send(&address, "order 1").await.ok_or("the server answers")?;
    println!("sent once more:           {}", answer.lines().next().unwrap_or_default());
    end(lives)?;

    // Attempt 1 had no effect, attempt 2 paid, and the third delivery was recognised as done.
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("idempotent-replayed: true"), "{answer}");
    assert_eq!(payments(&db, "order 1").await?, [2]);
    println!("The order is paid exactly once.");
    Ok(())
}

/// The attempts that paid.
async fn payments(db: &SqlitePool, order: &str) -> Result<Vec<i64>, BoxError> {
    let rows =
        sqlx::query("SELECT attempt FROM payments WHERE order_id = ?").bind(order.to_owned()).fetch_all(db).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

fn start(url: &str, killed: &str, seconds_later: u32) -> Result<(Child, String), BoxError> {
    let mut server = Command::new(env::current_exe()?)
        .env("SERVE", url)
        .env("KILLED", killed)
        .env("SECONDS_LATER", seconds_later.to_string())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut address = String::new();
    BufReader::new(server.stdout.take().ok_or("it is piped")?).read_line(&mut address)?;
    Ok((server, address.trim().to_owned()))
}

fn end(mut server: Child) -> Result<(), BoxError> {
    server.kill()?;
    server.wait()?;
    Ok(())
}

/// Ends the process like `kill -9`: no destructor runs, and nothing is flushed.
fn kill_this_process() {
    let id = std::process::id().to_string();
    let _ = Command::new("kill").args(["-9", &id]).status();
    std::thread::park();
}

const SECRET: &str = "It's a Secret to Everybody";

/// Sends a delivery. Returns `None` if the connection ends without a response.
async fn send(address: &str, id: &str) -> Option<String> {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).ok()?;
    mac.update(b"{}");
    let signature = data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes());
    let request = format!(
        "POST /webhooks/github HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: 2\r\n\
         x-github-delivery: {id}\r\nx-hub-signature-256: sha256={signature}\r\n\r\n{{}}"
    );
    let mut stream = TcpStream::connect(address).await.ok()?;
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    (!answer.is_empty()).then_some(answer)
}
