use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    finish::round,
    health::{Health, Leased},
    shares::Shares,
};
use crate::{
    clock::{Millis, after, to_time},
    send::{
        message::message::Message,
        outbox::store::{
            endpoint::EndpointRecord,
            ids::SentDeliveryId,
            lease::{LeaseRequest, LeasedDelivery},
            limits::{IN_FLIGHT, LONGEST_LEASE},
        },
    },
};

/// An endpoint that may have something to lease, and what waits for it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Waiting {
    /// The endpoint, which is enabled.
    pub endpoint: EndpointRecord,
    /// Its health.
    pub health: Health,
    /// How many of its deliveries are being sent, under a lease that has not passed.
    pub in_flight: u32,
    /// Its first deliveries that are due, by `due_at` and then by id: [`MOST_DUE`] of them, or all if there are fewer. If one of these
    /// [`is_behind`](Due::is_behind) another, [`MOST_PARKED`] of them.
    pub due: Vec<Due>,
    /// Whether some due deliveries are missing in `due`, because another connection has locked them at this moment.
    pub is_partial: bool,
    /// When the first delivery becomes due that is not due yet.
    pub later: Option<Millis>,
    /// From when on it was to be looked at, if the store keeps that: a store of many endpoints reads only those whose
    /// time has come.
    pub look_at: Option<Millis>,
}

impl Waiting {
    /// Creates the value for an endpoint for which nothing waits.
    pub fn new(endpoint: EndpointRecord, health: Health) -> Self {
        Self { endpoint, health, in_flight: 0, due: Vec::new(), is_partial: false, later: None, look_at: None }
    }
}

/// How many deliveries of an endpoint a store reads for [`plan`]: one more than can be leased, which shows whether
/// there are more.
pub const MOST_DUE: u32 = IN_FLIGHT + 1;

/// How many deliveries of an endpoint a store reads for [`plan`] if some of the first ones wait for others with their
/// order keys. [`plan`] marks those as parked, so that the next read finds the deliveries after them.
pub const MOST_PARKED: u32 = 256;

/// A delivery that is due: it is pending, or the lease of the worker that was sending it has passed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Due {
    /// Its id.
    pub id: SentDeliveryId,
    /// How many attempts were begun.
    pub attempt: u32,
    /// When it was made.
    pub created_at: Millis,
    /// When its message was dispatched.
    pub dispatched_at: Option<Millis>,
    /// When it is due; [`URGENT_DUE`] if it goes before everything else.
    pub due_at: Millis,
    /// Whether its message has its payload.
    pub has_content: bool,
    /// How many attempts were begun before it was last resent or recovered.
    pub resent_after: Option<u32>,
    /// The order key of its message, if it has one.
    pub order_key: Option<Arc<str>>,
    /// Whether a delivery of its endpoint with its order key and a lower number is pending, sending or held.
    pub is_behind: bool,
    /// Whether another delivery of its endpoint with its order key is being sent, under a lease that has not passed.
    pub is_beside: bool,
}

impl Due {
    /// Creates the value for a delivery that has not been attempted, was made with its message, and was never resent.
    pub fn new(id: SentDeliveryId, created_at: Millis, due_at: Millis) -> Self {
        Self {
            id,
            attempt: 0,
            created_at,
            dispatched_at: Some(created_at),
            due_at,
            has_content: true,
            resent_after: None,
            order_key: None,
            is_behind: false,
            is_beside: false,
        }
    }

    /// Returns the delivery as a worker gets it for its next attempt.
    pub fn lease(&self, message: Message, endpoint: Arc<EndpointRecord>, now: Millis) -> LeasedDelivery {
        let attempt = self.attempt.saturating_add(1);
        let age = Duration::from_millis(u64::try_from(now.saturating_sub(self.created_at)).unwrap_or_default());
        let mut leased = LeasedDelivery::new(self.id, attempt, message, endpoint, age);
        (leased.round_attempt, leased.manual) = round(attempt, self.resent_after);
        leased
    }

    /// Returns when its message was dispatched, if this is its first attempt and the delivery was made at that same
    /// moment.
    fn fresh(&self) -> Option<Millis> {
        self.dispatched_at.filter(|at| self.attempt == 0 && *at == self.created_at)
    }
}

