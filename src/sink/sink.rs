use std::sync::Arc;

use super::message::SinkMessage;
use crate::{boxed::BoxFuture, error::StoreError};

/// A queue to which verified deliveries are passed on.
///
/// Contract:
/// 1. **Durable.** [`Stored`](PassedOn::Stored) and [`Duplicate`](PassedOn::Duplicate) mean that the message is kept until somebody has taken and
///    acknowledged it, also if the process is killed right after. A queue that drops messages that nobody has acknowledged, to make room for newer ones,
///    does not keep this.
/// 2. **As it came.** Key, head and body come back unchanged, down to the byte.
/// 3. **An error says nothing.** After an error the message may have been stored or not. Its sender repeats it, and it has the same key then.
/// 4. **Too large is said.** What the queue will never take because of its size is [`TooLarge`](PassedOn::TooLarge), and not an error.
/// 5. **Cancellation.** A call whose future is dropped leaves nothing locked.
pub trait Sink: Send + Sync + 'static {
    /// Passes a message on, and answers when it is kept.
    fn pass_on(&self, message: SinkMessage) -> BoxFuture<'_, Result<PassedOn, StoreError>>;

    /// Returns how many bytes a message may have, its head and its body together. `None` if there is no limit. By default there is none.
    fn limit(&self) -> Option<usize> {
        None
    }

    /// Returns `true` if messages with one [order key](SinkMessage::order_key) are given out one after the other. By default they are not.
    fn keeps_order(&self) -> bool {
        false
    }
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)] // A sink says which of them it is.
pub enum PassedOn {
    /// The queue has stored a message of this key before, and says so.
    Duplicate,
    /// The queue has no room. Its sender is to come again.
    Full,
    /// It is stored.
    Stored,
    /// The queue takes no messages of this size.
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
