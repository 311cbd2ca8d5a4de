use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use sqlx::SqliteConnection;

use super::{
    dispatch,
    endpoints::{self, Found, Noted},
    script::{MOST_ROWS, is_of},
    statements::Statements,
    stats::Counts,
};
use crate::{
    clock::{Millis, millis},
    error::StoreError,
    observe,
    send::{
        DisabledReason, EndpointId, Fenced, Finish, LeaseToken, SentDeliveryId,
        policy::{Attempted, Finished, Receiver, counted, finish as decide},
    },
    store::{
        columns::{Columns, corrupt, count, number, seq},
        sqlite::error::store_error,
    },
};

const CONTEXT: &str = "finish an attempt";

/// An attempt that has ended, and how.
pub(super) type Ended<'a> = (SentDeliveryId, LeaseToken, &'a Finish);

/// Does what `finish` does, one call after the other, inside a transaction that holds the write lock. What they need is read at
/// once, and what they change is written at once.
pub(super) async fn finish(
    connection: &mut SqliteConnection,
    statements: &Statements,
    ended: &[Ended<'_>],
    now: Millis,
) -> Result<Vec<(Fenced, Option<DisabledReason>)>, StoreError> {
    let mut answers = Vec::with_capacity(ended.len());
    for some in ended.chunks(MOST_ROWS) {
        finish_some(connection, statements, some, now, &mut answers).await?;
    }
    Ok(answers)
}

async fn finish_some(
    connection: &mut SqliteConnection,
    statements: &Statements,
    ended: &[Ended<'_>],
    now: Millis,
    answers: &mut Vec<(Fenced, Option<DisabledReason>)>,
) -> Result<(), StoreError> {
    let prefix = &*statements.prefix;
    let (mut held, mut receivers) = read(connection, statements, ended).await?;
    let mut changes = Changes::default();
    for (id, token, end) in ended {
        // A token ends its lease once, also where both calls are here.
        let is_held = held.get(&seq(*id)).is_some_and(|one| one.token == token.to_bytes());
        let Some(one) = is_held.then(|| held.remove(&seq(*id))).flatten() else {
            answers.push((Fenced::Stale, None));
            continue;
        };
        let mut receiver = receivers.get_mut(&one.endpoint);
        let finished = decide(&one.attempted, receiver.as_deref().map_or(Receiver::Deleted, Of::receiver), end, now);
        answers.push((Fenced::Applied, finished.disabled));

        if let (Some(health), Some(of)) = (finished.health, &mut receiver)
            && let Found::Readable(endpoint, before) = &mut of.found
        {
            if *before != health || of.ready_at != health.ready_at(endpoint.settings.rate_limit) {
                *before = health;
                of.ready_at = health.ready_at(endpoint.settings.rate_limit);
                changes.noted.insert(one.endpoint);
            }
            if finished.disabled.is_some() {
                let endpoint = endpoint.clone();
                // What has ended before is held, too, if it is to be tried again.
                std::mem::take(&mut changes).write(connection, statements, &receivers, now).await?;
                // `purge` holds what is more than one step of what waits.
                endpoints::switch_in(connection, prefix, (&endpoint, health), finished.disabled, now).await?;
                if let Some(notice) = &end.notice {
                    // If the notice is in conflict, the other message with its id says the same.
                    let notice = std::slice::from_ref(notice);
                    dispatch::store(connection, prefix, notice, now)
                        .await
                        .map_err(|error| store_error(CONTEXT, error))?;
                }
                if let Some(Of { found: Found::Readable(endpoint, _), .. }) = receivers.get_mut(&one.endpoint) {
                    endpoint.disabled = finished.disabled;
                }
            }
        } else if let Some(Of { found: Found::Unreadable { cause, .. }, .. }) = receiver {
            observe::unreadable("endpoint", &one.endpoint, cause);
        }
        changes.ended.push(Change { seq: seq(*id), one, finished, end });
    }
    changes.write(connection, statements, &receivers, now).await
}

/// A delivery whose attempt has ended.
struct Held {
    tenant: Arc<str>,
    endpoint: EndpointId,
    attempted: Attempted,
    token: Vec<u8>,
}

/// The endpoint of an attempt.
struct Of {
    found: Found,
    /// From when on something of it may be leased, as its row has it.
    ready_at: Millis,
}

impl Of {
    fn receiver(&self) -> Receiver {
        match &self.found {
            Found::Missing => Receiver::Deleted,
            Found::Readable(endpoint, health) => {
                Receiver::Readable { health: *health, is_disabled: endpoint.disabled.is_some() }
            }
            Found::Unreadable { is_disabled, .. } => Receiver::Unreadable { is_disabled: *is_disabled },
        }
    }
}

type Receivers = HashMap<EndpointId, Of>;

async fn read(
    connection: &mut SqliteConnection,
    statements: &Statements,
    ended: &[Ended<'_>],
) -> Result<(HashMap<i64, Held>, Receivers), StoreError> {
    let failed = |error| store_error(CONTEXT, error);
    let numbers: Vec<_> = ended.iter().map(|(id, ..)| seq(*id)).collect();
    let numbers = serde_json::to_string(&numbers).expect("numbers can be written as JSON");
    let rows = statements.held.rows(connection, &[numbers.into()]).await.map_err(failed)?;
    let (mut held, mut receivers) = (HashMap::with_capacity(ended.len()), HashMap::new());
    for row in &rows {
        let endpoint = |name| row.text(name)?.parse().map_err(|_| corrupt("invalid endpoint id"));
        if is_of(row, "id") {
            let ready_at = row.int("ready_at").map_err(failed)?;
            receivers.insert(endpoint("id").map_err(failed)?, Of { found: endpoints::found(row)?, ready_at });
            continue;
        }
        let read = || {
            let mut attempted = Attempted::new(count(row.int("attempt")?), row.int("epoch")?, row.int("created_at")?);
            attempted.resent_after = row.optional_int("resent_after")?.map(count);
            let tenant = row.text("tenant")?.into();
            let token = row.optional_bytes("token")?.unwrap_or_default();
            Ok((row.int("seq")?, Held { tenant, endpoint: endpoint("endpoint")?, attempted, token }))
        };
        let (seq, one) = read().map_err(failed)?;
        held.insert(seq, one);
    }
    Ok((held, receivers))
}

/// What attempts have changed, until it is written.
#[derive(Default)]
struct Changes<'a> {
    ended: Vec<Change<'a>>,
    /// The endpoints whose health has changed.
    noted: HashSet<EndpointId>,
}

struct Change<'a> {
    seq: i64,
    one: Held,
    finished: Finished,
    end: &'a Finish,
}

impl Changes<'_> {
    async fn write(
        self,
        connection: &mut SqliteConnection,
        statements: &Statements,
        receivers: &Receivers,
        now: Millis,
    ) -> Result<(), StoreError> {
        let Self { ended, noted } = self;
        if ended.is_empty() && noted.is_empty() {
            return Ok(());
        }
        let mut filling = statements.finish.of(ended.len().max(noted.len()));
        filling.rows(&ended, |row, change| {
            row.bind(change.map(|change| number(change.finished.state)))
                .bind(change.map(|change| change.finished.due_at))
                .bind(change.map(|change| i64::from(change.finished.attempt)))
                .bind(change.map(|change| change.seq));
        });
        filling.rows(ended.iter().filter(|change| change.finished.is_noted), |row, change| {
            row.bind(change.map(|change| change.seq))
                .bind(change.map(|change| i64::from(change.one.attempted.attempt)))
                .bind(now)
                .bind(change.and_then(|change| change.end.status).map(i64::from))
                .bind(change.and_then(|change| change.end.error))
                .bind(change.map(|change| millis(change.end.duration)))
                .bind(change.map(|change| change.end.answer.to_vec()))
                .bind(change.map(|change| change.finished.manual));
        });
        let mut counts = Counts::default();
        for Change { one, end, .. } in &ended {
            if let Some(counted) = counted(end, now) {
                counts.add(one.tenant.clone(), one.endpoint, counted);
            }
        }
        counts.fill(&mut filling);
        let noted = noted.iter().filter_map(|id| match &receivers.get(id)?.found {
            Found::Readable(endpoint, health) => Some(Noted { endpoint, health, served_at: None }),
            Found::Missing | Found::Unreadable { .. } => None,
        });
        Noted::fill(noted, &mut filling);
        let done = filling.query().execute(connection).await;
        done.map(drop).map_err(|error| store_error(CONTEXT, error))
    }
}

#[cfg(test)]
mod tests {
    use crate::store::sqlite::outbox::{
        schema::tests::plans,
        script::with_rows,
        sql::{HELD, WRITE, receivers},
    };

    #[tokio::test]
    async fn nothing_is_read_but_what_has_ended() {
        let written = WRITE.map(|statement| with_rows(statement, 3));
        let receivers = receivers();
        let mut statements = vec![HELD, &*receivers];
        statements.extend(written.iter().map(String::as_str));
        for plan in plans(&statements).await {
            // The values that the statement is given.
            let of_few = |step: &str| {
                ["SCAN n", "SCAN json_each", "SCAN 3 CONSTANT ROWS"].iter().any(|few| step.starts_with(few))
            };
            assert!(!plan.iter().any(|step| step.starts_with("SCAN ") && !of_few(step)), "{plan:#?}");
        }
    }
}
