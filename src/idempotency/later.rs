use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep},
};
use tokio_util::task::TaskTracker;

use super::{
    bounded::BoundedStore,
    key::{ClaimKey, ClaimToken, Guard},
    store::Completion,
};
use crate::{error::StoreError, fencing::Fenced, observe};

/// Records that still have to be written to the store, for deliveries that were answered: limited in number and in
/// bytes. A note contains keys, a token and the data of the record, and nothing else of the request.
#[derive(Debug)]
pub(super) struct Later {
    completions: Arc<Semaphore>,
    releases: Arc<Semaphore>,
    /// Bytes of stored responses.
    responses: Arc<Semaphore>,
    /// Calls of the store at once, so that an outage does not end in a storm.
    calls: Arc<Semaphore>,
}

/// The pending change of a claim that `token` holds, until its lease ends.
pub(super) struct Due {
    pub(super) token: ClaimToken,
    pub(super) lease: Instant,
    pub(super) note: Note,
}

/// The change of a claim.
pub(super) enum Note {
    /// Its delivery was handled.
    Complete(ClaimKey, Completion),
    /// It is unknown whether the claim is done. The guard is changed in the same way as the claim.
    Decide(ClaimKey, Guard),
    /// It was not handled.
    Release(ClaimKey),
}

/// A record that is missing lets a duplicate run again, so an outage may leave many of them. Each is a task of less than 1 KiB.
const WAITING_COMPLETIONS: usize = 10_000;
/// What an outage leaves to be given back when it is over. Claims beyond it end with their leases.
const WAITING_RELEASES: usize = 1_000;
/// Beyond this, deliveries are recorded without their responses.
const WAITING_RESPONSES: usize = 16 * 1024 * 1024;
const CALLS_AT_ONCE: usize = 16;
/// A longer time is not useful: by then the store's operator has repaired it.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// So much later, or as good as never.
pub(super) fn after(from: Instant, by: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
    from + by.min(FAR)
}

impl Default for Later {
    fn default() -> Self {
        Self {
            completions: Arc::new(Semaphore::new(WAITING_COMPLETIONS)),
            releases: Arc::new(Semaphore::new(WAITING_RELEASES)),
            responses: Arc::new(Semaphore::new(WAITING_RESPONSES)),
            calls: Arc::new(Semaphore::new(CALLS_AT_ONCE)),
        }
    }
}

impl Later {
    /// Calls the store in the background, again and again until it answers. A completion is given up after an hour, a release
    /// when the `lease` of the claim has passed, which ends it as well.
    pub(super) fn tell(&self, store: &BoundedStore, tasks: &TaskTracker, provider: &str, due: Due) {
        let Due { token, lease, mut note } = due;
        let places = if note.is_completion() { &self.completions } else { &self.releases };
        let Ok(place) = Arc::clone(places).try_acquire_owned() else {
            if note.is_completion() {
                observe::record_given_up(provider);
            }
            return;
        };
        let bytes = self.keep_response(&mut note);
        let (store, calls) = (store.clone(), Arc::clone(&self.calls));
        let provider = note.is_completion().then(|| Box::<str>::from(provider));
        tasks.spawn(async move {
            let _kept = (place, bytes);
            let longest = after(Instant::now(), LONGEST);
            let until = if provider.is_some() { longest } else { lease.min(longest) };
            let mut pause = Duration::from_millis(100);
            while Instant::now() < until {
                sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(10));
                // The semaphore is never closed.
                let _call = calls.acquire().await;
                match note.tell(&store, token).await {
                    Ok(None) => return,
                    Ok(Some(next)) => note = next,
                    Err(_) => {}
                }
            }
            if let Some(provider) = provider {
                observe::record_given_up(&provider);
            }
        });
    }

    /// Makes room for the response of a completion, or takes it out.
    fn keep_response(&self, note: &mut Note) -> Option<OwnedSemaphorePermit> {
        let Note::Complete(_, completion) = note else { return None };
        let size = u32::try_from(completion.response.as_ref()?.body.len()).unwrap_or(u32::MAX);
        let bytes = Arc::clone(&self.responses).try_acquire_many_owned(size).ok();
        if bytes.is_none() {
            completion.response = None;
        }
        bytes
    }
}

impl Note {
    /// What is to be noted of a guard once the delivery is handled.
    pub(super) fn handled(guard: Guard) -> Self {
        Self::Complete(guard.key, Completion::new(guard.window))
    }

    /// Returns `true` if a handled delivery may run again without this change.
    fn is_completion(&self) -> bool {
        matches!(self, Self::Complete(..) | Self::Decide(..))
    }

    /// Calls the store, and returns the next change to write.
    async fn tell(&self, store: &BoundedStore, token: ClaimToken) -> Result<Option<Self>, StoreError> {
        match self {
            Self::Complete(key, completion) => {
                let _ = store.complete(*key, token, completion.clone()).await?;
                Ok(None)
            }
            Self::Release(key) => {
                let _ = store.release(*key, token).await?;
                Ok(None)
            }
            Self::Decide(key, guard) => {
                // Released or done, it stays so: the next look cannot find anything else.
                let _ = store.release(*key, token).await?;
                let is_done = store.is_done(*key, token).await? == Fenced::Applied;
                Ok(Some(if is_done { Self::handled(*guard) } else { Self::Release(guard.key) }))
            }
        }
    }
}
