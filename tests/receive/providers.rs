//! Each provider of the catalogue: what its deliveries say about themselves, what its signature binds, and its quirks.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    http::{Method, StatusCode},
    routing::post as on_post,
};
use data_encoding::{BASE64, HEXLOWER};
use senders::{ID, NOW, NOW_AS_DATE, PATH, PUBLIC_URL, hmac, layer, post, secret, secret_text, send, signature};
use serde_json::{Value, json};
use tower_webhooks::{
    Delivery, Provider, Scheme, VerifiedEvent, WebhookLayer,
    clock::ManualClock,
    delivery::Mode,
    scheme::{Field, JsonForm, TimestampUnit},
};

use crate::support::senders;

// --- What a delivery says -----------------------------------------------------------------------------------------------

/// A delivery as a provider sends it, and the facts that are read from it.
struct Case {
    provider: Provider,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    /// id, event type, API version, attempt, live, payload
    says: Value,
}

fn cases() -> Vec<Case> {
    let case = |provider, headers, body, says| Case { provider, headers, body, says };
    let clerk = r#"{"data":{"id":"user_29w83"},"object":"event","type":"user.created","timestamp":1654012591835}"#;
    let resend = r#"{"type":"email.sent","created_at":"2026-10-13T17:12:12Z","data":{"email_id":"56761188"}}"#;
    let standard = r#"{"type":"invoice.paid","timestamp":"2026-10-13T17:12:12Z","data":{"id":"in_1"}}"#;
    vec![
        case(Provider::CLERK, &[], clerk, json!([ID, "user.created", null, null, null, {"id": "user_29w83"}])),
        case(
            Provider::DROPBOX,
            &[],
            r#"{"list_folder":{"accounts":["dbid:AAH4f99T0"]}}"#,
            json!([null, null, null, null, null, {"list_folder": {"accounts": ["dbid:AAH4f99T0"]}}]),
        ),
        case(
            Provider::GITHUB,
            &[("x-github-event", "issues"), ("x-github-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958")],
            r#"{"action":"opened","issue":{"number":1}}"#,
            json!([
                "72d3162e-cc78-11e3-81ab-4c9367dc0958",
                "issues.opened",
                null,
                null,
                null,
                {"action": "opened", "issue": {"number": 1}}
            ]),
        ),
        case(
            Provider::GITLAB_SIGNING,
            &[("x-gitlab-event", "Merge Request Hook"), ("idempotency-key", ID)],
            r#"{"object_kind":"merge_request"}"#,
            json!([ID, "Merge Request Hook", null, null, null, {"object_kind": "merge_request"}]),
        ),
        case(
            Provider::GITLAB_TOKEN,
            &[
                ("idempotency-key", "a5461c4d-9c7f-4af9-add6-cddebe3c426f"),
                ("x-gitlab-event", "Push Hook"),
                ("x-gitlab-webhook-uuid", "3c5c0404-c866-44bc-a5f6-452bb1bfc76e"),
                ("x-gitlab-event-uuid", "9cebe914-4827-408f-b014-cfa23a47a35f"),
            ],
            r#"{"object_kind":"push","ref":"refs/heads/main"}"#,
            json!([
                "a5461c4d-9c7f-4af9-add6-cddebe3c426f",
                "Push Hook",
                null,
                null,
                null,
                {"object_kind": "push", "ref": "refs/heads/main"}
            ]),
        ),
        case(
            Provider::LINEAR,
            &[("linear-delivery", "234d1a4e-b617-4388-90fe-adc3633d6b72"), ("linear-event", "Issue")],
            r#"{"action":"update","type":"Issue","data":{"id":"2174add1"},"updatedFrom":{},"webhookTimestamp":1800000000000,"webhookId":"000042e3"}"#,
            json!(["234d1a4e-b617-4388-90fe-adc3633d6b72", "Issue.update", null, null, null, {"id": "2174add1"}]),
        ),
        case(
            Provider::META,
            &[],
            r#"{"object":"page","entry":[{"id":"1","changes":[{"field":"feed"}]}]}"#,
            json!([
                null,
                "page",
                null,
                null,
                null,
                {"object": "page", "entry": [{"id": "1", "changes": [{"field": "feed"}]}]}
            ]),
        ),
        case(
            Provider::OPENAI,
            &[],
            r#"{"id":"evt_685c","object":"event","type":"response.completed","data":{"id":"resp_123"}}"#,
            json!([ID, "response.completed", null, null, null, {"id": "resp_123"}]),
        ),
        case(
            Provider::PADDLE,
            &[],
            r#"{"event_id":"evt_01hv","event_type":"transaction.billed","notification_id":"ntf_01hv","data":{"id":"txn_01hv"}}"#,
            json!(["evt_01hv", "transaction.billed", null, null, null, {"id": "txn_01hv"}]),
        ),
        case(
            Provider::PAGERDUTY,
            &[],
            r#"{"event":{"id":"01BVU6","event_type":"incident.priority_updated","resource_type":"incident","data":{"id":"PGR0VU2"}}}"#,
            json!(["01BVU6", "incident.priority_updated", null, null, null, {"id": "PGR0VU2"}]),
        ),
        case(Provider::RESEND, &[], resend, json!([ID, "email.sent", null, null, null, {"email_id": "56761188"}])),
        case(
            Provider::SHOPIFY,
            &[
                ("x-shopify-topic", "orders/create"),
                ("x-shopify-api-version", "2025-10"),
                ("x-shopify-webhook-id", "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043"),
                ("x-shopify-event-id", "98880550-7158-44d4-b7cd-2c97c8a091b5"),
            ],
            r#"{"id":820982911946154508}"#,
            json!([
                "98880550-7158-44d4-b7cd-2c97c8a091b5.orders/create",
                "orders/create",
                "2025-10",
                null,
                null,
                {"id": 820_982_911_946_154_508_u64}
            ]),
        ),
        case(
            Provider::SLACK,
            &[("x-slack-retry-num", "1")],
            r#"{"type":"event_callback","event_id":"Ev08MFMKH6","event":{"type":"app_mention"}}"#,
            json!(["Ev08MFMKH6", "app_mention", null, 2, null, {"type": "app_mention"}]),
        ),
        case(
            Provider::SQUARE,
            &[("square-environment", "Sandbox"), ("square-retry-number", "2")],
            r#"{"merchant_id":"6SSW7","type":"payment.created","event_id":"13b867cf","data":{"type":"payment","id":"KkAk"}}"#,
            json!(["13b867cf", "payment.created", null, 3, false, {"type": "payment", "id": "KkAk"}]),
        ),
        case(Provider::STANDARD_WEBHOOKS, &[], standard, json!([ID, "invoice.paid", null, null, null, {"id": "in_1"}])),
        #[cfg(feature = "asymmetric")]
        case(
            Provider::STANDARD_WEBHOOKS_V1A,
            &[],
            standard,
            json!([ID, "invoice.paid", null, null, null, {"id": "in_1"}]),
        ),
        case(
            Provider::STRIPE,
            &[],
            r#"{"id":"evt_1","type":"invoice.paid","api_version":"2025-10-29","livemode":true,"data":{"object":{"id":"in_1"}}}"#,
            json!(["evt_1", "invoice.paid", "2025-10-29", null, true, {"id": "in_1"}]),
        ),
        case(Provider::SVIX, &[], standard, json!([ID, "invoice.paid", null, null, null, {"id": "in_1"}])),
        case(
            Provider::TWITCH,
            &[
                ("twitch-eventsub-message-type", "notification"),
                ("twitch-eventsub-subscription-type", "channel.follow"),
                ("twitch-eventsub-subscription-version", "2"),
                ("twitch-eventsub-message-retry", "0"),
            ],
            r#"{"subscription":{"type":"channel.follow"},"event":{"user_id":"1234"}}"#,
            json!([ID, "channel.follow", "2", 1, null, {"user_id": "1234"}]),
        ),
        case(
            Provider::X_WEBHOOK,
            &[("x-webhook-event", "other"), ("x-webhook-delivery", "other")],
            r#"{"id":"msg_1","event":"order.completed","timestamp":1800000000,"data":{"order":7}}"#,
            json!(["msg_1", "order.completed", null, null, null, {"order": 7}]),
        ),
        case(
            Provider::ZOOM,
            &[],
            r#"{"event":"meeting.started","event_ts":1626230691572,"payload":{"account_id":"AAAA","object":{"id":"1"}}}"#,
            json!([null, "meeting.started", null, null, null, {"account_id": "AAAA", "object": {"id": "1"}}]),
        ),
    ]
}

