//! The steps that the checks of the rules have in common.

use std::{sync::Arc, time::Duration};

use crate::{
    boxed::BoxFuture,
    error::StoreError,
    send::{
        After, DeliveryQuery, DeliveryRecord, DeliveryState, DisabledReason, Dispatched, EndpointDraft, EndpointId,
        EndpointRecord, EndpointSettings, Fenced, Finish, LeaseRequest, LeaseToken, LeasedDelivery, Message, MessageId,
        OutboxStore, Retention, Sealed, SentDeliveryId, Style,
    },
};

pub(super) struct Suite<S, A> {
    pub(super) store: Arc<S>,
    pub(super) advance: A,
}

impl<'h, S: OutboxStore, A: Fn(Duration) -> BoxFuture<'h, ()>> Suite<S, A> {
    pub(super) async fn endpoint(&self, tenant: &str, events: &[&str]) -> EndpointRecord {
        self.register(tenant, self.settings(events)).await
    }

    pub(super) fn settings(&self, events: &[&str]) -> EndpointSettings {
        let events = events.iter().map(|event| (*event).to_owned()).collect();
        let sealed = Sealed::new("key", &b"sealed"[..]);
        EndpointSettings::new("https://example.com/hook", events, Style::StandardWebhooks, sealed)
    }

    pub(super) async fn register(&self, tenant: &str, settings: EndpointSettings) -> EndpointRecord {
        let draft = draft(tenant, settings.clone());
        let id = draft.id;
        let record = taken("setup", self.store.create_endpoint(draft, u32::MAX).await);
        let record = record.unwrap_or_else(|| broken("setup", &"no endpoint was added"));
        check(self.read(id).await == record && record.settings == settings, "setup: an endpoint as it was", &record);
        record
    }

    pub(super) async fn read(&self, id: EndpointId) -> EndpointRecord {
        let found = taken("setup", self.store.endpoint(id).await);
        found.unwrap_or_else(|| broken("setup", &"an endpoint is gone"))
    }

    pub(super) async fn dispatch(&self, message: Message) -> Dispatched {
        let dispatched = taken("dispatch", self.store.dispatch(vec![message]).await);
        dispatched.first().copied().unwrap_or_else(|| broken("dispatch", &"no answer"))
    }

    pub(super) async fn lease(&self, token: LeaseToken, limit: u32) -> Vec<LeasedDelivery> {
        taken("lease", self.store.lease(LeaseRequest::new(token, LEASE, limit)).await).deliveries
    }

    pub(super) async fn lease_one(&self, token: LeaseToken, rule: &str) -> LeasedDelivery {
        let mut leased = self.lease(token, 64).await;
        check(leased.len() == 1, rule, &leased);
        leased.remove(0)
    }

    pub(super) async fn finish(
        &self,
        id: SentDeliveryId,
        token: LeaseToken,
        after: After,
    ) -> (Fenced, Option<DisabledReason>) {
        taken("finish", self.store.finish(id, token, Finish::new(after)).await)
    }

    /// Finishes a delivery that the token holds.
    pub(super) async fn finishes(&self, id: SentDeliveryId, token: LeaseToken, after: After) {
        self.finishes_as(id, token, Finish::new(after)).await;
    }

    pub(super) async fn finishes_as(&self, id: SentDeliveryId, token: LeaseToken, finish: Finish) {
        let (fenced, _) = taken("finish", self.store.finish(id, token, finish).await);
        check(fenced == Fenced::Applied, "rule 6: the owner's own", &fenced);
    }

    pub(super) async fn state(&self, id: SentDeliveryId) -> Option<DeliveryState> {
        taken("read", self.store.delivery(id).await).map(|record| record.state)
    }

    pub(super) async fn of_tenant(&self, tenant: &str) -> Vec<DeliveryRecord> {
        taken("read", self.store.deliveries(tenant.into(), DeliveryQuery::default(), 100).await)
    }

    pub(super) async fn purge(&self) {
        for _ in 0..1000 {
            if taken("purge", self.store.purge(Retention::default(), 10).await) == 0 {
                return;
            }
        }
        broken("purge", &"it does not come to an end")
    }

    /// Delivers everything that is due, so that the next step begins with nothing. Held deliveries become due one after
    /// the other.
    pub(super) async fn drain(&self) {
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

pub(super) fn draft(tenant: &str, settings: EndpointSettings) -> EndpointDraft {
    match EndpointId::random() {
        Ok(id) => EndpointDraft::new(id, tenant, settings),
        Err(error) => broken("setup", &error),
    }
}

pub(super) fn message(tenant: &str) -> Message {
    typed("order.completed", tenant)
}

pub(super) fn typed(event_type: &str, tenant: &str) -> Message {
    match Message::new(event_type, "payload") {
        Ok(message) => message.tenant(tenant),
        Err(error) => broken("setup", &error),
    }
}

pub(super) fn with_payload(message: &Message, payload: &str) -> Message {
    match Message::new(message.event_type(), payload) {
        Ok(other) => other.id(message.message_id().clone()).tenant(message.tenant_name().unwrap_or_default()),
        Err(error) => broken("setup", &error),
    }
}

pub(super) fn new_tenant() -> String {
    match MessageId::random() {
        Ok(id) => id.to_string(),
        Err(error) => broken("setup", &error),
    }
}

pub(super) fn token() -> LeaseToken {
    match LeaseToken::random() {
        Ok(token) => token,
        Err(error) => broken("setup", &error),
    }
}

pub(super) fn taken<T>(rule: &str, result: Result<T, StoreError>) -> T {
    result.unwrap_or_else(|error| broken(rule, &error))
}

pub(super) fn check(holds: bool, rule: &str, found: &dyn std::fmt::Debug) {
    if !holds {
        broken(rule, found);
    }
}

pub(super) fn broken(rule: &str, found: &dyn std::fmt::Debug) -> ! {
    panic!("{rule}: {found:?}")
}

pub(super) const LEASE: Duration = Duration::from_secs(60);
pub(super) const PAST_LEASE: Duration = Duration::from_secs(120);
pub(super) const FAILED: After = After::Retry { wait: Duration::from_secs(3600) };
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
