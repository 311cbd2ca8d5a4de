//! HTTP message signatures (RFC 9421) with digests of the body (RFC 9530): the vectors of the RFC, and what an attacker tries.

use std::time::{Duration, SystemTime};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, RSA_PKCS1_SHA256};
use bytes::Bytes;
use data_encoding::{BASE64, HEXLOWER};
use http::{HeaderValue, Method, Request, request::Parts};
use sha2::{Digest, Sha256};
use tower_webhooks::{
    Scheme, Secret, Secrets, WebhookLayer,
    error::VerifyErrorKind,
    scheme::{Field, SchemeBuilder},
    testing::SignedRequest,
};

use crate::support::{
    key_pairs::{P256, PAIRS, RSA},
    senders,
};

const CREATED: u64 = 1_618_884_473;
const SHARED: &str = "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==";
const ED25519: &str = "JrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=";
const RSA_PSS: &str = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAr4tmm3r20Wd/PbqvP1s2+QEtvpuRaV8Yq40gjUR8y2Rjxa6dpG2GXHbPfvMs8ct+Lh1GH45x28Rw3Ry53mm+oAXjyQ86OnDkZ5N8lYbggD4O3w6M6pAvLkhk95AndTrifbIFPNU8PPMO7OyrFAHqgDsznjPFmTOtCEcN2Z1FpWgchwuYLPL+Wokqltd11nqqzi+bJ9cvSKADYdUAAN5WUtzdpiy6LbTgSxP7ociU4Tn0g5I6aDZJ7A8Lzo0KSyZYoA485mqcO0GVAdVw9lq4aOT9v6d+nb4bnNkQVklLQ3fVAvJm+xdDOp9LCNCN48V2pnDOkFV6+U9nV5oyc6XI2wIDAQAB";
const DIGEST: &str =
    "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:";
const BODY: &str = r#"{"hello": "world"}"#;

const B21: [&str; 2] = [
    r#"sig-b21=();created=1618884473;keyid="test-key-rsa-pss";nonce="b3k2pp5k7z-50gnwp.yemd""#,
    "sig-b21=:d2pmTvmbncD3xQm8E9ZV2828BjQWGgiwAaw5bAkgibUopemLJcWDy/lkbbHAve4cRAtx31Iq786U7it++wgGxbtRxf8Udx7zFZsckzXaJMkA7ChG52eSkFxykJeNqsrWH5S+oxNFlD4dzVuwe8DhTSja8xxbR/Z2cOGdCbzR72rgFWhzx2VjBqJzsPLMIQKhO4DGezXehhWwE56YCE+O6c0mKZsfxVrogUvA4HELjVKWmAvtl6UnCh8jYzuVG5WSb/QEVPnP5TmcAnLH1g+s++v6d4s8m0gCw1fV5/SITLq9mhho8K3+7EPYTU8IU1bLhdxO5Nyt8C8ssinQ98Xw9Q==:",
];
const B22: [&str; 2] = [
    r#"sig-b22=("@authority" "content-digest" "@query-param";name="Pet");created=1618884473;keyid="test-key-rsa-pss";tag="header-example""#,
    "sig-b22=:LjbtqUbfmvjj5C5kr1Ugj4PmLYvx9wVjZvD9GsTT4F7GrcQEdJzgI9qHxICagShLRiLMlAJjtq6N4CDfKtjvuJyE5qH7KT8UCMkSowOB4+ECxCmT8rtAmj/0PIXxi0A0nxKyB09RNrCQibbUjsLS/2YyFYXEu4TRJQzRw1rLEuEfY17SARYhpTlaqwZVtR8NV7+4UKkjqpcAoFqWFQh62s7Cl+H2fjBSpqfZUJcsIk4N6wiKYd4je2U/lankenQ99PZfB4jY3I5rSV2DSBVkSFsURIjYErOs0tFTQosMTAoxk//0RoKUqiYY8Bh0aaUEb0rQl3/XaVe4bXTugEjHSw==:",
];
const B23: [&str; 2] = [
    r#"sig-b23=("date" "@method" "@path" "@query" "@authority" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-rsa-pss""#,
    "sig-b23=:bbN8oArOxYoyylQQUU6QYwrTuaxLwjAC9fbY2F6SVWvh0yBiMIRGOnMYwZ/5MR6fb0Kh1rIRASVxFkeGt683+qRpRRU5p2voTp768ZrCUb38K0fUxN0O0iC59DzYx8DFll5GmydPxSmme9v6ULbMFkl+V5B1TP/yPViV7KsLNmvKiLJH1pFkh/aYA2HXXZzNBXmIkoQoLd7YfW91kE9o/CCoC1xMy7JA1ipwvKvfrs65ldmlu9bpG6A9BmzhuzF8Eim5f8ui9eH8LZH896+QIF61ka39VBrohr9iyMUJpvRX2Zbhl5ZJzSRxpJyoEZAFL2FUo5fTIztsDZKEgM4cUA==:",
];
const B25: [&str; 2] = [
    r#"sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret""#,
    "sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:",
];
const B26: [&str; 2] = [
    r#"sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519""#,
    "sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:",
];

