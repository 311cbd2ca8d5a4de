//! Public keys and certificates that senders publish, fetched from the network.
//!
//! Rules:
//! 1. Only `https` addresses of the sender are fetched. A request can choose among the sender's keys, and never an address of
//!    its own.
//! 2. Redirects are not followed. An answer has at most 64 KiB, and is there within 5 seconds.
//! 3. What was fetched is kept. Of simultaneous requests that need the same key, one fetches it and the others wait.
//! 4. An unknown key is looked for again at most once in 30 seconds, so that forged requests do not become fetches. Known keys
//!    are never dropped for unknown ones.
//! 5. A key that could not be fetched is not an unknown key: the request is answered with 503, and the sender tries again. Keys
//!    that are known stay in use meanwhile, for a day.
//!
//! Each source is a [`SecretSource`](crate::SecretSource), and takes the place of the secret. A public key that is known can be
//! passed as a [`Secret`](crate::Secret) instead, without this module.
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
