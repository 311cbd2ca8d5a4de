use std::{collections::HashMap, net::SocketAddr, time::Duration};

use super::connection::Connection;
use crate::{
    clock,
    mutex::Mutex,
    net::{destination::EndpointUrl, identity::IdentityId},
};

/// Connections that wait for their next request. One is used again only if the look-up and the check of this attempt led to the
/// same address.
#[derive(Default)]
pub(crate) struct Idle(Mutex<HashMap<Key, Vec<Waiting>>>);

/// Which requests a connection can be used for.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    https: bool,
    /// The name that its certificate was checked for.
    host: String,
    address: SocketAddr,
    /// The client certificate that the receiver has seen on the connection. Requests of an endpoint with another one
    /// must not be sent on it.
    identity: Option<IdentityId>,
}

struct Waiting {
    connection: Connection,
    /// By the monotonic clock.
    since: Duration,
}

impl Key {
    pub(crate) fn new(url: &EndpointUrl, address: SocketAddr, identity: Option<IdentityId>) -> Self {
        Self { https: url.is_https(), host: url.host().to_string(), address, identity }
    }
}

impl Idle {
    /// Takes a connection that fits one of the keys and can still be used.
    pub(crate) fn take(&self, keys: impl Iterator<Item = Key>) -> Option<(Key, Connection)> {
        self.take_at(keys, clock::monotonic())
    }

    /// Keeps a connection, if there is room, and closes those that have waited for too long. Otherwise a receiver that never closes
    /// would keep them open, and somebody with many endpoints could take all the room.
    pub(crate) fn put(&self, key: Key, connection: Connection) {
        self.put_at(key, connection, clock::monotonic());
    }

    fn take_at(&self, mut keys: impl Iterator<Item = Key>, now: Duration) -> Option<(Key, Connection)> {
        let mut all = self.0.lock();
        if all.is_empty() {
            return None;
        }
        keys.find_map(|key| {
            let connections = all.get_mut(&key)?;
            // The last one first: it has waited for the shortest time, so its server is least likely to be closing it.
            let found = std::iter::from_fn(|| connections.pop()).find(|waiting| waiting.is_good(now));
            if connections.is_empty() {
                all.remove(&key);
            }
            Some((key, found?.connection))
        })
    }

    fn put_at(&self, key: Key, connection: Connection, now: Duration) {
        let waiting = Waiting { connection, since: now };
        let mut all = self.0.lock();
        all.retain(|_, connections| {
            connections.retain(|waiting| waiting.is_good(now));
            !connections.is_empty()
        });
        if all.len() < MOST_KEYS || all.contains_key(&key) {
            let connections = all.entry(key).or_default();
            if connections.len() < MOST_EACH {
                connections.push(waiting);
            }
        }
    }
}

impl Waiting {
    fn is_good(&self, now: Duration) -> bool {
        now.saturating_sub(self.since) < LONGEST_WAIT && !self.connection.sender.is_closed()
    }
}

/// Servers close an idle connection after some time, usually later than this. One that closes during a request costs an
/// attempt.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
const MOST_KEYS: usize = 256;
/// As many as an endpoint has attempts in flight.
const MOST_EACH: usize = 4;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, DuplexStream, duplex};

    use super::{Idle, Key, LONGEST_WAIT, MOST_EACH, MOST_KEYS};
    use crate::{
        net::connection::Connection,
        net::{destination::EndpointUrl, stream::Budget},
    };

    fn key(name: usize) -> Key {
        let url = EndpointUrl::parse(&format!("https://{name}.example/")).unwrap();
        Key::new(&url, ([192, 0, 2, 1], 443).into(), None)
    }

    async fn connection() -> (Connection, DuplexStream) {
        let (ours, theirs) = duplex(1024);
        (Connection::start(Box::new(ours), Budget::default()).await.unwrap(), theirs)
    }

    #[tokio::test]
    async fn who_has_waited_for_too_long_is_closed_when_another_comes() {
        let idle = Idle::default();
        let (first, mut other_end) = connection().await;
        idle.put_at(key(1), first, Duration::ZERO);
        let (second, _second) = connection().await;

        idle.put_at(key(2), second, LONGEST_WAIT);

        assert_eq!(other_end.read(&mut [0]).await.unwrap(), 0, "the end of the connection");
        assert!(idle.take_at([key(1)].into_iter(), LONGEST_WAIT).is_none());
        assert!(idle.take_at([key(2)].into_iter(), LONGEST_WAIT).is_some());
    }

    #[tokio::test]
    async fn there_is_room_for_so_many_and_no_more() {
        let idle = Idle::default();
        let mut others = Vec::new();
        for (name, count) in [(0, MOST_EACH + 1)].into_iter().chain((1..=MOST_KEYS).map(|name| (name, 1))) {
            for _ in 0..count {
                let (connection, other) = connection().await;
                idle.put_at(key(name), connection, Duration::ZERO);
                others.push(other);
            }
        }

        let kept = |name| std::iter::from_fn(|| idle.take_at([key(name)].into_iter(), Duration::ZERO)).count();
        assert_eq!((kept(0), kept(1), kept(MOST_KEYS - 1), kept(MOST_KEYS)), (MOST_EACH, 1, 1, 0));
    }
}
