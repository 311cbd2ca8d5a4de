use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::Barrier;

use super::harness::{Harness, Purge};
use crate::{
    error::{StoreError, StoreErrorKind},
    idempotency::{
        ABANDONED_AFTER, ClaimKey, ClaimOutcome, ClaimRequest, ClaimToken, Completion, Fenced, Fingerprint,
        IdempotencyStore, StoredResponse,
    },
};

/// Checks a store against every numbered rule of the contract of [`IdempotencyStore`].
///
/// # Panics
/// When a rule is broken; the message begins with its number.
///
/// # Examples
/// ```
/// # #[tokio::main]
/// # async fn main() {
/// use tower_webhooks::{clock::ClockOffset, conformance, idempotency::IdempotencyStore, store::MemoryStore};
///
/// let offset = ClockOffset::default();
/// let store: Box<dyn IdempotencyStore> = Box::new(MemoryStore::with_capacity_and_offset(10_000, offset.clone()));
///
/// conformance::idempotency(&conformance::OffsetHarness::new(store, offset)).await;
/// # }
/// ```
pub async fn idempotency<H: Harness>(harness: &H) {
    of_simultaneous_claims_one_wins(harness).await;
    of_simultaneous_takeovers_one_wins(harness).await;
    a_claim_in_flight_is_answered_at_once(harness).await;
    other_keys_are_other_records(harness).await;
    one_token_may_hold_several_keys(harness).await;

    a_passed_lease_is_taken_over(harness).await;
    a_released_claim_is_taken_at_once(harness).await;
    an_expired_done_record_is_no_record(harness).await;
    a_release_keeps_the_attempt_count(harness).await;

    a_stale_owner_changes_nothing(harness).await;
    a_passed_lease_alone_takes_nothing_from_its_owner(harness).await;
    an_unknown_key_is_stale(harness).await;
    a_renewed_claim_holds(harness).await;

    complete_is_idempotent(harness).await;
    release_is_idempotent(harness).await;
    nothing_but_time_ends_a_done_record(harness).await;
    a_released_claim_is_nobodys(harness).await;

    a_claim_asked_again_keeps_its_attempt(harness).await;

    purge_is_bounded_and_spares_what_is_needed(harness).await;

    a_dropped_future_leaves_nothing_locked(harness).await;

    what_was_stored_comes_back(harness).await;
    extreme_durations_are_taken(harness).await;
    a_foreign_connection_is_refused(harness).await;
    programs_are_introduced_or_nobody_is(harness).await;
}

const LEASE: Duration = Duration::from_secs(60 * 60);
const RETENTION: Duration = Duration::from_secs(24 * 60 * 60);
/// Long past a lease, and far from its end whatever the test machine's pace.
const PAST_LEASE: Duration = Duration::from_secs(2 * 60 * 60);
const PAST_RETENTION: Duration = Duration::from_secs(25 * 60 * 60);
const RACERS: usize = 32;

// Rule 1: claims are atomic and never wait.

async fn of_simultaneous_claims_one_wins<H: Harness>(harness: &H) {
    for _ in 0..4 {
        let key = new_key();
        let won = race(harness, key).await;
        check(won == [1], "rule 1", format!("{RACERS} simultaneous claims won attempts {won:?}, not [1]"));
    }
}

async fn of_simultaneous_takeovers_one_wins<H: Harness>(harness: &H) {
    let t = Try::new(harness);
    t.acquires(new_token(), 1, "rule 1", "a fresh key").await;
    harness.advance(PAST_LEASE).await;

    let won = race(harness, t.key).await;

    check(won == [2], "rule 1", format!("{RACERS} simultaneous takeovers won attempts {won:?}, not [2]"));
}

