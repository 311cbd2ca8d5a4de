//! Secrets in everything that is printed or logged, and look-ups of secrets under attack.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Bytes, routing::post};
use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use http::{Method, Request};
use http_body_util::Full;
use logs::Logs;
use serde::Deserialize;
use serve::{Receiver, Server, oneshot, request, request_h2, soon};
use sign::{Line, NOW, Sender, hmac_sha256, line};
use tokio::{sync::Notify, task::JoinSet};
use tower::Service;
use tower_webhooks::{
    BoxError, Delivery, EventRejection, Head, Provider, RequestHead, Scheme, Secret, Secrets, VerifiedEvent,
    WebhookLayer,
    clock::ManualClock,
    error::VerifyErrorKind,
    scheme::{Field, Handshake},
    secret::CachedSecrets,
};

use crate::support::{logs, serve, sign};

const BODY: &[u8] = br#"{"id":"evt_1","type":"invoice.paid","data":{"object":{"card":"marker-body-4111"}},"event":{}}"#;

/// Every form in which a secret, or a signature made with it, might be written.
fn forms(bytes: &[u8]) -> Vec<String> {
    let mut forms = vec![
        BASE64.encode(bytes),
        BASE64.encode(bytes).trim_end_matches('=').to_owned(),
        BASE64URL_NOPAD.encode(bytes),
        HEXLOWER.encode(bytes),
        HEXUPPER.encode(bytes),
        format!("{bytes:?}").trim_matches(['[', ']']).to_owned(),
    ];
    forms.extend(std::str::from_utf8(bytes).map(str::to_owned));
    forms
}

/// What must not be seen of a sender: its secret, its key, and the right signature of this body.
fn hidden(sender: Sender, body: &[u8]) -> Vec<String> {
    let key = sender.key(sender.secret_text());
    let right = hmac_sha256(&key, &sender.content(sign::ID, &NOW.to_string(), body));
    [sender.secret_text().as_bytes(), &key, &right].into_iter().flat_map(forms).collect()
}

fn assert_hidden(what: &str, text: &str, hidden: &[String]) {
    for form in hidden {
        assert!(!text.contains(form), "{what} shows {form}: {text}");
    }
}

// An application prints a configuration, a request's extensions, or an error.
#[tokio::test]
async fn no_debug_form_shows_a_secret() {
    for sender in Sender::ALL {
        let hidden = hidden(sender, BODY);
        let secret = sender.secret();
        let secrets = Secrets::new(secret.clone()).and(secret.clone()).tenant("acme");
        let layer = sender.layer();
        let with_token = WebhookLayer::meta(secret.clone()).with_verify_token(secret.clone());
        let cached = CachedSecrets::new(secrets.clone(), by_path, Duration::from_secs(1));
        let scheme = Scheme::from(sender.provider()).with_verify_token(secret.clone());
        let service = layer.layer(tower::service_fn(|_: Request<Full<Bytes>>| async {
            Ok::<_, std::convert::Infallible>(http::Response::new(Full::new(Bytes::new())))
        }));
        let future = service.clone().call(request_h2("POST", "/", &sender.sign(BODY), BODY));
        let router: Router = Router::new().route("/", post(async || "").layer(layer.clone()));
        let (head, ()) = {
            let mut request = Request::post("/?token=marker");
            for (name, value) in sender.sign(BODY) {
                request = request.header(name, value);
            }
            request.body(()).unwrap().into_parts()
        };
        let owned = RequestHead::new(Method::POST, head.uri.clone(), head.headers.clone());
        let delivery = scheme
            .verify(&head, BODY, &secrets, std::time::UNIX_EPOCH + Duration::from_secs(NOW))
            .unwrap()
            .into_delivery()
            .unwrap();
        let error = scheme.verify(&head, "{}", &secrets, std::time::UNIX_EPOCH).unwrap_err();

        let debugs: [(&str, String, String); 14] = [
            ("Secret", format!("{secret:?}"), format!("{secret:#?}")),
            ("Secrets", format!("{secrets:?}"), format!("{secrets:#?}")),
            ("CachedSecrets", format!("{cached:?}"), format!("{cached:#?}")),
            ("WebhookLayer", format!("{layer:?}"), format!("{layer:#?}")),
            ("WebhookLayer with a token", format!("{with_token:?}"), format!("{with_token:#?}")),
            ("Webhook", format!("{service:?}"), format!("{service:#?}")),
            ("ResponseFuture", format!("{future:?}"), format!("{future:#?}")),
            ("Router", format!("{router:?}"), format!("{router:#?}")),
            ("Scheme", format!("{scheme:?}"), format!("{scheme:#?}")),
            ("Head", format!("{:?}", Head::from(&head)), format!("{:#?}", Head::from(&head))),
            ("RequestHead", format!("{owned:?}"), format!("{owned:#?}")),
            ("Delivery", format!("{delivery:?}"), format!("{delivery:#?}")),
            ("VerifyError", format!("{error:?} {error}"), format!("{error:#?}")),
            ("Provider", format!("{:?}", sender.provider()), sender.provider().to_string()),
        ];
        for (name, plain, pretty) in &debugs {
            for text in [plain, pretty] {
                assert_hidden(name, text, &hidden);
                assert!(!text.contains("marker"), "{name}: {text}");
            }
        }
    }
}

