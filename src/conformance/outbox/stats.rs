use std::time::{Duration, UNIX_EPOCH};

use super::suite::{FAILED, LEASE, Suite, check, message, new_tenant, taken, token};
use crate::{
    boxed::BoxFuture,
    send::{
        After, AttemptEnd, Backlog, BacklogSample, EndpointId, Finish, OutboxStore, Retention, SampleStep, Scope,
        StatsCell, latency_bucket,
    },
};

const HOUR: Duration = Duration::from_secs(60 * 60);
const MINUTE: Duration = Duration::from_secs(60);

impl<'h, S: OutboxStore, A: Fn(Duration) -> BoxFuture<'h, ()>> Suite<S, A> {
    pub(super) async fn attempts_are_counted_by_the_hour(&self) {
        let (tenant, other) = (new_tenant(), new_tenant());
        let (mine, also_mine) = (self.endpoint(&tenant, &["*"]).await, self.endpoint(&tenant, &["*"]).await);
        let others = self.endpoint(&other, &["*"]).await;
        for (to, ends) in [(&tenant, 3), (&other, 1)] {
            for _ in 0..ends {
                self.dispatch(message(to)).await;
            }
        }

        // Of each of the tenant's endpoints: one delivered, one refused, one to be retried; and one attempt for the
        // other tenant.
        let mut left = [(mine.id, 0), (also_mine.id, 0), (others.id, 0)];
        let mut ended = 0;
        while ended < 7 {
            let token = token();
            for leased in self.lease(token, 10).await {
                let (_, done) =
                    left.iter_mut().find(|(id, _)| *id == leased.endpoint.id).expect("an endpoint of this test");
                let after = match *done {
                    0 => After::Delivered,
                    1 => After::Refused,
                    _ => FAILED,
                };
                *done += 1;
                ended += 1;
                let mut finish = Finish::new(after);
                finish.duration = Duration::from_millis(if after == After::Delivered { 20 } else { 900 });
                self.finishes_as(leased.id, token, finish).await;
            }
        }
        let retried = self.counts(Scope::tenant(&*tenant), AttemptEnd::Retried).await;
        check(retried == 2, "rule 21", &retried);

        for (scope, wanted) in [
            (Scope::tenant(&*tenant), [2, 2, 2]),
            (Scope::tenant(&*other), [1, 0, 0]),
            (Scope::all().endpoint(mine.id), [1, 1, 1]),
            (Scope::tenant(&*tenant).endpoint(mine.id), [1, 1, 1]),
            (Scope::tenant(&*other).endpoint(mine.id), [0, 0, 0]),
        ] {
            let cells = self.cells(scope.clone()).await;
            let of = |end| cells.iter().filter(|cell| cell.end == end).map(|cell| cell.count).sum::<u64>();
            let found = [AttemptEnd::Delivered, AttemptEnd::Refused, AttemptEnd::Retried].map(of);
            check(found == wanted, "rule 21", &(scope, cells));
        }
        let cells = self.cells(Scope::tenant(&*tenant)).await;
        let quick = |cell: &&StatsCell| cell.end == AttemptEnd::Delivered;
        let bucket = latency_bucket(Duration::from_millis(20));
        check(cells.iter().filter(quick).all(|cell| cell.bucket == bucket), "rule 21: the latency", &cells);
        check(cells.is_sorted_by_key(|cell| cell.hour), "reading counts: in the order of their hours", &cells);

        // A later hour is another one, and hours that were not asked for are not returned.
        let hour = cells.last().map(|cell| cell.hour).unwrap_or_default();
        (self.advance)(2 * HOUR).await;
        self.dispatch(message(&other)).await;
        self.drain().await;
        let later = taken("read counts", self.store.stats(Scope::tenant(&*tenant), hour + 1, u32::MAX >> 1).await);
        check(later.iter().all(|cell| cell.hour > hour), "reading counts: from an hour on", &later);
        let before = taken("read counts", self.store.stats(Scope::tenant(&*other), 0, hour.saturating_sub(1)).await);
        check(before.is_empty(), "reading counts: up to an hour", &before);
        self.drain().await;
    }

