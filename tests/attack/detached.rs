//! Signatures with detached content: what an attacker could change in them.

use aws_lc_rs::signature::{ECDSA_P521_SHA512_FIXED_SIGNING, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RsaEncoding};
use axum::{Router, http::StatusCode, routing::any};
use data_encoding::BASE64URL_NOPAD;
use http::Method;
use tower_webhooks::Provider;

use crate::support::{
    key_pairs,
    senders::{PATH, detached, ecdsa_of, layer, rsa, send},
};

const BODY: &str = r#"{"id":"1","eventType":"transaction.created","workspaceId":"w-1"}"#;
const HEADER: &str = r#"{"alg":"RS512","kid":"a-key"}"#;

fn router(provider: Provider) -> Router {
    Router::new().fallback(any(async || ())).layer(layer(provider))
}

async fn fireblocks(signature: &str) -> StatusCode {
    let headers = [("fireblocks-webhook-signature", signature.to_owned())];
    send(&router(Provider::FIREBLOCKS_V2), Method::POST, "/in", &headers, BODY).await.status
}

fn by(encoding: &'static dyn RsaEncoding) -> impl Fn(&str) -> Vec<u8> {
    move |text| rsa(encoding, text)
}

#[tokio::test]
async fn a_detached_signature_has_the_algorithm_of_the_scheme_and_nothing_critical() {
    let right = detached(HEADER, BODY, by(&RSA_PKCS1_SHA512));
    assert_eq!(fireblocks(&right).await, StatusCode::OK);

    let (head, tail) = right.split_once("..").unwrap();
    let content = BASE64URL_NOPAD.encode(BODY.as_bytes());
    for wrong in [
        // With its content, and with another one.
        format!("{head}.{content}.{tail}"),
        format!("{head}.e30.{tail}"),
        format!("{head}.{tail}"),
        format!("{head}...{tail}"),
        format!("{head}..{tail}="),
        format!("{head}.."),
        format!("..{tail}"),
        detached(r#"{"alg":"RS256","kid":"a-key"}"#, BODY, by(&RSA_PKCS1_SHA256)),
        detached(r#"{"alg":"RS512","kid":"a-key"}"#, BODY, by(&RSA_PKCS1_SHA256)),
        detached(r#"{"alg":"RS256","kid":"a-key"}"#, BODY, by(&RSA_PKCS1_SHA512)),
        detached(r#"{"alg":"none","kid":"a-key"}"#, BODY, |_| Vec::from(*b"x")),
        detached(r#"{"kid":"a-key"}"#, BODY, by(&RSA_PKCS1_SHA512)),
        detached(r#"{"alg":"RS512"}"#, BODY, by(&RSA_PKCS1_SHA512)),
        detached(r#"{"alg":"RS512","kid":"a-key","crit":["b64"],"b64":false}"#, BODY, by(&RSA_PKCS1_SHA512)),
        detached(r#"["RS512","a-key"]"#, BODY, by(&RSA_PKCS1_SHA512)),
        detached(HEADER, "{}", by(&RSA_PKCS1_SHA512)),
        detached(HEADER, "", by(&RSA_PKCS1_SHA512)),
    ] {
        assert_eq!(fireblocks(&wrong).await, StatusCode::UNAUTHORIZED, "{wrong}");
    }
}

#[tokio::test]
async fn truelayer_signs_method_path_and_the_headers_in_its_list() {
    let router = router(Provider::TRUELAYER);
    let sign = |text: &str| ecdsa_of(key_pairs::P521[0][0], &ECDSA_P521_SHA512_FIXED_SIGNING, text);
    let path = PATH.split('?').next().unwrap();
    let header = |list: &str, version: &str| {
        format!(r#"{{"alg":"ES512","kid":"a-key","tl_version":"{version}","tl_headers":"{list}"}}"#)
    };
    let request = |list: &str, version: &str, content: &str| {
        let signature = detached(&header(list, version), content, sign);
        vec![("tl-signature", signature), ("x-one", "1".to_owned()), ("x-two", "2".to_owned())]
    };
    let content = format!("POST {path}\nX-One: 1\nx-two: 2\n{BODY}");
    let right = request("X-One,x-two", "2", &content);
    let ask = async |path: &str, headers: &[(&'static str, String)]| {
        send(&router, Method::POST, path, headers, BODY).await.status
    };

    assert_eq!(ask(PATH, &right).await, StatusCode::OK);
    // The query is not signed, as its file says.
    assert_eq!(ask(&format!("{path}?other"), &right).await, StatusCode::OK);
    assert_eq!(ask(PATH, &request("", "2", &format!("POST {path}\n{BODY}"))).await, StatusCode::OK);

    assert_eq!(ask("/other", &right).await, StatusCode::UNAUTHORIZED);
    let mut other = right.clone();
    other[1].1 = "2".to_owned();
    assert_eq!(ask(PATH, &other).await, StatusCode::UNAUTHORIZED);
    let mut twice = right.clone();
    twice.push(("x-one", "1".to_owned()));
    assert_eq!(ask(PATH, &twice).await, StatusCode::UNAUTHORIZED);
    assert_eq!(ask(PATH, &right[..2]).await, StatusCode::UNAUTHORIZED);
    for (list, version, content) in [
        ("X-One,x-two", "1", &content),
        ("X-One,X-Two", "2", &content),
        ("x-two,X-One", "2", &content),
        ("X-One", "2", &content),
        ("X One", "2", &content),
        ("X-One,x-two", "2", &content.replacen("POST", "PUT", 1)),
        // Of a header that is listed without bound nobody makes a long text.
        (&"x-one,".repeat(100), "2", &content),
    ] {
        assert_eq!(ask(PATH, &request(list, version, content)).await, StatusCode::UNAUTHORIZED, "{list} {version}");
    }
}
