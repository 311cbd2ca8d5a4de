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
use tokio::{runtime::Handle, sync::oneshot};
use tower_service::Service;

use super::{answers, context::Context, key::Fingerprint, run::Job, subject::Subject};
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
    S::Error: Send + 'static,
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
            if known.fingerprint != Fingerprint::of(verified.delivery.body()) {
                observe::other_body(verified.delivery.provider());
            }
            observe::duplicate(verified.delivery.provider(), "done");
            return ResponseFuture::own(answers::already_processed(known.response.as_deref()));
        }
        // The clone has not been polled ready; the one that has is taken.
        let clone = self.inner.clone();
        let inner = mem::replace(&mut self.inner, clone);
        let (reply, answer) = oneshot::channel();
        let token = self.context.tasks.token();
        let job = Job { context: Arc::clone(&self.context), verified, subject, inner, request };
        let job = observe::in_current_span(async move {
            // Counted until it has ended, wherever it runs.
            let _token = token;
            job.run(reply).await;
        });
        ResponseFuture { kind: Kind::Job { job: Some(Box::pin(job)), answer } }
    }
}

impl<S> fmt::Debug for Idempotency<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Idempotency").finish_non_exhaustive()
    }
}

/// The future of [`Idempotency`].
///
/// It runs the handler itself while it is polled. The work that is left after the answer, or after the client has
/// disconnected, continues in a separate task.
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<R, E> {
    kind: Kind<R, E>,
}

enum Kind<R, E> {
    Job { job: Option<Pin<Box<dyn Future<Output = ()> + Send>>>, answer: Answer<R, E> },
    Own { response: Option<Response<Bytes>> },
}

type Answer<R, E> = oneshot::Receiver<Result<Response<ResponseBody<R>>, E>>;

impl<R, E> ResponseFuture<R, E> {
    fn own(response: Response<Bytes>) -> Self {
        Self { kind: Kind::Own { response: Some(response) } }
    }
}

impl<R, E> Future for ResponseFuture<R, E> {
    type Output = Result<Response<ResponseBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        match &mut self.get_mut().kind {
            Kind::Own { response } => {
                let response = response.take().expect("`ResponseFuture` polled after it was ready");
                Poll::Ready(Ok(response.map(ResponseBody::own)))
            }
            Kind::Job { job, answer } => {
                // Taken out while it is polled: one that panics is not polled again.
                if let Some(mut running) = job.take()
                    && running.as_mut().poll(cx).is_pending()
                {
                    *job = Some(running);
                }
                let answer = ready!(Pin::new(answer).poll(cx));
                go_on(job.take());
                // The job has ended without an answer, for example because the runtime has ended. Nothing is
                // acknowledged.
                Poll::Ready(answer.unwrap_or_else(|_| Ok(answers::unavailable().map(ResponseBody::own))))
            }
        }
    }
}

impl<R, E> Drop for ResponseFuture<R, E> {
    fn drop(&mut self) {
        if let Kind::Job { job, .. } = &mut self.kind {
            go_on(job.take());
        }
    }
}

/// Lets a job end without anybody who waits for it. Outside of a runtime it ends here, and its claim with the lease.
fn go_on(job: Option<Pin<Box<dyn Future<Output = ()> + Send>>>) {
    if let (Some(job), Ok(runtime)) = (job, Handle::try_current()) {
        runtime.spawn(job);
    }
}

impl<R, E> fmt::Debug for ResponseFuture<R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
