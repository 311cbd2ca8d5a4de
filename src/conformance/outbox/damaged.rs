//! What cannot be read.

use std::time::Duration;

use super::suite::{FAILED, Suite, broken, check, message, new_tenant, taken, token};
use crate::{
    boxed::BoxFuture,
    send::{After, DeliveryState, EndpointId, EventTypeDefinition, Fenced, OutboxStore, SentDeliveryId},
};

/// A change of a row that [`damaged_outbox`] asks for. The store's own test makes it with its own statements.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Damage {
    /// The message with this id loses its payload, as if its content had been purged.
    ContentGone(String),
    /// A delivery is in a state that this version does not know.
    Delivery(SentDeliveryId),
    /// An endpoint has a signing style that this version does not know.
    Endpoint(EndpointId),
    /// The endpoint can be read again: its style is Standard Webhooks.
    EndpointMended(EndpointId),
    /// The event type of this name has a name that this version does not allow.
    EventType(String),
    /// The message with this id has an event type that this version does not allow.
    Message(String),
    /// The message with this id can be read again: its event type is `order.completed`.
    MessageMended(String),
}

/// Checks a store that keeps rows against rule 15 of the contract of [`OutboxStore`]: a row that cannot be read stops
/// only itself; and against rules 16 and 20, as [`emptied_outbox`](super::emptied_outbox) does.
///
/// `advance` moves the store's clock forward, and `damage` changes a row without the store's knowledge. The store must
/// be empty.
///
/// # Panics
/// If a rule is broken; the message begins with its number.
pub async fn damaged_outbox<'h, S: OutboxStore>(
    store: S,
    advance: impl Fn(Duration) -> BoxFuture<'h, ()>,
    damage: impl AsyncFn(Damage),
) {
    let suite = Suite { store: std::sync::Arc::new(store), advance };
    suite.an_endpoint_that_cannot_be_read_rests_alone(&damage).await;
    suite.an_attempt_is_noted_though_its_endpoint_cannot_be_read(&damage).await;
    suite.a_message_that_cannot_be_read_waits_alone(&damage).await;
    suite.keeps_nothing_without_content(&async |id| damage(Damage::ContentGone(id)).await).await;
    suite.lists_leave_out_what_cannot_be_read(&damage).await;
}

/// Longer than the rest of anything that cannot be read.
const RESTED: Duration = Duration::from_secs(600);

impl<'h, S: OutboxStore, A: Fn(Duration) -> BoxFuture<'h, ()>> Suite<S, A> {
    async fn an_endpoint_that_cannot_be_read_rests_alone(&self, damage: &impl AsyncFn(Damage)) {
        let (tenant, other) = (new_tenant(), new_tenant());
        let bad = self.endpoint(&tenant, &["*"]).await;
        let beside = self.endpoint(&tenant, &["*"]).await;
        let good = self.endpoint(&other, &["*"]).await;
        for of in [&tenant, &other] {
            self.dispatch(message(of)).await;
        }
        damage(Damage::Endpoint(bad.id)).await;

        let leased = self.lease(token(), 64).await;
        let mut to: Vec<_> = leased.iter().map(|delivery| delivery.endpoint.id).collect();
        to.sort_unstable();
        let mut wanted = vec![beside.id, good.id];
        wanted.sort_unstable();
        check(to == wanted, "rule 15: all others are leased for", &to);
        self.dispatch(message(&other)).await;
        (self.advance)(RESTED).await;
        let leased = self.lease(token(), 64).await;
        let all = leased.iter().all(|delivery| delivery.endpoint.id != bad.id) && leased.len() == 3;
        check(all, "rule 15: and so they are later", &leased);

        let listed = taken("rule 15", self.store.endpoints(Some(tenant.as_str().into()), None, 100).await);
        let ids: Vec<_> = listed.iter().map(|record| record.id).collect();
        check(ids == [beside.id], "rule 15: a list leaves it out", &ids);
        let mut paged = Vec::new();
        while let Some(record) =
            taken("rule 15", self.store.endpoints(None, paged.last().copied(), 1).await).into_iter().next()
        {
            paged.push(record.id);
        }
        check(paged == wanted, "rule 15: a page goes on behind it", &paged);
        let unreadable = taken("rule 15", self.store.unreadable_endpoints().await);
        check(unreadable == [bad.id], "rule 15: it is told", &unreadable);

        damage(Damage::EndpointMended(bad.id)).await;
        (self.advance)(RESTED).await;
        let leased = self.lease(token(), 64).await;
        let of_it = leased.iter().find(|delivery| delivery.endpoint.id == bad.id);
        check(of_it.is_some_and(|delivery| delivery.attempt == 1), "rule 15: it used up no attempt", &leased);
        let unreadable = taken("rule 15", self.store.unreadable_endpoints().await);
        check(unreadable.is_empty(), "rule 15", &unreadable);
        damage(Damage::Endpoint(bad.id)).await;
        check(taken("delete", self.store.delete_endpoint(bad.id).await), "rule 15: it can be deleted", &bad.id);
        for of in [&tenant, &other] {
            self.erase(of, 500).await;
        }
    }

