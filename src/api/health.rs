use std::{fmt, future::Future, sync::Arc, time::Duration};

use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use tokio::{sync::Mutex, time::timeout};

use super::answer::json;
use crate::{
    clock::monotonic,
    observe,
    send::{Backlog, Dispatcher, Scope},
};

/// From when on [`health`] says that deliveries are overdue. By default nothing is, and only a store that cannot be reached is told of.
///
/// ```
/// use std::time::Duration;
/// use tower_webhooks::api::HealthLimits;
///
/// let limits = HealthLimits::default().unserved(Duration::from_secs(5 * 60)).waiting(5_000);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[must_use]
pub struct HealthLimits {
    unserved: Option<Duration>,
    oldest_due: Option<Duration>,
    waiting: Option<u32>,
}

impl HealthLimits {
    /// Sets how long an endpoint may have something due of which no worker takes anything. It grows where no worker runs, or where the
    /// workers have too much to do; what an endpoint is to blame for does not count.
    pub fn unserved(mut self, longest: Duration) -> Self {
        self.unserved = Some(longest);
        self
    }

    /// Sets how long the oldest delivery may have been due. It also grows for an endpoint that is slower than what is dispatched to it.
    pub fn oldest_due(mut self, longest: Duration) -> Self {
        self.oldest_due = Some(longest);
        self
    }

    /// Sets how many deliveries may wait; they are counted up to 10,000 ([`BACKLOG_COUNTED`](crate::send::BACKLOG_COUNTED)), so that a
    /// limit above that is never passed.
    pub fn waiting(mut self, most: u32) -> Self {
        self.waiting = Some(most);
        self
    }

    fn are_passed_by(self, backlog: Backlog) -> bool {
        self.unserved.is_some_and(|longest| backlog.unserved > longest)
            || self.oldest_due.is_some_and(|longest| backlog.oldest_due > longest)
            || self.waiting.is_some_and(|most| backlog.waiting > most)
    }
}

/// Creates the handler of a health check: 200 if the store answers and nothing is over the limits, and 503 otherwise. Mount it where
/// probes and monitoring reach it; it needs no authorization, and shows three numbers of the whole outbox and nothing else.
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
///
/// ```text
/// {"status":"ok","waiting":12,"oldest_due_seconds":0,"unserved_seconds":0}
/// ```
///
/// `status` is `ok`, `overdue` or `unavailable`. The store is asked at most once a second, by one request at a time, and has 5 seconds to
/// answer. Do not use it as a liveness probe that restarts the process: a restart helps neither a database nor a backlog.
pub fn health(webhooks: Dispatcher, limits: HealthLimits) -> impl Fn() -> HealthFuture + Clone + Send + Sync + 'static {
    let health = Arc::new(Health { webhooks, limits, last: Mutex::default() });
    move || {
        let health = health.clone();
        Box::pin(async move { health.show().await })
    }
}

type HealthFuture = std::pin::Pin<Box<dyn Future<Output = Response> + Send>>;

struct Health {
    webhooks: Dispatcher,
    limits: HealthLimits,
    /// What was found, and when.
    last: Mutex<Option<(Duration, Option<Backlog>)>>,
}

impl Health {
    async fn show(&self) -> Response {
        let mut last = self.last.lock().await;
        let now = monotonic();
        let backlog = match *last {
            Some((at, found)) if now.saturating_sub(at) < KEPT => found,
            _ => {
                let found = self.look().await;
                *last = Some((monotonic(), found));
                found
            }
        };
        drop(last);
        let (code, status) = match backlog {
            None => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            Some(backlog) if self.limits.are_passed_by(backlog) => (StatusCode::SERVICE_UNAVAILABLE, "overdue"),
            Some(_) => (StatusCode::OK, "ok"),
        };
        let view = HealthView {
            status,
            waiting: backlog.map(|backlog| backlog.waiting),
            oldest_due_seconds: backlog.map(|backlog| backlog.oldest_due.as_secs()),
            unserved_seconds: backlog.map(|backlog| backlog.unserved.as_secs()),
        };
        json(code, &view)
    }

    async fn look(&self) -> Option<Backlog> {
        match timeout(STORE_TIMEOUT, self.webhooks.backlog(Scope::all())).await {
            Ok(Ok(backlog)) => Some(backlog),
            Ok(Err(error)) => {
                observe::api_failed(&error);
                None
            }
            Err(elapsed) => {
                observe::api_failed(&elapsed);
                None
            }
        }
    }
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
}

/// For how long an answer of the store is shown again: anybody may ask, and the store has other work.
const KEPT: Duration = Duration::from_secs(1);

/// As long as other calls of the API wait. Probes give up sooner or about then.
const STORE_TIMEOUT: Duration = Duration::from_secs(5);
