//! How keys are fetched and kept, with a sender that publishes a set of them: Google.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_lc_rs::{
    encoding::AsDer,
    rsa::KeySize,
    signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair},
};
use axum::{Router, body::Body, http::StatusCode, routing::post};
use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use http::{Request, Response};
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_webhooks::{
    BoxError, BoxFuture, VerifiedBody, VerifyError, WebhookLayer,
    clock::{Clock, ManualClock},
    error::VerifyErrorKind,
    keys::{JwksKeys, KeyClient},
};

use crate::support::{
    key_pairs,
    key_server::{Here, KeyServer, Reply},
    senders,
    tls::{self, Authority},
};

const NOW: u64 = 1_800_000_000;
const HOST: &str = "www.googleapis.com";

/// A key of the sender's.
struct Pair {
    id: &'static str,
    pair: RsaKeyPair,
}

impl Pair {
    fn new(id: &'static str) -> Self {
        Self { id, pair: RsaKeyPair::generate(KeySize::Rsa2048).unwrap() }
    }

    fn jwk(&self) -> Value {
        // RSAPublicKey (RFC 8017, appendix A.1.1): a sequence of two numbers. The first has 257 bytes here.
        let der = self.pair.public_key().as_ref();
        let n = BASE64URL_NOPAD.encode(&der[9..][..256]);
        let e = BASE64URL_NOPAD.encode(&der[der.len() - 3..]);
        json!({"kty": "RSA", "kid": self.id, "use": "sig", "alg": "RS256", "n": n, "e": e})
    }

    /// A request with a token of this key, whose header names `id`.
    fn request_naming(&self, id: &str, clock: &ManualClock) -> Request<Body> {
        let now = clock.now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let part = |text: &Value| BASE64URL_NOPAD.encode(text.to_string().as_bytes());
        let claims = json!({
            "iss": "https://accounts.google.com", "aud": "https://example.com/push", "email": "push@example.com",
            "email_verified": true, "iat": now, "exp": now + 3600,
        });
        let signed = format!("{}.{}", part(&json!({"alg": "RS256", "kid": id})), part(&claims));
        let mut signature = vec![0; self.pair.public_modulus_len()];
        let random = aws_lc_rs::rand::SystemRandom::new();
        self.pair.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature).unwrap();
        let token = format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature));
        Request::post("/").header("authorization", format!("Bearer {token}")).body(Body::from("{}")).unwrap()
    }

    fn request(&self, clock: &ManualClock) -> Request<Body> {
        self.request_naming(self.id, clock)
    }
}

fn set(pairs: &[&Pair]) -> Reply {
    Reply::json(json!({"keys": pairs.iter().map(|pair| pair.jwk()).collect::<Vec<_>>()}).to_string())
}

fn app(client: impl KeyClient, clock: &ManualClock) -> Router {
    let layer = WebhookLayer::google_pubsub(JwksKeys::google(client).clock(clock.clone()))
        .with_claim("aud", "https://example.com/push")
        .with_claim("email", "push@example.com")
        .with_clock(clock.clone());
    Router::new().route("/", post(async |_: VerifiedBody| ()).layer(layer))
}

async fn ask(app: &Router, request: Request<Body>) -> (StatusCode, Option<VerifyErrorKind>) {
    let Ok(response) = app.clone().oneshot(request).await;
    (response.status(), response.extensions().get::<VerifyError>().map(VerifyError::kind))
}

/// A sender with one key, and a receiver.
struct Scene {
    server: KeyServer,
    key: Pair,
    clock: ManualClock,
    app: Router,
}

impl Scene {
    async fn new() -> Self {
        let authority = Authority::new();
        let key = Pair::new("first");
        let server = KeyServer::start(authority.sign(HOST, [2020, 2100]), set(&[&key])).await;
        let clock = ManualClock::at_unix_seconds(NOW);
        let app = app(server.client(&authority), &clock);
        Self { server, key, clock, app }
    }

    async fn ask(&self, request: Request<Body>) -> (StatusCode, Option<VerifyErrorKind>) {
        ask(&self.app, request).await
    }
}

const PASSES: (StatusCode, Option<VerifyErrorKind>) = (StatusCode::OK, None);
const UNKNOWN: (StatusCode, Option<VerifyErrorKind>) = (StatusCode::UNAUTHORIZED, Some(VerifyErrorKind::UnknownKey));
const UNREACHABLE: (StatusCode, Option<VerifyErrorKind>) =
    (StatusCode::SERVICE_UNAVAILABLE, Some(VerifyErrorKind::SecretUnavailable));

