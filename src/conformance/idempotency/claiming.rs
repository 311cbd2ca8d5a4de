//! Rules 1 and 2: who gets a claim.

use std::{sync::Arc, time::Duration};

use tokio::sync::Barrier;

use super::steps::{
    LEASE, PAST_LEASE, PAST_RETENTION, RACERS, Try, broken, check, failed, fingerprint, new_key, new_token,
};
use crate::{
    conformance::harness::Harness,
    error::StoreErrorKind,
    idempotency::{ClaimKey, ClaimOutcome, ClaimRequest, Fenced, IdempotencyStore},
};

// Rule 1: claims are atomic and never wait.

pub(super) async fn of_simultaneous_claims_one_wins<H: Harness>(harness: &H) {
    for _ in 0..4 {
        let key = new_key();
        let won = race(harness, key).await;
        check(won == [1], "rule 1", format!("{RACERS} simultaneous claims won attempts {won:?}, not [1]"));
    }
}

pub(super) async fn of_simultaneous_takeovers_one_wins<H: Harness>(harness: &H) {
    let t = Try::new(harness);
    t.acquires(new_token(), 1, "rule 1", "a fresh key").await;
    harness.advance(PAST_LEASE).await;

    let won = race(harness, t.key).await;

    check(won == [2], "rule 1", format!("{RACERS} simultaneous takeovers won attempts {won:?}, not [2]"));
}

/// Claims one key from many tasks at once, and returns the attempts that were won.
pub(super) async fn race<H: Harness>(harness: &H, key: ClaimKey) -> Vec<u32> {
    let barrier = Arc::new(Barrier::new(RACERS));
    let tasks: Vec<_> = (0..RACERS)
        .map(|_| {
            let (store, barrier) = (harness.store(), barrier.clone());
            tokio::spawn(async move {
                let claim = ClaimRequest::new(key, new_token(), LEASE, fingerprint());
                barrier.wait().await;
                store.claim(claim).await
            })
        })
        .collect();

    let mut won = Vec::new();
    for task in tasks {
        let answer = match task.await {
            Ok(answer) => answer,
            Err(panic) => broken("rule 1", format!("a claim panicked: {panic}")),
        };
        match answer {
            Ok(ClaimOutcome::Acquired { attempt }) => won.push(attempt),
            Ok(ClaimOutcome::InFlight { .. }) => {}
            Ok(done @ ClaimOutcome::Done { .. }) => {
                broken("rule 1", format!("nobody completed, yet a claim says {done:?}"))
            }
            // Losing a race for a lock is allowed; the winner is what counts.
            Err(error) if error.kind() == StoreErrorKind::Busy => {}
            Err(error) => failed("rule 1", "claim", &error),
        }
    }
    won
}

pub(super) async fn a_claim_in_flight_is_answered_at_once<H: Harness>(harness: &H) {
    let t = Try::new(harness);
    t.acquires(new_token(), 1, "rule 1", "a fresh key").await;

    let answer = tokio::time::timeout(Duration::from_secs(10), t.claim(new_token())).await;

    match answer {
        Ok(ClaimOutcome::InFlight { retry_after, fingerprint: held }) => {
            check(
                retry_after > LEASE / 2 && retry_after <= LEASE,
                "rule 1",
                format!("`retry_after` of a lease of {LEASE:?} just begun is {retry_after:?}"),
            );
            check(held == fingerprint(), "rule 1", format!("a claim in flight has the fingerprint {held:?}"));
        }
        Ok(other) => broken("rule 1", format!("a key in flight was answered with {other:?}")),
        Err(_) => broken("rule 1", "a claim waited for the owner of its key"),
    }
}

pub(super) async fn other_keys_are_other_records<H: Harness>(harness: &H) {
    let (one, other) = (Try::new(harness), Try::new(harness));
    let (first, second) = (new_token(), new_token());
    one.acquires(first, 1, "rule 1", "a fresh key").await;
    other.acquires(second, 1, "rule 1", "another fresh key").await;

    one.complete(first, Fenced::Applied, "rule 1", "its own claim").await;

    other.is_in_flight("rule 1", "another key was completed").await;
}

/// The replay guard is a second claim by the token of the first.
pub(super) async fn one_token_may_hold_several_keys<H: Harness>(harness: &H) {
    let tries = [(); 4].map(|()| Try::new(harness));
    let token = new_token();
    for t in &tries {
        t.acquires(token, 1, "rule 1", "a fresh key, with a token that holds another").await;
    }

    tries[0].renew(token, 4 * LEASE, Fenced::Applied, "rule 3", "its own claim").await;
    tries[1].complete(token, Fenced::Applied, "rule 3", "its own claim").await;
    tries[2].release(token, Fenced::Applied, "rule 3", "its own claim").await;

    tries[1].is_done_for_all("rule 1", "it was completed by a token that holds other keys").await;
    tries[2].acquires(new_token(), 2, "rule 1", "a key that was released by a token that holds other keys").await;
    harness.advance(PAST_LEASE).await;
    tries[0].is_in_flight("rule 1", "its lease was renewed by a token that holds other keys").await;
    tries[3].acquires(new_token(), 2, "rule 1", "a passed lease of a token that renewed another key").await;
}

// Rule 2: the result of a claim.

pub(super) async fn a_passed_lease_is_taken_over<H: Harness>(harness: &H) {
    let t = Try::new(harness);
    t.acquires(new_token(), 1, "rule 2", "a fresh key").await;

    harness.advance(PAST_LEASE).await;
    t.acquires(new_token(), 2, "rule 2", "a passed lease").await;
    t.is_in_flight("rule 2", "a passed lease was taken over").await;

    harness.advance(PAST_LEASE).await;
    t.acquires(new_token(), 3, "rule 2", "a lease passed twice").await;
}

pub(super) async fn a_released_claim_is_taken_at_once<H: Harness>(harness: &H) {
    let t = Try::new(harness);
    let first = new_token();
    t.acquires(first, 1, "rule 2", "a fresh key").await;

    t.release(first, Fenced::Applied, "rule 2", "its own claim").await;
    t.acquires(new_token(), 2, "rule 2", "a released claim").await;
    t.is_in_flight("rule 2", "a released claim was taken").await;
}

pub(super) async fn an_expired_done_record_is_no_record<H: Harness>(harness: &H) {
    let t = Try::new(harness);
    let (first, second) = (new_token(), new_token());
    t.acquires(first, 1, "rule 2", "a fresh key").await;
    t.release(first, Fenced::Applied, "rule 2", "its own claim").await;
    t.acquires(second, 2, "rule 2", "a released claim").await;
    t.complete(second, Fenced::Applied, "rule 2", "its own claim").await;

    harness.advance(PAST_LEASE).await;
    t.is_done_for_all("rule 2", "its lease, but not its retention, has passed").await;

    harness.advance(PAST_RETENTION).await;
    t.is_done(second, Fenced::Stale, "rule 4", "it has expired").await;
    t.complete(second, Fenced::Stale, "rule 4", "an expired record").await;
    t.acquires(new_token(), 1, "rule 2", "an expired record").await;
}

pub(super) async fn a_release_keeps_the_attempt_count<H: Harness>(harness: &H) {
    let t = Try::new(harness);
    let first = new_token();
    t.acquires(first, 1, "rule 2", "a fresh key").await;
    t.release(first, Fenced::Applied, "rule 2", "its own claim").await;

    harness.advance(PAST_LEASE).await;

    t.acquires(new_token(), 2, "rule 2", "a claim released long ago").await;
}
