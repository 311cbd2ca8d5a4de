//! The requests that the `testing` feature builds, through the real layer.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Body, extract::State, http::Request, routing::any};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_webhooks::{
    Claim, Delivery, Head, Provider, Scheme, Secret, Secrets, VerifiedEnvelope, VerifiedEvent, WebhookLayer,
    clock::{Clock, ManualClock, SystemClock},
    error::{ConfigErrorKind, VerifyError, VerifyErrorKind},
    scheme::{Binding, CustomScheme, Field, Keys, Plan, SchemeBuilder, TimestampUnit},
    testing::{SignedRequest, TestClaim, TestDelivery, fixtures, verified_envelope, verified_event},
};

use crate::support::key_pairs;

const PUBLIC_URL: &str = "https://example.com";

/// Providers for whom the library does not sign, since none of its keys signs with SHA-1; and those whose events have types of their own.
const IN_CODE: &[&str] = &["aws-sns", "aws-sns-v2", "paddle-classic"];

/// Text that every form of a shared key takes: it is hexadecimal digits, base64, and just text.
const SECRET: &str = "0123456789abcdef0123456789abcdef";
const OTHER_SECRET: &str = "fedcba9876543210fedcba9876543210";

fn secret() -> Secret {
    Secret::new(SECRET).unwrap()
}

fn other_secret() -> Secret {
    Secret::new(OTHER_SECRET).unwrap()
}

/// The sender's secret. If the sender has a private key, it differs from the receiver's secret.
fn held_by_sender(scheme: &Scheme) -> Secret {
    Secret::new(key_pairs::of_sender(scheme.name(), 0, SECRET)).unwrap()
}

fn another_of_sender(scheme: &Scheme) -> Secret {
    Secret::new(key_pairs::of_sender(scheme.name(), 1, OTHER_SECRET)).unwrap()
}

fn held_by_receiver(scheme: &Scheme) -> Secret {
    Secret::new(key_pairs::of_receiver(scheme.name(), 0, SECRET)).unwrap()
}

fn layer(scheme: Scheme) -> WebhookLayer {
    let secret_of_scheme = held_by_receiver(&scheme);
    let (signs_url, needs_token) = (scheme.signs_url(), scheme.needs_verify_token());
    let own = scheme.clone();
    let layer = crate::support::senders::with_claims(WebhookLayer::new(scheme, secret_of_scheme), &own);
    let layer = if signs_url { layer.with_public_url(PUBLIC_URL) } else { layer };
    if needs_token { layer.with_verify_token(secret()) } else { layer }
}

/// The layer's status for a request, and the delivery that its handler received.
async fn send(scheme: Scheme, request: Request<Body>) -> (StatusCode, Option<Delivery>) {
    let seen: Arc<Mutex<Option<Delivery>>> = Arc::default();
    let handler = |State(seen): State<Arc<Mutex<Option<Delivery>>>>, delivery: Delivery| async move {
        *seen.lock().unwrap() = Some(delivery);
    };
    let layer = layer(scheme);
    let app = Router::new().route("/hook", any(handler).layer(layer)).with_state(Arc::clone(&seen));

    let status = app.oneshot(request).await.unwrap().status();

    (status, seen.lock().unwrap().take())
}

fn signed(scheme: &Scheme) -> SignedRequest {
    SignedRequest::for_scheme(scheme, &held_by_sender(scheme)).uri("/hook").public_url(PUBLIC_URL)
}

/// The schemes that this test is about: all of the catalogue, and one of each shape that can be declared.
fn schemes() -> Vec<Scheme> {
    let providers = Provider::ALL.iter().filter(|provider| !IN_CODE.contains(&provider.name()));
    let mut schemes: Vec<_> = providers.map(|provider| Scheme::from(*provider)).collect();
    schemes.extend(shapes().into_iter().map(|builder| builder.build().unwrap()));
    schemes
}

