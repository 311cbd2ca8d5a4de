//! Routing by event type, through a real layer in a real router.

use axum::{
    Json, Router,
    body::{Body, to_bytes},
    extract::State,
    http::{Request, StatusCode},
    routing::post,
};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tower::ServiceExt;
use tower_webhooks::{
    Delivery, EventRouter, Scheme, Secret, VerifiedBody, VerifiedEvent, WebhookLayer,
    scheme::{Answer, Field, SchemeBuilder},
};

const SECRET: &str = "It's a Secret to Everybody";

fn signed(event: &str, body: &str) -> Request<Body> {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    let tag: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    Request::post("/hook")
        .header("x-github-event", event)
        .header("x-hub-signature-256", format!("sha256={tag}"))
        .body(Body::from(body.to_owned()))
        .unwrap()
}

fn github(events: EventRouter) -> Router {
    Router::new().route("/hook", post(events).layer(WebhookLayer::github(Secret::new(SECRET).unwrap())))
}

async fn answer(app: &Router, request: Request<Body>) -> (u16, String) {
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    (status, String::from_utf8(to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec()).unwrap())
}

fn says(text: &'static str) -> impl Fn() -> std::future::Ready<&'static str> + Clone + Send + Sync + 'static {
    move || std::future::ready(text)
}

