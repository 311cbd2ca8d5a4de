mod damaged;
mod emptied;
mod keeping;
mod messages;
mod pace;
mod stats;

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Waker},
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::Barrier;

pub use self::{
    damaged::{Damage, damaged_outbox},
    emptied::emptied_outbox,
};
use crate::{
    boxed::BoxFuture,
    error::{StoreError, StoreErrorKind},
    send::{
        After, DISABLE_AFTER, DeliveryQuery, DeliveryRecord, DeliveryState, DisabledReason, Dispatched, EndpointDraft,
        EndpointId, EndpointRecord, EndpointSettings, FAILURES_TO_DISABLE, FAILURES_TO_REST, Fenced, Finish, IN_FLIGHT,
        LeaseRequest, LeaseToken, LeasedDelivery, Message, MessageId, OutboxId, OutboxStore, RateLimit, Recover,
        Recovered, Retention, Sealed, Style, rest_after,
    },
};

/// Checks a store against the numbered rules of the contract of [`OutboxStore`].
///
/// `advance` makes the store's clock go on by so much. The store has to be empty: `lease` gives whatever is due. Rule 3 needs a
/// database of the application's, and is left to the tests of a store that has one; here such a store must refuse what is no
/// connection.
///
/// # Panics
/// When a rule is broken; the message begins with its number.
///
/// # Examples
/// ```
/// # #[tokio::main]
/// # async fn main() {
/// use tower_webhooks::{clock::ClockOffset, conformance, store::MemoryOutbox};
///
/// let offset = ClockOffset::default();
/// let store = MemoryOutbox::with_offset(offset.clone());
///
/// conformance::outbox(store, |by| {
///     offset.advance(by);
///     Box::pin(std::future::ready(()))
/// })
/// .await;
/// # }
/// ```
pub async fn outbox<'h, S: OutboxStore>(store: S, advance: impl Fn(Duration) -> BoxFuture<'h, ()>) {
    let suite = Suite { store: Arc::new(store), advance };
    suite.a_message_makes_a_delivery_for_each_endpoint_that_wants_it().await;
    suite.a_message_is_known_by_tenant_and_id().await;
    suite.deliveries_are_found_by_what_they_are().await;
    suite.messages_are_read_by_id_and_in_pages().await;
    suite.a_foreign_connection_is_refused().await;
    suite.what_is_dispatched_together_is_leased_in_its_order().await;
    suite.simultaneous_workers_share_what_is_due().await;
    suite.a_passed_lease_is_leased_again_and_fences_its_owner().await;
    for _ in 0..8 {
        // Ids are random: once may be luck.
        suite.the_endpoint_that_waited_longest_is_first().await;
    }
    suite.an_attempt_and_its_delivery_change_together().await;
    suite.what_was_unsent_is_as_if_it_were_not_leased().await;
    suite.a_failing_endpoint_rests().await;
    suite.an_endpoint_that_fails_for_long_is_disabled_once().await;
    suite.two_bad_moments_days_apart_do_not_disable_an_endpoint().await;
    suite.a_gone_endpoint_is_held_and_enabled_again().await;
    suite.what_an_old_url_answers_is_not_the_new_ones().await;
    suite.a_mended_endpoint_does_not_rest().await;
    suite.an_endpoint_rests_for_as_long_as_it_asks().await;
    suite.what_a_person_sends_goes_first().await;
    suite.no_tenant_fills_a_worker().await;
    suite.what_goes_in_order_goes_one_by_one().await;
    suite.a_change_applies_to_its_revision().await;
    suite.what_ended_can_be_sent_again().await;
    suite.what_waits_is_cancelled_with_its_endpoint().await;
    suite.what_was_missed_is_recovered().await;
    suite.a_purge_spares_what_is_awaited().await;
    suite.content_is_kept_from_the_last_attempt_on().await;
    suite.a_dropped_future_leaves_nothing_locked().await;
    suite.a_quota_holds_against_simultaneous_registrations().await;
    suite.endpoints_are_read_in_pages().await;
    suite.a_message_can_be_for_one_endpoint().await;
    suite.a_notice_is_dispatched_with_what_it_tells_of().await;
    suite.what_was_missed_is_recovered_in_pages().await;
    suite.what_was_cancelled_is_not_recovered().await;
    suite.what_a_worker_died_on_can_be_sent_again_or_cancelled().await;
    suite.a_tenant_is_erased_and_no_other().await;
    suite.what_was_held_for_long_goes().await;
    suite.what_a_worker_died_on_goes_with_its_endpoint().await;
    suite.the_catalogue_is_kept().await;
    suite.attempts_are_counted_by_the_hour().await;
    suite.counts_are_purged_and_erased().await;
    suite.a_backlog_says_how_long_nobody_came().await;
    suite.unproven_endpoints_have_a_share_of_their_own().await;
    suite.what_is_the_senders_fault_does_not_count().await;
    suite.an_endpoint_rests_after_what_was_unsent().await;
    suite.a_rate_limit_holds_over_all_workers().await;
    suite.a_changed_rate_limit_holds_at_once().await;
    suite.a_backlog_is_worked_off_in_order().await;
    suite.what_is_recovered_is_worked_off_too().await;
}

