//! Signed texts that an attacker cuts in another way: other parts, the same text, the same signature.

use std::{
    collections::HashSet,
    time::{Duration, UNIX_EPOCH},
};

use axum::{Router, routing::post};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use http::{HeaderMap, HeaderValue, Method, Uri};
use proptest::prelude::*;
use serve::{Server, request};
use sign::{ID, Line, NOW, Sender, hmac_sha256, line};
use tower_webhooks::{
    Head, Provider, Scheme, Secret, Secrets, WebhookLayer,
    clock::ManualClock,
    error::{VerifyError, VerifyErrorKind},
    scheme::{Field, Form, SchemeBuilder, TimestampUnit},
};

use crate::support::{serve, sign};

const KEY: &str = "a signing key of some length";
const BASE: &str = "https://a.test";

fn begin() -> SchemeBuilder {
    Scheme::hmac_sha256().header("x-sig").hex().id(Field::header("x-id")).timestamp(Field::header("x-time"))
}

fn declare(signs: &str) -> Result<Scheme, String> {
    // A scheme whose timestamp is not signed does not build, so it is declared only where it is signed.
    let scheme = if signs.contains("{timestamp}") {
        begin()
    } else {
        Scheme::hmac_sha256().header("x-sig").hex().id(Field::header("x-id"))
    };
    let scheme = scheme.items(";").pairs("=").key("s").signs(signs.to_owned()).build();
    scheme.map_err(|error| error.to_string())
}

// The end of one part is the beginning of the next, and nothing in the text says where.
#[test]
fn parts_that_nothing_separates_do_not_build() {
    for signs in [
        "{header:x-a}{body}",
        "{query:n}{body}",
        "{param:n}{body}",
        "{id}{body}",
        "{json:/a}{body}",
        "{header:x-a}{header:x-b}",
        "{header:x-a}{header:x-b}.{body}",
        "{query:n}{json:/a}.{body}",
        "{header:x-a}{method}{body}",
        "{url}{header:x-a}.{body}",
        "{url}{method}",
        "{body}{header:x-a}",
        "{body}{query:n}",
        "{body}{json:/a}",
        "{body}{header:x-a}{timestamp}",
        "{body}{timestamp}{header:x-a}",
        "{timestamp}.{header:x-a}{body}",
        "{header:x-a}{body}{timestamp}",
    ] {
        let error = declare(signs).expect_err(signs);
        assert!(error.contains("it is unclear where one ends"), "{signs}: {error}");
    }
    // A form, or any other body that may begin like a path, cannot be distinguished from the end of a URL: see below.
    for signs in [
        "{header:x-a}.{body}",
        "{timestamp}{body}",
        "{timestamp}{header:x-a}",
        "{header:x-a}{timestamp}{body}",
        "{id}.{timestamp}.{body}",
        "{method}{url}{body}{timestamp}",
        "{body}{url}",
        "{body}.{header:x-a}",
        "{url}.{body}",
        "{url}{timestamp}{body}",
        "{header:x-a}{url}",
        "{json:/a}:{json:/b}",
    ] {
        assert!(declare(signs).is_ok(), "{signs}");
    }
}

#[test]
fn a_number_without_a_window_needs_something_beside_it() {
    let open = |signs: &'static str, unit| begin().unit(unit).insecure_no_replay_window().signs(signs).build();
    for signs in ["{timestamp}{body}", "{timestamp}0{body}", "{id}{timestamp}.{body}", "{body}{timestamp}"] {
        for unit in [TimestampUnit::Seconds, TimestampUnit::Milliseconds] {
            let error = open(signs, unit).unwrap_err().to_string();
            assert!(error.contains("{timestamp}"), "{signs}: {error}");
        }
        // The format of a date fixes its end.
        assert!(open(signs, TimestampUnit::Rfc3339).is_ok(), "{signs}");
        assert!(open(signs, TimestampUnit::HttpDate).is_ok(), "{signs}");
    }
    for signs in ["{timestamp}.{body}", "{id}.{timestamp}.{body}", "{body}.{timestamp}"] {
        assert!(open(signs, TimestampUnit::Seconds).is_ok(), "{signs}");
    }
}