/// Claims one key from many tasks at once, and tells the attempts that were won.
async fn race<H: Harness>(harness: &H, key: ClaimKey) -> Vec<u32> {
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

async fn a_claim_in_flight_is_answered_at_once<H: Harness>(harness: &H) {
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

async fn other_keys_are_other_records<H: Harness>(harness: &H) {
    let (one, other) = (Try::new(harness), Try::new(harness));
    let (first, second) = (new_token(), new_token());
    one.acquires(first, 1, "rule 1", "a fresh key").await;
    other.acquires(second, 1, "rule 1", "another fresh key").await;

    one.complete(first, Fenced::Applied, "rule 1", "its own claim").await;

    other.is_in_flight("rule 1", "another key was completed").await;
}

/// The replay guard is a second claim by the token of the first.
async fn one_token_may_hold_several_keys<H: Harness>(harness: &H) {
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

// Rule 2: what a claim finds.

async fn a_passed_lease_is_taken_over<H: Harness>(harness: &H) {
    let t = Try::new(harness);
    t.acquires(new_token(), 1, "rule 2", "a fresh key").await;

    harness.advance(PAST_LEASE).await;
    t.acquires(new_token(), 2, "rule 2", "a passed lease").await;
    t.is_in_flight("rule 2", "a passed lease was taken over").await;

    harness.advance(PAST_LEASE).await;
    t.acquires(new_token(), 3, "rule 2", "a lease passed twice").await;
}

async fn a_released_claim_is_taken_at_once<H: Harness>(harness: &H) {
    let t = Try::new(harness);
    let first = new_token();
    t.acquires(first, 1, "rule 2", "a fresh key").await;

    t.release(first, Fenced::Applied, "rule 2", "its own claim").await;
    t.acquires(new_token(), 2, "rule 2", "a released claim").await;
    t.is_in_flight("rule 2", "a released claim was taken").await;
}

async fn an_expired_done_record_is_no_record<H: Harness>(harness: &H) {
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

async fn a_release_keeps_the_attempt_count<H: Harness>(harness: &H) {
    let t = Try::new(harness);
    let first = new_token();
    t.acquires(first, 1, "rule 2", "a fresh key").await;
    t.release(first, Fenced::Applied, "rule 2", "its own claim").await;

    harness.advance(PAST_LEASE).await;

    t.acquires(new_token(), 2, "rule 2", "a claim released long ago").await;
}

// Rule 3: fencing.

async fn a_stale_owner_changes_nothing<H: Harness>(harness: &H) {
    let t = Try::new(harness);
    let (stale, owner) = (new_token(), new_token());
    t.acquires(stale, 1, "rule 3", "a fresh key").await;
    harness.advance(PAST_LEASE).await;
    t.acquires(owner, 2, "rule 3", "a passed lease").await;

    for _ in 0..2 {
        t.renew(stale, 100 * LEASE, Fenced::Stale, "rule 3", "a claim that was taken over").await;
        t.release(stale, Fenced::Stale, "rule 3", "a claim that was taken over").await;
        t.complete(stale, Fenced::Stale, "rule 3", "a claim that was taken over").await;
        t.is_done(stale, Fenced::Stale, "rule 3", "a claim that was taken over").await;
        t.is_in_flight("rule 3", "only a stale owner did anything").await;
    }
    t.complete(owner, Fenced::Applied, "rule 3", "its own claim").await;
    t.release(stale, Fenced::Stale, "rule 3", "a record done by another").await;
    t.complete(stale, Fenced::Stale, "rule 3", "a record done by another").await;
    t.is_done(stale, Fenced::Stale, "rule 3", "a record done by another").await;
    t.is_done_for_all("rule 3", "its owner completed it").await;
}

async fn a_passed_lease_alone_takes_nothing_from_its_owner<H: Harness>(harness: &H) {
    let t = Try::new(harness);
    let slow = new_token();
    t.acquires(slow, 1, "rule 3", "a fresh key").await;
    harness.advance(PAST_LEASE).await;
    t.renew(slow, LEASE, Fenced::Applied, "rule 3", "a passed lease that nobody took").await;
    t.is_in_flight("rule 3", "a passed lease was renewed").await;
    harness.advance(PAST_LEASE).await;
    t.complete(slow, Fenced::Applied, "rule 3", "a passed lease that nobody took").await;
    t.is_done_for_all("rule 3", "a passed lease was completed by its owner").await;

    let t = Try::new(harness);
    t.acquires(slow, 1, "rule 3", "a fresh key").await;
    harness.advance(PAST_LEASE).await;
    t.release(slow, Fenced::Applied, "rule 3", "a passed lease that nobody took").await;
    t.acquires(new_token(), 2, "rule 3", "a released claim").await;
}

async fn an_unknown_key_is_stale<H: Harness>(harness: &H) {
    let t = Try::new(harness);
    let nobody = new_token();

    t.complete(nobody, Fenced::Stale, "rule 3", "a key without a record").await;
    t.release(nobody, Fenced::Stale, "rule 3", "a key without a record").await;
    t.renew(nobody, LEASE, Fenced::Stale, "rule 3", "a key without a record").await;
    t.is_done(nobody, Fenced::Stale, "rule 3", "a key without a record").await;
    t.acquires(new_token(), 1, "rule 3", "a key that only stale calls named").await;
}

async fn a_renewed_claim_holds<H: Harness>(harness: &H) {
    let t = Try::new(harness);
    let owner = new_token();
    t.acquires(owner, 1, "rule 3", "a fresh key").await;

    t.renew(owner, 4 * LEASE, Fenced::Applied, "rule 3", "its own claim").await;
    harness.advance(PAST_LEASE).await;
    t.is_in_flight("rule 3", "its lease was renewed").await;

    harness.advance(3 * LEASE).await;
    t.acquires(new_token(), 2, "rule 3", "a renewed lease that has passed").await;
}

// Rule 4: idempotence per token.

async fn complete_is_idempotent<H: Harness>(harness: &H) {
    let t = Try::new(harness);
    let owner = new_token();
    t.acquires(owner, 1, "rule 4", "a fresh key").await;

    t.complete(owner, Fenced::Applied, "rule 4", "its own claim").await;
    t.is_done(owner, Fenced::Applied, "rule 4", "it was completed").await;
    harness.advance(RETENTION / 2).await;
    t.complete(owner, Fenced::Applied, "rule 4", "a record done by it").await;

    harness.advance(RETENTION / 2 + LEASE).await;
    t.acquires(new_token(), 1, "rule 4", "a record whose first retention has passed").await;
}

async fn release_is_idempotent<H: Harness>(harness: &H) {
    let t = Try::new(harness);
    let (first, second) = (new_token(), new_token());
    t.acquires(first, 1, "rule 4", "a fresh key").await;

    t.release(first, Fenced::Applied, "rule 4", "its own claim").await;
    t.release(first, Fenced::Applied, "rule 4", "a claim released by it").await;
    t.release(second, Fenced::Stale, "rule 4", "a claim released by another").await;

    t.acquires(second, 2, "rule 4", "a released claim").await;
    t.release(first, Fenced::Stale, "rule 4", "a claim released by it and taken by another").await;
    t.is_in_flight("rule 4", "a late second release came").await;
}

async fn nothing_but_time_ends_a_done_record<H: Harness>(harness: &H) {
    let t = Try::new(harness);
    let owner = new_token();
    t.acquires(owner, 1, "rule 4", "a fresh key").await;
    t.complete(owner, Fenced::Applied, "rule 4", "its own claim").await;

    t.release(owner, Fenced::Stale, "rule 4", "a done record").await;
    t.renew(owner, LEASE, Fenced::Stale, "rule 4", "a done record").await;
    t.is_done(owner, Fenced::Applied, "rule 4", "it was completed").await;
    check_done(&t.claim(owner).await, None, "rule 4", "its own owner claims it again");
    harness.advance(PAST_LEASE).await;
    t.is_done_for_all("rule 4", "release and renew came too late").await;
}

async fn a_released_claim_is_nobodys<H: Harness>(harness: &H) {
    let t = Try::new(harness);
    let owner = new_token();
    t.acquires(owner, 1, "rule 4", "a fresh key").await;
    t.release(owner, Fenced::Applied, "rule 4", "its own claim").await;

    t.complete(owner, Fenced::Stale, "rule 4", "a claim released by it").await;
    t.renew(owner, LEASE, Fenced::Stale, "rule 4", "a claim released by it").await;
    t.is_done(owner, Fenced::Stale, "rule 4", "it was released").await;
    t.acquires(new_token(), 2, "rule 4", "a released claim").await;
}

// Rule 6: calling again is safe.

async fn a_claim_asked_again_keeps_its_attempt<H: Harness>(harness: &H) {
    let t = Try::new(harness);
    let (first, second) = (new_token(), new_token());
    t.acquires(first, 1, "rule 6", "a fresh key").await;
    t.acquires(first, 1, "rule 6", "the key it holds").await;
    harness.advance(PAST_LEASE).await;
    t.acquires(second, 2, "rule 6", "a passed lease").await;

    harness.advance(LEASE / 2).await;
    t.acquires(second, 2, "rule 6", "the key it holds").await;
    harness.advance(LEASE * 3 / 4).await;
    t.is_in_flight("rule 6", "its owner claimed it again and so got a new lease").await;

    harness.advance(PAST_LEASE).await;
    t.acquires(second, 2, "rule 6", "the key it holds beyond its lease").await;
    t.is_in_flight("rule 6", "its owner claimed it again").await;
    t.complete(second, Fenced::Applied, "rule 6", "its own claim").await;
}

// Rule 7: purge, and what is never dropped.

async fn purge_is_bounded_and_spares_what_is_needed<H: Harness>(harness: &H) {
    let store = harness.store();
    // What the other checks left behind goes first, so that the counts are of these records.
    harness.advance(ABANDONED_AFTER + PAST_RETENTION).await;
    drain(&*store).await;
    let (done, released, passed) = (new_token(), new_token(), new_token());
    let expired: Vec<_> = (0..5).map(|_| Try::new(harness)).collect();
    for t in &expired {
        t.acquires(done, 1, "rule 7", "a fresh key").await;
        t.complete(done, Fenced::Applied, "rule 7", "its own claim").await;
    }
    let abandoned = Try::new(harness);
    abandoned.acquires(new_token(), 1, "rule 7", "a fresh key").await;
    let (slow, late) = (new_token(), Try::new(harness));
    late.acquires(slow, 1, "rule 7", "a fresh key").await;
    harness.advance(ABANDONED_AFTER + PAST_RETENTION).await;
    // It counts from here, not from the end of its lease.
    late.release(slow, Fenced::Applied, "rule 7", "its own claim").await;

    let kept = [(); 3].map(|()| Try::new(harness));
    kept[0].acquires(new_token(), 1, "rule 7", "a fresh key").await;
    kept[1].acquires(done, 1, "rule 7", "a fresh key").await;
    kept[1].complete(done, Fenced::Applied, "rule 7", "its own claim").await;
    kept[2].acquires(released, 1, "rule 7", "a fresh key").await;
    kept[2].release(released, Fenced::Applied, "rule 7", "its own claim").await;
    let lapsed = Try::new(harness);
    lapsed.acquires(passed, 1, "rule 7", "a fresh key").await;
    lapsed.renew(passed, Duration::ZERO, Fenced::Applied, "rule 7", "its own claim").await;

    let nothing = purge(&*store, 0).await;
    let first = purge(&*store, 2).await;
    let rest = drain(&*store).await;

    match harness.purge() {
        Purge::ByItself => {
            check(nothing + first + rest == 0, "rule 7", "a store that purges by itself counted something purged");
        }
        Purge::OnRequest => {
            check(nothing == 0, "rule 7", format!("`purge(0)` removed {nothing}"));
            check(first == 2, "rule 7", format!("of 6 records `purge(2)` removed {first}"));
            check(rest == 4, "rule 7", format!("of 4 records purging on removed {rest}"));
        }
    }
    kept[0].is_in_flight("rule 7", "purge must spare a claim within its lease").await;
    kept[1].is_done_for_all("rule 7", "purge must spare a done record before its expiry").await;
    kept[2].acquires(new_token(), 2, "rule 7", "a claim released just now, which purge must spare").await;
    lapsed.acquires(new_token(), 2, "rule 7", "a lease passed just now, which purge must spare").await;
    late.acquires(new_token(), 2, "rule 7", "a claim of long ago released just now, which purge must spare").await;
    for t in &expired {
        t.acquires(new_token(), 1, "rule 7", "an expired and purged record").await;
    }
    if harness.purge() == Purge::OnRequest {
        abandoned.acquires(new_token(), 1, "rule 7", "an abandoned and purged record").await;
    }
}

async fn drain<S: IdempotencyStore + ?Sized>(store: &S) -> u64 {
    let mut sum = 0;
    loop {
        match purge(store, 100).await {
            0 => return sum,
            removed => sum += removed,
        }
    }
}

async fn purge<S: IdempotencyStore + ?Sized>(store: &S, limit: u32) -> u64 {
    let removed = answered("rule 7", "purge", store.purge(limit).await);
    check(removed <= limit.into(), "rule 7", format!("`purge({limit})` removed {removed}"));
    removed
}

// Rule 8: dropped futures.

async fn a_dropped_future_leaves_nothing_locked<H: Harness>(harness: &H) {
    let (dropped, other) = (Try::new(harness), Try::new(harness));
    let (owner, second) = (new_token(), new_token());
    let store = &*dropped.store;
    let request = ClaimRequest::new(dropped.key, owner, LEASE, fingerprint());

    poll_once(store.claim(request));
    within_reason(other.acquires(new_token(), 1, "rule 8", "another key")).await;
    within_reason(async {
        loop {
            match dropped.claim(owner).await {
                ClaimOutcome::Acquired { attempt: 1 } => break,
                // A server may still be at what was dropped, and a claim waits for nobody.
                ClaimOutcome::InFlight { .. } => tokio::task::yield_now().await,
                other => {
                    broken("rule 8", format!("the claim whose first future was dropped is {other:?} to its owner"))
                }
            }
        }
    })
    .await;

    poll_once(store.renew(dropped.key, owner, LEASE));
    poll_once(store.is_done(dropped.key, owner));
    poll_once(store.purge(1));
    poll_once(store.claim(ClaimRequest::new(dropped.key, second, LEASE, fingerprint())));
    within_reason(dropped.is_in_flight("rule 8", "every other future was dropped")).await;

    poll_once(store.complete(dropped.key, owner, Completion::new(RETENTION)));
    within_reason(dropped.complete(
        owner,
        Fenced::Applied,
        "rule 8",
        "its own claim, whose first completion was dropped",
    ))
    .await;
    within_reason(dropped.is_done_for_all("rule 8", "it was completed")).await;
}

/// Lets a future begin, and drops it wherever it then is.
fn poll_once<F: Future>(future: F) {
    let begun: Poll<F::Output> = pin!(future).poll(&mut Context::from_waker(Waker::noop()));
    drop(begun);
}

async fn within_reason<F: Future>(future: F) -> F::Output {
    match tokio::time::timeout(Duration::from_secs(30), future).await {
        Ok(output) => output,
        Err(_) => broken("rule 8", "a dropped future left something locked"),
    }
}

// What the records hold, and what no store can be given.

async fn what_was_stored_comes_back<H: Harness>(harness: &H) {
    let bodies = [Bytes::new(), Bytes::from_static(b"{\"ok\":true}"), Bytes::from((0..=255).collect::<Vec<u8>>())];
    let types = [None, Some("application/json".to_owned()), Some(String::new())];

    for (body, content_type) in bodies.into_iter().zip(types) {
        let t = Try::new(harness);
        let (owner, response) = (new_token(), Arc::new(StoredResponse::new(299, content_type, body)));
        t.acquires(owner, 1, "the record", "a fresh key").await;

        let completion = Completion::new(RETENTION).response(response.clone());
        let completed = t.store.complete(t.key, owner, completion).await;
        check_fenced(completed, Fenced::Applied, "the record", "complete", "its own claim");

        check_done(&t.claim(new_token()).await, Some(&response), "the record", "a response was stored with it");
    }

    let t = Try::new(harness);
    let (first, second) = (new_token(), new_token());
    let other = Fingerprint::of(b"another body");
    t.acquires(first, 1, "the record", "a fresh key").await;
    t.release(first, Fenced::Applied, "the record", "its own claim").await;
    let taken = t.store.claim(ClaimRequest::new(t.key, second, LEASE, other)).await;
    check(
        matches!(taken, Ok(ClaimOutcome::Acquired { attempt: 2 })),
        "the record",
        format!("a released claim was answered with {taken:?}"),
    );
    match t.claim(new_token()).await {
        ClaimOutcome::InFlight { fingerprint, .. } if fingerprint == other => {}
        outcome => broken("the record", format!("the fingerprint is not that of the second claim: {outcome:?}")),
    }
    t.complete(second, Fenced::Applied, "the record", "its own claim").await;
    match t.claim(new_token()).await {
        ClaimOutcome::Done { fingerprint, response: None } if fingerprint == other => {}
        outcome => broken("the record", format!("the fingerprint is not that of the second claim: {outcome:?}")),
    }
}

async fn extreme_durations_are_taken<H: Harness>(harness: &H) {
    let t = Try::new(harness);
    let (owner, next) = (new_token(), new_token());
    let claim = |token, lease| t.store.claim(ClaimRequest::new(t.key, token, lease, fingerprint()));

    let nought = answered("rule 2", "claim", claim(owner, Duration::ZERO).await);
    check(matches!(nought, ClaimOutcome::Acquired { attempt: 1 }), "rule 2", format!("a lease of nought: {nought:?}"));
    let longest = answered("rule 2", "claim", claim(next, Duration::MAX).await);
    check(
        matches!(longest, ClaimOutcome::Acquired { attempt: 2 }),
        "rule 2",
        format!("the longest lease: {longest:?}"),
    );
    t.is_in_flight("rule 2", "it has the longest lease").await;
    t.renew(next, Duration::MAX, Fenced::Applied, "rule 3", "its own claim").await;
    t.is_in_flight("rule 2", "it has the longest lease").await;

    let kept = t.store.complete(t.key, next, Completion::new(Duration::MAX)).await;
    check_fenced(kept, Fenced::Applied, "rule 3", "complete", "its own claim");
    t.is_done_for_all("rule 2", "it has the longest retention").await;
}

async fn a_foreign_connection_is_refused<H: Harness>(harness: &H) {
    /// No database has this one.
    struct Foreign;

    let t = Try::new(harness);
    let owner = new_token();
    t.acquires(owner, 1, "`complete_in`", "a fresh key").await;

    let answer = t.store.complete_in(&mut Foreign, t.key, owner, Completion::new(RETENTION)).await;

    match answer {
        Err(error) if error.kind() == StoreErrorKind::WrongTransaction => {}
        other => broken("`complete_in`", format!("a connection of another kind was answered with {other:?}")),
    }
    t.is_in_flight("`complete_in`", "a foreign connection must change nothing").await;
}

async fn programs_are_introduced_or_nobody_is<H: Harness>(harness: &H) {
    let store = harness.store();
    let name = store.application().map(str::to_owned);
    let (key, other) = (new_key(), new_key());
    let told = async |key, program| answered("`introduce`", "introduce", store.introduce(key, program).await);

    let first = told(key, "one").await;
    let again = told(key, "one").await;
    let second = told(key, "two").await;
    let elsewhere = told(other, "two").await;

    let nobody = [first, again, elsewhere];
    check(nobody.iter().all(Option::is_none), "`introduce`", format!("a program was told of others: {nobody:?}"));
    let is_right = second.as_deref().is_none_or(|program| program == "one");
    check(is_right, "`introduce`", format!("the second program was told of {second:?}, and not of the first"));
    check(store.application() == name.as_deref(), "`application`", "the name of the application has changed");
}

// One key and the calls on it.

struct Try<S> {
    store: Arc<S>,
    key: ClaimKey,
}

impl<S: IdempotencyStore> Try<S> {
    fn new<H: Harness<Store = S>>(harness: &H) -> Self {
        Self { store: harness.store(), key: new_key() }
    }

    async fn claim(&self, token: ClaimToken) -> ClaimOutcome {
        let claim = ClaimRequest::new(self.key, token, LEASE, fingerprint());
        answered("rule 1", "claim", self.store.claim(claim).await)
    }

    async fn acquires(&self, token: ClaimToken, expected: u32, rule: &str, what: &str) {
        match self.claim(token).await {
            ClaimOutcome::Acquired { attempt } if attempt == expected => {}
            other => broken(rule, format!("a claim of {what} must be attempt {expected}, and is {other:?}")),
        }
    }

    async fn is_in_flight(&self, rule: &str, why: &str) {
        match self.claim(new_token()).await {
            ClaimOutcome::InFlight { .. } => {}
            other => broken(rule, format!("the key must be in flight ({why}), and is {other:?}")),
        }
    }

    async fn is_done_for_all(&self, rule: &str, why: &str) {
        check_done(&self.claim(new_token()).await, None, rule, why);
    }

    async fn complete(&self, token: ClaimToken, expected: Fenced, rule: &str, what: &str) {
        let answer = self.store.complete(self.key, token, Completion::new(RETENTION)).await;
        check_fenced(answer, expected, rule, "complete", what);
    }

    async fn release(&self, token: ClaimToken, expected: Fenced, rule: &str, what: &str) {
        check_fenced(self.store.release(self.key, token).await, expected, rule, "release", what);
    }

    async fn renew(&self, token: ClaimToken, lease: Duration, expected: Fenced, rule: &str, what: &str) {
        check_fenced(self.store.renew(self.key, token, lease).await, expected, rule, "renew", what);
    }

    async fn is_done(&self, token: ClaimToken, expected: Fenced, rule: &str, why: &str) {
        let answer = answered(rule, "is_done", self.store.is_done(self.key, token).await);
        check(answer == expected, rule, format!("`is_done` must be {expected:?} ({why}), and is {answer:?}"));
    }
}

fn check_done(outcome: &ClaimOutcome, expected: Option<&StoredResponse>, rule: &str, why: &str) {
    match outcome {
        ClaimOutcome::Done { fingerprint: of, response } if *of == fingerprint() && response.as_deref() == expected => {
        }
        other => broken(rule, format!("the key must be done with the response {expected:?} ({why}), and is {other:?}")),
    }
}

fn check_fenced(answer: Result<Fenced, StoreError>, expected: Fenced, rule: &str, call: &str, what: &str) {
    let answer = answered(rule, call, answer);
    check(answer == expected, rule, format!("`{call}` of {what} must be {expected:?}, and is {answer:?}"));
}

fn answered<T>(rule: &str, call: &str, answer: Result<T, StoreError>) -> T {
    match answer {
        Ok(answer) => answer,
        Err(error) => failed(rule, call, &error),
    }
}

#[track_caller]
fn check(holds: bool, rule: &str, message: impl AsRef<str>) {
    if !holds {
        broken(rule, message);
    }
}

#[track_caller]
fn failed(rule: &str, call: &str, error: &StoreError) -> ! {
    panic!("{rule}: `{call}` failed: {error} ({error:?})")
}

#[track_caller]
fn broken(rule: &str, message: impl AsRef<str>) -> ! {
    panic!("{rule}: {}", message.as_ref())
}

fn new_key() -> ClaimKey {
    ClaimKey::from_bytes(new_token().to_bytes())
}

fn new_token() -> ClaimToken {
    match ClaimToken::random() {
        Ok(token) => token,
        Err(error) => panic!("the operating system has no randomness to give: {error}"),
    }
}

fn fingerprint() -> Fingerprint {
    Fingerprint::of(b"the body")
}
