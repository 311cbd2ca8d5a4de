//! Ratios of contestants that take turns, and the table that shows them. Times vary, so they are printed and not
//! asserted; counts are exact, and a wrong one ends the run.
#![allow(dead_code)] // Each bench uses a part of it.

use std::{
    fmt,
    time::{Duration, Instant},
};

/// A median, and the quartiles around it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ratio {
    low: f64,
    pub(crate) middle: f64,
    high: f64,
}

impl Ratio {
    pub(crate) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |part: usize| values[(values.len() - 1) * part / 4];
        Self { low: at(1), middle: at(2), high: at(3) }
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} ({:.2} to {:.2})", self.middle, self.low, self.high)
    }
}

/// Lets both take turns, and tells the ratio of the first to the second in the median round.
pub(crate) fn rounds_of(rounds: usize, contestants: &mut [&mut dyn FnMut() -> Duration; 2]) -> Ratio {
    let mut ratios = Vec::with_capacity(rounds);
    // The first two rounds warm up caches, branch predictors and the allocator.
    for round in 0..rounds + 2 {
        let mut times = [Duration::ZERO; 2];
        for turn in 0..2 {
            // The order changes, so that none always follows the other.
            let index = (turn + round) % 2;
            times[index] = contestants[index]();
        }
        if round >= 2 {
            ratios.push(times[0].as_secs_f64() / times[1].as_secs_f64());
        }
    }
    Ratio::of(ratios)
}

/// The results, line by line.
#[derive(Debug)]
pub(crate) struct Table {
    title: String,
    is_quick: bool,
    rows: Vec<[String; 4]>,
    notes: Vec<String>,
}

impl Table {
    /// A table under a title. In a quick run times mean nothing, and are not judged.
    pub(crate) fn new(title: impl Into<String>, is_quick: bool) -> Self {
        Self { title: title.into(), is_quick, rows: Vec::new(), notes: Vec::new() }
    }

    pub(crate) fn row(&mut self, name: &str, ratio: Ratio, reach: Option<f64>) {
        let measured = ratio.to_string();
        let verdict = match reach {
            None => "",
            Some(_) if self.is_quick => "not measured",
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

    /// A line below the table.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    #[allow(clippy::print_stdout)] // A bench prints its results.
    pub(crate) fn print(&self) {
        println!("{}\n", self.title);
        println!("| {:<66} | {:<26} | {:<5} | {:<14} |", "measure", "ratio", "reach", "");
        println!("|{0:-<68}|{0:-<28}|{0:-<7}|{0:-<16}|", "");
        for [name, measured, reach, verdict] in &self.rows {
            println!("| {name:<66} | {measured:<26} | {reach:<5} | {verdict:<14} |");
        }
        println!();
        for note in &self.notes {
            println!("{note}");
        }
    }
}

#[allow(clippy::disallowed_methods)] // A stopwatch reads the clock.
pub(crate) fn now() -> Instant {
    Instant::now()
}
