use std::{collections::HashSet, sync::Arc, time::Duration};

use sqlx::{AssertSqlSafe, Connection};
use tokio::sync::{mpsc, oneshot};

use super::{
    rows::{self, Found},
    schema::CLAIMS,
    sql::{MAX_ROWS, Sql},
};
use crate::{
    clock::{Millis, before},
    error::StoreError,
    idempotency::{
        ABANDONED_AFTER, ClaimKey, ClaimOutcome, ClaimRequest, ClaimToken, Completion, Fenced, record::Record,
    },
    store::sqlite::{
        connection::{Connections, Durability, begin_immediate},
        error::{Patience, store_error},
        group::{Committer, Group, commit},
        setup::Setup,
    },
};

/// A message to the writer.
pub(super) enum Command {
    Change(Change),
    Purge(u32, oneshot::Sender<Result<u64, StoreError>>),
}

/// A change of one record, and the caller that waits for its result.
pub(super) enum Change {
    Claim(ClaimRequest, oneshot::Sender<Result<ClaimOutcome, StoreError>>),
    OfOwner(ClaimKey, ClaimToken, Act, oneshot::Sender<Result<Fenced, StoreError>>),
}

/// What only the owner of a claim may do.
pub(super) enum Act {
    Complete(Completion),
    Release,
    Renew(Duration),
}

/// Carries out commands, everything that waits in one transaction, until every sender is dropped.
pub(super) async fn run(setup: Setup, sql: Arc<Sql>, commands: mpsc::Receiver<Command>) {
    let connections = Connections::new(&setup, &CLAIMS, Durability::Process);
    let inbox = Inbox { commands, changes: Vec::new(), purges: Vec::new() };
    let mut writer = Writer { setup, sql, connections, inbox };

    while writer.inbox.wait().await {
        writer.work().await;
    }
    writer.connections.close().await;
}

struct Writer {
    setup: Setup,
    sql: Arc<Sql>,
    connections: Connections,
    inbox: Inbox,
}

/// The commands that are not done yet, in the order in which they arrived.
struct Inbox {
    commands: mpsc::Receiver<Command>,
    changes: Vec<Change>,
    purges: Vec<(u32, oneshot::Sender<Result<u64, StoreError>>)>,
}

/// The result of a change, once its transaction is committed.
enum Answer {
    Claimed(ClaimOutcome),
    Done(Fenced),
    Failed(StoreError),
    /// The caller was dropped before anything was done, so nothing was done.
    Unwanted,
}

impl Committer for Writer {
    type Write = Change;
    type Answer = Answer;

    async fn try_group(&mut self, changes: &mut Vec<Change>, group: Group) -> Result<Vec<Answer>, StoreError> {
        let done = self.decide_in_group(changes, group).await;
        if let Err(error) = &done {
            self.connections.renew_after(error);
        }
        done
    }

    fn take_arrived(&mut self, changes: &mut Vec<Change>, most: usize) {
        self.inbox.take_waiting(most.saturating_sub(changes.len()));
        changes.append(&mut self.inbox.changes);
    }

    /// Sending fails if the caller was dropped in the meantime.
    fn answer(change: Change, answer: Answer) {
        match (change, answer) {
            (Change::Claim(_, reply), Answer::Claimed(outcome)) => _ = reply.send(Ok(outcome)),
            (Change::OfOwner(.., reply), Answer::Done(fenced)) => _ = reply.send(Ok(fenced)),
            (change, Answer::Failed(error)) => Self::fail(change, error),
            // The sender is dropped without an answer, which the caller sees as a missing answer.
            (_, Answer::Unwanted | Answer::Claimed(_) | Answer::Done(_)) => {}
        }
    }

    fn fail(change: Change, error: StoreError) {
        match change {
            Change::Claim(_, reply) => _ = reply.send(Err(error)),
            Change::OfOwner(.., reply) => _ = reply.send(Err(error)),
        }
    }
}

impl Writer {
    async fn work(&mut self) {
        self.inbox.take_waiting(MAX_ROWS);
        let changes = std::mem::take(&mut self.inbox.changes);
        if !changes.is_empty() {
            commit(self, changes).await;
        }
        for (limit, reply) in std::mem::take(&mut self.inbox.purges) {
            let purged = self.purge(limit).await;
            if let Err(error) = &purged {
                self.connections.renew_after(error);
            }
            // Sending fails if the caller was dropped in the meantime.
            let _ = reply.send(purged);
        }
    }

