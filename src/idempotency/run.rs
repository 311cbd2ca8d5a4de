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
use http_body_util::{BodyExt, Full};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep, sleep_until, timeout},
};
use tower_service::Service;

use super::{
    answers,
    held::{Held, HeldState},
    key::{ClaimKey, ClaimToken, Fingerprint},
    layer::{Context, DEFAULT_RETENTION, InFlight, Known, LONGEST_BODY_DIGEST, MissingId, StoreDown},
    purge,
    store::{ClaimOutcome, ClaimRequest, Completion, Fenced, StoredResponse},
};
use crate::{
    boxed::BoxError,
    claim::{Claim, ClaimHandle},
    error::{StoreError, StoreErrorKind},
    host, observe,
    verify::{ResponseBody, Verified},
};

/// What a request is about, as the store knows it.
pub(super) struct Subject {
    /// `None` where it runs without a claim, by the application's choice.
    pub(super) key: Option<ClaimKey>,
    fingerprint: Fingerprint,
    retention: Duration,
    /// The key of the body itself, where the application guards against replays.
    guard: Option<ClaimKey>,
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
        let provider = delivery.provider();
        let consumer = match &context.consumer {
            Some(name) => name,
            None => host::route(request),
        };
        let key = |kind: u8, id: &[u8]| {
            // The kinds are kept apart: a sender must not be able to name another delivery's body.
            let mut tagged = Vec::with_capacity(id.len() + 1);
            tagged.push(kind);
            tagged.extend_from_slice(id);
            ClaimKey::new(consumer, provider, delivery.tenant(), &tagged)
        };
        let default = verified.retries_for().unwrap_or_default().max(DEFAULT_RETENTION);
        let retention = context.retention.unwrap_or(default);
        let digest = || Fingerprint::digest(delivery.body());
        let fingerprint = Fingerprint::of(delivery.body());
        let guard = context.replay_guard.filter(|_| !delivery.id_is_signed()).map(|_| key(b'g', &digest()));
        Ok(match (delivery.id(), context.missing_id) {
            (Some(id), _) => Self { key: Some(key(b'i', id.as_str().as_bytes())), fingerprint, retention, guard },
            (None, MissingId::BodyDigest) => {
                let retention = retention.min(LONGEST_BODY_DIGEST);
                Self { key: Some(key(b'b', &digest())), fingerprint, retention, guard: None }
            }
            (None, MissingId::Skip) => Self { key: None, fingerprint, retention, guard: None },
            (None, MissingId::Reject) => {
                observe::missing_id(provider);
                return Err(answers::missing_id());
            }
        })
    }

    /// Tells the operator that one id came with two bodies.
    pub(super) fn warn_of_other_body(&self, verified: &Verified, seen: Fingerprint) {
        if seen != self.fingerprint {
            observe::other_body(verified.delivery.provider());
        }
    }
}

/// One request on its way through claim, handler and record. It runs in a task of its own.
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
        let desk = Desk { context: &context, verified: &verified, subject: &subject };
        let held = match subject.key {
            None => None,
            Some(key) => match desk.claim(key).await {
                Claimed::Answer(answer) => return send(reply, answer),
                Claimed::Held(held) => Some(Arc::new(held)),
                Claimed::Unclaimed => None,
            },
        };
        let guard = match &held {
            Some(held) => match desk.guard(held).await {
                Ok(guard) => guard,
                Err(answer) => return send(reply, answer),
            },
            None => None,
        };
        if let Some(held) = &held {
            let handle: Arc<dyn ClaimHandle> = Arc::clone(held) as _;
            request.extensions_mut().insert(Claim::new(handle));
        }
        let unclaimed = Instant::now() + context.handler_timeout;
        let deadline = || held.as_ref().map_or(unclaimed, |held| held.handler_deadline());
        let ran = handle(&mut inner, request, deadline).await;
        desk.settle(held.as_deref(), guard, ran, reply).await;
        if context.purge.is_due() {
            // A failure is no news: the store's next caller will tell.
            let _ = timeout(context.store_timeout, context.store.purge(purge::STEP)).await;
        }
    }
}

