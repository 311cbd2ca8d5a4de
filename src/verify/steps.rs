use std::{
    ops::ControlFlow,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::SystemTime,
};

use bytes::Bytes;
use http::{Request, Response, request::Parts};
use http_body::Body;
use http_body_util::Full;
use tower_service::Service;

#[cfg(feature = "remote-keys")]
use super::look_up::confirm;
use super::{
    batch::Batch,
    body::ResponseBody,
    budget::Kept,
    config::{Config, Keyring, Verification},
    look_up::{LookUp, look_up, refresh},
    read::check_length,
    state::{Arriving, Mismatched, Passed, Reading, State, StateOf, StateProjection, Turn, head},
    verified::verified_request,
};
#[cfg(feature = "remote-keys")]
use crate::keys::Asked;
use crate::{
    boxed::BoxError,
    error::{VerifyError, VerifyErrorKind},
    head::RequestHead,
    host,
    observe::Handling,
    scheme::{Check, KeyRing, Outcome, Step},
    secret::Secrets,
};

/// What the inner service's answer is, or what comes next.
type Ended<R, E, B> = Poll<ControlFlow<Result<Response<ResponseBody<R>>, E>, Turn<B>>>;

/// Looks at the head, and goes on to the body or to the source of secrets.
pub(super) fn start<S, B>(config: &Config, arriving: &mut Arriving<S, B>, mut state: Pin<&mut StateOf<S, B>>) -> Turn<B>
where
    S: Service<Request<Full<Bytes>>>,
    B: Body,
{
    let now = config.clock.now();
    let step = match config.verification {
        Verification::On => config.scheme.inspect(arriving.head(), now),
        Verification::Off => config.scheme.inspect_unverified(arriving.head(), now),
    };
    let step = match step {
        Ok(step) => step,
        Err(error) => return Turn::Reject(error, arriving.rest(config)),
    };
    if let Step::Answer(answer) = step {
        return Turn::Answer(answer.into_response(), arriving.rest(config));
    }
    if let Some(Err(error)) = arriving.body.as_ref().map(|body| check_length(config, &arriving.parts, body)) {
        return Turn::Reject(error, arriving.rest(config));
    }
    match &config.secrets {
        // A challenge is answered either way: it asks for the secret, not for a check.
        _ if config.verification == Verification::Off && matches!(step, Step::Verify(_)) => {
            read_with(config, arriving, state, config.scheme.skip(now))
        }
        Keyring::Fixed(ring) => with_ring(config, step, now, arriving, state, Arc::clone(ring)),
        // Its secrets are asked for once the body has been read.
        Keyring::Source(_) if config.scheme.names_key_in_body() => {
            with_ring(config, step, now, arriving, state, Arc::new(KeyRing::empty()))
        }
        Keyring::Source(source) => {
            let future = look_up(Arc::clone(source), named_head(config, &mut arriving.parts));
            state.set(State::Secrets { future, now });
            Turn::Next
        }
    }
}

/// Continues with the answer of the source of secrets.
pub(super) fn with_secrets<S, B>(
    config: &Config,
    secrets: Result<Secrets, BoxError>,
    now: SystemTime,
    arriving: &mut Arriving<S, B>,
    state: Pin<&mut StateOf<S, B>>,
) -> Turn<B>
where
    S: Service<Request<Full<Bytes>>>,
    B: Body,
{
    let ring = secrets
        .map_err(|cause| VerifyError::new(VerifyErrorKind::SecretUnavailable).with_source(cause))
        .and_then(|secrets| config.ring(&secrets));
    // The head is looked at again instead of being remembered: that is cheap, and its findings borrow from it.
    match ring.and_then(|ring| Ok((ring, config.scheme.inspect(arriving.head(), now)?))) {
        Ok((ring, step)) => with_ring(config, step, now, arriving, state, ring),
        Err(error) => Turn::Reject(error, arriving.rest(config)),
    }
}

fn with_ring<S, B>(
    config: &Config,
    step: Step,
    now: SystemTime,
    arriving: &mut Arriving<S, B>,
    state: Pin<&mut StateOf<S, B>>,
    ring: Arc<KeyRing>,
) -> Turn<B>
where
    S: Service<Request<Full<Bytes>>>,
    B: Body,
{
    if let Err(error) = ring.check_valid(now) {
        return Turn::Reject(error, arriving.rest(config));
    }
    let check = match step {
        Step::Answer(answer) => return Turn::Answer(answer.into_response(), arriving.rest(config)),
        Step::Challenge(index) => {
            if let Some(error) = ring.end() {
                return Turn::Reject(error, arriving.rest(config));
            }
            return match config.scheme.challenge(index, arriving.head(), &ring, now) {
                Ok(answer) => Turn::Answer(answer.into_response(), arriving.rest(config)),
                Err(error) => Turn::Reject(error, arriving.rest(config)),
            };
        }
        Step::Verify(inspected) => config.scheme.begin(arriving.head(), inspected, ring, now),
    };
    match check {
        Ok(check) => read_with(config, arriving, state, check),
        Err(error) => Turn::Reject(error, arriving.rest(config)),
    }
}

