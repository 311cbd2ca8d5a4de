use std::any::Any;

use sqlx::{Sqlite, SqliteConnection, Transaction};

use super::error::store_error;
use crate::{error::StoreError, transaction::StoreTransaction};

/// What `pool.begin()` and `pool.begin_with("BEGIN IMMEDIATE")` return.
impl StoreTransaction for Transaction<'_, Sqlite> {
    fn connection(&mut self) -> &mut (dyn Any + Send) {
        let connection: &mut SqliteConnection = &mut *self;
        connection
    }

    async fn commit(self) -> Result<(), StoreError> {
        // This calls the driver's own method. The method of the trait would call itself.
        Transaction::commit(self).await.map_err(|error| store_error("commit the application's transaction", error))
    }
}