// The error of a secret that cannot be used must not quote it.
#[test]
fn no_error_about_a_secret_shows_it() {
    const TEXT: &str = "whsec_marker-7f3a is not base64";
    let secret = || Secret::new(TEXT).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, format!("{TEXT}\n\n")).unwrap();

    let errors = [
        WebhookLayer::try_new(Provider::SVIX, secret()).unwrap_err(),
        WebhookLayer::try_new(Provider::SVIX, [Sender::Svix.secret(), secret()]).unwrap_err(),
        WebhookLayer::try_new(Scheme::hmac_sha256().header("x").hex().key_hex().signs("{body}"), secret()).unwrap_err(),
        Secret::new(format!("{TEXT} ")).unwrap_err(),
        Secret::from_file(&path).unwrap_err(),
    ];
    for error in errors {
        let mut text = format!("{error} {error:?} {error:#?}");
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            text.push_str(&format!(" {cause} {cause:?}"));
            source = cause.source();
        }
        assert!(!text.contains("marker-7f3a"), "{text}");
    }

    let panic = std::panic::catch_unwind(|| WebhookLayer::svix(secret())).unwrap_err();
    let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
    assert!(text.contains("base64") && !text.contains("marker-7f3a"), "{text}");
}

// All kinds of requests, with everything logged that any crate of the stack has to say.
#[tokio::test]
async fn no_log_of_a_whole_run_shows_secret_signature_or_body() {
    #[derive(Debug, Deserialize)]
    struct Never {
        #[allow(dead_code)] // Only its name matters.
        card: u64,
    }
    for sender in Sender::ALL {
        let (logs, _guard) = Logs::capture();
        let layer = sender.layer().with_body_limit(1000).with_body_timeout(Duration::from_millis(50));
        let typed = async |event: Result<VerifiedEvent<Never>, EventRejection>| match event {
            Ok(event) => format!("{event:?}"),
            Err(rejection) => format!("{rejection:?} {rejection}"),
        };
        let router = Router::new()
            .route("/hook", post(async |body: Bytes| body.len().to_string()))
            .route("/typed", post(async |_: VerifiedEvent<Never>| "").layer(axum::middleware::map_response(seen)))
            .route("/result", post(typed))
            .route_layer(layer);
        let server = Server::start(router).await;
        let now = NOW.to_string();
        let secretive = [line("authorization", "Bearer marker-token"), line("cookie", "marker-cookie")];
        let mut doubled = sender.sign(BODY);
        doubled.push(doubled[0].clone());
        let requests: Vec<(Vec<Line>, Vec<u8>)> = vec![
            (sender.sign(BODY), BODY.to_vec()),
            (sender.sign(BODY), b"{\"n\":\"marker-body\"}".to_vec()),
            (Vec::new(), BODY.to_vec()),
            (doubled, BODY.to_vec()),
            (sender.claiming("marker-signature"), BODY.to_vec()),
            (sender.claiming(sender.value(&now, "marker-signature")), BODY.to_vec()),
            (sender.sign_at("marker-time", BODY), BODY.to_vec()),
            (sender.sign_at("1", BODY), BODY.to_vec()),
            (sender.sign(b"marker-body"), b"marker-body".to_vec()),
            (sender.sign(&[b'x'; 2000]), vec![b'x'; 2000]),
        ];

        for (headers, body) in requests {
            for path in ["/hook", "/typed", "/result"] {
                for method in ["POST", "GET"] {
                    let headers = [headers.clone(), secretive.to_vec()].concat();
                    let answer = server.send(&request(method, path, &headers, &body)).await.unwrap();
                    assert!(!answer.text().contains("marker"), "{}", answer.text());
                    assert_hidden("an answer", answer.text(), &hidden(sender, &body));
                    assert_hidden("the log", &logs.text(), &hidden(sender, &body));
                }
            }
        }
        let mut slow = server.connect().await;
        slow.send(&serve::head("POST", "/hook", &[sender.sign(BODY), vec![line("content-length", "900")]].concat()))
            .await;
        assert_eq!(slow.answer().await.map(|answer| answer.status), Some(408));

        let text = logs.text();
        assert!(!logs.ours().is_empty());
        assert!(!text.contains("marker"), "{}", text.lines().find(|line| line.contains("marker")).unwrap_or_default());
    }
}

async fn seen(response: axum::response::Response) -> axum::response::Response {
    if let Some(rejection) = response.extensions().get::<EventRejection>() {
        tracing::info!(?rejection, "the application logs the rejection: {rejection}");
    }
    response
}

