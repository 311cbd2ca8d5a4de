use std::{
    fmt,
    future::Future,
    ops::ControlFlow,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_service::Service;

use super::{
    body::ResponseBody,
    config::Config,
    read::read,
    rejection,
    state::{Passed, Reading, State, StateProjection, StateReplacement, Turn, TurnOf},
    steps::{finish, start, with_newer, with_secrets},
};
use crate::{
    boxed::BoxError,
    drain::{Drained, Rest},
    error::{VerifyError, VerifyErrorKind},
    observe::{self, Handling, Outcome as Ended, ReceiveSpan},
    panics::{Panicked, caught},
    scheme::Answer,
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

/// The state of a request of which `S` is the inner service.
type StateOf<S, B> = State<
    S,
    B,
    <S as Service<Request<Full<Bytes>>>>::Future,
    <S as Service<Request<Full<Bytes>>>>::Response,
    <S as Service<Request<Full<Bytes>>>>::Error,
>;

/// The result of a request.
type Answered<R, E> = Result<Response<ResponseBody<R>>, E>;

/// The outcome of a state: the result of the request, or the next step.
type Turned<S, B, R> = ControlFlow<Answered<R, <S as Service<Request<Full<Bytes>>>>::Error>, TurnOf<S, B>>;

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
    type Output = Answered<R, S::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // A panic of the application is answered with 500. The broken state is then replaced, and nothing of it is used
        // again.
        match caught(|| self.as_mut().advance(cx)) {
            Ok(poll) => poll,
            Err(Panicked) => {
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
                // The next poll reads the rest of the body. It has to be requested, since this poll has registered no
                // waker.
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
        let (config, span) = (&*this.config, &*this.span);
        let _entered = span.enter();
        loop {
            let turn = match ready!(turn(config, span, this.state.as_mut(), cx)) {
                ControlFlow::Continue(turn) => turn,
                ControlFlow::Break(result) => {
                    this.state.as_mut().project_replace(State::Done);
                    return Poll::Ready(result);
                }
            };
            let (response, rest) = match turn {
                Turn::Next(state) => {
                    this.state.as_mut().project_replace(state);
                    continue;
                }
                Turn::Pass(passed) => {
                    if let Err(error) = ready!(call(config, this.state.as_mut(), passed, cx)) {
                        this.state.as_mut().project_replace(State::Done);
                        return Poll::Ready(Err(error));
                    }
                    continue;
                }
                Turn::Answer(response, rest) => {
                    config.meter.handshake();
                    span.handshake(response.status().as_u16());
                    (response, rest)
                }
                Turn::Reject(error, rest) => {
                    // The rest of the body is kept in the state, in case the application's own response panics.
                    this.state.as_mut().project_replace(State::Answered { rest, response: None });
                    let kind = error.kind();
                    config.meter.rejected(kind);
                    let response = config.reject(error);
                    span.rejected(kind.as_str(), response.status().as_u16());
                    (response, this.state.as_mut().rest(config))
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

/// Polls a state, and returns the next step or the result of the request.
fn turn<S, B, R>(
    config: &Arc<Config>,
    span: &ReceiveSpan,
    mut state: Pin<&mut StateOf<S, B>>,
    cx: &mut Context<'_>,
) -> Poll<Turned<S, B, R>>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>>,
    B: Body<Data: Buf, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    Poll::Ready(ControlFlow::Continue(match state.as_mut().project() {
        StateProjection::Start { .. } => {
            let StateReplacement::Start { inner, request } = state.project_replace(State::Done) else {
                unreachable!("the state has just been seen to be `Start`");
            };
            start(config, inner, request)
        }
        StateProjection::Secrets { future, arriving } => {
            let secrets = ready!(future.as_mut().poll(cx));
            let Some(arriving) = arriving.take() else {
                unreachable!("what waits for the secrets is taken once");
            };
            with_secrets(config, secrets, arriving)
        }
        StateProjection::Body { body, mut timer, reading } => {
            let result = ready!(read(cx, config, Pin::new(body), timer.as_mut(), reading));
            let until = timer.as_pin_mut().map(|timer| timer.deadline());
            let StateReplacement::Body { body, reading, .. } = state.project_replace(State::Done) else {
                unreachable!("the state has just been seen to be `Body`");
            };
            after_body(config, result, body, reading, until)
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
            return Poll::Ready(ControlFlow::Break(Ok(response.map(ResponseBody::own))));
        }
        // Before the look-up is polled: a body that was dropped to make room cannot be verified any more.
        StateProjection::Refresh { mismatched: Some(mismatched), .. } if mismatched.kept.is_taken(cx) => {
            Turn::Reject(VerifyError::new(VerifyErrorKind::OverBudget), None)
        }
        StateProjection::Refresh { future, mismatched } => {
            let newer = ready!(future.as_mut().poll(cx));
            let Some(mismatched) = mismatched.take() else {
                unreachable!("what waits for newer secrets is taken once");
            };
            with_newer(config, newer, *mismatched)
        }
        StateProjection::Confirm { future } => match ready!(future.as_mut().poll(cx)) {
            Ok(()) => Turn::Answer(Answer::new(StatusCode::OK).into_response(), None),
            Err(cause) => Turn::Reject(VerifyError::new(VerifyErrorKind::HandshakeFailed).with_source(cause), None),
        },
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
            let result = result.map(|response| config.finish(response));
            match &result {
                Ok(response) => handling.respond(span, response),
                Err(_) => handling.end(Ended::Failed, None),
            }
            return Poll::Ready(ControlFlow::Break(result));
        }
        StateProjection::Batch { future, batch } => {
            return batch.poll(future, span, cx).map(ControlFlow::Break);
        }
        StateProjection::Done => panic!("`ResponseFuture` polled after it was ready"),
    }))
}

/// Continues after the body was read, or answers without the rest of it. `until` is the deadline of the body, if there
/// is one.
fn after_body<S, B, R>(
    config: &Arc<Config>,
    result: Result<(), VerifyError>,
    body: B,
    reading: Reading<S>,
    until: Option<Instant>,
) -> TurnOf<S, B>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>>,
    B: Body,
{
    match result {
        Ok(()) => finish(config, reading),
        // The body has ended early, so there is no rest to read.
        Err(error) if error.kind() == VerifyErrorKind::BodyIncomplete => Turn::Reject(error, None),
        Err(error) => {
            let until = until.unwrap_or_else(|| Instant::now() + config.body_timeout);
            Turn::Reject(error, Some(Rest::begun(config.drain(), reading.parts.version, body, until)))
        }
    }
}

/// Calls the inner service once it is ready.
fn call<S, B, R>(
    config: &Config,
    mut state: Pin<&mut StateOf<S, B>>,
    mut passed: Passed<S>,
    cx: &mut Context<'_>,
) -> Poll<Result<(), S::Error>>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>>,
{
    // The instance that is polled here is the one that is called: another clone might not be ready.
    match passed.inner.poll_ready(cx) {
        Poll::Ready(Ok(())) => {
            let Passed { mut inner, request, delivery } = passed;
            let handling = Handling::begin(&config.meter, &delivery);
            let future = {
                let _entered = handling.enter();
                inner.call(request)
            };
            state.as_mut().project_replace(State::Inner { future, handling });
            Poll::Ready(Ok(()))
        }
        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        Poll::Pending => {
            state.as_mut().project_replace(State::Passed { passed: Some(passed) });
            Poll::Pending
        }
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
