//! Signs as each provider of the catalogue does, written from their documentation and apart from the crate's own code.

use axum::{
    Router,
    body::Body,
    http::{Method, Request, StatusCode},
};
use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::BodyExt;
use sha2::{Digest, Sha256};
use tower::ServiceExt;
use tower_webhooks::{Provider, Scheme, Secret, WebhookLayer, clock::ManualClock};

use super::formulas;
#[cfg(feature = "asymmetric")]
use super::key_pairs;

/// What every receiver's clock shows, in Unix seconds, and the same as a date.
pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const NOW_AS_DATE: &str = "2027-01-15T08:00:00.123456789Z";
pub(crate) const NOW_AS_HTTP_DATE: &str = "Fri, 15 Jan 2027 08:00:00 GMT";

pub(crate) const PUBLIC_URL: &str = "https://hooks.example.com";
pub(crate) const PATH: &str = "/in?from=them";
pub(crate) const VERIFY_TOKEN: &str = "the token of the subscription";

/// The id of deliveries that have it in a header.
pub(crate) const ID: &str = "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W";

/// The secret as its owner copies it from the provider's page.
pub(crate) fn secret_text(provider: Provider) -> &'static str {
    match provider.name() {
        "clerk" | "gitlab-signing" | "openai" | "resend" | "standard-webhooks" | "svix" => {
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
        }
        "standard-webhooks-v1a" => "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=",
        "discord-events" | "discord-interactions" => "d52880e28f61caa4c2a48a82e55f4751a92289a78009ea9f6532270c16ce8abe",
        "fal" | "telnyx" => "1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=",
        #[cfg(feature = "asymmetric")]
        "plaid" | "sendgrid" => key_pairs::P256[0][1],
        #[cfg(feature = "asymmetric")]
        "aws-sns" | "aws-sns-v2" | "fireblocks-v1" | "fireblocks-v2" | "google-pubsub" | "kick" | "paypal"
        | "shipstation" | "wise" => key_pairs::RSA[0][1],
        #[cfg(feature = "asymmetric")]
        "truelayer" => key_pairs::P521[0][1],
        name => formulas::of(name).map_or("an endpoint's signing key", formulas::Formula::secret),
    }
}

/// The receiver's layer, with everything it needs besides the secret.
pub(crate) fn layer(provider: Provider) -> WebhookLayer {
    let layer =
        WebhookLayer::new(provider, secret(secret_text(provider))).with_clock(ManualClock::at_unix_seconds(NOW));
    let scheme = Scheme::from(provider);
    let layer = if scheme.needs_verify_token() { layer.with_verify_token(secret(VERIFY_TOKEN)) } else { layer };
    let layer = with_claims(layer, &scheme);
    if scheme.signs_url() { layer.with_public_url(PUBLIC_URL) } else { layer }
}

/// Sets the claims and the endpoint id that only the application knows to what test requests hold.
pub(crate) fn with_claims(layer: WebhookLayer, scheme: &Scheme) -> WebhookLayer {
    let layer = if scheme.needs_account() { layer.with_insecure_any_account() } else { layer };
    let layer = if scheme.signs_endpoint_id() { layer.with_endpoint_id("test") } else { layer };
    scheme.needed_claims().iter().fold(layer, |layer, name| layer.with_claim(*name, "test"))
}

pub(crate) fn secret(text: &str) -> Secret {
    Secret::new(text).expect("the secret is one")
}

