//! A secret in an answer or a configuration dump.

use tower_webhooks::Secret;

#[derive(serde::Serialize)]
struct Settings {
    secret: Secret,
}

fn main() {
    let _ = Settings { secret: Secret::new("an endpoint's signing key").unwrap() };
}
