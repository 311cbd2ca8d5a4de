//! Handshakes that are forged, reflected, or turned against the key, over real sockets.
#![cfg(feature = "axum")]

#[path = "support/serve.rs"]
mod serve;
#[path = "support/sign.rs"]
mod sign;

use http::{HeaderName, HeaderValue, Method, StatusCode};
use serve::{Answer as Received, NEVER, REFUSAL, Receiver, head, request};
use sign::{Line, NOW, Sender, hmac_sha256, line};
use tower_webhooks::{
    Head, Scheme, Secret, WebhookLayer,
    clock::ManualClock,
    error::{ConfigErrorKind, VerifyError},
    scheme::{Answer, Binding, CustomScheme, Field, Handshake, Keys, Plan, SchemeBuilder},
};

const BODY: &[u8] = br#"{"id":"evt_1","type":"ping","data":{}}"#;
const TOKEN: &str = "the token that both sides know";

/// What a page could be made of, if it were taken for one.
const SCRIPT: &str = "<script>alert(1)</script>";

fn like_github() -> SchemeBuilder {
    Scheme::hmac_sha256().name("declared").header("x-hub-signature-256").prefix("sha256=").hex().signs("{body}")
}

async fn declared(handshake: Handshake) -> Receiver {
    let layer = WebhookLayer::new(like_github().handshake(handshake), Sender::GitHub.secret())
        .with_verify_token(Secret::new(TOKEN).expect("the token is one"))
        .with_body_timeout(NEVER);
    Receiver::behind(Sender::GitHub, layer).await
}

async fn ask(receiver: &Receiver, method: &str, target: &str) -> Received {
    receiver.server.send(&request(method, target, &[], b"")).await.expect("there is an answer")
}

/// Asserts that an answer is nothing that a browser would run.
fn assert_plain(answer: &Received) {
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
}

// A challenge that is echoed unverified tells anybody that the endpoint is whoever asked.
#[tokio::test]
async fn slacks_challenge_is_echoed_only_when_it_is_rightly_signed() {
    let receiver = Receiver::new(Sender::Slack).await;
    let body = br#"{"token":"t","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P","type":"url_verification"}"#;

    receiver.refuses_early(&[]).await;
    receiver.refuses(&Sender::Slack.sign(b"{}"), body).await;
    receiver.refuses_early(&Sender::Slack.sign_at(&(NOW - 301).to_string(), body)).await;

    let answer = receiver.post(&Sender::Slack.sign(body), body).await;
    assert_eq!((answer.status, answer.text()), (200, "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"));
    assert_plain(&answer);
    assert_eq!(receiver.runs(), 0, "a handshake is no delivery");
    receiver.finish().await;
}

