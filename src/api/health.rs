use std::{fmt, future::Future, sync::Arc, time::Duration};

use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use tokio::{sync::Mutex, time::timeout};

use super::{answer::json, inboxes::Inboxes};
use crate::{
    boxed::BoxError,
    clock::monotonic,
    error::ConfigError,
    inbox::{Inbox, InboxStats},
    observe,
    send::{Backlog, Dispatcher, Scope},
};

/// The limits above which [`health`] answers `overdue`. By default there are none, and only a store that does not
/// answer is reported.
///
/// ```
/// use std::time::Duration;
/// use tower_webhooks::api::HealthLimits;
///
/// let limits = HealthLimits::default().unserved(Duration::from_secs(5 * 60)).waiting(5_000).inbox_waiting(10_000);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[must_use]
pub struct HealthLimits {
    unserved: Option<Duration>,
    oldest_due: Option<Duration>,
    waiting: Option<u32>,
    inbox_waiting: Option<u64>,
    inbox_oldest: Option<Duration>,
}

impl HealthLimits {
    /// Sets for how long an endpoint may have due deliveries without a worker that takes any of them. The value grows
    /// if no worker runs, or if the workers have too much to do; delays that an endpoint causes itself do not count.
    pub fn unserved(mut self, longest: Duration) -> Self {
        self.unserved = Some(longest);
        self
    }

    /// Sets how long the oldest delivery may have been due. The value also grows if an endpoint is slower than messages
    /// are dispatched to it.
    pub fn oldest_due(mut self, longest: Duration) -> Self {
        self.oldest_due = Some(longest);
        self
    }

    /// Sets how many deliveries may wait. They are counted up to 10,000
    /// ([`BACKLOG_COUNTED`](crate::send::BACKLOG_COUNTED)), so a limit above this number has no effect.
    pub fn waiting(mut self, most: u32) -> Self {
        self.waiting = Some(most);
        self
    }

    /// Sets how many events may be pending or working, in all inboxes together.
    pub fn inbox_waiting(mut self, most: u64) -> Self {
        self.inbox_waiting = Some(most);
        self
    }

    /// Sets how long ago the oldest event that has not ended may have been accepted. A single event that fails
    /// repeatedly raises this value too, for as long as it is retried.
    pub fn inbox_oldest(mut self, longest: Duration) -> Self {
        self.inbox_oldest = Some(longest);
        self
    }

    fn are_passed_by(self, found: Found) -> bool {
        let sending = found.backlog.is_some_and(|backlog| {
            self.unserved.is_some_and(|longest| backlog.unserved > longest)
                || self.oldest_due.is_some_and(|longest| backlog.oldest_due > longest)
                || self.waiting.is_some_and(|most| backlog.waiting > most)
        });
        let receiving = found.inbox.is_some_and(|stats| {
            self.inbox_waiting.is_some_and(|most| stats.pending.saturating_add(stats.working) > most)
                || self.inbox_oldest.is_some_and(|longest| stats.oldest.is_some_and(|oldest| oldest > longest))
        });
        sending || receiving
    }
}

/// Creates the handler of a health check for sending. It answers 200 if the store answers and no limit is exceeded, and
/// 503 otherwise. [`Health`] has more options.
///
/// ```
/// use std::time::Duration;
/// use axum::{Router, routing::get};
/// use tower_webhooks::{api::{self, HealthLimits}, send::Dispatcher};
///
/// # fn app(webhooks: Dispatcher) -> Router {
/// let limits = HealthLimits::default().unserved(Duration::from_secs(5 * 60));
/// Router::new().route("/healthz", get(api::health(webhooks, limits)))
/// # }
/// ```
pub fn health(webhooks: Dispatcher, limits: HealthLimits) -> impl Fn() -> HealthFuture + Clone + Send + Sync + 'static {
    Health::new(webhooks).with_limits(limits).handler()
}

/// A health check for sending, for inboxes, or for both. Mount its [handler](Self::handler) where probes and monitoring
/// reach it. It needs no authorization, since it shows only a few totals over all tenants.
///
/// ```
/// use std::time::Duration;
/// use axum::{Router, routing::get};
/// use tower_webhooks::{ConfigError, Inbox, api::{Health, HealthLimits}, send::Dispatcher};
///
/// # fn app(webhooks: Dispatcher, inbox: Inbox) -> Result<Router, ConfigError> {
/// let limits = HealthLimits::default().unserved(Duration::from_secs(5 * 60)).inbox_oldest(Duration::from_secs(60 * 60));
/// let health = Health::new(webhooks).with_inbox(inbox)?.with_limits(limits);
/// Ok(Router::new().route("/healthz", get(health.handler())))
/// # }
/// ```
///
/// ```text
/// {"status":"ok","waiting":12,"oldest_due_seconds":0,"unserved_seconds":0,
///  "inbox":{"pending":3,"working":1,"dead":0,"oldest_seconds":2}}
/// ```
///
/// `status` is `ok`, `overdue` or `unavailable`. The stores are asked at most once a second, by one request at a time,
/// and have 5 seconds to answer. Do not use it as a liveness probe that restarts the process: a restart does not mend a
/// database or shorten a backlog.
#[must_use]
pub struct Health {
    webhooks: Option<Dispatcher>,
    inboxes: Inboxes,
    limits: HealthLimits,
}

