use std::any::Any;

use sqlx::{PgConnection, Row, postgres::PgRow};
use tokio::time::{Instant, timeout, timeout_at};

use super::core::Core;
use crate::{
    clock::from_time,
    error::{StoreError, StoreErrorKind},
    send::{
        Dispatched, EndpointId, Message, SentDeliveryId,
        policy::{Batch, digest, matching, tenant},
    },
    store::{
        columns::{self, count, outbox_id},
        postgres::{
            error::{in_transaction, no_answer, store_error},
            statement::{Mode, Statement, Value},
            tx::{Tx, is_conflict, transaction},
        },
    },
};

const CONTEXT: &str = "dispatch";

pub(super) async fn dispatch(outbox: &Core, messages: Vec<Message>) -> Result<Vec<Dispatched>, StoreError> {
    let deadline = outbox.deadline().await?;
    let dispatched = if messages.len() <= 1 {
        // One statement does all of it, so it needs no transaction around it.
        let lock_timeout = &*outbox.server.lock_timeout;
        let done = store_all(outbox, Way::Alone { outbox, deadline }, &messages, lock_timeout).await;
        done.map_err(|error| store_error(error, CONTEXT))?
    } else {
        transaction!(outbox, deadline, CONTEXT, tx => dispatch_with(outbox, &mut tx, &messages))?
    };
    if dispatched.iter().any(|stored| matches!(stored, Dispatched::Stored { deliveries: 1.. })) {
        outbox.announce();
    }
    Ok(dispatched)
}

/// Does what `dispatch` does inside a transaction of the store's.
pub(super) async fn dispatch_with(
    outbox: &Core,
    tx: &mut Tx,
    messages: &[Message],
) -> Result<Vec<Dispatched>, sqlx::Error> {
    let mode = tx.mode();
    store_all(outbox, Way::Within { connection: tx.connection(), mode }, messages, "").await
}

pub(super) async fn dispatch_in(
    outbox: &Core,
    connection: &mut (dyn Any + Send),
    messages: Vec<Message>,
) -> Result<Vec<Dispatched>, StoreError> {
    let Some(connection) = connection.downcast_mut::<PgConnection>() else {
        return Err(StoreError::new(
            StoreErrorKind::WrongTransaction,
            "dispatch: the store is PostgreSQL, and the connection is not an `sqlx::PgConnection`",
        ));
    };
    let way = Way::Within { connection, mode: outbox.server.mode };
    // The settings of the application's transaction must not be changed here.
    let done = timeout(outbox.server.timeout, store_all(outbox, way, &messages, "")).await;
    done.unwrap_or_else(|_| Err(no_answer())).map_err(|error| in_transaction(error, CONTEXT))
}

pub(super) async fn dispatch_to(
    outbox: &Core,
    endpoint: EndpointId,
    message: Message,
) -> Result<Option<SentDeliveryId>, StoreError> {
    let deadline = outbox.deadline().await?;
    let (endpoint, digest, labels) = (endpoint.to_string(), digest(&message), columns::labels_text(message.labels()));
    let values = [
        outbox.offset(),
        Value::from(&*outbox.server.lock_timeout),
        Value::from(&*endpoint),
        Value::from(tenant(&message)),
        Value::from(message.message_id().as_str()),
        Value::from(message.event_type()),
        Value::Text(message.api_version()),
        Value::from(message.payload().get()),
        Value::from(&digest),
        Value::Int(message.timestamp().map(from_time)),
        Value::Text(labels.as_deref()),
        Value::Text(message.order_key_name()),
    ];
    let look = async || {
        for _ in 0..TRIES {
            let rows = outbox.ask_by(deadline, &outbox.statements.dispatch_to, &values).await?;
            let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
            if let Some(seq) = row.try_get::<Option<i64>, _>("delivery")? {
                return Ok(Some(outbox_id(seq)?));
            }
            if !row.try_get::<bool, _>("is_there")? || row.try_get::<bool, _>("is_known")? {
                return Ok(None);
            }
            // Another process has just stored a message under the id, which can be read now.
        }
        Err(too_busy())
    };
    let made = look().await.map_err(|error| store_error(error, CONTEXT))?;
    if made.is_some() {
        outbox.announce();
    }
    Ok(made)
}

/// How statements reach the server.
enum Way<'a> {
    /// Each in a transaction of its own.
    Alone {
        outbox: &'a Core,
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
            Self::Alone { outbox, deadline } => outbox.ask_by(*deadline, statement, values).await,
            Self::Within { connection, mode } => statement.fetch_all(connection, *mode, values).await,
        }
    }
}

