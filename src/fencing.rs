//! What claims and leases have in common: a token that says who holds one, and whether a write came from its holder.

/// Whether a call came from who holds the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[must_use = "a stale call changed nothing"]
#[allow(clippy::exhaustive_enums)] // A record has this owner or another; there is no third.
pub enum Fenced {
    /// The record was the caller's, and is now as asked.
    Applied,
    /// The record is somebody else's, or in a state that the call does not apply to. Nothing changed.
    Stale,
}

/// A type of token: random, new for every holder, so that one whose time has passed changes nothing. Each use has a type of
/// its own, so that one cannot be taken for the other.
macro_rules! token {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
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

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({:032x})", stringify!($name), u128::from_be_bytes(self.0))
            }
        }
    };
}

pub(crate) use token;
