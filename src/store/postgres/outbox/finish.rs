use std::collections::{BTreeMap, HashMap, hash_map::Entry};

use sqlx::{Row, postgres::PgRow};
use tokio::time::timeout_at;

use super::{
    core::Core,
    dispatch,
    endpoints::{self, Found},
};
use crate::{
    clock::{Millis, millis},
    error::StoreError,
    observe,
    send::{
        DeliveryState, DisabledReason, EndpointRecord, Fenced, Finish, LeaseToken, SentDeliveryId,
        policy::{Attempted, Finished, Health, Receiver, counted, finish as decide},
    },
    store::{
        columns::{self, Columns, count, number, seq},
        postgres::{
            error::{no_answer, store_error},
            statement::Value,
            tx::{Tx, is_conflict, transaction},
        },
    },
};

/// An attempt that has ended, and how.
pub(super) struct Ended {
    pub(super) id: SentDeliveryId,
    pub(super) token: LeaseToken,
    pub(super) end: Finish,
}

pub(super) async fn finish(
    outbox: &Core,
    id: SentDeliveryId,
    token: LeaseToken,
    end: Finish,
) -> Result<(Fenced, Option<DisabledReason>), StoreError> {
    let deadline = outbox.deadline().await?;
    let finished =
        transaction!(outbox, deadline, "finish an attempt", tx => finish_in(outbox, &mut tx, id, token, &end))?;
    if finished.1.is_some() && end.notice.is_some() {
        outbox.announce();
    }
    Ok(finished)
}

async fn finish_in(
    outbox: &Core,
    tx: &mut Tx,
    id: SentDeliveryId,
    token: LeaseToken,
    end: &Finish,
) -> Result<(Fenced, Option<DisabledReason>), sqlx::Error> {
    let token = token.to_bytes();
    let values = [outbox.offset(), Value::from(seq(id)), Value::from(&token)];
    let row = tx.first(&outbox.statements.finish_read, &values).await?;
    let Some(row) = row else { return Ok((Fenced::Stale, None)) };
    let now = row.try_get("now")?;
    let attempt = count(row.int("delivery_attempt")?);
    let mut attempted = Attempted::new(attempt, row.int("delivery_epoch")?, row.int("delivery_created_at")?);
    attempted.resent_after = row.optional_int("resent_after")?.map(count);
    let mut found = None;
    let receiver = match row.try_get::<Option<&str>, _>("id")? {
        None => Receiver::Deleted,
        Some(id) => match columns::endpoint(&row) {
            Err(cause) => {
                observe::unreadable("endpoint", &id, &cause);
                Receiver::Unreadable { is_disabled: row.optional_text("disabled")?.is_some() }
            }
            Ok((endpoint, health)) => {
                let is_disabled = endpoint.disabled.is_some();
                found = Some(Found { endpoint, health, now });
                Receiver::Readable { health, is_disabled }
            }
        },
    };

    let finished = decide(&attempted, receiver, end, now);

    if let (Some(found), Some(health)) = (&mut found, finished.health) {
        found.health = health;
        if finished.disabled.is_some() {
            endpoints::switch_in(outbox, tx, found, finished.disabled).await?;
            if let Some(notice) = &end.notice {
                // If the notice is in conflict, the other message with its id says the same.
                dispatch::dispatch_with(outbox, tx, std::slice::from_ref(notice)).await?;
            }
        }
    }
    let whose = (row.text("delivery_tenant")?, row.text("delivery_endpoint")?);
    let waits = matches!(finished.state, DeliveryState::Pending | DeliveryState::Held);
    let ended = row.optional_text("delivery_order_key")?.filter(|_| !waits);
    write(outbox, tx, (id, attempt, now), (&finished, end), found.as_ref(), (whose, ended.as_deref())).await?;
    Ok((Fenced::Applied, finished.disabled))
}

/// Does what `finish` does for several attempts, as far as it waits for nobody. What is left out, since somebody else has it locked,
/// the token does not hold it, or it disables its endpoint, is `None`, and is to be finished alone. So is what its endpoint has
/// after that.
pub(super) async fn finish_all(
    outbox: &Core,
    tx: &mut Tx,
    ended: &[Ended],
) -> Result<Vec<Option<Fenced>>, sqlx::Error> {
    let numbers: Vec<_> = ended.iter().map(|ended| seq(ended.id)).collect();
    let tokens: Vec<_> = ended.iter().map(|ended| ended.token.to_bytes()).collect();
    let tokens: Vec<_> = tokens.iter().map(|token| &token[..]).collect();
    let values = [outbox.offset(), Value::ManyInts(&numbers), Value::ManyBytes(&tokens)];
    let rows = tx.all(&outbox.statements.finish_read_all, &values).await?;
    let Some(first) = rows.first() else { return Ok(vec![None; ended.len()]) };
    let now = first.try_get("now")?;
    let mut held: HashMap<i64, &PgRow> = HashMap::with_capacity(rows.len());
    let mut receivers = HashMap::new();
    for row in &rows {
        held.insert(row.int("delivery_seq")?, row);
        if let Entry::Vacant(entry) = receivers.entry(row.text("id")?) {
            entry.insert(Of::read(row)?);
        }
    }

    let (mut answers, mut changes) = (Vec::with_capacity(ended.len()), Vec::with_capacity(ended.len()));
    for Ended { id, end, .. } in ended {
        // A token ends its lease once.
        let row = held.remove(&seq(*id));
        let finished = match row {
            None => None,
            Some(row) => receivers.get_mut(row.text("id")?).and_then(Option::as_mut).map(|of| of.finish(row, end, now)),
        };
        let finished = finished.transpose()?.flatten();
        answers.push(finished.map(|_| Fenced::Applied));
        if let (Some(row), Some(finished)) = (row, finished) {
            changes.push(Change { row, attempt: count(row.int("delivery_attempt")?), finished, end });
        }
    }
    if !changes.is_empty() {
        write_all(outbox, tx, &changes, receivers.values().flatten(), now).await?;
    }
    Ok(answers)
}

