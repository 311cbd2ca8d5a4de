use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::sync::watch;

use super::{client::TIMEOUT, fetched::Key};
use crate::{
    boxed::{BoxError, BoxFuture, SharedError},
    clock::Clock,
    mutex::Mutex,
};

/// Fetches the keys with a name. Returns `None` if there is certainly no key with this name.
pub(super) type Fetch = dyn Fn(String) -> BoxFuture<'static, Result<Option<Vec<Key>>, BoxError>> + Send + Sync;

/// Keeps fetched keys by name. The name of a set of keys and of a certificate is its URL, and that of a single key its
/// id.
pub(super) struct Cache {
    fetch: Box<Fetch>,
    clock: Arc<dyn Clock>,
    /// Whether a known key is forgotten at once when a fetch no longer finds it.
    forgets: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: HashMap<String, Entry>,
    /// The running fetches. Each has its own task, so that it continues if the client that has caused it disconnects.
    flights: HashMap<String, watch::Receiver<()>>,
    /// When the last fetches began.
    begun: VecDeque<SystemTime>,
}

/// The facts about one name.
#[derive(Default, Clone)]
struct Entry {
    kept: Option<(Arc<[Key]>, SystemTime)>,
    /// When a fetch last found no key.
    absent: Option<SystemTime>,
    failed: Option<(SharedError, SystemTime)>,
}

/// Which keys a request needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Known,
    /// The known keys did not match.
    Newer,
}

/// The result of a look into the cache.
enum Found {
    /// The keys to use; empty if the request names a key that does not exist.
    Keys(Vec<Key>),
    Error(BoxError),
    /// A fetch is running; the receiver is notified at its end.
    Wait(watch::Receiver<()>),
}

impl Cache {
    pub(super) fn new(fetch: Box<Fetch>, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { fetch, clock, forgets: true, state: Mutex::default() })
    }

    /// Creates a cache of keys that are never withdrawn: a known key stays known if a later fetch does not find it.
    pub(super) fn of_lasting_keys(fetch: Box<Fetch>, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { fetch, clock, forgets: false, state: Mutex::default() })
    }

    /// Returns the keys of a name, of several those with this id. Returns none if there is no such key.
    pub(super) async fn find(self: &Arc<Self>, name: &str, id: Option<&str>, need: Need) -> Result<Vec<Key>, BoxError> {
        // The second round only reads the result of the fetch for which the first round has waited, so that a request
        // waits for one fetch at most.
        for may_fetch in [true, false] {
            let found = self.look(name, id, need, may_fetch);
            match found {
                Found::Keys(keys) => return Ok(keys),
                Found::Error(error) => return Err(error),
                // An error means that the channel's sender was dropped, so the fetch has ended.
                Found::Wait(mut over) => _ = over.changed().await,
            }
        }
        Err("the key was not fetched".into())
    }

    fn look(self: &Arc<Self>, name: &str, id: Option<&str>, need: Need, may_fetch: bool) -> Found {
        let now = self.clock.now();
        let mut state = self.state.lock();
        let entry = state.entries.get(name).cloned().unwrap_or_default();
        let mut usable = Vec::new();
        if let Some((keys, since)) = &entry.kept {
            let is_meant = |key: &&Key| id.is_none_or(|id| key.id.as_deref() == Some(id)) && key.is_valid(now);
            let meant: Vec<Key> = keys.iter().filter(is_meant).cloned().collect();
            // Even if recent keys did not match, they are not fetched again: otherwise each forged signature would
            // cause a fetch.
            let is_recent = is_within(COOLDOWN, *since, now);
            let is_fresh = is_within(FRESH_FOR, *since, now) && !meant.is_empty() && need == Need::Known;
            if is_recent || is_fresh || !may_fetch && entry.failed.is_none() {
                return Found::Keys(meant);
            }
            if is_within(USABLE_FOR, *since, now) {
                usable = meant;
            }
        }
        if entry.absent.is_some_and(|since| is_within(COOLDOWN, since, now)) {
            return Found::Keys(Vec::new());
        }
        // Old keys are better than none, unless they were tried and did not match.
        let or_else = |error: BoxError, usable: Vec<Key>| {
            let was_tried = need == Need::Newer && id.is_none();
            if usable.is_empty() || was_tried { Found::Error(error) } else { Found::Keys(usable) }
        };
        if let Some((error, _)) = entry.failed.filter(|(_, since)| is_within(RETRY_AFTER, *since, now)) {
            return or_else(error.into(), usable);
        }
        if let Some(over) = state.flights.get(name) {
            let over = over.clone();
            return if usable.is_empty() || need == Need::Newer { Found::Wait(over) } else { Found::Keys(usable) };
        }
        if !may_fetch {
            return or_else("the key was not fetched".into(), usable);
        }
        state.begun.retain(|begun| is_within(COOLDOWN, *begun, now));
        // The limits apply to unknown names only, which forged requests can invent. A known name is always fetched
        // again.
        if entry.kept.is_none() {
            if state.begun.len() >= MOST_FETCHES || state.flights.len() >= MOST_AT_ONCE {
                return or_else("too many different keys were requested, possibly by forged requests".into(), usable);
            }
            state.begun.push_back(now);
        }
        let over = self.depart(&mut state, name);
        if usable.is_empty() || need == Need::Newer { Found::Wait(over) } else { Found::Keys(usable) }
    }

    /// Begins a fetch in its own task.
    fn depart(self: &Arc<Self>, state: &mut State, name: &str) -> watch::Receiver<()> {
        let (over, waits) = watch::channel(());
        state.flights.insert(name.to_owned(), waits.clone());
        let flight = Flight { cache: Arc::clone(self), name: name.to_owned(), result: None, _over: over };
        tokio::spawn(async move {
            let fetched = (flight.cache.fetch)(flight.name.clone());
            flight.end(match tokio::time::timeout(TIMEOUT, fetched).await {
                Ok(result) => result,
                Err(_) => Err(format!("the key was not fetched within {TIMEOUT:?}").into()),
            });
        });
        waits
    }

    /// Stores the result of a fetch.
    fn land(&self, name: &str, result: Result<Option<Vec<Key>>, BoxError>) {
        let now = self.clock.now();
        let mut state = self.state.lock();
        state.flights.remove(name);
        make_room(&mut state.entries, name);
        let entry = state.entries.entry(name.to_owned()).or_default();
        entry.failed = None;
        let has_keys = entry.kept.as_ref().is_some_and(|(keys, _)| !keys.is_empty());
        match result {
            // A sender that has published keys and now publishes none has a fault, or a proxy answers in its place.
            Ok(Some(keys)) if keys.is_empty() && has_keys => {
                entry.failed = Some((SharedError::new("the sender no longer publishes a usable key".into()), now));
            }
            Ok(None) if has_keys && !self.forgets => {
                entry.failed = Some((SharedError::new("the sender no longer publishes the key".into()), now));
            }
            Ok(Some(keys)) => *entry = Entry { kept: Some((keys.into(), now)), ..Entry::default() },
            Ok(None) => *entry = Entry { absent: Some(now), ..Entry::default() },
            Err(error) => entry.failed = Some((SharedError::new(error), now)),
        }
    }
}

