use std::{sync::Arc, time::Duration};

use sqlx::{Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot};

use super::{accept, access::Access, change, lease, purge};
use crate::{
    clock::Millis,
    error::{StoreError, StoreErrorKind},
    inbox::{
        AcceptRequest, Accepted, Change, Ending, Fenced, InboxId, InboxLease, InboxLeases, InboxRetention, LeaseToken,
        Selection,
    },
    store::sqlite::{
        connection::{Connections, begin_immediate},
        error::{Patience, store_error},
        group::{Committer, Group, commit, take_arrived},
    },
};

/// Something to write, and who waits for its result.
pub(super) struct Write {
    pub(super) call: Call,
    pub(super) reply: oneshot::Sender<Result<Answer, StoreError>>,
}

pub(super) enum Call {
    Accept(AcceptRequest),
    Change(Arc<str>, Change, Selection, u32),
    Erase(Arc<str>, Arc<str>, u32),
    Finish(InboxId, LeaseToken, Ending),
    Lease(InboxLease),
    Purge(Arc<str>, InboxRetention, u32),
    Renew(InboxId, LeaseToken, Duration),
}

/// The result of a write, once its transaction is committed.
pub(super) enum Answer {
    Accepted(Vec<Accepted>),
    Count(u64),
    Fenced(Fenced),
    Leased(InboxLeases),
    /// Who asked was dropped before anything was done, so nothing was.
    Unwanted,
}

/// Carries out the calls that it receives, all waiting ones in one transaction, until the last sender is dropped.
pub(super) async fn run(access: Arc<Access>, mut arriving: mpsc::Receiver<Write>) {
    let mut writes = Vec::with_capacity(MOST);
    while arriving.recv_many(&mut writes, MOST).await > 0 {
        let mut connections = access.writing.lock().await;
        // The connection is closed. The waiting callers get an error, since their reply channels are dropped.
        let Some(connections) = connections.as_mut() else { return };
        let mut incoming = Incoming { access: &access, connections, arriving: &mut arriving };
        commit(&mut incoming, std::mem::take(&mut writes)).await;
    }
}

struct Incoming<'a> {
    access: &'a Access,
    connections: &'a mut Connections,
    arriving: &'a mut mpsc::Receiver<Write>,
}

impl Committer for Incoming<'_> {
    type Write = Write;
    type Answer = Answer;

    async fn try_group(&mut self, writes: &mut Vec<Write>, group: Group) -> Result<Vec<Answer>, StoreError> {
        let done = self.write_in_group(writes, group).await;
        if let Err(error) = &done {
            self.connections.renew_after(error);
        }
        done
    }

    fn take_arrived(&mut self, writes: &mut Vec<Write>, most: usize) {
        take_arrived(self.arriving, writes, most);
    }

    fn answer(write: Write, answer: Answer) {
        // Who was dropped meanwhile does not want to know.
        let _ = write.reply.send(Ok(answer));
    }

    fn fail(write: Write, error: StoreError) {
        let _ = write.reply.send(Err(error));
    }
}

impl Incoming<'_> {
    async fn write_in_group(&mut self, writes: &mut Vec<Write>, group: Group) -> Result<Vec<Answer>, StoreError> {
        let setup = &self.access.setup;
        let (prefix, time) = (setup.prefix.as_str(), &setup.clock);
        let patience = Patience::new(setup.patience);
        let mut connection = self.connections.lend().await?;

        // A worker that has nothing to do asks all the time, and takes no lock for it.
        if writes.iter().all(|write| matches!(write.call, Call::Lease(_))) {
            let mut nothing = Vec::with_capacity(writes.len());
            for write in &*writes {
                let Call::Lease(request) = &write.call else { break };
                let Some(next_due) = lease::look(&mut connection, prefix, request, time.now()).await? else { break };
                nothing.push(Answer::Leased(InboxLeases::new(Vec::new(), next_due, 0)));
            }
            if nothing.len() == writes.len() {
                return Ok(nothing);
            }
        }

        let failed = |error| store_error("write the inbox", error);
        let mut transaction = begin_immediate!(connection, patience, failed);
        if group == Group::Growing {
            take_arrived(self.arriving, writes, MOST);
        }
        let mut answers = Vec::with_capacity(writes.len());
        for write in &*writes {
            // Time may have passed while others held the lock.
            answers.push(write.perform(&mut transaction, prefix, time.now()).await?);
        }
        transaction.commit().await.map_err(failed)?;
        Ok(answers)
    }
}

impl Write {
    async fn perform(
        &self,
        connection: &mut SqliteConnection,
        prefix: &str,
        now: Millis,
    ) -> Result<Answer, StoreError> {
        if self.reply.is_closed() && !matches!(self.call, Call::Finish(..)) {
            // A dropped call is not begun, except `finish`: the event was handled anyway, so the result is stored.
            return Ok(Answer::Unwanted);
        }
        let failed = |error| store_error(self.call.name(), error);
        Ok(match &self.call {
            Call::Accept(request) => {
                Answer::Accepted(accept::accept(connection, prefix, request, now).await.map_err(failed)?)
            }
            Call::Change(consumer, change, selection, limit) => {
                let changed = change::change(connection, prefix, consumer, (*change, selection, *limit), now).await;
                Answer::Count(changed.map_err(failed)?)
            }
            Call::Erase(consumer, tenant, limit) => {
                Answer::Count(purge::erase(connection, prefix, (consumer, tenant), *limit, now).await.map_err(failed)?)
            }
            Call::Finish(id, token, ending) => {
                Answer::Fenced(lease::finish(connection, prefix, (*id, *token), ending, now).await.map_err(failed)?)
            }
            Call::Lease(request) => {
                Answer::Leased(lease::lease(connection, prefix, request, now).await.map_err(failed)?)
            }
            Call::Purge(consumer, retention, limit) => Answer::Count(
                purge::purge(connection, prefix, (consumer, *retention), *limit, now).await.map_err(failed)?,
            ),
            Call::Renew(id, token, lease) => {
                Answer::Fenced(lease::renew(connection, prefix, (*id, *token), *lease, now).await.map_err(failed)?)
            }
        })
    }
}

impl Call {
    fn name(&self) -> &'static str {
        match self {
            Self::Accept(_) => "accept events",
            Self::Change(..) => "change events of the inbox",
            Self::Erase(..) => "erase a tenant",
            Self::Finish(..) => "end an event of the inbox",
            Self::Lease(_) => "lease events of the inbox",
            Self::Purge(..) => "purge the inbox",
            Self::Renew(..) => "renew a lease of the inbox",
        }
    }
}

/// The answer of another call, which cannot be.
pub(super) fn mixed_up() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "the inbox of the SQLite store did not answer")
}

/// How many calls one transaction carries out at most: enough to make each call's share of the wait for the disk small,
/// and few enough that another process soon has its turn.
const MOST: usize = 64;
