use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{
    chart::{Period, STEP, path},
    fault::Fault,
    text::{NOTHING, duration, number, short},
};
use crate::send::{BACKLOG_COUNTED, Backlog, BacklogSample, Dispatcher};

/// The backlog over a period, as lines and as a table.
pub(super) struct BacklogView {
    pub(super) lines: [Line; 2],
    pub(super) rows: Vec<Row>,
    pub(super) width: usize,
    pub(super) from: String,
}

/// A chart of one value.
pub(super) struct Line {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) path: String,
    /// The largest value, at the top of the chart.
    pub(super) most: String,
    /// A text alternative for people who cannot see the chart.
    pub(super) text: String,
}

/// A point of both charts.
pub(super) struct Row {
    pub(super) from: String,
    pub(super) waiting: String,
    pub(super) oldest: String,
}

impl BacklogView {
    pub(super) async fn read(webhooks: &Dispatcher, period: Period) -> Result<Self, Fault> {
        let now = webhooks.now();
        let span = Span::of(period, now);
        let samples = webhooks.backlog_history(period.samples.1, span.start..now).await?;
        Ok(Self::of(&span.points(&samples), &span, period))
    }

    fn of(points: &[Option<Backlog>], span: &Span, period: Period) -> Self {
        let known = || points.iter().flatten();
        let most = known().map(|point| point.waiting).max();
        let longest = known().map(|point| point.oldest_due).max();
        let line = |id, title, what: &str, path, most: Option<String>| Line {
            id,
            title,
            path,
            text: match &most {
                Some(most) => {
                    format!(
                        "Line of {what} over the last {}: at most {most}. The numbers are in the table below.",
                        period.label
                    )
                }
                None => format!("Nothing was noted of {what} over the last {}.", period.label),
            },
            most: most.unwrap_or_else(|| NOTHING.to_owned()),
        };
        let waiting = path(
            points.iter().map(|point| point.map(|point| f64::from(point.waiting))),
            f64::from(most.unwrap_or_default().max(1)),
        );
        let oldest = path(
            points.iter().map(|point| point.map(|point| point.oldest_due.as_secs_f64())),
            longest.unwrap_or_default().as_secs_f64().max(1.0),
        );
        Self {
            lines: [
                line("waiting", "Waiting", "what waited", waiting, most.map(count)),
                line("oldest", "Oldest due", "how long the oldest was due", oldest, longest.map(age)),
            ],
            rows: points.iter().enumerate().map(|(place, point)| span.row(place, *point)).collect(),
            width: points.len().max(1) * STEP,
            from: short(span.start),
        }
    }
}

fn count(waiting: u32) -> String {
    let more = if waiting >= BACKLOG_COUNTED { "+" } else { "" };
    format!("{}{more}", number(waiting.into()))
}

fn age(oldest: Duration) -> String {
    duration(Duration::from_secs(oldest.as_secs()))
}

/// The points of a period, the last of which contains the present moment.
struct Span {
    start: SystemTime,
    step: Duration,
    points: u32,
}

impl Span {
    fn of(period: Period, now: SystemTime) -> Self {
        let (points, step) = period.samples;
        let step = step.length();
        let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let last = since_epoch - since_epoch % step.as_secs();
        let first = last.saturating_sub(u64::from(points - 1) * step.as_secs());
        Self { start: UNIX_EPOCH + Duration::from_secs(first), step, points }
    }

    /// The highest value in each point.
    fn points(&self, samples: &[BacklogSample]) -> Vec<Option<Backlog>> {
        let mut points = vec![None; self.points as usize];
        for sample in samples {
            let since = sample.start.duration_since(self.start).unwrap_or_default();
            let place = usize::try_from(since.as_secs() / self.step.as_secs()).unwrap_or(usize::MAX);
            let Some(point) = points.get_mut(place) else { continue };
            let most = point.get_or_insert_with(Backlog::default);
            most.waiting = most.waiting.max(sample.backlog.waiting);
            most.oldest_due = most.oldest_due.max(sample.backlog.oldest_due);
        }
        points
    }

    fn row(&self, place: usize, point: Option<Backlog>) -> Row {
        let from = self.start + self.step * u32::try_from(place).unwrap_or(u32::MAX);
        let or_nothing = |text: Option<String>| text.unwrap_or_else(|| NOTHING.to_owned());
        Row {
            from: short(from),
            waiting: or_nothing(point.map(|point| count(point.waiting))),
            oldest: or_nothing(point.map(|point| age(point.oldest_due))),
        }
    }
}
