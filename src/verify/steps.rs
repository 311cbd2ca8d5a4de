use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, request::Parts};
use http_body::Body;
use http_body_util::Full;
use tower_service::Service;

#[cfg(feature = "remote-keys")]
use super::look_up::confirm;
use super::{
    batch::Batch,
    budget::Kept,
    config::{Config, Keyring, Verification},
    look_up::{LookUp, look_up, refresh},
    read::check_length,
    state::{Arriving, Mismatched, Passed, Reading, State, Turn, TurnOf, head},
    verified::verified_request,
};
#[cfg(feature = "remote-keys")]
use crate::keys::Asked;
use crate::{
    boxed::BoxError,
    error::{VerifyError, VerifyErrorKind},
    head::RequestHead,
    host,
    scheme::{Check, KeyRing, Outcome, Step},
    secret::Secrets,
};

/// Checks the head, and continues with the body or the source of secrets.
pub(super) fn start<S, B>(config: &Config, inner: S, request: Request<B>) -> TurnOf<S, B>
where
    S: Service<Request<Full<Bytes>>>,
    B: Body,
{
    let (parts, body) = request.into_parts();
    let now = config.clock.now();
    let mut arriving = Arriving { inner, parts, body, now };
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
    if let Err(error) = check_length(config, &arriving.parts, &arriving.body) {
        return Turn::Reject(error, arriving.rest(config));
    }
    match &config.secrets {
        // A challenge is answered either way: it asks for the secret, not for a check.
        _ if config.verification == Verification::Off && matches!(step, Step::Verify(_)) => {
            read_with(config, arriving, config.scheme.skip(now))
        }
        Keyring::Fixed(ring) => with_ring(config, step, arriving, Arc::clone(ring)),
        // Its secrets are asked for once the body has been read.
        Keyring::Source(_) if config.scheme.names_key_in_body() => {
            with_ring(config, step, arriving, Arc::new(KeyRing::empty()))
        }
        Keyring::Source(source) => {
            let future = look_up(Arc::clone(source), named_head(config, &mut arriving.parts));
            Turn::Next(State::Secrets { future, arriving: Some(arriving) })
        }
    }
}

/// Continues with the answer of the source of secrets.
pub(super) fn with_secrets<S, B>(
    config: &Config,
    secrets: Result<Secrets, BoxError>,
    arriving: Arriving<S, B>,
) -> TurnOf<S, B>
where
    S: Service<Request<Full<Bytes>>>,
    B: Body,
{
    let ring = secrets
        .map_err(|cause| VerifyError::new(VerifyErrorKind::SecretUnavailable).with_source(cause))
        .and_then(|secrets| config.ring(&secrets));
    // The head is looked at again instead of being remembered: that is cheap, and its findings borrow from it.
    match ring.and_then(|ring| Ok((ring, config.scheme.inspect(arriving.head(), arriving.now)?))) {
        Ok((ring, step)) => with_ring(config, step, arriving, ring),
        Err(error) => Turn::Reject(error, arriving.rest(config)),
    }
}

fn with_ring<S, B>(config: &Config, step: Step, arriving: Arriving<S, B>, ring: Arc<KeyRing>) -> TurnOf<S, B>
where
    S: Service<Request<Full<Bytes>>>,
    B: Body,
{
    let now = arriving.now;
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
        Ok(check) => read_with(config, arriving, check),
        Err(error) => Turn::Reject(error, arriving.rest(config)),
    }
}

fn read_with<S, B>(config: &Config, arriving: Arriving<S, B>, check: Check) -> TurnOf<S, B>
where
    S: Service<Request<Full<Bytes>>>,
    B: Body,
{
    let Arriving { inner, parts, body, .. } = arriving;
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

/// Compares. If no secret matches, a source that keeps its answers is asked for newer ones.
pub(super) fn finish<S, B, R>(config: &Arc<Config>, reading: Reading<S>) -> TurnOf<S, B>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>>,
{
    let Reading { inner, mut parts, check, mut kept, .. } = reading;
    let Ok(body) = kept.take() else {
        return Turn::Reject(VerifyError::new(VerifyErrorKind::OverBudget), None);
    };
    let Keyring::Source(source) = &config.secrets else {
        let outcome = check.finish(head(&parts), body);
        return conclude(config, inner, parts, outcome);
    };
    let (ring, now) = (Arc::clone(check.ring()), check.now());
    if config.scheme.names_key_in_body() {
        let id = match config.scheme.key_id_in_body(head(&parts), &body) {
            Ok(id) => id,
            Err(error) => return Turn::Reject(error, None),
        };
        let asked = look_up(Arc::clone(source), host::request_head(&mut parts).with_key_id(id));
        let future: LookUp<Option<Secrets>> = Box::pin(async move { asked.await.map(Some) });
        kept.put_back(body);
        let error = VerifyError::new(VerifyErrorKind::UnknownKey);
        let mismatched = Mismatched { inner, parts, kept, now, error };
        return Turn::Next(State::Refresh { future, mismatched: Some(Box::new(mismatched)) });
    }
    let outcome = check.finish(head(&parts), body.clone());
    // The result of the check with the decoy key does not matter; it has taken as much work as any other.
    if let Some(error) = ring.end() {
        return Turn::Reject(error, None);
    }
    match outcome {
        Err(error) if error.kind() == VerifyErrorKind::SignatureMismatch => {
            let head = named_head(config, &mut parts);
            let future = refresh(Arc::clone(source), head, ring.secrets().clone());
            kept.put_back(body);
            let mismatched = Mismatched { inner, parts, kept, now, error };
            Turn::Next(State::Refresh { future, mismatched: Some(Box::new(mismatched)) })
        }
        outcome => conclude(config, inner, parts, outcome),
    }
}

/// Verifies again, with newer secrets.
pub(super) fn with_newer<S, B, R>(
    config: &Arc<Config>,
    newer: Result<Option<Secrets>, BoxError>,
    mismatched: Mismatched<S>,
) -> TurnOf<S, B>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>>,
{
    let Mismatched { inner, parts, mut kept, now, error } = mismatched;
    let Ok(body) = kept.take() else {
        return Turn::Reject(VerifyError::new(VerifyErrorKind::OverBudget), None);
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

/// The head as a source of secrets sees it, with the id of the key that the request names.
fn named_head(config: &Config, parts: &mut Parts) -> RequestHead {
    let id = config.scheme.key_id(head(parts));
    host::request_head(parts).with_key_id(id)
}

/// Rejects, answers, or continues with the inner service.
fn conclude<S, B, R>(
    config: &Arc<Config>,
    inner: S,
    parts: Parts,
    outcome: Result<Outcome, VerifyError>,
) -> TurnOf<S, B>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>>,
{
    match outcome {
        Err(error) => Turn::Reject(error, None),
        Ok(Outcome::Answer(answer)) => Turn::Answer(answer.into_response(), None),
        Ok(Outcome::Delivery(delivery)) => {
            #[cfg(feature = "remote-keys")]
            if let Some(confirmation) = &config.confirmation {
                match confirmation.asked(&delivery) {
                    Asked::Nothing => {}
                    Asked::Unwanted => return Turn::Reject(VerifyError::new(VerifyErrorKind::HandshakeRejected), None),
                    Asked::Confirm(url) => {
                        return Turn::Next(State::Confirm { future: confirm(confirmation.clone(), url) });
                    }
                }
            }
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
