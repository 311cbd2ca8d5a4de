//! Tenants, retention and purge.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::sync::Barrier;

use super::suite::{
    DAY, FAILED, PAST_LEASE, Suite, broken, check, draft, message, new_tenant, taken, token, typed, with_payload,
};
use crate::{
    boxed::BoxFuture,
    error::StoreErrorKind,
    send::{
        After, DeliveryQuery, DeliveryState, DisabledReason, Dispatched, EndpointId, EventTypeDefinition, Fenced,
        Finish, Message, OutboxStore, Recover, Recovered, SendError, SentDeliveryId,
    },
};

impl<'h, S: OutboxStore, A: Fn(Duration) -> BoxFuture<'h, ()>> Suite<S, A> {
    pub(super) async fn a_quota_holds_against_simultaneous_registrations(&self) {
        const MOST: u32 = 3;
        let tenant = new_tenant();
        let barrier = Arc::new(Barrier::new(8));
        let calls: Vec<_> = (0..8)
            .map(|_| {
                let (store, barrier) = (self.store.clone(), barrier.clone());
                let draft = draft(&tenant, self.settings(&["*"]));
                tokio::spawn(async move {
                    barrier.wait().await;
                    store.create_endpoint(draft, MOST).await
                })
            })
            .collect();
        let mut added = BTreeSet::new();
        for call in calls {
            match call.await {
                Ok(Ok(record)) => added.extend(record.map(|record| record.id)),
                Ok(Err(error)) if error.kind() == StoreErrorKind::Busy => {}
                other => check(false, "create_endpoint", &other),
            }
        }
        check(added.len() <= MOST as usize, "create_endpoint: more than there is room for", &added);
        while added.len() < MOST as usize {
            let more = self.store.create_endpoint(draft(&tenant, self.settings(&["*"])), MOST).await;
            let more = taken("create_endpoint", more);
            added.insert(more.unwrap_or_else(|| broken("create_endpoint", &"there is room for more")).id);
        }
        let one_more = self.store.create_endpoint(draft(&tenant, self.settings(&["*"])), MOST).await;
        check(taken("create_endpoint", one_more).is_none(), "create_endpoint", &"one more than there is room for");
        let listed = self.ids(Some(&tenant), u32::MAX).await;
        check(listed == added, "create_endpoint: what was not added is not there", &listed);
        self.endpoint(&new_tenant(), &["*"]).await;

        if let Some(id) = added.first() {
            taken("create_endpoint", self.store.delete_endpoint(*id).await);
        }
        let again = self.store.create_endpoint(draft(&tenant, self.settings(&["*"])), MOST).await;
        check(taken("create_endpoint", again).is_some(), "create_endpoint", &"no room after one was deleted");
    }

    pub(super) async fn endpoints_are_read_in_pages(&self) {
        let tenants = [new_tenant(), new_tenant(), String::new()];
        let mut added = Vec::new();
        for tenant in tenants.iter().chain(&tenants[..1]) {
            added.push((tenant, self.endpoint(tenant, &["*"]).await.id));
        }
        let of_all = self.ids(None, 2).await;
        check(added.iter().all(|(_, id)| of_all.contains(id)), "endpoints: of all tenants", &of_all);
        for tenant in &tenants {
            let of_it: BTreeSet<_> = added.iter().filter(|(of, _)| *of == tenant).map(|(_, id)| *id).collect();
            let listed = self.ids(Some(tenant), 1).await;
            check(listed == of_it, "endpoints: of one tenant", &listed);
        }
        for (_, id) in added {
            taken("delete", self.store.delete_endpoint(id).await);
        }
    }

