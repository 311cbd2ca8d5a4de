use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, Full, Limited};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep, sleep_until, timeout},
};
use tower_service::Service;

use super::{
    answers,
    held::{Held, HeldState},
    key::{ClaimKey, ClaimToken, Fingerprint},
    layer::{Context, DEFAULT_RETENTION, InFlight, Known, LONGEST_BODY_DIGEST, MissingId, StoreDown, after},
    purge,
    store::{ClaimOutcome, ClaimRequest, Completion, StoredResponse},
};
use crate::{
    boxed::BoxError,
    claim::{Claim, ClaimHandle},
    error::{StoreError, StoreErrorKind},
    fencing::Fenced,
    host, observe,
    verify::{ResponseBody, Verified},
};

/// What a request is about, as the store knows it.
pub(super) struct Subject {
    /// `None` where it runs without a claim, by the application's choice.
    pub(super) key: Option<ClaimKey>,
    retention: Duration,
}

impl Subject {
    /// Names what a request is about, or answers it.
    #[allow(clippy::result_large_err)] // The error is the answer, on its way out.
    pub(super) fn of(
        context: &Context,
        verified: &Verified,
        request: &Request<Full<Bytes>>,
    ) -> Result<Self, Response<Bytes>> {
        let delivery = &verified.delivery;
        let default = verified.retries_for().unwrap_or_default().max(DEFAULT_RETENTION);
        let retention = context.retention.unwrap_or(default);
        Ok(match (delivery.id(), context.missing_id) {
            (Some(id), _) => {
                Self { key: Some(key(context, verified, request, Kind::Id, id.as_str().as_bytes())), retention }
            }
            (None, MissingId::BodyDigest) => {
                let key = key(context, verified, request, Kind::Body, &Fingerprint::digest(delivery.body()));
                Self { key: Some(key), retention: retention.min(LONGEST_BODY_DIGEST) }
            }
            (None, MissingId::Skip) => Self { key: None, retention },
            (None, MissingId::Reject) => {
                observe::missing_id(delivery.provider());
                return Err(answers::missing_id());
            }
        })
    }
}

/// What a key is made of. The kinds are kept apart: a sender must not be able to name another delivery's body.
#[derive(Clone, Copy)]
enum Kind {
    Body = b'b' as isize,
    Guard = b'g' as isize,
    Id = b'i' as isize,
}

fn key(context: &Context, verified: &Verified, request: &Request<Full<Bytes>>, kind: Kind, id: &[u8]) -> ClaimKey {
    let consumer = match &context.consumer {
        Some(name) => name,
        None => host::route(request),
    };
    let delivery = &verified.delivery;
    ClaimKey::of_kind(consumer, delivery.provider(), delivery.tenant(), kind as u8, id)
}

/// One request on its way through claim, handler and record. It goes on when nobody waits for its answer any more.
pub(super) struct Job<S> {
    pub(super) context: Arc<Context>,
    pub(super) verified: Verified,
    pub(super) subject: Subject,
    pub(super) inner: S,
    pub(super) request: Request<Full<Bytes>>,
}

/// The answer's way back; nobody may be waiting any more.
type Reply<R, E> = oneshot::Sender<Result<Response<ResponseBody<R>>, E>>;

/// How a handler ended.
enum Ran<R, E> {
    Failed(E),
    Panicked,
    Responded(Response<R>),
    TimedOut,
}

/// How a claim ended.
enum Claimed {
    Answer(Response<Bytes>),
    Held(Held),
    Unclaimed,
}

