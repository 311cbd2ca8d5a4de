//! Plain derived enums over event types.

use axum::{
    Router,
    body::{Body, to_bytes},
    http::Request,
    routing::post,
};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use tower::ServiceExt;
use tower_webhooks::{
    RawEvent, Scheme, Secret, VerifiedEvent, WebhookLayer,
    scheme::{Answer, Field},
};

#[derive(Debug, Deserialize)]
#[allow(dead_code)] // Read through `Debug`.
struct Invoice {
    amount: u64,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)] // Read through `Debug`.
enum Event {
    #[serde(rename = "invoice.paid")]
    Paid(Invoice),
    #[serde(rename = "invoice.sent")]
    Sent { to: String },
    #[serde(rename = "point")]
    Point(u8, u8),
    #[serde(rename = "ping")]
    Ping,
    #[serde(rename = "status")]
    Status(Status),
    #[serde(rename = "maybe")]
    Maybe(Option<Invoice>),
    #[serde(rename = "customer.*")]
    Customer(RawEvent),
    #[serde(rename = "customer.tax.*")]
    Tax(Value),
    #[serde(rename = "raw.*")]
    Raw(Box<RawValue>),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Up,
}

#[derive(Debug, Deserialize)]
enum WithCatchAll {
    #[serde(rename = "a")]
    A,
    #[serde(rename = "*")]
    Other(RawEvent),
}

fn app<H, T>(handler: H) -> Router
where
    H: axum::handler::Handler<T, ()>,
    T: 'static,
{
    let scheme = Scheme::insecure_token()
        .header("x-token")
        .event_type(Field::json("/type"))
        .payload("/data")
        .success(Answer::new(axum::http::StatusCode::ACCEPTED));
    Router::new()
        .route("/", post(handler).layer(WebhookLayer::new(scheme, Secret::new("a shared token of ours").unwrap())))
}

async fn answer(app: &Router, body: &str) -> (u16, String) {
    let request =
        Request::post("/").header("x-token", "a shared token of ours").body(Body::from(body.to_owned())).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    (status, String::from_utf8(to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec()).unwrap())
}

async fn show(event: VerifiedEvent<Event>) -> String {
    format!("{:?}", event.into_inner())
}

