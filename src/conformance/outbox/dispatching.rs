//! Dispatching messages, and finding them.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::pin,
    task::{Context, Waker},
    time::{Duration, UNIX_EPOCH},
};

use super::suite::{PAST_LEASE, Suite, broken, check, message, new_tenant, taken, token, typed, with_payload};
use crate::{
    boxed::BoxFuture,
    error::StoreErrorKind,
    send::{
        After, DeliveryQuery, DeliveryRecord, DeliveryState, Dispatched, Fenced, MessageQuery, OutboxStore, Recover,
        SentDeliveryId,
    },
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
        self.labels_are_asked_for().await;
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

    async fn labels_are_asked_for(&self) {
        let tenant = new_tenant();
        let labels = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>()
        };
        let mut of = Vec::new();
        for wanted in [labels(&[]), labels(&[("region", "eu")]), labels(&[("plan", "pro"), ("region", "eu west=1 ü")])]
        {
            let mut settings = self.settings(&["*"]);
            settings.labels = wanted;
            of.push(self.register(&tenant, settings).await.id);
        }
        let plain = message(&tenant);
        let eu = message(&tenant).label("region", "eu").label("team", "billing");
        let both = message(&tenant).label("region", "eu west=1 ü").label("plan", "pro").label("a", "b");
        for (message, wanted) in [
            (&plain, &[0][..]),
            (&eu, &[0, 1]),
            (&message(&tenant).label("region", "EU"), &[0]),
            (&message(&tenant).label("region", "eu west=1 ü"), &[0]),
            (&both, &[0, 2]),
        ] {
            let dispatched = self.dispatch(message.clone()).await;
            let deliveries = u32::try_from(wanted.len()).unwrap_or_default();
            check(dispatched == Dispatched::Stored { deliveries }, "rule 1: labels", &(message.labels(), &dispatched));
            let id = message.message_id().as_str();
            let query = DeliveryQuery::default().message(id);
            let made = taken("read", self.store.deliveries(tenant.as_str().into(), query, 100).await);
            let to_wanted = made.iter().all(|record| wanted.iter().any(|place| of[*place] == record.endpoint));
            check(to_wanted, "rule 1: labels", &(message.labels(), &made));
            let kept = taken("read", self.store.message(tenant.as_str().into(), id.to_owned()).await);
            let kept = kept.map(|kept| kept.labels);
            check(kept.as_ref() == Some(message.labels()), "rule 1: labels are kept", &kept);
        }
        let listed = taken("read", self.store.messages(tenant.as_str().into(), MessageQuery::default(), 100).await);
        let listed =
            listed.into_iter().find(|record| record.id == eu.message_id().as_str()).map(|record| record.labels);
        check(listed.as_ref() == Some(eu.labels()), "rule 1: labels are listed", &listed);
        let leased = self.lease(token(), 64).await;
        let found = leased.iter().find(|leased| leased.message.message_id() == both.message_id());
        check(found.is_some_and(|leased| leased.message.labels() == both.labels()), "rule 1: labels", &leased);
        (self.advance)(PAST_LEASE).await;

        // What was never made is made by `recover` for those that ask for it, and for no others.
        let mut settings = self.settings(&["*"]);
        settings.labels = labels(&[("region", "eu")]);
        let late = self.register(&tenant, settings).await;
        let recover = Recover::new(UNIX_EPOCH);
        let recovered = taken("recover", self.store.recover(late.id, recover, 100).await);
        let made = self.of_tenant(&tenant).await;
        let made: Vec<_> = made.iter().filter(|record| record.endpoint == late.id).collect();
        let only = matches!(made.as_slice(), [one] if one.message == eu.message_id().as_str());
        check(recovered.deliveries == 1 && only, "recover: labels", &made);

        // Labels can be changed.
        let mut settings = self.read(late.id).await.settings;
        settings.labels.clear();
        let changed = taken("change", self.store.change_endpoint(late.id, 1, settings).await);
        let read = self.read(late.id).await.settings.labels;
        check(changed == Fenced::Applied && read.is_empty(), "rule 11: labels", &read);
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
        for other in [one.clone().version("2"), one.clone().label("region", "eu"), with_payload(&one, "another")] {
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

        // Others may have some meanwhile.
        let others = new_tenant();
        self.endpoint(&others, &["*"]).await;
        self.dispatch(message(&others)).await;
        let mut newest = self.all(None, None, 2).await;
        let second = newest.pop().unwrap_or_else(|| broken("all deliveries", &"there are two at least"));
        let both = newest.first().is_some_and(|first| *first.tenant == *others && first.id > second.id);
        check(both && *second.tenant == *tenant && second.id == all[0].id, "all deliveries: the newest first", &newest);
        let older = self.all(None, Some(second.id), 2).await;
        check(older.len() == 2 && older[0].id == all[1].id, "all deliveries: the next page", &older);
        check(older[0].state == DeliveryState::Cancelled, "all deliveries: in any state", &older);
        let mine = token();
        let leased = self.lease(mine, 64).await;
        for (delivery, after) in leased.iter().zip([After::Refused, After::Exhausted, After::Delivered]) {
            let (finished, _) = self.finish(delivery.id, mine, after).await;
            check(finished == Fenced::Applied, "rule 7", &finished);
        }
        for (delivery, state) in leased.iter().zip([DeliveryState::Refused, DeliveryState::Exhausted]) {
            let given_up = self.all(Some(state), None, 64).await;
            let only = given_up.iter().filter(|record| record.id == delivery.id).count();
            let fit = given_up.iter().all(|record| record.state == state) && given_up.is_sorted_by(|a, b| a.id > b.id);
            check(only == 1 && fit, "all deliveries: what was given up", &given_up);
            let older = self.all(Some(state), Some(delivery.id), 64).await;
            check(older.iter().all(|record| record.id < delivery.id), "all deliveries: the next page", &older);
        }
        (self.advance)(PAST_LEASE).await;
        self.drain().await;
    }

    async fn all(
        &self,
        state: Option<DeliveryState>,
        before: Option<SentDeliveryId>,
        limit: u32,
    ) -> Vec<DeliveryRecord> {
        taken("all deliveries", self.store.all_deliveries(state, before, limit).await)
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
