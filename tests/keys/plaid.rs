//! Plaid, whose keys are fetched one by one, with the application's credentials.

use std::time::{Duration, SystemTime};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use axum::{Router, body::Body, http::StatusCode, routing::post};
use bytes::Bytes;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use http::Request;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tower::ServiceExt;
use tower_webhooks::{
    Secret, VerifiedBody, VerifyError, WebhookLayer,
    clock::{Clock, ManualClock},
    error::VerifyErrorKind,
    keys::PlaidKeys,
};

use crate::support::{
    key_server::{KeyServer, Reply},
    tls::Authority,
};

const NOW: u64 = 1_800_000_000;
const BODY: &str = "{\n  \"webhook_type\": \"ITEM\",\n  \"webhook_code\": \"ERROR\"\n}";

struct Scene {
    server: KeyServer,
    pair: EcdsaKeyPair,
    clock: ManualClock,
    app: Router,
}

impl Scene {
    async fn new() -> Self {
        let authority = Authority::new();
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let clock = ManualClock::at_unix_seconds(NOW);
        let server = KeyServer::start(authority.sign("production.plaid.com", [2020, 2100]), answer(&pair, None)).await;
        let secret = Secret::new("the secret of the API").unwrap();
        let keys = PlaidKeys::new("the client", secret, server.client(&authority)).clock(clock.clone());
        let layer = WebhookLayer::plaid(keys).with_clock(clock.clone());
        let app = Router::new().route("/", post(async |_: VerifiedBody| ()).layer(layer));
        Self { server, pair, clock, app }
    }

    fn request(&self, id: &str, claims: &Value, body: &'static str) -> Request<Body> {
        let part = |text: &Value| BASE64URL_NOPAD.encode(text.to_string().as_bytes());
        let signed = format!("{}.{}", part(&json!({"alg": "ES256", "kid": id, "typ": "JWT"})), part(claims));
        let signature = self.pair.sign(&aws_lc_rs::rand::SystemRandom::new(), signed.as_bytes()).unwrap();
        let token = format!("{signed}.{}", BASE64URL_NOPAD.encode(signature.as_ref()));
        Request::post("/").header("plaid-verification", token).body(Body::from(body)).unwrap()
    }

    fn claims(&self) -> Value {
        let now = self.clock.now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        json!({"iat": now, "request_body_sha256": HEXLOWER.encode(&Sha256::digest(BODY))})
    }

    async fn ask(&self, request: Request<Body>) -> Result<(), VerifyErrorKind> {
        let Ok(response) = self.app.clone().oneshot(request).await;
        match response.status() {
            StatusCode::OK => Ok(()),
            status => {
                let kind = response.extensions().get::<VerifyError>().unwrap().kind();
                let is_unavailable = status == StatusCode::SERVICE_UNAVAILABLE;
                assert_eq!(is_unavailable, kind == VerifyErrorKind::SecretUnavailable, "{status} {kind:?}");
                Err(kind)
            }
        }
    }
}

fn answer(pair: &EcdsaKeyPair, expired_at: Option<u64>) -> Reply {
    let point = pair.public_key().as_ref();
    let (x, y) = (BASE64URL_NOPAD.encode(&point[1..33]), BASE64URL_NOPAD.encode(&point[33..]));
    Reply::json(
        json!({"key": {"alg": "ES256", "crv": "P-256", "kid": "known", "kty": "EC", "use": "sig", "x": x, "y": y,
                       "created_at": 1_600_000_000, "expired_at": expired_at}, "request_id": "r"})
        .to_string(),
    )
}

#[tokio::test]
async fn a_key_is_asked_for_by_its_id_with_the_credentials() {
    let scene = Scene::new().await;

    for _ in 0..2 {
        assert_eq!(scene.ask(scene.request("known", &scene.claims(), BODY)).await, Ok(()));
    }

    let requests = scene.server.requests.lock().unwrap().clone();
    let [request] = &requests[..] else { panic!("{requests:?}") };
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /webhook_verification_key/get HTTP/1.1\r\n"), "{head}");
    assert_eq!(
        serde_json::from_str::<Value>(body).unwrap(),
        json!({"client_id": "the client", "secret": "the secret of the API", "key_id": "known"})
    );
}

#[tokio::test]
async fn a_body_or_a_time_that_the_token_does_not_bind_is_refused() {
    let scene = Scene::new().await;
    let with = |name: &str, value: Value| {
        let mut claims = scene.claims();
        claims[name] = value;
        claims
    };
    let without = |name: &str| {
        let mut claims = scene.claims();
        claims.as_object_mut().unwrap().remove(name);
        claims
    };
    let upper = HEXLOWER.encode(&Sha256::digest(BODY)).to_uppercase();

    for (claims, body, kind) in [
        (scene.claims(), "{}", VerifyErrorKind::SignatureMismatch),
        (with("request_body_sha256", "00".repeat(32).into()), BODY, VerifyErrorKind::SignatureMismatch),
        (without("request_body_sha256"), BODY, VerifyErrorKind::Missing),
        (with("request_body_sha256", Value::Null), BODY, VerifyErrorKind::Missing),
        (with("iat", (NOW - 301).into()), BODY, VerifyErrorKind::Stale),
        (with("iat", (NOW + 301).into()), BODY, VerifyErrorKind::Stale),
        (with("iat", NOW.to_string().into()), BODY, VerifyErrorKind::MalformedTimestamp),
        (without("iat"), BODY, VerifyErrorKind::Missing),
    ] {
        assert_eq!(scene.ask(scene.request("known", &claims, body)).await, Err(kind), "{claims}");
    }
    // Hexadecimal digits are data, and of either case.
    assert_eq!(scene.ask(scene.request("known", &with("request_body_sha256", upper.into()), BODY)).await, Ok(()));
}

