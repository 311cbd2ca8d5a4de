use std::collections::{BTreeMap, HashMap, hash_map::Entry};

use sqlx::{Row, SqliteConnection};

use super::{endpoints, session::query};
use crate::{
    clock::{Millis, from_time},
    error::StoreError,
    send::{
        Dispatched, EndpointId, Message, SentDeliveryId,
        policy::{Batch, digest, labelled, tenant, wants},
    },
    store::{
        columns::{self, count, outbox_id},
        sqlite::error::{in_transaction, store_error},
    },
};

const CONTEXT: &str = "dispatch";

/// Does what `dispatch` does inside a transaction that holds the write lock.
pub(super) async fn dispatch(
    connection: &mut SqliteConnection,
    prefix: &str,
    messages: &[Message],
    now: Millis,
) -> Result<Vec<Dispatched>, StoreError> {
    store(connection, prefix, messages, now).await.map_err(|error| store_error(CONTEXT, error))
}

/// Does it inside the application's transaction.
pub(super) async fn dispatch_in(
    connection: &mut SqliteConnection,
    prefix: &str,
    messages: &[Message],
    now: Millis,
) -> Result<Vec<Dispatched>, StoreError> {
    store(connection, prefix, messages, now)
        .await
        .map_err(|error| in_transaction("dispatch in the application's transaction", error))
}

/// Does what `dispatch_to` does inside a transaction that holds the write lock.
pub(super) async fn dispatch_to(
    connection: &mut SqliteConnection,
    prefix: &str,
    endpoint: EndpointId,
    message: &Message,
    now: Millis,
) -> Result<Option<SentDeliveryId>, StoreError> {
    let failed = |error| store_error(CONTEXT, error);
    let found = endpoints::find(connection, prefix, endpoint).await?.readable()?;
    let Some((found, _)) = found else { return Ok(None) };
    if *found.tenant != *tenant(message) || found.disabled.is_some() {
        return Ok(None);
    }
    let (digest, endpoint) = (digest(message), endpoint.to_string());
    let mut is_new = false;
    let seq = match look_up(connection, prefix, message, &digest).await.map_err(failed)? {
        Found::Other => return Ok(None),
        Found::Same(seq) => seq,
        Found::New => {
            let seq = insert(connection, prefix, message, &digest, Some(&endpoint), now).await.map_err(failed)?;
            add(connection, prefix, seq, message, &[&endpoint], now).await.map_err(failed)?;
            is_new = true;
            seq
        }
    };
    // A message that was dispatched to other endpoints is another message.
    let row = query(prefix, "SELECT seq FROM {}outbox_deliveries WHERE message = ? AND endpoint = ?")
        .bind(seq)
        .bind(endpoint)
        .fetch_optional(&mut *connection)
        .await
        .map_err(failed)?;
    let Some(row) = row else { return Ok(None) };
    let seq: i64 = row.try_get(0).map_err(failed)?;
    if is_new {
        endpoints::urge(connection, prefix, seq).await?;
    }
    outbox_id(seq).map(Some).map_err(failed)
}

/// The facts about a message before it is stored.
#[derive(Clone, Copy, PartialEq)]
enum Found {
    New,
    Same(i64),
    Other,
}

/// Stores messages and makes their deliveries.
pub(super) async fn store(
    connection: &mut SqliteConnection,
    prefix: &str,
    messages: &[Message],
    now: Millis,
) -> Result<Vec<Dispatched>, sqlx::Error> {
    let batch = Batch::new(messages);
    // All of them are checked before one is stored, since the application's transaction must not be rolled back here.
    let mut found = vec![Found::New; messages.len()];
    for place in batch.firsts() {
        let (message, digest) = batch.message(place);
        found[place] = look_up(connection, prefix, message, digest).await?;
    }
    if let Some(answers) = batch.conflicts(|place| found[place] == Found::Other) {
        return Ok(answers);
    }

    let mut endpoints = HashMap::new();
    let mut became = vec![Dispatched::Known { deliveries: 0 }; messages.len()];
    for place in batch.firsts() {
        let (message, digest) = batch.message(place);
        became[place] = match found[place] {
            Found::Same(seq) => Dispatched::Known { deliveries: deliveries(connection, prefix, seq).await? },
            Found::New | Found::Other => {
                let wanted = wanted(connection, prefix, message, &mut endpoints).await?;
                let seq = insert(connection, prefix, message, digest, None, now).await?;
                add(connection, prefix, seq, message, &wanted, now).await?;
                Dispatched::Stored { deliveries: u32::try_from(wanted.len()).unwrap_or(u32::MAX) }
            }
        };
    }
    Ok(batch.answers(|place| became[place]))
}