impl<S, R> Job<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>>,
    R: Body<Data = Bytes, Error: Into<BoxError>>,
{
    pub(super) async fn run(self, reply: Reply<R, S::Error>) {
        let Self { context, verified, subject, mut inner, mut request } = self;
        let fingerprint = Fingerprint::of(verified.delivery.body());
        let desk = Desk { context: &context, verified: &verified, subject: &subject, fingerprint };
        let held = match subject.key {
            None => None,
            Some(key) => match desk.claim(key).await {
                Claimed::Answer(answer) => return send(reply, answer),
                Claimed::Held(held) => Some(Arc::new(held)),
                Claimed::Unclaimed => None,
            },
        };
        let guard = match &held {
            Some(held) => match desk.guard(held, &request).await {
                Ok(guard) => guard,
                Err(answer) => return send(reply, answer),
            },
            None => None,
        };
        if let Some(held) = &held {
            let handle: Arc<dyn ClaimHandle> = Arc::clone(held) as _;
            request.extensions_mut().insert(Claim::new(handle));
        }
        let unclaimed = after(Instant::now(), context.handler_timeout);
        let deadline = || held.as_ref().map_or(unclaimed, |held| held.handler_deadline());
        let ran = handle(&mut inner, request, deadline).await;
        desk.settle(held.as_deref(), guard, ran, reply).await;
        if context.purge.is_due() {
            // A failure is no news: the store's next caller will tell.
            if let Ok(Ok(removed)) = timeout(context.store_timeout, context.store.purge(purge::STEP)).await {
                context.purge.removed(removed);
            }
        }
    }
}

async fn handle<S, R>(inner: &mut S, request: Request<Full<Bytes>>, deadline: impl Fn() -> Instant) -> Ran<R, S::Error>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>>,
{
    let Ok(future) = catch_unwind(AssertUnwindSafe(|| inner.call(request))) else { return Ran::Panicked };
    match supervise(future, deadline).await {
        Ok(Ok(response)) => Ran::Responded(response),
        Ok(Err(error)) => Ran::Failed(error),
        Err(Stopped::Panicked) => Ran::Panicked,
        Err(Stopped::TimedOut) => Ran::TimedOut,
    }
}

/// Why a part of the application did not end by itself.
enum Stopped {
    Panicked,
    TimedOut,
}

/// Runs a part of the application until it ends, panics, or its deadline passes; the deadline may move while it runs.
async fn supervise<F: Future>(future: F, deadline: impl Fn() -> Instant) -> Result<F::Output, Stopped> {
    let mut future = pin!(Some(future));
    let mut sleep = pin!(sleep_until(deadline()));
    let ended = poll_fn(|cx| {
        let running = future.as_mut().as_pin_mut().expect("it is dropped below, and not polled again");
        match catch_unwind(AssertUnwindSafe(|| running.poll(cx))) {
            Err(_) => return Poll::Ready(Err(Stopped::Panicked)),
            Ok(Poll::Ready(output)) => return Poll::Ready(Ok(output)),
            Ok(Poll::Pending) => {}
        }
        while sleep.as_mut().poll(cx).is_ready() {
            let moved = deadline();
            if moved <= sleep.deadline() {
                return Poll::Ready(Err(Stopped::TimedOut));
            }
            sleep.as_mut().reset(moved);
        }
        Poll::Pending
    })
    .await;
    // Dropped here, where a destructor that panics does not keep the claim from being released.
    let _ = catch_unwind(AssertUnwindSafe(|| future.set(None)));
    ended
}

/// The calls to the store, each bounded in time.
struct Desk<'a> {
    context: &'a Arc<Context>,
    verified: &'a Verified,
    subject: &'a Subject,
    fingerprint: Fingerprint,
}

