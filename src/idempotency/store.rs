use std::{any::Any, sync::Arc, time::Duration};

use bytes::Bytes;

use super::key::{ClaimKey, ClaimToken, Fingerprint};
use crate::{
    boxed::BoxFuture,
    error::{StoreError, StoreErrorKind},
    fencing::Fenced,
};

/// Remembers which deliveries are being handled and which are done.
///
/// # The contract
/// A key has no record, or one record in one of three states:
///
/// | state | holds | how it ends |
/// |---|---|---|
/// | pending | token, attempt, fingerprint, lease end | completed, released, or its lease passes |
/// | released | token, attempt, fingerprint | claimed again at once, with the next attempt |
/// | done | token, attempt, fingerprint, stored response, expiry | expires; from then on it counts as no record |
///
/// 1. [`claim`](Self::claim) is atomic: of any number of simultaneous claims of one key at most one is
///    [`Acquired`](ClaimOutcome::Acquired). It never waits for another owner: not for a lease, not for a row lock.
/// 2. A pending record whose lease has passed and a released one are claimed with `attempt + 1` and the new token and
///    fingerprint. A key without a record, or whose done record has expired, is claimed with attempt 1.
/// 3. [`complete`](Self::complete), [`release`](Self::release) and [`renew`](Self::renew) act only on the record whose
///    token is theirs (fencing); a passed lease alone does not take the record from its owner, only the next claim does.
///    Otherwise they change nothing and say [`Stale`](Fenced::Stale).
/// 4. Each is idempotent per token: `complete` of a record done by the same token, and `release` of one released by it, is
///    [`Applied`](Fenced::Applied). `renew` and `release` of a done record, and `complete` and `renew` of a released one,
///    are `Stale`. `release` never turns done into anything else. An expired done record is no record here too (`Stale`,
///    as after a purge), and completing a second time prolongs nothing.
/// 5. Time is the store's: one clock for all who share it, never the caller's.
/// 6. A method that returned an error may or may not have taken effect; calling it again with the same token is safe. That
///    holds for `claim` too: claimed again with the token that already holds the key, it is `Acquired` with the same
///    attempt and a new lease.
/// 7. A pending record is never dropped before its lease has passed, however full the store is.
/// 8. A dropped future leaves no lock and no open transaction behind.
///
/// Whose claims they are is not for the store to tell apart: the name of the [`application`](Self::application) is in the keys.
///
/// Run `conformance::idempotency`, of the feature `conformance`, against an implementation.
pub trait IdempotencyStore: Send + Sync + 'static {
    /// The name of the application that claims here, if it was given one. Whoever makes a key puts it into that
    /// ([`ClaimKey::of_application`]), so that applications with one store and routes of the same name do not take each
    /// other's deliveries for done. It never changes.
    fn application(&self) -> Option<&str> {
        None
    }

    /// Notes that `program` claims the deliveries of one consumer, which `key` stands for, and returns the name of another
    /// program that has noted the same within the last day. Two applications without names are found out so.
    ///
    /// A store of one process needs none of it: by default nothing is noted.
    ///
    /// # Errors
    /// When the store cannot be asked. Nothing depends on it.
    fn introduce<'a>(&'a self, key: ClaimKey, program: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        let _ = (key, program);
        Box::pin(std::future::ready(Ok(None)))
    }

    /// Claims a delivery for the holder of `claim.token`.
    ///
    /// # Errors
    /// When the store cannot be asked; the delivery is then not run.
    fn claim(&self, claim: ClaimRequest) -> BoxFuture<'_, Result<ClaimOutcome, StoreError>>;

    /// Marks a claimed delivery as done.
    ///
    /// # Errors
    /// When the store cannot be asked; whether the mark was made is unknown.
    fn complete(
        &self,
        key: ClaimKey,
        token: ClaimToken,
        completion: Completion,
    ) -> BoxFuture<'_, Result<Fenced, StoreError>>;

    /// Gives a claimed delivery back, so that it can be claimed again at once.
    ///
    /// # Errors
    /// When the store cannot be asked; the claim then ends with its lease at the latest.
    fn release(&self, key: ClaimKey, token: ClaimToken) -> BoxFuture<'_, Result<Fenced, StoreError>>;

    /// Extends the lease of a pending claim to `lease` from now.
    ///
    /// # Errors
    /// When the store cannot be asked; the old lease then holds.
    fn renew(&self, key: ClaimKey, token: ClaimToken, lease: Duration) -> BoxFuture<'_, Result<Fenced, StoreError>>;

    /// Reads whether a delivery is done, by the owner `token`: the check after a
    /// [`complete_in`](Self::complete_in) whose commit was left to the application.
    ///
    /// [`Applied`](Fenced::Applied) when the record is done by this token, else [`Stale`](Fenced::Stale).
    ///
    /// # Errors
    /// When the store cannot be asked.
    fn is_done(&self, key: ClaimKey, token: ClaimToken) -> BoxFuture<'_, Result<Fenced, StoreError>>;

    /// Marks a claimed delivery as done inside the application's transaction: `connection` is what
    /// [`StoreTransaction::connection`](crate::transaction::StoreTransaction::connection) lends.
    ///
    /// # Errors
    /// [`WrongTransaction`](StoreErrorKind::WrongTransaction) when the connection is not of this store's database, which is
    /// the answer of every store that has no transactions; otherwise as [`complete`](Self::complete).
    fn complete_in<'a>(
        &'a self,
        connection: &'a mut (dyn Any + Send),
        key: ClaimKey,
        token: ClaimToken,
        completion: Completion,
    ) -> BoxFuture<'a, Result<Fenced, StoreError>> {
        let _ = (connection, key, token, completion);
        Box::pin(std::future::ready(Err(StoreError::new(
            StoreErrorKind::WrongTransaction,
            "this store has no transactions to join",
        ))))
    }

    /// Removes up to `limit` records that nobody needs any more, and tells how many: done ones past their expiry, pending
    /// and released ones that have been free for [`ABANDONED_AFTER`].
    ///
    /// # Errors
    /// When the store cannot be asked.
    fn purge(&self, limit: u32) -> BoxFuture<'_, Result<u64, StoreError>>;
}

