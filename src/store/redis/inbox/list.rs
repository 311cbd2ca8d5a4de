use std::{collections::BTreeSet, sync::Arc};

use super::{
    facts::{Facts, decode_content},
    lease::duration,
    shared::{Inbox, mark, mark_of, number},
    values::Answer,
};
use crate::{
    clock::{from_time, to_time},
    error::StoreError,
    idempotency::ClaimKey,
    inbox::{
        Change, EventState, InboxId, InboxQuery, InboxRecord, InboxRetention, InboxStats, STATS_COUNTED, Selection,
    },
    store::redis::server::{Lost, decimal},
};

pub(super) async fn event(inbox: &Inbox, id: InboxId) -> Result<Option<InboxRecord>, StoreError> {
    let Some(number) = number(id) else { return Ok(None) };
    let script = &inbox.scripts.one;
    let mut answer = inbox.run("read an event of the inbox", script, &[number.as_bytes()], Lost::Again).await?;
    let Some(mut shown) = answer.maybe_list()? else { return Ok(None) };
    let (mut record, key) = record(&mut shown)?;
    record.key = Some(key);
    record.content = answer.maybe_bytes()?.and_then(decode_content);
    Ok(Some(record))
}

/// Lists events. A filter that few pass is looked for in steps, so that the server answers others in between.
pub(super) async fn events(
    inbox: &Inbox,
    consumer: Arc<str>,
    query: InboxQuery,
    limit: u32,
) -> Result<Vec<InboxRecord>, StoreError> {
    let marks = [mark(&consumer), mark_of(query.event_type.as_deref()), mark_of(query.tenant.as_deref())];
    let mut before = match query.before {
        // A number that no event has is after all of them.
        Some(id) => number(id).unwrap_or_default(),
        None => String::new(),
    };
    let mut records = Vec::new();
    while records.len() < limit as usize {
        let left = (limit as usize - records.len()).to_string();
        let arguments: [&[u8]; 7] = [
            &marks[0],
            query.state.map_or("", letter).as_bytes(),
            &marks[1],
            &marks[2],
            before.as_bytes(),
            left.as_bytes(),
            LOOKED_AT.as_bytes(),
        ];
        let mut answer = inbox.run("list events of the inbox", &inbox.scripts.list, &arguments, Lost::Again).await?;
        before = answer.text()?;
        let mut list = answer.list()?;
        while list.len() > 0 {
            records.push(record(&mut list.list()?)?.0);
        }
        if before.is_empty() {
            break;
        }
    }
    Ok(records)
}

fn record(shown: &mut Answer) -> Result<(InboxRecord, ClaimKey), StoreError> {
    let id = shown.id()?;
    let state = shown.text()?;
    let state = EventState::ALL.into_iter().find(|known| letter(*known) == state).ok_or_else(|| shown.unreadable())?;
    let (due_at, attempt) = (shown.time()?, shown.small()?);
    let accepted_at = to_time(shown.int()?);
    let key = ClaimKey::from_bytes(shown.array()?);
    let facts = Facts::decode(shown.bytes()?).ok_or_else(|| shown.unreadable())?;
    let reason = shown.maybe_bytes()?;
    let mut record = InboxRecord::new(id, facts.consumer, facts.provider, accepted_at);
    (record.tenant, record.delivery_id, record.event_type) = (facts.tenant, facts.delivery_id, facts.event_type);
    (record.state, record.attempt, record.due_at) = (state, attempt, due_at.map(to_time));
    record.reason = reason.map(|text| String::from_utf8_lossy(&text).into());
    Ok((record, key))
}

pub(super) async fn change(
    inbox: &Inbox,
    consumer: Arc<str>,
    change: Change,
    selection: Selection,
    limit: u32,
) -> Result<u64, StoreError> {
    let consumer = mark(&consumer);
    let change = match change {
        Change::Discard => "discard",
        Change::Replay => "replay",
    };
    let (since, ids): (String, Vec<String>) = match selection {
        Selection::DiedSince(since) => (from_time(since).to_string(), Vec::new()),
        // Each once, the oldest first.
        Selection::Ids(ids) => {
            let ids: BTreeSet<_> = ids.into_iter().filter_map(number).collect();
            (String::new(), ids.into_iter().collect())
        }
    };
    let mut changed = 0;
    // A call that asks for much is done in steps.
    let mut steps = ids.chunks(STEP);
    loop {
        let left = u64::from(limit).saturating_sub(changed);
        let step = steps.next().unwrap_or_default();
        if left == 0 || (since.is_empty() && step.is_empty()) {
            return Ok(changed);
        }
        let most = left.min(STEP as u64).to_string();
        let mut arguments: Vec<&[u8]> = vec![&consumer, change.as_bytes(), most.as_bytes(), since.as_bytes()];
        arguments.extend(step.iter().map(String::as_bytes));
        let script = &inbox.scripts.change;
        let of_step = inbox.run("change events of the inbox", script, &arguments, Lost::Again).await?.count()?;
        changed += of_step;
        if !since.is_empty() && of_step < STEP as u64 {
            return Ok(changed);
        }
    }
}

pub(super) async fn stats(inbox: &Inbox, consumer: Arc<str>) -> Result<InboxStats, StoreError> {
    let script = &inbox.scripts.stats;
    let mut answer = inbox.run("count events of the inbox", script, &[&mark(&consumer)], Lost::Again).await?;
    let mut count = || Ok(answer.count()?.min(STATS_COUNTED));
    let (pending, working, dead) = (count()?, count()?, count()?);
    Ok(InboxStats::new(pending, working, dead, answer.time()?.map(duration)))
}

pub(super) async fn purge(
    inbox: &Inbox,
    consumer: Arc<str>,
    keep: InboxRetention,
    limit: u32,
) -> Result<u64, StoreError> {
    let (content, dead, limit) = (decimal(keep.content), decimal(keep.dead), limit.min(MOST_PURGED).to_string());
    let consumer = mark(&consumer);
    let arguments: [&[u8]; 4] = [&consumer, content.as_bytes(), dead.as_bytes(), limit.as_bytes()];
    inbox.run("purge the inbox", &inbox.scripts.purge, &arguments, Lost::Again).await?.count()
}

pub(super) async fn erase(inbox: &Inbox, consumer: Arc<str>, tenant: Arc<str>, limit: u32) -> Result<u64, StoreError> {
    let (consumer, tenant, limit) = (mark(&consumer), mark(&tenant), limit.min(MOST_PURGED).to_string());
    let arguments: [&[u8]; 3] = [&consumer, &tenant, limit.as_bytes()];
    inbox.run("erase a tenant from the inbox", &inbox.scripts.erase, &arguments, Lost::Again).await?.count()
}

/// The letter of a state in records and indexes.
fn letter(state: EventState) -> &'static str {
    match state {
        EventState::Dead => "d",
        EventState::Discarded => "x",
        EventState::Done => "f",
        EventState::Pending => "p",
        EventState::Working => "w",
    }
}

/// How many events one step of a list looks at.
const LOOKED_AT: &str = "500";

/// How many events one step of a change reads.
const STEP: usize = 500;

/// How many rows of a kind one call removes at most, so that the server does not answer others for long.
const MOST_PURGED: u32 = 1000;
