use std::{iter::repeat_n, sync::Arc, time::Duration};

use super::tables::{Delivery, Endpoint, Tables};
use crate::{
    clock::Millis,
    send::{
        DeliveryState, EndpointId, LeaseRequest, LeasedDelivery, Leases, SentDeliveryId,
        policy::{Due, MOST_DUE, MOST_PARKED, PARKED_DUE, Served, Shares, Waiting, lease_end, serve},
    },
};

impl Tables {
    pub(super) fn lease(&mut self, request: &LeaseRequest, now: Millis) -> Leases {
        self.advance(now);
        let (proven, unproven) = self.ready_counts();
        let mut shares = Shares::new(request, repeat_n(true, proven).chain(repeat_n(false, unproven)));
        let mut all = Vec::new();
        for endpoint in self.ready() {
            if shares.is_used_up() {
                break;
            }
            let (proven, tenant) = (endpoint.health.proven, &*endpoint.record.tenant);
            let share = shares.next(proven, tenant);
            if share == 0 {
                continue;
            }
            let Some(served) = serve(self.waiting_of(endpoint, now), share, request.lease, now) else { continue };
            shares.took(u32::try_from(served.leased.len()).unwrap_or(u32::MAX), proven, tenant);
            all.push(served);
        }
        let has_served = !all.is_empty();
        let leased: Vec<_> = all.into_iter().flat_map(|served| self.write(request, served, now)).collect();
        let next_due = match (leased.is_empty(), has_served) {
            (true, false) => self.next_due(now),
            // More deliveries may be due after those that were cancelled or parked.
            (true, true) => Some(now),
            (false, _) => None,
        };
        let until = |at: Millis| Duration::from_millis(u64::try_from(at.saturating_sub(now)).unwrap_or_default());
        Leases::new(leased, next_due.map(until))
    }

    /// Gathers what waits for an endpoint.
    fn waiting_of(&self, endpoint: &Endpoint, now: Millis) -> Waiting {
        let id = endpoint.record.id;
        let mut waiting = Waiting::new(endpoint.record.clone(), endpoint.health);
        waiting.in_flight = self.in_flight(id, now);
        let as_due = |number: u64, delivery: &Delivery, due_at: Millis| {
            let stored = self.messages.get(&delivery.message);
            let mut due = Due::new(SentDeliveryId::from_u64(number), delivery.created_at, due_at);
            due.attempt = delivery.attempt;
            due.dispatched_at = stored.map(|stored| stored.created_at);
            due.has_content = stored.is_some_and(|stored| stored.message.is_some());
            due.resent_after = delivery.resent_after;
            due.order_key.clone_from(&delivery.order_key);
            (due.is_behind, due.is_beside) = self.turn(number, delivery, now);
            due
        };
        if endpoint.health.in_order {
            // Deliveries whose worker died return to their places, in `write`.
            let pending = self.due(id, now).filter(|(_, one)| one.state == DeliveryState::Pending);
            let pending = pending.map(|(number, one)| (number, one, one.due_at)).take(MOST_PARKED as usize);
            let died = self.died(id, now).filter(|(_, one)| one.created_at <= now);
            let mut due: Vec<_> = pending.chain(died.map(|(number, one)| (number, one, one.created_at))).collect();
            due.sort_unstable_by_key(|(number, _, due_at)| (*due_at, *number));
            let due = |most: u32| due.iter().take(most as usize).map(|(number, one, at)| as_due(*number, one, *at));
            let is_behind = due(MOST_DUE).any(|due| due.is_behind);
            waiting.due = due(if is_behind { MOST_PARKED } else { MOST_DUE }).collect();
        } else {
            let due =
                |most: u32| self.due(id, now).take(most as usize).map(|(number, one)| as_due(number, one, one.due_at));
            let is_behind = due(MOST_DUE).any(|due| due.is_behind);
            waiting.due = due(if is_behind { MOST_PARKED } else { MOST_DUE }).collect();
        }
        waiting
    }

    /// Returns deliveries whose worker died to their places.
    fn take_back(&mut self, id: EndpointId, now: Millis) {
        for number in self.died(id, now).map(|(number, _)| number).collect::<Vec<_>>() {
            self.change(number, |delivery| {
                (delivery.state, delivery.due_at, delivery.token) = (DeliveryState::Pending, delivery.created_at, None);
            });
        }
    }

