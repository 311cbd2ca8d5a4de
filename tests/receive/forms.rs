//! Deliveries that are forms, and events without the scheme's payload place, through a real layer in a real router. The
//! bodies are signed apart from the crate's own code.

use std::sync::{Arc, Mutex};

use axum::{
    Form, Router,
    body::{Body, Bytes, to_bytes},
    http::Request,
    routing::post,
};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use sign::{Line, Sender};
use tower::ServiceExt;
use tower_webhooks::{
    Delivery, EventRejection, EventRouter, RawEvent, Scheme, Secret, VerifiedBody, VerifiedEnvelope, VerifiedEvent,
    WebhookLayer,
    clock::ManualClock,
    scheme::{self, Field},
    store::MemoryStore,
};

use crate::support::sign;

/// As GitHub sends it: `{"action":"opened","issue":{"number":7,"title":"a+b c&d é"}}`.
const OPENED: &str = "payload=%7B%22action%22%3A%22opened%22%2C%22issue%22%3A%7B%22number%22%3A7%2C%22title%22%3A%22a%2Bb+c%26d+%C3%A9%22%7D%7D";

fn request(headers: &[Line], body: &str) -> Request<Body> {
    let mut request = Request::post("/hook").header("content-type", "application/x-www-form-urlencoded");
    for (name, value) in headers {
        request = request.header(name, value.as_slice());
    }
    request.body(Body::from(body.to_owned())).unwrap()
}

fn github(event: &str, body: &str) -> Request<Body> {
    let mut request = request(&Sender::GitHub.sign(body.as_bytes()), body);
    request.headers_mut().insert("x-github-event", event.parse().unwrap());
    request
}

fn slack(body: &str) -> Request<Body> {
    request(&Sender::Slack.sign(body.as_bytes()), body)
}

fn stripe(body: &Value) -> Request<Body> {
    let body = body.to_string();
    request(&Sender::Stripe.sign(body.as_bytes()), &body)
}

fn app<H, T>(sender: Sender, handler: H) -> Router
where
    H: axum::handler::Handler<T, ()>,
    T: 'static,
{
    Router::new().route("/hook", post(handler).layer(sender.layer()))
}

async fn answer(app: &Router, request: Request<Body>) -> (u16, String) {
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    (status, String::from_utf8(to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec()).unwrap())
}

#[derive(Debug, Deserialize)]
struct Issues {
    issue: Issue,
}

#[derive(Debug, Deserialize)]
struct Issue {
    number: u64,
    title: String,
}

// --- A form that holds JSON ---------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_form_of_github_is_read_as_its_json_is() {
    async fn handler(
        event: VerifiedEvent<Issues>,
        envelope: VerifiedEnvelope<Value>,
        body: VerifiedBody,
        bytes: Bytes,
    ) -> String {
        assert_eq!(body.raw(), OPENED, "what was signed stays what was sent");
        assert_eq!(&**body, OPENED.as_bytes(), "it dereferences to its bytes");
        assert_eq!(bytes, OPENED);
        assert_eq!(event.raw(), OPENED);
        assert_eq!(envelope["action"], "opened");
        assert_eq!(event.envelope::<Value>().unwrap(), *envelope);
        assert_eq!(body.parse::<Value>().unwrap(), *envelope);
        assert_eq!(serde_json::from_slice::<Value>(body.json().unwrap()).unwrap(), *envelope);
        let delivery = event.delivery();
        format!("{} {} {:?}", delivery.event_type().unwrap(), event.issue.number, event.issue.title)
    }

    let app = app(Sender::GitHub, handler);

    let expected = r#"issues.opened 7 "a+b c&d é""#;
    assert_eq!(answer(&app, github("issues", OPENED)).await, (200, expected.to_owned()));
    // The signature is over the form, so a change that decodes to the same JSON is still a change.
    let signed = github("issues", OPENED);
    let (head, _) = signed.into_parts();
    let changed = Request::from_parts(head, Body::from(OPENED.replace("%7B", "%7b")));
    assert_eq!(answer(&app, changed).await.0, 401);
}

