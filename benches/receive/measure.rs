//! How it is measured: contestants take turns in short batches, each round gives a ratio, and the median round is told.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use crate::{bodies::Delivery, contestants::Contestant};

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

    /// Rounds for a body of `size` bytes: more where they are short.
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

/// A median, and the quartiles around it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ratio {
    low: f64,
    middle: f64,
    high: f64,
}

impl Times {
    /// The ratio of two contestants in the median round.
    pub(crate) fn of(&self, contestant: usize, reference: usize) -> Ratio {
        let ratios = self.0[contestant].iter().zip(&self.0[reference]).map(|(time, other)| time / other);
        quartiles(ratios.collect())
    }

    /// The median time of one request, in nanoseconds.
    pub(crate) fn median(&self, contestant: usize) -> f64 {
        quartiles(self.0[contestant].clone()).middle
    }
}

/// Lets all take turns.
pub(crate) fn ratios(all: &mut [Contestant], delivery: &Delivery, rounds: usize, batch: usize) -> Times {
    let mut times = vec![Vec::with_capacity(rounds); all.len()];
    // The first two rounds warm up caches, branch predictors and the allocator.
    for round in 0..rounds + 2 {
        for turn in 0..all.len() {
            // Nobody always comes after the same one.
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
    quartiles((0..rounds + 2).map(round).skip(2).collect())
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

/// What has been measured, line by line.
#[derive(Debug)]
pub(crate) struct Table {
    plan: Plan,
    rows: Vec<[String; 4]>,
    times: Vec<String>,
}

impl Table {
    pub(crate) fn new(plan: Plan) -> Self {
        Self { plan, rows: Vec::new(), times: Vec::new() }
    }

    pub(crate) fn row(&mut self, name: &str, ratio: Ratio, reach: Option<f64>) {
        let measured = format!("{:.2} ({:.2} to {:.2})", ratio.middle, ratio.low, ratio.high);
        let verdict = match reach {
            None => "",
            Some(_) if self.plan.is_quick => "not measured",
            Some(reach) if ratio.middle <= reach => "ok",
            // Times wobble; counts do not.
            Some(reach) if ratio.middle <= reach * 1.05 => "ok, within 5 %",
            Some(_) => "over",
        };
        let reach = reach.map_or_else(String::new, |reach| format!("{reach:.2}"));
        self.rows.push([name.to_owned(), measured, reach, verdict.to_owned()]);
    }

    /// A row of exact counts. One that is over ends the run.
    pub(crate) fn count(&mut self, name: &str, ours: u64, reference: u64, reach: u64) {
        assert!(ours <= reference + reach, "{name}: {ours}, and {reference} + {reach} are allowed");
        let measured = format!("+{} ({ours} - {reference})", ours.saturating_sub(reference));
        self.rows.push([name.to_owned(), measured, format!("+{reach}"), "ok".to_owned()]);
    }

    pub(crate) fn time(&mut self, name: &str, label: &str, nanos: f64) {
        self.times.push(format!("{name}, {label}: {:.2} us", nanos / 1000.0));
    }

    pub(crate) fn print(&self) {
        println!("receive: medians of {} rounds and more, quartiles in brackets\n", self.plan.rounds);
        println!("| {:<62} | {:<26} | {:<5} | {:<14} |", "measure", "ratio", "reach", "");
        println!("|{0:-<64}|{0:-<28}|{0:-<7}|{0:-<16}|", "");
        for [name, measured, reach, verdict] in &self.rows {
            println!("| {name:<62} | {measured:<26} | {reach:<5} | {verdict:<14} |");
        }
        println!("\nmedian times of one request:");
        for time in &self.times {
            println!("  {time}");
        }
    }
}

fn quartiles(mut values: Vec<f64>) -> Ratio {
    values.sort_by(f64::total_cmp);
    let at = |part: usize| values[(values.len() - 1) * part / 4];
    Ratio { low: at(1), middle: at(2), high: at(3) }
}

fn nanos(time: Duration) -> f64 {
    time.as_nanos() as f64
}

#[allow(clippy::disallowed_methods)] // A stopwatch reads the clock.
fn now() -> Instant {
    Instant::now()
}