// What follows it could be its zone, or more of its fraction.
#[test]
fn a_date_whose_zone_may_be_missing_needs_something_behind_it() {
    let declared = |signs: &'static str| begin().unit(TimestampUnit::Rfc3339OrUtc).signs(signs).build().is_ok();
    for signs in
        ["{timestamp}{body}", "{timestamp}Z{body}", "{timestamp}+{body}", "{timestamp}.{body}", "{timestamp}0:{body}"]
    {
        assert!(!declared(signs), "{signs}");
    }
    for signs in [
        "{timestamp}:{body}",
        "v1:{timestamp}:{body}",
        "{body}{timestamp}",
        "{body}:{timestamp}",
        "{timestamp}\n{body}",
    ] {
        assert!(declared(signs), "{signs}");
    }
}

#[test]
fn methods_that_are_parts_of_each_other_cannot_be_signed_beside_something() {
    let scheme = |methods: [&str; 2], signs: &'static str| {
        let methods = methods.map(|method| Method::from_bytes(method.as_bytes()).unwrap());
        Scheme::hmac_sha256().header("x-sig").hex().methods(methods).signs(signs).build()
    };
    assert!(scheme(["POST", "PUT"], "{method}{url}{body}").is_ok());
    assert!(scheme(["POST", "POSTS"], "{method}{url}{body}").is_err());
    assert!(scheme(["OST", "POST"], "{method}{url}{body}").is_ok());
    assert!(scheme(["OST", "POST"], "{body}{method}").is_err());
}

#[test]
fn the_catalogue_builds() {
    for provider in Provider::ALL {
        let _ = Scheme::from(*provider);
    }
}

// The start of a form may also be the continuation of a URL.
#[test]
fn a_form_directly_behind_a_url_does_not_build() {
    let scheme =
        |signs: &'static str| Scheme::hmac_sha256().header("x-sig").hex().signs(signs).form(Form::fields()).build();
    for signs in ["{url}{body}", "{method}{url}{body}"] {
        let error = scheme(signs).unwrap_err().to_string();
        assert!(error.contains("a form directly after `{url}`"), "{signs}: {error}");
    }
    for signs in ["{body}", "{url}\n{body}", "{url}.{body}", "{body}{url}"] {
        assert!(scheme(signs).is_ok(), "{signs}");
    }
}

// --- Over a socket: the inputs of attacks that have worked ------------------------------------------------------------------

async fn server(scheme: SchemeBuilder) -> Server {
    let layer = WebhookLayer::new(scheme, Secret::new(KEY).unwrap()).with_clock(ManualClock::at_unix_seconds(NOW));
    Server::start(Router::new().fallback(post(async |body: Bytes| body)).layer(layer)).await
}

async fn signed_server(signs: &'static str) -> Server {
    let scheme = Scheme::hmac_sha256().header("x-sig").hex().signs(signs);
    if signs.contains("{url}") {
        let layer = WebhookLayer::new(scheme, Secret::new(KEY).unwrap()).with_public_url(BASE);
        return Server::start(Router::new().fallback(post(async |body: Bytes| body)).layer(layer)).await;
    }
    server(scheme).await
}

fn tag(text: &[u8]) -> Line {
    line("x-sig", HEXLOWER.encode(&hmac_sha256(KEY.as_bytes(), text)))
}

async fn status(server: &Server, target: &str, headers: &[Line], body: &[u8]) -> u16 {
    server.send(&request("POST", target, headers, body)).await.expect("there is an answer").status
}

#[tokio::test]
async fn a_form_cannot_be_moved_into_the_url() {
    // With the dot between URL and body.
    let dotted = signed_server("{url}.{body}").await;
    let text = b"https://a.test/hook.note=x.y&amount=100&to=alice";
    assert_eq!(status(&dotted, "/hook", &[tag(text)], b"note=x.y&amount=100&to=alice").await, 200);
    assert_eq!(status(&dotted, "/hook.note=x", &[tag(text)], b"y&amount=100&to=alice").await, 401);

    // With nothing between them: a body that could be the end of a URL is not taken at all.
    let bare = signed_server("{url}{body}").await;
    let text = b"https://a.test/hook?a=1note=x&amount=100";
    for (target, body) in [
        ("/hook?a=1", &b"note=x&amount=100"[..]),
        ("/hook?a=1note=x&", b"amount=100"),
        ("/hook", b"?a=1note=x&amount=100"),
        ("/", b"hook?a=1note=x&amount=100"),
    ] {
        assert_eq!(status(&bare, target, &[tag(text)], body).await, 401, "{target}");
    }
    let json = br#"{"a":1}"#;
    assert_eq!(status(&bare, "/hook?a=1", &[tag(b"https://a.test/hook?a=1{\"a\":1}")], json).await, 200);
    assert_eq!(status(&bare, "/hook?a=", &[tag(b"https://a.test/hook?a=1{\"a\":1}")], b"1{\"a\":1}").await, 401);
    assert_eq!(status(&bare, "/hook", &[tag(b"https://a.test/hook")], b"").await, 200);
    assert_eq!(status(&bare, "/ho", &[tag(b"https://a.test/hook")], b"ok").await, 401);
    dotted.stop().await;
    bare.stop().await;
}

