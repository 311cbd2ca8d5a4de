//! A signing key in the source code.

use tower_webhooks::{Provider, WebhookLayer};

fn main() {
    let _ = WebhookLayer::new(Provider::STRIPE, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
}