async fn deliveries(connection: &mut SqliteConnection, prefix: &str, message: i64) -> Result<u32, sqlx::Error> {
    let row = query(prefix, "SELECT count(*) FROM {}outbox_deliveries WHERE message = ?")
        .bind(message)
        .fetch_one(connection)
        .await?;
    Ok(count(row.try_get(0)?))
}

/// Returns the endpoints that want a message. Those of a tenant are read once for several messages.
async fn wanted<'e, 'm>(
    connection: &mut SqliteConnection,
    prefix: &str,
    message: &'m Message,
    endpoints: &'e mut HashMap<&'m str, Vec<Candidate>>,
) -> Result<Vec<&'e str>, sqlx::Error> {
    let of_tenant = match endpoints.entry(tenant(message)) {
        Entry::Occupied(entry) => entry.into_mut(),
        Entry::Vacant(entry) => {
            let statement = "SELECT id, events, labels FROM {}outbox_endpoints WHERE tenant = ? AND disabled IS NULL";
            let rows = query(prefix, statement).bind(tenant(message).to_owned()).fetch_all(connection).await?;
            // If its labels cannot be read, it is unknown which messages the endpoint wants.
            let rows = rows.iter().map(|row| {
                let labels = columns::labels(row.try_get(2)?);
                Ok(Candidate { id: row.try_get(0)?, events: row.try_get(1)?, labels: labels.ok() })
            });
            entry.insert(rows.collect::<Result<_, sqlx::Error>>()?)
        }
    };
    let wanted = of_tenant.iter().filter(|one| {
        let labels = one.labels.as_ref();
        wants(one.events.split(' '), message.event_type())
            && labels.is_some_and(|labels| labelled(labels, message.labels()))
    });
    Ok(wanted.map(|one| one.id.as_str()).collect())
}

/// An enabled endpoint, and the messages that it wants.
struct Candidate {
    id: String,
    events: String,
    labels: Option<BTreeMap<String, String>>,
}

async fn look_up(
    connection: &mut SqliteConnection,
    prefix: &str,
    message: &Message,
    digest: &[u8; 32],
) -> Result<Found, sqlx::Error> {
    let row = query(prefix, "SELECT seq, digest FROM {}outbox_messages WHERE tenant = ? AND id = ?")
        .bind(tenant(message).to_owned())
        .bind(message.message_id().to_string())
        .fetch_optional(connection)
        .await?;
    let Some(row) = row else { return Ok(Found::New) };
    let kept: &[u8] = row.try_get(1)?;
    Ok(if kept == digest { Found::Same(row.try_get(0)?) } else { Found::Other })
}

/// Stores a message, and returns its number.
async fn insert(
    connection: &mut SqliteConnection,
    prefix: &str,
    message: &Message,
    digest: &[u8; 32],
    addressed: Option<&str>,
    now: Millis,
) -> Result<i64, sqlx::Error> {
    let inserted = query(
        prefix,
        "INSERT INTO {}outbox_messages \
         (tenant, id, event_type, version, addressed, payload, digest, happened_at, created_at, labels, order_key) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(tenant(message).to_owned())
    .bind(message.message_id().to_string())
    .bind(message.event_type().to_owned())
    .bind(message.api_version().map(str::to_owned))
    .bind(addressed.map(str::to_owned))
    .bind(message.payload().get().to_owned())
    .bind(digest.to_vec())
    .bind(message.timestamp().map_or(now, from_time))
    .bind(now)
    .bind(columns::labels_text(message.labels()))
    .bind(message.order_key_name().map(str::to_owned))
    .execute(&mut *connection)
    .await?;
    Ok(inserted.last_insert_rowid())
}

/// Makes a message's deliveries, in one statement, however many.
async fn add(
    connection: &mut SqliteConnection,
    prefix: &str,
    seq: i64,
    message: &Message,
    endpoints: &[&str],
    now: Millis,
) -> Result<(), sqlx::Error> {
    if endpoints.is_empty() {
        return Ok(());
    }
    let list = serde_json::to_string(endpoints).expect("texts can be written as JSON");
    query(
        prefix,
        "INSERT INTO {}outbox_deliveries (message, tenant, event_type, endpoint, state, due_at, created_at, order_key) \
         SELECT ?, ?, ?, value, 0, ?, ?, ? FROM json_each(?)",
    )
    .bind(seq)
    .bind(tenant(message).to_owned())
    .bind(message.event_type().to_owned())
    .bind(now)
    .bind(now)
    .bind(message.order_key_name().map(str::to_owned))
    .bind(list)
    .execute(connection)
    .await
    .map(drop)
}