fn read_with<S, B>(
    config: &Config,
    arriving: &Arriving<S, B>,
    mut state: Pin<&mut StateOf<S, B>>,
    check: Check,
) -> Turn<B>
where
    S: Service<Request<Full<Bytes>>>,
    B: Body,
{
    let declared = arriving.body.as_ref().and_then(|body| usize::try_from(body.size_hint().upper()?).ok());
    let expected = declared.unwrap_or(usize::MAX).min(config.body_limit);
    let reading = Reading { check, kept: Kept::new(config.budget.as_ref()), received: 0, expected };
    state.set(State::Body { timer: None, reading });
    Turn::Next
}

/// Compares. If no secret matches, a source that keeps its answers is asked for newer ones.
pub(super) fn finish<S, B, R>(
    config: &Arc<Config>,
    arriving: &mut Option<Arriving<S, B>>,
    mut state: Pin<&mut StateOf<S, B>>,
    cx: &mut Context<'_>,
) -> Ended<R, S::Error, B>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>>,
{
    let turn = |turn| Poll::Ready(ControlFlow::Continue(turn));
    let (StateProjection::Body { reading, .. }, Some(brought)) = (state.as_mut().project(), arriving.as_mut()) else {
        unreachable!("a body has been read");
    };
    // Whatever it holds of its connection is not to outlive its end.
    brought.body = None;
    let Ok(body) = reading.kept.take() else {
        return turn(Turn::Reject(VerifyError::new(VerifyErrorKind::OverBudget), None));
    };
    let source = match &config.secrets {
        // Where nothing is verified, no key is needed.
        Keyring::Source(source) if config.verification == Verification::On => source,
        _ => {
            let outcome = reading.check.finish(head(&brought.parts), body);
            return conclude(config, outcome, arriving, state, cx);
        }
    };
    let (ring, now) = (Arc::clone(reading.check.ring()), reading.check.now());
    if config.scheme.names_key_in_body() {
        let id = match config.scheme.key_id_in_body(head(&brought.parts), &body) {
            Ok(id) => id,
            Err(error) => return turn(Turn::Reject(error, None)),
        };
        let asked = look_up(Arc::clone(source), host::request_head(&mut brought.parts).with_key_id(id));
        let future: LookUp<Option<Secrets>> = Box::pin(async move { asked.await.map(Some) });
        let error = VerifyError::new(VerifyErrorKind::UnknownKey);
        refresh_with(future, error, now, body, state);
        return turn(Turn::Next);
    }
    let outcome = reading.check.finish(head(&brought.parts), body.clone());
    // Whatever the decoy's check came to, after as much work as any other.
    if let Some(error) = ring.end() {
        return turn(Turn::Reject(error, None));
    }
    match outcome {
        Err(error) if error.kind() == VerifyErrorKind::SignatureMismatch => {
            let head = named_head(config, &mut brought.parts);
            let future = refresh(Arc::clone(source), head, ring.secrets().clone());
            refresh_with(future, error, now, body, state);
            turn(Turn::Next)
        }
        outcome => conclude(config, outcome, arriving, state, cx),
    }
}

/// Waits for secrets, with a body that was read.
fn refresh_with<S, B>(
    future: LookUp<Option<Secrets>>,
    error: VerifyError,
    now: SystemTime,
    body: Bytes,
    mut state: Pin<&mut StateOf<S, B>>,
) where
    S: Service<Request<Full<Bytes>>>,
{
    let StateProjection::Body { reading, .. } = state.as_mut().project() else {
        unreachable!("a body has been read");
    };
    let mut kept = std::mem::replace(&mut reading.kept, Kept::new(None));
    kept.put_back(body);
    state.set(State::Refresh { future, mismatched: Some(Mismatched { kept, now, error }) });
}

