//! Once: idempotency that holds under crashes and races.

mod key;
mod store;

pub use self::{
    key::{ClaimKey, ClaimToken, Fingerprint},
    store::{ABANDONED_AFTER, ClaimOutcome, ClaimRequest, Completion, Fenced, IdempotencyStore, StoredResponse},
};
