//! Several writes in one transaction, so that they share one wait for the lock and for the disk.

use tokio::sync::mpsc;

use super::error::concerns_all;
use crate::error::{StoreError, StoreErrorKind};

/// Whether a group may take in what arrives while it waits for the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    Fixed,
    Growing,
}

/// A task that carries out the calls that it receives, in groups.
pub(super) trait Committer {
    /// Something to write, and the caller that waits for its result.
    type Write;
    /// The result, once its transaction is committed.
    type Answer;

    /// Carries out `writes` in one transaction, and returns the answers once it is committed. After an error nothing
    /// has changed; only if the commit failed, that is unknown.
    async fn try_group(&mut self, writes: &mut Vec<Self::Write>, group: Group)
    -> Result<Vec<Self::Answer>, StoreError>;

    /// Takes what has arrived, up to `most` writes together.
    fn take_arrived(&mut self, writes: &mut Vec<Self::Write>, most: usize);

    /// Sends the answer to the caller of a write.
    fn answer(write: Self::Write, answer: Self::Answer);

    /// Sends the error to the caller of a write.
    fn fail(write: Self::Write, error: StoreError);
}

/// Takes what has arrived, up to `most` writes together.
pub(super) fn take_arrived<W>(arriving: &mut mpsc::Receiver<W>, writes: &mut Vec<W>, most: usize) {
    while writes.len() < most
        && let Ok(write) = arriving.try_recv()
    {
        writes.push(write);
    }
}

/// Commits `writes` together, or each alone if one of them cannot be written.
pub(super) async fn commit<C: Committer>(committer: &mut C, mut writes: Vec<C::Write>) {
    match committer.try_group(&mut writes, Group::Growing).await {
        Ok(answers) => answer_all::<C>(writes, answers),
        Err(error) if writes.len() == 1 || concerns_all(&error) => {
            if error.kind() == StoreErrorKind::Busy {
                // The lock has been held for as long as anyone may wait. Later callers get the error too; otherwise
                // each of them would wait that long again.
                committer.take_arrived(&mut writes, usize::MAX);
            }
            writes.into_iter().for_each(|write| C::fail(write, error.clone()));
        }
        // One of them cannot be written, and all were rolled back. Each is written alone, so that only the faulty one
        // fails.
        Err(_) => {
            let mut stopped: Option<StoreError> = None;
            for write in writes {
                if let Some(error) = &stopped {
                    C::fail(write, error.clone());
                    continue;
                }
                let mut alone = vec![write];
                match committer.try_group(&mut alone, Group::Fixed).await {
                    Ok(answers) => answer_all::<C>(alone, answers),
                    Err(error) => {
                        alone.into_iter().for_each(|write| C::fail(write, error.clone()));
                        stopped = Some(error).filter(concerns_all);
                    }
                }
            }
        }
    }
}

fn answer_all<C: Committer>(writes: Vec<C::Write>, answers: Vec<C::Answer>) {
    for (write, answer) in writes.into_iter().zip(answers) {
        C::answer(write, answer);
    }
}
