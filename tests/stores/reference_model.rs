//! The reference model itself, visited state by state: a store that answers as it does loses no event.
//!
//! A world of one event, its sender, and two workers that follow the protocol of the layer: claim, run, complete, and
//! acknowledge only what is done. They may crash between any two steps, be as slow as they like, and fail. Every state
//! that can be reached is visited, not a sample.

use std::collections::{HashMap, VecDeque};

use tower_webhooks::{
    conformance::{Answer, Model, Owner, Step},
    idempotency::Fenced,
};

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct World {
    model: Model,
    workers: [Worker; 2],
    /// The number of tokens so far: every claim has its own.
    tokens: Owner,
    /// How often the handler has run to its end with success.
    runs: u8,
    acknowledged: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Worker {
    Idle,
    /// It holds a claim and runs the handler.
    Running(Owner),
    /// The handler ended with success; the claim is not completed yet.
    Ran(Owner),
}

impl World {
    fn new() -> Self {
        Self { model: Model::default(), workers: [Worker::Idle; 2], tokens: 0, runs: 0, acknowledged: false }
    }

    /// Every world that one step makes of this one.
    fn next(&self) -> Vec<(String, Self)> {
        let mut next = Vec::new();
        let mut add = |what: &str, change: &dyn Fn(&mut Self)| {
            let mut world = self.clone();
            change(&mut world);
            next.push((what.to_owned(), world));
        };

        add("a day passes", &|world| _ = world.model.apply(Step::Advance(1)));
        add("a week passes", &|world| _ = world.model.apply(Step::Advance(7)));
        add("purge", &|world| _ = world.model.apply(Step::Purge));
        for index in 0..2 {
            match self.workers[index] {
                Worker::Idle => {
                    if self.tokens < MAX_TOKENS {
                        add(&format!("{index} receives a copy"), &|world| world.receive(index));
                    }
                }
                Worker::Running(token) => {
                    add(&format!("{index} crashes"), &|world| world.workers[index] = Worker::Idle);
                    add(&format!("{index} renews"), &|world| _ = world.model.apply(Step::Renew(token, 2)));
                    add(&format!("{index} fails"), &|world| {
                        world.model.apply(Step::Release(token));
                        world.workers[index] = Worker::Idle;
                    });
                    add(&format!("{index} runs"), &|world| {
                        world.runs = (world.runs + 1).min(MAX_RUNS);
                        world.workers[index] = Worker::Ran(token);
                    });
                }
                Worker::Ran(token) => {
                    add(&format!("{index} crashes after its run"), &|world| world.workers[index] = Worker::Idle);
                    add(&format!("{index} completes, and its answer is lost"), &|world| {
                        world.model.apply(Step::Complete(token, 2));
                    });
                    add(&format!("{index} completes"), &|world| {
                        if world.model.apply(Step::Complete(token, 2)) == Answer::Fenced(Fenced::Applied) {
                            world.acknowledged = true;
                        }
                        world.workers[index] = Worker::Idle;
                    });
                }
            }
        }
        next
    }

    fn receive(&mut self, index: usize) {
        self.tokens += 1;
        match self.model.apply(Step::Claim(self.tokens, 2)) {
            Answer::Acquired(_) => self.workers[index] = Worker::Running(self.tokens),
            Answer::Done(_) => self.acknowledged = true,
            // 503: the sender comes again.
            Answer::InFlight(..) => {}
            other => panic!("a claim was answered with {other:?}"),
        }
    }

    /// The workers whose completion would count.
    fn owners(&self) -> usize {
        let would_complete = |worker: &&Worker| match **worker {
            Worker::Idle => false,
            Worker::Running(token) | Worker::Ran(token) => {
                self.model.clone().apply(Step::Complete(token, 1)) == Answer::Fenced(Fenced::Applied)
            }
        };
        self.workers.iter().filter(would_complete).count()
    }
}

const MAX_TOKENS: Owner = 5;
const MAX_RUNS: u8 = 2;

#[test]
fn no_reachable_state_is_acknowledged_and_never_run() {
    visit(|world| !world.acknowledged || world.runs > 0);
}

#[test]
fn no_reachable_state_has_two_owners() {
    visit(|world| world.owners() <= 1);
}

#[test]
fn from_every_reachable_state_the_event_can_still_be_run_or_is_done() {
    visit(|world| {
        // Everybody crashes, the longest lease passes, and a copy comes.
        let mut after = world.clone();
        after.workers = [Worker::Idle; 2];
        after.model.apply(Step::Advance(2));
        match after.model.apply(Step::Claim(MAX_TOKENS + 1, 1)) {
            Answer::Acquired(_) => true,
            Answer::Done(_) => after.runs > 0,
            _ => false,
        }
    });
}

#[test]
fn the_search_would_find_a_mistake() {
    let found = std::panic::catch_unwind(|| visit(|world| !(world.acknowledged && world.runs == 2)));

    assert!(found.is_err(), "a run after a crash before its completion is possible, and was not found");
}

/// Visits every reachable world, and panics with the way to the first for which `holds` is false.
fn visit(holds: impl Fn(&World) -> bool) {
    let mut ways: HashMap<World, Option<(World, String)>> = HashMap::from([(World::new(), None)]);
    let mut queue = VecDeque::from([World::new()]);

    while let Some(world) = queue.pop_front() {
        if !holds(&world) {
            let mut way = Vec::new();
            let mut at = &world;
            while let Some((before, step)) = &ways[at] {
                way.push(step.as_str());
                at = before;
            }
            way.reverse();
            panic!("{way:#?} leads to {world:?}");
        }
        for (step, next) in world.next() {
            if !ways.contains_key(&next) {
                ways.insert(next.clone(), Some((world.clone(), step)));
                queue.push_back(next);
            }
        }
    }

    assert!(ways.len() > 10_000, "only {} states: the world has become too small to say much", ways.len());
}
