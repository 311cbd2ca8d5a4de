//! What this process has received since it started, for a page of the dashboard. The counters of the feature `metrics` go to a recorder,
//! which cannot be asked.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use crate::error::VerifyErrorKind;

static RECEIVED: AtomicU64 = AtomicU64::new(0);
static DUPLICATES: AtomicU64 = AtomicU64::new(0);
static REJECTED: [Rejected; VerifyErrorKind::COUNT] =
    [const { Rejected { kind: OnceLock::new(), count: AtomicU64::new(0) } }; VerifyErrorKind::COUNT];

struct Rejected {
    kind: OnceLock<&'static str>,
    count: AtomicU64,
}

pub(super) fn received() {
    RECEIVED.fetch_add(1, Relaxed);
}

pub(super) fn rejected(kind: VerifyErrorKind) {
    if let Some(rejected) = REJECTED.get(kind as usize) {
        rejected.kind.get_or_init(|| kind.as_str());
        rejected.count.fetch_add(1, Relaxed);
    }
}

#[cfg(feature = "idempotency")]
pub(super) fn duplicate() {
    DUPLICATES.fetch_add(1, Relaxed);
}

/// What all layers of this process have counted since it started.
pub(crate) struct Received {
    pub(crate) all: u64,
    /// Those that were rejected, by the name of the kind; those kinds that occurred.
    pub(crate) rejected: Vec<(&'static str, u64)>,
    pub(crate) duplicates: u64,
}

impl Received {
    pub(crate) fn now() -> Self {
        let rejected =
            REJECTED.iter().filter_map(|rejected| Some((*rejected.kind.get()?, rejected.count.load(Relaxed))));
        Self { all: RECEIVED.load(Relaxed), rejected: rejected.collect(), duplicates: DUPLICATES.load(Relaxed) }
    }
}
