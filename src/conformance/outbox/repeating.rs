//! Resending, cancelling, recovering and purging.

use std::time::Duration;

use super::suite::{DAY, FAILED, PAST_LEASE, Suite, check, message, new_tenant, taken, token, typed};
use crate::{
    boxed::BoxFuture,
    send::{
        After, DeliveryRecord, DeliveryState, DisabledReason, Fenced, OutboxStore, Recover, Recovered, SentDeliveryId,
    },
};

impl<'h, S: OutboxStore, A: Fn(Duration) -> BoxFuture<'h, ()>> Suite<S, A> {
    pub(super) async fn what_ended_can_be_sent_again(&self) {
        let tenant = new_tenant();
        self.endpoint(&tenant, &["*"]).await;
        self.dispatch(message(&tenant)).await;
        let mut id = None;
        for (attempt, after) in [After::Delivered, After::Refused, After::Exhausted, FAILED].into_iter().enumerate() {
            let token = token();
            let leased = self.lease_one(token, "resend").await;
            check(leased.attempt as usize == attempt + 1, "rule 18: numbers go on", &leased.attempt);
            check(leased.round_attempt == 1, "rule 18: a fresh round", &leased.round_attempt);
            check(leased.manual == (attempt > 0), "rule 18: who asked for it", &leased.manual);
            check(!taken("resend", self.store.resend(leased.id).await), "resend", &"one that is being sent");
            self.finishes(leased.id, token, after).await;
            check(taken("resend", self.store.resend(leased.id).await), "resend", &after);
            id = Some(leased.id);
        }
        // The last one waited an hour for its retry: that is replaced, not added to.
        let first = token();
        let leased = self.lease_one(first, "resend: a retry is replaced").await;
        check((leased.attempt, leased.round_attempt) == (5, 1), "rule 18: a fresh round", &leased);
        self.finishes(leased.id, first, After::Retry { wait: Duration::ZERO }).await;
        let second = token();
        let leased = self.lease_one(second, "resend: and then its own retries").await;
        check((leased.attempt, leased.round_attempt) == (6, 2), "rule 18: the round goes on", &leased);
        check(!leased.manual, "rule 18: nobody asked for the retry", &leased);
        self.finishes(leased.id, second, After::Delivered).await;
        let attempts = taken("rule 18", self.store.attempts(leased.id).await);
        let shown: Vec<_> = attempts.iter().map(|attempt| (attempt.attempt, attempt.manual)).collect();
        let wanted = [(1, false), (2, true), (3, true), (4, true), (5, true), (6, false)];
        check(shown == wanted && id == Some(leased.id), "rule 18: the log", &shown);
        let records = self.of_tenant(&tenant).await;
        let done = |record: &DeliveryRecord| record.state == DeliveryState::Delivered && record.due_at.is_none();
        check(records.len() == 1 && records.iter().all(done), "resend: a retry is replaced", &records);
        check(
            !taken("resend", self.store.resend(SentDeliveryId::from_u64(u64::MAX)).await),
            "resend",
            &"an unknown one",
        );
        self.drain().await;
    }

    pub(super) async fn what_waits_is_cancelled_with_its_endpoint(&self) {
        let tenant = new_tenant();
        let endpoint = self.endpoint(&tenant, &["*"]).await;
        for _ in 0..3 {
            self.dispatch(message(&tenant)).await;
        }
        let token = token();
        let leased = self.lease(token, 1).await;
        let newest = self.of_tenant(&tenant).await[0].id;
        for wanted in [true, false] {
            check(taken("cancel", self.store.cancel(newest).await) == wanted, "cancel", &wanted);
        }
        check(!taken("cancel", self.store.cancel(leased[0].id).await), "cancel", &"one that is being sent");

        for wanted in [true, false] {
            check(taken("delete", self.store.delete_endpoint(endpoint.id).await) == wanted, "delete", &wanted);
        }
        let (fenced, _) = self.finish(leased[0].id, token, FAILED).await;
        check(fenced == Fenced::Applied, "delete", &fenced);
        let states: Vec<_> = self.of_tenant(&tenant).await.iter().map(|record| record.state).collect();
        check(states == [DeliveryState::Cancelled; 3], "delete", &states);
        check(!taken("resend", self.store.resend(newest).await), "resend", &"without an endpoint");
    }

    pub(super) async fn what_was_missed_is_recovered(&self) {
        let tenant = new_tenant();
        self.dispatch(message(&tenant)).await;
        (self.advance)(DAY).await;
        let endpoint = self.endpoint(&tenant, &["order.*"]).await;
        let since = endpoint.created_at;
        self.dispatch(message(&tenant)).await;
        let token = token();
        let leased = self.lease_one(token, "recover").await;
        self.finishes(leased.id, token, After::Exhausted).await;
        taken("recover", self.store.switch_endpoint(endpoint.id, Some(DisabledReason::Asked)).await);
        self.dispatch(message(&tenant)).await;
        self.dispatch(typed("user.created", &tenant)).await;
        taken("recover", self.store.switch_endpoint(endpoint.id, None).await);

        let recovered = taken("recover", self.store.recover(endpoint.id, Recover::new(since), 100).await);
        check(recovered == Recovered::new(2, None), "recover", &recovered);
        let again = taken("recover", self.store.recover(endpoint.id, Recover::new(since), 100).await);
        check(again == Recovered::new(0, None), "recover: what waits is not missed", &again);
        check(self.of_tenant(&tenant).await.len() == 2, "recover", &"other deliveries");
        self.drain().await;
    }

    pub(super) async fn a_purge_spares_what_is_awaited(&self) {
        let tenant = new_tenant();
        self.endpoint(&tenant, &["*"]).await;
        self.dispatch(message(&tenant)).await;
        let token = token();
        let done = self.lease_one(token, "purge").await.id;
        self.finishes(done, token, After::Delivered).await;
        self.dispatch(message(&tenant)).await;
        (self.advance)(31 * DAY).await;
        self.purge().await;
        check(!taken("purge", self.store.resend(done).await), "purge", &"the content is there after its time");
        check(self.state(done).await == Some(DeliveryState::Delivered), "purge", &"the row went with the content");

        (self.advance)(60 * DAY).await;
        self.purge().await;
        check(self.state(done).await.is_none(), "purge", &"the row is there after its time");
        check(taken("purge", self.store.attempts(done).await).is_empty(), "purge", &"its attempts are there");
        check(self.lease(self::token(), 64).await.len() == 1, "purge", &"what was awaited is gone");
        (self.advance)(PAST_LEASE).await;
        self.drain().await;
    }

    pub(super) async fn content_is_kept_from_the_last_attempt_on(&self) {
        let tenant = new_tenant();
        self.endpoint(&tenant, &["*"]).await;
        self.dispatch(message(&tenant)).await;
        let token = token();
        let late = self.lease_one(token, "purge").await.id;
        (self.advance)(31 * DAY).await;
        self.finishes(late, token, After::Delivered).await;

        self.purge().await;

        check(taken("purge", self.store.resend(late).await), "purge", &"what was just attempted has lost its content");
        self.drain().await;
    }
}