    fn write(&mut self, request: &LeaseRequest, served: Served, now: Millis) -> Vec<LeasedDelivery> {
        let Served { endpoint, health, leased, gone, parked, .. } = served;
        if health.in_order {
            self.take_back(endpoint.id, now);
        }
        for due in &parked {
            self.change(due.id.to_u64(), |delivery| {
                (delivery.state, delivery.due_at, delivery.token) = (DeliveryState::Pending, PARKED_DUE, None);
            });
        }
        for due in &gone {
            self.change(due.id.to_u64(), |delivery| {
                (delivery.state, delivery.due_at, delivery.token) = (DeliveryState::Cancelled, now, None);
            });
        }
        let lease_end = lease_end(request.lease, now);
        let taken = leased.iter().filter_map(|due| {
            let number = due.id.to_u64();
            self.change(number, |delivery| {
                (delivery.state, delivery.due_at) = (DeliveryState::Sending, lease_end);
                (delivery.token, delivery.epoch) = (Some(request.token), health.epoch);
                delivery.attempt = delivery.attempt.saturating_add(1);
            });
            let stored = self.messages.get(&self.delivery(number)?.message)?;
            Some(due.lease(stored.message.clone()?, Arc::clone(&endpoint), now))
        });
        let taken = taken.collect();
        self.change_endpoint(endpoint.id, |endpoint| (endpoint.health, endpoint.served_at) = (health, now));
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::Tables;
    use crate::{
        clock::monotonic,
        send::{
            DeliveryState, EndpointDraft, EndpointId, EndpointRecord, EndpointSettings, LeaseRequest, LeaseToken,
            Message, Sealed, Style,
        },
    };

    fn tables(in_order: bool) -> (Tables, EndpointId) {
        let mut tables = Tables::default();
        let sealed = Sealed::new("", &b""[..]);
        let mut settings =
            EndpointSettings::new("https://example.com/", vec!["*".into()], Style::StandardWebhooks, sealed);
        settings.in_order = in_order;
        let draft = EndpointDraft::new(EndpointId::random().unwrap(), "", settings);
        let id = draft.id;
        tables.add_endpoint(EndpointRecord::new(draft, SystemTime::UNIX_EPOCH));
        (tables, id)
    }

    fn lease(tables: &mut Tables, now: i64) -> Vec<String> {
        let request = LeaseRequest::new(LeaseToken::random().unwrap(), Duration::from_secs(60), 10);
        let leased = tables.lease(&request, now).deliveries;
        leased.iter().map(|leased| leased.message.event_type().to_owned()).collect()
    }

    /// Its rows can always be read; they can only lose their content.
    #[test]
    fn what_has_lost_its_content_is_cancelled_and_in_nobodys_way() {
        for in_order in [false, true] {
            let (mut tables, _) = tables(in_order);
            tables.dispatch(&[Message::new("a", "x").unwrap(), Message::new("b", "y").unwrap()], 1000);
            tables.messages.values_mut().find(|stored| stored.event_type == "a").unwrap().message = None;

            assert_eq!(lease(&mut tables, 2000), ["b"]);

            let gone = tables.deliveries().find(|(_, delivery)| delivery.state == DeliveryState::Cancelled).unwrap().1;
            assert_eq!((gone.attempt, gone.due_at, gone.token), (0, 2000, None));
        }
    }

    /// A worker asks again whenever one of its many jobs has ended.
    #[test]
    fn endpoints_of_which_much_is_due_are_not_read_for_a_lease_of_one() {
        let (mut tables, _) = tables(false);
        for _ in 1..5_000 {
            let sealed = Sealed::new("", &b""[..]);
            let settings =
                EndpointSettings::new("https://example.com/", vec!["*".into()], Style::StandardWebhooks, sealed);
            let draft = EndpointDraft::new(EndpointId::random().unwrap(), "", settings);
            tables.add_endpoint(EndpointRecord::new(draft, SystemTime::UNIX_EPOCH));
        }
        tables.dispatch(&[Message::new("a", "x").unwrap(), Message::new("b", "x").unwrap()], 1000);
        let began = monotonic();
        for look in 0..10_000 {
            let request = LeaseRequest::new(LeaseToken::random().unwrap(), Duration::from_secs(60), 1);
            assert_eq!(tables.lease(&request, 2000 + look / 100).deliveries.len(), 1);
        }
        // With a look at all of them each time it would take a minute or more.
        let took = monotonic().saturating_sub(began);
        assert!(took < Duration::from_secs(10), "{took:?}");
    }

    /// The cost of a lease depends on what it leases, and not on what only waits, is held, or has ended.
    #[test]
    fn what_only_waits_is_not_read() {
        let (mut tables, id) = tables(false);
        for _ in 0..20_000 {
            tables.dispatch(&[Message::new("a", "x").unwrap()], 1_000_000);
        }
        let began = monotonic();
        for look in 0..20_000 {
            assert!(lease(&mut tables, look).is_empty());
        }
        // Each look at all of them would take a minute or more.
        let took = monotonic().saturating_sub(began);
        assert!(took < Duration::from_secs(10), "{took:?}");
        assert_eq!(tables.next_due(20_000), Some(1_000_000));
        assert_eq!(lease(&mut tables, 1_000_000).len(), 4);
        assert_eq!(tables.in_flight(id, 1_000_000), 4);
    }
}
