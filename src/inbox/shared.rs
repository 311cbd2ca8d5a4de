use std::{sync::Arc, time::Duration};

use http::HeaderName;
use tokio::sync::Notify;

use super::{
    handler::Handler,
    store::{InboxRetention, InboxStore},
};
use crate::{idempotency::MissingId, json::Pointer, sealing::SealingKey};

/// The state that the clones of an inbox share with its workers.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) store: Arc<dyn InboxStore>,
    pub(super) handler: Handler,
    pub(super) settings: Settings,
    /// Wakes the workers of this process when something was stored.
    pub(super) new_work: Arc<Notify>,
}

#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) consumer: Arc<str>,
    pub(super) headers: Vec<HeaderName>,
    pub(super) missing_id: Option<MissingId>,
    pub(super) replay_guard: Option<Duration>,
    pub(super) retention: Option<Duration>,
    pub(super) keep: InboxRetention,
    pub(super) depth_limit: Option<u64>,
    pub(super) order_key: Option<Pointer>,
    pub(super) store_timeout: Duration,
    /// The first key seals, and all of them open.
    pub(super) sealing_keys: Vec<SealingKey>,
}
