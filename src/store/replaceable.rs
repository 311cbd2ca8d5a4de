//! The connection of a store to its server, which is replaced if the server stops answering.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// The connection, or the pool of them, of a store.
///
/// A connection can be dead without being closed: packets are lost, or a device on the way accepts and drops them.
/// Drivers then wait, and keep the connection, until the kernel gives up after a quarter of an hour, or forever. So a
/// connection that the store opened itself is replaced by a new one if a call got no answer and no other call got one
/// in the meantime (otherwise the server is only slow). The application's own connection is not replaced.
pub(super) struct Replaceable<T> {
    current: Mutex<Current<T>>,
    open: Option<Open<T>>,
}

/// Opens another one like this, without waiting for it.
type Open<T> = Box<dyn Fn(&T) -> Option<T> + Send + Sync>;

/// The connection or pool that one call uses.
#[derive(Clone)]
pub(super) struct Current<T> {
    pub(super) value: T,
    /// How many calls were answered through this one: by now, and when this call began.
    answers: Arc<AtomicU64>,
    before: u64,
}

impl<T: Clone> Replaceable<T> {
    pub(super) fn of_application(value: T) -> Self {
        Self { current: Mutex::new(Current::new(value)), open: None }
    }

    pub(super) fn ours(value: T, open: impl Fn(&T) -> Option<T> + Send + Sync + 'static) -> Self {
        Self { current: Mutex::new(Current::new(value)), open: Some(Box::new(open)) }
    }

    pub(super) fn current(&self) -> Current<T> {
        let mut current = self.lock().clone();
        current.before = current.answers.load(Ordering::Relaxed);
        current
    }

    /// Replaces the value through which a call got no answer, unless another call got one or has replaced it already.
    pub(super) fn replace(&self, unanswered: &Current<T>) {
        let Some(open) = &self.open else { return };
        let mut current = self.lock();
        let is_silent = unanswered.answers.load(Ordering::Relaxed) == unanswered.before;
        if is_silent && Arc::ptr_eq(&current.answers, &unanswered.answers) {
            // Running calls end on the old value, which is dropped with the last of them.
            if let Some(value) = open(&current.value) {
                *current = Current::new(value);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Current<T>> {
        // The lock guards one value that is replaced whole, so a panic leaves nothing half done.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Current<T> {
    fn new(value: T) -> Self {
        Self { value, answers: Arc::default(), before: 0 }
    }

    /// Notes that the server has answered.
    pub(super) fn answered(&self) {
        self.answers.fetch_add(1, Ordering::Relaxed);
    }
}

impl<T> fmt::Debug for Replaceable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replaceable").field("is_ours", &self.open.is_some()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::Replaceable;

    #[test]
    fn it_is_replaced_once_for_all_calls_that_had_no_answer() {
        let number = Replaceable::ours(1, |number| Some(number + 1));
        let calls = [number.current(), number.current()];

        for call in &calls {
            number.replace(call);
        }

        assert_eq!(number.current().value, 2);
    }

    #[test]
    fn it_stays_while_others_are_answered() {
        let number = Replaceable::ours(1, |number| Some(number + 1));
        let call = number.current();

        number.current().answered();
        number.replace(&call);

        assert_eq!(number.current().value, 1);
    }

    #[test]
    fn what_the_application_opened_stays() {
        let number = Replaceable::of_application(1);

        number.replace(&number.current());

        assert_eq!(number.current().value, 1);
    }
}
