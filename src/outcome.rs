//! Results of a handler besides success and failure.

use std::{borrow::Cow, error::Error, fmt, time::Duration};

/// The error of a handler that can never handle the event: the event is acknowledged and does not run again.
///
/// The sender receives a success, so that it stops retrying; the reason is logged.
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
    /// Creates the error; `reason` is for the operator.
    pub fn new(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { reason: reason.into() }
    }

    /// Returns the reason.
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

/// The error of a handler that cannot handle the event now: the event runs again when the sender retries.
///
/// The sender receives 503, with `Retry-After` if a delay is given.
///
/// ```
/// use std::time::Duration;
/// use tower_webhooks::{Retry, VerifiedEvent};
///
/// #[derive(serde::Deserialize)]
/// struct Order {
///     id: u64,
/// }
///
/// async fn on_order(order: VerifiedEvent<Order>) -> Result<(), Retry> {
///     if order.id > 1_000 {
///         return Err(Retry::after(Duration::from_secs(30))); // for example, the warehouse has not confirmed it yet
///     }
///     Ok(())
/// }
/// # let _ = on_order;
/// ```
#[derive(Debug, Clone, Default)]
pub struct Retry {
    after: Option<Duration>,
}

impl Retry {
    /// Creates the error without a delay: the sender decides when to retry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates the error with a delay, in whole seconds, rounded up.
    pub fn after(delay: Duration) -> Self {
        Self { after: Some(delay) }
    }

    /// Returns the delay, if one was set.
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
