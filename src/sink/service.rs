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
    hand_off::{HandOff, Settings},
    message::{SinkMessage, ascii},
    open::name,
    sink::PassedOn,
};
use crate::{
    answers::{Line, internal, unavailable},
    boxed::BoxFuture,
    error::{StoreError, StoreErrorKind},
    inbox::{Content, Unknown, event_key, keep, key, seal},
    observe::{self, Outcome},
    verify::{Acknowledged, Verified},
};

/// The service for requests that a [`WebhookLayer`](crate::WebhookLayer) has verified. Each is answered when the queue
/// has acknowledged it.
impl Service<Request<Full<Bytes>>> for HandOff {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let settings = Arc::clone(&self.settings);
        Box::pin(async move { Ok(settings.answer(request).await.map(Full::new)) })
    }
}

impl Settings {
    async fn answer(&self, request: Request<Full<Bytes>>) -> Response<Bytes> {
        let (parts, _) = request.into_parts();
        let Some(verified) = parts.extensions.get::<Verified>() else {
            observe::misordered();
            return internal();
        };
        let provider = verified.delivery.provider();
        let message = match self.message(&parts, verified) {
            Ok(message) => message,
            Err(Unknown::MissingId) => {
                observe::missing_id(provider);
                return Line::MISSING_DELIVERY_ID.response(StatusCode::BAD_REQUEST);
            }
            Err(Unknown::NoRandomness) => return unavailable(),
        };
        let size = message.size();
        let passed_on = match tokio::time::timeout(self.timeout, self.sink.pass_on(message)).await {
            Ok(passed_on) => passed_on,
            Err(_) => Err(StoreError::new(StoreErrorKind::Unavailable, "pass an event on: no answer in time")),
        };
        let passed_on = match passed_on {
            Ok(passed_on) => passed_on,
            // It may be stored anyway. When its sender retries it, it has the same key.
            Err(cause) => {
                observe::inbox_failed("accept", &cause);
                return unavailable();
            }
        };
        observe::accepted(provider, answer_name(passed_on));
        let outcome = match passed_on {
            PassedOn::Stored => Outcome::Accepted,
            PassedOn::Duplicate => Outcome::Duplicate,
            PassedOn::Full => {
                observe::inbox_full(provider);
                return unavailable();
            }
            PassedOn::TooLarge => {
                observe::sink_too_large(provider, size);
                return Line::BODY_TOO_LARGE.response(StatusCode::PAYLOAD_TOO_LARGE);
            }
        };
        let mut response = Line::ACCEPTED.response(StatusCode::ACCEPTED);
        if outcome == Outcome::Duplicate {
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        }
        response.extensions_mut().insert(Acknowledged);
        response.extensions_mut().insert(outcome);
        response
    }

    /// Creates the message of a delivery.
    fn message(&self, parts: &Parts, verified: &Verified) -> Result<SinkMessage, Unknown> {
        let delivery = &verified.delivery;
        let known = event_key(&self.consumer, verified, self.missing_id)?;
        let kept = keep(parts, &self.headers, delivery);
        let content = match &self.sealing {
            None => Content::new(ascii(&kept.head), kept.body),
            Some(sealing) => seal(sealing, &name(&self.consumer, known.key), &kept).map_err(|_| {
                observe::no_randomness();
                Unknown::NoRandomness
            })?,
        };
        let mut message = SinkMessage::new(Arc::clone(&self.consumer), known.key, delivery.provider().into(), content);
        let order = self.order_key.as_ref().and_then(|pointer| delivery.text_at(pointer));
        message.order_key = order.map(|text| key(&self.consumer, delivery, b'o', text.as_bytes()));
        Ok(message)
    }
}

fn answer_name(passed_on: PassedOn) -> &'static str {
    match passed_on {
        PassedOn::Duplicate => "duplicate",
        PassedOn::Full => "full",
        PassedOn::Stored => "new",
        PassedOn::TooLarge => "too_large",
    }
}

/// Marks the answer to a duplicate.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
