use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI64, Ordering},
};

use sqlx::postgres::PgRow;
use tokio::time::Instant;

use super::{schema::OUTBOX, statements::Statements};
use crate::{
    clock::Millis,
    error::StoreError,
    store::postgres::{
        error::store_error,
        notify::{self, Notifier},
        server::Server,
        statement::{Statement, Value},
        tx::{self, is_conflict},
    },
};

/// What the calls of an outbox need.
pub(super) struct Core {
    pub(super) server: Arc<Server>,
    pub(super) statements: Statements,
    /// How a transaction begins.
    pub(super) begin: Box<str>,
    /// The channel on which workers are notified.
    pub(super) channel: Box<str>,
    /// `None` if nobody is to be notified.
    notifier: Option<Notifier>,
    /// Set once the tables were found to fit; until then each call looks.
    checked: AtomicBool,
    /// When work was last looked for, by the server's clock; [`NEVER`] before the first time.
    looked_at: AtomicI64,
}

impl Core {
    pub(super) fn new(server: &Arc<Server>, notifies: bool) -> Self {
        Self {
            statements: Statements::new(&server.tables),
            begin: tx::begin_text(&server.lock_timeout, server.timeout).into(),
            channel: server.tables.channel("outbox", server.lock_salt).into(),
            notifier: notifies.then(Notifier::default),
            checked: AtomicBool::new(false),
            looked_at: AtomicI64::new(NEVER),
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
        self.server.begin_on(&OUTBOX, &self.checked).await
    }

    /// Runs one statement that is a transaction of its own; once more if another one was in the way.
    pub(super) async fn ask(
        &self,
        context: &'static str,
        statement: &Statement,
        values: &[Value<'_>],
    ) -> Result<Vec<PgRow>, StoreError> {
        let deadline = self.deadline().await?;
        self.ask_by(deadline, statement, values).await.map_err(|error| store_error(error, context))
    }

    pub(super) async fn ask_by(
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

    /// Notes when work is looked for. Returns when that was the last time, if this process has looked before.
    pub(super) fn looks(&self, now: Millis) -> Option<Millis> {
        Some(self.looked_at.swap(now, Ordering::Relaxed)).filter(|at| *at != NEVER)
    }
}

const NEVER: Millis = Millis::MIN;