/// The request of appendix B.2, with or without its body, and a signature.
fn request([input, signature]: [&str; 2], with_body: bool) -> (Parts, &'static str) {
    let mut request = Request::post("/foo?param=Value&Pet=dog")
        .header("host", "example.com")
        .header("date", "Tue, 20 Apr 2021 02:07:55 GMT")
        .header("content-type", "application/json")
        .header("content-length", "18")
        .header("signature-input", input)
        .header("signature", signature);
    if with_body {
        request = request.header("content-digest", DIGEST);
    }
    (request.body(()).unwrap().into_parts().0, if with_body { BODY } else { "" })
}

fn verdict_at(
    seconds: u64,
    scheme: SchemeBuilder,
    secret: &str,
    parts: &Parts,
    body: impl Into<Bytes>,
) -> Result<(), VerifyErrorKind> {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let secrets = Secrets::new(Secret::new(secret).unwrap());
    scheme.build().unwrap().verify(parts, body, &secrets, now).map(drop).map_err(|error| error.kind())
}

fn verdict(scheme: SchemeBuilder, secret: &str, parts: &Parts, body: impl Into<Bytes>) -> Result<(), VerifyErrorKind> {
    verdict_at(CREATED, scheme, secret, parts, body)
}

/// A scheme that requires no components, since the vectors cover few.
fn lenient(scheme: SchemeBuilder) -> SchemeBuilder {
    scheme.message_signature().insecure_message_components(Vec::<String>::new())
}

fn pss() -> SchemeBuilder {
    Scheme::rsa_pss_sha512().key_pem()
}

fn ed25519() -> SchemeBuilder {
    Scheme::ed25519().key_base64()
}

fn hmac() -> SchemeBuilder {
    Scheme::hmac_sha256().key_base64()
}

// --- The vectors of RFC 9421, appendix B.2 ---------------------------------------------------------------------------------------

#[test]
fn the_vectors_of_the_rfc_pass() {
    for (name, scheme, secret, vector, with_body) in [
        // B.2.4 signs a response.
        ("B.2.1", lenient(pss()), RSA_PSS, B21, false),
        ("B.2.2", lenient(pss()), RSA_PSS, B22, true),
        ("B.2.3", lenient(pss()), RSA_PSS, B23, true),
        // Whether it covers the components that are required by default.
        ("B.2.3", pss().message_signature(), RSA_PSS, B23, true),
        ("B.2.5", lenient(hmac()), SHARED, B25, false),
        ("B.2.6", lenient(ed25519()), ED25519, B26, false),
    ] {
        let (parts, body) = request(vector, with_body);
        assert_eq!(verdict(scheme, secret, &parts, body), Ok(()), "{name}");
    }
}

