use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use http::{Request, Uri};

use super::{
    cache::{Cache, Need},
    client::KeyClient,
    fetched::{secrets, send, succeeded},
    jwk::{self, KeyKind},
};
use crate::{
    boxed::{BoxError, BoxFuture},
    clock::{Clock, SystemClock},
    error::{ConfigError, ConfigErrorKind},
    head::RequestHead,
    observe,
    secret::{SecretSource, Secrets},
    signature::MOST_PUBLIC_KEYS,
};

/// The keys of a sender that publishes a set of them (JWKS, RFC 7517, section 5).
///
/// If the scheme says where a request names its key ([`key_id`](crate::scheme::SchemeBuilder::key_id)), only that key
/// is tried. Otherwise the first 4 keys of the right kind are tried, and a warning is logged if there are more.
///
/// A key that is malformed or weak (of small order, too short) is skipped, with a warning and a counter. The other keys
/// of the set stay usable.
///
/// The set is fetched when the first request needs it, and again after an hour. If a request names a key that is not in
/// the set, it is fetched again, at most once in 30 seconds.
///
/// ```
/// use tower_webhooks::{Scheme, WebhookLayer, keys::{HttpsKeyClient, JwksKeys, KeyKind}, scheme::Field};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let keys = JwksKeys::new("https://acme.example/.well-known/jwks.json", HttpsKeyClient::new()?)?.kind(KeyKind::Rsa);
/// let scheme = Scheme::rsa_sha256()
///     .header("x-acme-token")
///     .key_pem()
///     .jwt()
///     .key_id(Field::token_header("kid"))
///     .hex_digest(Field::claim("body_sha256"));
/// let layer = WebhookLayer::new(scheme, keys);
/// # let _ = layer;
/// # Ok(()) }
/// ```
pub struct JwksKeys {
    url: Uri,
    kind: Option<KeyKind>,
    client: Arc<dyn KeyClient>,
    clock: Arc<dyn Clock>,
    cache: Arc<Cache>,
    /// Whether the warning about too many keys was logged.
    has_too_many: AtomicBool,
}

impl JwksKeys {
    /// Creates a source for the set of keys at a URL.
    ///
    /// # Errors
    /// If `url` is not an `https` URL.
    pub fn new(url: &str, client: impl KeyClient) -> Result<Self, ConfigError> {
        let uri: Option<Uri> = url.parse().ok();
        match uri.filter(|uri| uri.scheme_str() == Some("https") && uri.authority().is_some()) {
            Some(uri) => Ok(Self::of(uri, None, Arc::new(client))),
            None => {
                let message = format!("`{url}` is not the URL of a set of keys, which begins with `https://`");
                Err(ConfigError::new(ConfigErrorKind::Option, message))
            }
        }
    }

    /// Creates a source for the keys with which Google signs tokens of OpenID Connect, for
    /// [`WebhookLayer::google_pubsub`](crate::WebhookLayer::google_pubsub).
    pub fn google(client: impl KeyClient) -> Self {
        Self::of(Uri::from_static("https://www.googleapis.com/oauth2/v3/certs"), Some(KeyKind::Rsa), Arc::new(client))
    }

    /// Creates a source for the keys of fal, for [`WebhookLayer::fal`](crate::WebhookLayer::fal).
    pub fn fal(client: impl KeyClient) -> Self {
        let url = Uri::from_static("https://rest.alpha.fal.ai/.well-known/jwks.json");
        Self::of(url, Some(KeyKind::Ed25519), Arc::new(client))
    }

    /// Creates a source for the keys of Fireblocks, for
    /// [`WebhookLayer::fireblocks_v2`](crate::WebhookLayer::fireblocks_v2): those of the production environment in the
    /// United States. For the sets of other environments, use [`JwksKeys::new`].
    pub fn fireblocks(client: impl KeyClient) -> Self {
        Self::of(
            Uri::from_static("https://keys.fireblocks.io/.well-known/jwks.json"),
            Some(KeyKind::Rsa),
            Arc::new(client),
        )
    }

    /// Creates a source for the keys of ShipStation, for [`WebhookLayer::shipstation`](crate::WebhookLayer::shipstation).
    pub fn shipstation(client: impl KeyClient) -> Self {
        Self::of(Uri::from_static("https://api.shipengine.com/jwks"), Some(KeyKind::Rsa), Arc::new(client))
    }

    /// Creates a source for the keys of TrueLayer, for [`WebhookLayer::truelayer`](crate::WebhookLayer::truelayer). For
    /// the set of the sandbox, use [`JwksKeys::new`].
    pub fn truelayer(client: impl KeyClient) -> Self {
        Self::of(
            Uri::from_static("https://webhooks.truelayer.com/.well-known/jwks"),
            Some(KeyKind::P521),
            Arc::new(client),
        )
    }

    fn of(url: Uri, kind: Option<KeyKind>, client: Arc<dyn KeyClient>) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let cache = cache(kind, Arc::clone(&client), Arc::clone(&clock));
        Self { url, kind, client, clock, cache, has_too_many: AtomicBool::new(false) }
    }

    /// Uses only keys of this kind, for a set that also has others.
    #[must_use]
    pub fn kind(mut self, kind: KeyKind) -> Self {
        self.kind = Some(kind);
        self.cache = cache(self.kind, Arc::clone(&self.client), Arc::clone(&self.clock));
        self
    }

    /// Sets the clock.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self.cache = cache(self.kind, Arc::clone(&self.client), Arc::clone(&self.clock));
        self
    }

    async fn find(&self, head: RequestHead, need: Need) -> Result<Secrets, BoxError> {
        let url = self.url.to_string();
        let keys = self.cache.find(&url, head.key_id(), need).await?;
        // A request that names its key is verified only with that key.
        if keys.len() > MOST_PUBLIC_KEYS && !self.has_too_many.swap(true, Ordering::Relaxed) {
            observe::keys_left_out(&url, "too_many", keys.len() - MOST_PUBLIC_KEYS);
        }
        Ok(secrets(&keys))
    }
}

fn cache(kind: Option<KeyKind>, client: Arc<dyn KeyClient>, clock: Arc<dyn Clock>) -> Arc<Cache> {
    let fetch = move |url: String| -> BoxFuture<'static, _> {
        let client = Arc::clone(&client);
        Box::pin(async move {
            let source = url.clone();
            let body = succeeded(send(client, Request::get(url).body(Bytes::new())?).await?)?;
            jwk::set(&source, &body, kind).map(Some)
        })
    };
    Cache::new(Box::new(fetch), clock)
}

impl SecretSource for JwksKeys {
    fn secrets(&self, head: RequestHead) -> BoxFuture<'_, Result<Secrets, BoxError>> {
        Box::pin(self.find(head, Need::Known))
    }

    fn refresh(&self, head: RequestHead, tried: Secrets) -> BoxFuture<'_, Result<Option<Secrets>, BoxError>> {
        Box::pin(async move {
            let newer = self.find(head, Need::Newer).await?;
            Ok((!newer.holds_same(&tried)).then_some(newer))
        })
    }
}

impl fmt::Debug for JwksKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwksKeys").field("url", &self.url).field("kind", &self.kind).finish_non_exhaustive()
    }
}
