use std::{pin::Pin, time::SystemTime};

use bytes::Bytes;
use http::{Request, Response, request::Parts};
use http_body::Body;
use http_body_util::Full;
use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tower_service::Service;

use super::{batch::Batch, budget::Kept, config::Config, look_up::LookUp};
use crate::{
    delivery::Delivery, drain::Rest, error::VerifyError, head::Head, host, observe::Handling, scheme::Check,
    secret::Secrets,
};

pin_project! {
    /// How far a request has come.
    #[project = StateProjection]
    #[project_replace = StateReplacement]
    pub(super) enum State<S, B, F, A, E> {
        // Nothing has been looked at.
        Start { inner: S, request: Request<B> },
        // The source of secrets is being asked.
        Secrets { future: LookUp<Secrets>, arriving: Option<Arriving<S, B>> },
        // The body is being read and hashed.
        Body { body: B, #[pin] timer: Option<Sleep>, reading: Reading<S> },
        // The request is answered before the end of its body, and the rest of the body is read and dropped. The
        // response is set once it exists.
        Answered { rest: Option<Rest<B>>, response: Option<Response<Bytes>> },
        // No secret has matched, and the source is asked for newer ones; or the body names the key, and the source is
        // asked for it. The body is in memory, and may still be dropped to make room.
        Refresh { future: LookUp<Option<Secrets>>, mismatched: Option<Box<Mismatched<S>>> },
        // The request was verified, and its subscription is being confirmed.
        Confirm { future: LookUp<()> },
        // The request was verified, and waits until the inner service is ready.
        Passed { passed: Option<Passed<S>> },
        // The inner service runs.
        Inner { #[pin] future: F, handling: Handling },
        // The inner service runs for one item of a batch after the other.
        Batch { #[pin] future: Option<F>, batch: Batch<S, A, E> },
        Done,
    }
}

/// A request whose body has not been read.
pub(super) struct Arriving<S, B> {
    pub(super) inner: S,
    pub(super) parts: Parts,
    pub(super) body: B,
    pub(super) now: SystemTime,
}

/// Everything that waits for the body.
pub(super) struct Reading<S> {
    pub(super) inner: S,
    pub(super) parts: Parts,
    pub(super) check: Check,
    pub(super) kept: Kept,
    pub(super) received: usize,
    /// How large the body may become: what it declares, within the limit.
    pub(super) expected: usize,
}

/// Everything that waits for newer secrets.
pub(super) struct Mismatched<S> {
    pub(super) inner: S,
    pub(super) parts: Parts,
    pub(super) kept: Kept,
    pub(super) now: SystemTime,
    pub(super) error: VerifyError,
}

/// Everything that waits for the inner service to be ready.
pub(super) struct Passed<S> {
    pub(super) inner: S,
    pub(super) request: Request<Full<Bytes>>,
    /// For spans and counters; the request has it too.
    pub(super) delivery: Delivery,
}

/// The result of one step of the state machine.
// Not boxed, like the state itself: it is moved once, and a box would cost an allocation for every request.
#[allow(clippy::large_enum_variant)]
pub(super) enum Turn<S, B, F, A, E> {
    Answer(Response<Bytes>, Option<Rest<B>>),
    Next(State<S, B, F, A, E>),
    /// Verified: poll and call the inner service.
    Pass(Passed<S>),
    Reject(VerifyError, Option<Rest<B>>),
}

/// A turn of a request of which `S` is the inner service.
pub(super) type TurnOf<S, B> = Turn<
    S,
    B,
    <S as Service<Request<Full<Bytes>>>>::Future,
    <S as Service<Request<Full<Bytes>>>>::Response,
    <S as Service<Request<Full<Bytes>>>>::Error,
>;

impl<S, B> Arriving<S, B> {
    pub(super) fn head(&self) -> Head<'_> {
        head(&self.parts)
    }

    /// Returns the rest of the body to read, if the request is answered without it.
    pub(super) fn rest(self, config: &Config) -> Option<Rest<B>>
    where
        B: Body,
    {
        Rest::unread(config.drain(), &self.parts, self.body)
    }
}

impl<S, B, F, A, E> State<S, B, F, A, E> {
    /// Returns the delivery that the inner service handles.
    pub(super) fn handling(self: Pin<&mut Self>) -> Option<&mut Handling> {
        match self.project() {
            StateProjection::Inner { handling, .. } => Some(handling),
            StateProjection::Batch { batch, .. } => batch.handling.as_mut(),
            _ => None,
        }
    }

    /// Takes the unread body out of the state: it waits for the secrets, or for the answer.
    pub(super) fn rest(self: Pin<&mut Self>, config: &Config) -> Option<Rest<B>>
    where
        B: Body,
    {
        match self.project() {
            StateProjection::Answered { rest, response: None } => rest.take(),
            StateProjection::Secrets { arriving, .. } => arriving.take().and_then(|arriving| arriving.rest(config)),
            _ => None,
        }
    }
}

pub(super) fn head(parts: &Parts) -> Head<'_> {
    Head::new(&parts.method, host::original_uri(parts), &parts.headers)
}
