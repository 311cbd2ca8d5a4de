use std::{any::Any, path::Path, sync::Arc, time::SystemTime};

use sqlx::SqliteConnection;

use super::{
    deliveries, dispatch, endpoints, erase, event_types, group::Write, history, messages, moves, purge,
    session::Session, stats,
};
use crate::{
    boxed::BoxFuture,
    clock::monotonic,
    error::{StoreError, StoreErrorKind},
    send::{
        AttemptRecord, Backlog, BacklogSample, DeliveryQuery, DeliveryRecord, DeliveryState, DisabledReason,
        Dispatched, EndpointDraft, EndpointId, EndpointRecord, EndpointSettings, EventTypeDefinition, Fenced, Finish,
        LeaseRequest, LeaseToken, Leases, Message, MessageQuery, MessageRecord, OutboxCatalogue, OutboxEndpoints,
        OutboxLog, OutboxQueue, Recover, Recovered, Retention, SampleStep, Scope, SentDeliveryId, StatsCell,
    },
    store::sqlite::{
        error::{Patience, store_error},
        setup::Setup,
        store::SqliteStore,
    },
};

/// Runs `$work` on the outbox's connection; after an error the next call opens another.
macro_rules! session {
    ($store:expr, $session:ident => $work:expr) => {
        session!($store, writing, $session => $work)
    };
    ($store:expr, $door:ident, $session:ident => $work:expr) => {{
        let access = &$store.shared.outbox.access;
        let mut connections = access.$door.lock().await;
        let Some(connections) = connections.as_mut() else {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "the SQLite store was closed"));
        };
        let done = async {
            let mut $session = Session {
                connection: connections.lend().await?,
                prefix: access.setup.prefix.as_str(),
                patience: Patience::new(access.setup.patience),
                setup: &access.setup,
            };
            $work.await
        }
        .await;
        if let Err(error) = &done {
            connections.renew_after(error);
        }
        done
    }};
}

impl SqliteStore {
    /// Continues to move what waits for an endpoint that was switched. After each step the lock is left to others for
    /// as long as the step took. What does not fit into the time of a call, or fails, is left to `purge`.
    async fn go_on_moving(&self, id: EndpointId, mut more: bool) {
        let until = monotonic().saturating_add(self.shared.outbox.access.setup.patience);
        while more && monotonic() < until {
            let begun = monotonic();
            let moved = async { session!(self, session => moves::go_on(&mut session, Some(id), moves::STEP)) }.await;
            more = moved.is_ok_and(|moved| moved >= moves::STEP);
            tokio::time::sleep(monotonic().saturating_sub(begun).max(moves::SHORTEST_PAUSE)).await;
        }
    }

    /// Each step takes the connection and the write lock again, so that nobody waits for all of them.
    async fn purge_outbox(&self, retention: Retention, limit: u32) -> Result<u64, StoreError> {
        let mut changed = 0;
        for step in purge::Step::ALL {
            changed += async { session!(self, session => purge::run(&mut session, step, retention, limit)) }.await?;
        }
        Ok(changed)
    }
}

impl OutboxEndpoints for SqliteStore {
    fn create_endpoint(
        &self,
        endpoint: EndpointDraft,
        most: u32,
    ) -> BoxFuture<'_, Result<Option<EndpointRecord>, StoreError>> {
        Box::pin(async move { session!(self, session => endpoints::create(&mut session, endpoint, most)) })
    }

    fn endpoint(&self, id: EndpointId) -> BoxFuture<'_, Result<Option<EndpointRecord>, StoreError>> {
        Box::pin(async move { session!(self, reading, session => endpoints::get(&mut session, id)) })
    }

    fn endpoints(
        &self,
        tenant: Option<Arc<str>>,
        after: Option<EndpointId>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<EndpointRecord>, StoreError>> {
        Box::pin(async move {
            session!(self, reading, session => endpoints::list(&mut session, tenant.as_deref(), after, limit))
        })
    }

    fn unreadable_endpoints(&self) -> BoxFuture<'_, Result<Vec<EndpointId>, StoreError>> {
        Box::pin(async move { session!(self, reading, session => endpoints::unreadable(&mut session)) })
    }

    fn change_endpoint(
        &self,
        id: EndpointId,
        revision: u64,
        settings: EndpointSettings,
    ) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(async move { session!(self, session => endpoints::change(&mut session, id, revision, settings)) })
    }

    fn switch_endpoint(
        &self,
        id: EndpointId,
        disabled: Option<DisabledReason>,
    ) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(async move {
            let (there, more) = session!(self, session => endpoints::switch(&mut session, id, disabled))?;
            self.go_on_moving(id, more).await;
            Ok(there)
        })
    }

    fn delete_endpoint(&self, id: EndpointId) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(async move {
            let (there, more) = session!(self, session => endpoints::delete(&mut session, id))?;
            self.go_on_moving(id, more).await;
            Ok(there)
        })
    }
}