#[tokio::test]
async fn a_url_behind_a_body_begins_where_its_base_does() {
    let server = signed_server("{body}{url}").await;
    let text = b"{}https://a.test/hook?next=https://a.test/x";

    // Read from the end, the text has two URLs. Neither reading passes.
    assert_eq!(status(&server, "/hook?next=https://a.test/x", &[tag(text)], b"{}").await, 401);
    assert_eq!(status(&server, "/x", &[tag(text)], b"{}https://a.test/hook?next=").await, 200);
    assert_eq!(status(&server, "/hook", &[tag(b"{}https://a.test/hook")], b"{}").await, 200);
    server.stop().await;
}

#[tokio::test]
async fn a_query_before_a_literal_does_not_hold_it() {
    let server = signed_server("{query:n}.{body}").await;
    let text = b"1.note=x.y&amount=100";

    assert_eq!(status(&server, "/hook?n=1", &[tag(text)], b"note=x.y&amount=100").await, 200);
    assert_eq!(status(&server, "/hook?n=1.note=x", &[tag(text)], b"y&amount=100").await, 401);
    assert_eq!(status(&server, "/hook?n=1%2Enote%3Dx", &[tag(text)], b"y&amount=100").await, 401);
    server.stop().await;
}

// The text after the timestamp is another than the one before it: the other reading needs both.
#[tokio::test]
async fn another_timestamp_behind_the_literal_is_found_whatever_follows_it() {
    let server = server(begin().signs("{id}.{timestamp}:{body}")).await;
    let text = format!("msg.{NOW}:x.{NOW}:{{}}");
    let send = async |id: &str, body: &str| {
        let headers = [tag(text.as_bytes()), line("x-id", id), line("x-time", NOW.to_string())];
        status(&server, "/hook", &headers, body.as_bytes()).await
    };

    assert_eq!(send(&format!("msg.{NOW}:x"), "{}").await, 401);
    assert_eq!(send("msg", &format!("x.{NOW}:{{}}")).await, 200);
    server.stop().await;
}

// An id in a body is looked at like one in a header.
#[tokio::test]
async fn a_part_of_the_body_is_looked_at_once_the_body_is_there() {
    let scheme = Scheme::hmac_sha256().json_pointer("/sig").hex().signs("{json:/a}:{json:/b}");
    let server = server(scheme).await;
    let send = async |a: &str, b: &str| {
        let (_, tag) = tag(b"x:y:z");
        let body = serde_json::json!({ "a": a, "b": b, "sig": String::from_utf8(tag).unwrap() }).to_string();
        status(&server, "/hook", &[], body.as_bytes()).await
    };

    assert_eq!(send("x", "y:z").await, 200);
    assert_eq!(send("x:y", "z").await, 401);
    server.stop().await;
}

// The reason of a refusal names the part, and contains nothing else of the request.
#[test]
fn the_reason_names_the_part() {
    let scheme = declare("{url}{body}").unwrap().with_public_url(BASE).unwrap();
    let error = |scheme: &Scheme, target: &str, headers: &[Line], body: &'static [u8]| {
        verify(scheme, target, headers, body).unwrap_err()
    };

    for target in ["/hook?a[]=1", "/hook?a={1}", "/\"hook\""] {
        let error = error(&scheme, target, &[line("x-sig", format!("s={}", "0".repeat(64)))], b"{}");
        assert_eq!(error.kind(), VerifyErrorKind::AmbiguousText);
        assert_eq!(error.to_string(), "the signed URL could be read in another way, with the same signature");
    }

    let scheme = declare("{header:x-a}.{body}").unwrap();
    let headers = [line("x-sig", format!("s={}", "0".repeat(64))), line("x-a", "1.2")];
    let error = error(&scheme, "/", &headers, b"{}");
    assert_eq!(error.kind(), VerifyErrorKind::AmbiguousText);
    assert_eq!(error.to_string(), "`x-a` header could be read in another way, with the same signature");
}