/// The header is not signed, so it must not determine the meaning of a body.
#[tokio::test]
async fn the_body_says_what_it_is_whatever_the_content_type_says() {
    let app = app(Sender::GitHub, async |event: VerifiedEvent<Value>| event["action"].to_string());
    let with_type = |mut request: Request<Body>, content_type: Option<&str>| {
        match content_type {
            Some(content_type) => request.headers_mut().insert("content-type", content_type.parse().unwrap()),
            None => request.headers_mut().remove("content-type"),
        };
        request
    };
    // A JSON body that contains the text of a form.
    let json = r#"{"action":"opened","title":"&payload=%7B%22action%22%3A%22deleted%22%7D&"}"#;

    for content_type in [
        None,
        Some("application/json"),
        Some("application/x-www-form-urlencoded"),
        Some("APPLICATION/X-WWW-FORM-URLENCODED; charset=utf-8"),
        Some("text/plain"),
    ] {
        for body in [OPENED, json] {
            let request = with_type(github("issues", body), content_type);
            assert_eq!(answer(&app, request).await, (200, r#""opened""#.to_owned()), "{content_type:?} {body}");
        }
    }
}

#[tokio::test]
async fn routers_and_enums_choose_by_what_the_form_holds() {
    #[derive(Debug, Deserialize)]
    enum GitHubEvent {
        #[serde(rename = "issues.opened")]
        Opened(Issues),
        #[serde(rename = "issues.*")]
        Issues(RawEvent),
        #[serde(rename = "ping")]
        Ping,
    }
    async fn by_enum(event: VerifiedEvent<GitHubEvent>) -> String {
        match event.into_inner() {
            GitHubEvent::Opened(opened) => format!("opened {}", opened.issue.number),
            GitHubEvent::Issues(raw) => format!("{} {}", raw.event_type(), raw.payload()),
            GitHubEvent::Ping => "ping".to_owned(),
        }
    }
    let events = EventRouter::new()
        .on("issues.opened", async |event: VerifiedEvent<Issues>| format!("opened {}", event.issue.number))
        .on("issues.*", async |event: VerifiedEvent<Box<RawValue>>| {
            format!("{} {}", event.delivery().event_type().unwrap(), event.get())
        })
        .on("ping", async || "ping");

    for app in [app(Sender::GitHub, events), app(Sender::GitHub, by_enum)] {
        for (event, body, expected) in [
            ("issues", OPENED, "opened 7"),
            ("issues", "payload=%7B%22action%22%3A+%22closed%22%7D", r#"issues.closed {"action": "closed"}"#),
            ("ping", "payload=%7B%7D", "ping"),
            ("star", "payload=%7B%7D", r#"{"status":"unhandled"}"#),
        ] {
            assert_eq!(answer(&app, github(event, body)).await, (200, expected.to_owned()), "{body}");
        }
    }
}

#[tokio::test]
async fn a_form_that_cannot_be_read_is_never_a_success() {
    let events = || EventRouter::new().on("issues.opened", async || "never");
    let apps = [
        app(Sender::GitHub, events()),
        app(Sender::GitHub, async |_: VerifiedEvent<Issues>| "never"),
        app(Sender::GitHub, async |_: VerifiedEnvelope<Value>| "never"),
    ];

    for body in [
        "other=1",
        "payload=1&payload=2",
        "payload=%7B%22action%22%3A%22opened%22%7D&pay%6coad=%7B%7D",
        "payload=",
        "payload=%7B",
        "payload=%ff",
        "payload=%7B%22action%22%3A%22opened%22%2C%22action%22%3A%22closed%22",
    ] {
        for app in &apps {
            assert_eq!(
                answer(app, github("issues", body)).await,
                (400, r#"{"error":"malformed_body"}"#.to_owned()),
                "{body}"
            );
        }
    }
    // One rule for repeated keys, in a form and outside of one.
    let repeated = "payload=%7B%22action%22%3A%22opened%22%2C%22action%22%3A%22closed%22%7D";
    assert_eq!(answer(&apps[0], github("issues", repeated)).await.0, 400);
    assert_eq!(
        answer(&app(Sender::Stripe, events()), {
            let body = "type=issues.opened";
            request(&Sender::Stripe.sign(body.as_bytes()), body)
        })
        .await,
        (415, r#"{"error":"unsupported_form"}"#.to_owned())
    );
}

#[tokio::test]
async fn a_form_runs_once() {
    let runs = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&runs);
    let events = EventRouter::new().on("issues.opened", move |_: VerifiedEvent<Issues>| {
        *counted.lock().unwrap() += 1;
        async { "ran" }
    });
    let layer = Sender::GitHub.layer().with_idempotency(MemoryStore::new());
    let app: Router = Router::new().route("/hook", post(events).layer(layer));

    assert_eq!(answer(&app, github("issues", OPENED)).await, (200, "ran".to_owned()));
    assert_eq!(answer(&app, github("issues", OPENED)).await.1, r#"{"status":"already_processed"}"#);
    assert_eq!(*runs.lock().unwrap(), 1);
}

#[tokio::test]
async fn the_items_of_a_batch_may_come_in_a_form() {
    #[derive(Debug, Deserialize)]
    struct Mail {
        to: String,
    }
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    let handler = move |event: VerifiedEvent<Mail>, axum::Json(body): axum::Json<Value>| {
        let delivery = event.delivery();
        assert_eq!(body["id"], delivery.id().unwrap().as_str());
        noted.lock().unwrap().push(format!(
            "{} {} {}",
            delivery.id().unwrap(),
            delivery.event_type().unwrap(),
            event.to
        ));
        async {}
    };
    let mailer = Scheme::insecure_token()
        .header("x-token")
        .form(scheme::Form::json("mandrill_events"))
        .batch("")
        .id(Field::json("/id"))
        .event_type(Field::json("/event"));
    let layer = WebhookLayer::new(mailer, Secret::new("a shared token of ours").unwrap());
    let app: Router = Router::new().route("/hook", post(handler).layer(layer));
    let body = "mandrill_events=%5B%7B%22id%22%3A%221%22%2C%22event%22%3A%22send%22%2C%22to%22%3A%22a%40b%22%7D%2C%7B%22id%22%3A%222%22%2C%22event%22%3A%22open%22%2C%22to%22%3A%22c%22%7D%5D";

    // Media types are compared without case (RFC 9110, section 8.3.1).
    for content_type in ["application/x-www-form-urlencoded", "Application/X-WWW-Form-Urlencoded ; charset=UTF-8"] {
        let mut request = request(&[sign::line("x-token", "a shared token of ours")], body);
        request.headers_mut().insert("content-type", content_type.parse().unwrap());

        let status = answer(&app, request).await.0;

        assert_eq!(status, 200, "{content_type}");
        assert_eq!(std::mem::take(&mut *seen.lock().unwrap()), ["1 send a@b", "2 open c"]);
    }
}

#[tokio::test]
async fn an_old_payload_in_a_form_is_turned_into_a_new_one() {
    let scheme = Scheme::insecure_token()
        .header("x-token")
        .form(scheme::Form::json("payload").or_fields())
        .event_type(Field::json("/type"))
        .api_version(Field::json("/version"));
    let layer = WebhookLayer::new(scheme, Secret::new("a shared token of ours").unwrap());
    let events = EventRouter::new()
        .on("t", async |event: VerifiedEvent<Value>| format!("{} {:?}", event["new"], event.delivery().api_version()))
        .upcast("*", "1", "2", |old| Ok(json!({ "new": old["old"] })));
    let app: Router = Router::new().route("/hook", post(events).layer(layer));
    let token = [sign::line("x-token", "a shared token of ours")];

    let json = "payload=%7B%22type%22%3A%22t%22%2C%22version%22%3A%221%22%2C%22old%22%3A7%7D";
    assert_eq!(answer(&app, request(&token, json)).await, (200, r#"7 Some("2")"#.to_owned()));
    assert_eq!(answer(&app, request(&token, "type=t&version=1&old=7")).await, (200, r#""7" Some("2")"#.to_owned()));
}

// --- A form whose fields are the payload --------------------------------------------------------------------------------

const COMMAND: &str =
    "token=x&team_id=T0001&command=%2Fweather&text=San+Jos%C3%A9&is_enterprise_install=false&api_app_id=A123";

#[derive(Debug, Deserialize)]
struct Command {
    text: String,
    is_enterprise_install: bool,
}

#[tokio::test]
async fn a_slash_command_of_slack_is_read_from_its_fields() {
    async fn handler(
        event: VerifiedEvent<Command>,
        envelope: VerifiedEnvelope<Value>,
        body: VerifiedBody,
        Form(form): Form<Vec<(String, String)>>,
    ) -> String {
        assert_eq!(form.len(), 6);
        assert_eq!(body.raw(), COMMAND);
        assert_eq!(envelope["command"], "/weather");
        assert!(body.json().is_err(), "there is no JSON");
        let delivery = event.delivery();
        let (kind, account) = (delivery.event_type().unwrap(), delivery.account());
        format!("{kind} {account:?} {} {}", event.text, event.is_enterprise_install)
    }

    let answered = answer(&app(Sender::Slack, handler), slack(COMMAND)).await;

    assert_eq!(answered, (200, r#"/weather Some("T0001") San José false"#.to_owned()));
}

#[tokio::test]
async fn interactions_commands_and_events_of_slack_come_to_one_route() {
    #[derive(Debug, Deserialize)]
    enum SlackEvent {
        #[serde(rename = "/weather")]
        Weather(Command),
        #[serde(rename = "/*")]
        Command(RawEvent),
        #[serde(rename = "block_actions")]
        Actions(Value),
        #[serde(rename = "app_rate_limited")]
        RateLimited { team_id: String, minute_rate_limited: u64 },
        #[serde(rename = "message")]
        Message { text: String },
        #[serde(other)]
        Other,
    }
    async fn by_enum(event: VerifiedEvent<SlackEvent>) -> String {
        match event.into_inner() {
            SlackEvent::Weather(command) => format!("weather {}", command.text),
            SlackEvent::Command(raw) => format!("{} {}", raw.event_type(), raw.parse::<Value>().unwrap()["text"]),
            SlackEvent::Actions(actions) => format!("actions {}", actions["actions"]),
            SlackEvent::RateLimited { team_id, minute_rate_limited } => {
                format!("limited {team_id} {minute_rate_limited}")
            }
            SlackEvent::Message { text } => format!("message {text}"),
            SlackEvent::Other => "other".to_owned(),
        }
    }
    let events = EventRouter::new()
        .on("/weather", async |event: VerifiedEvent<Command>| format!("weather {}", event.text))
        .on("/*", async |event: VerifiedEvent<Value>| {
            format!("{} {}", event.delivery().event_type().unwrap(), event["text"])
        })
        .on("block_actions", async |event: VerifiedEvent<Value>| format!("actions {}", event["actions"]))
        .on("app_rate_limited", async |event: VerifiedEvent<Value>| {
            format!("limited {} {}", event["team_id"].as_str().unwrap(), event["minute_rate_limited"])
        })
        .on("message", async |event: VerifiedEvent<Value>| format!("message {}", event["text"].as_str().unwrap()))
        .fallback(async || "other");

    for app in [app(Sender::Slack, by_enum), app(Sender::Slack, events)] {
        for (body, expected) in [
            (COMMAND, "weather San José"),
            ("command=%2Fjoke&text=knock", r#"/joke "knock""#),
            ("payload=%7B%22type%22%3A%22block_actions%22%2C%22actions%22%3A%5B1%5D%7D", "actions [1]"),
            (r#"{"type":"app_rate_limited","team_id":"T1","minute_rate_limited":1518467820}"#, "limited T1 1518467820"),
            (r#"{"type":"event_callback","event_id":"Ev1","event":{"type":"message","text":"hi"}}"#, "message hi"),
            ("payload=%7B%22type%22%3A%22view_closed%22%7D", "other"),
            ("ssl_check=1&token=x", "other"),
        ] {
            assert_eq!(answer(&app, slack(body)).await, (200, expected.to_owned()), "{body}");
        }
    }
}

#[tokio::test]
async fn fields_that_do_not_fit_are_422_and_say_where() {
    async fn handler(event: Result<VerifiedEvent<Command>, EventRejection>) -> String {
        let rejection = event.map(|_| ()).unwrap_err();
        format!("{} {} {rejection}", rejection.status().as_u16(), rejection.path())
    }
    let handled = app(Sender::Slack, handler);
    let refused = app(Sender::Slack, async |_: VerifiedEvent<Command>| "never");

    for (body, path, word) in [
        ("command=%2Fweather&text=a&is_enterprise_install=perhaps", "/is_enterprise_install", "invalid value: string,"),
        ("command=%2Fweather&text=a", "", "missing field"),
        ("command=%2Fweather&text=a&text=b&is_enterprise_install=true", "/text", ""),
    ] {
        let (_, text) = answer(&handled, slack(body)).await;
        assert!(text.starts_with(&format!("422 {path} ")), "{text}");
        assert!(text.contains(word) && !text.contains("perhaps"), "{text}");
        assert_eq!(answer(&refused, slack(body)).await, (422, r#"{"error":"unexpected_payload"}"#.to_owned()));
    }
    // On the way to the type a repeated field makes the form ambiguous, and bytes that are not text make it unreadable.
    for body in ["command=%2Fa&command=%2Fb&text=a", "command=%2Fa&text=%ff"] {
        assert_eq!(
            answer(&app(Sender::Slack, EventRouter::new().on("/*", async |_: VerifiedEvent<Value>| "")), slack(body))
                .await
                .0,
            400
        );
    }
}

// --- Events without the scheme's payload place --------------------------------------------------------------------------

fn thin() -> Value {
    json!({
        "id": "evt_test_65R", "object": "v2.core.event", "type": "v1.billing.meter.error_report_triggered",
        "livemode": false, "created": "2026-01-01T00:00:00.000Z", "context": "acct_123",
        "related_object": { "id": "mtr_test_61R", "type": "billing.meter", "url": "/v1/billing/meters/mtr_test_61R" },
    })
}

fn ordinary() -> Value {
    json!({
        "id": "evt_1", "object": "event", "type": "invoice.paid", "livemode": true, "api_version": "2026-01-01",
        "account": "acct_9", "data": { "object": { "amount_paid": 7 } },
    })
}

#[derive(Debug, Deserialize)]
struct Invoice {
    amount_paid: u64,
}

#[derive(Debug, Deserialize)]
struct ThinEvent {
    related_object: RelatedObject,
}

#[derive(Debug, Deserialize)]
struct RelatedObject {
    id: String,
}

#[tokio::test]
async fn thin_and_ordinary_events_of_stripe_come_to_one_route() {
    #[derive(Debug, Deserialize)]
    enum StripeEvent {
        #[serde(rename = "invoice.paid")]
        Paid(Invoice),
        #[serde(rename = "v1.billing.*")]
        Billing(ThinEvent),
    }
    async fn by_enum(delivery: Delivery, event: VerifiedEvent<StripeEvent>) -> String {
        let what = match event.into_inner() {
            StripeEvent::Paid(invoice) => invoice.amount_paid.to_string(),
            StripeEvent::Billing(event) => event.related_object.id,
        };
        format!("{} {:?} {:?} {what}", delivery.id().unwrap(), delivery.mode().unwrap(), delivery.account().unwrap())
    }
    fn facts(delivery: &Delivery) -> String {
        format!("{} {:?} {:?}", delivery.id().unwrap(), delivery.mode().unwrap(), delivery.account().unwrap())
    }
    let events = EventRouter::new()
        .on("invoice.paid", async |event: VerifiedEvent<Invoice>| {
            format!("{} {}", facts(event.delivery()), event.amount_paid)
        })
        .on("v1.billing.*", async |event: VerifiedEvent<ThinEvent>| {
            format!("{} {}", facts(event.delivery()), event.related_object.id)
        });

    for app in [app(Sender::Stripe, by_enum), app(Sender::Stripe, events)] {
        assert_eq!(
            answer(&app, stripe(&thin())).await,
            (200, r#"evt_test_65R Test "acct_123" mtr_test_61R"#.to_owned())
        );
        assert_eq!(answer(&app, stripe(&ordinary())).await, (200, r#"evt_1 Live "acct_9" 7"#.to_owned()));
    }
    let value = app(Sender::Stripe, async |event: VerifiedEvent<Value>| event["object"].to_string());
    assert_eq!(answer(&value, stripe(&thin())).await, (200, r#""v2.core.event""#.to_owned()));
}

#[tokio::test]
async fn what_fits_neither_payload_nor_envelope_says_both() {
    async fn handler(event: Result<VerifiedEvent<Invoice>, EventRejection>) -> String {
        let rejection = event.map(|_| ()).unwrap_err();
        format!("{} {} {rejection}", rejection.status().as_u16(), rejection.path())
    }

    let (_, text) = answer(&app(Sender::Stripe, handler), stripe(&thin())).await;

    let expected = "422 /data/object there is nothing at `/data/object`, and the type does not fit the whole body either: missing field `amount_paid`";
    assert!(text.starts_with(expected), "{text}");
    // If the payload exists, the rest of the envelope is not read.
    let (_, text) = answer(&app(Sender::Stripe, handler), {
        let mut body = ordinary();
        body["data"]["object"]["amount_paid"] = "x".into();
        stripe(&body)
    })
    .await;
    assert!(text.starts_with("422 /data/object/amount_paid invalid type: string, expected u64"), "{text}");
}

/// By declaration: without it, an event without the place is 422 as before, and nothing else passes for its payload.
#[tokio::test]
async fn a_scheme_declares_that_the_envelope_may_be_the_payload() {
    let scheme = || {
        Scheme::hmac_sha256().header("stripe-signature").prefix(format!("t={},v1=", sign::NOW)).hex().signs("{body}")
    };
    let layer = |scheme| {
        WebhookLayer::new(scheme, Secret::new("a key for this test").unwrap())
            .with_clock(ManualClock::at_unix_seconds(sign::NOW))
    };
    let body = br#"{"a":1}"#;
    let tag = Sender::GitHub.encode(&sign::hmac_sha256(b"a key for this test", body));
    let signed = || {
        let value = format!("t={},v1={tag}", sign::NOW);
        request(&[sign::line("stripe-signature", value)], r#"{"a":1}"#)
    };
    let router = |scheme| -> Router {
        Router::new().route("/hook", post(async |event: VerifiedEvent<Value>| event.to_string()).layer(layer(scheme)))
    };

    assert_eq!(answer(&router(scheme().payload("/data")), signed()).await.0, 422);
    assert_eq!(answer(&router(scheme().payload_or_envelope("/data")), signed()).await, (200, r#"{"a":1}"#.to_owned()));
    assert_eq!(answer(&router(scheme().payload_or_envelope("/a")), signed()).await, (200, "1".to_owned()));
}

#[tokio::test]
async fn an_old_thin_event_is_turned_into_a_new_one() {
    let scheme = Scheme::insecure_token()
        .header("x-token")
        .event_type(Field::json("/type"))
        .api_version(Field::json("/version"))
        .payload_or_envelope("/data");
    let layer = WebhookLayer::new(scheme, Secret::new("a shared token of ours").unwrap());
    let events = EventRouter::new().on("t", async |event: VerifiedEvent<Value>| event.to_string()).upcast(
        "*",
        "1",
        "2",
        |old| Ok(json!({ "new": old["old"] })),
    );
    let app: Router = Router::new().route("/hook", post(events).layer(layer));

    let body = r#"{"type":"t","version":"1","old":7}"#;
    let answered = answer(&app, request(&[sign::line("x-token", "a shared token of ours")], body)).await;

    assert_eq!(answered, (200, r#"{"new":7}"#.to_owned()));
}

/// Slack's type is inside the payload, so that it is looked for apart from the walk to the payload.
#[tokio::test]
async fn a_type_that_is_repeated_inside_the_payload_is_not_unhandled() {
    #[derive(Debug, Deserialize)]
    enum SlackEvent {
        #[serde(rename = "message")]
        Message,
    }
    let app = app(Sender::Slack, async |event: VerifiedEvent<SlackEvent>| match *event {
        SlackEvent::Message => "never",
    });
    let body = r#"{"type":"event_callback","event":{"type":"message","type":"reaction_added"}}"#;

    assert_eq!(answer(&app, slack(body)).await, (400, r#"{"error":"malformed_body"}"#.to_owned()));
}

// --- Ids ----------------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_numeric_id_is_the_text_that_was_sent() {
    let scheme = Scheme::insecure_token().header("x-token").id(Field::json("/id"));
    let layer =
        WebhookLayer::new(scheme, Secret::new("a shared token of ours").unwrap()).with_idempotency(MemoryStore::new());
    let handler = async |delivery: Delivery| delivery.id().unwrap().to_string();
    let app: Router = Router::new().route("/hook", post(handler).layer(layer));

    for id in ["18446744073709551617", "18446744073709551618", "18446744073709551619", "1.0", "1", "1e0", "10e-1", "-1"]
    {
        let body = format!(r#"{{"id":{id}}}"#);
        let answered = answer(&app, request(&[sign::line("x-token", "a shared token of ours")], &body)).await;
        assert_eq!(answered, (200, id.to_owned()));
    }
}