impl OutboxQueue for SqliteStore {
    fn dispatch(&self, messages: Vec<Message>) -> BoxFuture<'_, Result<Vec<Dispatched>, StoreError>> {
        Box::pin(self.shared.outbox.write(|reply| Write::Dispatch(messages, reply)))
    }

    fn dispatch_in<'a>(
        &'a self,
        connection: &'a mut (dyn Any + Send),
        messages: Vec<Message>,
    ) -> BoxFuture<'a, Result<Vec<Dispatched>, StoreError>> {
        Box::pin(async move {
            let Some(connection) = connection.downcast_mut::<SqliteConnection>() else {
                return Err(StoreError::new(
                    StoreErrorKind::WrongTransaction,
                    "dispatch: the store is SQLite, and the connection is not an `sqlx::SqliteConnection`",
                ));
            };
            let setup = &self.shared.setup;
            if is_of_another_file(setup, connection).await? {
                return Err(StoreError::new(
                    StoreErrorKind::WrongTransaction,
                    "dispatch: the transaction is of another file than the store; begin it on the database of the store",
                ));
            }
            dispatch::dispatch_in(connection, setup.prefix.as_str(), &messages, setup.clock.now()).await
        })
    }

    fn dispatch_to(
        &self,
        endpoint: EndpointId,
        message: Message,
    ) -> BoxFuture<'_, Result<Option<SentDeliveryId>, StoreError>> {
        Box::pin(self.shared.outbox.write(move |reply| Write::DispatchTo(endpoint, message, reply)))
    }

    fn lease(&self, request: LeaseRequest) -> BoxFuture<'_, Result<Leases, StoreError>> {
        Box::pin(self.shared.outbox.write(move |reply| Write::Lease(request, reply)))
    }

    fn finish(
        &self,
        id: SentDeliveryId,
        token: LeaseToken,
        finish: Finish,
    ) -> BoxFuture<'_, Result<(Fenced, Option<DisabledReason>), StoreError>> {
        Box::pin(self.shared.outbox.write(move |reply| Write::Finish(id, token, finish, reply)))
    }
}