// --- Every way to cut every text --------------------------------------------------------------------------------------------

fn verify(scheme: &Scheme, target: &str, headers: &[Line], body: &[u8]) -> Result<(), VerifyError> {
    let uri: Uri = target.parse().expect("a target");
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(
            http::HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_bytes(value).expect("a value"),
        );
    }
    let secrets = Secrets::new(Secret::new(KEY).unwrap());
    let now = UNIX_EPOCH + Duration::from_secs(NOW);
    scheme.verify(Head::new(&Method::POST, &uri, &map), body.to_vec(), &secrets, now).map(drop)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Piece {
    A,
    B,
    Body,
    Id,
    Literal(&'static str),
    Query,
    Time,
    Url,
}

impl Piece {
    fn placeholder(self) -> &'static str {
        match self {
            Self::A => "{header:x-a}",
            Self::B => "{header:x-b}",
            Self::Body => "{body}",
            Self::Id => "{id}",
            Self::Literal(text) => text,
            Self::Query => "{query:q}",
            Self::Time => "{timestamp}",
            Self::Url => "{url}",
        }
    }
}

/// The parts of a text, in order.
type Parts = Vec<(Piece, String)>;

/// Every way in which `text` could be cut into these pieces.
fn cuts(pieces: &[Piece], text: &str, done: &mut Parts, all: &mut HashSet<Parts>) {
    let Some((piece, rest)) = pieces.split_first() else {
        if text.is_empty() {
            all.insert(done.clone());
        }
        return;
    };
    let lengths = match piece {
        Piece::Literal(literal) if text.starts_with(literal) => literal.len()..=literal.len(),
        Piece::Literal(_) => return,
        Piece::Url if !text.starts_with(BASE) => return,
        Piece::Url => BASE.len()..=text.len(),
        _ => 0..=text.len(),
    };
    for length in lengths {
        done.push((*piece, text[..length].to_owned()));
        cuts(rest, &text[length..], done, all);
        done.pop();
    }
}

/// Whether a request with these parts passes, with the one right signature of their text.
fn passes(scheme: &Scheme, parts: &Parts, signature: &str) -> bool {
    let mut headers = vec![line("x-sig", format!("s={signature}"))];
    let (mut target, mut body) = ("/".to_owned(), String::new());
    let mut query = None;
    for (piece, text) in parts {
        match piece {
            Piece::A => headers.push(line("x-a", text.clone())),
            Piece::B => headers.push(line("x-b", text.clone())),
            Piece::Body => body.clone_from(text),
            Piece::Id => headers.push(line("x-id", text.clone())),
            Piece::Literal(_) => {}
            Piece::Query => query = Some(text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>()),
            Piece::Time => headers.push(line("x-time", text.clone())),
            Piece::Url => text[BASE.len()..].clone_into(&mut target),
        }
    }
    if let Some(query) = query {
        target = format!("{target}?q={query}");
    }
    // A target that no client can send.
    if !target.starts_with('/') || target.parse::<Uri>().is_err() {
        return false;
    }
    verify(scheme, &target, &headers, body.as_bytes()).is_ok()
}

fn piece() -> impl Strategy<Value = Piece> {
    prop_oneof![
        2 => Just(Piece::A),
        1 => Just(Piece::B),
        2 => Just(Piece::Id),
        1 => Just(Piece::Query),
        3 => Just(Piece::Time),
        2 => Just(Piece::Url),
        3 => Just(Piece::Body),
        2 => Just(Piece::Literal(".")),
        1 => Just(Piece::Literal("..")),
        1 => Just(Piece::Literal(":")),
        1 => Just(Piece::Literal("1")),
    ]
}

fn text(unit: TimestampUnit) -> impl Strategy<Value = String> {
    let now = stamp(unit);
    let token = prop_oneof![
        4 => Just(".".to_owned()),
        2 => Just(":".to_owned()),
        2 => Just("1".to_owned()),
        2 => Just("a".to_owned()),
        2 => Just("{".to_owned()),
        1 => Just("/".to_owned()),
        1 => Just(BASE.to_owned()),
        3 => Just(now.clone()),
        1 => Just(now[..now.len() - 1].to_owned()),
        1 => Just(now[1..].to_owned()),
    ];
    proptest::collection::vec(token, 0..3).prop_map(|tokens| tokens.concat())
}