/// Runs the handler until it ends, panics, or its deadline passes; the deadline may move while it runs.
async fn handle<S, R>(inner: &mut S, request: Request<Full<Bytes>>, deadline: impl Fn() -> Instant) -> Ran<R, S::Error>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>>,
{
    let first = deadline();
    let Ok(future) = catch_unwind(AssertUnwindSafe(|| inner.call(request))) else { return Ran::Panicked };
    let mut future = pin!(future);
    let mut sleep = pin!(sleep_until(first));
    poll_fn(|cx| {
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Err(_) => return Poll::Ready(Ran::Panicked),
            Ok(Poll::Ready(Ok(response))) => return Poll::Ready(Ran::Responded(response)),
            Ok(Poll::Ready(Err(error))) => return Poll::Ready(Ran::Failed(error)),
            Ok(Poll::Pending) => {}
        }
        while sleep.as_mut().poll(cx).is_ready() {
            let moved = deadline();
            if moved <= sleep.deadline() {
                return Poll::Ready(Ran::TimedOut);
            }
            sleep.as_mut().reset(moved);
        }
        Poll::Pending
    })
    .await
}

/// The calls to the store, each bounded in time.
struct Desk<'a> {
    context: &'a Context,
    verified: &'a Verified,
    subject: &'a Subject,
}

