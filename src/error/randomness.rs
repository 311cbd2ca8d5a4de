use std::{error::Error, fmt};

/// The operating system returned no random bytes, so no id or token can be created. Its own error is the `source()`.
///
/// ```
/// use tower_webhooks::error::RandomnessError;
///
/// fn report(error: &RandomnessError) {
///     assert_eq!(error.to_string(), "the operating system returned no random bytes");
/// }
/// ```
#[derive(Debug, Clone)]
pub struct RandomnessError(getrandom::Error);

impl RandomnessError {
    /// Fills the bytes from the operating system's randomness.
    pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), Self> {
        getrandom::fill(bytes).map_err(Self)
    }
}

impl fmt::Display for RandomnessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the operating system returned no random bytes")
    }
}

impl Error for RandomnessError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}
