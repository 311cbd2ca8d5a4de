use std::sync::Arc;

use sqlx::{Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot};

use super::{Access, clock, dispatch, finish, lease};
use crate::{
    clock::Millis,
    error::{StoreError, StoreErrorKind},
    send::{
        DisabledReason, Dispatched, EndpointId, Fenced, Finish, LeaseRequest, LeaseToken, Leases, Message, OutboxId,
    },
    store::sqlite::{
        connection::{Connections, begin_immediate},
        error::{Patience, concerns_all, store_error},
    },
};

/// Something to write, and who waits for what becomes of it.
pub(super) enum Write {
    Dispatch(Vec<Message>, Reply<Vec<Dispatched>>),
    DispatchTo(EndpointId, Message, Reply<Option<OutboxId>>),
    Finish(OutboxId, LeaseToken, Finish, Reply<(Fenced, Option<DisabledReason>)>),
    Lease(LeaseRequest, Reply<Leases>),
}

type Reply<A> = oneshot::Sender<Result<A, StoreError>>;

/// Writes what it is sent, as much as waits in one transaction, until nobody is left who could send more.
pub(super) async fn run(access: Arc<Access>, mut arriving: mpsc::Receiver<Write>) {
    let mut writes = Vec::with_capacity(MOST);
    while arriving.recv_many(&mut writes, MOST).await > 0 {
        let mut connections = access.connections.lock().await;
        // Closed, and who waits here is told so by the answer that does not come.
        let Some(connections) = connections.as_mut() else { return };
        let mut committer = Committer { access: &access, connections, arriving: &mut arriving };
        committer.commit(std::mem::take(&mut writes)).await;
    }
}

struct Committer<'a> {
    access: &'a Access,
    connections: &'a mut Connections,
    arriving: &'a mut mpsc::Receiver<Write>,
}

/// Whether a group may take in what arrives while it waits for the lock.
#[derive(PartialEq)]
enum Group {
    Fixed,
    Growing,
}

/// What became of a write, once its transaction is committed.
enum Answer {
    Addressed(Option<OutboxId>),
    Dispatched(Vec<Dispatched>),
    Finished((Fenced, Option<DisabledReason>)),
    Leased(Leases),
    /// Who asked was dropped before anything was done, so nothing was.
    Unwanted,
}

impl Committer<'_> {
    async fn commit(&mut self, mut writes: Vec<Write>) {
        match self.try_group(&mut writes, Group::Growing).await {
            Ok(answers) => answer(writes, answers),
            Err(error) if writes.len() == 1 || concerns_all(&error) => {
                if error.kind() == StoreErrorKind::Busy {
                    // The lock has been held for as long as anyone may wait. Those who came later go back with the others,
                    // or the queue would make them wait that long several times over.
                    take_arrived(self.arriving, &mut writes, usize::MAX);
                }
                writes.into_iter().for_each(|write| write.fail(error.clone()));
            }
            // One of them cannot be written, and all are rolled back. Each goes alone, so that it fails alone.
            Err(_) => {
                let mut stopped = None;
                for write in writes {
                    let mut alone = vec![write];
                    let done = match &stopped {
                        Some(error) => Err(StoreError::clone(error)),
                        None => self.try_group(&mut alone, Group::Fixed).await,
                    };
                    match done {
                        Ok(answers) => answer(alone, answers),
                        Err(error) => {
                            alone.into_iter().for_each(|write| write.fail(error.clone()));
                            stopped = Some(error).filter(concerns_all);
                        }
                    }
                }
            }
        }
    }

    /// Does `writes` in one transaction and tells the answers once it is committed. After an error nothing is changed, or,
    /// when it was the commit's, nobody can tell.
    async fn try_group(&mut self, writes: &mut Vec<Write>, group: Group) -> Result<Vec<Answer>, StoreError> {
        let done = self.group(writes, group).await;
        if let Err(error) = &done {
            self.connections.renew_after(error);
        }
        done
    }

    async fn group(&mut self, writes: &mut Vec<Write>, group: Group) -> Result<Vec<Answer>, StoreError> {
        let setup = &self.access.setup;
        let (sql, time) = (&setup.sql, &setup.clock);
        let patience = Patience::new(setup.patience);
        let mut connection = self.connections.lend(sql).await?;

        let leases = writes.iter().any(|write| matches!(write, Write::Lease(..)));
        let went_back = leases && clock::went_back(&self.access.leased_at, time.now());
        // A worker that has nothing to do asks all the time, and takes no lock for it. Each is asked for, since each has its own shares.
        if !went_back && writes.iter().all(|write| matches!(write, Write::Lease(..))) {
            let mut nothing = Vec::with_capacity(writes.len());
            for write in &*writes {
                let Write::Lease(request, _) = write else { break };
                let Some(found) = lease::look(&mut connection, sql.prefix(), request, time.now()).await? else { break };
                nothing.push(Answer::Leased(Leases::new(Vec::new(), found.next_due)));
            }
            if nothing.len() == writes.len() {
                return Ok(nothing);
            }
        }

        let failed = |error| store_error("write the outbox", error);
        let mut transaction = begin_immediate!(connection, patience, failed);
        if group == Group::Growing {
            take_arrived(self.arriving, writes, MOST);
        }
        if went_back {
            clock::make_due(&mut transaction, sql.prefix(), time.now()).await?;
        }
        let mut answers = Vec::with_capacity(writes.len());
        for write in &*writes {
            // Time may have passed while others held the lock.
            answers.push(write.perform(&mut transaction, sql.prefix(), time.now()).await?);
        }
        transaction.commit().await.map_err(failed)?;
        Ok(answers)
    }
}

