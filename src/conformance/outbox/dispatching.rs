//! What is dispatched, and how it is found.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Waker},
    time::Duration,
};

use super::suite::{PAST_LEASE, Suite, check, message, new_tenant, taken, token, typed, with_payload};
use crate::{
    boxed::BoxFuture,
    error::StoreErrorKind,
    send::{DeliveryQuery, DeliveryState, Dispatched, OutboxStore},
};

impl<'h, S: OutboxStore, A: Fn(Duration) -> BoxFuture<'h, ()>> Suite<S, A> {
    pub(super) async fn a_message_makes_a_delivery_for_each_endpoint_that_wants_it(&self) {
        let tenant = new_tenant();
        let exact = self.endpoint(&tenant, &["order.completed"]).await;
        let prefix = self.endpoint(&tenant, &["user.*", "order.*"]).await;
        self.endpoint(&tenant, &["user.created"]).await;
        self.endpoint(&new_tenant(), &["*"]).await;

        let dispatched = self.dispatch(message(&tenant)).await;

        check(dispatched == Dispatched::Stored { deliveries: 2 }, "rule 1", &dispatched);
        let records = self.of_tenant(&tenant).await;
        let mut to: Vec<_> = records.iter().map(|record| record.endpoint).collect();
        to.sort_unstable();
        let mut wanted = vec![exact.id, prefix.id];
        wanted.sort_unstable();
        check(to == wanted, "rule 1", &to);
        check(records.iter().all(|record| *record.tenant == *tenant), "rule 1", &records);
        check(records.iter().all(|record| record.state == DeliveryState::Pending), "rule 1", &records);
        let unwanted = self.dispatch(message(&new_tenant())).await;
        check(unwanted == Dispatched::Stored { deliveries: 0 }, "rule 1", &unwanted);
        for (pattern, event_type) in [("orders/*", "orders/create"), ("order:*", "order:paid")] {
            let tenant = new_tenant();
            self.endpoint(&tenant, &[pattern]).await;
            let dispatched = self.dispatch(typed(event_type, &tenant)).await;
            check(dispatched == Dispatched::Stored { deliveries: 1 }, "rule 1", &(pattern, &dispatched));
            let other = self.dispatch(message(&tenant)).await;
            check(other == Dispatched::Stored { deliveries: 0 }, "rule 1", &(pattern, &other));
        }
        self.drain().await;
    }

    pub(super) async fn a_message_is_known_by_tenant_and_id(&self) {
        let tenant = new_tenant();
        self.endpoint(&tenant, &["*"]).await;
        let (one, two) = (message(&tenant), message(&tenant));
        self.dispatch(one.clone()).await;

        for (messages, wanted) in [
            (vec![one.clone()], vec![Dispatched::Known { deliveries: 1 }]),
            (vec![one.clone().tenant(new_tenant())], vec![Dispatched::Stored { deliveries: 0 }]),
        ] {
            let dispatched = taken("rule 2", self.store.dispatch(messages).await);
            check(dispatched == wanted, "rule 2", &dispatched);
        }
        for other in [one.clone().version("2"), with_payload(&one, "another")] {
            let dispatched = taken("rule 2", self.store.dispatch(vec![two.clone(), other]).await);
            check(dispatched.get(1) == Some(&Dispatched::Conflict), "rule 2", &dispatched);
        }
        let dispatched = self.dispatch(two).await;
        check(dispatched == Dispatched::Stored { deliveries: 1 }, "rule 2: nothing beside a conflict", &dispatched);
        self.drain().await;
    }

    pub(super) async fn deliveries_are_found_by_what_they_are(&self) {
        let tenant = new_tenant();
        let one = self.endpoint(&tenant, &["*"]).await;
        self.endpoint(&tenant, &["order.*"]).await;
        let messages = [message(&tenant), typed("order.paid", &tenant), typed("user.created", &tenant)];
        taken("dispatch", self.store.dispatch(messages.to_vec()).await);
        let all = self.of_tenant(&tenant).await;
        check(all.len() == 5 && all.is_sorted_by(|a, b| a.id > b.id), "reading: the newest first", &all);
        check(taken("cancel", self.store.cancel(all[1].id).await), "cancelling", &all[1]);

        let query = DeliveryQuery::default;
        let of_one = query().endpoint(one.id);
        for (query, wanted) in [
            (of_one.clone(), 3),
            (query().state(DeliveryState::Cancelled), 1),
            (query().message(messages[0].message_id().as_str()), 2),
            (query().event_type("order.paid"), 2),
            (query().event_type("order.*"), 0),
            (query().before(all[1].id), 3),
            (of_one.event_type("order.paid"), 1),
        ] {
            let found = taken("read", self.store.deliveries(tenant.as_str().into(), query.clone(), 100).await).len();
            check(found == wanted, "reading what fits", &query);
        }
        self.drain().await;
    }

    pub(super) async fn a_foreign_connection_is_refused(&self) {
        let mut connection = "no connection";
        let refused = self.store.dispatch_in(&mut connection, vec![message(&new_tenant())]).await;
        let kind = refused.err().map(|error| error.kind());
        check(kind == Some(StoreErrorKind::WrongTransaction), "rule 3", &kind);
    }

    pub(super) async fn what_is_dispatched_together_is_leased_in_its_order(&self) {
        let tenant = new_tenant();
        self.endpoint(&tenant, &["*"]).await;
        // No order by id or type is the order of dispatch.
        let ids = ["c", "a", "d", "b"].map(|name| format!("{name}-{tenant}"));
        let named = |id: &String| id.parse().map(|id| message(&tenant).id(id));
        let messages: Vec<_> = ids.iter().filter_map(|id| named(id).ok()).collect();
        taken("dispatch", self.store.dispatch(messages).await);

        let mut leased = Vec::new();
        for _ in &ids {
            let delivery = self.lease(token(), 1).await;
            leased.extend(delivery.iter().map(|delivery| delivery.message.message_id().to_string()));
        }

        check(leased == ids, "dispatch: the order of messages", &leased);
        (self.advance)(PAST_LEASE).await;
        self.drain().await;
    }

    pub(super) async fn a_dropped_future_leaves_nothing_locked(&self) {
        let tenant = new_tenant();
        self.endpoint(&tenant, &["*"]).await;
        for polls in 0..20 {
            let mut future = pin!(self.store.dispatch(vec![message(&tenant)]));
            for _ in 0..polls {
                if future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        let dispatched = self.dispatch(message(&tenant)).await;
        check(dispatched == Dispatched::Stored { deliveries: 1 }, "rule 13", &dispatched);
        self.drain().await;
    }
}
