use std::{
    ops::Range,
    time::{Duration, SystemTime},
};

use super::store::stats::{AttemptEnd, Backlog, LATENCY_BUCKETS, StatsCell, bucket_bound, hour_of};
use crate::send::error::SendError;

/// The outcomes of attempts in a time span, hour by hour, and the present backlog.
/// [`Tenant::stats`](crate::send::Tenant::stats) and [`Dispatcher::stats`](crate::send::Dispatcher::stats) return it.
///
/// The counts are kept as long as the rows of deliveries: [`Retention::rows`](crate::send::Retention::rows).
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use tower_webhooks::send::{SendError, Tenant};
///
/// # async fn run(acme: Tenant) -> Result<(), SendError> {
/// let now = SystemTime::now();
/// let stats = acme.stats(None, now - Duration::from_secs(24 * 3600)..now).await?;
/// if stats.total().success_rate().is_some_and(|rate| rate < 0.9) {
///     println!("p95: {:?}, waiting: {}", stats.total().latency(0.95), stats.backlog().waiting);
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Stats {
    hours: Vec<Hour>,
    total: Counts,
    backlog: Backlog,
}

/// One hour of [`Stats`].
///
/// ```
/// use tower_webhooks::send::Stats;
///
/// /// The number of attempts in each hour, for a chart.
/// fn bars(stats: &Stats) -> Vec<u64> {
///     stats.hours().iter().map(|hour| hour.counts().attempts()).collect()
/// }
/// # let _ = bars;
/// ```
#[derive(Debug, Clone)]
pub struct Hour {
    start: SystemTime,
    counts: Counts,
}

/// The outcomes and durations of attempts.
///
/// ```
/// use tower_webhooks::send::Stats;
///
/// /// A line for a status page.
/// fn summary(stats: &Stats) -> String {
///     let total = stats.total();
///     match (total.success_rate(), total.latency(0.95)) {
///         (Some(rate), Some(p95)) => format!("{} attempts, {:.1} % delivered, p95 {p95:?}", total.attempts(), 100.0 * rate),
///         _ => "no attempts yet".to_owned(),
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    ended: [u64; AttemptEnd::ALL.len()],
    latency: [u64; LATENCY_BUCKETS],
}

impl Stats {
    /// Returns the hours, the oldest first, each of them once.
    pub fn hours(&self) -> &[Hour] {
        &self.hours
    }

    /// Returns the sum of all hours.
    pub fn total(&self) -> &Counts {
        &self.total
    }

    /// Returns the present backlog.
    pub fn backlog(&self) -> Backlog {
        self.backlog
    }
}

impl Hour {
    /// Returns when the hour begins.
    pub fn start(&self) -> SystemTime {
        self.start
    }

    /// Returns the counts of this hour.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }
}

impl Counts {
    /// Returns how many attempts ended in this way.
    pub fn ended(&self, end: AttemptEnd) -> u64 {
        self.ended[usize::from(end.number())]
    }

    /// Returns how many attempts there were.
    pub fn attempts(&self) -> u64 {
        self.ended.iter().sum()
    }

    /// Returns the share of the attempts that delivered, from 0 to 1; `None` if there were no attempts.
    pub fn success_rate(&self) -> Option<f64> {
        let attempts = self.attempts();
        (attempts > 0).then(|| self.ended(AttemptEnd::Delivered) as f64 / attempts as f64)
    }

    /// Returns the time within which a share of the attempts ended: `latency(0.95)` is the 95th percentile. `None` if
    /// there were no attempts. Latencies are kept in buckets, each of which ends at √2 times the end of the one before
    /// it, and the place within a bucket is estimated.
    pub fn latency(&self, share: f64) -> Option<Duration> {
        let attempts: u64 = self.latency.iter().sum();
        if attempts == 0 {
            return None;
        }
        let wanted = share.clamp(0.0, 1.0) * attempts as f64;
        let mut below = 0.0;
        for (bucket, count) in self.latency.iter().enumerate().filter(|(_, count)| **count > 0) {
            let count = *count as f64;
            if below + count >= wanted {
                let from = bucket.checked_sub(1).map(bucket_bound).unwrap_or_default();
                let within = ((wanted - below) / count).clamp(0.0, 1.0);
                return Some(from + (bucket_bound(bucket) - from).mul_f64(within));
            }
            below += count;
        }
        Some(bucket_bound(LATENCY_BUCKETS - 1))
    }

