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

/// Builds requests with the signature of their sender.
///
/// The signature comes from the same declaration that verifies it: algorithm, signed text, header syntax, encoding,
/// form of the key, and the place of id, event type, timestamp and payload. So it works for every [`Provider`] and for
/// every declared scheme.
///
/// Only the scheme and the secret are required. By default the request is a POST to `/` with an event of the type
/// `test` and an empty payload, signed at the current time. Each `SignedRequest` has its own id, and keeps it: if you
/// build it twice, the second request is a duplicate of the first.
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
    /// An invalid argument, which is reported when the request is built.
    fault: Option<String>,
}

/// What the sender knows of its receiver, which a test may replace.
fn by_sender(scheme: &Scheme) -> Scheme {
    let scheme = scheme.clone();
    let scheme = if scheme.signs_endpoint_id() { scheme.with_endpoint_id("test") } else { scheme };
    if scheme.needs_account() { scheme.with_insecure_any_account() } else { scheme }
}

impl SignedRequest {
    /// Creates a request of a provider.
    pub fn new(provider: Provider, secret: &Secret) -> Self {
        Self::for_scheme(&provider.into(), secret)
    }

    /// Creates a request by a declared scheme. With a scheme that has no secret, any secret can be passed. With public
    /// keys, pass the private key here, for example `whsk_…`, and the public key to the layer.
    pub fn for_scheme(scheme: &Scheme, secret: &Secret) -> Self {
        // `RandomState` is the standard library's source of randomness. An id must differ from those of other runs,
        // since a store may outlive them; it does not have to be hard to guess.
        let id = format!("test{:016x}", RandomState::new().build_hasher().finish());
        Self {
            scheme: by_sender(scheme),
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

    /// Sets the event type and the payload. The envelope is built around the payload, with type and id in the places
    /// that the scheme declares.
    pub fn with_event(mut self, event_type: impl Into<String>, payload: impl Into<Value>) -> Self {
        self.unsigned.event_type = Some(event_type.into());
        self.unsigned.content = Content::Payload(payload.into());
        self
    }

    /// Sets the whole body. It is sent unchanged, except that a signed timestamp in it is set. Facts whose place is in
    /// the head are still set.
    ///
    /// ```
    /// use tower_webhooks::{Provider, Secret, testing::SignedRequest};
    ///
    /// let secret = Secret::new("It's a Secret to Everybody")?;
    /// let broken = SignedRequest::new(Provider::GITHUB, &secret).with_body("{\"not\": \"closed\"").build::<axum::body::Body>();
    /// assert!(broken.headers().contains_key("x-hub-signature-256")); // a valid signature over a body that cannot be parsed
    /// # Ok::<(), tower_webhooks::ConfigError>(())
    /// ```
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.unsigned.content = Content::Body(body.into());
        self
    }

    /// Sets the event type and the body to those of a [fixture](super::fixtures).
    pub fn with_fixture(mut self, fixture: &Fixture) -> Self {
        self.unsigned.event_type = Some(fixture.event_type().to_owned());
        self.with_body(fixture.body().as_bytes().to_vec())
    }

    /// Sends the event as a form (`application/x-www-form-urlencoded`), with the JSON in the field that the scheme
    /// declares.
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

    /// Sets the event type only.
    pub fn with_event_type(mut self, event_type: impl Into<String>) -> Self {
        self.unsigned.event_type = Some(event_type.into());
        self
    }

    /// Sets the delivery's id.
    ///
    /// ```
    /// use tower_webhooks::{Provider, Secret, testing::SignedRequest};
    ///
    /// let secret = Secret::new("It's a Secret to Everybody")?;
    /// let request = SignedRequest::new(Provider::GITHUB, &secret).with_id("72d3162e").build::<axum::body::Body>();
    /// assert_eq!(request.headers()["x-github-delivery"], "72d3162e");
    /// # Ok::<(), tower_webhooks::ConfigError>(())
    /// ```
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.unsigned.id = Some(id.into());
        self
    }

    /// Leaves out the delivery's id, if the scheme does not sign it.
    pub fn without_id(mut self) -> Self {
        self.unsigned.id = None;
        self
    }

    /// Sets the version of the sender's API, if the scheme has a place for it.
    pub fn with_api_version(mut self, version: impl Into<String>) -> Self {
        self.unsigned.api_version = Some(version.into());
        self
    }

    /// Signs with another secret instead, for example the old one of a rotation.
    pub fn with_secret(mut self, secret: &Secret) -> Self {
        self.secrets = vec![secret.clone()];
        self
    }

    /// Signs with an additional secret, as senders do during a rotation.
    ///
    /// ```
    /// use tower_webhooks::{Provider, Secret, testing::SignedRequest};
    ///
    /// let (new, old) = (Secret::new("whsec_of_today")?, Secret::new("whsec_of_yesterday")?);
    /// let request = SignedRequest::new(Provider::STRIPE, &new).and_secret(&old).build::<axum::body::Body>();
    /// assert_eq!(request.headers()["stripe-signature"].to_str().unwrap().matches("v1=").count(), 2);
    /// # Ok::<(), tower_webhooks::ConfigError>(())
    /// ```
    pub fn and_secret(mut self, secret: &Secret) -> Self {
        self.secrets.push(secret.clone());
        self
    }