/// What is leased and cancelled for one endpoint. The store writes all of it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Served {
    /// The endpoint.
    pub endpoint: Arc<EndpointRecord>,
    /// Its health now.
    pub health: Health,
    /// When it is to be looked at next, if the store keeps that. This is never later than the moment at which one of
    /// its deliveries may be leased. `None` if nothing waits for it.
    pub look_at: Option<Millis>,
    /// The deliveries that are leased, in this order, until [`lease_end`]. Each gets the state `Sending`, the token,
    /// one attempt more, and the epoch of `health`.
    pub leased: Vec<Due>,
    /// The deliveries that have lost their content, and are cancelled without an attempt.
    pub gone: Vec<Due>,
    /// The deliveries that wait for another one with their order key. Each is pending, without a token and due at [`PARKED_DUE`]. When
    /// a delivery with an order key has ended, the first by number of its endpoint with that key that is pending, sending or held is
    /// due when it was made, if it was due at [`PARKED_DUE`].
    pub parked: Vec<Due>,
}

/// Decides which deliveries of several endpoints a worker gets. The endpoints are given in the order in which they are
/// served: the one that was served longest ago first. The result leaves out endpoints of which nothing is leased or
/// cancelled.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use tower_webhooks::send::{
///     EndpointDraft, EndpointId, EndpointRecord, EndpointSettings, LeaseRequest, LeaseToken, SentDeliveryId, Sealed, Style,
///     policy::{Due, Health, Waiting, plan},
/// };
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let sealed = Sealed::new("", &b""[..]);
/// let settings = EndpointSettings::new("https://example.com/", vec!["*".into()], Style::StandardWebhooks, sealed);
/// let draft = EndpointDraft::new(EndpointId::random()?, "", settings);
/// let mut waiting = Waiting::new(EndpointRecord::new(draft, SystemTime::UNIX_EPOCH), Health::default());
/// waiting.due = (1..=5).map(|number| Due::new(SentDeliveryId::from_u64(number), 1000, 1000)).collect();
/// waiting.due[0].has_content = false;
/// waiting.in_flight = 1;
/// let request = LeaseRequest::new(LeaseToken::random()?, Duration::from_secs(60), 64);
///
/// let served = plan(&request, vec![waiting], 2000);
///
/// // Four are in flight then. What has lost its content takes nobody's place.
/// let leased: Vec<_> = served[0].leased.iter().map(|due| due.id.to_u64()).collect();
/// assert_eq!((leased, served[0].gone.len()), (vec![2, 3, 4], 1));
/// # Ok(())
/// # }
/// ```
pub fn plan(request: &LeaseRequest, waiting: Vec<Waiting>, now: Millis) -> Vec<Served> {
    let tenants: Vec<_> = waiting.iter().map(|waiting| waiting.endpoint.tenant.clone()).collect();
    let mut shares = Shares::new(request, waiting.iter().map(|waiting| waiting.health.proven));
    let mut served = Vec::new();
    for (waiting, tenant) in waiting.into_iter().zip(&tenants) {
        if shares.is_used_up() {
            break;
        }
        let proven = waiting.health.proven;
        let share = shares.next(proven, tenant);
        if let Some(one) = serve(waiting, share, request.lease, now) {
            shares.took(count(one.leased.len()), proven, tenant);
            served.push(one);
        }
    }
    served
}

