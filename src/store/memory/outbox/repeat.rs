//! Sends deliveries again: by `resend`, and by `recover`.

use std::borrow::Cow;

use super::tables::Tables;
use crate::{
    clock::{Millis, from_time},
    send::{
        DeliveryState, EndpointId, Recover, Recovered,
        policy::{Looked, Missed, missed, waits_as},
    },
};

impl Tables {
    pub(super) fn resend(&mut self, number: u64, now: Millis) -> bool {
        let Some(delivery) = self.delivery(number) else { return false };
        let Some(endpoint) = self.endpoints.get(&delivery.endpoint) else { return false };
        let has_content = self.messages.get(&delivery.message).is_some_and(|stored| stored.message.is_some());
        if delivery.is_leased(now) || !has_content {
            return false;
        }
        let state = waits_as(endpoint.record.disabled);
        self.again(number, state, now);
        if state == DeliveryState::Pending {
            self.urge(number);
        }
        true
    }

    fn again(&mut self, number: u64, state: DeliveryState, now: Millis) {
        self.change(number, |delivery| {
            delivery.state = state;
            delivery.resent_after = Some(delivery.attempt);
            (delivery.due_at, delivery.token) = (now, None);
        });
    }

    pub(super) fn recover(&mut self, id: EndpointId, recover: Recover, limit: usize, now: Millis) -> Recovered {
        let Some(endpoint) = self.endpoints.get(&id) else { return Recovered::new(0, None) };
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

        let state = waits_as(record.disabled);
        let mut deliveries = 0;
        for (_, message) in &page {
            let Some(stored) = self.messages.get(message) else { continue };
            let made = self.made(*message, id);
            let mut looked = Looked::new(&stored.event_type);
            looked.labels = Cow::Borrowed(&stored.labels);
            looked.addressed = stored.addressed;
            looked.has_content = stored.message.is_some();
            looked.made = made.map(|(_, delivery)| delivery.state);
            let made = made.map(|(number, _)| number);
            match (missed(&record, &looked), made) {
                (Some(Missed::Ended), Some(number)) => self.again(number, state, now),
                (Some(Missed::NeverMade), _) => drop(self.add(*message, id, state, now)),
                _ => continue,
            }
            deliveries += 1;
        }
        if deliveries > 0 {
            self.change_endpoint(id, |endpoint| endpoint.health.pace.catching_up = true);
        }
        Recovered::new(deliveries, page.last().map(|(_, number)| *number).filter(|_| page.len() >= limit))
    }
}
