//! The inbox in Redis: processes that are killed, a server that goes away, hangs or is full, and somebody else who changes the stream.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{extract::State, http::StatusCode};
use bytes::Bytes;
use redis::aio::MultiplexedConnection;
use tokio::sync::Notify;
use tower_webhooks::{
    Delivery, EventRouter, Inbox,
    clock::ClockOffset,
    error::StoreErrorKind,
    idempotency::ClaimKey,
    inbox::{
        AcceptRequest, Accepted, Content, Ending, EventDraft, EventState, Fenced, Guard, InboxLease, InboxQuery,
        InboxStore, LeaseToken,
    },
    store::RedisStore,
};

use super::{
    durable::{self, AT_ONCE, SPOILED, is_long},
    shop::{AGES, Running, Shop, app, delivered, events, inbox, order, send, until, until_all_ended},
    stores::redis as store,
};
use crate::support::{
    logs::Logs,
    proxy::{Fault, Proxy},
    redis_server::{RedisServer, admin},
    test_name,
};

const STREAM: &str = "{webhook_inbox}:arrivals:inbox";

async fn new() -> (RedisServer, RedisStore) {
    store(RedisStore::options(), &ClockOffset::default()).await
}

async fn ask<T: redis::FromRedisValue>(admin: &mut MultiplexedConnection, command: &str) -> T {
    let mut words = command.split(' ');
    let mut asked = redis::cmd(words.next().unwrap());
    words.for_each(|word| _ = asked.arg(word));
    asked.query_async(admin).await.unwrap()
}

// --- processes --------------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_never_run_one_event_at_the_same_time() {
    let (server, store) = new().await;
    let other = RedisStore::connect(&server.url()).await.unwrap();
    durable::two_workers_never_run_one_event_at_the_same_time([store, other]).await;
}

#[tokio::test]
async fn a_kill_right_after_the_answer_loses_nothing() {
    if let Some(url) = durable::url_of_child() {
        return durable::serve(RedisStore::connect(&url).await.unwrap()).await;
    }
    let server = RedisServer::start();
    let url = server.url();
    let test = test_name!("a_kill_right_after_the_answer_loses_nothing");
    let open = async || RedisStore::connect(&url).await.unwrap();
    durable::kills_right_after_the_answer_lose_nothing(&url, test, open).await;
}

