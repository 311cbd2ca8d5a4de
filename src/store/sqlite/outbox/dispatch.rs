use std::collections::HashMap;

use sqlx::{Row, SqliteConnection};

use super::{corrupt, endpoints, query};
use crate::{
    clock::{Millis, from_time},
    error::StoreError,
    send::{
        Dispatched, EndpointId, Message, OutboxId,
        policy::{digest, tenant, wants},
    },
    store::sqlite::error::{in_transaction, store_error},
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
) -> Result<Option<OutboxId>, StoreError> {
    let failed = |error| store_error(CONTEXT, error);
    let Some((found, _)) = endpoints::find(connection, prefix, endpoint).await? else { return Ok(None) };
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
    // What was dispatched to others is another message.
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
    Ok(Some(OutboxId::from_u64(u64::try_from(seq).map_err(|_| corrupt("a delivery's id is none"))?)))
}

/// What is known of a message before it is stored.
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
    let digests: Vec<_> = messages.iter().map(digest).collect();

    // All of them are looked at before one is stored: a transaction of the application's is not ours to roll back.
    let mut first = HashMap::new();
    let mut found = Vec::with_capacity(messages.len());
    for (message, digest) in messages.iter().zip(&digests) {
        let before = *first.entry((tenant(message), message.message_id())).or_insert(digest);
        let mut known = look_up(connection, prefix, message, digest).await?;
        if before != digest {
            known = Found::Other;
        }
        found.push(known);
    }
    if found.contains(&Found::Other) {
        let conflict = |found: &Found| match found {
            Found::Other => Dispatched::Conflict,
            Found::New | Found::Same(_) => Dispatched::Known { deliveries: 0 },
        };
        return Ok(found.iter().map(conflict).collect());
    }

    let mut endpoints: HashMap<&str, Vec<(String, String)>> = HashMap::new();
    let mut dispatched = Vec::with_capacity(messages.len());
    for ((message, digest), known) in messages.iter().zip(&digests).zip(found) {
        let known = match known {
            // An earlier one of these messages may be the same.
            Found::New => look_up(connection, prefix, message, digest).await?,
            known => known,
        };
        if let Found::Same(seq) = known {
            let deliveries = query(prefix, "SELECT count(*) FROM {}outbox_deliveries WHERE message = ?")
                .bind(seq)
                .fetch_one(&mut *connection)
                .await?
                .try_get::<i64, _>(0)?;
            dispatched.push(Dispatched::Known { deliveries: u32::try_from(deliveries).unwrap_or(u32::MAX) });
            continue;
        }
        let tenant = tenant(message);
        if !endpoints.contains_key(tenant) {
            let rows = query(prefix, "SELECT id, events FROM {}outbox_endpoints WHERE tenant = ? AND disabled IS NULL")
                .bind(tenant.to_owned())
                .fetch_all(&mut *connection)
                .await?;
            let rows = rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
            endpoints.insert(tenant, rows.collect::<Result<_, sqlx::Error>>()?);
        }
        let wanted: Vec<&str> = endpoints[tenant]
            .iter()
            .filter(|(_, events)| wants(events.split(' '), message.event_type()))
            .map(|(id, _)| id.as_str())
            .collect();
        let seq = insert(connection, prefix, message, digest, None, now).await?;
        add(connection, prefix, seq, message, &wanted, now).await?;
        dispatched.push(Dispatched::Stored { deliveries: u32::try_from(wanted.len()).unwrap_or(u32::MAX) });
    }
    Ok(dispatched)
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

/// Stores a message, and gives its number.
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
         (tenant, id, event_type, version, addressed, payload, digest, happened_at, created_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
        "INSERT INTO {}outbox_deliveries (message, tenant, event_type, endpoint, state, due_at, created_at) \
         SELECT ?, ?, ?, value, 0, ?, ? FROM json_each(?)",
    )
    .bind(seq)
    .bind(tenant(message).to_owned())
    .bind(message.event_type().to_owned())
    .bind(now)
    .bind(now)
    .bind(list)
    .execute(connection)
    .await
    .map(drop)
}
