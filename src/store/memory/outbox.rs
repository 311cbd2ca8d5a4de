use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use bytes::Bytes;

use crate::{
    boxed::BoxFuture,
    clock::{Clock, ClockOffset, SystemClock},
    error::StoreError,
    send::{
        After, AttemptRecord, DeliveryQuery, DeliveryRecord, DeliveryState, DisabledReason, Dispatched, EndpointDraft,
        EndpointId, EndpointRecord, EndpointSettings, Fenced, Finish, LeaseToken, LeasedDelivery, Leases, Message,
        OutboxId, OutboxStore, Retention,
    },
    store::{
        outbox::{Health, Standing, digest, from_time, next_state, tenant, to_time, wants},
        record::{Millis, after, before},
    },
};

/// An outbox in this process, for tests: it ends with the process, has no bound, and looks through all it has.
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

#[derive(Default)]
struct Tables {
    endpoints: BTreeMap<EndpointId, Endpoint>,
    messages: BTreeMap<u64, Stored>,
    deliveries: BTreeMap<u64, Delivery>,
    attempts: Vec<(u64, AttemptRecord)>,
    last: u64,
}

struct Endpoint {
    record: EndpointRecord,
    health: Health,
    served_at: Millis,
}

struct Stored {
    tenant: String,
    id: String,
    event_type: String,
    /// With a timestamp. None when its content was purged.
    message: Option<Message>,
    digest: [u8; 32],
    created_at: Millis,
}

struct Delivery {
    message: u64,
    endpoint: EndpointId,
    state: DeliveryState,
    /// Pending: when it is due. Sending: when its lease ends.
    due_at: Millis,
    attempt: u32,
    token: Option<LeaseToken>,
    created_at: Millis,
}

impl MemoryOutbox {
    /// Creates an empty outbox.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates an outbox whose clock is moved by `offset`, for tests that let time pass.
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

impl Tables {
    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn switch(&mut self, id: EndpointId, disabled: Option<DisabledReason>, now: Millis) -> bool {
        let Some(endpoint) = self.endpoints.get_mut(&id) else { return false };
        let (from, to) = match disabled {
            Some(_) => (DeliveryState::Pending, DeliveryState::Held),
            None => {
                endpoint.health = Health::default();
                (DeliveryState::Held, DeliveryState::Pending)
            }
        };
        // The first reason stays.
        endpoint.record.disabled = disabled.map(|reason| endpoint.record.disabled.unwrap_or(reason));
        for delivery in self.deliveries.values_mut() {
            if delivery.endpoint == id && delivery.state == from {
                delivery.state = to;
                delivery.due_at = now;
            }
        }
        true
    }

    fn find(&self, message: &Message) -> Option<(u64, &Stored)> {
        let id = message.message_id().as_str();
        let mut all = self.messages.iter().map(|(number, stored)| (*number, stored));
        all.find(|(_, stored)| stored.tenant == tenant(message) && stored.id == id)
    }

    fn add(&mut self, message: u64, endpoint: EndpointId, state: DeliveryState, now: Millis) {
        let number = self.number();
        let delivery = Delivery { message, endpoint, state, due_at: now, attempt: 0, token: None, created_at: now };
        self.deliveries.insert(number, delivery);
    }

    fn dispatch(&mut self, messages: &[Message], now: Millis) -> Vec<Dispatched> {
        let mut first = HashMap::new();
        let conflicts: Vec<_> = messages
            .iter()
            .map(|message| {
                let digest = digest(message);
                let before = *first.entry((tenant(message), message.message_id())).or_insert(digest);
                before != digest || self.find(message).is_some_and(|(_, stored)| stored.digest != digest)
            })
            .collect();
        if conflicts.contains(&true) {
            let answer =
                |conflict: &bool| if *conflict { Dispatched::Conflict } else { Dispatched::Known { deliveries: 0 } };
            return conflicts.iter().map(answer).collect();
        }
        messages.iter().map(|message| self.store(message, now)).collect()
    }

