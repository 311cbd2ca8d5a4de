//! Amazon SNS and PayPal, whose requests name the certificate that they were signed with.

use std::time::Duration;

use axum::{Router, body::Body, http::StatusCode, routing::post};
use bytes::Bytes;
use data_encoding::BASE64;
use http::Request;
use rustls::pki_types::PrivatePkcs8KeyDer;
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_webhooks::{
    Delivery, Provider, Secret, VerifyError, WebhookLayer,
    clock::ManualClock,
    error::VerifyErrorKind,
    keys::{CertificateKeys, SnsConfirmation},
    testing::SignedRequest,
};

use crate::support::{
    key_pairs::RSA,
    key_server::{KeyServer, Reply},
    senders::{self, NOW, crc32},
    tls::Authority,
};

const SNS: &str = "sns.us-east-1.amazonaws.com";
const CERTIFICATE: &str =
    "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-9c6465fa7f48f5cacd23014631ec1136.pem";
const TOPIC: &str = "arn:aws:sns:us-east-1:123456789012:orders";
const CONFIRM: &str = "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=arn:aws:sns:us-east-1:123456789012:orders&Token=2336412f37";

/// A certificate of the first key pair, between the beginnings of two years.
fn certificate(name: &str, [from, until]: [i32; 2]) -> String {
    let der = BASE64.decode(RSA[0][0].as_bytes()).unwrap();
    let der = PrivatePkcs8KeyDer::from(der);
    let key = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_RSA_SHA256).unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::default()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.not_before = rcgen::date_time_ymd(from, 1, 1);
    params.not_after = rcgen::date_time_ymd(until, 1, 1);
    params.self_signed(&key).unwrap().pem()
}

fn pem(name: &str, years: [i32; 2]) -> Reply {
    Reply::Answer("200 OK", String::new(), Bytes::from(certificate(name, years)))
}

fn sign(text: &str) -> String {
    BASE64.encode(&senders::rsa(&aws_lc_rs::signature::RSA_PKCS1_SHA256, text))
}

/// A message of SNS without its signature.
fn message(kind: &str) -> Value {
    let mut message = json!({
        "Type": kind, "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324", "TopicArn": TOPIC,
        "Message": "Hello\nworld", "Timestamp": "2027-01-15T08:00:00.000Z", "SignatureVersion": "2",
        "SigningCertURL": CERTIFICATE,
    });
    if kind == "Notification" {
        message["Subject"] = "Greeting".into();
    } else {
        message["Token"] = "2336412f37".into();
        message["SubscribeURL"] = CONFIRM.into();
    }
    message
}

/// The text that SNS signs, as its documentation has it.
fn text(message: &Value) -> String {
    let names: &[&str] = match message["Type"].as_str() {
        Some("Notification") => &["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"],
        _ => &["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"],
    };
    let lines = names.iter().filter_map(|name| Some(format!("{name}\n{}\n", message[name].as_str()?)));
    lines.collect()
}

fn signed(mut message: Value) -> Value {
    message["Signature"] = sign(&text(&message)).into();
    message
}

struct Scene {
    server: KeyServer,
    clock: ManualClock,
    app: Router,
}

type Verdict = Result<String, VerifyErrorKind>;

async fn handler(delivery: Delivery) -> String {
    format!("{} {}", delivery.event_type().unwrap(), delivery.id().unwrap())
}

impl Scene {
    async fn sns(make: impl FnOnce(CertificateKeys, &KeyServer, &Authority) -> WebhookLayer) -> Self {
        let authority = Authority::new();
        let server = KeyServer::start(authority.sign(SNS, [2020, 2100]), pem("sns.amazonaws.com", [2026, 2028])).await;
        let clock = ManualClock::at_unix_seconds(NOW);
        let keys = CertificateKeys::aws_sns(server.client(&authority)).clock(clock.clone());
        let layer = make(keys, &server, &authority).with_clock(clock.clone());
        Self { server, clock, app: Router::new().route("/", post(handler).layer(layer)) }
    }

    async fn both() -> Self {
        Self::sns(|keys, _, _| WebhookLayer::aws_sns(keys).with_account(TOPIC)).await
    }

    async fn ask(&self, body: impl Into<Body>) -> Verdict {
        let request = Request::post("/").header("content-type", "text/plain; charset=UTF-8");
        self.send(request.body(body.into()).unwrap()).await
    }

