use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;

use crate::{
    clock::Clock,
    net::destination::DestinationPolicy,
    queue::Room,
    send::{
        attempt::Transport,
        message::api_versions::ApiVersions,
        outbox::{
            hooks::Hooks,
            quotas::Quotas,
            store::{OutboxStore, delivery::Retention},
        },
        retry::RetryPolicy,
        signing::seal::Sealer,
    },
};

/// What a dispatcher, its handles and its workers have in common.
pub(crate) struct Shared {
    pub(crate) store: Arc<dyn OutboxStore>,
    pub(crate) sealer: Sealer,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) policy: DestinationPolicy,
    pub(crate) retries: RetryPolicy,
    pub(crate) hooks: Hooks,
    pub(crate) quotas: Quotas,
    pub(crate) api_versions: Option<ApiVersions>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) attempt_header: bool,
    pub(crate) times: Times,
    pub(crate) room: Room,
    pub(crate) new_work: Arc<Notify>,
    /// There is something to purge now.
    pub(crate) to_purge: Notify,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) attempt: Duration,
    pub(crate) lease: Duration,
    pub(crate) disable_after: Duration,
    pub(crate) retention: Retention,
}

impl Shared {
    /// Wakes the workers of this process, since there may be work.
    pub(crate) fn wake(&self) {
        self.new_work.notify_waiters();
    }
}
