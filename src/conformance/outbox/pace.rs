//! How fast, and in which shares, deliveries are leased.

use std::time::{Duration, UNIX_EPOCH};

use super::suite::{FAILED, LEASE, PAST_LEASE, Suite, broken, check, message, new_tenant, taken, token};
use crate::{
    boxed::BoxFuture,
    clock,
    send::{
        After, DeliveryState, DisabledReason, EndpointId, EndpointRecord, FAILURES_TO_REST, Fault, Fenced, Finish,
        Held, IN_FLIGHT, LeaseRequest, Message, OutboxStore, PROVEN_WITHIN, RateLimit, Recover, SLOW_FOR, Sealed,
        rest_after,
    },
};

/// The slowest rate at which a backlog is worked off: ten a second.
const TEN: f64 = 10.0;
const STEP: Duration = Duration::from_millis(10);

/// The moments (in seconds) before and after a look, and how many deliveries of an endpoint it leased.
#[derive(Debug, Clone, Copy)]
struct Look {
    from: f64,
    to: f64,
    leased: usize,
}

impl<'h, S: OutboxStore, A: Fn(Duration) -> BoxFuture<'h, ()>> Suite<S, A> {
    pub(super) async fn unproven_endpoints_have_a_share_of_their_own(&self) {
        let (tenant, known) = (new_tenant(), new_tenant());
        let proven = self.endpoint(&known, &["*"]).await;
        check(!proven.proven, "rule 5: a new endpoint is not proven", &proven);
        for (wait, duration, wanted) in [
            (Duration::ZERO, PROVEN_WITHIN, true),
            (Duration::ZERO, PROVEN_WITHIN + STEP, false),
            (Duration::ZERO, PROVEN_WITHIN, false),
            (SLOW_FOR + STEP, PROVEN_WITHIN, true),
        ] {
            (self.advance)(wait).await;
            self.dispatch(message(&known)).await;
            let token = token();
            let leased = self.lease_one(token, "rule 5").await;
            let mut finish = Finish::new(After::Delivered);
            finish.duration = duration;
            self.finishes_as(leased.id, token, finish).await;
            let record = self.read(proven.id).await;
            check(record.proven == wanted, "rule 5: proven", &(duration, record));
        }
        // All of them wait for longer, as they were never served.
        const MANY: usize = 260;
        for _ in 0..MANY {
            self.endpoint(&tenant, &["*"]).await;
        }
        self.dispatch(message(&tenant)).await;
        for _ in 0..IN_FLIGHT {
            self.dispatch(message(&known)).await;
        }

        let mut request = LeaseRequest::new(token(), LEASE, 16);
        request.unproven = 3;
        let leased = taken("rule 5", self.store.lease(request).await).deliveries;

        let of_it = leased.iter().filter(|delivery| delivery.endpoint.id == proven.id).count();
        check(of_it == IN_FLIGHT as usize, "rule 5: a proven endpoint behind many that are not", &of_it);
        check(leased.len() - of_it == 3, "rule 5: no more of unproven endpoints than asked for", &leased.len());
        request = LeaseRequest::new(token(), LEASE, 16);
        request.unproven = 0;
        let none = taken("rule 5", self.store.lease(request).await).deliveries;
        check(none.is_empty(), "rule 5: none of unproven endpoints", &none);
        let more = self.lease(token(), 16).await;
        check(more.len() == 16, "rule 5: any endpoints", &more.len());
        self.erase(&tenant, 500).await;
        self.erase(&known, 500).await;
    }

    pub(super) async fn what_is_the_senders_fault_does_not_count(&self) {
        let tenant = new_tenant();
        let endpoint = self.endpoint(&tenant, &["*"]).await;
        for _ in 0..=FAILURES_TO_REST {
            self.dispatch(message(&tenant)).await;
            let token = token();
            let leased = self.lease_one(token, "rule 8").await;
            let mut finish = Finish::new(FAILED);
            finish.fault = Fault::Sender;
            finish.error = Some("conversion");
            self.finishes_as(leased.id, token, finish).await;
            check(self.state(leased.id).await == Some(DeliveryState::Pending), "rule 7", &"not pending");
            let attempts = taken("rule 8", self.store.attempts(leased.id).await);
            check(attempts.len() == 1, "rule 7: it is noted", &attempts);
        }
        let record = self.read(endpoint.id).await;
        check(record.failures == 0 && record.failing_since.is_none(), "rule 8: the sender's fault", &record);
        self.erase(&tenant, 500).await;
    }