    async fn send(&self, request: Request<Body>) -> Verdict {
        let Ok(response) = self.app.clone().oneshot(request).await;
        let status = response.status();
        let Some(error) = response.extensions().get::<VerifyError>() else {
            assert_eq!(status, StatusCode::OK);
            let body = axum::body::to_bytes(response.into_body(), 1000).await.unwrap();
            return Ok(String::from_utf8(body.to_vec()).unwrap());
        };
        let kind = error.kind();
        let expected = match kind {
            VerifyErrorKind::SecretUnavailable | VerifyErrorKind::HandshakeFailed => StatusCode::SERVICE_UNAVAILABLE,
            VerifyErrorKind::HandshakeRejected => StatusCode::FORBIDDEN,
            _ => StatusCode::UNAUTHORIZED,
        };
        assert_eq!(status, expected, "{error}");
        Err(kind)
    }
}

// --- Amazon SNS ---------------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_message_of_each_kind_passes_and_its_certificate_is_fetched_once() {
    let scene = Scene::both().await;

    for kind in ["Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation"] {
        let expected = format!("{kind} 22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324");
        assert_eq!(scene.ask(signed(message(kind)).to_string()).await, Ok(expected));
    }
    let mut without_subject = message("Notification");
    without_subject.as_object_mut().unwrap().remove("Subject");
    assert!(scene.ask(signed(without_subject).to_string()).await.is_ok());

    let requests = scene.server.requests.lock().unwrap().clone();
    assert_eq!(requests.len(), 1);
    assert!(
        requests[0].starts_with("GET /SimpleNotificationService-9c6465fa7f48f5cacd23014631ec1136.pem HTTP/1.1\r\n")
    );
}

/// The signature with SHA-1 over the message of [`message`], by OpenSSL with the first key pair.
const BY_SHA1: &str = "VGpVRFtEtT3dfuTKCZljzIhzByE694GW4Sf7gRZxO/RA9RbEHRfc6GUumvIahbLGC88xugqOuKUS0W7EzQ5Wxpdc5hWcyJRuJ/4gX0AJZz12TkMSRHaqcbVK0vFGWyEdFpywkkd86wCoEvPjIcPG2IySTQtr41vxkbe31pghyYKFrrP7EVmNLFzkl0l1Le3ALil0dBpz92Qwti+tm3IxyWzmsjYGoqTqiN3FVSQw/ostqv/klj2haU5eBr4VwonwCb9mT+BVTa/d7V2sX5ol+jNdpNsK/gRCBviafQzrENqfulP0j0Go/zrA2ejWLzmMKUagHDFxjgNnsw5G4it5Rg==";

#[tokio::test]
async fn version_1_is_taken_where_it_is_not_pinned_and_no_version_passes_as_the_other() {
    let scene = Scene::both().await;
    let pinned = Scene::sns(|keys, _, _| WebhookLayer::aws_sns_v2(keys).with_account(TOPIC)).await;
    let with = |version: Value, signature: &str| {
        let mut message = message("Notification");
        message["SignatureVersion"] = version;
        message["Signature"] = signature.into();
        message.to_string()
    };
    let by_sha256 = sign(&text(&message("Notification")));

    assert!(scene.ask(with("1".into(), BY_SHA1)).await.is_ok());
    assert_eq!(pinned.ask(with("1".into(), BY_SHA1)).await, Err(VerifyErrorKind::SignatureMismatch));
    assert!(pinned.ask(with("2".into(), &by_sha256)).await.is_ok());
    for scene in [&scene, &pinned] {
        assert_eq!(scene.ask(with("2".into(), BY_SHA1)).await, Err(VerifyErrorKind::SignatureMismatch));
        assert_eq!(scene.ask(with("1".into(), &by_sha256)).await, Err(VerifyErrorKind::SignatureMismatch));
        for version in [json!("0"), json!("3"), json!(""), json!("02"), Value::Null, json!([2])] {
            let body = with(version.clone(), &by_sha256);
            assert_eq!(scene.ask(body).await, Err(VerifyErrorKind::MalformedSignature), "{version}");
        }
    }
}

#[tokio::test]
async fn each_changed_byte_of_a_signed_field_is_refused() {
    let scene = Scene::both().await;
    for kind in ["Notification", "SubscriptionConfirmation"] {
        let right = signed(message(kind));
        for (name, value) in right.as_object().unwrap() {
            let value = value.as_str().unwrap();
            if ["SigningCertURL", "SignatureVersion", "Type"].contains(&name.as_str()) {
                continue;
            }
            for at in 0..value.len() {
                let mut bytes = value.as_bytes().to_vec();
                bytes[at] = if bytes[at] == b'x' { b'y' } else { b'x' };
                let mut changed = right.clone();
                changed[name] = String::from_utf8(bytes).unwrap().into();
                assert!(scene.ask(changed.to_string()).await.is_err(), "{kind} {name} {at}");
            }
            let mut without = right.clone();
            without.as_object_mut().unwrap().remove(name);
            assert!(scene.ask(without.to_string()).await.is_err(), "{kind} {name}");
        }
        for other in ["Notification", "UnsubscribeConfirmation", "Other", "notification", ""] {
            let mut changed = right.clone();
            changed["Type"] = other.into();
            assert_eq!(scene.ask(changed.to_string()).await.is_ok(), other == kind, "{kind} as {other}");
        }
    }
    // Unsigned parts may change, as the constructor's documentation says.
    let mut changed = signed(message("Notification"));
    changed["MessageAttributes"] = json!({"kind": {"Type": "String", "Value": "other"}});
    assert!(scene.ask(changed.to_string()).await.is_ok());
}

