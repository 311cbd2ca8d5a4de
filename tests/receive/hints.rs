//! The hints for the operator: each test makes one mistake.

use std::time::Duration;

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    routing::post,
};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use tower::{ServiceBuilder, ServiceExt};
use tower_webhooks::{
    Provider, RequestHead, Scheme, Secret, SecretSource, Secrets, VerifyError, WebhookLayer,
    clock::{Clock, ManualClock},
    error::{Hint, HintKind, VerifyErrorKind},
    scheme::{Field, Handshake, SchemeBuilder, TimestampUnit},
    testing::SignedRequest,
};

#[cfg(feature = "tracing")]
use crate::support::logs;

const NOW: u64 = 1_700_000_000;
const STRIPE: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn secret(text: &str) -> Secret {
    Secret::new(text).unwrap()
}

fn clock() -> ManualClock {
    ManualClock::at_unix_seconds(NOW)
}

fn acme() -> SchemeBuilder {
    Scheme::hmac_sha256().name("acme").header("x-acme-signature").hex().signs("{body}")
}

fn timed() -> SchemeBuilder {
    acme().timestamp(Field::header("x-acme-time")).signs("{timestamp}.{body}")
}

fn layer(
    scheme: impl TryInto<Scheme, Error: Into<tower_webhooks::ConfigError>>,
    secrets: impl SecretSource,
) -> WebhookLayer {
    WebhookLayer::new(scheme, secrets).with_clock(clock())
}

fn signed(scheme: SchemeBuilder) -> SignedRequest {
    SignedRequest::for_scheme(&scheme.build().unwrap(), &secret(STRIPE)).at(clock().now())
}

async fn error(layer: WebhookLayer, request: Request<Body>) -> VerifyError {
    let app: Router = Router::new().route("/", post(|| async {}).layer(layer));
    refusal(app, request).await
}

