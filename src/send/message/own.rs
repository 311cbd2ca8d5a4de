//! The types of the messages that this crate itself dispatches.

/// Tells a tenant's other endpoints that one was disabled.
pub(crate) const ENDPOINT_DISABLED: &str = "endpoint.disabled";

/// Tells an endpoint nothing but that it is reached.
pub(crate) const ENDPOINT_PING: &str = "endpoint.ping";
