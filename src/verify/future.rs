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
    state::{Arriving, State, StateOf, StateProjection, Turn},
    steps::{call, finish, start, with_newer, with_secrets},
};
use crate::{
    boxed::BoxError,
    drain::{Drained, Rest},
    error::{VerifyError, VerifyErrorKind},
    observe::{self, Outcome as Ended, ReceiveSpan},
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
        arriving: Option<Arriving<S, B>>,
        #[pin]
        state: State<S, B, S::Future, S::Response, S::Error>,
    }
}

/// What a request ends with.
type Answered<R, E> = Result<Response<ResponseBody<R>>, E>;

/// What a state came to: what the request ends with, or what comes next.
type Turned<S, B, R> = ControlFlow<Answered<R, <S as Service<Request<Full<Bytes>>>>::Error>, Turn<B>>;

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<Full<Bytes>>>,
{
    pub(super) fn new(inner: S, config: Arc<Config>, request: Request<B>) -> Self {
        config.meter.received();
        let span = ReceiveSpan::new(config.scheme.name());
        let (parts, body) = request.into_parts();
        Self { config, span, arriving: Some(Arriving { inner, parts, body: Some(body) }), state: State::Start }
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
                // The body is the application's too, and may be what has panicked.
                let rest = caught(|| this.state.as_mut().rest(this.config, this.arriving)).unwrap_or(None);
                this.state.set(State::Done);
                *this.arriving = None;
                observe::panicked(this.config.scheme.name());
                let response = rejection::panicked();
                this.span.verified(response.status().as_u16());
                if rest.is_none() {
                    return Poll::Ready(Ok(response.map(ResponseBody::own)));
                }
                this.state.set(State::Answered { rest, response: Some(response) });
                // The next poll reads the rest of the body. It has to be requested, since this poll has registered no waker.
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
            let (response, rest) = match ready!(turn(config, span, this.arriving, this.state.as_mut(), cx)) {
                ControlFlow::Continue(Turn::Next) => continue,
                ControlFlow::Continue(Turn::Answer(response, rest)) => {
                    config.meter.handshake();
                    span.handshake(response.status().as_u16());
                    (response, rest)
                }
                ControlFlow::Continue(Turn::Reject(error, rest)) => {
                    // Kept for the case that the application's own response panics.
                    this.state.set(State::Answered { rest, response: None });
                    let kind = error.kind();
                    config.meter.rejected(kind);
                    let response = config.reject(error);
                    span.rejected(kind.as_str(), response.status().as_u16());
                    (response, this.state.as_mut().rest(config, this.arriving))
                }
                ControlFlow::Break(result) => {
                    this.state.set(State::Done);
                    *this.arriving = None;
                    return Poll::Ready(result);
                }
            };
            *this.arriving = None;
            if rest.is_none() {
                this.state.set(State::Done);
                return Poll::Ready(Ok(response.map(ResponseBody::own)));
            }
            this.state.set(State::Answered { rest, response: Some(response) });
        }
    }
}

/// Polls a state, and returns the next step or the result of the request.
fn turn<S, B, R>(
    config: &Arc<Config>,
    span: &ReceiveSpan,
    arriving: &mut Option<Arriving<S, B>>,
    mut state: Pin<&mut StateOf<S, B>>,
    cx: &mut Context<'_>,
) -> Poll<Turned<S, B, R>>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>>,
    B: Body<Data: Buf, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    const BROUGHT: &str = "what a request brought is there until it passes";
    Poll::Ready(ControlFlow::Continue(match state.as_mut().project() {
        StateProjection::Start => start(config, arriving.as_mut().expect(BROUGHT), state),
        StateProjection::Secrets { future, now } => {
            let (secrets, now) = (ready!(future.as_mut().poll(cx)), *now);
            with_secrets(config, secrets, now, arriving.as_mut().expect(BROUGHT), state)
        }
        StateProjection::Body { mut timer, reading } => {
            let brought = arriving.as_mut().expect(BROUGHT);
            let body = Pin::new(brought.body.as_mut().expect("the body is there until it has been read"));
            match ready!(read(cx, config, body, timer.as_mut(), reading)) {
                Ok(()) => return finish(config, arriving, state, cx),
                Err(error) => {
                    let until = timer.as_pin_mut().map(|timer| timer.deadline());
                    without_the_rest(config, error, brought, until)
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
            return with_newer(config, newer, mismatched, arriving, state, cx);
        }
        StateProjection::Confirm { future } => match ready!(future.as_mut().poll(cx)) {
            Ok(()) => Turn::Answer(Answer::new(StatusCode::OK).into_response(), None),
            Err(cause) => Turn::Reject(VerifyError::new(VerifyErrorKind::HandshakeFailed).with_source(cause), None),
        },
        StateProjection::Passed { passed } => {
            let Some(passed) = passed.take() else {
                unreachable!("what has passed is put back while the inner service is not ready");
            };
            return call(config, state, passed, cx);
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

/// Rejects a request without the rest of its body. `until` is when the body was to have ended, if it was waited for.
fn without_the_rest<S, B>(
    config: &Config,
    error: VerifyError,
    arriving: &mut Arriving<S, B>,
    until: Option<Instant>,
) -> Turn<B>
where
    B: Body,
{
    let body = arriving.body.take().filter(|_| error.kind() != VerifyErrorKind::BodyIncomplete);
    let rest = body.map(|body| {
        let until = until.unwrap_or_else(|| Instant::now() + config.body_timeout);
        Rest::begun(config.drain(), arriving.parts.version, body, until)
    });
    Turn::Reject(error, rest)
}

impl<S, B> fmt::Debug for ResponseFuture<S, B>
where
    S: Service<Request<Full<Bytes>>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
