use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use crate::{
    clock::{Millis, from_time, to_time},
    send::{
        AttemptEnd, AttemptRecord, Backlog, DeliveryRecord, DeliveryState, DisabledReason, EndpointId, EndpointRecord,
        EventTypeDefinition, LeaseToken, Message, MessagePlace, MessageRecord, SampleStep, SentDeliveryId,
        policy::{Health, PARKED_DUE, URGENT_DUE, digest, moved_from, shown_due, tenant, waits_as},
    },
};

/// The tables. Only the methods below add, change and remove deliveries, since they also keep the indexes.
#[derive(Default)]
pub(super) struct Tables {
    pub(super) endpoints: BTreeMap<EndpointId, Endpoint>,
    pub(super) messages: BTreeMap<u64, Stored>,
    pub(super) attempts: BTreeMap<u64, Vec<AttemptRecord>>,
    pub(super) event_types: BTreeMap<String, EventTypeDefinition>,
    pub(super) stats: BTreeMap<Counted, u64>,
    /// By step and start.
    pub(super) samples: BTreeMap<(SampleStep, Millis), Backlog>,
    deliveries: BTreeMap<u64, Delivery>,
    by_id: HashMap<(String, String), u64>,
    /// The deliveries of each message, by their endpoints.
    by_message: BTreeMap<u64, BTreeMap<EndpointId, u64>>,
    /// Pending and sending deliveries, by due time.
    waiting: BTreeSet<(EndpointId, Millis, u64)>,
    /// Sending deliveries, by the end of their leases.
    sending: BTreeSet<(EndpointId, Millis, u64)>,
    lease_ends: BTreeSet<(Millis, u64)>,
    /// Deliveries with an order key that have not ended, by number.
    keys: BTreeSet<(EndpointId, Arc<str>, u64)>,
    /// Those of them that are being sent.
    sending_keys: BTreeSet<(EndpointId, Arc<str>, u64)>,
    /// From when on something of an enabled endpoint may be leased.
    looks: BTreeSet<(Millis, EndpointId)>,
    /// The endpoints of which something may be leased at `clock` and that have room for it, by when they were served last, and how
    /// many of them are proven and are not.
    ready: BTreeSet<(Millis, EndpointId)>,
    proven: usize,
    unproven: usize,
    /// What the two above have of each endpoint.
    entries: HashMap<EndpointId, Entry>,
    /// The time of the last lease.
    clock: Millis,
    last: u64,
}

/// The key of a count: tenant, hour, endpoint, outcome of the attempt, and bucket of latency.
pub(super) type Counted = (Arc<str>, u32, EndpointId, AttemptEnd, u8);

pub(super) struct Endpoint {
    pub(super) record: EndpointRecord,
    pub(super) health: Health,
    pub(super) served_at: Millis,
}

/// What the indexes have of an endpoint.
#[derive(Clone, Copy)]
struct Entry {
    look_at: Millis,
    /// When it was served last and whether it is proven, if it is ready.
    ready: Option<(Millis, bool)>,
}

pub(super) struct Stored {
    pub(super) tenant: String,
    pub(super) id: String,
    pub(super) event_type: String,
    /// It has a timestamp. `None` if its content was purged.
    pub(super) message: Option<Message>,
    pub(super) digest: [u8; 32],
    /// The only endpoint that it is for, if it is.
    pub(super) addressed: Option<EndpointId>,
    version: Option<String>,
    pub(super) labels: BTreeMap<String, String>,
    order_key: Option<Arc<str>>,
    happened_at: Millis,
    pub(super) created_at: Millis,
}

#[derive(Clone)]
pub(super) struct Delivery {
    pub(super) message: u64,
    pub(super) endpoint: EndpointId,
    pub(super) state: DeliveryState,
    /// Pending: when it is due. Sending: when its lease ends. Held: since when it is.
    pub(super) due_at: Millis,
    pub(super) attempt: u32,
    /// How many attempts were begun before it was last resent or recovered.
    pub(super) resent_after: Option<u32>,
    /// The epoch of its endpoint when it was leased.
    pub(super) epoch: i64,
    pub(super) token: Option<LeaseToken>,
    pub(super) created_at: Millis,
    pub(super) order_key: Option<Arc<str>>,
}

