//! Real reverse proxies between sender and receiver: rejections arrive, and signatures verify as `docs/proxies.md`
//! says.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Router,
    body::{Body, Bytes},
    routing::any,
};
use data_encoding::BASE64;
use http::{HeaderName, HeaderValue, Request};
use proxies::{Proxy, Setup};
use serve::{Answer, NEVER, Raw, Server, head, long, request};
use sign::{Line, Sender, hmac_sha256, line};
use tower_webhooks::{Provider, Secret, WebhookLayer};

use crate::support::{proxies, serve, sign};

const BODY: &[u8] = br#"{"id":"evt_1","type":"invoice.paid","data":{"object":{}}}"#;
const LARGE: usize = 6 * 1024 * 1024;
const SQUARE_KEY: &str = "the signature key of a subscription";
const PUBLIC: &str = "https://hooks.example.com";

/// Two receivers with the same routes, and the proxy in front of them.
struct Front {
    proxy: Proxy,
    receivers: [Server; 2],
    runs: Arc<AtomicUsize>,
}

impl Front {
    async fn new(setup: Setup) -> Self {
        let runs = Arc::new(AtomicUsize::new(0));
        let handler = {
            let runs = Arc::clone(&runs);
            move |body: Bytes| {
                runs.fetch_add(1, Ordering::SeqCst);
                async move { body }
            }
        };
        let stripe = || Sender::Stripe.layer().with_body_timeout(NEVER);
        let square = WebhookLayer::new(Provider::SQUARE, Secret::new(SQUARE_KEY).unwrap()).with_public_url(PUBLIC);
        let replaced = square.clone().with_replaced_prefix("/inner", "/hooks");
        let tight = stripe().with_body_limit(2 * LARGE).with_memory_budget(1000);
        let mut router = Router::new()
            .route("/hooks/tight", any(handler.clone()).layer(tight))
            .route("/hooks/echo", any(echo))
            .route("/inner/{*rest}", any(handler.clone()).layer(replaced))
            .fallback_service(any(handler.clone()).layer(square));
        for sender in Sender::ALL {
            let layer = sender.layer().with_body_timeout(NEVER);
            router = router.route(&path(sender), any(handler.clone()).layer(layer));
        }
        let receivers = [Server::start(router.clone()).await, Server::start(router).await];
        let addresses = [receivers[0].address, receivers[1].address];
        let proxy = tokio::task::spawn_blocking(move || Proxy::start(setup, addresses)).await.unwrap();
        Self { proxy, receivers, runs }
    }

    /// Sends a request on a new connection, and reads the answer after all of it was sent.
    async fn send(&self, request: &[u8]) -> Option<Answer> {
        let mut raw = Raw::connect(self.proxy.address).await;
        raw.send(request).await;
        loop {
            let answer = raw.answer().await?;
            if answer.status != 100 {
                return Some(answer);
            }
        }
    }

    async fn status(&self, request: &[u8]) -> u16 {
        self.send(request).await.map_or(0, |answer| answer.status)
    }

    fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }

    async fn stop(self) {
        drop(self.proxy);
        for receiver in self.receivers {
            receiver.stop().await;
        }
    }
}

/// Answers with the head that arrived, a header a line.
async fn echo(request: Request<Body>) -> String {
    let line = |(name, value): (&HeaderName, &HeaderValue)| format!("{name}: {}\n", value.to_str().unwrap());
    request.headers().iter().map(line).collect()
}

fn path(sender: Sender) -> String {
    format!("/hooks/{}", sender.provider().name())
}

fn with(mut headers: Vec<Line>, more: &[(&str, &str)]) -> Vec<Line> {
    headers.extend(more.iter().map(|(name, value)| line(name, *value)));
    headers
}

