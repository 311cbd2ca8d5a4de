use std::{
    ops::Range,
    time::{Duration, SystemTime},
};

use super::text::{NOTHING, duration, number, share, short};
use crate::send::{AttemptEnd, BACKLOG_COUNTED, Counts, SampleStep, Stats};

/// A span of time that a page can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Period {
    name: &'static str,
    pub(super) label: &'static str,
    hours: u32,
    /// How many hours a bar of a chart covers.
    step: usize,
    /// How many points a line of what waited has, and what each of them stands for.
    pub(super) samples: (u32, SampleStep),
}

impl Period {
    const ALL: [Self; PERIODS] = [
        // Attempts are counted by the hour: the last sixty minutes are in two of them.
        Self { name: "1h", label: "1 hour", hours: 2, step: 1, samples: (60, SampleStep::Minute) },
        Self { name: "6h", label: "6 hours", hours: 6, step: 1, samples: (24, SampleStep::Quarter) },
        Self { name: "24h", label: "24 hours", hours: 24, step: 1, samples: (96, SampleStep::Quarter) },
        Self { name: "7d", label: "7 days", hours: 168, step: 6, samples: (84, SampleStep::TwoHours) },
        Self { name: "30d", label: "30 days", hours: 720, step: 24, samples: (30, SampleStep::Day) },
    ];

    pub(super) const DAY: Self = Self::ALL[2];

    /// Returns the period with a name, or a day for an unknown name.
    pub(super) fn of(name: Option<&str>) -> Self {
        Self::ALL.into_iter().find(|period| Some(period.name) == name).unwrap_or(Self::DAY)
    }

    /// The hours up to now: the one that has begun is the last.
    pub(super) fn until(self, now: SystemTime) -> Range<SystemTime> {
        let back = Duration::from_secs(u64::from(self.hours - 1) * 3600);
        now.checked_sub(back).unwrap_or(SystemTime::UNIX_EPOCH)..now
    }

    /// Links to the same page with each period.
    pub(super) fn links(self, path: &str) -> [(&'static str, String, bool); PERIODS] {
        Self::ALL.map(|period| (period.label, format!("{path}?period={}", period.name), period == self))
    }
}

/// How many periods there are to choose from.
pub(super) const PERIODS: usize = 5;

/// Stats as a page shows them.
pub(super) struct StatsView {
    pub(super) success: String,
    pub(super) attempts: String,
    pub(super) delivered: String,
    pub(super) failed: String,
    pub(super) p50: String,
    pub(super) p95: String,
    pub(super) p99: String,
    pub(super) waiting: String,
    pub(super) oldest: String,
    pub(super) bars: Vec<Bar>,
    pub(super) lines: Vec<(&'static str, String)>,
    pub(super) most: String,
    pub(super) slowest: String,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) attempts_text: String,
    /// An explanation of the span, if its name does not say everything.
    pub(super) span_note: Option<&'static str>,
    pub(super) latency_text: String,
}

/// A bar of a chart: the hours that it covers, and the places of its parts.
pub(super) struct Bar {
    pub(super) from: String,
    pub(super) counts: (String, String, String),
    pub(super) p50: String,
    pub(super) p95: String,
    pub(super) p99: String,
    pub(super) x: usize,
    pub(super) good: (f64, f64),
    pub(super) warn: (f64, f64),
    pub(super) bad: (f64, f64),
}

impl StatsView {
    pub(super) fn of(stats: &Stats, period: Period) -> Self {
        let steps: Vec<(SystemTime, Counts)> = stats
            .hours()
            .chunks(period.step)
            .map(|hours| {
                let mut counts = Counts::default();
                hours.iter().for_each(|hour| counts.merge(hour.counts()));
                (hours.first().map_or(SystemTime::UNIX_EPOCH, |hour| hour.start()), counts)
            })
            .collect();
        let total = stats.total();
        let backlog = stats.backlog();
        let most = steps.iter().map(|(_, counts)| counts.attempts()).max().unwrap_or_default();
        let slowest = steps.iter().filter_map(|(_, counts)| counts.latency(0.99)).max().unwrap_or_default();
        let percentile = |counts: &Counts, of| counts.latency(of).map_or_else(|| NOTHING.to_owned(), duration);
        let failed = failed(total);
        let more = if backlog.waiting >= BACKLOG_COUNTED { "+" } else { "" };
        let bars = steps.iter().enumerate().map(|(place, (start, counts))| bar(place, *start, counts, most)).collect();
        Self {
            success: share(total.success_rate()),
            attempts: number(total.attempts()),
            delivered: number(total.ended(AttemptEnd::Delivered)),
            failed: number(failed),
            p50: percentile(total, 0.5),
            p95: percentile(total, 0.95),
            p99: percentile(total, 0.99),
            waiting: format!("{}{more}", number(backlog.waiting.into())),
            oldest: match backlog.oldest_due {
                Duration::ZERO => "nothing is overdue".to_owned(),
                since => format!("the oldest due for {}", duration(since)),
            },
            lines: [("p99", 0.99), ("p95", 0.95), ("p50", 0.5)]
                .map(|(name, of)| (name, line(&steps, of, slowest)))
                .into(),
            most: number(most),
            slowest: if slowest.is_zero() { NOTHING.to_owned() } else { duration(slowest) },
            from: steps.first().map_or_else(String::new, |(start, _)| short(*start)),
            to: "now (UTC)".to_owned(),
            attempts_text: format!(
                "Bars of the attempts over the last {}: {} delivered, {} to be retried, {} failed. The numbers are in the table below.",
                period.label,
                number(total.ended(AttemptEnd::Delivered)),
                number(total.ended(AttemptEnd::Retried)),
                number(failed),
            ),
            latency_text: format!(
                "Lines of the latency over the last {}: median {}, 95th percentile {}, 99th percentile {}. The numbers are in the table below.",
                period.label,
                percentile(total, 0.5),
                percentile(total, 0.95),
                percentile(total, 0.99),
            ),
            span_note: (period.hours == 2).then_some(
                "Attempts are counted by the hour: these are the hour that has begun and the one before, in UTC.",
            ),
            bars,
        }
    }