/// Takes what has come, up to `most` writes together.
fn take_arrived(arriving: &mut mpsc::Receiver<Write>, writes: &mut Vec<Write>, most: usize) {
    while writes.len() < most
        && let Ok(write) = arriving.try_recv()
    {
        writes.push(write);
    }
}

impl Write {
    async fn perform(
        &self,
        connection: &mut SqliteConnection,
        prefix: &str,
        now: Millis,
    ) -> Result<Answer, StoreError> {
        Ok(match self {
            // What nobody will hear of is not begun. That an attempt was made is true all the same.
            Self::Dispatch(_, reply) if reply.is_closed() => Answer::Unwanted,
            Self::DispatchTo(.., reply) if reply.is_closed() => Answer::Unwanted,
            Self::Lease(_, reply) if reply.is_closed() => Answer::Unwanted,
            Self::Dispatch(messages, _) => {
                Answer::Dispatched(dispatch::dispatch(connection, prefix, messages, now).await?)
            }
            Self::DispatchTo(endpoint, message, _) => {
                Answer::Addressed(dispatch::dispatch_to(connection, prefix, *endpoint, message, now).await?)
            }
            Self::Finish(id, token, finish, _) => {
                Answer::Finished(finish::finish(connection, prefix, (*id, *token), finish, now).await?)
            }
            Self::Lease(request, _) => Answer::Leased(lease::lease(connection, prefix, request, now).await?),
        })
    }

    fn fail(self, error: StoreError) {
        // Who was dropped meanwhile does not want to know.
        match self {
            Self::Dispatch(_, reply) => _ = reply.send(Err(error)),
            Self::DispatchTo(.., reply) => _ = reply.send(Err(error)),
            Self::Finish(.., reply) => _ = reply.send(Err(error)),
            Self::Lease(_, reply) => _ = reply.send(Err(error)),
        }
    }
}

/// Tells each what became of its write. Who was dropped meanwhile does not want to know.
fn answer(writes: Vec<Write>, answers: Vec<Answer>) {
    for pair in writes.into_iter().zip(answers) {
        match pair {
            (Write::Dispatch(_, reply), Answer::Dispatched(dispatched)) => _ = reply.send(Ok(dispatched)),
            (Write::DispatchTo(.., reply), Answer::Addressed(id)) => _ = reply.send(Ok(id)),
            (Write::Finish(.., reply), Answer::Finished(finished)) => _ = reply.send(Ok(finished)),
            (Write::Lease(_, reply), Answer::Leased(leases)) => _ = reply.send(Ok(leases)),
            // Dropped without an answer, which reads as one that never came.
            (
                _,
                Answer::Unwanted
                | Answer::Addressed(_)
                | Answer::Dispatched(_)
                | Answer::Finished(_)
                | Answer::Leased(_),
            ) => {}
        }
    }
}

/// How many calls one transaction writes at most: enough that the wait for the disk is little beside them, and few enough that
/// another process soon has its turn.
const MOST: usize = 64;
