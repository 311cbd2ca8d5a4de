use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use crate::{
    clock::{Millis, after, from_time, to_time},
    idempotency::ClaimKey,
    inbox::{
        AcceptRequest, Accepted, Change, Content, Ending, EventDraft, EventState, Fenced, InboxId, InboxLease,
        InboxLeases, InboxQuery, InboxRecord, InboxRetention, InboxStats, LeaseToken, LeasedEvent, STATS_COUNTED,
        Selection,
        policy::{self, Aged, Found, Leased, NEVER, Standing},
    },
};

/// Every event, by its number.
#[derive(Debug, Default)]
pub(super) struct Tables {
    events: BTreeMap<u64, Event>,
    keys: HashMap<ClaimKey, u64>,
    last: u64,
}

#[derive(Debug)]
struct Event {
    consumer: Arc<str>,
    draft: EventDraft,
    has_content: bool,
    standing: Standing,
    accepted_at: Millis,
    reason: Option<Arc<str>>,
}

impl Tables {
    pub(super) fn accept(&mut self, request: AcceptRequest, now: Millis) -> Vec<Accepted> {
        let AcceptRequest { consumer, events, limit, .. } = request;
        let found: Vec<_> = events.iter().map(|event| self.find(event, now)).collect();
        let unfinished = |event: &&Event| event.consumer == consumer && !event.standing.state.has_ended();
        let room = limit.map(|limit| (self.events.values().filter(unfinished).count() as u64, limit));
        let answers = policy::accept(&events, |index| found[index], room, now);
        for (draft, answer) in events.into_iter().zip(&answers) {
            let standing = match answer {
                Accepted::New => Standing::arrived(self.waits(&draft, None), now),
                Accepted::Rearmed { .. } => {
                    let waits = self.waits(&draft, None);
                    let Some(event) = self.keys.get(&draft.key).and_then(|id| self.events.get(id)) else { continue };
                    let mut standing = event.standing;
                    standing.rearm(waits, now);
                    standing
                }
                Accepted::Duplicate { .. } | Accepted::Full | Accepted::Replay => continue,
            };
            if *answer == Accepted::New
                && let Some(old) = self.keys.remove(&draft.key)
            {
                self.events.remove(&old);
            }
            let id = self.keys.get(&draft.key).copied().unwrap_or_else(|| {
                self.last += 1;
                self.last
            });
            self.keys.insert(draft.key, id);
            let consumer = Arc::clone(&consumer);
            self.events
                .insert(id, Event { consumer, draft, has_content: true, standing, accepted_at: now, reason: None });
        }
        answers
    }

    fn find(&self, draft: &EventDraft, now: Millis) -> Found {
        let same = self
            .keys
            .get(&draft.key)
            .and_then(|id| self.events.get(id))
            .map(|event| (event.standing, event.draft.retention, event.draft.fingerprint != draft.fingerprint));
        let guarded = draft.guard.is_some_and(|guard| {
            self.events.values().any(|event| {
                event.draft.key != draft.key
                    && event
                        .draft
                        .guard
                        .is_some_and(|other| other.key == guard.key && now < after(event.accepted_at, other.window))
            })
        });
        Found::new(same, guarded)
    }

    /// Whether another event with its order key has not ended.
    fn waits(&self, draft: &EventDraft, but: Option<u64>) -> bool {
        let Some(order) = draft.order_key else { return false };
        self.events.iter().any(|(id, event)| {
            Some(*id) != but && event.draft.order_key == Some(order) && !event.standing.state.has_ended()
        })
    }

