use std::{sync::Arc, time::Duration};

use super::received::ReceivedMessage;
use crate::{boxed::BoxFuture, error::StoreError};

/// A queue from which a worker takes messages.
pub trait SinkQueue: Send + Sync + 'static {
    /// Takes at most `limit` messages, each held for `lease` from now. If there are none, it waits for one, no longer than `wait`. A message that is not
    /// finished when its lease ends is given out again.
    ///
    /// The worker lets a call run to its end: a message that the queue has given out is not lost with a future.
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
