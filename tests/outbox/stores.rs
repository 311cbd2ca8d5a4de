//! Every outbox keeps the contract, as the bare type, `Box<dyn _>` and `Arc<dyn _>`.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;
use tower_webhooks::{
    BoxFuture,
    clock::ClockOffset,
    conformance,
    send::{
        After, AttemptRecord, DeliveryRecord, EndpointDraft, EndpointId, EndpointSettings, Fenced, Finish,
        LeaseRequest, LeaseToken, Message, OutboxEndpoints, OutboxQueue, OutboxStore, Sealed, SentDeliveryId, Style,
    },
    store::{MemoryOutbox, SqliteStore, sqlite::SqliteStoreOptions},
};

fn by(offset: &ClockOffset) -> impl Fn(Duration) -> BoxFuture<'static, ()> + use<'_> {
    |by| {
        offset.advance(by);
        Box::pin(std::future::ready(()))
    }
}

async fn sqlite(folder: &tempfile::TempDir, offset: &ClockOffset) -> SqliteStore {
    let url = format!("sqlite://{}/outbox.db", folder.path().display());
    SqliteStoreOptions::new().clock_offset(offset.clone()).connect(&url).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_keeps_the_contract() {
    let offset = ClockOffset::default();
    conformance::outbox(MemoryOutbox::with_offset(offset.clone()), by(&offset)).await;
    let boxed: Box<dyn OutboxStore> = Box::new(MemoryOutbox::with_offset(offset.clone()));
    conformance::outbox(boxed, by(&offset)).await;
    let shared: Arc<dyn OutboxStore> = Arc::new(MemoryOutbox::with_offset(offset.clone()));
    conformance::outbox(shared, by(&offset)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_keeps_the_contract() {
    let (folder, offset) = (tempfile::tempdir().unwrap(), ClockOffset::default());
    conformance::outbox(sqlite(&folder, &offset).await, by(&offset)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_keeps_the_contract_boxed_and_shared() {
    let (folder, offset) = (tempfile::tempdir().unwrap(), ClockOffset::default());
    let boxed: Box<dyn OutboxStore> = Box::new(sqlite(&folder, &offset).await);
    conformance::outbox(boxed, by(&offset)).await;
    let (folder, offset) = (tempfile::tempdir().unwrap(), ClockOffset::default());
    let shared: Arc<dyn OutboxStore> = Arc::new(sqlite(&folder, &offset).await);
    conformance::outbox(shared, by(&offset)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_in_memory_keeps_the_contract() {
    let offset = ClockOffset::default();
    let store = SqliteStoreOptions::new().clock_offset(offset.clone()).connect("sqlite::memory:").await.unwrap();
    conformance::outbox(store, by(&offset)).await;
}

/// More of them than one call of `lease` looks at.
#[tokio::test]
async fn many_endpoints_without_room_hold_up_no_other() {
    let (folder, offset) = (tempfile::tempdir().unwrap(), ClockOffset::default());
    let store = sqlite(&folder, &offset).await;
    let register = async |tenant: &str| {
        let sealed = Sealed::new("", &b"sealed"[..]);
        let settings = EndpointSettings::new("https://example.com/", vec!["*".into()], Style::StandardWebhooks, sealed);
        store
            .create_endpoint(EndpointDraft::new(EndpointId::random().unwrap(), tenant, settings), u32::MAX)
            .await
            .unwrap();
    };
    let message = |tenant: &str| Message::new("a", &1).unwrap().tenant(tenant);
    let lease = async |limit| {
        let leases = store
            .lease(LeaseRequest::new(LeaseToken::random().unwrap(), Duration::from_secs(600), limit))
            .await
            .unwrap();
        leases.deliveries.len()
    };
    for _ in 0..260 {
        register("slow").await;
    }
    for _ in 0..5 {
        store.dispatch(vec![message("slow")]).await.unwrap();
    }
    let mut leased = 0;
    while let more @ 1.. = lease(10_000).await {
        leased += more;
    }
    assert_eq!(leased, 260 * 4);

    register("quick").await;
    store.dispatch(vec![message("quick")]).await.unwrap();

    assert_eq!(lease(10).await, 1);
}

/// With `TOWER_WEBHOOKS_LONG` an endpoint that gets 28 deliveries a second is down for an hour, and 100,000 of them wait.
#[tokio::test]
async fn an_endpoint_that_was_down_for_an_hour_sees_at_most_twice_its_rate() {
    const RATE: u32 = 28;
    let long = std::env::var_os("TOWER_WEBHOOKS_LONG").is_some_and(|value| value == "1");
    let (steady, outage) = if long { (1200, 3600) } else { (60, 10) };
    let offset = ClockOffset::default();
    let store = SqliteStoreOptions::new().clock_offset(offset.clone()).connect("sqlite::memory:").await.unwrap();
    let sealed = Sealed::new("", &b"sealed"[..]);
    let settings = EndpointSettings::new("https://example.com/", vec!["*".into()], Style::StandardWebhooks, sealed);
    let draft = EndpointDraft::new(EndpointId::random().unwrap(), "", settings);
    store.create_endpoint(draft, 1).await.unwrap().unwrap();
    let started = Instant::now();
    let mut passed = Duration::ZERO;
    let mut advance = |by| {
        offset.advance(by);
        passed += by;
        (started.elapsed() + passed).as_secs_f64()
    };
    let dispatch = async || {
        let messages = (0..RATE).map(|_| Message::new("a", &1).unwrap()).collect();
        store.dispatch(messages).await.unwrap();
    };
    // Gives how many were leased, or else how long until more are.
    let work = async |limit, after| {
        let token = LeaseToken::random().unwrap();
        let leases = store.lease(LeaseRequest::new(token, Duration::from_secs(30), limit)).await.unwrap();
        for delivery in &leases.deliveries {
            assert_eq!(store.finish(delivery.id, token, Finish::new(after)).await.unwrap().0, Fenced::Applied);
        }
        (leases.deliveries.len(), leases.next_due)
    };

    for _ in 0..steady {
        dispatch().await;
        while work(64, After::Delivered).await.0 > 0 {}
        advance(Duration::from_secs(1));
    }
    let rate = f64::from(RATE * steady) / advance(Duration::ZERO);
    let mut waiting = 0;
    for second in 0..outage {
        dispatch().await;
        waiting += RATE as usize;
        if second < 5 {
            waiting -= work(1, After::Exhausted).await.0;
        }
        advance(Duration::from_secs(1));
    }
    advance(Duration::from_secs(30));

    let mut leased = Vec::new();
    loop {
        match work(64, After::Delivered).await {
            (0, None) => break,
            (0, Some(next)) => drop(advance(next)),
            (count, _) => leased.push((advance(Duration::ZERO), count)),
        }
    }

    assert_eq!(leased.iter().map(|(_, count)| count).sum::<usize>(), waiting);
    let most = (2.0 * rate * 10.0).max(102.0);
    let (mut first, mut in_window) = (0, 0);
    for (at, count) in &leased {
        in_window += count;
        while leased[first].0 <= at - 10.0 {
            in_window -= leased[first].1;
            first += 1;
        }
        assert!(in_window as f64 <= most, "{in_window} in ten seconds, at most {most}");
    }
    let took = leased[leased.len() - 1].0 - leased[0].0;
    let least = if long { 1.6 * rate } else { 9.0 };
    assert!(waiting as f64 / took >= least, "{waiting} in {took} s, a rate of {rate}");
    dispatch().await;
    assert_eq!(work(64, After::Delivered).await.0, 4, "and then it goes on as before");
    println!("{waiting} in {took:.0} s after a rate of {rate:.1}; the test took {:?}", started.elapsed());
}

/// The records that a store answers with can be made outside of this crate too.
#[test]
fn a_store_can_make_every_record() {
    let at = SystemTime::UNIX_EPOCH;
    let message = Message::new("a", &1).unwrap().tenant("acme");
    let endpoint = EndpointId::random().unwrap();
    let mut finish = Finish::new(After::Delivered);
    finish.status = Some(204);

    let delivery = DeliveryRecord::new(SentDeliveryId::from_u64(1), &message, endpoint, at);
    let attempt = AttemptRecord::new(1, at, finish);

    assert_eq!((&*delivery.tenant, &*delivery.event_type, delivery.endpoint), ("acme", "a", endpoint));
    assert_eq!((attempt.attempt, attempt.status, attempt.error), (1, Some(204), None));
}
