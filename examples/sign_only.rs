//! Run: cargo run --features send --example sign_only
//!
//! Signs a request that something else sends: a queue, a proxy, or another client. It prints a `curl` command that any
//! receiver of Standard Webhooks accepts within five minutes.

#![allow(clippy::print_stdout)] // An example prints its results.

use std::error::Error;

use http::Request;
use serde_json::json;
use tower_webhooks::{
    Provider, Scheme, Secret, Secrets,
    clock::{Clock, SystemClock},
    scheme::Verdict,
    send::{Message, Signer, Style},
};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn main() -> Result<(), Box<dyn Error>> {
    // In an application: `Secret::from_env("WEBHOOK_SECRET")?`.
    let signer = Signer::standard_webhooks(Secret::new(SECRET)?)?;
    let message = Message::new("order.completed", &json!({ "order": 7 }))?;
    let now = SystemClock.now();

    // The body is serialized once and sent unchanged, since the signature covers its bytes.
    let body = message.body(Style::StandardWebhooks, now);
    let headers = signer.headers(&message, now, &body);

    print!("curl -i https://example.com/hook");
    for (name, value) in &headers {
        print!(" -H '{name}: {}'", value.to_str()?);
    }
    println!(" -d '{}'", std::str::from_utf8(&body)?);

    // The receiver verifies it.
    let scheme = Scheme::from(Provider::STANDARD_WEBHOOKS);
    let secrets = Secrets::new(Secret::new(SECRET)?);
    let (mut head, ()) = Request::post("/hook").body(())?.into_parts();
    head.headers = headers;
    let Verdict::Delivery(delivery) = scheme.verify(&head, body.clone(), &secrets, now)? else {
        return Err("a delivery was taken for a handshake".into());
    };
    assert!(delivery.id().is_some_and(|id| *id == message.message_id().as_str()));
    println!("accepted: {:?}", delivery.event_type());

    let tampered = String::from_utf8(body.to_vec())?.replace('7', "8");
    let refused = scheme.verify(&head, tampered, &secrets, now).expect_err("nobody signed this");
    println!("refused: {refused}");
    Ok(())
}
