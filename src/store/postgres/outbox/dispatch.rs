use std::{any::Any, collections::HashMap};

use sqlx::{PgConnection, Row, postgres::PgRow};
use tokio::time::{Instant, timeout, timeout_at};

use super::{corrupt, count};
use crate::{
    clock::from_time,
    error::{StoreError, StoreErrorKind},
    send::{
        Dispatched, EndpointId, Message, OutboxId,
        policy::{digest, matching, tenant},
    },
    store::postgres::{
        PostgresStore,
        error::{no_answer, store_error},
        statement::{Mode, Statement, Value},
        tx::{Tx, is_conflict, transaction},
    },
};

const CONTEXT: &str = "dispatch";

pub(super) async fn dispatch(store: &PostgresStore, messages: Vec<Message>) -> Result<Vec<Dispatched>, StoreError> {
    let deadline = store.outbox_deadline().await?;
    let dispatched = if messages.len() <= 1 {
        // One statement stores it, or does not: it needs no transaction around it.
        let lock_timeout = &*store.inner.outbox.lock_timeout;
        let done = store_all(store, Way::Alone { store, deadline }, &messages, lock_timeout).await;
        done.map_err(|error| store_error(error, CONTEXT))?
    } else {
        transaction!(store, deadline, CONTEXT, tx => dispatch_with(store, &mut tx, &messages))?
    };
    if dispatched.iter().any(|stored| matches!(stored, Dispatched::Stored { deliveries: 1.. })) {
        store.announce();
    }
    Ok(dispatched)
}

/// Does what `dispatch` does inside a transaction of the store's.
pub(super) async fn dispatch_with(
    store: &PostgresStore,
    tx: &mut Tx,
    messages: &[Message],
) -> Result<Vec<Dispatched>, sqlx::Error> {
    let mode = tx.mode();
    store_all(store, Way::Within { connection: tx.connection(), mode }, messages, "").await
}

pub(super) async fn dispatch_in(
    store: &PostgresStore,
    connection: &mut (dyn Any + Send),
    messages: Vec<Message>,
) -> Result<Vec<Dispatched>, StoreError> {
    const CONTEXT: &str = "dispatch in the application's transaction";

    let Some(connection) = connection.downcast_mut::<PgConnection>() else {
        return Err(StoreError::new(
            StoreErrorKind::WrongTransaction,
            "dispatch: the store is PostgreSQL, and the connection is no `sqlx::PgConnection`",
        ));
    };
    let way = Way::Within { connection, mode: store.inner.mode };
    // The settings of the application's transaction are not ours to change.
    let done = timeout(store.inner.timeout, store_all(store, way, &messages, "")).await;
    let error = match done.unwrap_or_else(|_| Err(no_answer())) {
        Ok(dispatched) => return Ok(dispatched),
        Err(error) => store_error(error, CONTEXT),
    };
    // Missing tables mean that it is of another database, or finds other schemas.
    Err(match error.kind() {
        StoreErrorKind::Schema => StoreError::new(
            StoreErrorKind::WrongTransaction,
            "dispatch in a transaction that does not find the store's tables",
        )
        .with_source(error),
        _ => error,
    })
}

pub(super) async fn dispatch_to(
    store: &PostgresStore,
    endpoint: EndpointId,
    message: Message,
) -> Result<Option<OutboxId>, StoreError> {
    let outbox = &store.inner.outbox;
    let deadline = store.outbox_deadline().await?;
    let (endpoint, digest) = (endpoint.to_string(), digest(&message));
    let values = [
        store.offset(),
        Value::from(&*outbox.lock_timeout),
        Value::from(&*endpoint),
        Value::from(tenant(&message)),
        Value::from(message.message_id().as_str()),
        Value::from(message.event_type()),
        Value::Text(message.api_version()),
        Value::from(message.payload().get()),
        Value::from(&digest),
        Value::Int(message.timestamp().map(from_time)),
    ];
    let look = async || {
        for _ in 0..TRIES {
            let rows = store.ask_by(deadline, &store.statements().dispatch_to, &values).await?;
            let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
            if let Some(seq) = row.try_get::<Option<i64>, _>("delivery")? {
                return Ok(Some(outbox_id(seq)?));
            }
            if !row.try_get::<bool, _>("is_there")? || row.try_get::<bool, _>("is_known")? {
                return Ok(None);
            }
            // Somebody has just stored a message under the id. Now it can be read.
        }
        Err(too_busy())
    };
    let made = look().await.map_err(|error| store_error(error, CONTEXT))?;
    if made.is_some() {
        store.announce();
    }
    Ok(made)
}

/// How statements reach the server.
enum Way<'a> {
    /// Each in a transaction of its own.
    Alone {
        store: &'a PostgresStore,
        deadline: Instant,
    },
    Within {
        connection: &'a mut PgConnection,
        mode: Mode,
    },
}

impl Way<'_> {
    async fn all(&mut self, statement: &Statement, values: &[Value<'_>]) -> Result<Vec<PgRow>, sqlx::Error> {
        match self {
            Self::Alone { store, deadline } => store.ask_by(*deadline, statement, values).await,
            Self::Within { connection, mode } => statement.fetch_all(connection, *mode, values).await,
        }
    }
}

/// What became of a message.
#[derive(Clone, Copy)]
enum Stored {
    Known { deliveries: u32 },
    New { seq: i64, deliveries: u32 },
    Other,
}

