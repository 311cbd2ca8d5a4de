//! A custom outbox store: any database that can change several records in one transaction can be used.
//!
//! Run: cargo run --features conformance,send --example custom_outbox
//!
//! The rules of `send::policy` decide; a store reads what a rule needs to know, and writes what the rule has decided.
//! `Dispatcher::builder(ToyOutbox::default())` uses this store.
#![allow(clippy::print_stdout)] // An example prints its results.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    future::ready,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use tower_webhooks::{
    BoxFuture,
    clock::{Clock, ClockOffset, Millis, SystemClock, before, from_time, to_time},
    conformance,
    error::StoreError,
    send::{
        AttemptEnd, AttemptRecord, Backlog, BacklogSample, DeliveryQuery, DeliveryRecord, DeliveryState,
        DisabledReason, Dispatched, EndpointDraft, EndpointId, EndpointRecord, EndpointSettings, EventTypeDefinition,
        Fenced, Finish, LeaseRequest, LeaseToken, Leases, Message, MessagePlace, MessageQuery, MessageRecord,
        OutboxCatalogue, OutboxEndpoints, OutboxLog, OutboxQueue, Recover, Recovered, Retention, SampleStep, Scope,
        SentDeliveryId, StatsCell,
        policy::{
            Aged, Attempted, Batch, Due, Health, Looked, MOST_DUE, MOST_PARKED, Missed, PARKED_DUE, Receiver,
            URGENT_DUE, Usage, Waiting, aged, backlog, counted, digest, finish, hour, labelled, lease_end, missed,
            moved_from, plan, shown_due, tenant, waits_as, wants,
        },
    },
};

/// A few maps with one lock. A real store has tables, and a transaction for each method.
#[derive(Clone, Default)]
struct ToyOutbox {
    tables: Arc<Mutex<Tables>>,
    offset: ClockOffset,
}

#[derive(Default)]
struct Tables {
    endpoints: BTreeMap<EndpointId, Endpoint>,
    messages: BTreeMap<u64, Stored>,
    deliveries: BTreeMap<u64, Delivery>,
    event_types: BTreeMap<String, EventTypeDefinition>,
    /// The waiting deliveries, by the start of the minute or hour.
    samples: BTreeMap<(SampleStep, Millis), Backlog>,
    /// By tenant, endpoint, hour, kind of end and bucket of latency.
    stats: BTreeMap<(Arc<str>, EndpointId, u32, AttemptEnd, u8), u64>,
    last: u64,
}

struct Endpoint {
    record: EndpointRecord,
    health: Health,
    served_at: Millis,
}

struct Stored {
    message: Message,
    has_content: bool,
    addressed: Option<EndpointId>,
    created_at: Millis,
}

struct Delivery {
    message: u64,
    endpoint: EndpointId,
    state: DeliveryState,
    due_at: Millis,
    attempt: u32,
    resent_after: Option<u32>,
    epoch: i64,
    token: Option<LeaseToken>,
    created_at: Millis,
    attempts: Vec<AttemptRecord>,
}

impl ToyOutbox {
    /// Runs a whole method with the lock and one time.
    fn at_once<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tables, Millis) -> T,
    ) -> BoxFuture<'_, Result<T, StoreError>> {
        let now = from_time(SystemClock.now()).saturating_add(self.offset.as_millis());
        let done = work(&mut self.tables.lock().unwrap_or_else(PoisonError::into_inner), now);
        Box::pin(ready(Ok(done)))
    }

    /// Removes the content of a message without a call of the store, as damage would.
    fn drop_content(&self, id: &str) {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let of_id = |stored: &&mut Stored| stored.message.message_id().as_str() == id;
        tables.messages.values_mut().filter(of_id).for_each(|stored| stored.has_content = false);
    }
}

impl Endpoint {
    fn shown(&self) -> EndpointRecord {
        let mut record = self.record.clone();
        (record.failures, record.proven) = (self.health.failures, self.health.proven);
        record.failing_since = self.health.failing_since.map(to_time);
        record
    }
}

impl Delivery {
    fn is_due(&self, now: Millis) -> bool {
        matches!(self.state, DeliveryState::Pending | DeliveryState::Sending) && self.due_at <= now
    }

    fn is_leased(&self, now: Millis) -> bool {
        self.state == DeliveryState::Sending && self.due_at > now
    }