impl Endpoint {
    /// Copies the endpoint's health into its record.
    fn show(&mut self) {
        self.record.failures = self.health.failures;
        self.record.failing_since = self.health.failing_since.map(to_time);
        self.record.proven = self.health.proven;
    }
}

impl Stored {
    /// Returns the message as it is shown, without its payload.
    pub(super) fn record(&self, number: u64) -> MessageRecord {
        let place = MessagePlace::new(u64::try_from(self.created_at).unwrap_or_default(), number);
        let mut record =
            MessageRecord::new(place, &*self.id, &*self.event_type, &*self.tenant, to_time(self.happened_at));
        record.version.clone_from(&self.version);
        record.labels.clone_from(&self.labels);
        record.order_key = self.order_key.as_deref().map(str::to_owned);
        record
    }
}

impl Delivery {
    fn new(message: u64, endpoint: EndpointId, state: DeliveryState, order_key: Option<Arc<str>>, now: Millis) -> Self {
        Self {
            message,
            endpoint,
            state,
            due_at: now,
            attempt: 0,
            resent_after: None,
            epoch: 0,
            token: None,
            created_at: now,
            order_key,
        }
    }

    /// Returns `true` if a worker holds it with a lease that has not passed.
    pub(super) fn is_leased(&self, now: Millis) -> bool {
        self.state == DeliveryState::Sending && self.due_at > now
    }

    /// Returns `true` if it has not ended.
    pub(super) fn is_awaited(&self) -> bool {
        matches!(self.state, DeliveryState::Pending | DeliveryState::Sending | DeliveryState::Held)
    }
}

impl Tables {
    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    // Messages.

    pub(super) fn find(&self, tenant: &str, id: &str) -> Option<(u64, &Stored)> {
        let number = *self.by_id.get(&(tenant.to_owned(), id.to_owned()))?;
        Some((number, self.messages.get(&number)?))
    }

    pub(super) fn insert(&mut self, message: &Message, addressed: Option<EndpointId>, now: Millis) -> u64 {
        let number = self.number();
        let stored = Stored {
            tenant: tenant(message).to_owned(),
            id: message.message_id().to_string(),
            event_type: message.event_type().to_owned(),
            message: Some(message.clone().at(message.timestamp().unwrap_or(to_time(now)))),
            digest: digest(message),
            addressed,
            version: message.api_version().map(str::to_owned),
            labels: message.labels().clone(),
            order_key: message.order_key_name().map(Into::into),
            happened_at: message.timestamp().map_or(now, from_time),
            created_at: now,
        };
        self.by_id.insert((stored.tenant.clone(), stored.id.clone()), number);
        self.messages.insert(number, stored);
        number
    }

    /// Removes a message, its deliveries and their attempts.
    pub(super) fn remove(&mut self, message: u64) {
        if let Some(stored) = self.messages.remove(&message) {
            self.by_id.remove(&(stored.tenant, stored.id));
        }
        let of_it: Vec<_> = self.of_message(message).map(|(number, delivery)| (number, delivery.endpoint)).collect();
        for (number, endpoint) in of_it {
            self.unindex(number);
            self.deliveries.remove(&number);
            self.attempts.remove(&number);
            self.refresh(endpoint);
        }
        self.by_message.remove(&message);
    }

    // Deliveries.

    pub(super) fn add(&mut self, message: u64, endpoint: EndpointId, state: DeliveryState, now: Millis) -> u64 {
        let number = self.number();
        let order_key = self.messages.get(&message).and_then(|stored| stored.order_key.clone());
        self.deliveries.insert(number, Delivery::new(message, endpoint, state, order_key, now));
        self.by_message.entry(message).or_default().insert(endpoint, number);
        self.index(number);
        self.refresh(endpoint);
        number
    }

    pub(super) fn delivery(&self, number: u64) -> Option<&Delivery> {
        self.deliveries.get(&number)
    }

