use std::{
    collections::VecDeque,
    convert::Infallible,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tower_service::Service;

use crate::boxed::{BoxError, BoxFuture};

/// An endpoint that records what it receives and answers with configured statuses, for tests of code that sends
/// webhooks.
///
/// It is a tower service for any request; clones are the same endpoint. To use it as a real server, put it into a
/// router:
///
/// ```
/// use axum::{Router, body::Body, http::{Request, StatusCode}};
/// use tower::ServiceExt;
/// use tower_webhooks::testing::RecordingEndpoint;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let endpoint = RecordingEndpoint::new().answer_once(StatusCode::SERVICE_UNAVAILABLE);
/// let app: Router = Router::new().fallback_service(endpoint.clone());
/// // For a real address: `axum::serve(TcpListener::bind("127.0.0.1:0").await?, app)`.
///
/// let first = app.clone().oneshot(Request::post("/in").body(Body::from("one"))?).await?;
/// let second = app.oneshot(Request::post("/in").body(Body::from("two"))?).await?;
///
/// assert_eq!((first.status(), second.status()), (StatusCode::SERVICE_UNAVAILABLE, StatusCode::OK));
/// assert_eq!(endpoint.received().iter().map(|request| request.body()).collect::<Vec<_>>(), ["one", "two"]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct RecordingEndpoint(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    received: Vec<ReceivedRequest>,
    answers: VecDeque<StatusCode>,
    otherwise: StatusCode,
    delay: Duration,
}

/// A request that a [`RecordingEndpoint`] has received.
///
/// ```
/// use tower_webhooks::testing::ReceivedRequest;
///
/// /// What a test asserts of each request of its sender.
/// fn check(request: &ReceivedRequest) {
///     assert_eq!(request.uri().path(), "/in");
///     assert!(request.headers().contains_key("webhook-signature"));
///     assert!(request.body().starts_with(b"{"));
/// }
/// ```
#[derive(Debug, Clone)]
pub struct ReceivedRequest {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl RecordingEndpoint {
    /// Creates an endpoint that answers everything with 200.
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers one request with `status`. Several calls apply to the next requests in order.
    #[must_use]
    pub fn answer_once(self, status: StatusCode) -> Self {
        self.state().answers.push_back(status);
        self
    }

    /// Answers all other requests with `status`.
    #[must_use]
    pub fn answer(self, status: StatusCode) -> Self {
        self.state().otherwise = status;
        self
    }

    /// Waits before each answer.
    #[must_use]
    pub fn delay(self, delay: Duration) -> Self {
        self.state().delay = delay;
        self
    }

    /// Returns the requests that were received, in order.
    pub fn received(&self) -> Vec<ReceivedRequest> {
        self.state().received.clone()
    }

    /// Returns the requests that were received, and forgets them.
    pub fn take(&self) -> Vec<ReceivedRequest> {
        std::mem::take(&mut self.state().received)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a request. Returns the status of the response, and the delay before it.
    fn note(&self, request: ReceivedRequest) -> (StatusCode, Duration) {
        let mut state = self.state();
        state.received.push(request);
        (state.answers.pop_front().unwrap_or(state.otherwise), state.delay)
    }
}

impl ReceivedRequest {
    /// Returns the method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Returns the URI.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Returns the headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Returns the raw body.
    pub fn body(&self) -> &Bytes {
        &self.body
    }
}

impl<B> Service<Request<B>> for RecordingEndpoint
where
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let endpoint = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let mut response = Response::new(Full::default());
            let Ok(body) = body.collect().await else {
                // The sender disconnected, so there is no complete request to record.
                *response.status_mut() = StatusCode::BAD_REQUEST;
                return Ok(response);
            };
            let body = body.to_bytes();
            let (status, delay) =
                endpoint.note(ReceivedRequest { method: parts.method, uri: parts.uri, headers: parts.headers, body });
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            *response.status_mut() = status;
            Ok(response)
        })
    }
}

impl fmt::Debug for RecordingEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordingEndpoint").field("received", &self.state().received.len()).finish_non_exhaustive()
    }
}