#[tokio::test]
async fn a_text_that_could_be_cut_in_another_way_is_refused() {
    let scene = Scene::both().await;
    // The same signed text: the last lines of the message are taken for fields.
    let mut whole = message("Notification");
    whole["Message"] = "a\nMessageId\nb\nSubject\nc\nTimestamp\n2027-01-15T08:00:00.000Z\nTopicArn\narn:other".into();
    let whole = signed(whole);
    assert!(scene.ask(whole.to_string()).await.is_ok());
    let mut cut = whole.clone();
    cut["Message"] = "a".into();
    cut["MessageId"] = "b".into();
    cut["Subject"] = "c".into();
    cut["TopicArn"] = format!("arn:other\nMessageId\n22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324\nSubject\nGreeting\nTimestamp\n2027-01-15T08:00:00.000Z\nTopicArn\n{TOPIC}").into();

    assert_eq!(text(&cut), text(&whole));
    assert_eq!(scene.ask(cut.to_string()).await, Err(VerifyErrorKind::AmbiguousText));

    let right = signed(message("Notification")).to_string();
    let twice = right.replacen('{', r#"{"Message":"other","#, 1);
    assert!(scene.ask(twice).await.is_err());
}

#[tokio::test]
async fn a_certificate_that_is_not_at_the_senders_is_not_fetched() {
    let scene = Scene::both().await;
    for url in [
        "https://s3.amazonaws.com/bucket/SimpleNotificationService-9c6465fa7f48f5cacd23014631ec1136.pem",
        "http://sns.us-east-1.amazonaws.com/SimpleNotificationService-9c6465fa7f48f5cacd23014631ec1136.pem",
        "https://sns.us-east-1.amazonaws.com.attacker.test/SimpleNotificationService-9c6465fa7f48f5cacd23014631ec1136.pem",
        "https://sns.us-east-1.amazonaws.com\\@attacker.test/SimpleNotificationService-9c6465fa7f48f5cacd23014631ec1136.pem",
        "https://sns.us-east-1.amazonaws.com/?Action=ListTopics&x=.pem",
        "",
    ] {
        let mut message = message("Notification");
        message["SigningCertURL"] = url.into();
        assert_eq!(scene.ask(signed(message).to_string()).await, Err(VerifyErrorKind::UnknownKey), "{url}");
    }
    // Nor is one for what no key can have signed.
    for body in ["", "{}", "null", "[]", "Hello, this is raw message delivery", r#"{"Type":"Notification"}"#] {
        assert!(scene.ask(body).await.is_err(), "{body}");
    }
    assert_eq!(scene.server.connections(), 0);
}

#[tokio::test]
async fn a_certificate_of_another_name_or_time_signs_nothing() {
    let body = || signed(message("Notification")).to_string();
    for (name, years, verdict) in [
        ("sns.amazonaws.com", [2026, 2028], Ok(())),
        ("sns-signing.me-south-1.amazonaws.com", [2026, 2028], Ok(())),
        ("sns-cn-north-1.amazonaws.com.cn", [2026, 2028], Ok(())),
        ("sns.amazonaws.com", [2020, 2021], Err(VerifyErrorKind::UnknownKey)),
        ("sns.amazonaws.com", [2028, 2029], Err(VerifyErrorKind::UnknownKey)),
        ("attacker.test", [2026, 2028], Err(VerifyErrorKind::SecretUnavailable)),
        ("sns.amazonaws.com.attacker.test", [2026, 2028], Err(VerifyErrorKind::SecretUnavailable)),
        ("s3.amazonaws.com", [2026, 2028], Err(VerifyErrorKind::SecretUnavailable)),
    ] {
        let scene = Scene::both().await;
        scene.server.replies(pem(name, years));
        assert_eq!(scene.ask(body()).await.map(drop), verdict, "{name} {years:?}");
    }
    for (status, content, kind) in [
        ("404 Not Found", "", VerifyErrorKind::UnknownKey),
        ("403 Forbidden", "", VerifyErrorKind::UnknownKey),
        ("500 Internal Server Error", "", VerifyErrorKind::SecretUnavailable),
        ("200 OK", "no certificate", VerifyErrorKind::SecretUnavailable),
        ("200 OK", "", VerifyErrorKind::SecretUnavailable),
    ] {
        let scene = Scene::both().await;
        scene.server.replies(Reply::Answer(status, String::new(), Bytes::from(content)));
        assert_eq!(scene.ask(body()).await, Err(kind), "{status} {content}");
    }
}

/// A certificate of the first key pair that `authority` has issued.
fn issued(authority: &Authority, name: &str, years: [i32; 2]) -> String {
    let der = BASE64.decode(RSA[0][0].as_bytes()).unwrap();
    let der = PrivatePkcs8KeyDer::from(der);
    let key = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_RSA_SHA256).unwrap();
    authority.issue(name, years, &key)
}

