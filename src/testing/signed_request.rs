use std::{
    fmt,
    hash::{BuildHasher, Hasher, RandomState},
    time::SystemTime,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header};
use serde_json::{Map, Value};

use super::fixtures::Fixture;
use crate::{
    clock::{Clock, SystemClock},
    error::{ConfigError, ConfigErrorKind},
    head::Head,
    scheme::{Content, Provider, Scheme, Shape, Signed, Unsigned},
    secret::{Secret, Secrets},
};

/// Builds requests that are signed as their sender would sign them.
///
/// The signature comes from the same declaration that verifies: algorithm, signed text, grammar, encoding, form of the key,
/// and the place of id, event type, timestamp and payload. So it works for every [`Provider`] and for every declared scheme.
///
/// Nothing needs to be said but the scheme and the secret. By default the request is a POST to `/` with an event of the type
/// `test` and an empty payload, signed now. Each new one has an id of its own, which it keeps: built twice, it is a delivery
/// and its repetition.
///
/// ```
/// use axum::{Router, body::Body, http::{Request, StatusCode}, routing::post};
/// use serde_json::json;
/// use tower::ServiceExt;
/// use tower_webhooks::{Provider, Secret, VerifiedEvent, WebhookLayer, testing::SignedRequest};
///
/// async fn on_invoice(event: VerifiedEvent<serde_json::Value>) -> String {
///     format!("{} {}", event.delivery().event_type().map_or("", |kind| kind.as_str()), event["amount_paid"])
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let secret = Secret::new("whsec_only_for_this_test")?;
/// let app: Router = Router::new().route("/hook", post(on_invoice).layer(WebhookLayer::stripe(secret.clone())));
/// let invoice = SignedRequest::new(Provider::STRIPE, &secret)
///     .uri("/hook")
///     .with_event("invoice.paid", json!({ "amount_paid": 4200 }));
///
/// let right: Request<Body> = invoice.build();
/// assert_eq!(app.clone().oneshot(right).await?.status(), StatusCode::OK);
///
/// let wrong: Request<Body> = invoice.tampered().build();
/// assert_eq!(app.oneshot(wrong).await?.status(), StatusCode::UNAUTHORIZED);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct SignedRequest {
    scheme: Scheme,
    secrets: Vec<Secret>,
    at: Option<SystemTime>,
    unsigned: Unsigned,
    /// What does not fit is told when the request is built.
    fault: Option<String>,
}

impl SignedRequest {
    /// Begins a request of a provider's.
    pub fn new(provider: Provider, secret: &Secret) -> Self {
        Self::for_scheme(&provider.into(), secret)
    }

    /// Begins a request by a declared scheme. A scheme without a secret takes any; one with public keys takes the private key
    /// here, `whsk_…`, and the layer the public one.
    pub fn for_scheme(scheme: &Scheme, secret: &Secret) -> Self {
        // `RandomState` is what the standard library has of randomness. An id must differ from those of other runs, since a
        // store may outlive them; nothing depends on its being hard to guess.
        let id = format!("test{:016x}", RandomState::new().build_hasher().finish());
        Self {
            scheme: scheme.clone(),
            secrets: vec![secret.clone()],
            at: None,
            unsigned: Unsigned {
                method: None,
                uri: Uri::from_static("/"),
                headers: HeaderMap::new(),
                content: Content::Payload(Value::Object(Map::new())),
                id: Some(id),
                event_type: Some("test".to_owned()),
                api_version: None,
                header: None,
                tampered: false,
                shape: Shape::Json,
            },
            fault: None,
        }
    }

    /// Sets the event type and the payload. The envelope is built around it, with type and id where the scheme has them.
    pub fn with_event(mut self, event_type: impl Into<String>, payload: impl Into<Value>) -> Self {
        self.unsigned.event_type = Some(event_type.into());
        self.unsigned.content = Content::Payload(payload.into());
        self
    }