#[tokio::test]
async fn the_event_type_chooses_the_variant_and_the_payload_is_its_content() {
    let app = app(show);

    for (body, expected) in [
        (r#"{"type":"invoice.paid","data":{"amount":7}}"#, "Paid(Invoice { amount: 7 })"),
        (r#"{"data":{"amount":7},"type":"invoice.paid"}"#, "Paid(Invoice { amount: 7 })"),
        (r#"{"type":"invoice.sent","data":{"to":"me"}}"#, r#"Sent { to: "me" }"#),
        (r#"{"type":"point","data":[1,2]}"#, "Point(1, 2)"),
        (r#"{"type":"ping","data":{"anything":1}}"#, "Ping"),
        (r#"{"type":"ping"}"#, "Ping"),
        (r#"{"type":"status","data":"up"}"#, "Status(Up)"),
        (r#"{"type":"maybe","data":null}"#, "Maybe(None)"),
        (r#"{"type":"maybe","data":{"amount":1}}"#, "Maybe(Some(Invoice { amount: 1 }))"),
        (r#"{"type":"customer.created","data":{}}"#, r#"Customer(RawEvent { event_type: "customer.created", .. })"#),
        (r#"{"type":"customer.tax.id","data":[]}"#, "Tax(Array [])"),
        (r#"{"type":"raw.x","data":{"b" : 1}}"#, r#"Raw(RawValue({"b" : 1}))"#),
    ] {
        assert_eq!(answer(&app, body).await, (200, expected.to_owned()), "{body}");
    }
}

#[tokio::test]
async fn a_known_type_with_a_wrong_body_is_loud() {
    let app = app(show);

    for body in [
        r#"{"type":"invoice.paid","data":{"amount":"x"}}"#,
        r#"{"type":"invoice.paid","data":{}}"#,
        r#"{"type":"invoice.paid"}"#,
        r#"{"type":"point","data":[1]}"#,
        r#"{"type":"status","data":"down"}"#,
    ] {
        assert_eq!(answer(&app, body).await, (422, r#"{"error":"unexpected_payload"}"#.to_owned()), "{body}");
    }
    assert_eq!(answer(&app, r#"{"type":"invoice.paid","data":{"amount":7}"#).await.0, 400);
    assert_eq!(answer(&app, r#"{"type":"a","type":"invoice.paid","data":{"amount":7}}"#).await.0, 400);
}

#[tokio::test]
async fn a_type_without_a_variant_is_a_success() {
    let app = app(show);

    for body in [r#"{"type":"unknown","data":{}}"#, r#"{"data":{}}"#, r#"{"type":"customer"}"#] {
        assert_eq!(answer(&app, body).await.0, 202, "{body}");
    }
}

#[tokio::test]
async fn a_catch_all_gets_the_rest() {
    async fn handler(event: VerifiedEvent<WithCatchAll>) -> String {
        match event.into_inner() {
            WithCatchAll::A => "a".to_owned(),
            WithCatchAll::Other(raw) => {
                format!("{:?} {} {}", raw.event_type(), raw.payload().get(), raw.parse::<Value>().unwrap())
            }
        }
    }
    let app = app(handler);

    assert_eq!(answer(&app, r#"{"type":"a"}"#).await.1, "a");
    assert_eq!(answer(&app, r#"{"type":"b.c","data":{"x": 1}}"#).await.1, r#""b.c" {"x": 1} {"x":1}"#);
    assert_eq!(answer(&app, r#"{"data":1}"#).await.1, r#""" 1 1"#);
    assert_eq!(answer(&app, r#"{"type":"b"}"#).await.1, r#""b" null null"#);
}

/// serde's own catch-all. It has no content, and comes after every pattern.
#[tokio::test]
async fn serde_other_gets_what_no_pattern_matches() {
    #[derive(Debug, Deserialize)]
    #[allow(dead_code)] // Read through `Debug`.
    enum WithOther {
        #[serde(rename = "invoice.paid")]
        Paid(Invoice),
        #[serde(rename = "customer.*")]
        Customer(Value),
        #[serde(other)]
        Other,
    }
    #[derive(Debug, Deserialize)]
    #[allow(dead_code)] // Read through `Debug`.
    enum WithBoth {
        #[serde(rename = "*")]
        Any(Value),
        #[serde(other)]
        Other,
    }
    let other = app(async |event: VerifiedEvent<WithOther>| format!("{:?}", event.into_inner()));
    let both = app(async |event: VerifiedEvent<WithBoth>| format!("{:?}", event.into_inner()));

    for (body, expected) in [
        (r#"{"type":"invoice.paid","data":{"amount":7}}"#, "Paid(Invoice { amount: 7 })"),
        (r#"{"type":"customer.created","data":1}"#, "Customer(Number(1))"),
        (r#"{"type":"charge.refunded","data":{}}"#, "Other"),
        (r#"{"type":"charge.refunded"}"#, "Other"),
        (r#"{"data":{}}"#, "Other"),
        (r#"{"type":"Other","data":{}}"#, "Other"),
    ] {
        assert_eq!(answer(&other, body).await, (200, expected.to_owned()), "{body}");
    }
    // A known type with a wrong body is loud still.
    assert_eq!(answer(&other, r#"{"type":"invoice.paid","data":{}}"#).await.0, 422);
    assert_eq!(answer(&both, r#"{"type":"a","data":1}"#).await.1, "Any(Number(1))");
}

#[tokio::test]
async fn the_wildcard_of_a_variant_follows_the_separators_that_types_have() {
    #[derive(Debug, Deserialize)]
    #[allow(dead_code)] // Read through `Debug`.
    enum Topics {
        #[serde(rename = "orders/create")]
        Created(u8),
        #[serde(rename = "orders/*")]
        Order(u8),
        #[serde(rename = "order:*")]
        Colon(u8),
    }
    let app = app(async |event: VerifiedEvent<Topics>| format!("{:?}", event.into_inner()));

    for (event_type, expected) in
        [("orders/create", "Created(1)"), ("orders/paid", "Order(1)"), ("order:paid:late", "Colon(1)")]
    {
        let body = format!(r#"{{"type":"{event_type}","data":1}}"#);
        assert_eq!(answer(&app, &body).await, (200, expected.to_owned()));
    }
    assert_eq!(answer(&app, r#"{"type":"orders.create","data":1}"#).await.0, 202);
}

#[tokio::test]
async fn an_enum_with_a_tag_of_its_own_is_a_payload() {
    #[derive(Debug, Deserialize)]
    #[serde(tag = "kind")]
    #[allow(dead_code)] // Read through `Debug`.
    enum Shape {
        Circle { radius: u8 },
    }
    async fn handler(event: VerifiedEvent<Shape>) -> String {
        format!("{:?}", event.into_inner())
    }

    let body = r#"{"type":"any","data":{"kind":"Circle","radius":3}}"#;
    assert_eq!(answer(&app(handler), body).await.1, "Circle { radius: 3 }");
}
