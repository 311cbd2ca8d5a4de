use std::{error::Error, fmt, str::FromStr};

use crate::error::RandomnessError;

/// The id of an endpoint: `ep_` and 128 random bits.
///
/// ```
/// use tower_webhooks::send::EndpointId;
///
/// let id = EndpointId::random()?;
/// assert_eq!(id.to_string().parse::<EndpointId>()?, id);
///
/// assert!("7".parse::<EndpointId>().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointId(u128);

impl EndpointId {
    /// The first and the last id, for ranges.
    #[cfg_attr(not(feature = "idempotency"), allow(dead_code))] // The store in memory has such ranges.
    pub(crate) const RANGE: (Self, Self) = (Self(0), Self(u128::MAX));

    /// Creates a random id.
    ///
    /// # Errors
    /// When the operating system has no randomness.
    pub fn random() -> Result<Self, RandomnessError> {
        let mut bytes = [0; 16];
        RandomnessError::fill(&mut bytes)?;
        Ok(Self(u128::from_be_bytes(bytes)))
    }
}

impl fmt::Display for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ep_{:032x}", self.0)
    }
}

impl fmt::Debug for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The id of a delivery in an outbox. Later deliveries have greater ids.
///
/// ```
/// use tower_webhooks::send::SentDeliveryId;
///
/// let id: SentDeliveryId = "dlv_7".parse()?;
/// assert_eq!((id.to_u64(), id.to_string()), (7, "dlv_7".to_owned()));
/// # Ok::<(), tower_webhooks::send::IdError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SentDeliveryId(u64);

impl SentDeliveryId {
    /// Creates an id from its number.
    pub fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// Returns the number of the id.
    pub fn to_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for SentDeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dlv_{}", self.0)
    }
}

impl fmt::Debug for SentDeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text is not an id of the expected kind.
///
/// ```
/// use tower_webhooks::send::EndpointId;
///
/// let error = "dlv_7".parse::<EndpointId>().unwrap_err();
/// assert_eq!(error.to_string(), "this is not an id of that kind");
/// ```
#[derive(Debug, Clone)]
pub struct IdError(pub(crate) ());

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this is not an id of that kind")
    }
}

impl Error for IdError {}

impl FromStr for EndpointId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let digits = text.strip_prefix("ep_").filter(|digits| {
            digits.len() == 32 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        });
        digits.and_then(|digits| u128::from_str_radix(digits, 16).ok()).map(Self).ok_or(IdError(()))
    }
}

impl FromStr for SentDeliveryId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let digits = text.strip_prefix("dlv_").filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        digits.and_then(|digits| digits.parse().ok()).map(Self).ok_or(IdError(()))
    }
}