/// Notes each run in the server. There is no transaction in which an event could end with it.
async fn note(State(mut db): State<MultiplexedConnection>, delivery: Delivery) -> StatusCode {
    static RUNS: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let run = RUNS.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    if run % 20 == 7 || delivered(&delivery).starts_with(SPOILED) {
        return StatusCode::INTERNAL_SERVER_ERROR;
    }
    let noted: Result<(), _> =
        redis::cmd("HINCRBY").arg("effects").arg(delivered(&delivery)).arg(1).query_async(&mut db).await;
    tokio::time::sleep(Duration::from_millis(2)).await;
    if noted.is_ok() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_processes_that_are_killed_lose_no_event() {
    if let Some(url) = durable::url_of_child() {
        let db = redis::Client::open(&*url).unwrap().get_multiplexed_async_connection().await.unwrap();
        let router = EventRouter::new().on("*", note).with_state(db);
        let inbox = Inbox::new(RedisStore::connect(&url).await.unwrap(), router);
        let worker = inbox.worker().with_concurrency(8).with_retries(AT_ONCE(50)).with_lease(Duration::from_secs(1));
        return worker.with_poll_interval(Duration::from_millis(50)).run(std::future::pending()).await;
    }
    let (server, store) = new().await;
    let url = server.url();
    let test = test_name!("worker_processes_that_are_killed_lose_no_event");
    let db = admin(&server).await;
    let effects = async |id: String| {
        let effects: Option<i64> =
            redis::cmd("HGET").arg("effects").arg(id).query_async(&mut db.clone()).await.unwrap();
        effects.unwrap_or_default()
    };
    durable::worker_processes_that_are_killed((&url, test), store, effects, |effects| effects >= 1).await;
    // A kill may repeat what the killed process was working, and nothing else.
    let (of_kill, kills) = (8, if is_long() { 200 } else { 4 });
    let all: Vec<i64> = redis::cmd("HVALS").arg("effects").query_async(&mut db.clone()).await.unwrap();
    let again: i64 = all.iter().map(|effects| effects - 1).sum();
    assert!(again <= of_kill * (kills + 3), "{again} effects are there more than once");
}

// --- a server that goes away -----------------------------------------------------------------------------------------

/// Sends events with ids of their own, and notes which were accepted.
async fn send_some(app: &axum::Router, name: &str, accepted: &Mutex<HashSet<String>>, number: u32) -> u32 {
    let mut refused = 0;
    for number in 0..number {
        let id = format!("{name} {number}");
        let answer = send(app, order(&id)).await;
        match answer.status {
            StatusCode::ACCEPTED => drop(accepted.lock().unwrap().insert(id)),
            StatusCode::SERVICE_UNAVAILABLE => {
                assert!(answer.retry_after.is_some(), "{id}");
                refused += 1;
            }
            other => panic!("{id}: {other}"),
        }
    }
    refused
}

async fn nothing_accepted_is_missing(inbox: &Inbox, worker: Running, shop: &Shop, accepted: &Mutex<HashSet<String>>) {
    until("all have ended", async || inbox.stats().await.is_ok_and(|stats| stats.pending + stats.working == 0)).await;
    worker.stop().await;
    let done: HashSet<_> = shop.done().into_iter().collect();
    let accepted = accepted.lock().unwrap();
    let missing: Vec<_> = accepted.difference(&done).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_goes_or_hangs_is_503_and_nothing_accepted_is_missing() {
    let server = RedisServer::start();
    let proxy = Proxy::before(server.port()).await;
    let url = format!("redis://127.0.0.1:{}/", proxy.port());
    let store = RedisStore::options().timeout(Duration::from_millis(500)).connect(&url).await.unwrap();
    let (shop, accepted) = (Shop::default(), Mutex::default());
    let inbox = inbox(store, &shop);
    let app = app(&inbox);
    let worker = Running::start(inbox.worker().with_lease(Duration::from_secs(1)));

    assert_eq!(send_some(&app, "before", &accepted, 10).await, 0);
    for fault in [Fault::Refuse, Fault::Hang, Fault::CutAfterSend, Fault::CutBeforeSend] {
        proxy.set(fault);
        let refused = send_some(&app, &format!("{fault:?}"), &accepted, 3).await;
        assert_eq!(refused, 3, "{fault:?}");
        proxy.cut().await;
        let again = format!("after {fault:?}");
        until("the server answers again", async || send_some(&app, &again, &accepted, 1).await == 0).await;
    }
    nothing_accepted_is_missing(&inbox, worker, &shop, &accepted).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_is_503_and_nothing_accepted_is_missing() {
    let server = RedisServer::start();
    let store = RedisStore::options().timeout(Duration::from_millis(500)).connect(&server.url()).await.unwrap();
    let (shop, accepted) = (Shop::default(), Mutex::default());
    let inbox = inbox(store, &shop);
    let app = app(&inbox);
    let worker = Running::start(inbox.worker().with_lease(Duration::from_secs(1)));
    assert_eq!(send_some(&app, "before", &accepted, 10).await, 0);

    server.signal("STOP");
    let refused = send_some(&app, "meanwhile", &accepted, 2).await;
    server.signal("CONT");

    assert_eq!(refused, 2);
    until("the server answers again", async || send_some(&app, "after", &accepted, 1).await == 0).await;
    nothing_accepted_is_missing(&inbox, worker, &shop, &accepted).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_and_started_again_has_what_it_accepted() {
    let mut server = RedisServer::start();
    let store = RedisStore::options().timeout(Duration::from_secs(1)).connect(&server.url()).await.unwrap();
    let (shop, accepted) = (Shop::default(), Mutex::default());
    let inbox = inbox(store, &shop);
    let app = app(&inbox);
    assert_eq!(send_some(&app, "before", &accepted, 20).await, 0);
    let worker = Running::start(inbox.worker().with_lease(Duration::from_secs(1)));

    server.signal("KILL");
    server.stop();
    assert_eq!(send_some(&app, "meanwhile", &accepted, 3).await, 3);
    server.restart();

    until("the server answers again", async || send_some(&app, "after", &accepted, 1).await == 0).await;
    nothing_accepted_is_missing(&inbox, worker, &shop, &accepted).await;
}

#[tokio::test]
async fn a_full_server_is_503_and_nothing_accepted_is_lost() {
    let (server, store) = new().await;
    let (shop, accepted, mut admin) = (Shop::default(), Mutex::default(), admin(&server).await);
    let inbox = inbox(store, &shop);
    let app = app(&inbox);
    assert_eq!(send_some(&app, "before", &accepted, 5).await, 0);

    let () = ask(&mut admin, "CONFIG SET maxmemory 1kb").await;
    assert_eq!(send_some(&app, "full", &accepted, 3).await, 3);
    let () = ask(&mut admin, "CONFIG SET maxmemory 0").await;

    assert_eq!(send_some(&app, "full", &accepted, 3).await, 0);
    let worker = Running::start(inbox.worker());
    nothing_accepted_is_missing(&inbox, worker, &shop, &accepted).await;
    assert_eq!(shop.runs().len(), 8, "what was refused was not stored in part");
}

// --- what the server keeps -------------------------------------------------------------------------------------------

/// What is logged of a server with these arguments when an inbox over it accepts its first event.
async fn told(arguments: &[&str]) -> Vec<String> {
    let (logs, _guard) = Logs::capture();
    let server = RedisServer::with_arguments(arguments);
    let inbox = inbox(RedisStore::connect(&server.url()).await.unwrap(), &Shop::default());
    for id in ["1", "2"] {
        assert_eq!(send(&app(&inbox), order(id)).await.status, StatusCode::ACCEPTED);
    }
    logs.ours().into_iter().filter(|line| line.contains("not as durable")).collect()
}

#[tokio::test]
async fn a_server_that_may_lose_what_it_accepted_is_warned_of_once() {
    let nothing = told(&["--appendonly", "no"]).await;
    assert!(nothing.len() == 1 && nothing[0].contains("WARN") && nothing[0].contains("appendonly"), "{nothing:?}");
    let later = told(&["--appendonly", "yes", "--appendfsync", "everysec"]).await;
    assert!(later.len() == 1 && later[0].contains("everysec") && later[0].contains("two seconds"), "{later:?}");
    let always = ["--appendonly", "yes", "--appendfsync", "always"];
    assert_eq!(told(&always).await, [""; 0]);
    let evicts = told(&[&always[..], &["--maxmemory", "1gb", "--maxmemory-policy", "allkeys-lru"]].concat()).await;
    assert!(evicts.len() == 1 && evicts[0].contains("allkeys-lru"), "{evicts:?}");
}

/// What the warning is about. The test of the kill that loses nothing has a server that writes first.
#[tokio::test]
async fn a_server_without_a_file_has_nothing_after_a_kill() {
    let mut server = RedisServer::with_arguments(&["--appendonly", "no"]);
    let store = RedisStore::connect(&server.url()).await.unwrap();
    assert_eq!(accept(&store, vec![event(key())]).await, [Accepted::New]);
    server.signal("KILL");
    server.restart();
    until("it answers", async || store.stats("inbox".into()).await.is_ok_and(|stats| stats.pending == 0)).await;
}

// --- somebody else who changes the stream ----------------------------------------------------------------------------

/// An inbox with events that nobody works yet.
async fn filled(server: &RedisServer, shop: &Shop, number: u32) -> Inbox {
    let inbox = inbox(RedisStore::connect(&server.url()).await.unwrap(), shop);
    let app = app(&inbox);
    for number in 0..number {
        assert_eq!(send(&app, order(&number.to_string())).await.status, StatusCode::ACCEPTED);
    }
    inbox
}

async fn all_are_done_once(inbox: &Inbox, shop: &Shop, number: u32) {
    let worker = Running::start(inbox.worker().with_concurrency(3));
    until_all_ended(inbox).await;
    worker.stop().await;
    let (mut done, expected): (Vec<_>, Vec<_>) = (shop.done(), (0..number).map(|number| number.to_string()).collect());
    done.sort_by_key(|id| id.parse::<u32>().unwrap());
    assert_eq!(done, expected);
}

/// Nothing is cut from a stream that is long, and nothing is left in it.
#[tokio::test]
async fn the_stream_keeps_every_arrival_and_nothing_that_was_given_out() {
    let (server, shop) = (RedisServer::start(), Shop::default());
    let number = if is_long() { 20_000 } else { 300 };
    let inbox = filled(&server, &shop, number).await;
    let mut admin = admin(&server).await;
    assert_eq!(ask::<u32>(&mut admin, &format!("XLEN {STREAM}")).await, number);

    all_are_done_once(&inbox, &shop, number).await;

    assert_eq!(ask::<u32>(&mut admin, &format!("XLEN {STREAM}")).await, 0);
    let (waiting, ..): (u32, Option<String>, Option<String>, Option<Vec<String>>) =
        ask(&mut admin, &format!("XPENDING {STREAM} workers")).await;
    assert_eq!(waiting, 0, "the group has no list of what it gave out");
    let consumers: Vec<redis::Value> = ask(&mut admin, &format!("XINFO CONSUMERS {STREAM} workers")).await;
    assert_eq!(consumers.len(), 1, "however many processes there were");
}

/// Does something to the stream of an inbox in which 20 events wait and 5 were worked, and sees that each is done once.
async fn survives(what: &[&str], told: &str) {
    let (logs, _guard) = Logs::capture();
    let (server, shop) = (RedisServer::start(), Shop::default());
    let inbox = filled(&server, &shop, 5).await;
    all_are_done_once(&inbox, &shop, 5).await;
    let app = app(&inbox);
    for number in 5..25 {
        assert_eq!(send(&app, order(&number.to_string())).await.status, StatusCode::ACCEPTED);
    }
    let mut admin = admin(&server).await;
    for command in what {
        let _: redis::Value = ask(&mut admin, &command.replace('@', STREAM)).await;
    }

    all_are_done_once(&inbox, &shop, 25).await;

    let ours = logs.ours();
    let lines: Vec<_> = ours.iter().filter(|line| line.contains("somebody else has changed")).collect();
    assert!(lines.len() == 1 && lines[0].contains(told), "{what:?}: {lines:?}");
}

#[tokio::test]
async fn a_group_that_was_destroyed_is_made_again_from_the_beginning() {
    survives(&["XGROUP DESTROY @ workers"], "its group was gone").await;
}

#[tokio::test]
async fn a_group_that_somebody_made_at_the_end_passes_nothing_over() {
    survives(&["XGROUP DESTROY @ workers", "XGROUP CREATE @ workers $"], "were read again").await;
}

#[tokio::test]
async fn entries_that_somebody_else_has_read_are_read_again() {
    survives(&["XREADGROUP GROUP workers other COUNT 7 STREAMS @ >"], "were read again").await;
    survives(&["XREADGROUP GROUP workers worker COUNT 7 STREAMS @ >"], "were read again").await;
}

#[tokio::test]
async fn entries_that_were_deleted_lose_no_event() {
    survives(&["XTRIM @ MAXLEN 0"], "had been deleted").await;
    survives(&["XTRIM @ MAXLEN 3"], "had been deleted").await;
    // Read by somebody, and then deleted: in the group's list they have no fields.
    survives(&["XREADGROUP GROUP workers worker COUNT 7 STREAMS @ >", "XTRIM @ MAXLEN 0"], "had been deleted").await;
}

#[tokio::test]
async fn entries_that_are_not_ours_are_removed_and_told() {
    survives(&["XADD @ * a b c d"], "did not write").await;
    survives(&["XADD @ * e 1"], "did not write").await;
}

#[tokio::test]
async fn a_stream_that_is_gone_loses_no_event() {
    let (server, shop) = (RedisServer::start(), Shop::default());
    let inbox = filled(&server, &shop, 20).await;
    let () = ask(&mut admin(&server).await, &format!("DEL {STREAM}")).await;
    all_are_done_once(&inbox, &shop, 20).await;
}

// --- the store itself ------------------------------------------------------------------------------------------------

fn token() -> LeaseToken {
    LeaseToken::random().unwrap()
}

fn key() -> ClaimKey {
    ClaimKey::from_bytes(token().to_bytes())
}

fn event(key: ClaimKey) -> EventDraft {
    EventDraft::new(key, "acme".into(), Duration::from_secs(3600), Content::new("{}".into(), Bytes::from_static(b"{}")))
}

async fn accept(store: &RedisStore, events: Vec<EventDraft>) -> Vec<Accepted> {
    store.accept(AcceptRequest::new("inbox".into(), events)).await.unwrap()
}

fn lease(limit: u32) -> InboxLease {
    InboxLease::new("inbox".into(), token(), Duration::from_secs(600), limit, 10)
}

/// Of events with one order key that come, end and are discarded at the same time, there is always one that goes on, and never two.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_an_order_key_one_goes_on_whatever_happens_at_the_same_time() {
    let (_server, store) = new().await;
    let (order, all) = (key(), if is_long() { 2000 } else { 200 });
    let left = Arc::new(std::sync::atomic::AtomicU32::new(all));
    let senders = (0..4).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            for _ in 0..all / 4 {
                let mut event = event(key());
                event.order_key = Some(order);
                assert_eq!(accept(&store, vec![event]).await, [Accepted::New]);
            }
        })
    });
    let workers = (0..4).map(|_| {
        let (store, left) = (store.clone(), left.clone());
        tokio::spawn(async move {
            let end = tokio::time::Instant::now() + AGES * 5;
            while left.load(std::sync::atomic::Ordering::SeqCst) > 0 {
                assert!(tokio::time::Instant::now() < end, "{left:?} events are left");
                let request = lease(5);
                let token = request.token;
                let leases = store.lease(request).await.unwrap();
                assert!(leases.events.len() <= 1, "two of one key");
                for event in leases.events {
                    assert_eq!(store.finish(event.id, token, Ending::Done).await.unwrap(), Fenced::Applied);
                    left.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                }
            }
        })
    });
    for task in senders.chain(workers).collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let stats = store.stats("inbox".into()).await.unwrap();
    assert_eq!((stats.pending, stats.working, stats.dead), (0, 0, 0));
}