async fn tell(delivery: Delivery, event: VerifiedEvent<Value>) -> String {
    json!([
        delivery.id().map(ToString::to_string),
        delivery.event_type().map(ToString::to_string),
        delivery.api_version(),
        delivery.attempt(),
        delivery.mode().map(|mode| mode == Mode::Live),
        event.into_inner(),
    ])
    .to_string()
}

fn router(layer: WebhookLayer) -> Router {
    Router::new().fallback_service(on_post(tell).layer(layer))
}

#[tokio::test]
async fn a_delivery_of_each_provider_says_who_it_is() {
    let cases = cases();
    for provider in Provider::ALL.iter().filter(|provider| !senders::has_formula(**provider)) {
        assert!(cases.iter().any(|case| case.provider == *provider), "`{provider}` has no case");
    }

    for Case { provider, headers, body, says } in cases {
        let mut lines = signature(provider, body);
        lines.extend(headers.iter().map(|(name, value)| (*name, (*value).to_owned())));

        let answer = post(&router(layer(provider)), &lines, body).await;

        assert_eq!(answer.status, StatusCode::OK, "{provider}: {}", answer.body);
        assert_eq!(serde_json::from_str::<Value>(&answer.body).unwrap(), says, "{provider}");
    }
}

// --- What providers publish ---------------------------------------------------------------------------------------------

/// A signed request from a provider's own documentation or tests.
struct Published {
    source: &'static str,
    provider: &'static str,
    secret: &'static str,
    now: u64,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    passes: bool,
}

const PUBLISHED: &[Published] = &[
    Published {
        source: "paddle-node-sdk test",
        provider: "paddle",
        secret: "VALID_SECRET",
        now: 1_698_796_800,
        headers: &[(
            "paddle-signature",
            "ts=1698796800;h1=a300428748dce5c70e4da19bffd60769591ea969c99dea3105d0ec9612cf43f9",
        )],
        body: r#"{"data": ["1", "2"]}"#,
        passes: true,
    },
    Published {
        source: "paddle-node-sdk test",
        provider: "paddle",
        secret: "VALID_SECRET",
        now: 1_698_796_800,
        headers: &[(
            "paddle-signature",
            "ts=1698796800;h1=28981e941fae76e53db32f3d2a83cb69db41476595e84e1970a1b5d98f62b261;h1=28981e941fae76e53db32f3d2a83cb69db41476595e84e1970a1b5d98f62b261;h2=RANDOM_HASH",
        )],
        body: r#"{"data": "value"}"#,
        passes: true,
    },
    Published {
        source: "paddle-node-sdk test",
        provider: "paddle",
        secret: "INVALID_VALID_SECRET",
        now: 1_698_796_800,
        headers: &[(
            "paddle-signature",
            "ts=1698796800;h1=a300428748dce5c70e4da19bffd60769591ea969c99dea3105d0ec9612cf43f9",
        )],
        body: r#"{"data": ["1", "2"]}"#,
        passes: false,
    },
    Published {
        source: "github/docs",
        provider: "github",
        secret: "It's a Secret to Everybody",
        now: 1_700_000_000,
        headers: &[("x-hub-signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17")],
        body: "Hello, World!",
        passes: true,
    },
    Published {
        source: "circleci-docs",
        provider: "circleci",
        secret: "secret",
        now: 1_700_000_000,
        headers: &[("circleci-signature", "v1=734cc62f32841568f45715aeb9f4d7891324e6d948e4c6c60c0621cdac48623a")],
        body: "hello world",
        passes: true,
    },
    Published {
        source: "circleci-docs",
        provider: "circleci",
        secret: "another-secret",
        now: 1_700_000_000,
        headers: &[(
            "circleci-signature",
            "v1=daa220016c8f29a8b214fbfc3671aeec2145cfb1e6790184ffb38b6d0425fa00,v2=xyz,v3=abc",
        )],
        body: "lalala",
        passes: true,
    },
    Published {
        source: "circleci-docs",
        provider: "circleci",
        secret: "hunter123",
        now: 1_700_000_000,
        headers: &[("circleci-signature", "v1=9be2242094a9a8c00c64306f382a7f9d691de910b4a266f67bd314ef18ac49fa")],
        body: "an-important-request-payload",
        passes: true,
    },
    Published {
        source: "box-node-sdk docs/webhooks.md",
        provider: "box",
        secret: "SamplePrimaryKey",
        now: 1_577_862_000,
        headers: &[
            ("box-delivery-timestamp", "2020-01-01T00:00:00-07:00"),
            ("box-signature-algorithm", "HmacSHA256"),
            ("box-signature-primary", "6TfeAW3A1PASkgboxxA5yqHNKOwFyMWuEXny/FPD5hI="),
            ("box-signature-secondary", "v+1CD1Jdo3muIcbpv5lxxgPglOqMfsNHPV899xWYydo="),
            ("box-signature-version", "1"),
        ],
        body: r#"{"type":"webhook_event","webhook":{"id":"1234567890"},"trigger":"FILE.UPLOADED","source":{"id":"1234567890","type":"file","name":"Test.txt"}}"#,
        passes: true,
    },
    Published {
        source: "webhook-toolkit test",
        provider: "sanity",
        secret: "test",
        now: 1_633_519_811,
        headers: &[("sanity-webhook-signature", "t=1633519811129,v1=tLa470fx7qkLLEcMOcEUFuBbRSkGujyskxrNXcoh0N0")],
        body: r#"{"_id":"resume"}"#,
        passes: true,
    },
    Published {
        source: "webhook-toolkit test",
        provider: "sanity",
        secret: "test",
        now: 1_633_519_811,
        headers: &[("sanity-webhook-signature", "t=1633519811128,v1=tLa470fx7qkLLEcMOcEUFuBbRSkGujyskxrNXcoh0N0")],
        body: r#"{"_id":"resume"}"#,
        passes: false,
    },
    Published {
        source: "svix/svix-docs how-manual.mdx",
        provider: "standard-webhooks",
        secret: "whsec_plJ3nmyCDGBKInavdOK15jsl",
        now: 1_731_705_121,
        headers: &[
            ("webhook-id", "msg_loFOjxBNrRLzqYUf"),
            ("webhook-timestamp", "1731705121"),
            ("webhook-signature", "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0="),
        ],
        body: r#"{"event_type":"ping","data":{"success":true}}"#,
        passes: true,
    },
    Published {
        source: "svix-docs how-manual.mdx",
        provider: "svix",
        secret: "whsec_plJ3nmyCDGBKInavdOK15jsl",
        now: 1_731_705_121,
        headers: &[
            ("svix-id", "msg_loFOjxBNrRLzqYUf"),
            ("svix-timestamp", "1731705121"),
            ("svix-signature", "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0="),
        ],
        body: r#"{"event_type":"ping","data":{"success":true}}"#,
        passes: true,
    },
    Published {
        source: "openai-python tests/lib/test_webhooks.py",
        provider: "openai",
        secret: "whsec_RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c=",
        now: 1_750_861_210,
        headers: &[
            ("webhook-id", "wh_685c059ae39c8190af8c71ed1022a24d"),
            ("webhook-timestamp", "1750861210"),
            ("webhook-signature", "v1,gUAg4R2hWouRZqRQG4uJypNS8YK885G838+EHb4nKBY="),
        ],
        body: r#"{"id": "evt_685c059ae3a481909bdc86819b066fb6", "object": "event", "created_at": 1750861210, "type": "response.completed", "data": {"id": "resp_123"}}"#,
        passes: true,
    },
];

