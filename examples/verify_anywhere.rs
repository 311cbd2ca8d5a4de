//! Run: cargo run --example verify_anywhere
//!
//! Verifies without a server, here in the consumer of a queue into which a gateway has put requests unchanged. The same
//! works in a function that a platform calls. There is no server to send a request to; a message consists of the
//! request's head and its raw body:
//!
//!     {"headers": [["stripe-signature", "t=…,v1=…"]], "body": "{\"id\":\"evt_1\", …}"}

#![allow(clippy::print_stdout)] // An example prints its results.

#[path = "support/sign.rs"]
mod sign;

use std::time::{Duration, SystemTime};

use http::Request;
use serde::Deserialize;
use tower_webhooks::{
    Delivery, Provider, Scheme, Secret, Secrets, VerifyError,
    clock::{Clock, SystemClock},
    error::VerifyErrorKind,
    scheme::Verdict,
};

/// The message that the gateway puts into the queue. The body must be the received bytes, not JSON that was serialized
/// again.
#[derive(Deserialize)]
struct Message {
    headers: Vec<(String, String)>,
    body: String,
    /// When the gateway received it. A message can stay in a queue for longer than the timestamp's window.
    received: u64,
}

struct Consumer {
    scheme: Scheme,
    secrets: Secrets,
}

impl Consumer {
    /// Verifies a message as of the time when it was received. `None` is a handshake, which the gateway has to answer.
    fn verify(&self, message: &Message) -> Result<Option<Delivery>, VerifyError> {
        let mut request = Request::post("/webhooks/stripe");
        for (name, value) in &message.headers {
            request = request.header(name, value);
        }
        // An invalid header name or value is the sender's fault too.
        let (head, ()) = request
            .body(())
            .map_err(|cause| VerifyError::new(VerifyErrorKind::MalformedSignature).with_source(cause))?
            .into_parts();
        let received = SystemTime::UNIX_EPOCH + Duration::from_secs(message.received);
        let verdict = self.scheme.verify(&head, message.body.clone(), &self.secrets, received)?;
        Ok(match verdict {
            Verdict::Delivery(delivery) => Some(delivery),
            _ => None,
        })
    }
}

const SECRET: &str = "whsec_an_example_and_no_key";
const BODY: &str = r#"{"id":"evt_1","type":"invoice.paid","data":{"object":{"amount_paid":4200}}}"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let consumer = Consumer { scheme: Provider::STRIPE.into(), secrets: Secrets::new(Secret::new(SECRET)?) };
    let now = SystemClock.now();
    let received = sign::unix_seconds(now);
    let signature = sign::stripe(SECRET, now, BODY);
    let message = |body: &str, received: u64| Message {
        headers: vec![("stripe-signature".into(), signature.clone())],
        body: body.into(),
        received,
    };

    let delivery = consumer.verify(&message(BODY, received))?.ok_or("this is a handshake")?;
    println!("accepted {:?} of type {:?}", delivery.id(), delivery.event_type());
    assert!(delivery.id().is_some_and(|id| id == "evt_1"));
    assert!(delivery.timestamp_is_signed());

    let tampered = consumer.verify(&message(&BODY.replace("4200", "1"), received)).expect_err("nobody signed this");
    println!("refused: {tampered}");
    assert_eq!(tampered.kind(), VerifyErrorKind::SignatureMismatch);

    let late = consumer.verify(&message(BODY, received + 3600)).expect_err("it is an hour old");
    println!("refused: {late}");
    assert_eq!((late.kind(), late.skew_seconds()), (VerifyErrorKind::Stale, Some(3600)));
    Ok(())
}
