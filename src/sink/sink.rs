use std::sync::Arc;

use super::message::SinkMessage;
use crate::{boxed::BoxFuture, error::StoreError};

/// A queue to which verified deliveries are passed on.
///
/// Contract:
/// 1. **Durable.** [`Stored`](PassedOn::Stored) and [`Duplicate`](PassedOn::Duplicate) mean that the message is kept
///    until a reader has received and acknowledged it, even if the process is killed directly afterwards. A queue that
///    drops unacknowledged messages to make room for newer ones does not meet this rule.
/// 2. **Unchanged.** A worker receives exactly the same bytes of key, head and body.
/// 3. **After an error the result is unknown.** The message may have been stored or not. When its sender retries it, it
///    has the same key.
/// 4. **Size.** If the queue can never store a message because of its size, the result is
///    [`TooLarge`](PassedOn::TooLarge), and not an error.
/// 5. **Cancellation.** A call whose future is dropped leaves nothing locked.
pub trait Sink: Send + Sync + 'static {
    /// Passes a message on, and answers when it is stored.
    fn pass_on(&self, message: SinkMessage) -> BoxFuture<'_, Result<PassedOn, StoreError>>;

    /// Returns the largest size of a message in bytes, head and body together, or `None` without a limit, which is the
    /// default.
    fn limit(&self) -> Option<usize> {
        None
    }

    /// Returns `true` if messages with the same [order key](SinkMessage::order_key) are delivered one after the other.
    /// By default they are not.
    fn keeps_order(&self) -> bool {
        false
    }
}

/// The result of passing a message on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)] // A sink has to choose one of them.
pub enum PassedOn {
    /// The queue reports that it has stored a message with this key before.
    Duplicate,
    /// The queue is full. The sender has to retry.
    Full,
    /// The message is stored.
    Stored,
    /// The queue cannot store messages of this size.
    TooLarge,
}

macro_rules! forward {
    ($($pointer:ident)*) => { $(
        #[deny(clippy::missing_trait_methods)]
        impl<S: Sink + ?Sized> Sink for $pointer<S> {
            fn pass_on(&self, message: SinkMessage) -> BoxFuture<'_, Result<PassedOn, StoreError>> {
                (**self).pass_on(message)
            }

            fn limit(&self) -> Option<usize> {
                (**self).limit()
            }

            fn keeps_order(&self) -> bool {
                (**self).keeps_order()
            }
        }
    )* };
}

forward! { Arc Box }
