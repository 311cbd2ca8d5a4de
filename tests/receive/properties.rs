//! What must hold for every input: nothing that was not signed passes, and nothing panics.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::FromRequestParts;
use bytes::Bytes;
use data_encoding::{BASE64, BASE64URL, BASE64URL_NOPAD, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, request::Parts};
use proptest::prelude::*;
use sha2::Digest;
use sign::{Line, NOW, Sender};
use tower_webhooks::{
    Delivery, EventRejection, Head, Provider, Scheme, Secret, Secrets, VerifiedBody,
    error::VerifyErrorKind,
    scheme::{Field, Handshake, SchemeBuilder, TimestampUnit},
};

use crate::support::{senders, sign};

const KEY: &str = "a signing key of some length";
const BODY: &[u8] = br#"{"id":"evt_1","type":"t"}"#;

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

fn secrets() -> Secrets {
    Secrets::new(Secret::new(KEY).expect("the secret is one"))
}

// --- Every scheme there is ------------------------------------------------------------------------------------------------

/// A delivery that passes, with its signed parts marked.
struct Signed {
    name: String,
    scheme: Scheme,
    secrets: Secrets,
    method: Method,
    uri: String,
    /// The headers, and whether all of the value is signed or is the signature.
    headers: Vec<(String, Vec<u8>, Part)>,
    body: Vec<u8>,
    covers_body: bool,
}

/// The part of a header's value in the signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// It is part of the signed text, unchanged.
    Content,
    /// It holds the signature, and nothing else but its framing.
    Signature,
}

impl Signed {
    fn passes(&self, uri: &str, headers: &[(String, Vec<u8>, Part)], body: &[u8]) -> Option<bool> {
        let uri: Uri = uri.parse().ok()?;
        let mut map = HeaderMap::new();
        for (name, value, _) in headers {
            map.append(HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_bytes(value).ok()?);
        }
        let head = Head::new(&self.method, &uri, &map);
        Some(self.scheme.verify(head, Bytes::copy_from_slice(body), &self.secrets, now()).is_ok())
    }
}