    fn becomes(&mut self, state: DeliveryState, due_at: Millis) {
        (self.state, self.due_at, self.token) = (state, due_at, None);
    }

    fn begins_again(&mut self, state: DeliveryState, due_at: Millis) {
        self.resent_after = Some(self.attempt);
        self.becomes(state, due_at);
    }
}

impl Tables {
    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn find(&self, tenant_of: &str, id: &str) -> Option<(u64, &Stored)> {
        let mut all = self.messages.iter().map(|(number, stored)| (*number, stored));
        all.find(|(_, stored)| tenant(&stored.message) == tenant_of && stored.message.message_id().as_str() == id)
    }

    fn kept(&self, message: &Message) -> Option<(u64, &Stored)> {
        self.find(tenant(message), message.message_id().as_str())
    }

    fn insert(&mut self, message: &Message, addressed: Option<EndpointId>, now: Millis) -> u64 {
        let number = self.number();
        let message = message.clone().at(message.timestamp().unwrap_or(to_time(now)));
        self.messages.insert(number, Stored { message, has_content: true, addressed, created_at: now });
        number
    }

    fn add(&mut self, message: u64, endpoint: EndpointId, state: DeliveryState, now: Millis) -> u64 {
        let (number, attempts) = (self.number(), Vec::new());
        let (attempt, resent_after, epoch, token) = (0, None, 0, None);
        let delivery = Delivery {
            message,
            endpoint,
            state,
            due_at: now,
            attempt,
            resent_after,
            epoch,
            token,
            created_at: now,
            attempts,
        };
        self.deliveries.insert(number, delivery);
        number
    }

    fn of_message(&self, message: u64) -> impl Iterator<Item = (u64, &Delivery)> {
        let all = self.deliveries.iter().map(|(number, delivery)| (*number, delivery));
        all.filter(move |(_, delivery)| delivery.message == message)
    }

    fn record(&self, number: u64) -> Option<DeliveryRecord> {
        let delivery = self.deliveries.get(&number)?;
        let message = &self.messages.get(&delivery.message)?.message;
        let (id, created_at) = (SentDeliveryId::from_u64(number), to_time(delivery.created_at));
        let mut record = DeliveryRecord::new(id, message, delivery.endpoint, created_at);
        (record.state, record.attempt) = (delivery.state, delivery.attempt);
        let is_pending = delivery.state == DeliveryState::Pending;
        record.due_at = if is_pending { shown_due(delivery.due_at, delivery.created_at) } else { None };
        Some(record)
    }

    fn key(&self, number: u64) -> Option<&str> {
        self.messages.get(&self.deliveries.get(&number)?.message)?.message.order_key_name()
    }

    /// Returns the deliveries of the same endpoint with the same order key that have not ended.
    fn of_key(&self, number: u64) -> impl Iterator<Item = (u64, &Delivery)> {
        let (endpoint, key) = (self.deliveries.get(&number).map(|one| one.endpoint), self.key(number));
        let all = self.deliveries.iter().map(|(number, delivery)| (*number, delivery));
        all.filter(move |(other, one)| {
            let is_of_key = key.is_some() && Some(one.endpoint) == endpoint && self.key(*other) == key;
            is_of_key && [DeliveryState::Pending, DeliveryState::Sending, DeliveryState::Held].contains(&one.state)
        })
    }

    /// Makes due what waited for a delivery that may have ended.
    fn release(&mut self, number: u64) {
        let first = self.of_key(number).next().filter(|(_, one)| one.due_at == PARKED_DUE).map(|(first, _)| first);
        if let Some(delivery) = first.and_then(|first| self.deliveries.get_mut(&first)) {
            delivery.due_at = delivery.created_at;
        }
    }

    /// Puts a delivery before all others of its endpoint.
    fn urge(&mut self, number: u64) {
        if let Some(delivery) = self.deliveries.get_mut(&number)
            && let Some(endpoint) = self.endpoints.get_mut(&delivery.endpoint)
        {
            (delivery.due_at, endpoint.health.urgent) = (URGENT_DUE, true);
        }
    }

