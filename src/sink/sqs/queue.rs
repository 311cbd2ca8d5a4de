use std::{fmt, sync::Arc, time::Duration};

use aws_sdk_sqs::{Client, types::QueueAttributeName};

use crate::{
    boxed::BoxError,
    error::{StoreError, StoreErrorKind},
};

/// A queue of Amazon SQS: events are passed on to it, and taken from it. Cheap to clone.
///
/// The [module](super) has an example.
#[derive(Clone)]
pub struct Sqs {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) client: Client,
    pub(super) events: Queue,
    pub(super) dead: Queue,
}

/// A queue on the service.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    pub(super) url: String,
    pub(super) is_fifo: bool,
    /// The most bytes of a message, with its attributes.
    pub(super) largest: usize,
}

/// What the service takes at most, where the queue does not say.
const LARGEST: usize = 1024 * 1024;

/// How long the service may take for one answer.
pub(super) const TIMEOUT: Duration = Duration::from_secs(4);

impl Sqs {
    /// Opens a queue for events and one for dead letters, by their URLs. A queue is a FIFO queue if its name ends with `.fifo`.
    ///
    /// # Errors
    /// When a queue is not there, its attributes may not be read (`sqs:GetQueueAttributes`), both are the same, the queue for dead letters takes smaller messages, or the service does not answer.
    pub async fn open(
        client: Client,
        queue_url: impl Into<String>,
        dead_letter_url: impl Into<String>,
    ) -> Result<Self, StoreError> {
        let events = queue(&client, queue_url.into()).await?;
        let dead = queue(&client, dead_letter_url.into()).await?;
        if events.url == dead.url {
            let context = "open a queue: its dead letters need a queue of their own";
            return Err(StoreError::new(StoreErrorKind::Schema, context));
        }
        if dead.largest < events.largest {
            let context = "open a queue: that of its dead letters takes smaller messages";
            return Err(StoreError::new(StoreErrorKind::Schema, context));
        }
        Ok(Self { shared: Arc::new(Shared { client, events, dead }) })
    }
}

async fn queue(client: &Client, url: String) -> Result<Queue, StoreError> {
    let name = QueueAttributeName::MaximumMessageSize;
    let asked = client.get_queue_attributes().queue_url(&url).attribute_names(name.clone()).send();
    let answer = within(TIMEOUT, format!("open the queue `{url}`"), asked).await?;
    let size = answer.attributes().and_then(|attributes| attributes.get(&name)?.parse().ok());
    let is_fifo = url.ends_with(".fifo");
    Ok(Queue { url, is_fifo, largest: size.unwrap_or(LARGEST).min(LARGEST) })
}

/// Waits for an answer of the service, for so long.
pub(super) async fn within<T, E: Into<BoxError>>(
    time: Duration,
    context: impl Into<Arc<str>>,
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, StoreError> {
    let context = context.into();
    match tokio::time::timeout(time, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(cause)) => Err(StoreError::new(StoreErrorKind::Unavailable, context).with_source(cause)),
        Err(late) => Err(StoreError::new(StoreErrorKind::Unavailable, context).with_source(late)),
    }
}

impl fmt::Debug for Sqs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqs")
            .field("events", &self.shared.events)
            .field("dead", &self.shared.dead)
            .finish_non_exhaustive()
    }
}