fn providers() -> Vec<Signed> {
    let signed = |provider: &Provider| {
        // Linear's time is in the body.
        let body = format!(r#"{{"webhookTimestamp":{NOW}000,"id":"evt_1","type":"t","data":{{"é":[1,2]}}}}"#);
        let headers = senders::signature(*provider, &body).into_iter().map(|(name, value)| {
            let is_content =
                ["id", "timestamp", "nonce", "date", "-key", "client"].iter().any(|end| name.ends_with(end));
            let part = if is_content { Part::Content } else { Part::Signature };
            (name.to_owned(), value.into_bytes(), part)
        });
        let scheme = Scheme::from(*provider).with_public_url(senders::PUBLIC_URL).expect("a URL");
        let scheme = if scheme.needs_account() { scheme.with_insecure_any_account() } else { scheme };
        let scheme = if scheme.signs_endpoint_id() { scheme.with_endpoint_id("test") } else { scheme };
        Signed {
            name: provider.to_string(),
            secrets: Secrets::new(senders::secret(senders::secret_text(*provider))),
            method: Method::POST,
            uri: if scheme.signs_url() || *provider == Provider::CONTENTFUL {
                senders::PATH.into()
            } else {
                "/hook".into()
            },
            headers: headers.collect(),
            covers_body: scheme.covers_body(),
            scheme,
            body: body.into_bytes(),
        }
    };
    // Of those with keys of RSA one is enough here, since each bit costs a verification.
    let slow = ["fireblocks-v1", "fireblocks-v2", "google-pubsub", "kick", "paypal", "shipstation", "truelayer"];
    let looked_at = |provider: &&Provider| senders::is_in_headers(**provider) && !slow.contains(&provider.name());
    Provider::ALL.iter().filter(looked_at).map(signed).collect()
}

/// An algorithm: its name, its scheme and its signature of a message.
type Algorithm = (&'static str, fn() -> SchemeBuilder, fn(&[u8]) -> Vec<u8>);

fn mac<M: Mac + KeyInit>(message: &[u8]) -> Vec<u8> {
    let mut mac = <M as KeyInit>::new_from_slice(KEY.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

fn algorithms() -> Vec<Algorithm> {
    vec![
        ("hmac-sha256", Scheme::hmac_sha256, mac::<Hmac<sha2::Sha256>>),
        ("hmac-sha512", Scheme::hmac_sha512, mac::<Hmac<sha2::Sha512>>),
        ("hmac-sha1", Scheme::insecure_hmac_sha1, mac::<Hmac<sha1::Sha1>>),
        ("sha256", Scheme::insecure_hash_sha256, |message| {
            sha2::Sha256::digest([KEY.as_bytes(), message].concat()).to_vec()
        }),
        ("sha1", Scheme::insecure_hash_sha1, |message| sha1::Sha1::digest([KEY.as_bytes(), message].concat()).to_vec()),
    ]
}

type Encoding = (&'static str, fn(SchemeBuilder) -> SchemeBuilder, fn(&[u8]) -> String);

fn encodings() -> Vec<Encoding> {
    vec![
        ("hex", SchemeBuilder::hex, |tag| HEXLOWER.encode(tag)),
        ("base64", SchemeBuilder::base64, |tag| BASE64.encode(tag)),
        ("base64url", SchemeBuilder::base64url, |tag| BASE64URL_NOPAD.encode(tag)),
        ("base64url, padded", SchemeBuilder::base64url, |tag| BASE64URL.encode(tag)),
    ]
}

/// The place and format of a signature, and the function that writes its header or query.
type Shape = (&'static str, fn(SchemeBuilder) -> SchemeBuilder, fn(&str) -> (Option<(&'static str, String)>, String));

fn shapes() -> Vec<Shape> {
    fn header(name: &'static str, value: String) -> (Option<(&'static str, String)>, String) {
        (Some((name, value)), "/hook".to_owned())
    }
    vec![
        ("bare", |scheme| scheme.header("x-sig"), |tag| header("x-sig", tag.to_owned())),
        ("prefix", |scheme| scheme.header("x-sig").prefix("v1:"), |tag| header("x-sig", format!("v1:{tag}"))),
        ("list", |scheme| scheme.header("x-sig").items(";"), |tag| header("x-sig", format!("x;{tag}"))),
        (
            "pairs",
            |scheme| scheme.header("x-sig").items(",").pairs("=").key("s"),
            |tag| header("x-sig", format!("s={tag}")),
        ),
        (
            "long separators",
            |scheme| scheme.header("x-sig").items(", ").pairs("::").key("s"),
            |tag| header("x-sig", format!("a::b, s::{tag}")),
        ),
        (
            "prefix and list",
            |scheme| scheme.header("x-sig").prefix("v1=").items(","),
            |tag| header("x-sig", format!("v1={tag}")),
        ),
        ("each header", |scheme| scheme.header_for_each_key(["x-one", "x-two"]), |tag| header("x-two", tag.to_owned())),
        ("numbered", |scheme| scheme.numbered_headers("x-sig-"), |tag| header("x-sig-3", tag.to_owned())),
        ("lines", |scheme| scheme.header("x-sig").every_line(), |tag| header("x-sig", tag.to_owned())),
        ("or", |scheme| scheme.header("x-first").or_header("x-second"), |tag| header("x-second", tag.to_owned())),
        ("query", |scheme| scheme.query("sig"), |tag| (None, format!("/hook?sig={}", tag.replace('+', "%2B")))),
    ]
}

/// Every algorithm in every encoding in every shape, over an id, a time, a header and the body.
fn declared() -> Vec<Signed> {
    let mut all = Vec::new();
    for (algorithm, begin, sign) in algorithms() {
        for (encoding, encode_by, encode) in encodings() {
            for (shape, shape_by, write) in shapes() {
                let secret = if algorithm.starts_with("hmac") { "" } else { "{secret}" };
                let scheme = shape_by(encode_by(begin()))
                    .timestamp(Field::header("x-time"))
                    .id(Field::header("x-id"))
                    .signs(format!("{secret}{{id}}|{{timestamp}}|{{header:x-more}}|{{body}}|end"))
                    .build()
                    .expect("the declaration is whole");
                let message = [format!("id-1|{NOW}|more|").as_bytes(), BODY, b"|end"].concat();
                let (line, uri) = write(&encode(&sign(&message)));
                let mut headers: Vec<_> = [("x-id", "id-1"), ("x-time", &NOW.to_string()), ("x-more", "more")]
                    .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec(), Part::Content))
                    .into();
                headers.extend(line.map(|(name, value)| (name.to_owned(), value.into_bytes(), Part::Signature)));
                all.push(Signed {
                    name: format!("{algorithm}, {encoding}, {shape}"),
                    scheme,
                    secrets: secrets(),
                    method: Method::POST,
                    uri,
                    headers,
                    body: BODY.to_vec(),
                    covers_body: true,
                });
            }
        }
    }
    all
}

