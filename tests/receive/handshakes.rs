//! The handshakes of the built-in providers, through the real layer in a real router: which requests are answered, and
//! which are not.

use axum::{
    Router,
    http::{Method, StatusCode},
    routing::post as on_post,
};
use data_encoding::{BASE64, HEXLOWER};
use senders::{Answer, NOW_AS_DATE, PATH, hmac, layer, post, secret, secret_text, send, signature};
use tower_webhooks::{Delivery, Provider, Secret, Secrets, WebhookLayer, clock::ManualClock};

use crate::support::senders;

/// A receiver whose handler names the event type that it saw.
fn router(provider: Provider) -> Router {
    let handler = async |delivery: Delivery| match delivery.event_type() {
        Some(kind) => format!("delivery of {kind}"),
        None => "delivery".to_owned(),
    };
    Router::new().route("/in", on_post(handler).layer(layer(provider)))
}

async fn get(provider: Provider, query: &str) -> Answer {
    send(&router(provider), Method::GET, &format!("/in{query}"), &[], "").await
}

fn plain_text(body: &str) -> Answer {
    Answer {
        status: StatusCode::OK,
        content_type: "text/plain; charset=utf-8".to_owned(),
        nosniff: true,
        body: body.to_owned(),
    }
}

const FORBIDDEN: (StatusCode, &str) = (StatusCode::FORBIDDEN, r#"{"error":"forbidden"}"#);
const UNAUTHORIZED: (StatusCode, &str) = (StatusCode::UNAUTHORIZED, r#"{"error":"invalid_signature"}"#);

impl Answer {
    fn in_short(&self) -> (StatusCode, &str) {
        (self.status, &self.body)
    }
}

// --- Meta ---------------------------------------------------------------------------------------------------------------

const META: &str = "?hub.mode=subscribe&hub.verify_token=the%20token+of%20the%20subscription&hub.challenge=1158201444";

#[tokio::test]
async fn meta_is_told_its_challenge_when_it_shows_the_token() {
    assert_eq!(get(Provider::META, META).await, plain_text("1158201444"));
}

#[tokio::test]
async fn meta_is_refused_without_the_one_right_token() {
    for query in [
        META.replace("subscription", "subscribers"),
        META.replace("subscription", "subscription%00"),
        META.replace("hub.verify_token=the%20token+of%20the%20subscription&", ""),
        META.replace("hub.verify_token=the%20token+of%20the%20subscription", "hub.verify_token="),
        META.replace("hub.verify_token", "hub.verify_token[]"),
        META.replace("hub.verify_token", "HUB.VERIFY_TOKEN"),
        format!("{META}&hub.verify_token=the%20token+of%20the%20subscription"),
        format!("{META}&hub.verify_token=another"),
    ] {
        assert_eq!(get(Provider::META, &query).await.in_short(), FORBIDDEN, "{query}");
    }
}

#[tokio::test]
async fn meta_is_refused_what_is_no_subscription() {
    for query in [
        String::new(),
        META.replace("hub.mode=subscribe&", ""),
        META.replace("subscribe&", "unsubscribe&"),
        META.replace("&hub.challenge=1158201444", ""),
        format!("{META}&hub.challenge=2"),
        format!("{META}&hub.mode=subscribe"),
    ] {
        assert_eq!(get(Provider::META, &query).await.in_short(), FORBIDDEN, "{query}");
    }
}

#[tokio::test]
async fn a_script_as_a_challenge_is_text_that_no_browser_runs() {
    let script = "<script>alert(1)</script>";
    let query = META.replace("1158201444", "%3Cscript%3Ealert(1)%3C/script%3E");

    assert_eq!(get(Provider::META, &query).await, plain_text(script));
    assert_eq!(get(Provider::DROPBOX, "?challenge=%3Cscript%3Ealert(1)%3C/script%3E").await, plain_text(script));
}

#[tokio::test]
async fn a_subscription_that_comes_by_post_is_an_unsigned_delivery() {
    let answer = send(&router(Provider::META), Method::POST, &format!("/in{META}"), &[], "").await;

    assert_eq!(answer.in_short(), UNAUTHORIZED);
}

#[test]
#[should_panic(expected = "`meta` has a handshake with a shared token; add `.with_verify_token(…)`")]
fn meta_does_not_start_without_a_token() {
    let _ =
        Router::<()>::new().route("/in", on_post(async || "").layer(WebhookLayer::meta(secret("the app's secret"))));
}

// --- Dropbox ------------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn dropbox_is_told_its_challenge_as_text() {
    assert_eq!(get(Provider::DROPBOX, "?challenge=lBDpiBmmu6DZ").await, plain_text("lBDpiBmmu6DZ"));
}

#[tokio::test]
async fn a_get_without_one_challenge_is_refused() {
    for query in ["", "?challenge=1&challenge=2", "?challeng=1"] {
        assert_eq!(get(Provider::DROPBOX, query).await.in_short(), FORBIDDEN, "{query}");
    }
}

#[tokio::test]
async fn a_challenge_beside_a_delivery_does_not_excuse_it_from_its_signature() {
    let answer = send(&router(Provider::DROPBOX), Method::POST, "/in?challenge=1", &[], "{}").await;

    assert_eq!(answer.in_short(), UNAUTHORIZED);
}

// --- Zoom ---------------------------------------------------------------------------------------------------------------

const ZOOM: &str =
    r#"{"payload":{"plainToken":"qgg8vlvZRS6UYooatFL8Aw"},"event_ts":1654503849680,"event":"endpoint.url_validation"}"#;

#[tokio::test]
async fn zoom_is_told_the_hash_of_its_token() {
    let answer = post(&router(Provider::ZOOM), &signature(Provider::ZOOM, ZOOM), ZOOM).await;

    let hash = HEXLOWER.encode(&hmac(secret_text(Provider::ZOOM).as_bytes(), "qgg8vlvZRS6UYooatFL8Aw"));
    let body = format!(r#"{{"encryptedToken":"{hash}","plainToken":"qgg8vlvZRS6UYooatFL8Aw"}}"#);
    assert_eq!(answer.in_short(), (StatusCode::OK, &*body));
    assert_eq!(answer.content_type, "application/json");
}

#[tokio::test]
async fn zoom_is_answered_with_the_secret_that_it_signed_with() {
    let (new, old) = ("the secret of tomorrow", secret_text(Provider::ZOOM));
    let secrets = Secrets::new(Secret::new(new).unwrap()).and(Secret::new(old).unwrap());
    let layer = WebhookLayer::zoom(secrets).with_clock(ManualClock::at_unix_seconds(senders::NOW));
    let router = Router::new().route("/in", on_post(async || "delivery").layer(layer));

    let answer = post(&router, &signature(Provider::ZOOM, ZOOM), ZOOM).await;

    assert!(answer.body.contains(&HEXLOWER.encode(&hmac(old.as_bytes(), "qgg8vlvZRS6UYooatFL8Aw"))), "{answer:?}");
}

#[tokio::test]
async fn zoom_without_a_token_to_hash_is_refused() {
    let body = r#"{"payload":{},"event":"endpoint.url_validation"}"#;

    let answer = post(&router(Provider::ZOOM), &signature(Provider::ZOOM, body), body).await;

    assert_eq!(answer.in_short(), FORBIDDEN);
}

// --- Twitch -------------------------------------------------------------------------------------------------------------

const TWITCH: &str =
    r#"{"challenge":"pogchamp-kappa-360noscope-vohiyo","subscription":{"type":"channel.follow","version":"2"}}"#;
const FOLLOW: &str = r#"{"subscription":{"type":"channel.follow"},"event":{"user_id":"1234"}}"#;
const REVOKED: &str = r#"{"subscription":{"type":"channel.follow","status":"authorization_revoked"}}"#;

fn from_twitch(message: &str, body: &str) -> Vec<(&'static str, String)> {
    let mut headers = signature(Provider::TWITCH, body);
    headers.push(("twitch-eventsub-message-type", message.to_owned()));
    headers.push(("twitch-eventsub-subscription-type", "channel.follow".to_owned()));
    headers
}

#[tokio::test]
async fn twitch_is_told_its_challenge() {
    let answer = post(&router(Provider::TWITCH), &from_twitch("webhook_callback_verification", TWITCH), TWITCH).await;

    assert_eq!(answer, plain_text("pogchamp-kappa-360noscope-vohiyo"));
}

#[tokio::test]
async fn twitch_delivers_notifications_and_revocations() {
    let router = router(Provider::TWITCH);

    let notification = post(&router, &from_twitch("notification", FOLLOW), FOLLOW).await;
    let revocation = post(&router, &from_twitch("revocation", REVOKED), REVOKED).await;

    assert_eq!(notification.in_short(), (StatusCode::OK, "delivery of channel.follow"));
    assert_eq!(revocation.in_short(), (StatusCode::OK, "delivery of revocation"));
}

// The header that says so is not signed, so that anyone may change it in a delivery that was overheard.
#[tokio::test]
async fn a_notification_that_is_dressed_up_as_a_verification_echoes_nothing() {
    let answer = post(&router(Provider::TWITCH), &from_twitch("webhook_callback_verification", FOLLOW), FOLLOW).await;

    assert_eq!(answer.in_short(), FORBIDDEN);
}

// --- Slack --------------------------------------------------------------------------------------------------------------

const SLACK: &str =
    r#"{"token":"t","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P","type":"url_verification"}"#;

#[tokio::test]
async fn slack_is_told_its_challenge_as_text() {
    let answer = post(&router(Provider::SLACK), &signature(Provider::SLACK, SLACK), SLACK).await;

    assert_eq!(answer, plain_text("3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"));
}

// --- X ------------------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn x_is_told_the_hash_of_its_token() {
    let answer = get(Provider::X_TWITTER, "?crc_token=challenge_string").await;

    let tag = BASE64.encode(&hmac(secret_text(Provider::X_TWITTER).as_bytes(), "challenge_string"));
    assert_eq!(answer.in_short(), (StatusCode::OK, &*format!(r#"{{"response_token":"sha256={tag}"}}"#)));
}

// The answer is made with the key that signs deliveries.
#[tokio::test]
async fn x_cannot_be_had_to_sign_a_delivery() {
    for token in ["%7B%22a%22%3A1%7D", "", "a%20b", "1&crc_token=2"] {
        let answer = get(Provider::X_TWITTER, &format!("?crc_token={token}")).await;
        assert_eq!(answer.in_short(), FORBIDDEN, "{token}");
    }
    let body = "1234";
    let answer = post(&router(Provider::X_TWITTER), &signature(Provider::X_TWITTER, body), body).await;
    assert_eq!(answer.in_short(), UNAUTHORIZED);
}

// --- Nylas and Okta -----------------------------------------------------------------------------------------------------

#[tokio::test]
async fn nylas_is_told_its_challenge_as_text() {
    assert_eq!(get(Provider::NYLAS, "?challenge=bc609b38-c81f").await, plain_text("bc609b38-c81f"));
    assert_eq!(get(Provider::NYLAS, "").await.in_short(), FORBIDDEN);
}

#[tokio::test]
async fn okta_is_told_its_challenge_as_json() {
    let challenge = [("x-okta-verification-challenge", "xdf1TaMKNRWUE7DSmFsoBpCDdGHCbTgo".to_owned())];
    let answer = send(&router(Provider::OKTA), Method::GET, "/in", &challenge, "").await;

    assert_eq!(answer.in_short(), (StatusCode::OK, r#"{"verification":"xdf1TaMKNRWUE7DSmFsoBpCDdGHCbTgo"}"#));
    assert_eq!(get(Provider::OKTA, "").await.in_short(), FORBIDDEN);
    // By POST it does not excuse a delivery from its token.
    let delivery = send(&router(Provider::OKTA), Method::POST, "/in", &challenge, "{}").await;
    assert_eq!(delivery.in_short(), UNAUTHORIZED);
}

// --- Front --------------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn front_is_told_its_challenge_once_the_signature_has_passed() {
    let challenge = ("x-front-challenge", "3f2a9c".to_owned());
    let mut signed = signature(Provider::FRONT, "{}");
    signed.push(challenge.clone());

    assert_eq!(post(&router(Provider::FRONT), &signed, "{}").await, plain_text("3f2a9c"));
    assert_eq!(post(&router(Provider::FRONT), &[challenge], "{}").await.in_short(), UNAUTHORIZED);
    assert_eq!(post(&router(Provider::FRONT), &signed, "{ }").await.in_short(), UNAUTHORIZED);
}

// --- Trello -------------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn trello_is_answered_when_it_checks_a_callback_url() {
    let router = router(Provider::TRELLO);

    assert_eq!(send(&router, Method::HEAD, PATH, &[], "").await.status, StatusCode::OK);
    assert_eq!(send(&router, Method::GET, PATH, &[], "").await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(send(&router, Method::POST, PATH, &[], "{}").await.in_short(), UNAUTHORIZED);
    assert_eq!(post(&router, &signature(Provider::TRELLO, "{}"), "{}").await.in_short(), (StatusCode::OK, "delivery"));
}

// --- Discord ------------------------------------------------------------------------------------------------------------

#[cfg(feature = "asymmetric")]
#[tokio::test]
async fn discord_is_answered_its_ping_once_the_signature_has_passed() {
    let ping = r#"{"type":1}"#;
    let router_of_interactions = router(Provider::DISCORD_INTERACTIONS);
    let signed = signature(Provider::DISCORD_INTERACTIONS, ping);

    let answer = post(&router_of_interactions, &signed, ping).await;

    assert_eq!(answer.in_short(), (StatusCode::OK, r#"{"type":1}"#));
    assert_eq!(answer.content_type, "application/json");
    let wrong = [signed[0].clone(), (signed[1].0, signed[1].1.replace(['0', '1'], "2"))];
    for headers in [&[][..], &wrong] {
        assert_eq!(post(&router_of_interactions, headers, ping).await.in_short(), UNAUTHORIZED);
    }
    let command = r#"{"id":"846462639134605312","type":2}"#;
    let answer = post(&router_of_interactions, &signature(Provider::DISCORD_INTERACTIONS, command), command).await;
    assert_eq!(answer.in_short(), (StatusCode::OK, "delivery of 2"));
}

#[cfg(feature = "asymmetric")]
#[tokio::test]
async fn discords_webhook_events_are_answered_with_204() {
    let ping = r#"{"version":1,"application_id":"1234","type":0}"#;
    let answer = post(&router(Provider::DISCORD_EVENTS), &signature(Provider::DISCORD_EVENTS, ping), ping).await;

    assert_eq!((answer.in_short(), &*answer.content_type), ((StatusCode::NO_CONTENT, ""), "application/json"));
    let event = r#"{"version":1,"type":1,"event":{"type":"APPLICATION_AUTHORIZED","data":{"scopes":[]}}}"#;
    let answer = post(&router(Provider::DISCORD_EVENTS), &signature(Provider::DISCORD_EVENTS, event), event).await;
    assert_eq!(answer.in_short(), (StatusCode::OK, "delivery of APPLICATION_AUTHORIZED"));
}

// --- All that are signed ------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_signed_handshake_without_its_signature_is_refused_and_echoes_nothing() {
    for (provider, body) in [(Provider::SLACK, SLACK), (Provider::TWITCH, TWITCH), (Provider::ZOOM, ZOOM)] {
        let router = router(provider);
        let signed = if provider == Provider::TWITCH {
            from_twitch("webhook_callback_verification", body)
        } else {
            signature(provider, body)
        };

        let unsigned: Vec<_> = signed.iter().filter(|(name, _)| !name.ends_with("-signature")).cloned().collect();
        let wrong: Vec<_> = signed
            .iter()
            .map(|(name, value)| match name.ends_with("-signature") {
                // The last digit is another one.
                true => (*name, format!("{}{}", &value[..value.len() - 1], if value.ends_with('0') { 1 } else { 0 })),
                false => (*name, value.clone()),
            })
            .collect();
        let (later, now) = ("2027-01-15T09:00:00.123456789Z", senders::NOW.to_string());
        let stale: Vec<_> = signed
            .iter()
            .map(|(name, value)| (*name, value.replace(NOW_AS_DATE, later).replace(&now, "1800003600")))
            .collect();

        assert_eq!(post(&router, &signed, body).await.status, StatusCode::OK, "{provider}");
        for headers in [vec![], unsigned, wrong, stale] {
            let answer = post(&router, &headers, body).await;
            assert_eq!(answer.in_short(), UNAUTHORIZED, "{provider}: {headers:?}");
        }
        let answer = post(&router, &signed, &body.replace('}', " }")).await;
        assert_eq!(answer.in_short(), UNAUTHORIZED, "{provider}");
        let answer = send(&router, Method::GET, PATH, &signed, body).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{provider}");
    }
}
