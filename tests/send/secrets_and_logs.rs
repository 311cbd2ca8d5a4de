//! Tests that nothing printable of sending shows a secret, of the effect of a rotation, and of a client's messages at
//! start. Whole runs at TRACE are in `observability.rs` and `round_trip.rs`.

use std::{
    error::Error,
    fmt::{Debug, Write},
    marker::PhantomData,
    sync::{Arc, Mutex},
    time::Duration,
};

use data_encoding::BASE64;
use hidden::forms;
use http::{Request, StatusCode};
use logs::Logs;
use serde_json::json;
use tokio::sync::oneshot;
use tower_webhooks::{
    BoxFuture, Provider, Scheme, Secret, Secrets,
    clock::{Clock, ManualClock},
    send::{
        AttemptRequest, AttemptResult, CustomHeaders, DestinationPolicy, Dispatcher, EgressProxy, Endpoint,
        EndpointDraft, EndpointRecord, EndpointResponse, EndpointUpdate, GuardedClient, LeaseRequest, LeaseToken,
        Message, NewEndpoint, NewSecret, OutboxEndpoints, OutboxQueue, Sealed, SealingKey, Signer, Style, Target,
        Transport,
    },
    store::MemoryOutbox,
};

use crate::support::{hidden, logs};

// What must not be seen.

const SECRET: &str = "whsec_c2VjcmV0LW9mLXRoZS1lbmRwb2ludC0wMDAwMDAwMA==";
const PRIVATE: &str = "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
const TEXT_SECRET: &str = "secret-of-an-endpoint-with-a-text-as-its-key";
const PATH: &str = "the-path-is-the-only-secret";
const TOKEN: &str = "token-of-the-gateway";
const PASSWORD: &str = "password-of-the-proxy";
const PAYLOAD: &str = "card-4111-1111-1111-1111";
const ANSWER: &str = "what-the-receiver-says";
const SEALING: [u8; 32] = [173; 32];

/// Everything above, in all forms, without white space: `{:#?}` breaks lists of bytes into lines.
fn hidden() -> Vec<String> {
    let mut hidden = Vec::new();
    for text in [SECRET, PRIVATE, TEXT_SECRET, PATH, TOKEN, PASSWORD, PAYLOAD, ANSWER] {
        hidden.extend(forms(text.as_bytes()));
    }
    for text in [SECRET.trim_start_matches("whsec_"), PRIVATE.trim_start_matches("whsk_")] {
        hidden.push(text.to_owned());
        hidden.extend(forms(&BASE64.decode(text.as_bytes()).unwrap()));
    }
    hidden.extend(forms(&SEALING));
    hidden.iter().map(|text| dense(text)).collect()
}

fn dense(text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    // The pretty form of a list ends with a comma.
    text.replace(",]", "]").trim_matches(['[', ']']).to_owned()
}