/// Parts of the signed text in the body, in the query, in the method and the URL, and tokens that sign nothing.
fn others() -> Vec<Signed> {
    let hmac = mac::<Hmac<sha2::Sha256>>;
    let hex = |message: &[u8]| HEXLOWER.encode(&hmac(message)).into_bytes();
    let one = |name: &str, scheme: SchemeBuilder, uri: &str, headers: Vec<(&str, Vec<u8>, Part)>, covers_body| Signed {
        name: name.to_owned(),
        scheme: scheme
            .build()
            .expect("the declaration is whole")
            .with_public_url("https://a.test")
            .expect("it is a URL"),
        secrets: secrets(),
        method: Method::POST,
        uri: uri.to_owned(),
        headers: headers.into_iter().map(|(name, value, part)| (name.to_owned(), value, part)).collect(),
        body: BODY.to_vec(),
        covers_body,
    };
    let base = || Scheme::hmac_sha256().header("x-sig").hex();
    vec![
        one(
            "parts of the body",
            base().signs("{json:/id}.{json:/type}.{body}"),
            "/hook",
            vec![("x-sig", hex(&[b"evt_1.t.", BODY].concat()), Part::Signature)],
            true,
        ),
        one(
            "URL and method",
            base().signs("{method} {url} {body}"),
            "/hook?a=1&b=%20",
            vec![("x-sig", hex(&[b"POST https://a.test/hook?a=1&b=%20 ", BODY].concat()), Part::Signature)],
            true,
        ),
        one(
            "a parameter",
            Scheme::hmac_sha256()
                .header("x-sig")
                .items(",")
                .pairs("=")
                .key("v1")
                .hex()
                .timestamp(Field::param("t"))
                .signs("{param:n}{timestamp}.{body}"),
            "/hook",
            vec![(
                "x-sig",
                [format!("n=n,t={NOW},v1=").into_bytes(), hex(&[format!("n{NOW}.").as_bytes(), BODY].concat())]
                    .concat(),
                Part::Signature,
            )],
            true,
        ),
        one(
            "a token",
            Scheme::insecure_token().header("x-token"),
            "/hook",
            vec![("x-token", KEY.into(), Part::Content)],
            false,
        ),
        one(
            "basic authentication",
            Scheme::insecure_basic(),
            "/hook",
            vec![("authorization", format!("Basic {}", BASE64.encode(KEY.as_bytes())).into_bytes(), Part::Content)],
            false,
        ),
    ]
}

fn everything() -> Vec<Signed> {
    let mut all = providers();
    all.extend(declared());
    all.extend(others());
    all
}

#[test]
fn what_is_signed_passes() {
    for signed in everything() {
        assert_eq!(signed.passes(&signed.uri, &signed.headers, &signed.body), Some(true), "{}", signed.name);
        assert_eq!(signed.scheme.covers_body(), signed.covers_body, "{}", signed.name);
    }
}

#[test]
fn every_flipped_bit_of_a_signed_body_is_refused() {
    for signed in everything() {
        for bit in 0..signed.body.len() * 8 {
            let mut body = signed.body.clone();
            body[bit / 8] ^= 1 << (bit % 8);
            // If the body is not bound, the scheme says so.
            let expected = Some(!signed.covers_body);
            assert_eq!(signed.passes(&signed.uri, &signed.headers, &body), expected, "{}: bit {bit}", signed.name);
        }
    }
}

