//! Stores events that arrive at the same time with one statement, so that they share a round trip, a commit and a wait
//! for the disk.

use std::{collections::HashSet, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};

use super::{core::Core, insert::accept_simple};
use crate::{
    error::{StoreError, StoreErrorKind},
    inbox::{Accepted, EventDraft},
    store::mailbox::Mailbox,
};

/// The way to the task that stores events in groups.
pub(super) struct Group(Mailbox<Arrived>);

/// An event, and the caller that waits for the answer.
struct Arrived {
    consumer: Arc<str>,
    event: EventDraft,
    reply: oneshot::Sender<Result<Answer, StoreError>>,
}

/// The event is returned, since it needs a transaction if the statement cannot decide about it.
type Answer = (EventDraft, Option<Accepted>);

impl Group {
    pub(super) fn new(limit: Duration) -> Self {
        Self(Mailbox::new("inbox of the PostgreSQL store", limit))
    }

    pub(super) async fn accept(
        &self,
        core: &Arc<Core>,
        consumer: Arc<str>,
        event: EventDraft,
    ) -> Result<Answer, StoreError> {
        let start = |arriving| run(Arc::clone(core), arriving);
        self.0.ask(|reply| Arrived { consumer, event, reply }, start).await
    }
}

/// Stores arriving events until the last sender is dropped. While some groups are being stored, the next one grows.
async fn run(core: Arc<Core>, mut arriving: mpsc::Receiver<Arrived>) {
    let mut storing = JoinSet::new();
    let mut left = None;
    loop {
        while storing.len() >= MOST_AT_ONCE {
            // A group that panicked has dropped those who wait for it, which they notice.
            let _ = storing.join_next().await;
        }
        while storing.try_join_next().is_some() {}
        let first = match left.take() {
            Some(first) => first,
            None => match arriving.recv().await {
                Some(first) => first,
                None => break,
            },
        };
        let group = take(first, &mut arriving, &mut left);
        if !group.is_empty() {
            let core = Arc::clone(&core);
            storing.spawn(async move { store(&core, group).await });
        }
    }
    while storing.join_next().await.is_some() {}
}

/// Takes arrived events with different keys, at most as many as one statement should carry. The rest is `left`.
fn take(first: Arrived, arriving: &mut mpsc::Receiver<Arrived>, left: &mut Option<Arrived>) -> Vec<Arrived> {
    let (mut group, mut keys, mut bytes) = (Vec::new(), HashSet::new(), 0);
    let mut next = Some(first);
    while let Some(arrived) = next {
        // An event whose sender has hung up is not stored.
        if !arrived.reply.is_closed() {
            if !keys.insert(arrived.event.key.to_bytes()) {
                *left = Some(arrived);
                break;
            }
            bytes += arrived.event.content.body.len();
            group.push(arrived);
        }
        next = if group.len() < MOST && bytes < MOST_BYTES { arriving.try_recv().ok() } else { None };
    }
    // In one order, so that no two processes that store the same events wait for each other.
    group.sort_by_key(|arrived| arrived.event.key.to_bytes());
    group
}

async fn store(core: &Core, group: Vec<Arrived>) {
    let events: Vec<_> = group.iter().map(|arrived| (&*arrived.consumer, &arrived.event)).collect();
    match accept_simple(core, core.server.deadline(), &events).await {
        Ok(answers) => {
            for (arrived, answer) in group.into_iter().zip(answers) {
                let Arrived { event, reply, .. } = arrived;
                // The caller may have been dropped meanwhile.
                let _ = reply.send(Ok((event, answer)));
            }
        }
        Err(error) if group.len() > 1 && error.kind() == StoreErrorKind::Rejected => {
            // One of them cannot be stored, and nothing was. Each is stored by itself, so that only that one fails.
            for arrived in group {
                let stored = accept_simple(core, core.server.deadline(), &[(&arrived.consumer, &arrived.event)]).await;
                let answer = stored.map(|answers| answers.into_iter().next().flatten());
                let Arrived { event, reply, .. } = arrived;
                let _ = reply.send(answer.map(|answer| (event, answer)));
            }
        }
        Err(error) => group.into_iter().for_each(|arrived| _ = arrived.reply.send(Err(error.clone()))),
    }
}

/// How many events one statement stores at most: enough to make each event's share of the round trip and the commit
/// small.
const MOST: usize = 64;

/// When the bodies of a statement reach this size, no further event is added.
const MOST_BYTES: usize = 1 << 20;

/// How many groups are stored at the same time: with one, all later events would wait for the commit of the first
/// event.
const MOST_AT_ONCE: usize = 2;
