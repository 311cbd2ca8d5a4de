use std::{collections::HashSet, time::Duration};

use sqlx::{AssertSqlSafe, Connection};
use tokio::sync::{mpsc, oneshot};

use super::rows::{self, Found};
use crate::{
    clock::{Millis, before},
    error::{StoreError, StoreErrorKind},
    idempotency::{
        ABANDONED_AFTER, ClaimKey, ClaimOutcome, ClaimRequest, ClaimToken, Completion, Fenced, record::Record,
    },
    store::sqlite::{
        connection::{Connections, begin_immediate},
        error::{Patience, concerns_all, store_error},
        migration::MAX_ROWS,
        store::Setup,
    },
};

/// What the writer is sent.
pub(in crate::store::sqlite) enum Command {
    Change(Change),
    Purge(u32, oneshot::Sender<Result<u64, StoreError>>),
}

/// A change of one record, and who waits for what becomes of it.
pub(in crate::store::sqlite) enum Change {
    Claim(ClaimRequest, oneshot::Sender<Result<ClaimOutcome, StoreError>>),
    OfOwner(ClaimKey, ClaimToken, Act, oneshot::Sender<Result<Fenced, StoreError>>),
}

/// What only the owner of a claim may do.
pub(in crate::store::sqlite) enum Act {
    Complete(Completion),
    Release,
    Renew(Duration),
}

/// Does what it is sent, as much as waits in one transaction, until nobody is left who could send more.
pub(in crate::store::sqlite) async fn run(setup: Setup, commands: mpsc::Receiver<Command>) {
    let connections = Connections::new(&setup);
    let mut writer = Writer { setup, connections, inbox: Inbox { commands, changes: Vec::new(), purges: Vec::new() } };

    while writer.inbox.wait().await {
        writer.work().await;
    }
    writer.connections.close().await;
}

struct Writer {
    setup: Setup,
    connections: Connections,
    inbox: Inbox,
}

/// What was sent and is not done yet, in the order it came.
struct Inbox {
    commands: mpsc::Receiver<Command>,
    changes: Vec<Change>,
    purges: Vec<(u32, oneshot::Sender<Result<u64, StoreError>>)>,
}

/// Whether a group may take in what arrives while it waits for the lock.
#[derive(PartialEq)]
enum Group {
    Fixed,
    Growing,
}

/// What became of a change, once its transaction is committed.
enum Answer {
    Claimed(ClaimOutcome),
    Done(Fenced),
    Failed(StoreError),
    /// Who asked was dropped before anything was done, so nothing was.
    Unwanted,
}

impl Writer {
    async fn work(&mut self) {
        self.inbox.take_waiting(MAX_ROWS);
        let changes = std::mem::take(&mut self.inbox.changes);
        if !changes.is_empty() {
            self.commit(changes).await;
        }
        for (limit, reply) in std::mem::take(&mut self.inbox.purges) {
            let purged = self.purge(limit).await;
            if let Err(error) = &purged {
                self.connections.renew_after(error);
            }
            // Who was dropped meanwhile does not want to know.
            let _ = reply.send(purged);
        }
    }

    async fn commit(&mut self, mut changes: Vec<Change>) {
        match self.commit_group(&mut changes, Group::Growing).await {
            Ok(answers) => answer(changes, answers),
            Err(error) if changes.len() == 1 || concerns_all(&error) => {
                if error.kind() == StoreErrorKind::Busy {
                    // The lock has been held for as long as anyone may wait. Those who came later go back with the others,
                    // or the queue would make them wait that long several times over.
                    self.inbox.take_waiting(usize::MAX);
                    changes.append(&mut self.inbox.changes);
                }
                let answers = changes.iter().map(|_| Answer::Failed(error.clone())).collect();
                answer(changes, answers);
            }
            // One of them cannot be written. Each goes alone, so that it fails alone.
            Err(_) => {
                let mut stopped = None;
                for change in changes {
                    let mut alone = vec![change];
                    let done = match &stopped {
                        Some(error) => Err(StoreError::clone(error)),
                        None => self.commit_group(&mut alone, Group::Fixed).await,
                    };
                    let answers = done.unwrap_or_else(|error| {
                        stopped = Some(error.clone()).filter(concerns_all);
                        vec![Answer::Failed(error)]
                    });
                    answer(alone, answers);
                }
            }
        }
    }

