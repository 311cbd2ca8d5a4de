//! Messages that have lost their content.

use std::{sync::Arc, time::Duration};

use super::suite::{DAY, PAST_LEASE, Suite, check, message, new_tenant, taken, token};
use crate::{
    boxed::BoxFuture,
    send::{After, DeliveryRecord, DeliveryState, Fenced, IN_FLIGHT, Message, OutboxStore},
};

/// Checks a store against rules 16 and 20 of the contract of [`OutboxStore`]: a delivery whose message has lost its
/// content is cancelled, and does not delay other deliveries.
///
/// `advance` moves the store's clock forward, and `empty` removes the payload of the message with an id without the
/// store's knowledge, as if it had been purged. The store must be empty.
///
/// # Panics
/// If a rule is broken; the message begins with its number.
pub async fn emptied_outbox<'h, S: OutboxStore>(
    store: S,
    advance: impl Fn(Duration) -> BoxFuture<'h, ()>,
    empty: impl AsyncFn(String),
) {
    let suite = Suite { store: Arc::new(store), advance };
    suite.keeps_nothing_without_content(&empty).await;
}

impl<'h, S: OutboxStore, A: Fn(Duration) -> BoxFuture<'h, ()>> Suite<S, A> {
    pub(super) async fn keeps_nothing_without_content(&self, empty: &impl AsyncFn(String)) {
        self.what_has_lost_its_content_is_cancelled(empty).await;
        self.what_has_lost_its_content_takes_nobodys_place(empty).await;
        self.what_has_lost_its_content_keeps_no_order_key(empty).await;
    }

    async fn what_has_lost_its_content_keeps_no_order_key(&self, empty: &impl AsyncFn(String)) {
        let tenant = new_tenant();
        self.endpoint(&tenant, &["*"]).await;
        let [gone, next] = [(); 2].map(|()| message(&tenant).order_key("key"));
        for message in [&gone, &next] {
            self.dispatch(message.clone()).await;
        }
        empty(gone.message_id().to_string()).await;

        // The next one may be given out by the lease that finds the lost content, or by the one after it.
        let mut leased = self.lease(token(), 64).await;
        if leased.is_empty() {
            leased = self.lease(token(), 64).await;
        }
        let is_next = leased.len() == 1 && leased[0].message.message_id() == next.message_id();
        check(is_next, "rule 22: what has lost its content keeps its order key from nobody", &leased);
    }

    async fn what_has_lost_its_content_is_cancelled(&self, empty: &impl AsyncFn(String)) {
        let tenant = new_tenant();
        self.endpoint(&tenant, &["*"]).await;
        let (gone, there, held) = (message(&tenant), message(&tenant), message(&tenant));
        self.dispatch(held.clone()).await;
        let died = self.lease_one(token(), "rule 16").await;
        for message in [&gone, &there] {
            self.dispatch(message.clone()).await;
        }
        for message in [&gone, &held] {
            empty(message.message_id().to_string()).await;
        }

        let leased = self.lease_one(token(), "rule 16: nothing else is in its way").await;
        check(leased.message.message_id() == there.message_id(), "rule 16", &leased);
        // A delivery whose worker died is leased again when its lease has passed.
        (self.advance)(PAST_LEASE).await;
        let leased = self.lease(token(), 64).await;
        check(leased.len() == 1, "rule 16", &leased);
        let records = self.of_tenant(&tenant).await;
        let of = |message: &Message| {
            let name = message.message_id().as_str();
            let record = records.iter().find(|record| record.message == name);
            record.map(|record| (record.state, record.attempt))
        };
        check(of(&gone) == Some((DeliveryState::Cancelled, 0)), "rule 16: without an attempt", &records);
        check(of(&held) == Some((DeliveryState::Cancelled, 1)), "rule 16: after an attempt", &records);
        check(!taken("resend", self.store.resend(died.id).await), "resend: without its content", &died.id);
        let late = self.finish(died.id, token(), After::Delivered).await;
        check(late == (Fenced::Stale, None), "rule 6", &late);
        (self.advance)(DAY).await;
        self.erase(&tenant, 500).await;
    }

    async fn what_has_lost_its_content_takes_nobodys_place(&self, empty: &impl AsyncFn(String)) {
        // In order, and all of an endpoint at once: more of them than are in flight.
        for (in_order, gone) in [(true, 1), (false, IN_FLIGHT as usize)] {
            let tenant = new_tenant();
            let mut settings = self.settings(&["*"]);
            settings.in_order = in_order;
            self.register(&tenant, settings).await;
            let lost: Vec<_> = (0..gone).map(|_| message(&tenant)).collect();
            let there = message(&tenant);
            for message in lost.iter().chain([&there]) {
                self.dispatch(message.clone()).await;
            }
            for message in &lost {
                empty(message.message_id().to_string()).await;
            }

            let first = token();
            let leased = self.lease_one(first, "rule 20: what is behind it is leased in the same look").await;

            check(leased.message.message_id() == there.message_id(), "rule 20", &leased);
            check(leased.attempt == 1, "rule 20", &leased.attempt);
            self.finishes(leased.id, first, After::Delivered).await;
            let is_done = |record: &DeliveryRecord| match record.id == leased.id {
                true => record.state == DeliveryState::Delivered,
                false => (record.state, record.attempt) == (DeliveryState::Cancelled, 0),
            };
            let records = self.of_tenant(&tenant).await;
            check(records.len() == gone + 1 && records.iter().all(is_done), "rule 20", &records);
            check(self.lease(token(), 64).await.is_empty(), "rule 20", &"something is left");
            self.erase(&tenant, 500).await;
        }
    }
}