    pub(super) async fn an_endpoint_rests_after_what_was_unsent(&self) {
        let tenant = new_tenant();
        let endpoint = self.endpoint(&tenant, &["*"]).await;
        for _ in 0..2 {
            self.dispatch(message(&tenant)).await;
        }
        let token = token();
        let leased = self.lease(token, 1).await;
        self.finishes(leased[0].id, token, After::Unsent { wait: Duration::from_secs(60) }).await;

        let early = self.lease(self::token(), 64).await;
        check(early.is_empty(), "rule 7: it holds for the whole endpoint", &early);
        let record = self.read(endpoint.id).await;
        check(record.failures == 0 && record.disabled.is_none(), "rule 7: not counted", &record);
        (self.advance)(Duration::from_secs(61)).await;
        let mut attempts = Vec::new();
        for _ in 0..2 {
            let later = self.lease(self::token(), 64).await;
            check(later.len() == 1, "rule 14: what waited meanwhile comes one by one", &later);
            attempts.extend(later.iter().map(|delivery| delivery.attempt));
            (self.advance)(Duration::from_secs(1)).await;
        }
        check(attempts == [1, 1], "rule 7: after the wait", &attempts);
        self.erase(&tenant, 500).await;
    }

    pub(super) async fn a_rate_limit_holds_over_all_workers(&self) {
        let tenant = new_tenant();
        let limited = self.limited(&tenant, RateLimit::per_second(10)).await;
        let free = self.endpoint(&tenant, &["order.*"]).await;
        self.dispatch_all((0..60).map(|_| message(&tenant)).collect()).await;

        let (looks, of_free) = self.looks(limited.id, Some(free.id), 2, 300).await;

        let (reached, took) = check_rate(&looks, TEN, "rule 14: a rate limit");
        // If the store is slow, there are fewer looks than the rate allows.
        let most = (TEN * took).min(looks.len() as f64).min(60.0);
        check(reached as f64 >= 0.6 * most, "rule 14: a rate limit is reached", &(reached, took));
        check(of_free == 60, "rule 14: it holds for that endpoint alone", &of_free);
        self.erase(&tenant, 500).await;
    }

    pub(super) async fn a_changed_rate_limit_holds_at_once(&self) {
        let tenant = new_tenant();
        let endpoint = self.limited(&tenant, RateLimit::per_minute(1)).await;
        self.dispatch_all((0..4).map(|_| message(&tenant)).collect()).await;
        let first = self.lease(token(), 64).await;
        check(first.len() == 1, "rule 14: one a minute", &first);
        let leases = taken("rule 14", self.store.lease(LeaseRequest::new(token(), LEASE, 64)).await);
        check(leases.deliveries.is_empty(), "rule 14: one a minute", &leases);
        let next = leases.next_due;
        check(next.is_none_or(|next| next <= LEASE), "lease: a worker looks again in time", &next);

        let settings = self.settings(&["order.*"]);
        let changed = taken("rule 14", self.store.change_endpoint(endpoint.id, 1, settings).await);
        check(changed == Fenced::Applied, "rule 11", &changed);
        let rest = self.lease(token(), 64).await;
        check(rest.len() == 3, "rule 14: without the limit", &rest);
        self.erase(&tenant, 500).await;
    }

