use std::{
    fmt,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{Request, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    cache::{Cache, Need},
    client::KeyClient,
    fetched::{Key, secrets, send, succeeded},
    jwk::{self, KeyKind},
};
use crate::{
    boxed::{BoxError, BoxFuture},
    clock::{Clock, SystemClock},
    head::RequestHead,
    secret::{Secret, SecretSource, Secrets},
};

/// The keys with which Plaid signs, for [`WebhookLayer::plaid`](crate::WebhookLayer::plaid). Each is fetched by its id
/// from Plaid's API (`/webhook_verification_key/get`), with the application's credentials.
///
/// ```
/// use tower_webhooks::{Secret, WebhookLayer, keys::{HttpsKeyClient, PlaidKeys}};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let keys = PlaidKeys::new("the client id", Secret::new("the secret of the sandbox")?, HttpsKeyClient::new()?).sandbox();
/// let layer = WebhookLayer::plaid(keys);
/// # let _ = layer;
/// # Ok(()) }
/// ```
pub struct PlaidKeys {
    account: Account,
    clock: Arc<dyn Clock>,
    cache: Arc<Cache>,
}

/// The data that a fetch needs.
#[derive(Clone)]
struct Account {
    client: Arc<dyn KeyClient>,
    base: &'static str,
    client_id: Arc<str>,
    secret: Secret,
}

impl PlaidKeys {
    /// Creates a source with the application's `client_id` and `secret` of Plaid's API.
    pub fn new(client_id: impl Into<Arc<str>>, secret: Secret, client: impl KeyClient) -> Self {
        let client: Arc<dyn KeyClient> = Arc::new(client);
        let account = Account { client, base: "https://production.plaid.com", client_id: client_id.into(), secret };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        Self { cache: cache(account.clone(), Arc::clone(&clock)), account, clock }
    }

    /// Fetches the keys of the sandbox instead of those of production.
    #[must_use]
    pub fn sandbox(mut self) -> Self {
        self.account.base = "https://sandbox.plaid.com";
        self.cache = cache(self.account.clone(), Arc::clone(&self.clock));
        self
    }

    /// Sets the clock.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self.cache = cache(self.account.clone(), Arc::clone(&self.clock));
        self
    }
}

#[derive(Deserialize)]
struct Answer {
    key: Value,
}

/// The facts that Plaid sends with a key.
#[derive(Deserialize)]
struct Dates {
    expired_at: Option<u64>,
}

#[derive(Deserialize)]
struct Fault {
    error_code: String,
}

impl Account {
    async fn fetch(self, id: String) -> Result<Option<Vec<Key>>, BoxError> {
        let secret = std::str::from_utf8(self.secret.expose())?;
        let body = json!({"client_id": &*self.client_id, "secret": secret, "key_id": &id}).to_string();
        let request = Request::post(format!("{}/webhook_verification_key/get", self.base))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Bytes::from(body))?;
        let response = send(self.client, request).await?;
        if response.status() == StatusCode::BAD_REQUEST {
            // Wrong credentials have other codes: then it is not known whether there is such a key.
            let fault: Option<Fault> = serde_json::from_slice(response.body()).ok();
            return match fault {
                Some(fault) if fault.error_code == NO_SUCH_KEY => Ok(None),
                Some(fault) => Err(format!("Plaid answered with the error `{}`", plain(&fault.error_code)).into()),
                None => Err("Plaid answered with status 400".into()),
            };
        }
        let body = succeeded(response)?;
        let unreadable = || BoxError::from("the answer contains no readable key");
        let Answer { key } = serde_json::from_slice(&body).map_err(|_| unreadable())?;
        let dates = Dates::deserialize(&key).map_err(|_| unreadable())?;
        let mut key = jwk::one(key, Some(KeyKind::P256)).map_err(|_| unreadable())?;
        // It was asked for by this id.
        key.id = None;
        key.until = dates.expired_at.and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
        Ok(Some(vec![key]))
    }
}

/// Returns Plaid's error code for a log. Plaid's codes are short words, so any other text is left out.
fn plain(code: &str) -> String {
    code.chars().filter(|c| c.is_ascii_uppercase() || *c == '_').take(64).collect()
}

fn cache(account: Account, clock: Arc<dyn Clock>) -> Arc<Cache> {
    let fetch = move |id: String| -> BoxFuture<'static, _> { Box::pin(account.clone().fetch(id)) };
    Cache::new(Box::new(fetch), clock)
}

impl SecretSource for PlaidKeys {
    fn secrets(&self, head: RequestHead) -> BoxFuture<'_, Result<Secrets, BoxError>> {
        Box::pin(async move {
            match head.key_id() {
                Some(id) => Ok(secrets(&self.cache.find(id, None, Need::Known).await?)),
                None => Ok(Secrets::unknown_key()),
            }
        })
    }
}

impl fmt::Debug for PlaidKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlaidKeys").field("base", &self.account.base).finish_non_exhaustive()
    }
}

const NO_SUCH_KEY: &str = "INVALID_WEBHOOK_VERIFICATION_KEY_ID";
