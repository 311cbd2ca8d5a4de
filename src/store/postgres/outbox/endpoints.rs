use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use sqlx::{Row, postgres::PgRow};
use tokio::time::timeout_at;

use super::{corrupt, moves};
use crate::{
    clock::{Millis, to_time},
    error::StoreError,
    observe,
    send::{
        DeliveryState, DisabledReason, EndpointDraft, EndpointId, EndpointRecord, EndpointSettings, Fenced, Sealed,
        policy::{Health, Pace},
    },
    store::postgres::{
        PostgresStore,
        error::{no_answer, store_error},
        statement::Value,
        tx::{Tx, is_conflict, transaction},
    },
};

pub(super) async fn create(
    store: &PostgresStore,
    draft: EndpointDraft,
    most: u32,
) -> Result<Option<EndpointRecord>, StoreError> {
    let deadline = store.outbox_deadline().await?;
    let created_at =
        transaction!(store, deadline, "create an endpoint", tx => create_in(store, &mut tx, &draft, most))?;
    Ok(created_at.map(|created_at| EndpointRecord::new(draft, to_time(created_at))))
}

async fn create_in(
    store: &PostgresStore,
    tx: &mut Tx,
    draft: &EndpointDraft,
    most: u32,
) -> Result<Option<Millis>, sqlx::Error> {
    // Two that count at the same time would both find room.
    let lock = tenant_lock(&draft.tenant, store.inner.outbox.salt);
    tx.all(&store.statements().tenant_lock, &[Value::from(lock)]).await?;

    let id = draft.id.to_string();
    let settings = Settings::new(&draft.settings);
    let [url, events, description, style, key, sealed, rate_limit, api_version, in_order] = settings.values();
    let values = [
        store.offset(),
        Value::from(i64::from(most)),
        Value::from(&*id),
        Value::from(&*draft.tenant),
        url,
        events,
        description,
        style,
        key,
        sealed,
        rate_limit,
        api_version,
        in_order,
    ];
    tx.first(&store.statements().create, &values).await?.map(|row| row.try_get("created_at")).transpose()
}

pub(super) async fn get(store: &PostgresStore, id: EndpointId) -> Result<Option<EndpointRecord>, StoreError> {
    const CONTEXT: &str = "read an endpoint";

    let id = id.to_string();
    let rows = store.ask(CONTEXT, &store.statements().endpoint, &[Value::from(&*id)]).await?;
    let endpoint = rows.first().map(|row| Ok(read(row)?.0)).transpose();
    endpoint.map_err(|error| store_error(error, CONTEXT))
}

pub(super) async fn list(
    store: &PostgresStore,
    tenant: Option<Arc<str>>,
    after: Option<EndpointId>,
    limit: u32,
) -> Result<Vec<EndpointRecord>, StoreError> {
    const CONTEXT: &str = "list endpoints";

    let mut after = after.map(|id| id.to_string()).unwrap_or_default();
    let mut records = Vec::new();
    loop {
        let left = i64::from(limit) - records.len() as i64;
        let values = [Value::from(&*after), Value::from(left)];
        let rows = match &tenant {
            None => store.ask(CONTEXT, &store.statements().endpoints, &values).await?,
            Some(tenant) => {
                let [after, left] = values;
                let values = [after, left, Value::from(&**tenant)];
                store.ask(CONTEXT, &store.statements().endpoints_of_tenant, &values).await?
            }
        };
        for row in &rows {
            after = row.try_get("id").map_err(|error| store_error(error, CONTEXT))?;
            match read(row) {
                Ok((endpoint, _)) => records.push(endpoint),
                Err(cause) => observe::unreadable("endpoint", &after, &cause),
            }
        }
        // What was left out makes room for more.
        if (rows.len() as i64) < left || records.len() == limit as usize {
            return Ok(records);
        }
    }
}

/// The endpoints whose rows cannot be read.
pub(super) async fn unreadable(store: &PostgresStore) -> Result<Vec<EndpointId>, StoreError> {
    const CONTEXT: &str = "look for endpoints that cannot be read";

    let (mut after, mut unreadable) = (String::new(), Vec::new());
    loop {
        let values = [Value::from(&*after), Value::from(PAGE)];
        let rows = store.ask(CONTEXT, &store.statements().endpoints, &values).await?;
        for row in &rows {
            after = row.try_get("id").map_err(|error| store_error(error, CONTEXT))?;
            if read(row).is_err() {
                unreadable.extend(after.parse::<EndpointId>());
            }
        }
        if (rows.len() as i64) < PAGE {
            return Ok(unreadable);
        }
    }
}

pub(super) async fn change(
    store: &PostgresStore,
    id: EndpointId,
    revision: u64,
    settings: EndpointSettings,
) -> Result<Fenced, StoreError> {
    let deadline = store.outbox_deadline().await?;
    transaction!(store, deadline, "change an endpoint", tx => change_in(store, &mut tx, id, revision, &settings))
}