#[test]
fn the_vector_of_a_proxy_passes() {
    // B.3, in which a proxy signs what it forwards, with the certificate of the client.
    const CERTIFICATE: &str = ":MIIBqDCCAU6gAwIBAgIBBzAKBggqhkjOPQQDAjA6MRswGQYDVQQKDBJMZXQncyBBdXRoZW50aWNhdGUxGzAZBgNVBAMMEkxBIEludGVybWVkaWF0ZSBDQTAeFw0yMDAxMTQyMjU1MzNaFw0yMTAxMjMyMjU1MzNaMA0xCzAJBgNVBAMMAkJDMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE8YnXXfaUgmnMtOXU/IncWalRhebrXmckC8vdgJ1p5Be5F/3YC8OthxM4+k1M6aEAEFcGzkJiNy6J84y7uzo9M6NyMHAwCQYDVR0TBAIwADAfBgNVHSMEGDAWgBRm3WjLa38lbEYCuiCPct0ZaSED2DAOBgNVHQ8BAf8EBAMCBsAwEwYDVR0lBAwwCgYIKwYBBQUHAwIwHQYDVR0RAQH/BBMwEYEPYmRjQGV4YW1wbGUuY29tMAoGCCqGSM49BAMCA0gAMEUCIBHda/r1vaL6G3VliL4/Di6YK0Q6bMjeSkC3dFCOOB8TAiEAx/kHSB4urmiZ0NX5r5XarmPk0wmuydBVoU4hBVZ1yhk=:";
    const INPUT: &str =
        r#"ttrp=("@path" "@query" "@method" "@authority" "client-cert");created=1618884473;keyid="test-key-ecc-p256""#;
    const SIGNATURE: &str =
        "ttrp=:xVMHVpawaAC/0SbHrKRs9i8I3eOs5RtTMGCWXm/9nvZzoHsIg6Mce9315T6xoklyy0yzhD9ah4JHRwMLOgmizw==:";
    const KEY: &str = "-----BEGIN PUBLIC KEY-----\n\
        MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lf\n\
        w0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ==\n\
        -----END PUBLIC KEY-----\n";
    let request = |certificate: &str| {
        Request::post("/foo?param=Value&Pet=dog")
            .header("host", "service.internal.example")
            .header("date", "Tue, 20 Apr 2021 02:07:55 GMT")
            .header("client-cert", certificate)
            .header("signature-input", INPUT)
            .header("signature", SIGNATURE)
            .body(())
            .unwrap()
            .into_parts()
            .0
    };
    let scheme = || lenient(Scheme::ecdsa_p256().key_pem());
    assert_eq!(verdict(scheme(), KEY, &request(CERTIFICATE), ""), Ok(()));
    assert!(verdict(scheme(), KEY, &request(&CERTIFICATE.replace("MIIB", "MIIC")), "").is_err());
    // Its signature covers no digest, thus no body.
    assert_eq!(verdict(scheme(), KEY, &request(CERTIFICATE), BODY), Err(VerifyErrorKind::Missing));
}

#[test]
fn the_vectors_that_cover_too_little_do_not_pass_by_default() {
    // B.2.2 does not cover the method. B.2.6 covers the path and not the query; and B.2.5 neither. None of them covers a digest
    // that is there.
    for (scheme, secret, vector, with_body) in [
        (pss().message_signature(), RSA_PSS, B22, true),
        (hmac().message_signature(), SHARED, B25, false),
        (ed25519().message_signature(), ED25519, B26, false),
        (lenient(hmac()), SHARED, B25, true),
        (lenient(ed25519()), ED25519, B26, true),
    ] {
        let (parts, body) = request(vector, with_body);
        assert_eq!(verdict(scheme, secret, &parts, body), Err(VerifyErrorKind::Missing), "{}", vector[0]);
    }
    // Without a digest a body is not covered, whatever else is.
    let (parts, _) = request(B26, false);
    assert_eq!(verdict(lenient(ed25519()), ED25519, &parts, BODY), Err(VerifyErrorKind::Missing));
}

