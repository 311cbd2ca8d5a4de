//! One key and the calls on it.

use std::{sync::Arc, time::Duration};

use crate::{
    conformance::harness::Harness,
    error::StoreError,
    idempotency::{
        ClaimKey, ClaimOutcome, ClaimRequest, ClaimToken, Completion, Fenced, Fingerprint, IdempotencyStore,
        StoredResponse,
    },
};

pub(super) struct Try<S> {
    pub(super) store: Arc<S>,
    pub(super) key: ClaimKey,
}

impl<S: IdempotencyStore> Try<S> {
    pub(super) fn new<H: Harness<Store = S>>(harness: &H) -> Self {
        Self { store: harness.store(), key: new_key() }
    }

    pub(super) async fn claim(&self, token: ClaimToken) -> ClaimOutcome {
        let claim = ClaimRequest::new(self.key, token, LEASE, fingerprint());
        answered("rule 1", "claim", self.store.claim(claim).await)
    }

    pub(super) async fn acquires(&self, token: ClaimToken, expected: u32, rule: &str, what: &str) {
        match self.claim(token).await {
            ClaimOutcome::Acquired { attempt } if attempt == expected => {}
            other => broken(rule, format!("a claim of {what} must be attempt {expected}, and is {other:?}")),
        }
    }

    pub(super) async fn is_in_flight(&self, rule: &str, why: &str) {
        match self.claim(new_token()).await {
            ClaimOutcome::InFlight { .. } => {}
            other => broken(rule, format!("the key must be in flight ({why}), and is {other:?}")),
        }
    }

    pub(super) async fn is_done_for_all(&self, rule: &str, why: &str) {
        check_done(&self.claim(new_token()).await, None, rule, why);
    }

    pub(super) async fn complete(&self, token: ClaimToken, expected: Fenced, rule: &str, what: &str) {
        let answer = self.store.complete(self.key, token, Completion::new(RETENTION)).await;
        check_fenced(answer, expected, rule, "complete", what);
    }

    pub(super) async fn release(&self, token: ClaimToken, expected: Fenced, rule: &str, what: &str) {
        check_fenced(self.store.release(self.key, token).await, expected, rule, "release", what);
    }

    pub(super) async fn renew(&self, token: ClaimToken, lease: Duration, expected: Fenced, rule: &str, what: &str) {
        check_fenced(self.store.renew(self.key, token, lease).await, expected, rule, "renew", what);
    }

    pub(super) async fn is_done(&self, token: ClaimToken, expected: Fenced, rule: &str, why: &str) {
        let answer = answered(rule, "is_done", self.store.is_done(self.key, token).await);
        check(answer == expected, rule, format!("`is_done` must be {expected:?} ({why}), and is {answer:?}"));
    }
}

pub(super) fn check_done(outcome: &ClaimOutcome, expected: Option<&StoredResponse>, rule: &str, why: &str) {
    match outcome {
        ClaimOutcome::Done { fingerprint: of, response } if *of == fingerprint() && response.as_deref() == expected => {
        }
        other => broken(rule, format!("the key must be done with the response {expected:?} ({why}), and is {other:?}")),
    }
}

pub(super) fn check_fenced(answer: Result<Fenced, StoreError>, expected: Fenced, rule: &str, call: &str, what: &str) {
    let answer = answered(rule, call, answer);
    check(answer == expected, rule, format!("`{call}` of {what} must be {expected:?}, and is {answer:?}"));
}

pub(super) fn answered<T>(rule: &str, call: &str, answer: Result<T, StoreError>) -> T {
    match answer {
        Ok(answer) => answer,
        Err(error) => failed(rule, call, &error),
    }
}

#[track_caller]
pub(super) fn check(holds: bool, rule: &str, message: impl AsRef<str>) {
    if !holds {
        broken(rule, message);
    }
}

#[track_caller]
pub(super) fn failed(rule: &str, call: &str, error: &StoreError) -> ! {
    panic!("{rule}: `{call}` failed: {error} ({error:?})")
}

#[track_caller]
pub(super) fn broken(rule: &str, message: impl AsRef<str>) -> ! {
    panic!("{rule}: {}", message.as_ref())
}

pub(super) fn new_key() -> ClaimKey {
    ClaimKey::from_bytes(new_token().to_bytes())
}

pub(super) fn new_token() -> ClaimToken {
    match ClaimToken::random() {
        Ok(token) => token,
        Err(error) => panic!("the operating system has no randomness to give: {error}"),
    }
}

pub(super) fn fingerprint() -> Fingerprint {
    Fingerprint::of(b"the body")
}

pub(super) const LEASE: Duration = Duration::from_secs(60 * 60);
pub(super) const RETENTION: Duration = Duration::from_secs(24 * 60 * 60);
/// Long after a lease has passed, however slow the test machine is.
pub(super) const PAST_LEASE: Duration = Duration::from_secs(2 * 60 * 60);
pub(super) const PAST_RETENTION: Duration = Duration::from_secs(25 * 60 * 60);
pub(super) const RACERS: usize = 32;
