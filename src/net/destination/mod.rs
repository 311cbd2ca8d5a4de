//! Where deliveries may go.

mod address;
mod endpoint_url;
mod names;
mod network;
mod policy;

pub(crate) use self::address::canonical;
#[cfg(feature = "send")]
pub(crate) use self::endpoint_url::Origin;
pub use self::{
    endpoint_url::{EndpointUrl, EndpointUrlError, EndpointUrlErrorKind},
    network::{Network, NetworkError},
    policy::DestinationPolicy,
};
