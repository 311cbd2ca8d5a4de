use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;

use crate::{
    boxed::BoxFuture,
    clock::{Clock, ClockOffset, SystemClock},
    error::StoreError,
    send::{
        After, AttemptEnd, AttemptRecord, Backlog, DeliveryQuery, DeliveryRecord, DeliveryState, DisabledReason,
        Dispatched, EndpointDraft, EndpointId, EndpointRecord, EndpointSettings, EventType, Fenced, Finish,
        LONGEST_LEASE, LeaseRequest, LeaseToken, LeasedDelivery, Leases, Message, MessagePlace, MessageQuery,
        MessageRecord, OutboxId, OutboxStore, Recover, Recovered, Retention, Scope, StatsCell, latency_bucket,
    },
    store::{
        outbox::{
            Health, Leased, Shares, Standing, URGENT_DUE, backlog, digest, from_time, hour, next_state, round,
            shown_due, tenant, to_time, wants,
        },
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
    event_types: BTreeMap<String, EventType>,
    stats: BTreeMap<Counted, u64>,
    last: u64,
}

/// What is counted together: tenant, hour, endpoint, how the attempt ended, and its bucket of latency.
type Counted = (Arc<str>, u32, EndpointId, AttemptEnd, u8);

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
    /// The only endpoint that it is for, if it is.
    addressed: Option<EndpointId>,
    version: Option<String>,
    happened_at: Millis,
    created_at: Millis,
}

struct Delivery {
    message: u64,
    endpoint: EndpointId,
    state: DeliveryState,
    /// Pending: when it is due. Sending: when its lease ends. Held: since when it is.
    due_at: Millis,
    attempt: u32,
    /// How many attempts were begun before it was last resent or recovered.
    resent_after: Option<u32>,
    /// That of its endpoint when it was leased.
    epoch: i64,
    token: Option<LeaseToken>,
    created_at: Millis,
}

impl Stored {
    /// The message as it is shown, without its payload.
    fn record(&self, number: u64) -> MessageRecord {
        let place = MessagePlace::new(u64::try_from(self.created_at).unwrap_or_default(), number);
        let mut record =
            MessageRecord::new(place, &*self.id, &*self.event_type, &*self.tenant, to_time(self.happened_at));
        record.version.clone_from(&self.version);
        record
    }
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

impl Endpoint {
    fn ready_at(&self) -> Millis {
        self.health.ready_at(self.record.settings.rate_limit)
    }

    /// Shows how the endpoint is doing.
    fn show(&mut self) {
        self.record.failures = self.health.failures;
        self.record.failing_since = self.health.failing_since.map(to_time);
        self.record.proven = self.health.proven;
    }
}

impl Delivery {
    /// Whether a worker has it whose lease is not over.
    fn is_leased(&self, now: Millis) -> bool {
        self.state == DeliveryState::Sending && self.due_at > now
    }

