//! Notifies the workers of other processes that there is something to do.
//!
//! A transaction that has sent a `NOTIFY` holds a lock of the whole server from before its commit until the commit is
//! on disk and at a synchronous replica, so no two such transactions share a flush. Therefore transactions that
//! store something do not notify. A task sends one `NOTIFY` after their commits, on a connection of its own, for all of them
//! within [`PAUSE`]. It only saves time: workers also look regularly.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use tokio::{
    runtime::Handle,
    sync::mpsc,
    time::{sleep, timeout},
};

/// The sender to the task, which the first call starts. The task ends when the store is dropped.
#[derive(Default)]
pub(super) struct Notifier {
    asked: Mutex<Option<mpsc::Sender<()>>>,
}

impl Notifier {
    /// Requests a `NOTIFY`, which is sent soon. `start` creates the task if it does not run, or if it has died with its
    /// runtime.
    pub(super) fn notify<F>(&self, start: impl FnOnce(mpsc::Receiver<()>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = asked.as_ref().filter(|sender| !sender.is_closed()) {
            // If a request waits already, its `NOTIFY` also covers this one.
            let _ = sender.try_send(());
            return;
        }
        // Without a runtime there is no worker either.
        let Ok(runtime) = Handle::try_current() else { return };
        let (sender, receiver) = mpsc::channel(1);
        let _ = sender.try_send(());
        *asked = Some(sender);
        runtime.spawn(start(receiver));
    }
}

/// Sends a `NOTIFY` whenever it is asked to, until every sender is dropped.
pub(super) fn run(
    options: Arc<PgConnectOptions>,
    channel: &str,
    limit: Duration,
    mut asked: mpsc::Receiver<()>,
) -> impl Future<Output = ()> + Send + use<> {
    // The name is made of letters, digits and `_`.
    let notify: Arc<str> = format!("NOTIFY \"{channel}\"").into();
    async move {
        let mut kept = None;
        loop {
            let asked_again = match timeout(IDLE, asked.recv()).await {
                Ok(asked) => asked,
                Err(_) => {
                    close(kept.take(), limit).await;
                    asked.recv().await
                }
            };
            if asked_again.is_none() {
                return close(kept, limit).await;
            }
            let is_old = kept.is_some();
            let mut told = timeout(limit, tell(&mut kept, &options, &notify)).await;
            if is_old && matches!(told, Ok(Err(_))) {
                // It may have broken while it was idle.
                kept = None;
                told = timeout(limit, tell(&mut kept, &options, &notify)).await;
            }
            match told {
                Ok(Ok(())) => sleep(PAUSE).await,
                // Workers find it when they look.
                _ => {
                    kept = None;
                    sleep(PAUSE_AFTER_FAILURE).await;
                }
            }
        }
    }
}

async fn tell(
    kept: &mut Option<PgConnection>,
    options: &PgConnectOptions,
    notify: &Arc<str>,
) -> Result<(), sqlx::Error> {
    let connection = match kept {
        Some(connection) => connection,
        None => kept.insert(options.clone().disable_statement_logging().connect().await?),
    };
    sqlx::raw_sql(AssertSqlSafe(notify.clone())).execute(connection).await.map(drop)
}

async fn close(connection: Option<PgConnection>, limit: Duration) {
    if let Some(connection) = connection {
        // The connection is dropped even if the server cannot be told.
        let _ = timeout(limit, connection.close()).await;
    }
}

/// The shortest time between two of them. A worker in another process waits at most this long, in addition to the round
/// trip.
const PAUSE: Duration = Duration::from_millis(5);

const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_secs(60);