    fn switch(&mut self, id: EndpointId, disabled: Option<DisabledReason>, now: Millis) -> bool {
        let Some(endpoint) = self.endpoints.get_mut(&id) else { return false };
        if disabled.is_none() {
            endpoint.health.enable();
        }
        // The first reason stays.
        endpoint.record.disabled = disabled.map(|reason| endpoint.record.disabled.unwrap_or(reason));
        let (to, health) = (waits_as(disabled), endpoint.health);
        for delivery in self.deliveries.values_mut().filter(|one| one.endpoint == id) {
            if moved_from(to).contains(&delivery.state) {
                delivery.becomes(to, health.due(to, now, delivery.created_at));
            }
        }
        true
    }

    fn dispatch(&mut self, messages: &[Message], now: Millis) -> Vec<Dispatched> {
        let batch = Batch::new(messages);
        let differs = |place| {
            let (message, wanted) = batch.message(place);
            self.kept(message).is_some_and(|(_, stored)| digest(&stored.message) != *wanted)
        };
        if let Some(answers) = batch.conflicts(differs) {
            return answers;
        }
        let mut became = BTreeMap::new();
        for place in batch.firsts() {
            became.insert(place, self.store(batch.message(place).0, now));
        }
        batch.answers(|place| became[&place])
    }

    fn store(&mut self, message: &Message, now: Millis) -> Dispatched {
        if let Some((number, _)) = self.kept(message) {
            return Dispatched::Known { deliveries: self.of_message(number).count() as u32 };
        }
        let number = self.insert(message, None, now);
        let records = self.endpoints.values().map(|endpoint| &endpoint.record);
        let wanted = records.filter(|record| {
            let patterns = record.settings.events.iter().map(String::as_str);
            let is_theirs = *record.tenant == *tenant(message) && record.disabled.is_none();
            let is_wanted = wants(patterns, message.event_type());
            is_theirs && is_wanted && labelled(&record.settings.labels, message.labels())
        });
        let wanted: Vec<_> = wanted.map(|record| record.id).collect();
        for endpoint in &wanted {
            self.add(number, *endpoint, DeliveryState::Pending, now);
        }
        Dispatched::Stored { deliveries: wanted.len() as u32 }
    }

    fn lease(&mut self, request: &LeaseRequest, now: Millis) -> Leases {
        let enabled = self.endpoints.values().filter(|endpoint| endpoint.record.disabled.is_none());
        let mut ids: Vec<_> = enabled.map(|endpoint| (endpoint.served_at, endpoint.record.id)).collect();
        ids.sort_unstable();
        let waiting: Vec<_> = ids.iter().filter_map(|(_, id)| self.gather(*id, now)).collect();
        let waiting = waiting.into_iter().filter(|waiting| {
            let room = waiting.health.room(waiting.in_flight, waiting.endpoint.settings.rate_limit, now);
            room > 0 && !waiting.due.is_empty()
        });
        let mut leased = Vec::new();
        for served in plan(request, waiting.collect(), now) {
            for due in &served.gone {
                if let Some(delivery) = self.deliveries.get_mut(&due.id.to_u64()) {
                    delivery.becomes(DeliveryState::Cancelled, now);
                }
            }
            for due in &served.parked {
                if let Some(delivery) = self.deliveries.get_mut(&due.id.to_u64()) {
                    delivery.becomes(DeliveryState::Pending, PARKED_DUE);
                }
            }
            served.gone.iter().for_each(|due| self.release(due.id.to_u64()));
            for due in &served.leased {
                let Some(delivery) = self.deliveries.get_mut(&due.id.to_u64()) else { continue };
                delivery.becomes(DeliveryState::Sending, lease_end(request.lease, now));
                (delivery.token, delivery.epoch) = (Some(request.token), served.health.epoch);
                delivery.attempt += 1;
                if let Some(stored) = self.messages.get(&delivery.message) {
                    leased.push(due.lease(stored.message.clone(), served.endpoint.clone(), now));
                }
            }
            if let Some(endpoint) = self.endpoints.get_mut(&served.endpoint.id) {
                (endpoint.health, endpoint.served_at) = (served.health, now);
            }
        }
        // This store does not know how long it takes until more is due: workers look once a second.
        Leases::new(leased, None)
    }