/// However many wait of a provider that has no room, others are found, and no lease reads more than it may.
#[tokio::test]
async fn a_backlog_of_one_provider_does_not_hide_the_others() {
    let (_server, store) = new().await;
    let number = if is_long() { 100_000 } else { 3_000 };
    for _ in 0..number / 100 {
        accept(&store, (0..100).map(|_| event(key())).collect()).await;
    }
    let mut other = event(key());
    other.provider = "other".into();
    accept(&store, vec![other]).await;
    let mut found = 0;
    for step in 0.. {
        let mut request = lease(4);
        (request.source_limit, request.held) = (Some(2), vec![("acme".into(), 2)]);
        let leases = store.lease(request).await.unwrap();
        found += leases.events.len();
        if found > 0 {
            assert_eq!(&*leases.events[0].provider, "other");
            break;
        }
        assert!(leases.next_due.is_some_and(|due| due.is_zero()), "there is more to read");
        assert!(step <= number / 1000 + 1, "it is not found");
    }
    assert!(store.lease(lease(4)).await.unwrap().events.len() == 4, "the others are there");
}

#[tokio::test]
async fn texts_of_any_bytes_come_back() {
    let (_server, store) = new().await;
    let mut draft = event(key());
    for text in [&mut draft.tenant, &mut draft.delivery_id, &mut draft.event_type] {
        *text = Some("a\0b\\0\\\u{ff}".into());
    }
    draft.provider = "".into();
    draft.guard = Some(Guard::new(key(), Duration::MAX));
    accept(&store, vec![draft.clone()]).await;

    let query = InboxQuery::default().event_type("a\0b\\0\\\u{ff}").tenant("a\0b\\0\\\u{ff}");
    let found = store.events("inbox".into(), query, 10).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((&found[0].tenant, &found[0].delivery_id), (&draft.tenant, &draft.delivery_id));
    assert_eq!(store.erase("inbox".into(), "a\0b\\0\\\u{ff}".into(), 10).await.unwrap(), 1);
}

