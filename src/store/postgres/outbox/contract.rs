use std::{any::Any, sync::Arc, time::SystemTime};

use super::{deliveries, dispatch, endpoints, event_types, finish::Ended, history, messages, purge, stats};
use crate::{
    boxed::BoxFuture,
    error::StoreError,
    send::{
        AttemptRecord, Backlog, BacklogSample, DeliveryQuery, DeliveryRecord, DeliveryState, DisabledReason,
        Dispatched, EndpointDraft, EndpointId, EndpointRecord, EndpointSettings, EventTypeDefinition, Fenced, Finish,
        LeaseRequest, LeaseToken, Leases, Message, MessageQuery, MessageRecord, OutboxCatalogue, OutboxEndpoints,
        OutboxLog, OutboxQueue, Recover, Recovered, Retention, SampleStep, Scope, SentDeliveryId, StatsCell,
    },
    store::postgres::{listen::listen, store::PostgresStore},
};

#[deny(clippy::missing_trait_methods)]
impl OutboxEndpoints for PostgresStore {
    fn create_endpoint(
        &self,
        endpoint: EndpointDraft,
        most: u32,
    ) -> BoxFuture<'_, Result<Option<EndpointRecord>, StoreError>> {
        Box::pin(endpoints::create(&self.inner.outbox.core, endpoint, most))
    }

    fn endpoint(&self, id: EndpointId) -> BoxFuture<'_, Result<Option<EndpointRecord>, StoreError>> {
        Box::pin(endpoints::get(&self.inner.outbox.core, id))
    }

    fn endpoints(
        &self,
        tenant: Option<Arc<str>>,
        after: Option<EndpointId>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<EndpointRecord>, StoreError>> {
        Box::pin(endpoints::list(&self.inner.outbox.core, tenant, after, limit))
    }

    fn unreadable_endpoints(&self) -> BoxFuture<'_, Result<Vec<EndpointId>, StoreError>> {
        Box::pin(endpoints::unreadable(&self.inner.outbox.core))
    }

    fn change_endpoint(
        &self,
        id: EndpointId,
        revision: u64,
        settings: EndpointSettings,
    ) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(endpoints::change(&self.inner.outbox.core, id, revision, settings))
    }

    fn switch_endpoint(
        &self,
        id: EndpointId,
        disabled: Option<DisabledReason>,
    ) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(endpoints::switch(&self.inner.outbox.core, id, disabled))
    }

    fn delete_endpoint(&self, id: EndpointId) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(endpoints::delete(&self.inner.outbox.core, id))
    }
}

#[deny(clippy::missing_trait_methods)]
impl OutboxQueue for PostgresStore {
    fn dispatch(&self, messages: Vec<Message>) -> BoxFuture<'_, Result<Vec<Dispatched>, StoreError>> {
        Box::pin(dispatch::dispatch(&self.inner.outbox.core, messages))
    }

    fn dispatch_in<'a>(
        &'a self,
        connection: &'a mut (dyn Any + Send),
        messages: Vec<Message>,
    ) -> BoxFuture<'a, Result<Vec<Dispatched>, StoreError>> {
        Box::pin(dispatch::dispatch_in(&self.inner.outbox.core, connection, messages))
    }

    fn dispatch_to(
        &self,
        endpoint: EndpointId,
        message: Message,
    ) -> BoxFuture<'_, Result<Option<SentDeliveryId>, StoreError>> {
        Box::pin(dispatch::dispatch_to(&self.inner.outbox.core, endpoint, message))
    }

    fn listen<'a>(&'a self, wake: Box<dyn Fn() + Send + Sync + 'a>) -> BoxFuture<'a, ()> {
        let outbox = &self.inner.outbox.core;
        Box::pin(listen(&outbox.server, &outbox.channel, wake))
    }

    fn notify(&self) {
        self.inner.outbox.core.announce();
    }

    fn lease(&self, request: LeaseRequest) -> BoxFuture<'_, Result<Leases, StoreError>> {
        let shared = &self.inner.outbox;
        Box::pin(shared.group.lease(&shared.core, request))
    }

    fn finish(
        &self,
        id: SentDeliveryId,
        token: LeaseToken,
        finish: Finish,
    ) -> BoxFuture<'_, Result<(Fenced, Option<DisabledReason>), StoreError>> {
        let shared = &self.inner.outbox;
        Box::pin(shared.group.finish(&shared.core, Ended { id, token, end: finish }))
    }
}