#[test]
fn what_providers_publish_gets_its_verdict() {
    for published in PUBLISHED {
        let scheme = Scheme::from(published.provider.parse::<Provider>().unwrap());
        let mut head = http::Request::post("/in");
        for (name, value) in published.headers {
            head = head.header(*name, *value);
        }
        let (head, ()) = head.body(()).unwrap().into_parts();
        let now = std::time::UNIX_EPOCH + Duration::from_secs(published.now);
        let secrets = tower_webhooks::Secrets::new(secret(published.secret));

        let verdict = scheme.verify(&head, published.body, &secrets, now);

        assert_eq!(verdict.is_ok(), published.passes, "{}: {verdict:?}", published.source);
    }
}

#[test]
fn what_hubspot_publishes_passes() {
    let url = "https://www.example.com";
    let scheme = Scheme::from(Provider::HUBSPOT_V2).with_public_url(url).unwrap();
    let secrets = tower_webhooks::Secrets::new(secret("yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"));
    let now = std::time::UNIX_EPOCH;
    for (method, body, tag) in [
        (Method::GET, "", "eee2dddcc73c94d699f5e395f4b9d454a069a6855fbfa152e91e88823087200e"),
        (
            Method::POST,
            r#"{"example_field":"example_value"}"#,
            "9569219f8ba981ffa6f6f16aa0f48637d35d728c7e4d93d0d52efaa512af7900",
        ),
    ] {
        let head = http::Request::builder().method(&method).uri("/webhook_uri").header("x-hubspot-signature", tag);
        let (head, ()) = head.body(()).unwrap().into_parts();
        assert!(scheme.verify(&head, body, &secrets, now).is_ok(), "{method}");
    }
    // What stood at the end of the URL as a body: the same text, and another request.
    let head = http::Request::get("/webhook")
        .header("x-hubspot-signature", "eee2dddcc73c94d699f5e395f4b9d454a069a6855fbfa152e91e88823087200e");
    let (head, ()) = head.body(()).unwrap().into_parts();
    assert!(scheme.verify(&head, "_uri", &secrets, now).is_err());
}

// Of transferwise/digital-signatures-examples, with the key of the sandbox.
#[cfg(feature = "asymmetric")]
#[test]
fn what_wise_publishes_passes() {
    const KEY: &str = "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAwpb91cEYuyJNQepZAVfP\nZIlPZfNUefH+n6w9SW3fykqKu938cR7WadQv87oF2VuT+fDt7kqeRziTmPSUhqPU\nys/V2Q1rlfJuXbE+Gga37t7zwd0egQ+KyOEHQOpcTwKmtZ81ieGHynAQzsn1We3j\nwt760MsCPJ7GMT141ByQM+yW1Bx+4SG3IGjXWyqOWrcXsxAvIXkpUD/jK/L958Cg\nnZEgz0BSEh0QxYLITnW1lLokSx/dTianWPFEhMC9BgijempgNXHNfcVirg1lPSyg\nz7KqoKUN0oHqWLr2U1A+7kqrl6O2nx3CKs1bj1hToT1+p4kcMoHXA7kA+VBLUpEs\nVwIDAQAB\n-----END PUBLIC KEY-----";
    const SIGNATURE: &str = "wKcKCYXAzxNgiu7xmoDm943NUni7Rz33QN8JkEA9dWSGebgndonabgSj18Y4C08OrwVmueGsED2s00M7DtJVcYKOS1i3G4TMVx+mgM3aL9djMBkQtiYNBFUd6wrPI7ZUNHv/TrlKSjTMc+6JFvUvJ7owY3z85e3I4jLRLJowMFvO8kvCJ60+1pY9wDwZvtZ//WS93LrwGjk9Dvwzpmu0w+P4J75tETT5qC3Uv0y5G2yO8SEoO3yNP/tg/BOli02niHb53vEOUWUb9bly6thnfMoXoiV/osoGxgF20R58RlvkAmezyyl1Sv542TfS2DpiwVnmjjjkCyXeSUcKookYLQ==";
    const BODY: &str = r#"{"data":{"resource":{"id":49983981,"profile_id":16055450,"account_id":14124090,"type":"transfer"},"current_state":"incoming_payment_waiting","previous_state":null,"occurred_at":"2021-08-23T10:12:50Z"},"subscription_id":"90aa8e14-4ef1-4a56-861c-f3c9cde097ea","event_type":"transfers#state-change","schema_version":"2.0.0","sent_at":"2021-08-23T10:12:50Z"}"#;
    let secrets = tower_webhooks::Secrets::new(secret(KEY));
    let (head, ()) = http::Request::post("/").header("x-signature-sha256", SIGNATURE).body(()).unwrap().into_parts();
    let scheme = Scheme::from(Provider::WISE).with_account("90aa8e14-4ef1-4a56-861c-f3c9cde097ea");
    let now = std::time::UNIX_EPOCH;

    assert!(scheme.verify(&head, BODY, &secrets, now).is_ok());
    assert!(scheme.verify(&head, BODY.replace("transfers#", "transfer#"), &secrets, now).is_err());
    // The same key without its lines.
    let base64: String = KEY.lines().filter(|line| !line.starts_with('-')).collect();
    assert!(scheme.verify(&head, BODY, &tower_webhooks::Secrets::new(secret(&base64)), now).is_ok());
}

// --- Several signatures ------------------------------------------------------------------------------------------------------

/// How senders write more than one signature, where the grammar is theirs alone.
#[tokio::test]
async fn a_signature_beside_those_of_other_secrets_passes() {
    let body = r#"{"n":1}"#;
    for (provider, header) in [
        (Provider::PERSONA, "persona-signature"),
        (Provider::RECURLY, "recurly-signature"),
        (Provider::WORLDPAY, "event-signature"),
    ] {
        let router = router(layer(provider));
        let right = &signature(provider, body)[0].1;
        let other = "00".repeat(32);
        let lists = match provider.name() {
            "persona" => vec![
                (format!("{right} t={NOW},v1={other}"), true),
                (format!("t={NOW},v1={other} {right}"), true),
                // The lists of one delivery have one time.
                (format!("{right} t={},v1={other}", NOW - 1), false),
                (format!("{right} t={NOW},v1={other}").replace(&right[right.len() - 64..], &other), false),
            ],
            "recurly" => vec![
                (format!("{right},{other}"), true),
                (right.replacen(',', &format!(",{other},"), 1), true),
                (format!("{NOW}000,{other}"), false),
                (format!("{NOW}000"), false),
                (right.split(',').next_back().unwrap().to_owned(), false),
            ],
            _ => vec![
                (format!("8/SHA256/{other},{right}"), true),
                (format!("{right},8/SHA512/{other}{other}"), true),
                (right.replace("SHA256", "SHA512"), false),
                (right.replace("1/", ""), false),
                (format!("1/SHA256/{other}"), false),
            ],
        };
        for (value, passes) in lists {
            let status = post(&router, &[(header, value.clone())], body).await.status;
            assert_eq!(status == StatusCode::OK, passes, "{provider}: {value}");
        }
    }
}

