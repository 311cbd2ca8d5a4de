use std::{
    collections::HashMap,
    error::Error,
    fmt,
    future::{Future, poll_fn},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    task::Poll,
    time::{Duration, SystemTime},
};

use http::{HeaderValue, StatusCode};
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    boxed::{BoxError, BoxFuture},
    clock::{self, millis},
    error::{StoreError, StoreErrorKind},
    net::destination::EndpointUrl,
    observe,
    queue::{self, Fenced, LeaseToken, Queue, Taken},
    send::{
        attempt::{Answer, AttemptError, AttemptErrorKind, AttemptRequest, AttemptResult, Transport},
        error::{SendError, SendErrorKind},
        message::{
            content::{Content, Contents},
            message::Message,
            own::ENDPOINT_DISABLED,
        },
        outbox::{
            dispatcher::Dispatcher,
            hooks::{Attempted, Disabled},
            purge,
            store::{
                delivery::DeliveryState,
                endpoint::{DisabledReason, EndpointRecord},
                ids::{EndpointId, OutboxId},
                lease::{After, Fault, Finish, Held, LeaseRequest, LeasedDelivery},
                limits::PROVEN_WITHIN,
            },
        },
        retry::NextStep,
        signing::{custom_headers::CustomHeaders, echoes::Echoes, profile::Profile, signer::Signer},
    },
};

/// Delivers what is due, until it is told to stop.
///
/// 1. A worker that is killed loses nothing: what it held is delivered again, under the same id, when its lease ends.
/// 2. An attempt that ends after its lease, when another worker has the delivery, changes nothing.
/// 3. Endpoints that are new, or had an attempt that took longer than 2 s within ten minutes, have at most half of its places together.
///    An attempt that takes longer than 2 s leaves its place to others, and counts among that half.
/// 4. No tenant with a name has more places than are free, which is half of them where it is alone. So others find room whatever it
///    does.
/// 5. On shutdown it takes nothing new, and ends when the attempts that it has begun are noted: after 15 seconds at most,
///    unless the store is down.
///
/// ```
/// # #[cfg(feature = "idempotency")]
/// # mod example {
/// use std::{sync::Arc, time::Duration};
/// use http::StatusCode;
/// use tokio::sync::Notify;
/// use tower_webhooks::{
///     BoxFuture,
///     send::{
///         Answer, AttemptRequest, AttemptResult, DeliveryState, DestinationPolicy, Dispatcher, Message, NewEndpoint, SealingKey,
///         Transport,
///     },
///     store::MemoryOutbox,
/// };
///
/// struct Pretend; // a test's own client
///
/// impl Transport for Pretend {
///     fn send(&self, _: AttemptRequest) -> BoxFuture<'_, AttemptResult> {
///         Box::pin(std::future::ready(AttemptResult::answered(Answer::new(StatusCode::OK), Duration::ZERO)))
///     }
/// }
///
/// # pub async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let done = Arc::new(Notify::new());
/// let tell = done.clone();
/// let webhooks = Dispatcher::builder(MemoryOutbox::new())
///     .sealing_key(SealingKey::parse("mZ8bq3J7oXn0gq3q3mWmQe2mF7m1i1o4o1uUj5p0r2s=")?)
///     .transport(Pretend, DestinationPolicy::default())
///     .on_delivered(move |_| tell.notify_one())
///     .build()?;
/// webhooks.endpoints().create(NewEndpoint::new("https://example.com/hook")?).await?;
/// webhooks.dispatch(Message::new("order.completed", &[7])?).await?;
///
/// // An application spawns it, and stops it with itself.
/// webhooks.worker().run(async move { done.notified().await }).await;
///
/// let delivery = webhooks.deliveries(None, Default::default()).await?.remove(0);
/// assert_eq!(delivery.state, DeliveryState::Delivered);
/// # Ok(()) }
/// # }
/// # #[cfg(feature = "idempotency")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> { example::run().await }
/// # #[cfg(not(feature = "idempotency"))]
/// # fn main() {}
/// ```
pub struct SendWorker {
    outbox: Arc<Outbox>,
}

