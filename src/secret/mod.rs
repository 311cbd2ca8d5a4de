//! Signing keys, and where they come from.
//!
//! Rules:
//! 1. A [`Secret`] that is empty, blank or edged with white space cannot be built: an empty key makes every forgery right,
//!    and a stray newline makes every true signature wrong.
//! 2. A secret is wiped from memory when its last clone is dropped, and shows itself to nobody: `Debug` is redacted, and
//!    there is no `Display`, no `Serialize` and no `==`.
//! 3. [`Secrets`] are the keys that are right at one time, for rotation without a gap. Each may have an end.
//! 4. A [`SecretSource`] names the secrets of a request. A constant source is keyed once, at start.
//!
//! What this module does not do: decode. Whether `whsec_…` is text or base64 is the scheme's knowledge.
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

pub use self::{cached::CachedSecrets, secret::Secret, secrets::Secrets, source::SecretSource};
