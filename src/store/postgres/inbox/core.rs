use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use sqlx::postgres::PgRow;
use tokio::time::Instant;

use super::{schema::INBOX, statements::Statements};
use crate::{
    error::StoreError,
    store::postgres::{
        notify::{self, Notifier},
        server::Server,
        statement::{Statement, Value},
        tx::{self, is_conflict},
    },
};

/// The way to the server, and the statements.
pub(super) struct Core {
    pub(super) server: Arc<Server>,
    pub(super) statements: Statements,
    /// How a transaction begins.
    pub(super) begin: Box<str>,
    /// The channel on which workers are notified.
    pub(super) channel: Box<str>,
    /// `None` if notifications are turned off.
    notifier: Option<Notifier>,
    /// Set once the tables were found to fit; until then each call looks.
    checked: AtomicBool,
}

impl Core {
    pub(super) fn new(server: &Arc<Server>, notifies: bool) -> Self {
        Self {
            statements: Statements::new(&server.tables),
            begin: tx::begin_text(&server.lock_timeout, server.timeout).into(),
            channel: server.tables.channel("inbox", server.lock_salt).into(),
            notifier: notifies.then(Notifier::default),
            checked: AtomicBool::new(false),
            server: server.clone(),
        }
    }

    /// Notes that the tables fit.
    pub(super) fn fits(&self) {
        self.checked.store(true, Ordering::Release);
    }

    pub(super) fn offset(&self) -> Value<'static> {
        self.server.offset()
    }

    /// Notifies the workers of other processes soon that there is something to do. It is called after the commit.
    pub(super) fn announce(&self) {
        if let Some(notifier) = &self.notifier {
            let pool = &self.server.pool.current().value;
            notifier.notify(|asked| notify::run(pool.connect_options(), &self.channel, self.server.timeout, asked));
        }
    }

    /// When a call that begins now has to be over.
    pub(super) async fn deadline(&self) -> Result<Instant, StoreError> {
        self.server.begin_on(&INBOX, &self.checked).await
    }

    /// Runs one statement that is a transaction of its own; once more if another one was in the way.
    pub(super) async fn ask(
        &self,
        deadline: Instant,
        statement: &Statement,
        values: &[Value<'_>],
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        match self.server.run(deadline, statement, values).await {
            Err(error) if is_conflict(&error) => self.server.run(deadline, statement, values).await,
            done => done,
        }
    }

    /// The numbers of the locks of order keys and guards, in the order in which they are taken.
    pub(super) fn locks<'k>(&self, keys: impl IntoIterator<Item = &'k [u8]>) -> Vec<i64> {
        let mut numbers: Vec<_> = keys.into_iter().map(|key| self.lock_of(key)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// Keys are hashes, so the first half is random enough. If two have one number, they only wait for each other.
    pub(super) fn lock_of(&self, key: &[u8]) -> i64 {
        let mut half = [0; 8];
        let length = key.len().min(half.len());
        half[..length].copy_from_slice(&key[..length]);
        i64::from_ne_bytes((u64::from_be_bytes(half) ^ self.server.lock_salt).to_ne_bytes())
    }
}