    /// Sets the whole body, as it is. Facts that have their place in the body are then as the body has them, but for a signed
    /// timestamp; those of the head are set.
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.unsigned.content = Content::Body(body.into());
        self
    }

    /// Sets event type and body to those of a [fixture](super::fixtures).
    pub fn with_fixture(mut self, fixture: &Fixture) -> Self {
        self.unsigned.event_type = Some(fixture.event_type().to_owned());
        self.with_body(fixture.body().as_bytes().to_vec())
    }

    /// Sends the event as a form (`application/x-www-form-urlencoded`), with the JSON in the field that the scheme names.
    ///
    /// ```
    /// use serde_json::json;
    /// use tower_webhooks::{Provider, Secret, testing::SignedRequest};
    ///
    /// let secret = Secret::new("It's a Secret to Everybody")?;
    /// let opened = SignedRequest::new(Provider::GITHUB, &secret)
    ///     .with_event("issues.opened", json!({ "issue": { "number": 7 } }))
    ///     .as_form()
    ///     .build::<axum::body::Body>();
    /// assert_eq!(opened.headers()["content-type"], "application/x-www-form-urlencoded");
    /// # Ok::<(), tower_webhooks::ConfigError>(())
    /// ```
    pub fn as_form(mut self) -> Self {
        self.unsigned.shape = Shape::Form;
        self
    }

    /// Sends the event as a form whose fields are the payload's members. Lists become repeated fields.
    pub fn as_form_fields(mut self) -> Self {
        self.unsigned.shape = Shape::Fields;
        self
    }

    /// Sets the event type alone.
    pub fn with_event_type(mut self, event_type: impl Into<String>) -> Self {
        self.unsigned.event_type = Some(event_type.into());
        self
    }

    /// Sets the delivery's id.
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.unsigned.id = Some(id.into());
        self
    }

    /// Leaves the delivery without an id, where the scheme does not sign one.
    pub fn without_id(mut self) -> Self {
        self.unsigned.id = None;
        self
    }

    /// Sets the version of the sender's API, where the scheme has a place for it.
    pub fn with_api_version(mut self, version: impl Into<String>) -> Self {
        self.unsigned.api_version = Some(version.into());
        self
    }

    /// Signs with another secret instead, such as the old one of a rotation.
    pub fn with_secret(mut self, secret: &Secret) -> Self {
        self.secrets = vec![secret.clone()];
        self
    }

    /// Signs with one more secret, as senders do during a rotation.
    pub fn and_secret(mut self, secret: &Secret) -> Self {
        self.secrets.push(secret.clone());
        self
    }

    /// Signs at a moment instead of now.
    pub fn at(mut self, time: SystemTime) -> Self {
        self.at = Some(time);
        self
    }

    /// Changes what is signed, after it was signed: the body where the scheme binds it, else the signature.
    pub fn tampered(mut self) -> Self {
        self.unsigned.tampered = true;
        self
    }

    /// Sets the path and query; `/` by default.
    pub fn uri(mut self, uri: impl AsRef<str>) -> Self {
        match uri.as_ref().parse() {
            Ok(uri) => self.unsigned.uri = uri,
            Err(_) => self.fault = Some(format!("`{}` is no URI", uri.as_ref())),
        }
        self
    }

    /// Sets the method; the scheme's own by default.
    pub fn method(mut self, method: Method) -> Self {
        self.unsigned.method = Some(method);
        self
    }

    /// Sets a header. One that the scheme signs or signs with is overwritten.
    pub fn header(mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        match (HeaderName::from_bytes(name.as_ref().as_bytes()), HeaderValue::from_str(value.as_ref())) {
            (Ok(name), Ok(value)) => _ = self.unsigned.headers.insert(name, value),
            _ => self.fault = Some(format!("`{}: {}` is no header", name.as_ref(), value.as_ref())),
        }
        self
    }

    /// Puts the signature into another of the scheme's alternative headers than the first, and all that belongs to it.
    pub fn signed_in(mut self, header: impl AsRef<str>) -> Self {
        match HeaderName::from_bytes(header.as_ref().as_bytes()) {
            Ok(name) => self.unsigned.header = Some(name),
            Err(_) => self.fault = Some(format!("`{}` is no header name", header.as_ref())),
        }
        self
    }

    /// Sets the public base of the server's URLs, for a scheme that signs the URL: the same that the layer was told.
    pub fn public_url(mut self, base: &str) -> Self {
        match self.scheme.clone().with_public_url(base) {
            Ok(scheme) => self.scheme = scheme,
            Err(cause) => self.fault = Some(cause.to_string()),
        }
        self
    }

    /// Builds the request. It can be built more than once.
    ///
    /// # Panics
    /// As [`try_build`](Self::try_build) fails: a test whose request cannot be built has no more to say.
    #[track_caller]
    pub fn build<B: From<Bytes>>(&self) -> Request<B> {
        match self.try_build() {
            Ok(request) => request,
            Err(cause) => panic!("{cause}"),
        }
    }

    /// Builds the request.
    ///
    /// # Errors
    /// When the scheme is written in code, signs a URL without a [`public_url`](Self::public_url), has no room for what it is
    /// to hold, does not declare the form that was asked for, or cannot decode a secret; and when the scheme itself would refuse what was built.
    pub fn try_build<B: From<Bytes>>(&self) -> Result<Request<B>, ConfigError> {
        if let Some(fault) = &self.fault {
            return Err(ConfigError::new(ConfigErrorKind::Option, fault.clone()));
        }
        let now = self.at.unwrap_or_else(|| SystemClock.now());
        let mut unsigned = self.unsigned.clone();
        let content_type = match self.scheme.shape(unsigned.shape) {
            Shape::Json => "application/json",
            Shape::Fields | Shape::Form => "application/x-www-form-urlencoded",
        };
        unsigned.headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static(content_type));
        let Signed { method, uri, mut headers, body } = self.scheme.sign(unsigned, &self.secrets, now)?;
        headers.entry(header::CONTENT_LENGTH).or_insert(HeaderValue::from(body.len()));
        if !self.unsigned.tampered {
            self.check(Head::new(&method, &uri, &headers), &body, now)?;
        }
        let mut request = Request::new(B::from(body));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        Ok(request)
    }

    /// A helper that signs wrongly would make every test of a refusal pass.
    fn check(&self, head: Head<'_>, body: &Bytes, now: SystemTime) -> Result<(), ConfigError> {
        let secrets: Secrets =
            self.secrets.iter().map(|secret| self.scheme.secret_of_receiver(secret)).collect::<Result<_, _>>()?;
        self.scheme.verify(head, body.clone(), &secrets, now).map(drop).map_err(|cause| {
            let message = format!("`{}` would refuse its own request: {cause}", self.scheme.name());
            ConfigError::new(ConfigErrorKind::Scheme, message).with_source(cause)
        })
    }
}

impl fmt::Debug for SignedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedRequest")
            .field("scheme", &self.scheme)
            .field("id", &self.unsigned.id)
            .field("event_type", &self.unsigned.event_type)
            .finish_non_exhaustive()
    }
}
