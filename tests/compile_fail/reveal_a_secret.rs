//! The bytes of a secret in somebody else's hands.

use tower_webhooks::Secret;

fn main() {
    let secret = Secret::new("an endpoint's signing key").unwrap();
    let _: &[u8] = secret.expose();
}
