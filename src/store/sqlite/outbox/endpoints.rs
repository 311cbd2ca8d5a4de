use sqlx::{Connection, Row, SqliteConnection, sqlite::SqliteRow};

use super::{
    moves,
    script::Filling,
    session::{Session, begin, query},
    sql::{COLUMNS, NOTE},
};
use crate::{
    clock::{Millis, after, to_time},
    error::StoreError,
    observe,
    send::{
        DeliveryState, DisabledReason, EndpointDraft, EndpointId, EndpointRecord, EndpointSettings, Fenced,
        policy::{Health, UNREADABLE_RESTS, URGENT_DUE, waits_as},
    },
    store::{
        columns::{self, Columns},
        sqlite::error::store_error,
    },
};

pub(super) async fn create(
    session: &mut Session<'_>,
    draft: EndpointDraft,
    most: u32,
) -> Result<Option<EndpointRecord>, StoreError> {
    let context = "create an endpoint";
    let (now, prefix) = (session.now(), session.prefix);
    let mut tx = begin!(session, context);
    let settings = &draft.settings;
    let texts = columns::settings(settings);
    let done = query(
        prefix,
        "INSERT INTO {}outbox_endpoints \
         (id, tenant, url, events, description, style, sealing_key, sealed, rate_limit, api_version, created_at, in_order, metadata, \
         labels) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?13, ?14, ?15 \
         WHERE (SELECT count(*) FROM (SELECT 1 FROM {}outbox_endpoints WHERE tenant = ?2 LIMIT ?12)) < ?12",
    )
    .bind(draft.id.to_string())
    .bind(draft.tenant.to_string())
    .bind(settings.url.clone())
    .bind(texts.events)
    .bind(settings.description.clone())
    .bind(settings.style.as_str())
    .bind(settings.sealed.key.clone())
    .bind(settings.sealed.bytes.to_vec())
    .bind(texts.rate_limit)
    .bind(settings.api_version.clone())
    .bind(now)
    .bind(i64::from(most))
    .bind(settings.in_order)
    .bind(texts.metadata)
    .bind(texts.labels)
    .execute(&mut *tx)
    .await
    .map_err(|error| store_error(context, error))?;
    tx.commit().await.map_err(|error| store_error(context, error))?;
    Ok((done.rows_affected() == 1).then(|| EndpointRecord::new(draft, to_time(now))))
}

pub(super) async fn get(session: &mut Session<'_>, id: EndpointId) -> Result<Option<EndpointRecord>, StoreError> {
    let found = find(&mut session.connection, session.prefix, id).await?.readable()?;
    Ok(found.map(|(endpoint, _)| endpoint))
}

/// The result of reading an endpoint.
pub(super) enum Found {
    Missing,
    Readable(Box<EndpointRecord>, Health),
    Unreadable { cause: StoreError, is_disabled: bool },
}

impl Found {
    /// Returns the endpoint and its health, or `None` if there is no such endpoint.
    pub(super) fn readable(self) -> Result<Option<(EndpointRecord, Health)>, StoreError> {
        match self {
            Self::Missing => Ok(None),
            Self::Readable(endpoint, health) => Ok(Some((*endpoint, health))),
            Self::Unreadable { cause, .. } => Err(cause),
        }
    }
}

/// Reads an endpoint and how it is doing.
pub(super) async fn find(connection: &mut SqliteConnection, prefix: &str, id: EndpointId) -> Result<Found, StoreError> {
    let failed = |error| store_error("read an endpoint", error);
    let row = query(prefix, &format!("SELECT {COLUMNS} FROM {{}}outbox_endpoints WHERE id = ?"))
        .bind(id.to_string())
        .fetch_optional(connection)
        .await
        .map_err(failed)?;
    row.as_ref().map_or(Ok(Found::Missing), found)
}

/// Reads the row of an endpoint.
pub(super) fn found(row: &SqliteRow) -> Result<Found, StoreError> {
    let failed = |error| store_error("read an endpoint", error);
    Ok(match columns::endpoint(row) {
        Ok((endpoint, health)) => Found::Readable(Box::new(endpoint), health),
        Err(cause) => {
            let is_disabled = row.optional_text("disabled").map_err(failed)?.is_some();
            Found::Unreadable { cause: failed(cause), is_disabled }
        }
    })
}

