use std::collections::HashMap;

use super::digest::{digest, tenant};
use crate::send::{message::message::Message, outbox::store::message::Dispatched};

/// Messages that are dispatched together. It finds those that are the same, and the answer for each.
///
/// A store looks up the message that it keeps under the tenant and id of each of [`firsts`](Self::firsts). If it keeps
/// another message under one of them, [`conflicts`](Self::conflicts) returns the answers, and nothing is stored.
/// Otherwise the store stores the new messages, and [`answers`](Self::answers) returns the answers.
///
/// ```
/// use tower_webhooks::send::{Dispatched, Message, policy::Batch};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let one = Message::new("order.completed", &7)?;
/// let messages = [one.clone(), one.clone()];
/// let batch = Batch::new(&messages);
/// assert_eq!(batch.firsts().collect::<Vec<_>>(), [0]);
/// assert_eq!(batch.conflicts(|_| false), None);
/// let answers = batch.answers(|_| Dispatched::Stored { deliveries: 3 });
/// assert_eq!(answers, [Dispatched::Stored { deliveries: 3 }, Dispatched::Known { deliveries: 3 }]);
///
/// let messages = [one.clone(), one.version("2026-01")];
/// let answers = [Dispatched::Known { deliveries: 0 }, Dispatched::Conflict];
/// assert_eq!(Batch::new(&messages).conflicts(|_| false), Some(answers.into()));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Batch<'m> {
    messages: &'m [Message],
    digests: Vec<[u8; 32]>,
    /// For each message the place of the first one with its tenant and id, which is usually its own.
    first: Vec<usize>,
}

impl<'m> Batch<'m> {
    /// Compares messages with each other.
    pub fn new(messages: &'m [Message]) -> Self {
        let mut known = HashMap::new();
        let place_of = |(place, message): (usize, &'m Message)| {
            *known.entry((tenant(message), message.message_id())).or_insert(place)
        };
        let first = messages.iter().enumerate().map(place_of).collect();
        Self { messages, digests: messages.iter().map(digest).collect(), first }
    }

    /// Returns the places of the messages that are to be looked up or stored: the first one under each tenant and id.
    pub fn firsts(&self) -> impl Iterator<Item = usize> + '_ {
        self.first.iter().enumerate().filter(|(place, first)| place == *first).map(|(place, _)| place)
    }

    /// Returns the message at a place and its [`digest`], by which it is compared with what is kept.
    ///
    /// # Panics
    /// If there is no message at this place.
    pub fn message(&self, place: usize) -> (&'m Message, &[u8; 32]) {
        (&self.messages[place], &self.digests[place])
    }

    /// Returns the answers if a message is in conflict with another one of them or with one that the store keeps; then
    /// nothing is stored. `is_other` returns `true` for a place of [`firsts`](Self::firsts) if the store keeps another
    /// message under the id of the message there.
    pub fn conflicts(&self, is_other: impl Fn(usize) -> bool) -> Option<Vec<Dispatched>> {
        let answer =
            |(place, first): (usize, &usize)| match self.digests[place] != self.digests[*first] || is_other(*first) {
                true => Dispatched::Conflict,
                false => Dispatched::Known { deliveries: 0 },
            };
        let answers: Vec<_> = self.first.iter().enumerate().map(answer).collect();
        answers.contains(&Dispatched::Conflict).then_some(answers)
    }

    /// Returns the answers if nothing is in conflict. `became` returns the result for a place of
    /// [`firsts`](Self::firsts).
    pub fn answers(&self, became: impl Fn(usize) -> Dispatched) -> Vec<Dispatched> {
        let answer = |(place, first): (usize, &usize)| match became(*first) {
            Dispatched::Stored { deliveries } if place != *first => Dispatched::Known { deliveries },
            answer => answer,
        };
        self.first.iter().enumerate().map(answer).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Batch;
    use crate::send::{Dispatched, Message};

    #[test]
    fn each_conflict_is_named_wherever_it_comes_from() {
        let one = |payload: &str| Message::new("a", payload).unwrap().id("1".parse().unwrap());
        let two = Message::new("a", "x").unwrap().id("2".parse().unwrap());
        let known = Dispatched::Known { deliveries: 0 };

        // Two that differ, and a third that is kept with another payload.
        let messages = [one("x"), one("y"), two.clone(), two.clone()];
        let answers = Batch::new(&messages).conflicts(|place| place == 2).unwrap();
        assert_eq!(answers, [known, Dispatched::Conflict, Dispatched::Conflict, Dispatched::Conflict]);
        // The first one differs from what is kept, and the second one from the first.
        let messages = [one("y"), one("x"), two];
        let answers = Batch::new(&messages).conflicts(|place| place == 0).unwrap();
        assert_eq!(answers, [Dispatched::Conflict, Dispatched::Conflict, known]);
    }
}
