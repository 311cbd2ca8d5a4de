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
    /// How far a request has come. What it brought stands beside this, in [`Arriving`].
    #[project = StateProjection]
    pub(super) enum State<S, B, F, A, E> {
        // Nothing has been looked at.
        Start,
        // The source of secrets is being asked.
        Secrets { future: LookUp<Secrets>, now: SystemTime },
        // The body is being read and hashed.
        Body { #[pin] timer: Option<Sleep>, reading: Reading },
        // The request is answered before its body's end, and what is left of the body is read and dropped. The response is there
        // once it is made.
        Answered { rest: Option<Rest<B>>, response: Option<Response<Bytes>> },
        // No secret has matched, and the source is asked for newer ones; or the body names the key, which is asked for. The body is in memory, and may still be taken away.
        Refresh { future: LookUp<Option<Secrets>>, mismatched: Option<Mismatched> },
        // The request has passed, and asks for the confirmation of a subscription, which is under way.
        Confirm { future: LookUp<()> },
        // The request was verified, and waits until the inner service is ready.
        Passed { passed: Option<Passed<S>> },
        // The inner service runs.
        Inner { #[pin] future: F, handling: Handling },
        // The inner service runs for one item of a batch after the other. In a box, since few requests are batches, and every request
        // would reserve memory for one.
        Batch { #[pin] future: Option<F>, batch: Box<Batch<S, A, E>> },
        Done,
    }
}

/// What a request brought, and who is to handle it: from the call until the request passes. It stays in one place meanwhile, since
/// otherwise some hundred bytes would be copied with each state.
pub(super) struct Arriving<S, B> {
    pub(super) inner: S,
    pub(super) parts: Parts,
    /// `None` once it has been read.
    pub(super) body: Option<B>,
}

/// The check of a body, while it is read.
pub(super) struct Reading {
    pub(super) check: Check,
    pub(super) kept: Kept,
    pub(super) received: usize,
    /// How large the body may become: what it declares, within the limit.
    pub(super) expected: usize,
}

/// A body that waits for newer secrets.
pub(super) struct Mismatched {
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

/// What one step of the machine came to.
pub(super) enum Turn<B> {
    Answer(Response<Bytes>, Option<Rest<B>>),
    /// The state is another one.
    Next,
    Reject(VerifyError, Option<Rest<B>>),
}

/// The state of a request of which `S` is the inner service.
pub(super) type StateOf<S, B> = State<
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

    /// Returns what is to be read of the body if the request is answered without it.
    pub(super) fn rest(&mut self, config: &Config) -> Option<Rest<B>>
    where
        B: Body,
    {
        Rest::unread(config.drain(), &self.parts, self.body.take()?)
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

    /// Takes out the body that nobody reads: it waits for the secrets, or for the answer.
    pub(super) fn rest(self: Pin<&mut Self>, config: &Config, arriving: &mut Option<Arriving<S, B>>) -> Option<Rest<B>>
    where
        B: Body,
    {
        match self.project() {
            StateProjection::Answered { rest, response: None } => rest.take(),
            StateProjection::Start | StateProjection::Secrets { .. } => arriving.as_mut()?.rest(config),
            _ => None,
        }
    }
}

pub(super) fn head(parts: &Parts) -> Head<'_> {
    Head::new(&parts.method, host::original_uri(parts), &parts.headers)
}
