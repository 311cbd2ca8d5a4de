//! What we send is what we receive: signatures, envelopes, rotation and retries, from our sender to our receiver.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use axum::{Router, routing::post};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use key_pairs::PAIRS;
use receiver::{Receiver, builder, loopback_client, loopback_policy};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc;
use tower_webhooks::{
    BoxFuture, Delivery, Provider, Scheme, Secret, Secrets, VerifiedEvent, WebhookLayer,
    clock::{Clock, SystemClock},
    scheme::Verdict,
    send::{
        AttemptError, AttemptErrorKind, AttemptRequest, AttemptResult, CustomHeaders, DeliverErrorKind,
        EndpointResponse, Message, Signer, Style, Target, Transport, deliver,
    },
};

use crate::support::{key_pairs, logs, receiver};

const NEW: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OLD: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

fn secret(text: &str) -> Secret {
    Secret::new(text).unwrap()
}

/// Each signer, the scheme of its receiver, and the receiver's secret.
fn signers() -> [(Signer, Scheme, Secret); 3] {
    let [private, public] = PAIRS[0];
    [
        (Signer::standard_webhooks(secret(NEW)).unwrap(), Provider::STANDARD_WEBHOOKS.into(), secret(NEW)),
        (Signer::x_webhook(secret(NEW)).unwrap(), Provider::X_WEBHOOK.into(), secret(NEW)),
        (
            Signer::standard_webhooks_v1a(secret(private)).unwrap(),
            Provider::STANDARD_WEBHOOKS_V1A.into(),
            secret(public),
        ),
    ]
}

fn message() -> Message {
    Message::new("order.completed", &json!({ "order": 7 })).unwrap()
}

fn verify(scheme: &Scheme, secrets: &Secrets, headers: &HeaderMap, body: &[u8], now: SystemTime) -> Option<Delivery> {
    let (mut head, ()) = http::Request::post("/hook").body(()).unwrap().into_parts();
    head.headers = headers.clone();
    match scheme.verify(&head, Bytes::copy_from_slice(body), secrets, now) {
        Ok(Verdict::Delivery(delivery)) => Some(delivery),
        _ => None,
    }
}

#[derive(Deserialize)]
struct Order {
    order: u64,
}

/// The parts of a delivery that a handler saw.
type Seen = (String, String, u64);

async fn serve(layer: WebhookLayer) -> (String, mpsc::UnboundedReceiver<Seen>) {
    let (seen, receiver) = mpsc::unbounded_channel();
    let handler = async move |event: VerifiedEvent<Order>| {
        let delivery = event.delivery();
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let id = text(delivery.id().map(|id| id.as_str()));
        seen.send((id, text(delivery.event_type().map(|kind| kind.as_str())), event.order)).unwrap();
    };
    let app = Router::new().route("/hook", post(handler).layer(layer));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, receiver)
}

#[tokio::test]
async fn a_delivery_reaches_the_handler_of_our_own_layer() {
    for (signer, scheme, secret) in signers() {
        let (url, mut seen) = serve(WebhookLayer::new(scheme, secret)).await;
        let client = loopback_client(Duration::from_secs(5));
        let target = Target::new(loopback_policy().endpoint(&url).unwrap(), signer);
        let message = message();

        let delivered = deliver(&client, &target, &message).await.unwrap();

        assert_eq!(delivered.attempts().len(), 1);
        assert_eq!(seen.recv().await.unwrap(), (message.message_id().to_string(), "order.completed".into(), 7));
    }
}

#[tokio::test]
async fn a_delivery_that_another_key_signed_is_refused_and_not_tried_again() {
    let (url, mut seen) = serve(WebhookLayer::standard_webhooks(secret(NEW))).await;
    let client = loopback_client(Duration::from_secs(5));
    let signer = Signer::standard_webhooks(secret(OLD)).unwrap();

    let error = deliver(&client, &Target::new(loopback_policy().endpoint(&url).unwrap(), signer), &message())
        .await
        .unwrap_err();

    assert_eq!(error.kind(), DeliverErrorKind::Refused);
    assert_eq!(error.attempts().len(), 1);
    assert_eq!(error.to_string(), "the delivery was refused; the last answer was 401");
    assert!(seen.try_recv().is_err());
}

