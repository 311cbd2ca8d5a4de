use std::time::Duration;

use crate::{boxed::BoxFuture, error::StoreError, inbox::Ending};

/// A message that a worker has taken, and holds.
pub trait SinkHold: Send + Sync + 'static {
    /// Holds it for this long from now.
    fn renew(&self, lease: Duration) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Ends the attempt as it is told, and answers when the queue has noted it. A [dead](Ending::Dead) one is put among the dead letters before
    /// it is taken from the queue. After an error it is called again.
    fn finish(&self, ending: Ending) -> BoxFuture<'_, Result<(), StoreError>>;
}