impl SendWorker {
    pub(crate) fn new(dispatcher: Dispatcher) -> Self {
        let outbox =
            Outbox { dispatcher, opened: Mutex::default(), contents: Contents::default(), places: Arc::default() };
        Self { outbox: Arc::new(outbox) }
    }

    /// Works until `shutdown` is ready and what was begun has ended. It never fails: where the store does, that is logged, and it
    /// tries again.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let shared = &self.outbox.dispatcher.shared;
        let (room, new_work) = (shared.room, shared.new_work.clone());
        let store = self.outbox.dispatcher.shared.store.clone();
        let wake = new_work.clone();
        // A task of its own, which ends with this future.
        let of_purge = self.outbox.dispatcher.shared.clone();
        let mut purging = JoinSet::new();
        purging.spawn(async move { purge::run(&of_purge).await });
        let mut listen = Some(store.listen(Box::new(move || wake.notify_waiters())));
        let mut run = pin!(queue::run(self.outbox, room, new_work, shutdown));
        poll_fn(|cx| {
            if listen.as_mut().is_some_and(|listen| listen.as_mut().poll(cx).is_ready()) {
                // There is nothing to listen to, or no longer.
                listen = None;
            }
            run.as_mut().poll(cx)
        })
        .await;
    }
}

impl fmt::Debug for SendWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendWorker").field("dispatcher", &self.outbox.dispatcher).finish()
    }
}

struct Outbox {
    dispatcher: Dispatcher,
    /// What was opened, by endpoint: its keys are set up once for each revision.
    opened: Mutex<HashMap<EndpointId, (u64, Arc<Opened>)>>,
    contents: Contents,
    places: Arc<Places>,
}

/// An endpoint as an attempt needs it.
struct Opened {
    url: EndpointUrl,
    signer: Signer,
    headers: CustomHeaders,
    echoes: Echoes,
}

/// A delivery in this worker's hands.
struct Job {
    token: LeaseToken,
    delivery: LeasedDelivery,
    place: Place,
}

/// What is taken of a worker's places.
#[derive(Default)]
struct Places {
    /// How many jobs are of endpoints that are not proven, or slow at this moment.
    unproven: AtomicU32,
    /// How many jobs were of proven endpoints and are slow: they are in nobody's way any longer.
    aside: AtomicU32,
    /// What each tenant with a name has.
    tenants: Mutex<HashMap<Arc<str>, OfTenant>>,
}

#[derive(Clone, Copy, Default)]
struct OfTenant {
    all: u32,
    unproven: u32,
}

impl Places {
    fn held(&self) -> Arc<[Held]> {
        let tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        tenants.iter().map(|(tenant, has)| Held::new(tenant.clone(), has.all, has.unproven)).collect()
    }

    fn change(&self, tenant: &Arc<str>, change: impl FnOnce(&mut OfTenant)) {
        if tenant.is_empty() {
            return;
        }
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let has = tenants.entry(tenant.clone()).or_default();
        change(has);
        if has.all == 0 {
            tenants.remove(tenant);
        }
    }
}

/// A job's place, until it is dropped.
struct Place {
    places: Arc<Places>,
    tenant: Arc<str>,
    is_unproven: bool,
    is_aside: bool,
}

impl Place {
    fn take(places: &Arc<Places>, endpoint: &EndpointRecord) -> Self {
        let is_unproven = !endpoint.proven;
        let one = u32::from(is_unproven);
        places.unproven.fetch_add(one, Ordering::Relaxed);
        places.change(&endpoint.tenant, |has| {
            has.all += 1;
            has.unproven += one;
        });
        Self { places: places.clone(), tenant: endpoint.tenant.clone(), is_unproven, is_aside: false }
    }

