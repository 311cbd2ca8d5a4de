//! How attempts have ended is noted in groups: what comes while a group is committed is the next one, so that many share a round
//! trip, a commit and a wait for the disk, and none waits for others to come. A lease that comes with them is made in their
//! transaction: it finds the room that they leave, and does not meet their locks.

use std::sync::Arc;

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::timeout_at,
};

use super::{
    clock,
    core::Core,
    finish::{self, Ended},
    lease,
};
use crate::{
    clock::Millis,
    error::{StoreError, StoreErrorKind},
    send::{DisabledReason, Fenced, LeaseRequest, Leases},
    store::{
        mailbox::Mailbox,
        postgres::{
            error::{no_answer, store_error},
            tx::{Tx, is_conflict, transaction},
        },
    },
};

/// The way to the task that writes in groups.
pub(super) struct Group(Mailbox<Write>);

/// Something to write, and the caller that waits for its result.
enum Write {
    Finish(Box<Ended>, Reply<Finished>),
    Lease(LeaseRequest, Reply<Leases>),
}

type Reply<A> = oneshot::Sender<Result<A, StoreError>>;

type Finished = (Fenced, Option<DisabledReason>);

impl Group {
    pub(super) fn new(outbox: &Core) -> Self {
        // Long enough for the group before ours, and for our own.
        Self(Mailbox::new("outbox of the PostgreSQL store", outbox.server.timeout.saturating_mul(2)))
    }

    pub(super) async fn finish(&self, outbox: &Arc<Core>, ended: Ended) -> Result<Finished, StoreError> {
        self.0.ask(|reply| Write::Finish(Box::new(ended), reply), |arriving| run(Arc::clone(outbox), arriving)).await
    }

    pub(super) async fn lease(&self, outbox: &Arc<Core>, request: LeaseRequest) -> Result<Leases, StoreError> {
        self.0.ask(|reply| Write::Lease(request, reply), |arriving| run(Arc::clone(outbox), arriving)).await
    }
}

/// Writes what arrives, until nobody is left who could send more.
async fn run(outbox: Arc<Core>, mut arriving: mpsc::Receiver<Write>) {
    let (mut writes, mut alone) = (Vec::with_capacity(MOST), JoinSet::new());
    while arriving.recv_many(&mut writes, MOST).await > 0 {
        while alone.try_join_next().is_some() {}
        let (mut ended, mut leases) = (Vec::new(), Vec::new());
        for write in writes.drain(..) {
            match write {
                // An attempt was made even if the call was dropped, so it is noted.
                Write::Finish(one, reply) => ended.push((*one, reply)),
                // A lease that was dropped is not begun.
                Write::Lease(request, reply) if !reply.is_closed() => leases.push((request, reply)),
                Write::Lease(..) => {}
            }
        }
        if !ended.is_empty() {
            let first = if leases.is_empty() { None } else { Some(leases.remove(0)) };
            leases.extend(commit(&outbox, ended, first, &mut alone).await);
        }
        for (request, reply) in leases {
            let _ = reply.send(lease::lease(&outbox, request).await);
        }
    }
    while alone.join_next().await.is_some() {}
}

type Wanted<T, A> = (T, Reply<A>);

/// Commits a group. What cannot be a part of it is done alone, so that it stops no others. Returns the lease if nothing was leased
/// for it.
async fn commit(
    outbox: &Arc<Core>,
    ended: Vec<Wanted<Ended, Finished>>,
    leasing: Option<Wanted<LeaseRequest, Leases>>,
    alone: &mut JoinSet<()>,
) -> Option<Wanted<LeaseRequest, Leases>> {
    let (ended, replies): (Vec<_>, Vec<_>) = ended.into_iter().unzip();
    let request = leasing.as_ref().map(|(request, _)| request);
    let done = match perform(outbox, &ended, request).await {
        // A lease that takes too long must not undo what has ended: it goes on alone.
        Err(error) if request.is_some() && error.kind() == StoreErrorKind::Unavailable => {
            perform(outbox, &ended, None).await
        }
        done => done,
    };
    let (finished, leases) = match done {
        Ok(done) => done,
        Err(error) if matches!(error.kind(), StoreErrorKind::Schema | StoreErrorKind::Unavailable) => {
            replies.into_iter().for_each(|reply| _ = reply.send(Err(error.clone())));
            if let Some((_, reply)) = leasing {
                let _ = reply.send(Err(error));
            }
            return None;
        }
        // One of them cannot be written, and none was.
        Err(_) => (vec![None; ended.len()], None),
    };
    for ((ended, reply), finished) in ended.into_iter().zip(replies).zip(finished) {
        match finished {
            Some(fenced) => _ = reply.send(Ok((fenced, None))),
            None => {
                let outbox = Arc::clone(outbox);
                alone.spawn(async move {
                    let Ended { id, token, end } = ended;
                    let _ = reply.send(finish::finish(&outbox, id, token, end).await);
                });
            }
        }
    }
    match (leasing, leases) {
        (Some((_, reply)), Some((leases, now))) => {
            let _ = reply.send(Ok(leases));
            clock::correct(outbox, now).await;
            None
        }
        (leasing, _) => leasing,
    }
}

/// Of each attempt whether it was noted; `None` if it is to be noted alone.
type Noted = Vec<Option<Fenced>>;

async fn perform(
    outbox: &Core,
    ended: &[Ended],
    request: Option<&LeaseRequest>,
) -> Result<(Noted, Option<(Leases, Millis)>), StoreError> {
    let deadline = outbox.deadline().await?;
    transaction!(outbox, deadline, "write the outbox", tx => perform_in(outbox, &mut tx, ended, request))
}

async fn perform_in(
    outbox: &Core,
    tx: &mut Tx,
    ended: &[Ended],
    request: Option<&LeaseRequest>,
) -> Result<(Noted, Option<(Leases, Millis)>), sqlx::Error> {
    let noted = finish::finish_all(outbox, tx, ended).await?;
    let leases = match request {
        Some(request) => Some(lease::lease_within(outbox, tx, request).await?),
        None => None,
    };
    Ok((noted, leases))
}

/// How many calls one transaction carries out at most: enough that a round trip and a commit are little beside them.
const MOST: usize = 64;
