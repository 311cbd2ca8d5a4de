use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::connect::Connection;
use crate::{clock, send::EndpointUrl};

/// Connections between two requests. One is used again only where this attempt's own look-up and check have led to the very
/// address that it goes to.
#[derive(Default)]
pub(super) struct Idle(Mutex<HashMap<Key, Vec<Waiting>>>);

/// What a connection is good for.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    https: bool,
    /// The name that its certificate was checked for.
    host: String,
    address: SocketAddr,
}

struct Waiting {
    connection: Connection,
    /// By the monotonic clock.
    since: Duration,
}

impl Key {
    pub(super) fn new(url: &EndpointUrl, address: SocketAddr) -> Self {
        Self { https: url.is_https(), host: url.host().to_string(), address }
    }
}

impl Idle {
    /// Takes a connection that fits one of the keys and is still good.
    pub(super) fn take(&self, mut keys: impl Iterator<Item = Key>) -> Option<(Key, Connection)> {
        let now = clock::monotonic();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.is_empty() {
            return None;
        }
        keys.find_map(|key| {
            let connections = all.get_mut(&key)?;
            let found = std::iter::from_fn(|| connections.pop()).find(|waiting| waiting.is_good(now));
            if connections.is_empty() {
                all.remove(&key);
            }
            Some((key, found?.connection))
        })
    }

    /// Keeps a connection, if there is room for it.
    pub(super) fn put(&self, key: Key, connection: Connection) {
        let now = clock::monotonic();
        let waiting = Waiting { connection, since: now };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST_KEYS {
            all.retain(|_, connections| {
                connections.retain(|waiting| waiting.is_good(now));
                !connections.is_empty()
            });
        }
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

/// Servers close an idle connection after some time, mostly more than this. One that closes while a request is on its way
/// costs an attempt.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
const MOST_KEYS: usize = 256;
/// As many as an endpoint has attempts in flight.
const MOST_EACH: usize = 4;
