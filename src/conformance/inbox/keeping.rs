//! Rules 11 to 15: how long events are kept.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::suite::{LEASE, RETENTION, Suite, answered, check, event, key, of_key, token};
use crate::{
    error::StoreErrorKind,
    idempotency::Fingerprint,
    inbox::{
        AcceptRequest, Accepted, Change, Content, Ending, EventState, InboxLease, InboxQuery, InboxRetention,
        InboxStore, Selection,
    },
};

const HOUR: Duration = Duration::from_secs(60 * 60);

pub(super) async fn content_goes_before_keys<S: InboxStore>(suite: &Suite<'_, S>) {
    let (rule, c, key) = ("rule 11", suite.consumer(), key());
    let keep = InboxRetention::new(HOUR * 6, HOUR * 48);
    let purge = async || answered(rule, c.store.purge(Arc::clone(&c.name), keep, 1000)).await;
    c.accepts(rule, vec![of_key(key)]).await;
    let holder = token();
    let id = c.lease_one(rule, holder).await.id;
    c.finish(rule, id, holder, Ending::Done).await;
    let dead = c.kill(rule, event()).await;

    suite.advance(HOUR * 3).await;
    let _ = purge().await;
    check(c.record(rule, id).await.content.is_some(), rule, "its content is kept for its time");
    suite.advance(HOUR * 6).await;
    let _ = purge().await;
    check(c.record(rule, id).await.content.is_none(), rule, "then it is gone");
    let duplicate = c.accept(rule, vec![of_key(key)]).await;
    check(matches!(duplicate[..], [Accepted::Duplicate { .. }]), rule, format!("its key is remembered: {duplicate:?}"));
    let ids = Selection::Ids(vec![id]);
    let replayed = answered(rule, c.store.change(Arc::clone(&c.name), Change::Replay, ids, 10)).await;
    check(replayed == 0, rule, "what has no content cannot be replayed");

    suite.advance(RETENTION).await;
    let _ = purge().await;
    check(answered(rule, c.store.event(id)).await.is_none(), rule, "after its retention it is gone");
    check(c.record(rule, dead).await.content.is_some(), rule, "a dead event keeps its content");
    suite.advance(HOUR * 48).await;
    let _ = purge().await;
    check(answered(rule, c.store.event(dead)).await.is_none(), rule, "and goes with it");
}

pub(super) async fn purge_is_bounded_and_spares_what_waits<S: InboxStore>(suite: &Suite<'_, S>) {
    let (rule, c, holder) = ("rule 11", suite.consumer(), token());
    let none = InboxRetention::new(Duration::ZERO, Duration::ZERO);
    suite.advance(RETENTION * 30).await;
    while answered(rule, c.store.purge(Arc::clone(&c.name), none, 1000)).await > 0 {}
    c.accepts(rule, (0..8).map(|_| event()).collect()).await;
    let leased = c.lease(rule, holder, 6).await;
    for event in &leased[..5] {
        c.finish(rule, event.id, holder, Ending::Done).await;
    }
    suite.advance(RETENTION * 30).await;
    let first = answered(rule, c.store.purge(Arc::clone(&c.name), none, 2)).await;
    check((1..=4).contains(&first), rule, format!("at most two of each kind, and {first} were changed"));
    check(c.list(rule, InboxQuery::default()).await.len() >= 6, rule, "no more than two are removed");
    let mut steps = 0;
    while answered(rule, c.store.purge(Arc::clone(&c.name), none, 2)).await > 0 {
        steps += 1;
        check(steps < 20, rule, "purge must come to an end");
    }
    let left = c.list(rule, InboxQuery::default()).await;
    check(left.len() == 3 && left.iter().all(|record| !record.state.has_ended()), rule, format!("{left:?}"));
    let again = [c.lease(rule, token(), 10).await.len(), c.lease(rule, token(), 10).await.len()];
    check(again == [2, 1], rule, format!("what waits and what was held is as it was: {again:?}"));
    let (other, holder) = (suite.consumer(), token());
    other.accepts(rule, vec![event()]).await;
    let id = other.lease_one(rule, holder).await.id;
    other.finish(rule, id, holder, Ending::Done).await;
    suite.advance(RETENTION * 30).await;
    let _ = answered(rule, c.store.purge(Arc::clone(&c.name), none, 1000)).await;
    check(other.record(rule, id).await.content.is_some(), rule, "what another consumer has is not touched");
}

pub(super) async fn a_tenant_is_erased<S: InboxStore>(suite: &Suite<'_, S>) {
    let (rule, c, holder) = ("rule 12", suite.consumer(), token());
    let of = |tenant: Option<&str>| {
        let mut event = event();
        event.tenant = tenant.map(Into::into);
        event
    };
    c.accepts(rule, vec![of(Some("a")), of(Some("a")), of(Some("a")), of(Some("b")), of(None)]).await;
    let held = c.lease(rule, holder, 1).await;
    let erase = async |limit| answered(rule, c.store.erase(Arc::clone(&c.name), "a".into(), limit)).await;
    check(erase(1).await == 1 && erase(10).await == 1 && erase(10).await == 0, rule, "in steps, but what is worked");
    check(c.record(rule, held[0].id).await.state == EventState::Working, rule, "what is worked stays");
    check(c.list(rule, InboxQuery::default().tenant("a")).await.len() == 1, rule, "the rest of the tenant is gone");
    check(c.list(rule, InboxQuery::default()).await.len() == 3, rule, "others are not touched");
    c.finish(rule, held[0].id, holder, Ending::Done).await;
    check(erase(10).await == 1, rule, "and then that one too");
}

