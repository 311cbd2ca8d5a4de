use std::{fmt, future::ready, sync::Arc, time::Duration};

use super::tables::Tables;
use crate::{
    boxed::BoxFuture,
    clock::{Clock, ClockOffset, Millis, SystemClock, from_time},
    error::StoreError,
    inbox::{
        AcceptRequest, Accepted, Change, Ending, Fenced, InboxId, InboxLease, InboxLeases, InboxQuery, InboxRecord,
        InboxRetention, InboxStats, InboxStore, LeaseToken, Selection,
    },
    mutex::Mutex,
};

/// An inbox in the memory of this process, for tests: **its events are lost when the process ends.** Clones share the
/// events.
///
/// Each call reads all events.
///
/// ```
/// # #[cfg(feature = "axum")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use axum::{Router, http::StatusCode};
/// use tower_webhooks::{EventRouter, Inbox, Secret, WebhookLayer, store::MemoryInbox};
///
/// let events: EventRouter = EventRouter::new().on("invoice.paid", async || StatusCode::OK);
/// let inbox = Inbox::new(MemoryInbox::new(), events);
/// let layer = WebhookLayer::stripe(Secret::new("whsec_only_for_this_test")?);
/// let app: Router = Router::new().route_service("/webhooks/stripe", layer.layer(inbox));
/// # let _ = app;
/// # Ok(()) }
/// # #[cfg(not(feature = "axum"))]
/// # fn main() {}
/// ```
#[derive(Clone, Default)]
pub struct MemoryInbox {
    tables: Arc<Mutex<Tables>>,
    offset: ClockOffset,
}

impl MemoryInbox {
    /// Creates an empty inbox.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates an empty inbox whose clock a test can move.
    pub fn with_offset(offset: ClockOffset) -> Self {
        Self { offset, ..Self::default() }
    }

    fn at_once<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut Tables, Millis) -> T,
    ) -> BoxFuture<'_, Result<T, StoreError>> {
        let now = from_time(SystemClock.now()).saturating_add(self.offset.as_millis());
        Box::pin(ready(Ok(call(&mut self.tables.lock(), now))))
    }
}

impl InboxStore for MemoryInbox {
    fn identity(&self) -> Option<usize> {
        Some(Arc::as_ptr(&self.tables).addr())
    }

    fn accept(&self, request: AcceptRequest) -> BoxFuture<'_, Result<Vec<Accepted>, StoreError>> {
        self.at_once(|tables, now| tables.accept(request, now))
    }

    fn lease(&self, request: InboxLease) -> BoxFuture<'_, Result<InboxLeases, StoreError>> {
        self.at_once(|tables, now| tables.lease(&request, now))
    }

    fn renew(&self, id: InboxId, token: LeaseToken, lease: Duration) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.at_once(|tables, now| tables.renew(id, token, lease, now))
    }

    fn finish(&self, id: InboxId, token: LeaseToken, ending: Ending) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.at_once(|tables, now| tables.finish(id, token, &ending, now))
    }

    fn is_done(&self, id: InboxId, token: LeaseToken) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.at_once(|tables, _| tables.is_done(id, token))
    }

    fn event(&self, id: InboxId) -> BoxFuture<'_, Result<Option<InboxRecord>, StoreError>> {
        self.at_once(|tables, _| tables.event(id))
    }

    fn events(
        &self,
        consumer: Arc<str>,
        query: InboxQuery,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<InboxRecord>, StoreError>> {
        self.at_once(|tables, _| tables.events(&consumer, &query, limit))
    }

    fn change(
        &self,
        consumer: Arc<str>,
        change: Change,
        selection: Selection,
        limit: u32,
    ) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.at_once(|tables, now| tables.change(&consumer, change, &selection, limit, now))
    }

    fn stats(&self, consumer: Arc<str>) -> BoxFuture<'_, Result<InboxStats, StoreError>> {
        self.at_once(|tables, now| tables.stats(&consumer, now))
    }

    fn purge(
        &self,
        consumer: Arc<str>,
        retention: InboxRetention,
        limit: u32,
    ) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.at_once(|tables, now| tables.purge(&consumer, retention, limit, now))
    }

    fn erase(&self, consumer: Arc<str>, tenant: Arc<str>, limit: u32) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.at_once(|tables, now| tables.erase(&consumer, &tenant, limit, now))
    }
}

impl fmt::Debug for MemoryInbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryInbox").finish_non_exhaustive()
    }
}