    /// Leaves the place of a quick attempt to others, if it is one.
    fn set_aside(&mut self) {
        if self.is_unproven {
            return;
        }
        (self.is_unproven, self.is_aside) = (true, true);
        self.places.aside.fetch_add(1, Ordering::Relaxed);
        self.places.unproven.fetch_add(1, Ordering::Relaxed);
        self.places.change(&self.tenant, |has| has.unproven += 1);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let one = u32::from(self.is_unproven);
        self.places.unproven.fetch_sub(one, Ordering::Relaxed);
        self.places.aside.fetch_sub(u32::from(self.is_aside), Ordering::Relaxed);
        self.places.change(&self.tenant, |has| {
            has.all = has.all.saturating_sub(1);
            has.unproven = has.unproven.saturating_sub(one);
        });
    }
}

impl Queue for Outbox {
    type Job = Job;

    fn take(&self, limit: u32) -> BoxFuture<'_, Result<Taken<Self::Job>, StoreError>> {
        Box::pin(async move {
            let shared = &self.dispatcher.shared;
            let token = LeaseToken::random().map_err(|cause| {
                StoreError::new(StoreErrorKind::Unavailable, "draw a token for a lease").with_source(cause)
            })?;
            let mut request = LeaseRequest::new(token, shared.times.lease, limit);
            // Half of the places, so that any number of slow newcomers leaves the others the other half.
            let places = u32::try_from(shared.room.jobs / 2).unwrap_or(u32::MAX).max(1);
            request.unproven = places.saturating_sub(self.places.unproven.load(Ordering::Relaxed)).min(limit);
            request.held = Some(self.places.held());
            let leases = shared.store.lease(request).await?;
            let job = |delivery: LeasedDelivery| {
                let place = Place::take(&self.places, &delivery.endpoint);
                Job { token, delivery, place }
            };
            let jobs = leases.deliveries.into_iter().map(job).collect();
            Ok(Taken { jobs, next_due: leases.next_due })
        })
    }

    fn work(&self, job: Job) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let Job { token, delivery, mut place } = job;
            let LeasedDelivery { id, attempt, round_attempt, manual, message, endpoint, age } = delivery;
            let begun = clock::monotonic();
            let message = self.contents.of(message);
            let opened = match self.open(&endpoint) {
                Ok(opened) => opened,
                Err(error) => {
                    observe::not_opened(&endpoint.id, &error);
                    // Stale or not, there is nothing to tell.
                    let _ = self.finish(id, token, attempt, Finish::new(After::Unsent { wait: NOT_OPENED })).await;
                    return;
                }
            };
            let attempting = observe::Attempting::begin(&observe::AttemptHead {
                message: message.message_id().as_str(),
                event_type: message.event_type(),
                tenant: message.tenant_name(),
                host: opened.url.authority(),
                attempt,
                delivery: Some(&id),
                endpoint: Some(&endpoint.id),
            });
            let sending = async {
                match self.converted(&endpoint, &message).await {
                    Ok(content) => {
                        let sending = self.attempt(&opened, &content, attempt);
                        let mut sending = pin!(sending);
                        match tokio::time::timeout(PROVEN_WITHIN, &mut sending).await {
                            Ok(result) => result,
                            Err(_) => {
                                place.set_aside();
                                self.dispatcher.shared.wake();
                                sending.await
                            }
                        }
                    }
                    Err(cause) => {
                        let version = endpoint.settings.api_version.as_deref();
                        observe::not_converted(&endpoint.id, message.event_type(), version, &*cause);
                        let error = AttemptError::new(AttemptErrorKind::Conversion).with_source(cause);
                        AttemptResult::failed(error, Duration::ZERO)
                    }
                }
            };
            let mut result = attempting.inside(sending).await;
            attempting.end(&result.seen());
            result.keep(|answer| self.dispatcher.shared.hooks.redacted(&endpoint, opened.echoes.take_out(answer)));
            let next = self.next(&result, round_attempt);
            let mut finish = finish(&result, next);
            finish.notice = notice(&endpoint, &opened.url, next);
            let (fenced, disabled) = self.finish(id, token, attempt, finish).await;
            if fenced == Fenced::Stale {
                // Another worker has it by now, and tells what becomes of it.
                return;
            }
            let shared = &self.dispatcher.shared;
            let state = match (next, disabled) {
                // It is held where somebody else has disabled the endpoint, and tried again where the endpoint has moved.
                (After::Gone | After::Refused, None) => match shared.store.delivery(id).await {
                    Ok(Some(record)) => record.state,
                    _ => state(next, disabled),
                },
                _ => state(next, disabled),
            };
            match state {
                DeliveryState::Delivered => observe::delivered(age + clock::monotonic().saturating_sub(begun)),
                DeliveryState::Exhausted | DeliveryState::Refused => {
                    observe::given_up(&endpoint.id, message.message_id().as_str(), attempt, state.as_str());
                }
                DeliveryState::Held => observe::held(),
                _ => {}
            }
            if let Some(reason) = disabled {
                self.disabled(&endpoint, reason);
            }
            shared.hooks.attempted(&Attempted {
                delivery: id,
                message: &message,
                endpoint: endpoint.id,
                attempt,
                manual,
                result: &result,
                state,
            });
        })
    }

    fn set_aside(&self) -> usize {
        usize::try_from(self.places.aside.load(Ordering::Relaxed)).unwrap_or(usize::MAX)
    }

    fn failed(&self, error: Option<&StoreError>) {
        match error {
            Some(error) => observe::outbox_failed("lease", error),
            None => observe::worker_panicked(),
        }
    }
}