/// The result for a message.
#[derive(Clone, Copy)]
enum Stored {
    Known { deliveries: u32 },
    New { seq: i64, deliveries: u32 },
    Other,
}

/// Stores messages. If one of them is in conflict with another one, what was stored of the others is taken back: the
/// application's transaction must not be rolled back here.
async fn store_all(
    outbox: &Core,
    mut way: Way<'_>,
    messages: &[Message],
    lock_timeout: &str,
) -> Result<Vec<Dispatched>, sqlx::Error> {
    let batch = Batch::new(messages);
    let mut stored: Vec<Option<Stored>> = vec![None; messages.len()];
    let mut left: Vec<_> = batch.firsts().collect();
    for _ in 0..TRIES {
        if left.is_empty() {
            break;
        }
        let rows = ask(outbox, &mut way, &batch, &left, lock_timeout).await?;
        for (place, row) in left.iter().zip(&rows) {
            stored[*place] = read(row)?;
        }
        // Another process has just stored a message under one of the ids, which can be read now.
        left.retain(|place| stored[*place].is_none());
    }

    if let Some(answers) = batch.conflicts(|place| matches!(stored[place], Some(Stored::Other))) {
        let new = stored.iter().filter_map(|stored| match stored {
            Some(Stored::New { seq, .. }) => Some(*seq),
            _ => None,
        });
        let new: Vec<i64> = new.collect();
        if !new.is_empty() {
            way.all(&outbox.statements.undo, &[Value::ManyInts(&new)]).await?;
        }
        return Ok(answers);
    }
    if !left.is_empty() {
        return Err(too_busy());
    }
    Ok(batch.answers(|place| match stored[place] {
        Some(Stored::New { deliveries, .. }) => Dispatched::Stored { deliveries },
        Some(Stored::Known { deliveries }) => Dispatched::Known { deliveries },
        Some(Stored::Other) | None => Dispatched::Conflict,
    }))
}

async fn ask(
    outbox: &Core,
    way: &mut Way<'_>,
    batch: &Batch<'_>,
    places: &[usize],
    lock_timeout: &str,
) -> Result<Vec<PgRow>, sqlx::Error> {
    let of = || places.iter().map(|place| batch.message(*place).0);
    let happened: Vec<_> = of().map(|message| Some(from_time(message.timestamp()?).to_string())).collect();
    let patterns: Vec<_> = of().map(|message| matching(message.event_type()).join(" ")).collect();

    let labels: Vec<_> = of().map(|message| columns::labels_text(message.labels())).collect();

    let order_keys: Vec<_> = of().map(Message::order_key_name).collect();
    let tenants: Vec<_> = of().map(|message| Some(tenant(message))).collect();
    let ids: Vec<_> = of().map(|message| Some(message.message_id().as_str())).collect();
    let event_types: Vec<_> = of().map(|message| Some(message.event_type())).collect();
    let versions: Vec<_> = of().map(Message::api_version).collect();
    let payloads: Vec<_> = of().map(|message| Some(message.payload().get())).collect();
    let digests: Vec<_> = places.iter().map(|place| &batch.message(*place).1[..]).collect();
    let happened: Vec<_> = happened.iter().map(Option::as_deref).collect();
    let labels: Vec<_> = labels.iter().map(Option::as_deref).collect();
    let patterns: Vec<_> = patterns.iter().map(|patterns| Some(&**patterns)).collect();
    let values = [
        outbox.offset(),
        Value::from(lock_timeout),
        Value::ManyTexts(&tenants),
        Value::ManyTexts(&ids),
        Value::ManyTexts(&event_types),
        Value::ManyTexts(&versions),
        Value::ManyTexts(&payloads),
        Value::ManyBytes(&digests),
        Value::ManyTexts(&happened),
        Value::ManyTexts(&patterns),
        Value::ManyTexts(&labels),
        Value::ManyTexts(&order_keys),
    ];
    way.all(&outbox.statements.dispatch, &values).await
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

/// Returns the error for a message that is stored and removed faster than it can be read.
fn too_busy() -> sqlx::Error {
    sqlx::Error::Protocol("a message is being stored and removed again and again".to_owned())
}

/// The first one may meet a message that has been committed since it began; the second one sees it.
const TRIES: usize = 3;