    async fn an_attempt_is_noted_though_its_endpoint_cannot_be_read(&self, damage: &impl AsyncFn(Damage)) {
        let tenant = new_tenant();
        let endpoint = self.endpoint(&tenant, &["*"]).await;
        for _ in 0..2 {
            self.dispatch(message(&tenant)).await;
        }
        let token = token();
        let leased = self.lease(token, 2).await;
        check(leased.len() == 2, "rule 15", &leased);
        damage(Damage::Endpoint(endpoint.id)).await;

        for (delivery, after, state) in
            [(&leased[0], After::Delivered, DeliveryState::Delivered), (&leased[1], FAILED, DeliveryState::Pending)]
        {
            let finished = self.finish(delivery.id, token, after).await;
            check(finished == (Fenced::Applied, None), "rule 15: it is noted", &finished);
            check(self.state(delivery.id).await == Some(state), "rule 15: it is noted", &delivery.id);
            let attempts = taken("rule 15", self.store.attempts(delivery.id).await);
            check(attempts.len() == 1, "rule 15: it is noted", &attempts);
        }
        self.erase(&tenant, 500).await;
    }

    async fn a_message_that_cannot_be_read_waits_alone(&self, damage: &impl AsyncFn(Damage)) {
        let tenant = new_tenant();
        self.endpoint(&tenant, &["*"]).await;
        let (bad, good) = (message(&tenant), message(&tenant));
        for message in [&bad, &good] {
            self.dispatch(message.clone()).await;
        }
        let name = bad.message_id().as_str().to_owned();
        damage(Damage::Message(name.clone())).await;

        let first = token();
        let leased = self.lease(first, 64).await;
        let ids: Vec<_> = leased.iter().map(|delivery| delivery.message.message_id()).collect();
        check(ids == [good.message_id()], "rule 15: the others are leased", &leased);
        self.finishes(leased[0].id, first, After::Delivered).await;
        check(self.lease(token(), 64).await.is_empty(), "rule 15: it waits", &"leased");
        let waits =
            |record: &&crate::send::DeliveryRecord| record.state == DeliveryState::Pending && record.attempt == 0;
        let records = self.of_tenant(&tenant).await;
        check(records.iter().filter(waits).count() <= 1, "rule 15: no attempt is counted", &records);

        damage(Damage::MessageMended(name)).await;
        (self.advance)(RESTED).await;
        let again = self.lease_one(token(), "rule 15: it goes on when it can be read").await;
        check(again.attempt == 1, "rule 15: it used up no attempt", &again.attempt);
        self.erase(&tenant, 500).await;
    }

    async fn lists_leave_out_what_cannot_be_read(&self, damage: &impl AsyncFn(Damage)) {
        let tenant = new_tenant();
        self.endpoint(&tenant, &["*"]).await;
        for _ in 0..3 {
            self.dispatch(message(&tenant)).await;
        }
        let before = self.of_tenant(&tenant).await;
        damage(Damage::Delivery(before[1].id)).await;
        let listed = self.of_tenant(&tenant).await;
        let ids: Vec<_> = listed.iter().map(|record| record.id).collect();
        check(ids == [before[0].id, before[2].id], "rule 15: a list leaves it out", &ids);
        let mut query = crate::send::DeliveryQuery::default();
        let mut paged = Vec::new();
        while let Some(record) =
            taken("rule 15", self.store.deliveries(tenant.as_str().into(), query.clone(), 1).await).into_iter().next()
        {
            paged.push(record.id);
            query = query.before(record.id);
        }
        check(paged == ids, "rule 15: a page goes on behind it", &paged);
        check(self.lease(token(), 64).await.len() == 2, "rule 15: the others are leased", &ids);

        let named = |name: &str| EventTypeDefinition::new(name).unwrap_or_else(|error| broken("setup", &error));
        let both = vec![named("order.completed"), named("user.created")];
        taken("event types", self.store.put_event_types(both.clone()).await);
        damage(Damage::EventType("order.completed".into())).await;
        let listed = taken("event types", self.store.event_types().await);
        check(listed == both[1..], "rule 15: the catalogue leaves it out", &listed);
        self.erase(&tenant, 500).await;
    }
}
