//! Bodies that are changed, malformed, too large, encoded, or meant to hurt a parser, over real sockets.

use axum::{
    Json, Router,
    body::{Body, Bytes},
    routing::post,
};
use http::{Request, Response};
use serde_json::Value;
use serve::{NEVER, REFUSAL, Receiver, Server, head, request};
use sign::{Line, NOW, Sender, line};
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_http::decompression::RequestDecompressionLayer;
use tower_webhooks::{Scheme, VerifiedBody, VerifiedEnvelope, VerifiedEvent, WebhookLayer};

use crate::support::{serve, sign};

const BODY: &[u8] = br#"{"id":"evt_1","type":"invoice.paid","data":{"object":{"n":1}}}"#;

/// A server whose handlers parse: `/event` the payload, `/envelope` the whole body, `/unit` nothing.
async fn parsing(sender: Sender) -> Server {
    let event = |event: VerifiedEvent<Value>| async move { event.to_string() };
    let envelope = |envelope: VerifiedEnvelope<Value>| async move { envelope.to_string() };
    let raw = |body: VerifiedBody| async move { body.into_bytes() };
    let json = |Json(value): Json<Value>| async move { value.to_string() };
    Server::start(
        Router::new()
            .route("/event", post(event))
            .route("/envelope", post(envelope))
            .route("/raw", post(raw))
            .route("/json", post(json))
            .route_layer(sender.layer().with_body_limit(4 * 1024 * 1024)),
    )
    .await
}

