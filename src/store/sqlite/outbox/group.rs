use std::sync::Arc;

use sqlx::{Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot};

use super::{access::Access, clock, dispatch, finish, lease};
use crate::{
    clock::Millis,
    error::StoreError,
    send::{
        DisabledReason, Dispatched, EndpointId, Fenced, Finish, LeaseRequest, LeaseToken, Leases, Message,
        SentDeliveryId,
    },
    store::sqlite::{
        connection::{Connections, begin_immediate},
        error::{Patience, store_error},
        group::{Committer, Group, commit, take_arrived},
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

        let leases = writes.iter().any(|write| matches!(write, Write::Lease(..)));
        let went_back = leases && clock::went_back(&self.access.leased_at, time.now());
        // An idle worker looks all the time, so that must not take the lock. Each request is looked at, since each has
        // its own shares.
        if !went_back && writes.iter().all(|write| matches!(write, Write::Lease(..))) {
            let mut nothing = Vec::with_capacity(writes.len());
            for write in &*writes {
                let Write::Lease(request, _) = write else { break };
                let Some(found) = lease::look(&mut connection, prefix, request, time.now()).await? else { break };
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
            clock::make_due(&mut transaction, prefix, time.now()).await?;
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
        Ok(match self {
            // A dropped call is not begun. The result of an attempt is stored anyway, since the attempt was made.
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
}

/// The maximum number of calls in one transaction: enough to make the wait for the disk small in comparison, and few
/// enough that another process soon gets the lock.
const MOST: usize = 64;