#[test]
fn every_flipped_bit_of_a_signed_header_is_refused() {
    for signed in everything() {
        for (index, (name, value, part)) in signed.headers.iter().enumerate() {
            for bit in 0..value.len() * 8 {
                let mut headers = signed.headers.clone();
                let flipped = &mut headers[index].1;
                flipped[bit / 8] ^= 1 << (bit % 8);
                // In a signature, another way to write the same bytes is no other signature.
                let same = *part == Part::Signature && means_the_same(value, flipped);
                // Its header has one key for each secret, and the signature under any of them may match.
                let other_key =
                    signed.name == Provider::CONVOY_ADVANCED.name() && flipped.windows(4).any(|key| key == b",v3=");
                // The name of the secret is not looked at.
                let other_name = signed.name == Provider::WORLDPAY.name() && bit / 8 == 0;
                let same = same || other_key || other_name;
                let passes = signed.passes(&signed.uri, &headers, &signed.body);
                assert!(passes.is_none_or(|passes| !passes || same), "{}: {name}, bit {bit}", signed.name);
            }
        }
    }
}

/// Whether two signature headers hold the same signature: a hex digit of another case, padding that may be missing, or
/// another item that is skipped anyway.
fn means_the_same(one: &[u8], other: &[u8]) -> bool {
    let at = one.iter().zip(other).position(|(one, other)| one != other).unwrap_or_default();
    let digit = one.eq_ignore_ascii_case(other) && one[at..].iter().all(u8::is_ascii_hexdigit);
    let skipped = (one.starts_with(b"x;") && at == 0) || (one.starts_with(b"a::b, ") && at <= 3);
    digit || skipped
}

#[test]
fn every_flipped_bit_of_a_decoded_signature_is_refused() {
    let tag = mac::<Hmac<sha2::Sha256>>(BODY);
    for (name, encode_by, encode) in encodings() {
        let scheme = encode_by(Scheme::hmac_sha256().header("x-sig")).signs("{body}").build().unwrap();
        for bit in 0..tag.len() * 8 {
            let mut flipped = tag.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let (head, ()) = Request::post("/").header("x-sig", encode(&flipped)).body(()).unwrap().into_parts();
            let error = scheme.verify(&head, BODY, &secrets(), now()).unwrap_err();
            assert_eq!(error.kind(), VerifyErrorKind::SignatureMismatch, "{name}: bit {bit}");
        }
        let (head, ()) = Request::post("/").header("x-sig", encode(&tag)).body(()).unwrap().into_parts();
        assert!(scheme.verify(&head, BODY, &secrets(), now()).is_ok());
    }
}

#[test]
fn every_flipped_bit_of_a_signed_query_or_path_is_refused() {
    for signed in everything().iter().filter(|signed| signed.uri != "/hook") {
        for bit in 0..signed.uri.len() * 8 {
            let mut uri = signed.uri.clone().into_bytes();
            uri[bit / 8] ^= 1 << (bit % 8);
            let Ok(uri) = String::from_utf8(uri) else { continue };
            let path_is_signed = signed.name == "URL and method";
            let same = !path_is_signed
                && (bit / 8 < "/hook".len() || signed.uri.eq_ignore_ascii_case(&uri) && bit / 8 > "/hook?sig".len());
            let passes = signed.passes(&uri, &signed.headers, &signed.body);
            // A URI of another form has no path or query as it was.
            assert!(passes.is_none_or(|passes| !passes || same), "{}: {uri}", signed.name);
        }
    }
}

