use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use sqlx::PgPool;

/// The connections: the application's pool, or one of our own that is replaced when its server stops answering.
///
/// A pool tests each connection that is given back, without a bound. When the network swallows that test, the connection
/// keeps its place in the pool until the kernel gives up, which takes a quarter of an hour: a few lost packets could leave
/// a pool without a single place. Our own is therefore exchanged for a new one when a call had no answer and no other call
/// had one meanwhile (else the pool is only busy). The application's is not ours to exchange.
#[derive(Debug)]
pub(super) struct Connections {
    current: Mutex<Current>,
    is_ours: bool,
}

/// The pool of the moment, as one call sees it.
#[derive(Debug, Clone)]
pub(super) struct Current {
    pub(super) pool: PgPool,
    /// How many calls of this pool were answered: by now, and when this call began.
    answers: Arc<AtomicU64>,
    before: u64,
}

impl Connections {
    pub(super) fn of_application(pool: PgPool) -> Self {
        Self { current: Mutex::new(Current::new(pool)), is_ours: false }
    }

    pub(super) fn ours(pool: PgPool) -> Self {
        Self { current: Mutex::new(Current::new(pool)), is_ours: true }
    }

    pub(super) fn current(&self) -> Current {
        let mut current = self.lock().clone();
        current.before = current.answers.load(Ordering::Relaxed);
        current
    }

    /// Replaces the pool that a call had no answer from, unless another call had one, or has replaced it already.
    pub(super) fn replace(&self, unanswered: &Current) {
        if !self.is_ours || unanswered.answers.load(Ordering::Relaxed) != unanswered.before {
            return;
        }
        let mut current = self.lock();
        if Arc::ptr_eq(&current.answers, &unanswered.answers) {
            let options = current.pool.options().clone();
            let connect = current.pool.connect_options().as_ref().clone();
            // Calls that are under way on the old pool finish there; it goes with the last of them.
            *current = Current::new(options.connect_lazy_with(connect));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Current> {
        // The lock guards one value that is replaced whole, so a panic leaves nothing half done.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Current {
    fn new(pool: PgPool) -> Self {
        Self { pool, answers: Arc::default(), before: 0 }
    }

    /// Notes that the server has answered.
    pub(super) fn answered(&self) {
        self.answers.fetch_add(1, Ordering::Relaxed);
    }
}
