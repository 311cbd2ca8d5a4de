use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderName, Request, Response, header};
use http_body_util::Full;
use tower_service::Service;

use super::{
    handler::Handler,
    sealed,
    shared::{Settings, Shared},
    store::{
        Change, InboxId, InboxQuery, InboxRecord, InboxRetention, InboxStats, InboxStore, STATS_COUNTED, Selection,
    },
};
use crate::{error::StoreError, idempotency::MissingId, json::Pointer, observe, sealing::SealingKey};

/// Stores a delivery, answers, and lets a worker handle it later: see the [module](super).
///
/// It is a service for the inside of a [`WebhookLayer`](crate::WebhookLayer), in the place of the service that would
/// have handled the event. Clones share one inbox, and can be kept in an application's state.
///
/// ```
/// # #[cfg(feature = "axum")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use axum::{Router, body::Body, http::{Request, StatusCode}};
/// use tokio::sync::{mpsc, oneshot};
/// use tower::ServiceExt;
/// use tower_webhooks::{EventRouter, Inbox, Secret, VerifiedEvent, WebhookLayer, store::MemoryInbox};
///
/// let (done, mut worked) = mpsc::channel(1);
/// let events = EventRouter::new().on("push", move |event: VerifiedEvent<serde_json::Value>| {
///     let done = done.clone();
///     async move { _ = done.send(event["after"].to_string()).await }
/// });
/// let inbox = Inbox::new(MemoryInbox::new(), events);
/// let layer = WebhookLayer::github(Secret::new("It's a Secret to Everybody")?);
/// let app: Router = Router::new().route_service("/hook", layer.layer(inbox.clone()));
/// let delivery = |signature: &str| Request::post("/hook")
///     .header("x-github-event", "push").header("x-github-delivery", "1").header("x-hub-signature-256", format!("sha256={signature}"))
///     .body(Body::from(r#"{"after":7}"#));
///
/// let right = "3dcf32133c983103a9fe4694286a1aca934a13597fe173e263d1fe0e7c6a5f7f";
/// assert_eq!(app.clone().oneshot(delivery(right)?).await?.status(), StatusCode::ACCEPTED);
/// // A forged one leaves no trace.
/// assert_eq!(app.oneshot(delivery("00")?).await?.status(), StatusCode::UNAUTHORIZED);
/// assert_eq!(inbox.stats().await?.pending, 1);
///
/// let (stop, stopped) = oneshot::channel::<()>();
/// let worker = tokio::spawn(inbox.worker().run(async { _ = stopped.await }));
/// assert_eq!(worked.recv().await.as_deref(), Some("7"));
/// drop(stop);
/// worker.await?;
/// assert_eq!(inbox.stats().await?.pending, 0);
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "axum"))]
/// # fn main() {}
/// ```
#[derive(Clone)]
pub struct Inbox {
    pub(super) shared: Arc<Shared>,
}

/// The name of an inbox without a name of its own.
const DEFAULT_CONSUMER: &str = "inbox";
pub(crate) const DEFAULT_STORE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the content of what is done is kept, to be looked at or replayed.
const DEFAULT_CONTENT: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Longer than other content, since somebody still has to look at dead letters.
const DEFAULT_DEAD: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// What handlers may need and no secret is in. Signatures are not kept.
pub(crate) const DEFAULT_HEADERS: [HeaderName; 4] = [
    header::CONTENT_TYPE,
    header::USER_AGENT,
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
];

impl Inbox {
    /// Creates an inbox that keeps events in `store` until `service` has handled them. The service is an `EventRouter`
    /// with its state, a handler, or a whole `Router`.
    ///
    /// If `service` is an `EventRouter`, event types that it does not handle are acknowledged and not stored. This does
    /// not work for an `EventRouter` inside another service.
    pub fn new<S, R>(store: impl InboxStore, service: S) -> Self
    where
        S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Send,
        R: Send + 'static,
    {
        let settings = Settings {
            consumer: DEFAULT_CONSUMER.into(),
            headers: DEFAULT_HEADERS.to_vec(),
            missing_id: None,
            replay_guard: None,
            retention: None,
            keep: InboxRetention::new(DEFAULT_CONTENT, DEFAULT_DEAD),
            depth_limit: None,
            order_key: None,
            store_timeout: DEFAULT_STORE_TIMEOUT,
            sealing_keys: Vec::new(),
        };
        let shared =
            Shared { store: Arc::new(store), handler: Handler::new(service), settings, new_work: Arc::default() };
        Self { shared: Arc::new(shared) }
    }

    /// Sets the name of the inbox, `inbox` by default. **Two inboxes in one store need two names**: a worker takes
    /// every event of its name, and passes it to its own service. The name is a part of an event's key, so after a
    /// change of the name, duplicates of earlier deliveries count as new.
    #[must_use]
    pub fn with_consumer(self, name: impl Into<Arc<str>>) -> Self {
        self.with(|settings| settings.consumer = name.into())
    }