#[test]
fn every_cut_of_a_signed_message_is_refused() {
    for signed in everything() {
        for length in 0..signed.body.len() {
            let passes = signed.passes(&signed.uri, &signed.headers, &signed.body[..length]);
            assert_eq!(passes, Some(!signed.covers_body), "{}", signed.name);
        }
        for index in 0..signed.headers.len() {
            let mut fewer = signed.headers.clone();
            let (_, value, _) = fewer.remove(index);
            assert_eq!(signed.passes(&signed.uri, &fewer, &signed.body), Some(false), "{}", signed.name);
            for length in 0..value.len() {
                let mut shorter = signed.headers.clone();
                shorter[index].1.truncate(length);
                // The padding of base64url, and of a token in base64, may be missing as a whole, but not in part.
                let is_padding = value[length..].iter().all(|byte| *byte == b'=');
                let may_miss = signed.name.contains("padded") || value.starts_with(b"Basic ");
                let same = may_miss && is_padding && !value[..length].ends_with(b"=");
                let passes = signed.passes(&signed.uri, &shorter, &signed.body);
                assert_eq!(passes, Some(same), "{}: {length}", signed.name);
            }
            let mut doubled = signed.headers.clone();
            doubled.push(doubled[index].clone());
            let lines = signed.name.ends_with("lines") || signed.name == Provider::MOLLIE_NEXT.name();
            let lines_count = lines && doubled[index].2 == Part::Signature;
            assert_eq!(signed.passes(&signed.uri, &doubled, &signed.body), Some(lines_count), "{}", signed.name);
        }
    }
}

// --- Arbitrary input ------------------------------------------------------------------------------------------------------

/// Names that the schemes look for, and others.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("stripe-signature"),
        Just("x-hub-signature-256"),
        Just("x-hub-signature"),
        Just("x-slack-signature"),
        Just("x-slack-request-timestamp"),
        Just("webhook-signature"),
        Just("webhook-id"),
        Just("webhook-timestamp"),
        Just("svix-signature"),
        Just("svix-id"),
        Just("svix-timestamp"),
        Just("content-encoding"),
        Just("content-length"),
        Just("x-sig"),
        Just("x-time"),
        Just("x-id"),
        Just("x-more"),
        Just("authorization"),
    ]
    .prop_map(str::to_owned)
}

/// Values that look like signatures, times and lists, and others.
fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        "(t=|v1=|v0=|sha256=|v1,|,|=| |[0-9]{1,20}|[0-9a-f]{1,70}|[A-Za-z0-9+/]{43}=){0,40}"
            .prop_map(String::into_bytes),
        "[0-9a-f]{64}".prop_map(|hex| format!("t={NOW},v1={hex}").into_bytes()),
        "(sha256|v0)=[0-9a-f]{64}".prop_map(String::into_bytes),
        "v1,[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=".prop_map(String::into_bytes),
        Just(NOW.to_string().into_bytes()),
        (0usize..6000, prop_oneof![Just("="), Just(","), Just("v1="), Just(" "), Just("v1,")])
            .prop_map(|(count, text)| text.repeat(count).into_bytes()),
    ]
}

fn target() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("/hook".to_owned()),
        "/[a-z%0-9/]{0,20}(\\?([a-z]{1,4}|sig|%73ig|%[0-9A-F]{2}|[=&+;%]){0,20})?",
        "https?://[a-z]{1,10}(:[0-9]{1,5})?/[a-z]{0,5}",
        Just("*".to_owned()),
    ]
}

fn arbitrary_schemes() -> Vec<(Scheme, Secrets)> {
    let meta = Handshake::echo_text(Field::query("c")).verify_token("t").method(Method::GET);
    let crc = Handshake::challenge(Field::query("sig"), "r").present(Field::header("x-more")).method(Method::PUT);
    let odd = Scheme::hmac_sha256()
        .header("x-sig")
        .items(",")
        .pairs("=")
        .key("v1")
        .hex()
        .timestamp(Field::param("t").or(Field::json("/at")))
        .unit(TimestampUnit::Rfc3339)
        .id(Field::json("/a/0/b").or(Field::query("a")))
        .event_type(Field::header("x-id").joined(Field::json("/x")))
        .attempt(Field::header("x-time"), 1)
        .signs("{timestamp}{query:sig}.{json:/x}.{body}")
        .payload("/a/0")
        .handshake(meta)
        .handshake(crc)
        .handshake(Handshake::echo_json(Field::json("/x"), "y").when(Field::json("/x"), "1").signed())
        .build()
        .expect("the declaration is whole")
        .with_verify_token(Secret::new("the token").expect("the secret is one"));
    let mut all: Vec<_> = everything().into_iter().map(|signed| (signed.scheme, signed.secrets)).collect();
    all.push((odd, secrets()));
    all
}

