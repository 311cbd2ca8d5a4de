//! Signatures that are JSON Web Tokens: tokens of an attacker, and declarations.

use axum::{
    Router,
    http::{Method, StatusCode},
    routing::any,
};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use sha2::{Digest, Sha256};
use tower_webhooks::{
    Delivery, Provider, Scheme, WebhookLayer,
    clock::ManualClock,
    scheme::{Field, SchemeBuilder},
};

use crate::support::senders::{self, NOW, PATH, PUBLIC_URL, secret, send, token};

const KEY: &str = "an endpoint's signing key";
const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;
const BODY: &str = r#"{"id":"evt_1","type":"t"}"#;

fn acme() -> SchemeBuilder {
    Scheme::hmac_sha256()
        .name("acme")
        .header("x-token")
        .jwt()
        .claim("iss", "acme")
        .required_claim("exp")
        .hex_digest(Field::claim("body"))
        .id(Field::json("/id"))
}

fn router<S: TryInto<Scheme, Error: std::fmt::Debug>>(scheme: S, key: &str) -> Router {
    let scheme = scheme.try_into().expect("the scheme is whole");
    let signs_url = scheme.signs_url();
    let layer = WebhookLayer::new(scheme, secret(key)).with_clock(ManualClock::at_unix_seconds(NOW));
    let layer = if signs_url { layer.with_public_url(PUBLIC_URL) } else { layer };
    let handler = async |delivery: Delivery| delivery.id().map_or("-", |id| id.as_str()).to_owned();
    Router::new().fallback(any(handler)).layer(layer)
}

async fn status(router: &Router, token: &str, body: &str) -> StatusCode {
    send(router, Method::POST, PATH, &[("x-token", token.to_owned())], body).await.status
}

fn digest() -> String {
    HEXLOWER.encode(&Sha256::digest(BODY))
}