    pub(super) async fn a_message_can_be_for_one_endpoint(&self) {
        let tenant = new_tenant();
        let only = self.endpoint(&tenant, &["user.*"]).await;
        let other = self.endpoint(&tenant, &["*"]).await;
        let disabled = self.endpoint(&tenant, &["*"]).await;
        taken("switch", self.store.switch_endpoint(disabled.id, Some(DisabledReason::Asked)).await);
        let one = message(&tenant);

        let Some(id) = self.dispatch_to(only.id, &one).await else { broken("dispatch_to", &"no delivery") };
        let again = self.dispatch_to(only.id, &one).await;
        check(again == Some(id), "dispatch_to: the same message is the same delivery", &again);
        let another = self.dispatch_to(only.id, &with_payload(&one, "another")).await;
        check(another.is_none(), "dispatch_to: another message under the id", &another);
        for (why, to, message) in [
            ("a disabled endpoint", disabled.id, message(&tenant)),
            ("an endpoint of another tenant", only.id, message(&new_tenant())),
            ("an unknown endpoint", draft(&tenant, self.settings(&["*"])).id, message(&tenant)),
        ] {
            let made = self.dispatch_to(to, &message).await;
            check(made.is_none(), &format!("dispatch_to: {why}"), &made);
            let stored = self.dispatch(message).await;
            check(matches!(stored, Dispatched::Stored { .. }), &format!("dispatch_to: {why}: it was stored"), &stored);
        }
        // Those above were dispatched to all.
        taken("delete", self.store.delete_endpoint(disabled.id).await);
        let recovered = taken("recover", self.store.recover(other.id, Recover::new(UNIX_EPOCH), 100).await);
        check(recovered.deliveries == 0, "recover: what is for another endpoint alone", &recovered);
        let known = self.dispatch(one.clone()).await;
        check(known == Dispatched::Known { deliveries: 1 }, "rule 2", &known);

        let leased = self.lease(token(), 64).await;
        let mut of_only = leased.iter().filter(|delivery| delivery.endpoint.id == only.id);
        let found = of_only.next();
        check(
            found.is_some_and(|found| {
                (found.id, found.attempt) == (id, 1) && found.message.message_id() == one.message_id()
            }) && of_only.next().is_none(),
            "dispatch_to: it is leased like others",
            &leased,
        );
        self.erase(&tenant, 500).await;
    }

    pub(super) async fn a_notice_is_dispatched_with_what_it_tells_of(&self) {
        let tenant = new_tenant();
        let gone = self.endpoint(&tenant, &["*"]).await;
        for _ in 0..3 {
            self.dispatch(message(&tenant)).await;
        }
        let told = self.endpoint(&tenant, &["endpoint.disabled"]).await;
        self.endpoint(&tenant, &["user.*"]).await;
        self.endpoint(&new_tenant(), &["*"]).await;
        let notice = typed("endpoint.disabled", &tenant);
        let with_notice = |after| {
            let mut finish = Finish::new(after);
            finish.notice = Some(notice.clone());
            finish
        };
        let of_notice = async || {
            let message = Some(notice.message_id().to_string());
            let query = DeliveryQuery { message, ..DeliveryQuery::default() };
            let records = taken("rule 9", self.store.deliveries(tenant.as_str().into(), query, 100).await);
            records.iter().map(|record| (record.endpoint, record.state)).collect::<Vec<_>>()
        };
        let (late, holder) = (token(), token());
        let first = self.lease(late, 1).await;
        (self.advance)(PAST_LEASE).await;
        let leased = self.lease(holder, 3).await;
        check(leased.len() == 3, "rule 9", &leased);

        let stale = taken("rule 9", self.store.finish(first[0].id, late, with_notice(After::Gone)).await);
        check(stale == (Fenced::Stale, None), "rule 6", &stale);
        let delivered = taken("rule 9", self.store.finish(leased[0].id, holder, with_notice(After::Delivered)).await);
        check(delivered == (Fenced::Applied, None), "rule 9", &delivered);
        let found = of_notice().await;
        check(found.is_empty(), "rule 9: a notice where nothing was disabled", &found);

        let disabled = taken("rule 9", self.store.finish(leased[1].id, holder, with_notice(After::Gone)).await);
        check(disabled == (Fenced::Applied, Some(DisabledReason::Gone)), "rule 9", &disabled);
        let found = of_notice().await;
        check(found == [(told.id, DeliveryState::Pending)], "rule 9: the notice", &found);
        check(self.read(gone.id).await.disabled == Some(DisabledReason::Gone), "rule 9", &"not disabled");

        // It is disabled already, so it is not reported again.
        let mut second = with_notice(After::Gone);
        let unsaid = typed("endpoint.disabled", &tenant);
        second.notice = Some(unsaid.clone());
        let again = taken("rule 9", self.store.finish(leased[2].id, holder, second).await);
        check(again == (Fenced::Applied, None), "rule 9: it is said once", &again);
        let dispatched = self.dispatch(unsaid).await;
        check(dispatched == Dispatched::Stored { deliveries: 1 }, "rule 9: a notice twice", &dispatched);
        self.erase(&tenant, 500).await;
    }

