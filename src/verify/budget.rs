//! A bound for the bytes of bodies that are held at once, over all requests of a layer and its clones.
//!
//! Rules:
//! 1. The allocated memory of a body counts from its first byte until the last owner of the bytes drops them: the
//!    handler, a task that continues after the client has disconnected, or any clone of the bytes.
//! 2. One client cannot block the others. If there is no room, the body with the highest cost (its bytes times its age)
//!    is dropped, if its cost is higher than that of the body that needs room. Only unverified bodies are dropped,
//!    while they are read or wait for newer secrets: a verified body belongs to the application.
//! 3. An eighth is reserved for small bodies: all large ones together get at most the rest. A single large body may use
//!    all of it.

use std::{
    collections::HashMap,
    sync::{Arc, MutexGuard},
    task::{Context, Waker},
};

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    body::Collected,
    pieces::{Growth, PIECE, Pieces, Spare},
};
use crate::mutex::Mutex;

/// The limit, and the bodies that use it.
#[derive(Debug)]
pub(super) struct Budget {
    limit: usize,
    state: Mutex<State>,
}

/// A body up to this size is a small one.
const SMALL: usize = 64 * 1024;

#[derive(Debug, Default)]
struct State {
    /// All bytes that are held, and those of them that belong to large bodies.
    used: usize,
    large: usize,
    /// The bodies that may be dropped: they are being read, or wait for newer secrets.
    readers: HashMap<u64, Reader>,
    /// Pieces that no body uses at the moment; together with the used ones they are within the limit. None are kept
    /// while no body is read.
    spare: Spare,
    next: u64,
}

#[derive(Debug)]
struct Reader {
    bytes: usize,
    since: Instant,
    slot: Arc<Slot>,
    /// The body has been read completely. [`Held`] then frees its part of the limit.
    is_whole: bool,
}

/// The part of one body that has been read. It may be dropped to make room for others.
#[derive(Debug, Default)]
struct Slot(Mutex<Content>);

#[derive(Debug, Default)]
struct Content {
    pieces: Pieces,
    /// The body was dropped, and its part of the limit was freed.
    is_taken: bool,
    /// Wakes the task that reads, if its body was dropped.
    waker: Option<Waker>,
}

/// One body that is being read. Its part of the limit is freed on drop.
#[derive(Debug)]
pub(super) struct Share {
    budget: Arc<Budget>,
    id: u64,
    slot: Arc<Slot>,
    /// The entry of a body that has been read and cannot be dropped at the moment.
    read: Option<Reader>,
}

/// A body was dropped to make room, or there was no room for it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OverBudget;

/// The bytes of a body while it is read, with and without a budget.
#[derive(Debug)]
pub(super) enum Kept {
    Counted(Share),
    Free(Collected),
}

impl Kept {
    pub(super) fn new(budget: Option<&Arc<Budget>>) -> Self {
        budget.map_or_else(|| Self::Free(Collected::default()), |budget| Self::Counted(budget.share()))
    }

    pub(super) fn push(&mut self, frame: Bytes, expected: usize) -> Result<(), OverBudget> {
        match self {
            Self::Counted(share) => share.push(frame, expected),
            Self::Free(collected) => {
                collected.push(frame, expected);
                Ok(())
            }
        }
    }

    /// Whether the body has been taken away; if not, the task is woken when it is.
    pub(super) fn is_taken(&self, cx: &Context<'_>) -> bool {
        matches!(self, Self::Counted(share) if share.is_taken(cx))
    }

    /// Returns the whole body, unless it has been taken away. From then on it does not give way.
    pub(super) fn take(&mut self) -> Result<Bytes, OverBudget> {
        match self {
            Self::Counted(share) => share.take(),
            Self::Free(collected) => Ok(std::mem::take(collected).into_bytes()),
        }
    }

    /// Puts back what [`take`](Self::take) has returned, all clones of which are gone. The body may be taken away again.
    pub(super) fn put_back(&mut self, body: Bytes) {
        match self {
            Self::Counted(share) => share.put_back(body),
            Self::Free(collected) => *collected = Collected::whole(body),
        }
    }
}

