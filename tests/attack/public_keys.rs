//! Signatures with public keys: almost valid signatures, keys with which anybody could sign, and the limit of the work.

use std::time::{Duration, SystemTime};

use aws_lc_rs::signature::Ed25519KeyPair;
use bytes::Bytes;
use data_encoding::{BASE64, HEXLOWER};
use http::Request;
use key_pairs::PAIRS;
use tower_webhooks::{
    Provider, Scheme, Secret, Secrets, WebhookLayer,
    error::{ConfigErrorKind, VerifyErrorKind},
    scheme::{Field, Handshake},
};

use crate::support::key_pairs;

const NOW: u64 = 1_614_265_330;
const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const BODY: &str = r#"{"test": 2432232314}"#;
/// What Svix's server makes of these with the first of the pairs, as its own test has it.
const SIGNATURE: &str = "hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==";

fn secret(text: &str) -> Secret {
    Secret::new(text).unwrap()
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)
}

fn public(number: usize) -> Secret {
    secret(PAIRS[number][1])
}

/// The result of a signature header, for the body above.
fn verdict(secrets: impl Into<Secrets>, signature: &str) -> Result<(), VerifyErrorKind> {
    let (head, ()) = Request::post("/hook")
        .header("webhook-id", ID)
        .header("webhook-timestamp", NOW.to_string())
        .header("webhook-signature", signature)
        .body(())
        .unwrap()
        .into_parts();
    let scheme = Scheme::from(Provider::STANDARD_WEBHOOKS_V1A);
    scheme.verify(&head, BODY, &secrets.into(), now()).map(drop).map_err(|error| error.kind())
}

fn refused(signature: &str) -> VerifyErrorKind {
    verdict(public(0), signature).expect_err(signature)
}

fn sign(number: usize, text: &[u8]) -> Vec<u8> {
    let private = BASE64.decode(PAIRS[number][0].trim_start_matches("whsk_").as_bytes()).unwrap();
    Ed25519KeyPair::from_seed_unchecked(&private[..32]).unwrap().sign(text).as_ref().to_vec()
}

#[test]
fn the_published_signature_passes_under_its_key_alone() {
    assert_eq!(verdict(public(0), &format!("v1a,{SIGNATURE}")), Ok(()));
    assert_eq!(verdict(public(1), &format!("v1a,{SIGNATURE}")), Err(VerifyErrorKind::SignatureMismatch));
    let signed = format!("{ID}.{NOW}.{BODY}");
    assert_eq!(BASE64.encode(&sign(0, signed.as_bytes())), SIGNATURE);
}

#[test]
fn what_is_almost_a_signature_is_none() {
    let right = BASE64.decode(SIGNATURE.as_bytes()).unwrap();
    for length in [0, 32, 63, 65, 128] {
        let mut bytes = right.clone();
        bytes.resize(length, 0);
        assert_eq!(refused(&format!("v1a,{}", BASE64.encode(&bytes))), VerifyErrorKind::MalformedSignature);
    }
    for bytes in [vec![0; 64], vec![0xff; 64], [&right[32..], &right[..32]].concat(), [&right[..32], &[0; 32]].concat()]
    {
        assert_eq!(refused(&format!("v1a,{}", BASE64.encode(&bytes))), VerifyErrorKind::SignatureMismatch);
    }
    for bit in 0..right.len() * 8 {
        let mut bytes = right.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(refused(&format!("v1a,{}", BASE64.encode(&bytes))), VerifyErrorKind::SignatureMismatch, "bit {bit}");
    }
    for text in [
        SIGNATURE.to_owned(),
        format!("v1,{SIGNATURE}"),
        format!("V1A,{SIGNATURE}"),
        format!("v1a{SIGNATURE}"),
        format!("v1a,{}", SIGNATURE.trim_end_matches('=')),
        format!("v1a,{}", SIGNATURE.replace('+', "-").replace('/', "_")),
        format!("v1a,{}", HEXLOWER.encode(&right)),
        format!("v1a, {SIGNATURE}"),
        format!("v1a,v1a,{SIGNATURE}"),
    ] {
        assert_eq!(refused(&text), VerifyErrorKind::MalformedSignature, "{text}");
    }
}

#[test]
fn any_of_a_few_signatures_may_fit_any_of_a_few_keys() {
    let others: Vec<_> =
        [1, 2].iter().map(|number| format!("v1a,{}", BASE64.encode(&sign(*number, b"else")))).collect();
    let right = format!("v1a,{SIGNATURE}");
    for signatures in [[&others[0], &others[1], &right], [&right, &others[0], &others[1]]] {
        let header = format!("v1,abc {} {} {} v2,abc", signatures[0], signatures[1], signatures[2]);
        for keys in [vec![0], vec![1, 0], vec![2, 1, 0], vec![0, 1]] {
            let keys: Vec<_> = keys.into_iter().map(public).collect();
            assert_eq!(verdict(keys, &header), Ok(()));
        }
        assert_eq!(verdict([public(1), public(2)], &header), Err(VerifyErrorKind::SignatureMismatch));
    }
}

