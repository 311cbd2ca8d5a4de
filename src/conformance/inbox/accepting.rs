//! Rules 1 to 4: storing events.

use std::{sync::Arc, time::Duration};

use tokio::sync::Barrier;

use super::suite::{PAST_RETENTION, RACERS, RETENTION, Suite, answered, check, event, key, of_key, token};
use crate::{
    idempotency::Fingerprint,
    inbox::{AcceptRequest, Accepted, Change, Content, Ending, Guard, InboxQuery, InboxStore, Selection},
};

const SAME: Accepted = Accepted::Duplicate { other_body: false };

pub(super) async fn an_event_is_stored_once<S: InboxStore>(suite: &Suite<'_, S>) {
    let (rule, c, key) = ("rule 2", suite.consumer(), key());
    c.accepts(rule, vec![of_key(key)]).await;
    let mut other = of_key(key);
    other.content = Content::new("{}".into(), "other".into());
    other.fingerprint = Fingerprint::of(b"other");

    for _ in ["while it waits", "while it is worked"] {
        let answers = c.accept(rule, vec![of_key(key), event(), other.clone()]).await;
        check(
            answers[0] == SAME && answers[1] == Accepted::New,
            rule,
            format!("a duplicate beside a new one: {answers:?}"),
        );
        let alone = c.accept(rule, vec![other.clone()]).await;
        check(alone == [Accepted::Duplicate { other_body: true }], rule, format!("another body: {alone:?}"));
        let _ = c.lease(rule, token(), 1).await;
    }
    let first = c.list(rule, InboxQuery::default()).await.pop();
    let record = c.record(rule, first.map(|record| record.id).unwrap_or_else(|| panic!("{rule}: it is listed"))).await;
    check(record.content == Some(of_key(key).content), rule, "a duplicate must change nothing");
}

pub(super) async fn of_simultaneous_calls_one_stores<S: InboxStore>(suite: &Suite<'_, S>) {
    let (rule, c, key) = ("rule 2", suite.consumer(), key());
    let barrier = Arc::new(Barrier::new(RACERS));
    let tasks: Vec<_> = (0..RACERS)
        .map(|_| {
            let (store, name, barrier) = (Arc::clone(&c.store), Arc::clone(&c.name), Arc::clone(&barrier));
            tokio::spawn(async move {
                barrier.wait().await;
                answered(rule, store.accept(AcceptRequest::new(name, vec![of_key(key)]))).await
            })
        })
        .collect();
    let mut new = 0;
    for task in tasks {
        match task.await {
            Ok(answers) => new += answers.iter().filter(|answer| **answer == Accepted::New).count(),
            Err(panic) => panic!("{rule}: a call panicked: {panic}"),
        }
    }
    check(new == 1, rule, format!("{RACERS} simultaneous calls stored {new} events"));
    check(c.lease(rule, token(), 10).await.len() == 1, rule, "one event must be there");
}

pub(super) async fn a_call_is_stored_whole_or_not_at_all<S: InboxStore>(suite: &Suite<'_, S>) {
    let (rule, c, twice) = ("rule 1", suite.consumer(), key());
    let answers = c.accept(rule, vec![event(), of_key(twice), of_key(twice), event()]).await;
    check(
        answers == [Accepted::New, Accepted::New, SAME, Accepted::New],
        rule,
        format!("a key that is there twice is stored once: {answers:?}"),
    );
    check(c.accept(rule, Vec::new()).await.is_empty(), rule, "nothing is stored of nothing");
    let leased = c.lease(rule, token(), 10).await;
    check(leased.len() == 3, rule, format!("three events must be there, and {} are", leased.len()));
}

pub(super) async fn a_dead_event_is_armed_again<S: InboxStore>(suite: &Suite<'_, S>) {
    let (rule, mut c, key) = ("rule 2", suite.consumer(), key());
    c.attempts = 1;
    let id = c.kill(rule, of_key(key)).await;
    let mut newer = of_key(key);
    newer.content = Content::new("{}".into(), "newer".into());
    newer.fingerprint = Fingerprint::of(b"newer");

    let answers = c.accept(rule, vec![newer.clone()]).await;

    check(
        answers == [Accepted::Rearmed { other_body: true }],
        rule,
        format!("a dead event that comes again: {answers:?}"),
    );
    let token = token();
    let leased = c.lease_one(rule, token).await;
    check(leased.id == id && leased.content == newer.content, rule, "it must be what came now, under its number");
    check((leased.attempt, leased.round_attempt) == (2, 1), rule, "its attempts must begin again");
    c.finish(rule, id, token, Ending::Done).await;
    let done = c.accept(rule, vec![of_key(key)]).await;
    check(done == [Accepted::Duplicate { other_body: true }], rule, format!("one that is done is not armed: {done:?}"));
    let again = event();
    c.kill(rule, again.clone()).await;
    let answers = c.accept(rule, vec![again]).await;
    check(answers == [Accepted::Rearmed { other_body: false }], rule, format!("with the same body: {answers:?}"));
}