impl Desk<'_> {
    fn provider(&self) -> &str {
        self.verified.delivery.provider()
    }

    async fn claim(&self, key: ClaimKey) -> Claimed {
        let Context { store, lease, handler_timeout, .. } = self.context;
        let Ok(token) = ClaimToken::random() else {
            observe::no_randomness();
            return Claimed::Answer(answers::unavailable());
        };
        let waiting = Instant::now();
        let mut pause = Duration::from_millis(50);
        loop {
            let claimed_at = Instant::now();
            let request = ClaimRequest::new(key, token, *lease, self.subject.fingerprint);
            match self.bounded(store.claim(request)).await {
                Ok(ClaimOutcome::Acquired { attempt }) => {
                    self.suspect_replay(key, attempt);
                    return Claimed::Held(Held::new(
                        Arc::clone(store),
                        key,
                        token,
                        attempt,
                        self.subject.retention,
                        claimed_at,
                        *lease,
                        *handler_timeout,
                    ));
                }
                Ok(ClaimOutcome::Done { fingerprint, response }) => {
                    self.subject.warn_of_other_body(self.verified, fingerprint);
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
                    self.subject.warn_of_other_body(self.verified, fingerprint);
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
    async fn guard(&self, held: &Held) -> Result<Option<ClaimKey>, Response<Bytes>> {
        let Some(key) = self.subject.guard else { return Ok(None) };
        let request = ClaimRequest::new(key, held.token, self.context.lease, self.subject.fingerprint);
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
                if let Some(held) = held
                    && held.state() != HeldState::Committed
                {
                    // Before the answer leaves, so that a repetition runs at once.
                    self.release(held.key, held.token).await;
                    if let Some(guard) = guard {
                        self.release(guard, held.token).await;
                    }
                }
                let answer = match failed {
                    Ran::Failed(error) => Err(error),
                    Ran::Responded(response) => Ok(response.map(ResponseBody::inner)),
                    Ran::Panicked => {
                        observe::panicked(self.provider());
                        Ok(answers::internal().map(ResponseBody::own))
                    }
                    Ran::TimedOut => {
                        observe::timed_out(self.provider());
                        Ok(answers::unavailable().map(ResponseBody::own))
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
        if held.state() == HeldState::Marked {
            match self.bounded(self.context.store.is_done(held.key, held.token)).await {
                Ok(Fenced::Applied) => {}
                Ok(Fenced::Stale) => {
                    observe::commit_forgotten(self.provider());
                    self.release(held.key, held.token).await;
                    return send(reply, answers::internal());
                }
                Err(cause) => {
                    observe::store_failed(self.provider(), "is_done", &cause);
                    return send(reply, answers::unavailable());
                }
            }
        }
        let (response, stored) = match self.store_response(response).await {
            Ok(kept) => kept,
            Err(()) => {
                self.release(held.key, held.token).await;
                return send(reply, answers::internal());
            }
        };
        let recorded = held.state() != HeldState::Open || self.complete(held, stored.clone()).await;
        self.remember(held.key, self.subject.fingerprint, stored.clone());
        if let Some(guard) = guard {
            let window = self.context.replay_guard.unwrap_or(DEFAULT_RETENTION);
            let completion = Completion::new(window);
            if let Err(cause) = self.bounded(self.context.store.complete(guard, held.token, completion)).await {
                observe::store_failed(self.provider(), "complete", &cause);
            }
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
            Ok(Fenced::Applied) => true,
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

    async fn release(&self, key: ClaimKey, token: ClaimToken) {
        if let Err(cause) = self.bounded(self.context.store.release(key, token)).await {
            observe::store_failed(self.provider(), "release", &cause);
            self.release_later(key, token);
        }
    }

    /// Tries to give a claim back, without anybody waiting for it. If that fails, the lease ends it.
    fn release_later(&self, key: ClaimKey, token: ClaimToken) {
        let (store, limit, lease) = (Arc::clone(&self.context.store), self.context.store_timeout, self.context.lease);
        self.context.tasks.spawn(async move {
            let mut pause = Duration::from_millis(200);
            let until = Instant::now() + lease;
            while Instant::now() < until {
                sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(10));
                if let Ok(Ok(_)) = timeout(limit, store.release(key, token)).await {
                    return;
                }
            }
        });
    }

    /// Keeps a small response for copies, where the application wants that.
    async fn store_response<R>(
        &self,
        response: Response<ResponseBody<R>>,
    ) -> Result<(Response<ResponseBody<R>>, Option<Arc<StoredResponse>>), ()>
    where
        R: Body<Data = Bytes, Error: Into<BoxError>>,
    {
        let fits = |limit: usize| {
            response
                .body()
                .size_hint()
                .exact()
                .is_some_and(|length| usize::try_from(length).is_ok_and(|length| length <= limit))
        };
        if !self.context.stored_responses.is_some_and(fits) {
            return Ok((response, None));
        }
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.map_err(|_| ())?.to_bytes();
        let content_type =
            parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let stored = Arc::new(StoredResponse::new(parts.status.as_u16(), content_type, bytes.clone()));
        Ok((Response::from_parts(parts, ResponseBody::own(bytes)), Some(stored)))
    }

    fn remember(&self, key: ClaimKey, fingerprint: Fingerprint, response: Option<Arc<StoredResponse>>) {
        /// Whoever forces a repetition by deleting a record should not have to wait for long.
        const LONGEST: Duration = Duration::from_secs(10 * 60);
        self.context.done.insert(key, Known { fingerprint, response }, self.subject.retention.min(LONGEST));
    }

    /// Counts equal bytes under another id, where the id is not signed.
    fn suspect_replay(&self, key: ClaimKey, attempt: u32) {
        /// As long as an id is remembered by default would be better, and larger; a replay tends to come soon.
        const WINDOW: Duration = Duration::from_secs(60 * 60);
        if self.verified.delivery.id_is_signed() || attempt > 1 {
            return;
        }
        let bodies = &self.context.bodies;
        match bodies.get(&self.subject.fingerprint) {
            Some(seen) if seen != key => observe::replay_suspected(self.provider(), "run"),
            Some(_) => {}
            None => bodies.insert(self.subject.fingerprint, key, WINDOW),
        }
    }

    async fn bounded<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        match timeout(self.context.store_timeout, call).await {
            Ok(result) => result,
            Err(_) => {
                let limit = self.context.store_timeout;
                Err(StoreError::new(StoreErrorKind::Unavailable, format!("no answer within {limit:?}")))
            }
        }
    }
}

fn send<R, E>(reply: Reply<R, E>, answer: Response<Bytes>) {
    let _ = reply.send(Ok(answer.map(ResponseBody::own)));
}
