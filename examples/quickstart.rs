//! Run: cargo run --features sqlite --example quickstart
//!
//! Receives webhooks from Stripe and GitHub on a real server, handles each once, and sends itself valid, repeated,
//! tampered, stale and unsigned ones. With `cargo run --features sqlite --example quickstart -- --serve [ADDRESS]` it
//! keeps running, by default on 127.0.0.1:3000, and prints a command of this form with a signature that is valid for
//! five minutes:
//!
//!     curl -i http://127.0.0.1:3000/webhooks/stripe -H 'stripe-signature: t=…,v1=…' -d '{"id":"evt_1", …}'

#![allow(clippy::print_stdout)] // An example prints its results.

#[path = "support/client.rs"]
mod client;
#[path = "support/log.rs"]
mod log;
#[path = "support/server.rs"]
mod server;
#[path = "support/sign.rs"]
mod sign;

use std::{env, net::SocketAddr, time::Duration};

use axum::{Router, routing::post};
use serde::Deserialize;
use server::{BoxError, Limits};
use tokio::net::TcpListener;
use tower_webhooks::{
    EventRouter, RawEvent, Secret, VerifiedEvent, WebhookLayer,
    clock::{Clock, SystemClock},
    store::SqliteStore,
};

// The application: a type for the payload, a handler, and a route with its layer.

/// Stripe: one variant for each event type that matters. All others are acknowledged, since Stripe would retry them for
/// days after an error.
#[derive(Deserialize)]
enum StripeEvent {
    #[serde(rename = "invoice.paid")]
    Paid(Invoice),
    #[serde(rename = "charge.dispute.*")]
    Dispute(RawEvent),
}

#[derive(Deserialize)]
struct Invoice {
    id: String,
    amount_paid: u64,
}

async fn on_stripe(event: VerifiedEvent<StripeEvent>) -> String {
    match &*event {
        StripeEvent::Paid(invoice) => format!("{} paid {}", invoice.id, invoice.amount_paid),
        StripeEvent::Dispute(event) => format!("somebody has to look at {}", event.event_type()),
    }
}

/// GitHub: one handler for each event type that matters.
#[derive(Deserialize)]
struct IssueEvent {
    issue: Issue,
}

#[derive(Deserialize)]
struct Issue {
    title: String,
}

async fn on_issue(event: VerifiedEvent<IssueEvent>) -> String {
    format!("opened: {}", event.issue.title)
}

fn app(stripe: &str, github: &str, store: &SqliteStore) -> Result<Router, BoxError> {
    let github_events = EventRouter::new().on("issues.opened", on_issue);
    let stripe = WebhookLayer::stripe(Secret::new(stripe)?).with_idempotency(store.clone());
    let github = WebhookLayer::github(Secret::new(github)?).with_idempotency(store.clone());
    Ok(Router::new()
        .route("/webhooks/stripe", post(on_stripe).layer(stripe))
        .route("/webhooks/github", post(github_events).layer(github)))
}

// The rest plays the role of the sender.

const INVOICE: &str =
    r#"{"id":"evt_1","type":"invoice.paid","data":{"object":{"id":"in_1","object":"invoice","amount_paid":4200}}}"#;
const CUSTOMER: &str =
    r#"{"id":"evt_2","type":"customer.created","data":{"object":{"id":"cus_1","object":"customer"}}}"#;
const ISSUE: &str = r#"{"action":"opened","issue":{"title":"It does not work"}}"#;
const STAR: &str = r#"{"action":"created","starred_at":"2026-01-01T00:00:00Z"}"#;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    // In an application: `Secret::from_env("STRIPE_WEBHOOK_SECRET")?`.
    let stripe = env::var("STRIPE_WEBHOOK_SECRET").unwrap_or_else(|_| "whsec_quickstart_example".into());
    let github = env::var("GITHUB_WEBHOOK_SECRET").unwrap_or_else(|_| "It's a Secret to Everybody".into());
    // In an application, use a permanent file such as `sqlite://webhooks.db`.
    let folder = tempfile::tempdir()?;
    let store = SqliteStore::connect(&format!("sqlite://{}", folder.path().join("webhooks.db").display())).await?;
    let app = app(&stripe, &github, &store)?;

    if let Some(address) = server::serve_address() {
        return stay_up(app, &address, &stripe, &github).await;
    }
    log::keep();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(server::serve(listener, app, Limits::default(), async { drop(stopped.await) }));
    let result = send_all(address, &stripe, &github).await;
    drop(stop);
    server.await?;
    result
}

