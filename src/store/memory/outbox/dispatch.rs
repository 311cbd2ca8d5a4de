use super::tables::Tables;
use crate::{
    clock::Millis,
    send::{
        DeliveryState, Dispatched, EndpointId, Message, SentDeliveryId,
        policy::{Batch, digest, labelled, tenant, wants},
    },
};

impl Tables {
    pub(super) fn dispatch(&mut self, messages: &[Message], now: Millis) -> Vec<Dispatched> {
        let batch = Batch::new(messages);
        let conflicts = batch.conflicts(|place| {
            let (message, digest) = batch.message(place);
            self.kept(message).is_some_and(|(_, kept)| kept != *digest)
        });
        if let Some(answers) = conflicts {
            return answers;
        }
        let mut became = vec![Dispatched::Known { deliveries: 0 }; messages.len()];
        for place in batch.firsts() {
            became[place] = self.store(batch.message(place).0, now);
        }
        batch.answers(|place| became[place])
    }

    /// Returns the number and the digest of the stored message with this tenant and id.
    fn kept(&self, message: &Message) -> Option<(u64, [u8; 32])> {
        let found = self.find(tenant(message), message.message_id().as_str());
        found.map(|(number, stored)| (number, stored.digest))
    }

    fn store(&mut self, message: &Message, now: Millis) -> Dispatched {
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        if let Some((number, _)) = self.kept(message) {
            return Dispatched::Known { deliveries: count(self.of_message(number).count()) };
        }
        let number = self.insert(message, None, now);
        let records = self.endpoints.values().map(|endpoint| &endpoint.record);
        let wanted = records.filter(|record| {
            *record.tenant == *tenant(message)
                && record.disabled.is_none()
                && wants(record.settings.events.iter().map(String::as_str), message.event_type())
                && labelled(&record.settings.labels, message.labels())
        });
        let wanted: Vec<_> = wanted.map(|record| record.id).collect();
        for endpoint in &wanted {
            self.add(number, *endpoint, DeliveryState::Pending, now);
        }
        Dispatched::Stored { deliveries: count(wanted.len()) }
    }

    pub(super) fn dispatch_to(&mut self, id: EndpointId, message: &Message, now: Millis) -> Option<SentDeliveryId> {
        let record = &self.endpoints.get(&id)?.record;
        if record.disabled.is_some() || *record.tenant != *tenant(message) {
            return None;
        }
        let number = match self.kept(message) {
            // A message that was dispatched to other endpoints is another message.
            Some((number, kept)) if kept == digest(message) => self.made(number, id)?.0,
            Some(_) => return None,
            None => {
                let number = self.insert(message, Some(id), now);
                let number = self.add(number, id, DeliveryState::Pending, now);
                self.urge(number);
                number
            }
        };
        Some(SentDeliveryId::from_u64(number))
    }
}