impl Health {
    /// Creates a health check for sending.
    pub fn new(webhooks: Dispatcher) -> Self {
        Self { webhooks: Some(webhooks), inboxes: Inboxes::default(), limits: HealthLimits::default() }
    }

    /// Creates a health check for an application that only receives.
    pub fn for_inbox(inbox: Inbox) -> Self {
        Self { webhooks: None, inboxes: Inboxes::of(inbox), limits: HealthLimits::default() }
    }

    /// Adds an inbox.
    ///
    /// # Errors
    /// If another inbox has the same name, or is in another store, as in [`Api::with_inbox`](super::Api::with_inbox).
    pub fn with_inbox(mut self, inbox: Inbox) -> Result<Self, ConfigError> {
        self.inboxes.add(inbox)?;
        Ok(self)
    }

    /// Sets the limits. By default there are none.
    pub fn with_limits(mut self, limits: HealthLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Creates the handler.
    pub fn handler(self) -> impl Fn() -> HealthFuture + Clone + Send + Sync + 'static {
        let health = Arc::new((self, Mutex::default()));
        move || {
            let health = health.clone();
            Box::pin(async move {
                let (health, last) = &*health;
                health.show(last).await
            })
        }
    }

    async fn show(&self, last: &Mutex<Option<(Duration, Option<Found>)>>) -> Response {
        let mut last = last.lock().await;
        let now = monotonic();
        let found = match *last {
            Some((at, found)) if now.saturating_sub(at) < KEPT => found,
            _ => {
                let found = self.look().await;
                *last = Some((monotonic(), found));
                found
            }
        };
        drop(last);
        let (code, status) = match found {
            None => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            Some(found) if self.limits.are_passed_by(found) => (StatusCode::SERVICE_UNAVAILABLE, "overdue"),
            Some(_) => (StatusCode::OK, "ok"),
        };
        let Found { backlog, inbox } = found.unwrap_or_default();
        let view = HealthView {
            status,
            waiting: backlog.map(|backlog| backlog.waiting),
            oldest_due_seconds: backlog.map(|backlog| backlog.oldest_due.as_secs()),
            unserved_seconds: backlog.map(|backlog| backlog.unserved.as_secs()),
            inbox: inbox.map(|InboxStats { pending, working, dead, oldest }| InboxView {
                pending,
                working,
                dead,
                oldest_seconds: oldest.unwrap_or_default().as_secs(),
            }),
        };
        json(code, &view)
    }

    async fn look(&self) -> Option<Found> {
        match timeout(STORE_TIMEOUT, self.find()).await {
            Ok(Ok(found)) => Some(found),
            Ok(Err(error)) => {
                observe::api_failed(&*error);
                None
            }
            Err(elapsed) => {
                observe::api_failed(&elapsed);
                None
            }
        }
    }

    async fn find(&self) -> Result<Found, BoxError> {
        let mut found = Found::default();
        if let Some(webhooks) = &self.webhooks {
            found.backlog = Some(webhooks.backlog(Scope::all()).await?);
        }
        if !self.inboxes.is_empty() {
            found.inbox = Some(self.inboxes.stats(None).await?);
        }
        Ok(found)
    }
}

type HealthFuture = std::pin::Pin<Box<dyn Future<Output = Response> + Send>>;

/// What waits.
#[derive(Debug, Clone, Copy, Default)]
struct Found {
    backlog: Option<Backlog>,
    inbox: Option<InboxStats>,
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health").field("limits", &self.limits).finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct HealthView {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_due_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unserved_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inbox: Option<InboxView>,
}

#[derive(Serialize)]
struct InboxView {
    pending: u64,
    working: u64,
    dead: u64,
    oldest_seconds: u64,
}

/// How long an answer of the store is cached, since anyone can send requests.
const KEPT: Duration = Duration::from_secs(1);

/// The same as for other calls of the API. Most probes time out sooner or at about this time.
const STORE_TIMEOUT: Duration = Duration::from_secs(5);
