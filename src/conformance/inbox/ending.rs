//! Rules 8 to 10: how events end.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::suite::{LEASE, PAST_LEASE, Suite, answered, check, event, token};
use crate::inbox::{Change, Ending, EventState, Fenced, InboxId, InboxQuery, InboxStore, Selection};

pub(super) async fn a_stale_token_changes_nothing<S: InboxStore>(suite: &Suite<'_, S>) {
    let (rule, c, (old, new)) = ("rule 8", suite.consumer(), (token(), token()));
    c.accepts(rule, vec![event()]).await;
    let id = c.lease_one(rule, old).await.id;
    suite.advance(PAST_LEASE).await;
    check(c.lease_one(rule, new).await.id == id, rule, "its lease has ended");
    let before = c.record(rule, id).await;
    for ending in [
        Ending::Done,
        Ending::Discarded { reason: "no".into() },
        Ending::Dead { reason: "no".into() },
        Ending::Retry { wait: Duration::ZERO, reason: "no".into() },
        Ending::Returned,
    ] {
        let fenced = answered(rule, c.store.finish(id, old, ending.clone())).await;
        check(fenced == Fenced::Stale, rule, format!("a stale {ending:?} must be refused"));
    }
    check(
        answered(rule, c.store.renew(id, old, LEASE)).await == Fenced::Stale,
        rule,
        "a stale renewal must be refused",
    );
    check(answered(rule, c.store.is_done(id, old)).await == Fenced::Stale, rule, "nobody has ended it");
    let after = c.record(rule, id).await;
    check(
        (before.state, before.attempt, before.due_at, before.reason.clone())
            == (after.state, after.attempt, after.due_at, after.reason.clone()),
        rule,
        format!("a stale call changed {before:?} to {after:?}"),
    );
    c.finish(rule, id, new, Ending::Done).await;
    check(answered(rule, c.store.is_done(id, new)).await == Fenced::Applied, rule, "it ended it as done");
    check(answered(rule, c.store.is_done(id, old)).await == Fenced::Stale, rule, "another did");
    let fenced = answered(rule, c.store.finish(id, new, Ending::Returned)).await;
    check(fenced == Fenced::Stale, rule, "what has ended is held by nobody");
    let unknown = InboxId::from_u64(u64::MAX / 4);
    check(answered(rule, c.store.finish(unknown, new, Ending::Done)).await == Fenced::Stale, rule, "an unknown event");
}

pub(super) async fn a_holder_may_come_late<S: InboxStore>(suite: &Suite<'_, S>) {
    let (rule, c, holder) = ("rule 8", suite.consumer(), token());
    c.accepts(rule, vec![event(), event()]).await;
    let leased = c.lease(rule, holder, 10).await;
    suite.advance(PAST_LEASE).await;
    c.finish(rule, leased[0].id, holder, Ending::Done).await;
    let renewed = answered(rule, c.store.renew(leased[1].id, holder, LEASE)).await;
    check(renewed == Fenced::Applied, rule, "nobody else was given it");
    c.nothing_is_due(rule, "one is done, the other was renewed").await;
}