/// A list that few events fit looks at all of them, in steps.
#[tokio::test]
async fn a_list_finds_what_is_rare_and_pages_have_an_end() {
    let (_server, store) = new().await;
    for number in 0..12 {
        let mut drafts: Vec<_> = (0..100).map(|_| event(key())).collect();
        if number == 1 {
            drafts[50].tenant = Some("rare".into());
        }
        drafts.iter_mut().for_each(|draft| draft.event_type = Some("order.paid".into()));
        accept(&store, drafts).await;
    }
    let leased = store.lease(lease(1)).await.unwrap().events.remove(0);
    let query = InboxQuery::default().event_type("order.paid").state(EventState::Working);
    let found = store.events("inbox".into(), query, 10).await.unwrap();
    assert_eq!(found.iter().map(|record| record.id).collect::<Vec<_>>(), [leased.id]);
    let (mut query, mut pages, mut seen) = (InboxQuery::default(), 0, HashSet::new());
    loop {
        let page = store.events("inbox".into(), query.clone(), 550).await.unwrap();
        let Some(last) = page.last() else { break };
        query = InboxQuery::default().before(last.id);
        pages += 1;
        assert!(page.windows(2).all(|pair| pair[0].id > pair[1].id), "the newest first");
        seen.extend(page.into_iter().map(|record| record.id));
    }
    assert_eq!((pages, seen.len()), (3, 1200));
    let rare = store.events("inbox".into(), InboxQuery::default().tenant("rare"), 10).await.unwrap();
    assert_eq!(rare.len(), 1);
}

