use std::any::Any;

use sqlx::{PgConnection, Postgres, Transaction};
use tokio::time::timeout;

use super::{
    error::{no_answer, store_error},
    options::DEFAULT_TIMEOUT,
};
use crate::{error::StoreError, transaction::StoreTransaction};

/// The commit is bounded by 5 seconds; after that it is unknown whether it took effect.
impl StoreTransaction for Transaction<'_, Postgres> {
    fn connection(&mut self) -> &mut (dyn Any + Send) {
        let connection: &mut PgConnection = self;
        connection
    }

    async fn commit(self) -> Result<(), StoreError> {
        const CONTEXT: &str = "commit the application's transaction";

        match timeout(DEFAULT_TIMEOUT, Transaction::commit(self)).await {
            Ok(committed) => committed.map_err(|error| store_error(error, CONTEXT)),
            Err(_) => Err(store_error(no_answer(), CONTEXT)),
        }
    }
}