/// The claims of a right token, with `more` at the end.
fn claims(more: &str) -> String {
    format!(r#"{{"iss":"acme","body":"{}"{more}}}"#, digest())
}

fn right() -> String {
    claims(&format!(r#","exp":{}"#, NOW + 60))
}

#[tokio::test]
async fn the_algorithm_is_never_that_of_the_token() {
    let router = router(acme(), KEY);
    assert_eq!(status(&router, &token(HEADER, &right(), KEY.as_bytes()), BODY).await, StatusCode::OK);
    assert_eq!(
        status(&router, &token(r#"{"kid":"x","alg":"HS256"}"#, &right(), KEY.as_bytes()), BODY).await,
        StatusCode::OK
    );

    for header in [
        r#"{"alg":"none"}"#,
        r#"{"alg":"None"}"#,
        r#"{"alg":"hs256"}"#,
        r#"{"alg":"HS512"}"#,
        r#"{"alg":"RS256"}"#,
        r#"{"alg":"ES256"}"#,
        r#"{"alg":" HS256"}"#,
        r#"{"alg":["HS256"]}"#,
        r#"{"alg":null}"#,
        r#"{"alg":256}"#,
        r#"{"typ":"JWT"}"#,
        r#"{"alg":"HS256","alg":"HS256"}"#,
        r#"{"alg":"none","alg":"HS256"}"#,
        r#"{"alg":"HS256","crit":["exp"]}"#,
        r#"{"alg":"HS256","crit":null}"#,
        r#"{"alg":"HS256","b64":false,"crit":["b64"]}"#,
        r#"["HS256"]"#,
        r#"["HS256",null]"#,
        "HS256",
        "{",
        "null",
    ] {
        let text = token(header, &right(), KEY.as_bytes());
        assert_eq!(status(&router, &text, BODY).await, StatusCode::UNAUTHORIZED, "{header}");
    }
}

/// A receiver that took the algorithm from the token would check a MAC whose key is the public key, which everybody has.
#[cfg(feature = "asymmetric")]
#[tokio::test]
async fn a_public_key_is_no_key_of_a_mac() {
    use data_encoding::BASE64;

    let public = senders::secret_text(Provider::WISE);
    let scheme = Scheme::rsa_sha256().name("acme").header("x-token").jwt().key_pem().hex_digest(Field::claim("body"));
    let router = router(scheme, public);
    let der = BASE64.decode(public.as_bytes()).unwrap();
    for header in [HEADER, r#"{"alg":"RS256"}"#] {
        for key in [public.as_bytes(), &der] {
            let text = token(header, &right(), key);
            assert_eq!(status(&router, &text, BODY).await, StatusCode::UNAUTHORIZED, "{header}");
        }
    }
}

#[tokio::test]
async fn a_time_that_cannot_be_read_is_no_absence() {
    let router = router(acme(), KEY);
    let (past, future) = (NOW - 60, NOW + 60);
    for more in [
        format!(r#","exp":{future},"nbf":{past},"iat":{past}"#),
        format!(r#","exp":{}"#, NOW - 4),
        format!(r#","exp":{future},"nbf":{}"#, NOW + 5),
        format!(r#","exp":{}"#, u64::MAX),
    ] {
        assert_eq!(
            status(&router, &token(HEADER, &claims(&more), KEY.as_bytes()), BODY).await,
            StatusCode::OK,
            "{more}"
        );
    }
    for more in [
        String::new(),
        format!(r#","exp":{past}"#),
        format!(r#","exp":{}"#, NOW - 5),
        format!(r#","exp":"{future}""#),
        format!(r#","exp":{future}.5"#),
        format!(r#","exp":{future}.0"#),
        format!(r#","exp":-{future}"#),
        r#","exp":1e99"#.to_owned(),
        r#","exp":18446744073709551616"#.to_owned(),
        r#","exp":null"#.to_owned(),
        r#","exp":true"#.to_owned(),
        format!(r#","exp":[{future}]"#),
        format!(r#","exp":{past},"exp":{future}"#),
        format!(r#","exp":{future},"nbf":{future}"#),
        format!(r#","exp":{future},"nbf":"{past}""#),
        format!(r#","exp":{future},"nbf":null"#),
        format!(r#","exp":{future},"iat":{future}"#),
        format!(r#","exp":{future},"iat":-1"#),
    ] {
        let text = token(HEADER, &claims(&more), KEY.as_bytes());
        assert_eq!(status(&router, &text, BODY).await, StatusCode::UNAUTHORIZED, "{more}");
    }
}

#[tokio::test]
async fn a_token_binds_its_body_and_nothing_else_passes_with_it() {
    let router = router(acme(), KEY);
    let exp = NOW + 60;
    let signed = |claims: &str| token(HEADER, claims, KEY.as_bytes());
    let right = signed(&right());
    let upper = HEXUPPER.encode(&Sha256::digest(BODY));
    for claims in [
        format!(r#"{{"iss":"acme","exp":{exp}}}"#),
        format!(r#"{{"iss":"acme","exp":{exp},"body":null}}"#),
        format!(r#"{{"iss":"acme","exp":{exp},"body":""}}"#),
        format!(r#"{{"iss":"acme","exp":{exp},"body":"{}"}}"#, &digest()[..62]),
        format!(r#"{{"iss":"acme","exp":{exp},"body":["{}"]}}"#, digest()),
        format!(r#"{{"iss":"acme","exp":{exp},"body":"{}","body":"{}"}}"#, digest(), "00".repeat(32)),
        format!(r#"{{"iss":"acme","exp":{exp},"body":"{}"}}"#, "00".repeat(32)),
        format!(r#"{{"iss":"other","exp":{exp},"body":"{}"}}"#, digest()),
        format!(r#"{{"iss":["acme"],"exp":{exp},"body":"{}"}}"#, digest()),
        format!(r#"{{"exp":{exp},"body":"{}"}}"#, digest()),
        format!(r#"{{"iss":"acme","iss":"acme","exp":{exp},"body":"{}"}}"#, digest()),
        format!(r#"{{"claims":{{"iss":"acme","exp":{exp},"body":"{}"}}}}"#, digest()),
        "[]".to_owned(),
        String::new(),
    ] {
        assert_eq!(status(&router, &signed(&claims), BODY).await, StatusCode::UNAUTHORIZED, "{claims}");
    }
    let text = format!(r#"{{"iss":"acme","exp":{exp},"body":"{upper}"}}"#);
    assert_eq!(status(&router, &signed(&text), BODY).await, StatusCode::OK);

    let parts: Vec<&str> = right.split('.').collect();
    let long = format!("{HEADER}{}", " ".repeat(4096));
    for text in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}", parts[0], parts[1]),
        format!("{right}."),
        format!("{right}.{}", parts[2]),
        format!("{right}="),
        format!("{right} "),
        format!("Bearer {right}"),
        format!("{right},{right}"),
        format!("{}.{}.{}", parts[0], parts[1], "A".repeat(43)),
        format!("{}=.{}.{}", parts[0], parts[1], parts[2]),
        token(HEADER, &self::right(), b"another key"),
        token(&long, &self::right(), KEY.as_bytes()),
    ] {
        // A server trims white space around a value.
        if text.ends_with(' ') {
            continue;
        }
        assert_eq!(status(&router, &text, BODY).await, StatusCode::UNAUTHORIZED, "{:.300}", text);
    }
    for body in ["", "{}", r#"{"id":"evt_2","type":"t"}"#] {
        assert_eq!(status(&router, &right, body).await, StatusCode::UNAUTHORIZED, "{body}");
    }
    let twice = [("x-token", right.clone()), ("x-token", right.clone())];
    assert_eq!(send(&router, Method::POST, PATH, &twice, BODY).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_token_names_its_key_and_the_url_where_the_sender_signs_them() {
    let livekit = router(Provider::LIVEKIT, &format!("APIkey:{KEY}"));
    let text = senders::claims(Provider::LIVEKIT, BODY).unwrap();
    let post = async |router: &Router, name: &'static str, text: &str, path: &str, body: &str| {
        send(router, Method::POST, path, &[(name, token(HEADER, text, KEY.as_bytes()))], body).await.status
    };
    assert_eq!(post(&livekit, "authorization", &text, PATH, BODY).await, StatusCode::OK);
    for other in ["APIother", "apikey", "APIkey ", ""] {
        let text = text.replace("APIkey", other);
        assert_eq!(post(&livekit, "authorization", &text, PATH, BODY).await, StatusCode::UNAUTHORIZED, "{other}");
    }

    for (provider, header) in
        [(Provider::QSTASH, "upstash-signature"), (Provider::MESSAGEBIRD, "messagebird-signature-jwt")]
    {
        let router = router(provider, KEY);
        let text = senders::claims(provider, BODY).unwrap();
        assert_eq!(post(&router, header, &text, PATH, BODY).await, StatusCode::OK, "{provider}");
        for path in ["/in", "/in?from=others", "/", "/in?from=them&"] {
            assert_eq!(post(&router, header, &text, path, BODY).await, StatusCode::UNAUTHORIZED, "{provider} {path}");
        }
    }
    // Without a body there is no digest of one; with one there must be.
    let messagebird = router(Provider::MESSAGEBIRD, KEY);
    let text = senders::claims(Provider::MESSAGEBIRD, BODY).unwrap();
    let without = text.replace("payload_hash", "other");
    assert_eq!(post(&messagebird, "messagebird-signature-jwt", &without, PATH, "").await, StatusCode::OK);
    assert_eq!(post(&messagebird, "messagebird-signature-jwt", &without, PATH, BODY).await, StatusCode::UNAUTHORIZED);
    assert_eq!(post(&messagebird, "messagebird-signature-jwt", &text, PATH, "").await, StatusCode::UNAUTHORIZED);
    // Of its three algorithms the length of the signature says which, and the header must say the same.
    let part = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
    for alg in ["HS384", "HS512"] {
        let signed = format!("{}.{}", part(&format!(r#"{{"alg":"{alg}"}}"#)), part(&text));
        let text = format!("{signed}.{}", BASE64URL_NOPAD.encode(&senders::hmac(KEY.as_bytes(), &signed)));
        let headers = [("messagebird-signature-jwt", text)];
        assert_eq!(
            send(&messagebird, Method::POST, PATH, &headers, BODY).await.status,
            StatusCode::UNAUTHORIZED,
            "{alg}"
        );
    }
}

#[test]
fn a_declaration_of_a_token_says_what_is_wrong_with_it() {
    let message = |scheme: SchemeBuilder| scheme.build().unwrap_err().to_string();
    let bare = || Scheme::hmac_sha256().header("x-token");

    assert!(message(bare().hex().signs("{body}").claim("iss", "acme")).contains("add `.jwt()`"));
    assert!(message(bare().jwt().items(",")).contains("stands alone"));
    assert!(message(bare().every_line().jwt()).contains("stands alone"));
    assert!(message(Scheme::insecure_hmac_sha1().header("x-token").jwt()).contains("no token is signed"));
    assert!(message(Scheme::hmac_sha256().query("token").jwt()).contains("stands alone"));
    for field in [Field::header("x-digest"), Field::query("digest"), Field::json("/digest")] {
        let text = message(bare().hex().signs("{timestamp}").timestamp(Field::header("x-time")).hex_digest(field));
        assert!(text.contains("digest of the body is not signed"), "{text}");
    }
    let no_digest = bare().jwt().timestamp(Field::claim("iat")).build().unwrap();
    assert!(!no_digest.covers_body() && no_digest.timestamp_is_signed());
    let signed = bare().hex().signs("{header:x-digest}").base64_digest(Field::header("x-digest")).build().unwrap();
    assert!(signed.covers_body());
}