    pub(super) async fn a_backlog_is_worked_off_in_order(&self) {
        for outage in [true, false] {
            let tenant = new_tenant();
            let endpoint = self.endpoint(&tenant, &["*"]).await;
            if outage {
                let mut failed = 0;
                while failed < FAILURES_TO_REST {
                    self.dispatch(message(&tenant)).await;
                    let token = token();
                    for delivery in self.lease(token, 1).await {
                        self.finishes(delivery.id, token, After::Exhausted).await;
                        failed += 1;
                    }
                }
            }
            self.dispatch_all((0..24).map(|_| message(&tenant)).collect()).await;
            if outage {
                (self.advance)(rest_after(FAILURES_TO_REST) + PAST_LEASE).await;
            } else {
                taken("switch", self.store.switch_endpoint(endpoint.id, Some(DisabledReason::Asked)).await);
                (self.advance)(PAST_LEASE).await;
                taken("switch", self.store.switch_endpoint(endpoint.id, None).await);
            }

            let (looks, _) = self.looks(endpoint.id, None, 2, 350).await;

            let (reached, _) = check_rate(&looks, TEN, "rule 14: a backlog");
            check(reached == 24, "rule 14: a backlog is worked off", &reached);
            self.dispatch_all((0..4).map(|_| message(&tenant)).collect()).await;
            let together = self.lease(token(), 64).await.len();
            check(together == IN_FLIGHT as usize, "rule 14: it ends", &together);
            self.erase(&tenant, 500).await;
        }
    }

    pub(super) async fn what_is_recovered_is_worked_off_too(&self) {
        let tenant = new_tenant();
        self.dispatch_all((0..4).map(|_| message(&tenant)).collect()).await;
        let endpoint = self.endpoint(&tenant, &["*"]).await;
        taken("recover", self.store.recover(endpoint.id, Recover::new(UNIX_EPOCH), 100).await);

        let first = self.lease(token(), 64).await;

        check(first.len() == 1, "rule 14: what is recovered", &first.len());
        self.erase(&tenant, 500).await;
    }

    pub(super) async fn what_an_old_url_answers_is_not_the_new_ones(&self) {
        let tenant = new_tenant();
        let endpoint = self.endpoint(&tenant, &["*"]).await;
        for _ in 0..IN_FLIGHT {
            self.dispatch(message(&tenant)).await;
        }
        let old = token();
        let leased = self.lease(old, 64).await;
        check(leased.len() == IN_FLIGHT as usize, "rule 11", &leased);
        let mut settings = endpoint.settings.clone();
        settings.url = "https://example.com/mended".into();
        let changed = taken("rule 11", self.store.change_endpoint(endpoint.id, 1, settings).await);
        check(changed == Fenced::Applied, "rule 11", &changed);

        for (delivery, after) in leased.iter().zip([After::Gone, After::Refused, FAILED, After::Delivered]) {
            let finished = self.finish(delivery.id, old, after).await;
            check(finished == (Fenced::Applied, None), "rule 11: what the old URL answers", &(after, finished));
            let attempts = taken("rule 11", self.store.attempts(delivery.id).await);
            check(attempts.len() == 1, "rule 7: it is noted", &attempts);
        }
        let record = self.read(endpoint.id).await;
        let is_clean = record.disabled.is_none() && record.failures == 0 && record.failing_since.is_none();
        check(is_clean && !record.proven, "rule 11: what the old URL answers", &record);
        let again = self.lease(token(), 64).await;
        let ids: Vec<_> = again.iter().map(|delivery| delivery.id).collect();
        check(ids == [leased[0].id, leased[1].id], "rule 11: the new URL may want it", &again);
        check(again.iter().all(|delivery| delivery.attempt == 2), "rule 11", &again);
        self.erase(&tenant, 500).await;
    }