impl Desk<'_> {
    fn provider(&self) -> &str {
        self.verified.delivery.provider()
    }

    async fn claim(&self, key: ClaimKey) -> Claimed {
        let Context { store, lease, .. } = &**self.context;
        let Ok(token) = ClaimToken::random() else {
            observe::no_randomness();
            return Claimed::Answer(answers::unavailable());
        };
        let waiting = Instant::now();
        let mut pause = Duration::from_millis(50);
        loop {
            let claimed_at = Instant::now();
            let request = ClaimRequest::new(key, token, *lease, self.fingerprint);
            match self.bounded(store.claim(request)).await {
                Ok(ClaimOutcome::Acquired { attempt }) => {
                    self.suspect_replay(key, attempt);
                    let retention = self.subject.retention;
                    return Claimed::Held(Held::new(self.context, key, token, attempt, retention, claimed_at));
                }
                Ok(ClaimOutcome::Done { fingerprint, response }) => {
                    self.warn_of_other_body(fingerprint);
                    self.remember(key, fingerprint, response.clone());
                    observe::duplicate(self.provider(), "done");
                    return Claimed::Answer(answers::already_processed(response.as_deref()));
                }
                Ok(ClaimOutcome::InFlight { retry_after, fingerprint }) => {
                    let status = match self.context.in_flight {
                        InFlight::Wait(longest) if waiting.elapsed() + pause <= longest => {
                            sleep(pause).await;
                            pause = (pause * 2).min(Duration::from_secs(1));
                            continue;
                        }
                        InFlight::Conflict => StatusCode::CONFLICT,
                        InFlight::Retry | InFlight::Wait(_) => StatusCode::SERVICE_UNAVAILABLE,
                    };
                    self.warn_of_other_body(fingerprint);
                    observe::duplicate(self.provider(), "in_flight");
                    return Claimed::Answer(answers::in_flight(status, retry_after));
                }
                Err(cause) => {
                    observe::store_failed(self.provider(), "claim", &cause);
                    if self.context.store_down == StoreDown::RunUnclaimed {
                        return Claimed::Unclaimed;
                    }
                    // Whether the claim was made is unknown. If it was, it is not to be left until its lease ends.
                    self.release_later(key, token);
                    return Claimed::Answer(answers::unavailable());
                }
            }
        }
    }

    /// Claims the body too, where the application guards against replays under other ids.
    async fn guard(&self, held: &Held, request: &Request<Full<Bytes>>) -> Result<Option<ClaimKey>, Response<Bytes>> {
        let delivery = &self.verified.delivery;
        if self.context.replay_guard.is_none() || delivery.id().is_none() || delivery.id_is_signed() {
            return Ok(None);
        }
        let key = key(self.context, self.verified, request, Kind::Guard, &Fingerprint::digest(delivery.body()));
        let request = ClaimRequest::new(key, held.token, self.context.lease, self.fingerprint);
        match self.bounded(self.context.store.claim(request)).await {
            Ok(ClaimOutcome::Acquired { .. }) => Ok(Some(key)),
            Ok(ClaimOutcome::Done { .. }) => {
                observe::replay_suspected(self.provider(), "suppressed");
                self.complete(held, None).await;
                Err(answers::already_processed(None))
            }
            Ok(ClaimOutcome::InFlight { retry_after, .. }) => {
                self.release(held.key, held.token).await;
                Err(answers::in_flight(StatusCode::SERVICE_UNAVAILABLE, retry_after))
            }
            Err(cause) => {
                observe::store_failed(self.provider(), "claim", &cause);
                self.release_later(held.key, held.token);
                self.release_later(key, held.token);
                Err(answers::unavailable())
            }
        }
    }

    /// Records how the handler ended, and answers.
    async fn settle<R, E>(&self, held: Option<&Held>, guard: Option<ClaimKey>, ran: Ran<R, E>, reply: Reply<R, E>)
    where
        R: Body<Data = Bytes, Error: Into<BoxError>>,
    {
        let response = match ran {
            Ran::Responded(response) if response.status().is_success() => response,
            failed => {
                if let Some(held) = held {
                    // Before the answer leaves, so that a repetition runs at once.
                    let is_done = self.give_back(held).await;
                    match guard {
                        // The effect is there, whatever the handler says: the same bytes would be a replay.
                        Some(guard) if is_done => self.complete_guard(guard, held.token).await,
                        Some(guard) => _ = self.release(guard, held.token).await,
                        None => {}
                    }
                }
                let answer = match failed {
                    Ran::Failed(error) => Err(error),
                    Ran::Responded(response) => Ok(response.map(ResponseBody::inner)),
                    Ran::Panicked => {
                        observe::panicked(self.provider());
                        Ok(answers::panicked().map(ResponseBody::own))
                    }
                    Ran::TimedOut => {
                        observe::timed_out(self.provider());
                        Ok(answers::timed_out().map(ResponseBody::own))
                    }
                };
                let _ = reply.send(answer);
                return;
            }
        };
        let response = response.map(ResponseBody::inner);
        let Some(held) = held else {
            let _ = reply.send(Ok(response));
            return;
        };
        if matches!(held.state(), HeldState::Doubtful | HeldState::Marked) {
            match self.bounded(self.context.store.is_done(held.key, held.token)).await {
                Ok(Fenced::Applied) => held.done(),
                Ok(Fenced::Stale) => {
                    observe::commit_forgotten(self.provider());
                    self.release(held.key, held.token).await;
                    self.release_guard(guard, held.token).await;
                    return send(reply, answers::internal());
                }
                Err(cause) => {
                    observe::store_failed(self.provider(), "is_done", &cause);
                    // If it is done after all, this changes nothing.
                    self.release_later(held.key, held.token);
                    return send(reply, answers::unavailable());
                }
            }
        }
        let (response, stored) = match self.store_response(held, response).await {
            Ok(kept) => kept,
            Err(answer) => {
                self.release(held.key, held.token).await;
                self.release_guard(guard, held.token).await;
                return send(reply, answer);
            }
        };
        let recorded = held.state() == HeldState::Done || self.complete(held, stored.clone()).await;
        self.remember(held.key, self.fingerprint, stored.clone());
        if let Some(guard) = guard {
            self.complete_guard(guard, held.token).await;
        }
        let _ = reply.send(Ok(response));
        if !recorded {
            self.complete_in_background(held, stored).await;
        }
    }

    /// Marks the delivery as done; `false` when the store could not be told.
    async fn complete(&self, held: &Held, stored: Option<Arc<StoredResponse>>) -> bool {
        let mut completion = Completion::new(held.retention);
        completion.response = stored;
        match self.bounded(self.context.store.complete(held.key, held.token, completion)).await {
            Ok(Fenced::Applied) => {
                held.done();
                true
            }
            Ok(Fenced::Stale) => {
                observe::overtaken(self.provider());
                true
            }
            Err(cause) => {
                observe::store_failed(self.provider(), "complete", &cause);
                false
            }
        }
    }

    /// The handler's effect is there and its answer has gone; the record is what is missing. Until it is made, a copy would
    /// run again once the lease has passed.
    async fn complete_in_background(&self, held: &Held, stored: Option<Arc<StoredResponse>>) {
        let mut pause = Duration::from_millis(100);
        let until = Instant::now() + Duration::from_secs(60 * 60);
        while Instant::now() < until {
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(10));
            if self.complete(held, stored.clone()).await {
                return;
            }
        }
    }

    /// Gives a claim back whose handler has failed, and tells whether it is done all the same.
    async fn give_back(&self, held: &Held) -> bool {
        match held.state() {
            HeldState::Done => true,
            state => {
                let released = self.release(held.key, held.token).await;
                state == HeldState::Marked && released == Some(Fenced::Stale)
            }
        }
    }

    async fn release(&self, key: ClaimKey, token: ClaimToken) -> Option<Fenced> {
        match self.bounded(self.context.store.release(key, token)).await {
            Ok(fenced) => Some(fenced),
            Err(cause) => {
                observe::store_failed(self.provider(), "release", &cause);
                self.release_later(key, token);
                None
            }
        }
    }

    async fn release_guard(&self, guard: Option<ClaimKey>, token: ClaimToken) {
        if let Some(guard) = guard {
            self.release(guard, token).await;
        }
    }

    async fn complete_guard(&self, guard: ClaimKey, token: ClaimToken) {
        let window = self.context.replay_guard.unwrap_or(DEFAULT_RETENTION);
        if let Err(cause) = self.bounded(self.context.store.complete(guard, token, Completion::new(window))).await {
            observe::store_failed(self.provider(), "complete", &cause);
        }
    }

    /// Tries to give a claim back, without anybody waiting for it. If that fails, the lease ends it.
    fn release_later(&self, key: ClaimKey, token: ClaimToken) {
        /// Longer is no use: by then the store's operator has looked after it, or the lease is one of many.
        const LONGEST: Duration = Duration::from_secs(60 * 60);
        let Ok(place) = Arc::clone(&self.context.releases).try_acquire_owned() else { return };
        let (store, limit, lease) = (Arc::clone(&self.context.store), self.context.store_timeout, self.context.lease);
        self.context.tasks.spawn(async move {
            let _place = place;
            let mut pause = Duration::from_millis(200);
            let until = Instant::now() + lease.min(LONGEST);
            while Instant::now() < until {
                sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(10));
                if bounded(limit, store.release(key, token)).await.is_ok() {
                    return;
                }
            }
        });
    }

    /// Keeps a small response for copies, where the application wants that and the record is still to be made.
    async fn store_response<R>(
        &self,
        held: &Held,
        response: Response<ResponseBody<R>>,
    ) -> Result<(Response<ResponseBody<R>>, Option<Arc<StoredResponse>>), Response<Bytes>>
    where
        R: Body<Data = Bytes, Error: Into<BoxError>>,
    {
        let length = response.body().size_hint().exact().and_then(|length| usize::try_from(length).ok());
        let limit = match (self.context.stored_responses, length) {
            (Some(limit), Some(length)) if length <= limit && held.state() == HeldState::Open => limit,
            _ => return Ok((response, None)),
        };
        let (parts, body) = response.into_parts();
        // The body is the application's too, and is read within the handler's time.
        let body = match supervise(Limited::new(body, limit).collect(), || held.handler_deadline()).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(_)) => return Err(answers::internal()),
            Err(Stopped::Panicked) => {
                observe::panicked(self.provider());
                return Err(answers::panicked());
            }
            Err(Stopped::TimedOut) => {
                observe::timed_out(self.provider());
                return Err(answers::timed_out());
            }
        };
        let content_type =
            parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let stored = Arc::new(StoredResponse::new(parts.status.as_u16(), content_type, body.clone()));
        Ok((Response::from_parts(parts, ResponseBody::own(body)), Some(stored)))
    }

    fn remember(&self, key: ClaimKey, fingerprint: Fingerprint, response: Option<Arc<StoredResponse>>) {
        /// Whoever forces a repetition by deleting a record should not have to wait for long.
        const LONGEST: Duration = Duration::from_secs(10 * 60);
        self.context.done.insert(key, Known { fingerprint, response }, self.subject.retention.min(LONGEST));
    }

    /// Tells the operator that one id came with two bodies.
    fn warn_of_other_body(&self, seen: Fingerprint) {
        if seen != self.fingerprint {
            observe::other_body(self.provider());
        }
    }

    /// Counts equal bytes under another id, where the id is not signed.
    fn suspect_replay(&self, key: ClaimKey, attempt: u32) {
        /// As long as an id is remembered by default would be better, and larger; a replay tends to come soon.
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

    async fn bounded<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        bounded(self.context.store_timeout, call).await
    }
}

/// Waits for a store for no longer than `limit`.
pub(super) async fn bounded<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    match timeout(limit, call).await {
        Ok(result) => result,
        Err(_) => Err(StoreError::new(StoreErrorKind::Unavailable, format!("no answer within {limit:?}"))),
    }
}

fn send<R, E>(reply: Reply<R, E>, answer: Response<Bytes>) {
    let _ = reply.send(Ok(answer.map(ResponseBody::own)));
}