    pub(super) async fn counts_are_purged_and_erased(&self) {
        let (tenant, other) = (new_tenant(), new_tenant());
        for tenant in [&tenant, &other] {
            let endpoint = self.endpoint(tenant, &["*"]).await;
            self.deliver_one(tenant, endpoint.id).await;
        }

        self.erase(&tenant, 100).await;
        check(self.cells(Scope::tenant(&*tenant)).await.is_empty(), "rule 21: erased", &tenant);
        let kept = self.counts(Scope::tenant(&*other), AttemptEnd::Delivered).await;
        check(kept == 1, "rule 21: no other is erased", &kept);

        // The endpoint is removed, and the counts stay until they are old.
        let endpoints = taken("list", self.store.endpoints(Some(other.as_str().into()), None, 10).await);
        for endpoint in endpoints {
            taken("delete", self.store.delete_endpoint(endpoint.id).await);
        }
        let rows = Retention::default().rows;
        (self.advance)(rows - 2 * HOUR).await;
        self.purge().await;
        let kept = self.counts(Scope::tenant(&*other), AttemptEnd::Delivered).await;
        check(kept == 1, "rule 21: kept", &kept);
        (self.advance)(4 * HOUR).await;
        self.purge().await;
        check(self.cells(Scope::tenant(&*other)).await.is_empty(), "rule 21: purged", &other);
    }

    pub(super) async fn a_backlog_says_how_long_nobody_came(&self) {
        self.drain().await;
        let (tenant, other) = (new_tenant(), new_tenant());
        let endpoint = self.endpoint(&tenant, &["*"]).await;
        for _ in 0..3 {
            self.dispatch(message(&tenant)).await;
        }
        (self.advance)(Duration::from_secs(100)).await;

        for scope in [
            Scope::tenant(&*tenant),
            Scope::all().endpoint(endpoint.id),
            Scope::tenant(&*tenant).endpoint(endpoint.id),
            Scope::all(),
        ] {
            let found = self.backlog(scope.clone()).await;
            let is_right = found.waiting == 3 && [found.oldest_due, found.unserved].iter().all(|age| near(*age, 100));
            check(is_right, "reading a backlog", &(scope, found));
        }
        for scope in [Scope::tenant(&*other), Scope::tenant(&*other).endpoint(endpoint.id)] {
            let found = self.backlog(scope.clone()).await;
            check(found == Backlog::default(), "reading a backlog: it is its tenant's alone", &(scope, found));
        }

        // One is leased. The others are as old, but their endpoint was served.
        let token = token();
        let leased = self.lease(token, 1).await;
        check(leased.len() == 1, "reading a backlog", &leased);
        let found = self.backlog(Scope::tenant(&*tenant)).await;
        let is_right = found.waiting == 3 && near(found.oldest_due, 100) && found.unserved < Duration::from_secs(20);
        check(is_right, "reading a backlog: the endpoint was served", &found);
        (self.advance)(LEASE).await;

        // Deliveries that wait for a disabled endpoint are not due.
        taken("disable", self.store.switch_endpoint(endpoint.id, Some(crate::send::DisabledReason::Asked)).await);
        let found = self.backlog(Scope::tenant(&*tenant)).await;
        check(found.oldest_due.is_zero() && found.unserved.is_zero(), "reading a backlog: disabled", &found);
        taken("delete", self.store.delete_endpoint(endpoint.id).await);
        self.drain().await;
    }

