//! Random histories of deliveries, failures, crashes and outages beside a reference that a reader can check by eye: every
//! answer is foretold, and no event is acknowledged and never run.
#![allow(clippy::unwrap_used)] // The helpers panic as the tests do.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Body, extract::State, http::StatusCode, routing::post};
use proptest::{prelude::*, test_runner::Config};
use tower::ServiceExt;
use tower_webhooks::{
    Claim, Secret, WebhookLayer,
    clock::ClockOffset,
    idempotency::{ClaimKey, ClaimRequest, ClaimToken, Fingerprint, IdempotencyLayer, IdempotencyStore},
    store::MemoryStore,
};

use crate::support::{
    watched::{Call, Failure, Watched},
    web::{SECRET, delivery},
};

#[allow(dead_code)] // Each test binary takes what it needs.
mod support {
    pub(crate) mod watched;
    pub(crate) mod web;
}

type Id = u8;

#[derive(Debug, Clone, Copy)]
enum Step {
    /// The sender sends it, or sends it again.
    Deliver(Id, End),
    /// It comes to another process, which is killed in its handler.
    DeliverAndCrash(Id),
    /// All leases pass.
    Wait,
}

/// What meets a delivery whose handler runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Fails,
    Panics,
    Succeeds,
    StoreFailsAtClaim(Failure),
    StoreFailsAtRecord(Failure),
    StoreFailsAtRelease(Failure),
}

/// What a delivery is, by the table of the documentation.
#[derive(Debug, Clone, Copy, Default)]
struct Reference {
    attempts: u32,
    is_held: bool,
    is_done: bool,
}

impl Reference {
    /// What a delivery must be answered, and which attempt must run for it.
    fn deliver(&mut self, end: End) -> (u16, Option<u32>) {
        if let End::StoreFailsAtClaim(failure) = end {
            // Where the claim was made without our knowing, it was an attempt that has been given back.
            self.attempts += u32::from(failure == Failure::After && !self.is_done && !self.is_held);
            return (503, None);
        }
        if self.is_done {
            return (200, None);
        }
        if self.is_held {
            return (503, None);
        }
        self.attempts += 1;
        let status = match end {
            End::Fails | End::Panics | End::StoreFailsAtRelease(_) => 500,
            _ => 200,
        };
        self.is_done = status == 200;
        (status, Some(self.attempts))
    }
}

struct World {
    end: Mutex<End>,
    runs: Mutex<Vec<u32>>,
}

async fn handler(State(world): State<Arc<World>>, claim: Claim) -> StatusCode {
    world.runs.lock().unwrap().push(claim.attempt());
    let end = *world.end.lock().unwrap();
    match end {
        End::Fails | End::StoreFailsAtRelease(_) => StatusCode::INTERNAL_SERVER_ERROR,
        End::Panics => panic!("a panic on purpose"),
        _ => StatusCode::OK,
    }
}

async fn check(steps: &[Step]) {
    let offset = ClockOffset::default();
    let store = Watched::new(MemoryStore::with_capacity_and_offset(1_000, offset.clone()));
    let world = Arc::new(World { end: Mutex::new(End::Succeeds), runs: Mutex::default() });
    let once = IdempotencyLayer::new(store.clone()).with_local_cache(0);
    let hook = WebhookLayer::github(Secret::new(SECRET).unwrap()).with_idempotency(once.clone());
    let app = Router::new().route("/hook", post(handler).layer(hook)).with_state(Arc::clone(&world));
    let mut references = HashMap::<Id, Reference>::new();

    // In the end the world heals, and the sender repeats what it has.
    let healed = (0..4).map(|id| Step::Deliver(id, End::Succeeds));
    let steps = steps.iter().copied().chain([Step::Wait]).chain(healed.clone()).chain(healed);
    for (number, step) in steps.enumerate() {
        match step {
            Step::Deliver(id, end) => {
                match end {
                    End::StoreFailsAtClaim(failure) => store.fail(Call::Claim, failure, 1),
                    End::StoreFailsAtRecord(failure) => store.fail(Call::Complete, failure, 1),
                    End::StoreFailsAtRelease(failure) => store.fail(Call::Release, failure, 1),
                    End::Fails | End::Panics | End::Succeeds => {}
                }
                *world.end.lock().unwrap() = end;
                let request = delivery("/hook", &id.to_string()).map(Body::new);
                let response = app.clone().oneshot(request).await.unwrap();
                // What is left to the background is done, by the clock of a paused runtime.
                assert_eq!(once.drain(Duration::from_secs(600)).await, 0);
                store.heal();

                let ran = world.runs.lock().unwrap().drain(..).collect::<Vec<_>>();
                let (status, attempt) = references.entry(id).or_default().deliver(end);
                assert_eq!(response.status().as_u16(), status, "step {number}: {step:?}");
                assert_eq!(ran, Vec::from_iter(attempt), "step {number}: {step:?}");
            }
            Step::DeliverAndCrash(id) => {
                let reference = references.entry(id).or_default();
                let key = ClaimKey::new("/hook", "github", None, format!("i{id}").as_bytes());
                let token = ClaimToken::random().unwrap();
                let claim = ClaimRequest::new(key, token, Duration::from_secs(60), Fingerprint::of(b""));
                store.claim(claim).await.unwrap();
                if !reference.is_done && !reference.is_held {
                    reference.attempts += 1;
                    reference.is_held = true;
                }
            }
            Step::Wait => {
                offset.advance(Duration::from_secs(61));
                references.values_mut().for_each(|reference| reference.is_held = false);
            }
        }
    }
    assert!((0..4).all(|id| references[&id].is_done), "everything is handled in the end");
}

fn failure() -> impl Strategy<Value = Failure> {
    prop_oneof![Just(Failure::After), Just(Failure::Before), Just(Failure::Hang)]
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        3 => Just(End::Succeeds),
        2 => Just(End::Fails),
        1 => Just(End::Panics),
        1 => failure().prop_map(End::StoreFailsAtClaim),
        1 => failure().prop_map(End::StoreFailsAtRecord),
        1 => failure().prop_map(End::StoreFailsAtRelease),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..4_u8, end()).prop_map(|(id, end)| Step::Deliver(id, end)),
        1 => (0..4_u8).prop_map(Step::DeliverAndCrash),
        1 => Just(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(Config { cases: cases(), failure_persistence: None, ..Config::default() })]

    #[test]
    fn no_event_is_acknowledged_and_never_run(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(check(&steps));
    }
}

fn cases() -> u32 {
    if std::env::var_os("TOWER_WEBHOOKS_LONG").is_some_and(|value| value == "1") { 20_000 } else { 100 }
}
