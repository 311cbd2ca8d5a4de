//! Tests of the dashboard through its router: who sees what, what is escaped, and what may be changed.
//! `tests/interop/dashboard.rs` tests it in a browser.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, UNIX_EPOCH},
};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, Request, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
    routing::post,
};
use http_body::Frame;
use http_body_util::BodyExt;
use tower::ServiceExt;
use tower_webhooks::{
    Inbox, Secret, WebhookLayer,
    api::Access,
    clock::{ClockOffset, ManualClock},
    dashboard::{self, Dashboard},
    inbox::EventState,
    send::{
        DeliveryQuery, Dispatcher, EventTypeDefinition, Message, NewEndpoint, OutboxLog, OutboxStore, SampleStep,
        Scope, Tenant,
    },
    store::{MemoryInbox, MemoryOutbox},
};

use crate::{inbox::Receiver, support::outbox};

const HOSTILE: &str =
    "</pre><script>alert(1)</script><img src=x onerror=alert(1)>\"'& javascript:alert(1) \u{202e}gnp.exe";

pub(crate) async fn authorize(head: Parts) -> Result<Access, Response> {
    match head.headers.get(header::COOKIE).and_then(|value| value.to_str().ok()) {
        Some("operator") => Ok(Access::operator()),
        Some("operator of acme") => Ok(Access::operator_of("acme")),
        Some("acme") => Ok(Access::owner("acme")),
        Some("globex") => Ok(Access::owner("globex")),
        Some("operator of globex") => Ok(Access::operator_of("globex")),
        _ => Err((StatusCode::UNAUTHORIZED, "who are you?").into_response()),
    }
}

fn dispatcher(store: impl OutboxStore) -> Dispatcher {
    outbox::quick(store).build().unwrap()
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    headers: HeaderMap,
    pub(crate) text: String,
}

pub(crate) struct Browser {
    app: Router,
    who: &'static str,
}

impl Browser {
    fn new(webhooks: &Dispatcher, who: &'static str) -> Self {
        Self { app: Router::new().nest("/webhooks", dashboard::router(webhooks.clone(), authorize)), who }
    }

    /// With the pages of an inbox.
    fn with_inbox(webhooks: &Dispatcher, inbox: &Inbox, who: &'static str) -> Self {
        let dashboard = Dashboard::new(webhooks.clone(), authorize).with_inbox(inbox.clone()).unwrap();
        Self { app: Router::new().nest("/webhooks", dashboard.router()), who }
    }

    /// With nothing else.
    fn for_inbox(inbox: &Inbox, who: &'static str) -> Self {
        Self { app: Router::new().nest("/webhooks", Dashboard::for_inbox(inbox.clone(), authorize).router()), who }
    }

    pub(crate) fn at(router: Router, who: &'static str) -> Self {
        Self { app: Router::new().nest("/webhooks", router), who }
    }

    fn of(&self, who: &'static str) -> Self {
        Self { app: self.app.clone(), who }
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let (head, body) = self.app.clone().oneshot(request).await.unwrap().into_parts();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        Answer { status: head.status, headers: head.headers, text }
    }

    fn request(&self, method: &str, path: &str) -> axum::http::request::Builder {
        Request::builder().method(method).uri(format!("/webhooks{path}")).header(header::COOKIE, self.who)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request("GET", path).body(Body::empty()).unwrap()).await
    }

    /// Sends a form, as a page of the dashboard does.
    pub(crate) async fn post(&self, path: &str, form: impl Into<Body>) -> Answer {
        let request = self
            .request("POST", path)
            .header("sec-fetch-site", "same-origin")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(request.body(form.into()).unwrap()).await
    }
}

struct Acme {
    tenant: Tenant,
    endpoint: String,
    delivery: String,
}

/// An endpoint with a delivery, all of whose texts are hostile.
async fn acme(webhooks: &Dispatcher) -> Acme {
    let tenant = webhooks.tenant("acme").unwrap();
    let endpoint = NewEndpoint::new("http://127.0.0.1:9999/hook?a=%22%3E%3Cscript%3E")
        .unwrap()
        .description(HOSTILE)
        .label("team", HOSTILE.get(..40).unwrap())
        .metadata([(HOSTILE.get(..40).unwrap(), HOSTILE)]);
    let endpoint = tenant.endpoints().create(endpoint).await.unwrap().endpoint().id().to_string();
    let message = Message::new("order.completed", &serde_json::json!({ "note": HOSTILE })).unwrap();
    let message = message.label("team", HOSTILE.get(..40).unwrap());
    tenant.dispatch(message.id("m-1".parse().unwrap())).await.unwrap();
    let delivery = tenant.deliveries(DeliveryQuery::default(), 1).await.unwrap()[0].id.to_string();
    Acme { tenant, endpoint, delivery }
}