#[test]
fn each_changed_byte_of_what_a_vector_covers_is_refused() {
    let (right, _) = request(B23, true);
    let refused = |parts: &Parts, body: &[u8], what: &str| {
        assert!(verdict(pss().message_signature(), RSA_PSS, parts, body.to_vec()).is_err(), "{what}");
    };
    for name in ["date", "content-type", "content-digest", "content-length", "host"] {
        let value = right.headers[name].as_bytes().to_vec();
        for at in 0..value.len() {
            let (mut parts, mut value) = (right.clone(), value.clone());
            value[at] ^= 1;
            let Ok(value) = HeaderValue::from_bytes(&value) else { continue };
            parts.headers.insert(name, value);
            refused(&parts, BODY.as_bytes(), &format!("{name} {at}"));
        }
        let mut parts = right.clone();
        parts.headers.append(name, right.headers[name].clone());
        refused(&parts, BODY.as_bytes(), &format!("{name} twice"));
        parts.headers.remove(name);
        refused(&parts, BODY.as_bytes(), &format!("no {name}"));
    }
    for at in 0..BODY.len() {
        let mut body = BODY.as_bytes().to_vec();
        body[at] ^= 1;
        refused(&right, &body, &format!("body {at}"));
    }
    for uri in [
        "/foo?param=Value&Pet=cat",
        "/foo?Pet=dog&param=Value",
        "/foo",
        "/fox?param=Value&Pet=dog",
        "/foo?param=Value&Pet=dog&x",
    ] {
        let mut parts = right.clone();
        parts.uri = uri.parse().unwrap();
        refused(&parts, BODY.as_bytes(), uri);
    }
    let mut parts = right.clone();
    parts.method = Method::PUT;
    assert!(verdict(pss().message_signature().methods([Method::PUT]), RSA_PSS, &parts, BODY).is_err());
}

// --- Signatures of our own -------------------------------------------------------------------------------------------------------

/// The signature base of a request to `/in?a=1`, as section 2.5 of the RFC has it.
fn base(params: &str, digest: &str) -> String {
    format!(
        "\"@method\": POST\n\"@path\": /in\n\"@query\": ?a=1\n\"content-digest\": {digest}\n\"@signature-params\": {params}"
    )
}

const COVERED: &str = r#"("@method" "@path" "@query" "content-digest")"#;

fn digest_of(body: &str) -> String {
    format!("sha-256=:{}:", BASE64.encode(&Sha256::digest(body)))
}

/// A request whose signature has these parameters, by HMAC with the text `key`.
fn signed(params: &str, label: &str) -> Parts {
    let digest = digest_of(BODY);
    let params = format!("{COVERED}{params}");
    let tag = BASE64.encode(&senders::hmac(b"a key of the sender's", &base(&params, &digest)));
    let request = Request::post("/in?a=1")
        .header("content-digest", digest)
        .header("signature-input", format!("{label}={params}"))
        .header("signature", format!("{label}=:{tag}:"));
    request.body(()).unwrap().into_parts().0
}

fn ours() -> SchemeBuilder {
    Scheme::hmac_sha256().message_signature()
}

const KEY: &str = "a key of the sender's";

#[test]
fn times_algorithms_and_ids_are_those_of_the_signature() {
    let now = CREATED;
    let of = |params: &str| verdict(ours(), KEY, &signed(params, "sig1"), BODY);

    for params in [
        format!(";created={now}"),
        format!(";created={now};expires={}", now + 1),
        format!(";created={now};alg=\"hmac-sha256\";keyid=\"k\";nonce=\"n\";tag=\"t\""),
        format!(";created={}", now - 299),
        format!(";created={}", now + 299),
    ] {
        assert_eq!(of(&params), Ok(()), "{params}");
    }
    for (params, kind) in [
        (String::new(), VerifyErrorKind::Missing),
        (";keyid=\"k\"".to_owned(), VerifyErrorKind::Missing),
        (format!(";created={}", now - 301), VerifyErrorKind::Stale),
        (format!(";created={}", now + 301), VerifyErrorKind::Stale),
        (format!(";created={now};expires={now}"), VerifyErrorKind::Stale),
        (format!(";created={now};expires={}", now - 1), VerifyErrorKind::Stale),
        (format!(";created={now};expires=\"x\""), VerifyErrorKind::MalformedTimestamp),
        (format!(";created={now};expires=-1"), VerifyErrorKind::MalformedTimestamp),
        (";created=-1".to_owned(), VerifyErrorKind::MalformedTimestamp),
        (format!(";created=\"{now}x\""), VerifyErrorKind::MalformedTimestamp),
        (format!(";created={now}.0"), VerifyErrorKind::Missing),
        (format!(";created={now};alg=\"ed25519\""), VerifyErrorKind::MalformedSignature),
        (format!(";created={now};alg=\"none\""), VerifyErrorKind::MalformedSignature),
        (format!(";created={now};alg=hmac-sha256"), VerifyErrorKind::MalformedSignature),
    ] {
        assert_eq!(of(&params), Err(kind), "{params}");
    }
}