impl Budget {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, state: Mutex::default() }
    }

    /// Begins a body.
    pub(super) fn share(self: &Arc<Self>) -> Share {
        let slot = Arc::new(Slot::default());
        let mut state = self.lock();
        let id = state.next;
        state.next += 1;
        let since = Instant::now();
        state.readers.insert(id, Reader { bytes: 0, since, slot: Arc::clone(&slot), is_whole: false });
        drop(state);
        Share { budget: Arc::clone(self), id, slot, read: None }
    }

    /// Makes room for a body that is being read to grow, and returns spare pieces for it.
    fn take(&self, id: u64, growth: Growth) -> Result<Spare, OverBudget> {
        // Emptied after the lock.
        let mut evicted = Vec::new();
        let taken = self.lock().take(self.limit, id, growth.bytes, Instant::now(), &mut evicted);
        for slot in evicted {
            self.keep(slot.clear());
        }
        taken?;
        let mut state = self.lock();
        let from = state.spare.len().saturating_sub(growth.pieces);
        let spare = state.spare.split_off(from);
        let surplus = state.trim(self.limit);
        drop(state);
        drop(surplus);
        Ok(spare)
    }

    /// Keeps the pieces of a body that is no longer read, as far as there is room.
    fn keep(&self, mut pieces: Pieces) {
        // Before the lock: it may be a whole body, which gives its own bytes back.
        drop(pieces.take_single());
        let mut state = self.lock();
        if !state.readers.is_empty() {
            state.spare.extend(pieces.into_spare());
        }
        let surplus = state.trim(self.limit);
        drop(state);
        drop(surplus);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl State {
    fn take(
        &mut self,
        limit: usize,
        id: u64,
        more: usize,
        now: Instant,
        evicted: &mut Vec<Arc<Slot>>,
    ) -> Result<(), OverBudget> {
        loop {
            let reader = self.readers.get(&id).ok_or(OverBudget)?;
            let (held, since) = (reader.bytes, reader.since);
            let wanted = held.checked_add(more).filter(|wanted| *wanted <= limit).ok_or(OverBudget)?;
            let others = self.large - large(held);
            let crowded = others > 0 && others + large(wanted) > limit - limit / 8 && large(wanted) > 0;
            if self.used - held + wanted <= limit && !crowded {
                self.resize(held, wanted);
                if let Some(reader) = self.readers.get_mut(&id) {
                    reader.bytes = wanted;
                }
                return Ok(());
            }
            let cost = |bytes: usize, since: Instant| bytes as u128 * now.saturating_duration_since(since).as_nanos();
            let victim = self
                .readers
                .iter()
                .filter(|(other, reader)| **other != id && reader.bytes > if crowded { SMALL } else { 0 })
                .max_by_key(|(_, reader)| cost(reader.bytes, reader.since))
                .filter(|(_, reader)| cost(reader.bytes, reader.since) > cost(wanted, since))
                .map(|(other, _)| *other);
            let victim = victim.and_then(|other| self.readers.remove(&other)).ok_or(OverBudget)?;
            self.resize(victim.bytes, 0);
            evicted.push(victim.slot);
        }
    }

    /// Takes out the spare pieces that are too many.
    fn trim(&mut self, limit: usize) -> Spare {
        let most = if self.readers.is_empty() { 0 } else { (limit - self.used) / PIECE };
        self.spare.split_off(self.spare.len().min(most))
    }

    fn resize(&mut self, from: usize, to: usize) {
        self.used = self.used - from + to;
        self.large = self.large - large(from) + large(to);
    }
}

/// The bytes as far as they belong to a large body.
fn large(bytes: usize) -> usize {
    if bytes > SMALL { bytes } else { 0 }
}

impl Share {
    /// Takes a frame, if there is room for it.
    fn push(&self, frame: Bytes, expected: usize) -> Result<(), OverBudget> {
        let growth = {
            let content = self.slot.lock();
            if content.is_taken {
                return Err(OverBudget);
            }
            content.pieces.growth(frame.len(), expected)
        };
        let mut spare = if growth.bytes > 0 { self.budget.take(self.id, growth)? } else { Spare::new() };
        let mut content = self.slot.lock();
        if content.is_taken {
            return Err(OverBudget);
        }
        content.pieces.push(frame, expected, &mut spare);
        Ok(())
    }

    fn is_taken(&self, cx: &Context<'_>) -> bool {
        let mut content = self.slot.lock();
        if !content.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            content.waker = Some(cx.waker().clone());
        }
        content.is_taken
    }

    /// Ends the reading. The bytes are counted as long as anybody owns them.
    fn take(&mut self) -> Result<Bytes, OverBudget> {
        let (reader, surplus) = {
            let mut state = self.budget.lock();
            let reader = state.readers.remove(&self.id).ok_or(OverBudget)?;
            (reader, state.trim(self.budget.limit))
        };
        drop(surplus);
        // It is no longer in the list, so it cannot be dropped any more.
        let body = std::mem::take(&mut self.slot.lock().pieces).into_bytes();
        let body = if reader.is_whole || body.is_empty() {
            body
        } else {
            let (budget, slot) = (Arc::clone(&self.budget), Arc::clone(&self.slot));
            Bytes::from_owner(Held { budget, slot, bytes: reader.bytes, body })
        };
        self.read = Some(Reader { is_whole: true, ..reader });
        Ok(body)
    }

    fn put_back(&mut self, body: Bytes) {
        let Some(reader) = self.read.take() else { return };
        self.slot.lock().pieces = Pieces::whole(body);
        self.budget.lock().readers.insert(self.id, reader);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.read.is_some() {
            return;
        }
        let mut state = self.budget.lock();
        let reader = state.readers.remove(&self.id);
        if let Some(Reader { bytes, is_whole: false, .. }) = reader {
            state.resize(bytes, 0);
        }
        drop(state);
        let mut content = self.slot.lock();
        content.is_taken |= reader.is_none();
        let pieces = std::mem::take(&mut content.pieces);
        drop(content);
        self.budget.keep(pieces);
    }
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, Content> {
        self.0.lock()
    }

    /// Drops the bytes that were read, and wakes the task that reads.
    fn clear(&self) -> Pieces {
        let mut content = self.lock();
        content.is_taken = true;
        let (pieces, waker) = (std::mem::take(&mut content.pieces), content.waker.take());
        drop(content);
        if let Some(waker) = waker {
            waker.wake();
        }
        pieces
    }
}