/// Every route: method, path, whether it has an id, and whether its page shows something of the tenant.
pub(crate) const PAGES: &[(&str, &str)] = &[
    ("GET", ""),
    ("GET", "/endpoints"),
    ("GET", "/endpoints/{endpoint}"),
    ("POST", "/endpoints/{endpoint}/disable"),
    ("POST", "/endpoints/{endpoint}/enable"),
    ("POST", "/endpoints/{endpoint}/ping"),
    ("POST", "/endpoints/{endpoint}/recover"),
    ("POST", "/endpoints/{endpoint}/rotate-secret"),
    ("POST", "/endpoints/{endpoint}/send-example"),
    ("GET", "/deliveries"),
    ("GET", "/deliveries/{delivery}"),
    ("POST", "/deliveries/{delivery}/cancel"),
    ("POST", "/deliveries/{delivery}/resend"),
    ("GET", "/event-types"),
    ("GET", "/inbox"),
    ("POST", "/inbox/discard"),
    ("POST", "/inbox/replay"),
    ("GET", "/inbox/{event}"),
    ("POST", "/inbox/{event}/discard"),
    ("POST", "/inbox/{event}/replay"),
];

#[test]
fn every_route_is_tested() {
    let source = include_str!("../../src/dashboard/mod.rs");
    let routes: Vec<_> = source
        .split(".route(\"")
        .skip(1)
        .filter_map(|rest| {
            let (path, handler) = rest.split_once("\", ")?;
            let method = if handler.starts_with("post") { "POST" } else { "GET" };
            let id = match path.split('/').nth(1) {
                Some("endpoints") => "{endpoint}",
                Some("inbox") => "{event}",
                _ => "{delivery}",
            };
            Some((method, path.replace("{id}", id).trim_end_matches('/').to_owned()))
        })
        .collect();
    let tested: Vec<_> = PAGES.iter().map(|(method, path)| (*method, (*path).to_owned())).collect();
    assert_eq!(routes, tested);
}