    /// Stores these headers too, for handlers that read them. By default `content-type`, `user-agent`, `traceparent`
    /// and `tracestate` are stored. Do not add a header that contains a secret.
    #[must_use]
    pub fn with_headers(self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.with(|settings| settings.headers.extend(names))
    }

    /// Handles events that have the same text or number at this JSON pointer in the body, such as
    /// `/data/object/customer`, one after the other, in the order in which they were accepted. An event that fails
    /// delays the later ones until it is done, discarded or dead. Events without this place do not wait.
    ///
    /// # Panics
    /// If `pointer` is not a JSON pointer.
    #[must_use]
    #[track_caller]
    pub fn with_order_key(self, pointer: &str) -> Self {
        let Some(parsed) = Pointer::parse(pointer) else { panic!("`{pointer}` is not a JSON pointer (RFC 6901)") };
        self.with(|settings| settings.order_key = Some(parsed))
    }

    /// Sets how many events may be pending or working. Further ones are answered with 503 and `Retry-After`, so that
    /// their senders retry. By default there is no limit. With a limit, each call of the store counts the events that
    /// have not ended, up to the limit: a limit of 100,000 costs some milliseconds for each event that arrives.
    #[must_use]
    pub fn with_depth_limit(self, events: u64) -> Self {
        self.with(|settings| settings.depth_limit = Some(events))
    }

    /// Sets what happens to a delivery without an id; by default the scheme decides, as for
    /// [claims](crate::idempotency::IdempotencyLayer::with_missing_id). With [`MissingId::Skip`] each such delivery is
    /// a new event.
    #[must_use]
    pub fn with_missing_id(self, choice: MissingId) -> Self {
        self.with(|settings| settings.missing_id = Some(choice))
    }

    /// If the provider does not sign the id, treats a body with equal bytes under another id as a replay, for `window`.
    /// **Two genuine events with equal bytes then count as one.**
    #[must_use]
    pub fn with_replay_guard(self, window: Duration) -> Self {
        self.with(|settings| settings.replay_guard = Some(window))
    }

    /// Sets how long the id of an event is remembered after it has ended; by default 7 days, or longer if the provider
    /// retries for longer.
    #[must_use]
    pub fn with_retention(self, retention: Duration) -> Self {
        self.with(|settings| settings.retention = Some(retention))
    }

    /// Sets how long the content of an event is kept after it is done or discarded; 30 days by default.
    #[must_use]
    pub fn with_content_retention(self, retention: Duration) -> Self {
        self.with(|settings| settings.keep.content = retention)
    }

    /// Sets how long a dead letter is kept; 90 days by default.
    #[must_use]
    pub fn with_dead_letter_retention(self, retention: Duration) -> Self {
        self.with(|settings| settings.keep.dead = retention)
    }

    /// Sets how long a call to the store may take before the sender is answered with 503; 5 s by default.
    #[must_use]
    pub fn with_store_timeout(self, timeout: Duration) -> Self {
        self.with(|settings| settings.store_timeout = timeout)
    }

    /// Seals the body, the URL and the stored headers of each event from now on with this key. Not sealed are the
    /// columns by which events are found: provider, tenant, the sender's id and the event type, digests of keys, and a
    /// short fingerprint of the body.
    ///
    /// The first key seals. Further calls add keys that open what they have sealed. To change the key: add the new one
    /// as the second in all processes, then make it the first, and remove the old one when no event is left that it has
    /// sealed. An event that no key opens is retried like one that fails, and is then dead. Events that were stored
    /// without a key are handled as usual.
    ///
    /// ```
    /// use tower_webhooks::{EventRouter, Inbox, inbox::SealingKey, store::MemoryInbox};
    ///
    /// // In an application: `SealingKey::from_env("WEBHOOKS_KEY")?`.
    /// let key = SealingKey::parse("mZ8bq3J7oXn0gq3q3mWmQe2mF7m1i1o4o1uUj5p0r2s=")?;
    /// # #[cfg(feature = "axum")]
    /// let inbox = Inbox::new(MemoryInbox::new(), EventRouter::new().on("push", || async {})).with_sealing_key(key);
    /// # Ok::<(), tower_webhooks::ConfigError>(())
    /// ```
    #[must_use]
    pub fn with_sealing_key(self, key: SealingKey) -> Self {
        self.with(|settings| settings.sealing_keys.push(key))
    }