// --- What every provider signs ------------------------------------------------------------------------------------------

/// What each provider's documentation calls a signed request passes, and one whose body, secret or proof is another does not.
#[tokio::test]
async fn every_provider_takes_what_its_documentation_says_and_nothing_else() {
    let body = r#"{"type":"t","passcode":"an endpoint's signing key","webhookTimestamp":1800000000000,"data":{"n":1}}"#;
    for provider in Provider::ALL.iter().copied().filter(|provider| senders::is_plain(*provider)) {
        let router = router(layer(provider));
        let headers = signature(provider, body);
        let path = match provider.name() {
            "pandadoc" => format!("/in?signature={}", senders::hex_tag(provider, body)),
            _ => PATH.to_owned(),
        };
        let send = async |path: &str, headers: &[(&str, String)], body: &str| {
            senders::send(&router, Method::POST, path, headers, body).await.status
        };

        assert_eq!(send(&path, &headers, body).await, StatusCode::OK, "{provider}");
        let other_body = send(&path, &headers, &body.replace("\"n\":1", "\"n\":2")).await;
        // PayPal signs a checksum, which detects a body that was not constructed to match it.
        let covers_body = Scheme::from(provider).covers_body() || provider.name() == "paypal";
        assert_eq!(other_body == StatusCode::OK, !covers_body, "{provider}");
        let without = send("/in", &[], "{}").await;
        assert!(without == StatusCode::UNAUTHORIZED || without == StatusCode::FORBIDDEN, "{provider}: {without}");
        let key = "another key than that of the endpoint, 0123456789abcdef";
        let other = takes_any_text(provider).then(|| WebhookLayer::new(provider, secret(key)));
        if let Some(other) = other {
            let scheme = Scheme::from(provider);
            let other = if scheme.signs_url() { other.with_public_url(PUBLIC_URL) } else { other };
            let other = other.with_clock(ManualClock::at_unix_seconds(NOW));
            let status = senders::send(&self::router(other), Method::POST, &path, &headers, body).await.status;
            assert!(status.is_client_error(), "{provider}: {status}");
        }
    }
}

/// Whether any text is a secret of the provider, and nothing else has to be said at the layer.
fn takes_any_text(provider: Provider) -> bool {
    let is_text = WebhookLayer::try_new(provider, secret("it's text")).is_ok();
    is_text && !Scheme::from(provider).needs_verify_token()
}

// --- What a signature binds ---------------------------------------------------------------------------------------------

/// The body, the id, a timestamp. The other providers are in docs/providers.md, which is generated from the catalogue.
const BINDS: &[(Provider, bool, bool, bool)] = &[
    (Provider::CLERK, true, true, true),
    (Provider::DROPBOX, true, false, false),
    (Provider::GITHUB, true, false, false),
    (Provider::GITLAB_SIGNING, true, true, true),
    (Provider::GITLAB_TOKEN, false, false, false),
    (Provider::LINEAR, true, false, true),
    (Provider::META, true, false, false),
    (Provider::OPENAI, true, true, true),
    (Provider::PADDLE, true, true, true),
    (Provider::PAGERDUTY, true, true, false),
    (Provider::RESEND, true, true, true),
    (Provider::SHOPIFY, true, false, false),
    (Provider::SLACK, true, true, true),
    (Provider::SQUARE, true, true, false),
    (Provider::STANDARD_WEBHOOKS, true, true, true),
    #[cfg(feature = "asymmetric")]
    (Provider::STANDARD_WEBHOOKS_V1A, true, true, true),
    (Provider::STRIPE, true, true, true),
    (Provider::SVIX, true, true, true),
    (Provider::TWITCH, true, true, true),
    (Provider::X_WEBHOOK, true, true, false),
    (Provider::ZOOM, true, false, true),
];

#[test]
fn what_is_signed_is_known_of_each_provider() {
    let binds: Vec<_> = BINDS
        .iter()
        .map(|(provider, ..)| {
            let scheme = Scheme::from(*provider);
            (*provider, scheme.covers_body(), scheme.id_is_signed(), scheme.timestamp_is_signed())
        })
        .collect();

    assert_eq!(binds, BINDS);
}

#[test]
fn a_provider_is_found_by_any_of_its_names() {
    for (text, provider) in [
        ("gitlab", Provider::GITLAB_TOKEN),
        ("GitLab_Signing", Provider::GITLAB_SIGNING),
        ("PagerDuty", Provider::PAGERDUTY),
        ("xwebhook", Provider::X_WEBHOOK),
        ("OpenAI", Provider::OPENAI),
        ("lemonsqueezy", Provider::LEMON_SQUEEZY),
        ("box", Provider::BOX),
        ("STANDARD_WEBHOOKS", Provider::STANDARD_WEBHOOKS),
    ] {
        assert_eq!(text.parse::<Provider>().unwrap(), provider);
    }
}

#[test]
fn what_is_known_of_a_sender_beside_its_scheme_can_be_asked() {
    use tower_webhooks::scheme::{Duplicates, Evidence};

    let hours = |count: u64| Some(Duration::from_secs(count * 60 * 60));
    assert_eq!(Provider::GITHUB.title(), "GitHub");
    assert!(Provider::GITHUB.official_page().starts_with("https://docs.github.com/"));
    assert_eq!(Provider::GITHUB.evidence(), Evidence::Library);
    assert_eq!(Provider::BITBUCKET.evidence(), Evidence::ThirdParty);
    assert_eq!(Provider::GITHUB.deadline(), Some(Duration::from_secs(10)));
    assert_eq!(Provider::GITHUB.retries_for(), Some(Duration::ZERO));
    assert_eq!((Provider::STRIPE.retries_for(), Provider::SHOPIFY.retries_for()), (hours(72), hours(4)));
    assert_eq!((Provider::LINE.batch(), Provider::HUBSPOT_V3.batch()), (Some("/events"), Some("")));
    assert_eq!((Provider::STRIPE.batch(), Provider::STRIPE.deadline()), (None, None));
    for (provider, duplicates) in [
        (Provider::STRIPE, Duplicates::Event),
        (Provider::JIRA, Duplicates::Delivery),
        (Provider::WOOCOMMERCE, Duplicates::Attempt),
        (Provider::LINE, Duplicates::Items),
        (Provider::ZOOM, Duplicates::UniqueBodies),
        (Provider::DROPBOX, Duplicates::RepeatedBodies),
        (Provider::CAL_COM, Duplicates::Undocumented),
    ] {
        assert_eq!(provider.duplicates(), duplicates, "{provider}");
    }
}