/// Every refusal of a large body arrives with its own status, and no true delivery among them is lost.
async fn refusals_arrive(setup: Setup) {
    let front = Front::new(setup).await;
    let stripe = |at: u64| Sender::Stripe.sign_at(&at.to_string(), BODY);
    let large = vec![b'x'; LARGE];
    let causes = [
        ("missing", 401, "POST", "stripe", Vec::new()),
        ("malformed", 401, "POST", "stripe", vec![line("stripe-signature", "v1=no signature")]),
        ("stale", 401, "POST", "stripe", stripe(sign::NOW - 3600)),
        ("method", 405, "PUT", "stripe", stripe(sign::NOW)),
        ("too large", 413, "POST", "stripe", stripe(sign::NOW)),
        ("encoded", 415, "POST", "stripe", with(stripe(sign::NOW), &[("content-encoding", "gzip")])),
        ("over budget", 503, "POST", "tight", stripe(sign::NOW)),
    ];
    let good = request("POST", "/hooks/stripe", &stripe(sign::NOW), BODY);
    let mut lost = Vec::new();
    let rounds = if long() { 300 } else { 3 };

    for (cause, status, method, route, headers) in causes {
        let bad = request(method, &format!("/hooks/{route}"), &headers, &large);
        for round in 0..rounds {
            let answer = front.send(&bad).await;
            let text = answer.as_ref().map(Answer::text).unwrap_or_default();
            let is_ours = status == 405 || text.starts_with(r#"{"error":"#);
            if answer.as_ref().map(|answer| answer.status) != Some(status) || !is_ours {
                lost.push(format!("{cause} {round}: {answer:?}"));
            }
            let answer = front.status(&good).await;
            if answer != 200 {
                lost.push(format!("a true delivery after {cause} {round}: {answer}"));
            }
        }
    }

    assert!(lost.is_empty(), "{setup:?}: {} of {}: {lost:#?}", lost.len(), 14 * rounds);
    assert_eq!(front.runs(), 7 * rounds, "{setup:?}");
    front.stop().await;
}

/// What signs body and headers passes, however the body is framed.
async fn signatures_hold(setup: Setup) {
    let front = Front::new(setup).await;
    let body = [br#"{ "id":"evt_1",  "text":"caf\u00e9 \u2028 "#.as_slice(), &[0xc3, 0xa9], br#"" }"#].concat();
    for sender in Sender::ALL {
        let (path, headers) = (path(sender), sender.sign(&body));
        let length = body.len().to_string();
        let mut chunked = head("POST", &path, &with(headers.clone(), &[("transfer-encoding", "chunked")]));
        for part in body.chunks(7) {
            chunked.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
            chunked.extend_from_slice(&[part, b"\r\n"].concat());
        }
        chunked.extend_from_slice(b"0\r\n\r\n");
        let mut asking =
            head("POST", &path, &with(headers.clone(), &[("content-length", &length), ("expect", "100-continue")]));
        asking.extend_from_slice(&body);

        for (case, bytes) in
            [("plain", request("POST", &path, &headers, &body)), ("chunked", chunked), ("asking", asking)]
        {
            let answer = front.send(&bytes).await;
            let seen = answer.as_ref().map(|answer| (answer.status, answer.body.as_slice()));
            assert_eq!(seen.map(|(status, _)| status), Some(200), "{setup:?} {sender:?} {case}: {answer:?}");
        }
    }
    front.stop().await;
}

/// Unusual URLs, each with the setups that change it, so that a signature over it is wrong.
const ODD_URLS: [(&str, &[Setup]); 6] = {
    use Setup::{Apache, Lighttpd, NginxWithUri};
    [
        ("/hooks/square/a%2Fb", &[Apache, Lighttpd, NginxWithUri]),
        ("/hooks/square//a", &[Apache, Lighttpd, NginxWithUri]),
        ("/hooks/square/a/../b", &[Apache, Lighttpd, NginxWithUri]),
        ("/hooks/square/%7Ea/%41", &[Apache, Lighttpd, NginxWithUri]),
        ("/hooks/square?q=%7e%e4", &[Lighttpd]),
        ("/hooks/square?", &[NginxWithUri]),
    ]
};

/// What signs the URL passes, unless the proxy changes it.
async fn signed_urls(setup: Setup) {
    let front = Front::new(setup).await;
    let status = async |target: &str| front.status(&square_request(target)).await;

    for target in ["/hooks/square", "/hooks/square/eu-1/a_b", "/hooks/square?a=1&b=x+y%2Bz"] {
        assert_eq!(status(target).await, 200, "{setup:?} {target}");
    }
    for (target, changed) in ODD_URLS {
        assert_eq!(status(target).await == 200, !changed.contains(&setup), "{setup:?} {target}");
    }
    front.stop().await;
}

/// A delivery by Square, which signs the URL that it calls.
fn square_request(target: &str) -> Vec<u8> {
    let body = br#"{"merchant_id":"m","type":"payment.updated","event_id":"e-1","data":{}}"#;
    let signed = [format!("{PUBLIC}{target}").as_bytes(), body].concat();
    let tag = BASE64.encode(&hmac_sha256(SQUARE_KEY.as_bytes(), &signed));
    request("POST", target, &[line("x-square-hmacsha256-signature", tag)], body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prefix_that_nginx_replaces_is_put_back() {
    let front = Front::new(Setup::NginxWithPrefix).await;

    for target in ["/hooks/square", "/hooks/square/eu-1/a_b", "/hooks/square?a=1&b=x+y%2Bz"] {
        assert_eq!(front.status(&square_request(target)).await, 200, "{target}");
    }
    front.stop().await;
}

/// Headers with unusual names and values.
async fn headers(setup: Setup) {
    let front = Front::new(setup).await;
    let sent = [("x_odd", "1"), ("x.odd", "2"), ("x-twice", "one"), ("x-twice", "two"), ("x-empty", "")];

    let answer = front.send(&request("POST", "/hooks/echo", &with(Vec::new(), &sent), b"{}")).await.unwrap();

    let seen = answer.text().to_lowercase();
    let has = |line: &str| seen.lines().any(|seen| seen == line);
    let is_nginx = setup == Setup::Nginx;
    let joins = matches!(setup, Setup::Apache | Setup::Lighttpd);
    assert_eq!((has("x_odd: 1"), has("x.odd: 2")), (!is_nginx, !is_nginx), "{setup:?}: {seen}");
    assert_eq!(has("x-twice: one, two"), joins, "{setup:?}: {seen}");
    assert_eq!(has("x-twice: one") && has("x-twice: two"), !joins, "{setup:?}: {seen}");
    assert_eq!(seen.lines().any(|line| line.starts_with("x-empty:")), setup != Setup::Lighttpd, "{setup:?}: {seen}");
    assert_eq!(has("host: hooks.test"), !matches!(setup, Setup::Apache | Setup::Nginx), "{setup:?}: {seen}");
    front.stop().await;
}

/// Two processes behind nginx that share a database, and a sender that is in no way patient: copies, repetitions and replays of each
/// event come at the same time. Each event takes effect once, and every request is answered by us.
#[cfg(all(feature = "idempotency", feature = "sqlite"))]
mod once {
    use std::time::Duration;

    use axum::{extract::State, routing::post};
    use http::StatusCode;
    use serde::Deserialize;
    use sqlx::SqlitePool;
    use tokio::{sync::Semaphore, task::JoinSet, time::sleep};
    use tower_webhooks::{
        Claim, VerifiedEvent,
        idempotency::{IdempotencyLayer, InFlight},
        store::SqliteStore,
    };

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    #[derive(Deserialize)]
    struct Order {
        order: u32,
    }

    /// Every fifth event fails at first, and every third asks for more time.
    async fn handler(State(pool): State<SqlitePool>, claim: Claim, event: VerifiedEvent<Order>) -> StatusCode {
        const BUSY: StatusCode = StatusCode::SERVICE_UNAVAILABLE;
        let order = event.order;
        sleep(Duration::from_millis(20)).await;
        if order.is_multiple_of(3) && claim.renew(Duration::from_secs(40)).await.is_err() {
            return BUSY;
        }
        if order.is_multiple_of(5) && claim.attempt() == 1 {
            return StatusCode::INTERNAL_SERVER_ERROR;
        }
        let Ok(mut tx) = pool.begin_with("BEGIN IMMEDIATE").await else { return BUSY };
        let effect = sqlx::query("INSERT INTO effects VALUES (?)").bind(order).execute(&mut *tx).await;
        match effect {
            Ok(_) if claim.commit(tx).await.is_ok() => StatusCode::OK,
            _ => BUSY,
        }
    }

    /// Sends a request until it is acknowledged, and returns the statuses of the earlier answers.
    async fn deliver(address: std::net::SocketAddr, request: Vec<u8>, at_once: Arc<Semaphore>) -> Vec<u16> {
        let mut refused = Vec::new();
        for _ in 0..400 {
            let permit = at_once.acquire().await.unwrap();
            let mut raw = Raw::connect(address).await;
            raw.send(&request).await;
            let answer = raw.answer().await.expect("every answer arrives");
            drop(permit);
            match answer.status {
                200 => return refused,
                // Of ours: nginx has 502 and 504, and its own pages.
                500 | 503 if !answer.text().contains("nginx") => refused.push(answer.status),
                _ => panic!("{answer:?}"),
            }
            sleep(Duration::from_millis(30)).await;
        }
        panic!("{} refusals and no success", refused.len());
    }

    async fn each_event_takes_effect_once(in_flight: InFlight) {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("webhooks.db").display());
        let mut routers = Vec::new();
        let mut pools = Vec::new();
        for _ in 0..2 {
            let store = SqliteStore::connect(&url).await.unwrap();
            let pool = SqlitePool::connect(&url).await.unwrap();
            sqlx::query("CREATE TABLE IF NOT EXISTS effects (number INTEGER)").execute(&pool).await.unwrap();
            let once = IdempotencyLayer::new(store).with_replay_guard(DAY).with_in_flight(in_flight);
            let layer = Sender::GitHub.layer().with_idempotency(once);
            routers.push(Router::new().route("/hooks/github", post(handler).layer(layer)).with_state(pool.clone()));
            pools.push(pool);
        }
        let second = Server::start(routers.pop().unwrap()).await;
        let first = Server::start(routers.pop().unwrap()).await;
        let addresses = [first.address, second.address];
        let proxy = tokio::task::spawn_blocking(move || Proxy::start(Setup::Nginx, addresses)).await.unwrap();

        let events = if long() { 400 } else { 30 };
        let at_once = Arc::new(Semaphore::new(100));
        let mut sent = JoinSet::new();
        for number in 0..events {
            let body = format!(r#"{{"order":{number},"action":"opened"}}"#).into_bytes();
            let id = format!("id-{number}");
            let replayed = format!("other-{number}");
            // Duplicates from the sender, and replays by an attacker: under another id, without one, and with two.
            let ids: [&[&str]; 6] = [&[&id], &[&id], &[&id], &[&replayed], &[], &[&id, &id]];
            for ids in ids {
                let mut headers = Sender::GitHub.sign(&body);
                headers.retain(|(name, _)| name != "x-github-delivery");
                headers.extend(ids.iter().map(|id| line("x-github-delivery", *id)));
                let request = request("POST", "/hooks/github", &headers, &body);
                sent.spawn(deliver(proxy.address, request, Arc::clone(&at_once)));
            }
        }
        let mut refused = Vec::new();
        while let Some(answered) = sent.join_next().await {
            refused.extend(answered.unwrap());
        }

        let effects: Vec<(i64, i64)> =
            sqlx::query_as("SELECT number, count(*) FROM effects GROUP BY number ORDER BY number")
                .fetch_all(&pools[0])
                .await
                .unwrap();
        let expected: Vec<_> = (0..i64::from(events)).map(|number| (number, 1)).collect();
        assert_eq!(effects, expected, "{in_flight:?}");
        // The handler's own failures have been answered 500; every other failure only had to be sent again.
        assert!(refused.iter().filter(|status| **status == 500).count() >= events as usize / 5, "{in_flight:?}");
        drop(proxy);
        first.stop().await;
        second.stop().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn each_event_takes_effect_once_whatever_comes_with_it() {
        each_event_takes_effect_once(InFlight::Retry).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn each_event_takes_effect_once_where_its_copies_wait() {
        each_event_takes_effect_once(InFlight::Wait(Duration::from_secs(8))).await;
    }
}

macro_rules! behind {
    ($($name:ident: $setup:ident $(, $also:ident)?;)*) => {$(
        mod $name {
            use super::Setup;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn refusals_arrive() {
                super::refusals_arrive(Setup::$setup).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn signatures_hold() {
                super::signatures_hold(Setup::$setup).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn headers_are_changed_as_the_guide_says() {
                super::headers(Setup::$setup).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn urls_are_changed_as_the_guide_says() {
                super::signed_urls(Setup::$setup).await;
                $(super::signed_urls(Setup::$also).await;)?
            }
        }
    )*};
}

behind! {
    apache: Apache, ApacheExact;
    caddy: Caddy;
    haproxy: HaProxy;
    lighttpd: Lighttpd, LighttpdExact;
    nginx: Nginx, NginxWithUri;
    varnish: Varnish;
}
