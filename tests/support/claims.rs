//! Claims for the tests of stores: requests, races, and races between processes.

use std::{
    env, fs,
    future::Future,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use tokio::{sync::Barrier, task::JoinSet, time::Instant};
use tower_webhooks::{
    error::{StoreError, StoreErrorKind},
    idempotency::{ClaimKey, ClaimOutcome, ClaimRequest, ClaimToken, Completion, Fingerprint, IdempotencyStore},
};

use super::proxy::{Fault, Proxy};

/// Makes a claim of the delivery `number` with a new token.
pub(crate) fn request(number: u32) -> ClaimRequest {
    let key = ClaimKey::new("consumer", "provider", None, &number.to_be_bytes());
    let token = ClaimToken::random().expect("the system has randomness");
    ClaimRequest::new(key, token, LEASE, Fingerprint::of(&number.to_be_bytes()))
}

pub(crate) fn completion() -> Completion {
    Completion::new(RETENTION)
}

/// Small counts by default, the big ones when asked for.
pub(crate) fn counts(short: u32, long: u32) -> u32 {
    if env::var_os("TOWER_WEBHOOKS_LONG").is_some_and(|value| value == "1") { long } else { short }
}

/// Claims one delivery `claims` times at once, each with its own token, and returns the attempts that were acquired.
pub(crate) async fn race<S: IdempotencyStore + Clone>(stores: &[S], number: u32, claims: usize) -> Vec<u32> {
    let barrier = Arc::new(Barrier::new(claims));
    let mut tasks = JoinSet::new();
    for task in 0..claims {
        let (store, barrier) = (stores[task % stores.len()].clone(), Arc::clone(&barrier));
        tasks.spawn(async move {
            let request = request(number);
            barrier.wait().await;
            store.claim(request).await
        });
    }
    let mut attempts = Vec::new();
    for outcome in tasks.join_all().await {
        match outcome {
            Ok(ClaimOutcome::Acquired { attempt }) => attempts.push(attempt),
            Ok(_) => {}
            Err(error) if error.kind() == StoreErrorKind::Busy => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    attempts
}

/// Runs the test of the full name `child` of this binary in four processes at once, and checks that each of `keys` was won once.
///
/// The child reads `TEST_URL` and `TEST_KEYS`, and calls [`race_in_child`].
pub(crate) async fn race_processes(child: &str, url: &str, keys: u32) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let binary = env::current_exe().expect("this binary has a path");
    let mut waiting = Vec::new();
    for process in 0..4 {
        let started = Command::new(&binary)
            .args(["--exact", child])
            .env("TEST_URL", url)
            .env("TEST_KEYS", keys.to_string())
            .env("TEST_RESULT", folder.path().join(process.to_string()))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("this binary can be run");
        waiting.push(tokio::task::spawn_blocking(|| started.wait_with_output()));
    }
    for process in waiting {
        let output = process.await.expect("waiting does not panic").expect("the child can be waited for");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }

    let mut wins = vec![0; keys as usize];
    for process in 0..4 {
        let result = fs::read_to_string(folder.path().join(process.to_string())).expect("the child has written");
        for line in result.lines() {
            wins[line.parse::<usize>().expect("a number a line")] += 1;
        }
    }
    assert!(wins.iter().all(|&wins| wins == 1), "{wins:?}");
}

/// The URL for a child of [`race_processes`], or `None` in the test run itself.
pub(crate) fn child_url() -> Option<String> {
    env::var("TEST_URL").ok()
}

pub(crate) async fn race_in_child<S: IdempotencyStore + Clone>(store: S) {
    let keys: u32 = env::var("TEST_KEYS").expect("a child is given a count").parse().expect("a number");
    let mut won = String::new();
    for key in 0..keys {
        for _ in race(std::slice::from_ref(&store), key, 16).await {
            won.push_str(&format!("{key}\n"));
        }
    }
    fs::write(env::var("TEST_RESULT").expect("a child is given a file"), won).expect("the file can be written");
}

/// Checks that a call through a faulty proxy is `Unavailable` within [`TIMEOUT`], and takes the fault away.
pub(crate) async fn fails_in_time<T: std::fmt::Debug>(
    proxy: &Proxy,
    fault: Fault,
    call: impl Future<Output = Result<T, StoreError>>,
) {
    proxy.set(fault);
    let asked = Instant::now();
    let answer = call.await;
    let waited = asked.elapsed();
    proxy.set(Fault::None);
    let error = answer.expect_err("the fault is seen");
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{fault:?}: {error:?}");
    assert!(waited < TIMEOUT + MARGIN, "{fault:?}: {waited:?}");
}

pub(crate) const LEASE: Duration = Duration::from_secs(60);
pub(crate) const RETENTION: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The timeout of stores under faults, and the delay of a busy machine.
pub(crate) const TIMEOUT: Duration = Duration::from_millis(700);
pub(crate) const MARGIN: Duration = Duration::from_millis(800);

/// The proxy's delay of each answer in tests that count round trips by their time.
pub(crate) const DELAY: Duration = Duration::from_millis(150);
