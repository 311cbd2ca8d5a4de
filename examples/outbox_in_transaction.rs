//! Run: cargo run --features send,sqlite --example outbox_in_transaction
//!
//! Writes an order and dispatches its webhook in one transaction of the application: if it is rolled back, nothing is
//! sent; if it is committed, the webhook is sent, even if the process ends at this moment. The example does not start a
//! server.

#![allow(clippy::print_stdout)] // An example prints its results.

use serde_json::json;
use sqlx::{
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode},
};
use tower_webhooks::{
    BoxError,
    send::{DeliveryQuery, Dispatcher, Message, NewEndpoint, SealingKey},
    store::SqliteStore,
};

async fn complete(db: &SqlitePool, webhooks: &Dispatcher, order: i64) -> Result<(), BoxError> {
    // The transaction writes, so it begins as a writer: SQLite has only one at a time.
    let mut tx = db.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::query("INSERT INTO orders (id) VALUES (?)").bind(order).execute(&mut *tx).await?;
    let message = Message::new("order.completed", &json!({ "order": order }))?;
    webhooks.dispatch_in(&mut tx, message.id(format!("order-{order}").parse()?)).await?;
    if order == 13 {
        return Err("no luck with this one".into()); // the transaction is dropped and so rolled back
    }
    tx.commit().await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let folder = tempfile::tempdir()?;
    let options = SqliteConnectOptions::new()
        .filename(folder.path().join("app.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal);
    let db = SqlitePool::connect_with(options).await?;
    sqlx::query("CREATE TABLE orders (id INTEGER PRIMARY KEY)").execute(&db).await?;

    // The outbox is in the application's own database.
    let store = SqliteStore::from_pool(db.clone());
    store.migrate().await?;
    let key = SealingKey::parse("mZ8bq3J7oXn0gq3q3mWmQe2mF7m1i1o4o1uUj5p0r2s=")?; // yours: `SealingKey::from_env`
    let webhooks = Dispatcher::builder(store).sealing_key(key).build()?;
    webhooks.endpoints().create(NewEndpoint::new("https://example.com/hook")?).await?;

    assert!(complete(&db, &webhooks, 13).await.is_err());
    complete(&db, &webhooks, 7).await?;

    let deliveries = webhooks.deliveries(None, DeliveryQuery::default()).await?;
    let told: Vec<_> = deliveries.iter().map(|delivery| delivery.message.as_str()).collect();
    println!("in the outbox: {told:?}");
    assert_eq!(told, ["order-7"]);
    Ok(())
}