    pub(super) async fn a_mended_endpoint_does_not_rest(&self) {
        for mend in ["url", "sealed"] {
            let tenant = new_tenant();
            let endpoint = self.endpoint(&tenant, &["*"]).await;
            self.fail(&tenant, FAILURES_TO_REST).await;
            self.dispatch(message(&tenant)).await;
            check(self.lease(token(), 64).await.is_empty(), "rule 8", &"a resting endpoint was leased for");
            let mut settings = endpoint.settings.clone();
            settings.description = "nothing that matters".into();
            let changed = taken("rule 11", self.store.change_endpoint(endpoint.id, 1, settings.clone()).await);
            check(changed == Fenced::Applied, "rule 11", &changed);
            check(self.lease(token(), 64).await.is_empty(), "rule 11: nothing was mended", &mend);

            match mend {
                "url" => settings.url = "https://example.com/mended".into(),
                _ => settings.sealed = Sealed::new("key", &b"mended"[..]),
            }
            let changed = taken("rule 11", self.store.change_endpoint(endpoint.id, 2, settings).await);
            check(changed == Fenced::Applied, "rule 11", &changed);

            let leased = self.lease(token(), 64).await;
            check(leased.len() == 1, "rule 11: a change ends the rest", &(mend, leased));
            self.erase(&tenant, 500).await;
        }
    }

    pub(super) async fn an_endpoint_rests_for_as_long_as_it_asks(&self) {
        let tenant = new_tenant();
        self.endpoint(&tenant, &["*"]).await;
        for _ in 0..3 {
            self.dispatch(message(&tenant)).await;
        }
        let first = token();
        let leased = self.lease(first, 1).await;
        let mut finish = Finish::new(FAILED);
        finish.retry_after = Some(Duration::from_secs(1800));
        self.finishes_as(leased[0].id, first, finish).await;

        (self.advance)(Duration::from_secs(1700)).await;
        check(self.lease(token(), 64).await.is_empty(), "rule 8: it asked for longer", &"leased");
        (self.advance)(Duration::from_secs(101)).await;
        let later = self.lease(token(), 64).await;
        check(later.len() == 1 && later[0].id != leased[0].id, "rule 8: and then one by one", &later);
        self.erase(&tenant, 500).await;
    }

    pub(super) async fn what_a_person_sends_goes_first(&self) {
        let tenant = new_tenant();
        let endpoint = self.endpoint(&tenant, &["*"]).await;
        self.fail(&tenant, FAILURES_TO_REST).await;
        let ended = self.of_tenant(&tenant).await[0].id;
        self.dispatch_all((0..20).map(|_| message(&tenant)).collect()).await;
        check(self.lease(token(), 64).await.is_empty(), "rule 8", &"a resting endpoint was leased for");

        let ping = taken("rule 17", self.store.dispatch_to(endpoint.id, message(&tenant)).await);
        check(taken("rule 17", self.store.resend(ended).await), "rule 17", &ended);
        let due = self.of_tenant(&tenant).await;
        let past = due.iter().filter(|record| record.due_at.is_some_and(|due| due < record.created_at)).count();
        check(past == 0, "rule 17: the time that is shown", &due);
        let first = token();
        let leases = taken("rule 17", self.store.lease(LeaseRequest::new(first, LEASE, 64)).await).deliveries;
        check(leases.len() == 1, "rule 17: one at a time in a rest", &leases);
        check(self.lease(token(), 64).await.is_empty(), "rule 17: one at a time in a rest", &"two");
        self.finishes(leases[0].id, first, After::Exhausted).await;
        let second = token();
        let next = self.lease_one(second, "rule 17: the other one").await;
        let mut sent = [Some(leases[0].id), Some(next.id)];
        sent.sort_unstable();
        let mut wanted = [ping, Some(ended)];
        wanted.sort_unstable();
        check(sent == wanted, "rule 17: before all else", &sent);
        self.finishes(next.id, second, After::Exhausted).await;
        check(self.lease(token(), 64).await.is_empty(), "rule 17: the rest goes on", &"leased");
        self.erase(&tenant, 500).await;

        // Behind a backlog, and with a limit.
        let endpoint = self.endpoint(&tenant, &["*"]).await;
        self.dispatch_all((0..20).map(|_| message(&tenant)).collect()).await;
        taken("switch", self.store.switch_endpoint(endpoint.id, Some(DisabledReason::Asked)).await);
        taken("switch", self.store.switch_endpoint(endpoint.id, None).await);
        let backlog = self.lease(token(), 64).await;
        check(backlog.len() == 1, "rule 14", &backlog);
        let ping = taken("rule 17", self.store.dispatch_to(endpoint.id, message(&tenant)).await);
        let next = self.lease_one(token(), "rule 17: behind a backlog").await;
        check(Some(next.id) == ping, "rule 17: behind a backlog", &next);
        self.erase(&tenant, 500).await;
        let limited = self.limited(&tenant, RateLimit::per_minute(1)).await;
        self.dispatch_all((0..2).map(|_| message(&tenant)).collect()).await;
        self.lease_one(token(), "rule 14: one a minute").await;
        taken("rule 17", self.store.dispatch_to(limited.id, message(&tenant)).await);
        check(self.lease(token(), 64).await.is_empty(), "rule 17: a limit holds", &"leased");
        self.erase(&tenant, 500).await;
    }

