//! Rules 5 to 7: leases.

use std::{collections::HashSet, sync::Arc, time::Duration};

use tokio::sync::Barrier;

use super::suite::{LEASE, PAST_LEASE, RACERS, Suite, answered, check, event, key, token};
use crate::{
    idempotency::ClaimKey,
    inbox::{Ending, EventDraft, EventState, InboxLease, InboxLeases, InboxQuery, InboxStore},
};

pub(super) async fn the_oldest_due_is_given_to_one_token<S: InboxStore>(suite: &Suite<'_, S>) {
    let (rule, c) = ("rule 5", suite.consumer());
    let events = [event(), event(), event()];
    for event in events.clone() {
        c.accepts(rule, vec![event]).await;
        suite.advance(Duration::from_secs(1)).await;
    }
    let leased = c.lease(rule, token(), 2).await;
    let keys: Vec<_> = leased.iter().map(|event| event.key).collect();
    check(keys == [events[0].key, events[1].key], rule, "the oldest two must come first");
    check(leased.iter().all(|event| (event.attempt, event.round_attempt) == (1, 1)), rule, "the attempt is counted");
    check(leased[0].content == events[0].content, rule, "what came must come out");
    check(leased[0].age >= Duration::from_secs(3), rule, format!("its age must be told, and is {:?}", leased[0].age));
    check(c.lease(rule, token(), 10).await.len() == 1, rule, "the third must be left");
    c.nothing_is_due(rule, "all are held").await;
    check(c.lease(rule, token(), 0).await.is_empty(), rule, "nothing was asked for");
}

pub(super) async fn of_simultaneous_leases_each_event_is_given_once<S: InboxStore>(suite: &Suite<'_, S>) {
    let (rule, c) = ("rule 5", suite.consumer());
    c.accepts(rule, (0..RACERS * 2).map(|_| event()).collect()).await;
    let barrier = Arc::new(Barrier::new(RACERS));
    let tasks: Vec<_> = (0..RACERS)
        .map(|_| {
            let (store, name, barrier) = (Arc::clone(&c.store), Arc::clone(&c.name), Arc::clone(&barrier));
            tokio::spawn(async move {
                barrier.wait().await;
                answered(rule, store.lease(InboxLease::new(name, token(), LEASE, 3, 100))).await.events
            })
        })
        .collect();
    let (mut count, mut keys) = (0, HashSet::new());
    for task in tasks {
        match task.await {
            Ok(events) => {
                count += events.len();
                keys.extend(events.iter().map(|event| event.key));
            }
            Err(panic) => panic!("{rule}: a lease panicked: {panic}"),
        }
    }
    check(count == keys.len(), rule, format!("{count} leases of {} events", keys.len()));
    count += c.lease(rule, token(), 100).await.len();
    check(count == RACERS * 2, rule, format!("{count} events of {} were given out", RACERS * 2));
}

pub(super) async fn a_lease_ends_and_not_before<S: InboxStore>(suite: &Suite<'_, S>) {
    let (rule, c, holder) = ("rule 5", suite.consumer(), token());
    c.accepts(rule, vec![event()]).await;
    let request = InboxLease::new(Arc::clone(&c.name), holder, LEASE, 1, 100);
    let leases = answered(rule, c.store.lease(request)).await;
    check(
        leases.next_due.is_some_and(|due| due <= LEASE && due > LEASE / 2),
        rule,
        format!("the end of the lease is when something is due: {:?}", leases.next_due),
    );
    suite.advance(LEASE / 2).await;
    c.nothing_is_due(rule, "the lease has not ended").await;
    let _ = answered(rule, c.store.renew(leases.events[0].id, holder, LEASE)).await;
    suite.advance(LEASE - Duration::from_secs(600)).await;
    c.nothing_is_due(rule, "the lease was renewed").await;
    suite.advance(Duration::from_secs(1200)).await;
    let again = c.lease_one(rule, token()).await;
    check((again.attempt, again.round_attempt) == (2, 2), rule, "a lease that has ended counts as an attempt");
}

