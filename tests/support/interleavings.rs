//! Random interleavings of calls, for `conformance::check_steps`. Shared by the tests of every store.

use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError, TestRunner},
};
use tower_webhooks::conformance::{Harness, Owner, Step, Units, check_steps};

/// Two owners that interfere, and a third that sometimes comes by.
fn owner() -> impl Strategy<Value = Owner> {
    prop_oneof![4 => Just(1), 4 => Just(2), 1 => Just(3)]
}

fn days() -> impl Strategy<Value = Units> {
    0..=3_u32
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (owner(), days()).prop_map(|(owner, lease)| Step::Claim(owner, lease)),
        3 => (owner(), days()).prop_map(|(owner, retention)| Step::Complete(owner, retention)),
        3 => owner().prop_map(Step::Release),
        2 => (owner(), days()).prop_map(|(owner, lease)| Step::Renew(owner, lease)),
        2 => owner().prop_map(Step::IsDone),
        3 => prop_oneof![4 => 1..=3_u32, 1 => Just(7), 1 => Just(8)].prop_map(Step::Advance),
        1 => Just(Step::Purge),
    ]
}

/// Returns `true` if the large counts were requested.
pub(crate) fn long() -> bool {
    std::env::var_os("TOWER_WEBHOOKS_LONG").is_some_and(|value| value == "1")
}

/// Runs random interleavings against a store: `few` by default, a hundred times as many when asked for the long run.
pub(crate) fn check_interleavings<H: Harness>(runtime: &tokio::runtime::Runtime, harness: &H, few: u32) {
    let cases = if long() { few * 100 } else { few };
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });

    let run = runner.run(&prop::collection::vec(step(), 1..40), |steps| {
        let checked = std::panic::AssertUnwindSafe(|| runtime.block_on(check_steps(harness, &steps)));
        std::panic::catch_unwind(checked).map_err(|panic| {
            let message = panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "a panic".to_owned());
            TestCaseError::fail(message)
        })
    });

    if let Err(failure) = run {
        panic!("{failure}");
    }
}
