//! The measurement: the contestants run alternately in short batches, each round gives a ratio, and the median is
//! printed.

use std::{sync::atomic::Ordering, time::Duration};

use crate::{
    bodies::Delivery,
    contestants::Contestant,
    table::{Ratio, Table, now},
};

/// How long to measure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    rounds: usize,
    is_quick: bool,
}

impl Plan {
    pub(crate) fn full() -> Self {
        Self { rounds: 100, is_quick: false }
    }

    pub(crate) fn quick() -> Self {
        Self { rounds: 1, is_quick: true }
    }

    pub(crate) fn table(self) -> Table {
        Table::new(format!("receive: medians of {} rounds and more, quartiles in brackets", self.rounds), self.is_quick)
    }

    /// Rounds for a body of `size` bytes: more for small bodies.
    pub(crate) fn rounds_of(self, size: usize) -> usize {
        self.rounds
            * if size <= 1024 {
                8
            } else if size <= 64 * 1024 {
                4
            } else {
                1
            }
    }

    /// Requests in one turn, so that a turn takes about half a millisecond: longer than the clock's grain, shorter than
    /// what a scheduler gives.
    pub(crate) fn batch_of(self, size: usize) -> usize {
        if size <= 1024 {
            100
        } else if size <= 64 * 1024 {
            3
        } else {
            1
        }
    }
}

/// The times of a run: for each contestant one of each round, for one request.
#[derive(Debug)]
pub(crate) struct Times(Vec<Vec<f64>>);

impl Times {
    /// The ratio of two contestants in the median round.
    pub(crate) fn of(&self, contestant: usize, reference: usize) -> Ratio {
        let ratios = self.0[contestant].iter().zip(&self.0[reference]).map(|(time, other)| time / other);
        Ratio::of(ratios.collect())
    }

    /// The median time of one request, in nanoseconds.
    pub(crate) fn median(&self, contestant: usize) -> f64 {
        Ratio::of(self.0[contestant].clone()).middle
    }
}

/// Lets all take turns.
pub(crate) fn ratios(all: &mut [Contestant], delivery: &Delivery, rounds: usize, batch: usize) -> Times {
    let mut times = vec![Vec::with_capacity(rounds); all.len()];
    // The first two rounds warm up caches, branch predictors and the allocator.
    for round in 0..rounds + 2 {
        for turn in 0..all.len() {
            // The order changes, so that no contestant always follows the same one.
            let index = (turn + round) % all.len();
            let contestant = &all[index];
            let requests: Vec<_> = (0..batch).map(|_| contestant.request(delivery)).collect();
            let start = now();
            for request in requests {
                contestant.answer(request);
            }
            let time = start.elapsed();
            if round >= 2 {
                times[index].push(nanos(time) / batch as f64);
            }
        }
    }
    Times(times)
}

/// The time from the last frame to the answer, as a ratio.
pub(crate) fn last_byte(ours: &Contestant, reference: &Contestant, delivery: &Delivery, rounds: usize) -> Ratio {
    let time = |contestant: &Contestant| {
        let mut start = now();
        let response = contestant.answer_gated(delivery, |gate| {
            gate.store(true, Ordering::Relaxed);
            start = now();
        });
        let time = start.elapsed();
        contestant.check(&response);
        nanos(time)
    };
    let round = |_| {
        let (first, second) = (time(ours), time(reference));
        first / second
    };
    Ratio::of((0..rounds + 2).map(round).skip(2).collect())
}

/// How many allocations one request costs, from the request to the dropped answer. Every request must cost the same.
pub(crate) fn allocations(contestant: &Contestant, delivery: &Delivery) -> u64 {
    contestant.answer(contestant.request(delivery));
    let count = || {
        let request = contestant.request(delivery);
        let mut request = Some(request);
        measured(|| contestant.answer(request.take().expect("it is answered once")))
    };
    let counts: Vec<_> = (0..10).map(|_| count()).collect();
    assert!(counts.iter().all(|count| *count == counts[0]), "allocations differ from request to request: {counts:?}");
    counts[0]
}

/// Counts although the times around it are taken without counting.
fn measured(run: impl FnOnce() + Send) -> u64 {
    std::thread::scope(|scope| {
        let counted = scope.spawn(|| {
            let mut total = 0;
            total += allocation_counter::measure(run).count_total;
            total
        });
        counted.join().expect("what is counted does not panic")
    })
}

fn nanos(time: Duration) -> f64 {
    time.as_nanos() as f64
}