    /// Sets the time of the signature; the current time by default.
    ///
    /// ```
    /// use axum::{Router, body::Body, http::{Request, StatusCode}, routing::post};
    /// use std::time::Duration;
    /// use tower::ServiceExt;
    /// use tower_webhooks::{Provider, Secret, VerifiedBody, WebhookLayer, clock::{Clock, SystemClock}, testing::SignedRequest};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let secret = Secret::new("whsec_only_for_this_test")?;
    /// let app: Router = Router::new().route("/", post(|_: VerifiedBody| async {}).layer(WebhookLayer::stripe(secret.clone())));
    ///
    /// let an_hour_ago = SystemClock.now() - Duration::from_secs(3600);
    /// let old: Request<Body> = SignedRequest::new(Provider::STRIPE, &secret).at(an_hour_ago).build();
    /// assert_eq!(app.oneshot(old).await?.status(), StatusCode::UNAUTHORIZED);
    /// # Ok(())
    /// # }
    /// ```
    pub fn at(mut self, time: SystemTime) -> Self {
        self.at = Some(time);
        self
    }

    /// Changes the request after it was signed: the body if the scheme signs it, otherwise the signature.
    pub fn tampered(mut self) -> Self {
        self.unsigned.tampered = true;
        self
    }

    /// Sets the path and query; `/` by default.
    pub fn uri(mut self, uri: impl AsRef<str>) -> Self {
        match uri.as_ref().parse() {
            Ok(uri) => self.unsigned.uri = uri,
            Err(_) => self.fault = Some(format!("`{}` is not a URI", uri.as_ref())),
        }
        self
    }

    /// Sets the method; the scheme's own by default.
    pub fn method(mut self, method: Method) -> Self {
        self.unsigned.method = Some(method);
        self
    }

    /// Sets a header. Headers of the signature, and those that are signed, are overwritten when the request is built.
    pub fn header(mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        match (HeaderName::from_bytes(name.as_ref().as_bytes()), HeaderValue::from_str(value.as_ref())) {
            (Ok(name), Ok(value)) => _ = self.unsigned.headers.insert(name, value),
            _ => self.fault = Some(format!("`{}: {}` is not a header", name.as_ref(), value.as_ref())),
        }
        self
    }

    /// Puts the signature into another of the scheme's alternative headers instead of the first, with the other headers
    /// of the same family.
    pub fn signed_in(mut self, header: impl AsRef<str>) -> Self {
        match HeaderName::from_bytes(header.as_ref().as_bytes()) {
            Ok(name) => self.unsigned.header = Some(name),
            Err(_) => self.fault = Some(format!("`{}` is not a header name", header.as_ref())),
        }
        self
    }

    /// Sets the public base of the server's URLs, for a scheme that signs the URL: the same as that of the layer.
    ///
    /// ```
    /// use tower_webhooks::{Provider, Secret, testing::SignedRequest};
    ///
    /// let secret = Secret::new("the signature key of Square")?;
    /// let square = SignedRequest::new(Provider::SQUARE, &secret).uri("/hooks/square");
    /// assert!(square.try_build::<axum::body::Body>().is_err()); // Square signs the URL, which is not known yet
    /// assert!(square.public_url("https://hooks.example.com").try_build::<axum::body::Body>().is_ok());
    /// # Ok::<(), tower_webhooks::ConfigError>(())
    /// ```
    pub fn public_url(mut self, base: &str) -> Self {
        match self.scheme.clone().with_public_url(base) {
            Ok(scheme) => self.scheme = scheme,
            Err(cause) => self.fault = Some(cause.to_string()),
        }
        self
    }

    /// Sets the value of a claim, for a scheme whose signature is a token: the same as that of the layer. The claims
    /// that a layer needs have the text `test` otherwise.
    pub fn claim(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.scheme = self.scheme.with_claim(name, text);
        self
    }

    /// Sets the id that the sender has given to the endpoint, for a scheme that signs it: the same as that of the layer. It is
    /// `test` otherwise.
    pub fn endpoint_id(mut self, id: impl Into<String>) -> Self {
        self.scheme = self.scheme.with_endpoint_id(id);
        self
    }

    /// Sets the account that the message is about, for a scheme whose sender signs for all its customers with the same key: one of those of
    /// the layer's `with_account`. A body of your own keeps the account that it has.
    ///
    /// ```
    /// # #[cfg(feature = "asymmetric")] {
    /// use tower_webhooks::{Provider, Secret, testing::SignedRequest};
    ///
    /// # fn show(private: &Secret) {
    /// let request = SignedRequest::new(Provider::WISE, private).account("the id of the subscription").build::<axum::body::Body>();
    /// # }
    /// # }
    /// ```
    pub fn account(mut self, account: impl Into<String>) -> Self {
        self.scheme = self.scheme.with_account(account);
        self
    }

    /// Builds the request. It can be built more than once.
    ///
    /// # Panics
    /// If [`try_build`](Self::try_build) returns an error.
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
    /// If the scheme is a [`CustomScheme`](crate::scheme::CustomScheme), signs the URL and there is no
    /// [`public_url`](Self::public_url), has no place for a fact that was set, does not declare the form that was asked
    /// for, or cannot decode a secret; and if the scheme would reject the request.
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

    /// Verifies the request, since with a wrong signature every test of a rejection would pass.
    fn check(&self, head: Head<'_>, body: &Bytes, now: SystemTime) -> Result<(), ConfigError> {
        let secrets: Secrets =
            self.secrets.iter().map(|secret| self.scheme.secret_of_receiver(secret)).collect::<Result<_, _>>()?;
        self.scheme.verify(head, body.clone(), &secrets, now).map(drop).map_err(|cause| {
            let message = format!("`{}` would reject its own request: {cause}", self.scheme.name());
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
