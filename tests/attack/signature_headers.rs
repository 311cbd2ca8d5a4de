//! What an attacker can write into a signature header, over real sockets.

use std::time::{Duration, SystemTime};

use axum::{Router, routing::post};
use data_encoding::{BASE64, HEXLOWER};
use serve::{NEVER, Receiver, Server, long, request, request_h2};
use sign::{ID, Line, NOW, Sender, hmac_sha256, line};
use tower_webhooks::{
    BoxError, Provider, RequestHead, Scheme, Secret, Secrets, WebhookLayer, clock::ManualClock, error::ConfigErrorKind,
};

use crate::support::{serve, sign};

const BODY: &[u8] = br#"{"id":"evt_1","type":"invoice.paid","data":{"object":{}}}"#;

fn now() -> String {
    NOW.to_string()
}

/// The headers with the signature header's values replaced by these.
fn with_values(sender: Sender, values: &[&[u8]]) -> Vec<Line> {
    let mut lines = sender.sign(BODY);
    lines.retain(|(name, _)| name != sender.signature_header());
    lines.extend(values.iter().map(|value| line(sender.signature_header(), *value)));
    lines
}

// An attacker leaves the header out, in the hope that the check is left out too.
#[tokio::test]
async fn a_request_without_a_signature_is_refused_before_its_body() {
    for sender in Sender::ALL {
        let receiver = Receiver::new(sender).await;

        receiver.refuses_early(&with_values(sender, &[])).await;
        receiver.refuses_early(&[]).await;

        receiver.finish().await;
    }
}

// The header is there and holds nothing, or something that a parser may stumble over.
#[tokio::test]
async fn junk_in_the_place_of_a_signature_is_refused_before_the_body() {
    let commas = ",".repeat(1000);
    let junk = ["", " ", "\t", &commas, "null", "[]", "{}", "\"", "'", "0", "=", "v1", "sha256", "undefined"];
    for sender in Sender::ALL {
        let receiver = Receiver::new(sender).await;

        for value in junk {
            receiver.refuses_early(&with_values(sender, &[value.as_bytes()])).await;
        }

        receiver.finish().await;
    }
}

// A comparison that stops at the shorter text takes nothing for equal to everything.
#[tokio::test]
async fn a_prefix_without_a_signature_is_refused_before_the_body() {
    for sender in Sender::ALL {
        let receiver = Receiver::new(sender).await;

        receiver.refuses_early(&sender.claiming(sender.value(&now(), ""))).await;

        receiver.finish().await;
    }
}

// The same, with a true beginning: the length must be compared too.
#[tokio::test]
async fn a_right_signature_that_is_cut_or_continued_is_refused_before_the_body() {
    for sender in Sender::ALL {
        let receiver = Receiver::new(sender).await;
        let tag = sender.tag(&now(), BODY);

        for length in [tag.len() - 1, tag.len() - 2, tag.len() / 2, 4, 2, 1] {
            receiver.refuses_early(&sender.claiming(sender.value(&now(), &tag[..length]))).await;
        }
        for tail in ["0", "00", "=", "A", "AAAA", " "] {
            // A space at the end of a value is not part of it (RFC 9110, section 5.5), so it is tested before the tag
            // as well.
            receiver.refuses_early(&sender.claiming(sender.value(&now(), &format!(" {tag}{tail}")))).await;
            if tail != " " {
                receiver.refuses_early(&sender.claiming(sender.value(&now(), &format!("{tag}{tail}")))).await;
            }
        }

        receiver.finish().await;
    }
}

