use crate::send::error::{SendError, SendErrorKind};

/// Limits for a tenant, an endpoint and a call. [`DispatcherBuilder::quotas`](crate::send::DispatcherBuilder::quotas) sets them.
///
/// What exceeds a quota is rejected with [`TooMany`](SendErrorKind::TooMany). Lowering a quota removes nothing that exists
/// already.
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
    /// Sets the maximum number of endpoints of a tenant; 100 by default. Each message can become as many deliveries, and another
    /// endpoint costs the tenant nothing. The store counts them, so the limit also holds for concurrent calls.
    pub fn endpoints(mut self, most: u32) -> Self {
        self.endpoints = most;
        self
    }

    /// Sets the maximum number of patterns of an endpoint; 100 by default. Every dispatch compares its event type with all of
    /// them. An endpoint that needs more can use `prefix.*`.
    pub fn patterns(mut self, most: u32) -> Self {
        self.patterns = most;
        self
    }

    /// Sets the maximum number of rows that a call reads; 250 by default, at least 1. It suits a page of a dashboard, which is
    /// read at once.
    pub fn page(mut self, rows: u32) -> Self {
        self.page = rows.max(1);
        self
    }

    /// Sets the maximum number of event types in the catalogue; 1,000 by default. The catalogue is read as a whole.
    ///
    /// They are counted before they are written, so concurrent calls can exceed the limit together.
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

/// Returns the error for what exceeds a quota.
pub(crate) fn too_many(what: &str, most: u32) -> SendError {
    SendError::new(SendErrorKind::TooMany, format!("there can be {most} {what}, and no more"))
}
