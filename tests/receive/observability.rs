//! Tests of spans and counters, and that they show nothing confidential.

use std::time::Duration;

use axum::{Router, body::Body, extract::Request, routing::post};
use bytes::Bytes;
use counts::Counts;
use data_encoding::{BASE64, HEXLOWER};
use hidden::forms;
use logs::Logs;
use serde_json::json;
use spans::Spans;
use tower::ServiceExt;
use tower_webhooks::{
    Discard, EventRouter, Provider, Retry, Scheme, Secret, Secrets, VerifiedEvent, WebhookLayer,
    clock::{Clock, SystemClock},
    scheme::Field,
    store::MemoryStore,
    testing::SignedRequest,
};

use crate::support::{counts, hidden, key_pairs, logs, spans};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const OTHER_SECRET: &str = "fedcba9876543210fedcba9876543210";

fn secret() -> Secret {
    Secret::new(SECRET).unwrap()
}

fn signed() -> SignedRequest {
    SignedRequest::new(Provider::STANDARD_WEBHOOKS, &secret())
}

fn events() -> EventRouter {
    async fn panics() {
        panic!("as the test wants it");
    }
    EventRouter::new()
        .on("done", || async {})
        .on("rejected", |_: VerifiedEvent<u8>| async {})
        .on("failed", || async { Retry::new() })
        .on("panicked", panics)
        .on("discarded", || async { Discard::new("of no use") })
        .on("cancelled", std::future::pending::<()>)
}

fn app(layer: WebhookLayer) -> Router {
    Router::new().route("/", post(events()).layer(layer))
}

async fn status(app: &Router, request: Request<Body>) -> u16 {
    app.clone().oneshot(request).await.unwrap().status().as_u16()
}

#[tokio::test]
async fn each_request_is_a_span_with_its_outcome() {
    let (spans, _guard) = Spans::capture();
    let app = app(WebhookLayer::standard_webhooks(Secrets::new(secret()).tenant("acme")));
    let handled = |kind: &str| signed().with_event(kind, json!({})).with_id("msg1").build();

    for (kind, status_expected, outcome) in [
        ("done", 200, "done"),
        ("rejected", 422, "rejected"),
        ("failed", 503, "failed"),
        ("discarded", 200, "discarded"),
        ("nobody's", 200, "unhandled"),
    ] {
        assert_eq!(status(&app, handled(kind)).await, status_expected, "{kind}");
        let spans = spans.take();
        let [handle, receive] = &spans[..] else { panic!("{spans:#?}") };
        assert_eq!(
            *handle,
            format!(
                "webhook.handle provider=\"standard-webhooks\" tenant=\"acme\" secret_index=0 delivery_id=\"msg1\" \
                 event_type=\"{kind}\" outcome=\"{outcome}\" status={status_expected}"
            )
        );
        let end = format!("outcome=\"verified\" status={status_expected}");
        assert_eq!(*receive, format!("webhook.receive provider=\"standard-webhooks\" {end}"));
    }

    assert_eq!(status(&app, signed().tampered().build()).await, 401);
    let receive =
        "webhook.receive provider=\"standard-webhooks\" reason=\"signature_mismatch\" outcome=\"rejected\" status=401";
    assert_eq!(spans.take(), [receive]);

    assert_eq!(status(&app, handled("panicked")).await, 500);
    let spans = spans.take();
    assert!(spans[0].ends_with("outcome=\"panicked\""), "{spans:#?}");
    assert!(spans[1].ends_with("outcome=\"verified\" status=500"), "{spans:#?}");
}

#[tokio::test]
async fn a_handler_whose_client_goes_is_cancelled() {
    let (spans, _guard) = Spans::capture();
    let app = app(WebhookLayer::standard_webhooks(secret()));

    let request = status(&app, signed().with_event("cancelled", json!({})).build());
    assert!(tokio::time::timeout(Duration::from_millis(1), request).await.is_err());

    let spans = spans.take();
    assert!(spans[0].ends_with("outcome=\"cancelled\""), "{spans:#?}");
    assert_eq!(spans[1], "webhook.receive provider=\"standard-webhooks\"");
}