    async fn decide_in_group(&mut self, changes: &mut Vec<Change>, group: Group) -> Result<Vec<Answer>, StoreError> {
        let failed = |error| store_error("write claims", error);
        let sql = &self.sql;
        let patience = Patience::new(self.setup.patience);
        let mut connection = self.connections.lend().await?;
        let mut transaction = begin_immediate!(connection, patience, failed);
        if group == Group::Growing {
            self.inbox.take_waiting(MAX_ROWS.saturating_sub(changes.len()));
            changes.append(&mut self.inbox.changes);
        }

        let mut keys: Vec<_> = changes.iter().map(Change::key).collect();
        keys.sort_unstable();
        keys.dedup();
        let mut found = rows::select(&mut transaction, sql, &keys).await.map_err(failed)?;
        // The lock is held from here on, so this is the time of all these changes.
        let (answers, changed) = decide(changes, &mut found, self.setup.clock.now());

        if changed.is_empty() {
            // The transaction is dropped, which rolls it back: nothing was changed.
            return Ok(answers);
        }
        let records: Vec<_> = changed.iter().filter_map(|key| Some((*key, found.get(key)?.as_ref().ok()?))).collect();
        rows::upsert(&mut transaction, sql, &records).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(answers)
    }

    /// Removes up to `limit` records in a transaction of its own. It gives up soon if the lock is held, since changes
    /// wait behind it.
    async fn purge(&mut self, limit: u32) -> Result<u64, StoreError> {
        let sql = &self.sql;
        let patience = Patience::new(self.setup.patience.min(PURGE_PATIENCE));
        let mut connection = self.connections.lend().await?;
        loop {
            let now = self.setup.clock.now();
            let purge = sqlx::query(AssertSqlSafe(sql.purge.clone()))
                .bind(now)
                .bind(before(now, ABANDONED_AFTER))
                .bind(i64::from(limit));
            match purge.execute(&mut *connection).await {
                Ok(done) => return Ok(done.rows_affected()),
                Err(error) if patience.allows(&error).await => {}
                Err(error) => return Err(store_error("purge claims", error)),
            }
        }
    }
}

impl Inbox {
    /// Waits for something to do. Returns `false` if nothing can come any more.
    async fn wait(&mut self) -> bool {
        let Some(command) = self.commands.recv().await else { return false };
        self.take(command);
        true
    }

    /// Takes what has arrived, up to `room` changes.
    fn take_waiting(&mut self, room: usize) {
        while self.changes.len() < room
            && let Ok(command) = self.commands.try_recv()
        {
            self.take(command);
        }
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Change(change) => self.changes.push(change),
            Command::Purge(limit, reply) => self.purges.push((limit, reply)),
        }
    }
}

impl Change {
    fn key(&self) -> ClaimKey {
        match self {
            Self::Claim(claim, _) => claim.key,
            Self::OfOwner(key, ..) => *key,
        }
    }
}

/// Decides changes one after the other on the records that were found. Returns the answers, and the keys whose records
/// have changed.
fn decide(changes: &[Change], found: &mut Found, now: Millis) -> (Vec<Answer>, HashSet<ClaimKey>) {
    let mut changed = HashSet::new();
    let answers = changes.iter().map(|change| {
        let key = change.key();
        let record = match found.get_mut(&key) {
            Some(Ok(record)) => Some(record),
            Some(Err(error)) => return Answer::Failed(error.clone()),
            None => None,
        };
        match change {
            // If the caller was dropped, the claim is not made: it would delay the delivery for a whole lease.
            Change::Claim(_, reply) if reply.is_closed() => Answer::Unwanted,
            Change::Claim(claim, _) => {
                let outcome = match record {
                    Some(record) => record.claim(claim, now),
                    None => {
                        found.insert(key, Ok(Record::first(claim, now)));
                        ClaimOutcome::Acquired { attempt: 1 }
                    }
                };
                if matches!(outcome, ClaimOutcome::Acquired { .. }) {
                    changed.insert(key);
                }
                Answer::Claimed(outcome)
            }
            Change::OfOwner(_, token, act, _) => {
                let fenced = record.map_or(Fenced::Stale, |record| match act {
                    Act::Complete(completion) => record.complete(*token, completion, now),
                    Act::Release => record.release(*token, now),
                    Act::Renew(lease) => record.renew(*token, *lease, now),
                });
                if fenced == Fenced::Applied {
                    changed.insert(key);
                }
                Answer::Done(fenced)
            }
        }
    });
    (answers.collect(), changed)
}

const PURGE_PATIENCE: Duration = Duration::from_millis(200);
