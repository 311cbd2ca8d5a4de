//! A store that counts the calls of another one, and can make them fail.

use std::{
    any::Any,
    collections::HashMap,
    future::pending,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tower_webhooks::{
    boxed::BoxFuture,
    error::{StoreError, StoreErrorKind},
    idempotency::{ClaimKey, ClaimOutcome, ClaimRequest, ClaimToken, Completion, Fenced, IdempotencyStore},
};

/// The calls of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Call {
    Claim,
    Complete,
    CompleteIn,
    IsDone,
    Purge,
    Release,
    Renew,
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The call takes effect, but its caller gets an error.
    After,
    /// It has not taken effect.
    Before,
    /// It never answers.
    Hang,
}

/// Wraps a store, counts its calls, and lets some fail. Clones share the counts and the faults.
#[derive(Debug, Clone)]
pub(crate) struct Watched<S> {
    inner: S,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    calls: HashMap<Call, u32>,
    /// How, after how many calls, and how many of them.
    failures: HashMap<Call, (Failure, usize, u32)>,
}

impl<S> Watched<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self { inner, seen: Arc::default() }
    }

    /// Lets the next `times` calls of this kind fail.
    pub(crate) fn fail(&self, call: Call, failure: Failure, times: u32) {
        self.fail_after(call, 0, failure, times);
    }

    /// Lets `times` calls of this kind fail, after so many `successes`.
    pub(crate) fn fail_after(&self, call: Call, successes: usize, failure: Failure, times: u32) {
        self.seen().failures.insert(call, (failure, successes, times));
    }

    /// The store itself, which counts nothing and fails as it likes.
    pub(crate) fn inner(&self) -> &S {
        &self.inner
    }

    /// Lets everything succeed again.
    pub(crate) fn heal(&self) {
        self.seen().failures.clear();
    }

    /// How often the store was asked, in all, since the last time this was asked. Tidying up does not count.
    pub(crate) fn take_calls(&self) -> u32 {
        let mut seen = self.seen();
        seen.calls.remove(&Call::Purge);
        seen.calls.drain().map(|(_, calls)| calls).sum()
    }

    /// How often the store was asked this.
    pub(crate) fn calls(&self, call: Call) -> u32 {
        self.seen().calls.get(&call).copied().unwrap_or_default()
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, call: Call) -> Option<Failure> {
        let mut seen = self.seen();
        *seen.calls.entry(call).or_default() += 1;
        let (failure, successes, left) = seen.failures.get_mut(&call)?;
        if *successes > 0 {
            *successes -= 1;
            return None;
        }
        if *left == 0 {
            return None;
        }
        *left -= 1;
        Some(*failure)
    }

    fn watch<'a, T: Send + 'a>(
        &self,
        call: Call,
        answer: BoxFuture<'a, Result<T, StoreError>>,
    ) -> BoxFuture<'a, Result<T, StoreError>> {
        let failed = || StoreError::new(StoreErrorKind::Unavailable, "fail on purpose");
        match self.note(call) {
            None => answer,
            Some(Failure::After) => Box::pin(async move { answer.await.and(Err(failed())) }),
            Some(Failure::Before) => Box::pin(async move { Err(failed()) }),
            Some(Failure::Hang) => Box::pin(pending()),
        }
    }
}

#[deny(clippy::missing_trait_methods)]
impl<S: IdempotencyStore> IdempotencyStore for Watched<S> {
    fn application(&self) -> Option<&str> {
        self.inner.application()
    }

    /// Tidying up, which does not count.
    fn introduce<'a>(&'a self, key: ClaimKey, program: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        self.inner.introduce(key, program)
    }

    fn claim(&self, claim: ClaimRequest) -> BoxFuture<'_, Result<ClaimOutcome, StoreError>> {
        self.watch(Call::Claim, self.inner.claim(claim))
    }

    fn complete(
        &self,
        key: ClaimKey,
        token: ClaimToken,
        completion: Completion,
    ) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.watch(Call::Complete, self.inner.complete(key, token, completion))
    }

    fn release(&self, key: ClaimKey, token: ClaimToken) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.watch(Call::Release, self.inner.release(key, token))
    }

    fn renew(&self, key: ClaimKey, token: ClaimToken, lease: Duration) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.watch(Call::Renew, self.inner.renew(key, token, lease))
    }

    fn is_done(&self, key: ClaimKey, token: ClaimToken) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.watch(Call::IsDone, self.inner.is_done(key, token))
    }

    fn complete_in<'a>(
        &'a self,
        connection: &'a mut (dyn Any + Send),
        key: ClaimKey,
        token: ClaimToken,
        completion: Completion,
    ) -> BoxFuture<'a, Result<Fenced, StoreError>> {
        self.watch(Call::CompleteIn, self.inner.complete_in(connection, key, token, completion))
    }

    fn purge(&self, limit: u32) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.watch(Call::Purge, self.inner.purge(limit))
    }
}
