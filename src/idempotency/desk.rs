use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tokio::time::{Instant, sleep};

use super::{
    answers,
    context::{Context, InFlight, Known, StoreDown},
    held::{Acquired, Held},
    key::{ClaimKey, ClaimToken, Fingerprint, Guard},
    later::{Due, Note, after},
    store::{ClaimOutcome, ClaimRequest, Completion, StoredResponse},
    subject::{GuardedBy, Kind, Subject, key},
};
use crate::{error::StoreError, fencing::Fenced, observe, verify::Verified};

/// Claims one delivery and records its outcome: all calls of the store that its job makes.
pub(super) struct Desk<'a> {
    pub(super) context: &'a Arc<Context>,
    pub(super) verified: &'a Verified,
    pub(super) subject: &'a Subject,
    pub(super) fingerprint: Fingerprint,
}

/// How a claim ended.
// It is moved once, and a box would be an allocation for every request.
#[allow(clippy::large_enum_variant)]
pub(super) enum Claimed {
    Answer(Response<Bytes>),
    Held(Held),
    Unclaimed,
}

/// The result of the guard for a delivery whose own claim is held.
enum Guarded {
    /// Equal bytes were handled under another id.
    Done,
    Failed,
    Free,
    /// Equal bytes are being handled under another id.
    InFlight(Duration),
}