#[tokio::test]
async fn a_handshake_is_one_too() {
    let (spans, _guard) = Spans::capture();
    let app = app(WebhookLayer::slack(secret()));
    let body = r#"{"type":"url_verification","challenge":"c"}"#;

    assert_eq!(status(&app, SignedRequest::new(Provider::SLACK, &secret()).with_body(body).build()).await, 200);

    assert_eq!(spans.take(), ["webhook.receive provider=\"slack\" outcome=\"handshake\" status=200"]);
}

// A log line of the handler's own says which delivery it is about.
#[tokio::test]
async fn id_and_type_are_in_the_span_while_the_handler_runs() {
    async fn handler(_body: Bytes) {
        tracing::info!("the handler runs");
    }
    let (logs, _guard) = Logs::capture();
    for (provider, id) in [(Provider::STRIPE, "evt_7"), (Provider::GITHUB, "72d3162e"), (Provider::SVIX, "msg_7")] {
        let secret = secret();
        let app = Router::new().route("/", post(handler).layer(WebhookLayer::new(provider, secret.clone())));
        let request = SignedRequest::new(provider, &secret).with_id(id).with_event("invoice.paid", json!({}));

        assert_eq!(status(&app, request.build()).await, 200);

        let text = logs.text();
        let line = text.lines().rfind(|line| line.contains("the handler runs")).unwrap();
        assert!(line.contains(&format!("delivery_id=\"{id}\" event_type=\"invoice.paid\"")), "{line}");
    }
}

// A listener to the log must not change an answer: a body with two types passes if the handler does not read the type.
#[tokio::test]
async fn who_listens_to_the_log_does_not_change_an_answer() {
    let app = Router::new()
        .route("/", post(async |_: VerifiedEvent<serde_json::Value>| {}).layer(WebhookLayer::stripe(secret())));
    let request = || {
        let body = r#"{"id":"evt_1","type":"a","type":"b","data":{"object":{}}}"#;
        SignedRequest::new(Provider::STRIPE, &secret()).with_body(body).build()
    };

    let unheard = status(&app, request()).await;
    let (spans, _guard) = Spans::capture();
    let heard = status(&app, request()).await;

    assert_eq!(heard, unheard);
    let spans = spans.take();
    assert!(!spans[0].contains("event_type"), "{spans:#?}");
}

#[tokio::test]
async fn what_the_sender_names_is_escaped() {
    let (spans, _guard) = Spans::capture();
    let app = app(WebhookLayer::standard_webhooks(secret()));

    status(&app, signed().with_event("a\nERROR tower_webhooks: forged", json!({})).build()).await;

    assert!(spans.text().contains(r"a\nERROR") && !spans.text().contains("a\nERROR"));
}