#[tokio::test]
async fn a_key_is_fetched_once_and_kept() {
    let scene = Scene::new().await;

    for _ in 0..3 {
        assert_eq!(scene.ask(scene.key.request(&scene.clock)).await, PASSES);
    }

    assert_eq!(scene.server.asked(), 1);
    let request = scene.server.requests.lock().unwrap()[0].to_lowercase();
    assert!(request.starts_with("get /oauth2/v3/certs http/1.1\r\n"), "{request}");
    assert!(!request.contains("accept-encoding") && !request.contains("authorization"), "{request}");
}

#[tokio::test]
async fn a_bad_key_in_a_set_does_not_make_the_good_ones_unusable() {
    let scene = Scene::new().await;
    let weak = json!({"kty": "RSA", "kid": "weak", "n": BASE64URL_NOPAD.encode(&[0xff; 128]), "e": "AQAB"});
    let small_order = json!({"kty": "OKP", "crv": "Ed25519", "kid": "small", "x": BASE64URL_NOPAD.encode(&[0; 32])});
    let off_curve = BASE64URL_NOPAD.encode(&[0xff; 32]);
    let off_curve = json!({"kty": "EC", "crv": "P-256", "kid": "point", "x": off_curve, "y": off_curve});
    let malformed = json!({"kty": "RSA", "kid": "malformed", "n": "no base64!", "e": "AQAB"});
    let bad = [weak, small_order, off_curve, malformed, json!(7), json!({"kty": "oct", "k": "AA"})];
    let with = |good: &[Value]| {
        let keys = [&bad[..3], good, &bad[3..]].concat();
        Reply::json(json!({ "keys": keys }).to_string())
    };

    scene.server.replies(with(&[scene.key.jwk()]));
    assert_eq!(scene.ask(scene.key.request(&scene.clock)).await, PASSES);
    // What a bad key has signed does not pass, and neither does what says so.
    assert_eq!(scene.ask(scene.key.request_naming("weak", &scene.clock)).await, UNKNOWN);

    // Of a sender whose keys are all bad it is not known which ones it has.
    let scene = Scene::new().await;
    scene.server.replies(with(&[]));
    assert_eq!(scene.ask(scene.key.request(&scene.clock)).await, UNREACHABLE);
}

/// Which answer a request has that does not name its key, where the set has these kinds of keys beside those of RSA.
#[tokio::test]
async fn more_keys_than_are_tried_leave_the_first_ones_usable() {
    let authority = Authority::new();
    let pairs: Vec<_> = (0..5).map(|_| Pair::new("none")).collect();
    let p256 = json!({"kty": "EC", "crv": "P-256", "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"});
    let mut keys: Vec<_> = pairs.iter().map(Pair::jwk).collect();
    keys.insert(0, p256);
    let server =
        KeyServer::start(authority.sign("keys.test", [2020, 2100]), Reply::json(json!({ "keys": keys }).to_string()))
            .await;
    let source = JwksKeys::new("https://keys.test/jwks.json", server.client(&authority)).unwrap();
    let scheme = tower_webhooks::Scheme::rsa_sha256().header("x-signature").base64().key_pem().signs("{body}");
    let layer = WebhookLayer::new(scheme, source);
    let app: Router = Router::new().route("/", post(async |_: VerifiedBody| ()).layer(layer));
    let request = |pair: &Pair| {
        let mut signature = vec![0; pair.pair.public_modulus_len()];
        let random = aws_lc_rs::rand::SystemRandom::new();
        pair.pair.sign(&RSA_PKCS1_SHA256, &random, b"{}", &mut signature).unwrap();
        let signature = data_encoding::BASE64.encode(&signature);
        Request::post("/").header("x-signature", signature).body(Body::from("{}")).unwrap()
    };

    for pair in &pairs[..4] {
        assert_eq!(ask(&app, request(pair)).await, PASSES);
    }
    let fifth = ask(&app, request(&pairs[4])).await;
    assert_eq!(fifth, (StatusCode::UNAUTHORIZED, Some(VerifyErrorKind::SignatureMismatch)));
    assert_eq!(ask(&app, request(&pairs[0])).await, PASSES);
}

#[tokio::test]
async fn a_stampede_is_one_fetch() {
    let scene = Scene::new().await;

    let requests = (0..50).map(|_| {
        let (app, request) = (scene.app.clone(), scene.key.request(&scene.clock));
        tokio::spawn(async move { ask(&app, request).await })
    });
    for answer in requests.collect::<Vec<_>>() {
        assert_eq!(answer.await.unwrap(), PASSES);
    }

    assert_eq!(scene.server.asked(), 1);
}