    pub(super) async fn what_was_missed_is_recovered_in_pages(&self) {
        let (tenant, stranger) = (new_tenant(), new_tenant());
        self.dispatch(message(&tenant)).await;
        (self.advance)(Duration::from_secs(10)).await;
        let since = self.now(&tenant).await;
        for event_type in ["order.completed", "user.created", "order.completed", "order.completed", "user.created"] {
            self.dispatch(typed(event_type, &tenant)).await;
            self.dispatch(typed(event_type, &stranger)).await;
            (self.advance)(Duration::from_secs(10)).await;
        }
        let until = self.now(&tenant).await;
        self.dispatch(message(&tenant)).await;
        let endpoint = self.endpoint(&tenant, &["order.*"]).await;

        let mut recover = Recover::new(since);
        recover.until = Some(until);
        let mut pages = Vec::new();
        loop {
            let page = taken("recover", self.store.recover(endpoint.id, recover, 2).await);
            pages.push(page);
            check(page.deliveries <= 2 && pages.len() < 10, "recover: so many at a time", &pages);
            match page.next {
                Some(next) => recover.after = Some(next),
                None => break,
            }
        }
        let count: u64 = pages.iter().map(|page| page.deliveries).sum();
        check(count == 3 && pages.len() >= 2, "recover: each of the span once", &pages);
        recover.after = None;
        let again = taken("recover", self.store.recover(endpoint.id, recover, 100).await);
        check(again == Recovered::new(0, None), "recover: what waits is not missed", &again);
        let since_ever = taken("recover", self.store.recover(endpoint.id, Recover::new(since), 100).await);
        check(since_ever == Recovered::new(1, None), "recover: without an end", &since_ever);
        let unknown = draft(&tenant, self.settings(&["*"])).id;
        let nothing = taken("recover", self.store.recover(unknown, Recover::new(since), 100).await);
        check(nothing == Recovered::new(0, None), "recover: an unknown endpoint", &nothing);
        let states: Vec<_> = self.of_tenant(&tenant).await.iter().map(|record| record.state).collect();
        check(states == [DeliveryState::Pending; 4], "recover", &states);
        self.erase(&tenant, 500).await;
    }

    pub(super) async fn what_a_worker_died_on_can_be_sent_again_or_cancelled(&self) {
        let tenant = new_tenant();
        self.endpoint(&tenant, &["*"]).await;
        for _ in 0..2 {
            self.dispatch(message(&tenant)).await;
        }
        let dead = token();
        let leased = self.lease(dead, 2).await;
        let (one, two) = (leased[0].id, leased[1].id);
        check(!taken("resend", self.store.resend(one).await), "resend: one that is being sent", &one);
        check(!taken("cancel", self.store.cancel(two).await), "cancel: one that is being sent", &two);
        (self.advance)(PAST_LEASE).await;

        check(taken("resend", self.store.resend(one).await), "resend: its lease is over", &one);
        check(taken("cancel", self.store.cancel(two).await), "cancel: its lease is over", &two);
        for id in [one, two] {
            let late = self.finish(id, dead, After::Delivered).await;
            check(late == (Fenced::Stale, None), "rule 6: the worker comes back", &late);
        }
        let again = self.lease_one(token(), "resend: its lease is over").await;
        check((again.id, again.attempt, again.manual) == (one, 2, true), "resend: its lease is over", &again);
        check(self.state(two).await == Some(DeliveryState::Cancelled), "cancel: its lease is over", &two);
        self.erase(&tenant, 500).await;
    }

    pub(super) async fn what_was_cancelled_is_not_recovered(&self) {
        let tenant = new_tenant();
        let endpoint = self.endpoint(&tenant, &["*"]).await;
        self.dispatch(message(&tenant)).await;
        let cancelled = self.of_tenant(&tenant).await[0].id;
        check(taken("cancel", self.store.cancel(cancelled).await), "cancel", &cancelled);

        let recovered = taken("recover", self.store.recover(endpoint.id, Recover::new(UNIX_EPOCH), 100).await);
        check(recovered == Recovered::new(0, None), "recover: what was cancelled", &recovered);
        check(taken("resend", self.store.resend(cancelled).await), "resend: what was cancelled", &cancelled);
        self.erase(&tenant, 500).await;
    }

