//! Senders that put several deliveries into one request.
#![allow(clippy::unwrap_used)] // The helpers panic as the tests do.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{Request, StatusCode},
    routing::post,
};
use tower::ServiceExt;
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
}

type Seen = Arc<Mutex<Vec<String>>>;

async fn on_item(State(seen): State<Seen>, event: VerifiedEvent<Item>) -> StatusCode {
    let delivery = event.delivery();
    seen.lock().unwrap().push(format!("{} {}", delivery.id().unwrap(), delivery.event_type().unwrap()));
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