    fn gather(&mut self, id: EndpointId, now: Millis) -> Option<Waiting> {
        let endpoint = self.endpoints.get(&id)?;
        let mut waiting = Waiting::new(endpoint.shown(), endpoint.health);
        let mut due = Vec::new();
        for (number, delivery) in self.deliveries.iter_mut().filter(|(_, one)| one.endpoint == id) {
            waiting.in_flight += u32::from(delivery.is_leased(now));
            if !delivery.is_due(now) {
                continue;
            }
            if waiting.health.in_order && delivery.state == DeliveryState::Sending {
                // Its worker died. The delivery gets its place again.
                delivery.becomes(DeliveryState::Pending, delivery.created_at);
            }
            let stored = self.messages.get(&delivery.message);
            let mut one = Due::new(SentDeliveryId::from_u64(*number), delivery.created_at, delivery.due_at);
            (one.attempt, one.resent_after) = (delivery.attempt, delivery.resent_after);
            one.dispatched_at = stored.map(|stored| stored.created_at);
            one.has_content = stored.is_some_and(|stored| stored.has_content);
            due.push(one);
        }
        due.sort_unstable_by_key(|one| (one.due_at, one.id));
        due.truncate(MOST_PARKED as usize);
        for one in &mut due {
            let number = one.id.to_u64();
            let others: Vec<_> = self.of_key(number).collect();
            one.order_key = self.key(number).map(Into::into);
            one.is_behind = others.iter().any(|(other, _)| *other < number);
            one.is_beside = others.iter().any(|(other, delivery)| *other != number && delivery.is_leased(now));
        }
        if !due.iter().take(MOST_DUE as usize).any(|one| one.is_behind) {
            due.truncate(MOST_DUE as usize);
        }
        waiting.due = due;
        Some(waiting)
    }

    fn finish(&mut self, number: u64, token: LeaseToken, end: Finish, now: Millis) -> (Fenced, Option<DisabledReason>) {
        let held = |one: &&Delivery| one.state == DeliveryState::Sending && one.token == Some(token);
        let Some(delivery) = self.deliveries.get(&number).filter(held) else { return (Fenced::Stale, None) };
        let mut attempted = Attempted::new(delivery.attempt, delivery.epoch, delivery.created_at);
        attempted.resent_after = delivery.resent_after;
        let (id, message) = (delivery.endpoint, delivery.message);
        let receiver = match self.endpoints.get(&id) {
            None => Receiver::Deleted,
            Some(found) => Receiver::Readable { health: found.health, is_disabled: found.record.disabled.is_some() },
        };

        let finished = finish(&attempted, receiver, &end, now);

        if let (Some(endpoint), Some(health)) = (self.endpoints.get_mut(&id), finished.health) {
            endpoint.health = health;
        }
        if finished.disabled.is_some() {
            self.switch(id, finished.disabled, now);
            self.dispatch(end.notice.as_slice(), now);
        }
        if let (Some(counted), Some(stored)) = (counted(&end, now), self.messages.get(&message)) {
            let key = (tenant(&stored.message).into(), id, counted.hour, counted.end, counted.bucket);
            *self.stats.entry(key).or_default() += 1;
        }
        if let Some(delivery) = self.deliveries.get_mut(&number) {
            delivery.becomes(finished.state, finished.due_at);
            delivery.attempt = finished.attempt;
            if finished.is_noted {
                let mut noted = AttemptRecord::new(attempted.attempt, to_time(now), end);
                noted.manual = finished.manual;
                delivery.attempts.push(noted);
            }
        }
        self.release(number);
        (Fenced::Applied, finished.disabled)
    }

    fn recover(&mut self, id: EndpointId, recover: Recover, limit: usize, now: Millis) -> Recovered {
        let Some(record) = self.endpoints.get(&id).map(|endpoint| endpoint.record.clone()) else {
            return Recovered::new(0, None);
        };
        let until = recover.until.map_or(Millis::MAX, from_time);
        let after = recover.after.and_then(|number| Some((self.messages.get(&number)?.created_at, number)));
        let start = after.unwrap_or((from_time(recover.since), 0));
        let of_tenant = self.messages.iter().filter(|(_, stored)| *tenant(&stored.message) == *record.tenant);
        let places = of_tenant.map(|(number, stored)| (stored.created_at, *number));
        let mut page: Vec<_> = places.filter(|place| *place > start && place.0 < until).collect();
        page.sort_unstable();
        page.truncate(limit);
        let mut count = 0;
        for (_, message) in &page {
            let Some(stored) = self.messages.get(message) else { continue };
            let made = self.of_message(*message).find(|(_, delivery)| delivery.endpoint == id);
            let mut looked = Looked::new(stored.message.event_type());
            looked.labels = Cow::Borrowed(stored.message.labels());
            (looked.addressed, looked.has_content) = (stored.addressed, stored.has_content);
            looked.made = made.map(|(_, delivery)| delivery.state);
            let (state, made) = (waits_as(record.disabled), made.map(|(number, _)| number));
            match (missed(&record, &looked), made.and_then(|number| self.deliveries.get_mut(&number))) {
                (Some(Missed::Ended), Some(delivery)) => delivery.begins_again(state, now),
                (Some(Missed::NeverMade), _) => drop(self.add(*message, id, state, now)),
                _ => continue,
            }
            count += 1;
        }
        if let Some(endpoint) = self.endpoints.get_mut(&id) {
            endpoint.health.pace.catching_up |= count > 0;
        }
        Recovered::new(count, page.last().map(|(_, number)| *number).filter(|_| page.len() >= limit))
    }

