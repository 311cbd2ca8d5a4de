//! The outcomes of attempts, and the backlog.

use std::{collections::BTreeMap, sync::Arc};

use super::tables::Tables;
use crate::{
    clock::Millis,
    send::{
        Backlog, EndpointId, Scope, StatsCell,
        policy::{Counted, URGENT_DUE, backlog},
    },
};

impl Tables {
    pub(super) fn count(&mut self, tenant: &str, endpoint: EndpointId, counted: Counted) {
        let key = (tenant.into(), counted.hour, endpoint, counted.end, counted.bucket);
        *self.stats.entry(key).or_default() += 1;
    }

    pub(super) fn stats(&self, scope: &Scope, since: u32, until: u32) -> Vec<StatsCell> {
        let mut cells = BTreeMap::<_, u64>::new();
        for ((tenant, hour, endpoint, end, bucket), count) in &self.stats {
            if is_of(scope, tenant, *endpoint) && (since..until).contains(hour) {
                *cells.entry((*hour, *end, *bucket)).or_default() += count;
            }
        }
        cells.into_iter().map(|((hour, end, bucket), count)| StatsCell::new(hour, end, bucket, count)).collect()
    }

    pub(super) fn backlog(&self, scope: &Scope, now: Millis) -> Backlog {
        let (mut waiting, mut ready, mut unserved) = (0, now, now);
        for endpoint in self.endpoints.values() {
            let record = &endpoint.record;
            if !is_of(scope, &record.tenant, record.id) {
                continue;
            }
            let due: Vec<_> = self.due_times(record.id).collect();
            waiting += due.len();
            let oldest = due.into_iter().find(|due_at| *due_at > URGENT_DUE);
            if let (Some(due_at), None) = (oldest, record.disabled) {
                let since = due_at.max(endpoint.health.ready_at(record.settings.rate_limit));
                (ready, unserved) = (ready.min(since), unserved.min(since.max(endpoint.served_at)));
            }
        }
        backlog(waiting as u64, Some(ready), Some(unserved), now)
    }
}

fn is_of(scope: &Scope, tenant: &Arc<str>, endpoint: EndpointId) -> bool {
    scope.tenant.as_ref().is_none_or(|wanted| wanted == tenant)
        && scope.endpoint.is_none_or(|wanted| wanted == endpoint)
}
