//! Who is measured: routes that do more or less the same, with this crate and without.

use std::{
    hint::black_box,
    pin::pin,
    sync::{Arc, atomic::AtomicBool},
    task::{Context, Poll, Waker},
};

use axum::{
    Json, Router,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::post,
};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tower::{ServiceExt, layer::util::Identity};
use tower_webhooks::{
    EventRejection, EventRouter, RawEvent, Secret, VerifiedBody, VerifiedEnvelope, VerifiedEvent, WebhookLayer,
    clock::ManualClock,
};

use crate::bodies::{BorrowedEvent, Delivery, Event, Invoice, NOW, SECRET, ShortEvent};

/// A route, and the status with which it answers.
#[derive(Debug)]
pub(crate) struct Contestant {
    pub(crate) name: &'static str,
    app: Router,
    expects: StatusCode,
}

impl Contestant {
    /// Takes the bytes, and does nothing with them. A layer that does nothing is in the place of ours.
    pub(crate) fn bare() -> Self {
        async fn handler(body: Bytes) {
            black_box(body);
        }
        Self::new("bare `Bytes`", Router::new().route("/hook", post(handler).layer(Identity::new())))
    }

    /// axum's own extractor: parsed, and not verified.
    pub(crate) fn json() -> Self {
        async fn handler(Json(event): Json<Event>) {
            black_box(event);
        }
        Self::new("`Json<T>`", Router::new().route("/hook", post(handler)))
    }

    pub(crate) fn json_skipping() -> Self {
        async fn handler(Json(event): Json<ShortEvent>) {
            black_box(event);
        }
        Self::new("`Json<T>`, mostly skipped", Router::new().route("/hook", post(handler)))
    }

    /// A handler by an experienced axum user who has read the provider's page: the bytes, one HMAC, one parse.
    pub(crate) fn by_hand() -> Self {
        async fn handler(State(hand): State<Hand>, headers: HeaderMap, body: Bytes) -> Response {
            if !hand.verifies(&headers, &body) {
                return refusal();
            }
            match serde_json::from_slice::<Event>(&body) {
                Ok(event) => {
                    black_box(event);
                    StatusCode::OK.into_response()
                }
                Err(_) => StatusCode::UNPROCESSABLE_ENTITY.into_response(),
            }
        }
        Self::new("by hand", Router::new().route("/hook", post(handler)).with_state(Hand::new()))
    }

    /// The same, asked something that it refuses. It has the body by then, since that is what its extractor is for.
    pub(crate) fn refused_by_hand() -> Self {
        Self { name: "refused by hand", expects: StatusCode::UNAUTHORIZED, ..Self::by_hand() }
    }

    /// Rejects every request without a check: the cost of the router and the answer.
    pub(crate) fn refused_blindly() -> Self {
        async fn handler() -> Response {
            refusal()
        }
        let app = Router::new().route("/hook", post(handler).layer(Identity::new()));
        Self { expects: StatusCode::UNAUTHORIZED, ..Self::new("refused blindly", app) }
    }

    pub(crate) fn refused() -> Self {
        Self { name: "refused", expects: StatusCode::UNAUTHORIZED, ..Self::event() }
    }

    pub(crate) fn verified_body() -> Self {
        async fn handler(body: VerifiedBody) {
            black_box(body);
        }
        Self::new("`VerifiedBody`", Router::new().route("/hook", post(handler).layer(layer())))
    }

    pub(crate) fn event() -> Self {
        async fn handler(event: VerifiedEvent<Invoice>) {
            black_box(event);
        }
        Self::new("`VerifiedEvent<T>`", Router::new().route("/hook", post(handler).layer(layer())))
    }

    /// The event type, which is in the body, chooses the variant.
    pub(crate) fn event_enum() -> Self {
        #[derive(Debug, serde::Deserialize)]
        #[allow(dead_code, clippy::large_enum_variant)] // Made, and thrown away.
        enum StripeEvent {
            #[serde(rename = "invoice.paid")]
            Paid(Invoice),
            #[serde(rename = "customer.*")]
            Customer(RawEvent),
            #[serde(rename = "*")]
            Other,
        }

        async fn handler(event: VerifiedEvent<StripeEvent>) {
            black_box(event);
        }
        Self::new("`VerifiedEvent<Enum>`", Router::new().route("/hook", post(handler).layer(layer())))
    }

    /// The event type, which is in the body, chooses the handler.
    pub(crate) fn routed() -> Self {
        async fn paid(event: VerifiedEvent<Invoice>) {
            black_box(event);
        }
        async fn other() {}
        let events = EventRouter::new().on("invoice.paid", paid).on("customer.*", other).fallback(other);
        Self::new("`EventRouter`", Router::new().route("/hook", post(events).layer(layer())))
    }