    fn rows(&self) -> usize {
        let attempts: usize = self.deliveries.values().map(|delivery| delivery.attempts.len()).sum();
        self.endpoints.len() + self.messages.len() + self.deliveries.len() + attempts
    }

    fn remove(&mut self, message: u64) {
        self.messages.remove(&message);
        self.deliveries.retain(|_, delivery| delivery.message != message);
    }

    fn purge(&mut self, retention: Retention, limit: usize, now: Millis) -> usize {
        let rows = before(now, retention.rows);
        self.stats.retain(|(_, _, at, ..), _| *at >= hour(rows));
        let content = before(now, retention.content.min(retention.rows));
        let mut changed = 0;
        for delivery in self.deliveries.values_mut() {
            let disabled = self.endpoints.get(&delivery.endpoint).map(|endpoint| endpoint.record.disabled);
            match delivery.state {
                // If a worker died and the endpoint was disabled or deleted meanwhile, no other worker leases the
                // delivery.
                DeliveryState::Sending if delivery.due_at < now && disabled != Some(None) => {
                    delivery.becomes(disabled.map_or(DeliveryState::Cancelled, waits_as), now);
                }
                DeliveryState::Held if delivery.due_at < rows => delivery.state = DeliveryState::Cancelled,
                _ => continue,
            }
            changed += 1;
        }
        let old = self.messages.iter().filter_map(|(number, stored)| {
            let mut usage = Usage::new(stored.created_at);
            for (_, delivery) in self.of_message(*number) {
                let states = [DeliveryState::Pending, DeliveryState::Sending, DeliveryState::Held];
                usage.is_awaited |= states.contains(&delivery.state);
                let last = delivery.attempts.iter().map(|attempt| from_time(attempt.ended_at)).max();
                usage.last_attempt = usage.last_attempt.max(last);
            }
            match aged(usage, if stored.has_content { content } else { rows }) {
                Aged::Old { used_at } => Some((*number, used_at)),
                Aged::Awaited | Aged::Later(_) => None,
            }
        });
        let old: Vec<_> = old.take(limit).collect();
        for (message, used_at) in &old {
            if *used_at < rows {
                self.remove(*message);
            } else if let Some(stored) = self.messages.get_mut(message) {
                stored.has_content = false;
                let of_it = self.deliveries.values_mut().filter(|delivery| delivery.message == *message);
                of_it.flat_map(|delivery| &mut delivery.attempts).for_each(|attempt| attempt.answer = Bytes::new());
            }
        }
        changed + old.len()
    }
}

/// Returns the message without its payload, as lists show it.
fn shown(number: u64, stored: &Stored) -> MessageRecord {
    let place = MessagePlace::new(stored.created_at.unsigned_abs(), number);
    let message = &stored.message;
    let happened_at = message.timestamp().unwrap_or(to_time(stored.created_at));
    let id = message.message_id().as_str();
    let mut record = MessageRecord::new(place, id, message.event_type(), tenant(message), happened_at);
    record.version = message.api_version().map(str::to_owned);
    record.labels = message.labels().clone();
    record.order_key = message.order_key_name().map(str::to_owned);
    record
}

fn is_of(scope: &Scope, tenant: &Arc<str>, endpoint: EndpointId) -> bool {
    scope.tenant.as_ref().is_none_or(|wanted| wanted == tenant)
        && scope.endpoint.is_none_or(|wanted| wanted == endpoint)
}