/// A running fetch. It ends when this value is dropped, even if the client panics.
struct Flight {
    cache: Arc<Cache>,
    name: String,
    result: Option<Result<Option<Vec<Key>>, BoxError>>,
    /// Dropped after the result was stored, which wakes all waiting requests.
    _over: watch::Sender<()>,
}

impl Flight {
    fn end(mut self, result: Result<Option<Vec<Key>>, BoxError>) {
        self.result = Some(result);
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let result = self.result.take().unwrap_or_else(|| Err("the client of the keys panicked".into()));
        self.cache.land(&self.name, result);
    }
}

/// Drops the oldest name without a key, or the oldest of all if every name has a key.
fn make_room(entries: &mut HashMap<String, Entry>, name: &str) {
    if entries.len() < CAPACITY || entries.contains_key(name) {
        return;
    }
    let age = |entry: &Entry| {
        let times =
            [entry.kept.as_ref().map(|(_, since)| *since), entry.absent, entry.failed.as_ref().map(|(_, at)| *at)];
        (entry.kept.is_some(), times.into_iter().flatten().max())
    };
    if let Some(oldest) = entries.iter().min_by_key(|(_, entry)| age(entry)).map(|(name, _)| name.clone()) {
        entries.remove(&oldest);
    }
}

/// Returns `true` if `now` is less than `span` after `since`. If the clock was set back before `since`, it returns
/// `false`, so that nothing lasts longer.
fn is_within(span: Duration, since: SystemTime, now: SystemTime) -> bool {
    now.duration_since(since).is_ok_and(|age| age < span)
}

/// How long keys are used before they are fetched again. Senders publish a new key hours before they sign with it.
const FRESH_FOR: Duration = Duration::from_secs(60 * 60);

/// How long keys are used while newer ones cannot be fetched.
const USABLE_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// The time after which a key that was not found is fetched again.
const COOLDOWN: Duration = Duration::from_secs(30);

/// The time after which a failed fetch is repeated.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// How many fetches begin within the cooldown, for all names together.
const MOST_FETCHES: usize = 10;

/// How many fetches run at once.
const MOST_AT_ONCE: usize = 4;

/// How many names are remembered, with and without a key. A name has at most 2 KiB.
const CAPACITY: usize = 256;
