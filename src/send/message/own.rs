//! The types of the messages that this crate itself dispatches.

/// For a tenant's other endpoints, when one was disabled.
pub(crate) const ENDPOINT_DISABLED: &str = "endpoint.disabled";

/// For one endpoint, to check that it can be reached.
pub(crate) const ENDPOINT_PING: &str = "endpoint.ping";
