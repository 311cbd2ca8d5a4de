use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, request::Parts};
use http_body_util::Full;
use tower_service::Service;

use super::{
    head,
    inbox::Inbox,
    known::{self, Unknown},
    policy::is_stored,
    sealed,
    shared::Shared,
    store::{AcceptRequest, Accepted, EventDraft, Guard},
};
use crate::{
    answers::{Line, internal, unavailable},
    boxed::BoxFuture,
    delivery::Delivery,
    error::{StoreError, StoreErrorKind},
    idempotency::Fingerprint,
    observe::{self, Outcome},
    verify::{Acknowledged, BatchItem, Verified},
};

/// The requests that a [`WebhookLayer`](crate::WebhookLayer) has let through. Each is answered when it is stored.
impl Service<Request<Full<Bytes>>> for Inbox {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move { Ok(shared.answer(request).await.map(Full::new)) })
    }
}

/// The result for a delivery.
#[derive(Clone, Copy)]
enum Taken {
    Failed,
    MissingId,
    Stored(Accepted),
    /// No handler wants the event type.
    Unhandled,
}

impl Shared {
    async fn answer(&self, request: Request<Full<Bytes>>) -> Response<Bytes> {
        let (mut parts, _) = request.into_parts();
        let Some(verified) = parts.extensions.get::<Verified>().cloned() else {
            observe::misordered();
            return internal();
        };
        let Some(BatchItem { index, batch }) = parts.extensions.remove::<BatchItem>() else {
            let taken = self.take(&parts, &verified, std::slice::from_ref(&verified.delivery)).await;
            return self.response(&verified, taken.first().copied());
        };
        // The items of a batch arrive one after the other. The first one stores all of them in one transaction, and the
        // others read their results here, unless another inbox has written them. After a failure the sender repeats the
        // whole batch.
        let name = &self.settings.consumer;
        let known = batch.taken.lock().clone().and_then(|taken| taken.downcast::<(Arc<str>, Vec<Taken>)>().ok());
        let taken = match known.filter(|known| known.0 == *name) {
            Some(taken) => taken,
            None => {
                let taken = self.take(&parts, &verified, &batch.deliveries).await;
                let taken = Arc::new((Arc::clone(name), taken));
                *batch.taken.lock() = Some(Arc::clone(&taken) as _);
                taken
            }
        };
        self.response(&verified, taken.1.get(index).copied())
    }

    /// Stores the deliveries of one request together, and returns the result for each.
    async fn take(&self, parts: &Parts, verified: &Verified, deliveries: &[Delivery]) -> Vec<Taken> {
        let mut taken = Vec::with_capacity(deliveries.len());
        let mut events = Vec::new();
        for delivery in deliveries {
            let of_item = verified.for_item(delivery.clone());
            taken.push(if !self.handler.handles(delivery) {
                Taken::Unhandled
            } else {
                match self.draft(parts, &of_item) {
                    Ok(event) => {
                        events.push(event);
                        // A placeholder until the store has answered. `Full` is answered with 503, so that a missing
                        // answer is never a success.
                        Taken::Stored(Accepted::Full)
                    }
                    Err(other) => other,
                }
            });
        }
        if taken.iter().any(|taken| matches!(taken, Taken::Failed | Taken::MissingId)) {
            // Nothing is stored if one item cannot be, since the sender repeats the whole request.
            let failed = |taken| if matches!(taken, Taken::Stored(_)) { Taken::Failed } else { taken };
            return taken.into_iter().map(failed).collect();
        }
        if events.is_empty() {
            return taken;
        }
        let mut request = AcceptRequest::new(Arc::clone(&self.settings.consumer), events);
        request.limit = self.settings.depth_limit;
        let provider = verified.delivery.provider();
        // If the store accepts the events after this timeout, the sender's retry is a duplicate of them.
        let accepted = match tokio::time::timeout(self.settings.store_timeout, self.store.accept(request)).await {
            Ok(accepted) => accepted,
            Err(_) => Err(StoreError::new(StoreErrorKind::Unavailable, "accept events: no answer in time")),
        };
        let mut accepted = match accepted {
            Ok(accepted) => accepted.into_iter(),
            Err(cause) => {
                observe::inbox_failed("accept", &cause);
                let failed = |taken| if matches!(taken, Taken::Stored(_)) { Taken::Failed } else { taken };
                return taken.into_iter().map(failed).collect();
            }
        };
        let stored = taken.iter_mut().zip(deliveries).filter(|(taken, _)| matches!(taken, Taken::Stored(_)));
        for (slot, delivery) in stored {
            // If a store returns too few answers, the remaining events count as not stored.
            let Some(answer) = accepted.next() else {
                *slot = Taken::Failed;
                continue;
            };
            // Anyone who has a signed body can send it under an id that is not signed.
            let replaces = matches!(answer, Accepted::Rearmed { other_body: true }) && !delivery.id_is_signed();
            observe::accepted(provider, if replaces { "replaced" } else { answer_name(answer) });
            match answer {
                _ if replaces => observe::inbox_replaced(provider),
                Accepted::Duplicate { other_body: true } => observe::other_body(provider),
                Accepted::Replay => observe::replay_suspected(provider, "suppressed"),
                _ => {}
            }
            *slot = Taken::Stored(answer);
        }
        if taken.iter().any(|taken| matches!(taken, Taken::Stored(accepted) if is_stored(accepted))) {
            self.new_work.notify_waiters();
        }
        taken
    }

