//! One process answers, and three others share the work through PostgreSQL. One of them is killed, and every order is
//! paid once.
//!
//! Run: cargo run --features inbox,postgres --example many_workers
//!
//! It starts its own PostgreSQL from the installed programs; `DATABASE_URL=postgres://…` selects another one. While its
//! server runs, you could send it a request like this:
//!
//! curl -i http://127.0.0.1:3000/webhooks/github -H 'x-github-delivery: 1' -H 'x-github-event: order' -H 'x-hub-signature-256: sha256=…' -d '{}'
#![allow(clippy::print_stdout)] // It shows what it does.

use std::{
    env,
    process::{Child, Command},
    time::Duration,
};

use axum::{Router, extract::State, http::StatusCode};
use sqlx::{PgPool, Row};
use tokio::{net::TcpListener, time::sleep};
use tower_webhooks::{BoxError, Claim, Delivery, EventRouter, Inbox, Secret, WebhookLayer, store::PostgresStore};

#[path = "support/client.rs"]
mod client;
#[allow(dead_code, clippy::unwrap_used)] // It belongs to the tests.
#[path = "../tests/support/postgres_server.rs"]
mod postgres_server;
#[allow(dead_code)]
#[path = "../tests/support/process.rs"]
mod process;
#[path = "support/server.rs"]
mod server;
#[path = "support/sign.rs"]
mod sign;

/// The state of the handlers. The payment and the end of the event are one transaction.
#[derive(Clone)]
struct Shop {
    db: PgPool,
    worker: String,
}

async fn pay(State(shop): State<Shop>, claim: Claim, delivery: Delivery) -> Result<(), StatusCode> {
    let failed = |_| StatusCode::INTERNAL_SERVER_ERROR;
    sleep(Duration::from_millis(300)).await;
    let order = delivery.id().map(|id| id.as_str().to_owned());
    let mut tx = shop.db.begin().await.map_err(failed)?;
    let payment = sqlx::query("INSERT INTO payments (order_id, worker) VALUES ($1, $2)").bind(order).bind(&shop.worker);
    payment.execute(&mut *tx).await.map_err(failed)?;
    claim.commit(tx).await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)
}

/// The same inbox in each process. A process that answers needs no worker, and a process that works needs no server.
async fn inbox(url: &str, worker: String) -> Result<Inbox, BoxError> {
    let store = PostgresStore::connect(url).await?;
    let shop = Shop { db: store.pool(), worker };
    Ok(Inbox::new(store, EventRouter::new().on("order", pay).with_state(shop)))
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    if let (Ok(url), Ok(name)) = (env::var("WORK"), env::var("WORKER")) {
        // In an application: `run(shutdown)`. The events of a killed worker are due again after a minute by default,
        // here after a second.
        let worker = inbox(&url, name).await?.worker().with_concurrency(4).with_lease(Duration::from_secs(1));
        worker.run(std::future::pending()).await;
        return Ok(());
    }
    let server = env::var("DATABASE_URL").is_err().then(postgres_server::PostgresServer::start);
    let url = match &server {
        Some(server) => server.database().await,
        None => env::var("DATABASE_URL")?,
    };
    let db = PgPool::connect(&url).await?;
    sqlx::query("CREATE TABLE IF NOT EXISTS payments (order_id text, worker text)").execute(&db).await?;

    let answers = inbox(&url, "none".to_owned()).await?;
    let layer = WebhookLayer::github(Secret::new(SECRET)?);
    let app = Router::new().route_service("/webhooks/github", layer.layer(answers));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    tokio::spawn(async move { axum::serve(listener, app).await });

    let mut workers = [start(&url, "first")?, start(&url, "second")?, start(&url, "third")?];
    for order in 0..ORDERS {
        assert_eq!(send(&address, order).await?, StatusCode::ACCEPTED);
        // The sender repeats every third one.
        if order % 3 == 0 {
            assert_eq!(send(&address, order).await?, StatusCode::ACCEPTED);
        }
    }
    println!("{ORDERS} orders are answered with 202");

    while paid(&db).await? < ORDERS / 4 {
        sleep(Duration::from_millis(20)).await;
    }
    // Ends the process like `kill -9`: no destructor runs, and nothing is given back.
    workers[0].kill()?;
    println!("the first worker is killed; {} orders are paid", paid(&db).await?);
    while paid(&db).await? < ORDERS {
        sleep(Duration::from_millis(20)).await;
    }
    for worker in &mut workers {
        worker.kill()?;
        worker.wait()?;
    }

    let per_worker =
        "SELECT worker, count(*) AS count FROM payments WHERE order_id LIKE $1 GROUP BY worker ORDER BY worker";
    for row in sqlx::query(per_worker).bind(orders()).fetch_all(&db).await? {
        println!("the {} worker: {} orders", row.get::<String, _>(0), row.get::<i64, _>(1));
    }
    let rows = sqlx::query(
        "SELECT count(*), count(DISTINCT order_id), count(DISTINCT worker) FROM payments WHERE order_id LIKE $1",
    );
    let row = rows.bind(orders()).fetch_one(&db).await?;
    assert_eq!((row.get::<i64, _>(0), row.get::<i64, _>(1)), (ORDERS, ORDERS), "each order is paid, and once");
    assert!(row.get::<i64, _>(2) > 1, "several workers have shared the work");
    println!("Nothing is lost, and nothing is paid twice.");
    Ok(())
}

fn start(url: &str, name: &str) -> Result<Child, BoxError> {
    Ok(Command::new(env::current_exe()?).env("WORK", url).env("WORKER", name).spawn()?)
}

async fn paid(db: &PgPool) -> Result<i64, BoxError> {
    let count = sqlx::query_scalar("SELECT count(*) FROM payments WHERE order_id LIKE $1");
    Ok(count.bind(orders()).fetch_one(db).await?)
}

/// The orders of this run: another database may have those of earlier ones.
fn orders() -> String {
    format!("{}-%", std::process::id())
}

const ORDERS: i64 = 90;
const SECRET: &str = "It's a Secret to Everybody";

async fn send(address: &str, order: i64) -> Result<StatusCode, BoxError> {
    let headers = [
        ("x-github-delivery", format!("{}-{order}", std::process::id())),
        ("x-github-event", "order".to_owned()),
        ("x-hub-signature-256", sign::github(SECRET, "{}")),
    ];
    Ok(client::post(address.parse()?, "/webhooks/github", &headers, "{}").await?.0)
}