    pub(super) async fn what_goes_in_order_goes_one_by_one(&self) {
        let tenant = new_tenant();
        let mut settings = self.settings(&["*"]);
        settings.in_order = true;
        let endpoint = self.register(&tenant, settings).await;
        let beside = self.endpoint(&tenant, &["*"]).await;
        let messages: Vec<_> = (0..4).map(|_| message(&tenant)).collect();
        for message in &messages {
            self.dispatch(message.clone()).await;
            // Each is dispatched at another moment.
            (self.advance)(STEP).await;
        }
        let next = async |holder| {
            let leased = self.lease(holder, 64).await;
            let of_it: Vec<_> = leased.into_iter().filter(|delivery| delivery.endpoint.id == endpoint.id).collect();
            check(of_it.len() <= 1, "rule 19: one at a time", &of_it);
            of_it.into_iter().next()
        };
        let place = |delivery: &Option<crate::send::LeasedDelivery>| {
            let id = delivery.as_ref().map(|delivery| delivery.message.message_id().clone());
            messages.iter().position(|message| Some(message.message_id()) == id.as_ref())
        };

        // A worker dies on the first one, and it is the first one again.
        let dead = next(token()).await;
        check(place(&dead) == Some(0), "rule 19: in their order", &dead);
        check(next(token()).await.is_none(), "rule 19: one at a time", &"two");
        (self.advance)(PAST_LEASE).await;
        // It fails, and those behind it wait for its retry.
        let first = token();
        let Some(head) = next(first).await else { broken("rule 19", &"nothing after a worker died") };
        check(place(&Some(head.clone())) == Some(0), "rule 19: after a worker died", &head);
        self.finishes(head.id, first, FAILED).await;
        (self.advance)(Duration::from_secs(3500)).await;
        check(next(token()).await.is_none(), "rule 19: those behind it wait", &"leased");
        (self.advance)(Duration::from_secs(101)).await;
        for wanted in 0..4 {
            let holder = token();
            let Some(delivery) = next(holder).await else { broken("rule 19: it goes on", &wanted) };
            check(place(&Some(delivery.clone())) == Some(wanted), "rule 19: in their order", &delivery);
            let after = if wanted == 1 { After::Exhausted } else { After::Delivered };
            self.finishes(delivery.id, holder, after).await;
            (self.advance)(Duration::from_secs(1)).await;
        }
        let mut settings = self.read(endpoint.id).await.settings;
        check(settings.in_order, "rule 19: it is kept", &settings);
        settings.in_order = false;
        let changed = taken("rule 11", self.store.change_endpoint(endpoint.id, 1, settings).await);
        check(changed == Fenced::Applied && !self.read(endpoint.id).await.settings.in_order, "rule 11", &changed);
        let _ = beside;
        self.erase(&tenant, 500).await;
    }