    /// Creates the event that is stored for a delivery.
    fn draft(&self, parts: &Parts, verified: &Verified) -> Result<EventDraft, Taken> {
        let settings = &self.settings;
        let delivery = &verified.delivery;
        let by_sender = verified.retries_for().unwrap_or_default().max(DEFAULT_RETENTION);
        let mut retention = settings.retention.unwrap_or(by_sender);
        let known = match known::event(&settings.consumer, verified, settings.missing_id) {
            Ok(known) => known,
            Err(Unknown::MissingId) => return Err(Taken::MissingId),
            Err(Unknown::NoRandomness) => return Err(Taken::Failed),
        };
        if known.by_body {
            retention = retention.min(LONGEST_BODY_DIGEST);
        }
        let of_event = known.key;
        let key = |kind, id: &[u8]| known::key(&settings.consumer, delivery, kind, id);
        let content = head::keep(parts, &settings.headers, delivery);
        let mut event = EventDraft::new(of_event, delivery.provider().into(), retention, content);
        if let Some(sealing) = settings.sealing_keys.first() {
            event.content = sealed::seal(sealing, &sealed::of_inbox(of_event), &event.content).map_err(|_| {
                observe::no_randomness();
                Taken::Failed
            })?;
        }
        event.tenant = delivery.tenant().map(Into::into);
        event.delivery_id = delivery.id().map(|id| id.as_str().into());
        event.event_type = delivery.event_type().map(|kind| kind.as_str().into());
        let is_bound = delivery.id().is_some() && delivery.id_is_signed();
        event.guard = settings
            .replay_guard
            .filter(|_| !is_bound)
            .map(|window| Guard::new(key(b'g', &Fingerprint::digest(delivery.body())), window));
        let order = settings.order_key.as_ref().and_then(|pointer| delivery.text_at(pointer));
        event.order_key = order.map(|text| key(b'o', text.as_bytes()));
        Ok(event)
    }

    fn response(&self, verified: &Verified, taken: Option<Taken>) -> Response<Bytes> {
        let delivery = &verified.delivery;
        let (line, status, outcome) = match taken {
            None | Some(Taken::Failed) => return unavailable(),
            Some(Taken::MissingId) => {
                observe::missing_id(delivery.provider());
                return Line::MISSING_DELIVERY_ID.response(StatusCode::BAD_REQUEST);
            }
            Some(Taken::Stored(Accepted::Full)) => {
                observe::inbox_full(delivery.provider());
                return unavailable();
            }
            Some(Taken::Unhandled) => {
                observe::unhandled(delivery.provider(), delivery.event_type().map(|kind| kind.as_str()));
                (Line::UNHANDLED, StatusCode::OK, Outcome::Unhandled)
            }
            Some(Taken::Stored(Accepted::New | Accepted::Rearmed { .. })) => {
                (Line::ACCEPTED, StatusCode::ACCEPTED, Outcome::Accepted)
            }
            Some(Taken::Stored(Accepted::Duplicate { .. } | Accepted::Replay)) => {
                (Line::ACCEPTED, StatusCode::ACCEPTED, Outcome::Duplicate)
            }
        };
        let mut response = line.response(status);
        if outcome == Outcome::Duplicate {
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        }
        response.extensions_mut().insert(Acknowledged);
        response.extensions_mut().insert(outcome);
        response
    }
}

fn answer_name(accepted: Accepted) -> &'static str {
    match accepted {
        Accepted::Duplicate { .. } => "duplicate",
        Accepted::Full => "full",
        Accepted::New => "new",
        Accepted::Rearmed { .. } => "rearmed",
        Accepted::Replay => "replay",
    }
}

/// Marks the answer to a duplicate.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// As for claims.
const DEFAULT_RETENTION: std::time::Duration = std::time::Duration::from_secs(7 * 24 * 60 * 60);
const LONGEST_BODY_DIGEST: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);