/// The printed texts, by the type that was printed.
#[derive(Default)]
struct Printed(Vec<(&'static str, String)>);

impl Printed {
    fn debug(&mut self, what: &'static str, value: &impl Debug) {
        self.0.push((what, format!("{value:?}\n{value:#?}")));
    }

    fn error(&mut self, what: &'static str, error: &(dyn Error + 'static)) {
        let mut text = String::new();
        let mut next = Some(error);
        while let Some(error) = next {
            write!(text, "{error}\n{error:?}\n{error:#?}\n").unwrap();
            next = error.source();
        }
        self.0.push((what, text));
    }

    fn holds_nothing_hidden(&self) {
        let hidden = hidden();
        for (what, text) in &self.0 {
            let text = dense(text);
            for form in &hidden {
                assert!(!text.contains(form), "{what} shows `{form}`: {text}");
            }
        }
    }
}

fn url() -> String {
    format!("https://example.com/{PATH}?key={PATH}")
}

fn secret(text: &str) -> Secret {
    Secret::new(text).unwrap()
}

fn headers() -> CustomHeaders {
    let mut headers = CustomHeaders::default();
    headers.insert("authorization", &format!("Bearer {TOKEN}")).unwrap();
    headers
}

fn message(id: &str) -> Message {
    Message::new("order.completed", &json!({ "card": PAYLOAD })).unwrap().id(id.parse().unwrap())
}

/// A receiver that keeps its requests, and answers all with one status.
#[derive(Clone)]
struct Receiver {
    status: StatusCode,
    requests: Arc<Mutex<Vec<AttemptRequest>>>,
    told: Arc<Mutex<oneshot::Sender<()>>>,
}

impl Receiver {
    /// Returns a receiver, and a signal that is ready after the first request.
    fn new(status: StatusCode) -> (Self, oneshot::Receiver<()>) {
        let (told, sent) = oneshot::channel();
        (Self { status, requests: Arc::default(), told: Arc::new(Mutex::new(told)) }, sent)
    }
}

impl Transport for Receiver {
    fn send(&self, request: AttemptRequest) -> BoxFuture<'_, AttemptResult> {
        self.requests.lock().unwrap().push(request);
        let told = std::mem::replace(&mut *self.told.lock().unwrap(), oneshot::channel().0);
        _ = told.send(());
        let answer =
            EndpointResponse::new(self.status).with_body(ANSWER.into(), tower_webhooks::send::ResponseEnd::Whole);
        Box::pin(async move { AttemptResult::answered(answer, Duration::ZERO) })
    }
}

// Printing.

#[tokio::test]
async fn no_debug_form_of_what_sends_shows_a_secret() {
    let mut printed = Printed::default();
    let key = SealingKey::from_bytes(SEALING).unwrap();
    printed.debug("SealingKey", &key);
    let signers = [
        Signer::standard_webhooks(secret(SECRET)).unwrap(),
        Signer::standard_webhooks_v1a(secret(PRIVATE)).unwrap(),
        Signer::x_webhook(secret(TEXT_SECRET)).unwrap(),
    ];
    printed.debug("Signer", &signers);
    let policy = DestinationPolicy::default();
    let target = Target::new(policy.endpoint(&url()).unwrap(), signers[0].clone()).headers(headers());
    printed.debug("Target", &target);
    printed.debug("CustomHeaders", &headers());
    printed.debug("Message", &message("m-1"));
    let proxy: EgressProxy = format!("http://user:{PASSWORD}@proxy.internal:3128").parse().unwrap();
    printed.debug("EgressProxy", &proxy);
    let client = GuardedClient::builder().egress_proxy(proxy);
    printed.debug("GuardedClientBuilder", &client);
    printed.debug("GuardedClient", &client.build().unwrap());

    let store = Arc::new(MemoryOutbox::new());
    let (receiver, sent) = Receiver::new(StatusCode::GONE);
    let seen: Arc<Mutex<Printed>> = Arc::default();
    let (attempted, disabled) = (seen.clone(), seen.clone());
    // Sealed bytes show nothing by themselves, so nothing is sealed here.
    let builder = Dispatcher::builder(store.clone())
        .with_insecure_plain_secrets()
        .transport(receiver.clone(), policy)
        .on_attempt_failed(move |shown| attempted.lock().unwrap().debug("Attempted", shown))
        .on_endpoint_disabled(move |shown| disabled.lock().unwrap().debug("Disabled", shown));
    printed.debug("DispatcherBuilder", &builder);
    let webhooks = builder.build().unwrap();
    printed.debug("Dispatcher", &webhooks);
    printed.debug("Dispatcher with a key", &Dispatcher::builder(store.clone()).sealing_key(key).build().unwrap());
    printed.debug("Endpoints", &webhooks.endpoints());

    let new = NewEndpoint::new(&url()).unwrap().secret(secret(SECRET)).headers(headers());
    printed.debug("NewEndpoint", &new);
    printed.debug("EndpointUpdate", &EndpointUpdate::new().url(&url()).unwrap().headers(headers()));
    let created = webhooks.endpoints().create(new).await.unwrap();
    let id = created.endpoint().id();
    printed.debug("NewSecret", &created);
    printed.debug("Endpoint", created.endpoint());
    let record = store.endpoint(id).await.unwrap().unwrap();
    printed.debug("EndpointDraft", &EndpointDraft::new(id, "", record.settings.clone()));
    printed.debug("EndpointRecord", &record);

    webhooks.dispatch(message("m-2")).await.unwrap();
    let leases = store.lease(LeaseRequest::new(LeaseToken::random().unwrap(), Duration::ZERO, 1)).await.unwrap();
    assert_eq!(leases.deliveries.len(), 1);
    printed.debug("Leases", &leases);
    let worker = webhooks.worker();
    printed.debug("SendWorker", &worker);
    worker.run(async move { sent.await.unwrap() }).await;
    printed.debug("AttemptRequest", &*receiver.requests.lock().unwrap());
    printed.debug("DeliveryRecord", &webhooks.deliveries(None, Default::default()).await.unwrap());

    printed.0.append(&mut seen.lock().unwrap().0);
    assert!(["Attempted", "Disabled"].iter().all(|what| printed.0.iter().any(|(printed, _)| printed == what)));
    printed.holds_nothing_hidden();
    // And it would be found.
    assert!(dense(created.reveal()).contains(&dense(SECRET)));
}

