//! Arbitrary heads and bodies: nobody has the secret, so that nothing may pass.
#![no_main]

use std::{
    sync::LazyLock,
    time::{Duration, UNIX_EPOCH},
};

use arbitrary::Arbitrary;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use libfuzzer_sys::fuzz_target;
use tower_webhooks::{
    Head, Provider, Scheme, Secret, Secrets,
    scheme::{Field, TimestampUnit},
};

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    get: bool,
    target: &'a str,
    headers: Vec<(u8, &'a [u8])>,
    body: &'a [u8],
    seconds: u32,
}

const NAMES: [&str; 14] = [
    "stripe-signature",
    "x-hub-signature-256",
    "x-slack-signature",
    "x-slack-request-timestamp",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
    "svix-id",
    "svix-signature",
    "svix-timestamp",
    "x-sig",
    "x-sig-1",
    "x-id",
    "content-encoding",
];

static SCHEMES: LazyLock<Vec<Scheme>> = LazyLock::new(|| {
    let mut schemes: Vec<Scheme> = Provider::ALL.iter().map(|provider| Scheme::from(*provider)).collect();
    let declared = [
        Scheme::hmac_sha512().header("x-sig").every_line().items(", ").base64url().signs("{header:x-id}:{body}"),
        Scheme::hmac_sha256().numbered_headers("x-sig-").prefix("v1=").hex().signs("{body}"),
        Scheme::hmac_sha256().query("sig").base64().signs("{method}{query:a}{body}"),
        Scheme::hmac_sha256().json_pointer("/sig").hex().signs("{json:/id}{json:/a/0}"),
        Scheme::insecure_hash_sha1().header("x-sig").hex().signs("{secret}{body}"),
        Scheme::insecure_basic(),
        Scheme::hmac_sha256()
            .header("x-sig")
            .items(",")
            .pairs("=")
            .key("v1")
            .hex()
            .timestamp(Field::param("t").or(Field::json("/at")))
            .unit(TimestampUnit::Rfc3339)
            .signs("{timestamp}.{body}"),
    ];
    schemes.extend(declared.map(|scheme| scheme.build().expect("the declaration is whole")));
    schemes
});

static SECRETS: LazyLock<Secrets> =
    LazyLock::new(|| Secrets::new(Secret::new("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("the secret is one")));

fuzz_target!(|input: Input<'_>| {
    let Ok(uri) = input.target.parse::<Uri>() else { return };
    let mut headers = HeaderMap::new();
    for (name, value) in &input.headers {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(HeaderName::from_static(NAMES[usize::from(*name) % NAMES.len()]), value);
        }
    }
    let method = if input.get { Method::GET } else { Method::POST };
    let now = UNIX_EPOCH + Duration::from_secs(u64::from(input.seconds));
    for scheme in SCHEMES.iter() {
        let verdict = scheme.verify(Head::new(&method, &uri, &headers), input.body.to_vec(), &SECRETS, now);
        assert!(verdict.is_err(), "{}: {verdict:?}", scheme.name());
    }
});
