//! Run: cargo run --features testing --example tenants
//!
//! One route for the webhooks of many customers, each with a secret of its own: the path names the tenant, a look-up gives
//! the secrets, a cache keeps them. The name comes back verified with the delivery; deliveries of two tenants never mix.
//!
//! Against a server of yours, this is refused with 401, as there is no signature; and no look-up is made for it:
//!
//!     curl -i http://127.0.0.1:3000/webhooks/acme -d '{}'

#![allow(clippy::print_stdout)] // An example talks.

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

/// Stands for the application's database.
#[derive(Default)]
struct Database {
    look_ups: AtomicU32,
}

impl Database {
    async fn secrets(&self, tenant: &str) -> Result<Secrets, BoxError> {
        self.look_ups.fetch_add(1, Ordering::SeqCst);
        match tenant {
            // During a rotation a tenant has two.
            "acme" => Ok(Secrets::from([secret("acme, new")?, secret("acme, old")?]).tenant("acme")),
            "globex" => Ok(Secrets::new(secret("globex")?).tenant("globex")),
            // A tenant that exists and has no secret yet: answered with 503, so that its sender tries again.
            "initech" => Ok(Secrets::none()),
            // The table says for certain that there is no such tenant: rejected like a forged request.
            _ => Ok(Secrets::unknown_tenant()),
        }
    }
}

fn secret(of: &str) -> Result<Secret, BoxError> {
    Ok(Secret::new(format!("the signing key of {of}"))?)
}

async fn on_event(delivery: Delivery) -> String {
    // The tenant of the secret that matched: not of the path, which anyone can write.
    delivery.tenant().unwrap_or("nobody").to_owned()
}

fn app(database: Arc<Database>) -> Router {
    // What the look-up depends on, and so the key of the cache.
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
        // One tenant's secret opens no other's door.
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
    // One for each tenant: acme's second request and globex's come from the cache. globex's wrong signature comes within a
    // second of its look-up, so the database is not asked again for it.
    assert_eq!(database.look_ups.load(Ordering::SeqCst), 4);
    Ok(())
}
