use std::{fmt, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;

use super::builder::HttpsKeyClientBuilder;
use crate::{
    boxed::{BoxError, BoxFuture},
    error::ConfigError,
    net::{
        connect::Dialler,
        destination::{DestinationPolicy, EndpointUrl},
        error::DialError,
        stage::Stage,
    },
};

/// Sends the requests with which keys are fetched. [`HttpsKeyClient`] is the usual implementation. An application can
/// have its own, for example for tests, or to fetch through a service of its network.
///
/// The sources of keys stop waiting after 5 seconds, and use at most 64 KiB of an answer. Your own client should not
/// follow redirects, and should connect only to addresses that the operator allows.
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use tower_webhooks::{BoxError, BoxFuture, keys::{JwksKeys, KeyClient}};
///
/// /// Answers each request with the same set of keys.
/// struct Fixed(&'static str);
///
/// impl KeyClient for Fixed {
///     fn send(&self, _request: Request<Bytes>) -> BoxFuture<'_, Result<Response<Bytes>, BoxError>> {
///         Box::pin(async { Ok(Response::new(Bytes::from_static(self.0.as_bytes()))) })
///     }
/// }
///
/// let keys = JwksKeys::new("https://keys.example.com/jwks.json", Fixed(r#"{"keys":[]}"#))?;
/// # let _ = keys;
/// # Ok::<(), tower_webhooks::ConfigError>(())
/// ```
pub trait KeyClient: Send + Sync + 'static {
    /// Sends a request, and returns the whole answer, whatever its status.
    ///
    /// # Errors
    /// If there is no answer.
    fn send(&self, request: Request<Bytes>) -> BoxFuture<'_, Result<Response<Bytes>, BoxError>>;
}

impl<C: KeyClient + ?Sized> KeyClient for Arc<C> {
    fn send(&self, request: Request<Bytes>) -> BoxFuture<'_, Result<Response<Bytes>, BoxError>> {
        (**self).send(request)
    }
}

/// Fetches keys by `https` from the public internet. Each request has its own connection. Clones are cheap.
///
/// A request looks the host name up once, and connects only to a public address.
///
/// ```
/// use tower_webhooks::{WebhookLayer, keys::{HttpsKeyClient, JwksKeys}};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = HttpsKeyClient::builder().egress_proxy("http://proxy.internal:3128".parse()?).build()?;
/// let layer = WebhookLayer::fal(JwksKeys::fal(client)).with_endpoint_id("your user's id at fal");
/// # let _ = layer;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct HttpsKeyClient(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) policy: DestinationPolicy,
    pub(super) dialler: Dialler,
}

impl HttpsKeyClient {
    /// Creates a client that trusts the certificate authorities of the operating system.
    ///
    /// # Errors
    /// If the operating system trusts no certificate authority.
    pub fn new() -> Result<Self, ConfigError> {
        Self::builder().build()
    }

    /// Creates a builder for a client with other settings.
    pub fn builder() -> HttpsKeyClientBuilder {
        HttpsKeyClientBuilder::default()
    }

    async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Bytes>, BoxError> {
        let Inner { policy, dialler } = &*self.0;
        let (head, body) = request.into_parts();
        let url = policy.endpoint(&head.uri.to_string())?;
        // Whatever the policy allows: a key that anybody on the way can replace is not a key.
        if !url.is_https() {
            return Err("keys are only fetched by https".into());
        }
        let addresses = dialler.addresses(&url, policy).await.map_err(failed)?;
        let (_, mut connection) =
            dialler.connect(&url, &addresses, None, &mut Stage::default()).await.map_err(failed)?;
        let mut request = Request::from_parts(head, Full::new(body));
        *request.uri_mut() = Uri::from(url.path().clone());
        let headers = request.headers_mut();
        headers.insert(header::HOST, host(&url)?);
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        let (head, body) = connection.sender.send_request(request).await?.into_parts();
        Ok(Response::from_parts(head, read(body).await?))
    }
}

impl KeyClient for HttpsKeyClient {
    fn send(&self, request: Request<Bytes>) -> BoxFuture<'_, Result<Response<Bytes>, BoxError>> {
        Box::pin(async move {
            // A source has this limit as well. Here it holds for other callers.
            match tokio::time::timeout(TIMEOUT, self.exchange(request)).await {
                Ok(answer) => answer,
                Err(_) => Err(format!("there was no answer within {TIMEOUT:?}").into()),
            }
        })
    }
}

fn host(url: &EndpointUrl) -> Result<HeaderValue, BoxError> {
    Ok(HeaderValue::from_str(url.authority())?)
}

/// Reads a body, and fails as soon as it is too large.
async fn read(mut body: Incoming) -> Result<Bytes, BoxError> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        if whole.len() + data.len() > LARGEST_ANSWER {
            return Err(too_large());
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

pub(super) fn too_large() -> BoxError {
    format!("the answer is larger than {LARGEST_ANSWER} bytes").into()
}

fn failed(error: DialError) -> BoxError {
    error.source
}

impl fmt::Debug for HttpsKeyClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpsKeyClient").field("policy", &self.0.policy).finish_non_exhaustive()
    }
}

/// Sets of keys and chains of certificates have a few kilobytes.
pub(super) const LARGEST_ANSWER: usize = 64 * 1024;

/// How long a fetch may take. The sender waits meanwhile.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);

const USER_AGENT: &str = concat!("tower-webhooks/", env!("CARGO_PKG_VERSION"));