impl OutboxEndpoints for ToyOutbox {
    fn create_endpoint(
        &self,
        draft: EndpointDraft,
        most: u32,
    ) -> BoxFuture<'_, Result<Option<EndpointRecord>, StoreError>> {
        self.at_once(|tables, now| {
            let others = tables.endpoints.values().filter(|other| other.record.tenant == draft.tenant);
            if others.count() >= most as usize {
                return None;
            }
            let record = EndpointRecord::new(draft, to_time(now));
            let mut health = Health::default();
            health.in_order = record.settings.in_order;
            tables.endpoints.insert(record.id, Endpoint { record: record.clone(), health, served_at: 0 });
            Some(record)
        })
    }

    fn endpoint(&self, id: EndpointId) -> BoxFuture<'_, Result<Option<EndpointRecord>, StoreError>> {
        self.at_once(|tables, _| tables.endpoints.get(&id).map(Endpoint::shown))
    }

    fn endpoints(
        &self,
        tenant: Option<Arc<str>>,
        after: Option<EndpointId>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<EndpointRecord>, StoreError>> {
        self.at_once(|tables, _| {
            let records = tables.endpoints.values().map(Endpoint::shown);
            let fit = records.filter(|record| tenant.as_ref().is_none_or(|tenant| record.tenant == *tenant));
            fit.filter(|record| after.is_none_or(|after| record.id > after)).take(limit as usize).collect()
        })
    }

    fn change_endpoint(
        &self,
        id: EndpointId,
        revision: u64,
        settings: EndpointSettings,
    ) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.at_once(|tables, _| match tables.endpoints.get_mut(&id) {
            Some(endpoint) if endpoint.record.revision == revision => {
                endpoint.health.changed(&endpoint.record.settings, &settings);
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
        self.at_once(|tables, now| tables.switch(id, disabled, now))
    }

    fn delete_endpoint(&self, id: EndpointId) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.at_once(|tables, now| {
            let to = DeliveryState::Cancelled;
            for delivery in tables.deliveries.values_mut().filter(|one| one.endpoint == id) {
                if moved_from(to).contains(&delivery.state) {
                    delivery.becomes(to, now);
                }
            }
            tables.endpoints.remove(&id).is_some()
        })
    }
}

impl OutboxQueue for ToyOutbox {
    fn dispatch(&self, messages: Vec<Message>) -> BoxFuture<'_, Result<Vec<Dispatched>, StoreError>> {
        self.at_once(|tables, now| tables.dispatch(&messages, now))
    }

    fn dispatch_to(
        &self,
        id: EndpointId,
        message: Message,
    ) -> BoxFuture<'_, Result<Option<SentDeliveryId>, StoreError>> {
        self.at_once(|tables, now| {
            let record = &tables.endpoints.get(&id)?.record;
            if record.disabled.is_some() || *record.tenant != *tenant(&message) {
                return None;
            }
            if let Some((number, stored)) = tables.kept(&message) {
                // The same id of another tenant is another message.
                let is_same = digest(&stored.message) == digest(&message);
                let made = tables.of_message(number).find(|(_, delivery)| is_same && delivery.endpoint == id);
                return made.map(|(number, _)| SentDeliveryId::from_u64(number));
            }
            let number = tables.insert(&message, Some(id), now);
            let number = tables.add(number, id, DeliveryState::Pending, now);
            tables.urge(number);
            Some(SentDeliveryId::from_u64(number))
        })
    }

    fn lease(&self, request: LeaseRequest) -> BoxFuture<'_, Result<Leases, StoreError>> {
        self.at_once(|tables, now| tables.lease(&request, now))
    }

    fn finish(
        &self,
        id: SentDeliveryId,
        token: LeaseToken,
        end: Finish,
    ) -> BoxFuture<'_, Result<(Fenced, Option<DisabledReason>), StoreError>> {
        self.at_once(|tables, now| tables.finish(id.to_u64(), token, end, now))
    }
}