async fn send_all(address: SocketAddr, stripe: &str, github: &str) -> Result<(), BoxError> {
    let now = SystemClock.now();
    let hour_ago = now - Duration::from_secs(60 * 60);
    let true_stripe = |body: &str| Some(sign::stripe(stripe, now, body));
    let true_github = |body: &str| Some(sign::github(github, body));
    // The body, the path, the signature header, the event header, and the expected status.
    let deliveries = [
        ("true", "stripe", INVOICE, true_stripe(INVOICE), None, 200),
        ("again", "stripe", INVOICE, true_stripe(INVOICE), None, 200),
        ("tampered", "stripe", &INVOICE.replace("4200", "9900"), true_stripe(INVOICE), None, 401),
        ("stale", "stripe", INVOICE, Some(sign::stripe(stripe, hour_ago, INVOICE)), None, 401),
        ("unsigned", "stripe", INVOICE, None, None, 401),
        ("unknown type", "stripe", CUSTOMER, true_stripe(CUSTOMER), None, 200),
        ("true", "github", ISSUE, true_github(ISSUE), Some("issues"), 200),
        ("again", "github", ISSUE, true_github(ISSUE), Some("issues"), 200),
        ("tampered", "github", &ISSUE.replace("not ", ""), true_github(ISSUE), Some("issues"), 401),
        ("unsigned", "github", ISSUE, None, Some("issues"), 401),
        ("unknown type", "github", STAR, true_github(STAR), Some("star"), 200),
    ];

    let mut wrong = Vec::new();
    println!("{:7} {:13} {:>6} {:30} what the operator reads", "sender", "delivery", "status", "answer");
    for (what, sender, body, signature, event, expected) in deliveries {
        let name = if sender == "stripe" { "stripe-signature" } else { "x-hub-signature-256" };
        let mut headers = vec![("content-type", "application/json".to_owned())];
        headers.extend(signature.map(|signature| (name, signature)));
        headers.extend(event.map(|event| ("x-github-event", event.to_owned())));
        headers.extend(event.map(|event| ("x-github-delivery", format!("72d3162e-{event}"))));
        let (status, answer) = client::post(address, &format!("/webhooks/{sender}"), &headers, body).await?;
        println!("{sender:7} {what:13} {:6} {answer:30} {}", status.as_u16(), log::take());
        if status != expected {
            wrong.push(format!("{sender}, {what}: {status} instead of {expected}"));
        }
    }
    println!("\nGitHub does not sign a timestamp, so its deliveries cannot be stale.");
    println!("Try it by hand: cargo run --features sqlite --example quickstart -- --serve");
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

async fn stay_up(app: Router, address: &str, stripe: &str, github: &str) -> Result<(), BoxError> {
    tracing_subscriber::fmt().with_env_filter("tower_webhooks=debug").init();
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    println!("Valid for five minutes from now:\n");
    println!("curl -i http://{address}/webhooks/stripe \\\n  -H 'content-type: application/json' \\");
    println!("  -H 'stripe-signature: {}' \\\n  -d '{INVOICE}'\n", sign::stripe(stripe, SystemClock.now(), INVOICE));
    println!("Valid at any time, since GitHub does not sign a timestamp:\n");
    println!(
        "curl -i http://{address}/webhooks/github \\\n  -H 'content-type: application/json' -H 'x-github-event: issues' \\"
    );
    println!("  -H 'x-hub-signature-256: {}' \\\n  -d '{ISSUE}'\n", sign::github(github, ISSUE));
    println!("Change a byte and try again; ctrl-c stops.");
    server::serve(listener, app, Limits::default(), server::stop_signal()).await;
    Ok(())
}
