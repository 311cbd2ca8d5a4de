use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::Response;

use super::budget::Budget;
use crate::{
    clock::Clock,
    drain::Bounds,
    error::{ConfigError, ConfigErrorKind, VerifyError},
    observe::{self, Meter},
    scheme::{KeyRing, Scheme},
    secret::{SecretSource, Secrets},
};

/// The settings of a layer, as its services need them.
#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) scheme: Scheme,
    pub(super) secrets: Keyring,
    pub(super) body_limit: usize,
    pub(super) body_timeout: Duration,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) rejection: Option<Arc<RejectionResponse>>,
    pub(super) budget: Option<Arc<Budget>>,
    pub(super) verification: Verification,
    pub(super) meter: Meter,
    /// Whether a short secret has been warned of. Clones share it.
    pub(super) warned_of_short: Arc<AtomicBool>,
    #[cfg(feature = "remote-keys")]
    pub(super) confirmation: Option<crate::keys::SnsConfirmation>,
}

/// The source of a request's keys.
#[derive(Clone)]
pub(super) enum Keyring {
    Fixed(Arc<KeyRing>),
    Source(Arc<dyn SecretSource>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verification {
    Off,
    On,
}

pub(super) type RejectionResponse = dyn Fn(&VerifyError) -> Response<Bytes> + Send + Sync;

impl Config {
    /// Returns how much is read of a body that is answered without it.
    pub(super) fn drain(&self) -> Bounds {
        Bounds::new(self.body_limit, self.body_timeout)
    }

    /// Keys the secrets that a source returned for one request.
    pub(super) fn ring(&self, secrets: &Secrets) -> Result<Arc<KeyRing>, VerifyError> {
        if let Some(unknown) = secrets.unknown() {
            return Ok(Arc::new(self.scheme.decoy_ring(unknown)));
        }
        if secrets.is_empty() {
            let cause = ConfigError::new(ConfigErrorKind::Secret, "the source of secrets has none for this request");
            return Err(self.scheme.unusable(secrets, cause));
        }
        let ring = self.scheme.key_ring(secrets.clone()).map_err(|cause| self.scheme.unusable(secrets, cause))?;
        if ring.has_short() && !self.warned_of_short.swap(true, Ordering::Relaxed) {
            observe::short_secret(self.scheme.name());
        }
        Ok(Arc::new(ring))
    }
}