#[tokio::test]
async fn no_page_shows_or_changes_what_is_anothers() {
    let webhooks = dispatcher(MemoryOutbox::new());
    let Acme { tenant, endpoint, delivery } = acme(&webhooks).await;
    let receiver = Receiver::new(MemoryInbox::new());
    let event = receiver.accept("acme", "evt_of_acme", "order.created", serde_json::json!({ "note": HOSTILE })).await;
    receiver.work().await;
    let globex = Browser::with_inbox(&webhooks, &receiver.inbox, "globex");
    let before = tenant.endpoints().get(endpoint.parse().unwrap()).await.unwrap().unwrap();

    for (method, path) in PAGES {
        let address = path.replace("{endpoint}", &endpoint).replace("{delivery}", &delivery).replace("{event}", &event);
        let call = async |browser: &Browser, address: &str| match *method {
            "GET" => browser.get(address).await,
            _ => browser.post(address, "hours=1&type=order.created").await,
        };

        let nobody = call(&globex.of(""), &address).await;
        assert_eq!(nobody.status, StatusCode::UNAUTHORIZED, "{method} {path}");

        let answer = call(&globex, &address).await;
        assert!(!answer.text.contains(&endpoint) && !answer.text.contains("127.0.0.1:9999"), "{method} {path}");
        let shows = |answer: &Answer| answer.text.contains(&delivery) || answer.text.contains("evt_of_acme");
        assert!(!shows(&answer), "{method} {path}: {answer:?}");
        let by_an_operator = call(&globex.of("operator of globex"), &address).await;
        assert!(!shows(&by_an_operator), "{method} {path}: {by_an_operator:?}");
        if path.contains('{') {
            assert_eq!(by_an_operator.status, StatusCode::NOT_FOUND, "{method} {path}: {by_an_operator:?}");
        }
        let wanted = match (*method, path.contains('{')) {
            // A customer changes nothing, its own or not.
            ("POST", _) => StatusCode::FORBIDDEN,
            (_, true) => StatusCode::NOT_FOUND,
            (_, false) => StatusCode::OK,
        };
        assert_eq!(answer.status, wanted, "{method} {path}: {answer:?}");
        let own = call(&globex.of("acme"), &address).await;
        assert_eq!(
            own.status,
            if *method == "POST" { StatusCode::FORBIDDEN } else { StatusCode::OK },
            "{method} {path}"
        );
        assert!(!own.text.contains("<form method=\"post\""), "{method} {path}: a customer is offered a change");
    }
    for list in ["/deliveries", "/inbox"] {
        assert_eq!(globex.get(&format!("{list}?tenant=acme")).await.status, StatusCode::NOT_FOUND);
    }
    let of_globex = globex.of("operator of globex");
    for form in ["hours=1&tenant=acme", &format!("ids={event}&tenant=acme"), &format!("ids={event}")] {
        for path in ["/inbox/replay", "/inbox/discard"] {
            of_globex.post(path, form.to_owned()).await;
        }
    }
    let id = event.parse().unwrap();
    assert_eq!(receiver.inbox.event(id).await.unwrap().unwrap().state, EventState::Dead);
    let after = tenant.endpoints().get(endpoint.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((after.revision(), after.is_enabled()), (before.revision(), true));
}

#[tokio::test]
async fn hostile_texts_are_shown_as_texts() {
    let webhooks = dispatcher(MemoryOutbox::new());
    let answers = Router::new().route("/hook", post(|| async { HOSTILE }));
    let url = outbox::serve(answers).await;
    let Acme { tenant, endpoint, delivery } = acme(&webhooks).await;
    tenant.endpoints().create(NewEndpoint::new(&url).unwrap()).await.unwrap();
    tenant.dispatch(Message::new("order.completed", &HOSTILE).unwrap()).await.unwrap();
    let schema =
        EventTypeDefinition::new("order.completed").unwrap().description(HOSTILE).unwrap().schema(HOSTILE).unwrap();
    let schema = schema.example(serde_json::to_string(HOSTILE).unwrap()).unwrap();
    webhooks.event_types().put([schema]).await.unwrap();
    let working = outbox::Working::start(&webhooks);
    let query = || DeliveryQuery::default().state(tower_webhooks::send::DeliveryState::Delivered);
    outbox::until("one is delivered", async || !tenant.deliveries(query(), 1).await.unwrap().is_empty()).await;
    working.stop().await;
    let delivered = tenant.deliveries(query(), 1).await.unwrap()[0].id.to_string();

    let receiver = Receiver::new(MemoryInbox::new());
    let hostile_type = "order.</h1><script>alert(1)</script>";
    let event = receiver.accept("acme", HOSTILE, hostile_type, serde_json::json!({ "note": HOSTILE })).await;
    receiver.work().await;
    let browser = Browser::with_inbox(&webhooks, &receiver.inbox, "operator");
    let escaped_in_url =
        "/deliveries?tenant=acme&type=%3Cscript%3Ealert(1)%3C/script%3E&message=%22%3E%3Cscript%3Ealert(1)";
    let pages = [
        "".to_owned(),
        "?period=%3Cscript%3Ealert(1)".to_owned(),
        "/endpoints".to_owned(),
        format!("/endpoints/{endpoint}?done=%3Cscript%3Ealert(1)"),
        "/deliveries?tenant=acme".to_owned(),
        escaped_in_url.to_owned(),
        format!("/deliveries/{delivery}"),
        format!("/deliveries/{delivered}"),
        "/event-types".to_owned(),
        "/inbox".to_owned(),
        "/inbox?tenant=%3Cscript%3Ealert(1)&type=%22%3E%3Cscript%3Ealert(1)&state=%3Cscript%3E".to_owned(),
        "/inbox?consumer=%3Cscript%3Ealert(1)&done=replayed&count=3".to_owned(),
        format!("/inbox/{event}"),
        "/%3Cscript%3Ealert(1)".to_owned(),
    ];
    let mut shown = 0;
    for page in &pages {
        let answer = browser.get(page).await;
        assert!(!answer.text.contains("<script>") && !answer.text.contains("<img"), "{page}: {}", answer.text);
        assert!(!answer.text.contains(HOSTILE), "{page}");
        let links = answer.text.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
        for link in links {
            // Text from outside never becomes a link; where it is part of one, it is encoded.
            let is_ours = link.starts_with("/webhooks") || link.starts_with('#');
            assert!(is_ours && !link.contains('\u{202e}'), "{page}: {link}");
        }
        shown += usize::from(answer.text.contains("alert(1)"));
        let policy = answer.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!answer.headers.contains_key("access-control-allow-origin"), "{page}");
        assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store", "{page}");
        assert!(!answer.text.contains(" style=") && !answer.text.contains(" onclick="), "{page}: inline code");
        assert!(!answer.text.contains("http://") || answer.text.contains("127.0.0.1"), "{page}: another host");
    }
    assert!(shown >= 8, "{shown} pages show the text");
}