#[tokio::test]
async fn a_thousand_unknown_keys_are_one_fetch_in_thirty_seconds_and_drop_no_known_one() {
    let scene = Scene::new().await;
    assert_eq!(scene.ask(scene.key.request(&scene.clock)).await, PASSES);
    scene.clock.advance(Duration::from_secs(31));

    for number in 0..1000 {
        let request = scene.key.request_naming(&format!("unknown-{number}"), &scene.clock);
        assert_eq!(scene.ask(request).await, UNKNOWN);
    }

    assert_eq!(scene.server.asked(), 2);
    assert_eq!(scene.ask(scene.key.request(&scene.clock)).await, PASSES);
    assert_eq!(scene.server.asked(), 2);
    scene.clock.advance(Duration::from_secs(31));
    assert_eq!(scene.ask(scene.key.request_naming("another", &scene.clock)).await, UNKNOWN);
    assert_eq!(scene.server.asked(), 3);
}

#[tokio::test]
async fn a_rotated_key_is_found_and_the_old_one_ends() {
    let scene = Scene::new().await;
    assert_eq!(scene.ask(scene.key.request(&scene.clock)).await, PASSES);

    let second = Pair::new("second");
    scene.server.replies(set(&[&second]));
    assert_eq!(scene.ask(second.request(&scene.clock)).await, UNKNOWN); // Looked for less than 30 s ago.
    scene.clock.advance(Duration::from_secs(31));
    assert_eq!(scene.ask(second.request(&scene.clock)).await, PASSES);
    assert_eq!(scene.ask(scene.key.request(&scene.clock)).await, UNKNOWN);
}

#[tokio::test]
async fn another_key_under_the_same_id_is_found_when_the_signature_does_not_match() {
    let scene = Scene::new().await;
    assert_eq!(scene.ask(scene.key.request(&scene.clock)).await, PASSES);

    let same_id = Pair::new("first");
    scene.server.replies(set(&[&same_id]));
    let mismatch = (StatusCode::UNAUTHORIZED, Some(VerifyErrorKind::SignatureMismatch));
    assert_eq!(scene.ask(same_id.request(&scene.clock)).await, mismatch);
    scene.clock.advance(Duration::from_secs(31));
    assert_eq!(scene.ask(same_id.request(&scene.clock)).await, PASSES);
    assert_eq!(scene.server.asked(), 2);
}

#[tokio::test]
async fn keys_are_looked_at_again_after_an_hour_and_survive_an_outage_of_a_day() {
    let scene = Scene::new().await;
    assert_eq!(scene.ask(scene.key.request(&scene.clock)).await, PASSES);

    scene.server.replies(Reply::Answer("500 Internal Server Error", String::new(), Bytes::new()));
    scene.clock.advance(Duration::from_secs(3601));
    // The first one begins the fetch, and does not wait for it.
    assert_eq!(scene.ask(scene.key.request(&scene.clock)).await, PASSES);
    until(|| scene.server.asked() == 2).await;
    assert_eq!(scene.ask(scene.key.request(&scene.clock)).await, PASSES);
    scene.clock.advance(Duration::from_secs(23 * 3600));
    assert_eq!(scene.ask(scene.key.request(&scene.clock)).await, UNREACHABLE);

    scene.server.replies(set(&[&scene.key]));
    assert_eq!(scene.ask(scene.key.request(&scene.clock)).await, UNREACHABLE); // Tried less than 5 s ago.
    scene.clock.advance(Duration::from_secs(6));
    assert_eq!(scene.ask(scene.key.request(&scene.clock)).await, PASSES);
}

/// Waits until something is so that another task does.
async fn until(is_so: impl Fn() -> bool) {
    for _ in 0..1000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never was so");
}