    /// Adds the counts of another span.
    #[cfg(feature = "dashboard")]
    pub(crate) fn merge(&mut self, other: &Self) {
        for (count, more) in self.ended.iter_mut().zip(other.ended).chain(self.latency.iter_mut().zip(other.latency)) {
            *count = count.saturating_add(more);
        }
    }

    fn add(&mut self, cell: &StatsCell) {
        if let Some(ended) = self.ended.get_mut(usize::from(cell.end.number())) {
            *ended = ended.saturating_add(cell.count);
        }
        let bucket = usize::from(cell.bucket).min(LATENCY_BUCKETS - 1);
        self.latency[bucket] = self.latency[bucket].saturating_add(cell.count);
    }
}

impl Default for Counts {
    fn default() -> Self {
        Self { ended: [0; AttemptEnd::ALL.len()], latency: [0; LATENCY_BUCKETS] }
    }
}

/// Returns the hours of a span, from the one in which it begins to the one in which it ends.
///
/// # Errors
/// If the span ends before it begins, or is too long.
pub(crate) fn hours(span: &Range<SystemTime>) -> Result<Range<u32>, SendError> {
    let (since, last) = (hour_of(span.start), hour_of(span.end));
    let until = last.saturating_add(1);
    if span.end < span.start || until - since > LONGEST {
        return Err(SendError::invalid(format!(
            "a span of time ends after it begins, and has at most {} days",
            LONGEST / 24
        )));
    }
    Ok(since..until)
}

/// Sorts cells into hours.
pub(crate) fn collect(hours: Range<u32>, cells: &[StatsCell], backlog: Backlog) -> Stats {
    let start = |hour: u32| SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(hour) * 3600);
    let first = hours.start;
    let mut all: Vec<_> = hours.map(|hour| Hour { start: start(hour), counts: Counts::default() }).collect();
    let mut total = Counts::default();
    for cell in cells {
        let place = cell.hour.checked_sub(first).and_then(|place| all.get_mut(place as usize));
        if let Some(hour) = place {
            hour.counts.add(cell);
            total.add(cell);
        }
    }
    Stats { hours: all, total, backlog }
}

/// In hours: 92 days, which is longer than counts are kept by default.
const LONGEST: u32 = 92 * 24;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::send::latency_bucket;

    fn cell(hour: u32, end: AttemptEnd, millis: u64, count: u64) -> StatsCell {
        StatsCell::new(hour, end, latency_bucket(Duration::from_millis(millis)), count)
    }

    #[test]
    fn cells_are_summed_up_by_hour() {
        let cells = [
            cell(10, AttemptEnd::Delivered, 20, 90),
            cell(10, AttemptEnd::Retried, 900, 10),
            cell(12, AttemptEnd::Gone, 5, 1),
        ];

        let stats = collect(10..13, &cells, Backlog::default());

        let rates: Vec<_> = stats.hours().iter().map(|hour| hour.counts().success_rate()).collect();
        assert_eq!(rates, [Some(0.9), None, Some(0.0)]);
        assert_eq!(stats.total().attempts(), 101);
        let [median, most] = [0.5, 0.99].map(|share| stats.hours()[0].counts().latency(share).unwrap().as_millis());
        assert!((16..=23).contains(&median), "{median}");
        assert!((724..=1024).contains(&most), "{most}");
        assert_eq!(Counts::default().latency(0.5), None);
    }

    #[test]
    fn a_span_has_bounds() {
        let at = |hours: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(hours * 3600 + 60);
        assert_eq!(hours(&(at(5)..at(7))).unwrap(), 5..8);
        assert!(hours(&(at(7)..at(5))).is_err());
        assert!(hours(&(at(0)..at(24 * 92))).is_err());
    }
}