#[test]
fn one_of_several_signatures_is_found_by_its_label_or_its_tag() {
    let right = signed(&format!(";created={CREATED};tag=\"acme\""), "sig1");
    let mut several = right.clone();
    let other = format!("other=(\"@method\");created={CREATED};tag=\"proxy\"");
    several.headers.append("signature-input", HeaderValue::from_str(&other).unwrap());
    several.headers.append("signature", HeaderValue::from_static("other=:AAAA:"));

    assert_eq!(verdict(ours(), KEY, &several, BODY), Err(VerifyErrorKind::Ambiguous));
    for scheme in [ours().message_label("sig1"), ours().message_tag("acme")] {
        assert_eq!(verdict(scheme.clone(), KEY, &several, BODY), Ok(()));
        assert_eq!(verdict(scheme, KEY, &right, BODY), Ok(()));
    }
    for scheme in
        [ours().message_label("sig2"), ours().message_tag("proxy").message_label("sig1"), ours().message_tag("")]
    {
        assert_eq!(verdict(scheme, KEY, &several, BODY), Err(VerifyErrorKind::Missing));
    }
}

#[test]
fn what_is_no_signature_is_refused_and_nothing_panics() {
    let right = signed(&format!(";created={CREATED}"), "sig1");
    for (name, values) in [
        (
            "signature",
            &["", "sig1", "sig1=:AAAA:", "sig1=abc", "sig1=()", "sig2=:AAAA:", "sig1=:*:", ":AAAA:", "sig1=1"][..],
        ),
        (
            "signature-input",
            &[
                "",
                "sig1",
                "sig1=1",
                "sig1=()",
                "sig1=(1);created=1618884473",
                "sig1=(\"@method\" \"@method\");created=1618884473",
                "sig1=(\"@signature-params\");created=1618884473",
                "sig1=(\"@status\");created=1618884473",
                "sig1=(\"content-digest\";sf);created=1618884473",
                "sig1=(\"content-digest\";key=\"sha-256\");created=1618884473",
                "sig1=(\"Content-Digest\");created=1618884473",
                "sig1=(\"@query-param\");created=1618884473",
                "sig1=(\"a\nb\");created=1618884473",
                "sig1=(((",
            ][..],
        ),
        (
            "content-digest",
            &["", "sha-256", "sha-256=:AAAA:", "sha-256=abc", "md5=:AAAA:", "sha-256=(:AAAA:)", "*"][..],
        ),
    ] {
        for value in values {
            let Ok(value) = HeaderValue::from_str(value) else { continue };
            let mut parts = right.clone();
            parts.headers.insert(name, value.clone());
            assert!(verdict(ours(), KEY, &parts, BODY).is_err(), "{name}: {value:?}");
            assert!(verdict(lenient(Scheme::hmac_sha256()), KEY, &parts, BODY).is_err(), "{name}: {value:?}");
        }
        let long = "a".repeat(5000);
        let mut parts = right.clone();
        parts.headers.insert(name, HeaderValue::from_str(&format!("sig1=\"{long}\"")).unwrap());
        assert!(verdict(ours(), KEY, &parts, BODY).is_err());
    }
    // Each parameter of the query that is signed reads the whole query.
    let parameters = |count: usize| {
        let names: String = (0..count).map(|number| format!(r#" "@query-param";name="a{number}""#)).collect();
        format!("sig1=({}{names});created={CREATED}", COVERED.trim_matches(['(', ')']))
    };
    let long_query = format!("/in?a0=1&{}", "b&".repeat(10_000)).parse().unwrap();
    for (uri, input) in [
        (right.uri.clone(), format!("sig1=({});created={CREATED}", "\"x\" ".repeat(100))),
        (right.uri.clone(), parameters(9)),
        (long_query, parameters(1)),
    ] {
        let mut parts = right.clone();
        parts.uri = uri;
        parts.headers.insert("signature-input", HeaderValue::from_str(&input).unwrap());
        assert_eq!(verdict(ours(), KEY, &parts, BODY), Err(VerifyErrorKind::TooLong), "{input}");
    }
}

#[test]
fn every_digest_that_is_known_must_be_right() {
    let with = |digest: &str, body: &str| {
        let params = format!("{COVERED};created={CREATED}");
        let tag = BASE64.encode(&senders::hmac(KEY.as_bytes(), &base(&params, digest)));
        let request = Request::post("/in?a=1")
            .header("content-digest", digest)
            .header("signature-input", format!("sig1={params}"))
            .header("signature", format!("sig1=:{tag}:"));
        verdict(ours(), KEY, &request.body(()).unwrap().into_parts().0, body.to_owned())
    };
    let (right, other) = (digest_of(BODY), digest_of("other"));

    assert_eq!(with(&right, BODY), Ok(()));
    assert_eq!(with(DIGEST, BODY), Ok(()));
    assert_eq!(with(&format!("{right}, {DIGEST}, new=:AAAA:"), BODY), Ok(()));
    assert_eq!(with(&digest_of(""), ""), Ok(()));
    for (digest, body) in [(other.clone(), BODY), (format!("{DIGEST}, {other}"), BODY), (right.clone(), "")] {
        assert_eq!(with(&digest, body), Err(VerifyErrorKind::SignatureMismatch), "{digest}");
    }
    for digest in
        ["new=:AAAA:", "sha-256=:AAAA", "sha-256", &format!("sha-256={}", HEXLOWER.encode(&Sha256::digest(BODY)))]
    {
        assert_eq!(with(digest, BODY), Err(VerifyErrorKind::MalformedSignature), "{digest}");
    }
}

#[test]
fn the_target_is_the_public_one() {
    let digest = digest_of(BODY);
    let params = format!(r#"("@method" "@target-uri" "@authority" "@scheme" "content-digest");created={CREATED}"#);
    let base = format!(
        "\"@method\": POST\n\"@target-uri\": https://example.com/in?a=1\n\"@authority\": example.com\n\"@scheme\": https\n\
         \"content-digest\": {digest}\n\"@signature-params\": {params}"
    );
    let tag = BASE64.encode(&senders::hmac(KEY.as_bytes(), &base));
    let request = Request::post("/in?a=1")
        .header("host", "127.0.0.1:3000")
        .header("content-digest", digest)
        .header("signature-input", format!("sig1={params}"))
        .header("signature", format!("sig1=:{tag}:"));
    let parts = request.body(()).unwrap().into_parts().0;
    let verdict = |url: Option<&str>| {
        let scheme = ours().build().unwrap();
        let scheme = url.map_or(scheme.clone(), |url| scheme.with_public_url(url).unwrap());
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(CREATED);
        let secrets = Secrets::new(Secret::new(KEY).unwrap());
        scheme.verify(&parts, BODY, &secrets, now).map(drop).map_err(|error| error.kind())
    };

    assert_eq!(verdict(Some("https://example.com")), Ok(()));
    assert_eq!(verdict(Some("https://EXAMPLE.com:443")), Err(VerifyErrorKind::SignatureMismatch));
    assert_eq!(verdict(Some("https://attacker.test")), Err(VerifyErrorKind::SignatureMismatch));
    assert_eq!(verdict(None), Err(VerifyErrorKind::Missing));
}

#[test]
fn each_algorithm_verifies_what_it_has_signed() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(CREATED);
    let public = |text: &str| text.trim_start_matches("whpk_").to_owned();
    for (scheme, private, public, others) in [
        (Scheme::hmac_sha256(), KEY, KEY.to_owned(), "another key, of somebody else".to_owned()),
        (ed25519(), PAIRS[0][0], public(PAIRS[0][1]), public(PAIRS[1][1])),
        (Scheme::ecdsa_p256().key_pem(), P256[0][0], P256[0][1].to_owned(), P256[1][1].to_owned()),
        (Scheme::rsa_sha256().key_pem(), RSA[0][0], RSA[0][1].to_owned(), RSA[1][1].to_owned()),
        (pss(), RSA[0][0], RSA[0][1].to_owned(), RSA[1][1].to_owned()),
    ] {
        let scheme = scheme.message_signature().id(Field::param("nonce")).build().unwrap();
        assert!(scheme.covers_body() && scheme.id_is_signed() && scheme.timestamp_is_signed());
        let request: Request<Bytes> = SignedRequest::for_scheme(&scheme, &Secret::new(private).unwrap())
            .uri("/in?a=1")
            .with_id("n1")
            .at(now)
            .build();
        let (parts, body) = request.into_parts();
        let verify = |key: &str, body: Bytes| {
            scheme.verify(&parts, body, &Secrets::new(Secret::new(key).unwrap()), now).map_err(|error| error.kind())
        };

        let delivery = verify(&public, body.clone()).unwrap().into_delivery().unwrap();
        assert_eq!(delivery.id().unwrap().as_str(), "n1");
        assert_eq!(verify(&others, body.clone()).map(drop), Err(VerifyErrorKind::SignatureMismatch));
        assert!(verify(&public, Bytes::from_static(b"{}x")).is_err());
    }
}

// By another library than that which verifies in this crate's own signing.
#[test]
fn signatures_of_another_hand_pass() {
    let params = format!("{COVERED};created={CREATED}");
    let (digest, text) = (digest_of(BODY), base(&params, &digest_of(BODY)));
    for (scheme, key, signature) in [
        (Scheme::ecdsa_p256().key_pem(), P256[0][1], senders::ecdsa_p256_of(&ECDSA_P256_SHA256_FIXED_SIGNING, &text)),
        (Scheme::rsa_sha256().key_pem(), RSA[0][1], senders::rsa(&RSA_PKCS1_SHA256, &text)),
    ] {
        let request = Request::post("/in?a=1")
            .header("content-digest", &digest)
            .header("signature-input", format!("sig1={params}"))
            .header("signature", format!("sig1=:{}:", BASE64.encode(&signature)));
        let parts = request.body(()).unwrap().into_parts().0;
        assert_eq!(verdict(scheme.message_signature(), key, &parts, BODY), Ok(()));
    }
}

#[test]
fn a_declaration_that_contradicts_itself_does_not_build() {
    for scheme in [
        Scheme::hmac_sha256().message_signature().signs("{body}"),
        Scheme::hmac_sha256().signs("{body}").message_signature(),
        Scheme::hmac_sha256().message_signature().jwt(),
        Scheme::hmac_sha256().message_signature().hex_digest(Field::header("digest")),
    ] {
        assert!(WebhookLayer::try_new(scheme, Secret::new(KEY).unwrap()).is_err());
    }
}

/// Of two values under one key, parsers take different ones.
#[test]
fn a_key_that_is_there_twice_is_refused() {
    let digest = digest_of(BODY);
    let params = format!("{COVERED};created={CREATED}");
    let tag = BASE64.encode(&senders::hmac(KEY.as_bytes(), &base(&params, &digest)));
    let with = |signatures: &[String], input: &str, digest: &str| {
        let request = Request::post("/in?a=1").header("content-digest", digest).header("signature-input", input);
        let request = signatures.iter().fold(request, |request, line| request.header("signature", line));
        verdict(ours(), KEY, &request.body(()).unwrap().into_parts().0, BODY)
    };
    let (right, wrong) = (format!("sig1=:{tag}:"), "sig1=:AAAA:".to_owned());
    let input = format!("sig1={params}");
    let lines = |lines: &[&String]| lines.iter().map(|line| (*line).clone()).collect::<Vec<_>>();

    assert_eq!(with(&lines(&[&right]), &input, &digest), Ok(()));
    let other = "sig2=:AAAA:;a=\"x,y;\\\"z\"".to_owned();
    assert_eq!(with(&lines(&[&other, &right]), &input, &digest), Ok(()), "another key, with marks in a text");
    for twice in [lines(&[&wrong, &right]), lines(&[&right, &wrong]), vec![format!("{wrong}, {right}")]] {
        assert_eq!(with(&twice, &input, &digest), Err(VerifyErrorKind::Ambiguous), "{twice:?}");
    }
    for input in [format!("{input}, {input}"), format!("{input};created={CREATED}")] {
        assert_eq!(with(&lines(&[&right]), &input, &digest), Err(VerifyErrorKind::Ambiguous), "{input}");
    }
    let digests = format!("sha-256=:AAAA:, {digest}");
    let params = format!("{COVERED};created={CREATED}");
    let tag = BASE64.encode(&senders::hmac(KEY.as_bytes(), &base(&params, &digests)));
    assert_eq!(with(&[format!("sig1=:{tag}:")], &input, &digests), Err(VerifyErrorKind::Ambiguous));
}