// Lists that end early, and items that are no pairs.
#[tokio::test]
async fn a_list_without_a_whole_signature_is_refused_before_the_body() {
    let stripe = Receiver::new(Sender::Stripe).await;
    for value in ["t=NOW", "t=NOW,", "t=NOW,v1", "t=NOW,v1=", "v1", "t=NOW,,,", "t=NOW,v1=A", "t", "t=", "t=NOW,=RIGHT"]
    {
        let value = value.replace("NOW", &now()).replace("RIGHT", &Sender::Stripe.tag(&now(), BODY));
        stripe.refuses_early(&Sender::Stripe.claiming(value)).await;
    }
    stripe.finish().await;

    for sender in [Sender::StandardWebhooks, Sender::Svix] {
        let receiver = Receiver::new(sender).await;
        for value in
            ["v1", "v1,", "v1,A", ",,,", "v1,*", "v1 , ", "RIGHT", ",RIGHT", "v1, RIGHT", "v1RIGHT", "v1,RIGHT,RIGHT"]
        {
            receiver.refuses_early(&sender.claiming(value.replace("RIGHT", &sender.tag(&now(), BODY)))).await;
        }
        receiver.finish().await;
    }
}

// Bytes above 0x7F are legal in a header value, and no text.
#[tokio::test]
async fn a_signature_outside_ascii_is_refused_before_the_body() {
    for sender in Sender::ALL {
        let receiver = Receiver::new(sender).await;

        for tag in [vec![0xe9; 64], vec![0xff; 64], "é".repeat(32).into_bytes(), "\u{ff11}".repeat(64).into_bytes()] {
            let mut value = sender.value(&now(), "").into_bytes();
            value.extend_from_slice(&tag);
            receiver.refuses_early(&sender.claiming(value)).await;
            receiver.refuses_early(&sender.claiming(tag)).await;
        }

        receiver.finish().await;
    }
}

// A proxy may look at one of two headers and the application at the other.
#[tokio::test]
async fn two_signature_headers_are_refused_before_the_body_whichever_is_right() {
    for sender in Sender::ALL {
        let receiver = Receiver::new(sender).await;
        let right = sender.value(&now(), &sender.tag(&now(), BODY));
        let wrong = sender.value(&now(), &sender.encode(&[0; 32]));

        for values in [[&right, &wrong], [&wrong, &right], [&right, &right]] {
            receiver.refuses_early(&with_values(sender, &values.map(|value| value.as_bytes()))).await;
        }
        // The same on one line, as a proxy may join them, for headers that are not lists.
        if matches!(sender, Sender::GitHub | Sender::Slack) {
            receiver.refuses_early(&with_values(sender, &[format!("{right}, {right}").as_bytes()])).await;
        }

        receiver.finish().await;
    }
}

// A time or an id that is there twice is as ambiguous as a signature.
#[tokio::test]
async fn a_signed_header_that_is_there_twice_is_refused_before_the_body() {
    for sender in [Sender::Slack, Sender::StandardWebhooks, Sender::Svix] {
        let receiver = Receiver::new(sender).await;
        for (name, value) in sender.sign(BODY) {
            let mut headers = sender.sign(BODY);
            headers.push((name, value));
            receiver.refuses_early(&headers).await;
        }
        receiver.finish().await;
    }

    let stripe = Receiver::new(Sender::Stripe).await;
    let tag = Sender::Stripe.tag(&now(), BODY);
    for value in [format!("t={NOW},t={NOW},v1={tag}"), format!("t=1,v1={tag},t={NOW}"), format!("t={NOW},v1={tag},t=")]
    {
        stripe.refuses_early(&Sender::Stripe.claiming(value)).await;
    }
    stripe.finish().await;
}

// Headers of the one family of names must not complete those of the other.
#[tokio::test]
async fn the_two_families_of_standard_webhooks_are_never_mixed() {
    for (sender, other) in [(Sender::StandardWebhooks, "svix"), (Sender::Svix, "webhook")] {
        let receiver = Receiver::new(sender).await;
        let own = if other == "svix" { "webhook" } else { "svix" };

        for moved in ["id", "timestamp", "signature"] {
            let mut headers = sender.sign(BODY);
            for (name, _) in &mut headers {
                if *name == format!("{own}-{moved}") {
                    *name = format!("{other}-{moved}");
                }
            }
            receiver.refuses_early(&headers).await;
        }
        let mut headers = sender.sign(BODY);
        headers.iter_mut().for_each(|(name, _)| *name = name.replace(own, other));
        receiver.accepts(&headers, BODY).await;

        receiver.finish().await;
    }
}

