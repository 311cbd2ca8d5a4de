use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tower_service::Service;

use super::{body::ResponseBody, config::Config, future::ResponseFuture};
use crate::boxed::BoxError;

/// The service of [`WebhookLayer`](super::WebhookLayer).
///
/// The request's body must be `Send + Unpin + 'static`, since the rest of a rejected body may be read in a separate
/// task. The bodies of hyper and axum have these bounds. A body that is not `Unpin` is boxed:
///
/// ```
/// use std::{convert::Infallible, time::Duration};
/// use bytes::Bytes;
/// use http::{Request, Response, StatusCode};
/// use http_body_util::Full;
/// use tower::{ServiceBuilder, ServiceExt, service_fn, util::MapRequestLayer};
/// use tower_http::timeout::{RequestBodyTimeoutLayer, TimeoutBody};
/// use tower_webhooks::{Secret, WebhookLayer};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let service = ServiceBuilder::new()
///     .layer(RequestBodyTimeoutLayer::new(Duration::from_secs(5)))
///     .layer(MapRequestLayer::new(|request: Request<TimeoutBody<Full<Bytes>>>| request.map(Box::pin)))
///     .layer(WebhookLayer::github(Secret::new("It's a Secret to Everybody")?))
///     .service(service_fn(async |_: Request<Full<Bytes>>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))));
///
/// let unsigned = Request::post("/").body(Full::from("Hello, World!"))?;
/// assert_eq!(service.oneshot(unsigned).await?.status(), StatusCode::UNAUTHORIZED);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Webhook<S> {
    inner: S,
    config: Arc<Config>,
}

impl<S> Webhook<S> {
    pub(super) fn new(inner: S, config: Arc<Config>) -> Self {
        Self { inner, config }
    }
}

impl<S, B, R> Service<Request<B>> for Webhook<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone,
    B: Body<Data: Buf, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B>;

    /// Always ready. The inner service is polled only after a request was verified, so that unverified requests with
    /// slow bodies do not take the permits of an inner concurrency limit.
    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The clone has not been polled ready. The future does that before it calls it.
        ResponseFuture::new(self.inner.clone(), Arc::clone(&self.config), request)
    }
}

impl<S> fmt::Debug for Webhook<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("scheme", &self.config.scheme).finish_non_exhaustive()
    }
}
