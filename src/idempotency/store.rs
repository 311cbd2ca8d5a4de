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
///    token they have (fencing); the end of a lease does not take the record from its owner, only the next claim does.
///    Otherwise they change nothing and say [`Stale`](Fenced::Stale).
/// 4. Each is idempotent per token: `complete` of a record done by the same token, and `release` of one released by it,
///    is [`Applied`](Fenced::Applied). `renew` and `release` of a done record, and `complete` and `renew` of a released
///    one, are `Stale`. `release` never turns done into anything else. An expired done record counts as no record here
///    too (`Stale`, as after a purge), and completing a second time prolongs nothing.
/// 5. Time is the store's: one clock for all who share it, never the caller's.
/// 6. A method that returned an error may or may not have taken effect; calling it again with the same token is safe. That
///    holds for `claim` too: claimed again with the token that already holds the key, it is `Acquired` with the same
///    attempt and a new lease.
/// 7. A pending record is never dropped before its lease has passed, however full the store is.
/// 8. A dropped future leaves no lock and no open transaction behind.
///
/// The store does not have to distinguish applications: the name of the [`application`](Self::application) is in the
/// keys.
///
/// Test an implementation with `conformance::idempotency`, of the feature `conformance`.
pub trait IdempotencyStore: Send + Sync + 'static {
    /// Returns the name of the application that claims here, if one was set. It is part of every key
    /// ([`ClaimKey::of_application`]), so that applications with one store and routes of the same name do not treat
    /// each other's deliveries as done. It never changes.
    fn application(&self) -> Option<&str> {
        None
    }

    /// Records that `program` claims the deliveries of one consumer, which `key` identifies, and returns the name of
    /// another program that has recorded the same within the last day. This detects two applications without names.
    ///
    /// A store for one process does not need this: by default nothing is recorded.
    ///
    /// # Errors
    /// If the store cannot be reached. The caller only skips the warning then.
    fn introduce<'a>(&'a self, key: ClaimKey, program: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        let _ = (key, program);
        Box::pin(std::future::ready(Ok(None)))
    }

    /// Claims a delivery for the owner of `claim.token`.
    ///
    /// # Errors
    /// If the store cannot be reached; the delivery then does not run.
    fn claim(&self, claim: ClaimRequest) -> BoxFuture<'_, Result<ClaimOutcome, StoreError>>;

    /// Marks a claimed delivery as done.
    ///
    /// # Errors
    /// If the store cannot be reached; it is then unknown whether the delivery was marked.
    fn complete(
        &self,
        key: ClaimKey,
        token: ClaimToken,
        completion: Completion,
    ) -> BoxFuture<'_, Result<Fenced, StoreError>>;

    /// Releases a claimed delivery, so that it can be claimed again at once.
    ///
    /// # Errors
    /// If the store cannot be reached; the claim then ends with its lease at the latest.
    fn release(&self, key: ClaimKey, token: ClaimToken) -> BoxFuture<'_, Result<Fenced, StoreError>>;

    /// Extends the lease of a pending claim to `lease` from now.
    ///
    /// # Errors
    /// If the store cannot be reached; the old lease then continues.
    fn renew(&self, key: ClaimKey, token: ClaimToken, lease: Duration) -> BoxFuture<'_, Result<Fenced, StoreError>>;

    /// Reads whether a delivery is done, by the owner `token`: the check after a
    /// [`complete_in`](Self::complete_in) whose commit was left to the application.
    ///
    /// Returns [`Applied`](Fenced::Applied) if the record is done by this token, otherwise [`Stale`](Fenced::Stale).
    ///
    /// # Errors
    /// When the store cannot be asked.
    fn is_done(&self, key: ClaimKey, token: ClaimToken) -> BoxFuture<'_, Result<Fenced, StoreError>>;

    /// Marks a claimed delivery as done in the application's transaction; `connection` comes from
    /// [`StoreTransaction::connection`](crate::transaction::StoreTransaction::connection).
    ///
    /// # Errors
    /// [`WrongTransaction`](StoreErrorKind::WrongTransaction) if the connection does not belong to this store's kind of
    /// database; a store without transactions always returns it. Otherwise the errors of [`complete`](Self::complete).
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

    /// Removes up to `limit` records that are not needed any more, and returns how many: done records after their
    /// expiry, and pending and released ones that have been free for [`ABANDONED_AFTER`].
    ///
    /// # Errors
    /// When the store cannot be asked.
    fn purge(&self, limit: u32) -> BoxFuture<'_, Result<u64, StoreError>>;
}

/// How long a record that can be claimed is kept for its attempt count before [`IdempotencyStore::purge`] may remove
/// it: 7 days, like the default retention of a completed delivery.
pub const ABANDONED_AFTER: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The argument of [`IdempotencyStore::claim`].
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct ClaimRequest {
    /// The key of the delivery.
    pub key: ClaimKey,
    /// The token of the new owner.
    pub token: ClaimToken,
    /// How long the claim holds without [`renew`](IdempotencyStore::renew). Whole milliseconds count.
    pub lease: Duration,
    /// The fingerprint of the body.
    pub fingerprint: Fingerprint,
}

impl ClaimRequest {
    /// Creates a request.
    pub fn new(key: ClaimKey, token: ClaimToken, lease: Duration, fingerprint: Fingerprint) -> Self {
        Self { key, token, lease, fingerprint }
    }
}

/// The result of a claim.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ClaimOutcome {
    /// The caller owns the claim.
    Acquired {
        /// The number of this run of the delivery, from 1.
        attempt: u32,
    },
    /// The delivery is done.
    Done {
        /// The fingerprint of the body that was handled.
        fingerprint: Fingerprint,
        /// The stored response, if there is one.
        response: Option<Arc<StoredResponse>>,
    },
    /// Another owner is handling the delivery.
    InFlight {
        /// When to try again at the latest: the rest of the lease.
        retry_after: Duration,
        /// The fingerprint of the body being handled.
        fingerprint: Fingerprint,
    },
}

/// The argument of [`IdempotencyStore::complete`].
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use axum::body::Bytes;
/// use tower_webhooks::idempotency::{Completion, StoredResponse};
///
/// let response = StoredResponse::new(204, None, Bytes::new());
/// // Copies that arrive within a day get this response.
/// let completion = Completion::new(Duration::from_secs(24 * 60 * 60)).response(Arc::new(response));
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Completion {
    /// How long the delivery counts as done, from now. Whole milliseconds count.
    pub retention: Duration,
    /// The response for duplicates, if the application stores responses.
    pub response: Option<Arc<StoredResponse>>,
}

impl Completion {
    /// Creates a completion without a stored response.
    pub fn new(retention: Duration) -> Self {
        Self { retention, response: None }
    }

    /// Sets the response for duplicates.
    #[must_use]
    pub fn response(mut self, response: Arc<StoredResponse>) -> Self {
        self.response = Some(response);
        self
    }
}

/// A stored response for duplicates: status, `Content-Type` and body.
///
/// ```
/// use axum::body::Bytes;
/// use tower_webhooks::idempotency::StoredResponse;
///
/// let response = StoredResponse::new(201, Some("application/json".to_owned()), Bytes::from_static(b"{}"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredResponse {
    /// The status code.
    pub status: u16,
    /// The value of `Content-Type`, if the response had one.
    pub content_type: Option<String>,
    /// The body.
    pub body: Bytes,
}

impl StoredResponse {
    /// Creates a stored response.
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
