//! A mutex that ignores poisoning.
//!
//! If a thread panics while it holds the standard library's mutex, the mutex is poisoned, and all later users panic as
//! well. The data under a lock in this crate is valid after each statement, and one panic must not end all later
//! requests.

use std::sync::{self, MutexGuard, PoisonError};

/// As [`std::sync::Mutex`], except that [`lock`](Self::lock) always returns the guard.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::Mutex;

    #[test]
    fn a_panic_of_a_holder_leaves_the_lock_usable() {
        let mutex = Mutex::new(1);

        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let mut value = mutex.lock();
            *value = 2;
            panic!("on purpose");
        }));

        assert!(panicked.is_err());
        assert_eq!(*mutex.lock(), 2);
    }
}
