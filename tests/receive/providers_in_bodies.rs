//! Providers whose signature is in the body, over the fields of a form, or over parts of the body: what passes, and what an attacker tries.
//! Each is signed here by hand, as its documentation says.

use axum::{
    Router,
    http::{Method, StatusCode},
    routing::any,
};
use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use tower_webhooks::{Delivery, Provider, Scheme, Secret, WebhookLayer, clock::ManualClock};

use crate::support::senders::{NOW, PUBLIC_URL, secret, send};

const KEY: &str = "an endpoint's signing key";

fn router(provider: Provider, key: &str) -> Router {
    let layer = WebhookLayer::new(provider, secret(key)).with_clock(ManualClock::at_unix_seconds(NOW));
    let layer = if Scheme::from(provider).signs_url() { layer.with_public_url(PUBLIC_URL) } else { layer };
    let handler = async |delivery: Delivery| {
        let text = |text: Option<&str>| text.unwrap_or("-").to_owned();
        format!(
            "{} {}",
            text(delivery.id().map(|id| id.as_str())),
            text(delivery.event_type().map(|event_type| event_type.as_str()))
        )
    };
    Router::new().fallback(any(handler)).layer(layer)
}

async fn post(router: &Router, uri: &str, headers: &[(&str, String)], body: &str) -> (StatusCode, String) {
    let answer = send(router, Method::POST, uri, headers, body).await;
    (answer.status, answer.body)
}

/// The layer's status for a body that is sent to `/in`.
async fn status(router: &Router, body: &str) -> StatusCode {
    post(router, "/in", &[], body).await.0
}

