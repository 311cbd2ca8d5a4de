//! Errors, sorted by who is at fault.
//!
//! 1. [`VerifyError`]: the sender's request was rejected. The network sees only a status and a fixed line; the error is
//!    for the operator.
//! 2. [`ConfigError`]: the configuration of the application is wrong. It occurs at start, never during a request.
//! 3. [`StoreError`]: something outside of the application failed: a database cannot be reached, is full, or has
//!    another version.
//!
//! Each is opaque, with a `kind()` to decide on and a `source()` to read.
//!
//! ```
//! use tower_webhooks::{Secret, error::ConfigErrorKind};
//!
//! assert!(Secret::new("a long and random signing key").is_ok());
//! assert_eq!(Secret::new("").unwrap_err().kind(), ConfigErrorKind::Secret);
//! ```

mod config;
mod hint;
mod store;
mod verify;

pub(crate) use self::hint::Text as HintText;
pub(crate) use self::verify::Subject;
pub use self::{
    config::{ConfigError, ConfigErrorKind},
    hint::{Hint, HintKind},
    store::{StoreError, StoreErrorKind},
    verify::{VerifyError, VerifyErrorKind},
};
