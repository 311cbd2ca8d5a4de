//! The catalogue: named, ready schemes.

pub(crate) mod catalogue;
mod entry;
mod families;
mod names;
#[cfg(test)]
mod page;

mod adyen_payments;
#[cfg(feature = "asymmetric")]
mod aws_sns;
mod braintree;
mod cloudevents;
mod contentful;
#[cfg(feature = "asymmetric")]
mod discord;
mod dropbox;
mod dropbox_sign;
mod front;
mod github;
mod gitlab;
mod hook0;
mod hubspot;
mod linear;
mod mailgun;
mod meta;
mod nylas;
mod okta;
mod paddle;
mod pagerduty;
#[cfg(feature = "asymmetric")]
mod paypal;
mod plivo;
#[allow(clippy::module_inception)] // `provider::provider` holds `Provider`, as a file per part has it.
mod provider;
mod shopify;
mod slack;
mod square;
mod standard_webhooks;
mod stripe;
mod trello;
#[cfg(feature = "asymmetric")]
mod truelayer;
mod twilio;
mod twitch;
mod x_twitter;
mod x_webhook;
mod zoom;

pub(crate) use self::catalogue::{SIGNATURE_HEADERS, is_known};
pub use self::{
    entry::{Duplicates, Evidence},
    provider::Provider,
};
