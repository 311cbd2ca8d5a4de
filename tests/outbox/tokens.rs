//! Endpoints whose deliveries have an access token, by the client credentials of OAuth 2.0.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use tokio::{sync::oneshot, time::sleep};
use tower_webhooks::{
    Secret,
    send::{
        ClientCredentials, CustomHeaders, DeliveryQuery, DeliveryState, Dispatcher, EndpointUpdate, Message,
        NewEndpoint, OutboxEndpoints, RetryPolicy, SealingKey, SendErrorKind,
    },
    store::MemoryOutbox,
};

use crate::support::{outbox::serve, receiver::builder};

const ID: &str = "acme & sons";
const CLIENT_SECRET: &str = "correct+horse battery:staple";

/// An authorization server and an endpoint behind it.
#[derive(Clone, Default)]
struct Servers(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    /// The next answers of the token server; without one, it issues tokens that are valid for an hour.
    answers: VecDeque<(StatusCode, String)>,
    issued: u32,
    asked: Vec<(HeaderMap, String)>,
    /// The tokens that the endpoint does not accept.
    revoked: Vec<String>,
    delivered: Vec<String>,
}

impl Servers {
    async fn start(&self) -> String {
        let router = Router::new().route("/token", post(token)).route("/hook", post(hook)).with_state(self.clone());
        let url = serve(router).await;
        url.rsplit_once('/').unwrap().0.to_owned()
    }

    fn asked(&self) -> usize {
        self.0.lock().unwrap().asked.len()
    }

    fn delivered(&self) -> Vec<String> {
        self.0.lock().unwrap().delivered.clone()
    }
}

