//! How an endpoint is signed to: the signer, and the secrets and headers of an endpoint, as they are sealed and kept.

pub(crate) mod credentials;
pub(crate) mod custom_headers;
pub(crate) mod echoes;
pub(crate) mod profile;
pub(crate) mod seal;
pub(crate) mod signer;