pub(super) async fn an_event_is_new_after_its_retention<S: InboxStore>(suite: &Suite<'_, S>) {
    let (rule, c, key) = ("rule 2", suite.consumer(), key());
    c.accepts(rule, vec![of_key(key)]).await;
    let holder = token();
    let leased = c.lease_one(rule, holder).await;
    c.finish(rule, leased.id, holder, Ending::Done).await;
    suite.advance(RETENTION - Duration::from_secs(60 * 60)).await;
    check(c.accept(rule, vec![of_key(key)]).await == [SAME], rule, "it is remembered for its retention");
    suite.advance(PAST_RETENTION).await;
    c.accepts(rule, vec![of_key(key)]).await;
    let again = c.lease_one(rule, token()).await;
    check((again.attempt, again.round_attempt) == (1, 1), rule, "it must be new");
}

pub(super) async fn no_more_than_the_limit_waits<S: InboxStore>(suite: &Suite<'_, S>) {
    let (rule, c) = ("rule 3", suite.consumer());
    let accept = async |events, limit| {
        let mut request = AcceptRequest::new(Arc::clone(&c.name), events);
        request.limit = Some(limit);
        answered(rule, c.store.accept(request)).await
    };
    let first = event();
    check(accept(vec![first.clone(), event()], 3).await == [Accepted::New; 2], rule, "there is room for two");
    let answers = accept(vec![event(), first.clone(), event()], 3).await;
    check(
        answers == [Accepted::Full, SAME, Accepted::Full],
        rule,
        format!("there is no room for two more: {answers:?}"),
    );
    check(accept(vec![event()], 3).await == [Accepted::New], rule, "there is room for one more");
    check(accept(vec![event()], 3).await == [Accepted::Full], rule, "the inbox must be full again");
    check(accept(vec![first], 3).await == [SAME], rule, "a duplicate needs no room");
    let holder = token();
    let leased = c.lease(rule, holder, 1).await;
    check(accept(vec![event()], 3).await == [Accepted::Full], rule, "what is worked counts");
    c.finish(rule, leased[0].id, holder, Ending::Done).await;
    check(accept(vec![event()], 3).await == [Accepted::New], rule, "what is done does not");
    let other = suite.consumer();
    let mut request = AcceptRequest::new(Arc::clone(&other.name), vec![event()]);
    request.limit = Some(1);
    check(
        answered(rule, other.store.accept(request)).await == [Accepted::New],
        rule,
        "each consumer has its own limit",
    );
}

pub(super) async fn a_guarded_body_is_a_replay<S: InboxStore>(suite: &Suite<'_, S>) {
    let (rule, c, guard) = ("rule 4", suite.consumer(), Guard::new(key(), RETENTION));
    let guarded = || {
        let mut event = event();
        event.guard = Some(guard);
        event
    };
    let first = guarded();
    c.accepts(rule, vec![first.clone()]).await;
    check(c.accept(rule, vec![guarded(), guarded()]).await == [Accepted::Replay; 2], rule, "another key is a replay");
    check(c.accept(rule, vec![first]).await == [SAME], rule, "the same key is a duplicate");
    suite.advance(PAST_RETENTION).await;
    let answers = c.accept(rule, vec![guarded(), guarded()]).await;
    check(answers == [Accepted::New, Accepted::Replay], rule, format!("after the window: {answers:?}"));
    let name = Arc::clone(&c.name);
    let ids = c.list(rule, InboxQuery::default()).await.iter().map(|record| record.id).collect();
    let discarded = answered(rule, c.store.change(name, Change::Discard, Selection::Ids(ids), 10)).await;
    check(discarded == 2, rule, format!("two events must be there, and {discarded} are"));
}