impl OutboxLog for SqliteStore {
    fn delivery(&self, id: SentDeliveryId) -> BoxFuture<'_, Result<Option<DeliveryRecord>, StoreError>> {
        Box::pin(async move { session!(self, reading, session => deliveries::get(&mut session, id)) })
    }

    fn deliveries(
        &self,
        tenant: Arc<str>,
        query: DeliveryQuery,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<DeliveryRecord>, StoreError>> {
        Box::pin(
            async move { session!(self, reading, session => deliveries::list(&mut session, &tenant, &query, limit)) },
        )
    }

    fn all_deliveries(
        &self,
        state: Option<DeliveryState>,
        before: Option<SentDeliveryId>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<DeliveryRecord>, StoreError>> {
        Box::pin(
            async move { session!(self, reading, session => deliveries::list_all(&mut session, state, before, limit)) },
        )
    }

    fn message(&self, tenant: Arc<str>, id: String) -> BoxFuture<'_, Result<Option<MessageRecord>, StoreError>> {
        Box::pin(async move { session!(self, reading, session => messages::get(&mut session, &tenant, id)) })
    }

    fn messages(
        &self,
        tenant: Arc<str>,
        query: MessageQuery,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<MessageRecord>, StoreError>> {
        Box::pin(async move { session!(self, reading, session => messages::list(&mut session, &tenant, query, limit)) })
    }

    fn attempts(&self, id: SentDeliveryId) -> BoxFuture<'_, Result<Vec<AttemptRecord>, StoreError>> {
        Box::pin(async move { session!(self, reading, session => deliveries::attempts(&mut session, id)) })
    }

    fn resend(&self, id: SentDeliveryId) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(async move { session!(self, session => deliveries::resend(&mut session, id)) })
    }

    fn cancel(&self, id: SentDeliveryId) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(async move { session!(self, session => deliveries::cancel(&mut session, id)) })
    }

    fn recover(&self, id: EndpointId, recover: Recover, limit: u32) -> BoxFuture<'_, Result<Recovered, StoreError>> {
        Box::pin(async move { session!(self, session => deliveries::recover(&mut session, id, recover, limit)) })
    }

    fn erase(&self, tenant: Arc<str>, limit: u32) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async move { session!(self, session => erase::erase(&mut session, &tenant, limit)) })
    }

    fn purge(&self, retention: Retention, limit: u32) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(self.purge_outbox(retention, limit))
    }

    fn stats(&self, scope: Scope, since: u32, until: u32) -> BoxFuture<'_, Result<Vec<StatsCell>, StoreError>> {
        Box::pin(async move { session!(self, reading, session => stats::read(&mut session, &scope, since, until)) })
    }

    fn backlog(&self, scope: Scope) -> BoxFuture<'_, Result<Backlog, StoreError>> {
        Box::pin(async move { session!(self, reading, session => stats::waiting(&mut session, &scope)) })
    }

    fn sample_backlog(&self) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(async move {
            let backlog = async { session!(self, reading, session => history::sample(&mut session)) }.await?;
            let Some(backlog) = backlog else { return Ok(false) };
            session!(self, session => history::note(&mut session, backlog)).map(|()| true)
        })
    }

    fn backlog_samples(
        &self,
        step: SampleStep,
        since: SystemTime,
        until: SystemTime,
    ) -> BoxFuture<'_, Result<Vec<BacklogSample>, StoreError>> {
        Box::pin(async move { session!(self, reading, session => history::read(&mut session, step, since, until)) })
    }
}

impl OutboxCatalogue for SqliteStore {
    fn put_event_types(&self, event_types: Vec<EventTypeDefinition>) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move { session!(self, session => event_types::put(&mut session, &event_types)) })
    }

    fn event_types(&self) -> BoxFuture<'_, Result<Vec<EventTypeDefinition>, StoreError>> {
        Box::pin(async move { session!(self, reading, session => event_types::list(&mut session)) })
    }

    fn remove_event_type(&self, name: String) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(async move { session!(self, session => event_types::remove(&mut session, name)) })
    }
}

/// Another file can have the same tables, and no worker of this store would send what is written there. Only what is
/// certain counts: a database in memory is recognised only by its missing tables.
async fn is_of_another_file(setup: &Setup, connection: &mut SqliteConnection) -> Result<bool, StoreError> {
    let options = setup.pool.connect_options();
    let Some(ours) = identity(options.get_filename()) else { return Ok(false) };
    let theirs: String = sqlx::query_scalar("SELECT file FROM pragma_database_list WHERE name = 'main'")
        .fetch_one(connection)
        .await
        .map_err(|error| store_error("ask the transaction for its file", error))?;
    // A path that no longer exists may have been that of the store.
    Ok(theirs.is_empty() || identity(Path::new(&theirs)).is_some_and(|theirs| theirs != ours))
}

/// Returns what identifies a file, by whatever path it was opened.
#[cfg(unix)]
fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

#[cfg(not(unix))]
fn identity(path: &Path) -> Option<std::path::PathBuf> {
    std::fs::canonicalize(path).ok()
}