    pub(super) async fn a_tenant_is_erased_and_no_other(&self) {
        let (tenant, other) = (new_tenant(), new_tenant());
        let nobody_wants = typed("user.created", &tenant);
        let mut made = Vec::new();
        for tenant in [&tenant, &other] {
            let endpoint = self.endpoint(tenant, &["order.*"]).await;
            self.dispatch(message(tenant)).await;
            let first = token();
            let done = self.lease_one(first, "erase").await.id;
            self.finishes(done, first, FAILED).await;
            self.dispatch(message(tenant)).await;
            let holder = token();
            let sending = self.lease_one(holder, "erase").await.id;
            self.dispatch(message(tenant)).await;
            let held = self.endpoint(tenant, &["*"]).await;
            self.dispatch(message(tenant)).await;
            taken("switch", self.store.switch_endpoint(held.id, Some(DisabledReason::Asked)).await);
            taken("switch", self.store.switch_endpoint(endpoint.id, Some(DisabledReason::Asked)).await);
            made.push((endpoint.id, done, sending, holder));
        }
        self.dispatch(nobody_wants.clone()).await;
        let before = (self.of_tenant(&other).await, self.ids(Some(&other), u32::MAX).await);

        self.erase(&tenant, 2).await;

        let (endpoint, done, sending, holder) = made[0];
        check(taken("erase", self.store.endpoint(endpoint).await).is_none(), "erase", &"an endpoint is there");
        check(self.ids(Some(&tenant), u32::MAX).await.is_empty(), "erase", &"an endpoint is there");
        check(self.of_tenant(&tenant).await.is_empty(), "erase", &"a delivery is there");
        check(self.state(done).await.is_none() && self.state(sending).await.is_none(), "erase", &"a delivery is there");
        check(taken("erase", self.store.attempts(done).await).is_empty(), "erase", &"an attempt is there");
        let stale = self.finish(sending, holder, After::Delivered).await;
        check(stale == (Fenced::Stale, None), "erase: a worker that holds one of them", &stale);
        check(taken("erase", self.store.attempts(sending).await).is_empty(), "erase", &"an attempt was noted");
        let again = self.dispatch(nobody_wants).await;
        check(again == Dispatched::Stored { deliveries: 0 }, "erase: a message is there", &again);

        let after = (self.of_tenant(&other).await, self.ids(Some(&other), u32::MAX).await);
        check(after == before, "erase: another tenant", &after);
        let (_, done, sending, holder) = made[1];
        check(taken("erase", self.store.attempts(done).await).len() == 1, "erase", &"an attempt of another tenant");
        self.finishes(sending, holder, After::Delivered).await;
        self.erase(&other, 500).await;
        self.erase(&tenant, 500).await;
    }

    pub(super) async fn what_was_held_for_long_goes(&self) {
        let tenant = new_tenant();
        let endpoint = self.endpoint(&tenant, &["*"]).await;
        self.dispatch(message(&tenant)).await;
        let id = self.of_tenant(&tenant).await[0].id;
        // It counts from when it was held.
        (self.advance)(20 * DAY).await;
        taken("switch", self.store.switch_endpoint(endpoint.id, Some(DisabledReason::Asked)).await);
        (self.advance)(80 * DAY).await;
        self.purge().await;
        check(self.state(id).await == Some(DeliveryState::Held), "purge", &"what is held went too early");
        let waits = taken("resend", self.store.resend(id).await);
        check(waits && self.state(id).await == Some(DeliveryState::Held), "resend: at a disabled endpoint", &waits);

        (self.advance)(91 * DAY).await;
        self.purge().await;
        let state = self.state(id).await;
        check(state.is_none_or(|state| state == DeliveryState::Cancelled), "purge: what was held for long", &state);
        check(!taken("resend", self.store.resend(id).await), "purge", &"the content is there after its time");
        taken("switch", self.store.switch_endpoint(endpoint.id, None).await);
        check(self.lease(token(), 64).await.is_empty(), "purge", &"what was cancelled is leased");
        self.erase(&tenant, 500).await;
    }