    /// Lists events without their content, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn events(&self, query: InboxQuery, limit: u32) -> Result<Vec<InboxRecord>, StoreError> {
        self.shared.store.events(self.consumer(), query, limit).await
    }

    /// Returns an event, with its content if that is still kept and can be opened. Returns `None` if this inbox does
    /// not have the event.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn event(&self, id: InboxId) -> Result<Option<InboxRecord>, StoreError> {
        let record = self.shared.store.event(id).await?;
        let mut record = record.filter(|record| *record.consumer == *self.shared.settings.consumer);
        if let Some(record) = &mut record
            && let (Some(key), Some(content)) = (record.key, record.content.take())
        {
            match sealed::open(&self.shared.settings.sealing_keys, &sealed::of_inbox(key), content) {
                Ok(content) => record.content = Some(content),
                Err(cause) => observe::inbox_failed("open", &cause),
            }
        }
        Ok(record)
    }

    /// Makes an event that has ended due again; its attempts count from 1. Returns `false` if the event does not exist,
    /// has not ended, or its content is no longer kept.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn replay(&self, id: InboxId) -> Result<bool, StoreError> {
        Ok(self.change(Change::Replay, Selection::Ids(vec![id])).await? > 0)
    }

    /// Replays several events. Returns how many were replayed.
    ///
    /// # Errors
    /// When the store fails. Some may have been replayed.
    pub async fn replay_many(&self, ids: impl IntoIterator<Item = InboxId>) -> Result<u64, StoreError> {
        self.change(Change::Replay, Selection::Ids(ids.into_iter().collect())).await
    }

    /// Replays every dead letter that died at `since` or later. Returns how many were replayed.
    ///
    /// # Errors
    /// When the store fails. Some may have been replayed.
    pub async fn replay_since(&self, since: SystemTime) -> Result<u64, StoreError> {
        self.change(Change::Replay, Selection::DiedSince(since)).await
    }

    /// Discards an event that is pending or dead. Returns `false` if it does not exist or is in another state.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn discard(&self, id: InboxId) -> Result<bool, StoreError> {
        Ok(self.change(Change::Discard, Selection::Ids(vec![id])).await? > 0)
    }

    /// Discards several events. Returns how many were discarded.
    ///
    /// # Errors
    /// When the store fails. Some may have been discarded.
    pub async fn discard_many(&self, ids: impl IntoIterator<Item = InboxId>) -> Result<u64, StoreError> {
        self.change(Change::Discard, Selection::Ids(ids.into_iter().collect())).await
    }

    /// Discards every dead letter that died at `since` or later. Returns how many were discarded.
    ///
    /// # Errors
    /// When the store fails. Some may have been discarded.
    pub async fn discard_since(&self, since: SystemTime) -> Result<u64, StoreError> {
        self.change(Change::Discard, Selection::DiedSince(since)).await
    }

    /// Counts the events that are pending, working and dead.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn stats(&self) -> Result<InboxStats, StoreError> {
        self.shared.store.stats(self.consumer()).await
    }

    /// Removes all events of a tenant, except those that are being handled. Returns how many were removed.
    ///
    /// # Errors
    /// When the store fails. Some may have been removed.
    pub async fn erase(&self, tenant: impl Into<Arc<str>>) -> Result<u64, StoreError> {
        let tenant = tenant.into();
        let (mut erased, mut short) = (0, 0);
        loop {
            let step = self.shared.store.erase(self.consumer(), Arc::clone(&tenant), STEP).await?;
            erased += step;
            // A step may change fewer events than it found, if a worker or the sender was faster. Events that keep
            // arriving must not keep this loop running.
            short += u32::from(step < u64::from(STEP));
            if step == 0 || short == MOST_SHORT {
                return Ok(erased);
            }
        }
    }

    async fn change(&self, change: Change, selection: Selection) -> Result<u64, StoreError> {
        let changed = match selection {
            Selection::Ids(ids) => {
                let mut changed = 0;
                for some in ids.chunks(STEP as usize) {
                    let some = Selection::Ids(some.to_vec());
                    changed += self.shared.store.change(self.consumer(), change, some, STEP).await?;
                }
                changed
            }
            died @ Selection::DiedSince(_) => {
                // An event that is replayed and dies again meanwhile must not keep this loop running forever.
                let mut changed = 0;
                'all: loop {
                    let dead = self.stats().await?.dead;
                    let mut of_these = 0;
                    while of_these <= dead {
                        let step = self.shared.store.change(self.consumer(), change, died.clone(), STEP).await?;
                        changed += step;
                        of_these += step;
                        // As above.
                        if step == 0 {
                            break 'all;
                        }
                    }
                    // So many are that many or more.
                    if dead < STATS_COUNTED {
                        break;
                    }
                }
                changed
            }
        };
        if change == Change::Replay && changed > 0 {
            self.shared.new_work.notify_waiters();
        }
        Ok(changed)
    }

    fn consumer(&self) -> Arc<str> {
        Arc::clone(&self.shared.settings.consumer)
    }

    fn with(self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut shared = Arc::try_unwrap(self.shared).unwrap_or_else(|shared| Shared::clone(&shared));
        change(&mut shared.settings);
        Self { shared: Arc::new(shared) }
    }
}

/// The number of events that one call changes.
const STEP: u32 = 500;

/// After this many calls that found fewer than [`STEP`] events, the remaining ones have arrived meanwhile.
const MOST_SHORT: u32 = 8;

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}
