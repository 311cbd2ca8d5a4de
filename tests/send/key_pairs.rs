//! Endpoints with private keys: what their owners see, and the keys with which they verify.

use std::{sync::Mutex, time::Duration};

use http::{Request, StatusCode};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use tower_webhooks::{
    BoxFuture, Provider, Scheme, Secret, Secrets,
    clock::{Clock, SystemClock},
    send::{
        AttemptRequest, AttemptResult, DestinationPolicy, Dispatcher, EndpointResponse, EndpointUpdate, Message,
        NewEndpoint, NewSecret, SealingKey, SendErrorKind, Style, Transport,
    },
    store::MemoryOutbox,
};

/// A transport that gives each request to the test, and reports it as delivered.
struct Line(Mutex<mpsc::UnboundedSender<AttemptRequest>>);

impl Transport for Line {
    fn send(&self, request: AttemptRequest) -> BoxFuture<'_, AttemptResult> {
        self.0.lock().unwrap().send(request).unwrap();
        Box::pin(std::future::ready(AttemptResult::answered(EndpointResponse::new(StatusCode::OK), Duration::ZERO)))
    }
}

fn dispatcher() -> (Dispatcher, mpsc::UnboundedReceiver<AttemptRequest>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let webhooks = Dispatcher::builder(MemoryOutbox::new())
        .sealing_key(SealingKey::from_bytes([7; 32]).unwrap())
        .transport(Line(Mutex::new(sender)), DestinationPolicy::default())
        .build()
        .unwrap();
    (webhooks, receiver)
}

fn endpoint() -> NewEndpoint {
    NewEndpoint::new("https://example.com/hook").unwrap().style(Style::StandardWebhooksV1a)
}

/// Dispatches a message, and returns its request.
async fn sent(webhooks: &Dispatcher, requests: &mut mpsc::UnboundedReceiver<AttemptRequest>) -> AttemptRequest {
    let (stop, stopped) = oneshot::channel::<()>();
    let worker = tokio::spawn(webhooks.worker().run(async move { _ = stopped.await }));
    webhooks.dispatch(Message::new("order.completed", &json!({ "order": 7 })).unwrap()).await.unwrap();
    let request = tokio::time::timeout(Duration::from_secs(60), requests.recv()).await.unwrap().unwrap();
    stop.send(()).unwrap();
    worker.await.unwrap();
    request
}

fn passes(scheme: Provider, secrets: impl Into<Secrets>, request: &AttemptRequest) -> bool {
    let (mut head, ()) = Request::post("/hook").body(()).unwrap().into_parts();
    head.headers = request.headers().clone();
    Scheme::from(scheme).verify(&head, request.body().clone(), &secrets.into(), SystemClock.now()).is_ok()
}

fn key(created: &NewSecret) -> Secret {
    // Only the text that the owner copies.
    Secret::new(created.reveal()).unwrap()
}

#[tokio::test]
async fn the_owner_is_shown_a_public_key_and_verifies_with_it() {
    let (webhooks, mut requests) = dispatcher();
    let created = webhooks.endpoints().create(endpoint()).await.unwrap();

    let request = sent(&webhooks, &mut requests).await;

    assert!(created.reveal().starts_with("whpk_"), "{}", created.reveal());
    assert_eq!(created.endpoint().style(), Style::StandardWebhooksV1a);
    assert!(request.headers()["webhook-signature"].to_str().unwrap().starts_with("v1a,"));
    assert!(passes(Provider::STANDARD_WEBHOOKS_V1A, key(&created), &request));
    assert!(passes(Provider::STANDARD_WEBHOOKS_V1A, created.secret().clone(), &request));
    assert!(!passes(
        Provider::STANDARD_WEBHOOKS,
        Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap(),
        &request
    ));
}

#[tokio::test]
async fn each_endpoint_has_a_pair_of_its_own() {
    let (webhooks, mut requests) = dispatcher();
    let other = webhooks.endpoints().create(endpoint().events(["nothing.at.all"])).await.unwrap();
    let created = webhooks.endpoints().create(endpoint()).await.unwrap();

    let request = sent(&webhooks, &mut requests).await;

    assert_ne!(created.reveal(), other.reveal());
    assert!(!passes(Provider::STANDARD_WEBHOOKS_V1A, key(&other), &request));
}

#[tokio::test]
async fn a_rotation_shows_the_new_public_key_and_both_sign() {
    let (webhooks, mut requests) = dispatcher();
    let created = webhooks.endpoints().create(endpoint()).await.unwrap();
    let id = created.endpoint().id();

    let rotated = webhooks.endpoints().rotate_secret(id, Duration::from_secs(3600)).await.unwrap();
    let during = sent(&webhooks, &mut requests).await;
    let at_once = webhooks.endpoints().rotate_secret(id, Duration::ZERO).await.unwrap();
    let after = sent(&webhooks, &mut requests).await;

    assert!(rotated.reveal().starts_with("whpk_") && rotated.reveal() != created.reveal());
    let v1a = Provider::STANDARD_WEBHOOKS_V1A;
    for (created, request, right) in [
        (&created, &during, true),
        (&rotated, &during, true),
        (&at_once, &during, false),
        (&created, &after, false),
        (&rotated, &after, false),
        (&at_once, &after, true),
    ] {
        assert_eq!(passes(v1a, key(created), request), right);
    }
}

#[tokio::test]
async fn a_private_key_cannot_be_chosen() {
    let (webhooks, _requests) = dispatcher();
    let created = webhooks.endpoints().create(endpoint()).await.unwrap();
    for text in ["whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc=", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
        let secret = Secret::new(text).unwrap();
        let errors = [
            webhooks.endpoints().create(endpoint().secret(secret.clone())).await.unwrap_err(),
            webhooks.endpoints().rotate_secret_to(created.endpoint().id(), Duration::ZERO, secret).await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind(), SendErrorKind::Invalid);
            assert!(error.to_string().contains("standard-webhooks-v1a"), "{error}");
        }
    }
}

#[tokio::test]
async fn no_endpoint_changes_between_shared_secrets_and_key_pairs() {
    let (webhooks, _requests) = dispatcher();
    let endpoints = webhooks.endpoints();
    let pair = endpoints.create(endpoint()).await.unwrap().endpoint().id();
    let shared = endpoints.create(endpoint().style(Style::StandardWebhooks)).await.unwrap().endpoint().id();

    for (id, style, possible) in [
        (pair, Style::StandardWebhooks, false),
        (pair, Style::XWebhook, false),
        (pair, Style::StandardWebhooksV1a, true),
        (shared, Style::StandardWebhooksV1a, false),
        (shared, Style::StandardWebhooks, true),
    ] {
        let changed = endpoints.update(id, EndpointUpdate::new().style(style)).await;
        assert_eq!(changed.err().map(|error| error.kind()), (!possible).then_some(SendErrorKind::Invalid), "{style}");
    }
}

#[test]
fn the_style_has_a_name() {
    assert_eq!("standard-webhooks-v1a".parse::<Style>().unwrap(), Style::StandardWebhooksV1a);
    assert_eq!(Style::StandardWebhooksV1a.to_string(), "standard-webhooks-v1a");
}