impl Desk<'_> {
    pub(super) fn provider(&self) -> &str {
        self.verified.delivery.provider()
    }

    pub(super) async fn claim(&self, key: ClaimKey, request: &Request<Full<Bytes>>) -> Claimed {
        let Ok(token) = ClaimToken::random() else {
            observe::no_randomness();
            return Claimed::Answer(answers::unavailable());
        };
        let mut guard = None;
        let begun = Instant::now();
        let mut pause = Duration::from_millis(50);
        loop {
            // If this token holds the claim from an earlier round, the attempt stays the same and the lease is renewed.
            // Taken before the call, so that the lease in the store ends at the computed time or later, and never
            // earlier.
            let claimed_at = Instant::now();
            let lease = after(claimed_at, self.context.lease);
            let (status, retry_after) = match self.ask(key, token).await {
                Ok(ClaimOutcome::Acquired { attempt }) => match self.guard(&mut guard, token, request).await {
                    Guarded::Done => {
                        observe::replay_suspected(self.provider(), "suppressed");
                        // Its own id is recorded as done too, since the guard's window may end before the sender's
                        // retries do.
                        let completion = Completion::new(self.subject.retention);
                        if self.complete(key, token, completion.clone()).await.is_none() {
                            self.later(token, lease, Note::Complete(key, completion));
                        }
                        return Claimed::Answer(answers::already_processed(None));
                    }
                    Guarded::Failed => {
                        self.release(key, token, lease).await;
                        return Claimed::Answer(answers::unavailable());
                    }
                    Guarded::Free => {
                        self.suspect_replay(key, attempt);
                        let retention = self.subject.retention;
                        let acquired = Acquired { key, token, attempt, retention, guard, claimed_at };
                        return Claimed::Held(Held::new(self.context, acquired));
                    }
                    Guarded::InFlight(retry_after) => match self.wait(begun, pause) {
                        None => {
                            pause = self.pause(pause).await;
                            continue;
                        }
                        Some(status) => {
                            self.release(key, token, lease).await;
                            (status, retry_after)
                        }
                    },
                },
                Ok(ClaimOutcome::Done { fingerprint, response }) => {
                    self.warn_of_other_body(fingerprint);
                    self.remember(key, fingerprint, response.clone());
                    match self.subject.guard {
                        GuardedBy::Claim => observe::replay_suspected(self.provider(), "suppressed"),
                        _ => observe::duplicate(self.provider(), "done"),
                    }
                    return Claimed::Answer(answers::already_processed(response.as_deref()));
                }
                Ok(ClaimOutcome::InFlight { retry_after, fingerprint }) => match self.wait(begun, pause) {
                    None => {
                        pause = self.pause(pause).await;
                        continue;
                    }
                    Some(status) => {
                        self.warn_of_other_body(fingerprint);
                        (status, retry_after)
                    }
                },
                Err(cause) => {
                    observe::store_failed(self.provider(), "claim", &cause);
                    if self.context.store_down == StoreDown::RunUnclaimed {
                        return Claimed::Unclaimed;
                    }
                    // It is unknown whether the claim was made. If it was, it is released in the background, so that
                    // the next delivery does not wait for its lease to end.
                    self.release_later(key, token, lease);
                    return Claimed::Answer(answers::unavailable());
                }
            };
            observe::duplicate(self.provider(), "in_flight");
            return Claimed::Answer(answers::in_flight(status, retry_after));
        }
    }

    async fn ask(&self, key: ClaimKey, token: ClaimToken) -> Result<ClaimOutcome, StoreError> {
        let claim = ClaimRequest::new(key, token, self.context.lease, self.fingerprint);
        self.context.store.claim(claim).await
    }

    /// Returns the status with which a duplicate in flight is answered now, or `None` if it waits and asks again.
    fn wait(&self, begun: Instant, pause: Duration) -> Option<StatusCode> {
        match self.context.in_flight {
            InFlight::Wait(longest) if begun.elapsed() + pause <= longest => None,
            InFlight::Conflict => Some(StatusCode::CONFLICT),
            InFlight::Retry | InFlight::Wait(_) => Some(StatusCode::SERVICE_UNAVAILABLE),
        }
    }

    async fn pause(&self, pause: Duration) -> Duration {
        sleep(pause).await;
        (pause * 2).min(Duration::from_secs(1))
    }

    /// Claims the body too, if the application guards against replays under other ids. The delivery's own claim is held
    /// already.
    async fn guard(&self, guard: &mut Option<Guard>, token: ClaimToken, request: &Request<Full<Bytes>>) -> Guarded {
        let GuardedBy::SecondClaim(window) = self.subject.guard else { return Guarded::Free };
        let lease = after(Instant::now(), self.context.lease);
        if guard.is_none() {
            let body = Fingerprint::digest(self.verified.delivery.body());
            *guard = key(self.context, self.verified, request, Kind::Guard, &body).map(|key| Guard { key, window });
        }
        // The delivery has a key, and so has its body.
        let Some(Guard { key, .. }) = *guard else { return Guarded::Free };
        match self.ask(key, token).await {
            Ok(ClaimOutcome::Acquired { .. }) => Guarded::Free,
            Ok(ClaimOutcome::Done { .. }) => Guarded::Done,
            Ok(ClaimOutcome::InFlight { retry_after, .. }) => Guarded::InFlight(retry_after),
            Err(cause) => {
                observe::store_failed(self.provider(), "claim", &cause);
                if self.context.store_down == StoreDown::RunUnclaimed {
                    // The guard, if it was made, is recorded with the delivery.
                    return Guarded::Free;
                }
                self.release_later(key, token, lease);
                Guarded::Failed
            }
        }
    }

    /// Marks a claimed delivery as done. Returns `None` if the store failed.
    pub(super) async fn complete(&self, key: ClaimKey, token: ClaimToken, completion: Completion) -> Option<Fenced> {
        match self.context.store.complete(key, token, completion).await {
            Ok(fenced) => Some(fenced),
            Err(cause) => {
                observe::store_failed(self.provider(), "complete", &cause);
                None
            }
        }
    }

    pub(super) async fn release(&self, key: ClaimKey, token: ClaimToken, lease: Instant) {
        if let Err(cause) = self.context.store.release(key, token).await {
            observe::store_failed(self.provider(), "release", &cause);
            self.release_later(key, token, lease);
        }
    }

    /// Releases a claim in the background. If that fails, the claim ends with its lease.
    fn release_later(&self, key: ClaimKey, token: ClaimToken, lease: Instant) {
        self.later(token, lease, Note::Release(key));
    }

    pub(super) fn later(&self, token: ClaimToken, lease: Instant, note: Note) {
        let Context { later, store, tasks, .. } = &**self.context;
        later.tell(store, tasks, self.provider(), Due { token, lease, note });
    }

    /// Logs that two bodies arrived under one id.
    fn warn_of_other_body(&self, seen: Fingerprint) {
        if seen != self.fingerprint {
            observe::other_body(self.provider());
        }
    }

    /// Counts equal bytes that have run under an id, and now arrive without one.
    pub(super) fn suspect_replay_without_id(&self) {
        if !self.verified.delivery.id_is_signed() && self.context.bodies.get(&self.fingerprint).is_some() {
            observe::replay_suspected(self.provider(), "run");
        }
    }

    /// Counts equal bytes under another id, if the id is not signed.
    fn suspect_replay(&self, key: ClaimKey, attempt: u32) {
        /// Shorter than ids are remembered, to save memory: most replays arrive soon.
        const WINDOW: Duration = Duration::from_secs(60 * 60);
        if self.verified.delivery.id_is_signed() || attempt > 1 {
            return;
        }
        let bodies = &self.context.bodies;
        match bodies.get(&self.fingerprint) {
            Some(seen) if seen != key => observe::replay_suspected(self.provider(), "run"),
            Some(_) => {}
            None => bodies.insert(self.fingerprint, key, WINDOW),
        }
    }

    pub(super) fn remember(&self, key: ClaimKey, fingerprint: Fingerprint, response: Option<Arc<StoredResponse>>) {
        /// If somebody deletes a record so that its delivery runs again, this cache must not prevent that for long.
        const LONGEST: Duration = Duration::from_secs(10 * 60);
        self.context.done.insert(key, Known { fingerprint, response }, self.subject.retention.min(LONGEST));
    }
}