    fn store(&mut self, message: &Message, now: Millis) -> Dispatched {
        if let Some((number, _)) = self.find(message) {
            let count = self.deliveries.values().filter(|delivery| delivery.message == number).count();
            return Dispatched::Known { deliveries: u32::try_from(count).unwrap_or(u32::MAX) };
        }
        let number = self.number();
        let stored = Stored {
            tenant: tenant(message).to_owned(),
            id: message.message_id().to_string(),
            event_type: message.event_type().to_owned(),
            message: Some(message.clone().at(message.timestamp().unwrap_or(to_time(now)))),
            digest: digest(message),
            created_at: now,
        };
        self.messages.insert(number, stored);
        let wanted: Vec<_> = self
            .endpoints
            .values()
            .filter(|endpoint| {
                let record = &endpoint.record;
                *record.tenant == *tenant(message)
                    && record.disabled.is_none()
                    && wants(record.settings.events.iter().map(String::as_str), message.event_type())
            })
            .map(|endpoint| endpoint.record.id)
            .collect();
        for endpoint in &wanted {
            self.add(number, *endpoint, DeliveryState::Pending, now);
        }
        Dispatched::Stored { deliveries: u32::try_from(wanted.len()).unwrap_or(u32::MAX) }
    }

    fn lease(&mut self, token: LeaseToken, lease: Duration, limit: u32, now: Millis) -> Leases {
        let is_due = |delivery: &Delivery| {
            matches!(delivery.state, DeliveryState::Pending | DeliveryState::Sending) && delivery.due_at <= now
        };
        let mut candidates: Vec<_> = self
            .endpoints
            .values()
            .filter(|endpoint| endpoint.record.disabled.is_none() && endpoint.health.rests_until <= now)
            .map(|endpoint| (endpoint.served_at, endpoint.record.id))
            .filter(|(_, id)| self.deliveries.values().any(|delivery| delivery.endpoint == *id && is_due(delivery)))
            .collect();
        candidates.sort_unstable();

        let mut leased = Vec::new();
        for (index, (_, id)) in candidates.iter().enumerate() {
            let Some(endpoint) = self.endpoints.get_mut(id) else { continue };
            let left = limit.saturating_sub(u32::try_from(leased.len()).unwrap_or(u32::MAX));
            let others = u32::try_from(candidates.len() - index).unwrap_or(u32::MAX);
            let of_it = || self.deliveries.iter().filter(|(_, delivery)| delivery.endpoint == *id);
            let in_flight = of_it()
                .filter(|(_, delivery)| delivery.state == DeliveryState::Sending && delivery.due_at > now)
                .count();
            let room = endpoint.health.room(u32::try_from(in_flight).unwrap_or(u32::MAX)).min(left.div_ceil(others));
            let mut due: Vec<_> = of_it()
                .filter(|(_, delivery)| is_due(delivery))
                .map(|(number, delivery)| (delivery.due_at, *number))
                .collect();
            due.sort_unstable();
            due.truncate(room as usize);
            if !due.is_empty() {
                endpoint.served_at = now;
            }
            let record = Arc::new(endpoint.record.clone());
            for (_, number) in due {
                let Some(delivery) = self.deliveries.get_mut(&number) else { continue };
                let Some(message) = self.messages.get(&delivery.message).and_then(|stored| stored.message.clone())
                else {
                    continue;
                };
                delivery.state = DeliveryState::Sending;
                delivery.token = Some(token);
                delivery.attempt = delivery.attempt.saturating_add(1);
                delivery.due_at = after(now, lease);
                leased.push(LeasedDelivery::new(OutboxId::from_u64(number), delivery.attempt, message, record.clone()));
            }
        }
        let next_due = self
            .deliveries
            .values()
            .filter(|delivery| matches!(delivery.state, DeliveryState::Pending | DeliveryState::Sending))
            .map(|delivery| delivery.due_at)
            .filter(|due_at| leased.is_empty() && *due_at > now)
            .min()
            .map(|due_at| Duration::from_millis(u64::try_from(due_at - now).unwrap_or_default()));
        Leases::new(leased, next_due)
    }