    pub(super) fn deliveries(&self) -> impl DoubleEndedIterator<Item = (u64, &Delivery)> {
        self.deliveries.iter().map(|(number, delivery)| (*number, delivery))
    }

    /// Returns the due times of an endpoint's waiting deliveries, the earliest first.
    pub(super) fn due_times(&self, endpoint: EndpointId) -> impl Iterator<Item = Millis> {
        let of_it = self.waiting.range((endpoint, Millis::MIN, 0)..=(endpoint, Millis::MAX, u64::MAX));
        of_it.map(|(_, due_at, _)| *due_at)
    }

    pub(super) fn of_message(&self, message: u64) -> impl Iterator<Item = (u64, &Delivery)> {
        let numbers = self.by_message.get(&message).into_iter().flat_map(BTreeMap::values);
        numbers.filter_map(|number| Some((*number, self.deliveries.get(number)?)))
    }

    /// Returns an endpoint's delivery of a message.
    pub(super) fn made(&self, message: u64, endpoint: EndpointId) -> Option<(u64, &Delivery)> {
        let number = *self.by_message.get(&message)?.get(&endpoint)?;
        Some((number, self.deliveries.get(&number)?))
    }

    /// Changes a delivery, if it exists.
    pub(super) fn change(&mut self, number: u64, change: impl FnOnce(&mut Delivery)) {
        self.unindex(number);
        let Some(delivery) = self.deliveries.get_mut(&number) else { return };
        let was_awaited = delivery.is_awaited();
        change(delivery);
        let endpoint = delivery.endpoint;
        let ended = if was_awaited && !delivery.is_awaited() { delivery.order_key.clone() } else { None };
        self.index(number);
        self.refresh(endpoint);
        if let Some(key) = ended {
            self.release(endpoint, &key);
        }
    }

    /// Makes the first delivery with an order key due again, if it waited for another one.
    fn release(&mut self, endpoint: EndpointId, key: &Arc<str>) {
        let first = self.keys.range((endpoint, key.clone(), 0)..=(endpoint, key.clone(), u64::MAX)).next();
        let Some(number) = first.map(|(.., number)| *number) else { return };
        let is_parked = |one: &&Delivery| one.state == DeliveryState::Pending && one.due_at == PARKED_DUE;
        if self.delivery(number).filter(is_parked).is_some() {
            self.change(number, |delivery| delivery.due_at = delivery.created_at);
        }
    }

    /// Returns whether an earlier delivery with the same order key has not ended, and whether another one with this key
    /// is being sent.
    pub(super) fn turn(&self, number: u64, delivery: &Delivery, now: Millis) -> (bool, bool) {
        let Some(key) = &delivery.order_key else { return (false, false) };
        let all = (delivery.endpoint, key.clone(), 0)..=(delivery.endpoint, key.clone(), u64::MAX);
        let first = self.keys.range(all.clone()).next();
        let mut sending = self.sending_keys.range(all).filter(|(.., other)| *other != number);
        let is_leased = |other: u64| self.delivery(other).is_some_and(|other| other.is_leased(now));
        (first.is_some_and(|(.., first)| *first < number), sending.any(|(.., other)| is_leased(*other)))
    }

    /// Changes the state of those of an endpoint's deliveries that are in one of some states.
    pub(super) fn change_all(&mut self, endpoint: EndpointId, from: &[DeliveryState], change: impl Fn(&mut Delivery)) {
        let of_it = self.deliveries().filter(|(_, one)| one.endpoint == endpoint && from.contains(&one.state));
        for number in of_it.map(|(number, _)| number).collect::<Vec<_>>() {
            self.change(number, &change);
        }
    }

    /// Puts a delivery before everything else of its endpoint.
    pub(super) fn urge(&mut self, number: u64) {
        self.change(number, |delivery| delivery.due_at = URGENT_DUE);
        if let Some(endpoint) = self.delivery(number).map(|delivery| delivery.endpoint) {
            self.change_endpoint(endpoint, |endpoint| endpoint.health.urgent = true);
        }
    }

