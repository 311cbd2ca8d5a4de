//! When the inner service is asked whether it is ready.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::Body,
    http::{Request, Response, StatusCode},
};
use bytes::Bytes;
use http_body_util::Full;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_webhooks::{Secret, WebhookLayer};

/// A body that is never there.
struct Never;

impl http_body::Body for Never {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

const SIGNATURE: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

fn request(body: Body) -> Request<Body> {
    Request::post("/").header("x-hub-signature-256", SIGNATURE).body(body).expect("a request")
}

#[tokio::test(start_paused = true)]
async fn a_body_that_drips_takes_no_permit_of_a_limit_inside() {
    let layer = WebhookLayer::github(Secret::new("It's a Secret to Everybody").expect("a secret"));
    let handler =
        service_fn(|_: Request<Full<Bytes>>| async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) });
    let app = ServiceBuilder::new().layer(layer).concurrency_limit(1).service(handler);

    let never = Body::new(Never);
    let slow = tokio::spawn(app.clone().oneshot(request(never)));
    tokio::task::yield_now().await;
    let quick = tokio::time::timeout(Duration::from_secs(1), app.oneshot(request(Body::from("Hello, World!")))).await;

    assert_eq!(quick.expect("the permit is free").expect("infallible").status(), StatusCode::OK);
    assert_eq!(slow.await.expect("no panic").expect("infallible").status(), StatusCode::REQUEST_TIMEOUT);
}

#[tokio::test]
async fn a_panic_when_asked_is_a_500() {
    #[derive(Clone)]
    struct Panics;

    impl tower::Service<Request<Full<Bytes>>> for Panics {
        type Response = Response<Full<Bytes>>;
        type Error = Infallible;
        type Future = std::future::Ready<Result<Self::Response, Infallible>>;

        fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            panic!("on purpose")
        }

        fn call(&mut self, _request: Request<Full<Bytes>>) -> Self::Future {
            unreachable!("it is never ready")
        }
    }
    let layer = WebhookLayer::github(Secret::new("It's a Secret to Everybody").expect("a secret"));

    let response = layer.layer(Panics).oneshot(request(Body::from("Hello, World!"))).await.expect("infallible");

    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
}
