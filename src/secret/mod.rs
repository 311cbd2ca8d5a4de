//! Signing keys, and where they come from.
//!
//! Rules:
//! 1. A [`Secret`] that is empty, blank or edged with white space cannot be built: with an empty key every forgery
//!    would be valid, and with a stray newline every genuine signature would be wrong.
//! 2. A secret is wiped from memory when its last clone is dropped, and is never shown: `Debug` is redacted, and there
//!    is no `Display`, no `Serialize` and no `==`.
//! 3. [`Secrets`] are the keys that are valid at the same time, for rotation without a gap. Each can have an expiry.
//! 4. A [`SecretSource`] provides the secrets of a request. Constant secrets are keyed once, at start.
//!
//! This module does not decode secrets: only the scheme knows whether `whsec_…` is text or base64.
//!
//! ```
//! use tower_webhooks::Secret;
//!
//! let secret = Secret::new("an endpoint's signing key")?;
//! assert_eq!(format!("{secret:?}"), "Secret([redacted])");
//!
//! assert!(Secret::new("pasted with a newline\n").is_err());
//! # Ok::<(), tower_webhooks::error::ConfigError>(())
//! ```

mod cached;
#[allow(clippy::module_inception)] // `secret::secret` holds `Secret`, as a file per part has it.
mod secret;
mod secrets;
mod source;

pub(crate) use self::secrets::Unknown;
pub use self::{cached::CachedSecrets, secret::Secret, secrets::Secrets, source::SecretSource};
