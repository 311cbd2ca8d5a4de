use std::{borrow::Cow, future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, Full, Limited};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep, timeout},
};
use tower_service::Service;

use super::{
    answers,
    held::{Guard, Held, HeldState},
    introduction::introduce,
    key::{ClaimKey, ClaimToken, Fingerprint},
    later::Note,
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
    panics::{Stopped, caught, supervise},
    verify::{Acknowledged, ResponseBody, Verified},
};

/// What a request is about, as the store knows it.
pub(super) struct Subject {
    /// `None` where it runs without a claim, by the choice of the application or the scheme.
    pub(super) key: Option<ClaimKey>,
    retention: Duration,
    guard: GuardedBy,
}

/// What keeps equal bytes from running again under another id, or without one.
enum GuardedBy {
    /// The claim itself, which is of the body.
    Claim,
    /// Nothing: the application wants no guard, or the sender signs the id.
    Nothing,
    /// A second claim, of the body, for this long.
    SecondClaim(Duration),
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
        // Whoever replays a delivery leaves an id out that is not signed, or sends it twice, as easily as they change it.
        let is_bound = delivery.id().is_some() && delivery.id_is_signed();
        let window = context.replay_guard.filter(|_| !is_bound);
        let guard = window.map_or(GuardedBy::Nothing, GuardedBy::SecondClaim);
        let key = |kind, id: &[u8]| match key(context, verified, request, kind, id) {
            Some(key) => Ok(Some(key)),
            None => {
                observe::no_consumer(delivery.provider());
                Err(answers::internal())
            }
        };
        let by_scheme = || if verified.bodies_are_unique() { MissingId::BodyDigest } else { MissingId::Skip };
        Ok(match (delivery.id(), context.missing_id.unwrap_or_else(by_scheme), window) {
            (Some(id), ..) => Self { key: key(Kind::Id, id.as_str().as_bytes())?, retention, guard },
            (None, MissingId::BodyDigest, _) => {
                let retention = retention.min(LONGEST_BODY_DIGEST);
                Self { key: key(Kind::Body, &Fingerprint::digest(delivery.body()))?, retention, guard }
            }
            (None, MissingId::Skip, None) => Self { key: None, retention, guard },
            (None, MissingId::Skip, Some(window)) => {
                let key = key(Kind::Guard, &Fingerprint::digest(delivery.body()))?;
                Self { key, retention: window, guard: GuardedBy::Claim }
            }
            (None, MissingId::Reject, _) => {
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
    Program = b'p' as isize,
}

/// Who handles what comes: as the application says, else the route.
fn consumer<'a>(context: &'a Context, request: &'a Request<Full<Bytes>>) -> Option<Cow<'a, str>> {
    match &context.consumer {
        Some(name) => Some(Cow::Borrowed(name)),
        None => host::route(request),
    }
}

/// The key of a delivery, or of its body. `None` where nobody says who handles it.
fn key(
    context: &Context,
    verified: &Verified,
    request: &Request<Full<Bytes>>,
    kind: Kind,
    id: &[u8],
) -> Option<ClaimKey> {
    let consumer = consumer(context, request)?;
    let delivery = &verified.delivery;
    let application = context.store.application();
    Some(ClaimKey::of_kind(application, &consumer, delivery.provider(), delivery.tenant(), kind as u8, id))
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
// It is moved once, and a box would be an allocation for every request.
#[allow(clippy::large_enum_variant)]
enum Claimed {
    Answer(Response<Bytes>),
    Held(Held),
    Unclaimed,
}

/// What the guard says of a delivery whose own claim is held.
enum Guarded {
    /// Equal bytes were handled under another id.
    Done,
    Failed,
    Free,
    /// Equal bytes are being handled under another id.
    InFlight(Duration),
}

impl<S, R> Job<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>>,
    R: Body<Data = Bytes, Error: Into<BoxError>>,
{
    pub(super) async fn run(self, reply: Reply<R, S::Error>) {
        let context = Arc::clone(&self.context);
        let introduced = self.introduced();
        // The request and its body are gone when this returns.
        self.deliver(reply).await;
        if let Some((key, consumer, provider)) = introduced {
            introduce(&*context.store, context.store_timeout, key, &consumer, &provider).await;
        }
        if context.purge.is_due() {
            // A failure is no news: the store's next caller will tell.
            if let Ok(Ok(removed)) = timeout(context.store_timeout, context.store.purge(purge::STEP)).await {
                context.purge.removed(removed);
            }
        }
    }

    /// What the store is now and then told about who claims here, where the application has no name.
    fn introduced(&self) -> Option<(ClaimKey, String, String)> {
        let Self { context, verified, subject, request, .. } = self;
        if subject.key.is_none() || context.store.application().is_some() {
            return None;
        }
        let (consumer, provider) = (consumer(context, request)?, verified.delivery.provider());
        if !context.introductions.are_due(&consumer, provider) {
            return None;
        }
        let key = ClaimKey::of_kind(None, &consumer, provider, None, Kind::Program as u8, b"");
        Some((key, consumer.into_owned(), provider.to_owned()))
    }

    async fn deliver(self, reply: Reply<R, S::Error>) {
        let Self { context, verified, subject, mut inner, mut request } = self;
        let fingerprint = Fingerprint::of(verified.delivery.body());
        let desk = Desk { context: &context, verified: &verified, subject: &subject, fingerprint };
        let held = match subject.key {
            None => {
                desk.suspect_replay_without_id();
                None
            }
            Some(key) => match desk.claim(key, &request).await {
                Claimed::Answer(answer) => return send(reply, answer),
                Claimed::Held(held) => Some(Arc::new(held)),
                Claimed::Unclaimed => None,
            },
        };
        if let Some(held) = &held {
            let handle: Arc<dyn ClaimHandle> = Arc::clone(held) as _;
            request.extensions_mut().insert(Claim::new(handle));
        }
        let unclaimed = after(Instant::now(), context.handler_timeout);
        let deadline = || held.as_ref().map_or(unclaimed, |held| held.handler_deadline());
        let ran = handle(&mut inner, request, deadline).await;
        desk.settle(held.as_deref(), ran, reply).await;
    }
}

async fn handle<S, R>(inner: &mut S, request: Request<Full<Bytes>>, deadline: impl Fn() -> Instant) -> Ran<R, S::Error>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>>,
{
    let Ok(future) = caught(|| inner.call(request)) else { return Ran::Panicked };
    match supervise(future, deadline).await {
        Ok(Ok(response)) => Ran::Responded(response),
        Ok(Err(error)) => Ran::Failed(error),
        Err(Stopped::Panicked) => Ran::Panicked,
        Err(Stopped::TimedOut) => Ran::TimedOut,
    }
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

    async fn claim(&self, key: ClaimKey, request: &Request<Full<Bytes>>) -> Claimed {
        let Ok(token) = ClaimToken::random() else {
            observe::no_randomness();
            return Claimed::Answer(answers::unavailable());
        };
        let mut guard = None;
        let begun = Instant::now();
        let mut pause = Duration::from_millis(50);
        loop {
            // Again with the token that holds it, a claim keeps its attempt and gets a new lease.
            let claimed_at = Instant::now();
            let lease = after(claimed_at, self.context.lease);
            let (status, retry_after) = match self.ask(key, token).await {
                Ok(ClaimOutcome::Acquired { attempt }) => match self.guard(&mut guard, token, request).await {
                    Guarded::Done => {
                        observe::replay_suspected(self.provider(), "suppressed");
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
                        let held = Held::new(self.context, key, token, attempt, retention, guard, claimed_at);
                        return Claimed::Held(held);
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
                    // Whether the claim was made is unknown. If it was, it is not to be left until its lease ends.
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
        self.bounded(self.context.store.claim(claim)).await
    }

    /// Whether a copy in flight is answered now, and how. `None` where it waits and asks again.
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

    /// Claims the body too, where the application guards against replays under other ids. The delivery's own claim is held.
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

    /// Records how the handler ended, and answers.
    async fn settle<R, E>(&self, held: Option<&Held>, ran: Ran<R, E>, reply: Reply<R, E>)
    where
        R: Body<Data = Bytes, Error: Into<BoxError>>,
    {
        let response = match ran {
            Ran::Responded(response) if response.status().is_success() => response,
            failed => {
                if let Some(held) = held {
                    // Before the answer leaves, so that a repetition runs at once.
                    self.give_back(held).await;
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
                    self.give_back(held).await;
                    return send(reply, answers::internal());
                }
                Err(cause) => {
                    observe::store_failed(self.provider(), "is_done", &cause);
                    self.decide_later(held);
                    return send(reply, answers::unavailable());
                }
            }
        }
        let (response, stored) = match self.store_response(held, response).await {
            Ok(kept) => kept,
            Err(answer) => {
                self.give_back(held).await;
                return send(reply, answer);
            }
        };
        if held.state() != HeldState::Done {
            let mut completion = Completion::new(held.retention);
            completion.response.clone_from(&stored);
            match self.complete(held.key, held.token, completion.clone()).await {
                Some(Fenced::Applied) => held.done(),
                Some(Fenced::Stale) => observe::overtaken(self.provider()),
                // The handler's effect is there; the record is what is missing. Until it is made, a copy would run again once
                // the lease has passed.
                None => self.later(held.token, held.lease_end(), Note::Complete(held.key, completion)),
            }
        }
        self.remember(held.key, self.fingerprint, stored);
        self.complete_guard(held).await;
        let _ = reply.send(Ok(response));
    }

    /// Marks a claimed delivery as done; `None` when the store could not be told.
    async fn complete(&self, key: ClaimKey, token: ClaimToken, completion: Completion) -> Option<Fenced> {
        match self.bounded(self.context.store.complete(key, token, completion)).await {
            Ok(fenced) => Some(fenced),
            Err(cause) => {
                observe::store_failed(self.provider(), "complete", &cause);
                None
            }
        }
    }

    /// Lets the guard know that the delivery is handled, now or in the background.
    async fn complete_guard(&self, held: &Held) {
        let Some(guard) = held.unmarked_guard() else { return };
        if self.complete(guard.key, held.token, Completion::new(guard.window)).await.is_none() {
            self.later(held.token, held.lease_end(), guard.completion());
        }
    }

    /// Gives a claim back whose handler has failed, and its guard with it. Where the handler has committed the claim all the
    /// same, the effect is there, and the same bytes would be a replay: then the guard is completed.
    async fn give_back(&self, held: &Held) {
        let state = held.state();
        if state == HeldState::Done {
            return self.complete_guard(held).await;
        }
        let Some(guard) = held.guard else {
            self.release(held.key, held.token, held.lease_end()).await;
            return;
        };
        if state == HeldState::Open {
            self.release(held.key, held.token, held.lease_end()).await;
            self.release(guard.key, held.token, held.lease_end()).await;
            return;
        }
        let found = match self.bounded(self.context.store.release(held.key, held.token)).await {
            Ok(Fenced::Applied) => Ok(Fenced::Stale),
            Ok(Fenced::Stale) => self.bounded(self.context.store.is_done(held.key, held.token)).await,
            Err(cause) => Err(cause),
        };
        match found {
            Ok(Fenced::Applied) => self.complete_guard(held).await,
            Ok(Fenced::Stale) => self.release(guard.key, held.token, held.lease_end()).await,
            Err(cause) => {
                observe::store_failed(self.provider(), "release", &cause);
                self.decide_later(held);
            }
        }
    }

    async fn release(&self, key: ClaimKey, token: ClaimToken, lease: Instant) {
        if let Err(cause) = self.bounded(self.context.store.release(key, token)).await {
            observe::store_failed(self.provider(), "release", &cause);
            self.release_later(key, token, lease);
        }
    }

    /// Tries to give a claim back, without anybody waiting for it. If that fails, the lease ends it.
    fn release_later(&self, key: ClaimKey, token: ClaimToken, lease: Instant) {
        self.later(token, lease, Note::Release(key));
    }

    /// Gives a claim back of which nobody knows whether it is done. If it is, this changes nothing but its guard.
    fn decide_later(&self, held: &Held) {
        let note = held.guard.map_or(Note::Release(held.key), |guard| Note::Decide(held.key, guard));
        self.later(held.token, held.lease_end(), note);
    }

    fn later(&self, token: ClaimToken, lease: Instant, note: Note) {
        self.context.later.tell(self.context, self.provider(), token, lease, note);
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
        if response.extensions().get::<Acknowledged>().is_some() && self.verified.prescribes_success() {
            // The sender has its own form of success, in which a copy is answered as well.
            return Ok((response, None));
        }
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

    /// Counts equal bytes that have run under an id, and now come without one.
    fn suspect_replay_without_id(&self) {
        if !self.verified.delivery.id_is_signed() && self.context.bodies.get(&self.fingerprint).is_some() {
            observe::replay_suspected(self.provider(), "run");
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
