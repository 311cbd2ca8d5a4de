use std::{any::Any, sync::Arc, time::Duration};

use super::{accept, change, lease, list, purge};
use crate::{
    boxed::BoxFuture,
    error::StoreError,
    inbox::{
        AcceptRequest, Accepted, Change, Ending, Fenced, InboxId, InboxLease, InboxLeases, InboxQuery, InboxRecord,
        InboxRetention, InboxStats, InboxStore, LeaseToken, Selection,
    },
    store::postgres::{error::store_error, listen::listen, store::PostgresStore},
};

#[deny(clippy::missing_trait_methods)]
impl InboxStore for PostgresStore {
    fn identity(&self) -> Option<usize> {
        Some(Arc::as_ptr(&self.inner).addr())
    }

    fn accept(&self, request: AcceptRequest) -> BoxFuture<'_, Result<Vec<Accepted>, StoreError>> {
        Box::pin(accept::accept(&self.inner.inbox, request))
    }

    fn lease(&self, request: InboxLease) -> BoxFuture<'_, Result<InboxLeases, StoreError>> {
        Box::pin(lease::lease(&self.inner.inbox.core, request))
    }

    fn renew(&self, id: InboxId, token: LeaseToken, lease: Duration) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(lease::renew(&self.inner.inbox.core, id, token, lease))
    }

    fn finish(&self, id: InboxId, token: LeaseToken, ending: Ending) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(lease::finish(&self.inner.inbox.core, id, token, ending))
    }

    fn finish_in<'a>(
        &'a self,
        connection: &'a mut (dyn Any + Send),
        id: InboxId,
        token: LeaseToken,
    ) -> BoxFuture<'a, Result<Fenced, StoreError>> {
        Box::pin(lease::finish_in(&self.inner.inbox.core, connection, id, token))
    }

    fn is_done(&self, id: InboxId, token: LeaseToken) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(async move {
            let core = &self.inner.inbox.core;
            core.deadline().await?;
            let found = lease::standing(core, id).await;
            let found = found.map_err(|error| store_error(error, "read an event of the inbox"))?;
            Ok(found.map_or(Fenced::Stale, |(row, _)| row.standing.is_done(token)))
        })
    }

    fn event(&self, id: InboxId) -> BoxFuture<'_, Result<Option<InboxRecord>, StoreError>> {
        Box::pin(list::event(&self.inner.inbox.core, id))
    }

    fn events(
        &self,
        consumer: Arc<str>,
        query: InboxQuery,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<InboxRecord>, StoreError>> {
        Box::pin(list::events(&self.inner.inbox.core, consumer, query, limit))
    }

    fn change(
        &self,
        consumer: Arc<str>,
        change: Change,
        selection: Selection,
        limit: u32,
    ) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(change::change(&self.inner.inbox.core, consumer, change, selection, limit))
    }

    fn stats(&self, consumer: Arc<str>) -> BoxFuture<'_, Result<InboxStats, StoreError>> {
        Box::pin(list::stats(&self.inner.inbox.core, consumer))
    }

    fn purge(
        &self,
        consumer: Arc<str>,
        retention: InboxRetention,
        limit: u32,
    ) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(purge::purge(&self.inner.inbox.core, consumer, retention, limit))
    }

    fn erase(&self, consumer: Arc<str>, tenant: Arc<str>, limit: u32) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(purge::erase(&self.inner.inbox.core, consumer, tenant, limit))
    }

    fn listen(&self, wake: Box<dyn Fn() + Send + Sync>) -> BoxFuture<'static, ()> {
        let core = Arc::clone(&self.inner.inbox.core);
        Box::pin(async move { listen(&core.server, &core.channel, wake).await })
    }
}
