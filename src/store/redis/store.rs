use std::sync::Arc;

use redis::{Client, aio::ConnectionManager};

use super::{claims::Claims, connection::Connection, inbox::Inbox, options::RedisStoreOptions, server::Server};
use crate::{error::StoreError, store::replaceable::Replaceable};

/// Keeps claims in Redis, and with the feature `inbox` events. Clones share the connection.
///
/// The [module](super) documentation says what it promises, and what the server must do.
///
/// ```
/// use tower_webhooks::{BoxError, Secret, WebhookLayer, idempotency::IdempotencyLayer, store::RedisStore};
///
/// # async fn layer() -> Result<WebhookLayer<IdempotencyLayer>, BoxError> {
/// let store = RedisStore::connect("rediss://redis.internal.example:6379").await?;
/// let layer = WebhookLayer::github(Secret::new("It's a Secret to Everybody")?).with_idempotency(store);
/// # Ok(layer)
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct RedisStore {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) application: Option<Arc<str>>,
    pub(super) claims: Claims,
    #[cfg_attr(not(feature = "inbox"), allow(dead_code))] // There is nothing in it.
    pub(super) inbox: Inbox,
}

impl RedisStore {
    /// Connects to one server with the default options.
    ///
    /// # Errors
    /// As for [`RedisStoreOptions::connect`].
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::options().connect(url).await
    }

    /// Uses the application's own connection, with the default options; see [`RedisStoreOptions::from_connection`].
    pub fn from_connection(connection: ConnectionManager) -> Self {
        Self::options().from_connection(connection)
    }

    /// Returns the default options, to change some.
    pub fn options() -> RedisStoreOptions {
        RedisStoreOptions::default()
    }

    pub(super) fn new(options: RedisStoreOptions, connection: Replaceable<Connection>, client: Option<Client>) -> Self {
        let RedisStoreOptions { application, prefix, timeout, clock_offset } = options;
        let server = Arc::new(Server { connection, client, timeout, clock_offset });
        Self {
            inner: Arc::new(Inner {
                application,
                claims: Claims::new(&server, prefix.as_str()),
                inbox: Inbox::new(&server, prefix.as_str()),
            }),
        }
    }
}
