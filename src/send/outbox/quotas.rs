use crate::send::error::{SendError, SendErrorKind};

/// How much one tenant, one endpoint and one call can have: [`DispatcherBuilder::quotas`](crate::send::DispatcherBuilder::quotas)
/// sets them.
///
/// What is over a quota is refused with [`TooMany`](SendErrorKind::TooMany). A quota that is lowered takes nothing away from
/// who has more already.
///
/// ```
/// use tower_webhooks::send::Quotas;
///
/// let quotas = Quotas::default().endpoints(20).page(50);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Quotas {
    pub(crate) endpoints: u32,
    pub(crate) patterns: u32,
    pub(crate) page: u32,
    pub(crate) event_types: u32,
}

impl Quotas {
    /// Sets how many endpoints a tenant can have; 100 by default. Each message can become as many deliveries, and a tenant is
    /// charged nothing for one more. It is counted in the store, so it holds for calls at the same time too.
    pub fn endpoints(mut self, most: u32) -> Self {
        self.endpoints = most;
        self
    }

    /// Sets how many patterns of event types an endpoint can have; 100 by default. Every dispatch compares its event type
    /// with all of them; who wants more than that wants `prefix.*`.
    pub fn patterns(mut self, most: u32) -> Self {
        self.patterns = most;
        self
    }

    /// Sets how many rows a call reads at most; 250 by default, 1 at least. It is what a page of a dashboard shows, and is
    /// read in one go.
    pub fn page(mut self, rows: u32) -> Self {
        self.page = rows.max(1);
        self
    }

    /// Sets how many event types the catalogue can hold; 1,000 by default. The catalogue is read as a whole.
    ///
    /// It is counted before it is written, so of several calls at the same time each counts for itself.
    pub fn event_types(mut self, most: u32) -> Self {
        self.event_types = most;
        self
    }
}

impl Default for Quotas {
    /// 100 endpoints, 100 patterns, 250 rows, 1,000 event types.
    fn default() -> Self {
        Self { endpoints: 100, patterns: 100, page: 250, event_types: 1000 }
    }
}

/// More than there may be.
pub(crate) fn too_many(what: &str, most: u32) -> SendError {
    SendError::new(SendErrorKind::TooMany, format!("there can be {most} {what}, and no more"))
}
