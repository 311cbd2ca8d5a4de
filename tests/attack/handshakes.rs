//! Handshakes that are forged, reflected, or turned against the key, over real sockets.

use http::{HeaderName, HeaderValue, Method, StatusCode};
use serve::{Answer as Received, NEVER, REFUSAL, Receiver, head, request};
use sign::{Line, NOW, Sender, hmac_sha256, line};
use tower_webhooks::{
    Head, Scheme, Secret, WebhookLayer,
    clock::ManualClock,
    error::{ConfigErrorKind, VerifyError},
    scheme::{Answer, Binding, CustomScheme, Field, Handshake, Keys, Plan, SchemeBuilder},
};

use crate::support::{serve, sign};

const BODY: &[u8] = br#"{"id":"evt_1","type":"ping","data":{}}"#;
const TOKEN: &str = "the token that both sides know";

/// Text that would run in a browser if it were served as HTML.
const SCRIPT: &str = "<script>alert(1)</script>";

fn like_github() -> SchemeBuilder {
    Scheme::hmac_sha256().name("declared").header("x-hub-signature-256").prefix("sha256=").hex().signs("{body}")
}

async fn declared(handshake: Handshake) -> Receiver {
    declared_by(like_github().handshake(handshake)).await
}

async fn declared_by(scheme: SchemeBuilder) -> Receiver {
    let scheme = scheme.build().expect("the declaration is whole");
    let needs_token = scheme.needs_verify_token();
    let layer = WebhookLayer::new(scheme, Sender::GitHub.secret())
        .with_clock(ManualClock::at_unix_seconds(NOW))
        .with_body_timeout(NEVER);
    let token = || Secret::new(TOKEN).expect("the token is one");
    let layer = if needs_token { layer.with_verify_token(token()) } else { layer };
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

// Echoing an unverified challenge would confirm the endpoint to anyone who asks.
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

// The echoed text comes from outside, and must not be served as HTML.
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
        Handshake::echo_text(Field::json("/challenge")).present(Field::json("/challenge")),
        Handshake::echo_text(Field::query("c")).when(Field::json("/type"), "x"),
        Handshake::challenge(Field::json("/token"), "response").present(Field::header("x-a")),
        Handshake::echo_text(Field::header("x-a").or(Field::json("/c"))).present(Field::header("x-a")),
    ] {
        let error = like_github().handshake(handshake.clone()).build().unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::Scheme);
        assert!(like_github().handshake(handshake.signed()).build().is_ok());
    }
}

// --- The answer to an unsigned challenge is made with the key that signs deliveries ---------------------------------------------

/// X's challenge-response check: GET with a random token, answered with its MAC.
fn crc() -> Handshake {
    Handshake::challenge(Field::query("crc_token"), "response_token")
        .with_prefix("sha256=")
        .present(Field::query("crc_token"))
        .method(Method::GET)
}

fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Asks for the MAC of a text, as an attacker who knows only the URL.
async fn oracle(receiver: &Receiver, text: &str) -> Option<String> {
    let answer = ask(receiver, "GET", &format!("/hook?crc_token={}", escaped(text))).await;
    if answer.status != 200 {
        assert_eq!((answer.status, answer.text()), (403, r#"{"error":"forbidden"}"#), "{text:.40}");
        return None;
    }
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let tag = hmac_sha256(Sender::GitHub.secret_text().as_bytes(), text.as_bytes());
    let value = format!("sha256={}", data_encoding::HEXLOWER.encode(&tag));
    assert_eq!(answer.text(), format!(r#"{{"response_token":"{value}"}}"#));
    Some(value)
}

// Whatever the oracle signs is refused as a delivery, before the handler; whatever is a delivery it does not sign.
#[tokio::test]
async fn a_challenge_signs_no_delivery() {
    let receiver = declared(crc()).await;

    let never = [
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
    for challenge in never {
        assert_eq!(oracle(&receiver, challenge).await, None, "{challenge:.40}");
    }
    // What may be asked: a random token, and scalars, which are JSON too.
    for token in [
        "MTUzNDU2Nzg5MA==",
        "a1b2c3d4-e5f6_7890.~",
        "3ca369e1:4f/5+6",
        "123",
        "-1.5e+9",
        "true",
        "null",
        &"x".repeat(256),
    ] {
        let signature = oracle(&receiver, token).await.expect(token);
        receiver.refuses(&[line("x-hub-signature-256", signature)], token.as_bytes()).await;
    }
    assert_eq!(receiver.runs(), 0);

    // True deliveries are objects, arrays, strings or forms, and all pass.
    for body in [BODY, b"{}", b"[1]", b"\"text\"", b"a=1&b=2", b"x".repeat(257).as_slice(), b""] {
        receiver.accepts(&Sender::GitHub.sign(body), body).await;
    }
    receiver.finish().await;
}

// A scalar behind a timestamp is a whole signed text too.
#[tokio::test]
async fn a_challenge_signs_no_delivery_with_a_timestamp() {
    let scheme = like_github().timestamp(Field::header("x-time")).signs("{timestamp}.{body}").handshake(crc());
    let layer = WebhookLayer::new(scheme, Sender::GitHub.secret()).with_clock(ManualClock::at_unix_seconds(NOW));
    let receiver = Receiver::behind(Sender::GitHub, layer).await;

    let signature = oracle(&receiver, &format!("{NOW}.true")).await.expect("it is a token");
    let headers = [line("x-hub-signature-256", signature), line("x-time", NOW.to_string())];
    receiver.refuses(&headers, b"true").await;
    assert_eq!(receiver.runs(), 0);
    receiver.server.stop().await;
}

// Without a body in it, every signed text is a token: such a scheme would sign what anybody asks for.
#[test]
fn an_unsigned_challenge_of_a_scheme_whose_texts_are_tokens_does_not_build() {
    let scheme = |signs: &'static str, handshake: Handshake| {
        let base = Scheme::hmac_sha256().header("x-sig").hex().id(Field::header("x-id"));
        let base = if signs.contains("{timestamp}") { base.timestamp(Field::header("x-time")) } else { base };
        base.signs(signs).handshake(handshake).build()
    };
    for signs in
        ["{id}:{timestamp}", "{timestamp}:{url}", "{timestamp}", "{id}.{timestamp}", "{method}.{url}", "{json:/a}"]
    {
        let error = scheme(signs, crc()).unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::Scheme);
        assert!(error.to_string().contains("have a delivery signed by the unsigned challenge"), "{signs}: {error}");
        // Once the sender has proven itself, it may ask for anything.
        assert!(scheme(signs, crc().signed()).is_ok(), "{signs}");
    }
    // A byte that no challenge holds keeps the two apart.
    for signs in ["{id}|{timestamp}", "v0\n{timestamp}", "{body}", "{timestamp}.{body}", "{url}\n{timestamp}"] {
        assert!(scheme(signs, crc()).is_ok(), "{signs}");
    }
    // Another algorithm: the answer is HMAC-SHA-256, and is no signature there.
    for begin in [Scheme::hmac_sha512, Scheme::insecure_hmac_sha1] {
        let scheme = begin().header("x-sig").hex().id(Field::header("x-id")).timestamp(Field::header("x-time"));
        assert!(scheme.signs("{id}:{timestamp}").handshake(crc()).build().is_ok());
    }
}

// --- Handshakes and options that do something else than they say ----------------------------------------------------------------

// Without a condition every delivery would be answered, and none handled.
#[test]
fn a_handshake_that_nothing_tells_from_a_delivery_does_not_build() {
    let ok = || Answer::new(StatusCode::OK);
    for handshake in [
        Handshake::fixed(ok()),
        Handshake::fixed(ok()).signed(),
        Handshake::echo_text(Field::query("c")),
        Handshake::echo_text(Field::query("c")).verify_token("t"),
        Handshake::challenge(Field::json("/c"), "r").signed(),
    ] {
        let error = like_github().handshake(handshake.clone()).build().unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::Scheme);
        assert!(error.to_string().contains("by which deliveries come too"), "{error}");

        assert!(like_github().handshake(handshake.clone().present(Field::query("c"))).build().is_ok());
        // A method of its own is a condition as well.
        let apart = handshake.clone().method(Method::GET);
        assert!(like_github().handshake(apart.clone()).build().is_ok());
        assert!(like_github().handshake(apart).methods([Method::GET, Method::POST]).build().is_err());
    }
}

#[test]
fn a_word_about_a_challenge_on_another_handshake_does_not_build() {
    let echo = || Handshake::echo_text(Field::query("c")).method(Method::GET);
    for (handshake, word) in [
        (echo().with_echo("e"), "with_echo"),
        (echo().with_prefix("p"), "with_prefix"),
        (echo().with_base64(), "with_base64"),
    ] {
        let error = like_github().handshake(handshake).build().unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
    }
}

// An application that calls `with_tolerance` with a scheme without a timestamp expects a window that does not exist.
#[test]
fn an_option_without_an_effect_stops_the_application_at_its_start() {
    let token = || Secret::new(TOKEN).unwrap();
    let window = std::time::Duration::from_secs(60);
    let github = || WebhookLayer::new(like_github(), Sender::GitHub.secret());
    let custom = || WebhookLayer::new(Scheme::custom(Custom), Sender::GitHub.secret());
    for (layer, option) in [
        (github().with_tolerance(window), "with_tolerance"),
        (github().with_public_url("https://example.com"), "with_public_url"),
        (github().with_replaced_prefix("/a", "/b"), "with_replaced_prefix"),
        (github().with_verify_token(token()), "with_verify_token"),
        (github().with_verify_token(token()).with_insecure_no_verification(), "with_verify_token"),
        (custom().with_tolerance(window), "with_tolerance"),
        (custom().with_public_url("https://example.com"), "with_public_url"),
        (custom().with_verify_token(token()), "with_verify_token"),
        (Sender::Stripe.layer().with_tolerance(std::time::Duration::MAX), "insecure_no_replay_window"),
    ] {
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            layer.layer(tower::util::service_fn(unreachable));
        }))
        .unwrap_err();
        let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
        assert!(text.contains(option), "{option}: {text}");
    }
    // A scheme that brings it along is not taken at all.
    let scheme = like_github().build().unwrap().with_tolerance(window);
    let error = WebhookLayer::try_new(scheme, Sender::GitHub.secret()).unwrap_err();
    assert_eq!(error.kind(), ConfigErrorKind::Option);
    assert!(error.to_string().contains("signs no timestamp"), "{error}");
}

