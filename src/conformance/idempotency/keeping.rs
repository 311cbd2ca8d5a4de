//! Rules 7 and 8, and the contents of the records.

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;

use super::steps::{
    LEASE, PAST_RETENTION, RETENTION, Try, answered, broken, check, check_done, check_fenced, fingerprint, new_key,
    new_token,
};
use crate::{
    conformance::harness::{Harness, Purge},
    error::StoreErrorKind,
    idempotency::{
        ABANDONED_AFTER, ClaimOutcome, ClaimRequest, Completion, Fenced, Fingerprint, IdempotencyStore, StoredResponse,
    },
};

// Rule 7: purge, and the records that it must not remove.

pub(super) async fn purge_is_bounded_and_spares_what_is_needed<H: Harness>(harness: &H) {
    let store = harness.store();
    // The records of the other checks are purged first, so that the counts are of these records.
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
    // Its age counts from here, not from the end of its lease.
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

pub(super) async fn drain<S: IdempotencyStore + ?Sized>(store: &S) -> u64 {
    let mut sum = 0;
    loop {
        match purge(store, 100).await {
            0 => return sum,
            removed => sum += removed,
        }
    }
}

pub(super) async fn purge<S: IdempotencyStore + ?Sized>(store: &S, limit: u32) -> u64 {
    let removed = answered("rule 7", "purge", store.purge(limit).await);
    check(removed <= limit.into(), "rule 7", format!("`purge({limit})` removed {removed}"));
    removed
}

// Rule 8: dropped futures.

pub(super) async fn a_dropped_future_leaves_nothing_locked<H: Harness>(harness: &H) {
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
                // A server may still be processing the dropped call, and a claim does not wait.
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

/// Polls a future once, and drops it wherever it then is.
pub(super) fn poll_once<F: Future>(future: F) {
    let begun: Poll<F::Output> = pin!(future).poll(&mut Context::from_waker(Waker::noop()));
    drop(begun);
}

pub(super) async fn within_reason<F: Future>(future: F) -> F::Output {
    match tokio::time::timeout(Duration::from_secs(30), future).await {
        Ok(output) => output,
        Err(_) => broken("rule 8", "a dropped future left something locked"),
    }
}

// The contents of the records, and a connection that belongs to no database.

pub(super) async fn what_was_stored_comes_back<H: Harness>(harness: &H) {
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

pub(super) async fn extreme_durations_are_taken<H: Harness>(harness: &H) {
    let t = Try::new(harness);
    let (owner, next) = (new_token(), new_token());
    let claim = |token, lease| t.store.claim(ClaimRequest::new(t.key, token, lease, fingerprint()));

    let zero = answered("rule 2", "claim", claim(owner, Duration::ZERO).await);
    check(matches!(zero, ClaimOutcome::Acquired { attempt: 1 }), "rule 2", format!("a lease of zero: {zero:?}"));
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

pub(super) async fn a_foreign_connection_is_refused<H: Harness>(harness: &H) {
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

pub(super) async fn programs_are_introduced_or_nobody_is<H: Harness>(harness: &H) {
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