fn shapes() -> Vec<SchemeBuilder> {
    let hex = || Scheme::hmac_sha256().hex();
    vec![
        hex().name("prefix").header("x-sig").prefix("sha256=").signs("{body}").event_type(Field::json("/type")),
        hex()
            .name("list")
            .header("x-sig")
            .items(",")
            .pairs("=")
            .key("v1")
            .timestamp(Field::param("t"))
            .signs("{timestamp}.{body}")
            .id(Field::json("/id"))
            .event_type(Field::json("/event/kind"))
            .payload("/event/data"),
        Scheme::hmac_sha512()
            .base64url()
            .name("sha512")
            .header("x-sig")
            .timestamp(Field::header("x-time"))
            .unit(TimestampUnit::Milliseconds)
            .signs("{method}|{timestamp}|{body}|{header:x-nonce}"),
        Scheme::insecure_hmac_sha1()
            .base64()
            .name("url")
            .header("x-sig")
            .key_hex()
            .signs("{url}{body}")
            .id(Field::query("id"))
            .event_type(Field::header("x-kind").joined(Field::json("/action"))),
        hex()
            .name("query")
            .query("signature")
            .timestamp(Field::query("time"))
            .unit(TimestampUnit::Rfc3339)
            .signs("{timestamp}{query:nonce}.{body}"),
        hex()
            .name("json")
            .json_pointer("/signature/signature")
            .timestamp(Field::json("/signature/timestamp"))
            .signs("{timestamp}{json:/signature/token}")
            .id(Field::json("/data/id"))
            .event_type(Field::json("/data/event"))
            .payload("/data"),
        hex().name("numbered").numbered_headers("x-sig-").key_base64().signs("{body}").event_type(Field::json("/a/b")),
        hex()
            .name("each")
            .header_for_each_key(["x-sig-a", "x-sig-b"])
            .id(Field::header("x-id"))
            .signs("{id}:{body}")
            .event_type(Field::json("/type")),
        hex()
            .name("families")
            .header("a-signature")
            .or_header("b-signature")
            .timestamp(Field::header("a-timestamp").or(Field::header("b-timestamp")))
            .id(Field::header("a-id").or(Field::header("b-id")))
            .signs("{id}.{timestamp}.{body}"),
        Scheme::insecure_hash_sha256().hex().name("hash").header("x-sig").signs("{body}{secret}"),
        Scheme::insecure_hash_sha1()
            .hex()
            .name("hash1")
            .header("x-sig")
            .signs("{secret}{param:n}.{body}")
            .pairs("=")
            .items(";")
            .key("s"),
        Scheme::insecure_token().name("token").header("x-token").event_type(Field::header("x-kind")),
        Scheme::insecure_basic().name("basic").event_type(Field::json("/kind")),
        Scheme::insecure_unsigned().name("unsigned").event_type(Field::json("/kind")),
        hex()
            .name("lines")
            .header("x-sig")
            .every_line()
            .signs("{body}")
            .event_type(Field::json("/type"))
            .id(Field::json("/id"))
            .batch("/events"),
        hex().name("array").header("x-sig").signs("{body}").event_type(Field::json("/type")).batch(""),
        hex()
            .name("http-date")
            .header("x-sig")
            .timestamp(Field::header("x-date"))
            .unit(TimestampUnit::HttpDate)
            .signs("{timestamp}\n{body}"),
        hex()
            .name("no-zone")
            .header("x-sig")
            .timestamp(Field::header("x-date"))
            .unit(TimestampUnit::Rfc3339OrUtc)
            .signs("v1:{timestamp}:{body}"),
        hex()
            .name("body-first")
            .header("x-sig")
            .timestamp(Field::header("x-date"))
            .unit(TimestampUnit::HttpDate)
            .signs("{body}{timestamp}"),
        hex().name("plus").header("x-sig").timestamp(Field::header("x-time")).signs("{body}+{timestamp}"),
        hex().name("key-id").header("x-sig").key_id(Field::header("x-key")).signs("{body}"),
        hex().name("parts-of-a-key").header("x-sig").key_without(["0", "a"]).signs("{body}"),
    ]
}

#[tokio::test]
async fn what_is_signed_is_accepted_by_the_layer_of_every_scheme() {
    for scheme in schemes() {
        let request: Request<Body> = signed(&scheme).with_event("thing.done", json!({ "n": 1 })).build();

        let (status, delivery) = send(scheme.clone(), request).await;

        assert_eq!(status, StatusCode::OK, "{}", scheme.name());
        let delivery = delivery.unwrap();
        assert_eq!(delivery.covers_body(), scheme.covers_body());
        if let Some(event_type) = delivery.event_type() {
            assert_eq!(event_type, "thing.done", "{}", scheme.name());
        }
    }
}

#[tokio::test]
async fn what_is_tampered_with_is_refused_and_so_is_another_secret() {
    for scheme in schemes().into_iter().filter(|scheme| scheme.name() != "unsigned") {
        let tampered = signed(&scheme).tampered().build();
        let other = signed(&scheme).with_secret(&another_of_sender(&scheme)).build();

        for request in [tampered, other] {
            let (status, delivery) = send(scheme.clone(), request).await;
            assert!(status.is_client_error() && delivery.is_none(), "{}: {status}", scheme.name());
        }
    }
}