async fn token(State(servers): State<Servers>, headers: HeaderMap, body: String) -> Response {
    // So that others wait for it.
    sleep(Duration::from_millis(100)).await;
    let mut seen = servers.0.lock().unwrap();
    seen.asked.push((headers, body));
    if let Some(answer) = seen.answers.pop_front() {
        return answer.into_response();
    }
    seen.issued += 1;
    let body = format!(r#"{{"access_token":"token-number-{}","token_type":"Bearer","expires_in":3600}}"#, seen.issued);
    body.into_response()
}

async fn hook(State(servers): State<Servers>, headers: HeaderMap) -> Response {
    let mut seen = servers.0.lock().unwrap();
    let token = headers.get("authorization").map_or("none", |value| value.to_str().unwrap()).to_owned();
    if seen.revoked.contains(&token) {
        return (StatusCode::UNAUTHORIZED, token).into_response();
    }
    seen.delivered.push(token.clone());
    // It sends the token back.
    token.into_response()
}

struct Scene {
    servers: Servers,
    base: String,
    store: Arc<MemoryOutbox>,
    webhooks: Dispatcher,
    _stop: oneshot::Sender<()>,
}

impl Scene {
    async fn new() -> Self {
        let servers = Servers::default();
        let base = servers.start().await;
        let store = Arc::new(MemoryOutbox::new());
        let webhooks = Dispatcher::builder(store.clone())
            .sealing_key(SealingKey::from_bytes([7; 32]).unwrap())
            .client(builder(Duration::from_secs(10)).build().unwrap())
            .retry_policy(RetryPolicy::custom([Duration::from_millis(10); 3]))
            .poll_interval(Duration::from_millis(10))
            .build()
            .unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(webhooks.worker().run(async move { _ = stopped.await }));
        Self { servers, base, store, webhooks, _stop: stop }
    }

    fn credentials(&self) -> ClientCredentials {
        let secret = Secret::new(CLIENT_SECRET).unwrap();
        ClientCredentials::new(&format!("{}/token", self.base), ID, secret).unwrap()
    }

    fn endpoint(&self) -> NewEndpoint {
        NewEndpoint::new(&format!("{}/hook", self.base)).unwrap()
    }

    async fn dispatch(&self, count: u32) {
        let messages = (0..count).map(|number| Message::new("order.completed", &number).unwrap()).collect();
        self.webhooks.dispatch_many(messages).await.unwrap();
    }

    async fn until_delivered(&self, count: usize) {
        for _ in 0..6000 {
            let delivered = DeliveryQuery::default().state(DeliveryState::Delivered);
            if self.webhooks.deliveries(None, delivered).await.unwrap().len() >= count {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("{:?} of {count}", self.servers.delivered());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_deliveries_share_one_token_which_is_asked_for_as_the_standard_says() {
    let scene = Scene::new().await;
    let endpoint = scene.endpoint().client_credentials(scene.credentials().scope("webhooks orders:write").unwrap());
    let created = scene.webhooks.endpoints().create(endpoint).await.unwrap();

    scene.dispatch(20).await;
    scene.until_delivered(20).await;

    assert_eq!(scene.servers.delivered(), vec!["Bearer token-number-1"; 20]);
    let (headers, body) = scene.servers.0.lock().unwrap().asked.remove(0);
    assert_eq!(scene.servers.asked(), 0, "it is asked for once");
    // `acme+%26+sons:correct%2Bhorse+battery%3Astaple`, as RFC 6749, section 2.3.1 has it.
    assert_eq!(headers["authorization"], "Basic YWNtZSslMjYrc29uczpjb3JyZWN0JTJCaG9yc2UrYmF0dGVyeSUzQXN0YXBsZQ==");
    assert_eq!(headers["content-type"], "application/x-www-form-urlencoded");
    assert_eq!(body, "grant_type=client_credentials&scope=webhooks+orders%3Awrite");
    assert!(!headers.contains_key("webhook-signature"), "{headers:?}");

    // The receiver's copy of the token is not kept, and nothing reveals the secret.
    let id = created.endpoint().id();
    for delivery in scene.webhooks.deliveries(None, DeliveryQuery::default()).await.unwrap() {
        for attempt in scene.webhooks.attempts(delivery.id).await.unwrap() {
            assert_eq!(attempt.answer, "[redacted]");
        }
    }
    let sealed = scene.store.endpoint(id).await.unwrap().unwrap().settings.sealed;
    assert!(!String::from_utf8_lossy(&sealed.bytes).contains("horse"));
    let shown =
        format!("{created:?} {:?} {:?}", scene.credentials(), scene.endpoint().client_credentials(scene.credentials()));
    assert!(!shown.contains("horse"), "{shown}");

    // Without them there is no token.
    scene.webhooks.endpoints().update(id, EndpointUpdate::new().no_client_credentials()).await.unwrap();
    scene.dispatch(1).await;
    scene.until_delivered(21).await;
    assert_eq!(scene.servers.delivered().last().unwrap(), "none");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_not_accepted_or_ends_is_replaced() {
    let scene = Scene::new().await;
    let short = r#"{"access_token":"short","token_type":"bearer","expires_in":1}"#;
    {
        let mut seen = scene.servers.0.lock().unwrap();
        seen.answers.push_back((StatusCode::OK, short.to_owned()));
        seen.revoked.push("Bearer token-number-1".to_owned());
    }
    scene.webhooks.endpoints().create(scene.endpoint().client_credentials(scene.credentials())).await.unwrap();

    scene.dispatch(1).await;
    scene.until_delivered(1).await;
    sleep(Duration::from_millis(600)).await;
    scene.dispatch(1).await;
    scene.until_delivered(2).await;

    // The second token was answered with 401, and the third one is accepted.
    assert_eq!(scene.servers.delivered(), ["Bearer short", "Bearer token-number-2"]);
    assert_eq!(scene.servers.asked(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_token_nothing_is_sent_and_the_attempt_says_so() {
    let scene = Scene::new().await;
    let refusal = r#"{"error":"invalid_client","error_description":"a secret of theirs"}"#;
    scene.servers.0.lock().unwrap().answers.push_back((StatusCode::UNAUTHORIZED, refusal.to_owned()));
    scene.webhooks.endpoints().create(scene.endpoint().client_credentials(scene.credentials())).await.unwrap();

    scene.dispatch(1).await;
    // Another try some seconds later asks again.
    let mut delivered = Vec::new();
    for _ in 0..6000 {
        delivered = scene.webhooks.deliveries(None, DeliveryQuery::default()).await.unwrap();
        if delivered[0].state != DeliveryState::Pending && delivered[0].state != DeliveryState::Sending {
            break;
        }
        sleep(Duration::from_millis(10)).await;
    }

    let attempts = scene.webhooks.attempts(delivered[0].id).await.unwrap();
    assert_eq!(delivered[0].state, DeliveryState::Exhausted, "{attempts:?}");
    assert!(attempts.iter().all(|attempt| attempt.error.as_deref() == Some("token") && attempt.answer.is_empty()));
    assert_eq!((attempts.len(), scene.servers.asked()), (4, 1), "a failure is kept for some seconds");
    assert_eq!(scene.servers.delivered(), Vec::<String>::new());
    sleep(Duration::from_millis(3100)).await;
    scene.webhooks.resend(delivered[0].id).await.unwrap();
    scene.until_delivered(1).await;
}

#[tokio::test]
async fn credentials_that_could_not_be_used_are_refused() {
    let scene = Scene::new().await;
    let secret = || Secret::new("secret").unwrap();
    for (url, id, secret, field) in [
        ("not a url", "acme", secret(), "client_credentials/token_url"),
        ("https://example.com/token", "", secret(), "client_credentials/client_id"),
        ("https://example.com/token", "ä", secret(), "client_credentials/client_id"),
        (
            "https://example.com/token",
            "acme",
            Secret::new("x".repeat(1025)).unwrap(),
            "client_credentials/client_secret",
        ),
    ] {
        let error = ClientCredentials::new(url, id, secret).unwrap_err();
        assert_eq!((error.kind(), error.field()), (SendErrorKind::Invalid, Some(field)));
    }
    for scope in ["", " a", "a  b", "a\"b", "ä"] {
        assert!(scene.credentials().scope(scope).is_err(), "{scope:?}");
    }
    // A token server is no way around the policy.
    let inside = ClientCredentials::new("https://10.0.0.1/token", "acme", secret()).unwrap();
    let error =
        scene.webhooks.endpoints().create(scene.endpoint().client_credentials(inside.clone())).await.unwrap_err();
    assert_eq!(error.field(), Some("client_credentials/token_url"));
    let id = scene.webhooks.endpoints().create(scene.endpoint()).await.unwrap().endpoint().id();
    let error =
        scene.webhooks.endpoints().update(id, EndpointUpdate::new().client_credentials(inside)).await.unwrap_err();
    assert_eq!(error.field(), Some("client_credentials/token_url"));
    let mut headers = CustomHeaders::default();
    headers.insert("authorization", "Bearer of-their-own").unwrap();
    let update = EndpointUpdate::new().client_credentials(scene.credentials()).headers(headers);
    assert_eq!(scene.webhooks.endpoints().update(id, update).await.unwrap_err().field(), Some("client_credentials"));
}