    pub(super) async fn no_tenant_fills_a_worker(&self) {
        let (greedy, modest) = (new_tenant(), new_tenant());
        // Each of them waits for longer, as it was never served.
        for _ in 0..300 {
            self.endpoint(&greedy, &["*"]).await;
        }
        self.dispatch(message(&greedy)).await;
        let late = self.endpoint(&modest, &["*"]).await;
        self.dispatch(message(&modest)).await;

        let mut request = LeaseRequest::new(token(), LEASE, 16);
        request.held = Some([].into());
        let leased = taken("lease", self.store.lease(request).await).deliveries;
        let of_it = leased.iter().filter(|delivery| *delivery.endpoint.tenant == *greedy).count();
        check(of_it <= 8, "lease: no more than what is left", &of_it);

        let mut request = LeaseRequest::new(token(), LEASE, 8);
        request.held = Some([Held::new(&*greedy, 8, 8)].into());
        let mut more = leased.iter().filter(|delivery| delivery.endpoint.id == late.id).count();
        let leased = taken("lease", self.store.lease(request).await).deliveries;
        more += leased.iter().filter(|delivery| delivery.endpoint.id == late.id).count();
        check(more == 1, "lease: a tenant that has nothing behind many that may have no more", &leased);
        let left = leased.iter().filter(|delivery| *delivery.endpoint.tenant == *greedy).count();
        check(left == 0, "lease: a tenant that may have no more", &left);
        self.erase(&greedy, 500).await;
        self.erase(&modest, 500).await;
    }

    // Steps.

    /// Lets an endpoint's deliveries fail, one after the other, until it rests for so long that a slow machine also
    /// sees the rest.
    async fn fail(&self, tenant: &str, times: u32) {
        for number in 1..=times {
            self.dispatch(message(tenant)).await;
            let token = token();
            let leased = self.lease(token, 1).await;
            check(leased.len() == 1, "setup: something to fail", &leased);
            for delivery in leased {
                let mut finish = Finish::new(After::Exhausted);
                finish.retry_after = (number == times).then_some(Duration::from_secs(600));
                self.finishes_as(delivery.id, token, finish).await;
            }
        }
    }

    async fn limited<E: std::fmt::Debug>(&self, tenant: &str, limit: Result<RateLimit, E>) -> EndpointRecord {
        let mut settings = self.settings(&["order.*"]);
        settings.rate_limit = limit.ok();
        self.register(tenant, settings).await
    }

    async fn dispatch_all(&self, messages: Vec<Message>) {
        taken("dispatch", self.store.dispatch(messages).await);
    }

    /// Lets workers look at every step, and deliver what they get. Returns the looks at an endpoint, and how many
    /// deliveries of another one were leased.
    async fn looks(
        &self,
        endpoint: EndpointId,
        other: Option<EndpointId>,
        workers: usize,
        steps: u32,
    ) -> (Vec<Look>, usize) {
        let (mut looks, mut of_other) = (Vec::new(), 0);
        // The store's clock also advances by itself.
        let moment = |step: u32| (clock::monotonic() + STEP * step).as_secs_f64();
        for step in 0..steps {
            for _ in 0..workers {
                let token = token();
                let from = moment(step);
                let leased = self.lease(token, 64).await;
                let to = moment(step);
                let of_it = leased.iter().filter(|delivery| delivery.endpoint.id == endpoint).count();
                of_other += leased.iter().filter(|delivery| Some(delivery.endpoint.id) == other).count();
                looks.push(Look { from, to, leased: of_it });
                for delivery in leased {
                    self.finishes(delivery.id, token, After::Delivered).await;
                }
            }
            (self.advance)(STEP).await;
        }
        (looks, of_other)
    }
}

/// Checks every span between two looks. A look may be slightly early, and the first one takes no time.
fn check_rate(looks: &[Look], rate: f64, rule: &str) -> (usize, f64) {
    for (index, first) in looks.iter().enumerate().filter(|(_, look)| look.leased > 0) {
        let mut count = 0;
        for look in &looks[index..] {
            count += look.leased;
            let most = (look.to - first.from) * rate + 1.3;
            check((count as f64) <= most, rule, &(count, most, first, look));
        }
    }
    let took = looks.last().map_or(0.0, |last| last.to - looks[0].from);
    (looks.iter().map(|look| look.leased).sum(), took)
}