    pub(super) async fn what_waits_is_noted_once_a_minute(&self) {
        self.drain().await;
        let tenant = new_tenant();
        let endpoint = self.endpoint(&tenant, &["*"]).await;
        let sample = async || taken("note what waits", self.store.sample_backlog().await);
        // From the start of a minute on, whatever was noted before.
        (self.advance)(2 * MINUTE).await;
        self.purge().await; // what a worker died on does not wait
        let before = self.samples(SampleStep::Minute).await.last().map(|sample| sample.start);
        let new = async |step| {
            let mut samples = self.samples(step).await;
            samples.retain(|sample| Some(sample.start) > before);
            samples
        };

        // Whoever asks, a minute is noted once. The store's clock advances while this runs.
        let mut noted = 0;
        for _ in 0..4 {
            noted += usize::from(sample().await);
        }
        let found = new(SampleStep::Minute).await;
        check(noted == found.len() && (1..=2).contains(&noted), "rule 23: once in a minute", &(noted, found));

        for _ in 0..3 {
            self.dispatch(message(&tenant)).await;
        }
        (self.advance)(2 * MINUTE).await;
        check(sample().await, "rule 23: the next minute", &());
        let found = new(SampleStep::Minute).await;
        check(found.is_sorted_by_key(|sample| sample.start), "rule 23: in their order", &found);
        let whole = |sample: &BacklogSample| {
            let since = sample.start.duration_since(UNIX_EPOCH).unwrap_or_default();
            since.subsec_nanos() == 0 && since.as_secs().is_multiple_of(60)
        };
        check(found.iter().all(whole), "rule 23: whole minutes", &found);
        let last = found.last().map(|sample| sample.backlog).unwrap_or_default();
        check(last.waiting == 3 && near(last.oldest_due, 120), "rule 23: what waits", &found);
        check(found.first().is_some_and(|first| first.backlog.waiting == 0), "rule 23: what waited", &found);

        // A longer step has the most of its minutes, also when less waits later.
        self.drain().await;
        (self.advance)(2 * MINUTE).await;
        check(sample().await, "rule 23: the next minute", &());
        let hours = self.samples(SampleStep::TwoHours).await;
        let most = hours.iter().rev().take(2).map(|hour| hour.backlog.waiting).max();
        check(most >= Some(3), "rule 23: the most of two hours", &hours);
        let minutes = new(SampleStep::Minute).await;
        check(minutes.last().is_some_and(|last| last.backlog.waiting == 0), "rule 23: what waits", &minutes);

        // What was not asked for is not returned.
        let (first, last) = (minutes[0].start, minutes[minutes.len() - 1].start);
        let asked = taken("read", self.store.backlog_samples(SampleStep::Minute, first, last).await);
        check(asked.len() == minutes.len() - 1, "reading what waited: from a time to before another", &asked);

        // Minutes are kept for hours and longer steps for days.
        (self.advance)(SampleStep::Minute.kept()).await;
        check(sample().await, "rule 23: the next minute", &());
        check(new(SampleStep::Minute).await.len() == 1, "rule 23: old minutes go", &());
        let kept = self.samples(SampleStep::TwoHours).await;
        check(kept.len() == hours.len() + 1, "rule 23: longer steps stay", &(kept, hours));
        taken("delete", self.store.delete_endpoint(endpoint.id).await);
    }

    async fn samples(&self, step: SampleStep) -> Vec<BacklogSample> {
        let far = UNIX_EPOCH + Duration::from_secs(1 << 36);
        taken("read what waited", self.store.backlog_samples(step, UNIX_EPOCH, far).await)
    }

    async fn deliver_one(&self, tenant: &str, endpoint: EndpointId) {
        self.dispatch(message(tenant)).await;
        let token = token();
        let leased = self.lease_one(token, "rule 21").await;
        check(leased.endpoint.id == endpoint, "rule 21", &leased);
        self.finishes(leased.id, token, After::Delivered).await;
    }

    async fn cells(&self, scope: Scope) -> Vec<StatsCell> {
        let since = u32::try_from(UNIX_EPOCH.elapsed().unwrap_or_default().as_secs() / 3600).unwrap_or_default() - 24;
        taken("read counts", self.store.stats(scope, since, u32::MAX >> 1).await)
    }

    async fn counts(&self, scope: Scope, end: AttemptEnd) -> u64 {
        self.cells(scope).await.iter().filter(|cell| cell.end == end).map(|cell| cell.count).sum()
    }

    async fn backlog(&self, scope: Scope) -> Backlog {
        taken("read a backlog", self.store.backlog(scope).await)
    }
}

/// The store's clock advances while a test runs.
fn near(age: Duration, seconds: u64) -> bool {
    (Duration::from_secs(seconds)..Duration::from_secs(seconds + 20)).contains(&age)
}