impl Outbox {
    fn open(&self, endpoint: &EndpointRecord) -> Result<Arc<Opened>, SendError> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((revision, known)) = opened.get(&endpoint.id)
            && *revision == endpoint.revision
        {
            return Ok(known.clone());
        }
        let profile = Profile::open(&self.dispatcher.shared.sealer, endpoint.id, &endpoint.settings.sealed)?;
        let url = EndpointUrl::parse(&endpoint.settings.url)
            .map_err(|cause| SendError::invalid("a stored URL cannot be read").with_source(cause))?;
        let signer = Signer::in_style(endpoint.settings.style, profile.secrets()?).map_err(|cause| {
            SendError::new(SendErrorKind::Sealing, "a stored secret cannot sign").with_source(cause)
        })?;
        let new = Arc::new(Opened { url, signer, headers: profile.headers()?, echoes: profile.echoes() });
        if opened.len() >= MOST_OPENED {
            opened.clear();
        }
        opened.insert(endpoint.id, (endpoint.revision, new.clone()));
        Ok(new)
    }

    /// The message in the endpoint's version.
    async fn converted(&self, endpoint: &EndpointRecord, message: &Arc<Content>) -> Result<Arc<Content>, BoxError> {
        let Some(version) = &endpoint.settings.api_version else { return Ok(message.clone()) };
        match &self.dispatcher.shared.api_versions {
            Some(versions) => message.in_version(version, |message| versions.convert(message, version)).await,
            None => Err("this dispatcher has no `.api_versions(..)`".into()),
        }
    }

    async fn attempt(&self, opened: &Opened, message: &Content, attempt: u32) -> AttemptResult {
        let shared = &self.dispatcher.shared;
        let started = clock::monotonic();
        let now = shared.clock.now();
        // The message has a timestamp of its own, so this is the same body at every attempt.
        let body = message.body(opened.signer.style(), now);
        let mut headers = opened.signer.headers(message, now, &body);
        opened.headers.add_to(&mut headers);
        if shared.attempt_header {
            headers.insert(opened.signer.style().attempt_header(), HeaderValue::from(attempt));
        }
        let request = AttemptRequest::new(opened.url.clone(), headers, body).timeout(shared.times.attempt);
        // The lease counts on the deadline, so a transport that forgets it is reminded.
        let sending = unless_it_panics(async { shared.transport.send(request).await });
        let error = match tokio::time::timeout(shared.times.attempt + GRACE, sending).await {
            Ok(Some(result)) => return result,
            // A failure like others: with no attempt noted the delivery would come back for ever.
            Ok(None) => {
                observe::transport_panicked();
                AttemptError::new(AttemptErrorKind::Protocol).with_source("the transport panicked")
            }
            Err(_) => AttemptError::new(AttemptErrorKind::Timeout),
        };
        AttemptResult::failed(error, clock::monotonic().saturating_sub(started))
    }

    fn next(&self, result: &AttemptResult, attempt: u32) -> After {
        // Only the wait counts: the store adds it to its own time.
        let now = SystemTime::UNIX_EPOCH;
        let random = getrandom::u64().unwrap_or(u64::MAX / 2);
        match self.dispatcher.shared.retries.next_step(result.outcome(), attempt, now, random) {
            NextStep::Delivered => After::Delivered,
            NextStep::Disable => After::Gone,
            NextStep::Exhausted => After::Exhausted,
            NextStep::Refused => After::Refused,
            NextStep::Retry { at } => After::Retry { wait: at.duration_since(now).unwrap_or_default() },
        }
    }

    /// Notes how an attempt ended. A store that is down for a moment must not cost a second delivery.
    async fn finish(
        &self,
        id: OutboxId,
        token: LeaseToken,
        attempt: u32,
        mut finish: Finish,
    ) -> (Fenced, Option<DisabledReason>) {
        let shared = &self.dispatcher.shared;
        finish.disable_after = shared.times.disable_after;
        let until = clock::monotonic().saturating_add(shared.times.lease);
        let mut is_unknown = false;
        loop {
            match shared.store.finish(id, token, finish.clone()).await {
                Ok((Fenced::Stale, _)) if is_unknown => return self.noted(id, attempt, &finish).await,
                Ok(done) => return done,
                Err(error) => {
                    is_unknown = true;
                    observe::outbox_failed("finish", &error);
                    if clock::monotonic() >= until {
                        return (Fenced::Stale, None);
                    }
                    tokio::time::sleep(BETWEEN_TRIES).await;
                }
            }
        }
    }

    /// Finds out whether an attempt was noted by a call whose answer was lost: the hooks are to hear of it.
    async fn noted(&self, id: OutboxId, attempt: u32, finish: &Finish) -> (Fenced, Option<DisabledReason>) {
        const NOT_OURS: (Fenced, Option<DisabledReason>) = (Fenced::Stale, None);
        let store = &self.dispatcher.shared.store;
        let Ok(attempts) = store.attempts(id).await else { return NOT_OURS };
        let is_ours = attempts.last().is_some_and(|noted| {
            (noted.attempt, noted.status, noted.error.as_deref()) == (attempt, finish.status, finish.error)
                && millis(noted.duration) == millis(finish.duration)
        });
        if !is_ours {
            return NOT_OURS;
        }
        let held = match (disables_for(finish.after), store.delivery(id).await) {
            (Some(_), Ok(Some(record))) if record.state == DeliveryState::Held => store.endpoint(record.endpoint).await,
            _ => Ok(None),
        };
        // Asked for by somebody else meanwhile, it is not a worker's doing.
        let disabled = held.ok().flatten().and_then(|endpoint| endpoint.disabled);
        (Fenced::Applied, disabled.filter(|reason| *reason != DisabledReason::Asked))
    }

    /// Tells the application, and the workers that the notice is there.
    fn disabled(&self, endpoint: &EndpointRecord, reason: DisabledReason) {
        let shared = &self.dispatcher.shared;
        let url = &*endpoint.settings.url;
        let tenant = Some(&*endpoint.tenant).filter(|tenant| !tenant.is_empty());
        observe::endpoint_disabled(&endpoint.id, reason.as_str());
        shared.wake();
        // What waits for it is held in steps, of which this was the first.
        shared.to_purge.notify_one();
        shared.hooks.endpoint_disabled(&Disabled { endpoint: endpoint.id, tenant, url, reason });
    }
}

