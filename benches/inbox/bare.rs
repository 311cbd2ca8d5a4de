//! The bare drivers: what somebody writes who knows the tables, with every event of a call at hand. It checks nothing.

use std::time::Duration;

use redis::{Value, aio::MultiplexedConnection};
use sha2::{Digest, Sha256};
use sqlx::{
    AssertSqlSafe, PgPool, Row, SqlitePool,
    postgres::PgPoolOptions,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::task::JoinSet;
use tower_webhooks::{
    inbox::{EventDraft, LeaseToken},
    store::{PostgresStore, SqliteStore},
};

use crate::{CONSUMER, IN_FLIGHT, Kind, table::now};

/// How many events a worker takes at once.
const TAKEN: i64 = 32;

pub(crate) enum Bare {
    Postgres(PgPool),
    Redis(MultiplexedConnection),
    Sqlite(SqlitePool),
}

impl Bare {
    /// Opens tables of the same form: those that a store of this crate has made.
    pub(crate) async fn open(kind: Kind, url: &str) -> Self {
        match kind {
            Kind::Postgres => {
                PostgresStore::connect(url).await.unwrap();
                Self::Postgres(PgPoolOptions::new().max_connections(10).connect(url).await.unwrap())
            }
            Kind::Redis => {
                let connection = redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
                for script in [ACCEPT, LEASE, FINISH] {
                    let load = redis::cmd("SCRIPT").arg("LOAD").arg(script).to_owned();
                    let _: Value = load.query_async(&mut connection.clone()).await.unwrap();
                }
                Self::Redis(connection)
            }
            Kind::Sqlite => {
                let store = SqliteStore::connect(url).await.unwrap();
                store.migrate().await.unwrap();
                let options: SqliteConnectOptions = url.parse().unwrap();
                let options = options.synchronous(SqliteSynchronous::Extra);
                // One connection, so that nobody waits for another one's lock.
                let pool = SqlitePoolOptions::new().max_connections(1).test_before_acquire(false);
                Self::Sqlite(pool.connect_with(options).await.unwrap())
            }
        }
    }

    pub(crate) async fn accept(&self, events: &[EventDraft]) -> Duration {
        match self {
            Self::Postgres(pool) => accept_postgres(pool, events).await,
            Self::Redis(connection) => accept_redis(connection, events).await,
            Self::Sqlite(pool) => accept_sqlite(pool, events).await,
        }
    }

    /// Takes and ends whatever is there.
    pub(crate) async fn handle_all(&self) -> Duration {
        let begun = now();
        loop {
            let handled = match self {
                Self::Postgres(pool) => handle_postgres(pool).await,
                Self::Redis(connection) => handle_redis(connection).await,
                Self::Sqlite(pool) => handle_sqlite(pool).await,
            };
            if handled == 0 {
                return begun.elapsed();
            }
        }
    }
}

fn token() -> Vec<u8> {
    LeaseToken::random().unwrap().to_bytes().to_vec()
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap()
}

#[allow(clippy::disallowed_methods)] // As an application does it.
fn time() -> i64 {
    millis(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap())
}

// --- SQLite: one transaction for 64 events, with what the store asks of each ---------------------------------------------

const STANDING: &str = "seq, state, due_at, attempt, spent, token, order_key, retention, fingerprint, has_content";

async fn accept_sqlite(pool: &SqlitePool, events: &[EventDraft]) -> Duration {
    let find = format!("SELECT {STANDING} FROM webhook_inbox_events WHERE key = ?");
    let begun = now();
    for group in events.chunks(IN_FLIGHT as usize) {
        let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
        for event in group {
            let (key, now) = (event.key.to_bytes().to_vec(), time());
            let known = sqlx::query(AssertSqlSafe(find.as_str())).bind(key.clone()).fetch_optional(&mut *tx);
            assert!(known.await.unwrap().is_none());
            sqlx::query(
                "INSERT INTO webhook_inbox_events (key, consumer, state, due_at, accepted_at, fingerprint, retention, order_key, guard, \
                 guard_until, provider, tenant, delivery_id, event_type, head, body) \
                 VALUES (?, ?, 0, ?, ?, ?, ?, NULL, NULL, NULL, ?, NULL, ?, ?, ?, ?)",
            )
            .bind(key)
            .bind(CONSUMER)
            .bind(now)
            .bind(now)
            .bind(event.fingerprint.to_bytes().to_vec())
            .bind(millis(event.retention))
            .bind(event.provider.to_string())
            .bind(event.delivery_id.as_deref().map(str::to_owned))
            .bind(event.event_type.as_deref().map(str::to_owned))
            .bind(event.content.head.to_string())
            .bind(event.content.body.to_vec())
            .execute(&mut *tx)
            .await
            .unwrap();
        }
        tx.commit().await.unwrap();
    }
    begun.elapsed()
}

async fn handle_sqlite(pool: &SqlitePool) -> usize {
    let (now, token) = (time(), token());
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let due = format!(
        "SELECT {STANDING}, key, accepted_at, head, body, provider FROM webhook_inbox_events INDEXED BY webhook_inbox_events_due \
         WHERE consumer = ? AND state <= 1 AND due_at <= ? ORDER BY due_at, seq LIMIT ?"
    );
    let due = sqlx::query(AssertSqlSafe(due)).bind(CONSUMER).bind(now).bind(TAKEN);
    let rows = due.fetch_all(&mut *tx).await.unwrap();
    let taken: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
    for seq in &taken {
        sqlx::query("UPDATE webhook_inbox_events SET state = 1, due_at = ?, attempt = 1, token = ? WHERE seq = ?")
            .bind(now + 60_000)
            .bind(token.clone())
            .bind(seq)
            .execute(&mut *tx)
            .await
            .unwrap();
    }
    sqlx::query("SELECT min(due_at) FROM webhook_inbox_events INDEXED BY webhook_inbox_events_due WHERE consumer = ? AND state <= 1")
        .bind(CONSUMER)
        .fetch_one(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let find = format!("SELECT {STANDING} FROM webhook_inbox_events WHERE seq = ?");
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    for seq in &taken {
        sqlx::query(AssertSqlSafe(find.as_str())).bind(seq).fetch_one(&mut *tx).await.unwrap();
        sqlx::query(
            "UPDATE webhook_inbox_events SET state = 2, due_at = ?, attempt = 1, spent = 0, token = ?, reason = NULL WHERE seq = ?",
        )
        .bind(time())
        .bind(token.clone())
        .bind(seq)
        .execute(&mut *tx)
        .await
        .unwrap();
    }
    tx.commit().await.unwrap();
    taken.len()
}

// --- PostgreSQL: the store's own statements, two at once with 32 events each --------------------------------------------

/// A statement of the store, as it stands in its file.
macro_rules! statement {
    ($name:literal) => {
        AssertSqlSafe(
            include_str!(concat!("../../src/store/postgres/inbox/sql/", $name, ".sql"))
                .replace("{inbox_events}", "webhook_inbox_events"),
        )
    };
}

async fn accept_postgres(pool: &PgPool, events: &[EventDraft]) -> Duration {
    let begun = now();
    for group in events.chunks(IN_FLIGHT as usize) {
        let mut halves = JoinSet::new();
        for half in group.chunks((IN_FLIGHT / 2) as usize) {
            let (pool, half) = (pool.clone(), half.to_vec());
            halves.spawn(async move {
                let count = half.len();
                let list = |of: fn(&EventDraft) -> Vec<u8>| half.iter().map(of).collect::<Vec<_>>();
                let text = |of: fn(&EventDraft) -> Option<String>| half.iter().map(of).collect::<Vec<_>>();
                let rows = sqlx::query(statement!("insert"))
                    .bind(0_i64)
                    .bind("2500ms")
                    .bind(list(|event| event.key.to_bytes().to_vec()))
                    .bind(text(|_| Some(CONSUMER.to_owned())))
                    .bind(vec![0_i64; count])
                    .bind(list(|event| event.fingerprint.to_bytes().to_vec()))
                    .bind(half.iter().map(|event| millis(event.retention)).collect::<Vec<_>>())
                    .bind(list(|_| Vec::new()))
                    .bind(list(|_| Vec::new()))
                    .bind(vec![0_i64; count])
                    .bind(text(|event| Some(event.provider.to_string())))
                    .bind(text(|_| None))
                    .bind(text(|event| event.delivery_id.as_deref().map(str::to_owned)))
                    .bind(text(|event| event.event_type.as_deref().map(str::to_owned)))
                    .bind(list(|event| event.content.head.as_bytes().to_vec()))
                    .bind(list(|event| event.content.body.to_vec()))
                    .fetch_all(&pool)
                    .await
                    .unwrap();
                assert!(rows.len() == count && rows.iter().all(|row| row.get("is_new")));
            });
        }
        halves.join_all().await;
    }
    begun.elapsed()
}

async fn handle_postgres(pool: &PgPool) -> usize {
    let (held_by, until) = (token(), time() + 60_000);
    let mut tx = pool.begin().await.unwrap();
    let due = sqlx::query(statement!("due")).bind(0_i64).bind(CONSUMER).bind(TAKEN).bind(None::<i64>);
    let rows = due.fetch_all(&mut *tx).await.unwrap();
    let taken: Vec<i64> = rows.iter().map(|row| row.get("seq")).collect();
    let hold = sqlx::query(statement!("hold")).bind(held_by.clone()).bind(until).bind(&taken);
    hold.bind(vec![1_i64; taken.len()]).execute(&mut *tx).await.unwrap();
    sqlx::query(statement!("look")).bind(0_i64).bind(CONSUMER).fetch_one(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    let mut ending = JoinSet::new();
    for seq in &taken {
        let (pool, seq, held_by) = (pool.clone(), *seq, held_by.clone());
        ending.spawn(async move {
            sqlx::query(statement!("standing")).bind(0_i64).bind(seq).fetch_one(&pool).await.unwrap();
            let finish = sqlx::query(statement!("finish")).bind("2500ms").bind(seq).bind(held_by.clone()).bind(2_i64);
            let finish = finish.bind(time()).bind(1_i64).bind(0_i64).bind(held_by).bind(None::<String>);
            finish.fetch_one(&pool).await.unwrap();
        });
    }
    ending.join_all().await;
    taken.len()
}

// --- Redis: the store's own scripts -------------------------------------------------------------------------------------

macro_rules! script {
    ($name:literal) => {
        concat!(
            include_str!("../../src/store/redis/inbox/scripts/event.lua"),
            include_str!(concat!("../../src/store/redis/inbox/scripts/", $name, ".lua"))
        )
    };
}

const ACCEPT: &str = script!("accept");
const LEASE: &str = script!("lease");
const FINISH: &str = script!("finish");

fn mark(text: &str) -> Vec<u8> {
    Sha256::digest(text.as_bytes())[..16].to_vec()
}

/// A script with its keys and the offset of the clock.
fn run(script: &str) -> redis::Cmd {
    use sha1::{Digest, Sha1};
    const NAMES: [&str; 15] = [
        "meta",
        "events",
        "contents",
        "reasons",
        "ids",
        "states",
        "due",
        "ages",
        "order",
        "ended",
        "bare",
        "types",
        "tenants",
        "guards",
        "arrivals:inbox",
    ];
    let mut command = redis::cmd("EVALSHA");
    command.arg(data_encoding::HEXLOWER.encode(&Sha1::digest(script))).arg(NAMES.len());
    for name in NAMES {
        command.arg(format!("{{bare_inbox}}:{name}"));
    }
    command.arg(0);
    command
}

async fn accept_redis(connection: &MultiplexedConnection, events: &[EventDraft]) -> Duration {
    let begun = now();
    let mut callers = JoinSet::new();
    for some in events.chunks(events.len().div_ceil(IN_FLIGHT as usize)) {
        let (mut connection, some) = (connection.clone(), some.to_vec());
        callers.spawn(async move {
            for event in some {
                let mut accept = run(ACCEPT);
                accept.arg(mark(CONSUMER)).arg("").arg(1).arg(&event.key.to_bytes()[..]);
                accept.arg(&event.fingerprint.to_bytes()[..]).arg(mark(&event.provider)).arg(mark("invoice.paid"));
                accept.arg(&[0_u8; 16][..]).arg("").arg("").arg("").arg(millis(event.retention));
                accept.arg(event.delivery_id.as_deref()).arg(&event.content.body[..]);
                let answer: (i64, Vec<i64>) = accept.query_async(&mut connection).await.unwrap();
                assert_eq!(answer, (1, vec![3]));
            }
        });
    }
    callers.join_all().await;
    begun.elapsed()
}

async fn handle_redis(connection: &MultiplexedConnection) -> usize {
    let held_by = token();
    let mut lease = run(LEASE);
    lease.arg(mark(CONSUMER)).arg(&held_by).arg(60_000).arg(TAKEN).arg(12).arg("").arg("why").arg(1000);
    let answer: Vec<Value> = lease.query_async(&mut connection.clone()).await.unwrap();
    let Some(Value::Array(events)) = answer.last() else { panic!("{answer:?}") };
    let mut ending = JoinSet::new();
    for event in events {
        let Value::Array(event) = event else { panic!("{event:?}") };
        let Value::BulkString(id) = &event[0] else { panic!("{event:?}") };
        let mut finish = run(FINISH);
        finish.arg(id).arg(&held_by).arg("f").arg(0).arg(0).arg("");
        let mut connection = connection.clone();
        ending.spawn(async move {
            let answer: (i64, i64) = finish.query_async(&mut connection).await.unwrap();
            assert_eq!(answer, (1, 1));
        });
    }
    ending.join_all().await.len()
}