/// Decides which deliveries of one endpoint a worker gets, at most `share` of them. It is for a store that reads its
/// endpoints one by one; [`Shares`] computes the share. Returns `None` if nothing is leased or cancelled.
pub fn serve(waiting: Waiting, share: u32, lease: Duration, now: Millis) -> Option<Served> {
    let Waiting { endpoint, mut health, in_flight, due, is_partial, later, look_at: before } = waiting;
    let limit = endpoint.settings.rate_limit;
    let room = health.room(in_flight, limit, now).min(share) as usize;
    if room == 0 {
        return None;
    }
    let may_be_more = due.len() >= MOST_DUE as usize;
    // What goes first may have to wait for its key. Then nothing else takes its place in a rest.
    let usual = Health { urgent: false, ..health }.room(in_flight, limit, now) as usize;
    let mut keys = HashSet::new();
    // The deliveries after these are due at once, so they are not parked.
    let ending: HashSet<_> =
        due.iter().filter(|due| !due.has_content).filter_map(|due| due.order_key.clone()).collect();
    let (mut leased, mut gone, mut parked, mut left) = (Vec::new(), Vec::new(), Vec::new(), Vec::<Due>::new());
    for due in due {
        let is_urgent = due.due_at == URGENT_DUE;
        let key = due.order_key.as_ref().filter(|_| !health.in_order);
        let is_keyed = key.is_some();
        let turn = key.is_none_or(|key| !due.is_beside && !keys.contains(key));
        let room = if !is_urgent && left.first().is_some_and(|first| first.due_at == URGENT_DUE) {
            room.min(usual)
        } else {
            room
        };
        if !due.has_content {
            gone.push(due);
        } else if is_keyed && due.is_behind && !is_urgent {
            let goes_on = due.order_key.as_ref().is_some_and(|key| ending.contains(key));
            if goes_on { left.push(due) } else { parked.push(due) }
        } else if turn && leased.len() < room {
            keys.extend(key.cloned());
            leased.push(due);
        } else {
            left.push(due);
        }
    }
    if leased.is_empty() && gone.is_empty() && parked.is_empty() {
        return None;
    }
    // The store reads some deliveries. If some of these have lost their content, or are put aside, more than were read
    // may be due.
    let all = left.is_empty() && !is_partial && ((gone.is_empty() && parked.is_empty()) || !may_be_more);
    let urgent_left = match left.first() {
        Some(due) => due.due_at == URGENT_DUE,
        None => !all && (is_partial || gone.iter().chain(&leased).chain(&parked).all(|due| due.due_at == URGENT_DUE)),
    };
    let dispatched: Vec<_> = leased.iter().filter_map(Due::fresh).collect();
    let noted = Leased {
        attempts: count(leased.len()),
        first: count(leased.iter().filter(|due| due.attempt == 0).count()),
        dispatched: &dispatched,
        all,
        urgent_left,
    };
    health.leased(noted, limit, now);
    let lease_ends = (!leased.is_empty()).then(|| lease_end(lease, now));
    // One that has lost its content lets the next one of its key go, which may have been put aside earlier.
    let frees_a_key = gone.iter().any(|due| due.order_key.is_some());
    let left = Left { more: !all || frees_a_key, later: later.into_iter().chain(lease_ends).min() };
    let look_at = look_at(before, left, health.ready_at(limit), now);
    Some(Served { endpoint: Arc::new(endpoint), health, look_at, leased, gone, parked })
}

