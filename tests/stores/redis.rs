//! `RedisStore`, against real servers that the tests start.

use std::{sync::Arc, time::Duration};

use redis::aio::MultiplexedConnection;
use tokio::time::Instant;
use tower_webhooks::{
    clock::ClockOffset,
    conformance::{self, OffsetHarness, Purge},
    error::StoreErrorKind,
    idempotency::{ABANDONED_AFTER, ClaimOutcome, ClaimRequest, Fenced, IdempotencyStore},
    store::redis::{RedisStore, RedisStoreOptions},
};

use crate::support::{
    claims::{
        DELAY, LEASE, MARGIN, RETENTION, TIMEOUT, child_url, completion, counts, fails_in_time, race, race_in_child,
        race_processes, request,
    },
    interleavings::check_interleavings,
    process::free_port,
    proxy::{Fault, Proxy},
    redis_server::{Cluster, RedisServer, admin},
    test_name,
};

// The contract

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_keeps_the_contract() {
    let (_server, store, offset) = store_with_offset().await;

    conformance::idempotency(&OffsetHarness::new(store, offset).with_purge(Purge::ByItself)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_keeps_the_contract_as_a_boxed_store() {
    let (_server, store, offset) = store_with_offset().await;
    let store: Box<dyn IdempotencyStore> = Box::new(store);

    conformance::idempotency(&OffsetHarness::new(store, offset).with_purge(Purge::ByItself)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_keeps_the_contract_as_a_shared_store() {
    let (_server, store, offset) = store_with_offset().await;
    let store: Arc<dyn IdempotencyStore> = Arc::new(store);

    conformance::idempotency(&OffsetHarness::new(store, offset).with_purge(Purge::ByItself)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_keeps_the_contract_in_a_cluster() {
    let cluster = Cluster::start().await;
    let offset = ClockOffset::default();
    let options = RedisStore::options().clock_offset(offset.clone());
    let store = options.connect_cluster([cluster.nodes[0].url().as_str()]).await.unwrap();

    conformance::idempotency(&OffsetHarness::new(store, offset).with_purge(Purge::ByItself)).await;

    for node in &cluster.nodes {
        let mut admin = admin(node).await;
        let keys: i64 = redis::cmd("DBSIZE").query_async(&mut admin).await.unwrap();
        assert!(keys > 0, "a node was never asked");
    }
}

#[test]
fn random_interleavings_are_answered_as_the_model_says() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (_server, store, offset) = runtime.block_on(store_with_offset());

    check_interleavings(&runtime, &OffsetHarness::new(store, offset).with_purge(Purge::ByItself), 30);
}

// Claims

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_simultaneous_claims_through_several_connections_one_wins() {
    let server = RedisServer::start();
    let stores = [RedisStore::connect(&server.url()).await.unwrap(), RedisStore::connect(&server.url()).await.unwrap()];

    for round in 0..counts(6, 60) {
        assert_eq!(race(&stores, round, 64).await, [1], "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_simultaneous_takeovers_one_wins_and_counts_the_attempt() {
    let (_server, store, offset) = store_with_offset().await;
    assert!(matches!(store.claim(request(1)).await.unwrap(), ClaimOutcome::Acquired { attempt: 1 }));

    for attempt in 2..counts(8, 60) {
        offset.advance(LEASE);
        assert_eq!(race(std::slice::from_ref(&store), 1, 64).await, [attempt]);
    }
}

#[tokio::test]
async fn of_simultaneous_claims_by_several_processes_one_wins() {
    let server = RedisServer::start();

    race_processes(test_name!("child_process_claims"), &server.url(), counts(10, 200)).await;
}

/// Runs in a process of its own, started by the test above.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_process_claims() {
    if let Some(url) = child_url() {
        race_in_child(RedisStore::connect(&url).await.unwrap()).await;
    }
}

// Records

#[tokio::test]
async fn a_delivery_is_one_key_that_expires_when_nobody_needs_it() {
    let server = RedisServer::start();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let mut admin = admin(&server).await;
    let first = request(1);

    assert!(matches!(store.claim(first).await.unwrap(), ClaimOutcome::Acquired { .. }));
    expires_in(&mut admin, first, LEASE + ABANDONED_AFTER).await;
    assert_eq!(store.renew(first.key, first.token, 10 * LEASE).await.unwrap(), Fenced::Applied);
    expires_in(&mut admin, first, 10 * LEASE + ABANDONED_AFTER).await;
    assert_eq!(store.release(first.key, first.token).await.unwrap(), Fenced::Applied);
    expires_in(&mut admin, first, ABANDONED_AFTER).await;
    assert!(matches!(store.claim(first).await.unwrap(), ClaimOutcome::Acquired { attempt: 2 }));
    assert_eq!(store.complete(first.key, first.token, completion()).await.unwrap(), Fenced::Applied);
    expires_in(&mut admin, first, RETENTION).await;

    let keys: i64 = redis::cmd("DBSIZE").query_async(&mut admin).await.unwrap();
    assert_eq!(keys, 1);
}

#[tokio::test]
async fn a_record_of_another_version_is_left_alone() {
    let server = RedisServer::start();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let mut admin = admin(&server).await;
    let first = request(1);
    let newer = [&[2_u8][..], b"something newer"].concat();
    let () = redis::cmd("SET").arg(name(first)).arg(&newer).query_async(&mut admin).await.unwrap();

    for error in [
        store.claim(first).await.unwrap_err(),
        store.complete(first.key, first.token, completion()).await.unwrap_err(),
        store.release(first.key, first.token).await.unwrap_err(),
        store.renew(first.key, first.token, LEASE).await.unwrap_err(),
        store.is_done(first.key, first.token).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), StoreErrorKind::Schema);
        assert!(error.to_string().contains("upgrade"), "{error}");
    }
    let kept: Vec<u8> = redis::cmd("GET").arg(name(first)).query_async(&mut admin).await.unwrap();
    assert_eq!(kept, newer);
}

#[tokio::test]
async fn what_is_no_record_is_corrupt_and_left_alone() {
    let server = RedisServer::start();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let mut admin = admin(&server).await;
    let (list, cut, empty) = (request(1), request(2), request(3));
    let () = redis::cmd("RPUSH").arg(name(list)).arg("x").query_async(&mut admin).await.unwrap();
    let () = redis::cmd("SET").arg(name(cut)).arg(&b"\x01P"[..]).query_async(&mut admin).await.unwrap();
    let () = redis::cmd("SET").arg(name(empty)).arg("").query_async(&mut admin).await.unwrap();

    for claim in [list, cut] {
        assert_eq!(store.claim(claim).await.unwrap_err().kind(), StoreErrorKind::Corrupt);
    }
    assert_eq!(store.claim(empty).await.unwrap_err().kind(), StoreErrorKind::Schema);
}

#[tokio::test]
async fn prefixes_keep_applications_apart() {
    let server = RedisServer::start();
    let one = RedisStore::connect(&server.url()).await.unwrap();
    let options = RedisStore::options().key_prefix("other_").unwrap();
    let other = options.connect(&server.url()).await.unwrap();

    assert!(matches!(one.claim(request(1)).await.unwrap(), ClaimOutcome::Acquired { .. }));
    assert!(matches!(other.claim(request(1)).await.unwrap(), ClaimOutcome::Acquired { .. }));
}

// Faults

#[tokio::test]
async fn a_call_is_one_round_trip() {
    let server = RedisServer::start();
    let proxy = Proxy::before(server.port()).await;
    let store = connect(RedisStore::options(), &proxy).await;
    // The first call of each script sends its text.
    let warm = request(0);
    assert!(matches!(store.claim(warm).await.unwrap(), ClaimOutcome::Acquired { .. }));
    assert_eq!(store.complete(warm.key, warm.token, completion()).await.unwrap(), Fenced::Applied);
    let first = request(1);
    proxy.take_trips();

    assert!(matches!(store.claim(first).await.unwrap(), ClaimOutcome::Acquired { .. }));
    assert_eq!(proxy.take_trips(), 1, "claim");
    assert!(matches!(store.claim(request(1)).await.unwrap(), ClaimOutcome::InFlight { .. }));
    assert_eq!(proxy.take_trips(), 1, "duplicate in flight");
    assert_eq!(store.complete(first.key, first.token, completion()).await.unwrap(), Fenced::Applied);
    assert_eq!(proxy.take_trips(), 1, "complete");
    assert!(matches!(store.claim(request(1)).await.unwrap(), ClaimOutcome::Done { .. }));
    assert_eq!(proxy.take_trips(), 1, "duplicate after");
}

#[tokio::test]
async fn an_unreachable_server_is_unavailable_within_the_timeout_and_a_retry_is_safe() {
    for fault in [Fault::Hang, Fault::Refuse, Fault::CutAfterSend, Fault::CutBeforeSend] {
        let server = RedisServer::start();
        let proxy = Proxy::before(server.port()).await;
        let store = connect(RedisStore::options().timeout(TIMEOUT), &proxy).await;
        let first = request(1);

        fails_in_time(&proxy, fault, store.claim(first)).await;
        let claimed = eventually(&store, first).await;
        assert!(matches!(claimed, ClaimOutcome::Acquired { attempt: 1 }), "{fault:?}: {claimed:?}");

        fails_in_time(&proxy, fault, store.complete(first.key, first.token, completion())).await;
        assert!(matches!(eventually(&store, request(2)).await, ClaimOutcome::Acquired { .. }));
        assert_eq!(store.complete(first.key, first.token, completion()).await.unwrap(), Fenced::Applied, "{fault:?}");

        let second = request(3);
        assert!(matches!(store.claim(second).await.unwrap(), ClaimOutcome::Acquired { .. }));
        fails_in_time(&proxy, fault, store.release(second.key, second.token)).await;
        assert!(matches!(eventually(&store, request(4)).await, ClaimOutcome::Acquired { .. }));
        assert_eq!(store.release(second.key, second.token).await.unwrap(), Fenced::Applied, "{fault:?}");
        assert!(matches!(store.claim(request(3)).await.unwrap(), ClaimOutcome::Acquired { attempt: 2 }), "{fault:?}");
    }
}

/// At start an unreachable server is an error at once, and the error names its address.
#[tokio::test]
async fn a_start_without_a_server_fails_at_once_and_names_the_address() {
    let port = crate::support::process::free_port();
    let asked = Instant::now();

    let single = RedisStore::connect(&format!("redis://user:opensesame@127.0.0.1:{port}/")).await.unwrap_err();
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    let url = format!("redis://user:opensesame@127.0.0.1:{port}/");
    let cluster = RedisStore::options().timeout(TIMEOUT).connect_cluster([&*url]).await.unwrap_err();

    for error in [single, cluster] {
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        assert!(error.to_string().contains(&format!("127.0.0.1:{port}")), "{error}");
        let mut cause: Option<&dyn std::error::Error> = Some(&error);
        while let Some(error) = cause {
            assert!(!format!("{error} {error:?}").contains("opensesame"), "{error:?}");
            cause = error.source();
        }
    }
}

#[tokio::test]
async fn a_start_with_a_server_that_does_not_answer_ends_with_the_timeout() {
    let server = RedisServer::start();
    let proxy = Proxy::before(server.port()).await;
    proxy.set(Fault::Hang);
    let asked = Instant::now();

    let url = format!("redis://127.0.0.1:{}/", proxy.port());
    let error = RedisStore::options().timeout(TIMEOUT).connect(&url).await.unwrap_err();

    assert!(error.to_string().contains(&format!("127.0.0.1:{}", proxy.port())), "{error}");
    assert!(asked.elapsed() < TIMEOUT + Duration::from_secs(10), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn a_slow_server_is_waited_for() {
    let server = RedisServer::start();
    let proxy = Proxy::before(server.port()).await;
    let store = connect(RedisStore::options(), &proxy).await;

    proxy.set(Fault::Delay(DELAY));
    let asked = Instant::now();

    assert!(matches!(store.claim(request(1)).await.unwrap(), ClaimOutcome::Acquired { .. }));
    assert!(asked.elapsed() >= DELAY);
}

#[tokio::test]
async fn a_stopped_server_gives_unavailable_and_is_found_again() {
    let server = RedisServer::start();
    let store = RedisStore::options().timeout(TIMEOUT).connect(&server.url()).await.unwrap();
    let first = request(1);

    server.signal("STOP");
    let asked = Instant::now();
    let error = store.claim(first).await.unwrap_err();
    let waited = asked.elapsed();
    server.signal("CONT");

    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(waited < TIMEOUT + MARGIN, "{waited:?}");
    assert!(matches!(eventually(&store, first).await, ClaimOutcome::Acquired { attempt: 1 }));
}

#[tokio::test]
async fn a_server_that_forgot_the_scripts_is_sent_them_again() {
    let server = RedisServer::start();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let mut admin = admin(&server).await;
    let first = request(1);
    assert!(matches!(store.claim(first).await.unwrap(), ClaimOutcome::Acquired { .. }));

    let () = redis::cmd("SCRIPT").arg("FLUSH").query_async(&mut admin).await.unwrap();

    assert!(matches!(store.claim(request(1)).await.unwrap(), ClaimOutcome::InFlight { .. }));
    assert_eq!(store.complete(first.key, first.token, completion()).await.unwrap(), Fenced::Applied);
}

#[tokio::test]
async fn a_restarted_server_is_found_again_with_its_records() {
    let mut server = RedisServer::start();
    let store = RedisStore::options().timeout(TIMEOUT).connect(&server.url()).await.unwrap();
    let first = request(1);
    assert!(matches!(store.claim(first).await.unwrap(), ClaimOutcome::Acquired { .. }));

    server.restart();
    assert!(matches!(store.claim(request(1)).await.unwrap(), ClaimOutcome::InFlight { .. }), "after a restart");

    server.stop();
    assert_eq!(store.claim(request(1)).await.unwrap_err().kind(), StoreErrorKind::Unavailable);
    server.restart();
    assert!(matches!(eventually(&store, request(1)).await, ClaimOutcome::InFlight { .. }), "after an outage");
    assert_eq!(store.complete(first.key, first.token, completion()).await.unwrap(), Fenced::Applied);
}

#[tokio::test]
async fn a_full_server_says_full_and_drops_no_claim() {
    let server = RedisServer::with_arguments(&["--maxmemory-policy", "noeviction"]);
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let mut admin = admin(&server).await;
    let first = request(1);
    assert!(matches!(store.claim(first).await.unwrap(), ClaimOutcome::Acquired { .. }));

    let () = redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg("1kb").query_async(&mut admin).await.unwrap();

    assert_eq!(store.claim(request(2)).await.unwrap_err().kind(), StoreErrorKind::Full);
    assert_eq!(store.complete(first.key, first.token, completion()).await.unwrap_err().kind(), StoreErrorKind::Full);
    assert!(matches!(store.claim(request(1)).await.unwrap(), ClaimOutcome::InFlight { .. }));
}

#[tokio::test]
async fn a_replica_is_unavailable_for_claims() {
    let server = RedisServer::start();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let mut admin = admin(&server).await;

    let nobody = free_port().to_string();
    let () = redis::cmd("REPLICAOF").arg("127.0.0.1").arg(nobody).query_async(&mut admin).await.unwrap();

    assert_eq!(store.claim(request(1)).await.unwrap_err().kind(), StoreErrorKind::Unavailable);
}

#[tokio::test]
async fn nobody_there_is_unavailable_within_the_timeout() {
    let asked = Instant::now();

    let url = format!("redis://127.0.0.1:{}/", free_port());
    let error = RedisStore::options().timeout(TIMEOUT).connect(&url).await.unwrap_err();

    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(asked.elapsed() < TIMEOUT + MARGIN);
}

#[tokio::test]
async fn there_is_no_transaction_to_join() {
    let server = RedisServer::start();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let first = request(1);

    let error = store.complete_in(&mut (), first.key, first.token, completion()).await.unwrap_err();

    assert_eq!(error.kind(), StoreErrorKind::WrongTransaction);
}

// Helpers

async fn store_with_offset() -> (RedisServer, RedisStore, ClockOffset) {
    let server = RedisServer::start();
    let offset = ClockOffset::default();
    let store = RedisStore::options().clock_offset(offset.clone()).connect(&server.url()).await.unwrap();
    (server, store, offset)
}

async fn connect(options: RedisStoreOptions, proxy: &Proxy) -> RedisStore {
    options.connect(&format!("redis://127.0.0.1:{}/", proxy.port())).await.unwrap()
}

/// Claims until the server is found again: the connection is being opened by its manager, a little later each time.
async fn eventually(store: &RedisStore, claim: ClaimRequest) -> ClaimOutcome {
    let asked = Instant::now();
    loop {
        match store.claim(claim).await {
            Ok(outcome) => return outcome,
            Err(error) if error.kind() == StoreErrorKind::Unavailable && asked.elapsed() < Duration::from_secs(10) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
}

async fn expires_in(admin: &mut MultiplexedConnection, claim: ClaimRequest, after: Duration) {
    let left: u64 = redis::cmd("PTTL").arg(name(claim)).query_async(admin).await.unwrap();
    let left = Duration::from_millis(left);
    assert!(left <= after && left > after - Duration::from_secs(10), "{left:?} of {after:?}");
}

fn name(claim: ClaimRequest) -> String {
    format!("webhook_claim:{:032x}", u128::from_be_bytes(claim.key.to_bytes()))
}