#[tokio::test]
async fn the_last_hour_is_the_hour_that_has_begun_and_the_one_before() {
    let offset = ClockOffset::default();
    let webhooks = dispatcher(MemoryOutbox::with_offset(offset.clone()));
    let url = outbox::serve(Router::new().route("/hook", post(|| async {}))).await;
    let tenant = webhooks.tenant("acme").unwrap();
    tenant.endpoints().create(NewEndpoint::new(&url).unwrap()).await.unwrap();
    // The oldest first: 30, 10, 3 hours ago, one, and now.
    offset.rewind(Duration::from_secs(30 * 3600));
    for (number, later) in [(1, 20), (2, 7), (3, 2), (4, 1), (5, 0)] {
        tenant.dispatch(outbox::message(number)).await.unwrap();
        let working = outbox::Working::start(&webhooks);
        outbox::until("it is delivered", async || webhooks.backlog(Scope::all()).await.unwrap().waiting == 0).await;
        working.stop().await;
        offset.advance(Duration::from_secs(later * 3600));
    }

    let browser = Browser::new(&webhooks, "acme");
    for (period, counted) in [("1h", "2"), ("6h", "3"), ("24h", "4"), ("another", "4"), ("7d", "5")] {
        let text = browser.get(&format!("?period={period}")).await.text;
        assert_eq!(figure(&text, "Delivered"), counted, "{period}: {text}");
        assert_eq!(text.contains("the hour that has begun and the one before"), period == "1h");
    }
}

#[tokio::test]
async fn the_overview_shows_what_waited() {
    let offset = ClockOffset::default();
    let store = Arc::new(MemoryOutbox::with_offset(offset.clone()));
    let webhooks = dispatcher(store.clone());
    let tenant = webhooks.tenant("acme").unwrap();
    tenant.endpoints().create(NewEndpoint::new("http://127.0.0.1:9999/hook").unwrap()).await.unwrap();
    // The oldest first: 9 wait 8 days ago, 8 wait 3 days ago, 7 wait 5 hours ago, 6 wait 30 minutes ago, and 5 now.
    offset.rewind(Duration::from_secs(8 * 86_400));
    let mut waiting = Vec::new();
    for number in 0..9 {
        waiting.push(tenant.dispatch(outbox::message(number)).await.unwrap());
    }
    for later in [5 * 86_400, 67 * 3600, 16_200, 1800, 0] {
        assert!(store.sample_backlog().await.unwrap());
        let first = DeliveryQuery::default().state(tower_webhooks::send::DeliveryState::Pending);
        let first = tenant.deliveries(first, 1).await.unwrap()[0].id;
        tenant.cancel(first).await.unwrap();
        offset.advance(Duration::from_secs(later));
    }

    // At one moment of the last minute that was noted, so that no point depends on when this runs.
    let samples = store
        .backlog_samples(SampleStep::Minute, UNIX_EPOCH, UNIX_EPOCH + Duration::from_secs(4_000_000_000))
        .await
        .unwrap();
    let last = samples.last().unwrap().start.duration_since(UNIX_EPOCH).unwrap().as_secs();
    let at_rest = outbox::quick(store).clock(ManualClock::at_unix_seconds(last + 30)).build().unwrap();
    let operator = Browser::new(&at_rest, "operator");
    for (period, most, points) in
        [("1h", "6", 60), ("6h", "7", 24), ("24h", "7", 96), ("7d", "8", 84), ("30d", "9", 30)]
    {
        let text = operator.get(&format!("?period={period}")).await.text;
        let chart = text.split("Line of what waited").nth(1).unwrap_or_else(|| panic!("{period}: {text}"));
        assert!(chart.contains(&format!("at most {most}. The")), "{period}: {chart}");
        let oldest = text.split("Line of how long the oldest was due").nth(1).unwrap();
        assert!(oldest.contains(": at most 8 days. The"), "{period}: {oldest}");
        let table = text.split("What waited as a table</summary>").nth(1).unwrap().split("</table>").next().unwrap();
        assert_eq!(table.matches("<tr><th scope=\"row\">").count(), points, "{period}");
        assert!(table.contains(&format!("<td class=\"number\">{most}</td>")) && table.contains(">–</td>"), "{period}");
        let path = chart.split("class=\"line p50\"").next().unwrap();
        assert!(path.matches('M').count() >= 3 + 2, "{period}: there are gaps where nothing was noted: {path}");
    }
    // It is of all tenants, so that no single one sees it.
    for other in ["acme", "operator of acme"] {
        assert!(!operator.of(other).get("").await.text.contains("What waited"), "{other}");
    }
    let empty = Browser::new(&dispatcher(MemoryOutbox::new()), "operator").get("").await.text;
    assert!(empty.contains("Nothing was noted of what waited over the last 24 hours."), "{empty}");
}