async fn change_in(
    store: &PostgresStore,
    tx: &mut Tx,
    id: EndpointId,
    revision: u64,
    settings: &EndpointSettings,
) -> Result<Fenced, sqlx::Error> {
    let Some(found) = find(store, tx, id).await? else { return Ok(Fenced::Stale) };
    if found.endpoint.revision != revision {
        return Ok(Fenced::Stale);
    }
    let mut health = found.health;
    health.changed(&found.endpoint.settings, settings);
    let mut changed = found.endpoint;
    changed.settings.rate_limit = settings.rate_limit;
    note(store, tx, &changed, &health, changed.disabled).await?;
    let (id, settings) = (id.to_string(), Settings::new(settings));
    let [url, events, description, style, key, sealed, rate_limit, api_version, in_order] = settings.values();
    let id = Value::from(&*id);
    let values = [id, url, events, description, style, key, sealed, rate_limit, api_version, in_order];
    tx.all(&store.statements().change, &values).await?;
    Ok(Fenced::Applied)
}

pub(super) async fn switch(
    store: &PostgresStore,
    id: EndpointId,
    disabled: Option<DisabledReason>,
) -> Result<bool, StoreError> {
    const CONTEXT: &str = "switch an endpoint";

    let deadline = store.outbox_deadline().await?;
    let switched = transaction!(store, deadline, CONTEXT, tx => find_and_switch(store, &mut tx, id, disabled))?;
    let Some(moved) = switched else { return Ok(false) };
    // From here on it is switched, for all who lease. What is too much for the rest of the time, `purge` goes on with.
    if disabled.is_none() && moved > 0 {
        store.announce();
    }
    moves::finish(store, deadline, id, moved).await;
    Ok(true)
}

async fn find_and_switch(
    store: &PostgresStore,
    tx: &mut Tx,
    id: EndpointId,
    disabled: Option<DisabledReason>,
) -> Result<Option<i64>, sqlx::Error> {
    let Some(found) = find(store, tx, id).await? else { return Ok(None) };
    switch_in(store, tx, &found, disabled).await.map(Some)
}

/// Enables or disables an endpoint that is locked, and begins to resume or hold what waits for it. Tells how many that were.
pub(super) async fn switch_in(
    store: &PostgresStore,
    tx: &mut Tx,
    found: &Found,
    disabled: Option<DisabledReason>,
) -> Result<i64, sqlx::Error> {
    let mut health = found.health;
    let disabled = match disabled {
        // The first reason stays. A count that goes on would have the endpoint rest when it is enabled again.
        Some(reason) => Some(found.endpoint.disabled.unwrap_or(reason)),
        None => {
            health.enable();
            None
        }
    };
    note(store, tx, &found.endpoint, &health, disabled).await?;
    let target = if disabled.is_some() { DeliveryState::Held } else { DeliveryState::Pending };
    let id = found.endpoint.id.to_string();
    moves::start(store, tx, (&id, &found.endpoint.tenant), target, found.now).await
}

pub(super) async fn delete(store: &PostgresStore, id: EndpointId) -> Result<bool, StoreError> {
    const CONTEXT: &str = "delete an endpoint";

    let deadline = store.outbox_deadline().await?;
    let deleted = transaction!(store, deadline, CONTEXT, tx => delete_in(store, &mut tx, id))?;
    let Some(moved) = deleted else { return Ok(false) };
    moves::finish(store, deadline, id, moved).await;
    Ok(true)
}

async fn delete_in(store: &PostgresStore, tx: &mut Tx, id: EndpointId) -> Result<Option<i64>, sqlx::Error> {
    let id = id.to_string();
    let Some(row) = tx.first(&store.statements().delete, &[store.offset(), Value::from(&*id)]).await? else {
        return Ok(None);
    };
    let tenant: String = row.try_get("tenant")?;
    moves::start(store, tx, (&id, &tenant), DeliveryState::Cancelled, row.try_get("now")?).await.map(Some)
}

/// An endpoint whose row is locked, how it is doing, and the time.
pub(super) struct Found {
    pub(super) endpoint: EndpointRecord,
    pub(super) health: Health,
    pub(super) now: Millis,
}

pub(super) async fn find(store: &PostgresStore, tx: &mut Tx, id: EndpointId) -> Result<Option<Found>, sqlx::Error> {
    let id = id.to_string();
    let row = tx.first(&store.statements().find, &[store.offset(), Value::from(&*id)]).await?;
    row.map(|row| {
        let (endpoint, health) = read(&row)?;
        Ok(Found { endpoint, health, now: row.try_get("now")? })
    })
    .transpose()
}