#[test]
fn during_a_rotation_the_old_and_the_new_secret_verify() {
    let now = SystemClock.now();
    let rotating = |new, old| Secrets::new(secret(new)).and_until(secret(old), now + Duration::from_secs(60));
    let [[new, new_public], [old, old_public], _] = PAIRS;
    let [(_, standard, _), (_, x, _), (_, v1a, _)] = signers();
    for (signer, scheme, new, old) in [
        (Signer::standard_webhooks(rotating(NEW, OLD)).unwrap(), standard, NEW, OLD),
        (Signer::x_webhook(rotating(NEW, OLD)).unwrap(), x, NEW, OLD),
        (Signer::standard_webhooks_v1a(rotating(new, old)).unwrap(), v1a, new_public, old_public),
    ] {
        let body = message().body(signer.style(), now);
        let (during, after) = (now, now + Duration::from_secs(61));
        for (at, key, verifies) in [(during, new, true), (during, old, true), (after, new, true), (after, old, false)] {
            let headers = signer.headers(&message(), at, &body);
            let delivery = verify(&scheme, &secret(key).into(), &headers, &body, at);
            assert_eq!(delivery.is_some(), verifies, "{} {key}", signer.style());
        }
        // A receiver in the middle of its own rotation holds both, in any order.
        let headers = signer.headers(&message(), during, &body);
        for held in [[new, old], [old, new]] {
            assert!(verify(&scheme, &Secrets::from(held.map(secret)), &headers, &body, during).is_some());
        }
    }
}

#[test]
fn every_changed_byte_is_noticed() {
    let now = SystemClock.now();
    for (signer, scheme, secret) in signers() {
        let message = message();
        let body = message.body(signer.style(), now);
        let headers = signer.headers(&message, now, &body);
        let secrets = Secrets::from(secret);
        let delivery = verify(&scheme, &secrets, &headers, &body, now).expect("as it was signed it verifies");
        assert!(delivery.covers_body() && delivery.id_is_signed());
        assert_eq!(delivery.timestamp_is_signed(), signer.style() != Style::XWebhook);

        for index in 0..body.len() {
            let mut body = body.to_vec();
            body[index] ^= 1;
            assert!(verify(&scheme, &secrets, &headers, &body, now).is_none(), "byte {index}");
        }
        for name in ["webhook-id", "webhook-timestamp", "webhook-signature", "x-webhook-signature"] {
            let Some(value) = headers.get(name) else { continue };
            for index in 0..value.len() {
                let mut bytes = value.as_bytes().to_vec();
                bytes[index] = if bytes[index] == b'7' { b'8' } else { b'7' };
                let mut headers = headers.clone();
                headers.insert(name, http::HeaderValue::from_bytes(&bytes).unwrap());
                assert!(verify(&scheme, &secrets, &headers, &body, now).is_none(), "{name} {index}");
            }
        }
    }
}

// The receiver chooses the version: a signature of one version is never valid under the other, with any label.
#[test]
fn a_signature_of_one_version_never_passes_as_the_other() {
    let now = SystemClock.now();
    let [(v1, v1_scheme, shared), _, (v1a, v1a_scheme, public)] = signers();
    let message = message();
    let body = message.body(v1.style(), now);
    for (signer, scheme, held) in [(&v1, &v1a_scheme, &public), (&v1a, &v1_scheme, &shared)] {
        let right = signer.headers(&message, now, &body);
        let text = right["webhook-signature"].to_str().unwrap();
        let bare = text.split_once(',').unwrap().1;
        for value in [text.to_owned(), format!("v1,{bare}"), format!("v1a,{bare}"), format!("v1,{bare} v1a,{bare}")] {
            let mut headers = right.clone();
            headers.insert("webhook-signature", value.parse().unwrap());
            assert!(verify(scheme, &held.clone().into(), &headers, &body, now).is_none(), "{value}");
        }
    }

    // A sender may send both, and a receiver of either kind finds its own.
    let both = [&v1, &v1a].map(|signer| signer.headers(&message, now, &body)["webhook-signature"].clone());
    let mut headers = v1.headers(&message, now, &body);
    headers
        .insert("webhook-signature", both.map(|value| value.to_str().unwrap().to_owned()).join(" ").parse().unwrap());
    for (scheme, held) in [(&v1_scheme, shared), (&v1a_scheme, public)] {
        assert!(verify(scheme, &held.into(), &headers, &body, now).is_some());
    }
}