/// Asks for everything that is known about a delivery, and parses it in every way.
fn use_up(delivery: &Delivery) {
    let _ = (delivery.id(), delivery.event_type(), delivery.api_version(), delivery.attempt(), delivery.mode());
    let _ = (delivery.tenant(), delivery.timestamp(), delivery.provider(), delivery.secret_index());
    let _ = format!("{delivery:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_requests_never_pass_and_never_panic(
        method in prop_oneof![9 => Just(Method::POST), 1 => Just(Method::GET), 1 => Just(Method::PUT)],
        target in target(),
        lines in proptest::collection::vec((name(), value()), 0..8),
        body in prop_oneof![proptest::collection::vec(any::<u8>(), 0..100), Just(BODY.to_vec())],
        seconds in prop_oneof![Just(NOW), any::<u32>().prop_map(u64::from), Just(0)],
    ) {
        let Ok(uri) = target.parse::<Uri>() else { return Ok(()) };
        let mut headers = HeaderMap::new();
        for (name, value) in &lines {
            if let Ok(value) = HeaderValue::from_bytes(value) {
                headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
            }
        }
        for (scheme, secrets) in arbitrary_schemes() {
            let head = Head::new(&method, &uri, &headers);
            let verdict = scheme.verify(head, body.clone(), &secrets, UNIX_EPOCH + Duration::from_secs(seconds));
            let delivery = verdict.ok().and_then(tower_webhooks::scheme::Verdict::into_delivery);
            prop_assert!(delivery.is_none(), "{}: {:?}", scheme.name(), delivery);
        }
    }

    #[test]
    fn arbitrary_bodies_that_are_signed_never_panic(
        body in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..300),
            json().prop_map(String::into_bytes),
            json_like().prop_map(String::into_bytes),
        ],
        pointers in proptest::collection::vec(pointer(), 6),
    ) {
        for sender in Sender::ALL {
            let scheme = Scheme::from(sender.provider());
            let delivery = deliver(&scheme, &Secrets::new(sender.secret()), &sender.sign(&body), &body)?;
            use_up(&delivery);
        }

        // A scheme that looks everywhere.
        let field = |index: usize| Field::json(pointers[index].clone());
        let scheme = Scheme::hmac_sha256().header("x-sig").hex().signs("{body}")
            .id(field(0)).event_type(field(1).joined(field(2))).api_version(field(3)).live(field(4), "true")
            .payload(pointers[5].clone()).build().unwrap();
        let lines = [sign::line("x-sig", HEXLOWER.encode(&sign::hmac_sha256(KEY.as_bytes(), &body)))];
        let delivery = deliver(&scheme, &secrets(), &lines, &body)?;
        use_up(&delivery);
    }

    #[test]
    fn arbitrary_bodies_are_parsed_or_refused_with_a_status_of_their_own(
        body in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..300),
            json().prop_map(String::into_bytes),
            json_like().prop_map(String::into_bytes),
        ],
    ) {
        #[derive(Debug, serde::Deserialize)]
        #[allow(dead_code)] // Only its shape matters.
        struct Shape<'a> { #[serde(borrow)] a: Option<&'a str>, b: Option<Vec<u8>>, c: Option<std::collections::BTreeMap<String, f64>> }

        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (verified, parts) = runtime.block_on(extracted(&body));
        let check = |result: Result<(), EventRejection>| {
            let status = result.map_or_else(|rejection| rejection.status().as_u16(), |()| 200);
            // 415 is a form, or what looks like one, by a scheme that is sent none.
            prop_assert!([200, 400, 415, 422].contains(&status));
            // A body that is not JSON must not be accepted.
            if serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_err() {
                prop_assert!(status != 200, "{:?}", String::from_utf8_lossy(&body));
            }
            Ok(())
        };
        check(verified.parse::<serde_json::Value>().map(drop))?;
        check(verified.parse_envelope::<serde_json::Value>().map(drop))?;
        check(verified.parse::<Shape<'_>>().map(drop))?;
        check(verified.parse_envelope::<&serde_json::value::RawValue>().map(drop))?;
        check(verified.parse::<String>().map(drop))?;
        drop(parts);
    }
}

