//! The inboxes of this process that have workers, so that two of the same name over one store are detected.

use std::sync::{Arc, Weak};

use super::shared::Shared;
use crate::mutex::Mutex;

static WORKED: Mutex<Vec<Weak<Shared>>> = Mutex::new(Vec::new());

/// Returns whether another inbox has the name and the store of this one. If none has, they are taken by this one until it is dropped.
pub(super) fn are_taken(shared: &Arc<Shared>) -> bool {
    let mut worked = WORKED.lock();
    worked.retain(|other| other.strong_count() > 0);
    let others: Vec<_> = worked.iter().filter_map(Weak::upgrade).collect();
    if others.iter().any(|other| Arc::ptr_eq(other, shared)) {
        return false;
    }
    let store = shared.store.identity();
    let is_same = |other: &Arc<Shared>| {
        store.is_some() && other.store.identity() == store && other.settings.consumer == shared.settings.consumer
    };
    let taken = others.iter().any(is_same);
    if !taken {
        worked.push(Arc::downgrade(shared));
    }
    // The last one of another inbox may be dropped here, with its store: not under the lock.
    drop(worked);
    taken
}
