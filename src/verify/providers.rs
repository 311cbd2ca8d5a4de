use super::layer::WebhookLayer;
use crate::{scheme::Provider, secret::SecretSource};

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident => $provider:ident;)*) => {
        impl WebhookLayer {
            $(
                $(#[$doc])*
                ///
                /// # Panics
                /// When a constant secret is not of the form that the provider gives out.
                #[track_caller]
                pub fn $name(secrets: impl SecretSource) -> Self {
                    Self::new(Provider::$provider, secrets)
                }
            )*
        }
    };
}

constructors! {
    /// Verifies GitHub's deliveries.
    ///
    /// GitHub signs the body alone: neither the delivery's id nor a time. A delivery that was overheard can be replayed.
    github => GITHUB;
    /// Verifies Slack's deliveries, and answers `url_verification` once its signature has passed.
    slack => SLACK;
    /// Verifies the deliveries of every sender that follows Standard Webhooks.
    standard_webhooks => STANDARD_WEBHOOKS;
    /// Verifies Stripe's deliveries. Each endpoint has a secret of its own, and so has the Stripe CLI.
    stripe => STRIPE;
    /// Verifies the deliveries of senders that use Svix.
    svix => SVIX;
}
