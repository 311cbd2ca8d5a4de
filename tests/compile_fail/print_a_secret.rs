//! A secret in a message.

use tower_webhooks::Secret;

fn main() {
    let secret = Secret::new("an endpoint's signing key").unwrap();
    println!("{secret}");
}
