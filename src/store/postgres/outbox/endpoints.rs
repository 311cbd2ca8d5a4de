use std::sync::Arc;

use sha2::{Digest, Sha256};
use sqlx::Row;
use tokio::time::timeout_at;

use super::{core::Core, moves};
use crate::{
    clock::{Millis, to_time},
    error::StoreError,
    observe,
    send::{
        DeliveryState, DisabledReason, EndpointDraft, EndpointId, EndpointRecord, EndpointSettings, Fenced,
        policy::{Health, waits_as},
    },
    store::{
        columns::{self, Texts},
        postgres::{
            error::{no_answer, store_error},
            statement::Value,
            tx::{Tx, is_conflict, transaction},
        },
    },
};

pub(super) async fn create(
    outbox: &Core,
    draft: EndpointDraft,
    most: u32,
) -> Result<Option<EndpointRecord>, StoreError> {
    let deadline = outbox.deadline().await?;
    let created_at =
        transaction!(outbox, deadline, "create an endpoint", tx => create_in(outbox, &mut tx, &draft, most))?;
    Ok(created_at.map(|created_at| EndpointRecord::new(draft, to_time(created_at))))
}

async fn create_in(
    outbox: &Core,
    tx: &mut Tx,
    draft: &EndpointDraft,
    most: u32,
) -> Result<Option<Millis>, sqlx::Error> {
    // Two that count at the same time would both find room.
    let lock = tenant_lock(&draft.tenant, outbox.server.lock_salt);
    tx.all(&outbox.statements.tenant_lock, &[Value::from(lock)]).await?;

    let id = draft.id.to_string();
    let settings = Settings::new(&draft.settings);
    let [url, events, description, style, key, sealed, rate_limit, api_version, in_order, metadata, labels] =
        settings.values();
    let values = [
        outbox.offset(),
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
        metadata,
        labels,
    ];
    tx.first(&outbox.statements.create, &values).await?.map(|row| row.try_get("created_at")).transpose()
}

pub(super) async fn get(outbox: &Core, id: EndpointId) -> Result<Option<EndpointRecord>, StoreError> {
    const CONTEXT: &str = "read an endpoint";

    let id = id.to_string();
    let rows = outbox.ask(CONTEXT, &outbox.statements.endpoint, &[Value::from(&*id)]).await?;
    let endpoint = rows.first().map(|row| Ok(columns::endpoint(row)?.0)).transpose();
    endpoint.map_err(|error| store_error(error, CONTEXT))
}

