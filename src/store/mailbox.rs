use std::{
    future::Future,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use crate::error::{StoreError, StoreErrorKind};

/// The channel to a task that answers calls. The first call starts the task. If the task has died, for example with its
/// runtime, the next call starts it again. It ends when the queue is dropped or closed, after it has done what waits.
pub(super) struct Mailbox<T> {
    name: &'static str,
    /// The maximum time that a call waits for its answer.
    limit: Duration,
    worker: Mutex<Worker<T>>,
}

enum Worker<T> {
    Closed,
    Idle,
    Running(mpsc::Sender<T>, JoinHandle<()>),
}

impl<T: Send + 'static> Mailbox<T> {
    pub(super) fn new(name: &'static str, limit: Duration) -> Self {
        Self { name, limit, worker: Mutex::new(Worker::Idle) }
    }

    /// Sends what `item` creates from the reply channel, and waits for the answer. `start` creates the task if there is
    /// none.
    pub(super) async fn ask<A, F>(
        &self,
        item: impl FnOnce(oneshot::Sender<Result<A, StoreError>>) -> T,
        start: impl FnOnce(mpsc::Receiver<T>) -> F,
    ) -> Result<A, StoreError>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let sender = self.sender(start)?;
        let exchange = async {
            // If the queue is full, callers wait here, where they can still be dropped without any effect.
            sender.send(item(reply)).await.map_err(|_| self.unavailable("ended"))?;
            // Dropped before the wait: the task ends with its last sender, and a caller that waits must not keep it alive.
            drop(sender);
            answer.await.map_err(|_| self.unavailable("ended before it answered"))?
        };
        tokio::time::timeout(self.limit, exchange)
            .await
            .unwrap_or_else(|_| Err(self.unavailable("did not answer in time")))
    }

    /// Lets the task answer the calls that it has received, and rejects further calls.
    pub(super) async fn close(&self) {
        let worker = std::mem::replace(&mut *self.lock(), Worker::Closed);
        if let Worker::Running(sender, task) = worker {
            drop(sender);
            // A task that panicked has ended too.
            let _ = task.await;
        }
    }

    fn sender<F>(&self, start: impl FnOnce(mpsc::Receiver<T>) -> F) -> Result<mpsc::Sender<T>, StoreError>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut worker = self.lock();
        match &*worker {
            Worker::Closed => return Err(self.unavailable("was closed")),
            Worker::Running(sender, _) if !sender.is_closed() => return Ok(sender.clone()),
            Worker::Idle | Worker::Running(..) => {}
        }
        let runtime = Handle::try_current()
            .map_err(|error| self.unavailable("needs a tokio runtime to start on").with_source(error))?;
        let (sender, receiver) = mpsc::channel(WAITING);
        *worker = Worker::Running(sender.clone(), runtime.spawn(start(receiver)));
        Ok(sender)
    }

    fn unavailable(&self, what: &str) -> StoreError {
        StoreError::new(StoreErrorKind::Unavailable, format!("the {} {what}", self.name))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Worker<T>> {
        self.worker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many calls may wait in the queue. Further calls wait until there is room.
const WAITING: usize = 1024;
