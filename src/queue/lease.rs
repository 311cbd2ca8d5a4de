use std::fmt;

/// Who holds a lease: random, new for every lease, so that a worker whose lease has ended changes nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaseToken([u8; 16]);

impl LeaseToken {
    /// Draws a new token from the operating system.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// Restores a token from its bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Tells the token's bytes.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Debug for LeaseToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LeaseToken({:032x})", u128::from_be_bytes(self.0))
    }
}

/// Whether a worker still held the lease of what it wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[must_use = "a stale call changed nothing"]
#[allow(clippy::exhaustive_enums)] // The lease is this worker's or it is not; there is no third.
pub enum Fenced {
    /// It did, and the job is now as asked.
    Applied,
    /// It did not. Nothing changed.
    Stale,
}