// RFC 9110, section 5.1: names have no case.
#[tokio::test]
async fn the_letter_case_of_header_names_does_not_matter() {
    let odd = |name: &str| -> String {
        let case = |(index, byte): (usize, char)| {
            if index % 2 == 0 { byte.to_ascii_lowercase() } else { byte.to_ascii_uppercase() }
        };
        name.chars().enumerate().map(case).collect()
    };
    for sender in Sender::ALL {
        let receiver = Receiver::new(sender).await;
        let headers: Vec<_> = sender.sign(BODY).into_iter().map(|(name, value)| (odd(&name), value)).collect();

        receiver.accepts(&headers, BODY).await;

        receiver.finish().await;
    }
}

// HTTP/2 has lower-case names, no request line and no chunks; the verdicts are the same.
#[tokio::test]
async fn http_2_gets_the_same_verdicts() {
    for sender in Sender::ALL {
        let receiver = Receiver::new(sender).await;
        let send = |headers: Vec<Line>, body: &'static [u8]| {
            receiver.server.send_h2(request_h2("POST", "http://hooks.test/hook", &headers, body))
        };

        let right = send(sender.sign(BODY), BODY).await;
        let tampered = send(sender.sign(BODY), b"{}").await;
        let unsigned = send(Vec::new(), BODY).await;

        assert_eq!((right.status, right.body.as_slice()), (200, BODY), "{sender:?}");
        assert_eq!((tampered.status, tampered.text()), (401, serve::REFUSAL), "{sender:?}");
        assert_eq!((unsigned.status, unsigned.text()), (401, serve::REFUSAL), "{sender:?}");
        receiver.finish().await;
    }
}

// Hex digits are data and may be of either case, with every sender. The letters of base64 are not.
#[tokio::test]
async fn hex_may_be_of_either_case_and_base64_may_not() {
    for sender in Sender::ALL {
        let receiver = Receiver::new(sender).await;
        let tag = sender.tag(&now(), BODY).to_ascii_uppercase();
        let headers = sender.claiming(sender.value(&now(), &tag));

        if sender.is_hex() {
            receiver.accepts(&headers, BODY).await
        } else {
            receiver.refuses(&headers, BODY).await
        }

        receiver.finish().await;
    }
}

// If the request could name the algorithm, an attacker would name the weakest.
#[tokio::test]
async fn the_sender_of_a_request_does_not_choose_the_algorithm() {
    let github = Receiver::new(Sender::GitHub).await;
    for value in [
        "HEX",
        "SHA256=HEX",
        "Sha256=HEX",
        "sha256=sha256=HEX",
        "sha512=HEX",
        "sha1=HEX",
        "md5=HEX",
        "none=",
        "none=HEX",
        "sha256:HEX",
        "sha256 = HEX",
        "=HEX",
        "sha256==HEX",
        "sha256=0xHEX",
        "hmac-sha256=HEX",
    ] {
        let value = value.replace("HEX", &Sender::GitHub.tag(&now(), BODY));
        github.refuses_early(&Sender::GitHub.claiming(value)).await;
    }
    github.finish().await;

    let slack = Receiver::new(Sender::Slack).await;
    for value in ["HEX", "v1=HEX", "V0=HEX", "v0:HEX", "v0=v0=HEX", "v00=HEX", "=HEX"] {
        let value = value.replace("HEX", &Sender::Slack.tag(&now(), BODY));
        slack.refuses_early(&Sender::Slack.claiming(value)).await;
    }
    slack.finish().await;
}

