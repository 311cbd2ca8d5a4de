//! Tokens of claims and leases, which identify the holder, and the result of a call that depends on the holder.

/// Whether a call came from the holder of the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[must_use = "a stale call changed nothing"]
#[allow(clippy::exhaustive_enums)] // The caller is the holder or not; there is no third case.
pub enum Fenced {
    /// The caller holds the record, and the change was made.
    Applied,
    /// Another caller holds the record, or the call does not apply to its state. Nothing changed.
    Stale,
}

/// Defines a type of token. A token is random and new for every holder, so that a former holder cannot change the
/// record. Each use has its own type, so that two kinds of token cannot be confused.
macro_rules! token {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// Creates a random token from the operating system's randomness.
            ///
            /// # Errors
            /// If the operating system cannot provide randomness.
            pub fn random() -> Result<Self, getrandom::Error> {
                let mut bytes = [0; 16];
                getrandom::fill(&mut bytes)?;
                Ok(Self(bytes))
            }

            /// Restores a token from its bytes.
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// Returns the token's bytes.
            pub fn to_bytes(self) -> [u8; 16] {
                self.0
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({:032x})", stringify!($name), u128::from_be_bytes(self.0))
            }
        }
    };
}

pub(crate) use token;