    fn finish(
        &mut self,
        id: OutboxId,
        token: LeaseToken,
        finish: Finish,
        now: Millis,
    ) -> (Fenced, Option<DisabledReason>) {
        let number = id.to_u64();
        let held = |delivery: &&mut Delivery| delivery.state == DeliveryState::Sending && delivery.token == Some(token);
        let Some(delivery) = self.deliveries.get_mut(&number).filter(held) else { return (Fenced::Stale, None) };
        let (endpoint, attempt) = (delivery.endpoint, delivery.attempt);

        let mut disabled = None;
        let standing = match self.endpoints.get_mut(&endpoint) {
            None => Standing::Deleted,
            Some(found) => {
                let reason = found.health.count(finish.after, now, finish.disable_after);
                found.record.failures = found.health.failures;
                found.record.failing_since = found.health.failing_since.map(to_time);
                match (found.record.disabled, reason) {
                    (None, Some(_)) => {
                        self.switch(endpoint, reason, now);
                        disabled = reason;
                        Standing::Disabled
                    }
                    (Some(_), _) => Standing::Disabled,
                    (None, None) => Standing::Enabled,
                }
            }
        };

        let unsent = matches!(finish.after, After::Unsent { .. });
        if let Some(delivery) = self.deliveries.get_mut(&number) {
            (delivery.state, delivery.due_at) = next_state(finish.after, standing, now);
            delivery.token = None;
            delivery.attempt -= u32::from(unsent);
        }
        if !unsent {
            self.attempts.push((number, AttemptRecord::new(attempt, to_time(now), finish)));
        }
        (Fenced::Applied, disabled)
    }

    fn record(&self, number: u64) -> Option<DeliveryRecord> {
        let delivery = self.deliveries.get(&number)?;
        let stored = self.messages.get(&delivery.message)?;
        Some(DeliveryRecord {
            id: OutboxId::from_u64(number),
            message: stored.id.clone(),
            event_type: stored.event_type.clone(),
            tenant: stored.tenant.as_str().into(),
            endpoint: delivery.endpoint,
            state: delivery.state,
            attempt: delivery.attempt,
            created_at: to_time(delivery.created_at),
            due_at: (delivery.state == DeliveryState::Pending).then_some(to_time(delivery.due_at)),
        })
    }

    /// The state in which something that is to be sent to an endpoint waits; none when the endpoint is gone.
    fn waiting(&self, endpoint: EndpointId) -> Option<DeliveryState> {
        let disabled = self.endpoints.get(&endpoint)?.record.disabled;
        Some(if disabled.is_some() { DeliveryState::Held } else { DeliveryState::Pending })
    }

    fn again(&mut self, number: u64, state: DeliveryState, now: Millis) {
        if let Some(delivery) = self.deliveries.get_mut(&number) {
            delivery.state = state;
            delivery.attempt = 0;
            delivery.due_at = now;
        }
    }

    fn has_content(&self, message: u64) -> bool {
        self.messages.get(&message).is_some_and(|stored| stored.message.is_some())
    }

    fn resend(&mut self, number: u64, now: Millis) -> bool {
        let Some(delivery) = self.deliveries.get(&number) else { return false };
        let Some(state) = self.waiting(delivery.endpoint) else { return false };
        if delivery.state == DeliveryState::Sending || !self.has_content(delivery.message) {
            return false;
        }
        self.again(number, state, now);
        true
    }