#[tokio::test]
async fn the_overview_shows_an_operator_what_this_process_has_received() {
    let browser = Browser::new(&dispatcher(MemoryOutbox::new()), "operator");
    let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLw==").unwrap();
    let receiver = Router::new().route("/hook", post(|| async {})).layer(WebhookLayer::standard_webhooks(secret));
    let figure = |text: &str, name: &str| -> u64 {
        let after = text.split(&format!(">{name}</dt><dd>")).nth(1);
        after.map_or(0, |after| after.split('<').next().unwrap().replace(',', "").parse().unwrap())
    };
    let before = browser.get("").await.text;

    for _ in 0..3 {
        let request = Request::post("/hook").body(Body::from("{}")).unwrap();
        assert_eq!(receiver.clone().oneshot(request).await.unwrap().status(), StatusCode::UNAUTHORIZED);
    }

    // Other tests of this process may receive something meanwhile.
    let after = browser.get("").await.text;
    assert!(after.contains("by this process alone, since it started"), "{after}");
    for name in ["Requests", "Rejected", "missing"] {
        assert!(figure(&after, name) >= figure(&before, name) + 3, "{name}: {after}");
    }
    for other in ["acme", "operator of acme"] {
        assert!(!browser.of(other).get("").await.text.contains("by this process alone"), "{other}");
    }
}

#[tokio::test]
async fn the_overview_of_all_tenants_shows_the_latest_deliveries_of_all() {
    let webhooks = dispatcher(MemoryOutbox::new());
    let Acme { delivery, .. } = acme(&webhooks).await;
    let globex = webhooks.tenant("globex").unwrap();
    globex.endpoints().create(NewEndpoint::new("http://127.0.0.1:9999/hook").unwrap()).await.unwrap();
    globex.dispatch(outbox::message(1)).await.unwrap();
    let other = globex.deliveries(DeliveryQuery::default(), 1).await.unwrap()[0].id.to_string();
    let operator = Browser::new(&webhooks, "operator");

    for page in ["", "/deliveries", "/deliveries?tenant=", "/deliveries?tenant=&state=&type=&endpoint=&message="] {
        let text = operator.get(page).await.text;
        assert!(text.contains(&delivery) && text.contains(&other) && text.contains(">globex</span>"), "{page}: {text}");
    }
    let one = operator.get("/deliveries?tenant=globex").await.text;
    assert!(one.contains(&other) && !one.contains(&delivery), "{one}");
    let given_up = operator.get("/deliveries?state=exhausted").await;
    assert!(given_up.text.contains("There are no deliveries here") && !given_up.text.contains("role=\"alert\""));
    let filtered = operator.get("/deliveries?type=order.completed").await.text;
    assert!(filtered.contains("Name a tenant"), "{filtered}");
    let customer = operator.of("globex").get("").await.text;
    assert!(customer.contains(&other) && !customer.contains(&delivery));
}

#[tokio::test]
async fn an_operator_repairs_what_a_customer_sees() {
    let webhooks = dispatcher(MemoryOutbox::new());
    let Acme { tenant, endpoint, delivery } = acme(&webhooks).await;
    let id = endpoint.parse().unwrap();
    let operator = Browser::new(&webhooks, "operator of acme");
    let customer = operator.of("acme");

    let paused = operator.post(&format!("/endpoints/{endpoint}/disable"), "").await;
    assert_eq!(paused.status, StatusCode::SEE_OTHER, "{paused:?}");
    assert_eq!(paused.headers[header::LOCATION], format!("/webhooks/endpoints/{endpoint}?done=disabled"));
    let shown = customer.get(&format!("/endpoints/{endpoint}?done=disabled")).await;
    assert!(shown.text.contains("The endpoint is paused") && shown.text.contains("paused"), "{}", shown.text);
    assert!(customer.get("/deliveries?state=held").await.text.contains(&delivery));
    assert!(!customer.get("/deliveries?state=delivered").await.text.contains(&delivery));

    operator.post(&format!("/endpoints/{endpoint}/enable"), "").await;
    assert!(tenant.endpoints().get(id).await.unwrap().unwrap().is_enabled());
    let cancelled = operator.post(&format!("/deliveries/{delivery}/cancel"), "").await;
    assert!(cancelled.headers[header::LOCATION].to_str().unwrap().ends_with("?done=cancelled"), "{cancelled:?}");
    let again = operator.post(&format!("/deliveries/{delivery}/cancel"), "").await;
    assert!(again.headers[header::LOCATION].to_str().unwrap().ends_with("?done=unchanged"), "{again:?}");
    let resent = operator.post(&format!("/deliveries/{delivery}/resend"), "").await;
    assert!(resent.headers[header::LOCATION].to_str().unwrap().ends_with("?done=resent"), "{resent:?}");
    let pinged = operator.post(&format!("/endpoints/{endpoint}/ping"), "").await;
    assert!(pinged.headers[header::LOCATION].to_str().unwrap().starts_with("/webhooks/deliveries/dlv_"), "{pinged:?}");
    let example = EventTypeDefinition::new("order.completed").unwrap().example("7").unwrap();
    webhooks.event_types().put([example]).await.unwrap();
    assert!(operator.get(&format!("/endpoints/{endpoint}")).await.text.contains("Send the example of"));
    let sent = operator.post(&format!("/endpoints/{endpoint}/send-example"), "type=order.completed").await;
    assert!(sent.headers[header::LOCATION].to_str().unwrap().ends_with("?done=example"), "{sent:?}");
    for wrong in ["type=order.unknown", "type=", "", "hours=1"] {
        let answer = operator.post(&format!("/endpoints/{endpoint}/send-example"), wrong).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    let recovered = operator.post(&format!("/endpoints/{endpoint}/recover"), "hours=24").await;
    assert_eq!(recovered.status, StatusCode::SEE_OTHER, "{recovered:?}");
    for wrong in ["", "hours=0", "hours=100000", "hours=x", "days=1"] {
        let answer = operator.post(&format!("/endpoints/{endpoint}/recover"), wrong).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong}");
    }

    // The secret is shown once.
    let rotated = operator.post(&format!("/endpoints/{endpoint}/rotate-secret"), "").await;
    assert_eq!(rotated.status, StatusCode::OK, "{rotated:?}");
    let secret = rotated.text.split("id=\"secret\">").nth(1).unwrap().split('<').next().unwrap().to_owned();
    assert!(secret.starts_with("whsec_"), "{secret}");
    assert_eq!(rotated.headers[header::CACHE_CONTROL], "no-store");
    for page in ["", "/endpoints", &format!("/endpoints/{endpoint}"), "/deliveries"] {
        assert!(!operator.get(page).await.text.contains(&secret[6..]), "{page}");
    }
}

