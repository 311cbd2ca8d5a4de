//! Rows that cannot be read, for example after a rollback to an older version, do not affect other rows.

use std::time::Duration;

use sqlx::{PgPool, SqlitePool};
use tower_webhooks::{
    BoxFuture,
    clock::ClockOffset,
    conformance::{self, Damage},
    store::{PostgresStore, sqlite::SqliteStoreOptions},
};

use crate::support::postgres_server::PostgresServer;

fn by(offset: &ClockOffset) -> impl Fn(Duration) -> BoxFuture<'static, ()> + use<'_> {
    |by| {
        offset.advance(by);
        Box::pin(std::future::ready(()))
    }
}

/// A statement with one value, which both databases understand.
fn statement(damage: Damage) -> (&'static str, String) {
    match damage {
        Damage::ContentGone(id) => ("UPDATE webhook_outbox_messages SET payload = NULL WHERE id = $1", id),
        Damage::Delivery(id) => {
            ("UPDATE webhook_outbox_deliveries SET state = 9 WHERE CAST(seq AS text) = $1", id.to_u64().to_string())
        }
        Damage::Endpoint(id) => {
            ("UPDATE webhook_outbox_endpoints SET style = 'standard-webhooks-v9' WHERE id = $1", id.to_string())
        }
        Damage::EndpointMended(id) => {
            ("UPDATE webhook_outbox_endpoints SET style = 'standard-webhooks' WHERE id = $1", id.to_string())
        }
        Damage::EventType(name) => {
            ("UPDATE webhook_outbox_event_types SET name = 'order completed' WHERE name = $1", name)
        }
        Damage::Message(id) => ("UPDATE webhook_outbox_messages SET event_type = 'order completed' WHERE id = $1", id),
        Damage::MessageMended(id) => {
            ("UPDATE webhook_outbox_messages SET event_type = 'order.completed' WHERE id = $1", id)
        }
        other => panic!("no statement for {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_lets_what_it_cannot_read_rest_alone() {
    let (folder, offset) = (tempfile::tempdir().unwrap(), ClockOffset::default());
    let url = format!("sqlite://{}/outbox.db", folder.path().display());
    let store = SqliteStoreOptions::new().clock_offset(offset.clone()).connect(&url).await.unwrap();
    let pool = SqlitePool::connect(&url).await.unwrap();

    conformance::damaged_outbox(store, by(&offset), async |damage| {
        let (statement, value) = statement(damage);
        assert_eq!(sqlx::query(statement).bind(value).execute(&pool).await.unwrap().rows_affected(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_lets_what_it_cannot_read_rest_alone() {
    let (server, offset) = (PostgresServer::shared(), ClockOffset::default());
    let url = server.database().await;
    let store = PostgresStore::options().clock_offset(offset.clone()).connect(&url).await.unwrap();
    let pool = PgPool::connect(&url).await.unwrap();

    conformance::damaged_outbox(store, by(&offset), async |damage| {
        let (statement, value) = statement(damage);
        assert_eq!(sqlx::query(statement).bind(value).execute(&pool).await.unwrap().rows_affected(), 1);
    })
    .await;
}
