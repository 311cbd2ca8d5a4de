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
use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use serde::de::DeserializeOwned;
use sha2::Sha256;
use tower::{ServiceExt, layer::util::Identity};
use tower_webhooks::{
    EventRejection, EventRouter, RawEvent, Secret, VerifiedBody, VerifiedEnvelope, VerifiedEvent, WebhookLayer,
    clock::ManualClock,
};

use crate::{
    bodies::{Delivery, NOW, SECRET, Sender},
    types::{BorrowedEvent, Event, Invoice},
};

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
    pub(crate) fn json<T: DeserializeOwned + Send + 'static>(name: &'static str) -> Self {
        async fn handler<T: DeserializeOwned>(Json(event): Json<T>) {
            black_box(event);
        }
        Self::new(name, Router::new().route("/hook", post(handler::<T>)))
    }

    /// The least that a verified event can cost: the bytes, one HMAC with the key set up once, one pass for UTF-8, one parse. It looks
    /// at no header, and refuses nothing but a body that does not parse.
    pub(crate) fn bound<T: DeserializeOwned + Send + 'static>(sender: Sender) -> Self {
        async fn handler<T: DeserializeOwned>(State(hand): State<Hand>, body: Bytes) -> StatusCode {
            let mut mac = (*hand.keyed).clone();
            mac.update(&body);
            black_box(mac.finalize());
            let Ok(text) = std::str::from_utf8(&body) else { return StatusCode::BAD_REQUEST };
            match serde_json::from_str::<T>(text) {
                Ok(event) => {
                    black_box(event);
                    StatusCode::OK
                }
                Err(_) => StatusCode::UNPROCESSABLE_ENTITY,
            }
        }
        let app = Router::new().route("/hook", post(handler::<T>)).with_state(Hand::new(sender));
        Self::new("bound, parsed", app)
    }

    /// The same without UTF-8 and parse.
    pub(crate) fn bound_unparsed(sender: Sender) -> Self {
        async fn handler(State(hand): State<Hand>, body: Bytes) {
            let mut mac = (*hand.keyed).clone();
            mac.update(&body);
            black_box((mac.finalize(), body));
        }
        Self::new("bound", Router::new().route("/hook", post(handler)).with_state(Hand::new(sender)))
    }

    /// What somebody who knows axum and reads the provider's page writes: the bytes, one HMAC, one parse.
    pub(crate) fn by_hand<T: DeserializeOwned + Send + 'static>(sender: Sender) -> Self {
        async fn handler<T: DeserializeOwned>(State(hand): State<Hand>, headers: HeaderMap, body: Bytes) -> Response {
            if !hand.verifies(&headers, &body) {
                return refusal();
            }
            match serde_json::from_slice::<T>(&body) {
                Ok(event) => {
                    black_box(event);
                    StatusCode::OK.into_response()
                }
                Err(_) => StatusCode::UNPROCESSABLE_ENTITY.into_response(),
            }
        }
        Self::new("by hand", Router::new().route("/hook", post(handler::<T>)).with_state(Hand::new(sender)))
    }

    /// The same without a parse.
    pub(crate) fn by_hand_unparsed(sender: Sender) -> Self {
        async fn handler(State(hand): State<Hand>, headers: HeaderMap, body: Bytes) -> Response {
            if !hand.verifies(&headers, &body) {
                return refusal();
            }
            black_box(body);
            StatusCode::OK.into_response()
        }
        Self::new("by hand, not parsed", Router::new().route("/hook", post(handler)).with_state(Hand::new(sender)))
    }

    /// The same, asked something that it refuses. It has the body by then, since that is what its extractor is for.
    pub(crate) fn refused_by_hand() -> Self {
        Self { name: "refused by hand", expects: StatusCode::UNAUTHORIZED, ..Self::by_hand::<Event>(Sender::Stripe) }
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
        Self { name: "refused", expects: StatusCode::UNAUTHORIZED, ..Self::event::<Invoice>(Sender::Stripe) }
    }

    pub(crate) fn verified_body(sender: Sender) -> Self {
        async fn handler(body: VerifiedBody) {
            black_box(body);
        }
        Self::new("`VerifiedBody`", Router::new().route("/hook", post(handler).layer(layer(sender))))
    }

    pub(crate) fn event<T: DeserializeOwned + Send + 'static>(sender: Sender) -> Self {
        async fn handler<T: DeserializeOwned>(event: VerifiedEvent<T>) {
            black_box(event);
        }
        Self::new("`VerifiedEvent<T>`", Router::new().route("/hook", post(handler::<T>).layer(layer(sender))))
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
        Self::new("`VerifiedEvent<Enum>`", Router::new().route("/hook", post(handler).layer(layer(Sender::Stripe))))
    }

    /// The event type chooses the handler. It is in the body, or with GitHub in the head.
    pub(crate) fn routed<T: DeserializeOwned + Send + 'static>(sender: Sender) -> Self {
        async fn paid<T: DeserializeOwned>(event: VerifiedEvent<T>) {
            black_box(event);
        }
        async fn other() {}
        let events = EventRouter::new().on("invoice.paid", paid::<T>).on("customer.*", other).fallback(other);
        Self::new("`EventRouter`", Router::new().route("/hook", post(events).layer(layer(sender))))
    }

    pub(crate) fn envelope<T: DeserializeOwned + Send + 'static>(name: &'static str, sender: Sender) -> Self {
        async fn handler<T: DeserializeOwned>(event: VerifiedEnvelope<T>) {
            black_box(event);
        }
        Self::new(name, Router::new().route("/hook", post(handler::<T>).layer(layer(sender))))
    }

    pub(crate) fn borrowed() -> Self {
        async fn handler(body: VerifiedBody) -> Result<(), EventRejection> {
            black_box(body.parse_envelope::<BorrowedEvent<'_>>()?);
            Ok(())
        }
        Self::new("borrowed `T<'_>`", Router::new().route("/hook", post(handler).layer(layer(Sender::Stripe))))
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

fn layer(sender: Sender) -> WebhookLayer {
    let secret = Secret::new(SECRET).expect("the secret is one");
    let layer = match sender {
        Sender::GitHub => WebhookLayer::github(secret),
        Sender::StandardWebhooks => WebhookLayer::standard_webhooks(secret),
        Sender::Stripe => WebhookLayer::stripe(secret),
    };
    layer.with_clock(ManualClock::at_unix_seconds(NOW))
}

/// The state of the handler by hand.
#[derive(Clone)]
struct Hand {
    /// Keyed once. Most would key it for each request, and be slower.
    keyed: Arc<Hmac<Sha256>>,
    now: u64,
    sender: Sender,
}

impl Hand {
    fn new(sender: Sender) -> Self {
        let keyed = Hmac::new_from_slice(&sender.key()).expect("HMAC takes a key of any length");
        Self { keyed: Arc::new(keyed), now: NOW, sender }
    }

    fn verifies(&self, headers: &HeaderMap, body: &[u8]) -> bool {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let mut mac = (*self.keyed).clone();
        match self.sender {
            Sender::GitHub => {
                let signature = text("x-hub-signature-256").and_then(|header| header.strip_prefix("sha256="));
                mac.update(body);
                signature.is_some_and(|signature| matches(mac, &HEXLOWER, signature))
            }
            Sender::StandardWebhooks => {
                let (Some(id), Some(timestamp), Some(header)) =
                    (text("webhook-id"), text("webhook-timestamp"), text("webhook-signature"))
                else {
                    return false;
                };
                if !self.is_fresh(timestamp) {
                    return false;
                }
                for part in [id, ".", timestamp, "."] {
                    mac.update(part.as_bytes());
                }
                mac.update(body);
                let mut signatures = header.split(' ').filter_map(|item| item.strip_prefix("v1,"));
                signatures.any(|signature| matches(mac.clone(), &BASE64, signature))
            }
            Sender::Stripe => {
                let Some(header) = text("stripe-signature") else { return false };
                let mut timestamp = None;
                let mut signatures = Vec::new();
                for pair in header.split(',') {
                    match pair.split_once('=') {
                        Some(("t", value)) => timestamp = Some(value),
                        Some(("v1", value)) => signatures.push(value),
                        _ => {}
                    }
                }
                let Some(timestamp) = timestamp.filter(|timestamp| self.is_fresh(timestamp)) else { return false };
                mac.update(timestamp.as_bytes());
                mac.update(b".");
                mac.update(body);
                signatures.iter().any(|signature| matches(mac.clone(), &HEXLOWER, signature))
            }
        }
    }

    fn is_fresh(&self, timestamp: &str) -> bool {
        timestamp.parse::<u64>().is_ok_and(|seconds| self.now.abs_diff(seconds) <= 300)
    }
}

/// In constant time.
fn matches(mac: Hmac<Sha256>, encoding: &data_encoding::Encoding, signature: &str) -> bool {
    encoding.decode(signature.as_bytes()).is_ok_and(|signature| mac.verify_slice(&signature).is_ok())
}

fn refusal() -> Response {
    (StatusCode::UNAUTHORIZED, [(header::CONTENT_TYPE, "application/json")], r#"{"error":"invalid_signature"}"#)
        .into_response()
}