impl OutboxLog for ToyOutbox {
    fn delivery(&self, id: SentDeliveryId) -> BoxFuture<'_, Result<Option<DeliveryRecord>, StoreError>> {
        self.at_once(|tables, _| tables.record(id.to_u64()))
    }

    fn deliveries(
        &self,
        tenant: Arc<str>,
        query: DeliveryQuery,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<DeliveryRecord>, StoreError>> {
        self.at_once(|tables, _| {
            let records = tables.deliveries.keys().rev().filter_map(|number| tables.record(*number));
            let fit = records.filter(|record| {
                record.tenant == tenant
                    && query.endpoint.is_none_or(|endpoint| endpoint == record.endpoint)
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
        self.at_once(|tables, _| {
            let records = tables.deliveries.keys().rev().filter_map(|number| tables.record(*number));
            let fit = records.filter(|record| {
                state.is_none_or(|state| state == record.state) && before.is_none_or(|before| record.id < before)
            });
            fit.take(limit as usize).collect()
        })
    }

    fn message(&self, tenant: Arc<str>, id: String) -> BoxFuture<'_, Result<Option<MessageRecord>, StoreError>> {
        self.at_once(|tables, _| {
            let (number, stored) = tables.find(&tenant, &id)?;
            let mut record = shown(number, stored);
            record.payload = stored.has_content.then(|| stored.message.payload().get().to_owned());
            Some(record)
        })
    }

    fn messages(
        &self,
        tenant_of: Arc<str>,
        query: MessageQuery,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<MessageRecord>, StoreError>> {
        self.at_once(|tables, _| {
            let of_tenant = tables.messages.iter().filter(|(_, stored)| tenant(&stored.message) == &*tenant_of);
            let records = of_tenant.map(|(number, stored)| shown(*number, stored));
            let mut records: Vec<_> =
                records.filter(|record| query.before.is_none_or(|before| record.place < before)).collect();
            records.sort_by_key(|record| std::cmp::Reverse(record.place));
            records.truncate(limit as usize);
            records
        })
    }

    fn attempts(&self, id: SentDeliveryId) -> BoxFuture<'_, Result<Vec<AttemptRecord>, StoreError>> {
        self.at_once(|tables, _| {
            let delivery = tables.deliveries.get(&id.to_u64());
            delivery.map(|delivery| delivery.attempts.clone()).unwrap_or_default()
        })
    }

    fn resend(&self, id: SentDeliveryId) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.at_once(|tables, now| {
            let Some(delivery) = tables.deliveries.get_mut(&id.to_u64()) else { return false };
            let Some(endpoint) = tables.endpoints.get(&delivery.endpoint) else { return false };
            let has_content = tables.messages.get(&delivery.message).is_some_and(|stored| stored.has_content);
            if delivery.is_leased(now) || !has_content {
                return false;
            }
            let state = waits_as(endpoint.record.disabled);
            delivery.begins_again(state, now);
            if state == DeliveryState::Pending {
                tables.urge(id.to_u64());
            }
            true
        })
    }

    fn cancel(&self, id: SentDeliveryId) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.at_once(|tables, now| {
            let Some(delivery) = tables.deliveries.get_mut(&id.to_u64()) else { return false };
            let waits = matches!(delivery.state, DeliveryState::Pending | DeliveryState::Held)
                || (delivery.state == DeliveryState::Sending && !delivery.is_leased(now));
            if waits {
                delivery.becomes(DeliveryState::Cancelled, now);
                tables.release(id.to_u64());
            }
            waits
        })
    }

    fn recover(&self, id: EndpointId, recover: Recover, limit: u32) -> BoxFuture<'_, Result<Recovered, StoreError>> {
        self.at_once(|tables, now| tables.recover(id, recover, limit as usize, now))
    }

    fn erase(&self, tenant_of: Arc<str>, _limit: u32) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.at_once(|tables, _| {
            let rows = tables.rows();
            tables.stats.retain(|(of, ..), _| *of != tenant_of);
            tables.endpoints.retain(|_, endpoint| endpoint.record.tenant != tenant_of);
            let of_tenant = tables.messages.iter().filter(|(_, stored)| tenant(&stored.message) == &*tenant_of);
            for message in of_tenant.map(|(number, _)| *number).collect::<Vec<_>>() {
                tables.remove(message);
            }
            rows.abs_diff(tables.rows()) as u64
        })
    }

    fn purge(&self, retention: Retention, limit: u32) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.at_once(|tables, now| tables.purge(retention, limit as usize, now) as u64)
    }

    fn stats(&self, scope: Scope, since: u32, until: u32) -> BoxFuture<'_, Result<Vec<StatsCell>, StoreError>> {
        self.at_once(|tables, _| {
            let mut cells = BTreeMap::<_, u64>::new();
            for ((tenant, endpoint, hour, end, bucket), count) in &tables.stats {
                if is_of(&scope, tenant, *endpoint) && (since..until).contains(hour) {
                    *cells.entry((*hour, *end, *bucket)).or_default() += count;
                }
            }
            cells.into_iter().map(|((hour, end, bucket), count)| StatsCell::new(hour, end, bucket, count)).collect()
        })
    }

    fn backlog(&self, scope: Scope) -> BoxFuture<'_, Result<Backlog, StoreError>> {
        self.at_once(|tables, now| {
            let (mut waiting, mut ready, mut unserved) = (0, None, None);
            for (id, endpoint) in tables.endpoints.iter().filter(|(id, one)| is_of(&scope, &one.record.tenant, **id)) {
                let states = [DeliveryState::Pending, DeliveryState::Sending];
                let of_it = tables.deliveries.values().filter(|one| one.endpoint == *id && states.contains(&one.state));
                waiting += of_it.clone().count() as u64;
                let due = of_it.map(|one| one.due_at).filter(|due_at| *due_at > URGENT_DUE).min();
                let (Some(due), None) = (due, endpoint.record.disabled) else { continue };
                let since = due.max(endpoint.health.ready_at(endpoint.record.settings.rate_limit));
                let earlier = |best: Option<Millis>, at: Millis| Some(best.map_or(at, |best| best.min(at)));
                (ready, unserved) = (earlier(ready, since), earlier(unserved, since.max(endpoint.served_at)));
            }
            backlog(waiting, ready, unserved, now)
        })
    }

    // In two steps, since `backlog` takes the lock. Two that sample at once note the same twice, which keeps the most.
    fn sample_backlog(&self) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(async move {
            let minute = |now| (SampleStep::Minute, SampleStep::Minute.start_of(now));
            if self.at_once(move |tables, now| tables.samples.contains_key(&minute(now))).await? {
                return Ok(false);
            }
            let found = self.backlog(Scope::all()).await?;
            self.at_once(move |tables, now| {
                for step in SampleStep::ALL {
                    let most = tables.samples.entry((step, step.start_of(now))).or_default();
                    most.waiting = most.waiting.max(found.waiting);
                    most.oldest_due = most.oldest_due.max(found.oldest_due);
                    most.unserved = most.unserved.max(found.unserved);
                }
                tables.samples.retain(|(step, start), _| *start >= step.kept_since(now));
                true
            })
            .await
        })
    }

    fn backlog_samples(
        &self,
        step: SampleStep,
        since: SystemTime,
        until: SystemTime,
    ) -> BoxFuture<'_, Result<Vec<BacklogSample>, StoreError>> {
        self.at_once(move |tables, _| {
            let asked = tables
                .samples
                .iter()
                .filter(|((of, start), _)| *of == step && *start >= from_time(since) && *start < from_time(until));
            asked.map(|((_, start), found)| BacklogSample::new(to_time(*start), *found)).collect()
        })
    }
}

impl OutboxCatalogue for ToyOutbox {
    fn put_event_types(&self, event_types: Vec<EventTypeDefinition>) -> BoxFuture<'_, Result<(), StoreError>> {
        self.at_once(|tables, _| {
            tables.event_types.extend(event_types.into_iter().map(|one| (one.name().to_owned(), one)));
        })
    }

    fn event_types(&self) -> BoxFuture<'_, Result<Vec<EventTypeDefinition>, StoreError>> {
        self.at_once(|tables, _| tables.event_types.values().cloned().collect())
    }

    fn remove_event_type(&self, name: String) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.at_once(|tables, _| tables.event_types.remove(&name).is_some())
    }
}

#[tokio::main]
async fn main() {
    let store = ToyOutbox::default();
    let advance = |by: Duration| -> BoxFuture<'static, ()> {
        store.offset.advance(by);
        Box::pin(ready(()))
    };

    // Checks every rule of the contract, also with races, and panics with the number of a broken rule.
    conformance::outbox(store.clone(), advance).await;
    conformance::emptied_outbox(store.clone(), advance, async |id: String| store.drop_content(&id)).await;

    println!("The store keeps the contract of `OutboxStore`.");
}
