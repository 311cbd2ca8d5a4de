//! Arbitrary bodies behind a right signature: metadata and extractors read them, and nothing panics.
#![no_main]

use std::{collections::BTreeMap, convert::Infallible};

use axum::extract::FromRequestParts;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{Request, Response};
use http_body_util::Full;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, value::RawValue};
use sha2::Sha256;
use tower::{ServiceExt, service_fn};
use tower_webhooks::{
    Scheme, Secret, VerifiedBody, WebhookLayer,
    scheme::Field,
};

const KEY: &str = "an endpoint's signing key";

#[derive(serde::Deserialize)]
#[allow(dead_code)] // Only its shape matters.
struct Shape<'a> {
    #[serde(borrow)]
    a: Option<&'a str>,
    b: Option<Vec<u8>>,
    c: Option<BTreeMap<String, f64>>,
}

fuzz_target!(|body: &[u8]| {
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(body);
    let tag: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let scheme = Scheme::hmac_sha256()
        .header("x-sig")
        .hex()
        .signs("{body}")
        .id(Field::json("/id"))
        .event_type(Field::json("/type").or(Field::json("/a/0")).joined(Field::json("/data/action")))
        .payload("/data");
    let layer = WebhookLayer::new(scheme, Secret::new(KEY).expect("the secret is one"));
    let service = layer.layer(service_fn(|request: Request<Full<Bytes>>| async {
        let (mut parts, _) = request.into_parts();
        let verified = VerifiedBody::from_request_parts(&mut parts, &()).await.expect("the layer is there");
        let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(verified.raw()).is_ok();
        assert!(is_json || verified.parse::<Value>().is_err());
        assert!(is_json || verified.parse_envelope::<Value>().is_err());
        let _ = (verified.parse::<Shape<'_>>(), verified.parse_envelope::<Shape<'_>>());
        let _ = (verified.parse::<&RawValue>(), verified.parse::<String>());
        let delivery = verified.delivery();
        let _ = (delivery.id(), delivery.event_type(), format!("{delivery:?}"));
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
    }));
    let request = Request::post("/").header("x-sig", tag).body(Full::new(Bytes::copy_from_slice(body)));
    let response = futures_executor::block_on(service.oneshot(request.expect("the request is one")));
    assert_eq!(response.map(|response| response.status().as_u16()), Ok(200));
});
