use std::{fmt, sync::Arc, time::Duration};

use sqlx::PgPool;
use tokio::time::timeout;

use super::{
    claims::{CLAIMS, Claims},
    error::{no_answer, store_error},
    inbox::{self, Inbox},
    migration::{Part, Schema},
    options::PostgresStoreOptions,
    outbox::{self, Outbox},
    server::Server,
};
use crate::{error::StoreError, store::replaceable::Replaceable};

/// Keeps claims in PostgreSQL. Clones share the pool.
///
/// The [module](super) documentation says what it promises.
///
/// ```
/// use tower_webhooks::{BoxError, Secret, WebhookLayer, idempotency::IdempotencyLayer, store::PostgresStore};
///
/// # async fn layer(pool: sqlx::PgPool) -> Result<WebhookLayer<IdempotencyLayer>, BoxError> {
/// // The application's own pool: a handler can then complete its claim in its own transaction.
/// let store = PostgresStore::from_pool(pool);
/// store.migrate().await?;
/// let layer = WebhookLayer::github(Secret::new("It's a Secret to Everybody")?).with_idempotency(store);
/// # Ok(layer)
/// # }
/// ```
#[derive(Clone)]
pub struct PostgresStore {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) application: Option<Arc<str>>,
    server: Arc<Server>,
    pub(super) claims: Claims,
    #[cfg_attr(not(feature = "inbox"), allow(dead_code))] // There is nothing in it.
    pub(super) inbox: Inbox,
    pub(super) outbox: Outbox,
}

impl PostgresStore {
    /// Connects with the default options, and migrates.
    ///
    /// # Errors
    /// As for [`PostgresStoreOptions::connect`].
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::options().connect(url).await
    }

    /// Connects with the default options, and checks that the schema is there.
    ///
    /// # Errors
    /// As for [`PostgresStoreOptions::connect_without_migrating`].
    pub async fn connect_without_migrating(url: &str) -> Result<Self, StoreError> {
        Self::options().connect_without_migrating(url).await
    }

    /// Uses the application's own pool, with the default options; see [`PostgresStoreOptions::from_pool`].
    pub fn from_pool(pool: PgPool) -> Self {
        Self::options().from_pool(pool)
    }

    /// Returns the default options, to change some.
    pub fn options() -> PostgresStoreOptions {
        PostgresStoreOptions::default()
    }

    pub(super) fn new(options: PostgresStoreOptions, pool: Replaceable<PgPool>) -> Self {
        let (tables, notifies) = (options.tables(), options.notifies());
        let server = Arc::new(Server::new(pool, tables, options.mode, options.timeout, options.clock_offset));
        Self {
            inner: Arc::new(Inner {
                application: options.application,
                claims: Claims::new(&server),
                inbox: Inbox::new(&server, notifies),
                outbox: Outbox::new(&server, notifies),
                server,
            }),
        }
    }

    /// Brings the schema up to date. Safe to call twice, and from many instances at once.
    ///
    /// It needs no right to create anything if there is nothing to do. It is bounded by 60 seconds, since it waits for
    /// another instance that is migrating.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses; [`Schema`](crate::error::StoreErrorKind::Schema) when the tables are too new.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let (server, parts) = (&self.inner.server, parts());
        let found = server.read_versions(server.deadline()).await?;
        if parts.iter().all(|part| part.judge(&found) == Schema::Fits) {
            self.fits();
            return Ok(());
        }
        match timeout(MIGRATION_TIMEOUT, server.apply_migrations(&parts)).await {
            Ok(Ok(schema)) => schema.into_result()?,
            Ok(Err(error)) => return Err(store_error(error, MIGRATE)),
            Err(_) => return Err(store_error(no_answer(), MIGRATE)),
        }
        self.fits();
        Ok(())
    }

    /// Checks that the schema fits this version of the crate. The first call of a store does the same.
    ///
    /// # Errors
    /// [`Schema`](crate::error::StoreErrorKind::Schema) when the tables are missing, older, or too new; otherwise when the server cannot
    /// be asked.
    pub async fn check_schema(&self) -> Result<(), StoreError> {
        let server = &self.inner.server;
        let found = server.read_versions(server.deadline()).await?;
        parts().iter().try_for_each(|part| part.judge(&found).into_result())?;
        self.fits();
        Ok(())
    }

    /// Returns the pool that the store uses: the application's, or the one that [`connect`](Self::connect) made, for the
    /// transactions in which handlers commit their effects with their claims.
    ///
    /// Call it again for each use: if the server stops answering, the store replaces a pool of its own by another one.
    pub fn pool(&self) -> PgPool {
        self.inner.server.pool.current().value
    }

    /// Notes that the tables of all parts fit.
    fn fits(&self) {
        self.inner.claims.fits();
        self.inner.inbox.fits();
        self.inner.outbox.fits();
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("claims", &self.inner.server.tables.claims)
            .field("mode", &self.inner.server.mode)
            .field("timeout", &self.inner.server.timeout)
            .finish_non_exhaustive()
    }
}

/// The parts of this build.
fn parts() -> Vec<&'static Part> {
    [&CLAIMS].into_iter().chain(inbox::PARTS.iter().copied()).chain(outbox::PARTS.iter().copied()).collect()
}

const MIGRATION_TIMEOUT: Duration = Duration::from_secs(60);

const MIGRATE: &str = "migrate the schema";