/// The figure under a name.
fn figure(text: &str, name: &str) -> String {
    let after = text.split(&format!(">{name}</dt><dd>")).nth(1).unwrap_or_else(|| panic!("no {name} in {text}"));
    after.split('<').next().unwrap().to_owned()
}

#[tokio::test]
async fn an_operator_sees_depth_and_dead_letters_and_replays_and_discards_them() {
    let receiver = Receiver::new(MemoryInbox::new());
    let operator = Browser::for_inbox(&receiver.inbox, "operator");
    let customer = operator.of("acme");
    let mut dead = Vec::new();
    for (tenant, number) in [("acme", 1), ("acme", 2), ("globex", 3)] {
        let order = serde_json::json!({ "amount": 5000 });
        dead.push(receiver.accept(tenant, &format!("evt_dead_{number}"), "order.created", order).await);
    }
    receiver.work().await;
    let good =
        receiver.accept("acme", "evt_good", "order.paid", serde_json::json!({ "amount": 7, "card": "4242" })).await;

    for page in ["", "/inbox"] {
        let text = operator.get(page).await.text;
        let figures = ["Waiting in the inbox", "Being worked", "Dead letters"].map(|name| figure(&text, name));
        assert_eq!(figures, ["1", "0", "3"], "{page}");
        assert!(text.contains("evt_dead_1") && text.contains("evt_good"), "{page}: {text}");
        let of_acme = customer.get(page).await.text;
        assert!(of_acme.contains("evt_dead_1") && !of_acme.contains("evt_dead_3"), "{page}: {of_acme}");
        assert!(!of_acme.contains("Dead letters</dt>") && !of_acme.contains("method=\"post\""), "{page}: {of_acme}");
    }
    let listed = operator.get("/inbox?state=dead&type=order.created&tenant=acme").await.text;
    assert!(
        listed.contains("evt_dead_2") && !listed.contains("evt_dead_3") && !listed.contains("evt_good"),
        "{listed}"
    );
    assert!(listed.contains("the handler answered 500"), "{listed}");
    assert!(operator.get("/inbox?state=lost").await.text.contains("There is no such state"));
    let event = customer.get(&format!("/inbox/{good}")).await.text;
    assert!(event.contains("POST /in/acme") && event.contains("&#34;card&#34;: &#34;4242&#34;"), "{event}");
    assert!(!event.contains("in-the-query"), "{event}");

    // One.
    let state = async |id: &str| receiver.inbox.event(id.parse().unwrap()).await.unwrap().unwrap().state;
    let replayed = operator.post(&format!("/inbox/{}/replay", dead[0]), "").await;
    assert_eq!(replayed.headers[header::LOCATION], format!("/webhooks/inbox/{}?done=replayed", dead[0]));
    assert_eq!(state(&dead[0]).await, EventState::Pending);
    let shown = operator.get(&format!("/inbox/{}?done=replayed", dead[0])).await.text;
    assert!(shown.contains("The event is due again") && !shown.contains(">Replay<"), "{shown}");
    let again = operator.post(&format!("/inbox/{}/replay", dead[0]), "").await;
    assert!(again.headers[header::LOCATION].to_str().unwrap().ends_with("?done=unchanged"), "{again:?}");
    let discarded = operator.post(&format!("/inbox/{}/discard", dead[0]), "").await;
    assert!(discarded.headers[header::LOCATION].to_str().unwrap().ends_with("?done=discarded"), "{discarded:?}");

    // Only the events that are ticked.
    let ticked = operator.post("/inbox/discard", format!("ids={}&ids={}", dead[1], good)).await;
    assert_eq!(ticked.headers[header::LOCATION], "/webhooks/inbox?done=discarded&count=2");
    assert_eq!((state(&dead[1]).await, state(&good).await), (EventState::Discarded, EventState::Discarded));
    assert!(operator.get("/inbox?done=discarded&count=2").await.text.contains("2 events are discarded."));

    // All that died in a span.
    let nothing = operator.post("/inbox/replay", "hours=1&tenant=acme").await;
    assert_eq!(nothing.headers[header::LOCATION], "/webhooks/inbox?tenant=acme&done=replayed&count=0");
    let all = operator.post("/inbox/replay", "hours=1&tenant=&consumer=inbox").await;
    assert_eq!(all.headers[header::LOCATION], "/webhooks/inbox?consumer=inbox&done=replayed&count=1");
    assert_eq!(state(&dead[2]).await, EventState::Pending);
    for wrong in ["", "ids=", "ids=x", "ids=1&hours=1", "hours=0", "hours=100000", "hours=soon"] {
        let answer = operator.post("/inbox/discard", wrong).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong}: {answer:?}");
    }
    assert_eq!(operator.post("/inbox/discard", "hours=1&consumer=other").await.status, StatusCode::NOT_FOUND);
    assert_eq!(customer.post("/inbox/discard", "hours=1").await.status, StatusCode::FORBIDDEN);
    assert_eq!(state(&dead[2]).await, EventState::Pending);

    // An application that does not send has no pages about sending.
    assert_eq!(operator.get("/endpoints").await.status, StatusCode::NOT_FOUND);
    assert!(!operator.get("").await.text.contains("Success rate"));
    let sending = Browser::new(&dispatcher(MemoryOutbox::new()), "operator");
    assert_eq!(sending.get("/inbox").await.status, StatusCode::NOT_FOUND);
    assert!(!sending.get("").await.text.contains("/inbox"));
}

