use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use super::tables::Tables;
use crate::{
    boxed::BoxFuture,
    clock::{Clock, ClockOffset, Millis, SystemClock, from_time, to_time},
    error::StoreError,
    send::{
        AttemptRecord, Backlog, BacklogSample, DeliveryQuery, DeliveryRecord, DeliveryState, DisabledReason,
        Dispatched, EndpointDraft, EndpointId, EndpointRecord, EndpointSettings, EventTypeDefinition, Fenced, Finish,
        LeaseRequest, LeaseToken, Leases, Message, MessageQuery, MessageRecord, OutboxCatalogue, OutboxEndpoints,
        OutboxLog, OutboxQueue, Recover, Recovered, Retention, SampleStep, Scope, SentDeliveryId, StatsCell,
        policy::moved_from,
    },
};

/// An outbox in this process, for tests. It ends with the process, and its size is not limited.
///
/// ```
/// use tower_webhooks::{send::{Dispatcher, Message, NewEndpoint}, store::MemoryOutbox};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let webhooks = Dispatcher::builder(MemoryOutbox::new()).with_insecure_plain_secrets().build()?;
/// webhooks.endpoints().create(NewEndpoint::new("https://example.com/hook")?.events(["order.*"])).await?;
///
/// assert_eq!(webhooks.dispatch(Message::new("order.completed", &7)?).await?.deliveries(), 1);
/// assert_eq!(webhooks.dispatch(Message::new("user.created", &7)?).await?.deliveries(), 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct MemoryOutbox {
    tables: Arc<Mutex<Tables>>,
    offset: ClockOffset,
}

impl MemoryOutbox {
    /// Creates an empty outbox.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates an outbox whose clock is moved by `offset`, for tests in which time passes.
    pub fn with_offset(offset: ClockOffset) -> Self {
        Self { tables: Arc::default(), offset }
    }

    fn now(&self) -> Millis {
        from_time(SystemClock.now()).saturating_add(self.offset.as_millis())
    }

    /// Does `work` at once; no lock is held across an await.
    fn at_once<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tables, Millis) -> T + Send + 'static,
    ) -> BoxFuture<'_, Result<T, StoreError>> {
        Box::pin(async move { Ok(work(&mut self.lock(), self.now())) })
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        // Nothing in here panics between two changes that belong together.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryOutbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryOutbox").finish_non_exhaustive()
    }
}

impl OutboxEndpoints for MemoryOutbox {
    fn create_endpoint(
        &self,
        endpoint: EndpointDraft,
        most: u32,
    ) -> BoxFuture<'_, Result<Option<EndpointRecord>, StoreError>> {
        self.at_once(move |tables, now| {
            let others = tables.endpoints.values().filter(|other| other.record.tenant == endpoint.tenant);
            if others.count() >= most as usize {
                return None;
            }
            let record = EndpointRecord::new(endpoint, to_time(now));
            tables.add_endpoint(record.clone());
            Some(record)
        })
    }

    fn endpoint(&self, id: EndpointId) -> BoxFuture<'_, Result<Option<EndpointRecord>, StoreError>> {
        self.at_once(move |tables, _| tables.endpoints.get(&id).map(|endpoint| endpoint.record.clone()))
    }

    fn endpoints(
        &self,
        tenant: Option<Arc<str>>,
        after: Option<EndpointId>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<EndpointRecord>, StoreError>> {
        self.at_once(move |tables, _| {
            let records = tables.endpoints.values().map(|endpoint| &endpoint.record);
            let fit = records.filter(|record| {
                tenant.as_ref().is_none_or(|tenant| record.tenant == *tenant)
                    && after.is_none_or(|after| record.id > after)
            });
            fit.take(limit as usize).cloned().collect()
        })
    }

    fn change_endpoint(
        &self,
        id: EndpointId,
        revision: u64,
        settings: EndpointSettings,
    ) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.at_once(move |tables, _| {
            if tables.endpoints.get(&id).is_none_or(|endpoint| endpoint.record.revision != revision) {
                return Fenced::Stale;
            }
            tables.change_endpoint(id, |endpoint| {
                endpoint.health.changed(&endpoint.record.settings, &settings);
                endpoint.record.settings = settings;
                endpoint.record.revision += 1;
            });
            Fenced::Applied
        })
    }

    fn switch_endpoint(
        &self,
        id: EndpointId,
        disabled: Option<DisabledReason>,
    ) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.at_once(move |tables, now| tables.switch(id, disabled, now))
    }

    fn delete_endpoint(&self, id: EndpointId) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.at_once(move |tables, _| {
            let waits = moved_from(DeliveryState::Cancelled);
            tables.change_all(id, waits, |delivery| delivery.state = DeliveryState::Cancelled);
            tables.remove_endpoint(id)
        })
    }
}

impl OutboxQueue for MemoryOutbox {
    fn dispatch(&self, messages: Vec<Message>) -> BoxFuture<'_, Result<Vec<Dispatched>, StoreError>> {
        self.at_once(move |tables, now| tables.dispatch(&messages, now))
    }

    fn dispatch_to(
        &self,
        endpoint: EndpointId,
        message: Message,
    ) -> BoxFuture<'_, Result<Option<SentDeliveryId>, StoreError>> {
        self.at_once(move |tables, now| tables.dispatch_to(endpoint, &message, now))
    }

    fn lease(&self, request: LeaseRequest) -> BoxFuture<'_, Result<Leases, StoreError>> {
        self.at_once(move |tables, now| tables.lease(&request, now))
    }

    fn finish(
        &self,
        id: SentDeliveryId,
        token: LeaseToken,
        finish: Finish,
    ) -> BoxFuture<'_, Result<(Fenced, Option<DisabledReason>), StoreError>> {
        self.at_once(move |tables, now| tables.finish(id.to_u64(), token, finish, now))
    }
}

