//! A handler whose payload cannot be read.

use axum::{Router, routing::post};
use tower_webhooks::VerifiedEvent;

struct Invoice;

#[axum::debug_handler]
async fn on_invoice(_: VerifiedEvent<Invoice>) {}

fn main() {
    let _: Router = Router::new().route("/hook", post(on_invoice));
}