#[tokio::test]
async fn a_page_of_events_leads_to_the_next_one_and_a_large_body_is_cut() {
    let receiver = Receiver::new(MemoryInbox::new());
    for number in 0..120 {
        receiver.accept("acme", &format!("evt_{number}"), "order.created", serde_json::json!({ "amount": 7 })).await;
    }
    let browser = Browser::for_inbox(&receiver.inbox, "operator");
    let (mut page, mut seen) = ("/inbox?tenant=acme&type=order.created".to_owned(), 0);
    for _ in 0..10 {
        let text = browser.get(&page).await.text;
        seen += text.matches("name=\"ids\"").count();
        let older = text.split("href=\"/webhooks").find(|rest| rest.contains(">Older<") && rest.starts_with("/inbox"));
        let Some(older) = older else { break };
        page = older.split('"').next().unwrap().replace("&amp;", "&").replace("&#38;", "&");
    }
    assert_eq!(seen, 120);

    let large =
        receiver.accept("acme", "evt_large", "order.created", serde_json::json!({ "n": "x".repeat(300_000) })).await;
    let text = browser.get(&format!("/inbox/{large}")).await.text;
    assert!(text.contains("The first 262,144 of 300,"), "{}", &text[text.len() - 2000..]);
    assert!(text.len() < 300_000);
}

#[tokio::test]
async fn a_change_is_asked_for_by_a_page_of_this_origin_alone() {
    let webhooks = dispatcher(MemoryOutbox::new());
    let Acme { tenant, endpoint, .. } = acme(&webhooks).await;
    let operator = Browser::new(&webhooks, "operator");
    let path = format!("/endpoints/{endpoint}/disable");
    for headers in [
        &[][..],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("origin", "https://evil.example"), ("host", "app.example")],
        &[("origin", "null"), ("host", "app.example")],
    ] {
        let request = headers
            .iter()
            .fold(operator.request("POST", &path), |request, (name, value)| request.header(*name, *value));
        let answer = operator.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{headers:?}: {answer:?}");
        assert!(tenant.endpoints().get(endpoint.parse().unwrap()).await.unwrap().unwrap().is_enabled(), "{headers:?}");
    }
    let own = operator.request("POST", &path).header("origin", "https://app.example").header("host", "app.example");
    assert_eq!(operator.send(own.body(Body::empty()).unwrap()).await.status, StatusCode::SEE_OTHER);
    assert_eq!(operator.get(&path).await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(operator.get("/nothing").await.status, StatusCode::NOT_FOUND);
}

