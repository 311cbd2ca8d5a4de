use serde::de::DeserializeOwned;

use super::delivery::TestDelivery;
use crate::extract::{VerifiedEnvelope, VerifiedEvent};

/// Creates a test event with this payload, of a delivery without other facts. **Nothing is verified.**
///
/// Use [`TestDelivery`] to set facts of the delivery.
///
/// ```
/// use tower_webhooks::{VerifiedEvent, testing::verified_event};
///
/// async fn double(event: VerifiedEvent<u32>) -> u32 {
///     *event * 2
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// assert_eq!(double(verified_event(21)).await, 42);
/// # }
/// ```
pub fn verified_event<T: DeserializeOwned>(payload: T) -> VerifiedEvent<T> {
    TestDelivery::new().event(payload)
}

/// Creates a test event with this envelope, of a delivery without other facts. **Nothing is verified.**
pub fn verified_envelope<E: DeserializeOwned>(envelope: E) -> VerifiedEnvelope<E> {
    TestDelivery::new().envelope(envelope)
}

impl TestDelivery {
    /// Creates an event with this payload.
    pub fn event<T: DeserializeOwned>(&self, payload: T) -> VerifiedEvent<T> {
        VerifiedEvent::for_test(self.build(), payload)
    }

    /// Creates an event with this envelope.
    pub fn envelope<E: DeserializeOwned>(&self, envelope: E) -> VerifiedEnvelope<E> {
        VerifiedEnvelope::for_test(self.build(), envelope)
    }
}