// Everyone knows the public key; a signature that uses it as a shared secret is refused.
#[test]
fn a_public_key_is_no_secret_to_sign_with() {
    let public = PAIRS[0][1];
    assert!(Signer::standard_webhooks_v1a(secret(public)).is_err());
    assert!(Signer::standard_webhooks(secret(public)).is_err());
    let now = SystemClock.now();
    let key = secret(public.trim_start_matches("whpk_"));
    let forger = Signer::standard_webhooks(key).unwrap();
    let [.., (_, scheme, held)] = signers();
    let (message, held) = (message(), Secrets::from(held));
    let body = message.body(forger.style(), now);
    let mut headers = forger.headers(&message, now, &body);
    for version in ["v1", "v1a"] {
        let text = headers["webhook-signature"].to_str().unwrap().split_once(',').unwrap().1.to_owned();
        headers.insert("webhook-signature", format!("{version},{text}").parse().unwrap());
        assert!(verify(&scheme, &held, &headers, &body, now).is_none());
    }
}

#[test]
fn the_headers_are_as_documented() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let [(standard, ..), (x, ..), (v1a, ..)] = signers();
    let message = message().id("m-1".parse().unwrap());
    let names = |headers: &HeaderMap| {
        let mut names: Vec<_> = headers.keys().map(|name| name.as_str().to_owned()).collect();
        names.sort_unstable();
        names.join(" ")
    };

    let headers = standard.headers(&message, now, b"{}");
    assert_eq!(names(&headers), "content-type webhook-id webhook-signature webhook-timestamp");
    assert_eq!(
        (&headers["webhook-id"], &headers["webhook-timestamp"]),
        (&"m-1".parse().unwrap(), &"1700000000".parse().unwrap())
    );

    let headers = v1a.headers(&message, now, b"{}");
    assert_eq!(names(&headers), "content-type webhook-id webhook-signature webhook-timestamp");
    assert!(headers["webhook-signature"].to_str().unwrap().starts_with("v1a,"));

    let headers = x.headers(&message, now, b"{}");
    assert_eq!(names(&headers), "content-type x-webhook-delivery x-webhook-event x-webhook-signature");
    assert_eq!(
        (&headers["x-webhook-delivery"], &headers["x-webhook-event"]),
        (&"m-1".parse().unwrap(), &"order.completed".parse().unwrap())
    );
    assert!(headers["x-webhook-signature"].to_str().unwrap().starts_with("sha256="));
}

// --- Retries ------------------------------------------------------------------------------------------------------------

/// A receiver that answers from a list, and notes the requests and their times.
#[derive(Clone)]
struct Scripted(Arc<Mutex<Script>>);

struct Script {
    answers: VecDeque<AttemptResult>,
    requests: Vec<(tokio::time::Instant, AttemptRequest)>,
}

impl Scripted {
    fn new(answers: impl IntoIterator<Item = AttemptResult>) -> Self {
        Self(Arc::new(Mutex::new(Script { answers: answers.into_iter().collect(), requests: Vec::new() })))
    }

    fn requests(&self) -> Vec<(tokio::time::Instant, AttemptRequest)> {
        self.0.lock().unwrap().requests.clone()
    }
}

impl Transport for Scripted {
    fn send(&self, request: AttemptRequest) -> BoxFuture<'_, AttemptResult> {
        let mut script = self.0.lock().unwrap();
        script.requests.push((tokio::time::Instant::now(), request));
        let answer = script.answers.pop_front().expect("no more attempts than were foreseen");
        Box::pin(std::future::ready(answer))
    }
}

fn status(code: u16) -> AttemptResult {
    AttemptResult::answered(EndpointResponse::new(StatusCode::from_u16(code).unwrap()), Duration::ZERO)
}

fn failed(kind: AttemptErrorKind) -> AttemptResult {
    AttemptResult::failed(AttemptError::new(kind), Duration::ZERO)
}

fn target() -> Target {
    let [(signer, ..), ..] = signers();
    Target::new("https://receiver.example/hook".parse().unwrap(), signer)
}