async fn unless_it_panics<T>(work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
        Ok(ready) => ready.map(Some),
        Err(_) => Poll::Ready(None),
    })
    .await
}

fn finish(result: &AttemptResult, after: After) -> Finish {
    let mut finish = Finish::new(after);
    finish.status = result.status().map(|status| status.as_u16());
    finish.error = result.error_kind().map(AttemptErrorKind::as_str);
    finish.duration = result.duration();
    let is_ours = matches!(result.error_kind(), Some(AttemptErrorKind::Conversion | AttemptErrorKind::Proxy));
    if is_ours || result.error().is_some_and(is_of_this_machine) {
        finish.fault = Fault::Sender;
    }
    finish.answer = result.answer().map(Answer::start).cloned().unwrap_or_default();
    let throttles =
        |answer: &&Answer| matches!(answer.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    finish.retry_after = result.answer().filter(throttles).and_then(Answer::retry_after);
    finish
}

/// Whether no connection was made since this machine has no file, port or network left for it: that is no endpoint's fault, or all of
/// them would rest for it.
fn is_of_this_machine(error: &AttemptError) -> bool {
    // ENFILE and EMFILE, which have no kind, and ENOBUFS.
    const CODES: [i32; 3] = [23, 24, if cfg!(target_os = "linux") { 105 } else { 55 }];
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            let is_kind = matches!(
                error.kind(),
                io::ErrorKind::AddrNotAvailable | io::ErrorKind::NetworkDown | io::ErrorKind::OutOfMemory
            );
            return is_kind || cfg!(unix) && error.raw_os_error().is_some_and(|code| CODES.contains(&code));
        }
        cause = error.source();
    }
    false
}

