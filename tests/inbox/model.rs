//! Random histories: SQLite, PostgreSQL and Redis answer as the store in memory does, call by call.

use std::{sync::Arc, time::Duration};

use tower_webhooks::{
    clock::ClockOffset,
    idempotency::ClaimKey,
    inbox::{
        AcceptRequest, Change, Content, Ending, EventDraft, Guard, InboxId, InboxLease, InboxQuery, InboxRetention,
        InboxStore, LeaseToken, Selection,
    },
    store::{MemoryInbox, PostgresStore, RedisStore},
};

use super::stores::{postgres, redis, sqlite};

/// A small generator of numbers, so that a history can be run again by its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

const MINUTE: Duration = Duration::from_secs(60);

fn key(kind: u8, number: u64) -> ClaimKey {
    let mut bytes = [kind; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    ClaimKey::from_bytes(bytes)
}

fn token(number: u64) -> LeaseToken {
    LeaseToken::from_bytes([u8::try_from(number).unwrap() + 1; 16])
}

/// The keys of events are made of their consumer, and so are these.
fn event(random: &mut Random, consumer: &str) -> EventDraft {
    let of_consumer = if consumer == "one" { 0 } else { 100 };
    let number = random.below(8) + of_consumer;
    let body = format!("body {}", random.below(2));
    let content = Content::new("{}".into(), body.into());
    let provider = if number.is_multiple_of(2) { "acme" } else { "bcme" };
    let mut event = EventDraft::new(key(b'k', number), provider.into(), MINUTE * 30, content);
    if random.chance(50) {
        event.order_key = Some(key(b'o', number % 3 + of_consumer));
    }
    if random.chance(20) {
        event.guard = Some(Guard::new(key(b'g', random.below(2) + of_consumer), MINUTE * 10));
    }
    event.tenant = random.chance(30).then(|| "t".into());
    event
}

fn ending(random: &mut Random) -> Ending {
    match random.below(8) {
        0 => Ending::Dead { reason: "dead".into() },
        1 => Ending::Discarded { reason: "discarded".into() },
        2 => Ending::Returned,
        3..5 => Ending::Retry { wait: MINUTE * u32::try_from(random.below(10)).unwrap(), reason: "later".into() },
        _ => Ending::Done,
    }
}

/// Makes one call, and returns its answer as text. All stores number ids in the same order.
async fn call(store: &dyn InboxStore, random: &mut Random, ids: u64) -> String {
    let consumer: Arc<str> = if random.chance(80) { "one" } else { "two" }.into();
    let id = InboxId::from_u64(random.below(ids) + 1);
    let holder = token(random.below(3));
    match random.below(12) {
        0..4 => {
            let events = (0..=random.below(3)).map(|_| event(random, &consumer)).collect();
            let mut request = AcceptRequest::new(consumer, events);
            request.limit = random.chance(30).then(|| random.below(8));
            format!("accept {:?}", store.accept(request).await.unwrap())
        }
        4..7 => {
            let limit = u32::try_from(random.below(4)).unwrap();
            let mut request = InboxLease::new(consumer, holder, MINUTE * 5, limit, 3);
            if random.chance(40) {
                request.source_limit = Some(u32::try_from(random.below(3)).unwrap());
                request.held = vec![("acme".into(), u32::try_from(random.below(2)).unwrap())];
            }
            let leases = store.lease(request).await.unwrap();
            let events: Vec<_> = leases
                .events
                .iter()
                .map(|event| (event.id, event.key, event.attempt, event.round_attempt, event.content.body.clone()))
                .collect();
            format!("lease {events:?} {} {}", leases.exhausted, leases.next_due.is_some())
        }
        7..9 => format!("finish {:?}", store.finish(id, holder, ending(random)).await.unwrap()),
        9 => format!("renew {:?}", store.renew(id, holder, MINUTE * 7).await.unwrap()),
        10 => {
            let change = if random.chance(60) { Change::Replay } else { Change::Discard };
            let ids = vec![id, InboxId::from_u64(random.below(ids) + 1)];
            format!("change {}", store.change(consumer, change, Selection::Ids(ids), 10).await.unwrap())
        }
        _ if random.chance(20) => format!("erase {}", store.erase(consumer, "t".into(), 2).await.unwrap()),
        _ => {
            let keep = InboxRetention::new(MINUTE * 20, MINUTE * 60);
            format!("purge {}", store.purge(consumer, keep, 1000).await.unwrap())
        }
    }
}

/// All events, without their times, which depend on the speed of the machine.
async fn state(store: &dyn InboxStore) -> Vec<String> {
    let mut all = Vec::new();
    for consumer in ["one", "two"] {
        for record in store.events(consumer.into(), InboxQuery::default(), 1000).await.unwrap() {
            let full = store.event(record.id).await.unwrap().unwrap();
            all.push(format!(
                "{consumer} {} {:?} {} {} {:?} {:?} {:?}",
                record.id,
                record.state,
                record.attempt,
                record.due_at.is_some(),
                record.reason,
                record.tenant,
                full.content.map(|content| content.body),
            ));
        }
    }
    all
}

#[tokio::test]
async fn random_histories_are_answered_alike_by_every_store() {
    let (histories, calls) = if std::env::var_os("TOWER_WEBHOOKS_LONG").is_some() { (60, 400) } else { (6, 120) };
    for history in 0..histories {
        let seed = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(history + 1);
        let (folder, offset) = (tempfile::tempdir().unwrap(), ClockOffset::default());
        let file = sqlite(&folder, &offset).await;
        let (_server, server) = postgres(PostgresStore::options(), &offset).await;
        let (_streams, streams) = redis(RedisStore::options(), &offset).await;
        let memory = MemoryInbox::with_offset(offset.clone());
        let stores: [&dyn InboxStore; 4] = [&memory, &file, &server, &streams];
        let (mut random, mut log) = (Random(seed), Vec::new());
        for number in 0..calls {
            let from = random.0;
            let mut answers = Vec::new();
            for store in stores {
                random = Random(from);
                answers.push(call(store, &mut random, 20).await);
            }
            log.push(answers[0].clone());
            let ours = state(stores[0]).await;
            for (store, answer) in stores.iter().zip(&answers).skip(1) {
                let at = answers.iter().position(|other| std::ptr::eq(other, answer));
                assert_eq!(answers[0], *answer, "store {at:?}, history {history}, call {number}: {log:#?}");
                assert_eq!(ours, state(*store).await, "history {history}, after call {number}: {log:#?}");
            }
            // Events that one call makes due are due before those of the next call, even if both take less than a
            // millisecond.
            offset.advance(Duration::from_millis(2));
            if random.chance(25) {
                // Half a minute away from every limit, so that the speed of the machine has no effect.
                offset.advance(MINUTE * u32::try_from(random.below(8)).unwrap() + MINUTE / 2);
            }
        }
    }
}