pub(super) async fn what_was_stored_comes_back<S: InboxStore>(suite: &Suite<'_, S>) {
    let (rule, c) = ("rule 13", suite.consumer());
    let body: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    let mut draft = event();
    draft.content = Content::new(r#"{"a":"\u0000 ü 中 \" "}"#.into(), Bytes::from(body.clone()));
    draft.fingerprint = Fingerprint::of(&body);
    draft.provider = "a \" provider".into();
    draft.tenant = Some("".into());
    draft.delivery_id = Some("evt_'1; --".into());
    draft.event_type = Some("ü.中".into());
    draft.retention = Duration::MAX;
    c.accepts(rule, vec![draft.clone()]).await;
    let mut empty = event();
    empty.content = Content::new("".into(), Bytes::new());
    c.accepts(rule, vec![empty]).await;

    let leased = c.lease(rule, token(), 1).await;
    check(leased[0].content == draft.content && leased[0].key == draft.key, rule, "the content must be unchanged");
    let record = c.record(rule, leased[0].id).await;
    check(record.content == Some(draft.content), rule, "the content that is shown must be unchanged");
    check(record.key == Some(draft.key), rule, "a single event is shown with its key");
    check(
        (record.consumer, record.provider, record.tenant, record.delivery_id, record.event_type)
            == (Arc::clone(&c.name), draft.provider, draft.tenant, draft.delivery_id, draft.event_type),
        rule,
        "the facts must be unchanged",
    );
    check((record.state, record.attempt) == (EventState::Working, 1), rule, "it is being worked");
    let stats = answered(rule, c.store.stats(Arc::clone(&c.name))).await;
    check((stats.pending, stats.working, stats.dead) == (1, 1, 0), rule, format!("{stats:?}"));
    check(stats.oldest.is_some(), rule, "the oldest has an age");
}

pub(super) async fn lists_begin_with_the_newest<S: InboxStore>(suite: &Suite<'_, S>) {
    let (rule, c) = ("rule 13", suite.consumer());
    for number in 0..5 {
        let mut event = event();
        event.event_type = Some(if number % 2 == 0 { "even" } else { "odd" }.into());
        event.delivery_id = Some(number.to_string().into());
        c.accepts(rule, vec![event]).await;
    }
    let ids = |records: Vec<crate::inbox::InboxRecord>| -> Vec<String> {
        records.iter().filter_map(|record| record.delivery_id.as_deref().map(str::to_owned)).collect()
    };
    let page = answered(rule, c.store.events(Arc::clone(&c.name), InboxQuery::default(), 2)).await;
    let last = page.last().map(|record| record.id).unwrap_or_else(|| panic!("{rule}: a page has a last one"));
    check(page.iter().all(|record| record.content.is_none()), rule, "a list has no content");
    check(ids(page) == ["4", "3"], rule, "the newest come first");
    let query = InboxQuery::default().event_type("even").before(last).state(EventState::Pending);
    check(ids(c.list(rule, query).await) == ["2", "0"], rule, "the next page, of one type");
    check(c.list(rule, InboxQuery::default().state(EventState::Dead)).await.is_empty(), rule, "none is dead");
}

pub(super) async fn a_foreign_connection_is_refused<S: InboxStore>(suite: &Suite<'_, S>) {
    let (rule, c, holder) = ("rule 14", suite.consumer(), token());
    c.accepts(rule, vec![event()]).await;
    let id = c.lease_one(rule, holder).await.id;
    let mut foreign = String::from("not a connection");
    match c.store.finish_in(&mut foreign, id, holder).await {
        Err(error) if error.kind() == StoreErrorKind::WrongTransaction => {}
        other => panic!("{rule}: another kind of connection is answered {other:?}"),
    }
    check(c.record(rule, id).await.state == EventState::Working, rule, "nothing was marked");
}

pub(super) async fn a_dropped_call_leaves_nothing_locked<S: InboxStore>(suite: &Suite<'_, S>) {
    let (rule, c) = ("rule 15", suite.consumer());
    for micros in 0..20 {
        let accept = c.store.accept(AcceptRequest::new(Arc::clone(&c.name), vec![event()]));
        let _ = tokio::time::timeout(Duration::from_micros(micros * 20), accept).await;
        let lease = c.store.lease(InboxLease::new(Arc::clone(&c.name), token(), LEASE, 1, 100));
        let _ = tokio::time::timeout(Duration::from_micros(micros * 20), lease).await;
    }
    c.accepts(rule, vec![event()]).await;
}