    pub(super) fn lease(&mut self, request: &InboxLease, now: Millis) -> InboxLeases {
        let mut leases = InboxLeases::default();
        let mut exhausted = Vec::new();
        loop {
            let due = self.events.iter().filter(|(_, event)| event.consumer == request.consumer);
            let mut due: Vec<_> = due
                .filter(|(_, event)| event.standing.is_due(now))
                .map(|(id, event)| (event.standing.due_at, *id))
                .collect();
            due.sort_unstable();
            let mut given = given_of(&leases.events);
            due.retain(|(_, id)| {
                let Some(provider) = self.events.get(id).map(|event| &event.draft.provider) else { return false };
                let given = given.entry(Arc::clone(provider)).or_default();
                let has_room = policy::room_of_source(request, provider, *given) > 0;
                *given += u32::from(has_room);
                has_room
            });
            due.truncate((request.limit as usize).saturating_sub(leases.events.len()));
            if due.is_empty() || leases.exhausted >= policy::MOST_EXHAUSTED {
                break;
            }
            let mut is_alone = false;
            for (_, id) in due {
                let Some(event) = self.events.get_mut(&id) else { continue };
                let was_abandoned = event.standing.was_abandoned();
                if is_alone || was_abandoned && !leases.events.is_empty() {
                    is_alone = true;
                    break;
                }
                match event.standing.lease(request.token, request.lease, request.attempts, now) {
                    Leased::Exhausted => {
                        event.reason = Some(policy::EXHAUSTED.into());
                        exhausted.push(id);
                    }
                    Leased::Taken { round_attempt } => {
                        is_alone = was_abandoned;
                        leases.events.push(LeasedEvent::new(
                            InboxId::from_u64(id),
                            event.draft.key,
                            (event.standing.attempt, round_attempt),
                            Arc::clone(&event.draft.provider),
                            event.draft.content.clone(),
                            Duration::from_millis(
                                u64::try_from(now.saturating_sub(event.accepted_at)).unwrap_or_default(),
                            ),
                        ));
                    }
                }
            }
            leases.exhausted += exhausted.len() as u64;
            // What waited behind a dead one may be due now.
            let ended = !exhausted.is_empty();
            for id in exhausted.drain(..) {
                self.go_on(id, now);
            }
            if !ended || is_alone {
                break;
            }
        }
        let waiting = self.events.values().filter(|event| event.consumer == request.consumer);
        let given = given_of(&leases.events);
        let has_room = |event: &&Event| {
            let provider = &event.draft.provider;
            policy::room_of_source(request, provider, given.get(provider).copied().unwrap_or_default()) > 0
        };
        let next = waiting
            .filter(has_room)
            .filter(|event| !event.standing.state.has_ended())
            .map(|event| event.standing.due_at)
            .filter(|due_at| *due_at != NEVER)
            .min();
        leases.next_due =
            next.map(|at| Duration::from_millis(u64::try_from(at.saturating_sub(now)).unwrap_or_default()));
        leases
    }

    pub(super) fn renew(&mut self, id: InboxId, token: LeaseToken, lease: Duration, now: Millis) -> Fenced {
        match self.events.get_mut(&id.to_u64()) {
            Some(event) => event.standing.renew(token, lease, now),
            None => Fenced::Stale,
        }
    }

    pub(super) fn finish(&mut self, id: InboxId, token: LeaseToken, ending: &Ending, now: Millis) -> Fenced {
        let Some(event) = self.events.get_mut(&id.to_u64()) else { return Fenced::Stale };
        let fenced = event.standing.finish(token, ending, now);
        if fenced == Fenced::Applied {
            event.reason = ending.reason();
            self.go_on(id.to_u64(), now);
        }
        fenced
    }

    /// Lets the first event with the order key of one that has ended go on.
    fn go_on(&mut self, id: u64, now: Millis) {
        let Some(event) = self.events.get(&id).filter(|event| event.standing.state.has_ended()) else { return };
        let Some(order) = event.draft.order_key else { return };
        let is_of_key = |event: &Event| event.draft.order_key == Some(order) && !event.standing.state.has_ended();
        // If one of them is due or being handled already, the others continue to wait.
        if self.events.values().any(|event| is_of_key(event) && event.standing.due_at != NEVER) {
            return;
        }
        if let Some(first) = self.events.values_mut().find(|event| is_of_key(event)) {
            first.standing.go_on(now);
        }
    }

    pub(super) fn is_done(&self, id: InboxId, token: LeaseToken) -> Fenced {
        self.events.get(&id.to_u64()).map_or(Fenced::Stale, |event| event.standing.is_done(token))
    }

    pub(super) fn event(&self, id: InboxId) -> Option<InboxRecord> {
        let event = self.events.get(&id.to_u64())?;
        let mut record = event.record(id);
        record.key = Some(event.draft.key);
        record.content = event.has_content.then(|| event.draft.content.clone());
        Some(record)
    }

    pub(super) fn events(&self, consumer: &str, query: &InboxQuery, limit: u32) -> Vec<InboxRecord> {
        let of_consumer = self.events.iter().rev().filter(|(_, event)| *event.consumer == *consumer);
        let records = of_consumer.map(|(id, event)| event.record(InboxId::from_u64(*id)));
        let fit = records.filter(|record| {
            query.state.is_none_or(|state| state == record.state)
                && query.before.is_none_or(|before| record.id < before)
                && query.event_type.as_ref().is_none_or(|wanted| record.event_type.as_ref() == Some(wanted))
                && query.tenant.as_ref().is_none_or(|wanted| record.tenant.as_ref() == Some(wanted))
        });
        fit.take(limit as usize).collect()
    }