pub(super) async fn each_ending_is_done<S: InboxStore>(suite: &Suite<'_, S>) {
    let (rule, c, holder) = ("rule 9", suite.consumer(), token());
    let hour = Duration::from_secs(60 * 60);
    for (ending, state) in [
        (Ending::Done, EventState::Done),
        (Ending::Discarded { reason: "because".into() }, EventState::Discarded),
        (Ending::Dead { reason: "because".into() }, EventState::Dead),
        (Ending::Retry { wait: hour, reason: "because".into() }, EventState::Pending),
    ] {
        c.accepts(rule, vec![event()]).await;
        let leased = c.lease_one(rule, holder).await;
        c.finish(rule, leased.id, holder, ending.clone()).await;
        let record = c.record(rule, leased.id).await;
        check(record.state == state, rule, format!("{ending:?} is shown as {:?}", record.state));
        let reason = (ending != Ending::Done).then(|| Arc::from("because"));
        check(record.reason == reason, rule, format!("{ending:?} has the reason {:?}", record.reason));
        c.nothing_is_due(rule, "it has ended, or waits").await;
    }
    suite.advance(hour / 2).await;
    c.nothing_is_due(rule, "the wait is not over").await;
    suite.advance(hour).await;
    let again = c.lease_one(rule, holder).await;
    check(again.attempt == 2, rule, "a retry is another attempt");
    c.finish(rule, again.id, holder, Ending::Returned).await;
    let again = c.lease_one(rule, holder).await;
    check(
        (again.attempt, again.round_attempt) == (2, 2),
        rule,
        "a returned attempt does not count, and is due at once",
    );
    c.finish(rule, again.id, holder, Ending::Retry { wait: Duration::MAX, reason: "never".into() }).await;
    c.nothing_is_due(rule, "the longest wait is taken").await;
}

pub(super) async fn ended_events_are_replayed_and_waiting_ones_discarded<S: InboxStore>(suite: &Suite<'_, S>) {
    let (rule, c, holder) = ("rule 10", suite.consumer(), token());
    let change = async |change, ids: &[InboxId]| {
        answered(rule, c.store.change(Arc::clone(&c.name), change, Selection::Ids(ids.to_vec()), 100)).await
    };
    c.accepts(rule, vec![event(), event(), event()]).await;
    let leased = c.lease(rule, holder, 2).await;
    let (done, worked) = (leased[0].id, leased[1].id);
    c.finish(rule, done, holder, Ending::Done).await;
    let listed = c.list(rule, InboxQuery::default().state(EventState::Pending)).await;
    let waits = listed.first().map(|record| record.id).unwrap_or_else(|| panic!("{rule}: one waits"));

    check(change(Change::Replay, &[worked, waits]).await == 0, rule, "what has not ended is not replayed");
    check(change(Change::Discard, &[worked, done]).await == 0, rule, "what is worked, or done, is not discarded");
    check(
        change(Change::Discard, &[waits, InboxId::from_u64(u64::MAX / 4)]).await == 1,
        rule,
        "what waits is discarded",
    );
    c.nothing_is_due(rule, "it was discarded").await;
    check(change(Change::Replay, &[done, waits, done]).await == 2, rule, "what has ended is replayed, each once");
    let again = c.lease(rule, holder, 10).await;
    check(again.len() == 2, rule, "both are due at once");
    check(again.iter().all(|event| event.round_attempt == 1), rule, "their attempts begin again");
    let other = suite.consumer();
    let ids = Selection::Ids(vec![done]);
    let changed = answered(rule, other.store.change(Arc::clone(&other.name), Change::Replay, ids, 100)).await;
    check(changed == 0, rule, "another consumer's event is not found");
}

pub(super) async fn dead_letters_are_changed_since_a_time<S: InboxStore>(suite: &Suite<'_, S>) {
    let (rule, c) = ("rule 10", suite.consumer());
    let hour = Duration::from_secs(60 * 60);
    let old = c.kill(rule, event()).await;
    suite.advance(hour * 2).await;
    let mut recent = Vec::new();
    for _ in 0..3 {
        recent.push(c.kill(rule, event()).await);
    }
    let died = c.record(rule, recent[0]).await.due_at.unwrap_or(SystemTime::UNIX_EPOCH);
    let change = async |change, limit| {
        let selection = Selection::DiedSince(died - hour);
        answered(rule, c.store.change(Arc::clone(&c.name), change, selection, limit)).await
    };
    check(change(Change::Replay, 2).await == 2, rule, "no more than the limit");
    check(change(Change::Discard, 100).await == 1, rule, "the third");
    check(change(Change::Discard, 100).await == 0, rule, "no more");
    check(c.record(rule, old).await.state == EventState::Dead, rule, "what died before is left");
    check(c.lease(rule, token(), 10).await.len() == 2, rule, "two were replayed");
}
