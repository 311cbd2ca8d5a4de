//! The outbox in a PostgreSQL database: endpoints, messages, deliveries and attempts.
//!
//! 1. Whoever changes what is leased of an endpoint locks its row first, and its deliveries after it. What is decided under the
//!    lock is read in a statement of its own, since one statement may see less than its lock has waited for.
//! 2. Nobody waits for long: a worker skips what is locked, and others give up after half of the store's timeout.
//! 3. Dispatching locks no endpoint. So a delivery may be made for one that is being disabled or deleted at that moment; it is
//!    not leased, and `purge` holds or cancels it. And an endpoint's row does not tell of what is new: a lease, which has the
//!    row locked, notes it there.
//! 4. The order of locks is endpoint, then what is moved of it, then delivery, then message, each by id. Should two wait for each other all the same, the
//!    one that the server stops is run once more.

mod deliveries;
mod dispatch;
mod endpoints;
mod event_types;
mod finish;
mod lease;
mod listen;
mod messages;
mod moves;
mod notify;
mod purge;
mod schema;
mod stats;
mod statements;
mod transaction;

use std::{
    any::Any,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sqlx::postgres::PgRow;
use tokio::time::Instant;

use self::{notify::Notifier, schema::OUTBOX, statements::Statements, transaction::is_conflict};
use super::{
    error::store_error,
    migration::{CLAIMS, Part},
    statement::{Statement, Tables, Value},
    store::PostgresStore,
};
use crate::{
    boxed::BoxFuture,
    error::StoreError,
    send::{
        AttemptRecord, Backlog, DeliveryQuery, DeliveryRecord, DisabledReason, Dispatched, EndpointDraft, EndpointId,
        EndpointRecord, EndpointSettings, EventType, Fenced, Finish, LeaseRequest, LeaseToken, Leases, Message,
        MessageQuery, MessageRecord, OutboxId, OutboxStore, Recover, Recovered, Retention, Scope, StatsCell,
    },
};

pub(super) const PARTS: &[&Part] = &[&CLAIMS, &OUTBOX];

/// What the store keeps in memory for its outbox.
pub(super) struct Outbox {
    statements: Statements,
    /// How a transaction begins.
    begin: Box<str>,
    /// For a statement that is its own transaction.
    lock_timeout: Box<str>,
    /// Where workers are told that there is something to do.
    channel: Box<str>,
    /// Nothing where nobody is to be told.
    notifier: Option<Notifier>,
    /// Keeps the advisory locks of two stores in one database apart.
    salt: u64,
    /// Set once the tables were found to fit; until then each call looks.
    checked: AtomicBool,
}

impl Outbox {
    pub(super) fn new(tables: &Tables, timeout: Duration, lock_timeout: &str, salt: u64, notifies: bool) -> Self {
        Self {
            statements: Statements::new(tables),
            begin: transaction::begin_text(lock_timeout, timeout).into(),
            lock_timeout: lock_timeout.into(),
            channel: tables.channel(salt).into(),
            notifier: notifies.then(Notifier::default),
            salt,
            checked: AtomicBool::new(false),
        }
    }

    /// Notes that the tables fit.
    pub(super) fn fits(&self) {
        self.checked.store(true, Ordering::Release);
    }
}

impl PostgresStore {
    fn statements(&self) -> &Statements {
        &self.inner.outbox.statements
    }

    fn offset(&self) -> Value<'static> {
        Value::from(self.inner.clock_offset.as_millis())
    }

    /// Has the workers of other processes told, soon, that there is something to do. What they are told of is committed.
    fn announce(&self) {
        let outbox = &self.inner.outbox;
        if let Some(notifier) = &outbox.notifier {
            let pool = &self.inner.pool.current().value;
            notifier.notify(|asked| notify::run(pool.connect_options(), &outbox.channel, self.inner.timeout, asked));
        }
    }

    /// When a call that begins now has to be over.
    async fn outbox_deadline(&self) -> Result<Instant, StoreError> {
        self.begin_on(&OUTBOX, &self.inner.outbox.checked).await
    }

    /// Runs one statement that is a transaction of its own; once more if another one was in the way.
    async fn ask(
        &self,
        context: &'static str,
        statement: &Statement,
        values: &[Value<'_>],
    ) -> Result<Vec<PgRow>, StoreError> {
        let deadline = self.outbox_deadline().await?;
        self.ask_by(deadline, statement, values).await.map_err(|error| store_error(error, context))
    }

    async fn ask_by(
        &self,
        deadline: Instant,
        statement: &Statement,
        values: &[Value<'_>],
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        match self.run(deadline, statement, values).await {
            Err(error) if is_conflict(&error) => self.run(deadline, statement, values).await,
            done => done,
        }
    }
}

fn corrupt(what: &'static str) -> sqlx::Error {
    sqlx::Error::Decode(what.into())
}

/// A number that is never negative, and never so large.
fn count(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(if number < 0 { 0 } else { u32::MAX })
}

#[deny(clippy::missing_trait_methods)]
impl OutboxStore for PostgresStore {
    fn create_endpoint(
        &self,
        endpoint: EndpointDraft,
        most: u32,
    ) -> BoxFuture<'_, Result<Option<EndpointRecord>, StoreError>> {
        Box::pin(endpoints::create(self, endpoint, most))
    }

    fn endpoint(&self, id: EndpointId) -> BoxFuture<'_, Result<Option<EndpointRecord>, StoreError>> {
        Box::pin(endpoints::get(self, id))
    }

    fn endpoints(
        &self,
        tenant: Option<Arc<str>>,
        after: Option<EndpointId>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<EndpointRecord>, StoreError>> {
        Box::pin(endpoints::list(self, tenant, after, limit))
    }

    fn unreadable_endpoints(&self) -> BoxFuture<'_, Result<Vec<EndpointId>, StoreError>> {
        Box::pin(endpoints::unreadable(self))
    }

    fn change_endpoint(
        &self,
        id: EndpointId,
        revision: u64,
        settings: EndpointSettings,
    ) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(endpoints::change(self, id, revision, settings))
    }

    fn switch_endpoint(
        &self,
        id: EndpointId,
        disabled: Option<DisabledReason>,
    ) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(endpoints::switch(self, id, disabled))
    }

    fn delete_endpoint(&self, id: EndpointId) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(endpoints::delete(self, id))
    }

    fn dispatch(&self, messages: Vec<Message>) -> BoxFuture<'_, Result<Vec<Dispatched>, StoreError>> {
        Box::pin(dispatch::dispatch(self, messages))
    }

    fn dispatch_in<'a>(
        &'a self,
        connection: &'a mut (dyn Any + Send),
        messages: Vec<Message>,
    ) -> BoxFuture<'a, Result<Vec<Dispatched>, StoreError>> {
        Box::pin(dispatch::dispatch_in(self, connection, messages))
    }

    fn dispatch_to(
        &self,
        endpoint: EndpointId,
        message: Message,
    ) -> BoxFuture<'_, Result<Option<OutboxId>, StoreError>> {
        Box::pin(dispatch::dispatch_to(self, endpoint, message))
    }

    fn listen<'a>(&'a self, wake: Box<dyn Fn() + Send + Sync + 'a>) -> BoxFuture<'a, ()> {
        Box::pin(listen::listen(self, wake))
    }

    fn notify(&self) {
        self.announce();
    }

    fn lease(&self, request: LeaseRequest) -> BoxFuture<'_, Result<Leases, StoreError>> {
        Box::pin(lease::lease(self, request))
    }

    fn finish(
        &self,
        id: OutboxId,
        token: LeaseToken,
        finish: Finish,
    ) -> BoxFuture<'_, Result<(Fenced, Option<DisabledReason>), StoreError>> {
        Box::pin(finish::finish(self, id, token, finish))
    }

    fn delivery(&self, id: OutboxId) -> BoxFuture<'_, Result<Option<DeliveryRecord>, StoreError>> {
        Box::pin(deliveries::get(self, id))
    }

    fn deliveries(
        &self,
        tenant: Arc<str>,
        query: DeliveryQuery,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<DeliveryRecord>, StoreError>> {
        Box::pin(deliveries::list(self, tenant, query, limit))
    }

    fn message(&self, tenant: Arc<str>, id: String) -> BoxFuture<'_, Result<Option<MessageRecord>, StoreError>> {
        Box::pin(messages::get(self, tenant, id))
    }

    fn messages(
        &self,
        tenant: Arc<str>,
        query: MessageQuery,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<MessageRecord>, StoreError>> {
        Box::pin(messages::list(self, tenant, query, limit))
    }

    fn attempts(&self, id: OutboxId) -> BoxFuture<'_, Result<Vec<AttemptRecord>, StoreError>> {
        Box::pin(deliveries::attempts(self, id))
    }

    fn resend(&self, id: OutboxId) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(deliveries::resend(self, id))
    }

    fn cancel(&self, id: OutboxId) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(deliveries::cancel(self, id))
    }

    fn recover(&self, id: EndpointId, recover: Recover, limit: u32) -> BoxFuture<'_, Result<Recovered, StoreError>> {
        Box::pin(deliveries::recover(self, id, recover, limit))
    }

    fn erase(&self, tenant: Arc<str>, limit: u32) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(purge::erase(self, tenant, limit))
    }

    fn purge(&self, retention: Retention, limit: u32) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(purge::purge(self, retention, limit))
    }

    fn put_event_types(&self, event_types: Vec<EventType>) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(event_types::put(self, event_types))
    }

    fn event_types(&self) -> BoxFuture<'_, Result<Vec<EventType>, StoreError>> {
        Box::pin(event_types::list(self))
    }

    fn remove_event_type(&self, name: String) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(event_types::remove(self, name))
    }

    fn stats(&self, scope: Scope, since: u32, until: u32) -> BoxFuture<'_, Result<Vec<StatsCell>, StoreError>> {
        Box::pin(stats::read(self, scope, since, until))
    }

    fn backlog(&self, scope: Scope) -> BoxFuture<'_, Result<Backlog, StoreError>> {
        Box::pin(stats::waiting(self, scope))
    }
}