pub(super) async fn list(
    session: &mut Session<'_>,
    tenant: Option<&str>,
    after: Option<EndpointId>,
    limit: u32,
) -> Result<Vec<EndpointRecord>, StoreError> {
    let of_tenant = if tenant.is_some() { "tenant = ? AND " } else { "" };
    let statement = format!("SELECT {COLUMNS} FROM {{}}outbox_endpoints WHERE {of_tenant}id > ? ORDER BY id LIMIT ?");
    let mut after = after.map(|id| id.to_string()).unwrap_or_default();
    let mut records = Vec::new();
    loop {
        let left = i64::from(limit) - records.len() as i64;
        let mut rows = query(session.prefix, &statement);
        if let Some(tenant) = tenant {
            rows = rows.bind(tenant.to_owned());
        }
        let rows = rows
            .bind(after.clone())
            .bind(left)
            .fetch_all(&mut *session.connection)
            .await
            .map_err(|error| store_error("list endpoints", error))?;
        for row in &rows {
            after = row.try_get(0).map_err(|error| store_error("list endpoints", error))?;
            match columns::endpoint(row) {
                Ok((endpoint, _)) => records.push(endpoint),
                Err(error) => observe::unreadable("endpoint", &after, &error),
            }
        }
        // What was left out makes room for more.
        if (rows.len() as i64) < left || records.len() == limit as usize {
            return Ok(records);
        }
    }
}

/// The endpoints whose rows cannot be read.
pub(super) async fn unreadable(session: &mut Session<'_>) -> Result<Vec<EndpointId>, StoreError> {
    let failed = |error| store_error("look for endpoints that cannot be read", error);
    let statement = format!("SELECT {COLUMNS} FROM {{}}outbox_endpoints WHERE id > ? ORDER BY id LIMIT ?");
    let (mut after, mut unreadable) = (String::new(), Vec::new());
    loop {
        let rows = query(session.prefix, &statement).bind(after.clone()).bind(PAGE);
        let rows = rows.fetch_all(&mut *session.connection).await.map_err(failed)?;
        for row in &rows {
            after = row.try_get(0).map_err(failed)?;
            if columns::endpoint(row).is_err() {
                unreadable.extend(after.parse::<EndpointId>());
            }
        }
        if (rows.len() as i64) < PAGE {
            return Ok(unreadable);
        }
    }
}

/// Lets an endpoint whose row cannot be read rest, and logs it for the operator.
pub(super) async fn rest_unreadable(
    connection: &mut SqliteConnection,
    prefix: &str,
    id: &str,
    cause: &StoreError,
    now: Millis,
) -> Result<(), StoreError> {
    observe::unreadable("endpoint", &id, cause);
    query(prefix, "UPDATE {}outbox_endpoints SET ready_at = ? WHERE id = ?")
        .bind(after(now, UNREADABLE_RESTS))
        .bind(id.to_owned())
        .execute(connection)
        .await
        .map(drop)
        .map_err(|error| store_error("let an endpoint rest", error))
}

/// How many rows are looked at in one go.
const PAGE: i64 = 500;

pub(super) async fn change(
    session: &mut Session<'_>,
    id: EndpointId,
    revision: u64,
    settings: EndpointSettings,
) -> Result<Fenced, StoreError> {
    let context = "change an endpoint";
    let prefix = session.prefix;
    let mut tx = begin!(session, context);
    let Some((mut found, mut health)) = find(&mut tx, prefix, id).await?.readable()? else { return Ok(Fenced::Stale) };
    if found.revision != revision {
        return Ok(Fenced::Stale);
    }
    health.changed(&found.settings, &settings);
    let texts = columns::settings(&settings);
    found.settings.rate_limit = settings.rate_limit;
    note(&mut tx, prefix, &found, &health).await?;
    query(
        prefix,
        "UPDATE {}outbox_endpoints SET url = ?, events = ?, description = ?, style = ?, sealing_key = ?, sealed = ?, \
         rate_limit = ?, api_version = ?, in_order = ?, metadata = ?, labels = ?, revision = revision + 1 WHERE id = ?",
    )
    .bind(settings.url)
    .bind(texts.events)
    .bind(settings.description)
    .bind(settings.style.as_str())
    .bind(settings.sealed.key)
    .bind(settings.sealed.bytes.to_vec())
    .bind(texts.rate_limit)
    .bind(settings.api_version)
    .bind(settings.in_order)
    .bind(texts.metadata)
    .bind(texts.labels)
    .bind(id.to_string())
    .execute(&mut *tx)
    .await
    .map_err(|error| store_error(context, error))?;
    tx.commit().await.map_err(|error| store_error(context, error))?;
    Ok(Fenced::Applied)
}

/// Enables or disables an endpoint. Returns whether it exists, and whether more of its deliveries have to be moved.
pub(super) async fn switch(
    session: &mut Session<'_>,
    id: EndpointId,
    disabled: Option<DisabledReason>,
) -> Result<(bool, bool), StoreError> {
    let context = "switch an endpoint";
    let (now, prefix) = (session.now(), session.prefix);
    let mut tx = begin!(session, context);
    let Some((endpoint, health)) = find(&mut tx, prefix, id).await?.readable()? else { return Ok((false, false)) };
    let more = switch_in(&mut tx, prefix, (&endpoint, health), disabled, now).await?;
    tx.commit().await.map_err(|error| store_error(context, error))?;
    Ok((true, more))
}