#[test]
fn every_flipped_byte_of_what_is_signed_is_refused() {
    let now = SystemClock.now();
    for scheme in schemes().into_iter().filter(|scheme| scheme.name() != "unsigned") {
        let scheme = scheme.with_public_url(PUBLIC_URL).unwrap();
        let scheme = if scheme.needs_account() { scheme.with_insecure_any_account() } else { scheme };
        let scheme = if scheme.signs_endpoint_id() { scheme.with_endpoint_id("test") } else { scheme };
        let (name, secrets) = (scheme.name().to_owned(), Secrets::new(held_by_receiver(&scheme)));
        let request: Request<Bytes> =
            signed(&scheme).with_event("thing.done", json!({ "n": 1 })).with_id("abcdef").at(now).build();
        let (parts, body) = request.into_parts();
        let verify = |headers: &http::HeaderMap, body: &[u8]| {
            let head = Head::new(&parts.method, &parts.uri, headers);
            let verdict = scheme.verify(head, body.to_vec(), &secrets, now).ok()?;
            verdict.into_delivery()
        };
        let right = verify(&parts.headers, &body).unwrap_or_else(|| panic!("{name} signs wrongly"));

        if scheme.covers_body() {
            // Of Braintree's form one field holds the event, which is signed, and another one the signature.
            let field = body.windows(11).position(|text| text == b"bt_payload=").filter(|_| name == "braintree");
            let signed = field.map_or(0..body.len(), |at| at + 11..at + 15);
            for index in signed {
                let mut flipped = body.to_vec();
                flipped[index] ^= 1;
                assert!(verify(&parts.headers, &flipped).is_none(), "{name}: byte {index} of the body");
            }
        }
        for (header, value) in &parts.headers {
            // A secret without an id is tried whatever key a request names.
            let names_key = [
                "paypal-cert-url",
                "x-ably-key",
                "x-auth-client",
                "x-pusher-key",
                "x-key",
                "x-gcs-keyid",
                "x-shipengine-rsa-sha256-key-id",
            ]
            .contains(&header.as_str());
            if header.as_str().starts_with("content-") || names_key {
                continue;
            }
            // The name of the secret, which is not looked at.
            let names =
                if name == "worldpay" { value.as_bytes().split(|byte| *byte == b'/').next().unwrap().len() } else { 0 };
            for index in names..value.len() {
                let mut flipped = value.as_bytes().to_vec();
                flipped[index] ^= 1;
                let Ok(flipped) = HeaderValue::from_bytes(&flipped) else { continue };
                let mut headers = parts.headers.clone();
                headers.insert(header, flipped);
                let Some(delivery) = verify(&headers, &body) else { continue };
                // It may be accepted only if the changed part is a fact that the scheme does not sign.
                let id = delivery.id() != right.id();
                assert!(!(id && delivery.id_is_signed()), "{name}: byte {index} of `{header}`");
                assert_eq!(delivery.timestamp(), right.timestamp(), "{name}: byte {index} of `{header}`");
                let fact = id || delivery.event_type() != right.event_type() || delivery.attempt() != right.attempt();
                let fact = fact || delivery.account() != right.account() || delivery.mode() != right.mode();
                assert!(fact || delivery.api_version() != right.api_version(), "{name}: byte {index} of `{header}`");
            }
        }
    }
}

#[tokio::test]
async fn facts_are_where_the_scheme_has_them() {
    let request =
        SignedRequest::new(Provider::STRIPE, &secret()).uri("/hook").with_id("evt_1").with_api_version("2025-03-31");
    let request: Request<Bytes> = request.with_event("invoice.paid", json!({ "id": "in_1" })).build();
    let body: Value = serde_json::from_slice(request.body()).unwrap();
    assert_eq!(
        body,
        json!({ "id": "evt_1", "type": "invoice.paid", "api_version": "2025-03-31", "data": { "object": { "id": "in_1" } } })
    );

    let github = signed(&Provider::GITHUB.into()).with_id("72d3162e").with_event("issues.opened", json!({ "n": 1 }));
    let request: Request<Bytes> = github.build();
    assert_eq!(request.headers()["x-github-event"], "issues");
    assert_eq!(request.headers()["x-github-delivery"], "72d3162e");
    assert_eq!(serde_json::from_slice::<Value>(request.body()).unwrap(), json!({ "action": "opened", "n": 1 }));
    let (_, delivery) = send(Provider::GITHUB.into(), github.build()).await;
    assert_eq!(delivery.unwrap().event_type().unwrap(), "issues.opened");
}

