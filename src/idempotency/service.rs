use std::{
    fmt, mem,
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use pin_project_lite::pin_project;
use tokio::sync::oneshot;
use tower_service::Service;

use super::{
    answers,
    key::Likeness,
    layer::Context,
    run::{Job, Subject},
};
use crate::{
    boxed::BoxError,
    observe,
    verify::{ResponseBody, Verified},
};

/// The service of [`IdempotencyLayer`](super::IdempotencyLayer).
#[derive(Clone)]
pub struct Idempotency<S> {
    inner: S,
    context: Arc<Context>,
}

impl<S> Idempotency<S> {
    pub(super) fn new(inner: S, context: Arc<Context>) -> Self {
        Self { inner, context }
    }
}

impl<S, R> Service<Request<Full<Bytes>>> for Idempotency<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    R: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<R, S::Error>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let Some(verified) = request.extensions().get::<Verified>().cloned() else {
            observe::misordered();
            return ResponseFuture::own(answers::internal());
        };
        let subject = match Subject::of(&self.context, &verified, &request) {
            Ok(subject) => subject,
            Err(answer) => return ResponseFuture::own(answer),
        };
        if let Some(known) = subject.key.and_then(|key| self.context.done.get(&key)) {
            if known.likeness != Likeness::of(verified.delivery.body()) {
                observe::other_body(verified.delivery.provider());
            }
            observe::duplicate(verified.delivery.provider(), "done");
            return ResponseFuture::own(answers::already_processed(known.response.as_deref()));
        }
        // The clone has not been polled ready; the one that has is taken.
        let clone = self.inner.clone();
        let inner = mem::replace(&mut self.inner, clone);
        let (reply, answer) = oneshot::channel();
        let job = Job { context: Arc::clone(&self.context), verified, subject, inner, request };
        // In a task of its own, so that it goes on when the client hangs up.
        self.context.tasks.spawn(observe::in_current_span(job.run(reply)));
        ResponseFuture { kind: Kind::Task { answer } }
    }
}

impl<S> fmt::Debug for Idempotency<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Idempotency").finish_non_exhaustive()
    }
}

pin_project! {
    /// The future of [`Idempotency`]. The handler goes on when it is dropped.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<R, E> {
        #[pin]
        kind: Kind<R, E>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<R, E> {
        Own { response: Option<Response<Bytes>> },
        Task { #[pin] answer: oneshot::Receiver<Result<Response<ResponseBody<R>>, E>> },
    }
}

impl<R, E> ResponseFuture<R, E> {
    fn own(response: Response<Bytes>) -> Self {
        Self { kind: Kind::Own { response: Some(response) } }
    }
}

impl<R, E> Future for ResponseFuture<R, E> {
    type Output = Result<Response<ResponseBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        Poll::Ready(match self.project().kind.project() {
            KindProjection::Own { response } => {
                let response = response.take().expect("`ResponseFuture` polled after it was ready");
                Ok(response.map(ResponseBody::own))
            }
            KindProjection::Task { answer } => match ready!(answer.poll(cx)) {
                Ok(result) => result,
                // The task ended without an answer: the runtime is going down. Nothing is acknowledged.
                Err(_) => Ok(answers::unavailable().map(ResponseBody::own)),
            },
        })
    }
}

impl<R, E> fmt::Debug for ResponseFuture<R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