// If a weaker signature counted in addition, an attacker could leave the strong one out.
#[tokio::test]
async fn a_sha_1_signature_passes_only_where_it_was_chosen_by_its_insecure_name() {
    // RFC 2202 has no vector for this body; the tag is made with the crate `hmac` over SHA-1.
    use hmac::{Hmac, KeyInit, Mac};
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(Sender::GitHub.secret_text().as_bytes()).unwrap();
    mac.update(BODY);
    let headers = [line("x-hub-signature", format!("sha1={}", HEXLOWER.encode(&mac.finalize().into_bytes())))];

    let github = Receiver::new(Sender::GitHub).await;
    github.refuses_early(&headers).await;
    github.finish().await;

    let scheme = Scheme::insecure_hmac_sha1().header("x-hub-signature").prefix("sha1=").hex().signs("{body}");
    let layer = WebhookLayer::new(scheme, Sender::GitHub.secret());
    let chosen = Receiver::behind(Sender::GitHub, layer).await;
    chosen.accepts(&headers, BODY).await;
    chosen.refuses(&headers, b"{}").await;
    chosen.server.stop().await;
}

// The signature of Stripe's test scheme is right, and proves nothing.
#[tokio::test]
async fn a_test_scheme_signature_is_no_fallback() {
    let receiver = Receiver::new(Sender::Stripe).await;
    let tag = Sender::Stripe.tag(&now(), BODY);

    for value in [
        format!("t={NOW},v0={tag}"),
        format!("t={NOW},V1={tag}"),
        format!("t={NOW},v10={tag}"),
        format!("t={NOW},v2={tag}"),
    ] {
        receiver.refuses_early(&Sender::Stripe.claiming(value)).await;
    }
    receiver.accepts(&Sender::Stripe.claiming(format!("t={NOW},v0=junk,v1={tag}")), BODY).await;

    receiver.finish().await;
}

// A right MAC under the name of another version: the name of a key type must not be taken for a mere label.
#[tokio::test]
async fn a_right_mac_under_another_version_is_refused_before_the_body() {
    for sender in [Sender::StandardWebhooks, Sender::Svix] {
        let receiver = Receiver::new(sender).await;
        let tag = sender.tag(&now(), BODY);

        for version in ["v1a", "v2", "V1", "", "v", "v01", "v1 ", "1"] {
            receiver.refuses_early(&sender.claiming(format!("{version},{tag}"))).await;
        }

        receiver.finish().await;
    }
}

// Lists hold versions that a receiver does not know yet, and old keys that are being rolled.
#[tokio::test]
async fn a_right_signature_is_found_anywhere_among_sixteen() {
    for sender in [Sender::StandardWebhooks, Sender::Svix] {
        let receiver = Receiver::new(sender).await;
        let (right, wrong) = (sender.tag(&now(), BODY), sender.encode(&[7; 32]));

        receiver.accepts(&sender.claiming(format!("v9,xyz v1a,AAAA v1,{right}")), BODY).await;
        receiver.accepts(&sender.claiming(format!("{}v1,{right}", format!("v1,{wrong} ").repeat(15))), BODY).await;
        receiver.accepts(&sender.claiming(format!("v1,{right}{}", format!(" v1,{wrong}").repeat(15))), BODY).await;
        receiver.refuses_early(&sender.claiming(format!("{}v1,{right}", format!("v1,{wrong} ").repeat(16)))).await;
        // Entries that cannot be decoded count as well: they cost time, too.
        receiver.refuses_early(&sender.claiming(format!("{}v1,{right}", "v1,x ".repeat(16)))).await;

        receiver.finish().await;
    }

    let receiver = Receiver::new(Sender::Stripe).await;
    let (right, wrong) = (Sender::Stripe.tag(&now(), BODY), "00".repeat(32));
    let rolled = format!("t={NOW}{},v1={right}", format!(",v1={wrong}").repeat(15));
    receiver.accepts(&Sender::Stripe.claiming(rolled), BODY).await;
    let many = format!("t={NOW}{},v1={right}", format!(",v1={wrong}").repeat(16));
    receiver.refuses_early(&Sender::Stripe.claiming(many)).await;
    receiver.finish().await;
}