pub(super) async fn list(
    outbox: &Core,
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
            None => outbox.ask(CONTEXT, &outbox.statements.endpoints, &values).await?,
            Some(tenant) => {
                let [after, left] = values;
                let values = [after, left, Value::from(&**tenant)];
                outbox.ask(CONTEXT, &outbox.statements.endpoints_of_tenant, &values).await?
            }
        };
        for row in &rows {
            after = row.try_get("id").map_err(|error| store_error(error, CONTEXT))?;
            match columns::endpoint(row) {
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
pub(super) async fn unreadable(outbox: &Core) -> Result<Vec<EndpointId>, StoreError> {
    const CONTEXT: &str = "look for endpoints that cannot be read";

    let (mut after, mut unreadable) = (String::new(), Vec::new());
    loop {
        let values = [Value::from(&*after), Value::from(PAGE)];
        let rows = outbox.ask(CONTEXT, &outbox.statements.endpoints, &values).await?;
        for row in &rows {
            after = row.try_get("id").map_err(|error| store_error(error, CONTEXT))?;
            if columns::endpoint(row).is_err() {
                unreadable.extend(after.parse::<EndpointId>());
            }
        }
        if (rows.len() as i64) < PAGE {
            return Ok(unreadable);
        }
    }
}

pub(super) async fn change(
    outbox: &Core,
    id: EndpointId,
    revision: u64,
    settings: EndpointSettings,
) -> Result<Fenced, StoreError> {
    let deadline = outbox.deadline().await?;
    transaction!(outbox, deadline, "change an endpoint", tx => change_in(outbox, &mut tx, id, revision, &settings))
}

async fn change_in(
    outbox: &Core,
    tx: &mut Tx,
    id: EndpointId,
    revision: u64,
    settings: &EndpointSettings,
) -> Result<Fenced, sqlx::Error> {
    let Some(found) = find(outbox, tx, id).await? else { return Ok(Fenced::Stale) };
    if found.endpoint.revision != revision {
        return Ok(Fenced::Stale);
    }
    let mut health = found.health;
    health.changed(&found.endpoint.settings, settings);
    let mut changed = found.endpoint;
    changed.settings.rate_limit = settings.rate_limit;
    note(outbox, tx, &changed, &health, changed.disabled).await?;
    let (id, settings) = (id.to_string(), Settings::new(settings));
    let [url, events, description, style, key, sealed, rate_limit, api_version, in_order, metadata, labels] =
        settings.values();
    let id = Value::from(&*id);
    let values =
        [id, url, events, description, style, key, sealed, rate_limit, api_version, in_order, metadata, labels];
    tx.all(&outbox.statements.change, &values).await?;
    Ok(Fenced::Applied)
}

pub(super) async fn switch(
    outbox: &Core,
    id: EndpointId,
    disabled: Option<DisabledReason>,
) -> Result<bool, StoreError> {
    const CONTEXT: &str = "switch an endpoint";

    let deadline = outbox.deadline().await?;
    let switched = transaction!(outbox, deadline, CONTEXT, tx => find_and_switch(outbox, &mut tx, id, disabled))?;
    let Some(moved) = switched else { return Ok(false) };
    // The switch takes effect here, for all workers. If the remaining rows take too long, `purge` continues with them.
    if disabled.is_none() && moved > 0 {
        outbox.announce();
    }
    moves::finish(outbox, deadline, id, moved).await;
    Ok(true)
}

async fn find_and_switch(
    outbox: &Core,
    tx: &mut Tx,
    id: EndpointId,
    disabled: Option<DisabledReason>,
) -> Result<Option<i64>, sqlx::Error> {
    let Some(found) = find(outbox, tx, id).await? else { return Ok(None) };
    switch_in(outbox, tx, &found, disabled).await.map(Some)
}

/// Enables or disables a locked endpoint, and begins to resume or hold its waiting deliveries. Returns how many it has
/// moved.
pub(super) async fn switch_in(
    outbox: &Core,
    tx: &mut Tx,
    found: &Found,
    disabled: Option<DisabledReason>,
) -> Result<i64, sqlx::Error> {
    let mut health = found.health;
    let disabled = match disabled {
        // The first reason is kept. The count is reset, since the endpoint would otherwise rest when it is enabled
        // again.
        Some(reason) => Some(found.endpoint.disabled.unwrap_or(reason)),
        None => {
            health.enable();
            None
        }
    };
    note(outbox, tx, &found.endpoint, &health, disabled).await?;
    let id = found.endpoint.id.to_string();
    moves::start(outbox, tx, (&id, &found.endpoint.tenant), waits_as(disabled), found.now).await
}

pub(super) async fn delete(outbox: &Core, id: EndpointId) -> Result<bool, StoreError> {
    const CONTEXT: &str = "delete an endpoint";

    let deadline = outbox.deadline().await?;
    let deleted = transaction!(outbox, deadline, CONTEXT, tx => delete_in(outbox, &mut tx, id))?;
    let Some(moved) = deleted else { return Ok(false) };
    moves::finish(outbox, deadline, id, moved).await;
    Ok(true)
}

async fn delete_in(outbox: &Core, tx: &mut Tx, id: EndpointId) -> Result<Option<i64>, sqlx::Error> {
    let id = id.to_string();
    let Some(row) = tx.first(&outbox.statements.delete, &[outbox.offset(), Value::from(&*id)]).await? else {
        return Ok(None);
    };
    let tenant: String = row.try_get("tenant")?;
    moves::start(outbox, tx, (&id, &tenant), DeliveryState::Cancelled, row.try_get("now")?).await.map(Some)
}

/// An endpoint whose row is locked, how it is doing, and the time.
pub(super) struct Found {
    pub(super) endpoint: EndpointRecord,
    pub(super) health: Health,
    pub(super) now: Millis,
}

pub(super) async fn find(outbox: &Core, tx: &mut Tx, id: EndpointId) -> Result<Option<Found>, sqlx::Error> {
    let id = id.to_string();
    let row = tx.first(&outbox.statements.find, &[outbox.offset(), Value::from(&*id)]).await?;
    row.map(|row| {
        let (endpoint, health) = columns::endpoint(&row)?;
        Ok(Found { endpoint, health, now: row.try_get("now")? })
    })
    .transpose()
}

/// Writes down how an endpoint that is locked is doing.
pub(super) async fn note(
    outbox: &Core,
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
    tx.all(&outbox.statements.note, &values).await.map(drop)
}

/// The texts of settings, as they are kept.
struct Settings<'a> {
    settings: &'a EndpointSettings,
    texts: Texts,
}

impl<'a> Settings<'a> {
    fn new(settings: &'a EndpointSettings) -> Self {
        Self { settings, texts: columns::settings(settings) }
    }

    fn values(&self) -> [Value<'_>; 11] {
        let settings = self.settings;
        [
            Value::from(&*settings.url),
            Value::from(&*self.texts.events),
            Value::from(&*settings.description),
            Value::from(settings.style.as_str()),
            Value::from(&*settings.sealed.key),
            Value::Bytes(Some(&settings.sealed.bytes)),
            Value::Text(self.texts.rate_limit.as_deref()),
            Value::Text(settings.api_version.as_deref()),
            Value::from(i64::from(settings.in_order)),
            Value::Text(self.texts.metadata.as_deref()),
            Value::Text(self.texts.labels.as_deref()),
        ]
    }
}

/// A collision makes two tenants wait for each other for a moment.
fn tenant_lock(tenant: &str, salt: u64) -> i64 {
    let mut half = [0; 8];
    half.copy_from_slice(&Sha256::digest(tenant)[..8]);
    i64::from_ne_bytes((u64::from_be_bytes(half) ^ salt).to_ne_bytes())
}

/// How many rows are looked at in one go.
const PAGE: i64 = 500;