    pub(super) fn record(&self, number: u64) -> Option<DeliveryRecord> {
        let delivery = self.deliveries.get(&number)?;
        let stored = self.messages.get(&delivery.message)?;
        Some(DeliveryRecord {
            id: SentDeliveryId::from_u64(number),
            message: stored.id.clone(),
            event_type: stored.event_type.clone(),
            tenant: stored.tenant.as_str().into(),
            endpoint: delivery.endpoint,
            state: delivery.state,
            attempt: delivery.attempt,
            created_at: to_time(delivery.created_at),
            due_at: match delivery.state {
                DeliveryState::Pending => shown_due(delivery.due_at, delivery.created_at),
                _ => None,
            },
        })
    }

    pub(super) fn rows(&self) -> u64 {
        let attempts: usize = self.attempts.values().map(Vec::len).sum();
        (self.endpoints.len() + self.messages.len() + self.deliveries.len() + attempts + self.stats.len()) as u64
    }

    // Endpoints.

    pub(super) fn add_endpoint(&mut self, record: EndpointRecord) {
        let (id, in_order) = (record.id, record.settings.in_order);
        let health = Health { in_order, ..Health::default() };
        self.endpoints.insert(id, Endpoint { record, health, served_at: 0 });
        self.refresh(id);
    }

    pub(super) fn remove_endpoint(&mut self, id: EndpointId) -> bool {
        let was_there = self.endpoints.remove(&id).is_some();
        self.refresh(id);
        was_there
    }

    /// Changes an endpoint, if it exists.
    pub(super) fn change_endpoint(&mut self, id: EndpointId, change: impl FnOnce(&mut Endpoint)) {
        if let Some(endpoint) = self.endpoints.get_mut(&id) {
            change(endpoint);
            endpoint.show();
            self.refresh(id);
        }
    }

    pub(super) fn switch(&mut self, id: EndpointId, disabled: Option<DisabledReason>, now: Millis) -> bool {
        self.change_endpoint(id, |endpoint| {
            if disabled.is_none() {
                endpoint.health.enable();
            }
            // An endpoint that is disabled already keeps its reason.
            endpoint.record.disabled = disabled.map(|reason| endpoint.record.disabled.unwrap_or(reason));
        });
        let Some(health) = self.endpoints.get(&id).map(|endpoint| endpoint.health) else { return false };
        let to = waits_as(disabled);
        self.change_all(id, moved_from(to), |delivery| {
            delivery.state = to;
            delivery.due_at = health.due(to, now, delivery.created_at);
        });
        true
    }

    // The questions of a worker.

    /// Brings the index of what is ready to a time, at which leases end and endpoints may be leased of.
    pub(super) fn advance(&mut self, now: Millis) {
        let before = std::mem::replace(&mut self.clock, now);
        if now == before {
            return;
        }
        let changed: Vec<_> = if now < before {
            // The clock was set back.
            self.entries.keys().copied().collect()
        } else {
            let (since, (first, last)) = (before.saturating_add(1), EndpointId::RANGE);
            let looked_at = self.looks.range((since, first)..=(now, last)).map(|(_, id)| *id);
            let ended = self.lease_ends.range((since, 0)..=(now, u64::MAX));
            let ended = ended.filter_map(|(_, number)| Some(self.deliveries.get(number)?.endpoint));
            looked_at.chain(ended).collect()
        };
        for id in changed {
            self.refresh(id);
        }
    }

    /// Returns how many endpoints are ready that are proven, and how many that are not.
    pub(super) fn ready_counts(&self) -> (usize, usize) {
        (self.proven, self.unproven)
    }

    /// Returns the endpoints of which something may be leased at the time of [`advance`](Self::advance) and that have room for it,
    /// those that waited longest first.
    pub(super) fn ready(&self) -> impl Iterator<Item = &Endpoint> {
        self.ready.iter().filter_map(|(_, id)| self.endpoints.get(id))
    }

    pub(super) fn in_flight(&self, endpoint: EndpointId, now: Millis) -> u32 {
        let leased = self.sending.range((endpoint, now.saturating_add(1), 0)..=(endpoint, Millis::MAX, u64::MAX));
        u32::try_from(leased.count()).unwrap_or(u32::MAX)
    }

