//! Run: cargo run --features testing --example tenants
//!
//! One route for the webhooks of many customers, each with its own secret: the path names the tenant, a look-up returns
//! the secrets, and a cache keeps them. The delivery has the verified name of the tenant; deliveries of two tenants are
//! never mixed up.
//!
//! Your own server would reject this request with 401, since it has no signature, and without a look-up:
//!
//!     curl -i http://127.0.0.1:3000/webhooks/acme -d '{}'

#![allow(clippy::print_stdout)] // An example prints its results.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body, http::Request, routing::post};
use tower::ServiceExt;
use tower_webhooks::{
    BoxError, Delivery, Provider, RequestHead, Secret, Secrets, WebhookLayer, secret::CachedSecrets,
    testing::SignedRequest,
};

/// Represents the application's database.
#[derive(Default)]
struct Database {
    look_ups: AtomicU32,
}

impl Database {
    async fn secrets(&self, tenant: &str) -> Result<Secrets, BoxError> {
        self.look_ups.fetch_add(1, Ordering::SeqCst);
        match tenant {
            // During a rotation a tenant has two secrets.
            "acme" => Ok(Secrets::from([secret("acme, new")?, secret("acme, old")?]).tenant("acme")),
            "globex" => Ok(Secrets::new(secret("globex")?).tenant("globex")),
            // A tenant that exists but has no secret yet: answered with 503, so that its sender retries.
            "initech" => Ok(Secrets::none()),
            // The tenant certainly does not exist: its request is rejected like a forged one.
            _ => Ok(Secrets::unknown_tenant()),
        }
    }
}

fn secret(of: &str) -> Result<Secret, BoxError> {
    Ok(Secret::new(format!("the signing key of {of}"))?)
}

async fn on_event(delivery: Delivery) -> String {
    // The tenant whose secret matched, not the one in the path, which anyone can write.
    delivery.tenant().unwrap_or("nobody").to_owned()
}

fn app(database: Arc<Database>) -> Router {
    // The value that the look-up depends on, and so the key of the cache.
    let tenant = |head: &RequestHead| head.path_param("tenant").unwrap_or_default().to_owned();
    let source = move |head: RequestHead| {
        let database = Arc::clone(&database);
        async move { database.secrets(&tenant(&head)).await }
    };
    let layer = WebhookLayer::github(CachedSecrets::new(source, tenant, Duration::from_secs(60)));
    Router::new().route("/webhooks/{tenant}", post(on_event).layer(layer))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let database = Arc::new(Database::default());
    let app = app(Arc::clone(&database));

    for (path, signed_by, expected) in [
        ("acme", "acme, new", 200),
        ("acme", "acme, old", 200),
        ("globex", "globex", 200),
        // The secret of one tenant is not accepted for another.
        ("globex", "acme, new", 401),
        ("initech", "initech", 503),
        ("unknown", "acme, new", 401),
    ] {
        let request = SignedRequest::new(Provider::GITHUB, &secret(signed_by)?).uri(format!("/webhooks/{path}"));
        let request: Request<Body> = request.build();
        let status = app.clone().oneshot(request).await?.status();
        println!("/webhooks/{path}, signed by {signed_by}: {status}");
        assert_eq!(status, expected);
    }

    let unsigned = Request::post("/webhooks/acme").body(Body::empty())?;
    assert_eq!(app.oneshot(unsigned).await?.status(), 401);
    // One look-up for each tenant: the cache answers for acme's second request and for globex's. globex's wrong
    // signature arrives within a second of its look-up, so the database is not asked again.
    assert_eq!(database.look_ups.load(Ordering::SeqCst), 4);
    Ok(())
}