#[derive(serde::Deserialize)]
struct Probe {
    probe: u32,
}

/// Of a thin event, or of one of another kind, the payload is the whole body: it is not lost to a place where nothing is.
#[tokio::test]
async fn an_event_without_the_usual_payload_is_read_whole_from_every_provider() {
    async fn handler(event: VerifiedEvent<Probe>) -> String {
        event.probe.to_string()
    }

    for provider in Provider::ALL.iter().filter(|provider| !IN_CODE.contains(&provider.name())) {
        let scheme = Scheme::from(*provider);
        let request: Request<Body> = signed(&scheme).with_body(r#"{"probe":7}"#).build();

        let app = Router::new().route("/hook", any(handler).layer(layer(scheme)));
        let response = app.oneshot(request).await.unwrap();

        let status = response.status();
        let text = axum::body::to_bytes(response.into_body(), 1000).await.unwrap();
        assert_eq!((status, &text[..]), (StatusCode::OK, &b"7"[..]), "{provider}");
    }
}

#[tokio::test]
async fn a_request_can_be_a_form() {
    let github = Scheme::from(Provider::GITHUB);
    let event = json!({ "issue": { "number": 7, "title": "a+b c&d é=%" } });
    let request = || signed(&github).with_event("issues.opened", event.clone()).as_form();

    let built: Request<Body> = request().build();
    assert_eq!(built.headers()[header::CONTENT_TYPE], "application/x-www-form-urlencoded");
    let (status, delivery) = send(github.clone(), built).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(delivery.unwrap().event_type().unwrap().as_str(), "issues.opened");
    assert_eq!(send(github.clone(), request().tampered().build()).await.0, StatusCode::UNAUTHORIZED);

    let slack = Scheme::from(Provider::SLACK);
    let fields = json!({ "team_id": "T1", "text": "San José", "is_enterprise_install": false, "tags": ["a", "b"] });
    let command = signed(&slack).with_event("/weather", fields).as_form_fields();
    let (status, delivery) = send(slack.clone(), command.build()).await;
    assert_eq!(status, StatusCode::OK);
    let delivery = delivery.unwrap();
    assert_eq!(delivery.event_type().unwrap().as_str(), "/weather");
    assert_eq!(delivery.account(), Some("T1"));
    let interaction = signed(&slack).with_body(r#"{"type":"block_actions","actions":[]}"#).as_form();
    assert_eq!(send(slack, interaction.build()).await.1.unwrap().event_type().unwrap().as_str(), "block_actions");
}

/// What an administrator writes into the body of a trigger is no id of an event: a ticket changes more than once.
#[tokio::test]
async fn a_webhook_of_zendesk_is_known_by_its_invocation_and_may_be_a_form() {
    let zendesk = Scheme::from(Provider::ZENDESK);
    let mut ids = Vec::new();
    for _ in 0..2 {
        let request = signed(&zendesk).with_body(r#"{"id":35436,"status":"open"}"#);
        let (status, delivery) = send(zendesk.clone(), request.build()).await;
        assert_eq!(status, StatusCode::OK);
        ids.push(delivery.unwrap().id().unwrap().to_string());
    }
    assert_ne!(ids[0], ids[1]);

    async fn handler(event: VerifiedEvent<Probe>) -> String {
        event.probe.to_string()
    }
    let form = signed(&zendesk).with_event("changed", json!({ "probe": 7 })).as_form_fields();
    let app = Router::new().route("/hook", any(handler).layer(layer(zendesk)));
    assert_eq!(app.oneshot(form.build::<Body>()).await.unwrap().status(), StatusCode::OK);
}

/// Both forward the format that their customer chose: JSON, or a form whose fields are the payload.
#[tokio::test]
async fn what_freshdesk_and_hookdeck_pass_on_may_be_a_form() {
    #[derive(serde::Deserialize)]
    struct Ticket {
        ticket_id: u64,
        status: String,
    }

    async fn handler(event: VerifiedEvent<Ticket>) -> String {
        format!("{} {}", event.ticket_id, event.status)
    }
    for provider in [Provider::FRESHDESK, Provider::HOOKDECK] {
        let scheme = Scheme::from(provider);
        let app = Router::new().route("/hook", any(handler).layer(layer(scheme.clone())));
        let fields = json!({ "ticket_id": 7, "status": "Open & waiting" });
        for request in [
            signed(&scheme).with_event("", fields.clone()).as_form_fields(),
            signed(&scheme).with_body(fields.to_string()),
        ] {
            let response = app.clone().oneshot(request.build::<Body>()).await.unwrap();
            assert_eq!(response.status(), StatusCode::OK, "{provider}");
            let body = axum::body::to_bytes(response.into_body(), 1024).await.unwrap();
            assert_eq!(body, "7 Open & waiting", "{provider}");
        }
    }
}

#[test]
fn a_form_that_the_scheme_does_not_declare_cannot_be_built() {
    let error = |request: SignedRequest| request.try_build::<Bytes>().unwrap_err().to_string();
    let github = Scheme::from(Provider::GITHUB);
    let slack = Scheme::from(Provider::SLACK);

    assert!(error(signed(&Scheme::from(Provider::STRIPE)).as_form()).contains("names no field of a form"));
    assert!(error(signed(&github).as_form_fields()).contains("takes no form whose fields"));
    let nested = signed(&slack).with_event("/weather", json!({ "a": { "b": 1 } })).as_form_fields();
    assert!(error(nested).contains("the field `a` of a form is text"));
}

#[tokio::test]
async fn either_family_of_headers_can_be_used() {
    let scheme = Scheme::from(Provider::STANDARD_WEBHOOKS);
    let request: Request<Body> = signed(&scheme).signed_in("svix-signature").with_id("msg1").build();
    assert!(request.headers().contains_key("svix-timestamp") && !request.headers().contains_key("webhook-id"));

    let (status, delivery) = send(scheme.clone(), request).await;

    assert_eq!(status, StatusCode::OK);
    assert_eq!(delivery.unwrap().id().unwrap(), "msg1");
    let error = signed(&scheme).signed_in("x-none").try_build::<Bytes>().unwrap_err();
    assert!(error.to_string().contains("`x-none` is not one of its signature headers"), "{error}");
}

#[tokio::test]
async fn a_rotating_sender_signs_with_both() {
    for scheme in [Provider::STRIPE.into(), shapes()[6].clone().build().unwrap(), shapes()[14].clone().build().unwrap()]
    {
        let request = signed(&scheme).with_secret(&other_secret()).and_secret(&secret()).build();
        assert_eq!(send(scheme, request).await.0, StatusCode::OK);
    }
    let error = signed(&Provider::GITHUB.into()).and_secret(&other_secret()).try_build::<Bytes>().unwrap_err();
    assert!(error.to_string().contains("room for one signature"), "{error}");
}

#[tokio::test]
async fn time_is_an_argument() {
    let clock = ManualClock::at_unix_seconds(1_700_000_000);
    let layer = WebhookLayer::stripe(secret()).with_clock(clock.clone());
    let app: Router = Router::new().route("/hook", any(|| async {}).layer(layer));
    let signed = signed(&Provider::STRIPE.into()).at(clock.now());

    clock.advance(Duration::from_secs(300));
    assert_eq!(app.clone().oneshot(signed.build::<Body>()).await.unwrap().status(), StatusCode::OK);
    clock.advance(Duration::from_secs(1));
    assert_eq!(app.oneshot(signed.build::<Body>()).await.unwrap().status(), StatusCode::UNAUTHORIZED);
}

#[test]
fn built_twice_it_is_a_delivery_and_its_repetition_and_each_new_one_has_an_id_of_its_own() {
    let id = |request: Request<Bytes>| request.headers()["webhook-id"].clone();
    let (first, second) = (signed(&Provider::STANDARD_WEBHOOKS.into()), signed(&Provider::STANDARD_WEBHOOKS.into()));

    assert_eq!(id(first.build()), id(first.build()));
    assert_ne!(id(first.build()), id(second.build()));
}

#[tokio::test]
async fn every_fixture_is_a_delivery_of_its_provider() {
    for fixture in fixtures::ALL {
        let provider: Provider = fixture.provider().parse().unwrap();
        let request = signed(&provider.into()).with_fixture(fixture).build();

        let (status, delivery) = send(provider.into(), request).await;

        assert_eq!(status, StatusCode::OK, "{provider}");
        let delivery = delivery.unwrap();
        let event_type = delivery.event_type().map_or("", |kind| kind.as_str());
        assert_eq!(event_type, fixture.event_type(), "{provider}");
        assert!(fixtures::of(provider).is_some_and(|found| found.body() == fixture.body()));
    }
}

struct InCode;

impl CustomScheme for InCode {
    fn name(&self) -> &str {
        "in-code"
    }

    fn inspect(&self, _head: Head<'_>, _now: std::time::SystemTime) -> Result<Plan, VerifyError> {
        Ok(Plan::Verify)
    }

    fn verify(
        &self,
        _head: Head<'_>,
        _body: &[u8],
        _keys: Keys<'_>,
        _now: std::time::SystemTime,
    ) -> Result<Binding, VerifyError> {
        Err(VerifyError::new(VerifyErrorKind::SignatureMismatch))
    }
}

#[test]
fn what_cannot_be_signed_says_why() {
    let error = |request: &SignedRequest| request.try_build::<Bytes>().unwrap_err();

    let in_code = error(&SignedRequest::for_scheme(&Scheme::custom(InCode), &secret()));
    assert_eq!(in_code.kind(), ConfigErrorKind::Scheme);
    assert!(in_code.to_string().contains("`in-code`") && in_code.to_string().contains("written in code"), "{in_code}");

    let no_url = error(&SignedRequest::for_scheme(&shapes()[3].clone().build().unwrap(), &secret()));
    assert!(no_url.to_string().contains("public_url"), "{no_url}");

    let scalar = error(&signed(&shapes()[0].clone().build().unwrap()).with_event("t", 1));
    assert!(scalar.to_string().contains("leaves no room"), "{scalar}");

    let unsigned = error(&signed(&Scheme::insecure_unsigned().build().unwrap()).tampered());
    assert!(unsigned.to_string().contains("nothing of it is checked"), "{unsigned}");

    assert!(error(&signed(&Provider::STRIPE.into()).uri("no uri")).to_string().contains("`no uri`"));
    assert!(error(&signed(&Provider::STRIPE.into()).header("a b", "")).to_string().contains("not a header"));
}

#[tokio::test]
async fn headers_and_body_are_the_tests_to_choose() {
    let request = signed(&Provider::GITHUB.into()).with_body("a=1&b=2").header("content-type", "text/plain");
    let request: Request<Body> = request.header("user-agent", "tests").with_event_type("push").build();
    assert_eq!(request.headers()[header::CONTENT_TYPE], "text/plain");
    assert_eq!(request.headers()[header::CONTENT_LENGTH], "7");

    let (status, delivery) = send(Provider::GITHUB.into(), request).await;

    assert_eq!((status, delivery.unwrap().event_type().unwrap().as_str()), (StatusCode::OK, "push"));
}

#[tokio::test]
async fn a_handler_can_be_called_as_a_function() {
    async fn on_order(claim: Claim, event: VerifiedEvent<u32>) -> Result<String, tower_webhooks::BoxError> {
        claim.renew(Duration::from_secs(9)).await?;
        let delivery = event.delivery();
        Ok(format!("{} {} {} {}", delivery.provider(), delivery.id().unwrap(), delivery.event_type().unwrap(), *event))
    }
    let claim = TestClaim::of_attempt(2);
    let event = TestDelivery::new().provider("acme").id("1").id("2").event_type("order.paid").attempt(3).event(7);
    assert_eq!(event.delivery().attempt(), Some(3));

    assert_eq!(claim.claim().attempt(), 2);
    assert_eq!(on_order(claim.claim(), event).await.unwrap(), "acme 2 order.paid 7");
    assert_eq!(claim.renewals(), [Duration::from_secs(9)]);
    assert!(!claim.is_marked());
    claim.lose();
    claim.claim().lost().await;
    assert!(on_order(claim.claim(), verified_event(1)).await.is_err());

    let envelope: VerifiedEnvelope<Value> = verified_envelope(json!(1));
    assert_eq!(*envelope, 1);
    let raw = TestDelivery::new().body(r#"{"a":1}"#).event(());
    assert_eq!(raw.envelope::<Value>().unwrap(), json!({ "a": 1 }));
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_watched_claim_tells_what_was_committed() {
    let pool = sqlx::SqlitePool::connect("sqlite::memory:").await.unwrap();
    let claim = TestClaim::new();

    let mut tx = pool.begin().await.unwrap();
    claim.claim().complete_in(&mut tx).await.unwrap();
    assert!(claim.is_marked() && !claim.is_committed());
    claim.claim().commit(tx).await.unwrap();
    assert!(claim.is_committed());

    claim.lose();
    assert!(claim.claim().commit(pool.begin().await.unwrap()).await.is_err());
}