/// Returns the end of a lease that begins now.
pub fn lease_end(lease: Duration, now: Millis) -> Millis {
    after(now, lease.min(LONGEST_LEASE))
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// What is left of an endpoint after a lease.
#[derive(Debug, Clone, Copy)]
struct Left {
    /// Whether more is due.
    more: bool,
    /// When the next delivery becomes due that is not due yet. What was just leased is due again at the end of its
    /// lease.
    later: Option<Millis>,
}

/// Returns when an endpoint is to be looked at next, which a store of many endpoints keeps with it. This is never later
/// than the moment at which one of its deliveries may be leased. It is often earlier; then a look finds nothing and
/// moves it on. So it does not have to be written with each attempt.
fn look_at(before: Option<Millis>, left: Left, ready_at: Millis, now: Millis) -> Option<Millis> {
    if !left.more {
        return left.later.map(|later| later.max(ready_at));
    }
    // Looks begin with the endpoints whose time is the earliest, so an endpoint that was served moves behind the
    // others. It moves only once in a while: the column is in an index, and an update that does not change it costs
    // less.
    let stays = before.filter(|before| (now.saturating_sub(STANDS)..=now).contains(before));
    Some(stays.unwrap_or(now).max(ready_at))
}

/// For how long an endpoint that is served again and again keeps its place.
const STANDS: Millis = 1000;

/// The due time of a delivery that goes before everything else. It is before every real time.
pub const URGENT_DUE: Millis = 0;

/// The due time of a delivery that waits for another one with its order key. It is after every real time.
pub const PARKED_DUE: Millis = Millis::MAX;

/// Returns when a pending delivery is due, as its record shows it. `None` if it waits for another one with its order key.
pub fn shown_due(due_at: Millis, created_at: Millis) -> Option<SystemTime> {
    match due_at {
        PARKED_DUE => None,
        URGENT_DUE => Some(to_time(created_at)),
        due_at => Some(to_time(due_at)),
    }
}

/// How long an endpoint rests if its row cannot be read. A newer version of the application may soon run again.
pub const UNREADABLE_RESTS: Duration = Duration::from_secs(60);

/// How long a delivery waits if its message cannot be read. There may be many of them, and each look is logged.
pub const MESSAGE_RESTS: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{Due, Health, Left, Served, URGENT_DUE, Waiting, look_at, serve};
    use crate::send::{EndpointDraft, EndpointId, EndpointRecord, EndpointSettings, Sealed, SentDeliveryId, Style};

    /// What is served of an endpoint with these due, each with or without its content.
    fn served(health: Health, share: u32, due: &[(i64, bool)]) -> Option<Served> {
        let sealed = Sealed::new("", &b""[..]);
        let settings = EndpointSettings::new("https://example.com/", Vec::new(), Style::StandardWebhooks, sealed);
        let draft = EndpointDraft::new(EndpointId::random().unwrap(), "", settings);
        let mut waiting = Waiting::new(EndpointRecord::new(draft, SystemTime::UNIX_EPOCH), health);
        let due = due.iter().zip(1..).map(|((due_at, has_content), number)| {
            let mut due = Due::new(SentDeliveryId::from_u64(number), 500, *due_at);
            due.has_content = *has_content;
            due
        });
        waiting.due = due.collect();
        serve(waiting, share, Duration::from_secs(60), 1000)
    }

    fn numbers(due: &[Due]) -> Vec<u64> {
        due.iter().map(|due| due.id.to_u64()).collect()
    }

    #[test]
    fn an_endpoint_is_looked_at_when_something_of_it_may_be_leased() {
        let now = 100_000;
        let more = Left { more: true, later: Some(now + 30_000) };
        // An endpoint that was served moves behind the others, at most once in a second, and not before it is ready.
        assert_eq!(look_at(None, more, 0, now), Some(now));
        assert_eq!(look_at(Some(now - 1000), more, 0, now), Some(now - 1000));
        assert_eq!(look_at(Some(now - 1001), more, 0, now), Some(now));
        assert_eq!(look_at(Some(now), more, now + 5, now), Some(now + 5));

        let all = Left { more: false, later: Some(now + 30_000) };
        assert_eq!(look_at(Some(now), all, 0, now), Some(now + 30_000));
        assert_eq!(look_at(Some(now), all, now + 60_000, now), Some(now + 60_000));
        assert_eq!(look_at(Some(now), Left { more: false, later: None }, now + 60_000, now), None);
    }

    #[test]
    fn what_has_lost_its_content_takes_nobodys_place() {
        let in_order = Health { in_order: true, ..Health::default() };
        let one = served(in_order, 9, &[(500, false), (500, true), (500, true)]).unwrap();
        assert_eq!((numbers(&one.gone), numbers(&one.leased)), (vec![1], vec![2]));
        assert_eq!(one.look_at, Some(1000), "more is due");

        // Of five that were read none can be sent. There may be a sixth.
        let five = served(Health::default(), 9, &[(500, false); 5]).unwrap();
        assert_eq!((five.gone.len(), five.leased.len(), five.look_at), (5, 0, Some(1000)));
        let four = served(Health::default(), 9, &[(500, false); 4]).unwrap();
        assert_eq!((four.gone.len(), four.look_at), (4, None));
        assert_eq!(four.health, Health { pace: four.health.pace, ..Health::default() });
        assert_eq!(four.health.pace.steady, 0.0, "it counts for no pace");

        assert!(served(Health::default(), 0, &[(500, false)]).is_none(), "without a share nothing is done");
        assert!(served(Health::default(), 9, &[]).is_none());
    }

    #[test]
    fn what_somebody_else_has_locked_is_looked_for_again() {
        let settings = EndpointSettings::new(
            "https://example.com/",
            Vec::new(),
            Style::StandardWebhooks,
            Sealed::new("", &b""[..]),
        );
        let draft = EndpointDraft::new(EndpointId::random().unwrap(), "", settings);
        let health = Health { urgent: true, ..Health::default() };
        let mut waiting = Waiting::new(EndpointRecord::new(draft, SystemTime::UNIX_EPOCH), health);
        waiting.due = vec![Due::new(SentDeliveryId::from_u64(1), 500, 500)];
        waiting.is_partial = true;

        let served = serve(waiting, 9, Duration::from_secs(60), 1000).unwrap();

        assert_eq!((served.leased.len(), served.look_at), (1, Some(1000)));
        assert!(served.health.urgent, "it may be one that goes first");
    }

    #[test]
    fn an_endpoint_is_urgent_for_as_long_as_something_goes_first() {
        let urgent = Health { urgent: true, rests_until: 5000, ..Health::default() };
        // In a rest one is leased at a time.
        let left = served(urgent, 9, &[(URGENT_DUE, true), (URGENT_DUE, true), (500, true)]).unwrap();
        assert_eq!((numbers(&left.leased), left.health.urgent), (vec![1], true));
        let last = served(urgent, 9, &[(URGENT_DUE, true), (500, true)]).unwrap();
        assert_eq!((numbers(&last.leased), last.health.urgent), (vec![1], false));
        // A sixth that goes first may be behind five that have lost their content.
        let unseen = served(urgent, 9, &[(URGENT_DUE, false); 5]).unwrap();
        assert!(unseen.health.urgent);
    }

    /// What is served of an endpoint with these due: due time, key, whether it is behind or beside another.
    fn keyed(health: Health, due: &[(i64, &str, bool, bool)]) -> Option<(Vec<u64>, Vec<u64>, bool)> {
        let sealed = Sealed::new("", &b""[..]);
        let settings = EndpointSettings::new("https://example.com/", Vec::new(), Style::StandardWebhooks, sealed);
        let draft = EndpointDraft::new(EndpointId::random().unwrap(), "", settings);
        let mut waiting = Waiting::new(EndpointRecord::new(draft, SystemTime::UNIX_EPOCH), health);
        let due = due.iter().zip(1..).map(|((due_at, key, is_behind, is_beside), number)| {
            let mut due = Due::new(SentDeliveryId::from_u64(number), 500, *due_at);
            due.order_key = Some(*key).filter(|key| !key.is_empty()).map(Into::into);
            (due.is_behind, due.is_beside) = (*is_behind, *is_beside);
            due
        });
        waiting.due = due.collect();
        let served = serve(waiting, 9, Duration::from_secs(60), 1000)?;
        Some((numbers(&served.leased), numbers(&served.parked), served.health.urgent))
    }

    #[test]
    fn one_of_a_key_is_leased_at_a_time_and_others_are_not_delayed() {
        let any = Health::default();
        let served = keyed(any, &[(500, "a", false, false), (500, "a", true, false), (500, "b", false, false)]);
        assert_eq!(served, Some((vec![1, 3], vec![2], false)));
        // One with a higher number is being sent: it stays due.
        let served = keyed(any, &[(500, "a", false, true), (500, "", false, false)]);
        assert_eq!(served, Some((vec![2], vec![], false)));
        assert_eq!(keyed(any, &[(500, "a", false, true)]), None);
        // In order, keys decide nothing.
        let in_order = Health { in_order: true, ..any };
        assert_eq!(keyed(in_order, &[(500, "a", true, false)]), Some((vec![1], vec![], false)));

        // What goes first waits for none that is not being sent.
        let urgent = Health { urgent: true, ..any };
        let first =
            keyed(urgent, &[(URGENT_DUE, "a", true, false), (500, "a", false, false), (500, "b", false, false)]);
        assert_eq!(first, Some((vec![1, 3], vec![], false)));
        let beside = keyed(urgent, &[(URGENT_DUE, "a", true, true), (500, "b", false, false)]);
        assert_eq!(beside, Some((vec![2], vec![], true)));
        // While it waits in a rest, nothing else is leased.
        let rests = Health { rests_until: 5000, ..urgent };
        assert_eq!(keyed(rests, &[(URGENT_DUE, "a", true, true), (500, "b", false, false)]), None);
    }
}
