//! Signatures over headers that the request itself lists: an attacker changes the list and the listed headers.

use axum::{
    Router,
    http::{Method, StatusCode},
    routing::any,
};
use data_encoding::HEXLOWER;
use tower_webhooks::{Delivery, Provider, Scheme, WebhookLayer, clock::ManualClock};

use crate::support::senders::{NOW, PATH, hmac, secret, send};

const KEY: &str = "an endpoint's signing key";
const BODY: &str = r#"{"id":"evt_1"}"#;

fn router(provider: Provider) -> Router {
    let layer = WebhookLayer::new(provider, secret(KEY)).with_clock(ManualClock::at_unix_seconds(NOW));
    Router::new().fallback(any(async |_: Delivery| "")).layer(layer)
}

fn tag(text: &str) -> String {
    HEXLOWER.encode(&hmac(KEY.as_bytes(), text))
}

async fn status(router: &Router, path: &str, headers: &[(&str, &str)], body: &str) -> StatusCode {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    send(router, Method::POST, path, &headers, body).await.status
}

// --- Hook0 --------------------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_list_in_the_signature_header_is_signed_and_read_in_one_way() {
    let router = router(Provider::HOOK0);
    let right = tag(&format!("{NOW}.x-event-id x-event-type.e1.user.created.{BODY}"));
    let signature = format!("t={NOW},h=x-event-id x-event-type,v1={right}");
    let whole = [("x-event-id", "e1"), ("x-event-type", "user.created"), ("x-hook0-signature", &*signature)];
    assert_eq!(status(&router, PATH, &whole, BODY).await, StatusCode::OK);
    let with_others = [&whole[..], &[("x-event-other", "1")]].concat();
    assert_eq!(status(&router, PATH, &with_others, BODY).await, StatusCode::OK);

    // Another value, none, and two.
    for headers in [
        vec![("x-event-id", "e2"), whole[1], whole[2]],
        vec![whole[1], whole[2]],
        vec![whole[0], whole[0], whole[1], whole[2]],
        // The same text, cut in another way.
        vec![("x-event-id", "e1.user"), ("x-event-type", "created"), whole[2]],
    ] {
        assert_eq!(status(&router, PATH, &headers, BODY).await, StatusCode::UNAUTHORIZED, "{headers:?}");
    }
    for list in [
        "x-event-type x-event-id",
        "x-event-id",
        "",
        "x-event-id x-event-type ",
        "x-event-id x-event-type x-event-id",
        "x-event-id.x-event-type",
        "X-Event-Id x-event-type",
    ] {
        let signature = format!("t={NOW},h={list},v1={right}");
        let headers = [whole[0], whole[1], ("x-hook0-signature", &*signature)];
        assert_eq!(status(&router, PATH, &headers, BODY).await, StatusCode::UNAUTHORIZED, "{list}");
    }
    // The end of a value becomes the beginning of the body.
    let right = tag(&format!("{NOW}.x-event-type.user.created.{BODY}"));
    let signature = format!("t={NOW},h=x-event-type,v1={right}");
    let headers = [("x-event-type", "user"), ("x-hook0-signature", &*signature)];
    assert_eq!(status(&router, PATH, &headers, &format!("created.{BODY}")).await, StatusCode::UNAUTHORIZED);
    // The beginning of the body becomes the end of a value.
    let body = r#"{"a":1}.{"b":2}"#;
    let right = tag(&format!("{NOW}.x-event-type.t.{body}"));
    let signature = format!("t={NOW},h=x-event-type,v1={right}");
    let headers = [("x-event-type", r#"t.{"a":1}"#), ("x-hook0-signature", &*signature)];
    assert_eq!(status(&router, PATH, &headers, r#"{"b":2}"#).await, StatusCode::UNAUTHORIZED);

    // The stronger signature is presented as a weaker one, and its signed text as the body.
    let right = tag(&format!("{NOW}.x-event-id x-event-type.e1.user.created.{BODY}"));
    let weaker = format!("t={NOW},v0={right}");
    let headers = [whole[0], whole[1], ("x-hook0-signature", &*weaker)];
    let body = format!("x-event-id x-event-type.e1.user.created.{BODY}");
    assert_eq!(status(&router, PATH, &headers, &body).await, StatusCode::UNAUTHORIZED);

    // A value that is listed often is signed as often: all of them together are bounded.
    let long = "a".repeat(4000);
    let right = tag(&format!("{NOW}.x-event-id x-event-id.{long}.{long}.{BODY}"));
    let signature = format!("t={NOW},h=x-event-id x-event-id,v1={right}");
    let headers = [("x-event-id", &*long), ("x-hook0-signature", &*signature)];
    assert_eq!(status(&router, PATH, &headers, BODY).await, StatusCode::UNAUTHORIZED);

    let many = vec!["x-event-id"; 65].join(" ");
    let right = tag(&format!("{NOW}.{many}.{}.{BODY}", vec!["e1"; 65].join(".")));
    let signature = format!("t={NOW},h={many},v1={right}");
    let headers = [("x-event-id", "e1"), ("x-hook0-signature", &*signature)];
    assert_eq!(status(&router, PATH, &headers, BODY).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn no_weaker_signature_rescues_a_wrong_stronger_one_and_no_header_counts_as_signed() {
    let router = router(Provider::COINBASE_CDP);
    let weak = tag(&format!("{NOW}.{BODY}"));
    for (signature, expected) in [
        (format!("t={NOW},v0={weak}"), StatusCode::OK),
        (format!("t={NOW},h=x-event-id,v0={weak}"), StatusCode::OK),
        (format!("t={NOW},h=x-event-id,v0={weak},v1={weak}"), StatusCode::UNAUTHORIZED),
        (format!("t={NOW},v0={weak},v1="), StatusCode::UNAUTHORIZED),
        (format!("t={NOW},v0={weak},v1=00"), StatusCode::UNAUTHORIZED),
        (format!("t={NOW},v1={weak}"), StatusCode::UNAUTHORIZED),
        (format!("t={NOW},t={NOW},v0={weak}"), StatusCode::UNAUTHORIZED),
    ] {
        let headers = [("x-event-id", "e1"), ("x-hook0-signature", &*signature)];
        assert_eq!(status(&router, PATH, &headers, BODY).await, expected, "{signature}");
    }
    let scheme = Scheme::from(Provider::HOOK0);
    assert!(scheme.covers_body() && scheme.timestamp_is_signed() && !scheme.id_is_signed());
}

// --- Contentful ---------------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_list_in_a_header_holds_the_time_and_itself() {
    let router = router(Provider::CONTENTFUL);
    let now = format!("{NOW}000");
    let signed = |list: &str, headers: &str, path: &str| {
        let signature = tag(&format!("POST\n{path}\n{headers}\n{BODY}"));
        vec![
            ("x-contentful-signed-headers", list.to_owned()),
            ("x-contentful-timestamp", now.clone()),
            ("x-contentful-signature", signature),
        ]
    };
    let post =
        async |path: &str, headers: &[(&str, String)]| send(&router, Method::POST, path, headers, BODY).await.status;
    let list = "x-contentful-signed-headers,x-contentful-timestamp";
    let text = format!("x-contentful-signed-headers:{list};x-contentful-timestamp:{now}");
    let right = signed(list, &text, "/in");
    assert_eq!(post("/in", &right).await, StatusCode::OK);
    // An escape is escaped once more, by Contentful.
    assert_eq!(
        post("/a%20b?x=1&y=%20", &signed(list, &text, "/a%2520b?x%253D1%2526y%253D%252520")).await,
        StatusCode::OK
    );
    assert_eq!(send(&router, Method::PUT, "/in", &right, BODY).await.status, StatusCode::UNAUTHORIZED);
    for path in ["/in?", "/in/", "/", "/in?x=1"] {
        assert_eq!(post(path, &right).await == StatusCode::OK, path == "/in?", "{path}");
    }
    // The text after a second question mark is not signed.
    assert_eq!(post("/in?x?y", &signed(list, &text, "/in?x")).await, StatusCode::UNAUTHORIZED);

    for (list, text) in [
        ("x-contentful-signed-headers", "x-contentful-signed-headers:x-contentful-signed-headers".to_owned()),
        ("x-contentful-timestamp", format!("x-contentful-timestamp:{now}")),
        ("", String::new()),
        ("x-contentful-signed-headers,x-contentful-timestamp,x-absent", text.clone()),
        ("x-contentful-signed-headers,,x-contentful-timestamp", text.clone()),
    ] {
        assert_eq!(post("/in", &signed(list, &text, "/in")).await, StatusCode::UNAUTHORIZED, "{list}");
    }
    // A value that contains the start of the next header.
    let list = "a-topic,b-topic,x-contentful-signed-headers,x-contentful-timestamp";
    let rest = format!("x-contentful-signed-headers:{list};x-contentful-timestamp:{now}");
    let headers = signed(list, &format!("a-topic:1;b-topic:2;b-topic:3;{rest}"), "/in");
    for (one, other) in [("1", "2;b-topic:3"), ("1;b-topic:2", "3")] {
        let headers = [&headers[..], &[("a-topic", one.to_owned()), ("b-topic", other.to_owned())]].concat();
        let expected = if one == "1" { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
        assert_eq!(post("/in", &headers).await, expected, "{one}");
    }
}