// Other separators, none, and far too many.
#[tokio::test]
async fn odd_separators_are_refused_before_the_body_and_long_ones_are_not_looked_at() {
    let receiver = Receiver::new(Sender::Stripe).await;
    let tag = Sender::Stripe.tag(&now(), BODY);
    let equals = "=".repeat(64 * 1024);
    let pairs = "a=b,".repeat(16 * 1024);

    for value in [
        &format!("t={NOW};v1={tag}"),
        &format!("t={NOW}, v1={tag}"),
        &format!("t=={NOW},v1={tag}"),
        &format!("t={NOW},v1=={tag}"),
        &format!("t:{NOW},v1:{tag}"),
        &format!("t={NOW}\tv1={tag}"),
        "t==",
        "=,=",
        &equals,
        &pairs,
        &format!("t={NOW},v1={tag},{}", "a=b,".repeat(1024)),
    ] {
        receiver.refuses_early(&Sender::Stripe.claiming(value)).await;
    }

    receiver.finish().await;
}

// Keys that anybody can guess, of receivers that forgot to set theirs.
#[tokio::test]
async fn a_signature_by_a_guessable_key_is_refused() {
    let keys: [&[u8]; 9] = [
        b"",
        b"undefined",
        b"null",
        b"None",
        b"secret",
        b"changeme",
        &[0; 32],
        &[0; 64],
        b"another app's secret of some length",
    ];
    for sender in Sender::ALL {
        let receiver = Receiver::new(sender).await;

        for key in keys {
            let tag = sender.tag_with(key, &now(), BODY);
            receiver.refuses(&sender.claiming(sender.value(&now(), &tag)), BODY).await;
        }

        receiver.finish().await;
    }
}

// The text of a secret and the bytes that it encodes are two different keys.
#[tokio::test]
async fn a_secret_is_decoded_where_the_scheme_says_so_and_nowhere_else() {
    for sender in [Sender::StandardWebhooks, Sender::Svix] {
        let receiver = Receiver::new(sender).await;
        for text in [sender.secret_text(), sender.secret_text().trim_start_matches("whsec_")] {
            let tag = sender.tag_with(text.as_bytes(), &now(), BODY);
            receiver.refuses(&sender.claiming(sender.value(&now(), &tag)), BODY).await;
        }
        receiver.finish().await;
    }

    let secret = Sender::StandardWebhooks.secret_text();
    let layer = WebhookLayer::stripe(Secret::new(secret).unwrap()).with_clock(ManualClock::at_unix_seconds(NOW));
    let receiver = Receiver::behind(Sender::Stripe, layer).await;
    let decoded = Sender::StandardWebhooks.key(secret);
    let stripe =
        |key: &[u8]| Sender::Stripe.claiming(Sender::Stripe.value(&now(), &Sender::Stripe.tag_with(key, &now(), BODY)));
    receiver.refuses(&stripe(&decoded), BODY).await;
    receiver.refuses(&stripe(secret.trim_start_matches("whsec_").as_bytes()), BODY).await;
    receiver.accepts(&stripe(secret.as_bytes()), BODY).await;
    receiver.server.stop().await;
}

// The comparison must not tell how much of a forged signature is right. A difference in time shows only in very many
// samples, so that this runs in the long runs alone. What the machine does beside it can show as well: what the
// comparison tells, it tells each time.
#[test]
fn the_time_of_a_refusal_does_not_tell_which_byte_is_wrong() {
    if !long() {
        return;
    }
    let scheme = Scheme::from(Provider::GITHUB);
    let secrets = Secrets::new(Sender::GitHub.secret());

    let told = differences_of_time(|head| scheme.verify(head, BODY, &secrets, SystemTime::UNIX_EPOCH).is_err());

    assert!(told.is_empty(), "classes differ: {told:?}");
}

/// The measurement itself must detect a comparison that leaks.
#[test]
fn the_time_of_a_comparison_that_ends_early_tells_which_byte_is_wrong() {
    if !long() {
        return;
    }
    let scheme = Scheme::from(Provider::GITHUB);
    let secrets = Secrets::new(Sender::GitHub.secret());
    let right = hex_tag(&hmac_sha256(Sender::GitHub.secret_text().as_bytes(), BODY));

    let told = differences_of_time(|head| {
        let shown = head.headers["x-hub-signature-256"].as_bytes();
        let wrong = right.as_bytes().iter().zip(shown).any(|(right, shown)| std::hint::black_box(right) != shown);
        wrong && scheme.verify(head, BODY, &secrets, SystemTime::UNIX_EPOCH).is_err()
    });

    assert!(!told.is_empty());
}