impl OutboxLog for MemoryOutbox {
    fn delivery(&self, id: SentDeliveryId) -> BoxFuture<'_, Result<Option<DeliveryRecord>, StoreError>> {
        self.at_once(move |tables, _| tables.record(id.to_u64()))
    }

    fn deliveries(
        &self,
        tenant: Arc<str>,
        query: DeliveryQuery,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<DeliveryRecord>, StoreError>> {
        self.at_once(move |tables, _| {
            let of_tenant = tables.deliveries().rev().filter(|(_, delivery)| {
                tables.messages.get(&delivery.message).is_some_and(|stored| stored.tenant == *tenant)
            });
            let records = of_tenant.filter_map(|(number, _)| tables.record(number));
            let fit = records.filter(|record| {
                query.endpoint.is_none_or(|endpoint| endpoint == record.endpoint)
                    && query.state.is_none_or(|state| state == record.state)
                    && query.message.as_ref().is_none_or(|message| *message == record.message)
                    && query.event_type.as_ref().is_none_or(|event_type| *event_type == record.event_type)
                    && query.before.is_none_or(|before| record.id < before)
            });
            fit.take(limit as usize).collect()
        })
    }

    fn all_deliveries(
        &self,
        state: Option<DeliveryState>,
        before: Option<SentDeliveryId>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<DeliveryRecord>, StoreError>> {
        self.at_once(move |tables, _| {
            let records = tables.deliveries().rev().filter_map(|(number, _)| tables.record(number));
            let fit = records.filter(|record| {
                state.is_none_or(|state| state == record.state) && before.is_none_or(|before| record.id < before)
            });
            fit.take(limit as usize).collect()
        })
    }

    fn message(&self, tenant: Arc<str>, id: String) -> BoxFuture<'_, Result<Option<MessageRecord>, StoreError>> {
        self.at_once(move |tables, _| {
            let (number, stored) = tables.find(&tenant, &id)?;
            let mut record = stored.record(number);
            record.payload = stored.message.as_ref().map(|message| message.payload().get().to_owned());
            Some(record)
        })
    }

    fn messages(
        &self,
        tenant: Arc<str>,
        query: MessageQuery,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<MessageRecord>, StoreError>> {
        self.at_once(move |tables, _| {
            let of_tenant = tables.messages.iter().filter(|(_, stored)| *stored.tenant == *tenant);
            let mut records: Vec<_> = of_tenant
                .map(|(number, stored)| stored.record(*number))
                .filter(|record| query.before.is_none_or(|before| record.place < before))
                .collect();
            records.sort_by_key(|record| std::cmp::Reverse(record.place));
            records.truncate(limit as usize);
            records
        })
    }

    fn attempts(&self, id: SentDeliveryId) -> BoxFuture<'_, Result<Vec<AttemptRecord>, StoreError>> {
        self.at_once(move |tables, _| tables.attempts.get(&id.to_u64()).cloned().unwrap_or_default())
    }

    fn resend(&self, id: SentDeliveryId) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.at_once(move |tables, now| tables.resend(id.to_u64(), now))
    }

    fn cancel(&self, id: SentDeliveryId) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.at_once(move |tables, now| {
            let Some(delivery) = tables.delivery(id.to_u64()) else { return false };
            let waits = match delivery.state {
                DeliveryState::Pending | DeliveryState::Held => true,
                DeliveryState::Sending => !delivery.is_leased(now),
                _ => false,
            };
            if waits {
                tables.change(id.to_u64(), |delivery| {
                    (delivery.state, delivery.token) = (DeliveryState::Cancelled, None);
                });
            }
            waits
        })
    }

    fn recover(&self, id: EndpointId, recover: Recover, limit: u32) -> BoxFuture<'_, Result<Recovered, StoreError>> {
        self.at_once(move |tables, now| tables.recover(id, recover, limit as usize, now))
    }

    fn erase(&self, tenant: Arc<str>, limit: u32) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.at_once(move |tables, _| tables.erase(&tenant, limit as usize))
    }

    fn purge(&self, retention: Retention, limit: u32) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.at_once(move |tables, now| tables.purge(retention, limit as usize, now))
    }

    fn stats(&self, scope: Scope, since: u32, until: u32) -> BoxFuture<'_, Result<Vec<StatsCell>, StoreError>> {
        self.at_once(move |tables, _| tables.stats(&scope, since, until))
    }

    fn backlog(&self, scope: Scope) -> BoxFuture<'_, Result<Backlog, StoreError>> {
        self.at_once(move |tables, now| tables.backlog(&scope, now))
    }

    fn sample_backlog(&self) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.at_once(Tables::sample_backlog)
    }

    fn backlog_samples(
        &self,
        step: SampleStep,
        since: SystemTime,
        until: SystemTime,
    ) -> BoxFuture<'_, Result<Vec<BacklogSample>, StoreError>> {
        self.at_once(move |tables, _| tables.backlog_samples(step, since, until))
    }
}

impl OutboxCatalogue for MemoryOutbox {
    fn put_event_types(&self, event_types: Vec<EventTypeDefinition>) -> BoxFuture<'_, Result<(), StoreError>> {
        self.at_once(move |tables, _| {
            let named = event_types.into_iter().map(|event_type| (event_type.name().to_owned(), event_type));
            tables.event_types.extend(named);
        })
    }

    fn event_types(&self) -> BoxFuture<'_, Result<Vec<EventTypeDefinition>, StoreError>> {
        self.at_once(|tables, _| tables.event_types.values().cloned().collect())
    }

    fn remove_event_type(&self, name: String) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.at_once(move |tables, _| tables.event_types.remove(&name).is_some())
    }
}