    fn recover(&mut self, id: EndpointId, since: Millis, now: Millis) -> u64 {
        let (Some(state), Some(endpoint)) = (self.waiting(id), self.endpoints.get(&id)) else { return 0 };
        let record = endpoint.record.clone();
        let recent: Vec<_> = self
            .messages
            .iter()
            .filter(|(_, stored)| stored.created_at >= since && stored.message.is_some())
            .map(|(number, stored)| {
                let patterns = record.settings.events.iter().map(String::as_str);
                (*number, stored.tenant == *record.tenant && wants(patterns, &stored.event_type))
            })
            .collect();
        let mut count = 0;
        for (message, wanted) in recent {
            let made = self
                .deliveries
                .iter()
                .find(|(_, delivery)| delivery.message == message && delivery.endpoint == id)
                .map(|(number, delivery)| (*number, delivery.state));
            match made {
                Some((number, DeliveryState::Refused | DeliveryState::Exhausted | DeliveryState::Cancelled)) => {
                    self.again(number, state, now)
                }
                None if wanted => self.add(message, id, state, now),
                _ => continue,
            }
            count += 1;
        }
        count
    }

    fn is_awaited(&self, message: u64) -> bool {
        self.deliveries.values().any(|delivery| {
            delivery.message == message
                && matches!(delivery.state, DeliveryState::Pending | DeliveryState::Sending | DeliveryState::Held)
        })
    }

    fn purge(&mut self, retention: Retention, limit: usize, now: Millis) -> u64 {
        let (content, rows) = (before(now, retention.content), before(now, retention.rows));
        let old: Vec<_> = self
            .messages
            .iter()
            .filter(|(number, stored)| stored.created_at < content && !self.is_awaited(**number))
            .map(|(number, stored)| (*number, stored.created_at < rows, stored.message.is_some()))
            .filter(|(_, remove, has_content)| *remove || *has_content)
            .take(limit)
            .collect();
        for (message, remove, _) in &old {
            let of_it: Vec<_> = self
                .deliveries
                .iter()
                .filter(|(_, delivery)| delivery.message == *message)
                .map(|(number, _)| *number)
                .collect();
            if *remove {
                self.messages.remove(message);
                self.deliveries.retain(|number, _| !of_it.contains(number));
                self.attempts.retain(|(number, _)| !of_it.contains(number));
                continue;
            }
            if let Some(stored) = self.messages.get_mut(message) {
                stored.message = None;
            }
            for (number, attempt) in &mut self.attempts {
                if of_it.contains(number) {
                    attempt.answer = Bytes::new();
                }
            }
        }
        old.len() as u64
    }
}

impl OutboxStore for MemoryOutbox {
    fn create_endpoint(&self, endpoint: EndpointDraft) -> BoxFuture<'_, Result<EndpointRecord, StoreError>> {
        self.at_once(move |tables, now| {
            let record = EndpointRecord::new(endpoint, to_time(now));
            let endpoint = Endpoint { record: record.clone(), health: Health::default(), served_at: 0 };
            tables.endpoints.insert(record.id, endpoint);
            record
        })
    }

