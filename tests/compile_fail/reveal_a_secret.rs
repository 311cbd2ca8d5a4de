//! Code outside of the crate that reads the bytes of a secret.

use tower_webhooks::Secret;

fn main() {
    let secret = Secret::new("an endpoint's signing key").unwrap();
    let _: &[u8] = secret.expose();
}