// A verification costs some fifty microseconds, whatever the sender's word is worth.
#[test]
fn the_number_of_verifications_is_bounded() {
    let wrong = format!("v1a,{} ", BASE64.encode(&[7; 64]));
    let right = format!("v1a,{SIGNATURE}");

    assert_eq!(verdict(public(0), &format!("{}{right}", wrong.repeat(3))), Ok(()));
    assert_eq!(refused(&format!("{}{right}", wrong.repeat(4))), VerifyErrorKind::Ambiguous);
    // Those of other versions are not counted, since nothing is done for them.
    assert_eq!(verdict(public(0), &format!("{}{right}", "v1,abc ".repeat(15))), Ok(()));

    let keys = |count: usize| (0..count).map(|_| public(0)).collect::<Vec<_>>();
    assert!(WebhookLayer::try_new(Provider::STANDARD_WEBHOOKS_V1A, keys(4)).is_ok());
    let error = WebhookLayer::try_new(Provider::STANDARD_WEBHOOKS_V1A, keys(5)).unwrap_err();
    assert_eq!(error.kind(), ConfigErrorKind::Secret);
    assert_eq!(verdict(keys(5), &right), Err(VerifyErrorKind::SecretUnavailable));
}

#[test]
fn a_key_that_no_sender_has_fails_at_start() {
    let key = |hex: &str| format!("whpk_{}", BASE64.encode(&HEXLOWER.decode(hex.as_bytes()).unwrap()));
    for (text, what) in [
        // The neutral element: R = 1 and S = 0 are right under it for every message. Then orders 2, 4 and 8, and 1 + p.
        (key("0100000000000000000000000000000000000000000000000000000000000000"), "small order"),
        (key("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"), "small order"),
        (key("0000000000000000000000000000000000000000000000000000000000000080"), "small order"),
        (key("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"), "small order"),
        (key("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"), "small order"),
        (key(&"07".repeat(31)), "32 bytes"),
        (key(&"07".repeat(33)), "32 bytes"),
        ("whpk_".to_owned(), "holds no key"),
        ("whpk_*".to_owned(), "`whpk_`"),
        (PAIRS[0][1].trim_start_matches("whpk_").to_owned(), "`whpk_`"),
        (PAIRS[0][0].to_owned(), "must never leave the sender"),
        (PAIRS[1][0].to_owned(), "must never leave the sender"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned(), "shared secret"),
    ] {
        let error = WebhookLayer::try_new(Provider::STANDARD_WEBHOOKS_V1A, secret(&text)).unwrap_err();

        assert_eq!(error.kind(), ConfigErrorKind::Secret, "{text}");
        assert!(format!("{error}").contains(what), "{text}: {error}");
        let digits = text.split_once('_').map_or(&*text, |(_, digits)| digits);
        assert!(digits.len() < 8 || !format!("{error} {error:?}").contains(digits), "{error}");
    }
    // And the other way about.
    for text in PAIRS[0] {
        let error = WebhookLayer::try_new(Provider::STANDARD_WEBHOOKS, secret(text)).unwrap_err().to_string();
        assert!(error.contains("must never leave the sender") || error.contains("`standard-webhooks-v1a`"), "{error}");
    }
}

// Discord's, for one: hexadecimal digits, and the timestamp directly before the body.
#[test]
fn other_senders_with_public_keys_are_declared() {
    let discord = || {
        Scheme::ed25519()
            .name("discord")
            .header("x-signature-ed25519")
            .hex()
            .key_hex()
            .timestamp(Field::header("x-signature-timestamp"))
            .signs("{timestamp}{body}")
    };
    let key = HEXLOWER.encode(&BASE64.decode(PAIRS[1][1].trim_start_matches("whpk_").as_bytes()).unwrap());
    let secrets = Secrets::new(secret(&key));
    let verify = |timestamp: u64, body: &str| {
        let (head, ()) = Request::post("/hook")
            .header("x-signature-ed25519", HEXLOWER.encode(&sign(1, format!("{NOW}{BODY}").as_bytes())))
            .header("x-signature-timestamp", timestamp.to_string())
            .body(())
            .unwrap()
            .into_parts();
        let scheme = discord().build().unwrap();
        scheme.verify(&head, Bytes::copy_from_slice(body.as_bytes()), &secrets, now()).is_ok()
    };

    assert!(verify(NOW, BODY));
    assert!(!verify(NOW + 1, BODY));
    assert!(!verify(NOW, "{}"));
    // Everyone knows a public key, so a MAC with it as the secret proves nothing.
    let challenge = Handshake::challenge(Field::query("token"), "response");
    assert!(discord().handshake(challenge).build().is_err());
    assert!(Scheme::hmac_sha256().header("x").hex().signs("{body}").key_standard_webhooks_public().build().is_err());
    assert!(Scheme::ed25519().header("x").hex().build().is_err());
}