/// The reason of a refusal. The answer does not contain it.
async fn refusal(app: Router, request: Request<Body>) -> VerifyError {
    let response = app.oneshot(request).await.unwrap();
    let error = response.extensions().get::<VerifyError>().expect("the request is refused").clone();
    let status = response.status();
    let headers = format!("{:?}", response.headers());
    let body = to_bytes(response.into_body(), 1024).await.unwrap();
    let said = format!("{headers}{}", String::from_utf8(body.to_vec()).unwrap());
    match status {
        StatusCode::UNAUTHORIZED => assert!(said.contains(r#"{"error":"invalid_signature"}"#), "{said}"),
        _ => assert!(said.contains(r#"{"error":"unavailable"}"#), "{said}"),
    }
    if let Some(hint) = error.hint() {
        assert!(!said.contains(&hint.to_string()) && !said.contains(hint.kind().as_str()));
    }
    error
}

#[track_caller]
fn assert_hint(error: &VerifyError, kind: HintKind, text: &str) {
    let hint = error.hint().unwrap_or_else(|| panic!("no hint: {error}"));
    assert_eq!(hint.kind(), kind, "{hint}");
    assert!(hint.to_string().contains(text), "{hint}");
}

#[tokio::test]
async fn another_providers_header() {
    let request = SignedRequest::new(Provider::GITHUB, &secret(STRIPE)).build();

    let error = error(layer(Provider::STRIPE, secret(STRIPE)), request).await;

    assert_eq!(error.kind(), VerifyErrorKind::Missing);
    assert_hint(&error, HintKind::OtherProvider, "`x-hub-signature-256`");
}

#[tokio::test]
async fn no_header_at_all_is_no_riddle() {
    let error = error(layer(Provider::STRIPE, secret(STRIPE)), Request::post("/").body(Body::empty()).unwrap()).await;

    assert_eq!((error.kind(), error.hint()), (VerifyErrorKind::Missing, None));
}

#[tokio::test]
async fn milliseconds_for_seconds_and_the_other_way_round() {
    let millis = signed(timed().unit(TimestampUnit::Milliseconds)).build();
    let declared_seconds = error(layer(timed(), secret(STRIPE)), millis).await;
    assert_eq!(declared_seconds.kind(), VerifyErrorKind::Stale);
    assert_hint(&declared_seconds, HintKind::TimestampUnit, "is in milliseconds");

    let seconds = signed(timed()).build();
    let declared_millis = error(layer(timed().unit(TimestampUnit::Milliseconds), secret(STRIPE)), seconds).await;
    assert_hint(&declared_millis, HintKind::TimestampUnit, "is in seconds");
}

#[tokio::test]
async fn a_date_for_a_number_and_the_other_way_round() {
    let date = signed(timed().unit(TimestampUnit::Rfc3339)).build();
    let declared_number = error(layer(timed(), secret(STRIPE)), date).await;
    assert_eq!(declared_number.kind(), VerifyErrorKind::MalformedTimestamp);
    assert_hint(&declared_number, HintKind::TimestampUnit, "is a date of RFC 3339");

    let declared_date =
        error(layer(timed().unit(TimestampUnit::Rfc3339), secret(STRIPE)), signed(timed()).build()).await;
    assert_hint(&declared_date, HintKind::TimestampUnit, "is a number");

    let mut fraction: Request<Body> = signed(timed()).build();
    fraction.headers_mut().insert("x-acme-time", HeaderValue::from_static("1700000000.25"));
    assert_hint(&error(layer(timed(), secret(STRIPE)), fraction).await, HintKind::TimestampUnit, "a fraction");
}

#[tokio::test]
async fn a_clock_that_is_wrong() {
    let request = signed(timed()).at(clock().now() + Duration::from_secs(3600)).build();

    let error = error(layer(timed(), secret(STRIPE)), request).await;

    assert_eq!(error.skew_seconds(), Some(-3600));
    assert_hint(&error, HintKind::ClockSkew, "3600 s ahead");
}

#[tokio::test]
async fn older_than_the_senders_own_window_or_than_a_narrower_one() {
    let old = |seconds| signed(timed()).at(clock().now() - Duration::from_secs(seconds)).build();

    let replayed = error(layer(timed(), secret(STRIPE)), old(1000)).await;
    assert_hint(&replayed, HintKind::OutsideWindow, "1000 s old, and the sender's own window is 300 s");

    let narrow = layer(timed(), secret(STRIPE)).with_tolerance(Duration::from_secs(60));
    assert_hint(&error(narrow, old(200)).await, HintKind::OutsideWindow, "outside of the 60 s");
}

#[tokio::test]
async fn a_timestamp_in_the_body_is_judged_like_one_in_the_head() {
    let scheme = || acme().timestamp(Field::json("/at"));
    let request = signed(scheme()).at(clock().now() + Duration::from_secs(900)).build();

    assert_hint(&error(layer(scheme(), secret(STRIPE)), request).await, HintKind::ClockSkew, "900 s ahead");
}

#[tokio::test]
async fn an_older_secret_that_has_ended() {
    let (current, old, older) =
        (secret("the current signing key"), secret("the old signing key"), secret("an older one still"));
    let ago = |seconds| clock().now() - Duration::from_secs(seconds);
    let secrets = Secrets::new(current).and_until(older.clone(), ago(9000)).and_until(old.clone(), ago(60));

    let with_old = error(layer(acme(), secrets.clone()), signed(acme()).with_secret(&old).build()).await;
    assert_eq!(with_old.kind(), VerifyErrorKind::SignatureMismatch);
    assert_hint(&with_old, HintKind::ExpiredSecret, "ended 60 s ago");

    // One is tried, the last: a forged request must not cost a MAC for each secret there ever was.
    let with_older = error(layer(acme(), secrets.clone()), signed(acme()).with_secret(&older).build()).await;
    assert!(with_older.hint().is_none_or(|hint| hint.kind() != HintKind::ExpiredSecret));
    let with_none = error(layer(acme(), secrets), signed(acme()).build()).await;
    assert!(with_none.hint().is_none_or(|hint| hint.kind() != HintKind::ExpiredSecret));
}

#[tokio::test]
async fn a_body_that_a_layer_outside_has_changed_or_read() {
    async fn spell(request: Request) -> Request {
        request.map(|_| Body::from(r#"{ "test": 1 }"#))
    }
    async fn read(request: Request) -> Request {
        let (mut parts, body) = request.into_parts();
        drop(to_bytes(body, 1024).await);
        parts.headers.remove(header::CONTENT_LENGTH);
        Request::from_parts(parts, Body::empty())
    }
    let webhook = || layer(Provider::GITHUB, secret(STRIPE));
    let request = || SignedRequest::new(Provider::GITHUB, &secret(STRIPE)).with_body(r#"{"test":1}"#).build();

    let spelt = ServiceBuilder::new().layer(axum::middleware::map_request(spell)).layer(webhook());
    let app = Router::new().route("/", post(|| async {}).layer(spelt));
    assert_hint(&refusal(app, request()).await, HintKind::BodyChanged, "13 bytes, and `Content-Length` says 10");

    let eaten = ServiceBuilder::new().layer(axum::middleware::map_request(read)).layer(webhook());
    let app = Router::new().route("/", post(|| async {}).layer(eaten));
    assert_hint(&refusal(app, request()).await, HintKind::BodyChanged, "the body is empty");
}

#[tokio::test]
async fn a_secret_of_odd_form() {
    const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let standard = || SchemeBuilder::key_standard_webhooks(acme());
    // The scheme, the configured secret, the sender's secret, and a part of the hint.
    let mistakes: [(SchemeBuilder, &str, &str, &str); 5] = [
        (acme(), "whsec_AAECAwQFBgcICQoLDA0ODw==", "the true signing key", "begins with `whsec_`"),
        (acme(), HEX, "the true signing key", "declare `.key_hex()`"),
        (acme(), "AAECAwQFBgcICQoLDA0ODw==", "the true signing key", "looks like base64"),
        (standard(), HEX, "whsec_AAECAwQFBgcICQoLDA0ODw==", "reads base64"),
        (
            acme().secret_length(20),
            "a key of another endpoint",
            "the true signing key",
            "has 25 characters, and this sender's have 20",
        ),
    ];
    for (scheme, configured, true_one, text) in mistakes {
        let request = signed(scheme.clone()).with_secret(&secret(true_one)).build();
        assert_hint(&error(layer(scheme, secret(configured)), request).await, HintKind::SecretForm, text);
    }

    for (configured, text) in [
        ("sk_test_4eC39HqLyjWDarjtT1zdp7dc", "does not begin with `whsec_`"),
        ("whsec_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "70 characters"),
    ] {
        let request = SignedRequest::new(Provider::STRIPE, &secret(STRIPE)).at(clock().now()).build();
        let error = error(layer(Provider::STRIPE, secret(configured)), request).await;
        assert_hint(&error, HintKind::SecretForm, text);
        assert!(!format!("{error:?}").contains(configured));
    }
    // Beside a right one it is the Stripe CLI's.
    let request =
        SignedRequest::new(Provider::STRIPE, &secret("somebody else's")).with_body("{\n}").at(clock().now()).build();
    let both = [secret(STRIPE), secret("whsec_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")];
    assert_eq!(error(layer(Provider::STRIPE, both), request).await.hint(), None);
}

#[tokio::test]
async fn a_secret_that_the_scheme_cannot_decode() {
    async fn source(_: RequestHead) -> Result<Secrets, tower_webhooks::BoxError> {
        Ok(Secrets::new(Secret::new("not base64 at all")?))
    }
    let request =
        SignedRequest::new(Provider::STANDARD_WEBHOOKS, &secret("AAECAwQFBgcICQoLDA0ODw==")).at(clock().now());

    let error = error(layer(Provider::STANDARD_WEBHOOKS, source), request.build()).await;

    assert_eq!(error.kind(), VerifyErrorKind::SecretUnavailable);
    assert_hint(&error, HintKind::SecretForm, "base64 after an optional `whsec_`");
}

#[cfg(feature = "asymmetric")]
#[tokio::test]
async fn a_key_of_the_other_side_or_of_the_other_version() {
    const PRIVATE: &str =
        "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==";
    const PUBLIC: &str = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=";
    let (v1, v1a) = (Provider::STANDARD_WEBHOOKS, Provider::STANDARD_WEBHOOKS_V1A);
    let signed = |provider, text| SignedRequest::new(provider, &secret(text)).at(clock().now()).build();
    for (provider, sent, configured, text) in [
        (v1a, PRIVATE, PRIVATE, "must never leave the sender"),
        (v1a, PRIVATE, STRIPE, "take the scheme `standard-webhooks`, or the sender's public key"),
        (v1, STRIPE, PUBLIC, "take the scheme `standard-webhooks-v1a`"),
        (v1, STRIPE, PRIVATE, "must never leave the sender"),
    ] {
        let source = move |_: RequestHead| async move { Ok(Secrets::new(Secret::new(configured)?)) };
        let error = error(layer(provider, source), signed(provider, sent)).await;
        assert_eq!(error.kind(), VerifyErrorKind::SecretUnavailable);
        assert_hint(&error, HintKind::SecretForm, text);
        assert!(!format!("{error:?} {:?}", error.hint()).contains(&configured[6..]));
    }

    // The sender signs with the other version.
    let error = error(layer(v1a, secret(PUBLIC)), signed(v1, STRIPE)).await;
    assert_eq!(error.kind(), VerifyErrorKind::MalformedSignature);
    assert_hint(&error, HintKind::SignatureForm, "none of the keys `v1a`");
}

#[tokio::test]
async fn a_signature_that_is_written_otherwise() {
    let prefix = || acme().prefix("sha256=");
    let list = || acme().items(",").pairs("=").key("v1");
    // The sender's scheme, the declared one, and a part of the hint.
    let mistakes = [
        (acme(), prefix(), "without the prefix `sha256=`"),
        (acme().prefix("SHA256="), prefix(), "in other letters"),
        (acme().prefix("sha1="), prefix(), "does not begin with `sha256=`"),
        (acme(), acme().base64(), "is written in hexadecimal digits, and the scheme reads base64"),
        (acme().base64(), acme(), "is written in base64, and the scheme reads hexadecimal digits"),
        (Scheme::hmac_sha512().header("x-acme-signature").hex().signs("{body}"), acme(), "as long as one with SHA-512"),
        (acme().items(",").pairs("=").key("v0"), list(), "none of the keys `v1`"),
        (list().base64(), list(), "is written in base64"),
    ];
    for (sent, declared, text) in mistakes {
        let error = error(layer(declared, secret(STRIPE)), signed(sent).build()).await;
        assert_eq!(error.kind(), VerifyErrorKind::MalformedSignature);
        assert_hint(&error, HintKind::SignatureForm, text);
    }
}

#[tokio::test]
async fn a_public_url_that_is_not_the_senders() {
    let scheme = || acme().signs("{url}{body}");
    let secret = secret("the true signing key");
    for (received, shown) in [
        // A `//` that a proxy has merged, a `%2F` that it has decoded: both show in the path.
        ("/a/b?tenant=a%20secret&b=1&flag", "`http://example.com/a/b?tenant=…&b=…&…`"),
        ("/a%2Fb", "`http://example.com/a%2Fb`"),
        ("/", "`http://example.com/`"),
    ] {
        let request =
            signed(scheme()).uri(received).with_secret(&secret).public_url("https://hooks.example.com").build();
        let layer = layer(scheme(), secret.clone()).with_public_url("http://example.com");
        let app: Router = Router::new().fallback(post(|| async {}).layer(layer));

        let error = refusal(app, request).await;

        assert_hint(&error, HintKind::PublicUrl, shown);
        assert!(!error.hint().unwrap().to_string().contains("secret"));
    }
}

#[tokio::test]
async fn a_long_url_is_cut() {
    let scheme = || acme().signs("{url}\n{body}");
    let target = format!("/{}?{}=1&x=1", "p".repeat(1000), "k".repeat(1000));
    let request = signed(scheme()).uri(target).public_url("https://hooks.example.com").build();
    let layer = layer(scheme(), secret(STRIPE)).with_public_url("http://example.com");

    let error = refusal(Router::new().fallback(post(|| async {}).layer(layer)), request).await;

    assert!(error.hint().unwrap().to_string().len() < 600);
}

#[tokio::test]
async fn a_prefix_that_a_proxy_has_replaced_shows_in_the_url() {
    let scheme = || acme().signs("{url}{body}");
    let secret = secret("the true signing key");
    let request = signed(scheme()).uri("/inner/a").with_secret(&secret).public_url("https://hooks.example.com").build();
    let layer = layer(scheme(), secret).with_public_url("http://example.com").with_replaced_prefix("/inner", "/hooks");

    let error = refusal(Router::new().fallback(post(|| async {}).layer(layer)), request).await;

    assert_hint(&error, HintKind::PublicUrl, "`http://example.com/hooks/a`");
}

#[tokio::test]
async fn a_signed_text_that_could_be_cut_in_two_ways() {
    let hint = async |scheme: SchemeBuilder, change: &dyn Fn(&mut Request<Body>), text: &str| {
        let scheme = scheme.build().unwrap();
        let mut request =
            SignedRequest::for_scheme(&scheme, &secret(STRIPE)).at(clock().now()).public_url("https://a.test").build();
        change(&mut request);
        let layer = layer(scheme.clone(), secret(STRIPE));
        let layer = if scheme.signs_url() { layer.with_public_url("https://a.test") } else { layer };
        let layer = crate::support::senders::with_claims(layer, &scheme);
        let error = refusal(Router::new().fallback(post(|| async {}).layer(layer)), request).await;
        assert_eq!(error.kind(), VerifyErrorKind::AmbiguousText);
        assert_hint(&error, HintKind::SignedText, text);
    };

    let uri = |uri: &'static str| move |request: &mut Request<Body>| *request.uri_mut() = uri.parse().unwrap();
    hint(acme().signs("{url}{body}"), &uri("/square?a[]=1"), "is `https://a.test/square?a[]=…`").await;
    hint(acme().signs("{url}.{body}"), &uri("/a.b"), "it is `https://a.test/a.b`").await;
    let id = |request: &mut Request<Body>| drop(request.headers_mut().insert("x-id", HeaderValue::from_static("a.b")));
    hint(acme().id(Field::header("x-id")).signs("{id}.{body}"), &id, "so the same text can be read in two ways").await;
    let crc = Handshake::challenge(Field::query("c"), "r").present(Field::query("c")).method(http::Method::GET);
    let scheme = acme().handshake(crc).build().unwrap();
    let request = signed(acme()).with_body("true").build();
    let error = error(layer(scheme, secret(STRIPE)), request).await;
    assert_hint(&error, HintKind::SignedText, "by the unsigned challenge");
}

// Apache, lighttpd and some servers make one line of two.
#[tokio::test]
async fn a_header_that_a_proxy_has_joined() {
    let join = |request: &mut Request<Body>, name: &str| {
        let value = request.headers()[name].to_str().unwrap().to_owned();
        let twice = HeaderValue::from_str(&format!("{value}, {value}")).unwrap();
        request.headers_mut().insert(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), twice);
    };
    let key = secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    for (provider, header, kind) in [
        (Provider::GITHUB, "x-hub-signature-256", VerifyErrorKind::MalformedSignature),
        (Provider::SLACK, "x-slack-signature", VerifyErrorKind::MalformedSignature),
        (Provider::SHOPIFY, "x-shopify-hmac-sha256", VerifyErrorKind::MalformedSignature),
        (Provider::SLACK, "x-slack-request-timestamp", VerifyErrorKind::MalformedTimestamp),
        (Provider::TWITCH, "twitch-eventsub-message-timestamp", VerifyErrorKind::MalformedTimestamp),
        (Provider::STANDARD_WEBHOOKS, "webhook-timestamp", VerifyErrorKind::MalformedTimestamp),
        (Provider::STANDARD_WEBHOOKS, "webhook-id", VerifyErrorKind::SignatureMismatch),
        (Provider::SVIX, "svix-id", VerifyErrorKind::SignatureMismatch),
    ] {
        let mut request = SignedRequest::new(provider, &key).at(clock().now()).build();
        join(&mut request, header);

        let error = error(layer(provider, key.clone()), request).await;

        assert_eq!(error.kind(), kind, "{header}");
        assert_hint(&error, HintKind::JoinedHeader, &format!("`{header}` holds several values"));
    }
}

#[tokio::test]
async fn a_body_that_something_has_written_anew() {
    // smee-client parses the body and writes it again, with these headers.
    for key in [STRIPE, "an odd secret"] {
        let mut request = SignedRequest::new(Provider::GITHUB, &secret(key)).tampered().at(clock().now()).build();
        for (name, value) in [("sec-fetch-mode", "cors"), ("accept-language", "*"), ("timestamp", "1700000000123")] {
            request.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        request.headers_mut().remove(header::CONTENT_LENGTH);
        let error = error(layer(Provider::GITHUB, secret(key)), request).await;
        assert_hint(&error, HintKind::BodyChanged, "smee-client");
    }

    // Stripe's JSON is indented. A line break in it makes the difference.
    let stripe = async |body: &'static str| {
        let request =
            SignedRequest::new(Provider::STRIPE, &secret("whsec_another_key_as_long_as_the_first_1")).with_body(body);
        error(layer(Provider::STRIPE, secret(STRIPE)), request.at(clock().now()).build()).await
    };
    assert_hint(&stripe(r#"{"id":"evt_1"}"#).await, HintKind::BodyChanged, "has no line break");
    assert_eq!(stripe("{\n  \"id\": \"evt_1\"\n}").await.hint(), None);
    assert_eq!(stripe("no JSON").await.hint(), None);
    assert_eq!(stripe(r#"{"id":"evt_1","object":"v2.core.event"}"#).await.hint(), None);
}

#[tokio::test]
async fn a_secret_with_a_prefix_that_the_sender_strips() {
    let given = "acme_live_0123456789abcdef0123456789abcdef";
    let key = || secret(given.rsplit('_').next().unwrap());
    let request = || SignedRequest::for_scheme(&acme().build().unwrap(), &key()).at(clock().now()).build();

    let error_of = error(layer(acme(), secret(given)), request()).await;
    assert_hint(&error_of, HintKind::SecretForm, "declare `.key_prefix(…)`");
    // A form that cannot be read at all says so at start.
    let unread = WebhookLayer::try_new(acme().key_hex(), secret(given)).unwrap_err().to_string();
    assert!(unread.contains("`.key_prefix(…)`"), "{unread}");

    // As declared it is stripped, and so is one that has been stripped already.
    for held in [secret(given), key()] {
        let app: Router =
            Router::new().route("/", post(|| async {}).layer(layer(acme().key_prefix("acme_live_"), held)));
        assert_eq!(app.oneshot(request()).await.unwrap().status(), StatusCode::OK);
    }
    let hex = acme().key_prefix("acme_live_").key_hex();
    let request: Request<Body> =
        SignedRequest::for_scheme(&acme().key_hex().build().unwrap(), &key()).at(clock().now()).build();
    let app: Router = Router::new().route("/", post(|| async {}).layer(layer(hex, secret(given))));
    assert_eq!(app.oneshot(request).await.unwrap().status(), StatusCode::OK);

    for nonsense in [
        Scheme::insecure_hash_sha256().header("x").hex().signs("{secret}{body}").key_prefix("a_"),
        Scheme::insecure_hash_sha256().header("x").hex().signs("{secret}{body}").key_hex(),
        acme().key_prefix(""),
    ] {
        assert!(nonsense.build().is_err());
    }
}

#[tokio::test]
async fn a_forged_request_is_no_riddle() {
    let request = SignedRequest::new(Provider::STRIPE, &secret("the key of a forger"))
        .with_body("{\n}")
        .at(clock().now())
        .build();

    let error = error(layer(Provider::STRIPE, secret(STRIPE)), request).await;

    assert_eq!((error.kind(), error.hint()), (VerifyErrorKind::SignatureMismatch, None));
}

#[test]
fn a_check_without_a_server_has_hints_too() {
    let scheme = acme().build().unwrap();
    let request: Request<Bytes> = signed(acme()).build();
    let (head, body) = request.into_parts();
    let secrets = Secrets::new(secret("the current signing key")).and_until(secret(STRIPE), clock().now());

    let error = scheme.verify(&head, body, &secrets, clock().now()).unwrap_err();

    assert_eq!(error.hint().map(Hint::kind), Some(HintKind::ExpiredSecret));
}

#[cfg(feature = "tracing")]
#[tokio::test]
async fn the_hint_is_in_the_log() {
    let (logs, _guard) = logs::Logs::capture();

    error(layer(Provider::STRIPE, secret(STRIPE)), SignedRequest::new(Provider::GITHUB, &secret(STRIPE)).build()).await;

    let log = logs.text();
    assert!(log.contains("hint=the request has a `x-hub-signature-256` header, as `github` sends it"), "{log}");
}