/// The classes of forged signatures, by the byte that is wrong, whose refusals take different times: in each of three
/// measurements by Welch's t, and always the same class longer.
fn differences_of_time(refuses: impl Fn(&http::request::Parts) -> bool) -> Vec<(usize, usize)> {
    let right = hmac_sha256(Sender::GitHub.secret_text().as_bytes(), BODY);
    let values = [0, 15, 31].map(|wrong| {
        let mut tag = right.clone();
        tag[wrong] ^= 1;
        hex_tag(&tag)
    });
    let mut told = vec![(0, 1), (0, 2), (1, 2), (1, 0), (2, 0), (2, 1)];
    for _ in 0..3 {
        let times = times_of_refusals(&values, &refuses);
        told.retain(|(first, second)| welch(&times[*first], &times[*second]) > 4.5);
        if told.is_empty() {
            break;
        }
    }
    told
}

/// The samples of each class, taken in turn. All values stand at one place, since places differ in time as well.
fn times_of_refusals(values: &[String; 3], refuses: impl Fn(&http::request::Parts) -> bool) -> [Vec<f64>; 3] {
    const HEADER: &str = "x-hub-signature-256";
    let samples = 1_000_000;
    let mut head = http::Request::post("/").header(HEADER, &values[0]).body(()).unwrap().into_parts().0;
    let mut times: [Vec<f64>; 3] = [const { Vec::new() }; 3];
    for round in 0..samples {
        for step in 0..3 {
            let class = (round + step) % 3;
            head.headers.insert(HEADER, http::HeaderValue::from_str(&values[class]).unwrap());
            #[allow(clippy::disallowed_methods)] // The real time is measured.
            let start = std::time::Instant::now();
            let refused = refuses(&head);
            times[class].push(start.elapsed().as_nanos() as f64);
            assert!(refused);
        }
    }
    times
}

fn hex_tag(tag: &[u8]) -> String {
    format!("sha256={}", HEXLOWER.encode(tag))
}

// Welch's t over the interleaved samples of two classes, without the slowest tenth, which is the machine's noise.
fn welch(first: &[f64], second: &[f64]) -> f64 {
    let mut all = [first, second].concat();
    all.sort_by(f64::total_cmp);
    let cut = all[all.len() * 9 / 10];
    let moments = |samples: &[f64]| {
        let kept: Vec<_> = samples.iter().copied().filter(|sample| *sample <= cut).collect();
        let count = kept.len() as f64;
        let mean = kept.iter().sum::<f64>() / count;
        let variance = kept.iter().map(|sample| (sample - mean).powi(2)).sum::<f64>() / (count - 1.0);
        (mean, variance / count)
    };
    let ((one, one_error), (two, two_error)) = (moments(first), moments(second));
    (one - two) / (one_error + two_error).sqrt()
}

