use std::{any::Any, sync::Arc, time::Duration};

use sqlx::SqliteConnection;

use super::{
    group::{Answer, Call, mixed_up},
    lease, list,
    rows::find,
    rows::number_of,
};
use crate::{
    boxed::BoxFuture,
    error::{StoreError, StoreErrorKind},
    inbox::{
        AcceptRequest, Accepted, Change, Ending, Fenced, InboxId, InboxLease, InboxLeases, InboxQuery, InboxRecord,
        InboxRetention, InboxStats, InboxStore, LeaseToken, Selection,
    },
    store::sqlite::{
        error::{in_transaction, store_error},
        store::SqliteStore,
    },
};

/// Runs `$work` on the connection that reads; after an error the next call opens another.
macro_rules! reading {
    ($store:expr, $context:literal, ($connection:ident, $prefix:ident) => $work:expr) => {{
        let access = &$store.shared.inbox.access;
        let mut connections = access.reading.lock().await;
        let Some(connections) = connections.as_mut() else {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "the SQLite store was closed"));
        };
        let done = async {
            let mut lent = connections.lend().await?;
            let ($connection, $prefix): (&mut SqliteConnection, &str) = (&mut lent, access.setup.prefix.as_str());
            $work.await.map_err(|error| store_error($context, error))
        }
        .await;
        if let Err(error) = &done {
            connections.renew_after(error);
        }
        done
    }};
}

impl SqliteStore {
    async fn count(&self, call: Call) -> Result<u64, StoreError> {
        match self.shared.inbox.write(call).await? {
            Answer::Count(count) => Ok(count),
            _ => Err(mixed_up()),
        }
    }

    async fn fenced(&self, call: Call) -> Result<Fenced, StoreError> {
        match self.shared.inbox.write(call).await? {
            Answer::Fenced(fenced) => Ok(fenced),
            _ => Err(mixed_up()),
        }
    }
}

impl InboxStore for SqliteStore {
    fn identity(&self) -> Option<usize> {
        Some(Arc::as_ptr(&self.shared).addr())
    }

    fn accept(&self, request: AcceptRequest) -> BoxFuture<'_, Result<Vec<Accepted>, StoreError>> {
        Box::pin(async move {
            match self.shared.inbox.write(Call::Accept(request)).await? {
                Answer::Accepted(accepted) => Ok(accepted),
                _ => Err(mixed_up()),
            }
        })
    }

    fn lease(&self, request: InboxLease) -> BoxFuture<'_, Result<InboxLeases, StoreError>> {
        Box::pin(async move {
            match self.shared.inbox.write(Call::Lease(request)).await? {
                Answer::Leased(leases) => Ok(leases),
                _ => Err(mixed_up()),
            }
        })
    }

    fn renew(&self, id: InboxId, token: LeaseToken, lease: Duration) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(self.fenced(Call::Renew(id, token, lease)))
    }

    fn finish(&self, id: InboxId, token: LeaseToken, ending: Ending) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(self.fenced(Call::Finish(id, token, ending)))
    }

    fn finish_in<'a>(
        &'a self,
        connection: &'a mut (dyn Any + Send),
        id: InboxId,
        token: LeaseToken,
    ) -> BoxFuture<'a, Result<Fenced, StoreError>> {
        Box::pin(async move {
            let Some(connection) = connection.downcast_mut::<SqliteConnection>() else {
                return Err(StoreError::new(
                    StoreErrorKind::WrongTransaction,
                    "end an event: the store is SQLite, and the connection is not an `sqlx::SqliteConnection`",
                ));
            };
            let setup = &self.shared.setup;
            // In another file that has our tables the token is not found.
            lease::finish(connection, setup.prefix.as_str(), (id, token), &Ending::Done, setup.clock.now())
                .await
                .map_err(|error| in_transaction("end an event in the application's transaction", error))
        })
    }

    fn is_done(&self, id: InboxId, token: LeaseToken) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(async move {
            let row = reading!(self, "read an event of the inbox", (connection, prefix) => find(connection, prefix, number_of(id)))?;
            Ok(row.map_or(Fenced::Stale, |row| row.standing.is_done(token)))
        })
    }

    fn event(&self, id: InboxId) -> BoxFuture<'_, Result<Option<InboxRecord>, StoreError>> {
        Box::pin(async move {
            reading!(self, "read an event of the inbox", (connection, prefix) => list::event(connection, prefix, id))
        })
    }

    fn events(
        &self,
        consumer: Arc<str>,
        query: InboxQuery,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<InboxRecord>, StoreError>> {
        Box::pin(async move {
            reading!(self, "list events of the inbox", (connection, prefix) => list::events(connection, prefix, &consumer, &query, limit))
        })
    }

    fn change(
        &self,
        consumer: Arc<str>,
        change: Change,
        selection: Selection,
        limit: u32,
    ) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(self.count(Call::Change(consumer, change, selection, limit)))
    }

    fn stats(&self, consumer: Arc<str>) -> BoxFuture<'_, Result<InboxStats, StoreError>> {
        Box::pin(async move {
            let now = self.shared.setup.clock.now();
            reading!(self, "count events of the inbox", (connection, prefix) => list::stats(connection, prefix, &consumer, now))
        })
    }

    fn purge(
        &self,
        consumer: Arc<str>,
        retention: InboxRetention,
        limit: u32,
    ) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(self.count(Call::Purge(consumer, retention, limit)))
    }

    fn erase(&self, consumer: Arc<str>, tenant: Arc<str>, limit: u32) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(self.count(Call::Erase(consumer, tenant, limit)))
    }
}