#[deny(clippy::missing_trait_methods)]
impl OutboxLog for PostgresStore {
    fn delivery(&self, id: SentDeliveryId) -> BoxFuture<'_, Result<Option<DeliveryRecord>, StoreError>> {
        Box::pin(deliveries::get(&self.inner.outbox.core, id))
    }

    fn deliveries(
        &self,
        tenant: Arc<str>,
        query: DeliveryQuery,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<DeliveryRecord>, StoreError>> {
        Box::pin(deliveries::list(&self.inner.outbox.core, tenant, query, limit))
    }

    fn all_deliveries(
        &self,
        state: Option<DeliveryState>,
        before: Option<SentDeliveryId>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<DeliveryRecord>, StoreError>> {
        Box::pin(deliveries::list_all(&self.inner.outbox.core, state, before, limit))
    }

    fn message(&self, tenant: Arc<str>, id: String) -> BoxFuture<'_, Result<Option<MessageRecord>, StoreError>> {
        Box::pin(messages::get(&self.inner.outbox.core, tenant, id))
    }

    fn messages(
        &self,
        tenant: Arc<str>,
        query: MessageQuery,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<MessageRecord>, StoreError>> {
        Box::pin(messages::list(&self.inner.outbox.core, tenant, query, limit))
    }

    fn attempts(&self, id: SentDeliveryId) -> BoxFuture<'_, Result<Vec<AttemptRecord>, StoreError>> {
        Box::pin(deliveries::attempts(&self.inner.outbox.core, id))
    }

    fn resend(&self, id: SentDeliveryId) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(deliveries::resend(&self.inner.outbox.core, id))
    }

    fn cancel(&self, id: SentDeliveryId) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(deliveries::cancel(&self.inner.outbox.core, id))
    }

    fn recover(&self, id: EndpointId, recover: Recover, limit: u32) -> BoxFuture<'_, Result<Recovered, StoreError>> {
        Box::pin(deliveries::recover(&self.inner.outbox.core, id, recover, limit))
    }

    fn erase(&self, tenant: Arc<str>, limit: u32) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(purge::erase(&self.inner.outbox.core, tenant, limit))
    }

    fn purge(&self, retention: Retention, limit: u32) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(purge::purge(&self.inner.outbox.core, retention, limit))
    }

    fn stats(&self, scope: Scope, since: u32, until: u32) -> BoxFuture<'_, Result<Vec<StatsCell>, StoreError>> {
        Box::pin(stats::read(&self.inner.outbox.core, scope, since, until))
    }

    fn backlog(&self, scope: Scope) -> BoxFuture<'_, Result<Backlog, StoreError>> {
        Box::pin(stats::waiting(&self.inner.outbox.core, scope))
    }

    fn sample_backlog(&self) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(history::sample(&self.inner.outbox.core))
    }

    fn backlog_samples(
        &self,
        step: SampleStep,
        since: SystemTime,
        until: SystemTime,
    ) -> BoxFuture<'_, Result<Vec<BacklogSample>, StoreError>> {
        Box::pin(history::read(&self.inner.outbox.core, step, since, until))
    }
}

#[deny(clippy::missing_trait_methods)]
impl OutboxCatalogue for PostgresStore {
    fn put_event_types(&self, event_types: Vec<EventTypeDefinition>) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(event_types::put(&self.inner.outbox.core, event_types))
    }

    fn event_types(&self) -> BoxFuture<'_, Result<Vec<EventTypeDefinition>, StoreError>> {
        Box::pin(event_types::list(&self.inner.outbox.core))
    }

    fn remove_event_type(&self, name: String) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(event_types::remove(&self.inner.outbox.core, name))
    }
}