/// What the tenant's other endpoints are told if this attempt disables its endpoint; nothing where there is no tenant. Of its URL they learn no path and no
/// query, which may hold its credentials. Each has a random id of its own: an endpoint can be disabled more than once.
fn notice(endpoint: &EndpointRecord, url: &EndpointUrl, after: After) -> Option<Message> {
    // Without tenants, all endpoints are of one: those of other customers would learn where this one is.
    if endpoint.tenant.is_empty() {
        return None;
    }
    let reason = disables_for(after)?;
    let payload = json!({ "endpoint": endpoint.id.to_string(), "url": url.origin(), "reason": reason.as_str() });
    Some(Message::new(ENDPOINT_DISABLED, &payload).ok()?.tenant(endpoint.tenant.clone()))
}

/// For what reason an attempt that ended so may disable its endpoint.
fn disables_for(after: After) -> Option<DisabledReason> {
    match after {
        After::Gone => Some(DisabledReason::Gone),
        After::Exhausted | After::Refused | After::Retry { .. } => Some(DisabledReason::Failing),
        After::Delivered | After::Unsent { .. } => None,
    }
}

fn state(after: After, disabled: Option<DisabledReason>) -> DeliveryState {
    match after {
        After::Retry { .. } if disabled.is_some() => DeliveryState::Held,
        After::Delivered => DeliveryState::Delivered,
        After::Exhausted => DeliveryState::Exhausted,
        After::Gone => DeliveryState::Held,
        After::Refused => DeliveryState::Refused,
        After::Retry { .. } | After::Unsent { .. } => DeliveryState::Pending,
    }
}

/// How long an endpoint rests that cannot be opened: until somebody brings the key.
const NOT_OPENED: Duration = Duration::from_secs(60);

/// How much longer than its deadline a transport may take.
pub(crate) const GRACE: Duration = Duration::from_millis(250);

const BETWEEN_TRIES: Duration = Duration::from_millis(250);

/// More endpoints than this and their keys are set up anew.
const MOST_OPENED: usize = 10_000;
