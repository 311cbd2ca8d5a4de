//! A comparison that ends at the first difference.

use tower_webhooks::Secret;

fn main() {
    let (one, other) = (Secret::new("one signing key").unwrap(), Secret::new("another signing key").unwrap());
    let _ = one == other;
}
