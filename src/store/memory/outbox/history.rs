//! The history of the backlog: a sample of each minute, and the highest values of each longer step.

use std::time::SystemTime;

use super::tables::Tables;
use crate::{
    clock::{Millis, from_time, to_time},
    send::{Backlog, BacklogSample, SampleStep, Scope},
};

impl Tables {
    /// Records the backlog, unless there is a sample of this minute.
    pub(super) fn sample_backlog(&mut self, now: Millis) -> bool {
        if self.samples.contains_key(&(SampleStep::Minute, SampleStep::Minute.start_of(now))) {
            return false;
        }
        let found = self.backlog(&Scope::all(), now);
        for step in SampleStep::ALL {
            let most = self.samples.entry((step, step.start_of(now))).or_default();
            *most = Backlog::new(
                most.waiting.max(found.waiting),
                most.oldest_due.max(found.oldest_due),
                most.unserved.max(found.unserved),
            );
        }
        self.samples.retain(|(step, start), _| *start >= step.kept_since(now));
        true
    }

    pub(super) fn backlog_samples(&self, step: SampleStep, since: SystemTime, until: SystemTime) -> Vec<BacklogSample> {
        let (since, until) = (from_time(since), from_time(until));
        let asked = self.samples.iter().filter(|((of, start), _)| *of == step && *start >= since && *start < until);
        asked.map(|((_, start), backlog)| BacklogSample::new(to_time(*start), *backlog)).collect()
    }
}