pub(super) async fn consumers_have_their_own_events<S: InboxStore>(suite: &Suite<'_, S>) {
    let (rule, one, two) = ("rule 5", suite.consumer(), suite.consumer());
    one.accepts(rule, vec![event()]).await;
    two.nothing_is_due(rule, "it is another consumer's").await;
    check(two.list(rule, InboxQuery::default()).await.is_empty(), rule, "another consumer's event must not be listed");
    let _ = one.lease_one(rule, token()).await;
}

pub(super) async fn an_event_begun_too_often_is_dead<S: InboxStore>(suite: &Suite<'_, S>) {
    let (rule, mut c) = ("rule 6", suite.consumer());
    c.attempts = 2;
    c.accepts(rule, vec![event()]).await;
    for attempt in 1..=2 {
        let leased = c.lease_one(rule, token()).await;
        check(leased.attempt == attempt, rule, format!("attempt {attempt} is {}", leased.attempt));
        suite.advance(PAST_LEASE).await;
    }
    let request = InboxLease::new(Arc::clone(&c.name), token(), LEASE, 10, 2);
    let leases = answered(rule, c.store.lease(request)).await;
    check(leases.events.is_empty() && leases.exhausted == 1, rule, "it must be dead, and counted");
    let dead = c.list(rule, InboxQuery::default().state(EventState::Dead)).await;
    check(dead.len() == 1 && dead[0].attempt == 2 && dead[0].reason.is_some(), rule, format!("{dead:?}"));
}

pub(super) async fn no_more_of_a_source_than_its_limit_leaves<S: InboxStore>(suite: &Suite<'_, S>) {
    let (rule, c) = ("rule 5", suite.consumer());
    let of = |provider: &str| {
        let mut event = event();
        event.provider = provider.into();
        event
    };
    c.accepts(rule, (0..6).map(|_| of("slow")).collect()).await;
    suite.advance(Duration::from_secs(1)).await;
    c.accepts(rule, vec![of("a"), of("z"), of("z")]).await;
    let lease = async |limit: u32, held: &[(&str, u32)]| {
        let mut request = InboxLease::new(Arc::clone(&c.name), token(), LEASE, limit, 100);
        request.source_limit = Some(3);
        request.held = held.iter().map(|(provider, held)| (Arc::from(*provider), *held)).collect();
        answered(rule, c.store.lease(request)).await
    };
    let names = |leases: &InboxLeases| leases.events.iter().map(|event| event.provider.to_string()).collect::<Vec<_>>();

    let first = names(&lease(4, &[("slow", 1)]).await);
    check(
        first.len() == 4 && first[..2] == ["slow", "slow"],
        rule,
        format!("the oldest go first, as far as their limit: {first:?}"),
    );
    check(!first[2..].contains(&"slow".into()), rule, format!("then others go: {first:?}"));
    let second = lease(10, &[("slow", 3), ("a", 1), ("z", 1)]).await;
    check(names(&second) == ["z"], rule, format!("the others go on: {:?}", names(&second)));
    check(
        second.next_due.is_none_or(|due| due > LEASE / 2),
        rule,
        format!("nothing of a source with room is due before a lease ends: {:?}", second.next_due),
    );
    let third = names(&lease(10, &[("slow", 0)]).await);
    check(third == ["slow", "slow", "slow"], rule, format!("a place is free again: {third:?}"));
    check(c.lease(rule, token(), 10).await.len() == 1, rule, "without a limit the last one goes too");
}

fn ordered(order: ClaimKey) -> EventDraft {
    let mut event = event();
    event.order_key = Some(order);
    event
}

