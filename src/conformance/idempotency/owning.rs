//! Rules 3, 4 and 6: the calls of the owner of a claim.

use super::steps::{LEASE, PAST_LEASE, RETENTION, Try, check_done, new_token};
use crate::{conformance::harness::Harness, idempotency::Fenced};

// Rule 3: fencing.

pub(super) async fn a_stale_owner_changes_nothing<H: Harness>(harness: &H) {
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

pub(super) async fn a_passed_lease_alone_takes_nothing_from_its_owner<H: Harness>(harness: &H) {
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

pub(super) async fn an_unknown_key_is_stale<H: Harness>(harness: &H) {
    let t = Try::new(harness);
    let nobody = new_token();

    t.complete(nobody, Fenced::Stale, "rule 3", "a key without a record").await;
    t.release(nobody, Fenced::Stale, "rule 3", "a key without a record").await;
    t.renew(nobody, LEASE, Fenced::Stale, "rule 3", "a key without a record").await;
    t.is_done(nobody, Fenced::Stale, "rule 3", "a key without a record").await;
    t.acquires(new_token(), 1, "rule 3", "a key that only stale calls named").await;
}

pub(super) async fn a_renewed_claim_holds<H: Harness>(harness: &H) {
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

pub(super) async fn complete_is_idempotent<H: Harness>(harness: &H) {
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

pub(super) async fn release_is_idempotent<H: Harness>(harness: &H) {
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

pub(super) async fn nothing_but_time_ends_a_done_record<H: Harness>(harness: &H) {
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

pub(super) async fn a_released_claim_is_nobodys<H: Harness>(harness: &H) {
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

pub(super) async fn a_claim_asked_again_keeps_its_attempt<H: Harness>(harness: &H) {
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