/// Enables or disables an endpoint inside a transaction, and begins to resume or hold what waits for it. Returns whether there is
/// more of that.
pub(super) async fn switch_in(
    connection: &mut SqliteConnection,
    prefix: &str,
    (endpoint, mut health): (&EndpointRecord, Health),
    disabled: Option<DisabledReason>,
    now: Millis,
) -> Result<bool, StoreError> {
    let failed = |error| store_error("switch an endpoint", error);
    if disabled.is_none() {
        // The count is reset, since the endpoint would otherwise rest when it is enabled again.
        health.enable();
        note(connection, prefix, endpoint, &health).await?;
    }
    query(prefix, "UPDATE {}outbox_endpoints SET disabled = ? WHERE id = ?")
        // The first reason stays.
        .bind(disabled.map(|reason| endpoint.disabled.unwrap_or(reason).as_str()))
        .bind(endpoint.id.to_string())
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    let id = endpoint.id.to_string();
    moves::start(connection, prefix, (&id, &endpoint.tenant), waits_as(disabled), now).await
}

/// What [`NOTE`] writes of an endpoint.
#[derive(Clone, Copy)]
pub(super) struct Noted<'a> {
    pub(super) endpoint: &'a EndpointRecord,
    pub(super) health: &'a Health,
    pub(super) served_at: Option<Millis>,
}

impl Noted<'_> {
    /// Binds the rows of [`NOTE`].
    pub(super) fn fill<'n>(notes: impl IntoIterator<Item = Noted<'n>>, filling: &mut Filling) {
        filling.rows(notes, |row, noted| {
            let health = noted.map(|noted| *noted.health);
            row.bind(health.map(|health| i64::from(health.failures)))
                .bind(health.and_then(|health| health.failing_since))
                .bind(health.map(|health| health.rests_until))
                .bind(health.map(|health| health.proven))
                .bind(health.map(|health| health.pace.steady))
                .bind(health.map(|health| health.pace.steady_at))
                .bind(health.map(|health| health.pace.next_at))
                .bind(health.map(|health| health.pace.catching_up))
                .bind(health.map(|health| health.epoch))
                .bind(health.map(|health| health.url_epoch))
                .bind(health.map(|health| i64::from(health.strikes)))
                .bind(health.map(|health| health.struck_at))
                .bind(health.map(|health| health.slow_at))
                .bind(health.map(|health| health.urgent))
                .bind(noted.map(|noted| noted.health.ready_at(noted.endpoint.settings.rate_limit)))
                .bind(noted.and_then(|noted| noted.served_at))
                .bind(noted.map(|noted| noted.endpoint.id.to_string()));
        });
    }
}

/// Writes down how an endpoint is doing.
pub(super) async fn note(
    connection: &mut SqliteConnection,
    prefix: &str,
    endpoint: &EndpointRecord,
    health: &Health,
) -> Result<(), StoreError> {
    let mut filling = Filling::one(prefix, NOTE);
    Noted::fill([Noted { endpoint, health, served_at: None }], &mut filling);
    let done = filling.query().execute(connection).await;
    done.map(drop).map_err(|error| store_error("note how an endpoint is doing", error))
}

/// Lets something of an endpoint go before all else, which is due at [`URGENT_DUE`]. That it may be leased from then on is as
/// `Health::ready_at` has it.
pub(super) async fn urge(connection: &mut SqliteConnection, prefix: &str, delivery: i64) -> Result<(), StoreError> {
    let failed = |error| store_error("move a delivery to the front", error);
    query(
        prefix,
        "UPDATE {}outbox_endpoints SET urgent = 1, \
         ready_at = CASE WHEN rate_limit IS NULL THEN 0 ELSE min(ready_at, max(next_at - 19001, 0) / 1000) END \
         WHERE id = (SELECT endpoint FROM {}outbox_deliveries WHERE seq = ?)",
    )
    .bind(delivery)
    .execute(&mut *connection)
    .await
    .map_err(failed)?;
    query(prefix, "UPDATE {}outbox_deliveries SET due_at = ? WHERE seq = ?")
        .bind(URGENT_DUE)
        .bind(delivery)
        .execute(connection)
        .await
        .map(drop)
        .map_err(failed)
}

/// Removes an endpoint. Returns whether it existed, and whether more of its deliveries have to be cancelled.
pub(super) async fn delete(session: &mut Session<'_>, id: EndpointId) -> Result<(bool, bool), StoreError> {
    let context = "delete an endpoint";
    let failed = |error| store_error(context, error);
    let (now, prefix) = (session.now(), session.prefix);
    let mut tx = begin!(session, context);
    let row = query(prefix, "DELETE FROM {}outbox_endpoints WHERE id = ? RETURNING tenant")
        .bind(id.to_string())
        .fetch_optional(&mut *tx)
        .await
        .map_err(failed)?;
    let Some(row) = row else { return Ok((false, false)) };
    let tenant: String = row.try_get(0).map_err(failed)?;
    let more = moves::start(&mut tx, prefix, (&id.to_string(), &tenant), DeliveryState::Cancelled, now).await?;
    tx.commit().await.map_err(failed)?;
    Ok((true, more))
}