#[tokio::test]
async fn no_error_of_sending_shows_a_secret() {
    let mut printed = Printed::default();
    let webhooks =
        Dispatcher::builder(MemoryOutbox::new()).sealing_key(SealingKey::from_bytes(SEALING).unwrap()).build().unwrap();
    let endpoints = webhooks.endpoints();

    for text in [SECRET, TEXT_SECRET] {
        printed.error("SealingKey", &SealingKey::parse(text).unwrap_err());
        printed.error("v1a", &Signer::standard_webhooks_v1a(secret(text)).unwrap_err());
    }
    printed.error("v1", &Signer::standard_webhooks(secret(TEXT_SECRET)).unwrap_err());
    printed.error("header", &headers().insert("x-key", &format!("{TOKEN}\n")).unwrap_err());
    printed.error("header", &headers().insert("authorization", TOKEN).unwrap_err());
    for url in [
        format!("http://example.com/{PATH}"),
        format!("https://user:{PASSWORD}@example.com/{PATH}"),
        format!("https://10.0.0.1/{PATH}"),
        format!("https://example.com:444/{PATH}"),
        format!("https://example.com/{PATH} {PATH}"),
        format!("https://example.com/{PATH}#{PATH}"),
        format!("https://exa[mple.com/{PATH}"),
    ] {
        printed.error("EndpointUrlError", &DestinationPolicy::default().endpoint(&url).unwrap_err());
        if let Ok(endpoint) = NewEndpoint::new(&url) {
            printed.error("create", &endpoints.create(endpoint).await.unwrap_err());
        }
    }
    for (style, text) in [
        (Style::StandardWebhooks, TEXT_SECRET),
        (Style::StandardWebhooks, "whsec_c2VjcmV0LW9mLXRoZS1lbmRwb2ludA="),
        (Style::StandardWebhooksV1a, PRIVATE),
    ] {
        let endpoint = NewEndpoint::new(&url()).unwrap().style(style).secret(secret(text));
        printed.error("a chosen secret", &endpoints.create(endpoint).await.unwrap_err());
    }
    webhooks.dispatch(message("m-1")).await.unwrap();
    let other = Message::new("order.completed", &[PAYLOAD, PAYLOAD]).unwrap().id("m-1".parse().unwrap());
    printed.error("conflict", &webhooks.dispatch(other).await.unwrap_err());
    printed.error("proxy", &format!("socks5://user:{PASSWORD}@proxy.internal").parse::<EgressProxy>().unwrap_err());

    printed.holds_nothing_hidden();
}

