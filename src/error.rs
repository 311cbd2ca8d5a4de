//! Errors, sorted by who is at fault.
//!
//! 1. [`VerifyError`]: the sender's request did not pass. Mute to the network, explicit to the operator.
//! 2. [`ConfigError`]: the application's set-up is wrong. It shows at start, never at a request.
//! 3. [`StoreError`]: the world failed: a database is away, full, or of another version.
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