/// Verifies again, with newer secrets.
pub(super) fn with_newer<S, B, R>(
    config: &Arc<Config>,
    newer: Result<Option<Secrets>, BoxError>,
    mismatched: Mismatched,
    arriving: &mut Option<Arriving<S, B>>,
    state: Pin<&mut StateOf<S, B>>,
    cx: &mut Context<'_>,
) -> Ended<R, S::Error, B>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>>,
{
    let Mismatched { mut kept, now, error } = mismatched;
    let (Ok(body), Some(brought)) = (kept.take(), arriving.as_ref()) else {
        let error = VerifyError::new(VerifyErrorKind::OverBudget);
        return Poll::Ready(ControlFlow::Continue(Turn::Reject(error, None)));
    };
    let ring = match newer {
        Ok(Some(secrets)) => config.ring(&secrets),
        Ok(None) => Err(error.clone()),
        Err(cause) => Err(VerifyError::new(VerifyErrorKind::SecretUnavailable).with_source(cause)),
    };
    let ring = match ring.and_then(|ring| ring.check_valid(now).map(|()| ring)) {
        Ok(ring) => ring.end().map_or(Ok(ring), Err),
        other => other,
    };
    let check = ring.and_then(|ring| match config.scheme.inspect(brought.head(), now)? {
        Step::Verify(inspected) => config.scheme.begin(brought.head(), inspected, ring, now),
        Step::Answer(_) | Step::Challenge(_) => Err(error),
    });
    let outcome = check.and_then(|mut check| {
        check.update(&body);
        check.finish(brought.head(), body)
    });
    conclude(config, outcome, arriving, state, cx)
}

/// The head as a source of secrets sees it, with the id of the key that the request names.
fn named_head(config: &Config, parts: &mut Parts) -> RequestHead {
    let id = config.scheme.key_id(head(parts));
    host::request_head(parts).with_key_id(id)
}

/// Rejects, answers, or continues with the inner service.
fn conclude<S, B, R>(
    config: &Arc<Config>,
    outcome: Result<Outcome, VerifyError>,
    arriving: &mut Option<Arriving<S, B>>,
    mut state: Pin<&mut StateOf<S, B>>,
    cx: &mut Context<'_>,
) -> Ended<R, S::Error, B>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>>,
{
    let turn = |turn| Poll::Ready(ControlFlow::Continue(turn));
    let delivery = match outcome {
        Err(error) => return turn(Turn::Reject(error, None)),
        Ok(Outcome::Answer(answer)) => return turn(Turn::Answer(answer.into_response(), None)),
        Ok(Outcome::Delivery(delivery)) => delivery,
    };
    #[cfg(feature = "remote-keys")]
    if let Some(confirmation) = &config.confirmation
        // What was not verified may be anybody's subscription, which would outlive the experiment.
        && config.verification == Verification::On
    {
        match confirmation.asked(&delivery) {
            Asked::Nothing => {}
            Asked::Unwanted => {
                return turn(Turn::Reject(VerifyError::new(VerifyErrorKind::HandshakeRejected), None));
            }
            Asked::Confirm(url) => {
                *arriving = None;
                state.set(State::Confirm { future: confirm(confirmation.clone(), url) });
                return turn(Turn::Next);
            }
        }
    }
    let Some(Arriving { inner, parts, .. }) = arriving.take() else {
        unreachable!("what a request brought is there until it passes");
    };
    if let Some(items) = delivery.items() {
        let batch = Box::new(Batch::new(inner, Arc::clone(config), parts, items));
        state.set(State::Batch { future: None, batch });
        return turn(Turn::Next);
    }
    let noted = delivery.clone();
    let request = verified_request(parts, delivery, config);
    call(config, state, Passed { inner, request, delivery: noted }, cx)
}

/// Calls the inner service once it is ready.
pub(super) fn call<S, B, R>(
    config: &Config,
    mut state: Pin<&mut StateOf<S, B>>,
    mut passed: Passed<S>,
    cx: &mut Context<'_>,
) -> Ended<R, S::Error, B>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>>,
{
    match passed.inner.poll_ready(cx) {
        Poll::Ready(Ok(())) => {
            let Passed { mut inner, request, delivery } = passed;
            let handling = Handling::begin(&config.meter, &delivery);
            let future = {
                let _entered = handling.enter();
                inner.call(request)
            };
            state.set(State::Inner { future, handling });
            Poll::Ready(ControlFlow::Continue(Turn::Next))
        }
        Poll::Ready(Err(error)) => Poll::Ready(ControlFlow::Break(Err(error))),
        Poll::Pending => {
            state.set(State::Passed { passed: Some(passed) });
            Poll::Pending
        }
    }
}
