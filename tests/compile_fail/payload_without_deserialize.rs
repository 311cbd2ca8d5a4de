//! The same without `debug_handler`: the first error names `Deserialize`, and not axum's `Handler`.

use axum::{Router, routing::post};
use tower_webhooks::VerifiedEvent;

struct Invoice;

async fn on_invoice(_: VerifiedEvent<Invoice>) {}

fn main() {
    let _: Router = Router::new().route("/hook", post(on_invoice));
}
