//! Rule 22: deliveries with one order key are leased one at a time.

use std::{collections::BTreeSet, time::Duration};

use super::suite::{FAILED, PAST_LEASE, Suite, broken, check, message, new_tenant, taken, token, with_payload};
use crate::{
    boxed::BoxFuture,
    send::{
        After, DeliveryQuery, DeliveryState, DisabledReason, LeaseToken, LeasedDelivery, MessageQuery, OutboxStore,
    },
};

impl<'h, S: OutboxStore, A: Fn(Duration) -> BoxFuture<'h, ()>> Suite<S, A> {
    pub(super) async fn of_an_order_key_one_goes_at_a_time(&self) {
        const RULE: &str = "rule 22: one of a key at a time";
        let tenant = new_tenant();
        let endpoint = self.endpoint(&tenant, &["*"]).await;
        let messages: Vec<_> = ["a1", "a2", "b1", "a3", "b2", "plain"]
            .into_iter()
            .map(|name| match name.chars().next() {
                Some(key @ ('a' | 'b')) => with_payload(&message(&tenant), name).order_key(key.to_string()),
                _ => with_payload(&message(&tenant), name),
            })
            .collect();
        taken("dispatch", self.store.dispatch(messages).await);
        let kept = taken("read", self.store.messages(tenant.as_str().into(), MessageQuery::default(), 10).await);
        let of_key = kept.iter().filter(|record| record.order_key.as_deref() == Some("a")).count();
        check(of_key == 3, "rule 22: the key is kept", &kept);

        let holder = token();
        let names = |leased: &[LeasedDelivery]| {
            let mut names: Vec<_> = leased.iter().map(|one| one.message.payload().get().to_owned()).collect();
            names.sort();
            names.join(" ")
        };
        let next = async || self.lease_all(holder).await;
        let leased = next().await;
        check(names(&leased) == r#""a1" "b1" "plain""#, RULE, &names(&leased));
        let keys: Vec<_> = leased.iter().filter_map(|one| one.message.order_key_name()).collect();
        check(keys.len() == 2, "rule 22: a worker sees the key", &keys);
        // It is not known when those behind them are due.
        let waits = DeliveryQuery::default().state(DeliveryState::Pending);
        let waits = taken("read", self.store.deliveries(tenant.as_str().into(), waits, 10).await);
        check(waits.len() == 3 && waits.iter().all(|one| one.due_at.is_none()), "rule 22: those behind wait", &waits);

        // A worker dies on `a1`, and it is the next one again.
        let of = |leased: &[LeasedDelivery], name: &str| {
            let found = leased.iter().find(|one| one.message.payload().get() == format!("{name:?}"));
            found.map_or_else(|| broken(RULE, &(name, names(leased))), |one| one.id)
        };
        self.finishes(of(&leased, "plain"), holder, After::Delivered).await;
        (self.advance)(PAST_LEASE).await;
        let leased = next().await;
        check(names(&leased) == r#""a1" "b1""#, "rule 22: after a worker died", &names(&leased));
        // `a1` fails, and delays only those with its key.
        self.finishes(of(&leased, "a1"), holder, FAILED).await;
        self.finishes(of(&leased, "b1"), holder, After::Delivered).await;
        let leased = next().await;
        check(names(&leased) == r#""b2""#, RULE, &names(&leased));
        self.finishes(of(&leased, "b2"), holder, After::Delivered).await;
        (self.advance)(Duration::from_secs(3500)).await;
        check(next().await.is_empty(), "rule 22: those behind it wait", &"leased");
        (self.advance)(Duration::from_secs(200)).await;
        let leased = next().await;
        check(names(&leased) == r#""a1""#, "rule 22: those behind it wait", &names(&leased));
        // However it ends, the next one is due.
        self.finishes(of(&leased, "a1"), holder, After::Exhausted).await;
        let leased = next().await;
        check(names(&leased) == r#""a2""#, "rule 22: after the last attempt", &names(&leased));
        self.finishes(of(&leased, "a2"), holder, FAILED).await;
        check(next().await.is_empty(), RULE, &"leased");
        let a2 = of(&leased, "a2");
        check(taken("cancel", self.store.cancel(a2).await), "cancelling", &a2);
        let leased = next().await;
        check(names(&leased) == r#""a3""#, "rule 22: after one was cancelled", &names(&leased));
        self.finishes(of(&leased, "a3"), holder, FAILED).await;

        // Held deliveries keep their place.
        let last = with_payload(&message(&tenant), "a4").order_key("a");
        self.dispatch(last).await;
        check(next().await.is_empty(), RULE, &"leased");
        check(taken("switch", self.store.switch_endpoint(endpoint.id, Some(DisabledReason::Asked)).await), "setup", &0);
        (self.advance)(STEP).await;
        check(taken("switch", self.store.switch_endpoint(endpoint.id, None).await), "setup", &0);
        (self.advance)(STEP).await;
        for name in ["a3", "a4"] {
            let leased = next().await;
            check(names(&leased) == format!("{name:?}"), "rule 22: after it was enabled", &names(&leased));
            self.finishes(of(&leased, name), holder, After::Delivered).await;
            (self.advance)(STEP).await;
        }
        self.drain().await;
    }

    /// Leases until nothing is left. Deliveries that are set aside take no place, but may need another call.
    async fn lease_all(&self, holder: LeaseToken) -> Vec<LeasedDelivery> {
        let (mut leased, mut looks) = (Vec::new(), 0);
        while looks < 3 {
            let more = self.lease(holder, 64).await;
            looks = if more.is_empty() { looks + 1 } else { 0 };
            leased.extend(more);
        }
        leased
    }

    pub(super) async fn what_goes_first_waits_for_its_key_alone(&self) {
        let tenant = new_tenant();
        self.endpoint(&tenant, &["*"]).await;
        let keyed = || message(&tenant).order_key("a");
        let holder = token();
        self.dispatch(keyed()).await;
        let first = self.lease_one(holder, "rule 22").await;
        self.finishes(first.id, holder, After::Exhausted).await;
        self.dispatch(keyed()).await;
        self.dispatch(keyed()).await;
        let second = self.lease_all(holder).await;
        check(second.len() == 1, "rule 22", &second);

        // It has to wait while another one with its key is being sent, and goes first then.
        check(taken("resend", self.store.resend(first.id).await), "resending", &first.id);
        check(self.lease_all(holder).await.is_empty(), "rule 22: what goes first waits for its key", &"leased");
        self.finishes(second[0].id, holder, FAILED).await;
        let again = self.lease_all(holder).await;
        check(again.len() == 1 && again[0].id == first.id, "rule 22: it goes first", &again);
        self.finishes(first.id, holder, After::Delivered).await;
        check(self.lease_all(holder).await.is_empty(), "rule 22: a retry delays those behind it", &"leased");
        // The retry itself does not wait for those behind it.
        check(taken("resend", self.store.resend(second[0].id).await), "resending", &second[0].id);
        let again = self.lease_all(holder).await;
        check(again.len() == 1 && again[0].id == second[0].id, "rule 22: it goes first", &again);
        self.finishes(second[0].id, holder, After::Delivered).await;
        let third = self.lease_all(holder).await;
        check(third.len() == 1, "rule 22", &third);
        self.finishes(third[0].id, holder, After::Delivered).await;
        self.drain().await;
    }

    pub(super) async fn a_long_row_of_one_key_delays_no_other(&self) {
        let tenant = new_tenant();
        self.endpoint(&tenant, &["*"]).await;
        let mut messages: Vec<_> = (0..600).map(|_| message(&tenant).order_key("a")).collect();
        messages.push(message(&tenant).order_key("b"));
        messages.push(message(&tenant));
        for some in messages.chunks(100) {
            taken("dispatch", self.store.dispatch(some.to_vec()).await);
        }
        let mut leased = Vec::new();
        for _ in 0..6 {
            leased.extend(self.lease(token(), 64).await);
        }
        let keys: BTreeSet<_> = leased.iter().map(|one| one.message.order_key_name()).collect();
        let each = BTreeSet::from([None, Some("a"), Some("b")]);
        check(leased.len() == 3 && keys == each, "rule 22: others are not delayed", &keys);
        (self.advance)(PAST_LEASE).await;
        self.erase(&tenant, 1000).await;
    }
}

const STEP: Duration = Duration::from_millis(10);