#[tokio::test]
async fn each_item_of_a_batch_is_a_span() {
    let (spans, _guard) = Spans::capture();
    let scheme = Scheme::hmac_sha256().header("x-sig").hex().signs("{body}").event_type(Field::json("/type")).batch("");
    let scheme = scheme.build().unwrap();
    let app = app(WebhookLayer::new(scheme.clone(), secret()));

    let request = SignedRequest::for_scheme(&scheme, &secret()).with_body(r#"[{"type":"done"},{"type":"failed"}]"#);
    assert_eq!(status(&app, request.build()).await, 503);

    let spans = spans.take();
    assert!(spans[0].ends_with("event_type=\"done\" outcome=\"done\" status=200"), "{spans:#?}");
    assert!(spans[1].ends_with("event_type=\"failed\" outcome=\"failed\" status=503"), "{spans:#?}");
    assert!(spans[2].ends_with("outcome=\"verified\" status=503"), "{spans:#?}");
}

// --- Counters ---------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn everything_is_counted_once() {
    let counts = Counts::default();
    let _guard = metrics::set_default_local_recorder(&counts);
    let old = Secret::new(OTHER_SECRET).unwrap();
    let app = app(WebhookLayer::standard_webhooks([secret(), old.clone()]));

    for kind in ["done", "rejected", "failed", "panicked", "discarded", "nobody's"] {
        status(&app, signed().with_event(kind, json!({})).build()).await;
    }
    status(&app, signed().with_event("done", json!({})).with_secret(&old).build()).await;
    status(&app, signed().tampered().build()).await;
    let unsigned = Request::post("/").body(Body::empty()).unwrap();
    status(&app, unsigned).await;

    let provider = r#"provider="standard-webhooks""#;
    assert_eq!(counts.of(&format!("webhook_received_total{{{provider}}}")), 9);
    assert_eq!(counts.of(&format!(r#"webhook_verified_total{{{provider},secret="0"}}"#)), 6);
    assert_eq!(counts.of(&format!(r#"webhook_verified_total{{{provider},secret="1"}}"#)), 1);
    assert_eq!(counts.of(&format!(r#"webhook_rejected_total{{{provider},kind="signature_mismatch"}}"#)), 1);
    assert_eq!(counts.of(&format!(r#"webhook_rejected_total{{{provider},kind="missing"}}"#)), 1);
    for (outcome, count) in
        [("done", 2), ("rejected", 1), ("failed", 1), ("panicked", 1), ("discarded", 1), ("unhandled", 1)]
    {
        assert_eq!(
            counts.of(&format!(r#"webhook_handled_total{{{provider},outcome="{outcome}"}}"#)),
            count,
            "{outcome}"
        );
        let seconds = format!(r#"webhook_handler_seconds{{{provider},outcome="{outcome}"}}"#);
        assert_eq!(counts.of(&seconds), count, "{outcome}");
    }
}

#[tokio::test]
async fn copies_are_counted_as_such() {
    let counts = Counts::default();
    let _guard = metrics::set_default_local_recorder(&counts);
    let layer = WebhookLayer::github(secret()).with_idempotency(MemoryStore::new());
    let app: Router = Router::new().route("/", post(events()).layer(layer));
    let github = SignedRequest::new(Provider::GITHUB, &secret()).with_event("done", json!({}));

    for request in [&github, &github, &github.clone().with_id("another")] {
        assert_eq!(status(&app, request.build()).await, 200);
    }

    assert_eq!(counts.of(r#"webhook_duplicates_total{provider="github",state="done"}"#), 1);
    assert_eq!(counts.of(r#"webhook_handled_total{provider="github",outcome="duplicate"}"#), 1);
    assert_eq!(counts.of(r#"webhook_handled_total{provider="github",outcome="done"}"#), 2);
    assert_eq!(counts.of(r#"webhook_replay_suspected_total{provider="github",outcome="run"}"#), 1);
}

#[tokio::test]
async fn unknown_tenants_and_test_secrets_are_counted_by_their_kind() {
    let counts = Counts::default();
    let _guard = metrics::set_default_local_recorder(&counts);
    let unknown = |_: tower_webhooks::RequestHead| async { Ok(Secrets::unknown_tenant()) };
    let live = SignedRequest::new(Provider::STRIPE, &secret()).with_body(r#"{"livemode":true}"#);

    assert_eq!(status(&app(WebhookLayer::standard_webhooks(unknown)), signed().build()).await, 401);
    let secrets = Secrets::new(Secret::new(OTHER_SECRET).unwrap()).and_test(secret());
    assert_eq!(status(&app(WebhookLayer::stripe(secrets)), live.build()).await, 401);

    let of = |provider: &str, kind: &str| {
        counts.of(&format!(r#"webhook_rejected_total{{provider="{provider}",kind="{kind}"}}"#))
    };
    assert_eq!(of("standard-webhooks", "unknown_tenant"), 1);
    assert_eq!(of("stripe", "test_secret"), 1);
}

// --- What must not be seen --------------------------------------------------------------------------------------------

/// The signatures of a request, and every key that a secret may stand for.
fn hidden(request: &Request<Bytes>, secret: &str) -> Vec<String> {
    let mut hidden = forms(secret.as_bytes());
    for key in [HEXLOWER.decode(secret.as_bytes()), BASE64.decode(secret.as_bytes())].into_iter().flatten() {
        hidden.extend(forms(&key));
    }
    let texts = request.headers().values().filter_map(|value| value.to_str().ok()).chain(request.uri().query());
    for word in texts.flat_map(|text| text.split([' ', ',', ';', '=', '&'])).filter(|word| word.len() >= 27) {
        hidden.push(word.to_owned());
        for decode in [HEXLOWER.decode(word.as_bytes()), BASE64.decode(format!("{word}=").as_bytes())] {
            hidden.extend(decode.iter().flat_map(|tag| forms(tag)));
        }
    }
    hidden
}

#[tokio::test]
async fn a_whole_run_at_trace_holds_no_secret_no_right_signature_and_no_payload() {
    const PAYLOAD: &str = "4111-1111-1111-1111";
    let mut panicked = false;
    // Of Paddle Classic no request can be signed here: no key of the library signs with SHA-1.
    // The types of messages of SNS are its own.
    let others = ["aws-sns", "aws-sns-v2", "paddle-classic"];
    for provider in Provider::ALL.iter().filter(|provider| !others.contains(&provider.name())) {
        // One log for each, or every text would be looked for in those of all the others.
        let (spans, _guard) = Spans::capture();
        let mut must_not_be_seen = vec![PAYLOAD.to_owned()];
        // Some windows are shorter than this test.
        let now = SystemClock.now();
        let ended = now - Duration::from_secs(60);
        let held = |number, otherwise| Secret::new(key_pairs::of_receiver(provider.name(), number, otherwise)).unwrap();
        let signing =
            |number, otherwise| Secret::new(key_pairs::of_sender(provider.name(), number, otherwise)).unwrap();
        let secrets = Secrets::new(held(0, SECRET)).and_until(held(1, OTHER_SECRET), ended);
        let scheme = Scheme::from(*provider);
        let layer = WebhookLayer::new(*provider, secrets);
        let layer = if scheme.signs_url() { layer.with_public_url("https://example.com") } else { layer };
        let layer = crate::support::senders::with_claims(layer, &scheme);
        let layer = if scheme.needs_verify_token() { layer.with_verify_token(secret()) } else { layer };
        let layer = layer.with_idempotency(MemoryStore::new());
        let app: Router = Router::new().route("/", post(events()).layer(layer));
        let right = SignedRequest::new(*provider, &signing(0, SECRET)).public_url("https://example.com").at(now);
        let with = |kind: &str| right.clone().with_event(kind, json!({ "card": PAYLOAD }));
        let requests = [
            with("done"),
            with("done"),
            with("rejected"),
            with("failed"),
            with("panicked"),
            with("discarded"),
            with("nobody's"),
            with("done").tampered(),
            with("done").with_secret(&signing(1, OTHER_SECRET)),
            with("done").with_secret(&signing(2, "00112233445566778899aabbccddeeff")),
            with("done").at(now - Duration::from_secs(3600)),
            with("done").at(now + Duration::from_secs(3600)),
            with("done").with_body(format!("{{\"card\":\"{PAYLOAD}\"")),
        ];
        for (number, request) in requests.into_iter().enumerate() {
            // The first two are a delivery and its copy.
            let request = request.with_id(format!("id{}", number.max(1)));
            let Ok(built) = request.try_build::<Bytes>() else { continue };
            must_not_be_seen.extend(hidden(&built, SECRET));
            must_not_be_seen.extend(hidden(&built, OTHER_SECRET));
            status(&app, built.clone().map(Body::from)).await;

            // Each header spoilt, cut, repeated and taken away.
            for name in built.headers().keys() {
                for spoil in 0..4 {
                    let mut bad = built.clone().map(Body::from);
                    let value = built.headers()[name].clone();
                    match spoil {
                        0 => _ = bad.headers_mut().remove(name),
                        1 => _ = bad.headers_mut().append(name, value),
                        2 => _ = bad.headers_mut().insert(name, "x".parse().unwrap()),
                        _ => {
                            let text = value.to_str().unwrap();
                            bad.headers_mut().insert(name, text[..text.len() / 2].parse().unwrap());
                        }
                    }
                    status(&app, bad).await;
                }
            }
        }

        let seen = spans.text();
        assert!(seen.contains(&format!("webhook.handle provider=\"{provider}\"")), "{provider}");
        assert!(seen.contains("rejected a request"), "{provider}");
        // Of a sender without event types no event reaches that handler.
        panicked |= seen.contains("a handler panicked");
        must_not_be_seen.sort();
        must_not_be_seen.dedup();
        // The names of headers that Contentful lists in one.
        must_not_be_seen.retain(|text| !text.starts_with("x-contentful-"));
        assert!(must_not_be_seen.len() > 5, "{provider}: {}", must_not_be_seen.len());
        for text in must_not_be_seen {
            let line = seen.lines().find(|line| line.contains(&text));
            assert!(line.is_none(), "{provider}: `{text}` is in the log: {line:?}");
        }
    }
    assert!(panicked);
}
