//! Realistic bodies, one for each of the well-known providers. They are small, but a type that was written for real
//! bodies can read them.
//!
//! ```
//! use tower_webhooks::{Provider, testing::fixtures};
//!
//! let invoice = fixtures::of(Provider::STRIPE).expect("there is one for Stripe");
//! assert_eq!(invoice.event_type(), "invoice.paid");
//! assert!(invoice.body().contains(r#""object""#));
//! ```

use crate::scheme::Provider;

/// A body as a provider sends it.
///
/// ```
/// use tower_webhooks::{Provider, testing::fixtures};
///
/// let fixture = fixtures::of(Provider::GITHUB).expect("GitHub has a fixture");
/// assert_eq!(fixture.provider(), "github");
/// let body: serde_json::Value = serde_json::from_str(fixture.body())?;
/// assert!(body.is_object());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Fixture {
    provider: &'static str,
    event_type: &'static str,
    body: &'static str,
}

/// Returns the fixture of a provider, if there is one.
pub fn of(provider: Provider) -> Option<&'static Fixture> {
    ALL.iter().find(|fixture| fixture.provider == provider.name())
}

impl Fixture {
    /// Returns the provider's name.
    pub fn provider(&self) -> &'static str {
        self.provider
    }

    /// Returns the event type, as [`Delivery::event_type`](crate::Delivery::event_type) returns it; empty if the
    /// provider does not have event types.
    pub fn event_type(&self) -> &'static str {
        self.event_type
    }

    /// Returns the raw body.
    pub fn body(&self) -> &'static str {
        self.body
    }
}

/// An entry may end with the feature that its provider needs.
macro_rules! fixtures {
    ($($provider:literal, $event_type:literal $(, $feature:literal)?;)*) => {
        /// Every fixture, by the provider's name.
        pub const ALL: &[Fixture] = &[$($(#[cfg(feature = $feature)])? Fixture {
            provider: $provider,
            event_type: $event_type,
            body: include_str!(concat!("fixtures/", $provider, ".json")),
        }),*];
    };
}

fixtures! {
    "clerk", "user.created";
    "dropbox", "";
    "github", "issues.opened";
    "gitlab-signing", "Push Hook";
    "gitlab-token", "Push Hook";
    "linear", "Issue.create";
    "meta", "page";
    "openai", "response.completed";
    "paddle", "transaction.completed";
    "pagerduty", "incident.triggered";
    "resend", "email.delivered";
    "shopify", "orders/create";
    "slack", "app_mention";
    "square", "payment.updated";
    "standard-webhooks", "order.completed";
    "standard-webhooks-v1a", "order.completed", "asymmetric";
    "stripe", "invoice.paid";
    "svix", "invoice.paid";
    "twitch", "channel.follow";
    "x-webhook", "order.completed";
    "zoom", "meeting.started";
}