pub(super) async fn what_was_abandoned_is_given_out_alone<S: InboxStore>(suite: &Suite<'_, S>) {
    let (rule, c) = ("rule 5", suite.consumer());
    c.accepts(rule, (0..3).map(|_| event()).collect()).await;
    check(c.lease(rule, token(), 10).await.len() == 3, rule, "what has just come goes together");
    suite.advance(PAST_LEASE).await;
    c.accepts(rule, (0..2).map(|_| event()).collect()).await;
    let mut seen = Vec::new();
    for _ in 0..5 {
        let leased = c.lease(rule, token(), 10).await;
        let abandoned = leased.iter().filter(|event| event.attempt > 1).count();
        check(abandoned == 0 || leased.len() == 1, rule, format!("{abandoned} of {} were abandoned", leased.len()));
        seen.extend(leased.into_iter().map(|event| event.id));
    }
    check(seen.len() == 5, rule, format!("each is given out once more, and {seen:?} were"));
}

pub(super) async fn one_at_a_time_of_an_order_key<S: InboxStore>(suite: &Suite<'_, S>) {
    let (rule, c, order) = ("rule 7", suite.consumer(), key());
    let events = [ordered(order), ordered(order), ordered(order)];
    c.accepts(rule, events.to_vec()).await;
    c.accepts(rule, vec![event(), ordered(key())]).await;

    let holder = token();
    let leased = c.lease(rule, holder, 10).await;
    let keys: Vec<_> = leased.iter().map(|event| event.key).collect();
    check(leased.len() == 3 && keys.contains(&events[0].key), rule, "the first of the key and all others must go");
    let first = leased.iter().find(|event| event.key == events[0].key);
    let first = first.map(|event| event.id).unwrap_or_else(|| panic!("{rule}: the first is there"));
    c.nothing_is_due(rule, "the first is being worked").await;
    for other in leased.iter().filter(|event| event.id != first) {
        c.finish(rule, other.id, holder, Ending::Done).await;
    }

    let retry = Ending::Retry { wait: Duration::from_secs(60 * 60), reason: "later".into() };
    c.finish(rule, first, holder, retry).await;
    c.nothing_is_due(rule, "the first waits for its next attempt").await;
    suite.advance(Duration::from_secs(2 * 60 * 60)).await;
    let mut again = c.lease(rule, holder, 10).await;
    again.retain(|event| event.key == events[0].key || event.key == events[1].key || event.key == events[2].key);
    check(again.len() == 1 && again[0].id == first, rule, "the first must come again before the second");
    c.finish(rule, first, holder, Ending::Done).await;

    let second = c.lease_one(rule, holder).await;
    check(second.key == events[1].key, rule, "then the second, at once");
    c.accepts(rule, vec![ordered(order)]).await;
    c.nothing_is_due(rule, "a new one waits behind the others").await;
    c.finish(rule, second.id, holder, Ending::Discarded { reason: "no".into() }).await;
    let third = c.lease_one(rule, holder).await;
    check(third.key == events[2].key, rule, "then the third");
}

pub(super) async fn a_dead_event_lets_the_next_one_go<S: InboxStore>(suite: &Suite<'_, S>) {
    let (rule, mut c, order) = ("rule 7", suite.consumer(), key());
    c.attempts = 1;
    let events = [ordered(order), ordered(order)];
    c.accepts(rule, events.to_vec()).await;
    let first = c.lease_one(rule, token()).await;
    suite.advance(PAST_LEASE).await;
    let holder = token();
    let second = c.lease_one(rule, holder).await;
    check(
        second.key == events[1].key,
        rule,
        "what stands behind an event that is found dead must go on in the same call",
    );

    let again = c.accept(rule, vec![events[0].clone()]).await;
    check(again.len() == 1, rule, "the dead one is armed again");
    c.nothing_is_due(rule, "the armed one waits for the second").await;
    c.finish(rule, second.id, holder, Ending::Done).await;
    let armed = c.lease_one(rule, token()).await;
    check(armed.id == first.id, rule, "then the armed one goes");
}