#[tokio::test]
async fn the_most_exact_pattern_gets_the_event() {
    let app = github(
        EventRouter::new()
            .on("issues.opened", says("exact"))
            .on("issues", says("first part"))
            .on("pull_request.*", says("group"))
            .on("*", says("any")),
    );

    for (event, body, expected) in [
        ("issues", r#"{"action":"opened"}"#, "exact"),
        ("issues", r#"{"action":"closed"}"#, "first part"),
        ("pull_request", r#"{"action":"closed"}"#, "group"),
        ("pull_request", r#"{}"#, "any"),
        ("push", "not json", "any"),
    ] {
        assert_eq!(answer(&app, signed(event, body)).await, (200, expected.to_owned()), "{event} {body}");
    }
}

#[tokio::test]
async fn what_nobody_handles_is_a_success() {
    let app = github(EventRouter::new().on("ping", says("pong")));

    assert_eq!(answer(&app, signed("push", "{}")).await, (200, r#"{"status":"unhandled"}"#.to_owned()));
    let mut unsigned = signed("ping", "{}");
    unsigned.headers_mut().remove("x-hub-signature-256");
    assert_eq!(answer(&app, unsigned).await.0, 401);
}

#[tokio::test]
async fn the_fallback_gets_what_no_pattern_matches_and_what_has_no_type() {
    let app = github(EventRouter::new().on("ping", says("pong")).fallback(says("fallback")));
    let mut without_type = signed("", "{}");
    without_type.headers_mut().remove("x-github-event");

    assert_eq!(answer(&app, signed("push", "{}")).await.1, "fallback");
    assert_eq!(answer(&app, without_type).await.1, "fallback");
}

#[tokio::test]
async fn handlers_are_ordinary_ones_with_the_routers_state_and_every_extractor() {
    async fn on_push(
        State(name): State<&'static str>,
        delivery: Delivery,
        event: VerifiedEvent<Value>,
        Json(body): Json<Value>,
    ) -> String {
        assert_eq!(*event, body);
        format!("{name} {}", delivery.event_type().unwrap())
    }
    let mut request = signed("push", r#"{"a":1}"#);
    request.headers_mut().insert("content-type", "application/json".parse().unwrap());
    let layer = || WebhookLayer::github(Secret::new(SECRET).unwrap());
    let app =
        Router::new().route("/hook", post(EventRouter::new().on("push", on_push)).layer(layer())).with_state("outer");

    assert_eq!(answer(&app, request).await.1, "outer push");

    let service: EventRouter = EventRouter::new().on("push", on_push).with_state("own");
    let app: Router = Router::new().route_service("/hook", layer().layer(service));
    let mut request = signed("push", r#"{"a":1}"#);
    request.headers_mut().insert("content-type", "application/json".parse().unwrap());
    assert_eq!(answer(&app, request).await.1, "own push");
}

#[tokio::test]
async fn a_known_type_with_a_wrong_body_is_loud() {
    async fn on_push(_: VerifiedEvent<u8>) {}
    let app = github(EventRouter::new().on("push", on_push));

    assert_eq!(answer(&app, signed("push", r#"{"a":1}"#)).await.0, 422);
    assert_eq!(answer(&app, signed("push", r#"{"a":"#)).await.0, 400);
}

#[tokio::test]
async fn a_body_that_routing_and_handler_could_read_differently_is_refused() {
    let app = github(EventRouter::new().on("issues", |_: VerifiedEvent<Value>| async {}));

    assert_eq!(answer(&app, signed("issues", r#"{"action":"opened"}"#)).await.0, 200);
    assert_eq!(answer(&app, signed("issues", r#"{"action":"opened","action":"deleted"}"#)).await.0, 400);
}

#[tokio::test]
async fn routers_merge() {
    let app =
        github(EventRouter::new().on("a", says("a")).merge(EventRouter::new().on("b", says("b")).fallback(says("f"))));

    for (event, expected) in [("a", "a"), ("b", "b"), ("c", "f")] {
        assert_eq!(answer(&app, signed(event, "{}")).await.1, expected);
    }
}

#[test]
#[should_panic(expected = "the pattern `a.*` is registered twice")]
fn one_pattern_twice_panics_at_start() {
    let _ = EventRouter::<()>::new().on("a.*", says("")).on("a.*", says(""));
}

#[test]
#[should_panic(expected = "the pattern `a` is registered twice")]
fn one_pattern_in_two_merged_routers_panics_at_start() {
    let _ = EventRouter::<()>::new().on("a", says("")).merge(EventRouter::new().on("a", says("")));
}

#[test]
#[should_panic(expected = "`a*` is not a pattern of event types")]
fn text_that_is_no_pattern_panics_at_start() {
    let _ = EventRouter::<()>::new().on("a*", says(""));
}

#[tokio::test]
async fn without_a_layer_it_is_a_500() {
    let app: Router = Router::new().route("/hook", post(EventRouter::new().on("*", says("never"))));

    assert_eq!(answer(&app, signed("push", "{}")).await.0, 500);
}

fn versioned() -> SchemeBuilder {
    Scheme::hmac_sha256()
        .header("x-hub-signature-256")
        .prefix("sha256=")
        .hex()
        .signs("{body}")
        .event_type(Field::json("/type"))
        .api_version(Field::json("/version"))
        .payload("/data")
        .success(Answer::new(StatusCode::ACCEPTED))
}

fn app(events: EventRouter) -> Router {
    Router::new().route("/hook", post(events).layer(WebhookLayer::new(versioned(), Secret::new(SECRET).unwrap())))
}

#[tokio::test]
async fn a_handler_may_be_for_some_api_versions_only() {
    let app = app(EventRouter::new().on("t", says("others")).on_version("t", ["1", "2"], says("old")));

    assert_eq!(answer(&app, signed("", r#"{"type":"t","version":"2"}"#)).await.1, "old");
    assert_eq!(answer(&app, signed("", r#"{"type":"t","version":"3"}"#)).await.1, "others");
    assert_eq!(answer(&app, signed("", r#"{"type":"t"}"#)).await.1, "others");
    assert_eq!(answer(&app, signed("", r#"{"type":"u"}"#)).await.0, 202);
}

/// The upgrade of an account must not lose events: if no named version matches, the next pattern is tried.
#[tokio::test]
async fn an_event_of_a_version_that_nobody_named_falls_to_the_next_pattern() {
    let events = || EventRouter::new().on_version("invoice.paid", ["1"], says("exact, 1"));
    let paid = |version: &str| signed("", &format!(r#"{{"type":"invoice.paid","version":"{version}"}}"#));
    let group = app(events().on("invoice.*", says("group")).on("*", says("any")));
    let versions_of_a_group = app(events().on_version("invoice.*", ["2"], says("group, 2")).on("*", says("any")));
    let any = app(events().on("*", says("any")));
    let fallback = app(events().fallback(says("fallback")));
    let same = app(events().on("invoice.paid", says("exact")).on("invoice.*", says("group")));

    for (case, router, version, expected) in [
        ("a named version", &group, "1", "exact, 1"),
        ("a group", &group, "2", "group"),
        ("a version of a group", &versions_of_a_group, "2", "group, 2"),
        ("a version that no group names", &versions_of_a_group, "3", "any"),
        ("the catch-all", &any, "2", "any"),
        ("the fallback", &fallback, "2", "fallback"),
        ("the same pattern without a version comes first", &same, "2", "exact"),
    ] {
        assert_eq!(answer(router, paid(version)).await, (200, expected.to_owned()), "{case}");
    }
    let without_version = signed("", r#"{"type":"invoice.paid"}"#);
    assert_eq!(answer(&group, without_version).await.1, "group");
    // No pattern is left, so the event is acknowledged like every unhandled one.
    assert_eq!(answer(&app(events()), paid("2")).await.0, 202);
}

#[test]
#[should_panic(expected = "names no API version")]
fn no_version_at_all_panics_at_start() {
    let _ = EventRouter::<()>::new().on_version("a", [""; 0], says(""));
}

#[tokio::test]
async fn the_wildcard_follows_the_separators_that_types_have() {
    let app = app(EventRouter::new()
        .on("orders/*", says("slash"))
        .on("orders/paid/*", says("deeper"))
        .on("order:*", says("colon"))
        .on("order.*", says("dot"))
        .on("/*", says("command")));

    for (event_type, expected) in [
        ("orders/create", "slash"),
        ("orders/paid/late", "deeper"),
        ("order:paid", "colon"),
        ("order.paid", "dot"),
        ("/weather", "command"),
    ] {
        let request = signed("", &format!(r#"{{"type":"{event_type}"}}"#));
        assert_eq!(answer(&app, request).await, (200, expected.to_owned()), "{event_type}");
    }
    assert_eq!(answer(&app, signed("", r#"{"type":"orders.create"}"#)).await.0, 202);
}

#[tokio::test]
async fn the_star_gets_events_without_a_type() {
    let app = app(EventRouter::new().on("*", says("any")).fallback(says("fallback")));

    assert_eq!(answer(&app, signed("", r#"{"data":1}"#)).await.1, "any");
}

/// An acknowledged event never comes again, so that one which could not be read must not be acknowledged.
#[tokio::test]
async fn what_cannot_be_read_is_never_a_success() {
    let by_body = app(EventRouter::new().on("t", says("never")));
    let by_header = github(EventRouter::new().on("issues.opened", says("never")));

    for body in ["not json", r#"{"type":"t""#, r#"{"type":"t","type":"u"}"#, "", r#"{"type":"\ud800"}"#] {
        assert_eq!(
            answer(&by_body, signed("", body)).await,
            (400, r#"{"error":"malformed_body"}"#.to_owned()),
            "{body}"
        );
    }
    for body in ["not json", r#"{"action":"opened""#, r#"{"action":"opened","action":"closed"}"#] {
        assert_eq!(answer(&by_header, signed("issues", body)).await.0, 400, "{body}");
    }
    // A repeated type is ambiguous, also for the star.
    let star = github(EventRouter::new().on("*", says("never")).fallback(says("never")));
    for app in [&by_header, &star] {
        let mut twice = signed("issues", r#"{"action":"opened"}"#);
        twice.headers_mut().append("x-github-event", "push".parse().unwrap());
        assert_eq!(answer(app, twice).await, (400, r#"{"error":"malformed_body"}"#.to_owned()));
    }
    // The scheme declares no form.
    let form = "type=t&data=1";
    assert_eq!(answer(&by_body, signed("", form)).await, (415, r#"{"error":"unsupported_form"}"#.to_owned()));
    let typed = app(EventRouter::new().fallback(|_: VerifiedEvent<Value>| async {}));
    assert_eq!(answer(&typed, signed("", form)).await, (415, r#"{"error":"unsupported_form"}"#.to_owned()));
}

#[tokio::test]
async fn old_payloads_are_turned_into_new_ones_step_by_step() {
    #[derive(serde::Deserialize)]
    struct Current {
        cents: u64,
        currency: String,
    }
    async fn current(event: VerifiedEvent<Current>, body: VerifiedBody) -> String {
        let version = event.delivery().api_version().unwrap().to_owned();
        let raw = std::str::from_utf8(body.raw()).unwrap();
        assert_eq!(event.raw(), body.raw());
        format!("{} {} {version} {raw}", event.cents, event.currency)
    }
    let app = app(EventRouter::new()
        .on("paid", current)
        .upcast("*", "1", "2", |data| Ok(json!({ "cents": data["amount"].as_u64().ok_or("no amount")? * 100 })))
        .upcast("paid", "2", "3", |mut data| {
            data["currency"] = "eur".into();
            Ok(data)
        }));

    let old = r#"{"type":"paid","version":"1","data":{"amount":7}}"#;
    assert_eq!(answer(&app, signed("", old)).await, (200, format!("700 eur 3 {old}")));
    let new = r#"{"type":"paid","version":"3","data":{"cents":1,"currency":"usd"}}"#;
    assert_eq!(answer(&app, signed("", new)).await, (200, format!("1 usd 3 {new}")));
    let broken = r#"{"type":"paid","version":"1","data":{}}"#;
    assert_eq!(answer(&app, signed("", broken)).await.0, 422);
}

#[tokio::test]
async fn upcasters_in_a_ring_are_an_error_and_no_loop() {
    let app = app(EventRouter::new().on("*", says("")).upcast("*", "1", "2", Ok).upcast("*", "2", "1", Ok));

    assert_eq!(answer(&app, signed("", r#"{"type":"t","version":"1","data":1}"#)).await.0, 422);
}