/// How long a record that is free to be claimed is kept for its attempt count before [`IdempotencyStore::purge`] may
/// remove it: 7 days, the default retention of a done one.
pub const ABANDONED_AFTER: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What [`IdempotencyStore::claim`] is asked.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct ClaimRequest {
    /// What the delivery is known by.
    pub key: ClaimKey,
    /// Who claims it.
    pub token: ClaimToken,
    /// How long the claim holds without [`renew`](IdempotencyStore::renew). Whole milliseconds count.
    pub lease: Duration,
    /// What the body looks like.
    pub fingerprint: Fingerprint,
}

impl ClaimRequest {
    /// Puts a request together.
    pub fn new(key: ClaimKey, token: ClaimToken, lease: Duration, fingerprint: Fingerprint) -> Self {
        Self { key, token, lease, fingerprint }
    }
}

/// What became of a claim.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ClaimOutcome {
    /// The claim is the caller's.
    Acquired {
        /// Which run of this delivery this is, from 1.
        attempt: u32,
    },
    /// The delivery is done.
    Done {
        /// The fingerprint of the body that was handled.
        fingerprint: Fingerprint,
        /// The response that was kept with it, if one was.
        response: Option<Arc<StoredResponse>>,
    },
    /// Somebody else is handling it.
    InFlight {
        /// When to ask again, at the latest: the rest of the lease.
        retry_after: Duration,
        /// The fingerprint of the body being handled.
        fingerprint: Fingerprint,
    },
}

/// What [`IdempotencyStore::complete`] records.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Completion {
    /// How long the delivery counts as done, from now. Whole milliseconds count.
    pub retention: Duration,
    /// The response to answer duplicates with, where the application chose that.
    pub response: Option<Arc<StoredResponse>>,
}

impl Completion {
    /// Creates a completion without a stored response.
    pub fn new(retention: Duration) -> Self {
        Self { retention, response: None }
    }

    /// Keeps `response` for duplicates.
    #[must_use]
    pub fn response(mut self, response: Arc<StoredResponse>) -> Self {
        self.response = Some(response);
        self
    }
}

/// A response kept for duplicates: status, `Content-Type` and body.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredResponse {
    /// The status code.
    pub status: u16,
    /// The value of `Content-Type`, if it had one.
    pub content_type: Option<String>,
    /// The body.
    pub body: Bytes,
}

impl StoredResponse {
    /// Puts a stored response together.
    pub fn new(status: u16, content_type: Option<String>, body: Bytes) -> Self {
        Self { status, content_type, body }
    }
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        #[deny(clippy::missing_trait_methods)]
        impl<T: IdempotencyStore + ?Sized> IdempotencyStore for $pointer {
            fn application(&self) -> Option<&str> {
                (**self).application()
            }

            fn introduce<'a>(
                &'a self,
                key: ClaimKey,
                program: &'a str,
            ) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
                (**self).introduce(key, program)
            }

            fn claim(&self, claim: ClaimRequest) -> BoxFuture<'_, Result<ClaimOutcome, StoreError>> {
                (**self).claim(claim)
            }

            fn complete(
                &self,
                key: ClaimKey,
                token: ClaimToken,
                completion: Completion,
            ) -> BoxFuture<'_, Result<Fenced, StoreError>> {
                (**self).complete(key, token, completion)
            }

            fn release(&self, key: ClaimKey, token: ClaimToken) -> BoxFuture<'_, Result<Fenced, StoreError>> {
                (**self).release(key, token)
            }

            fn renew(
                &self,
                key: ClaimKey,
                token: ClaimToken,
                lease: Duration,
            ) -> BoxFuture<'_, Result<Fenced, StoreError>> {
                (**self).renew(key, token, lease)
            }

            fn is_done(&self, key: ClaimKey, token: ClaimToken) -> BoxFuture<'_, Result<Fenced, StoreError>> {
                (**self).is_done(key, token)
            }

            fn complete_in<'a>(
                &'a self,
                connection: &'a mut (dyn Any + Send),
                key: ClaimKey,
                token: ClaimToken,
                completion: Completion,
            ) -> BoxFuture<'a, Result<Fenced, StoreError>> {
                (**self).complete_in(connection, key, token, completion)
            }

            fn purge(&self, limit: u32) -> BoxFuture<'_, Result<u64, StoreError>> {
                (**self).purge(limit)
            }
        }
    )*};
}

forward!(Arc<T>, Box<T>);