fn stamp(unit: TimestampUnit) -> String {
    match unit {
        TimestampUnit::Seconds => NOW.to_string(),
        _ => "2027-01-15T08:00:00Z".to_owned(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, max_global_rejects: 100_000, ..ProptestConfig::default() })]

    #[test]
    fn one_signed_text_passes_as_one_request_alone(
        (unit, pieces, texts) in prop_oneof![Just(TimestampUnit::Seconds), Just(TimestampUnit::Rfc3339)].prop_flat_map(|unit| {
            (Just(unit), proptest::collection::vec(piece(), 2..6), proptest::collection::vec(text(unit), 6))
        }),
    ) {
        // Each once, as a template would hardly have it otherwise; `{query}` changes the URL.
        let mut seen = HashSet::new();
        prop_assume!(pieces.iter().all(|piece| seen.insert(piece.placeholder())));
        prop_assume!(!(pieces.contains(&Piece::Query) && pieces.contains(&Piece::Url)));
        let template: String = pieces.iter().map(|piece| piece.placeholder()).collect();
        let scheme = if pieces.contains(&Piece::Time) { begin().unit(unit) } else {
            Scheme::hmac_sha256().header("x-sig").hex().id(Field::header("x-id"))
        };
        let Ok(scheme) = scheme.items(";").pairs("=").key("s").signs(template.clone()).build() else {
            return Err(TestCaseError::reject("it does not build"));
        };
        let scheme = if pieces.contains(&Piece::Url) { scheme.with_public_url(BASE).unwrap() } else { scheme };
        let parts: Parts = pieces.iter().zip(texts).map(|(piece, text)| (*piece, match piece {
            Piece::Literal(literal) => (*literal).to_owned(),
            Piece::Time => stamp(unit),
            Piece::Url => format!("{BASE}/{text}"),
            _ => text,
        })).collect();
        let signed: String = parts.iter().map(|(_, text)| text.as_str()).collect();
        let signature = HEXLOWER.encode(&hmac_sha256(KEY.as_bytes(), signed.as_bytes()));

        let mut all = HashSet::new();
        cuts(&pieces, &signed, &mut Vec::new(), &mut all);
        let passing: Vec<_> = all.iter().filter(|parts| passes(&scheme, parts, &signature)).collect();

        prop_assert!(passing.len() <= 1, "{template}: {passing:#?}");
    }
}

// --- What a refusal costs -----------------------------------------------------------------------------------------------------

// The texts are hashed nowhere before they are refused, so they must not cost more than that.
#[tokio::test]
async fn a_signed_header_of_any_length_is_refused_soon() {
    for sender in [Sender::StandardWebhooks, Sender::Svix] {
        let receiver = serve::Receiver::new(sender).await;
        for text in [".", "1.", "x", "1800000000.", "1"] {
            for length in [513, 60_000, 380_000] {
                let id: String = text.chars().cycle().take(length).collect();
                let mut headers = sender.sign(b"{}");
                headers
                    .iter_mut()
                    .filter(|(name, _)| name.ends_with("-id"))
                    .for_each(|(_, value)| *value = id.clone().into());
                receiver.refuses_early(&headers).await;
            }
        }
        receiver.finish().await;
    }
}

#[test]
fn a_signed_part_has_a_longest_form() {
    let scheme = declare("{id}.{timestamp}.{header:x-a}.{body}").unwrap();
    let sign = |id: &str, a: &str| {
        let text = format!("{id}.{NOW}.{a}.{{}}");
        let signature = HEXLOWER.encode(&hmac_sha256(KEY.as_bytes(), text.as_bytes()));
        let headers = [
            line("x-sig", format!("s={signature}")),
            line("x-id", id),
            line("x-time", NOW.to_string()),
            line("x-a", a),
        ];
        verify(&scheme, "/", &headers, b"{}").map_err(|error| error.kind())
    };

    assert_eq!(sign(ID, "a"), Ok(()));
    assert_eq!(sign(&"x".repeat(512), &"a".repeat(4096)), Ok(()));
    assert_eq!(sign(&"x".repeat(513), "a"), Err(VerifyErrorKind::TooLong));
    assert_eq!(sign(ID, &"a".repeat(4097)), Err(VerifyErrorKind::TooLong));
}
