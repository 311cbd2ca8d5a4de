use std::{borrow::Cow, sync::Arc};

use sqlx::{Row, postgres::PgRow};
use tokio::time::Instant;

use super::{
    core::Core,
    rows::{EventRow, bounded, kept},
};
use crate::{
    error::StoreError,
    idempotency::ClaimKey,
    inbox::{
        Accepted, EventDraft,
        policy::{self, Found},
    },
    store::postgres::{error::store_error, statement::Value, tx::Tx},
};

pub(super) const CONTEXT: &str = "accept events";

/// Stores events with different keys, about each of which only the row with its key decides. The answer is `None` if an
/// event needs a transaction.
///
/// An event without a stored row is new, as [`policy::accept`] decides if nothing was found, and it does not wait for
/// another one. The server checks this in the statement that stores the events.
pub(super) async fn accept_simple(
    core: &Core,
    deadline: Instant,
    events: &[(&str, &EventDraft)],
) -> Result<Vec<Option<Accepted>>, StoreError> {
    let drafts: Vec<_> = events.iter().map(|(consumer, event)| Draft { consumer, event, waits: false }).collect();
    let rows = insert(core, Way::Alone(deadline), &drafts).await.map_err(|error| store_error(error, CONTEXT))?;
    let answer = |(row, (_, event)): (&PgRow, &(&str, &EventDraft))| -> Result<_, sqlx::Error> {
        if row.try_get::<bool, _>("is_new")? {
            return Ok(Some(Accepted::New));
        }
        // Without a row it has been stored since the statement began.
        let Some(known) = EventRow::find(row)? else { return Ok(None) };
        let found = Found::new(Some((known.standing, known.retention, known.differs(event))), false);
        let accepted = policy::accept(std::slice::from_ref(*event), |_| found, None, row.try_get("now")?);
        Ok(accepted.first().copied().filter(|accepted| !policy::is_stored(accepted)))
    };
    let answers = rows.iter().zip(events).map(answer).collect::<Result<Vec<_>, _>>();
    let answers = answers.map_err(|error| store_error(error, CONTEXT))?;
    if answers.len() == events.len() { Ok(answers) } else { Err(store_error(sqlx::Error::RowNotFound, CONTEXT)) }
}

/// An event to be inserted.
pub(super) struct Draft<'a> {
    pub(super) consumer: &'a str,
    pub(super) event: &'a EventDraft,
    /// Whether another one with its order key has not ended.
    pub(super) waits: bool,
}

/// The place where a statement runs.
pub(super) enum Way<'a> {
    /// As a transaction of its own.
    Alone(Instant),
    Within(&'a mut Tx),
}

/// Stores the events that are new, and reads the others: a row for each event.
pub(super) async fn insert(core: &Core, way: Way<'_>, drafts: &[Draft<'_>]) -> Result<Vec<PgRow>, sqlx::Error> {
    let of = |list: fn(&EventDraft) -> Option<&Arc<str>>| -> Vec<Option<Cow<'_, str>>> {
        drafts.iter().map(|draft| list(draft.event).map(|text| kept(text))).collect()
    };
    let consumers: Vec<_> = drafts.iter().map(|draft| Some(kept(draft.consumer))).collect();
    let texts = [
        consumers,
        of(|event| Some(&event.provider)),
        of(|event| event.tenant.as_ref()),
        of(|event| event.delivery_id.as_ref()),
        of(|event| event.event_type.as_ref()),
    ];
    let texts = texts.each_ref().map(|texts| texts.iter().map(|text| text.as_deref()).collect::<Vec<_>>());
    let [consumers, providers, tenants, ids, kinds] = &texts;
    let keys: Vec<_> = drafts.iter().map(|draft| draft.event.key.to_bytes()).collect();
    let keys: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
    let fingerprints: Vec<_> = drafts.iter().map(|draft| draft.event.fingerprint.to_bytes()).collect();
    let fingerprints: Vec<&[u8]> = fingerprints.iter().map(|fingerprint| &fingerprint[..]).collect();
    let events = || drafts.iter().map(|draft| draft.event);
    let (orders, guards) = (bytes_of(events(), order_of), bytes_of(events(), guard_of));
    let (orders, guards) = (slices(&orders), slices(&guards));
    let waits: Vec<_> = drafts.iter().map(|draft| i64::from(draft.waits)).collect();
    let retentions: Vec<_> = events().map(|event| bounded(event.retention)).collect();
    let windows: Vec<_> = events().map(|event| event.guard.map_or(0, |guard| bounded(guard.window))).collect();
    let heads: Vec<_> = events().map(|event| event.content.head.as_bytes()).collect();
    let bodies: Vec<_> = events().map(|event| &event.content.body[..]).collect();
    let lock_timeout = if matches!(way, Way::Alone(_)) { &*core.server.lock_timeout } else { "" };
    let values = [
        core.offset(),
        Value::from(lock_timeout),
        Value::ManyBytes(&keys),
        Value::ManyTexts(consumers),
        Value::ManyInts(&waits),
        Value::ManyBytes(&fingerprints),
        Value::ManyInts(&retentions),
        Value::ManyBytes(&orders),
        Value::ManyBytes(&guards),
        Value::ManyInts(&windows),
        Value::ManyTexts(providers),
        Value::ManyTexts(tenants),
        Value::ManyTexts(ids),
        Value::ManyTexts(kinds),
        Value::ManyBytes(&heads),
        Value::ManyBytes(&bodies),
    ];
    match way {
        Way::Alone(deadline) => core.ask(deadline, &core.statements.insert, &values).await,
        Way::Within(tx) => tx.all(&core.statements.insert, &values).await,
    }
}

pub(super) fn order_of(event: &EventDraft) -> Option<ClaimKey> {
    event.order_key
}

pub(super) fn guard_of(event: &EventDraft) -> Option<ClaimKey> {
    event.guard.map(|guard| guard.key)
}

/// A key of each event; empty if it has none, since a list of byte strings has no NULL.
pub(super) fn bytes_of<'e>(
    events: impl Iterator<Item = &'e EventDraft>,
    key: fn(&EventDraft) -> Option<ClaimKey>,
) -> Vec<Vec<u8>> {
    events.map(|event| key(event).map(|key| key.to_bytes().to_vec()).unwrap_or_default()).collect()
}

pub(super) fn slices(many: &[Vec<u8>]) -> Vec<&[u8]> {
    many.iter().map(|bytes| &bytes[..]).collect()
}
