//! Signing: the signer, and the sealed secrets and headers of an endpoint.

pub(crate) mod credentials;
pub(crate) mod custom_headers;
pub(crate) mod echoes;
pub(crate) mod profile;
pub(crate) mod seal;
pub(crate) mod signer;