// --- ECDSA and RSA ------------------------------------------------------------------------------------------------------

/// The receiver's keys for each provider that uses PEM, and the kind that they must have.
const IN_PEM: [(Provider, &[[&str; 2]; 3], &str); 4] = [
    (Provider::SENDGRID, &key_pairs::P256, "P-256"),
    (Provider::WISE, &key_pairs::RSA, "RSA"),
    (Provider::KICK, &key_pairs::RSA, "RSA"),
    (Provider::FIREBLOCKS_V1, &key_pairs::RSA, "RSA"),
];

fn pem(label: &str, base64: &str) -> String {
    let lines: Vec<_> = base64.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----", lines.join("\n"))
}

#[test]
fn a_key_that_is_not_the_schemes_fails_at_start() {
    for (provider, pairs, name) in IN_PEM {
        let error = |text: &str| WebhookLayer::try_new(provider, secret(text)).unwrap_err();
        let [private, public] = pairs[0];

        assert!(WebhookLayer::try_new(provider, secret(public)).is_ok(), "{provider}");
        assert!(WebhookLayer::try_new(provider, secret(&pem("PUBLIC KEY", public))).is_ok(), "{provider}");
        // Whose private key is in a configuration must hear it.
        let text = error(&pem("PRIVATE KEY", private)).to_string();
        assert!(text.contains("it is a private key, which must never leave the sender"), "{provider}: {text}");
        assert!(!text.contains(&private[..20]), "{provider}: {text}");
        let other = if name == "RSA" { key_pairs::P256[0][1] } else { key_pairs::RSA[0][1] };
        assert!(error(other).to_string().contains(name), "{provider}");
        for text in [private, "a text that is no public key", "AAAA", PAIRS[0][1], &pem("CERTIFICATE", public)] {
            assert_eq!(error(text).kind(), ConfigErrorKind::Secret, "{provider}: {text}");
        }
        let many: Vec<_> = std::iter::repeat_n(secret(public), 5).collect();
        assert!(WebhookLayer::try_new(provider, many).unwrap_err().to_string().contains("more than 4"), "{provider}");
    }
}

#[test]
fn schemes_with_keys_in_pem_say_what_is_wrong_with_their_declaration() {
    let build = |scheme: tower_webhooks::scheme::SchemeBuilder| {
        scheme.header("x-sig").base64().signs("{body}").build().map(|_| ()).map_err(|error| error.to_string())
    };
    for scheme in [Scheme::ecdsa_p256, Scheme::rsa_sha256, Scheme::rsa_sha512] {
        assert!(build(scheme()).unwrap_err().contains("add `.key_pem()`"));
        assert!(build(scheme().key_base64()).unwrap_err().contains("add `.key_pem()`"));
        assert!(build(scheme().key_pem()).is_ok());
        let challenge =
            Handshake::challenge(Field::query("c"), "r").present(Field::query("c")).method(http::Method::GET);
        assert!(build(scheme().key_pem().handshake(challenge)).unwrap_err().contains("shared secret"));
    }
    for scheme in [Scheme::hmac_sha256().key_pem(), Scheme::ed25519().key_pem()] {
        assert!(build(scheme).unwrap_err().contains("for public keys of ECDSA and RSA"));
    }
}

// A request for a tenant that does not exist costs as much as for one that exists, and is rejected like a forged one.
#[cfg(all(feature = "axum", feature = "testing"))]
#[tokio::test]
async fn a_tenant_that_does_not_exist_is_checked_with_a_key_that_nobody_has() {
    use axum::{Router, body::Body, routing::post};
    use tower::ServiceExt;
    use tower_webhooks::{BoxError, RequestHead, testing::SignedRequest};

    for (provider, private) in [(Provider::SENDGRID, key_pairs::P256[0][0]), (Provider::WISE, key_pairs::RSA[0][0])] {
        let source = |_: RequestHead| async { Ok::<_, BoxError>(Secrets::unknown_tenant()) };
        let layer = crate::support::senders::with_claims(WebhookLayer::new(provider, source), &provider.into());
        let app: Router = Router::new().route("/", post(async || "").layer(layer));
        let request = SignedRequest::new(provider, &secret(private)).build::<Body>();

        let answer = app.oneshot(request).await.unwrap();

        assert_eq!(answer.status(), 401, "{provider}");
    }
}