/// Writes down how an endpoint that is locked is doing.
pub(super) async fn note(
    store: &PostgresStore,
    tx: &mut Tx,
    endpoint: &EndpointRecord,
    health: &Health,
    disabled: Option<DisabledReason>,
) -> Result<(), sqlx::Error> {
    let id = endpoint.id.to_string();
    let values = [
        Value::from(&*id),
        Value::Text(disabled.map(DisabledReason::as_str)),
        Value::from(i64::from(health.failures)),
        Value::Int(health.failing_since),
        Value::from(health.rests_until),
        Value::from(i64::from(health.pace.catching_up)),
        Value::from(health.ready_at(endpoint.settings.rate_limit)),
        Value::from(i64::from(health.proven)),
        Value::from(health.epoch),
        Value::from(health.url_epoch),
        Value::from(i64::from(health.strikes)),
    ];
    tx.all(&store.statements().note, &values).await.map(drop)
}

/// The texts of settings, as they are kept.
struct Settings<'a> {
    settings: &'a EndpointSettings,
    events: String,
    rate_limit: Option<String>,
}

impl<'a> Settings<'a> {
    fn new(settings: &'a EndpointSettings) -> Self {
        let rate_limit = settings.rate_limit.map(|limit| limit.to_string());
        Self { settings, events: settings.events.join(" "), rate_limit }
    }

    fn values(&self) -> [Value<'_>; 9] {
        let settings = self.settings;
        [
            Value::from(&*settings.url),
            Value::from(&*self.events),
            Value::from(&*settings.description),
            Value::from(settings.style.as_str()),
            Value::from(&*settings.sealed.key),
            Value::Bytes(Some(&settings.sealed.bytes)),
            Value::Text(self.rate_limit.as_deref()),
            Value::Text(settings.api_version.as_deref()),
            Value::from(i64::from(settings.in_order)),
        ]
    }
}

pub(super) fn read(row: &PgRow) -> Result<(EndpointRecord, Health), sqlx::Error> {
    let text = |column: &str| row.try_get::<String, _>(column);

    let id = text("id")?.parse().map_err(|_| corrupt("an endpoint's id is none"))?;
    let style = text("style")?.parse().map_err(|_| corrupt("an endpoint's style is unknown"))?;
    let sealed = Sealed::new(text("sealing_key")?, Bytes::from(row.try_get::<Vec<u8>, _>("sealed")?));
    let events = text("events")?.split(' ').filter(|pattern| !pattern.is_empty()).map(str::to_owned).collect();
    let mut settings = EndpointSettings::new(text("url")?, events, style, sealed);
    settings.description = text("description")?;
    settings.api_version = row.try_get("api_version")?;
    settings.in_order = row.try_get("in_order")?;
    settings.rate_limit = match row.try_get::<Option<String>, _>("rate_limit")? {
        None => None,
        Some(limit) => Some(limit.parse().map_err(|_| corrupt("an endpoint's rate limit is none"))?),
    };
    let disabled = match row.try_get::<Option<String>, _>("disabled")? {
        None => None,
        Some(name) => {
            Some(DisabledReason::from_name(&name).ok_or_else(|| corrupt("why an endpoint is disabled is unknown"))?)
        }
    };
    let health = Health {
        failures: u32::try_from(row.try_get::<i64, _>("failures")?).map_err(|_| corrupt("a count is out of range"))?,
        failing_since: row.try_get("failing_since")?,
        strikes: u32::try_from(row.try_get::<i64, _>("strikes")?).map_err(|_| corrupt("a count is out of range"))?,
        struck_at: row.try_get("struck_at")?,
        rests_until: row.try_get("rests_until")?,
        epoch: row.try_get("epoch")?,
        url_epoch: row.try_get("url_epoch")?,
        proven: row.try_get("proven")?,
        slow_at: row.try_get("slow_at")?,
        urgent: row.try_get("urgent")?,
        in_order: row.try_get("in_order")?,
        pace: Pace {
            steady: row.try_get("steady")?,
            steady_at: row.try_get("steady_at")?,
            next_at: row.try_get("next_at")?,
            catching_up: row.try_get("catching_up")?,
        },
    };

    let draft = EndpointDraft::new(id, Arc::<str>::from(text("tenant")?), settings);
    let mut endpoint = EndpointRecord::new(draft, to_time(row.try_get("created_at")?));
    let revision = row.try_get::<i64, _>("revision")?;
    endpoint.revision = u64::try_from(revision).map_err(|_| corrupt("a revision is out of range"))?;
    endpoint.disabled = disabled;
    endpoint.failures = health.failures;
    endpoint.failing_since = health.failing_since.map(to_time);
    endpoint.proven = health.proven;
    Ok((endpoint, health))
}

/// A collision makes two tenants wait for each other for a moment.
fn tenant_lock(tenant: &str, salt: u64) -> i64 {
    let mut half = [0; 8];
    half.copy_from_slice(&Sha256::digest(tenant)[..8]);
    i64::from_ne_bytes((u64::from_be_bytes(half) ^ salt).to_ne_bytes())
}

/// How many rows are looked at in one go.
const PAGE: i64 = 500;
