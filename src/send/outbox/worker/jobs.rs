use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use http::{HeaderValue, StatusCode, header::AUTHORIZATION};
use tokio::time::Instant;

use crate::{
    boxed::{BoxError, BoxFuture},
    clock::{self, millis},
    error::{StoreError, StoreErrorKind},
    observe,
    panics::{Stopped, supervise},
    queue::{Fenced, LeaseToken, Queue, Taken},
    send::{
        attempt::{AttemptError, AttemptErrorKind, AttemptRequest, AttemptResult},
        message::{
            content::{Content, Contents},
            message::Message,
        },
        outbox::{
            dispatcher::Dispatcher,
            hooks::{Attempted, Disabled},
            shared::Shared,
            store::{
                delivery::DeliveryState,
                endpoint::{DisabledReason, EndpointRecord},
                ids::SentDeliveryId,
                lease::{After, Finish, LeaseRequest, LeasedDelivery},
                limits::PROVEN_WITHIN,
            },
            worker::{
                opened::{Opened, OpenedEndpoints},
                outcome::{self, disables_for},
                places::{Place, Places},
            },
        },
        signing::echoes::Echoes,
    },
};

/// The jobs of one worker: each is an attempt of a delivery that is due.
pub(crate) struct Jobs {
    dispatcher: Dispatcher,
    opened: OpenedEndpoints,
    contents: Contents,
    places: Arc<Places>,
}

/// A delivery that this worker holds.
pub(crate) struct Job {
    leased: Leased,
    message: Message,
    place: Place,
}

/// A leased delivery without its message, whose content is shared with other deliveries in flight.
struct Leased {
    token: LeaseToken,
    id: SentDeliveryId,
    attempt: u32,
    round_attempt: u32,
    manual: bool,
    endpoint: Arc<EndpointRecord>,
    /// How long ago the delivery was made, when it was leased.
    age: Duration,
}

impl Jobs {
    pub(crate) fn new(dispatcher: Dispatcher) -> Self {
        Self { dispatcher, opened: OpenedEndpoints::default(), contents: Contents::default(), places: Arc::default() }
    }

    pub(crate) fn dispatcher(&self) -> &Dispatcher {
        &self.dispatcher
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.dispatcher.shared
    }
}

impl Queue for Jobs {
    type Job = Job;

    fn take(&self, limit: u32) -> BoxFuture<'_, Result<Taken<Self::Job>, StoreError>> {
        Box::pin(async move {
            let shared = self.shared();
            let token = LeaseToken::random().map_err(|cause| {
                StoreError::new(StoreErrorKind::Unavailable, "create a token for a lease").with_source(cause)
            })?;
            let mut request = LeaseRequest::new(token, shared.times.lease, limit);
            // Half of the places, so that any number of slow new endpoints leaves the other half to others.
            let places = u32::try_from(shared.room.jobs / 2).unwrap_or(u32::MAX).max(1);
            request.unproven = places.saturating_sub(self.places.unproven()).min(limit);
            request.held = Some(self.places.held());
            let leases = shared.store.lease(request).await?;
            let job = |delivery: LeasedDelivery| {
                let LeasedDelivery { id, attempt, round_attempt, manual, message, endpoint, age } = delivery;
                let place = Place::take(&self.places, &endpoint);
                let leased = Leased { token, id, attempt, round_attempt, manual, endpoint, age };
                Job { leased, message, place }
            };
            let jobs = leases.deliveries.into_iter().map(job).collect();
            Ok(Taken { jobs, next_due: leases.next_due })
        })
    }

    fn work(&self, job: Job) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let Job { leased, message, mut place } = job;
            let begun = clock::monotonic();
            let message = self.contents.of(message);
            let opened = match self.opened.open(&self.shared().sealer, &leased.endpoint) {
                Ok(opened) => opened,
                Err(error) => {
                    observe::not_opened(&leased.endpoint.id, &error);
                    // Nothing is reported for it, whether or not the lease is still held.
                    let _ = self.finish(&leased, Finish::new(After::Unsent { wait: NOT_OPENED })).await;
                    return;
                }
            };
            let result = self.observed(&leased, &opened, &message, &mut place).await;
            let random = getrandom::u64().unwrap_or(u64::MAX / 2);
            let after = outcome::after(&self.shared().retries, &result, leased.round_attempt, random);
            let mut finish = outcome::finish(&result, after);
            finish.notice = outcome::notice(&leased.endpoint, &opened.url, after);
            let mut finishing = pin!(self.finish(&leased, finish));
            let mut is_begun = false;
            let (fenced, disabled) = poll_fn(|cx| {
                let finished = finishing.as_mut().poll(cx);
                if finished.is_pending() && !std::mem::replace(&mut is_begun, true) {
                    // A lease that comes with it may share its transaction, and finds the place that this delivery leaves.
                    self.shared().wake();
                }
                finished
            })
            .await;
            if fenced == Fenced::Stale {
                // Another worker has the delivery now, and calls the hooks for it.
                return;
            }
            let state = self.state(&leased, after, disabled).await;
            if state == DeliveryState::Delivered {
                observe::delivered(leased.age + clock::monotonic().saturating_sub(begun));
            }
            self.tell(&leased, &message, &result, state, disabled);
        })
    }

    fn set_aside(&self) -> usize {
        usize::try_from(self.places.aside()).unwrap_or(usize::MAX)
    }

    fn failed(&self, error: Option<&StoreError>) {
        match error {
            Some(error) => observe::outbox_failed("lease", error),
            None => observe::worker_panicked(),
        }
    }
}

