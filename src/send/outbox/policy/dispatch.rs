use std::collections::HashMap;

use super::digest::{digest, tenant};
use crate::send::{message::message::Message, outbox::store::message::Dispatched};

/// Messages that are dispatched together: which of them are the same, and what their dispatcher is told.
///
/// A store looks up what it keeps under the tenant and id of each of [`firsts`](Self::firsts). If one of them is another message
/// there, [`conflicts`](Self::conflicts) has the answers and nothing is stored. Otherwise the store stores what is new, and
/// [`answers`](Self::answers) has them.
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
    /// Of each message the first one under its tenant and id, mostly itself.
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
    /// When there are no so many messages.
    pub fn message(&self, place: usize) -> (&'m Message, &[u8; 32]) {
        (&self.messages[place], &self.digests[place])
    }

    /// Returns the answers if one of the messages is in conflict, with another one of them or with what is kept: `is_other` says of
    /// one of [`firsts`](Self::firsts) whether the store keeps another message under its id. Then nothing is stored.
    pub fn conflicts(&self, is_other: impl Fn(usize) -> bool) -> Option<Vec<Dispatched>> {
        let answer =
            |(place, first): (usize, &usize)| match self.digests[place] != self.digests[*first] || is_other(*first) {
                true => Dispatched::Conflict,
                false => Dispatched::Known { deliveries: 0 },
            };
        let answers: Vec<_> = self.first.iter().enumerate().map(answer).collect();
        answers.contains(&Dispatched::Conflict).then_some(answers)
    }

    /// Returns the answers where nothing is in conflict: `became` says what became of one of [`firsts`](Self::firsts).
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
        // The first one is another than what is kept, and the second one another than the first.
        let messages = [one("y"), one("x"), two];
        let answers = Batch::new(&messages).conflicts(|place| place == 0).unwrap();
        assert_eq!(answers, [Dispatched::Conflict, Dispatched::Conflict, known]);
    }
}