fn sha256(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn sha1(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha1>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn escape(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

// --- Mailgun ----------------------------------------------------------------------------------------------------------------

fn mailgun(timestamp: &str, token: &str, signature: &str, event: &str) -> String {
    let signature = format!(r#"{{"timestamp":"{timestamp}","token":"{token}","signature":"{signature}"}}"#);
    format!(r#"{{"signature":{signature},"event-data":{{"event":"{event}","id":"an-id"}}}}"#)
}

#[tokio::test]
async fn a_delivery_of_mailgun_is_known_by_its_token() {
    let router = router(Provider::MAILGUN, KEY);
    let now = NOW.to_string();
    let tag = HEXLOWER.encode(&sha256(KEY.as_bytes(), &format!("{now}a-token")));
    let ok = |text: &str| (StatusCode::OK, text.to_owned());

    assert_eq!(post(&router, "/in", &[], &mailgun(&now, "a-token", &tag, "opened")).await, ok("a-token opened"));
    // What happened is not signed, so that another event comes under the same id, and not under one of its own.
    assert_eq!(post(&router, "/in", &[], &mailgun(&now, "a-token", &tag, "failed")).await, ok("a-token failed"));
    let parent = format!(
        r#"{{"signature":{{"timestamp":"{now}","token":"a-token","signature":"00","parent-signature":"{tag}"}},"event-data":{{}}}}"#
    );
    assert_eq!(post(&router, "/in", &[], &parent).await, ok("a-token -"));
    let form = format!("event=opened&timestamp={now}&token=a-token&signature={tag}");
    assert_eq!(post(&router, "/in", &[], &form).await, ok("a-token opened"));

    let moved = now.split_at(now.len() - 1);
    let stale = (NOW - 901).to_string();
    let stale_tag = HEXLOWER.encode(&sha256(KEY.as_bytes(), &format!("{stale}a-token")));
    let twice = mailgun(&now, "a-token", &tag, "opened").replace(r#""token":"#, r#""token":"other","token":"#);
    for body in [
        mailgun(&now, "another", &tag, "opened"),
        mailgun(moved.0, &format!("{}a-token", moved.1), &tag, "opened"),
        mailgun(&stale, "a-token", &stale_tag, "opened"),
        mailgun(&now, "a-token", "", "opened"),
        mailgun(&now, "a-token", &tag[..32], "opened"),
        twice,
        format!("{form}&token=a-token"),
        format!("{form}&signature={tag}"),
        format!("token={now}a-token&signature={tag}"),
        "{}".to_owned(),
        "[]".to_owned(),
        String::new(),
        "signature=".to_owned(),
        // An unreadable member next to the signed id would hide it.
        mailgun(&now, "a-token", &tag, "opened").replacen('{', r#"{"token":"\ud800","#, 1),
        mailgun(&now, "a-token", &tag, r#"x","event":"opened"#),
        mailgun(&now, "a-token", &tag, "opened").replace("a-token", r#"x","token":"x"#).replacen(
            '{',
            r#"{"token":"a-token","#,
            1,
        ),
        format!(r#"{{"signature":{}}}"#, "[".repeat(100_000)),
    ] {
        assert_eq!(status(&router, &body).await, StatusCode::UNAUTHORIZED, "{:.200}", body);
    }
}

// --- Microsoft Graph -------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn every_notification_of_microsoft_graph_has_the_state_of_its_subscription() {
    let router = router(Provider::MICROSOFT_GRAPH, KEY);
    let item = |state: &str| format!(r#"{{"subscriptionId":"s","changeType":"updated","clientState":"{state}"}}"#);
    let body = |items: &[String]| format!(r#"{{"value":[{}]}}"#, items.join(","));

    assert_eq!(status(&router, &body(&[item(KEY)])).await, StatusCode::OK);
    assert_eq!(status(&router, &body(&[item(KEY), item(KEY)])).await, StatusCode::OK);
    for wrong in [
        body(&[item("another state")]),
        body(&[item(KEY), item("another state")]),
        body(&[item(KEY), r#"{"subscriptionId":"s"}"#.to_owned()]),
        body(&[item("")]),
        body(&[]),
        r#"{"value":null}"#.to_owned(),
        item(KEY),
        "[]".to_owned(),
        String::new(),
    ] {
        assert_eq!(status(&router, &wrong).await, StatusCode::UNAUTHORIZED, "{wrong}");
    }
    // A URL is validated by an echo, before there is a subscription.
    let echoed = post(&router, "/in?validationToken=Validation%3A%20a%20token", &[], "").await;
    assert_eq!(echoed, (StatusCode::OK, "Validation: a token".to_owned()));
}

// --- Dropbox Sign -------------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn an_event_of_dropbox_sign_comes_in_a_form_of_either_kind() {
    let router = router(Provider::DROPBOX_SIGN, KEY);
    let tag = HEXLOWER.encode(&sha256(KEY.as_bytes(), "1700000000signature_request_sent"));
    let event = |time: &str, kind: &str| {
        format!(
            r#"{{"event":{{"event_time":"{time}","event_type":"{kind}","event_hash":"{tag}"}},"signature_request":{{}}}}"#
        )
    };
    let right = event("1700000000", "signature_request_sent");
    let part = |json: &str| format!("Content-Disposition: form-data; name=\"json\"\r\n\r\n{json}\r\n");
    let ok = (StatusCode::OK, "- signature_request_sent".to_owned());

    assert_eq!(post(&router, "/in", &[], &format!("json={}", escape(&right))).await, ok);
    assert_eq!(post(&router, "/in", &[], &format!("--b\r\n{}--b--\r\n", part(&right))).await, ok);

    let other = event("1700000000", "signature_request_signed");
    for body in [
        format!("json={}", escape(&other)),
        format!("json={}&json={}", escape(&right), escape(&other)),
        format!("--b\r\n{}--b--\r\n", part(&other)),
        format!("--b\r\n{}--b\r\n{}--b--\r\n", part(&right), part(&other)),
        format!("--b\r\n{}", part(&right)),
        // The same text, cut in another way.
        format!("json={}", escape(&event("170000000", "0signature_request_sent"))),
        format!("json={}", escape(&event("", "1700000000signature_request_sent"))),
        "json=".to_owned(),
        "other=1".to_owned(),
    ] {
        assert_eq!(status(&router, &body).await, StatusCode::UNAUTHORIZED, "{body}");
    }
}

// --- Adyen --------------------------------------------------------------------------------------------------------------------

const ADYEN_KEY: &str = "616e20656e64706f696e742773207369676e696e67206b6579";

/// An item with these fields, signed over `text`.
fn item(fields: [&str; 8], text: &str) -> String {
    let [psp, original, account, reference, value, currency, code, success] = fields;
    let tag = BASE64.encode(&sha256(KEY.as_bytes(), text));
    let amount = format!(r#"{{"value":{value},"currency":"{currency}"}}"#);
    format!(
        r#"{{"NotificationRequestItem":{{"additionalData":{{"hmacSignature":"{tag}"}},"pspReference":"{psp}","originalReference":"{original}","merchantAccountCode":"{account}","merchantReference":"{reference}","amount":{amount},"eventCode":"{code}","success":"{success}"}}}}"#
    )
}

fn items(items: &[String]) -> String {
    format!(r#"{{"live":"false","notificationItems":[{}]}}"#, items.join(","))
}

#[tokio::test]
async fn every_item_of_adyen_is_signed_and_cut_in_one_way() {
    let router = router(Provider::ADYEN_PAYMENTS, ADYEN_KEY);
    let fields = ["P1", "", "Shop", "ref:7\\", "1000", "EUR", "CAPTURE", "true"];
    let right = item(fields, "P1::Shop:ref:7\\:1000:EUR:CAPTURE:true".replace("\\\\", "\\").as_str());
    let escaped = right.replace("ref:7\\", "ref:7\\\\");
    assert_eq!(status(&router, &items(std::slice::from_ref(&escaped))).await, StatusCode::OK);
    let absent = escaped.replace(r#""originalReference":"","#, "");
    assert_eq!(status(&router, &items(&[absent, escaped.clone()])).await, StatusCode::OK);

    let text = "P1::Shop:a:b:1000:EUR:CAPTURE:true";
    let signed = |fields| items(&[item(fields, text)]);
    assert_eq!(
        status(&router, &signed(["P1", "", "Shop", "a:b", "1000", "EUR", "CAPTURE", "true"])).await,
        StatusCode::OK
    );
    let large = item(["P2", "", "Shop", "a", "9999999", "EUR", "CAPTURE", "true"], "");
    for body in [
        // The same text, cut in another way.
        signed(["P1", "", "Shop:a", "b", "1000", "EUR", "CAPTURE", "true"]),
        signed(["P1::Shop", "a", "b", "", "1000", "EUR", "CAPTURE", "true"]),
        signed(["P1", ":Shop", "a", "b", "1000", "EUR", "CAPTURE", "true"]),
        items(&[item(["P1", "", "Shop", "a", "\"b:1000\"", "EUR", "CAPTURE", "true"], text)]),
        signed(["P1", "", "Shop", "a:b", "1000", "EUR:CAPTURE", "", "true"]),
        // One that is not signed hides behind one that is.
        items(&[escaped.clone(), large.clone()]),
        items(&[large, escaped.clone()]),
        items(&[escaped.clone(), r#"{"NotificationRequestItem":{}}"#.to_owned()]),
        items(&[escaped.clone(), "null".to_owned()]),
        items(&[]),
        r#"{"notificationItems":{}}"#.to_owned(),
        "{}".to_owned(),
        format!(r#"{{"notificationItems":[],"notificationItems":[{escaped}]}}"#),
        items(&[escaped.replace(r#""originalReference":"""#, r#""originalReference":"a","originalReference":"b""#)]),
        items(&[escaped.replace(r#""originalReference":"""#, r#""originalReference":{"a":"b"}"#)]),
        items(&[escaped.replace(r#""originalReference":"""#, r#""originalReference":["b"]"#)]),
        items(&[escaped.replace(r#""success":"true""#, r#""success":"false","success":"true""#)]),
    ] {
        assert_eq!(status(&router, &body).await, StatusCode::UNAUTHORIZED, "{body}");
    }
}

// --- Twilio and Mandrill ------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_request_of_twilio_is_bound_by_its_fields_or_by_a_digest() {
    for (provider, tag) in
        [(Provider::TWILIO, sha1 as fn(&[u8], &str) -> Vec<u8>), (Provider::TWILIO_SHARED_KEY, sha256)]
    {
        let router = router(provider, KEY);
        let signed = |text: &str| vec![("x-twilio-signature", BASE64.encode(&tag(KEY.as_bytes(), text)))];
        let form = "To=%2B1&From=%2B2&Body=a+b&Tag=z&Tag=a&Tag=z";
        let right = signed(&format!("{PUBLIC_URL}/in?x=1Bodya bFrom+2TagaTagzTo+1"));
        let with_id = [right.clone(), vec![("i-twilio-idempotency-token", "a-token".to_owned())]].concat();

        assert_eq!(post(&router, "/in?x=1", &with_id, form).await, (StatusCode::OK, "a-token -".to_owned()));
        let port = signed(&format!("{PUBLIC_URL}:443/in?x=1Bodya bFrom+2TagaTagzTo+1"));
        assert_eq!(post(&router, "/in?x=1", &port, form).await.0, StatusCode::OK);
        let got = send(&router, Method::GET, "/in?x=1", &signed(&format!("{PUBLIC_URL}/in?x=1")), "").await;
        assert_eq!(got.status, StatusCode::OK);
        for (uri, body) in [
            ("/in?x=2", form),
            ("/in", form),
            ("/in?x=1", "To=%2B1&From=%2B2&Body=a+c&Tag=z&Tag=a"),
            ("/in?x=1", "To=%2B1&From=%2B2&Body=a+b&Tag=z&Tag=a&More=1"),
            ("/in?x=1", "To=%2B1&From=%2B2&Body=a+b&Tag=z"),
            ("/in?x=1", ""),
            ("/in?x=1", "{}"),
        ] {
            assert_eq!(post(&router, uri, &right, body).await.0, StatusCode::UNAUTHORIZED, "{uri} {body}");
        }

        let json = r#"{"a":"=b"}"#;
        let digest = HEXLOWER.encode(&Sha256::digest(json));
        let uri = format!("/in?bodySHA256={digest}");
        let right = signed(&format!("{PUBLIC_URL}{uri}"));
        assert_eq!(post(&router, &uri, &right, json).await.0, StatusCode::OK);
        // A signed URL without a digest binds no JSON.
        assert_eq!(post(&router, "/in", &signed(&format!("{PUBLIC_URL}/in")), json).await.0, StatusCode::UNAUTHORIZED);
        for (uri, body) in [
            (uri.clone(), r#"{"a":"=c"}"#),
            (uri.clone(), ""),
            (uri.clone(), "a=b"),
            (format!("{uri}&bodySHA256={digest}"), json),
            (format!("/in?bodySHA256={}", digest.to_uppercase()), json),
        ] {
            assert_eq!(post(&router, &uri, &right, body).await.0, StatusCode::UNAUTHORIZED, "{uri} {body}");
        }
        for digest in [&digest[..62], "", &format!("{digest}00"), "x"] {
            let uri = format!("/in?bodySHA256={digest}");
            let right = signed(&format!("{PUBLIC_URL}{uri}"));
            assert_eq!(post(&router, &uri, &right, json).await.0, StatusCode::UNAUTHORIZED, "{uri}");
        }
        // The text of signed fields becomes the end of the URL, and a value of theirs the digest of another body.
        let value = format!("&bodySHA256={digest}&");
        let form = format!("Body={}&To=%2B1", escape(&value));
        let right = signed(&format!("{PUBLIC_URL}/in?t=1Body{value}To+1"));
        assert_eq!(post(&router, "/in?t=1", &right, &form).await.0, StatusCode::OK);
        let moved = format!("/in?t=1Body{value}To+1");
        assert_eq!(post(&router, &moved, &right, json).await.0, StatusCode::UNAUTHORIZED);

        let twice = format!("/in?bodySHA256={digest}&bodySHA256={digest}");
        let right = signed(&format!("{PUBLIC_URL}{twice}"));
        assert_eq!(post(&router, &twice, &right, json).await.0, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn mandrill_signs_the_url_and_its_field_and_checks_it_by_head() {
    let router = router(Provider::MANDRILL, KEY);
    let events = r#"[{"event":"open","_id":"1"}]"#;
    let right = |events: &str| {
        let text = format!("{PUBLIC_URL}/inmandrill_events{events}");
        vec![("x-mandrill-signature", BASE64.encode(&sha1(KEY.as_bytes(), &text)))]
    };
    for events in [events, "[]"] {
        let form = format!("mandrill_events={}", escape(events));
        assert_eq!(post(&router, "/in", &right(events), &form).await.0, StatusCode::OK);
        assert_eq!(post(&router, "/other", &right(events), &form).await.0, StatusCode::UNAUTHORIZED);
    }
    for body in ["mandrill_events=%5B%5D", events, ""] {
        assert_eq!(post(&router, "/in", &right(events), body).await.0, StatusCode::UNAUTHORIZED, "{body}");
    }
    assert_eq!(send(&router, Method::HEAD, "/in", &[], "").await.status, StatusCode::OK);
}

// --- Plivo --------------------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn plivo_signs_sorted_parameters_and_a_nonce_that_ends_in_one_way() {
    let router = router(Provider::PLIVO, KEY);
    let signed = |name: &'static str, text: &str, nonce: &str| {
        let tag = BASE64.encode(&sha256(KEY.as_bytes(), text));
        vec![(name, tag), ("x-plivo-signature-v3-nonce", nonce.to_owned())]
    };
    let form = "To=1&Text=hello.world&From=2";
    let text = format!("{PUBLIC_URL}/in?a=1&b=2.From2Texthello.worldTo1.77");
    for name in ["x-plivo-signature-v3", "x-plivo-signature-ma-v3"] {
        assert_eq!(post(&router, "/in?b=2&a=1", &signed(name, &text, "77"), form).await.0, StatusCode::OK);
    }
    let got = signed("x-plivo-signature-v3", &format!("{PUBLIC_URL}/in.77"), "77");
    assert_eq!(send(&router, Method::GET, "/in", &got, "").await.status, StatusCode::OK);

    let right = |nonce: &str| signed("x-plivo-signature-v3", &text, nonce);
    for (uri, nonce, body) in [
        ("/in?b=2&a=1", "78", form),
        ("/in?b=2&a=2", "77", form),
        ("/in?b=2&a=1", "77", "To=1&Text=hello&From=2"),
        ("/in?b=2&a=1", "77", "{}"),
        // The same text, cut in another way.
        ("/in?b=2&a=1", "worldTo1.77", "From=2&Text=hello"),
    ] {
        assert_eq!(post(&router, uri, &right(nonce), body).await.0, StatusCode::UNAUTHORIZED, "{uri} {nonce} {body}");
    }
}

// --- Braintree ----------------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn braintree_names_the_key_and_asks_for_a_challenge() {
    let key = Sha1::digest(KEY);
    let router = router(Provider::BRAINTREE, &format!("a-public-key:{KEY}"));
    let form = |id: &str, payload: &str| {
        let pair = format!("{id}|{}", HEXLOWER.encode(&sha1(&key, payload)));
        format!("bt_signature={}&bt_payload={}", escape(&pair), escape(payload))
    };
    let payload = "PG5vdGlmaWNhdGlvbj48L25vdGlmaWNhdGlvbj4=\n";
    assert_eq!(status(&router, &form("a-public-key", payload)).await, StatusCode::OK);
    let two = form("a-public-key", payload).replace("bt_signature=", "bt_signature=other%7C00%26");
    assert_eq!(status(&router, &two).await, StatusCode::OK);
    let digits = "20f9f8ed05f77439fe955c977e4c8a53";
    for body in [
        form("another-key", payload),
        form("", payload),
        form("a-public-key", payload).replace("PG5v", "AG5v"),
        format!("bt_payload={}", escape(payload)),
        "bt_signature=a-public-key%7C".to_owned(),
        format!("{}&bt_payload=x", form("a-public-key", payload)),
        // Anybody may ask for the signature of a challenge.
        form("a-public-key", digits),
    ] {
        assert_eq!(status(&router, &body).await, StatusCode::UNAUTHORIZED, "{body}");
    }

    let get = async |uri: &str| {
        let answer = send(&router, Method::GET, uri, &[], "").await;
        (answer.status, answer.body)
    };
    let answer = format!("a-public-key|{}", HEXLOWER.encode(&sha1(&key, digits)));
    assert_eq!(get(&format!("/in?bt_challenge={digits}")).await, (StatusCode::OK, answer));
    for challenge in
        ["", "20f9f8ed05f77439fe9", &format!("{digits}0"), "PG5vdGlmaWNhdGlvbj48L25vdGlm", "20F9F8ED05F77439FE955C"]
    {
        assert_eq!(get(&format!("/in?bt_challenge={challenge}")).await.0, StatusCode::FORBIDDEN, "{challenge}");
    }
    assert_eq!(get("/in").await.0, StatusCode::FORBIDDEN);
}

// --- Keys ---------------------------------------------------------------------------------------------------------------------

#[test]
fn a_key_in_pem_may_end_with_its_line_ending() {
    assert!(Secret::new("-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n").is_ok());
    for text in ["a secret\n", "-----BEGIN X-----\n\n", " -----BEGIN X-----\n", "-----BEGIN X-----\t\n"] {
        assert!(Secret::new(text).is_err(), "{text:?}");
    }
}