#[tokio::test]
async fn a_chain_is_checked_where_the_authorities_are_named() {
    let name = "sns.amazonaws.com";
    let (root, other) = (Authority::new(), Authority::new());
    let (middle, expired) = (root.intermediate([2020, 2100]), root.intermediate([2020, 2021]));
    let leaf = |authority: &Authority| issued(authority, name, [2026, 2028]);
    let unavailable = Err(VerifyErrorKind::SecretUnavailable);
    for (what, chain, verdict) in [
        ("an authority's own", leaf(&root), Ok(())),
        ("behind another authority", leaf(&middle) + &middle.pem, Ok(())),
        ("without the authority between", leaf(&middle), unavailable),
        ("of an authority whose certificate has ended", leaf(&expired) + &expired.pem, unavailable),
        ("of another authority", leaf(&other) + &other.pem, unavailable),
        ("self-signed", certificate(name, [2026, 2028]), unavailable),
        ("in another order", middle.pem.clone() + &leaf(&middle), unavailable),
        ("ended", issued(&root, name, [2020, 2021]), Err(VerifyErrorKind::UnknownKey)),
    ] {
        let scene = Scene::sns(|keys, _, _| {
            WebhookLayer::aws_sns(keys.trusted_roots_pem(&root.pem).unwrap()).with_account(TOPIC)
        })
        .await;
        scene.server.replies(Reply::Answer("200 OK", String::new(), Bytes::from(chain)));
        let body = signed(message("Notification")).to_string();
        assert_eq!(scene.ask(body).await.map(drop), verdict, "{what}");
    }
    let keys = CertificateKeys::aws_sns(Nobody);
    assert!(keys.trusted_roots_pem("no certificate").is_err());
}

// A certificate with a key that can be broken says nothing.
#[tokio::test]
async fn a_certificate_with_a_weak_key_is_refused() {
    let key = rcgen::KeyPair::generate().unwrap();
    let scene = Scene::both().await;
    let weak = Authority::new().issue("sns.amazonaws.com", [2026, 2028], &key);
    scene.server.replies(Reply::Answer("200 OK", String::new(), Bytes::from(weak)));

    let body = signed(message("Notification")).to_string();
    assert_eq!(scene.ask(body).await, Err(VerifyErrorKind::SecretUnavailable));
}

#[tokio::test]
async fn a_window_is_held_where_one_is_set() {
    let scene = Scene::sns(|keys, _, _| {
        WebhookLayer::aws_sns(keys).with_account(TOPIC).with_tolerance(Duration::from_secs(3600))
    })
    .await;
    let body = signed(message("Notification")).to_string();

    assert!(scene.ask(body.clone()).await.is_ok());
    scene.clock.advance(Duration::from_secs(3601));
    assert_eq!(scene.ask(body).await, Err(VerifyErrorKind::Stale));
}