    /// The width of a chart: ten for each bar.
    pub(super) fn width(&self) -> usize {
        self.bars.len().max(1) * STEP
    }
}

fn failed(counts: &Counts) -> u64 {
    [AttemptEnd::Refused, AttemptEnd::Exhausted, AttemptEnd::Gone].map(|end| counts.ended(end)).iter().sum()
}

fn bar(place: usize, start: SystemTime, counts: &Counts, most: u64) -> Bar {
    let parts = [counts.ended(AttemptEnd::Delivered), counts.ended(AttemptEnd::Retried), failed(counts)];
    let mut top = 100.0;
    let [good, warn, bad] = parts.map(|part| {
        // A value that is not zero is always visible, however small it is.
        let height = if part == 0 { 0.0 } else { (part as f64 / most.max(1) as f64 * 100.0).max(1.5) };
        top -= height;
        (round(top.max(0.0)), round(height))
    });
    let percentile = |of| counts.latency(of).map_or_else(|| NOTHING.to_owned(), duration);
    Bar {
        from: short(start),
        counts: (number(parts[0]), number(parts[1]), number(parts[2])),
        p50: percentile(0.5),
        p95: percentile(0.95),
        p99: percentile(0.99),
        x: place * STEP + 1,
        good,
        warn,
        bad,
    }
}

/// The path of a percentile, with gaps for hours without attempts.
fn line(steps: &[(SystemTime, Counts)], of: f64, slowest: Duration) -> String {
    let latency = |(_, counts): &(SystemTime, Counts)| counts.latency(of).map(|latency| latency.as_secs_f64());
    path(steps.iter().map(latency), slowest.as_secs_f64().max(0.001))
}

/// A path through values, with gaps where there was nothing.
pub(super) fn path(values: impl Iterator<Item = Option<f64>>, most: f64) -> String {
    use std::fmt::Write as _;

    let mut path = String::new();
    let mut is_drawing = false;
    for (place, value) in values.enumerate() {
        let Some(value) = value else {
            is_drawing = false;
            continue;
        };
        let y = round(98.0 - value / most * 96.0);
        let x = place * STEP + STEP / 2;
        // A single point is a short line.
        let written = if is_drawing { write!(path, "L{x} {y}") } else { write!(path, "M{} {y}L{x} {y}", x - 2) };
        // A string takes all that is written.
        let _ = written;
        is_drawing = true;
    }
    if path.is_empty() { "M0 0".to_owned() } else { path }
}

fn round(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

/// How wide a point of a chart is.
pub(super) const STEP: usize = 10;
