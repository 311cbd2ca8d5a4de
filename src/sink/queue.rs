use std::{sync::Arc, time::Duration};

use super::received::ReceivedMessage;
use crate::{boxed::BoxFuture, error::StoreError};

/// A queue from which a worker receives messages.
pub trait SinkQueue: Send + Sync + 'static {
    /// Receives at most `limit` messages, and holds each for `lease` from now. If there are none, waits for one for at
    /// most `wait`. A message that is not finished when its lease ends is delivered again.
    ///
    /// The worker completes every call, so a message that the queue has delivered is not lost with a dropped future.
    fn receive(
        &self,
        limit: u32,
        lease: Duration,
        wait: Duration,
    ) -> BoxFuture<'_, Result<Vec<ReceivedMessage>, StoreError>>;
}

macro_rules! forward {
    ($($pointer:ident)*) => { $(
        #[deny(clippy::missing_trait_methods)]
        impl<S: SinkQueue + ?Sized> SinkQueue for $pointer<S> {
            fn receive(
                &self,
                limit: u32,
                lease: Duration,
                wait: Duration,
            ) -> BoxFuture<'_, Result<Vec<ReceivedMessage>, StoreError>> {
                (**self).receive(limit, lease, wait)
            }
        }
    )* };
}

forward! { Arc Box }