#[tokio::test]
async fn an_inbox_of_another_version_is_left_alone() {
    let (server, store) = new().await;
    accept(&store, vec![event(key())]).await;
    let mut admin = admin(&server).await;
    let () = ask(&mut admin, "HSET {webhook_inbox}:meta version 2").await;
    let before: i64 = ask(&mut admin, "DBSIZE").await;

    let error = store.accept(AcceptRequest::new("inbox".into(), vec![event(key())])).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Schema);
    assert!(error.to_string().contains("upgrade"), "{error}");
    assert_eq!(store.lease(lease(1)).await.unwrap_err().kind(), StoreErrorKind::Schema);
    assert_eq!(store.stats("inbox".into()).await.unwrap_err().kind(), StoreErrorKind::Schema);
    assert_eq!(ask::<i64>(&mut admin, "DBSIZE").await, before);
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_corrupt() {
    let (server, store) = new().await;
    accept(&store, vec![event(key())]).await;
    let id = store.events("inbox".into(), InboxQuery::default(), 1).await.unwrap()[0].id;
    let command = format!("HSET {{webhook_inbox}}:events {:016} something", id.to_u64());
    let () = ask(&mut admin(&server).await, &command).await;

    assert_eq!(store.event(id).await.unwrap_err().kind(), StoreErrorKind::Corrupt);
}