    /// Returns an endpoint's deliveries that are due, in the order in which they are leased.
    pub(super) fn due(&self, endpoint: EndpointId, now: Millis) -> impl Iterator<Item = (u64, &Delivery)> {
        let due = self.waiting.range((endpoint, Millis::MIN, 0)..=(endpoint, now, u64::MAX));
        due.filter_map(|(.., number)| Some((*number, self.deliveries.get(number)?)))
    }

    /// Returns an endpoint's deliveries whose lease has passed.
    pub(super) fn died(&self, endpoint: EndpointId, now: Millis) -> impl Iterator<Item = (u64, &Delivery)> {
        let died = self.sending.range((endpoint, Millis::MIN, 0)..=(endpoint, now, u64::MAX));
        died.filter_map(|(.., number)| Some((*number, self.deliveries.get(number)?)))
    }

    /// Returns what was leased in the order in which the leases end.
    pub(super) fn leased(&self) -> impl Iterator<Item = (Millis, u64)> {
        self.lease_ends.iter().copied()
    }

    /// Returns when something may be leased next that may not be leased now: it becomes due, or a lease ends.
    pub(super) fn next_due(&self, now: Millis) -> Option<Millis> {
        let later = now.saturating_add(1);
        let looked_at = self.looks.range((later, EndpointId::RANGE.0)..).next().map(|(at, _)| *at);
        let lease_ends = self.lease_ends.range((later, 0)..).next().map(|(at, _)| *at);
        looked_at.into_iter().chain(lease_ends).min()
    }

    // The indexes.

    fn index(&mut self, number: u64) {
        let Some(delivery) = self.deliveries.get(&number) else { return };
        let place = (delivery.endpoint, delivery.due_at, number);
        if matches!(delivery.state, DeliveryState::Pending | DeliveryState::Sending) {
            self.waiting.insert(place);
        }
        if let Some(key) = delivery.order_key.clone().filter(|_| delivery.is_awaited()) {
            let place = (delivery.endpoint, key, number);
            if delivery.state == DeliveryState::Sending {
                self.sending_keys.insert(place.clone());
            }
            self.keys.insert(place);
        }
        if delivery.state == DeliveryState::Sending {
            self.sending.insert(place);
            self.lease_ends.insert((delivery.due_at, number));
        }
    }

    fn unindex(&mut self, number: u64) {
        let Some(delivery) = self.deliveries.get(&number) else { return };
        let place = (delivery.endpoint, delivery.due_at, number);
        self.waiting.remove(&place);
        self.sending.remove(&place);
        self.lease_ends.remove(&(delivery.due_at, number));
        if let Some(key) = delivery.order_key.clone() {
            let place = (delivery.endpoint, key, number);
            self.keys.remove(&place);
            self.sending_keys.remove(&place);
        }
    }

    /// Updates when something of an endpoint may be leased, and whether it is ready.
    fn refresh(&mut self, id: EndpointId) {
        let entry = self.entry(id);
        let before = match entry {
            Some(entry) => self.entries.insert(id, entry),
            None => self.entries.remove(&id),
        };
        let look_at = |entry: Option<Entry>| entry.map(|entry| entry.look_at);
        if look_at(before) != look_at(entry) {
            look_at(before).map(|at| self.looks.remove(&(at, id)));
            look_at(entry).map(|at| self.looks.insert((at, id)));
        }
        let ready = |entry: Option<Entry>| entry.and_then(|entry| entry.ready);
        if ready(before) != ready(entry) {
            if let Some((served_at, proven)) = ready(before) {
                self.ready.remove(&(served_at, id));
                *(if proven { &mut self.proven } else { &mut self.unproven }) -= 1;
            }
            if let Some((served_at, proven)) = ready(entry) {
                self.ready.insert((served_at, id));
                *(if proven { &mut self.proven } else { &mut self.unproven }) += 1;
            }
        }
    }

