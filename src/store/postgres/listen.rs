use std::time::Duration;

use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::time::{sleep, timeout};

use super::{server::Server, statement::Mode};

/// Listens on a connection of its own until it is dropped, and calls `wake` for each notification. A lost connection is
/// opened again; workers find what was stored in the meantime when they next look.
pub(super) async fn listen(server: &Server, channel: &str, wake: Box<dyn Fn() + Send + Sync + '_>) {
    // Behind a pooler that assigns connections per transaction, listening is not possible.
    if server.mode == Mode::Simple {
        return;
    }
    let mut pause = SHORTEST_PAUSE;
    loop {
        if let Ok(mut listener) = connect(server, channel).await {
            pause = SHORTEST_PAUSE;
            wake();
            while hear(server, &mut listener).await.is_ok() {
                wake();
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn connect(server: &Server, channel: &str) -> Result<PgListener, sqlx::Error> {
    let options = server.pool.current().value.connect_options();
    let timeout_of = server.timeout;
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(timeout_of)
        .max_lifetime(None)
        .idle_timeout(None)
        .connect_lazy_with(options.as_ref().clone());
    let connect = async {
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.listen(channel).await?;
        Ok(listener)
    };
    timeout(timeout_of, connect).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

/// Waits for a notification. A connection that has been silent for long is tested.
async fn hear(server: &Server, listener: &mut PgListener) -> Result<(), sqlx::Error> {
    loop {
        match timeout(SILENCE, listener.try_recv()).await {
            // The driver has already opened another one if there is nothing.
            Ok(heard) => return heard.map(drop),
            Err(_) => {
                let ping = sqlx::raw_sql("SELECT 1").execute(&mut *listener);
                timeout(server.timeout, ping).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))?;
            }
        }
    }
}

const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
const SILENCE: Duration = Duration::from_secs(60);