    pub(super) async fn what_a_worker_died_on_goes_with_its_endpoint(&self) {
        let tenant = new_tenant();
        for deleted in [false, true] {
            let endpoint = self.endpoint(&tenant, &["*"]).await;
            self.dispatch(message(&tenant)).await;
            let dead = token();
            let id = self.lease_one(dead, "rule 4").await.id;
            let gone = match deleted {
                true => taken("delete", self.store.delete_endpoint(endpoint.id).await),
                false => taken("switch", self.store.switch_endpoint(endpoint.id, Some(DisabledReason::Asked)).await),
            };
            check(gone, "setup", &"an endpoint is gone");
            self.purge().await;
            check(self.state(id).await == Some(DeliveryState::Sending), "purge", &"its worker may not have died");

            (self.advance)(PAST_LEASE).await;
            self.purge().await;

            let (state, wanted) =
                (self.state(id).await, if deleted { DeliveryState::Cancelled } else { DeliveryState::Held });
            check(state == Some(wanted), "purge: what a worker died on", &(deleted, state));
            let (late, _) = self.finish(id, dead, After::Delivered).await;
            check(late == Fenced::Stale, "rule 6", &late);
            taken("switch", self.store.switch_endpoint(endpoint.id, None).await);
            let again = self.lease(token(), 64).await.len();
            check(again == usize::from(!deleted), "rule 10", &again);
            self.erase(&tenant, 500).await;
        }
    }

    pub(super) async fn the_catalogue_is_kept(&self) {
        let made = || -> Result<[EventTypeDefinition; 4], SendError> {
            Ok([
                EventTypeDefinition::new("user.created")?,
                EventTypeDefinition::new("order.completed")?
                    .description("An order was paid, and \u{1f4e6}.")?
                    .version("2026-06")?
                    .schema(r#"{"type":"object"}"#)?
                    .example(r#"{"order":7}"#)?,
                EventTypeDefinition::new("user.created")?.description("Somebody signed up.")?,
                EventTypeDefinition::new("order.completed")?,
            ])
        };
        let [created, completed, changed, plain] = made().unwrap_or_else(|error| broken("setup", &error));
        let listed = async || taken("event types", self.store.event_types().await);
        check(listed().await.is_empty(), "event types", &"there are some already");

        taken("event types", self.store.put_event_types(vec![created.clone(), completed.clone()]).await);
        let found = listed().await;
        check(found == [completed.clone(), created], "event types: by name, as they were", &found);
        taken("event types", self.store.put_event_types(vec![changed.clone()]).await);
        let found = listed().await;
        check(found == [completed.clone(), changed], "event types: replaced", &found);
        taken("event types", self.store.put_event_types(vec![plain.clone()]).await);
        let found = listed().await;
        check(found.first() == Some(&plain), "event types: nothing of the old one is left", &found);
        for (name, wanted) in [("user.created", true), ("user.created", false), ("order.completed", true)] {
            let removed = taken("event types", self.store.remove_event_type(name.into()).await);
            check(removed == wanted, "event types: removed", &(name, removed));
        }
        check(listed().await.is_empty(), "event types", &"one is there after it was removed");
    }

    // Steps.

    async fn dispatch_to(&self, endpoint: EndpointId, message: &Message) -> Option<SentDeliveryId> {
        taken("dispatch_to", self.store.dispatch_to(endpoint, message.clone()).await)
    }

    /// Reads endpoints in pages, and looks that they are in order.
    async fn ids(&self, tenant: Option<&str>, page: u32) -> BTreeSet<EndpointId> {
        let mut ids = Vec::new();
        loop {
            let records = self.store.endpoints(tenant.map(Arc::from), ids.last().copied(), page).await;
            let records = taken("endpoints", records);
            check(records.len() <= page as usize, "endpoints: no more than were asked for", &records);
            check(
                tenant.is_none_or(|tenant| records.iter().all(|record| *record.tenant == *tenant)),
                "endpoints: of one tenant",
                &records,
            );
            let is_last = records.len() < page as usize;
            ids.extend(records.iter().map(|record| record.id));
            check(ids.is_sorted() && ids.len() < 10_000, "endpoints: by id", &ids);
            if is_last {
                return ids.into_iter().collect();
            }
        }
    }

    /// The store's time, as an endpoint has it that is added and deleted.
    async fn now(&self, tenant: &str) -> SystemTime {
        let endpoint = self.endpoint(tenant, &["none"]).await;
        taken("delete", self.store.delete_endpoint(endpoint.id).await);
        endpoint.created_at
    }

    /// Erases a tenant, so that the next step begins with nothing.
    pub(super) async fn erase(&self, tenant: &str, limit: u32) {
        for _ in 0..1000 {
            if taken("erase", self.store.erase(tenant.into(), limit).await) == 0 {
                return;
            }
        }
        broken("erase", &"it does not come to an end")
    }
}