// A sender that shows a shared token: neither another length, nor another case, nor a beginning will do.
#[tokio::test]
async fn a_wrong_token_of_any_length_is_refused() {
    const TOKEN: &str = "a token that both sides know";
    let scheme = || Scheme::insecure_token().name("token").header("x-token");
    let layer = WebhookLayer::new(scheme(), Secret::new(TOKEN).unwrap()).with_body_timeout(NEVER);
    let receiver = Receiver::behind(Sender::GitHub, layer).await;

    receiver.refuses_early(&[]).await;
    receiver.refuses_early(&[line("x-token", "")]).await;
    receiver.refuses_early(&[line("x-token", TOKEN), line("x-token", TOKEN)]).await;
    let digest = HEXLOWER.encode(&<sha2::Sha256 as sha2::Digest>::digest(TOKEN));
    for token in [
        "a",
        &TOKEN[1..],
        &TOKEN[..27],
        &format!("{TOKEN}{TOKEN}"),
        &TOKEN.to_uppercase(),
        &"x".repeat(10_000),
        &digest,
    ] {
        receiver.refuses(&[line("x-token", token)], BODY).await;
    }
    receiver.accepts(&[line("x-token", TOKEN)], BODY).await;
    receiver.server.stop().await;

    let layer = WebhookLayer::new(Scheme::insecure_basic(), Secret::new("user:password").unwrap());
    let basic = Receiver::behind(Sender::GitHub, layer.with_body_timeout(NEVER)).await;
    for value in ["Basic", "Basic ", "Bearer dXNlcjpwYXNzd29yZA==", "dXNlcjpwYXNzd29yZA==", "Basic *"] {
        basic.refuses_early(&[line("authorization", value)]).await;
    }
    for pair in ["user:", ":password", "user:passwor", "user:password2", ":", "User:password"] {
        basic.refuses(&[line("authorization", format!("Basic {}", BASE64.encode(pair.as_bytes())))], BODY).await;
    }
    basic.accepts(&[line("authorization", "Basic dXNlcjpwYXNzd29yZA==")], BODY).await;
    basic.server.stop().await;
}

// A receiver without a key accepts what anybody signs: it must not start.
#[test]
fn a_secret_that_is_none_stops_the_application_at_its_start() {
    for text in ["", " ", "\n", "\u{a0}", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n", " key"] {
        let error = Secret::new(text).unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::Secret, "{text:?}");
    }
    for bytes in [&b""[..], b" ", b"\n\n"] {
        assert!(Secret::from_bytes(bytes).is_err(), "{bytes:?}");
    }
    for text in ["whsec_", "whsec_=", "whsec_====", "whsec_not base64", "="] {
        let secret = Secret::new(text).unwrap();
        for provider in [Provider::STANDARD_WEBHOOKS, Provider::SVIX] {
            let error = WebhookLayer::try_new(provider, secret.clone()).unwrap_err();
            assert_eq!(error.kind(), ConfigErrorKind::Secret, "{text:?}");
            assert!(
                !format!("{error} {error:?}").contains(text.trim_start_matches("whsec_")) || text.len() < 10,
                "{error}"
            );
        }
    }
    for provider in Provider::ALL {
        assert!(WebhookLayer::try_new(*provider, Vec::<Secret>::new()).is_err(), "{provider}");
        assert!(WebhookLayer::try_new(*provider, Secrets::none()).is_err(), "{provider}");
    }
}