#[tokio::test]
async fn a_subscription_is_confirmed_for_the_topics_in_the_list_and_nothing_is_called_for_others() {
    let scene = Scene::sns(|keys, server, authority| {
        let confirmation = SnsConfirmation::new(server.client(authority));
        WebhookLayer::aws_sns(keys).with_account(TOPIC).with_confirmation(confirmation)
    })
    .await;
    let asked = |wanted: &str| {
        let requests = scene.server.requests.lock().unwrap();
        requests.iter().filter(|request| request.contains(wanted)).count()
    };

    // Unsigned, of another topic, and with another URL.
    let mut forged = signed(message("SubscriptionConfirmation"));
    forged["Token"] = "other".into();
    assert_eq!(scene.ask(forged.to_string()).await, Err(VerifyErrorKind::SignatureMismatch));
    let mut other = message("SubscriptionConfirmation");
    other["TopicArn"] = "arn:aws:sns:us-east-1:210987654321:attackers".into();
    assert_eq!(scene.ask(signed(other).to_string()).await, Err(VerifyErrorKind::OtherAccount));
    for url in ["https://169.254.169.254/?Action=ConfirmSubscription", "https://attacker.test/", ""] {
        let mut other = message("SubscriptionConfirmation");
        other["SubscribeURL"] = url.into();
        assert_eq!(scene.ask(signed(other).to_string()).await, Err(VerifyErrorKind::HandshakeRejected), "{url}");
    }
    assert_eq!(asked("ConfirmSubscription"), 0);

    // The layer answers without the handler, which would have returned the body.
    let confirmation = signed(message("SubscriptionConfirmation")).to_string();
    scene.server.replies(Reply::Answer("500 Internal Server Error", String::new(), Bytes::new()));
    assert_eq!(scene.ask(confirmation.clone()).await, Err(VerifyErrorKind::HandshakeFailed));
    let moved = "Location: https://attacker.test/\r\n".to_owned();
    scene.server.replies(Reply::Answer("302 Found", moved, Bytes::new()));
    assert_eq!(scene.ask(confirmation.clone()).await, Err(VerifyErrorKind::HandshakeFailed));
    scene.server.replies(Reply::Answer("200 OK", String::new(), Bytes::new()));
    assert_eq!(scene.ask(confirmation).await, Ok(String::new()));
    assert_eq!(asked("GET /?Action=ConfirmSubscription&TopicArn=arn:aws:sns:us-east-1:123456789012:orders"), 3);

    // SNS signs the messages of everybody's topics.
    let mut other = message("Notification");
    other["TopicArn"] = "arn:aws:sns:us-east-1:210987654321:attackers".into();
    assert_eq!(scene.ask(signed(other).to_string()).await, Err(VerifyErrorKind::OtherAccount));

    // Other messages of the topic go on to the handler.
    assert!(scene.ask(signed(message("Notification")).to_string()).await.unwrap().starts_with("Notification"));
    assert!(scene.ask(signed(message("UnsubscribeConfirmation")).to_string()).await.unwrap().starts_with("Unsub"));
}

/// The subscription of somebody else would outlive the experiment.
#[tokio::test]
async fn nothing_is_confirmed_that_was_not_verified() {
    let scene = Scene::sns(|keys, server, authority| {
        let confirmation = SnsConfirmation::new(server.client(authority));
        let layer = WebhookLayer::aws_sns(keys).with_account(TOPIC).with_confirmation(confirmation);
        layer.with_insecure_no_verification()
    })
    .await;
    let mut forged = message("SubscriptionConfirmation");
    forged["TopicArn"] = "arn:aws:sns:us-east-1:210987654321:attackers".into();

    // The handler gets it.
    assert!(scene.ask(forged.to_string()).await.unwrap().starts_with("SubscriptionConfirmation"));
    assert!(!scene.server.requests.lock().unwrap().iter().any(|request| request.contains("ConfirmSubscription")));
}