/// From a job to the result of its attempt.
impl Jobs {
    /// Makes an attempt, logs and counts it, and redacts the answer.
    async fn observed(
        &self,
        leased: &Leased,
        opened: &Opened,
        message: &Arc<Content>,
        place: &mut Place,
    ) -> AttemptResult {
        let attempting = observe::Attempting::begin(&observe::AttemptHead {
            message: message.message_id().as_str(),
            event_type: message.event_type(),
            tenant: message.tenant_name(),
            host: opened.url.authority(),
            attempt: leased.attempt,
            delivery: Some(&leased.id),
            endpoint: Some(&leased.endpoint.id),
        });
        let mut result = attempting.inside(self.converted_and_sent(leased, opened, message, place)).await;
        attempting.end(&result.seen());
        let hooks = &self.shared().hooks;
        result.keep(|answer| hooks.redacted(&leased.endpoint, message, opened.echoes.take_out(answer)));
        result
    }

    async fn converted_and_sent(
        &self,
        leased: &Leased,
        opened: &Opened,
        message: &Arc<Content>,
        place: &mut Place,
    ) -> AttemptResult {
        let endpoint = &leased.endpoint;
        let content = match self.converted(endpoint, message).await {
            Ok(content) => content,
            Err(cause) => {
                let version = endpoint.settings.api_version.as_deref();
                observe::not_converted(&endpoint.id, message.event_type(), version, &*cause);
                let error = AttemptError::new(AttemptErrorKind::Conversion).with_source(cause);
                return AttemptResult::failed(error, Duration::ZERO);
            }
        };
        let mut sending = pin!(self.attempt(opened, &content, leased.attempt));
        match tokio::time::timeout(PROVEN_WITHIN, &mut sending).await {
            Ok(result) => result,
            Err(_) => {
                place.set_aside();
                self.shared().wake();
                sending.await
            }
        }
    }

    /// Returns the content in the endpoint's version.
    async fn converted(&self, endpoint: &EndpointRecord, message: &Arc<Content>) -> Result<Arc<Content>, BoxError> {
        let Some(version) = &endpoint.settings.api_version else { return Ok(message.clone()) };
        match &self.shared().api_versions {
            Some(versions) => message.in_version(version, |message| versions.convert(message, version)).await,
            None => Err("this dispatcher has no `.api_versions(..)`".into()),
        }
    }

    async fn attempt(&self, opened: &Opened, message: &Content, attempt: u32) -> AttemptResult {
        let shared = self.shared();
        let started = clock::monotonic();
        let now = shared.clock.now();
        // The message has a timestamp of its own, so this is the same body at every attempt.
        let body = message.body(opened.signer.style(), now);
        let mut headers = opened.signer.headers(message, now, &body);
        opened.headers.add_to(&mut headers);
        if shared.attempt_header {
            headers.insert(opened.signer.style().attempt_header(), HeaderValue::from(attempt));
        }
        let mut request = AttemptRequest::new(opened.url.clone(), headers, body).timeout(shared.times.attempt);
        request.identity.clone_from(&opened.identity);
        // The lease relies on the deadline, so it also holds for a transport that ignores it.
        let deadline = Instant::now() + shared.times.attempt + GRACE;
        let sending = async {
            let Some(grant) = &opened.grant else { return shared.transport.send(request).await };
            let identity = opened.identity.as_ref();
            let token = match grant.value(&*shared.transport, identity, shared.times.attempt).await {
                Ok(token) => token,
                Err(error) => return AttemptResult::failed(error, clock::monotonic().saturating_sub(started)),
            };
            request.headers.insert(AUTHORIZATION, token.clone());
            // Both together have the time of one attempt.
            let left = (shared.times.attempt + started).saturating_sub(clock::monotonic());
            let mut result = shared.transport.send(request.timeout(left)).await;
            if result.status() == Some(StatusCode::UNAUTHORIZED) {
                grant.refused(&token).await;
            }
            // Some receivers repeat the headers of a request in their answer, which is stored.
            let mut echoes = Echoes::default();
            echoes.header("authorization", token.as_bytes());
            result.keep(|answer| echoes.take_out(answer));
            result
        };
        let error = match supervise(sending, || deadline).await {
            Ok(result) => return result,
            // It counts as a failed attempt: otherwise the delivery would be leased again forever.
            Err(Stopped::Panicked) => {
                observe::transport_panicked();
                AttemptError::new(AttemptErrorKind::Protocol).with_source("the transport panicked")
            }
            Err(Stopped::TimedOut) => AttemptError::new(AttemptErrorKind::Timeout),
        };
        AttemptResult::failed(error, clock::monotonic().saturating_sub(started))
    }
}

