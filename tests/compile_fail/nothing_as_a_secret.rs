//! No secret at all.

use tower_webhooks::{Provider, WebhookLayer};

fn main() {
    let _ = WebhookLayer::new(Provider::STRIPE, ());
    let _ = WebhookLayer::new(Provider::GITHUB, None::<tower_webhooks::Secret>);
}