    /// Returns what the indexes have to have of an endpoint: nothing where nothing of it waits.
    fn entry(&self, id: EndpointId) -> Option<Entry> {
        let endpoint = self.endpoints.get(&id).filter(|endpoint| endpoint.record.disabled.is_none())?;
        let due_at = self.due_times(id).next()?;
        let limit = endpoint.record.settings.rate_limit;
        let look_at = due_at.max(endpoint.health.ready_at(limit));
        let has_room = || endpoint.health.room(self.in_flight(id, self.clock), limit, self.clock) > 0;
        let is_ready = look_at <= self.clock && has_room();
        Some(Entry { look_at, ready: is_ready.then_some((endpoint.served_at, endpoint.health.proven)) })
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::Tables;
    use crate::send::{
        After, EndpointDraft, EndpointId, EndpointRecord, EndpointSettings, Finish, LeaseRequest, LeaseToken, Message,
        Sealed, Style,
    };

    /// What the index has is what a look at all endpoints finds, whatever happens, also if the clock is set back.
    #[test]
    fn the_index_of_what_is_ready_is_that_of_a_look_at_everything() {
        let mut random = 7_u64;
        let mut below = |most: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % most
        };
        let (mut tables, mut now, mut leased) = (Tables::default(), 1_000_000, Vec::new());
        for step in 0..4_000 {
            let some = tables.endpoints.keys().nth(below(8) as usize).copied();
            match (below(10), some) {
                (0, None) => {
                    let sealed = Sealed::new("", &b""[..]);
                    let mut settings = EndpointSettings::new(
                        "https://example.com/",
                        vec!["*".into()],
                        Style::StandardWebhooks,
                        sealed,
                    );
                    settings.in_order = below(4) == 0;
                    settings.rate_limit = (below(4) == 0).then(|| "3/s".parse().unwrap());
                    let draft = EndpointDraft::new(EndpointId::random().unwrap(), "", settings);
                    tables.add_endpoint(EndpointRecord::new(draft, SystemTime::UNIX_EPOCH));
                }
                (0, Some(id)) if below(20) == 0 => _ = tables.remove_endpoint(id),
                (1, Some(id)) => {
                    let disabled = (below(3) == 0).then_some(crate::send::DisabledReason::Asked);
                    _ = tables.switch(id, disabled, now);
                }
                (2, _) => drop(tables.dispatch(&[Message::new("a", &step).unwrap()], now)),
                (3..=5, _) => {
                    let token = LeaseToken::random().unwrap();
                    let request = LeaseRequest::new(token, Duration::from_secs(1 + below(60)), below(9) as u32);
                    let leases = tables.lease(&request, now).deliveries;
                    leased.extend(leases.iter().map(|one| (one.id.to_u64(), token)));
                }
                (6..=7, _) if !leased.is_empty() => {
                    let (number, token) = leased.swap_remove(below(leased.len() as u64) as usize);
                    let retry = After::Retry { wait: Duration::from_secs(below(30)) };
                    let after = if below(3) == 0 { retry } else { After::Delivered };
                    let _ = tables.finish(number, token, Finish::new(after), now);
                }
                (8, _) => now += below(20_000) as i64,
                (9, _) if below(10) == 0 => now -= below(20_000) as i64,
                _ => {}
            }

            tables.advance(now);
            let found: Vec<_> = tables.ready().map(|one| (one.served_at, one.record.id)).collect();
            let all = tables.endpoints.values().filter(|one| {
                let due_at = tables.due_times(one.record.id).next();
                let in_flight = tables.in_flight(one.record.id, now);
                one.record.disabled.is_none()
                    && due_at.is_some_and(|due_at| due_at <= now)
                    && one.health.room(in_flight, one.record.settings.rate_limit, now) > 0
            });
            let proven = all.clone().filter(|one| one.health.proven).count();
            let mut all: Vec<_> = all.map(|one| (one.served_at, one.record.id)).collect();
            all.sort_unstable();
            assert_eq!(found, all, "step {step}");
            assert_eq!(tables.ready_counts(), (proven, all.len() - proven), "step {step}");
        }
    }
}
