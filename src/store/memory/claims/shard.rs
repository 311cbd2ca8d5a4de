use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    time::Duration,
};

use crate::{
    clock::Millis,
    idempotency::{
        ClaimKey, ClaimOutcome, ClaimRequest, ClaimToken, Completion, Fenced,
        record::{Record, State},
    },
};

/// A part of the records, with its own bound.
pub(super) struct Shard {
    records: HashMap<ClaimKey, Slot>,
    /// Records that may be dropped, the oldest first: done, released, or found with a passed lease. An entry counts
    /// only while the slot still has its number: a record that was claimed again left its entry behind.
    free: VecDeque<(ClaimKey, u64)>,
    /// The number of the next entry.
    next: u64,
    bound: usize,
    /// No lease ends before this, so that a full shard is not searched for a passed one at every claim.
    first_lease_end: Millis,
}

struct Slot {
    record: Record,
    freed: u64,
}

impl Shard {
    pub(super) fn new(bound: usize) -> Self {
        Self { records: HashMap::new(), free: VecDeque::new(), next: 0, bound, first_lease_end: Millis::MAX }
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// Claims, or returns `None` if there is no room.
    pub(super) fn claim(&mut self, claim: &ClaimRequest, now: Millis) -> Option<ClaimOutcome> {
        if self.records.len() >= self.bound && !self.records.contains_key(&claim.key) && !self.make_room(now) {
            return None;
        }

        let (outcome, until) = match self.records.entry(claim.key) {
            Entry::Occupied(mut slot) => {
                let record = &mut slot.get_mut().record;
                (record.claim(claim, now), record.until)
            }
            Entry::Vacant(slot) => {
                let record = Record::first(claim, now);
                let until = record.until;
                slot.insert(Slot { record, freed: NEVER });
                (ClaimOutcome::Acquired { attempt: 1 }, until)
            }
        };
        if matches!(outcome, ClaimOutcome::Acquired { .. }) {
            self.first_lease_end = self.first_lease_end.min(until);
        }
        Some(outcome)
    }

    pub(super) fn complete(
        &mut self,
        key: ClaimKey,
        token: ClaimToken,
        completion: &Completion,
        now: Millis,
    ) -> Fenced {
        self.change(key, now, |record| record.complete(token, completion, now))
    }

    pub(super) fn release(&mut self, key: ClaimKey, token: ClaimToken, now: Millis) -> Fenced {
        self.change(key, now, |record| record.release(token, now))
    }

    pub(super) fn renew(&mut self, key: ClaimKey, token: ClaimToken, lease: Duration, now: Millis) -> Fenced {
        let Some(slot) = self.records.get_mut(&key) else { return Fenced::Stale };
        let fenced = slot.record.renew(token, lease, now);
        if fenced == Fenced::Applied {
            self.first_lease_end = self.first_lease_end.min(slot.record.until);
        }
        fenced
    }

    pub(super) fn is_done(&self, key: ClaimKey, token: ClaimToken, now: Millis) -> Fenced {
        self.records.get(&key).map_or(Fenced::Stale, |slot| slot.record.is_done(token, now))
    }

    pub(super) fn purge(&mut self, limit: usize, now: Millis) -> usize {
        let mut removed = 0;
        self.records.retain(|_, slot| {
            let purge = removed < limit && slot.record.is_purgeable(now);
            removed += usize::from(purge);
            !purge
        });
        self.forget_left_entries(now);
        removed
    }

    /// Changes a record, and queues it if that made it free.
    fn change(&mut self, key: ClaimKey, now: Millis, change: impl FnOnce(&mut Record) -> Fenced) -> Fenced {
        let Some(slot) = self.records.get_mut(&key) else { return Fenced::Stale };
        let before = slot.record.state;
        let fenced = change(&mut slot.record);

        if before == State::Pending && slot.record.state != State::Pending {
            slot.freed = self.next;
            self.free.push_back((key, self.next));
            self.next += 1;
            self.forget_left_entries(now);
        }
        fenced
    }

    /// Drops the record that has been free for longest, otherwise one whose lease has passed.
    fn make_room(&mut self, now: Millis) -> bool {
        self.drop_oldest_free(now) || (self.queue_passed_leases(now) && self.drop_oldest_free(now))
    }

    fn drop_oldest_free(&mut self, now: Millis) -> bool {
        while let Some((key, number)) = self.free.pop_front() {
            if counts(&self.records, key, number, now) {
                self.records.remove(&key);
                return true;
            }
        }
        false
    }

    /// Queues every record whose lease has passed. Returns `true` if there was one.
    fn queue_passed_leases(&mut self, now: Millis) -> bool {
        if self.first_lease_end > now {
            return false;
        }
        self.first_lease_end = Millis::MAX;
        for (key, slot) in &mut self.records {
            if slot.record.until > now {
                self.first_lease_end = self.first_lease_end.min(slot.record.until);
            } else {
                slot.freed = self.next;
                self.free.push_back((*key, self.next));
                self.next += 1;
            }
        }
        !self.free.is_empty()
    }

    /// Keeps the queue within twice the records, however often some are claimed and released.
    fn forget_left_entries(&mut self, now: Millis) {
        if self.free.len() > 2 * self.records.len() + 16 {
            let records = &self.records;
            self.free.retain(|(key, number)| counts(records, *key, *number, now));
        }
    }
}

/// Returns `true` if a queue entry still belongs to a record that may be dropped.
fn counts(records: &HashMap<ClaimKey, Slot>, key: ClaimKey, number: u64, now: Millis) -> bool {
    records
        .get(&key)
        .is_some_and(|slot| slot.freed == number && (slot.record.state != State::Pending || slot.record.until <= now))
}

/// The number of a record that was never free.
const NEVER: u64 = u64::MAX;
