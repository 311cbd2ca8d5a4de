use std::{sync::Arc, time::Duration};

use super::{accept, lease, list, listen};
use crate::{
    boxed::BoxFuture,
    error::StoreError,
    inbox::{
        AcceptRequest, Accepted, Change, Ending, Fenced, InboxId, InboxLease, InboxLeases, InboxQuery, InboxRecord,
        InboxRetention, InboxStats, InboxStore, LeaseToken, Selection,
    },
    store::redis::store::RedisStore,
};

// Without `finish_in`: the default returns the error of a store without transactions.
impl InboxStore for RedisStore {
    fn identity(&self) -> Option<usize> {
        Some(Arc::as_ptr(&self.inner).addr())
    }

    fn accept(&self, request: AcceptRequest) -> BoxFuture<'_, Result<Vec<Accepted>, StoreError>> {
        Box::pin(accept::accept(&self.inner.inbox, request))
    }

    fn lease(&self, request: InboxLease) -> BoxFuture<'_, Result<InboxLeases, StoreError>> {
        Box::pin(lease::lease(&self.inner.inbox, request))
    }

    fn renew(&self, id: InboxId, token: LeaseToken, lease: Duration) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(lease::renew(&self.inner.inbox, id, token, lease))
    }

    fn finish(&self, id: InboxId, token: LeaseToken, ending: Ending) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(lease::finish(&self.inner.inbox, id, token, ending))
    }

    fn is_done(&self, id: InboxId, token: LeaseToken) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(lease::is_done(&self.inner.inbox, id, token))
    }

    fn event(&self, id: InboxId) -> BoxFuture<'_, Result<Option<InboxRecord>, StoreError>> {
        Box::pin(list::event(&self.inner.inbox, id))
    }

    fn events(
        &self,
        consumer: Arc<str>,
        query: InboxQuery,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<InboxRecord>, StoreError>> {
        Box::pin(list::events(&self.inner.inbox, consumer, query, limit))
    }

    fn change(
        &self,
        consumer: Arc<str>,
        change: Change,
        selection: Selection,
        limit: u32,
    ) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(list::change(&self.inner.inbox, consumer, change, selection, limit))
    }

    fn stats(&self, consumer: Arc<str>) -> BoxFuture<'_, Result<InboxStats, StoreError>> {
        Box::pin(list::stats(&self.inner.inbox, consumer))
    }

    fn purge(
        &self,
        consumer: Arc<str>,
        retention: InboxRetention,
        limit: u32,
    ) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(list::purge(&self.inner.inbox, consumer, retention, limit))
    }

    fn erase(&self, consumer: Arc<str>, tenant: Arc<str>, limit: u32) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(list::erase(&self.inner.inbox, consumer, tenant, limit))
    }

    fn listen(&self, wake: Box<dyn Fn() + Send + Sync>) -> BoxFuture<'static, ()> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move { listen::listen(&inner.inbox, wake).await })
    }
}
