use std::sync::Arc;

use bytes::Bytes;
use sqlx::Error;

use super::{
    labels::{labels, labels_text},
    row::{Columns, corrupt},
};
use crate::{
    clock::to_time,
    send::{
        DisabledReason, EndpointDraft, EndpointRecord, EndpointSettings, Sealed,
        policy::{Health, Pace},
    },
};

/// Reads an endpoint, and how it is doing.
///
/// # Errors
/// When this version cannot read the row.
pub(in crate::store) fn endpoint(row: &impl Columns) -> Result<(EndpointRecord, Health), Error> {
    let health = health(row)?;
    let id = row.text("id")?.parse().map_err(|_| corrupt("invalid endpoint id"))?;
    let disabled = row.optional_text("disabled")?;
    let disabled = disabled.map(|name| {
        DisabledReason::from_name(&name).ok_or_else(|| corrupt("unknown reason for which an endpoint is disabled"))
    });
    let draft = EndpointDraft::new(id, Arc::<str>::from(row.text("tenant")?), read_settings(row)?);
    let mut endpoint = EndpointRecord::new(draft, to_time(row.int("created_at")?));
    endpoint.revision = u64::try_from(row.int("revision")?).map_err(|_| corrupt("a revision is out of range"))?;
    endpoint.disabled = disabled.transpose()?;
    endpoint.failures = health.failures;
    endpoint.failing_since = health.failing_since.map(to_time);
    endpoint.proven = health.proven;
    Ok((endpoint, health))
}

fn read_settings(row: &impl Columns) -> Result<EndpointSettings, Error> {
    let style = row.text("style")?.parse().map_err(|_| corrupt("unknown style of an endpoint"))?;
    let sealed = Sealed::new(row.text("sealing_key")?, Bytes::from(row.bytes("sealed")?));
    let events = row.text("events")?.split(' ').filter(|pattern| !pattern.is_empty()).map(str::to_owned).collect();
    let mut settings = EndpointSettings::new(row.text("url")?, events, style, sealed);
    row.text("description")?.clone_into(&mut settings.description);
    settings.api_version = row.optional_text("api_version")?;
    settings.in_order = row.flag("in_order")?;
    let limit = row.optional_text("rate_limit")?;
    let limit = limit.map(|limit| limit.parse().map_err(|_| corrupt("invalid rate limit of an endpoint")));
    settings.rate_limit = limit.transpose()?;
    if let Some(metadata) = row.optional_text("metadata")? {
        settings.metadata = serde_json::from_str(&metadata).map_err(|_| corrupt("invalid metadata of an endpoint"))?;
    }
    settings.labels = labels(row.optional_text("labels")?.as_deref())?;
    Ok(settings)
}

fn health(row: &impl Columns) -> Result<Health, Error> {
    let count = |name| u32::try_from(row.int(name)?).map_err(|_| corrupt("a count is out of range"));
    Ok(Health {
        failures: count("failures")?,
        failing_since: row.optional_int("failing_since")?,
        strikes: count("strikes")?,
        struck_at: row.int("struck_at")?,
        rests_until: row.int("rests_until")?,
        epoch: row.int("epoch")?,
        url_epoch: row.int("url_epoch")?,
        proven: row.flag("proven")?,
        slow_at: row.int("slow_at")?,
        urgent: row.flag("urgent")?,
        in_order: row.flag("in_order")?,
        pace: Pace {
            steady: row.float("steady")?,
            steady_at: row.int("steady_at")?,
            next_at: row.int("next_at")?,
            catching_up: row.flag("catching_up")?,
        },
    })
}

/// Settings of an endpoint as the texts that the columns keep.
pub(in crate::store) struct Texts {
    pub(in crate::store) events: String,
    pub(in crate::store) rate_limit: Option<String>,
    pub(in crate::store) metadata: Option<String>,
    pub(in crate::store) labels: Option<String>,
}

pub(in crate::store) fn settings(settings: &EndpointSettings) -> Texts {
    let metadata = Some(&settings.metadata).filter(|metadata| !metadata.is_empty());
    Texts {
        events: settings.events.join(" "),
        rate_limit: settings.rate_limit.map(|limit| limit.to_string()),
        metadata: metadata.map(|metadata| serde_json::to_string(metadata).expect("texts are always JSON")),
        labels: labels_text(&settings.labels),
    }
}