#[test]
fn a_word_about_a_timestamp_that_is_not_there_does_not_build() {
    for scheme in [
        like_github().unit(tower_webhooks::scheme::TimestampUnit::Milliseconds),
        like_github().tolerance(std::time::Duration::from_secs(60)),
        like_github().insecure_no_replay_window(),
    ] {
        let error = scheme.build().unwrap_err();
        assert!(error.to_string().contains("`.timestamp(…)`"), "{error}");
    }
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

/// A scheme in code that answers GET from the head, and `ping` once its signature has passed.
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

// The same rules hold for a custom scheme: a request that it answers itself runs no handler.
#[tokio::test]
async fn a_custom_schemes_own_answers_run_no_handler() {
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

// A probe that the sender repeats must not reach the handler only because nothing is verified.
#[tokio::test]
async fn a_custom_schemes_handshake_is_answered_without_verification_too() {
    let layer = WebhookLayer::new(Scheme::custom(Custom), Sender::GitHub.secret()).with_insecure_no_verification();
    let receiver = Receiver::behind(Sender::GitHub, layer).await;

    let got = ask(&receiver, "GET", "/hook").await;
    assert_eq!((got.status, got.header("x-own"), receiver.runs()), (200, Some("1"), 0));
    assert_eq!(receiver.post(&[], BODY).await.status, 200);
    assert_eq!(receiver.runs(), 1);
    receiver.server.stop().await;
}

// A payload that is at no place would silently be the whole body.
#[test]
fn a_custom_scheme_with_a_payload_at_no_place_stops_the_application_at_its_start() {
    struct Misplaced;
    impl CustomScheme for Misplaced {
        fn name(&self) -> &str {
            "misplaced"
        }

        fn inspect(&self, _: Head<'_>, _: std::time::SystemTime) -> Result<Plan, VerifyError> {
            Ok(Plan::Verify)
        }

        fn verify(&self, _: Head<'_>, _: &[u8], _: Keys<'_>, _: std::time::SystemTime) -> Result<Binding, VerifyError> {
            Ok(Binding::body())
        }

        fn payload(&self) -> &str {
            "data"
        }
    }
    let error = WebhookLayer::try_new(Scheme::custom(Misplaced), Sender::GitHub.secret()).unwrap_err();
    assert_eq!(error.kind(), ConfigErrorKind::Scheme);
    assert!(error.to_string().contains("`data`, which is not a JSON pointer"), "{error}");
    // Without a layer nothing passes either.
    let (head, ()) = http::Request::post("/").body(()).unwrap().into_parts();
    let secrets = tower_webhooks::Secrets::new(Sender::GitHub.secret());
    assert!(Scheme::custom(Misplaced).verify(&head, "{}", &secrets, std::time::SystemTime::UNIX_EPOCH).is_err());
}
