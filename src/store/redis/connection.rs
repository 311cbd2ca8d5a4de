use std::fmt;

use redis::{Cmd, RedisResult, Value, aio::ConnectionManager, cluster_async::ClusterConnection};

/// A connection to one server or to a cluster. Clones share the connection, which reconnects by itself.
#[derive(Clone)]
pub(super) enum Connection {
    Cluster(ClusterConnection),
    Single(ConnectionManager),
}

impl Connection {
    pub(super) async fn query(&self, command: &Cmd) -> RedisResult<Value> {
        match self {
            Self::Cluster(connection) => command.query_async(&mut connection.clone()).await,
            Self::Single(connection) => command.query_async(&mut connection.clone()).await,
        }
    }

    /// Returns `true` if there is one server that a command without a key asks.
    #[cfg(feature = "inbox")]
    pub(super) fn is_single(&self) -> bool {
        matches!(self, Self::Single(_))
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The connection's own output could hold the URL, and so the password.
        f.write_str(match self {
            Self::Cluster(_) => "Cluster",
            Self::Single(_) => "Single",
        })
    }
}
