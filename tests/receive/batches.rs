//! Senders that put several deliveries into one request.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{Request, Response, StatusCode},
    routing::post,
};
use http_body_util::Full;
use tower::{Service, ServiceExt};
use tower_webhooks::{
    Scheme, Secret, VerifiedEvent, WebhookLayer,
    scheme::{Answer, Field, SchemeBuilder},
};

fn scheme() -> SchemeBuilder {
    Scheme::insecure_token()
        .name("batches")
        .header("x-token")
        .batch("/events")
        .id(Field::json("/id"))
        .event_type(Field::json("/type"))
        .payload("/data")
        .success(Answer::new(StatusCode::ACCEPTED))
}

#[derive(serde::Deserialize)]
struct Item {
    fails: Option<u16>,
    panics: Option<bool>,
}

type Seen = Arc<Mutex<Vec<String>>>;

async fn on_item(State(seen): State<Seen>, event: VerifiedEvent<Item>) -> StatusCode {
    let delivery = event.delivery();
    seen.lock().unwrap().push(format!("{} {}", delivery.id().unwrap(), delivery.event_type().unwrap()));
    assert!(event.panics.is_none(), "on purpose");
    event.fails.map_or(StatusCode::OK, |status| StatusCode::from_u16(status).unwrap())
}

fn request(body: &str) -> Request<Body> {
    Request::post("/").header("x-token", "a shared token of ours").body(Body::from(body.to_owned())).unwrap()
}

fn secret() -> Secret {
    Secret::new("a shared token of ours").unwrap()
}

const TWO: &str = r#"{"events":[{"id":"1","type":"a","data":{}},{"id":"2","type":"b","data":{"fails":null}}]}"#;
const FAILING: &str = r#"{"events":[{"id":"1","type":"a","data":{}},{"id":"2","type":"b","data":{"fails":500}},
    {"id":"3","type":"c","data":{"fails":503}},{"id":"4","type":"d","data":{}}]}"#;

#[tokio::test]
async fn the_handler_runs_once_an_item_in_order() {
    let seen = Seen::default();
    let app = Router::new()
        .route("/", post(on_item).layer(WebhookLayer::new(scheme(), secret())))
        .with_state(Arc::clone(&seen));

    let response = app.oneshot(request(TWO)).await.unwrap();

    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(*seen.lock().unwrap(), ["1 a", "2 b"]);
}

#[tokio::test]
async fn a_failing_item_does_not_stop_the_others_and_is_the_answer() {
    let seen = Seen::default();
    let app = Router::new()
        .route("/", post(on_item).layer(WebhookLayer::new(scheme(), secret())))
        .with_state(Arc::clone(&seen));

    let response = app.oneshot(request(FAILING)).await.unwrap();

    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(*seen.lock().unwrap(), ["1 a", "2 b", "3 c", "4 d"]);
}

const PANICKING: &str = r#"{"events":[{"id":"1","type":"a","data":{"panics":true}},{"id":"2","type":"b","data":{}},
    {"id":"3","type":"c","data":{"fails":503}},{"id":"4","type":"d","data":{"panics":true}},{"id":"5","type":"e","data":{}}]}"#;

#[tokio::test]
async fn a_panicking_item_does_not_stop_the_others_and_is_the_answer() {
    let seen = Seen::default();
    let app = Router::new()
        .route("/", post(on_item).layer(WebhookLayer::new(scheme(), secret())))
        .with_state(Arc::clone(&seen));

    let response = app.oneshot(request(PANICKING)).await.unwrap();

    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let body = axum::body::to_bytes(response.into_body(), 100).await.unwrap();
    assert_eq!(body, r#"{"error":"internal"}"#);
    assert_eq!(*seen.lock().unwrap(), ["1 a", "2 b", "3 c", "4 d", "5 e"]);
}

#[tokio::test]
async fn an_item_whose_service_panics_or_fails_by_itself_does_not_stop_the_others() {
    #[derive(Clone, Default)]
    struct Inner(Arc<Mutex<usize>>);

    impl Service<Request<Full<Bytes>>> for Inner {
        type Response = Response<Full<Bytes>>;
        type Error = &'static str;
        type Future = Ending;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
            let mut runs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *runs += 1;
            let run = *runs;
            drop(runs);
            assert!(run != 2, "in the call, on purpose");
            Ending(run)
        }
    }

    /// The first run fails, the third panics when its future is dropped, the fourth is a success.
    struct Ending(usize);

    impl Future for Ending {
        type Output = Result<Response<Full<Bytes>>, &'static str>;

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
            Poll::Ready(if self.0 == 1 { Err("on purpose") } else { Ok(Response::default()) })
        }
    }

    impl Drop for Ending {
        fn drop(&mut self) {
            assert!(self.0 != 3, "in the destructor, on purpose");
        }
    }

    let inner = Inner::default();
    let service = WebhookLayer::new(scheme(), secret()).layer(inner.clone());

    let error = service.oneshot(request(FAILING)).await.err();

    assert_eq!(error, Some("on purpose"), "the first failure is the answer");
    assert_eq!(*inner.0.lock().unwrap(), 4);
}

#[tokio::test]
async fn an_empty_batch_is_a_success_and_a_body_without_one_reaches_the_handler() {
    let seen = Seen::default();
    let app = Router::new()
        .route("/", post(on_item).layer(WebhookLayer::new(scheme(), secret())))
        .with_state(Arc::clone(&seen));

    let empty = app.clone().oneshot(request(r#"{"events":[]}"#)).await.unwrap();
    let none = app.clone().oneshot(request(r#"{"events":{}}"#)).await.unwrap();
    let no_json = app.oneshot(request("[")).await.unwrap();

    assert_eq!(empty.status(), StatusCode::ACCEPTED);
    assert_eq!(none.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(no_json.status(), StatusCode::BAD_REQUEST);
    assert!(seen.lock().unwrap().is_empty());
}

#[cfg(feature = "idempotency")]
#[tokio::test]
async fn items_that_are_done_are_skipped_on_a_resend() {
    let seen = Seen::default();
    let layer = WebhookLayer::new(scheme(), secret()).with_idempotency(tower_webhooks::store::MemoryStore::new());
    let app = Router::new().route("/", post(on_item).layer(layer)).with_state(Arc::clone(&seen));

    let first = app.clone().oneshot(request(FAILING)).await.unwrap();
    assert_eq!(first.status(), StatusCode::INTERNAL_SERVER_ERROR);
    seen.lock().unwrap().clear();
    let second = app.oneshot(request(FAILING)).await.unwrap();

    assert_eq!(second.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(*seen.lock().unwrap(), ["2 b", "3 c"]);
}

#[test]
fn an_id_outside_the_item_is_refused_at_start() {
    let error = scheme().id(Field::header("x-id")).build().unwrap_err();

    assert!(error.to_string().contains("in a batch the id is in the item"), "{error}");
}
