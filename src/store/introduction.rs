//! Which program claims in a store that several programs can reach. It is kept as one more record of the store, so it
//! needs no table, permission or command beyond those that claims need.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use crate::{
    error::StoreError,
    idempotency::{
        ClaimKey, ClaimOutcome, ClaimRequest, ClaimToken, Completion, Fingerprint, IdempotencyStore, StoredResponse,
    },
};

/// Does [`IdempotencyStore::introduce`] by a claim of `key` that is done at once, with the program's name as its response.
pub(super) async fn introduce(
    store: &impl IdempotencyStore,
    key: ClaimKey,
    program: &str,
) -> Result<Option<String>, StoreError> {
    // Without randomness there are no claims either, and a claim reports that.
    let Ok(token) = ClaimToken::random() else { return Ok(None) };
    let claim = ClaimRequest::new(key, token, LEASE, Fingerprint::of(program.as_bytes()));
    match store.claim(claim).await? {
        ClaimOutcome::Acquired { .. } => {
            let name = StoredResponse::new(200, None, Bytes::copy_from_slice(program.as_bytes()));
            let _ = store.complete(key, token, Completion::new(REMEMBERED).response(Arc::new(name))).await?;
            Ok(None)
        }
        ClaimOutcome::Done { response: Some(name), .. } => {
            let other = String::from_utf8_lossy(&name.body);
            Ok((other != program).then(|| other.into_owned()))
        }
        // Another process is introducing itself at this moment. The next look shows its name.
        ClaimOutcome::Done { .. } | ClaimOutcome::InFlight { .. } => Ok(None),
    }
}

const LEASE: Duration = Duration::from_secs(10);

/// If a program got another name with its last deployment, the warning is repeated for no longer than this.
const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);
