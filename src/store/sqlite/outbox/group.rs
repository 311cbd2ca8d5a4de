use std::sync::Arc;

use sqlx::{Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot};

use super::{access::Access, clock, dispatch, finish, lease, statements::Statements};
use crate::{
    error::StoreError,
    send::{
        DisabledReason, Dispatched, EndpointId, Fenced, Finish, LeaseRequest, LeaseToken, Leases, Message,
        SentDeliveryId,
    },
    store::sqlite::{
        connection::{Connections, begin_immediate},
        error::{Patience, store_error},
        group::{Committer, Group, commit, take_arrived},
        setup::StoreClock,
    },
};

/// Something to write, and the caller that waits for its result.
pub(super) enum Write {
    Dispatch(Vec<Message>, Reply<Vec<Dispatched>>),
    DispatchTo(EndpointId, Message, Reply<Option<SentDeliveryId>>),
    Finish(SentDeliveryId, LeaseToken, Finish, Reply<(Fenced, Option<DisabledReason>)>),
    Lease(LeaseRequest, Reply<Leases>),
}

type Reply<A> = oneshot::Sender<Result<A, StoreError>>;

/// Carries out writes, everything that waits in one transaction, until every sender is dropped.
pub(super) async fn run(access: Arc<Access>, mut arriving: mpsc::Receiver<Write>) {
    let mut writes = Vec::with_capacity(MOST);
    while arriving.recv_many(&mut writes, MOST).await > 0 {
        let mut connections = access.writing.lock().await;
        // The store was closed. Callers that wait here see a missing answer.
        let Some(connections) = connections.as_mut() else { return };
        let mut outgoing = Outgoing { access: &access, connections, arriving: &mut arriving };
        commit(&mut outgoing, std::mem::take(&mut writes)).await;
    }
}

struct Outgoing<'a> {
    access: &'a Access,
    connections: &'a mut Connections,
    arriving: &'a mut mpsc::Receiver<Write>,
}

/// The result of a write, once its transaction is committed.
enum Answer {
    Addressed(Option<SentDeliveryId>),
    Dispatched(Vec<Dispatched>),
    Finished((Fenced, Option<DisabledReason>)),
    Leased(Leases),
    /// The caller was dropped before anything was done, so nothing was done.
    Unwanted,
}

impl Committer for Outgoing<'_> {
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

    /// Sending fails if the caller was dropped in the meantime.
    fn answer(write: Write, answer: Answer) {
        match (write, answer) {
            (Write::Dispatch(_, reply), Answer::Dispatched(dispatched)) => _ = reply.send(Ok(dispatched)),
            (Write::DispatchTo(.., reply), Answer::Addressed(id)) => _ = reply.send(Ok(id)),
            (Write::Finish(.., reply), Answer::Finished(finished)) => _ = reply.send(Ok(finished)),
            (Write::Lease(_, reply), Answer::Leased(leases)) => _ = reply.send(Ok(leases)),
            // The sender is dropped without an answer, which the caller sees as a missing answer.
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

    fn fail(write: Write, error: StoreError) {
        match write {
            Write::Dispatch(_, reply) => _ = reply.send(Err(error)),
            Write::DispatchTo(.., reply) => _ = reply.send(Err(error)),
            Write::Finish(.., reply) => _ = reply.send(Err(error)),
            Write::Lease(_, reply) => _ = reply.send(Err(error)),
        }
    }
}

impl Outgoing<'_> {
    async fn write_in_group(&mut self, writes: &mut Vec<Write>, group: Group) -> Result<Vec<Answer>, StoreError> {
        let setup = &self.access.setup;
        let (prefix, time) = (setup.prefix.as_str(), &setup.clock);
        let patience = Patience::new(setup.patience);
        let mut connection = self.connections.lend().await?;

        let statements = &self.access.statements;
        let leases = writes.iter().any(|write| matches!(write, Write::Lease(..)));
        let went_back = leases && clock::went_back(&self.access.leased_at, time.now());
        // An idle worker looks all the time, so that must not take the lock. Each request is looked at, since each has
        // its own shares.
        let mut found = None;
        if !went_back && writes.iter().all(|write| matches!(write, Write::Lease(..))) {
            let mut nothing = Vec::with_capacity(writes.len());
            for write in &*writes {
                let Write::Lease(request, _) = write else { break };
                match lease::look(&mut connection, statements, request, time.now()).await? {
                    Ok(leases) => nothing.push(Answer::Leased(leases)),
                    Err(look) => {
                        found = Some(look);
                        break;
                    }
                }
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
            clock::make_due(&mut transaction, prefix, time.now()).await?;
        }
        // What the look has found is of its own request alone, and of when nothing else was written.
        let found = found.filter(|_| writes.len() == 1);
        let answers = perform(writes, &mut transaction, (statements, time), found).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(answers)
    }
}

/// Carries out writes: first what has ended, all of it together, so that a lease of the same group finds the room.
async fn perform(
    writes: &[Write],
    connection: &mut SqliteConnection,
    (statements, time): (&Statements, &StoreClock),
    mut found: Option<lease::Look>,
) -> Result<Vec<Answer>, StoreError> {
    let ended = writes.iter().filter_map(|write| match write {
        Write::Finish(id, token, finish, _) => Some((*id, *token, finish)),
        Write::Dispatch(..) | Write::DispatchTo(..) | Write::Lease(..) => None,
    });
    let ended: Vec<_> = ended.collect();
    let mut finished = Vec::new().into_iter();
    if !ended.is_empty() {
        finished = finish::finish(connection, statements, &ended, time.now()).await?.into_iter();
    }
    let mut answers = Vec::with_capacity(writes.len());
    for write in writes {
        // Time may have passed while others held the lock.
        let now = time.now();
        answers.push(match write {
            // An attempt was made even if the call was dropped, so it is noted.
            Write::Finish(..) => finished.next().map_or(Answer::Unwanted, Answer::Finished),
            // A call that was dropped is not begun.
            Write::Dispatch(_, reply) if reply.is_closed() => Answer::Unwanted,
            Write::DispatchTo(.., reply) if reply.is_closed() => Answer::Unwanted,
            Write::Lease(_, reply) if reply.is_closed() => Answer::Unwanted,
            Write::Dispatch(messages, _) => {
                Answer::Dispatched(dispatch::dispatch(connection, &statements.prefix, messages, now).await?)
            }
            Write::DispatchTo(endpoint, message, _) => {
                Answer::Addressed(dispatch::dispatch_to(connection, &statements.prefix, *endpoint, message, now).await?)
            }
            Write::Lease(request, _) => {
                Answer::Leased(lease::lease(connection, statements, request, found.take(), now).await?)
            }
        });
    }
    Ok(answers)
}

/// The maximum number of calls in one transaction: enough to make the wait for the disk small in comparison, and few
/// enough that another process soon gets the lock.
const MOST: usize = 64;
