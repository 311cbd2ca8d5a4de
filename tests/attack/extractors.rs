//! Routes, extractors and handlers that fail, over real sockets and in every way to mount the layer.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    debug_handler,
    extract::{Path, State},
    response::IntoResponse,
    routing::{any, get, post, post_service},
};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use logs::Logs;
use serde::Deserialize;
use serde_json::Value;
use serve::{REFUSAL, Receiver, Server, oneshot, request, request_h2};
use sign::{Line, Sender, line};
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_webhooks::{
    Delivery, EventRejection, EventRouter, Provider, RequestHead, Secrets, VerifiedBody, VerifiedEnvelope,
    VerifiedEvent, VerifyError, WebhookLayer, error::VerifyErrorKind, extract::EventRejectionKind,
};

use crate::support::{key_pairs, logs, serve, sign};

const BODY: &[u8] = br#"{"id":"evt_1","type":"invoice.paid","livemode":true,"data":{"object":{"amount_paid":7}},"event":{"amount_paid":7},"amount_paid":7}"#;

#[derive(Debug, Deserialize)]
struct Invoice {
    amount_paid: u64,
}

async fn send(server: &Server, path: &str, headers: &[Line], body: &[u8]) -> (u16, String) {
    let answer = server.send(&request("POST", path, headers, body)).await.expect("there is an answer");
    (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
}

// --- Ways to mount ------------------------------------------------------------------------------------------------------

/// Asserts that `path` verifies and refuses, over HTTP/1 and HTTP/2.
async fn assert_covered(form: &str, server: &Server, path: &str) {
    let sender = Sender::Stripe;
    let right = sender.sign(BODY);
    assert_eq!(send(server, path, &right, BODY).await, (200, "7".to_owned()), "{form}");
    assert_eq!(send(server, path, &right, b"{}").await, (401, REFUSAL.to_owned()), "{form}");
    assert_eq!(send(server, path, &[], BODY).await, (401, REFUSAL.to_owned()), "{form}");

    let h2 = |headers: &[Line], body: &[u8]| {
        server.send_h2(request_h2("POST", &format!("http://hooks.test{path}"), headers, body))
    };
    assert_eq!(h2(&right, BODY).await.status, 200, "{form} over HTTP/2");
    assert_eq!(h2(&right, b"{}").await.status, 401, "{form} over HTTP/2");
    assert_eq!(h2(&[], BODY).await.status, 401, "{form} over HTTP/2");
}

async fn amount(event: VerifiedEvent<Invoice>) -> String {
    event.amount_paid.to_string()
}

// Each is a way that someone will mount the layer; a form that lets one path through would be a hole.
#[tokio::test]
async fn every_way_to_mount_the_layer_verifies_and_refuses() {
    let layer = || Sender::Stripe.layer();
    let inner = || Router::new().route("/hook", post(amount));
    let routers: Vec<(&str, Router, &str)> = vec![
        ("a method router", Router::new().route("/hook", post(amount).layer(layer())), "/hook"),
        ("a method router's routes", Router::new().route("/hook", post(amount).route_layer(layer())), "/hook"),
        ("a method router of every method", Router::new().route("/hook", any(amount).layer(layer())), "/hook"),
        ("a router", inner().layer(layer()), "/hook"),
        ("a router's routes", inner().route_layer(layer()), "/hook"),
        ("a service builder", inner().layer(ServiceBuilder::new().layer(layer())), "/hook"),
        ("a nested router", Router::new().nest("/in", inner().layer(layer())), "/in/hook"),
        ("a nested router's routes", Router::new().nest("/in", inner().route_layer(layer())), "/in/hook"),
        ("a router around a nested one", Router::new().nest("/in", inner()).layer(layer()), "/in/hook"),
        ("nested twice", Router::new().nest("/a", Router::new().nest("/b", inner().layer(layer()))), "/a/b/hook"),
        ("a merged router", Router::new().route("/other", get(async || "")).merge(inner().layer(layer())), "/hook"),
        ("a fallback", Router::new().fallback(amount).layer(layer()), "/anything"),
        ("a fallback service", Router::new().fallback_service(layer().layer(inner())), "/hook"),
        ("a route service", Router::new().route_service("/hook", layer().layer(inner())), "/hook"),
        ("a nested service", Router::new().nest_service("/in", layer().layer(inner())), "/in/hook"),
        ("a method's service", Router::new().route("/hook", post_service(layer().layer(inner()))), "/hook"),
        ("a path with parameters", Router::new().route("/{a}/{*b}", post(amount).layer(layer())), "/x/y/z"),
    ];
    for (form, router, path) in routers {
        let server = Server::start(router).await;
        assert_covered(form, &server, path).await;
        server.stop().await;
    }
}

// A server that uses only hyper and tower.
#[tokio::test]
async fn a_stack_without_axum_verifies_and_refuses() {
    let service = ServiceBuilder::new().layer(Sender::Stripe.layer()).service(service_fn(
        |request: Request<Full<Bytes>>| async move {
            let body = request.into_body().collect().await?.to_bytes();
            let value: Value = serde_json::from_slice(&body).unwrap_or_default();
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(value["amount_paid"].to_string()))))
        },
    ));
    let server = Server::serve(service, Duration::from_secs(10)).await;

    assert_covered("hyper and tower", &server, "/hook").await;

    server.stop().await;
}