    pub(super) fn change(
        &mut self,
        consumer: &Arc<str>,
        change: Change,
        selection: &Selection,
        limit: u32,
        now: Millis,
    ) -> u64 {
        let is_selected = |(id, event): (&u64, &Event)| {
            let fits = match selection {
                Selection::DiedSince(since) => {
                    event.standing.state == EventState::Dead && event.standing.due_at >= from_time(*since)
                }
                Selection::Ids(ids) => ids.contains(&InboxId::from_u64(*id)),
            };
            (event.consumer == *consumer && fits).then_some(*id)
        };
        let selected: Vec<_> = self.events.iter().filter_map(is_selected).collect();
        let mut changed = 0;
        for id in selected {
            if changed >= u64::from(limit) {
                break;
            }
            let waits = self.events.get(&id).is_some_and(|event| self.waits(&event.draft, Some(id)));
            let Some(event) = self.events.get_mut(&id) else { continue };
            if event.standing.change(change, (waits, event.has_content), now) {
                event.reason = None;
                changed += 1;
                self.go_on(id, now);
            }
        }
        changed
    }

    pub(super) fn stats(&self, consumer: &str, now: Millis) -> InboxStats {
        let of_consumer = || self.events.values().filter(|event| *event.consumer == *consumer);
        let count = |state| {
            let of_state = of_consumer().filter(|event| event.standing.state == state).count() as u64;
            of_state.min(STATS_COUNTED)
        };
        let unfinished = of_consumer().filter(|event| !event.standing.state.has_ended());
        let oldest = unfinished.map(|event| event.accepted_at).min();
        let oldest = oldest.map(|at| Duration::from_millis(u64::try_from(now.saturating_sub(at)).unwrap_or_default()));
        InboxStats::new(count(EventState::Pending), count(EventState::Working), count(EventState::Dead), oldest)
    }

    pub(super) fn purge(&mut self, consumer: &str, keep: InboxRetention, limit: u32, now: Millis) -> u64 {
        let (mut emptied, mut removed) = (Vec::new(), Vec::new());
        for (id, event) in self.events.iter().filter(|(_, event)| *event.consumer == *consumer) {
            match event.standing.aged(event.draft.retention, keep, now) {
                Aged::WithoutContent if event.has_content && emptied.len() < limit as usize => emptied.push(*id),
                Aged::Remove if removed.len() < limit as usize => removed.push(*id),
                Aged::Keep | Aged::Remove | Aged::WithoutContent => {}
            }
        }
        for id in &emptied {
            if let Some(event) = self.events.get_mut(id) {
                event.draft.content = Content::new("".into(), bytes::Bytes::new());
                event.has_content = false;
            }
        }
        for id in &removed {
            self.remove(*id);
        }
        (emptied.len() + removed.len()) as u64
    }

    pub(super) fn erase(&mut self, consumer: &str, tenant: &str, limit: u32, now: Millis) -> u64 {
        let of_tenant = self.events.iter().filter(|(_, event)| {
            *event.consumer == *consumer
                && event.draft.tenant.as_deref() == Some(tenant)
                && event.standing.state != EventState::Working
        });
        let ids: Vec<_> = of_tenant.map(|(id, _)| *id).take(limit as usize).collect();
        for id in &ids {
            if let Some(event) = self.events.get_mut(id) {
                event.standing.state = EventState::Discarded;
            }
            self.go_on(*id, now);
            self.remove(*id);
        }
        ids.len() as u64
    }

    fn remove(&mut self, id: u64) {
        if let Some(event) = self.events.remove(&id) {
            self.keys.remove(&event.draft.key);
        }
    }
}

impl Event {
    fn record(&self, id: InboxId) -> InboxRecord {
        let provider = Arc::clone(&self.draft.provider);
        let mut record = InboxRecord::new(id, Arc::clone(&self.consumer), provider, to_time(self.accepted_at));
        record.tenant.clone_from(&self.draft.tenant);
        record.delivery_id.clone_from(&self.draft.delivery_id);
        record.event_type.clone_from(&self.draft.event_type);
        record.state = self.standing.state;
        record.attempt = self.standing.attempt;
        record.due_at = (self.standing.due_at != NEVER).then(|| to_time(self.standing.due_at));
        record.reason.clone_from(&self.reason);
        record
    }
}

/// How many events of each provider are leased.
fn given_of(events: &[LeasedEvent]) -> HashMap<Arc<str>, u32> {
    events.iter().fold(HashMap::new(), |mut given, event| {
        *given.entry(Arc::clone(&event.provider)).or_default() += 1;
        given
    })
}
