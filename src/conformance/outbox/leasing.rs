//! Which deliveries are leased to whom, and how an attempt ends.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::sync::Barrier;

use super::suite::{FAILED, LEASE, PAST_LEASE, Suite, check, message, new_tenant, taken, token, typed};
use crate::{
    boxed::BoxFuture,
    error::StoreErrorKind,
    send::{After, DeliveryState, Fenced, Finish, IN_FLIGHT, LeaseRequest, OutboxStore},
};

impl<'h, S: OutboxStore, A: Fn(Duration) -> BoxFuture<'h, ()>> Suite<S, A> {
    pub(super) async fn simultaneous_workers_share_what_is_due(&self) {
        let tenant = new_tenant();
        self.endpoint(&tenant, &["*"]).await;
        for _ in 0..2 * IN_FLIGHT {
            self.dispatch(message(&tenant)).await;
        }

        let barrier = Arc::new(Barrier::new(8));
        let workers: Vec<_> = (0..8)
            .map(|_| {
                let (store, barrier) = (self.store.clone(), barrier.clone());
                tokio::spawn(async move {
                    barrier.wait().await;
                    store.lease(LeaseRequest::new(token(), LEASE, 3)).await
                })
            })
            .collect();
        let mut leased = Vec::new();
        for worker in workers {
            match worker.await {
                Ok(Ok(leases)) => leased.extend(leases.deliveries.into_iter().map(|delivery| delivery.id)),
                Ok(Err(error)) if error.kind() == StoreErrorKind::Busy => {}
                other => check(false, "rule 4", &other),
            }
        }
        let more = self.lease(token(), 64).await;
        leased.extend(more.iter().map(|delivery| delivery.id));
        let count = leased.len();
        leased.sort_unstable();
        leased.dedup();
        check(leased.len() == count, "rule 4: one delivery, one worker", &leased);
        check(count == IN_FLIGHT as usize, "rule 4: so many are in flight, whatever the workers", &count);
        (self.advance)(PAST_LEASE).await;
        self.drain().await;
    }

    pub(super) async fn a_passed_lease_is_leased_again_and_fences_its_owner(&self) {
        let tenant = new_tenant();
        self.endpoint(&tenant, &["*"]).await;
        self.dispatch(message(&tenant)).await;
        let (slow, next) = (token(), token());
        let first = self.lease_one(slow, "rule 4").await;
        check(first.attempt == 1, "rule 4", &first.attempt);
        check(self.lease(token(), 64).await.is_empty(), "rule 4", &"a leased delivery was leased");
        (self.advance)(PAST_LEASE).await;
        let second = self.lease_one(next, "rule 4").await;
        check((second.id, second.attempt) == (first.id, 2), "rule 4", &second);
        check(second.message.message_id() == first.message.message_id(), "rule 4: the id stays", &second);

        for after in [After::Delivered, After::Exhausted, After::Gone, FAILED] {
            let stale = self.finish(first.id, slow, after).await;
            check(stale == (Fenced::Stale, None), "rule 6", &stale);
        }
        check(
            self.state(first.id).await == Some(DeliveryState::Sending),
            "rule 6",
            &"a stale worker changed something",
        );
        // A lease that has passed still belongs to its owner until another one takes it.
        (self.advance)(PAST_LEASE).await;
        for wanted in [Fenced::Applied, Fenced::Stale] {
            let (fenced, _) = self.finish(first.id, next, After::Delivered).await;
            check(fenced == wanted, "rule 6: it acts once", &fenced);
        }
        check(self.state(first.id).await == Some(DeliveryState::Delivered), "rule 6", &"not delivered");
    }

    pub(super) async fn the_endpoint_that_waited_longest_is_first(&self) {
        let tenant = new_tenant();
        let busy = self.endpoint(&tenant, &["a"]).await;
        let late = self.endpoint(&tenant, &["b"]).await;
        for _ in 0..8 {
            self.dispatch(typed("a", &tenant)).await;
        }
        let first = self.lease(token(), 2).await;
        check(first.iter().all(|delivery| delivery.endpoint.id == busy.id), "rule 5", &first);
        (self.advance)(Duration::from_secs(1)).await;
        self.dispatch(typed("b", &tenant)).await;

        let second = self.lease(token(), 1).await;

        check(second.iter().any(|delivery| delivery.endpoint.id == late.id), "rule 5", &second);
        (self.advance)(PAST_LEASE).await;
        self.drain().await;
    }

    pub(super) async fn an_attempt_and_its_delivery_change_together(&self) {
        let tenant = new_tenant();
        self.endpoint(&tenant, &["*"]).await;
        let sent = message(&tenant).version("2026-01");
        self.dispatch(sent.clone()).await;
        let token = token();
        let leased = self.lease_one(token, "rule 7").await;
        let kept = &leased.message;
        check(
            (kept.event_type(), kept.payload().get(), kept.api_version())
                == (sent.event_type(), sent.payload().get(), sent.api_version())
                && kept.timestamp().is_some(),
            "rule 7: a message comes back as it was",
            kept,
        );

        let mut finish = Finish::new(FAILED);
        finish.status = Some(503);
        finish.error = Some("status");
        finish.duration = Duration::from_millis(17);
        finish.answer = Bytes::from_static(b"\xffno");
        let noted = taken("rule 7", self.store.finish(leased.id, token, finish).await);
        check(noted == (Fenced::Applied, None), "rule 7", &noted);

        let attempts = taken("rule 7", self.store.attempts(leased.id).await);
        let as_noted = matches!(&attempts[..], [one] if one.attempt == 1
            && one.status == Some(503)
            && one.error.as_deref() == Some("status")
            && one.duration == Duration::from_millis(17)
            && *one.answer == *b"\xffno");
        check(as_noted, "rule 7", &attempts);
        check(self.state(leased.id).await == Some(DeliveryState::Pending), "rule 7", &"not pending");
        check(self.lease(self::token(), 64).await.is_empty(), "rule 7", &"leased before it was due");
        (self.advance)(Duration::from_secs(3700)).await;
        let again = self.lease_one(self::token(), "rule 7").await;
        check(again.attempt == 2, "rule 7", &again.attempt);
        let ages = Duration::from_secs(3700)..Duration::from_secs(4000);
        check(leased.age < PAST_LEASE && ages.contains(&again.age), "lease: the age", &(leased.age, again.age));
        (self.advance)(PAST_LEASE).await;
        self.drain().await;
    }

    pub(super) async fn what_was_unsent_is_as_if_it_were_not_leased(&self) {
        let tenant = new_tenant();
        let endpoint = self.endpoint(&tenant, &["*"]).await;
        self.dispatch(message(&tenant)).await;
        let token = token();
        let leased = self.lease_one(token, "rule 7").await;
        self.finishes(leased.id, token, After::Unsent { wait: Duration::ZERO }).await;

        check(taken("rule 7", self.store.attempts(leased.id).await).is_empty(), "rule 7", &"noted");
        check(self.read(endpoint.id).await.failures == 0, "rule 7", &"counted against the endpoint");
        let again = self.lease_one(self::token(), "rule 7").await;
        check(again.attempt == 1, "rule 7", &again.attempt);
        (self.advance)(PAST_LEASE).await;
        self.drain().await;
    }
}
