//! Removes the data of a tenant, and old data.

use bytes::Bytes;

use super::tables::Tables;
use crate::{
    clock::{Millis, before, from_time},
    send::{
        DeliveryState, Retention,
        policy::{Aged, Usage, aged, hour, waits_as},
    },
};

impl Tables {
    pub(super) fn erase(&mut self, tenant: &str, limit: usize) -> u64 {
        let endpoints = self.endpoints.iter().filter(|(_, endpoint)| *endpoint.record.tenant == *tenant);
        let endpoints: Vec<_> = endpoints.map(|(id, _)| *id).take(limit).collect();
        let messages = self.messages.iter().filter(|(_, stored)| stored.tenant == *tenant);
        let messages: Vec<_> = messages.map(|(number, _)| *number).take(limit).collect();
        let before = self.rows();
        self.stats.retain(|(of, ..), _| **of != *tenant);
        for id in endpoints {
            self.remove_endpoint(id);
        }
        for message in messages {
            self.remove(message);
        }
        before.abs_diff(self.rows())
    }

    pub(super) fn purge(&mut self, retention: Retention, limit: usize, now: Millis) -> u64 {
        let rows = before(now, retention.rows);
        // The content is removed with the rows at the latest.
        let content = before(now, retention.content.min(retention.rows));
        let left = self.leave(limit, now);
        let held = self.deliveries().filter(|(_, one)| one.state == DeliveryState::Held && one.due_at < rows);
        let held: Vec<_> = held.map(|(number, _)| number).take(limit).collect();
        for number in &held {
            self.change(*number, |delivery| delivery.state = DeliveryState::Cancelled);
        }

        let old = self.messages.iter().filter_map(|(number, stored)| {
            let until = if stored.message.is_some() { content } else { rows };
            match aged(self.usage(*number, stored.created_at), until) {
                Aged::Old { used_at } => Some((*number, used_at)),
                Aged::Awaited | Aged::Later(_) => None,
            }
        });
        let old: Vec<_> = old.take(limit).collect();
        for (message, used_at) in &old {
            if *used_at < rows { self.remove(*message) } else { self.empty(*message) }
        }
        let counted = self.stats.len();
        self.stats.retain(|(_, at, ..), _| *at >= hour(rows));
        (left + held.len() + old.len() + counted - self.stats.len()) as u64
    }

    fn usage(&self, message: u64, created_at: Millis) -> Usage {
        let mut usage = Usage::new(created_at);
        usage.is_awaited = self.of_message(message).any(|(_, delivery)| delivery.is_awaited());
        let attempts = self.of_message(message).filter_map(|(number, _)| self.attempts.get(&number));
        usage.last_attempt = attempts.flatten().map(|attempt| from_time(attempt.ended_at)).max();
        usage
    }

    /// Drops the content of a message and the answers to it.
    fn empty(&mut self, message: u64) {
        if let Some(stored) = self.messages.get_mut(&message) {
            stored.message = None;
        }
        for number in self.of_message(message).map(|(number, _)| number).collect::<Vec<_>>() {
            self.attempts.entry(number).or_default().iter_mut().for_each(|attempt| attempt.answer = Bytes::new());
        }
    }

    /// Holds or cancels deliveries whose worker died. Nobody leases them again, since their endpoint was disabled or
    /// deleted in the meantime.
    fn leave(&mut self, limit: usize, now: Millis) -> usize {
        let died = self.leased().take_while(|(ends_at, _)| *ends_at < now);
        let left = died.filter_map(|(_, number)| {
            let endpoint = self.endpoints.get(&self.delivery(number)?.endpoint);
            match endpoint.map(|endpoint| endpoint.record.disabled) {
                Some(None) => None,
                Some(disabled) => Some((number, waits_as(disabled))),
                None => Some((number, DeliveryState::Cancelled)),
            }
        });
        let left: Vec<_> = left.take(limit).collect();
        for (number, state) in &left {
            self.change(*number, |delivery| {
                (delivery.state, delivery.due_at, delivery.token) = (*state, now, None);
            });
        }
        left.len()
    }
}
