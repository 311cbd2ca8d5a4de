//! Information from the framework around the middleware: the original URI, the matched path, path parameters, the body
//! limit.
//!
//! The middleware itself does not depend on a framework. With the feature `axum` this information comes from the
//! extensions that axum adds to a request, without it from the request alone.

#[cfg(feature = "axum")]
#[path = "axum.rs"]
mod framework;
#[cfg(not(feature = "axum"))]
#[path = "empty.rs"]
mod framework;

#[cfg(feature = "idempotency")]
pub(crate) use self::framework::{KNOWS_ROUTES, route};
pub(crate) use self::framework::{lift_body_limit, original_uri, request_head};
