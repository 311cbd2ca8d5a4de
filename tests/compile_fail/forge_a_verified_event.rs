//! An application must not be able to construct a verified event.

use tower_webhooks::{Delivery, VerifiedBody, VerifiedEnvelope, VerifiedEvent};

fn event(delivery: Delivery) -> VerifiedEvent<u8> {
    VerifiedEvent { delivery, payload: 1 }
}

fn envelope(delivery: Delivery) -> VerifiedEnvelope<u8> {
    VerifiedEnvelope { delivery, envelope: 1 }
}

fn body(delivery: Delivery) -> VerifiedBody {
    VerifiedBody { delivery }
}

fn default() -> VerifiedEvent<u8> {
    VerifiedEvent::default()
}

fn main() {}