#[tokio::test]
async fn an_unknown_key_is_refused_and_asked_for_once_in_thirty_seconds() {
    let scene = Scene::new().await;
    let fault = json!({"error_type": "INVALID_INPUT", "error_code": "INVALID_WEBHOOK_VERIFICATION_KEY_ID"}).to_string();
    scene.server.replies(Reply::Answer("400 Bad Request", String::new(), Bytes::from(fault)));

    for _ in 0..5 {
        let request = scene.request("unknown", &scene.claims(), BODY);
        assert_eq!(scene.ask(request).await, Err(VerifyErrorKind::UnknownKey));
    }
    assert_eq!(scene.server.asked(), 1);
    scene.clock.advance(Duration::from_secs(31));
    let request = scene.request("unknown", &scene.claims(), BODY);
    assert_eq!(scene.ask(request).await, Err(VerifyErrorKind::UnknownKey));
    assert_eq!(scene.server.asked(), 2);
}

#[tokio::test]
async fn a_flood_of_made_up_keys_is_a_few_fetches_and_known_keys_pass() {
    let scene = Scene::new().await;
    assert_eq!(scene.ask(scene.request("known", &scene.claims(), BODY)).await, Ok(()));
    let fault = json!({"error_code": "INVALID_WEBHOOK_VERIFICATION_KEY_ID"}).to_string();
    scene.server.replies(Reply::Answer("400 Bad Request", String::new(), Bytes::from(fault)));

    for number in 0..200 {
        let request = scene.request(&format!("made-up-{number}"), &scene.claims(), BODY);
        let kind = scene.ask(request).await.unwrap_err();
        // A key that was not requested is not known to be unknown.
        assert!(matches!(kind, VerifyErrorKind::UnknownKey | VerifyErrorKind::SecretUnavailable), "{kind:?}");
    }

    assert_eq!(scene.server.asked(), 10);
    assert_eq!(scene.ask(scene.request("known", &scene.claims(), BODY)).await, Ok(()));
    assert_eq!(scene.server.asked(), 10);
}

#[tokio::test]
async fn wrong_credentials_and_an_outage_are_503() {
    for reply in [
        Reply::Answer("400 Bad Request", String::new(), Bytes::from(r#"{"error_code":"INVALID_API_KEYS"}"#)),
        Reply::Answer("400 Bad Request", String::new(), Bytes::from("no JSON")),
        Reply::Answer("429 Too Many Requests", String::new(), Bytes::new()),
        Reply::json("{}"),
        Reply::json(r#"{"key":{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}}"#),
    ] {
        let scene = Scene::new().await;
        scene.server.replies(reply);

        let request = scene.request("known", &scene.claims(), BODY);
        assert_eq!(scene.ask(request).await, Err(VerifyErrorKind::SecretUnavailable));
    }
}

#[tokio::test]
async fn an_expired_key_is_refused() {
    let scene = Scene::new().await;
    scene.server.replies(answer(&scene.pair, Some(NOW + 60)));

    assert_eq!(scene.ask(scene.request("known", &scene.claims(), BODY)).await, Ok(()));
    scene.clock.advance(Duration::from_secs(61));
    let request = scene.request("known", &scene.claims(), BODY);
    assert_eq!(scene.ask(request).await, Err(VerifyErrorKind::UnknownKey));
}

#[tokio::test]
async fn another_algorithm_is_not_taken_from_the_token() {
    let scene = Scene::new().await;
    let claims = scene.claims();
    let part = |text: &Value| BASE64URL_NOPAD.encode(text.to_string().as_bytes());

    for algorithm in ["none", "HS256", "es256", "ES384", "RS256", ""] {
        let signed = format!("{}.{}", part(&json!({"alg": algorithm, "kid": "known"})), part(&claims));
        let signature = scene.pair.sign(&aws_lc_rs::rand::SystemRandom::new(), signed.as_bytes()).unwrap();
        let token = format!("{signed}.{}", BASE64URL_NOPAD.encode(signature.as_ref()));
        let request = Request::post("/").header("plaid-verification", token).body(Body::from(BODY)).unwrap();
        assert_eq!(scene.ask(request).await, Err(VerifyErrorKind::MalformedSignature), "{algorithm}");
    }
    assert_eq!(scene.server.asked(), 0);
}