    fn is_due(&self, now: Millis) -> bool {
        matches!(self.state, DeliveryState::Pending | DeliveryState::Sending) && self.due_at <= now
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
                endpoint.health.enable();
                endpoint.show();
                (DeliveryState::Held, DeliveryState::Pending)
            }
        };
        // The first reason stays.
        endpoint.record.disabled = disabled.map(|reason| endpoint.record.disabled.unwrap_or(reason));
        for delivery in self.deliveries.values_mut() {
            if delivery.endpoint == id && delivery.state == from {
                delivery.state = to;
                delivery.due_at = endpoint.health.due(to, now, delivery.created_at);
            }
        }
        true
    }

    fn find(&self, message: &Message) -> Option<(u64, &Stored)> {
        let id = message.message_id().as_str();
        let mut all = self.messages.iter().map(|(number, stored)| (*number, stored));
        all.find(|(_, stored)| stored.tenant == tenant(message) && stored.id == id)
    }

    fn add(&mut self, message: u64, endpoint: EndpointId, state: DeliveryState, now: Millis) -> u64 {
        let number = self.number();
        let delivery = Delivery {
            message,
            endpoint,
            state,
            due_at: now,
            attempt: 0,
            resent_after: None,
            epoch: 0,
            token: None,
            created_at: now,
        };
        self.deliveries.insert(number, delivery);
        number
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
        let number = self.insert(message, None, now);
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

    fn insert(&mut self, message: &Message, addressed: Option<EndpointId>, now: Millis) -> u64 {
        let number = self.number();
        let stored = Stored {
            tenant: tenant(message).to_owned(),
            id: message.message_id().to_string(),
            event_type: message.event_type().to_owned(),
            message: Some(message.clone().at(message.timestamp().unwrap_or(to_time(now)))),
            digest: digest(message),
            addressed,
            version: message.api_version().map(str::to_owned),
            happened_at: message.timestamp().map_or(now, from_time),
            created_at: now,
        };
        self.messages.insert(number, stored);
        number
    }

    fn dispatch_to(&mut self, id: EndpointId, message: &Message, now: Millis) -> Option<OutboxId> {
        let record = &self.endpoints.get(&id)?.record;
        if record.disabled.is_some() || *record.tenant != *tenant(message) {
            return None;
        }
        let number = match self.find(message) {
            // What was dispatched to others is another message.
            Some((number, stored)) if stored.digest == digest(message) => self.made(number, id)?.0,
            Some(_) => return None,
            None => {
                let number = self.insert(message, Some(id), now);
                let number = self.add(number, id, DeliveryState::Pending, now);
                self.urge(number);
                number
            }
        };
        Some(OutboxId::from_u64(number))
    }

    /// Lets a delivery go before all else of its endpoint.
    fn urge(&mut self, number: u64) {
        if let Some(delivery) = self.deliveries.get_mut(&number)
            && let Some(endpoint) = self.endpoints.get_mut(&delivery.endpoint)
        {
            delivery.due_at = URGENT_DUE;
            endpoint.health.urgent = true;
        }
    }

    /// An endpoint's delivery of a message.
    fn made(&self, message: u64, endpoint: EndpointId) -> Option<(u64, DeliveryState)> {
        let mut all = self.deliveries.iter();
        let made = all.find(|(_, delivery)| delivery.message == message && delivery.endpoint == endpoint);
        made.map(|(number, delivery)| (*number, delivery.state))
    }

    fn of_endpoint(&self, id: EndpointId) -> impl Iterator<Item = (u64, &Delivery)> {
        let all = self.deliveries.iter().map(|(number, delivery)| (*number, delivery));
        all.filter(move |(_, delivery)| delivery.endpoint == id)
    }

    fn has_due(&self, id: EndpointId, now: Millis) -> bool {
        self.of_endpoint(id).any(|(_, delivery)| delivery.is_due(now))
    }

    fn room(&self, endpoint: &Endpoint, now: Millis) -> u32 {
        let is_in_flight = |delivery: &Delivery| delivery.state == DeliveryState::Sending && delivery.due_at > now;
        let in_flight = self.of_endpoint(endpoint.record.id).filter(|(_, delivery)| is_in_flight(delivery)).count();
        let in_flight = u32::try_from(in_flight).unwrap_or(u32::MAX);
        endpoint.health.room(in_flight, endpoint.record.settings.rate_limit, now)
    }

    fn lease(&mut self, request: &LeaseRequest, now: Millis) -> Leases {
        let mut candidates: Vec<_> = self
            .endpoints
            .values()
            .filter(|endpoint| endpoint.record.disabled.is_none() && self.room(endpoint, now) > 0)
            .map(|endpoint| {
                (endpoint.served_at, endpoint.record.id, endpoint.record.proven, endpoint.record.tenant.clone())
            })
            .filter(|(_, id, ..)| self.has_due(*id, now))
            .collect();
        candidates.sort_unstable();

        let mut shares = Shares::new(request, candidates.iter().map(|(_, _, proven, _)| *proven));
        let mut leased = Vec::new();
        for (_, id, proven, tenant) in &candidates {
            let (id, proven) = (*id, *proven);
            let Some(endpoint) = self.endpoints.get(&id) else { continue };
            let room = self.room(endpoint, now).min(shares.next(proven, tenant));
            if room == 0 {
                continue;
            }
            let record = Arc::new(endpoint.record.clone());
            if endpoint.health.in_order {
                self.take_back(id, now);
            }
            let Some(endpoint) = self.endpoints.get(&id) else { continue };
            let due = self.of_endpoint(id).filter(|(_, delivery)| delivery.is_due(now));
            let mut due: Vec<_> = due.map(|(number, delivery)| (delivery.due_at, number)).collect();
            due.sort_unstable();
            let all = due.len() <= room as usize;
            let urgent_left = due.get(room as usize).is_some_and(|(due_at, _)| *due_at == URGENT_DUE);
            let epoch = endpoint.health.epoch;
            due.truncate(room as usize);

            let (attempts, mut first) = (u32::try_from(due.len()).unwrap_or(u32::MAX), 0);
            let mut dispatched = Vec::new();
            for (_, number) in due {
                let Some(delivery) = self.deliveries.get_mut(&number) else { continue };
                let stored = self.messages.get(&delivery.message);
                let Some(message) = stored.and_then(|stored| stored.message.clone()) else {
                    (delivery.state, delivery.due_at, delivery.token) = (DeliveryState::Cancelled, now, None);
                    continue;
                };
                delivery.state = DeliveryState::Sending;
                delivery.token = Some(request.token);
                delivery.attempt = delivery.attempt.saturating_add(1);
                delivery.epoch = epoch;
                delivery.due_at = after(now, request.lease.min(LONGEST_LEASE));
                first += u32::from(delivery.attempt == 1);
                if delivery.attempt == 1 && stored.is_some_and(|stored| stored.created_at == delivery.created_at) {
                    dispatched.push(delivery.created_at);
                }
                let age = Duration::from_millis(u64::try_from(now - delivery.created_at).unwrap_or_default());
                let id = OutboxId::from_u64(number);
                let mut taken = LeasedDelivery::new(id, delivery.attempt, message, record.clone(), age);
                (taken.round_attempt, taken.manual) = round(delivery.attempt, delivery.resent_after);
                leased.push(taken);
            }
            shares.took(attempts, proven, tenant);
            if let Some(endpoint) = self.endpoints.get_mut(&id) {
                endpoint.served_at = now;
                let leased = Leased { attempts, first, dispatched: &dispatched, all, urgent_left };
                endpoint.health.leased(leased, record.settings.rate_limit, now);
            }
        }
        let next_due = if leased.is_empty() { self.next_due(now) } else { None };
        Leases::new(leased, next_due)
    }

    /// Gives what a worker died on its place again.
    fn take_back(&mut self, id: EndpointId, now: Millis) {
        let died = |delivery: &&mut Delivery| delivery.state == DeliveryState::Sending && delivery.due_at <= now;
        for delivery in self.deliveries.values_mut().filter(|delivery| delivery.endpoint == id).filter(died) {
            (delivery.state, delivery.due_at, delivery.token) = (DeliveryState::Pending, delivery.created_at, None);
        }
    }

    /// How long until something becomes due, or an endpoint that has something due is ready for it.
    fn next_due(&self, now: Millis) -> Option<Duration> {
        let waiting = |delivery: &&Delivery| matches!(delivery.state, DeliveryState::Pending | DeliveryState::Sending);
        let due = self.deliveries.values().filter(waiting).map(|delivery| delivery.due_at);
        let kept_back = self
            .endpoints
            .values()
            .filter(|endpoint| endpoint.record.disabled.is_none() && self.has_due(endpoint.record.id, now))
            .map(Endpoint::ready_at);
        let next = due.chain(kept_back).filter(|at| *at > now).min();
        next.map(|at| Duration::from_millis(u64::try_from(at - now).unwrap_or_default()))
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
        let (endpoint, attempt, epoch) = (delivery.endpoint, delivery.attempt, delivery.epoch);
        let message = delivery.message;
        let (_, manual) = round(attempt, delivery.resent_after);

        let mut disabled = None;
        let standing = match self.endpoints.get_mut(&endpoint) {
            None => Standing::Deleted,
            Some(found) => {
                let reason = found.health.count(&finish, epoch, now);
                let standing = found.health.standing(epoch);
                found.show();
                match (found.record.disabled, reason) {
                    (None, Some(_)) => {
                        self.switch(endpoint, reason, now);
                        if let Some(notice) = &finish.notice {
                            // One that is in conflict with another says the same.
                            self.dispatch(std::slice::from_ref(notice), now);
                        }
                        disabled = reason;
                        Standing::Disabled
                    }
                    (Some(_), _) => Standing::Disabled,
                    (None, None) => standing,
                }
            }
        };

        let unsent = matches!(finish.after, After::Unsent { .. });
        if let Some(delivery) = self.deliveries.get_mut(&number) {
            let (state, due_at) = next_state(finish.after, standing, now);
            let health = self.endpoints.get(&endpoint).map(|found| found.health).unwrap_or_default();
            (delivery.state, delivery.due_at) = (state, health.due(state, due_at, delivery.created_at));
            delivery.token = None;
            delivery.attempt -= u32::from(unsent);
        }
        if let (Some(end), Some(stored)) = (AttemptEnd::of(finish.after), self.messages.get(&message)) {
            let counted = (stored.tenant.as_str().into(), hour(now), endpoint, end, latency_bucket(finish.duration));
            *self.stats.entry(counted).or_default() += 1;
        }
        if !unsent {
            let mut noted = AttemptRecord::new(attempt, to_time(now), finish);
            noted.manual = manual;
            self.attempts.push((number, noted));
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
            due_at: (delivery.state == DeliveryState::Pending).then(|| shown_due(delivery.due_at, delivery.created_at)),
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
            delivery.resent_after = Some(delivery.attempt);
            (delivery.due_at, delivery.token) = (now, None);
        }
    }

    fn has_content(&self, message: u64) -> bool {
        self.messages.get(&message).is_some_and(|stored| stored.message.is_some())
    }

    fn resend(&mut self, number: u64, now: Millis) -> bool {
        let Some(delivery) = self.deliveries.get(&number) else { return false };
        let Some(state) = self.waiting(delivery.endpoint) else { return false };
        if delivery.is_leased(now) || !self.has_content(delivery.message) {
            return false;
        }
        self.again(number, state, now);
        if state == DeliveryState::Pending {
            self.urge(number);
        }
        true
    }

    fn recover(&mut self, id: EndpointId, recover: Recover, limit: usize, now: Millis) -> Recovered {
        let nothing = Recovered::new(0, None);
        let (Some(state), Some(endpoint)) = (self.waiting(id), self.endpoints.get(&id)) else { return nothing };
        let record = endpoint.record.clone();
        let until = recover.until.map_or(Millis::MAX, from_time);
        let after = recover.after.and_then(|number| Some((self.messages.get(&number)?.created_at, number)));
        let start = after.unwrap_or((from_time(recover.since), 0));
        let mut page: Vec<_> = self
            .messages
            .iter()
            .filter(|(_, stored)| stored.tenant == *record.tenant && stored.created_at < until)
            .map(|(number, stored)| (stored.created_at, *number))
            .filter(|place| *place > start)
            .collect();
        page.sort_unstable();
        page.truncate(limit);

        let mut deliveries = 0;
        for (_, message) in &page {
            let Some(stored) = self.messages.get(message) else { continue };
            if stored.message.is_none() || stored.addressed.is_some_and(|addressed| addressed != id) {
                continue;
            }
            let wanted = wants(record.settings.events.iter().map(String::as_str), &stored.event_type);
            match self.made(*message, id) {
                Some((number, DeliveryState::Refused | DeliveryState::Exhausted)) => self.again(number, state, now),
                None if wanted => drop(self.add(*message, id, state, now)),
                _ => continue,
            }
            deliveries += 1;
        }
        if deliveries > 0
            && let Some(endpoint) = self.endpoints.get_mut(&id)
        {
            endpoint.health.pace.catching_up = true;
        }
        Recovered::new(deliveries, page.last().map(|(_, number)| *number).filter(|_| page.len() >= limit))
    }

    fn erase(&mut self, tenant: &str, limit: usize) -> u64 {
        let endpoints = self.endpoints.iter().filter(|(_, endpoint)| *endpoint.record.tenant == *tenant);
        let endpoints: Vec<_> = endpoints.map(|(id, _)| *id).take(limit).collect();
        let messages = self.messages.iter().filter(|(_, stored)| stored.tenant == *tenant);
        let messages: Vec<_> = messages.map(|(number, _)| *number).take(limit).collect();
        let before = self.rows();
        self.stats.retain(|(of, ..), _| **of != *tenant);
        for id in endpoints {
            self.endpoints.remove(&id);
        }
        for message in messages {
            self.remove(message);
        }
        before.abs_diff(self.rows())
    }

    fn rows(&self) -> u64 {
        let lists =
            [self.endpoints.len(), self.messages.len(), self.deliveries.len(), self.attempts.len(), self.stats.len()];
        lists.into_iter().sum::<usize>() as u64
    }

    /// Removes a message and what came of it.
    fn remove(&mut self, message: u64) {
        self.messages.remove(&message);
        let of_it = self.of_message(message);
        self.deliveries.retain(|number, _| !of_it.contains(number));
        self.attempts.retain(|(number, _)| !of_it.contains(number));
    }

    fn of_message(&self, message: u64) -> Vec<u64> {
        let all = self.deliveries.iter().filter(|(_, delivery)| delivery.message == message);
        all.map(|(number, _)| *number).collect()
    }

    fn is_awaited(&self, message: u64) -> bool {
        self.deliveries.values().any(|delivery| {
            delivery.message == message
                && matches!(delivery.state, DeliveryState::Pending | DeliveryState::Sending | DeliveryState::Held)
        })
    }

    /// When a message was dispatched, or the last attempt at it ended.
    fn last_used(&self, message: u64) -> Option<Millis> {
        let of_it = self.of_message(message);
        let attempts = self.attempts.iter().filter(|(number, _)| of_it.contains(number));
        let ended = attempts.map(|(_, attempt)| from_time(attempt.ended_at));
        ended.chain(self.messages.get(&message).map(|stored| stored.created_at)).max()
    }

    fn purge(&mut self, retention: Retention, limit: usize, now: Millis) -> u64 {
        let rows = before(now, retention.rows);
        let content = before(now, retention.content.min(retention.rows));
        let left = self.leave(limit, now);
        let held = self.deliveries.values_mut();
        let held = held.filter(|delivery| delivery.state == DeliveryState::Held && delivery.due_at < rows).take(limit);
        let cancelled = held.map(|delivery| delivery.state = DeliveryState::Cancelled).count();

        let old: Vec<_> = self
            .messages
            .iter()
            .filter(|(number, _)| !self.is_awaited(**number))
            .filter_map(|(number, stored)| Some((*number, self.last_used(*number)?, stored.message.is_some())))
            .filter(|(_, used, has_content)| *used < rows || (*used < content && *has_content))
            .take(limit)
            .collect();
        for (message, used, _) in &old {
            if *used < rows {
                self.remove(*message);
                continue;
            }
            if let Some(stored) = self.messages.get_mut(message) {
                stored.message = None;
            }
            let of_it = self.of_message(*message);
            for (number, attempt) in &mut self.attempts {
                if of_it.contains(number) {
                    attempt.answer = Bytes::new();
                }
            }
        }
        let counted = self.stats.len();
        self.stats.retain(|(_, at, ..), _| *at >= hour(rows));
        (left + cancelled + old.len() + counted - self.stats.len()) as u64
    }

    fn stats(&self, scope: &Scope, since: u32, until: u32) -> Vec<StatsCell> {
        let mut cells = BTreeMap::<_, u64>::new();
        for ((tenant, hour, endpoint, end, bucket), count) in &self.stats {
            let fits = scope.tenant.as_ref().is_none_or(|wanted| wanted == tenant)
                && scope.endpoint.is_none_or(|wanted| wanted == *endpoint)
                && (since..until).contains(hour);
            if fits {
                *cells.entry((*hour, *end, *bucket)).or_default() += count;
            }
        }
        cells.into_iter().map(|((hour, end, bucket), count)| StatsCell::new(hour, end, bucket, count)).collect()
    }

    fn backlog(&self, scope: &Scope, now: Millis) -> Backlog {
        let (mut waiting, mut ready, mut unserved) = (0, now, now);
        for endpoint in self.endpoints.values() {
            let record = &endpoint.record;
            let fits = scope.tenant.as_ref().is_none_or(|wanted| *wanted == record.tenant)
                && scope.endpoint.is_none_or(|wanted| wanted == record.id);
            if !fits {
                continue;
            }
            let waits = |delivery: &Delivery| matches!(delivery.state, DeliveryState::Pending | DeliveryState::Sending);
            let due: Vec<_> = self
                .of_endpoint(record.id)
                .filter(|(_, delivery)| waits(delivery))
                .map(|(_, delivery)| delivery.due_at)
                .collect();
            waiting += due.len();
            let oldest = due.into_iter().filter(|due_at| *due_at > URGENT_DUE).min();
            if let (Some(due_at), None) = (oldest, record.disabled) {
                ready = ready.min(due_at.max(endpoint.ready_at()));
                unserved = unserved.min(due_at.max(endpoint.ready_at()).max(endpoint.served_at));
            }
        }
        backlog(waiting as u64, Some(ready), Some(unserved), now)
    }

    /// A worker died on these, and nobody leases them again: their endpoint was disabled or deleted meanwhile.
    fn leave(&mut self, limit: usize, now: Millis) -> usize {
        let died = |delivery: &&mut Delivery| delivery.state == DeliveryState::Sending && delivery.due_at < now;
        let mut left = 0;
        for delivery in self.deliveries.values_mut().filter(died) {
            delivery.state = match self.endpoints.get(&delivery.endpoint) {
                _ if left == limit => break,
                Some(endpoint) if endpoint.record.disabled.is_none() => continue,
                Some(_) => DeliveryState::Held,
                None => DeliveryState::Cancelled,
            };
            (delivery.due_at, delivery.token) = (now, None);
            left += 1;
        }
        left
    }
}