const LEASE: Duration = Duration::from_secs(60);
const PAST_LEASE: Duration = Duration::from_secs(120);
const FAILED: After = After::Retry { wait: Duration::from_secs(3600) };
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

struct Suite<S, A> {
    store: Arc<S>,
    advance: A,
}

impl<'h, S: OutboxStore, A: Fn(Duration) -> BoxFuture<'h, ()>> Suite<S, A> {
    async fn a_message_makes_a_delivery_for_each_endpoint_that_wants_it(&self) {
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
        self.drain().await;
    }

    async fn a_message_is_known_by_tenant_and_id(&self) {
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

    async fn deliveries_are_found_by_what_they_are(&self) {
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

    async fn a_foreign_connection_is_refused(&self) {
        let mut connection = "no connection";
        let refused = self.store.dispatch_in(&mut connection, vec![message(&new_tenant())]).await;
        let kind = refused.err().map(|error| error.kind());
        check(kind == Some(StoreErrorKind::WrongTransaction), "rule 3", &kind);
    }

    async fn simultaneous_workers_share_what_is_due(&self) {
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

    async fn what_is_dispatched_together_is_leased_in_its_order(&self) {
        let tenant = new_tenant();
        self.endpoint(&tenant, &["*"]).await;
        // By no order of ids or types is one of them before the other.
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

    async fn a_passed_lease_is_leased_again_and_fences_its_owner(&self) {
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
        // A passed lease alone takes nothing.
        (self.advance)(PAST_LEASE).await;
        for wanted in [Fenced::Applied, Fenced::Stale] {
            let (fenced, _) = self.finish(first.id, next, After::Delivered).await;
            check(fenced == wanted, "rule 6: it acts once", &fenced);
        }
        check(self.state(first.id).await == Some(DeliveryState::Delivered), "rule 6", &"not delivered");
    }

    async fn the_endpoint_that_waited_longest_is_first(&self) {
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

    async fn an_attempt_and_its_delivery_change_together(&self) {
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

    async fn what_was_unsent_is_as_if_it_were_not_leased(&self) {
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

    async fn a_failing_endpoint_rests(&self) {
        let tenant = new_tenant();
        let endpoint = self.endpoint(&tenant, &["*"]).await;
        for _ in 0..3 * FAILURES_TO_REST {
            self.dispatch(message(&tenant)).await;
        }
        let mut failed = 0;
        while failed < FAILURES_TO_REST {
            // What is in flight together counts as one.
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

    async fn an_endpoint_that_fails_for_long_is_disabled_once(&self) {
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

    async fn two_bad_moments_days_apart_do_not_disable_an_endpoint(&self) {
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

    async fn a_gone_endpoint_is_held_and_enabled_again(&self) {
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

    async fn a_change_applies_to_its_revision(&self) {
        let endpoint = self.endpoint(&new_tenant(), &["*"]).await;
        let mut settings = endpoint.settings.clone();
        settings.url = "https://example.com/elsewhere".into();
        settings.description = "described".into();
        settings.sealed = Sealed::new("another key", &b"\x00\xff"[..]);
        settings.rate_limit = RateLimit::per_minute(90).ok();
        settings.api_version = Some("2026-06".into());
        for (revision, wanted) in [(2, Fenced::Stale), (1, Fenced::Applied), (1, Fenced::Stale)] {
            let changed = taken("rule 11", self.store.change_endpoint(endpoint.id, revision, settings.clone()).await);
            check(changed == wanted, "rule 11", &(revision, changed));
        }
        let record = self.read(endpoint.id).await;
        check(record.settings == settings && record.revision == 2, "rule 11", &record);
        check(record.created_at == endpoint.created_at, "rule 11", &record);
    }

    async fn what_ended_can_be_sent_again(&self) {
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
        check(!taken("resend", self.store.resend(OutboxId::from_u64(u64::MAX)).await), "resend", &"an unknown one");
        self.drain().await;
    }

    async fn what_waits_is_cancelled_with_its_endpoint(&self) {
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

    async fn what_was_missed_is_recovered(&self) {
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

    async fn a_purge_spares_what_is_awaited(&self) {
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

    async fn content_is_kept_from_the_last_attempt_on(&self) {
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

    async fn a_dropped_future_leaves_nothing_locked(&self) {
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

    // Steps.

    async fn endpoint(&self, tenant: &str, events: &[&str]) -> EndpointRecord {
        self.register(tenant, self.settings(events)).await
    }

    fn settings(&self, events: &[&str]) -> EndpointSettings {
        let events = events.iter().map(|event| (*event).to_owned()).collect();
        let sealed = Sealed::new("key", &b"sealed"[..]);
        EndpointSettings::new("https://example.com/hook", events, Style::StandardWebhooks, sealed)
    }

    async fn register(&self, tenant: &str, settings: EndpointSettings) -> EndpointRecord {
        let draft = draft(tenant, settings.clone());
        let id = draft.id;
        let record = taken("setup", self.store.create_endpoint(draft, u32::MAX).await);
        let record = record.unwrap_or_else(|| broken("setup", &"no endpoint was added"));
        check(self.read(id).await == record && record.settings == settings, "setup: an endpoint as it was", &record);
        record
    }

    async fn read(&self, id: EndpointId) -> EndpointRecord {
        let found = taken("setup", self.store.endpoint(id).await);
        found.unwrap_or_else(|| broken("setup", &"an endpoint is gone"))
    }

    async fn dispatch(&self, message: Message) -> Dispatched {
        let dispatched = taken("dispatch", self.store.dispatch(vec![message]).await);
        dispatched.first().copied().unwrap_or_else(|| broken("dispatch", &"no answer"))
    }

    async fn lease(&self, token: LeaseToken, limit: u32) -> Vec<LeasedDelivery> {
        taken("lease", self.store.lease(LeaseRequest::new(token, LEASE, limit)).await).deliveries
    }

    async fn lease_one(&self, token: LeaseToken, rule: &str) -> LeasedDelivery {
        let mut leased = self.lease(token, 64).await;
        check(leased.len() == 1, rule, &leased);
        leased.remove(0)
    }

    async fn finish(&self, id: OutboxId, token: LeaseToken, after: After) -> (Fenced, Option<DisabledReason>) {
        taken("finish", self.store.finish(id, token, Finish::new(after)).await)
    }

    /// Finishes what it holds.
    async fn finishes(&self, id: OutboxId, token: LeaseToken, after: After) {
        self.finishes_as(id, token, Finish::new(after)).await;
    }

    async fn finishes_as(&self, id: OutboxId, token: LeaseToken, finish: Finish) {
        let (fenced, _) = taken("finish", self.store.finish(id, token, finish).await);
        check(fenced == Fenced::Applied, "rule 6: the owner's own", &fenced);
    }

    async fn state(&self, id: OutboxId) -> Option<DeliveryState> {
        taken("read", self.store.delivery(id).await).map(|record| record.state)
    }

    async fn of_tenant(&self, tenant: &str) -> Vec<DeliveryRecord> {
        taken("read", self.store.deliveries(tenant.into(), DeliveryQuery::default(), 100).await)
    }

    async fn purge(&self) {
        for _ in 0..1000 {
            if taken("purge", self.store.purge(Retention::default(), 10).await) == 0 {
                return;
            }
        }
        broken("purge", &"it does not come to an end")
    }

    /// Delivers whatever is due, so that the next step begins with nothing. What is worked off comes one after the other.
    async fn drain(&self) {
        let mut looks = 0;
        while looks < 2 {
            let token = token();
            let leased = self.lease(token, 64).await;
            looks = if leased.is_empty() { looks + 1 } else { 0 };
            for delivery in leased {
                self.finishes(delivery.id, token, After::Delivered).await;
            }
            (self.advance)(Duration::from_secs(1)).await;
        }
    }
}

fn draft(tenant: &str, settings: EndpointSettings) -> EndpointDraft {
    match EndpointId::random() {
        Ok(id) => EndpointDraft::new(id, tenant, settings),
        Err(error) => broken("setup", &error),
    }
}

fn message(tenant: &str) -> Message {
    typed("order.completed", tenant)
}

fn typed(event_type: &str, tenant: &str) -> Message {
    match Message::new(event_type, "payload") {
        Ok(message) => message.tenant(tenant),
        Err(error) => broken("setup", &error),
    }
}

fn with_payload(message: &Message, payload: &str) -> Message {
    match Message::new(message.event_type(), payload) {
        Ok(other) => other.id(message.message_id().clone()).tenant(message.tenant_name().unwrap_or_default()),
        Err(error) => broken("setup", &error),
    }
}

fn new_tenant() -> String {
    match MessageId::random() {
        Ok(id) => id.to_string(),
        Err(error) => broken("setup", &error),
    }
}

fn token() -> LeaseToken {
    match LeaseToken::random() {
        Ok(token) => token,
        Err(error) => broken("setup", &error),
    }
}

fn taken<T>(rule: &str, result: Result<T, StoreError>) -> T {
    result.unwrap_or_else(|error| broken(rule, &error))
}

fn check(holds: bool, rule: &str, found: &dyn std::fmt::Debug) {
    if !holds {
        broken(rule, found);
    }
}

fn broken(rule: &str, found: &dyn std::fmt::Debug) -> ! {
    panic!("{rule}: {found:?}")
}
