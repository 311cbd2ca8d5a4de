//! Deliveries from the past, from the future, and with timestamps that are none, over real sockets.

use std::time::Duration;

use serve::{Receiver, soon};
use sign::{NOW, Sender, line};
use tower_webhooks::{
    Provider, Scheme, Secret, WebhookLayer,
    clock::ManualClock,
    error::ConfigErrorKind,
    scheme::{Field, TimestampUnit},
};

use crate::support::{serve, sign};

const BODY: &[u8] = br#"{"id":"evt_1","type":"invoice.paid","data":{"object":{}}}"#;

// A recorded delivery is sent again later, or one is made for later use.
#[tokio::test]
async fn a_delivery_of_more_than_five_minutes_is_refused_before_its_body_in_both_directions() {
    for sender in Sender::STAMPING {
        let receiver = Receiver::new(sender).await;

        for seconds in [NOW - 301, NOW + 301, NOW - 86_400, NOW + 31_536_000, 0, 1] {
            receiver.refuses_early(&sender.sign_at(&seconds.to_string(), BODY)).await;
        }
        for seconds in [NOW - 300, NOW - 1, NOW, NOW + 1, NOW + 300] {
            receiver.accepts(&sender.sign_at(&seconds.to_string(), BODY), BODY).await;
        }

        receiver.finish().await;
    }
}

// Numbers that do not fit, or that take long to read.
#[tokio::test]
async fn a_timestamp_beyond_every_number_is_refused_before_the_body() {
    let nines = "9".repeat(40);
    let digits = "1".repeat(4000);
    for sender in Sender::STAMPING {
        let receiver = Receiver::new(sender).await;

        for text in [
            "9223372036854775807",
            "9223372036854775808",
            "18446744073709551615",
            "18446744073709551616",
            &nines,
            &digits,
        ] {
            receiver.refuses_early(&sender.sign_at(text, BODY)).await;
        }

        receiver.finish().await;
    }
}

// Texts that some number parser would accept as the current second. All are correctly signed.
#[tokio::test]
async fn a_timestamp_is_plain_digits_and_nothing_else() {
    for sender in Sender::STAMPING {
        let receiver = Receiver::new(sender).await;

        for text in [
            "NaN",
            "Infinity",
            "-Infinity",
            "1e400",
            "NOW.5",
            "NOW.0",
            "+NOW",
            "-NOW",
            "0NOW",
            "00NOW",
            "NOWabc",
            "NOW\u{0660}",
            "0xHEX",
            "1_800_000_000",
            "1.8e9",
            "NOW NOW",
            "NOW;1",
            "NOW\u{a0}",
            "null",
            "true",
            "\u{ff11}",
            "[NOW]",
            "\"NOW\"",
        ] {
            let text = text.replace("NOW", &NOW.to_string()).replace("HEX", &format!("{NOW:x}"));
            receiver.refuses_early(&sender.sign_at(&text, BODY)).await;
        }
        receiver.refuses_early(&sender.sign_at("", BODY)).await;
        receiver.refuses_early(&sender.sign_at("2027-01-15T08:00:00Z", BODY)).await;

        receiver.finish().await;
    }

    // In a list, a space is part of the value and stays where it is.
    let stripe = Receiver::new(Sender::Stripe).await;
    for text in [format!(" {NOW}"), format!("{NOW} "), format!("\t{NOW}")] {
        stripe.refuses_early(&Sender::Stripe.sign_at(&text, BODY)).await;
    }
    stripe.finish().await;
}

// Another unit is not guessed: milliseconds in the place of seconds lie in the far future.
#[tokio::test]
async fn another_unit_than_the_declared_one_is_refused_before_the_body() {
    for sender in Sender::STAMPING {
        let receiver = Receiver::new(sender).await;

        for text in [format!("{NOW}000"), format!("{NOW}000000"), format!("{NOW}000000000"), (NOW / 60).to_string()] {
            receiver.refuses_early(&sender.sign_at(&text, BODY)).await;
        }

        receiver.finish().await;
    }

    let declared = |unit| {
        let scheme = Scheme::hmac_sha256()
            .header("x-slack-signature")
            .prefix("v0=")
            .hex()
            .timestamp(Field::header("x-slack-request-timestamp"))
            .unit(unit)
            .signs("v0:{timestamp}:{body}");
        let clock = ManualClock::at_unix_seconds(NOW);
        WebhookLayer::new(scheme, Sender::Slack.secret()).with_clock(clock).with_body_timeout(serve::NEVER)
    };
    let (millis, date) = (format!("{NOW}000"), "2027-01-15T08:00:00Z".to_owned());
    for (unit, right, wrong) in
        [(TimestampUnit::Milliseconds, &millis, &date), (TimestampUnit::Rfc3339, &date, &millis)]
    {
        let receiver = Receiver::behind(Sender::Slack, declared(unit)).await;
        receiver.accepts(&Sender::Slack.sign_at(right, BODY), BODY).await;
        receiver.refuses_early(&Sender::Slack.sign_at(wrong, BODY)).await;
        receiver.refuses_early(&Sender::Slack.sign_at(&NOW.to_string(), BODY)).await;
        receiver.server.stop().await;
    }
}

