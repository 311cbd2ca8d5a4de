use std::{
    error::Error,
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::SystemTime,
};

use bytes::{Buf, Bytes};
use http::{Request, Response, header, request::Parts};
use http_body::Body;
use http_body_util::{Full, LengthLimitError};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep};
use tower_service::Service;

use super::{
    Acknowledged,
    batch::{Batch, ItemEnd, verified_request},
    body::ResponseBody,
    budget::{Kept, OverBudget},
    drain::{Drained, Rest},
    layer::{Config, Keyring, Verification},
    look_up::{LookUp, look_up, refresh},
    rejection,
};
use crate::{
    boxed::BoxError,
    delivery::Delivery,
    error::{VerifyError, VerifyErrorKind},
    head::Head,
    host,
    observe::{self, Handling, Outcome as Ended, ReceiveSpan},
    scheme::{Check, KeyRing, Outcome, Step},
    secret::Secrets,
};

pin_project! {
    /// The future of [`Webhook`](super::Webhook).
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<Full<Bytes>>>,
    {
        config: Arc<Config>,
        span: ReceiveSpan,
        #[pin]
        state: State<S, B, S::Future, S::Response, S::Error>,
    }
}

pin_project! {
    #[project = StateProjection]
    #[project_replace = StateReplacement]
    enum State<S, B, F, A, E> {
        // Nothing has been looked at.
        Start { inner: S, request: Request<B> },
        // The source of secrets is being asked.
        Secrets { future: LookUp<Secrets>, pending: Option<(S, Parts, B, SystemTime)> },
        // The body is being read and hashed.
        Body { body: B, #[pin] timer: Option<Sleep>, reading: Reading<S> },
        // The request is answered before its body's end, and what is left of the body is read and dropped. The response is there
        // once it is made.
        Answered { rest: Option<Rest<B>>, response: Option<Response<Bytes>> },
        // No secret has matched, and the source is asked for newer ones. The body is in memory, and may still be taken away.
        Refresh { future: LookUp<Option<Secrets>>, mismatched: Option<Box<Mismatched<S>>> },
        // The request has passed, and waits for the inner service to be ready.
        Passed { passed: Option<Passed<S>> },
        // The inner service runs.
        Inner { #[pin] future: F, handling: Handling },
        // The inner service runs for one item of a batch after the other.
        Batch { #[pin] future: Option<F>, batch: Batch<S, A, E> },
        Done,
    }
}

/// Everything that waits for the body.
struct Reading<S> {
    inner: S,
    parts: Parts,
    check: Check,
    kept: Kept,
    received: usize,
    /// How large the body may become: what it declares, within the limit.
    expected: usize,
}

/// Everything that waits for newer secrets.
struct Mismatched<S> {
    inner: S,
    parts: Parts,
    kept: Kept,
    now: SystemTime,
    error: VerifyError,
}

/// Everything that waits for the inner service to be ready.
struct Passed<S> {
    inner: S,
    request: Request<Full<Bytes>>,
    /// For spans and counters; the request has it too.
    delivery: Delivery,
}

/// What one step of the machine came to.
// As for the state itself: it is moved once, and a box would be an allocation for every request.
#[allow(clippy::large_enum_variant)]
enum Turn<S, B, F, A, E> {
    Answer(Response<Bytes>, Option<Rest<B>>),
    Next(State<S, B, F, A, E>),
    /// Verified: the inner service is to be asked and called.
    Pass(Passed<S>),
    Refuse(VerifyError, Option<Rest<B>>),
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<Full<Bytes>>>,
{
    pub(super) fn new(inner: S, config: Arc<Config>, request: Request<B>) -> Self {
        config.meter.received();
        let span = ReceiveSpan::new(config.scheme.name());
        Self { config, span, state: State::Start { inner, request } }
    }
}

impl<S, B, R> Future for ResponseFuture<S, B>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>>,
    B: Body<Data: Buf, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    type Output = Result<Response<ResponseBody<R>>, S::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // A panic of the application's becomes an answer. Afterwards nothing of the broken state is used again.
        match catch_unwind(AssertUnwindSafe(|| self.as_mut().advance(cx))) {
            Ok(poll) => poll,
            Err(_) => {
                let mut this = self.project();
                let _entered = this.span.enter();
                if let Some(handling) = this.state.as_mut().handling() {
                    handling.end(Ended::Panicked, None);
                }
                let rest = this.state.as_mut().rest(this.config);
                this.state.as_mut().project_replace(State::Done);
                observe::panicked(this.config.scheme.name());
                let response = rejection::panicked();
                this.span.verified(response.status().as_u16());
                if rest.is_none() {
                    return Poll::Ready(Ok(response.map(ResponseBody::own)));
                }
                this.state.as_mut().project_replace(State::Answered { rest, response: Some(response) });
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

impl<S, B, R> ResponseFuture<S, B>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>>,
    B: Body<Data: Buf, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    fn advance(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<<Self as Future>::Output> {
        let mut this = self.project();
        let _entered = this.span.enter();
        loop {
            let turn = match this.state.as_mut().project() {
                StateProjection::Start { .. } => {
                    let StateReplacement::Start { inner, request } = this.state.as_mut().project_replace(State::Done)
                    else {
                        unreachable!("the state has just been seen to be `Start`");
                    };
                    start(this.config, inner, request)
                }
                StateProjection::Secrets { future, pending } => {
                    let secrets = ready!(future.as_mut().poll(cx));
                    let Some((inner, parts, body, now)) = pending.take() else {
                        unreachable!("what waits for the secrets is taken once");
                    };
                    with_secrets(this.config, secrets, inner, parts, body, now)
                }
                StateProjection::Body { body, mut timer, reading } => {
                    let result = ready!(read(cx, this.config, Pin::new(body), timer.as_mut(), reading));
                    let until = timer.as_pin_mut().map(|timer| timer.deadline());
                    let StateReplacement::Body { body, reading, .. } = this.state.as_mut().project_replace(State::Done)
                    else {
                        unreachable!("the state has just been seen to be `Body`");
                    };
                    match result {
                        Ok(()) => finish(this.config, reading),
                        Err(error) if error.kind() == VerifyErrorKind::BodyIncomplete => Turn::Refuse(error, None),
                        Err(error) => {
                            let until = until.unwrap_or_else(|| Instant::now() + this.config.body_timeout);
                            let rest = Rest::begun(this.config, &reading.parts, body, until);
                            Turn::Refuse(error, Some(rest))
                        }
                    }
                }
                StateProjection::Answered { rest, response } => {
                    let drained = match rest.as_mut() {
                        Some(rest) => ready!(rest.poll(cx)),
                        None => Drained::Empty,
                    };
                    if let (Drained::Silent, Some(rest)) = (drained, rest.take()) {
                        rest.linger();
                    }
                    let Some(response) = response.take() else {
                        unreachable!("the answer is taken once");
                    };
                    this.state.as_mut().project_replace(State::Done);
                    return Poll::Ready(Ok(response.map(ResponseBody::own)));
                }
                StateProjection::Refresh { future, mismatched } => {
                    if mismatched.as_ref().is_some_and(|mismatched| mismatched.kept.is_taken(cx)) {
                        Turn::Refuse(VerifyError::new(VerifyErrorKind::OverBudget), None)
                    } else {
                        let newer = ready!(future.as_mut().poll(cx));
                        let Some(mismatched) = mismatched.take() else {
                            unreachable!("what waits for newer secrets is taken once");
                        };
                        with_newer(this.config, newer, *mismatched)
                    }
                }
                StateProjection::Passed { passed } => {
                    let Some(passed) = passed.take() else {
                        unreachable!("what has passed is put back while the inner service is not ready");
                    };
                    Turn::Pass(passed)
                }
                StateProjection::Inner { future, handling } => {
                    let result = {
                        let _entered = handling.enter();
                        ready!(future.poll(cx))
                    };
                    let result = result.map(|response| this.config.finish(response));
                    note(handling, this.span, &result);
                    this.state.as_mut().project_replace(State::Done);
                    return Poll::Ready(result);
                }
                StateProjection::Batch { mut future, batch } => {
                    if let Some(running) = future.as_mut().as_pin_mut() {
                        // A panic is this item's own failure, and the others are still to be handled.
                        let ended = {
                            let _entered = batch.handling.as_ref().map(Handling::enter);
                            match catch_unwind(AssertUnwindSafe(|| running.poll(cx))) {
                                Ok(Poll::Pending) => return Poll::Pending,
                                Ok(Poll::Ready(Ok(response))) => ItemEnd::Responded(response),
                                Ok(Poll::Ready(Err(error))) => ItemEnd::Failed(error),
                                Err(_) => ItemEnd::Panicked,
                            }
                        };
                        let dropped = catch_unwind(AssertUnwindSafe(|| future.set(None)));
                        let ended = if dropped.is_ok() { ended } else { ItemEnd::Panicked };
                        end_item(batch, ended, this.span, this.config);
                    }
                    // Each call is of a service that has said that it is ready.
                    if let Err(error) = ready!(batch.inner.poll_ready(cx)) {
                        this.state.as_mut().project_replace(State::Done);
                        return Poll::Ready(Err(error));
                    }
                    if let Some(request) = batch.next_request() {
                        let running = {
                            let _entered = batch.handling.as_ref().map(Handling::enter);
                            catch_unwind(AssertUnwindSafe(|| batch.inner.call(request)))
                        };
                        match running {
                            Ok(running) => future.set(Some(running)),
                            Err(_) => end_item(batch, ItemEnd::Panicked, this.span, this.config),
                        }
                        continue;
                    }
                    let response = match batch.answer() {
                        Some(ItemEnd::Responded(response)) => this.config.finish(response),
                        Some(ItemEnd::Panicked) => rejection::panicked().map(ResponseBody::own),
                        Some(ItemEnd::Failed(error)) => {
                            this.state.as_mut().project_replace(State::Done);
                            return Poll::Ready(Err(error));
                        }
                        None => this.config.scheme.acknowledge().into_response().map(ResponseBody::own),
                    };
                    this.span.verified(response.status().as_u16());
                    this.state.as_mut().project_replace(State::Done);
                    return Poll::Ready(Ok(response));
                }
                StateProjection::Done => panic!("`ResponseFuture` polled after it was ready"),
            };
            let (response, rest) = match turn {
                Turn::Next(state) => {
                    this.state.as_mut().project_replace(state);
                    continue;
                }
                Turn::Pass(mut passed) => match passed.inner.poll_ready(cx) {
                    Poll::Ready(Ok(())) => {
                        let Passed { mut inner, request, delivery } = passed;
                        let handling = Handling::begin(&this.config.meter, &delivery);
                        let future = {
                            let _entered = handling.enter();
                            inner.call(request)
                        };
                        this.state.as_mut().project_replace(State::Inner { future, handling });
                        continue;
                    }
                    Poll::Ready(Err(error)) => {
                        this.state.as_mut().project_replace(State::Done);
                        return Poll::Ready(Err(error));
                    }
                    Poll::Pending => {
                        this.state.as_mut().project_replace(State::Passed { passed: Some(passed) });
                        return Poll::Pending;
                    }
                },
                Turn::Answer(response, rest) => {
                    this.config.meter.handshake();
                    this.span.handshake(response.status().as_u16());
                    (response, rest)
                }
                Turn::Refuse(error, rest) => {
                    // Kept for the case that the application's own response panics.
                    this.state.as_mut().project_replace(State::Answered { rest, response: None });
                    let kind = error.kind();
                    this.config.meter.refused(kind);
                    let response = this.config.refuse(error);
                    this.span.refused(kind.as_str(), response.status().as_u16());
                    (response, this.state.as_mut().rest(this.config))
                }
            };
            if rest.is_none() {
                this.state.as_mut().project_replace(State::Done);
                return Poll::Ready(Ok(response.map(ResponseBody::own)));
            }
            this.state.as_mut().project_replace(State::Answered { rest, response: Some(response) });
        }
    }
}

/// Tells how the inner service ended with one delivery.
fn note<R, E>(handling: &mut Handling, span: &ReceiveSpan, result: &Result<Response<R>, E>) {
    match result {
        Ok(response) => note_response(handling, span, response),
        Err(_) => handling.end(Ended::Failed, None),
    }
}

fn note_response<R>(handling: &mut Handling, span: &ReceiveSpan, response: &Response<R>) {
    let status = response.status().as_u16();
    // A part inside may know better than its status says.
    let outcome = response.extensions().get().copied().unwrap_or_else(|| Ended::of_status(status));
    handling.end(outcome, Some(status));
    span.verified(status);
}

/// Tells how an item of a batch ended, and notes it for the answer.
fn end_item<S, R, E>(
    batch: &mut Batch<S, Response<R>, E>,
    end: ItemEnd<Response<R>, E>,
    span: &ReceiveSpan,
    config: &Config,
) {
    if let Some(mut handling) = batch.handling.take() {
        match &end {
            ItemEnd::Responded(response) => note_response(&mut handling, span, response),
            ItemEnd::Failed(_) => handling.end(Ended::Failed, None),
            ItemEnd::Panicked => {
                let _entered = handling.enter();
                observe::panicked(config.scheme.name());
            }
        }
        if matches!(end, ItemEnd::Panicked) {
            handling.end(Ended::Panicked, None);
        }
    }
    batch.note(end);
}

impl<S, B, F, A, E> State<S, B, F, A, E> {
    /// The delivery that the inner service has in hand.
    fn handling(self: Pin<&mut Self>) -> Option<&mut Handling> {
        match self.project() {
            StateProjection::Inner { handling, .. } => Some(handling),
            StateProjection::Batch { batch, .. } => batch.handling.as_mut(),
            _ => None,
        }
    }

    /// Takes out the body that nobody reads: it waits for the secrets, or for the answer.
    fn rest(self: Pin<&mut Self>, config: &Config) -> Option<Rest<B>>
    where
        B: Body,
    {
        match self.project() {
            StateProjection::Answered { rest, response: None } => rest.take(),
            StateProjection::Secrets { pending, .. } => {
                pending.take().and_then(|(_, parts, body, _)| Rest::unread(config, &parts, body))
            }
            _ => None,
        }
    }
}

/// Looks at the head, and goes on to the body or to the source of secrets.
fn start<S, B>(config: &Config, inner: S, request: Request<B>) -> Turn<S, B, S::Future, S::Response, S::Error>
where
    S: Service<Request<Full<Bytes>>>,
    B: Body,
{
    let (mut parts, body) = request.into_parts();
    let now = config.clock.now();
    let step = match config.verification {
        Verification::On => config.scheme.inspect(head(&parts), now),
        Verification::Off => config.scheme.inspect_unverified(head(&parts), now),
    };
    let step = match step {
        Ok(step) => step,
        Err(error) => return Turn::Refuse(error, Rest::unread(config, &parts, body)),
    };
    if let Step::Answer(answer) = step {
        return Turn::Answer(answer.into_response(), Rest::unread(config, &parts, body));
    }
    if let Err(error) = check_length(config, &parts, &body) {
        return Turn::Refuse(error, Rest::unread(config, &parts, body));
    }
    match &config.secrets {
        // A challenge is answered either way: it asks for the secret, not for a check.
        _ if config.verification == Verification::Off && matches!(step, Step::Verify(_)) => {
            read_with(config, inner, parts, body, config.scheme.skip(now))
        }
        Keyring::Fixed(ring) => with_ring(config, step, inner, parts, body, now, Arc::clone(ring)),
        Keyring::Source(source) => {
            let future = look_up(Arc::clone(source), host::request_head(&mut parts));
            Turn::Next(State::Secrets { future, pending: Some((inner, parts, body, now)) })
        }
    }
}

fn with_secrets<S, B>(
    config: &Config,
    secrets: Result<Secrets, BoxError>,
    inner: S,
    parts: Parts,
    body: B,
    now: SystemTime,
) -> Turn<S, B, S::Future, S::Response, S::Error>
where
    S: Service<Request<Full<Bytes>>>,
    B: Body,
{
    let ring = secrets
        .map_err(|cause| VerifyError::new(VerifyErrorKind::SecretUnavailable).with_source(cause))
        .and_then(|secrets| config.ring(&secrets));
    // The head is looked at again instead of being remembered: that is cheap, and its findings borrow from it.
    match ring.and_then(|ring| Ok((ring, config.scheme.inspect(head(&parts), now)?))) {
        Ok((ring, step)) => with_ring(config, step, inner, parts, body, now, ring),
        Err(error) => Turn::Refuse(error, Rest::unread(config, &parts, body)),
    }
}

fn with_ring<S, B>(
    config: &Config,
    step: Step,
    inner: S,
    parts: Parts,
    body: B,
    now: SystemTime,
    ring: Arc<KeyRing>,
) -> Turn<S, B, S::Future, S::Response, S::Error>
where
    S: Service<Request<Full<Bytes>>>,
    B: Body,
{
    if let Err(error) = ring.check_valid(now) {
        return Turn::Refuse(error, Rest::unread(config, &parts, body));
    }
    let check = match step {
        Step::Answer(answer) => return Turn::Answer(answer.into_response(), Rest::unread(config, &parts, body)),
        Step::Challenge(_) if ring.is_decoy() => {
            return Turn::Refuse(VerifyError::new(VerifyErrorKind::UnknownTenant), Rest::unread(config, &parts, body));
        }
        Step::Challenge(index) => {
            return match config.scheme.challenge(index, head(&parts), &ring, now) {
                Ok(answer) => Turn::Answer(answer.into_response(), Rest::unread(config, &parts, body)),
                Err(error) => Turn::Refuse(error, Rest::unread(config, &parts, body)),
            };
        }
        Step::Verify(inspected) => config.scheme.begin(head(&parts), inspected, ring, now),
    };
    match check {
        Ok(check) => read_with(config, inner, parts, body, check),
        Err(error) => Turn::Refuse(error, Rest::unread(config, &parts, body)),
    }
}

fn read_with<S, B>(
    config: &Config,
    inner: S,
    parts: Parts,
    body: B,
    check: Check,
) -> Turn<S, B, S::Future, S::Response, S::Error>
where
    S: Service<Request<Full<Bytes>>>,
    B: Body,
{
    let declared = usize::try_from(body.size_hint().upper().unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
    let reading = Reading {
        inner,
        parts,
        check,
        kept: Kept::new(config.budget.as_ref()),
        received: 0,
        expected: declared.min(config.body_limit),
    };
    Turn::Next(State::Body { body, timer: None, reading })
}

/// How many frames are taken before other tasks get their turn: far more than a body within the limit has, if its sender
/// does not cut it up on purpose.
const FRAMES_IN_A_TURN: usize = 256;

/// Reads and hashes frame by frame, until the end, the limit or the deadline.
fn read<S, B>(
    cx: &mut Context<'_>,
    config: &Config,
    mut body: Pin<&mut B>,
    timer: Pin<&mut Option<Sleep>>,
    reading: &mut Reading<S>,
) -> Poll<Result<(), VerifyError>>
where
    B: Body<Data: Buf, Error: Into<BoxError>>,
{
    if reading.kept.is_taken(cx) {
        return Poll::Ready(Err(VerifyError::new(VerifyErrorKind::OverBudget)));
    }
    for _ in 0..FRAMES_IN_A_TURN {
        let frame = match body.as_mut().poll_frame(cx) {
            Poll::Ready(None) => return Poll::Ready(Ok(())),
            Poll::Ready(Some(Ok(frame))) => frame,
            Poll::Ready(Some(Err(cause))) => return Poll::Ready(Err(body_error(cause.into()))),
            Poll::Pending => {
                ready!(deadline(cx, config, timer));
                return Poll::Ready(Err(VerifyError::new(VerifyErrorKind::BodyTooSlow)));
            }
        };
        // Trailers are not signed by any scheme.
        let Ok(mut data) = frame.into_data() else { continue };
        let length = data.remaining();
        if length > config.body_limit.saturating_sub(reading.received) {
            return Poll::Ready(Err(VerifyError::new(VerifyErrorKind::BodyTooLarge)));
        }
        reading.received += length;
        // For the `Bytes` of an HTTP server this is a move, not a copy.
        let bytes = data.copy_to_bytes(length);
        reading.check.update(&bytes);
        if reading.kept.push(bytes, reading.expected) == Err(OverBudget) {
            return Poll::Ready(Err(VerifyError::new(VerifyErrorKind::OverBudget)));
        }
    }
    // Frames may be as small as nought bytes, so that neither the limit nor a wait ends a body that is always there. The
    // deadline does, and others get their turn.
    if deadline(cx, config, timer).is_ready() {
        return Poll::Ready(Err(VerifyError::new(VerifyErrorKind::BodyTooSlow)));
    }
    cx.waker().wake_by_ref();
    Poll::Pending
}

/// Is ready once the body has had its time, which begins with the first call.
fn deadline(cx: &mut Context<'_>, config: &Config, mut timer: Pin<&mut Option<Sleep>>) -> Poll<()> {
    if timer.is_none() {
        timer.set(Some(sleep(config.body_timeout)));
    }
    match timer.as_mut().as_pin_mut() {
        Some(timer) => timer.poll(cx),
        None => Poll::Pending,
    }
}

/// Compares. If no secret matches, a source that keeps its answers is asked for newer ones.
fn finish<S, B, R>(config: &Arc<Config>, reading: Reading<S>) -> Turn<S, B, S::Future, S::Response, S::Error>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>>,
{
    let Reading { inner, mut parts, check, mut kept, .. } = reading;
    let Ok(body) = kept.take() else {
        return Turn::Refuse(VerifyError::new(VerifyErrorKind::OverBudget), None);
    };
    let Keyring::Source(source) = &config.secrets else {
        let outcome = check.finish(head(&parts), body);
        return conclude(config, inner, parts, outcome);
    };
    let (ring, now) = (Arc::clone(check.ring()), check.now());
    match check.finish(head(&parts), body.clone()) {
        // Whatever the decoy's check came to, after as much work as any other.
        _ if ring.is_decoy() => Turn::Refuse(VerifyError::new(VerifyErrorKind::UnknownTenant), None),
        Err(error) if error.kind() == VerifyErrorKind::SignatureMismatch => {
            let future = refresh(Arc::clone(source), host::request_head(&mut parts), ring.secrets().clone());
            kept.put_back(body);
            let mismatched = Mismatched { inner, parts, kept, now, error };
            Turn::Next(State::Refresh { future, mismatched: Some(Box::new(mismatched)) })
        }
        outcome => conclude(config, inner, parts, outcome),
    }
}

/// Verifies again, with newer secrets.
fn with_newer<S, B, R>(
    config: &Arc<Config>,
    newer: Result<Option<Secrets>, BoxError>,
    mismatched: Mismatched<S>,
) -> Turn<S, B, S::Future, S::Response, S::Error>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>>,
{
    let Mismatched { inner, parts, mut kept, now, error } = mismatched;
    let Ok(body) = kept.take() else {
        return Turn::Refuse(VerifyError::new(VerifyErrorKind::OverBudget), None);
    };
    let ring = match newer {
        Ok(Some(secrets)) => config.ring(&secrets),
        Ok(None) => Err(error.clone()),
        Err(cause) => Err(VerifyError::new(VerifyErrorKind::SecretUnavailable).with_source(cause)),
    };
    let ring = match ring.and_then(|ring| ring.check_valid(now).map(|()| ring)) {
        Ok(ring) if ring.is_decoy() => Err(VerifyError::new(VerifyErrorKind::UnknownTenant)),
        other => other,
    };
    let check = ring.and_then(|ring| match config.scheme.inspect(head(&parts), now)? {
        Step::Verify(inspected) => config.scheme.begin(head(&parts), inspected, ring, now),
        Step::Answer(_) | Step::Challenge(_) => Err(error),
    });
    let outcome = check.and_then(|mut check| {
        check.update(&body);
        check.finish(head(&parts), body)
    });
    conclude(config, inner, parts, outcome)
}

/// Rejects, answers, or goes on to the inner service.
fn conclude<S, B, R>(
    config: &Arc<Config>,
    inner: S,
    parts: Parts,
    outcome: Result<Outcome, VerifyError>,
) -> Turn<S, B, S::Future, S::Response, S::Error>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>>,
{
    match outcome {
        Err(error) => Turn::Refuse(error, None),
        Ok(Outcome::Answer(answer)) => Turn::Answer(answer.into_response(), None),
        Ok(Outcome::Delivery(delivery)) => {
            if let Some(items) = delivery.items() {
                let batch = Batch::new(inner, Arc::clone(config), parts, items);
                return Turn::Next(State::Batch { future: None, batch });
            }
            let noted = delivery.clone();
            let request = verified_request(parts, delivery, config);
            Turn::Pass(Passed { inner, request, delivery: noted })
        }
    }
}

/// Refuses a body that says that it is too large, before it is read.
fn check_length<B: Body>(config: &Config, parts: &Parts, body: &B) -> Result<(), VerifyError> {
    let declared = parts.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let least = body.size_hint().lower().max(declared.unwrap_or(0));
    if least > u64::try_from(config.body_limit).unwrap_or(u64::MAX) {
        return Err(VerifyError::new(VerifyErrorKind::BodyTooLarge));
    }
    Ok(())
}

/// A layer outside may bound bodies too; its error is in the chain.
fn body_error(cause: BoxError) -> VerifyError {
    let mut error: Option<&(dyn Error + 'static)> = Some(&*cause);
    while let Some(current) = error {
        if current.is::<LengthLimitError>() {
            return VerifyError::new(VerifyErrorKind::BodyTooLarge);
        }
        error = current.source();
    }
    VerifyError::new(VerifyErrorKind::BodyIncomplete).with_source(cause)
}

fn head(parts: &Parts) -> Head<'_> {
    Head::new(&parts.method, host::original_uri(parts), &parts.headers)
}

impl Config {
    /// Gives a success of the crate's own the form that the sender prescribes, if it does.
    fn finish<R>(&self, response: Response<R>) -> Response<ResponseBody<R>> {
        if response.extensions().get::<Acknowledged>().is_none() {
            return response.map(ResponseBody::inner);
        }
        let Some(prescribed) = self.scheme.success() else { return response.map(ResponseBody::inner) };
        let (mut own, _) = response.into_parts();
        own.headers.remove(header::CONTENT_TYPE);
        own.headers.remove(header::CONTENT_LENGTH);
        let mut response = prescribed.into_response::<Bytes>().map(ResponseBody::own);
        response.headers_mut().extend(own.headers);
        *response.extensions_mut() = own.extensions;
        response
    }

    /// Tells the operator why, and the network that.
    fn refuse(&self, error: VerifyError) -> Response<Bytes> {
        let mut response = match &self.rejection {
            Some(rejection) => rejection(&error),
            None => rejection::response(&error, self.scheme.refused(), || self.scheme.methods()),
        };
        observe::refused(self.scheme.name(), response.status().as_u16(), &error);
        response.extensions_mut().insert(error);
        response
    }
}

impl<S, B> fmt::Debug for ResponseFuture<S, B>
where
    S: Service<Request<Full<Bytes>>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