/// A certificate that was there is not gone because a proxy or a limit says so later.
#[tokio::test]
async fn a_certificate_that_is_not_found_any_longer_stays_in_use() {
    let scene = Scene::both().await;
    let body = signed(message("Notification")).to_string();
    assert!(scene.ask(body.clone()).await.is_ok());

    for status in ["403 Forbidden", "404 Not Found"] {
        scene.clock.advance(Duration::from_secs(2 * 3600));
        scene.server.replies(Reply::Answer(status, String::new(), Bytes::new()));
        for _ in 0..3 {
            assert!(scene.ask(body.clone()).await.is_ok(), "{status}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

struct Nobody;

impl tower_webhooks::keys::KeyClient for Nobody {
    fn send(
        &self,
        _request: Request<Bytes>,
    ) -> tower_webhooks::BoxFuture<'_, Result<http::Response<Bytes>, tower_webhooks::BoxError>> {
        Box::pin(async { Err("nobody".into()) })
    }
}

#[test]
#[should_panic(expected = "no subscriptions to confirm")]
fn a_confirmation_for_a_sender_without_subscriptions_is_told_at_start() {
    let layer = WebhookLayer::github(Secret::new("a secret of the endpoint").unwrap());
    let layer = layer.with_confirmation(SnsConfirmation::new(Nobody));
    let _: Router = Router::new().route("/", post(handler).layer(layer));
}

#[test]
#[should_panic(expected = "would confirm the subscriptions of everybody")]
fn a_confirmation_for_any_account_is_told_at_start() {
    let layer = WebhookLayer::aws_sns(CertificateKeys::aws_sns(Nobody)).with_insecure_any_account();
    let layer = layer.with_confirmation(SnsConfirmation::new(Nobody));
    let _: Router = Router::new().route("/", post(handler).layer(layer));
}

// --- Senders whose keys all their customers share --------------------------------------------------------------------------------

#[tokio::test]
async fn a_verified_message_of_another_topic_is_refused_whatever_its_type() {
    let other_topic = |kind: &str| {
        let mut other = message(kind);
        other["TopicArn"] = "arn:aws:sns:us-east-1:210987654321:orders".into();
        signed(other).to_string()
    };
    let of_account = Scene::sns(|keys, _, _| WebhookLayer::aws_sns(keys).with_account("123456789012")).await;
    let of_two =
        Scene::sns(|keys, _, _| WebhookLayer::aws_sns(keys).with_account("arn:aws:sns:a:1:b").with_account(TOPIC))
            .await;
    for scene in [Scene::both().await, of_account, of_two] {
        for kind in ["Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation"] {
            assert!(scene.ask(signed(message(kind)).to_string()).await.is_ok(), "{kind}");
            assert_eq!(scene.ask(other_topic(kind)).await, Err(VerifyErrorKind::OtherAccount), "{kind}");
        }
    }
    let of_any = Scene::sns(|keys, _, _| WebhookLayer::aws_sns(keys).with_insecure_any_account()).await;
    assert!(of_any.ask(other_topic("Notification")).await.is_ok());
}

/// Each of these has one key for all customers; the last item is a body that names an account.
const SHARED: &[(Provider, &str, &str)] = &[
    (Provider::AWS_SNS, "arn:aws:sns:us-east-1:123456789012:test", r#"{"MessageId":"1"}"#),
    (Provider::AWS_SNS_V2, "arn:aws:sns:us-east-1:123456789012:test", r#"{"MessageId":"1"}"#),
    (Provider::FIREBLOCKS_V2, "w-1", r#"{"id":"1","eventType":"transaction.created","workspaceId":"w-1"}"#),
    (Provider::FIREBLOCKS_V1, "b70701f4", r#"{"type":"TRANSACTION_CREATED","tenantId":"b70701f4"}"#),
    (Provider::KICK, "123456789", r#"{"broadcaster":{"user_id":123456789}}"#),
    (Provider::WISE, "01234567-89ab", r#"{"data":{},"subscription_id":"01234567-89ab","event_type":"a"}"#),
];

#[tokio::test]
async fn a_key_that_all_customers_share_is_not_enough_also_where_it_is_pinned() {
    let (private, public) = (Secret::new(RSA[0][0]).unwrap(), Secret::new(RSA[0][1]).unwrap());
    for (provider, account, body) in SHARED.iter().filter(|(provider, ..)| *provider != Provider::AWS_SNS) {
        let layer = || WebhookLayer::new(*provider, public.clone());
        let request = |body: &str| SignedRequest::new(*provider, &private).with_body(body.to_owned()).build::<Body>();
        let ask = async |layer: WebhookLayer, request: Request<Body>| {
            let app: Router = Router::new().route("/", post(async || ()).layer(layer));
            let Ok(answer) = app.oneshot(request).await;
            answer.extensions().get::<VerifyError>().map(VerifyError::kind)
        };

        assert_eq!(ask(layer().with_account(*account), request(body)).await, None, "{provider}");
        let others = layer().with_account("somebody-elses");
        assert_eq!(ask(others, request(body)).await, Some(VerifyErrorKind::OtherAccount), "{provider}");
        assert_eq!(ask(layer().with_insecure_any_account(), request(body)).await, None, "{provider}");
        let named = SignedRequest::new(*provider, &private).account(*account).with_body("{}").build::<Body>();
        assert_eq!(ask(layer().with_account(*account), named).await, None, "{provider}");
        if body.contains(account) {
            let nameless = request(r#"{"event":1}"#);
            let refused = ask(layer().with_account(*account), nameless).await;
            assert_eq!(refused, Some(VerifyErrorKind::OtherAccount), "{provider}");
        }
    }
}

/// What is told when a layer wraps a service.
fn told(layer: WebhookLayer) -> String {
    let wrap = std::panic::AssertUnwindSafe(move || Router::<()>::new().route("/", post(handler).layer(layer)));
    *std::panic::catch_unwind(wrap).unwrap_err().downcast::<String>().unwrap()
}

/// The account of an item is another one than that of the whole body.
#[test]
fn a_shared_key_needs_one_account_for_the_whole_body() {
    let declared = || {
        let scheme = tower_webhooks::Scheme::rsa_sha256().header("x-acme-signature").base64().key_pem();
        scheme.signs("{body}").account(tower_webhooks::scheme::Field::json("/account")).shared_key()
    };

    assert!(declared().build().is_ok());
    let error = declared().batch("/events").build().err().unwrap();
    assert!(error.to_string().contains("compares one account for the whole body"), "{error}");
}

#[test]
fn a_layer_with_a_shared_key_and_no_account_is_told_at_start() {
    for (provider, ..) in SHARED {
        assert!(tower_webhooks::Scheme::from(*provider).needs_account(), "{provider}");
        let layer = WebhookLayer::new(*provider, Secret::new(RSA[0][1]).unwrap());
        let message = told(layer);
        assert!(message.contains("add `.with_account(…)` with what names yours"), "{message}");
    }
    // Where nothing is shared, an account would have no effect.
    let layer = WebhookLayer::github(Secret::new("a secret of the endpoint").unwrap()).with_account("octocat");
    let message = told(layer);
    assert!(message.contains("take `.with_account(…)` away"), "{message}");
    // And offline nothing passes without one.
    let scheme = tower_webhooks::Scheme::from(Provider::WISE);
    let request =
        SignedRequest::new(Provider::WISE, &Secret::new(RSA[0][0]).unwrap()).with_body(SHARED[5].2).build::<Bytes>();
    let (head, body) = request.into_parts();
    let secrets = tower_webhooks::Secrets::new(Secret::new(RSA[0][1]).unwrap());
    let error = scheme.verify(&head, body, &secrets, std::time::SystemTime::UNIX_EPOCH).unwrap_err();
    assert_eq!(error.kind(), VerifyErrorKind::OtherAccount);
}

#[tokio::test]
async fn a_signed_request_passes_with_the_key_alone() {
    let (private, public) = (Secret::new(RSA[0][0]).unwrap(), Secret::new(RSA[0][1]).unwrap());
    for provider in [Provider::AWS_SNS_V2, Provider::PAYPAL] {
        let layer = WebhookLayer::new(provider, public.clone());
        let layer = if provider == Provider::PAYPAL {
            layer.with_endpoint_id("test")
        } else {
            layer.with_account("arn:aws:sns:us-east-1:123456789012:test")
        };
        let app: Router = Router::new().route("/", post(async || ()).layer(layer));
        let right = SignedRequest::new(provider, &private).with_body(r#"{"MessageId":"an-id","id":"an-id"}"#);

        let Ok(passed) = app.clone().oneshot(right.build::<Body>()).await;
        assert_eq!(passed.status(), StatusCode::OK, "{provider}");
        let Ok(refused) = app.oneshot(right.tampered().build::<Body>()).await;
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED, "{provider}");
    }
}

// --- PayPal -------------------------------------------------------------------------------------------------------------------

const PAYPAL: &str = "api.paypal.com";
const BODY: &str =
    r#"{"id":"WH-9UG43882HX7271132","event_type":"PAYMENT.SALE.COMPLETED","resource":{"id":"80F85758S3080410K"}}"#;

async fn paypal() -> Scene {
    let authority = Authority::new();
    let name = "messageverificationcerts.paypal.com";
    let server = KeyServer::start(authority.sign(PAYPAL, [2020, 2100]), pem(name, [2026, 2028])).await;
    let clock = ManualClock::at_unix_seconds(NOW);
    let keys = CertificateKeys::paypal(server.client(&authority)).clock(clock.clone());
    let layer = WebhookLayer::paypal(keys).with_endpoint_id("9XL90610J3647323C").with_clock(clock.clone());
    Scene { server, clock, app: Router::new().route("/", post(handler).layer(layer)) }
}

/// The headers of a delivery to a webhook.
fn headers(webhook: &str, body: &str) -> Vec<(&'static str, String)> {
    let (id, time) = ("d938e770-8046-11e6-8103-6b62a8a99ac4", "2027-01-15T08:00:00Z");
    let text = format!("{id}|{time}|{webhook}|{}", crc32(body.as_bytes()));
    vec![
        ("paypal-transmission-id", id.to_owned()),
        ("paypal-transmission-time", time.to_owned()),
        ("paypal-transmission-sig", sign(&text)),
        ("paypal-auth-algo", "SHA256withRSA".to_owned()),
        ("paypal-cert-url", format!("https://{PAYPAL}/v1/notifications/certs/CERT-360caa42-fca2a594-a5cafa77")),
    ]
}

fn request(headers: &[(&str, String)], body: &str) -> Request<Body> {
    let request = headers.iter().fold(Request::post("/"), |request, (name, value)| request.header(*name, value));
    request.body(Body::from(body.to_owned())).unwrap()
}

#[tokio::test]
async fn a_delivery_of_paypal_passes_for_its_webhook_alone() {
    let scene = paypal().await;
    let passes = Ok("PAYMENT.SALE.COMPLETED WH-9UG43882HX7271132".to_owned());

    assert_eq!(scene.send(request(&headers("9XL90610J3647323C", BODY), BODY)).await, passes);
    let others = scene.send(request(&headers("SOMEBODY-ELSES", BODY), BODY)).await;
    assert_eq!(others, Err(VerifyErrorKind::SignatureMismatch));
    assert_eq!(scene.server.asked(), 1);
    scene.clock.advance(Duration::from_secs(2 * 24 * 3600));
    assert_eq!(scene.send(request(&headers("9XL90610J3647323C", BODY), BODY)).await, passes);
}

#[tokio::test]
async fn each_changed_byte_of_the_signed_headers_is_refused() {
    let scene = paypal().await;
    let right = headers("9XL90610J3647323C", BODY);
    for (index, (name, value)) in right.iter().enumerate() {
        if *name == "paypal-cert-url" {
            continue;
        }
        for at in 0..value.len() {
            let mut bytes = value.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'x' { b'y' } else { b'x' };
            let mut changed = right.clone();
            changed[index].1 = String::from_utf8(bytes).unwrap();
            assert!(scene.send(request(&changed, BODY)).await.is_err(), "{name} {at}");
        }
        let mut without = right.clone();
        without.remove(index);
        assert_eq!(scene.send(request(&without, BODY)).await, Err(VerifyErrorKind::Missing), "{name}");
    }
    assert!(scene.send(request(&right, &BODY.replace("80F", "81F"))).await.is_err());
}

#[tokio::test]
async fn a_certificate_of_another_host_or_another_algorithm_is_refused_without_a_fetch() {
    let scene = paypal().await;
    let with = |name: &str, text: &str| {
        let mut headers = headers("9XL90610J3647323C", BODY);
        let header = headers.iter_mut().find(|(known, _)| *known == name).unwrap();
        header.1 = text.to_owned();
        request(&headers, BODY)
    };

    for algorithm in ["none", "SHA1withRSA", "sha256withrsa", "SHA256withRSA,none", ""] {
        let verdict = scene.send(with("paypal-auth-algo", algorithm)).await;
        assert_eq!(verdict, Err(VerifyErrorKind::MalformedSignature), "{algorithm}");
    }
    for url in [
        "https://attacker.test/v1/notifications/certs/CERT-360caa42",
        "http://api.paypal.com/v1/notifications/certs/CERT-360caa42",
        "https://api.paypal.com.attacker.test/v1/notifications/certs/CERT-360caa42",
        "https://api.paypal.com@attacker.test/v1/notifications/certs/CERT-360caa42",
        "https://api.paypal.com/v1/notifications/webhooks/CERT-360caa42",
    ] {
        assert_eq!(scene.send(with("paypal-cert-url", url)).await, Err(VerifyErrorKind::UnknownKey), "{url}");
    }
    assert_eq!(scene.server.connections(), 0);
}

// The constructor's documentation warns of this: four bytes give any body the checksum of another one.
#[tokio::test]
async fn a_body_with_the_same_checksum_passes_as_the_constructor_says() {
    let scene = paypal().await;
    let forged = |middle: &[u8]| [br#"{"id":"forged","event_type":"FORGED","x":""#.as_slice(), middle, b"\"}"].concat();
    let wanted = crc32(BODY.as_bytes());
    // The checksum is linear in the bits: of 64 characters, each of which has two forms, some choice gives any checksum.
    let base = forged(&[b'a'; 64]);
    let with =
        |bits: u64| forged(&(0..64).map(|bit| if bits >> bit & 1 == 1 { b'b' } else { b'a' }).collect::<Vec<_>>());
    let mut basis: Vec<(u32, u64)> = Vec::new();
    for bit in 0..64 {
        let (mut value, mut bits) = (crc32(&with(1 << bit)) ^ crc32(&base), 1_u64 << bit);
        for (other, others) in &basis {
            if value ^ other < value {
                (value, bits) = (value ^ other, bits ^ others);
            }
        }
        if value != 0 {
            basis.push((value, bits));
            basis.sort_unstable_by(|one, other| other.cmp(one));
        }
    }
    let (mut rest, mut choice) = (crc32(&base) ^ wanted, 0);
    for (value, bits) in &basis {
        if rest ^ value < rest {
            (rest, choice) = (rest ^ value, choice ^ bits);
        }
    }
    let body = String::from_utf8(with(choice)).unwrap();
    assert_eq!((rest, crc32(body.as_bytes())), (0, wanted));

    let verdict = scene.send(request(&headers("9XL90610J3647323C", BODY), &body)).await;
    assert_eq!(verdict, Ok("FORGED forged".to_owned()));
    assert!(!tower_webhooks::Scheme::from(Provider::PAYPAL).covers_body());
}