// The time is made fresh and the signature is left as it was.
#[tokio::test]
async fn a_refreshed_timestamp_does_not_fit_the_old_signature() {
    for sender in Sender::STAMPING {
        let receiver = Receiver::new(sender).await;
        let old = (NOW - 3600).to_string();
        let tag = sender.tag(&old, BODY);

        let headers = sender.headers(sign::ID, &NOW.to_string(), sender.value(&NOW.to_string(), &tag));
        receiver.refuses(&headers, BODY).await;

        receiver.finish().await;
    }
}

// A timestamp that is not signed can be anything, so that it is trusted for nothing.
#[tokio::test]
async fn a_timestamp_that_is_not_signed_is_trusted_for_nothing() {
    let scheme = |signs: &'static str| {
        Scheme::hmac_sha256().header("x-sig").hex().timestamp(Field::header("x-time")).signs(signs).build()
    };
    assert_eq!(scheme("{body}").unwrap_err().kind(), ConfigErrorKind::Scheme);
    assert!(scheme("{timestamp}.{body}").is_ok_and(|scheme| scheme.timestamp_is_signed()));
    // What says of itself that it has no replay window, has none.
    assert!(!Scheme::from(Provider::GITHUB).timestamp_is_signed());

    let receiver = Receiver::new(Sender::GitHub).await;
    for (name, value) in [("date", "Thu, 01 Jan 1970 00:00:00 GMT"), ("x-timestamp", "0"), ("webhook-timestamp", "0")] {
        let mut headers = Sender::GitHub.sign(BODY);
        headers.push(line(name, value));
        receiver.accepts(&headers, BODY).await;
    }
    receiver.finish().await;
}

// Nought is a window of nought seconds and never "off".
#[tokio::test]
async fn a_tolerance_of_nought_is_nought_seconds() {
    for sender in Sender::STAMPING {
        let receiver = Receiver::with(sender, |layer| layer.with_tolerance(Duration::ZERO)).await;

        for seconds in [NOW - 1, NOW + 1, NOW - 300] {
            receiver.refuses_early(&sender.sign_at(&seconds.to_string(), BODY)).await;
        }

        receiver.finish().await;
    }
}

// A scheme without a window says so by its insecure name, and takes a window when it is given one.
#[tokio::test]
async fn no_window_is_only_to_be_had_by_its_insecure_name_and_can_be_closed() {
    let open = || {
        let scheme = Scheme::hmac_sha256()
            .header("x-slack-signature")
            .prefix("v0=")
            .hex()
            .timestamp(Field::header("x-slack-request-timestamp"))
            .signs("v0:{timestamp}:{body}")
            .insecure_no_replay_window();
        let clock = ManualClock::at_unix_seconds(NOW);
        WebhookLayer::new(scheme, Sender::Slack.secret()).with_clock(clock).with_body_timeout(serve::NEVER)
    };
    let old = Sender::Slack.sign_at("1", BODY);

    let receiver = Receiver::behind(Sender::Slack, open()).await;
    receiver.accepts(&old, BODY).await;
    receiver.refuses_early(&Sender::Slack.sign_at("+1", BODY)).await;
    receiver.server.stop().await;

    let closed = Receiver::behind(Sender::Slack, open().with_tolerance(Duration::from_secs(60))).await;
    closed.refuses_early(&old).await;
    closed.refuses_early(&Sender::Slack.sign_at(&(NOW - 61).to_string(), BODY)).await;
    closed.finish().await;
}

// Fresh when it began: the body's own deadline ends it long before the timestamp is old.
#[tokio::test]
async fn a_body_that_comes_late_is_cut_by_its_own_deadline() {
    for sender in Sender::STAMPING {
        let receiver = Receiver::with(sender, |layer| layer.with_body_timeout(Duration::from_millis(100))).await;

        let answer = soon("the deadline", receiver.post_head(&sender.sign(BODY))).await;

        assert_eq!((answer.status, answer.text()), (408, r#"{"error":"body_too_slow"}"#), "{sender:?}");
        assert_eq!(receiver.runs(), 0);
        receiver.finish().await;
    }
}

// A timestamp in the body is checked like any other, after the signature.
#[tokio::test]
async fn a_stale_timestamp_in_a_signed_body_is_refused() {
    let scheme = Scheme::hmac_sha256().header("x-hub-signature-256").prefix("sha256=").hex().signs("{body}");
    let layer =
        WebhookLayer::new(scheme.timestamp(Field::json("/at")), Secret::new(Sender::GitHub.secret_text()).unwrap())
            .with_clock(ManualClock::at_unix_seconds(NOW));
    let receiver = Receiver::behind(Sender::GitHub, layer).await;

    let body = |at: &str| format!(r#"{{"at":{at}}}"#).into_bytes();
    for at in ["1", "\"1\"", "null", "{}", "[]", "-1", "1.5", "1e9", "true", "\"\"", "99999999999999999999999"] {
        receiver.refuses(&Sender::GitHub.sign(&body(at)), &body(at)).await;
    }
    for text in [&b"{}"[..], b"", b"not json", br#"{"at":1800000000,"at":1800000000}"#] {
        receiver.refuses(&Sender::GitHub.sign(text), text).await;
    }
    let fresh = body(&NOW.to_string());
    receiver.accepts(&Sender::GitHub.sign(&fresh), &fresh).await;

    receiver.server.stop().await;
}