/// A body that never sends a byte.
struct Stalled;

impl http_body::Body for Stalled {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        Poll::Pending
    }
}

#[tokio::test(start_paused = true)]
async fn a_form_that_stalls_or_is_too_large_changes_nothing_and_is_answered() {
    let webhooks = dispatcher(MemoryOutbox::new());
    let Acme { endpoint, .. } = acme(&webhooks).await;
    let operator = Browser::new(&webhooks, "operator");
    let post = |body: Body| {
        let request = operator.request("POST", &format!("/endpoints/{endpoint}/recover"));
        operator.send(request.header("sec-fetch-site", "same-origin").body(body).unwrap())
    };
    let stalls = Body::new(Stalled);
    for (body, status) in [
        (stalls, StatusCode::REQUEST_TIMEOUT),
        (Body::from(vec![b'x'; 5_000]), StatusCode::PAYLOAD_TOO_LARGE),
        (Body::from("hours=soon"), StatusCode::BAD_REQUEST),
        (Body::empty(), StatusCode::BAD_REQUEST),
        (Body::from("hours=0"), StatusCode::BAD_REQUEST),
        (Body::from("hours=2161"), StatusCode::BAD_REQUEST),
        (Body::from("hours=24"), StatusCode::SEE_OTHER),
    ] {
        let answer = post(body).await;
        assert_eq!(answer.status, status, "{answer:?}");
        let is_page = answer.text.contains("<h1");
        assert!(is_page || status == StatusCode::SEE_OTHER, "{answer:?}");
    }
}

#[tokio::test]
async fn links_lead_to_where_the_router_is_nested() {
    let webhooks = dispatcher(MemoryOutbox::new());
    acme(&webhooks).await;
    let receiver = Receiver::new(MemoryInbox::new());
    receiver.accept("acme", "evt_1", "order.created", serde_json::json!({ "amount": 7 })).await;
    for (prefix, overview) in [("/webhooks", "/webhooks"), ("/a/b", "/a/b"), ("", "/")] {
        let router = Dashboard::new(webhooks.clone(), authorize).with_inbox(receiver.inbox.clone()).unwrap().router();
        let app = if prefix.is_empty() { router } else { Router::new().nest(prefix, router) };
        let get = async |path: &str| {
            let request = Request::get(path).header(header::COOKIE, "operator").body(Body::empty()).unwrap();
            let (head, body) = app.clone().oneshot(request).await.unwrap().into_parts();
            (head.status, String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap())
        };
        let pages = ["deliveries", "endpoints", "inbox", "inbox/1"].map(|page| format!("{prefix}/{page}"));
        for page in pages.into_iter().chain([overview.to_owned()]) {
            let (status, text) = get(&page).await;
            assert_eq!(status, StatusCode::OK, "{page}");
            let links = text.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
            for link in links.filter(|link| !link.starts_with('#')) {
                let (status, _) = get(&link.replace("&amp;", "&").replace("&#38;", "&")).await;
                assert_eq!(status, StatusCode::OK, "{link} on {page}");
            }
            for file in text.split("src=\"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
                assert_eq!(get(file).await.0, StatusCode::OK, "{file}");
            }
        }
    }
}

#[tokio::test]
async fn a_page_of_the_list_leads_to_the_next_one() {
    let webhooks = dispatcher(MemoryOutbox::new());
    let tenant = webhooks.tenant("acme").unwrap();
    tenant.endpoints().create(NewEndpoint::new("http://127.0.0.1:9999/hook").unwrap()).await.unwrap();
    for number in 0..120 {
        tenant.dispatch(outbox::message(number)).await.unwrap();
    }
    let browser = Browser::new(&webhooks, "operator");
    let (mut page, mut seen) = ("/deliveries?tenant=acme".to_owned(), 0);
    for _ in 0..10 {
        let answer = tokio::time::timeout(Duration::from_secs(30), browser.get(&page)).await.unwrap();
        seen += answer.text.matches("data-label=\"Delivery\"").count();
        let Some(before) = answer
            .text
            .split("href=\"/webhooks")
            .find(|rest| rest.contains(">Older<") && rest.starts_with("/deliveries"))
        else {
            break;
        };
        page = before.split('"').next().unwrap().replace("&amp;", "&").replace("&#38;", "&");
    }
    assert_eq!(seen, 120);
}