    /// Decides `changes` in one transaction and tells the answers once it is committed. After an error nothing is changed,
    /// or, when it was the commit's, nobody can tell.
    async fn commit_group(&mut self, changes: &mut Vec<Change>, group: Group) -> Result<Vec<Answer>, StoreError> {
        let done = self.try_group(changes, group).await;
        if let Err(error) = &done {
            self.connections.renew_after(error);
        }
        done
    }

    async fn try_group(&mut self, changes: &mut Vec<Change>, group: Group) -> Result<Vec<Answer>, StoreError> {
        let failed = |error| store_error("write claims", error);
        let sql = &self.setup.sql;
        let patience = Patience::new(self.setup.patience);
        let mut connection = self.connections.lend(sql).await?;
        let mut transaction = begin_immediate!(connection, patience, failed);
        if group == Group::Growing {
            self.inbox.take_waiting(MAX_ROWS - changes.len());
            changes.append(&mut self.inbox.changes);
        }

        let mut keys: Vec<_> = changes.iter().map(Change::key).collect();
        keys.sort_unstable();
        keys.dedup();
        let mut found = rows::select(&mut transaction, sql, &keys).await.map_err(failed)?;
        // The lock is ours from here on, so this is the time of all these changes.
        let (answers, changed) = decide(changes, &mut found, self.setup.clock.now());

        if changed.is_empty() {
            // Dropped, it is rolled back; there is nothing to keep.
            return Ok(answers);
        }
        let records: Vec<_> = changed.iter().filter_map(|key| Some((*key, found.get(key)?.as_ref().ok()?))).collect();
        rows::upsert(&mut transaction, sql, &records).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(answers)
    }

    /// Removes up to `limit` records in a transaction of its own. It is in nobody's way for long: it gives up soon when the
    /// lock is held, since changes wait behind it.
    async fn purge(&mut self, limit: u32) -> Result<u64, StoreError> {
        let sql = &self.setup.sql;
        let patience = Patience::new(self.setup.patience.min(PURGE_PATIENCE));
        let mut connection = self.connections.lend(sql).await?;
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
    /// Waits for something to do, and tells whether there is anything.
    async fn wait(&mut self) -> bool {
        let Some(command) = self.commands.recv().await else { return false };
        self.take(command);
        true
    }

    /// Takes what has come, up to `room` changes.
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

/// Decides changes one after the other on what was found, and tells whose records are other ones now.
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
            // A claim for nobody would hold its delivery back for a whole lease.
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

/// Tells each what became of its change. Who was dropped meanwhile does not want to know.
fn answer(changes: Vec<Change>, answers: Vec<Answer>) {
    for pair in changes.into_iter().zip(answers) {
        match pair {
            (Change::Claim(_, reply), Answer::Claimed(outcome)) => _ = reply.send(Ok(outcome)),
            (Change::Claim(_, reply), Answer::Failed(error)) => _ = reply.send(Err(error)),
            (Change::OfOwner(.., reply), Answer::Done(fenced)) => _ = reply.send(Ok(fenced)),
            (Change::OfOwner(.., reply), Answer::Failed(error)) => _ = reply.send(Err(error)),
            // Dropped without an answer, which reads as one that never came.
            (_, Answer::Unwanted | Answer::Claimed(_) | Answer::Done(_)) => {}
        }
    }
}

const PURGE_PATIENCE: Duration = Duration::from_millis(200);