// A configuration can name a provider; the error of a wrong name says which names are right.
#[test]
fn a_provider_is_read_from_a_configuration_and_written_to_one() {
    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Configuration {
        provider: Provider,
    }
    for provider in Provider::ALL {
        let text = serde_json::to_string(&Configuration { provider: *provider }).unwrap();
        assert_eq!(text, format!(r#"{{"provider":"{provider}"}}"#));
        assert_eq!(serde_json::from_str::<Configuration>(&text).unwrap(), Configuration { provider: *provider });
    }
    for (text, provider) in [("GitLab", Provider::GITLAB_TOKEN), ("standard_webhooks", Provider::STANDARD_WEBHOOKS)] {
        let read: Configuration = serde_json::from_value(json!({ "provider": text })).unwrap();
        assert_eq!(read.provider, provider);
    }
    for wrong in [json!("strype"), json!(1), json!(null), json!(["stripe"])] {
        assert!(serde_json::from_value::<Configuration>(json!({ "provider": wrong })).is_err());
    }
    let error = serde_json::from_str::<Configuration>(r#"{"provider":"strype"}"#).unwrap_err().to_string();
    assert!(
        error.contains("there is no provider \"strype\"; the closest of ") && error.contains("`stripe`"),
        "{error}"
    );
}

// --- Quirks -------------------------------------------------------------------------------------------------------------

async fn status(provider: Provider, headers: &[(&str, String)], body: &str) -> StatusCode {
    post(&router(layer(provider)), headers, body).await.status
}

#[tokio::test]
async fn shopifys_two_generations_of_headers_are_never_mixed() {
    let [(_, tag)] = &signature(Provider::SHOPIFY, "{}")[..] else { panic!("there is one header") };
    let mixed = [
        ("shopify-hmac-sha256", tag.clone()),
        ("shopify-topic", "Order".to_owned()),
        ("x-shopify-topic", "orders/create".to_owned()),
        ("x-shopify-webhook-id", "1".to_owned()),
        ("x-shopify-event-id", "2".to_owned()),
    ];

    let answer = post(&router(layer(Provider::SHOPIFY)), &mixed, "{}").await;

    assert_eq!(answer.body, r#"[null,"Order",null,null,null,{}]"#);
}

// "Ignore duplicate webhooks": the event's id and not the delivery's. One event may be of several topics.
#[cfg(feature = "idempotency")]
#[tokio::test]
async fn shopifys_duplicates_are_those_of_its_guide() {
    let runs = Arc::new(AtomicUsize::new(0));
    let handler = {
        let runs = Arc::clone(&runs);
        async move || {
            runs.fetch_add(1, Ordering::SeqCst);
        }
    };
    let layer = layer(Provider::SHOPIFY).with_idempotency(tower_webhooks::store::MemoryStore::new());
    let router: Router = Router::new().route("/{*path}", on_post(handler).layer(layer));
    let [(_, tag)] = &signature(Provider::SHOPIFY, "{}")[..] else { panic!("there is one header") };
    let send = async |family: &str, event: &str, webhook: &str, topic: &str| {
        let headers = [
            (format!("{family}-hmac-sha256"), tag.clone()),
            (format!("{family}-event-id"), event.to_owned()),
            (format!("{family}-webhook-id"), webhook.to_owned()),
            (format!("{family}-topic"), topic.to_owned()),
        ];
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        assert_eq!(post(&router, &headers, "{}").await.status, StatusCode::OK);
        runs.load(Ordering::SeqCst)
    };

    assert_eq!(send("x-shopify", "e-1", "w-1", "orders/create").await, 1);
    // Another subscription to the same topic, and a repetition.
    assert_eq!(send("x-shopify", "e-1", "w-2", "orders/create").await, 1);
    assert_eq!(send("x-shopify", "e-1", "w-1", "orders/create").await, 1);
    // The same action of the merchant in another topic; and another action.
    assert_eq!(send("x-shopify", "e-1", "w-3", "orders/paid").await, 2);
    assert_eq!(send("x-shopify", "e-2", "w-4", "orders/create").await, 3);
    // The second generation has the delivery's id.
    assert_eq!(send("shopify", "e-1", "w-1", "Order").await, 4);
    assert_eq!(send("shopify", "e-9", "w-1", "Order").await, 4);
    assert_eq!(send("shopify", "e-1", "w-2", "Order").await, 5);
}

/// Counts the runs of a handler behind a provider's layer with idempotency, and answers with whether the delivery had an id.
#[cfg(feature = "idempotency")]
fn counted(provider: Provider) -> (Router, Arc<AtomicUsize>) {
    let runs = Arc::new(AtomicUsize::new(0));
    let handler = {
        let runs = Arc::clone(&runs);
        async move |delivery: Delivery| {
            runs.fetch_add(1, Ordering::SeqCst);
            if delivery.id().is_some() { "with an id" } else { "without" }
        }
    };
    let layer = layer(provider).with_idempotency(tower_webhooks::store::MemoryStore::new());
    (Router::new().route("/{*path}", on_post(handler).layer(layer)), runs)
}

/// Without settings of the application, idempotency follows the entry's statement about duplicates.
#[cfg(feature = "idempotency")]
#[tokio::test]
async fn a_delivery_of_any_provider_that_comes_twice_runs_once_only_where_something_identifies_it() {
    use tower_webhooks::scheme::Duplicates;

    let body = r#"{"type":"t","passcode":"an endpoint's signing key","webhookTimestamp":1800000000000,"data":{"n":1}}"#;
    for provider in Provider::ALL.iter().copied().filter(|provider| senders::is_plain(*provider)) {
        let (router, runs) = counted(provider);
        let path = match provider.name() {
            "pandadoc" => format!("/in?signature={}", senders::hex_tag(provider, body)),
            _ => PATH.to_owned(),
        };
        let headers = signature(provider, body);
        let send = async || senders::send(&router, Method::POST, &path, &headers, body).await;
        let first = send().await;
        assert!(first.status.is_success(), "{provider}: {first:?}");
        assert!(send().await.status.is_success(), "{provider}");

        let is_known = first.body == "with an id" || provider.duplicates() == Duplicates::UniqueBodies;
        assert_eq!(
            runs.load(Ordering::SeqCst),
            if is_known { 1 } else { 2 },
            "{provider}: {:?}",
            provider.duplicates()
        );
    }
}

/// Duplicates are as the sender's documentation or source says; deliveries that differ in these parts are not lost.
#[cfg(feature = "idempotency")]
#[tokio::test]
async fn duplicates_are_those_of_each_senders_own_pages() {
    type Case = (Provider, &'static [(&'static str, &'static str)], &'static str, usize);
    const CASES: &[&[Case]] = &[
        // Two orders in one second have one delivery id, and both run; so does a repetition, which cannot be
        // recognised.
        &[
            (Provider::WOOCOMMERCE, &[("x-wc-webhook-delivery-id", "4b0c8e7a")], r#"{"id":1}"#, 1),
            (Provider::WOOCOMMERCE, &[("x-wc-webhook-delivery-id", "4b0c8e7a")], r#"{"id":2}"#, 2),
            (Provider::WOOCOMMERCE, &[("x-wc-webhook-delivery-id", "5d1f9a6b")], r#"{"id":2}"#, 3),
        ],
        &[
            (Provider::SENTRY, &[("request-id", "1")], r#"{"action":"created"}"#, 1),
            (Provider::SENTRY, &[("request-id", "1")], r#"{"action":"resolved"}"#, 2),
        ],
        // An event is identified by its source and its id.
        &[
            (Provider::CLOUDEVENTS, &[("ce-id", "1"), ("ce-source", "/shop")], "{}", 1),
            (Provider::CLOUDEVENTS, &[("ce-id", "1"), ("ce-source", "/bank")], "{}", 2),
            (Provider::CLOUDEVENTS, &[("ce-id", "1"), ("ce-source", "/shop")], "{}", 2),
            (Provider::CLOUDEVENTS, &[], r#"{"id":"1","source":"/shop","type":"t"}"#, 2),
            (Provider::CLOUDEVENTS, &[], r#"{"id":"2","source":"/shop","type":"t"}"#, 3),
        ],
        &[
            (Provider::AFTERSHIP, &[], r#"{"event":"tracking_update","event_id":"a","ts":1}"#, 1),
            (Provider::AFTERSHIP, &[], r#"{"event":"tracking_update","event_id":"b","ts":1}"#, 2),
            (Provider::AFTERSHIP, &[], r#"{"event":"tracking_update","event_id":"a","ts":2}"#, 2),
        ],
        &[
            (Provider::FOURTHWALL, &[], r#"{"id":"weve_1","type":"ORDER_PLACED","data":{"id":"o1"}}"#, 1),
            (Provider::FOURTHWALL, &[], r#"{"id":"weve_1","type":"ORDER_PLACED","data":{"id":"o1"}, "x":1}"#, 1),
            (Provider::FOURTHWALL, &[], r#"{"id":"weve_2","type":"ORDER_UPDATED","data":{"id":"o1"}}"#, 2),
        ],
        &[
            (Provider::ZOHO_PAYMENTS, &[], r#"{"event_id":9973000000138072,"event_type":"payment.succeeded"}"#, 1),
            (Provider::ZOHO_PAYMENTS, &[], r#"{"event_id":9973000000138072,"event_type":"payment.succeeded"}"#, 1),
            (Provider::ZOHO_PAYMENTS, &[], r#"{"event_id":9973000000138073,"event_type":"payment.succeeded"}"#, 2),
        ],
        // One change of a document is sent in several types of event, each with an id of its own.
        &[
            (Provider::PANDADOC, &[("x-pandadoc-webhook-event-id", "550e8400")], r#"[{"event":"a"}]"#, 1),
            (Provider::PANDADOC, &[("x-pandadoc-webhook-event-id", "550e8400")], r#"[{"event":"a"}]"#, 1),
            (Provider::PANDADOC, &[("x-pandadoc-webhook-event-id", "660e8400")], r#"[{"event":"a"}]"#, 2),
        ],
        &[
            (
                Provider::MICROSOFT_TEAMS_OUTGOING,
                &[],
                r#"{"type":"message","id":"1485983408511","conversation":{"id":"19:a"}}"#,
                1,
            ),
            (
                Provider::MICROSOFT_TEAMS_OUTGOING,
                &[],
                r#"{"type":"message","id":"1485983408511","conversation":{"id":"19:b"}}"#,
                2,
            ),
            (
                Provider::MICROSOFT_TEAMS_OUTGOING,
                &[],
                r#"{"type":"message","id":"1485983408511","conversation":{"id":"19:a"}}"#,
                2,
            ),
        ],
        // The same heartbeat or notification, time and again.
        &[(Provider::ASANA, &[], r#"{"events":[]}"#, 1), (Provider::ASANA, &[], r#"{"events":[]}"#, 2)],
        &[(Provider::GOOGLE_WORKSPACE_CHANNELS, &[], "", 1), (Provider::GOOGLE_WORKSPACE_CHANNELS, &[], "", 2)],
    ];
    for case in CASES {
        let (router, runs) = counted(case[0].0);
        for (provider, more, body, expected) in *case {
            let path = match provider.name() {
                "pandadoc" => format!("/in?signature={}", senders::hex_tag(*provider, body)),
                _ => PATH.to_owned(),
            };
            let mut headers = signature(*provider, body);
            headers.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
            let answer = senders::send(&router, Method::POST, &path, &headers, body).await;
            assert_eq!(answer.status, StatusCode::OK, "{provider} {more:?} {body}");
            assert_eq!(runs.load(Ordering::SeqCst), *expected, "{provider} {more:?} {body}");
        }
    }
}

// Linear's own library takes a number and nothing else.
#[tokio::test]
async fn linears_time_is_a_number() {
    for (time, expected) in [
        (format!("{NOW}000"), StatusCode::OK),
        (format!("\"{NOW}000\""), StatusCode::UNAUTHORIZED),
        (format!("{NOW}000.0"), StatusCode::UNAUTHORIZED),
        (format!("[{NOW}000]"), StatusCode::UNAUTHORIZED),
        ("null".to_owned(), StatusCode::UNAUTHORIZED),
    ] {
        let body = format!(r#"{{"webhookTimestamp":{time},"data":{{}}}}"#);
        assert_eq!(status(Provider::LINEAR, &signature(Provider::LINEAR, &body), &body).await, expected, "{time}");
    }
}

#[tokio::test]
async fn a_time_in_a_body_is_written_as_it_is_declared() {
    let declared = |form| {
        let scheme = Scheme::hmac_sha256().header("x-sig").hex().signs("{body}").timestamp(Field::json("/at"));
        let scheme = match form {
            Some(form) => scheme.timestamp_json(form),
            None => scheme,
        };
        let layer = WebhookLayer::new(scheme, secret("a signing key of ours"));
        router(layer.with_clock(ManualClock::at_unix_seconds(NOW)))
    };
    for (form, number, string) in [
        (None, true, true),
        (Some(JsonForm::Either), true, true),
        (Some(JsonForm::Number), true, false),
        (Some(JsonForm::String), false, true),
    ] {
        for (text, passes) in [(NOW.to_string(), number), (format!("\"{NOW}\""), string)] {
            let body = format!(r#"{{"at":{text}}}"#);
            let tag = HEXLOWER.encode(&hmac(b"a signing key of ours", &body));
            let answer = post(&declared(form), &[("x-sig", tag)], &body).await;
            assert_eq!(answer.status == StatusCode::OK, passes, "{form:?} {text}");
        }
    }
    let scheme =
        Scheme::hmac_sha256().header("x-sig").hex().timestamp(Field::header("x-time")).signs("{timestamp}.{body}");
    assert!(scheme.timestamp_json(JsonForm::Number).build().is_err());
}

#[tokio::test]
async fn a_provider_looks_at_its_own_family_of_headers_only() {
    let body = r#"{"type":"t","data":{}}"#;
    let (svix, webhook) = (signature(Provider::SVIX, body), signature(Provider::STANDARD_WEBHOOKS, body));

    for provider in [Provider::CLERK, Provider::RESEND] {
        assert_eq!(status(provider, &svix, body).await, StatusCode::OK, "{provider}");
    }
    for provider in [Provider::GITLAB_SIGNING, Provider::OPENAI] {
        assert_eq!(status(provider, &svix, body).await, StatusCode::UNAUTHORIZED, "{provider}");
    }
    assert_eq!(status(Provider::RESEND, &webhook, body).await, StatusCode::OK);
    assert_eq!(status(Provider::CLERK, &webhook, body).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn gitlabs_two_tokens_do_not_open_each_others_door() {
    let body = r#"{"object_kind":"push"}"#;
    let mut both = signature(Provider::GITLAB_SIGNING, body);
    both.extend(signature(Provider::GITLAB_TOKEN, body));
    let wrong = [("x-gitlab-token", "an endpoint's signing kez".to_owned())];

    assert_eq!(status(Provider::GITLAB_SIGNING, &both, body).await, StatusCode::OK);
    assert_eq!(status(Provider::GITLAB_TOKEN, &both, body).await, StatusCode::OK);
    assert_eq!(status(Provider::GITLAB_SIGNING, &both, r#"{"object_kind":"tag"}"#).await, StatusCode::UNAUTHORIZED);
    assert_eq!(
        status(Provider::GITLAB_SIGNING, &signature(Provider::GITLAB_TOKEN, body), body).await,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(status(Provider::GITLAB_TOKEN, &wrong, body).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn openais_secret_without_its_prefix_is_text() {
    let (text, body) = ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", r#"{"type":"t","data":{}}"#);
    let clock = ManualClock::at_unix_seconds(NOW);
    let router = router(WebhookLayer::openai(secret(text)).with_clock(clock));
    let sign = |key: &[u8]| {
        let mut headers = signature(Provider::OPENAI, body);
        headers[2].1 = format!("v1,{}", BASE64.encode(&hmac(key, &format!("{ID}.{NOW}.{body}"))));
        headers
    };

    assert_eq!(post(&router, &sign(text.as_bytes()), body).await.status, StatusCode::OK);
    let decoded = BASE64.decode(text.as_bytes()).unwrap();
    assert_eq!(post(&router, &sign(&decoded), body).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn windows_are_the_providers_own_and_two_sided() {
    let body = r#"{"type":"t","action":"a","data":{},"webhookTimestamp":1800000000000}"#;
    let shifted = |provider: Provider, seconds: i64| {
        let now = NOW.checked_add_signed(seconds).unwrap();
        router(layer(provider).with_clock(ManualClock::at_unix_seconds(now)))
    };

    for (provider, window) in [(Provider::PADDLE, 5), (Provider::LINEAR, 60), (Provider::ZOOM, 300)] {
        let headers = signature(provider, body);
        // Zoom's payload is not here; the signature has passed when the answer is about that.
        let passed = |status: StatusCode| status != StatusCode::UNAUTHORIZED;
        for seconds in [-window, 0, window] {
            assert!(passed(post(&shifted(provider, seconds), &headers, body).await.status), "{provider} {seconds}");
        }
        for seconds in [-window - 1, window + 1] {
            assert!(!passed(post(&shifted(provider, seconds), &headers, body).await.status), "{provider} {seconds}");
        }
    }

    let wider = layer(Provider::PADDLE)
        .with_clock(ManualClock::at_unix_seconds(NOW + 60))
        .with_tolerance(Duration::from_secs(60));
    assert_eq!(post(&router(wider), &signature(Provider::PADDLE, body), body).await.status, StatusCode::OK);
}

#[tokio::test]
async fn linears_unsigned_timestamp_does_not_stand_in_for_the_signed_one() {
    for body in [r#"{"data":{}}"#, r#"{"data":{},"webhookTimestamp":1,"webhookTimestamp":1800000000000}"#] {
        let mut headers = signature(Provider::LINEAR, body);
        headers.push(("linear-timestamp", format!("{NOW}000")));

        assert_eq!(status(Provider::LINEAR, &headers, body).await, StatusCode::UNAUTHORIZED, "{body}");
    }
}

#[tokio::test]
async fn pagerduty_may_match_any_of_its_signatures_and_is_told_403_otherwise() {
    let body = r#"{"event":{"data":{}}}"#;
    let [(name, right)] = &signature(Provider::PAGERDUTY, body)[..] else { panic!("there is one header") };
    let wrong = format!("v1={}", "0".repeat(64));
    let of = |value: String| [(*name, value)];

    assert_eq!(status(Provider::PAGERDUTY, &of(format!("{wrong},{right}")), body).await, StatusCode::OK);
    assert_eq!(status(Provider::PAGERDUTY, &of(format!("{right},v2=x")), body).await, StatusCode::OK);
    for headers in [vec![], of(format!("{wrong},{wrong}")).to_vec(), of(right.replace("v1=", "v2=")).to_vec()] {
        let answer = post(&router(layer(Provider::PAGERDUTY)), &headers, body).await;
        assert_eq!((answer.status.as_u16(), &*answer.body), (403, r#"{"error":"invalid_signature"}"#), "{headers:?}");
    }
}

#[tokio::test]
async fn bodies_may_be_as_large_as_the_provider_documents() {
    for (provider, limit) in [(Provider::META, 3 << 20), (Provider::PAGERDUTY, 2 << 20), (Provider::DROPBOX, 1 << 20)] {
        let empty = r#"{"object":"page","event":{"data":{}},"x":""}"#;
        let body = empty.replace(r#""""#, &format!(r#""{}""#, "x".repeat(limit - empty.len())));
        let larger = format!("{body} ");

        assert_eq!(status(provider, &signature(provider, &body), &body).await, StatusCode::OK, "{provider}");
        let answer = status(provider, &signature(provider, &larger), &larger).await;
        assert_eq!(answer, StatusCode::PAYLOAD_TOO_LARGE, "{provider}");
    }
}

// --- A key that a request names -----------------------------------------------------------------------------------------

#[tokio::test]
async fn a_secret_with_an_id_is_tried_with_requests_that_name_it_alone() {
    let scheme = || Scheme::hmac_sha256().header("x-sig").hex().key_id(Field::header("x-key")).signs("{body}");
    let secrets = || {
        let secrets = tower_webhooks::Secrets::new(secret("first:a signing key of ours"));
        secrets.and(secret("second:another signing key"))
    };
    let with_ids = router(WebhookLayer::new(scheme(), secrets()));
    let without = router(WebhookLayer::new(scheme(), secret("a signing key of ours")));
    let send = async |router: &Router, key: &str, named: &[&str]| {
        let mut headers = vec![("x-sig", HEXLOWER.encode(&hmac(key.as_bytes(), "{}")))];
        headers.extend(named.iter().map(|named| ("x-key", (*named).to_owned())));
        post(router, &headers, "{}").await.status == StatusCode::OK
    };

    assert!(send(&with_ids, "a signing key of ours", &["first"]).await);
    assert!(send(&with_ids, "another signing key", &["second"]).await);
    for named in [&[][..], &["second"], &["third"], &[""], &["FIRST"], &["first", "first"]] {
        assert!(!send(&with_ids, "a signing key of ours", named).await, "{named:?}");
    }
    // The id is no part of the key, and one that is not known is any.
    assert!(!send(&with_ids, "first:a signing key of ours", &["first"]).await);
    assert!(send(&without, "a signing key of ours", &["any"]).await);
    assert!(!send(&without, "a signing key of ours", &[]).await);
    assert!(scheme().key_id(Field::json("/key")).build().is_err());
}

// --- Nothing between two parts ------------------------------------------------------------------------------------------

#[test]
#[should_panic(expected = "`square` signs the URL; add `.with_public_url(\"https://…\")`")]
fn square_does_not_start_without_the_public_url() {
    let _ = router(WebhookLayer::square(secret("a signature key")));
}

#[tokio::test]
async fn squares_url_is_the_public_one_letter_by_letter() {
    let body = r#"{"data":{}}"#;
    let headers = signature(Provider::SQUARE, body);
    let router = router(layer(Provider::SQUARE));

    assert_eq!(send(&router, Method::POST, PATH, &headers, body).await.status, StatusCode::OK);
    for path in ["/in", "/in?from=them&", "/in?from=%74hem", "/in/?from=them", "/IN?from=them", "/in?from=them&a=1"] {
        let answer = send(&router, Method::POST, path, &headers, body).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
    }
}

// The signed text stays the same when the body's beginning moves into the URL.
#[tokio::test]
async fn a_body_that_begins_in_squares_url_is_refused() {
    for (moved, rest) in [
        (r#"{"merchant":1,"data":{"id":"#, "1}}"),
        (r#"{"#, r#""data":{}}"#),
        (r#"{"data":{}}"#, ""),
        (r#"[1,"#, "2]"),
        (r#""text"#, r#"""#),
    ] {
        let url = format!("/in{moved}");
        let tag = hmac(secret_text(Provider::SQUARE).as_bytes(), &format!("{PUBLIC_URL}{url}{rest}"));
        let headers = [("x-square-hmacsha256-signature", BASE64.encode(&tag))];

        let answer = send(&router(layer(Provider::SQUARE)), Method::POST, &url, &headers, rest).await;

        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{url} {rest}");
    }
}

fn twitch(id: &str, timestamp: &str, body: &str) -> [(&'static str, String); 3] {
    let tag = hmac(secret_text(Provider::TWITCH).as_bytes(), &format!("{id}{timestamp}{body}"));
    [
        ("twitch-eventsub-message-id", id.to_owned()),
        ("twitch-eventsub-message-timestamp", timestamp.to_owned()),
        ("twitch-eventsub-message-signature", format!("sha256={}", HEXLOWER.encode(&tag))),
    ]
}

// A poll says when it ends. Cut there, the delivery would be fresh again at that time, under another id.
#[tokio::test]
async fn a_date_in_twitchs_id_is_refused() {
    let rest = r#"","event":{}}"#;
    for id in [
        format!(r#"{ID}2027-01-15T06:00:00.5Z{{"ends_at":""#),
        format!("{ID}{NOW_AS_DATE}"),
        format!("{NOW_AS_DATE}{ID}"),
        format!("{ID}2027-01-15T08:00:00+01:00"),
        "x".repeat(5000),
    ] {
        let headers = twitch(&id, NOW_AS_DATE, rest);

        assert_eq!(status(Provider::TWITCH, &headers, rest).await, StatusCode::UNAUTHORIZED, "{id}");
    }
}

#[tokio::test]
async fn twitchs_own_ids_pass() {
    let body = r#"{"event":{}}"#;
    for id in [
        "befa7b53-d79d-478f-86b9-120f112b044e",
        "b2KxcXtiGGyWpRHqIQVQ8bm5FmA2aPBXSl6xnhJ7Vkw=",
        "2027-01-15",
        "84c1e79a-2a4b-4c13-ba0b-4312293e9308-2027-01-15T",
        "1",
    ] {
        assert_eq!(status(Provider::TWITCH, &twitch(id, NOW_AS_DATE, body), body).await, StatusCode::OK, "{id}");
    }
}

#[tokio::test]
async fn digits_before_digits_are_refused_where_another_time_would_be_fresh() {
    let scheme = |unit| {
        Scheme::hmac_sha256()
            .header("x-sig")
            .hex()
            .id(Field::header("x-id"))
            .timestamp(Field::header("x-time"))
            .unit(unit)
            .signs("{id}{timestamp}{body}")
    };
    for (unit, now) in [(TimestampUnit::Seconds, NOW.to_string()), (TimestampUnit::Milliseconds, format!("{NOW}000"))] {
        let layer = WebhookLayer::new(scheme(unit), secret("a signing key of ours"));
        let router = router(layer.with_clock(ManualClock::at_unix_seconds(NOW)));
        for (id, passes) in [
            ("msg_1".to_owned(), true),
            ("18".to_owned(), true),
            ("00000000000000000000000000000000000000".to_owned(), true),
            (now.clone(), false),
            (format!("msg_{now}_"), false),
            (format!("msg_{now}{{\"at\":\""), false),
            // The last digits of the earlier time are the first ones of the timestamp.
            (now[..now.len() - 3].to_owned(), false),
        ] {
            let tag = HEXLOWER.encode(&hmac(b"a signing key of ours", &format!("{id}{now}{{}}")));
            let headers = [("x-id", id.clone()), ("x-time", now.clone()), ("x-sig", tag)];

            let answer = post(&router, &headers, "{}").await;

            assert_eq!(answer.status == StatusCode::OK, passes, "{unit:?} {id}");
        }
    }
}

// --- A header that counts only with one value ---------------------------------------------------------------------------

#[tokio::test]
async fn a_header_with_another_value_counts_as_not_there() {
    let scheme = Scheme::insecure_token()
        .header("x-token")
        .event_type(Field::header_if("x-kind", "farewell").or(Field::header("x-event")));
    let router = router(WebhookLayer::new(scheme, secret("a shared token of ours")));
    let kind = async |kinds: &[&str]| {
        let mut headers = vec![("x-token", "a shared token of ours".to_owned()), ("x-event", "order".to_owned())];
        headers.extend(kinds.iter().map(|kind| ("x-kind", (*kind).to_owned())));
        post(&router, &headers, "{}").await.body.split('"').nth(1).unwrap_or_default().to_owned()
    };

    assert_eq!(kind(&["farewell"]).await, "farewell");
    for others in [&[][..], &["Farewell"], &["farewell2"], &[""], &["farewell", "farewell"], &["farewell", "other"]] {
        assert_eq!(kind(others).await, "order", "{others:?}");
    }
}

// Half of an id that is joined from two is not the id.
#[test]
fn an_id_is_signed_when_all_of_it_is() {
    let signed = |id: Field, signs: &'static str| {
        let scheme = Scheme::hmac_sha256().header("x-sig").items(",").pairs("=").key("s").hex();
        let scheme = if signs.contains("{timestamp}") { scheme.timestamp(Field::header("x-time")) } else { scheme };
        scheme.signs(signs).id(id).build().unwrap().id_is_signed()
    };
    let (json, header, other) = (|| Field::json("/id"), || Field::header("x-id"), || Field::header("x-topic"));

    for (id, signs, expected) in [
        (json(), "{body}", true),
        (json().joined(Field::json("/topic")), "{body}", true),
        (json().joined(other()), "{body}", false),
        (json().joined(other().or(Field::json("/topic"))), "{body}", false),
        (json().joined(other()), "{header:x-topic}.{body}", true),
        (json().joined(other()), "{id}.{timestamp}.{body}", false),
        (header().joined(other()), "{id}.{timestamp}.{body}", false),
        (header().joined(other()), "{id}.{header:x-topic}.{timestamp}.{body}", true),
        (header().joined(json()), "{id}.{timestamp}.{body}", true),
        (json().or(header()), "{body}", false),
        (json().or(header()), "{header:x-id}.{body}", true),
        (Field::param("n"), "{param:n}.{body}", true),
        (Field::param("n"), "{body}", false),
        (header(), "{id}.{timestamp}.{body}", true),
    ] {
        assert_eq!(signed(id.clone(), signs), expected, "{signs} {id:?}");
    }
}

// The id that is signed is the one that the delivery has.
#[tokio::test]
async fn a_signed_id_is_the_deliverys_wherever_it_stands() {
    let scheme = Scheme::hmac_sha256()
        .header("x-sig")
        .hex()
        .id(Field::json("/id").or(Field::header("x-id")))
        .timestamp(Field::header("x-time"))
        .signs("{id}.{timestamp}");
    let layer = WebhookLayer::new(scheme, secret("a signing key of ours"));
    let router = router(layer.with_clock(ManualClock::at_unix_seconds(NOW)));
    let send = async |headers: &[(&str, String)], body: &str| {
        let tag = HEXLOWER.encode(&hmac(b"a signing key of ours", &format!("signed.{NOW}")));
        let headers = [&[("x-sig", tag), ("x-time", NOW.to_string())], headers].concat();
        post(&router, &headers, body).await.status
    };

    assert_eq!(send(&[], r#"{"id":"signed"}"#).await, StatusCode::OK);
    assert_eq!(send(&[("x-id", "signed".to_owned())], "{}").await, StatusCode::OK);
    // The body comes first in the declaration, so that its id is the delivery's, and must be the signed one.
    assert_eq!(send(&[("x-id", "signed".to_owned())], r#"{"id":"forged"}"#).await, StatusCode::UNAUTHORIZED);
    assert_eq!(send(&[("x-id", "forged".to_owned())], r#"{"id":"signed"}"#).await, StatusCode::OK);
}

#[test]
fn a_conditional_header_needs_a_value_and_is_no_signed_id() {
    let scheme = |field| Scheme::hmac_sha256().header("x-sig").hex().signs("{header:x-id}.{body}").id(field).build();

    assert!(scheme(Field::header_if("x-id", "")).unwrap_err().to_string().contains("`x-id`"));
    assert!(scheme(Field::header("x-id")).unwrap().id_is_signed());
    assert!(!scheme(Field::header_if("x-id", "1")).unwrap().id_is_signed());
}