async fn send(server: &Server, path: &str, headers: &[Line], body: &[u8]) -> (u16, String) {
    let answer = server.send(&request("POST", path, headers, body)).await.expect("there is an answer");
    (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
}

// The base case.
#[tokio::test]
async fn a_body_with_one_changed_bit_is_refused() {
    for sender in Sender::ALL {
        let receiver = Receiver::new(sender).await;

        for at in [0, BODY.len() / 2, BODY.len() - 1] {
            for bit in 0..8 {
                let mut body = BODY.to_vec();
                body[at] ^= 1 << bit;
                receiver.refuses(&sender.sign(BODY), &body).await;
            }
        }
        for body in [&BODY[1..], &BODY[..BODY.len() - 1], b"", &[BODY, b" "].concat(), &[b" ", BODY].concat()] {
            receiver.refuses(&sender.sign(BODY), body).await;
        }

        receiver.finish().await;
    }
}

// The same JSON in other bytes: the signature covers the bytes.
#[tokio::test]
async fn a_body_that_means_the_same_in_other_bytes_is_refused() {
    let signed = "{\"id\":\"evt_1\",\"name\":\"caf\u{e9}\",\"n\":1.0}\n";
    let others = [
        "{\"name\":\"caf\u{e9}\",\"id\":\"evt_1\",\"n\":1.0}\n",
        "{ \"id\": \"evt_1\", \"name\": \"caf\u{e9}\", \"n\": 1.0 }\n",
        "{\"id\":\"evt_1\",\"name\":\"caf\u{e9}\",\"n\":1.0}",
        "{\"id\":\"evt_1\",\"name\":\"caf\u{e9}\",\"n\":1.0}\r\n",
        "{\"id\":\"evt_1\",\"name\":\"caf\u{e9}\",\"n\":1.0}\n\n",
        "{\"id\":\"evt_1\",\"name\":\"cafe\u{301}\",\"n\":1.0}\n",
        "{\"id\":\"evt_1\",\"name\":\"caf\\u00e9\",\"n\":1.0}\n",
        "{\"id\":\"evt_1\",\"name\":\"caf\u{e9}\",\"n\":1}\n",
        "\u{feff}{\"id\":\"evt_1\",\"name\":\"caf\u{e9}\",\"n\":1.0}\n",
    ];
    for sender in Sender::ALL {
        let receiver = Receiver::new(sender).await;

        for other in others {
            receiver.refuses(&sender.sign(signed.as_bytes()), other.as_bytes()).await;
        }
        let utf16: Vec<u8> = signed.encode_utf16().flat_map(u16::to_le_bytes).collect();
        receiver.refuses(&sender.sign(signed.as_bytes()), &utf16).await;
        receiver.accepts(&sender.sign(signed.as_bytes()), signed.as_bytes()).await;

        receiver.finish().await;
    }
}

// A check over a lossy text takes every broken byte for the same replacement character.
#[tokio::test]
async fn a_broken_byte_is_not_the_replacement_character() {
    for sender in Sender::ALL {
        let receiver = Receiver::new(sender).await;

        receiver.refuses(&sender.sign("{\"n\":\"\u{fffd}\"}".as_bytes()), b"{\"n\":\"\xff\"}").await;
        receiver.refuses(&sender.sign(b"{\"n\":\"\xff\"}"), "{\"n\":\"\u{fffd}\"}".as_bytes()).await;
        receiver.refuses(&sender.sign(b"{\"n\":\"\xff\"}"), b"{\"n\":\"\xfe\"}").await;

        receiver.finish().await;
    }
}

// A sender may sign a body that is not text. A handler can read its bytes; only a parser refuses them.
#[tokio::test]
async fn a_signed_body_that_is_no_text_is_there_raw_and_is_400_when_parsed() {
    let body = b"{\"n\":\"\xff\xfe\"}";
    for sender in Sender::ALL {
        let server = parsing(sender).await;
        let headers = sender.sign(body);

        let raw = server.send(&request("POST", "/raw", &headers, body)).await.unwrap();
        let event = send(&server, "/event", &headers, body).await;
        let envelope = send(&server, "/envelope", &headers, body).await;

        assert_eq!((raw.status, raw.body.as_slice()), (200, &body[..]), "{sender:?}");
        assert_eq!(event, (400, r#"{"error":"malformed_body"}"#.to_owned()), "{sender:?}");
        assert_eq!(envelope, event, "{sender:?}");
    }
}

// No body is a body of no bytes.
#[tokio::test]
async fn an_empty_body_is_verified_like_any_other() {
    for sender in Sender::ALL {
        let receiver = Receiver::new(sender).await;
        receiver.accepts(&sender.sign(b""), b"").await;
        receiver.refuses(&sender.sign(b"{}"), b"").await;
        receiver.refuses(&sender.sign(b""), b"{}").await;
        receiver.finish().await;

        let server = parsing(sender).await;
        assert_eq!(send(&server, "/event", &sender.sign(b""), b"").await.0, 400, "{sender:?}");
        assert_eq!(send(&server, "/raw", &sender.sign(b""), b"").await, (200, String::new()), "{sender:?}");
    }
}

// Nothing is parsed before it is verified: of two faults, the signature's is the one that shows.
#[tokio::test]
async fn an_unsigned_body_is_never_parsed() {
    for sender in Sender::ALL {
        let server = parsing(sender).await;

        for body in [&b"not json"[..], b"\xff", &b"[".repeat(100_000)] {
            let refused = (401, REFUSAL.to_owned());
            assert_eq!(send(&server, "/event", &sender.sign(BODY), body).await, refused, "{sender:?}");
        }
    }
}

// A signed but invalid body is rejected with a status and one line, which contain nothing of the body.
#[tokio::test]
async fn a_signed_body_that_is_not_json_is_400_without_a_word_of_it() {
    let bodies: [&[u8]; 11] = [
        b"marker-7f3a",
        b"{\"marker-7f3a\"",
        b"{\"a\":1}{\"a\":2}",
        b"{\"a\":1} marker-7f3a",
        b"{\"a\":1} // marker-7f3a",
        b"/* marker-7f3a */{\"a\":1}",
        b"{'a':'marker-7f3a'}",
        b"{\"a\":1,}",
        b"{a:1}",
        b"{\"a\":\"line\nbreak\"}",
        b"\xef\xbb\xbf{\"a\":1}",
    ];
    for sender in Sender::ALL {
        let server = parsing(sender).await;

        for body in bodies {
            for path in ["/event", "/envelope"] {
                let answer = send(&server, path, &sender.sign(body), body).await;
                let shown = String::from_utf8_lossy(body);
                assert_eq!(answer, (400, r#"{"error":"malformed_body"}"#.to_owned()), "{sender:?} {path} {shown}");
            }
        }
    }
}

// A form is read if the sender is known to post forms. Otherwise it is an error of its own kind, never a success that
// nobody has read.
#[tokio::test]
async fn a_signed_form_is_read_or_refused_by_what_the_sender_posts() {
    let form = b"a=marker-7f3a&b=2";
    for sender in Sender::ALL {
        let server = parsing(sender).await;

        for path in ["/event", "/envelope"] {
            let (status, text) = send(&server, path, &sender.sign(form), form).await;
            let expected = match sender {
                // The fields are a slash command.
                Sender::Slack => (200, r#"{"a":"marker-7f3a","b":"2"}"#),
                // The JSON would be in the field `payload`.
                Sender::GitHub => (400, r#"{"error":"malformed_body"}"#),
                Sender::StandardWebhooks | Sender::Stripe | Sender::Svix => (415, r#"{"error":"unsupported_form"}"#),
            };
            assert_eq!((status, text.as_str()), expected, "{sender:?} {path}");
        }
    }
}

// Deep nesting is cheap to send and expensive to parse.
#[tokio::test]
async fn very_deep_json_is_refused_and_overflows_no_stack() {
    let deep: [Vec<u8>; 4] = [
        b"[".repeat(100_000),
        b"{\"a\":".repeat(50_000),
        [b"[".repeat(100_000), b"]".repeat(100_000)].concat(),
        [b"{\"a\":".repeat(50_000), b"1".to_vec(), b"}".repeat(50_000)].concat(),
    ];
    for sender in Sender::ALL {
        let server = parsing(sender).await;

        for body in &deep {
            for path in ["/event", "/envelope"] {
                let (status, text) = send(&server, path, &sender.sign(body), body).await;
                assert!([400, 422].contains(&status), "{sender:?} {path}: {status} {text}");
            }
            // On the way to the payload as well as in it.
            let inside = [br#"{"data":{"object":"#, body.as_slice(), br#"},"event":"#, body, br#"}"#].concat();
            let (status, _) = send(&server, "/event", &sender.sign(&inside), &inside).await;
            assert!([400, 422].contains(&status), "{sender:?}: {status}");
        }
        assert_eq!(send(&server, "/raw", &sender.sign(BODY), BODY).await.0, 200, "the server lives");
    }
}

// Keys that mean something elsewhere, very many of them, and very long ones.
#[tokio::test]
async fn strange_keys_are_keys_like_any_other() {
    let many: String = (0..20_000).map(|index| format!("\"k{index}\":{index},")).collect();
    let long = "k".repeat(1 << 20);
    let inside = [
        r#""__proto__":{"admin":true}"#.to_owned(),
        r#""constructor":{"prototype":1}"#.to_owned(),
        format!("{many}\"last\":1"),
        format!("\"{long}\":1"),
        r#""":1"#.to_owned(),
        r#""\u0000":1"#.to_owned(),
        r#""a/b~c":1"#.to_owned(),
    ];
    for sender in Sender::ALL {
        let server = parsing(sender).await;

        for keys in &inside {
            let body =
                format!(r#"{{"id":"evt_1","type":"t",{keys},"data":{{"object":{{{keys}}}}},"event":{{{keys}}}}}"#);
            let (status, text) = send(&server, "/event", &sender.sign(body.as_bytes()), body.as_bytes()).await;
            assert_eq!(status, 200, "{sender:?}: {}", &text[..text.len().min(200)]);
        }
    }
}

// Numbers at and beyond the limits of the number types.
#[tokio::test]
async fn numbers_beyond_every_type_do_no_harm() {
    let digits = "7".repeat(50_000);
    let numbers = [
        "1e999999",
        "-1e999999",
        &digits,
        "-0.0",
        "18446744073709551616",
        "-9223372036854775809",
        "1e-999999",
        "0.1e1",
    ];
    for sender in Sender::ALL {
        let server = parsing(sender).await;

        for number in numbers {
            let body = format!(
                r#"{{"id":{number},"type":{number},"data":{{"object":{{"n":{number}}}}},"event":{{"n":{number}}}}}"#
            );
            let (status, _) = send(&server, "/event", &sender.sign(body.as_bytes()), body.as_bytes()).await;
            assert!([200, 400].contains(&status), "{sender:?} {}: {status}", &number[..number.len().min(30)]);
        }
        for number in ["01", "+1", ".5", "1.", "0x1", "1_0", "NaN", "Infinity", "-", "1e"] {
            let body = format!(r#"{{"data":{{"object":{number}}},"event":{number}}}"#);
            let (status, _) = send(&server, "/event", &sender.sign(body.as_bytes()), body.as_bytes()).await;
            assert_eq!(status, 400, "{sender:?} {number}");
        }
    }
}

// A key that is there twice means one thing to one reader and another thing to the next.
#[tokio::test]
async fn a_key_that_is_repeated_on_the_way_to_the_payload_is_400() {
    let server = parsing(Sender::Stripe).await;
    for body in [
        r#"{"data":{"object":{}},"data":{"object":{}}}"#,
        r#"{"data":{"object":1,"object":2}}"#,
        r#"{"data":{"object":1},"d\u0061ta":{"object":2}}"#,
        r#"{"id":"a","data":{"object":1},"id":"b"}"#,
    ] {
        let answer = send(&server, "/event", &Sender::Stripe.sign(body.as_bytes()), body.as_bytes()).await;
        assert_eq!(answer, (400, r#"{"error":"malformed_body"}"#.to_owned()), "{body}");
    }
}

// The limit is the last size that passes; what says that it is larger is not read at all.
#[tokio::test]
async fn the_body_limit_is_exact_and_a_declared_excess_is_refused_unread() {
    const LIMIT: usize = 64 * 1024;
    for sender in Sender::ALL {
        let receiver = Receiver::with(sender, |layer| layer.with_body_limit(LIMIT)).await;

        for length in [LIMIT - 1, LIMIT] {
            let body = vec![b'x'; length];
            receiver.accepts(&sender.sign(&body), &body).await;
        }
        let before = receiver.runs();
        for declared in [LIMIT as u64 + 1, 1 << 40, i64::MAX as u64] {
            let mut headers = sender.sign(BODY);
            headers.push(line("content-length", declared.to_string()));
            let mut bytes = head("POST", "/hook", &headers);
            bytes.extend_from_slice(&[b'x'; 1024]);
            let mut raw = receiver.server.connect().await;
            raw.send(&bytes).await;
            let answer = raw.answer().await.expect("there is an answer");
            assert_eq!((answer.status, answer.text()), (413, r#"{"error":"body_too_large"}"#), "{sender:?} {declared}");
            assert!(raw.is_closed().await, "what follows is no request");
        }

        assert_eq!(receiver.runs(), before);
        receiver.finish().await;
    }
}

// A length that is not said is found out on the way.
#[tokio::test]
async fn a_chunked_body_is_cut_as_soon_as_it_passes_the_limit() {
    const LIMIT: usize = 64 * 1024;
    for sender in Sender::ALL {
        let receiver = Receiver::with(sender, |layer| layer.with_body_limit(LIMIT)).await;
        let chunked = |body: &[u8]| {
            let mut headers = sender.sign(body);
            headers.push(line("transfer-encoding", "chunked"));
            head("POST", "/hook", &headers)
        };
        let chunk = [format!("{:x}\r\n", 1024).into_bytes(), vec![b'x'; 1024], b"\r\n".to_vec()].concat();

        let whole = vec![b'x'; LIMIT];
        let mut fits = receiver.server.connect().await;
        fits.send(&[chunked(&whole), chunk.repeat(LIMIT / 1024), b"0\r\n\r\n".to_vec()].concat()).await;
        assert_eq!(fits.answer().await.map(|answer| answer.status), Some(200), "{sender:?}");

        // One byte more, and no end: the answer does not wait for one.
        let mut exceeds = receiver.server.connect().await;
        exceeds.send(&[chunked(&whole), chunk.repeat(LIMIT / 1024), b"1\r\nx\r\n".to_vec()].concat()).await;
        assert_eq!(exceeds.answer().await.map(|answer| answer.status), Some(413), "{sender:?}");
        assert!(exceeds.is_closed().await, "{sender:?}");

        receiver.finish().await;
    }
}

// The bytes on the wire are not those that were signed, or they are a bomb.
#[tokio::test]
async fn an_encoded_body_is_415_before_it_is_read() {
    for sender in Sender::ALL {
        let receiver = Receiver::new(sender).await;

        for coding in
            ["gzip", "br", "deflate", "zstd", "x-gzip", "identity, gzip", "gzip, identity", "unknown", "", "GZIP"]
        {
            let mut headers = sender.sign(BODY);
            headers.push(line("content-encoding", coding));
            let answer = receiver.post_head(&headers).await;
            assert_eq!(
                (answer.status, answer.text()),
                (415, r#"{"error":"unsupported_content_encoding"}"#),
                "{coding:?}"
            );
        }
        // Two lines are one list.
        let mut headers = sender.sign(BODY);
        headers.extend([line("content-encoding", "identity"), line("content-encoding", "gzip")]);
        assert_eq!(receiver.post_head(&headers).await.status, 415);
        assert_eq!(receiver.runs(), 0);

        let mut headers = sender.sign(BODY);
        headers.push(line("content-encoding", "Identity"));
        receiver.accepts(&headers, BODY).await;
        // Without a right head there is nothing to be learnt about codings.
        receiver.refuses_early(&[line("content-encoding", "gzip")]).await;
        receiver.finish().await;
    }
}

// Decompression outside the layer gives it other bytes than the signed ones. Inside the layer, it works on verified
// bytes.
#[tokio::test]
async fn decompression_belongs_inside_the_layer() {
    let wire = gzip(BODY);
    let echo = || {
        service_fn(|request: Request<Body>| async {
            let bytes = axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap_or_default();
            Ok::<_, std::convert::Infallible>(Response::new(Body::from(bytes)))
        })
    };
    let scheme = || {
        Scheme::hmac_sha256()
            .header("x-hub-signature-256")
            .prefix("sha256=")
            .hex()
            .signs("{body}")
            .signs_encoded_bodies()
    };
    let layer = || WebhookLayer::new(scheme(), Sender::GitHub.secret()).with_body_limit(wire.len());
    let delivery = || {
        let mut request = serve::request_h2("POST", "/hook", &Sender::GitHub.sign(&wire), &wire).map(Body::new);
        request.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
        request
    };

    let outside = ServiceBuilder::new()
        .layer(RequestDecompressionLayer::new())
        .layer(layer())
        .map_request(|request: Request<_>| request.map(Body::new))
        .service(echo());
    let refused = outside.oneshot(delivery()).await.unwrap();
    assert_eq!(refused.status(), 401);

    let inside = ServiceBuilder::new()
        .layer(layer())
        .layer(RequestDecompressionLayer::new())
        .map_request(|request: Request<_>| request.map(Body::new))
        .service(echo());
    let accepted = inside.oneshot(delivery()).await.unwrap();
    assert_eq!(accepted.status(), 200);
    assert_eq!(axum::body::to_bytes(Body::new(accepted.into_body()), usize::MAX).await.unwrap(), BODY);
}

/// RFC 1952 around one stored block of RFC 1951: larger than its content, and decodable by everyone.
fn gzip(content: &[u8]) -> Vec<u8> {
    let crc = !content.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
    });
    let length = u16::try_from(content.len()).expect("the content is short");
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    bytes.extend(length.to_le_bytes());
    bytes.extend((!length).to_le_bytes());
    bytes.extend(content);
    bytes.extend(crc.to_le_bytes());
    bytes.extend(u32::from(length).to_le_bytes());
    bytes
}

// The content type has no effect: no body is refused or converted because of it.
#[tokio::test]
async fn the_content_type_neither_blocks_nor_changes_a_body() {
    let long = "x".repeat(3000);
    let types = [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=utf-16",
        "multipart/form-data",
        "application/jose+json",
        "/",
        &long,
    ];
    for sender in Sender::ALL {
        let receiver = Receiver::new(sender).await;
        let body = "{\"name\":\"caf\u{e9}\"}".as_bytes();

        receiver.accepts(&sender.sign(body), body).await;
        for content_type in types {
            let mut headers = sender.sign(body);
            headers.push(line("content-type", content_type));
            receiver.accepts(&headers, body).await;
        }

        receiver.finish().await;
    }
}

// Slack's interactive components: the form is signed as sent, and the handler decodes it.
#[tokio::test]
async fn a_signed_form_reaches_the_handler_as_it_was_signed() {
    let form = b"payload=%7B%22type%22%3A%22block_actions%22%7D&x=a+b";
    let receiver = Receiver::new(Sender::Slack).await;
    let mut headers = Sender::Slack.sign(form);
    headers.push(line("content-type", "application/x-www-form-urlencoded"));

    receiver.accepts(&headers, form).await;
    // The same fields in other bytes.
    receiver.refuses(&headers, b"payload=%7B%22type%22%3A%22block_actions%22%7D&x=a%20b").await;
    receiver.refuses(&headers, b"payload=%7b%22type%22%3a%22block_actions%22%7d&x=a+b").await;
    receiver.refuses(&headers, br#"{"type":"block_actions"}"#).await;

    receiver.finish().await;
}

// The framework's default limit of 2 MB must not apply to a body that the layer has accepted.
#[tokio::test]
async fn a_verified_body_of_more_than_two_mebibytes_reaches_bytes_and_json() {
    let body = format!(r#"{{"data":{{"object":{{}}}},"event":{{}},"fill":"{}"}}"#, "x".repeat(3 << 20)).into_bytes();
    for sender in Sender::ALL {
        let server = Server::start(
            Router::new()
                .route("/bytes", post(|body: Bytes| async move { body.len().to_string() }))
                .route("/string", post(|body: String| async move { body.len().to_string() }))
                .route(
                    "/json",
                    post(|Json(value): Json<Value>| async move {
                        value["fill"].as_str().map(str::len).unwrap_or_default().to_string()
                    }),
                )
                .route("/event", post(|event: VerifiedEvent<Value>| async move { event.raw().len().to_string() }))
                .route_layer(sender.layer().with_body_limit(4 << 20)),
        )
        .await;
        let mut headers = sender.sign(&body);
        headers.push(line("content-type", "application/json"));

        for (path, length) in
            [("/bytes", body.len()), ("/string", body.len()), ("/json", 3 << 20), ("/event", body.len())]
        {
            assert_eq!(send(&server, path, &headers, &body).await, (200, length.to_string()), "{sender:?} {path}");
        }
    }
}

// The cost of a rejection is bounded by the limit, however many there are.
#[tokio::test]
async fn many_large_bodies_with_wrong_signatures_are_all_refused() {
    const LIMIT: usize = 256 * 1024;
    let count = if serve::long() { 200 } else { 20 };
    let receiver = Receiver::with(Sender::GitHub, |layer| layer.with_body_limit(LIMIT)).await;
    let body = vec![b'x'; LIMIT - 1];
    let wrong = Sender::GitHub.claiming(format!("sha256={}", "00".repeat(32)));

    for _ in 0..count {
        receiver.refuses(&wrong, &body).await;
    }

    receiver.finish().await;
}

// With decoding left to the application, an answer never waits for a body that the head has condemned.
#[tokio::test]
async fn a_body_that_never_comes_is_not_waited_for_when_the_head_is_wrong() {
    let layer = Sender::Stripe.layer().with_body_timeout(NEVER);
    let receiver = Receiver::behind(Sender::Stripe, layer).await;
    let mut headers = Sender::Stripe.sign_at(&(NOW - 301).to_string(), BODY);
    headers.push(line("transfer-encoding", "chunked"));

    let answer = receiver.server.send(&head("POST", "/hook", &headers)).await.expect("there is an answer");

    assert_eq!(answer.status, 401);
    receiver.finish().await;
}