/// The endpoint of attempts.
struct Of {
    endpoint: EndpointRecord,
    health: Health,
    /// Whether its row changes.
    is_changed: bool,
    /// When the first of the deliveries is due that are to be tried again.
    first_due: Option<Millis>,
    /// Whether the others are to be finished alone.
    is_left: bool,
}

impl Of {
    /// Reads an endpoint. Returns `None` if its row cannot be read.
    fn read(row: &PgRow) -> Result<Option<Self>, sqlx::Error> {
        let Ok((endpoint, health)) = columns::endpoint(row) else { return Ok(None) };
        let is_changed = row.int("ready_at")? != health.ready_at(endpoint.settings.rate_limit);
        Ok(Some(Self { endpoint, health, is_changed, first_due: None, is_left: false }))
    }

    /// Decides the consequences of an attempt. Returns `None` if it is to be finished alone.
    fn finish(&mut self, row: &PgRow, end: &Finish, now: Millis) -> Result<Option<Finished>, sqlx::Error> {
        let attempt = count(row.int("delivery_attempt")?);
        let mut attempted = Attempted::new(attempt, row.int("delivery_epoch")?, row.int("delivery_created_at")?);
        attempted.resent_after = row.optional_int("resent_after")?.map(count);
        let receiver = Receiver::Readable { health: self.health, is_disabled: self.endpoint.disabled.is_some() };
        let finished = decide(&attempted, receiver, end, now);
        self.is_left |= finished.disabled.is_some();
        if self.is_left {
            return Ok(None);
        }
        if let Some(health) = finished.health {
            self.is_changed |= self.health != health;
            self.health = health;
        }
        if finished.state == DeliveryState::Pending {
            self.is_changed = true;
            self.first_due = self.first_due.into_iter().chain([finished.due_at]).min();
        }
        Ok(Some(finished))
    }
}

/// What has become of a delivery.
struct Change<'a> {
    row: &'a PgRow,
    attempt: u32,
    finished: Finished,
    end: &'a Finish,
}

impl Change<'_> {
    /// Returns the order key if the delivery has ended.
    fn ended_key(&self) -> Result<Option<&str>, sqlx::Error> {
        let waits = matches!(self.finished.state, DeliveryState::Pending | DeliveryState::Held);
        if waits { Ok(None) } else { self.row.try_get("delivery_order_key") }
    }
}

