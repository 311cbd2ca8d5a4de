//! What the framework around the middleware knows: the original URI, the matched path, path parameters, the body limit.
//!
//! The middleware itself names no framework. With the feature `axum` these questions are answered by what axum leaves in a
//! request's extensions, without it by the request alone.

#[cfg(feature = "axum")]
#[path = "axum.rs"]
mod framework;
#[cfg(not(feature = "axum"))]
#[path = "empty.rs"]
mod framework;

#[cfg(feature = "idempotency")]
pub(crate) use self::framework::{KNOWS_ROUTES, route};
pub(crate) use self::framework::{lift_body_limit, original_uri, request_head};