/// The headers that prove `body`, sent [`NOW`] to [`PATH`].
pub(crate) fn signature(provider: Provider, body: &str) -> Vec<(&'static str, String)> {
    let (text, now) = (secret_text(provider), NOW.to_string());
    let mac = |content: String| hmac(text.as_bytes(), &content);
    let hex = |content: String| HEXLOWER.encode(&mac(content));
    let standard = |prefix: &str| {
        let key = BASE64.decode(text.trim_start_matches("whsec_").as_bytes()).expect("the secret is base64");
        let tag = BASE64.encode(&hmac(&key, &format!("{ID}.{now}.{body}")));
        let [id, timestamp, signature] = match prefix {
            "svix" => ["svix-id", "svix-timestamp", "svix-signature"],
            _ => ["webhook-id", "webhook-timestamp", "webhook-signature"],
        };
        vec![(id, ID.to_owned()), (timestamp, now.clone()), (signature, format!("v1,{tag}"))]
    };
    match provider.name() {
        "clerk" | "resend" | "svix" => standard("svix"),
        "dropbox" => vec![("x-dropbox-signature", hex(body.to_owned()))],
        "github" | "meta" => vec![("x-hub-signature-256", format!("sha256={}", hex(body.to_owned())))],
        "gitlab-signing" | "openai" | "standard-webhooks" => standard("webhook"),
        "gitlab-token" => vec![("x-gitlab-token", text.to_owned())],
        "linear" => vec![("linear-signature", hex(body.to_owned()))],
        "paddle" => vec![("paddle-signature", format!("ts={now};h1={}", hex(format!("{now}:{body}"))))],
        "pagerduty" => vec![("x-pagerduty-signature", format!("v1={}", hex(body.to_owned())))],
        "shopify" => vec![("x-shopify-hmac-sha256", BASE64.encode(&mac(body.to_owned())))],
        "slack" => vec![
            ("x-slack-request-timestamp", now.clone()),
            ("x-slack-signature", format!("v0={}", hex(format!("v0:{now}:{body}")))),
        ],
        "square" => {
            vec![("x-square-hmacsha256-signature", BASE64.encode(&mac(format!("{PUBLIC_URL}{PATH}{body}"))))]
        }
        #[cfg(feature = "asymmetric")]
        "standard-webhooks-v1a" => vec![
            ("webhook-id", ID.to_owned()),
            ("webhook-timestamp", now.clone()),
            ("webhook-signature", format!("v1a,{}", BASE64.encode(&ed25519(&format!("{ID}.{now}.{body}"))))),
        ],
        #[cfg(feature = "asymmetric")]
        "discord-events" | "discord-interactions" => vec![
            ("x-signature-timestamp", now.clone()),
            ("x-signature-ed25519", HEXLOWER.encode(&ed25519(&format!("{now}{body}")))),
        ],
        #[cfg(feature = "asymmetric")]
        "telnyx" => vec![
            ("telnyx-timestamp", now.clone()),
            ("telnyx-signature-ed25519", BASE64.encode(&ed25519(&format!("{now}|{body}")))),
        ],
        #[cfg(feature = "asymmetric")]
        "sendgrid" => vec![
            ("x-twilio-email-event-webhook-timestamp", now.clone()),
            ("x-twilio-email-event-webhook-signature", BASE64.encode(&ecdsa_p256(&format!("{now}{body}")))),
        ],
        #[cfg(feature = "asymmetric")]
        "wise" => vec![("x-signature-sha256", BASE64.encode(&rsa(&aws_lc_rs::signature::RSA_PKCS1_SHA256, body)))],
        #[cfg(feature = "asymmetric")]
        "fireblocks-v1" => {
            vec![("fireblocks-signature", BASE64.encode(&rsa(&aws_lc_rs::signature::RSA_PKCS1_SHA512, body)))]
        }
        #[cfg(feature = "asymmetric")]
        "fireblocks-v2" => {
            let sign = |text: &str| rsa(&aws_lc_rs::signature::RSA_PKCS1_SHA512, text);
            vec![("fireblocks-webhook-signature", detached(r#"{"alg":"RS512","kid":"a-key"}"#, body, sign))]
        }
        #[cfg(feature = "asymmetric")]
        "shipstation" => {
            let tag = rsa(&aws_lc_rs::signature::RSA_PKCS1_SHA256, &format!("{NOW_AS_DATE}.{body}"));
            vec![
                ("x-shipengine-rsa-sha256-key-id", "a-key".to_owned()),
                ("x-shipengine-timestamp", NOW_AS_DATE.to_owned()),
                ("x-shipengine-rsa-sha256-signature", BASE64.encode(&tag)),
            ]
        }
        #[cfg(feature = "asymmetric")]
        "truelayer" => {
            let path = PATH.split('?').next().unwrap_or_default();
            let content = format!("POST {path}\nX-TL-Webhook-Timestamp: {NOW_AS_DATE}\n{body}");
            let sign = |text: &str| {
                ecdsa_of(key_pairs::P521[0][0], &aws_lc_rs::signature::ECDSA_P521_SHA512_FIXED_SIGNING, text)
            };
            let header = r#"{"alg":"ES512","kid":"a-key","tl_version":"2","tl_headers":"X-TL-Webhook-Timestamp","jku":"https://webhooks.truelayer.com/.well-known/jwks"}"#;
            vec![("x-tl-webhook-timestamp", NOW_AS_DATE.to_owned()), ("tl-signature", detached(header, &content, sign))]
        }
        #[cfg(feature = "asymmetric")]
        "kick" => {
            let text = format!("{ID}.{NOW_AS_DATE}.{body}");
            vec![
                ("kick-event-message-id", ID.to_owned()),
                ("kick-event-message-timestamp", NOW_AS_DATE.to_owned()),
                ("kick-event-signature", BASE64.encode(&rsa(&aws_lc_rs::signature::RSA_PKCS1_SHA256, &text))),
            ]
        }
        #[cfg(feature = "asymmetric")]
        "google-pubsub" => {
            let claims = format!(
                r#"{{"iss":"https://accounts.google.com","aud":"test","email":"test","email_verified":true,"iat":{now},"exp":{}}}"#,
                NOW + 3600
            );
            let sign = |text: &str| rsa(&aws_lc_rs::signature::RSA_PKCS1_SHA256, text);
            let token = public_token(r#"{"alg":"RS256","kid":"a-key","typ":"JWT"}"#, &claims, sign);
            vec![("authorization", format!("Bearer {token}"))]
        }
        #[cfg(feature = "asymmetric")]
        "fal" => {
            let digest = HEXLOWER.encode(&Sha256::digest(body.as_bytes()));
            // The user's id is that which the receiver knows, and not that of `x-fal-webhook-user-id`.
            vec![
                ("x-fal-webhook-request-id", ID.to_owned()),
                ("x-fal-webhook-timestamp", now.clone()),
                ("x-fal-webhook-signature", HEXLOWER.encode(&ed25519(&format!("{ID}\ntest\n{now}\n{digest}")))),
            ]
        }
        #[cfg(feature = "asymmetric")]
        "paypal" => {
            let (id, time, crc) =
                ("69cd13f0-d67a-11e5-baa3-778b53f4ae55", "2027-01-15T08:00:00Z", crc32(body.as_bytes()));
            let tag = rsa(&aws_lc_rs::signature::RSA_PKCS1_SHA256, &format!("{id}|{time}|test|{crc}"));
            vec![
                ("paypal-transmission-id", id.to_owned()),
                ("paypal-transmission-time", time.to_owned()),
                ("paypal-auth-algo", "SHA256withRSA".to_owned()),
                ("paypal-cert-url", "https://api.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594".to_owned()),
                ("paypal-transmission-sig", BASE64.encode(&tag)),
            ]
        }
        #[cfg(feature = "asymmetric")]
        "plaid" => {
            let digest = HEXLOWER.encode(&Sha256::digest(body.as_bytes()));
            let claims = format!(r#"{{"iat":{now},"request_body_sha256":"{digest}"}}"#);
            let sign = |text: &str| ecdsa_p256_of(&aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING, text);
            vec![("plaid-verification", public_token(r#"{"alg":"ES256","kid":"a-key","typ":"JWT"}"#, &claims, sign))]
        }
        "hook0" | "coinbase-cdp" => {
            let tag = hex(format!("{now}.x-event-id x-event-type.{ID}.user.created.{body}"));
            vec![
                ("x-event-id", ID.to_owned()),
                ("x-event-type", "user.created".to_owned()),
                ("x-hook0-signature", format!("t={now},h=x-event-id x-event-type,v1={tag}")),
            ]
        }
        "contentful" => {
            let list = "x-contentful-signed-headers,x-contentful-timestamp";
            let headers = format!("x-contentful-signed-headers:{list};x-contentful-timestamp:{now}000");
            vec![
                ("x-contentful-signed-headers", list.to_owned()),
                ("x-contentful-timestamp", format!("{now}000")),
                ("x-contentful-signature", hex(format!("POST\n/in?from%253Dthem\n{headers}\n{body}"))),
            ]
        }
        "stripe" => vec![("stripe-signature", format!("t={now},v1={}", hex(format!("{now}.{body}"))))],
        "twitch" => vec![
            ("twitch-eventsub-message-id", ID.to_owned()),
            ("twitch-eventsub-message-timestamp", NOW_AS_DATE.to_owned()),
            ("twitch-eventsub-message-signature", format!("sha256={}", hex(format!("{ID}{NOW_AS_DATE}{body}")))),
        ],
        "x-webhook" => vec![("x-webhook-signature", format!("sha256={}", hex(body.to_owned())))],
        "zoom" => vec![
            ("x-zm-request-timestamp", now.clone()),
            ("x-zm-signature", format!("v0={}", hex(format!("v0:{now}:{body}")))),
        ],
        _ if claims(provider, body).is_some() => {
            let claims = claims(provider, body).expect("there are some");
            let text = token(r#"{"alg":"HS256","typ":"JWT"}"#, &claims, text.as_bytes());
            match provider.name() {
                "fusionauth" => vec![("x-fusionauth-signature-jwt", text)],
                "livekit" => vec![("authorization", text)],
                "messagebird" => vec![("messagebird-signature-jwt", text)],
                "netlify" => vec![("x-webhook-signature", text)],
                "qstash" => vec![("upstash-signature", text)],
                _ => vec![("authorization", format!("Bearer {text}"))],
            }
        }
        name => {
            let formula = formulas::of(name).unwrap_or_else(|| panic!("nobody signs for `{name}`"));
            let (url, date) = (format!("{PUBLIC_URL}{PATH}"), NOW_AS_DATE);
            formula.sign(body, &formulas::Facts { id: ID, seconds: NOW, date, http_date: NOW_AS_HTTP_DATE, url: &url })
        }
    }
}

/// The claims of a provider's token, if its signature is a token.
pub(crate) fn claims(provider: Provider, body: &str) -> Option<String> {
    let digest = Sha256::digest(body.as_bytes());
    let (hex, now, url) = (HEXLOWER.encode(&digest), NOW, format!("{PUBLIC_URL}{PATH}"));
    let times = format!(r#""nbf":{now},"exp":{}"#, now + 300);
    Some(match provider.name() {
        "fusionauth" => format!(r#"{{"request_body_sha256":"{}"}}"#, BASE64.encode(&digest)),
        "livekit" => format!(r#"{{"iss":"APIkey",{times},"sha256":"{}"}}"#, BASE64.encode(&digest)),
        "messagebird" => {
            let url = HEXLOWER.encode(&Sha256::digest(url.as_bytes()));
            format!(r#"{{"iss":"MessageBird",{times},"jti":"1","url_hash":"{url}","payload_hash":"{hex}"}}"#)
        }
        "netlify" => format!(r#"{{"iss":"netlify","sha256":"{hex}"}}"#),
        "qstash" => {
            let digest = data_encoding::BASE64URL.encode(&digest);
            format!(r#"{{"iss":"Upstash","sub":"{url}",{times},"iat":{now},"jti":"1","body":"{digest}"}}"#)
        }
        "vonage" => format!(r#"{{"iss":"Vonage","iat":{now},"jti":"1","api_key":"abcd1234","payload_hash":"{hex}"}}"#),
        _ => return None,
    })
}

/// A token of HS256, whatever its header says.
pub(crate) fn token(header: &str, claims: &str, key: &[u8]) -> String {
    let part = |text: &str| data_encoding::BASE64URL_NOPAD.encode(text.as_bytes());
    let signed = format!("{}.{}", part(header), part(claims));
    format!("{signed}.{}", data_encoding::BASE64URL_NOPAD.encode(&hmac(key, &signed)))
}

/// CRC-32, bit by bit, as the standard has it.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

/// A token with a public key's signature.
pub(crate) fn public_token(header: &str, claims: &str, sign: impl FnOnce(&str) -> Vec<u8>) -> String {
    let part = |text: &str| data_encoding::BASE64URL_NOPAD.encode(text.as_bytes());
    let signed = format!("{}.{}", part(header), part(claims));
    format!("{signed}.{}", data_encoding::BASE64URL_NOPAD.encode(&sign(&signed)))
}

/// A signature with detached content (RFC 7515, appendix F).
pub(crate) fn detached(header: &str, content: &str, sign: impl FnOnce(&str) -> Vec<u8>) -> String {
    let part = |text: &[u8]| data_encoding::BASE64URL_NOPAD.encode(text);
    let header = part(header.as_bytes());
    let signature = sign(&format!("{header}.{}", part(content.as_bytes())));
    format!("{header}..{}", part(&signature))
}

/// Whether the provider has nothing of its own but a formula.
pub(crate) fn has_formula(provider: Provider) -> bool {
    let has_public_key = WebhookLayer::try_new(provider, secret("a text that is no public key")).is_err();
    let is_listed = ["contentful", "coinbase-cdp", "hook0"].contains(&provider.name());
    let is_apart = is_listed || !is_plain(provider) || claims(provider, "").is_some();
    is_apart || formulas::of(provider.name()).is_some() || has_public_key && provider.name() != "standard-webhooks-v1a"
}

/// The signature of a provider whose proof is not in a header, over `text`.
pub(crate) fn hex_tag(provider: Provider, text: &str) -> String {
    let formula = formulas::of(provider.name()).expect("the provider has a formula");
    HEXLOWER.encode(&formula.tag(text.as_bytes()))
}

/// Whether the proof of a provider's deliveries is in headers, so that [`signature`] has it.
pub(crate) fn is_in_headers(provider: Provider) -> bool {
    is_plain(provider) && !["figma", "pandadoc"].contains(&provider.name())
}

/// Whether the provider signs whatever JSON it sends. The others have tests of their own, in tests/receive/providers_in_bodies.rs.
pub(crate) fn is_plain(provider: Provider) -> bool {
    const OTHERS: &[&str] = &[
        "adyen-payments",
        "aws-sns",
        "aws-sns-v2",
        "braintree",
        "dropbox-sign",
        "mailgun",
        "mandrill",
        "microsoft-graph",
        "paddle-classic",
        "plivo",
        "twilio",
        "twilio-shared-key",
    ];
    !OTHERS.contains(&provider.name())
}

pub(crate) fn hmac(key: &[u8], content: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(content.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// Signs with the private key that belongs to the public one above: Svix's example, seed and public key.
#[cfg(feature = "asymmetric")]
pub(crate) fn ed25519(content: &str) -> Vec<u8> {
    const PRIVATE: &[u8] = b"6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==";
    let bytes = BASE64.decode(PRIVATE).expect("the key is base64");
    let pair = aws_lc_rs::signature::Ed25519KeyPair::from_seed_and_public_key(&bytes[..32], &bytes[32..]);
    pair.expect("the halves belong together").sign(content.as_bytes()).as_ref().to_vec()
}

#[cfg(feature = "asymmetric")]
fn private(text: &str) -> Vec<u8> {
    BASE64.decode(text.as_bytes()).expect("the key is base64")
}

#[cfg(feature = "asymmetric")]
fn ecdsa_p256(content: &str) -> Vec<u8> {
    ecdsa_p256_of(&aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1_SIGNING, content)
}

#[cfg(feature = "asymmetric")]
pub(crate) fn ecdsa_p256_of(form: &'static aws_lc_rs::signature::EcdsaSigningAlgorithm, content: &str) -> Vec<u8> {
    ecdsa_of(key_pairs::P256[0][0], form, content)
}

#[cfg(feature = "asymmetric")]
pub(crate) fn ecdsa_of(
    key: &str,
    form: &'static aws_lc_rs::signature::EcdsaSigningAlgorithm,
    content: &str,
) -> Vec<u8> {
    let key = private(key);
    let pair = aws_lc_rs::signature::EcdsaKeyPair::from_pkcs8(form, &key).expect("the key is one");
    let random = aws_lc_rs::rand::SystemRandom::new();
    pair.sign(&random, content.as_bytes()).expect("it signs").as_ref().to_vec()
}

#[cfg(feature = "asymmetric")]
pub(crate) fn rsa(by: &'static dyn aws_lc_rs::signature::RsaEncoding, content: &str) -> Vec<u8> {
    let pair = aws_lc_rs::signature::RsaKeyPair::from_pkcs8(&private(key_pairs::RSA[0][0])).expect("the key is one");
    let mut signature = vec![0; pair.public_modulus_len()];
    let random = aws_lc_rs::rand::SystemRandom::new();
    pair.sign(by, &random, content.as_bytes(), &mut signature).expect("it signs");
    signature
}

/// A response that has been read to its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) content_type: String,
    pub(crate) nosniff: bool,
    pub(crate) body: String,
}

pub(crate) async fn send(router: &Router, method: Method, uri: &str, headers: &[(&str, String)], body: &str) -> Answer {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let request = request.body(Body::from(body.to_owned())).expect("the request is one");
    let Ok(response) = router.clone().oneshot(request).await;
    let header = |name: &str| {
        let value = response.headers().get(name);
        value.map(|value| value.to_str().expect("the answer's headers are ASCII").to_owned()).unwrap_or_default()
    };
    Answer {
        status: response.status(),
        content_type: header("content-type"),
        nosniff: header("x-content-type-options") == "nosniff",
        body: {
            let body = response.into_body().collect().await.expect("the answer comes whole").to_bytes();
            String::from_utf8(body.to_vec()).expect("the answer is text")
        },
    }
}

pub(crate) async fn post(router: &Router, headers: &[(&str, String)], body: &str) -> Answer {
    send(router, Method::POST, PATH, headers, body).await
}
