//! Public keys and certificates that senders publish, fetched from the network.
//!
//! Rules:
//! 1. Only `https` addresses of the sender are fetched. A request can select one of the sender's keys, but cannot cause
//!    a fetch from another address.
//! 2. Redirects are not followed. An answer has at most 64 KiB, and must arrive within 5 seconds.
//! 3. Fetched keys are kept. If simultaneous requests need the same key, it is fetched once.
//! 4. An unknown key is fetched again at most once in 30 seconds, so that forged requests cannot cause many fetches.
//!    Known keys are never dropped to make room for unknown ones.
//! 5. If a key cannot be fetched, the request is answered with 503, so that the sender retries; it does not count as an
//!    unknown key. Known keys stay in use meanwhile, for a day.
//!
//! Each source is a [`SecretSource`](crate::SecretSource), and is passed to a layer in the place of the secret. If you
//! have the public key, you can pass it as a [`Secret`](crate::Secret) instead, and do not need this module.
//!
//! ```
//! use tower_webhooks::{Secret, WebhookLayer, keys::{HttpsKeyClient, PlaidKeys}};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let client = HttpsKeyClient::new()?;
//! let keys = PlaidKeys::new("the client id", Secret::new("the secret of the Plaid API")?, client);
//! let layer = WebhookLayer::plaid(keys);
//! # let _ = layer;
//! # Ok(()) }
//! ```

mod builder;
mod cache;
mod certificate;
mod certificates;
mod client;
mod fetched;
mod jwk;
mod jwks;
mod plaid;
mod subscriptions;

pub(crate) use self::subscriptions::Asked;
pub use self::{
    builder::HttpsKeyClientBuilder,
    certificates::CertificateKeys,
    client::{HttpsKeyClient, KeyClient},
    jwk::KeyKind,
    jwks::JwksKeys,
    plaid::PlaidKeys,
    subscriptions::SnsConfirmation,
};
pub use crate::net::{
    destination::{DestinationPolicy, EndpointUrl, EndpointUrlError, EndpointUrlErrorKind, Network, NetworkError},
    proxy::EgressProxy,
    resolver::{Resolver, SystemResolver},
};
