//! What the management API needs from a dispatcher.

use std::time::SystemTime;

use zeroize::Zeroizing;

use crate::send::{
    error::SendError,
    outbox::{dispatcher::Dispatcher, store::endpoint::Sealed},
};

impl Dispatcher {
    /// Seals an answer of the API that may show a secret, for as long as it is kept. `of` names the request, so that what was
    /// sealed for one cannot be put in the place of another.
    pub(crate) fn seal_answer(&self, of: &str, plain: &[u8]) -> Result<Sealed, SendError> {
        self.shared.sealer.seal_as(&format!("{SEALED_ANSWER} {of}"), plain)
    }

    /// Opens an answer of the API that was kept.
    pub(crate) fn open_answer(&self, of: &str, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, SendError> {
        self.shared.sealer.open_as(&format!("{SEALED_ANSWER} {of}"), sealed)
    }

    /// Returns the time.
    pub(crate) fn now(&self) -> SystemTime {
        self.shared.clock.now()
    }

    /// Returns how many rows a page of a list has at most.
    pub(crate) fn page(&self) -> u32 {
        self.shared.quotas.page
    }
}

/// The name under which answers of the API are sealed; no id of an endpoint looks like it.
const SEALED_ANSWER: &str = "answer of";
