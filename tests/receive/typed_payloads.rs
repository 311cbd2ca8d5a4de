//! Payloads as types of the application: fields that a sender adds later, and large numbers.

use axum::{
    Router,
    body::{Body, to_bytes},
    http::Request,
    routing::post,
};
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use tower::ServiceExt;
use tower_webhooks::{Provider, Secret, VerifiedEvent, WebhookLayer, testing::SignedRequest};

fn secret() -> Secret {
    Secret::new("whsec_only_for_these_tests_of_types_000").unwrap()
}

fn app<H, T>(handler: H) -> Router
where
    H: axum::handler::Handler<T, ()>,
    T: 'static,
{
    Router::new().route("/", post(handler).layer(WebhookLayer::stripe(secret())))
}

async fn answer(app: &Router, object: &str) -> (u16, String) {
    let body = format!(r#"{{"id":"evt_1","type":"invoice.paid","data":{{"object":{object}}}}}"#);
    let request: Request<Body> = SignedRequest::new(Provider::STRIPE, &secret()).with_body(body).build();
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    (status, String::from_utf8(to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec()).unwrap())
}

#[tokio::test]
async fn a_type_keeps_working_when_the_sender_adds_something() {
    #[derive(Debug, Deserialize)]
    #[allow(dead_code)] // Read through `Debug`.
    struct Invoice {
        amount_paid: u64,
        customer_email: Option<String>,
        status: Status,
        #[serde(default)]
        lines: Vec<u8>,
    }
    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Status {
        Paid,
        #[serde(other)]
        Unknown,
    }
    let app = app(async |event: VerifiedEvent<Invoice>| format!("{:?}", event.into_inner()));

    let known = json!({ "amount_paid": 7, "customer_email": "a@b", "status": "paid", "lines": [1] });
    let expected = r#"Invoice { amount_paid: 7, customer_email: Some("a@b"), status: Paid, lines: [1] }"#;
    assert_eq!(answer(&app, &known.to_string()).await, (200, expected.to_owned()));
    let tomorrow =
        json!({ "amount_paid": 7, "customer_email": null, "status": "disputed", "new": { "amount_paid": 1 } });
    let expected = "Invoice { amount_paid: 7, customer_email: None, status: Unknown, lines: [] }";
    assert_eq!(answer(&app, &tomorrow.to_string()).await, (200, expected.to_owned()));
    // What does not fit is an error.
    assert_eq!(answer(&app, r#"{"status":"paid"}"#).await.0, 422);
}

#[tokio::test]
async fn large_numbers_are_exact_or_an_error() {
    #[derive(Debug, Deserialize)]
    struct Numbers {
        id: u64,
        signed: i64,
        wide: u128,
        digits: Box<RawValue>,
    }
    let app = app(async |event: VerifiedEvent<Numbers>| {
        format!("{} {} {} {}", event.id, event.signed, event.wide, event.digits.get())
    });
    let numbers = |id: &str| {
        let digits = "1180591620717411303424.10";
        format!(
            r#"{{"id":{id},"signed":-9223372036854775808,"wide":340282366920938463463374607431768211455,"digits":{digits}}}"#
        )
    };

    let expected =
        "18446744073709551615 -9223372036854775808 340282366920938463463374607431768211455 1180591620717411303424.10";
    assert_eq!(answer(&app, &numbers("18446744073709551615")).await, (200, expected.to_owned()));
    for id in ["18446744073709551616", "-1", "1.0", "\"1\""] {
        assert_eq!(answer(&app, &numbers(id)).await.0, 422, "{id}");
    }
}