// A layer on one route must not leave its neighbours open, or close them.
#[tokio::test]
async fn a_neighbour_of_a_covered_route_is_what_it_was() {
    let server = Server::start(
        Router::new()
            .route("/hook", post(amount).layer(Sender::Stripe.layer()))
            .route("/health", get(async || "well"))
            .route("/open", post(amount)),
    )
    .await;

    let health = server.send(&request("GET", "/health", &[], b"")).await.unwrap();
    let open = send(&server, "/open", &Sender::Stripe.sign(BODY), BODY).await;

    assert_eq!((health.status, health.text()), (200, "well"));
    assert_eq!(open.0, 500, "a handler that asks for what nobody verified does not run");
    assert_covered("a route with neighbours", &server, "/hook").await;
}

// --- Layers that are forgotten, doubled, or in the wrong place ------------------------------------------------------------

// Forgotten: the handler would otherwise take an unsigned body for a verified event.
#[tokio::test]
async fn an_extractor_without_its_layer_is_500_and_the_log_names_the_fix() {
    let (logs, _guard) = Logs::capture();
    let server = Server::start(
        Router::new()
            .route("/event", post(async |_: VerifiedEvent<Value>| "ran"))
            .route("/envelope", post(async |_: VerifiedEnvelope<Value>| "ran"))
            .route("/body", post(async |_: VerifiedBody| "ran"))
            .route("/delivery", post(async |_: Delivery| "ran")),
    )
    .await;

    for path in ["/event", "/envelope", "/body", "/delivery"] {
        let answer = send(&server, path, &Sender::Stripe.sign(BODY), BODY).await;
        assert_eq!(answer, (500, r#"{"error":"internal"}"#.to_owned()), "{path}");
    }

    let ours = logs.ours();
    assert_eq!(ours.len(), 4, "{ours:?}");
    assert!(ours.iter().all(|line| line.contains("ERROR") && line.contains("add `.layer(WebhookLayer::")), "{ours:?}");
}

// `Option` says "if there is a layer", and `Result` lets the handler decide; neither lets a wrong payload pass for none.
#[tokio::test]
async fn optional_extractors_are_none_only_without_a_layer() {
    async fn option(event: Option<VerifiedEvent<Invoice>>) -> &'static str {
        if event.is_some() { "some" } else { "none" }
    }
    async fn result(event: Result<VerifiedEvent<Invoice>, EventRejection>) -> String {
        match event {
            Ok(event) => event.amount_paid.to_string(),
            Err(rejection) => format!("{:?} {}", rejection.kind(), rejection.path()),
        }
    }
    async fn others(
        envelope: Option<VerifiedEnvelope<Value>>,
        body: Option<VerifiedBody>,
        delivery: Option<Delivery>,
    ) -> String {
        format!("{} {} {}", envelope.is_some(), body.is_some(), delivery.is_some())
    }
    let routes =
        || Router::new().route("/option", post(option)).route("/result", post(result)).route("/others", post(others));
    let server =
        Server::start(Router::new().nest("/in", routes().route_layer(Sender::Stripe.layer())).merge(routes())).await;
    let misfit = br#"{"data":{"object":{"amount_paid":"seven"}}}"#;
    let go = async |path: &str, body: &[u8]| send(&server, path, &Sender::Stripe.sign(body), body).await;

    assert_eq!(go("/in/option", BODY).await, (200, "some".to_owned()));
    assert_eq!(go("/in/option", misfit).await.0, 422);
    assert_eq!(go("/option", BODY).await, (200, "none".to_owned()));
    assert_eq!(go("/in/result", BODY).await, (200, "7".to_owned()));
    assert_eq!(go("/in/result", misfit).await, (200, "Mismatch /data/object/amount_paid".to_owned()));
    assert_eq!(go("/result", BODY).await, (200, "NoLayer ".to_owned()));
    assert_eq!(go("/in/others", BODY).await, (200, "true true true".to_owned()));
    assert_eq!(go("/others", BODY).await, (200, "false false false".to_owned()));
}

// Twice the same layer, and two schemes: every one of them must pass, the body is there, and the innermost names the event.
#[tokio::test]
async fn two_layers_on_a_route_must_both_pass() {
    let handler = async |delivery: Delivery, body: Bytes| format!("{} {}", delivery.provider(), body.len());
    let twice = Router::new().route("/twice", post(handler).layer(Sender::Stripe.layer()));
    let both = Router::new().route("/both", post(handler).layer(Sender::Stripe.layer()));
    let server = Server::start(
        Router::new().merge(twice.layer(Sender::Stripe.layer())).merge(both.layer(Sender::GitHub.layer())),
    )
    .await;
    let stripe = Sender::Stripe.sign(BODY);
    let both_signed = [Sender::GitHub.sign(BODY), stripe.clone()].concat();

    assert_eq!(send(&server, "/twice", &stripe, BODY).await, (200, format!("stripe {}", BODY.len())));
    assert_eq!(send(&server, "/twice", &stripe, b"{}").await.0, 401);
    assert_eq!(send(&server, "/both", &both_signed, BODY).await, (200, format!("stripe {}", BODY.len())));
    assert_eq!(send(&server, "/both", &stripe, BODY).await.0, 401, "without the outer signature");
    assert_eq!(send(&server, "/both", &Sender::GitHub.sign(BODY), BODY).await.0, 401, "without the inner signature");
}

// The body is read once by the layer, and as often as wanted after it.
#[tokio::test]
async fn extractors_may_be_taken_twice_and_beside_those_of_the_framework() {
    #[debug_handler]
    async fn everything(
        first: VerifiedEvent<Invoice>,
        State(state): State<&'static str>,
        second: VerifiedEvent<Value>,
        envelope: VerifiedEnvelope<Value>,
        delivery: Delivery,
        raw: VerifiedBody,
        Json(json): Json<Value>,
    ) -> String {
        assert_eq!(first.raw(), raw.raw());
        assert_eq!(second["amount_paid"], first.amount_paid);
        assert_eq!(*envelope, json);
        assert_eq!(first.envelope::<Value>().unwrap(), json);
        format!("{state} {} {}", delivery.id().unwrap(), delivery.event_type().unwrap())
    }
    async fn bytes(event: VerifiedEvent<Invoice>, body: Bytes) -> String {
        assert_eq!(event.raw(), &body);
        event.into_inner().amount_paid.to_string()
    }
    async fn whole(event: VerifiedEvent<Invoice>, request: Request<Body>) -> String {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(event.raw(), &body);
        body.len().to_string()
    }
    let server = Server::start(
        Router::new()
            .route("/everything", post(everything))
            .route("/bytes", post(bytes))
            .route("/whole", post(whole))
            .route_layer(Sender::Stripe.layer())
            .with_state("state"),
    )
    .await;
    let mut headers = Sender::Stripe.sign(BODY);
    headers.push(line("content-type", "application/json"));

    assert_eq!(send(&server, "/everything", &headers, BODY).await, (200, "state evt_1 invoice.paid".to_owned()));
    assert_eq!(send(&server, "/bytes", &headers, BODY).await, (200, "7".to_owned()));
    assert_eq!(send(&server, "/whole", &headers, BODY).await, (200, BODY.len().to_string()));
}

// --- Events ---------------------------------------------------------------------------------------------------------------

// Senders add event types without asking.
#[tokio::test]
async fn an_unknown_event_type_reaches_a_plain_handler() {
    for sender in Sender::ALL {
        let receiver = Receiver::new(sender).await;

        let body = br#"{"type":"tomorrow.invented","action":"?","data":{"object":{}},"event":{"type":"x"}}"#;
        receiver.accepts(&sender.sign(body), body).await;

        receiver.finish().await;
    }
}

// A field is missing or has another type, or the body is empty: the sender sees only a status, and the log says where.
#[tokio::test]
async fn a_payload_that_does_not_fit_is_422_without_a_word_of_it_and_blocks_nothing() {
    let (logs, _guard) = Logs::capture();
    let server = Server::start(Router::new().route("/hook", post(amount).layer(Sender::Stripe.layer()))).await;

    for object in
        [r#"{}"#, r#"{"amount_paid":"marker-7f3a"}"#, r#"{"amount_paid":-1}"#, "null", "[]", "\"marker-7f3a\"", "1"]
    {
        let body = format!(r#"{{"id":"evt_1","type":"invoice.paid","data":{{"object":{object}}}}}"#);
        let answer = send(&server, "/hook", &Sender::Stripe.sign(body.as_bytes()), body.as_bytes()).await;
        assert_eq!(answer, (422, r#"{"error":"unexpected_payload"}"#.to_owned()), "{object}");
    }
    for body in [&b"{}"[..], br#"{"data":null}"#, br#"{"data":[]}"#, b"[]", b"1", b"null", b"\"\""] {
        let answer = send(&server, "/hook", &Sender::Stripe.sign(body), body).await;
        assert_eq!(answer, (422, r#"{"error":"unexpected_payload"}"#.to_owned()));
    }
    assert_eq!(send(&server, "/hook", &Sender::Stripe.sign(BODY), BODY).await, (200, "7".to_owned()));

    let text = logs.ours().join("\n");
    assert!(text.contains("/data/object/amount_paid"), "{text}");
    assert!(!text.contains("marker-7f3a"), "{text}");
}

// The keys of a payload are text from outside: they must not add lines to a log, or very long ones.
#[tokio::test]
async fn text_of_a_payload_forges_no_line_in_the_log() {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Strict {
        #[allow(dead_code)] // Only its name matters.
        known: u8,
    }
    let (logs, _guard) = Logs::capture();
    let handler = async |_: VerifiedEvent<Strict>| "";
    let server = Server::start(Router::new().route("/hook", post(handler).layer(Sender::Stripe.layer()))).await;
    let forged = r"x\n2027-01-01T00:00:00Z  INFO tower_webhooks: all is well\u001b[31m";
    let long = "k".repeat(500_000);

    for (kind, key) in [(forged, forged), ("t", &long), (&long, "k")] {
        for object in [format!(r#"{{"{key}":1}}"#), format!(r#"{{"known":{{"{key}":1}}}}"#)] {
            let body = format!(r#"{{"type":"{kind}","data":{{"object":{object}}}}}"#);
            let (status, _) = send(&server, "/hook", &Sender::Stripe.sign(body.as_bytes()), body.as_bytes()).await;
            assert_eq!(status, 422);
        }
    }

    let text = logs.text();
    assert!(!text.contains('\u{1b}'));
    assert!(text.lines().all(|line| !line.starts_with("2027-01-01")), "{text}");
    assert!(logs.ours().iter().all(|line| line.len() < 2000));
}

// A handler that takes the `Result` answers as it likes, so that the log must not claim another status.
#[tokio::test]
async fn the_log_of_a_payload_that_does_not_fit_claims_no_status() {
    let (logs, _guard) = Logs::capture();
    let handler = async |event: Result<VerifiedEvent<Invoice>, EventRejection>| {
        assert_eq!(event.map(|_| ()).unwrap_err().kind(), EventRejectionKind::Mismatch);
        "seen to"
    };
    let server = Server::start(Router::new().route("/hook", post(handler).layer(Sender::Stripe.layer()))).await;

    let body = br#"{"data":{"object":{"amount_paid":"x"}}}"#;
    assert_eq!(send(&server, "/hook", &Sender::Stripe.sign(body), body).await, (200, "seen to".to_owned()));

    let line = logs.ours().into_iter().find(|line| line.contains("could not be parsed")).unwrap();
    assert!(line.contains("/data/object/amount_paid"), "{line}");
    // The span around it has the status that was sent; the event itself has none.
    let event = line.split("could not be parsed").nth(1).unwrap();
    assert!(!event.contains("status"), "{line}");
}

// An event without a handler is a success, so a typing error in a name would lose events silently. The log warns once.
#[tokio::test]
async fn patterns_that_look_like_a_mistake_are_warned_of_once() {
    #[derive(Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Named {
        #[allow(dead_code)] // It is never made.
        InvoicePaid(Value),
    }
    #[derive(Deserialize)]
    enum Plain {
        Ping,
        Pong,
    }
    #[derive(Deserialize)]
    enum Right {
        #[serde(rename = "invoice.sent")]
        Sent,
    }
    let (logs, _guard) = Logs::capture();
    let events = EventRouter::new().on("invoice/*", async || "never").on("invoice.sent", async || "never");
    let versions = EventRouter::new().on_version("invoice.paid", ["1"], async || "never");
    let router = Router::new()
        .route("/named", post(async |_: VerifiedEvent<Named>| "never"))
        .route(
            "/plain",
            post(async |event: VerifiedEvent<Plain>| match *event {
                Plain::Ping | Plain::Pong => "never",
            }),
        )
        .route(
            "/right",
            post(async |event: VerifiedEvent<Right>| match *event {
                Right::Sent => "never",
            }),
        )
        .route("/events", post(events))
        .route("/versions", post(versions))
        .route_layer(Sender::Stripe.layer());
    let server = Server::start(router).await;
    let body = br#"{"id":"evt_1","type":"invoice.paid","api_version":"2","data":{"object":{}}}"#;

    for path in ["/named", "/plain", "/right", "/events", "/versions"] {
        for _ in 0..3 {
            let answer = send(&server, path, &Sender::Stripe.sign(body), body).await;
            assert_eq!(answer, (200, r#"{"status":"unhandled"}"#.to_owned()), "{path}");
        }
    }

    let warnings: Vec<_> = logs.ours().into_iter().filter(|line| line.contains(" WARN ")).collect();
    let count = |words: &str| warnings.iter().filter(|line| line.contains(words)).count();
    assert_eq!(count("pattern=\"invoice_paid\""), 1, "{warnings:#?}");
    assert_eq!(count("no pattern of this enum can match"), 1, "{warnings:#?}");
    assert_eq!(count("pattern=\"invoice/*\""), 1, "{warnings:#?}");
    // Each of these is an event that is lost, and an upgrade of the account is behind it.
    assert_eq!(count("no handler wants this API version"), 3, "{warnings:#?}");
    assert_eq!(warnings.len(), 6, "{warnings:#?}");
}

// A genuine event in a format that cannot be read must be sent again, and the log says what to do.
#[tokio::test]
async fn a_form_that_the_scheme_does_not_declare_is_415_with_the_remedy() {
    let (logs, _guard) = Logs::capture();
    let router = Router::new()
        .route("/typed", post(amount))
        .route("/routed", post(EventRouter::new().on("invoice.paid", amount)))
        .route_layer(Sender::Stripe.layer());
    let server = Server::start(router).await;
    let body = b"payload=%7B%22type%22%3A%22invoice.paid%22%7D";

    for path in ["/typed", "/routed"] {
        let answer = send(&server, path, &Sender::Stripe.sign(body), body).await;
        assert_eq!(answer, (415, r#"{"error":"unsupported_form"}"#.to_owned()), "{path}");
    }

    let remedies =
        logs.ours().into_iter().filter(|line| line.contains("declare them with `SchemeBuilder::form`")).count();
    assert_eq!(remedies, 2, "{}", logs.text());
}

// --- Handlers that fail -----------------------------------------------------------------------------------------------------

// A panic is an answer, and the connection and the process go on. `serve` has a net for panics; this one is the layer's own.
#[tokio::test]
async fn a_handler_that_panics_is_500_and_the_next_request_works() {
    let (logs, _guard) = Logs::capture();
    let handler = async |body: Bytes| -> String {
        assert!(body.len() < 200, "the handler's own words");
        body.len().to_string()
    };
    let router = Router::new().route("/hook", post(handler).layer(Sender::Stripe.layer()));
    let server = Server::serve(router, Duration::from_secs(10)).await;
    let large = format!(r#"{{"marker-7f3a":"{}"}}"#, "x".repeat(300)).into_bytes();

    let mut raw = server.connect().await;
    for _ in 0..3 {
        raw.send(&request("POST", "/hook", &Sender::Stripe.sign(&large), &large)).await;
        let answer = raw.answer().await.expect("there is an answer");
        assert_eq!((answer.status, answer.text()), (500, r#"{"error":"internal"}"#));
        raw.send(&request("POST", "/hook", &Sender::Stripe.sign(BODY), BODY)).await;
        assert_eq!(raw.answer().await.map(|answer| answer.status), Some(200), "on the same connection");
    }

    assert!(logs.ours().iter().any(|line| line.contains("ERROR") && line.contains("panicked")));
    assert!(!logs.text().contains("marker-7f3a"), "what the panic says is not logged by us");
}

// Other parts of the application than the handler may panic as well.
#[tokio::test]
async fn a_panic_of_any_part_of_the_application_is_500() {
    let source = |_: RequestHead| async { panic!("a source of secrets") };
    let source_now = |_: RequestHead| -> std::future::Ready<Result<Secrets, tower_webhooks::BoxError>> {
        panic!("before the future is made")
    };
    let rejecting =
        Sender::GitHub.layer().with_rejection_response(|_| -> http::Response<Bytes> { panic!("a response") });
    let clock = Sender::GitHub.layer().with_clock(Broken);
    let custom = WebhookLayer::new(tower_webhooks::Scheme::custom(Broken), Sender::GitHub.secret());
    let call = service_fn(|_: Request<Full<Bytes>>| -> std::future::Ready<Result<Response<Body>, Infallible>> {
        panic!("before the future is made")
    });

    // A source that panics is one that gives no secrets: the sender is to come again.
    let layers = [
        (WebhookLayer::github(source), 503),
        (WebhookLayer::github(source_now), 503),
        (rejecting, 500),
        (clock, 500),
        (custom, 500),
    ];
    let mut routers: Vec<(Router, u16)> = layers
        .into_iter()
        .map(|(layer, status)| (Router::new().route("/hook", post(async || "").layer(layer)), status))
        .collect();
    routers.push((Router::new().route_service("/hook", Sender::GitHub.layer().layer(call)), 500));
    for (router, status) in routers {
        let server = Server::serve(router, Duration::from_secs(10)).await;
        for _ in 0..2 {
            let wrong = Sender::GitHub.sign(b"{}");
            let answers = [
                send(&server, "/hook", &Sender::GitHub.sign(BODY), BODY).await.0,
                send(&server, "/hook", &wrong, BODY).await.0,
            ];
            assert!(answers.contains(&status), "{answers:?}");
            assert!(answers.iter().all(|answer| [status, 401, 200].contains(answer)), "{answers:?}");
        }
        server.stop().await;
    }
}

struct Broken;

impl tower_webhooks::clock::Clock for Broken {
    fn now(&self) -> std::time::SystemTime {
        panic!("a clock")
    }
}

/// A scheme that lets nothing pass.
struct Refusing;

impl tower_webhooks::scheme::CustomScheme for Refusing {
    fn name(&self) -> &str {
        "refusing"
    }

    fn inspect(
        &self,
        _: tower_webhooks::Head<'_>,
        _: std::time::SystemTime,
    ) -> Result<tower_webhooks::scheme::Plan, VerifyError> {
        Err(VerifyError::new(tower_webhooks::error::VerifyErrorKind::Missing))
    }

    fn verify(
        &self,
        _: tower_webhooks::Head<'_>,
        _: &[u8],
        _: tower_webhooks::scheme::Keys<'_>,
        _: std::time::SystemTime,
    ) -> Result<tower_webhooks::scheme::Binding, VerifyError> {
        Err(VerifyError::new(tower_webhooks::error::VerifyErrorKind::SignatureMismatch))
    }
}

impl tower_webhooks::scheme::CustomScheme for Broken {
    fn name(&self) -> &str {
        "broken"
    }

    fn inspect(
        &self,
        _: tower_webhooks::Head<'_>,
        _: std::time::SystemTime,
    ) -> Result<tower_webhooks::scheme::Plan, VerifyError> {
        panic!("a scheme")
    }

    fn verify(
        &self,
        _: tower_webhooks::Head<'_>,
        _: &[u8],
        _: tower_webhooks::scheme::Keys<'_>,
        _: std::time::SystemTime,
    ) -> Result<tower_webhooks::scheme::Binding, VerifyError> {
        panic!("a scheme")
    }
}

// The sender acts on the handler's answer, so the layer does not change it.
#[tokio::test]
async fn a_handlers_own_answer_passes_as_it_is() {
    let handler = async |Path(status): Path<u16>| {
        let status = StatusCode::from_u16(status).unwrap();
        (status, [("x-own", "1"), ("retry-after", "120")], "own words").into_response()
    };
    let router = Router::new().route("/{status}", post(handler).layer(Sender::Stripe.layer()));
    let server = Server::start(router).await;

    for status in [200, 201, 202, 400, 401, 404, 409, 410, 422, 429, 500, 503] {
        let headers = Sender::Stripe.sign(BODY);
        let answer = server.send(&request("POST", &format!("/{status}"), &headers, BODY)).await.unwrap();
        assert_eq!((answer.status, answer.text()), (status, "own words"));
        assert_eq!((answer.header("x-own"), answer.header("retry-after")), (Some("1"), Some("120")));
    }
}

// An error of the inner service is its own type still.
#[tokio::test]
async fn an_error_of_the_inner_service_passes_unchanged() {
    #[derive(Debug, PartialEq)]
    struct Own(u8);
    let failing = service_fn(|_: Request<Full<Bytes>>| async { Err::<Response<Full<Bytes>>, _>(Own(7)) });
    let service = Sender::GitHub.layer().layer(failing);
    let request = || request_h2("POST", "/hook", &Sender::GitHub.sign(BODY), BODY);

    for _ in 0..2 {
        let error = service.clone().oneshot(request()).await.map(|_| ()).unwrap_err();
        assert_eq!(error, Own(7));
    }
}

// A clone that was not polled ready must not be called: the permit belongs to the one that was.
#[tokio::test]
async fn a_service_with_a_limit_of_one_serves_one_after_the_other() {
    let echo =
        service_fn(|request: Request<Full<Bytes>>| async { Ok::<_, Infallible>(Response::new(request.into_body())) });
    let service = ServiceBuilder::new().layer(Sender::GitHub.layer()).concurrency_limit(1).service(echo);

    for _ in 0..10 {
        let request = request_h2("POST", "/hook", &Sender::GitHub.sign(BODY), BODY);
        let response = serve::soon("a permit", service.clone().oneshot(request)).await.unwrap();
        assert_eq!(response.status(), 200);
        let refused = request_h2("POST", "/hook", &[], BODY);
        assert_eq!(serve::soon("a permit", service.clone().oneshot(refused)).await.unwrap().status(), 401);
    }
}

// --- Refusals and options -----------------------------------------------------------------------------------------------------

// One status and one text for every reason: the difference between them is what an attacker probes for.
#[tokio::test]
async fn every_authentication_failure_is_answered_with_the_same_bytes() {
    for sender in Sender::ALL {
        let receiver = Receiver::new(sender).await;
        let now = sign::NOW.to_string();
        let mut doubled = sender.sign(BODY);
        doubled.push(doubled[0].clone());
        let mut requests: Vec<Vec<Line>> = vec![
            Vec::new(),
            sender.claiming("junk"),
            sender.claiming(sender.value(&now, &sender.encode(&[0; 32]))),
            sender.sign(b"another body"),
            doubled,
        ];
        if Sender::STAMPING.contains(&sender) {
            requests.push(sender.sign_at("1", BODY));
            requests.push(sender.sign_at("junk", BODY));
        }

        let mut answers = Vec::new();
        for headers in &requests {
            let mut answer = receiver.post(headers, BODY).await;
            answer.headers.retain(|(name, _)| name != "date");
            answers.push(answer);
        }

        // Whether the body was read shows in the connection's fate, and says what everybody knows from the headers.
        answers.iter_mut().for_each(|answer| answer.headers.retain(|(name, _)| name != "connection"));
        answers.dedup();
        assert_eq!(answers.len(), 1, "{sender:?}: {answers:?}");
        assert_eq!((answers[0].status, answers[0].text()), (401, REFUSAL));
        receiver.finish().await;
    }
}

// The reason is in the response's extensions, also if the application made the response.
#[tokio::test]
async fn the_reason_is_in_the_extensions_of_every_refusal() {
    let own = Sender::Stripe.layer().with_rejection_response(|error| {
        Response::builder().status(418).header("x-kind", error.kind().as_str()).body("own").unwrap()
    });
    let stale = Sender::Stripe.sign_at("1", BODY);
    let cases: [(VerifyErrorKind, Vec<Line>, &str); 5] = [
        (VerifyErrorKind::Missing, Vec::new(), "POST"),
        (VerifyErrorKind::SignatureMismatch, Sender::Stripe.sign(b"{}"), "POST"),
        (VerifyErrorKind::Stale, stale, "POST"),
        (VerifyErrorKind::MalformedTimestamp, Sender::Stripe.sign_at("x", BODY), "POST"),
        (VerifyErrorKind::MethodNotAllowed, Sender::Stripe.sign(BODY), "GET"),
    ];
    for (layer, is_own) in [(Sender::Stripe.layer(), false), (own, true)] {
        let router: Router = Router::new().route("/hook", any(amount).layer(layer));
        for (kind, headers, method) in &cases {
            let response = oneshot(&router, request_h2(method, "/hook", headers, BODY)).await;
            let error = response.extensions().get::<VerifyError>().expect("the reason is there");
            assert_eq!(error.kind(), *kind);
            assert_eq!(response.status() == 418, is_own);
            assert_eq!(response.headers().get("x-kind").is_some(), is_own);
        }
    }
    let router: Router = Router::new().route("/hook", post(amount).layer(Sender::Stripe.layer()));
    let accepted = oneshot(&router, request_h2("POST", "/hook", &Sender::Stripe.sign(BODY), BODY)).await;
    assert!(accepted.extensions().get::<VerifyError>().is_none());
    let misfit = oneshot(&router, request_h2("POST", "/hook", &Sender::Stripe.sign(b"{}"), b"{}")).await;
    let rejection = misfit.extensions().get::<EventRejection>().expect("the reason is there");
    assert_eq!((rejection.kind(), rejection.path()), (EventRejectionKind::Mismatch, "/data/object"));
}

// The budget is for all bodies that are held, also by a handler that is still at work.
#[tokio::test]
async fn a_spent_budget_is_503_with_a_time_to_come_back_and_is_given_back() {
    let release = Arc::new(tokio::sync::Notify::new());
    let running = Arc::new(tokio::sync::Notify::new());
    let handler = {
        let (release, running) = (Arc::clone(&release), Arc::clone(&running));
        move |body: Bytes| {
            let (release, running) = (Arc::clone(&release), Arc::clone(&running));
            async move {
                running.notify_one();
                release.notified().await;
                // The bytes count for as long as an owner holds them.
                drop(body);
            }
        }
    };
    let layer = Sender::GitHub.layer().with_memory_budget(BODY.len() * 3 / 2);
    // A clone shares the budget.
    let router =
        Router::new().route("/slow", post(handler).layer(layer.clone())).route("/fast", post(async || "").layer(layer));
    let server = Server::start(router).await;
    let slow = request("POST", "/slow", &Sender::GitHub.sign(BODY), BODY);
    let fast = request("POST", "/fast", &Sender::GitHub.sign(BODY), BODY);

    let mut held = server.connect().await;
    held.send(&slow).await;
    serve::soon("the handler", running.notified()).await;
    let refused = server.send(&fast).await.unwrap();
    let small = send(&server, "/fast", &Sender::GitHub.sign(b"{}"), b"{}").await;
    release.notify_one();
    let first = held.answer().await.unwrap();
    let after = server.send(&fast).await.unwrap();

    assert_eq!((refused.status, refused.text()), (503, r#"{"error":"unavailable"}"#));
    assert!(refused.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok()));
    assert_eq!((small.0, first.status, after.status), (200, 200, 200));

    // If a client disconnects, its bytes are freed too.
    for _ in 0..5 {
        let mut gone = server.connect().await;
        gone.send(&slow[..slow.len() - 1]).await;
        gone.reset();
    }
    serve::soon("the budget's return", async {
        while server.send(&fast).await.unwrap().status != 200 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

// --- Secrets by tenant --------------------------------------------------------------------------------------------------------

// The path names the tenant, through nested routers; one tenant's secret opens no other's door.
#[tokio::test]
async fn a_tenants_secret_verifies_at_its_own_path_only() {
    let source = |head: RequestHead| async move {
        let tenant = head.path_param("tenant").ok_or("no tenant")?.to_owned();
        assert_eq!(head.matched_path(), Some("/v1/{tenant}/hook"));
        assert!(head.uri().path().starts_with("/v1/"));
        Ok(Secrets::new(tower_webhooks::Secret::new(format!("the signing key of {tenant}"))?).tenant(tenant))
    };
    let handler = async |delivery: Delivery| delivery.tenant().unwrap_or("nobody").to_owned();
    let inner = Router::new().route("/hook", post(handler).layer(WebhookLayer::github(source)));
    let server = Server::start(Router::new().nest("/v1/{tenant}", inner)).await;
    let signed = |tenant: &str| {
        let tag = Sender::GitHub.tag_with(format!("the signing key of {tenant}").as_bytes(), "", BODY);
        Sender::GitHub.claiming(format!("sha256={tag}"))
    };

    assert_eq!(send(&server, "/v1/acme/hook", &signed("acme"), BODY).await, (200, "acme".to_owned()));
    assert_eq!(send(&server, "/v1/umbrella/hook", &signed("umbrella"), BODY).await, (200, "umbrella".to_owned()));
    assert_eq!(send(&server, "/v1/umbrella/hook", &signed("acme"), BODY).await, (401, REFUSAL.to_owned()));
    // An escaped name is the name; one that is no text is none.
    assert_eq!(send(&server, "/v1/%61cme/hook", &signed("acme"), BODY).await, (200, "acme".to_owned()));
    assert_eq!(send(&server, "/v1/%ff/hook", &signed("acme"), BODY).await.0, 503);
}

// --- The catalogue's promise ----------------------------------------------------------------------------------------------------

// The other limits still hold when verification is turned off by its insecure name.
#[tokio::test]
async fn without_verification_the_limits_and_methods_stay() {
    let (logs, _guard) = Logs::capture();
    for provider in Provider::ALL {
        // A layer without verification is still one that was given a secret of the scheme's form.
        // The text is also base64 and hexadecimal digits.
        let secret = key_pairs::of_receiver(provider.name(), 0, "0123456789abcdef0123456789abcdef");
        let secret = tower_webhooks::Secret::new(secret).unwrap();
        let layer = WebhookLayer::new(*provider, secret).with_insecure_no_verification();
        let scheme = tower_webhooks::Scheme::from(*provider);
        let layer = crate::support::senders::with_claims(layer, &scheme);
        let layer = if scheme.signs_url() { layer.with_public_url("https://example.com") } else { layer };
        let token = Sender::GitHub.secret();
        let layer = if scheme.needs_verify_token() { layer.with_verify_token(token) } else { layer };
        let runs = Arc::new(AtomicUsize::new(0));
        let handler = {
            let runs = Arc::clone(&runs);
            async move |delivery: Delivery| {
                runs.fetch_add(1, Ordering::SeqCst);
                format!("{:?} {}", delivery.secret_index(), delivery.covers_body())
            }
        };
        let router = Router::new().route("/hook", any(handler).layer(layer.with_body_limit(100)));
        let server = Server::start(router).await;

        assert_eq!(send(&server, "/hook", &[], b"{}").await, (200, "None false".to_owned()), "{provider}");
        assert_eq!(send(&server, "/hook", &[], &[b'x'; 101]).await.0, 413, "{provider}");
        // Some senders can be configured to use GET.
        let by_any = ["contentful", "hubspot-v2", "hubspot-v3", "messagebird", "plivo", "twilio", "twilio-shared-key"];
        if by_any.contains(&provider.name()) {
            continue;
        }
        let got = server.send(&request("GET", "/hook", &[], b"")).await.unwrap();
        // Some have a handshake by GET, which this is not.
        let by_get = [
            Provider::BRAINTREE,
            Provider::DROPBOX,
            Provider::META,
            Provider::NYLAS,
            Provider::OKTA,
            Provider::X_TWITTER,
        ]
        .contains(provider);
        let refused = if by_get { 403 } else { 405 };
        assert_eq!((got.status, runs.load(Ordering::SeqCst)), (refused, 1), "{provider}");
    }
    // A scheme in code is asked whether it answers from the head, and for nothing else.
    let custom = WebhookLayer::new(tower_webhooks::Scheme::custom(Refusing), Sender::GitHub.secret());
    let router = Router::new().route("/hook", any(async || "").layer(custom.with_insecure_no_verification()));
    let server = Server::start(router).await;
    assert_eq!(send(&server, "/hook", &[], b"{}").await.0, 200);
    assert_eq!(server.send(&request("GET", "/hook", &[], b"")).await.unwrap().status, 405);

    let warnings = logs.ours().iter().filter(|line| line.contains("verification is off")).count();
    assert_eq!(warnings, Provider::ALL.len() + 1);
}
