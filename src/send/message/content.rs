use std::{
    collections::HashMap,
    ops::Deref,
    sync::{Arc, Weak},
    time::SystemTime,
};

use bytes::Bytes;

use crate::{
    boxed::BoxError,
    mutex::Mutex,
    send::message::{
        message::{ContentKey, Message},
        style::Style,
    },
};

/// The messages that are in flight. A store reads the message of a fan-out again for each lease, and each attempt needs its
/// body. This makes all attempts share one copy.
#[derive(Default)]
pub(crate) struct Contents(Mutex<Known>);

#[derive(Default)]
struct Known {
    by_key: HashMap<ContentKey, Weak<Content>>,
    /// The number of entries at which those that nobody holds any longer are removed.
    room: usize,
}

/// A message that is in flight, with what is sent of it: one body for each envelope and each API version that is needed.
pub(crate) struct Content {
    message: Message,
    bodies: Mutex<Vec<(Style, Bytes)>>,
    /// This lock is held while the application's code converts, so waiting for it must not block a thread.
    versions: tokio::sync::Mutex<Vec<(String, Arc<Self>)>>,
}

impl Contents {
    /// Returns the content that is in flight for this message, or adds the message.
    pub(crate) fn of(&self, message: Message) -> Arc<Content> {
        let key = message.content_key();
        let mut known = self.0.lock();
        // A message that was forgotten may have a successor of the same id with another payload.
        if let Some(content) = known.by_key.get(&key).and_then(Weak::upgrade)
            && content.message.has_content_of(&message)
        {
            return content;
        }
        if known.by_key.len() >= known.room {
            known.by_key.retain(|_, content| content.strong_count() > 0);
            known.room = (2 * known.by_key.len()).max(LEAST_ROOM);
        }
        let content = Arc::new(Content::new(message));
        known.by_key.insert(key, Arc::downgrade(&content));
        content
    }
}

impl Content {
    fn new(message: Message) -> Self {
        Self { message, bodies: Mutex::default(), versions: tokio::sync::Mutex::default() }
    }

    /// Returns the content in an API version. It is converted once for all attempts in flight. Where `convert` changes nothing it
    /// is the same content.
    pub(crate) async fn in_version(
        self: &Arc<Self>,
        version: &str,
        convert: impl FnOnce(&Message) -> Result<Option<Message>, BoxError>,
    ) -> Result<Arc<Self>, BoxError> {
        // Others that need it at the same time wait here, since they would do the same work.
        let mut versions = self.versions.lock().await;
        if let Some((_, content)) = versions.iter().find(|(known, _)| known == version) {
            return Ok(content.clone());
        }
        let Some(message) = convert(&self.message)? else { return Ok(self.clone()) };
        let content = Arc::new(Self::new(message));
        versions.push((version.to_owned(), content.clone()));
        Ok(content)
    }

    /// Returns the body in a style. A message of an outbox has its own timestamp, so `now` does not change its body.
    pub(crate) fn body(&self, style: Style, now: SystemTime) -> Bytes {
        let mut bodies = self.bodies.lock();
        let envelope = style.envelope();
        if let Some((_, body)) = bodies.iter().find(|(known, _)| *known == envelope) {
            return body.clone();
        }
        let body = self.message.body(style, now);
        bodies.push((envelope, body.clone()));
        body
    }
}

impl Deref for Content {
    type Target = Message;

    fn deref(&self) -> &Message {
        &self.message
    }
}

const LEAST_ROOM: usize = 64;

#[cfg(test)]
mod tests {
    use std::{
        sync::Arc,
        time::{Duration, SystemTime},
    };

    use super::{Contents, LEAST_ROOM};
    use crate::send::message::{message::Message, style::Style};

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    /// As a store reads it: again each time.
    fn read(id: &str, payload: &str) -> Message {
        Message::new("a", payload).unwrap().id(id.parse().unwrap()).at(NOW)
    }

    #[test]
    fn the_same_message_is_held_once_and_written_once_for_each_style() {
        let contents = Contents::default();

        let (first, second) = (contents.of(read("m", "x")), contents.of(read("m", "x")));

        assert!(Arc::ptr_eq(&first, &second));
        for style in [Style::StandardWebhooks, Style::XWebhook] {
            let body = first.body(style, NOW);
            assert_eq!(body, read("m", "x").body(style, NOW));
            assert_eq!(second.body(style, NOW + Duration::from_secs(1)).as_ptr(), body.as_ptr());
        }
    }

    #[tokio::test]
    async fn a_version_is_made_once_and_again_after_a_failure() {
        let content = Contents::default().of(read("m", "x"));
        let other = || Ok(Some(read("m", "y").version("1")));

        assert!(content.in_version("1", |_| Err("a mistake".into())).await.is_err());
        let first = content.in_version("1", |_| other()).await.unwrap();
        let second = content.in_version("1", |_| panic!("it is there")).await.unwrap();
        let same = content.in_version("2", |_| Ok(None)).await.unwrap();

        assert!(Arc::ptr_eq(&first, &second) && Arc::ptr_eq(&same, &content));
        assert_eq!(first.payload().get(), "\"y\"");
    }

    #[test]
    fn another_message_is_another_content() {
        let contents = Contents::default();
        let first = contents.of(read("m", "x"));

        let others = [
            read("n", "x"),
            read("m", "y"),
            read("m", "x").at(NOW + Duration::from_secs(1)),
            read("m", "x").tenant("acme"),
            read("m", "x").version("2026-01"),
            Message::new("b", "x").unwrap().id("m".parse().unwrap()).at(NOW),
        ];

        for other in others {
            assert!(!Arc::ptr_eq(&first, &contents.of(other.clone())), "{other:?}");
        }
    }

    #[test]
    fn what_is_no_longer_in_flight_is_forgotten() {
        let contents = Contents::default();

        for number in 0..100 * LEAST_ROOM {
            drop(contents.of(read(&number.to_string(), "x")));
        }

        assert!(contents.0.lock().by_key.len() <= LEAST_ROOM);
    }
}