    pub(crate) fn envelope() -> Self {
        async fn handler(event: VerifiedEnvelope<Event>) {
            black_box(event);
        }
        Self::new("`VerifiedEnvelope<T>`", Router::new().route("/hook", post(handler).layer(layer())))
    }

    pub(crate) fn envelope_skipping() -> Self {
        async fn handler(event: VerifiedEnvelope<ShortEvent>) {
            black_box(event);
        }
        Self::new("`VerifiedEnvelope<T>`, mostly skipped", Router::new().route("/hook", post(handler).layer(layer())))
    }

    pub(crate) fn borrowed() -> Self {
        async fn handler(body: VerifiedBody) -> Result<(), EventRejection> {
            black_box(body.parse_envelope::<BorrowedEvent<'_>>()?);
            Ok(())
        }
        Self::new("borrowed `T<'_>`", Router::new().route("/hook", post(handler).layer(layer())))
    }

    fn new(name: &'static str, app: Router) -> Self {
        // As `axum::serve` does for each connection: routes are built now, and not for each request.
        Self { name, app: app.with_state(()), expects: StatusCode::OK }
    }

    /// A request with the headers that Stripe sends.
    pub(crate) fn request(&self, delivery: &Delivery) -> Request<Body> {
        self.request_with(delivery, Body::new(delivery.frames()))
    }

    fn request_with(&self, delivery: &Delivery, body: Body) -> Request<Body> {
        // As with a server, all values lie in the one buffer that the head was read into.
        let head = Bytes::copy_from_slice(&delivery.head);
        let mut headers = HeaderMap::with_capacity(delivery.headers.len());
        for (name, range) in &delivery.headers {
            let value = HeaderValue::from_maybe_shared(head.slice(range.clone())).expect("the value is one");
            headers.append(name.clone(), value);
        }
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from_static("/hook");
        *request.headers_mut() = headers;
        request
    }

    /// Answers one request, as a server that has it all would, and checks the status.
    pub(crate) fn answer(&self, request: Request<Body>) {
        let mut future = pin!(self.app.clone().oneshot(request));
        let Poll::Ready(Ok(response)) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("`{}` waits for something, though all is there", self.name);
        };
        self.check(&response);
    }

    /// Answers one request whose last frame does not come before `gate` opens; `between` is called then, and opens it.
    pub(crate) fn answer_gated(&self, delivery: &Delivery, between: impl FnOnce(&AtomicBool)) -> Response {
        let gate = Arc::new(AtomicBool::new(false));
        let request = self.request_with(delivery, Body::new(delivery.gated(&gate)));
        let mut future = pin!(self.app.clone().oneshot(request));
        let mut context = Context::from_waker(Waker::noop());
        assert!(future.as_mut().poll(&mut context).is_pending(), "the last frame has not come");
        between(&gate);
        let Poll::Ready(Ok(response)) = future.as_mut().poll(&mut context) else {
            panic!("`{}` waits for something, though all is there", self.name);
        };
        response
    }

    pub(crate) fn check(&self, response: &Response) {
        assert_eq!(response.status(), self.expects, "`{}`", self.name);
    }
}

fn layer() -> WebhookLayer {
    WebhookLayer::stripe(Secret::new(SECRET).expect("the secret is one")).with_clock(ManualClock::at_unix_seconds(NOW))
}

/// The state of the handler by hand.
#[derive(Clone)]
struct Hand {
    /// Keyed once. Most would key it for each request, and be slower.
    keyed: Arc<Hmac<Sha256>>,
    now: u64,
}

impl Hand {
    fn new() -> Self {
        let keyed = Hmac::new_from_slice(SECRET.as_bytes()).expect("HMAC takes a key of any length");
        Self { keyed: Arc::new(keyed), now: NOW }
    }

    fn verifies(&self, headers: &HeaderMap, body: &[u8]) -> bool {
        let Some(header) = headers.get("stripe-signature").and_then(|value| value.to_str().ok()) else {
            return false;
        };
        let mut timestamp = None;
        let mut signatures = Vec::new();
        for pair in header.split(',') {
            match pair.split_once('=') {
                Some(("t", value)) => timestamp = Some(value),
                Some(("v1", value)) => signatures.push(value),
                _ => {}
            }
        }
        let Some(timestamp) = timestamp else { return false };
        let Ok(seconds) = timestamp.parse::<u64>() else { return false };
        if self.now.abs_diff(seconds) > 300 {
            return false;
        }
        let mut mac = (*self.keyed).clone();
        mac.update(timestamp.as_bytes());
        mac.update(b".");
        mac.update(body);
        signatures.iter().any(|signature| {
            data_encoding::HEXLOWER
                .decode(signature.as_bytes())
                .is_ok_and(|signature| mac.clone().verify_slice(&signature).is_ok())
        })
    }
}

fn refusal() -> Response {
    (StatusCode::UNAUTHORIZED, [(header::CONTENT_TYPE, "application/json")], r#"{"error":"invalid_signature"}"#)
        .into_response()
}