impl OutboxStore for MemoryOutbox {
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
            let health = Health { in_order: record.settings.in_order, ..Health::default() };
            let endpoint = Endpoint { record: record.clone(), health, served_at: 0 };
            tables.endpoints.insert(record.id, endpoint);
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
        self.at_once(move |tables, _| match tables.endpoints.get_mut(&id) {
            Some(endpoint) if endpoint.record.revision == revision => {
                endpoint.health.changed(&endpoint.record.settings, &settings);
                endpoint.record.settings = settings;
                endpoint.record.revision += 1;
                endpoint.show();
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
        self.at_once(move |tables, now| tables.switch(id, disabled, now))
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

    fn dispatch_to(
        &self,
        endpoint: EndpointId,
        message: Message,
    ) -> BoxFuture<'_, Result<Option<OutboxId>, StoreError>> {
        self.at_once(move |tables, now| tables.dispatch_to(endpoint, &message, now))
    }

    fn lease(&self, request: LeaseRequest) -> BoxFuture<'_, Result<Leases, StoreError>> {
        self.at_once(move |tables, now| tables.lease(&request, now))
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
                    && query.event_type.as_ref().is_none_or(|event_type| *event_type == record.event_type)
                    && query.before.is_none_or(|before| record.id < before)
            });
            fit.take(limit as usize).collect()
        })
    }

    fn message(&self, tenant: Arc<str>, id: String) -> BoxFuture<'_, Result<Option<MessageRecord>, StoreError>> {
        self.at_once(move |tables, _| {
            let mut all = tables.messages.iter();
            let (number, stored) = all.find(|(_, stored)| *stored.tenant == *tenant && stored.id == id)?;
            let mut record = stored.record(*number);
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
        self.at_once(move |tables, now| {
            let Some(delivery) = tables.deliveries.get_mut(&id.to_u64()) else { return false };
            let waits = match delivery.state {
                DeliveryState::Pending | DeliveryState::Held => true,
                DeliveryState::Sending => !delivery.is_leased(now),
                _ => false,
            };
            if waits {
                (delivery.state, delivery.token) = (DeliveryState::Cancelled, None);
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
    fn put_event_types(&self, event_types: Vec<EventType>) -> BoxFuture<'_, Result<(), StoreError>> {
        self.at_once(move |tables, _| {
            let named = event_types.into_iter().map(|event_type| (event_type.name().to_owned(), event_type));
            tables.event_types.extend(named);
        })
    }

    fn event_types(&self) -> BoxFuture<'_, Result<Vec<EventType>, StoreError>> {
        self.at_once(|tables, _| tables.event_types.values().cloned().collect())
    }

    fn remove_event_type(&self, name: String) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.at_once(move |tables, _| tables.event_types.remove(&name).is_some())
    }

    fn stats(&self, scope: Scope, since: u32, until: u32) -> BoxFuture<'_, Result<Vec<StatsCell>, StoreError>> {
        self.at_once(move |tables, _| tables.stats(&scope, since, until))
    }

    fn backlog(&self, scope: Scope) -> BoxFuture<'_, Result<Backlog, StoreError>> {
        self.at_once(move |tables, now| tables.backlog(&scope, now))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::MemoryOutbox;
    use crate::send::{
        DeliveryQuery, DeliveryState, EndpointDraft, EndpointId, EndpointSettings, LeaseRequest, LeaseToken, Message,
        OutboxStore, Sealed, Style,
    };

    /// Its rows can always be read; they can only lose their content.
    #[tokio::test]
    async fn what_has_lost_its_content_is_cancelled() {
        let store = MemoryOutbox::new();
        let sealed = Sealed::new("", &b""[..]);
        let settings = EndpointSettings::new("https://example.com/", vec!["*".into()], Style::StandardWebhooks, sealed);
        let draft = EndpointDraft::new(EndpointId::random().unwrap(), "", settings);
        store.create_endpoint(draft, 1).await.unwrap();
        store.dispatch(vec![Message::new("a", "x").unwrap(), Message::new("b", "y").unwrap()]).await.unwrap();
        for stored in store.lock().messages.values_mut().filter(|stored| stored.event_type == "a") {
            stored.message = None;
        }

        let request = LeaseRequest::new(LeaseToken::random().unwrap(), Duration::from_secs(60), 10);
        let leased = store.lease(request).await.unwrap().deliveries;

        assert_eq!(leased.iter().map(|leased| leased.message.event_type()).collect::<Vec<_>>(), ["b"]);
        let query = DeliveryQuery::default().event_type("a");
        let gone = store.deliveries("".into(), query, 1).await.unwrap().remove(0);
        assert_eq!((gone.state, gone.attempt), (DeliveryState::Cancelled, 0));
    }
}