/// From a result to what is noted and reported.
impl Jobs {
    /// Notes how an attempt ended. A store that is down for a moment must not cost a second delivery.
    async fn finish(&self, leased: &Leased, mut finish: Finish) -> (Fenced, Option<DisabledReason>) {
        let shared = self.shared();
        finish.disable_after = shared.times.disable_after;
        // After the lease another worker may have the delivery, and this result would change nothing.
        let until = clock::monotonic().saturating_add(shared.times.lease);
        let mut is_unknown = false;
        loop {
            match shared.store.finish(leased.id, leased.token, finish.clone()).await {
                // An earlier try may have been applied although its answer was lost; this one is then stale.
                Ok((Fenced::Stale, _)) if is_unknown => return self.noted(leased, &finish).await,
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

    /// Finds out whether an attempt was noted by a call whose result was lost, so that the hooks are called for it.
    async fn noted(&self, leased: &Leased, finish: &Finish) -> (Fenced, Option<DisabledReason>) {
        const NOT_OURS: (Fenced, Option<DisabledReason>) = (Fenced::Stale, None);
        let store = &self.shared().store;
        let Ok(attempts) = store.attempts(leased.id).await else { return NOT_OURS };
        // Durations are compared in whole milliseconds, since a store may keep no more.
        let is_ours = attempts.last().is_some_and(|noted| {
            (noted.attempt, noted.status, noted.error.as_deref()) == (leased.attempt, finish.status, finish.error)
                && millis(noted.duration) == millis(finish.duration)
        });
        if !is_ours {
            return NOT_OURS;
        }
        let held = match (disables_for(finish.after), store.delivery(leased.id).await) {
            (Some(_), Ok(Some(record))) if record.state == DeliveryState::Held => store.endpoint(record.endpoint).await,
            _ => Ok(None),
        };
        // If somebody asked for it in the meantime, the worker did not disable the endpoint.
        let disabled = held.ok().flatten().and_then(|endpoint| endpoint.disabled);
        (Fenced::Applied, disabled.filter(|reason| *reason != DisabledReason::Asked))
    }

    /// Returns the state of the delivery after the attempt.
    async fn state(&self, leased: &Leased, after: After, disabled: Option<DisabledReason>) -> DeliveryState {
        if matches!(after, After::Gone | After::Refused) && disabled.is_none() {
            // It is held if somebody else has disabled the endpoint, and pending if the endpoint has a new URL.
            if let Ok(Some(record)) = self.shared().store.delivery(leased.id).await {
                return record.state;
            }
        }
        outcome::state(after, disabled)
    }

    /// Reports to the operator and the application what happened to the delivery.
    fn tell(
        &self,
        leased: &Leased,
        message: &Message,
        result: &AttemptResult,
        state: DeliveryState,
        disabled: Option<DisabledReason>,
    ) {
        let endpoint = &leased.endpoint;
        match state {
            DeliveryState::Exhausted | DeliveryState::Refused => {
                observe::given_up(&endpoint.id, message.message_id().as_str(), leased.attempt, state.as_str());
            }
            DeliveryState::Held => observe::held(),
            _ => {}
        }
        if let Some(reason) = disabled {
            self.disabled(endpoint, reason);
        }
        self.shared().hooks.attempted(&Attempted {
            delivery: leased.id,
            message,
            endpoint: endpoint.id,
            attempt: leased.attempt,
            manual: leased.manual,
            result,
            state,
        });
    }

    /// Reports that the endpoint was disabled, and wakes the workers for its notice.
    fn disabled(&self, endpoint: &EndpointRecord, reason: DisabledReason) {
        let shared = self.shared();
        let url = &*endpoint.settings.url;
        let tenant = Some(&*endpoint.tenant).filter(|tenant| !tenant.is_empty());
        observe::endpoint_disabled(&endpoint.id, reason.as_str());
        shared.wake();
        // The waiting deliveries of the endpoint are held in steps, of which this was the first.
        shared.to_purge.notify_one();
        shared.hooks.endpoint_disabled(&Disabled { endpoint: endpoint.id, tenant, url, reason });
    }
}

/// How long an endpoint rests if its secrets cannot be opened. The operator has to add the key first.
const NOT_OPENED: Duration = Duration::from_secs(60);

/// How much longer than its deadline a transport may take.
pub(crate) const GRACE: Duration = Duration::from_millis(250);

const BETWEEN_TRIES: Duration = Duration::from_millis(250);