// One event for each refusal, by a fixed vocabulary, and none for what passes.
#[tokio::test]
async fn each_refusal_is_one_event_and_a_success_is_none() {
    for sender in Sender::ALL {
        let (logs, _guard) = Logs::capture();
        let receiver = Receiver::new(sender).await;
        let started = logs.ours().len();

        receiver.accepts(&sender.sign(BODY), BODY).await;
        assert_eq!(logs.ours().len(), started, "{:?}", logs.ours());

        receiver.refuses(&sender.sign(BODY), b"{}").await;
        receiver.refuses(&[], b"{}").await;
        let ours = logs.ours();
        assert_eq!(ours.len(), started + 2, "{ours:?}");
        assert!(ours[started].contains("WARN") && ours[started].contains(r#"reason="signature_mismatch""#), "{ours:?}");
        assert!(ours[started + 1].contains(r#"reason="missing""#), "{ours:?}");
        assert!(ours[started + 1].contains(sender.provider().name()), "{ours:?}");

        // Clients that go away are the weather of the internet, and no storm in the log.
        for _ in 0..20 {
            let mut raw = receiver.server.connect().await;
            let bytes = request("POST", "/hook", &sender.sign(BODY), BODY);
            raw.send(&bytes[..bytes.len() - 1]).await;
            raw.finish().await;
            assert!(raw.is_closed().await || raw.answer().await.is_some());
        }
        let loud = logs.ours().iter().filter(|line| line.contains("WARN") || line.contains("ERROR")).count();
        assert_eq!(loud, started + 2);
        receiver.finish().await;
    }
}

// The operator must hear of what makes every delivery fail.
#[tokio::test]
async fn a_secret_that_cannot_be_had_is_an_error_in_the_log_with_its_cause() {
    let (logs, _guard) = Logs::capture();
    let source = |_: RequestHead| async { Err::<Secrets, BoxError>("the vault is sealed".into()) };
    let receiver = Receiver::behind(Sender::GitHub, WebhookLayer::github(source)).await;

    assert_eq!(receiver.post(&Sender::GitHub.sign(BODY), BODY).await.status, 503);

    let ours = logs.ours();
    assert_eq!(ours.len(), 1, "{ours:?}");
    assert!(ours[0].contains("ERROR") && ours[0].contains("the vault is sealed"), "{ours:?}");
    receiver.server.stop().await;
}

// What can be guessed works, and is warned of: what counts is the key, not the text that it is written in.
#[test]
fn a_short_secret_is_warned_of_by_the_length_of_its_key() {
    let warned = |provider: Provider, text: &str| {
        let (logs, _guard) = Logs::capture();
        let _ = WebhookLayer::new(provider, Secret::new(text).unwrap());
        let ours = logs.ours();
        assert!(ours.iter().all(|line| line.contains("WARN") && !line.contains(text)), "{ours:?}");
        !ours.is_empty()
    };

    assert!(warned(Provider::GITHUB, "fifteen letters"));
    assert!(!warned(Provider::GITHUB, "sixteen letters."));
    // Twenty characters of base64 are fifteen bytes.
    assert!(warned(Provider::SVIX, "whsec_AAECAwQFBgcICQoLDA0O"));
    assert!(!warned(Provider::SVIX, "whsec_AAECAwQFBgcICQoLDA0ODw=="));
}

// A sender whose check does not bind the body, and none at all: both are said once, at start.
#[test]
fn a_scheme_that_does_not_bind_the_body_is_warned_of_once() {
    let (logs, _guard) = Logs::capture();
    let secret = || Secret::new("a token of some length").unwrap();

    let _ = WebhookLayer::new(Scheme::insecure_token().header("x-token"), secret());
    let token = logs.ours();
    let _ = WebhookLayer::new(Scheme::insecure_unsigned(), secret());
    let unsigned = logs.ours();

    assert!(token.len() == 1 && token[0].contains("does not cover the body"), "{token:?}");
    assert!(unsigned.len() == 2 && unsigned[1].contains("verification is off"), "{unsigned:?}");
}

// --- Look-ups -------------------------------------------------------------------------------------------------------------

fn by_path(head: &RequestHead) -> String {
    head.uri().path().to_owned()
}

/// A source that counts its look-ups, and can be held. Its secret can be changed.
#[derive(Clone, Default)]
struct Counting {
    asked: Arc<AtomicUsize>,
    rotated: Arc<AtomicBool>,
    held: Arc<AtomicBool>,
    asked_now: Arc<Notify>,
    release: Arc<Notify>,
}

impl Counting {
    fn source(&self) -> impl Fn(RequestHead) -> tower_webhooks::BoxFuture<'static, Result<Secrets, BoxError>> + use<> {
        let this = self.clone();
        move |_| {
            let this = this.clone();
            Box::pin(async move {
                this.asked.fetch_add(1, Ordering::SeqCst);
                this.asked_now.notify_one();
                if this.held.load(Ordering::SeqCst) {
                    this.release.notified().await;
                }
                let secret = if this.rotated.load(Ordering::SeqCst) {
                    Secret::new(NEW_SECRET)?
                } else {
                    Sender::GitHub.secret()
                };
                Ok(Secrets::new(secret))
            })
        }
    }

    fn rotate(&self) {
        self.rotated.store(true, Ordering::SeqCst);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

const NEW_SECRET: &str = "the signing key after its rotation";

/// A body that is signed by any key.
fn signed_with(key: &str) -> Vec<Line> {
    let tag = Sender::GitHub.tag_with(key.as_bytes(), &NOW.to_string(), BODY);
    Sender::GitHub.claiming(format!("sha256={tag}"))
}

async fn status_of(router: &Router, path: &str, headers: &[Line]) -> u16 {
    oneshot(router, request_h2("POST", path, headers, BODY)).await.status().as_u16()
}

fn routes(source: impl tower_webhooks::SecretSource) -> Router {
    Router::new().route("/{tenant}", post(async |_: Delivery| "").layer(WebhookLayer::github(source)))
}

async fn status(router: &Router, path: &str) -> u16 {
    oneshot(router, request_h2("POST", path, &Sender::GitHub.sign(BODY), BODY)).await.status().as_u16()
}

// A burst of deliveries after a restart must not be a burst of look-ups.
#[tokio::test]
async fn simultaneous_requests_of_one_tenant_are_one_look_up() {
    let counting = Counting::default();
    counting.held.store(true, Ordering::SeqCst);
    let router = routes(CachedSecrets::new(counting.source(), by_path, Duration::from_secs(60)));

    let mut tasks = JoinSet::new();
    for _ in 0..50 {
        let router = router.clone();
        tasks.spawn(async move { status(&router, "/acme").await });
    }
    soon("the look-up", counting.asked_now.notified()).await;
    counting.held.store(false, Ordering::SeqCst);
    counting.release.notify_one();
    let statuses = soon("all answers", tasks.join_all()).await;

    assert_eq!(statuses, vec![200; 50]);
    assert_eq!(counting.asked(), 1);
}

// The client that asked goes away while the others wait for its look-up.
#[tokio::test]
async fn a_look_up_that_is_dropped_is_taken_over_by_the_next() {
    let counting = Counting::default();
    counting.held.store(true, Ordering::SeqCst);
    let router = routes(CachedSecrets::new(counting.source(), by_path, Duration::from_secs(60)));

    let first = tokio::spawn({
        let router = router.clone();
        async move { status(&router, "/acme").await }
    });
    soon("the look-up", counting.asked_now.notified()).await;
    let second = tokio::spawn({
        let router = router.clone();
        async move { status(&router, "/acme").await }
    });
    tokio::task::yield_now().await;
    counting.held.store(false, Ordering::SeqCst);
    first.abort();

    assert_eq!(soon("the second answer", second).await.unwrap(), 200);
    assert_eq!(counting.asked(), 2);
}

// An answer is kept for its time and no longer, and an error not at all.
#[tokio::test]
async fn a_kept_secret_is_looked_up_again_after_its_time() {
    let counting = Counting::default();
    let clock = ManualClock::at_unix_seconds(NOW);
    let router = routes(CachedSecrets::new(counting.source(), by_path, Duration::from_secs(60)).clock(clock.clone()));

    for (seconds, asked) in [(0, 1), (59, 1), (1, 2), (59, 2), (3600, 3)] {
        clock.advance(Duration::from_secs(seconds));
        assert_eq!(status(&router, "/acme").await, 200);
        assert_eq!(counting.asked(), asked, "after {seconds} s more");
    }
    // A clock that was set back makes nothing live longer.
    clock.set_unix_seconds(NOW);
    assert_eq!(status(&router, "/acme").await, 200);
    assert_eq!(counting.asked(), 4);

    let failing = Arc::new(AtomicBool::new(true));
    let source = {
        let failing = Arc::clone(&failing);
        move |_: RequestHead| {
            let fails = failing.load(Ordering::SeqCst);
            async move { if fails { Err("the vault is sealed".into()) } else { Ok(Secrets::new(Sender::GitHub.secret())) } }
        }
    };
    let router = routes(CachedSecrets::new(source, by_path, Duration::from_secs(60)));
    assert_eq!(status(&router, "/acme").await, 503);
    failing.store(false, Ordering::SeqCst);
    assert_eq!(status(&router, "/acme").await, 200);
}

// Invented tenants cost look-ups but no memory: an evicted tenant is looked up again.
#[tokio::test]
async fn a_flood_of_made_up_tenants_does_not_grow_the_cache() {
    let counting = Counting::default();
    let router = routes(CachedSecrets::new(counting.source(), by_path, Duration::from_secs(60)).capacity(8));

    for index in 0..100 {
        assert_eq!(status(&router, &format!("/made-up-{index}")).await, 200);
    }
    assert_eq!(counting.asked(), 100);
    for index in 0..90 {
        status(&router, &format!("/made-up-{index}")).await;
    }

    assert!(counting.asked() >= 100 + 90 - 8, "more than eight were kept");
}

// Heads that are condemned anyway cost no look-up.
#[tokio::test]
async fn a_request_without_a_signature_costs_no_look_up() {
    let counting = Counting::default();
    let router = routes(CachedSecrets::new(counting.source(), by_path, Duration::from_secs(60)));

    for headers in [Vec::new(), Sender::GitHub.claiming("junk"), Sender::GitHub.claiming("sha256=00")] {
        let response = oneshot(&router, request_h2("POST", "/acme", &headers, BODY)).await;
        assert_eq!(response.status(), 401);
    }
    let get = oneshot(&router, request_h2("GET", "/acme", &Sender::GitHub.sign(BODY), b"")).await;

    assert_eq!(get.status(), 405);
    assert_eq!(counting.asked(), 0);
}

// GitHub does not send again what was rejected: the first delivery after a rotation has to find the new secret.
#[tokio::test]
async fn a_new_secret_is_found_by_its_first_delivery_and_the_old_one_ends_with_it() {
    let (counting, clock) = (Counting::default(), ManualClock::at_unix_seconds(NOW));
    let router = routes(CachedSecrets::new(counting.source(), by_path, Duration::from_secs(3600)).clock(clock.clone()));

    assert_eq!(status(&router, "/acme").await, 200);
    counting.rotate();
    clock.advance(Duration::from_secs(1));
    assert_eq!(status(&router, "/acme").await, 200, "the old one is kept until somebody asks again");
    assert_eq!(status_of(&router, "/acme", &signed_with(NEW_SECRET)).await, 200);
    assert_eq!(counting.asked(), 2);

    assert_eq!(status(&router, "/acme").await, 401);
    assert_eq!(status_of(&router, "/acme", &signed_with(NEW_SECRET)).await, 200);
    assert_eq!(counting.asked(), 2, "what was just asked is not asked again");
}

// Anybody can send wrong signatures.
#[tokio::test]
async fn forged_requests_cost_one_look_up_in_each_cooldown() {
    let (counting, clock) = (Counting::default(), ManualClock::at_unix_seconds(NOW));
    let cached = CachedSecrets::new(counting.source(), by_path, Duration::from_secs(3600));
    let router = routes(cached.clock(clock.clone()).cooldown(Duration::from_secs(5)));
    assert_eq!(status(&router, "/acme").await, 200);

    for look_ups in 1..4 {
        for _ in 0..100 {
            assert_eq!(status_of(&router, "/acme", &signed_with("a guess")).await, 401);
        }
        assert_eq!(counting.asked(), look_ups);
        clock.advance(Duration::from_secs(5));
    }
}

// Between the rotation and the first answer there may be many deliveries.
#[tokio::test]
async fn deliveries_that_mismatch_at_once_share_one_look_up() {
    let (counting, clock) = (Counting::default(), ManualClock::at_unix_seconds(NOW));
    let router = routes(CachedSecrets::new(counting.source(), by_path, Duration::from_secs(3600)).clock(clock.clone()));
    assert_eq!(status(&router, "/acme").await, 200);
    soon("the first look-up", counting.asked_now.notified()).await;
    counting.rotate();
    clock.advance(Duration::from_secs(1));
    counting.held.store(true, Ordering::SeqCst);

    let mut tasks = JoinSet::new();
    for _ in 0..50 {
        let router = router.clone();
        tasks.spawn(async move { status_of(&router, "/acme", &signed_with(NEW_SECRET)).await });
    }
    soon("the second look-up", counting.asked_now.notified()).await;
    counting.held.store(false, Ordering::SeqCst);
    counting.release.notify_one();

    assert_eq!(soon("all answers", tasks.join_all()).await, vec![200; 50]);
    assert_eq!(counting.asked(), 2);
}

// If a client forges a request and disconnects, the look-up for the next delivery must still work.
#[tokio::test]
async fn a_second_look_up_that_is_dropped_does_not_count() {
    let (counting, clock) = (Counting::default(), ManualClock::at_unix_seconds(NOW));
    let router = routes(CachedSecrets::new(counting.source(), by_path, Duration::from_secs(3600)).clock(clock.clone()));
    assert_eq!(status(&router, "/acme").await, 200);
    soon("the first look-up", counting.asked_now.notified()).await;
    counting.rotate();
    clock.advance(Duration::from_secs(1));
    counting.held.store(true, Ordering::SeqCst);

    let forged = tokio::spawn({
        let router = router.clone();
        async move { status_of(&router, "/acme", &signed_with("a guess")).await }
    });
    soon("the second look-up", counting.asked_now.notified()).await;
    forged.abort();
    assert!(forged.await.is_err());
    counting.held.store(false, Ordering::SeqCst);

    assert_eq!(status_of(&router, "/acme", &signed_with(NEW_SECRET)).await, 200);
}

// A tenant signs up just after a request for it was refused.
#[tokio::test]
async fn only_secrets_are_kept() {
    for (absent, expected) in [(Secrets::none as fn() -> Secrets, 503), (Secrets::unknown_tenant, 401)] {
        let there = Arc::new(AtomicBool::new(false));
        let source = {
            let there = Arc::clone(&there);
            move |_: RequestHead| {
                let there = there.load(Ordering::SeqCst);
                async move { Ok(if there { Secrets::new(Sender::GitHub.secret()) } else { absent() }) }
            }
        };
        let router = routes(CachedSecrets::new(source, by_path, Duration::from_secs(3600)));

        assert_eq!(status(&router, "/acme").await, expected);
        there.store(true, Ordering::SeqCst);
        assert_eq!(status(&router, "/acme").await, 200);
    }
}

// A cached entry ends when its secrets expire, even if its own time is not over.
#[tokio::test]
async fn secrets_that_have_all_ended_are_looked_up_again() {
    let clock = ManualClock::at_unix_seconds(NOW);
    let end = std::time::UNIX_EPOCH + Duration::from_secs(NOW + 10);
    let asked = Arc::new(AtomicUsize::new(0));
    let source = {
        let asked = Arc::clone(&asked);
        move |_: RequestHead| {
            let first = asked.fetch_add(1, Ordering::SeqCst) == 0;
            async move {
                let secret = Sender::GitHub.secret();
                Ok(if first { Secrets::none().and_until(secret, end) } else { Secrets::new(secret) })
            }
        }
    };
    let cached = CachedSecrets::new(source, by_path, Duration::from_secs(3600)).clock(clock.clone());
    let layer = WebhookLayer::github(cached).with_clock(clock.clone());
    let router = Router::new().route("/{tenant}", post(async |_: Delivery| "").layer(layer));

    for _ in 0..2 {
        assert_eq!(status(&router, "/acme").await, 200);
        assert_eq!(status(&router, "/acme").await, 200);
        clock.advance(Duration::from_secs(10));
    }
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

// One path, many hosts: the cache key is the part of the request that the source uses.
#[tokio::test]
async fn a_source_that_decides_by_the_host_does_not_mix_tenants() {
    fn host(head: &RequestHead) -> String {
        head.headers().get("host").and_then(|host| host.to_str().ok()).unwrap_or_default().to_owned()
    }
    let source = |head: RequestHead| async move {
        let host = host(&head);
        Ok(Secrets::new(Secret::new(format!("the signing key of {host}"))?).tenant(host))
    };
    let layer = WebhookLayer::github(CachedSecrets::new(source, host, Duration::from_secs(60)));
    let tenant = async |delivery: Delivery| delivery.tenant().unwrap_or_default().to_owned();
    let router = Router::new().route("/hook", post(tenant).layer(layer));
    let send = async |signer: &str, host: &str| {
        let mut headers = signed_with(&format!("the signing key of {signer}"));
        headers.push(line("host", host));
        let response = oneshot(&router, request_h2("POST", "/hook", &headers, BODY)).await;
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 1000).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    };

    for _ in 0..2 {
        assert_eq!(send("a.example", "a.example").await, (200, "a.example".to_owned()));
        assert_eq!(send("b.example", "b.example").await, (200, "b.example".to_owned()));
        assert_eq!(send("a.example", "b.example").await.0, 401);
    }
}

// One slow failure must not cost each who waits for it a failure of their own.
#[tokio::test(start_paused = true)]
async fn those_who_wait_for_a_look_up_that_fails_share_its_failure() {
    let asked = Arc::new(AtomicUsize::new(0));
    let source = {
        let asked = Arc::clone(&asked);
        move |_: RequestHead| {
            asked.fetch_add(1, Ordering::SeqCst);
            async {
                tokio::time::sleep(Duration::from_secs(3)).await;
                Err::<Secrets, BoxError>("the vault is sealed".into())
            }
        }
    };
    let (logs, _guard) = Logs::capture();
    let router = routes(CachedSecrets::new(source, by_path, Duration::from_secs(60)));
    let begun = tokio::time::Instant::now();

    let mut tasks = JoinSet::new();
    for _ in 0..20 {
        let router = router.clone();
        tasks.spawn(async move { status(&router, "/acme").await });
    }

    assert_eq!(tasks.join_all().await, vec![503; 20]);
    assert_eq!(begun.elapsed(), Duration::from_secs(3));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    let told = logs.ours().iter().filter(|line| line.contains("the vault is sealed")).count();
    assert_eq!(told, 20, "{:?}", logs.ours());
}

// --- What a source may say ------------------------------------------------------------------------------------------------

fn answering(
    answer: impl Fn() -> Result<Secrets, BoxError> + Send + Sync + 'static,
) -> impl tower_webhooks::SecretSource {
    move |_: RequestHead| std::future::ready(answer())
}

// A stranger must not learn from us who our customers are, nor fill the error log by guessing.
#[tokio::test]
async fn an_unknown_tenant_is_rejected_like_a_forged_request_and_in_silence() {
    for sender in Sender::ALL {
        let (logs, _guard) = Logs::capture();
        let known = sender.secret();
        let source = move |head: RequestHead| {
            let known = known.clone();
            async move { Ok(if head.uri().path() == "/acme" { Secrets::new(known) } else { Secrets::unknown_tenant() }) }
        };
        let layer = WebhookLayer::new(sender.provider(), source).with_clock(ManualClock::at_unix_seconds(NOW));
        let server =
            Server::start(Router::new().route("/{tenant}", post(async |_: Delivery| "").layer(layer.clone()))).await;
        let started = logs.ours().len();

        let known = server.send(&request("POST", "/acme", &sender.sign(BODY), BODY)).await.unwrap();
        let forged = server.send(&request("POST", "/acme", &sender.sign(BODY), b"{}")).await.unwrap();
        let unknown = server.send(&request("POST", "/nobody", &sender.sign(BODY), BODY)).await.unwrap();

        assert_eq!(known.status, 200);
        assert_eq!((unknown.status, unknown.text()), (forged.status, forged.text()));
        assert_eq!(unknown.text(), serve::REFUSAL);
        let ours = &logs.ours()[started..];
        assert_eq!(ours.len(), 2, "{ours:?}");
        assert!(ours[1].contains("DEBUG") && ours[1].contains(r#"reason="unknown_tenant""#), "{ours:?}");

        // As with any other wrong signature, the answer comes after the body.
        let mut raw = server.connect().await;
        let bytes = request("POST", "/nobody", &sender.sign(BODY), BODY);
        raw.send(&bytes[..bytes.len() - 1]).await;
        assert!(tokio::time::timeout(Duration::from_millis(100), raw.answer()).await.is_err());
        raw.send(&bytes[bytes.len() - 1..]).await;
        assert_eq!(raw.answer().await.map(|answer| answer.status), Some(unknown.status));
        server.stop().await;
    }
}

// A challenge that is answered with a secret must not be answered with a made-up one.
#[tokio::test]
async fn an_unknown_tenant_answers_no_challenge_and_passes_no_unsigned_scheme() {
    let unknown = || answering(|| Ok(Secrets::unknown_tenant()));
    let router = Router::new()
        .route("/hook", post(async || "").layer(WebhookLayer::new(Scheme::insecure_unsigned(), unknown())));

    assert_eq!(status_of(&router, "/hook", &[]).await, 401);

    let crc = Handshake::challenge(Field::query("crc_token"), "response_token").method(Method::GET);
    let scheme = Scheme::hmac_sha256().header("x-sig").hex().signs("{body}").handshake(crc).build().unwrap();
    let router = Router::new().route("/hook", post(async || "").layer(WebhookLayer::new(scheme, unknown())));
    let response = oneshot(&router, request_h2("GET", "/hook?crc_token=abc", &[], b"")).await;
    assert_eq!(response.status(), 401);

    let secrets = Secrets::unknown_tenant();
    let (head, ()) = Request::post("/").body(()).unwrap().into_parts();
    let error = Scheme::from(Provider::GITHUB).verify(&head, "", &secrets, std::time::UNIX_EPOCH).unwrap_err();
    assert_eq!(error.kind(), VerifyErrorKind::UnknownTenant);
}

// Both may be the operator's mistake, so both are worth another attempt, and an error event.
#[tokio::test]
async fn secrets_that_have_ended_answer_as_none_do() {
    let ended = || std::time::UNIX_EPOCH + Duration::from_secs(NOW);
    let sources = [("none", Secrets::none()), ("ended", Secrets::none().and_until(Sender::GitHub.secret(), ended()))];
    for (name, secrets) in sources {
        let (logs, _guard) = Logs::capture();
        let layer =
            WebhookLayer::github(answering(move || Ok(secrets.clone()))).with_clock(ManualClock::at_unix_seconds(NOW));
        let receiver = Receiver::behind(Sender::GitHub, layer).await;

        let answer = receiver.post(&Sender::GitHub.sign(BODY), BODY).await;

        assert_eq!((answer.status, answer.text()), (503, r#"{"error":"unavailable"}"#), "{name}");
        assert_eq!(answer.header("retry-after"), Some("10"), "{name}");
        assert!(logs.ours().iter().any(|line| line.contains("ERROR") && line.contains("secret_unavailable")), "{name}");
        receiver.server.stop().await;
    }
    let secrets = Secrets::none().and_until(Sender::GitHub.secret(), ended());
    let layer = WebhookLayer::github(secrets).with_clock(ManualClock::at_unix_seconds(NOW));
    let router = Router::new().route("/", post(async || "").layer(layer));
    assert_eq!(status(&router, "/").await, 503, "constant ones as well");
}

// A fault of the source's is not one of the handler's, and passes.
#[tokio::test]
async fn a_source_that_panics_is_503_and_named_in_the_log() {
    struct Panics;
    impl tower_webhooks::SecretSource for Panics {
        fn secrets(&self, _head: RequestHead) -> tower_webhooks::BoxFuture<'_, Result<Secrets, BoxError>> {
            Box::pin(std::future::ready(Ok(Secrets::new(Sender::GitHub.secret()))))
        }

        fn refresh(
            &self,
            _head: RequestHead,
            _tried: Secrets,
        ) -> tower_webhooks::BoxFuture<'_, Result<Option<Secrets>, BoxError>> {
            panic!("as the test wants it");
        }
    }
    let at_once = answering(|| panic!("as the test wants it"));
    let later = |_: RequestHead| async {
        tokio::task::yield_now().await;
        panic!("as the test wants it")
    };
    let source: Vec<(Arc<dyn tower_webhooks::SecretSource>, Vec<Line>)> = vec![
        (Arc::new(at_once), Sender::GitHub.sign(BODY)),
        (Arc::new(later), Sender::GitHub.sign(BODY)),
        (Arc::new(Panics), signed_with("a guess")),
    ];
    for (source, headers) in source {
        let (logs, _guard) = Logs::capture();
        let receiver = Receiver::behind(Sender::GitHub, WebhookLayer::github(source)).await;

        let answer = receiver.post(&headers, BODY).await;

        assert_eq!((answer.status, answer.text()), (503, r#"{"error":"unavailable"}"#));
        assert_eq!(answer.header("retry-after"), Some("10"));
        let ours = logs.ours();
        assert!(ours.len() == 1 && ours[0].contains("ERROR"), "{ours:?}");
        assert!(ours[0].contains("the source of secrets panicked") && !ours[0].contains("a handler"), "{ours:?}");
        receiver.server.stop().await;
    }
}

// A source's secrets are not known at start, and a warning for each request would be too much.
#[tokio::test]
async fn a_short_secret_of_a_source_is_warned_of_once() {
    let (logs, _guard) = Logs::capture();
    let router = routes(answering(|| Ok(Secrets::new(Secret::new("fifteen letters")?))));

    for _ in 0..3 {
        assert_eq!(status_of(&router, "/acme", &signed_with("fifteen letters")).await, 200);
    }

    let warned = logs.ours().iter().filter(|line| line.contains("shorter than the recommended 16 bytes")).count();
    assert_eq!(warned, 1, "{:?}", logs.ours());
}

// Test secrets are in many hands.
#[tokio::test]
async fn a_test_secret_signs_test_data_and_nothing_else() {
    const LIVE: &str = "whsec_live_live_live_live";
    const TEST: &str = "whsec_test_test_test_test";
    let secrets = || Secrets::new(Secret::new(LIVE).unwrap()).and_test(Secret::new(TEST).unwrap());
    let (logs, _guard) = Logs::capture();
    let layer = WebhookLayer::stripe(secrets()).with_clock(ManualClock::at_unix_seconds(NOW));
    let router = Router::new().route("/", post(async |_: Delivery| "").layer(layer));
    let send = async |key: &str, body: &str| {
        let tag = HEXLOWER.encode(&hmac_sha256(key.as_bytes(), format!("{NOW}.{body}").as_bytes()));
        let headers = [line("stripe-signature", format!("t={NOW},v1={tag}"))];
        oneshot(&router, request_h2("POST", "/", &headers, body.as_bytes())).await.status().as_u16()
    };

    for (key, body, expected) in [
        (LIVE, r#"{"livemode":true}"#, 200),
        (LIVE, r#"{"livemode":false}"#, 200),
        (LIVE, "{}", 200),
        (TEST, r#"{"livemode":false}"#, 200),
        (TEST, r#"{"livemode":true}"#, 401),
        (TEST, r#"{"livemode":"true"}"#, 401),
        // A delivery that does not say may be live. If it says it twice, it is unknown which one counts.
        (TEST, "{}", 401),
        (TEST, "not JSON", 401),
        (TEST, r#"{"livemode":null}"#, 401),
        (TEST, r#"{"livemode":false,"livemode":true}"#, 401),
        (TEST, r#"{"data":{"livemode":false}}"#, 401),
    ] {
        assert_eq!(send(key, body).await, expected, "{key} {body}");
    }
    let ours = logs.ours();
    let told =
        ours.iter().filter(|line| line.contains(r#"reason="test_secret""#) && line.contains("`and_test`")).count();
    assert_eq!(told, 7, "{ours:?}");
    assert!(ours.iter().all(|line| !line.contains(TEST) && !line.contains(LIVE)));

    // Each item of a batch must be test data.
    let scheme =
        Scheme::hmac_sha256().header("x-sig").hex().signs("{body}").batch("").live(Field::json("/mode"), "live");
    let layer = WebhookLayer::new(scheme, secrets());
    let router = Router::new().route("/", post(async |_: Delivery| "").layer(layer));
    for (body, expected) in
        [(r#"[{"mode":"test"},{"mode":"test"}]"#, 200), (r#"[{"mode":"test"},{"mode":"live"}]"#, 401), ("[{}]", 401)]
    {
        let tag = HEXLOWER.encode(&hmac_sha256(TEST.as_bytes(), body.as_bytes()));
        let response = oneshot(&router, request_h2("POST", "/", &[line("x-sig", tag)], body.as_bytes())).await;
        assert_eq!(response.status().as_u16(), expected, "{body}");
    }
}

// A scheme without a mark for test mode cannot refuse a test secret.
#[tokio::test]
async fn a_test_secret_is_refused_where_nothing_says_what_is_live() {
    let secrets = || Secrets::new(Sender::GitHub.secret()).and_test(Secret::new("a test secret of GitHub's").unwrap());

    let error = WebhookLayer::try_new(Provider::GITHUB, secrets()).unwrap_err();
    assert!(error.to_string().contains("`.live(…)`"), "{error}");

    let (logs, _guard) = Logs::capture();
    let router = routes(answering(move || Ok(secrets())));
    assert_eq!(status(&router, "/acme").await, 503);
    assert!(
        logs.ours().iter().any(|line| line.contains("ERROR") && line.contains("a test secret")),
        "{:?}",
        logs.ours()
    );
}