async fn write_all<'a>(
    outbox: &Core,
    tx: &mut Tx,
    changes: &[Change<'_>],
    receivers: impl Iterator<Item = &'a Of>,
    now: Millis,
) -> Result<(), sqlx::Error> {
    let ints = |of: &dyn Fn(&Change<'_>) -> i64| changes.iter().map(of).collect::<Vec<_>>();
    let texts = |name: &'static str| changes.iter().map(move |change| Ok(Some(change.row.text(name)?)));
    let numbers = changes.iter().map(|change| change.row.int("delivery_seq")).collect::<Result<Vec<_>, _>>()?;
    let of = texts("id").collect::<Result<Vec<_>, sqlx::Error>>()?;
    let keys = changes.iter().map(Change::ended_key).collect::<Result<Vec<_>, _>>()?;

    let noted: Vec<_> = changes.iter().zip(&numbers).filter(|(change, _)| change.finished.is_noted).collect();
    let of_noted = |of: &dyn Fn(&Change<'_>) -> i64| noted.iter().map(|(change, _)| of(change)).collect::<Vec<_>>();
    let noted_numbers: Vec<_> = noted.iter().map(|(_, number)| **number).collect();
    let errors: Vec<_> = noted.iter().map(|(change, _)| change.end.error).collect();
    let answers: Vec<_> = noted.iter().map(|(change, _)| &change.end.answer[..]).collect();

    let mut counts = BTreeMap::<_, i64>::new();
    for change in changes {
        if let Some(counted) = counted(change.end, now) {
            let whose = (change.row.text("delivery_tenant")?, change.row.text("id")?);
            *counts.entry((whose, counted.hour, counted.end.number(), counted.bucket)).or_default() += 1;
        }
    }
    let tenants: Vec<_> = counts.keys().map(|((tenant, _), ..)| Some(*tenant)).collect();
    let counted_of: Vec<_> = counts.keys().map(|((_, endpoint), ..)| Some(*endpoint)).collect();
    let hours: Vec<_> = counts.keys().map(|(_, hour, ..)| i64::from(*hour)).collect();
    let ends: Vec<_> = counts.keys().map(|(_, _, end, _)| i64::from(*end)).collect();
    let buckets: Vec<_> = counts.keys().map(|(.., bucket)| i64::from(*bucket)).collect();
    let numbers_of_counts: Vec<_> = counts.values().copied().collect();

    let receivers: Vec<_> = receivers.filter(|of| of.is_changed).collect();
    let ids: Vec<_> = receivers.iter().map(|of| of.endpoint.id.to_string()).collect();
    let ids: Vec<_> = ids.iter().map(|id| Some(&**id)).collect();
    let health = |of: &dyn Fn(&Health) -> i64| receivers.iter().map(|one| of(&one.health)).collect::<Vec<_>>();
    let ready_at = receivers.iter().map(|of| of.health.ready_at(of.endpoint.settings.rate_limit));
    let ready_at: Vec<_> = ready_at.collect();
    let first_due: Vec<_> = receivers.iter().map(|of| of.first_due.unwrap_or(-1)).collect();
    let values = [
        Value::from(now),
        Value::ManyInts(&numbers),
        Value::ManyInts(&ints(&|change| number(change.finished.state))),
        Value::ManyInts(&ints(&|change| change.finished.due_at)),
        Value::ManyInts(&ints(&|change| change.finished.attempt.into())),
        Value::ManyTexts(&of),
        Value::ManyTexts(&keys),
        Value::ManyInts(&noted_numbers),
        Value::ManyInts(&of_noted(&|change| change.attempt.into())),
        Value::ManyInts(&of_noted(&|change| change.end.status.map_or(-1, i64::from))),
        Value::ManyTexts(&errors),
        Value::ManyInts(&of_noted(&|change| millis(change.end.duration))),
        Value::ManyBytes(&answers),
        Value::ManyInts(&of_noted(&|change| change.finished.manual.into())),
        Value::ManyTexts(&tenants),
        Value::ManyTexts(&counted_of),
        Value::ManyInts(&hours),
        Value::ManyInts(&ends),
        Value::ManyInts(&buckets),
        Value::ManyInts(&numbers_of_counts),
        Value::ManyTexts(&ids),
        Value::ManyInts(&health(&|health| health.failures.into())),
        Value::ManyInts(&health(&|health| health.failing_since.unwrap_or(-1))),
        Value::ManyInts(&health(&|health| health.rests_until)),
        Value::ManyInts(&health(&|health| health.proven.into())),
        Value::ManyInts(&health(&|health| health.pace.catching_up.into())),
        Value::ManyInts(&ready_at),
        Value::ManyInts(&health(&|health| health.epoch)),
        Value::ManyInts(&health(&|health| health.strikes.into())),
        Value::ManyInts(&health(&|health| health.struck_at)),
        Value::ManyInts(&health(&|health| health.slow_at)),
        Value::ManyInts(&first_due),
    ];
    tx.all(&outbox.statements.finish_write_all, &values).await.map(drop)
}

async fn write(
    outbox: &Core,
    tx: &mut Tx,
    (id, attempt, now): (SentDeliveryId, u32, i64),
    (finished, end): (&Finished, &Finish),
    found: Option<&Found>,
    ((tenant, of), order_key): ((&str, &str), Option<&str>),
) -> Result<(), sqlx::Error> {
    let counted = counted(end, now);
    let endpoint = found.map(|found| found.endpoint.id.to_string());
    let health = found.map(|found| found.health).unwrap_or_default();
    let limit = found.and_then(|found| found.endpoint.settings.rate_limit);
    let values = [
        Value::from(now),
        Value::from(seq(id)),
        Value::from(number(finished.state)),
        Value::from(finished.due_at),
        Value::from(i64::from(finished.attempt)),
        Value::from(i64::from(finished.is_noted)),
        Value::from(i64::from(attempt)),
        Value::Int(end.status.map(i64::from)),
        Value::Text(end.error),
        Value::from(millis(end.duration)),
        Value::Bytes(Some(&end.answer[..]).filter(|answer| !answer.is_empty())),
        Value::Text(endpoint.as_deref()),
        Value::from(i64::from(health.failures)),
        Value::Int(health.failing_since),
        Value::from(health.rests_until),
        Value::from(i64::from(health.proven)),
        Value::from(i64::from(health.pace.catching_up)),
        Value::from(health.ready_at(limit)),
        Value::from(health.epoch),
        Value::from(i64::from(health.strikes)),
        Value::from(health.struck_at),
        Value::from(health.slow_at),
        Value::from(i64::from(finished.manual)),
        Value::from(tenant),
        Value::from(of),
        Value::Int(counted.map(|counted| counted.hour.into())),
        Value::Int(counted.map(|counted| counted.end.number().into())),
        Value::Int(counted.map(|counted| counted.bucket.into())),
        Value::Text(order_key),
    ];
    tx.all(&outbox.statements.finish_write, &values).await.map(drop)
}
