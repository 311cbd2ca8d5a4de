use std::{any::Any, sync::Arc, time::Duration};

use super::{
    AcceptRequest, Accepted, Change, Ending, InboxId, InboxLease, InboxLeases, InboxQuery, InboxRecord, InboxRetention,
    InboxStats, InboxStore, Selection,
};
use crate::{
    boxed::BoxFuture,
    error::StoreError,
    queue::{Fenced, LeaseToken},
};

macro_rules! forward {
    ($($pointer:ident)*) => { $(
        #[deny(clippy::missing_trait_methods)]
        impl<S: InboxStore + ?Sized> InboxStore for $pointer<S> {
            fn accept(&self, request: AcceptRequest) -> BoxFuture<'_, Result<Vec<Accepted>, StoreError>> {
                (**self).accept(request)
            }

            fn lease(&self, request: InboxLease) -> BoxFuture<'_, Result<InboxLeases, StoreError>> {
                (**self).lease(request)
            }

            fn renew(
                &self,
                id: InboxId,
                token: LeaseToken,
                lease: Duration,
            ) -> BoxFuture<'_, Result<Fenced, StoreError>> {
                (**self).renew(id, token, lease)
            }

            fn finish(
                &self,
                id: InboxId,
                token: LeaseToken,
                ending: Ending,
            ) -> BoxFuture<'_, Result<Fenced, StoreError>> {
                (**self).finish(id, token, ending)
            }

            fn finish_in<'a>(
                &'a self,
                connection: &'a mut (dyn Any + Send),
                id: InboxId,
                token: LeaseToken,
            ) -> BoxFuture<'a, Result<Fenced, StoreError>> {
                (**self).finish_in(connection, id, token)
            }

            fn is_done(&self, id: InboxId, token: LeaseToken) -> BoxFuture<'_, Result<Fenced, StoreError>> {
                (**self).is_done(id, token)
            }

            fn event(&self, id: InboxId) -> BoxFuture<'_, Result<Option<InboxRecord>, StoreError>> {
                (**self).event(id)
            }

            fn events(
                &self,
                consumer: Arc<str>,
                query: InboxQuery,
                limit: u32,
            ) -> BoxFuture<'_, Result<Vec<InboxRecord>, StoreError>> {
                (**self).events(consumer, query, limit)
            }

            fn change(
                &self,
                consumer: Arc<str>,
                change: Change,
                selection: Selection,
                limit: u32,
            ) -> BoxFuture<'_, Result<u64, StoreError>> {
                (**self).change(consumer, change, selection, limit)
            }

            fn stats(&self, consumer: Arc<str>) -> BoxFuture<'_, Result<InboxStats, StoreError>> {
                (**self).stats(consumer)
            }

            fn purge(
                &self,
                consumer: Arc<str>,
                retention: InboxRetention,
                limit: u32,
            ) -> BoxFuture<'_, Result<u64, StoreError>> {
                (**self).purge(consumer, retention, limit)
            }

            fn erase(
                &self,
                consumer: Arc<str>,
                tenant: Arc<str>,
                limit: u32,
            ) -> BoxFuture<'_, Result<u64, StoreError>> {
                (**self).erase(consumer, tenant, limit)
            }

            fn identity(&self) -> Option<usize> {
                (**self).identity()
            }

            fn listen(&self, wake: Box<dyn Fn() + Send + Sync>) -> BoxFuture<'static, ()> {
                (**self).listen(wake)
            }
        }
    )* };
}

forward! { Arc Box }