    fn endpoint(&self, id: EndpointId) -> BoxFuture<'_, Result<Option<EndpointRecord>, StoreError>> {
        self.at_once(move |tables, _| tables.endpoints.get(&id).map(|endpoint| endpoint.record.clone()))
    }

    fn endpoints(
        &self,
        tenant: Arc<str>,
        after: Option<EndpointId>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<EndpointRecord>, StoreError>> {
        self.at_once(move |tables, _| {
            let records = tables.endpoints.values().map(|endpoint| &endpoint.record);
            let fit = records.filter(|record| record.tenant == tenant && after.is_none_or(|after| record.id > after));
            fit.take(limit as usize).cloned().collect()
        })
    }

    fn change_endpoint(
        &self,
        id: EndpointId,
        revision: u64,
        settings: EndpointSettings,
    ) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.at_once(move |tables, _| match tables.endpoints.get_mut(&id) {
            Some(endpoint) if endpoint.record.revision == revision => {
                endpoint.record.settings = settings;
                endpoint.record.revision += 1;
                Fenced::Applied
            }
            _ => Fenced::Stale,
        })
    }

    fn switch_endpoint(
        &self,
        id: EndpointId,
        disabled: Option<DisabledReason>,
    ) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.at_once(move |tables, now| {
            let there = tables.switch(id, disabled, now);
            if let Some(endpoint) = tables.endpoints.get_mut(&id) {
                endpoint.record.failures = endpoint.health.failures;
                endpoint.record.failing_since = endpoint.health.failing_since.map(to_time);
            }
            there
        })
    }

    fn delete_endpoint(&self, id: EndpointId) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.at_once(move |tables, _| {
            for delivery in tables.deliveries.values_mut() {
                let waits = matches!(delivery.state, DeliveryState::Pending | DeliveryState::Held);
                if delivery.endpoint == id && waits {
                    delivery.state = DeliveryState::Cancelled;
                }
            }
            tables.endpoints.remove(&id).is_some()
        })
    }

    fn dispatch(&self, messages: Vec<Message>) -> BoxFuture<'_, Result<Vec<Dispatched>, StoreError>> {
        self.at_once(move |tables, now| tables.dispatch(&messages, now))
    }

    fn lease(&self, token: LeaseToken, lease: Duration, limit: u32) -> BoxFuture<'_, Result<Leases, StoreError>> {
        self.at_once(move |tables, now| tables.lease(token, lease, limit, now))
    }

    fn finish(
        &self,
        id: OutboxId,
        token: LeaseToken,
        finish: Finish,
    ) -> BoxFuture<'_, Result<(Fenced, Option<DisabledReason>), StoreError>> {
        self.at_once(move |tables, now| tables.finish(id, token, finish, now))
    }

    fn delivery(&self, id: OutboxId) -> BoxFuture<'_, Result<Option<DeliveryRecord>, StoreError>> {
        self.at_once(move |tables, _| tables.record(id.to_u64()))
    }

    fn deliveries(
        &self,
        tenant: Arc<str>,
        query: DeliveryQuery,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<DeliveryRecord>, StoreError>> {
        self.at_once(move |tables, _| {
            let numbers = tables.deliveries.iter().rev();
            let of_tenant = numbers.filter(|(_, delivery)| {
                tables.messages.get(&delivery.message).is_some_and(|stored| stored.tenant == *tenant)
            });
            let records = of_tenant.filter_map(|(number, _)| tables.record(*number));
            let fit = records.filter(|record| {
                query.endpoint.is_none_or(|endpoint| endpoint == record.endpoint)
                    && query.state.is_none_or(|state| state == record.state)
                    && query.message.as_ref().is_none_or(|message| *message == record.message)
                    && query.before.is_none_or(|before| record.id < before)
            });
            fit.take(limit as usize).collect()
        })
    }

    fn attempts(&self, id: OutboxId) -> BoxFuture<'_, Result<Vec<AttemptRecord>, StoreError>> {
        self.at_once(move |tables, _| {
            let of_it = tables.attempts.iter().filter(|(number, _)| *number == id.to_u64());
            of_it.map(|(_, attempt)| attempt.clone()).collect()
        })
    }

    fn resend(&self, id: OutboxId) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.at_once(move |tables, now| tables.resend(id.to_u64(), now))
    }

    fn cancel(&self, id: OutboxId) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.at_once(move |tables, _| match tables.deliveries.get_mut(&id.to_u64()) {
            Some(delivery) if matches!(delivery.state, DeliveryState::Pending | DeliveryState::Held) => {
                delivery.state = DeliveryState::Cancelled;
                true
            }
            _ => false,
        })
    }

    fn recover(&self, id: EndpointId, since: SystemTime) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.at_once(move |tables, now| tables.recover(id, from_time(since), now))
    }

    fn purge(&self, retention: Retention, limit: u32) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.at_once(move |tables, now| tables.purge(retention, limit as usize, now))
    }
}
