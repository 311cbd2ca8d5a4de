use std::{collections::HashMap, fmt, hash::Hash, time::Duration};

use tokio::time::Instant;

use crate::mutex::Mutex;

/// A bounded map whose entries expire. If an entry is missing, nothing goes wrong; it only takes longer.
pub(super) struct Recent<K, V> {
    capacity: usize,
    entries: Mutex<HashMap<K, (Instant, V)>>,
}

impl<K: Copy + Eq + Hash, V: Clone> Recent<K, V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, entries: Mutex::default() }
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        if self.capacity == 0 {
            return None;
        }
        let entries = self.entries.lock();
        let (until, value) = entries.get(key)?;
        (Instant::now() < *until).then(|| value.clone())
    }

    /// Adds an entry for the time `keep`, and removes others if there is no room.
    pub(super) fn insert(&self, key: K, value: V, keep: Duration) {
        if self.capacity == 0 {
            return;
        }
        let now = Instant::now();
        let mut entries = self.entries.lock();
        if entries.len() >= self.capacity {
            entries.retain(|_, (until, _)| now < *until);
        }
        if entries.len() >= self.capacity {
            // Keys are hashes, and the order of the map is random, so any eighth of it can be removed.
            let some: Vec<K> = entries.keys().take(self.capacity.div_ceil(8)).copied().collect();
            some.iter().for_each(|key| {
                entries.remove(key);
            });
        }
        entries.insert(key, (now + keep, value));
    }
}

impl<K, V> fmt::Debug for Recent<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recent").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Recent;

    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test(start_paused = true)]
    async fn an_entry_ends() {
        let recent = Recent::new(10);
        recent.insert(1, "one", HOUR);

        assert_eq!(recent.get(&1), Some("one"));
        tokio::time::advance(HOUR).await;
        assert_eq!(recent.get(&1), None);
    }

    #[tokio::test]
    async fn the_bound_holds_and_the_newest_is_there() {
        let recent = Recent::new(10);
        for number in 0..1000 {
            recent.insert(number, (), HOUR);
            assert!(recent.entries.lock().len() <= 10);
            assert!(recent.get(&number).is_some());
        }
    }

    #[tokio::test]
    async fn nothing_is_kept_without_room() {
        let recent = Recent::new(0);
        recent.insert(1, (), HOUR);

        assert_eq!(recent.get(&1), None);
    }
}
