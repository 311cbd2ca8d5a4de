use std::{fmt, sync::Arc, time::Duration};

use async_nats::jetstream::{Context, consumer::PullConsumer};

/// A stream of NATS JetStream, as the queue of a hand-off and of its workers. Clones are cheap.
///
/// [`JetStream::options`] opens it; the [module](super) has an example.
#[derive(Clone)]
pub struct JetStream {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) context: Context,
    pub(super) names: Names,
    pub(super) timeout: Duration,
    /// The durable consumer, with the lease for which it was created. After an error it is looked up again.
    pub(super) consumer: tokio::sync::Mutex<Option<(Duration, PullConsumer)>>,
}

/// The names on the server.
#[derive(Debug, Clone)]
pub(super) struct Names {
    pub(super) stream: String,
    pub(super) subject: String,
    pub(super) durable: String,
    pub(super) dead_stream: String,
    pub(super) dead_subject: String,
}

impl fmt::Debug for JetStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JetStream").field("names", &self.shared.names).finish_non_exhaustive()
    }
}