#[tokio::test]
async fn what_cannot_be_fetched_is_503_and_not_401() {
    let big = vec![b' '; 64 * 1024 + 1];
    let moved = "Location: https://www.googleapis.com/elsewhere\r\n".to_owned();
    for (what, reply) in [
        ("an error", Reply::Answer("500 Internal Server Error", String::new(), Bytes::new())),
        ("nothing", Reply::Answer("404 Not Found", String::new(), Bytes::new())),
        ("a redirect", Reply::Answer("302 Found", moved.clone(), Bytes::new())),
        ("another redirect", Reply::Answer("308 Permanent Redirect", moved, Bytes::new())),
        ("too much", Reply::json(big)),
        ("no JSON", Reply::json("<html>")),
        ("no set", Reply::json("[]")),
    ] {
        let scene = Scene::new().await;
        scene.server.replies(reply);

        assert_eq!(scene.ask(scene.key.request(&scene.clock)).await, UNREACHABLE, "{what}");
        // The failure is remembered for a moment, so that not every request is a fetch.
        assert_eq!(scene.ask(scene.key.request(&scene.clock)).await, UNREACHABLE, "{what}");
        assert_eq!(scene.server.asked(), 1, "{what}");
    }
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_gives_no_key() {
    let (authority, other) = (Authority::new(), Authority::new());
    let key = Pair::new("first");
    for (what, config) in [
        ("expired", authority.sign(HOST, [2020, 2021])),
        ("another name", authority.sign("evil.example", [2020, 2100])),
        ("another authority", other.sign(HOST, [2020, 2100])),
        ("its own", tls::self_signed(HOST)),
    ] {
        let server = KeyServer::start(config, set(&[&key])).await;
        let clock = ManualClock::at_unix_seconds(NOW);
        let app = app(server.client(&authority), &clock);

        assert_eq!(ask(&app, key.request(&clock)).await, UNREACHABLE, "{what}");
        assert_eq!((server.connections(), server.asked()), (1, 0), "{what}");
    }
}

#[tokio::test]
async fn a_silent_server_is_503_within_seconds() {
    let scene = Scene::new().await;
    scene.server.replies(Reply::Late(Duration::from_secs(60)));

    let began = tokio::time::Instant::now();
    assert_eq!(scene.ask(scene.key.request(&scene.clock)).await, UNREACHABLE);

    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_sender_that_hangs_up_stops_no_fetch() {
    let scene = Scene::new().await;

    let request = scene.ask(scene.key.request(&scene.clock));
    assert!(tokio::time::timeout(Duration::from_millis(1), request).await.is_err());

    until(|| scene.server.asked() == 1).await;
    assert_eq!(scene.ask(scene.key.request(&scene.clock)).await, PASSES);
    assert_eq!(scene.server.asked(), 1);
}

/// Panics, as the code of an application may.
struct Panics;

impl KeyClient for Panics {
    fn send(&self, _request: Request<Bytes>) -> BoxFuture<'_, Result<Response<Bytes>, BoxError>> {
        panic!("on purpose")
    }
}

#[tokio::test]
async fn a_client_that_panics_is_503() {
    let (key, clock) = (Pair::new("first"), ManualClock::at_unix_seconds(NOW));
    let app = app(Arc::new(Panics), &clock);

    assert_eq!(ask(&app, key.request(&clock)).await, UNREACHABLE);
}

/// fal names no key, so that each of its set is tried; and those of another kind are left out.
#[tokio::test]
async fn each_key_of_a_set_is_tried_where_a_request_names_none() {
    let authority = Authority::new();
    let okp = |pair: [&str; 2]| {
        let bytes = data_encoding::BASE64.decode(pair[1].trim_start_matches("whpk_").as_bytes()).unwrap();
        json!({"kty": "OKP", "crv": "Ed25519", "x": BASE64URL_NOPAD.encode(&bytes)})
    };
    let keys = json!({"keys": [okp(key_pairs::PAIRS[1]), Pair::new("rsa").jwk(), okp(key_pairs::PAIRS[0])]});
    let server =
        KeyServer::start(authority.sign("rest.alpha.fal.ai", [2020, 2100]), Reply::json(keys.to_string())).await;
    let clock = ManualClock::at_unix_seconds(senders::NOW);
    let of_user = |id: &str| {
        let keys = JwksKeys::fal(server.client(&authority)).clock(clock.clone());
        let layer = WebhookLayer::fal(keys).with_endpoint_id(id).with_clock(clock.clone());
        Router::new().route("/", post(async |_: VerifiedBody| ()).layer(layer))
    };
    let app: Router = of_user("test");
    let request = |body: &str| {
        let headers = senders::signature(tower_webhooks::Provider::FAL, r#"{"status":"OK"}"#);
        let request = headers.iter().fold(Request::post("/"), |request, (name, value)| request.header(*name, value));
        request.body(Body::from(body.to_owned())).unwrap()
    };

    assert_eq!(ask(&app, request(r#"{"status":"OK"}"#)).await, PASSES);
    assert_eq!(ask(&app, request(r#"{"status":"KO"}"#)).await.1, Some(VerifyErrorKind::SignatureMismatch));
    assert_eq!(server.asked(), 1);
    // The same keys sign for every user of fal.
    let other: Router = of_user("somebody else");
    assert_eq!(ask(&other, request(r#"{"status":"OK"}"#)).await.1, Some(VerifyErrorKind::SignatureMismatch));
}

#[tokio::test]
async fn a_set_has_an_https_address() {
    struct Nothing;
    impl KeyClient for Nothing {
        fn send(&self, _request: Request<Bytes>) -> BoxFuture<'_, Result<Response<Bytes>, BoxError>> {
            Box::pin(async { Err("it is not asked".into()) })
        }
    }
    for url in ["http://keys.example.com/", "keys.example.com", "https:///keys", "file:///keys", ""] {
        assert!(JwksKeys::new(url, Nothing).is_err(), "{url}");
    }
}

#[tokio::test]
async fn the_client_goes_to_no_address_of_its_own_network() {
    let client =
        tower_webhooks::keys::HttpsKeyClient::builder().trusted_roots_pem(Authority::new().pem).build().unwrap();
    for url in [
        "https://127.0.0.1/keys",
        "https://169.254.169.254/latest",
        "https://[::1]/keys",
        "https://localhost/keys",
        "https://10.0.0.1/keys",
        "https://keys.example.com:22/",
        "http://keys.example.com/",
    ] {
        let request = Request::get(url).body(Bytes::new()).unwrap();
        assert!(client.send(request).await.is_err(), "{url}");
    }
}

#[tokio::test]
async fn a_token_for_somebody_else_does_not_pass_and_without_an_audience_there_is_no_layer() {
    let scene = Scene::new().await;
    let layer = |claims: &[(&str, &str)]| {
        let client: Here = scene.server.client(&Authority::new());
        let layer = WebhookLayer::google_pubsub(JwksKeys::google(client));
        claims.iter().fold(layer, |layer, (name, text)| layer.with_claim(*name, *text))
    };

    for claims in [&[][..], &[("aud", "https://example.com/push")], &[("email", "push@example.com")]] {
        let layer = layer(claims);
        let built = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _: Router = Router::new().route("/", post(async |_: VerifiedBody| ()).layer(layer));
        }));
        assert!(built.is_err(), "{claims:?}");
    }
    // The key's own DER, so that a fixed key needs no network.
    let der = scene.key.pair.public_key().as_der().unwrap();
    let secret = tower_webhooks::Secret::new(data_encoding::BASE64.encode(der.as_ref())).unwrap();
    for (aud, email, passes) in [
        ("https://example.com/push", "push@example.com", true),
        ("https://example.com/other", "push@example.com", false),
        ("https://example.com/push", "other@example.com", false),
    ] {
        let layer = WebhookLayer::google_pubsub(secret.clone())
            .with_claim("aud", aud)
            .with_claim("email", email)
            .with_clock(scene.clock.clone());
        let app: Router = Router::new().route("/", post(async |_: VerifiedBody| ()).layer(layer));
        assert_eq!(ask(&app, scene.key.request(&scene.clock)).await.0.is_success(), passes, "{aud} {email}");
    }
}

#[tokio::test]
async fn the_tolerance_is_that_of_the_times_of_a_token() {
    let scene = Scene::new().await;
    let der = scene.key.pair.public_key().as_der().unwrap();
    let secret = tower_webhooks::Secret::new(data_encoding::BASE64.encode(der.as_ref())).unwrap();
    let request = || scene.key.request(&scene.clock);
    let stale = (StatusCode::UNAUTHORIZED, Some(VerifyErrorKind::Stale));
    for (tolerance, late, verdict) in [
        // It is good for an hour, and by default for 5 seconds more.
        (None, 3604, PASSES),
        (None, 3606, stale),
        (Some(60), 3659, PASSES),
        (Some(60), 3661, stale),
        (Some(0), 3601, stale),
    ] {
        let layer = WebhookLayer::google_pubsub(secret.clone())
            .with_claim("aud", "https://example.com/push")
            .with_claim("email", "push@example.com")
            .with_clock(ManualClock::at_unix_seconds(NOW + late));
        let layer = match tolerance {
            Some(seconds) => layer.with_tolerance(Duration::from_secs(seconds)),
            None => layer,
        };
        let app: Router = Router::new().route("/", post(async |_: VerifiedBody| ()).layer(layer));
        assert_eq!(ask(&app, request()).await, verdict, "{tolerance:?} {late}");
    }
}