fn deliver(scheme: &Scheme, secrets: &Secrets, lines: &[Line], body: &[u8]) -> Result<Delivery, TestCaseError> {
    let mut request = Request::post("/hook");
    for (name, value) in lines {
        request = request.header(name, value.as_slice());
    }
    let (head, ()) = request.body(()).expect("the request is one").into_parts();
    let verdict = scheme.verify(&head, body.to_vec(), secrets, now());
    let verdict = verdict.map_err(|error| TestCaseError::fail(format!("{}: {error}", scheme.name())))?;
    Ok(match verdict.into_delivery() {
        Some(delivery) => delivery,
        // By chance, a handshake.
        None => return Err(TestCaseError::reject("a handshake")),
    })
}

/// Lets a signed body through the real layer, and takes what an extractor finds there.
async fn extracted(body: &[u8]) -> (VerifiedBody, Parts) {
    use tower::{ServiceBuilder, ServiceExt, service_fn};
    let (found, mut taken) = tokio::sync::mpsc::unbounded_channel();
    let service = ServiceBuilder::new().layer(Sender::Stripe.layer()).service(service_fn(
        move |request: Request<http_body_util::Full<Bytes>>| {
            let found = found.clone();
            async move {
                let (mut parts, _) = request.into_parts();
                let body = VerifiedBody::from_request_parts(&mut parts, &()).await.expect("the layer is there");
                let _ = found.send((body, parts));
                Ok::<_, std::convert::Infallible>(http::Response::new(http_body_util::Empty::<Bytes>::new()))
            }
        },
    ));
    let mut request = Request::post("/hook");
    for (name, value) in Sender::Stripe.sign(body) {
        request = request.header(name, value);
    }
    let request = request.body(http_body_util::Full::new(Bytes::copy_from_slice(body))).expect("the request is one");
    let _ = service.oneshot(request).await;
    taken.recv().await.expect("the request passed")
}

fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        any::<f64>().prop_filter("a number", |value| value.is_finite()).prop_map(|value| value.to_string()),
        ".{0,10}".prop_map(|text| serde_json::to_string(&text).expect("text is JSON")),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(|items| format!("[{}]", items.join(","))),
            proptest::collection::vec((key(), inner), 0..5).prop_map(|entries| {
                let entries: Vec<_> = entries.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
                format!("{{{}}}", entries.join(","))
            }),
        ]
    })
}

/// Keys that are looked for, some of them in another spelling, so that they meet.
fn key() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just("id"),
        Just("type"),
        Just("data"),
        Just("object"),
        Just("event"),
        Just("action"),
        Just("challenge"),
        Just("a"),
        Just("b"),
        Just("c"),
        Just(""),
        Just("0"),
        Just("a/b"),
        Just("m~n"),
        Just("d\\u0061ta"),
        Just("i\\u0064"),
    ]
}

/// Nearly JSON.
fn json_like() -> impl Strategy<Value = String> {
    "([\\[\\]{}:,\"]|\"(id|type|data|object|a)\"|[0-9.eE+-]{1,5}|true|null|\\\\u[0-9a-f]{4}| |\\\\){0,60}"
}

fn pointer() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        proptest::collection::vec(
            prop_oneof![
                Just("id"),
                Just("data"),
                Just("object"),
                Just("a"),
                Just("0"),
                Just("1"),
                Just(""),
                Just("a~1b"),
                Just("m~0n"),
                Just("+0"),
                Just("99999999999999999999")
            ],
            1..5
        )
        .prop_map(|tokens| format!("/{}", tokens.join("/"))),
    ]
}
