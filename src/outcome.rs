//! What a handler can say beyond "done" and "failed".

use std::{borrow::Cow, error::Error, fmt, time::Duration};

/// The event can never be handled: acknowledge it, and do not run it again.
///
/// A handler returns it as its error. The sender gets a success, so that it stops; the reason is logged.
///
/// ```
/// use tower_webhooks::{Discard, VerifiedEvent};
///
/// #[derive(serde::Deserialize)]
/// struct Order {
///     shop: String,
/// }
///
/// async fn on_order(order: VerifiedEvent<Order>) -> Result<(), Discard> {
///     if order.shop == "closed" {
///         return Err(Discard::new("the shop was closed"));
///     }
///     Ok(())
/// }
/// # let _ = on_order;
/// ```
#[derive(Debug, Clone)]
pub struct Discard {
    reason: Cow<'static, str>,
}

impl Discard {
    /// Discards the event for `reason`, which is for the operator.
    pub fn new(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { reason: reason.into() }
    }

    /// Why.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for Discard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the event is discarded: {}", self.reason)
    }
}

impl Error for Discard {}

/// The event cannot be handled now: run it again, when the sender repeats it.
///
/// A handler returns it as its error. The sender gets 503, with `Retry-After` where a time is given.
#[derive(Debug, Clone, Default)]
pub struct Retry {
    after: Option<Duration>,
}

impl Retry {
    /// Asks for a repetition, whenever the sender likes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for a repetition after a time. Whole seconds count, rounded up.
    pub fn after(delay: Duration) -> Self {
        Self { after: Some(delay) }
    }

    /// The time that was asked for.
    pub fn delay(&self) -> Option<Duration> {
        self.after
    }
}

impl fmt::Display for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the event cannot be handled now")
    }
}

impl Error for Retry {}