// The look-up of a secret fails, finds none, or finds an unusable key: the sender may try again, and nothing is
// accepted.
#[tokio::test]
async fn a_secret_that_is_missing_at_run_time_is_503_and_never_a_success() {
    type Answer = fn() -> Result<Secrets, BoxError>;
    let answers: [(&str, Answer); 3] = [
        ("failing", || Err("the vault is sealed".into())),
        ("empty", || Ok(Secrets::none())),
        ("undecodable", || Ok(Secrets::new(Secret::new("whsec_not base64")?))),
    ];
    for (name, answer) in answers {
        let source = move |_: RequestHead| async move { answer() };
        let layer = WebhookLayer::standard_webhooks(source)
            .with_clock(ManualClock::at_unix_seconds(NOW))
            .with_body_timeout(NEVER);
        let receiver = Receiver::behind(Sender::StandardWebhooks, layer).await;

        let whole = receiver.post(&Sender::StandardWebhooks.sign(BODY), BODY).await;
        let head = receiver.post_head(&Sender::StandardWebhooks.sign(BODY)).await;
        let empty_key = Sender::StandardWebhooks.tag_with(b"", &now(), BODY);
        let forged = receiver.post(&Sender::StandardWebhooks.claiming(format!("v1,{empty_key}")), BODY).await;
        let unsigned = receiver.post_head(&[]).await;

        for answer in [whole, head, forged] {
            assert_eq!((answer.status, answer.text()), (503, r#"{"error":"unavailable"}"#), "{name}");
            assert!(answer.header("retry-after").is_some(), "{name}");
        }
        assert_eq!(unsigned.status, 401, "{name}: what the head condemns needs no look-up");
        assert_eq!(receiver.runs(), 0, "{name}");
        receiver.server.stop().await;
    }
}

// An old secret that has come to its end is as if it were not there.
#[tokio::test]
async fn an_expired_secret_signs_nothing_any_more() {
    let clock = ManualClock::at_unix_seconds(NOW);
    let end = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW + 10);
    let secrets = Secrets::new(Secret::new("the current signing key").unwrap()).and_until(Sender::GitHub.secret(), end);
    let layer = WebhookLayer::github(secrets).with_clock(clock.clone());
    let receiver = Receiver::behind(Sender::GitHub, layer).await;

    receiver.accepts(&Sender::GitHub.sign(BODY), BODY).await;
    clock.advance(Duration::from_secs(10));
    receiver.refuses(&Sender::GitHub.sign(BODY), BODY).await;

    let current = Sender::GitHub.tag_with(b"the current signing key", &now(), BODY);
    receiver.accepts(&Sender::GitHub.claiming(format!("sha256={current}")), BODY).await;
    receiver.server.stop().await;
}

// Rotation: both keys are right, and the application is told which by its place; then the old one is taken away.
#[tokio::test]
async fn a_rotated_secret_is_accepted_until_it_is_revoked() {
    let index = |delivery: tower_webhooks::Delivery| async move { format!("{:?}", delivery.secret_index()) };
    let current = || Secret::new("the current signing key").unwrap();
    let serve = |layer: WebhookLayer| Server::start(Router::new().route("/hook", post(index).layer(layer)));
    let old = request("POST", "/hook", &Sender::GitHub.sign(BODY), BODY);
    let tag = Sender::GitHub.tag_with(b"the current signing key", &now(), BODY);
    let new = request("POST", "/hook", &Sender::GitHub.claiming(format!("sha256={tag}")), BODY);

    let both = serve(WebhookLayer::github([current(), Sender::GitHub.secret()])).await;
    let (by_old, by_new) = (both.send(&old).await.unwrap(), both.send(&new).await.unwrap());
    let revoked = serve(WebhookLayer::github(current())).await;
    let (after_old, after_new) = (revoked.send(&old).await.unwrap(), revoked.send(&new).await.unwrap());

    assert_eq!((by_old.status, by_old.text()), (200, "Some(1)"));
    assert_eq!((by_new.status, by_new.text()), (200, "Some(0)"));
    assert_eq!((after_old.status, after_old.text()), (401, serve::REFUSAL));
    assert_eq!((after_new.status, after_new.text()), (200, "Some(0)"));
}

// An id may hold the dot that ends it. Were it also to hold a fresh time, one signature would fit two deliveries.
#[tokio::test]
async fn a_signed_id_that_could_be_cut_in_two_ways_is_refused_before_the_body() {
    for sender in [Sender::StandardWebhooks, Sender::Svix] {
        let receiver = Receiver::new(sender).await;
        let signed = |id: &str| {
            let tag = sender.encode(&hmac_sha256(&sender.key(sender.secret_text()), &sender.content(id, &now(), BODY)));
            sender.headers(id, &now(), sender.value(&now(), &tag))
        };

        receiver.accepts(&signed("msg.with.dots"), BODY).await;
        receiver.refuses_early(&signed(&format!("{ID}.{NOW}"))).await;
        receiver.refuses_early(&signed(&format!("{ID}.{}.x", NOW - 299))).await;

        receiver.finish().await;
    }
}

// Very many signature headers, and one of the longest heads that the server takes.
#[tokio::test]
async fn very_many_headers_are_refused_and_do_no_harm() {
    for sender in Sender::ALL {
        let receiver = Receiver::new(sender).await;
        let right = sender.value(&now(), &sender.tag(&now(), BODY));

        let lines: Vec<&[u8]> = vec![right.as_bytes(); 80];
        receiver.refuses_early(&with_values(sender, &lines)).await;
        receiver.refuses_early(&with_values(sender, &[&vec![b'v'; 200_000]])).await;

        receiver.finish().await;
    }
}
