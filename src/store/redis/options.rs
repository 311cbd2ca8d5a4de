use std::{future::Future, sync::Arc, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, IntoConnectionInfo, RedisResult,
    aio::{ConnectionManager, ConnectionManagerConfig},
    cluster::ClusterClient,
    cluster_async::ClusterConnection,
    io::tcp::TcpSettings,
};
use tokio::time::timeout;

use super::{
    connection::Connection,
    error::{store_error, timed_out},
    store::RedisStore,
};
use crate::{
    clock::ClockOffset,
    error::{ConfigError, StoreError},
    store::{
        name::{Prefix, named_application},
        replaceable::Replaceable,
    },
};

/// How a [`RedisStore`] connects, and the names of its keys.
///
/// ```
/// use std::time::Duration;
/// use tower_webhooks::{BoxError, store::RedisStore};
///
/// # async fn connect() -> Result<RedisStore, BoxError> {
/// let store = RedisStore::options()
///     .key_prefix("shop")?
///     .timeout(Duration::from_millis(500))
///     .connect("rediss://redis.internal.example:6379")
///     .await?;
/// # Ok(store)
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct RedisStoreOptions {
    pub(super) application: Option<Arc<str>>,
    pub(super) prefix: Prefix,
    pub(super) timeout: Duration,
    pub(super) clock_offset: ClockOffset,
}

impl RedisStoreOptions {
    /// Creates options with the defaults: the prefix `webhook_`, a timeout of 5 seconds.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the prefix of the names of the keys.
    ///
    /// # Errors
    /// When `prefix` is not a [`Prefix`].
    pub fn key_prefix(mut self, prefix: &str) -> Result<Self, ConfigError> {
        self.prefix = prefix.parse()?;
        Ok(self)
    }

    named_application!("server and its keys");

    /// Sets the timeout of every call, which includes the wait for a connection; 5 seconds by default.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Adds `offset` to the server's clock. For tests.
    #[must_use]
    pub fn clock_offset(mut self, offset: ClockOffset) -> Self {
        self.clock_offset = offset;
        self
    }

    /// Connects to one server.
    ///
    /// # Errors
    /// When the URL cannot be read, or the server cannot be reached. If the server refuses the connection, it fails at
    /// once; if the server does not answer, it fails within the timeout. The error names the address.
    pub async fn connect(self, url: &str) -> Result<RedisStore, StoreError> {
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(self.timeout))
            .set_response_timeout(Some(self.timeout))
            // After a long outage the next try still comes soon.
            .set_min_delay(Duration::from_millis(50))
            .set_max_delay(Duration::from_secs(1));
        let client = info(url, self.timeout).and_then(Client::open).map_err(|error| store_error(error, READ_URL))?;
        let address = client.get_connection_info().addr().to_string();
        // The manager retries several times before it reports a failure. At start the first failure counts.
        let once = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.timeout))
            .set_response_timeout(Some(self.timeout));
        drop(self.bounded(&address, client.get_multiplexed_async_connection_with_config(&once)).await?);
        let connect = ConnectionManager::new_with_config(client.clone(), config.clone());
        let manager = self.bounded(&address, connect).await?;
        let another = client.clone();
        let connection = Replaceable::ours(Connection::Single(manager), move |_| {
            ConnectionManager::new_lazy_with_config(client.clone(), config.clone()).ok().map(Connection::Single)
        });
        Ok(RedisStore::new(self, connection, Some(another)))
    }

    /// Connects to a cluster, of which `urls` name some nodes.
    ///
    /// # Errors
    /// When a URL cannot be read, or no node can be reached within the timeout. The error names the addresses.
    pub async fn connect_cluster(self, urls: impl IntoIterator<Item = &str>) -> Result<RedisStore, StoreError> {
        let nodes: RedisResult<Vec<ConnectionInfo>> = urls.into_iter().map(|url| info(url, self.timeout)).collect();
        let addresses = |nodes: &Vec<ConnectionInfo>| {
            nodes.iter().map(|node| node.addr().to_string()).collect::<Vec<_>>().join("`, `")
        };
        let addresses = nodes.as_ref().map(addresses).unwrap_or_default();
        let client = nodes.and_then(|nodes| {
            ClusterClient::builder(nodes)
                .connection_timeout(self.timeout)
                .response_timeout(self.timeout)
                .tcp_settings(tcp(self.timeout))
                .build()
        });
        let client = client.map_err(|error| store_error(error, READ_URL))?;
        let connection = self.bounded(&addresses, client.get_async_connection()).await?;
        Ok(self.from_cluster_connection(connection))
    }

    /// Uses the application's own connection.
    ///
    /// A connection that is dead but not closed is not replaced, unlike that of [`connect`](Self::connect): it recovers
    /// when the kernel closes it, which a `TCP_USER_TIMEOUT` in its `TcpSettings` makes earlier.
    pub fn from_connection(self, connection: ConnectionManager) -> RedisStore {
        RedisStore::new(self, Replaceable::of_application(Connection::Single(connection)), None)
    }

    /// Uses the application's own cluster connection.
    pub fn from_cluster_connection(self, connection: ClusterConnection) -> RedisStore {
        RedisStore::new(self, Replaceable::of_application(Connection::Cluster(connection)), None)
    }

    /// Runs `connect` within the timeout. The error names the address, and never a password.
    async fn bounded<T>(&self, address: &str, connect: impl Future<Output = RedisResult<T>>) -> Result<T, StoreError> {
        let context = || format!("connect to Redis at `{address}`");
        match timeout(self.timeout, connect).await {
            Ok(connected) => connected.map_err(|error| store_error(error, context())),
            Err(_) => Err(timed_out(context())),
        }
    }
}

impl Default for RedisStoreOptions {
    fn default() -> Self {
        Self {
            application: None,
            prefix: Prefix::default(),
            timeout: DEFAULT_TIMEOUT,
            clock_offset: ClockOffset::default(),
        }
    }
}

fn info(url: &str, timeout: Duration) -> RedisResult<ConnectionInfo> {
    Ok(url.into_connection_info()?.set_tcp_settings(tcp(timeout)))
}

/// Requests are small, so waiting for more data before sending would only delay them. The kernel closes a connection
/// whose packets are not acknowledged for two timeouts, so that a new one is opened.
fn tcp(timeout: Duration) -> TcpSettings {
    let settings = TcpSettings::default().set_nodelay(true);
    #[cfg(any(target_os = "android", target_os = "linux"))]
    let settings = settings.set_user_timeout(timeout * 2);
    #[cfg(not(any(target_os = "android", target_os = "linux")))]
    let _ = timeout;
    settings
}

/// As for the other stores.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

const READ_URL: &str = "read the URL";