/// Finds out at compile time whether a type implements a trait, so that a test can assert that it does not.
macro_rules! implements {
    ($type:ty: $trait:path) => {{
        #[allow(dead_code)] // Where the answer is yes, nobody asks here.
        trait Otherwise {
            const ANSWER: bool = false;
        }
        impl<T: ?Sized> Otherwise for T {}
        #[allow(dead_code)] // Where the answer is no, nobody asks here.
        struct Asked<T: ?Sized>(PhantomData<T>);
        #[allow(dead_code)] // As above.
        impl<T: ?Sized + $trait> Asked<T> {
            const ANSWER: bool = true;
        }
        <Asked<$type>>::ANSWER
    }};
}

#[test]
fn nothing_that_holds_a_secret_can_be_shown_serialised_or_compared() {
    macro_rules! mute {
        ($($type:ty),*) => {$(
            assert!(!implements!($type: std::fmt::Display), stringify!($type));
            assert!(!implements!($type: serde::Serialize), stringify!($type));
        )*};
    }
    mute!(
        SealingKey,
        Signer,
        Target,
        NewEndpoint,
        NewSecret,
        Endpoint,
        EndpointRecord,
        CustomHeaders,
        Sealed,
        Dispatcher
    );
    mute!(EgressProxy, GuardedClient, AttemptRequest, Message);
    assert!(!implements!(SealingKey: PartialEq) && !implements!(NewSecret: PartialEq));

    assert!(implements!(String: std::fmt::Display) && implements!(String: serde::Serialize));
}

// Rotation.

#[tokio::test]
async fn when_the_overlap_of_a_rotation_ends_the_old_secret_signs_no_more() {
    for (style, provider) in [
        (Style::StandardWebhooks, Provider::STANDARD_WEBHOOKS),
        (Style::StandardWebhooksV1a, Provider::STANDARD_WEBHOOKS_V1A),
    ] {
        let clock = ManualClock::at_unix_seconds(1_800_000_000);
        let (receiver, _) = Receiver::new(StatusCode::OK);
        let webhooks = Dispatcher::builder(MemoryOutbox::new())
            .sealing_key(SealingKey::from_bytes(SEALING).unwrap())
            .transport(receiver.clone(), DestinationPolicy::default())
            .clock(clock.clone())
            .build()
            .unwrap();
        let created = webhooks.endpoints().create(NewEndpoint::new(&url()).unwrap().style(style)).await.unwrap();
        let id = created.endpoint().id();
        let rotated = webhooks.endpoints().rotate_secret(id, Duration::from_secs(3600)).await.unwrap();

        let mut verified = Vec::new();
        for (round, wait) in [("m-1", 3599), ("m-2", 2)] {
            clock.advance(Duration::from_secs(wait));
            let (told, sent) = oneshot::channel();
            *receiver.told.lock().unwrap() = told;
            webhooks.dispatch(message(round)).await.unwrap();
            webhooks.worker().run(async move { sent.await.unwrap() }).await;

            let request = receiver.requests.lock().unwrap().pop().unwrap();
            let (mut head, ()) = Request::post("/hook").body(()).unwrap().into_parts();
            head.headers = request.headers().clone();
            for held in [created.secret(), rotated.secret()] {
                let scheme = Scheme::from(provider);
                let secrets = Secrets::new(held.clone());
                verified.push(scheme.verify(&head, request.body().clone(), &secrets, clock.now()).is_ok());
            }
        }

        assert_eq!(verified, [true, true, false, true], "{style}");
    }
}

// The messages for the operator at the start.

#[test]
fn what_a_client_opens_is_logged_when_it_is_built_and_the_default_opens_nothing() {
    let (logs, _guard) = Logs::capture();
    GuardedClient::new().unwrap();
    assert_eq!(logs.ours().len(), 0, "{:?}", logs.ours());

    let policy = DestinationPolicy::default().allow_network("10.20.0.0/16".parse().unwrap()).allow_ports(9000..=9010);
    GuardedClient::builder().policy(policy.insecure_plain_http()).build().unwrap();

    let warnings: Vec<_> = logs.ours().into_iter().filter(|line| line.contains("WARN")).collect();
    for opened in ["10.20.0.0/16", "9000 to 9010", "plain http"] {
        assert!(warnings.iter().any(|line| line.contains(opened)), "{opened}: {warnings:?}");
    }
}