#[tokio::test(start_paused = true)]
async fn four_attempts_with_one_id_and_one_body_and_then_an_end() {
    let transport = Scripted::new([status(500), failed(AttemptErrorKind::Timeout), status(429), status(302)]);
    let message = message();

    let error = deliver(&transport, &target(), &message).await.unwrap_err();

    assert_eq!((error.kind(), error.attempts().len()), (DeliverErrorKind::Exhausted, 4));
    let requests = transport.requests();
    let started = requests[0].0;
    for ((at, request), (least, most)) in requests.iter().zip([(0.0, 0.0), (0.8, 1.2), (4.8, 7.2), (28.8, 43.2)]) {
        let waited = (*at - started).as_secs_f64();
        // Timers are in whole milliseconds.
        assert!((least - 0.01..=most + 0.01).contains(&waited), "{waited}");
        assert_eq!(request.headers()["webhook-id"], message.message_id().as_str());
        assert_eq!(request.body(), requests[0].1.body());
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_tried_again_and_what_is_final() {
    use DeliverErrorKind::{Exhausted, Gone, Refused};
    for code in [200, 201, 204, 299] {
        assert!(deliver(&Scripted::new([status(500), status(code)]), &target(), &message()).await.is_ok(), "{code}");
    }
    for code in [300, 301, 308, 408, 409, 425, 429, 500, 502, 503, 504, 599] {
        let error = deliver(&Scripted::new([(); 4].map(|()| status(code))), &target(), &message()).await.unwrap_err();
        assert_eq!((error.kind(), error.attempts().len()), (Exhausted, 4), "{code}");
    }
    for code in [400, 401, 403, 404, 405, 406, 413, 415, 422, 451, 499] {
        let error = deliver(&Scripted::new([status(code)]), &target(), &message()).await.unwrap_err();
        assert_eq!(error.kind(), Refused, "{code}");
    }
    let error = deliver(&Scripted::new([status(410)]), &target(), &message()).await.unwrap_err();
    assert_eq!(error.kind(), Gone);
    for kind in AttemptErrorKind::ALL {
        let (expected, attempts) =
            if *kind == AttemptErrorKind::RefusedDestination { (Refused, 1) } else { (Exhausted, 4) };
        let error = deliver(&Scripted::new(vec![failed(*kind); attempts]), &target(), &message()).await.unwrap_err();
        assert_eq!((error.kind(), error.attempts().len()), (expected, attempts), "{}", kind.as_str());
    }
}

#[tokio::test(start_paused = true)]
async fn a_receiver_can_ask_for_a_pause_but_not_hold_the_caller() {
    let busy = |seconds| {
        let answer =
            EndpointResponse::new(StatusCode::SERVICE_UNAVAILABLE).with_retry_after(Duration::from_secs(seconds));
        AttemptResult::answered(answer, Duration::ZERO)
    };
    let started = tokio::time::Instant::now();
    let transport = Scripted::new([busy(20), status(200)]);
    assert!(deliver(&transport, &target(), &message()).await.is_ok());
    assert!(started.elapsed() >= Duration::from_secs(20));

    let started = tokio::time::Instant::now();
    let error = deliver(&Scripted::new([busy(61)]), &target(), &message()).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts().len()), (DeliverErrorKind::Exhausted, 1));
    assert!(started.elapsed() < Duration::from_secs(1));
}

// --- What is told to whom -----------------------------------------------------------------------------------------------

#[tokio::test]
async fn no_secret_no_payload_and_no_header_value_is_in_any_log() {
    let (logs, _guard) = logs::Logs::capture();
    let receiver = Receiver::answering("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nthe reply").await;
    let client = builder(Duration::from_secs(5)).build().unwrap();
    let mut headers = CustomHeaders::default();
    headers.insert("authorization", "Bearer token-of-the-gateway").unwrap();
    let [(signer, ..), ..] = signers();
    let url = loopback_policy().endpoint(&format!("{}?key=only-the-receiver-knows", receiver.url())).unwrap();
    let target = Target::new(url, signer).headers(headers);
    let message = Message::new("order.completed", &"the customers' data").unwrap();

    let delivered = deliver(&client, &target, &message).await.unwrap();
    // A refusal is logged for the operator.
    let strict = builder(Duration::from_secs(5)).policy(Default::default()).build().unwrap();
    let refused = deliver(&strict, &target, &message).await.unwrap_err();

    let text = format!("{}\n{delivered:?}\n{refused:?}\n{target:?}\n{message:?}\n{client:?}", logs.text());
    for word in ["MfKQ9r8GKYq", "v1,", "token-of-the-gateway", "customers", "only-the-receiver-knows", "the reply"] {
        assert!(!text.contains(word), "{word}: {text}");
    }
    let ours = logs.ours().join("\n");
    assert!(ours.contains("network 127.0.0.0/8") && ours.contains("plain http"), "{ours}");
    assert!(ours.contains("WARN") && ours.contains("refused_destination"), "{ours}");
}
