//! Endpoints that fail, are disabled, and are enabled again.

use std::time::Duration;

use super::suite::{DAY, FAILED, PAST_LEASE, Suite, broken, check, message, new_tenant, taken, token};
use crate::{
    boxed::BoxFuture,
    send::{
        After, DISABLE_AFTER, DeliveryState, DisabledReason, Dispatched, FAILURES_TO_DISABLE, FAILURES_TO_REST, Fenced,
        OutboxStore, RateLimit, Sealed, rest_after,
    },
};

impl<'h, S: OutboxStore, A: Fn(Duration) -> BoxFuture<'h, ()>> Suite<S, A> {
    pub(super) async fn a_failing_endpoint_rests(&self) {
        let tenant = new_tenant();
        let endpoint = self.endpoint(&tenant, &["*"]).await;
        for _ in 0..3 * FAILURES_TO_REST {
            self.dispatch(message(&tenant)).await;
        }
        let mut failed = 0;
        while failed < FAILURES_TO_REST {
            // Attempts that were in flight at the same time count as one failure.
            let token = token();
            for delivery in self.lease(token, 2).await {
                self.finishes(delivery.id, token, FAILED).await;
            }
            failed += 1;
            check(self.read(endpoint.id).await.failures == failed, "rule 8: together they are one", &failed);
        }
        let record = self.read(endpoint.id).await;
        check(record.failing_since.is_some(), "rule 8", &record);
        check(self.lease(token(), 64).await.is_empty(), "rule 8", &"a resting endpoint was leased for");

        (self.advance)(rest_after(FAILURES_TO_REST) + Duration::from_secs(1)).await;
        let probe = token();
        let leased = self.lease_one(probe, "rule 8: one at a time").await;
        check(leased.attempt == 1, "rule 8: what waits uses up no attempt", &leased.attempt);
        self.finishes(leased.id, probe, After::Delivered).await;
        check(self.read(endpoint.id).await.failures == 0, "rule 8", &"a success clears the count");
        (self.advance)(Duration::from_secs(1)).await;
        let beside = self.lease_one(token(), "rule 8: a success ends it").await;
        (self.advance)(Duration::from_secs(1)).await;
        let more = self.lease(token(), 64).await;
        check(more.len() == 1 && more[0].id != beside.id, "rule 8: a success ends one at a time", &more);
        (self.advance)(PAST_LEASE).await;
        (self.advance)(DAY).await;
        self.drain().await;
    }

    pub(super) async fn an_endpoint_that_fails_for_long_is_disabled_once(&self) {
        let tenant = new_tenant();
        let endpoint = self.endpoint(&tenant, &["*"]).await;
        for moment in 0..FAILURES_TO_DISABLE {
            // Each fails to its end, so that nothing else is due then.
            self.dispatch(message(&tenant)).await;
            let token = token();
            let leased = self.lease(token, 1).await;
            check(leased.len() == 1, "rule 9", &leased);
            let early = self.finish(leased[0].id, token, After::Exhausted).await;
            check(early == (Fenced::Applied, None), "rule 9: not yet", &(moment, early));
            (self.advance)(DISABLE_AFTER / FAILURES_TO_DISABLE).await;
        }
        for _ in 0..3 {
            self.dispatch(message(&tenant)).await;
        }
        let holder = token();
        // The pace of a backlog lets them come one by one.
        let mut leased = Vec::new();
        for _ in 0..2 {
            leased.extend(self.lease(holder, 1).await);
            (self.advance)(Duration::from_secs(1)).await;
        }
        let Some(first) = leased.first() else { broken("rule 9", &"nothing was leased") };
        let late = self.finish(first.id, holder, FAILED).await;
        check(late == (Fenced::Applied, Some(DisabledReason::Failing)), "rule 9", &late);
        for again in &leased[1..] {
            let again = self.finish(again.id, holder, FAILED).await;
            check(again == (Fenced::Applied, None), "rule 9: it is said once", &again);
        }

        let records = self.of_tenant(&tenant).await;
        let held = records.iter().filter(|record| record.state == DeliveryState::Held).count();
        check(held == 3, "rule 9", &records);
        check(self.read(endpoint.id).await.disabled == Some(DisabledReason::Failing), "rule 9", &"not disabled");
        let dispatched = self.dispatch(message(&tenant)).await;
        check(dispatched == Dispatched::Stored { deliveries: 0 }, "rule 1: a disabled endpoint", &dispatched);
    }

    pub(super) async fn two_bad_moments_days_apart_do_not_disable_an_endpoint(&self) {
        let tenant = new_tenant();
        let endpoint = self.endpoint(&tenant, &["*"]).await;
        for wait in [Duration::ZERO, DISABLE_AFTER + DAY] {
            (self.advance)(wait).await;
            for _ in 0..3 {
                self.dispatch(message(&tenant)).await;
                let token = token();
                for delivery in self.lease(token, 1).await {
                    let finished = self.finish(delivery.id, token, After::Exhausted).await;
                    check(finished == (Fenced::Applied, None), "rule 9: two bad moments", &finished);
                }
            }
        }
        check(self.read(endpoint.id).await.disabled.is_none(), "rule 9: two bad moments", &"disabled");
        (self.advance)(DAY).await;
        self.erase(&tenant, 500).await;
    }

    pub(super) async fn a_gone_endpoint_is_held_and_enabled_again(&self) {
        let tenant = new_tenant();
        let endpoint = self.endpoint(&tenant, &["*"]).await;
        self.dispatch(message(&tenant)).await;
        let token = token();
        let leased = self.lease_one(token, "rule 9").await;
        let gone = self.finish(leased.id, token, After::Gone).await;
        check(gone == (Fenced::Applied, Some(DisabledReason::Gone)), "rule 9", &gone);
        check(self.state(leased.id).await == Some(DeliveryState::Held), "rule 9", &"not held");
        check(self.lease(self::token(), 64).await.is_empty(), "rule 4", &"a disabled endpoint was leased for");

        check(taken("rule 10", self.store.switch_endpoint(endpoint.id, None).await), "rule 10", &"not there");
        let record = self.read(endpoint.id).await;
        check(record.disabled.is_none() && record.failures == 0 && record.failing_since.is_none(), "rule 10", &record);
        let again = self.lease_one(self::token(), "rule 10").await;
        check(again.id == leased.id, "rule 10", &again);
        (self.advance)(PAST_LEASE).await;
        self.drain().await;
    }

    pub(super) async fn a_change_applies_to_its_revision(&self) {
        let endpoint = self.endpoint(&new_tenant(), &["*"]).await;
        let mut settings = endpoint.settings.clone();
        settings.url = "https://example.com/elsewhere".into();
        settings.description = "described".into();
        settings.sealed = Sealed::new("another key", &b"\x00\xff"[..]);
        settings.rate_limit = RateLimit::per_minute(90).ok();
        settings.api_version = Some("2026-06".into());
        settings.metadata = [("plan".into(), "\u{1f4e6} \"pro\"".into()), ("empty".into(), String::new())].into();
        for (revision, wanted) in [(2, Fenced::Stale), (1, Fenced::Applied), (1, Fenced::Stale)] {
            let changed = taken("rule 11", self.store.change_endpoint(endpoint.id, revision, settings.clone()).await);
            check(changed == wanted, "rule 11", &(revision, changed));
        }
        let record = self.read(endpoint.id).await;
        check(record.settings == settings && record.revision == 2, "rule 11", &record);
        check(record.created_at == endpoint.created_at, "rule 11", &record);
    }
}