// What is echoed is somebody's text, and must not become a page.
#[tokio::test]
async fn an_echoed_challenge_is_plain_text_whatever_it_holds() {
    let slack = Receiver::new(Sender::Slack).await;
    for challenge in [SCRIPT, "<html>", "%PDF-1.4", "\\u0000", "caf\u{e9}"] {
        let body = format!(r#"{{"challenge":"{challenge}","type":"url_verification"}}"#).into_bytes();
        let answer = slack.post(&Sender::Slack.sign(&body), &body).await;
        assert_eq!(answer.status, 200);
        assert_plain(&answer);
    }
    slack.finish().await;

    let meta = Handshake::echo_text(Field::query("hub.challenge"))
        .when(Field::query("hub.mode"), "subscribe")
        .verify_token("hub.verify_token")
        .method(Method::GET);
    let receiver = declared(meta).await;
    let token = TOKEN.replace(' ', "%20");
    let answer = ask(
        &receiver,
        "GET",
        &format!("/hook?hub.mode=subscribe&hub.verify_token={token}&hub.challenge=%3Cscript%3Ealert(1)%3C/script%3E"),
    )
    .await;
    assert_eq!((answer.status, answer.text()), (200, SCRIPT));
    assert_plain(&answer);
    receiver.finish().await;
}

// A handshake that is no string is no handshake that could be echoed.
#[tokio::test]
async fn slacks_challenge_in_other_shapes_is_never_reflected_as_a_page() {
    let receiver = Receiver::new(Sender::Slack).await;
    for challenge in [r#"["<b>"]"#, r#"{"a":"<b>"}"#, "null"] {
        let body = format!(r#"{{"challenge":{challenge},"type":"url_verification"}}"#).into_bytes();
        let answer = receiver.post(&Sender::Slack.sign(&body), &body).await;
        assert_eq!((answer.status, answer.text()), (403, r#"{"error":"forbidden"}"#), "{challenge}");
    }
    // Twice the type, or none of the handshake's: a delivery, which is the handler's business.
    for body in [
        &br#"{"type":"url_verification","type":"x","challenge":"c"}"#[..],
        br#"{"type":"URL_VERIFICATION","challenge":"c"}"#,
    ] {
        receiver.accepts(&Sender::Slack.sign(body), body).await;
    }
    receiver.finish().await;
}

// The token is the only thing that an unsigned handshake has to show.
#[tokio::test]
async fn a_verify_token_that_is_wrong_missing_repeated_or_an_array_is_403() {
    let meta = Handshake::echo_text(Field::query("hub.challenge"))
        .when(Field::query("hub.mode"), "subscribe")
        .verify_token("hub.verify_token")
        .method(Method::GET);
    let receiver = declared(meta).await;
    let token = TOKEN.replace(' ', "+");

    for query in [
        "hub.verify_token=wrong".to_owned(),
        "hub.verify_token=".to_owned(),
        "hub.verify_token".to_owned(),
        String::new(),
        format!("hub.verify_token={token}x"),
        format!("hub.verify_token={}", &token[..token.len() - 1]),
        format!("hub.verify_token={}", token.to_uppercase()),
        format!("hub.verify_token={token}&hub.verify_token={token}"),
        format!("hub.verify_token=wrong&hub.verify_token={token}"),
        format!("hub.verify_token={token}&hub%2Everify_token=wrong"),
        format!("hub.verify_token[]={token}"),
        format!("hub.verify_token%5B%5D={token}"),
        format!("HUB.VERIFY_TOKEN={token}"),
        format!("hub_verify_token={token}"),
        format!("hub.verify_token={}", "x".repeat(20_000)),
        "hub.verify_token=%ff%fe".to_owned(),
        "hub.verify_token=%".to_owned(),
    ] {
        let answer = ask(&receiver, "GET", &format!("/hook?hub.mode=subscribe&hub.challenge=marker&{query}")).await;
        assert_eq!((answer.status, answer.text()), (403, r#"{"error":"forbidden"}"#), "{query:.60}");
    }
    // The right token, and the rest missing, wrong or twice.
    for query in [
        "",
        "hub.mode=unsubscribe",
        "hub.mode=subscribe&hub.mode=subscribe",
        "hub.mode=subscribe",
        "hub.mode=subscribe&hub.challenge=a&hub.challenge=b",
    ] {
        let answer = ask(&receiver, "GET", &format!("/hook?{query}&hub.verify_token={token}")).await;
        assert_eq!(answer.status, 403, "{query}");
    }
    let right =
        ask(&receiver, "GET", &format!("/hook?hub.mode=subscribe&hub.challenge=marker&hub.verify_token={token}")).await;
    assert_eq!((right.status, right.text()), (200, "marker"));

    // The handshake's method opens no way around the signature, and no other method is open at all.
    receiver.refuses_early(&[]).await;
    let put = ask(&receiver, "PUT", "/hook").await;
    assert_eq!((put.status, put.header("allow")), (405, Some("POST, GET")));
    assert_eq!(receiver.runs(), 0);
    receiver.finish().await;
}

// A scheme with a token and without one in its settings must not start: it would refuse, or let in, everybody.
#[test]
fn a_handshake_without_its_token_stops_the_application_at_its_start() {
    let handshake = Handshake::echo_text(Field::query("c")).verify_token("t").method(Method::GET);
    let layer = WebhookLayer::new(like_github().handshake(handshake), Sender::GitHub.secret());

    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        layer.layer(tower::util::service_fn(unreachable));
    }))
    .unwrap_err();

    let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
    assert!(text.contains("with_verify_token"), "{text}");
}

async fn unreachable(
    _: http::Request<http_body_util::Full<bytes::Bytes>>,
) -> Result<http::Response<http_body_util::Full<bytes::Bytes>>, std::convert::Infallible> {
    unreachable!("no request is made")
}

// What decides in the body must be signed: anybody can write a body.
#[test]
fn a_handshake_that_reads_the_body_must_be_signed() {
    for handshake in [
        Handshake::echo_text(Field::json("/challenge")),
        Handshake::echo_text(Field::query("c")).when(Field::json("/type"), "x"),
        Handshake::challenge(Field::json("/token"), "response"),
        Handshake::echo_text(Field::header("x-a").or(Field::json("/c"))),
    ] {
        let error = like_github().handshake(handshake.clone()).build().unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::Scheme);
        assert!(like_github().handshake(handshake.signed()).build().is_ok());
    }
}

// The answer to an unsigned challenge is made with the key that signs deliveries. Whoever may choose the challenge freely
// has any delivery signed.
#[tokio::test]
async fn a_challenge_signs_no_delivery() {
    let crc = Handshake::challenge(Field::query("crc_token"), "response_token")
        .with_prefix("sha256=")
        .present(Field::query("crc_token"))
        .method(Method::GET);
    let receiver = declared(crc).await;
    let escaped = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();

    let forged = [
        std::str::from_utf8(BODY).unwrap(),
        "{}",
        "[]",
        "\"text\"",
        "a=1&b=2",
        "a=1",
        "a b",
        "{",
        "",
        "=",
        SCRIPT,
        &"x".repeat(257),
        "caf\u{e9}",
        "line\nbreak",
        "\0",
    ];
    for challenge in forged {
        let answer = ask(&receiver, "GET", &format!("/hook?crc_token={}", escaped(challenge))).await;
        assert_eq!((answer.status, answer.text()), (403, r#"{"error":"forbidden"}"#), "{challenge:.40}");
    }

    for token in ["MTUzNDU2Nzg5MA==", "a1b2c3d4-e5f6_7890.~", "3ca369e1:4f/5+6"] {
        let answer = ask(&receiver, "GET", &format!("/hook?crc_token={}", escaped(token))).await;
        let tag = hmac_sha256(Sender::GitHub.secret_text().as_bytes(), token.as_bytes());
        let expected = format!(r#"{{"response_token":"sha256={}"}}"#, data_encoding::HEXLOWER.encode(&tag));
        assert_eq!((answer.status, answer.text()), (200, expected.as_str()));
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
    receiver.finish().await;
}

// Line ends in an echoed header would be a second header, or a second answer.
#[tokio::test]
async fn an_echoed_header_holds_no_line_end() {
    let okta = Handshake::echo_header(Field::query("c"), "x-echo").present(Field::query("c")).method(Method::GET);
    let receiver = declared(okta).await;

    for challenge in ["a%0d%0aset-cookie:%20a=1", "a%0ab", "a%0db", "a%00", "%7f"] {
        let answer = ask(&receiver, "GET", &format!("/hook?c={challenge}")).await;
        assert_eq!(answer.status, 403, "{challenge}");
        assert_eq!((answer.header("x-echo"), answer.header("set-cookie")), (None, None));
    }
    let answer = ask(&receiver, "GET", "/hook?c=plain").await;
    assert_eq!((answer.status, answer.header("x-echo")), (200, Some("plain")));
    receiver.finish().await;
}

// In JSON the text is a string, whatever it holds.
#[tokio::test]
async fn a_challenge_echoed_in_json_stays_in_its_string() {
    let receiver =
        declared(Handshake::echo_json(Field::header("x-challenge"), "verification").method(Method::GET)).await;
    for (challenge, expected) in [
        (r#"","admin":true,"x":""#, r#"{"verification":"\",\"admin\":true,\"x\":\""}"#),
        (r"\", r#"{"verification":"\\"}"#),
        ("plain", r#"{"verification":"plain"}"#),
    ] {
        let headers = [line("x-challenge", challenge)];
        let answer = receiver.server.send(&request("GET", "/hook", &headers, b"")).await.unwrap();
        assert_eq!((answer.status, answer.text()), (200, expected));
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
    // Twice is ambiguous, and bytes that are no text are no challenge.
    for headers in
        [vec![line("x-challenge", "a"), line("x-challenge", "b")], vec![line("x-challenge", [0xff])], Vec::new()]
    {
        let answer = receiver.server.send(&request("GET", "/hook", &headers, b"")).await.unwrap();
        assert_eq!(answer.status, 403);
    }
    receiver.finish().await;
}

// A method that only a signed handshake comes by: neither unsigned nor as a way to bring deliveries.
#[tokio::test]
async fn a_signed_handshake_may_come_by_a_method_of_its_own() {
    let handshake = Handshake::echo_text(Field::json("/challenge"))
        .when(Field::json("/type"), "verify")
        .method(Method::PUT)
        .signed();
    let receiver = declared(handshake).await;
    let body = br#"{"type":"verify","challenge":"marker"}"#;
    let put = async |headers: &[Line], body: &[u8]| {
        receiver.server.send(&request("PUT", "/hook", headers, body)).await.unwrap()
    };

    let right = put(&Sender::GitHub.sign(body), body).await;
    assert_eq!((right.status, right.text()), (200, "marker"));
    let unsigned = put(&[], body).await;
    assert_eq!((unsigned.status, unsigned.text()), (401, REFUSAL));
    let forged = put(&Sender::GitHub.sign(b"{}"), body).await;
    assert_eq!((forged.status, forged.text()), (401, REFUSAL));
    let delivery = put(&Sender::GitHub.sign(BODY), BODY).await;
    assert_eq!((delivery.status, delivery.text()), (403, r#"{"error":"forbidden"}"#));
    assert_eq!(receiver.runs(), 0);

    // By the deliveries' method it is a delivery.
    receiver.accepts(&Sender::GitHub.sign(body), body).await;
    receiver.finish().await;
}

// The answer of a fixed handshake, and of CloudEvents' validation, is given by the head: a body is not waited for.
#[tokio::test]
async fn an_unsigned_handshake_is_answered_from_the_head() {
    let receiver = declared(Handshake::cloud_events()).await;
    let headers = [line("webhook-request-origin", "events.example"), line("content-length", "1000000000000")];
    let answer = receiver.server.send(&head("OPTIONS", "/hook", &headers)).await.unwrap();
    assert_eq!((answer.status, answer.header("webhook-allowed-origin")), (200, Some("events.example")));
    let without = receiver.server.send(&request("OPTIONS", "/hook", &[], b"")).await.unwrap();
    assert_eq!(without.status, 403);
    receiver.finish().await;

    let fixed = Handshake::fixed(Answer::new(StatusCode::NO_CONTENT)).method(Method::HEAD);
    let receiver = declared(fixed).await;
    let mut raw = receiver.server.connect().await;
    raw.send(&request("HEAD", "/hook", &[], b"")).await;
    assert_eq!(raw.answer_to_head().await.map(|answer| answer.status), Some(204));
    assert_eq!(ask(&receiver, "GET", "/hook").await.status, 405);
    receiver.finish().await;
}

// A probe with a bad signature, as some providers send on purpose: accepting one would have the endpoint taken away.
#[tokio::test]
async fn a_signed_ping_with_a_bad_signature_is_401() {
    let ping =
        Handshake::fixed(Answer::new(StatusCode::OK).json(r#"{"type":1}"#)).when(Field::json("/type"), "1").signed();
    let receiver = declared(ping).await;
    let body = br#"{"type":1}"#;

    receiver.refuses_early(&[]).await;
    receiver.refuses(&Sender::GitHub.sign(b"{}"), body).await;
    let answer = receiver.post(&Sender::GitHub.sign(body), body).await;
    assert_eq!((answer.status, answer.text(), receiver.runs()), (200, r#"{"type":1}"#, 0));

    receiver.finish().await;
}

// The same rules hold for a scheme in code: what it answers itself runs no handler.
#[tokio::test]
async fn a_custom_schemes_own_answers_run_no_handler() {
    struct Custom;
    impl CustomScheme for Custom {
        fn name(&self) -> &str {
            "custom"
        }

        fn methods(&self) -> Vec<Method> {
            vec![Method::POST, Method::GET]
        }

        fn inspect(&self, head: Head<'_>, _: std::time::SystemTime) -> Result<Plan, VerifyError> {
            if head.method() == Method::GET {
                let name = HeaderName::from_static("x-own");
                return Ok(Plan::Answer(Answer::new(StatusCode::OK).header(name, HeaderValue::from_static("1"))));
            }
            Ok(Plan::Verify)
        }

        fn verify(
            &self,
            head: Head<'_>,
            body: &[u8],
            keys: Keys<'_>,
            _: std::time::SystemTime,
        ) -> Result<Binding, VerifyError> {
            let claimed = head.headers().get("x-hub-signature-256").map(HeaderValue::as_bytes).unwrap_or_default();
            let index = keys.hmac_sha256_hex(&[body], claimed.strip_prefix(b"sha256=").unwrap_or_default())?;
            let binding = Binding::body().secret_index(index);
            Ok(if body == b"ping" { binding.answer(Answer::new(StatusCode::OK).text("pong")) } else { binding })
        }
    }
    let layer = WebhookLayer::new(Scheme::custom(Custom), Sender::GitHub.secret())
        .with_clock(ManualClock::at_unix_seconds(NOW));
    let receiver = Receiver::behind(Sender::GitHub, layer).await;

    let got = ask(&receiver, "GET", "/hook").await;
    assert_eq!((got.status, got.header("x-own")), (200, Some("1")));
    let pong = receiver.post(&Sender::GitHub.sign(b"ping"), b"ping").await;
    assert_eq!((pong.status, pong.text()), (200, "pong"));
    receiver.refuses(&Sender::GitHub.sign(b"{}"), b"ping").await;
    receiver.refuses(&[], b"ping").await;
    assert_eq!(ask(&receiver, "DELETE", "/hook").await.header("allow"), Some("POST, GET"));
    assert_eq!(receiver.runs(), 0);

    receiver.finish().await;
}