/// All is gone with the last event, but for the number of the last one and what is noted about the stream.
#[tokio::test]
async fn nothing_is_left_behind_by_what_was_erased() {
    let (server, store) = new().await;
    let drafts = (0..20).map(|number| {
        let mut event = event(key());
        event.tenant = Some("gone".into());
        event.event_type = Some("order.paid".into());
        event.order_key = Some(ClaimKey::from_bytes([number % 3; 16]));
        event.guard = Some(Guard::new(key(), Duration::from_secs(60)));
        event
    });
    accept(&store, drafts.collect()).await;
    let request = lease(2);
    let token = request.token;
    let leased = store.lease(request).await.unwrap().events;
    let _ = store.finish(leased[0].id, token, Ending::Dead { reason: "because".into() }).await.unwrap();
    let _ = store.finish(leased[1].id, token, Ending::Done).await.unwrap();

    assert_eq!(store.erase("inbox".into(), "gone".into(), 100).await.unwrap(), 20);
    // What is left of the stream is read by the next lease.
    assert!(store.lease(lease(10)).await.unwrap().events.is_empty());

    let mut admin = admin(&server).await;
    let mut keys: Vec<String> = ask(&mut admin, "KEYS *").await;
    keys.sort();
    assert_eq!(keys, ["{webhook_inbox}:arrivals:inbox", "{webhook_inbox}:meta"]);
    assert_eq!(ask::<u32>(&mut admin, &format!("XLEN {STREAM}")).await, 0);
}

/// A worker that looks once an hour hears what another process stores.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_of_other_processes_are_told() {
    let (server, store) = new().await;
    let (shop, stop) = (Shop::default(), Arc::new(Notify::new()));
    let there = Inbox::new(RedisStore::connect(&server.url()).await.unwrap(), events(&shop));
    let told = stop.clone();
    let worker = there.worker().with_poll_interval(Duration::from_secs(3600));
    let task = tokio::spawn(async move { worker.run(told.notified()).await });
    let here = app(&inbox(store, &Shop::default()));
    for number in 0..3 {
        send(&here, order(&number.to_string())).await;
        until("it is worked", async || shop.done().len() == number + 1).await;
    }
    stop.notify_one();
    tokio::time::timeout(AGES, task).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_call_is_one_round_trip() {
    let server = RedisServer::start();
    let proxy = Proxy::before(server.port()).await;
    let store = RedisStore::connect(&format!("redis://127.0.0.1:{}/", proxy.port())).await.unwrap();
    let all = async || {
        let mut trips = Vec::new();
        accept(&store, (0..3).map(|_| event(key())).collect()).await;
        trips.push(proxy.take_trips());
        let request = lease(3);
        let token = request.token;
        let leased = store.lease(request).await.unwrap().events;
        trips.push(proxy.take_trips());
        let _ = store.finish(leased[0].id, token, Ending::Done).await.unwrap();
        trips.push(proxy.take_trips());
        trips
    };
    // The first call of each script sends its text.
    let _ = all().await;
    assert_eq!(all().await, [1, 1, 1]);
}