/// A body that was read completely, and its part of the limit.
#[derive(Debug)]
struct Held {
    budget: Arc<Budget>,
    slot: Arc<Slot>,
    bytes: usize,
    body: Bytes,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // The memory first, then the room that it took.
        self.body = Bytes::new();
        if !self.slot.lock().is_taken {
            self.budget.lock().resize(self.bytes, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc, Barrier,
            atomic::{AtomicBool, Ordering},
        },
        task::{Context, Wake, Waker},
        time::Duration,
    };

    use bytes::Bytes;
    use tokio::time::advance;

    use super::{Budget, OverBudget, SMALL, Share};

    const KIB: usize = 1024;

    fn push(share: &Share, bytes: usize) -> Result<(), OverBudget> {
        share.push(Bytes::from(vec![0; bytes]), bytes)
    }

    fn take(mut share: Share) -> Result<Bytes, OverBudget> {
        share.take()
    }

    #[tokio::test(start_paused = true)]
    async fn shares_never_exceed_the_limit_and_come_back() {
        let budget = Arc::new(Budget::new(10));
        let (first, second, third) = (budget.share(), budget.share(), budget.share());

        assert_eq!(push(&first, 6), Ok(()));
        assert_eq!(push(&second, 5), Err(OverBudget), "nobody is older");
        assert_eq!(push(&second, 4), Ok(()));
        drop(first);
        assert_eq!(push(&third, 6), Ok(()));
        assert_eq!(budget.lock().used, 10);
        drop((second, third));
        assert_eq!(budget.lock().used, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_is_counted_until_its_last_owner_is_gone() {
        let budget = Arc::new(Budget::new(10));
        let share = budget.share();
        assert_eq!(push(&share, 6), Ok(()));

        let body = take(share).unwrap();
        let part = body.slice(2..3);
        drop(body);
        advance(Duration::from_secs(60)).await;

        let other = budget.share();
        assert_eq!(push(&other, 5), Err(OverBudget), "what was verified does not give way");
        drop(part);
        assert_eq!(push(&other, 5), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn the_body_that_has_cost_most_gives_way_and_is_told() {
        struct Told(AtomicBool);
        impl Wake for Told {
            fn wake(self: Arc<Self>) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let budget = Arc::new(Budget::new(1000 * KIB));
        let told = Arc::new(Told(AtomicBool::new(false)));
        let waker = Waker::from(Arc::clone(&told));
        let (old, large) = (budget.share(), budget.share());
        assert_eq!(push(&old, 10 * KIB), Ok(()));
        assert_eq!(push(&large, 980 * KIB), Ok(()));
        assert!(!large.is_taken(&Context::from_waker(&waker)));
        advance(Duration::from_secs(1)).await;

        let new = budget.share();
        assert_eq!(push(&new, 20 * KIB), Ok(()));

        assert!(told.0.load(Ordering::Relaxed));
        assert!(large.is_taken(&Context::from_waker(&waker)));
        assert_eq!(push(&large, 1), Err(OverBudget));
        assert_eq!(take(large), Err(OverBudget));
        assert_eq!(push(&old, 10 * KIB), Ok(()));
        assert_eq!(take(old).unwrap().len(), 20 * KIB);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_has_cost_more_than_all_others_finds_no_room() {
        let budget = Arc::new(Budget::new(1000 * KIB));
        let slow = budget.share();
        assert_eq!(push(&slow, 600 * KIB), Ok(()));
        advance(Duration::from_secs(5)).await;
        let quick = budget.share();
        assert_eq!(push(&quick, 60 * KIB), Ok(()));
        advance(Duration::from_millis(1)).await;

        assert_eq!(push(&slow, 400 * KIB), Err(OverBudget));

        assert_eq!(take(quick).unwrap().len(), 60 * KIB);
    }

    #[tokio::test(start_paused = true)]
    async fn large_bodies_leave_an_eighth_to_small_ones_unless_one_is_alone() {
        let budget = Arc::new(Budget::new(800 * KIB));
        let alone = budget.share();
        assert_eq!(push(&alone, 800 * KIB), Ok(()));
        drop(alone);

        let first = budget.share();
        assert_eq!(push(&first, 400 * KIB), Ok(()));
        let held = take(first).unwrap();
        let second = budget.share();
        assert_eq!(push(&second, 301 * KIB), Err(OverBudget));
        assert_eq!(push(&second, 300 * KIB), Ok(()));
        let second = take(second).unwrap();
        let small = budget.share();
        assert_eq!(push(&small, SMALL), Ok(()));
        drop((held, second));
    }

    #[tokio::test(start_paused = true)]
    async fn a_whole_body_that_was_put_back_gives_way_and_its_bytes_are_given_back_once() {
        let budget = Arc::new(Budget::new(1000 * KIB));
        let ended: [fn(&Arc<Budget>, Share); 4] = [
            // Its client has gone.
            |_, waiting| drop(waiting),
            // Another takes it away.
            |budget, mut waiting| {
                let other = budget.share();
                assert_eq!(push(&other, 800 * KIB), Ok(()));
                assert_eq!(budget.lock().used, 800 * KIB);
                assert_eq!(waiting.take(), Err(OverBudget));
                drop(waiting);
                assert_eq!(budget.lock().used, 800 * KIB);
            },
            // It passes, and an owner outlives its share.
            |budget, mut waiting| {
                let body = waiting.take().unwrap();
                drop(waiting);
                assert_eq!((budget.lock().used, body.len()), (300 * KIB, 300 * KIB));
            },
            // It waits a second time.
            |budget, mut waiting| {
                let body = waiting.take().unwrap();
                waiting.put_back(body);
                assert_eq!(waiting.take().unwrap().len(), 300 * KIB);
                assert_eq!(budget.lock().used, 0);
            },
        ];
        for end in ended {
            let mut share = budget.share();
            (0..3).for_each(|_| assert_eq!(push(&share, 100 * KIB), Ok(())));
            advance(Duration::from_secs(1)).await;
            let body = share.take().unwrap();
            let used = budget.lock().used;
            assert!(used >= 300 * KIB, "{used}");
            share.put_back(body);
            assert_eq!(budget.lock().used, used);

            end(&budget, share);

            let state = budget.lock();
            assert_eq!((state.used, state.large, state.readers.len()), (0, 0, 0));
        }
    }

    // Whether the one that takes it away or the one that waits is first to drop it.
    #[test]
    fn a_whole_body_that_is_taken_away_while_it_ends_is_given_back_once() {
        let budget = Arc::new(Budget::new(1000));
        for round in 0..2000 {
            let mut waiting = budget.share();
            assert_eq!(push(&waiting, 600), Ok(()));
            let body = waiting.take().unwrap();
            waiting.put_back(body);
            let other = budget.share();
            let barrier = Barrier::new(2);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    barrier.wait();
                    let _ = push(&other, 500);
                });
                scope.spawn(|| {
                    barrier.wait();
                    if round % 2 == 0 {
                        drop(waiting);
                    } else {
                        drop(take(waiting));
                    }
                });
            });
            drop(other);
            let state = budget.lock();
            assert_eq!((state.used, state.readers.len()), (0, 0), "in round {round}");
        }
    }
}
