use std::time::Duration;

use crate::{boxed::BoxFuture, error::StoreError, inbox::Ending};

/// A message that a worker has received and holds.
pub trait SinkHold: Send + Sync + 'static {
    /// Holds it for this long from now.
    fn renew(&self, lease: Duration) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Ends the attempt with this result, and answers when the queue has stored it. A [dead](Ending::Dead) message is
    /// stored as a dead letter before it is removed from the queue. After an error the worker calls this again.
    fn finish(&self, ending: Ending) -> BoxFuture<'_, Result<(), StoreError>>;
}