/// Stores messages. If one of them is in conflict with another one, what was stored of the others is taken back: a transaction of
/// the application's is not ours to roll back.
async fn store_all(
    store: &PostgresStore,
    mut way: Way<'_>,
    messages: &[Message],
    lock_timeout: &str,
) -> Result<Vec<Dispatched>, sqlx::Error> {
    let digests: Vec<_> = messages.iter().map(digest).collect();
    let mut first = HashMap::new();
    // Which one each is the same as: the first one under its tenant and id, mostly itself.
    let mut same = Vec::with_capacity(messages.len());
    for (place, message) in messages.iter().enumerate() {
        same.push(*first.entry((tenant(message), message.message_id())).or_insert(place));
    }
    let mut stored: Vec<_> =
        (0..messages.len()).map(|place| (digests[place] != digests[same[place]]).then_some(Stored::Other)).collect();

    let mut left: Vec<_> = (0..messages.len()).filter(|place| same[*place] == *place).collect();
    let is_other = |stored: &Option<Stored>| matches!(stored, Some(Stored::Other));
    for _ in 0..TRIES {
        if left.is_empty() || stored.iter().any(is_other) {
            break;
        }
        let rows = ask(store, &mut way, messages, &digests, &left, lock_timeout).await?;
        for (place, row) in left.iter().zip(&rows) {
            stored[*place] = read(row)?;
        }
        // Somebody has just stored a message under one of the ids. Now it can be read.
        left.retain(|place| stored[*place].is_none());
    }

    if stored.iter().any(is_other) {
        let new = stored.iter().filter_map(|stored| match stored {
            Some(Stored::New { seq, .. }) => Some(*seq),
            _ => None,
        });
        let new: Vec<i64> = new.collect();
        if !new.is_empty() {
            way.all(&store.statements().undo, &[Value::ManyInts(&new)]).await?;
        }
        let answer = |stored| if is_other(stored) { Dispatched::Conflict } else { Dispatched::Known { deliveries: 0 } };
        return Ok(stored.iter().map(answer).collect());
    }
    let answers = (0..messages.len()).map(|place| match (stored[same[place]], same[place] == place) {
        (Some(Stored::New { deliveries, .. }), true) => Ok(Dispatched::Stored { deliveries }),
        (Some(Stored::New { deliveries, .. } | Stored::Known { deliveries }), _) => {
            Ok(Dispatched::Known { deliveries })
        }
        (Some(Stored::Other) | None, _) => Err(too_busy()),
    });
    answers.collect()
}

async fn ask(
    store: &PostgresStore,
    way: &mut Way<'_>,
    messages: &[Message],
    digests: &[[u8; 32]],
    places: &[usize],
    lock_timeout: &str,
) -> Result<Vec<PgRow>, sqlx::Error> {
    let of = || places.iter().map(|place| &messages[*place]);
    let happened: Vec<_> = of().map(|message| Some(from_time(message.timestamp()?).to_string())).collect();
    let patterns: Vec<_> = of().map(|message| matching(message.event_type()).join(" ")).collect();

    let tenants: Vec<_> = of().map(|message| Some(tenant(message))).collect();
    let ids: Vec<_> = of().map(|message| Some(message.message_id().as_str())).collect();
    let event_types: Vec<_> = of().map(|message| Some(message.event_type())).collect();
    let versions: Vec<_> = of().map(Message::api_version).collect();
    let payloads: Vec<_> = of().map(|message| Some(message.payload().get())).collect();
    let digests: Vec<_> = places.iter().map(|place| &digests[*place][..]).collect();
    let happened: Vec<_> = happened.iter().map(Option::as_deref).collect();
    let patterns: Vec<_> = patterns.iter().map(|patterns| Some(&**patterns)).collect();
    let values = [
        store.offset(),
        Value::from(lock_timeout),
        Value::ManyTexts(&tenants),
        Value::ManyTexts(&ids),
        Value::ManyTexts(&event_types),
        Value::ManyTexts(&versions),
        Value::ManyTexts(&payloads),
        Value::ManyBytes(&digests),
        Value::ManyTexts(&happened),
        Value::ManyTexts(&patterns),
    ];
    way.all(&store.statements().dispatch, &values).await
}

fn read(row: &PgRow) -> Result<Option<Stored>, sqlx::Error> {
    if let Some(seq) = row.try_get::<Option<i64>, _>("seq")? {
        return Ok(Some(Stored::New { seq, deliveries: count(row.try_get("deliveries")?) }));
    }
    Ok(match row.try_get::<Option<bool>, _>("is_same")? {
        None => None,
        Some(false) => Some(Stored::Other),
        Some(true) => Some(Stored::Known { deliveries: count(row.try_get("known_deliveries")?) }),
    })
}

pub(super) fn outbox_id(seq: i64) -> Result<OutboxId, sqlx::Error> {
    u64::try_from(seq).map(OutboxId::from_u64).map_err(|_| corrupt("a delivery's id is none"))
}

/// What is under an id comes and goes faster than it can be read.
fn too_busy() -> sqlx::Error {
    sqlx::Error::Protocol("a message is being stored and removed again and again".to_owned())
}

/// The first one may meet a message that has been committed since it began; the second one sees it.
const TRIES: usize = 3;
